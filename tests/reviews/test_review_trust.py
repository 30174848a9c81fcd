"""What a reviewer, a lead or a lawyer might try against a review, and what time does to it (B7–B9, life-cycles §3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from kernel import clock, files, sandbox, timekeeping
from kernel.access import Role
from kernel.accounts import Person, actor_of, add_member
from kernel.db import session, transaction
from kernel.errors import NotFound
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import Actor
from market import commissions, deliverables
from reviews import conclusions, meetings, panels, rounds, technical
from reviews.experts import ConflictKind
from reviews.kinds import Grade
from reviews.meetings import MeetingKind
from reviews.panels import Seat, SeatKind, SeatStatus
from reviews.rounds import Feedback, RulingKind, Stance
from reviews.technical import Outcome, ReviewStatus
from tests.reviewing import DRAWINGS, FIRST, Reviewing

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def reviewing(world: Any) -> Reviewing:
    return Reviewing(world)


def person(actor: Actor) -> Person:
    return session.get_one(Person, actor.person_id)


def login_of(reviewing: Reviewing, actor: Actor) -> str:
    return next(login for login, one in reviewing.world.people.items() if one.id == actor.person_id)


def latest(reviewing: Reviewing, number: str) -> rounds.Round:
    session.rollback()
    session.expire_all()
    return rounds.open_round_of(reviewing.find(number))


def seat_of(reviewing: Reviewing, number: str, actor: Actor) -> Seat:
    return next(one for one in reviewing.seats(number) if one.person_id == actor.person_id)


# Four eyes


def test_whoever_proposed_never_confirms_not_even_after_handing_the_lead_over(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    reviewing.everybody_else_has_nothing(number)
    reviewing.act(number, conclusions.propose, Outcome.PASSED, "符合要求", by=reviewing.lead)
    with transaction():
        technical.hand_over(reviewing.find(number), person(reviewing.second), by=reviewing.lead)
    with pytest.raises(conclusions.NotProposed):
        reviewing.act(number, conclusions.conclude, by=reviewing.lead)


def test_a_new_lead_declares_before_anything_is_concluded(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    reviewing.everybody_else_has_nothing(number)
    with transaction():
        technical.hand_over(reviewing.find(number), person(reviewing.second), by=reviewing.lead)
    with pytest.raises(panels.TooFewSeats):
        reviewing.act(number, conclusions.propose, Outcome.PASSED, "符合要求", by=reviewing.second)
    reviewing.act(number, panels.declare, [], "", by=reviewing.second)
    with pytest.raises(rounds.NotAllIn):
        reviewing.act(number, conclusions.propose, Outcome.PASSED, "符合要求", by=reviewing.second)
    reviewing.submit(number, reviewing.second, no_comment=True)
    reviewing.act(number, conclusions.propose, Outcome.PASSED, "符合要求", by=reviewing.second)
    assert reviewing.find(number).proposed_at is not None


def test_whom_a_conflict_took_off_the_panel_confirms_nothing(reviewing: Reviewing) -> None:
    number = reviewing.begun()
    reviewing.draw(number)
    with transaction():
        seat = panels.appoint(reviewing.find(number), person(reviewing.second), "structure", by=reviewing.lead)
    with transaction():
        panels.declare(reviewing.find(number), [ConflictKind.FAMILY], "设计负责人是近亲属", by=reviewing.second)
    with transaction():
        panels.replace(reviewing.find(number), session.merge(seat), "应当回避", by=reviewing.lead)
    reviewing.declare_all(number)
    reviewing.act(number, rounds.open_round, by=reviewing.lead)
    reviewing.everybody_else_has_nothing(number)
    reviewing.act(number, conclusions.propose, Outcome.PASSED, "符合要求", by=reviewing.lead)
    with pytest.raises(conclusions.SignerConflicted):
        reviewing.act(number, conclusions.conclude, by=reviewing.second)


def test_the_report_is_published_by_whom_it_names(reviewing: Reviewing) -> None:
    """The fixed text says who confirmed; another person's signature beside that name would be false."""
    number = reviewing.opened()
    reviewing.everybody_else_has_nothing(number)
    reviewing.conclude(number, Outcome.PASSED)
    reviewing.act(number, conclusions.sign, by=reviewing.lead)
    third = session.get_one(Person, reviewing.world.people["agency"].id)
    organisation = reviewing.world.organisations["磐石"]
    with transaction():
        add_member(session.merge(third), session.merge(organisation), Role.AGENCY)
    with pytest.raises(conclusions.NotSecond):
        reviewing.act(number, conclusions.publish, by=actor_of(session.merge(third), organisation.id))
    reviewing.act(number, conclusions.publish, by=reviewing.second)
    assert reviewing.find(number).status is ReviewStatus.FINISHED


