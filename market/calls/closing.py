"""The end of the bidding period: closing, failing, running again, and what an outage does to it (life-cycles §2).

The close locks the commission exclusively; a bid locks it shared and then reads the clock, so that no bid accepted
in the closing second is missed by the opening (competition.md, "Races").
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from kernel import clock, notifications, numbers, timekeeping, trail, workflow
from kernel.access import Role
from kernel.db import session
from kernel.errors import Forbidden
from kernel.trail import CLOCK, Actor
from market import custody, notices
from market.calls.faults import OutageInvalid, RerunKnown
from market.calls.finding import find
from market.calls.need import begin, carry_over
from market.calls.publishing import TICK, announce, spoken
from market.calls.records import CallForBids, Outage
from market.commissions import (
    NUMBER,
    STEPS,
    Commission,
    CommissionStatus,
    given_reason,
    tell_client,
)
from market.notices import NoticeKind
from market.requests import GovernmentPurchase, purchase_of, tell_applicant

trail.name_acts({"outage.declared": ("公布系统故障", "Outage declared")})
#: An outage that touches this much of the end of a call puts its closing off.
LAST_HOUR = timedelta(hours=1)
#: A call that failed for want of bidders because nobody could bid is no failed call.
_EXTENDIBLE = (CommissionStatus.OPEN, CommissionStatus.EVALUATING, CommissionStatus.FAILED)


def due(until: datetime, most: int) -> list[tuple[datetime, str]]:
    """Due-loop source: calls whose closing has passed."""
    rows = session.execute(
        select(CallForBids.next_check_at, CallForBids.number)
        .where(CallForBids.next_check_at.is_not(None), CallForBids.next_check_at <= until)
        .order_by(CallForBids.next_check_at, CallForBids.id)
        .limit(most)
    )
    return [(at, number) for at, number in rows if at is not None]


def act_on_due(number: str, at: datetime) -> None:
    """Close a call whose closing has passed, once, with the legal instant of the closing."""
    call = find(number, by=CLOCK, lock=True)
    if call.next_check_at != at:
        return
    close(call, by=CLOCK, at=at - TICK)


def close(call: CallForBids, *, by: Actor, at: datetime) -> None:
    """No more bids; what follows (too few bidders, opening) subscribes to ``bidding.closed``."""
    call.next_check_at = None
    call.closed_at = at
    session.flush()
    workflow.step(call.commission, STEPS, "close", by=by, at=at, call=call.number)


def fail(call: CallForBids, zh: str, en: str, *, by: Actor, at: datetime | None = None) -> None:
    """流标: said why, told to all; bids that were not opened stay closed."""
    commission = call.commission
    call.failed_reason = zh
    call.next_check_at = None
    commission.reason = zh
    workflow.step(commission, STEPS, "fail", by=by, at=at, call=call.number, reason=zh)
    timekeeping.end_all(commission.subject, by=by, at=at)
    announce(
        call, NoticeKind.FAILED, call.title, [{"zh": "流标原因", "en": "Reason", "value": zh, "value_en": en}], at=at
    )
    tell_client(commission, "call.failed", is_warning=True, at=at)
    tell_applicant(commission, "call.failed", at=at)


def rerun(call: CallForBids, *, by: Actor, expected_version: int | None = None) -> CallForBids:
    """A new draft linked to the failed one, with its words; once (the unique link is the last word).

    Raises:
        RerunKnown, workflow.MoveNotOpen, workflow.StaleVersion.
    """
    old = call.commission
    if rerun_of(call) is not None:
        raise RerunKnown
    workflow.step(old, STEPS, "rerun", by=by, expected_version=expected_version, call=call.number)
    commission = Commission(
        number=numbers.following(NUMBER),
        status=CommissionStatus.DRAFT,
        version=1,
        route=old.route,
        payer=old.payer,
        project=old.project,
        phase=old.phase,
        item=old.item,
        client=old.client,
        applicant_id=old.applicant_id,
        rerun_of_id=old.id,
        quote=[],
        promised_working_days=old.item.promised_working_days,
        draft_at=clock.now(),
        materials=[],
        inquiries=[],
    )
    session.add(commission)
    session.flush()
    trail.record(commission.subject, "commission.drafted", by=by, project=old.project.code, rerun_of=old.number)
    purchase = purchase_of(old)
    if purchase is not None:
        session.add(
            GovernmentPurchase(
                commission_id=commission.id,
                request_reason=purchase.request_reason,
                budget_line=purchase.budget_line,
                budget=purchase.budget,
                purchase_basis=purchase.purchase_basis,
                taken_up_at=purchase.taken_up_at,
                taken_up_by=purchase.taken_up_by,
            )
        )
    again = begin(commission, old.route, by=by)
    carry_over(call, again)
    return again


def declare_outage(began_at: datetime, ended_at: datetime, reason: str, *, by: Actor) -> Outage:
    """The operators state an outage: every closing whose last hour it touched is put off, on public record.

    A call that closed during the outage and was not opened is open again. The new closing leaves as much time after
    the outage as it took away, an hour at least.

    Raises:
        OutageInvalid, commissions.ReasonMissing. Forbidden: whoever is no operator.
    """
    if not by.has(Role.OPERATOR.value):
        raise Forbidden
    if not began_at < ended_at <= clock.now():
        raise OutageInvalid(field="ended_at")
    told = given_reason(reason)
    extended = []
    for number in _touched(began_at, ended_at):
        call = find(number, by=CLOCK, lock=True)
        if _extend(call, began_at, ended_at, told, by=by):
            extended.append(number)
    outage = Outage(
        began_at=began_at,
        ended_at=ended_at,
        reason=told,
        declared_at=clock.now(),
        by=by.person,
        extended=extended,
    )
    session.add(outage)
    session.flush()
    trail.record(f"outage:{outage.id}", "outage.declared", by=by, began=began_at, ended=ended_at, extended=extended)
    notices.publish(
        NoticeKind.OUTAGE,
        "系统故障公告",
        [
            {"zh": "故障开始", "en": "Began", "value": spoken(began_at)},
            {"zh": "故障结束", "en": "Ended", "value": spoken(ended_at)},
            {"zh": "原因", "en": "Reason", "value": told},
            {
                "zh": "顺延截止的采购",
                "en": "Calls put off",
                "value": "、".join(extended) or "无",
                "value_en": ", ".join(extended) or "none",
            },
        ],
    )
    return outage


def _touched(began_at: datetime, ended_at: datetime) -> list[str]:
    """Numbers of the calls whose last hour the outage touched, in key order (the order of locks)."""
    rows = session.scalars(
        select(CallForBids.number)
        .join(Commission)
        .where(
            Commission.status.in_(_EXTENDIBLE),
            CallForBids.opened_at.is_(None),
            CallForBids.closing_at > began_at,
            CallForBids.closing_at < ended_at + LAST_HOUR,
        )
        .order_by(CallForBids.commission_id)
    )
    return list(rows)


def _extend(call: CallForBids, began_at: datetime, ended_at: datetime, reason: str, *, by: Actor) -> bool:
    commission, old = call.commission, call.closing_at
    if old is None or call.opened_at is not None or custody.identities(call.id):
        return False  # with a key handed in, bids that came now would be sealed for two custodians only
    if commission.status not in _EXTENDIBLE or (
        commission.status is CommissionStatus.FAILED and rerun_of(call) is not None
    ):
        return False
    lost = min(ended_at, old) - max(began_at, old - LAST_HOUR)
    new = max(old, ended_at) + max(lost, LAST_HOUR)
    call.closing_at = new
    call.next_check_at = new + TICK
    call.closed_at = None
    call.failed_reason = commission.reason = ""
    commission.evaluating_at = commission.failed_at = None  # stamped again when it happens; the trail keeps both
    action = "extend_closing" if commission.status is CommissionStatus.OPEN else "reopen"
    workflow.step(commission, STEPS, action, by=by, call=call.number, closing=new, before=old, reason=reason)
    announce(
        call,
        NoticeKind.EXTENSION,
        call.title,
        [
            {"zh": "原截止时间", "en": "Closing before", "value": spoken(old)},
            {"zh": "顺延至", "en": "Closing now", "value": spoken(new)},
            {"zh": "原因", "en": "Reason", "value": reason},
        ],
    )
    tell_client(commission, "commission.extended")
    return True


def rerun_of(call: CallForBids) -> CallForBids | None:
    """The call by which a failed one is run again, if there is one."""
    if call.commission.status is not CommissionStatus.FAILED:
        return None
    return (
        session.scalars(
            select(CallForBids).join(Commission).where(Commission.rerun_of_id == call.commission_id).limit(1)
        )
        .unique()
        .first()
    )


def tell_agency_of(call: CallForBids, organisation_id: int, act: str, *, is_warning: bool = False) -> None:
    """A line for one agency about a call that is not its commission (yet)."""
    notifications.tell_organisation(
        organisation_id,
        subject=call.notice,
        act=act,
        title=f"{call.title}（{call.number}）",
        is_warning=is_warning,
        project=call.commission.project.name,
    )
