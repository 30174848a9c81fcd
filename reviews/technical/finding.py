"""Finding reviews, and who may see that there is one; what stands in it is shown by the round."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, and_, or_, select

from kernel.access import Role
from kernel.db import session
from kernel.errors import NotFound
from kernel.trail import Actor
from market.commissions import Commission, Payer
from market.deliverables import Deliverable
from reviews.technical.life import by_authority
from reviews.technical.records import OVER, ReviewStatus, TechnicalReview

#: Told by the panels, who know the seats: (review, actor) → whether the actor has a seat; actor → ids of such reviews.
_has_seat: list[Callable[[TechnicalReview, Actor], bool]] = []
_seated: list[Callable[[Actor], ColumnElement[bool]]] = []

#: Whose office lets them see every review.
OVERSEERS = (Role.SUPERVISOR.value, Role.AUDITOR.value)


def seats_known_by(
    has_seat: Callable[[TechnicalReview, Actor], bool], clause: Callable[[Actor], ColumnElement[bool]]
) -> None:
    """Panels stand above this module; they say here who has a seat (``app.py``)."""
    _has_seat[:], _seated[:] = [has_seat], [clause]


def can_see(review: TechnicalReview, actor: Actor) -> bool:
    """The applicant, the client, the body, whoever has a seat, supervisors and auditors; an authority while it is asked
    to agree to a retraction."""
    sides = {review.applicant_id, review.body_id}
    if review.commission is not None:
        sides.add(review.commission.client_id)
    return (
        actor.has(*OVERSEERS)
        or actor.organisation_id in sides
        or any(has_seat(review, actor) for has_seat in _has_seat)
        or (review.retraction != "" and review.status is ReviewStatus.CONCLUDED and by_authority(review, actor))
    )


def visible(actor: Actor) -> ColumnElement[bool]:
    """The SQL form of :func:`can_see`."""
    if actor.has(*OVERSEERS):
        return TechnicalReview.id.is_not(None)
    mine = [
        TechnicalReview.applicant_id == actor.organisation_id,
        TechnicalReview.body_id == actor.organisation_id,
        TechnicalReview.commission_id.in_(select(Commission.id).where(Commission.client_id == actor.organisation_id)),
    ]
    if actor.has(Role.AUTHORITY.value):
        mine.append(
            and_(
                TechnicalReview.retraction != "",
                TechnicalReview.status == ReviewStatus.CONCLUDED,
                TechnicalReview.body_id != actor.organisation_id,
                TechnicalReview.commission_id.in_(select(Commission.id).where(Commission.payer != Payer.GOVERNMENT)),
            )
        )
    return or_(*mine, *(clause(actor) for clause in _seated))


def mine(actor: Actor, *, most: int = 200) -> list[TechnicalReview]:
    """The reviews that the actor sees, those that wait first, newest first."""
    rows = session.scalars(
        select(TechnicalReview)
        .where(visible(actor))
        .order_by(TechnicalReview.status.in_(OVER), TechnicalReview.id.desc())
        .limit(most)
    ).unique()
    return list(rows)


def find(number: str, *, by: Actor, lock: bool = False) -> TechnicalReview:
    """The review, if it is the actor's to see; with ``lock``, its commission is locked first.

    Raises:
        NotFound.
    """
    review = session.scalars(select(TechnicalReview).where(TechnicalReview.number == number)).unique().first()
    if review is None or not can_see(review, by):
        raise NotFound
    if lock:
        locks: list[tuple[type[Commission] | type[Deliverable] | type[TechnicalReview], int | None]] = [
            (Commission, review.commission_id),
            (Commission, review.deliverable.commission_id if review.deliverable is not None else None),
            (Deliverable, review.deliverable_id),
            (TechnicalReview, review.id),
        ]
        for record, key in locks:
            if key is not None:
                session.scalars(
                    select(record)
                    .where(record.id == key)
                    .with_for_update(of=record)
                    .execution_options(populate_existing=True)
                ).unique().one()
    return review


def of_subject(subject: str) -> TechnicalReview:
    """The review of a trail's subject. Raises NotFound."""
    number = subject.partition(":")[2]
    review = session.scalars(select(TechnicalReview).where(TechnicalReview.number == number)).unique().first()
    if review is None:
        raise NotFound
    return review


def of_commission(commission: Commission) -> TechnicalReview | None:
    return (
        session.scalars(select(TechnicalReview).where(TechnicalReview.commission_id == commission.id)).unique().first()
    )


def of_deliverable(deliverable: Deliverable, *, only_open: bool = False) -> TechnicalReview | None:
    """The panel that judges a deliverable now or, without ``only_open``, did last."""
    statement = select(TechnicalReview).where(TechnicalReview.deliverable_id == deliverable.id)
    if only_open:
        statement = statement.where(TechnicalReview.status.not_in(OVER))
    return session.scalars(statement.order_by(TechnicalReview.id.desc()).limit(1)).unique().first()


def holds(commission: Commission) -> str | None:
    """For :func:`market.deliverables.hold_by`: the number of the review that stands between a result and its acceptance."""
    return session.scalar(
        select(TechnicalReview.number)
        .outerjoin(Deliverable, Deliverable.id == TechnicalReview.deliverable_id)
        .where(
            or_(TechnicalReview.commission_id == commission.id, Deliverable.commission_id == commission.id),
            TechnicalReview.status.not_in(OVER),
        )
        .limit(1)
    )
