"""Descending rounds: who moves when, what is accepted, who wins, and the record that proves it (A6)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import PortalError
from market.rounds import (
    Auction,
    Entry,
    LowPrice,
    LowPriceTest,
    NotYourTurn,
    PriceNotPositive,
    Rules,
    StageKind,
    Standing,
    StepNotMet,
    abnormally_low,
    check_rules,
    largest_step,
    main_replay,
    record_of,
    replay,
    stage_at,
    starts_too_late,
    timeline,
    try_price,
)
from market.rounds.rules import MOST_BIDDERS
from market.web import round_commands

ROOT = Path(__file__).resolve().parents[2]


def record(*bidders: tuple[str, str, str], turns: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A record of bidders (id, price, instant); instants without a date are on one morning in China."""
    listed = [
        {"id": bidder, "price": price, "at": at if "T" in at else f"2026-01-05T{at}:00+08:00"}
        for bidder, price, at in bidders
    ]
    lengths = {"turn_seconds": 120, "pause_seconds": 120, "first_pause_seconds": 300}
    return {"rounds": 3, "step": "1.00", **lengths, "bidders": listed, "turns": turns or [], **more}


def move(number: int, bidder: str, price: str) -> dict[str, Any]:
    return {"round": number, "bidder": bidder, "price": price}


def withdrawal(number: int, bidder: str) -> dict[str, Any]:
    return {"round": number, "bidder": bidder, "withdraw": True}


def answered(question: dict[str, Any]) -> dict[str, Any]:
    answer = json.loads(main_replay(json.dumps(question)))
    assert list(answer) == ["timeline", "rounds", "refused", "result", "winner"]
    return dict(answer)


def orders(answer: dict[str, Any]) -> list[str]:
    return ["".join(single["order"]) for single in answer["rounds"]]


THREE = (("A", "110.00", "10:00"), ("B", "101.00", "11:00"), ("C", "98.00", "12:00"))
TWO = (("A", "102.00", "10:00"), ("B", "100.00", "09:00"))


def test_where_nobody_moves_the_order_stays_and_the_lowest_wins() -> None:
    answer = answered(record(*THREE))
    assert answer == {
        "timeline": [0, 300, 420, 540, 660, 780, 900, 1020, 1140, 1260, 1380, 1500, 1620, 1740],
        "rounds": [{"order": ["A", "B", "C"], "prices": {}}] * 3,
        "refused": [],
        "result": [{"id": "A", "price": "110.00"}, {"id": "B", "price": "101.00"}, {"id": "C", "price": "98.00"}],
        "winner": "C",
    }


def test_who_comes_down_to_an_equal_price_later_moves_first_and_loses() -> None:
    answer = answered(record(*TWO, turns=[move(1, "A", "100.00")]))
    assert orders(answer) == ["AB", "AB", "AB"]
    assert answer["rounds"][0]["prices"] == {"A": "100.00"}
    assert answer["result"] == [{"id": "A", "price": "100.00"}, {"id": "B", "price": "100.00"}]
    assert answer["winner"] == "B"


def test_the_timeline_is_that_of_the_lengths_in_the_record() -> None:
    answer = answered(record(*TWO, rounds=2, turn_seconds=10, pause_seconds=20, first_pause_seconds=70))
    assert answer["timeline"] == [0, 70, 80, 90, 110, 120, 130, 150]


def test_a_price_one_step_down_is_accepted_and_one_fen_less_is_not() -> None:
    answer = answered(record(*TWO, turns=[move(1, "A", "101.00"), move(2, "A", "100.01"), move(3, "B", "99.00")]))
    assert [single["prices"] for single in answer["rounds"]] == [{"A": "101.00"}, {}, {"B": "99.00"}]
    assert answer["refused"] == [{"round": 2, "bidder": "A", "price": "100.01", "code": "step_not_met"}]


