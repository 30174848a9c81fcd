"""Sealed bids to measure with: bidders with access tokens, published calls, and requests that hand a bid in.

Bidders are rows of their own, admitted and staffed, written at once: nobody could register thousands in time.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import create_engine, insert, select, text
from stdnum.cn import uscc

from bench.clients import SERIAL, Request, post_json
from bench.ground import Ground
from integration.exchange.tokens import MARK, AccessToken, Scope, _hash
from kernel import clock, sealing
from kernel.access import Role
from kernel.accounts import Organisation, OrganisationKind, Person, actor_of
from kernel.db import Keyed, session, transaction
from kernel.trail import Actor
from market import agencies, calls, catalogue, custody
from market.agencies import Agency, AgencyStatus, Practitioner
from market.calls import CallForBids
from market.commissions import Route
from market.custody import Custodian

#: An item that asks for no certificate and one practitioner.
ITEM = "ZJ-0506"
CEILING = 30_000_000
#: Who keeps a key, by the demo's desks.
KEEPERS = {Custodian.BUYER: "applicant", Custodian.PLATFORM: "operator", Custodian.SUPERVISOR: "supervisor"}
WORDS = {
    "title": "云栖里住宅项目水土保持方案编制",
    "requirement": "编制水土保持方案报告书，配合技术评审并按意见修改。",
    "contact": "林知夏",
    "telephone": "0451-88880001",
    "complaint_telephone": "0451-88880002",
}
TICK = timedelta(microseconds=1)
#: Where in the base64 of a ciphertext the serial stands: well inside the encrypted part.
INSIDE = 2000


@dataclass(frozen=True, slots=True)
class Bidder:
    """An agency by its keys in the database, its credit code, and the secret of its token."""

    organisation: int
    agency: int
    code: str
    token: str


@dataclass(slots=True)
class Call:
    """A published call, and the custodians' identities that the server never sees before they are handed in."""

    number: str
    recipients: Mapping[str, str]
    identities: dict[Custodian, str] = field(default_factory=dict)


def bidders(count: int) -> list[Bidder]:
    """So many admitted agencies with one practitioner and a token each; in the caller's transaction."""
    now = clock.now()
    codes = [_code(running) for running in range(1, count + 1)]
    organisations = _insert(
        Organisation,
        [
            {
                "credit_code": code,
                "name": f"测量投标机构第{place}号有限公司",
                "kind": OrganisationKind.AGENCY,
                "registered_at": now,
            }
            for place, code in enumerate(codes, start=1)
        ],
    )
    keys = _insert(
        Agency,
        [
            {
                "number": f"JG-0001-{place:07d}",
                "organisation_id": organisation,
                "status": AgencyStatus.ADMITTED,
                "regions": [],
                "commitment_version": agencies.COMMITMENT_VERSION,
                "commitment_by": "测量",
                "admitted_at": now,
            }
            for place, organisation in enumerate(organisations, start=1)
        ],
    )
    _insert(
        Practitioner,
        [
            {"agency_id": key, "name": "工程师", "profession": "注册工程师", "certificate": f"CL{key:07d}"}
            for key in keys
        ],
    )
    tokens = [MARK + secrets.token_urlsafe(32) for _ in codes]
    moment = clock.machine()
    _insert(
        AccessToken,
        [
            {
                "number": f"LP-0001-{place:07d}",
                "organisation_id": organisation,
                "name": "bench",
                "roles": [Role.AGENCY.value],
                "scopes": [Scope.BIDS_WRITE.value],
                "token_hash": _hash(token),
                "shown": token[:12],
                "created_at": moment,
                "created_by": "bench",
                "expires_at": moment + timedelta(days=300),
                "last_used_at": moment,  # used within the hour, as a bidder's who has just read the notice
            }
            for place, (organisation, token) in enumerate(zip(organisations, tokens, strict=True), start=1)
        ],
    )
    return [Bidder(*row) for row in zip(organisations, keys, codes, tokens, strict=True)]


def _insert(record: type[Keyed], rows: list[dict[str, Any]]) -> list[int]:
    """Write rows; answers their keys in the same order."""
    statement = insert(record).returning(record.id, sort_by_parameter_order=True)
    return list(session.scalars(statement, rows))


def _code(running: int) -> str:
    body = f"91230199MD{running:07d}"
    return f"{body}{uscc.calc_check_digit(body)}"


# Calls


