"""Journey 12: green, amber and red at every threshold, by the word as well as the colour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from kernel import clock
from tests.journeys.clerk import SUNLIGHT, Clerk
from tests.journeys.person import MODES, Mode, Person

pytestmark = pytest.mark.journey
WORDS = {"green": "绿灯", "amber": "黄灯", "red": "红灯"}
#: The last days of a limit, the due day included, that are amber.
WARN = 2


def _after(start: date, working_days: int) -> date:
    day = start
    while working_days:
        day += timedelta(1)
        working_days -= clock.china().is_working_day(day)
    return day


def _follow(person: Person, clerk: Clerk, address: str, box: str, limit: int) -> None:
    """From the day of the start to the day after the due day; three colours and three words are seen."""
    start = clerk.now().date()
    colours: dict[str, str] = {}
    for used in (0, limit - WARN - 1, limit - WARN, limit, limit + 1):
        clerk.go_to(_after(start, used))
        person.open(address)
        shown = person.page.locator(".clock").filter(has=person.page.get_by_role("heading", name=box)).first
        light = shown.locator(".light")
        expected = "green" if limit - used > WARN else "amber" if used <= limit else "red"
        left = limit - used
        assert WORDS[expected] in light.inner_text(), f"{used} of {limit} used: {light.inner_text()}"
        text = f"剩余 {left} 个工作日" if left >= 0 else f"已逾期 {-left} 个工作日"
        assert shown.locator(".left").inner_text() == text
        colours.setdefault(
            expected,
            light.evaluate(
                "e => getComputedStyle(e).backgroundColor + getComputedStyle(e).color + getComputedStyle(e, '::before').backgroundColor"
            ),
        )
    assert len(set(colours.values())) == 3, colours


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_service_turns_green_amber_red(mode: Mode, person: Callable[..., Person], clerk: Clerk) -> None:
    clerk.go_to(_after(clerk.now().date(), 1))
    number = clerk.started(clerk.project(), SUNLIGHT)
    agency = person(mode, SUNLIGHT.login)
    _follow(agency, clerk, f"/commissions/{number}", "服务时限", 6)
    agency.open("/commissions")
    row = agency.page.locator("main tbody tr", has_text=number)
    assert "红灯" in row.inner_text()
    supervisor = person(mode, "supervisor")
    supervisor.press("首页")
    # The first page is bounded and may be full of older reds; the list holds every one.
    assert "红灯" in supervisor.page.locator("main tbody").first.inner_text()
    supervisor.open("/commissions")
    assert "红灯" in supervisor.page.locator("main tbody tr", has_text=number).inner_text()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_matter_turns_green_amber_red(mode: Mode, person: Callable[..., Person], clerk: Clerk) -> None:
    clerk.go_to(_after(clerk.now().date(), 1))
    number = clerk.begun(clerk.project())
    approver = person(mode, "approver4")
    _follow(approver, clerk, f"/matters/{number}", "承诺", 7)
    approver.open("/matters")
    assert "红灯" in approver.page.locator("main tbody tr", has_text=number).inner_text()
