"""Pages of applications and matters: my queue, a new application, its materials, and one confirm page per act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup, escape
from sqlalchemy import select

from integration.approvals import decisions, guide, matters
from integration.approvals.cases import Case
from integration.approvals.matters import HandedIn, Matter, MatterStatus
from integration.approvals.web import parts
from kernel import dossier, projects, workflow
from kernel.access import Cell, Role, holders
from kernel.accounts import Organisation
from kernel.db import session, transaction
from kernel.errors import Invalid, NotFound, PortalError
from kernel.trail import Actor
from kernel.web import act_once, bracketed, choose, form_errors, instant, language, see_other, signed_in_actor
from market import shelf
from market.web import forms

blueprint = Blueprint("matters", __name__)

_CLIENTS = holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY)
_PARTIES = holders(
    Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY, Role.WINDOW, Role.APPROVER, Role.SUPERVISOR, Role.AUDITOR
)
_HANDLERS = holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY, Role.WINDOW, Role.APPROVER)
ACCESS: Mapping[str, Cell] = {
    "matters.index": _PARTIES,
    "matters.new": _CLIENTS,
    "matters.matter": _PARTIES,
    "matters.case": _PARTIES,
    "matters.material": _CLIENTS,
    "matters.take_out": _CLIENTS,
    # Whose act it is, is the table of steps' question.
    "matters.act": _HANDLERS,
}

Words = tuple[str, str]


class KindMissing(Invalid):
    code = "kind_missing"
    zh = "请选择要申报的事项"
    en = "Choose the matter to apply for"


class NothingChosen(Invalid):
    code = "nothing_chosen"
    zh = "请从项目材料库选择一份材料，或上传文件"
    en = "Choose a document from the dossier, or upload a file"


@dataclass(frozen=True, slots=True)
class Act:
    """One act with its confirm page: the verb, what its button says, and what follows from it."""

    step: str
    verb: Callable[..., None]
    button: Words
    explain: Words
    asks_reason: bool = False
    kind: str = "primary"


ACTS: Mapping[str, Act] = {
    "submit": Act(
        "submit",
        matters.submit,
        ("提交", "Submit"),
        (
            "提交后由综合窗口接件，材料不能再改动；受理前可以撤回。",
            "The window receives it next. The materials can't be changed any more; until acceptance you can withdraw it.",
        ),
    ),
    "receive": Act(
        "receive",
        matters.receive,
        ("接件", "Receive (接件)"),
        (
            "登记收到申报材料的时间，时间一经记录不可更改。",
            "Stamps when the papers were received; it can't be changed.",
        ),
    ),
    "accept": Act(
        "accept",
        matters.accept,
        ("受理", "Accept (受理)"),
        (
            "受理后推送至审批部门，法定办理时限和承诺办理时限自次日起计算。",
            "Sends it on to the department. The statutory and the promised clock count from the next day.",
        ),
    ),
    "refuse-intake": Act(
        "refuse_intake",
        matters.refuse_intake,
        ("不予受理", "Refuse intake"),
        ("请写明不予受理的理由和应当向哪个机关申请。", "Give the reason, and the body to turn to."),
        asks_reason=True,
        kind="danger",
    ),
    "begin": Act(
        "begin",
        matters.begin,
        ("开始办理", "Begin (开始办理)"),
        (
            "记录审批部门开始办理的时间，时间一经记录不可更改。",
            "Stamps when the department began; it can't be changed.",
        ),
    ),
    "withdraw": Act(
        "withdraw",
        matters.withdraw,
        ("撤回申报", "Withdraw"),
        ("撤回后本次申报终止，如需办理可重新申报。", "Ends this application; you can apply again."),
        asks_reason=True,
        kind="danger",
    ),
}
_SEGMENTS = {act.step: name for name, act in ACTS.items()}


# The queue


@blueprint.get("/matters", endpoint="index")
def index() -> str:
    actor = signed_in_actor()
    state = request.args.get("state", "open")
    is_open = {"open": True, "ended": False}.get(state)
    found = matters.lit(matters.queue(actor, is_open=is_open))
    return render_template(
        "integration/matter_list.html",
        rows=parts.lit_rows(found),
        state=state if state in ("open", "ended", "all") else "all",
        may_apply=_CLIENTS.allows(actor) and actor.has(Role.APPLICANT.value, Role.ASSISTANT.value),
        is_officer=actor.has(Role.WINDOW.value, Role.APPROVER.value, Role.SUPERVISOR.value, Role.AUDITOR.value),
    )


# A new application


@blueprint.route("/matters/new", methods=["GET", "POST"], endpoint="new")
def new() -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    if request.method == "GET":
        return _new_form(actor)

    def act() -> str:
        project, phase = projects.find(request.form.get("project_code", ""))
        code = request.form.get("kind", "")
        if not code:
            raise KindMissing(field="kind")
        client = session.get(Organisation, actor.organisation_id)
        if client is None:
            raise NotFound
        matter = matters.apply(project, guide.by_code(code), client, by=actor, phase=phase)
        return url_for("matters.matter", number=matter.number)

    try:
        return act_once(act)
    except PortalError as error:
        return _new_form(actor, error), 422 if error.status == 404 else error.status


def _new_form(actor: Actor, error: PortalError | None = None) -> str:
    wanted = request.args.get("q", "").strip()
    kinds = [kind for kind in guide.all_kinds() if wanted in kind.name or wanted in kind.department]
    chosen = request.form.get("kind") or request.args.get("kind", "")
    groups: dict[str, list[guide.MatterKind]] = {}
    for kind in kinds:
        groups.setdefault(kind.stage.label(language()) if kind.stage else _("其他"), []).append(kind)
    mine = projects.of_organisation(actor.organisation_id) if actor.organisation_id is not None else []
    return render_template(
        "integration/matter_new.html",
        groups=groups,
        chosen=chosen,
        q=wanted,
        project_code=request.form.get("project_code") or request.args.get("project", ""),
        projects=mine,
        form_errors=form_errors(error) if error else None,
        errors=dict(form_errors(error)) if error else {},
    )


# One matter


@blueprint.get("/cases/<number>", endpoint="case")
def case_page(number: str) -> Response:
    """A case holds one matter at present; its page is the matter's."""
    found = session.scalars(
        select(Matter.number).join(Case, Matter.case_id == Case.id).where(Case.number == number)
    ).first()
    if found is None:
        raise NotFound
    matters.find(found, by=signed_in_actor())
    return redirect(url_for("matters.matter", number=found))  # type: ignore[return-value]


