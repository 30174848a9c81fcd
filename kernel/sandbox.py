"""The sandbox: legal time that can be moved forward, and accounts to look around with (trust G13).

Legal time is the database's, ``portal_now()``: the server's clock plus an offset that is 0 unless the sandbox
moved it. Moving it applies every act that falls due on the way, in order and each with its own legal instant
(:mod:`kernel.jobs`). Sign-in, tokens, leases and signatures stay on machine time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import CheckConstraint, delete, event, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from kernel import clock, jobs
from kernel.accounts import security_log
from kernel.accounts.people import Person
from kernel.accounts.security_log import SecurityEvent
from kernel.accounts.sign_in import current_code
from kernel.db import Base, db, in_transaction, session, transaction
from kernel.errors import Conflict, Invalid

#: Run by the first migration, after the table: legal time for SQL and for :func:`legal_now`.
PORTAL_NOW_SQL: Final = """
CREATE OR REPLACE FUNCTION portal_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS
$$ SELECT clock_timestamp() + make_interval(secs => coalesce((SELECT offset_seconds FROM sandbox_clock WHERE id = 1), 0)) $$
"""
#: The longest way that one call may go.
FURTHEST: Final = timedelta(days=366)
_MOVING: Final = 0x5A7D_B0C5
_AHEAD: Final = "portal_ahead"


class ClockNeverBack(Conflict):
    code = "clock_never_back"
    zh = "演示时间只能向前：现在已是 {now}"
    en = "Demo time only goes forward: it is {now} already"


class ClockTooFar(Invalid):
    code = "clock_too_far"
    zh = "一次最多前进 {days} 天"
    en = "One move goes {days} days at most"


class ClockRequestUnclear(Invalid):
    code = "clock_request_unclear"
    zh = '请写明 forward（如 "P7D"）或 to（如 "2026-03-09T09:00:00+08:00"）其中一项'
    en = 'Name one of forward (such as "P7D") and to (such as "2026-03-09T09:00:00+08:00")'


class SandboxClock(Base):
    """One row: by how many seconds legal time is ahead of the server's clock (or behind, at a demo's start)."""

    __tablename__ = "sandbox_clock"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    offset_seconds: Mapped[int]
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class DemoAccount(Base):
    """An account that the demo made, with its password in clear: shown on the sign-in page of a sandbox."""

    __tablename__ = "demo_accounts"
    login: Mapped[str] = mapped_column(primary_key=True)
    password: Mapped[str]
    place: Mapped[int] = mapped_column(default=0)


@dataclass(frozen=True, slots=True)
class Moved:
    """Legal time when at rest, and the number of acts applied on the way."""

    now: datetime
    acts: int

    def json(self) -> dict[str, Any]:
        return {"now": self.now.astimezone(clock.SHANGHAI).isoformat(timespec="seconds"), "acts": self.acts}


@dataclass(frozen=True, slots=True)
class Entry:
    """A demo account as the sign-in page shows it; ``code`` is what the second factor shows now, or ''."""

    login: str
    name: str
    organisation: str
    roles: tuple[str, ...]
    password: str
    code: str


def legal_now() -> datetime:
    """Legal time in UTC. In a transaction always asked of the database, otherwise once per reading of a session."""
    current = session()
    if not in_transaction():
        ahead = current.info.get(_AHEAD)
        if ahead is not None:
            return clock.machine() + ahead  # type: ignore[no-any-return]
    now: datetime = current.execute(text("SELECT portal_now()")).scalar_one().astimezone(UTC)
    if not in_transaction():
        current.info[_AHEAD] = now - clock.machine()
    return now


@event.listens_for(Session, "after_transaction_end")
def _forget(current: Session, _transaction: object) -> None:
    current.info.pop(_AHEAD, None)


def forward(duration: timedelta) -> Moved:
    """Move legal time on by ``duration``; an edge of its own.

    Raises:
        ClockTooFar: more than a year. ClockNeverBack: a negative duration.
    """
    with _alone():
        return _move(lambda now: now + duration)


def move_to(instant: datetime) -> Moved:
    """Move legal time to ``instant``; an edge of its own.

    Raises:
        ClockNeverBack: it is later already. ClockTooFar: more than a year ahead. NaiveInstant: no time zone.
    """
    if instant.utcoffset() is None:
        raise clock.NaiveInstant(field="to", value=instant.isoformat())
    with _alone():
        return _move(lambda now: instant)


def move(request: object) -> Moved:
    """Do what a JSON request asks: ``{"forward": "P7D"}`` or ``{"to": "2026-03-09T09:00:00+08:00"}``.

    Raises:
        ClockRequestUnclear, BadDuration, NaiveInstant, ClockNeverBack, ClockTooFar.
    """
    if not isinstance(request, dict) or len(request) != 1:
        raise ClockRequestUnclear
    match request:
        case {"forward": str(duration)}:
            return forward(clock.parse_duration(duration))
        case {"to": str(instant)}:
            try:
                return move_to(datetime.fromisoformat(instant))
            except (ValueError, OverflowError) as error:
                raise ClockRequestUnclear(field="to") from error
        case _:
            raise ClockRequestUnclear


def start_at(instant: datetime) -> bool:
    """Let legal time begin at ``instant``, in the caller's transaction; False if it was set before."""
    ahead = math.ceil((instant - _server_now()).total_seconds())
    made = session.execute(
        insert(SandboxClock)
        .values(id=1, offset_seconds=ahead)
        .on_conflict_do_nothing()
        .returning(SandboxClock.offset_seconds)
    )
    return made.first() is not None


