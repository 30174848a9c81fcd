"""Judges PDF files through :mod:`kernel.files.pdf_reader` in a separate, limited process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel.files.incidents import Danger, FileDamaged, FileEncrypted, FileTooLong, unsafe

_READER = Path(__file__).with_name("pdf_reader.py")
#: Seconds of wall time for a start and for each file; the reader bounds its processor time itself.
_START, _EACH = 20, 20


@dataclass(frozen=True, slots=True)
class Pdf:
    """What a sound PDF tells: number of pages, and facts for people (title, signatures, software)."""

    pages: int
    facts: dict[str, Any] = field(default_factory=dict)


def read_pdfs(files: Sequence[tuple[Path, str]]) -> list[Pdf]:
    """Judge several files (path, name for messages) with one start of the reader.

    Raises:
        FileDamaged, FileEncrypted, FileTooLong, FileUnsafe: the first file that isn't sound. A reader that ran out of
            memory or time, or died, counts as unsafe: never as clean.
    """
    if not files:
        return []
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_READER)],
            input="".join(f"{path.resolve()}\n" for path, _ in files).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,
            timeout=_START + _EACH * len(files),
            check=False,
        )
        lines = done.stdout.splitlines()
    except subprocess.TimeoutExpired:
        raise unsafe(files[0][1], Danger.BOMB) from None
    answers = []
    for position, (_, name) in enumerate(files):
        try:
            answer = json.loads(lines[position])
        except (IndexError, ValueError):
            raise unsafe(name, Danger.BOMB) from None
        verdict = answer["verdict"]
        if verdict == "damaged":
            raise FileDamaged(name=name)
        if verdict == "encrypted":
            raise FileEncrypted(name=name)
        if verdict == "too_long":
            raise FileTooLong(name=name, pages=answer["most_pages"])
        if verdict != "ok":
            raise unsafe(name, Danger[verdict.upper()])
        answers.append(Pdf(answer["pages"], answer["facts"]))
    return answers
