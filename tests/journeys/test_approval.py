"""Journey 7: the approver relies on the version that stands; the other one is grey; a later withdrawal is told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.journeys.clerk import SUNLIGHT, Clerk
from tests.journeys.person import MODES, Mode, Person

pytestmark = pytest.mark.journey
APPROVER = "approver4"


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_approver_relies_on_the_newer_version_and_hears_of_its_withdrawal(
    mode: Mode, person: Callable[..., Person], clerk: Clerk
) -> None:
    """Journey 7 (A13, 000 §9.4)."""
    code = clerk.project()
    clerk.accepted(code, SUNLIGHT)
    newer = clerk.accepted(code, SUNLIGHT, editions=2)
    matter = clerk.begun(code, APPROVER)

    approver = person(mode, APPROVER)
    approver.press("首页")
    with approver.counting() as effort:
        approver.press(approver.page.locator(f"main a[href='/matters/{matter}']"))
        approver.press("引用成果材料")
        greyed = approver.page.locator(".document.unusable")
        assert greyed.count() == 1
        assert "已有新版本" in greyed.inner_text()
        assert greyed.get_by_role("button").count() == 0, "what can't be relied on can't be picked"
        usable = approver.page.locator(".document:not(.unusable)", has_text="日照分析报告")
        assert usable.count() == 1
        assert "第 2 版" in usable.inner_text()
        fingerprint = re.search(r"[0-9a-f]{64}", usable.text_content() or "")
        assert fingerprint is not None
        approver.press(usable.get_by_role("button", name="引用"))
    assert effort.clicks == 3
    assert effort.fields == 0
    assert "已引用 1 份" in approver.text

    approver.press("下一步：办结")
    approver.tick(approver.page.locator("[name=outcome][value=granted]"))
    approver.write("opinion", "经审查，符合法定条件。")
    approver.press("确认办结")
    assert fingerprint.group() in approver.text, "the decision pins the version by its hash"
    assert approver.page.locator(".warning").count() == 0

    deliverable = _deliverable_of(clerk, newer)
    agency = person(mode, SUNLIGHT.login)
    agency.open(f"/deliverables/{deliverable}")
    agency.press("撤回成果")
    agency.write("reason", "计算参数有误，需重新分析。")
    agency.press(agency.page.locator("main form button").last)

    approver.refresh()
    warning = approver.page.locator(".warning")
    assert warning.count() == 1
    assert "计算参数有误" in warning.inner_text()
    approver.press(approver.page.locator(".utilities a[href='/inbox']"))
    notice = approver.page.locator("main li", has_text="日照分析报告").first
    assert "请注意" in notice.inner_text()
    approver.press(notice.get_by_role("link"))
    assert "计算参数有误" in approver.text


def _deliverable_of(clerk: Clerk, commission: str) -> str:
    page = clerk.as_(SUNLIGHT.login).get(f"/commissions/{commission}")
    return next(a.rsplit("/", 1)[1] for a, _ in page.links if a.startswith("/deliverables/"))
