"""Conduct signals: the figures by hand, planted conduct found exactly once, honest bidding left in peace (A6, edge 7)."""

from __future__ import annotations

import io
import math
import random
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from kernel import clock, jobs, notifications, policies, trail, workflow
from kernel.db import session, transaction
from kernel.errors import NotFound
from kernel.files import Document
from kernel.notifications import Notice
from kernel.trail import TrailAct
from market import agencies, signals
from market.bidding import Outcome
from market.calls import CallForBids
from market.commissions import Route
from market.signals import (
    DismissalReasonMissing,
    Signal,
    SignalKind,
    SignalScan,
    SignalStatus,
    screens,
    thresholds,
    traces,
)
from tests.conftest import small_pdf
from tests.market.conduct import ORDINARY, SHORTS, Conduct, Entry

START = datetime(2026, 3, 9, 1, 0, tzinfo=UTC)


@pytest.fixture
def conduct(world: Any) -> Conduct:
    return Conduct(world)


def all_of(kind: SignalKind | None = None) -> list[Signal]:
    session.expire_all()
    statement = select(Signal).order_by(Signal.id)
    return list(session.scalars(statement if kind is None else statement.where(Signal.kind == kind)))


def one_of(kind: SignalKind) -> Signal:
    (found,) = all_of(kind)
    return found


def names(signal: Signal) -> set[str]:
    return {link.agency.name for link in signal.agencies}


def pdf(text: str, **facts: str) -> bytes:
    """A PDF whose document information says what it is told to."""
    with pikepdf.open(io.BytesIO(small_pdf(text))) as document:
        for key in list(document.docinfo):
            del document.docinfo[key]
        for key, value in facts.items():
            document.docinfo[f"/{key}"] = value
        out = io.BytesIO()
        document.save(out)
    return out.getvalue()


# The figures


def test_coefficient_of_variation_of_a_worked_example() -> None:
    """90, 100, 110: mean 100, sample standard deviation 10."""
    assert screens.coefficient_of_variation([90, 100, 110]) == pytest.approx(0.1)
    assert screens.coefficient_of_variation([5, 5]) == 0
    assert screens.coefficient_of_variation([5]) is None
    assert screens.coefficient_of_variation([0, 0]) is None


def test_relative_distance_of_a_worked_example() -> None:
    """80 | 100, 102, 104: the losing bids deviate by 2, the gap is 20."""
    assert screens.relative_distance([104, 80, 100, 102]) == pytest.approx(10)
    assert screens.relative_distance([80, 100, 100]) == math.inf
    assert screens.relative_distance([100, 100, 100]) == 0
    assert screens.relative_distance([80, 100]) is None


@given(st.lists(st.integers(1, 10**12), min_size=3, max_size=12), st.integers(2, 1000))
def test_both_screens_are_free_of_scale(prices: list[int], factor: int) -> None:
    scaled = [price * factor for price in prices]
    assert screens.coefficient_of_variation(scaled) == pytest.approx(screens.coefficient_of_variation(prices))
    assert screens.relative_distance(scaled) == pytest.approx(screens.relative_distance(prices))


def test_meetings_of_a_worked_example() -> None:
    """a and b meet in 3 of 6 calls; a bids in 3, b in 4: share 3/3, lift 3 × 6 ÷ (3 × 4) = 1.5."""
    present = {1: "ab", 2: "abc", 3: "abc", 4: "bc", 5: "c", 6: "c"}
    bidders = {call: frozenset(map(ord, text)) for call, text in present.items()}
    met = screens.meetings(bidders, frozenset(map(ord, "ab")))[ord("a"), ord("b")]
    assert (met.together, met.first, met.second, met.calls) == (3, 3, 4, 6)
    assert (met.share, met.lift) == (1.0, 1.5)


def test_whoever_bids_everywhere_meets_everybody_and_that_says_nothing() -> None:
    bidders = {call: frozenset({1, 2, 3}) for call in range(20)}
    assert {met.lift for met in screens.meetings(bidders, frozenset({1, 2, 3})).values()} == {1.0}


