"""The need before it is published: begin or copy one, a task list over several sessions, check, publish (A6).

Only the buyer sees a need; custodians see of it what ``/custody`` shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from sqlalchemy import func, select

from kernel import clock, dossier, money, projects
from kernel.access import Cell, Role, holders
from kernel.accounts import Organisation
from kernel.clock import SHANGHAI
from kernel.db import session
from kernel.errors import Invalid, Invalids, NotFound, PortalError
from kernel.projects import Phase, Project
from kernel.trail import Actor
from kernel.web import bracketed, choose, day, form_errors, instant, language, page_number, signed_in_actor
from kernel.workflow import StaleVersion
from market import agencies, calls, catalogue, commissions, custody, listings, requests, routes
from market.agencies import Agency, AgencyStatus
from market.calls import CallForBids, Task
from market.calls import faults as call_faults
from market.commissions import Commission, CommissionStatus, Payer, Route
from market.custody import Custodian
from market.routes import CustodyKind
from market.web import confirm, need_form, ordering, progress, route_words
from market.web.acts import Row
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet, receive, stem

blueprint = Blueprint("needs", __name__)
BUYERS = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT)
ACCESS: Mapping[str, Cell] = {
    "needs.index": BUYERS,
    "needs.new": BUYERS,
    "needs.show": BUYERS,
    "needs.task": BUYERS,
    "needs.check": BUYERS,
    "needs.approval": BUYERS,
    "needs.route": BUYERS,
    "needs.discard": BUYERS,
    "needs.copy": BUYERS,
}
LINKS: Mapping[str, Callable[[str], str]] = {}
PAGE_SIZE = 50


class ItemMissing(Invalid):
    code = "item_missing"
    zh = "请选择服务事项"
    en = "Choose the service item"


class RouteMissing(Invalid):
    code = "route_missing"
    zh = "请选择采购方式"
    en = "Choose the route"


class PayerMissing(Invalid):
    code = "payer_missing"
    zh = "请选择付费方"
    en = "Choose who pays"


class AgencyUnknown(Invalid):
    code = "agency_unknown"
    zh = "没有找到机构编号 {value}"
    en = "There is no agency {value}"


class WordMissing(Invalid):
    code = "word_missing"
    zh = "请选择同意或不同意"
    en = "Choose yes or no"


# The list


@blueprint.get("/needs", endpoint="index")
def index() -> str:
    """What my organisation wants to buy: drafts first, then what it published."""
    actor, page = signed_in_actor(), page_number()
    states = {"draft": CallForBids.published_at.is_(None), "published": CallForBids.published_at.is_not(None)}
    asked = request.args.get("state", "")
    statement = select(CallForBids).join(Commission).where(Commission.client_id == actor.organisation_id)
    if asked in states:
        statement = statement.where(states[asked])
    total = session.scalar(select(func.count()).select_from(statement.subquery())) or 0
    found = session.scalars(
        statement.order_by(CallForBids.published_at.is_not(None), CallForBids.id.desc())
        .limit(PAGE_SIZE)
        .offset((page - 1) * PAGE_SIZE)
    ).unique()
    return render_template(
        "market/need_index.html",
        rows=[_row(call) for call in found],
        state=asked if asked in states else "",
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE_SIZE)),
    )


def _row(call: CallForBids) -> dict[str, Any]:
    commission = call.commission
    is_draft = commission.status == CommissionStatus.DRAFT and call.published_at is None
    return {
        "call": call,
        "url": url_for("needs.show", number=call.number) if is_draft else _place_of(call),
        "is_draft": is_draft,
        "missing": sum(1 for task in calls.tasks(call) if not task.is_done) if is_draft else 0,
        "status": commission.status.label(language()),
        "kind": progress.STATUS_KINDS[commission.status],
        "ceiling": money.format(call.ceiling) if call.ceiling is not None else "",
    }


# Beginning one


@blueprint.route("/needs/new", methods=["GET", "POST"], endpoint="new")
def new() -> Answer:
    actor = signed_in_actor()
    if request.method == "GET":
        values = {
            "project_code": request.args.get("project", ""),
            "item": request.args.get("item", ""),
            "route": request.args.get("route", Route.BIDDING.value),
            "payer": request.args.get("payer", _usual_payer(actor).value),
        }
        return _new_page(actor, values)
    sheet = receive()

    def act() -> str:
        project, phase, item, route, payer = _begun(sheet)
        client = session.get(Organisation, actor.organisation_id)
        if client is None:
            raise NotFound
        call = calls.draft_need(project, item, client, by=actor, route=route, payer=payer, phase=phase)
        return url_for("needs.show", number=call.number)

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        return outcome
    return _new_page(actor, sheet.typed, outcome), _status(outcome)


def _usual_payer(actor: Actor) -> Payer:
    return Payer.GOVERNMENT if actor.has(Role.AUTHORITY.value) else Payer.SELF


def _begun(sheet: Sheet) -> tuple[Project, Phase | None, Any, Route, Payer]:
    """What the first page asks. Raises Invalids, each at its field."""
    faults: list[PortalError] = []
    found: dict[str, Any] = {}
    try:
        found["project"], found["phase"] = projects.find(sheet.text("project_code"))
    except PortalError as error:
        faults.append(error)
    try:
        found["item"] = catalogue.by_code(sheet.text("item").strip())
    except PortalError:
        faults.append(ItemMissing(field="item"))
    found["route"] = next((one for one in need_form.routes_open() if one.value == sheet.text("route")), None)
    if found["route"] is None:
        faults.append(RouteMissing(field="route"))
    found["payer"] = next((one for one in Payer if one.value == sheet.text("payer")), None)
    if found["payer"] is None:
        faults.append(PayerMissing(field="payer"))
    if faults:
        raise Invalids(faults)
    return found["project"], found["phase"], found["item"], found["route"], found["payer"]


def _new_page(actor: Actor, values: Mapping[str, str], error: PortalError | None = None) -> str:
    mine = projects.of_organisation(actor.organisation_id) if actor.organisation_id else []
    payer = next((one for one in Payer if one.value == values.get("payer")), Payer.SELF)
    return render_template(
        "market/need_new.html",
        values=values,
        my_projects=mine,
        items=item_options(),
        payers=[(one.value, one.label(language())) for one in Payer],
        routes=route_words.options(mine[0].region if mine else "", payer),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )


def item_options() -> list[tuple[str, str]]:
    """Every service item for ``ui.select``."""
    return [(item.code, f"{item.code} {item.label(language())}") for item in catalogue.all_items()]


def _status(error: PortalError) -> int:
    """A code that names nothing is a mistake in the form, not a missing page."""
    return 422 if error.status == 404 else error.status


@blueprint.route("/calls/<number>/copy", methods=["GET", "POST"], endpoint="copy")
def copy(number: str) -> Answer:
    """An old need's words for a new project: one click and four fields (interface, budget of the buyer)."""
    actor = signed_in_actor()
    old = _own(number, actor)
    if request.method == "GET":
        closing = need_form.default_closing(old.rules).astimezone(SHANGHAI)
        mine = projects.of_organisation(actor.organisation_id) if actor.organisation_id else []
        values = {
            "project_code": mine[0].code if len(mine) == 1 else "",
            "ceiling": need_form.yuan(old.ceiling),
            "closing_at": closing.date().isoformat(),
            "closing_at_time": f"{closing:%H:%M}",
        }
        return _copy_page(old, actor, values)
    sheet = receive()

    def act() -> str:
        faults: list[PortalError] = []
        try:
            project, phase = projects.find(sheet.text("project_code"))
        except PortalError as error:
            faults.append(error)
        try:
            given = need_form.read(sheet, _copied(old))
        except Invalids as error:
            faults += error.errors
        if faults:
            raise Invalids(faults)
        call = calls.copy_need(_own(number, actor), project, by=actor, phase=phase)
        calls.fill(call, by=actor, **given)
        return url_for("needs.show", number=call.number)

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(choose("已复制为新的采购需求，请逐项核对后发布。", "Copied. Check each part, then publish."), "success")
        return outcome
    return _copy_page(old, actor, sheet.typed, outcome), _status(outcome)


