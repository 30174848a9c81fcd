"""Random draws held in the portal: list first, seeds sealed and then opened, one draw that decides (G7)."""

from __future__ import annotations

import base64
import io
import json
import threading
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from kernel import clock, draws, jobs, sandbox, sealing, trail
from kernel.db import session, transaction
from kernel.draws import ListChanged, SeedMismatch
from kernel.errors import NotFound
from kernel.notifications import Notice
from kernel.trail import CLOCK, Actor, TrailAct
from kernel.web.draw_commands import draw_group
from kernel.workflow import MoveNotOpen, StaleVersion
from market import drawing
from market.custody import Custodian, CustodianKey
from market.drawing import DrawPurpose, DrawStatus

CANDIDATES = [
    ("ZJ-000351", "湖畔环评中心"),
    ("ZJ-000017", "江河咨询有限公司"),
    ("ZJ-000102", "山川设计院"),
    ("ZJ-9", "平野"),
]
RULE = "抽取一家，第一位中选，其余依次递补"
PARTIES = ("buyer", "platform", "supervisor")
SOURCE = "2026-03-03 开奖的双色球红球，按开出顺序"


class Booth:
    """Drives a draw through its verbs, each in a transaction of its own; keeps what the parties keep."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.seeds: dict[str, str] = {}
        self.identities: dict[str, str] = {}

    @property
    def people(self) -> dict[str, Actor]:
        return {"buyer": self.world.applicant, "platform": self.world.operator, "supervisor": self.world.supervisor}

    @property
    def parties(self) -> dict[str, int]:
        return drawing.standard_parties(self.world.client_org.id)

    def hold(self, candidates: Any = CANDIDATES, *, of: str = "commission:WT-1", picks: int = 1, **more: Any) -> str:
        with transaction():
            purpose = more.pop("purpose", DrawPurpose.AGENCY)
            held = drawing.hold(of, purpose, candidates, picks, RULE, self.parties, by=self.world.applicant, **more)
            return held.number

    def keyed(self) -> None:
        """Long-term keys of all three custodians."""
        with transaction():
            for custodian in Custodian:
                self.identities[custodian.value] = sealing.fresh_identity()
                session.add(
                    CustodianKey(
                        custodian=custodian,
                        organisation_id=self.parties[custodian.value],
                        recipient=sealing.recipient_of(self.identities[custodian.value]),
                        registered_at=clock.now(),
                        registered_by="测试",
                    )
                )

    def commit(self, number: str, *parties: str) -> None:
        for party in parties or PARTIES:
            with transaction():
                held = drawing.find(number, lock=True)
                self.seeds[party] = drawing.commit_by_server(held, party, by=self.people[party])

    def reveal(self, number: str, *parties: str) -> None:
        for party in parties or PARTIES:
            with transaction():
                drawing.reveal(drawing.find(number, lock=True), party, self.seeds[party], by=self.people[party])

    def drawn(self, **more: Any) -> str:
        number = self.hold(**more)
        self.commit(number)
        self.reveal(number)
        return number


@pytest.fixture
def booth(world: Any) -> Booth:
    return Booth(world)


def acts_of(number: str) -> list[str]:
    return [act.act for act in trail.of(f"draw:{number}")]


def verify(record: str, folder: Path) -> int:
    file = folder / "draw.json"
    file.write_bytes(record.encode())
    return CliRunner().invoke(draw_group, ["verify", str(file)]).exit_code


# The whole run


def test_three_parties_draw_and_a_stranger_verifies_the_record(booth, tmp_path):
    number = booth.hold()
    assert drawing.find(number).status is DrawStatus.LISTED
    booth.commit(number)
    assert drawing.find(number).status is DrawStatus.COMMITTED
    booth.reveal(number, "platform", "supervisor")
    assert drawing.find(number).status is DrawStatus.COMMITTED
    booth.reveal(number, "buyer")
    held = drawing.find(number)
    assert held.status is DrawStatus.DRAWN
    assert held.record is not None
    assert verify(held.record, tmp_path) == 0
    assert verify(held.record.replace(RULE, RULE[:-1]), tmp_path) == 1
    assert sorted(drawing.order(held)) == sorted(key for key, _name in CANDIDATES)
    assert drawing.picked(held) == drawing.order(held)[:1]
    assert acts_of(number) == [
        "draw.listed", *["draw.pledged"] * 3, "draw.committed", *["draw.revealed"] * 3, "draw.drawn"
    ]  # fmt: skip
    drawn = trail.of(held.subject)[-1]
    record = draws.read(held.record)
    assert drawn.data["order"] == drawing.order(held)
    assert drawn.data["list_hash"] == held.list_hash == record.list_hash
    assert drawn.data["record_hash"] == record.record_hash
    assert drawn.data["of"] == "commission:WT-1"


def test_whoever_waits_for_the_draw_is_called_in_its_transaction(booth, monkeypatch):
    heard: list[tuple[str, list[str]]] = []

    def listen(act: TrailAct, by: Actor) -> None:
        held = drawing.find(act.subject.partition(":")[2])
        heard.append((held.number, drawing.order(held)))

    monkeypatch.setitem(trail._subscribers, "draw.drawn", (listen,))
    number = booth.drawn()
    assert heard == [(number, drawing.order(drawing.find(number)))]


def test_what_the_list_says_is_what_its_hash_is_over(booth):
    held = drawing.find(booth.hold(picks=2))
    assert [one["id"] for one in held.candidates] == sorted(key for key, _name in CANDIDATES)
    rule = draws.Rule(RULE, 2, PARTIES, None)
    assert held.list_hash == draws.list_hash(held.number, rule, [draws.Candidate(*one) for one in CANDIDATES])
    assert trail.of(held.subject)[0].data["list_hash"] == held.list_hash


def test_a_name_that_no_draw_can_hold_does_not_stop_the_draw(booth, tmp_path):
    number = booth.drawn(candidates=[("ZJ-1", "甲\u202e公司\n"), ("ZJ-2", "\x00")])
    held = drawing.find(number)
    assert [one["name"] for one in held.candidates] == ["甲 公司", "ZJ-2"]
    assert verify(held.record, tmp_path) == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 12), seeds=st.lists(st.binary(min_size=32, max_size=32), min_size=3, max_size=3))
def test_the_order_depends_on_list_and_seeds_alone(booth, count, seeds):
    """Whatever the seeds and in whichever order they come, the stored record is what anybody works out from them."""
    candidates = [(f"ZJ-{place}", f"机构{place}") for place in range(count)]
    number = booth.hold(candidates, of=f"commission:{uuid.uuid4()}")
    for party, seed in zip(PARTIES, seeds, strict=True):
        booth.seeds[party] = seed.hex()
        with transaction():
            held = drawing.find(number, lock=True)
            drawing.commit(held, party, draws.commitment(number, party, seed.hex()), by=booth.people[party])
    booth.reveal(number, *sorted(PARTIES, key=lambda party: booth.seeds[party]))
    held = drawing.find(number)
    common = draws.seed_of(held.list_hash, [booth.seeds[party] for party in PARTIES], None)
    assert tuple(drawing.order(held)) == draws.shuffled(common, sorted(key for key, _name in candidates))[0]


# One draw that decides


def test_a_second_draw_of_one_subject_is_refused_by_name(booth):
    number = booth.hold()
    for more in ({}, {"candidates": [("ZJ-5", "新")]}):
        with pytest.raises(drawing.DrawHeldAlready) as refused:
            booth.hold(**more)
        assert number in refused.value.text()
    booth.commit(number)
    booth.reveal(number)
    for fewer in (CANDIDATES, CANDIDATES[:2]):
        with pytest.raises(drawing.DrawHeldAlready):
            booth.hold(fewer)
    assert drawing.find(booth.hold(purpose=DrawPurpose.TIE)).run == 1
    assert drawing.find(booth.hold(of="commission:WT-2")).run == 1
    assert drawing.find(booth.hold([*CANDIDATES, ("ZJ-5", "新")])).run == 2
    assert [held.run for held in drawing.of_subject("commission:WT-1", DrawPurpose.AGENCY)] == [1, 2]


def test_two_people_at_once_hold_one_draw(booth):
    """Both find none; the constraint is the last word, and the loser is told by name."""
    asked, held = threading.Event(), threading.Event()
    ends: dict[str, object] = {}

    def first() -> None:
        with booth.world.portal.app_context(), transaction():
            ends["first"] = drawing.hold(
                "commission:WT-1", DrawPurpose.AGENCY, CANDIDATES, 1, RULE, parties, by=applicant
            ).number
            held.set()
            asked.wait(20)

    def second() -> None:
        held.wait(20)
        try:
            with booth.world.portal.app_context(), transaction():
                session.execute(text("SELECT 1"))
                threading.Timer(0.5, asked.set).start()
                drawing.hold("commission:WT-1", DrawPurpose.AGENCY, CANDIDATES, 1, RULE, parties, by=applicant)
        except Exception as fault:
            ends["second"] = fault

    parties, applicant = booth.parties, booth.world.applicant
    session.rollback()
    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert isinstance(ends["second"], drawing.DrawHeldAlready), ends
    assert [one.number for one in drawing.of_subject("commission:WT-1", DrawPurpose.AGENCY)] == [ends["first"]]


def test_the_last_two_seeds_at_once_draw_once(booth):
    number = booth.hold()
    booth.commit(number)
    booth.reveal(number, "buyer")
    ends: list[BaseException] = []
    people = booth.people

    def run(party: str) -> None:
        try:
            with booth.world.portal.app_context(), transaction():
                drawing.reveal(drawing.find(number, lock=True), party, booth.seeds[party], by=people[party])
        except BaseException as fault:
            ends.append(fault)

    session.rollback()
    threads = [threading.Thread(target=run, args=(party,)) for party in ("platform", "supervisor")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ends == []
    assert acts_of(number).count("draw.drawn") == 1


# The list comes first and stays


def test_nobody_commits_before_the_list_is_published(booth):
    with pytest.raises(NotFound):
        booth.commit("CQ-2026-000999", "buyer")
    number = booth.hold()
    booth.commit(number)
    held = drawing.find(number)
    assert all(party.committed_at >= held.listed_at for party in held.parties)
    assert acts_of(number)[0] == "draw.listed"


def test_a_published_list_is_not_written_again(booth):
    number = booth.hold(outside_source=SOURCE)
    for column, value in {
        "candidates": [{"id": "ZJ-000351", "name": "湖畔环评中心"}],
        "rule": "抽取两家",
        "picks": 2,
        "list_hash": "0" * 64,
        "outside_source": "随便",
        "recipients": {"buyer": "age1…"},
    }.items():
        before = getattr(drawing.find(number), column)
        with pytest.raises(drawing.PublishedOnce), transaction():
            setattr(drawing.find(number, lock=True), column, value)
        session.expire_all()
        assert getattr(drawing.find(number), column) == before


@pytest.mark.parametrize("with_its_hash", [False, True])
def test_a_candidate_slipped_into_the_database_stops_the_draw(booth, owner_engine, with_its_hash):
    """Even one who rewrites the hash beside the list: the draw goes by the hash in the trail."""
    number = booth.hold()
    booth.commit(number)
    booth.reveal(number, "buyer", "platform")
    slipped = [*({"id": key, "name": name} for key, name in sorted(CANDIDATES)), {"id": "ZZ-1", "name": "亲戚"}]
    hashed = draws.list_hash(number, draws.Rule(RULE, 1, PARTIES, None), [draws.Candidate(**one) for one in slipped])
    with owner_engine.connect() as connection:
        connection.execute(
            text("UPDATE draws SET candidates = CAST(:list AS jsonb), list_hash = coalesce(:hash, list_hash)"),
            {"list": json.dumps(slipped), "hash": hashed if with_its_hash else None},
        )
    with pytest.raises(ListChanged):
        booth.reveal(number, "supervisor")
    session.expire_all()
    assert drawing.find(number).status is DrawStatus.COMMITTED


def test_a_commitment_exchanged_in_the_database_stops_the_draw(booth, owner_engine):
    number = booth.hold()
    booth.commit(number)
    booth.reveal(number, "buyer", "platform")
    other = draws.fresh_seed()
    with owner_engine.connect() as connection:
        connection.execute(
            text("UPDATE draw_parties SET commitment = :new WHERE party = 'supervisor'"),
            {"new": draws.commitment(number, "supervisor", other)},
        )
    booth.seeds["supervisor"] = other
    with pytest.raises(SeedMismatch):
        booth.reveal(number, "supervisor")


def test_the_record_is_stored_once(booth, tmp_path):
    number = booth.drawn()
    text_once = drawing.find(number).record
    with pytest.raises(drawing.PublishedOnce), transaction():
        drawing.find(number, lock=True).record = text_once + " "
    with pytest.raises(drawing.PublishedOnce), transaction():
        drawing.find(number, lock=True).record = None
    for again in (booth.commit, booth.reveal):
        with pytest.raises((drawing.CommittedAlready, drawing.RevealedAlready)):
            again(number)
    session.expire_all()
    assert drawing.find(number).record == text_once


def test_the_database_holds_no_record_without_a_draw(booth, owner_engine):
    booth.hold()
    for change in ("record = '{}'", "status = 'drawn'"):
        with owner_engine.connect() as connection, pytest.raises(IntegrityError):
            connection.execute(text(f"UPDATE draws SET {change}"))  # noqa: S608


def test_a_record_damaged_in_the_database_gives_no_order(booth, owner_engine):
    number = booth.drawn()
    with owner_engine.connect() as connection:
        connection.execute(text("UPDATE draws SET record = replace(record, '山川', '山木')"))
    session.expire_all()
    with pytest.raises(draws.DrawRecordBroken):
        drawing.order(drawing.find(number))


# Only the parties


def test_only_a_partys_own_people_act_for_it(booth):
    number = booth.hold()
    strangers = [
        booth.world.actor(login) for login in ("agency", "applicant2", "security", "auditor", "authority", "operator")
    ]
    for stranger in strangers:
        with pytest.raises(drawing.NotYourDraw), transaction():
            drawing.commit_by_server(drawing.find(number, lock=True), "buyer", by=stranger)
    booth.commit(number)
    for stranger in strangers:
        with pytest.raises(drawing.NotYourDraw), transaction():
            drawing.reveal(drawing.find(number, lock=True), "buyer", booth.seeds["buyer"], by=stranger)
    assert drawing.find(number).parties[0].seed is None


def test_the_auditor_of_the_supervisors_office_does_not_act_for_it(booth):
    number = booth.hold()
    assert booth.world.actor("auditor").organisation_id == booth.parties["supervisor"]
    assert drawing.moves(drawing.find(number), booth.world.actor("auditor")) == []
    assert drawing.moves(drawing.find(number), booth.world.supervisor) == ["commit"]


def test_a_party_commits_once_and_an_unknown_one_never(booth):
    number = booth.hold()
    booth.commit(number, "buyer")
    with pytest.raises(drawing.CommittedAlready):
        booth.commit(number, "buyer")
    with pytest.raises(NotFound), transaction():
        drawing.commit_by_server(drawing.find(number, lock=True), "nobody", by=booth.world.applicant)


def test_what_is_no_commitment_is_refused(booth):
    number = booth.hold()
    for commitment in ("", "abc", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"):
        with pytest.raises(drawing.CommitmentUnreadable), transaction():
            drawing.commit(drawing.find(number, lock=True), "buyer", commitment, by=booth.world.applicant)


def test_no_seed_is_opened_before_all_have_committed(booth):
    number = booth.hold()
    booth.commit(number, "buyer", "platform")
    with pytest.raises(MoveNotOpen):
        booth.reveal(number, "buyer")
    assert {party.party: party.seed for party in drawing.find(number).parties} == dict.fromkeys(PARTIES)


def test_another_seed_than_the_committed_one_is_refused(booth):
    number = booth.hold()
    booth.commit(number)
    booth.seeds["buyer"] = draws.fresh_seed()
    with pytest.raises(SeedMismatch):
        booth.reveal(number, "buyer")
    booth.seeds["buyer"] = "xyz"
    with pytest.raises(drawing.SeedUnreadable):
        booth.reveal(number, "buyer")


def test_a_stale_page_is_refused(booth):
    number = booth.hold()
    booth.commit(number, "platform")
    with pytest.raises(StaleVersion), transaction():
        held = drawing.find(number, lock=True)
        drawing.commit_by_server(held, "buyer", by=booth.world.applicant, expected_version=1)


def test_one_organisation_alone_draws_nothing(booth):
    with pytest.raises(drawing.TooFewParties), transaction():
        drawing.hold("c:1", DrawPurpose.TIE, CANDIDATES, 1, RULE, {"a": 1, "b": 1}, by=CLOCK)
    with pytest.raises(drawing.TooFewParties), transaction():
        drawing.hold("c:1", DrawPurpose.TIE, CANDIDATES, 1, RULE, {}, by=CLOCK, outside_source=SOURCE)


def test_the_standard_parties_are_buyer_platform_and_supervisor(booth):
    organisations = booth.world.organisations
    assert booth.parties == {
        "buyer": organisations["宏远"].id,
        "platform": organisations["运营"].id,
        "supervisor": organisations["工改"].id,
    }


# Sealed seeds


def test_a_withheld_seed_is_opened_by_any_two_custodians(booth, tmp_path):
    booth.keyed()
    number = booth.hold()
    booth.commit(number)
    booth.reveal(number, "platform", "supervisor")
    held = drawing.find(number)
    archive = zipfile.ZipFile(io.BytesIO(drawing.sealed_zip(held)))
    folder = f"{number}/buyer"
    assert {name for name in archive.namelist() if name.startswith(folder)} == {
        f"{folder}/seed.age", *(f"{folder}/key.{pair}.age" for pair in sealing.wrap_names(PARTIES))
    }  # fmt: skip
    assert not any("platform/" in name for name in archive.namelist())  # what is open needs no custodian
    for pair in ("platform+supervisor", "buyer+platform"):
        first, second = (booth.identities[name] for name in pair.split("+"))
        key = sealing.unwrap(archive.read(f"{folder}/key.{pair}.age"), first, second)
        seed = sealing.open_with_key(archive.read(f"{folder}/seed.age"), key, number).decode()
        assert seed == booth.seeds["buyer"]
    with pytest.raises(drawing.WithheldTooSoon), transaction():
        drawing.reveal_withheld(drawing.find(number, lock=True), "buyer", seed, by=booth.world.supervisor)
    sandbox.move_to(drawing.withheld_from(held))
    with pytest.raises(SeedMismatch), transaction():
        drawing.reveal_withheld(drawing.find(number, lock=True), "buyer", draws.fresh_seed(), by=booth.world.supervisor)
    with pytest.raises(drawing.NotYourDraw), transaction():
        drawing.reveal_withheld(drawing.find(number, lock=True), "buyer", seed, by=booth.world.agency_actor)
    with transaction():
        drawing.reveal_withheld(drawing.find(number, lock=True), "buyer", seed, by=booth.world.supervisor)
    held = drawing.find(number)
    assert held.status is DrawStatus.DRAWN
    assert {party.party: party.is_opened for party in held.parties} == {
        "buyer": True, "platform": False, "supervisor": False
    }  # fmt: skip
    assert "draw.opened" in acts_of(number)
    assert verify(held.record, tmp_path) == 0


def test_no_single_custodian_and_no_server_reads_a_seed(booth):
    booth.keyed()
    number = booth.hold()
    booth.commit(number, "buyer")
    sealed = drawing.find(number).parties[0].sealed
    stored = str(sealed) + str([act.data for act in trail.of(f"draw:{number}")])
    assert booth.seeds["buyer"] not in stored
    wraps = {pair: base64.b64decode(wrap) for pair, wrap in sealed["wraps"].items()}
    for name, identity in booth.identities.items():
        for pair in wraps:
            if name in pair:
                with pytest.raises(sealing.Unopenable):
                    sealing.unwrap(wraps[pair], identity)


def test_where_custodians_have_keys_a_commitment_without_its_sealed_seed_is_refused(booth):
    booth.keyed()
    number = booth.hold()
    seed = draws.fresh_seed()
    commitment = draws.commitment(number, "buyer", seed)
    with pytest.raises(drawing.SeedUnsealed), transaction():
        drawing.commit(drawing.find(number, lock=True), "buyer", commitment, by=booth.world.applicant)
    held = drawing.find(number)
    two = {name: held.recipients[name] for name in ("buyer", "platform")}
    with pytest.raises(sealing.WrapsIncomplete), transaction():
        sealed = sealing.seal(seed.encode(), number, two, classes=(drawing.SEED_CLASS,))
        drawing.commit(drawing.find(number, lock=True), "buyer", commitment, sealed, by=booth.world.applicant)
    with transaction():
        sealed = sealing.seal(seed.encode(), number, held.recipients, classes=(drawing.SEED_CLASS,))
        drawing.commit(drawing.find(number, lock=True), "buyer", commitment, sealed, by=booth.world.applicant)
    assert not drawing.find(number).parties[0].is_made_here


def test_one_custodians_key_alone_seals_nothing(booth):
    """What one person could open isn't sealed; the page says so."""
    with transaction():
        session.add(
            CustodianKey(
                custodian=Custodian.BUYER,
                organisation_id=booth.parties["buyer"],
                recipient=sealing.recipient_of(sealing.fresh_identity()),
                registered_at=clock.now(),
                registered_by="测试",
            )
        )
    number = booth.hold()
    booth.commit(number)
    assert drawing.find(number).recipients == {}
    assert drawing.find(number).parties[0].sealed == {}


