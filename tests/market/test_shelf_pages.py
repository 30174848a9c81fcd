"""The public shelf and the agency's desk, as people see them (A1–A4; journeys 1–3)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from kernel import clock, sandbox, search, trail
from kernel.db import transaction
from market import agencies, catalogue, listings, shelf
from market.fees import FeeKind, FeeRule, Figures
from market.listings import ListingStatus


def small_pdf() -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.drawString(72, 720, "certificate")
    canvas.save()
    return out.getvalue()


SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def visitor(world: Any) -> FlaskClient:
    search.rebuild()
    return world.portal.test_client()  # type: ignore[no-any-return]


def text_of(client: FlaskClient, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def numbers_in(html: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'href="/services/(FW-[\d-]+)', html)))


def token_of(html: str) -> dict[str, str]:
    """The hidden fields of the page's binding form."""
    form = html[html.rindex("<form", 0, html.index('name="act"')) :]
    return dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', form))


def post(client: FlaskClient, url: str, status: int = 303, **fields: Any) -> str:
    hidden = token_of(text_of(client, url))
    answer = client.post(url, data=hidden | fields, content_type="multipart/form-data")
    assert answer.status_code == status, answer.get_data(as_text=True)
    return str(answer.location) if status == 303 else answer.get_data(as_text=True)


# The shelf --------------------------------------------------------------------------------------------------


def test_a_visitor_sees_the_price_for_the_own_project_without_signing_in(world: Any, visitor: FlaskClient) -> None:
    html = text_of(visitor, "/services?item=ZJ-0506&investment=48,000")
    assert set(numbers_in(html)) == {world.listing.number, world.listing2.number}
    # 1000 × 0.20% + 4000 × 0.12% + 43000 × 0.06% of 万元
    assert "¥ 326,000.00" in html
    assert "个工作日" in html
    assert "申请人可自行编制，也可委托" in html


def test_a_size_that_is_no_number_is_an_error_at_its_field_with_what_was_typed(visitor: FlaskClient) -> None:
    html = text_of(visitor, "/services?building_area=很大", 422)
    assert "错误：" in html.partition("</title>")[0]
    assert 'href="#building_area"' in html
    assert 'value="很大"' in html
    assert numbers_in(html)


def test_full_width_digits_and_units_are_understood(visitor: FlaskClient) -> None:
    assert "¥ 326,000.00" in text_of(visitor, "/services?investment=４８０００万元")
    assert "¥ 326,000.00" in text_of(visitor, "/services?investment=4.8亿")


def test_facets_count_what_choosing_them_gives(world: Any, visitor: FlaskClient) -> None:
    html = text_of(visitor, f"/services?agency={world.agency.number}")
    assert numbers_in(html) == [world.listing.number]
    # Drill sideways: the other agency is still offered with its own count.
    assert world.agency2.name in html


def test_active_filters_are_links_that_remove_them(visitor: FlaskClient) -> None:
    html = text_of(visitor, "/services?item=ZJ-0506&stage=5&investment=100")
    chosen = html[html.index('class="filters"') :]
    assert 'href="/services?stage=5&amp;investment=100"' in chosen
    assert 'href="/services?investment=100"' in chosen


def test_zero_results_name_the_filter_to_drop_in_one_click(world: Any, visitor: FlaskClient) -> None:
    html = text_of(visitor, "/services?item=ZJ-0506&stage=1")
    assert "没有符合全部条件的服务" in html
    hint = html[html.index("可以取消以下条件") :]
    url = re.findall(r'href="([^"]+)"', hint)[0].replace("&amp;", "&")
    assert set(numbers_in(text_of(visitor, url))) == {world.listing.number, world.listing2.number}


def test_a_search_text_that_is_too_long_is_named(visitor: FlaskClient) -> None:
    assert 'href="#q"' in text_of(visitor, "/services?q=" + "水" * 101, 422)


