"""Custodians' keys: who gives them, when, and that nobody can hand one in early (competition, "Sealed bids", 1)."""

from __future__ import annotations

import base64
import stat
from typing import Any

import pytest
from sqlalchemy import select

from kernel import sealing, trail
from kernel.accounts import Organisation
from kernel.config import Config
from kernel.db import session, transaction
from kernel.notifications import Notice
from market import bidding, calls, custody
from market.commissions import CommissionStatus
from market.custody import CallKey, Custodian
from market.routes import CustodyKind
from tests.competition import Competition


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


def call_key(number: str, long_term: str) -> tuple[str, str, str]:
    """(identity, recipient, protected) as a custodian's own machine makes them."""
    identity = sealing.fresh_identity()
    protected = sealing.protect(identity, number, sealing.recipient_of(long_term))
    return identity, sealing.recipient_of(identity), base64.b64encode(protected).decode()


def registered(competition: Competition, which: Custodian, by: Any) -> str:
    long_term = sealing.fresh_identity()
    with transaction():
        organisation = session.get_one(Organisation, by.organisation_id)
        custody.register(which, organisation, sealing.recipient_of(long_term), by=by)
    return long_term


def test_only_the_custodians_own_people_register_a_key_and_the_last_one_is_in_force(competition):
    world = competition.world
    first = registered(competition, Custodian.SUPERVISOR, world.supervisor)
    second = registered(competition, Custodian.SUPERVISOR, world.supervisor)
    key = custody.in_force(Custodian.SUPERVISOR)
    assert key is not None
    assert key.recipient == sealing.recipient_of(second) != sealing.recipient_of(first)
    for which, actor in (
        (Custodian.PLATFORM, world.supervisor),
        (Custodian.SUPERVISOR, world.operator),
        (Custodian.BUYER, world.agency_actor),
    ):
        with pytest.raises(custody.NotCustodian), transaction():
            organisation = session.get_one(Organisation, actor.organisation_id)
            custody.register(which, organisation, sealing.recipient_of(sealing.fresh_identity()), by=actor)
    with pytest.raises(custody.NotCustodian), transaction():
        custody.register(
            Custodian.SUPERVISOR,
            session.merge(world.client_org),
            sealing.recipient_of(sealing.fresh_identity()),
            by=world.supervisor,
        )
    for typed, fault in ((first, custody.PrivateKeyPasted), ("age1x", sealing.RecipientUnreadable)):
        with pytest.raises(fault) as refused, transaction():
            organisation = session.get_one(Organisation, world.supervisor.organisation_id)
            custody.register(Custodian.SUPERVISOR, organisation, typed, by=world.supervisor)
        assert first not in refused.value.text()


def test_a_call_is_ready_when_all_three_gave_a_key_and_no_long_term_key_is_stored(competition):
    number = competition.needed()
    call = competition.find(number)
    assert not custody.is_ready(call.id, CustodyKind.THREE)
    assert custody.is_ready(call.id, CustodyKind.PLATFORM)
    competition.keyed(number)
    assert custody.is_ready(call.id, CustodyKind.THREE)
    assert set(custody.recipients(call.id)) == {"buyer", "platform", "supervisor"}
    stored = session.scalars(select(CallKey)).all()
    assert all(key.identity is None for key in stored)
    for key in stored:
        raw = base64.b64decode(key.protected)
        assert b"AGE-SECRET-KEY" not in raw
        assert (
            sealing.recover(raw, number, competition.long_term[key.custodian])
            == (competition.identities[number, key.custodian.value])
        )
    assert custody.parties(call.id, call.commission.client_id) == {
        Custodian.BUYER: competition.buyer.organisation_id,
        Custodian.PLATFORM: competition.world.operator.organisation_id,
        Custodian.SUPERVISOR: competition.world.supervisor.organisation_id,
    }


