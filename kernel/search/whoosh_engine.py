"""Whoosh on one machine: where the index lies, who writes it, when readers notice.

Layout of ``folder`` (0700, because an index is pickles and whoever can write it can run code)::

    current              the name of the folder below that readers use; replaced in one step
    1-3f2a…/             a Whoosh index; "1" is the version of what its rows hold
    writing, rebuilding  locks between processes
    changed              keys written while a rebuild runs, read again before the switch
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from whoosh.analysis import SpaceSeparatedTokenizer
from whoosh.fields import ID, STORED, Schema
from whoosh.filedb.filestore import FileStorage
from whoosh.index import EmptyIndexError, FileIndex
from whoosh.reading import SegmentReader

from kernel.search import text as words
from kernel.search.protocol import Document, Filters, IndexBusy, IndexNotPrivate, Kind, Ranges, RebuildRunning, Result
from kernel.search.snapshot import Segment, Snapshot

#: Raise when rows or terms change their meaning; older folders then count as absent until a rebuild.
VERSION: Final = 1
NAME: Final = "portal"
#: Seconds between two looks whether the index changed, and the longest wait for the writer's lock.
LOOK_EVERY: Final = 0.5
LOCK_WAIT: Final = 10.0
#: Small segments are merged in steps of this factor; larger ones only by a rebuild, so that an update is quick.
MERGE_FACTOR: Final = 6
MERGE_LIMIT: Final = 1000


def schema() -> Schema:
    """Terms are made by :mod:`kernel.search.text` and handed over separated by spaces."""
    return Schema(
        key=ID(unique=True),
        names=ID(analyzer=SpaceSeparatedTokenizer()),
        text=ID(analyzer=SpaceSeparatedTokenizer()),
        row=STORED(),
        facets=STORED(),
    )


def fields(document: Document) -> dict[str, Any]:
    """The index fields of a document; ``row`` holds what :class:`kernel.search.snapshot.Row` reads back."""
    names = [document.title, *document.names]
    terms: set[str] = set().union(*map(words.name_terms, names))
    read = [words.pinyin(name) for name in names]
    return {
        "key": document.key,
        "names": " ".join(terms),
        "text": " ".join(words.text_terms(document.text)),
        "row": {
            "key": document.key,
            "title": words.compact(document.title),
            "names": _lines(map(words.compact, names)),
            "initials": _lines(initials for initials, _ in read),
            "letters": _lines(syllables.replace(" ", "") for _, syllables in read),
            "syllables": _lines(syllables for _, syllables in read),
            "numbers": dict(document.numbers),
            "boost": document.boost,
        },
        "facets": {name: list(dict.fromkeys(values)) for name, values in document.facets.items()},
    }


def _lines(parts: Iterable[str]) -> str:
    return "\n" + "\n".join(parts) + "\n"


def merge_small(writer: Any, segments: list[Any]) -> list[Any]:
    """Merge the smallest segments once there are enough of one size; leave the large ones alone."""
    ordered = sorted(segments, key=lambda segment: int(segment.doc_count_all()))
    merging: list[Any] = []
    bound = MERGE_FACTOR
    while bound <= MERGE_LIMIT:
        small = [segment for segment in ordered if segment.doc_count_all() <= bound]
        if len(small) >= MERGE_FACTOR:
            merging = small
        bound *= MERGE_FACTOR
    # A segment whose documents are all deleted costs nothing to "merge".
    merging += [s for s in ordered if s not in merging and s.doc_count_all() == s.deleted_count()]
    for segment in merging:
        reader = SegmentReader(writer.storage, writer.schema, segment)
        writer.add_reader(reader)
        reader.close()
    return [segment for segment in segments if segment not in merging]


class WhooshEngine:
    """The index of one kind in ``folder``; keeps :class:`kernel.search.protocol.Engine`."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder = folder
        self.kind = kind
        self._reading = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._segments: dict[str, Segment] = {}
        self._opened: tuple[str, FileIndex] | None = None
        self._seen: tuple[str, int] | None = None
        self._looked = 0.0

    # Folders and locks -------------------------------------------------------------------------------------

    def _make_private(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.folder.stat().st_uid != os.geteuid():
            raise IndexNotPrivate(folder=str(self.folder))
        self.folder.chmod(0o700)

    def _current(self) -> str:
        """Name of the folder in use; empty when there is none of this version."""
        try:
            name = (self.folder / "current").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        return name if name.startswith(f"{VERSION}-") else ""

    def _point_to(self, name: str) -> None:
        fresh = self.folder / "current.new"
        fresh.write_text(name, encoding="ascii")
        fresh.replace(self.folder / "current")

    def _create(self) -> tuple[str, FileIndex]:
        name = f"{VERSION}-{secrets.token_hex(6)}"
        (self.folder / name).mkdir(mode=0o700)
        return name, FileIndex.create(FileStorage(str(self.folder / name)), schema(), NAME)

    def _open(self, name: str) -> FileIndex:
        return FileIndex(FileStorage(str(self.folder / name)), indexname=NAME)

    @contextmanager
    def _locked(self, name: str, wait: float) -> Iterator[None]:
        with (self.folder / name).open("w") as file:
            end = monotonic() + wait
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if monotonic() >= end:
                        raise
                    sleep(0.02)
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._make_private()
        try:
            with self._locked("writing", LOCK_WAIT):
                yield
        except BlockingIOError as error:
            raise IndexBusy() from error

    # Writing -----------------------------------------------------------------------------------------------

    def update(self, documents: Iterable[Document], deleted: Iterable[str] = ()) -> None:
        written = {document.key: document for document in documents}
        gone = set(deleted) | set(written)
        if not gone:
            return
        with self._writing():
            name = self._current()
            if name:
                index = self._open(name)
            else:
                name, index = self._create()
            self._note(gone)
            self._write(index, written.values(), gone)
            if name != self._current():
                self._point_to(name)
        self._looked = 0.0

    def _note(self, keys: Iterable[str]) -> None:
        """Write down what changes while a rebuild runs."""
        journal = self.folder / "changed"
        if not journal.exists():
            return
        with suppress(BlockingIOError), self._locked("rebuilding", 0):
            journal.unlink()  # left by a rebuild that was killed
            return
        with journal.open("a", encoding="utf-8") as file:
            file.writelines(f"{key}\n" for key in keys)

    def _write(self, index: FileIndex, documents: Iterable[Document], gone: Iterable[str]) -> None:
        writer = index.writer(timeout=LOCK_WAIT, limitmb=64)
        try:
            if index.doc_count_all():
                with writer.searcher() as searcher:
                    for key in gone:
                        for number in searcher.document_numbers(key=key):
                            writer.delete_document(number)
            for document in documents:
                writer.add_document(**fields(document))
        except BaseException:
            writer.cancel()
            raise
        writer.commit(mergetype=merge_small)

    def rebuild(self, documents: Iterable[Document], reload: Callable[[list[str]], list[Document]]) -> None:
        self._make_private()
        try:
            with self._locked("rebuilding", 0):
                self._rebuild(documents, reload)
        except BlockingIOError as error:
            raise RebuildRunning() from error

    def _rebuild(self, documents: Iterable[Document], reload: Callable[[list[str]], list[Document]]) -> None:
        journal = self.folder / "changed"
        with self._writing():
            journal.write_text("", encoding="utf-8")
        name, index = self._create()
        try:
            writer = index.writer(limitmb=128)
            try:
                for document in documents:
                    writer.add_document(**fields(document))
            except BaseException:
                writer.cancel()
                raise
            writer.commit()
            with self._writing():
                changed = list(dict.fromkeys(journal.read_text(encoding="utf-8").split("\n")[:-1]))
                if changed:
                    self._write(index, reload(changed), changed)
                previous = self._current()
                self._point_to(name)
                journal.unlink()
        except BaseException:
            journal.unlink(missing_ok=True)
            shutil.rmtree(self.folder / name, ignore_errors=True)
            raise
        self._looked = 0.0
        # The folder just left stays until the next rebuild: a reader may be about to open it.
        for folder in self.folder.iterdir():
            if folder.is_dir() and folder.name not in (name, previous):
                shutil.rmtree(folder, ignore_errors=True)

    # Reading -----------------------------------------------------------------------------------------------

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
        return self.snapshot().query(text, filters or {}, ranges or {}, sort, page, size)

    def keys(self) -> set[str]:
        return self.snapshot().keys()

    def warm_up(self) -> None:
        words.warm_up()
        self.snapshot()

    def close(self) -> None:
        with self._reading:
            segments, self._segments = self._segments, {}
            self._snapshot = self._seen = None
            for segment in segments.values():
                segment.reader.close()

    def snapshot(self) -> Snapshot:
        """The index as it was at most :data:`LOOK_EVERY` seconds ago; one thread looks, the others go on."""
        present = self._snapshot
        if present is not None and monotonic() - self._looked < LOOK_EVERY:
            return present
        if not self._reading.acquire(blocking=present is None):
            return present or self.snapshot()
        try:
            looked = monotonic()
            if self._snapshot is None or self._is_old():
                self._snapshot = self._load()
            self._looked = looked
            return self._snapshot
        finally:
            self._reading.release()

    def _is_old(self) -> bool:
        try:
            return self._stamp() != self._seen
        except (OSError, EmptyIndexError):  # the writer removed what was about to be opened
            return True

    def _stamp(self) -> tuple[str, int]:
        name = self._current()
        if not name:
            return name, -1
        if self._opened is None or self._opened[0] != name:
            self._opened = (name, self._open(name))
        return name, self._opened[1].latest_generation()

    def _load(self) -> Snapshot:
        for attempt in range(10):
            try:
                return self._load_once()
            except (OSError, EmptyIndexError):  # the writer removed what was about to be opened
                if attempt == 9:
                    raise
                sleep(0.02)
        raise AssertionError

    def _load_once(self) -> Snapshot:
        name = self._current()
        if not name:
            self._seen = ("", -1)
            return Snapshot(self.kind, [])
        if self.folder.stat().st_uid != os.geteuid():
            raise IndexNotPrivate(folder=str(self.folder))
        reader = self._open(name).reader()
        kept: dict[str, Segment] = {}
        parts: list[tuple[Segment, Iterable[int]]] = []
        if reader.doc_count_all():
            for leaf, _ in reader.leaf_readers():
                part = leaf.segment()
                identity = f"{name}/{part.segment_id()}"
                segment = self._segments.get(identity)
                if segment is None:
                    segment = Segment(leaf, self.kind.facets)
                else:
                    leaf.close()
                kept[identity] = segment
                parts.append((segment, list(part.deleted_docs())))
        # Segments that went are closed by the collector: another thread may still be answering from them.
        self._segments = kept
        self._seen = (name, reader.generation())
        return Snapshot(self.kind, parts)
