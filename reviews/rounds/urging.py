"""No answer is a breach: an overdue department turns red, is urged and listed (W16, B8)."""

from __future__ import annotations

from sqlalchemy import select

from kernel import notifications, trail
from kernel.access import Role
from kernel.accounts import Membership, members_with
from kernel.db import session
from kernel.trail import SYSTEM, Actor, TrailAct
from reviews.panels import Seat, SeatStatus
from reviews.rounds.finding import current, rounds_of
from reviews.rounds.opening import end_consultation
from reviews.rounds.records import Round, RoundSeat
from reviews.rounds.writing import look_again
from reviews.technical import TechnicalReview, of_subject, tell_applicant, tell_body


def on_consultation_light(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``consultation.light.amber`` and ``.red``: the department is urged; on red lead and supervisors too."""
    number, round_number, seat_id = act.subject.partition(":")[2].rsplit(".", 2)
    seat = session.get_one(Seat, int(seat_id))
    review = session.scalars(select(TechnicalReview).where(TechnicalReview.number == number)).unique().one()
    is_red = act.act.endswith(".red")
    told = members_with(seat.organisation_id) if seat.organisation_id is not None else []
    if is_red:
        told = [*told, review.lead_id, *_supervisors()]
        trail.record(
            review.subject,
            "review.department_urged",
            by=SYSTEM,
            at=act.at,
            department=seat.name,
            discipline=seat.discipline,
            round=int(round_number),
        )
    notifications.tell(
        told,
        subject=review.subject,
        act="review.department_urged" if is_red else act.act,
        title=review.title,
        is_warning=True,
        at=act.at,
        department=seat.name,
        discipline=seat.discipline,
    )


def on_review_light(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``review.light.amber`` and ``.red``: whoever's turn it is, and on red the lead and the supervisors."""
    number = act.subject.partition(":")[2]
    review = session.scalars(select(TechnicalReview).where(TechnicalReview.number == number)).unique().one()
    if review.status == "with_applicant":
        tell_applicant(review, act.act, is_warning=True)
    else:
        waiting = session.scalars(
            select(Seat.person_id)
            .join(RoundSeat, RoundSeat.seat_id == Seat.id)
            .join(Round, Round.id == RoundSeat.round_id)
            .where(
                Round.review_id == review.id,
                Round.closed_at.is_(None),
                Round.cancelled_at.is_(None),
                RoundSeat.feedback.is_(None),
                Seat.person_id.is_not(None),
                Seat.status == "serving",
            )
        )
        notifications.tell(
            [one for one in waiting if one is not None],
            subject=review.subject,
            act=act.act,
            title=review.title,
            is_warning=True,
            at=act.at,
        )
    tell_body(review, act.act, is_warning=True)
    if act.act.endswith(".red"):
        notifications.tell(
            _supervisors(), subject=review.subject, act=act.act, title=review.title, is_warning=True, at=act.at
        )


def on_replaced(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``review.replaced``: the limit ends with the seat; whom the round waited for may have been the last."""
    review = of_subject(act.subject)
    round_ = current(review)
    if round_ is not None and round_.closed_at is None:
        for asked in round_.asked:
            if asked.seat.status is SeatStatus.REPLACED:
                end_consultation(review, round_, asked.seat, by)
        look_again(review, round_)


def on_ended(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``review.ended``: nobody is urged for a review that is over."""
    review = of_subject(act.subject)
    for round_ in rounds_of(review):
        for asked in round_.asked:
            end_consultation(review, round_, asked.seat, by)


def _supervisors() -> list[int]:
    return list(
        session.scalars(
            select(Membership.person_id)
            .where(Membership.role == Role.SUPERVISOR, Membership.ended_at.is_(None))
            .distinct()
        )
    )
