"""Calls for bids in public: the list, the notice with its corrections, questions, and what its buyer may do (A6).

What a page tells of bids follows the seal: nothing before the closing, their number after it, their bidders after the
opening (competition.md, "Sealed bids").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from sqlalchemy import ColumnElement, Select, case, func, select

from kernel import clock, money, workflow
from kernel.access import PUBLIC, Cell, Role, holders
from kernel.db import session
from kernel.errors import Invalids, NotFound, PortalError
from kernel.files import Document
from kernel.projects import Project
from kernel.trail import Actor
from kernel.web import (
    choose,
    current_actor,
    day,
    form_errors,
    instant,
    language,
    page_number,
    signed_in_actor,
    url_with,
)
from market import agencies, bidding, calls, commissions, notices
from market.agencies import Agency
from market.calls import CallDocument, CallEdition, CallForBids, Question
from market.calls.faults import NothingChanged
from market.calls.publishing import MATERIAL
from market.catalogue import ServiceItem
from market.commissions import STEPS, Commission, CommissionStatus, Route
from market.notices import NoticeKind
from market.web import confirm, need_form, progress
from market.web.acts import Row
from market.web.confirm import Answer, Confirm
from market.web.downloads import send_csv, send_xlsx
from market.web.forms import Field, Sheet, receive, stem
from market.web.needs import notice_rows
from market.web.room import link_of

blueprint = Blueprint("calls", __name__)
BUYERS = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT)
AGENCIES = holders(Role.AGENCY)
ACCESS: Mapping[str, Cell] = {
    "calls.index": PUBLIC,
    "calls.download": PUBLIC,
    "calls.show": PUBLIC,
    "calls.ask": AGENCIES,
    "calls.answer": BUYERS,
    "calls.correction": BUYERS,
    "calls.withdrawal": BUYERS,
    "calls.rerun": BUYERS,
}
LINKS: Mapping[str, Callable[[str], str]] = {"call": lambda number: f"/calls/{number}"}

PAGE_SIZE = 30
MOST_ROWS = 5000
#: The states of a call as a list groups them: (key, Chinese, English, statuses).
GROUPS: tuple[tuple[str, str, str, tuple[CommissionStatus, ...]], ...] = (
    ("open", "公告中", "Open for bids", (CommissionStatus.OPEN,)),
    ("evaluating", "评审中", "Under evaluation", (CommissionStatus.EVALUATING,)),
    ("publicised", "公示中", "Result publicised", (CommissionStatus.PUBLICISED,)),
    (
        "awarded",
        "已委托",
        "Commissioned",
        (
            CommissionStatus.OFFERED,
            CommissionStatus.TAKEN_ON,
            CommissionStatus.IN_SERVICE,
            CommissionStatus.DELIVERED,
            CommissionStatus.FINISHED,
            CommissionStatus.TERMINATED,
        ),
    ),
    ("failed", "流标", "Failed", (CommissionStatus.FAILED,)),
    ("cancelled", "已终止采购", "Withdrawn", (CommissionStatus.CANCELLED,)),
)


# The list


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is narrowed to, as the query string says."""

    q: str = ""
    state: str = ""
    route: str = ""
    item: str = ""
    region: str = ""


def _filters() -> Filters:
    state, route = request.args.get("state", ""), request.args.get("route", "")
    return Filters(
        q=request.args.get("q", "").strip()[:60],
        state=state if state in {key for key, *_rest in GROUPS} else "",
        route=route if route in {one.value for one in need_form.routes_open()} else "",
        item=request.args.get("item", "").strip()[:20],
        region=request.args.get("region", "").strip()[:6],
    )


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [CallForBids.published_at.is_not(None)]
    if filters.q:
        found.append(
            CallForBids.title.icontains(filters.q, autoescape=True)
            | CallForBids.number.icontains(filters.q, autoescape=True)
        )
    if filters.state:
        found.append(Commission.status.in_(next(group[3] for group in GROUPS if group[0] == filters.state)))
    if filters.route:
        found.append(Commission.route == Route(filters.route))
    if filters.item:
        found.append(ServiceItem.code == filters.item)
    if filters.region:
        found.append(Project.region == filters.region)
    return found