def _copied(old: CallForBids) -> tuple[str, ...]:
    return ("ceiling", "closing_at") if need_form.asks_ceiling(old.rules) else ("closing_at",)


def _copy_page(old: CallForBids, actor: Actor, values: Mapping[str, str], error: PortalError | None = None) -> str:
    return render_template(
        "market/need_copy.html",
        old=old,
        names=_copied(old),
        values=values,
        my_projects=projects.of_organisation(actor.organisation_id) if actor.organisation_id else [],
        earliest=day(clock.local_date(calls.earliest_closing(old.rules))),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )


def _own(number: str, actor: Actor, *, lock: bool = False) -> CallForBids:
    """A call of the actor's own organisation. Raises NotFound."""
    call = calls.find(number, by=actor, lock=lock)
    if not commissions.by_client(call.commission, actor):
        raise NotFound
    return call


def _draft(number: str, actor: Actor, *, lock: bool = False) -> CallForBids:
    """A draft of the actor's own organisation.

    Raises:
        NotFound: it is published, somebody else's, or not there.
    """
    call = _own(number, actor, lock=lock)
    if call.commission.status != CommissionStatus.DRAFT:
        raise NotFound
    return call


# The task list


@blueprint.get("/needs/<number>", endpoint="show")
def show(number: str) -> Answer:
    actor = signed_in_actor()
    call = _own(number, actor)
    if call.commission.status != CommissionStatus.DRAFT:
        return redirect(_place_of(call))  # type: ignore[return-value]
    tasks = calls.tasks(call)
    missing = [task for task in tasks if not task.is_done]
    return render_template(
        "market/need_show.html",
        call=call,
        tasks=[_task_item(call, task) for task in [*tasks, _documents_task(call)]],
        missing=len(missing),
        only_approval=[task.key for task in missing] == ["approval"],
        needs_approval=calls.needs_approval(call),
        facts=_facts(call),
        refused=_refused(call),
    )


