"""Journeys 4 and 6: the agency accepts, starts over a holiday, delivers wrongly, then well; the applicant accepts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.clerk import SOIL, SUNLIGHT, Clerk, paper
from tests.journeys.person import MODES, MODES_AND_KEYBOARD, NORMAL, PLAIN, Mode, Person

pytestmark = pytest.mark.journey


@pytest.mark.parametrize("mode", MODES_AND_KEYBOARD, ids=str)
def test_days_left_span_a_public_holiday(mode: Mode, person: Callable[..., Person], clerk: Clerk) -> None:
    """Journey 4 (A8, 001 §9.3): accept in two clicks, start in two; the list of days names the holiday."""
    holiday = clerk.next_holiday()
    clerk.go_to(holiday.start)
    number = clerk.offered(clerk.project(), SOIL)
    agency = person(mode, SOIL.login)
    agency.press("首页")
    agency.press(agency.page.locator(f"main a[href='/commissions/{number}']"))
    with agency.counting() as effort:
        agency.press("接受委托")
        agency.press("接受委托")
    assert effort.clicks == 2
    assert "已接受委托" in agency.text
    with agency.counting() as effort:
        agency.press("开始受理服务")
        assert "到期" in agency.text, "the confirm page says what starting means"
        agency.press("开始受理服务")
    assert effort.clicks == 2
    assert agency.page.locator(".clock .left").first.inner_text() == "剩余 15 个工作日"

    clerk.go_to(holiday.then)
    agency.refresh()
    clock = agency.page.locator(".clock").first
    assert clock.locator(".left").inner_text() == "剩余 12 个工作日"
    days = clock.locator("ol.days li")
    off = [" ".join(text.split()) for text in days.all_text_contents() if holiday.name in text]
    assert off
    assert all("不计入" in text for text in off)
    assert days.filter(has_text="不计入").count() >= 3
    if mode.keyboard:
        agency.reach(clock.locator("summary"))
        agency.page.keyboard.press("Enter")
    else:
        clock.locator("summary").click()
    assert days.filter(has_text=holiday.name).first.is_visible()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_deliver_wrongly_deliver_returned_deliver_again_accepted(
    mode: Mode, person: Callable[..., Person], clerk: Clerk
) -> None:
    """Journey 6 (A11, A12, 001 §9.3–9.4)."""
    code = clerk.project()
    number = clerk.started(code, SUNLIGHT)
    agency = person(mode, SUNLIGHT.login)
    agency.open(f"/commissions/{number}")
    agency.press("提交成果报告")
    agency.attach("files", [("日照分析.exe", b"MZ\x90\x00" + bytes(200))])
    agency.write("summary", "各户冬至日满窗日照均不少于两小时。")
    agency.tick(agency.page.locator("[name=promise]"))
    agency.press("提交成果报告", status=422)
    assert agency.page.title().startswith("错误：")
    assert agency.page.locator(".error-summary a[href='#files']").count() == 1
    assert agency.page.locator("#files-error").is_visible()
    assert agency.page.locator("[name=summary]").input_value().strip() == "各户冬至日满窗日照均不少于两小时。"
    assert agency.page.locator("[name=promise]").is_checked()
    agency.attach("files", [("日照分析报告.pdf", paper("first"))])
    agency.press("提交成果报告")
    assert "等待委托人认可" in agency.text

    applicant = person(mode, "applicant")
    applicant.open(f"/commissions/{number}")
    applicant.press("退回修改")
    applicant.write("points", "1. 补充客体建筑计算结果\n2. 核对项目代码")
    applicant.press("退回修改")
    assert "补充客体建筑计算结果" in applicant.text

    agency.open(f"/commissions/{number}")
    points = agency.page.locator("main ol li", has_text="补充客体建筑计算结果")
    assert points.count() >= 1
    agency.press("提交成果报告")
    agency.attach("files", [("日照分析报告（修改）.pdf", paper("second"))])
    agency.tick(agency.page.locator("[name=promise]"))
    agency.press("提交成果报告")

    applicant.refresh()
    with applicant.counting() as effort:
        applicant.press("认可成果")
        applicant.press("认可成果")
    assert effort.clicks == 2
    assert "服务已办结" in applicant.text
    applicant.open(f"/projects/{code}")
    dossier = applicant.page.locator("section", has=applicant.page.locator("#dossier-title"))
    assert "日照分析报告" in dossier.inner_text()
    assert "可以引用" in dossier.inner_text()
    assert "第 2 版" in dossier.inner_text()


@pytest.mark.parametrize("mode", [NORMAL, PLAIN], ids=str)
def test_a_deliverable_is_one_file_and_one_tick(mode: Mode, person: Callable[..., Person], clerk: Clerk) -> None:
    number = clerk.started(clerk.project(), SUNLIGHT)
    agency = person(mode, SUNLIGHT.login)
    agency.open(f"/commissions/{number}")
    with agency.counting() as effort:
        agency.press("提交成果报告")
        agency.attach("files", [("日照分析报告.pdf", paper("only"))])
        agency.tick(agency.page.locator("[name=promise]"))
        agency.press("提交成果报告")
    assert "等待委托人认可" in agency.text
    assert (effort.clicks, effort.fields) == (2, 2)
