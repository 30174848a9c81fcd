"""Sealed bids: received under the lock, opened by two custodians, repeated by anyone (competition.md, "Sealed bids", A6).

Read :mod:`~market.bidding.receiving` first (:func:`submit` and its locks), then :mod:`~market.bidding.standing`
(which bids count), :mod:`~market.bidding.opening` and :mod:`~market.bidding.repeating` (the published bundle).
Signatures for those above: ``submit(call_number, agency, *, ciphertext, wraps, sealed_by, by, address, device) ->
receipt``; ``standing(call) -> list[Bid]``; ``open_bids(call, *, by) -> list[OpenedBid]``; ``opened(call)``.
"""

from kernel.sealing import SealedBy
from market.bidding.opening import (
    announce_opening,
    may_read,
    offer_of,
    on_amended,
    on_closed,
    on_ended,
    on_extended,
    on_published,
    open_bids,
    produce_key,
    produced,
    sealed_of,
    tell_bidders,
)
from market.bidding.receiving import HERE, confirm, price_faults, receipt, seal_for, submit, withdraw
from market.bidding.records import (
    Bid,
    BidConfirmation,
    BidOrigin,
    BidWithdrawal,
    OpenedBid,
    OpenedFile,
    Outcome,
    ProducedKey,
)
from market.bidding.repeating import bundle, write_bundle
from market.bidding.standing import (
    all_of,
    call_of,
    count_standing,
    find,
    of_agency,
    opened,
    own,
    standing,
    standings,
)

__all__ = [
    "HERE",
    "Bid",
    "BidConfirmation",
    "BidOrigin",
    "BidWithdrawal",
    "OpenedBid",
    "OpenedFile",
    "Outcome",
    "ProducedKey",
    "SealedBy",
    "all_of",
    "announce_opening",
    "bundle",
    "call_of",
    "confirm",
    "count_standing",
    "find",
    "may_read",
    "of_agency",
    "offer_of",
    "on_amended",
    "on_closed",
    "on_ended",
    "on_extended",
    "on_published",
    "open_bids",
    "opened",
    "own",
    "price_faults",
    "produce_key",
    "produced",
    "receipt",
    "seal_for",
    "sealed_of",
    "standing",
    "standings",
    "submit",
    "tell_bidders",
    "withdraw",
    "write_bundle",
]
