"""Which deliverables an authority may put before a panel of its own (001 §9.4 "专家审查合格")."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import or_, select

from kernel.access import Role
from kernel.db import session
from kernel.trail import Actor
from market.catalogue import ServiceItem
from market.commissions import Commission
from market.deliverables import Deliverable, DeliverableStatus
from reviews.technical.records import OVER, TechnicalReview

#: Organisation's key → codes of the service items whose results it decides on.
Competence = Callable[[int], set[str]]
_competence: list[Competence] = []

JUDGES = (Role.AUTHORITY.value, Role.APPROVER.value, Role.CENTRE.value)


def competence_known_by(*known: Competence) -> None:
    """The approval side stands above this module; it says here who decides on what (``app.py``)."""
    _competence[:] = known


def may_judge(deliverable: Deliverable, actor: Actor) -> bool:
    """Whether the actor's authority may put a deliverable before a panel: it bought it, or decides on what it is for."""
    key = actor.organisation_id
    if key is None or not actor.has(*JUDGES):
        return False
    commission = deliverable.commission
    return key == commission.client_id or commission.item.code in _items_of(key)


def to_judge(actor: Actor, *, commission_number: str | None = None, most: int = 20) -> list[Deliverable]:
    """Deliverables that wait for acceptance, that :func:`may_judge` allows, and that no panel has; the oldest first.

    ``commission_number``: only that commission's.
    """
    key = actor.organisation_id
    if key is None or not actor.has(*JUDGES):
        return []
    statement = (
        select(Deliverable)
        .join(Commission, Commission.id == Deliverable.commission_id)
        .join(ServiceItem, ServiceItem.id == Commission.item_id)
        .where(
            Deliverable.status == DeliverableStatus.SUBMITTED,
            or_(Commission.client_id == key, ServiceItem.code.in_(_items_of(key))),
            ~select(TechnicalReview.id)
            .where(
                or_(TechnicalReview.deliverable_id == Deliverable.id, TechnicalReview.commission_id == Commission.id),
                TechnicalReview.status.not_in(OVER),
            )
            .exists(),
        )
        .order_by(Deliverable.submitted_at, Deliverable.id)
        .limit(most)
    )
    if commission_number is not None:
        statement = statement.where(Commission.number == commission_number)
    return list(session.scalars(statement).unique())


def _items_of(organisation_id: int) -> set[str]:
    return {code for known in _competence for code in known(organisation_id)}
