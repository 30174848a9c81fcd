"""A live auction: planned at the opening, played by the clock, ended with a record (competition.md "Descending rounds").

"A turn that starts more than 120 s late voids the auction and plans it again, never on a holiday. A price that was
answered "accepted" in the last millisecond of a turn is in the record."

Which stage runs is read from the timeline and the database's clock, never from a tick. An entry locks the auction's
row shared and *then* reads that clock; whoever records that a stage has begun locks it exclusively after the stage
before has ended, so that every price of that turn stands in the rows when the turn is published. The due-loop records
stages within a second; an entry that comes first does it itself. A turn whose start no process recorded in time was
nobody's to play: that is what *late* means here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import select

from kernel import clock, money, notifications, trail, workflow
from kernel.access import Role
from kernel.db import session
from kernel.errors import Conflict, Invalid, NotFound
from kernel.trail import CLOCK, Actor, TrailAct
from market import bidding, calls
from market.agencies import Agency, AgencyStatus, AgencySuspended
from market.bidding import OpenedBid, Outcome
from market.calls import CallForBids
from market.notices import NoticeKind
from market.rounds import faults
from market.rounds.records import STEPS, AuctionBidder, AuctionEntry, AuctionStatus, LiveAuction
from market.rounds.replay import record_of
from market.rounds.rules import Auction, Entry, Rules, Stage, StageKind, Standing, stage_at, starts_too_late
from market.routes import RankBy

#: The smallest step of the database's clock.
TICK = timedelta(microseconds=1)
#: What readers wait for the record of a turn's end before they publish its price themselves.
GRACE = timedelta(seconds=3)
#: Of a share.
WHOLE = 10_000


class AuctionOver(Conflict):
    code = "auction_over"
    zh = "本场竞价已结束，不能再报价"
    en = "The rounds are over; no more prices can be entered"


class NothingToTakeBack(Conflict):
    code = "nothing_to_take_back"
    zh = "本次报价时段内没有可撤回的报价"
    en = "There is no price to take back in this turn"


class PriceAbnormallyLow(Invalid):
    code = "price_abnormally_low"
    zh = "报价 {price} 明显低于各方现价的平均值 {mean}，采购人将要求书面说明理由。确认报价的，请勾选后再次提交"
    en = "{price} is far below the mean {mean} of the current prices; the buyer will ask why. To enter it, tick and submit"


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What became of an entry; it is on record in either case."""

    entry: AuctionEntry
    refusal: faults.PriceRefused | None


@dataclass(frozen=True, slots=True)
class Seat:
    """One bidder as watchers see it; ``name`` only after the end. ``is_awaited``: its turn has just ended."""

    label: int
    price: int
    is_own: bool
    is_awaited: bool
    name: str | None


@dataclass(frozen=True, slots=True)
class Own:
    """What a bidder alone sees. ``most``: the highest price that a turn of the present round accepts; amounts in fen.

    ``turn_at``: when the bidder's turn of this round begins, None where that is past or not known yet. A price under
    ``low_below`` is abnormally low.
    """

    label: int
    is_turn: bool
    turn_at: datetime | None
    turn_ends_at: datetime | None
    most: int
    low_below: int
    pending: int | None


@dataclass(frozen=True, slots=True)
class View:
    """An auction as one watcher sees it at ``now``; ``mover`` and the orders are labels, amounts in fen."""

    auction: LiveAuction
    now: datetime
    index: int | None
    stage: Stage | None
    ends_at: datetime | None
    mover: int | None
    seats: tuple[Seat, ...]
    rounds: tuple[tuple[int, tuple[tuple[int, int | None], ...]], ...]
    own: Own | None


# Planning


