"""Receiving a sealed bid under the lock (competition.md, "Sealed bids", 3, and "Races", first row).

"bid locks the commission row shared, *then* reads the clock": the close takes the same row exclusively, so no bid is
accepted that the opening misses, and a late tick lets no late bid in. A bid already late by the unlocked clock never
takes the lock. What goes on here is a handful of statements whose cost doesn't grow with the number of bids.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from kernel import clock, money, sealing, trail
from kernel.db import session
from kernel.errors import NotFound
from kernel.sealing import SealedBy
from kernel.statements import Records, Statement
from kernel.trail import Actor
from market import calls, custody
from market.agencies import Agency, is_member
from market.bidding.faults import (
    BidNotStanding,
    BidReplayed,
    NothingToConfirm,
    NotYourBid,
    PriceNotAllowed,
    TooManyWorkingDays,
)
from market.bidding.records import Bid, BidConfirmation, BidOrigin, BidWithdrawal, Outcome
from market.bidding.standing import call_of, own, standings
from market.calls import CallForBids
from market.calls.faults import CallClosed, NotEligible
from market.commissions import Commission, CommissionStatus
from market.routes import PriceKind

trail.name_acts(
    {
        "bid.received": ("收到密封报价", "Sealed bid received"),
        "bid.withdrawn": ("撤回报价", "Bid withdrawn"),
        "bid.confirmed": ("确认报价继续有效", "Bid confirmed"),
    }
)

#: Size classes of what the server seals.
HERE = sealing.CLASSES[:3]

_BIDS, _ORIGINS, _CALLS, _COMMISSIONS, _AGENCIES = (
    cast("Table", record.__table__) for record in (Bid, BidOrigin, CallForBids, Commission, Agency)
)
#: What is known of a call before anything is locked, the clock of that moment, and the bid if it was here before.
_SEEN = Statement(
    select(
        _CALLS.c.id,
        _CALLS.c.commission_id,
        _CALLS.c.closing_at,
        _COMMISSIONS.c.status,
        func.portal_now().label("now"),
        _BIDS.c.id.label("known"),
    )
    .join_from(_CALLS, _COMMISSIONS, _COMMISSIONS.c.id == _CALLS.c.commission_id)
    .outerjoin(_BIDS, (_BIDS.c.call_id == _CALLS.c.id) & (_BIDS.c.sha256 == bindparam("sha256")))
    .where(_CALLS.c.number == bindparam("number"), _CALLS.c.published_at.is_not(None))
)
_HOLD_COMMISSION = Statement(
    select(_COMMISSIONS.c.status).where(_COMMISSIONS.c.id == bindparam("commission")).with_for_update(read=True)
)
_HELD_AGENCY = Records(Agency, Agency.id == bindparam("agency"), Agency.organisation, hold=True)
#: After the locks: what a correction or an outage may have changed while this waited.
_TERMS = Statement(select(_CALLS.c.closing_at, _CALLS.c.bid_edition).where(_CALLS.c.id == bindparam("call")))
_CALL = Records(
    CallForBids,
    CallForBids.id == bindparam("call"),
    CallForBids.commission,
    CallForBids.policy,
    Commission.item,
    Commission.project,
    Commission.client,
    Commission.applicant,
)
_NEW = (
    insert(_BIDS)
    .values({name: bindparam(name, type_=_BIDS.c[name].type) for name in _BIDS.c.keys() if name != "id"})  # noqa: SIM118
    .on_conflict_do_nothing(index_elements=["call_id", "sha256"])
    .returning(_BIDS.c.id)
    .cte("bid")
)
_ORIGIN = (
    insert(_ORIGINS)
    .from_select(
        ["bid_id", "address", "device"],
        select(
            _NEW.c.id,
            bindparam("address", type_=_ORIGINS.c.address.type),
            bindparam("device", type_=_ORIGINS.c.device.type),
        ),
    )
    .cte("origin")
)
#: Bid and origin in one statement; no row comes back when the ciphertext was there already.
_STORE = Statement(select(_NEW.c.id).add_cte(_ORIGIN))


def submit(
    call_number: str,
    agency: Agency,
    *,
    ciphertext: bytes,
    wraps: Mapping[str, bytes],
    sealed_by: SealedBy,
    by: Actor,
    address: str = "",
    device: str = "",
) -> dict[str, Any]:
    """Hand in a sealed bid; answers the signed receipt (:func:`kernel.sealing.receipt`). A later one replaces it.

    The same ciphertext again, while it stands, is the same receipt again. At the closing instant exactly a bid is in
    time, one microsecond later it is late.

    Raises:
        NotYourBid, NotFound: there is no such public call. CallClosed: late. sealing.BidMalformed and its kinds.
        NotEligible: with every exact reason. BidReplayed: the ciphertext is another's, or was replaced or withdrawn.
    """
    if not is_member(agency, by):
        raise NotYourBid
    sha256 = hashlib.sha256(ciphertext).hexdigest()
    seen = _SEEN.first(number=call_number, sha256=sha256)
    if seen is None:
        raise NotFound
    if seen.known is not None:
        return _again(seen.known, agency)
    _in_time(seen.status, seen.closing_at, seen.now)
    sealing.check_form(ciphertext, wraps, custody.recipients(seen.id))
    held, moment, edition = _under_lock(seen.id, seen.commission_id, agency)
    call = _CALL.first(call=seen.id)
    if call is None:
        raise NotFound
    lacking = calls.shortfalls(call, held, on=clock.local_date(moment))
    if lacking:
        raise NotEligible(
            reason_zh="；".join(one.zh for one in lacking), reason_en="; ".join(one.en for one in lacking)
        )
    token = secrets.token_urlsafe(18)
    stored = _STORE.first(
        token=token,
        call_id=seen.id,
        agency_id=agency.id,
        person_id=by.person_id,
        sha256=sha256,
        ciphertext=ciphertext,
        wraps={name: base64.b64encode(wrap).decode("ascii") for name, wrap in sorted(wraps.items())},
        sealed_by=sealed_by,
        edition=edition,
        received_at=moment,
        address=address[:200],
        device=device[:500],
    )
    if stored is None:  # handed in twice in the same instant: the other one is stored
        return _again(_SEEN.first(number=call_number, sha256=sha256).known, agency)
    # Nobody is named: who bid, and for which call, is closed until the opening, in every reading of the trail.
    trail.record(f"bid:{token}", "bid.received", by=trail.SYSTEM, at=moment, is_first=True, sha256=sha256)
    return sealing.receipt(call_number, sha256, moment)


def receipt(bid: Bid) -> dict[str, Any]:
    """The signed receipt of a bid, the same as when it was handed in."""
    return sealing.receipt(call_of(bid).number, bid.sha256, bid.received_at)


def withdraw(bid: Bid, *, by: Actor) -> None:
    """Take a bid back before the closing; its row stays, sealed for ever. Earlier ones do not come back.

    Raises:
        NotYourBid, CallClosed. BidNotStanding: it was withdrawn or replaced.
    """
    moment, _edition = _hold_own(bid, by)
    if standings(call_of(bid), own(call_of(bid), bid.agency))[bid.id] in {Outcome.WITHDRAWN, Outcome.REPLACED}:
        raise BidNotStanding
    session.add(BidWithdrawal(bid_id=bid.id, at=moment))
    session.flush()
    trail.record(bid.subject, "bid.withdrawn", by=trail.SYSTEM, at=moment)


def confirm(bid: Bid, *, by: Actor) -> None:
    """After a material correction: the bid stands as it is for the notice in force.

    Raises:
        NotYourBid, CallClosed. BidNotStanding: withdrawn or replaced. NothingToConfirm: it stands.
    """
    moment, edition = _hold_own(bid, by)
    call = call_of(bid)
    found = standings(call, own(call, bid.agency))[bid.id]
    if found is None:
        raise NothingToConfirm
    if found is not Outcome.UNCONFIRMED:
        raise BidNotStanding
    session.add(BidConfirmation(bid_id=bid.id, edition=edition, at=moment))
    session.flush()
    trail.record(bid.subject, "bid.confirmed", by=trail.SYSTEM, at=moment, edition=edition)


def price_faults(call: CallForBids, *, price: int | None, discount: int | None) -> list[tuple[str, str]]:
    """What the published terms have against a price in fen or a discount in basis points: (Chinese, English)."""
    wanted = call.rules.price
    if wanted is PriceKind.NONE:
        return []
    if wanted is PriceKind.DISCOUNT:
        return [] if discount is not None else [("公告要求报折扣率，报价没有折扣率", "the call asks for a discount")]
    if price is None:
        return [("公告要求报总价，报价没有总价", "the call asks for a total price")]
    faults = []
    if price <= 0:
        faults.append(("报价应大于 0", "the price must be above 0"))
    if call.ceiling is not None and price > call.ceiling:
        faults.append(
            (
                f"报价 {money.format(price)} 高于最高限价 {money.format(call.ceiling)}",
                f"the price {money.format(price)} is above the ceiling {money.format(call.ceiling)}",
            )
        )
    if call.floor and 0 < price < call.floor:
        faults.append(
            (
                f"报价 {money.format(price)} 低于最低限价 {money.format(call.floor)}",
                f"the price {money.format(price)} is below the floor {money.format(call.floor)}",
            )
        )
    return faults


def seal_for(
    call: CallForBids,
    agency: Agency,
    *,
    price: int | None,
    discount: int | None,
    working_days: int,
    statement: str = "",
    files: tuple[sealing.BidFile, ...] = (),
) -> sealing.SealedBid:
    """Seal in the server's memory for a bidder without scripts; nothing is written, here or by the caller before.

    Only here can the portal tell a bidder of a price that would not count. The result goes back to the bidder, who
    hands it in: the size classes of :data:`HERE` are those that a form carries.

    Raises:
        PriceNotAllowed, TooManyWorkingDays, sealing.ContentInvalid, sealing.ContentTooLarge.
    """
    for zh, en in price_faults(call, price=price, discount=discount):
        raise PriceNotAllowed(field="price" if discount is None else "discount", why=zh, why_en=en)
    if call.most_working_days is not None and working_days > call.most_working_days:
        raise TooManyWorkingDays(field="working_days", most=call.most_working_days)
    content = sealing.BidContent(
        call=call.number,
        organisation=agency.organisation.credit_code,
        price=price,
        discount=discount,
        working_days=working_days,
        statement=sealing.plain_text(statement),
        sealed_by=SealedBy.SERVER,
        files=files,
    )
    return sealing.seal(content.as_bytes(), call.number, custody.recipients(call.id), classes=HERE)


def _hold_own(bid: Bid, by: Actor) -> tuple[datetime, int]:
    """The instant and the notice's edition under the locks, for an act of the bidder's own before the closing."""
    if not is_member(bid.agency, by):
        raise NotYourBid
    call = call_of(bid)
    seen = _SEEN.first(number=call.number, sha256=bid.sha256)
    if seen is None:
        raise NotFound
    _in_time(seen.status, seen.closing_at, seen.now)
    _held, moment, edition = _under_lock(seen.id, seen.commission_id, bid.agency)
    session.refresh(call)
    return moment, edition


def _under_lock(call_id: int, commission_id: int, agency: Agency) -> tuple[Agency, datetime, int]:
    """Lock the commission shared, then the agency shared, then read the clock; (agency, instant, edition)."""
    status = _HOLD_COMMISSION.first(commission=commission_id).status
    held = _HELD_AGENCY.first(agency=agency.id)
    if held is None:
        raise NotFound
    terms = _TERMS.first(call=call_id)
    moment = calls.legal_now_under_lock().astimezone(UTC)
    _in_time(status, terms.closing_at, moment)
    return held, moment, terms.bid_edition


def _in_time(status: str, closing_at: datetime | None, moment: datetime) -> None:
    if status != CommissionStatus.OPEN.value or closing_at is None or moment > closing_at:
        raise CallClosed(closing=calls.spoken(closing_at))


def _again(key: int, agency: Agency) -> dict[str, Any]:
    """The reply was lost and the same ciphertext comes again: the same receipt, as long as it is still the bid."""
    bid = session.get_one(Bid, key)
    call = call_of(bid)
    if bid.agency_id != agency.id:
        raise BidReplayed(field="sealed")
    if standings(call, own(call, agency))[bid.id] in {Outcome.WITHDRAWN, Outcome.REPLACED}:
        raise BidReplayed(field="sealed")
    return receipt(bid)
