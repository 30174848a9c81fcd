"""What must happen after a commit and must not be lost: one row, written in the same transaction.

The scheduler drains the rows of each topic in order (:mod:`kernel.jobs`); a row is taken with SKIP LOCKED,
so several drainers are harmless, and one that fails waits longer each time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from kernel.clock import machine
from kernel.db import Keyed, session, transaction


class OutboxRow(Keyed):
    """One message: its topic says who drains it, ``subject`` what it is about."""

    __tablename__ = "outbox"
    topic: Mapped[str]
    subject: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]
    error: Mapped[str | None]
    __table_args__ = (Index("ix_outbox_open", "topic", "due_at", "id", postgresql_where=text("done_at IS NULL")),)


def put(topic: str, subject: str, **payload: Any) -> None:
    """Queue a message for after the commit."""
    moment = machine()
    session.add(OutboxRow(topic=topic, subject=subject, payload=payload, created_at=moment, due_at=moment))


def drain(topic: str, handle: Callable[[list[OutboxRow]], None], *, most: int = 500) -> int:
    """Hand up to ``most`` open rows of ``topic`` to ``handle`` and mark them done; answer how many.

    A handler that raises leaves its rows open, due again after 2ⁿ seconds (at most an hour).
    """
    with transaction():
        rows = list(
            session.scalars(
                select(OutboxRow)
                .where(OutboxRow.topic == topic, OutboxRow.done_at.is_(None), OutboxRow.due_at <= machine())
                .order_by(OutboxRow.id)
                .limit(most)
                .with_for_update(skip_locked=True)
            )
        )
        if not rows:
            return 0
        try:
            with session.begin_nested():
                handle(rows)
        except Exception as error:  # a handler's fault must not lose the message
            for row in rows:
                row.tries += 1
                row.error = f"{type(error).__name__}: {error}"[:500]
                row.due_at = machine() + timedelta(seconds=min(3600, 2**row.tries))
            return 0
        for row in rows:
            row.done_at = machine()
        return len(rows)


def waiting(topic: str) -> int:
    """Number of open rows of a topic."""
    return (
        session.scalar(
            select(func.count()).select_from(OutboxRow).where(OutboxRow.topic == topic, OutboxRow.done_at.is_(None))
        )
        or 0
    )
