"""A technical review against a plain model: any side tries anything, in any order (B4–B9, life-cycles §3).

The model knows nothing of records: a state, the cards of the opinions, who is in, and who may do what. After every try
the portal and the model must agree on whether it was allowed, on where the review stands, on which clock runs, and on
which opinions each side may see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, func, select, text

from integration.demo import city as demo
from kernel import sandbox, timekeeping
from kernel.clock import Light
from kernel.db import session, transaction
from kernel.errors import PortalError
from kernel.files import Document
from kernel.timekeeping import ClockKind
from kernel.trail import Actor, TrailAct
from market import catalogue, commissions, listings, services
from market.commissions import Picked
from reviews import conclusions, experts, kinds, panels, rounds, technical
from reviews.kinds import Grade
from reviews.rounds import Opinion, RulingKind, Stance, Writing
from reviews.technical import Outcome, TechnicalReview
from tests.reviewing import FIRST, Reviewing

PER_PUSH = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    print_blob=False,
)
#: No shipped kind serves it, and the demo's review body may offer it.
ITEM, MATERIAL, SLOT = "ZJ-0510", "水资源论证报告书", "scheme"
LIMIT = 2
PANEL = ("lead", "first", "other")
SIDES = (*PANEL, "second", "applicant", "authority", "stranger")
KIND: dict[str, Any] = {
    "code": "small_review",
    "zh": "小型技术审查",
    "en": "Small review",
    "clause": "测试用",
    "guide_zh": "提交文件。",
    "guide_en": "Hand in the document.",
    "materials": [{"code": SLOT, "zh": MATERIAL, "en": "Scheme", "required": True}],
    "fields": [],
    "specialities": [{"code": "soil_water", "zh": "水土保持", "en": "Soil and water", "count": 1}],
    "reviewers": 1,
    "round_limit": LIMIT,
    "promised_days": 10,
    "round_days": 5,
    "response_days": 5,
    "joint_days": 3,
    "commissioned_by": ["applicant"],
    "signatures": ["lead", "second"],
    "item_codes": [ITEM],
    "departments": [],
    "joint_kind": None,
    "title_of_report": "审查报告",
    "title_of_report_en": "Review report",
}
#: Where a walk begins, so that short walks try the later states too: "all" is everybody who is asked, once.
_IN = ("open_round", "write must first", "write advice other", "all")
_OUT = (*_IN, "issue lead")
BEGINNINGS: tuple[tuple[str, ...], ...] = (
    (),
    _IN,
    _OUT,
    (*_OUT, "answer corrected applicant", "resubmit file applicant"),
    (*_OUT, "answer contested applicant", "resubmit file applicant", "write must other", "all"),
    ("open_round", "write advice first", "all", "propose passed lead", "conclude second"),
)
#: Longer than any time limit of the kind with the longest holiday in it.
WEEKS = timedelta(days=28)


@dataclass(slots=True)
class Card:
    """One opinion. ``rulings`` and ``answers`` are the rounds that brought one."""

    key: str
    author: str
    is_must: bool
    round: int
    state: str = "drafted"
    number: int | None = None
    rulings: set[int] = field(default_factory=set)
    answers: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Try:
    """What is tried: ``which`` picks among the opinions there are, ``word`` is the choice the act leaves."""

    action: str
    side: str
    word: str = ""
    which: int = 0


#: Action → (who, from which state, the choices it leaves).
RULES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "open_round": (("lead",), ("assigning",), ("",)),
    "cancel_round": (("lead",), ("reviewing",), ("",)),
    "write": (PANEL, ("reviewing",), ("must", "advice")),
    "discard": (PANEL, ("reviewing",), ("",)),
    "submit": (PANEL, ("reviewing",), ("",)),
    "no_comment": (PANEL, ("reviewing",), ("",)),
    "issue": (("lead",), ("reviewing",), ("", "merged", "into itself")),
    "answer": (("applicant",), ("with_applicant",), ("corrected", "contested")),
    "resubmit": (("applicant",), ("with_applicant",), ("file", "no file", "same file")),
    "close": (PANEL, ("reviewing",), ("",)),
    "maintain": (PANEL, ("reviewing",), ("",)),
    "propose": (("lead",), ("reviewing", "with_applicant"), ("passed", "failed")),
    "conclude": (("second",), ("reviewing", "with_applicant"), ("",)),
    "ask_retraction": (("lead",), ("concluded",), ("",)),
    "retract": (("authority",), ("concluded",), ("",)),
    "sign": (("lead",), ("concluded",), ("",)),
    "publish": (("second",), ("concluded",), ("",)),
}


@dataclass
class Model:
    """A review as a clerk would keep it."""

    state: str = "assigning"
    round: int = 0
    all_in: set[int] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    cards: list[Card] = field(default_factory=list)
    proposed: str = ""
    is_late: bool = False
    is_retraction_asked: bool = False
    is_signed: bool = False

    # What there is

    def in_state(self, *states: str, round_: int | None = None) -> list[Card]:
        return [one for one in self.cards if one.state in states and round_ in (None, one.round)]

    def issued(self) -> list[Card]:
        return sorted(self.in_state("open", "closed"), key=lambda one: one.number or 0)

    def musts(self) -> list[Card]:
        return [one for one in self.in_state("open") if one.is_must]

    def drafts(self, side: str) -> list[Card]:
        return [one for one in self.in_state("drafted") if one.author == side]

    def target(self, tried: Try) -> Card | None:
        """The opinion that is meant: one's own draft to discard, else an issued one."""
        found = self.drafts(tried.side) if tried.action == "discard" else self.issued()
        return found[tried.which % len(found)] if found else None

    def sees(self, side: str) -> set[str]:
        seen = {one.key for one in self.cards if one.author == side}
        seen |= {one.key for one in self.issued()}
        if side in (*PANEL, "second"):
            seen |= {one.key for one in self.in_state("submitted", "merged") if one.round in self.all_in}
        return seen

    # What is allowed

    def allows(self, tried: Try) -> bool:
        who, states, _ = RULES[tried.action]
        if tried.side not in who or self.state not in states:
            return False
        card = self.target(tried)
        match tried.action:
            case "cancel_round":
                has_ruled = any(self.round in one.rulings for one in self.issued())
                return not self.answered and not has_ruled
            case "write":
                return tried.side not in self.answered
            case "discard":
                return card is not None
            case "submit" | "no_comment":
                return self._may_submit(tried.side, is_nothing=tried.action == "no_comment")
            case "issue":
                return self._may_issue(tried.word)
            case "answer":
                return card is not None and card.state == "open"
            case "resubmit":
                said = [one.answers.get(self.round) for one in self.in_state("open")]
                is_answered = all(self.round in one.answers for one in self.musts())
                return is_answered and ("corrected" not in said or tried.word == "file")
            case "close" | "maintain":
                is_theirs = card is not None and tried.side in ("lead", card.author)
                return is_theirs and card is not None and card.state == "open" and self.round not in card.rulings
            case "propose":
                return self._may_end(tried.word)
            case "conclude":
                return bool(self.proposed) and self._may_end(self.proposed)
            case "retract":
                return self.is_retraction_asked
            case "sign":
                return not self.is_signed
            case "publish":
                return self.is_signed
        return True

    def _may_submit(self, side: str, *, is_nothing: bool) -> bool:
        own = [one for one in self.issued() if one.author == side]
        is_ruled = all(self.round in one.rulings for one in own if one.state == "open")
        if side in self.answered or not is_ruled:
            return False
        if is_nothing:
            return not self.drafts(side)
        return bool(self.drafts(side)) or any(self.round in one.rulings for one in own)

    def _may_issue(self, word: str) -> bool:
        fresh = self.in_state("submitted", round_=self.round)
        is_possible = {"": True, "merged": len(fresh) > 1, "into itself": False}[word]
        has_must = bool(self.musts()) or any(one.is_must for one in fresh)
        return self.round in self.all_in and self.round < LIMIT and is_possible and has_must

    def _may_end(self, outcome: str) -> bool:
        if self.state == "with_applicant":
            return outcome == "failed" and self.is_late
        if self.round not in self.all_in:
            return False
        stands = bool(self.musts()) or any(one.is_must for one in self.in_state("submitted", round_=self.round))
        return stands == (outcome == "failed")

    # What follows

    def do(self, tried: Try, *, key: str = "") -> None:
        card = self.target(tried)
        match tried.action:
            case "open_round":
                self.state, self.round = "reviewing", self.round + 1
                self.answered = set()
            case "cancel_round":
                self.cards = [one for one in self.cards if one.round != self.round or one.number is not None]
                self.state, self.round, self.proposed = "assigning", self.round - 1, ""
            case "write":
                self.cards.append(Card(key, tried.side, tried.word == "must", self.round))
            case "discard":
                self.cards.remove(card)  # type: ignore[arg-type]
            case "submit" | "no_comment":
                for one in self.drafts(tried.side):
                    one.state = "submitted"
                self.answered.add(tried.side)
                if self.answered == set(PANEL):
                    self.all_in.add(self.round)
            case "issue":
                if tried.word == "merged":
                    kept, gone = self.in_state("submitted", round_=self.round)[:2]
                    kept.is_must, gone.state = kept.is_must or gone.is_must, "merged"
                self._number()
                self.state, self.is_late, self.proposed = "with_applicant", False, ""
            case "answer":
                card.answers[self.round] = tried.word  # type: ignore[union-attr]
            case "resubmit":
                self.state, self.round, self.answered = "reviewing", self.round + 1, set()
                self.proposed = ""
            case "close" | "maintain":
                card.rulings.add(self.round)  # type: ignore[union-attr]
                card.state = "closed" if tried.action == "close" else "open"  # type: ignore[union-attr]
            case "propose":
                self.proposed = tried.word
            case "conclude":
                self._number()
                self.state, self.is_late = "concluded", False
            case "ask_retraction":
                self.is_retraction_asked = True
            case "retract":
                self.state, self.proposed = "reviewing", ""
                self.is_retraction_asked = self.is_signed = False
            case "sign":
                self.is_signed = True
            case "publish":
                self.state = "finished"

    def _number(self) -> None:
        last = max((one.number or 0 for one in self.cards), default=0)
        for number, one in enumerate(self.in_state("submitted", round_=self.round), start=last + 1):
            one.number, one.state = number, "open"


