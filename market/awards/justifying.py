"""Abnormally low prices: asked about, explained, accepted or refused with a reason (A6; domain §5, "malicious low price").

Low is not refused by itself; but nobody is awarded while a low price is unexplained.
"""

from __future__ import annotations

from sqlalchemy import select

from kernel import clock, trail, workflow
from kernel.access import Role
from kernel.db import session
from kernel.errors import NotFound
from kernel.trail import Actor
from market import calls
from market.awards import evaluating
from market.awards.faults import JustificationAwaited, JustificationMissing, JustificationSettled
from market.awards.records import Justification
from market.calls import CallForBids
from market.commissions import STEPS, by_client, given_reason


def of_call(call: CallForBids) -> list[Justification]:
    return list(
        session.scalars(select(Justification).where(Justification.call_id == call.id).order_by(Justification.id))
    )


def find(call: CallForBids, token: str, *, by: Actor) -> Justification:
    """The justification asked of a bid, for its bidder, the client, and those who supervise.

    Raises:
        NotFound.
    """
    found = next((one for one in of_call(call) if one.bid.token == token), None)
    if found is None or not can_see(call, found, by):
        raise NotFound
    return found


def can_see(call: CallForBids, justification: Justification, actor: Actor) -> bool:
    return (
        actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)
        or by_client(call.commission, actor)
        or is_bidder(justification, actor)
    )


def is_bidder(justification: Justification, actor: Actor) -> bool:
    return actor.organisation_id == justification.bid.agency.organisation_id and actor.has(Role.AGENCY.value)


def answer(justification: Justification, text: str, *, by: Actor) -> None:
    """The bidder explains how the price is made up; until the client decides it may be written again.

    Raises:
        NotFound: not the bidder. JustificationMissing, JustificationSettled.
    """
    _lock(justification)
    if not is_bidder(justification, by):
        raise NotFound
    if justification.is_accepted is not None:
        raise JustificationSettled
    if not text.strip():
        raise JustificationMissing(field="text")
    justification.text = text.strip()
    justification.answered_at = clock.now()
    call = _call(justification)
    session.flush()
    trail.record(call.subject, "justification.answered", by=by, agency=justification.bid.agency.name)
    evaluating.tell_organisation_of(call, call.commission.client_id, "justification.answered")


def decide(
    justification: Justification, *, is_accepted: bool, reason: str, by: Actor, expected_version: int | None = None
) -> None:
    """The client's word: accepted, or the bid leaves the ranking, which is run again.

    Raises:
        workflow.MoveNotOpen, JustificationSettled, commissions.ReasonMissing.
        JustificationAwaited: nothing was answered, and the bidder still has time.
    """
    call = _call(justification)
    calls.lock_commission(call)
    workflow.check(call.commission, STEPS, "award", by=by, expected_version=expected_version)
    _lock(justification)
    if justification.is_accepted is not None:
        raise JustificationSettled
    if justification.answered_at is None and clock.today() <= justification.answer_until:
        raise JustificationAwaited(until=justification.answer_until.isoformat())
    told = given_reason(reason)
    justification.is_accepted = is_accepted
    justification.reason = told
    justification.decided_at = clock.now()
    justification.decided_by = by.person
    session.flush()
    agency = justification.bid.agency
    act = "justification.accepted" if is_accepted else "justification.rejected"
    trail.record(call.subject, act, by=by, agency=agency.name, reason=told)
    evaluating.tell_bidder(call, agency, act, is_warning=not is_accepted, reason=told)
    if not is_accepted:
        evaluating.rule_out(
            call, justification.bid, f"低价说明未获认可：{told}", by=by, reason_en=f"Low price not justified: {told}"
        )
        evaluating.rank(call, by=by, reason=told)


def _call(justification: Justification) -> CallForBids:
    return session.get_one(CallForBids, justification.call_id)


def _lock(justification: Justification) -> None:
    session.scalars(
        select(Justification)
        .where(Justification.id == justification.id)
        .with_for_update(of=Justification)
        .execution_options(populate_existing=True)
    ).one()
