"""Content-addressed storage: ``folder/aa/bb/<sha256>``, written so that a stored row never lacks its bytes.

Order of a write: private temporary file, inspection, fsync of the file, rename, fsync of the folders; only then
may a row name the hash. A crash before the row leaves an unnamed blob, which harms nobody, or a temporary file,
which :func:`sweep_incoming` removes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Final

from kernel.errors import PortalError
from kernel.files.incidents import FileEmpty, FilesUnavailable, FileTooLarge
from kernel.files.inspection import allowed_extension, inspect
from kernel.files.names import clean_name
from kernel.files.plain import Watch

CHUNK: Final = 1 << 18
#: What a multipart body may add to the file it carries.
ENVELOPE: Final = 64 * 1024
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that is safely on disk. ``sha256`` is 64 lower-case hex digits, ``size`` is in bytes."""

    sha256: str
    size: int
    name: str
    media_type: str
    pages: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def check_length(content_length: int | None, limit: int, *, name: str = "files") -> None:
    """Refuse a request by its length header, before a byte of the body is read; unknown lengths pass.

    Raises:
        FileTooLarge: the body can't hold a file within ``limit`` bytes. Its ``field`` is ``name``.
    """
    if content_length is not None and content_length > limit + ENVELOPE:
        raise FileTooLarge(field=name, megabytes=megabytes(limit))


def store_blob(stream: BinaryIO, name: str, folder: Path, limit: int, *, field: str = "files") -> Blob:
    """Receive, judge and store one file; of ``stream`` at most ``limit`` + 1 bytes are read.

    Raises:
        FileNameInvalid, FileTypeNotAllowed (both before reading), FileEmpty, FileTooLarge, FileTypeMismatch,
        FileDamaged, FileEncrypted, FileUnsafe, FilesUnavailable. Nothing is left behind in any case.
    """
    try:
        name = clean_name(name, field=field)
        allowed_extension(name)
        with _incoming(folder) as (temporary, handle):
            sha256, size = _receive(stream, handle, name, limit)
            found = inspect(temporary, name)
            with _storage():
                os.fsync(handle)
                _place(temporary, folder, sha256)
    except PortalError as error:
        error.field = error.field or field
        raise
    return Blob(sha256, size, name, found.media_type, found.pages, found.facts)


def blob_path(folder: Path, sha256: str) -> Path:
    """Where the content with this hash lies, whether it is there or not."""
    if not _HASH.fullmatch(sha256):
        raise ValueError(f"not a SHA-256: {sha256!r}")
    return folder / sha256[:2] / sha256[2:4] / sha256


def hash_of(path: Path) -> str | None:
    """The SHA-256 of a file's content now, or None when it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def sweep_incoming(folder: Path, before: datetime) -> int:
    """Remove what interrupted uploads left behind before an instant; answers how many."""
    count = 0
    for left in list((folder / "incoming").glob("*")):
        with suppress(FileNotFoundError):
            if left.lstat().st_mtime < before.timestamp():
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink()
                count += 1
    return count


def megabytes(limit: int) -> str:
    """A limit in bytes as people read it: ``100`` or ``0.5``."""
    return f"{limit / (1 << 20):.4g}"


@contextmanager
def _storage() -> Iterator[None]:
    """A full or failing disk is a named incident; a broken upload stream is not meant here."""
    try:
        yield
    except OSError as error:
        raise FilesUnavailable from error


@contextmanager
def _incoming(folder: Path) -> Iterator[tuple[Path, int]]:
    """A new private file of ours, closed and removed at the end unless it has been renamed away."""
    with _storage():
        waiting = folder / "incoming"
        folder.parent.mkdir(parents=True, exist_ok=True)
        _make_private(folder, waiting)
        temporary = waiting / f"{token_hex(16)}.part"
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        yield temporary, handle
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def _receive(stream: BinaryIO, handle: int, name: str, limit: int) -> tuple[str, int]:
    digest, size, watch = hashlib.sha256(), 0, Watch(name)
    while part := stream.read(min(CHUNK, limit - size + 1)):
        size += len(part)
        if size > limit:
            raise FileTooLarge(megabytes=megabytes(limit))
        digest.update(part)
        watch.see(part)
        with _storage():
            left = memoryview(part)
            while left:
                left = left[os.write(handle, left) :]
    if size == 0:
        raise FileEmpty(name=name)
    return digest.hexdigest(), size


def _make_private(*folders: Path) -> None:
    for each in folders:
        each.mkdir(mode=0o700, exist_ok=True)


def _place(temporary: Path, folder: Path, sha256: str) -> None:
    """Rename into place. Content that is there already is replaced by the same bytes, which also mends a
    copy that had rotted on disk."""
    target = blob_path(folder, sha256)
    _make_private(target.parent.parent, target.parent)
    temporary.replace(target)
    for changed in (target.parent, target.parent.parent, folder):
        handle = os.open(changed, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
