"""Who did what, when, to which subject: an append-only chain per object (000 §三(八), requirement D9).

Each act names the hash of the act before it on the same subject, so that an edited, removed or inserted
row is found by :func:`verify`. Chain heads live in a table of their own, because rows of history may only be
inserted by the web role. Subscribers of an act run in the order of the table in ``app.py``, inside the same
transaction; what raises aborts the act.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Index, Table, UniqueConstraint, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, class_mapper, mapped_column

from kernel import clock
from kernel.db import HISTORY, Base, Keyed, memory, session
from kernel.statements import Statement, sketch

FIRST = "0" * 64
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person in an organisation with the roles held there; never an ORM user."""

    person_id: int | None
    person: str
    organisation_id: int | None
    organisation: str
    roles: frozenset[str] = field(default_factory=frozenset)

    def has(self, *roles: str) -> bool:
        return not self.roles.isdisjoint(roles)


#: The deadline runner is an ordinary actor.
CLOCK = Actor(None, "系统时钟", None, "系统", frozenset({"clock"}))
SYSTEM = Actor(None, "系统", None, "系统", frozenset({"system"}))


class TrailAct(Keyed):
    """One act. ``at`` is when it happened by legal time, ``recorded_at`` when it was written by machine time."""

    __tablename__ = "trail"
    subject: Mapped[str]
    sequence: Mapped[int]
    act: Mapped[str]
    at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    person_id: Mapped[int | None]
    person: Mapped[str]
    organisation_id: Mapped[int | None]
    organisation: Mapped[str]
    data: Mapped[dict[str, Any]]
    previous: Mapped[str]
    hash: Mapped[str]
    __table_args__ = (UniqueConstraint("subject", "sequence"), Index("ix_trail_at", "at"), HISTORY)


class TrailHead(Base):
    """The last link of a subject's chain; locked while the next one is written."""

    __tablename__ = "trail_heads"
    subject: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    hash: Mapped[str]


_ACTS, _HEADS = (cast("Table", each.__table__) for each in (TrailAct, TrailHead))
_WRITE = Statement(insert(_ACTS).inline(), (column.name for column in _ACTS.c if not column.primary_key))
_HEAD = insert(_HEADS)
#: Makes a head or locks it: an update that changes nothing waits for whoever holds the row.
_LOCK_HEAD = Statement(
    _HEAD.on_conflict_do_update(index_elements=["subject"], set_={"subject": _HEAD.excluded.subject}).returning(
        _HEADS.c.sequence, _HEADS.c.hash
    ),
    _HEADS.c.keys(),
)
_MOVE_HEAD = Statement(
    _HEAD.inline().on_conflict_do_update(
        index_elements=["subject"], set_={"sequence": _HEAD.excluded.sequence, "hash": _HEAD.excluded.hash}
    ),
    _HEADS.c.keys(),
)
#: What the hash of an act is over.
_HASHED = tuple(column.name for column in _ACTS.c if column.name not in ("id", "hash"))
_names: dict[str, tuple[str, str]] = {}


def name_acts(names: Mapping[str, tuple[str, str]]) -> None:
    """Declare acts beside the noun they belong to, each with its Chinese and English label."""
    _names.update(names)


def named_acts() -> dict[str, tuple[str, str]]:
    """Every declared act with its labels."""
    return dict(sorted(_names.items()))


def act_label(act: str, language: str = "zh") -> str:
    chinese, english = _names[act]
    return english if language == "en" else chinese


Subscriber = Callable[[TrailAct, Actor], None]
_subscribers: dict[str, tuple[Subscriber, ...]] = {}


def subscribe(table: Mapping[str, Sequence[Subscriber]]) -> None:
    """Replace the subscription table (``app.py`` calls this once)."""
    _subscribers.clear()
    _subscribers.update({act: tuple(subscribers) for act, subscribers in table.items()})


def subscriptions() -> dict[str, tuple[Subscriber, ...]]:
    """The table in force: act → its subscribers, in their order."""
    return dict(_subscribers)


def record(
    subject: str, act: str, *, by: Actor, at: datetime | None = None, is_first: bool = False, **data: Any
) -> TrailAct:
    """Write an act on a subject (``"commission:WT-2026-000128"``), then call the act's subscribers.

    ``data`` must be JSON; instants are written as ISO text. The head row stays locked until the commit. Act and head
    are gathered (:mod:`kernel.statements`). ``is_first``: the subject was made in this transaction, so that there is
    no head to ask for; if it isn't so, the unique sequence refuses the act.
    """
    if act not in _names:
        raise KeyError(f"the act {act!r} has no label: declare it with trail.name_acts")
    session.flush()
    heads: dict[str, tuple[int, str]] = memory().setdefault(_HEADS, {})
    if subject not in heads:
        heads[subject] = (0, FIRST) if is_first else tuple(_LOCK_HEAD.ask(subject=subject, sequence=0, hash=FIRST)[0])
    sequence, previous = heads[subject]
    fields = {
        "subject": subject,
        "sequence": sequence + 1,
        "act": act,
        "at": at or clock.now(),
        "recorded_at": clock.machine(),
        "person_id": by.person_id,
        "person": by.person,
        "organisation_id": by.organisation_id,
        "organisation": by.organisation,
        "data": json.loads(json.dumps(data, default=_plain, ensure_ascii=False)),
        "previous": previous,
    }
    fields["hash"] = own = _hash(fields)
    _WRITE.later(**fields)
    _MOVE_HEAD.later(key=subject, subject=subject, sequence=sequence + 1, hash=own)
    heads[subject] = (sequence + 1, own)
    entry = cast("TrailAct", sketch(class_mapper(TrailAct), fields))
    for subscriber in _subscribers.get(act, ()):
        subscriber(entry, by)
    return entry


