"""The official working days of China (life-cycles §1(8)).

Monday to Friday is wrong in both directions, because notices move holidays and make up for them. The notices are
data (``data/china.json``: per year its notice, days off and make-up working days). A year without a notice counts
weekends and the statutory holidays of fixed date only (New Year's Day, Labour Day, National Day; those of the lunar
calendar cannot be known), and everything read from it is *provisional*.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, date
from functools import cache
from pathlib import Path
from typing import Any

from kernel.clock.faults import BadCalendar, CalendarEnds

#: Statutory holidays of fixed date, as the regulation stands since 2025.
FIXED = {(1, 1): "元旦", (5, 1): "劳动节", (5, 2): "劳动节", (10, 1): "国庆节", (10, 2): "国庆节", (10, 3): "国庆节"}

ENGLISH = {
    "元旦": "New Year's Day",
    "春节": "Spring Festival",
    "清明节": "Tomb-Sweeping Day",
    "劳动节": "Labour Day",
    "端午节": "Dragon Boat Festival",
    "中秋节": "Mid-Autumn Festival",
    "国庆节": "National Day",
    "中国人民抗日战争暨世界反法西斯战争胜利70周年纪念日": "70th anniversary of victory in the war of resistance",
}
_WEEKDAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
_ENGLISH_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A day that is not what its weekday says, or lies in a holiday: does it work, and which holiday's is it?"""

    works: bool
    name: str


@dataclass(frozen=True, slots=True)
class Year:
    """One year as announced: the notice's title, its number (None if not on file) and its days."""

    title: str
    number: str | None
    days: Mapping[date, Arrangement]


class Calendar:
    """Which days work, and why. Immutable; a new notice makes a new calendar with a new ``version``."""

    def __init__(self, version: str, years: Mapping[int, Year]) -> None:
        self.version = version
        self.years = dict(years)
        self._working: dict[int, list[int]] = {}

    @classmethod
    def from_json(cls, text: str) -> Calendar:
        """Read ``{"version", "years": {"2024": {"title", "number", "off": {name: ["MM-DD"]}, "work": {…}}}}``.

        Raises:
            BadCalendar: a member is missing, a date does not exist, or a day is named twice.
        """
        try:
            content = json.loads(text)
            return cls(
                str(content["version"]), {int(year): _year(int(year), raw) for year, raw in content["years"].items()}
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise BadCalendar(reason=f"{type(problem).__name__} {problem}") from problem

    def with_year(self, version: str, year: int, announced: Year) -> Calendar:
        """This calendar with ``year`` announced (or corrected), under a new version."""
        return Calendar(version, {**self.years, year: announced})

    def is_provisional(self, day: date) -> bool:
        """Whether the arrangements for the year of ``day`` have not been announced."""
        return day.year not in self.years

    def is_working_day(self, day: date) -> bool:
        """Whether ``day`` is a working day, make-up working days included."""
        exception = self._exception(day)
        return day.weekday() < 5 if exception is None else exception.works

    def why(self, day: date, language: str = "zh") -> str:
        """One phrase that says why ``day`` works or not, with the notice it rests on."""
        exception = self._exception(day)
        english = language == "en"
        if exception is None:
            works = day.weekday() < 5
            if english:
                text = f"{_ENGLISH_WEEKDAYS[day.weekday()]}, a {'working' if works else 'rest'} day"
            else:
                text = f"{_WEEKDAYS[day.weekday()]}，{'工作日' if works else '休息日'}"
        elif english:
            name = ENGLISH.get(exception.name, exception.name)
            text = f"working day made up for {name}" if exception.works else f"{name} holiday"
        else:
            text = f"{exception.name}{'调休，当日上班' if exception.works else '放假'}"
        if self.is_provisional(day):
            return text + (" (provisional: not yet announced)" if english else "（暂定，该年度放假安排尚未公布）")
        notice = None if exception is None else self.notice(day)
        return text if notice is None else text + (f" ({notice})" if english else f"（{notice}）")

    def notice(self, day: date) -> str | None:
        """The number (or, failing that, the title) of the notice that arranges ``day``; None if unannounced."""
        exception = self._exception(day)
        # The last days of December belong to the coming New Year's Day and thereby to the coming year's notice.
        ahead = day.month == 12 and exception is not None and exception.name == "元旦"
        announced = self.years.get(day.year + 1 if ahead else day.year)
        return None if announced is None else announced.number or announced.title

    def working_days(self, first: date, last: date) -> int:
        """How many working days lie from ``first`` to ``last``, both included; 0 if ``last`` is earlier."""
        if last < first:
            return 0
        below, above = first.toordinal(), last.toordinal()
        if first.year == last.year:
            days = self._days(first.year)
            return bisect_right(days, above) - bisect_left(days, below)
        opening, closing = self._days(first.year), self._days(last.year)
        between = sum(len(self._days(year)) for year in range(first.year + 1, last.year))
        return len(opening) - bisect_left(opening, below) + between + bisect_right(closing, above)

    def nth_working_day(self, after: date, count: int) -> date:
        """The ``count``-th working day after ``after``, which is not counted itself; ``count`` is at least 1.

        Raises:
            CalendarEnds: it would lie beyond the last year a date can have.
        """
        days = self._days(after.year)
        position = bisect_right(days, after.toordinal()) + count - 1
        year = after.year
        while position >= len(days):
            position -= len(days)
            year += 1
            if year > MAXYEAR:
                raise CalendarEnds
            days = self._days(year)
        return date.fromordinal(days[position])

    def _exception(self, day: date) -> Arrangement | None:
        announced = self.years.get(day.year)
        if announced is not None:
            return announced.days.get(day)
        name = FIXED.get((day.month, day.day))
        return None if name is None else Arrangement(works=False, name=name)

    def _days(self, year: int) -> list[int]:
        """The working days of ``year`` as ordinals, ascending; computed once, so that counting is a bisection."""
        days = self._working.get(year)
        if days is None:
            first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
            days = [n for n in range(first, last + 1) if self.is_working_day(date.fromordinal(n))]
            self._working[year] = days
        return days


def _year(year: int, raw: Mapping[str, Any]) -> Year:
    days: dict[date, Arrangement] = {}
    for member, works in (("off", False), ("work", True)):
        for name, entries in raw[member].items():
            for entry in entries:
                day = date.fromisoformat(f"{year}-{entry}")
                if day in days:
                    raise ValueError(f"{day} twice")
                days[day] = Arrangement(works=works, name=name)
    return Year(title=raw["title"], number=raw["number"], days=days)


@cache
def china() -> Calendar:
    """The calendar that is delivered with the portal."""
    return Calendar.from_json((Path(__file__).parent / "data" / "china.json").read_text(encoding="utf-8"))


def add_months(day: date, months: int) -> date:
    """``day`` moved by whole months, clamped to the month's end (31 January + 1 month is 28 or 29 February).

    Raises:
        CalendarEnds: it would lie beyond the last year a date can have.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > MAXYEAR:
        raise CalendarEnds
    last = monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))
