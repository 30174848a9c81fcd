"""What is published after an opening, so that anyone repeats it (competition.md, "Sealed bids", 4).

"ciphertexts and keys are published, so anyone repeats opening, ranking and award". Bids that stayed sealed are not
among them: with the call's keys anyone could read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from kernel import clock, sealing
from kernel.sealing import SealedBid
from market import custody
from market.bidding.faults import NotOpenedYet
from market.bidding.opening import produced, sealed_of
from market.bidding.records import Outcome
from market.bidding.standing import opened
from market.calls import CallForBids

#: What the opening read, or tried to.
PUBLISHED = frozenset({Outcome.OPENED, Outcome.UNOPENABLE, Outcome.NOT_EVALUATED})


def bundle(call: CallForBids) -> bytes:
    """The opening as one zip archive, the same bytes each time (:func:`kernel.sealing.bundle_zip`).

    Raises:
        NotOpenedYet.
    """
    return sealing.bundle_zip(call.number, *_parts(call))


def write_bundle(call: CallForBids, folder: Path) -> None:
    """The same as files in a folder, for ``flask bids open-bundle``. Raises NotOpenedYet."""
    sealing.write_bundle(folder, call.number, *_parts(call))


def _parts(call: CallForBids) -> tuple[list[SealedBid], Mapping[str, str], Mapping[str, str]]:
    if call.opened_at is None or call.hides_bidders:
        raise NotOpenedYet
    rows = opened(call)
    bids = []
    for row in rows:
        if row.outcome in PUBLISHED:
            key = produced(row.bid)
            bids.append(replace(sealed_of(row.bid), one_bid_key=key.identity if key else ""))
    facts = {
        "报价截止 / Closing": _instant(call.closing_at),
        "开标 / Opened": _instant(call.opened_at),
        "收到报价 / Bids received": str(len(rows)),
        "保持密封 / Kept sealed": "、".join(
            f"{row.bid.sha256}（{row.outcome.zh} / {row.outcome.en}）" for row in rows if row.outcome not in PUBLISHED
        )
        or "—",
        "回执公钥 / Receipts are signed with": sealing.public_key(),
    }
    return bids, custody.identities(call.id), facts


def _instant(at: datetime | None) -> str:
    return "—" if at is None else f"{at.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M:%S.%f} +08:00"
