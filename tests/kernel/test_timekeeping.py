"""Stored clocks: events stored, light derived, each edge recorded once with its legal instant (D1, life-cycles §1)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from apiflask import APIFlask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from kernel import clock, jobs, policies, timekeeping, trail
from kernel.clock import SHANGHAI, Light, Unit
from kernel.db import session, transaction
from kernel.jobs import Source
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import SYSTEM

SUBJECT = "matter:TRIAL"


@pytest.fixture(autouse=True)
def _alone(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody subscribes, and clocks are all that falls due."""
    monkeypatch.setattr(trail, "_subscribers", {})
    monkeypatch.setattr(jobs, "_sources", [Source("clock.edge", timekeeping.due, timekeeping.act_on_edge)])


def at(day: str, hour: int = 9) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=SHANGHAI)


def midnight(day: str) -> datetime:
    return clock.instant_of(date.fromisoformat(day))


def started(day: str = "2024-03-04", *, limit: int = 10, warn: int = 2, subject: str = SUBJECT) -> StoredClock:
    """The fixed case of life-cycles §1: ten working days from Monday 2024-03-04, warned at two."""
    return timekeeping.start(
        subject,
        ClockKind.PROMISED,
        unit=Unit.WORKING_DAY,
        limit=limit,
        warn=warn,
        policy=policies.current("service_clock"),
        by=SYSTEM,
        at=at(day),
    )


def edges(subject: str = SUBJECT) -> list[tuple[str, datetime]]:
    return [(act.act, act.at) for act in trail.of(subject)]


def light_on(day: str) -> Light:
    (stored,) = session.scalars(select(StoredClock))
    return timekeeping.reading(stored, now=at(day)).light


def test_events_alone_are_stored() -> None:
    with transaction():
        stored = started()
        timekeeping.stop(stored, "correction:1", by=SYSTEM, reason="缺图纸", at=at("2024-03-06"))
        timekeeping.go(stored, "correction:1", by=SYSTEM, at=at("2024-03-13"))
        timekeeping.extend(stored, 3, by=SYSTEM, reason="方案变更", at=at("2024-03-14"))
        timekeeping.end(stored, by=SYSTEM, at=at("2024-03-20"))
    assert [(e.event.value, e.key, e.days, e.reason) for e in stored.events] == [
        ("start", None, None, ""),
        ("stop", "correction:1", None, "缺图纸"),
        ("go", "correction:1", None, ""),
        ("extend", None, 3, "方案变更"),
        ("end", None, None, ""),
    ]
    assert not {"used", "left", "due"} & set(StoredClock.__table__.columns.keys())


def test_rule_and_calendar_followed_are_kept_with_the_clock() -> None:
    with transaction():
        stored = started()
    assert stored.policy == policies.current("service_clock").version
    assert stored.calendar == clock.china().version


@pytest.mark.parametrize(
    ("day", "light"),
    [
        ("2024-03-04", Light.GREEN),
        ("2024-03-13", Light.GREEN),
        ("2024-03-14", Light.AMBER),
        ("2024-03-18", Light.AMBER),
        ("2024-03-19", Light.RED),
        ("2024-04-02", Light.RED),
    ],
)
def test_lights_of_the_fixed_case(day: str, light: Light) -> None:
    """Journey 12: amber with two days left, the due day itself is not overdue, the next midnight is."""
    with transaction():
        started()
    assert light_on(day) is light


def test_edges_are_recorded_on_their_days_and_not_before() -> None:
    with transaction():
        started()
    second = timedelta(seconds=1)
    for until, wanted in [
        (midnight("2024-03-14") - second, []),
        (midnight("2024-03-14"), ["matter.light.amber"]),
        (midnight("2024-03-19") - second, ["matter.light.amber"]),
        (midnight("2024-03-19"), ["matter.light.amber", "matter.light.red"]),
        (midnight("2024-06-01"), ["matter.light.amber", "matter.light.red"]),
    ]:
        jobs.run_due(until)
        assert [act for act, _ in edges()] == wanted


def test_catching_up_after_downtime_stamps_legal_instants_in_order() -> None:
    with transaction():
        started()
        started("2024-03-05", subject="matter:OTHER")
    assert jobs.run_due(at("2024-05-20")) == 4
    assert edges() == [
        ("matter.light.amber", midnight("2024-03-14")),
        ("matter.light.red", midnight("2024-03-19")),
    ]
    written = [(act.subject, act.at) for act in trail.everything_unscoped()]
    assert written == [
        (SUBJECT, midnight("2024-03-14")),
        ("matter:OTHER", midnight("2024-03-15")),
        (SUBJECT, midnight("2024-03-19")),
        ("matter:OTHER", midnight("2024-03-20")),
    ]
    assert {act.organisation for act in trail.of(SUBJECT)} == {trail.CLOCK.organisation}


def test_running_twice_records_an_edge_once() -> None:
    with transaction():
        started()
    until = at("2024-05-20")
    assert (jobs.run_due(until), jobs.run_due(until)) == (2, 0)
    assert len(edges()) == 2