def test_late_is_within_the_last_minutes_both_ends_included() -> None:
    bids = [(START - timedelta(minutes=minutes), START) for minutes in (0, 10, 10.001, 60)]
    assert screens.count_late(bids, timedelta(minutes=10)) == 2
    assert screens.count_late([(START + timedelta(microseconds=1), START)], timedelta(minutes=10)) == 0


@pytest.mark.parametrize(
    ("winners", "turns"),
    [
        ("abcabc", 6),
        ("cbacba", 6),
        ("aabc", 3),  # the first a won before b and c had their turn
        ("abcacb", 3),  # …a and c break it; c, b and the a before them are in turn
        ("aaa", 1),
        ("abcabx", 0),
        ("", 0),
    ],
)
def test_turns_counts_the_last_wins_that_fell_strictly_in_turn(winners: str, turns: int) -> None:
    assert screens.turns_at_end([ord(one) for one in winners], frozenset(map(ord, "abc"))) == turns


def test_chance_of_turns_by_counting_all_outcomes() -> None:
    """Three members, six wins: 3! of 3⁶ sequences are strictly in turn."""
    assert screens.chance_of_turns(3, 6) == pytest.approx(6 / 729)
    assert screens.chance_of_turns(2, 4) == pytest.approx(2 / 16)
    assert screens.chance_of_turns(5, 1) == 1.0


@given(st.integers(2, 5), st.lists(st.integers(0, 4), max_size=14))
def test_turns_agree_with_a_plain_definition(members: int, drawn: list[int]) -> None:
    winners = [one % members for one in drawn]

    def in_turn(run: list[int]) -> bool:
        return all(len(set(run[i : i + members])) == len(run[i : i + members]) for i in range(len(run)))

    plain = max((len(winners) - i for i in range(len(winners)) if in_turn(winners[i:])), default=0)
    assert screens.turns_at_end(winners, frozenset(range(members))) == plain


def test_thresholds_that_lack_a_member_or_have_a_stranger_are_refused(portal: Any) -> None:
    values = policies.current(thresholds.KIND).values
    assert signals.parse(values).late_minutes == 10
    for wrong in (
        values | {"typo": 1},
        {k: v for k, v in values.items() if k != "late_bids"},
        values | {"late_bids": "5"},
    ):
        with pytest.raises(ValueError, match="signals"):
            signals.parse(wrong)


def test_addresses_are_compared_as_networks_hand_them_out(portal: Any) -> None:
    limits = signals.parse(policies.current(thresholds.KIND).values | {"ignored_networks": ["10.8.0.0/16"]})
    assert limits.place_of(" 203.0.113.7 ") == limits.place_of("::ffff:203.0.113.7") == "203.0.113.7"
    assert limits.place_of("2001:db8:1:2::5") == limits.place_of("2001:db8:1:2:ffff::9")
    assert limits.place_of("2001:db8:1:2::5") != limits.place_of("2001:db8:1:3::5")
    assert [limits.place_of(one) for one in ("", "unknown", "127.0.0.1", "::1", "10.8.3.4", "fe80::1")] == [""] * 6


# What rivals share


def test_bids_of_two_rivals_from_one_address_are_found_once_with_their_times(conduct: Conduct) -> None:
    call = conduct.opened(
        {
            "清源": Entry(70_00000, address="203.0.113.7", early=30),
            "绿洲": Entry(81_00000, address="203.0.113.7", early=20),
            "天衡": Entry(95_00000, address="203.0.113.8"),
        }
    )
    assert len(conduct.scan(call)) == 1
    assert conduct.scan(call) == []
    signal = one_of(SignalKind.ADDRESS)
    assert names(signal) == {conduct.agencies[short].name for short in ("清源", "绿洲")}
    assert signal.evidence["figures"] == {"agencies": 2, "bids": 2}
    assert "203.0.113.7" in signal.evidence["lines"][0]["zh"]
    assert [row[0] for row in signal.evidence["rows"]] == [conduct.agencies[s].name for s in ("清源", "绿洲")]
    assert (signal.call_id, [link.call_id for link in signal.calls]) == (call.id, [call.id])
    assert len(all_of()) == 1


