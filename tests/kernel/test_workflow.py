"""The life of a noun is one table, and nothing else moves it (life-cycles, first paragraph)."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from apiflask import APIFlask

from kernel import trail, workflow
from kernel.db import transaction
from kernel.trail import Actor
from kernel.words import Worded
from kernel.workflow import MoveNotOpen, StaleVersion, Step

ROOT = Path(__file__).resolve().parents[2]
CLIENT = Actor(None, "甲", 1, "甲方", frozenset({"applicant"}))
AGENCY = Actor(None, "乙", 2, "乙方", frozenset({"agency"}))


class Life(Worded):
    DRAFT = "draft", "草稿", "Draft"
    OFFERED = "offered", "待接受", "Offered"
    TAKEN_ON = "taken_on", "已接受", "Taken on"


@dataclass
class Thing:
    status: Life = Life.DRAFT
    version: int = 1
    offered_at: datetime | None = None

    @property
    def subject(self) -> str:
        return "thing:1"


def by_client(thing: Thing, actor: Actor) -> bool:
    return actor.has("applicant")


def by_agency(thing: Thing, actor: Actor) -> bool:
    return actor.has("agency")


STEPS = {
    "offer": Step(("draft",), "offered", "commission.offered", by_client),
    "ask": Step(("offered",), None, "commission.materials_requested", by_agency),
    "take_on": Step(("offered",), "taken_on", "commission.taken_on", by_agency),
    "decline": Step(("offered",), "draft", "commission.declined", by_agency),
    "cancel": Step(("draft", "offered"), "draft", "commission.cancelled", by_client),
}


@pytest.fixture(autouse=True)
def _nobody_subscribes(portal: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "_subscribers", {})


def test_move_changes_state_stamps_counts_and_leaves_its_trace() -> None:
    thing, at = Thing(), datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    with transaction():
        act = workflow.step(thing, STEPS, "offer", by=CLIENT, at=at, expected_version=1, fee=100)
    assert (thing.status, thing.version, thing.offered_at) == (Life.OFFERED, 2, at)
    assert (act.act, act.at, act.data, act.person) == ("commission.offered", at, {"fee": 100}, "甲")
    assert [a.act for a in trail.of("thing:1")] == ["commission.offered"]


def test_state_stays_of_its_own_type() -> None:
    thing = Thing()
    with transaction():
        workflow.step(thing, STEPS, "offer", by=CLIENT)
    assert isinstance(thing.status, Life)


def test_stamp_already_given_is_kept() -> None:
    first = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
    thing = Thing(offered_at=first)
    with transaction():
        workflow.step(thing, STEPS, "offer", by=CLIENT)
    assert thing.offered_at == first


def test_move_that_keeps_the_state_still_counts_and_traces() -> None:
    thing = Thing(Life.OFFERED)
    with transaction():
        workflow.step(thing, STEPS, "ask", by=AGENCY)
    assert (thing.status, thing.version) == (Life.OFFERED, 2)


@pytest.mark.parametrize(
    ("status", "action", "by", "open_to_them"),
    [
        (Life.DRAFT, "take_on", AGENCY, []),
        (Life.DRAFT, "take_on", CLIENT, ["offer", "cancel"]),
        (Life.OFFERED, "offer", CLIENT, ["cancel"]),
        (Life.OFFERED, "take_on", CLIENT, ["cancel"]),
        (Life.OFFERED, "offer", AGENCY, ["ask", "take_on", "decline"]),
        (Life.TAKEN_ON, "cancel", CLIENT, []),
    ],
)
def test_wrong_move_is_refused_with_the_moves_open_to_this_person(
    status: Life, action: str, by: Actor, open_to_them: list[str]
) -> None:
    thing = Thing(status)
    with pytest.raises(MoveNotOpen) as caught, transaction():
        workflow.step(thing, STEPS, action, by=by)
    assert caught.value.moves == open_to_them
    assert (caught.value.status, caught.value.code) == (409, "move_not_open")
    assert (thing.status, thing.version) == (status, 1)
    assert trail.of("thing:1") == []


def test_stale_version_is_refused_and_names_the_present_one() -> None:
    thing = Thing(version=4)
    with pytest.raises(StaleVersion) as caught, transaction():
        workflow.step(thing, STEPS, "offer", by=CLIENT, expected_version=3)
    assert caught.value.params == {"current": 4}
    assert caught.value.status == 409
    assert (thing.status, thing.version) == (Life.DRAFT, 4)
    assert trail.of("thing:1") == []


def test_checking_changes_nothing() -> None:
    thing = Thing()
    assert workflow.check(thing, STEPS, "offer", by=CLIENT, expected_version=1) is STEPS["offer"]
    assert (thing.status, thing.version) == (Life.DRAFT, 1)


def assigned_statuses(source: str) -> list[int]:
    """Lines where some object's ``status`` is assigned, or an UPDATE's ``status`` is named."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id == "setattr" and len(node.args) > 1:
                name = node.args[1]
                if isinstance(name, ast.Constant) and name.value == "status":
                    lines.append(node.lineno)
            is_update = (
                isinstance(called, ast.Attribute) and called.attr == "values" and "update(" in ast.unparse(called)
            )
            if is_update and any(keyword.arg == "status" for keyword in node.keywords):
                lines.append(node.lineno)
        for target in targets:
            for part in ast.walk(target):
                if isinstance(part, ast.Attribute) and part.attr == "status" and isinstance(part.ctx, ast.Store):
                    lines.append(node.lineno)
    return lines


def test_nothing_assigns_a_status_outside_workflow() -> None:
    found = {}
    for package in ("kernel", "market", "reviews", "integration"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path != ROOT / "kernel" / "workflow.py" and "migrations" not in path.parts:
                lines = assigned_statuses(path.read_text(encoding="utf-8"))
                if lines:
                    found[str(path.relative_to(ROOT))] = lines
    assert found == {}
    assert assigned_statuses((ROOT / "kernel" / "workflow.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "thing.status = 'offered'",
        "a, thing.status = 1, 2",
        "thing.status += 'x'",
        "thing.status: str = 'x'",
        "setattr(thing, 'status', 1)",
        "update(Thing).where(x).values(status='offered')",
    ],
)
def test_the_guard_sees_every_way_of_assigning(source: str) -> None:
    assert assigned_statuses(source) == [1]


@pytest.mark.parametrize("source", ["Thing(status='draft')", "x = thing.status", "thing.status_code = 4", "status = 1"])
def test_the_guard_leaves_reading_and_making_alone(source: str) -> None:
    assert assigned_statuses(source) == []