def _from_calls(statement: Select[Any], filters: Filters) -> Select[Any]:
    """The joins by key, apart from those by which a call loads its parts."""
    return (
        statement.select_from(CallForBids)
        .join(Commission, CallForBids.commission_id == Commission.id)
        .join(Project, Commission.project_id == Project.id)
        .join(ServiceItem, Commission.item_id == ServiceItem.id)
        .where(*_conditions(filters))
    )


def _found(filters: Filters, *, most: int, offset: int = 0) -> list[CallForBids]:
    """Open calls first, the earliest closing before the others; then the newest."""
    is_open = Commission.status == CommissionStatus.OPEN
    statement = _from_calls(select(CallForBids), filters).order_by(
        is_open.desc(),
        case((is_open, CallForBids.closing_at), else_=None).asc().nulls_last(),
        CallForBids.published_at.desc(),
        CallForBids.id.desc(),
    )
    return list(session.scalars(statement.limit(most).offset(offset)).unique())


def _total(filters: Filters) -> int:
    return session.scalar(_from_calls(select(func.count()), filters)) or 0


def _groups(filters: Filters) -> list[dict[str, Any]]:
    """The facets with counts: each counted as if its own filter were dropped."""

    def counted(name: str, *columns: Any) -> list[Any]:
        statement = _from_calls(select(*columns, func.count()), replace(filters, **{name: ""})).group_by(*columns)
        return list(session.execute(statement))

    def option(name: str, value: str, label: str, count: int) -> dict[str, Any]:
        chosen = getattr(filters, name) == value
        return {
            "value": value,
            "label": label,
            "count": count,
            "selected": chosen,
            "url": url_with(**{name: None if chosen else value, "page": None}),
        }

    tongue = language()
    by_status = dict(counted("state", Commission.status))
    states = [
        option("state", key, choose(zh, en), sum(by_status.get(status, 0) for status in statuses))
        for key, zh, en, statuses in GROUPS
    ]
    by_route = dict(counted("route", Commission.route))
    found = [
        {"title": choose("状态", "State"), "name": "state", "options": states},
        {
            "title": choose("采购方式", "Route"),
            "name": "route",
            "options": [
                option("route", route.value, route.label(tongue), by_route.get(route, 0))
                for route in need_form.routes_open()
            ],
        },
        {
            "title": choose("服务事项", "Service item"),
            "name": "item",
            "options": [
                option("item", code, choose(name, name_en or name), count)
                for code, name, name_en, count in sorted(
                    counted("item", ServiceItem.code, ServiceItem.name, ServiceItem.name_en)
                )
            ],
        },
        {
            "title": choose("地区", "Region"),
            "name": "region",
            "options": [
                option("region", region, region, count)
                for region, count in sorted(counted("region", Project.region))
                if region
            ],
        },
    ]
    return [group for group in found if group["options"]]


def line(call: CallForBids) -> dict[str, Any]:
    """One call as a row of a list."""
    commission = call.commission
    days = _days_left(call)
    return {
        "call": call,
        "url": url_for("calls.show", number=call.number),
        "status": commission.status.label(language()),
        "kind": progress.STATUS_KINDS[commission.status],
        "ceiling": money.format(call.ceiling) if call.ceiling is not None else "",
        "closing": instant(call.closing_at),
        "left": days,
    }


def _days_left(call: CallForBids) -> str:
    """How long bids are still taken, in working days after today; '' once they are not."""
    if call.commission.status != CommissionStatus.OPEN or call.closing_at is None or clock.now() > call.closing_at:
        return ""
    today, last = clock.today(), clock.local_date(call.closing_at)
    if last == today:
        return choose("今日截止", "closes today")
    calendar = clock.china()
    count = calendar.working_days(calendar.nth_working_day(today, 1), last)
    return choose(f"剩余 {count} 个工作日", f"{count} working days left")


def newest(most: int) -> list[dict[str, Any]]:
    """The calls published last, for the first page."""
    statement = (
        select(CallForBids)
        .where(CallForBids.published_at.is_not(None))
        .order_by(CallForBids.published_at.desc(), CallForBids.id.desc())
        .limit(most)
    )
    return [line(call) for call in session.scalars(statement).unique()]


