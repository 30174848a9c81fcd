"""Rules of place as dated data: thresholds, limits, flags, each with the text it comes from.

A policy row is never edited: a change is a new row with a later date. A decision stores the row's
``version`` so that anyone can say years later which rule it followed.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Index, select
from sqlalchemy.orm import Mapped, make_transient_to_detached, mapped_column

from kernel import clock
from kernel.db import HISTORY, Keyed, after_commit, in_transaction, memory, session
from kernel.errors import PortalError

#: A row found is not looked for again within this time. Rows are never changed, so that all that can be missed is a
#: new one: this process sees its own at once, another process's this much later.
REMEMBERED_FOR: Final = timedelta(seconds=2)
MOST_REMEMBERED: Final = 1000


class PolicyMissing(PortalError):
    code = "policy_missing"
    status = 503
    zh = "缺少规则配置“{kind}”，请联系系统运营人员"
    en = "The policy “{kind}” isn't configured"


class Policy(Keyed):
    """One dated rule set of a kind; ``region`` is a six-digit division code or '' for everywhere."""

    __tablename__ = "policies"
    kind: Mapped[str]
    region: Mapped[str] = mapped_column(default="")
    effective_from: Mapped[date]
    values: Mapped[dict[str, Any]]
    source: Mapped[str]
    entered_at: Mapped[datetime]
    __table_args__ = (Index("ix_policies_kind", "kind", "region", "effective_from"), HISTORY)

    @property
    def version(self) -> str:
        """What a decision stores, e.g. ``service_clock/2022-01-06/3``."""
        return f"{self.kind}/{self.effective_from.isoformat()}/{self.id}"


def enter(kind: str, values: dict[str, Any], *, effective_from: date, source: str, region: str = "") -> Policy:
    """Add a dated row."""
    row = Policy(
        kind=kind,
        region=region,
        effective_from=effective_from,
        values=values,
        source=source,
        entered_at=clock.machine(),
    )
    session.add(row)
    session.flush()
    memory()[Policy] = True  # what this transaction finds from now on may yet be rolled back
    after_commit(_remembered.clear)
    return row


def load_shipped(file: Path) -> int:
    """Enter the example rows that ship with the product, for kinds that have no row yet; answer how many."""
    count = 0
    for row in json.loads(file.read_text(encoding="utf-8")):
        if session.scalar(select(Policy.id).where(Policy.kind == row["kind"]).limit(1)) is None:
            enter(
                row["kind"],
                row["values"],
                effective_from=date.fromisoformat(row["effective_from"]),
                source=row["source"],
            )
            count += 1
    return count


#: (kind, region, day) → (the row in force, until when it is believed to be), by machine time.
_remembered: dict[tuple[str, str, date], tuple[Policy, datetime]] = {}


def current(kind: str, *, on: date | None = None, region: str = "") -> Policy:
    """The row of ``kind`` in force on a day (today by legal time), the region's own before the general one.

    Raises:
        PolicyMissing: there is none.
    """
    day = on or clock.local_date(clock.now())
    key, moment = (kind, region, day), clock.machine()
    has_entered = in_transaction() and Policy in memory()
    known = _remembered.get(key)
    if known is not None and not has_entered and moment < known[1] <= moment + REMEMBERED_FOR:
        return session.merge(known[0], load=False)
    row = session.scalars(
        select(Policy)
        .where(Policy.kind == kind, Policy.region.in_({"", region}), Policy.effective_from <= day)
        .order_by(Policy.region.desc(), Policy.effective_from.desc(), Policy.id.desc())
        .limit(1)
    ).first()
    if row is None:
        raise PolicyMissing(kind=kind)
    if not has_entered:
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = (_of_no_session(row), moment + REMEMBERED_FOR)
    return row


def _of_no_session(row: Policy) -> Policy:
    """A copy that every session may copy in turn."""
    copy = Policy(**{one.key: getattr(row, one.key) for one in Policy.__mapper__.column_attrs})
    make_transient_to_detached(copy)
    return copy