@pytest.mark.parametrize("price", ["0.00", "-1.00"])
def test_a_price_must_be_above_zero(price: str) -> None:
    answer = answered(record(*TWO, turns=[move(1, "A", price)]))
    assert answer["refused"] == [{"round": 1, "bidder": "A", "price": price, "code": "price_not_positive"}]
    assert answer["result"][0] == {"id": "A", "price": "102.00"}


def test_strangers_and_rounds_that_do_not_exist_are_not_heard() -> None:
    turns = [move(1, "Z", "1.00"), move(0, "A", "50.00"), move(4, "A", "50.00"), withdrawal(4, "B")]
    answer = answered(record(*TWO, turns=turns))
    assert answer["refused"] == [{**turn, "code": "not_your_turn"} for turn in turns]
    assert answer["winner"] == "B"
    assert {single["price"] for single in answer["result"]} == {"102.00", "100.00"}


def test_several_tries_of_one_turn_are_tried_in_order_and_the_last_accepted_stands() -> None:
    tries = [move(1, "A", "101.50"), move(1, "A", "90.00"), move(1, "A", "95.00"), move(1, "A", "101.01")]
    answer = answered(record(*TWO, turns=tries))
    assert answer["rounds"][0]["prices"] == {"A": "95.00"}
    assert [(one["price"], one["code"]) for one in answer["refused"]] == [
        ("101.50", "step_not_met"),
        ("101.01", "step_not_met"),
    ]


def test_a_withdrawal_restores_the_price_before_the_round_and_its_instant() -> None:
    """A at 101 made in round 1 is later than B's; brought back from 90, it still is, and C's 101 of round 2 is later."""
    bidders = (("A", "102.00", "08:00"), ("B", "101.00", "12:00"), ("C", "103.00", "07:00"))
    turns = [move(1, "A", "101.00"), move(2, "A", "90.00"), withdrawal(2, "A"), move(2, "C", "101.00")]
    answer = answered(record(*bidders, turns=turns))
    assert [single["prices"] for single in answer["rounds"]] == [{"A": "101.00"}, {"C": "101.00"}, {}]
    assert orders(answer) == ["CAB", "CAB", "CAB"]
    assert answer["winner"] == "B"


def test_an_opening_price_brought_back_is_as_early_as_it_was() -> None:
    turns = [move(1, "A", "95.00"), withdrawal(1, "A")]
    answer = answered(record(("A", "100.00", "08:00"), ("B", "100.00", "09:00"), turns=turns))
    assert answer["winner"] == "A"


def test_after_a_withdrawal_the_same_turn_may_go_on() -> None:
    turns = [move(1, "A", "99.00"), withdrawal(1, "A"), move(1, "A", "101.00"), withdrawal(2, "A")]
    answer = answered(record(*TWO, turns=turns))
    assert [single["prices"] for single in answer["rounds"]] == [{"A": "101.00"}, {}, {}]
    assert answer["refused"] == []


def test_the_order_of_a_round_follows_the_prices_before_it() -> None:
    turns = [move(1, "A", "97.00"), move(2, "B", "95.00"), move(3, "C", "94.00")]
    answer = answered(record(*THREE, turns=turns))
    assert orders(answer) == ["ABC", "BCA", "CAB"]
    assert answer["winner"] == "C"


def test_entries_belong_to_their_turn_wherever_the_record_lists_them() -> None:
    turns = [move(1, "A", "97.00"), move(1, "B", "96.00"), move(2, "B", "95.50"), move(3, "C", "94.00")]
    answer = answered(record(*THREE, turns=turns))
    assert answer["refused"] == [{**turns[2], "code": "step_not_met"}]
    assert answered(record(*THREE, turns=turns[::-1])) == answer


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ("2026-01-05T10:00:00+08:00", "2026-01-05T02:30:00Z", "A"),  # as text the second reads earlier
        ("2026-01-05T10:00:00+08:00", "2026-01-05T01:59:59.999999Z", "B"),
        ("2026-01-05T00:30:00+09:00", "2026-01-04T23:45:00+08:00", "A"),  # another date, earlier by a quarter
        ("2026-01-05T10:00:00+08:00", "2026-01-05T02:00:00Z", "A"),  # the same instant: the one admitted first
    ],
)
def test_equal_prices_rank_by_instant_whatever_the_zone(first: str, second: str, winner: str) -> None:
    answer = answered(record(("A", "100.00", first), ("B", "100.00", second)))
    assert answer["winner"] == winner
    assert orders(answer) == [("B" if winner == "A" else "A") + winner] * 3