@blueprint.get("/matters/<number>", endpoint="matter")
def matter_page(number: str) -> str:
    actor = signed_in_actor()
    matter = matters.find(number, by=actor)
    return _matter_page(matter, actor)


def _matter_page(matter: Matter, actor: Actor) -> str:
    open_ones = matters.moves(matter, actor)
    decision = decisions.of_matter(matter)
    is_draft = matter.status == MatterStatus.DRAFT and matters.by_client(matter, actor)
    items = shelf.guide().by_code
    kind, word = parts.status_words(matter)
    return render_template(
        "integration/matter_show.html",
        matter=matter,
        status_kind=kind,
        status=word,
        tracker=parts.tracker(matter),
        clocks=parts.clock_boxes(matter),
        actions=_actions(matter, open_ones),
        action_text=choose(*_next_words(matter, actor, open_ones)),
        is_draft=is_draft,
        tasks=[_task(matter, m, items) for m in matter.materials] if is_draft else [],
        missing=len(matters.missing(matter)),
        items=items,
        decision=decision,
        warned=decisions.warnings(decision) if decision else [],
        is_approver=matters.by_approver(matter, actor),
        history=parts.history(matter.subject),
    )


def _actions(matter: Matter, open_ones: list[str]) -> list[dict[str, Any]]:
    actions = []
    if "grant" in open_ones:
        actions.append({"label": _("引用成果材料"), "url": url_for("decisions.evidence", number=matter.number)})
        actions.append({"label": _("办结"), "url": url_for("decisions.decision", number=matter.number)})
    for step in open_ones:
        segment = _SEGMENTS.get(step)
        if segment is not None:
            act = ACTS[segment]
            actions.append(
                {
                    "label": choose(*act.button),
                    "url": url_for("matters.act", number=matter.number, name=segment),
                    "kind": "primary" if not actions and act.kind == "primary" else "secondary",
                }
            )
    return actions


