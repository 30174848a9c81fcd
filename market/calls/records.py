"""The call for bids as it is stored: one beside its commission, whose state is the call's state (life-cycles §2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import numbers
from kernel.accounts import Organisation
from kernel.db import HISTORY, Keyed, WordColumn
from kernel.dossier import Entry
from kernel.files import Document
from kernel.policies import Policy
from market.agencies import Agency
from market.commissions import Commission
from market.routes import CustodyKind, RankBy, Rules, parse

NUMBER = numbers.series("CG")


class CallForBids(Keyed):
    """What is wanted, under which rules, until when.

    ``ceiling``, ``floor`` and ``step`` in fen; ``weights`` lists the criteria of a comparison as {zh, en, weight} in
    basis points; ``edition`` counts the notices (1 = as published); bids of an earlier material edition are
    unconfirmed. ``next_check_at`` is the legal instant at which time alone next acts on the call.
    """

    __tablename__ = "calls_for_bids"
    number: Mapped[str] = mapped_column(unique=True)
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"), unique=True)
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("policies.id"))
    title: Mapped[str]
    requirement: Mapped[str] = mapped_column(default="")
    conditions: Mapped[str] = mapped_column(default="")
    contact: Mapped[str] = mapped_column(default="")
    telephone: Mapped[str] = mapped_column(default="")
    complaint_telephone: Mapped[str] = mapped_column(default="")
    ceiling: Mapped[int | None]
    floor: Mapped[int | None]
    step: Mapped[int | None]
    weights: Mapped[list[Any]]
    most_working_days: Mapped[int | None]
    custody: Mapped[CustodyKind] = mapped_column(WordColumn(CustodyKind))
    edition: Mapped[int] = mapped_column(default=0)
    bid_edition: Mapped[int] = mapped_column(default=0)
    closing_at: Mapped[datetime | None]
    auction_at: Mapped[datetime | None]
    rounds_ended_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    failed_reason: Mapped[str] = mapped_column(default="")
    copied_from_id: Mapped[int | None] = mapped_column(ForeignKey("calls_for_bids.id"))
    commission: Mapped[Commission] = relationship(lazy="joined")
    policy: Mapped[Policy | None] = relationship(lazy="joined")
    invitations: Mapped[list[Invitation]] = relationship(order_by="Invitation.id")
    documents: Mapped[list[CallDocument]] = relationship(order_by="CallDocument.id")
    __table_args__ = (
        Index("ix_calls_for_bids_next_check_at", "next_check_at", postgresql_where=text("next_check_at IS NOT NULL")),
        Index("ix_calls_for_bids_published_at", "published_at"),
    )

    @property
    def subject(self) -> str:
        return self.commission.subject

    @property
    def notice(self) -> str:
        """The subject under which those who are no party of the commission are told of the call."""
        return f"call:{self.number}"

    @property
    def hides_bidders(self) -> bool:
        """Whether nobody may be told who bid, though the bids are opened: until the rounds are over (competition.md)."""
        return self.rounds_ended_at is None and self.rules.rank_by is RankBy.ROUNDS

    @property
    def rules(self) -> Rules:
        """The rules of the policy row that the call was published under (of its draft: the one it was begun with)."""
        if self.policy is None:
            raise LookupError(f"{self.number} has no policy")
        return parse(self.policy.values)


class CallEdition(Keyed):
    """A notice of the call as it stood: the first, and each correction with its changes and its reason."""

    __tablename__ = "call_editions"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    edition: Mapped[int]
    is_material: Mapped[bool]
    changes: Mapped[list[Any]]
    reason: Mapped[str] = mapped_column(default="")
    content: Mapped[dict[str, Any]]
    closing_at: Mapped[datetime]
    at: Mapped[datetime]
    by: Mapped[str]
    __table_args__ = (UniqueConstraint("call_id", "edition"), HISTORY)


class Invitation(Keyed):
    __tablename__ = "call_invitations"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    agency: Mapped[Agency] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("call_id", "agency_id"),)


class CallDocument(Keyed):
    """A document of the need; ``entry`` when it comes from the dossier (and, for a review, is what is reviewed)."""

    __tablename__ = "call_documents"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    name: Mapped[str]
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("dossier_entries.id"))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    added_at: Mapped[datetime]
    entry: Mapped[Entry | None] = relationship(lazy="joined")
    document: Mapped[Document] = relationship(lazy="joined")
    __table_args__ = (Index("ix_call_documents_call", "call_id"),)


class Question(Keyed):
    """Asked by an agency whose name nobody is told; answered to all."""

    __tablename__ = "call_questions"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    text: Mapped[str]
    asked_at: Mapped[datetime]
    answer: Mapped[str] = mapped_column(default="")
    answered_at: Mapped[datetime | None]
    organisation: Mapped[Organisation] = relationship()
    __table_args__ = (Index("ix_call_questions_call", "call_id"),)


class Approval(Keyed):
    """A second person's word on a call above the policy's amount (001 §9.2, A6)."""

    __tablename__ = "call_approvals"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    version: Mapped[int]
    is_approved: Mapped[bool]
    reason: Mapped[str] = mapped_column(default="")
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    person: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (Index("ix_call_approvals_call", "call_id"), HISTORY)


class Outage(Keyed):
    """A failure of the service, declared by the operators, that extends the deadlines it touched."""

    __tablename__ = "outages"
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    reason: Mapped[str]
    declared_at: Mapped[datetime]
    by: Mapped[str]
    extended: Mapped[list[str]]
    __table_args__ = (HISTORY,)
