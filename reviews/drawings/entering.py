"""Entering drawings: a batch at once, each a new sheet or a new edition of one; and ending a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from kernel import clock, notifications, numbers, projects, trail, workflow
from kernel.access import Role
from kernel.db import session
from kernel.dossier import ReasonMissing
from kernel.errors import Invalids, PortalError
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.trail import Actor
from reviews.drawings.approving import Touched, touched_by
from reviews.drawings.faults import (
    DisciplineMissing,
    EffectiveTooEarly,
    NothingEntered,
    NotTheOwner,
    SameContent,
    SameSheetTwice,
    TitleMissing,
    VersionWithdrawn,
)
from reviews.drawings.finding import state_of
from reviews.drawings.names import LONGEST_TITLE, parse_number
from reviews.drawings.records import (
    REFERENCE,
    Discipline,
    DrawingStage,
    Sheet,
    SheetVersion,
    SheetWithdrawal,
    subject_of,
)

_OWNERS = (Role.APPLICANT.value, Role.ASSISTANT.value, Role.AUTHORITY.value)


@dataclass(frozen=True, slots=True)
class NewSheet:
    """One drawing of a batch; ``effective_at`` None means from now on. ``field`` is the form row's prefix."""

    document: Document
    discipline: Discipline | None
    number: str
    title: str
    stage: DrawingStage = DrawingStage.CONSTRUCTION
    phase: Phase | None = None
    effective_at: datetime | None = None
    note: str = ""
    field: str = ""

    def key(self, project: Project) -> tuple[str, Discipline, str]:
        """Engineering code, discipline and number, by which a sheet is known.

        Raises:
            DisciplineMissing, SheetNumberInvalid: with the field of this row.
        """
        number = parse_number(self.number, field=self._named("number"))
        if self.discipline is None:
            raise DisciplineMissing(field=self._named("discipline"), number=number)
        return (self.phase.code if self.phase else project.code), self.discipline, number

    def _named(self, name: str) -> str:
        return f"{self.field}{name}"


def may_enter(project: Project, actor: Actor) -> bool:
    """The project's construction unit, or who helps it in its name."""
    return projects.is_owner(project, actor) and actor.has(*_OWNERS)


def check(project: Project, parts: Sequence[NewSheet]) -> list[tuple[NewSheet, SheetVersion | None]]:
    """What would be entered: each drawing with the version that it takes the place of, None for a new sheet.

    Raises:
        NothingEntered; Invalids or one of this package's incidents: everything that is wrong, each at its row.
    """
    if not parts:
        raise NothingEntered(field="files")
    faults: list[PortalError] = []
    seen: set[tuple[str, Discipline, str]] = set()
    found: list[tuple[NewSheet, SheetVersion | None]] = []
    for part in parts:
        try:
            found.append((part, _replaced(project, part, seen)))
        except PortalError as error:
            faults.append(error)
        if not part.title.strip():
            faults.append(TitleMissing(field=f"{part.field}title", number=part.number.strip() or part.document.name))
    if faults:
        raise faults[0] if len(faults) == 1 else Invalids(faults)
    return found


def add(
    project: Project, parts: Sequence[NewSheet], *, by: Actor, expected_state: int | None = None
) -> list[SheetVersion]:
    """图纸归入: one act for the whole batch; those whose approvals it touches are told.

    ``expected_state`` is :func:`~reviews.drawings.finding.state_of` as the actor saw it.

    Raises:
        NotTheOwner; workflow.StaleVersion: the set was changed meanwhile; what :func:`check` raises.
    """
    if not may_enter(project, by):
        raise NotTheOwner
    # Editions are counted one batch after the other.
    session.scalars(
        select(Project)
        .where(Project.id == project.id)
        .with_for_update(of=Project)
        .execution_options(populate_existing=True)
    ).one()
    state = state_of(project)
    if expected_state is not None and expected_state != state:
        raise workflow.StaleVersion(current=state)
    checked = check(project, parts)
    touched = touched_by(project, [part.key(project) for part, _ in checked])
    moment = clock.now()
    made = [_enter(project, part, earlier, by, moment) for part, earlier in checked]
    session.flush()
    trail.record(
        subject_of(project),
        "drawings.entered",
        by=by,
        at=moment,
        sheets=[_as_json(version) for version in made],
        touched=sorted({line.subject for one in touched for line in one.approvals}),
    )
    _tell(project, touched, moment)
    return made