def actor(login: str) -> Actor:
    """One of the demo's people, as the database has them now."""
    return actor_of(session.scalars(select(Person).where(Person.login == login)).one())


def published(made: Ground, *, route: Route = Route.BIDDING, ceiling: int = CEILING, **fields: Any) -> Call:
    """A call published through the public verbs, with three custodians' keys where its amount asks for them."""
    with transaction():
        buyer = actor(KEEPERS[Custodian.BUYER])
        call = calls.draft_need(
            session.merge(made.city.projects[0]),
            catalogue.by_code(ITEM),
            session.merge(made.city.organisations["宏远"]),
            by=buyer,
            route=route,
        )
        closing = _working_day(calls.earliest_closing(call.rules) + timedelta(hours=17))
        given: dict[str, Any] = {**WORDS, "most_working_days": 20, "ceiling": ceiling, "closing_at": closing} | fields
        if route is Route.DESCENDING_ROUNDS:
            given["auction_at"] = _working_day(closing + timedelta(hours=24))
        calls.fill(call, by=buyer, **given)
        found = Call(call.number, {})
        if call.rules.custody_for(call.commission.payer, ceiling).value == "three":
            for which, login in KEEPERS.items():
                found.identities[which] = _give_key(call, which, actor(login))
        calls.publish(call, by=buyer)
        found.recipients = custody.recipients(call.id)
    return found


def _give_key(call: CallForBids, which: Custodian, by: Actor) -> str:
    """What a custodian does at home and on the page: a fresh identity of this call, kept under a long-term one."""
    assert by.organisation_id is not None
    long_term = custody.in_force(which, by.organisation_id)
    if long_term is None:
        recipient = sealing.recipient_of(sealing.fresh_identity())
        long_term = custody.register(which, session.get_one(Organisation, by.organisation_id), recipient, by=by)
    identity = sealing.fresh_identity()
    protected = sealing.protect(identity, call.number, long_term.recipient)
    written = base64.b64encode(protected).decode("ascii")
    custody.provide(call.id, which, sealing.recipient_of(identity), written, by=by)
    return identity


def _working_day(instant: datetime) -> datetime:
    while not clock.china().is_working_day(clock.local_date(instant)):
        instant += timedelta(days=1)
    return instant


def move_closing(made: Ground, numbers: Sequence[str], closing: datetime) -> None:
    """Let calls close at an instant of our choice.

    No verb does that: a closing is days away and on a working day. So the owner of the tables writes it, with the
    instant at which the due-loop looks, which is all that publishing and extending write too.
    """
    engine = create_engine(made.settings.database_owner_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE calls_for_bids SET closing_at = :closing, next_check_at = :check WHERE number = ANY(:numbers)"
            ),
            {"closing": closing, "check": closing + TICK, "numbers": list(numbers)},
        )
    engine.dispose()


# Requests


def content(number: str, code: str, price: int) -> bytes:
    """A plain bid of the smallest size class."""
    return sealing.BidContent(
        call=number,
        organisation=code,
        price=price,
        discount=None,
        working_days=15,
        statement="按公告要求完成",
        sealed_by=sealing.SealedBy.OFFLINE,
    ).as_bytes()


def sealed_file(number: str, code: str, recipients: Mapping[str, str], price: int) -> tuple[bytes, str]:
    """A real bid, sealed as the offline program does: the file to hand in, and the SHA-256 of its ciphertext."""
    bid = sealing.seal(content(number, code, price), number, recipients)
    return sealing.write_sealed(bid, number, sealing.SealedBy.OFFLINE), bid.sha256


def hand_in(number: str, bidder: Bidder, body: bytes) -> Request:
    return post_json(
        f"/api/v1/calls/{number}/bids", body, number, '"signature"', headers={"Authorization": f"Bearer {bidder.token}"}
    )


def distinct(call: Call, among: Sequence[Bidder]) -> list[Request]:
    """A request for each bidder that is another ciphertext each time it is sent.

    The serial overwrites characters of the encrypted part: the server, which cannot read it, cannot tell.
    """
    requests = []
    for bidder in among:
        body, _ = sealed_file(call.number, bidder.code, call.recipients, CEILING // 2)
        at = body.index(b'"ciphertext":"') + len(b'"ciphertext":"') + INSIDE
        requests.append(hand_in(call.number, bidder, body[:at] + SERIAL + body[at + len(SERIAL) :]))
    return requests
