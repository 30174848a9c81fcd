"""Where quoted words stand in another version of a document (life-cycles §3: opinions find their place again).

Words are compared without white space and line breaks and without the difference of full and half width, so that a
passage is found however its lines were broken anew. Everything here is a pure function of pages.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kernel.previews.records import PreviewPage

#: [x, y, width, height] in thousandths of the page, from its top left corner.
Box = tuple[int, int, int, int]
#: So many places of the same words are weighed.
MOST = 1_000
#: Shorter quotes are found too, but a single sign says nothing.
_SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Found:
    """The page (from 1) and box of the words that are nearest, and in how many places they stand."""

    page: int
    box: Box
    places: int


def plain(words: str) -> str:
    """What is compared: no white space, no invisible signs, one width."""
    return "".join(map(_plain, unicodedata.normalize("NFC", words)))


@lru_cache(maxsize=1 << 16)
def _plain(sign: str) -> str:
    return "".join(
        part
        for part in unicodedata.normalize("NFKC", sign)
        if not part.isspace() and unicodedata.category(part)[0] != "C"
    )


class Quotes:
    """A version's pages, made ready to find many quotes in."""

    def __init__(self, pages: Sequence[PreviewPage]) -> None:
        self._pages = sorted(pages, key=lambda page: page.page)
        self._texts = [plain("".join(word[0] for word in page.words)) for page in self._pages]
        self._whole = "".join(self._texts)
        self._starts = [0]
        for text in self._texts:
            self._starts.append(self._starts[-1] + len(text))
        self._boxes: dict[int, list[Box]] = {}

    def find(self, words: str, near: tuple[int, Box]) -> Found | None:
        """The place of ``words`` nearest to a page and box of the old version; None when they stand nowhere.

        Words that run on to the next page are found; the box is then that of their part on the first page.
        """
        wanted = plain(words)
        if len(wanted) < _SHORTEST:
            return None
        places: list[tuple[int, Box]] = []
        at = self._whole.find(wanted)
        while at >= 0 and len(places) < MOST:
            places.append(self._place(at, len(wanted)))
            at = self._whole.find(wanted, at + 1)
        if not places:
            return None
        page, box = min(places, key=lambda place: _distance(place, near))
        return Found(page, box, len(places))

    def _place(self, at: int, length: int) -> tuple[int, Box]:
        index = bisect_right(self._starts, at) - 1
        first = at - self._starts[index]
        last = min(first + length, len(self._texts[index]))
        return self._pages[index].page, around(self._signs(index)[first:last])

    def _signs(self, index: int) -> list[Box]:
        """For each sign of a page's compared text the box where it stands."""
        if index not in self._boxes:
            self._boxes[index] = [box for word in self._pages[index].words for box in _signs_of(word)]
        return self._boxes[index]


def find_quote(words: str, page_rows: Sequence[PreviewPage], near: tuple[int, Box]) -> Found | None:
    """Where quoted words stand in another version; for several quotes make one :class:`Quotes`."""
    return Quotes(page_rows).find(words, near)


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box around some."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top


def _signs_of(word: Sequence[object]) -> list[Box]:
    """A word's box divided among its signs: a Chinese sign is twice as wide as a Latin one."""
    text = unicodedata.normalize("NFC", str(word[0]))
    x, y, width, height = (int(str(side)) for side in word[1:5])
    shares = [2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text]
    whole, before = sum(shares), 0
    is_upright = height > 2 * width and len(text) > 1
    found: list[Box] = []
    for sign, share in zip(text, shares, strict=True):
        if is_upright:  # written downwards
            box = (x, y + height * before // whole, width, max(1, height * share // whole))
        else:
            box = (x + width * before // whole, y, max(1, width * share // whole), height)
        before += share
        found += [box] * len(_plain(sign))
    return found


def _distance(place: tuple[int, Box], near: tuple[int, Box]) -> tuple[int, int]:
    """How far apart two places are when one reads down the pages, then across."""
    (page, box), (old_page, old) = place, near
    return abs((page - old_page) * 1000 + box[1] - old[1]), abs(box[0] - old[0])