class ReviewMachine(RuleBasedStateMachine):
    """One review of the test's town; the panel was appointed, since how it is drawn is another test's."""

    town: Town

    @initialize(beginning=st.sampled_from(BEGINNINGS))
    def a_service_begins(self, beginning: tuple[str, ...]) -> None:
        session.rollback()
        self.model = Model()
        self.number = self.town.begun()
        self.is_changed = True
        for step in beginning:
            if step == "all":
                self.everybody_is_in()
                continue
            action, *words = step.split()
            tried = Try(action, words[-1] if words else "lead", words[0] if len(words) > 1 else "")
            assert self.model.allows(tried), f"{step} in {self.model}"
            self._try(tried)

    @rule(data=st.data())
    def anybody_tries(self, data: Any) -> None:
        action = data.draw(st.sampled_from(sorted(RULES)))
        word = data.draw(st.sampled_from(RULES[action][2]))
        self._try(Try(action, data.draw(st.sampled_from(SIDES)), word, data.draw(st.integers(0, 3))))

    @rule(data=st.data())
    def the_right_side_tries(self, data: Any) -> None:
        """What the state allows to this side; whether this very act is open now is for the guards to say."""
        action = data.draw(
            st.sampled_from([one for one in sorted(RULES) if self.model.state in RULES[one][1]] or ["write"])
        )
        who, _, words = RULES[action]
        tried = Try(
            action, data.draw(st.sampled_from(who)), data.draw(st.sampled_from(words)), data.draw(st.integers(0, 3))
        )
        self._try(tried)

    @rule(data=st.data())
    def somebody_does_what_is_open(self, data: Any) -> None:
        """Without these rules few walks would come far."""
        self._go_on(data, {"cancel_round", "discard", "write"} if data.draw(st.booleans()) else set())

    @rule(data=st.data())
    def the_review_goes_on(self, data: Any) -> None:
        self._go_on(data, {"cancel_round", "discard", "ask_retraction", "answer"})

    @rule()
    def everybody_is_in(self) -> None:
        """Each member of the panel says what they have, and maintains what is theirs."""
        for side in PANEL:
            for place, one in enumerate(self.model.issued()):
                if one.author == side and self.model.allows(Try("maintain", side, which=place)):
                    self._try(Try("maintain", side, which=place))
            for action in ("submit", "no_comment"):
                if self.model.allows(Try(action, side)):
                    self._try(Try(action, side))
                    break

    @rule(data=st.data())
    def an_older_round_is_meant(self, data: Any) -> None:
        """Whoever acts on what they saw in an earlier round is told so, and nothing happens."""
        if self.model.round < 2:
            return
        action = data.draw(st.sampled_from(["write", "submit", "no_comment", "issue", "resubmit", "maintain"]))
        side = data.draw(st.sampled_from(SIDES))
        tried = Try(action, side, RULES[action][2][0], data.draw(st.integers(0, 3)))
        if action == "maintain" and self.model.target(tried) is None:
            return
        before = self._count_acts()
        with pytest.raises(PortalError) as caught, transaction():
            self._verb(tried, round_=self.model.round - 1)
        session.rollback()
        assert self._count_acts() == before
        if self.model.allows(tried):
            assert caught.value.status == 409, "the page they saw is out of date, and that is what they are told"

    @rule()
    def two_hours_pass(self) -> None:
        sandbox.forward(timedelta(hours=2))

    @precondition(lambda self: self.model.state == "with_applicant")
    @rule(dice=st.integers(0, 2))
    def the_applicant_is_silent_for_weeks(self, dice: int) -> None:
        if dice == 0:
            sandbox.forward(WEEKS)
            self.model.is_late = True

    @invariant()
    def portal_and_model_agree(self) -> None:
        """Where it stands after every step; all the rest after every step that changed something."""
        session.rollback()
        state = session.scalar(select(TechnicalReview.status).where(TechnicalReview.number == self.number))
        assert state == self.model.state
        if not self.is_changed:
            return
        self.is_changed = False
        session.expire_all()
        review = self._review()
        assert [one.number for one in rounds.rounds_of(review)] == list(range(1, self.model.round + 1))
        assert self.model.round <= LIMIT
        self._clocks_agree(review)
        for side in SIDES:
            self._sees_what_they_may(review, side)
        numbered = {one.key: (one.number, one.status.value) for one in rounds.issued_of(review)}
        assert numbered == {one.key: (one.number, one.state) for one in self.model.issued()}
        if review.outcome is Outcome.PASSED and review.concluded_at is not None:
            assert not self.model.musts(), "passed with a mandatory opinion open"

    def _clocks_agree(self, review: TechnicalReview) -> None:
        is_running = {
            kind: timekeeping.running(review.subject, kind) is not None
            for kind in (ClockKind.ROUND, ClockKind.RESPONSE)
        }
        assert is_running == {
            ClockKind.ROUND: self.model.state == "reviewing",
            ClockKind.RESPONSE: self.model.state == "with_applicant",
        }
        assert review.commission is not None
        service = timekeeping.running(review.commission.subject, ClockKind.SERVICE)
        assert (service is None) == (self.model.state == "finished")
        if service is not None:
            is_paused = timekeeping.reading(service).light is Light.BLUE
            assert is_paused == (self.model.state == "with_applicant"), "the service waits with the applicant only"

    def _sees_what_they_may(self, review: TechnicalReview, side: str) -> None:
        """By the one clause that every page, list and feed asks."""
        by = self.town.actors[side]
        if not technical.can_see(review, by):
            assert side in {"stranger", "authority"}
            return
        seen = set(session.scalars(select(Opinion.key).where(rounds.visible(review, by))))
        if side in {"authority", "stranger"}:
            assert seen <= {one.key for one in self.model.issued()}, side
        else:
            assert seen == self.model.sees(side), side

    def teardown(self) -> None:
        """What this walk left open must not fall due in the next one."""
        session.rollback()
        if hasattr(self, "number") and self.model.state != "finished":
            with transaction():
                review = self._review()
                assert review.commission is not None
                found = commissions.find(review.commission.number, by=self.town.actors["applicant"], lock=True)
                commissions.terminate(found, "不再建设", by=self.town.actors["applicant"])
            session.expire_all()
            assert self._review().status.value == "ended"
            assert timekeeping.running(f"review:{self.number}", ClockKind.ROUND) is None
            assert timekeeping.running(f"review:{self.number}", ClockKind.RESPONSE) is None

    # Trying

    def _go_on(self, data: Any, but: set[str]) -> None:
        ways: dict[str, list[Try]] = {}
        for action, (who, states, words) in RULES.items():
            if action in but or self.model.state not in states:
                continue
            for side in who:
                for word in words:
                    for which in (
                        range(max(1, len(self.model.cards))) if action in {"answer", "close", "maintain"} else (0,)
                    ):
                        tried = Try(action, side, word, which)
                        if self.model.allows(tried):
                            ways.setdefault(action, []).append(tried)
        if ways:
            self._try(data.draw(st.sampled_from(ways[data.draw(st.sampled_from(sorted(ways)))])))

    def _try(self, tried: Try) -> None:
        if tried.action in {"answer", "close", "maintain", "discard"} and self.model.target(tried) is None:
            return
        may = self.model.allows(tried)
        before = self._count_acts()
        try:
            with transaction():
                made = self._verb(tried)
                key = made.key if tried.action == "write" else ""
        except PortalError as error:
            assert not may, f"{tried} in {self.model}: {error!r}"
            session.rollback()
            assert self._count_acts() == before, "a refusal left a trace"
        else:
            assert may, f"{tried} in {self.model}"
            self.model.do(tried, key=key)
            self.is_changed = True

    def _count_acts(self) -> int:
        counted = select(func.count()).select_from(TrailAct).where(TrailAct.subject == f"review:{self.number}")
        return session.scalar(counted) or 0

    def _review(self) -> TechnicalReview:
        return technical.find(self.number, by=self.town.actors["lead"])

    def _verb(self, tried: Try, *, round_: int | None = None) -> Any:
        by = self.town.actors[tried.side]
        review = technical.find(self.number, by=by, lock=True)
        number = self.model.round if round_ is None else round_
        verbs: dict[str, Callable[[], Any]] = {
            "open_round": lambda: rounds.open_round(review, by=by),
            "cancel_round": lambda: rounds.cancel_round(review, number, by=by),
            "write": lambda: rounds.write(review, number, self._writing(tried.word), by=by),
            "discard": lambda: rounds.discard(review, self._target(tried).key, by=by),
            "submit": lambda: rounds.submit(review, number, by=by),
            "no_comment": lambda: rounds.submit(review, number, by=by, no_comment=True),
            "issue": lambda: rounds.issue(review, number, by=by, merges=self._merges(tried.word)),
            "answer": lambda: rounds.answer(review, self._opinion(tried), Stance(tried.word), "见说明", by=by),
            "resubmit": lambda: rounds.resubmit(review, number, self._changed(review, tried.word), by=by),
            "close": lambda: rounds.rule(review, number, self._opinion(tried), RulingKind.CLOSED, "已改", by=by),
            "maintain": lambda: rounds.rule(review, number, self._opinion(tried), RulingKind.MAINTAINED, "未改", by=by),
            "propose": lambda: conclusions.propose(review, Outcome(tried.word), "审查意见如下", by=by),
            "conclude": lambda: conclusions.conclude(review, by=by),
            "ask_retraction": lambda: conclusions.ask_retraction(review, "依据有误", by=by),
            "retract": lambda: conclusions.retract(review, by=by),
            "sign": lambda: conclusions.sign(review, by=by),
            "publish": lambda: conclusions.publish(review, by=by),
        }
        return verbs[tried.action]()

    def _target(self, tried: Try) -> Card:
        found = self.model.target(tried)
        assert found is not None
        return found

    def _opinion(self, tried: Try) -> Opinion:
        number = self._target(tried).number
        return next(one for one in rounds.issued_of(self._review()) if one.number == number)

    def _writing(self, word: str) -> Writing:
        return Writing(
            grade=Grade(word), slot=SLOT, required="应当满足", found="没有满足", clause="GB 50433-2018 第3.2条"
        )

    def _merges(self, word: str) -> dict[str, list[str]]:
        fresh = [one.key for one in self.model.in_state("submitted", round_=self.model.round)]
        if word == "merged":
            return {fresh[0]: [fresh[1]]} if len(fresh) > 1 else {"none": ["nothing"]}
        if word == "into itself":
            return {fresh[0]: [fresh[0]]} if fresh else {"none": ["nothing"]}
        return {}

    def _changed(self, review: TechnicalReview, word: str) -> dict[str, Document]:
        """Another version, the same bytes once more, or nothing."""
        latest = rounds.current(review)
        if word == "no file" or latest is None:
            return {}
        sha256 = latest.documents[0].sha256
        wanted = (one for one in self.town.versions() if (one.sha256 == sha256) == (word == "same file"))
        return {SLOT: next(wanted)}


