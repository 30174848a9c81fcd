"""The life of a noun is one table; this module is the only one that assigns ``status``.

A noun's module declares ``STEPS``: for each action the states it may start from, the state it leads to, the
name of the act, and the named predicate that says who may do it. A move that is not in the table, or not
open to this person, is refused with the moves that are (life-cycles, first paragraph).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from kernel import clock, trail
from kernel.errors import Conflict
from kernel.trail import Actor


class Subject(Protocol):
    """What a record needs to have a life."""

    status: Any
    version: int

    @property
    def subject(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a life: ``sources`` → ``target`` (None keeps the state), recorded as ``act``."""

    sources: tuple[str, ...]
    target: str | None
    act: str
    who: Callable[[Any, Actor], bool]


Steps = Mapping[str, Step]


class MoveNotOpen(Conflict):
    """The action is not possible now; ``moves`` lists those that are, for this person."""

    code: ClassVar[str] = "move_not_open"
    zh = "当前环节不能办理“{label_zh}”，页面内容可能已更新，请刷新后再试"
    en = "“{label_en}” isn't open in the present state; please reload"

    def __init__(self, *, action: str, act: str, status: str, moves: list[str]) -> None:
        self.moves = moves
        super().__init__(
            action=action, status=status, label_zh=trail.act_label(act), label_en=trail.act_label(act, "en")
        )


class StaleVersion(Conflict):
    """Somebody changed the record since the caller read it."""

    code = "stale_version"
    zh = "您打开页面后，此件已由他人更新（当前版本 {current}）。您填写的内容已保留，请核对后重新提交"
    en = "This record was changed after you opened it (now version {current}). What you typed is kept; check and submit again"


def moves(record: Subject, steps: Steps, by: Actor) -> list[str]:
    """The actions open to ``by`` now, in the table's order."""
    return [name for name, step in steps.items() if str(record.status) in step.sources and step.who(record, by)]


def step(
    record: Subject,
    steps: Steps,
    action: str,
    *,
    by: Actor,
    at: datetime | None = None,
    expected_version: int | None = None,
    **data: Any,
) -> trail.TrailAct:
    """Move ``record`` along one row of its table: check, change, stamp, trail.

    Stamps ``<target>_at`` when the record has such a column and it is still empty; counts ``version`` up.

    Raises:
        StaleVersion: ``expected_version`` is not the record's.
        MoveNotOpen: the row does not start here, or the predicate says no.
    """
    row = check(record, steps, action, by=by, expected_version=expected_version)
    moment = at or clock.now()
    if row.target is not None:
        record.status = type(record.status)(row.target) if record.status is not None else row.target
        stamp = f"{row.target}_at"
        if getattr(record, stamp, moment) is None:
            setattr(record, stamp, moment)
    record.version += 1
    return trail.record(record.subject, row.act, by=by, at=moment, **data)


#: The life of a part of a noun: action → the states it starts from, and the one it leads to.
Turns = Mapping[str, tuple[tuple[str, ...], str]]


def turn(part: Any, turns: Turns, action: str) -> None:
    """Move a part of a larger noun, such as a seat of a panel; the act itself stands on the noun's chain.

    The noun's verb has looked who may, so that a wrong turn is a fault of the program.

    Raises:
        RuntimeError: the table has no such turn from here.
    """
    sources, target = turns[action]
    if str(part.status) not in sources:
        raise RuntimeError(f"{type(part).__name__} can't {action} from {part.status}")
    part.status = type(part.status)(target)


def check(record: Subject, steps: Steps, action: str, *, by: Actor, expected_version: int | None = None) -> Step:
    """The row of ``action``, if it is open to ``by`` now; raises like :func:`step` and changes nothing."""
    if expected_version is not None and expected_version != record.version:
        raise StaleVersion(current=record.version)
    row = steps[action]
    if str(record.status) not in row.sources or not row.who(record, by):
        raise MoveNotOpen(action=action, act=row.act, status=str(record.status), moves=moves(record, steps, by))
    return row
