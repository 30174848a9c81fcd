"""Which drawings are in force, which were, and who may look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from kernel import clock, projects
from kernel.access import Role
from kernel.db import session
from kernel.errors import NotFound
from kernel.files import Document
from kernel.projects import Project
from kernel.trail import Actor
from market.agencies import Agency
from market.catalogue import ServiceItem
from market.commissions import Commission, CommissionStatus
from reviews.drawings.records import Discipline, Sheet, SheetVersion

#: A set with more is answered up to here; the largest sets known have some hundreds.
MOST_SHEETS: Final = 3_000
#: Every department reads the same set.
DEPARTMENTS: Final = tuple(
    role.value
    for role in (
        Role.APPROVER,
        Role.WINDOW,
        Role.AUTHORITY,
        Role.LEAD,
        Role.REGULATOR,
        Role.SUPERVISOR,
        Role.AUDITOR,
        Role.CENTRE,
    )
)
_PLACES: Final = {discipline: place for place, discipline in enumerate(Discipline)}


@dataclass(frozen=True, slots=True)
class InForce:
    """A sheet with its version in force, and how many versions of it there are."""

    sheet: Sheet
    version: SheetVersion
    editions: int


def set_on(project: Project, instant: datetime | None = None, *, known_at: datetime | None = None) -> list[InForce]:
    """The set in force at ``instant`` (now unless given), in the order of disciplines and numbers.

    ``known_at`` leaves out what was entered later: what a department could have seen then.
    """
    moment = instant or clock.now()
    found: dict[int, SheetVersion] = {}
    editions: dict[int, int] = {}
    for version in _versions(project):
        if known_at is not None and version.entered_at > known_at:
            continue
        editions[version.sheet_id] = version.edition
        if version.effective_at <= moment:
            found[version.sheet_id] = version
    rows = [
        InForce(version.sheet, version, editions[version.sheet_id])
        for version in found.values()
        if not _is_withdrawn(version, moment, known_at)
    ]
    return sorted(rows, key=lambda row: sheet_order(row.sheet))


def sheet_order(sheet: Sheet) -> tuple[int, str, list[tuple[int, int | str]]]:
    """By discipline, engineering code, and number as people count: 结施-9 before 结施-10."""
    parts: list[tuple[int, int | str]] = []
    digits = ""
    for sign in f"{sheet.number}\0":
        if sign.isascii() and sign.isdigit():
            digits += sign
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        parts.append((1, sign))
    return _PLACES[sheet.discipline], sheet.engineering_code, parts


def history(sheet: Sheet) -> list[SheetVersion]:
    """All versions of a sheet, oldest first."""
    return list(
        session.scalars(select(SheetVersion).where(SheetVersion.sheet_id == sheet.id).order_by(SheetVersion.edition))
    )


def state_of(project: Project) -> int:
    """Counts up with every version entered: tells whether a set is still the one that somebody looked at."""
    statement = select(func.count()).select_from(SheetVersion).join(Sheet).where(Sheet.project_id == project.id)
    return session.scalar(statement) or 0


def versions_of_hash(sha256s: Sequence[str], *, project: Project | None = None) -> list[SheetVersion]:
    """The versions with these contents, oldest first; of one project if it is given."""
    statement = select(SheetVersion).where(SheetVersion.sha256.in_(set(sha256s)))
    if project is not None:
        statement = statement.where(SheetVersion.sheet.has(Sheet.project_id == project.id))
    return list(session.scalars(statement.order_by(SheetVersion.id)))


def find(reference: str, *, by: Actor) -> Sheet:
    """The sheet with our reference, if its set is the actor's to see.

    Raises:
        NotFound.
    """
    sheet = session.scalars(select(Sheet).where(Sheet.reference == reference)).first()
    if sheet is None or not may_see(sheet.project, by):
        raise NotFound
    return sheet


def may_see(project: Project, actor: Actor) -> bool:
    """The construction unit, every department, and the bodies that review the project by commission."""
    return projects.is_owner(project, actor) or actor.has(*DEPARTMENTS) or _reviews(project, actor)


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: who may see a set reads its drawings, those of earlier editions too."""
    if actor is None:
        return False
    statement = select(Sheet).join(SheetVersion).where(SheetVersion.document_id == document.id)
    return any(may_see(sheet.project, actor) for sheet in session.scalars(statement).unique())


def _reviews(project: Project, actor: Actor) -> bool:
    if actor.organisation_id is None or not actor.has(Role.AGENCY.value):
        return False
    found = session.scalars(
        select(Commission.id)
        .join(Agency, Agency.id == Commission.agency_id)
        .join(ServiceItem, ServiceItem.id == Commission.item_id)
        .where(
            Commission.project_id == project.id,
            Agency.organisation_id == actor.organisation_id,
            ServiceItem.technical_review.is_(True),
            Commission.taken_on_at.is_not(None),
            Commission.status.not_in((CommissionStatus.CANCELLED, CommissionStatus.DRAFT)),
        )
        .limit(1)
    ).first()
    return found is not None


def _versions(project: Project) -> list[SheetVersion]:
    """Of the project's first sheets, in the order in which they replace each other."""
    first = select(Sheet.id).where(Sheet.project_id == project.id).order_by(Sheet.id).limit(MOST_SHEETS)
    statement = select(SheetVersion).where(SheetVersion.sheet_id.in_(first))
    return list(session.scalars(statement.order_by(SheetVersion.sheet_id, SheetVersion.edition)))


def _is_withdrawn(version: SheetVersion, moment: datetime, known_at: datetime | None) -> bool:
    ended = version.withdrawal
    return ended is not None and ended.at <= moment and (known_at is None or ended.at <= known_at)