def leave() -> None:
    """Back to the server's own time, for a database that goes from the sandbox into service."""
    session.execute(delete(SandboxClock))


def announce(login: str, password: str) -> None:
    """Let the sign-in page of the sandbox show this account; the demo calls it in the order of display."""
    place = len(session.scalars(select(DemoAccount.login)).all())
    session.add(DemoAccount(login=login.strip().lower(), password=password, place=place))
    session.flush()


def demo_accounts(language: str = "zh") -> Sequence[Entry]:
    """The announced accounts that are open, with their current codes."""
    rows = session.execute(
        select(DemoAccount, Person)
        .join(Person, Person.login == DemoAccount.login)
        .where(Person.disabled_at.is_(None))
        .order_by(DemoAccount.place, DemoAccount.login)
    ).all()
    return [_entry(shown, person, language) for shown, person in rows]


def sign_in_demo(login: str, *, address: str = "") -> Person | None:
    """The person of an announced account, without password or code; for the sandbox's one-click sign-in only."""
    person = session.scalars(
        select(Person)
        .join(DemoAccount, DemoAccount.login == Person.login)
        .where(Person.login == login, Person.disabled_at.is_(None))
    ).first()
    if person is not None:
        security_log.record(SecurityEvent.DEMO_SIGNED_IN, login=login, person_id=person.id, address=address)
    return person


def _entry(shown: DemoAccount, person: Person, language: str) -> Entry:
    held = [m for m in person.memberships if m.ended_at is None]
    return Entry(
        login=person.login,
        name=person.name,
        organisation=held[0].organisation.name if held else "",
        roles=tuple(m.role.label(language) for m in held),
        password=shown.password,
        code=current_code(person),
    )


def _move(target: Any) -> Moved:
    with transaction():
        now = legal_now()
        until: datetime = target(now)
        if until < now:
            raise ClockNeverBack(field="to", now=now.astimezone(clock.SHANGHAI).isoformat(timespec="seconds"))
        if until - now > FURTHEST:
            raise ClockTooFar(field="to", days=FURTHEST.days)
        ahead = math.ceil((until - _server_now()).total_seconds())
        statement = insert(SandboxClock).values(id=1, offset_seconds=ahead)
        session.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"offset_seconds": ahead}))
    acts = jobs.run_due()
    return Moved(legal_now(), acts)


@contextmanager
def _alone() -> Iterator[None]:
    """One mover at a time, through all the acts: a lock on a connection of its own, outside the pool."""
    session.rollback()
    connection = db.engine.connect()
    try:
        connection.detach()
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MOVING})
        yield
    finally:
        connection.close()


def _server_now() -> datetime:
    return session.execute(text("SELECT clock_timestamp()")).scalar_one()  # type: ignore[no-any-return]