def withdraw(version: SheetVersion, reason: str, *, by: Actor) -> SheetWithdrawal:
    """图纸作废: the version is in force no more; those who approved it are told.

    Raises:
        NotTheOwner, dossier.ReasonMissing, VersionWithdrawn.
    """
    sheet = version.sheet
    if not may_enter(sheet.project, by):
        raise NotTheOwner
    if not reason.strip():
        raise ReasonMissing(field="reason")
    session.scalars(
        select(Project)
        .where(Project.id == sheet.project_id)
        .with_for_update(of=Project)
        .execution_options(populate_existing=True)
    ).one()
    if session.scalars(select(SheetWithdrawal.id).where(SheetWithdrawal.version_id == version.id)).first() is not None:
        raise VersionWithdrawn(number=sheet.number, edition=version.edition)
    moment = clock.now()
    ended = SheetWithdrawal(
        version=version, reason=reason.strip(), at=moment, organisation=by.organisation, person=by.person
    )
    session.add(ended)
    session.flush()
    touched = touched_by(sheet.project, [(sheet.engineering_code, sheet.discipline, sheet.number)])
    trail.record(
        subject_of(sheet.project), "drawings.withdrawn", by=by, at=moment, reason=ended.reason, sheet=_as_json(version)
    )
    _tell(sheet.project, touched, moment, reason=ended.reason)
    return ended


def _replaced(project: Project, part: NewSheet, seen: set[tuple[str, Discipline, str]]) -> SheetVersion | None:
    """The latest version of the sheet that a drawing is a new edition of."""
    key = part.key(project)
    if key in seen:
        raise SameSheetTwice(field=f"{part.field}number", number=key[2])
    seen.add(key)
    code, discipline, number = key
    latest = session.scalars(
        select(SheetVersion)
        .join(Sheet)
        .where(Sheet.engineering_code == code, Sheet.discipline == discipline, Sheet.number == number)
        .order_by(SheetVersion.edition.desc())
        .limit(1)
    ).first()
    if latest is None:
        return None
    if latest.withdrawal is None and latest.sha256 == part.document.sha256 and latest.stage == part.stage:
        raise SameContent(field=f"{part.field}number", number=number, edition=latest.edition)
    if part.effective_at is not None and part.effective_at < latest.effective_at:
        day = clock.local_date(latest.effective_at).isoformat()
        raise EffectiveTooEarly(field="effective_on", number=number, edition=latest.edition, day=day)
    return latest


def _enter(project: Project, part: NewSheet, earlier: SheetVersion | None, by: Actor, moment: datetime) -> SheetVersion:
    code, discipline, number = part.key(project)
    sheet = earlier.sheet if earlier is not None else None
    if sheet is None:
        sheet = Sheet(
            reference=numbers.following(REFERENCE),
            project=project,
            phase=part.phase,
            engineering_code=code,
            discipline=discipline,
            number=number,
            entered_at=moment,
        )
        session.add(sheet)
    # What is drawn for now can't be in force before an edition that takes effect later.
    effective = part.effective_at or (max(moment, earlier.effective_at) if earlier is not None else moment)
    version = SheetVersion(
        sheet=sheet,
        edition=earlier.edition + 1 if earlier is not None else 1,
        title=" ".join(part.title.split())[:LONGEST_TITLE],
        stage=part.stage,
        document=part.document,
        sha256=part.document.sha256,
        effective_at=effective,
        entered_at=moment,
        organisation_id=by.organisation_id,
        organisation=by.organisation,
        person_id=by.person_id,
        person=by.person,
        note=part.note.strip(),
    )
    session.add(version)
    return version


def _as_json(version: SheetVersion) -> dict[str, object]:
    return {
        "sheet": version.sheet.reference,
        "discipline": version.sheet.discipline.value,
        "number": version.sheet.number,
        "edition": version.edition,
        "stage": version.stage.value,
        "sha256": version.sha256,
    }


def _tell(project: Project, touched: Sequence[Touched], moment: datetime, *, reason: str = "") -> None:
    """One line for each organisation whose approvals stand on what was changed."""
    by_organisation: dict[int, dict[str, list[str]]] = {}
    for one in touched:
        for line in one.approvals:
            if line.organisation_id is not None:
                decided = by_organisation.setdefault(line.organisation_id, {}).setdefault(one.sheet.number, [])
                if line.title not in decided:
                    decided.append(line.title)
    for organisation_id, sheets in sorted(by_organisation.items()):
        names = list(sheets)
        more = f" 等 {len(names)} 张" if len(names) > 1 else ""
        notifications.tell_organisation(
            organisation_id,
            subject=subject_of(project),
            act="drawings.changed",
            title=f"{project.name}：{names[0]}{more}",
            is_warning=True,
            at=moment,
            sheets=sheets,
            reason=reason,
        )
