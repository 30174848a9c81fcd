"""Objections: the award stands still, somebody else answers within a time, what follows is told to all (A7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from kernel import clock, jobs, sandbox, timekeeping
from kernel.clock import Light
from kernel.db import session, transaction
from kernel.errors import NotFound
from kernel.notifications import Notice
from kernel.timekeeping import ClockKind
from kernel.workflow import MoveNotOpen
from market import awards, calls, commissions, objections
from market.awards import AwardStatus, faults
from market.commissions import CommissionStatus
from market.notices import NoticeKind, PublicNotice
from market.objections import Objection, ObjectionStatus
from tests.market.contest import Contest

YUAN = 100


@pytest.fixture
def contest(world):
    """Three bids, the first awarded, publicity running from Monday 2026-03-02 to Thursday 03-05."""
    made = Contest(world)
    made.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    made.award(0)
    return made


def file(contest, bidder=1, text="第一名业绩造假", **named) -> str:
    with transaction():
        found = objections.file(
            contest.call(), session.merge(contest.agency(bidder)), text, **({"by": contest.actor(bidder)} | named)
        )
        return found.number


def decide(contest, number, *, is_upheld, answer="经核查属实", by=None, **named) -> None:
    by = by or contest.client
    with transaction():
        found = session.scalars(select(Objection).where(Objection.number == number)).one()
        objections.decide(found, is_upheld=is_upheld, answer=answer, by=by, **named)
    session.expire_all()


def status(number) -> ObjectionStatus:
    return session.scalars(select(Objection.status).where(Objection.number == number)).one()


def told(login, world) -> list[str]:
    rows = session.scalars(select(Notice).where(Notice.person_id == world.actor(login).person_id).order_by(Notice.id))
    return [row.act for row in rows]


def test_an_open_objection_freezes_the_award_however_long_it_takes(contest):
    number = file(contest)
    publicity = timekeeping.running(contest.commission.subject, ClockKind.PUBLICITY)
    assert timekeeping.reading(publicity).light is Light.BLUE
    assert [event.key for event in publicity.events if event.key] == [session.scalars(select(Objection)).one().key]
    contest.let_pass(40)
    assert contest.commission.status == CommissionStatus.PUBLICISED
    assert status(number) is ObjectionStatus.FILED


def test_the_answer_has_a_time_of_its_own_and_lateness_is_told_to_client_and_supervisor(contest):
    number = file(contest)
    running = timekeeping.running(f"objection:{number}", ClockKind.OBJECTION)
    assert (running.limit, clock.local_date(running.next_check_at)) == (5, clock.today() + timedelta(days=4))
    contest.let_pass(10)
    for login in ("applicant", "supervisor"):
        assert "objection.filed" in told(login, contest.world)
        assert told(login, contest.world)[-1] == "objection.light.red"
    assert "objection.light.red" not in told("agency2", contest.world)


def test_a_rejected_objection_lets_the_period_run_on_by_the_days_it_had_left(contest):
    """Filed and answered on Tuesday: that day does not count, so Friday 03-06 is the last and the 7th confirms."""
    sandbox.forward(timedelta(days=1))
    number = file(contest)
    decide(contest, number, is_upheld=False, answer="业绩经核查真实")
    contest.let_pass(3)
    assert contest.commission.status == CommissionStatus.PUBLICISED
    contest.let_pass(1)
    commission = contest.commission
    assert commission.status == CommissionStatus.OFFERED
    assert clock.local_date(commission.offered_at).isoformat() == "2026-03-07"
    assert status(number) is ObjectionStatus.REJECTED
    assert told("agency3", contest.world).count("objection.rejected") == 1


def test_two_objections_freeze_until_both_are_answered(contest):
    first, second = file(contest, 1), file(contest, 2, "报价计算有误")
    decide(contest, first, is_upheld=False, answer="不成立")
    contest.let_pass(20)
    assert contest.commission.status == CommissionStatus.PUBLICISED
    decide(contest, second, is_upheld=False, answer="不成立")
    contest.let_pass(4)  # Sunday 03-22: three working days, and the 00:00 after them
    assert contest.commission.status == CommissionStatus.OFFERED


def test_an_upheld_objection_overturns_the_award_publicly_and_nobody_is_chosen_from_the_old_ranking(contest):
    number, other = file(contest, 1), file(contest, 2, "同上")
    decide(contest, number, is_upheld=True)
    commission = contest.commission
    assert commission.status == CommissionStatus.EVALUATING
    assert awards.awards_of(contest.call())[0].status is AwardStatus.OVERTURNED
    assert timekeeping.running(commission.subject, ClockKind.PUBLICITY) is None
    assert (status(number), status(other)) == (ObjectionStatus.UPHELD, ObjectionStatus.SETTLED)
    kinds = session.scalars(select(PublicNotice.kind).order_by(PublicNotice.id)).all()
    assert kinds[-1] is NoticeKind.OVERTURNED
    for login in ("agency", "agency2", "agency3", "applicant"):
        assert told(login, contest.world)[-1] == "award.overturned"
    for bidder in (0, 1):
        with pytest.raises(faults.RankAgain):
            contest.award(bidder, reason="理由")


def test_ranked_again_with_a_reason_the_next_wins(contest):
    decide(contest, file(contest), is_upheld=True)
    with pytest.raises(commissions.ReasonMissing), transaction():
        awards.rank_again(contest.call(), "", by=contest.client)
    with transaction():
        call = contest.call()
        awards.rank_again(
            call,
            "异议成立，排除第一名",
            by=contest.client,
            excluded={contest.bid(0).token: "业绩证明不实"},
        )
    assert contest.places() == [(1, 1), (2, 2), (0, None)]
    assert contest.ranking()[2].reason == "业绩证明不实"
    assert contest.award(1).place == 1
    contest.let_pass(4)
    assert contest.commission.agency_id == contest.agency(1).id


def test_a_bid_wrongly_left_out_can_come_back(contest):
    decide(contest, file(contest), is_upheld=True)
    with transaction():
        awards.rank_again(contest.call(), "排除", by=contest.client, excluded={contest.bid(0).token: "误判"})
    with transaction():
        awards.rank_again(contest.call(), "恢复", by=contest.client, readmitted={contest.bid(0).token: "复核无误"})
    assert contest.places() == [(0, 1), (1, 2), (2, 3)]


def test_bids_are_not_ruled_out_without_an_overturned_award(contest):
    with pytest.raises(MoveNotOpen), transaction():
        awards.rank_again(contest.call(), "不喜欢", by=contest.client, excluded={contest.bid(0).token: "不喜欢"})
    again = Contest(contest.world)
    again.opened([80_000 * YUAN, 90_000 * YUAN])
    with pytest.raises(faults.StillChoosable), transaction():
        awards.rank_again(again.call(), "不喜欢", by=again.client, excluded={again.bid(0).token: "不喜欢"})


def test_after_an_overturned_award_the_client_may_also_fail_the_call(contest):
    decide(contest, file(contest), is_upheld=True)
    with transaction():
        awards.give_up(contest.call(), "采购文件有误，重新采购", by=contest.client)
    assert contest.commission.status == CommissionStatus.FAILED


def test_only_bidders_object_and_each_has_one_open(contest):
    stranger = Contest(contest.world)
    stranger.opened([1, 2, 3, 4])  # the fourth agency is admitted, but bid only there
    with pytest.raises(objections.NotABidder):
        file(contest, 3)
    with pytest.raises(objections.NotABidder):
        file(contest, 1, by=contest.actor(2))
    with pytest.raises(MoveNotOpen):
        file(contest, 1, by=contest.client)
    file(contest, 1)
    with pytest.raises(objections.ObjectionOpen):
        file(contest, 1)
    with pytest.raises(IntegrityError), transaction():
        known = session.scalars(select(Objection)).one()
        session.add(
            Objection(
                number="YY-2026-999999",
                call_id=known.call_id,
                award_id=known.award_id,
                agency_id=known.agency_id,
                status=ObjectionStatus.FILED,
                text="再来",
                filed_at=clock.now(),
            )
        )


def test_an_objection_says_what_it_objects_to(contest):
    with pytest.raises(objections.ObjectionTextMissing):
        file(contest, 1, "  ")


def test_the_last_day_is_in_time_and_the_next_midnight_is_late_even_if_the_due_loop_is(contest, monkeypatch):
    sandbox.move_to(clock.instant_of(clock.today() + timedelta(days=4)) - timedelta(seconds=60))
    first = file(contest, 1)
    decide(contest, first, is_upheld=False, answer="不成立")
    with monkeypatch.context() as late:
        late.setattr(jobs, "run_due", lambda: 0)
        sandbox.forward(timedelta(days=2))
    with pytest.raises(objections.PublicityOver):
        file(contest, 2)
    contest.let_pass(0)
    assert contest.commission.status == CommissionStatus.OFFERED
    with pytest.raises(MoveNotOpen):
        file(contest, 2)


@pytest.mark.parametrize("login", ["agency", "agency2", "agency3", "supervisor", "operator", "applicant2"])
def test_nobody_but_the_client_answers(contest, login):
    number = file(contest)
    with pytest.raises(MoveNotOpen):
        decide(contest, number, is_upheld=False, by=contest.world.actor(login))


def test_who_filed_an_objection_never_decides_it_whatever_roles_they_hold(contest):
    from kernel.trail import Actor

    number = file(contest)
    filer, client = contest.actor(1), contest.client
    both = Actor(filer.person_id, filer.person, client.organisation_id, client.organisation, client.roles)
    with pytest.raises(objections.SameSide):
        decide(contest, number, is_upheld=False, by=both)


def test_an_objection_is_answered_once_and_with_reasons(contest):
    number = file(contest)
    with pytest.raises(commissions.ReasonMissing):
        decide(contest, number, is_upheld=False, answer=" ")
    decide(contest, number, is_upheld=False, answer="不成立")
    with pytest.raises(MoveNotOpen):
        decide(contest, number, is_upheld=True)


def test_its_two_sides_and_the_supervisor_read_it_and_others_do_not(contest):
    number = file(contest)
    for login in ("applicant", "agency2", "supervisor", "auditor"):
        assert objections.find(number, by=contest.world.actor(login)).text == "第一名业绩造假"
    for login in ("agency", "agency3", "applicant2", "operator"):
        with pytest.raises(NotFound):
            objections.find(number, by=contest.world.actor(login))


def test_cancelling_the_purchase_settles_what_was_objected(contest):
    number = file(contest)
    with transaction():
        calls.withdraw(contest.call(lock=True), "项目停建", by=contest.client)
    session.expire_all()
    assert status(number) is ObjectionStatus.SETTLED
    assert timekeeping.running(f"objection:{number}", ClockKind.OBJECTION) is None
