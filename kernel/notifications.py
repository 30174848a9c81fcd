"""The inbox: what a person is told because somebody else acted (000 §6.7, requirement D6).

A notice is written in the transaction of the act it tells of, so it is neither lost nor sent for something
that did not happen. Mail and text messages are driven from the outbox.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, bindparam, func, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock
from kernel.accounts import members_with
from kernel.db import Keyed, session


class Notice(Keyed):
    """One line in one person's inbox: the act, what it is about, and a title for people."""

    __tablename__ = "notices"
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    subject: Mapped[str]
    act: Mapped[str]
    title: Mapped[str]
    detail: Mapped[dict[str, Any]]
    is_warning: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_notices_person", "person_id", "id"),
        Index("ix_notices_unread", "person_id", postgresql_where=text("read_at IS NULL")),
    )


def tell(
    person_ids: Iterable[int],
    *,
    subject: str,
    act: str,
    title: str,
    is_warning: bool = False,
    at: datetime | None = None,
    **detail: Any,
) -> None:
    """Put a line into each person's inbox."""
    moment = at or clock.now()
    for person_id in sorted(set(person_ids)):
        session.add(
            Notice(
                person_id=person_id,
                subject=subject,
                act=act,
                title=title,
                detail=detail,
                is_warning=is_warning,
                at=moment,
            )
        )


def tell_organisation(organisation_id: int, *, subject: str, act: str, title: str, **more: Any) -> None:
    """Tell every member of an organisation."""
    tell(members_with(organisation_id), subject=subject, act=act, title=title, **more)


def inbox(person_id: int, *, page: int = 1, size: int = 20) -> tuple[list[Notice], int]:
    """One page of a person's lines, newest first, and how many there are."""
    mine = Notice.person_id == person_id
    total = session.scalar(select(func.count()).select_from(Notice).where(mine)) or 0
    rows = session.scalars(select(Notice).where(mine).order_by(Notice.id.desc()).limit(size).offset((page - 1) * size))
    return list(rows), total


#: Asked with every page of a signed-in person, so put together once.
_UNREAD = (
    select(func.count()).select_from(Notice).where(Notice.person_id == bindparam("person"), Notice.read_at.is_(None))
)


def unread(person_id: int) -> int:
    return session.scalar(_UNREAD, {"person": person_id}) or 0


def mark_read(person_id: int) -> None:
    """All lines of a person's inbox count as read."""
    session.execute(
        update(Notice).where(Notice.person_id == person_id, Notice.read_at.is_(None)).values(read_at=clock.machine())
    )
