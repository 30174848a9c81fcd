"""Stored clocks: the events of each time limit, and the edges of its light (life-cycles §1, requirement D1).

Only events are stored; used, left, due and light are read from them by :func:`kernel.clock.read`. Each clock
holds the legal instant at which time alone will next change its light (``next_check_at``); the due-loop then
records the edge once, as an act of the system clock with that legal instant.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, select, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, trail
from kernel.clock import EventKind, Light, Reading, Unit
from kernel.db import HISTORY, Keyed, WordColumn, session
from kernel.policies import Policy
from kernel.statements import store
from kernel.trail import Actor
from kernel.words import Worded


class ClockKind(Worded):
    """What a limit is for; one clock of a kind runs on a subject at a time."""

    REQUEST = "request", "受理申请时限", "Time to answer a request"
    PUBLICITY = "publicity", "公示期", "Publicity period"
    OBJECTION = "objection", "异议答复时限", "Time to answer an objection"
    AGENCY_RESPONSE = "agency_response", "接受委托时限", "Time to take the commission on"
    SERVICE = "service", "承诺服务时限", "Promised service time"
    ACCEPTANCE = "acceptance", "认可成果时限", "Time to accept the deliverable"
    ROUND = "round", "审查轮次时限", "Time for a round of review"
    RESPONSE = "response", "答复审查意见时限", "Time to answer a review"
    CONSULTATION = "consultation", "部门反馈意见时限", "Time for a department's opinion"
    MEETING = "meeting", "会议时限", "Time for a meeting"
    STATUTORY = "statutory", "法定办理时限", "Statutory time limit"
    PROMISED = "promised", "承诺办理时限", "Promised time limit"


class StoredClock(Keyed):
    """One time limit on one subject; ``limit`` and ``warn`` in ``unit``."""

    __tablename__ = "clocks"
    subject: Mapped[str]
    kind: Mapped[ClockKind] = mapped_column(WordColumn(ClockKind))
    unit: Mapped[Unit] = mapped_column(WordColumn(Unit))
    limit: Mapped[int]
    warn: Mapped[int]
    pause_day: Mapped[bool]
    resume_day: Mapped[bool]
    policy: Mapped[str]
    calendar: Mapped[str]
    light: Mapped[Light] = mapped_column(WordColumn(Light))
    next_check_at: Mapped[datetime | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    events: Mapped[list[ClockEvent]] = relationship(back_populates="clock", order_by="ClockEvent.id", lazy="selectin")
    __table_args__ = (
        # The last word against two running clocks for one service.
        Index("uq_clocks_running", "subject", "kind", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_clocks_subject", "subject"),
        Index("ix_clocks_next_check_at", "next_check_at", postgresql_where=text("next_check_at IS NOT NULL")),
    )


class ClockEvent(Keyed):
    """One event, with the instant by legal time and the reason people gave."""

    __tablename__ = "clock_events"
    clock_id: Mapped[int] = mapped_column(ForeignKey("clocks.id"))
    event: Mapped[EventKind] = mapped_column(WordColumn(EventKind))
    at: Mapped[datetime]
    key: Mapped[str | None]
    days: Mapped[int | None]
    reason: Mapped[str] = mapped_column(default="")
    by: Mapped[str]
    clock: Mapped[StoredClock] = relationship(back_populates="events")
    __table_args__ = (Index("ix_clock_events_clock", "clock_id"), HISTORY)


def declare(noun: str, chinese: str, english: str) -> None:
    """Name the acts by which a noun's light changes, e.g. ``matter.light.amber``."""
    trail.name_acts(
        {
            f"{noun}.light.{light.value}": (f"{chinese}{light.zh}", f"{english}: {light.en}")
            for light in (Light.AMBER, Light.RED)
        }
    )


def start(
    subject: str,
    kind: ClockKind,
    *,
    unit: Unit,
    limit: int,
    warn: int,
    policy: Policy,
    by: Actor,
    at: datetime | None = None,
) -> StoredClock:
    """Start a clock; ``policy.values`` may set ``pause_day`` and ``resume_day`` (both true by default)."""
    moment = at or clock.now()
    stored = StoredClock(
        subject=subject,
        kind=kind,
        unit=unit,
        limit=limit,
        warn=warn,
        pause_day=bool(policy.values.get("pause_day", True)),
        resume_day=bool(policy.values.get("resume_day", True)),
        policy=policy.version,
        calendar=clock.china().version,
        light=Light.GREEN,
        started_at=moment,
    )
    store(stored)
    _add(stored, EventKind.START, moment, by)
    return stored


