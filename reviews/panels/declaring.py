"""Declarations before any file opens, what follows from a conflict, and replacements (life-cycles §3)."""

from __future__ import annotations

from collections.abc import Collection

from kernel import clock, workflow
from kernel.db import session
from kernel.trail import Actor
from market import drawing
from market.commissions import given_reason
from reviews.experts import ConflictKind
from reviews.panels.faults import DeclarationMissing, NotWaivable, OwnConflict
from reviews.panels.finding import of_review, seat_of
from reviews.panels.records import TURNS, Seat, SeatKind, SeatStatus
from reviews.panels.seating import conflicts_of, seat_next
from reviews.technical import STEPS, TechnicalReview, tell_body

MOST_WORDS = 2000


def declare(
    review: TechnicalReview,
    conflicts: Collection[ConflictKind],
    statement: str,
    *,
    by: Actor,
    expected_version: int | None = None,
) -> Seat:
    """The seat's holder says what there is. Nothing: the seat serves, unless the portal knows better.

    A conflict that arises, or is remembered, later is declared in the same way and takes the holder off at once.

    Raises:
        NoSeat, DeclarationMissing: a conflict without a word about it; workflow errors.
    """
    seat = seat_of(review, by)
    action = "declare_conflict" if conflicts else "declare"
    workflow.check(review, STEPS, action, by=by, expected_version=expected_version)
    is_late = bool(conflicts) and seat.is_serving and seat.kind is not SeatKind.DEPARTMENT
    if seat.status is not SeatStatus.INVITED and not is_late:
        return seat  # said once; a second press changes nothing
    said = statement.strip()[:MOST_WORDS]
    if conflicts and not said:
        raise DeclarationMissing(field="statement")
    found = [
        {"kind": kind.value, "zh": said, "en": said, "is_waivable": kind.is_waivable, "is_found": False}
        for kind in sorted(set(conflicts))
    ]
    known = conflicts_of(review, seat.expert) if seat.expert is not None else []
    found += [
        {"kind": one.kind.value, "zh": one.zh, "en": one.en, "is_waivable": one.is_waivable, "is_found": True}
        for one in known
    ]
    seat.conflicts = found
    seat.statement = said
    seat.declared_at = clock.now()
    workflow.turn(seat, TURNS, "declare_conflict" if found else "declare")
    act = workflow.step(
        review,
        STEPS,
        "declare_conflict" if found else "declare",
        by=by,
        name=seat.name,
        conflicts=[one["kind"] for one in found],
    )
    tell_body(review, act.act, is_warning=bool(found))
    return seat


def waive(review: TechnicalReview, seat: Seat, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The lead lets somebody serve all the same, with a reason on record.

    Raises:
        OwnConflict, NotWaivable, commissions.ReasonMissing, workflow errors.
    """
    workflow.check(review, STEPS, "waive", by=by, expected_version=expected_version)
    _not_oneself(seat, by)
    if seat.status is not SeatStatus.CONFLICTED or not all(one["is_waivable"] for one in seat.conflicts):
        raise NotWaivable
    seat.reason = given_reason(reason)
    seat.decided_by = f"{by.organisation} {by.person}"
    workflow.turn(seat, TURNS, "waive")
    workflow.step(review, STEPS, "waive", by=by, name=seat.name, reason=seat.reason)


def replace(
    review: TechnicalReview, seat: Seat, reason: str, *, by: Actor, expected_version: int | None = None
) -> Seat | None:
    """Take somebody off the panel; a drawn expert's place goes to the next of the same order.

    Answers the new seat, or None when the order has nobody left or nobody was drawn.

    Raises:
        OwnConflict, commissions.ReasonMissing, workflow errors.
    """
    workflow.check(review, STEPS, "replace", by=by, expected_version=expected_version)
    if seat.status is SeatStatus.CONFLICTED:
        _not_oneself(seat, by)
    if seat.kind is SeatKind.LEAD and seat.person_id == review.lead_id:
        raise OwnConflict
    seat.reason = given_reason(reason)
    seat.decided_by = f"{by.organisation} {by.person}"
    workflow.turn(seat, TURNS, "replace")
    seat.replaced_at = clock.now()
    session.flush()
    following = _next_in_order(review, seat)
    workflow.step(
        review,
        STEPS,
        "replace",
        by=by,
        name=seat.name,
        reason=seat.reason,
        following=following.name if following is not None else None,
    )
    return following


def undeclared(review: TechnicalReview) -> list[Seat]:
    """Seats whose holders have still to declare."""
    return [seat for seat in of_review(review) if seat.status is SeatStatus.INVITED]


def _not_oneself(seat: Seat, by: Actor) -> None:
    if seat.person_id == by.person_id:
        raise OwnConflict


def _next_in_order(review: TechnicalReview, seat: Seat) -> Seat | None:
    if not seat.draw:
        return None
    return seat_next(review, drawing.find(seat.draw), seat.discipline, replaces=seat)
