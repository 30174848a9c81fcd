"""The need's pages: begun or copied, filled in over sessions, approved by a second person, published (journey 8, A6)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from integration.demo import city as demo
from kernel import clock, sandbox
from kernel.access import Role
from kernel.accounts import add_member, register_person
from kernel.accounts.passwords import set_password
from kernel.accounts.sign_in import enrol
from kernel.db import session, transaction
from market import calls
from market.calls import CallForBids
from market.commissions import CommissionStatus, Payer, Route
from tests.competition import Competition
from tests.conftest import small_pdf
from tests.market.browsing import Plain, each_once, last, main

WORDS = {
    "title": "云栖里住宅项目水土保持方案编制",
    "requirement": "编制水土保持方案报告书，配合评审并修改。",
    "contact": "林知夏",
    "telephone": "0451-88880001",
    "complaint_telephone": "0451-88880002",
}


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


@pytest.fixture
def as_(client_as: Callable[[str], Any]) -> Callable[[str], Plain]:
    return each_once(client_as)


def stored(number: str) -> CallForBids:
    session.expire_all()
    return session.query(CallForBids).filter_by(number=number).one()


def small(competition: Competition) -> str:
    """A published self-paid call so small that the platform holds its key."""
    return competition.published(ceiling=8_000_000)


def test_a_need_goes_from_a_badly_typed_code_to_the_notice_by_its_task_list(as_, world):
    buyer = as_("applicant")
    page = buyer.get(f"/needs/new?item={world.item.code}")
    shown = buyer.submit(page, page.form("route"), {"project_code": "２６０３ 230199　04－01 100001"})
    number = last(shown.url)
    assert "还有 4 项未完成" in shown.text  # words, amounts, times, keys
    assert "请填写最高限价" in shown.text
    for task, values in (
        ("need", WORDS),
        ("amounts", {"ceiling": "8.6万", "most_working_days": "２０"}),
        ("times", {}),
    ):
        page = buyer.get(f"/needs/{number}/{task}")
        shown = buyer.submit(page, page.form("version"), values)
    call = stored(number)
    assert (call.ceiling, call.most_working_days) == (8_600_000, 20)
    # The form proposes the earliest day that the rule allows, at 17:00 in Beijing.
    assert call.closing_at == calls.earliest_closing(call.rules) + timedelta(hours=17)
    assert "可以发布采购公告" in shown.text
    check = buyer.get(f"/needs/{number}/check")
    assert "发布采购公告</button>" in check.text
    published = buyer.submit(check, check.form("act"))
    assert last(published.url) == number
    assert "采购公告已发布" in published.text
    assert stored(number).commission.status == CommissionStatus.OPEN


def test_what_is_missing_is_told_and_an_unready_need_has_no_button(as_, competition):
    number = competition.needed(title="", ceiling=None)
    buyer = as_("applicant")
    shown = buyer.get(f"/needs/{number}")
    assert "请填写项目名称" in shown.text
    check = buyer.get(f"/needs/{number}/check")
    assert "尚不能发布" in check.text
    assert "<button" not in main(check)


def test_a_field_that_cannot_be_read_is_told_at_its_place_and_the_text_is_kept(as_, competition):
    number = competition.needed()
    buyer = as_("applicant")
    page = buyer.get(f"/needs/{number}/amounts")
    again = buyer.submit(page, page.form("version"), {"ceiling": "三十万", "most_working_days": "0"}, expect=422)
    assert 'href="#ceiling"' in again.text
    assert 'value="三十万"' in again.text
    page = buyer.get(f"/needs/{number}/times")
    again = buyer.submit(page, page.form("version"), {"closing_at_time": "25:00"}, expect=422)
    assert "时间“25:00”无法识别" in again.text


def test_somebody_elses_change_is_told_and_nothing_is_lost(as_, competition):
    number = competition.needed()
    buyer = as_("applicant")
    page = buyer.get(f"/needs/{number}/need")
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, contact="别人")
    again = buyer.submit(page, page.form("version"), {"title": "请勿丢失"}, expect=409)
    assert "请勿丢失" in again.text
    assert stored(number).title != "请勿丢失"


def test_criteria_are_names_with_percentages(as_, competition):
    number = competition.needed(Route.COMPARISON, weights=[])
    buyer = as_("applicant")
    page = buyer.get(f"/needs/{number}/weights")
    wrong = buyer.submit(page, page.form("version"), {"weights": "技术方案"}, expect=422)
    assert "请填写评分项的名称和权重" in wrong.text
    page = buyer.get(f"/needs/{number}/weights")
    typed = {"weights": "技术方案", "weight-share-1": "４０％", "weight-name-2": "业绩", "weight-share-2": "20"}
    buyer.submit(page, page.form("version"), typed)
    assert [(one["zh"], one["weight"]) for one in stored(number).weights] == [("技术方案", 4000), ("业绩", 2000)]


def test_an_old_need_is_copied_by_one_click_and_four_fields(as_, competition, world):
    """Journey 8 and the buyer's budget."""
    old = small(competition)
    buyer = as_("applicant")
    link = buyer.get(f"/calls/{old}").link("复制为新的采购需求")
    page = buyer.get(link)
    form = page.form("project_code")
    asked = form.names - {"csrf_token", "act"}
    assert asked == {"project_code", "ceiling", "closing_at", "closing_at_time"}
    wrong = buyer.submit(page, form, {"project_code": world.other_project.code}, expect=422)
    assert "不是贵单位的项目" in wrong.text
    shown = buyer.submit(page, page.form("project_code"), {"project_code": world.project.code, "ceiling": "7.5万"})
    number = last(shown.url)
    new, was = stored(number), stored(old)
    assert (new.title, new.ceiling, new.copied_from_id) == (was.title, 7_500_000, was.id)
    assert "可以发布采购公告" in shown.text
    buyer.confirm(f"/needs/{number}/check")
    assert stored(number).published_at is not None
    # After publication there is no way back to the draft: only a correction.
    assert last(buyer.get(f"/needs/{number}").url) == number
    assert "/calls/" in buyer.get(f"/needs/{number}").url
    assert buyer.get(f"/needs/{number}/need").status == 404
    assert "发布更正公告" in buyer.get(f"/calls/{number}").text


