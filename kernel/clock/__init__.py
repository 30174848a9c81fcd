"""Legal time, real time, working days and time limits (life-cycles §1). Knows no database and no record.

``now()`` is legal time, ``machine()`` real time. ``read()`` tells how a clock stands, ``next_change()`` when its
light will change by time alone, ``explain()`` answers the same in JSON.
"""

from __future__ import annotations

from kernel.clock.calendar import Arrangement, Calendar, Year, add_months, china
from kernel.clock.explain import explain, fault_json, main_explain
from kernel.clock.faults import BadDuration, CalendarEnds, ClockFault, NaiveInstant
from kernel.clock.instants import SHANGHAI, instant_of, local_date, machine, now, parse_duration, set_source, today
from kernel.clock.timers import (
    MOST_DAYS,
    Day,
    Edge,
    Event,
    EventKind,
    Light,
    Reading,
    Ruleset,
    Timer,
    Unit,
    edges,
    next_change,
    read,
)

__all__ = [
    "MOST_DAYS",
    "SHANGHAI",
    "Arrangement",
    "BadDuration",
    "Calendar",
    "CalendarEnds",
    "ClockFault",
    "Day",
    "Edge",
    "Event",
    "EventKind",
    "Light",
    "NaiveInstant",
    "Reading",
    "Ruleset",
    "Timer",
    "Unit",
    "Year",
    "add_months",
    "china",
    "edges",
    "explain",
    "fault_json",
    "instant_of",
    "local_date",
    "machine",
    "main_explain",
    "next_change",
    "now",
    "parse_duration",
    "read",
    "set_source",
    "today",
]
