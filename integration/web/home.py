"""The first page: for visitors a search, categories and figures; for members first what waits for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from flask import Blueprint, render_template
from sqlalchemy import func, select

from integration.approvals.matters import Matter, MatterStatus
from integration.web import desk
from kernel import projects
from kernel.access import PUBLIC, Cell, Role
from kernel.db import session
from kernel.errors import PortalError
from kernel.trail import Actor
from kernel.web import choose, current_actor
from market import shelf
from market.agencies import Agency, AgencyStatus
from market.commissions import Commission, CommissionStatus
from market.web import calls

blueprint = Blueprint("home", __name__)
ACCESS: Mapping[str, Cell] = {"home.home": PUBLIC}
#: The newest calls for bids that visitors and agencies see.
SHOWN_CALLS = 5


@blueprint.get("/", endpoint="home")
def home() -> str:
    actor = current_actor()
    return render_template(
        "integration/home.html",
        categories=_categories(),
        figures=_figures() if actor is None else [],
        is_visitor=actor is None,
        calls=calls.newest(SHOWN_CALLS) if actor is None or actor.has(Role.AGENCY.value) else [],
        **(_first_look(actor) if actor is not None else {}),
    )


def _categories() -> list[tuple[str, int, int]]:
    """(category, items, listings on the shelf) in the catalogue's order; without the index, no listings are told."""
    try:
        counts = shelf.counts_by_item()
    except PortalError:
        counts = {}
    items: Counter[str] = Counter()
    offers: Counter[str] = Counter()
    for item in shelf.guide().items.values():
        items[item.category] += 1
        offers[item.category] += counts.get(item.code, 0)
    return [(category, items[category], offers[category]) for category in items]


def _figures() -> list[tuple[str, int]]:
    agencies = select(func.count()).select_from(Agency).where(Agency.status == AgencyStatus.ADMITTED)
    finished = select(func.count()).select_from(Commission).where(Commission.status == CommissionStatus.FINISHED)
    decided = select(func.count()).select_from(Matter).where(Matter.status == MatterStatus.DECIDED)
    row = session.execute(select(agencies.scalar_subquery(), finished.scalar_subquery(), decided.scalar_subquery()))
    admitted, ended, granted = row.one()
    return [
        (choose("服务事项", "Service items"), len(shelf.guide().items)),
        (choose("入驻机构", "Agencies"), admitted),
        (choose("办结委托", "Finished commissions"), ended),
        (choose("办结审批事项", "Matters decided"), granted),
    ]


def _first_look(actor: Actor) -> dict[str, object]:
    commissions = desk.commission_rows(desk.open_commissions(actor), actor)
    handles_matters = actor.has(Role.APPLICANT.value, Role.ASSISTANT.value, Role.WINDOW.value, Role.APPROVER.value)
    waiting = desk.matter_rows(actor) if handles_matters else []
    is_supervisor = actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)
    is_applicant = actor.has(Role.APPLICANT.value, Role.ASSISTANT.value)
    mine = (
        projects.of_organisation(actor.organisation_id, most=5)
        if is_applicant and actor.organisation_id is not None
        else []
    )
    return {
        "person_name": actor.person,
        "commissions": commissions[: desk.SHOWN],
        "commission_count": len(commissions),
        "waiting_commissions": sum(1 for row in commissions if row["is_mine"]),
        "matters": waiting[: desk.SHOWN],
        "matter_count": len(waiting),
        "waiting_matters": sum(1 for row in waiting if row["is_mine"]),
        "handles_matters": handles_matters,
        "has_commissions": actor.has(
            Role.APPLICANT.value, Role.ASSISTANT.value, Role.AGENCY.value, Role.AUTHORITY.value
        ),
        "is_supervisor": is_supervisor,
        "is_applicant": is_applicant,
        "is_agency": actor.has(Role.AGENCY.value),
        "overdue": desk.overdue() if is_supervisor else [],
        "projects": mine,
    }
