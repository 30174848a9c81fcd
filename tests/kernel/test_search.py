"""From an announced change to a found listing, the outbox replaced by a list (A4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kernel import search
from kernel.search import Document, Kind


class Table:
    """Things as a database would hold them, and the messages about them."""

    def __init__(self) -> None:
        self.titles: dict[str, str] = {}
        self.messages: list[str] = []
        self.broken: set[str] = set()

    def load(self, keys: list[str]) -> list[Document]:
        if self.broken & set(keys):
            raise ValueError("unreadable")
        return [Document(key=key, title=self.titles[key]) for key in keys if key in self.titles]

    def every(self) -> Iterator[str]:
        return iter(list(self.titles))

    def put(self, topic: str, subject: str, **payload: Any) -> None:
        assert topic == "search"
        self.messages.append(subject)

    def drain(self, topic: str, handle: Callable[[list[Any]], None], *, most: int = 500) -> int:
        taken, self.messages = self.messages[:most], self.messages[most:]
        if taken:
            handle([SimpleNamespace(subject=subject) for subject in taken])
        return len(taken)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    made = Table()
    monkeypatch.setattr(search, "_kinds", {})
    monkeypatch.setattr(search, "_engines", {})
    monkeypatch.setattr(search, "_folder", None)
    monkeypatch.setattr(search, "outbox", made)
    monkeypatch.setattr(search, "session", SimpleNamespace(begin_nested=nullcontext))
    search.configure(tmp_path)
    search.register(Kind("listing", made.load, made.every))
    yield made
    search.configure(tmp_path)


def test_a_change_is_found_once_it_was_indexed(table: Table) -> None:
    table.titles["L1"] = "测绘服务"
    search.changed("listing", "L1")
    assert search.query("listing", "测绘").total == 0
    assert search.index_pending() == 1
    assert search.query("listing", "测绘").keys == ["L1"]


def test_a_key_without_a_document_leaves_the_index(table: Table) -> None:
    table.titles["L1"] = "测绘服务"
    search.changed("listing", "L1")
    search.index_pending()
    del table.titles["L1"]
    search.changed("listing", "L1")
    search.index_pending()
    assert search.query("listing", "测绘").total == 0


def test_one_unreadable_thing_does_not_keep_the_others_out(table: Table) -> None:
    table.titles = {"L1": "测绘服务", "L2": "勘察服务"}
    table.broken = {"L1"}
    search.changed("listing", "L1")
    search.changed("listing", "L2")
    search.index_pending()
    assert search.query("listing", "服务").keys == ["L2"]
    assert search.check() == ["missing listing:L1"]


def test_when_nothing_can_be_read_the_messages_stay(table: Table) -> None:
    table.broken = {"L1", "L2"}
    search.changed("listing", "L1")
    search.changed("listing", "L2")
    with pytest.raises(RuntimeError, match="nothing of listing"):
        search.index_pending()


def test_messages_of_an_unknown_kind_do_not_stop_the_rest(table: Table) -> None:
    table.titles["L1"] = "测绘服务"
    search.changed("former", "X")
    search.changed("listing", "L1")
    assert search.index_pending() == 2
    assert search.query("listing", "测绘").total == 1


def test_check_names_what_is_missing_and_what_is_stale_and_rebuild_mends_it(table: Table) -> None:
    table.titles = {"L1": "测绘服务", "L2": "勘察服务"}
    search.changed("listing", "L1")
    search.index_pending()
    del table.titles["L1"]
    assert search.check() == ["missing listing:L2", "stale listing:L1"]
    told: list[tuple[int, int]] = []
    assert search.rebuild(lambda done, total: told.append((done, total))) == 1
    assert told == [(1, 1)]
    assert search.check() == []


def test_an_unknown_kind_is_a_named_error(table: Table) -> None:
    with pytest.raises(search.UnknownKind):
        search.query("planet", "火星")
