"""What every search engine promises, and the values that go in and out (requirement A4).

The portal asks an engine for keys and counts only; what a person then sees is loaded from the database, so a
late index can hide something for a moment but never show what is not true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from kernel.errors import Conflict, Invalid, Unavailable

#: Longest query text, in characters.
TEXT_LIMIT: Final = 100
#: Most keys on one page.
SIZE_LIMIT: Final = 100
#: Deepest entry that can be paged to; beyond it a person narrows the search instead.
DEPTH_LIMIT: Final = 100_000
#: Most values listed for one facet, and most values chosen within it.
VALUES_LIMIT: Final = 100


class QueryTooLong(Invalid):
    code = "query_too_long"
    zh = "检索词不能超过 {limit} 个字"
    en = "The search text can have at most {limit} characters"


class UnknownCriterion(Invalid):
    code = "unknown_search_criterion"
    zh = "不支持按“{name}”筛选或排序"
    en = "Filtering or sorting by “{name}” is not offered"


class TooManyValues(Invalid):
    code = "too_many_values"
    zh = "同一筛选条件最多选择 {limit} 项"
    en = "At most {limit} values can be chosen within one filter"


class UnknownKind(Unavailable):
    code = "unknown_search_kind"
    zh = "检索范围“{name}”尚未启用"
    en = "Nothing is searchable under “{name}”"


class IndexNotPrivate(Unavailable):
    code = "index_not_private"
    zh = "检索索引目录 {folder} 属于其他系统用户，已拒绝读取；请更正目录所有者后重建索引"
    en = "The index folder {folder} belongs to another system user and was not read; correct its owner and rebuild"


class RebuildRunning(Conflict):
    code = "index_rebuild_running"
    zh = "检索索引正在重建，请等待完成"
    en = "The search index is being rebuilt already; please wait for it to finish"


class IndexBusy(Unavailable):
    code = "index_busy"
    zh = "检索索引正由其他进程写入，稍后将自动重试"
    en = "Another process is writing the search index; this will be tried again"


@dataclass(frozen=True, slots=True)
class Document:
    """One searchable thing.

    Attributes:
        key: the readable number under which the portal loads it; unique within its kind.
        title: what a person calls it; a match here ranks first.
        names: further names (agency, service, item), searched character by character and by pinyin.
        text: description, searched by words.
        facets: values to filter by and to count, per facet of the kind.
        numbers: whole numbers to filter and sort by (fen, days); None sorts last and is in no range.
        boost: decides between equal matches, higher first.
    """

    key: str
    title: str
    names: Sequence[str] = ()
    text: str = ""
    facets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    numbers: Mapping[str, int | None] = field(default_factory=dict)
    boost: float = 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A searchable kind of thing and how to read it.

    Attributes:
        name: lower-case letters, digits and underscores; also the folder's name.
        loader: keys → documents; a key without a document leaves the index.
        every: all keys that should be in the index.
        facets, numbers: the names a query may filter, count and sort by.
    """

    name: str
    loader: Callable[[list[str]], list[Document]]
    every: Callable[[], Iterator[str]]
    facets: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DropHint:
    """The one filter or range whose removal gives results, and how many."""

    name: str
    total: int


@dataclass(frozen=True, slots=True)
class Result:
    """An answered query.

    Attributes:
        total: number of matches.
        page: the page answered, from 1; the last one if a later one was asked for.
        keys: keys of this page, best first.
        facets: per facet the values with their counts, most frequent first. A facet's counts obey every
            criterion except its own, so that they tell what choosing another value would give. Chosen
            values are listed even at zero.
        drop_hint: only when ``total`` is zero and dropping one filter or range helps.
        took: milliseconds spent.
    """

    total: int
    page: int
    keys: list[str]
    facets: dict[str, list[tuple[str, int]]]
    drop_hint: DropHint | None = None
    took: float = 0.0


Filters = Mapping[str, Sequence[str]]
Ranges = Mapping[str, tuple[int | None, int | None]]
Progress = Callable[[int, int], None]


class Engine(Protocol):
    """One kind's index. Reading is for every thread and process, writing for one process at a time."""

    def update(self, documents: Iterable[Document], deleted: Iterable[str] = ()) -> None:
        """Replace ``documents`` and remove the keys ``deleted``; visible to every reader within a second.

        Raises:
            IndexBusy: another process has been writing for too long.
        """

    def query(
        self,
        text: str = "",
        *,
        filters: Filters | None = None,
        ranges: Ranges | None = None,
        sort: str | None = None,
        page: int = 1,
        size: int = 20,
    ) -> Result:
        """Matches of every term of ``text``, in every one of ``filters`` (any value of each) and ``ranges``.

        Args:
            ranges: inclusive lowest and highest, None meaning open.
            sort: None for relevance, a number's name for ascending, ``-name`` for descending.

        Raises:
            QueryTooLong, UnknownCriterion, TooManyValues: what was asked cannot be answered.
        """

    def rebuild(self, documents: Iterable[Document], reload: Callable[[list[str]], list[Document]]) -> None:
        """Build anew beside the present index and switch in one step; readers never see a half index.

        What changes meanwhile is read again by ``reload`` before the switch.

        Raises:
            RebuildRunning: one is under way.
        """

    def keys(self) -> set[str]:
        """All keys in the index."""

    def warm_up(self) -> None:
        """Open the index now instead of at the first query."""

    def close(self) -> None:
        """Let go of the index's files."""
