"""A round and what is said in it, as stored. Documents, answers and rulings are only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import workflow
from kernel.db import HISTORY, Keyed, WordColumn
from kernel.files import Document
from kernel.words import Worded
from reviews.checks import Outcome as CheckOutcome
from reviews.kinds import Criterion, Grade
from reviews.panels import Seat
from reviews.technical import TechnicalReview


class OpinionStatus(Worded):
    DRAFTED = "drafted", "草稿", "Draft"
    SUBMITTED = "submitted", "已提交", "Submitted"
    MERGED = "merged", "已合并", "Merged"
    OPEN = "open", "未落实", "Open"
    CLOSED = "closed", "已落实", "Closed"


class Feedback(Worded):
    """What a seat's answer to a round is; only the first two are given by its holder."""

    OPINIONS = "opinions", "有意见", "Opinions"
    NO_COMMENT = "no_comment", "无意见", "No comment"
    SILENT = "silent", "逾期未反馈", "No answer in time"


class Stance(Worded):
    CORRECTED = "corrected", "已修改", "Corrected"
    EXPLAINED = "explained", "作出说明", "Explained"
    CONTESTED = "contested", "有异议", "Contested"


class RulingKind(Worded):
    CLOSED = "closed", "已落实", "Closed"
    MAINTAINED = "maintained", "维持意见", "Maintained"


class PlaceKind(Worded):
    SAME = "same", "文件未变", "Document unchanged"
    FOUND = "found", "原位置", "Where it was"
    MOVED = "moved", "已移至新位置", "Moved"
    CHANGED = "changed", "原文已变化", "Place changed"


class Round(Keyed):
    """One round on frozen document versions. ``all_in_at``: everybody asked has answered or was closed as silent."""

    __tablename__ = "review_rounds"
    review_id: Mapped[int] = mapped_column(ForeignKey("technical_reviews.id"))
    number: Mapped[int]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    all_in_at: Mapped[datetime | None]
    issued_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    review: Mapped[TechnicalReview] = relationship()
    documents: Mapped[list[RoundDocument]] = relationship(lazy="selectin", order_by="RoundDocument.position")
    asked: Mapped[list[RoundSeat]] = relationship(lazy="selectin", order_by="RoundSeat.id")
    __table_args__ = (
        Index(
            "uq_review_rounds_number", "review_id", "number", unique=True, postgresql_where=text("cancelled_at IS NULL")
        ),
        # One open round: acting on an older one is a conflict.
        Index(
            "uq_review_rounds_open",
            "review_id",
            unique=True,
            postgresql_where=text("closed_at IS NULL AND cancelled_at IS NULL"),
        ),
    )


class RoundDocument(Keyed):
    """One document version frozen into a round; ``slot`` is its place in the set (the kind's material code)."""

    __tablename__ = "review_documents"
    round_id: Mapped[int] = mapped_column(ForeignKey("review_rounds.id"))
    slot: Mapped[str]
    title: Mapped[str]
    position: Mapped[int]
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    sha256: Mapped[str]
    edition: Mapped[int]
    is_changed: Mapped[bool]
    document: Mapped[Document] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("round_id", "slot"),
        Index("ix_review_documents_document", "document_id"),
        Index("ix_review_documents_sha256", "sha256"),
        HISTORY,
    )


class RoundSeat(Keyed):
    """Who is asked in a round, until when, and the answer as a whole."""

    __tablename__ = "review_round_seats"
    round_id: Mapped[int] = mapped_column(ForeignKey("review_rounds.id"))
    seat_id: Mapped[int] = mapped_column(ForeignKey("review_seats.id"))
    feedback: Mapped[Feedback | None] = mapped_column(WordColumn(Feedback))
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str] = mapped_column(default="")
    late_answer: Mapped[str] = mapped_column(default="")
    late_at: Mapped[datetime | None]
    seat: Mapped[Seat] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("round_id", "seat_id"),)


#: The life of an opinion.
OPINION_TURNS: workflow.Turns = {
    "submit": (("drafted",), "submitted"),
    "merge": (("submitted",), "merged"),
    "issue": (("submitted",), "open"),
    "close": (("open",), "closed"),
}


