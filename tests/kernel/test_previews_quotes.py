"""Opinions find their place again in the next version by the words they quote (life-cycles §3)."""

from __future__ import annotations

import random
import time

import pytest

from kernel.previews import Found, PreviewPage, Quotes, find_quote

TOP = (100, 100, 200, 20)


def page(number: int, *lines: str, y: int = 100) -> PreviewPage:
    """Lines 30 thousandths apart; words of a line one after the other, ten thousandths a sign."""
    words: list[list[object]] = []
    for place, line in enumerate(lines):
        x = 100
        for word in line.split(" "):
            width = sum(20 if ord(sign) > 0x2E7F else 10 for sign in word)
            words.append([word, x, y + 30 * place, width, 20])
            x += width + 10
    return PreviewPage(page=number, text="\n".join(lines), words=words, width=1100, height=1556, picture=f"{number}")


def test_words_that_moved_on_their_page_are_found_there() -> None:
    found = find_quote("容积率为2.5", [page(1, "概述", "本项目容积率为2.5。")], (1, TOP))
    assert found == Found(1, (160, 130, 110, 20), 1)


def test_words_that_moved_to_another_page_are_found_there() -> None:
    pages = [page(1, "封面"), page(2, "目录"), page(3, "正文", "建筑高度为 24 米")]
    assert find_quote("建筑高度为24米", pages, (1, TOP)) == Found(3, (100, 130, 160, 20), 1)


def test_words_that_were_removed_are_not_found() -> None:
    assert find_quote("容积率为2.5", [page(1, "本项目容积率为2.8。")], (1, TOP)) is None


@pytest.mark.parametrize(("near", "where"), [((2, TOP), 2), ((5, TOP), 5), ((4, TOP), 5), ((1, TOP), 2)])
def test_of_several_places_the_nearest_is_taken(near: tuple[int, tuple[int, int, int, int]], where: int) -> None:
    pages = [page(number, "应复核" if number in (2, 5) else "无") for number in range(1, 7)]
    found = find_quote("应复核", pages, near)
    assert found is not None
    assert (found.page, found.places) == (where, 2)


def test_on_one_page_the_nearest_line_is_taken() -> None:
    pages = [page(1, "应复核", "其他", "其他", "应复核")]
    found = find_quote("应复核", pages, (1, (100, 185, 60, 20)))
    assert found is not None
    assert found.box[1] == 190


@pytest.mark.parametrize(
    ("quoted", "line"),
    [
        ("（一）防火间距", "(一)防火间距"),
        ("ＡＢＣ１２３", "ABC123"),
        ("防火\n间距 不应　小于", "防火间距不应小于"),
        ("fire  safety\nplan", "fire safety plan"),
        ("面积１２㎡", "面积12m2"),
        ("防\u200b火", "防火"),
        ("cafe\u0301", "café"),
    ],
    ids=["brackets", "wide", "broken lines", "spaces", "square metres", "invisible", "accents"],
)
def test_width_white_space_and_line_breaks_make_no_difference(quoted: str, line: str) -> None:
    assert find_quote(quoted, [page(1, line)], (1, TOP)) is not None
    assert find_quote(line, [page(1, quoted)], (1, TOP)) is not None


def test_words_broken_over_two_lines_get_a_box_around_both() -> None:
    found = find_quote("耐火等级不应低于二级", [page(1, "设计说明耐火等级", "不应低于二级。")], (1, TOP))
    assert found is not None
    assert found.box == (100, 100, 160, 50)


def test_words_that_run_on_to_the_next_page_are_found_on_the_first() -> None:
    found = find_quote("耐火等级不应低于二级", [page(1, "耐火等级"), page(2, "不应低于二级")], (1, TOP))
    assert found == Found(1, (100, 100, 80, 20), 1)


def test_case_counts() -> None:
    assert find_quote("KN", [page(1, "5 kN")], (1, TOP)) is None


@pytest.mark.parametrize("nothing", ["", " ", "\n", "。", "\u200b"])
def test_what_says_nothing_is_not_looked_for(nothing: str) -> None:
    assert find_quote(nothing, [page(1, "防火。", "间距。")], (1, TOP)) is None


def test_no_pages_and_pages_without_text_are_no_fault() -> None:
    assert find_quote("防火", [], (1, TOP)) is None
    assert find_quote("防火", [page(1, "")], (1, TOP)) is None


def test_text_written_downwards_is_divided_downwards() -> None:
    upright = PreviewPage(page=1, text="结构设计说明", words=[["结构设计说明", 50, 100, 20, 600]])
    found = find_quote("说明", [upright], (1, TOP))
    assert found is not None
    assert found.box == (50, 500, 20, 200)


def test_boxes_stay_within_their_words_whatever_the_words() -> None:
    """Signs that become several, or none, when widths are made equal."""
    signs = "防火①㎡ﬁ\u200b\u3000½ｶﾞé𠮷"
    chance = random.Random(4)
    for _ in range(300):
        word = "".join(chance.choice(signs) for _ in range(chance.randint(2, 12)))
        row = PreviewPage(page=1, text=word, words=[[word, 100, 50, 300, 20]])
        start = chance.randint(0, len(word) - 2)
        found = find_quote(word[start : start + 4], [row], (1, TOP))
        if found is not None:
            x, y, width, height = found.box
            assert 100 <= x < x + width <= 401
            assert (y, height) == (50, 20)


def test_many_quotes_in_a_long_document_take_no_time() -> None:
    chance = random.Random(3)
    signs = "防火间距容积率建筑高度结构安全等级抗震设防烈度基础埋深"
    pages = [page(number, *("".join(chance.choices(signs, k=40)) for _ in range(30))) for number in range(1, 301)]
    quotes = Quotes(pages)
    began = time.monotonic()
    for number in range(1, 301):
        words = pages[number - 1].words[7][0]
        found = quotes.find(words, (max(1, number - 3), TOP))
        assert found is not None
        assert found.page == number
    assert time.monotonic() - began < 5
