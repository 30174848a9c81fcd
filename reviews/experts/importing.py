"""A list of experts as CSV: taken whole or not at all, every fault told with its row (the heading is row 1)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import IO, Final

from sqlalchemy import select

from kernel import trail
from kernel.accounts import Person
from kernel.db import session
from kernel.errors import Invalids, PortalError
from kernel.trail import Actor
from market.catalogue import FileUnreadable, RowFault
from reviews.experts.keeping import Entry, faults_of, register
from reviews.experts.questions import account_of, of_person, organisation_named, plain_name
from reviews.experts.records import Expert
from reviews.kinds.rules import day

#: Column → whether it must be filled in. Lists are parted by ``|``.
COLUMNS: Final[Mapping[str, bool]] = {
    "name": True,
    "specialities": True,
    "title": True,
    "certificates": False,
    "employer": True,
    "region": True,
    "term_from": True,
    "term_until": True,
    "most_load": False,
    "login": False,
}
MOST_ROWS: Final = 5000


@dataclass(frozen=True, slots=True)
class _Line:
    entry: Entry
    term_from: date
    term_until: date
    person: Person | None


def read_csv(file: IO[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a heading row. Raises FileUnreadable."""
    try:
        reader = csv.DictReader(file, strict=True)
        rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileUnreadable(field="file", what=str(error)) from None
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise FileUnreadable(field="file", what=f"缺少列 {', '.join(missing)}")
    if len(rows) > MOST_ROWS:
        raise FileUnreadable(field="file", what=f"超过 {MOST_ROWS} 行")
    return rows


def import_experts(rows: list[dict[str, str]], *, by: Actor) -> int:
    """Register all rows or none; answer how many.

    Raises:
        Invalids: of RowFault, each with row, column and reason. Forbidden.
    """
    faults: list[PortalError] = []
    lines: list[_Line] = []
    seen: dict[tuple[str, str], int] = {}
    logins: dict[int, int] = {}
    known = {
        (plain_name(name), plain_name(employer)): number
        for name, employer, number in session.execute(select(Expert.name, Expert.employer, Expert.number))
    }
    for number, row in enumerate(rows, start=2):
        before = len(faults)
        line = _parse(number, row, faults)
        same = plain_name(row.get("name", "")), plain_name(row.get("employer", ""))
        if same in known:
            faults.append(_fault(number, "name", f"已入库（{known[same]}）", f"registered already ({known[same]})"))
        elif same in seen and all(same):
            faults.append(_fault(number, "name", f"与第 {seen[same]} 行重复", f"repeats row {seen[same]}"))
        seen.setdefault(same, number)
        if line is not None and line.person is not None:
            first = logins.setdefault(line.person.id, number)
            if first != number:
                faults.append(_fault(number, "login", f"与第 {first} 行重复", f"repeats row {first}"))
        if line is not None and len(faults) == before:
            lines.append(line)
    if faults:
        raise Invalids(faults)
    for line in lines:
        register(line.entry, term_from=line.term_from, term_until=line.term_until, person=line.person, by=by)
    trail.record("experts:register", "experts.imported", by=by, count=len(lines))
    return len(lines)


def _fault(row: int, column: str, zh: str, en: str) -> RowFault:
    return RowFault(field=f"row-{row}", row=row, column=column, what_zh=zh, what_en=en)


def _parse(number: int, row: Mapping[str, str], faults: list[PortalError]) -> _Line | None:
    """One row; what is wrong with it goes to ``faults``."""
    before = len(faults)
    cells = {column: row.get(column, "").strip() for column in COLUMNS}
    for column, is_required in COLUMNS.items():
        if is_required and not cells[column]:
            faults.append(_fault(number, column, "不能为空", "must not be empty"))
    days = {}
    for column in ("term_from", "term_until"):
        days[column] = day(cells[column])
        if cells[column] and days[column] is None:
            faults.append(_fault(number, column, f"“{cells[column]}”不是日期", f"“{cells[column]}” is not a date"))
    most = cells["most_load"]
    if most and not (most.isascii() and most.isdigit() and len(most) < 4):
        faults.append(_fault(number, "most_load", f"“{most}”不是整数", f"“{most}” is not a whole number"))
        most = ""
    person = None
    if cells["login"]:
        try:
            person = account_of(cells["login"])
        except PortalError as error:
            faults.append(_fault(number, "login", error.text("zh"), error.text("en")))
        else:
            held = of_person(person.id)
            if held is not None:
                faults.append(_fault(number, "login", f"已是专家 {held.number}", f"is expert {held.number} already"))
    employer = organisation_named(cells["employer"])
    entry = Entry(
        name=cells["name"],
        specialities=_parts(cells["specialities"]),
        title=cells["title"],
        employer=cells["employer"],
        region=cells["region"],
        certificates=_parts(cells["certificates"]),
        employer_id=employer.id if employer else None,
        most_load=int(most) if most else None,
    )
    for fault in faults_of(entry):
        column = fault.field or "name"
        if cells.get(column):  # an empty cell is told already
            faults.append(_fault(number, column, fault.text("zh"), fault.text("en")))
    start, end = days["term_from"], days["term_until"]
    if start is not None and end is not None and end < start:
        faults.append(_fault(number, "term_until", "聘期止早于聘期起", "the term ends before it begins"))
    if len(faults) > before or start is None or end is None:
        return None
    return _Line(entry, start, end, person)


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in cell.split("|") if part.strip()]
