"""The catalogue of service items: what may be bought, on which legal basis, in how many days (001 §9.1, A1, A18).

Items are kept as dated rows of a table that operators import and export (CSV, XLSX); a file is taken whole or
not at all, and every fault is told with its row. An item without a legal basis is voluntary: no matter, guide
or correction notice may demand it (000 §一(三)).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import openpyxl
import xlsxwriter
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock, trail
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Invalid, Invalids, NotFound, PortalError
from kernel.trail import Actor
from kernel.words import Worded
from market.agencies import Requirement, Speciality, specialities

DATA = Path(__file__).resolve().parent / "data"

trail.name_acts({"catalogue.imported": ("导入服务事项目录", "Catalogue imported")})


class Stage(Worded):
    """The stages of the approval procedure."""

    LAND = "1", "立项用地规划许可", "Project and land-use planning permit"
    CONSTRUCTION = "2", "工程建设许可", "Construction planning permit"
    BUILDING = "3", "施工许可", "Building permit"
    COMPLETION = "4", "竣工验收", "Completion acceptance"
    PARALLEL = "5", "并行推进", "In parallel"


class FeeManagement(Worded):
    MARKET = "market", "市场调节价", "Market price"
    GUIDED = "government_guided", "政府指导价", "Government-guided price"
    PRICED = "government_priced", "政府定价", "Government price"
    FISCAL = "fiscal", "财政承担", "Paid from the budget"


class RowFault(Invalid):
    code = "row_fault"
    zh = "第 {row} 行“{column}”：{what_zh}"
    en = "Row {row}, “{column}”: {what_en}"


class FileUnreadable(Invalid):
    code = "file_unreadable"
    zh = "无法读取文件：{what}"
    en = "The file can't be read: {what}"


class ItemUnknown(NotFound):
    code = "item_unknown"
    zh = "没有服务事项 {value}"
    en = "There is no service item {value}"


class ServiceItem(Keyed):
    """One service item; lists hold plain texts in order."""

    __tablename__ = "service_items"
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    category: Mapped[str]
    stage: Mapped[Stage] = mapped_column(WordColumn(Stage))
    matters: Mapped[list[str]]
    legal_basis: Mapped[list[str]]
    voluntary: Mapped[bool]
    content: Mapped[str]
    standard: Mapped[str]
    required_materials: Mapped[list[str]]
    deliverables: Mapped[list[str]]
    keywords: Mapped[list[str]]
    excluded_keywords: Mapped[list[str]]
    fee_management: Mapped[FeeManagement] = mapped_column(WordColumn(FeeManagement))
    fee_basis: Mapped[str]
    default_unit: Mapped[str]
    qualification_mode: Mapped[str]
    qualifications: Mapped[list[str]]
    practitioners: Mapped[int]
    promised_working_days: Mapped[int]
    technical_review: Mapped[bool]
    may_self_prepare: Mapped[bool]
    supervising_authority: Mapped[str]
    valid_months: Mapped[int | None]
    name_en: Mapped[str] = mapped_column(default="")
    content_en: Mapped[str] = mapped_column(default="")
    imported_at: Mapped[datetime]

    @property
    def requirement(self) -> Requirement:
        return Requirement(self.qualification_mode, tuple(self.qualifications), self.practitioners)

    def label(self, language: str) -> str:
        return self.name_en if language == "en" and self.name_en else self.name


#: Column of the file → kind of value. The order is the order of the file.
COLUMNS: Mapping[str, str] = {
    "code": "text!",
    "name": "text!",
    "category": "text!",
    "stage": "stage",
    "matters": "list",
    "legal_basis": "list",
    "voluntary": "flag",
    "content": "text!",
    "standard": "text",
    "required_materials": "list",
    "deliverable": "list!",
    "deliverable_kind_keywords": "list",
    "excluded_keywords": "list",
    "fee_management": "fee_management",
    "fee_basis": "text",
    "default_unit": "text",
    "qualification_mode": "mode",
    "qualifications": "list",
    "practitioners": "number",
    "promised_working_days": "days",
    "technical_review": "flag",
    "may_self_prepare": "flag",
    "supervising_authority": "text!",
    "valid_months": "months",
    "name_en": "text",
    "content_en": "text",
}
FIELDS = {"deliverable": "deliverables", "deliverable_kind_keywords": "keywords"}
ARTICLE = re.compile(r"第[〇零一二三四五六七八九十百千\d]+条")


def read_csv(file: IO[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a heading row. Raises FileUnreadable."""
    try:
        reader = csv.DictReader(file, strict=True)
        rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileUnreadable(field="file", what=str(error)) from None
    _check_columns(reader.fieldnames or [])
    return rows