def test_a_list_of_records_is_answered_by_a_list() -> None:
    both = [record(*THREE), record(*TWO)]
    assert replay(both) == [replay(both[0]), replay(both[1])]
    assert replay([]) == []


GOOD = record(*TWO, turns=[move(1, "A", "101.00"), withdrawal(2, "A")])


def put(path: str, value: Any) -> dict[str, Any]:
    """The good record with the member at ``path`` replaced (or removed, for Ellipsis)."""
    question = deepcopy(GOOD)
    target: Any = question
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in way:
        target = target[step]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return question


BAD = [
    (None, "wrong_shape", None),
    (put("rounds", ...), "member_missing", "rounds"),
    (put("round", 3), "member_unknown", "round"),
    (put("rounds", 0), "out_of_bounds", "rounds"),
    (put("rounds", 101), "out_of_bounds", "rounds"),
    (put("rounds", "3"), "wrong_shape", "rounds"),
    (put("rounds", True), "wrong_shape", "rounds"),
    (put("turn_seconds", 0), "out_of_bounds", "turn_seconds"),
    (put("pause_seconds", -1), "out_of_bounds", "pause_seconds"),
    (put("first_pause_seconds", 1.5), "wrong_shape", "first_pause_seconds"),
    (put("step", "-1.00"), "negative_step", "step"),
    (put("step", 1), "bad_price", "step"),
    (put("step", "1.005"), "bad_price", "step"),
    (put("step", "1e3"), "bad_price", "step"),
    (put("step", "１.00"), "bad_price", "step"),
    (put("step", "9999999999999999.00"), "amount_too_large", "step"),
    (put("bidders", {}), "wrong_shape", "bidders"),
    (put("bidders", []), "no_bidders", "bidders"),
    (put("bidders/1", "B"), "wrong_shape", "bidders[1]"),
    (put("bidders/1/id", "A"), "bidder_twice", "bidders[1].id"),
    (put("bidders/1/id", 7), "wrong_shape", "bidders[1].id"),
    (put("bidders/1/id", " "), "bidder_nameless", "bidders[1].id"),
    (put("bidders/1/price", "0.00"), "opening_price_not_positive", "bidders[1].price"),
    (put("bidders/1/price", "1,000.00"), "bad_price", "bidders[1].price"),
    (put("bidders/1/at", "2026-01-05T10:00:00"), "naive_instant", "bidders[1].at"),
    (put("bidders/1/at", "2026-02-30T10:00:00Z"), "bad_instant", "bidders[1].at"),
    (put("bidders/1/at", "2026-01-05"), "bad_instant", "bidders[1].at"),
    (put("bidders/1/at", "2026-01-05T10:00:00.1234567Z"), "bad_instant", "bidders[1].at"),
    (put("bidders/1/at", 0), "bad_instant", "bidders[1].at"),
    (put("bidders/1/name", "甲"), "member_unknown", "bidders[1].name"),
    (put("turns", None), "wrong_shape", "turns"),
    (put("turns/0/round", "1"), "wrong_shape", "turns[0].round"),
    (put("turns/0/bidder", None), "wrong_shape", "turns[0].bidder"),
    (put("turns/0/price", 101.0), "bad_price", "turns[0].price"),
    (put("turns/0/price", ...), "entry_unclear", "turns[0]"),
    (put("turns/0/withdraw", True), "entry_unclear", "turns[0]"),
    (put("turns/1/withdraw", False), "entry_unclear", "turns[1]"),
    (put("turns/1/withdraw", 1), "wrong_shape", "turns[1].withdraw"),
    (put("turns/1/withdrawn", True), "member_unknown", "turns[1].withdrawn"),
]


