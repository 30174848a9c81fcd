"""Readable numbers such as ``WT-2026-000128``: prefix, legal year, running number.

Taken from a database sequence, so that two people who act at once never wait for each other; a number given
to an act that was rolled back stays unused.
"""

from __future__ import annotations

from sqlalchemy import Sequence, select

from kernel import clock
from kernel.db import Base, session

_series: dict[str, Sequence] = {}


def series(prefix: str) -> str:
    """Declare the series ``prefix`` (beside the record that uses it) and answer the prefix."""
    _series[prefix] = Sequence(f"number_{prefix.lower()}", metadata=Base.metadata)
    return prefix


def following(prefix: str) -> str:
    """The next number of a declared series, in the year of legal time."""
    running = session.scalar(select(_series[prefix].next_value()))
    return f"{prefix}-{clock.local_date(clock.now()).year}-{running:06d}"


def prefixes() -> list[str]:
    """Every declared series."""
    return sorted(_series)
