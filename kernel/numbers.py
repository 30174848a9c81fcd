"""Readable numbers such as ``WT-2026-000128``: prefix, legal year, running number.

Taken from a database sequence, so that two people who act at once never wait for each other; a number given
to an act that was rolled back stays unused.
"""

from __future__ import annotations

from sqlalchemy import Sequence, select

from kernel import clock
from kernel.db import Base
from kernel.statements import Statement

_series: dict[str, Statement] = {}


def series(prefix: str) -> str:
    """Declare the series ``prefix`` (beside the record that uses it) and answer the prefix."""
    sequence = Sequence(f"number_{prefix.lower()}", metadata=Base.metadata)
    _series[prefix] = Statement(select(sequence.next_value().label("running")))
    return prefix


def following(prefix: str) -> str:
    """The next number of a declared series, in the year of legal time."""
    return f"{prefix}-{clock.local_date(clock.now()).year}-{_series[prefix].ask()[0].running:06d}"


def prefixes() -> list[str]:
    """Every declared series."""
    return sorted(_series)