@pytest.mark.parametrize(("question", "code", "path"), BAD, ids=[f"{code} {path}" for _, code, path in BAD])
def test_a_faulty_record_is_refused_at_the_member(question: object, code: str, path: str | None) -> None:
    with pytest.raises(PortalError) as raised:
        replay(question)
    assert (raised.value.code, raised.value.field) == (code, path)
    assert raised.value.text("zh")
    assert raised.value.text("en")


def test_a_faulty_record_in_a_list_is_named_with_its_place() -> None:
    with pytest.raises(PortalError) as raised:
        replay([GOOD, put("bidders/0/at", "soon")])
    assert raised.value.field == "[1].bidders[0].at"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "not_json"),
        ("[" * 100_000, "not_json"),
        ('{"rounds": ' + "9" * 5000 + "}", "not_json"),
        (b"\xff\xfe\xfd", "not_json"),
        ('{"rounds": 3, "rounds": 5}', "member_twice"),
    ],
    ids=["cut off", "nested", "digits", "bytes", "doubled"],
)
def test_text_that_is_no_record_is_refused(text: str | bytes, code: str) -> None:
    with pytest.raises(PortalError) as raised:
        main_replay(text)
    assert raised.value.code == code


def test_an_auction_of_too_many_is_refused() -> None:
    bidders = [(f"B{number}", "5.00", "10:00") for number in range(MOST_BIDDERS + 1)]
    with pytest.raises(PortalError) as raised:
        replay(record(*bidders))
    assert raised.value.code == "too_many_bidders"


# The command


def test_the_command_answers_from_a_file_and_needs_no_database(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(GOOD), encoding="utf-8-sig")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PORTAL_", "DATABASE_"))}
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "FLASK_APP": "app.py"}
    done = subprocess.run(
        [sys.executable, "-m", "flask", "rounds", "replay", str(tmp_path / "record.json")],
        cwd=ROOT,
        env=kept | nowhere,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == replay(GOOD)


def test_the_command_tells_a_fault_as_json_and_exits_2() -> None:
    run = CliRunner().invoke(round_commands.group, ["replay", "-"], input=json.dumps([put("step", "-1.00")]))
    assert run.exit_code == 2
    told = json.loads(run.stdout)["error"]
    assert (told["code"], told["path"]) == ("negative_step", "[0].step")
    assert told["zh"]
    assert told["en"]


# An auction while it runs

MORNING = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)


def opened(*prices: int, **rules: Any) -> Auction:
    """Bidders A, B, … with these opening prices in fen, admitted a minute apart."""
    admitted = (
        Standing("ABCDEFGH"[place], price, MORNING + timedelta(minutes=place)) for place, price in enumerate(prices)
    )
    return Auction(Rules(**{"step": 100, **rules}), tuple(admitted))


def test_a_price_counts_to_the_last_instant_of_its_turn_and_not_after() -> None:
    auction = opened(11000, 10100)  # A moves from 300 to 420, B from 420 to 540
    instant = timedelta(microseconds=1)
    cases = {
        timedelta(seconds=300) - instant: False,
        timedelta(seconds=300): True,
        timedelta(seconds=420) - instant: True,
        timedelta(seconds=420): True,
        timedelta(seconds=420) + instant: False,
    }
    for elapsed, accepted in cases.items():
        after, refused = auction.apply(Entry(1, "A", 10900), elapsed=elapsed)
        assert (refused is None) is accepted
        assert after.changes == ({(1, "A"): 10900} if accepted else {})
        assert accepted or isinstance(refused, NotYourTurn)