def test_an_authority_sees_a_review_while_its_word_on_a_retraction_is_asked_for(reviewing: Reviewing) -> None:
    """An applicant pays: no authority is a side, and yet one has to agree."""
    number = reviewing.opened()
    reviewing.everybody_else_has_nothing(number)
    reviewing.conclude(number, Outcome.PASSED)
    authority = reviewing.world.actor("authority")
    with pytest.raises(NotFound):
        technical.find(number, by=authority)
    assert technical.mine(authority) == []
    reviewing.act(number, conclusions.ask_retraction, "结论依据有误", by=reviewing.lead)
    assert [one.number for one in technical.mine(authority)] == [number]
    with transaction():
        conclusions.retract(technical.find(number, by=authority, lock=True), by=authority)
    with pytest.raises(NotFound):
        technical.find(number, by=authority)


# Opinions apart


def test_nobody_is_sent_away_to_be_rid_of_their_opinion(reviewing: Reviewing) -> None:
    """The last one who is waited for is replaced: the curtain stays down until the next of the order has answered."""
    number = reviewing.opened()
    author, last = reviewing.experts(number)[:2]
    key = reviewing.write(number, author)
    reviewing.submit(number, author)
    reviewing.everybody_else_has_nothing(number, author, last)
    seat = seat_of(reviewing, number, last)
    with transaction():
        following = panels.replace(reviewing.find(number), session.merge(seat), "出差", by=reviewing.lead)
    assert following is not None
    fresh = reviewing.actor_of_seat(following)
    for actor in (fresh, last, reviewing.lead):
        try:
            seen = rounds.opinions_for(technical.find(number, by=actor), actor)
        except NotFound:
            continue
        assert seen == [], actor.person
    with pytest.raises(panels.TooFewSeats):
        reviewing.act(number, conclusions.propose, Outcome.FAILED, "不符合要求", by=reviewing.lead)
    reviewing.act(number, panels.declare, [], "", by=fresh)
    with pytest.raises(rounds.NotAllIn):
        reviewing.act(number, conclusions.propose, Outcome.FAILED, "不符合要求", by=reviewing.lead)
    assert latest(reviewing, number).all_in_at is None
    reviewing.submit(number, fresh, no_comment=True)
    assert latest(reviewing, number).all_in_at is not None
    assert [one.key for one in rounds.opinions_for(reviewing.find(number), fresh)] == [key]


def test_an_opinion_quotes_the_files_so_that_the_undeclared_do_not_read_it(
    reviewing: Reviewing, client_as: SignIn
) -> None:
    number = reviewing.issued()
    author = reviewing.experts(number)[0]
    reviewing.answered(number, Stance.EXPLAINED)
    reviewing.act(number, rounds.resubmit, 1, {}, by=reviewing.applicant)
    seat = seat_of(reviewing, number, author)
    with transaction():
        following = panels.replace(reviewing.find(number), session.merge(seat), "出差", by=reviewing.lead)
    assert following is not None
    fresh = reviewing.actor_of_seat(following)
    assert rounds.opinions_for(reviewing.find(number), fresh) == []
    client = client_as(login_of(reviewing, fresh))
    for address in (f"/reviews/{number}/rounds/1", f"/reviews/{number}/rounds/2", f"/reviews/{number}"):
        assert "楼梯净宽不足" not in client.get(address).get_data(as_text=True), address
    record = client.get(f"/reviews/{number}/record.json")
    assert record.status_code == 403
    assert "楼梯净宽不足" not in record.get_data(as_text=True)
    reviewing.act(number, panels.declare, [], "", by=fresh)
    assert len(rounds.opinions_for(reviewing.find(number), fresh)) == 1


