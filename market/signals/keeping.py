"""Filing signals, and the supervisor's word on them: a finding is filed once, dismissed with a reason, never deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from kernel import numbers, trail, workflow
from kernel.accounts import Organisation
from kernel.db import session
from kernel.errors import Invalid, NotFound
from kernel.policies import Policy
from kernel.trail import CLOCK, Actor
from market.agencies import Agency
from market.calls import CallForBids
from market.catalogue import ServiceItem
from market.commissions import Commission
from market.signals.detecting import Finding
from market.signals.records import (
    NUMBER,
    SERIOUS,
    STEPS,
    Signal,
    SignalAgency,
    SignalCall,
    SignalKind,
    SignalStatus,
    may_read,
)

LONGEST_REASON = 2000


class DismissalReasonMissing(Invalid):
    code: ClassVar[str] = "dismissal_reason_missing"
    zh = "请写明排除理由：核查了什么、结论是什么"
    en = "Give the reason: what was looked into, and with what result"


class DismissalReasonTooLong(Invalid):
    code: ClassVar[str] = "dismissal_reason_too_long"
    zh = "排除理由不超过 {most} 字"
    en = "The reason has at most {most} characters"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of the list; None or '' leaves one out."""

    status: SignalStatus | None = None
    kind: SignalKind | None = None
    item: str = ""
    agency: str = ""


def file(finding: Finding, policy: Policy, *, at: datetime) -> Signal | None:
    """Put a finding on file; answers the signal if it is new or open again, None if it is known already.

    An open signal takes further evidence over. A dismissed one stays dismissed until there are ``finding.step`` rows of
    evidence that it had not; then it is open again, and the trail tells on what it had been dismissed.
    """
    known = _by_fingerprint(finding.fingerprint)
    if known is None:
        known = _enter(finding, policy, at)
        if known is not None:
            return known
        known = _by_fingerprint(finding.fingerprint)
        assert known is not None  # noqa: S101  another scan was faster, and its row is committed
    _join(known, finding)
    further = [row for row in finding.evidence["rows"] if row not in known.evidence["rows"]]
    if not further:
        return None
    if known.status is SignalStatus.DISMISSED:
        if len(further) < finding.step:
            return None
        before: dict[str, Any] = {
            "dismissed_at": known.dismissed_at,
            "dismissed_by": known.dismissed_by,
            "reason": known.reason,
        }
        _renew(known, finding, policy, at)
        known.dismissed_at, known.dismissed_by, known.reason = None, "", ""
        workflow.step(known, STEPS, "reopen", by=CLOCK, at=at, **_told(finding), **before)
        return known
    _renew(known, finding, policy, at)
    workflow.step(known, STEPS, "renew", by=CLOCK, at=at, **_told(finding))
    return None


def _by_fingerprint(fingerprint: str) -> Signal | None:
    return session.scalars(
        select(Signal)
        .where(Signal.fingerprint == fingerprint)
        .with_for_update(of=Signal)
        .execution_options(populate_existing=True)
    ).first()


def _enter(finding: Finding, policy: Policy, at: datetime) -> Signal | None:
    made = Signal(
        number=numbers.following(NUMBER),
        kind=finding.kind,
        status=SignalStatus.OPEN,
        version=1,
        call_id=finding.call_id,
        fingerprint=finding.fingerprint,
        evidence=finding.evidence,
        strength=finding.strength,
        policy=policy.version,
        found_at=at,
        renewed_at=at,
        agencies=[SignalAgency(agency_id=key) for key in finding.agencies],
        calls=[SignalCall(call_id=key) for key in finding.calls],
    )
    try:
        with session.begin_nested():
            session.add(made)
    except IntegrityError:
        return None
    trail.record(made.subject, "signal.found", by=CLOCK, at=at, kind=finding.kind.value, **_told(finding))
    return made


def _join(signal: Signal, finding: Finding) -> None:
    """Agencies and calls that the signal rests on by now."""
    agencies = {row.agency_id for row in signal.agencies}
    calls = {row.call_id for row in signal.calls}
    signal.agencies += [SignalAgency(agency_id=key) for key in finding.agencies if key not in agencies]
    signal.calls += [SignalCall(call_id=key) for key in finding.calls if key not in calls]
    session.flush()


def _renew(signal: Signal, finding: Finding, policy: Policy, at: datetime) -> None:
    signal.evidence, signal.strength = finding.evidence, finding.strength
    signal.policy, signal.renewed_at = policy.version, at


def _told(finding: Finding) -> dict[str, Any]:
    return {"figures": finding.evidence["figures"], "evidence": [line["zh"] for line in finding.evidence["lines"]]}


def find(number: str, *, by: Actor | None, lock: bool = False) -> Signal:
    """The signal of a number, for those who may read signals.

    Raises:
        NotFound: there is none, or it is not the caller's to know of.
    """
    if not may_read(by):
        raise NotFound
    statement = select(Signal).where(Signal.number == number)
    if lock:
        statement = statement.with_for_update(of=Signal).execution_options(populate_existing=True)
    found = session.scalars(statement).first()
    if found is None:
        raise NotFound
    return found