def test_a_price_is_published_only_when_its_turn_has_ended() -> None:
    auction, refused = opened(11000, 10100).apply(Entry(1, "A", 9000))
    assert refused is None
    assert [standing.price for standing in auction.published(1).result] == [11000, 10100]
    assert [standing.price for standing in auction.published(2).result] == [10100, 9000]
    assert auction.bidder_at(auction.turn_of(1, "A")) == "A"
    assert (auction.bidder_at(1), auction.bidder_at(4), auction.bidder_at(5)) == ("A", "B", "A")
    assert (auction.bidder_at(0), auction.bidder_at(len(auction.stages) - 1)) == (None, None)


def test_labels_stay_while_the_order_changes() -> None:
    auction, _ = opened(11000, 10100, 9800).apply(Entry(1, "A", 9000))
    assert auction.labels == {"A": 1, "B": 2, "C": 3}
    assert auction.rounds[1].order == ("B", "C", "A")


def test_a_refused_entry_leaves_the_auction_as_it_was() -> None:
    auction, _ = opened(11000, 10100).apply(Entry(1, "A", 10000))
    for entry in (Entry(1, "A", 10950), Entry(1, "A", 0), Entry(1, "Z", 1), Entry(4, "A", 1)):
        after, refused = auction.apply(entry)
        assert after is auction
        assert refused is not None


def test_stages_follow_one_another() -> None:
    stages = timeline(Rules(step=100, rounds=1), 2)
    kinds = [StageKind.PAUSE, StageKind.TURN, StageKind.TURN, StageKind.ANNOUNCEMENT_PAUSE, StageKind.ANNOUNCEMENT]
    assert [stage.kind for stage in stages] == kinds
    assert [(stage.round, stage.position) for stage in stages] == [
        (1, None),
        (1, 0),
        (1, 1),
        (None, None),
        (None, None),
    ]
    seconds = {-1: None, 0: 0, 299: 0, 300: 1, 419: 1, 420: 2, 540: 3, 660: 4, 10**6: 4}
    assert {at: stage_at(stages, timedelta(seconds=at)) for at in seconds} == seconds


def test_a_turn_over_two_minutes_late_voids_the_auction() -> None:
    turn = timeline(Rules(step=100), 2)[1]
    assert not starts_too_late(turn, timedelta(seconds=420))
    assert starts_too_late(turn, timedelta(seconds=420, microseconds=1))


@pytest.mark.parametrize(
    ("price", "kind"), [(9900, None), (9901, StepNotMet), (1, None), (0, PriceNotPositive), (-5, PriceNotPositive)]
)
def test_a_single_price_is_judged(price: int, kind: type[PortalError] | None) -> None:
    refused = try_price(price, 10000, 100)
    assert type(refused) is (kind or type(None))


# Before and after


def test_a_step_that_cannot_be_played_is_refused_at_publication() -> None:
    check_rules(Rules(step=3333), ceiling=10000)
    cases = [
        (Rules(step=3334), 10000, 0, "step_too_large"),
        (Rules(step=1001), 10000, 7000, "step_too_large"),
        (Rules(step=1), 3, 0, "no_step_possible"),
        (Rules(step=1), 5000, 6000, "no_step_possible"),
        (Rules(step=0), 10000, 0, "step_missing"),
    ]
    for rules, ceiling, floor, code in cases:
        with pytest.raises(PortalError) as raised:
            check_rules(rules, ceiling, floor)
        assert (raised.value.code, raised.value.field) == (code, "step")
        assert raised.value.text("zh")
        assert raised.value.text("en")


@given(st.integers(1, 10), st.integers(1, 10**6), st.integers(0, 10**6))
def test_the_largest_step_can_be_played_in_every_round_and_one_fen_more_cannot(
    rounds: int, ceiling: int, floor: int
) -> None:
    def last_price(step: int) -> int:
        return ceiling - step * rounds

    step = largest_step(rounds, ceiling, floor)
    assert step == 0 or last_price(step) >= max(1, floor)
    assert last_price(step + 1) < max(1, floor)


