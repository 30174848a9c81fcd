"""Journeys 1 and 2: a visitor finds a price, shares it, and gets from nothing to something in one click."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.person import MODES, MODES_AND_KEYBOARD, Mode, Person

pytestmark = pytest.mark.journey
SOIL = "水土保持方案编制"


def _rows(person: Person) -> list[str]:
    return [" ".join(text.split()) for text in person.page.locator("main tbody tr").all_inner_texts()]


@pytest.mark.parametrize("mode", MODES_AND_KEYBOARD, ids=str)
def test_a_visitor_finds_a_price_by_filter_and_shares_the_link(mode: Mode, person: Callable[..., Person]) -> None:
    """Journey 1 (A1)."""
    visitor = person(mode)
    visitor.open("/")
    visitor.press("服务超市")
    visitor.press(visitor.page.locator(".facets a[href*='category=']", has_text="水利水保"))
    visitor.press(visitor.page.locator(".facets a[href*='item=']", has_text=SOIL))
    visitor.write("investment", "１２，６００")
    visitor.press("计算费用")
    rows = _rows(visitor)
    assert len(rows) >= 3
    assert all(SOIL in row and "¥" in row and "个工作日" in row for row in rows)
    visitor.press("本项目费用从低到高")
    cheapest = _rows(visitor)
    assert sorted(cheapest) == sorted(rows)

    friend = person(mode)
    friend.open(visitor.page.url)
    assert _rows(friend) == cheapest, "a shared link shows the same services at the same prices in the same order"
    friend.press(friend.page.locator("main tbody tr", has_text="清源").locator("th a"))
    assert "¥" in friend.text, "the page of one service still knows the size"
    assert friend.page.locator("[name=investment]").input_value() == "１２，６００"


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_zero_results_are_one_click_from_results(mode: Mode, person: Callable[..., Person]) -> None:
    """Journey 2: the filter that is in the way is named, with what dropping it brings."""
    visitor = person(mode)
    visitor.open("/services")
    visitor.press(visitor.page.locator(".facets a[href*='category=']", has_text="水利水保"))
    visitor.write("q", "施工图审查")
    visitor.press("搜索")
    assert "没有符合全部条件的服务" in visitor.text
    drops = visitor.page.locator(".empty a", has_text="取消后有")
    assert drops.count() >= 2
    promised = int("".join(filter(str.isdigit, drops.first.inner_text())))
    visitor.press(drops.first)
    assert promised > 0
    assert f"共 {promised} 项" in visitor.text
    assert _rows(visitor)


def test_a_price_is_two_clicks_from_the_first_page(person: Callable[..., Person]) -> None:
    visitor = person()
    visitor.open("/")
    with visitor.counting() as effort:
        visitor.press(visitor.page.locator("main a[href*='category=']").first)
        assert "¥" in visitor.page.locator("main tbody").inner_text()
        visitor.press(visitor.page.locator("main tbody th a").first)
        assert visitor.page.locator("#fee-title").count() == 1
    assert effort.clicks <= 2
    assert effort.fields == 0
