"""Finding calls: public from publication on; a draft is its client's alone."""

from __future__ import annotations

from sqlalchemy import select

from kernel.access import Role
from kernel.db import session
from kernel.errors import NotFound
from kernel.trail import Actor
from market.calls.records import CallForBids
from market.commissions import Commission


def is_public(call: CallForBids) -> bool:
    return call.published_at is not None


def can_see(call: CallForBids, actor: Actor | None) -> bool:
    """Everybody once it is published; before that the client, and operators and supervisors who give keys."""
    if is_public(call):
        return True
    return actor is not None and (
        actor.organisation_id == call.commission.client_id or actor.has(Role.OPERATOR.value, Role.SUPERVISOR.value)
    )


def find(number: str, *, by: Actor | None, lock: bool = False) -> CallForBids:
    """The call of a number, if it is the caller's to see; ``lock`` takes its commission's row exclusively.

    Raises:
        NotFound.
    """
    call = session.scalars(select(CallForBids).where(CallForBids.number == number)).unique().first()
    if call is None or not can_see(call, by):
        raise NotFound
    if lock:
        lock_commission(call)
    return call


def lock_commission(call: CallForBids) -> None:
    """The commission's row is the call's lock: its state, its version and everything below it."""
    session.scalars(
        select(Commission)
        .where(Commission.id == call.commission_id)
        .with_for_update(of=Commission)
        .execution_options(populate_existing=True)
    ).one()
    session.refresh(call)


def of_commission(commission: Commission) -> CallForBids | None:
    return session.scalars(select(CallForBids).where(CallForBids.commission_id == commission.id)).unique().first()


def of_subject(subject: str) -> CallForBids | None:
    """The call of a trail subject ``commission:<number>``, for subscribers."""
    number = subject.partition(":")[2]
    return session.scalars(select(CallForBids).join(Commission).where(Commission.number == number)).unique().first()
