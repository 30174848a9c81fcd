"""Random draws as they are held: the list first, the seeds after it, one draw decides (competition.md, "Random draw").

The arithmetic is :mod:`kernel.draws`; this package stores a draw while its parties commit and reveal.

1. :func:`hold` publishes the list with its hash. Before that there is nothing to commit to.
2. Each party commits once, in its own browser (:func:`commit`) or by the server (:func:`commit_by_server`), and leaves
   its seed sealed for every pair of custodians, so that the last one can't walk away from a result it doesn't like.
3. All commitments in: the outside value is entered if one was named, then the seeds are opened (:func:`reveal`, or
   :func:`reveal_withheld` by two custodians). The last seed draws, in the same transaction.

What is published is not written again: the columns refuse it, and the draw goes by the hash and the commitments that
stand in the trail. Two custodians together could open another's seed before they commit to their own; as with sealed
bids, fairness rests on any two of the three not conspiring, or on an outside value.
"""

from __future__ import annotations

from market.drawing.faults import (
    CommitmentUnreadable,
    CommittedAlready,
    DrawHeldAlready,
    NotDrawnYet,
    NotYourDraw,
    OutsideValueAwaited,
    OutsideValueFixed,
    OutsideValueUnreadable,
    PublishedOnce,
    RevealedAlready,
    SeedUnreadable,
    SeedUnsealed,
    TooFewParties,
    WithheldTooSoon,
)
from market.drawing.holding import (
    find,
    hold,
    of_subject,
    order,
    picked,
    public_list,
    record_of,
    standard_parties,
)
from market.drawing.life import STEPS, acts_for, moves, parties_of
from market.drawing.records import SEED_CLASS, Draw, DrawParty, DrawPurpose, DrawStatus
from market.drawing.seeds import (
    commit,
    commit_by_server,
    enter_outside,
    reveal,
    reveal_withheld,
    sealed_zip,
    seed_file,
    seed_in,
)
from market.drawing.urging import act_on_due, due
from market.drawing.waiting import awaited, check_withheld, is_withheld, waits_for_outside, withheld_from

__all__ = [
    "SEED_CLASS",
    "STEPS",
    "CommitmentUnreadable",
    "CommittedAlready",
    "Draw",
    "DrawHeldAlready",
    "DrawParty",
    "DrawPurpose",
    "DrawStatus",
    "NotDrawnYet",
    "NotYourDraw",
    "OutsideValueAwaited",
    "OutsideValueFixed",
    "OutsideValueUnreadable",
    "PublishedOnce",
    "RevealedAlready",
    "SeedUnreadable",
    "SeedUnsealed",
    "TooFewParties",
    "WithheldTooSoon",
    "act_on_due",
    "acts_for",
    "awaited",
    "check_withheld",
    "commit",
    "commit_by_server",
    "due",
    "enter_outside",
    "find",
    "hold",
    "is_withheld",
    "moves",
    "of_subject",
    "order",
    "parties_of",
    "picked",
    "public_list",
    "record_of",
    "reveal",
    "reveal_withheld",
    "sealed_zip",
    "seed_file",
    "seed_in",
    "standard_parties",
    "waits_for_outside",
    "withheld_from",
]