def _place_of(call: CallForBids) -> str:
    """Where a need is that is no draft any more: in public, or given up before it was."""
    if calls.is_public(call):
        return url_for("calls.show", number=call.number)
    return url_for("commissions.show", number=call.commission.number)


def _refused(call: CallForBids) -> str:
    """The reason why the last approval was refused, while it stands."""
    given = calls.approval(call) if calls.needs_approval(call) else None
    return given.reason if given is not None and not given.is_approved else ""


def _documents_task(call: CallForBids) -> Task:
    return Task("documents", "采购文件", "Documents")


def _task_item(call: CallForBids, task: Task) -> dict[str, Any]:
    url = (
        url_for("needs.approval", number=call.number)
        if task.key == "approval"
        else url_for("needs.task", number=call.number, task=task.key)
    )
    hint: str | None = choose(task.why_zh, task.why_en) or None
    label = None
    if task.key == "documents":
        hint = choose(f"已添加 {len(call.documents)} 份，选填。", f"{len(call.documents)} added; not required.")
        label = choose("已添加", "Added") if call.documents else choose("选填", "Optional")
    elif task.key in ("keys", "approval") and not task.is_done:
        label = choose("等待中", "Waiting")
    return {
        "label": choose(task.zh, task.en),
        "url": url,
        "status": "done" if task.is_done and (task.key != "documents" or call.documents) else "todo",
        "status_label": label,
        "hint": hint,
    }


def _facts(call: CallForBids) -> list[Row]:
    commission, rules, tongue = call.commission, call.rules, language()
    rows: list[Row] = [
        (choose("采购编号", "Call"), call.number),
        (choose("服务事项", "Service item"), commission.item.label(tongue)),
        (choose("项目", "Project"), commission.project.name + bracketed(commission.engineering_code)),
        (choose("采购方式", "Route"), commission.route.label(tongue)),
        (choose("规则", "Rule"), route_words.explain(commission.route, rules, commission.payer)),
        (choose("资金来源", "Paid by"), commission.payer.label(tongue)),
    ]
    if commission.applicant_id != commission.client_id:
        rows.append((choose("申请人", "Applicant"), commission.applicant.name))
    return rows


# One task


@blueprint.route("/needs/<number>/<task>", methods=["GET", "POST"], endpoint="task")
def task_page(number: str, task: str) -> Answer:
    actor = signed_in_actor()
    call = _draft(number, actor)
    if task not in {one.key for one in calls.tasks(call)} | {"documents"}:
        raise NotFound
    if task == "keys":
        return render_template("market/need_keys.html", call=call, keys=_keys(call), facts=_key_facts(call))
    if request.method == "GET":
        return _task_page(call, task, _initial(call, task))
    sheet = receive(["files"] if task == "documents" else [])

    def act() -> str:
        draft = _draft(number, actor, lock=True)
        _do(draft, task, sheet, actor, confirm.version_seen())
        return url_for("needs.task" if task == "documents" else "needs.show", **_place(number, task))

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(choose("已保存。", "Saved."), "success")
        return outcome
    kept = sheet.keep(actor)
    call = _own(number, actor)
    if call.commission.status != CommissionStatus.DRAFT:
        raise outcome
    return _task_page(call, task, sheet.typed, outcome, kept), outcome.status


