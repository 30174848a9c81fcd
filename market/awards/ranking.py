"""The published rules of ranking, as arithmetic that anyone can repeat (competition.md, first paragraph; domain §6, 2).

Pure functions over plain values: money in fen, shares and weights in basis points, means as exact fractions; numbers
are rounded only where they are shown. Every place carries its arithmetic in both languages.

What the rules leave open is decided here and printed with them: nearest to the mean ranks the lower of two equally
distant prices better; under the trimmed mean the left-out bids are still ranked; equal bids share a place until the
published tie rule separates them (the earlier bid, or a draw).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

from kernel import money

#: Of a share or a weight.
WHOLE: Final = 10_000
#: A score of 1 is stored as so many.
SCORE_UNIT: Final = 10_000
MOST_POINTS: Final = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One line of arithmetic or a reason."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A bid that counts. ``price`` in fen (None where the call asks for none); ``bid`` names it for the reader's eyes."""

    bid: str
    price: int | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion of a comparison; ``weight`` in basis points of the whole score."""

    zh: str
    en: str
    weight: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A draw that was held: its number, and the bids in the order in which they came out."""

    number: str
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A bid's place; equal bids share one. ``score`` in 1/10,000 of a point, rounded half up for display."""

    bid: str
    place: int
    price: int | None
    score: int | None
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Best first. ``ties``: the groups that still share a place."""

    places: tuple[Place, ...]
    ties: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    offer: Offer
    key: Any
    score: int | None
    lines: tuple[Line, ...]


def lowest(
    offers: Iterable[Offer], *, floor: int | None = None, is_earlier_better: bool = False, drawn: Sequence[Drawn] = ()
) -> Result:
    """The lowest price ranks first. Prices at the published ``floor`` are equal, and are said to have reached it."""

    def lines(offer: Offer) -> tuple[Line, ...]:
        price = money.format(_priced(offer))
        found = [Line(f"报价 {price}，由低到高排序", f"Price {price}, ranked from the lowest")]
        if floor and offer.price == floor:
            found.append(Line(f"达到最低限价 {money.format(floor)}", f"Reaches the floor {money.format(floor)}"))
        return tuple(found)

    judged = [_Judged(offer, _priced(offer), None, lines(offer)) for offer in offers]
    return _placed(judged, is_earlier_better, drawn)


def nearest_to_mean(
    offers: Iterable[Offer], *, trim_from: int = 0, is_earlier_better: bool = False, drawn: Sequence[Drawn] = ()
) -> Result:
    """The price nearest to the mean ranks first; of two at equal distance the lower one.

    From ``trim_from`` bids on (0: never; three at least) one highest and one lowest price are left out of the mean.
    """
    present = list(offers)
    if not present:
        return Result((), ())
    mean, how = trimmed_mean([_priced(offer) for offer in present], trim_from)
    judged = []
    for offer in present:
        price = _priced(offer)
        distance = abs(price - mean)
        away = _rounded(distance)
        line = Line(
            f"与平均价相差 |{money.format(price)} − {_rounded(mean)}| = {away}",
            f"Distance from the mean |{money.format(price)} − {_rounded(mean)}| = {away}",
        )
        judged.append(_Judged(offer, (distance, price), None, (how, line)))
    return _placed(judged, is_earlier_better, drawn)


def trimmed_mean(prices: Sequence[int], trim_from: int) -> tuple[Fraction, Line]:
    """The exact mean in fen and its arithmetic.

    Raises:
        ValueError: there are no prices.
    """
    if not prices:
        raise ValueError("a mean of nothing")
    counted, note, note_en = sorted(prices), "", ""
    if trim_from and len(counted) >= max(trim_from, 3):
        low, high = money.format(counted[0]), money.format(counted[-1])
        note = f"（共 {len(counted)} 家，去掉一个最高价 {high} 和一个最低价 {low}）"
        note_en = f" ({len(counted)} bids; one highest price {high} and one lowest {low} left out)"
        counted = counted[1:-1]
    mean = Fraction(sum(counted), len(counted))
    terms = " + ".join(money.format(price) for price in counted)
    about = "" if mean.denominator == 1 else "≈ "
    value = f"({terms}) ÷ {len(counted)} {'=' if not about else about.strip()} {_rounded(mean)}"
    return mean, Line(f"平均价{note}：{value}", f"Mean{note_en}: {value}")


def weighted(
    offers: Iterable[Offer],
    criteria: Sequence[Criterion],
    points: Mapping[str, Sequence[Sequence[int]]],
    *,
    is_earlier_better: bool = False,
    drawn: Sequence[Drawn] = (),
) -> Result:
    """Price and quality by published weights, out of 100.

    ``points``: bid → for each scorer the points 0 … 100 of each criterion. Price score = lowest price ÷ price × what
    the criteria's weights leave of the whole; a criterion's score = mean of the scorers' points ÷ 100 × its weight.

    Raises:
        ValueError: points are missing, or weights come to more than the whole.
    """
    present = list(offers)
    price_weight = WHOLE - sum(criterion.weight for criterion in criteria)
    if price_weight < 0:
        raise ValueError("the weights exceed the whole")
    best = min((_priced(offer) for offer in present), default=0)
    judged = []
    for offer in present:
        price = _priced(offer)
        share = Fraction(price_weight, 100)
        part = Fraction(best, price) * share
        total = part
        lines = [
            Line(
                f"价格分 = 最低价 {money.format(best)} ÷ 报价 {money.format(price)} × {_figure(share)} = {shown(part)}",
                f"Price = lowest {money.format(best)} ÷ {money.format(price)} × {_figure(share)} = {shown(part)}",
            )
        ]
        rows = points.get(offer.bid, ())
        for index, criterion in enumerate(criteria):
            given = [row[index] for row in rows]
            if not given:
                raise ValueError(f"no points for {offer.bid}")
            share = Fraction(criterion.weight, 100)
            part = Fraction(sum(given), len(given) * MOST_POINTS) * share
            total += part
            sums = " + ".join(str(one) for one in given)
            value = f"({sums}) ÷ {len(given)} ÷ {MOST_POINTS} × {_figure(share)} = {shown(part)}"
            lines.append(Line(f"{criterion.zh} = {value}", f"{criterion.en or criterion.zh} = {value}"))
        lines.append(Line(f"总分 {shown(total)}", f"Total {shown(total)}"))
        judged.append(_Judged(offer, -total, money.round_half_up(total * SCORE_UNIT), tuple(lines)))
    return _placed(judged, is_earlier_better, drawn)


def by_draw(offers: Iterable[Offer], *, drawn: Sequence[Drawn] = ()) -> Result:
    """All are equal until the draw; a bidder stands on the list once, with or without a price (domain §6, 6)."""
    line = Line("由随机抽取决定次序", "Placed by random draw")
    return _placed([_Judged(offer, 0, None, (line,)) for offer in offers], False, drawn)


def by_rounds(offers: Iterable[Offer], order: Sequence[str]) -> Result:
    """The order in which the rounds left the bidders, best first; prices are the last ones that stood.

    Raises:
        ValueError: an offer is not in the order.
    """
    judged = []
    for offer in offers:
        price = money.format(_priced(offer))
        line = Line(f"多轮竞价后的最后报价 {price}", f"Last price after the rounds {price}")
        judged.append(_Judged(offer, order.index(offer.bid), None, (line,)))
    return _placed(judged, False, ())


def fee_after_discount(standard: int, discount: int) -> tuple[int, Line]:
    """The fee in fen of a discount in basis points on the fee standard, and its arithmetic; half a fen rounds up.

    Raises:
        ValueError: the discount is not between 0 and the whole.
    """
    if not 0 <= discount <= WHOLE:
        raise ValueError("a discount is between 0 and the whole")
    fee = money.round_half_up(Fraction(standard * (WHOLE - discount), WHOLE))
    share = _figure(Fraction(discount, 100))
    value = f"{money.format(standard)} × (1 − {share}%) = {money.format(fee)}"
    return fee, Line(f"费用 = 收费标准 {value}", f"Fee = standard {value}")


def abnormally_low(prices: Mapping[str, int], share: int) -> tuple[dict[str, int], int]:
    """Bids below ``share`` (basis points, 0: nobody) of the mean of all, and that limit in fen, rounded up.

    A price exactly at the limit need not be justified; the comparison is exact.
    """
    if not share or not prices:
        return {}, 0
    total, count = sum(prices.values()), len(prices)
    found = {bid: price for bid, price in prices.items() if price * WHOLE * count < share * total}
    return found, -(-share * total // (WHOLE * count))


def shown(value: Fraction) -> str:
    """A score as it is displayed: four decimals, rounded half up."""
    return score_text(money.round_half_up(value * SCORE_UNIT))


def score_text(score: int) -> str:
    """A stored score as it is displayed."""
    return f"{score // SCORE_UNIT}.{score % SCORE_UNIT:04d}"


def _placed(judged: Sequence[_Judged], is_earlier_better: bool, drawn: Sequence[Drawn]) -> Result:
    """Sort by key; equals share the place of the first of them unless time or a draw separates them."""
    places: list[Place] = []
    ties: list[tuple[str, ...]] = []
    ordered = sorted(judged, key=lambda one: (one.key, one.offer.bid))
    for _key, equals in groupby(ordered, key=lambda one: one.key):
        group = list(equals)
        if len(group) > 1:
            separated = _separated(group, is_earlier_better, drawn)
            if separated is None:
                shared = len(places) + 1
                ties.append(tuple(one.offer.bid for one in group))
                line = Line(f"与其余 {len(group) - 1} 家并列", f"Equal with {len(group) - 1} other(s)")
                places += [_place(one, shared, line) for one in group]
                continue
            for one, line in separated:
                places.append(_place(one, len(places) + 1, line))
        else:
            places.append(_place(group[0], len(places) + 1))
    return Result(tuple(places), tuple(ties))


def _separated(
    group: list[_Judged], is_earlier_better: bool, drawn: Sequence[Drawn]
) -> list[tuple[_Judged, Line]] | None:
    for held in reversed(drawn):
        by_bid = {one.offer.bid: one for one in group}
        if by_bid.keys() <= set(held.order):
            line = Line(f"并列，由抽取 {held.number} 决定先后", f"Equal; the draw {held.number} decided")
            return [(by_bid[bid], line) for bid in held.order if bid in by_bid]
    if is_earlier_better and len({one.offer.received_at for one in group}) == len(group):
        line = Line("并列，先报价者在前", "Equal; the earlier bid ranks better")
        return [(one, line) for one in sorted(group, key=lambda one: one.offer.received_at)]
    return None


def _place(one: _Judged, place: int, *more: Line) -> Place:
    return Place(one.offer.bid, place, one.offer.price, one.score, (*one.lines, *more))


def _priced(offer: Offer) -> int:
    if offer.price is None or offer.price <= 0:
        raise ValueError(f"the bid {offer.bid} has no price")
    return offer.price


def _rounded(value: Fraction) -> str:
    return money.format(money.round_half_up(value))


def _figure(value: Fraction) -> str:
    """A weight in points or a percentage: as many decimals as it needs, two at most."""
    hundredths = money.round_half_up(value * 100)
    text = f"{hundredths // 100}.{hundredths % 100:02d}"
    return text.rstrip("0").rstrip(".")
