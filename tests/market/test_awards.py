"""From the opened bids to the commissioned winner: who may choose, what freezes, what the public system got wrong (A6, A7)."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from kernel import clock, notifications, sandbox, timekeeping, trail, workflow
from kernel.accounts import Organisation
from kernel.db import db, session, transaction
from kernel.errors import Invalids
from kernel.notifications import Notice
from kernel.timekeeping import ClockKind
from kernel.trail import CLOCK
from kernel.workflow import MoveNotOpen
from market import agencies, awards, calls, commissions, recusals
from market.agencies import Agency, AgencySuspended
from market.awards import Award, AwardStatus, Ranking, evaluating, faults, justifying, letters, scoring
from market.bidding import Outcome
from market.commissions import CommissionStatus, Route
from market.notices import NoticeKind, PublicNotice
from tests.market.contest import Contest

YUAN = 100
CRITERIA = [{"zh": "方案", "en": "Plan", "weight": 4000}, {"zh": "业绩", "en": "Record", "weight": 2000}]


@pytest.fixture
def contest(world):
    return Contest(world)


def told(contest, bidder) -> list[str]:
    rows = session.scalars(
        select(Notice).where(Notice.person_id == contest.actor(bidder).person_id).order_by(Notice.id)
    )
    return [row.act for row in rows]


def notices(contest, kind) -> list[PublicNotice]:
    return list(
        session.scalars(
            select(PublicNotice).where(PublicNotice.call_number == contest.number, PublicNotice.kind == kind)
        )
    )


# Ranking


def test_the_opening_ranks_by_the_published_rule_and_shows_its_arithmetic(contest):
    contest.opened([90_000 * YUAN, 80_000 * YUAN, 95_000 * YUAN])
    assert contest.places() == [(1, 1), (0, 2), (2, 3)]
    row = contest.ranking()[0]
    assert row.arithmetic[0]["zh"] == "报价 ¥80,000.00，由低到高排序"
    act = trail.of(contest.commission.subject)[-1]
    assert (act.act, act.data["rule"], len(act.data["places"])) == ("award.ranked", "lowest", 3)


def test_bids_outside_the_notice_are_excluded_with_their_reason_and_never_dropped(contest):
    contest.opened(
        [
            500_001 * YUAN,
            9_000 * YUAN,
            {"price": 80_000 * YUAN, "working_days": 21},
            {"outcome": Outcome.UNOPENABLE, "reason": "密钥不符"},
            60_000 * YUAN,
        ],
        ceiling=500_000 * YUAN,
        floor=10_000 * YUAN,
    )
    assert contest.places()[0] == (4, 1)
    assert [row.reason for row in contest.ranking()[1:]] == [
        "报价 ¥500,001.00 高于最高限价 ¥500,000.00",
        "报价 ¥9,000.00 低于最低限价 ¥10,000.00",
        "服务期限 21 个工作日超过 20 个工作日",
        "密钥不符",
    ]


def test_withdrawn_and_replaced_bids_are_nobodys_business_in_the_ranking(contest):
    contest.opened([80_000 * YUAN, {"outcome": Outcome.WITHDRAWN}, {"outcome": Outcome.REPLACED}])
    assert contest.places() == [(0, 1)]


def test_a_discount_is_ranked_and_paid_by_the_fee_that_it_leaves(contest):
    contest.opened(
        [{"discount": 15_50, "price": None}, {"discount": 20_00, "price": None}],
        ceiling=100_000 * YUAN,
        price="discount",
        abnormal_share=0,
    )
    assert contest.places() == [(1, 1), (0, 2)]
    assert contest.award(1).fee == 80_000 * YUAN
    assert "× (1 − 20%) = ¥80,000.00" in contest.ranking()[0].arithmetic[0]["zh"]


def test_invitation_ranks_by_the_nearest_to_the_mean(contest):
    contest.opened([70_000 * YUAN, 80_000 * YUAN, 100_000 * YUAN], route=Route.INVITATION)
    assert contest.places() == [(1, 1), (0, 2), (2, 3)]


def test_a_ranking_is_kept_whole_when_the_rule_is_run_again(contest):
    contest.opened([80_000 * YUAN, 30_000 * YUAN, 82_000 * YUAN, 85_000 * YUAN])
    with transaction():
        call = contest.call()
        found = justifying.of_call(call)[0]
        justifying.answer(found, "有自有设备", by=contest.actor(1))
        justifying.decide(found, is_accepted=False, reason="成本无依据", by=contest.client)
    runs = session.execute(select(Ranking.run, Ranking.place).order_by(Ranking.id)).all()
    assert [run for run, _place in runs] == [1] * 4 + [2] * 4
    assert contest.places() == [(0, 1), (2, 2), (3, 3), (1, None)]


# The choice


def test_the_winner_is_the_bid_that_was_chosen_and_not_somebody_elses_highest_price(contest):
    """Domain §6, 11: there the choice marks the project's highest price row, which may be another bidder's."""
    contest.opened([90_000 * YUAN, 80_000 * YUAN, 95_000 * YUAN])
    made = contest.award(1)
    assert (made.agency_id, made.fee, made.place) == (contest.agency(1).id, 80_000 * YUAN, 1)
    assert contest.commission.status == CommissionStatus.PUBLICISED
    assert contest.commission.agency is None  # nobody is commissioned before the period is over


@pytest.mark.parametrize("login", ["applicant2", "agency", "agency2", "window", "supervisor", "operator"])
def test_nobody_but_the_client_of_the_call_chooses(contest, login):
    """Domain §6, 11: there any account may, with plain ids."""
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    with pytest.raises(MoveNotOpen):
        contest.award(0, by=contest.world.actor(login))
    with pytest.raises(faults.NotByRule):
        contest.award(0, by=CLOCK)
    assert session.scalars(select(Award)).all() == []


def test_nobody_is_chosen_before_the_opening_or_without_a_ranking(contest):
    """Domain §6, 11: there neither state nor deadline is looked at."""
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN], opens=False)
    with pytest.raises(faults.NotRanked):
        contest.award(0)


def test_another_than_the_first_is_chosen_only_with_a_published_reason(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    with pytest.raises(commissions.ReasonMissing):
        contest.award(1)
    contest.award(1, reason="第一名已书面说明人员无法到位")
    (notice,) = notices(contest, NoticeKind.RESULT)
    assert {"zh": "理由", "en": "Reason", "value": "第一名已书面说明人员无法到位"} in notice.body


def test_an_excluded_bid_cannot_be_chosen_for_any_reason(contest):
    contest.opened([2_000_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    with pytest.raises(faults.NotInRanking) as refused:
        contest.award(0, reason="质量好")
    assert "高于最高限价" in refused.value.text()


def test_a_bidder_that_must_recuse_itself_since_is_not_awarded(contest):
    """Domain §6, 11: there recusal is not looked at when the winner is chosen."""
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    with transaction():
        agency = session.get_one(Organisation, contest.agency(0).organisation_id)
        agency.legal_representative = session.get_one(Organisation, contest.commission.client_id).legal_representative
    with pytest.raises(recusals.MustRecuse):
        contest.award(0)


def test_an_agency_suspended_since_is_not_awarded(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    with transaction():
        agencies.suspend(session.merge(contest.agency(0)), "资料核查", by=contest.world.supervisor)
    with pytest.raises(AgencySuspended):
        contest.award(0)


def test_everyone_is_told_and_the_public_reads_the_ranking_with_its_arithmetic(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    contest.award(0)
    assert told(contest, 0) == ["award.won"]
    assert told(contest, 1) == told(contest, 2) == ["award.not_won"]
    (notice,) = notices(contest, NoticeKind.RESULT)
    lines = {row["zh"]: row["value"] for row in notice.body}
    assert lines["第 3 名"].endswith("报价 ¥95,000.00，由低到高排序")
    assert lines["公示期（工作日）"] == "3"


def test_two_awards_at_once_leave_one_and_the_other_is_told(contest, portal):
    """competition.md, "Races": two awards in 20 of 20 tries without a guard."""
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    client, number = contest.client, contest.number
    together, outcomes = threading.Barrier(2), []

    def choose(place: int) -> None:
        with portal.app_context():
            try:
                together.wait(10)
                with transaction():
                    call = Contest(contest.world)
                    call.number = number
                    awards.award(call.call(), call.bid(place), by=client, reason="理由")
                outcomes.append("done")
            except (MoveNotOpen, faults.AlreadyAwarded) as refused:
                outcomes.append(refused.code)
            finally:
                session.remove()

    pair = [threading.Thread(target=choose, args=(place,)) for place in (0, 1)]
    for one in pair:
        one.start()
    for one in pair:
        one.join(30)
    assert sorted(outcomes) == ["done", "move_not_open"]
    session.rollback()
    assert len(session.scalars(select(Award)).all()) == 1


def test_the_database_has_the_last_word_against_a_second_award(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    contest.award(0)
    with pytest.raises(IntegrityError), transaction():
        session.execute(
            text(
                "INSERT INTO awards (commission_id, call_id, bid_id, agency_id, status, version, place, working_days,"
                " reason, policy, awarded_at, awarded_by) SELECT commission_id, call_id, bid_id, agency_id, status, 1,"
                " 1, 1, '', '', awarded_at, '' FROM awards"
            )
        )
    with transaction():  # as if a second process had slipped past the state
        session.execute(text("UPDATE commissions SET status = 'evaluating'"))
    with pytest.raises(faults.AlreadyAwarded):
        contest.award(1, reason="再选一家")
    db.session.rollback()


# Publicity and the commission after it


def test_after_the_last_day_of_publicity_the_winner_is_commissioned_at_the_legal_instant(contest):
    """START is Monday 2026-03-02: three working days end on 03-05, the offer is of 03-06 00:00."""
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    contest.award(0)
    contest.let_pass(3)
    assert contest.commission.status == CommissionStatus.PUBLICISED
    assert timekeeping.running(contest.commission.subject, ClockKind.PUBLICITY) is not None
    contest.let_pass(5)  # days of downtime
    commission = contest.commission
    assert commission.status == CommissionStatus.OFFERED
    assert commission.offered_at == clock.instant_of(clock.local_date(commission.draft_at) + timedelta(days=4))
    assert (commission.agency_id, commission.fee, commission.promised_working_days) == (
        contest.agency(0).id,
        80_000 * YUAN,
        12,
    )
    assert timekeeping.running(commission.subject, ClockKind.PUBLICITY) is None
    response = timekeeping.latest(commission.subject, ClockKind.AGENCY_RESPONSE)
    assert response is not None
    assert response.started_at == commission.offered_at


def test_the_end_of_publicity_is_no_red_light_of_anybodys(contest):
    contest.offered()
    titles = session.scalars(select(Notice.act)).all()
    assert not [act for act in titles if act.startswith("commission.light")]


def test_where_the_rule_sets_no_publicity_the_offer_goes_out_at_once(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN], publicity_working_days=0)
    contest.award(0)
    assert contest.commission.status == CommissionStatus.OFFERED


def test_the_service_flows_on_as_from_the_menu(contest):
    contest.taken_on(contract=False)
    from market import services

    contest.act(services.start, by=contest.actor(0))
    commission = contest.commission
    assert commission.status == CommissionStatus.IN_SERVICE
    assert timekeeping.running(commission.subject, ClockKind.SERVICE).limit == 12


def test_a_winner_suspended_during_publicity_does_not_keep_the_offer(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    contest.award(0)
    with transaction():
        agencies.suspend(session.merge(contest.agency(0)), "资料核查", by=contest.world.supervisor)
    contest.let_pass(7)
    assert contest.commission.status == CommissionStatus.EVALUATING
    assert awards.awards_of(contest.call())[0].status is AwardStatus.LAPSED


# Refusal, silence, nobody left


def test_a_winner_that_declines_gives_way_to_the_next_without_a_reason(contest):
    """Domain §6, 11: there giving up always fails by a comma before WHERE."""
    contest.offered()
    contest.act(commissions.decline, "人员另有安排", by=contest.actor(0))
    commission = contest.commission
    assert (commission.status, commission.agency, commission.fee, commission.offered_at) == (
        CommissionStatus.EVALUATING,
        None,
        None,
        None,
    )
    assert commission.reason == "人员另有安排"
    with pytest.raises(faults.NotInRanking):
        contest.award(0, reason="还是他")
    contest.award(1)
    assert [award.status for award in awards.awards_of(contest.call())] == [
        AwardStatus.REFUSED,
        AwardStatus.PUBLICISED,
    ]
    contest.let_pass(7)
    assert contest.commission.agency_id == contest.agency(1).id
    assert not commissions.can_see(contest.commission, contest.actor(0))


@pytest.mark.parametrize("login", ["agency2", "applicant", "applicant2", "operator"])
def test_nobody_gives_up_for_the_winner(contest, login):
    """Domain §6, 11: there any account may accept or give up for the winner."""
    contest.offered()
    for verb, arguments in ((commissions.decline, ("不做了",)), (commissions.take_on, ())):
        with pytest.raises(MoveNotOpen):
            contest.act(verb, *arguments, by=contest.world.actor(login))
    assert contest.commission.status == CommissionStatus.OFFERED


def test_silence_of_the_winner_lapses_and_the_next_may_be_chosen(contest):
    contest.offered()
    contest.let_pass(30)
    assert contest.commission.status == CommissionStatus.EVALUATING
    assert awards.awards_of(contest.call())[0].status is AwardStatus.LAPSED
    assert "award.lapsed" in told(contest, 0)
    contest.award(1)


def test_the_client_fails_the_call_only_when_nobody_is_left(contest):
    """Domain §6, 5: there a state hangs for ever when every bidder has gone."""
    contest.opened([80_000 * YUAN], publicity_working_days=0)
    with pytest.raises(faults.StillChoosable), transaction():
        awards.give_up(contest.call(), "不想要了", by=contest.client)
    contest.award(0)
    contest.act(commissions.decline, "人员另有安排", by=contest.actor(0))
    with pytest.raises(commissions.ReasonMissing), transaction():
        awards.give_up(contest.call(), " ", by=contest.client)
    with transaction():
        awards.give_up(contest.call(), "无其他机构可选", by=contest.client)
    assert contest.commission.status == CommissionStatus.FAILED
    assert notices(contest, NoticeKind.FAILED)
    assert told(contest, 0)[-1] == "call.failed"


def test_a_cancelled_purchase_ends_its_award_and_tells_all(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    contest.award(0)
    with transaction():
        calls.withdraw(contest.call(lock=True), "项目停建", by=contest.client)
    session.expire_all()
    assert awards.awards_of(contest.call())[0].status is AwardStatus.CANCELLED
    assert told(contest, 2)[-1] == "commission.cancelled"
    contest.let_pass(30)
    assert contest.commission.status == CommissionStatus.CANCELLED


# Ties and draws


def test_equal_first_prices_wait_for_the_draw_and_then_follow_it(contest):
    """Domain §6, 1: there the winner is ORDER BY RAND() and nothing is stored."""
    contest.opened([80_000 * YUAN, 95_000 * YUAN, 80_000 * YUAN])
    assert sorted(contest.places()) == [(0, 1), (1, 3), (2, 1)]
    for bidder in (0, 1, 2):
        with pytest.raises(faults.TieUnresolved):
            contest.award(bidder, reason="理由")
    (draw,) = awards.draws_of(contest.call())
    assert {one["id"] for one in draw.candidates} == {contest.agency(0).number, contest.agency(2).number}
    number = contest.draw()
    first = contest.ranking()[0]
    assert [place for _bidder, place in contest.places()] == [1, 2, 3]
    assert any(number in line["zh"] for line in first.arithmetic)
    with transaction():
        assert awards.award(contest.call(), first.bid, by=contest.client).place == 1


def test_a_route_by_draw_is_awarded_by_the_draw_and_by_nobody(contest):
    """Domain §6, 6: a bidder without a price can be drawn."""
    contest.opened([None, None, None], route=Route.DRAW)
    with pytest.raises(faults.TieUnresolved):
        contest.award(0, reason="理由")
    contest.draw()
    commission = contest.commission
    assert commission.status == CommissionStatus.PUBLICISED
    (made,) = awards.awards_of(contest.call())
    assert made.bid_id == contest.ranking()[0].bid_id
    assert made.awarded_by == "系统 系统时钟"


def test_after_a_draw_the_next_of_the_same_order_follows_without_another_draw(contest):
    contest.opened([None, None, None], route=Route.DRAW, publicity_working_days=0)
    contest.draw()
    order = [bidder for bidder, _place in contest.places()]
    contest.act(commissions.decline, "人员另有安排", by=contest.actor(order[0]))
    contest.award(order[1])
    assert len(awards.draws_of(contest.call())) == 1


def test_where_the_rule_prefers_the_earlier_bid_no_draw_is_held(contest):
    contest.opened([80_000 * YUAN, 80_000 * YUAN, 90_000 * YUAN], tie="earlier")
    assert contest.places() == [(0, 1), (1, 2), (2, 3)]
    assert awards.draws_of(contest.call()) == []


def test_the_rounds_leave_their_order_and_their_last_prices(contest, monkeypatch):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN, 99_000 * YUAN], route=Route.DESCENDING_ROUNDS)
    assert contest.ranking() == []
    last = [(contest.bid(1).id, 90_000 * YUAN), (contest.bid(0).id, 75_000 * YUAN), (contest.bid(2).id, 70_000 * YUAN)]
    monkeypatch.setattr(evaluating.live, "result", lambda call: last)  # worst first, as the rounds tell it
    with transaction():
        awards.on_rounds_ended(trail.of(contest.commission.subject)[-1], CLOCK)
    assert contest.places() == [(2, 1), (0, 2), (1, 3), (3, None)]
    assert contest.award(2).fee == 70_000 * YUAN


# Abnormally low prices


def test_an_abnormally_low_price_is_asked_about_and_blocks_every_award_until_settled(contest):
    contest.opened([20_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    (found,) = justifying.of_call(contest.call())
    assert (found.bid.agency_id, found.price) == (contest.agency(0).id, 20_000 * YUAN)
    assert told(contest, 0) == ["justification.asked"]
    for bidder in (0, 1):
        with pytest.raises(faults.JustificationOpen):
            contest.award(bidder, reason="理由")
    with pytest.raises(faults.JustificationAwaited), transaction():
        justifying.decide(justifying.of_call(contest.call())[0], is_accepted=True, reason="可信", by=contest.client)
    with transaction():
        justifying.answer(justifying.of_call(contest.call())[0], "利用既有监测数据", by=contest.actor(0))
    with transaction():
        justifying.decide(justifying.of_call(contest.call())[0], is_accepted=True, reason="数据属实", by=contest.client)
    assert contest.award(0).fee == 20_000 * YUAN


def test_a_low_price_that_nobody_explains_can_be_refused_once_its_time_is_over(contest):
    contest.opened([20_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    sandbox.forward(timedelta(days=3))
    with pytest.raises(commissions.ReasonMissing), transaction():
        justifying.decide(justifying.of_call(contest.call())[0], is_accepted=False, reason="", by=contest.client)
    with transaction():
        justifying.decide(
            justifying.of_call(contest.call())[0], is_accepted=False, reason="逾期未说明", by=contest.client
        )
    assert contest.places() == [(1, 1), (2, 2), (0, None)]
    assert contest.ranking()[2].reason == "低价说明未获认可：逾期未说明"
    assert told(contest, 0)[-1] == "justification.rejected"
    with pytest.raises(faults.JustificationSettled), transaction():
        justifying.answer(justifying.of_call(contest.call())[0], "迟到的说明", by=contest.actor(0))


def test_only_the_bidder_explains_and_only_the_client_decides(contest):
    contest.opened([20_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    from kernel.errors import NotFound

    with pytest.raises(NotFound), transaction():
        justifying.answer(justifying.of_call(contest.call())[0], "代答", by=contest.actor(1))
    with pytest.raises(MoveNotOpen), transaction():
        justifying.decide(justifying.of_call(contest.call())[0], is_accepted=True, reason="好", by=contest.actor(0))
    with pytest.raises(NotFound):
        justifying.find(contest.call(), contest.bid(0).token, by=contest.actor(1))


# Scoring


@pytest.fixture
def compared(contest):
    """A comparison with three scorers of the client's."""
    from kernel.access import Role
    from kernel.accounts import add_member, register_person

    contest.opened([100_000 * YUAN, 80_000 * YUAN], route=Route.COMPARISON, weights=CRITERIA, abnormal_share=0)
    with transaction():
        people = []
        for index in range(3):
            person = register_person(f"scorer{index}", f"评审{index}")
            add_member(person, session.merge(contest.world.client_org), Role.APPLICANT)
            people.append(person)
        scoring.assign(contest.call(), people, by=contest.client)
    contest.scorers = people
    return contest