# The outside value


def test_a_named_outside_value_is_part_of_the_draw_and_comes_before_the_seeds(booth, tmp_path):
    number = booth.hold(outside_source=SOURCE)
    with pytest.raises(MoveNotOpen), transaction():
        drawing.enter_outside(drawing.find(number, lock=True), "03 11 17", by=booth.world.operator)
    booth.commit(number)
    with pytest.raises(drawing.OutsideValueAwaited):
        booth.reveal(number, "buyer")
    with pytest.raises(MoveNotOpen), transaction():
        drawing.enter_outside(drawing.find(number, lock=True), "03 11 17", by=booth.world.applicant)
    for value in ("03 11 71", "03 11 17"):  # mistyped, then mended before any seed is open
        with transaction():
            drawing.enter_outside(drawing.find(number, lock=True), value, by=booth.world.operator)
    booth.reveal(number, "buyer")
    with pytest.raises(drawing.OutsideValueFixed), transaction():
        drawing.enter_outside(drawing.find(number, lock=True), "03 11 18", by=booth.world.operator)
    booth.reveal(number, "platform", "supervisor")
    held = drawing.find(number)
    assert drawing.record_of(held).outside == "03 11 17"
    assert drawing.record_of(held).rule.outside == SOURCE
    assert verify(held.record, tmp_path) == 0


