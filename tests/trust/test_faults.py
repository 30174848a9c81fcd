"""When a part fails, the portal says so by name, shows nobody a traceback, and stores nothing by halves (G17)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select, text

from kernel import cluster as clusters
from kernel import database as databases
from kernel import trail
from kernel.db import Base, db, session, transaction
from kernel.trail import Actor
from market import commissions, deliverables, services
from market.commissions import Picked
from market.deliverables import Part, Result

PAGES = (
    "/",
    "/services",
    "/items",
    "/agencies",
    "/guide",
    "/commissions",
    "/matters",
    "/projects",
    "/inbox",
    "/account",
)


@pytest.fixture
def down(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No connection can be had, neither a new one nor one from the pool."""

    def refuse(*args: Any, **more: Any) -> None:
        raise psycopg.OperationalError("connection refused: host 10.0.0.1 password=geheim")

    session.remove()
    db.engine.dispose()
    monkeypatch.setattr(databases.psycopg, "connect", refuse)
    yield
    session.remove()


def is_decent(body: str) -> bool:
    return not any(word in body for word in ("Traceback", "psycopg", "sqlalchemy", "geheim", "10.0.0.1", 'File "'))


def test_database_down_is_not_ready_but_alive(portal: APIFlask, down: None) -> None:
    client = portal.test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"status": "unavailable", "waiting_for": "database"}
    assert answer.headers["Retry-After"]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_page_says_by_name_that_the_database_is_down(client_as: Any, request: pytest.FixtureRequest, path: str) -> None:
    client = client_as("applicant")
    request.getfixturevalue("down")
    answer = client.get(path)
    body = answer.get_data(as_text=True)
    assert answer.status_code == 503
    assert "暂时不可用" in body
    assert is_decent(body)
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize("path", ["/api/v1/items", "/api/v1/services", "/api/v1/commissions"])
def test_program_is_told_by_code_that_the_database_is_down(portal: APIFlask, down: None, path: str) -> None:
    answer = portal.test_client().get(path, headers={"Authorization": f"Bearer portal_{'x' * 43}"})
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["code"], answer.json["status"]) == ("unavailable", 503)
    assert is_decent(answer.get_data(as_text=True))


def test_person_keeps_what_was_typed_when_the_database_is_down(client_as: Any, request: pytest.FixtureRequest) -> None:
    client = client_as("applicant")
    request.getfixturevalue("down")
    answer = client.post("/projects/new", data={"name": "云栖里住宅小区二期工程", "act": secrets.token_urlsafe(12)})
    assert answer.status_code == 503
    assert "云栖里住宅小区二期工程" in answer.get_data(as_text=True)


def test_portal_recovers_by_itself(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = portal.test_client()
    with monkeypatch.context() as patch:

        def refuse(*args: Any, **more: Any) -> None:
            raise psycopg.OperationalError("gone")

        session.remove()
        db.engine.dispose()
        patch.setattr(databases.psycopg, "connect", refuse)
        assert client.get("/readyz").status_code == 503
        assert client.get("/items").status_code == 503
    assert client.get("/readyz").status_code == 200
    assert client.get("/items").status_code == 200


def test_connections_cut_by_a_restart_are_replaced(portal: APIFlask, cluster: clusters.Cluster, database: str) -> None:
    def ask() -> int:
        """As the server does: each request in a thread with an application context of its own."""
        statuses: list[int] = []
        thread = threading.Thread(target=lambda: statuses.append(portal.test_client().get("/items").status_code))
        thread.start()
        thread.join(30)
        return statuses[0]

    session.remove()
    assert ask() == 200
    with cluster.connect(database) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'portal_web'"
        )
    statuses = [ask() for _ in range(8)]
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200


def test_read_only_database_is_named_and_reading_goes_on(
    client_as: Any, world: Any, cluster: clusters.Cluster, database: str
) -> None:
    client = client_as("applicant")
    session.remove()
    db.engine.dispose()
    with cluster.connect(database) as superuser:
        superuser.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        try:
            assert client.get("/items").status_code == 200
            answer = client.post(
                "/projects/new",
                data={
                    "act": secrets.token_urlsafe(12),
                    "code": "2604-230199-04-01-300001",
                    "name": "云栖里二期",
                    "project_class": "housing",
                },
            )
        finally:
            superuser.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
            session.remove()
            db.engine.dispose()
    assert answer.status_code == 503
    assert is_decent(answer.get_data(as_text=True))


# Nothing by halves.


def counts() -> dict[str, int]:
    """Rows of every table that business writes to, seen by another connection."""
    with db.engine.connect() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
            if name not in {"security_events", "idempotency"}
        }


