"""The commission and the call against a plain model: any side tries anything, in any order (G6, life-cycles §2).

The model knows nothing of records: a state, a few flags, and who may do what. After every try the portal and the
model must agree on whether it was allowed and on where the commission stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from kernel import clock, jobs, sandbox, trail
from kernel.db import session, transaction
from kernel.errors import Conflict, PortalError
from market import awards, bidding, calls, commissions, deliverables, objections, services
from market.commissions import CommissionStatus, Route
from market.deliverables import Part, Result
from tests.competition import Competition
from tests.market.conftest import Chain

PER_PUSH = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    print_blob=False,
)
SIDES = st.sampled_from(["client", "agency", "rival", "clock"])


@dataclass
class Menu:
    """A commission by menu, as a clerk would keep it on a card."""

    state: str = "draft"
    asked_materials: bool = False
    asked_pause: bool = False
    extension: bool = False
    is_fresh: bool = False
    acts: int = 1

    #: action → (who, from where)
    RULES = {  # noqa: RUF012
        "offer": ("client", {"draft"}),
        "take_back": ("client", {"offered"}),
        "request_materials": ("agency", {"offered"}),
        "supply_materials": ("client", {"offered"}),
        "decline": ("agency", {"offered"}),
        "take_on": ("agency", {"offered"}),
        "start": ("agency", {"taken_on"}),
        "pause": ("agency", {"in_service"}),
        "resume": ("client", {"in_service"}),
        "propose_extension": ("agency", {"in_service"}),
        "agree_extension": ("client", {"in_service"}),
        "refuse_extension": ("client", {"in_service"}),
        "deliver": ("agency", {"in_service"}),
        "return": ("client", {"delivered"}),
        "accept": ("client", {"delivered"}),
        "terminate": ("either", {"in_service", "delivered"}),
        "cancel": ("client", {"draft", "offered"}),
    }

    def allows(self, action: str, side: str) -> bool:
        who, sources = self.RULES[action]
        if self.state not in sources or not (side == who or (who == "either" and side in {"client", "agency"})):
            return False
        return {
            "take_back": self.is_fresh and not self.asked_materials,
            "request_materials": not self.asked_materials,
            "supply_materials": self.asked_materials,
            "take_on": not self.asked_materials,
            "pause": not self.asked_pause,
            "resume": self.asked_pause,
            "propose_extension": not self.extension,
            "agree_extension": self.extension,
            "refuse_extension": self.extension,
        }.get(action, True)

    def do(self, action: str) -> None:
        match action:
            case "offer":
                self.state, self.is_fresh = "offered", True
            case "take_back" | "decline" | "lapse":
                self.state, self.asked_materials, self.is_fresh = "draft", False, False
            case "request_materials":
                self.asked_materials, self.is_fresh = True, False
            case "supply_materials":
                self.asked_materials = False
            case "take_on":
                self.state = "taken_on"
            case "start":
                self.state = "in_service"
            case "pause":
                self.asked_pause = True
            case "resume":
                self.asked_pause = False
            case "propose_extension":
                self.extension = True
            case "agree_extension" | "refuse_extension":
                self.extension = False
            case "deliver":
                self.state, self.asked_pause = "delivered", False
            case "return":
                self.state = "in_service"
            case "accept":
                self.state = "finished"
            case "terminate":
                self.state = "terminated"
            case "cancel":
                self.state = "cancelled"


class MenuMachine(RuleBasedStateMachine):
    """One commission; the town is the test's."""

    chain: Chain

    def __init__(self) -> None:
        super().__init__()
        session.rollback()
        self.number = self.chain.drafted()
        self.model = Menu()

    @rule(action=st.sampled_from(sorted(Menu.RULES)), side=SIDES)
    def anybody_tries(self, action: str, side: str) -> None:
        self._try(action, side)

    @rule(data=st.data())
    def somebody_does_what_is_open(self, data: Any) -> None:
        """Without this rule few walks would come far."""
        ways = [
            (action, side)
            for action in sorted(Menu.RULES)
            for side in ("client", "agency")
            if self.model.allows(action, side)
        ]
        if ways:
            self._try(*data.draw(st.sampled_from(ways)))

    @rule()
    def an_old_page_is_sent(self) -> None:
        """Whoever acts on what they saw before is told so."""
        if self.model.state == "in_service":
            with pytest.raises(Conflict), transaction():
                services.pause(self._found(), ["图纸"], "缺图", by=self._actor("agency"), expected_version=1)

    @precondition(lambda self: self.model.state == "offered")
    @rule()
    def half_an_hour_passes(self) -> None:
        sandbox.forward(timedelta(minutes=30))
        self.model.is_fresh = False
        # A day's end may fall into it, but no two working days do.
        if self._status() == "draft":
            self.model.do("lapse")

    @precondition(lambda self: self.model.state == "offered")
    @rule()
    def nobody_answers_for_weeks(self) -> None:
        sandbox.forward(timedelta(days=21))
        self.model.is_fresh = False
        if not self.model.asked_materials:
            self.model.do("lapse")

    def teardown(self) -> None:
        """What this walk left open must not fall due in the next one."""
        session.rollback()
        ends = {"draft": "cancel", "offered": "cancel", "in_service": "terminate", "delivered": "terminate"}
        action = ends.get(self._status())
        if action is not None:
            with transaction():
                self._verb(action)(self._found(), self.chain.client)

    @invariant()
    def portal_and_model_agree(self) -> None:
        session.rollback()
        session.expire_all()
        commission = self._found(lock=False)
        assert commission.status.value == self.model.state
        for side in ("client", "agency", "rival"):
            wanted = {action for action in Menu.RULES if self.model.allows(action, side)}
            found = set(commissions.moves(commission, self._actor(side)))
            # Whether an extension is proposed stands beside the commission, not in it.
            asked = {"propose_extension", "agree_extension", "refuse_extension"}
            assert found - asked == wanted - asked, side

    def _try(self, action: str, side: str) -> None:
        may = self.model.allows(action, side)
        before = len(trail.of(f"commission:{self.number}"))
        try:
            with transaction():
                self._verb(action)(self._found(), self._actor(side))
        except PortalError:
            assert not may, f"{side} may {action} in {self.model}"
            session.rollback()
            assert len(trail.of(f"commission:{self.number}")) == before, "a refusal left a trace"
        else:
            assert may, f"{side} may not {action} in {self.model}"
            self.model.do(action)

    def _verb(self, action: str) -> Callable[[Any, Any], Any]:
        world = self.chain.world

        def deliver(commission: Any, by: Any) -> Any:
            part = Part(commission.item.deliverables[0], world.document("成果.pdf", "成果", by=self.chain.agency))
            return deliverables.submit(commission, [part], result=Result.PASSED, summary="可行", by=by)

        def newest(commission: Any) -> Any:
            found = deliverables.latest(commission)
            if found is None:
                raise Conflict
            return found

        verbs: dict[str, Callable[[Any, Any], Any]] = {
            "offer": lambda c, by: commissions.offer(c, by=by),
            "take_back": lambda c, by: commissions.take_back(c, by=by),
            "request_materials": lambda c, by: commissions.request_materials(c, ["补图"], by=by),
            "supply_materials": lambda c, by: commissions.supply_materials(c, [], by=by),
            "decline": lambda c, by: commissions.decline(c, "人手不足", by=by),
            "take_on": lambda c, by: commissions.take_on(c, by=by),
            "start": lambda c, by: services.start(c, by=by),
            "pause": lambda c, by: services.pause(c, ["图纸"], "缺图", by=by),
            "resume": lambda c, by: services.resume(c, "已补", by=by),
            "propose_extension": lambda c, by: services.propose_extension(c, 3, "加深", by=by),
            "agree_extension": lambda c, by: services.agree_extension(c, by=by),
            "refuse_extension": lambda c, by: services.refuse_extension(c, by=by),
            "deliver": deliver,
            "return": lambda c, by: deliverables.return_for_revision(newest(c), ["补表"], by=by),
            "accept": lambda c, by: deliverables.accept(newest(c), by=by),
            "terminate": lambda c, by: commissions.terminate(c, "协商一致", by=by),
            "cancel": lambda c, by: commissions.cancel(c, "不需要了", by=by),
        }
        return verbs[action]

    def _actor(self, side: str) -> Any:
        chain = self.chain
        return {
            "client": chain.client,
            "agency": chain.agency,
            "rival": chain.world.actor("agency2"),
            "clock": trail.CLOCK,
        }[side]

    def _found(self, *, lock: bool = True) -> Any:
        return self.chain.find(self.number, lock=lock)

    def _status(self) -> str:
        session.rollback()
        session.expire_all()
        return str(self._found(lock=False).status.value)