def dismiss(signal: Signal, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Looked into, and nothing in it: the reason stays with the signal and in its trail.

    Raises:
        workflow.MoveNotOpen, workflow.StaleVersion, DismissalReasonMissing, DismissalReasonTooLong.
    """
    workflow.check(signal, STEPS, "dismiss", by=by, expected_version=expected_version)
    told = reason.strip()
    if not told:
        raise DismissalReasonMissing(field="reason")
    if len(told) > LONGEST_REASON:
        raise DismissalReasonTooLong(field="reason", most=LONGEST_REASON)
    signal.reason = told
    signal.dismissed_by = f"{by.organisation} {by.person}".strip()
    signal.dismissed_at = None
    workflow.step(
        signal, STEPS, "dismiss", by=by, expected_version=expected_version, reason=told, strength=signal.strength
    )


# The list


def _where(statement: Any, wanted: Wanted) -> Any:
    if wanted.status is not None:
        statement = statement.where(Signal.status == wanted.status)
    if wanted.kind is not None:
        statement = statement.where(Signal.kind == wanted.kind)
    if wanted.agency:
        theirs = select(SignalAgency.signal_id).join(Agency).where(Agency.number == wanted.agency)
        statement = statement.where(Signal.id.in_(theirs))
    if wanted.item:
        of_item = (
            select(SignalCall.signal_id)
            .join(CallForBids, SignalCall.call_id == CallForBids.id)
            .join(Commission, CallForBids.commission_id == Commission.id)
            .join(ServiceItem, Commission.item_id == ServiceItem.id)
            .where(ServiceItem.code == wanted.item)
        )
        statement = statement.where(Signal.id.in_(of_item))
    return statement


def listed(wanted: Wanted, *, by: Actor | None, most: int, offset: int = 0) -> tuple[list[Signal], int]:
    """One page of the signals wanted, serious ones first and the newest on top, and how many there are.

    Raises:
        NotFound: signals are not the caller's to know of.
    """
    if not may_read(by):
        raise NotFound
    total = session.scalar(_where(select(func.count()).select_from(Signal), wanted)) or 0
    order = (Signal.kind.in_(SERIOUS).desc(), Signal.renewed_at.desc(), Signal.id.desc())
    rows = session.scalars(_where(select(Signal), wanted).order_by(*order).limit(most).offset(offset))
    return list(rows), total


def counts(wanted: Wanted, *, by: Actor | None) -> dict[str, list[tuple[str, str, str, int]]]:
    """Facet → its (value, Chinese, English, number) with the other filters in force.

    Raises:
        NotFound: signals are not the caller's to know of.
    """
    if not may_read(by):
        raise NotFound
    number = func.count(Signal.id.distinct())
    by_status = _where(select(Signal.status, number).group_by(Signal.status), _but(wanted, "status"))
    by_kind = _where(select(Signal.kind, number).group_by(Signal.kind), _but(wanted, "kind"))
    by_item = _where(
        select(ServiceItem.code, ServiceItem.name, ServiceItem.name_en, number)
        .select_from(Signal)
        .join(SignalCall, SignalCall.signal_id == Signal.id)
        .join(CallForBids, SignalCall.call_id == CallForBids.id)
        .join(Commission, CallForBids.commission_id == Commission.id)
        .join(ServiceItem, Commission.item_id == ServiceItem.id)
        .group_by(ServiceItem.code, ServiceItem.name, ServiceItem.name_en),
        _but(wanted, "item"),
    )
    by_agency = _where(
        select(Agency.number, Organisation.name, number)
        .select_from(Signal)
        .join(SignalAgency, SignalAgency.signal_id == Signal.id)
        .join(Agency, SignalAgency.agency_id == Agency.id)
        .join(Organisation, Agency.organisation_id == Organisation.id)
        .group_by(Agency.number, Organisation.name),
        _but(wanted, "agency"),
    )
    statuses: dict[SignalStatus, int] = dict(session.execute(by_status).all())
    kinds: dict[SignalKind, int] = dict(session.execute(by_kind).all())
    items = [(code, zh, en or zh, count) for code, zh, en, count in session.execute(by_item)]
    agencies = [(code, name, name, count) for code, name, count in session.execute(by_agency)]
    return {
        "state": [(one.value, one.zh, one.en, statuses.get(one, 0)) for one in SignalStatus],
        "kind": [(one.value, one.zh, one.en, kinds[one]) for one in SignalKind if one in kinds],
        "item": sorted(items, key=lambda row: (-row[3], row[0])),
        "agency": sorted(agencies, key=lambda row: (-row[3], row[0])),
    }


def _but(wanted: Wanted, name: str) -> Wanted:
    left = {one: getattr(wanted, one) for one in ("status", "kind", "item", "agency") if one != name}
    return Wanted(**left)


def of_call(call: CallForBids, *, by: Actor | None) -> list[Signal]:
    """The signals that rest on a call, the open ones first; none for whoever may not read them."""
    if not may_read(by):
        return []
    theirs = select(SignalCall.signal_id).where(SignalCall.call_id == call.id)
    rows = session.scalars(select(Signal).where(Signal.id.in_(theirs)).order_by(Signal.status.desc(), Signal.id.desc()))
    return list(rows)
