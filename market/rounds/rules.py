"""The rules of an auction in rounds, as pure functions (competition.md "Descending rounds", A6).

"r rounds (default 3); each opens with a pause, then turns of a set length, one bidder after another; the order in a
round is fixed when its pause begins: highest price first, lowest last; among equal prices the earlier ranks better,
so it moves later and wins; a new price must be ≤ the bidder's *own* current price − step, equality allowed; a turn
may be skipped; within a turn a price may be replaced or withdrawn and is published only when the turn ends."

Three readings of that text are fixed here. Since a price may be replaced within its turn, the step is measured from
the price the bidder had *before the round*: after 105 in the same turn, 108 may follow. A withdrawal restores that
price together with its instant; where nothing was changed it changes nothing. The instant of a price made in a turn
is the place of that turn in the timeline, so two of them are never equal, and every opening price is earlier.

Prices are in fen, the timeline in seconds from the start of the first pause. Knows no clock and no database: a live
room feeds :class:`Auction` from its rows and its clock, ``flask rounds replay`` from a record file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from kernel import money
from kernel.words import Worded
from market.rounds import faults

#: Bounds that no real auction reaches, and that keep a timeline a timeline.
MOST_ROUNDS = 100
MOST_SECONDS = 86_400
MOST_BIDDERS = 500
#: A turn that starts later than this voids the auction, which is then planned again.
MOST_SECONDS_LATE = 120


@dataclass(frozen=True)
class Rules:
    """What is published before an auction; ``step`` in fen, lengths in seconds.

    Raises:
        OutOfBounds: a number of rounds or a length outside 1 … its bound; ``field`` names it.
        NegativeStep, AmountTooLarge: the step.
    """

    step: int
    rounds: int = 3
    turn_seconds: int = 120
    pause_seconds: int = 120
    first_pause_seconds: int = 300

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= MOST_ROUNDS:
            raise faults.OutOfBounds(field="rounds", least=1, most=MOST_ROUNDS)
        for name in ("turn_seconds", "pause_seconds", "first_pause_seconds"):
            if not 1 <= getattr(self, name) <= MOST_SECONDS:
                raise faults.OutOfBounds(field=name, least=1, most=MOST_SECONDS)
        if self.step < 0:
            raise faults.NegativeStep(field="step")
        if self.step > money.MOST:
            raise money.AmountTooLarge(field="step")


@dataclass(frozen=True)
class Standing:
    """A bidder's price, and what ranks it among equals.

    Attributes:
        lodged_at: instant of the opening price, aware.
        turn_at: seconds from the start at which the turn began in which the price was made; None = opening price.
    """

    bidder: str
    price: int
    lodged_at: datetime
    turn_at: int | None = None


@dataclass(frozen=True)
class Entry:
    """What a bidder hands in during a turn; ``price`` in fen, None = withdrawal of what this turn holds so far."""

    round: int
    bidder: str
    price: int | None


class StageKind(Worded):
    PAUSE = "pause", "休整", "Pause"
    TURN = "turn", "报价", "Turn"
    ANNOUNCEMENT_PAUSE = "announcement_pause", "结果公布前等候", "Pause before the announcement"
    ANNOUNCEMENT = "announcement", "公布结果", "Announcement"


@dataclass(frozen=True)
class Stage:
    """One entry of the timeline.

    Attributes:
        round: from 1; None for the two stages of the announcement.
        position: of the bidder in the order of the round, from 0; None unless a turn.
        starts_after_seconds: from the start of the first pause.
    """

    kind: StageKind
    round: int | None
    position: int | None
    starts_after_seconds: int


def timeline(rules: Rules, bidders: int) -> tuple[Stage, ...]:
    """Every stage of an auction of so many bidders, in order: ``rounds × (1 + bidders) + 2`` of them.

    A pause begins when the last turn before it ends; the announcement follows a last pause of the usual length.
    """
    stages = []
    at = 0
    for number in range(1, rules.rounds + 1):
        stages.append(Stage(StageKind.PAUSE, number, None, at))
        at += rules.first_pause_seconds if number == 1 else rules.pause_seconds
        for position in range(bidders):
            stages.append(Stage(StageKind.TURN, number, position, at))
            at += rules.turn_seconds
    stages.append(Stage(StageKind.ANNOUNCEMENT_PAUSE, None, None, at))
    stages.append(Stage(StageKind.ANNOUNCEMENT, None, None, at + rules.pause_seconds))
    return tuple(stages)


def stage_at(stages: Sequence[Stage], elapsed: timedelta) -> int | None:
    """The index of the stage that runs ``elapsed`` after the start; None before it. The last one never ends."""
    begun = [index for index, stage in enumerate(stages) if timedelta(seconds=stage.starts_after_seconds) <= elapsed]
    return begun[-1] if begun else None


def starts_too_late(stage: Stage, elapsed: timedelta) -> bool:
    """Whether beginning ``stage`` at ``elapsed`` voids the auction: more than :data:`MOST_SECONDS_LATE` late."""
    return elapsed - timedelta(seconds=stage.starts_after_seconds) > timedelta(seconds=MOST_SECONDS_LATE)


def ranking(standings: Iterable[Standing]) -> tuple[Standing, ...]:
    """Worst first, the winner last; ``standings`` come in the order of admission.

    Among equal prices the earlier is better, among equal instants the one admitted earlier.
    """

    def merit(listed: tuple[int, Standing]) -> tuple[int, int, datetime, int]:
        place, standing = listed
        turn = -1 if standing.turn_at is None else standing.turn_at  # every opening price is earlier than every turn
        return standing.price, turn, standing.lodged_at, place

    return tuple(standing for _, standing in sorted(enumerate(standings), key=merit, reverse=True))


def order_of_round(standings: Iterable[Standing]) -> tuple[str, ...]:
    """Who moves when, for the prices as they stand when the pause begins: highest first, lowest last."""
    return tuple(standing.bidder for standing in ranking(standings))


def try_price(price: int, before: int, step: int) -> faults.PriceRefused | None:
    """Why ``price`` may not follow the price ``before`` the round, or None; the incident is answered, not raised."""
    if price <= 0:
        return faults.PriceNotPositive(field="price")
    if price > before - step:
        return faults.StepNotMet(field="price", most=money.format(before - step))
    return None


def largest_step(rounds: int, ceiling: int, floor: int = 0) -> int:
    """The largest step, in fen, with which a bidder at the ceiling can move down in every round; 0 = none.

    The last price must stay above zero and not below ``floor``.
    """
    return max(0, (ceiling - max(1, floor)) // rounds)


def check_rules(rules: Rules, ceiling: int, floor: int = 0) -> None:
    """Refuse rules that could not be played, at publication; ``ceiling`` and ``floor`` are the published prices in fen.

    Raises:
        StepMissing: the step is zero, so nobody would have to come down.
        StepTooLarge, NoStepPossible: a bidder at the ceiling could not move in each of the rounds.
    """
    if rules.step == 0:
        raise faults.StepMissing(field="step")
    most = largest_step(rules.rounds, ceiling, floor)
    if most == 0:
        raise faults.NoStepPossible(field="step", rounds=rules.rounds)
    if rules.step > most:
        raise faults.StepTooLarge(field="step", rounds=rules.rounds, most=money.format(most))


class LowPrice(Worded):
    """Against what a price is abnormally low."""

    MEAN = "mean", "明显低于全部报价的平均值", "Far below the mean of all prices"
    NEXT = "next", "明显低于次低报价", "Far below the second lowest price"
    CEILING = "ceiling", "明显低于最高限价", "Far below the ceiling"


@dataclass(frozen=True)
class LowPriceTest:
    """Percentages under which a price asks for a justification, from the policy; None = not tested.

    Attributes:
        of_mean: of the mean of all prices, the tested one included.
        of_next: of the second lowest price; tests the lowest alone.
        of_ceiling: of the published ceiling.
    """

    of_mean: int | None = None
    of_next: int | None = None
    of_ceiling: int | None = None


def abnormally_low(
    prices: Mapping[str, int], test: LowPriceTest, ceiling: int | None = None
) -> dict[str, tuple[LowPrice, ...]]:
    """Who must justify a price, and why; a price exactly at a limit need not. Prices and ceiling in fen.

    Low is not refused: "an abnormally low price asks for a justification".
    """
    ascending = sorted(prices.values())
    found = {}
    for bidder, price in prices.items():
        reasons = []
        if test.of_mean is not None and price * 100 * len(ascending) < test.of_mean * sum(ascending):
            reasons.append(LowPrice.MEAN)
        if test.of_next is not None and len(ascending) > 1 and price * 100 < test.of_next * ascending[1]:
            reasons.append(LowPrice.NEXT)
        if test.of_ceiling is not None and ceiling is not None and price * 100 < test.of_ceiling * ceiling:
            reasons.append(LowPrice.CEILING)
        if reasons:
            found[bidder] = tuple(reasons)
    return found


@dataclass(frozen=True)
class Round:
    """One round as played so far: the order of its turns and the prices changed in them, in that order."""

    number: int
    order: tuple[str, ...]
    prices: Mapping[str, int]


@dataclass(frozen=True)
class Auction:
    """The state of one auction: who was admitted, and which prices were accepted in which turn.

    A value: :meth:`apply` answers a new one. Entries are applied in the order of the rounds; those of one turn in the
    order in which they came.

    Attributes:
        admitted: opening prices in the order of admission.
        changes: (round, bidder) → the accepted price that stands, in fen.

    Raises:
        NoBidders, TooManyBidders, BidderTwice, OpeningPriceNotPositive, InstantWithoutZone.
    """

    rules: Rules
    admitted: tuple[Standing, ...]
    changes: Mapping[tuple[int, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.admitted:
            raise faults.NoBidders(field="bidders")
        if len(self.admitted) > MOST_BIDDERS:
            raise faults.TooManyBidders(field="bidders", most=MOST_BIDDERS)
        seen: set[str] = set()
        for index, standing in enumerate(self.admitted):
            if standing.bidder in seen:
                raise faults.BidderTwice(field=f"bidders[{index}].id", bidder=standing.bidder)
            if standing.price <= 0:
                raise faults.OpeningPriceNotPositive(field=f"bidders[{index}].price")
            if standing.lodged_at.utcoffset() is None:
                raise faults.InstantWithoutZone(field=f"bidders[{index}].at", value=standing.lodged_at.isoformat())
            seen.add(standing.bidder)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return timeline(self.rules, len(self.admitted))

    def apply(self, entry: Entry, *, elapsed: timedelta | None = None) -> tuple[Auction, faults.PriceRefused | None]:
        """The auction after ``entry``, and why the entry was refused, if it was; then the auction is the same one.

        Args:
            elapsed: when the entry came, from the start; a live room gives it, and the entry must then fall into its
                bidder's turn, both ends included. Without it the turn is believed, as a record has it.
        """
        known = any(standing.bidder == entry.bidder for standing in self.admitted)
        if not known or not 1 <= entry.round <= self.rules.rounds:
            return self, faults.NotYourTurn(field="bidder")
        if elapsed is not None:
            begins = timedelta(seconds=self.stages[self.turn_of(entry.round, entry.bidder)].starts_after_seconds)
            if not begins <= elapsed <= begins + timedelta(seconds=self.rules.turn_seconds):
                return self, faults.NotYourTurn(field="bidder")
        place = entry.round, entry.bidder
        if entry.price is None:
            kept = {key: price for key, price in self.changes.items() if key != place}
            return replace(self, changes=kept), None
        refused = try_price(entry.price, self.price_before(*place), self.rules.step)
        if refused is not None:
            return self, refused
        return replace(self, changes={**self.changes, place: entry.price}), None

    def price_before(self, number: int, bidder: str) -> int:
        """The price from which the step is measured in round ``number``, in fen."""
        for earlier in range(number - 1, 0, -1):
            if (earlier, bidder) in self.changes:
                return self.changes[earlier, bidder]
        return next(standing.price for standing in self.admitted if standing.bidder == bidder)

    def turn_of(self, number: int, bidder: str) -> int:
        """The index of the stage that is the turn of ``bidder`` in round ``number``; prices of earlier rounds set it."""
        return (number - 1) * (1 + len(self.admitted)) + 1 + self.rounds[number - 1].order.index(bidder)

    def bidder_at(self, stage: int) -> str | None:
        """Whose turn stage ``stage`` is, by its index; None when nobody's. Known once the round's pause has begun."""
        number, position = self.stages[stage].round, self.stages[stage].position
        return None if number is None or position is None else self.rounds[number - 1].order[position]

    @cached_property
    def _played(self) -> tuple[tuple[Round, ...], tuple[Standing, ...]]:
        """The rounds, and the standings after the last of them in the order of admission."""
        standings = {standing.bidder: standing for standing in self.admitted}
        turns = iter([stage for stage in self.stages if stage.kind is StageKind.TURN])
        rounds = []
        for number in range(1, self.rules.rounds + 1):
            order = order_of_round(standings.values())
            prices = {}
            for bidder in order:
                turn = next(turns)
                price = self.changes.get((number, bidder))
                if price is not None:
                    prices[bidder] = price
                    standings[bidder] = replace(standings[bidder], price=price, turn_at=turn.starts_after_seconds)
            rounds.append(Round(number, order, prices))
        return tuple(rounds), tuple(standings.values())

    @property
    def rounds(self) -> tuple[Round, ...]:
        """All rounds; one that has not begun is ordered as if nobody moved before it."""
        return self._played[0]

    @property
    def result(self) -> tuple[Standing, ...]:
        """Worst first, the winner last, for the changes so far."""
        return ranking(self._played[1])

    def published(self, stage: int) -> Auction:
        """What everybody may see while the stage of index ``stage`` runs: the changes of turns that have ended."""
        shown = {
            (number, bidder): price
            for (number, bidder), price in self.changes.items()
            if self.turn_of(number, bidder) < stage
        }
        return replace(self, changes=shown)

    @cached_property
    def labels(self) -> dict[str, int]:
        """The number that hides each name ("Bidder 2"), the same throughout: the place in the order of round one."""
        return {bidder: number for number, bidder in enumerate(order_of_round(self.admitted), start=1)}
