"""What must happen after a commit happens, whoever fails (trust G16)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from apiflask import APIFlask
from sqlalchemy import select, update

from kernel import clock, outbox
from kernel.db import session, transaction
from kernel.outbox import OutboxRow


def queue(count: int, topic: str = "trial") -> None:
    with transaction():
        for number in range(count):
            outbox.put(topic, f"trial:{number}", number=number)


def hurry() -> None:
    """Whatever waits for another try is due now."""
    with transaction():
        session.execute(update(OutboxRow).values(due_at=clock.machine() - timedelta(seconds=1)))


def test_rows_are_handed_over_in_order_once(portal: APIFlask) -> None:
    queue(5)
    seen: list[str] = []
    assert outbox.drain("trial", lambda rows: seen.extend(row.subject for row in rows)) == 5
    assert seen == [f"trial:{number}" for number in range(5)]
    assert outbox.drain("trial", lambda rows: seen.append("again")) == 0
    assert outbox.waiting("trial") == 0
    assert len(seen) == 5


def test_message_of_a_failed_act_does_not_exist(portal: APIFlask) -> None:
    with pytest.raises(KeyError), transaction():
        outbox.put("trial", "trial:1")
        raise KeyError
    assert outbox.waiting("trial") == 0


def test_topics_are_drained_apart(portal: APIFlask) -> None:
    queue(2)
    queue(3, "other")
    assert outbox.drain("trial", lambda rows: None) == 2
    assert (outbox.waiting("trial"), outbox.waiting("other")) == (0, 3)


def test_no_more_than_asked_is_taken(portal: APIFlask) -> None:
    queue(5)
    assert outbox.drain("trial", lambda rows: None, most=2) == 2
    assert outbox.waiting("trial") == 3


def test_failing_handler_loses_nothing_and_waits_longer_each_time(portal: APIFlask) -> None:
    queue(2)

    def fail(rows: list[OutboxRow]) -> None:
        raise OSError("receiver gone")

    waits = []
    for tries in (1, 2, 3):
        before = clock.machine()
        assert outbox.drain("trial", fail) == 0
        row = session.scalars(select(OutboxRow).order_by(OutboxRow.id)).first()
        assert row is not None
        assert (row.tries, row.error, row.done_at) == (tries, "OSError: receiver gone", None)
        waits.append(row.due_at - before)
        hurry()
    assert waits[0] < waits[1] < waits[2]
    assert outbox.waiting("trial") == 2
    assert outbox.drain("trial", lambda rows: None) == 2


def test_row_that_waits_for_another_try_is_left_alone(portal: APIFlask) -> None:
    queue(1)

    def fail(rows: list[OutboxRow]) -> None:
        raise OSError

    outbox.drain("trial", fail)
    assert outbox.drain("trial", lambda rows: None) == 0
    assert outbox.waiting("trial") == 1


def test_wait_is_never_longer_than_an_hour(portal: APIFlask) -> None:
    queue(1)
    with transaction():
        session.execute(update(OutboxRow).values(tries=40))

    def fail(rows: list[OutboxRow]) -> None:
        raise OSError

    outbox.drain("trial", fail)
    row = session.scalars(select(OutboxRow)).one()
    assert row.due_at <= clock.machine() + timedelta(hours=1)


def test_half_done_handler_leaves_no_trace_in_the_database(portal: APIFlask) -> None:
    queue(1)

    def half(rows: list[OutboxRow]) -> None:
        outbox.put("other", "trial:half")
        session.flush()
        raise OSError

    outbox.drain("trial", half)
    assert outbox.waiting("other") == 0
    assert outbox.waiting("trial") == 1


def test_two_drainers_never_take_the_same_row(portal: APIFlask) -> None:
    queue(10)
    holding, release = threading.Event(), threading.Event()
    taken: dict[str, list[str]] = {"first": [], "second": []}

    def first() -> None:
        def handle(rows: list[OutboxRow]) -> None:
            taken["first"] = [row.subject for row in rows]
            holding.set()
            assert release.wait(20)

        with portal.app_context():
            outbox.drain("trial", handle, most=4)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert holding.wait(20)
        # The first holds four rows; the second goes past them without waiting.
        count = outbox.drain("trial", lambda rows: taken["second"].extend(row.subject for row in rows))
    finally:
        release.set()
        thread.join(20)
    assert count == 6
    assert not set(taken["first"]) & set(taken["second"])
    assert outbox.waiting("trial") == 0


def test_drainer_that_dies_leaves_its_rows_to_the_next(portal: APIFlask) -> None:
    queue(3)

    class Killed(BaseException):
        pass

    def die(rows: list[OutboxRow]) -> None:
        raise Killed

    with pytest.raises(Killed):
        outbox.drain("trial", die)
    assert outbox.drain("trial", lambda rows: None) == 3
