"""Readable numbers: unique, in the year of legal time, never waited for (interface, "Rules")."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta

import pytest
from apiflask import APIFlask

from kernel import clock, dossier, numbers, sandbox
from kernel.db import db, session, transaction


def test_number_carries_prefix_legal_year_and_running_number(portal: APIFlask) -> None:
    with transaction():
        assert re.fullmatch(r"CL-2026-\d{6}", numbers.following(dossier.NUMBER))


def test_year_is_of_legal_time_in_beijing(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    last_evening = datetime(2026, 12, 31, 23, 59, 59, tzinfo=clock.SHANGHAI)
    monkeypatch.setattr(numbers.clock, "now", lambda: last_evening)
    with transaction():
        assert numbers.following(dossier.NUMBER).startswith("CL-2026-")
    monkeypatch.setattr(numbers.clock, "now", lambda: last_evening + timedelta(seconds=1))
    with transaction():
        assert numbers.following(dossier.NUMBER).startswith("CL-2027-")


def test_number_of_a_failed_act_is_never_given_again(portal: APIFlask) -> None:
    given = []
    with pytest.raises(KeyError), transaction():
        given.append(numbers.following(dossier.NUMBER))
        raise KeyError
    with transaction():
        given.append(numbers.following(dossier.NUMBER))
    assert len(set(given)) == 2


def test_open_act_makes_nobody_wait_and_numbers_differ(portal: APIFlask) -> None:
    barrier = threading.Barrier(6)
    given: list[str] = []

    def take() -> None:
        with portal.app_context(), transaction():
            given.append(numbers.following(dossier.NUMBER))
            barrier.wait(20)  # all six transactions are open at once

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(given) == len(set(given)) == 6


def test_series_are_declared_once_each_and_have_their_sequence(portal: APIFlask) -> None:
    with db.engine.connect() as connection:
        stored = set(
            connection.exec_driver_sql(
                "SELECT sequencename FROM pg_sequences WHERE sequencename LIKE 'number\\_%%'"
            ).scalars()
        )
    assert stored == {f"number_{prefix.lower()}" for prefix in numbers.prefixes()}
    assert all(re.fullmatch(r"[A-Z]{2}", prefix) for prefix in numbers.prefixes())
    session.rollback()
    assert sandbox.legal_now()
