"""Calls for bids in public: what is told before the closing and after it, corrections, questions, withdrawal (A6)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from integration.demo import city as demo
from kernel import clock, sandbox, trail
from kernel.accounts import Organisation
from kernel.db import session, transaction
from kernel.notifications import Notice
from market import agencies, bidding, calls, routes
from market.calls import CallForBids, Outage
from market.commissions import CallStands, ChosenOtherwise, CommissionStatus, Route, cancel, offer
from market.commissions.records import Commission
from market.notices import NoticeKind, PublicNotice
from market.routes import parse
from tests.competition import CEILING, Competition, jump
from tests.conftest import small_pdf
from tests.market.browsing import Plain, each_once, last, main


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


@pytest.fixture
def as_(client_as: Callable[[str], Any]) -> Callable[[str], Plain]:
    return each_once(client_as)


@pytest.fixture
def visitor(world: Any) -> Plain:
    return Plain(world.portal.test_client())


def stored(number: str) -> CallForBids:
    session.expire_all()
    return session.scalars(select(CallForBids).where(CallForBids.number == number)).unique().one()


def kinds(number: str) -> list[NoticeKind]:
    return list(
        session.scalars(select(PublicNotice.kind).where(PublicNotice.call_number == number).order_by(PublicNotice.id))
    )


# Who reads what


def test_everybody_reads_a_notice_with_its_closing_in_words_and_working_days(visitor, competition):
    number = competition.published()
    page = visitor.get(f"/calls/{number}")
    assert page.status == 200
    assert "2026年3月5日 17:00:00（北京时间），剩余 3 个工作日" in main(page)
    assert "¥300,000.00" in main(page)
    assert "线上竞价" in main(page)
    assert "参加报价" not in main(page)
    english = main(visitor.get(f"/calls/{number}?lang=en"))
    assert "3 working days left" in english


def test_how_many_bid_is_told_after_the_closing_and_who_bid_never_before_the_opening(visitor, as_, competition):
    number = competition.published()
    before = main(visitor.get(f"/calls/{number}"))
    for login, agency in competition.agencies_named(2):
        competition.bid(number, login, agency, CEILING - 1000)
    assert bidding.count_standing(stored(number)) == 2
    buyer = as_("applicant")
    assert main(visitor.get(f"/calls/{number}")) == before
    assert "有效报价" not in main(buyer.get(f"/calls/{number}"))
    competition.closed(number)
    after = main(visitor.get(f"/calls/{number}"))
    assert "有效报价 2 家，规定不少于 1 家" in after
    assert "等待保管方交出密钥后开标" in after
    for name in ("清源", "绿洲"):
        assert name not in after
        assert name not in main(buyer.get(f"/calls/{number}"))


def test_an_agency_is_told_whether_it_may_take_part_and_the_exact_reason(as_, competition, world):
    number = competition.published()
    agency = as_("agency")
    shown = main(agency.get(f"/calls/{number}"))
    assert "可以参加" in shown
    assert f"/calls/{number}/bid" in shown
    with transaction():
        organisation = session.get_one(Organisation, world.agency.organisation_id)
        organisation.legal_representative = world.client_org.legal_representative
        agencies.by_number(world.agency.number).regions = ["外省市"]
    shown = main(agency.get(f"/calls/{number}"))
    assert "法定代表人相同" in shown
    assert "项目所在地不在机构的服务区域内" in shown
    assert f"/calls/{number}/bid" not in shown


def test_documents_are_for_those_who_may_bid(as_, visitor, competition, world):
    number = competition.needed(ceiling=8_000_000)
    with transaction():
        call = competition.find(number)
        document = world.document("任务书.pdf", "任务", by=competition.buyer)
        calls.add_document(call, "任务书", by=competition.buyer, document=document)
        calls.publish(competition.find(number, lock=True), by=competition.buyer)
        file = document.number

    def fetch(person: Plain) -> int:
        answer = person.client.get(f"/files/{file}")
        answer.close()
        return answer.status_code

    assert f"/files/{file}" not in main(visitor.get(f"/calls/{number}"))
    assert fetch(visitor) == 404
    assert f"/files/{file}" in main(as_("agency").get(f"/calls/{number}"))
    assert fetch(as_("agency")) == 200
    assert fetch(as_("agency3")) == 404  # not admitted
    assert fetch(as_("applicant2")) == 404


def test_the_list_narrows_by_facets_counts_and_says_why_nothing_is_found(visitor, competition):
    one = competition.published()
    two = competition.published(Route.DRAW, title="随机抽取的采购")
    page = main(visitor.get("/calls"))
    assert one in page
    assert two in page
    narrowed = main(visitor.get("/calls?route=draw"))
    assert two in narrowed
    assert one not in narrowed
    assert two in main(visitor.get("/calls?q=随机抽取的"))
    none = main(visitor.get("/calls?route=draw&state=failed"))
    assert "没有符合全部条件的采购" in none
    assert "可以取消以下条件" in none
    table = list(csv.reader(io.StringIO(visitor.client.get("/calls.csv?route=draw").get_data().decode("utf-8-sig"))))
    assert [row[0] for row in table[1:]] == [two]


# Questions


def test_a_question_is_answered_for_all_and_its_asker_is_shown_to_nobody(as_, visitor, competition):
    number = competition.published()
    asker, buyer = as_("agency2"), as_("applicant")
    page = asker.get(f"/calls/{number}")
    shown = asker.submit(page, page.form("text"), {"text": "是否含施工期监测？"})
    assert "您单位提出" in shown.text
    assert "是否含施工期监测" not in visitor.get(f"/calls/{number}").text
    assert "是否含施工期监测" not in as_("agency").get(f"/calls/{number}").text
    seen = buyer.get(f"/calls/{number}")
    assert "绿洲" not in main(seen)
    buyer.confirm(f"/calls/{number}/questions/1", answer="含施工期监测。")
    told = main(visitor.get(f"/calls/{number}"))
    assert "含施工期监测。" in told
    assert "绿洲" not in told
    assert kinds(number)[-1] is NoticeKind.ANSWER
    # Who asked is led to the public page, not to a commission that it may not see.
    lines = session.scalars(select(Notice).where(Notice.act == "question.answered")).all()
    assert {line.subject for line in lines} == {f"call:{number}"}
    assert f"/calls/{number}" in asker.get("/inbox").text


def test_only_agencies_ask_and_only_while_the_call_is_open(as_, competition):
    number = competition.published()
    agency = as_("agency")
    page = agency.get(f"/calls/{number}")
    assert "请填写提问内容" in agency.submit(page, page.form("text"), {"text": " "}, expect=422).text
    form = agency.get(f"/calls/{number}").form("text")
    competition.closed(number)
    agency.submit(page, form, {"text": "迟到的问题"}, expect=409)
    assert as_("applicant2").client.post(f"/calls/{number}/questions", data={}).status_code == 403


# Correction


def test_a_material_correction_warns_before_it_is_published_and_is_kept_beside_the_notice(as_, visitor, competition):
    number = competition.published()
    buyer = as_("applicant")
    page = buyer.get(f"/calls/{number}/correction")
    form = page.form("reason")
    assert dict(form.values)["ceiling"] == "300,000.00"
    # Opening the form and sending it back changes nothing.
    assert "没有改变任何内容" in buyer.submit(page, form, {"reason": "无"}, expect=422).text
    assert "请写明理由" in buyer.submit(page, form, {"ceiling": "20万"}, expect=422).text
    check = buyer.submit(page, form, {"ceiling": "20万", "reason": "核减预算"})
    assert "由“¥300,000.00”改为“¥200,000.00”" in check.text
    assert "已提交的报价均变为待确认" in check.text
    assert stored(number).edition == 1
    shown = buyer.submit(check, check.form("stage"))
    call = stored(number)
    assert (call.ceiling, call.edition, call.bid_edition) == (20_000_000, 2, 2)
    assert "更正公告已发布" in shown.text
    told = main(visitor.get(f"/calls/{number}"))
    assert "更正公告（第 2 版）" in told
    assert "核减预算" in told
    assert "¥300,000.00" in told  # what it was before
    notice = session.scalars(select(PublicNotice).where(PublicNotice.kind == NoticeKind.CORRECTION)).one()
    assert {"zh": "最高限价更正为", "en": "Ceiling now", "value": "¥200,000.00"} in notice.body


def test_a_correction_refused_by_the_rule_comes_back_with_everything_typed(as_, competition):
    number = competition.published()
    sandbox.forward(timedelta(days=2))
    buyer = as_("applicant")
    page = buyer.get(f"/calls/{number}/correction")
    check = buyer.submit(page, page.form("reason"), {"ceiling": "20万", "reason": "请勿丢失"})
    again = buyer.submit(check, check.form("stage"), expect=422)
    assert "公告期不少于 3 个工作日" in again.text
    assert "请勿丢失" in again.text
    assert stored(number).edition == 1


def test_a_correction_may_bring_a_document_that_is_sent_once(as_, competition):
    number = competition.published()
    buyer = as_("applicant")
    page = buyer.get(f"/calls/{number}/correction")
    files = {"files": [("补充说明.pdf", small_pdf("more"))]}
    check = buyer.submit(page, page.form("reason"), {"reason": "补充图纸"}, files)
    assert "补充说明.pdf" in check.text
    buyer.submit(check, check.form("stage"))
    assert [one.name for one in stored(number).documents] == ["补充说明"]


def test_a_floor_follows_the_ceiling_that_a_correction_sets(competition, world):
    with transaction():
        values = dict(routes.current(Route.BIDDING)[0].values) | {"floor_share": 6000}
        parse(values)
        routes.enter(Route.BIDDING, values, effective_from=clock.today(), source="试验", by=world.operator)
    number = competition.published()
    assert stored(number).floor == 18_000_000
    with transaction():
        calls.amend(
            competition.find(number, lock=True),
            by=competition.buyer,
            reason="核减",
            ceiling=20_000_000,
            most_working_days=12,
        )
    call = stored(number)
    assert (call.floor, call.commission.promised_working_days) == (12_000_000, 12)


# The end


def test_a_call_is_withdrawn_with_a_public_reason_and_by_no_other_way(as_, visitor, competition):
    number = competition.published()
    buyer = as_("applicant")
    commission = stored(number).commission.number
    # The commission's own cancel would leave the call open to be closed by the clock.
    assert buyer.get(f"/commissions/{commission}/cancel").status == 409
    with pytest.raises(CallStands), transaction():
        cancel(stored(number).commission, "悄悄取消", by=competition.buyer)
    assert "请写明理由" in buyer.confirm(f"/calls/{number}/withdrawal", expect=422).text
    buyer.confirm(f"/calls/{number}/withdrawal", reason="项目调整")
    assert "采购已终止：项目调整" in main(visitor.get(f"/calls/{number}"))
    assert kinds(number)[-1] is NoticeKind.WITHDRAWN
    assert buyer.get(f"/calls/{number}/withdrawal").status == 409


def test_a_failed_call_is_run_again_once(as_, competition):
    number = competition.published()
    competition.closed(number)
    buyer = as_("applicant")
    shown = buyer.get(f"/calls/{number}")
    assert "流标" in main(shown)
    draft = buyer.confirm(f"/calls/{number}/rerun")
    again = last(draft.url)
    assert stored(again).commission.rerun_of_id == stored(number).commission_id
    assert f"/needs/{again}" in buyer.get(f"/calls/{number}").text
    assert buyer.get(f"/calls/{number}/rerun").status == 409


def test_a_competition_cannot_be_turned_into_a_direct_commission(competition, world):
    number = competition.needed()
    with pytest.raises(ChosenOtherwise), transaction():
        commission = stored(number).commission
        commission.listing = session.merge(world.listing)
        offer(commission, by=competition.buyer)
    assert stored(number).commission.status == CommissionStatus.DRAFT


def test_anothers_call_is_not_corrected_answered_or_withdrawn(as_, competition):
    number = competition.published()
    with transaction():
        calls.ask(competition.find(number), session.merge(competition.world.agency2), "？", by=competition.buyer)
    stranger = as_("applicant2")
    for path in ("correction", "withdrawal", "rerun", "questions/1", "copy"):
        assert stranger.get(f"/calls/{number}/{path}").status == 404, path


# The operators' pages


def test_an_outage_is_checked_declared_and_puts_the_closing_off(as_, visitor, competition):
    number = competition.published()
    closing = stored(number).closing_at
    jump(closing - timedelta(minutes=5))
    operator = as_("operator")
    page = operator.get("/admin/outages/new")
    local = closing.astimezone(clock.SHANGHAI)
    given = {
        "began_at": local.date().isoformat(),
        "began_at_time": "16:30",
        "ended_at": local.date().isoformat(),
        "ended_at_time": "16:50",
        "reason": "数据库重启",
    }
    wrong = operator.submit(page, page.form("reason"), given | {"ended_at_time": "23:00"}, expect=422)
    assert "故障起止时间有误" in wrong.text
    check = operator.submit(page, page.form("reason"), given)
    assert session.scalar(select(Outage.id)) is None
    shown = operator.submit(check, check.form("stage"))
    assert number in main(shown)
    assert stored(number).closing_at == closing + timedelta(hours=1)
    assert NoticeKind.EXTENSION in kinds(number)
    assert "故障公告" in main(visitor.get("/notices"))
    assert as_("supervisor").get("/admin/outages/new").status == 403


def test_a_new_rule_needs_its_source_touches_no_call_under_way_and_is_followed_by_drafts(as_, competition):
    number = competition.published()
    draft = competition.needed()
    operator = as_("operator")
    page = operator.get("/admin/policies/bidding/new")
    assert "进行中的 1 件采购" in page.text
    assert "尚未发布的 1 件采购需求" in page.text
    form = page.form("source")
    wrong = operator.submit(page, form, {"scorers": "x", "notice_working_days": "99"}, expect=422)
    assert "不是整数" in wrong.text
    wrong = operator.submit(page, form, {"notice_working_days": "99"}, expect=422)
    assert 'href="#notice_working_days"' in wrong.text
    assert "公告期（工作日）" in wrong.text
    assert "请写明规则的依据" in wrong.text
    given = {"notice_working_days": "5", "source": "示例市〔2026〕1 号第三条", "abnormal_share": "45.5"}
    check = operator.submit(page, form, given)
    assert "3 → 5" in check.text
    shown = operator.submit(check, check.form("stage"))
    assert "示例市〔2026〕1 号第三条" in shown.text
    assert routes.current(Route.BIDDING)[1].abnormal_share == 4550
    assert stored(number).rules.notice_working_days == 3
    with transaction():
        call = competition.find(draft, lock=True)
        calls.change_route(call, Route.BIDDING, by=competition.buyer)
    assert stored(draft).rules.notice_working_days == 5
    acts = list(session.scalars(select(trail.TrailAct).where(trail.TrailAct.act == "policy.entered")))
    assert len(acts) == 1


def test_the_buyers_commission_page_leads_to_the_call_and_shows_the_seven_steps(as_, competition):
    number = competition.published()
    commission = stored(number).commission.number
    page = main(as_("applicant").get(f"/commissions/{commission}"))
    assert f"/calls/{number}" in page
    steps = re.findall(r"</span><b>([^<]+)</b>", page)
    assert steps == ["需求", "公告", "开标", "公示", "委托", "服务", "成果"]
    assert "公告中" in main(as_("applicant").get("/commissions"))


def test_the_demo_has_calls_a_need_and_a_request(portal):
    with transaction():
        assert demo.load() is not None
    visitor = Plain(portal.test_client())
    assert "云栖里住宅小区一期水土保持方案编制" in visitor.get("/calls").text
    assert "云栖里住宅小区一期水土保持方案编制" in visitor.get("/").text
    states = set(session.scalars(select(Commission.status)))
    assert {CommissionStatus.OPEN, CommissionStatus.DRAFT, CommissionStatus.REQUESTED} <= states