def test_an_abnormally_low_price_asks_for_a_justification_and_one_at_the_limit_does_not() -> None:
    test = LowPriceTest(of_mean=50, of_next=50, of_ceiling=45)
    prices = {"A": 10000, "B": 9000, "C": 4499}
    assert abnormally_low(prices, test, ceiling=10000) == {"C": (LowPrice.NEXT, LowPrice.CEILING)}
    assert abnormally_low({**prices, "C": 4500}, test, ceiling=10000) == {}
    assert abnormally_low({"A": 700, "B": 100, "C": 100}, test) == {"B": (LowPrice.MEAN,), "C": (LowPrice.MEAN,)}
    assert abnormally_low({"A": 300, "B": 100}, test) == {"B": (LowPrice.NEXT,)}
    assert abnormally_low({"A": 1}, test) == {}
    assert abnormally_low(prices, LowPriceTest(), ceiling=10**9) == {}


# Against a plain model


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Small numbers, so that ties, refusals and reversals are common."""
    names = "ABCDE"[: draw(st.integers(1, 5))]
    zones = [UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-9, minutes=-30))]
    bidders = []
    for name in draw(st.permutations(names)):
        at = (MORNING + timedelta(minutes=draw(st.integers(0, 3)))).astimezone(draw(st.sampled_from(zones)))
        bidders.append(
            {"id": name, "price": f"{draw(st.integers(1, 12))}.{draw(st.integers(0, 1))}0", "at": at.isoformat()}
        )
    rounds = draw(st.integers(1, 4))
    price = st.builds("{}.{}0".format, st.integers(-1, 11), st.integers(0, 1))
    entry = st.fixed_dictionaries({"round": st.integers(0, rounds + 1), "bidder": st.sampled_from(f"{names}Z")})
    what = st.one_of(price.map(lambda text: {"price": text}), st.just({"withdraw": True}))
    turn = st.builds(lambda a, b: {**a, **b}, entry, what)
    turns = draw(st.lists(turn, max_size=4) | st.lists(turn, min_size=12, max_size=30))
    lengths = st.integers(1, 500)
    return {
        "rounds": rounds,
        "step": draw(st.sampled_from(["0.00", "0.10", "1.00", "2.50"])),
        "turn_seconds": draw(lengths),
        "pause_seconds": draw(lengths),
        "first_pause_seconds": draw(lengths),
        "bidders": bidders,
        "turns": turns,
    }


def model(question: dict[str, Any]) -> dict[str, Any]:
    """The same, plainly: a walk along the clock with decimals and running counters, no shared code with the engine."""
    step = Decimal(question["step"])
    price = {one["id"]: Decimal(one["price"]) for one in question["bidders"]}
    # A smaller number is earlier: opening prices by instant and place, all before the first turn.
    queue = sorted(question["bidders"], key=lambda one: datetime.fromisoformat(one["at"]))
    age = {one["id"]: number - len(queue) for number, one in enumerate(queue)}
    now, ticks, rounds, wrong = 0, [], [], {}
    for place, entry in enumerate(question["turns"]):
        if entry["bidder"] not in price or entry["round"] not in range(1, question["rounds"] + 1):
            wrong[place] = "not_your_turn"
    for number in range(1, question["rounds"] + 1):
        ticks.append(now)
        now += question["pause_seconds"] if number > 1 else question["first_pause_seconds"]
        waiting, order, changed = set(price), [], {}
        while waiting:
            mover = max(waiting, key=lambda one: (price[one], age[one]))
            waiting.remove(mover)
            order.append(mover)
        for mover in order:
            ticks.append(now)
            offer = None
            for place, entry in enumerate(question["turns"]):
                if (entry["round"], entry["bidder"]) != (number, mover):
                    continue
                if entry.get("withdraw"):
                    offer = None
                elif Decimal(entry["price"]) <= 0:
                    wrong[place] = "price_not_positive"
                elif price[mover] - Decimal(entry["price"]) < step:
                    wrong[place] = "step_not_met"
                else:
                    offer = entry["price"]
            if offer is not None:
                changed[mover] = offer
                price[mover], age[mover] = Decimal(offer), now
            now += question["turn_seconds"]
        rounds.append({"order": order, "prices": changed})
    ticks += [now, now + question["pause_seconds"]]
    ladder = sorted(price, key=lambda one: (price[one], age[one]))
    return {
        "timeline": ticks,
        "rounds": rounds,
        "refused": [{**question["turns"][place], "code": wrong[place]} for place in sorted(wrong)],
        "result": [{"id": one, "price": str(price[one])} for one in reversed(ladder)],
        "winner": ladder[0],
    }


@given(records())
def test_the_engine_answers_as_the_plain_model_does(question: dict[str, Any]) -> None:
    answer = answered(question)
    wanted = model(question)
    assert answer == wanted
    assert [list(one["prices"]) for one in answer["rounds"]] == [list(one["prices"]) for one in wanted["rounds"]]


@given(records())
def test_what_holds_of_every_auction(question: dict[str, Any]) -> None:
    answer = answered(question)
    names = sorted(one["id"] for one in question["bidders"])
    ticks = answer["timeline"]
    assert len(ticks) == question["rounds"] * (1 + len(names)) + 2
    assert ticks == sorted(set(ticks))
    assert all(sorted(one["order"]) == names for one in answer["rounds"])
    assert sorted(one["id"] for one in answer["result"]) == names
    falling = [Decimal(one["price"]) for one in answer["result"]]
    assert falling == sorted(falling, reverse=True)
    assert answer["winner"] == answer["result"][-1]["id"]
    prices = {one["id"]: Decimal(one["price"]) for one in question["bidders"]}
    for one in answer["rounds"]:
        for bidder, told in one["prices"].items():
            assert 0 < Decimal(told) <= prices[bidder] - Decimal(question["step"])
            prices[bidder] = Decimal(told)
    assert {one["id"]: Decimal(one["price"]) for one in answer["result"]} == prices


def fen(text: str) -> int:
    return int(Decimal(text) * 100)


def unplayed(question: dict[str, Any]) -> Auction:
    """The auction of a record before its first turn."""
    lengths = {name: question[name] for name in ("rounds", "turn_seconds", "pause_seconds", "first_pause_seconds")}
    admitted = [
        Standing(one["id"], fen(one["price"]), datetime.fromisoformat(one["at"])) for one in question["bidders"]
    ]
    return Auction(Rules(step=fen(question["step"]), **lengths), tuple(admitted))


def entry_of(turn: dict[str, Any]) -> Entry:
    return Entry(turn["round"], turn["bidder"], fen(turn["price"]) if "price" in turn else None)


@given(records())
def test_an_auction_writes_a_record_that_replays_to_itself(question: dict[str, Any]) -> None:
    auction = unplayed(question)
    for turn in sorted(question["turns"], key=lambda turn: turn["round"]):
        auction, _ = auction.apply(entry_of(turn))
    assert answered(json.loads(json.dumps(record_of(auction)))) == {**answered(question), "refused": []}


@given(records(), st.randoms())
def test_a_live_room_that_follows_the_clock_ends_as_the_record_does(question: dict[str, Any], random: Any) -> None:
    """Stage by stage, each entry at some instant of its turn; nothing of a running turn is published."""
    auction = unplayed(question)
    for index, stage in enumerate(auction.stages):
        mover = auction.bidder_at(index)
        before = auction.published(index).result
        for turn in question["turns"]:
            if (turn["round"], turn["bidder"]) == (stage.round, mover):
                elapsed = timedelta(seconds=stage.starts_after_seconds + random.random() * question["turn_seconds"])
                auction, _ = auction.apply(entry_of(turn), elapsed=elapsed)
                assert auction.published(index).result == before
        assert auction.published(index + 1).result == auction.result
    assert [{"id": one.bidder, "price": f"{one.price / 100:.2f}"} for one in auction.result] == answered(question)[
        "result"
    ]