def score(contest, index, points, verb=scoring.submit):
    from kernel.accounts import actor_of

    with transaction():
        call = contest.call()
        sheet = {contest.bid(bidder).token: row for bidder, row in enumerate(points)}
        return verb(call, sheet, by=actor_of(session.merge(contest.scorers[index])))


def test_a_comparison_is_ranked_with_the_last_scorer_and_not_before(compared):
    assert compared.ranking() == []
    score(compared, 0, [[90, 80], [60, 60]])
    score(compared, 1, [[80, 70], [70, 60]])
    assert compared.ranking() == []
    with pytest.raises(faults.NotRanked):
        compared.award(0)
    score(compared, 2, [[85, 75], [65, 63]])
    assert compared.places() == [(0, 1), (1, 2)]
    assert [row.score for row in compared.ranking()] == [81_0000, 78_2000]
    assert compared.award(0).fee == 100_000 * YUAN


def test_scores_are_hidden_from_everyone_until_all_are_in(compared):
    score(compared, 0, [[90, 80], [60, 60]])
    score(compared, 1, [[80, 70], [70, 60]], verb=scoring.save)
    assert awards.points_of(compared.call()) == {}
    acts = [act for act in trail.of(compared.commission.subject) if act.act.startswith("scoring.")]
    assert acts
    assert not any(re.search(r"(?<![0-9])90(?![0-9])", str(act.data)) for act in acts)


