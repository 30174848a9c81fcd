"""Journey 3: compare, print, commission with a badly typed code, take it back, send it again; never twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.clerk import SOIL, SUNLIGHT, Clerk, paper
from tests.journeys.person import MODES, MODES_AND_KEYBOARD, NORMAL, PLAIN, Mode, Person

pytestmark = pytest.mark.journey


def _badly(code: str) -> str:
    """The same code as somebody types it in a hurry: full-width digits, spaces, no hyphens."""
    digits = code.replace("-", "").translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    return f" {digits[:6]} {digits[6:]}"


def _commissions(clerk: Clerk, code: str) -> int:
    page = clerk.as_("applicant").get(f"/projects/{code}")
    return len({address for address, _ in page.links if address.startswith("/commissions/WT-")})


@pytest.mark.parametrize("mode", MODES_AND_KEYBOARD, ids=str)
def test_compare_commission_take_back_and_commission_again(
    mode: Mode, person: Callable[..., Person], clerk: Clerk
) -> None:
    """Journey 3 (A4, A5)."""
    code = clerk.project()
    applicant = person(mode)
    applicant.open(f"/services?item={SOIL.item}&investment=12600")
    boxes = applicant.page.locator("input[name=s]")
    applicant.tick(boxes.nth(0))
    applicant.tick(boxes.nth(1))
    applicant.press("比较所选服务")
    assert applicant.page.locator("table.compare thead th").count() == 3
    _prints_without_navigation(applicant)
    applicant.press(applicant.page.locator("table.compare").get_by_role("link", name="委托此服务 清源"))
    assert applicant.path.startswith("/sign-in"), "commissioning needs an account"
    applicant.sign_in("applicant")
    assert applicant.path.startswith("/commissions/new"), "signing in leads back to where it was asked"

    applicant.write("project_code", code[:-3])
    applicant.write("message", "请于三月底前完成。")
    applicant.attach("files", [("项目基础资料.pdf", paper("basis"))])
    applicant.press("下一步：核对", status=422)
    assert applicant.page.title().startswith("错误：")
    assert applicant.page.locator(".error-summary a[href='#project_code']").count() == 1
    assert applicant.page.locator("#project_code-error").is_visible()
    assert applicant.page.locator("[name=project_code]").input_value() == code[:-3]
    assert applicant.page.locator("[name=message]").input_value().strip() == "请于三月底前完成。"

    applicant.write("project_code", _badly(code))
    applicant.press("下一步：核对")
    assert code in applicant.text
    applicant.press("发出委托", times=1 if mode.keyboard else 2)
    assert "等待机构答复" in applicant.text
    number = applicant.path.split("/")[2]
    applicant.refresh()
    assert _commissions(clerk, code) == 1

    applicant.back()
    if applicant.offers("发出委托"):
        applicant.press("发出委托")
    applicant.open(f"/commissions/{number}")
    assert _commissions(clerk, code) == 1, "going back and sending again makes no second one"
    assert applicant.text.count("发出委托") <= 2

    applicant.press("撤回委托")
    applicant.press("撤回委托")
    assert "已撤回" in applicant.text
    applicant.press("核对并发出委托")
    applicant.press("发出委托")
    assert "等待机构答复" in applicant.text
    assert _commissions(clerk, code) == 1


def _prints_without_navigation(person: Person) -> None:
    person.page.emulate_media(media="print")
    for part in ("nav.menu", ".utilities", ".breadcrumbs", ".sandbox .no-print"):
        for place in person.page.locator(part).all():
            assert not place.is_visible(), f"{part} is printed"
    assert person.page.locator("table.compare").is_visible()
    assert person.page.get_by_text("打印时间").is_visible()
    person.page.emulate_media(media="screen")


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_after_ten_minutes_nothing_is_taken_back(mode: Mode, person: Callable[..., Person], clerk: Clerk) -> None:
    """Goal 12: drafts and offers for ten minutes, then only cancelling with the agency's knowledge."""
    code = clerk.project()
    number = clerk.offered(code, SUNLIGHT)
    applicant = person(mode, "applicant")
    applicant.open(f"/commissions/{number}")
    assert applicant.offers("撤回委托")
    applicant.press("撤回委托")
    clerk.forward("PT11M")
    applicant.press(applicant.page.locator("main form button").last, status=409)
    applicant.open(f"/commissions/{number}")
    assert not applicant.offers("撤回委托")
    assert "等待机构答复" in applicant.text or "接受委托" in applicant.text


@pytest.mark.parametrize("mode", [NORMAL, PLAIN], ids=str)
def test_commissioning_from_a_list_takes_four_clicks_and_five_fields(
    mode: Mode, person: Callable[..., Person], clerk: Clerk
) -> None:
    code = clerk.project()
    applicant = person(mode, "applicant")
    applicant.open(f"/services?item={SUNLIGHT.item}&project={code}")
    with applicant.counting() as effort:
        applicant.press(applicant.page.locator("main tbody th a").first)
        applicant.press("委托此服务")
        assert applicant.page.locator("[name=project_code]").input_value() == code, "the project is carried along"
        applicant.attach("files", [("资料.pdf", paper("basis"))])
        applicant.press("下一步：核对")
        applicant.press("发出委托")
    assert "等待机构答复" in applicant.text
    assert effort.clicks <= 4
    assert effort.fields <= 5
