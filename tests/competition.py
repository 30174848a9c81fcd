"""A call for bids taken as far along its life as a test needs, each step in a transaction of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from kernel import clock, jobs, sandbox, sealing
from kernel.db import session, transaction
from kernel.trail import Actor
from market import agencies, bidding, calls, custody
from market.agencies import Agency
from market.bidding import SealedBy
from market.calls import CallForBids
from market.commissions import Payer, Route
from market.custody import Custodian

WORDS = {
    "title": "云栖里住宅项目水土保持方案编制",
    "requirement": "编制水土保持方案报告书，配合技术评审并按意见修改。",
    "contact": "林知夏",
    "telephone": "0451-88880001",
    "complaint_telephone": "0451-88880002",
}
CEILING = 30_000_000


def jump(instant: datetime) -> None:
    """Legal time is this now and nothing that fell due was done: the scheduler was down."""
    with transaction():
        sandbox.leave()
        sandbox.start_at(instant)


class Competition:
    """Drives calls through the public verbs; keeps the custodians' identities that the server never sees."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.identities: dict[tuple[str, str], str] = {}
        self.long_term: dict[Custodian, str] = {}

    @property
    def buyer(self) -> Actor:
        return self.world.applicant  # type: ignore[no-any-return]

    def custodian(self, which: Custodian, call: CallForBids) -> Actor:
        if which is Custodian.BUYER:
            return self._client_actor(call)
        return self.world.operator if which is Custodian.PLATFORM else self.world.supervisor  # type: ignore[no-any-return]

    def _client_actor(self, call: CallForBids) -> Actor:
        for login in ("applicant", "applicant2", "authority"):
            actor: Actor = self.world.actor(login)
            if actor.organisation_id == call.commission.client_id:
                return actor
        raise LookupError(call.number)

    # The town

    def agencies_named(self, count: int) -> list[tuple[str, Agency]]:
        """The first so many (login, agency); those that the world lacks are admitted with what the item asks."""
        made = [("agency", self.world.agency), ("agency2", self.world.agency2)]
        shorts = ["天衡", "恒信", "北岭", "经纬", "安泰", "磐石", "明鉴", "方略", "沃土"]
        with transaction():
            for place, short in enumerate(shorts[: max(0, count - 2)], start=3):
                login = f"agency{place}"
                organisation = self.world.organisations[short]
                known = agencies.of_organisation(organisation.id)
                if known is None:
                    actor = self.world.actor(login)
                    known = agencies.admit(session.merge(organisation), by=actor, commitment_agreed=True)
                    for number in range(3):
                        agencies.file_practitioner(
                            known, f"工程师{number}", "注册工程师", f"ZC{short}{number}", valid_until=None, by=actor
                        )
                made.append((login, known))
        return made[:count]

    # The call

    def needed(self, route: Route = Route.BIDDING, *, payer: Payer = Payer.SELF, **fields: Any) -> str:
        """A complete draft without its keys; answers its number."""
        with transaction():
            world = self.world
            call = calls.draft_need(
                session.merge(world.project),
                session.merge(world.item),
                session.merge(world.client_org),
                by=self.buyer,
                route=route,
                payer=payer,
            )
            rules = call.rules
            given: dict[str, Any] = {**WORDS, "most_working_days": 20}
            given["closing_at"] = calls.earliest_closing(rules) + timedelta(hours=17)
            given["ceiling"] = CEILING
            if route is Route.DESCENDING_ROUNDS:
                given["step"] = 100_000
                day = clock.china().nth_working_day(clock.local_date(given["closing_at"]), 1)
                given["auction_at"] = clock.instant_of(day) + timedelta(hours=10)
            if route is Route.COMPARISON:
                given["weights"] = [
                    {"zh": "技术方案", "en": "Technical proposal", "weight": rules.quality_weight // 2},
                    {
                        "zh": "人员与业绩",
                        "en": "Team and record",
                        "weight": rules.quality_weight - rules.quality_weight // 2,
                    },
                ]
            calls.fill(call, by=self.buyer, **(given | fields))
            if route is Route.INVITATION:
                calls.invite(call, [session.merge(agency) for _login, agency in self.agencies_in(3)], by=self.buyer)
            return call.number

    def agencies_in(self, count: int) -> Sequence[tuple[str, Agency]]:
        found = [("agency", self.world.agency), ("agency2", self.world.agency2)]
        for place, short in enumerate(["天衡", "恒信", "北岭", "经纬", "安泰"], start=3):
            known = agencies.of_organisation(self.world.organisations[short].id)
            if known is not None:
                found.append((f"agency{place}", known))
        return found[:count]

    def keyed(self, number: str, buyer: Actor | None = None) -> None:
        """Every custodian's key of this call, made and kept on the custodian's side."""
        with transaction():
            call = calls.find(number, by=buyer or self.buyer)
            for which in Custodian:
                actor = self.custodian(which, call)
                if which not in self.long_term or which is Custodian.BUYER:
                    self.long_term[which] = sealing.fresh_identity()
                if custody.in_force(which, actor.organisation_id) is None:
                    custody.register(
                        which,
                        session.merge(self._organisation(actor)),
                        sealing.recipient_of(self.long_term[which]),
                        by=actor,
                    )
                identity = sealing.fresh_identity()
                self.identities[number, which.value] = identity
                protected = sealing.protect(identity, number, sealing.recipient_of(self.long_term[which]))
                custody.provide(call.id, which, sealing.recipient_of(identity), _text(protected), by=actor)

    def _organisation(self, actor: Actor) -> Any:
        return next(o for o in self.world.organisations.values() if o.id == actor.organisation_id)

    def published(self, route: Route = Route.BIDDING, **fields: Any) -> str:
        if route is Route.INVITATION:
            self.agencies_named(3)
        number = self.needed(route, **fields)
        if self.find(number).rules.custody_for(Payer.SELF, fields.get("ceiling", CEILING)).value == "three":
            self.keyed(number)
        with transaction():
            calls.publish(self.find(number, lock=True), by=self.buyer)
        return number

    # The bids

    def content(self, number: str, agency: Agency, price: int | None, **more: Any) -> bytes:
        return sealing.BidContent(
            call=number,
            organisation=agency.organisation.credit_code,
            price=price,
            discount=more.pop("discount", None),
            working_days=more.pop("working_days", 15),
            statement=more.pop("statement", "按公告要求完成"),
            sealed_by=sealing.SealedBy.OFFLINE,
            **more,
        ).as_bytes()

    def sealed(self, number: str, agency: Agency, price: int | None, **more: Any) -> sealing.SealedBid:
        call = self.find(number)
        return sealing.seal(self.content(number, agency, price, **more), number, custody.recipients(call.id))

    def bid(self, number: str, login: str, agency: Agency, price: int | None, **more: Any) -> Mapping[str, Any]:
        """Seal and hand in; answers the receipt."""
        sealed = self.sealed(number, agency, price, **more)
        with transaction():
            return bidding.submit(
                number,
                session.merge(agency),
                ciphertext=sealed.ciphertext,
                wraps=sealed.wraps,
                sealed_by=SealedBy.OFFLINE,
                by=self.world.actor(login),
            )

    def closed(self, number: str) -> None:
        """Let the closing pass."""
        closing = self.find(number).closing_at
        assert closing is not None
        sandbox.move_to(closing + timedelta(seconds=1))
        jobs.run_due()

    def opened(self, number: str, pair: Sequence[Custodian] = (Custodian.BUYER, Custodian.SUPERVISOR)) -> None:
        """Two custodians hand in this call's keys; the bids open."""
        for which in pair:
            with transaction():
                call = self.find(number, lock=True)
                if call.opened_at is None and custody.recipients(call.id):
                    custody.hand_in(
                        call.id, which, self.identities[number, which.value], by=self.custodian(which, call)
                    )
        with transaction():
            call = self.find(number, lock=True)
            if call.opened_at is None:
                bidding.open_bids(call, by=self.custodian(pair[-1], call))

    def find(self, number: str, *, lock: bool = False) -> CallForBids:
        return calls.find(number, by=self.buyer, lock=lock)


def _text(protected: bytes | str) -> str:
    import base64

    return protected if isinstance(protected, str) else base64.b64encode(protected).decode()
