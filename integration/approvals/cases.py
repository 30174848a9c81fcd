"""Cases: the envelope in which matters are handed in at the window (000 §7.1–7.2, life-cycles §4).

A case carries the registration of papers (接件); acceptance belongs to each matter in it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, numbers, trail, workflow
from kernel.access import Role
from kernel.accounts import Organisation
from kernel.db import Keyed, WordColumn, session
from kernel.projects import Phase, Project
from kernel.trail import Actor
from kernel.words import Worded

NUMBER = numbers.series("BJ")

trail.name_acts(
    {
        "case.submitted": ("提交申报", "Application submitted"),
        "case.received": ("接件", "Received at the window"),
        "case.closed": ("办件办结", "Case closed"),
        "case.withdrawn": ("撤回申报", "Application withdrawn"),
    }
)


class CaseStatus(Worded):
    DRAFT = "draft", "填报中", "Draft"
    SUBMITTED = "submitted", "待接件", "Submitted"
    RECEIVED = "received", "已接件", "Received"
    CLOSED = "closed", "已办结", "Closed"
    WITHDRAWN = "withdrawn", "已撤回", "Withdrawn"


class Case(Keyed):
    """One application of one construction unit under one project code."""

    __tablename__ = "cases"
    number: Mapped[str] = mapped_column(unique=True)
    status: Mapped[CaseStatus] = mapped_column(WordColumn(CaseStatus))
    version: Mapped[int] = mapped_column(default=1)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    phase_id: Mapped[int | None] = mapped_column(ForeignKey("phases.id"))
    client_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    draft_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    received_by: Mapped[str] = mapped_column(default="")
    closed_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    project: Mapped[Project] = relationship(lazy="joined")
    phase: Mapped[Phase | None] = relationship(lazy="joined")
    client: Mapped[Organisation] = relationship(lazy="joined")
    __table_args__ = (
        Index("ix_cases_project", "project_id", "id"),
        Index("ix_cases_client", "client_id", "id"),
    )

    @property
    def subject(self) -> str:
        return f"case:{self.number}"

    @property
    def engineering_code(self) -> str:
        return self.phase.code if self.phase else self.project.code


def by_client(case: Case, actor: Actor) -> bool:
    """The construction unit, or whoever assists it."""
    return actor.organisation_id == case.client_id and actor.has(
        Role.APPLICANT.value, Role.ASSISTANT.value, Role.AUTHORITY.value
    )


def by_window(case: Case, actor: Actor) -> bool:
    return actor.has(Role.WINDOW.value)


def by_anyone_deciding(case: Case, actor: Actor) -> bool:
    """Closing follows from the last matter's end, whoever brought that about."""
    return True


STEPS: workflow.Steps = {
    "submit": workflow.Step(("draft",), "submitted", "case.submitted", by_client),
    "receive": workflow.Step(("submitted",), "received", "case.received", by_window),
    "withdraw": workflow.Step(("draft", "submitted", "received"), "withdrawn", "case.withdrawn", by_client),
    "close": workflow.Step(("received",), "closed", "case.closed", by_anyone_deciding),
}


def draft(project: Project, client: Organisation, *, phase: Phase | None = None) -> Case:
    """Begin a case; nobody but the client sees it before it is submitted."""
    case = Case(
        number=numbers.following(NUMBER),
        status=CaseStatus.DRAFT,
        version=1,
        project=project,
        phase=phase,
        client=client,
        draft_at=clock.now(),
    )
    session.add(case)
    session.flush()
    return case
