"""What waits for whom: open commissions and matters of a person's organisation, by light. Bounded questions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from sqlalchemy import or_, select

from integration.approvals import matters
from integration.approvals.matters import Matter
from integration.approvals.web import parts
from kernel import timekeeping
from kernel.access import Role
from kernel.clock import Light
from kernel.db import session
from kernel.timekeeping import StoredClock
from kernel.trail import Actor
from kernel.web import day, language
from market import agencies
from market.commissions import Commission, can_see
from market.services import Extension
from market.web import progress

MOST = 60
SHOWN = 10


def open_commissions(actor: Actor) -> list[Commission]:
    """The actor's organisation's running commissions, as client or as agency."""
    if actor.organisation_id is None:
        return []
    sides = [Commission.client_id == actor.organisation_id]
    agency = agencies.of_organisation(actor.organisation_id) if actor.has(Role.AGENCY.value) else None
    if agency is not None:
        sides.append((Commission.agency_id == agency.id) & Commission.offered_at.is_not(None))
    statement = select(Commission).where(Commission.status.in_(progress.OPEN), or_(*sides))
    rows = session.scalars(statement.order_by(Commission.id.desc()).limit(MOST))
    return [commission for commission in rows if can_see(commission, actor)]


def commission_rows(found: Sequence[Commission], actor: Actor) -> list[dict[str, Any]]:
    """Commissions for a table, what presses most first."""
    clocks = progress.running_clocks([commission.subject for commission in found])
    proposed = session.scalars(
        select(Extension).where(
            Extension.commission_id.in_([commission.id for commission in found]), Extension.answered_at.is_(None)
        )
    )
    extensions = {extension.commission_id: extension for extension in proposed} if found else {}
    rows = []
    for commission in found:
        stored = progress.leading(clocks.get(commission.subject, []))
        light, reading = progress.light_of(stored)
        is_running = stored is not None and stored.ended_at is None
        rows.append(
            {
                "number": commission.number,
                "name": commission.item.label(language()),
                "url": f"/commissions/{commission.number}",
                "project": commission.project.name,
                "other": _other_side(commission, actor),
                "agency": commission.agency.name if commission.agency else "",
                "light": light.value,
                "label": light.label(language()),
                "extra": parts.left_text(reading) if reading is not None and is_running else None,
                "due": day(reading.due) if reading is not None and reading.due else "",
                "status": commission.status.label(language()),
                "status_kind": progress.STATUS_KINDS[commission.status],
                "is_mine": progress.waits_for(commission, actor, extensions),
                "urgency": matters.URGENCY.index(light),
            }
        )
    return sorted(rows, key=lambda row: (not row["is_mine"], row["urgency"], row["number"]))


def _other_side(commission: Commission, actor: Actor) -> str:
    if actor.organisation_id == commission.client_id:
        return commission.agency.name if commission.agency else ""
    return commission.client.name


def matter_rows(actor: Actor) -> list[dict[str, Any]]:
    """The actor's open matters for a table, by light and age; what is theirs to do is marked."""
    found = matters.queue(actor, is_open=True, most=MOST)
    mine = {matter.number for matter in found if set(matters.moves(matter, actor)) - {"withdraw", "refuse_intake"}}
    rows = parts.lit_rows(matters.lit(found))
    for row in rows:
        row["is_mine"] = row["number"] in mine
    return sorted(rows, key=lambda row: not row["is_mine"])


def overdue(most: int = SHOWN) -> list[dict[str, Any]]:
    """Running clocks that are red, then amber, oldest first: the supervisor's first look."""
    clocks = session.scalars(
        select(StoredClock)
        .where(StoredClock.ended_at.is_(None), StoredClock.light.in_((Light.RED, Light.AMBER)))
        .order_by(StoredClock.light.desc(), StoredClock.started_at)
        .limit(most)
    ).all()
    numbers = {clock.subject: clock.subject.partition(":")[2] for clock in clocks}
    titles: dict[str, tuple[str, str, str]] = {}
    for commission in session.scalars(select(Commission).where(Commission.number.in_(numbers.values()))):
        titles[commission.subject] = (
            commission.item.label(language()),
            commission.project.name,
            f"/commissions/{commission.number}",
        )
    for matter in session.scalars(select(Matter).where(Matter.number.in_(numbers.values()))):
        titles[matter.subject] = (
            matter.name,
            matter.case.project.name,
            url_for("matters.matter", number=matter.number),
        )
    rows = []
    for stored in clocks:
        if stored.subject not in titles:
            continue
        name, project, url = titles[stored.subject]
        reading = timekeeping.reading(stored)
        rows.append(
            {
                "name": name,
                "number": numbers[stored.subject],
                "url": url,
                "project": project,
                "clock": stored.kind.label(language()),
                "light": reading.light.value,
                "label": reading.light.label(language()),
                "extra": parts.left_text(reading),
                "due": day(reading.due),
            }
        )
    return rows