def test_nobody_learns_whether_a_colleague_had_something_to_say(reviewing: Reviewing, client_as: SignIn) -> None:
    """“No comment” is an opinion too: until all are in, pages and history only say that somebody answered."""
    number = reviewing.opened()
    first, second, third = reviewing.experts(number)
    reviewing.write(number, first)
    reviewing.submit(number, first)
    reviewing.submit(number, second, no_comment=True)
    client = client_as(login_of(reviewing, third))
    history = client.get(f"/reviews/{number}").get_data(as_text=True)
    assert "反馈审查意见" in history
    assert "反馈无意见" not in history
    assert "提交审查意见" not in history
    page = client.get(f"/reviews/{number}/rounds/1").get_data(as_text=True)
    assert page.count("已反馈") == 2
    assert "有意见" not in page.replace("没有意见", "")


def test_a_proposal_that_is_not_confirmed_yet_is_no_news(reviewing: Reviewing, client_as: SignIn) -> None:
    number = reviewing.opened(joint=True)
    reviewing.everybody_else_has_nothing(number)
    reviewing.act(number, conclusions.propose, Outcome.PASSED, "经审查符合要求", by=reviewing.lead)
    for login in ("approver8", "applicant", "supervisor"):
        client = client_as(login)
        for address in ("conclusion", "confirmation", "signature", "", "record.json"):
            page = client.get(f"/reviews/{number}/{address}".rstrip("/")).get_data(as_text=True)
            assert "经审查符合要求" not in page, (login, address)


# Rounds


def test_a_cancelled_later_round_begins_again_as_it_was(reviewing: Reviewing) -> None:
    """The same versions under the same numbers, and the open opinions at their places."""
    number = reviewing.issued(reviewing.writing(page=None))
    reviewing.answered(number)
    reviewing.resubmitted(number, (("Stair width 1.15 m",), *FIRST[1:]))
    before = {one.slot: (one.sha256, one.edition, one.is_changed) for one in latest(reviewing, number).documents}
    assert before[DRAWINGS][1:] == (2, True)
    reviewing.act(number, rounds.cancel_round, 2, by=reviewing.lead)
    reviewing.act(number, rounds.open_round, by=reviewing.lead)
    again = latest(reviewing, number)
    assert {one.slot: (one.sha256, one.edition, one.is_changed) for one in again.documents} == before
    assert rounds.place_in(reviewing.opinion(number, 1), again) is not None


def test_a_round_in_which_somebody_ruled_is_not_taken_back(reviewing: Reviewing) -> None:
    number = reviewing.issued()
    reviewing.answered(number)
    reviewing.resubmitted(number, (("Stair width 1.15 m",), *FIRST[1:]))
    author = reviewing.actor_of_seat(reviewing.opinion(number, 1).seat)
    with transaction():
        review = reviewing.find(number)
        rounds.rule(review, 2, rounds.issued_of(review)[0], RulingKind.CLOSED, "已改", by=author)
    with pytest.raises(rounds.RoundBegun):
        reviewing.act(number, rounds.cancel_round, 2, by=reviewing.lead)


