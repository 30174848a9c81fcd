"""Bids as they are stored: rows of their own, never a list inside the commission; sealed rows never change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel.db import HISTORY, Keyed, WordColumn
from kernel.files import Document
from kernel.sealing import SealedBy
from kernel.words import Worded
from market.agencies import Agency


class Outcome(Worded):
    """What the opening found."""

    OPENED = "opened", "有效报价", "Opened"
    UNOPENABLE = "unopenable", "无法解密", "Could not be opened"
    NOT_EVALUATED = "not_evaluated", "不参加评审", "Not evaluated"
    UNCONFIRMED = "unconfirmed", "更正后未确认，不开启", "Not confirmed after a correction"
    REPLACED = "replaced", "已被后一份替换，不开启", "Replaced by a later one"
    WITHDRAWN = "withdrawn", "已撤回，不开启", "Withdrawn"


class Bid(Keyed):
    """One sealed bid: ``token`` is random and is all that outsiders see; the order of ids is nobody's to know.

    ``ciphertext`` is an age file of a fixed size class, ``wraps`` its key for every pair of custodians (base64);
    ``edition`` is the call's material edition that it was written for. The trail of a bid names nobody before the
    opening: who bid stands here alone.
    The blob stands in the row, so that blob, row and trail entry are one commit (competition.md, "Sealed bids", 3).
    """

    __tablename__ = "bids"
    token: Mapped[str] = mapped_column(unique=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    person_id: Mapped[int | None]
    sha256: Mapped[str]
    ciphertext: Mapped[bytes] = mapped_column(deferred=True)
    wraps: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    sealed_by: Mapped[SealedBy] = mapped_column(WordColumn(SealedBy))
    edition: Mapped[int]
    received_at: Mapped[datetime]
    agency: Mapped[Agency] = relationship()
    __table_args__ = (
        Index("ix_bids_call_agency", "call_id", "agency_id", "id"),
        # A ciphertext is one bid's: the same bytes again are a replay.
        Index("uq_bids_call_sha256", "call_id", "sha256", unique=True),
        HISTORY,
    )

    @property
    def subject(self) -> str:
        return f"bid:{self.token}"


class BidConfirmation(Keyed):
    """After a material correction the agency says that its bid stands."""

    __tablename__ = "bid_confirmations"
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"))
    edition: Mapped[int]
    at: Mapped[datetime]
    __table_args__ = (Index("uq_bid_confirmations", "bid_id", "edition", unique=True), HISTORY)


class BidWithdrawal(Keyed):
    __tablename__ = "bid_withdrawals"
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"), unique=True)
    at: Mapped[datetime]
    __table_args__ = (HISTORY,)


class BidOrigin(Keyed):
    """Whence a bid came: network address and device; read by the conduct signals alone, after the opening."""

    __tablename__ = "bid_origins"
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"), unique=True)
    address: Mapped[str] = mapped_column(default="")
    device: Mapped[str] = mapped_column(default="")
    __table_args__ = (HISTORY,)


class OpenedBid(Keyed):
    """What stood in a bid, or why it does not count. ``price`` in fen, ``discount`` in basis points of the standard."""

    __tablename__ = "opened_bids"
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"), unique=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    outcome: Mapped[Outcome] = mapped_column(WordColumn(Outcome))
    price: Mapped[int | None]
    discount: Mapped[int | None]
    working_days: Mapped[int | None]
    content: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(default="")
    reason_en: Mapped[str] = mapped_column(default="")
    opened_at: Mapped[datetime]
    bid: Mapped[Bid] = relationship(lazy="joined")
    files: Mapped[list[OpenedFile]] = relationship(order_by="OpenedFile.id")
    __table_args__ = (Index("ix_opened_bids_call", "call_id"), HISTORY)


class OpenedFile(Keyed):
    """A file that lay in a bid, as a document since the opening; public like all that was opened."""

    __tablename__ = "opened_bid_files"
    opened_bid_id: Mapped[int] = mapped_column(ForeignKey("opened_bids.id"))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    document: Mapped[Document] = relationship(lazy="joined")
    __table_args__ = (
        Index("ix_opened_bid_files_bid", "opened_bid_id"),
        Index("ix_opened_bid_files_document", "document_id"),
        HISTORY,
    )


class ProducedKey(Keyed):
    """The one-bid key that a bidder produced for a bid that didn't open: a recorded fact, which changes no outcome."""

    __tablename__ = "produced_keys"
    bid_id: Mapped[int] = mapped_column(ForeignKey("bids.id"), unique=True)
    identity: Mapped[str]
    content: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime]
    by: Mapped[str]
    __table_args__ = (HISTORY,)
