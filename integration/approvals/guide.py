"""The guide: which matters there are, who handles them in how many days, which materials they need (000 §7.1, A18).

A list of matters is imported as rows, whole or not at all. Each material that a service item of the catalogue
can deliver is mapped to that item, so that the applicant's page can offer to commission it; a material that
comes from a voluntary item is never demanded. A later import replaces a kind's edition; matters that already
run keep the materials they began with.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from sqlalchemy import ForeignKey, Index, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, policies, trail
from kernel.accounts import Organisation, OrganisationKind
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Invalids, NotFound, PortalError
from kernel.policies import PolicyMissing
from kernel.trail import Actor
from market import catalogue
from market.catalogue import FileUnreadable, RowFault, ServiceItem, Stage

DATA = Path(__file__).resolve().parent / "data"
#: What ``source`` says of the matters that come with the product.
DEMONSTRATION = "随系统提供的演示事项"
MOST_DAYS = 365
#: What lists write where a matter needs no material.
NOTHING = frozenset({"无", "无需材料", "不需要"})

trail.name_acts({"guide.imported": ("导入审批事项清单", "Guide to matters imported")})


class MatterKindUnknown(NotFound):
    code = "matter_kind_unknown"
    zh = "没有审批事项 {value}"
    en = "There is no approval matter {value}"


class MatterKind(Keyed):
    """One matter of the guide. ``edition`` counts the imports that changed it; ``source`` names where it came from."""

    __tablename__ = "matter_kinds"
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    department: Mapped[str]
    stage: Mapped[Stage | None] = mapped_column(WordColumn(Stage))
    legal_basis: Mapped[list[str]]
    promised_working_days: Mapped[int]
    edition: Mapped[int] = mapped_column(default=1)
    source: Mapped[str] = mapped_column(default="")
    imported_at: Mapped[datetime]
    materials: Mapped[list[MatterMaterial]] = relationship(
        lazy="selectin", order_by="MatterMaterial.position", cascade="all, delete-orphan"
    )

    @property
    def is_shipped(self) -> bool:
        return self.source == DEMONSTRATION


class MatterMaterial(Keyed):
    """One material a matter asks for; ``item_code`` names the catalogue item that can deliver it, if one can."""

    __tablename__ = "matter_materials"
    kind_id: Mapped[int] = mapped_column(ForeignKey("matter_kinds.id"))
    position: Mapped[int]
    name: Mapped[str]
    item_code: Mapped[str | None]
    required: Mapped[bool]
    voluntary_only: Mapped[bool]
    __table_args__ = (
        UniqueConstraint("kind_id", "name"),
        Index("ix_matter_materials_kind", "kind_id", "position"),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did.

    Attributes:
        matters: matters in the file.
        materials: materials in the file, repeated ones counted.
        mapped: materials that an item of the catalogue can deliver.
        unmapped: (matter, material) that no item delivers, in the order of the file.
        dropped_duplicates: (matter, material) named twice under one matter and kept once.
        voluntary: (matter, material) not demanded because their item has no legal basis (A18).
    """

    matters: int
    materials: int
    mapped: int
    unmapped: list[tuple[str, str]]
    dropped_duplicates: list[tuple[str, str]]
    voluntary: list[tuple[str, str]]


@dataclass(slots=True)
class _Parsed:
    row: int
    code: str
    name: str
    department: str
    days: int
    legal_basis: list[str]
    stage: Stage | None
    materials: dict[str, tuple[str | None, bool]] = field(default_factory=dict)


#: What a file must hold; ``matter_no`` (a running number) may stand for ``matter_code``.
NEEDED = ("matter", "department", "promised_working_days", "material")


