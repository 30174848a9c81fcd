"""How much of a time limit is used, when it is due, and which light it shows (life-cycles §1).

Pure functions over an ordered log; no remaining time is stored anywhere. Day D is *used* if it counts in the timer's
unit, lies after the start day, is not after min(now, end) and lies in no pause. All dates are those of Asia/Shanghai.

- Events after ``now`` don't exist yet. Events are read in the order of their dates; those of one date in list order.
- A key numbers one pause. An event that stands in the log twice, alike in every member, is a replay and counts once;
  a pause taken up again on the same day therefore needs a key of its own.
- The first start stands; what comes after the first end changes nothing; an end or a go that meets nothing to end or
  resume changes nothing.
- ``month``: the limit becomes the calendar days from the start to the same day n months on, clamped to the month's
  end; used, left, warning and extensions are calendar days.
- A clock that ended while paused keeps ``due`` None. It was late only if the limit had run out before the day on which
  that last pause began; time in the pause is not held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from kernel.clock.calendar import Calendar, add_months
from kernel.clock.faults import CalendarEnds, DaysMissing, KeyMissing, NegativeLimit
from kernel.words import Worded

#: The day-by-day account keeps the most recent days only (ten years), so that no reading grows without bound.
MOST_DAYS = 3660

_LAST = date.max.toordinal()


class Unit(Worded):
    """What a limit is counted in."""

    WORKING_DAY = "working_day", "工作日", "Working day"
    CALENDAR_DAY = "calendar_day", "自然日", "Calendar day"
    MONTH = "month", "月", "Month"


class EventKind(Worded):
    """What can happen to a clock."""

    START = "start", "开始计时", "Start"
    STOP = "stop", "暂停计时", "Stop"
    GO = "go", "恢复计时", "Go on"
    EXTEND = "extend", "延长期限", "Extension"
    END = "end", "办结", "End"


class Light(Worded):
    """The state shown to people, by word, shape and colour; the first that holds, in this order of §1(9)."""

    GREY = "grey", "未开始", "Not started"
    DONE = "done", "按期办结", "Done in time"
    DONE_LATE = "done_late", "逾期办结", "Done late"
    BLUE = "blue", "暂停计时", "Paused"
    RED = "red", "红灯·逾期", "Red: overdue"
    AMBER = "amber", "黄灯·临期", "Amber: due soon"
    GREEN = "green", "绿灯·正常", "Green: on time"


@dataclass(frozen=True, slots=True)
class Timer:
    """A limit of ``limit`` units, with a warning when ``warn`` days or fewer are left.

    Raises:
        NegativeLimit: either number is negative.
    """

    unit: Unit
    limit: int
    warn: int = 0

    def __post_init__(self) -> None:
        for name in ("limit", "warn"):
            if getattr(self, name) < 0:
                raise NegativeLimit(field=name, value=getattr(self, name))


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Whether a pause covers its first day and its last; a day that it does not cover counts as usual."""

    pause_day: bool = True
    resume_day: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """One act on the clock: ``key`` names the pause of a stop or go, ``days`` the length of an extension.

    An extension is in the timer's own days: working days for ``working_day``, calendar days for the other units.

    Raises:
        KeyMissing: a stop or go without its key.
        DaysMissing: an extension without a positive number of days.
    """

    on: date
    event: EventKind
    key: str | None = None
    days: int | None = None

    def __post_init__(self) -> None:
        if self.event in (EventKind.STOP, EventKind.GO) and not self.key:
            raise KeyMissing(field="key")
        if self.event is EventKind.EXTEND and (self.days is None or self.days < 1):
            raise DaysMissing(field="days")


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the account: did it count, and why."""

    on: date
    counted: bool
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A clock as it stands on one date.

    Attributes:
        used, left: days; ``left`` is limit + extensions − used, negative when overdue.
        due: last day in time; None before the start and while a pause is open.
        light: see :class:`Light`.
        provisional: ``due`` (or, without one, what was counted) rests on a year whose holidays are not announced.
        days: every calendar day from the day after the start through min(now, end), at most the last
            :data:`MOST_DAYS`; empty if the account was not asked for.
        if_resumed_due: while a pause is open, the due day if all pauses were resumed on min(now, end); else None.
    """

    used: int
    left: int
    due: date | None
    light: Light
    provisional: bool
    days: tuple[Day, ...]
    if_resumed_due: date | None


@dataclass(frozen=True, slots=True)
class Edge:
    """From 00:00 of ``on`` the clock shows ``light``, if nothing happens until then."""

    on: date
    light: Light


@dataclass(frozen=True, slots=True)
class _Pause:
    key: str
    stop: date
    go: date | None

    def covers(self, ruleset: Ruleset) -> tuple[int, int]:
        """First and last covered day as ordinals; an open pause reaches to the end of time."""
        first = self.stop.toordinal() + (not ruleset.pause_day)
        last = _LAST if self.go is None else self.go.toordinal() - (not ruleset.resume_day)
        return first, last


