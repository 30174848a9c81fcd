"""The file name that is kept: no path, no invisible or direction-changing characters, bounded length."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from kernel.files.incidents import FileNameInvalid

#: Longest name kept, in characters, extension included.
LONGEST = 200

# Control, format (bidi overrides, joiners, tags), surrogate, private, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_FORBIDDEN = str.maketrans(dict.fromkeys('<>:"|?*', "_"))


def clean_name(name: str, *, field: str | None = None) -> str:
    """The name without what could mislead a reader or a file system; always with a stem.

    What a person sees is what the server judges: once “report\\u202efdp.exe” has lost its override, its
    extension is plainly ``exe``.

    Raises:
        FileNameInvalid: nothing is left, or the name is reserved by an operating system.
    """
    seen = "".join(sign for sign in unicodedata.normalize("NFC", name) if unicodedata.category(sign) not in _UNSEEN)
    last = seen.replace("\\", "/").rpartition("/")[2].translate(_FORBIDDEN)
    last = " ".join(last.split()).rstrip(". ")
    stem, extension = split(last)
    stem = stem.strip(". ")
    if not stem or _RESERVED.fullmatch(stem):
        raise FileNameInvalid(field=field)
    if not extension:
        return stem[:LONGEST]
    extension = extension[:20]
    return f"{stem[: LONGEST - len(extension) - 1].rstrip('. ')}.{extension}"


def split(name: str) -> tuple[str, str]:
    """Stem and extension (as written, without the dot); a leading dot starts an extension, not a stem."""
    stem, dot, extension = name.rpartition(".")
    return (stem, extension) if dot else (name, "")


def extension_of(name: str) -> str:
    """The lower-case extension of a cleaned name or an archive member, without the dot."""
    return split(PurePosixPath(name).name)[1].lower()