def read_xlsx(file: IO[bytes]) -> list[dict[str, str]]:
    """Rows of an XLSX file's first sheet with a heading row. Raises FileUnreadable."""
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        table = [["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        book.close()
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise FileUnreadable(field="file", what=type(error).__name__) from None
    headings = table[0] if table else []
    _check_columns(headings)
    return [dict(zip(headings, row, strict=False)) for row in table[1:] if any(row)]


def _check_columns(headings: Iterable[str]) -> None:
    missing = [name for name in COLUMNS if name not in set(headings)]
    if missing:
        raise FileUnreadable(field="file", what=f"缺少列 {', '.join(missing)}")


def import_items(rows: list[dict[str, str]], *, by: Actor) -> tuple[int, int]:
    """Take all rows or none; answer (new, changed).

    Raises:
        Invalids: every fault, each with row (the heading is row 1), column and reason.
    """
    known_specialities = specialities()
    errors: list[PortalError] = []
    parsed: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        values, faults = _parse_row(number, row, known_specialities)
        code = str(values.get("code", ""))
        if code in seen:
            faults.append(_fault(number, "code", f"与第 {seen[code]} 行重复", f"repeats row {seen[code]}"))
        seen.setdefault(code, number)
        errors.extend(faults)
        parsed.append(values)
    if errors:
        raise Invalids(errors)
    known = {item.code: item for item in session.scalars(select(ServiceItem))}
    moment = clock.now()
    new = changed = 0
    for values in parsed:
        item = known.get(values["code"])
        if item is None:
            session.add(ServiceItem(**values, imported_at=moment))
            new += 1
        elif any(getattr(item, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(item, name, value)
            item.imported_at = moment
            changed += 1
    session.flush()
    trail.record("catalogue:items", "catalogue.imported", by=by, new=new, changed=changed)
    return new, changed


def _fault(row: int, column: str, zh: str, en: str) -> RowFault:
    return RowFault(field=f"row-{row}", row=row, column=column, what_zh=zh, what_en=en)


def _parse_row(
    number: int, row: Mapping[str, str], known: Mapping[str, Speciality]
) -> tuple[dict[str, Any], list[PortalError]]:
    values: dict[str, Any] = {}
    faults: list[PortalError] = []
    for column, kind in COLUMNS.items():
        raw = row.get(column, "").strip()
        try:
            values[FIELDS.get(column, column)] = _parse_cell(kind, raw)
        except ValueError as error:
            zh, en = error.args
            faults.append(_fault(number, column, zh, en))
    if faults:
        return values, faults
    if not values["legal_basis"] and not values["voluntary"]:
        faults.append(
            _fault(
                number,
                "legal_basis",
                "没有设定依据的事项只能标为自愿（voluntary=yes）",
                "no legal basis: must be voluntary",
            )
        )
    faults.extend(
        _fault(number, "legal_basis", f"“{basis}”未写明条款", f"“{basis}” names no article")
        for basis in values["legal_basis"]
        if not ARTICLE.search(basis)
    )
    if (values["qualification_mode"] == "none") != (not values["qualifications"]):
        faults.append(_fault(number, "qualifications", "与资质要求方式不一致", "doesn't fit the qualification mode"))
    for want in values["qualifications"]:
        code, _, level = want.partition(":")
        if code not in known or (level and level not in known[code].levels):
            faults.append(_fault(number, "qualifications", f"没有资质“{want}”", f"no such qualification: {want}"))
    return values, faults


def _parse_cell(kind: str, raw: str) -> Any:
    if kind.endswith("!") and not raw:
        raise ValueError("不能为空", "must not be empty")
    match kind.rstrip("!"):
        case "text":
            return raw
        case "list":
            return [part.strip() for part in raw.split("|") if part.strip()]
        case "flag":
            if raw.lower() in {"yes", "是", "true", "1"}:
                return True
            if raw.lower() in {"no", "否", "false", "0"}:
                return False
            raise ValueError("应填 yes 或 no", "must be yes or no")
        case "stage":
            return _member(Stage, raw)
        case "fee_management":
            return _member(FeeManagement, raw)
        case "mode":
            if raw not in {"none", "any", "all"}:
                raise ValueError("应为 none、any 或 all", "must be none, any or all")
            return raw
        case "months" if not raw:
            return None
        case "number" | "months" | "days":
            if not (raw.isascii() and raw.isdigit()) or int(raw) > 1200 or (kind != "number" and int(raw) < 1):
                raise ValueError(f"“{raw}”不是有效的数字", f"“{raw}” is not a valid number")
            return int(raw)
    raise AssertionError(kind)


def _member(words: type[Worded], raw: str) -> Worded:
    for member in words:
        if raw in (member.value, member.zh):
            return member
    allowed = "、".join(member.value for member in words)
    raise ValueError(f"“{raw}”不在可选值 {allowed} 之内", f"“{raw}” is not one of {allowed}")


def rows_of_items() -> list[dict[str, str]]:
    """The whole catalogue in the form of the file, by code."""
    return [
        {column: _cell(getattr(item, FIELDS.get(column, column))) for column in COLUMNS}
        for item in session.scalars(select(ServiceItem).order_by(ServiceItem.code))
    ]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "|".join(value)
    return str(value.value) if isinstance(value, Worded) else str(value)


def write_csv(file: IO[str]) -> int:
    """Write the catalogue as CSV; answer the number of rows."""
    rows = rows_of_items()
    writer = csv.DictWriter(file, fieldnames=list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return len(rows)


def write_xlsx() -> bytes:
    """The catalogue as an XLSX file: codes as text, no formulas."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("服务事项")
        for at, column in enumerate(COLUMNS):
            sheet.write_string(0, at, column)
        for line, row in enumerate(rows_of_items(), start=1):
            for at, column in enumerate(COLUMNS):
                sheet.write_string(line, at, row[column])
    return out.getvalue()


def load_specialities() -> int:
    """Bring the tree of qualifications up to the file that ships with the product; answer the number of rows."""
    known = specialities()
    with (DATA / "specialities.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        record = known.get(row["code"]) or Speciality(code=row["code"])
        record.parent_code = row["parent_code"]
        record.name = row["name"]
        record.levels = [level for level in row["levels"].split("|") if level]
        record.authority = row.get("issuing_authority", "")
        record.source = row.get("source", "")
        session.add(record)
    session.flush()
    return len(rows)


def load_shipped(*, by: Actor) -> tuple[int, int]:
    """Load the specialities and items that ship with the product."""
    load_specialities()
    with (DATA / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        return import_items(read_csv(file), by=by)


def synonyms() -> list[tuple[str, str]]:
    """Short forms that people search by, with what they stand for."""
    with (DATA / "synonyms.csv").open(encoding="utf-8", newline="") as file:
        return [(row[0], row[1]) for row in list(csv.reader(file))[1:]]


def shipped_names() -> list[str]:
    """Names of the items that ship with the product: words that a general dictionary would cut up."""
    with (DATA / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        return [row["name"] for row in csv.DictReader(file)]


def by_code(code: str) -> ServiceItem:
    """Raises ItemUnknown."""
    item = session.scalars(select(ServiceItem).where(ServiceItem.code == code)).first()
    if item is None:
        raise ItemUnknown(value=code)
    return item


def all_items() -> list[ServiceItem]:
    return list(session.scalars(select(ServiceItem).order_by(ServiceItem.code)))


def recognise(material: str, items: Iterable[ServiceItem]) -> ServiceItem | None:
    """The item whose deliverable a free-text material is, by the longest of its keywords; None if no item's.

    A material that holds one of the item's excluded words (an approval of the report, say) is not its deliverable.
    """
    best: tuple[int, ServiceItem] | None = None
    for item in items:
        if any(word in material for word in item.excluded_keywords):
            continue
        longest = max((len(word) for word in item.keywords if word in material), default=0)
        if longest and (best is None or longest >= best[0]):
            best = (longest, item)
    return best[1] if best else None
