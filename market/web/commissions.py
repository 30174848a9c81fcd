"""Pages of commissions: the list, the order form, one commission, and a confirm page for every act (001 §9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from markupsafe import Markup
from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.exc import IntegrityError

from kernel import clock, dossier, money, trail
from kernel.access import Cell, Role, holders
from kernel.db import session
from kernel.errors import Conflict, NotFound, PortalError
from kernel.trail import Actor
from kernel.web import act_once, choose, form_errors, language, page_number, signed_in_actor
from kernel.web.kept import Kept, fragment
from kernel.workflow import MoveNotOpen, StaleVersion
from market import calls, commissions, contracts, deliverables, fees, listings, services
from market.agencies import Agency
from market.calls import CallForBids
from market.commissions import Commission, CommissionStatus, Route
from market.services import Extension
from market.web import glance, ordering, progress
from market.web.acts import ACTS, Act, arithmetic, by_slug, file_fields, rows_of, slug
from market.web.downloads import send_csv, send_xlsx
from market.web.forms import Sheet, receive

blueprint = Blueprint("commissions", __name__)

CLIENTS = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT)
PARTIES = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.AGENCY)
READERS = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.AGENCY, Role.SUPERVISOR, Role.AUDITOR)
ACCESS: dict[str, Cell] = {
    "commissions.index": READERS,
    "commissions.download": READERS,
    "commissions.new": CLIENTS,
    "commissions.choose_agency": CLIENTS,
    "commissions.show": READERS,
    "commissions.act": PARTIES,
}
LINKS: dict[str, Callable[[str], str]] = {"commission": lambda number: f"/commissions/{number}"}

PAGE_SIZE = 50
#: A download holds at most this many rows; more is a job's work.
MOST_ROWS = 5000


class ActNotOpen(MoveNotOpen):
    """The act is not open now; said with its name, not its key."""

    code = "move_not_open"
    zh = "现在不能办理“{action}”：此件当前为“{state}”。页面内容可能已更新，请返回查看最新情况"
    en = "“{action}” is not possible now: the commission is “{state}”. Go back to see how it stands"

    def __init__(self, action: str, commission: Commission, moves: list[str]) -> None:
        PortalError.__init__(
            self,
            action=choose(*ACTS[action].title),
            state=commission.status.label(language()),
        )
        self.moves = moves


class Overtaken(Conflict):
    """Two people acted in the same instant and the database kept one of the acts."""

    code = "overtaken"
    zh = "此件刚刚已由他人办理，请核对最新情况"
    en = "Somebody else acted in the same instant; look at how it stands now"


# The list


def _scope(actor: Actor) -> ColumnElement[bool]:
    """The commissions an actor may list: their own side's; all of them for supervisors and auditors."""
    if actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value):
        return true()
    mine = select(Agency.id).where(Agency.organisation_id == actor.organisation_id).scalar_subquery()
    return or_(
        Commission.client_id == actor.organisation_id,
        Commission.applicant_id == actor.organisation_id,
        (Commission.agency_id == mine) & Commission.offered_at.is_not(None),
    )


def _row(commission: Commission, actor: Actor, stored: Any, extensions: Mapping[int, object]) -> dict[str, Any]:
    light, reading = progress.light_of(stored)
    due = reading.due if reading else None
    other = (
        commission.client.name
        if progress.is_agency(commission, actor)
        else (commission.agency.name if commission.agency else "")
    )
    return {
        "commission": commission,
        "url": url_for("commissions.show", number=commission.number),
        "light": light.value if stored is not None else "",
        "clock": stored.kind.label(language()) if stored is not None else "",
        "left": reading.left if reading else None,
        "due": due,
        "other": other,
        "waits": progress.waits_for(commission, actor, extensions),
        "status": commission.status.label(language()),
        "kind": progress.STATUS_KINDS[commission.status],
    }


def _rows(found: list[Commission], actor: Actor) -> list[dict[str, Any]]:
    clocks = progress.running_clocks([one.subject for one in found])
    keys = [one.id for one in found if one.status == CommissionStatus.IN_SERVICE]
    extensions: dict[int, object] = {}
    if keys:
        statement = select(Extension).where(Extension.commission_id.in_(keys), Extension.answered_at.is_(None))
        extensions = {row.commission_id: row for row in session.scalars(statement)}
    return [_row(one, actor, progress.leading(clocks.get(one.subject, [])), extensions) for one in found]


