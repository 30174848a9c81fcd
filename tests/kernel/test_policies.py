"""Rules of place are dated data, and what was followed stays known (architecture, "A noun's room")."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from apiflask import APIFlask
from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import ProgrammingError

from kernel import policies
from kernel.db import db, session, transaction
from kernel.policies import Policy, PolicyMissing

KIND = "trial"


@pytest.fixture(autouse=True)
def _gone_afterwards(portal: APIFlask, owner_engine):  # type: ignore[no-untyped-def]
    """Policies are reference data that tests share; what a test enters is taken away by the owner."""
    yield
    session.rollback()
    with owner_engine.connect() as connection:
        connection.execute(delete(Policy).where(Policy.kind == KIND))


def enter(values: int, effective_from: date, region: str = "") -> Policy:
    with transaction():
        return policies.enter(KIND, {"days": values}, effective_from=effective_from, source="000 §3", region=region)


def days(on: date, region: str = "") -> int:
    return int(policies.current(KIND, on=on, region=region).values["days"])


def test_row_in_force_on_the_day_is_answered() -> None:
    enter(5, date(2020, 1, 1))
    enter(3, date(2022, 1, 6))
    assert days(date(2022, 1, 5)) == 5
    assert days(date(2022, 1, 6)) == 3
    assert days(date(2030, 1, 1)) == 3


def test_later_entry_of_the_same_day_corrects_the_earlier() -> None:
    first = enter(5, date(2020, 1, 1))
    second = enter(4, date(2020, 1, 1))
    assert days(date(2020, 1, 1)) == 4
    assert first.version != second.version


def test_regions_own_rule_goes_before_the_general_one() -> None:
    enter(5, date(2020, 1, 1))
    enter(2, date(2019, 1, 1), region="230199")
    assert days(date(2021, 1, 1), "230199") == 2
    assert days(date(2021, 1, 1), "310100") == 5
    assert days(date(2021, 1, 1)) == 5


def test_today_is_of_legal_time() -> None:
    enter(5, date(2026, 3, 2))
    enter(9, date(2026, 3, 3))
    assert policies.current(KIND).values == {"days": 5}


def test_missing_rule_is_named() -> None:
    enter(5, date(2026, 1, 1))
    with pytest.raises(PolicyMissing) as caught:
        policies.current(KIND, on=date(2025, 12, 31))
    assert KIND in caught.value.text()
    assert caught.value.status == 503


def test_version_names_kind_day_and_row() -> None:
    row = enter(5, date(2022, 1, 6))
    assert row.version == f"trial/2022-01-06/{row.id}"


def test_rule_once_entered_cannot_be_changed() -> None:
    enter(5, date(2020, 1, 1))
    with pytest.raises(ProgrammingError, match="permission denied"), db.engine.connect() as connection:
        connection.execute(text("UPDATE policies SET effective_from = '2010-01-01' WHERE kind = 'trial'"))


def test_shipped_rules_are_entered_once_and_never_over_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "policies.json"
    row = {"kind": KIND, "values": {"days": 7}, "effective_from": "2020-01-01", "source": "000 §3"}
    file.write_text(json.dumps([row]), encoding="utf-8")
    with transaction():
        assert policies.load_shipped(file) == 1
    with transaction():
        assert policies.load_shipped(file) == 0
    assert session.scalar(select(func.count()).select_from(Policy).where(Policy.kind == KIND)) == 1


def test_every_shipped_rule_names_its_source(portal: APIFlask) -> None:
    rows = session.scalars(select(Policy)).all()
    assert rows
    assert all(row.source.strip() for row in rows)
