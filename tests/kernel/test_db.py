"""Only edges commit; all of a transaction is stored, or nothing (architecture, "A noun's room")."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from apiflask import APIFlask
from sqlalchemy import func, select, text
from sqlalchemy.exc import StatementError

from kernel import outbox
from kernel.db import after_commit, db, in_transaction, session, transaction
from kernel.outbox import OutboxRow

MOMENT = datetime(2026, 3, 2, 9, 0, tzinfo=timezone(timedelta(hours=8)))


def row(subject: str = "trial:1", at: datetime = MOMENT) -> OutboxRow:
    return OutboxRow(topic="trial", subject=subject, payload={}, created_at=at, due_at=at)


def stored() -> int:
    with db.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(OutboxRow)) or 0


@pytest.fixture(autouse=True)
def _clean(portal: APIFlask) -> Iterator[None]:
    yield
    session.rollback()


def test_write_inside_is_stored_when_the_block_ends() -> None:
    with transaction():
        session.add(row())
        session.flush()
        assert stored() == 0
    assert stored() == 1


def test_nothing_is_stored_when_the_block_raises() -> None:
    with pytest.raises(KeyError), transaction():
        session.add(row("trial:1"))
        session.flush()
        session.add(row("trial:2"))
        raise KeyError
    assert stored() == 0
    assert not in_transaction()


def test_flush_outside_is_refused() -> None:
    session.add(row())
    with pytest.raises(RuntimeError, match="only edges commit"):
        session.flush()
    session.rollback()
    assert stored() == 0


def test_commit_outside_is_refused() -> None:
    session.add(row())
    with pytest.raises(RuntimeError, match="only edges commit"):
        session.commit()
    session.rollback()
    assert stored() == 0


def test_change_outside_is_refused() -> None:
    with transaction():
        session.add(row())
    found = session.scalars(select(OutboxRow)).one()
    found.tries = 7
    with pytest.raises(RuntimeError, match="only edges commit"):
        session.flush()


def test_nesting_is_refused_and_ends_the_outer_one() -> None:
    with pytest.raises(RuntimeError, match="transaction"), transaction():
        session.add(row())
        with transaction():
            pass
    assert stored() == 0
    assert not in_transaction()


def test_reading_needs_no_transaction_and_leaves_none_open() -> None:
    session.scalars(select(OutboxRow)).all()
    pid = session.scalar(text("SELECT pg_backend_pid()"))
    with db.engine.connect() as other:
        state = other.scalar(text("SELECT state FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid})
    assert state == "idle"


def test_transaction_reads_what_others_stored_meanwhile() -> None:
    with transaction():
        session.add(row())
    held = session.scalars(select(OutboxRow)).one()
    with db.engine.connect() as other:
        other.execute(text("UPDATE outbox SET subject = 'trial:9'"))
    with transaction():
        assert held.subject == "trial:9"


def test_naive_instant_is_refused() -> None:
    with pytest.raises(StatementError, match="naive instant"), transaction():
        session.add(row(at=datetime(2026, 3, 2, 9, 0)))  # noqa: DTZ001
        session.flush()
    assert stored() == 0


def test_naive_instant_is_refused_in_a_question() -> None:
    with pytest.raises(StatementError, match="naive instant"):
        session.scalars(select(OutboxRow).where(OutboxRow.due_at < datetime(2026, 3, 2))).all()  # noqa: DTZ001


def test_instants_come_back_aware_in_utc() -> None:
    with transaction():
        session.add(row())
    session.expunge_all()
    at = session.scalars(select(OutboxRow)).one().due_at
    assert at == MOMENT
    assert at.tzinfo is UTC


def test_after_commit_runs_once_the_data_is_safe() -> None:
    seen: list[int] = []
    with transaction():
        session.add(row())
        after_commit(lambda: seen.append(stored()))
        assert seen == []
    assert seen == [1]


def test_after_commit_never_runs_on_rollback() -> None:
    seen: list[int] = []
    with pytest.raises(KeyError), transaction():
        after_commit(lambda: seen.append(1))
        raise KeyError
    with transaction():
        pass
    assert seen == []


def test_after_commit_may_open_a_transaction_of_its_own() -> None:
    def follow() -> None:
        with transaction():
            outbox.put("trial", "trial:after")

    with transaction():
        after_commit(follow)
    assert stored() == 1
    assert not in_transaction()


def test_after_commit_outside_is_refused() -> None:
    with pytest.raises(RuntimeError, match="outside"):
        after_commit(lambda: None)


def test_unknown_word_is_refused_by_its_column(portal: APIFlask) -> None:
    from kernel.dossier import Entry

    with pytest.raises(StatementError, match="perhaps"):
        session.scalars(select(Entry).where(Entry.status == "perhaps")).all()