def _next_words(matter: Matter, actor: Actor, open_ones: list[str]) -> Words:
    status = matter.status
    if status == MatterStatus.DRAFT:
        if matters.missing(matter):
            return (
                "请逐项备齐材料后提交。可从项目材料库选用，也可上传；中介服务成果无需重复提交。",
                "Hand in each material, then submit: pick it from the dossier or upload it.",
            )
        return "必要材料已备齐，可以提交。", "Everything required is in; you can submit."
    if "receive" in open_ones:
        return "请核对申报材料后接件。", "Check the papers and receive them."
    if "accept" in open_ones:
        return "请核对材料是否齐全、符合法定形式，决定是否受理。", "Check whether the papers are complete, then accept."
    if "begin" in open_ones:
        return "综合窗口已受理并推送，请开始办理。", "The window has accepted it; begin."
    if "grant" in open_ones:
        return (
            "可从项目材料库直接引用成果材料作为审批依据，无需申请人重复提交。",
            "Rely on documents of the dossier; the applicant needn't hand them in again.",
        )
    return {
        MatterStatus.SUBMITTED: ("等待综合窗口接件。", "Waiting for the window."),
        MatterStatus.RECEIVED: ("已接件，等待综合窗口受理。", "Received; waiting for acceptance."),
        MatterStatus.ACCEPTED: ("已受理，等待审批部门开始办理。", "Accepted; waiting for the department."),
        MatterStatus.BEGUN: ("审批部门正在办理。", "The department is handling it."),
        MatterStatus.DECIDED: ("本事项已办结。", "This matter has been decided."),
        MatterStatus.NOT_ACCEPTED: ("本次申报不予受理。", "Intake was refused."),
        MatterStatus.WITHDRAWN: ("本次申报已撤回。", "The application was withdrawn."),
    }.get(status, ("", ""))


def _task(matter: Matter, material: HandedIn, items: Mapping[str, Any]) -> dict[str, Any]:
    hints = []
    if material.document is not None:
        source = material.entry.number if material.entry else _("已上传")
        hints.append(escape(material.document.name + bracketed(source)))
    if material.voluntary_only:
        hints.append(escape(_("对应服务无法律依据，由申请人自愿提供，任何部门不得强制要求。")))
    item = items.get(material.item_code or "")
    if item is not None and not material.is_in:
        commission = commission_url(matter, item.code)
        own = escape(_("，也可按要求自行编制后上传")) if item.may_self_prepare else ""
        hints.append(
            Markup('<a href="{}">{}<span class="visually-hidden"> {}</span></a>').format(
                commission, _("委托中介服务"), material.name
            )
            + own
        )
    if material.is_in:
        status, word = "done", _("已备齐")
    elif material.required:
        status, word = "todo", _("待提交")
    else:
        status, word = "todo", _("选交")
    return {
        "label": material.name,
        "url": url_for("matters.material", number=matter.number, position=material.position),
        "status": status,
        "status_label": word,
        "hint": Markup("<br>").join(hints) if hints else None,
    }


def commission_url(matter: Matter, item_code: str) -> str:
    """The shelf, narrowed to the item and priced for the matter's project."""
    return f"/services?item={item_code}&project={matter.case.engineering_code}"


# Materials


@blueprint.route("/matters/<number>/materials/<int:position>", methods=["GET", "POST"], endpoint="material")
def material_page(number: str, position: int) -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    matter = matters.find(number, by=actor)
    if request.method == "GET":
        return _material_form(matter, position)
    sheet = forms.receive(["file"])

    def act() -> str:
        locked = matters.find(number, by=actor, lock=True)
        uploaded = sheet.documents("file", actor)
        entry_number = request.form.get("entry", "")
        if uploaded:
            matters.pick(locked, position, by=actor, document=uploaded[0])
        elif entry_number:
            matters.pick(locked, position, by=actor, entry=dossier.by_number(entry_number))
        else:
            raise NothingChosen(field="file")
        return url_for("matters.matter", number=number)

    try:
        answer = act_once(act)
    except PortalError as error:
        return _material_form(matter, position, error), 422 if error.status == 404 else error.status
    flash(_("材料已备齐"), "success")
    return answer


