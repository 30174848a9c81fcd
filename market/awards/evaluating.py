"""From the opened bids to a ranking by the call's own rule (A6, A7): which bids count, the order, ties, low prices.

A ranking is a run of rows that is never edited. It is run after the opening, after the last scorer, after a draw or the
rounds, and again with a reason when a bid leaves it or comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from kernel import clock, money, notifications, policies, trail
from kernel.db import session
from kernel.trail import Actor
from market import drawing
from market.agencies import Agency
from market.awards import ranking
from market.awards.ranking import Criterion, Drawn, Line, Offer, Place, Result
from market.awards.records import Award, AwardStatus, BidRuling, BidScore, Justification, Ranking, Scorer
from market.bidding import Bid, OpenedBid, Outcome
from market.calls import CallForBids
from market.drawing import Draw, DrawPurpose, DrawStatus
from market.rounds import live
from market.routes import PriceKind, RankBy, TieRule

#: What became of the award of a bid that may not be chosen again.
GONE = (AwardStatus.REFUSED, AwardStatus.LAPSED)
#: Not told in a ranking: the agency itself put another bid in the place of these, or took them back.
_UNTOLD = frozenset({Outcome.REPLACED, Outcome.WITHDRAWN})


def opened(call: CallForBids) -> list[OpenedBid]:
    """What the opening found, in the order of receipt."""
    rows = session.scalars(
        select(OpenedBid)
        .join(Bid, OpenedBid.bid_id == Bid.id)
        .where(OpenedBid.call_id == call.id)
        .order_by(Bid.received_at, Bid.id)
    )
    return list(rows.unique())


def bidders(call: CallForBids) -> dict[int, Agency]:
    """Who took part, by key of the agency."""
    return {one.bid.agency_id: one.bid.agency for one in opened(call) if one.outcome not in _UNTOLD}


def run_of(call: CallForBids) -> int:
    """The number of the last run of the rule, 0 before the first."""
    return session.scalar(select(func.max(Ranking.run)).where(Ranking.call_id == call.id)) or 0


def current_ranking(call: CallForBids) -> list[Ranking]:
    """The last run: places in order, then what was excluded."""
    rows = session.scalars(
        select(Ranking)
        .where(Ranking.call_id == call.id, Ranking.run == run_of(call))
        .order_by(Ranking.place.asc().nulls_last(), Ranking.id)
    )
    return list(rows)


def awards_of(call: CallForBids) -> list[Award]:
    """Every award of a call, the oldest first."""
    return list(session.scalars(select(Award).where(Award.call_id == call.id).order_by(Award.id)))


def choosable(call: CallForBids) -> list[Ranking]:
    """The places of the last run that may still be chosen, best first."""
    gone = {award.bid_id for award in awards_of(call) if award.status in GONE}
    return [row for row in current_ranking(call) if row.place is not None and row.bid_id not in gone]


def front(call: CallForBids) -> list[Ranking]:
    """Who stands first among those that may be chosen: one, or several who are equal."""
    left = choosable(call)
    return [row for row in left if row.place == left[0].place]


def rank(call: CallForBids, *, by: Actor, at: datetime | None = None, reason: str = "") -> list[Ranking]:
    """Run the published rule over the bids that count, store its arithmetic, and see to what it leaves open.

    Abnormally low prices are asked about; a tie at the front, or a route by draw, gets its draw.
    """
    moment = at or clock.now()
    counted, excluded, fees = _counted(call)
    result = _apply(call, counted)
    run = run_of(call) + 1
    bids = {one.bid.token: one.bid for one in opened(call)}
    rows = [_row(call, run, bids[place.bid], place, fees.get(place.bid), moment) for place in result.places]
    rows += [
        Ranking(
            call_id=call.id,
            run=run,
            bid=bids[token],
            place=None,
            price=price,
            score=None,
            arithmetic=[],
            reason=why.zh,
            reason_en=why.en,
            ranked_at=moment,
        )
        for token, (why, price) in excluded.items()
    ]
    session.add_all(rows)
    session.flush()
    trail.record(
        call.subject,
        "award.ranked",
        by=by,
        at=moment,
        call=call.number,
        run=run,
        reason=reason,
        rule=call.rules.rank_by.value,
        places=[{"agency": bids[p.bid].agency.name, "place": p.place, "price": p.price} for p in result.places],
        excluded=[{"agency": bids[t].agency.name, "reason": why.zh} for t, (why, _price) in excluded.items()],
    )
    _ask_about_low_prices(call, {o.bid: o.price for o in counted if o.price is not None}, bids, by=by, at=moment)
    draw_if_equal(call, by=by)
    return current_ranking(call)


def rule_out(
    call: CallForBids, bid: Bid, reason: str, *, by: Actor, is_excluded: bool = True, reason_en: str = ""
) -> None:
    """Write down that a bid leaves the ranking (or comes back); the next run follows it."""
    session.add(
        BidRuling(
            call_id=call.id,
            bid_id=bid.id,
            is_excluded=is_excluded,
            reason=reason,
            reason_en=reason_en,
            at=clock.now(),
            by=f"{by.organisation} {by.person}".strip(),
        )
    )
    session.flush()


def scorable(call: CallForBids) -> list[Bid]:
    """The bids that scorers judge: opened, and within the notice's limits; also those that were ruled out since."""
    return [
        one.bid for one in opened(call) if one.outcome is Outcome.OPENED and _unfit(call, one, _fee(call, one)) is None
    ]


