"""A panel that judges another agency's deliverable: who may call it, what it holds, how it ends (001 §9.4, B9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from kernel import dossier, files, notifications, trail
from kernel.access import Role
from kernel.accounts import Person, actor_of, add_member, register_person
from kernel.db import session, transaction
from kernel.errors import NotFound
from kernel.trail import Actor
from market import commissions, deliverables
from market.commissions import CommissionStatus
from market.deliverables import DeliverableStatus
from reviews import conclusions, kinds, panels, rounds, technical
from reviews.kinds import Grade
from reviews.rounds import Writing
from reviews.technical import Outcome, TechnicalReview
from tests.market.conftest import Chain

SignIn = Callable[[str], FlaskClient]

SEATS = ("soil_water", "soil_water", "hydraulic")


class Panel:
    """清源's soil conservation plan, handed in for 宏远's project, before a panel of the water authority."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.chain = Chain(world)
        self.commission = self.chain.delivered()
        self.lead: Actor = world.actor("approver")
        self.people = [self._person(turn) for turn in range(len(SEATS))]

    def _person(self, turn: int) -> Actor:
        with transaction():
            person = register_person(f"water{turn}", f"水务{turn}")
            add_member(person, session.merge(self.world.organisations["水务"]), Role.APPROVER)
        return actor_of(person)

    @property
    def deliverable(self) -> deliverables.Deliverable:
        session.rollback()
        session.expire_all()
        found = deliverables.latest(self.chain.find(self.commission))
        assert found is not None
        return found

    def begin(self, by: Actor | None = None, basis: str = "重要水源地，须组织专家审查") -> str:
        number = self.deliverable.number
        with transaction():
            found = deliverables.find_for_panel(number, lock=True)
            kind = kinds.by_code("soil_conservation")
            return technical.begin_for_deliverable(found, kind, basis, by=by or self.lead).number

    def find(self, number: str) -> TechnicalReview:
        return technical.find(number, by=self.lead, lock=True)

    def opened(self) -> str:
        number = self.begin()
        for person, discipline in zip(self.people, SEATS, strict=True):
            with transaction():
                review = self.find(number)
                panels.appoint(review, session.get_one(Person, person.person_id), discipline, by=self.lead)
        for person in (self.lead, *self.people):
            with transaction():
                panels.declare(self.find(number), [], "", by=person)
        with transaction():
            rounds.open_round(self.find(number), by=self.lead)
        return number

    def end(self, number: str, outcome: Outcome) -> None:
        with transaction():
            conclusions.propose(self.find(number), outcome, "专家审查意见汇总", by=self.lead)
        with transaction():
            conclusions.conclude(self.find(number), by=self.people[0])
        with transaction():
            conclusions.sign(self.find(number), by=self.lead)
        with transaction():
            conclusions.publish(self.find(number), by=self.people[0])


@pytest.fixture
def panel(world: Any) -> Panel:
    return Panel(world)


@pytest.mark.parametrize(
    "login", ["approver2", "approver8", "authority", "agency", "applicant", "supervisor", "window"]
)
def test_only_an_authority_that_decides_on_it_calls_a_panel(panel: Panel, login: str) -> None:
    """Another department would read the files of a stranger's project by calling a panel of its own."""
    with pytest.raises(NotFound):
        panel.begin(by=panel.world.actor(login))


def test_a_panel_needs_its_basis_and_both_sides_hear_of_it(panel: Panel) -> None:
    with pytest.raises(commissions.ReasonMissing):
        panel.begin(basis=" ")
    panel.begin()
    for login in ("applicant", "agency"):
        told, _ = notifications.inbox(panel.world.people[login].id)
        assert any(notice.act == "review.begun" for notice in told), login


def test_who_may_call_a_panel_is_shown_the_way_and_the_applicant_sees_who_judges(
    panel: Panel, client_as: SignIn
) -> None:
    way = f"/deliverables/{panel.deliverable.number}/review"
    approver, applicant = client_as("approver"), client_as("applicant")
    assert way in approver.get("/reviews").get_data(as_text=True)
    assert way not in client_as("approver2").get("/reviews").get_data(as_text=True)
    page = f"/commissions/{panel.commission}"
    before = applicant.get(page).get_data(as_text=True)
    assert f"{page}/accept" in before
    assert "/reviews/" not in before
    number = panel.begin()
    after = applicant.get(page).get_data(as_text=True)
    assert f"/reviews/{number}" in after
    assert f"{page}/accept" not in after
    assert way not in approver.get("/reviews").get_data(as_text=True)


def test_while_the_panel_sits_the_two_sides_neither_accept_nor_return(panel: Panel) -> None:
    panel.begin()
    with pytest.raises(deliverables.HeldForReview), transaction():
        found = deliverables.find(panel.deliverable.number, by=panel.chain.client, lock=True)
        deliverables.accept(found, by=panel.chain.client)
    commission = panel.chain.find(panel.commission)
    assert {"accept", "return"}.isdisjoint(commissions.moves(commission, panel.chain.client))
    with pytest.raises(technical.NotWaiting):
        panel.begin()


def test_of_the_authority_only_those_who_serve_read_the_deliverable(panel: Panel) -> None:
    number = panel.begin()
    document = panel.deliverable.files[0].document
    for actor in (panel.lead, *panel.people):
        assert not files.may_read(document, actor), actor.person
    assert rounds.may_open(panel.find(number), panel.chain.client)


def test_a_pass_accepts_the_deliverable_and_finishes_the_service(panel: Panel) -> None:
    number = panel.opened()
    assert files.may_read(panel.deliverable.files[0].document, panel.people[0])
    for person in (panel.lead, *panel.people):
        with transaction():
            rounds.submit(panel.find(number), 1, by=person, no_comment=True)
    panel.end(number, Outcome.PASSED)
    deliverable = panel.deliverable
    assert deliverable.status is DeliverableStatus.ACCEPTED
    assert deliverable.commission.status is CommissionStatus.FINISHED
    (entry,) = dossier.from_source(deliverable.subject)
    assert "水务" in entry.accepted_by
    acts = [act.act for act in trail.of(deliverable.subject)]
    assert acts == ["deliverable.submitted", "deliverable.accepted"]


def test_a_fail_returns_it_with_the_open_points_and_the_agency_works_on(panel: Panel) -> None:
    number = panel.opened()
    expert = panel.people[0]
    slot = rounds.open_round_of(technical.find(number, by=panel.lead)).documents[0].slot
    with transaction():
        said = Writing(Grade.MUST, slot, "应补充弃渣场选址论证", "缺少弃渣场选址论证", clause="GB 50433-2018 第3.2.3条")
        rounds.write(panel.find(number), 1, said, by=expert)
    with transaction():
        rounds.submit(panel.find(number), 1, by=expert)
    for person in (panel.lead, *panel.people[1:]):
        with transaction():
            rounds.submit(panel.find(number), 1, by=person, no_comment=True)
    panel.end(number, Outcome.FAILED)
    deliverable = panel.deliverable
    assert deliverable.status is DeliverableStatus.RETURNED
    assert deliverable.points == ["1. 缺少弃渣场选址论证"]
    assert deliverable.commission.status is CommissionStatus.IN_SERVICE
    assert "deliver" in commissions.moves(deliverable.commission, panel.chain.agency), "nothing holds it any more"


def test_the_page_exists_for_the_competent_authority_alone(panel: Panel, client_as: Any) -> None:
    number = panel.deliverable.number
    assert client_as("approver").get(f"/deliverables/{number}/review").status_code == 200
    assert client_as("approver2").get(f"/deliverables/{number}/review").status_code == 404
