"""The index as bits in memory: answering a query with its facet counts in milliseconds.

Whoosh holds the documents and the postings on disk. Counting facets and sorting through it costs tens of
milliseconds at 10,000 documents, so each reader keeps, per facet value and per term asked for, one whole
number whose bit *n* says "document *n*". Criteria are then ``&`` and ``|``, counts are ``bit_count``.

A segment of the index never changes apart from deletions, so what was read from one is kept until the
segment goes; a :class:`Snapshot` joins the segments of one moment and is itself never changed.
"""

from __future__ import annotations

import heapq
import re
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, islice
from time import perf_counter
from typing import Any, Final, NamedTuple

from whoosh.reading import TermNotFound

from kernel.search import text as words
from kernel.search.protocol import (
    DEPTH_LIMIT,
    SIZE_LIMIT,
    TEXT_LIMIT,
    VALUES_LIMIT,
    DropHint,
    Filters,
    Kind,
    QueryTooLong,
    Ranges,
    Result,
    TooManyValues,
    UnknownCriterion,
)

#: Remembered terms per segment and remembered texts per snapshot; a term costs n/8 bytes.
REMEMBERED: Final = 1024
_BITS: Final = bytes.maketrans(b"01", b"\0\1")
#: Name under which a drop hint speaks of the query text.
TEXT: Final = "text"


def mask_of(documents: Iterable[int], size: int) -> int:
    """The whole number whose set bits are ``documents``, each below ``size``."""
    if not size:
        return 0
    flags = bytearray(b"0") * size
    for document in documents:
        flags[document] = 49
    flags.reverse()
    return int(flags, 2)


def flags_of(mask: int, size: int) -> bytes:
    """One byte per document, 1 where its bit is set."""
    return f"{mask:0{size}b}".encode()[::-1].translate(_BITS) if size else b""


class Row(NamedTuple):
    """What the index stores per document, as read back."""

    key: str
    title: str
    names: str
    initials: str
    letters: str
    syllables: str
    numbers: dict[str, int | None]
    boost: float


class Segment:
    """One immutable part of the index: stored rows in lists, postings on demand."""

    def __init__(self, reader: Any, facets: Sequence[str]) -> None:
        self.reader = reader
        self.rows: list[Row] = []
        self._lock = threading.Lock()
        self._memory: dict[tuple[str, str], int] = {}
        listed: dict[str, dict[str, list[int]]] = {facet: {} for facet in facets}
        for number in range(reader.doc_count_all()):
            stored = reader.stored_fields(number)
            self.rows.append(Row(**stored["row"]))
            for facet, groups in listed.items():
                for value in stored["facets"].get(facet, ()):
                    groups.setdefault(value, []).append(number)
        self.size = len(self.rows)
        self.facets = {
            facet: {value: mask_of(numbers, self.size) for value, numbers in groups.items()}
            for facet, groups in listed.items()
        }

    def _remember(self, what: str, term: str, find: Callable[[str], int]) -> int:
        mask = self._memory.get((what, term))
        if mask is None:
            if len(self._memory) >= REMEMBERED:
                self._memory.clear()
            mask = self._memory[what, term] = find(term)
        return mask

    def posting(self, field: str, term: str) -> int:
        """Documents with exactly this index term."""
        return self._remember(field, term, lambda _: self._read(field, term))

    def _read(self, field: str, term: str) -> int:
        with self._lock:  # a matcher moves a position in a shared file
            try:
                return mask_of(self.reader.postings(field, term).all_ids(), self.size)
            except TermNotFound:
                return 0

    def phrase(self, run: str) -> int:
        """Documents with a name that contains the Chinese characters ``run`` side by side."""
        return self._remember("phrase", run, self._phrase)

    def _phrase(self, run: str) -> int:
        mask = -1
        for gram in words.grams(run):
            mask &= self.posting("names", gram)
            if not mask:
                return 0
        if len(run) < 3:
            return mask
        rows = self.rows
        return mask_of((n for n in self.members(mask) if run in rows[n].names), self.size)

    def described(self, word: str) -> int:
        """Documents whose description has ``word``, or all the words inside it."""
        mask = self.posting("text", word)
        inner = words.inner_words(word) if not mask else []
        if inner:
            mask = -1
            for part in inner:
                mask &= self.posting("text", part)
                if not mask:
                    break
        return mask

    def latin(self, word: str) -> int:
        """Documents with a name that contains ``word``, or whose pinyin or initials do."""
        return self._remember("latin", word, self._latin)

    def _latin(self, word: str) -> int:
        rows = enumerate(self.rows)
        if len(word) == 1:
            return mask_of((n for n, row in rows if f"\n{word}" in row.initials), self.size) | self.posting(
                "names", word
            )
        if not word.isalpha():
            return mask_of((n for n, row in rows if word in row.names), self.size)
        # Full pinyin counts only from the start of a syllable: "an" is not in "huan".
        from_start = re.compile(r"(?:\n| )" + " ?".join(word))
        found = [
            n
            for n, row in rows
            if word in row.initials
            or word in row.names
            or (word in row.letters and from_start.search(row.syllables) is not None)
        ]
        return mask_of(found, self.size)

    def members(self, mask: int) -> Iterable[int]:
        return compress(range(self.size), flags_of(mask, self.size))


