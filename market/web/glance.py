"""One cheap question before a commission's page: may this person see it, and is it still as it was?

Everything the page shows is told by acts, so the heads of the chains of the commission, its deliverables and
their documents say whether anything happened (decision 5). Only the day adds to that, for the clocks.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Table, bindparam, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by

from kernel import clock
from kernel.db import session
from kernel.dossier import Entry
from kernel.errors import NotFound
from kernel.trail import Actor, TrailHead
from market import commissions
from market.agencies import Agency
from market.catalogue import ServiceItem
from market.commissions import Commission, CommissionStatus
from market.deliverables import Deliverable

#: In these states nothing on the page depends on the minute (an offer can be taken back for some).
STEADY = frozenset(
    {
        CommissionStatus.TAKEN_ON,
        CommissionStatus.IN_SERVICE,
        CommissionStatus.DELIVERED,
        CommissionStatus.FINISHED,
        CommissionStatus.TERMINATED,
        CommissionStatus.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class Glance:
    """Who the sides are, the state, and the fingerprint of everything that happened."""

    client_id: int
    applicant_id: int
    agency_organisation_id: int | None
    offered_at: datetime | None
    status: CommissionStatus
    item: str
    item_en: str
    heads: str


_COMMISSIONS = cast("Table", Commission.__table__)
_AGENCIES = cast("Table", Agency.__table__)
_ITEMS = cast("Table", ServiceItem.__table__)
_HEADS = cast("Table", TrailHead.__table__)
_DELIVERABLES = cast("Table", Deliverable.__table__)
_ENTRIES = cast("Table", Entry.__table__)
_heads_of = (
    select(func.string_agg(_HEADS.c.hash, aggregate_order_by(literal(","), _HEADS.c.subject)))
    .where(
        _HEADS.c.subject.in_(
            union_all(
                select(literal("commission:") + _COMMISSIONS.c.number).correlate(_COMMISSIONS),
                select(literal("deliverable:") + _DELIVERABLES.c.number)
                .where(_DELIVERABLES.c.commission_id == _COMMISSIONS.c.id)
                .correlate(_COMMISSIONS),
                select(literal("document:") + _ENTRIES.c.number)
                .join(_DELIVERABLES, _ENTRIES.c.source == literal("deliverable:") + _DELIVERABLES.c.number)
                .where(_DELIVERABLES.c.commission_id == _COMMISSIONS.c.id)
                .correlate(_COMMISSIONS),
            )
        )
    )
    .correlate(_COMMISSIONS)
    .scalar_subquery()
)
_STATEMENT = (
    select(
        _COMMISSIONS.c.client_id,
        _COMMISSIONS.c.applicant_id,
        _AGENCIES.c.organisation_id,
        _COMMISSIONS.c.offered_at,
        _COMMISSIONS.c.status,
        _ITEMS.c.name,
        _ITEMS.c.name_en,
        _heads_of,
    )
    .select_from(
        _COMMISSIONS.join(_ITEMS, _COMMISSIONS.c.item_id == _ITEMS.c.id).outerjoin(
            _AGENCIES, _COMMISSIONS.c.agency_id == _AGENCIES.c.id
        )
    )
    .where(_COMMISSIONS.c.number == bindparam("number"))
)


def at(number: str, *, by: Actor) -> Glance:
    """Raises NotFound: there is none, or it is not the actor's to see."""
    row = session.execute(_STATEMENT, {"number": number}).first()
    if row is None:
        raise NotFound
    seen = Glance(*row)
    if not commissions.is_visible(
        seen.client_id,
        seen.agency_organisation_id,
        seen.offered_at,
        seen.status,
        by,
        applicant_id=seen.applicant_id,
    ):
        raise NotFound
    return seen


def key(number: str, seen: Glance, by: Actor, language: str) -> Hashable | None:
    """What the body of the page depends on, or None when it must not be kept."""
    if seen.status not in STEADY:
        return None
    return number, seen, by.organisation_id, by.roles, language, clock.today()