def _pressing(row: dict[str, Any]) -> tuple[Any, ...]:
    """Due soonest first; what has no due day after what has one, mine before others'."""
    return (row["due"] is None, row["due"] or clock.today(), not row["waits"], -row["commission"].id)


def _listing(actor: Actor, state: str, *, most: int, offset: int = 0) -> list[dict[str, Any]]:
    statement = select(Commission).where(_scope(actor))
    if state in ("open", "mine"):
        statement = statement.where(Commission.status.in_(progress.OPEN))
        rows = _rows(list(session.scalars(statement.order_by(Commission.id.desc()).limit(MOST_ROWS))), actor)
        rows = sorted((row for row in rows if state == "open" or row["waits"]), key=_pressing)
        return rows[offset : offset + most]
    if state != "all":
        statement = statement.where(Commission.status == CommissionStatus(state))
    rows = _rows(list(session.scalars(statement.order_by(Commission.id.desc()).limit(most).offset(offset))), actor)
    return sorted(rows, key=_pressing) if offset == 0 and len(rows) < most else rows


def _state() -> str:
    asked = request.args.get("state", "open")
    return asked if asked in {"open", "mine", "all"} | {status.value for status in CommissionStatus} else "open"


@blueprint.get("/commissions")
def index() -> str:
    actor, state, page = signed_in_actor(), _state(), page_number()
    counts = {
        status.value: count
        for status, count in session.execute(
            select(Commission.status, func.count()).where(_scope(actor)).group_by(Commission.status)
        )
    }
    tongue = language()
    watches = actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)
    tabs = [("open", choose("在办", "Open"), sum(counts.get(status.value, 0) for status in progress.OPEN))]
    tabs += [
        (status.value, status.label(tongue), counts[status.value])
        for status in CommissionStatus
        if counts.get(status.value)
    ]
    tabs.append(("all", choose("全部", "All"), sum(counts.values())))
    rows = _listing(actor, state, most=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    total = next((count for key, _label, count in tabs if key == state), 0)
    if state == "mine":
        total = len(_listing(actor, state, most=MOST_ROWS))
    return render_template(
        "market/commission_index.html",
        rows=rows,
        tabs=tabs,
        state=state,
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE_SIZE)),
        waiting=sum(1 for row in rows if row["waits"]),
        is_agency=actor.has(Role.AGENCY.value),
        is_client=actor.has(Role.APPLICANT.value, Role.AUTHORITY.value, Role.ASSISTANT.value),
        watches=watches,
    )


@blueprint.get("/commissions.<any(csv, xlsx):form>", endpoint="download")
def download(form: str) -> Response:
    """The same rows as the list, as CSV or XLSX."""
    actor = signed_in_actor()
    tongue = language()
    heads = [
        choose("委托编号", "Commission"),
        choose("服务事项", "Service"),
        choose("项目代码", "Project code"),
        choose("项目名称", "Project"),
        choose("委托人", "Client"),
        choose("中介服务机构", "Agency"),
        choose("状态", "Status"),
        choose("时限", "Time limit"),
        choose("剩余工作日", "Working days left"),
        choose("到期日", "Due"),
        choose("约定费用（元）", "Agreed fee (yuan)"),
    ]
    table: list[list[str | int | None]] = []
    for row in _listing(actor, _state(), most=MOST_ROWS):
        one: Commission = row["commission"]
        table.append(
            [
                one.number,
                one.item.label(tongue),
                one.engineering_code,
                one.project.name,
                one.client.name,
                one.agency.name if one.agency else "",
                row["status"],
                row["clock"],
                row["left"],
                row["due"].isoformat() if row["due"] else "",
                f"{one.fee // 100}.{one.fee % 100:02d}" if one.fee is not None else "",
            ]
        )
    name = choose("委托清单", "commissions")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)


# The order form


