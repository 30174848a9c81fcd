"""The one complete notice of a kind that an agency may send its client, and the clock that waits for the answer."""

from __future__ import annotations

from collections.abc import Sequence

from kernel import clock, timekeeping
from kernel.db import session
from kernel.errors import Conflict
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from market.commissions.faults import InquiryOpen, PointsMissing, ReasonMissing
from market.commissions.records import Commission, Inquiry, InquiryKind


def open_inquiry(commission: Commission, kind: InquiryKind, points: Sequence[str], reason: str = "") -> Inquiry:
    """Open the one notice of a kind. Raises PointsMissing, InquiryOpen."""
    wanted = [point.strip() for point in points if point.strip()]
    if not wanted:
        raise PointsMissing(field="points")
    if current_inquiry(commission, kind) is not None:
        raise InquiryOpen
    running = 1 + sum(1 for inquiry in commission.inquiries if inquiry.kind == kind)
    inquiry = Inquiry(
        kind=kind, key=f"{kind.value}:{running}", points=wanted, reason=reason.strip(), opened_at=clock.now()
    )
    commission.inquiries.append(inquiry)
    session.flush()
    return inquiry


def current_inquiry(commission: Commission, kind: InquiryKind) -> Inquiry | None:
    return next((i for i in commission.inquiries if i.kind == kind and i.closed_at is None), None)


def close_inquiry(commission: Commission, kind: InquiryKind, answer: str = "") -> Inquiry:
    inquiry = current_inquiry(commission, kind)
    if inquiry is None:
        raise Conflict
    inquiry.answer = answer.strip()
    inquiry.closed_at = clock.now()
    return inquiry


def close_inquiries(commission: Commission) -> None:
    for inquiry in commission.inquiries:
        inquiry.closed_at = inquiry.closed_at or clock.now()


def pause_clock(commission: Commission, kind: ClockKind, inquiry: Inquiry, by: Actor) -> None:
    stored = timekeeping.running(commission.subject, kind)
    if stored is not None:
        timekeeping.stop(stored, inquiry.key, by=by, reason="；".join(inquiry.points))


def resume_clock(commission: Commission, kind: ClockKind, inquiry: Inquiry, by: Actor) -> None:
    stored = timekeeping.running(commission.subject, kind)
    if stored is not None:
        timekeeping.go(stored, inquiry.key, by=by)


def given_reason(reason: str) -> str:
    if not reason.strip():
        raise ReasonMissing(field="reason")
    return reason.strip()
