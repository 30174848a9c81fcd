"""From the offer to 接受委托, and the ways out of a commission (001 §9.2–9.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kernel import clock, dossier, policies, timekeeping, trail, workflow
from kernel.clock import Unit
from kernel.db import session
from kernel.errors import Invalids, PortalError
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import Actor
from market import listings, recusals
from market.agencies import AgencyStatus, AgencySuspended
from market.commissions.drafting import Picked, hand_in, missing_materials, price
from market.commissions.faults import (
    CallStands,
    ChosenOtherwise,
    InquiryOpen,
    ListingChanged,
    MaterialMissing,
    TooLateToTakeBack,
)
from market.commissions.inquiries import (
    close_inquiries,
    close_inquiry,
    current_inquiry,
    given_reason,
    open_inquiry,
    pause_clock,
    resume_clock,
)
from market.commissions.life import STEPS, may_take_back, take_back_minutes
from market.commissions.records import Commission, CommissionStatus, InquiryKind
from market.commissions.telling import tell_agency, tell_client


def offer(
    commission: Commission,
    *,
    by: Actor,
    agreed_fee: int | None = None,
    expected_version: int | None = None,
    expected_edition: int | None = None,
) -> StoredClock:
    """Commission the agency: fee fixed, materials complete, the agency's time to answer begins: its clock is answered.

    ``expected_edition`` is the edition of the listing that the client saw; nobody is bound to a fee they did not see.

    Raises:
        ListingChanged: the agency changed fee or days since.
        workflow.MoveNotOpen, workflow.StaleVersion, listings.ListingNotInForce, recusals.MustRecuse, FeeUnknown,
        AgreedFeeInvalid, Invalids (of MaterialMissing). ChosenOtherwise: a competition finds the agency.
    """
    workflow.check(commission, STEPS, "offer", by=by, expected_version=expected_version)
    if commission.route.is_competition:
        raise ChosenOtherwise(route=commission.route.zh, route_en=commission.route.en)
    listing = listings.for_offer(commission.listing) if commission.listing is not None else None
    if listing is None or not listings.in_force(listing):
        raise listings.ListingNotInForce
    if expected_edition is not None and expected_edition != listing.edition:
        raise ListingChanged
    reviewed = [m.entry for m in commission.materials if m.entry is not None]
    recusal = recusals.reason(
        listing.agency.organisation, commission.client, reviews=commission.item.technical_review, reviewed=reviewed
    )
    if recusal is not None:
        raise recusals.MustRecuse(reason_zh=recusal.zh, reason_en=recusal.en)
    lacking: list[PortalError] = [
        MaterialMissing(field="materials", name=name) for name in missing_materials(commission)
    ]
    for material in commission.materials:
        standing = dossier.stand(material.entry, clock.today()) if material.entry is not None else None
        if material.entry is not None and standing is not None and not standing.can_rely:
            lacking.append(
                dossier.CannotRely(
                    field="materials",
                    number=material.entry.number,
                    reason=standing.reason_zh,
                    reason_en=standing.reason_en,
                )
            )
    if lacking:
        raise Invalids(lacking)
    fee, computed = price(listing, commission.project, quantity=commission.quantity, agreed_fee=agreed_fee)
    commission.quote = [{"zh": line.zh, "en": line.en, "amount": line.amount} for line in computed.lines]
    commission.listing_edition = listing.edition
    return send(
        commission,
        "offer",
        fee=fee,
        working_days=listing.promised_working_days,
        by=by,
        expected_version=expected_version,
        agency=listing.agency.name,
        listing=listing.number,
        edition=listing.edition,
        materials=[{"name": m.name, "sha256": m.sha256} for m in commission.materials],
    )


def send(
    commission: Commission,
    action: str,
    *,
    fee: int | None,
    working_days: int,
    by: Actor,
    at: datetime | None = None,
    expected_version: int | None = None,
    **data: Any,
) -> StoredClock:
    """What every offer does, however the agency was chosen: fee and days stand, the agency's time to answer begins.

    ``action`` is the step that leads to *offered*; ``data`` goes into its act.
    """
    policy = policies.current("agency_response")
    commission.fee = fee
    commission.promised_working_days = working_days
    commission.policy = policy.version
    commission.reason = ""  # an earlier agency's refusal is not the next one's to read
    commission.offered_at = None
    workflow.step(commission, STEPS, action, by=by, at=at, expected_version=expected_version, fee=fee, **data)
    response = timekeeping.start(
        commission.subject,
        ClockKind.AGENCY_RESPONSE,
        unit=Unit.WORKING_DAY,
        limit=int(policy.values["working_days"]),
        warn=int(policy.values["warn"]),
        policy=policy,
        by=by,
        at=at,
    )
    tell_agency(commission, "commission.offered", at=at)
    return response


def take_back(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """Undo an offer within ten minutes, as long as the agency has not acted.

    Raises:
        TooLateToTakeBack.
    """
    workflow.check(commission, STEPS, "take_back", by=by, expected_version=expected_version)
    if not may_take_back(commission):
        raise TooLateToTakeBack(minutes=take_back_minutes())
    workflow.step(commission, STEPS, "take_back", by=by, expected_version=expected_version)
    commission.offered_at = None  # a draft is the client's alone; the trail keeps the instant
    timekeeping.end_all(commission.subject, by=by)
    tell_agency(commission, "commission.taken_back")


def request_materials(
    commission: Commission, points: Sequence[str], *, by: Actor, expected_version: int | None = None
) -> None:
    """Ask once, for everything that is missing; the agency's time to answer stands still meanwhile.

    Raises:
        PointsMissing, InquiryOpen.
    """
    workflow.check(commission, STEPS, "request_materials", by=by, expected_version=expected_version)
    inquiry = open_inquiry(commission, InquiryKind.MATERIALS, points)
    workflow.step(
        commission, STEPS, "request_materials", by=by, expected_version=expected_version, points=inquiry.points
    )
    pause_clock(commission, ClockKind.AGENCY_RESPONSE, inquiry, by)
    tell_client(commission, "commission.materials_requested")


def supply_materials(
    commission: Commission,
    picked: Sequence[Picked],
    *,
    by: Actor,
    answer: str = "",
    expected_version: int | None = None,
) -> None:
    """Answer the agency's notice."""
    workflow.check(commission, STEPS, "supply_materials", by=by, expected_version=expected_version)
    inquiry = close_inquiry(commission, InquiryKind.MATERIALS, answer)
    hand_in(commission, picked)
    workflow.step(
        commission,
        STEPS,
        "supply_materials",
        by=by,
        expected_version=expected_version,
        materials=[one.name for one in picked],
    )
    resume_clock(commission, ClockKind.AGENCY_RESPONSE, inquiry, by)
    tell_agency(commission, "commission.materials_supplied")


