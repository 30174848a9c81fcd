"""Nothing in the history is changed unnoticed (G8, D9).

A superuser edits, deletes, inserts, swaps, cuts the tail: each is found with the row named. Whoever rewrites a whole
chain *and* its head, or removes both, is not found by the chains alone: that needs a checkpoint kept outside the
database, which this release does not have. No test here pretends otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from apiflask import APIFlask
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from kernel import cluster as clusters
from kernel import trail
from kernel.db import Base, db, transaction
from kernel.trail import SYSTEM, Break

#: Every table whose rows are facts that happened. A table that joins or leaves is written down here by hand.
HISTORY = {
    "auction_bidders",
    "auction_entries",
    "bid_confirmations",
    "bid_origins",
    "bid_rulings",
    "bid_scores",
    "bid_withdrawals",
    "bids",
    "call_approvals",
    "call_editions",
    "clock_events",
    "commission_materials",
    "decision_evidence",
    "decisions",
    "deliverable_files",
    "documents",
    "dossier_uses",
    "expert_employments",
    "fee_changes",
    "opened_bid_files",
    "opened_bids",
    "outages",
    "password_history",
    "policies",
    "produced_keys",
    "public_notices",
    "rankings",
    "review_answers",
    "review_check_results",
    "review_documents",
    "review_places",
    "review_rulings",
    "security_events",
    "sheet_approvals",
    "sheet_versions",
    "sheet_withdrawals",
    "sheets",
    "trail",
}
ACT = "project.registered"


@pytest.fixture
def superuser(portal: APIFlask, cluster: clusters.Cluster, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection, and two chains of five acts each."""
    with transaction():
        for number in range(5):
            for subject in ("project:P1", "project:P2"):
                trail.record(subject, ACT, by=SYSTEM, number=number, name="云栖里")
    with cluster.connect(database) as connection:
        yield connection


def breaks() -> list[Break]:
    return trail.verify()[1]


def test_untouched_chains_hold(superuser: psycopg.Connection[Any]) -> None:
    assert trail.verify() == (10, [])


@pytest.mark.parametrize(
    "change",
    [
        "data = data || '{\"number\": 99}'",
        "at = at + interval '1 second'",
        "recorded_at = recorded_at - interval '1 microsecond'",
        "person = '他人'",
        "person_id = 7",
        "organisation = '他单位'",
        "organisation_id = 7",
        "act = 'project.phase_added'",
    ],
)
def test_edited_row_is_found(superuser: psycopg.Connection[Any], change: str) -> None:
    superuser.execute(f"UPDATE trail SET {change} WHERE subject = 'project:P1' AND sequence = 3")  # type: ignore[arg-type]  # noqa: S608
    assert breaks() == [Break("project:P1", 3, "hash")]


def test_row_edited_with_a_fresh_hash_is_found(superuser: psycopg.Connection[Any]) -> None:
    act = trail.of("project:P1")[2]
    act.person = "他人"
    forged = trail.digest(act)
    db.session.rollback()
    db.session.expunge_all()
    superuser.execute(
        "UPDATE trail SET person = '他人', hash = %s WHERE subject = 'project:P1' AND sequence = 3", (forged,)
    )
    assert breaks() == [Break("project:P1", 4, "previous")]


def test_last_row_edited_with_a_fresh_hash_is_found(superuser: psycopg.Connection[Any]) -> None:
    act = trail.of("project:P1")[-1]
    act.person = "他人"
    forged = trail.digest(act)
    db.session.rollback()
    db.session.expunge_all()
    superuser.execute(
        "UPDATE trail SET person = '他人', hash = %s WHERE subject = 'project:P1' AND sequence = 5", (forged,)
    )
    assert breaks() == [Break("project:P1", 5, "head")]


@pytest.mark.parametrize("row", [1, 2, 4])
def test_deleted_row_is_found(superuser: psycopg.Connection[Any], row: int) -> None:
    superuser.execute("DELETE FROM trail WHERE subject = 'project:P1' AND sequence = %s", (row,))
    assert breaks() == [Break("project:P1", row + 1, "missing")]


def test_inserted_row_is_found(superuser: psycopg.Connection[Any]) -> None:
    """A row put between two others, with those after it moved up to make room."""
    superuser.execute(
        "UPDATE trail SET sequence = sequence + 100 WHERE subject = 'project:P1' AND sequence > 2;"
        "UPDATE trail SET sequence = sequence - 99 WHERE subject = 'project:P1' AND sequence > 100;"
    )
    _copy(superuser, "project:P1", source=2, target=3)
    found = breaks()
    assert found[0].subject == "project:P1"
    assert found[0].row == 3
    assert {b.subject for b in found} == {"project:P1"}


def test_appended_row_is_found(superuser: psycopg.Connection[Any]) -> None:
    """A well-chained row added behind the portal's back: the head doesn't know it."""
    last = trail.of("project:P1")[-1]
    db.session.expunge_all()
    last.sequence, last.previous = 6, last.hash
    forged = trail.digest(last)
    _copy(superuser, "project:P1", source=5, target=6)
    superuser.execute(
        "UPDATE trail SET previous = %s, hash = %s WHERE subject = 'project:P1' AND sequence = 6",
        (last.previous, forged),
    )
    assert breaks() == [Break("project:P1", 6, "head")]