def test_the_menu_commission_agrees_with_a_plain_model(chain: Chain) -> None:
    machine = type("Machine", (MenuMachine,), {"chain": chain})
    run_state_machine_as_test(machine, settings=PER_PUSH)


@pytest.mark.nightly
def test_the_menu_commission_agrees_with_a_plain_model_at_length(chain: Chain) -> None:
    machine = type("Machine", (MenuMachine,), {"chain": chain})
    run_state_machine_as_test(machine, settings=settings(PER_PUSH, max_examples=200))


# The competition


@dataclass
class Bidding:
    """A call, as a clerk would keep it."""

    state: str = "open"
    edition: int = 1
    bids: dict[str, tuple[int, int]] = field(default_factory=dict)
    ranked: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    winner: str = ""
    objected: bool = False

    def standing(self) -> dict[str, int]:
        return {login: price for login, (price, edition) in self.bids.items() if edition == self.edition}


LOGINS = ["agency", "agency2", "agency3"]


def working(moment: datetime) -> datetime:
    """The same hour of the first working day from here on: legal time runs on from walk to walk, into every holiday."""
    while not clock.china().is_working_day(clock.local_date(moment)):
        moment += timedelta(days=1)
    return moment


class BiddingMachine(RuleBasedStateMachine):
    """One small self-paid call; the platform alone keeps its key, so that the bids open by themselves."""

    competition: Competition
    agencies: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        session.rollback()
        self.number = self.competition.published(Route.BIDDING, ceiling=9_000_000)
        self.model = Bidding()
        self.turn = 0

    @rule(login=st.sampled_from(LOGINS), price=st.integers(1, 80))
    def bid(self, login: str, price: int) -> None:
        """Prices differ by the agency, so that no two are ever equal."""
        self.turn += 1
        fen = 5_000_000 + price * 10_000 + LOGINS.index(login)
        may = self.model.state == "open"
        try:
            self.competition.bid(self.number, login, self.agencies[login], fen)
        except PortalError:
            assert not may
            session.rollback()
        else:
            assert may
            self.model.bids[login] = (fen, self.model.edition)

    @rule(login=st.sampled_from(LOGINS))
    def withdraw(self, login: str) -> None:
        self._on_own(login, bidding.withdraw, lambda: self.model.bids.pop(login), login in self.model.bids)

    @rule(login=st.sampled_from(LOGINS))
    def confirm(self, login: str) -> None:
        bid = self.model.bids.get(login)
        unconfirmed = bid is not None and bid[1] < self.model.edition

        def then() -> None:
            self.model.bids[login] = (self.model.bids[login][0], self.model.edition)

        self._on_own(login, bidding.confirm, then, unconfirmed)

    def _on_own(self, login: str, verb: Any, then: Callable[[], object], is_there: bool) -> None:
        may = self.model.state == "open" and is_there
        try:
            with transaction():
                mine = bidding.own(self._call(), session.merge(self.agencies[login]))
                if not mine:
                    raise Conflict
                verb(mine[0], by=self.competition.world.actor(login))
        except PortalError:
            assert not may
            session.rollback()
        else:
            assert may
            then()

    @rule()
    def amend(self) -> None:
        may = self.model.state == "open"
        try:
            with transaction():
                call = self._call(lock=True)
                calls.amend(
                    call,
                    by=self.competition.buyer,
                    reason="补充要求",
                    requirement=f"{call.requirement}。",
                    closing_at=working(max(call.closing_at, calls.earliest_closing(call.rules)) + timedelta(days=7)),
                )
        except PortalError:
            assert not may
            session.rollback()
        else:
            assert may
            self.model.edition += 1

    @precondition(lambda self: self.model.state == "open")
    @rule()
    def the_closing_passes(self) -> None:
        self.competition.closed(self.number)
        standing = self.model.standing()
        if standing:
            self.model.state = "evaluating"
            self.model.ranked = sorted(standing, key=standing.__getitem__)
        else:
            self.model.state = "failed"

    @rule(login=st.sampled_from(LOGINS), reason=st.sampled_from(["", "业绩更好"]))
    def award(self, login: str, reason: str) -> None:
        choosable = [one for one in self.model.ranked if one not in self.model.refused]
        may = self.model.state == "evaluating" and login in choosable and (login == choosable[0] or bool(reason))
        try:
            with transaction():
                call = self._call(lock=True)
                rows = {one.bid.agency_id: one.bid for one in awards.current_ranking(call)}
                bid = rows.get(self.agencies[login].id)
                if bid is None:
                    raise Conflict
                awards.award(call, bid, by=self.competition.buyer, reason=reason)
        except PortalError:
            assert not may, f"{login} in {self.model}"
            session.rollback()
        else:
            assert may, f"{login} in {self.model}"
            self.model.state, self.model.winner = "publicised", login

    @rule(login=st.sampled_from(LOGINS))
    def an_agency_objects(self, login: str) -> None:
        may = self.model.state == "publicised" and login in self.model.bids and not self.model.objected
        try:
            with transaction():
                objections.file(
                    self._call(lock=True),
                    session.merge(self.agencies[login]),
                    "请复核",
                    by=self.competition.world.actor(login),
                )
        except PortalError:
            # One objection at a time is the model's; whom the portal hears besides is its own test's.
            assert not may or login not in self.model.standing()
            session.rollback()
        else:
            assert self.model.state == "publicised"
            self.model.objected = True

    @precondition(lambda self: self.model.state == "publicised" and self.model.objected)
    @rule()
    def the_objections_are_rejected(self) -> None:
        for one in list(objections.of_call(self._call())):
            if one.decided_at is None:
                with transaction():
                    objections.decide(
                        objections.find(one.number, by=self.competition.buyer, lock=True),
                        is_upheld=False,
                        answer="程序无误",
                        by=self.competition.buyer,
                    )
        self.model.objected = False

    @precondition(lambda self: self.model.state == "publicised")
    @rule()
    def three_weeks_pass(self) -> None:
        sandbox.forward(timedelta(days=21))  # more than the longest holiday
        jobs.run_due()
        if not self.model.objected:  # the award waits for the objection, however long
            self.model.state = "offered"

    @precondition(lambda self: self.model.state == "offered")
    @rule()
    def the_winner_refuses(self) -> None:
        commission = self._call().commission
        if commission.status is CommissionStatus.OFFERED:
            with transaction():
                one = commissions.find(commission.number, by=self.competition.world.actor(self.model.winner), lock=True)
                commissions.decline(one, "人手不足", by=self.competition.world.actor(self.model.winner))
            self.model.refused.add(self.model.winner)
            self.model.state, self.model.winner = "evaluating", ""

    @precondition(lambda self: self.model.state in {"open", "evaluating", "publicised", "offered"})
    @rule(dice=st.integers(0, 9))
    def the_buyer_gives_up(self, dice: int) -> None:
        if dice:
            return
        with transaction():
            calls.withdraw(self._call(lock=True), "项目调整", by=self.competition.buyer)
        self.model.state = "cancelled"

    def teardown(self) -> None:
        """What this walk left open must not fall due in the next one."""
        session.rollback()
        if self.model.state in {"open", "evaluating", "publicised", "offered"}:
            with transaction():
                calls.withdraw(self._call(lock=True), "结束", by=self.competition.buyer)

    @invariant()
    def portal_and_model_agree(self) -> None:
        session.rollback()
        session.expire_all()
        call = self._call()
        assert call.commission.status.value == self.model.state, self.model
        won = [one for one in awards.awards_of(call) if one.status.value in {"publicised", "confirmed"}]
        assert len(won) == (1 if self.model.winner and self.model.state in {"publicised", "offered"} else 0)
        if self.model.state == "open":
            assert bidding.count_standing(call) == len(self.model.standing())
        if self.model.state == "evaluating":
            order = [one.bid.agency_id for one in awards.choosable(call)]
            left = [one for one in self.model.ranked if one not in self.model.refused]
            assert order == [self.agencies[login].id for login in left]

    def _call(self, *, lock: bool = False) -> Any:
        return self.competition.find(self.number, lock=lock)


def machine_of(world: Any) -> type[BiddingMachine]:
    competition = Competition(world)
    agencies = dict(competition.agencies_named(3))
    return type("Machine", (BiddingMachine,), {"competition": competition, "agencies": agencies})


def test_the_call_agrees_with_a_plain_model(world: Any) -> None:
    run_state_machine_as_test(machine_of(world), settings=settings(PER_PUSH, max_examples=15, stateful_step_count=25))


@pytest.mark.nightly
def test_the_call_agrees_with_a_plain_model_at_length(world: Any) -> None:
    run_state_machine_as_test(machine_of(world), settings=settings(PER_PUSH, max_examples=300, stateful_step_count=40))