def decline(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The agency says no, with its reason; the draft goes back to the client, who may choose another.

    Raises:
        ReasonMissing.
    """
    told = given_reason(reason)
    action = "refuse_award" if commission.route.is_competition else "decline"
    workflow.step(commission, STEPS, action, by=by, expected_version=expected_version, reason=told)
    commission.reason = told
    close_inquiries(commission)
    timekeeping.end_all(commission.subject, by=by)
    tell_client(commission, "award.refused" if commission.route.is_competition else "commission.declined")
    _come_back(commission)


def lapse(commission: Commission, *, at: datetime) -> None:
    """Nobody answered in time: the offer goes back to the client (by the system clock, at the legal instant).

    After a competition the award lapses, and the next in the ranking may be chosen.
    """
    is_award = commission.route.is_competition
    workflow.step(commission, STEPS, "lapse_award" if is_award else "lapse", by=trail.CLOCK, at=at)
    close_inquiries(commission)
    timekeeping.end_all(commission.subject, by=trail.CLOCK, at=at)
    act = "award.lapsed" if is_award else "commission.lapsed"
    tell_client(commission, act, is_warning=True)
    tell_agency(commission, act, is_warning=True)
    _come_back(commission)


def _come_back(commission: Commission) -> None:
    """An offer that came back: a draft again, or a competition whose next may be chosen."""
    commission.offered_at = None
    if commission.route.is_competition:
        commission.publicised_at = None
        commission.agency = None
        commission.fee = None
        commission.quote = []
    session.flush()


def take_on(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """接受委托: the agency has checked the materials and takes the commission on (001 §9.3).

    Raises:
        InquiryOpen: a request for materials is unanswered. agencies.AgencySuspended.
    """
    workflow.check(commission, STEPS, "take_on", by=by, expected_version=expected_version)
    if current_inquiry(commission, InquiryKind.MATERIALS) is not None:
        raise InquiryOpen
    if commission.agency is None or commission.agency.status != AgencyStatus.ADMITTED:
        raise AgencySuspended
    workflow.step(commission, STEPS, "take_on", by=by, expected_version=expected_version)
    timekeeping.end_all(commission.subject, by=by)
    tell_client(commission, "commission.taken_on")


def cancel(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The client gives the commission up before the agency took it on.

    Raises:
        CallStands: a published call is withdrawn with a notice, not in silence.
    """
    if commission.route.is_competition and commission.open_at is not None:
        raise CallStands
    was_offered = commission.status == CommissionStatus.OFFERED
    commission.reason = reason.strip()
    workflow.step(commission, STEPS, "cancel", by=by, expected_version=expected_version, reason=commission.reason)
    close_inquiries(commission)
    timekeeping.end_all(commission.subject, by=by)
    if was_offered:
        tell_agency(commission, "commission.cancelled")


def terminate(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Either side ends a running service, with its reason; what was stamped stays stamped."""
    commission.reason = given_reason(reason)
    workflow.step(commission, STEPS, "terminate", by=by, expected_version=expected_version, reason=commission.reason)
    close_inquiries(commission)
    timekeeping.end_all(commission.subject, by=by)
    tell_client(commission, "commission.terminated", is_warning=True)
    tell_agency(commission, "commission.terminated", is_warning=True)
