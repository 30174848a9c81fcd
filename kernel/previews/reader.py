"""Our side of :mod:`kernel.previews.page_reader`: one limited process for one document, asked for page after page."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from kernel.previews.incidents import (
    PageTooHeavy,
    PageUnreadable,
    PreviewDamaged,
    PreviewEncrypted,
    PreviewLost,
    PreviewTooHeavy,
    PreviewTooLong,
)

_PROGRAM: Final = Path(__file__).with_name("page_reader.py")
#: Seconds of wall time for the start and for each page; the reader bounds its processor time itself.
PATIENCE: Final = 25.0
#: Most bytes that it may tell of a page, and most bytes of a picture.
_TOLD, _PICTURE = 16 << 20, 16 << 20
_LOOK: Final = 0.1
_WHOLE: Final = {
    "encrypted": PreviewEncrypted.code,
    "damaged": PreviewDamaged.code,
    "long": PreviewTooLong.code,
    "heavy": PreviewTooHeavy.code,
    "lost": PreviewLost.code,
}
_ONE: Final = {"damaged": PageUnreadable.code, "heavy": PageTooHeavy.code}


class Refused(Exception):
    """The document has no preview; ``code`` is a problem's."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class ReaderEnded(Exception):
    """The process died, said nonsense or took too long."""


class Stopped(Exception):
    """The worker was told to stop while it waited."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page: its size in pixels, text, words and picture; or ``problem``, a code, and nothing else."""

    page: int
    width: int = 0
    height: int = 0
    text: str = ""
    words: list[Any] | None = None
    picture: bytes = b""
    problem: str = ""


class Reader:
    """The process for one document; leaving the block ends it. ``stopped`` is asked while waiting.

    Raises:
        Refused, ReaderEnded, Stopped: from entering the block and from :meth:`page`.
    """

    def __init__(self, path: Path, kind: str, stopped: Callable[[], bool]) -> None:
        self._command = [sys.executable, "-I", str(_PROGRAM), kind, str(path.resolve())]
        self._stopped = stopped
        self._rest = b""

    def __enter__(self) -> Self:
        kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
        # In our own process group: whoever ends the group ends the reader too.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,
            bufsize=0,
        )
        try:
            told = self._told()
            if "problem" in told:
                raise Refused(_WHOLE.get(str(told["problem"]), PreviewDamaged.code))
            if not isinstance(told.get("pages"), int) or told["pages"] < 1:
                raise ReaderEnded
            self.pages: int = told["pages"]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def page(self, number: int) -> Drawn:
        """Have one page (from 1) drawn."""
        assert self._process.stdin is not None  # noqa: S101  for the type checker
        try:
            self._process.stdin.write(f"{number}\n".encode())
        except OSError:
            raise ReaderEnded from None
        told = self._told()
        if told.get("page") != number:
            raise ReaderEnded
        if "problem" in told:
            return Drawn(number, problem=_ONE.get(str(told["problem"]), PageUnreadable.code))
        try:
            size = int(told["size"])
            if not 0 < size <= _PICTURE:
                raise ReaderEnded
            return Drawn(
                page=number,
                width=int(told["width"]),
                height=int(told["height"]),
                text=str(told["text"]),
                words=list(told["words"]),
                picture=self._exactly(size),
            )
        except (KeyError, TypeError, ValueError):
            raise ReaderEnded from None

    def _told(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\n" not in self._rest:
            if len(self._rest) > _TOLD:
                raise ReaderEnded
            self._more(until)
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            told = json.loads(line)
        except ValueError:
            raise ReaderEnded from None
        if not isinstance(told, dict):
            raise ReaderEnded
        return told

    def _exactly(self, size: int) -> bytes:
        until = time.monotonic() + PATIENCE
        while len(self._rest) < size:
            self._more(until)
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _more(self, until: float) -> None:
        """Read what is there, or wait for it a moment."""
        assert self._process.stdout is not None  # noqa: S101  for the type checker
        while True:
            if self._stopped():
                raise Stopped
            if time.monotonic() > until:
                raise ReaderEnded
            if select.select([self._process.stdout], [], [], _LOOK)[0]:
                break
        part = os.read(self._process.stdout.fileno(), 1 << 20)
        if not part:
            raise Stopped if self._stopped() else ReaderEnded
        self._rest += part

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
