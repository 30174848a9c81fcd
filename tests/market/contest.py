"""A call for bids taken from the opening on: its rows are written as the opening writes them, the rest are verbs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from kernel import clock, jobs, numbers, policies, sandbox, workflow
from kernel.db import session, transaction
from kernel.policies import Policy
from kernel.trail import Actor
from market import agencies, awards, calls, commissions, drawing
from market.agencies import Agency
from market.awards import Award, Ranking
from market.bidding import Bid, OpenedBid, Outcome, SealedBy
from market.calls import CallForBids
from market.commissions import NUMBER, STEPS, Commission, CommissionStatus, Payer, Route
from market.routes import kind_of

#: Logins of the bidders, in the order in which their bids were received.
BIDDERS = ("agency", "agency2", "agency3", "agency4", "agency5")
_SHORT = dict(zip(BIDDERS, ("清源", "绿洲", "天衡", "恒信", "北岭"), strict=True))


class Contest:
    """One call of the world's applicant; every step in a transaction of its own."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.number = ""

    @property
    def client(self) -> Actor:
        return self.world.applicant  # type: ignore[no-any-return]

    def actor(self, bidder: int) -> Actor:
        return self.world.actor(BIDDERS[bidder])  # type: ignore[no-any-return]

    def agency(self, bidder: int) -> Agency:
        found = agencies.of_organisation(self.actor(bidder).organisation_id or 0)
        assert found is not None
        return found

    def opened(
        self,
        prices: Sequence[int | dict[str, Any] | None],
        *,
        route: Route = Route.BIDDING,
        ceiling: int | None = 1_000_000_00,
        floor: int | None = None,
        payer: Payer = Payer.SELF,
        weights: Sequence[dict[str, Any]] = (),
        opens: bool = True,
        **rules: Any,
    ) -> str:
        """A call whose bids were opened: one a price in fen, or members of the opened bid. Answers its number."""
        with transaction():
            world = self.world
            for short in list(_SHORT.values())[2 : len(prices)]:
                if agencies.of_organisation(world.organisations[short].id) is None:
                    agencies.admit(
                        session.merge(world.organisations[short]),
                        by=world.actor(next(login for login, name in _SHORT.items() if name == short)),
                        commitment_agreed=True,
                        regions=["示例市"],
                    )
            moment = clock.now()
            shipped = policies.current(kind_of(route))
            policy = Policy(
                kind="test.route",
                effective_from=date(2022, 1, 6),
                values=shipped.values | rules,
                source="试验规则",
                entered_at=clock.machine(),
            )
            session.add(policy)
            commission = Commission(
                number=numbers.following(NUMBER),
                status=CommissionStatus.EVALUATING,
                version=1,
                route=route,
                payer=payer,
                project=session.merge(world.project),
                item=session.merge(world.item),
                client=session.merge(world.client_org),
                applicant_id=world.client_org.id,
                quote=[],
                promised_working_days=10,
                draft_at=moment,
                open_at=moment,
                evaluating_at=moment,
                materials=[],
                inquiries=[],
            )
            call = CallForBids(
                number=numbers.following(calls.NUMBER),
                commission=commission,
                policy=policy,
                title="云栖里水土保持方案编制",
                requirement="编制水土保持方案并通过审查",
                conditions="",
                contact="林知夏",
                telephone="0451-55500001",
                complaint_telephone="0451-55500002",
                ceiling=ceiling,
                floor=floor,
                weights=list(weights),
                most_working_days=20,
                custody=policy.values["custody"],
                edition=1,
                bid_edition=1,
                closing_at=moment - timedelta(minutes=1),
                step=1_000_00 if route is Route.DESCENDING_ROUNDS else None,
                auction_at=moment + timedelta(days=1) if route is Route.DESCENDING_ROUNDS else None,
                published_at=moment - timedelta(days=5),
                closed_at=moment - timedelta(minutes=1),
            )
            session.add_all([commission, call])
            session.flush()
            for index, price in enumerate(prices):
                members = price if isinstance(price, dict) else {"price": price}
                self._bid(call, index, members)
            self.number = call.number
            if opens:
                call.opened_at = moment
                workflow.step(commission, STEPS, "open_bids", by=world.supervisor, call=call.number)
        return self.number

    def _bid(self, call: CallForBids, index: int, members: dict[str, Any]) -> None:
        moment = clock.now() - timedelta(hours=1) + timedelta(seconds=index)
        token = hashlib.sha256(f"{call.number}/{index}".encode()).hexdigest()[:24]
        bid = Bid(
            token=token,
            call_id=call.id,
            agency_id=self.agency(index).id,
            person_id=self.actor(index).person_id or 0,
            sha256=hashlib.sha256(token.encode()).hexdigest(),
            ciphertext=b"",
            wraps={},
            sealed_by=SealedBy.BROWSER,
            edition=1,
            received_at=members.get("received_at", moment),
        )
        session.add(bid)
        session.flush()
        session.add(
            OpenedBid(
                bid_id=bid.id,
                call_id=call.id,
                outcome=members.get("outcome", Outcome.OPENED),
                price=members.get("price"),
                discount=members.get("discount"),
                working_days=members.get("working_days", 12),
                content={"statement": "服务方案"},
                reason=members.get("reason", ""),
                opened_at=clock.now(),
            )
        )

    def call(self, *, lock: bool = False) -> CallForBids:
        return calls.find(self.number, by=self.client, lock=lock)

    @property
    def commission(self) -> Commission:
        session.expire_all()
        return self.call().commission

    def bid(self, bidder: int) -> Bid:
        return next(one.bid for one in awards.opened(self.call()) if one.bid.agency_id == self.agency(bidder).id)

    def ranking(self) -> list[Ranking]:
        session.expire_all()
        return awards.current_ranking(self.call())

    def places(self) -> list[tuple[int, int | None]]:
        """(bidder, place) of the current ranking."""
        keys = {self.agency(index).id: index for index in range(len(awards.opened(self.call())))}
        return [(keys[row.bid.agency_id], row.place) for row in self.ranking()]

    def award(self, bidder: int, **named: Any) -> Award:
        with transaction():
            call = self.call(lock=True)
            return awards.award(call, self.bid(bidder), **({"by": self.client} | named))

    def act(self, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A verb on the locked commission, committed."""
        with transaction():
            return verb(self.call(lock=True).commission, *arguments, **named)

    def draw(self) -> str:
        """Hold the draw that is under way to its end; answers its number."""
        people = {"buyer": self.client, "platform": self.world.operator, "supervisor": self.world.supervisor}
        with transaction():
            number = awards.draws_of(self.call())[-1].number
            draw = drawing.find(number, lock=True)
            seeds = {
                party.party: drawing.commit_by_server(draw, party.party, by=people[party.party])
                for party in draw.parties
            }
        for party, seed in seeds.items():
            with transaction():
                drawing.reveal(drawing.find(number, lock=True), party, seed, by=people[party])
        session.expire_all()
        return number

    def let_pass(self, days: int) -> None:
        """Legal time goes on, and what fell due is done."""
        sandbox.forward(timedelta(days=days))
        jobs.run_due()
        session.expire_all()

    def offered(
        self, prices: Sequence[int | dict[str, Any] | None] = (80_000_00, 90_000_00, 95_000_00), **rules: Any
    ) -> str:
        """Awarded to the first place, publicity over."""
        self.opened(prices, **rules)
        with transaction():
            call = self.call(lock=True)
            awards.award(call, awards.front(call)[0].bid, by=self.client)
        self.let_pass(4)  # three working days of publicity, and the 00:00 after them
        return self.number

    def taken_on(self, **rules: Any) -> str:
        self.offered(**rules)
        with transaction():
            commission = self.call(lock=True).commission
            commissions.take_on(commission, by=self.actor(0))
        session.expire_all()
        return self.number
