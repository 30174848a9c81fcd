"""Calls for bids by API: public before signing in, sealed until the opening, one receipt a ciphertext (A6, G1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integration.exchange import tokens
from integration.exchange.tokens import Scope
from kernel import sealing
from kernel.access import Role
from kernel.db import transaction
from kernel.trail import SYSTEM
from market.bidding import SealedBy
from tests.competition import Competition


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


def bearer(world: Any, short: str, role: Role) -> dict[str, str]:
    with transaction():
        secret = tokens.issue(
            world.organisations[short], roles=[role], scopes=[Scope.BIDS_WRITE], name="投标系统", by=SYSTEM
        )[1]
    return {"Authorization": f"Bearer {secret}"}


def test_a_call_is_public_with_its_keys_and_no_bid(competition):
    number = competition.published()
    client = competition.world.portal.test_client()
    (line,) = client.get("/api/v1/calls").get_json()["calls"]
    assert (line["number"], line["status"]) == (number, "open")
    found = client.get(f"/api/v1/calls/{number}").get_json()
    assert set(found["seal"]["recipients"]) == {"buyer", "platform", "supervisor"}
    before = client.get(f"/api/v1/calls/{number}").get_data()
    competition.bid(number, "agency", competition.world.agency, 20_000_000)
    assert client.get(f"/api/v1/calls/{number}").get_data() == before


def test_a_draft_is_nobodys_to_read(competition):
    number = competition.needed()
    assert competition.world.portal.test_client().get(f"/api/v1/calls/{number}").status_code == 404


def test_an_offline_bid_is_handed_in_once_however_often_it_is_sent(competition):
    number = competition.published()
    world = competition.world
    client, headers = world.portal.test_client(), bearer(world, "清源", Role.AGENCY)
    keys = sealing.read_call(json.dumps(client.get(f"/api/v1/calls/{number}").get_json()["seal"]).encode())
    sealed = sealing.seal(competition.content(number, world.agency, 20_000_000), number, keys.recipients)
    body = sealing.write_sealed(sealed, number, SealedBy.OFFLINE)
    first = client.post(f"/api/v1/calls/{number}/bids", data=body, headers=headers, content_type="application/json")
    assert first.status_code == 201, first.get_data(as_text=True)
    sealing.verify_receipt(first.get_json(), sealing.public_key())
    again = client.post(f"/api/v1/calls/{number}/bids", data=body, headers=headers, content_type="application/json")
    assert again.get_json() == first.get_json()
    other = competition.needed()
    elsewhere = client.post(f"/api/v1/calls/{other}/bids", data=body, headers=headers, content_type="application/json")
    assert elsewhere.status_code in (404, 422)


def test_an_agency_token_alone_hands_in(competition):
    number = competition.published()
    headers = bearer(competition.world, "宏远", Role.APPLICANT)
    answer = competition.world.portal.test_client().post(f"/api/v1/calls/{number}/bids", json={}, headers=headers)
    assert answer.status_code == 403