def test_what_is_no_outside_value_is_refused(booth):
    number = booth.hold(outside_source=SOURCE)
    booth.commit(number)
    for value in ("", "  ", "a\nb", "x" * 501):
        with pytest.raises(drawing.OutsideValueUnreadable), transaction():
            drawing.enter_outside(drawing.find(number, lock=True), value, by=booth.world.operator)


def test_a_draw_without_a_named_source_takes_no_outside_value(booth):
    number = booth.hold()
    booth.commit(number)
    with pytest.raises(draws.OutsideValueMismatch), transaction():
        drawing.enter_outside(drawing.find(number, lock=True), "1", by=booth.world.operator)


# Who is late


def told(login: str, booth: Booth) -> list[str]:
    person = booth.world.people[login].id
    rows = session.scalars(select(Notice).where(Notice.person_id == person).order_by(Notice.id))
    return [notice.act for notice in rows if notice.act.startswith("draw.")]


def test_those_who_are_awaited_are_urged_and_nobody_else(booth):
    number = booth.hold()
    booth.commit(number, "buyer", "platform")
    assert [party.party for party in drawing.awaited(drawing.find(number))] == ["supervisor"]
    day = clock.china().nth_working_day(clock.today(), 2)
    sandbox.move_to(clock.instant_of(day))
    jobs.run_due()
    assert "draw.urged" not in acts_of(number)
    sandbox.move_to(clock.instant_of(day) + timedelta(days=1))
    jobs.run_due()
    jobs.run_due()
    assert acts_of(number).count("draw.urged") == 1
    assert trail.of(f"draw:{number}")[-1].data["waiting"] == ["supervisor"]
    assert told("supervisor", booth) == ["draw.listed", "draw.urged"]
    assert told("applicant", booth) == ["draw.listed"]
    booth.commit(number, "supervisor")
    booth.reveal(number)
    assert drawing.find(number).next_check_at is None
    sandbox.move_to(clock.now() + timedelta(days=60))
    jobs.run_due()
    assert acts_of(number).count("draw.urged") == 1
    assert told("applicant", booth) == ["draw.listed", "draw.committed", "draw.drawn"]


def test_a_forgotten_draw_is_not_urged_for_ever(booth):
    number = booth.hold()
    sandbox.move_to(clock.now() + timedelta(days=120))
    jobs.run_due()
    assert acts_of(number).count("draw.urged") == 5
    assert drawing.find(number).status is DrawStatus.LISTED


def test_an_unfinished_draw_has_no_order(booth):
    number = booth.hold()
    with pytest.raises(drawing.NotDrawnYet):
        drawing.order(drawing.find(number))


def test_the_file_that_a_party_keeps_gives_its_seed_back(booth):
    held, seed = drawing.find(booth.hold()), draws.fresh_seed()
    file = drawing.seed_file(held, "buyer", seed)
    for words in (file, file.replace("\n", ""), seed, f"  {seed.upper()}\r\n"):
        assert drawing.seed_in(words) == seed
    for words in ("", "# 抽取", f"{seed}\n{draws.fresh_seed()}", seed[:-1], seed + "0"):
        with pytest.raises(drawing.SeedUnreadable):
            drawing.seed_in(words)