def digest(entry: TrailAct) -> str:
    """SHA-256 over the act's canonical JSON, the previous hash included."""
    return _hash({name: getattr(entry, name) for name in _HASHED})


def _hash(fields: Mapping[str, Any]) -> str:
    instants = {name: fields[name].astimezone(UTC).isoformat() for name in ("at", "recorded_at")}
    text = json.dumps({**fields, **instants}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a chain does not hold: the sequence number of the row at fault, and what is wrong with it.

    ``why``: ``hash`` (the row was edited), ``previous`` (it does not follow the row before it), ``missing`` (rows
    before it are gone, or it stands twice), ``head`` (the chain's end is not where it was written: the row is the
    first that was cut off or added).
    """

    subject: str
    row: int
    why: str


def verify(subject: str | None = None) -> tuple[int, list[Break]]:
    """Recompute every chain, or one; answer the number of acts read and the breaks found.

    Heads are read before the rows, so that acts written meanwhile are no breaks. Whoever can rewrite rows *and*
    heads is not found here: that takes a checkpoint kept outside.
    """
    heads = _heads(subject)
    ends: dict[str, tuple[int, str]] = {}
    at_head: dict[str, str] = {}
    breaks: list[Break] = []
    count = 0
    for entry in _by_subject(subject):
        count += 1
        last, previous = ends.get(entry.subject, (0, FIRST))
        if entry.sequence != last + 1:
            breaks.append(Break(entry.subject, entry.sequence, "missing"))
        elif entry.previous != previous:
            breaks.append(Break(entry.subject, entry.sequence, "previous"))
        elif digest(entry) != entry.hash:
            breaks.append(Break(entry.subject, entry.sequence, "hash"))
        ends[entry.subject] = (entry.sequence, entry.hash)
        if entry.sequence == heads.get(entry.subject, (0, FIRST))[0]:
            at_head[entry.subject] = entry.hash
    for name in sorted(heads.keys() | ends.keys()):
        head, end = heads.get(name, (0, FIRST)), ends.get(name, (0, FIRST))
        if end[0] < head[0]:
            breaks.append(Break(name, end[0] + 1, "head"))
        elif head[0] and at_head.get(name) != head[1]:
            breaks.append(Break(name, head[0], "head"))
        elif end[0] > head[0] and _heads(name).get(name, (0, FIRST))[0] < end[0]:
            breaks.append(Break(name, head[0] + 1, "head"))
    return count, breaks


def _heads(subject: str | None) -> dict[str, tuple[int, str]]:
    statement = select(TrailHead.subject, TrailHead.sequence, TrailHead.hash)
    if subject is not None:
        statement = statement.where(TrailHead.subject == subject)
    return {row.subject: (row.sequence, row.hash) for row in session.execute(statement)}


def of(*subjects: str) -> list[TrailAct]:
    """The acts on these subjects, one subject after the other, oldest first."""
    if not subjects:
        return []
    rows = select(TrailAct).where(TrailAct.subject.in_(subjects)).order_by(TrailAct.subject, TrailAct.sequence)
    return list(session.scalars(rows))


def everything_unscoped() -> Iterator[TrailAct]:
    """All acts in the order in which they were written; for auditors and the story only."""
    last = 0
    while batch := session.scalars(select(TrailAct).where(TrailAct.id > last).order_by(TrailAct.id).limit(BATCH)).all():
        yield from batch
        last = batch[-1].id


def _by_subject(subject: str | None) -> Iterator[TrailAct]:
    """Acts by subject and sequence, in batches (a server-side cursor would need a long transaction)."""
    statement = select(TrailAct).order_by(TrailAct.subject, TrailAct.sequence).limit(BATCH)
    if subject is not None:
        statement = statement.where(TrailAct.subject == subject)
    last = ("", 0)
    while batch := session.scalars(
        statement.where(tuple_(TrailAct.subject, TrailAct.sequence) > last).execution_options(populate_existing=True)
    ).all():
        yield from batch
        last = (batch[-1].subject, batch[-1].sequence)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)
