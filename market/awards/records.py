"""Ranking and award as they are stored; a ranking is never edited, a new run is a new set of rows."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import trail, workflow
from kernel.db import HISTORY, Keyed, WordColumn
from kernel.words import Worded
from market.agencies import Agency
from market.bidding.records import Bid

trail.name_acts(
    {
        "award.ranked": ("按公布的规则排序", "Bids ranked by the published rule"),
        "award.settled": ("中选结果状态更新", "Award settled"),
        "award.won": ("贵单位中选，结果公示中", "You were chosen; the result is publicised"),
        "award.not_won": ("贵单位未中选，结果公示中", "You were not chosen; the result is publicised"),
        "award.letter": ("中选通知书", "Letter of award"),
        "scoring.assigned": ("指定评审人员", "Scorers assigned"),
        "scoring.submitted": ("提交评分", "Scores submitted"),
        "justification.asked": ("要求说明低价理由", "Low price to be justified"),
        "justification.answered": ("说明低价理由", "Low price justified"),
        "justification.accepted": ("认可低价说明", "Justification accepted"),
        "justification.rejected": ("不认可低价说明，不参加排序", "Justification rejected, bid excluded"),
    }
)


class AwardStatus(Worded):
    PUBLICISED = "publicised", "公示中", "Publicised"
    CONFIRMED = "confirmed", "已确定", "Confirmed"
    REFUSED = "refused", "中选机构放弃", "Refused by the winner"
    LAPSED = "lapsed", "逾期未接受", "Lapsed"
    OVERTURNED = "overturned", "异议成立撤销", "Overturned"
    CANCELLED = "cancelled", "采购终止", "Cancelled"


class Ranking(Keyed):
    """One bid's place in one run of the published rule, with its arithmetic as {zh, en} lines.

    ``place`` None: excluded, ``reason`` says why. Equal bids share a place until ``tie_broken_by`` settles it.
    """

    __tablename__ = "rankings"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    run: Mapped[int]
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"))
    place: Mapped[int | None]
    price: Mapped[int | None]
    score: Mapped[int | None]
    arithmetic: Mapped[list[Any]]
    reason: Mapped[str] = mapped_column(default="")
    reason_en: Mapped[str] = mapped_column(default="")
    ranked_at: Mapped[datetime]
    bid: Mapped[Bid] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("call_id", "run", "bid_id"), HISTORY)


class Award(Keyed):
    """The chosen agency; one that counts per commission (the constraint is the last word).

    ``fee`` in fen, None where the call asked for no price: the contract names it.
    """

    __tablename__ = "awards"
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"))
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"))
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    status: Mapped[AwardStatus] = mapped_column(WordColumn(AwardStatus))
    version: Mapped[int] = mapped_column(default=1)
    place: Mapped[int]
    fee: Mapped[int | None]
    working_days: Mapped[int]
    reason: Mapped[str] = mapped_column(default="")
    policy: Mapped[str]
    awarded_at: Mapped[datetime]
    awarded_by: Mapped[str]
    ended_at: Mapped[datetime | None]
    agency: Mapped[Agency] = relationship(lazy="joined")
    bid: Mapped[Bid] = relationship(lazy="joined")
    __table_args__ = (
        Index("ix_awards_call", "call_id", "id"),
        Index(
            "uq_awards_standing",
            "commission_id",
            unique=True,
            postgresql_where=text("status IN ('publicised', 'confirmed')"),
        ),
    )

    @property
    def subject(self) -> str:
        return f"award:{self.bid.token}"


#: An award follows its commission: each row is taken by the verb that moves the commission, in the same transaction.
AWARD_STEPS: workflow.Steps = {
    name: workflow.Step(sources, target, "award.settled", lambda award, actor: True)
    for name, sources, target in (
        ("confirm", ("publicised",), "confirmed"),
        ("refuse", ("confirmed",), "refused"),
        ("lapse", ("confirmed",), "lapsed"),
        ("overturn", ("publicised",), "overturned"),
        ("cancel", ("publicised", "confirmed"), "cancelled"),
    )
}


class BidRuling(Keyed):
    """After the opening: a bid leaves the ranking, or comes back, with the reason that everybody may read."""

    __tablename__ = "bid_rulings"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"))
    is_excluded: Mapped[bool]
    reason: Mapped[str]
    reason_en: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime]
    by: Mapped[str]
    __table_args__ = (Index("ix_bid_rulings_call", "call_id", "id"), HISTORY)


class Justification(Keyed):
    """An abnormally low price, what its bidder says to it, and the client's word. ``price`` and ``limit`` in fen."""

    __tablename__ = "justifications"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"), unique=True)
    price: Mapped[int]
    limit: Mapped[int]
    asked_at: Mapped[datetime]
    answer_until: Mapped[date]
    text: Mapped[str] = mapped_column(default="")
    answered_at: Mapped[datetime | None]
    is_accepted: Mapped[bool | None]
    reason: Mapped[str] = mapped_column(default="")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(default="")
    bid: Mapped[Bid] = relationship(lazy="joined")
    __table_args__ = (Index("ix_justifications_call", "call_id"),)


class Scorer(Keyed):
    """Who scores a comparison. ``draft`` is the scorer's own: {bid token: [points or null, …]}, nobody else reads it."""

    __tablename__ = "scorers"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    person: Mapped[str]
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[str]
    draft: Mapped[dict[str, Any]]
    submitted_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("call_id", "person_id"),)


class BidScore(Keyed):
    """What one scorer gave one bid for one criterion, 0 … 100; written once, at the scorer's submission."""

    __tablename__ = "bid_scores"
    scorer_id: Mapped[int] = mapped_column(ForeignKey("scorers.id"))
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"))
    criterion: Mapped[int]
    points: Mapped[int]
    __table_args__ = (
        UniqueConstraint("scorer_id", "bid_id", "criterion"),
        CheckConstraint("points BETWEEN 0 AND 100", name="points_in_range"),
        HISTORY,
    )
