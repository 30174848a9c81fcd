"""Who approved exactly which version, and which approvals a changed sheet touches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import lazyload

from kernel import clock, trail
from kernel.db import session
from kernel.dossier import Use
from kernel.projects import Project
from kernel.trail import Actor
from reviews.drawings.finding import versions_of_hash
from reviews.drawings.records import Discipline, Sheet, SheetApproval, SheetVersion, subject_of


@dataclass(frozen=True, slots=True)
class ApprovalLine:
    """One who approved a version or relied on it: for which subject, in words, and when."""

    edition: int
    subject: str
    title: str
    organisation_id: int | None
    organisation: str
    person: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Touched:
    """A sheet that would change, with the approvals that stand on any of its versions."""

    sheet: Sheet
    approvals: tuple[ApprovalLine, ...]


def approve(
    sha256s: Sequence[str], *, subject: str, title: str, by: Actor, project: Project | None = None
) -> list[SheetApproval]:
    """Record that the decision ``subject`` stands on the drawings with these contents; asking twice records once.

    Contents that are no sheet's are passed over: a review reads other documents too.
    """
    versions = versions_of_hash(sha256s, project=project)
    known = set(
        session.scalars(
            select(SheetApproval.version_id).where(
                SheetApproval.decided == subject, SheetApproval.version_id.in_([version.id for version in versions])
            )
        )
    )
    moment = clock.now()
    made = [
        SheetApproval(
            version=version,
            sha256=version.sha256,
            decided=subject,
            decided_title=title,
            organisation_id=by.organisation_id,
            organisation=by.organisation,
            person_id=by.person_id,
            person=by.person,
            at=moment,
        )
        for version in versions
        if version.id not in known
    ]
    session.add_all(made)
    session.flush()
    by_project: dict[int, list[SheetApproval]] = {}
    for one in made:
        by_project.setdefault(one.version.sheet.project_id, []).append(one)
    for rows in by_project.values():
        trail.record(
            subject_of(rows[0].version.sheet.project),
            "drawings.approved",
            by=by,
            at=moment,
            decided=subject,
            sheets=[
                {"number": row.version.sheet.number, "edition": row.version.edition, "sha256": row.sha256}
                for row in rows
            ],
        )
    return made


def approvals_of(version: SheetVersion) -> list[ApprovalLine]:
    """Who approved or relied on exactly this content of this sheet, oldest first."""
    return approvals_by_version([version], version.sheet.project_id).get(version.id, [])


def approvals_by_version(versions: Sequence[SheetVersion], project_id: int) -> dict[int, list[ApprovalLine]]:
    """For many versions of one project at once, by the version's key: the register's approvals and the dossier's
    reliances (:func:`kernel.dossier.uses_of_hash`) under this project, each decision once.
    """
    by_id = {version.id: version for version in versions}
    by_hash: dict[str, list[SheetVersion]] = {}
    for version in versions:
        by_hash.setdefault(version.sha256, []).append(version)
    found: dict[int, dict[str, ApprovalLine]] = {}
    approvals = session.scalars(
        select(SheetApproval).where(SheetApproval.version_id.in_(by_id)).options(lazyload(SheetApproval.version))
    )
    for one in approvals:
        edition = by_id[one.version_id].edition
        line = ApprovalLine(
            edition, one.decided, one.decided_title, one.organisation_id, one.organisation, one.person, one.at
        )
        found.setdefault(one.version_id, {})[one.decided] = line
    uses = session.scalars(
        select(Use).where(Use.sha256.in_(by_hash), Use.project_id == project_id).options(lazyload(Use.entry))
    )
    for use in uses:
        for version in by_hash[use.sha256]:
            line = ApprovalLine(
                version.edition,
                use.relied_for,
                use.relied_for_title,
                use.organisation_id,
                use.organisation,
                use.person,
                use.at,
            )
            found.setdefault(version.id, {}).setdefault(use.relied_for, line)
    return {key: sorted(lines.values(), key=_order) for key, lines in found.items()}


def touched_by(project: Project, changes: Iterable[tuple[str, Discipline, str]]) -> list[Touched]:
    """The approvals that new editions would touch; ``changes``: (engineering code, discipline, number) of each sheet.

    Approvals of every version count: one that stands on the first edition is touched by the third as well.
    """
    wanted = set(changes)
    sheets = {
        sheet.id: sheet
        for sheet in session.scalars(
            select(Sheet).where(Sheet.project_id == project.id, Sheet.number.in_({number for _, _, number in wanted}))
        )
        if (sheet.engineering_code, sheet.discipline, sheet.number) in wanted
    }
    if not sheets:
        return []
    versions = list(session.scalars(select(SheetVersion).where(SheetVersion.sheet_id.in_(sheets))))
    lines: dict[int, list[ApprovalLine]] = {}
    by_version = approvals_by_version(versions, project.id)
    for version in versions:
        lines.setdefault(version.sheet_id, []).extend(by_version.get(version.id, []))
    return [
        Touched(sheet, tuple(sorted(lines[key], key=_order))) for key, sheet in sorted(sheets.items()) if lines[key]
    ]


def _order(line: ApprovalLine) -> tuple[datetime, int, str]:
    return line.at, line.edition, line.subject
