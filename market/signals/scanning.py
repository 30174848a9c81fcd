"""When calls are looked at: queued by the opening and by the award, done by the due-loop in a transaction of its own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from kernel import clock, notifications
from kernel.access import Role
from kernel.accounts import Membership
from kernel.db import session
from kernel.trail import Actor, TrailAct
from market import calls
from market.calls import CallForBids
from market.signals import detecting, keeping, thresholds
from market.signals.records import Severity, Signal, SignalScan


def on_opened(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``bids.opened`` and ``award.published``: the call waits to be looked at for conduct signals."""
    call = calls.of_subject(act.subject)
    if call is not None and not call.hides_bidders:  # after the rounds the award brings it here
        session.execute(
            insert(SignalScan).values(call_id=call.id, due_at=act.at, done_at=None).on_conflict_do_nothing()
        )


def due(until: datetime, most: int) -> list[tuple[datetime, str]]:
    """Calls that wait, as (instant, key), the earliest first."""
    rows = session.execute(
        select(SignalScan.due_at, SignalScan.id)
        .where(SignalScan.done_at.is_(None), SignalScan.due_at <= until)
        .order_by(SignalScan.due_at, SignalScan.id)
        .limit(most)
    )
    return [(at, str(key)) for at, key in rows]


def act_on_due(key: str, at: datetime) -> None:
    """Look at one waiting call; a key that is done already is passed over."""
    waiting = session.scalars(
        select(SignalScan).where(SignalScan.id == int(key), SignalScan.done_at.is_(None)).with_for_update()
    ).first()
    if waiting is None:
        return
    call = session.get_one(CallForBids, waiting.call_id)
    if call.opened_at is not None:
        scan(call, at=at)
    waiting.done_at = clock.machine()


def scan(call: CallForBids, *, at: datetime | None = None) -> list[Signal]:
    """File what an opened call shows; answers the signals that are new or open again. Twice is as good as once.

    Raises:
        LookupError: the call was not opened. policies.PolicyMissing; ValueError: the thresholds are wrong.
    """
    policy, limits = thresholds.current()
    moment = at or clock.now()
    filed = (keeping.file(finding, policy, at=moment) for finding in detecting.findings(call, limits))
    fresh = [signal for signal in filed if signal is not None]
    for signal in fresh:
        if signal.severity is Severity.SERIOUS:
            _tell_supervisors(signal, moment)
    return fresh


def _tell_supervisors(signal: Signal, at: datetime) -> None:
    people = session.scalars(
        select(Membership.person_id).where(Membership.role == Role.SUPERVISOR, Membership.ended_at.is_(None))
    )
    notifications.tell(
        people,
        subject=signal.subject,
        act="signal.found",
        title=f"{signal.kind.zh}（{signal.number}）",
        is_warning=True,
        at=at,
    )
