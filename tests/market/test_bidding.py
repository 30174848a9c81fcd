"""Sealed bids: in time or late, replaced, withdrawn, opened by two, repeated by anyone (trust G1, G2, G4; A6)."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text

from kernel import jobs, sandbox, sealing, trail, workflow
from kernel.accounts import actor_of
from kernel.db import db, session, transaction
from kernel.errors import NotFound
from kernel.notifications import Notice
from market import agencies, bidding, calls, custody
from market.bidding import Bid, OpenedBid, Outcome, SealedBy, faults
from market.calls.faults import CallClosed, NotEligible
from market.commissions import CommissionStatus, Route
from market.custody import Custodian
from market.notices import NoticeKind, PublicNotice
from tests.competition import CEILING, Competition

TICK = timedelta(microseconds=1)
PORTAL_NOW = sandbox.PORTAL_NOW_SQL


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


@pytest.fixture
def stop_clock(portal: Any, owner_engine: Any) -> Iterator[Any]:
    """Let the database's own clock stand at an instant, to the microsecond."""

    def at(instant: datetime) -> None:
        body = f"SELECT timestamptz '{instant.isoformat()}'"
        with owner_engine.connect() as connection:
            connection.execute(
                text(
                    f"CREATE OR REPLACE FUNCTION portal_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ {body} $$"
                )
            )

    yield at
    with owner_engine.connect() as connection:
        connection.execute(text(PORTAL_NOW))


def closing_of(competition: Competition, number: str) -> datetime:
    closing = competition.find(number).closing_at
    assert closing is not None
    return closing


def hand_in(
    competition: Competition, number: str, login: str, agency: Any, sealed: sealing.SealedBid
) -> dict[str, Any]:
    with transaction():
        return bidding.submit(
            number,
            session.merge(agency),
            ciphertext=sealed.ciphertext,
            wraps=sealed.wraps,
            sealed_by=SealedBy.OFFLINE,
            by=competition.world.actor(login),
        )


def bids_of(number: str) -> list[Bid]:
    session.expire_all()
    call = calls.find(number, by=trail.SYSTEM)
    return list(reversed(bidding.all_of(call)))


def outcomes(number: str) -> dict[str, Outcome]:
    call = calls.find(number, by=trail.SYSTEM)
    return {row.bid.sha256: row.outcome for row in bidding.opened(call)}


# The closing second


def test_a_bid_at_the_closing_instant_is_in_time_and_a_microsecond_later_is_late(competition, stop_clock):
    number = competition.published()
    closing = closing_of(competition, number)
    world = competition.world
    last = competition.sealed(number, world.agency, 10_000_000)
    late = competition.sealed(number, world.agency2, 9_000_000)
    stop_clock(closing)
    receipt = hand_in(competition, number, "agency", world.agency, last)
    assert datetime.fromisoformat(receipt["at"]) == closing
    stop_clock(closing + TICK)
    with pytest.raises(CallClosed):
        hand_in(competition, number, "agency2", world.agency2, late)
    assert [bid.sha256 for bid in bids_of(number)] == [last.sha256]
    assert competition.find(number).commission.status == CommissionStatus.OPEN  # nothing but the clock said no


def test_a_bid_that_waited_for_the_lock_is_judged_by_the_clock_after_it(competition, stop_clock):
    """Forced: the bid passes the unlocked look in time, waits for the row, and the closing passes meanwhile."""
    number = competition.published()
    closing = closing_of(competition, number)
    sealed = competition.sealed(number, competition.world.agency, 10_000_000)
    stop_clock(closing - TICK)
    answers: list[object] = []

    def bid() -> None:
        with competition.world.portal.app_context():
            try:
                answers.append(hand_in(competition, number, "agency", competition.world.agency, sealed))
            except CallClosed as refused:
                answers.append(refused)
            finally:
                session.remove()

    with transaction():
        competition.find(number, lock=True)
        thread = threading.Thread(target=bid)
        thread.start()
        _wait_for_a_lock()
        stop_clock(closing + TICK)
    thread.join(20)
    assert [type(one) for one in answers] == [CallClosed]
    assert bids_of(number) == []


