"""Text files, and signatures that are looked for in every file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from kernel.files.incidents import Danger, FileDamaged, unsafe

PART: Final = 1 << 16
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
# =cmd|'/C calc'!A0 and its kin: a cell that starts another program when a spreadsheet opens it.
_EXCHANGE = re.compile(rb"[\r\n,;\t\"'|][ ]{0,8}[=+@-][^\r\n|]{0,80}\|[^\r\n!]{0,200}!")
_CALLS = re.compile(
    rb"[\r\n,;\t\"'][ ]{0,8}[=+@-][^\r\n]{0,80}(?:WEBSERVICE|DDE|CALL|REGISTER)\s{0,8}\(", re.IGNORECASE
)

# Written in two halves, so that this source file is no specimen itself.
_SPECIMENS: Final = (b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!",)
_OVERLAP: Final = 64


class Watch:
    """Looks for known signatures in bytes that arrive in parts, across their borders."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._last = b""

    def see(self, part: bytes) -> None:
        """Raises FileUnsafe when a signature is complete."""
        joined = self._last + part
        if any(specimen in joined for specimen in _SPECIMENS):
            raise unsafe(self.name, Danger.MALWARE)
        self._last = joined[-_OVERLAP:]


def parts_of(path: Path) -> Iterable[bytes]:
    """A file in bounded parts."""
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part


def check_text(path: Path, name: str, *, table: bool) -> dict[str, Any]:
    """UTF-8 or GB 18030 without control characters; a table must not call other programs.

    Raises:
        FileDamaged: neither encoding fits, or it isn't text.
        FileUnsafe: a formula of a table reaches outside.
    """
    utf8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    national: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("gb18030")()
    last = b"\n"
    for part in parts_of(path):
        if _CONTROLS.search(part):
            raise FileDamaged(name=name)
        utf8, national = _fed(utf8, part), _fed(national, part)
        if utf8 is None and national is None:
            raise FileDamaged(name=name)
        joined = last + part
        if table and (_EXCHANGE.search(joined) or _CALLS.search(joined)):
            raise unsafe(name, Danger.FORMULA)
        last = joined[-512:]
    utf8, national = _fed(utf8, b"", final=True), _fed(national, b"", final=True)
    if utf8 is None and national is None:
        raise FileDamaged(name=name)
    return {"encoding": "utf-8" if utf8 is not None else "gb18030"}


def _fed(
    decoder: codecs.IncrementalDecoder | None, part: bytes, *, final: bool = False
) -> codecs.IncrementalDecoder | None:
    if decoder is None:
        return None
    try:
        decoder.decode(part, final)
    except UnicodeDecodeError:
        return None
    return decoder
