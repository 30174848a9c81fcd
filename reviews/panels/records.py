"""A seat on a review's panel as it is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import workflow
from kernel.accounts import Organisation, Person
from kernel.db import Keyed, WordColumn
from kernel.words import Worded
from reviews.experts import Expert
from reviews.technical import TechnicalReview


class SeatKind(Worded):
    LEAD = "lead", "审查负责人", "Lead reviewer"
    REVIEWER = "reviewer", "审查人员", "Reviewer"
    EXPERT = "expert", "专家", "Expert"
    DEPARTMENT = "department", "联合审查部门", "Department"


class SeatStatus(Worded):
    INVITED = "invited", "待申报", "Declaration awaited"
    SERVING = "serving", "参加审查", "Serving"
    CONFLICTED = "conflicted", "有利害关系，暂停参加", "Conflict: may not serve"
    REPLACED = "replaced", "已更换", "Replaced"


#: The life of a seat.
TURNS: workflow.Turns = {
    "declare": (("invited",), "serving"),
    "declare_conflict": (("invited", "serving"), "conflicted"),
    "waive": (("conflicted",), "serving"),
    "replace": (("invited", "serving", "conflicted"), "replaced"),
}


class Seat(Keyed):
    """One seat. A department's is held by whoever speaks for it, any other by one person.

    ``conflicts``: what was declared or found, each {kind, zh, en, is_waivable}; ``draw``: the draw that chose the expert,
    '' for one who was appointed. ``replaces_id``: the seat that this one took over.
    """

    __tablename__ = "review_seats"
    review_id: Mapped[int] = mapped_column(ForeignKey("technical_reviews.id"))
    kind: Mapped[SeatKind] = mapped_column(WordColumn(SeatKind))
    status: Mapped[SeatStatus] = mapped_column(WordColumn(SeatStatus))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    expert_id: Mapped[int | None] = mapped_column(ForeignKey("experts.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str]
    discipline: Mapped[str]
    draw: Mapped[str] = mapped_column(default="")
    conflicts: Mapped[list[Any]]
    statement: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    decided_by: Mapped[str] = mapped_column(default="")
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("review_seats.id"))
    invited_at: Mapped[datetime]
    declared_at: Mapped[datetime | None]
    replaced_at: Mapped[datetime | None]
    review: Mapped[TechnicalReview] = relationship()
    person: Mapped[Person | None] = relationship()
    expert: Mapped[Expert | None] = relationship()
    organisation: Mapped[Organisation | None] = relationship()
    __table_args__ = (
        CheckConstraint("(kind = 'department') = (person_id IS NULL)", name="department_or_person"),
        Index("ix_review_seats_review", "review_id", "id"),
        Index(
            "uq_review_seats_person",
            "review_id",
            "person_id",
            unique=True,
            postgresql_where=text("person_id IS NOT NULL AND status <> 'replaced'"),
        ),
        Index(
            "uq_review_seats_department",
            "review_id",
            "organisation_id",
            "discipline",
            unique=True,
            postgresql_where=text("kind = 'department' AND status <> 'replaced'"),
        ),
        Index("ix_review_seats_person_id", "person_id", postgresql_where=text("status <> 'replaced'")),
    )

    @property
    def is_serving(self) -> bool:
        return self.status is SeatStatus.SERVING
