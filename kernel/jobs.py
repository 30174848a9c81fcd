"""The one due-loop: whatever falls due, in order, each in a transaction of its own.

Packages register what can become due (a source finds keys with their legal instants, an act applies one).
The loop merges all sources by instant, so that a late, lost or doubled tick changes nothing: it catches up
after downtime, stamps the *legal* instant, and is safe to run twice, because every act checks again under
its lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kernel import clock
from kernel.db import session, transaction

log = logging.getLogger(__name__)
BATCH = 200


@dataclass(frozen=True, slots=True)
class Source:
    """``find(until, most)`` answers due (instant, key) pairs in order; ``apply(key, instant)`` acts on one."""

    kind: str
    find: Callable[[datetime, int], list[tuple[datetime, str]]]
    apply: Callable[[str, datetime], None]


_sources: list[Source] = []


def register(*sources: Source) -> None:
    """Replace the due-loop's sources (``app.py`` calls this once)."""
    _sources[:] = sources


def registered() -> tuple[Source, ...]:
    """What can fall due."""
    return tuple(_sources)


def run_due(until: datetime | None = None) -> int:
    """Apply every due act up to ``until`` (legal now by default), in order; answer how many were applied.

    An act that fails is logged and left for the next run, one that gave way to a person's is left without a word; it
    never stops the others.
    """
    limit = until or clock.now()
    tried: set[tuple[str, str, datetime]] = set()
    count = 0
    while True:
        session.rollback()
        most = BATCH + len(tried)  # what failed before must not hide what comes after it
        due = sorted(
            ((at, source.kind, key, source) for source in _sources for at, key in source.find(limit, most)),
            key=lambda row: row[:3],
        )
        fresh = [row for row in due if (row[1], row[2], row[0]) not in tried]
        if not fresh:
            return count
        # Only the earliest: its effects may create or cancel what comes next.
        at, kind, key, source = fresh[0]
        tried.add((kind, key, at))
        try:
            with transaction():
                # A person's act comes first: the loop gives way before the database has to choose between the two.
                session.execute(text("SET LOCAL lock_timeout = '500ms'"))
                source.apply(key, at)
            count += 1
        except DBAPIError as error:
            if not isinstance(error.orig, LockNotAvailable):
                log.exception("due act failed: %s %s at %s", kind, key, at)
        except Exception:
            log.exception("due act failed: %s %s at %s", kind, key, at)