@dataclass(frozen=True, slots=True)
class _Log:
    """What the events up to one date amount to."""

    start: date | None
    end: date | None
    extension: int
    pauses: tuple[_Pause, ...]

    @property
    def paused(self) -> bool:
        return any(pause.go is None for pause in self.pauses)


def read(
    timer: Timer,
    ruleset: Ruleset,
    events: Iterable[Event],
    now: date,
    calendar: Calendar,
    *,
    account: bool = True,
    language: str = "zh",
) -> Reading:
    """Read the clock on ``now``.

    The cost grows with the number of events and years, not with the days passed; only the day-by-day account
    (``account=False`` leaves it out) walks the days.

    Raises:
        CalendarEnds: the due day would lie beyond what a date can hold.
    """
    log = _log(events, now)
    if log.start is None:
        left = _total(timer, log, now)
        return Reading(0, left, None, Light.GREY, provisional=False, days=(), if_resumed_due=None)
    count = _Count(timer.unit, calendar)
    total = _total(timer, log, log.start)
    through = now if log.end is None else log.end
    covered = _united(pause.covers(ruleset) for pause in log.pauses)
    used = count.within(_gaps(log.start, covered, through.toordinal()))
    reached = count.reaching(total, log.start, covered)
    due = None if log.paused else reached
    resumed = None
    if log.paused:
        closed = (pause if pause.go else replace(pause, go=through) for pause in log.pauses)
        resumed = count.reaching(total, log.start, _united(pause.covers(ruleset) for pause in closed))
    return Reading(
        used=used,
        left=total - used,
        due=due,
        light=_light(timer, log, now, reached, total - used, _stopped_since(covered, ruleset)),
        provisional=count.is_provisional(log.start, due or through),
        days=_account(log, ruleset, through, count, language) if account else (),
        if_resumed_due=resumed,
    )


def edges(timer: Timer, ruleset: Ruleset, events: Iterable[Event], now: date, calendar: Calendar) -> tuple[Edge, ...]:
    """The changes of light after ``now`` that time alone will bring, in order: amber, then red (due + 1).

    Empty before the start, while paused, after the end and once red.
    """
    log = _log(events, now)
    if log.start is None or log.end is not None or log.paused:
        return ()
    count = _Count(timer.unit, calendar)
    total = _total(timer, log, log.start)
    covered = _united(pause.covers(ruleset) for pause in log.pauses)
    due = count.reaching(total, log.start, covered)
    amber = count.reaching(total - timer.warn, log.start, covered)
    if due is None or amber is None or due == date.max:
        raise CalendarEnds
    coming = (Edge(amber, Light.AMBER), Edge(date.fromordinal(due.toordinal() + 1), Light.RED))
    return tuple(edge for edge in coming if edge.on > now)


def next_change(timer: Timer, ruleset: Ruleset, events: Iterable[Event], now: date, calendar: Calendar) -> date | None:
    """The next date after ``now`` on which the light changes by time alone; None if only an act can change it."""
    coming = edges(timer, ruleset, events, now, calendar)
    return coming[0].on if coming else None


def _log(events: Iterable[Event], now: date) -> _Log:
    start: date | None = None
    end: date | None = None
    extension = 0
    opened: dict[str, date] = {}
    pauses: list[_Pause] = []
    for event in dict.fromkeys(sorted((event for event in events if event.on <= now), key=lambda event: event.on)):
        key = event.key or ""
        match event.event:
            case EventKind.START:
                start = start or event.on
            case EventKind.STOP:
                opened.setdefault(key, event.on)
            case EventKind.GO if key in opened:
                pauses.append(_Pause(key, opened.pop(key), event.on))
            case EventKind.EXTEND:
                extension += event.days or 0
            case EventKind.END if start is not None:
                end = event.on
                break
    pauses += [_Pause(key, stop, None) for key, stop in opened.items()]
    return _Log(start, end, extension, tuple(pauses))


def _total(timer: Timer, log: _Log, start: date) -> int:
    """The days granted; for months counted from ``start`` (before the start: as if it were today)."""
    limit = (add_months(start, timer.limit) - start).days if timer.unit is Unit.MONTH else timer.limit
    return limit + log.extension


