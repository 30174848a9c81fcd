"""Rounds and what of them an actor may see: others' opinions stay hidden until all are in (B7, life-cycles §3)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, false, or_, select

from kernel.db import session
from kernel.errors import NotFound
from kernel.files import Document
from kernel.trail import Actor
from reviews import panels
from reviews.panels import Seat, SeatKind, SeatStatus
from reviews.rounds.faults import DeclareFirst, NoRound, NotYours, RoundOver
from reviews.rounds.records import CheckResult, Opinion, OpinionStatus, Round, RoundDocument, RoundSeat
from reviews.technical import TechnicalReview, by_body
from reviews.technical.finding import OVERSEERS

#: What has left its author's desk.
SAID = (OpinionStatus.SUBMITTED, OpinionStatus.OPEN, OpinionStatus.CLOSED)
#: What was issued to the applicant.
ISSUED = (OpinionStatus.OPEN, OpinionStatus.CLOSED)


def rounds_of(review: TechnicalReview) -> list[Round]:
    """The rounds that count, oldest first."""
    return list(
        session.scalars(
            select(Round).where(Round.review_id == review.id, Round.cancelled_at.is_(None)).order_by(Round.number)
        )
    )


def current(review: TechnicalReview) -> Round | None:
    """The latest round, open or closed."""
    found = rounds_of(review)
    return found[-1] if found else None


def round_of(review: TechnicalReview, number: int) -> Round:
    """A round by its number. Raises NoRound."""
    for one in rounds_of(review):
        if one.number == number:
            return one
    raise NoRound(number=number)


def open_round_of(review: TechnicalReview, number: int | None = None) -> Round:
    """The present round; with ``number`` the caller says which one they mean.

    Raises:
        NoRound: none was opened yet. RoundOver: they mean an older one.
    """
    latest = current(review)
    if latest is None:
        raise NoRound(number=number or 1)
    if number is not None and number != latest.number:
        raise RoundOver(number=number, current=latest.number)
    return latest


def asked_of(round_: Round, seat: Seat) -> RoundSeat | None:
    return next((one for one in round_.asked if one.seat_id == seat.id), None)


def waited_for(round_: Round) -> list[RoundSeat]:
    """Who was asked, still serves, and has not answered."""
    return [one for one in round_.asked if one.feedback is None and one.seat.status is not SeatStatus.REPLACED]


def to_ask(review: TechnicalReview) -> list[Seat]:
    """Who is asked in a round: everybody who serves; a department again only where an opinion of its own is open."""
    concerned = {one.seat_id for one in issued_of(review, only_open=True)}
    before = {one.seat_id for each in rounds_of(review) for one in each.asked}
    return [
        seat
        for seat in panels.of_review(review)
        if seat.is_serving and (seat.kind is not SeatKind.DEPARTMENT or seat.id in concerned or seat.id not in before)
    ]


def serving_seat(review: TechnicalReview, actor: Actor, *, seat_id: int | None = None) -> Seat:
    """The actor's seat, declared and free of conflicts.

    Raises:
        NoSeat, DeclareFirst.
    """
    seat = panels.seat_of(review, actor, seat_id=seat_id)
    if not seat.is_serving:
        raise DeclareFirst
    return seat


def may_open(review: TechnicalReview, actor: Actor) -> bool:
    """Who reads the documents: the sides that handed them in, whoever serves, and the body's people without a seat.

    Of an authority that judges somebody else's deliverable only those who serve read it; nobody reads against whom
    something stands.
    """
    standing = panels.standing(review, actor)
    if standing.may_open:
        return True
    if standing.is_seated or standing.is_shut:
        return False
    sides = {review.applicant_id}
    if review.commission is not None:
        sides |= {review.commission.client_id}
    is_staff = review.commission is not None and by_body(review, actor)
    return actor.organisation_id in sides or is_staff or actor.has(*OVERSEERS)


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: whoever may open a review reads what it froze."""
    if actor is None:
        return False
    reviews = session.scalars(
        select(TechnicalReview)
        .join(Round, Round.review_id == TechnicalReview.id)
        .join(RoundDocument, RoundDocument.round_id == Round.id)
        .where(RoundDocument.document_id == document.id)
        .distinct()
    ).unique()
    return any(may_open(review, actor) for review in reviews)


def read_by(document: Document) -> ColumnElement[bool]:
    """Reviews that froze this content into a round, as a clause for :func:`reviews.panels.barred`."""
    return TechnicalReview.id.in_(
        select(Round.review_id)
        .join(RoundDocument, RoundDocument.round_id == Round.id)
        .where(RoundDocument.sha256 == document.sha256)
    )


def visible(review: TechnicalReview, actor: Actor) -> ColumnElement[bool]:
    """Which of a review's opinions the actor may see, as a clause: one place for every page, list and feed.

    One's own always; what was issued, everybody who sees the review, save those who haven't declared or are in conflict:
    an opinion quotes the files. What was submitted, the panel, the body and the overseers, once everybody asked in that
    round has answered.
    """
    shown: list[ColumnElement[bool]] = [false()]
    standing = panels.standing(review, actor)
    is_kept_out = standing.is_shut or (standing.is_seated and not standing.may_open)
    if not is_kept_out:
        shown.append(Opinion.status.in_(ISSUED))
    own = [seat.id for seat in standing.seats]
    if own:
        shown.append(Opinion.seat_id.in_(own))
    if not is_kept_out and (standing.may_open or by_body(review, actor) or actor.has(*OVERSEERS)):
        all_in = select(Round.id).where(Round.review_id == review.id, Round.all_in_at.is_not(None))
        said = Opinion.status.in_((OpinionStatus.SUBMITTED, OpinionStatus.MERGED))
        shown.append(and_(said, Opinion.round_id.in_(all_in)))
    return and_(Opinion.review_id == review.id, or_(*shown))


def opinions_for(
    review: TechnicalReview, actor: Actor, *, most: int = 2000, only: Sequence[ColumnElement[bool]] = ()
) -> list[Opinion]:
    """The opinions that the actor may see, issued ones first in their order; the rest by when they were written."""
    return list(
        session.scalars(
            select(Opinion)
            .where(visible(review, actor), *only)
            .order_by(Opinion.number.asc().nulls_last(), Opinion.id)
            .limit(most)
        ).unique()
    )


def issued_of(review: TechnicalReview, *, only_open: bool = False) -> list[Opinion]:
    """What was issued and, with ``only_open``, is not closed; by number. For rules, not for pages."""
    wanted = (OpinionStatus.OPEN,) if only_open else ISSUED
    return list(
        session.scalars(
            select(Opinion).where(Opinion.review_id == review.id, Opinion.status.in_(wanted)).order_by(Opinion.number)
        ).unique()
    )


def opinion_for(review: TechnicalReview, key: str, actor: Actor) -> Opinion:
    """One opinion that the actor may see. Raises NotFound."""
    found = session.scalars(select(Opinion).where(Opinion.key == key, visible(review, actor))).unique().first()
    if found is None:
        raise NotFound
    return found


def own_opinion(review: TechnicalReview, key: str, actor: Actor) -> Opinion:
    """One's own opinion, for changing it. Raises NotFound, NotYours."""
    found = opinion_for(review, key, actor)
    if not panels.speaks_for(found.seat, actor):
        raise NotYours
    return found


def checks_of(round_: Round) -> list[CheckResult]:
    """What the machine found on a round, by criterion."""
    return list(
        session.scalars(select(CheckResult).where(CheckResult.round_id == round_.id).order_by(CheckResult.id)).unique()
    )
