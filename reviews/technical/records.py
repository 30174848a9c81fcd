"""The technical review as it is stored."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import numbers
from kernel.accounts import Organisation, Person
from kernel.db import Keyed, WordColumn
from kernel.projects import Phase, Project
from kernel.words import Worded
from market.commissions import Commission
from market.deliverables import Deliverable
from reviews.kinds import ReviewKind

NUMBER = numbers.series("JS")


class ReviewStatus(Worded):
    ASSIGNING = "assigning", "组建审查组", "Panel being formed"
    REVIEWING = "reviewing", "审查中", "Under review"
    WITH_APPLICANT = "with_applicant", "待申请人答复", "With the applicant"
    CONCLUDED = "concluded", "已作结论，待签发", "Concluded, to be signed"
    FINISHED = "finished", "已办结", "Finished"
    ENDED = "ended", "已终止", "Ended with its service"


#: Nothing more happens in these.
OVER = (ReviewStatus.FINISHED, ReviewStatus.ENDED)


class Outcome(Worded):
    """How a review ends; asking for changes is the third outcome of a round and ends nothing."""

    PASSED = "passed", "审查合格", "Passed"
    FAILED = "failed", "审查不合格", "Not passed"


class TechnicalReview(Keyed):
    """One review. ``body`` reviews, ``lead`` leads it, ``second`` signed second.

    ``applied_on``: the day of application, which picks the criteria. ``fields``: the applicant's structured figures by
    code. ``report_sha256`` and ``report_size`` (bytes): of the report before anybody signed it; ``report_document`` is the signed one.
    """

    __tablename__ = "technical_reviews"
    number: Mapped[str] = mapped_column(unique=True)
    status: Mapped[ReviewStatus] = mapped_column(WordColumn(ReviewStatus))
    version: Mapped[int] = mapped_column(default=1)
    kind_id: Mapped[int] = mapped_column(ForeignKey("review_kinds.id"))
    commission_id: Mapped[int | None] = mapped_column(ForeignKey("commissions.id"), unique=True)
    deliverable_id: Mapped[int | None] = mapped_column(ForeignKey("deliverables.id"))
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    phase_id: Mapped[int | None] = mapped_column(ForeignKey("phases.id"))
    applicant_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    body_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    second_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    basis: Mapped[str] = mapped_column(default="")
    applied_on: Mapped[date]
    fields: Mapped[dict[str, Any]]
    outcome: Mapped[Outcome | None] = mapped_column(WordColumn(Outcome))
    summary: Mapped[str] = mapped_column(default="")
    valid_until: Mapped[date | None]
    proposed_at: Mapped[datetime | None]
    retraction: Mapped[str] = mapped_column(default="")
    report_sha256: Mapped[str] = mapped_column(default="")
    report_size: Mapped[int] = mapped_column(default=0)
    report_document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    begun_at: Mapped[datetime]
    reviewing_at: Mapped[datetime | None]
    concluded_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    kind: Mapped[ReviewKind] = relationship(lazy="joined")
    commission: Mapped[Commission | None] = relationship(lazy="joined")
    deliverable: Mapped[Deliverable | None] = relationship()
    project: Mapped[Project] = relationship(lazy="joined")
    phase: Mapped[Phase | None] = relationship(lazy="joined")
    applicant: Mapped[Organisation] = relationship(foreign_keys=[applicant_id], lazy="joined")
    body: Mapped[Organisation] = relationship(foreign_keys=[body_id], lazy="joined")
    lead: Mapped[Person] = relationship(foreign_keys=[lead_id], lazy="joined")
    second: Mapped[Person | None] = relationship(foreign_keys=[second_id])
    __table_args__ = (
        CheckConstraint("(commission_id IS NULL) <> (deliverable_id IS NULL)", name="of_one"),
        # One panel at a time judges a deliverable.
        Index(
            "uq_technical_reviews_open_deliverable",
            "deliverable_id",
            unique=True,
            postgresql_where=text("deliverable_id IS NOT NULL AND status NOT IN ('finished', 'ended')"),
        ),
        Index("ix_technical_reviews_body", "body_id", "id"),
        Index("ix_technical_reviews_project", "project_id", "id"),
        Index("ix_technical_reviews_applicant", "applicant_id", "id"),
    )

    @property
    def subject(self) -> str:
        return f"review:{self.number}"

    @property
    def title(self) -> str:
        return f"{self.kind.zh}（{self.number}）"

    @property
    def engineering_code(self) -> str:
        return self.phase.code if self.phase else self.project.code

    def drop_proposal(self) -> None:
        """A proposed conclusion is void: what it rests on has changed, or whoever proposed it leads no longer."""
        self.outcome = None
        self.proposed_at = None

    @property
    def is_over(self) -> bool:
        return self.status in OVER