def _united(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union of closed intervals, ascending and disjoint; empty ones vanish."""
    united: list[tuple[int, int]] = []
    for first, last in sorted(interval for interval in intervals if interval[0] <= interval[1]):
        if united and first <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(united[-1][1], last))
        else:
            united.append((first, last))
    return united


def _gaps(start: date, covered: Sequence[tuple[int, int]], until: int) -> Iterator[tuple[int, int]]:
    """The stretches in no pause, from the day after ``start`` through ``until``."""
    cursor = start.toordinal() + 1
    for first, last in covered:
        if first > until:
            break
        if first > cursor:
            yield cursor, first - 1
        cursor = max(cursor, last + 1)
    if cursor <= until:
        yield cursor, until


@dataclass(frozen=True, slots=True)
class _Count:
    """Counting in one unit."""

    unit: Unit
    calendar: Calendar

    def counts(self, day: date) -> bool:
        return self.unit is not Unit.WORKING_DAY or self.calendar.is_working_day(day)

    def days(self, first: int, last: int) -> int:
        if self.unit is not Unit.WORKING_DAY:
            return last - first + 1
        return self.calendar.working_days(date.fromordinal(first), date.fromordinal(last))

    def within(self, gaps: Iterable[tuple[int, int]]) -> int:
        return sum(self.days(first, last) for first, last in gaps)

    def reaching(self, total: int, start: date, covered: Sequence[tuple[int, int]]) -> date | None:
        """First day with used = ``total``, or None if an open pause stands before it."""
        if total <= 0:
            return start
        for first, last in _gaps(start, covered, _LAST):
            if last == _LAST:
                return self._nth(first, total)
            found = self.days(first, last)
            if found >= total:
                return self._nth(first, total)
            total -= found
        return None

    def _nth(self, first: int, nth: int) -> date:
        if self.unit is Unit.WORKING_DAY:
            return self.calendar.nth_working_day(date.fromordinal(first - 1), nth)
        if first + nth - 1 > _LAST:
            raise CalendarEnds
        return date.fromordinal(first + nth - 1)

    def is_provisional(self, start: date, last: date) -> bool:
        """Whether a working day after ``start`` through ``last`` lies in an unannounced year."""
        if self.unit is not Unit.WORKING_DAY or last <= start:
            return False
        first = date.fromordinal(start.toordinal() + 1)
        return any(self.calendar.is_provisional(date(year, 1, 1)) for year in range(first.year, last.year + 1))


def _light(timer: Timer, log: _Log, now: date, reached: date | None, left: int, stopped: date | None) -> Light:
    if log.end is not None:
        closed = stopped or log.end
        return Light.DONE if reached is None or closed <= reached else Light.DONE_LATE
    if log.paused:
        return Light.BLUE
    if reached is not None and now > reached:
        return Light.RED
    return Light.AMBER if left <= timer.warn else Light.GREEN


def _stopped_since(covered: Sequence[tuple[int, int]], ruleset: Ruleset) -> date | None:
    """The date of the stop since which no day has counted; None if no pause is open."""
    if not covered or covered[-1][1] != _LAST:
        return None
    return date.fromordinal(covered[-1][0] - (not ruleset.pause_day))


def _account(log: _Log, ruleset: Ruleset, through: date, count: _Count, language: str) -> tuple[Day, ...]:
    if log.start is None:
        return ()
    waiting = sorted(log.pauses, key=lambda pause: pause.stop, reverse=True)
    active: list[_Pause] = []
    days: list[Day] = []
    last = through.toordinal()
    for ordinal in range(max(log.start.toordinal() + 1, last - MOST_DAYS + 1), last + 1):
        on = date.fromordinal(ordinal)
        while waiting and waiting[-1].stop <= on:
            active.append(waiting.pop())
        active = [pause for pause in active if pause.go is None or pause.go >= on]
        covering: list[_Pause] = []
        for pause in active:
            first_covered, last_covered = pause.covers(ruleset)
            if first_covered <= ordinal <= last_covered:
                covering.append(pause)
        counted = not covering and count.counts(on)
        days.append(Day(on, counted, _why(on, counted, covering, active, count, language)))
    return tuple(days)


def _why(on: date, counted: bool, covering: list[_Pause], active: list[_Pause], count: _Count, language: str) -> str:
    english = language == "en"
    if covering:
        keys = ", ".join(sorted({pause.key for pause in covering}))
        if all(pause.stop == on for pause in covering):
            return f"first day of a pause, not counted ({keys})" if english else f"暂停当日，按规则不计时（{keys}）"
        if all(pause.go == on for pause in covering):
            return f"last day of a pause, not counted ({keys})" if english else f"恢复当日，按规则不计时（{keys}）"
        return f"paused, not counted ({keys})" if english else f"暂停期间，不计时（{keys}）"
    if count.unit is Unit.WORKING_DAY:
        reason = count.calendar.why(on, language)
    else:
        reason = "calendar day" if english else "自然日"
    if english:
        text = f"{reason}: {'counted' if counted else 'not counted'}"
        return text + (", as the rule counts the first and last day of a pause" if counted and active else "")
    text = f"{reason}，{'计时' if counted else '不计时'}"
    return text + ("（暂停、恢复当日按规则照常计时）" if counted and active else "")