def test_swapped_rows_are_found(superuser: psycopg.Connection[Any]) -> None:
    superuser.execute(
        "UPDATE trail SET sequence = 99 WHERE subject = 'project:P1' AND sequence = 2;"
        "UPDATE trail SET sequence = 2 WHERE subject = 'project:P1' AND sequence = 4;"
        "UPDATE trail SET sequence = 4 WHERE subject = 'project:P1' AND sequence = 99;"
    )
    found = breaks()
    assert found[0] == Break("project:P1", 2, "previous")
    assert {b.subject for b in found} == {"project:P1"}


def test_act_moved_to_another_subject_is_found(superuser: psycopg.Connection[Any]) -> None:
    superuser.execute(
        "UPDATE trail SET subject = 'project:P3' WHERE subject = 'project:P1';"
        "UPDATE trail_heads SET subject = 'project:P3' WHERE subject = 'project:P1';"
    )
    assert Break("project:P3", 1, "hash") in breaks()


def test_cut_tail_is_found_with_the_first_row_that_is_gone(superuser: psycopg.Connection[Any]) -> None:
    superuser.execute("DELETE FROM trail WHERE subject = 'project:P1' AND sequence > 3")
    assert breaks() == [Break("project:P1", 4, "head")]


def test_whole_chain_cut_is_found_while_its_head_stands(superuser: psycopg.Connection[Any]) -> None:
    superuser.execute("DELETE FROM trail WHERE subject = 'project:P1'")
    assert breaks() == [Break("project:P1", 1, "head")]


def test_rewound_head_is_found(superuser: psycopg.Connection[Any]) -> None:
    superuser.execute(
        "UPDATE trail_heads SET sequence = 3, hash = (SELECT hash FROM trail WHERE subject = 'project:P1' AND sequence = 3)"
        " WHERE subject = 'project:P1'"
    )
    assert breaks() == [Break("project:P1", 4, "head")]


def test_other_chains_stay_beyond_suspicion(superuser: psycopg.Connection[Any]) -> None:
    superuser.execute("UPDATE trail SET person = '他人' WHERE subject = 'project:P1' AND sequence = 3")
    assert trail.verify("project:P2") == (5, [])


def test_every_table_of_history_is_marked_and_no_other(portal: APIFlask) -> None:
    marked = {name for name, table in Base.metadata.tables.items() if table.info.get("history")}
    assert marked == HISTORY


@pytest.mark.parametrize("table", sorted(HISTORY))
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_web_role_cannot_change_history(
    portal: APIFlask, cluster: clusters.Cluster, database: str, table: str, verb: str
) -> None:
    column = Base.metadata.tables[table].columns.keys()[1]
    statement = {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",  # noqa: S608
        "DELETE": f"DELETE FROM {table}",  # noqa: S608
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }[verb]
    engine = create_engine(cluster.web_url(database))
    try:
        with pytest.raises(ProgrammingError, match="permission denied"), engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def test_web_role_cannot_change_the_tables_themselves(
    portal: APIFlask, cluster: clusters.Cluster, database: str
) -> None:
    engine = create_engine(cluster.web_url(database))
    try:
        for statement in (
            "ALTER TABLE trail ADD COLUMN x int",
            "DROP TABLE trail",
            "CREATE TABLE mine (x int)",
            "CREATE RULE r AS ON INSERT TO trail DO INSTEAD NOTHING",
            "GRANT UPDATE ON trail TO portal_web",
            "SET ROLE portal_owner",
        ):
            with engine.connect() as connection:
                try:
                    connection.execute(text(statement))
                except ProgrammingError:
                    continue
                # PostgreSQL answers a GRANT that grants nothing with a warning; what counts is the right.
                connection.rollback()
                assert statement.startswith("GRANT")
                may = "SELECT has_table_privilege('trail', 'UPDATE')"
                assert connection.scalar(text(may)) is False
    finally:
        engine.dispose()


def test_web_role_has_what_the_portal_needs_on_every_table(
    portal: APIFlask, cluster: clusters.Cluster, database: str
) -> None:
    engine = create_engine(cluster.web_url(database))
    try:
        with engine.connect() as connection:
            stored = set(inspect(connection).get_table_names()) - {"alembic_version"}
            assert stored == set(Base.metadata.tables)
            for table in sorted(stored):
                rights = {
                    right
                    for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES")
                    if connection.scalar(text("SELECT has_table_privilege(:t, :r)"), {"t": table, "r": right})
                }
                wanted = {"SELECT", "INSERT"} if table in HISTORY else {"SELECT", "INSERT", "UPDATE", "DELETE"}
                assert rights == wanted, table
    finally:
        engine.dispose()


def _copy(connection: psycopg.Connection[Any], subject: str, *, source: int, target: int) -> None:
    connection.execute(
        "INSERT INTO trail (subject, sequence, act, at, recorded_at, person_id, person, organisation_id, organisation,"
        " data, previous, hash)"
        " SELECT subject, %s, act, at, recorded_at, person_id, person, organisation_id, organisation, data, previous,"
        " hash FROM trail WHERE subject = %s AND sequence = %s",
        (target, subject, source),
    )
