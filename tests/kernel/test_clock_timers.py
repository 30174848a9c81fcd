"""Time limits: the fixed cases and the properties of life-cycles §1."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.clock import (
    MOST_DAYS,
    CalendarEnds,
    Edge,
    Event,
    EventKind,
    Light,
    Reading,
    Ruleset,
    Timer,
    Unit,
    china,
    edges,
    next_change,
    read,
)
from kernel.clock.faults import DaysMissing, KeyMissing, NegativeLimit

TEN = Timer(Unit.WORKING_DAY, 10, 2)
BOTH = Ruleset(pause_day=True, resume_day=True)


def march(day: int) -> date:
    return date(2024, 3, day)


def start(on: date) -> Event:
    return Event(on, EventKind.START)


def stop(on: date, key: str = "correction:1") -> Event:
    return Event(on, EventKind.STOP, key)


def go(on: date, key: str = "correction:1") -> Event:
    return Event(on, EventKind.GO, key)


def extend(on: date, days: int, key: str | None = None) -> Event:
    return Event(on, EventKind.EXTEND, key, days)


def end(on: date) -> Event:
    return Event(on, EventKind.END)


ACCEPTED = start(march(4))
CORRECTION = [ACCEPTED, stop(march(6)), go(march(13))]
PUBLICITY = [stop(march(8), "special:publicity:1"), go(march(18), "special:publicity:1")]


def ask(events: list[Event], now: date, timer: Timer = TEN, ruleset: Ruleset = BOTH) -> Reading:
    return read(timer, ruleset, events, now, china())


# The fixed cases


@pytest.mark.parametrize(
    ("now", "used", "light"),
    [
        (march(4), 0, Light.GREEN),
        (march(5), 1, Light.GREEN),
        (march(13), 7, Light.GREEN),
        (march(14), 8, Light.AMBER),
        (march(15), 9, Light.AMBER),
        (march(16), 9, Light.AMBER),
        (march(18), 10, Light.AMBER),
        (march(19), 11, Light.RED),
    ],
)
def test_without_a_pause_the_light_changes_on_its_days(now: date, used: int, light: Light) -> None:
    reading = ask([ACCEPTED], now)
    assert (reading.used, reading.left, reading.light) == (used, 10 - used, light)
    assert reading.due == march(18)
    assert not reading.provisional


def test_while_papers_are_awaited_there_is_no_due_day() -> None:
    reading = ask(CORRECTION, march(8))
    assert (reading.used, reading.left, reading.due, reading.light) == (1, 9, None, Light.BLUE)
    assert reading.if_resumed_due == date(2024, 3, 21)


def test_supplied_papers_move_the_due_day() -> None:
    reading = ask(CORRECTION, march(14))
    assert (reading.used, reading.left, reading.due, reading.light) == (2, 8, march(26), Light.GREEN)
    assert reading.if_resumed_due is None


def test_overlapping_pauses_are_united_and_not_summed() -> None:
    assert ask([*CORRECTION, *PUBLICITY], march(20)).due == march(29)


@pytest.mark.parametrize(
    ("accepted", "limit", "due"),
    [(date(2024, 9, 27), 12, date(2024, 10, 18)), (date(2024, 2, 1), 5, date(2024, 2, 7))],
)
def test_the_official_calendar_decides(accepted: date, limit: int, due: date) -> None:
    assert ask([start(accepted)], accepted, Timer(Unit.WORKING_DAY, limit)).due == due


# Order of lights and acts


def test_a_clock_that_has_not_started_is_grey() -> None:
    for events in ([], [start(march(5))], [end(march(1))], [stop(march(1))]):
        reading = ask(events, march(4))
        assert (reading.light, reading.used, reading.left, reading.due) == (Light.GREY, 0, 10, None)


@pytest.mark.parametrize(
    ("ended", "light", "used"),
    [(march(15), Light.DONE, 9), (march(18), Light.DONE, 10), (march(19), Light.DONE_LATE, 11)],
)
def test_after_the_end_everything_stands(ended: date, light: Light, used: int) -> None:
    for now in (ended, ended + timedelta(days=300)):
        reading = ask([ACCEPTED, end(ended), stop(ended + timedelta(days=1)), extend(march(31), 9)], now)
        assert (reading.light, reading.used, reading.left, reading.due) == (light, used, 10 - used, march(18))
        assert reading.days[-1].on == ended


def test_a_weekend_end_after_the_due_friday_is_late_with_nothing_left() -> None:
    reading = ask([ACCEPTED, end(march(17))], march(20), Timer(Unit.WORKING_DAY, 9))
    assert (reading.left, reading.due, reading.light) == (0, march(15), Light.DONE_LATE)


def test_a_pause_is_blue_even_when_overdue() -> None:
    reading = ask([ACCEPTED, stop(march(20))], march(25))
    assert (reading.left, reading.due, reading.light) == (-1, None, Light.BLUE)
    assert ask([ACCEPTED, stop(march(20)), go(march(25))], march(25)).light is Light.RED


def test_overdue_time_goes_on_into_the_negative() -> None:
    assert ask([ACCEPTED], march(25)).left == -5
    assert ask([ACCEPTED], march(25)).light is Light.RED


def test_a_rest_day_after_the_due_day_is_red_with_nothing_left() -> None:
    reading = ask([ACCEPTED], march(16), Timer(Unit.WORKING_DAY, 9, 2))
    assert (reading.due, reading.left, reading.light) == (march(15), 0, Light.RED)


@pytest.mark.parametrize(
    ("delivered", "light"), [(march(15), Light.DONE), (march(18), Light.DONE), (march(19), Light.DONE_LATE)]
)
@pytest.mark.parametrize("flag", [True, False])
def test_time_with_the_acceptor_is_not_held_against_the_deliverer(delivered: date, light: Light, flag: bool) -> None:
    events = [ACCEPTED, stop(delivered, "acceptance"), end(date(2024, 4, 30))]
    reading = ask(events, date(2024, 5, 6), ruleset=Ruleset(flag, flag))
    assert (reading.light, reading.due) == (light, None)


def test_pauses_that_follow_without_a_counted_day_between_are_one_standstill() -> None:
    events = [ACCEPTED, stop(march(7), "a"), go(march(12), "a"), stop(march(12), "b"), end(march(29))]
    three = Timer(Unit.WORKING_DAY, 3)
    reading = ask(events, march(29), three, Ruleset(pause_day=False, resume_day=False))
    assert (reading.left, reading.light) == (-1, Light.DONE_LATE)
    events = [ACCEPTED, stop(march(7), "a"), go(march(13), "a"), stop(march(12), "b"), end(march(29))]
    reading = ask(events, march(29), three, Ruleset(pause_day=False, resume_day=True))
    assert (reading.left, reading.light) == (0, Light.DONE)


@pytest.mark.parametrize(
    ("pause_day", "resume_day", "used"), [(True, True, 1), (True, False, 2), (False, True, 2), (False, False, 2)]
)
def test_a_one_day_pause_covers_its_day_only_if_both_flags_are_true(
    pause_day: bool, resume_day: bool, used: int
) -> None:
    events = [ACCEPTED, stop(march(6)), go(march(6))]
    assert ask(events, march(6), ruleset=Ruleset(pause_day, resume_day)).used == used


@pytest.mark.parametrize(
    ("pause_day", "resume_day", "used"), [(True, True, 2), (True, False, 3), (False, True, 3), (False, False, 4)]
)
def test_a_flag_at_false_lets_the_first_or_last_day_count(pause_day: bool, resume_day: bool, used: int) -> None:
    assert ask(CORRECTION, march(14), ruleset=Ruleset(pause_day, resume_day)).used == used


def test_acts_of_one_date_apply_in_list_order() -> None:
    assert ask([ACCEPTED, stop(march(6)), go(march(6))], march(7)).light is Light.GREEN
    assert ask([ACCEPTED, go(march(6)), stop(march(6))], march(7)).light is Light.BLUE
    assert ask([ACCEPTED, end(march(6)), stop(march(6))], march(7)).light is Light.DONE
    assert ask([ACCEPTED, stop(march(6), "a"), go(march(6), "a"), stop(march(6), "b")], march(7)).light is Light.BLUE


def test_repeating_a_stop_or_a_go_changes_nothing() -> None:
    repeated = [ACCEPTED, stop(march(6)), stop(march(7)), go(march(13)), go(march(15)), go(march(15), "never stopped")]
    assert ask(repeated, march(20)) == ask(CORRECTION, march(20))


def test_an_extension_moves_the_due_day_and_the_light() -> None:
    assert ask([ACCEPTED, extend(march(14), 5)], march(13)).due == march(18)
    reading = ask([ACCEPTED, extend(march(14), 5)], march(19))
    assert (reading.used, reading.left, reading.due, reading.light) == (11, 4, march(25), Light.GREEN)


def test_two_extensions_of_one_day_add_up_unless_one_is_a_replay() -> None:
    assert ask([ACCEPTED, extend(march(14), 5, "a"), extend(march(14), 5, "b")], march(14)).left == 12
    assert ask([ACCEPTED, extend(march(14), 5, "a"), extend(march(14), 5, "a")], march(14)).left == 7


# Units


def test_calendar_days_count_weekends() -> None:
    reading = ask([ACCEPTED], march(10), Timer(Unit.CALENDAR_DAY, 10, 2))
    assert (reading.used, reading.left, reading.due) == (6, 4, march(14))


@pytest.mark.parametrize(
    ("started", "months", "due"),
    [
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 8, 31), 6, date(2024, 2, 29)),
        (date(2024, 3, 4), 3, date(2024, 6, 4)),
    ],
)
def test_months_end_on_the_same_day_or_the_months_end(started: date, months: int, due: date) -> None:
    reading = ask([start(started)], started, Timer(Unit.MONTH, months, 5))
    assert (reading.due, reading.used, reading.left) == (due, 0, (due - started).days)
    assert ask([start(started)], due, Timer(Unit.MONTH, months, 5)).light is Light.AMBER
    assert ask([start(started)], due + timedelta(days=1), Timer(Unit.MONTH, months, 5)).light is Light.RED


def test_months_are_moved_by_the_paused_calendar_days() -> None:
    events = [start(date(2024, 1, 31)), stop(date(2024, 2, 10)), go(date(2024, 2, 12))]
    assert ask(events, date(2024, 2, 20), Timer(Unit.MONTH, 1)).due == date(2024, 3, 3)


# Provisional


def test_a_due_day_in_an_unannounced_year_is_provisional() -> None:
    started = date(2026, 12, 28)
    assert ask([start(started)], started, Timer(Unit.WORKING_DAY, 3)).provisional is False
    reading = ask([start(started)], started, Timer(Unit.WORKING_DAY, 4))
    assert (reading.due, reading.provisional) == (date(2027, 1, 4), True)
    assert ask([start(started)], started, Timer(Unit.CALENDAR_DAY, 10)).provisional is False


def test_a_due_day_before_the_unannounced_year_stays_certain_when_overdue() -> None:
    reading = ask([start(date(2026, 12, 1))], date(2027, 1, 20), Timer(Unit.WORKING_DAY, 3))
    assert (reading.light, reading.provisional) == (Light.RED, False)


# Edges


def test_the_next_change_is_amber_then_the_day_after_due_then_nothing() -> None:
    def changes(now: date, events: list[Event]) -> date | None:
        return next_change(TEN, BOTH, events, now, china())

    assert changes(march(4), [ACCEPTED]) == march(14)
    assert changes(march(13), [ACCEPTED]) == march(14)
    assert changes(march(14), [ACCEPTED]) == march(19)
    assert changes(march(18), [ACCEPTED]) == march(19)
    assert changes(march(19), [ACCEPTED]) is None
    assert changes(march(1), [ACCEPTED]) is None
    assert changes(march(8), CORRECTION) is None
    assert changes(march(14), [ACCEPTED, end(march(13))]) is None
    assert edges(TEN, BOTH, [ACCEPTED], march(4), china()) == (
        Edge(march(14), Light.AMBER),
        Edge(march(19), Light.RED),
    )


# The account


def test_the_account_holds_every_day_from_the_day_after_the_start() -> None:
    reading = ask(CORRECTION, march(14))
    assert [day.on for day in reading.days] == [march(n) for n in range(5, 15)]
    assert [day.on for day in reading.days if day.counted] == [march(5), march(14)]
    whys = {day.on.day: day.why for day in reading.days}
    assert whys[5] == "星期二，工作日，计时"
    assert whys[6] == "暂停当日，按规则不计时（correction:1）"
    assert whys[9] == "暂停期间，不计时（correction:1）"
    assert whys[13] == "恢复当日，按规则不计时（correction:1）"
    open_flags = ask(CORRECTION, march(14), ruleset=Ruleset(pause_day=False, resume_day=False))
    assert open_flags.days[1].why == "星期三，工作日，计时（暂停、恢复当日按规则照常计时）"
    english = read(TEN, BOTH, CORRECTION, march(14), china(), language="en")
    assert [day.why for day in english.days[:2]] == [
        "Tuesday, a working day: counted",
        "first day of a pause, not counted (correction:1)",
    ]


def test_the_account_of_a_clock_forgotten_for_decades_is_bounded() -> None:
    reading = ask([start(date(1990, 1, 1))], date(2024, 1, 1))
    assert len(reading.days) == MOST_DAYS
    assert reading.days[-1].on == date(2024, 1, 1)
    assert reading.used == china().working_days(date(1990, 1, 2), date(2024, 1, 1))
    assert read(TEN, BOTH, [ACCEPTED], march(20), china(), account=False).days == ()


# What cannot be


def test_impossible_timers_and_events_are_refused_by_name() -> None:
    with pytest.raises(NegativeLimit):
        Timer(Unit.WORKING_DAY, -1)
    with pytest.raises(NegativeLimit):
        Timer(Unit.WORKING_DAY, 1, -1)
    with pytest.raises(KeyMissing):
        Event(march(1), EventKind.STOP)
    with pytest.raises(KeyMissing):
        Event(march(1), EventKind.GO, "")
    with pytest.raises(DaysMissing):
        Event(march(1), EventKind.EXTEND)
    with pytest.raises(DaysMissing):
        Event(march(1), EventKind.EXTEND, days=0)


def test_a_limit_beyond_all_dates_is_refused_by_name() -> None:
    for unit in (Unit.CALENDAR_DAY, Unit.MONTH):
        with pytest.raises(CalendarEnds):
            ask([ACCEPTED], march(4), Timer(unit, 4_000_000))


def test_every_light_unit_and_event_speaks_both_languages() -> None:
    for word in (*Light, *Unit, *EventKind):
        assert word.label("zh")
        assert word.label("en").isascii()
    assert [light.zh for light in Light] == [
        "未开始",
        "按期办结",
        "逾期办结",
        "暂停计时",
        "红灯·逾期",
        "黄灯·临期",
        "绿灯·正常",
    ]


# Properties, checked against counting day by day

BEGIN = date(2024, 1, 15)
offsets = st.integers(0, 120)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """A started clock with up to four pauses, each under a key of its own, and perhaps an extension and an end."""
    events = [start(BEGIN)]
    for number in range(draw(st.integers(0, 4))):
        begun = draw(offsets)
        events.append(stop(BEGIN + timedelta(days=begun), f"pause:{number}"))
        if draw(st.booleans()):
            events.append(go(BEGIN + timedelta(days=begun + draw(st.integers(0, 20))), f"pause:{number}"))
    if draw(st.booleans()):
        events.append(extend(BEGIN + timedelta(days=draw(offsets)), draw(st.integers(1, 9))))
    if draw(st.booleans()):
        events.append(end(BEGIN + timedelta(days=draw(st.integers(1, 120)))))
    return events


timers = st.builds(Timer, st.sampled_from(list(Unit)), st.integers(1, 6), st.integers(0, 12))
rulesets = st.builds(Ruleset, st.booleans(), st.booleans())
dates = st.integers(-2, 160).map(lambda n: BEGIN + timedelta(days=n))


def until_end(events: list[Event]) -> list[Event]:
    """The events without those that an end on an earlier (or the same) date leaves without effect."""
    ended = min((event.on for event in events if event.event is EventKind.END), default=date.max)
    return [event for event in events if event.on < ended or event.event is EventKind.END]


@settings(max_examples=120, deadline=None)
@given(timers, rulesets, logs(), dates)
def test_used_is_what_counting_each_day_gives(timer: Timer, ruleset: Ruleset, events: list[Event], now: date) -> None:
    events = until_end(events)
    reading = ask(events, now, timer, ruleset)
    known = [event for event in events if event.on <= now]
    through = min([event.on for event in known if event.event is EventKind.END] + [now])
    goes = {event.key: event.on for event in known if event.event is EventKind.GO}

    def is_paused(day: date) -> bool:
        for event in known:
            if event.event is not EventKind.STOP:
                continue
            resumed = goes.get(event.key, date.max)
            after_first = day > event.on or (day == event.on and ruleset.pause_day)
            before_last = day < resumed or (day == resumed and ruleset.resume_day)
            if after_first and before_last:
                return True
        return False

    used, day = 0, BEGIN + timedelta(days=1)
    while day <= through:
        counts = timer.unit is not Unit.WORKING_DAY or china().is_working_day(day)
        used += counts and not is_paused(day)
        day += timedelta(days=1)
    assert reading.used == used == sum(day.counted for day in reading.days)


@settings(max_examples=60, deadline=None)
@given(timers, rulesets, logs(), dates)
def test_the_order_of_pauses_is_irrelevant(timer: Timer, ruleset: Ruleset, events: list[Event], now: date) -> None:
    events = until_end(events)
    groups: dict[str | None, list[Event]] = {}
    for event in events:
        groups.setdefault(event.key, []).append(event)
    expected = ask(events, now, timer, ruleset)
    for order in list(permutations(groups.values()))[:24]:
        assert ask([event for group in order for event in group], now, timer, ruleset) == expected


@settings(max_examples=60, deadline=None)
@given(timers, rulesets, logs(), dates, offsets, st.integers(0, 20))
def test_a_pause_never_adds_used_time(
    timer: Timer, ruleset: Ruleset, events: list[Event], now: date, begun: int, length: int
) -> None:
    first = BEGIN + timedelta(days=begun)
    pause = [stop(first, "more"), go(first + timedelta(days=length), "more")]
    assert ask([*events, *pause], now, timer, ruleset).used <= ask(events, now, timer, ruleset).used


@settings(max_examples=60, deadline=None)
@given(timers, st.just(BOTH), logs(), dates)
def test_used_grows_by_nothing_or_one_a_day(timer: Timer, ruleset: Ruleset, events: list[Event], now: date) -> None:
    today, tomorrow = ask(events, now, timer, ruleset), ask(events, now + timedelta(days=1), timer, ruleset)
    assert tomorrow.used - today.used in (0, 1)


@settings(max_examples=80, deadline=None)
@given(timers, rulesets, logs(), dates)
def test_on_the_due_day_nothing_is_left_and_the_day_works(
    timer: Timer, ruleset: Ruleset, events: list[Event], now: date
) -> None:
    known = [event for event in events if event.on <= now and event.event is not EventKind.END]
    due = ask(known, now, timer, ruleset).due
    if due is None or due < now:  # an act after an overdue day may have moved the limit since
        return
    there = ask(known, due, timer, ruleset)
    assert (there.left, there.due) == (0, due)
    assert there.light is Light.AMBER
    assert ask(known, due + timedelta(days=1), timer, ruleset).light is Light.RED
    assert ask(known, due - timedelta(days=1), timer, ruleset).left > 0 or due == BEGIN
    if timer.unit is Unit.WORKING_DAY:
        assert china().is_working_day(due)


@settings(max_examples=80, deadline=None)
@given(timers, rulesets, logs(), dates, st.data())
def test_a_replayed_event_changes_nothing(
    timer: Timer, ruleset: Ruleset, events: list[Event], now: date, data: st.DataObject
) -> None:
    replayed = data.draw(st.sampled_from(events))
    place = data.draw(st.integers(events.index(replayed) + 1, len(events)))
    assert ask([*events[:place], replayed, *events[place:]], now, timer, ruleset) == ask(events, now, timer, ruleset)


@settings(max_examples=60, deadline=None)
@given(timers, rulesets, logs(), dates)
def test_between_edges_the_light_stands_still(timer: Timer, ruleset: Ruleset, events: list[Event], now: date) -> None:
    known = [event for event in events if event.on <= now]
    light = ask(known, now, timer, ruleset).light
    change = next_change(timer, ruleset, known, now, china())
    for ahead in range(1, 40):
        day = now + timedelta(days=ahead)
        if change is not None and day >= change:
            assert ask(known, change, timer, ruleset).light is not light
            return
        assert ask(known, day, timer, ruleset).light is light
