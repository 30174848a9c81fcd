"""The service itself: start, pauses, extensions (001 §9.3 "点击开始受理服务按钮，开始计时", life-cycles §2, A10).

From the second of *start* the promised working days run. Time with the client is stopped under the key of the
agency's notice; an extension is an agreed event, never a rewritten date.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ForeignKey, Index, select, text
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock, policies, timekeeping, workflow
from kernel.clock import Unit
from kernel.db import Keyed, session
from kernel.errors import Conflict, Invalid
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import Actor
from market import contracts
from market.commissions import (
    STEPS,
    Commission,
    InquiryKind,
    Picked,
    close_inquiry,
    given_reason,
    hand_in,
    open_inquiry,
    pause_clock,
    resume_clock,
    tell_agency,
    tell_client,
)


class ExtensionInvalid(Invalid):
    code = "extension_invalid"
    zh = "延长时限应为 1 至 {most} 个工作日"
    en = "Extend by 1 to {most} working days"


class ExtensionOpen(Conflict):
    code = "extension_open"
    zh = "已有一份延长时限的申请待答复"
    en = "An extension has been proposed already"


class NoExtension(Conflict):
    code = "no_extension"
    zh = "没有待答复的延长申请"
    en = "No extension is open"


class Extension(Keyed):
    """More working days, proposed by the agency, agreed or refused by the client; one open at a time."""

    __tablename__ = "extensions"
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"))
    working_days: Mapped[int]
    reason: Mapped[str]
    proposed_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    agreed: Mapped[bool | None]
    __table_args__ = (
        Index("ix_extensions_commission", "commission_id"),
        Index("uq_extensions_open", "commission_id", unique=True, postgresql_where=text("answered_at IS NULL")),
    )


MOST_EXTENSION = 120


def start(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """开始受理服务: stamped; the promised working days run from now (table four's start).

    Raises:
        contracts.ContractNotConfirmed: the call's rules want a contract that both sides confirmed.
    """
    workflow.check(commission, STEPS, "start", by=by, expected_version=expected_version)
    contracts.require_confirmed(commission)
    policy = policies.current("service_clock")
    workflow.step(
        commission,
        STEPS,
        "start",
        by=by,
        expected_version=expected_version,
        promised_working_days=commission.promised_working_days,
    )
    timekeeping.start(
        commission.subject,
        ClockKind.SERVICE,
        unit=Unit.WORKING_DAY,
        limit=commission.promised_working_days,
        warn=int(policy.values["warn"]),
        policy=policy,
        by=by,
        at=commission.in_service_at,
    )
    tell_client(commission, "service.started")


def pause(
    commission: Commission, points: Sequence[str], reason: str, *, by: Actor, expected_version: int | None = None
) -> None:
    """Ask the client for what only the client can do, itemised; the service clock stands still until answered.

    Raises:
        commissions.ReasonMissing, PointsMissing, InquiryOpen.
    """
    workflow.check(commission, STEPS, "pause", by=by, expected_version=expected_version)
    told = given_reason(reason)
    inquiry = open_inquiry(commission, InquiryKind.PAUSE, points, told)
    workflow.step(
        commission, STEPS, "pause", by=by, expected_version=expected_version, points=inquiry.points, reason=told
    )
    pause_clock(commission, ClockKind.SERVICE, inquiry, by)
    tell_client(commission, "service.paused")


def resume(
    commission: Commission,
    answer: str,
    *,
    by: Actor,
    picked: Sequence[Picked] = (),
    expected_version: int | None = None,
) -> None:
    """The client has answered; the clock goes on."""
    workflow.check(commission, STEPS, "resume", by=by, expected_version=expected_version)
    inquiry = close_inquiry(commission, InquiryKind.PAUSE, answer)
    hand_in(commission, picked)
    workflow.step(commission, STEPS, "resume", by=by, expected_version=expected_version, answer=inquiry.answer)
    resume_clock(commission, ClockKind.SERVICE, inquiry, by)
    tell_agency(commission, "service.resumed")


def propose_extension(
    commission: Commission, working_days: int, reason: str, *, by: Actor, expected_version: int | None = None
) -> Extension:
    """The agency asks for more working days.

    Raises:
        ExtensionInvalid, ExtensionOpen, commissions.ReasonMissing.
    """
    workflow.check(commission, STEPS, "propose_extension", by=by, expected_version=expected_version)
    if not 1 <= working_days <= MOST_EXTENSION:
        raise ExtensionInvalid(field="working_days", most=MOST_EXTENSION)
    told = given_reason(reason)
    if open_extension(commission) is not None:
        raise ExtensionOpen
    extension = Extension(commission_id=commission.id, working_days=working_days, reason=told, proposed_at=clock.now())
    session.add(extension)
    workflow.step(
        commission,
        STEPS,
        "propose_extension",
        by=by,
        expected_version=expected_version,
        working_days=working_days,
        reason=told,
    )
    tell_client(commission, "service.extension_proposed")
    return extension


def agree_extension(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """The client agrees; the days are added as an event with its reason."""
    workflow.check(commission, STEPS, "agree_extension", by=by, expected_version=expected_version)
    extension = _answer(commission, agreed=True)
    workflow.step(
        commission,
        STEPS,
        "agree_extension",
        by=by,
        expected_version=expected_version,
        working_days=extension.working_days,
    )
    stored = service_clock(commission)
    if stored is not None:
        timekeeping.extend(stored, extension.working_days, by=by, reason=extension.reason)
    tell_agency(commission, "service.extended")


def refuse_extension(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    workflow.check(commission, STEPS, "refuse_extension", by=by, expected_version=expected_version)
    _answer(commission, agreed=False)
    workflow.step(commission, STEPS, "refuse_extension", by=by, expected_version=expected_version)
    tell_agency(commission, "service.extension_refused")


def open_extension(commission: Commission) -> Extension | None:
    return session.scalars(
        select(Extension).where(Extension.commission_id == commission.id, Extension.answered_at.is_(None))
    ).first()


def service_clock(commission: Commission) -> StoredClock | None:
    """The service's clock, running or ended; None before the start."""
    return timekeeping.latest(commission.subject, ClockKind.SERVICE)


def _answer(commission: Commission, *, agreed: bool) -> Extension:
    extension = open_extension(commission)
    if extension is None:
        raise NoExtension
    extension.answered_at = clock.now()
    extension.agreed = agreed
    return extension