@blueprint.get("/calls", endpoint="index")
def index() -> str:
    filters, page = _filters(), page_number()
    total = _total(filters)
    groups = _groups(filters)
    return render_template(
        "market/call_index.html",
        rows=[line(call) for call in _found(filters, most=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)],
        groups=groups,
        filters=filters,
        hidden={name: value for name in ("state", "route", "item", "region") if (value := getattr(filters, name))},
        drops=[
            (option["label"], option["url"]) for group in groups for option in group["options"] if option["selected"]
        ]
        + ([(filters.q, url_with(q=None, page=None))] if filters.q else []),
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE_SIZE)),
    )


@blueprint.get("/calls.<any(csv, xlsx):form>", endpoint="download")
def download(form: str) -> Response:
    """The same rows as the list."""
    heads = [
        choose("采购编号", "Call"),
        choose("名称", "Title"),
        choose("服务事项", "Service item"),
        choose("采购人", "Buyer"),
        choose("采购方式", "Route"),
        choose("最高限价（元）", "Ceiling (yuan)"),
        choose("报价截止", "Closing"),
        choose("状态", "State"),
        choose("发布时间", "Published"),
    ]
    tongue = language()
    table: list[list[str | int | None]] = [
        [
            call.number,
            call.title,
            call.commission.item.label(tongue),
            call.commission.client.name,
            call.commission.route.label(tongue),
            f"{call.ceiling // 100}.{call.ceiling % 100:02d}" if call.ceiling is not None else "",
            calls.spoken(call.closing_at),
            call.commission.status.label(tongue),
            calls.spoken(call.published_at),
        ]
        for call in _found(_filters(), most=MOST_ROWS)
    ]
    name = choose("采购公告", "calls")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)


# One call


@blueprint.get("/calls/<number>", endpoint="show")
def show(number: str) -> Answer:
    actor = current_actor()
    call = calls.find(number, by=actor)
    if not calls.is_public(call) and actor is not None and commissions.by_client(call.commission, actor):
        return redirect(url_for("needs.show", number=number))  # type: ignore[return-value]
    return _page(number, actor)


def _page(number: str, actor: Actor | None, error: PortalError | None = None) -> str:
    call = calls.find(number, by=actor)
    commission = call.commission
    is_buyer = actor is not None and commissions.by_client(commission, actor)
    if not calls.is_public(call):
        raise NotFound
    agency = _agency(actor)
    reasons = calls.shortfalls(call, agency) if agency is not None else []
    is_open = bool(_days_left(call))
    told = notices.listed(notices.Wanted(call=number), most=100)
    return render_template(
        "market/call_show.html",
        call=call,
        status_kind=progress.STATUS_KINDS[commission.status],
        rows=notice_rows(call),
        banner=_banner(call),
        left=_days_left(call),
        steps=progress.tracker(commission),
        editions=_editions(call),
        notices=told,
        questions=_questions(call, actor, is_buyer=is_buyer),
        documents=call.documents,
        may_read_documents=is_buyer or (agency is not None and not reasons) or _watches(actor),
        custody=call.custody.label(language()),
        policy=call.policy,
        is_open=is_open,
        is_buyer=is_buyer,
        agency=agency,
        reasons=[choose(one.zh, one.en) for one in reasons],
        actions=_actions(call, actor, is_buyer=is_buyer) if actor is not None else [],
        bidders=bidding.count_standing(call) if call.closed_at is not None else None,
        least=call.rules.minimum(commission.payer),
        rerun=calls.rerun_of(call),
        asked=request.form.get("text", "") if error else "",
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
        has_result=call.opened_at is not None,
        room=link_of(call),
    )


def _watches(actor: Actor | None) -> bool:
    return actor is not None and actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)


def _agency(actor: Actor | None) -> Agency | None:
    if actor is None or actor.organisation_id is None or not actor.has(Role.AGENCY.value):
        return None
    return agencies.of_organisation(actor.organisation_id)