def stop(stored: StoredClock, key: str, *, by: Actor, reason: str = "", at: datetime | None = None) -> None:
    """Pause under a key; pauses of several keys are united, never summed."""
    _add(stored, EventKind.STOP, at or clock.now(), by, key=key, reason=reason)


def go(stored: StoredClock, key: str, *, by: Actor, at: datetime | None = None) -> None:
    """End the pause of a key."""
    _add(stored, EventKind.GO, at or clock.now(), by, key=key)


def extend(stored: StoredClock, days: int, *, by: Actor, reason: str, at: datetime | None = None) -> None:
    """Add days; an event with approver and reason, never a rewritten date."""
    _add(stored, EventKind.EXTEND, at or clock.now(), by, days=days, reason=reason)


def end(stored: StoredClock, *, by: Actor, at: datetime | None = None) -> None:
    """End the clock; its reading stands from now on."""
    stored.ended_at = at or clock.now()
    _add(stored, EventKind.END, stored.ended_at, by)


def running(subject: str, kind: ClockKind) -> StoredClock | None:
    """The clock of a kind that runs on a subject, if one does."""
    return session.scalars(
        select(StoredClock).where(
            StoredClock.subject == subject, StoredClock.kind == kind, StoredClock.ended_at.is_(None)
        )
    ).first()


def latest(subject: str, kind: ClockKind) -> StoredClock | None:
    """The last clock of a kind on a subject, running or ended."""
    return session.scalars(
        select(StoredClock)
        .where(StoredClock.subject == subject, StoredClock.kind == kind)
        .order_by(StoredClock.id.desc())
        .limit(1)
    ).first()


def latest_of(subject: str) -> dict[ClockKind, StoredClock]:
    """The last clock of every kind on a subject, in one question."""
    rows = session.scalars(select(StoredClock).where(StoredClock.subject == subject).order_by(StoredClock.id))
    return {stored.kind: stored for stored in rows}


def end_all(subject: str, *, by: Actor, at: datetime | None = None) -> None:
    """End every clock that runs on a subject."""
    for stored in session.scalars(
        select(StoredClock).where(StoredClock.subject == subject, StoredClock.ended_at.is_(None))
    ):
        end(stored, by=by, at=at)


def reading(
    stored: StoredClock, *, now: datetime | None = None, account: bool = False, language: str = "zh"
) -> Reading:
    """The clock as it stands at an instant (legal now by default)."""
    return clock.read(
        _timer(stored),
        _ruleset(stored),
        _events(stored),
        clock.local_date(now or clock.now()),
        clock.china(),
        account=account,
        language=language,
    )


def due(until: datetime, most: int) -> list[tuple[datetime, str]]:
    """Due-loop source: clocks whose light changes by time alone up to ``until``."""
    rows = session.execute(
        select(StoredClock.next_check_at, StoredClock.id)
        .where(StoredClock.next_check_at.is_not(None), StoredClock.next_check_at <= until)
        .order_by(StoredClock.next_check_at, StoredClock.id)
        .limit(most)
    )
    return [(at, str(key)) for at, key in rows if at is not None]


def act_on_edge(key: str, at: datetime) -> None:
    """Record the change of light that fell due at ``at``, once."""
    stored = session.scalars(
        select(StoredClock)
        .where(StoredClock.id == int(key))
        .with_for_update(of=StoredClock)
        .execution_options(populate_existing=True)
    ).one()
    if stored.next_check_at != at:
        return
    light = reading(stored, now=at).light
    changed = light != stored.light
    stored.light = light
    _plan(stored, at)
    if changed and light in (Light.AMBER, Light.RED):
        noun = stored.subject.partition(":")[0]
        trail.record(stored.subject, f"{noun}.light.{light.value}", by=trail.CLOCK, at=at, clock=stored.kind.value)


def _add(stored: StoredClock, event: EventKind, at: datetime, by: Actor, **more: Any) -> None:
    who = f"{by.organisation} {by.person}".strip()
    stored.events.append(ClockEvent(event=event, at=at, by=who, **more))
    stored.light = reading(stored, now=at).light
    _plan(stored, at)
    session.flush()


def _plan(stored: StoredClock, at: datetime) -> None:
    day = clock.next_change(_timer(stored), _ruleset(stored), _events(stored), clock.local_date(at), clock.china())
    stored.next_check_at = None if day is None else clock.instant_of(day)


def _timer(stored: StoredClock) -> clock.Timer:
    return clock.Timer(stored.unit, stored.limit, stored.warn)


def _ruleset(stored: StoredClock) -> clock.Ruleset:
    return clock.Ruleset(stored.pause_day, stored.resume_day)


def _events(stored: StoredClock) -> list[clock.Event]:
    return [clock.Event(clock.local_date(e.at), e.event, e.key, e.days) for e in stored.events]
