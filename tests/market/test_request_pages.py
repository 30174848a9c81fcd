"""Government-paid services over HTTP: asked for, taken up or declined, bought by a call or directly (001 §9.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from kernel.db import session, transaction
from market import calls, commissions, deliverables, listings, services
from market.calls import CallForBids
from market.commissions import Commission, CommissionStatus, Route
from market.deliverables import Part, Result
from market.fees import FeeKind, FeeRule
from tests.conftest import small_pdf
from tests.market.browsing import Plain, each_once, last, main


@pytest.fixture
def as_(client_as: Callable[[str], Any]) -> Callable[[str], Plain]:
    return each_once(client_as)


def stored(number: str) -> Commission:
    session.expire_all()
    return session.scalars(select(Commission).where(Commission.number == number)).one()


@pytest.fixture
def requested(as_: Callable[[str], Plain], world: Any) -> str:
    """The number of a request made on the page, with a code typed badly."""
    applicant = as_("applicant")
    page = applicant.get(f"/requests/new?item={world.item.code}")
    authority = next(code for code in page.form("authority").options["authority"] if code)
    values = {"project_code": "2603 230199 04 01 100001", "authority": authority, "reason": "政府投资项目"}
    shown = applicant.submit(page, page.form("authority"), values)
    assert "等待主管部门受理" in shown.text
    return last(shown.url)


def test_a_request_wants_project_item_authority_and_reason(as_):
    applicant = as_("applicant")
    page = applicant.get("/requests/new")
    again = applicant.submit(page, page.form("authority"), {"project_code": "1"}, expect=422)
    for field in ("project_code", "item", "authority", "reason"):
        assert f'href="#{field}"' in again.text


def test_both_sides_follow_a_request_and_strangers_do_not(as_, requested):
    assert requested in as_("applicant").get("/requests").text
    queue = main(as_("authority").get("/requests"))
    assert requested in queue
    assert "等待您办理" in queue
    assert "剩余 5 个工作日" in queue
    assert requested in as_("supervisor").get("/requests").text
    assert requested not in as_("applicant2").get("/requests").text
    assert as_("applicant2").get(f"/requests/{requested}").status == 404
    assert as_("agency").get(f"/requests/{requested}").status == 403
    # On the commission's own page too, whose client is the authority.
    assert as_("applicant").get(f"/commissions/{requested}").status == 200


def test_the_authority_declines_with_a_reason_that_the_applicant_reads(as_, requested):
    authority = as_("authority")
    assert "请写明理由" in authority.confirm(f"/requests/{requested}/decline", expect=422).text
    authority.confirm(f"/requests/{requested}/decline", reason="不属于政府付费范围")
    assert stored(requested).status == CommissionStatus.DECLINED
    shown = main(as_("applicant").get(f"/requests/{requested}"))
    assert "不属于政府付费范围" in shown
    assert "未予受理" in shown
    assert authority.get(f"/requests/{requested}/take-up").status == 409


def test_the_applicant_takes_a_request_back_until_it_is_answered(as_, requested):
    as_("applicant").confirm(f"/requests/{requested}/withdraw")
    assert stored(requested).status == CommissionStatus.CANCELLED
    assert as_("authority").get(f"/requests/{requested}/take-up").status == 409


def test_a_request_taken_up_becomes_a_need_by_a_route_that_is_explained(as_, requested):
    authority = as_("authority")
    authority.confirm(f"/requests/{requested}/take-up")
    assert "主管部门正在组织采购" in as_("applicant").get(f"/requests/{requested}").text
    page = authority.get(f"/requests/{requested}/route")
    assert "少于 3 家流标" in page.text  # the government's minimum
    draft = authority.submit(page, page.form("route"), {"route": "comparison"})
    number = last(draft.url)
    assert "预算与采购依据" in draft.text
    call = session.scalars(select(CallForBids).where(CallForBids.number == number)).unique().one()
    assert (call.commission.number, call.commission.route) == (requested, Route.COMPARISON)
    # The applicant sees that it is under way, not the draft; and there is one call for a request.
    assert as_("applicant").get(f"/needs/{number}").status == 404
    assert authority.get(f"/requests/{requested}/route").status == 409
    assert authority.get(f"/requests/{requested}/direct").status == 409
    page = authority.get(f"/needs/{number}/budget")
    shown = authority.submit(page, page.form("budget"), {"budget": "负一", "budget_line": "请勿丢失"}, expect=422)
    assert "请勿丢失" in shown.text


def test_an_old_need_of_the_authority_fills_the_new_one(as_, requested, world):
    authority = as_("authority")
    authority.confirm(f"/requests/{requested}/take-up")
    page = authority.get(f"/requests/{requested}/route")
    first = last(authority.submit(page, page.form("route"), {"route": "bidding"}).url)
    page = authority.get(f"/needs/{first}/amounts")
    authority.submit(page, page.form("version"), {"ceiling": "45万"})
    applicant = as_("applicant")
    page = applicant.get(f"/requests/new?item={world.item.code}")
    code = next(one for one in page.form("authority").options["authority"] if one)
    values = {"project_code": world.project.code, "authority": code, "reason": "二期"}
    again = last(applicant.submit(page, page.form("authority"), values).url)
    authority.confirm(f"/requests/{again}/take-up")
    page = authority.get(f"/requests/{again}/route")
    second = last(authority.submit(page, page.form("route"), {"route": "bidding", "old": first}).url)
    call = session.scalars(select(CallForBids).where(CallForBids.number == second)).unique().one()
    assert call.ceiling == 45_000_000


def test_a_small_purchase_is_commissioned_directly_for_a_reason_and_the_applicant_accepts(as_, requested, world):
    with transaction():
        listing = listings.by_number(world.listing.number)
        rule = FeeRule(FeeKind.FIXED, amount=15_000_000)
        listings.reprice(listing, rule, promised_working_days=10, by=world.agency_actor)
    authority = as_("authority")
    authority.confirm(f"/requests/{requested}/take-up")
    page = authority.get(f"/requests/{requested}/direct")
    assert "不超过 ¥200,000.00" in page.text
    files = {"files": [("全部材料.pdf", small_pdf("all"))]}
    form = page.form("listing")
    assert "请选择机构" in authority.submit(page, form, {"reason": "应急"}, expect=422).text
    wrong = authority.submit(page, form, {"listing": world.listing.number, "reason": " "}, files, expect=422)
    assert 'href="#reason"' in wrong.text
    page = authority.get(f"/requests/{requested}/direct")
    authority.submit(page, page.form("listing"), {"listing": world.listing.number, "reason": "金额小"}, files)
    one = stored(requested)
    assert (one.status, one.route, one.fee) == (CommissionStatus.OFFERED, Route.DIRECT, 15_000_000)
    assert one.policy.startswith("route.direct/")
    # 001 §9.4: the applicant accepts, whoever paid.
    agency = world.agency_actor
    with transaction():
        one = commissions.find(requested, by=agency, lock=True)
        commissions.take_on(one, by=agency)
        services.start(one, by=agency)
        part = Part(one.item.deliverables[0], world.document("成果.pdf", by=agency))
        deliverables.submit(one, [part], result=Result.PASSED, summary="符合要求", by=agency)
    assert "认可成果" not in "".join(text for _url, text in authority.get(f"/commissions/{requested}").links)
    applicant = as_("applicant")
    assert "请核对成果并认可或退回" in applicant.get(f"/commissions/{requested}").text
    applicant.confirm(f"/commissions/{requested}/accept")
    assert stored(requested).status == CommissionStatus.FINISHED


def test_above_the_limit_nothing_is_commissioned_directly(as_, requested, world):
    with transaction():
        listing = listings.by_number(world.listing.number)
        rule = FeeRule(FeeKind.FIXED, amount=20_000_001)
        listings.reprice(listing, rule, promised_working_days=10, by=world.agency_actor)
    authority = as_("authority")
    authority.confirm(f"/requests/{requested}/take-up")
    page = authority.get(f"/requests/{requested}/direct")
    files = {"files": [("全部材料.pdf", small_pdf("all"))]}
    values = {"listing": world.listing.number, "reason": "金额小"}
    again = authority.submit(page, page.form("listing"), values, files, expect=409)
    assert "超过直接委托限额" in again.text
    assert stored(requested).status == CommissionStatus.DRAFT
    # Nor by the pages of the menu.
    assert authority.get(f"/commissions/{requested}/offer").status == 409
    answer = authority.client.get(f"/commissions/{requested}/choose")
    sent = {"listing": world.listing.number, "act": "a-token-of-this-form"}
    assert answer.status_code in (200, 409)
    assert authority.client.post(f"/commissions/{requested}/choose", data=sent).status_code == 409
    assert stored(requested).listing_id is None


def test_the_authority_gives_a_purchase_up_with_a_reason(as_, requested):
    authority = as_("authority")
    authority.confirm(f"/requests/{requested}/take-up")
    authority.confirm(f"/requests/{requested}/give-up", reason="预算调整")
    assert stored(requested).status == CommissionStatus.CANCELLED
    assert calls.of_commission(stored(requested)) is None
