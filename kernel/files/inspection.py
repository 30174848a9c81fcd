"""Whether a received file may be kept: its name, its type, and what it holds (trust G14)."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel.files.archives import check_archive, check_ofd, check_office
from kernel.files.images import check_dwg, check_dxf, check_jpeg, check_png, check_tiff
from kernel.files.incidents import Danger, FileTypeMismatch, FileTypeNotAllowed, unsafe
from kernel.files.kinds import ALLOWED, EXPECTED, HEAD, MEDIA_TYPES, sniff
from kernel.files.names import extension_of
from kernel.files.pdf import read_pdfs
from kernel.files.plain import check_text


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a sound file is. ``pages`` is known for PDF only; ``facts`` is JSON for people."""

    media_type: str
    pages: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def allowed_extension(name: str) -> str:
    """The extension of a cleaned name.

    Raises:
        FileTypeNotAllowed: it isn't on the list; the message shows the list.
    """
    extension = extension_of(name)
    if extension not in MEDIA_TYPES:
        raise FileTypeNotAllowed(name=name, allowed=ALLOWED)
    return extension


def inspect(path: Path, name: str) -> Inspection:
    """Judge a file on disk under its cleaned name. Scratch files go beside ``path`` and are gone afterwards.

    Raises:
        FileTypeNotAllowed, FileTypeMismatch, FileDamaged, FileEncrypted, FileUnsafe.
    """
    extension = allowed_extension(name)
    _check_kind(path, name, extension)
    media_type = MEDIA_TYPES[extension]
    if extension == "pdf":
        (pdf,) = read_pdfs([(path, name)])
        return Inspection(media_type, pdf.pages, pdf.facts)
    if extension == "zip":
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="inside-") as scratch:
            return Inspection(media_type, facts=check_archive(path, name, Path(scratch), _judge_inside))
    return Inspection(media_type, facts=_facts(path, name, extension))


def _check_kind(path: Path, name: str, extension: str) -> None:
    """First bytes must be what the extension says, and the file must not be a ZIP as well."""
    with path.open("rb") as file:
        content = sniff(file.read(HEAD))
    if content.word != EXPECTED[extension]:
        raise FileTypeMismatch(name=name, extension=extension, found_zh=content.zh, found_en=content.en)
    if content.word != "zip" and zipfile.is_zipfile(path):
        raise unsafe(name, Danger.DISGUISED)


def _judge_inside(files: Sequence[tuple[Path, str]]) -> None:
    """Judge the members of a plain archive; the PDFs share one start of the reader."""
    pdfs = []
    for path, name in files:
        extension = extension_of(path.name)
        _check_kind(path, name, extension)
        if extension == "pdf":
            pdfs.append((path, name))
        else:
            _facts(path, name, extension)
    read_pdfs(pdfs)


def _facts(path: Path, name: str, extension: str) -> dict[str, Any]:
    match extension:
        case "docx" | "xlsx":
            return check_office(path, name, extension)
        case "ofd":
            return check_ofd(path, name)
        case "png":
            return check_png(path, name)
        case "jpg" | "jpeg":
            return check_jpeg(path, name)
        case "tif" | "tiff":
            return check_tiff(path, name)
        case "dwg":
            return check_dwg(path, name)
        case "dxf":
            return check_dxf(path, name)
        case "csv" | "txt":
            return check_text(path, name, table=extension == "csv")
    raise AssertionError(f"{extension} is allowed but nobody judges it")
