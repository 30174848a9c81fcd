"""The approver's pages: what can be relied on, the rest with its reason, and the decision itself (A13)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, flash, render_template, request, url_for
from flask_babel import gettext as _

from integration.approvals import decisions, matters
from integration.approvals.matters import Matter, Outcome
from integration.approvals.web import parts
from kernel import dossier, workflow
from kernel.access import Cell, Role, holders
from kernel.errors import Invalid, PortalError
from kernel.web import act_once, form_errors, instant, language, signed_in_actor

blueprint = Blueprint("decisions", __name__)

_READERS = holders(
    Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY, Role.WINDOW, Role.APPROVER, Role.SUPERVISOR, Role.AUDITOR
)
ACCESS: Mapping[str, Cell] = {
    "decisions.evidence": holders(Role.APPROVER),
    "decisions.decision": _READERS,
}


class OutcomeMissing(Invalid):
    code = "outcome_missing"
    zh = "请选择办理结果"
    en = "Choose the outcome"


@blueprint.route("/matters/<number>/evidence", methods=["GET", "POST"], endpoint="evidence")
def evidence_page(number: str) -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    matter = matters.find(number, by=actor)
    if request.method == "GET":
        workflow.check(matter, matters.STEPS, "grant", by=actor)
        return _evidence(matter)

    def act() -> str:
        locked = matters.find(number, by=actor, lock=True)
        entry = dossier.by_number(request.form.get("entry", ""))
        verb = decisions.put_back if request.form.get("out") else decisions.cite
        verb(locked, entry, by=actor)
        return url_for("decisions.evidence", number=number)

    try:
        answer = act_once(act)
    except workflow.MoveNotOpen:
        raise
    except PortalError as error:
        return _evidence(matters.find(number, by=actor), error), error.status
    flash(_("已取消引用") if request.form.get("out") else _("已引用，将作为本事项决定的依据"), "success")
    return answer


def _evidence(matter: Matter, error: PortalError | None = None) -> str:
    offered = decisions.offerable(matter)
    chosen = {entry.number for entry in decisions.selected(matter)}
    handed_in = {material.sha256 for material in matter.materials if material.sha256}
    shown = parts.cards(offered)
    for card in shown:
        card["is_selected"] = card["number"] in chosen
        if card["sha256"] in handed_in:
            card["facts"].append(_("申请人已在本次申报中选用"))
    return render_template(
        "integration/matter_evidence.html",
        matter=matter,
        usable=[card for card in shown if card["reason"] is None],
        unusable=[card for card in shown if card["reason"] is not None],
        chosen=len(chosen),
        form_errors=form_errors(error) if error else None,
    )


@blueprint.route("/matters/<number>/decision", methods=["GET", "POST"], endpoint="decision")
def decision_page(number: str) -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    matter = matters.find(number, by=actor)
    if request.method == "GET":
        decision = decisions.of_matter(matter)
        if decision is not None:
            return _decided(matter, decision)
        workflow.check(matter, matters.STEPS, "grant", by=actor)
        return _decision_form(matter)

    def act() -> str:
        locked = matters.find(number, by=actor, lock=True)
        outcome = next((o for o in Outcome if o.value == request.form.get("outcome")), None)
        if outcome is None:
            raise OutcomeMissing(field="outcome")
        decisions.decide(
            locked, outcome, request.form.get("opinion", ""), by=actor, expected_version=parts.form_version()
        )
        return url_for("decisions.decision", number=number)

    try:
        return act_once(act)
    except workflow.MoveNotOpen:
        raise
    except PortalError as error:
        return _decision_form(matters.find(number, by=actor), error), error.status


def _decision_form(matter: Matter, error: PortalError | None = None) -> str:
    return render_template(
        "integration/matter_decide.html",
        matter=matter,
        cards=parts.cards(parts.standings(decisions.selected(matter))),
        outcomes=[(outcome.value, outcome.label(language())) for outcome in Outcome],
        outcome=request.form.get("outcome"),
        opinion=request.form.get("opinion", ""),
        form_errors=form_errors(error) if error else None,
        errors=dict(form_errors(error)) if error else {},
    )


def _decided(matter: Matter, decision: decisions.Decision) -> str:
    warned = {one.evidence.id: one for one in decisions.warnings(decision)}
    relied = []
    for evidence in decision.evidence:
        lost = warned.get(evidence.id)
        relied.append(
            {
                "number": evidence.entry.number,
                "name": evidence.entry.title,
                "url": url_for("documents.document", number=evidence.entry.number),
                "file_url": url_for("kernel.download", number=evidence.document.number),
                "size": parts.size_text(evidence.document.size),
                "sha256": evidence.sha256,
                "version": evidence.entry.edition,
                "facts": parts.document_facts(evidence.entry),
                "lost": lost.standing.reason(language()) if lost else None,
                "lost_at": instant(lost.at) if lost else "",
            }
        )
    return render_template("integration/matter_decision.html", matter=matter, decision=decision, relied=relied)