def on_opened(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``bids.opened``: plan the rounds of a call whose rule they are, if enough bids can take part."""
    call = calls.of_subject(act.subject)
    if call is None or call.rules.rank_by is not RankBy.ROUNDS or standing(call) is not None:
        return
    plan(call, admissible(call), at=act.at)


def admissible(call: CallForBids) -> list[OpenedBid]:
    """The opened bids that may take part, in the order of receipt: priced, within ceiling, floor and days."""
    rows = session.scalars(select(OpenedBid).where(OpenedBid.call_id == call.id))
    return sorted((one for one in rows if _is_admissible(call, one)), key=lambda one: (one.bid.received_at, one.bid_id))


def _is_admissible(call: CallForBids, one: OpenedBid) -> bool:
    return (
        one.outcome is Outcome.OPENED
        and one.price is not None
        and one.price > 0
        and (call.ceiling is None or one.price <= call.ceiling)
        and (not call.floor or one.price >= call.floor)
        and (call.most_working_days is None or (one.working_days or 0) <= call.most_working_days)
    )


def plan(
    call: CallForBids, openings: Sequence[OpenedBid], *, by: Actor = CLOCK, at: datetime | None = None
) -> LiveAuction | None:
    """The auction of a call, at its published start; None with fewer bidders than the rules ask (the call then fails).

    A start that has passed, or that fell on what became a holiday, is put off to a working day at the same time.
    """
    moment = at or clock.now()
    if len(openings) < call.rules.minimum(call.commission.payer):
        return None
    rules = {
        "step": call.step or 1,
        "rounds": call.rules.rounds,
        "turn_seconds": max(1, call.rules.turn_seconds),
        "pause_seconds": max(1, call.rules.pause_seconds),
        "first_pause_seconds": max(1, call.rules.first_pause_seconds),
        "abnormal_share": call.rules.abnormal_share,
    }
    starts_at = call.auction_at or moment
    if starts_at <= moment or not clock.china().is_working_day(clock.local_date(starts_at)):
        starts_at = _later_working_day(starts_at, moment)
    admitted = tuple(Standing(one.bid.token, one.price or 0, one.bid.received_at) for one in openings)
    labels = Auction(_engine_rules(rules), admitted).labels
    bidders = [
        AuctionBidder(
            bid_id=one.bid_id,
            agency_id=one.bid.agency_id,
            label=labels[one.bid.token],
            price=one.price or 0,
            at=one.bid.received_at,
        )
        for one in openings
    ]
    return _store(call, bidders, rules, starts_at, by=by, at=moment)


def _store(
    call: CallForBids,
    bidders: list[AuctionBidder],
    rules: dict[str, Any],
    starts_at: datetime,
    *,
    by: Actor,
    at: datetime,
) -> LiveAuction:
    auction = LiveAuction(
        call=call,
        run=len(all_of(call)) + 1,
        status=AuctionStatus.PLANNED,
        rules=rules,
        starts_at=starts_at,
        stage=-1,
        next_check_at=starts_at + TICK,
        result=[],
        planned_at=at,
        bidders=bidders,
    )
    call.auction_at = starts_at
    session.add(auction)
    session.flush()
    trail.record(
        call.subject, "auction.planned", by=by, at=at, call=call.number, run=auction.run, starts=starts_at,
        bidders=len(bidders), rules=rules,
    )  # fmt: skip
    _announce(
        auction,
        [
            _row("竞价开始", "Rounds begin", calls.spoken(starts_at)),
            _row("参加竞价", "Bidders", f"{len(bidders)} 家", str(len(bidders))),
            _row("竞价轮次", "Rounds", str(rules["rounds"])),
            _row("每次报价时间", "A turn", f"{rules['turn_seconds']} 秒", f"{rules['turn_seconds']} s"),
            _row("最小降幅", "Step", money.format(rules["step"])),
        ],
        at=at,
    )
    _tell(auction, "auction.planned", at=at, starts=starts_at.isoformat())
    return auction


def _later_working_day(starts_at: datetime, moment: datetime) -> datetime:
    """The same time of day on the first working day after both: never on a holiday."""
    day = max(clock.local_date(starts_at), clock.local_date(moment))
    # China keeps one offset from UTC all year.
    return starts_at + (clock.china().nth_working_day(day, 1) - clock.local_date(starts_at))


# Finding


def all_of(call: CallForBids) -> list[LiveAuction]:
    """Every auction of a call, the voided ones first."""
    return list(session.scalars(select(LiveAuction).where(LiveAuction.call_id == call.id).order_by(LiveAuction.run)))


def standing(call: CallForBids) -> LiveAuction | None:
    """The auction of a call that is planned, runs or is finished."""
    return next((one for one in reversed(all_of(call)) if one.status is not AuctionStatus.VOIDED), None)


def of_call(call: CallForBids) -> LiveAuction | None:
    """The last auction of a call: the standing one, or the voided one if the call was ended with it."""
    found = all_of(call)
    return found[-1] if found else None


def hides_names(call: CallForBids) -> bool:
    """Whether nobody may be told yet who bids: from the opening to the end of the rounds."""
    return call.hides_bidders


def result(call: CallForBids) -> list[tuple[int, int]] | None:
    """(key of the bid, last price in fen), worst first, the winner last; None until the rounds are over."""
    auction = of_call(call)
    if auction is None or auction.status is not AuctionStatus.FINISHED:
        return None
    keys = {one.bid.token: one.bid_id for one in auction.bidders}
    return [(keys[one["bid"]], int(one["price"])) for one in auction.result]


def may_watch(auction: LiveAuction, by: Actor | None) -> bool:
    """While it is planned or runs: the bidders, the buyer, supervisors and auditors. Afterwards everybody."""
    if auction.status is AuctionStatus.FINISHED:
        return True
    if by is None:
        return False
    return (
        by.organisation_id == auction.call.commission.client_id
        or by.has(Role.SUPERVISOR.value, Role.AUDITOR.value)
        or bidder_of(auction, by) is not None
    )


def bidder_of(auction: LiveAuction, by: Actor | None) -> AuctionBidder | None:
    """The bidder for whom ``by`` acts."""
    if by is None or not by.has(Role.AGENCY.value):
        return None
    return next((one for one in auction.bidders if one.agency.organisation_id == by.organisation_id), None)


def entries_of(auction: LiveAuction) -> list[AuctionEntry]:
    """Every entry, refused ones included, in the order in which they came."""
    return list(
        session.scalars(
            select(AuctionEntry).where(AuctionEntry.auction_id == auction.id).order_by(AuctionEntry.at, AuctionEntry.id)
        )
    )


def record(auction: LiveAuction) -> dict[str, Any]:
    """The record file of an auction: what ``flask rounds replay`` recomputes the result from."""
    opening = Auction(_engine_rules(auction.rules), _admitted(auction))
    turns = [
        {
            "round": entry.round,
            "bidder": entry.bidder.bid.token,
            **({"withdraw": True} if entry.price is None else {"price": _yuan(entry.price)}),
            "at": entry.at.isoformat(),
        }
        for entry in entries_of(auction)
    ]
    return record_of(opening) | {"starts_at": auction.starts_at.isoformat(), "turns": turns}


# Prices


def enter(auction: LiveAuction, agency: Agency, price: int, *, by: Actor, will_justify: bool = False) -> HandedIn:
    """Hand in ``price`` (fen) in the bidder's turn; a later one of the same turn takes its place.

    A price that breaks the step is stored as refused and answered with the reason. ``will_justify``: the bidder knows
    that the price is abnormally low.

    Raises:
        NotYourTurn, AuctionOver, PriceAbnormallyLow, AgencySuspended, NotFound.
    """
    bidder = _seat_of(auction, agency, by)
    moment, number, index = _in_turn(auction, bidder)
    state = _engine(auction)
    token = bidder.bid.token
    _, why = state.apply(Entry(number, token, price), elapsed=moment - auction.starts_at)
    is_low = False
    if why is None:
        prices = _current(state.published(index))
        is_low = price < _low_below(prices, token, auction.rules["abnormal_share"])
        if is_low and not will_justify:
            prices[token] = price
            mean = money.round_half_up(Fraction(sum(prices.values()), len(prices)))
            raise PriceAbnormallyLow(field="will_justify", price=money.format(price), mean=money.format(mean))
    entry = _write(auction, bidder, number, price, moment, by=by, refused=why.code if why else "", is_low=is_low)
    return HandedIn(entry, why)


def take_back_entry(auction: LiveAuction, agency: Agency, *, by: Actor) -> HandedIn:
    """Take back what this turn holds so far; the price from before the round stands again.

    Raises:
        NotYourTurn, AuctionOver, NothingToTakeBack, NotFound.
    """
    bidder = _seat_of(auction, agency, by)
    moment, number, _index = _in_turn(auction, bidder)
    if (number, bidder.bid.token) not in _engine(auction).changes:
        raise NothingToTakeBack(field="price")
    return HandedIn(_write(auction, bidder, number, None, moment, by=by), None)


def _write(
    auction: LiveAuction,
    bidder: AuctionBidder,
    number: int,
    price: int | None,
    moment: datetime,
    *,
    by: Actor,
    refused: str = "",
    is_low: bool = False,
) -> AuctionEntry:
    """The row is the act's history; it enters the bid's chain at the end, when names are told."""
    entry = AuctionEntry(
        auction_id=auction.id,
        bidder=bidder,
        round=number,
        price=price,
        at=moment,
        refused=refused,
        is_low=is_low,
        person_id=by.person_id,
        person=by.person,
        organisation_id=by.organisation_id,
        organisation=by.organisation,
    )
    session.add(entry)
    session.flush()
    return entry


def _seat_of(auction: LiveAuction, agency: Agency, by: Actor) -> AuctionBidder:
    bidder = bidder_of(auction, by)
    if bidder is None or bidder.agency_id != agency.id:
        raise NotFound
    if agency.status is not AgencyStatus.ADMITTED:
        raise AgencySuspended
    return bidder


def _in_turn(auction: LiveAuction, bidder: AuctionBidder) -> tuple[datetime, int, int]:
    """(the instant under the lock, the round, the turn's stage), if the turn is the bidder's at that instant."""
    early = _now()
    is_behind = _is_behind(auction, early)
    if not is_behind:
        # Refused without the lock: a crowd that is late must not keep the turn from being closed.
        _expect_turn(auction, bidder, early)
    _lock(auction, exclusively=is_behind)
    moment = _now()
    if is_behind:
        while _advance(auction, moment):
            pass
    number, index = _expect_turn(auction, bidder, moment)
    return moment, number, index


def _expect_turn(auction: LiveAuction, bidder: AuctionBidder, moment: datetime) -> tuple[int, int]:
    """The round and stage of the turn that runs at ``moment``, both its ends included."""
    if auction.status in {AuctionStatus.VOIDED, AuctionStatus.FINISHED}:
        raise AuctionOver
    state, elapsed = _engine(auction), moment - auction.starts_at
    index = stage_at(state.stages, elapsed)
    # At the instant at which a turn ends the next stage has begun, and both are in time.
    for place in () if index is None else (index, index - 1):
        stage = state.stages[place] if place >= 0 else None
        if stage is None or stage.round is None or state.bidder_at(place) != bidder.bid.token:
            continue
        if elapsed <= timedelta(seconds=stage.starts_after_seconds + auction.rules["turn_seconds"]):
            return stage.round, place
    raise faults.NotYourTurn(field="price")


# The clock


def due(until: datetime, most: int) -> list[tuple[datetime, str]]:
    """Due-loop source: auctions of which a stage has begun that nobody has recorded."""
    rows = session.execute(
        select(LiveAuction.next_check_at, LiveAuction.id)
        .where(LiveAuction.next_check_at.is_not(None), LiveAuction.next_check_at <= until)
        .order_by(LiveAuction.next_check_at, LiveAuction.id)
        .limit(most)
    )
    return [(at, str(key)) for at, key in rows if at is not None]


def act_on_due(key: str, at: datetime) -> None:
    """Record one stage that has begun, with the legal instant of its beginning; or void what starts too late."""
    auction = session.get(LiveAuction, int(key))
    if auction is None:
        return
    _lock(auction, exclusively=True)
    if auction.next_check_at == at:
        _advance(auction, _now())


def _advance(auction: LiveAuction, now: datetime) -> bool:
    """Record the next stage if it has begun before ``now``; False if it has not. The row is locked exclusively."""
    if auction.next_check_at is None or auction.status not in {AuctionStatus.PLANNED, AuctionStatus.RUNNING}:
        return False
    state = _engine(auction)
    index = auction.stage + 1
    stage, before = state.stages[index], state.stages[index - 1] if index else None
    at = auction.starts_at + timedelta(seconds=stage.starts_after_seconds)
    if now <= at:
        return False
    if stage.kind is StageKind.TURN and starts_too_late(stage, now - auction.starts_at):
        _void(auction, at=now)
        return True
    auction.stage = index
    following = state.stages[index + 1] if index + 1 < len(state.stages) else None
    auction.next_check_at = (
        None if following is None else auction.starts_at + timedelta(seconds=following.starts_after_seconds) + TICK
    )
    session.flush()
    number = auction.call.number
    if before is None:
        workflow.step(auction, STEPS, "start", by=CLOCK, at=at, call=number, run=auction.run)
    elif before.kind is StageKind.TURN and before.round is not None:
        token = state.bidder_at(index - 1) or ""
        workflow.step(
            auction, STEPS, "end_turn", by=CLOCK, at=at, call=number, run=auction.run, round=before.round,
            label=state.labels[token], price=state.changes.get((before.round, token)),
        )  # fmt: skip
    if stage.kind is StageKind.ANNOUNCEMENT:
        _finish(auction, state, at=at)
    return True


def _finish(auction: LiveAuction, state: Auction, *, at: datetime) -> None:
    """The result stands: names, entries and the record become everybody's."""
    call = auction.call
    auction.result = [{"bid": one.bidder, "price": one.price} for one in state.result]
    call.rounds_ended_at = at
    session.flush()
    bidding.announce_opening(call, bidding.opened(call), at=at)
    for run in all_of(call):
        for entry in entries_of(run):
            _reveal(entry, call, run)
    _announce(
        auction,
        [
            _row(
                f"第 {place} 名 报价人 {state.labels[one['bid']]}",
                f"Place {place}, bidder {state.labels[one['bid']]}",
                f"{_names(auction)[one['bid']]} {money.format(one['price'])}",
            )
            for place, one in enumerate(reversed(auction.result), start=1)
        ],
        at=at,
    )
    workflow.step(
        auction, STEPS, "finish", by=CLOCK, at=at, call=call.number, run=auction.run,
        result=list(reversed(auction.result)), file=record(auction),
    )  # fmt: skip
    _tell(auction, "auction.finished", at=at)


def _reveal(entry: AuctionEntry, call: CallForBids, auction: LiveAuction) -> None:
    """The entry on its bid's own chain, by who made it and when."""
    by = Actor(entry.person_id, entry.person, entry.organisation_id, entry.organisation, frozenset({Role.AGENCY.value}))
    act = "auction.price_taken_back" if entry.price is None else "auction.priced"
    told: dict[str, Any] = {} if entry.price is None else {"price": entry.price, "refused": entry.refused}
    trail.record(
        entry.bidder.bid.subject, act, by=by, at=entry.at, call=call.number, run=auction.run, round=entry.round, **told
    )


def _void(auction: LiveAuction, *, at: datetime) -> None:
    """Nobody could play a turn in time: the auction counts for nothing and is planned again."""
    auction.reason = "系统未能在规定时间内开始报价时段"
    auction.reason_en = "The service did not start a turn in time"
    auction.next_check_at = None
    call = auction.call
    workflow.step(auction, STEPS, "void", by=CLOCK, at=at, call=call.number, run=auction.run, reason=auction.reason)
    session.flush()
    _announce(
        auction,
        [
            _row("原定开始", "Planned start", calls.spoken(auction.starts_at)),
            _row("作废原因", "Voided because", auction.reason, auction.reason_en),
        ],
        at=at,
    )
    _tell(auction, "auction.voided", at=at, is_warning=True)
    again = [
        AuctionBidder(bid_id=one.bid_id, agency_id=one.agency_id, label=one.label, price=one.price, at=one.at)
        for one in auction.bidders
    ]
    _store(call, again, dict(auction.rules), _later_working_day(auction.starts_at, at), by=CLOCK, at=at)


def on_call_ended(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.cancelled`` and ``call.failed``: no rounds without a purchase."""
    call = calls.of_subject(act.subject)
    auction = None if call is None else standing(call)
    if call is None or auction is None or auction.status is AuctionStatus.FINISHED:
        return
    _lock(auction, exclusively=True)
    if auction.status in {AuctionStatus.PLANNED, AuctionStatus.RUNNING}:
        auction.reason, auction.reason_en = "采购已终止", "The purchase was ended"
        auction.next_check_at = None
        workflow.step(
            auction, STEPS, "give_up", by=by, at=act.at, call=call.number, run=auction.run, reason=auction.reason
        )
        _tell(auction, "auction.voided", at=act.at, is_warning=True)


# The room


def look(auction: LiveAuction, *, by: Actor | None) -> View:
    """The auction as ``by`` may see it now; a price is shown once its turn is over, a name once everything is.

    Raises:
        NotFound: it is not theirs to watch.
    """
    if not may_watch(auction, by):
        raise NotFound
    now, state = _now(), _engine(auction)
    index = None if auction.status is AuctionStatus.VOIDED else stage_at(state.stages, now - auction.starts_at)
    if auction.status is AuctionStatus.FINISHED:
        index = len(state.stages) - 1
    closed = _closed(auction, state, now, index)
    shown = state.published(closed)
    stage = None if index is None else state.stages[index]
    mine = bidder_of(auction, by)
    awaited = {state.bidder_at(place) for place in range(max(closed, 0), index or 0)} - {None}
    prices, names = _current(shown), _names(auction) if auction.status is AuctionStatus.FINISHED else {}
    seats = [
        Seat(label, prices[token], mine is not None and mine.bid.token == token, token in awaited, names.get(token))
        for token, label in state.labels.items()
    ]
    # The order of a round is known once its pause has been recorded: until then a price may still be on its way.
    is_ordered = stage is not None and stage.round is not None and closed >= _first_stage(state, stage.round)
    return View(
        auction=auction,
        now=now,
        index=index,
        stage=stage,
        ends_at=_began(auction, state, None if index is None else index + 1),
        mover=_label(state, shown.bidder_at(index) if is_ordered and index is not None else None),
        seats=tuple(sorted(seats, key=lambda one: one.label)),
        rounds=_rounds(state, shown, stage, index, is_ordered=is_ordered),
        own=None if mine is None else _own(auction, state, shown, mine, stage, now, is_ordered=is_ordered),
    )


def _closed(auction: LiveAuction, state: Auction, now: datetime, index: int | None) -> int:
    """Prices of the turns before this stage are published: as recorded, or without a record once GRACE is over."""
    if index is None:
        return max(auction.stage, 0)
    late = stage_at(state.stages, now - GRACE - auction.starts_at)
    return min(max(auction.stage, late or 0, 0), index)


def _rounds(
    state: Auction, shown: Auction, stage: Stage | None, index: int | None, *, is_ordered: bool
) -> tuple[tuple[int, tuple[tuple[int, int | None], ...]], ...]:
    """The rounds begun so far: (number, ((label, price made in it), …)) in the order of the turns."""
    if stage is None or index is None:
        return ()
    last = state.rules.rounds if stage.round is None else stage.round - (not is_ordered)
    return tuple(
        (one.number, tuple((state.labels[token], one.prices.get(token)) for token in one.order))
        for one in shown.rounds[:last]
    )


def _own(
    auction: LiveAuction,
    state: Auction,
    shown: Auction,
    mine: AuctionBidder,
    stage: Stage | None,
    now: datetime,
    *,
    is_ordered: bool,
) -> Own:
    token = mine.bid.token
    number = 1 if stage is None else stage.round or state.rules.rounds
    begins = ends = None
    if stage is None or (stage.round is not None and is_ordered):
        place = state.turn_of(number, token)
        begins, ends = _began(auction, state, place), _began(auction, state, place + 1)
    is_live = auction.status in {AuctionStatus.PLANNED, AuctionStatus.RUNNING}
    return Own(
        label=mine.label,
        is_turn=is_live and stage is not None and begins is not None and ends is not None and begins <= now <= ends,
        turn_at=begins if begins is not None and begins > now else None,
        turn_ends_at=ends,
        most=state.price_before(number, token) - state.rules.step,
        low_below=_low_below(_current(shown), token, auction.rules["abnormal_share"]),
        pending=state.changes.get((number, token)),
    )


def _first_stage(state: Auction, number: int) -> int:
    return (number - 1) * (1 + len(state.admitted))


def _began(auction: LiveAuction, state: Auction, index: int | None) -> datetime | None:
    """When a stage begins; of no stage, when the auction begins; None after the last."""
    if index is None:
        return auction.starts_at
    if index >= len(state.stages):
        return None
    return auction.starts_at + timedelta(seconds=state.stages[index].starts_after_seconds)


def _label(state: Auction, token: str | None) -> int | None:
    return None if token is None else state.labels[token]


# Pieces


def _now() -> datetime:
    """The database's clock, in a statement of its own: read inside the locking one, it would be from before the wait."""
    return calls.legal_now_under_lock()


_COLUMNS = LiveAuction.__mapper__.column_attrs.keys()


def _lock(auction: LiveAuction, *, exclusively: bool) -> None:
    """Shared for a price; exclusively, after the commission, for a stage. What was read before is read again."""
    if exclusively:
        calls.lock_commission(auction.call)
    # Its own columns alone: its bidders never change, and the call was read again with its commission's lock.
    session.refresh(auction, _COLUMNS, with_for_update={"read": not exclusively})


def _is_behind(auction: LiveAuction, moment: datetime) -> bool:
    """Whether a stage has begun that nobody has recorded."""
    return auction.next_check_at is not None and auction.next_check_at <= moment


def _engine(auction: LiveAuction) -> Auction:
    """The auction with every accepted entry, published or not."""
    state = Auction(_engine_rules(auction.rules), _admitted(auction))
    accepted = [entry for entry in entries_of(auction) if not entry.refused]
    for entry in sorted(accepted, key=lambda one: one.round):
        state, why = state.apply(Entry(entry.round, entry.bidder.bid.token, entry.price))
        if why is not None:
            raise RuntimeError(f"an accepted price of auction {auction.id} does not stand: {why}")
    return state


def _engine_rules(values: dict[str, Any]) -> Rules:
    return Rules(**{name: value for name, value in values.items() if name != "abnormal_share"})


def _admitted(auction: LiveAuction) -> tuple[Standing, ...]:
    return tuple(Standing(one.bid.token, one.price, one.at) for one in auction.bidders)


def _current(state: Auction) -> dict[str, int]:
    return {one.bidder: one.price for one in state.result}


def _low_below(prices: dict[str, int], token: str, share: int) -> int:
    """The limit in fen under which a price of ``token`` is below ``share`` of the mean of all, itself included."""
    weight = WHOLE * len(prices) - share
    others = sum(prices.values()) - prices[token]
    return -(-share * others // weight) if weight else 0


def _names(auction: LiveAuction) -> dict[str, str]:
    return {one.bid.token: one.agency.name for one in auction.bidders}


def _announce(auction: LiveAuction, rows: list[dict[str, Any]], *, at: datetime) -> None:
    calls.announce(auction.call, NoticeKind.ROUNDS, auction.call.title, rows, at=at)


def _row(zh: str, en: str, value: str, value_en: str | None = None) -> dict[str, Any]:
    row = {"zh": zh, "en": en, "value": value}
    return row if value_en is None else row | {"value_en": value_en}


def _tell(auction: LiveAuction, act: str, *, at: datetime, is_warning: bool = False, **detail: Any) -> None:
    """A line for the buyer and each bidder; it leads to the room and names nobody."""
    call = auction.call
    for organisation in sorted({call.commission.client_id, *(one.agency.organisation_id for one in auction.bidders)}):
        notifications.tell_organisation(
            organisation,
            subject=f"auction:{call.number}",
            act=act,
            title=f"{call.title}（{call.number}）",
            is_warning=is_warning,
            at=at,
            project=call.commission.project.name,
            **detail,
        )


def _yuan(fen: int) -> str:
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan}.{rest:02d}"