def test_a_proposal_rests_on_its_round_and_falls_with_it(reviewing: Reviewing) -> None:
    """A failure proposed in round 1 can't be confirmed weeks later because the applicant didn't answer."""
    number = reviewing.opened()
    author = reviewing.experts(number)[0]
    reviewing.write(number, author)
    reviewing.submit(number, author)
    reviewing.everybody_else_has_nothing(number, author)
    reviewing.act(number, conclusions.propose, Outcome.FAILED, "第一轮不符合要求", by=reviewing.lead)
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    sandbox.forward(timedelta(days=60))
    with pytest.raises(conclusions.NotProposed):
        reviewing.act(number, conclusions.conclude, by=reviewing.second)


# Departments, meetings, time


def running(*nouns: str) -> int:
    """How many clocks run on subjects of these nouns."""
    return sum(
        session.scalar(
            select(func.count())
            .select_from(StoredClock)
            .where(StoredClock.subject.like(f"{noun}:%"), StoredClock.ended_at.is_(None))
        )
        or 0
        for noun in nouns
    )


def test_a_department_invited_in_mid_round_must_answer_like_the_others(reviewing: Reviewing) -> None:
    """B8: it is asked, under a limit of its own; silence is closed as silence, and holds the round up until then."""
    number = reviewing.opened()
    with transaction():
        organisation = session.merge(reviewing.world.organisations["住建"])
        seat = panels.invite_department(reviewing.find(number), organisation, "消防", by=reviewing.lead)
    asked = rounds.asked_of(latest(reviewing, number), seat)
    assert asked is not None
    assert running("consultation") == 1
    for each in reviewing.seats(number):
        if each.kind is not SeatKind.DEPARTMENT:
            reviewing.submit(number, reviewing.actor_of_seat(each), no_comment=True)
    with pytest.raises(rounds.NotAllIn):
        reviewing.act(number, conclusions.propose, Outcome.PASSED, "符合要求", by=reviewing.lead)
    sandbox.forward(timedelta(days=10))
    reviewing.act(number, rounds.close_silent, 1, seat, by=reviewing.lead)
    asked = rounds.asked_of(latest(reviewing, number), seat)
    assert asked is not None
    assert asked.feedback is Feedback.SILENT
    assert running("consultation") == 0


def test_a_department_that_left_the_panel_is_not_urged_any_more(reviewing: Reviewing) -> None:
    number = reviewing.opened(joint=True)
    assert running("consultation") == 3
    seat = next(one for one in reviewing.seats(number) if one.discipline == "人防")
    with transaction():
        panels.replace(reviewing.find(number), session.merge(seat), "无人防工程", by=reviewing.lead)
    assert running("consultation") == 2


def test_no_clock_of_a_review_outlives_its_service(reviewing: Reviewing) -> None:
    number = reviewing.opened(joint=True)
    with transaction():
        review = reviewing.find(number)
        seats = [seat for seat in panels.of_review(review) if seat.status is SeatStatus.SERVING]
        meeting = meetings.call(
            review, MeetingKind.SITE, "现场核查", "云栖里", clock.now(), seats, by=reviewing.lead
        ).number
    with transaction():
        meetings.begin(meetings.find(reviewing.find(number), meeting, lock=True), by=reviewing.lead)
    assert running("review", "consultation", "meeting") == 5
    with transaction():
        review = reviewing.find(number)
        assert review.commission is not None
        found = commissions.find(review.commission.number, by=reviewing.applicant, lock=True)
        commissions.terminate(found, "项目停建", by=reviewing.applicant)
    assert running("review", "consultation", "meeting", "commission") == 0


def test_advice_of_a_seat_that_joined_late_goes_out_with_the_rest(reviewing: Reviewing) -> None:
    """A reviewer appointed in mid-round is asked once they have declared, and nothing is issued without them."""
    number = reviewing.opened()
    with transaction():
        panels.appoint(reviewing.find(number), person(reviewing.second), "structure", by=reviewing.lead)
    author = reviewing.experts(number)[0]
    reviewing.write(number, author)
    reviewing.submit(number, author)
    reviewing.everybody_else_has_nothing(number, author)
    assert latest(reviewing, number).all_in_at is None
    reviewing.act(number, panels.declare, [], "", by=reviewing.second)
    assert timekeeping.running(f"review:{number}", ClockKind.ROUND) is not None
    with pytest.raises(rounds.NotAllIn):
        reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    reviewing.write(number, reviewing.second, reviewing.writing("建议优化", grade=Grade.ADVICE))
    reviewing.submit(number, reviewing.second)
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    assert len(rounds.issued_of(reviewing.find(number))) == 2


