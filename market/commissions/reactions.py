"""What other acts set off in a commission: the rows of the subscription table in ``app.py``."""

from __future__ import annotations

from sqlalchemy import select

from kernel.db import session
from kernel.timekeeping import ClockKind
from kernel.trail import Actor, TrailAct
from market.agencies import Agency
from market.commissions.offering import lapse
from market.commissions.records import Commission, CommissionStatus
from market.commissions.telling import tell_agency, tell_client


def on_red(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.light.red``: silence lapses the offer, other clocks tell both sides."""
    commission = session.scalars(
        select(Commission)
        .where(Commission.number == act.subject.partition(":")[2])
        .with_for_update(of=Commission)
        .execution_options(populate_existing=True)
    ).one()
    if act.data["clock"] == ClockKind.AGENCY_RESPONSE.value and commission.status == CommissionStatus.OFFERED:
        lapse(commission, at=act.at)
    else:
        tell_both_sides(act, by)


def tell_both_sides(act: TrailAct, by: Actor) -> None:
    """Subscriber of a commission's changes of light; the publicity period is no delay of anybody's."""
    if act.data["clock"] == ClockKind.PUBLICITY.value:
        return
    commission = session.scalars(select(Commission).where(Commission.number == act.subject.partition(":")[2])).one()
    for tell in (tell_client, tell_agency):
        tell(commission, act.act, is_warning=True, at=act.at)


def lapse_offers_of(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``agency.suspended``: its open offers go back to their clients; running services go on."""
    rows = session.scalars(
        select(Commission)
        .join(Agency, Commission.agency_id == Agency.id)
        .where(Agency.number == act.subject.partition(":")[2], Commission.status == CommissionStatus.OFFERED)
        .order_by(Commission.id)
        .with_for_update(of=Commission)
    ).all()
    for commission in rows:
        lapse(commission, at=act.at)
