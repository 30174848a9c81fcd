"""Legal time, machine time, dates of Asia/Shanghai and durations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from kernel import clock


@pytest.fixture(autouse=True)
def machine_time() -> Iterator[None]:
    yield
    clock.set_source(None)


def test_both_clocks_are_aware_and_in_utc() -> None:
    assert clock.now().tzinfo is UTC
    assert clock.machine().tzinfo is UTC


def test_the_sandbox_moves_legal_time_only() -> None:
    fixed = datetime(2026, 3, 2, 1, tzinfo=UTC)
    clock.set_source(lambda: fixed)
    assert clock.now() == fixed
    assert clock.today() == date(2026, 3, 2)
    assert clock.machine() != fixed
    clock.set_source(None)
    assert clock.now() != fixed


def test_an_instant_without_zone_is_refused() -> None:
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001
    with pytest.raises(clock.NaiveInstant):
        clock.local_date(naive)
    clock.set_source(lambda: naive)
    with pytest.raises(clock.NaiveInstant):
        clock.now()


def test_a_legal_day_begins_at_midnight_in_shanghai() -> None:
    begins = clock.instant_of(date(2024, 3, 19))
    assert begins == datetime(2024, 3, 18, 16, tzinfo=UTC)
    assert begins.tzinfo is UTC
    assert clock.local_date(begins) == date(2024, 3, 19)
    assert clock.local_date(begins - timedelta(microseconds=1)) == date(2024, 3, 18)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P7D", timedelta(days=7)),
        ("PT1H", timedelta(hours=1)),
        ("P2W", timedelta(weeks=2)),
        ("P1DT12H30M5S", timedelta(days=1, hours=12, minutes=30, seconds=5)),
        ("P0D", timedelta(0)),
    ],
)
def test_durations_are_read(text: str, length: timedelta) -> None:
    assert clock.parse_duration(text) == length


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P7", "7D", "-P7D", "P-7D", "P1Y", "P1M", "P1DT", "PT5", "P1.5D", "P７D", "P7D ", "P999999W", None],
)
def test_other_durations_are_refused_by_name(text: str) -> None:
    with pytest.raises(clock.BadDuration):
        clock.parse_duration(text)
