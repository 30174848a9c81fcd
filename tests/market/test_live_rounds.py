"""A live auction: prices in time are in the record, late service voids, nobody is named before the end (A6, journey 9)."""

from __future__ import annotations

import json
import random
import threading
import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from kernel import clock, jobs, sandbox, trail
from kernel.db import session, transaction
from kernel.errors import NotFound
from kernel.notifications import Notice
from kernel.trail import Actor
from market import agencies, awards, bidding, calls, commissions, rounds
from market.agencies import Agency, AgencySuspended
from market.commissions import Route
from market.notices import NoticeKind, PublicNotice
from market.rounds import (
    AuctionEntry,
    AuctionOver,
    AuctionStatus,
    LiveAuction,
    NothingToTakeBack,
    NotYourTurn,
    PriceAbnormallyLow,
    live,
    replay,
)
from tests.auctions import EXAMPLE, LOGINS, Auctions
from tests.competition import Competition

#: With three bidders: the first pause of 300 s, then turns of 120 s; A, B, C is the order of round one.
TURN_A, TURN_B, TURN_C, ROUND_2 = 300, 420, 540, 660
US = timedelta(microseconds=1)


@pytest.fixture
def auctions(world: Any, monkeypatch: pytest.MonkeyPatch) -> Auctions:
    return Auctions(world, monkeypatch)


def recomputed(auction: LiveAuction) -> list[dict[str, Any]]:
    answer: Any = replay(json.loads(json.dumps(rounds.record(auction))))
    return [{"bid": one["id"], "price": round(float(one["price"]) * 100)} for one in answer["result"]]


def acts_of(number: str, auctions: Auctions) -> list[trail.TrailAct]:
    return [act for act in trail.of(auctions.find(number).subject) if act.act.startswith("auction.")]


# Planning


def test_opening_plans_the_rounds_at_the_published_time_with_labels_by_opening_price(auctions):
    number = auctions.opened()
    auction = auctions.find(number)
    assert auction.status is AuctionStatus.PLANNED
    assert auction.starts_at == auction.call.auction_at
    assert [(one.agency.name[-10:], one.label, one.price) for one in auction.bidders] == [
        (agency.name[-10:], place, price)
        for place, (agency, price) in enumerate(zip(auctions.agencies(), EXAMPLE, strict=True), start=1)
    ]
    assert [one.at for one in auction.bidders] == [one.bid.received_at for one in auction.bidders]


def test_too_few_valid_bids_plan_nothing(auctions):
    number = auctions.opened(EXAMPLE[:1])
    assert rounds.of_call(calls.find(number, by=auctions.world.applicant)) is None


def test_bid_above_the_ceiling_takes_no_part(auctions):
    auction = auctions.find(auctions.opened(ceiling=EXAMPLE[1]))
    assert [one.price for one in auction.bidders] == [EXAMPLE[1], EXAMPLE[2]]


def test_start_that_has_passed_at_the_opening_is_put_off_to_a_working_day(auctions):
    passed = clock.now() - timedelta(hours=1)
    auction = auctions.find(auctions.opened(starts_at=passed))
    day = clock.local_date(auction.starts_at)
    assert clock.china().is_working_day(day)
    assert day == clock.china().nth_working_day(clock.local_date(clock.now()), 1)
    assert (auction.starts_at - passed) % timedelta(days=1) == timedelta(0)


# Playing


def test_worked_example_where_nobody_moves_is_won_by_the_lowest_bid(auctions):
    number = auctions.opened()
    auctions.hold(number)
    auctions.through(number)
    auction = auctions.find(number)
    assert auction.status is AuctionStatus.FINISHED
    assert [one["price"] for one in auction.result] == [11_000, 10_100, 9_800]
    assert recomputed(auction) == auction.result
    call = auction.call
    keys = {one.bid.token: one.bid_id for one in auction.bidders}
    assert rounds.result(call) == [(keys[one["bid"]], one["price"]) for one in auction.result]


def test_worked_example_where_equal_prices_are_won_by_the_earlier(auctions):
    """A 102, B 100 earlier; A comes down to 100 in round one: round two runs A, B and B wins."""
    number = auctions.opened((10_000, 10_200))
    auctions.hold(number, TURN_A + 1)
    assert auctions.enter(number, 1, 10_000).refusal is None
    auctions.through(number)
    auction = auctions.find(number)
    assert [one["bid"] for one in auction.result] == [auction.bidders[1].bid.token, auction.bidders[0].bid.token]
    assert recomputed(auction) == auction.result


