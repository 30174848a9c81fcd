"""What a bid's files tell of the machine that made them: their hash, and what the author's software wrote into them.

The opening has stored and inspected the files (PDF in a separate, limited process); of Office files one small member is
read here. A file that can't be read tells nothing and stops nothing.
"""

from __future__ import annotations

import re
import unicodedata
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kernel import files
from kernel.files import Document
from market.bidding import OpenedBid

_CORE: Final = "docProps/core.xml"
_MOST_CORE: Final = 64 << 10
_CORE_NAMES: Final = {"creator": "author", "lastModifiedBy": "editor", "created": "creationdate"}
_OFFICE: Final = frozenset({files.MEDIA_TYPES["docx"], files.MEDIA_TYPES["xlsx"]})
#: Facts that point to one person or one moment; the names of programs prove nothing.
TELLING: Final = ("author", "editor", "creationdate")


@dataclass(frozen=True, slots=True)
class Trace:
    """One file: its name as handed in, its SHA-256 (64 hex digits) and the telling facts inside."""

    name: str
    sha256: str
    facts: Mapping[str, str] = field(default_factory=dict)


def of_bid(opened: OpenedBid) -> list[Trace]:
    """The traces of an opened bid's files; of a file that was refused at the opening, its hash alone."""
    stored = {one.document.sha256: of_document(one.document) for one in opened.files}
    handed_in = opened.content.get("files")
    for one in handed_in if isinstance(handed_in, list) else ():
        if one["sha256"] not in stored:
            stored[one["sha256"]] = Trace(str(one["name"]), one["sha256"])
    return list(stored.values())


def of_document(document: Document) -> Trace:
    """The trace of a stored document."""
    facts: Mapping[str, Any] = document.facts
    if document.media_type in _OFFICE:
        facts = _core_properties(document)
    return Trace(document.name, document.sha256, _clean(facts))


def moment_of(text: str) -> str:
    """A moment's 14 digits, whatever its form (``D:20260301093012+08'00'``, ``2026-03-01T09:30:12Z``).

    '' for a moment without seconds, and for midnight sharp, which programs write when they don't know.
    """
    digits = "".join(re.findall(r"[0-9]", text))[:14]
    return digits if len(digits) == 14 and not digits.endswith("000000") else ""


def _core_properties(document: Document) -> Mapping[str, str]:
    """Author, editor and moment of an Office file (ECMA-376 part 2, §11); {} if they can't be read."""
    try:
        with files.open_document(document) as file, zipfile.ZipFile(file) as container, container.open(_CORE) as member:
            text = member.read(_MOST_CORE + 1)
        plain = text.decode("utf-8")  # in another encoding a declaration would pass unseen
        if len(text) > _MOST_CORE or "<!" in plain or "\0" in plain:  # no declarations, so no entities
            return {}
        root = ElementTree.fromstring(text)  # noqa: S314
    except Exception:  # whatever a hostile container does to its reader, it tells nothing
        return {}
    told = {element.tag.rpartition("}")[2]: element.text or "" for element in root}
    return {ours: told.get(theirs, "") for theirs, ours in _CORE_NAMES.items()}


def _clean(facts: Mapping[str, Any]) -> dict[str, str]:
    """The telling facts as printable text."""
    found = {}
    for name in TELLING:
        value = facts.get(name)
        if isinstance(value, str):
            plain = unicodedata.normalize("NFKC", value)
            plain = "".join(sign for sign in plain if sign.isprintable()).strip()[:200]
            if plain and (name != "creationdate" or moment_of(plain)):
                found[name] = plain
    return found