def _fee(call: CallForBids, one: OpenedBid) -> int | None:
    """The price of an opened bid in fen, a discount turned into its fee."""
    if call.rules.price is PriceKind.DISCOUNT and one.discount is not None and call.ceiling:
        return ranking.fee_after_discount(call.ceiling, one.discount)[0]
    return one.price


def criteria(call: CallForBids) -> list[Criterion]:
    return [Criterion(str(one["zh"]), str(one.get("en", "")), int(one["weight"])) for one in call.weights]


def points_of(call: CallForBids) -> dict[str, list[list[int]]]:
    """Bid → the points of each scorer, in the order of the scorers' assignment; only once all are in."""
    scorers = list(session.scalars(select(Scorer).where(Scorer.call_id == call.id).order_by(Scorer.id)))
    if not scorers or any(one.submitted_at is None for one in scorers):
        return {}
    found: dict[str, dict[int, dict[int, int]]] = {}
    rows = session.execute(
        select(Bid.token, BidScore.scorer_id, BidScore.criterion, BidScore.points)
        .join(Bid, BidScore.bid_id == Bid.id)
        .where(BidScore.scorer_id.in_([one.id for one in scorers]))
    )
    for token, scorer, criterion, points in rows:
        found.setdefault(token, {}).setdefault(scorer, {})[criterion] = points
    return {
        token: [[given[one.id][index] for index in sorted(given[one.id])] for one in scorers if one.id in given]
        for token, given in found.items()
    }


def draws_of(call: CallForBids) -> list[Draw]:
    """The draws that were begun for a call's agencies, the oldest first."""
    return list(
        session.scalars(
            select(Draw)
            .where(Draw.subject_of == call.subject, Draw.purpose.in_([DrawPurpose.AGENCY, DrawPurpose.TIE]))
            .order_by(Draw.id)
        )
    )


def draw_if_equal(call: CallForBids, *, by: Actor) -> Draw | None:
    """Begin the draw that decides among those who stand first and equal, unless one is under way."""
    equals = front(call)
    if len(equals) < 2 or any(draw.status is not DrawStatus.DRAWN for draw in draws_of(call)):
        return None
    is_all = call.rules.rank_by is RankBy.DRAW
    zh, en = _draw_rule(call, is_all)
    return drawing.hold(
        call.subject,
        DrawPurpose.AGENCY if is_all else DrawPurpose.TIE,
        [(row.bid.agency.number, row.bid.agency.name) for row in equals],
        1,
        f"{zh} / {en}",
        drawing.standard_parties(call.commission.client_id),
        by=by,
    )