def test_a_key_is_given_by_its_custodian_fresh_and_before_the_notice(competition):
    number = competition.needed()
    call = competition.find(number)
    world = competition.world
    _identity, recipient, protected = call_key(number, sealing.fresh_identity())
    with pytest.raises(custody.KeyNotRegistered), transaction():
        custody.provide(call.id, Custodian.SUPERVISOR, recipient, protected, by=world.supervisor)
    long_term = registered(competition, Custodian.SUPERVISOR, world.supervisor)
    with pytest.raises(custody.NotCustodian), transaction():
        custody.provide(call.id, Custodian.BUYER, recipient, protected, by=world.supervisor)
    with pytest.raises(custody.NotCustodian), transaction():
        custody.provide(call.id, Custodian.BUYER, recipient, protected, by=world.actor("applicant2"))
    for broken in ("", "AGE-SECRET-KEY-1", base64.b64encode(b"AGE-SECRET-KEY-1").decode(), "x" * 9000):
        with pytest.raises(custody.ProtectedUnreadable), transaction():
            custody.provide(call.id, Custodian.SUPERVISOR, recipient, broken, by=world.supervisor)
    with pytest.raises(custody.RecipientUsed), transaction():
        custody.provide(
            call.id, Custodian.SUPERVISOR, sealing.recipient_of(long_term), protected, by=world.supervisor
        )  # fmt: skip
    with transaction():
        custody.provide(call.id, Custodian.SUPERVISOR, recipient, protected, by=world.supervisor)
    other = competition.find(competition.needed())
    with pytest.raises(custody.RecipientUsed), transaction():
        custody.provide(other.id, Custodian.SUPERVISOR, recipient, protected, by=world.supervisor)
    published = competition.find(competition.published())
    _identity, recipient, protected = call_key(published.number, long_term)
    with pytest.raises(custody.KeysFixed), transaction():
        custody.provide(published.id, Custodian.SUPERVISOR, recipient, protected, by=world.supervisor)


def test_no_key_is_taken_before_the_closing_and_only_the_calls_own_after_it(competition):
    number, other = competition.published(), competition.published()
    call = competition.find(number)
    competition.bid(number, "agency", competition.world.agency, 10_000_000)
    key = competition.identities[number, "buyer"]
    with pytest.raises(custody.TooEarlyToOpen), transaction():
        custody.hand_in(call.id, Custodian.BUYER, key, by=competition.buyer)
    session.expire_all()
    assert custody.identities(call.id) == {}
    competition.closed(number)
    with pytest.raises(sealing.KeyDoesNotFit), transaction():
        custody.hand_in(call.id, Custodian.BUYER, competition.identities[other, "buyer"], by=competition.buyer)
    with pytest.raises(custody.NotCustodian), transaction():
        custody.hand_in(call.id, Custodian.BUYER, key, by=competition.world.supervisor)
    for _ in range(2):  # twice is once
        with transaction():
            custody.hand_in(call.id, Custodian.BUYER, key, by=competition.buyer)
    assert custody.identities(call.id) == {"buyer": key}
    assert [act.act for act in trail.of(call.subject)].count("key.handed_in") == 1


def test_no_key_is_taken_once_the_bids_are_open(competition):
    number = competition.published()
    competition.bid(number, "agency", competition.world.agency, 10_000_000)
    competition.closed(number)
    competition.opened(number)
    with pytest.raises(custody.OpeningOver), transaction():
        custody.hand_in(
            competition.find(number).id,
            Custodian.PLATFORM,
            competition.identities[number, "platform"],
            by=competition.world.operator,
        )


def test_the_platforms_key_is_a_private_file_and_nowhere_in_the_database(competition, owner_engine):
    number = competition.published(ceiling=9_000_000)
    settings: Config = competition.world.portal.extensions["portal"]
    (file,) = (settings.data / "call_keys").glob(f"{number}*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    identity = sealing.parse_identity(file.read_text("ascii"))
    call = competition.find(number)
    assert custody.recipients(call.id) == {"platform": sealing.recipient_of(identity)}
    (key,) = custody.keys(call.id)
    assert (key.identity, key.protected, key.organisation_id) == (None, "", None)
    with pytest.raises(custody.TooEarlyToOpen), transaction():
        custody.take_out(call.id, by=trail.CLOCK)


def test_keys_given_for_three_are_dropped_when_the_platform_holds_it_after_all(competition):
    number = competition.needed()
    competition.keyed(number)
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, ceiling=9_000_000)
        calls.publish(competition.find(number, lock=True), by=competition.buyer)
    assert set(custody.recipients(competition.find(number).id)) == {"platform"}


def test_a_lost_key_file_stops_the_opening_not_the_closing_and_the_operators_open_once_it_is_back(competition):
    number = competition.published(ceiling=9_000_000)
    competition.bid(number, "agency", competition.world.agency, 8_000_000)
    settings: Config = competition.world.portal.extensions["portal"]
    (file,) = (settings.data / "call_keys").glob(f"{number}*")
    kept = file.read_text("ascii")
    file.unlink()
    competition.closed(number)
    call = competition.find(number)
    assert (call.commission.status, call.opened_at) == (CommissionStatus.EVALUATING, None)
    told = session.scalars(select(Notice.person_id).where(Notice.act == "bidding.closed", Notice.is_warning))
    assert competition.world.people["operator"].id in set(told)
    with pytest.raises(custody.PlatformKeyLost), transaction():
        bidding.open_bids(competition.find(number, lock=True), by=competition.world.operator)
    file.write_text(kept, encoding="ascii")
    with transaction():
        bidding.open_bids(competition.find(number, lock=True), by=competition.world.operator)
    assert [row.price for row in bidding.opened(competition.find(number))] == [8_000_000]