class Opinion(Keyed):
    """One opinion. Before it is submitted its author may change it; afterwards only its standing changes.

    ``key``: a random word for addresses, so that nobody counts others' drafts; ``number``: given when issued. ``page``
    counts from 1 (None: the whole document), ``box`` is [x, y, width, height] in thousandths of the page or None.
    """

    __tablename__ = "review_opinions"
    key: Mapped[str] = mapped_column(unique=True)
    review_id: Mapped[int] = mapped_column(ForeignKey("technical_reviews.id"))
    round_id: Mapped[int] = mapped_column(ForeignKey("review_rounds.id"))
    seat_id: Mapped[int] = mapped_column(ForeignKey("review_seats.id"))
    number: Mapped[int | None]
    status: Mapped[OpinionStatus] = mapped_column(WordColumn(OpinionStatus))
    grade: Mapped[Grade] = mapped_column(WordColumn(Grade))
    criterion_id: Mapped[int | None] = mapped_column(ForeignKey("review_criteria.id"))
    clause: Mapped[str]
    slot: Mapped[str]
    page: Mapped[int | None]
    box: Mapped[list[Any] | None]
    quote: Mapped[str]
    required: Mapped[str]
    found: Mapped[str]
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("review_opinions.id"))
    written_at: Mapped[datetime]
    written_by: Mapped[str]
    submitted_at: Mapped[datetime | None]
    issued_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    round: Mapped[Round] = relationship(lazy="joined")
    seat: Mapped[Seat] = relationship(lazy="joined")
    criterion: Mapped[Criterion | None] = relationship(lazy="joined")
    answers: Mapped[list[Answer]] = relationship(lazy="selectin", order_by="Answer.id")
    rulings: Mapped[list[Ruling]] = relationship(lazy="selectin", order_by="Ruling.id")
    places: Mapped[list[Place]] = relationship(lazy="selectin", order_by="Place.id")
    __table_args__ = (
        Index("ix_review_opinions_review", "review_id", "number"),
        Index("ix_review_opinions_round", "round_id", "seat_id"),
        Index(
            "uq_review_opinions_number",
            "review_id",
            "number",
            unique=True,
            postgresql_where=text("number IS NOT NULL"),
        ),
        CheckConstraint("(number IS NOT NULL) = (status IN ('open', 'closed'))", name="number_when_issued"),
        CheckConstraint("(merged_into_id IS NOT NULL) = (status = 'merged')", name="merged_into"),
    )


class Answer(Keyed):
    """What the applicant says to an issued opinion; a later one in the same round takes its place."""

    __tablename__ = "review_answers"
    opinion_id: Mapped[int] = mapped_column(ForeignKey("review_opinions.id"))
    round_id: Mapped[int] = mapped_column(ForeignKey("review_rounds.id"))
    stance: Mapped[Stance] = mapped_column(WordColumn(Stance))
    text: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]
    __table_args__ = (Index("ix_review_answers_opinion", "opinion_id"), HISTORY)


class Ruling(Keyed):
    """Whether the answer satisfies whoever raised the opinion, with the reason."""

    __tablename__ = "review_rulings"
    opinion_id: Mapped[int] = mapped_column(ForeignKey("review_opinions.id"))
    round_id: Mapped[int] = mapped_column(ForeignKey("review_rounds.id"))
    kind: Mapped[RulingKind] = mapped_column(WordColumn(RulingKind))
    reason: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]
    __table_args__ = (UniqueConstraint("opinion_id", "round_id"), HISTORY)


class Place(Keyed):
    """Where an opinion's words stand in a later round's version of the document, found by its quoted words."""

    __tablename__ = "review_places"
    opinion_id: Mapped[int] = mapped_column(ForeignKey("review_opinions.id"))
    round_id: Mapped[int] = mapped_column(ForeignKey("review_rounds.id"))
    kind: Mapped[PlaceKind] = mapped_column(WordColumn(PlaceKind))
    page: Mapped[int | None]
    box: Mapped[list[Any] | None]
    __table_args__ = (UniqueConstraint("opinion_id", "round_id"), HISTORY)


class CheckResult(Keyed):
    """What the machine found for a criterion on a round's documents and figures; it never decides (B6)."""

    __tablename__ = "review_check_results"
    round_id: Mapped[int] = mapped_column(ForeignKey("review_rounds.id"))
    criterion_id: Mapped[int] = mapped_column(ForeignKey("review_criteria.id"))
    outcome: Mapped[CheckOutcome] = mapped_column(WordColumn(CheckOutcome))
    zh: Mapped[str]
    en: Mapped[str]
    criterion: Mapped[Criterion] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("round_id", "criterion_id"), HISTORY)
