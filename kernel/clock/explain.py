"""A due date worked out for a person who wants to check it by hand; needs no database.

A question is a JSON object ``{"timer", "ruleset", "events", "now"}``, its answer ``{"used", "left", "due", "light",
"provisional", "days"}``; a list of questions is answered by a list in the same order. ``days`` holds every calendar
day from the day after the start through min(now, end), at most the last :data:`~kernel.clock.timers.MOST_DAYS`.
Input is read strictly: a misspelt member would otherwise yield a wrong date that looks right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

from kernel.clock import faults
from kernel.clock.calendar import Calendar, china
from kernel.clock.timers import Event, EventKind, Reading, Ruleset, Timer, Unit, read
from kernel.errors import PortalError

#: Bounds that no real limit reaches, and that keep every date a date.
MOST_DAYS_GRANTED = 36500
MOST_MONTHS = 1200
_DATE = re.compile(r"(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}")


def explain(question: object, *, calendar: Calendar | None = None, language: str = "zh") -> object:
    """Answer one question, or a list of them by a list.

    Raises:
        ClockFault: a member is missing, unknown or faulty; ``field`` holds its path, e.g. ``[2].events[1].key``.
    """
    calendar = calendar or china()
    if isinstance(question, list):
        answers = []
        for index, single in enumerate(question):
            with _within(f"[{index}]"):
                answers.append(_answer(single, calendar, language))
        return answers
    return _answer(question, calendar, language)


def main_explain(text: str, *, language: str = "zh") -> str:
    """JSON text in, JSON text out.

    Raises:
        NotJson: ``text`` is not JSON.
        ClockFault: as :func:`explain`.
    """
    try:
        question = json.loads(text)
    except json.JSONDecodeError as problem:
        raise faults.NotJson(line=problem.lineno, column=problem.colno) from problem
    except (RecursionError, ValueError) as problem:  # nested beyond reason, or a number of thousands of digits
        raise faults.NotJson(line=1, column=1) from problem
    return _dumps(explain(question, language=language))


def fault_json(error: PortalError) -> str:
    """``error`` as JSON text ``{"error": {"code", "path", "zh", "en"}}``, for a program that reads the answer."""
    told = {"code": error.code, "path": error.field, "zh": error.text("zh"), "en": error.text("en")}
    return _dumps({"error": told})


def _dumps(answer: object) -> str:
    """JSON text that any UTF-8 stream takes: a lone surrogate from the question goes back as its escape."""
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")


def _answer(question: object, calendar: Calendar, language: str) -> dict[str, object]:
    whole = _members(question, ("timer", "ruleset", "events", "now"))
    with _within("timer"):
        timer = _timer(whole["timer"])
    with _within("ruleset"):
        ruleset = _ruleset(whole["ruleset"])
    if not isinstance(whole["events"], list):
        raise faults.WrongShape(field="events", wanted="list")
    events = []
    for index, raw in enumerate(whole["events"]):
        with _within(f"events[{index}]"):
            events.append(_event(raw))
    now = _date(whole, "now")
    _check_order(events, now)
    return _told(read(timer, ruleset, events, now, calendar, language=language))


def _told(reading: Reading) -> dict[str, object]:
    return {
        "used": reading.used,
        "left": reading.left,
        "due": reading.due.isoformat() if reading.due else None,
        "light": reading.light.value,
        "provisional": reading.provisional,
        "days": [{"on": day.on.isoformat(), "counted": day.counted, "why": day.why} for day in reading.days],
    }


def _timer(raw: object) -> Timer:
    members = _members(raw, ("unit", "limit", "warn"))
    unit = next((unit for unit in Unit if unit == members["unit"]), None)
    if unit is None:
        raise faults.UnknownUnit(field="unit", value=members["unit"], known=", ".join(Unit))
    most = MOST_MONTHS if unit is Unit.MONTH else MOST_DAYS_GRANTED
    return Timer(unit, _number(members, "limit", most), _number(members, "warn", MOST_DAYS_GRANTED))


def _ruleset(raw: object) -> Ruleset:
    members = _members(raw, ("pause_day", "resume_day"))
    for name, value in members.items():
        if not isinstance(value, bool):
            raise faults.WrongShape(field=name, wanted="true / false")
    return Ruleset(pause_day=members["pause_day"], resume_day=members["resume_day"])


def _event(raw: object) -> Event:
    members = _members(raw, ("on", "event"), ("key", "days"))
    kind = next((kind for kind in EventKind if kind == members["event"]), None)
    if kind is None:
        raise faults.UnknownEvent(field="event", value=members["event"], known=", ".join(EventKind))
    key = members.get("key")
    if key is not None and not isinstance(key, str):
        raise faults.WrongShape(field="key", wanted="text")
    days = None
    if kind is EventKind.EXTEND:
        if members.get("days") is None:
            raise faults.DaysMissing(field="days")
        days = _number(members, "days", MOST_DAYS_GRANTED)
    return Event(_date(members, "on"), kind, key, days)


def _check_order(events: list[Event], now: date) -> None:
    """Contradictions that a reading would pass over, but a person checking a date should be told of."""
    start: Event | None = None
    end: Event | None = None
    early_end: int | None = None
    known = sorted((event.on, index) for index, event in enumerate(events) if event.on <= now)
    for _, index in known:
        event = events[index]
        if event.event is EventKind.START:
            if early_end is not None:
                early = events[early_end].on.isoformat()
                raise faults.EndedBeforeStart(field=f"events[{early_end}].on", start=event.on.isoformat(), end=early)
            if start is not None and start.on != event.on:
                first, second = start.on.isoformat(), event.on.isoformat()
                raise faults.StartedTwice(field=f"events[{index}].on", first=first, second=second)
            start = start or event
        elif event.event is EventKind.END:
            if start is None:
                early_end = index
            elif end is not None and end.on != event.on:
                first, second = end.on.isoformat(), event.on.isoformat()
                raise faults.EndedTwice(field=f"events[{index}].on", first=first, second=second)
            else:
                end = event


def _members(raw: object, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise faults.WrongShape(wanted="object")
    for name in wanted:
        if name not in raw:
            raise faults.MemberMissing(field=name, name=name)
    for name in raw:
        if name not in wanted + optional:
            raise faults.MemberUnknown(field=name, name=name, known=", ".join(wanted + optional))
    return raw


def _number(members: Mapping[str, Any], name: str, most: int) -> int:
    value = members[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise faults.BadNumber(field=name, least=0, most=most)
    if value < 0:
        raise faults.NegativeLimit(field=name, value=value)
    if value > most:
        raise faults.BadNumber(field=name, least=0, most=most)
    return value


def _date(members: Mapping[str, Any], name: str) -> date:
    value = members[name]
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise faults.BadDate(field=name, value=value)


@contextmanager
def _within(prefix: str) -> Iterator[None]:
    """Prefix the path of an incident raised inside."""
    try:
        yield
    except PortalError as error:
        separator = "" if error.field is None or error.field.startswith("[") else "."
        error.field = f"{prefix}{separator}{error.field or ''}"
        raise
