"""The closing and the opening (competition.md, "Sealed bids", 4; life-cycles §2, row ``close``).

"all bids open in one transaction … A bid that cannot be opened is recorded as such, never dropped": every bid of the
call gets one :class:`OpenedBid`, also those that stay sealed (replaced, withdrawn, not confirmed), with the reason.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from kernel import clock, files, money, notifications, sealing, trail, workflow
from kernel.db import session
from kernel.errors import PortalError
from kernel.files import Document
from kernel.sealing import BidContent, BidFile, Reason
from kernel.trail import Actor, TrailAct
from market import calls, custody
from market.agencies import Agency, AgencyStatus, is_member
from market.bidding.faults import BidsOpened, KeyNotNeeded, NotYourBid
from market.bidding.receiving import price_faults
from market.bidding.records import Bid, OpenedBid, OpenedFile, Outcome, ProducedKey
from market.bidding.standing import all_of, call_of, standing, standings
from market.calls import CallForBids
from market.commissions import STEPS
from market.custody import Custodian
from market.notices import NoticeKind
from market.routes import CustodyKind

trail.name_acts(
    {
        "bid.opened": ("报价已开启", "Bid opened"),
        "bid.key_produced": ("投标机构出示报价密钥", "Bidder produced the bid's key"),
    }
)

Words = tuple[str, str]


@dataclass(slots=True)
class _Finding:
    """What the opening says of one bid, before it is stored."""

    outcome: Outcome
    why: Words = ("", "")
    content: dict[str, Any] = field(default_factory=dict)
    price: int | None = None
    discount: int | None = None
    working_days: int | None = None
    files: tuple[BidFile, ...] = ()


# What follows from other acts


def on_published(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.published``: where the policy says so the platform makes the call's only key."""
    call = calls.of_subject(act.subject)
    if call is not None and call.custody is CustodyKind.PLATFORM:
        custody.hold(call.id, by=by)