def test_one_agency_that_bids_twice_from_its_own_address_is_no_signal(conduct: Conduct) -> None:
    call = conduct.opened(
        {"清源": Entry(70_00000, address="203.0.113.7"), "绿洲": Entry(81_00000, address="203.0.113.9")}
    )
    with transaction():
        conduct._bid(session.merge(call), "天衡", Entry(None, address=""), START)
    assert conduct.scan(call) == []


def test_a_bid_that_was_replaced_still_shows_where_it_came_from(conduct: Conduct) -> None:
    call = conduct.opened(
        {
            "清源": Entry(None, address="203.0.113.7", outcome=Outcome.REPLACED),
            "绿洲": Entry(81_00000, address="203.0.113.7"),
        }
    )
    conduct.scan(call)
    assert one_of(SignalKind.ADDRESS).strength == 2


def test_one_device_and_one_person_behind_two_rivals_are_two_signals(conduct: Conduct) -> None:
    person = conduct.person("清源")
    call = conduct.opened(
        {
            "清源": Entry(70_00000, device="device-a"),
            "绿洲": Entry(81_00000, device="device-a"),
            "天衡": Entry(95_00000, device="device-b", person_id=person),
        }
    )
    conduct.scan(call)
    conduct.scan(call)
    assert names(one_of(SignalKind.DEVICE)) == {conduct.agencies[s].name for s in ("清源", "绿洲")}
    assert names(one_of(SignalKind.PERSON)) == {conduct.agencies[s].name for s in ("清源", "天衡")}
    assert "device-a" not in str(one_of(SignalKind.DEVICE).evidence)
    assert len(all_of()) == 2


def test_rivals_with_one_telephone_are_found_once_however_it_is_written_and_however_often_they_meet(
    conduct: Conduct,
) -> None:
    with transaction():
        session.merge(conduct.agencies["清源"].organisation).telephone = "+86 0451-5550 9999"
        session.merge(conduct.agencies["绿洲"].organisation).telephone = "０４５１ 55509999"
        session.merge(conduct.agencies["天衡"].organisation).telephone = "110"
        session.merge(conduct.agencies["恒信"].organisation).telephone = "110"
    found = [conduct.opened(SHORTS[:4]) for _turn in range(2)]
    conduct.scan_all(*found)
    signal = one_of(SignalKind.CONTACT)
    assert names(signal) == {conduct.agencies[s].name for s in ("清源", "绿洲")}
    assert [row[0]["zh"] for row in signal.evidence["rows"]] == ["联系电话"]
    assert {link.call_id for link in signal.calls} == {call.id for call in found}


def test_a_shared_practitioner_is_found_by_the_certificate_not_by_the_name(conduct: Conduct, world: Any) -> None:
    with transaction():
        for short, name in (("清源", "王伟"), ("绿洲", "王 伟"), ("天衡", "王伟")):
            certificate = {"清源": "AB 2024-1", "绿洲": "ab2024-1", "天衡": "AB2024-2"}[short]
            agencies.file_practitioner(
                session.merge(conduct.agencies[short]), name, "注册工程师", certificate, valid_until=None,
                by=world.actor(conduct.login(short)),
            )  # fmt: skip
    conduct.scan(conduct.opened(SHORTS[:3]))
    signal = one_of(SignalKind.PRACTITIONER)
    assert names(signal) == {conduct.agencies[s].name for s in ("清源", "绿洲")}
    assert signal.evidence["rows"] == [["AB 2024-1", "王伟", "王 伟"]]
    assert len(all_of()) == 1