class Town:
    """What all walks share: the body with a listing, two experts, three versions of one document."""

    def __init__(self, reviewing: Reviewing) -> None:
        self.world = reviewing.world
        self.actors: dict[str, Actor] = {
            "lead": reviewing.lead,
            "second": reviewing.second,
            "first": self.world.actor("expert3"),
            "other": self.world.actor("expert7"),
            "applicant": reviewing.applicant,
            "authority": self.world.actor("authority"),
            "stranger": self.world.agency_actor,
        }
        with transaction():
            item = catalogue.by_code(ITEM)
            agency = session.merge(reviewing.agency)
            self.listing = listings.draft(
                agency, item, demo.demo_rule(item, 1), promised_working_days=10, by=reviewing.lead
            )
            listings.publish(self.listing, by=reviewing.lead)
            versions = [reviewing.pdf(f"{place}.pdf", ((f"edition {place}",), *FIRST)) for place in range(3)]
            self._versions = [one.id for one in versions]

    def versions(self) -> list[Document]:
        return [session.get_one(Document, one) for one in self._versions]

    def begun(self) -> str:
        """A review whose panel has declared; answers its number. Legal time begins anew."""
        lead, applicant = self.actors["lead"], self.actors["applicant"]
        with transaction():
            sandbox.leave()
            sandbox.start_at(demo.START)
        with transaction():
            commission = commissions.draft(
                session.merge(self.world.project),
                session.merge(self.listing),
                session.merge(self.world.client_org),
                by=applicant,
            )
            paper = self.versions()[0]
            handed = [Picked(name, document=paper) for name in commission.item.required_materials]
            commissions.hand_in(commission, handed)
            commissions.offer(commission, by=applicant)
            commissions.take_on(commission, by=lead)
            services.start(commission, by=lead)
            review = technical.of_commission(commission)
            assert review is not None
            for side in ("first", "other"):
                expert = experts.of_person(self.actors[side].person_id)
                assert expert is not None
                panels.appoint(review, expert, "soil_water", by=lead)
            for side in PANEL:
                panels.declare(review, [], "", by=self.actors[side])
            return review.number


@pytest.fixture
def town(world: Any, owner_engine: Engine) -> Iterator[Town]:
    """The kind is the test's own and ends with it."""
    with transaction():
        kinds.add_kind(KIND, by=world.operator)
    yield Town(Reviewing(world))
    session.rollback()
    session.remove()
    with owner_engine.connect() as connection:
        connection.execute(text("TRUNCATE technical_reviews CASCADE"))
        connection.execute(text("DELETE FROM review_kinds WHERE code = :code"), {"code": KIND["code"]})


def test_the_review_agrees_with_a_plain_model(town: Town) -> None:
    machine = type("Machine", (ReviewMachine,), {"town": town})
    run_state_machine_as_test(machine, settings=PER_PUSH)


@pytest.mark.nightly
def test_the_review_agrees_with_a_plain_model_at_length(town: Town) -> None:
    machine = type("Machine", (ReviewMachine,), {"town": town})
    run_state_machine_as_test(machine, settings=settings(PER_PUSH, max_examples=200, stateful_step_count=40))