def _banner(call: CallForBids) -> str:
    """One sentence: how the purchase stands."""
    status, closing = call.commission.status, instant(call.closing_at, seconds=True)
    if status == CommissionStatus.OPEN:
        if call.closing_at is not None and clock.now() > call.closing_at:
            return choose(f"报价已于 {closing} 截止，正在处理。", f"Bidding closed at {closing}.")
        return choose(
            f"报价截止时间：{closing}，{_days_left(call)}。", f"Bids are taken until {closing}; {_days_left(call)}."
        )
    if status == CommissionStatus.EVALUATING:
        if call.opened_at is None:
            return choose(
                f"报价已于 {closing} 截止，等待保管方交出密钥后开标。",
                f"Bidding closed at {closing}; the bids open when two custodians hand in their keys.",
            )
        opened = instant(call.opened_at, seconds=True)
        return choose(f"已于 {opened} 开标，正在评审。", f"The bids were opened at {opened} and are being evaluated.")
    if status == CommissionStatus.FAILED:
        return choose(f"流标：{call.failed_reason}", f"Failed: {_failed_in_english(call)}")
    if status == CommissionStatus.CANCELLED:
        reason = call.commission.reason
        return choose(f"采购已终止：{reason}", f"Withdrawn: {reason}")
    return {
        CommissionStatus.PUBLICISED: choose(
            "中选结果正在公示，参加报价的机构可在公示期内提出异议。",
            "The result is publicised; agencies that took part may object during the period.",
        ),
        CommissionStatus.OFFERED: choose(
            "公示结束，等待中选机构接受委托。", "The winner has been commissioned and is to answer."
        ),
        CommissionStatus.TAKEN_ON: choose("中选机构已接受委托。", "The winner has taken the commission on."),
        CommissionStatus.IN_SERVICE: choose("中选机构正在服务。", "The winner is at work."),
        CommissionStatus.DELIVERED: choose("成果已提交，等待认可。", "The deliverable waits for acceptance."),
        CommissionStatus.FINISHED: choose("服务已办结。", "The service is finished."),
        CommissionStatus.TERMINATED: choose("服务已终止。", "The service was terminated."),
    }.get(status, status.label(language()))


def _failed_in_english(call: CallForBids) -> str:
    """The reason as the public notice gives it."""
    for one in notices.listed(notices.Wanted(kind=NoticeKind.FAILED.value, call=call.number), most=1):
        return str(one.body[0].get("value_en", call.failed_reason))
    return call.failed_reason


def _editions(call: CallForBids) -> list[dict[str, Any]]:
    """The notice as published and each correction, the newest first, with what changed."""
    rows = session.scalars(
        select(CallEdition).where(CallEdition.call_id == call.id).order_by(CallEdition.edition.desc())
    )
    return [
        {
            "edition": one.edition,
            "at": instant(one.at, seconds=True),
            "reason": one.reason,
            "is_material": one.is_material,
            "closing": instant(one.closing_at, seconds=True),
            "changes": [
                (
                    choose(*calls.FIELD_NAMES[change["field"]]),
                    calls.in_words(change["field"], change["before"]),
                    calls.in_words(change["field"], change["after"]),
                )
                for change in one.changes
            ],
        }
        for one in rows
    ]


def _questions(call: CallForBids, actor: Actor | None, *, is_buyer: bool) -> list[dict[str, Any]]:
    """Answered ones for all; the others for the buyer and for whoever asked. Nobody is told who did."""
    organisation = actor.organisation_id if actor is not None else None
    asked = list(reversed(calls.questions_of(call)))
    return [
        {
            "position": position,
            "text": one.text,
            "asked": instant(one.asked_at),
            "answer": one.answer,
            "answered": instant(one.answered_at),
            "is_answered": one.answered_at is not None,
            "is_mine": organisation is not None and one.organisation_id == organisation,
            "url": url_for("calls.answer", number=call.number, position=position),
        }
        for position, one in enumerate(asked, start=1)
        if one.answered_at is not None or is_buyer or (organisation is not None and one.organisation_id == organisation)
    ]