def test_files_of_one_author_and_one_moment_are_found_whatever_program_wrote_them(conduct: Conduct) -> None:
    call = conduct.opened(
        {
            "清源": Entry(
                70_00000,
                files={"方案.pdf": pdf("a", Author="张三", CreationDate="D:20260301093012+08'00'", Producer="WPS")},
            ),
            "绿洲": Entry(
                81_00000,
                files={"技术.pdf": pdf("b", Author=" 张三", CreationDate="D:20260301093012+08'00'", Producer="Word")},
            ),
            "天衡": Entry(95_00000, files={"标书.pdf": pdf("c", Author="李四", Producer="WPS")}),
        }
    )
    conduct.scan(call)
    conduct.scan(call)
    signal = one_of(SignalKind.FILES)
    assert names(signal) == {conduct.agencies[s].name for s in ("清源", "绿洲")}
    assert [(row[0]["zh"], row[1], row[2], row[3]) for row in signal.evidence["rows"]] == [
        ("文件作者相同", "张三", "方案.pdf", "技术.pdf"),
        ("文件创建时间相同", "D:20260301093012+08'00'", "方案.pdf", "技术.pdf"),
    ]
    assert len(all_of()) == 1


def test_identical_files_are_found_even_when_they_could_not_be_shown(conduct: Conduct) -> None:
    program = {"x.exe": b"MZ" + bytes(100)}
    conduct.scan(conduct.opened({"清源": Entry(70_00000, files=program), "绿洲": Entry(81_00000, files=program)}))
    (row,) = one_of(SignalKind.FILES).evidence["rows"]
    assert (row[0]["zh"], row[2:]) == ("文件内容完全相同", ["x.exe", "x.exe"])


def test_what_the_buyer_handed_out_and_what_programs_write_by_themselves_is_no_signal(
    conduct: Conduct, world: Any
) -> None:
    template = pdf("template", Author="采购人", CreationDate="D:20260201080001+08'00'")
    with transaction():
        from kernel import files

        document = files.put(io.BytesIO(template), "报价模板.pdf", by=world.applicant)
    filled = {"Author": "采购人", "CreationDate": "D:20260201080001+08'00'"}
    ordinary = {"Author": "Microsoft Office User", "CreationDate": "D:20260301000000+08'00'"}
    call = conduct.opened(
        {
            "清源": Entry(
                70_00000, files={"a.pdf": pdf("a", **filled), "m.pdf": template, "o.pdf": pdf("x", **ordinary)}
            ),
            "绿洲": Entry(
                81_00000, files={"b.pdf": pdf("b", **filled), "m.pdf": template, "o.pdf": pdf("y", **ordinary)}
            ),
        },
        documents=[document],
    )
    assert conduct.scan(call) == []


def test_authors_of_office_files_are_read_and_an_oversized_property_stops_nothing(conduct: Conduct) -> None:
    call = conduct.opened(
        {
            "清源": Entry(70_00000, files={"a.docx": office("赵六", "1")}),
            "绿洲": Entry(81_00000, files={"b.docx": office("赵六", "2")}),
            "天衡": Entry(95_00000, files={"c.docx": office("赵六", "3", filler=70_000)}),
        }
    )
    conduct.scan(call)
    assert names(one_of(SignalKind.FILES)) == {conduct.agencies[s].name for s in ("清源", "绿洲")}


def office(author: str, text: str, *, filler: int = 0) -> bytes:
    """A small word-processor file with its core properties."""
    core = (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>{author}</dc:creator>'
        f"<dc:description>{'x' * filler}</dc:description></cp:coreProperties>"
    )
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as container:
        container.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            f'<Override PartName="/word/document.xml" ContentType="{kind}"/></Types>',
        )
        container.writestr(
            "_rels/.rels", '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"/>'
        )
        container.writestr("word/document.xml", f"<w:document xmlns:w='urn:w'>{text}</w:document>")
        container.writestr("docProps/core.xml", core)
    return out.getvalue()


def test_an_office_file_that_declares_entities_tells_nothing_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    core = '<?xml version="1.0"?><!DOCTYPE c [<!ENTITY a "赵六">]><c><creator>&a;</creator></c>'
    for encoding in ("utf-8", "utf-16"):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as container:
            container.writestr("docProps/core.xml", core.encode(encoding))
        out.seek(0)
        monkeypatch.setattr(traces.files, "open_document", lambda document, content=out: content)
        assert traces._core_properties(cast("Document", None)) == {}, encoding


