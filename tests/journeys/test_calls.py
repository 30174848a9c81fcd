"""Journey 8: a buyer publishes by copy; after publication only a correction notice changes anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys import buying
from tests.journeys.clerk import Clerk
from tests.journeys.person import MODES_AND_KEYBOARD, Mode, Person

pytestmark = [pytest.mark.nightly, pytest.mark.journey]
BIDDER = "agency"
OLD_TELEPHONE = buying.WORDS["telephone"]
NEW_TELEPHONE = "0451-88889999"
NEW_REQUIREMENT = buying.WORDS["requirement"] + "另附专题图册一份。"


@pytest.fixture(scope="module")
def before(base: str) -> buying.Call:
    """What the buyer bought before, and now copies."""
    return buying.published(Clerk(base), "bidding", title="前次采购的中介服务")


@pytest.mark.parametrize("mode", MODES_AND_KEYBOARD, ids=str)
def test_published_by_copy_and_then_changed_by_a_correction_notice_alone(
    mode: Mode, person: Callable[..., Person], clerk: Clerk, before: buying.Call
) -> None:
    code = clerk.project()
    buyer = person(mode, buying.BUYER)
    buyer.open(f"/calls/{before.number}")
    with buyer.counting() as effort:
        buyer.press("复制为新的采购需求")
        buyer.press("复制为新的采购需求", status=422)
        assert buyer.page.locator(".error-summary a[href='#project_code']").count() == 1
        buyer.write("project_code", code)
        buyer.press("复制为新的采购需求")
        number = buyer.path.removeprefix("/needs/")
        assert buyer.offers("核对并发布"), "nothing is left to fill in"
        left_open = clerk.as_(buying.BUYER).get(f"/needs/{number}/amounts")
        buyer.press("核对并发布")
        assert "此后只能发布更正公告" in buyer.text
        assert code in buyer.text
        buyer.press("发布采购公告")
    assert buyer.path.startswith(f"/calls/{number}")
    assert effort.clicks <= 5
    assert effort.fields == 1, "price and closing are proposed"
    assert buying.WORDS["requirement"] in buyer.text

    # From here on the need is closed to every hand, also to the form that stood open in another window.
    buyer.open(f"/needs/{number}")
    assert buyer.path == f"/calls/{number}"
    for part in ("need", "amounts", "times", "documents", "check", "route", "discard"):
        assert clerk.as_(buying.BUYER).get(f"/needs/{number}/{part}").status == 404
    form = left_open.form("act", "version", "ceiling")
    clerk.as_(buying.BUYER).submit(left_open, form, {"ceiling": "10000.00"}, expect=404)
    call = buying.Call(number, before.closing, before.begins)
    buying.bid(clerk, BIDDER, call, "70000.00")

    # A correction says why, is checked, and shows what stood before.
    buyer.press("发布更正公告")
    buyer.write("reason", "没有更改任何内容。")
    buyer.press("下一步：核对更正内容", status=422)
    buyer.write("telephone", NEW_TELEPHONE)
    buyer.write("reason", "")
    buyer.press("下一步：核对更正内容", status=422)
    assert buyer.page.locator(".error-summary a[href='#reason']").count() == 1
    assert buyer.page.locator("[name=telephone]").input_value() == NEW_TELEPHONE
    buyer.write("reason", "联系电话变更。")
    buyer.press("下一步：核对更正内容")
    assert f"由“{OLD_TELEPHONE}”改为“{NEW_TELEPHONE}”" in buyer.text
    assert "本次更正不影响报价" in buyer.text
    buyer.press("发布更正公告")
    assert "更正公告（第 2 版）" in buyer.text
    assert _state_of_bid(clerk, number) == "有效"

    buyer.press("发布更正公告")
    buyer.write("requirement", NEW_REQUIREMENT)
    buyer.write("reason", "补充成果形式。")
    buyer.press("下一步：核对更正内容")
    assert "已提交的报价均变为待确认" in buyer.text
    assert "更正公告（第 3 版）" not in clerk.as_(buying.BUYER).get(f"/calls/{number}").text, (
        "checking publishes nothing"
    )
    buyer.press("发布更正公告")
    assert _state_of_bid(clerk, number) == "公告已更正，待确认"

    # Everybody reads the correction, and the first notice as it was.
    reader = person(mode)
    reader.open(f"/calls/{number}")
    assert "更正公告（第 3 版）" in reader.text
    assert "补充成果形式。" in reader.text
    assert not reader.offers("发布更正公告")
    assert reader.page.locator("#editions + ol del", has_text=OLD_TELEPHONE).count() == 1
    assert reader.page.locator("#editions + ol ins", has_text=NEW_REQUIREMENT).count() == 1
    notices = reader.page.locator("#notices + ul li")
    assert notices.filter(has_text="更正公告").count() == 2
    reader.press(reader.page.locator("#notices + ul a").filter(has_text="采购公告"))
    assert OLD_TELEPHONE in reader.text
    assert NEW_TELEPHONE not in reader.text
    assert NEW_REQUIREMENT not in reader.text


def _state_of_bid(clerk: Clerk, number: str) -> str:
    page = clerk.as_(BIDDER).get(f"/calls/{number}/bid")
    return next(state for state in ("公告已更正，待确认", "有效") if state in page.text.split('id="mine-title"')[1])
