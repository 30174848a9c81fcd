"""The six statutory kinds of 000 §8.1 as they ship with the product."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select

from kernel.db import session
from kernel.trail import SYSTEM
from reviews.kinds.entering import CriterionText
from reviews.kinds.keeping import add_criterion, add_kind
from reviews.kinds.records import Grade, ReviewKind

DATA = Path(__file__).resolve().parent.parent / "data"


def load_shipped() -> int:
    """Enter the shipped kinds that are not there yet, with their criteria; answer how many.

    A kind that is there is left alone: operators may have revised it. The catalogue's items must be loaded.
    """
    known = set(session.scalars(select(ReviewKind.code)))
    count = 0
    for values in shipped():
        if values["code"] in known:
            continue
        criteria = values.pop("criteria")
        kind = add_kind(values, by=SYSTEM)
        for one in criteria:
            add_criterion(
                kind,
                CriterionText(
                    code=one["code"],
                    zh=one["zh"],
                    en=one["en"],
                    clause=one["clause"],
                    grade=Grade(one["grade"]),
                    speciality=one.get("speciality", ""),
                    check=one.get("check"),
                ),
                effective_from=date.fromisoformat(one["effective_from"]),
                by=SYSTEM,
            )
        count += 1
    return count


def shipped() -> list[dict[str, Any]]:
    """The kinds of the file, each with its ``criteria``."""
    found: list[dict[str, Any]] = json.loads((DATA / "kinds.json").read_text(encoding="utf-8"))
    return found