# Prices


def test_prices_too_close_together_are_found_with_the_coefficient_by_hand(conduct: Conduct) -> None:
    """99, 100, 100, 101: mean 100, sample deviation √(2/3) = 0.8165, so 0.82 %."""
    prices = dict(zip(SHORTS, (99_000_00, 100_000_00, 100_000_00, 101_000_00), strict=False))
    call = conduct.opened(prices)
    conduct.scan(call)
    conduct.scan(call)
    signal = one_of(SignalKind.VARIATION)
    assert signal.evidence["figures"] == {"bids": 4, "variation": 82}
    assert "0.82%" in signal.evidence["lines"][0]["zh"]
    assert [row[1] for row in signal.evidence["rows"]] == [{"fen": prices[s]} for s in SHORTS[:4]]
    assert len(all_of()) == 1


def test_discounts_are_screened_by_what_remains_to_be_paid(conduct: Conduct) -> None:
    """Off the standard 30.00, 30.10, 30.20, 30.30 %: 7000, 6990, 6980, 6970 remain, 0.18 %."""
    call = conduct.opened({s: Entry(None, discount=3000 + 10 * place) for place, s in enumerate(SHORTS[:4])})
    conduct.scan(call)
    signal = one_of(SignalKind.VARIATION)
    assert signal.evidence["figures"] == {"bids": 4, "variation": 18}
    assert signal.evidence["rows"][0][1] == "−30.30%"


def test_a_lowest_price_apart_from_cover_bids_is_found_with_the_distance_by_hand(conduct: Conduct) -> None:
    """88 | 100, 101, 102, 103: deviation of the losing 1.2910, gap 12, distance 9.30; √37.7 ÷ 98.8 = 6.21 %."""
    prices = (103_000_00, 88_000_00, 102_000_00, 100_000_00, 101_000_00)
    call = conduct.opened(dict(zip(SHORTS, prices, strict=True)))
    conduct.scan(call)
    conduct.scan(call)
    assert one_of(SignalKind.DISTANCE).evidence["figures"] == {"bids": 5, "variation": 621, "distance": 930}
    assert len(all_of()) == 1


def test_equal_cover_bids_have_an_infinite_distance_that_can_be_stored(conduct: Conduct) -> None:
    call = conduct.opened(dict(zip(SHORTS, (95_00, 100_00, 100_00, 100_00, 100_00), strict=True)))
    conduct.scan(call)
    signal = one_of(SignalKind.DISTANCE)
    assert signal.evidence["figures"]["distance"] is None
    assert "∞" in signal.evidence["lines"][0]["zh"]


def test_bids_at_the_published_floor_are_bound_by_it_and_are_no_signal(conduct: Conduct) -> None:
    """Ganzhou 2023: everybody may bid the floor, and a draw decides."""
    floor = 80_000_00
    call = conduct.opened(dict.fromkeys(SHORTS, floor), floor=floor)
    assert conduct.scan(call) == []


def test_bids_that_were_not_evaluated_do_not_count_as_prices(conduct: Conduct) -> None:
    call = conduct.opened(
        {s: Entry(100_000_00 + place, outcome=Outcome.NOT_EVALUATED if place else Outcome.OPENED)
         for place, s in enumerate(SHORTS)}
    )  # fmt: skip
    assert conduct.scan(call) == []


# Habits


