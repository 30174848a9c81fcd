"""Auctions in rounds for tests: a call whose bids are opened, and a hand on the room's clock."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from kernel import clock, workflow
from kernel.db import session, transaction
from kernel.trail import CLOCK
from market import agencies, calls, rounds
from market.agencies import Agency
from market.bidding import Bid, OpenedBid, Outcome
from market.bidding.records import SealedBy
from market.calls import CallForBids
from market.commissions import STEPS, CommissionStatus, Route
from market.rounds import LiveAuction, live
from market.routes import CustodyKind

LOGINS = ("agency", "agency2", "agency3")
#: Opening prices of the worked example, in fen: A, B, C.
EXAMPLE = (11_000, 10_100, 9_800)


class Auctions:
    """Makes calls whose bids are opened, and plays their rounds; ``now`` is the room's clock once it is held."""

    def __init__(self, world: Any, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.patch = patch
        self.now: datetime | None = None

    def agencies(self) -> list[Agency]:
        found = [session.merge(self.world.agency), session.merge(self.world.agency2)]
        third = self.world.organisations["天衡"]
        known = agencies.of_organisation(third.id)
        if known is None:
            known = agencies.admit(session.merge(third), by=self.world.actor("agency3"), commitment_agreed=True)
        return [*found, known]

    def opened(
        self,
        prices: Sequence[int] = EXAMPLE,
        *,
        step: int = 100,
        starts_at: datetime | None = None,
        rules: dict[str, Any] | None = None,
        ceiling: int | None = None,
    ) -> str:
        """A call in rounds with these opening prices, received in this order; answers its number."""
        world = self.world
        with transaction():
            call = calls.draft_need(
                session.merge(world.project),
                session.merge(world.item),
                session.merge(world.client_org),
                by=world.applicant,
                route=Route.DESCENDING_ROUNDS,
            )
            moment = clock.now()
            call.title, call.step = "云栖里住宅项目水土保持方案编制", step
            call.ceiling = ceiling or max(prices) + 1_000
            call.edition = call.bid_edition = 1
            call.custody = CustodyKind.THREE
            call.published_at = call.closing_at = call.closed_at = moment
            day = clock.china().nth_working_day(clock.local_date(moment), 1)
            call.auction_at = starts_at or clock.instant_of(day) + timedelta(hours=10)
            call.commission.status = CommissionStatus.EVALUATING
            for place, (agency, price) in enumerate(zip(self.agencies(), prices, strict=False)):
                self._bid(call, agency, price, moment + timedelta(seconds=place))
            call.opened_at = moment
            workflow.step(call.commission, STEPS, "open_bids", by=CLOCK, call=call.number)
            planned = rounds.of_call(call)
            if planned is not None and rules:
                planned.rules = planned.rules | rules
            return call.number

    def _bid(self, call: CallForBids, agency: Agency, price: int, at: datetime) -> None:
        content = secrets.token_bytes(16)
        bid = Bid(
            token=secrets.token_hex(8),
            call_id=call.id,
            agency_id=agency.id,
            person_id=1,
            sha256=hashlib.sha256(content).hexdigest(),
            ciphertext=content,
            wraps={},
            sealed_by=SealedBy.OFFLINE,
            edition=1,
            received_at=at,
        )
        session.add(bid)
        session.flush()
        session.add(
            OpenedBid(
                bid_id=bid.id,
                call_id=call.id,
                outcome=Outcome.OPENED,
                price=price,
                working_days=10,
                content={},
                opened_at=at,
            )
        )

    def find(self, number: str) -> LiveAuction:
        call = calls.find(number, by=None)
        found = rounds.of_call(call)
        assert found is not None
        return found

    # The clock

    def hold(self, number: str, seconds: float = 0) -> None:
        """Take the room's clock in hand, so many seconds after the start, and let fall due what does."""
        self.at(self.find(number).starts_at + timedelta(seconds=seconds))

    def at(self, instant: datetime, *, ticks: bool = True) -> None:
        self.now = instant
        self.patch.setattr(live, "_now", lambda: self.now)
        if ticks:
            self.tick()

    def tick(self) -> int:
        """The due-loop's part, on the held clock."""
        assert self.now is not None
        count = 0
        while found := live.due(self.now, 100):
            at, key = found[0]
            with transaction():
                live.act_on_due(key, at)
            count += 1
        session.rollback()
        return count

    def through(self, number: str) -> None:
        """Let every stage pass, each on time."""
        auction = self.find(number)
        starts_at, stages = auction.starts_at, live._engine(auction).stages
        for stage in stages:
            instant = starts_at + timedelta(seconds=stage.starts_after_seconds, microseconds=1)
            if self.now is None or instant > self.now:
                self.at(instant)

    # Prices

    def enter(self, number: str, place: int, price: int | None, **more: Any) -> rounds.HandedIn:
        """The bidder at ``place`` (0 = A) enters a price, or takes it back."""
        with transaction():
            auction = self.find(number)
            agency, by = self.agencies()[place], self.world.actor(LOGINS[place])
            if price is None:
                return rounds.take_back_entry(auction, agency, by=by)
            return rounds.enter(auction, agency, price, by=by, **more)
