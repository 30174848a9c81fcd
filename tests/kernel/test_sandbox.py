"""The sandbox's clock (issue "Sandbox clock", requirement D1)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, text

from kernel import clock, jobs, sandbox
from kernel.accounts import Person, passwords, register_person
from kernel.clock import BadDuration, NaiveInstant, instants
from kernel.db import session, transaction
from kernel.sandbox import ClockNeverBack, ClockRequestUnclear, ClockTooFar, SandboxClock

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def began(portal: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Legal time begins at 2026-03-02 09:00, and nothing of the product's own falls due."""
    monkeypatch.setattr(jobs, "_sources", [])
    monkeypatch.setattr(instants, "_source", sandbox.legal_now)
    with transaction():
        session.execute(delete(SandboxClock))
        sandbox.start_at(START)


def near(instant: datetime, expected: datetime) -> bool:
    return expected <= instant < expected + timedelta(seconds=30)


def test_legal_time_begins_where_the_demo_says(began: None) -> None:
    assert near(clock.now(), START)
    assert clock.now().utcoffset() == timedelta(0)


def test_beginning_again_changes_nothing(began: None) -> None:
    with transaction():
        assert not sandbox.start_at(START + timedelta(days=9))
    assert near(clock.now(), START)


def test_without_an_offset_legal_time_is_the_servers(portal: Flask) -> None:
    with transaction():
        session.execute(delete(SandboxClock))
    assert abs(sandbox.legal_now() - clock.machine()) < timedelta(seconds=5)


def test_forward_moves_legal_time_and_leaves_machine_time(began: None) -> None:
    before = clock.machine()
    moved = sandbox.forward(timedelta(days=7))
    assert near(moved.now, START + timedelta(days=7))
    assert near(clock.now(), START + timedelta(days=7))
    assert clock.machine() - before < timedelta(seconds=30)


def test_every_session_sees_the_same_legal_time(began: None) -> None:
    sandbox.move_to(START + timedelta(days=30))
    with transaction():
        seen = session.execute(text("SELECT portal_now()")).scalar_one()
    assert near(seen, START + timedelta(days=30))


def test_clock_never_goes_back(began: None) -> None:
    with pytest.raises(ClockNeverBack):
        sandbox.move_to(START - SECOND)
    with pytest.raises(ClockNeverBack):
        sandbox.forward(-SECOND)
    assert near(clock.now(), START)


def test_one_move_goes_a_year_at_most(began: None) -> None:
    with pytest.raises(ClockTooFar):
        sandbox.forward(timedelta(days=366, seconds=1))
    assert near(clock.now(), START)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"forward": "7 days"}, BadDuration),
        ({"to": "2026-03-09T09:00:00"}, NaiveInstant),
        ({"to": "next week"}, ClockRequestUnclear),
        ({"to": "9999-12-31T23:59:59+00:00"}, ClockTooFar),
        ({"to": "0001-01-01T00:00:00+14:00"}, ClockNeverBack),
        ({"forward": 7}, ClockRequestUnclear),
        ({}, ClockRequestUnclear),
        ({"forward": "P1D", "to": "2026-03-09T09:00:00+08:00"}, ClockRequestUnclear),
        ({"back": "P1D"}, ClockRequestUnclear),
        ([], ClockRequestUnclear),
        (None, ClockRequestUnclear),
    ],
)
def test_unclear_request_is_refused_by_name(began: None, request_: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        sandbox.move(request_)
    assert near(clock.now(), START)


def test_answer_speaks_of_legal_time_in_china(began: None) -> None:
    answer = sandbox.move({"to": "2026-03-09T09:00:00+08:00"}).json()
    assert answer["now"].startswith("2026-03-09T09:00:")
    assert answer["now"].endswith("+08:00")
    assert answer["acts"] == 0


def test_due_acts_are_applied_in_order_with_their_own_instants(began: None) -> None:
    """One act makes the next one due: both are done when the move answers."""
    waiting = {
        "first": START + timedelta(days=2),
        "third": START + timedelta(days=5),
        "late": START + timedelta(days=9),
    }
    applied: list[tuple[str, datetime]] = []

    def find(until: datetime, most: int) -> list[tuple[datetime, str]]:
        return [(at, key) for key, at in sorted(waiting.items(), key=lambda item: item[1]) if at <= until][:most]

    def apply(key: str, at: datetime) -> None:
        del waiting[key]
        applied.append((key, at))
        if key == "first":
            waiting["second"] = at + timedelta(days=1)

    jobs.register(jobs.Source("test", find, apply))
    moved = sandbox.forward(timedelta(days=7))
    assert [key for key, _ in applied] == ["first", "second", "third"]
    assert [at - START for _, at in applied] == [timedelta(days=2), timedelta(days=3), timedelta(days=5)]
    assert moved.acts == 3
    assert set(waiting) == {"late"}


def test_second_mover_waits_until_the_first_is_at_rest(began: None, portal: Flask) -> None:
    begun, may_end = threading.Event(), threading.Event()
    waiting = {"slow": START + timedelta(hours=1)}

    def find(until: datetime, most: int) -> list[tuple[datetime, str]]:
        return [(at, key) for key, at in waiting.items() if at <= until]

    def apply(key: str, at: datetime) -> None:
        begun.set()
        may_end.wait(10)
        waiting.pop(key, None)

    def move() -> None:
        with portal.app_context():
            sandbox.forward(timedelta(days=1))
            session.remove()

    jobs.register(jobs.Source("test", find, apply))
    first, second = threading.Thread(target=move), threading.Thread(target=move)
    first.start()
    assert begun.wait(10)
    second.start()
    second.join(0.5)
    still = clock.now()
    may_end.set()
    first.join()
    second.join()
    session.rollback()
    assert near(still, START + timedelta(days=1))
    assert near(clock.now(), START + timedelta(days=2))


def test_reading_asks_the_database_once_and_writing_each_time(began: None) -> None:
    session.rollback()
    clock.now()
    with_cache = session().info[sandbox._AHEAD]
    clock.now()
    assert session().info[sandbox._AHEAD] is with_cache
    with transaction():
        assert sandbox._AHEAD not in session().info
        clock.now()
        assert sandbox._AHEAD not in session().info


def test_demo_accounts_are_those_announced_and_open(portal: Flask) -> None:
    with transaction():
        for login in ("demo.one", "demo.two", "real.person"):
            passwords.set_password(register_person(login, login), "Correct-Horse-42")
        sandbox.announce("demo.two", "Correct-Horse-42")
        sandbox.announce("demo.one", "Correct-Horse-42")
    shown = sandbox.demo_accounts()
    assert [(entry.login, entry.password) for entry in shown] == [
        ("demo.two", "Correct-Horse-42"),
        ("demo.one", "Correct-Horse-42"),
    ]
    with transaction():
        assert sandbox.sign_in_demo("real.person") is None
        assert isinstance(sandbox.sign_in_demo("demo.one"), Person)
