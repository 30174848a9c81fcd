"""A signal as it is stored: what was seen, its figures, what the supervisor made of it; and the queue of the scans."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import numbers, trail, workflow
from kernel.access import Role
from kernel.db import Keyed, WordColumn
from kernel.trail import Actor
from kernel.words import Worded
from market.agencies import Agency
from market.calls import CallForBids

NUMBER = numbers.series("XS")

trail.name_acts(
    {
        "signal.found": ("发现行为线索", "Conduct signal found"),
        "signal.renewed": ("线索有新的证据", "Further evidence of a signal"),
        "signal.reopened": ("排除后又有新的证据，重新核查", "Signal reopened by new evidence"),
        "signal.dismissed": ("排除线索", "Signal dismissed"),
    }
)


class Severity(Worded):
    SERIOUS = "serious", "重点核查", "Look into it first"
    NOTE = "note", "一般提示", "For attention"


class SignalKind(Worded):
    """What was noticed; whether it is rare between honest rivals, :data:`SERIOUS` says."""

    ADDRESS = "address", "网络地址相同", "Same network address"
    DEVICE = "device", "设备相同", "Same device"
    PERSON = "person", "同一人员经办", "Handed in by the same person"
    CONTACT = "contact", "登记信息相同", "Same registered particulars"
    PRACTITIONER = "practitioner", "从业人员相同", "Same practitioner"
    FILES = "files", "文件信息相同", "Same files or file metadata"
    MEETING = "meeting", "总是同场报价", "Always bid together"
    LAST_MINUTE = "last_minute", "总在截止前报价", "Always at the last minute"
    VARIATION = "variation", "报价过于接近", "Prices too close together"
    DISTANCE = "distance", "最低价与其余报价差距异常", "Lowest price stands apart"
    ROTATION = "rotation", "轮流中选", "Winners in rotation"


SERIOUS = frozenset(
    {
        SignalKind.ADDRESS,
        SignalKind.DEVICE,
        SignalKind.PERSON,
        SignalKind.PRACTITIONER,
        SignalKind.FILES,
        SignalKind.ROTATION,
    }
)


class SignalStatus(Worded):
    OPEN = "open", "待核查", "To be looked into"
    DISMISSED = "dismissed", "已排除", "Dismissed"


class Signal(Keyed):
    """One thing noticed about one call, or about agencies over several calls (``call_id`` None).

    ``evidence``: {"figures": {name: number or null}, "lines": [{zh, en}], "heads": [{zh, en}], "rows": [[cell]]}; a
    cell is text, or {"at": ISO instant}, {"fen": amount}, {"call": number}, {"zh", "en"}; a row is a case or a shared
    fact, and new rows are what renews or reopens a signal. ``strength`` counts cases, facts or bidders, for people.
    """

    __tablename__ = "signals"
    number: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[SignalKind] = mapped_column(WordColumn(SignalKind))
    status: Mapped[SignalStatus] = mapped_column(WordColumn(SignalStatus))
    version: Mapped[int] = mapped_column(default=1)
    call_id: Mapped[int | None] = mapped_column(ForeignKey("calls_for_bids.id"))
    fingerprint: Mapped[str] = mapped_column(unique=True)
    evidence: Mapped[dict[str, Any]]
    strength: Mapped[int]
    policy: Mapped[str]
    found_at: Mapped[datetime]
    renewed_at: Mapped[datetime]
    dismissed_at: Mapped[datetime | None]
    dismissed_by: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    agencies: Mapped[list[SignalAgency]] = relationship(order_by="SignalAgency.id", lazy="selectin")
    calls: Mapped[list[SignalCall]] = relationship(order_by="SignalCall.id", lazy="selectin")
    __table_args__ = (Index("ix_signals_status", "status", "id"), Index("ix_signals_call", "call_id"))

    @property
    def subject(self) -> str:
        return f"signal:{self.number}"

    @property
    def severity(self) -> Severity:
        return Severity.SERIOUS if self.kind in SERIOUS else Severity.NOTE


class SignalAgency(Keyed):
    __tablename__ = "signal_agencies"
    signal_id: Mapped[int] = mapped_column(ForeignKey("signals.id"))
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    agency: Mapped[Agency] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("signal_id", "agency_id"), Index("ix_signal_agencies_agency", "agency_id"))


class SignalCall(Keyed):
    """A call that a signal rests on."""

    __tablename__ = "signal_calls"
    signal_id: Mapped[int] = mapped_column(ForeignKey("signals.id"))
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    call: Mapped[CallForBids] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("signal_id", "call_id"), Index("ix_signal_calls_call", "call_id"))


class SignalScan(Keyed):
    """A call waits to be looked at: written by the opening and by the award, which stay small themselves."""

    __tablename__ = "signal_scans"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    __table_args__ = (
        Index("uq_signal_scans_waiting", "call_id", unique=True, postgresql_where=text("done_at IS NULL")),
        Index("ix_signal_scans_due", "due_at", postgresql_where=text("done_at IS NULL")),
    )


def may_read(actor: Actor | None) -> bool:
    """Supervisors and, reading only, auditors; for everybody else there is no such thing as a signal."""
    return actor is not None and actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)


def by_supervisor(signal: Signal, actor: Actor) -> bool:
    return actor.has(Role.SUPERVISOR.value)


def by_scan(signal: Signal, actor: Actor) -> bool:
    return actor.has("clock")


STEPS: workflow.Steps = {
    "dismiss": workflow.Step(("open",), "dismissed", "signal.dismissed", by_supervisor),
    "renew": workflow.Step(("open",), None, "signal.renewed", by_scan),
    "reopen": workflow.Step(("dismissed",), "open", "signal.reopened", by_scan),
}