def _actions(call: CallForBids, actor: Actor, *, is_buyer: bool) -> list[dict[str, str]]:
    """What this person can do now, as buttons; acts of other pages are links to them."""
    number, status = call.number, call.commission.status
    found: list[tuple[str, str]] = []
    if is_buyer:
        if status == CommissionStatus.OPEN:
            found.append((choose("发布更正公告", "Publish a correction"), url_for("calls.correction", number=number)))
        if status == CommissionStatus.EVALUATING:
            found.append(
                (choose("评审和定标", "Evaluate and award"), f"/calls/{number}/result")
                if call.opened_at is not None
                else (choose("交出密钥，开标", "Hand the key in and open"), "/custody")
            )
        if status == CommissionStatus.FAILED and calls.rerun_of(call) is None:
            found.append((choose("重新组织采购", "Run it again"), url_for("calls.rerun", number=number)))
        found.append((choose("查看委托", "See the commission"), f"/commissions/{call.commission.number}"))
        found.append((choose("复制为新的采购需求", "Copy into a new need"), url_for("needs.copy", number=number)))
        if status in WITHDRAWABLE:
            found.append((choose("终止采购", "Withdraw the call"), url_for("calls.withdrawal", number=number)))
    elif (
        actor.has(Role.OPERATOR.value, Role.SUPERVISOR.value)
        and status == CommissionStatus.EVALUATING
        and call.opened_at is None
    ):
        found.append((choose("开标密钥", "Keys of the bids"), "/custody"))
    return [
        {"label": label, "url": url, "kind": "primary" if index == 0 else "secondary"}
        for index, (label, url) in enumerate(found)
    ]


#: States in which the buyer may give a published purchase up.
WITHDRAWABLE = frozenset(
    {
        CommissionStatus.OPEN,
        CommissionStatus.EVALUATING,
        CommissionStatus.PUBLICISED,
        CommissionStatus.OFFERED,
    }
)


# Questions


@blueprint.post("/calls/<number>/questions", endpoint="ask")
def ask(number: str) -> Answer:
    """An agency asks; its name is shown to nobody."""
    actor = signed_in_actor()

    def act() -> str:
        call = calls.find(number, by=actor)
        agency = _agency(actor)
        if agency is None or not calls.is_public(call):
            raise NotFound
        calls.ask(call, agency, request.form.get("text", ""), by=actor)
        return url_for("calls.show", number=number, _anchor="questions")

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(
            choose("提问已提交，答复将向所有人公布。", "Asked. The answer will be published for everybody."), "success"
        )
        return outcome
    if isinstance(outcome, NotFound):
        raise outcome
    return _page(number, actor, outcome), outcome.status


@blueprint.route("/calls/<number>/questions/<int:position>", methods=["GET", "POST"], endpoint="answer")
def answer(number: str, position: int) -> Answer:
    actor = signed_in_actor()
    _buyers(number, actor)

    def make() -> Confirm:
        call = _buyers(number, actor)
        question = _question(call, position)
        can = workflow.moves(call.commission, STEPS, actor)
        return Confirm(
            title=choose("答复提问", "Answer a question"),
            button=choose("公布答复", "Publish the answer"),
            done=choose("答复已公布。", "Published."),
            back=url_for("calls.show", number=number, _anchor="questions"),
            crumbs=_crumbs(number),
            rows=[
                (choose("提问", "Question"), question.text),
                (choose("提问时间", "Asked"), instant(question.asked_at)),
                *([(choose("答复", "Answer"), question.answer)] if question.answered_at else []),
            ],
            explain=confirm.spoken(
                [
                    (
                        "答复向所有人公布，公布后不能修改；内容涉及更改采购要求的，请发布更正公告。",
                        "The answer is public and cannot be changed. What changes the requirement needs a correction.",
                    )
                ]
            ),
            fields=[Field("answer", "text", ("答复", "Answer"))],
            subject=call.subject,
            is_open="amend" in can and question.answered_at is None,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        call = calls.find(number, by=actor, lock=True)
        calls.answer(_question(call, position), sheet.text("answer"), by=actor)
        return url_for("calls.show", number=number, _anchor="questions")

    return confirm.serve(make, perform, actor)


def _question(call: CallForBids, position: int) -> Question:
    """The so manyth question of a call, counted from 1."""
    asked = list(reversed(calls.questions_of(call)))
    if not 1 <= position <= len(asked):
        raise NotFound
    return asked[position - 1]


def _buyers(number: str, actor: Actor) -> CallForBids:
    """A published call of the actor's own organisation. Raises NotFound."""
    call = calls.find(number, by=actor)
    if not calls.is_public(call) or not commissions.by_client(call.commission, actor):
        raise NotFound
    return call


def _crumbs(number: str) -> Sequence[tuple[str, str]]:
    return [
        (choose("采购公告", "Calls for bids"), url_for("calls.index")),
        (number, url_for("calls.show", number=number)),
    ]


# Correction


@blueprint.route("/calls/<number>/correction", methods=["GET", "POST"], endpoint="correction")
def correction(number: str) -> Answer:
    """Change fields, say why; then see what changes and whether bids must be confirmed, and publish."""
    actor = signed_in_actor()
    call = _buyers(number, actor)
    workflow.check(call.commission, STEPS, "amend", by=actor)
    if request.method == "GET":
        return _correction_page(call, need_form.values_of(call))
    sheet = receive(["files"])
    names = need_form.all_names(call)
    if request.form.get("stage") != "publish":
        return _check_correction(call, sheet, names, actor)

    def act() -> str:
        locked = calls.find(number, by=actor, lock=True)
        changed = need_form.changes(locked, need_form.read(sheet, names))
        calls.amend(
            locked,
            by=actor,
            reason=sheet.text("reason"),
            expected_version=confirm.version_seen(),
            add=_added(sheet, actor),
            **{name: after for name, (_before, after) in changed.items()},
        )
        return url_for("calls.show", number=number)

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(choose("更正公告已发布。", "The correction is published."), "success")
        return outcome
    kept = sheet.keep(actor)
    call = _buyers(number, actor)
    return _correction_page(call, sheet.typed, outcome, kept), outcome.status


def _added(sheet: Sheet, by: Actor) -> CallDocument | None:
    documents = sheet.documents("files", by)
    return (
        CallDocument(name=stem(documents[0].name), document=documents[0], added_at=clock.now()) if documents else None
    )


def _check_correction(call: CallForBids, sheet: Sheet, names: Sequence[str], actor: Actor) -> Answer:
    """The second page: what changes, in words; nothing is stored but the file that was handed in."""
    faults: list[PortalError] = list(sheet.faults)
    changed: dict[str, tuple[Any, Any]] = {}
    try:
        changed = need_form.changes(call, need_form.read(sheet, names))
        commissions.given_reason(sheet.text("reason"))
    except Invalids as error:
        faults += error.errors
    except PortalError as error:
        error.field = error.field or "reason"
        faults.append(error)
    kept = sheet.keep(actor)
    documents: Sequence[Document] = kept.get("files", [])
    if not changed and not documents and not faults:
        faults.append(NothingChanged())
    if faults:
        refused = faults[0] if len(faults) == 1 else Invalids(faults)
        return _correction_page(call, sheet.typed, refused, kept), refused.status
    is_material = bool(documents) or not MATERIAL.isdisjoint(changed)
    rows: list[Row] = [
        (
            choose(*calls.FIELD_NAMES[name]),
            choose("由“{}”改为“{}”", "from “{}” to “{}”").format(
                calls.in_words(name, before), calls.in_words(name, after)
            ),
        )
        for name, (before, after) in changed.items()
    ]
    rows += [(choose("补充文件", "Added document"), document.name) for document in documents]
    rows.append((choose("更正理由", "Reason"), sheet.text("reason").strip()))
    return render_template(
        "market/call_correction_check.html",
        call=call,
        rows=rows,
        is_material=is_material,
        crumbs=_crumbs(call.number),
        typed=_resent(sheet, kept),
    )


def _resent(sheet: Sheet, kept: Mapping[str, Sequence[Document]]) -> list[tuple[str, str]]:
    """What the second page sends again, as hidden fields."""
    aside = {"csrf_token", "act", "stage", "kept-files", "version"}
    typed = [(name, value) for name, value in sheet.typed.items() if name not in aside]
    return typed + [("kept-files", document.number) for document in kept.get("files", [])]


def _correction_page(
    call: CallForBids,
    values: Mapping[str, str],
    error: PortalError | None = None,
    kept: Mapping[str, Any] | None = None,
) -> str:
    return render_template(
        "market/call_correction.html",
        call=call,
        crumbs=_crumbs(call.number),
        names=need_form.all_names(call),
        values=values,
        rules=call.rules,
        criteria=range(1, need_form.MOST_CRITERIA + 1),
        weight_field=need_form.weight_field,
        quality=f"{call.rules.quality_weight / 100:g}%",
        earliest=day(clock.local_date(calls.earliest_closing(call.rules))),
        kept=kept or {},
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


# Withdrawal and running again


@blueprint.route("/calls/<number>/withdrawal", methods=["GET", "POST"], endpoint="withdrawal")
def withdrawal(number: str) -> Answer:
    actor = signed_in_actor()
    if request.method == "GET":
        workflow.check(_buyers(number, actor).commission, STEPS, "cancel", by=actor)

    def make() -> Confirm:
        call = _buyers(number, actor)
        return Confirm(
            title=choose("终止采购", "Withdraw the call"),
            button=choose("终止采购并公告", "Withdraw and say so in public"),
            done=choose("采购已终止，终止公告已发布。", "Withdrawn; the notice is published."),
            back=url_for("calls.show", number=number),
            crumbs=_crumbs(number),
            rows=_standing_rows(call),
            explain=confirm.spoken(
                [
                    (
                        "终止后不能恢复；尚未开启的报价永不开启。",
                        "This cannot be undone; bids that are not open stay closed for ever.",
                    ),
                    (
                        "终止理由随终止公告向所有人公布，参加报价的机构会收到通知。",
                        "The reason is public, and the agencies that bid are told.",
                    ),
                ]
            ),
            fields=[Field("reason", "text", ("终止理由", "Reason"))],
            subject=call.subject,
            version=call.commission.version,
            is_ending=True,
            is_open="cancel" in workflow.moves(call.commission, STEPS, actor),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        call = calls.find(number, by=actor, lock=True)
        calls.withdraw(call, sheet.text("reason"), by=actor, expected_version=version)
        return url_for("calls.show", number=number)

    return confirm.serve(make, perform, actor)


def _standing_rows(call: CallForBids) -> list[Row]:
    return [
        (choose("采购编号", "Call"), call.number),
        (choose("名称", "Title"), call.title),
        (choose("状态", "State"), call.commission.status.label(language())),
        (choose("报价截止", "Closing"), instant(call.closing_at, seconds=True)),
    ]


@blueprint.route("/calls/<number>/rerun", methods=["GET", "POST"], endpoint="rerun")
def rerun(number: str) -> Answer:
    actor = signed_in_actor()
    call = _buyers(number, actor)
    if request.method == "GET":
        workflow.check(call.commission, STEPS, "rerun", by=actor)
        if calls.rerun_of(call) is not None:
            raise calls.RerunKnown

    def make() -> Confirm:
        failed = _buyers(number, actor)
        return Confirm(
            title=choose("重新组织采购", "Run it again"),
            button=choose("重新组织采购", "Run it again"),
            done=choose("已建立新的采购需求，与流标的采购相关联。", "A new need was begun, linked to the failed call."),
            back=url_for("calls.show", number=number),
            crumbs=_crumbs(number),
            rows=[*_standing_rows(failed), (choose("流标原因", "Why it failed"), failed.failed_reason)],
            explain=confirm.spoken(
                [
                    (
                        "新的采购需求沿用原内容、限价和评分标准；公告时间和开标密钥重新确定，也可以改用其他采购方式。",
                        "The new need has the words, the ceiling and the criteria; dates and keys are its own, and the route may be changed.",
                    )
                ]
            ),
            subject=failed.subject,
            version=failed.commission.version,
            is_open=calls.rerun_of(failed) is None and failed.commission.status == CommissionStatus.FAILED,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        again = calls.rerun(calls.find(number, by=actor, lock=True), by=actor, expected_version=version)
        return url_for("needs.show", number=again.number)

    return confirm.serve(make, perform, actor)
