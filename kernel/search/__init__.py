"""Search for people: Chinese names by character, descriptions by word, pinyin, synonyms, facets (A4).

Kinds of things are registered in ``app.py``. Whoever changes a thing says so with :func:`changed` in the same
transaction; the one scheduler process that leads calls :func:`index_pending` every second. Web processes only
read. The index holds nothing that the database does not, and can be rebuilt at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from kernel import outbox
from kernel.db import session
from kernel.search import text as _text
from kernel.search.protocol import (
    SIZE_LIMIT,
    TEXT_LIMIT,
    Document,
    DropHint,
    Engine,
    Filters,
    IndexBusy,
    IndexNotPrivate,
    Kind,
    Progress,
    QueryTooLong,
    Ranges,
    RebuildRunning,
    Result,
    TooManyValues,
    UnknownCriterion,
    UnknownKind,
)
from kernel.search.text import load_synonyms, load_words
from kernel.search.whoosh_engine import WhooshEngine

__all__ = [
    "SIZE_LIMIT",
    "TEXT_LIMIT",
    "Document",
    "DropHint",
    "Engine",
    "IndexBusy",
    "IndexNotPrivate",
    "Kind",
    "QueryTooLong",
    "RebuildRunning",
    "Result",
    "TooManyValues",
    "UnknownCriterion",
    "UnknownKind",
    "changed",
    "check",
    "configure",
    "engine",
    "index_pending",
    "load_synonyms",
    "load_words",
    "query",
    "rebuild",
    "register",
    "warm_up",
]

TOPIC = "search"
BATCH = 200
log = logging.getLogger(__name__)
_kinds: dict[str, Kind] = {}
_engines: dict[str, Engine] = {}
_folder: Path | None = None


def configure(folder: Path) -> None:
    """Where the indexes lie (``Config.index_folder``); each kind gets a folder of its own inside."""
    global _folder
    for present in _engines.values():
        present.close()
    _engines.clear()
    _folder = folder


def register(kind: Kind) -> None:
    """Make a kind searchable; a second registration under the same name replaces the first."""
    _kinds[kind.name] = kind
    old = _engines.pop(kind.name, None)
    if old is not None:
        old.close()


def engine(name: str) -> Engine:
    """The index of a kind.

    Raises:
        UnknownKind: nothing is registered under ``name``.
    """
    present = _engines.get(name)
    if present is None:
        if name not in _kinds:
            raise UnknownKind(name=name)
        if _folder is None:
            raise RuntimeError("search.configure() was not called")
        present = _engines.setdefault(name, WhooshEngine(_folder / name, _kinds[name]))
    return present


def warm_up() -> None:
    """Load the dictionary and open every index, so that the first visitor does not wait."""
    _text.warm_up()
    for name in _kinds:
        engine(name).warm_up()


def query(
    kind: str,
    text: str = "",
    *,
    filters: Filters | None = None,
    ranges: Ranges | None = None,
    sort: str | None = None,
    page: int = 1,
    size: int = 20,
) -> Result:
    """Search one kind; see :meth:`kernel.search.protocol.Engine.query`."""
    return engine(kind).query(text, filters=filters, ranges=ranges, sort=sort, page=page, size=size)


def changed(kind: str, key: str) -> None:
    """Say, inside the transaction, that a thing came, changed or went."""
    outbox.put(TOPIC, f"{kind}:{key}")


def index_pending() -> int:
    """Bring the indexes up to date with what :func:`changed` announced; answer how many messages were read.

    Opens transactions of its own. Messages whose index could not be written stay for a later attempt.
    """
    total = 0
    while count := outbox.drain(TOPIC, _index, most=500):
        total += count
    return total


def _index(rows: list[outbox.OutboxRow]) -> None:
    by_kind: dict[str, list[str]] = {}
    for row in rows:
        name, _, key = row.subject.partition(":")
        by_kind.setdefault(name, []).append(key)
    for name, keys in by_kind.items():
        if name not in _kinds:
            log.warning("search: no kind %s, %d messages dropped", name, len(keys))
            continue
        wanted = list(dict.fromkeys(keys))
        documents, failed = _load(_kinds[name], wanted)
        found = {document.key for document in documents}
        engine(name).update(documents, [key for key in wanted if key not in found and key not in failed])


def _load(kind: Kind, keys: list[str]) -> tuple[list[Document], set[str]]:
    """Documents of ``keys``, and the keys whose loading failed while others' did not.

    One thing that cannot be read must not keep all others out of the index.
    """
    try:
        with session.begin_nested():
            return kind.loader(keys), set()
    except Exception:
        if len(keys) == 1:
            raise
        log.exception("search: loading %d of %s failed, trying one by one", len(keys), kind.name)
    documents: list[Document] = []
    failed: set[str] = set()
    for key in keys:
        try:
            with session.begin_nested():
                documents += kind.loader([key])
        except Exception:
            log.exception("search: %s:%s cannot be loaded", kind.name, key)
            failed.add(key)
    if len(failed) == len(keys):
        raise RuntimeError(f"search: nothing of {kind.name} could be loaded")
    return documents, failed


def rebuild(progress: Progress | None = None) -> int:
    """Build every index anew from the database and switch to it; answer the number of keys read.

    ``progress`` is told (done, total) over all kinds. Readers and :func:`index_pending` go on meanwhile.

    Raises:
        RebuildRunning: one is under way.
    """
    total = sum(sum(1 for _ in kind.every()) for kind in _kinds.values())
    done = 0
    for name, kind in _kinds.items():

        def documents(kind: Kind = kind) -> Iterator[Document]:
            nonlocal done
            # Listed here, when changes are already being noted, or one in between would be lost.
            keys = list(kind.every())
            for start in range(0, len(keys), BATCH):
                batch = keys[start : start + BATCH]
                yield from kind.loader(batch)
                done += len(batch)
                if progress is not None:
                    progress(done, max(done, total))

        engine(name).rebuild(documents(), kind.loader)
    return done


def check() -> list[str]:
    """What differs between index and database: ``missing kind:key`` and ``stale kind:key``, empty if nothing."""
    found: list[str] = []
    for name, kind in _kinds.items():
        wanted, present = set(kind.every()), engine(name).keys()
        found += [f"missing {name}:{key}" for key in sorted(wanted - present)]
        found += [f"stale {name}:{key}" for key in sorted(present - wanted)]
    return found
