"""A due date checked by hand: JSON in, JSON out."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from kernel.clock import ClockFault, explain, fault_json, main_explain

QUESTION: dict[str, Any] = {
    "timer": {"unit": "working_day", "limit": 10, "warn": 2},
    "ruleset": {"pause_day": True, "resume_day": True},
    "events": [
        {"on": "2024-03-04", "event": "start"},
        {"on": "2024-03-06", "event": "stop", "key": "correction:1"},
        {"on": "2024-03-13", "event": "go", "key": "correction:1"},
    ],
    "now": "2024-03-14",
}


def test_the_worked_example_is_answered() -> None:
    answer = json.loads(main_explain(json.dumps(QUESTION)))
    days = answer.pop("days")
    assert answer == {"used": 2, "left": 8, "due": "2024-03-26", "light": "green", "provisional": False}
    assert days[0] == {"on": "2024-03-05", "counted": True, "why": "星期二，工作日，计时"}
    assert [day["on"] for day in days] == [f"2024-03-{n:02d}" for n in range(5, 15)]


def test_a_list_of_questions_is_answered_by_a_list_in_order() -> None:
    paused = {**QUESTION, "now": "2024-03-08"}
    answers = explain([QUESTION, paused])
    assert isinstance(answers, list)
    assert [(one["due"], one["light"]) for one in answers] == [("2024-03-26", "green"), (None, "blue")]
    assert explain([]) == []


def test_events_may_come_in_any_order_and_later_ones_do_not_exist_yet() -> None:
    shuffled = {**QUESTION, "events": [*reversed(QUESTION["events"]), {"on": "2024-03-15", "event": "end"}]}
    assert explain(shuffled) == explain(QUESTION)


def put(path: str, value: Any) -> dict[str, Any]:
    """The question with the member at ``path`` replaced (or removed, for Ellipsis)."""
    question = deepcopy(QUESTION)
    target: Any = question
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in way:
        target = target[step]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return question


@pytest.mark.parametrize(
    ("question", "code", "path"),
    [
        (put("timer/unit", "week"), "unknown_unit", "timer.unit"),
        (put("timer/unit", ["month"]), "unknown_unit", "timer.unit"),
        (put("timer/limit", -1), "negative_limit", "timer.limit"),
        (put("timer/limit", True), "bad_number", "timer.limit"),
        (put("timer/limit", 2.5), "bad_number", "timer.limit"),
        (put("timer/limit", 10**9), "bad_number", "timer.limit"),
        (put("timer/warn", ...), "member_missing", "timer.warn"),
        (put("timer/wran", 1), "member_unknown", "timer.wran"),
        (put("timer", None), "wrong_shape", "timer"),
        (put("ruleset/pause_day", "yes"), "wrong_shape", "ruleset.pause_day"),
        (put("events", {}), "wrong_shape", "events"),
        (put("events/0", 5), "wrong_shape", "events[0]"),
        (put("events/1/event", "pause"), "unknown_event", "events[1].event"),
        (put("events/1/key", ...), "pause_key_missing", "events[1].key"),
        (put("events/1/key", 7), "wrong_shape", "events[1].key"),
        (put("events/2", {"on": "2024-03-13", "event": "extend"}), "extension_days_missing", "events[2].days"),
        (
            put("events/2", {"on": "2024-03-13", "event": "extend", "days": 0}),
            "extension_days_missing",
            "events[2].days",
        ),
        (put("events/2", {"on": "2024-03-13", "event": "extend", "days": -3}), "negative_limit", "events[2].days"),
        (put("events/0/on", "2024-02-30"), "bad_date", "events[0].on"),
        (put("events/0/on", "20240304"), "bad_date", "events[0].on"),
        (put("now", "9999-12-31"), "bad_date", "now"),
        (put("now", ...), "member_missing", "now"),
        (put("events/2", {"on": "2024-03-05", "event": "start"}), "clock_started_twice", "events[2].on"),
        (put("events/2", {"on": "2024-03-01", "event": "end"}), "clock_ended_before_start", "events[2].on"),
        (
            put(
                "events", [{"on": f"2024-03-0{n}", "event": kind} for n, kind in ((1, "start"), (2, "end"), (3, "end"))]
            ),
            "clock_ended_twice",
            "events[2].on",
        ),
        (7, "wrong_shape", None),
    ],
)
def test_malformed_questions_are_refused_at_the_faulty_member(question: object, code: str, path: str | None) -> None:
    with pytest.raises(ClockFault) as caught:
        explain(question)
    assert (caught.value.code, caught.value.field) == (code, path)
    with pytest.raises(ClockFault) as caught:
        explain([QUESTION, question])
    assert caught.value.field == "[1]" + (f".{path}" if path else "")
    told = json.loads(fault_json(caught.value))["error"]
    assert told["code"] == code
    assert told["zh"]
    assert told["en"]


@pytest.mark.parametrize("text", ["", "{", '{"timer": }', "[" * 100_000])
def test_text_that_is_not_json_is_refused_by_name(text: str) -> None:
    with pytest.raises(ClockFault) as caught:
        main_explain(text)
    assert caught.value.code == "not_json"


def test_an_answer_can_always_be_written_out() -> None:
    question = put("events", [QUESTION["events"][0], {"on": "2024-03-06", "event": "stop", "key": "\ud800"}])
    text = main_explain(json.dumps(question))
    assert json.loads(text.encode("utf-8"))["light"] == "blue"
