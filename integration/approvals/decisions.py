"""Decisions: what a department decided, and which document versions it relied on (000 §9.4, A13, life-cycles §4).

What the approver pulls in is kept as a selection until the decision; the decision pins each document with its
SHA-256 through :func:`kernel.dossier.rely` and is never changed. When a version it relied on is later superseded,
expires or is withdrawn, the decision's page warns and its approvers are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from integration.approvals import matters
from integration.approvals.cases import Case
from integration.approvals.matters import Matter, OtherProjectsDocument, Outcome, ReasonMissing
from kernel import clock, dossier, numbers, timekeeping, workflow
from kernel.access import Role
from kernel.db import HISTORY, Keyed, WordColumn, session
from kernel.dossier import CannotRely, Entry, Standing, Use
from kernel.files import Document
from kernel.trail import Actor

NUMBER = numbers.series("JD")


class Selected(Keyed):
    """An entry the approver means to rely on; only until the decision."""

    __tablename__ = "matter_evidence"
    matter_id: Mapped[int] = mapped_column(ForeignKey("matters.id"))
    entry_id: Mapped[int] = mapped_column(ForeignKey("dossier_entries.id"))
    person: Mapped[str]
    selected_at: Mapped[datetime]
    entry: Mapped[Entry] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("matter_id", "entry_id"),)


class Decision(Keyed):
    """One decision on one matter; never changed."""

    __tablename__ = "decisions"
    number: Mapped[str] = mapped_column(unique=True)
    matter_id: Mapped[int] = mapped_column(ForeignKey("matters.id"), unique=True)
    outcome: Mapped[Outcome] = mapped_column(WordColumn(Outcome))
    opinion: Mapped[str]
    decided_at: Mapped[datetime]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    organisation: Mapped[str]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    person: Mapped[str]
    matter: Mapped[Matter] = relationship()
    evidence: Mapped[list[DecisionEvidence]] = relationship(lazy="selectin", order_by="DecisionEvidence.id")
    __table_args__ = (HISTORY,)

    @property
    def subject(self) -> str:
        return f"decision:{self.number}"


class DecisionEvidence(Keyed):
    """One document version a decision relied on: the document, and its fingerprint at that instant."""

    __tablename__ = "decision_evidence"
    decision_id: Mapped[int] = mapped_column(ForeignKey("decisions.id"))
    entry_id: Mapped[int] = mapped_column(ForeignKey("dossier_entries.id"))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    use_id: Mapped[int] = mapped_column(ForeignKey("dossier_uses.id"))
    sha256: Mapped[str]
    entry: Mapped[Entry] = relationship(lazy="joined")
    document: Mapped[Document] = relationship(lazy="joined")
    use: Mapped[Use] = relationship()
    __table_args__ = (
        Index("ix_decision_evidence_decision", "decision_id"),
        Index("ix_decision_evidence_document", "document_id"),
        HISTORY,
    )


def offerable(matter: Matter) -> list[tuple[Entry, Standing]]:
    """Every document of the project with its standing today: what can be relied on first, then newest first."""
    today = clock.today()
    rows = [(entry, dossier.stand(entry, today)) for entry in dossier.entries_of(matter.project)]
    return sorted(rows, key=lambda row: (not row[1].can_rely, -row[0].id))


def selected(matter: Matter) -> list[Entry]:
    """What the approver means to rely on, in the order of choosing."""
    rows = session.scalars(select(Selected).where(Selected.matter_id == matter.id).order_by(Selected.id))
    return [row.entry for row in rows]


def cite(matter: Matter, entry: Entry, *, by: Actor, expected_version: int | None = None) -> None:
    """引用成果材料: pull a document into the decision to come. Citing it again changes nothing.

    Raises:
        OtherProjectsDocument, dossier.CannotRely (409, with the reason), workflow errors.
    """
    workflow.check(matter, matters.STEPS, "grant", by=by, expected_version=expected_version)
    if entry.project_id != matter.case.project_id:
        raise OtherProjectsDocument(field="evidence", number=entry.number)
    standing = dossier.stand(entry, clock.today())
    if not standing.can_rely:
        raise CannotRely(field="evidence", number=entry.number, reason=standing.reason_zh, reason_en=standing.reason_en)
    if entry not in selected(matter):
        session.add(
            Selected(
                matter_id=matter.id,
                entry=entry,
                person=f"{by.organisation} {by.person}",
                selected_at=clock.now(),
            )
        )
        session.flush()


def put_back(matter: Matter, entry: Entry, *, by: Actor, expected_version: int | None = None) -> None:
    """Take a document out of the selection, before the decision."""
    workflow.check(matter, matters.STEPS, "grant", by=by, expected_version=expected_version)
    session.execute(delete(Selected).where(Selected.matter_id == matter.id, Selected.entry_id == entry.id))


def decide(
    matter: Matter,
    outcome: Outcome,
    opinion: str,
    *,
    by: Actor,
    evidence: Sequence[Entry] | None = None,
    expected_version: int | None = None,
) -> Decision:
    """办结: stamped, with document and SHA-256 of everything relied on (the selection, unless ``evidence`` is given).

    Raises:
        ReasonMissing: a refusal without its reason. OtherProjectsDocument.
        dossier.CannotRely: a document lost its standing meanwhile (409, named). workflow errors.
    """
    action = "grant" if outcome is Outcome.GRANTED else "refuse"
    workflow.check(matter, matters.STEPS, action, by=by, expected_version=expected_version)
    if outcome is Outcome.REFUSED and not opinion.strip():
        raise ReasonMissing(field="opinion")
    entries = sorted(selected(matter) if evidence is None else evidence, key=lambda entry: entry.id)
    for entry in entries:
        if entry.project_id != matter.case.project_id:
            raise OtherProjectsDocument(field="evidence", number=entry.number)
    # In key order, because each is locked.
    uses = [
        dossier.rely(entry, relied_for=matter.subject, relied_for_title=matter.title, project=matter.project, by=by)
        for entry in entries
    ]
    moment = clock.now()
    decision = Decision(
        number=numbers.following(NUMBER),
        matter=matter,
        outcome=outcome,
        opinion=opinion.strip(),
        decided_at=moment,
        organisation_id=by.organisation_id,
        organisation=by.organisation,
        person_id=by.person_id,
        person=by.person,
        evidence=[
            DecisionEvidence(entry=use.entry, document=use.entry.document, use=use, sha256=use.sha256) for use in uses
        ],
    )
    session.add(decision)
    session.flush()
    matter.outcome = outcome
    workflow.step(
        matter,
        matters.STEPS,
        action,
        by=by,
        at=moment,
        expected_version=expected_version,
        decision=decision.number,
        evidence=[{"entry": use.entry.number, "sha256": use.sha256} for use in uses],
    )
    timekeeping.end_all(matter.subject, by=by, at=moment)
    session.execute(delete(Selected).where(Selected.matter_id == matter.id))
    matters.close_case(matter, by=by)
    matters.tell_client(matter, f"matter.{outcome.value}", is_warning=outcome is Outcome.REFUSED)
    return decision


def of_matter(matter: Matter) -> Decision | None:
    return session.scalars(select(Decision).where(Decision.matter_id == matter.id)).first()


@dataclass(frozen=True, slots=True)
class Warned:
    """A document a decision relied on that has lost its standing since, with the reason and the instant."""

    evidence: DecisionEvidence
    standing: Standing
    at: datetime | None


def warnings(decision: Decision) -> list[Warned]:
    """What has happened since to the documents a decision relied on."""
    today = clock.today()
    found = []
    for evidence in decision.evidence:
        entry = evidence.entry
        standing = dossier.stand(entry, today)
        if not standing.can_rely:
            found.append(Warned(evidence, standing, entry.withdrawn_at or entry.expired_at or entry.superseded_at))
    return found


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: what was handed in for a matter or lies in its project's dossier.

    The window and the department read through a matter of theirs; the construction unit reads its own dossier.
    """
    if actor is None:
        return False
    if matters.may_read(document, actor):
        return True
    entries = session.scalars(select(Entry).where(Entry.document_id == document.id)).all()
    if any(entry.project.organisation_id == actor.organisation_id for entry in entries):
        return True
    if not actor.has(Role.WINDOW.value, Role.APPROVER.value, Role.SUPERVISOR.value, Role.AUDITOR.value):
        return False
    running = session.scalars(
        select(Matter)
        .join(Case, Matter.case_id == Case.id)
        .where(Case.project_id.in_({entry.project_id for entry in entries}))
    )
    return any(matters.can_see(matter, actor) for matter in running)