def _draw_rule(call: CallForBids, is_all: bool) -> tuple[str, str]:
    if is_all:
        return f"{call.number} 从报名机构中随机抽取一家中选", "one of the bidders is drawn"
    return f"{call.number} 并列机构由抽取决定先后", "a draw decides among equal bids"


def _apply(call: CallForBids, counted: Sequence[Offer]) -> Result:
    rules = call.rules
    numbers = {one.bid.agency.number: one.bid.token for one in opened(call) if one.outcome is Outcome.OPENED}
    drawn = [
        Drawn(draw.number, tuple(numbers[key] for key in drawing.order(draw) if key in numbers))
        for draw in draws_of(call)
        if draw.status is DrawStatus.DRAWN
    ]
    is_earlier = rules.tie is TieRule.EARLIER
    match rules.rank_by:
        case RankBy.LOWEST:
            return ranking.lowest(counted, floor=call.floor, is_earlier_better=is_earlier, drawn=drawn)
        case RankBy.MEAN:
            return ranking.nearest_to_mean(
                counted, trim_from=rules.trim_from, is_earlier_better=is_earlier, drawn=drawn
            )
        case RankBy.WEIGHTED:
            return ranking.weighted(counted, criteria(call), points_of(call), is_earlier_better=is_earlier, drawn=drawn)
        case RankBy.DRAW:
            return ranking.by_draw(counted, drawn=drawn)
        case RankBy.ROUNDS:
            return ranking.by_rounds(counted, list(last_prices(call)))


def _counted(
    call: CallForBids,
) -> tuple[list[Offer], dict[str, tuple[Line, int | None]], dict[str, tuple[int, Line]]]:
    """The bids that count, those that don't with their reason and price, and the fees of discounts."""
    rulings = {
        row.bid_id: row
        for row in session.scalars(select(BidRuling).where(BidRuling.call_id == call.id).order_by(BidRuling.id))
    }
    finals = last_prices(call)
    counted: list[Offer] = []
    excluded: dict[str, tuple[Line, int | None]] = {}
    fees: dict[str, tuple[int, Line]] = {}
    for one in opened(call):
        token = one.bid.token
        if one.outcome in _UNTOLD:
            continue
        price = finals.get(token, _fee(call, one))
        if one.outcome is not Outcome.OPENED:
            why = Line(one.reason or one.outcome.zh, one.reason_en or one.outcome.en)
            excluded[token] = (why, price)
            continue
        if call.rules.price is PriceKind.DISCOUNT and one.discount is not None and call.ceiling:
            fees[token] = ranking.fee_after_discount(call.ceiling, one.discount)
        ruling = rulings.get(one.bid_id)
        if ruling is not None and ruling.is_excluded:
            excluded[token] = (Line(ruling.reason, ruling.reason_en or ruling.reason), price)
            continue
        fault = _unfit(call, one, price)
        if fault is None and call.rules.rank_by is RankBy.ROUNDS and token not in finals:
            fault = Line("未参加多轮竞价", "Not admitted to the rounds")
        if fault is not None:
            excluded[token] = (fault, price)
        else:
            price = None if call.rules.price is PriceKind.NONE else price
            counted.append(Offer(token, price, one.bid.received_at))
    return counted, excluded, fees


def last_prices(call: CallForBids) -> dict[str, int]:
    """After the rounds: token → the last price that stood, the winner first; empty for the other routes."""
    if call.rules.rank_by is not RankBy.ROUNDS:
        return {}
    tokens = {one.bid_id: one.bid.token for one in opened(call)}
    return {tokens[key]: price for key, price in reversed(live.result(call) or [])}