def test_four_runners_at_once_record_an_edge_once(portal: APIFlask) -> None:
    with transaction():
        for number in range(5):
            started(subject=f"matter:T{number}")
    barrier = threading.Barrier(4)
    faults: list[BaseException] = []

    def run() -> None:
        try:
            with portal.app_context():
                barrier.wait(20)
                jobs.run_due(at("2024-05-20"))
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    for number in range(5):
        assert [act for act, _ in edges(f"matter:T{number}")] == ["matter.light.amber", "matter.light.red"]


def test_edge_overtaken_by_a_pause_is_not_recorded() -> None:
    """The loop found the edge, then somebody paused the clock: the act sees that it is no longer due."""
    with transaction():
        started()
    ((due, key),) = timekeeping.due(midnight("2024-03-14"), 10)
    with transaction():
        (stored,) = session.scalars(select(StoredClock))
        timekeeping.stop(stored, "correction:1", by=SYSTEM, at=at("2024-03-13"))
    with transaction():
        timekeeping.act_on_edge(key, due)
    assert edges() == []


def test_pause_stops_the_edges_and_going_on_moves_them() -> None:
    """Correction asked 03-06, supplied 03-13 → due 03-26, amber two working days before its end."""
    with transaction():
        stored = started()
        timekeeping.stop(stored, "correction:1", by=SYSTEM, at=at("2024-03-06"))
    assert stored.next_check_at is None
    assert light_on("2024-03-08") is Light.BLUE
    assert jobs.run_due(at("2024-03-12")) == 0
    with transaction():
        (stored,) = session.scalars(select(StoredClock))
        timekeeping.go(stored, "correction:1", by=SYSTEM, at=at("2024-03-13"))
    jobs.run_due(at("2024-06-01"))
    assert edges() == [
        ("matter.light.amber", midnight("2024-03-22")),
        ("matter.light.red", midnight("2024-03-27")),
    ]


def test_overlapping_pauses_are_united() -> None:
    with transaction():
        stored = started()
        timekeeping.stop(stored, "correction:1", by=SYSTEM, at=at("2024-03-06"))
        timekeeping.stop(stored, "special:publicity:1", by=SYSTEM, at=at("2024-03-08"))
        timekeeping.go(stored, "correction:1", by=SYSTEM, at=at("2024-03-13"))
        timekeeping.go(stored, "special:publicity:1", by=SYSTEM, at=at("2024-03-18"))
    assert timekeeping.reading(stored, now=at("2024-03-19")).due == date(2024, 3, 29)


def test_extension_turns_the_light_back_and_is_warned_again() -> None:
    with transaction():
        started()
    jobs.run_due(at("2024-03-14"))
    with transaction():
        (stored,) = session.scalars(select(StoredClock))
        timekeeping.extend(stored, 5, by=SYSTEM, reason="方案变更", at=at("2024-03-15"))
    assert stored.light is Light.GREEN
    jobs.run_due(at("2024-06-01"))
    assert [act for act, _ in edges()] == ["matter.light.amber", "matter.light.amber", "matter.light.red"]


def test_ended_clock_changes_no_more() -> None:
    with transaction():
        stored = started()
        timekeeping.end(stored, by=SYSTEM, at=at("2024-03-12"))
    assert stored.next_check_at is None
    assert jobs.run_due(at("2024-06-01")) == 0
    assert light_on("2024-06-01") is Light.DONE
    assert timekeeping.running(SUBJECT, ClockKind.PROMISED) is None
    assert timekeeping.latest(SUBJECT, ClockKind.PROMISED) is not None


def test_second_running_clock_of_a_kind_is_refused() -> None:
    with transaction():
        started()
    with pytest.raises(IntegrityError), transaction():
        started()
    assert len(session.scalars(select(StoredClock)).all()) == 1


def test_next_clock_of_a_kind_starts_after_the_end_of_the_first() -> None:
    with transaction():
        first = started()
        timekeeping.end_all(SUBJECT, by=SYSTEM, at=at("2024-03-12"))
        second = started("2024-03-12")
    assert timekeeping.running(SUBJECT, ClockKind.PROMISED) is second
    assert first.id != second.id


def test_clocks_of_several_kinds_run_over_one_subject() -> None:
    with transaction():
        started()
        timekeeping.start(
            SUBJECT,
            ClockKind.STATUTORY,
            unit=Unit.WORKING_DAY,
            limit=20,
            warn=2,
            policy=policies.current("service_clock"),
            by=SYSTEM,
            at=at("2024-03-04"),
        )
        timekeeping.end_all(SUBJECT, by=SYSTEM, at=at("2024-03-12"))
    assert all(stored.ended_at for stored in session.scalars(select(StoredClock)))


@pytest.fixture
def together(portal: APIFlask) -> Callable[[int, Callable[[], None]], list[BaseException]]:
    def run(count: int, act: Callable[[], None]) -> list[BaseException]:
        barrier = threading.Barrier(count)
        faults: list[BaseException] = []

        def one() -> None:
            try:
                with portal.app_context():
                    barrier.wait(20)
                    with transaction():
                        act()
            except BaseException as fault:
                faults.append(fault)

        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return faults

    return run


def test_of_eight_who_start_at_once_one_does(
    together: Callable[[int, Callable[[], None]], list[BaseException]],
) -> None:
    faults = together(8, lambda: started() and None)
    assert [type(fault) for fault in faults] == [IntegrityError] * 7
    assert len(session.scalars(select(StoredClock)).all()) == 1