def test_submitted_scores_are_final_and_complete(compared):
    with pytest.raises(Invalids) as refused:
        score(compared, 0, [[90, None], [101, 60]])
    assert len(refused.value.errors) == 2
    score(compared, 0, [[90, 80], [60, 60]])
    for verb in (scoring.submit, scoring.save):
        with pytest.raises(faults.ScoresSubmitted):
            score(compared, 0, [[1, 1], [1, 1]], verb=verb)


def test_scorers_are_as_many_as_published_and_on_no_bidders_side(compared):
    from kernel.accounts import Person

    with pytest.raises(faults.ScorersTooFew), transaction():
        scoring.assign(compared.call(), [session.merge(p) for p in compared.scorers[:2]], by=compared.client)
    bidder = session.get_one(Person, compared.actor(0).person_id)
    stranger = session.get_one(Person, compared.world.window.person_id)
    with pytest.raises(Invalids) as refused, transaction():
        people = [session.merge(p) for p in compared.scorers] + [bidder, stranger]
        scoring.assign(compared.call(), people, by=compared.client)
    assert [error.params["why_en"] for error in refused.value.errors] == [
        "belongs to one of the bidders",
        "neither of the buyer nor an expert",
    ]
    with pytest.raises(faults.NotAScorer), transaction():
        scoring.save(compared.call(), {}, by=compared.client)
    score(compared, 0, [[90, 80], [60, 60]])
    with pytest.raises(faults.ScoringBegun), transaction():
        others = [session.merge(p) for p in compared.scorers[1:]] + [session.get_one(Person, compared.client.person_id)]
        scoring.assign(compared.call(), others, by=compared.client)


def test_a_call_that_is_not_compared_has_no_scorers(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN])
    with pytest.raises(faults.NoComparison), transaction():
        scoring.assign(contest.call(), [], by=contest.client)


# The letter


def test_the_letter_of_award_is_a_pdf_with_its_exact_title(contest):
    import io

    import pikepdf

    contest.offered()
    call = contest.call()
    made = awards.standing(call)
    assert made is not None
    pdf = letters.letter_of_award(call, made)
    assert pdf.startswith(b"%PDF")
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        assert len(opened.pages) == 1
        assert str(opened.docinfo.get("/Title", "")) == "中选通知书"


def test_an_award_moves_only_with_its_commission(contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN])
    contest.award(0)
    with pytest.raises(MoveNotOpen):
        workflow.check(awards.awards_of(contest.call())[0], awards.AWARD_STEPS, "refuse", by=CLOCK)
    assert notifications.unread(contest.client.person_id) > 0
    assert session.scalars(select(Agency)).first() is not None
