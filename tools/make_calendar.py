"""Writes ``kernel/clock/data/china.json`` from the development dependency chinesecalendar.

Run it from the checkout when a new year's notice is in the dependency: ``python tools/make_calendar.py``.
The portal itself never imports that dependency; a test compares the two day by day.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from pathlib import Path

import chinese_calendar.constants as source

TARGET = Path(__file__).resolve().parent.parent / "kernel" / "clock" / "data" / "china.json"
FIRST, LAST, EDITION = 2004, 2026, 1

NAMES = {
    "New Year's Day": "元旦",
    "Spring Festival": "春节",
    "Tomb-sweeping Day": "清明节",
    "Labour Day": "劳动节",
    "Dragon Boat Festival": "端午节",
    "National Day": "国庆节",
    "Mid-autumn Festival": "中秋节",
    "Anti-Fascist 70th Day": "中国人民抗日战争暨世界反法西斯战争胜利70周年纪念日",
}

#: Document numbers; a year whose number is not certain is cited by the title of its notice alone.
NUMBERS = {
    2011: "国办发明电〔2010〕40号",
    2012: "国办发明电〔2011〕45号",
    2013: "国办发明电〔2012〕33号",
    2014: "国办发明电〔2013〕28号",
    2015: "国办发明电〔2014〕28号、国发明电〔2015〕1号",
    2016: "国办发明电〔2015〕18号",
    2017: "国办发明电〔2016〕17号",
    2018: "国办发明电〔2017〕12号",
    2019: "国办发明电〔2018〕15号、国办发明电〔2019〕3号",
    2020: "国办发明电〔2019〕16号、国办发明电〔2020〕1号",
    2021: "国办发明电〔2020〕27号",
    2022: "国办发明电〔2021〕11号",
    2023: "国办发明电〔2022〕16号",
    2024: "国办发明电〔2023〕7号",
    2025: "国办发明电〔2024〕12号",
    2026: "国办发明电〔2025〕7号",
}


def grouped(days: dict[date, str], year: int) -> dict[str, list[str]]:
    """The days of ``year`` by the Chinese name of their holiday, as ``MM-DD``."""
    groups: dict[str, list[str]] = defaultdict(list)
    for day in sorted(days):
        if day.year == year:
            groups[NAMES[days[day]]].append(f"{day:%m-%d}")
    return groups


def main() -> None:
    """Write one line per year, so that a change shows as one line."""
    lines = []
    for year in range(FIRST, LAST + 1):
        entry = {
            "title": f"国务院办公厅关于{year}年部分节假日安排的通知",
            "number": NUMBERS.get(year),
            "off": grouped(source.holidays, year),
            "work": grouped(source.workdays, year),
        }
        lines.append(f'"{year}": {json.dumps(entry, ensure_ascii=False)}')
    body = ",\n".join(lines)
    TARGET.write_text(f'{{"version": "china-{LAST}.{EDITION}", "years": {{\n{body}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