def test_no_bid_accepted_in_the_closing_second_is_missed_by_the_close(competition):
    """The close waits for a bid that holds the row, so that it counts it."""
    number = competition.published()
    closing = closing_of(competition, number)
    sealed = competition.sealed(number, competition.world.agency, 10_000_000)
    closed = threading.Event()

    def close() -> None:
        with competition.world.portal.app_context():
            with transaction():
                calls.close(calls.find(number, by=trail.SYSTEM, lock=True), by=trail.CLOCK, at=closing)
            closed.set()
            session.remove()

    with transaction():
        bidding.submit(
            number,
            session.merge(competition.world.agency),
            ciphertext=sealed.ciphertext,
            wraps=sealed.wraps,
            sealed_by=SealedBy.OFFLINE,
            by=competition.world.agency_actor,
        )
        thread = threading.Thread(target=close)
        thread.start()
        _wait_for_a_lock()
        assert not closed.is_set()
    thread.join(20)
    session.expire_all()
    assert competition.find(number).commission.status == CommissionStatus.EVALUATING


def _wait_for_a_lock() -> None:
    """Until some backend waits for a lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with db.engine.connect() as connection:
        for _ in range(2000):
            if connection.execute(waiting).scalar_one():
                return
            threading.Event().wait(0.005)
    pytest.fail("nobody waits")


def test_a_late_bid_never_takes_the_lock(competition, stop_clock):
    number = competition.published()
    sealed = competition.sealed(number, competition.world.agency, 10_000_000)
    stop_clock(closing_of(competition, number) + TICK)
    locking: list[str] = []

    def watch(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        locking.append(statement)

    with transaction():
        competition.find(number, lock=True)  # a bid that asks for the lock now would wait for ever

        def bid() -> None:
            with competition.world.portal.app_context():
                with pytest.raises(CallClosed):
                    hand_in(competition, number, "agency", competition.world.agency, sealed)
                done.set()
                session.remove()

        done = threading.Event()
        thread = threading.Thread(target=bid)
        thread.start()
        assert done.wait(10)
    thread.join(10)


# Receipts, replacing, withdrawing


def test_the_same_bid_twice_is_one_bid_and_one_receipt(competition):
    number = competition.published()
    world = competition.world
    sealed = competition.sealed(number, world.agency, 10_000_000)
    first = hand_in(competition, number, "agency", world.agency, sealed)
    again = hand_in(competition, number, "agency", world.agency, sealed)
    assert first == again
    sealing.verify_receipt(first)
    assert (first["call"], first["sha256"]) == (number, sealed.sha256)
    assert len(bids_of(number)) == 1


def test_two_threads_with_the_same_bid_store_it_once(competition):
    number = competition.published()
    sealed = competition.sealed(number, competition.world.agency, 10_000_000)
    receipts: list[dict[str, Any]] = []
    gate = threading.Barrier(4)

    def bid() -> None:
        with competition.world.portal.app_context():
            gate.wait()
            receipts.append(hand_in(competition, number, "agency", competition.world.agency, sealed))
            session.remove()

    threads = [threading.Thread(target=bid) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(receipts) == 4
    assert len({receipt["signature"] for receipt in receipts}) == 1
    assert len(bids_of(number)) == 1


def test_anothers_ciphertext_handed_in_again_is_a_replay(competition):
    number = competition.published()
    world = competition.world
    sealed = competition.sealed(number, world.agency, 10_000_000)
    hand_in(competition, number, "agency", world.agency, sealed)
    with pytest.raises(faults.BidReplayed):
        hand_in(competition, number, "agency2", world.agency2, sealed)


def test_a_later_bid_replaces_and_the_earlier_one_is_never_read(competition):
    number = competition.published()
    world = competition.world
    first = competition.bid(number, "agency", world.agency, 12_000_000)
    second = competition.bid(number, "agency", world.agency, 11_000_000)
    competition.closed(number)
    competition.opened(number)
    found = {row.bid.sha256: row for row in bidding.opened(competition.find(number))}
    assert found[first["sha256"]].outcome is Outcome.REPLACED
    assert (found[first["sha256"]].price, found[first["sha256"]].content) == (None, {})
    assert found[second["sha256"]].price == 11_000_000


def test_a_withdrawn_bid_leaves_nothing_standing_and_cannot_come_back_as_it_was(competition):
    number = competition.published()
    world = competition.world
    competition.bid(number, "agency", world.agency, 12_000_000)
    sealed = competition.sealed(number, world.agency, 11_000_000)
    hand_in(competition, number, "agency", world.agency, sealed)
    latest = bidding.own(competition.find(number), world.agency)[0]
    with transaction():
        bidding.withdraw(session.merge(latest), by=world.agency_actor)
    assert bidding.count_standing(competition.find(number)) == 0
    with pytest.raises(faults.BidReplayed):
        hand_in(competition, number, "agency", world.agency, sealed)
    with pytest.raises(faults.BidNotStanding), transaction():
        bidding.withdraw(session.merge(latest), by=world.agency_actor)


def test_nothing_is_withdrawn_or_confirmed_after_the_closing(competition, stop_clock):
    number = competition.published()
    competition.bid(number, "agency", competition.world.agency, 12_000_000)
    stop_clock(closing_of(competition, number) + TICK)
    for act in (bidding.withdraw, bidding.confirm):
        with pytest.raises(CallClosed), transaction():
            act(session.merge(bids_of(number)[0]), by=competition.world.agency_actor)


def test_a_rival_neither_sees_nor_touches_a_bid(competition):
    number = competition.published()
    competition.bid(number, "agency", competition.world.agency, 12_000_000)
    (bid,) = bids_of(number)
    rival = competition.world.actor("agency2")
    with pytest.raises(NotFound):
        bidding.find(bid.token, by=rival)
    for act in (bidding.withdraw, bidding.confirm):
        with pytest.raises(faults.NotYourBid), transaction():
            act(session.merge(bid), by=rival)
    with pytest.raises(faults.NotYourBid):
        hand_in(
            competition, number, "agency2", competition.world.agency,
            competition.sealed(number, competition.world.agency, 1_000_000),
        )  # fmt: skip


def test_after_a_material_correction_a_bid_counts_only_when_confirmed(competition):
    number = competition.published()
    world = competition.world
    kept = competition.bid(number, "agency", world.agency, 12_000_000)
    lost = competition.bid(number, "agency2", world.agency2, 11_000_000)
    with transaction():
        call = competition.find(number, lock=True)
        closing = closing_of(competition, number) + timedelta(days=14)
        calls.amend(call, by=competition.buyer, reason="核减预算", ceiling=25_000_000, closing_at=closing)
    assert bidding.count_standing(competition.find(number)) == 0
    told = session.scalars(select(Notice).where(Notice.act == "commission.amended", Notice.subject.like("bid:%"))).all()
    assert {notice.person_id for notice in told} == {
        world.people["agency"].id,
        world.people["agency2"].id,
    }
    mine = next(bid for bid in bids_of(number) if bid.sha256 == kept["sha256"])
    with transaction():
        bidding.confirm(session.merge(mine), by=world.agency_actor)
    with pytest.raises(faults.NothingToConfirm), transaction():
        bidding.confirm(session.merge(mine), by=world.agency_actor)
    competition.closed(number)
    competition.opened(number)
    assert outcomes(number) == {kept["sha256"]: Outcome.OPENED, lost["sha256"]: Outcome.UNCONFIRMED}


# Who may bid


def test_an_agency_that_may_not_bid_is_told_every_reason_and_nothing_is_stored(competition):
    number = competition.published()
    world = competition.world
    sealed = competition.sealed(number, world.agency, 10_000_000)
    with transaction():
        agency = agencies.by_number(world.agency.number, lock=True)
        agency.regions = ["外省市"]
        agencies.suspend(agency, "检查", by=world.supervisor)
    with pytest.raises(NotEligible) as refused:
        hand_in(competition, number, "agency", world.agency, sealed)
    assert "暂停服务" in refused.value.text()
    assert "服务区域" in refused.value.text()
    assert bids_of(number) == []


def test_an_agency_suspended_after_it_bid_is_opened_with_the_rest_and_not_evaluated(competition):
    number = competition.published()
    world = competition.world
    competition.bid(number, "agency", world.agency, 9_000_000)
    competition.bid(number, "agency2", world.agency2, 10_000_000)
    with transaction():
        agencies.suspend(agencies.by_number(world.agency.number, lock=True), "检查", by=world.supervisor)
    competition.closed(number)
    competition.opened(number)
    found = {row.bid.agency_id: row for row in bidding.opened(competition.find(number))}
    suspended = found[world.agency.id]
    assert (suspended.outcome, suspended.price) == (Outcome.NOT_EVALUATED, 9_000_000)
    assert "暂停服务" in suspended.reason
    assert found[world.agency2.id].outcome is Outcome.OPENED


# What is not a bid


def test_what_is_not_a_sealed_bid_of_this_call_is_refused_before_it_is_stored(competition):
    number = competition.published()
    world = competition.world
    good = competition.sealed(number, world.agency, 10_000_000)
    first, *_rest = good.wraps
    bad = [
        sealing.SealedBid(b"price: 100", good.wraps),
        sealing.SealedBid(good.ciphertext[:-1], good.wraps),
        sealing.SealedBid(good.ciphertext, {first: good.wraps[first]}),
        sealing.SealedBid(good.ciphertext, good.wraps | {first: b"age"}),
    ]
    for sealed in bad:
        with pytest.raises(sealing.BidMalformed):
            hand_in(competition, number, "agency", world.agency, sealed)
    assert bids_of(number) == []


@pytest.mark.parametrize(
    ("change", "outcome", "reason"),
    [
        ({"price": 10_000_000.5}, Outcome.NOT_EVALUATED, "报价不是以分为单位的非负整数"),
        ({"price": "12万"}, Outcome.NOT_EVALUATED, "报价不是以分为单位的非负整数"),
        ({"price": -1}, Outcome.NOT_EVALUATED, "报价不是以分为单位的非负整数"),
        ({"price": 0}, Outcome.NOT_EVALUATED, "报价应大于 0"),
        ({"price": CEILING}, Outcome.OPENED, ""),
        ({"price": CEILING + 1}, Outcome.NOT_EVALUATED, "报价 ¥300,000.01 高于最高限价 ¥300,000.00"),
        ({"price": None}, Outcome.NOT_EVALUATED, "公告要求报总价，报价没有总价"),
        ({"price": None, "discount": 1000}, Outcome.NOT_EVALUATED, "公告要求报总价，报价没有总价"),
        ({"working_days": 21}, Outcome.NOT_EVALUATED, "承诺 21 个工作日，超过公告规定的 20 个"),
        ({"working_days": 0}, Outcome.UNOPENABLE, "报价内容格式不符"),
        ({"call": "CG-2026-999999"}, Outcome.UNOPENABLE, "报价是为另一份公告封装的"),
        ({"organisation": "91350100M000100Y43"}, Outcome.UNOPENABLE, "报价内容中的单位不是提交单位"),
    ],
)  # fmt: skip
def test_each_fault_of_a_bid_is_recorded_with_its_exact_reason(competition, change, outcome, reason):
    number = competition.published()
    agency = competition.world.agency
    content = json.loads(competition.content(number, agency, 10_000_000)) | change
    raw = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    sealed = sealing.seal(raw, number, custody.recipients(competition.find(number).id))
    hand_in(competition, number, "agency", agency, sealed)
    competition.bid(number, "agency2", competition.world.agency2, 12_000_000)
    competition.closed(number)
    competition.opened(number)
    row = next(one for one in bidding.opened(competition.find(number)) if one.bid.sha256 == sealed.sha256)
    assert (row.outcome, row.reason) == (outcome, reason)


def test_a_price_below_the_published_floor_is_not_evaluated(competition):
    number = competition.published()
    with transaction():
        competition.find(number).floor = 5_000_000
    competition.bid(number, "agency", competition.world.agency, 4_999_999)
    competition.bid(number, "agency2", competition.world.agency2, 5_000_000)
    competition.closed(number)
    competition.opened(number)
    reasons = [row.reason for row in bidding.opened(competition.find(number))]
    assert reasons == ["报价 ¥49,999.99 低于最低限价 ¥50,000.00", ""]


# The key is the call's (G2)


def test_none_of_fifty_bids_copied_to_another_call_opens_there(competition):
    """As the 2018 fraud worked: a ciphertext is replayed where it was not meant for."""
    first, second = competition.published(), competition.published()
    world = competition.world
    fifty = [competition.sealed(first, world.agency, 1_000_000 + turn) for turn in range(50)]
    found = competition.find(second)
    keys = {which.value: competition.identities[second, which.value] for which in Custodian}
    opened = 0
    for sealed in fifty:
        with pytest.raises(sealing.Unopenable):
            sealing.open_envelope(sealed.ciphertext, sealed.wraps, second, keys)
            opened += 1
    assert opened == 0
    # Nor through the portal: it takes it, as it can't read it, and the opening says why it doesn't count.
    hand_in(competition, second, "agency", world.agency, fifty[0])
    competition.bid(second, "agency2", world.agency2, 2_000_000)
    competition.closed(second)
    competition.opened(second)
    assert outcomes(second)[fifty[0].sha256] is Outcome.UNOPENABLE
    assert found.number == second


# The opening


@pytest.mark.parametrize("which", list(Custodian))
def test_one_custodian_alone_opens_nothing(competition, which):
    number = competition.published()
    competition.bid(number, "agency", competition.world.agency, 10_000_000)
    competition.closed(number)
    with pytest.raises(sealing.KeysMissing):
        competition.opened(number, (which,))
    assert session.scalars(select(OpenedBid)).all() == []
    assert competition.find(number).opened_at is None


@pytest.mark.parametrize(
    "pair",
    [
        (Custodian.BUYER, Custodian.PLATFORM),
        (Custodian.SUPERVISOR, Custodian.BUYER),
        (Custodian.PLATFORM, Custodian.SUPERVISOR),
    ],
)
def test_any_two_open_all_bids_at_once_and_tell_everybody(competition, pair):
    number = competition.published()
    world = competition.world
    competition.bid(number, "agency", world.agency, 10_000_000)
    competition.bid(number, "agency2", world.agency2, 11_000_000)
    competition.closed(number)
    competition.opened(number, pair)
    call = competition.find(number)
    assert [(row.outcome, row.price) for row in bidding.opened(call)] == [
        (Outcome.OPENED, 10_000_000),
        (Outcome.OPENED, 11_000_000),
    ]
    act = next(act for act in trail.of(call.subject) if act.act == "bids.opened")
    assert act.data["custodians"] == sorted(one.value for one in pair)
    (notice,) = session.scalars(select(PublicNotice).where(PublicNotice.kind == NoticeKind.OPENING)).all()
    assert "¥100,000.00" in str(notice.body)
    assert world.agency2.name in str(notice.body)
    with pytest.raises(faults.BidsOpened), transaction():
        bidding.open_bids(competition.find(number, lock=True), by=competition.custodian(pair[0], call))


def test_bids_open_only_for_a_custodian_and_only_after_the_closing(competition):
    number = competition.published()
    world = competition.world
    competition.bid(number, "agency", world.agency, 10_000_000)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        bidding.open_bids(competition.find(number, lock=True), by=competition.buyer)
    competition.closed(number)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        bidding.open_bids(competition.find(number, lock=True), by=world.actor("agency2"))


def test_an_opening_that_breaks_halfway_opened_nothing(competition, monkeypatch):
    number = competition.published()
    world = competition.world
    competition.bid(number, "agency", world.agency, 10_000_000)
    competition.bid(number, "agency2", world.agency2, 11_000_000)
    competition.closed(number)
    with monkeypatch.context() as broken:
        broken.setattr(calls, "announce", lambda *_a, **_k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            competition.opened(number)
    session.expire_all()
    assert bidding.opened(competition.find(number)) == []
    assert competition.find(number).opened_at is None
    competition.opened(number)
    assert len(bidding.opened(competition.find(number))) == 2


def test_too_few_bids_fail_the_call_unopened(competition):
    number = competition.published(Route.INVITATION)
    receipt = competition.bid(number, "agency", competition.world.agency, 10_000_000)
    competition.closed(number)
    call = competition.find(number)
    assert call.commission.status == CommissionStatus.FAILED
    assert call.failed_reason == "有效报价 1 家，少于规定的 2 家，报价不开启"
    assert bidding.opened(call) == []
    with pytest.raises(custody.OpeningOver), transaction():
        custody.hand_in(
            call.id, Custodian.BUYER, competition.identities[number, "buyer"], by=competition.buyer
        )  # fmt: skip
    told = session.scalars(select(Notice).where(Notice.act == "call.failed", Notice.subject.like("bid:%"))).all()
    assert [notice.person_id for notice in told] == [competition.world.people["agency"].id]
    assert receipt["call"] == number


def test_a_withdrawn_call_tells_whoever_bid_and_opens_nothing(competition):
    number = competition.published()
    competition.bid(number, "agency", competition.world.agency, 10_000_000)
    with transaction():
        calls.withdraw(competition.find(number, lock=True), "项目调整", by=competition.buyer)
    told = session.scalars(select(Notice).where(Notice.act == "commission.cancelled", Notice.subject.like("bid:%")))
    assert [notice.person_id for notice in told] == [competition.world.people["agency"].id]
    sandbox.forward(timedelta(days=30))
    assert session.scalars(select(OpenedBid)).all() == []


def test_small_purchases_open_by_the_platforms_own_key_at_the_closing(competition):
    number = competition.published(ceiling=9_000_000)
    call = competition.find(number)
    assert set(custody.recipients(call.id)) == {"platform"}
    competition.bid(number, "agency", competition.world.agency, 8_000_000)
    assert custody.identities(call.id) == {}
    closing = closing_of(competition, number)
    competition.closed(number)
    call = competition.find(number)
    assert [row.price for row in bidding.opened(call)] == [8_000_000]
    assert call.opened_at == closing


def test_a_bid_for_a_draw_has_no_price(competition):
    number = competition.published(Route.DRAW)
    competition.bid(number, "agency", competition.world.agency, None)
    competition.closed(number)
    assert [(row.outcome, row.price) for row in bidding.opened(competition.find(number))] == [(Outcome.OPENED, None)]


def test_files_in_a_bid_are_judged_like_uploads_and_readable_after_the_opening(competition, world):
    from tests.conftest import small_pdf

    number = competition.published()
    files = (
        sealing.BidFile("方案.pdf", small_pdf("方案")),
        sealing.BidFile("virus.exe", b"MZ" + b"0" * 100),
    )
    competition.bid(number, "agency", world.agency, 10_000_000, files=files)
    competition.closed(number)
    competition.opened(number)
    (row,) = bidding.opened(competition.find(number))
    (kept,) = row.files
    assert kept.document.name == "方案.pdf"
    assert bidding.may_read(kept.document, None)
    assert "refused" in row.content["files"][1]
    assert "refused" not in row.content["files"][0]


# Afterwards


def test_anyone_repeats_the_opening_and_what_stayed_sealed_is_not_published(competition, tmp_path: Path):
    number = competition.published()
    world = competition.world
    replaced = competition.bid(number, "agency", world.agency, 12_000_000)
    competition.bid(number, "agency", world.agency, 11_000_000)
    competition.bid(number, "agency2", world.agency2, 10_000_000)
    with pytest.raises(faults.NotOpenedYet):
        bidding.bundle(competition.find(number))
    competition.closed(number)
    competition.opened(number)
    call = competition.find(number)
    archive = bidding.bundle(call)
    assert archive == bidding.bundle(call)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(tmp_path)
        names = opened.namelist()
    report = sealing.open_bundle(tmp_path / "opening")
    prices = sorted(one.price for one in report.opened.values() if isinstance(one, sealing.BidContent))
    assert prices == [10_000_000, 11_000_000]
    assert not [name for name in names if replaced["sha256"] in name]
    assert replaced["sha256"] in (tmp_path / "opening" / "README").read_text("utf-8")


def test_the_bidder_of_an_unopenable_bid_produces_its_key_and_the_outcome_stays(competition, tmp_path: Path):
    number = competition.published()
    world = competition.world
    good = competition.sealed(number, world.agency, 10_000_000)
    strangers = competition.sealed(number, world.agency, 10_000_000)
    broken = sealing.SealedBid(good.ciphertext, strangers.wraps, good.one_bid_key)
    hand_in(competition, number, "agency", world.agency, broken)
    competition.bid(number, "agency2", world.agency2, 11_000_000)
    competition.closed(number)
    competition.opened(number)
    bid = next(one for one in bids_of(number) if one.sha256 == broken.sha256)
    assert outcomes(number)[broken.sha256] is Outcome.UNOPENABLE
    with pytest.raises(sealing.Unopenable), transaction():
        bidding.produce_key(session.merge(bid), strangers.one_bid_key, by=world.agency_actor)
    with pytest.raises(faults.NotYourBid), transaction():
        bidding.produce_key(session.merge(bid), good.one_bid_key, by=world.actor("agency2"))
    with transaction():
        record = bidding.produce_key(session.merge(bid), good.one_bid_key, by=world.agency_actor)
    assert record.content["price"] == 10_000_000
    assert outcomes(number)[broken.sha256] is Outcome.UNOPENABLE
    with pytest.raises(faults.KeyNotNeeded), transaction():
        bidding.produce_key(session.merge(bid), good.one_bid_key, by=world.agency_actor)
    bidding.write_bundle(competition.find(number), tmp_path)
    report = sealing.open_bundle(tmp_path)
    assert isinstance(report.opened[broken.sha256], sealing.BidContent)


def test_the_trail_of_a_bid_names_nobody_before_the_opening_and_everything_after(competition):
    number = competition.published()
    world = competition.world
    competition.bid(number, "agency", world.agency, 10_000_000)
    before = [act for act in trail.everything_unscoped() if act.subject.startswith("bid:")]
    assert [act.act for act in before] == ["bid.received"]
    told = "".join(f"{act.person}{act.organisation}{act.data}" for act in before)
    assert world.agency.name not in told
    assert world.agency.number not in told
    assert number not in told
    competition.closed(number)
    competition.opened(number)
    after = trail.of(bids_of(number)[0].subject)
    assert [act.act for act in after] == ["bid.received", "bid.opened"]
    assert after[-1].data["agency"] == world.agency.name
    assert trail.verify(after[0].subject) == (2, [])


def test_a_bid_leaves_no_mark_on_the_call(competition):
    """A public record's version and modified time do not move with a bid."""
    number = competition.published()
    call = competition.find(number)
    before = (call.commission.version, len(trail.of(call.subject)), session.scalars(select(PublicNotice.number)).all())
    competition.bid(number, "agency", competition.world.agency, 10_000_000)
    session.expire_all()
    call = competition.find(number)
    assert before == (
        call.commission.version,
        len(trail.of(call.subject)),
        session.scalars(select(PublicNotice.number)).all(),
    )


def test_the_thousandth_bid_asks_the_database_no_more_than_the_first(competition):
    """Counted in statements and in rows read: nothing about a bid looks at the others."""
    number = competition.published()
    world = competition.world
    counts = []

    def counted(price: int) -> int:
        seen: list[str] = []
        sealed = competition.sealed(number, world.agency, price)

        def note(_conn: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            seen.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            hand_in(competition, number, "agency", world.agency, sealed)
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        return len(seen)

    counts = [counted(10_000_000 + turn) for turn in range(12)]
    assert len(set(counts[1:])) == 1


def test_the_people_of_an_agency_are_the_ones_who_bid(competition):
    number = competition.published()
    world = competition.world
    with pytest.raises(faults.NotYourBid), transaction():
        bidding.submit(
            number,
            session.merge(world.agency),
            ciphertext=b"",
            wraps={},
            sealed_by=SealedBy.OFFLINE,
            by=actor_of(world.people["applicant"]),
        )
    assert jobs.run_due() >= 0
