"""The figures behind the signals: pure functions, each with its formula and its source.

A figure is a reason to look, never a finding of guilt. Small numbers deceive: every function that a few cases could
satisfy by chance answers None below its least number, and :func:`chance_of_turns` says how likely chance is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations


def coefficient_of_variation(prices: Sequence[int]) -> float | None:
    """Sample standard deviation ÷ mean; free of scale, so that calls of any size compare.

    Rigged bids cluster: a low value is the variance screen of D. Imhof, "Simple Statistical Screens to Detect Bid
    Rigging", Working Papers SES 484, University of Fribourg, 2017, §3. None: fewer than two prices, or all zero.
    """
    if len(prices) < 2 or sum(prices) == 0:
        return None
    return statistics.stdev(prices) / statistics.fmean(prices)


def relative_distance(prices: Sequence[int]) -> float | None:
    """(second lowest − lowest) ÷ sample standard deviation of the losing bids, that is of all but the lowest.

    Cover bids keep clear of the winner's and close to each other: a high value is the cover-bidding screen of the same
    paper. Infinite when the losing bids are equal and the lowest is not. None: fewer than three prices.
    """
    if len(prices) < 3:
        return None
    lowest, *losing = sorted(prices)
    gap, spread = losing[0] - lowest, statistics.stdev(losing)
    if spread == 0:
        return math.inf if gap else 0.0
    return gap / spread


@dataclass(frozen=True, slots=True)
class Meeting:
    """How two bidders met: ``together`` of the ``first`` and ``second`` bids of each, in ``calls`` calls.

    ``share`` = together ÷ the smaller of the two; ``lift`` = together × calls ÷ (first × second): how many times as
    often as if each had chosen its calls by itself ("interest" of Brin, Motwani & Silverstein, SIGMOD 1997). Whoever
    bids everywhere meets everybody: the lift of that is 1.
    """

    together: int
    first: int
    second: int
    calls: int

    @property
    def share(self) -> float:
        return self.together / min(self.first, self.second) if self.together else 0.0

    @property
    def lift(self) -> float:
        return self.together * self.calls / (self.first * self.second) if self.together else 0.0


def meetings(bidders: Mapping[int, frozenset[int]], among: frozenset[int]) -> dict[tuple[int, int], Meeting]:
    """Every pair of ``among`` that met; ``bidders``: call → who took part."""
    taken = {one: {call for call, present in bidders.items() if one in present} for one in among}
    return {
        (one, other): Meeting(len(both), len(taken[one]), len(taken[other]), len(bidders))
        for one, other in combinations(sorted(among), 2)
        if (both := taken[one] & taken[other])
    }


def count_late(bids: Sequence[tuple[datetime, datetime]], within: timedelta) -> int:
    """How many of the (received, closing) pairs came in the last ``within`` before the closing, both ends included."""
    return sum(1 for received, closing in bids if timedelta() <= closing - received <= within)


def turns_at_end(winners: Sequence[int], group: frozenset[int]) -> int:
    """How many of the last calls of a fixed group were won strictly in turn, the newest included.

    In turn: nobody wins again before each of the other members has. ``winners``: the oldest first. A pattern of
    market division named in OECD, "Guidelines for Fighting Bid Rigging in Public Procurement" (bid rotation).
    """
    longest = 0
    for start in range(len(winners) - 1, -1, -1):
        run = winners[start:]
        if len(set(run[: len(group)])) < min(len(run), len(group)) or run[0] not in group:
            break
        longest = len(run)
    return longest


def chance_of_turns(members: int, calls: int) -> float:
    """How likely ``calls`` wins of equally able members fall strictly in turn: m!/mᵐ × (1/m)ⁿ⁻ᵐ, for n < m its start."""
    likely = 1.0
    for place in range(1, calls):
        likely *= max(members - place, 1) / members
    return likely
