"""What changed between two versions of a document: pages added, removed, changed, and the lines that differ.

Pages that read the same are found first; what lies between them is aligned by likeness, so that an inserted page does
not make all that follow it new. The work is bounded: a few seconds for the longest document that has a preview.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from kernel.previews.quotes import plain
from kernel.previews.records import PreviewPage
from kernel.words import Worded

#: Pages that share less of their text than this are different pages.
ALIKE: Final = 0.3
#: How far from its relative place a page is looked for, in pages.
BAND: Final = 60
#: Lines of one page that are compared, and changes that are told of one page.
_LINES, _CHANGES = 400, 200
#: Text is compared by runs of so many signs; of more than FEW runs every so-manieth counts, chosen by its content.
_RUN, _FEW, _SAMPLE = 5, 400, 4


class PageChange(Worded):
    ADDED = "added", "新增页", "Page added"
    REMOVED = "removed", "删除页", "Page removed"
    CHANGED = "changed", "内容有改动", "Content changed"
    SHIFTED = "shifted", "仅排版移动", "Only moved on the page"
    PICTURE = "picture", "文字未变，图面有改动", "Same text, drawn differently"


@dataclass(frozen=True, slots=True)
class LineChange:
    """A line as it was and as it is; '' where there was none, or is none."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class PageDifference:
    """One page that differs: its number (from 1) in the old and the new version, None where it isn't."""

    change: PageChange
    old_page: int | None
    new_page: int | None
    lines: tuple[LineChange, ...] = ()


@dataclass(frozen=True, slots=True)
class _Page:
    """What is compared of a page."""

    number: int
    key: Hashable
    picture: str
    lines: tuple[str, ...]
    plain_lines: tuple[str, ...]
    runs: frozenset[int]


def differences(old_pages: Sequence[PreviewPage], new_pages: Sequence[PreviewPage]) -> list[PageDifference]:
    """The pages that differ, in the order in which one reads the new version."""
    old, new = [_page(row) for row in old_pages], [_page(row) for row in new_pages]
    found: list[PageDifference] = []
    for before, after in _aligned(old, new):
        if before is None:
            assert after is not None  # noqa: S101  one of the two is there
            found.append(PageDifference(PageChange.ADDED, None, new[after].number))
        elif after is None:
            found.append(PageDifference(PageChange.REMOVED, old[before].number, None))
        else:
            found += _compared(old, new, before, after)
    return found


def _page(row: PreviewPage) -> _Page:
    lines = tuple(line for line in row.text.splitlines() if line.strip())
    plain_lines = tuple(plain(line) for line in lines)
    whole = "".join(plain_lines)
    every = [zlib.crc32(whole[at : at + _RUN].encode()) for at in range(max(0, len(whole) - _RUN + 1))]
    runs = frozenset(every if len(every) <= _FEW else (each for each in every if each % _SAMPLE == 0))
    # A page without text is known by its picture alone.
    return _Page(row.page, whole or ("picture", row.picture), row.picture, lines, plain_lines, runs)


def _aligned(old: Sequence[_Page], new: Sequence[_Page]) -> list[tuple[int | None, int | None]]:
    """Pairs of places (old, new); None stands for a page that has no counterpart."""
    pairs: list[tuple[int | None, int | None]] = []
    i = j = 0
    for stop_i, stop_j in [*_anchors(old, new), (len(old), len(new))]:
        # Equal pages directly before and after an anchor need no search.
        while i < stop_i and j < stop_j and old[i].key == new[j].key:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        end_i, end_j = stop_i, stop_j
        while end_i > i and end_j > j and old[end_i - 1].key == new[end_j - 1].key:
            end_i, end_j = end_i - 1, end_j - 1
        pairs += _by_likeness(old, new, range(i, end_i), range(j, end_j))
        pairs += zip(range(end_i, stop_i), range(end_j, stop_j), strict=True)
        if stop_i < len(old) and stop_j < len(new):
            pairs.append((stop_i, stop_j))
        i, j = stop_i + 1, stop_j + 1
    return pairs


def _anchors(old: Sequence[_Page], new: Sequence[_Page]) -> list[tuple[int, int]]:
    """Pages that stand exactly once in both versions, as many as keep their order."""
    once_old = _once(old)
    once_new = _once(new)
    common = [(place, once_new[key]) for key, place in once_old.items() if key in once_new]
    return _rising(sorted(common))