@blueprint.route("/commissions/new", methods=["GET", "POST"])
def new() -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    listing = listings.by_number(request.values.get("listing", ""))
    if listing.status == listings.ListingStatus.DRAFT:
        raise NotFound
    draft = _replaced(actor)
    if request.method == "GET":
        if not listings.in_force(listing):
            raise listings.ListingNotInForce
        values = ordering.values_of(draft) if draft else {}
        asked = {
            "project_code": request.args.get("project", ""),
            "needed_for": request.args.get("needed_for", ""),
            "agreed_fee": request.args.get("agreed_fee", ""),
        }
        values |= {name: value for name, value in asked.items() if value}
        return _order_page(ordering.describe(listing, actor, values, draft=draft))
    sheet = receive(["files"])

    def act() -> str:
        found = listings.by_number(listing.number)
        replaces = request.values.get("draft")
        # Refused once it was sent, or the change would silently become a second commission.
        replaced = _draft(replaces, actor, lock=True) if replaces else None
        placed = ordering.place(found, sheet, by=actor, replaces=replaced)
        fee = sheet.text("agreed_fee").strip() or None
        return url_for("commissions.act", number=placed.number, action="offer", agreed_fee=fee)

    try:
        return act_once(act)
    except NotFound as error:
        if error.field is None:
            raise
        return _order_again(listing.number, actor, sheet, error)
    except PortalError as error:
        return _order_again(listing.number, actor, sheet, error)


def _replaced(actor: Actor) -> Commission | None:
    """The draft that the form changes, named in the query."""
    number = request.values.get("draft")
    if not number:
        return None
    draft = commissions.find(number, by=actor)
    if not commissions.by_client(draft, actor):
        raise NotFound
    return draft if draft.status == CommissionStatus.DRAFT else None


def _order_page(order: ordering.Order, error: PortalError | None = None) -> str:
    return render_template(
        "market/commission_new.html",
        order=order,
        errors=_by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )


def _order_again(number: str, actor: Actor, sheet: Sheet, error: PortalError) -> tuple[str, int]:
    kept = sheet.keep(actor).get("files", [])
    order = ordering.describe(listings.by_number(number), actor, dict(sheet.typed), draft=_replaced(actor), kept=kept)
    status = 422 if error.status == 404 else error.status
    return _order_page(order, error), status


def _by_field(error: PortalError | None) -> dict[str, str]:
    """Field → message; several messages of one field stand together."""
    told: dict[str, str] = {}
    for field, message in form_errors(error) if error else []:
        if field:
            told[field] = f"{told[field]} {message}" if field in told else message
    return told


@blueprint.route("/commissions/<number>/choose", methods=["GET", "POST"])
def choose_agency(number: str) -> Response | tuple[str, int] | str:
    """Point a draft at another listing of the same item."""
    actor = signed_in_actor()
    commission = _draft(number, actor)
    error: PortalError | None = None
    if request.method == "POST":

        def act() -> str:
            draft = _draft(number, actor, lock=True)
            commissions.choose(draft, listings.by_number(request.form.get("listing", "")), by=actor)
            return url_for("commissions.act", number=number, action="offer")

        try:
            return act_once(act)
        except NotFound:
            error = listings.ListingNotInForce(field="listing")
        except PortalError as refused:
            refused.field = "listing"
            error = refused
        commission = _draft(number, actor)
    options = []
    for listing in listings.of_item(commission.item):
        if not listings.in_force(listing):
            continue
        quote = fees.quote(listing.rule, commissions.figures_of(commission.project, commission.quantity))
        fee = money.format(quote.amount) if quote.amount is not None else choose("费用面议", "Negotiable")
        options.append(
            {
                "value": listing.number,
                "label": listing.agency.name,
                "hint": choose(
                    f"{fee}，承诺 {listing.promised_working_days} 个工作日",
                    f"{fee}, {listing.promised_working_days} working days",
                ),
            }
        )
    page = render_template(
        "market/commission_choose.html",
        commission=commission,
        options=options,
        errors=_by_field(error),
        form_errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


def _draft(number: str, actor: Actor, *, lock: bool = False) -> Commission:
    draft = commissions.find(number, by=actor, lock=lock)
    if not commissions.by_client(draft, actor):
        raise NotFound
    if draft.status != CommissionStatus.DRAFT:
        raise ActNotOpen("offer", draft, commissions.moves(draft, actor))
    return draft


# One commission


_bodies = Kept(500)


@blueprint.get("/commissions/<number>")
def show(number: str) -> str:
    actor = signed_in_actor()
    seen = glance.at(number, by=actor)
    related = progress.related(number, actor)
    key = glance.key(number, seen, actor, language())

    def make() -> Markup:
        return _body(number, actor, related)

    body = _bodies.part((key, related), make) if key is not None else make()
    return render_template(
        "market/commission_show.html", number=number, item=choose(seen.item, seen.item_en or seen.item), body=body
    )


def _body(number: str, actor: Actor, related: Sequence[progress.Related]) -> Markup:
    commission = commissions.find(number, by=actor)
    editions = deliverables.of_commission(commission)
    open_ones = progress.available(commission, actor)
    is_side = progress.is_client(commission, actor) or progress.is_applicant(commission, actor)
    is_whole = is_side or actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)
    call = calls.of_commission(commission) if commission.route.is_competition else None
    if call is not None and not calls.can_see(call, actor):
        call = None
    title, text = progress.next_step(commission, actor, open_ones)
    there = [one for one in related if one.action]
    return fragment(
        "market/commission_content.html",
        language=language(),
        commission=commission,
        editions=list(reversed(editions)),
        clocks=progress.boxes(commission),
        steps=progress.tracker(commission),
        status_kind=progress.STATUS_KINDS[commission.status],
        next_title=there[0].title if there else choose(*title),
        next_text=there[0].explain if there else choose(*text),
        call=call,
        actions=[
            *({"label": one.action, "url": one.url, "kind": "primary"} for one in there),
            *_elsewhere(commission, call, actor),
            *_buttons(commission, open_ones),
        ],
        related=related,
        side_actions=_links(commission, actor, open_ones),
        fee=arithmetic([(one["zh"], one["en"], one["amount"]) for one in commission.quote], commission.fee)
        if commission.fee is not None
        else None,
        notices=progress.open_notices(commission),
        extension=services.open_extension(commission) if commission.status == CommissionStatus.IN_SERVICE else None,
        history=progress.history(commission, editions, _filed(editions), is_whole=is_whole),
        is_client=progress.is_client(commission, actor),
    )


def _filed(editions: list[deliverables.Deliverable]) -> list[dossier.Entry]:
    """The dossier entries of accepted editions."""
    return [entry for one in editions if one.accepted_at for entry in dossier.from_source(one.subject)]


#: The acts that move a commission forward, in the order in which their buttons stand; the others are quiet links.
_FORWARD = (
    "offer",
    "take_on",
    "supply_materials",
    "start",
    "resume",
    "agree_extension",
    "deliver",
    "accept",
    "return",
    "request_materials",
    "refuse_extension",
    "take_back",
)


def _buttons(commission: Commission, open_ones: list[str]) -> list[dict[str, str]]:
    return [
        {
            "label": choose(*ACTS[name].title),
            "url": url_for("commissions.act", number=commission.number, action=slug(name)),
            "kind": "primary" if index == 0 else "secondary",
        }
        for index, name in enumerate(one for one in _FORWARD if one in open_ones)
    ]


def _elsewhere(commission: Commission, call: CallForBids | None, actor: Actor) -> list[dict[str, str]]:
    """What is to be done on the page of the request or of the call."""
    is_client = commissions.by_client(commission, actor)
    found: list[tuple[str, str]] = []
    if commission.requested_at is not None and commission.status in (
        CommissionStatus.REQUESTED,
        CommissionStatus.DRAFT,
    ):
        found.append((choose("办理申请", "Go to the request"), url_for("requests.show", number=commission.number)))
    if call is not None and commission.status == CommissionStatus.DRAFT and is_client:
        found.append((choose("填写采购需求", "Go on with the need"), url_for("needs.show", number=call.number)))
    elif call is not None and call.published_at is not None and commission.status in CALL_STATES:
        found.append((choose("查看采购公告", "See the call for bids"), url_for("calls.show", number=call.number)))
    return [{"label": label, "url": url, "kind": "primary"} for label, url in found[-1:]]


#: States whose business is on the page of the call.
CALL_STATES = frozenset(
    {
        CommissionStatus.OPEN,
        CommissionStatus.EVALUATING,
        CommissionStatus.PUBLICISED,
        CommissionStatus.FAILED,
        CommissionStatus.CANCELLED,
    }
)


def _links(commission: Commission, actor: Actor, open_ones: list[str]) -> list[tuple[str, str]]:
    links = []
    is_menu = commission.route is Route.MENU
    if is_menu and commission.status == CommissionStatus.DRAFT and commissions.by_client(commission, actor):
        if commission.listing is not None:
            url = url_for("commissions.new", listing=commission.listing.number, draft=commission.number)
            links.append((choose("修改委托", "Change it"), url))
        url = url_for("commissions.choose_agency", number=commission.number)
        links.append((choose("改选机构", "Choose another agency"), url))
    if contracts.of_commission(commission) is not None:
        links.append((choose("合同", "Contract"), url_for("contracts.show", number=commission.number)))
    links += [
        (choose(*ACTS[name].title), url_for("commissions.act", number=commission.number, action=slug(name)))
        for name in open_ones
        if name not in _FORWARD
    ]
    return links


# The acts


@blueprint.route("/commissions/<number>/<action>", methods=["GET", "POST"], endpoint="act")
def act_page(number: str, action: str) -> Response | tuple[str, int] | str:
    """The confirm page of one row of :data:`market.web.acts.ACTS`, and the act itself."""
    actor = signed_in_actor()
    name = by_slug(action)
    if name is None:
        raise NotFound
    act = ACTS[name]
    commission = commissions.find(number, by=actor)
    if request.method == "GET":
        if name not in progress.available(commission, actor):
            raise ActNotOpen(name, commission, commissions.moves(commission, actor))
        return _confirm_page(act, commission, Sheet({"agreed_fee": request.args.get("agreed_fee", "")}))
    sheet = receive(file_fields(act, commission))
    version = request.form.get("version", "")

    def perform() -> str:
        locked = commissions.find(number, by=actor, lock=True)
        act.perform(
            locked, sheet, actor, int(version) if version.isascii() and version.isdigit() and len(version) < 10 else -1
        )
        return url_for("commissions.show", number=number)

    try:
        response = act_once(perform)
    except IntegrityError:
        error: PortalError = Overtaken()
    except PortalError as refused:
        error = refused
    else:
        flash(choose(*act.done), "success")
        return response
    kept = sheet.keep(actor)
    commission = commissions.find(number, by=actor)
    is_open = name in progress.available(commission, actor)
    if isinstance(error, MoveNotOpen):
        error = ActNotOpen(name, commission, commissions.moves(commission, actor))
    page = _confirm_page(act, commission, sheet, error=error, kept=kept, is_open=is_open)
    return page, error.status


def _confirm_page(
    act: Act,
    commission: Commission,
    sheet: Sheet,
    *,
    error: PortalError | None = None,
    kept: Mapping[str, Any] | None = None,
    is_open: bool = True,
) -> str:
    fields = act.fields(commission) if is_open else _typed(act, commission)
    values = {field.name: sheet.typed.get(field.name, field.initial if error is None else "") for field in fields}
    changed = None
    if isinstance(error, StaleVersion | MoveNotOpen | Overtaken):
        last = trail.of(commission.subject)[-1]
        changed = progress.entry(last)
    return render_template(
        "market/commission_act.html",
        act=act,
        title=choose(*act.title),
        button=choose(*act.button),
        rows=rows_of(act, commission) if is_open else [],
        explain=[choose(*line) for line in act.explain(commission)] if is_open else [],
        fields=fields,
        values=values,
        kept=kept or {},
        commission=commission,
        errors=_by_field(error),
        form_errors=form_errors(error) if error else None,
        changed=changed,
        is_open=is_open,
        token=request.form.get("act"),
        back=url_for("commissions.show", number=commission.number),
    )


def _typed(act: Act, commission: Commission) -> list[Any]:
    """The fields in which somebody may have typed, when the act itself is no longer open."""
    try:
        return [field for field in act.fields(commission) if field.kind in ("text", "points")]
    except PortalError:
        return []