def _place(number: str, task: str) -> dict[str, Any]:
    return {"number": number, "task": task} if task == "documents" else {"number": number}


def _do(call: CallForBids, task: str, sheet: Sheet, by: Actor, version: int | None) -> None:
    if task == "documents":
        _do_documents(call, sheet, by)
    elif task == "invitations":
        calls.invite(call, _invited(call, sheet), by=by)
    elif task == "budget":
        amount = sheet.text("budget").strip()
        requests.budget(
            call.commission,
            by=by,
            budget_line=sheet.text("budget_line")[:200],
            amount=money.parse(amount, field="budget") if amount else None,
            purchase_basis=sheet.text("purchase_basis")[:2000],
            expected_version=version,
        )
    else:
        given = need_form.read(sheet, need_form.names_of(task, call.rules))
        calls.fill(call, by=by, expected_version=version, **given)


def _do_documents(call: CallForBids, sheet: Sheet, by: Actor) -> None:
    wanted = sheet.text("remove")
    if wanted:
        for record in call.documents:
            if record.document.number == wanted:
                calls.remove_document(call, record, by=by)
                return
        return
    picked = sheet.text("entry")
    if picked:
        entry = dossier.by_number(picked)
        if entry.project_id != call.commission.project_id:
            raise ordering.ForeignEntry(field="entry", title=picked, project=call.commission.project.code)
        standing = dossier.stand(entry, clock.today())
        if not standing.can_rely:
            raise ordering.EntryUnusable(
                field="entry", title=entry.title, reason_zh=standing.reason_zh, reason_en=standing.reason_en
            )
        calls.add_document(call, entry.title, by=by, entry=entry)
    documents = sheet.documents("files", by)
    for document in documents:
        calls.add_document(call, stem(document.name), by=by, document=document)
    if not picked and not documents:
        raise call_faults.FieldMissing(field="files", what="文件", what_en="the document")


def _invited(call: CallForBids, sheet: Sheet) -> list[Agency]:
    numbers = request.form.getlist("agency")
    numbers += [word for line in sheet.text("others").splitlines() for word in line.replace("，", " ").split()]
    found: dict[int, Agency] = {}
    for number in numbers:
        try:
            agency = agencies.by_number(number.strip().upper())
        except NotFound:
            raise AgencyUnknown(field="others", value=number) from None
        found[agency.id] = agency
    return list(found.values())


def _initial(call: CallForBids, task: str) -> dict[str, str]:
    if task == "budget":
        purchase = requests.purchase_of(call.commission)
        return {
            "budget_line": purchase.budget_line if purchase else "",
            "budget": need_form.yuan(purchase.budget) if purchase else "",
            "purchase_basis": purchase.purchase_basis if purchase else "",
        }
    return need_form.values_of(call)


def _task_page(
    call: CallForBids,
    task: str,
    values: Mapping[str, str],
    error: PortalError | None = None,
    kept: Mapping[str, Any] | None = None,
) -> str:
    current = next((one for one in calls.tasks(call) if one.key == task), _documents_task(call))
    return render_template(
        "market/need_task.html",
        call=call,
        task=task,
        title=choose(current.zh, current.en),
        why=choose(current.why_zh, current.why_en),
        names=need_form.names_of(task, call.rules),
        values=values,
        rules=call.rules,
        criteria=range(1, need_form.MOST_CRITERIA + 1),
        weight_field=need_form.weight_field,
        quality=f"{call.rules.quality_weight / 100:g}%",
        earliest=day(clock.local_date(calls.earliest_closing(call.rules))),
        candidates=_candidates(call) if task == "invitations" else [],
        invited=request.form.getlist("agency") or [one.agency.number for one in call.invitations],
        entries=_entries(call) if task == "documents" else [],
        kept=kept or {},
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )


def _candidates(call: CallForBids) -> list[tuple[str, str]]:
    """Agencies that offer the item, and those invited already."""
    offering = [one.agency for one in listings.of_item(call.commission.item) if listings.in_force(one)]
    found = {one.id: one for one in [*offering, *(invitation.agency for invitation in call.invitations)]}
    return [
        (agency.number, agency.name + bracketed(agency.number))
        for agency in found.values()
        if agency.status == AgencyStatus.ADMITTED
    ]


def _entries(call: CallForBids) -> list[tuple[str, str]]:
    """What the project's dossier holds and may be relied on; an applicant's dossier is the buyer's to use here."""
    today = clock.today()
    return [
        (entry.number, entry.title + bracketed(entry.number))
        for entry in dossier.entries_of(call.commission.project)
        if dossier.stand(entry, today).can_rely
    ]


def _key_facts(call: CallForBids) -> list[Row]:
    kind = call.rules.custody_for(call.commission.payer, call.ceiling)
    return [(choose("保管方式", "Custody"), kind.label(language()))]


def _keys(call: CallForBids) -> list[dict[str, Any]]:
    """Each custodian with whether its key of this call is here; none where the platform alone holds it."""
    if call.rules.custody_for(call.commission.payer, call.ceiling) is CustodyKind.PLATFORM:
        return []
    provided = {key.custodian: key for key in custody.keys(call.id)}
    return [
        {
            "name": custodian.label(language()),
            "at": instant(provided[custodian].provided_at) if custodian in provided else "",
            "by": provided[custodian].provided_by if custodian in provided else "",
        }
        for custodian in Custodian
    ]


# Approval, publication, giving up


@blueprint.route("/needs/<number>/approval", methods=["GET", "POST"], endpoint="approval")
def approval(number: str) -> Answer:
    """A second person of the buyer reads the need as it stands and says yes or no."""
    actor = signed_in_actor()
    call = _draft(number, actor)
    if not calls.needs_approval(call):
        raise call_faults.ApprovalNotNeeded
    error: PortalError | None = None
    if request.method == "POST":

        def act() -> str:
            draft = _draft(number, actor, lock=True)
            seen = confirm.version_seen()
            if seen is not None and seen != draft.commission.version:
                raise StaleVersion(current=draft.commission.version)
            word = request.form.get("word")
            if word not in ("yes", "no"):
                raise WordMissing(field="word")
            calls.approve(draft, is_approved=word == "yes", reason=request.form.get("reason", ""), by=actor)
            return url_for("needs.show", number=number)

        outcome = confirm.attempt(act)
        if isinstance(outcome, Response):
            flash(choose("已记录审批意见。", "Recorded."), "success")
            return outcome
        error = outcome
        call = _draft(number, actor)
    page = render_template(
        "market/need_approval.html",
        call=call,
        rows=notice_rows(call),
        budget=_budget_rows(call),
        threshold=money.format(call.rules.approval_above),
        given=calls.approval(call),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
        reason=request.form.get("reason", ""),
        word=request.form.get("word", ""),
    )
    return (page, error.status) if error else page


def _budget_rows(call: CallForBids) -> list[Row]:
    purchase = requests.purchase_of(call.commission)
    if purchase is None:
        return []
    return [
        (choose("预算科目", "Budget line"), purchase.budget_line),
        (choose("预算金额", "Budget"), money.format(purchase.budget) if purchase.budget is not None else ""),
        (choose("采购依据", "Basis of the purchase"), purchase.purchase_basis),
    ]


def notice_rows(call: CallForBids) -> list[Row]:
    """The notice as a bidder will read it, in the reader's language."""
    return [
        (choose(one["zh"], one["en"]), choose(one["value"], one.get("value_en", one["value"])))
        for one in calls.rows(call)
    ]


@blueprint.route("/needs/<number>/check", methods=["GET", "POST"], endpoint="check")
def check(number: str) -> Answer:
    """Check the answers, then publish; the button names the act (goal 14)."""
    actor = signed_in_actor()
    _draft(number, actor)

    def make() -> Confirm:
        call = _own(number, actor)
        missing = [task for task in calls.tasks(call) if not task.is_done] if _is_draft(call) else []
        rules = routes.current(call.commission.route, region=call.commission.project.region)[1]
        documents = choose("、", ", ").join(one.name for one in call.documents)
        rows = notice_rows(call) + _budget_rows(call)
        floor = calls.floor_of(call.ceiling, rules)
        if floor:
            rows.append((choose("最低限价", "Floor"), money.format(floor)))
        rows.append((choose("采购文件", "Documents"), documents))
        if call.invitations:
            rows.append(
                (
                    choose("邀请的机构", "Invited agencies"),
                    choose("、", ", ").join(one.agency.name for one in call.invitations),
                )
            )
        explain = [
            (
                "公告发布后立即公开，此后只能发布更正公告，不能修改原公告。",
                "The notice is public at once; from then on only a correction notice can change it.",
            ),
            (
                "报价截止前任何人都看不到报价；截止前不公布报价家数，开标前不公布报价机构。",
                "Nobody sees a price before the opening; how many bid is told after the closing, who bid after the opening.",
            ),
        ]
        if missing:
            told = choose("；", "; ").join(choose(task.zh, task.en) for task in missing)
            explain.insert(0, (f"尚不能发布，还有未完成的内容：{told}。", f"Not ready yet: {told}."))
        return Confirm(
            title=choose("核对并发布采购公告", "Check and publish the call for bids"),
            button="" if missing else choose("发布采购公告", "Publish the call for bids (发布采购公告)"),
            done=choose("采购公告已发布。", "Published."),
            back=url_for("needs.show", number=number),
            crumbs=_crumbs(call),
            rows=rows,
            explain=confirm.spoken(explain),
            subject=call.subject,
            version=call.commission.version,
            is_open=_is_draft(call),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        calls.publish(_own(number, actor, lock=True), by=actor, expected_version=version)
        return url_for("calls.show", number=number)

    return confirm.serve(make, perform, actor)


def _is_draft(call: CallForBids) -> bool:
    return call.commission.status == CommissionStatus.DRAFT


def _crumbs(call: CallForBids) -> Sequence[tuple[str, str]]:
    return [
        (choose("采购需求", "Needs"), url_for("needs.index")),
        (call.number, url_for("needs.show", number=call.number)),
    ]


@blueprint.route("/needs/<number>/route", methods=["GET", "POST"], endpoint="route")
def route(number: str) -> Answer:
    """Choose another route for a draft, each with its rule."""
    actor = signed_in_actor()
    _draft(number, actor)

    def make() -> Confirm:
        call = _own(number, actor)
        commission = call.commission
        options = route_words.options(commission.project.region, commission.payer)
        return Confirm(
            title=choose("采购方式", "Route"),
            button=choose("保存", "Save"),
            done=choose("采购方式已更改。", "The route was changed."),
            back=url_for("needs.show", number=number),
            crumbs=_crumbs(call),
            explain=[f"{one['label']}{choose('：', ': ')}{one['hint']}" for one in options]
            + [choose("更改后，新方式用不到的内容会被清除。", "What the new route has no use for is removed.")],
            fields=[
                Field(
                    "route",
                    "choice",
                    ("采购方式", "Route"),
                    initial=commission.route.value,
                    options=tuple((one.value, (one.zh, one.en)) for one in need_form.routes_open()),
                )
            ],
            subject=call.subject,
            version=commission.version,
            is_open=_is_draft(call),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        wanted = next((one for one in need_form.routes_open() if one.value == sheet.text("route")), None)
        if wanted is None:
            raise RouteMissing(field="route")
        calls.change_route(_draft(number, actor, lock=True), wanted, by=actor, expected_version=version)
        return url_for("needs.show", number=number)

    return confirm.serve(make, perform, actor)


@blueprint.route("/needs/<number>/discard", methods=["GET", "POST"], endpoint="discard")
def discard(number: str) -> Answer:
    """Give up a need that nobody has seen; with an applicant's request behind it the applicant is told."""
    actor = signed_in_actor()
    _draft(number, actor)

    def make() -> Confirm:
        call = _own(number, actor)
        return Confirm(
            title=choose("取消采购需求", "Give the need up"),
            button=choose("取消采购需求", "Give it up"),
            done=choose("采购需求已取消。", "Given up."),
            back=url_for("needs.show", number=number),
            crumbs=_crumbs(call),
            rows=_facts(call),
            explain=[
                choose(
                    "取消后不能恢复；以后可以复制为新的需求。",
                    "This cannot be undone; it can still be copied into a new need.",
                )
            ],
            fields=[Field("reason", "text", ("取消原因", "Reason"))],
            subject=call.subject,
            version=call.commission.version,
            is_ending=True,
            is_open=_is_draft(call),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        calls.withdraw(_draft(number, actor, lock=True), sheet.text("reason"), by=actor, expected_version=version)
        return url_for("needs.index")

    return confirm.serve(make, perform, actor)