def test_a_pair_that_always_meets_is_found_once_with_share_and_lift_by_hand(conduct: Conduct) -> None:
    """Six meetings in ten calls, 清源 6 bids, 绿洲 6: share 100 %, lift 6 × 10 ÷ 36 = 1.67."""
    found = [conduct.opened(("天衡", "恒信")) for _turn in range(4)]
    found += [conduct.opened(("清源", "绿洲", "天衡")) for _turn in range(6)]
    new = conduct.scan_all(*found)
    signal = one_of(SignalKind.MEETING)
    assert [one.id for one in new] == [signal.id]
    assert names(signal) == {conduct.agencies[s].name for s in ("清源", "绿洲")}
    assert signal.evidence["figures"] == {"together": 6, "share": 10_000, "lift": 167, "calls": 10}
    assert [act.act for act in trail.of(signal.subject)] == ["signal.found", "signal.renewed"]
    assert len(signal.calls) == 6
    assert len(all_of()) == 1


def test_those_whom_a_buyer_invites_together_do_not_meet_by_choice(conduct: Conduct) -> None:
    found = [conduct.opened(("天衡", "恒信")) for _turn in range(4)]
    found += [conduct.opened(("清源", "绿洲"), route=Route.INVITATION) for _turn in range(6)]
    assert conduct.scan_all(*found) == []


def test_always_at_the_last_minute_is_found_once_with_its_share_by_hand(conduct: Conduct) -> None:
    """Five of six bids within ten minutes: 83 %, at or above four fifths."""
    found = [
        conduct.opened({"清源": Entry(70_00000, early=early), "绿洲": Entry(81_00000, early=11)})
        for early in (300, 10, 5, 3, 1, 0)
    ]
    conduct.scan_all(*found)
    conduct.scan_all(*found)
    signal = one_of(SignalKind.LAST_MINUTE)
    assert names(signal) == {conduct.agencies["清源"].name}
    assert signal.evidence["figures"] == {"late": 5, "bids": 6, "share": 8333}
    assert len(signal.evidence["rows"]) == len(signal.calls) == 5


def test_four_late_bids_are_below_the_threshold(conduct: Conduct) -> None:
    found = [conduct.opened({"清源": Entry(70_00000, early=2), "绿洲": Entry(81_00000)}) for _turn in range(4)]
    assert conduct.scan_all(*found) == []


def test_winners_in_rotation_are_found_once_with_the_chance_by_hand(conduct: Conduct) -> None:
    """Three agencies, six calls strictly in turn: 3! ÷ 3⁶ = 0.82 %."""
    found = [conduct.opened(SHORTS[:3], winner=SHORTS[turn % 3]) for turn in range(6)]
    conduct.scan_all(*found)
    conduct.scan_all(*found)
    signal = one_of(SignalKind.ROTATION)
    assert signal.evidence["figures"] == {"members": 3, "turns": 6, "chance": 82}
    assert [row[1] for row in signal.evidence["rows"]] == [conduct.agencies[SHORTS[t % 3]].name for t in range(6)]
    assert len(all_of()) == 1


def test_turns_that_a_draw_dealt_out_are_no_bidders_doing(conduct: Conduct) -> None:
    found = [conduct.opened(SHORTS[:3], winner=SHORTS[turn % 3], route=Route.DRAW) for turn in range(9)]
    assert conduct.scan_all(*found) == []


def test_a_winner_out_of_turn_ends_the_rotation(conduct: Conduct) -> None:
    found = [conduct.opened(SHORTS[:3], winner=SHORTS[turn]) for turn in (0, 1, 2, 1, 0, 2)]
    assert conduct.scan_all(*found) == []


# Honest bidding


@pytest.mark.parametrize("seed", range(2))
def test_honest_random_bidding_shows_nothing_shared_and_hardly_any_pattern(conduct: Conduct, seed: int) -> None:
    """Thirty calls with bidders, prices, addresses and times drawn at random, everything its own."""
    dice = random.Random(seed)
    found = []
    for turn in range(30):
        bidders = dice.sample(SHORTS, dice.randint(2, 5))
        cost = dice.uniform(40_000, 150_000)
        entries = {
            short: Entry(
                round(cost * dice.uniform(0.8, 1.2)) * 100,
                early=dice.uniform(0, 4000),
                address=f"203.0.{SHORTS.index(short)}.{dice.randint(1, 250)}",
                device=f"{short}-{dice.randint(1, 3)}",
                files={"方案.pdf": pdf(f"{short}{turn}", Author=f"{short}{dice.randint(1, 4)}")} if turn < 3 else {},
            )
            for short in bidders
        }
        lowest = min(entries, key=lambda short: entries[short].price or 0)
        found.append(conduct.opened(entries, winner=lowest))
    conduct.scan_all(*found)
    kinds = [signal.kind for signal in all_of()]
    assert not [kind for kind in kinds if kind not in (SignalKind.VARIATION, SignalKind.DISTANCE)]
    assert len(kinds) <= 3