def _material_form(matter: Matter, position: int, error: PortalError | None = None) -> str:
    material = next((m for m in matter.materials if m.position == position), None)
    if material is None or matter.status != MatterStatus.DRAFT:
        raise NotFound
    rows = parts.standings(dossier.entries_of(matter.project))
    # What the catalogue's own item delivered comes first, then what can be used, then the newest.
    rows.sort(
        key=lambda row: (
            not row[1].can_rely,
            not (material.item_code and row[0].item_code == material.item_code),
            -row[0].id,
        )
    )
    item = shelf.guide().by_code.get(material.item_code or "")
    return render_template(
        "integration/matter_material.html",
        matter=matter,
        material=material,
        item=item,
        commission_url=commission_url(matter, item.code) if item else None,
        usable=[(entry, entry.item_code == material.item_code) for entry, standing in rows if standing.can_rely],
        unusable=[(entry, standing.reason(language())) for entry, standing in rows if not standing.can_rely],
        chosen=request.form.get("entry") or (material.entry.number if material.entry else ""),
        form_errors=form_errors(error) if error else None,
        errors=dict(form_errors(error)) if error else {},
    )


@blueprint.post("/matters/<number>/materials/<int:position>/out", endpoint="take_out")
def take_out(number: str, position: int) -> Response:
    actor = signed_in_actor()
    with transaction():
        matters.take_out(matters.find(number, by=actor, lock=True), position, by=actor)
    return see_other(url_for("matters.matter", number=number))


# Acts


@blueprint.route("/matters/<number>/<name>", methods=["GET", "POST"], endpoint="act")
def act_page(number: str, name: str) -> Response | tuple[str, int] | str:
    act = ACTS.get(name) or abort(404)
    actor = signed_in_actor()
    matter = matters.find(number, by=actor)
    if request.method == "GET":
        workflow.check(matter, matters.STEPS, act.step, by=actor)
        return _confirm_form(matter, act)

    def run() -> str:
        locked = matters.find(number, by=actor, lock=True)
        given = (request.form.get("reason", ""),) if act.asks_reason else ()
        act.verb(locked, *given, by=actor, expected_version=parts.form_version())
        return url_for("matters.matter", number=number)

    try:
        answer = act_once(run)
    except workflow.MoveNotOpen:
        raise
    except PortalError as error:
        return _confirm_form(matters.find(number, by=actor), act, error), error.status
    flash(choose(*act.button) + _("：已办理"), "success")
    return answer


def _confirm_form(matter: Matter, act: Act, error: PortalError | None = None) -> str:
    case = matter.case
    rows = [
        (_("事项名称"), matter.name),
        (_("项目名称"), case.project.name),
        (_("项目代码"), case.engineering_code),
        (_("申请人"), case.client.name),
        (_("审批部门"), matter.authority.name if matter.authority else matter.department),
        (_("承诺时限"), _("%(count)s 个工作日", count=matter.promised_working_days)),
        (_("材料"), _("已备齐 %(count)s 份", count=sum(1 for m in matter.materials if m.is_in))),
    ]
    if case.submitted_at is not None:
        rows.append((_("提交时间"), instant(case.submitted_at)))
    return render_template(
        "integration/matter_act.html",
        matter=matter,
        title=f"{choose(*act.button)}{_('：')}{matter.name}",
        rows=rows,
        explain=choose(*act.explain),
        button=choose(*act.button),
        kind=act.kind,
        asks_reason=act.asks_reason,
        reason_required=act.step == "refuse_intake",
        reason=request.form.get("reason", ""),
        form_errors=form_errors(error) if error else None,
        errors=dict(form_errors(error)) if error else {},
    )