def read_csv(file: IO[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a heading row.

    Raises:
        FileUnreadable: no CSV, or a column is missing.
    """
    try:
        reader = csv.DictReader(file, strict=True)
        rows = [{key.strip(): value or "" for key, value in row.items() if key} for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileUnreadable(field="file", what=str(error)) from None
    headings = {heading.strip() for heading in reader.fieldnames or []}
    missing = [name for name in NEEDED if name not in headings]
    if not headings & {"matter_no", "matter_code"}:
        missing.insert(0, "matter_no")
    if missing:
        raise FileUnreadable(field="file", what=f"缺少列 {', '.join(missing)}")
    return rows


def import_matters(rows: Sequence[Mapping[str, str]], by: Actor, *, source: str = "") -> Report:
    """Take all rows or none; one row is one material of one matter.

    Columns: ``matter_no`` or ``matter_code``, ``matter``, ``department``, ``promised_working_days``, ``material``;
    and, if given, ``legal_basis`` (parted by ``|``), ``stage``, ``from_item_code``, ``required`` (yes or no).

    Raises:
        Invalids: every fault with its row (the heading is row 1).
    """
    items = catalogue.all_items()
    by_code = {item.code: item for item in items}
    known = {kind.code: kind for kind in session.scalars(select(MatterKind))}
    errors: list[PortalError] = []
    parsed: dict[str, _Parsed] = {}
    dropped: list[tuple[str, str]] = []
    for number, row in enumerate(rows, start=2):
        errors.extend(_take(number, row, parsed, dropped, by_code, known))
    if not rows:
        errors.append(_fault(2, "material", "文件没有内容", "the file is empty"))
    if errors:
        raise Invalids(errors)
    mapped = 0
    unmapped: list[tuple[str, str]] = []
    voluntary: list[tuple[str, str]] = []
    moment = clock.now()
    for entry in parsed.values():
        materials: list[MatterMaterial] = []
        for name, (item_code, required) in entry.materials.items():
            item = by_code[item_code] if item_code else catalogue.recognise(name, items)
            if item is None:
                unmapped.append((entry.name, name))
            else:
                mapped += 1
                if item.voluntary:
                    voluntary.append((entry.name, name))
            if name not in NOTHING:
                materials.append(_material(len(materials) + 1, name, item, required))
        _store(entry, materials, known.get(entry.code), source, moment)
    session.flush()
    report = Report(len(parsed), len(rows), mapped, unmapped, dropped, voluntary)
    trail.record(
        "guide:matters",
        "guide.imported",
        by=by,
        source=source,
        matters=report.matters,
        materials=report.materials,
        mapped=report.mapped,
    )
    return report


def _material(position: int, name: str, item: ServiceItem | None, required: bool) -> MatterMaterial:
    is_voluntary = item is not None and item.voluntary
    return MatterMaterial(
        position=position,
        name=name,
        item_code=item.code if item else None,
        required=required and not is_voluntary,
        voluntary_only=is_voluntary,
    )


def _store(
    entry: _Parsed, materials: list[MatterMaterial], kind: MatterKind | None, source: str, moment: datetime
) -> None:
    if kind is None:
        session.add(
            MatterKind(
                code=entry.code,
                name=entry.name,
                department=entry.department,
                stage=entry.stage,
                legal_basis=entry.legal_basis,
                promised_working_days=entry.days,
                edition=1,
                source=source,
                imported_at=moment,
                materials=materials,
            )
        )
        return
    if _shape(kind) == (
        entry.name,
        entry.department,
        entry.stage,
        entry.legal_basis,
        entry.days,
        [(m.name, m.item_code, m.required) for m in materials],
    ):
        return
    # Rows first out, then in: the same names would otherwise meet under one kind.
    session.execute(delete(MatterMaterial).where(MatterMaterial.kind_id == kind.id))
    session.expire(kind, ["materials"])
    kind.name, kind.department, kind.stage = entry.name, entry.department, entry.stage
    kind.legal_basis, kind.promised_working_days = entry.legal_basis, entry.days
    kind.edition += 1
    kind.source, kind.imported_at = source, moment
    kind.materials.extend(materials)


def _shape(kind: MatterKind) -> tuple[object, ...]:
    return (
        kind.name,
        kind.department,
        kind.stage,
        kind.legal_basis,
        kind.promised_working_days,
        [(m.name, m.item_code, m.required) for m in kind.materials],
    )


def _take(
    number: int,
    row: Mapping[str, str],
    parsed: dict[str, _Parsed],
    dropped: list[tuple[str, str]],
    items: Mapping[str, ServiceItem],
    known: Mapping[str, MatterKind],
) -> Iterator[PortalError]:
    """Read one row into ``parsed``, yielding what is wrong with it."""
    cells = {name: (row.get(name) or "").strip() for name in (*NEEDED, "legal_basis", "stage", "from_item_code")}
    faults: list[PortalError] = [
        _fault(number, name, "不能为空", "must not be empty") for name in NEEDED if not cells[name]
    ]
    code = _code(number, row, faults)
    days = _days(number, cells["promised_working_days"], faults)
    stage = _stage(number, cells["stage"], faults)
    required = _required(number, (row.get("required") or "").strip(), faults)
    item_code = cells["from_item_code"] or None
    if item_code is not None and item_code not in items:
        faults.append(_fault(number, "from_item_code", f"没有服务事项 {item_code}", f"no service item {item_code}"))
    if faults:
        yield from faults
        return
    basis = [part.strip() for part in cells["legal_basis"].split("|") if part.strip()]
    entry = parsed.get(code)
    if entry is None:
        earlier = known.get(code)
        if earlier is not None and earlier.name != cells["matter"] and earlier.department != cells["department"]:
            yield _fault(
                number,
                "matter",
                f"编号 {code} 已用于“{earlier.department}”的“{earlier.name}”",
                f"{code} is already “{earlier.name}” of “{earlier.department}”",
            )
            return
        entry = _Parsed(number, code, cells["matter"], cells["department"], days, basis, stage)
        parsed[code] = entry
    told = (cells["matter"], cells["department"], days)
    for column, given, first in zip(
        ("matter", "department", "promised_working_days"), told, (entry.name, entry.department, entry.days), strict=True
    ):
        if given != first:
            yield _fault(
                number,
                column,
                f"与第 {entry.row} 行同一事项的“{first}”不一致",
                f"row {entry.row} says “{first}” for the same matter",
            )
    if cells["material"] in entry.materials:
        dropped.append((entry.name, cells["material"]))
    else:
        entry.materials[cells["material"]] = (item_code, required)


def _code(number: int, row: Mapping[str, str], faults: list[PortalError]) -> str:
    code = (row.get("matter_code") or "").strip()
    if code:
        return code
    running = (row.get("matter_no") or "").strip()
    if running.isascii() and running.isdigit() and len(running) <= 6:
        return f"M{int(running):04d}"
    faults.append(_fault(number, "matter_no", f"“{running}”不是有效的序号", f"“{running}” is not a running number"))
    return ""


def _days(number: int, raw: str, faults: list[PortalError]) -> int:
    if raw.isascii() and raw.isdigit() and 1 <= int(raw[:6]) <= MOST_DAYS and len(raw) <= 6:
        return int(raw)
    if raw:
        faults.append(
            _fault(
                number,
                "promised_working_days",
                f"“{raw}”不是 1 至 {MOST_DAYS} 的整数",
                f"“{raw}” is not a whole number from 1 to {MOST_DAYS}",
            )
        )
    return 0


def _stage(number: int, raw: str, faults: list[PortalError]) -> Stage | None:
    if not raw:
        return None
    for stage in Stage:
        if raw in (stage.value, stage.zh):
            return stage
    faults.append(_fault(number, "stage", f"没有阶段“{raw}”", f"there is no stage “{raw}”"))
    return None


def _required(number: int, raw: str, faults: list[PortalError]) -> bool:
    if raw.lower() in {"", "yes", "是", "true", "1"}:
        return True
    if raw.lower() not in {"no", "否", "false", "0"}:
        faults.append(_fault(number, "required", "应填 yes 或 no", "must be yes or no"))
    return False


def _fault(row: int, column: str, zh: str, en: str) -> RowFault:
    return RowFault(field=f"row-{row}", row=row, column=column, what_zh=zh, what_en=en)


def load_shipped(by: Actor) -> Report:
    """Load the demonstration matters that come with the product; the catalogue must be loaded before."""
    with (DATA / "guide_matters.csv").open(encoding="utf-8", newline="") as file:
        return import_matters(read_csv(file), by, source=DEMONSTRATION)


def by_code(code: str) -> MatterKind:
    """Raises MatterKindUnknown."""
    kind = session.scalars(select(MatterKind).where(MatterKind.code == code)).first()
    if kind is None:
        raise MatterKindUnknown(value=code)
    return kind


def all_kinds() -> list[MatterKind]:
    """Every matter of the guide, by stage and code; those without a stage last."""
    return list(session.scalars(select(MatterKind).order_by(MatterKind.stage.nulls_last(), MatterKind.code)))


def authority_of(department: str) -> Organisation | None:
    """The authority that handles a department's matters: the one of that name, or the one a policy row of kind
    ``departments`` (department → organisation's name) lists it under; None when there is none."""
    try:
        listed = policies.current("departments").values
    except PolicyMissing:
        listed = {}
    return session.scalars(
        select(Organisation)
        .where(
            Organisation.name == str(listed.get(department, department)),
            Organisation.kind.in_((OrganisationKind.AUTHORITY, OrganisationKind.UTILITY)),
            Organisation.closed_at.is_(None),
        )
        .order_by(Organisation.id)
        .limit(1)
    ).first()


def items_decided_by(organisation_id: int) -> set[str]:
    """Codes of the service items whose results an authority relies on when it decides its matters of the guide."""
    rows = session.execute(
        select(MatterKind.department, MatterMaterial.item_code)
        .join(MatterMaterial, MatterMaterial.kind_id == MatterKind.id)
        .where(MatterMaterial.item_code.is_not(None))
        .distinct()
    ).all()
    authorities = {department: authority_of(department) for department in {row.department for row in rows}}
    theirs = {name for name, one in authorities.items() if one is not None and one.id == organisation_id}
    return {row.item_code for row in rows if row.department in theirs}