class Match(NamedTuple):
    """Documents that match anywhere, and those of them that match in their names."""

    anywhere: int
    named: int


class Snapshot:
    """The index at one moment. ``parts`` are its segments with the documents deleted from each."""

    def __init__(self, kind: Kind, parts: Sequence[tuple[Segment, Iterable[int]]]) -> None:
        self.kind = kind
        self.segments: list[tuple[Segment, int]] = []
        self.rows: list[Row] = []
        self.alive = 0
        self.facets: dict[str, dict[str, int]] = {facet: {} for facet in kind.facets}
        for segment, deleted in parts:
            offset = len(self.rows)
            self.segments.append((segment, offset))
            self.rows.extend(segment.rows)
            self.alive |= (((1 << segment.size) - 1) & ~mask_of(deleted, segment.size)) << offset
            for facet, masks in segment.facets.items():
                joined = self.facets[facet]
                for value, mask in masks.items():
                    joined[value] = joined.get(value, 0) | mask << offset
        self.size = len(self.rows)
        self._orders: dict[str | None, list[int]] = {}
        self._ranges: dict[tuple[str, int | None, int | None], int] = {}
        self._texts: dict[str, list[int]] = {}

    def keys(self) -> set[str]:
        return {self.rows[n].key for n in compress(range(self.size), flags_of(self.alive, self.size))}

    # Text --------------------------------------------------------------------------------------------------

    def _join(self, find: Callable[[Segment], int]) -> int:
        mask = 0
        for segment, offset in self.segments:
            mask |= find(segment) << offset
        return mask

    def _term(self, term: str) -> Match:
        if not words.is_chinese(term):
            named = self._join(lambda s: s.latin(term) | s.posting("names", term))
            return Match(named | self._join(lambda s: s.posting("text", term)), named)
        anywhere = named = 0
        for variant in words.variants(term):
            whole = self._written(variant)
            anywhere |= whole.anywhere
            named |= whole.named
            parts = words.pieces(variant)
            if len(parts) > 1:
                split = self._together([self._any_form(part) for part in parts])
                anywhere |= split.anywhere
                named |= split.named
        if not anywhere & self.alive and len(term) > 2:
            return self._known_parts(term)
        return Match(anywhere, named)

    def _written(self, run: str) -> Match:
        named = self._join(lambda s: s.phrase(run))
        described = self._join(lambda s: s.described(run)) if len(run) > 1 else 0
        return Match(named | described, named)

    def _any_form(self, run: str) -> Match:
        anywhere = named = 0
        for variant in words.variants(run):
            found = self._written(variant)
            anywhere |= found.anywhere
            named |= found.named
        return Match(anywhere, named)

    def _together(self, matches: Iterable[Match]) -> Match:
        anywhere = named = self.alive
        for match in matches:
            anywhere &= match.anywhere
            named &= match.named
        return Match(anywhere, named)

    def _known_parts(self, run: str) -> Match:
        """The longest pieces that the index itself knows, for names the dictionary cuts wrongly.

        Up to a third of the characters may belong to no piece (哈尔滨市蓝天 finds 哈尔滨蓝天).
        """
        found: list[Match] = []
        skipped = start = 0
        while start < len(run):
            end, best = start + 1, None
            while end < len(run):
                longer = self._any_form(run[start : end + 1])
                if not longer.anywhere & self.alive:
                    break
                best, end = longer, end + 1
            if best is None:
                skipped += 1
            else:
                found.append(best)
            start = end
        if not found or skipped * 3 > len(run):
            return Match(0, 0)
        return self._together(found)

    def tiers(self, text: str) -> list[int]:
        """Matches of ``text`` from best to least: equal to a name, inside the title, inside another name,
        every term in names, anywhere. Disjoint."""
        asked = words.normalise(text)
        known = self._texts.get(asked)
        if known is None:
            if len(self._texts) >= REMEMBERED // 4:
                self._texts.clear()
            known = self._texts[asked] = self._tiers(asked)
        return known

    def _tiers(self, asked: str) -> list[int]:
        terms = words.terms(asked)
        if not terms:
            return [0 if asked else self.alive]
        match = self._together([self._term(term) for term in terms])
        phrase = words.compact(asked)
        line = f"\n{phrase}\n"
        equal: list[int] = []
        titled: list[int] = []
        inside: list[int] = []
        for number in compress(range(self.size), flags_of(match.named, self.size)):
            row = self.rows[number]
            if phrase in row.names:
                (equal if line in row.names else titled if phrase in row.title else inside).append(number)
        first = [mask_of(numbers, self.size) for numbers in (equal, titled, inside)]
        best = first[0] | first[1] | first[2]
        return [*first, match.named & ~best, match.anywhere & ~match.named]

    # Filters, ranges, order --------------------------------------------------------------------------------

    def _group(self, facet: str, values: Sequence[str]) -> int:
        masks = self.facets[facet]
        mask = 0
        for value in values:
            mask |= masks.get(value, 0)
        return mask

    def _range(self, name: str, low: int | None, high: int | None) -> int:
        asked = (name, low, high)
        mask = self._ranges.get(asked)
        if mask is None:
            order = self._order(name)
            known = [v for n in order if (v := self.rows[n].numbers.get(name)) is not None]
            start = 0 if low is None else bisect_left(known, low)
            stop = len(known) if high is None else bisect_right(known, high)
            if len(self._ranges) >= REMEMBERED:
                self._ranges.clear()
            mask = self._ranges[asked] = mask_of(order[start:stop], self.size)
        return mask

    def _order(self, sort: str | None) -> list[int]:
        order = self._orders.get(sort)
        if order is None:
            order = self._orders[sort] = self._sorted(sort)
        return order

    def _sorted(self, sort: str | None) -> list[int]:
        rows = self.rows
        if sort is None:
            return sorted(range(self.size), key=lambda n: (-rows[n].boost, rows[n].key))
        best = self._order(None)
        name = sort.removeprefix("-")
        known = [n for n in best if rows[n].numbers.get(name) is not None]
        known.sort(key=lambda n: rows[n].numbers[name] or 0, reverse=sort.startswith("-"))
        return known + [n for n in best if rows[n].numbers.get(name) is None]

    # The query ---------------------------------------------------------------------------------------------

    def query(self, text: str, filters: Filters, ranges: Ranges, sort: str | None, page: int, size: int) -> Result:
        began = perf_counter()
        chosen = {name: list(values) for name, values in filters.items() if values}
        bounds = {name: (low, high) for name, (low, high) in ranges.items() if (low, high) != (None, None)}
        self._check(text, chosen, bounds, sort)
        tiers = self.tiers(text)
        matching = 0
        for tier in tiers:
            matching |= tier
        matching &= self.alive
        groups = {name: self._group(name, values) for name, values in chosen.items()}
        limits = {name: self._range(name, low, high) for name, (low, high) in bounds.items()}
        within = matching
        for mask in limits.values():
            within &= mask
        found = within
        for mask in groups.values():
            found &= mask
        total = found.bit_count()
        size = min(max(size, 1), SIZE_LIMIT)
        page = min(max(page, 1), max(1, -(-total // size)), DEPTH_LIMIT // size)
        return Result(
            total=total,
            page=page,
            keys=self._page(tiers if sort is None else [self.alive], found, sort, (page - 1) * size, size),
            facets={name: self._counts(name, within, groups, chosen.get(name, ())) for name in self.facets},
            drop_hint=None if total else self._hint(text, matching, groups, limits),
            took=(perf_counter() - began) * 1000,
        )

    def _check(self, text: str, filters: Filters, ranges: Ranges, sort: str | None) -> None:
        if len(text) > TEXT_LIMIT:
            raise QueryTooLong(field="text", limit=TEXT_LIMIT)
        for name in filters:
            if name not in self.kind.facets:
                raise UnknownCriterion(field=name, name=name)
            if len(filters[name]) > VALUES_LIMIT:
                raise TooManyValues(field=name, limit=VALUES_LIMIT)
        for name in ranges:
            if name not in self.kind.numbers:
                raise UnknownCriterion(field=name, name=name)
        if sort is not None and sort.removeprefix("-") not in self.kind.numbers:
            raise UnknownCriterion(field="sort", name=sort)

    def _page(self, tiers: Sequence[int], found: int, sort: str | None, skip: int, size: int) -> list[str]:
        order = self._order(sort)
        keys: list[str] = []
        for tier in tiers:
            mask = tier & found
            count = mask.bit_count()
            if skip >= count:
                skip -= count
                continue
            flags = flags_of(mask, self.size)
            members = (number for number in order if flags[number])
            keys.extend(self.rows[number].key for number in islice(members, skip, skip + size - len(keys)))
            skip = 0
            if len(keys) == size:
                break
        return keys

    def _counts(self, facet: str, within: int, groups: dict[str, int], chosen: Sequence[str]) -> list[tuple[str, int]]:
        for name, mask in groups.items():
            if name != facet:
                within &= mask
        counts = {value: (within & mask).bit_count() for value, mask in self.facets[facet].items()}
        listed = heapq.nsmallest(
            VALUES_LIMIT, ((-count, value) for value, count in counts.items() if count or value in chosen)
        )
        listed += [(-counts.get(value, 0), value) for value in chosen if (-counts.get(value, 0), value) not in listed]
        return [(value, -count) for count, value in listed]

    def _hint(self, text: str, matching: int, groups: dict[str, int], limits: dict[str, int]) -> DropHint | None:
        """Which one criterion to drop: the one that gives most; the text only if no filter helps."""
        criteria = list(groups.items()) + list(limits.items())
        best: DropHint | None = None
        for dropped in range(len(criteria)):
            mask = matching
            for number, (_, other) in enumerate(criteria):
                if number != dropped:
                    mask &= other
            if mask.bit_count() > (best.total if best else 0):
                best = DropHint(criteria[dropped][0], mask.bit_count())
        if best is None and text.strip() and criteria:
            mask = self.alive
            for _, other in criteria:
                mask &= other
            best = DropHint(TEXT, mask.bit_count()) if mask else None
        return best