def test_a_need_is_its_buyers_alone(as_, competition):
    number = competition.needed()
    stranger = as_("applicant2")
    for path in (f"/needs/{number}", f"/needs/{number}/need", f"/needs/{number}/check", f"/calls/{number}"):
        assert stranger.get(path).status == 404, path
    assert number not in stranger.get("/needs").text
    assert number in as_("applicant").get("/needs").text
    assert number not in as_("applicant").get("/calls").text


def test_another_route_forgets_what_it_has_no_use_for(as_, competition):
    number = competition.needed(Route.DESCENDING_ROUNDS)
    buyer = as_("applicant")
    page = buyer.get(f"/needs/{number}/route")
    assert "公告不少于 3 个工作日" in page.text
    buyer.submit(page, page.form("route"), {"route": "bidding"})
    call = stored(number)
    assert (call.commission.route, call.step, call.auction_at) == (Route.BIDDING, None, None)
    assert call.policy.kind == "route.bidding"


def test_documents_of_a_need_are_uploaded_and_removed(as_, competition):
    number = competition.needed()
    buyer = as_("applicant")
    page = buyer.get(f"/needs/{number}/documents")
    shown = buyer.submit(page, page.form("files"), files={"files": [("任务书.pdf", small_pdf("task"))]})
    assert [one.name for one in stored(number).documents] == ["任务书"]
    held = stored(number).documents[0].document.number
    removal = next(form for form in shown.forms if "remove" in form.names)
    buyer.submit(shown, removal, {"remove": held})
    assert stored(number).documents == []


def test_the_keys_page_says_who_has_provided(as_, competition):
    number = competition.needed()
    buyer = as_("applicant")
    assert main(buyer.get(f"/needs/{number}/keys")).count("等待提供") == 3
    competition.keyed(number)
    page = main(buyer.get(f"/needs/{number}/keys"))
    assert "等待提供" not in page
    assert page.count("已提供") == 3


def test_a_need_is_given_up_with_its_reason_and_is_not_published_afterwards(as_, competition):
    number = competition.needed(ceiling=8_000_000)
    buyer = as_("applicant")
    assert "请写明理由" in buyer.confirm(f"/needs/{number}/discard", expect=422).text
    buyer.confirm(f"/needs/{number}/discard", reason="项目暂停")
    assert stored(number).commission.status == CommissionStatus.CANCELLED
    assert as_("agency").get(f"/calls/{number}").status == 404
    assert "已取消" in main(buyer.get(f"/calls/{number}"))
    assert number in buyer.get("/needs").text


def test_above_the_limit_a_second_person_approves_and_the_approver_cannot_publish(as_, competition, world):
    """001 §9.2: approval by a second person above the policy's amount."""
    with transaction():
        call = calls.draft_need(
            session.merge(world.project),
            session.merge(world.item),
            session.merge(world.client_org),
            by=world.applicant,
            route=Route.DRAW,
            payer=Payer.GOVERNMENT,
        )
        number = call.number
        closing = calls.earliest_closing(call.rules) + timedelta(hours=17)
        calls.fill(call, by=world.applicant, **WORDS, ceiling=90_000_000, most_working_days=20, closing_at=closing)
    buyer = as_("applicant")
    page = buyer.get(f"/needs/{number}/budget")
    buyer.submit(
        page, page.form("budget_line"), {"budget_line": "2120399", "budget": "100万", "purchase_basis": "年度计划"}
    )
    assert "等待本单位另一人批准" in buyer.get(f"/needs/{number}").text
    with transaction():
        world.people["deputy"] = register_person("deputy", "副手")
        set_password(world.people["deputy"], demo.PASSWORD)
        enrol(world.people["deputy"])
        add_member(world.people["deputy"], session.merge(world.client_org), Role.APPLICANT)
    deputy = as_("deputy")
    page = deputy.get(f"/needs/{number}/approval")
    assert "2120399" in page.text
    assert "请选择同意或不同意" in deputy.submit(page, page.form("word"), {"word": ""}, expect=422).text
    assert "请写明理由" in deputy.submit(page, page.form("word"), {"word": "no"}, expect=422).text
    deputy.submit(page, page.form("word"), {"word": "yes"})
    own = deputy.confirm(f"/needs/{number}/check", expect=403)
    assert "不能是同一人" in own.text
    buyer.confirm(f"/needs/{number}/check")
    assert stored(number).commission.status == CommissionStatus.OPEN


def test_the_proposed_closing_is_a_working_day_after_a_holiday(as_, competition):
    """From Tuesday 2026-04-28 three working days end on 30 April, and Labour Day follows."""
    number = competition.needed(ceiling=8_000_000)
    sandbox.move_to(clock.instant_of(clock.today().replace(month=4, day=28)) + timedelta(hours=9))
    with transaction():
        calls.fill(competition.find(number), by=competition.buyer, closing_at=None)
    page = as_("applicant").get(f"/needs/{number}/times")
    proposed = dict(page.form("closing_at").values)["closing_at"]
    day = clock.today().fromisoformat(proposed)
    assert clock.china().is_working_day(day)
    assert re.fullmatch(r"2026-05-\d\d", proposed)
