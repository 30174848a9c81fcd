"""Pages of one deliverable: what was handed in, whether it still stands, and its withdrawal (A11–A13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for

from kernel import dossier, trail, workflow
from kernel.access import Cell
from kernel.errors import PortalError
from kernel.trail import Actor
from kernel.web import act_once, choose, form_errors, language, signed_in_actor
from market import deliverables
from market.deliverables import Deliverable, DeliverableStatus
from market.web import progress
from market.web.commissions import PARTIES, READERS

blueprint = Blueprint("deliverables", __name__)
ACCESS: dict[str, Cell] = {"deliverables.show": READERS, "deliverables.withdraw": PARTIES}
LINKS: dict[str, Callable[[str], str]] = {"deliverable": lambda number: f"/deliverables/{number}"}

STATUS_KINDS = {
    DeliverableStatus.SUBMITTED: "warn",
    DeliverableStatus.RETURNED: "neutral",
    DeliverableStatus.ACCEPTED: "good",
    DeliverableStatus.WITHDRAWN: "bad",
}


@blueprint.get("/deliverables/<number>")
def show(number: str) -> str:
    actor = signed_in_actor()
    deliverable = deliverables.find(number, by=actor)
    return render_template(
        "market/deliverable_show.html",
        deliverable=deliverable,
        editions=deliverables.of_commission(deliverable.commission),
        entries=dossier.from_source(deliverable.subject),
        kinds=STATUS_KINDS,
        can_withdraw=_can_withdraw(deliverable, actor),
        history=[progress.entry(act) for act in reversed(trail.of(deliverable.subject))],
    )


@blueprint.route("/deliverables/<number>/withdraw", methods=["GET", "POST"])
def withdraw(number: str) -> Response | tuple[str, int] | str:
    """The agency takes an accepted deliverable back; whoever relied on it is told."""
    actor = signed_in_actor()
    deliverable = deliverables.find(number, by=actor)
    if request.method == "GET":
        workflow.check(deliverable, deliverables.STEPS, "withdraw", by=actor)
        return _withdraw_page(deliverable)
    version = request.form.get("version", "")

    def perform() -> str:
        deliverables.withdraw(
            deliverables.find(number, by=actor, lock=True),
            request.form.get("reason", ""),
            by=actor,
            expected_version=int(version) if version.isascii() and version.isdigit() and len(version) < 10 else -1,
        )
        return url_for("deliverables.show", number=number)

    try:
        response = act_once(perform)
    except PortalError as error:
        return _withdraw_page(deliverables.find(number, by=actor), error), error.status
    flash(
        choose("成果已撤回，引用过的单位均已收到通知。", "Withdrawn. Everyone who relied on it has been told."),
        "success",
    )
    return response


def _withdraw_page(deliverable: Deliverable, error: PortalError | None = None) -> str:
    uses = [use for entry in dossier.from_source(deliverable.subject) for use in dossier.uses_of(entry)]
    rows: list[tuple[str, Any]] = [
        (choose("成果编号", "Deliverable"), deliverable.number),
        (choose("服务事项", "Service"), deliverable.commission.item.label(language())),
        (
            choose("项目", "Project"),
            f"{deliverable.commission.project.name}（{deliverable.commission.engineering_code}）",
        ),
        (choose("已被引用", "Relied on"), choose(f"{len(uses)} 次", f"{len(uses)} times")),
    ]
    return render_template(
        "market/deliverable_withdraw.html",
        deliverable=deliverable,
        rows=rows,
        reason=request.form.get("reason", ""),
        token=request.form.get("act"),
        errors={field: message for field, message in (form_errors(error) if error else []) if field},
        form_errors=form_errors(error) if error else None,
    )


def _can_withdraw(deliverable: Deliverable, actor: Actor) -> bool:
    return "withdraw" in workflow.moves(deliverable, deliverables.STEPS, actor)
