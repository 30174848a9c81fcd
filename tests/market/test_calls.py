"""Calls for bids: what must be in a notice, how it is corrected, who may take part, when it ends (A6; 001 §9.2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kernel import clock, jobs, sandbox, trail, workflow
from kernel.accounts import Organisation
from kernel.db import session, transaction
from kernel.errors import Invalids
from market import agencies, calls, requests
from market.calls import faults
from market.commissions import Commission, CommissionStatus, Payer, Route, can_see
from market.notices import NoticeKind, PublicNotice
from tests.competition import CEILING, WORDS, Competition, jump


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


def notices_of(number: str) -> list[NoticeKind]:
    return list(
        session.scalars(select(PublicNotice.kind).where(PublicNotice.call_number == number).order_by(PublicNotice.id))
    )


def undone(number: str, competition: Competition) -> set[str]:
    return {task.key for task in calls.tasks(competition.find(number)) if not task.is_done}


# The need


def test_a_need_says_what_is_missing_and_is_published_only_when_nothing_is(competition):
    number = competition.needed(title="", ceiling=None)
    assert undone(number, competition) == {"need", "amounts", "keys"}
    with pytest.raises(faults.CallIncomplete) as refused, transaction():
        calls.publish(competition.find(number, lock=True), by=competition.buyer)
    assert "项目名称" in refused.value.text()
    assert "最高限价" in refused.value.text()
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, title="水土保持方案编制", ceiling=CEILING)
    competition.keyed(number)
    assert undone(number, competition) == set()
    with transaction():
        calls.publish(competition.find(number, lock=True), by=competition.buyer)
    call = competition.find(number)
    assert call.commission.status == CommissionStatus.OPEN
    assert call.commission.policy == call.policy.version
    assert notices_of(number) == [NoticeKind.CALL]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("ceiling", 0, "amount_invalid"),
        ("ceiling", -5, "amount_invalid"),
        ("step", 0, "amount_invalid"),
        ("most_working_days", 0, "amount_invalid"),
        ("title", "长" * 121, "field_too_long"),
    ],
)
def test_a_field_that_cannot_be_is_refused_at_the_field_and_nothing_is_stored(competition, field, value, code):
    number = competition.needed()
    with pytest.raises(Invalids) as refused, transaction():
        calls.fill(competition.find(number), by=competition.buyer, contact="新联系人", **{field: value})
    assert [(one.code, one.field) for one in refused.value.errors] == [(code, field)]
    session.expire_all()
    assert competition.find(number).contact != "新联系人"


def test_the_notice_stands_its_full_working_days(competition):
    number = competition.needed()
    call = competition.find(number)
    earliest = calls.earliest_closing(call.rules)  # Monday 2026-03-02, three working days: Thursday 00:00
    assert clock.local_date(earliest).isoformat() == "2026-03-05"
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, closing_at=earliest - timedelta(seconds=1))
    assert "times" in undone(number, competition)
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, closing_at=earliest)
    assert "times" not in undone(number, competition)


def test_a_closing_on_a_day_off_is_refused(competition):
    number = competition.needed()
    saturday = calls.earliest_closing(competition.find(number).rules) + timedelta(days=2)
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, closing_at=saturday)
    (task,) = [task for task in calls.tasks(competition.find(number)) if task.key == "times"]
    assert "2026-03-07 不是工作日" in task.why_zh


def test_a_step_too_large_to_be_played_is_refused_before_publication(competition):
    number = competition.needed(Route.DESCENDING_ROUNDS, step=CEILING // 3)
    assert "amounts" in undone(number, competition)
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, step=CEILING // 3 - 1)
    assert "amounts" not in undone(number, competition)


def test_criteria_come_to_the_published_weight(competition):
    number = competition.needed(Route.COMPARISON, weights=[{"zh": "方案", "en": "Plan", "weight": 5900}])
    (task,) = [task for task in calls.tasks(competition.find(number)) if task.key == "weights"]
    assert "60.0%" in task.why_zh
    assert "59.0%" in task.why_zh


def test_a_copy_has_the_words_but_its_own_dates(competition):
    number = competition.published()
    with transaction():
        old = competition.find(number)
        copy = calls.copy_need(old, session.merge(competition.world.project), by=competition.buyer).number
    new = competition.find(copy)
    assert (new.title, new.ceiling, new.closing_at) == (old.title, old.ceiling, None)
    assert new.copied_from_id == old.id
    assert undone(copy, competition) == {"times", "keys"}


def test_another_buyers_need_is_neither_seen_nor_copied(competition):
    number = competition.needed()
    stranger = competition.world.actor("applicant2")
    with pytest.raises(calls.finding.NotFound):
        calls.find(number, by=stranger)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        calls.fill(competition.find(number), by=stranger, title="别人的")


# Correction, questions, withdrawal


def test_a_material_correction_puts_the_closing_off_and_leaves_bids_to_be_confirmed(competition):
    number = competition.published()
    call = competition.find(number)
    before = call.closing_at
    sandbox.forward(timedelta(days=2))
    with pytest.raises(Invalids) as refused, transaction():
        calls.amend(competition.find(number, lock=True), by=competition.buyer, reason="核减", ceiling=20_000_000)
    assert [one.code for one in refused.value.errors] == ["closing_too_soon"]
    session.expire_all()
    assert competition.find(number).ceiling == CEILING
    with transaction():
        calls.amend(
            competition.find(number, lock=True),
            by=competition.buyer,
            reason="核减预算",
            ceiling=20_000_000,
            closing_at=before + timedelta(days=4),
        )
    call = competition.find(number)
    assert (call.edition, call.bid_edition, call.ceiling) == (2, 2, 20_000_000)
    assert notices_of(number) == [NoticeKind.CALL, NoticeKind.CORRECTION]


def test_a_word_that_touches_no_bid_leaves_the_closing_alone(competition):
    number = competition.published()
    sandbox.forward(timedelta(days=2))
    with transaction():
        calls.amend(competition.find(number, lock=True), by=competition.buyer, reason="换人", contact="陈女士")
    call = competition.find(number)
    assert (call.edition, call.bid_edition) == (2, 1)


def test_a_correction_of_nothing_or_after_the_closing_is_refused(competition):
    number = competition.published()
    with pytest.raises(faults.NothingChanged), transaction():
        calls.amend(competition.find(number, lock=True), by=competition.buyer, reason="无", contact="林知夏")
    closing = competition.find(number).closing_at
    jump(closing + timedelta(seconds=2))  # only the clock says that it is over
    with pytest.raises(faults.CallClosed), transaction():
        calls.amend(competition.find(number, lock=True), by=competition.buyer, reason="迟", contact="陈女士")


def test_who_asks_is_told_to_nobody_and_the_answer_is_for_all(competition):
    number = competition.published()
    asker = competition.world.actor("agency2")
    with transaction():
        key = calls.ask(competition.find(number), session.merge(competition.world.agency2), "是否含监测？", by=asker).id
    acts = trail.of(competition.find(number).subject)
    assert "绿洲" not in "".join(f"{act.person}{act.organisation}{act.data}" for act in acts)
    with transaction():
        call = competition.find(number)
        calls.answer(calls.find_question(call, key), "含施工期监测。", by=competition.buyer)
    with pytest.raises(faults.QuestionAnswered), transaction():
        calls.answer(calls.find_question(competition.find(number), key), "再答", by=competition.buyer)
    assert NoticeKind.ANSWER in notices_of(number)


def test_a_withdrawn_call_says_why_in_public_and_never_closes(competition):
    number = competition.published()
    with transaction():
        calls.withdraw(competition.find(number, lock=True), "项目调整", by=competition.buyer)
    assert notices_of(number)[-1] == NoticeKind.WITHDRAWN
    sandbox.forward(timedelta(days=30))
    assert competition.find(number).commission.status == CommissionStatus.CANCELLED


# Who may take part


def test_each_reason_against_taking_part_is_named(competition):
    number = competition.published()
    world = competition.world

    def reasons() -> str:
        call, agency = competition.find(number), session.merge(world.agency)
        return "；".join(one.zh for one in calls.shortfalls(call, agency))

    assert reasons() == ""
    with transaction():
        organisation = session.get_one(Organisation, world.agency.organisation_id)
        organisation.legal_representative = world.client_org.legal_representative
    assert "法定代表人相同" in reasons()
    with transaction():
        session.get_one(Organisation, world.agency.organisation_id).legal_representative = "周清源"
        agencies.by_number(world.agency.number).regions = ["外省市"]
    assert "服务区域" in reasons()
    with transaction():
        agency = agencies.by_number(world.agency.number, lock=True)
        agency.regions = []
        agencies.suspend(agency, "检查", by=world.supervisor)
    assert "暂停服务" in reasons()


def test_only_the_invited_may_bid_in_an_invitation(competition):
    competition.agencies_named(4)
    number = competition.published(Route.INVITATION)
    call = competition.find(number)
    outsider = agencies.of_organisation(competition.world.organisations["恒信"].id)
    assert [one.zh for one in calls.shortfalls(call, outsider)] == ["本次采购只接受受邀机构报价"]
    assert calls.shortfalls(call, session.merge(competition.world.agency)) == []


def test_the_winners_of_the_last_commissions_rest(competition):
    number = competition.published(Route.DRAW)
    call = competition.find(number)
    world = competition.world
    assert calls.shortfalls(call, session.merge(world.agency)) == []
    with transaction():
        session.add(
            Commission(
                number="WT-2026-999999",
                status=CommissionStatus.FINISHED,
                route=Route.BIDDING,
                project_id=world.project.id,
                item_id=world.item.id,
                agency_id=world.agency.id,
                client_id=world.client_org.id,
                applicant_id=world.client_org.id,
                quote=[],
                promised_working_days=10,
                offered_at=clock.now(),
            )
        )
    assert "轮候" in calls.shortfalls(competition.find(number), session.merge(world.agency))[0].zh
    assert calls.shortfalls(competition.find(number), session.merge(world.agency2)) == []


# The end of the period


def test_a_failed_call_is_run_again_once_with_its_words(competition):
    number = competition.published()
    competition.closed(number)
    call = competition.find(number)
    assert call.commission.status == CommissionStatus.FAILED
    assert notices_of(number)[-1] == NoticeKind.FAILED
    with transaction():
        again = calls.rerun(competition.find(number, lock=True), by=competition.buyer).number
    new = competition.find(again)
    assert (new.commission.rerun_of_id, new.ceiling) == (call.commission_id, call.ceiling)
    with pytest.raises(faults.RerunKnown), transaction():
        calls.rerun(competition.find(number, lock=True), by=competition.buyer)


def test_the_close_is_stamped_with_the_closing_however_late_the_tick(competition):
    number = competition.published()
    closing = competition.find(number).closing_at
    jump(closing + timedelta(days=3))
    assert jobs.run_due() >= 1
    jobs.run_due()
    acts = [act for act in trail.of(competition.find(number).subject) if act.act == "bidding.closed"]
    assert [act.at for act in acts] == [closing]


def test_an_outage_in_the_last_hour_puts_the_closing_off_and_is_on_record(competition):
    number = competition.published()
    closing = competition.find(number).closing_at
    jump(closing - timedelta(minutes=5))
    with transaction():
        calls.declare_outage(
            closing - timedelta(minutes=30),
            closing - timedelta(minutes=10),
            "数据库重启",
            by=competition.world.operator,
        )
    call = competition.find(number)
    assert call.closing_at == closing + timedelta(hours=1)
    assert notices_of(number)[-1] == NoticeKind.EXTENSION
    sandbox.move_to(closing + timedelta(minutes=1))
    assert competition.find(number).commission.status == CommissionStatus.OPEN


def test_an_outage_over_the_closing_opens_the_call_again_and_one_long_before_changes_nothing(competition):
    number = competition.published()
    closing = competition.find(number).closing_at
    jump(closing + timedelta(minutes=20))
    with transaction():
        calls.declare_outage(
            closing - timedelta(hours=5), closing - timedelta(hours=2), "早", by=competition.world.operator
        )
        calls.close(competition.find(number, lock=True), by=trail.CLOCK, at=closing)
        calls.declare_outage(
            closing - timedelta(minutes=10), closing + timedelta(minutes=10), "断电", by=competition.world.operator
        )
    call = competition.find(number)
    assert call.closing_at == closing + timedelta(minutes=70)
    assert call.commission.status == CommissionStatus.OPEN


# Government-paid


def requested(competition: Competition) -> str:
    world = competition.world
    with transaction():
        return requests.request(
            session.merge(world.project),
            session.merge(world.item),
            session.merge(world.organisations["住建"]),
            "政府投资项目，申请由主管部门委托",
            by=world.applicant,
        ).number


def commission(number: str) -> Commission:
    return session.scalars(select(Commission).where(Commission.number == number)).one()


def test_a_request_is_seen_by_both_and_answered_by_the_authority_alone(competition):
    number = requested(competition)
    world = competition.world
    authority = world.actor("authority")
    one = commission(number)
    assert can_see(one, world.applicant)
    assert can_see(one, authority)
    assert not can_see(one, world.actor("applicant2"))
    assert not can_see(one, world.agency_actor)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        requests.take_up(commission(number), by=world.applicant)
    with transaction():
        requests.decline_request(commission(number), "不属于政府付费范围", by=authority)
    assert commission(number).status == CommissionStatus.DECLINED


def test_a_government_call_wants_budget_basis_and_a_second_person(competition):
    number = requested(competition)
    authority = competition.world.actor("authority")
    with transaction():
        one = commission(number)
        requests.take_up(one, by=authority)
        call = calls.begin(one, Route.BIDDING, by=authority)
        code = call.number
        closing = calls.earliest_closing(call.rules) + timedelta(hours=17)

        calls.fill(call, by=authority, **WORDS, ceiling=60_000_000, closing_at=closing)

    def find() -> Any:
        return calls.find(code, by=authority)

    assert {task.key for task in calls.tasks(find()) if not task.is_done} == {"budget", "keys", "approval"}
    with transaction():
        requests.budget(
            find().commission, by=authority, budget_line="2120399", amount=50_000_000, purchase_basis="年度计划"
        )
    (task,) = [task for task in calls.tasks(find()) if task.key == "budget"]
    assert "超过预算" in task.why_zh
    with transaction():
        requests.budget(
            find().commission, by=authority, budget_line="2120399", amount=60_000_000, purchase_basis="年度计划"
        )
        calls.approve(find(), is_approved=True, by=authority)
    competition.keyed(code, authority)
    assert [task for task in calls.tasks(find()) if not task.is_done] == []
    with pytest.raises(faults.SamePerson), transaction():
        calls.publish(calls.find(code, by=authority, lock=True), by=authority)
    # A change after the approval wants another one.
    with transaction():
        calls.fill(find(), by=authority, contact="王工")
    assert [task.key for task in calls.tasks(find()) if not task.is_done] == ["approval"]


def test_a_direct_commission_has_a_limit_and_a_reason(competition):
    number = requested(competition)
    world = competition.world
    authority = world.actor("authority")
    with transaction():
        requests.take_up(commission(number), by=authority)
    from market import commissions

    with pytest.raises(commissions.ReasonMissing), transaction():
        requests.commission_directly(commission(number), session.merge(world.listing), " ", by=authority)
    assert commission(number).payer is Payer.GOVERNMENT
