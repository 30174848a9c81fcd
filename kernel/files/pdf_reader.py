"""Reads untrusted PDF files in a process of its own: ``python -I pdf_reader.py``; knows nothing of the portal.

Input: one path per line. Output: one JSON object per line, in order, with ``verdict`` (ok, damaged, encrypted,
too_long or the word of a danger), ``pages`` and ``facts``. The process limits its own memory and processor time before it
opens the first file, so that a hostile file can end this process and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import sys
from typing import Any

import pikepdf
from pikepdf import settings

MEGABYTE = 1 << 20
MEMORY = 180 * MEGABYTE
SECONDS = 8
PAGES = 5_000
OBJECTS = 1_000_000
#: A page description or object stream never needs more than this, decoded.
DECODED = 64 * MEGABYTE
PIXELS = 100_000_000

_SUSPECT = re.compile(
    rb"/(JS|JavaScript|Launch|ImportData|GoToE|Rendition|RichMedia|Movie|Sound|XFA|EmbeddedFiles?|EF|FFilter|3D)\b"
)
_ACTIONS = {"/JavaScript", "/Launch", "/ImportData", "/Rendition", "/Movie", "/Sound"}
_ACTIVE_KEYS = {"/JS", "/JavaScript", "/XFA"}
_EMBEDDING_KEYS = {"/EmbeddedFiles", "/EF"}
_EMBEDDED_SUBTYPES = {"/RichMedia", "/3D", "/Movie", "/Sound"}


class Found(Exception):
    """A danger, by its word."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Address space is not bounded: libraries reserve far more of it than they use.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    # No limit on warnings: with one, qpdf calls any array of more than 5,000 members damaged.
    settings.set_qpdf_limits(
        parser_max_nesting=200,
        parser_max_container_size=OBJECTS,
        max_stream_filters=3,
        flate_max_memory=DECODED,
        run_length_max_memory=DECODED,
        png_max_memory=DECODED,
        tiff_max_memory=DECODED,
    )
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(used.ru_utime + used.ru_stime)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS, hard))
        sys.stdout.write(json.dumps(judge(line.rstrip("\n"))) + "\n")
        sys.stdout.flush()


def judge(path: str) -> dict[str, Any]:
    """The verdict on one file."""
    try:
        with pikepdf.Pdf.open(path, attempt_recovery=False, inherit_page_attributes=False) as pdf:
            return _read(pdf)
    except Found as found:
        return {"verdict": str(found), "most_pages": PAGES}
    except pikepdf.PasswordError:
        return {"verdict": "encrypted"}
    except (MemoryError, RecursionError):
        return {"verdict": "bomb"}
    except Exception:  # whatever a library says of a hostile file, the file is not readable
        return {"verdict": "damaged"}


def _read(pdf: pikepdf.Pdf) -> dict[str, Any]:
    if pdf.is_encrypted:
        return {"verdict": "encrypted"}
    # Before anything walks the page tree, which may claim millions of pages.
    pages = pdf.Root.Pages.get("/Count", 0)
    if not isinstance(pages, int) or pages > OBJECTS:
        raise Found("bomb")
    if pages > PAGES:
        raise Found("too_long")
    if len(pdf.objects) > OBJECTS:
        raise Found("bomb")
    signatures = 0
    for item in pdf.objects:
        if isinstance(item, pikepdf.Stream):
            _check_stream(item)
            holder: Any = item.stream_dict
        elif isinstance(item, pikepdf.Dictionary | pikepdf.Array):
            holder = item
        else:
            continue
        written = holder.unparse(resolved=True)
        if _SUSPECT.search(written):
            _check_value(holder, 0)
        if b"/ByteRange" in written and b"/Contents" in written:
            signatures += 1
    count = len(pdf.pages)
    if count == 0:
        return {"verdict": "damaged"}
    if count > PAGES:
        raise Found("too_long")
    return {"verdict": "ok", "pages": count, "facts": {"signatures": signatures, **_information(pdf)}}


def _check_stream(stream: pikepdf.Stream) -> None:
    details = stream.stream_dict
    # A stream whose data lie in another file.
    if "/F" in details or "/FFilter" in details:
        raise Found("remote")
    if details.get("/Type") == "/EmbeddedFile":
        raise Found("embedded")
    filters = details.get("/Filter")
    if isinstance(filters, pikepdf.Array) and len(filters) > 3:
        raise Found("bomb")
    if details.get("/Subtype") == "/Image":
        width, height = details.get("/Width", 0), details.get("/Height", 0)
        if not isinstance(width, int) or not isinstance(height, int) or width * height > PIXELS:
            raise Found("pixels")
        return
    length = details.get("/Length", 0)
    if not isinstance(length, int) or length > DECODED:
        raise Found("bomb")
    # Deflate expands at most 1,032 times, so a short stream can't be a bomb unless filters are chained.
    chained = isinstance(filters, pikepdf.Array) and len(filters) > 1
    if filters is not None and (chained or length > DECODED // 1_032):
        try:
            decoded = len(stream.read_bytes())
        except pikepdf.PdfError:
            raise Found("bomb") from None
        if decoded > DECODED:
            raise Found("bomb")


def _check_value(value: Any, depth: int) -> None:
    """Raise for active or embedded content anywhere in one object; other objects have their own turn."""
    if depth > 100:
        raise Found("bomb")
    if isinstance(value, pikepdf.Array):
        for member in value:
            if not getattr(member, "is_indirect", False):
                _check_value(member, depth + 1)
        return
    if not isinstance(value, pikepdf.Dictionary):
        return
    keys = set(value.keys())
    if keys & _ACTIVE_KEYS:
        raise Found("active")
    if keys & _EMBEDDING_KEYS or value.get("/Type") == "/EmbeddedFile":
        raise Found("embedded")
    kind, subtype = value.get("/S"), value.get("/Subtype")
    if isinstance(kind, pikepdf.Name) and str(kind) == "/GoToE":
        raise Found("embedded")
    if isinstance(kind, pikepdf.Name) and str(kind) in _ACTIONS:
        raise Found("active")
    if isinstance(subtype, pikepdf.Name) and str(subtype) in _EMBEDDED_SUBTYPES:
        raise Found("embedded")
    for key in keys:
        member = value[key]
        if not getattr(member, "is_indirect", False):
            _check_value(member, depth + 1)


def _information(pdf: pikepdf.Pdf) -> dict[str, str]:
    """Title, author and tools as written by the author's software; never trusted, only shown."""
    facts = {}
    for key in ("Title", "Author", "Creator", "Producer", "CreationDate", "ModDate"):
        try:
            value = str(pdf.docinfo.get(f"/{key}", ""))
        except Exception:  # a hostile information dictionary says nothing worth knowing
            value = ""
        plain = "".join(sign for sign in value if sign.isprintable())[:200].strip()
        if plain:
            facts[key.lower()] = plain
    return facts


if __name__ == "__main__":
    main()