def test_short_names_and_pinyin_find_the_service(world: Any, visitor: FlaskClient) -> None:
    for asked in ("水保", "stbc", "清源", "水土保持方案"):
        assert world.listing.number in numbers_in(text_of(visitor, f"/services?q={asked}")), asked


def test_services_are_sorted_by_what_they_cost_for_my_project(world: Any, visitor: FlaskClient) -> None:
    def reprice(number: str, login: str, amount: int) -> None:
        with transaction():
            listings.reprice(
                listings.by_number(number),
                FeeRule(FeeKind.FIXED, amount=amount),
                promised_working_days=10,
                by=world.actor(login),
            )

    reprice(world.listing.number, "agency", 900_000)
    reprice(world.listing2.number, "agency2", 800_000)
    search.index_pending()
    assert numbers_in(text_of(visitor, "/services?sort=fee")) == [world.listing2.number, world.listing.number]
    reprice(world.listing2.number, "agency2", 1_000_000)
    search.index_pending()
    assert numbers_in(text_of(visitor, "/services?sort=fee")) == [world.listing.number, world.listing2.number]


def test_a_draft_a_withdrawn_and_a_suspended_listing_are_never_shown(world: Any, visitor: FlaskClient) -> None:
    with transaction():
        hidden = listings.draft(
            agencies.by_number(world.agency.number),
            catalogue.by_code("ZJ-0508"),
            FeeRule(FeeKind.FIXED, amount=100),
            promised_working_days=3,
            by=world.agency_actor,
        ).number
        listings.withdraw(listings.by_number(world.listing2.number), by=world.actor("agency2"))
    # The index is late: what is shown is checked against the database all the same.
    assert numbers_in(text_of(visitor, "/services")) == [world.listing.number]
    assert visitor.get(f"/services/{hidden}").status_code == 404
    with transaction():
        agencies.suspend(agencies.by_number(world.agency.number), "投诉查实", by=world.supervisor)
    assert numbers_in(text_of(visitor, "/services")) == []
    assert "委托此服务" not in text_of(visitor, f"/services/{world.listing.number}")
    search.index_pending()
    assert shelf.find().total == 0


def test_a_lapsed_qualification_takes_the_listing_off_the_shelf_without_indexing(
    world: Any, visitor: FlaskClient
) -> None:
    with transaction():
        agency = agencies.by_number(world.agency.number)
        agencies.file_qualification(
            agency,
            "Q10",
            "",
            "XY-1",
            valid_from=date(2025, 1, 1),
            valid_until=clock.today() + timedelta(days=1),
            by=world.agency_actor,
        )
        made = listings.draft(
            agency,
            catalogue.by_code("ZJ-0502"),
            FeeRule(FeeKind.FIXED, amount=100),
            promised_working_days=3,
            by=world.agency_actor,
        )
        listings.publish(made, by=world.agency_actor)
    search.index_pending()
    assert shelf.find(filters={"item": ["ZJ-0502"]}).total == 1
    sandbox.forward(timedelta(days=2))
    assert shelf.find(filters={"item": ["ZJ-0502"]}).total == 0
    assert shelf.find().total == 2


def test_a_listing_published_is_found_after_the_next_indexing(world: Any, visitor: FlaskClient) -> None:
    with transaction():
        made = listings.draft(
            agencies.by_number(world.agency.number),
            catalogue.by_code("ZJ-0508"),
            FeeRule(FeeKind.FIXED, amount=100),
            promised_working_days=3,
            by=world.agency_actor,
        )
        listings.publish(made, by=world.agency_actor)
    search.index_pending()
    assert numbers_in(text_of(visitor, "/services?q=水土保持监测"))[0] == made.number
    assert search.check() == []


# One service, comparison, items -----------------------------------------------------------------------------


