"""Projects: registration, and one page with everything under a project code (000 §7.6, C1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select

from integration.approvals import matters
from integration.approvals.web import parts
from integration.web import desk
from kernel import dossier, money, projects
from kernel.access import Cell, Role, holders
from kernel.accounts import Organisation
from kernel.db import session
from kernel.dossier import Entry
from kernel.errors import Invalid, Invalids, NotFound, PortalError
from kernel.projects import Project, ProjectClass
from kernel.trail import Actor
from kernel.web import act_once, form_errors, language, signed_in_actor
from market import agencies, commissions
from market.commissions import Commission, CommissionMaterial, CommissionStatus
from market.web.forms import Sheet, Words

blueprint = Blueprint("projects", __name__)
_OWNERS = holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY)
_VIEWERS = holders(
    Role.APPLICANT,
    Role.ASSISTANT,
    Role.AUTHORITY,
    Role.AGENCY,
    Role.WINDOW,
    Role.APPROVER,
    Role.SUPERVISOR,
    Role.AUDITOR,
)
ACCESS: Mapping[str, Cell] = {
    "projects.index": _OWNERS,
    "projects.new": _OWNERS,
    "projects.project": _VIEWERS,
    "projects.add_phase": _OWNERS,
}
#: Officers who see every project under its code.
OFFICERS = (Role.APPROVER.value, Role.WINDOW.value, Role.SUPERVISOR.value, Role.AUDITOR.value)


class NameMissing(Invalid):
    code = "project_name_missing"
    zh = "请填写{what_zh}"
    en = "Fill in: {what_en}"


class ClassMissing(Invalid):
    code = "project_class_missing"
    zh = "请选择项目类型"
    en = "Choose the class of project"


class AreaNegative(Invalid):
    code = "area_negative"
    zh = "面积应为正数"
    en = "An area is above zero"


def is_insider(project: Project, actor: Actor) -> bool:
    """The construction unit and the officers see all of a project."""
    return projects.is_owner(project, actor) or actor.has(*OFFICERS)


def serves(project: Project, actor: Actor) -> bool:
    """An agency with a commission there."""
    if actor.organisation_id is None or not actor.has(Role.AGENCY.value):
        return False
    agency = agencies.of_organisation(actor.organisation_id)
    if agency is None:
        return False
    found = session.scalars(
        select(Commission.id)
        .where(
            Commission.project_id == project.id,
            Commission.agency_id == agency.id,
            Commission.offered_at.is_not(None),
            Commission.status.not_in((CommissionStatus.DRAFT, CommissionStatus.CANCELLED)),
        )
        .limit(1)
    ).first()
    return found is not None


def may_see_entry(entry: Entry, actor: Actor) -> bool:
    """Insiders of its project; the issuer; an agency to which it was handed as material."""
    if is_insider(entry.project, actor):
        return True
    if actor.organisation_id is not None and entry.issuer_id == actor.organisation_id:
        return True
    if not serves(entry.project, actor):
        return False
    rows = session.scalars(
        select(Commission)
        .join(CommissionMaterial, CommissionMaterial.commission_id == Commission.id)
        .where(CommissionMaterial.entry_id == entry.id)
    ).unique()
    return any(commissions.can_see(commission, actor) for commission in rows)


@blueprint.get("/projects", endpoint="index")
def index() -> str:
    actor = signed_in_actor()
    mine = projects.of_organisation(actor.organisation_id) if actor.organisation_id is not None else []
    return render_template("integration/project_list.html", projects=mine)


@blueprint.route("/projects/new", methods=["GET", "POST"], endpoint="new")
def new() -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    if request.method == "GET":
        return _new_form()

    def act() -> str:
        organisation = session.get(Organisation, actor.organisation_id)
        if organisation is None:
            raise NotFound
        values = _read_form()
        project = projects.register(request.form.get("project_code", ""), organisation=organisation, by=actor, **values)
        return url_for("projects.project", code=project.code)

    try:
        answer = act_once(act)
    except PortalError as error:
        return _new_form(error), error.status
    flash(_("项目信息已登记"), "success")
    return answer


def _read_form() -> dict[str, Any]:
    """The values for :func:`kernel.projects.register`; every fault is told at once."""
    faults: list[PortalError] = []
    sheet = Sheet(request.form)
    values: dict[str, Any] = {"address": sheet.text("address").strip()}
    try:
        projects.parse_code(sheet.text("project_code"))
    except PortalError as error:
        faults.append(error)
    name = sheet.text("name").strip()
    if not name:
        faults.append(NameMissing(field="name", what_zh="项目名称", what_en="the project's name"))
    values["name"] = name
    kind = next((k for k in ProjectClass if k.value == sheet.text("project_class")), None)
    if kind is None:
        faults.append(ClassMissing(field="project_class"))
    values["project_class"] = kind
    values["investment"] = None
    if sheet.text("investment").strip():
        try:
            values["investment"] = money.parse(sheet.text("investment"), field="investment")
        except PortalError as error:
            faults.append(error)
    for field, words in (
        ("land_area", ("用地面积", "the land area")),
        ("building_area", ("建筑面积", "the building area")),
    ):
        values[field] = _area(sheet, field, words, faults)
    if faults:
        raise Invalids(faults)
    return values


def _area(sheet: Sheet, field: str, words: Words, faults: list[PortalError]) -> int | None:
    if not sheet.text(field).strip():
        return None
    try:
        area = sheet.whole(field, words)
    except PortalError as error:
        faults.append(error)
        return None
    if area <= 0:
        faults.append(AreaNegative(field=field))
    return area


def _new_form(error: PortalError | None = None) -> str:
    return render_template(
        "integration/project_new.html",
        typed=request.form,
        project_code=request.form.get("project_code") or request.args.get("project_code", ""),
        classes=[(kind.value, kind.label(language())) for kind in ProjectClass],
        form_errors=form_errors(error) if error else None,
        errors=dict(form_errors(error)) if error else {},
    )


@blueprint.get("/projects/<code>", endpoint="project")
def project_page(code: str) -> str:
    return _project_page(*_find(code))


def _find(code: str) -> tuple[Project, Actor]:
    actor = signed_in_actor()
    try:
        project, _phase = projects.find(code)
    except PortalError:
        raise NotFound from None
    if not is_insider(project, actor) and not serves(project, actor):
        raise NotFound
    return project, actor


def _project_page(project: Project, actor: Actor, error: PortalError | None = None) -> str:
    insider = is_insider(project, actor)
    entries = dossier.entries_of(project)
    if not insider:
        entries = [entry for entry in entries if may_see_entry(entry, actor)]
    running = commissions.of_project(project)
    visible = {one.number for one in running if commissions.can_see(one, actor)}
    # Officers see that a service is under way, not its terms: a row without a link. A draft is the client's alone.
    running = [one for one in running if one.number in visible or (insider and one.offered_at is not None)]
    found = matters.lit(matters.of_project(project, actor)) if insider else []
    return render_template(
        "integration/project_show.html",
        project=project,
        investment=money.format(project.investment) if project.investment is not None else "",
        is_owner=projects.is_owner(project, actor),
        is_insider=insider,
        entries=[
            {
                "entry": entry,
                "standing": standing,
                "reason": standing.reason(language()),
                "uses": uses,
            }
            for (entry, standing), uses in _with_uses(entries)
        ],
        commissions=desk.commission_rows(running, actor),
        visible=visible,
        matters=parts.lit_rows(found),
        history=parts.history(project.subject) if insider else [],
        phase_name=request.form.get("name", ""),
        form_errors=form_errors(error) if error else None,
        errors=dict(form_errors(error)) if error else {},
    )


def _with_uses(entries: list[Entry]) -> list[tuple[Any, int]]:
    uses = parts.uses_by_entry(entries)
    return [(row, len(uses.get(row[0].id, []))) for row in parts.standings(entries)]


@blueprint.post("/projects/<code>/phases", endpoint="add_phase")
def add_phase(code: str) -> Response | tuple[str, int]:
    project, actor = _find(code)
    if not projects.is_owner(project, actor):
        raise NotFound

    def act() -> str:
        name = request.form.get("name", "").strip()
        if not name:
            raise NameMissing(field="name", what_zh="工程名称", what_en="the phase's name")
        locked = session.scalars(
            select(Project)
            .where(Project.id == project.id)
            .with_for_update(of=Project)
            .execution_options(populate_existing=True)
        ).one()
        projects.add_phase(locked, name, by=actor)
        return url_for("projects.project", code=project.code)

    try:
        return act_once(act)
    except PortalError as error:
        return _project_page(*_find(code), error), error.status
