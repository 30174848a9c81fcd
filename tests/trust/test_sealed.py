"""Sealed until the opening (G1): a planted price, content and name are nowhere they can be read before their time.

Fifty bids are handed in by every way there is; then everything that the portal keeps or shows is searched: a copy of
each table, the database's own files with its log of changes, the blobs, the index, the program's log, and what every
kind of person and every public address is answered. After the opening the same search finds them, so that it is known
to see.
"""

from __future__ import annotations

import html
import io
import json
import logging
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from kernel import cluster as clusters
from kernel import jobs, money, sealing
from kernel.db import Base, session, transaction
from market import bidding, calls, custody
from market.bidding import SealedBy
from market.custody import Custodian
from tests.competition import Competition

#: Nothing else says these: made for this run, because the cluster's files also hold what earlier runs wrote.
PRICE = 10**13 + secrets.randbelow(9 * 10**13)
MARKER = f"机密方案代号磐龙{secrets.token_hex(8)}"
SPELLINGS = (
    str(PRICE),
    money.format(PRICE),
    money.format(PRICE).lstrip("¥"),
    f"{PRICE / 100:.2f}",
    money.chinese(PRICE),
    MARKER,
    json.dumps(MARKER).strip('"'),
)
BIDS = 50


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


@pytest.fixture
def program_log() -> Iterator[io.StringIO]:
    """All that the program logs at any level."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)


def dump(owner_url: str) -> bytes:
    """Every row of every table, as text, as a superuser reads them."""
    engine = create_engine(owner_url)
    raw = engine.raw_connection()
    try:
        driver: psycopg.Connection[Any] = raw.driver_connection  # type: ignore[assignment]
        parts = []
        with driver.cursor() as cursor:
            for name in sorted(Base.metadata.tables):
                with cursor.copy(f"COPY {name} TO STDOUT") as copy:
                    parts.append(name.encode() + b"\n" + b"".join(bytes(part) for part in copy))
        return b"\n".join(parts)
    finally:
        raw.close()
        engine.dispose()


def hits(content: bytes, words: Any = SPELLINGS) -> list[str]:
    return [word for word in words for form in (word.encode(), word.encode("utf-16-le")) if form in content]


def files_with(folder: Path, words: Any = SPELLINGS) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and hits(path.read_bytes(), words):
                found.append(path.name)
        except FileNotFoundError:  # a temporary file of somebody else's that is gone
            continue
    return found


def addresses(number: str, item: str, project: str, commission: str) -> list[str]:
    return [
        "/",
        "/services",
        "/agencies",
        "/items",
        f"/items/{item}",
        "/calls",
        f"/calls/{number}",
        f"/calls/{number}/bid",
        f"/calls/{number}/opening",
        f"/calls/{number}/opening.zip",
        f"/calls/{number}/keys.json",
        f"/calls/{number}/result",
        "/notices",
        "/notices.json",
        "/notices.atom",
        "/bids",
        "/custody",
        f"/custody/{number}",
        "/commissions",
        "/commissions.csv",
        f"/commissions/{commission}",
        f"/projects/{project}",
        "/inbox",
        "/desk",
        "/signals",
        "/matters",
        "/account",
        f"/api/v1/commissions/{commission}",
        f"/api/v1/projects/{project}",
        "/api/v1/openapi.json",
    ]


def by_server(client: Any, number: str) -> None:
    """A bid without scripts, through the pages."""
    page = client.get(f"/calls/{number}/bid").get_data(as_text=True)
    token = re.search(r'name="act" value="([^"]+)"', page)[1]  # type: ignore[index]
    answer = client.post(
        f"/calls/{number}/bid",
        data={"act": token, "price": money.format(PRICE), "working_days": "15", "statement": MARKER},
        content_type="multipart/form-data",
    )
    page = answer.get_data(as_text=True)
    payload = html.unescape(re.search(r'name="sealed_here" value="([^"]+)"', page)[1])  # type: ignore[index]
    token = re.search(r'name="act" value="([^"]+)"', page)[1]  # type: ignore[index]
    data = {"act": token, "sealed_here": payload}
    answer = client.post(f"/calls/{number}/bid", data=data, content_type="multipart/form-data")
    assert answer.status_code == 303


def test_price_content_and_name_are_nowhere_before_the_opening(
    competition: Competition,
    client_as: Any,
    cluster: clusters.Cluster,
    database: str,
    program_log: io.StringIO,
) -> None:
    world = competition.world
    settings = world.portal.extensions["portal"]
    rival = world.agency2
    number = competition.published()
    with transaction():  # so high a price is nothing else's
        competition.find(number).ceiling = money.MOST
    commission = competition.find(number).commission.number
    logins = ("applicant", "applicant2", "agency", "authority", "window", "supervisor", "operator", "auditor")
    readers = {login: client_as(login) for login in logins}
    readers["visitor"] = world.portal.test_client()
    rivals_client = client_as("agency2")
    by_server(rivals_client, number)
    by_server(readers["agency"], number)
    for turn in range(BIDS - 2):
        login, agency = (("agency", world.agency), ("agency2", rival))[turn % 2]
        sealed = competition.sealed(number, agency, PRICE, statement=MARKER)
        with transaction():
            bidding.submit(
                number,
                session.merge(agency),
                ciphertext=sealed.ciphertext,
                wraps=sealed.wraps,
                sealed_by=SealedBy.OFFLINE,
                by=world.actor(login),
            )
    assert len(bidding.all_of(competition.find(number))) == BIDS
    jobs.run_due()
    session.rollback()
    owner = cluster.owner_url(database)

    # The content, nowhere at all.
    assert hits(dump(owner)) == []
    assert files_with(settings.data) == []
    assert files_with(cluster.data) == []  # tables, indexes, the log of changes, the server's own log
    assert hits(program_log.getvalue().encode()) == []

    # Who bid, in no interface but the bidder's own; how many, in none.
    tokens = [bid.token for bid in bidding.all_of(competition.find(number))]
    names = (rival.name, rival.number, rival.organisation.credit_code)
    shown = []
    item = world.item.code
    for login, client in readers.items():
        for path in addresses(number, item, world.project.code, commission):
            text = client.get(path).get_data()
            # The shelf and the register name every agency anyway: only what is about this call may give it away.
            about_call = number.encode() in path.encode() or path in {"/bids", "/custody", "/notices", "/notices.json"}
            found = hits(text, (*SPELLINGS, *(names if about_call else ())))
            if login != "agency":
                found += hits(text, tokens)
            if found:
                shown.append((login, path, found))
    assert shown == []

    # An agency sees its own and nothing of the rival's.
    own = {bid.token for bid in bidding.own(competition.find(number), world.agency)}
    page = readers["agency"].get(f"/calls/{number}/bid").get_data(as_text=True)
    assert {token for token in tokens if token in page} <= own

    # The search sees: after the opening it finds everything.
    competition.closed(number)
    assert hits(dump(owner)) == []
    competition.opened(number)
    session.rollback()
    assert {str(PRICE), MARKER} <= set(hits(dump(owner)))
    assert files_with(cluster.data) != []
    page = readers["visitor"].get(f"/calls/{number}/opening").get_data()
    assert {money.format(PRICE), MARKER, rival.name} <= set(hits(page, (*SPELLINGS, rival.name)))


@pytest.mark.parametrize("alone", list(Custodian))
def test_none_of_three_custodians_opens_a_bid_alone(competition: Competition, alone: Custodian) -> None:
    """Not by the portal's verbs and not with the stored rows in hand."""
    number = competition.published()
    sealed = competition.sealed(number, competition.world.agency, PRICE)
    own = {alone.value: competition.identities[number, alone.value]}
    with pytest.raises(sealing.KeysMissing):
        sealing.open_envelope(sealed.ciphertext, sealed.wraps, number, own)
    for wrap in sealed.wraps.values():
        for identity in own.values():
            with pytest.raises(sealing.Unopenable):
                sealing.unwrap(wrap, identity, identity)
            with pytest.raises(sealing.Unopenable):
                sealing.unwrap(wrap, identity)


def test_every_pair_of_custodians_opens_every_bid(competition: Competition) -> None:
    number = competition.published()
    sealed = competition.sealed(number, competition.world.agency, PRICE)
    keys = {which.value: competition.identities[number, which.value] for which in Custodian}
    opened = 0
    for missing in Custodian:
        pair = {name: key for name, key in keys.items() if name != missing.value}
        assert sealing.open_bid(sealed, number, pair).price == PRICE
        opened += 1
    assert opened == 3


def test_a_published_calls_keys_are_public_recipients_alone(competition: Competition) -> None:
    number = competition.published()
    call = calls.find(number, by=None)
    answer = competition.world.portal.test_client().get(f"/calls/{number}/keys.json").get_data(as_text=True)
    assert json.loads(answer)["recipients"] == custody.recipients(call.id)
    assert "AGE-SECRET-KEY" not in answer
    assert "protected" not in answer
