"""The calendar of working days (life-cycles §1(8))."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import chinese_calendar
import pytest

from kernel.clock.calendar import Arrangement, Calendar, Year, add_months, china
from kernel.clock.faults import BadCalendar, CalendarEnds


def every_day(first: int, last: int) -> list[date]:
    start = date(first, 1, 1)
    return [start + timedelta(days=n) for n in range((date(last, 12, 31) - start).days + 1)]


def test_every_announced_day_agrees_with_the_independent_source() -> None:
    differing = [
        day for day in every_day(2004, 2026) if china().is_working_day(day) != chinese_calendar.is_workday(day)
    ]
    assert differing == []


def test_the_running_portal_does_not_import_the_development_source() -> None:
    code = "import sys, kernel.clock as c; c.china(); sys.exit('chinese_calendar' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize(
    ("after", "count", "expected"),
    [(date(2024, 9, 27), 12, date(2024, 10, 18)), (date(2024, 2, 1), 5, date(2024, 2, 7))],
)
def test_holidays_and_make_up_days_move_a_term_both_ways(after: date, count: int, expected: date) -> None:
    assert china().nth_working_day(after, count) == expected


def test_a_make_up_sunday_works_and_a_moved_weekday_does_not() -> None:
    assert china().is_working_day(date(2024, 9, 29))
    assert not china().is_working_day(date(2024, 10, 4))


def test_counting_agrees_with_looking_at_each_day() -> None:
    for first, last in [
        (date(2024, 1, 1), date(2024, 1, 1)),
        (date(2024, 2, 3), date(2024, 2, 19)),
        (date(2023, 12, 28), date(2027, 1, 5)),
        (date(2025, 12, 31), date(2026, 1, 5)),
    ]:
        span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        assert china().working_days(first, last) == sum(map(china().is_working_day, span))
    assert china().working_days(date(2024, 1, 2), date(2024, 1, 1)) == 0


def test_a_year_not_yet_announced_is_provisional_and_knows_fixed_holidays_only() -> None:
    calendar = china()
    assert not calendar.is_provisional(date(2026, 12, 31))
    assert calendar.is_provisional(date(2027, 1, 1))
    off = [day for day in every_day(2027, 2027) if day.weekday() < 5 and not calendar.is_working_day(day)]
    assert off == [date(2027, 1, 1), date(2027, 10, 1)]
    assert calendar.is_working_day(date(2027, 2, 8))  # Spring Festival 2027, not known before its notice
    assert not calendar.is_working_day(date(2028, 5, 1))
    assert not any(calendar.is_working_day(day) for day in every_day(2027, 2030) if day.weekday() > 4)


@pytest.mark.parametrize(
    ("day", "zh", "en"),
    [
        (date(2024, 3, 5), "星期二，工作日", "Tuesday, a working day"),
        (date(2024, 3, 9), "星期六，休息日", "Saturday, a rest day"),
        (date(2024, 10, 4), "国庆节放假（国办发明电〔2023〕7号）", "National Day holiday (国办发明电〔2023〕7号)"),
        (
            date(2024, 9, 29),
            "国庆节调休，当日上班（国办发明电〔2023〕7号）",
            "working day made up for National Day (国办发明电〔2023〕7号)",
        ),
        (
            date(2027, 1, 1),
            "元旦放假（暂定，该年度放假安排尚未公布）",
            "New Year's Day holiday (provisional: not yet announced)",
        ),
    ],
)
def test_every_day_says_why_in_both_languages(day: date, zh: str, en: str) -> None:
    assert china().why(day) == zh
    assert china().why(day, "en") == en


def test_the_last_days_of_december_cite_the_coming_years_notice() -> None:
    assert china().notice(date(2022, 12, 31)) == "国办发明电〔2022〕16号"
    assert china().notice(date(2018, 12, 31)) == "国办发明电〔2018〕15号、国办发明电〔2019〕3号"
    assert china().notice(date(2008, 1, 1)) == "国务院办公厅关于2008年部分节假日安排的通知"


def test_every_announced_year_has_its_notice() -> None:
    assert sorted(china().years) == list(range(2004, 2027))
    assert all(str(year) in announced.title for year, announced in china().years.items())


def test_importing_a_notice_makes_a_new_version_and_settles_the_year() -> None:
    spring = date(2027, 2, 8)
    announced = Year("通知", "某号", {spring: Arrangement(works=False, name="春节")})
    later = china().with_year("china-2027.1", 2027, announced)
    assert later.version == "china-2027.1" != china().version
    assert not later.is_provisional(spring)
    assert not later.is_working_day(spring)
    assert china().is_working_day(spring)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version": "x"}',
        json.dumps(
            {"version": "x", "years": {"2027": {"title": "t", "number": None, "off": {"元旦": ["02-30"]}, "work": {}}}}
        ),
        json.dumps(
            {
                "version": "x",
                "years": {
                    "2027": {"title": "t", "number": None, "off": {"元旦": ["01-02"]}, "work": {"元旦": ["01-02"]}}
                },
            }
        ),
    ],
)
def test_faulty_calendar_data_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadCalendar):
        Calendar.from_json(text)


def test_a_term_beyond_the_last_year_is_refused_by_name() -> None:
    with pytest.raises(CalendarEnds):
        china().nth_working_day(date(9999, 12, 1), 40)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 1, 31), 1, date(2023, 2, 28)),
        (date(2024, 3, 31), 1, date(2024, 4, 30)),
        (date(2024, 11, 30), 3, date(2025, 2, 28)),
        (date(2024, 12, 15), 12, date(2025, 12, 15)),
    ],
)
def test_months_are_clamped_to_the_months_end(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected
