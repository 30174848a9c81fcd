"""Government-paid services: the applicant's request and its progress, the authority's queue and its choice (001 §9.2).

"根据申请人申请，由行政主管部门按照规定在中介服务超市平台委托": taken up or declined with a reason, then bought by a call for
bids or, below the policy's amount, directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from sqlalchemy import ColumnElement, func, or_, select, true

from kernel import money, projects, trail, workflow
from kernel.access import Cell, Role, holders
from kernel.accounts import Organisation
from kernel.db import session
from kernel.errors import Conflict, Invalid, Invalids, NotFound, PortalError
from kernel.trail import Actor
from kernel.web import bracketed, choose, form_errors, instant, language, page_number, signed_in_actor, url_with
from market import calls, catalogue, commissions, fees, listings, requests, routes
from market.calls import CallForBids
from market.commissions import STEPS, Commission, CommissionStatus, Payer, Picked, Route
from market.requests import GovernmentPurchase
from market.web import confirm, need_form, progress, route_words
from market.web.acts import Row
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet, assign, receive, stem
from market.web.needs import ItemMissing, RouteMissing, item_options

blueprint = Blueprint("requests", __name__)
PARTIES = holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY)
READERS = holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY, Role.SUPERVISOR, Role.AUDITOR)
AUTHORITIES = holders(Role.AUTHORITY)
APPLICANTS = holders(Role.APPLICANT, Role.ASSISTANT)
ACCESS: Mapping[str, Cell] = {
    "requests.index": READERS,
    "requests.new": APPLICANTS,
    "requests.show": READERS,
    "requests.take_up": AUTHORITIES,
    "requests.decline": AUTHORITIES,
    "requests.withdraw": APPLICANTS,
    "requests.route": AUTHORITIES,
    "requests.direct": AUTHORITIES,
    "requests.give_up": AUTHORITIES,
}
LINKS: Mapping[str, Callable[[str], str]] = {}
PAGE_SIZE = 50
STATES = ("requested", "going", "ended")
_ENDED = (
    CommissionStatus.DECLINED,
    CommissionStatus.CANCELLED,
    CommissionStatus.FINISHED,
    CommissionStatus.TERMINATED,
)


class CallBegun(Conflict):
    code = "call_begun"
    zh = "已开始编制采购公告，请在采购需求中办理"
    en = "A call for bids is being written; go on with it there"


class ListingMissing(Invalid):
    code = "listing_missing"
    zh = "请选择机构"
    en = "Choose the agency"


# The list


def _scope(actor: Actor) -> ColumnElement[bool]:
    if actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value):
        return true()
    return or_(Commission.client_id == actor.organisation_id, Commission.applicant_id == actor.organisation_id)


def _state(state: str) -> ColumnElement[bool]:
    if state == "requested":
        return Commission.status == CommissionStatus.REQUESTED
    if state == "going":
        return Commission.status.not_in([CommissionStatus.REQUESTED, *_ENDED])
    return Commission.status.in_(_ENDED) if state == "ended" else true()


@blueprint.get("/requests", endpoint="index")
def index() -> str:
    """An applicant's own requests; an authority's queue, the oldest unanswered first."""
    actor, page = signed_in_actor(), page_number()
    asked = request.args.get("state", "")
    state = asked if asked in STATES else ""
    base = select(Commission).join(GovernmentPurchase).where(_scope(actor), Commission.requested_at.is_not(None))
    counts = {
        key: session.scalar(select(func.count()).select_from(base.where(_state(key)).subquery())) or 0
        for key in (*STATES, "")
    }
    waiting = Commission.status == CommissionStatus.REQUESTED
    found = list(
        session.scalars(
            base.where(_state(state))
            .order_by(waiting.desc(), Commission.requested_at.desc(), Commission.id.desc())
            .limit(PAGE_SIZE)
            .offset((page - 1) * PAGE_SIZE)
        ).unique()
    )
    labels = {
        "requested": choose("待受理", "To be answered"),
        "going": choose("办理中", "Under way"),
        "ended": choose("已结束", "Ended"),
        "": choose("全部", "All"),
    }
    clocks = progress.running_clocks([one.subject for one in found])
    return render_template(
        "market/request_index.html",
        rows=[_row(one, actor, clocks.get(one.subject, [])) for one in found],
        options=[
            {
                "label": labels[key],
                "count": counts[key],
                "selected": key == state,
                "url": url_with(state=key or None, page=None),
            }
            for key in ("", *STATES)
        ],
        is_applicant=actor.has(Role.APPLICANT.value, Role.ASSISTANT.value),
        is_authority=actor.has(Role.AUTHORITY.value),
        total=counts[state],
        page=page,
        pages=max(1, -(-counts[state] // PAGE_SIZE)),
    )


def _row(commission: Commission, actor: Actor, clocks: Any) -> dict[str, Any]:
    light, reading = progress.light_of(progress.leading(clocks))
    return {
        "commission": commission,
        "url": url_for("requests.show", number=commission.number),
        "other": commission.applicant.name if actor.organisation_id == commission.client_id else commission.client.name,
        "status": commission.status.label(language()),
        "kind": progress.STATUS_KINDS[commission.status],
        "light": light.value if reading is not None else "",
        "left": reading.left if reading is not None else None,
        "due": reading.due if reading is not None else None,
        "requested": instant(commission.requested_at),
        "waits": commission.status == CommissionStatus.REQUESTED and commissions.by_client(commission, actor),
    }


# Asking


@blueprint.route("/requests/new", methods=["GET", "POST"], endpoint="new")
def new() -> Answer:
    actor = signed_in_actor()
    if request.method == "GET":
        values = {"project_code": request.args.get("project", ""), "item": request.args.get("item", "")}
        return _new_page(actor, values)
    sheet = receive()

    def act() -> str:
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
        authority = session.scalars(
            select(Organisation).where(Organisation.credit_code == sheet.text("authority"))
        ).first()
        if authority is None:
            faults.append(requests.NoAuthority(field="authority"))
        try:
            commissions.given_reason(sheet.text("reason"))
        except PortalError as error:
            error.field = "reason"
            faults.append(error)
        if faults or authority is None:
            raise Invalids(faults)
        made = requests.request(
            found["project"], found["item"], authority, sheet.text("reason"), by=actor, phase=found["phase"]
        )
        return url_for("requests.show", number=made.number)

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(choose("申请已提交，等待主管部门受理。", "Sent. The authority has been told."), "success")
        return outcome
    return _new_page(actor, sheet.typed, outcome), 422 if outcome.status == 404 else outcome.status


def _new_page(actor: Actor, values: Mapping[str, str], error: PortalError | None = None) -> str:
    return render_template(
        "market/request_new.html",
        values=values,
        my_projects=projects.of_organisation(actor.organisation_id) if actor.organisation_id else [],
        items=item_options(),
        authorities=[(one.credit_code, one.name) for one in requests.authorities()],
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )


# One request


def _find(number: str, actor: Actor, *, lock: bool = False) -> tuple[Commission, GovernmentPurchase]:
    """A government-paid commission that began as a request and is the actor's to see. Raises NotFound."""
    commission = commissions.find(number, by=actor, lock=lock)
    purchase = requests.purchase_of(commission)
    if purchase is None or commission.requested_at is None:
        raise NotFound
    return commission, purchase


def _authoritys(number: str, actor: Actor, *, lock: bool = False) -> Commission:
    """A request that the actor's own authority handles. Raises NotFound."""
    commission, _purchase = _find(number, actor, lock=lock)
    if not commissions.by_client(commission, actor):
        raise NotFound
    return commission


@blueprint.get("/requests/<number>", endpoint="show")
def show(number: str) -> str:
    actor = signed_in_actor()
    commission, purchase = _find(number, actor)
    call = calls.of_commission(commission)
    is_authority = commissions.by_client(commission, actor)
    title, text = _next(commission, call, actor)
    return render_template(
        "market/request_show.html",
        commission=commission,
        purchase=purchase,
        call=call if call is not None and calls.can_see(call, actor) else None,
        status_kind=progress.STATUS_KINDS[commission.status],
        steps=progress.tracker(commission),
        clocks=progress.boxes(commission),
        rows=_rows(commission, purchase, is_authority=is_authority),
        next_title=title,
        next_text=text,
        actions=_actions(commission, call, actor),
        history=[progress.entry(act) for act in reversed(trail.of(commission.subject))],
    )


def _rows(commission: Commission, purchase: GovernmentPurchase, *, is_authority: bool) -> list[Row]:
    rows: list[Row] = [
        (choose("申请编号", "Request"), commission.number),
        (choose("服务事项", "Service item"), commission.item.label(language())),
        (choose("项目", "Project"), commission.project.name + bracketed(commission.engineering_code)),
        (choose("申请人", "Applicant"), commission.applicant.name),
        (choose("主管部门", "Authority"), commission.client.name),
        (choose("申请理由", "Reason"), purchase.request_reason),
        (choose("申请时间", "Requested"), instant(commission.requested_at, seconds=True)),
    ]
    if purchase.taken_up_at is not None:
        taken = choose("，", ", ").join((instant(purchase.taken_up_at, seconds=True), purchase.taken_up_by))
        rows.append((choose("受理", "Taken up"), taken))
    if purchase.decline_reason:
        rows.append((choose("未予受理的理由", "Why it was declined"), purchase.decline_reason))
    if is_authority and purchase.budget_line:
        rows += [
            (choose("预算科目", "Budget line"), purchase.budget_line),
            (choose("预算金额", "Budget"), money.format(purchase.budget) if purchase.budget is not None else ""),
            (choose("采购依据", "Basis of the purchase"), purchase.purchase_basis),
        ]
    return rows


def _next(commission: Commission, call: CallForBids | None, actor: Actor) -> tuple[str, str]:
    status = commission.status
    is_authority = commissions.by_client(commission, actor)
    if status == CommissionStatus.REQUESTED:
        if is_authority:
            return choose("请受理或不予受理", "Take it up or decline it"), choose(
                "受理后选择采购方式；不予受理的，应写明理由。",
                "After taking it up you choose the route; a refusal wants its reason.",
            )
        return choose("等待主管部门受理", "Waiting for the authority"), choose(
            "主管部门答复前可以撤回申请。", "You may take the request back until it is answered."
        )
    if status == CommissionStatus.DRAFT:
        if is_authority:
            if call is not None:
                return choose("请完成采购需求", "Complete the need"), choose(
                    "逐项填写后核对发布。", "Fill in each part, check, and publish."
                )
            return choose("请选择采购方式", "Choose the route"), choose(
                "发布公告竞争择优；金额在直接委托限额以内的，可写明理由直接委托。",
                "Hold a competition, or commission directly within the limit and for a stated reason.",
            )
        return choose("主管部门正在组织采购", "The authority is preparing the purchase"), choose(
            "公告发布、定标和服务的每一步都会通知您。", "You are told of every step."
        )
    if status == CommissionStatus.DECLINED:
        return choose("申请未予受理", "The request was declined"), commission.reason
    return choose("办理情况", "How it stands"), choose(
        f"当前状态：{status.label()}。", f"State: {status.label('en').lower()}."
    )


def _actions(commission: Commission, call: CallForBids | None, actor: Actor) -> list[dict[str, str]]:
    number, open_ones = commission.number, workflow.moves(commission, STEPS, actor)
    found: list[tuple[str, str]] = []
    if "take_up" in open_ones:
        found += [
            (choose("受理申请", "Take it up"), url_for("requests.take_up", number=number)),
            (choose("不予受理", "Decline it"), url_for("requests.decline", number=number)),
        ]
    if "withdraw_request" in open_ones:
        found.append((choose("撤回申请", "Take the request back"), url_for("requests.withdraw", number=number)))
    if commission.status == CommissionStatus.DRAFT and commissions.by_client(commission, actor):
        if call is not None and commission.route.is_competition:
            found.append((choose("填写采购需求", "Go on with the need"), url_for("needs.show", number=call.number)))
        else:
            if commission.route is not Route.DIRECT:
                found.append((choose("选择采购方式", "Choose the route"), url_for("requests.route", number=number)))
            found.append((choose("直接委托", "Commission directly"), url_for("requests.direct", number=number)))
            found.append((choose("取消采购", "Give the purchase up"), url_for("requests.give_up", number=number)))
    elif call is not None and calls.is_public(call):
        found.append((choose("查看采购公告", "See the call for bids"), f"/calls/{call.number}"))
    if commission.offered_at is not None:
        found.append((choose("查看委托", "See the commission"), f"/commissions/{number}"))
    return [
        {"label": label, "url": url, "kind": "primary" if index == 0 else "secondary"}
        for index, (label, url) in enumerate(found)
    ]


# The acts


def _crumbs(number: str) -> list[tuple[str, str]]:
    return [
        (choose("政府付费申请", "Government-paid requests"), url_for("requests.index")),
        (number, url_for("requests.show", number=number)),
    ]


def _confirm(
    number: str,
    action: str,
    perform: Callable[[Commission, Sheet, Actor, int | None], object],
    *,
    find: Callable[..., Commission],
    title: tuple[str, str],
    done: tuple[str, str],
    explain: list[tuple[str, str]],
    fields: list[Field] | None = None,
    is_ending: bool = False,
) -> Answer:
    """The confirm page of one row of the life's table."""
    actor = signed_in_actor()
    if request.method == "GET":
        workflow.check(find(number, actor), STEPS, action, by=actor)

    def make() -> Confirm:
        commission = find(number, actor)
        purchase = requests.purchase_of(commission)
        return Confirm(
            title=choose(*title),
            button=choose(*title),
            done=choose(*done),
            back=url_for("requests.show", number=number),
            crumbs=_crumbs(number),
            rows=_rows(commission, purchase, is_authority=False) if purchase is not None else [],
            explain=confirm.spoken(explain),
            fields=fields or [],
            subject=commission.subject,
            version=commission.version,
            is_ending=is_ending,
            is_open=action in workflow.moves(commission, STEPS, actor),
        )

    def act(sheet: Sheet, version: int | None) -> str:
        perform(find(number, actor, lock=True), sheet, actor, version)
        return url_for("requests.show", number=number)

    return confirm.serve(make, act, actor)


_REASON = Field("reason", "text", ("理由", "Reason"))


@blueprint.route("/requests/<number>/take-up", methods=["GET", "POST"], endpoint="take_up")
def take_up(number: str) -> Answer:
    return _confirm(
        number,
        "take_up",
        lambda one, sheet, by, version: requests.take_up(one, by=by, expected_version=version),
        find=_authoritys,
        title=("受理申请", "Take the request up"),
        done=("已受理，请选择采购方式。", "Taken up. Choose the route."),
        explain=[
            (
                "受理后由本单位填写预算和采购依据、选择采购方式并组织采购；申请人随时可以看到进度。",
                "Your authority then enters budget and basis, chooses the route and buys; the applicant sees every step.",
            ),
            ("受理时限自本次受理停止计算。", "The time to answer stops with this act."),
        ],
    )


@blueprint.route("/requests/<number>/decline", methods=["GET", "POST"], endpoint="decline")
def decline(number: str) -> Answer:
    return _confirm(
        number,
        "decline_request",
        lambda one, sheet, by, version: requests.decline_request(
            one, sheet.text("reason"), by=by, expected_version=version
        ),
        find=_authoritys,
        title=("不予受理", "Decline the request"),
        done=("已告知申请人不予受理。", "The applicant has been told."),
        explain=[("理由告知申请人，并记入办理记录。", "The reason is told to the applicant and kept on record.")],
        fields=[_REASON],
        is_ending=True,
    )


def _applicants(number: str, actor: Actor, *, lock: bool = False) -> Commission:
    """A request of the actor's own organisation. Raises NotFound."""
    commission, _purchase = _find(number, actor, lock=lock)
    if not commissions.by_applicant(commission, actor):
        raise NotFound
    return commission


@blueprint.route("/requests/<number>/withdraw", methods=["GET", "POST"], endpoint="withdraw")
def withdraw(number: str) -> Answer:
    return _confirm(
        number,
        "withdraw_request",
        lambda one, sheet, by, version: requests.withdraw_request(one, by=by, expected_version=version),
        find=_applicants,
        title=("撤回申请", "Take the request back"),
        done=("申请已撤回。", "Taken back."),
        explain=[("撤回后可以重新提出申请。", "You may ask again afterwards.")],
        is_ending=True,
    )


@blueprint.route("/requests/<number>/give-up", methods=["GET", "POST"], endpoint="give_up")
def give_up(number: str) -> Answer:
    return _confirm(
        number,
        "cancel",
        lambda one, sheet, by, version: requests.give_up(one, sheet.text("reason"), by=by, expected_version=version),
        find=_authoritys,
        title=("取消采购", "Give the purchase up"),
        done=("采购已取消，申请人已收到通知。", "Given up; the applicant has been told."),
        explain=[("取消后不能恢复，申请人可以重新提出申请。", "This cannot be undone; the applicant may ask again.")],
        fields=[_REASON],
        is_ending=True,
    )


# How it is bought


@blueprint.route("/requests/<number>/route", methods=["GET", "POST"], endpoint="route")
def route(number: str) -> Answer:
    """Begin a call for the request by one of the routes, each explained; an old need's words may be taken over."""
    actor = signed_in_actor()
    commission = _authoritys(number, actor)
    error: PortalError | None = None
    if request.method == "POST":

        def act() -> str:
            locked = _authoritys(number, actor, lock=True)
            if calls.of_commission(locked) is not None:
                raise CallBegun
            wanted = next((one for one in need_form.routes_open() if one.value == request.form.get("route")), None)
            if wanted is None:
                raise RouteMissing(field="route")
            call = calls.begin(locked, wanted, by=actor)
            old = request.form.get("old", "")
            if old:
                calls.carry_over(_earlier_one(old, locked, actor), call)
            return url_for("needs.show", number=call.number)

        outcome = confirm.attempt(act)
        if isinstance(outcome, Response):
            return outcome
        error = outcome
        commission = _authoritys(number, actor)
    else:
        workflow.check(commission, STEPS, "publish", by=actor)
        if calls.of_commission(commission) is not None:
            raise CallBegun
    options = route_words.options(commission.project.region, Payer.GOVERNMENT)
    page = render_template(
        "market/request_route.html",
        commission=commission,
        crumbs=_crumbs(number),
        options=options,
        direct=_direct_hint(commission),
        old_ones=[(one.number, one.title + bracketed(one.number)) for one in _earlier(commission)],
        chosen=request.form.get("route", Route.BIDDING.value),
        old=request.form.get("old", ""),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )
    return (page, error.status) if error else page


def _direct_hint(commission: Commission) -> str:
    found = route_words.options(commission.project.region, Payer.GOVERNMENT, direct=True)
    return next((str(one["hint"]) for one in found if one["value"] == Route.DIRECT.value), "")


def _earlier(commission: Commission) -> list[CallForBids]:
    """The authority's own calls for this item, the newest first."""
    rows = session.scalars(
        select(CallForBids)
        .join(Commission)
        .where(
            Commission.client_id == commission.client_id,
            Commission.item_id == commission.item_id,
            Commission.id != commission.id,
        )
        .order_by(CallForBids.id.desc())
        .limit(20)
    )
    return list(rows.unique())


def _earlier_one(number: str, commission: Commission, actor: Actor) -> CallForBids:
    found = calls.find(number, by=actor)
    if found.commission.client_id != commission.client_id:
        raise NotFound
    return found


@blueprint.route("/requests/<number>/direct", methods=["GET", "POST"], endpoint="direct")
def direct(number: str) -> Answer:
    """A small purchase goes to one listing, for a reason, within the limit of the rule."""
    actor = signed_in_actor()
    commission = _authoritys(number, actor)
    if request.method == "GET":
        workflow.check(commission, STEPS, "offer", by=actor)
        if calls.of_commission(commission) is not None:
            raise CallBegun

    def make() -> Confirm:
        one = _authoritys(number, actor)
        purchase = requests.purchase_of(one)
        missing = commissions.missing_materials(one)
        fields = [
            Field(
                "listing",
                "choice",
                ("机构和服务", "Agency and listing"),
                (
                    "费用按项目规模和机构公示的收费标准计算。",
                    "The fee is reckoned from the project's figures and the published rule.",
                ),
                options=tuple(_listing_options(one)),
            ),
            Field("reason", "text", ("直接委托的理由", "Why it is commissioned directly")),
        ]
        if any(fees.Measure.QUANTITY is listing.rule.measure for listing in _listings(one)):
            fields.append(Field("quantity", "number", ("数量", "Quantity"), is_required=False))
        if missing:
            names = "、".join(missing)
            fields.append(
                Field(
                    "files",
                    "files",
                    ("随附材料", "Materials"),
                    (
                        f"需要：{names}。只上传一个文件的，视为包含全部材料。",
                        f"Needed: {names}. A single file is taken to hold all of them.",
                    ),
                    takes_many=True,
                )
            )
        return Confirm(
            title=choose("直接委托", "Commission directly"),
            button=choose("发出委托", "Send the commission"),
            done=choose("委托已发出，等待机构答复。", "Sent. The agency has been told."),
            back=url_for("requests.show", number=number),
            crumbs=_crumbs(number),
            rows=_rows(one, purchase, is_authority=True) if purchase is not None else [],
            explain=[
                route_words.explain(
                    Route.DIRECT, routes.current(Route.DIRECT, region=one.project.region)[1], Payer.GOVERNMENT
                ),
                choose(
                    "理由随委托告知机构，并记入办理记录。", "The reason goes with the commission and is kept on record."
                ),
            ],
            fields=fields,
            subject=one.subject,
            version=one.version,
            is_open="offer" in workflow.moves(one, STEPS, actor) and calls.of_commission(one) is None,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        one = _authoritys(number, actor, lock=True)
        workflow.check(one, STEPS, "offer", by=actor, expected_version=version)
        if calls.of_commission(one) is not None:
            raise CallBegun
        listing = next((each for each in _listings(one) if each.number == sheet.text("listing")), None)
        if listing is None:
            raise ListingMissing(field="listing")
        if sheet.text("quantity").strip():
            one.quantity = sheet.whole("quantity", ("数量", "the quantity"))
        documents = sheet.documents("files", actor)
        found, rest = assign(commissions.missing_materials(one), documents)
        picked = [Picked(name, document=document) for name, document in found.items()]
        commissions.hand_in(one, picked + [Picked(stem(document.name), document=document) for document in rest])
        try:
            requests.commission_directly(one, listing, sheet.text("reason"), by=actor)
        except commissions.ReasonMissing as error:
            error.field = "reason"
            raise
        except Invalids as error:
            for each in error.errors:
                each.field = "files" if each.field == "materials" else each.field
            raise
        return url_for("commissions.show", number=number)

    return confirm.serve(make, perform, actor)


def _listings(commission: Commission) -> list[listings.Listing]:
    """What can be had for the item at a price that nobody has to negotiate."""
    return [
        one
        for one in listings.of_item(commission.item)
        if listings.in_force(one) and one.rule.kind is not fees.FeeKind.NEGOTIABLE
    ]


def _listing_options(commission: Commission) -> list[tuple[str, tuple[str, str]]]:
    found = []
    for one in _listings(commission):
        quote = fees.quote(one.rule, commissions.figures_of(commission.project, commission.quantity))
        days = one.promised_working_days
        fee = (
            (money.format(quote.amount), money.format(quote.amount))
            if quote.amount is not None
            else ("费用待计算", "fee to be reckoned")
        )
        found.append(
            (
                one.number,
                (
                    f"{one.agency.name}，{fee[0]}，承诺 {days} 个工作日",
                    f"{one.agency.name}, {fee[1]}, {days} working days",
                ),
            )
        )
    return found