def _once(pages: Sequence[_Page]) -> dict[Hashable, int]:
    counted = Counter(page.key for page in pages)
    return {page.key: place for place, page in enumerate(pages) if counted[page.key] == 1}


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part whose second members rise, by patience sorting."""
    piles: list[int] = []
    before: list[int] = []
    for index, (_, place) in enumerate(pairs):
        low, high = 0, len(piles)
        while low < high:
            middle = (low + high) // 2
            if pairs[piles[middle]][1] < place:
                low = middle + 1
            else:
                high = middle
        before.append(piles[low - 1] if low else -1)
        piles[low : low + 1] = [index]
    found: list[tuple[int, int]] = []
    at = piles[-1] if piles else -1
    while at >= 0:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _by_likeness(
    old: Sequence[_Page], new: Sequence[_Page], rows: range, columns: range
) -> list[tuple[int | None, int | None]]:
    """Align two stretches of pages so that the sum of likenesses is greatest, near the diagonal."""
    if not rows or not columns:
        return [(i, None) for i in rows] + [(None, j) for j in columns]
    width = BAND + abs(len(rows) - len(columns))
    best: dict[tuple[int, int], float] = {}
    alike: dict[tuple[int, int], float] = {}

    def near(a: int) -> range:
        middle = a * len(columns) // len(rows)
        return range(max(0, middle - width), min(len(columns), middle + width + 1))

    # Backwards, so that the way is then walked forwards.
    for a in range(len(rows) - 1, -1, -1):
        for b in reversed(near(a)):
            value = max(best.get((a + 1, b), 0.0), best.get((a, b + 1), 0.0))
            likeness = _likeness(old[rows[a]], new[columns[b]])
            if likeness >= ALIKE:
                alike[a, b] = likeness
                value = max(value, likeness + best.get((a + 1, b + 1), 0.0))
            best[a, b] = value
    pairs: list[tuple[int | None, int | None]] = []
    a = b = 0
    while a < len(rows) and b < len(columns):
        value = best.get((a, b), 0.0)
        if (a, b) in alike and value == alike[a, b] + best.get((a + 1, b + 1), 0.0):
            pairs.append((rows[a], columns[b]))
            a, b = a + 1, b + 1
        elif value == best.get((a + 1, b), 0.0):
            pairs.append((rows[a], None))
            a += 1
        else:
            pairs.append((None, columns[b]))
            b += 1
    return pairs + [(i, None) for i in rows[a:]] + [(None, j) for j in columns[b:]]


def _likeness(one: _Page, other: _Page) -> float:
    """0 to 1: the share of text that two pages have in common; pages without text could be each other."""
    if one.key == other.key:
        return 1.0
    if not one.runs or not other.runs:
        return ALIKE if bool(one.lines) == bool(other.lines) else 0.0
    return 2 * len(one.runs & other.runs) / (len(one.runs) + len(other.runs))


def _compared(old: Sequence[_Page], new: Sequence[_Page], i: int, j: int) -> list[PageDifference]:
    one, other = old[i], new[j]
    if one.key == other.key:
        if one.picture == other.picture:
            return []
        return [PageDifference(PageChange.PICTURE, one.number, other.number)]
    # Lines that only went over to the next page, or came from the one before, did not change.
    went, came = _lines_near(new, j), _lines_near(old, i)
    changes: list[LineChange] = []
    matcher = SequenceMatcher(None, one.plain_lines[:_LINES], other.plain_lines[:_LINES], autojunk=False)
    for tag, low, high, new_low, new_high in matcher.get_opcodes():
        if tag == "equal":
            continue
        gone = [one.lines[at] for at in range(low, high) if one.plain_lines[at] not in went]
        come = [other.lines[at] for at in range(new_low, new_high) if other.plain_lines[at] not in came]
        for place in range(max(len(gone), len(come))):
            changes.append(
                LineChange(gone[place] if place < len(gone) else "", come[place] if place < len(come) else "")
            )
    if not changes:
        is_text = bool(one.lines or other.lines)
        return [PageDifference(PageChange.SHIFTED if is_text else PageChange.PICTURE, one.number, other.number)]
    return [PageDifference(PageChange.CHANGED, one.number, other.number, tuple(changes[:_CHANGES]))]


def _lines_near(pages: Sequence[_Page], place: int) -> frozenset[str]:
    near = pages[max(0, place - 1) : place + 2]
    return frozenset(line for page in near for line in page.plain_lines)
