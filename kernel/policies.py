"""Rules of place as dated data: thresholds, limits, flags, each with the text it comes from.

A policy row is never edited: a change is a new row with a later date. A decision stores the row's
``version`` so that anyone can say years later which rule it followed.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Index, select
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock
from kernel.db import HISTORY, Keyed, session
from kernel.errors import PortalError


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


def current(kind: str, *, on: date | None = None, region: str = "") -> Policy:
    """The row of ``kind`` in force on a day (today by legal time), the region's own before the general one.

    Raises:
        PolicyMissing: there is none.
    """
    day = on or clock.local_date(clock.now())
    row = session.scalars(
        select(Policy)
        .where(Policy.kind == kind, Policy.region.in_({"", region}), Policy.effective_from <= day)
        .order_by(Policy.region.desc(), Policy.effective_from.desc(), Policy.id.desc())
        .limit(1)
    ).first()
    if row is None:
        raise PolicyMissing(kind=kind)
    return row
