"""The inbox: what a person is told because somebody else acted (000 §6.7, requirement D6).

A notice is written in the transaction of the act it tells of, so it is neither lost nor sent for something
that did not happen. Mail and text messages are driven from the outbox.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ForeignKey,
    Index,
    Select,
    Table,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock
from kernel.accounts.people import Membership
from kernel.db import Keyed, session
from kernel.statements import Statement


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


_NOTICES = cast("Table", Notice.__table__)
#: What the notices of one act have in common.
_SAME = ("subject", "act", "title", "detail", "is_warning", "at")


def _telling(people: Select[Any]) -> Statement:
    """Write one notice for each person of a question, in their order."""
    person = people.subquery("person")
    same = (bindparam(name, type_=_NOTICES.c[name].type) for name in _SAME)
    rows = select(person.c.id, *same).order_by(person.c.id)
    return Statement(insert(_NOTICES).inline().from_select(["person_id", *_SAME], rows))


_TELL = _telling(select(func.unnest(bindparam("people", type_=ARRAY(BigInteger))).label("id")))
_TELL_MEMBERS = _telling(
    select(Membership.person_id.label("id"))
    .where(Membership.organisation_id == bindparam("organisation"), Membership.ended_at.is_(None))
    .distinct()
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
    people = sorted(set(person_ids))
    if people:
        _TELL.later(
            people=people,
            subject=subject,
            act=act,
            title=title,
            detail=detail,
            is_warning=is_warning,
            at=at or clock.now(),
        )


def tell_organisation(
    organisation_id: int,
    *,
    subject: str,
    act: str,
    title: str,
    is_warning: bool = False,
    at: datetime | None = None,
    **detail: Any,
) -> None:
    """Tell every member of an organisation."""
    _TELL_MEMBERS.later(
        organisation=organisation_id,
        subject=subject,
        act=act,
        title=title,
        detail=detail,
        is_warning=is_warning,
        at=at or clock.now(),
    )


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
