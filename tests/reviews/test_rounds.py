"""Rounds of a review, through the public verbs (B4, B5, B7, B8; life-cycles §3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernel import dossier, files, jobs, notifications, sandbox, timekeeping, trail, workflow
from kernel.clock import Light
from kernel.db import session, transaction
from kernel.errors import Invalids, NotFound, PortalError
from kernel.timekeeping import ClockKind
from market import commissions, deliverables
from market.commissions import CommissionStatus
from reviews import conclusions, panels, rounds, technical
from reviews.experts import ConflictKind
from reviews.kinds import Grade
from reviews.panels import SeatKind, SeatStatus
from reviews.rounds import Feedback, PlaceKind, RulingKind, Stance
from reviews.technical import Outcome, ReviewStatus
from tests.reviewing import DRAWINGS, FIRST, Reviewing


@pytest.fixture
def reviewing(world: Any) -> Reviewing:
    return Reviewing(world)


# Beginning and the panel


def test_the_start_of_the_service_is_the_start_of_the_review(reviewing: Reviewing) -> None:
    """B3: one press stamps both."""
    number = reviewing.begun()
    review = reviewing.find(number)
    assert review.commission is not None
    assert review.begun_at == review.commission.in_service_at
    assert next(act.act for act in trail.of(review.subject)) == "review.begun"
    assert review.status is ReviewStatus.ASSIGNING


def test_the_agency_cannot_hand_in_a_report_past_its_own_review(reviewing: Reviewing) -> None:
    number = reviewing.begun()
    commission = reviewing.find(number).commission
    assert commission is not None
    assert "deliver" not in commissions.moves(commission, reviewing.lead)
    with pytest.raises(deliverables.HeldForReview), transaction():
        part = deliverables.Part("报告", reviewing.pdf("报告.pdf", [["report"]], by=reviewing.lead))
        found = commissions.find(commission.number, by=reviewing.lead, lock=True)
        deliverables.submit(found, [part], result=deliverables.Result.PASSED, summary="可", by=reviewing.lead)


def test_experts_are_drawn_for_every_speciality_and_asked_to_declare(reviewing: Reviewing) -> None:
    number = reviewing.begun()
    reviewing.draw(number)
    drawn = [seat for seat in reviewing.seats(number) if seat.kind is SeatKind.EXPERT]
    assert sorted(seat.discipline for seat in drawn) == ["architecture", "building_services", "structure"]
    assert {seat.status for seat in drawn} == {SeatStatus.INVITED}
    for seat in drawn:
        assert seat.expert is not None
        assert seat.discipline in seat.expert.specialities
        assert seat.person_id is not None
        told, _ = notifications.inbox(seat.person_id)
        assert any(notice.act == "review.assigned" for notice in told)


def test_nobody_opens_a_file_before_they_declared_and_none_with_a_conflict_by_any_way(reviewing: Reviewing) -> None:
    """B7: the frozen document, and the same bytes under the commission, stay shut."""
    number = reviewing.begun()
    reviewing.draw(number)
    review = reviewing.find(number)
    assert review.commission is not None
    document = review.commission.materials[0].document
    lead, expert = reviewing.lead, reviewing.experts(number)[0]
    assert not files.may_read(document, expert)
    assert not files.may_read(document, lead), "the lead reads as the agency's person, but has not declared"
    with transaction():
        panels.declare(reviewing.find(number), [ConflictKind.FAMILY], "设计负责人是本人近亲属", by=expert)
    assert not files.may_read(document, expert)
    reviewing.declare_all(number)
    assert files.may_read(document, lead)
    assert not files.may_read(document, expert)
    with pytest.raises(rounds.DeclareFirst), transaction():
        rounds.serving_seat(reviewing.find(number), expert)


def test_a_drawn_expert_with_a_conflict_is_replaced_by_the_next_of_the_same_order(reviewing: Reviewing) -> None:
    number = reviewing.begun()
    reviewing.draw(number)
    seat = next(one for one in reviewing.seats(number) if one.discipline == "structure")
    with transaction():
        panels.declare(
            reviewing.find(number), [ConflictKind.FAMILY], "近亲属任职于设计单位", by=reviewing.actor_of_seat(seat)
        )
    with pytest.raises(panels.NotWaivable), transaction():
        panels.waive(reviewing.find(number), session.merge(seat), "无碍", by=reviewing.lead)
    with transaction():
        following = panels.replace(reviewing.find(number), session.merge(seat), "应当回避", by=reviewing.lead)
    assert following is not None
    assert following.discipline == "structure"
    assert following.expert_id != seat.expert_id
    assert following.draw == seat.draw
    document = reviewing.find(number).commission.materials[0].document  # type: ignore[union-attr]
    assert not files.may_read(document, reviewing.actor_of_seat(seat)), "replaced for a conflict: still shut"


def test_what_may_be_waived_needs_another_persons_reason(reviewing: Reviewing) -> None:
    number = reviewing.begun()
    reviewing.draw(number)
    own = next(one for one in reviewing.seats(number) if one.kind is SeatKind.LEAD)
    with transaction():
        panels.declare(reviewing.find(number), [ConflictKind.CO_WORK], "曾合作发表论文", by=reviewing.lead)
    with pytest.raises(panels.OwnConflict), transaction():
        panels.waive(reviewing.find(number), session.merge(own), "无碍", by=reviewing.lead)
    seat = next(one for one in reviewing.seats(number) if one.kind is SeatKind.EXPERT)
    with transaction():
        panels.declare(
            reviewing.find(number), [ConflictKind.CO_WORK], "曾合作发表论文", by=reviewing.actor_of_seat(seat)
        )
    with transaction():
        panels.waive(reviewing.find(number), session.merge(seat), "多年前的论文，不影响公正", by=reviewing.lead)
    assert panels.may_open(reviewing.find(number), reviewing.actor_of_seat(seat))


def test_a_round_waits_until_the_panel_is_whole(reviewing: Reviewing) -> None:
    number = reviewing.begun()
    with pytest.raises(panels.TooFewSeats), transaction():
        rounds.open_round(reviewing.find(number), by=reviewing.lead)
    reviewing.draw(number)
    with pytest.raises(panels.TooFewSeats), transaction():
        rounds.open_round(reviewing.find(number), by=reviewing.lead)
    reviewing.declare_all(number)
    reviewing.act(number, rounds.open_round, by=reviewing.lead)
    round_ = rounds.current(reviewing.find(number))
    assert round_ is not None
    assert {one.slot for one in round_.documents} >= {DRAWINGS}


# Opinions apart


def test_opinions_of_others_are_invisible_until_everybody_is_in(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    first, second, third = reviewing.experts(number)
    key = reviewing.write(number, first)
    everybody = (second, third, reviewing.lead, reviewing.second, reviewing.applicant, reviewing.world.supervisor)
    for state in ("draft", "submitted"):
        for actor in everybody:
            assert rounds.opinions_for(reviewing.find(number), actor) == [], (state, actor.person)
            with pytest.raises(NotFound):
                rounds.opinion_for(reviewing.find(number), key, actor)
        if state == "draft":
            reviewing.submit(number, first)
    reviewing.everybody_else_has_nothing(number, first)
    for actor in (second, third, reviewing.lead, reviewing.second, reviewing.world.supervisor):
        assert [one.key for one in rounds.opinions_for(reviewing.find(number), actor)] == [key]
    assert rounds.opinions_for(reviewing.find(number), reviewing.applicant) == [], "not issued yet"
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    assert [one.number for one in rounds.opinions_for(reviewing.find(number), reviewing.applicant)] == [1]


def test_what_is_recorded_of_a_submission_does_not_tell_how_much_was_said(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    reviewing.write(number, expert)
    reviewing.submit(number, expert)
    act = next(one for one in trail.of(f"review:{number}") if one.act == "review.opinions_submitted")
    assert "楼梯" not in str(act.data)
    assert set(act.data) == {"round", "seat", "discipline"}


def test_a_submitted_opinion_stands_as_it_is(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    key = reviewing.write(number, expert)
    reviewing.submit(number, expert)
    for verb in (
        lambda review: rounds.rewrite(review, key, reviewing.writing("改了"), by=expert),
        lambda review: rounds.discard(review, key, by=expert),
        lambda review: rounds.write(review, 1, reviewing.writing(), by=expert),
    ):
        with pytest.raises(rounds.Submitted), transaction():
            verb(reviewing.find(number))


def test_an_opinion_says_what_where_and_by_which_clause(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    with pytest.raises(Invalids) as caught:
        reviewing.write(number, expert, reviewing.writing("", clause="", page=99))
    assert {error.field for error in caught.value.errors} == {"found", "clause", "page"}


def test_nobody_else_changes_a_draft(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    first, second, _ = reviewing.experts(number)
    key = reviewing.write(number, first)
    with pytest.raises(NotFound), transaction():
        rounds.rewrite(reviewing.find(number), key, reviewing.writing("他人"), by=second)


def test_no_comment_is_said_and_not_guessed(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    with pytest.raises(rounds.NothingSubmitted):
        reviewing.submit(number, expert)
    reviewing.write(number, expert)
    with pytest.raises(rounds.NotNothing):
        reviewing.submit(number, expert, no_comment=True)


# Issue, answer, resubmit


def test_the_lead_issues_once_all_are_in_and_the_service_clock_waits(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    reviewing.write(number, expert)
    reviewing.submit(number, expert)
    with pytest.raises(rounds.NotAllIn):
        reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    reviewing.everybody_else_has_nothing(number, expert)
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    review = reviewing.find(number)
    assert review.status is ReviewStatus.WITH_APPLICANT
    assert review.commission is not None
    service = timekeeping.running(review.commission.subject, ClockKind.SERVICE)
    assert service is not None
    assert timekeeping.reading(service).light is Light.BLUE
    assert timekeeping.running(review.subject, ClockKind.RESPONSE) is not None
    assert timekeeping.running(review.subject, ClockKind.ROUND) is None


def test_merging_keeps_the_strictest_grade_and_one_number(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    first, second, _ = reviewing.experts(number)
    kept = reviewing.write(number, first, reviewing.writing("净宽不足", grade=Grade.ADVICE))
    gone = reviewing.write(number, second, reviewing.writing("楼梯太窄"))
    for expert in (first, second):
        reviewing.submit(number, expert)
    reviewing.everybody_else_has_nothing(number, first, second)
    with pytest.raises(rounds.MergeInvalid):
        reviewing.act(number, rounds.issue, 1, by=reviewing.lead, merges={kept: [kept]})
    reviewing.act(number, rounds.issue, 1, by=reviewing.lead, merges={kept: [gone]})
    (only,) = rounds.issued_of(reviewing.find(number))
    assert (only.key, only.number, only.grade) == (kept, 1, Grade.MUST)


def test_advice_alone_goes_with_the_conclusion(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    reviewing.write(number, expert, reviewing.writing(grade=Grade.ADVICE))
    reviewing.submit(number, expert)
    reviewing.everybody_else_has_nothing(number, expert)
    with pytest.raises(rounds.NoMust):
        reviewing.act(number, rounds.issue, 1, by=reviewing.lead)
    reviewing.conclude(number, Outcome.PASSED)
    assert [one.number for one in rounds.issued_of(reviewing.find(number))] == [1]


def test_every_must_is_answered_and_a_correction_brings_a_file(reviewing: Reviewing) -> None:
    number = reviewing.issued()
    with pytest.raises(rounds.AnswersMissing), transaction():
        rounds.resubmit(reviewing.find(number), 1, {}, by=reviewing.applicant)
    reviewing.answered(number)
    with pytest.raises(rounds.ChangeMissing), transaction():
        rounds.resubmit(reviewing.find(number), 1, {}, by=reviewing.applicant)
    with pytest.raises(rounds.ChangeMissing):
        reviewing.resubmitted(number, FIRST)  # the same bytes are no change
    reviewing.resubmitted(number, (("Stair width 1.15 m between handrails",), *FIRST[1:]))
    review = reviewing.find(number)
    assert review.status is ReviewStatus.REVIEWING
    round_ = rounds.current(review)
    assert round_ is not None
    assert round_.number == 2
    assert {one.slot: (one.edition, one.is_changed) for one in round_.documents}[DRAWINGS] == (2, True)


def test_contesting_needs_no_file(reviewing: Reviewing) -> None:
    number = reviewing.issued()
    reviewing.answered(number, Stance.CONTESTED, "该楼梯为非疏散楼梯")
    with transaction():
        rounds.resubmit(reviewing.find(number), 1, {}, by=reviewing.applicant)
    assert reviewing.find(number).status is ReviewStatus.REVIEWING


def test_an_older_round_is_a_conflict(reviewing: Reviewing) -> None:
    number = reviewing.issued()
    reviewing.answered(number)
    reviewing.resubmitted(number, (("changed",), *FIRST[1:]))
    expert = reviewing.experts(number)[0]
    with pytest.raises(rounds.RoundOver) as caught:
        reviewing.write(number, expert, round_=1)
    assert caught.value.status == 409
    with pytest.raises(rounds.RoundOver):
        reviewing.submit(number, expert, round_=1)


def test_an_author_rules_on_their_opinion_before_they_submit_again(reviewing: Reviewing) -> None:
    number = reviewing.issued()
    reviewing.answered(number)
    reviewing.resubmitted(number, (("Stair width 1.15 m",), *FIRST[1:]))
    author = reviewing.actor_of_seat(reviewing.opinion(number, 1).seat)
    other = next(one for one in reviewing.experts(number) if one.person_id != author.person_id)
    with pytest.raises(rounds.RulingMissing):
        reviewing.submit(number, author, round_=2, no_comment=True)
    with pytest.raises(rounds.NotYours), transaction():
        rounds.rule(
            reviewing.find(number), 2, session.merge(reviewing.opinion(number, 1)), RulingKind.CLOSED, "好", by=other
        )
    with transaction():
        review = reviewing.find(number)
        rounds.rule(review, 2, rounds.issued_of(review)[0], RulingKind.CLOSED, "已改为 1.15 m", by=author)
    reviewing.submit(number, author, round_=2, no_comment=True)
    assert rounds.open_musts(reviewing.find(number)) == []


def test_a_cancelled_round_begins_again_on_the_same_documents(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    reviewing.write(number, reviewing.experts(number)[0])
    before = [one.sha256 for one in rounds.current(reviewing.find(number)).documents]  # type: ignore[union-attr]
    reviewing.act(number, rounds.cancel_round, 1, by=reviewing.lead)
    assert reviewing.find(number).status is ReviewStatus.ASSIGNING
    assert timekeeping.running(f"review:{number}", ClockKind.ROUND) is None
    reviewing.act(number, rounds.open_round, by=reviewing.lead)
    again = rounds.current(reviewing.find(number))
    assert again is not None
    assert again.number == 1
    assert [one.sha256 for one in again.documents] == before
    reviewing.submit(number, reviewing.experts(number)[0], no_comment=True)
    with pytest.raises(rounds.RoundBegun):
        reviewing.act(number, rounds.cancel_round, 1, by=reviewing.lead)


# Places


def test_an_opinion_finds_its_words_again_or_says_that_they_changed(reviewing: Reviewing) -> None:
    """One passage moved to another page, one removed, one where it was."""
    number = reviewing.issued(
        reviewing.writing("净宽不足", quote="Stair width 1.05 m between handrails", page=1),
        reviewing.writing("保护层不足", quote="Concrete cover 15 mm for slabs", page=2),
        reviewing.writing("风机未标注", quote="Exhaust fan EF-3 on roof", page=3),
    )
    reviewing.rendered()
    reviewing.answered(number)
    moved = (
        ("Cover sheet",),
        ("Stair width 1.05 m between handrails", "Fire door grade B at shaft"),
        ("Exhaust fan EF-3 on roof",),
    )
    reviewing.resubmitted(number, moved)
    reviewing.rendered()
    round_ = rounds.current(reviewing.find(number))
    assert round_ is not None
    found = {one.number: rounds.place_in(one, round_) for one in rounds.issued_of(reviewing.find(number))}
    kinds = {at: (place.kind, place.page) for at, place in found.items() if place is not None}
    assert kinds == {1: (PlaceKind.MOVED, 2), 2: (PlaceKind.CHANGED, None), 3: (PlaceKind.FOUND, 3)}


# Departments


def test_a_silent_department_is_urged_turns_red_and_is_closed_as_unanswered(reviewing: Reviewing) -> None:
    """B8: no answer is neither consent nor "no opinion"."""
    number = reviewing.opened(joint=True)
    silent = next(seat for seat in reviewing.seats(number) if seat.discipline == "人防")
    reviewing.everybody_else_has_nothing(number, reviewing.actor_of_seat(silent))
    with pytest.raises(rounds.NotSilent), transaction():
        rounds.close_silent(reviewing.find(number), 1, session.merge(silent), by=reviewing.lead)
    sandbox.forward(timedelta(days=5))
    jobs.run_due()
    acts = [act.act for act in trail.of(f"review:{number}")]
    assert "review.department_urged" in acts
    told, _ = notifications.inbox(reviewing.world.people["supervisor"].id)
    assert any(notice.act == "review.department_urged" for notice in told)
    with pytest.raises(rounds.NotAllIn), transaction():
        rounds.require_all_in(rounds.open_round_of(reviewing.find(number)))
    with transaction():
        rounds.close_silent(reviewing.find(number), 1, session.merge(silent), by=reviewing.lead)
    round_ = rounds.current(reviewing.find(number))
    assert round_ is not None
    assert round_.all_in_at is not None
    asked = rounds.asked_of(round_, silent)
    assert asked is not None
    assert asked.feedback is Feedback.SILENT
    by = reviewing.actor_of_seat(silent)
    with transaction():
        rounds.answer_late(reviewing.find(number), 1, "建议增设防护门", by=by)
    session.rollback()
    session.expire_all()
    asked = rounds.asked_of(rounds.open_round_of(reviewing.find(number)), silent)
    assert asked is not None
    assert asked.feedback is Feedback.SILENT
    assert asked.late_answer == "建议增设防护门"


# The end


def test_a_review_with_an_open_must_does_not_pass_and_without_one_does_not_fail(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    with pytest.raises(rounds.NotAllIn), transaction():
        conclusions.propose(reviewing.find(number), Outcome.PASSED, "可", by=reviewing.lead)
    expert = reviewing.experts(number)[0]
    reviewing.write(number, expert)
    reviewing.submit(number, expert)
    reviewing.everybody_else_has_nothing(number, expert)
    with pytest.raises(conclusions.MustsOpen), transaction():
        conclusions.propose(reviewing.find(number), Outcome.PASSED, "可", by=reviewing.lead)
    with transaction():
        conclusions.propose(reviewing.find(number), Outcome.FAILED, "强制性条文未落实", by=reviewing.lead)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        conclusions.conclude(reviewing.find(number), by=reviewing.lead)
    with transaction():
        conclusions.conclude(reviewing.find(number), by=reviewing.second)
    assert reviewing.find(number).status is ReviewStatus.CONCLUDED


def test_publishing_delivers_attaches_and_finishes_in_one_act(reviewing: Reviewing) -> None:
    number = reviewing.passed()
    review = reviewing.find(number)
    assert review.status is ReviewStatus.FINISHED
    assert review.commission is not None
    assert review.commission.status is CommissionStatus.FINISHED
    ends = {"deliverable.submitted", "document.attached", "service.finished"}
    order = [act.act for act in session.scalars(trail_acts()) if act.act in ends]
    assert order == ["deliverable.submitted", "document.attached", "service.finished"]
    (entry,) = [one for one in dossier.entries_of(review.project) if one.kind is dossier.EntryKind.REPORT]
    assert files.verify(entry.document)
    assert dossier.stand(entry, review.finished_at.date()).can_rely  # type: ignore[union-attr]
    record = conclusions.national_record(review)
    assert record["SCZFXWFQTZS"] == 0
    assert record["CSSFTG"] == 1
    assert record["SCTGSJ"]


def trail_acts() -> Any:
    from sqlalchemy import select

    return select(trail.TrailAct).order_by(trail.TrailAct.id)


def test_a_conclusion_is_taken_back_by_lead_and_authority_before_publication_only(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    reviewing.everybody_else_has_nothing(number)
    reviewing.conclude(number, Outcome.PASSED)
    authority = reviewing.world.actor("authority")
    with pytest.raises(PortalError), transaction():
        conclusions.retract(reviewing.find(number), by=authority)
    with transaction():
        conclusions.ask_retraction(reviewing.find(number), "结论依据有误", by=reviewing.lead)
    with transaction():
        conclusions.retract(reviewing.find(number), by=authority)
    assert reviewing.find(number).status is ReviewStatus.REVIEWING
    reviewing.conclude(number, Outcome.PASSED)
    reviewing.publish(number)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        conclusions.ask_retraction(reviewing.find(number), "再次", by=reviewing.lead)


def test_without_an_answer_the_review_can_only_fail_and_only_when_time_is_over(reviewing: Reviewing) -> None:
    number = reviewing.issued()
    with pytest.raises(conclusions.OnlyFailed), transaction():
        conclusions.propose(reviewing.find(number), Outcome.PASSED, "可", by=reviewing.lead)
    with pytest.raises(conclusions.StillInTime), transaction():
        conclusions.propose(reviewing.find(number), Outcome.FAILED, "未答复", by=reviewing.lead)
    sandbox.forward(timedelta(days=60))
    jobs.run_due()
    reviewing.conclude(number, Outcome.FAILED)
    reviewing.publish(number)
    assert reviewing.find(number).outcome is Outcome.FAILED


def test_the_last_round_ends_in_pass_or_fail(reviewing: Reviewing) -> None:
    number = reviewing.issued()
    for turn in range(2, 4):
        reviewing.answered(number)
        reviewing.resubmitted(number, ((f"edition {turn}",), *FIRST[1:]), round_=turn - 1)
        opinion = reviewing.opinion(number, 1)
        author = reviewing.actor_of_seat(opinion.seat)
        with transaction():
            review = reviewing.find(number)
            rounds.rule(review, turn, rounds.issued_of(review)[0], RulingKind.MAINTAINED, "仍不足", by=author)
        reviewing.submit(number, author, round_=turn, no_comment=True)
        reviewing.everybody_else_has_nothing(number, author, round_=turn)
        if turn < 3:
            reviewing.act(number, rounds.issue, turn, by=reviewing.lead)
    with pytest.raises(rounds.LastRound), transaction():
        rounds.issue(reviewing.find(number), 3, by=reviewing.lead)
    reviewing.conclude(number, Outcome.FAILED)


def test_a_terminated_service_ends_its_review(reviewing: Reviewing) -> None:
    number = reviewing.opened()
    commission = reviewing.find(number).commission
    assert commission is not None
    with transaction():
        found = commissions.find(commission.number, by=reviewing.applicant, lock=True)
        commissions.terminate(found, "项目停建", by=reviewing.applicant)
    assert technical.find(number, by=reviewing.lead).status is ReviewStatus.ENDED
