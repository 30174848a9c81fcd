"""Every step leaves its trace: who, what, when, in order, in the act's own transaction (D9).

What an outsider does to the rows behind the portal's back is in ``tests/trust/test_history.py``.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from apiflask import APIFlask

from kernel import clock, trail
from kernel.db import session, transaction
from kernel.trail import SYSTEM, Actor

ACTOR = Actor(None, "林知夏", None, "示例市宏远置业有限公司", frozenset({"applicant"}))
ACT = "project.registered"


@pytest.fixture(autouse=True)
def _nobody_subscribes(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "_subscribers", {})


def test_act_says_who_what_and_when() -> None:
    at = datetime(2026, 3, 2, 17, 30, tzinfo=timezone(timedelta(hours=8)))
    with transaction():
        trail.record("project:P1", ACT, by=ACTOR, at=at, name="云栖里", until=at)
    (act,) = trail.of("project:P1")
    assert (act.act, act.at, act.person, act.organisation) == (ACT, at, "林知夏", "示例市宏远置业有限公司")
    assert (act.sequence, act.previous) == (1, trail.FIRST)
    assert act.data == {"name": "云栖里", "until": "2026-03-02T09:30:00+00:00"}


def test_legal_and_machine_time_are_kept_apart() -> None:
    before = clock.machine()
    with transaction():
        trail.record("project:P1", ACT, by=ACTOR)
    (act,) = trail.of("project:P1")
    assert before <= act.recorded_at <= clock.machine()
    assert abs(act.at - clock.now()) < timedelta(minutes=5)
    assert act.at.tzinfo is UTC


def test_acts_of_a_subject_form_one_chain() -> None:
    for number in range(3):
        with transaction():
            trail.record("project:P1", ACT, by=ACTOR, number=number)
            trail.record("project:P2", ACT, by=ACTOR, number=number)
    acts = trail.of("project:P1")
    assert [act.sequence for act in acts] == [1, 2, 3]
    assert [act.previous for act in acts] == [trail.FIRST, acts[0].hash, acts[1].hash]
    assert trail.verify() == (6, [])
    assert trail.verify("project:P1") == (3, [])


def test_act_of_a_failed_verb_leaves_nothing() -> None:
    with transaction():
        trail.record("project:P1", ACT, by=ACTOR)
    with pytest.raises(KeyError), transaction():
        trail.record("project:P1", ACT, by=ACTOR)
        raise KeyError
    with transaction():
        trail.record("project:P1", ACT, by=ACTOR)
    assert [act.sequence for act in trail.of("project:P1")] == [1, 2]
    assert trail.verify() == (2, [])


def test_act_without_a_label_is_refused() -> None:
    with pytest.raises(KeyError, match=r"project\.exploded"), transaction():
        trail.record("project:P1", "project.exploded", by=ACTOR)
    assert trail.of("project:P1") == []


def test_every_named_act_is_a_past_event_of_a_noun_with_two_labels() -> None:
    for act, (chinese, english) in trail.named_acts().items():
        noun, _, event = act.partition(".")
        assert noun.isidentifier(), act
        assert event, act
        assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese), act
        assert english.isascii(), act
        assert (trail.act_label(act), trail.act_label(act, "en")) == (chinese, english)


def test_subscribers_run_in_order_in_the_same_transaction() -> None:
    seen: list[str] = []

    def first(act: trail.TrailAct, by: Actor) -> None:
        seen.append(f"first {act.act} {by.person}")
        trail.record("project:P2", ACT, by=by, because=act.subject)

    trail.subscribe({"project.phase_added": (first, lambda act, by: seen.append("second"))})
    with transaction():
        trail.record("project:P1", "project.phase_added", by=ACTOR)
    assert seen == ["first project.phase_added 林知夏", "second"]
    assert trail.of("project:P2")[0].data == {"because": "project:P1"}


def test_raising_subscriber_aborts_the_act() -> None:
    def refuse(act: trail.TrailAct, by: Actor) -> None:
        raise RuntimeError("no")

    trail.subscribe({ACT: (refuse,)})
    with pytest.raises(RuntimeError, match="no"), transaction():
        trail.record("project:P1", ACT, by=ACTOR)
    assert trail.of("project:P1") == []
    assert trail.verify() == (0, [])


def test_acts_at_once_on_one_subject_lose_none(portal: APIFlask) -> None:
    """D9: 8 writers × 5 acts on one chain; the head's lock puts them in a row."""
    barrier = threading.Barrier(8)
    faults: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with portal.app_context():
                barrier.wait(20)
                for turn in range(5):
                    with transaction():
                        trail.record("project:P1", ACT, by=SYSTEM, writer=number, turn=turn)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    acts = trail.of("project:P1")
    assert [act.sequence for act in acts] == list(range(1, 41))
    assert {(act.data["writer"], act.data["turn"]) for act in acts} == {(w, t) for w in range(8) for t in range(5)}
    assert trail.verify() == (40, [])


def test_act_written_while_verifying_is_no_break(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction():
        trail.record("project:P1", ACT, by=SYSTEM)
    read = trail._by_subject

    def meanwhile(subject: str | None):  # type: ignore[no-untyped-def]
        with transaction():
            trail.record("project:P1", ACT, by=SYSTEM)
            trail.record("project:P2", ACT, by=SYSTEM)
        yield from read(subject)

    monkeypatch.setattr(trail, "_by_subject", meanwhile)
    assert trail.verify()[1] == []


def test_chains_longer_than_a_batch_are_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction():
        for number in range(7):
            trail.record(f"project:P{number % 2}", ACT, by=SYSTEM, number=number)
    monkeypatch.setattr(trail, "BATCH", 3)
    assert trail.verify() == (7, [])
    assert [act.data["number"] for act in trail.everything_unscoped()] == list(range(7))
    session.rollback()
