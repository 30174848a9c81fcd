"""Who sits where, and whom a conflict keeps from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select

from kernel.db import session
from kernel.files import Document
from kernel.trail import Actor
from market.commissions import CommissionMaterial
from market.deliverables import DeliverableFile
from market.drawing import Draw, DrawPurpose
from reviews.panels.faults import NoSeat
from reviews.panels.records import Seat, SeatKind, SeatStatus
from reviews.technical import OVER, TechnicalReview
from reviews.technical.life import DEPARTMENT

#: More places where a review holds files, as clauses on TechnicalReview; the rounds add theirs.
_read_by: list[Callable[[Document], ColumnElement[bool]]] = []


def files_known_by(*clauses: Callable[[Document], ColumnElement[bool]]) -> None:
    """Rounds stand above this module; they say here which files they froze (``app.py``)."""
    _read_by[:] = clauses


def of_review(review: TechnicalReview) -> list[Seat]:
    """Every seat there ever was, oldest first."""
    return list(session.scalars(select(Seat).where(Seat.review_id == review.id).order_by(Seat.id)).unique())


def speaks_for(seat: Seat, actor: Actor) -> bool:
    """Whether the seat is the actor's own, or the actor's department's."""
    if seat.kind is SeatKind.DEPARTMENT:
        return actor.organisation_id == seat.organisation_id and actor.has(*DEPARTMENT)
    return actor.person_id is not None and actor.person_id == seat.person_id


def seat_of(review: TechnicalReview, actor: Actor, *, seat_id: int | None = None) -> Seat:
    """The actor's seat on a review; with ``seat_id`` that one, if it is theirs.

    Raises:
        NoSeat: none, or only one that was replaced.
    """
    for seat in of_review(review):
        if (
            seat.status is not SeatStatus.REPLACED
            and speaks_for(seat, actor)
            and (seat_id is None or seat.id == seat_id)
        ):
            return seat
    raise NoSeat


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody's seats on a review come to.

    Attributes:
        seats: all that were ever theirs. ``is_seated``: they sit there now, declared or not.
        may_open: one of the seats serves: declared, and nothing stands against it.
        is_shut: something stands against them: not declared, in conflict, or replaced for one.
    """

    seats: Sequence[Seat]
    is_seated: bool
    may_open: bool
    is_shut: bool


def standing(review: TechnicalReview, actor: Actor) -> Standing:
    """All of it from one look at the panel."""
    own = [seat for seat in of_review(review) if speaks_for(seat, actor)]
    sitting = [seat for seat in own if seat.status is not SeatStatus.REPLACED]
    return Standing(
        seats=own,
        is_seated=bool(sitting),
        may_open=any(seat.is_serving for seat in sitting),
        is_shut=any(
            seat.person_id is not None
            and (
                seat.status in {SeatStatus.INVITED, SeatStatus.CONFLICTED}
                or (seat.status is SeatStatus.REPLACED and bool(seat.conflicts))
            )
            for seat in own
        ),
    )


def has_seat(review: TechnicalReview, actor: Actor) -> bool:
    """Whether the actor sits on a review now, declared or not; may know of it, not yet read."""
    return standing(review, actor).is_seated


def seated(actor: Actor) -> ColumnElement[bool]:
    """The SQL form of :func:`has_seat` on TechnicalReview."""
    own = Seat.person_id == actor.person_id
    if actor.has(*DEPARTMENT):
        own = or_(own, and_(Seat.kind == SeatKind.DEPARTMENT, Seat.organisation_id == actor.organisation_id))
    return TechnicalReview.id.in_(select(Seat.review_id).where(own, Seat.status != SeatStatus.REPLACED))


def may_open(review: TechnicalReview, actor: Actor) -> bool:
    """Whether a seat lets its holder open the files."""
    return standing(review, actor).may_open


def is_shut(review: TechnicalReview, actor: Actor) -> bool:
    """Whether something stands against the actor on this review."""
    return standing(review, actor).is_shut


def barred(document: Document, actor: Actor | None) -> bool:
    """For :func:`kernel.files.register_bar`: whether the actor has a seat on a review of this file and has not declared, or may not serve.

    Somebody whom a conflict took off the panel stays barred from what that review reads while it lasts; by their office
    they would otherwise reach the file through the commission.
    """
    if actor is None or actor.person_id is None:
        return False
    shut = or_(
        Seat.status.in_((SeatStatus.INVITED, SeatStatus.CONFLICTED)),
        and_(Seat.status == SeatStatus.REPLACED, func.jsonb_array_length(Seat.conflicts) > 0),
    )
    # One file has one fingerprint, under whatever number it was handed in.
    same = select(Document.id).where(Document.sha256 == document.sha256)
    read = or_(
        TechnicalReview.commission_id.in_(
            select(CommissionMaterial.commission_id).where(CommissionMaterial.document_id.in_(same))
        ),
        TechnicalReview.deliverable_id.in_(
            select(DeliverableFile.deliverable_id).where(DeliverableFile.document_id.in_(same))
        ),
        *(more(document) for more in _read_by),
    )
    found = session.scalar(
        select(Seat.id)
        .join(TechnicalReview, TechnicalReview.id == Seat.review_id)
        .where(Seat.person_id == actor.person_id, shut, read)
        .limit(1)
    )
    return found is not None


def draws_of(review: TechnicalReview) -> list[Draw]:
    """The draws of experts for a review, oldest first, those under way among them."""
    return list(
        session.scalars(
            select(Draw)
            .where(
                Draw.purpose == DrawPurpose.EXPERTS, Draw.subject_of.startswith(f"{review.subject}/", autoescape=True)
            )
            .order_by(Draw.id)
        )
    )


def load_of(expert_ids: Sequence[int]) -> dict[int, int]:
    """Expert id → how many open reviews they sit on; for :func:`reviews.experts.register_load`."""
    rows = session.execute(
        select(Seat.expert_id, func.count())
        .join(TechnicalReview, TechnicalReview.id == Seat.review_id)
        .where(
            Seat.expert_id.in_(expert_ids),
            Seat.status != SeatStatus.REPLACED,
            TechnicalReview.status.not_in(OVER),
        )
        .group_by(Seat.expert_id)
    )
    return {expert_id: count for expert_id, count in rows if expert_id is not None}