def test_the_listing_page_shows_price_arithmetic_bands_guide_and_button(world: Any, visitor: FlaskClient) -> None:
    html = text_of(visitor, f"/services/{world.listing.number}?investment=48000")
    for words in (
        "¥ 326,000.00",
        "¥258,000.00",
        "1,000 万元至 5,000 万元（含）",
        "《中华人民共和国水土保持法》第二十五条",
        "所需材料",
        "行业主管部门",
        "10 个工作日",
        f"/commissions/new?listing={world.listing.number}",
    ):
        assert words in html, words


def test_the_fee_history_is_public(world: Any, visitor: FlaskClient) -> None:
    with transaction():
        listings.reprice(
            listings.by_number(world.listing.number),
            FeeRule(FeeKind.FIXED, amount=12_345),
            promised_working_days=8,
            by=world.agency_actor,
            reason="让利",
        )
    html = text_of(visitor, f"/services/{world.listing.number}")
    assert "收费变更记录" in html
    assert "让利" in html
    assert "固定总价 ¥123.45" in html


def test_a_kept_page_follows_every_change_of_what_it_shows(world: Any, visitor: FlaskClient) -> None:
    with transaction():
        trail.record("catalogue:items", "catalogue.imported", by=world.operator, new=0, changed=0)
    url = f"/services/{world.listing.number}?investment=48000"
    assert "¥ 326,000.00" in text_of(visitor, url)
    assert "¥ 68,000.00" in text_of(visitor, url.replace("48000", "5000"))
    assert "委托此服务" in text_of(visitor, url)
    with transaction():
        listings.reprice(
            listings.by_number(world.listing.number),
            FeeRule(FeeKind.FIXED, amount=777_700),
            promised_working_days=6,
            by=world.agency_actor,
        )
    html = text_of(visitor, url)
    assert "¥ 7,777.00" in html
    assert "326,000" not in html
    with transaction():
        agencies.suspend(agencies.by_number(world.agency.number), "投诉查实", by=world.supervisor)
    assert "已被暂停服务" in text_of(visitor, url)


def test_a_listing_page_asks_the_database_little(world: Any, visitor: FlaskClient) -> None:
    from sqlalchemy import event

    from kernel.db import db

    text_of(visitor, f"/services/{world.listing.number}?investment=1")
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        text_of(visitor, f"/services/{world.listing.number}?investment=1")
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    own = [statement for statement in asked if "portal_now" not in statement and "sandbox_clock" not in statement]
    # Head of the catalogue, the listing with its agency, its fee changes (and in tests the catalogue itself).
    assert (
        len([statement for statement in own if "service_items" not in statement and "specialities" not in statement])
        <= 4
    ), own


def test_up_to_four_services_stand_side_by_side(world: Any, visitor: FlaskClient) -> None:
    html = text_of(visitor, f"/compare?s={world.listing.number}&s={world.listing2.number}&investment=48000")
    # The rival charges a hundredth of a percent less in each band.
    assert "¥ 326,000.00" in html
    assert "¥ 278,000.00 （最优）" in html
    assert html.count("委托此服务") == 2
    for row in ("本项目费用", "承诺时限", "资质", "从业人员", "成果"):
        assert row in html


def test_a_fifth_service_is_a_named_error(world: Any, visitor: FlaskClient) -> None:
    query = "&".join(f"s=FW-2026-{number:06d}" for number in range(900001, 900005))
    html = text_of(visitor, f"/compare?{query}&s={world.listing.number}", 422)
    assert "最多同时比较 4 项服务，您选择了 5 项" in html


def test_comparing_nothing_tells_what_to_do(visitor: FlaskClient) -> None:
    assert "没有可比较的服务" in text_of(visitor, "/compare")


def test_a_project_lends_its_figures_to_its_owner_alone(world: Any, visitor: FlaskClient, client_as: SignIn) -> None:
    code = world.project.code
    assert "¥ 326,000.00" in text_of(client_as("applicant"), f"/services?project={code.replace('-', '')}&item=ZJ-0506")
    for client in (visitor, client_as("applicant2")):
        html = text_of(client, f"/services?project={code}", 422)
        assert "326,000" not in html
        assert "不属于贵单位" in html