# When, and for whom


def test_nothing_of_an_unopened_call_is_looked_at(conduct: Conduct) -> None:
    call = conduct.opened(SHORTS[:3])
    with transaction():
        merged = session.merge(call)
        merged.opened_at = None
        session.flush()
        with pytest.raises(LookupError):
            signals.scan(merged)
        session.rollback()


def opening_act(call: CallForBids, world: Any) -> None:
    with transaction():
        trail.record(session.merge(call).subject, "bids.opened", by=world.supervisor, call=call.number)


def test_the_opening_only_queues_and_the_due_loop_looks_once(
    conduct: Conduct, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = conduct.opened({s: Entry(ORDINARY[i], address="203.0.113.7") for i, s in enumerate(SHORTS[:2])})
    monkeypatch.setitem(trail._subscribers, "bids.opened", (signals.on_opened,))
    opening_act(call, world)
    opening_act(call, world)
    assert all_of() == []
    assert session.scalar(select(func.count()).select_from(SignalScan).where(SignalScan.done_at.is_(None))) == 1
    jobs.run_due()
    assert [signal.kind for signal in all_of()] == [SignalKind.ADDRESS]
    jobs.run_due()
    assert len(all_of()) == 1
    assert signals.due(clock.now() + timedelta(days=1), 10) == []


def test_supervisors_are_told_of_a_serious_signal_and_nobody_else_is(conduct: Conduct, world: Any) -> None:
    conduct.scan(conduct.opened({s: Entry(ORDINARY[i], device="d") for i, s in enumerate(SHORTS[:2])}))
    told = session.scalars(select(Notice).where(Notice.act.startswith("signal"))).all()
    assert {notice.person_id for notice in told} == {world.supervisor.person_id}
    lines, _total = notifications.inbox(world.supervisor.person_id)
    assert lines[0].subject == one_of(SignalKind.DEVICE).subject


def test_only_the_chain_of_the_signal_itself_tells_of_it(conduct: Conduct) -> None:
    """No page about the call, a bid or an agency can show an act that isn't on their chains."""
    call = conduct.opened({s: Entry(ORDINARY[i], device="d") for i, s in enumerate(SHORTS[:2])})
    with transaction():
        before = session.scalar(select(func.count()).select_from(TrailAct)) or 0
    conduct.scan(call)
    written = session.scalars(select(TrailAct).order_by(TrailAct.id).offset(before)).all()
    assert {act.subject for act in written} == {one_of(SignalKind.DEVICE).subject}
    assert trail.verify()[1] == []


def test_for_everybody_else_there_is_no_signal(conduct: Conduct, world: Any) -> None:
    call = conduct.opened({s: Entry(ORDINARY[i], device="d") for i, s in enumerate(SHORTS[:2])})
    conduct.scan(call)
    number = one_of(SignalKind.DEVICE).number
    for login in ("applicant", "agency", "agency2", "operator", "authority", "window", "security", ""):
        actor = world.actor(login) if login else None
        for look in (
            lambda actor=actor: signals.find(number, by=actor),
            lambda actor=actor: signals.listed(signals.Wanted(), by=actor, most=10),
            lambda actor=actor: signals.counts(signals.Wanted(), by=actor),
        ):
            with pytest.raises(NotFound):
                look()
        assert signals.of_call(call, by=actor) == []
    for login in ("supervisor", "auditor"):
        assert signals.find(number, by=world.actor(login)).number == number
        assert len(signals.of_call(call, by=world.actor(login))) == 1


# Dismissal


def device_signal(conduct: Conduct) -> Signal:
    conduct.scan(conduct.opened({s: Entry(ORDINARY[i], device="d") for i, s in enumerate(SHORTS[:2])}))
    return one_of(SignalKind.DEVICE)


def test_dismissal_needs_a_reason_and_leaves_the_trail(conduct: Conduct, world: Any) -> None:
    number = device_signal(conduct).number
    for empty in ("", "  \n "):
        with pytest.raises(DismissalReasonMissing), transaction():
            signals.dismiss(signals.find(number, by=world.supervisor, lock=True), empty, by=world.supervisor)
    with transaction():
        signals.dismiss(signals.find(number, by=world.supervisor, lock=True), " 同一招待所上网 ", by=world.supervisor)
    signal = one_of(SignalKind.DEVICE)
    assert (signal.status, signal.reason) == (SignalStatus.DISMISSED, "同一招待所上网")
    assert world.supervisor.person in signal.dismissed_by
    assert signal.dismissed_at is not None
    last = trail.of(signal.subject)[-1]
    assert (last.act, last.data["reason"], last.person_id) == (
        "signal.dismissed", "同一招待所上网", world.supervisor.person_id,
    )  # fmt: skip


def test_an_auditor_reads_and_cannot_dismiss_and_nobody_dismisses_twice(conduct: Conduct, world: Any) -> None:
    number, auditor = device_signal(conduct).number, world.actor("auditor")
    with pytest.raises(workflow.MoveNotOpen), transaction():
        signals.dismiss(signals.find(number, by=auditor), "看过", by=auditor)
    with transaction():
        signals.dismiss(signals.find(number, by=world.supervisor), "已核实", by=world.supervisor, expected_version=1)
    with pytest.raises(workflow.StaleVersion), transaction():
        signals.dismiss(signals.find(number, by=world.supervisor), "再次", by=world.supervisor, expected_version=1)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        signals.dismiss(signals.find(number, by=world.supervisor), "再次", by=world.supervisor)


def test_a_dismissed_signal_stays_so_when_the_same_is_seen_again(conduct: Conduct, world: Any) -> None:
    with transaction():
        session.merge(conduct.agencies["清源"].organisation).telephone = "0451-99999999"
        session.merge(conduct.agencies["绿洲"].organisation).telephone = "0451-99999999"
    conduct.scan(conduct.opened(SHORTS[:2]))
    with transaction():
        signals.dismiss(one_of(SignalKind.CONTACT), "母子公司，已备案", by=world.supervisor)
    assert conduct.scan(conduct.opened(SHORTS[:2])) == []
    assert one_of(SignalKind.CONTACT).status is SignalStatus.DISMISSED
    with transaction():
        session.merge(conduct.agencies["清源"].organisation).address = "示例路 1 号"
        session.merge(conduct.agencies["绿洲"].organisation).address = "示例路1号"
    (again,) = conduct.scan(conduct.opened(SHORTS[:2]))
    assert (again.status, again.reason, again.dismissed_at) == (SignalStatus.OPEN, "", None)
    reopened = trail.of(again.subject)[-1]
    assert (reopened.act, reopened.data["reason"]) == ("signal.reopened", "母子公司，已备案")


def test_a_dismissed_habit_is_reopened_after_three_further_cases(conduct: Conduct, world: Any) -> None:
    def late() -> list[Signal]:
        return conduct.scan(conduct.opened({"清源": Entry(70_00000, early=1), "绿洲": Entry(81_00000)}))

    assert [len(late()) for _turn in range(5)] == [0, 0, 0, 0, 1]
    with transaction():
        signals.dismiss(one_of(SignalKind.LAST_MINUTE), "习惯如此", by=world.supervisor)
    assert [len(late()) for _turn in range(3)] == [0, 0, 1]
    assert one_of(SignalKind.LAST_MINUTE).evidence["figures"]["late"] == 8
