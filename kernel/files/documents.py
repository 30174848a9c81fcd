"""The register of uploaded files: who stored which content under which name, and who may read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock, numbers
from kernel.db import HISTORY, Keyed, in_transaction, session
from kernel.errors import NotFound
from kernel.files.incidents import FilesUnavailable
from kernel.files.store import Blob, blob_path, hash_of, store_blob, sweep_incoming
from kernel.trail import Actor

NUMBER = numbers.series("WJ")


class Document(Keyed):
    """One uploaded file. Never changed: another version is another document.

    ``sha256`` is 64 hex digits, ``size`` is in bytes, ``pages`` is known for PDF; ``facts`` holds what the
    inspection saw (title, number of signatures, size of a picture …), as the uploader's software wrote it.
    """

    __tablename__ = "documents"
    number: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    pages: Mapped[int | None]
    facts: Mapped[dict[str, Any]]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    stored_at: Mapped[datetime]
    __table_args__ = (Index("ix_documents_sha256", "sha256"), HISTORY)

    @property
    def subject(self) -> str:
        return f"file:{self.number}"


@dataclass(frozen=True, slots=True)
class _Settings:
    folder: Path
    limit: int


_settings: _Settings | None = None
Reader = Callable[[Document, Actor | None], bool]
_readers: list[Reader] = []
_bars: list[Reader] = []


def configure(folder: Path, limit: int) -> None:
    """Where files are kept, and the largest accepted size in bytes; called once by ``app.py``."""
    global _settings
    _settings = _Settings(folder, limit)


def put(stream: BinaryIO, name: str, *, by: Actor, field: str = "files") -> Document:
    """Store an upload and its row. The bytes are durable before the row exists; the caller commits.

    Raises:
        FileNameInvalid, FileTypeNotAllowed, FileEmpty, FileTooLarge, FileTypeMismatch, FileDamaged,
        FileEncrypted, FileUnsafe, FilesUnavailable: with ``field``; nothing is stored.
    """
    if not in_transaction():
        raise RuntimeError("files.put() outside transaction()")
    return enter(receive(stream, name, field=field), by=by)


def receive(stream: BinaryIO, name: str, *, field: str = "files") -> Blob:
    """The first half of :func:`put`, for edges that receive a slow upload before they open a transaction."""
    configured = _configured()
    return store_blob(stream, name, configured.folder, configured.limit, field=field)


def enter(blob: Blob, *, by: Actor) -> Document:
    """The second half of :func:`put`: the row for content that is safely stored."""
    document = Document(
        number=numbers.following(NUMBER),
        sha256=blob.sha256,
        name=blob.name,
        media_type=blob.media_type,
        size=blob.size,
        pages=blob.pages,
        facts=dict(blob.facts),
        organisation_id=by.organisation_id,
        person_id=by.person_id,
        stored_at=clock.now(),
    )
    session.add(document)
    session.flush()
    return document


def by_number(number: str) -> Document:
    """The document with a readable number.

    Raises:
        NotFound: there is none.
    """
    document = session.scalars(select(Document).where(Document.number == number)).first()
    if document is None:
        raise NotFound
    return document


def path_of(sha256: str) -> Path:
    """Where the content with this hash lies.

    Raises:
        ValueError: not 64 hex digits.
    """
    return blob_path(_configured().folder, sha256)


def open_document(document: Document) -> BinaryIO:
    """The content for reading; the caller has asked :func:`may_read` and closes it.

    Raises:
        FilesUnavailable: the content can't be opened.
    """
    try:
        return path_of(document.sha256).open("rb")
    except OSError as error:
        raise FilesUnavailable from error


def verify(document: Document) -> bool:
    """Whether the content on disk still has the registered hash; False also when it is gone."""
    return hash_of(path_of(document.sha256)) == document.sha256


def sweep(older_than: timedelta = timedelta(days=1)) -> int:
    """Remove what interrupted uploads left behind, by machine time; answers how many."""
    return sweep_incoming(_configured().folder, clock.machine() - older_than)


def register_reader(reader: Reader) -> None:
    """A noun that holds documents says here who may read them through it. Registering twice is harmless."""
    if reader not in _readers:
        _readers.append(reader)


def register_bar(bar: Reader) -> None:
    """A noun says here whom something keeps from a file, whoever else would let them in. Twice is harmless."""
    if bar not in _bars:
        _bars.append(bar)


def may_read(document: Document, actor: Actor | None) -> bool:
    """The uploader's organisation, or anybody whom a registered noun lets in; nobody whom another one bars."""
    if any(bar(document, actor) for bar in _bars):
        return False
    if actor is not None:
        if actor.organisation_id is not None and actor.organisation_id == document.organisation_id:
            return True
        alone = document.organisation_id is None and document.person_id is not None
        if alone and actor.person_id == document.person_id:
            return True
    return any(reader(document, actor) for reader in _readers)


def _configured() -> _Settings:
    if _settings is None:
        raise RuntimeError("files.configure() has not been called")
    return _settings