@pytest.mark.parametrize("seed", range(4))
def test_record_replays_to_the_stored_result_whatever_was_handed_in(auctions, seed):
    dice = random.Random(seed)
    number = auctions.opened()
    auctions.hold(number)
    starts_at, refused = auctions.find(number).starts_at, []
    for stage in live._engine(auctions.find(number)).stages:
        auctions.at(starts_at + timedelta(seconds=stage.starts_after_seconds, microseconds=1))
        for _ in range(dice.randrange(4)):
            auctions.at(auctions.now + timedelta(seconds=dice.randrange(1, 30)), ticks=dice.random() < 0.5)
            mover = rounds.look(auctions.find(number), by=auctions.world.supervisor).mover
            if mover is None:
                continue
            price = None if dice.random() < 0.2 else dice.choice((7_000, 8_000, 9_000, 9_700, 9_800, 12_000))
            try:
                handed_in = (
                    auctions.enter(number, mover - 1, price, will_justify=True)
                    if price
                    else auctions.enter(number, mover - 1, None)
                )
            except NothingToTakeBack:
                continue
            if handed_in.refusal:
                refused.append(handed_in.refusal.code)
    auction = auctions.find(number)
    assert auction.status is AuctionStatus.FINISHED
    assert recomputed(auction) == auction.result
    answer: Any = replay(rounds.record(auction))
    assert (
        [one["code"] for one in answer["refused"]]
        == refused
        == [e.refused for e in rounds.entries_of(auction) if e.refused]
    )
    finished = acts_of(number, auctions)[-1]
    assert finished.act == "auction.finished"
    assert finished.data["file"] == json.loads(json.dumps(rounds.record(auction)))
    assert finished.data["result"][0] == auction.result[-1]