def on_amended(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.amended``: after a material correction every bidder is told to confirm or replace."""
    call = calls.of_subject(act.subject)
    if call is not None and act.data.get("material"):
        tell_bidders(call, "commission.amended", is_warning=True)


def on_ended(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.cancelled`` and ``call.failed``: whoever bid is told; nothing is opened."""
    call = calls.of_subject(act.subject)
    if call is not None:
        tell_bidders(call, act.act, at=act.at)


def on_extended(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.extended``: whoever bid is told."""
    call = calls.of_subject(act.subject)
    if call is not None:
        tell_bidders(call, act.act)


def on_closed(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``bidding.closed``: with fewer bids than the policy's minimum the call fails unopened.

    Otherwise the custodians are asked for their keys; where the platform alone holds one, the bids open at once.
    """
    call = calls.of_subject(act.subject)
    if call is None:
        return
    found, least = len(standing(call)), call.rules.minimum(call.commission.payer)
    if found < least:
        calls.fail(
            call,
            f"有效报价 {found} 家，少于规定的 {least} 家，报价不开启",
            f"{found} bids count, fewer than the {least} that the rule wants; none was opened",
            by=by,
            at=act.at,
        )
    elif call.custody is CustodyKind.PLATFORM:
        try:
            open_bids(call, by=by, at=act.at)
        except custody.PlatformKeyLost:
            # The closing stands; the operators mend the data folder and open by hand (/custody).
            calls.tell_agency_of(call, call.commission.client_id, "bidding.closed", is_warning=True)
            for organisation_id in custody.platform_organisations():
                calls.tell_agency_of(call, organisation_id, "bidding.closed", is_warning=True)
    else:
        for organisation_id in set(custody.parties(call.id, call.commission.client_id).values()):
            calls.tell_agency_of(call, organisation_id, "bidding.closed")


# The opening


def open_bids(call: CallForBids, *, by: Actor, at: datetime | None = None) -> list[OpenedBid]:
    """Open every bid that stands, in the caller's one transaction, once two custodians handed their keys in.

    Raises:
        workflow.MoveNotOpen: not closed, or not a custodian. BidsOpened. sealing.KeysMissing.
        sealing.KeyDoesNotFit: a stored key isn't the published recipient's. custody.PlatformKeyLost.
    """
    calls.lock_commission(call)
    if call.opened_at is not None:
        raise BidsOpened
    workflow.check(call.commission, STEPS, "open_bids", by=by)
    if call.custody is CustodyKind.PLATFORM:
        custody.take_out(call.id, by=by)
    identities = custody.identities(call.id)
    if len(identities) < (1 if call.custody is CustodyKind.PLATFORM else custody.ENOUGH):
        raise sealing.KeysMissing(present="、".join(Custodian(name).zh for name in identities) or "—")
    moment = at or clock.now()
    bids = all_of(call)
    kept_sealed = standings(call, bids)
    rows: list[OpenedBid] = []
    for bid in reversed(bids):
        kept = kept_sealed[bid.id]
        finding = _Finding(kept, _SEALED[kept]) if kept is not None else _open(call, bid, identities)
        rows.append(_store(call, bid, finding, moment))
        trail.record(
            bid.subject,
            "bid.opened",
            by=by,
            at=moment,
            call=call.number,
            agency="" if call.hides_bidders else bid.agency.name,
            outcome=finding.outcome.value,
            reason=finding.why[0],
        )
    call.opened_at = moment
    session.flush()
    if not call.hides_bidders:
        announce_opening(call, rows, at=moment)
    tell_bidders(call, "bids.opened", at=moment)
    counts = Counter(row.outcome.value for row in rows)
    workflow.step(
        call.commission,
        STEPS,
        "open_bids",
        by=by,
        at=moment,
        call=call.number,
        bids=len(rows),
        outcomes=dict(sorted(counts.items())),
        custodians=sorted(identities),
    )
    return rows


_SEALED: dict[Outcome, Words] = {
    Outcome.WITHDRAWN: ("机构在截止前撤回", "withdrawn by its bidder before the closing"),
    Outcome.REPLACED: ("机构在截止前提交了后一份报价", "its bidder handed in a later one before the closing"),
    Outcome.UNCONFIRMED: (
        "采购公告作重大更正后，机构未确认也未重新报价",
        "after a material correction its bidder neither confirmed nor replaced it",
    ),
}


def _open(call: CallForBids, bid: Bid, identities: dict[str, str]) -> _Finding:
    """Open one bid; whatever is wrong with it is a finding, never an error."""
    try:
        raw = sealing.open_envelope(bid.ciphertext, sealed_of(bid).wraps, call.number, identities)
    except sealing.Unopenable as error:
        return _Finding(Outcome.UNOPENABLE, (error.reason.zh, error.reason.en))
    return judge(call, bid, raw)


def judge(call: CallForBids, bid: Bid, raw: bytes) -> _Finding:
    """What the opened bytes are worth under the published terms."""
    try:
        content = BidContent.read(raw)
    except sealing.ContentInvalid as error:
        if error.field == "price":
            return _Finding(
                Outcome.NOT_EVALUATED,
                ("报价不是以分为单位的非负整数", "the price isn't a whole number of fen, 0 or more"),
            )
        return _Finding(Outcome.UNOPENABLE, (Reason.CONTENT.zh, Reason.CONTENT.en))
    reason = None
    if content.call != call.number:
        reason = Reason.OTHER_CALL
    elif content.organisation != bid.agency.organisation.credit_code:
        reason = Reason.OTHER_BIDDER
    if reason is not None:
        return _Finding(Outcome.UNOPENABLE, (reason.zh, reason.en))
    finding = _Finding(
        Outcome.OPENED,
        content=_plain(content),
        price=content.price,
        discount=content.discount,
        working_days=content.working_days,
        files=content.files,
    )
    faults = _faults(call, bid.agency, content)
    if faults:
        finding.outcome = Outcome.NOT_EVALUATED
        finding.why = ("；".join(zh for zh, _en in faults), "; ".join(en for _zh, en in faults))
    return finding


def _faults(call: CallForBids, agency: Agency, content: BidContent) -> list[Words]:
    faults: list[Words] = []
    if agency.status != AgencyStatus.ADMITTED:
        faults.append(
            (f"开标时机构状态为“{agency.status.zh}”", f"the agency was {agency.status.en.lower()} at the opening")
        )
    faults += price_faults(call, price=content.price, discount=content.discount)
    if call.most_working_days is not None and content.working_days > call.most_working_days:
        faults.append(
            (
                f"承诺 {content.working_days} 个工作日，超过公告规定的 {call.most_working_days} 个",
                f"it promises {content.working_days} working days, the notice allows {call.most_working_days}",
            )
        )
    return faults


def _plain(content: BidContent) -> dict[str, Any]:
    return {
        "statement": content.statement,
        "nonce": content.nonce,
        "sealed_by": content.sealed_by.value,
        "files": [
            {"name": one.name, "size": len(one.content), "sha256": hashlib.sha256(one.content).hexdigest()}
            for one in content.files
        ],
    }


def _store(call: CallForBids, bid: Bid, finding: _Finding, moment: datetime) -> OpenedBid:
    row = OpenedBid(
        bid=bid,
        call_id=call.id,
        outcome=finding.outcome,
        price=finding.price,
        discount=finding.discount,
        working_days=finding.working_days,
        content=finding.content,
        reason=finding.why[0],
        reason_en=finding.why[1],
        opened_at=moment,
        files=[],
    )
    # What lies in a bid is judged like any upload; a file that may not be shown is still in the published ciphertext.
    uploader = Actor(bid.person_id, "", bid.agency.organisation_id, bid.agency.name)
    for place, one in enumerate(finding.files):
        try:
            document = files.put(io.BytesIO(one.content), one.name, by=uploader)
        except PortalError as error:
            finding.content["files"][place]["refused"] = error.text("zh")
        else:
            row.files.append(OpenedFile(document=document))
    session.add(row)
    session.flush()
    return row


def sealed_of(bid: Bid) -> sealing.SealedBid:
    """The bid as it was handed in."""
    return sealing.SealedBid(bid.ciphertext, {name: base64.b64decode(wrap) for name, wrap in bid.wraps.items()})


def offer_of(row: OpenedBid) -> Words:
    """What was bid, in words: price or discount, and the working days; ('', '') for what stayed sealed."""
    parts = []
    if row.price is not None:
        parts.append((money.format(row.price), money.format(row.price)))
    if row.discount is not None:
        parts.append((f"下浮 {row.discount / 100:.2f}%", f"{row.discount / 100:.2f} % off"))
    if row.working_days is not None:
        parts.append((f"{row.working_days} 个工作日", f"{row.working_days} working days"))
    return "，".join(zh for zh, _en in parts), ", ".join(en for _zh, en in parts)


def announce_opening(call: CallForBids, rows: list[OpenedBid], *, at: datetime) -> None:
    """The record of the opening, for everybody: at the opening itself, or once the rounds are over."""
    calls.announce(call, NoticeKind.OPENING, call.title, _notice(rows), at=at)


def _notice(rows: list[OpenedBid]) -> list[dict[str, Any]]:
    """One line a bid, in the order in which they were received."""
    body = []
    for row in rows:
        offer = offer_of(row)
        zh = "；".join(part for part in (row.outcome.zh, offer[0], row.reason) if part)
        en = "; ".join(part for part in (row.outcome.en, offer[1], row.reason_en) if part)
        body.append({"zh": row.bid.agency.name, "en": row.bid.agency.name, "value": zh, "value_en": en})
    return body


def tell_bidders(call: CallForBids, act: str, *, is_warning: bool = False, at: datetime | None = None) -> None:
    """A line for each agency with a bid in the call, about its own bid alone."""
    told: set[int] = set()
    for bid in all_of(call):
        if bid.agency_id not in told:
            told.add(bid.agency_id)
            notifications.tell_organisation(
                bid.agency.organisation_id,
                subject=bid.subject,
                act=act,
                title=f"{call.title}（{call.number}）",
                is_warning=is_warning,
                at=at,
                project=call.commission.project.name,
            )


# Afterwards


def produce_key(bid: Bid, identity: str, *, by: Actor) -> ProducedKey:
    """The bidder of a bid that could not be opened shows the one-bid key it kept: a recorded fact, no new outcome.

    Raises:
        NotYourBid, KeyNotNeeded, sealing.KeyUnreadable. sealing.Unopenable: the key doesn't open this ciphertext.
    """
    if not is_member(bid.agency, by):
        raise NotYourBid
    call = call_of(bid)
    calls.lock_commission(call)
    row = session.scalars(select(OpenedBid).where(OpenedBid.bid_id == bid.id)).first()
    if row is None or row.outcome is not Outcome.UNOPENABLE or produced(bid) is not None:
        raise KeyNotNeeded
    plain = sealing.parse_identity(identity, field="key")
    raw = sealing.open_with_key(bid.ciphertext, plain, call.number)
    finding = judge(call, bid, raw)
    content = finding.content | {
        "price": finding.price,
        "discount": finding.discount,
        "working_days": finding.working_days,
    }
    record = ProducedKey(
        bid_id=bid.id,
        identity=plain,
        content=content if finding.content else {},
        reason=finding.why[0],
        at=clock.now(),
        by=by.person,
    )
    session.add(record)
    session.flush()
    trail.record(bid.subject, "bid.key_produced", by=by, call=call.number, agency=bid.agency.name)
    return record


def produced(bid: Bid) -> ProducedKey | None:
    return session.scalars(select(ProducedKey).where(ProducedKey.bid_id == bid.id)).first()


def may_read(document: Document, actor: Actor | None) -> bool:
    """Files that lay in opened bids are public, like the ciphertexts and the keys that open them, once bidders are."""
    rows = session.scalars(
        select(CallForBids)
        .join(OpenedBid, OpenedBid.call_id == CallForBids.id)
        .join(OpenedFile, OpenedFile.opened_bid_id == OpenedBid.id)
        .where(OpenedFile.document_id == document.id)
    )
    return any(not call.hides_bidders for call in rows.unique())
