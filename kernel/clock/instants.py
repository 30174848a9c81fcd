"""The two clocks, and the border between instants and the dates of law.

``machine()`` is real time: sessions, tokens, leases, signatures. ``now()`` is *legal* time: deadlines, stamps;
the sandbox may move it through :func:`set_source`. Both are aware and in UTC. Dates are those of Asia/Shanghai.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone

from kernel.clock.faults import BadDuration, NaiveInstant

#: A fixed offset: there has been no summer time since 1992, and a bare system may lack the zone database.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

#: The longest duration accepted, a century, so that adding one to any present instant cannot overflow.
LONGEST = timedelta(days=36525)

_DURATION = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,6})W)?(?:([0-9]{1,6})D)?(?:T(?=[0-9])(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6})S)?)?"
)


def machine() -> datetime:
    """Real time, aware, in UTC."""
    return datetime.now(UTC)


_source: Callable[[], datetime] = machine


def now() -> datetime:
    """Legal time, aware, in UTC: real time unless the sandbox has set another source.

    Raises:
        NaiveInstant: the source answered an instant without a time zone.
    """
    return _aware(_source()).astimezone(UTC)


def set_source(source: Callable[[], datetime] | None = None) -> None:
    """Let ``now()`` ask ``source`` in this process; None goes back to the machine's time."""
    global _source
    _source = machine if source is None else source


def local_date(instant: datetime) -> date:
    """The date in Asia/Shanghai at ``instant``.

    Raises:
        NaiveInstant: ``instant`` has no time zone.
    """
    return _aware(instant).astimezone(SHANGHAI).date()


def instant_of(day: date) -> datetime:
    """00:00 of ``day`` in Asia/Shanghai, in UTC."""
    return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)


def today() -> date:
    """The legal date in Asia/Shanghai."""
    return local_date(now())


def parse_duration(text: str) -> timedelta:
    """An ISO 8601 duration of weeks, days, hours, minutes and seconds, such as ``P7D`` or ``P1DT12H``.

    Years and months are refused because their length is not fixed; so are fractions, signs and what exceeds
    :data:`LONGEST`.

    Raises:
        BadDuration: ``text`` is anything else.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise BadDuration(value=text)
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length > LONGEST:
        raise BadDuration(value=text)
    return length


def _aware(instant: datetime) -> datetime:
    if instant.utcoffset() is None:
        raise NaiveInstant(value=instant.isoformat())
    return instant