def _unfit(call: CallForBids, one: OpenedBid, price: int | None) -> Line | None:
    """Why an opened bid breaks the notice's own limits: sealed bids could not be checked before (domain §6, 2 and 7)."""
    if call.rules.price is not PriceKind.NONE:
        if price is None or price <= 0:
            return Line("没有有效报价", "No valid price")
        if call.ceiling is not None and price > call.ceiling:
            limit = money.format(call.ceiling)
            return Line(
                f"报价 {money.format(price)} 高于最高限价 {limit}",
                f"{money.format(price)} is above the ceiling {limit}",
            )
        if call.floor and price < call.floor:
            limit = money.format(call.floor)
            return Line(
                f"报价 {money.format(price)} 低于最低限价 {limit}", f"{money.format(price)} is below the floor {limit}"
            )
    if call.most_working_days is not None and (one.working_days or 0) > call.most_working_days:
        return Line(
            f"服务期限 {one.working_days} 个工作日超过 {call.most_working_days} 个工作日",
            f"{one.working_days} working days exceed {call.most_working_days}",
        )
    return None


def _row(
    call: CallForBids, run: int, bid: Bid, place: Place, fee: tuple[int, Line] | None, moment: datetime
) -> Ranking:
    lines = [*([fee[1]] if fee else []), *place.lines]
    return Ranking(
        call_id=call.id,
        run=run,
        bid=bid,
        place=place.place,
        price=place.price,
        score=place.score,
        arithmetic=[{"zh": line.zh, "en": line.en} for line in lines],
        ranked_at=moment,
    )


def _ask_about_low_prices(
    call: CallForBids, prices: Mapping[str, int], bids: Mapping[str, Bid], *, by: Actor, at: datetime
) -> None:
    low, limit = ranking.abnormally_low(prices, call.rules.abnormal_share)
    asked = set(session.scalars(select(Justification.bid_id).where(Justification.call_id == call.id)))
    days = int(policies.current("justification").values["working_days"])
    for token, price in sorted(low.items()):
        bid = bids[token]
        if bid.id in asked:
            continue
        until = clock.china().nth_working_day(clock.local_date(at), days)
        session.add(Justification(call_id=call.id, bid=bid, price=price, limit=limit, asked_at=at, answer_until=until))
        session.flush()
        trail.record(
            call.subject,
            "justification.asked",
            by=by,
            at=at,
            agency=bid.agency.name,
            price=price,
            limit=limit,
            until=until.isoformat(),
        )
        tell_bidder(call, bid.agency, "justification.asked", is_warning=True)


def tell_bidder(
    call: CallForBids, agency: Agency, act: str, *, is_warning: bool = False, at: datetime | None = None, **detail: Any
) -> None:
    """A line for an agency that took part; it leads to the result page."""
    tell_organisation_of(call, agency.organisation_id, act, is_warning=is_warning, at=at, **detail)


def tell_organisation_of(
    call: CallForBids,
    organisation_id: int,
    act: str,
    *,
    is_warning: bool = False,
    at: datetime | None = None,
    **detail: Any,
) -> None:
    notifications.tell_organisation(
        organisation_id,
        subject=f"award:{call.number}",
        act=act,
        title=f"{call.title}（{call.number}）",
        is_warning=is_warning,
        at=at,
        project=call.commission.project.name,
        **detail,
    )


def unsettled(call: CallForBids) -> list[Justification]:
    """Low prices that nobody has decided on yet, of bids that still stand in the ranking."""
    standing = {row.bid_id for row in choosable(call)}
    rows = session.scalars(
        select(Justification)
        .where(Justification.call_id == call.id, Justification.is_accepted.is_(None))
        .order_by(Justification.id)
    )
    return [row for row in rows if row.bid_id in standing]


def find_bid(call: CallForBids, token: str) -> Bid | None:
    return next((one.bid for one in opened(call) if one.bid.token == token), None)
