"""A live auction as it is stored: its rules and start, who moves in it, and every price handed in (competition.md).

An auction that is voided is planned again as another row; one at most of a call's auctions stands. Names stand in
no row that is shown before the end: pages, notices and the trail speak of labels.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import trail, workflow
from kernel.db import HISTORY, Keyed, WordColumn
from kernel.trail import Actor
from kernel.words import Worded
from market.agencies import Agency
from market.bidding import Bid
from market.calls import CallForBids

trail.name_acts(
    {
        "auction.planned": ("安排多轮竞价", "Rounds planned"),
        "auction.started": ("多轮竞价开始", "Rounds begun"),
        "auction.turn_ended": ("一次报价时段结束", "Turn ended"),
        "auction.voided": ("本场竞价作废", "Rounds voided"),
        "auction.finished": ("多轮竞价结束", "Rounds ended"),
        "auction.priced": ("多轮竞价报价", "Price entered in the rounds"),
        "auction.price_taken_back": ("多轮竞价撤回报价", "Price taken back in the rounds"),
    }
)


class AuctionStatus(Worded):
    PLANNED = "planned", "待开始", "Planned"
    RUNNING = "running", "竞价中", "Running"
    VOIDED = "voided", "已作废", "Voided"
    FINISHED = "finished", "已结束", "Finished"


class LiveAuction(Keyed):
    """``rules``: step in fen, the number of rounds and the lengths in seconds; ``run`` counts a call's auctions.

    ``stage``: index of the last stage whose beginning was recorded, -1 before the first; every turn before it is
    closed. ``next_check_at``: the legal instant after which the next one begins. ``result``: once finished,
    {bid: token, price: fen}, worst first.
    """

    __tablename__ = "auctions"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    run: Mapped[int]
    status: Mapped[AuctionStatus] = mapped_column(WordColumn(AuctionStatus))
    version: Mapped[int] = mapped_column(default=1)
    rules: Mapped[dict[str, Any]]
    starts_at: Mapped[datetime]
    stage: Mapped[int] = mapped_column(default=-1)
    next_check_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="")
    reason_en: Mapped[str] = mapped_column(default="")
    result: Mapped[list[Any]]
    planned_at: Mapped[datetime]
    running_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    call: Mapped[CallForBids] = relationship(lazy="joined")
    bidders: Mapped[list[AuctionBidder]] = relationship(order_by="AuctionBidder.id", lazy="selectin")
    __table_args__ = (
        UniqueConstraint("call_id", "run"),
        # One auction of a call stands.
        Index("uq_auctions_standing", "call_id", unique=True, postgresql_where=text("status <> 'voided'")),
        Index("ix_auctions_next_check_at", "next_check_at", postgresql_where=text("next_check_at IS NOT NULL")),
    )

    @property
    def subject(self) -> str:
        return self.call.subject


class AuctionBidder(Keyed):
    """Who was admitted, in the order of receipt: ``label`` hides the name; ``price`` in fen and ``at`` of the bid."""

    __tablename__ = "auction_bidders"
    auction_id: Mapped[int] = mapped_column(ForeignKey("auctions.id"))
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"))
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    label: Mapped[int]
    price: Mapped[int]
    at: Mapped[datetime]
    bid: Mapped[Bid] = relationship(lazy="joined")
    agency: Mapped[Agency] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("auction_id", "agency_id"),
        UniqueConstraint("auction_id", "label"),
        HISTORY,
    )


class AuctionEntry(Keyed):
    """What a bidder handed in during a turn; ``price`` in fen, None = taken back; ``refused`` = why, or ''.

    ``at`` is the database's clock read under the lock. ``is_low``: abnormally low, and the bidder will justify it.
    """

    __tablename__ = "auction_entries"
    auction_id: Mapped[int] = mapped_column(ForeignKey("auctions.id"))
    bidder_id: Mapped[int] = mapped_column(ForeignKey("auction_bidders.id"))
    round: Mapped[int]
    price: Mapped[int | None]
    at: Mapped[datetime]
    refused: Mapped[str] = mapped_column(default="")
    is_low: Mapped[bool] = mapped_column(default=False)
    person_id: Mapped[int | None]
    person: Mapped[str]
    organisation_id: Mapped[int | None]
    organisation: Mapped[str]
    bidder: Mapped[AuctionBidder] = relationship(lazy="joined")
    __table_args__ = (Index("ix_auction_entries_auction", "auction_id", "at", "id"), HISTORY)


def _by_clock(auction: LiveAuction, actor: Actor) -> bool:
    return actor.has("clock")


def _by_anyone(auction: LiveAuction, actor: Actor) -> bool:
    """Whoever ended the call; that they might, the call's own step has judged."""
    return True


#: An auction's own life; each move of time is made by the system clock.
STEPS: workflow.Steps = {
    "start": workflow.Step(("planned",), "running", "auction.started", _by_clock),
    "end_turn": workflow.Step(("running",), None, "auction.turn_ended", _by_clock),
    "void": workflow.Step(("planned", "running"), "voided", "auction.voided", _by_clock),
    "give_up": workflow.Step(("planned", "running"), "voided", "auction.voided", _by_anyone),
    "finish": workflow.Step(("running",), "finished", "auction.finished", _by_clock),
}