def test_the_catalogue_lists_every_item_with_its_offers(world: Any, visitor: FlaskClient) -> None:
    html = text_of(visitor, "/items")
    assert html.count('href="/items/ZJ-') == 80
    assert "自愿选择" in html
    assert "ZJ-0506" in text_of(visitor, "/items?q=水土保持方案&stage=5")
    html = text_of(visitor, "/items/ZJ-0506")
    assert "2 项服务可选" in html
    assert visitor.get("/items/ZJ-0000").status_code == 404


def test_the_catalogue_downloads_in_the_form_of_its_import(visitor: FlaskClient) -> None:
    content = visitor.get("/items.csv").get_data()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = catalogue.read_csv(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert rows == catalogue.rows_of_items()
    assert catalogue.read_xlsx(io.BytesIO(visitor.get("/items.xlsx").get_data())) == rows


# Agencies ---------------------------------------------------------------------------------------------------


def test_the_register_is_public_and_searchable(world: Any, visitor: FlaskClient) -> None:
    html = text_of(visitor, "/agencies?q=清源")
    assert world.agency.name in html
    assert world.agency2.name not in html
    assert "没有符合条件的机构" in text_of(visitor, "/agencies?q=不存在")
    page = text_of(visitor, f"/agencies/{world.agency.number}")
    assert world.agency.organisation.credit_code in page
    # Numbers of people are public, names are not.
    assert "3 名" in page
    assert "工程师0" not in page


def test_a_supervisor_suspends_with_a_reason_that_everybody_reads(
    world: Any, visitor: FlaskClient, client_as: SignIn
) -> None:
    supervisor, number = client_as("supervisor"), world.agency.number
    assert "请填写暂停理由" in post(supervisor, f"/agencies/{number}/suspend", 422, reason="")
    post(supervisor, f"/agencies/{number}/suspend", reason="三次投诉查实")
    assert "三次投诉查实" in text_of(visitor, f"/agencies/{number}")
    post(supervisor, f"/agencies/{number}/reinstate")
    assert "三次投诉查实" not in text_of(visitor, f"/agencies/{number}")


def test_visitors_and_applicants_do_not_reach_the_desk(visitor: FlaskClient, client_as: SignIn, world: Any) -> None:
    assert visitor.get("/desk").status_code == 303
    applicant = client_as("applicant")
    assert applicant.get("/desk").status_code == 403
    assert applicant.get(f"/agencies/{world.agency.number}/suspend").status_code == 403


def test_an_agency_enters_and_publishes_its_first_service(world: Any, client_as: SignIn, visitor: FlaskClient) -> None:
    agency = client_as("agency3")
    hidden = token_of(text_of(agency, "/desk"))
    refused = agency.post("/desk/enter", data=hidden | {"introduction": "建筑设计与咨询"})
    assert refused.status_code == 422
    assert "请先阅读并同意入驻承诺书" in refused.get_data(as_text=True)
    assert "建筑设计与咨询" in refused.get_data(as_text=True)
    assert agency.post("/desk/enter", data=hidden | {"commitment": "1", "regions": "示例市、邻市"}).status_code == 303

    post(agency, "/desk/practitioners/new", name="张三", profession="注册建筑师", certificate="ZC-9")
    again = post(agency, "/desk/practitioners/new", 422, name="李四", profession="注册建筑师", certificate="ZC-9")
    assert "已登记，无需重复登记" in again
    assert "李四" in again

    url = "/desk/listings/new?item=ZJ-0309&kind=bands"
    fields = {"measure": "investment", "promised_working_days": "20", "scope": "施工招标代理全过程"}
    bad = fields | {"from-1": "0", "to-1": "1000", "rate-1": "0.8", "from-2": "900", "rate-2": "0.5"}
    html = post(agency, url, 422, **bad)
    assert "第 2 档与上一档重叠：应从 1000 万元 起" in html
    assert 'href="#bands-2"' in html
    assert 'value="900"' in html
    assert "施工招标代理全过程" in html
    confirm = post(agency, url, **bad | {"from-2": "1000"})
    assert "暂不能上架" not in text_of(agency, confirm)
    post(agency, confirm)
    search.index_pending()
    html = text_of(visitor, "/services?item=ZJ-0309&investment=2000")
    # 1000 × 0.8% + 1000 × 0.5% of 万元
    assert "¥ 130,000.00" in html


def test_a_qualification_is_filed_with_its_scan_and_refused_with_every_fault(world: Any, client_as: SignIn) -> None:
    agency, url = client_as("agency"), "/desk/qualifications/new"
    html = post(
        agency, url, 422, speciality="Q05", level="", certificate="", valid_from="2026-02-30", valid_until="2025-01-01"
    )
    for name in ("level", "certificate", "valid_from"):
        assert f'href="#{name}"' in html, name
    post(
        agency,
        url,
        speciality="Q05",
        level="甲级",
        certificate="GH-1",
        valid_from="2024-01-01",
        valid_until="2029-01-01",
        files=(io.BytesIO(small_pdf()), "证书.pdf"),
    )
    held = agencies.by_number(world.agency.number).qualifications
    assert [(one.speciality_code, one.level, one.document_id is not None) for one in held] == [("Q05", "甲级", True)]


def test_a_repeated_submission_lists_once(world: Any, client_as: SignIn) -> None:
    agency, url = client_as("agency"), "/desk/listings/new?item=ZJ-0508&kind=fixed"
    fields = token_of(text_of(agency, url)) | {"amount": "1,000", "promised_working_days": "5"}
    first, second = agency.post(url, data=fields), agency.post(url, data=fields)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.location == second.location


def test_repricing_keeps_what_was_typed_and_tells_that_running_commissions_keep_their_fee(
    world: Any, client_as: SignIn
) -> None:
    agency, url = client_as("agency"), f"/desk/listings/{world.listing.number}/fee?kind=fixed"
    assert "均按委托时的收费执行" in text_of(agency, url)
    html = post(agency, url, 422, amount="-8", promised_working_days="999", reason="成本下降")
    assert "金额不能为负数" in html
    assert 'href="#promised_working_days"' in html
    assert 'value="-8"' in html
    assert "成本下降" in html
    stale = token_of(text_of(agency, url))
    post(agency, url, amount="8,000", promised_working_days="9", reason="成本下降")
    late = agency.post(url, data=stale | {"amount": "1", "promised_working_days": "9"})
    assert late.status_code == 409
    assert listings.by_number(world.listing.number).rule == FeeRule(FeeKind.FIXED, amount=800_000)


def test_another_agencys_listing_is_not_found(world: Any, client_as: SignIn) -> None:
    agency = client_as("agency2")
    for page in ("fee", "publish", "withdraw"):
        assert agency.get(f"/desk/listings/{world.listing.number}/{page}").status_code == 404


def test_withdrawing_takes_the_service_off_the_shelf(world: Any, client_as: SignIn, visitor: FlaskClient) -> None:
    post(client_as("agency"), f"/desk/listings/{world.listing.number}/withdraw")
    assert listings.by_number(world.listing.number).status is ListingStatus.WITHDRAWN
    assert world.listing.number not in numbers_in(text_of(visitor, "/services"))


def test_the_offer_computes_what_the_rule_computes(world: Any) -> None:
    offer = shelf.offer(world.listing.number)
    figures = Figures(investment=123_456_789_00)
    assert offer.quote(figures) == shelf.fees.quote(listings.by_number(world.listing.number).rule, figures)
    assert shelf.on_shelf([offer], clock.today()) == [offer]
