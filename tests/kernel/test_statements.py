"""What is gathered is written together, is seen by whoever asks, and leaves every constraint in force."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg.errors
import pytest
from apiflask import APIFlask
from sqlalchemy import bindparam, event, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from integration.demo.city import credit_code
from kernel import trail
from kernel.accounts import OrganisationKind, register_organisation
from kernel.clock import EventKind, Light, Unit
from kernel.db import db, session, transaction
from kernel.outbox import OutboxRow
from kernel.projects import Project, ProjectClass, register
from kernel.statements import Records, Statement, store
from kernel.timekeeping import ClockEvent, ClockKind, StoredClock
from kernel.trail import SYSTEM, TrailAct

AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
BY_CODE = Records(Project, Project.code == bindparam("code"), Project.organisation)
HELD = Records(Project, Project.code == bindparam("code"), Project.organisation, hold=True)
PUT = Statement(insert(OutboxRow.__table__).inline(), ("topic", "subject", "payload", "created_at", "due_at", "tries"))  # type: ignore[arg-type]


def put(subject: str, key: str | None = None) -> None:
    PUT.later(key, topic="try", subject=subject, payload={"a": "甲"}, created_at=AT, due_at=AT, tries=0)


def subjects() -> list[str]:
    return list(session.scalars(select(OutboxRow.subject).where(OutboxRow.topic == "try").order_by(OutboxRow.id)))


def a_clock(subject: str = "statement:1") -> StoredClock:
    return StoredClock(
        subject=subject,
        kind=ClockKind.SERVICE,
        unit=Unit.WORKING_DAY,
        limit=5,
        warn=1,
        pause_day=True,
        resume_day=True,
        policy="p",
        calendar="c",
        light=Light.GREEN,
        started_at=AT,
        events=[ClockEvent(event=EventKind.START, at=AT, by="某人"), ClockEvent(event=EventKind.END, at=AT, by="某人")],
    )


@pytest.fixture
def project(portal: APIFlask) -> str:
    with transaction():
        owner = register_organisation(credit_code(7), "某公司", OrganisationKind.COMPANY)
        register("2603-230102-04-01-123456", "某项目", project_class=ProjectClass.OTHER, organisation=owner, by=SYSTEM)
    session.remove()
    return "2603-230102-04-01-123456"


def test_what_is_gathered_is_seen_by_the_next_question(portal: APIFlask) -> None:
    """… and in the order in which it was gathered."""
    many = [f"{number:02d}" for number in range(30)]
    with transaction():
        for subject in many:
            put(subject)
        assert subjects() == many
        put("later")
    assert subjects() == [*many, "later"]


def test_what_is_gathered_goes_in_one_statement(portal: APIFlask) -> None:
    sent: list[str] = []
    with transaction():
        put("first")
        store(a_clock())
        put("second")
        event.listen(db.engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
        assert not sent
    assert len(sent) == 1
    assert subjects() == ["first", "second"]


def test_only_the_last_of_a_key_counts_until_it_is_written(portal: APIFlask) -> None:
    with transaction():
        put("early", key="one")
        put("late", key="one")
    assert subjects() == ["late"]


def test_a_refused_transaction_writes_nothing(portal: APIFlask) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        put("never")
        store(a_clock())
        raise ZeroDivisionError
    assert subjects() == []
    assert session.scalar(select(func.count()).select_from(StoredClock)) == 0


def test_nothing_is_gathered_outside_a_transaction(portal: APIFlask) -> None:
    with pytest.raises(RuntimeError):
        put("never")
    with pytest.raises(RuntimeError):
        store(a_clock())


def test_a_rolled_back_savepoint_takes_what_was_gathered_in_it(portal: APIFlask) -> None:
    with transaction():
        put("before")
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            put("inside")
            trail.record("statement:1", "project.registered", by=SYSTEM)
            raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            put("inside, with nothing asked")
            raise ZeroDivisionError
        with session.begin_nested():
            put("in a savepoint that held")
        trail.record("statement:1", "project.registered", by=SYSTEM)
        put("after")
    assert subjects() == ["before", "in a savepoint that held", "after"]
    assert trail.verify("statement:1") == (1, [])


def test_a_constraint_speaks_before_the_commit(portal: APIFlask) -> None:
    with pytest.raises(IntegrityError) as found, transaction():
        store(a_clock())
        store(a_clock())
    assert isinstance(found.value.orig, psycopg.errors.UniqueViolation)
    assert session.scalar(select(func.count()).select_from(StoredClock)) == 0


def test_an_act_that_claims_to_be_the_first_but_is_not_is_refused(portal: APIFlask) -> None:
    with transaction():
        trail.record("statement:1", "project.registered", by=SYSTEM, is_first=True)
    with pytest.raises(IntegrityError), transaction():
        trail.record("statement:1", "project.registered", by=SYSTEM, is_first=True)
    assert trail.verify("statement:1") == (1, [])


def test_acts_of_one_transaction_are_chained_though_written_together(portal: APIFlask) -> None:
    with transaction():
        for _ in range(3):
            trail.record("statement:1", "project.registered", by=SYSTEM)
        assert [act.sequence for act in trail.of("statement:1")] == [1, 2, 3]
        trail.record("statement:1", "project.registered", by=SYSTEM)
    assert trail.verify("statement:1") == (4, [])
    assert session.scalar(select(func.count()).select_from(TrailAct)) == 4


def test_a_stored_record_is_written_as_it_stands_and_is_the_sessions_afterwards(portal: APIFlask) -> None:
    with transaction():
        clock = a_clock()
        store(clock)
        clock.warn = 3
        assert session.scalar(select(StoredClock.warn).where(StoredClock.subject == clock.subject)) == 3
        assert [one.clock_id for one in clock.events] == [clock.id, clock.id]
        clock.warn = 4
        clock.events.append(ClockEvent(event=EventKind.STOP, at=AT, by="某人", key="k"))
    session.remove()
    again = session.scalars(select(StoredClock)).one()
    assert (again.warn, [one.event for one in again.events]) == (4, [EventKind.START, EventKind.END, EventKind.STOP])
    assert (again.ended_at, again.events[0].reason) == (None, "")


def test_a_stored_record_that_the_session_takes_first_is_written_once(portal: APIFlask) -> None:
    with transaction():
        clock = a_clock()
        store(clock)
        session.add(clock)
    assert session.scalar(select(func.count()).select_from(StoredClock)) == 1
    assert session.scalar(select(func.count()).select_from(ClockEvent)) == 2


def test_records_are_those_that_the_session_would_load(project: str) -> None:
    found = BY_CODE.first(code=project)
    assert found is not None
    assert found is session.scalars(select(Project).where(Project.code == project)).one()
    values = {one.key: getattr(found, one.key) for one in Project.__mapper__.column_attrs}
    owner = found.organisation
    session.remove()
    loaded = session.scalars(select(Project).where(Project.code == project)).one()
    assert values == {name: getattr(loaded, name) for name in values}
    assert owner.name == loaded.organisation.name
    assert loaded.registered_at.tzinfo is UTC
    assert BY_CODE.first(code="none") is None


def test_a_loaded_record_keeps_what_was_changed_and_is_written(project: str) -> None:
    with transaction():
        found = BY_CODE.first(code=project)
        assert found is not None
        found.address = "新址"
        again = HELD.first(code=project)
        assert again is found
        assert again.address == "新址"
    session.remove()
    assert session.scalar(select(Project.address)) == "新址"


def test_held_records_are_as_the_database_has_them(project: str) -> None:
    with transaction() as current:
        found = BY_CODE.first(code=project)
        assert found is not None
        current.connection().exec_driver_sql("UPDATE projects SET name = '改名'")
        assert BY_CODE.first(code=project).name == "某项目"  # type: ignore[union-attr]
        assert HELD.first(code=project).name == "改名"  # type: ignore[union-attr]


def test_days_and_documents_come_as_records_give_them(portal: APIFlask) -> None:
    rows = Statement(select(bindparam("day", date(2026, 3, 2)).label("day"))).ask()
    assert rows[0].day == date(2026, 3, 2)
    with transaction():
        put("one")
    payload = Statement(select(OutboxRow.payload)).first()
    assert payload.payload == {"a": "甲"}


def test_a_lost_connection_is_told_as_such_and_the_next_question_gets_another(portal: APIFlask) -> None:
    ask = Statement(select(func.pg_backend_pid().label("pid")))
    pid = ask.first().pid
    with pytest.raises(OperationalError):
        Statement(select(func.pg_terminate_backend(bindparam("pid", pid)))).ask()
    session.rollback()
    assert ask.first().pid != pid


def test_a_list_of_changing_length_is_refused(portal: APIFlask) -> None:
    with pytest.raises(ValueError, match="any_"):
        Statement(select(OutboxRow.id).where(OutboxRow.topic.in_(["a", "b"]))).ask()