def test_record_with_an_entry_outside_its_turn_is_found_out(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    auctions.enter(number, 0, 9_000)
    auctions.through(number)
    record = rounds.record(auctions.find(number))
    record["turns"][0]["at"] = (auctions.find(number).starts_at + timedelta(seconds=TURN_B, microseconds=1)).isoformat()
    answer: Any = replay(record)
    assert [one["code"] for one in answer["refused"]] == ["not_your_turn"]


def test_acts_carry_the_legal_instants_of_their_stages_however_late_the_tick(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 110)
    auctions.hold(number, TURN_B + 45)
    starts_at = auctions.find(number).starts_at
    told = {act.act: act.at for act in acts_of(number, auctions)}
    assert told["auction.started"] == starts_at
    assert told["auction.turn_ended"] == starts_at + timedelta(seconds=TURN_B)
    assert auctions.tick() == 0


def test_due_loop_plays_the_rounds_on_the_sandbox_clock(auctions):
    number = auctions.opened()
    starts_at = auctions.find(number).starts_at
    for stage in live._engine(auctions.find(number)).stages:
        sandbox.move_to(starts_at + timedelta(seconds=stage.starts_after_seconds))
        time.sleep(0.01)
        jobs.run_due()
    assert auctions.find(number).status is AuctionStatus.FINISHED


# A turn


def test_price_of_the_last_microsecond_is_in_the_record_and_one_later_is_refused(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_B)
    handed_in = auctions.enter(number, 0, 10_900)
    assert handed_in.refusal is None
    assert handed_in.entry.at == auctions.now
    auctions.at(auctions.now + US, ticks=False)
    with pytest.raises(NotYourTurn):
        auctions.enter(number, 0, 10_800)
    auctions.tick()
    (ended,) = [act for act in acts_of(number, auctions) if act.act == "auction.turn_ended"]
    assert ended.data["price"] == 10_900
    auctions.through(number)
    assert {"bid": handed_in.entry.bidder.bid.token, "price": 10_900} in auctions.find(number).result


def test_at_the_instant_between_two_turns_both_bidders_are_in_time(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_B)
    assert auctions.enter(number, 0, 10_900).refusal is None
    assert auctions.enter(number, 1, 10_000).refusal is None


@pytest.mark.parametrize(("seconds", "place"), [(-1, 0), (10, 0), (TURN_A + 1, 1), (TURN_B + 1, 0), (ROUND_2 + 5, 2)])
def test_nobody_prices_out_of_turn(auctions, seconds, place):
    number = auctions.opened()
    auctions.hold(number, seconds)
    with pytest.raises(NotYourTurn) as refused:
        auctions.enter(number, place, 5_000, will_justify=True)
    assert refused.value.text() == "现在不是您的报价时段"
    assert rounds.entries_of(auctions.find(number)) == []


def test_price_that_breaks_the_step_is_refused_with_the_limit_and_kept_on_record(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    handed_in = auctions.enter(number, 0, 10_901)
    assert handed_in.refusal is not None
    assert handed_in.refusal.text() == "报价降幅不足：本次报价不得高于 ¥109.00"
    assert [entry.refused for entry in rounds.entries_of(auctions.find(number))] == ["step_not_met"]
    assert auctions.enter(number, 0, 0).refusal.code == "price_not_positive"
    assert auctions.enter(number, 0, 10_900).refusal is None


def test_price_is_replaced_and_taken_back_within_its_turn(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    with pytest.raises(NothingToTakeBack):
        auctions.enter(number, 0, None)
    auctions.enter(number, 0, 10_000)
    auctions.enter(number, 0, 10_800)
    assert rounds.look(auctions.find(number), by=auctions.world.actor("agency")).own.pending == 10_800
    auctions.enter(number, 0, None)
    assert rounds.look(auctions.find(number), by=auctions.world.actor("agency")).own.pending is None


def test_abnormally_low_price_wants_a_tick_and_is_flagged(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    # (p + 10100 + 9800) / 3 / 2 = p at 3980
    with pytest.raises(PriceAbnormallyLow) as refused:
        auctions.enter(number, 0, 3_979)
    assert refused.value.field == "will_justify"
    assert "¥39.79" in refused.value.text()
    assert auctions.enter(number, 0, 3_980).entry.is_low is False
    assert auctions.enter(number, 0, 3_979, will_justify=True).entry.is_low is True


def test_strangers_and_suspended_bidders_price_nothing(auctions):
    number = auctions.opened(EXAMPLE[:2])
    auctions.hold(number, TURN_A + 1)
    with pytest.raises(NotFound):
        auctions.enter(number, 2, 5_000)
    with transaction():
        rounds_actor = auctions.world.actor("agency2")
        with pytest.raises(NotFound):
            rounds.enter(auctions.find(number), auctions.agencies()[0], 5_000, by=rounds_actor)
    with transaction():
        agencies.suspend(auctions.agencies()[0], "资料核查", by=auctions.world.supervisor)
    with pytest.raises(AgencySuspended):
        auctions.enter(number, 0, 9_000)


def test_entries_need_no_tick(auctions):
    """The scheduler sleeps for a while: an entry records the stages that have begun, and the service was not late."""
    number = auctions.opened()
    auctions.hold(number, TURN_A - 1)
    auctions.at(auctions.find(number).starts_at + timedelta(seconds=TURN_A + 100), ticks=False)
    assert auctions.enter(number, 0, 10_000).refusal is None
    auctions.at(auctions.find(number).starts_at + timedelta(seconds=TURN_B + 100), ticks=False)
    assert auctions.enter(number, 1, 9_900).refusal is None
    auctions.at(auctions.find(number).starts_at + timedelta(seconds=TURN_C + 30))
    assert auctions.find(number).status is AuctionStatus.RUNNING
    assert [act.data["price"] for act in acts_of(number, auctions) if act.act == "auction.turn_ended"] == [
        10_000,
        9_900,
    ]


# Late service


def test_turn_that_starts_120_seconds_late_still_counts_and_one_microsecond_more_voids(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 120)
    assert auctions.find(number).status is AuctionStatus.RUNNING
    again = auctions.opened()
    auctions.hold(again, -1)
    auctions.at(auctions.find(again).starts_at + timedelta(seconds=TURN_A + 120) + US)
    assert [one.status for one in rounds.live.all_of(auctions.find(again).call)] == [
        AuctionStatus.VOIDED,
        AuctionStatus.PLANNED,
    ]


def test_void_auction_is_planned_again_on_a_working_day_with_notice_acts_and_everybody_told(auctions):
    # 2026-09-30 is the last working day before the National Day holiday.
    day = clock.instant_of(clock.local_date(clock.now()).replace(year=2026, month=9, day=30))
    before = day + timedelta(hours=15)
    number = auctions.opened(starts_at=before)
    auctions.hold(number, TURN_A + 10)
    auctions.enter(number, 0, 9_000)
    auctions.at(before + timedelta(seconds=TURN_B + 121))
    voided, planned = rounds.live.all_of(auctions.find(number).call)
    assert voided.status is AuctionStatus.VOIDED
    assert (planned.status, planned.run) == (AuctionStatus.PLANNED, 2)
    day_again = clock.local_date(planned.starts_at)
    assert clock.china().is_working_day(day_again)
    assert day_again.month == 10
    assert day_again.day > 3
    assert (planned.starts_at - before) % timedelta(days=1) == timedelta(0)
    assert planned.call.auction_at == planned.starts_at
    assert [(one.label, one.price) for one in planned.bidders] == [(one.label, one.price) for one in voided.bidders]
    assert [act.act for act in acts_of(number, auctions)][-2:] == ["auction.voided", "auction.planned"]
    kinds = session.scalars(select(PublicNotice.kind).where(PublicNotice.call_number == number)).all()
    assert kinds == [NoticeKind.ROUNDS] * 3  # planned, voided, planned again
    told = session.scalars(select(Notice).where(Notice.act == "auction.voided")).all()
    people = {auctions.world.people[login].id for login in (*LOGINS, "applicant")}
    assert people <= {line.person_id for line in told}
    with pytest.raises(NotYourTurn):
        auctions.enter(number, 0, 9_000)
    # The second attempt runs to its end, and the first one's prices count for nothing.
    auctions.through(number)
    assert auctions.find(number).result[-1]["price"] == 9_800


def test_buyer_who_gives_the_purchase_up_ends_the_rounds(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    with transaction():
        call = calls.find(number, by=auctions.world.applicant, lock=True)
        calls.withdraw(call, "不再需要", by=auctions.world.applicant)
    assert auctions.find(number).status is AuctionStatus.VOIDED
    assert auctions.tick() == 0
    with pytest.raises(AuctionOver):
        auctions.enter(number, 0, 9_000)


def test_cancelling_a_commission_without_rounds_is_nobodys_business(auctions, chain):
    assert commissions.find(chain.cancelled(), by=auctions.world.applicant).cancelled_at


# What is seen


def test_price_is_shown_when_its_turn_ends_and_to_its_bidder_before(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    auctions.enter(number, 0, 10_000)
    everyone = ("agency", "agency2", "applicant", "supervisor", "auditor")

    def shown() -> set[int]:
        auction = auctions.find(number)
        return {rounds.look(auction, by=auctions.world.actor(login)).seats[0].price for login in everyone}

    assert shown() == {11_000}
    pending = {rounds.look(auctions.find(number), by=auctions.world.actor(login)).own for login in everyone}
    assert {one.pending for one in pending if one} == {10_000, None}
    assert [one.pending for one in pending if one and one.label == 1] == [10_000]
    auctions.at(auctions.find(number).starts_at + timedelta(seconds=TURN_B, microseconds=1), ticks=False)
    assert shown() == {11_000}  # ended, and not recorded yet
    assert rounds.look(auctions.find(number), by=auctions.world.supervisor).seats[0].is_awaited
    auctions.tick()
    assert shown() == {10_000}


def test_readers_publish_without_a_tick_when_it_stays_away(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    auctions.enter(number, 0, 10_000)
    auctions.at(auctions.find(number).starts_at + timedelta(seconds=TURN_B + 4), ticks=False)
    view = rounds.look(auctions.find(number), by=auctions.world.supervisor)
    assert view.seats[0].price == 10_000
    assert view.mover == 2


def test_nobody_is_named_before_the_end_and_everybody_after(auctions):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    auctions.enter(number, 0, 10_000)
    auctions.at(auctions.find(number).starts_at + timedelta(seconds=TURN_B + 5))
    auction = auctions.find(number)
    names = [one.agency.name for one in auction.bidders]
    tokens = [one.bid.token for one in auction.bidders]
    for login in (*LOGINS, "applicant", "supervisor", "auditor"):
        assert {seat.name for seat in rounds.look(auction, by=auctions.world.actor(login)).seats} == {None}
    for login in ("applicant2", "operator", "window"):
        with pytest.raises(NotFound):
            rounds.look(auction, by=auctions.world.actor(login))
    with pytest.raises(NotFound):
        rounds.look(auction, by=None)

    def written() -> str:
        acts = json.dumps([[act.subject, act.person, act.organisation, act.data] for act in acts_of(number, auctions)])
        chains = [act for token in tokens for act in trail.of(f"bid:{token}")]
        notices = session.scalars(select(PublicNotice).where(PublicNotice.call_number == number))
        lines = session.scalars(select(Notice).where(Notice.subject == f"auction:{number}"))
        told = [[one.title, one.body] for one in notices] + [[one.title, one.detail] for one in lines]
        return (acts + json.dumps([act.act for act in chains]) + json.dumps(told)).encode().decode("unicode_escape")

    assert not any(name in written() for name in [*names, *tokens])
    assert "auction.priced" not in written()
    assert rounds.hides_names(auction.call)
    auctions.through(number)
    assert all(name in written() for name in names)
    assert not rounds.hides_names(auctions.find(number).call)
    seats = rounds.look(auctions.find(number), by=None).seats
    assert [seat.name for seat in seats] == names
    (priced,) = trail.of(f"bid:{tokens[0]}")
    entry = session.scalars(select(AuctionEntry)).one()
    assert (priced.act, priced.at, priced.organisation) == ("auction.priced", entry.at, entry.organisation)
    assert trail.verify()[1] == []


def test_opening_by_the_custodians_names_nobody_until_the_rounds_are_over(auctions, world):
    """The whole way from sealed bids: notice, chains and bundle wait for the end, then the opening is told."""
    competition = Competition(world)
    number = competition.published(Route.DESCENDING_ROUNDS)
    bidders = competition.agencies_named(3)
    for place, (login, agency) in enumerate(bidders):
        competition.bid(number, login, agency, 28_000_000 - place * 100_000)
    competition.closed(number)
    competition.opened(number)
    auction = auctions.find(number)
    assert [one.price for one in auction.bidders] == [28_000_000, 27_900_000, 27_800_000]
    names = [one.agency.name for one in auction.bidders]

    def told() -> str:
        notices = session.scalars(select(PublicNotice).where(PublicNotice.call_number == number))
        chains = [act.data for one in auction.bidders for act in trail.of(one.bid.subject) if act.act == "bid.opened"]
        return json.dumps([[one.title, one.body] for one in notices] + chains, ensure_ascii=False)

    assert not any(name in told() for name in names)
    with pytest.raises(bidding.faults.NotOpenedYet):
        bidding.bundle(auction.call)
    auctions.hold(number)
    auctions.through(number)
    kinds = session.scalars(select(PublicNotice.kind).where(PublicNotice.call_number == number)).all()
    assert NoticeKind.OPENING in kinds
    assert all(name in told() for name in names)
    assert bidding.bundle(auctions.find(number).call)
    assert [row.place for row in awards.current_ranking(auctions.find(number).call)] == [1, 2, 3]


# At the same time


def test_price_on_its_way_when_the_turn_ends_is_waited_for(auctions, cluster, database):
    """The entry holds the auction shared; the close of the turn must not pass it by."""
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    ends = auctions.find(number).starts_at + timedelta(seconds=TURN_B)
    auctions.at(ends, ticks=False)
    by = auctions.world.actor("agency")
    entered, go, order = threading.Event(), threading.Event(), []

    write = live._write

    def slowly(*arguments: Any, **named: Any) -> AuctionEntry:
        # Found in time, and not in the rows yet: this is where a close without the lock would overtake it.
        entered.set()
        go.wait(20)
        return write(*arguments, **named)

    auctions.patch.setattr(live, "_write", slowly)

    def bidder() -> None:
        with auctions.world.portal.app_context(), transaction():
            rounds.enter(auctions.find(number), _agency_of(by), 10_000, by=by)
            order.append("price")

    def closer() -> None:
        with auctions.world.portal.app_context(), transaction():
            ((at, key),) = live.due(ends + US, 10)
            live.act_on_due(key, at)
            order.append("close")

    first = threading.Thread(target=bidder)
    first.start()
    assert entered.wait(20)
    auctions.at(ends + US, ticks=False)
    second = threading.Thread(target=closer)
    second.start()
    waits = _until_waiting(cluster, database, second)
    go.set()
    first.join(20)
    second.join(20)
    assert waits
    assert order == ["price", "close"]
    (ended,) = [act for act in acts_of(number, auctions) if act.act == "auction.turn_ended"]
    assert ended.data["price"] == 10_000


def test_price_that_waited_past_the_end_of_its_turn_is_late(auctions, cluster, database):
    """The clock is read after the lock: who asked in time and was kept waiting by the close is out of turn."""
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    ends = auctions.find(number).starts_at + timedelta(seconds=TURN_B)
    key = auctions.find(number).id
    auctions.at(ends, ticks=False)
    by = auctions.world.actor("agency")
    faults: list[BaseException] = []

    def bidder() -> None:
        try:
            with auctions.world.portal.app_context(), transaction():
                auction = auctions.find(number)
                rounds.enter(auction, _agency_of(by), 10_000, by=by)
        except BaseException as fault:
            faults.append(fault)

    with cluster.connect(database) as outsider:
        outsider.execute("BEGIN")
        outsider.execute("SELECT 1 FROM auctions WHERE id = %s FOR UPDATE", (key,))
        thread = threading.Thread(target=bidder)
        thread.start()
        assert _until_waiting(cluster, database, thread)
        auctions.at(ends + US, ticks=False)
        outsider.execute("COMMIT")
    thread.join(20)
    assert [type(fault) for fault in faults] == [NotYourTurn]
    assert rounds.entries_of(auctions.find(number)) == []


def test_two_bidders_at_the_end_of_a_turn_lose_no_price(auctions):
    """Real time: two people of one agency press in the last moments of a turn of four seconds while the loop ticks."""
    short = {"turn_seconds": 4, "pause_seconds": 1, "first_pause_seconds": 3, "rounds": 1}
    number = auctions.opened(EXAMPLE, rules=short)
    sandbox.move_to(auctions.find(number).starts_at)
    by = auctions.world.actor("agency")
    accepted: list[tuple[Any, int]] = []
    ends = auctions.find(number).starts_at + timedelta(seconds=7)

    def presses(first: int) -> None:
        with auctions.world.portal.app_context():
            price = first
            while True:
                price -= 100
                try:
                    with transaction():
                        handed_in = rounds.enter(auctions.find(number), _agency_of(by), price, by=by, will_justify=True)
                    accepted.append((handed_in.entry.at, price))
                except NotYourTurn:
                    if live._now() > ends:
                        return
                finally:
                    session.remove()

    threads = [threading.Thread(target=presses, args=(first,)) for first in (10_900, 10_950)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        jobs.run_due()
        time.sleep(0.02)
    for thread in threads:
        thread.join(20)
    session.rollback()
    assert accepted
    assert max(at for at, _price in accepted) <= ends
    stored = [(entry.at, entry.price) for entry in rounds.entries_of(auctions.find(number))]
    assert sorted(accepted) == sorted(stored)
    until = time.monotonic() + 30
    while auctions.find(number).status is not AuctionStatus.FINISHED and time.monotonic() < until:
        jobs.run_due()
        session.rollback()
        time.sleep(0.1)
    auction = auctions.find(number)
    assert recomputed(auction) == auction.result
    last = max(stored, key=lambda one: one[0])[1]
    (ended,) = [a for a in acts_of(number, auctions) if a.act == "auction.turn_ended" and a.data["label"] == 1]
    assert ended.data["price"] == last


def _agency_of(by: Actor) -> Agency:
    found = agencies.of_organisation(by.organisation_id or 0)
    assert found is not None
    return found


def _until_waiting(cluster: Any, database: str, thread: threading.Thread) -> bool:
    """Whether the thread came to stand at a lock."""
    until = time.monotonic() + 10
    with cluster.connect(database) as looker:
        while time.monotonic() < until and thread.is_alive():
            row = _waiting(looker)
            if row:
                return True
            time.sleep(0.01)
    return False


def _waiting(looker: psycopg.Connection[Any]) -> int:
    looker.rollback()
    row = looker.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return int(row[0]) if row else 0
