"""What changed between two versions is shown: pages, lines, and places in the picture (issue, "Rounds")."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from kernel.previews import LineChange, PageChange, PageDifference, PreviewPage, differences, picture_difference

SIGNS = "防火间距容积率建筑高度结构安全等级抗震设防烈度基础埋深给水排水通风空调电气照明"


def text(seed: int, lines: int = 20) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(SIGNS, k=30)) for _ in range(lines)]


def page(number: int, lines: list[str], picture: str = "") -> PreviewPage:
    return PreviewPage(
        page=number, text="\n".join(lines), words=[], width=1100, height=1556, picture=picture or "".join(lines)
    )


def version(*texts: list[str]) -> list[PreviewPage]:
    return [page(number, lines) for number, lines in enumerate(texts, 1)]


def told(found: list[PageDifference]) -> list[tuple[str, int | None, int | None]]:
    return [(each.change.value, each.old_page, each.new_page) for each in found]


def test_the_same_document_has_no_differences() -> None:
    pages = version(*(text(seed) for seed in range(30)))
    assert differences(pages, pages) == []


def test_a_changed_line_is_told_with_both_its_wordings() -> None:
    old, new = text(1), text(1)
    new[4] = "容积率为2.8"
    assert differences(version(text(0), old), version(text(0), new)) == [
        PageDifference(PageChange.CHANGED, 2, 2, (LineChange(old[4], "容积率为2.8"),))
    ]


def test_added_and_removed_lines_stand_alone() -> None:
    old = text(1)
    assert differences(version(old), version(["新增一行", *old])) == [
        PageDifference(PageChange.CHANGED, 1, 1, (LineChange("", "新增一行"),))
    ]
    assert differences(version(["删去一行", *old]), version(old)) == [
        PageDifference(PageChange.CHANGED, 1, 1, (LineChange("删去一行", ""),))
    ]


def test_an_inserted_page_does_not_make_the_following_ones_new() -> None:
    old = [text(seed) for seed in range(10)]
    found = differences(version(*old), version(*old[:4], text(99), *old[4:]))
    assert told(found) == [("added", None, 5)]


def test_pages_that_moved_far_are_still_recognised() -> None:
    old = [text(seed) for seed in range(200)]
    new = [*old[100:], *(text(seed) for seed in range(1000, 1100))]
    found = differences(version(*old), version(*new))
    assert [each.old_page for each in found if each.change == PageChange.REMOVED] == list(range(1, 101))
    assert [each.new_page for each in found if each.change == PageChange.ADDED] == list(range(101, 201))


def test_a_removed_page_is_told_where_it_stood() -> None:
    old = [text(seed) for seed in range(10)]
    assert told(differences(version(*old), version(*old[:4], *old[5:]))) == [("removed", 5, None)]


def test_a_replaced_page_is_one_that_went_and_one_that_came() -> None:
    old = [text(seed) for seed in range(3)]
    assert sorted(told(differences(version(*old), version(old[0], text(50), old[2])))) == [
        ("added", None, 2),
        ("removed", 2, None),
    ]


def test_changes_and_insertions_together_are_kept_apart() -> None:
    old = [text(seed) for seed in range(8)]
    changed = [*old[6][:3], "改动", *old[6][4:]]
    found = differences(version(*old), version(old[0], text(70), *old[1:6], changed, old[7]))
    assert told(found) == [("added", None, 2), ("changed", 7, 8)]


def test_lines_that_only_moved_over_the_page_break_are_no_change() -> None:
    lines = text(1, 60)
    old = version(lines[:20], lines[20:40], lines[40:])
    new = version(["新的一段", *lines[:19]], lines[19:39], lines[39:])
    found = differences(old, new)
    assert told(found) == [("changed", 1, 1), ("shifted", 2, 2), ("shifted", 3, 3)]
    assert found[0].lines == (LineChange("", "新的一段"),)


def test_white_space_and_width_are_no_change() -> None:
    assert differences(version(["（一） 防火", "A B"]), version(["(一)防火", "AB"])) == [
        PageDifference(PageChange.PICTURE, 1, 1)
    ]


def test_a_drawing_whose_text_stayed_is_known_by_its_picture() -> None:
    lines = text(1)
    assert differences([page(1, lines, "a")], [page(1, lines, "b")]) == [PageDifference(PageChange.PICTURE, 1, 1)]


def test_scanned_pages_are_compared_in_their_order() -> None:
    old = [page(number, [], f"scan {number}") for number in range(1, 5)]
    new = [page(number, [], f"scan {number}" if number != 3 else "another") for number in range(1, 5)]
    assert differences(old, new) == [PageDifference(PageChange.PICTURE, 3, 3)]


def test_nothing_and_everything() -> None:
    assert differences([], []) == []
    assert told(differences([], version(text(1)))) == [("added", None, 1)]
    assert told(differences(version(text(1)), [])) == [("removed", 1, None)]


def test_every_page_is_accounted_for_whatever_happened_to_it() -> None:
    chance = random.Random(8)
    for _ in range(60):
        old = [text(chance.randint(0, 12), 5) for _ in range(chance.randint(0, 9))]
        new = [text(chance.randint(0, 12), 5) for _ in range(chance.randint(0, 9))]
        found = differences(version(*old), version(*new))
        gone = [each.old_page for each in found if each.new_page is None]
        come = [each.new_page for each in found if each.old_page is None]
        assert len(old) - len(gone) == len(new) - len(come)
        assert len(set(gone)) == len(gone)
        assert len(set(come)) == len(come)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["all new", "half changed", "all changed a little"])
def test_three_hundred_pages_take_seconds(share: float) -> None:
    old = [text(seed, 30) for seed in range(300)]
    new = [
        [*lines[:10], "改动", *lines[11:]] if seed < 300 * share else text(seed + 1000, 30)
        for seed, lines in enumerate(old)
    ]
    began = time.monotonic()
    found = differences(version(*old), version(*new))
    assert time.monotonic() - began < 10
    assert len([each for each in found if each.change == PageChange.CHANGED]) == 300 * share


def test_hundreds_of_equal_pages_take_no_time() -> None:
    blank = [page(number, [], "white") for number in range(1, 501)]
    began = time.monotonic()
    assert told(differences(blank, blank[:499])) == [("removed", 500, None)]
    assert time.monotonic() - began < 5


# --- pictures ---


def drawn(folder: Path, name: str, *boxes: tuple[int, int, int, int], size: tuple[int, int] = (1100, 1556)) -> Path:
    """A page with lines of text, as it were, and filled boxes (thousandths)."""
    image = Image.new("RGB", size, "white")
    brush = ImageDraw.Draw(image)
    for y in range(40, size[1], 40):
        brush.line((80, y, size[0] - 80, y), fill="black", width=2)
    for x, y, width, height in boxes:
        corners = (
            x * size[0] // 1000,
            y * size[1] // 1000,
            (x + width) * size[0] // 1000,
            (y + height) * size[1] // 1000,
        )
        brush.rectangle(corners, fill="red")
    path = folder / f"{name}.webp"
    image.save(path, "WEBP", lossless=True)
    return path


def test_equal_pictures_do_not_differ(tmp_path: Path) -> None:
    assert picture_difference(drawn(tmp_path, "a"), drawn(tmp_path, "b")) == []


def test_what_differs_is_boxed(tmp_path: Path) -> None:
    old = drawn(tmp_path, "a", (100, 100, 50, 30))
    new = drawn(tmp_path, "b", (100, 100, 50, 30), (600, 700, 100, 50))
    ((x, y, width, height),) = picture_difference(old, new)
    assert x <= 600 < 700 <= x + width
    assert y <= 700 < 750 <= y + height
    assert width * height < 3 * 100 * 50


def test_what_moved_is_boxed_where_it_was_and_where_it_is(tmp_path: Path) -> None:
    found = picture_difference(drawn(tmp_path, "a", (100, 100, 50, 30)), drawn(tmp_path, "b", (800, 900, 50, 30)))
    assert len(found) == 2
    assert found[0][1] < found[1][1]


def test_another_colour_of_the_same_brightness_is_seen(tmp_path: Path) -> None:
    one, other = tmp_path / "a.webp", tmp_path / "b.webp"
    Image.new("RGB", (500, 500), (150, 0, 0)).save(one, "WEBP", lossless=True)
    Image.new("RGB", (500, 500), (0, 76, 0)).save(other, "WEBP", lossless=True)
    assert picture_difference(one, other) == [(0, 0, 1000, 1000)]


def test_a_hair_line_is_seen_and_a_speck_is_not(tmp_path: Path) -> None:
    plain, lined, specked = drawn(tmp_path, "a"), tmp_path / "b.webp", tmp_path / "c.webp"
    with Image.open(plain) as image:
        line, speck = image.convert("RGB"), image.convert("RGB")
    ImageDraw.Draw(line).line((500, 300, 500, 900), fill="black")
    ImageDraw.Draw(speck).point((503, 463), fill="black")
    line.save(lined, "WEBP", lossless=True)
    speck.save(specked, "WEBP", lossless=True)
    assert len(picture_difference(plain, lined)) == 1
    assert picture_difference(plain, specked) == []


def test_another_shape_and_a_lost_picture_differ_as_a_whole(tmp_path: Path) -> None:
    upright, lying = drawn(tmp_path, "a"), drawn(tmp_path, "b", size=(1556, 1100))
    assert picture_difference(upright, lying) == [(0, 0, 1000, 1000)]
    assert picture_difference(upright, tmp_path / "none.webp") == [(0, 0, 1000, 1000)]


def test_so_many_differences_that_nobody_reads_them_are_one(tmp_path: Path) -> None:
    boxes = [(x, y, 20, 10) for x in range(0, 1000, 120) for y in range(5, 1000, 90)]
    assert len(picture_difference(drawn(tmp_path, "a"), drawn(tmp_path, "b", *boxes))) == 1