# What comes too late, and what is told too early


def test_a_conflict_remembered_later_takes_its_holder_off_at_once(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    document = latest(reviewing, number).documents[0].document
    assert files.may_read(document, expert)
    with transaction():
        panels.declare(reviewing.find(number), [ConflictKind.FAMILY], "近亲属刚入职设计单位", by=expert)
    assert not files.may_read(document, expert)
    with pytest.raises(rounds.DeclareFirst):
        reviewing.submit(number, expert, no_comment=True)
    reviewing.everybody_else_has_nothing(number, expert)
    assert latest(reviewing, number).all_in_at is None, "the round waits for the replacement"


def test_a_department_is_no_person_and_has_no_family(reviewing: Reviewing) -> None:
    number = reviewing.opened(joint=True)
    seat = next(one for one in reviewing.seats(number) if one.kind is SeatKind.DEPARTMENT)
    with transaction():
        declared = panels.declare(
            reviewing.find(number), [ConflictKind.OTHER], "说明", by=reviewing.actor_of_seat(seat)
        )
        assert declared.status is SeatStatus.SERVING


def test_a_report_is_not_over_before_it_is_published(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    reviewing.everybody_else_has_nothing(number)
    yesterday = clock.today() - timedelta(days=1)
    with pytest.raises(deliverables.ValidityPast):
        reviewing.act(number, conclusions.propose, Outcome.PASSED, "符合", by=reviewing.lead, valid_until=yesterday)


def test_the_outcome_is_told_when_it_can_no_longer_be_taken_back(reviewing: Reviewing, client_as: SignIn) -> None:
    number = reviewing.opened()
    reviewing.everybody_else_has_nothing(number)
    reviewing.conclude(number, Outcome.PASSED)
    applicant = client_as("applicant")
    assert "审查合格" not in applicant.get(f"/reviews/{number}").get_data(as_text=True)
    record = applicant.get(f"/reviews/{number}/record.json").get_json()
    assert (record["CSSFTG"], record["SCTGSJ"]) == (None, None)
    reviewing.publish(number)
    assert "审查合格" in applicant.get(f"/reviews/{number}").get_data(as_text=True)
    assert applicant.get(f"/reviews/{number}/record.json").get_json()["CSSFTG"] == 1


def test_whom_a_conflict_took_off_reads_no_opinion_by_their_office(reviewing: Reviewing) -> None:
    """A person of the body, replaced for a conflict, stays shut out of what quotes the files."""
    number = reviewing.begun()
    reviewing.draw(number)
    with transaction():
        panels.appoint(reviewing.find(number), person(reviewing.second), "structure", by=reviewing.lead)
    with transaction():
        panels.declare(reviewing.find(number), [ConflictKind.OWNERSHIP], "持有设计单位股份", by=reviewing.second)
    key = seat_of(reviewing, number, reviewing.second).id
    with transaction():
        panels.replace(reviewing.find(number), session.get_one(Seat, key), "应当回避", by=reviewing.lead)
    reviewing.declare_all(number)
    reviewing.act(number, rounds.open_round, by=reviewing.lead)
    expert = reviewing.experts(number)[0]
    reviewing.write(number, expert)
    reviewing.submit(number, expert)
    reviewing.everybody_else_has_nothing(number, expert)
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    assert rounds.opinions_for(reviewing.find(number), reviewing.second) == []
    assert not rounds.may_open(reviewing.find(number), reviewing.second)