@pytest.fixture
def offered(world: Any) -> str:
    """A commission that waits for its agency."""
    with transaction():
        document = world.document(by=world.applicant)
        project = session.get_one(type(world.project), world.project.id)
        listing = session.get_one(type(world.listing), world.listing.id)
        commission = commissions.draft(project, listing, project.organisation, by=world.applicant)
        commissions.hand_in(commission, [Picked(name, document=document) for name in listing.item.required_materials])
        commissions.offer(commission, by=world.applicant)
    return commission.number


def take_on(client: FlaskClient, number: str, act: str) -> Any:
    """The form as it was opened while the commission was fresh from the offer."""
    return client.post(f"/commissions/{number}/take-on", data={"act": act, "version": "2"})


def test_rule_that_fails_undoes_the_whole_act_and_the_form_may_be_sent_again(
    world: Any, client_as: Any, offered: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client, token = client_as("agency"), secrets.token_urlsafe(12)
    before = counts()

    def fail(act: trail.TrailAct, by: Actor) -> None:
        raise RuntimeError("geheim")

    with monkeypatch.context() as patch:
        patch.setattr(trail, "_subscribers", {"commission.taken_on": (fail,)})
        answer = take_on(client, offered, token)
    assert answer.status_code == 500
    assert is_decent(answer.get_data(as_text=True))
    assert "geheim" in caplog.text
    assert counts() == before
    assert [act.act for act in trail.of(f"commission:{offered}")][-1] == "commission.offered"
    session.rollback()
    assert take_on(client, offered, token).status_code == 303
    assert [act.act for act in trail.of(f"commission:{offered}")][-1] == "commission.taken_on"
    assert take_on(client, offered, token).status_code == 303
    assert [act.act for act in trail.of(f"commission:{offered}")].count("commission.taken_on") == 1


class Cut(Exception):
    """The fail point."""


@contextmanager
def cut_at(step: int) -> Iterator[list[int]]:
    """Raise at the ``step``-th statement that writes."""
    seen = [0]

    def before(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE", "WITH W0 AS (")):
            seen[0] += 1
            if seen[0] == step:
                raise Cut

    event.listen(db.engine, "before_cursor_execute", before)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", before)


def walk(act: Callable[[], object]) -> int:
    """Cut ``act`` at its first write, its second, … until it gets through; answer how many writes it has."""
    before = counts()
    for step in range(1, 200):
        with cut_at(step) as seen:
            try:
                with transaction():
                    act()
            except Cut:
                session.rollback()
                assert counts() == before, f"cut at write {step}"
                continue
        assert seen[0] < step
        return seen[0]
    raise AssertionError("it never got through")


def test_accepting_cut_at_any_step_leaves_nothing(world: Any, offered: str) -> None:
    """The fullest act of all: accepted, attached, finished, clocks ended, both sides told."""
    agency, client = world.agency_actor, world.applicant
    with transaction():
        commission = commissions.find(offered, by=agency, lock=True)
        commissions.take_on(commission, by=agency)
        services.start(commission, by=agency)
        made = deliverables.submit(
            commission,
            [Part("水土保持方案", world.document(body="成果", by=agency))],
            result=Result.PASSED,
            summary="符合要求",
            by=agency,
        )
    number = made.number
    writes = walk(lambda: deliverables.accept(deliverables.find(number, by=client, lock=True), by=client))
    assert writes >= 8
    acts = [act.act for act in trail.everything_unscoped()]
    assert acts[-3:] == ["deliverable.accepted", "document.attached", "service.finished"]
    assert trail.verify()[1] == []


def test_offering_cut_at_any_step_leaves_nothing(world: Any, offered: str) -> None:
    client = world.applicant
    with transaction():
        commissions.take_back(commissions.find(offered, by=client, lock=True), by=client)
    writes = walk(lambda: commissions.offer(commissions.find(offered, by=client, lock=True), by=client))
    assert writes >= 5
    assert trail.verify()[1] == []


def test_history_that_cannot_be_written_stops_the_act(world: Any, offered: str, owner_engine) -> None:  # type: ignore[no-untyped-def]
    """No act without its trace: if the trail refuses, the commission stays as it is."""
    agency = world.agency_actor
    before = counts()
    with owner_engine.connect() as owner:
        owner.execute(text("REVOKE INSERT ON trail FROM portal_web"))
        try:
            with pytest.raises(Exception, match="permission denied"), transaction():
                commissions.take_on(commissions.find(offered, by=agency, lock=True), by=agency)
        finally:
            owner.execute(text("GRANT INSERT ON trail TO portal_web"))
    session.rollback()
    assert counts() == before
    assert commissions.find(offered, by=agency).status.value == "offered"
