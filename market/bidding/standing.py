"""Which bids stand: an agency's latest, not withdrawn, for the notice in force (life-cycles §2, row ``open``).

"every bid becomes unconfirmed" by a material correction; a replacement is a new row and the old one stays. All of it
is computed from rows that never change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from kernel.db import session
from kernel.errors import NotFound
from kernel.trail import Actor
from market.agencies import Agency, is_member
from market.bidding.records import Bid, BidConfirmation, BidWithdrawal, OpenedBid, Outcome
from market.calls import CallForBids


def own(call: CallForBids, agency: Agency) -> list[Bid]:
    """An agency's bids in a call, the latest first."""
    return list(
        session.scalars(
            select(Bid)
            .where(Bid.call_id == call.id, Bid.agency_id == agency.id)
            .order_by(Bid.received_at.desc(), Bid.id.desc())
        )
    )


def all_of(call: CallForBids) -> list[Bid]:
    """Every bid of a call, the latest first. For the closing and the opening: no page before shows one of it."""
    return list(
        session.scalars(select(Bid).where(Bid.call_id == call.id).order_by(Bid.received_at.desc(), Bid.id.desc()))
    )


def standings(call: CallForBids, bids: Iterable[Bid]) -> dict[int, Outcome | None]:
    """Bid (by key) → why it stays sealed (WITHDRAWN, REPLACED, UNCONFIRMED), or None when it stands.

    ``bids``: all of the call, or all of one agency, the latest first.
    """
    found = list(bids)
    keys = [bid.id for bid in found]
    withdrawn = set(session.scalars(select(BidWithdrawal.bid_id).where(BidWithdrawal.bid_id.in_(keys))))
    confirmed = set(
        session.scalars(
            select(BidConfirmation.bid_id).where(
                BidConfirmation.bid_id.in_(keys), BidConfirmation.edition == call.bid_edition
            )
        )
    )
    answer: dict[int, Outcome | None] = {}
    seen: set[int] = set()
    for bid in found:
        if bid.id in withdrawn:
            answer[bid.id] = Outcome.WITHDRAWN
        elif bid.agency_id in seen:
            answer[bid.id] = Outcome.REPLACED
        elif bid.edition < call.bid_edition and bid.id not in confirmed:
            answer[bid.id] = Outcome.UNCONFIRMED
        else:
            answer[bid.id] = None
        seen.add(bid.agency_id)
    return answer


def standing(call: CallForBids) -> list[Bid]:
    """The bids that count: what the opening opens, in the order in which they were received."""
    bids = all_of(call)
    kept_sealed = standings(call, bids)
    return [bid for bid in reversed(bids) if kept_sealed[bid.id] is None]


def count_standing(call: CallForBids) -> int:
    """How many agencies' bids count. Nobody's to know before the closing."""
    return len(standing(call))


def find(token: str, *, by: Actor) -> Bid:
    """A bid of the actor's own agency.

    Raises:
        NotFound: there is none, or it is another's: who bid is closed.
    """
    bid = session.scalars(select(Bid).where(Bid.token == token)).first()
    if bid is None or not is_member(bid.agency, by):
        raise NotFound
    return bid


def call_of(bid: Bid) -> CallForBids:
    return session.get_one(CallForBids, bid.call_id)


def of_agency(agency: Agency, *, most: int = 200) -> list[Bid]:
    """An agency's bids in all calls, the latest first."""
    return list(
        session.scalars(
            select(Bid).where(Bid.agency_id == agency.id).order_by(Bid.received_at.desc(), Bid.id.desc()).limit(most)
        )
    )


def opened(call: CallForBids) -> list[OpenedBid]:
    """What the opening found, one row a bid; empty before it."""
    rows: list[Any] = [
        *session.scalars(select(OpenedBid).where(OpenedBid.call_id == call.id).order_by(OpenedBid.id)).unique()
    ]
    return rows
