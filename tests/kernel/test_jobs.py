"""The one due-loop: in order, once, whoever fails (life-cycles §5, first line; architecture, "A tick")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from apiflask import APIFlask

from kernel import clock, jobs, outbox
from kernel.db import transaction
from kernel.jobs import Source

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def hours(count: int) -> datetime:
    return START + timedelta(hours=count)


class Desk:
    """A source that holds due things in memory and notes what was done."""

    def __init__(self, kind: str, due: dict[str, datetime], done: list[tuple[str, str, datetime]]) -> None:
        self.kind, self.due, self.done = kind, due, done
        self.also: Callable[[str], None] = lambda key: None

    def find(self, until: datetime, most: int) -> list[tuple[datetime, str]]:
        return sorted((at, key) for key, at in self.due.items() if at <= until)[:most]

    def apply(self, key: str, at: datetime) -> None:
        self.also(key)
        self.done.append((self.kind, key, at))
        del self.due[key]

    @property
    def source(self) -> Source:
        return Source(self.kind, self.find, self.apply)


@pytest.fixture(autouse=True)
def _alone(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_sources", [])


def test_sources_are_merged_by_legal_instant() -> None:
    done: list[tuple[str, str, datetime]] = []
    a, b = Desk("a", {"1": hours(3), "2": hours(1)}, done), Desk("b", {"3": hours(2)}, done)
    jobs.register(a.source, b.source)
    assert jobs.run_due(hours(9)) == 3
    assert done == [("a", "2", hours(1)), ("b", "3", hours(2)), ("a", "1", hours(3))]


def test_nothing_happens_before_its_time() -> None:
    done: list[tuple[str, str, datetime]] = []
    jobs.register(Desk("a", {"1": hours(2)}, done).source)
    assert jobs.run_due(hours(2) - timedelta(microseconds=1)) == 0
    assert jobs.run_due(hours(2)) == 1
    assert jobs.run_due(hours(9)) == 0


def test_limit_is_legal_time_unless_named() -> None:
    done: list[tuple[str, str, datetime]] = []
    now = clock.now()
    jobs.register(Desk("a", {"past": now - timedelta(hours=1), "future": now + timedelta(hours=1)}, done).source)
    assert jobs.run_due() == 1
    assert [key for _, key, _ in done] == ["past"]


def test_act_may_bring_about_the_next_one_or_take_it_away() -> None:
    done: list[tuple[str, str, datetime]] = []
    desk = Desk("a", {"1": hours(1), "taken away": hours(3)}, done)

    def effects(key: str) -> None:
        if key == "1":
            desk.due["brought about"] = hours(2)
            del desk.due["taken away"]

    desk.also = effects
    jobs.register(desk.source)
    assert jobs.run_due(hours(9)) == 2
    assert [key for _, key, _ in done] == ["1", "brought about"]


def test_failing_act_is_undone_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    done: list[tuple[str, str, datetime]] = []
    desk = Desk("a", {"1": hours(1), "bad": hours(2), "3": hours(3)}, done)

    def fail(key: str) -> None:
        outbox.put("trial", f"trial:{key}")
        if key == "bad":
            raise RuntimeError("broken")

    desk.also = fail
    jobs.register(desk.source)
    assert jobs.run_due(hours(9)) == 2
    assert [key for _, key, _ in done] == ["1", "3"]
    assert outbox.waiting("trial") == 2
    assert "bad" in caplog.text
    desk.also = lambda key: None
    assert jobs.run_due(hours(9)) == 1


def test_many_failing_acts_hide_nothing_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BATCH", 3)
    monkeypatch.setattr(jobs.log, "exception", lambda *args: None)
    done: list[tuple[str, str, datetime]] = []
    desk = Desk("a", {f"bad {n}": hours(1) for n in range(7)} | {"good": hours(2)}, done)

    def fail(key: str) -> None:
        if key.startswith("bad"):
            raise RuntimeError("broken")

    desk.also = fail
    jobs.register(desk.source)
    assert jobs.run_due(hours(9)) == 1
    assert [key for _, key, _ in done] == ["good"]


def test_each_act_has_a_transaction_of_its_own() -> None:
    done: list[tuple[str, str, datetime]] = []
    desk = Desk("a", {"1": hours(1), "2": hours(2)}, done)
    seen: list[int] = []

    def effects(key: str) -> None:
        seen.append(outbox.waiting("trial"))
        outbox.put("trial", f"trial:{key}")

    desk.also = effects
    jobs.register(desk.source)
    jobs.run_due(hours(9))
    assert seen == [0, 1]
    with transaction():
        assert outbox.waiting("trial") == 2
