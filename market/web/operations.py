"""The operators' pages of the market: declared outages and the dated rules of the routes (competition.md, "Time")."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from sqlalchemy import func, select

from kernel import clock, money
from kernel.access import Cell, Role, holders
from kernel.db import session
from kernel.errors import Invalids, NotFound, PortalError
from kernel.policies import Policy
from kernel.web import choose, day, form_errors, instant, language, signed_in_actor
from market import calls, commissions, routes
from market.calls import CallForBids, Outage
from market.calls.faults import OutageInvalid
from market.commissions import Commission, CommissionStatus, Payer, Route
from market.routes import FLAGS, LABELS, NUMBERS, CustodyKind, PriceKind, RankBy, TieRule
from market.web import confirm, need_form
from market.web.confirm import Answer
from market.web.forms import DateUnclear, Sheet, receive

blueprint = Blueprint("operations", __name__)
OPERATORS = holders(Role.OPERATOR)
READERS = holders(Role.OPERATOR, Role.SUPERVISOR, Role.AUDITOR)
ACCESS: Mapping[str, Cell] = {
    "operations.outages": READERS,
    "operations.declare": OPERATORS,
    "operations.policies": READERS,
    "operations.policy": READERS,
    "operations.enter": OPERATORS,
}
LINKS: Mapping[str, Callable[[str], str]] = {
    "outage": lambda number: "/admin/outages",
    "policy": lambda number: "/admin/policies",
}
#: The words of a rule and their enumerations.
WORDS: dict[str, Any] = {"rank_by": RankBy, "price": PriceKind, "tie": TieRule, "custody": CustodyKind}
#: Numbers that are amounts in fen: asked and shown in yuan.
AMOUNTS = frozenset({"approval_above", "most_amount", "platform_custody_below"})
#: Numbers that are shares in basis points: asked and shown in per cent.
SHARES = frozenset({"floor_share", "abnormal_share", "quality_weight"})
_OPEN = (CommissionStatus.OPEN, CommissionStatus.EVALUATING, CommissionStatus.PUBLICISED)


# Outages


@blueprint.get("/admin/outages", endpoint="outages")
def outages() -> str:
    rows = session.scalars(select(Outage).order_by(Outage.id.desc()).limit(200))
    return render_template(
        "market/admin_outages.html",
        rows=[
            {
                "began": instant(one.began_at, seconds=True),
                "ended": instant(one.ended_at, seconds=True),
                "reason": one.reason,
                "extended": one.extended,
                "declared": instant(one.declared_at, seconds=True),
                "by": one.by,
            }
            for one in rows
        ],
        may_declare=signed_in_actor().has(Role.OPERATOR.value),
    )


@blueprint.route("/admin/outages/new", methods=["GET", "POST"], endpoint="declare")
def declare() -> Answer:
    """State an outage; the second page says which closings it puts off, so that nobody is surprised."""
    actor = signed_in_actor()
    if request.method == "GET":
        return _outage_page({})
    sheet = receive()
    stage = request.form.get("stage", "")
    try:
        began, ended = _period(sheet)
        commissions.given_reason(sheet.text("reason"))
    except PortalError as error:
        if error.code == commissions.ReasonMissing.code:
            error.field = "reason"
        return _outage_page(sheet.typed, error), error.status
    if stage != "declare":
        return render_template(
            "market/admin_outage_check.html",
            rows=[
                (choose("故障开始", "Began"), instant(began, seconds=True)),
                (choose("故障结束", "Ended"), instant(ended, seconds=True)),
                (choose("原因", "Reason"), sheet.text("reason").strip()),
            ],
            typed={name: sheet.text(name) for name in _OUTAGE_FIELDS},
        )

    def act() -> str:
        calls.declare_outage(began, ended, sheet.text("reason"), by=actor)
        return url_for("operations.outages")

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(
            choose("故障公告已发布，受影响的截止时间已顺延。", "Declared; the closings it touched are put off."),
            "success",
        )
        return outcome
    return _outage_page(sheet.typed, outcome), outcome.status


_OUTAGE_FIELDS = ("began_at", "began_at_time", "ended_at", "ended_at_time", "reason")


def _period(sheet: Sheet) -> tuple[Any, Any]:
    """Both ends of the outage. Raises Invalids."""
    faults: list[PortalError] = []
    found: dict[str, Any] = {}
    for name in ("began_at", "ended_at"):
        try:
            found[name] = need_form.instant(sheet, name)
            if found[name] is None:
                raise DateUnclear(field=name, value="")
        except PortalError as error:
            faults.append(error)
    if not faults and not found["began_at"] < found["ended_at"] <= clock.now():
        faults.append(OutageInvalid(field="ended_at"))
    if faults:
        raise Invalids(faults)
    return found["began_at"], found["ended_at"]


def _outage_page(values: Mapping[str, str], error: PortalError | None = None) -> str:
    return render_template(
        "market/admin_outage_new.html",
        values=values,
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


# The rules of the routes


@blueprint.get("/admin/policies", endpoint="policies")
def policies() -> str:
    rows = []
    for route in Route:
        if route is Route.MENU:
            continue
        history = routes.history(route)
        current = next((one for one in history if one.effective_from <= clock.today() and not one.region), None)
        rows.append(
            {
                "route": route.label(language()),
                "url": url_for("operations.policy", number=route.value),
                "since": day(current.effective_from) if current else "",
                "source": current.source if current else "",
                "editions": len(history),
                "coming": sum(1 for one in history if one.effective_from > clock.today()),
            }
        )
    return render_template("market/admin_policies.html", rows=rows)


@blueprint.get("/admin/policies/<number>", endpoint="policy")
def policy(number: str) -> str:
    route = _route(number)
    history = routes.history(route)
    kept = _kept_by(route)
    today = clock.today()
    current = next((one for one in history if one.effective_from <= today and not one.region), None)
    return render_template(
        "market/admin_policy.html",
        route=route,
        rows=[
            {
                "row": one,
                "since": day(one.effective_from),
                "entered": instant(one.entered_at),
                "is_current": current is not None and one.id == current.id,
                "is_coming": one.effective_from > today,
                "facts": rule_rows(one.values),
                "kept": kept.get(one.id, 0),
            }
            for one in history
        ],
        may_enter=signed_in_actor().has(Role.OPERATOR.value),
    )


def _route(number: str) -> Route:
    found = next((one for one in Route if one.value == number and one is not Route.MENU), None)
    if found is None:
        raise NotFound
    return found


def _kept_by(route: Route) -> dict[int, int]:
    """Policy row → how many calls that are not finished yet were published under it and keep it."""
    rows = session.execute(
        select(CallForBids.policy_id, func.count())
        .join(Commission, CallForBids.commission_id == Commission.id)
        .where(Commission.route == route, Commission.status.in_(_OPEN), CallForBids.published_at.is_not(None))
        .group_by(CallForBids.policy_id)
    )
    return {int(key): count for key, count in rows if key is not None}


def _drafts(route: Route) -> int:
    """Drafts that will follow a new row once it is in force."""
    return (
        session.scalar(
            select(func.count())
            .select_from(CallForBids)
            .join(Commission, CallForBids.commission_id == Commission.id)
            .where(Commission.route == route, Commission.status == CommissionStatus.DRAFT)
        )
        or 0
    )


def rule_rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A row's values in words, in the order of the form."""
    tongue = language()
    rows = []
    for name, enumeration in WORDS.items():
        found = next((one for one in enumeration if one.value == values.get(name)), None)
        rows.append((choose(*LABELS[name]), found.label(tongue) if found is not None else str(values.get(name))))
    for payer in Payer:
        least = values.get("minimum_bidders", {}).get(payer.value)
        rows.append((_least_label(payer), str(least)))
    for name in FLAGS:
        rows.append((choose(*FLAGS[name]), choose("是", "yes") if values.get(name) else choose("否", "no")))
    for name in NUMBERS:
        rows.append((_label(name), _shown(name, values.get(name))))
    return rows


def _least_label(payer: Payer) -> str:
    return choose(f"最少报价家数（{payer.zh}）", f"Fewest bidders ({payer.en.lower()})")


def _label(name: str) -> str:
    """The label of a number in the unit in which it is asked."""
    zh, en, _least, _most = NUMBERS[name]
    if name in AMOUNTS:
        zh, en = zh.replace("（分，", "（元，").replace("（分）", "（元）"), en.replace("fen", "yuan")
    elif name in SHARES:
        zh, en = zh.replace("万分比", "%"), en.replace("1/10,000", "%")
    return choose(zh, en)


def _shown(name: str, value: Any) -> str:
    if not isinstance(value, int):
        return str(value)
    if name in AMOUNTS:
        return money.format(value).removeprefix("¥")
    return f"{value / 100:g}" if name in SHARES else str(value)


@blueprint.route("/admin/policies/<number>/new", methods=["GET", "POST"], endpoint="enter")
def enter(number: str) -> Answer:
    """A new dated row: fill in, see what changes and whom it touches, enter."""
    actor = signed_in_actor()
    route = _route(number)
    history = routes.history(route)
    latest = next((one for one in history if not one.region), None)
    if request.method == "GET":
        return _policy_page(route, _typed(latest))
    sheet = receive()
    try:
        values, effective_from = _read(sheet)
        _check(values, effective_from, sheet.text("source"))
    except PortalError as error:
        return _policy_page(route, sheet.typed, error), error.status
    if request.form.get("stage") != "enter":
        before = dict(rule_rows(latest.values)) if latest is not None else {}
        rows = [
            (label, value if before.get(label) == value else f"{before.get(label, '—')} → {value}")
            for label, value in rule_rows(values)
            if before.get(label) != value
        ]
        return render_template(
            "market/admin_policy_check.html",
            route=route,
            rows=[
                *rows,
                (choose("生效日期", "In force from"), day(effective_from)),
                (choose("依据", "Source"), sheet.text("source").strip()),
            ],
            explain=_touched(route),
            typed=[(name, value) for name, value in sheet.typed.items() if name not in ("csrf_token", "act", "stage")],
        )

    def act() -> str:
        routes.enter(route, values, effective_from=effective_from, source=sheet.text("source"), by=actor)
        return url_for("operations.policy", number=route.value)

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(choose("规则已发布。", "The rule is entered."), "success")
        return outcome
    return _policy_page(route, sheet.typed, outcome), outcome.status


def _touched(route: Route) -> list[str]:
    kept, drafts = sum(_kept_by(route).values()), _drafts(route)
    return [
        choose(
            f"进行中的 {kept} 件采购继续适用发布公告时的规则，不受影响。",
            f"Calls under way ({kept}) keep the rule they were published under.",
        ),
        choose(
            f"尚未发布的 {drafts} 件采购需求在生效之日起发布的，适用新规则。",
            f"Drafts ({drafts}) follow the new rule when they are published on or after its day.",
        ),
        choose("规则发布后不能修改，只能发布新的规则。", "A rule is never edited; a change is another row."),
    ]


def _check(values: Mapping[str, Any], effective_from: date, source: str) -> None:
    """What :func:`market.routes.enter` would refuse, before anything is stored."""
    faults: list[PortalError] = []
    try:
        routes.parse(values)
    except Invalids as wrong:
        faults += wrong.errors
    for fault in faults:
        if fault.field == "minimum_bidders":
            fault.field = f"least-{next(iter(Payer)).value}"  # the question stands as one field a payer
    if not source.strip():
        faults.append(routes.SourceMissing(field="source"))
    if effective_from < clock.today():
        faults.append(routes.RuleBackdated(field="effective_from", today=clock.today().isoformat()))
    if faults:
        raise Invalids(faults)


def _typed(latest: Policy | None) -> dict[str, str]:
    """The form as the latest row answers it."""
    values = latest.values if latest is not None else {}
    typed = {name: str(values.get(name, "")) for name in WORDS}
    typed |= {f"least-{payer.value}": str(values.get("minimum_bidders", {}).get(payer.value, "")) for payer in Payer}
    typed |= {name: "1" if values.get(name) else "" for name in FLAGS}
    typed |= {name: _shown(name, values.get(name, 0)) for name in NUMBERS}
    typed["effective_from"] = clock.today().isoformat()
    return typed


def _read(sheet: Sheet) -> tuple[dict[str, Any], date]:
    """The form as a row's values. Raises Invalids."""
    faults: list[PortalError] = []
    values: dict[str, Any] = {name: sheet.text(name) for name in WORDS}
    values |= {name: sheet.is_ticked(name) for name in FLAGS}
    for name in NUMBERS:
        try:
            values[name] = _number(sheet, name)
        except PortalError as error:
            faults.append(error)
    least = {}
    for payer in Payer:
        try:
            least[payer.value] = sheet.whole(f"least-{payer.value}", ("最少报价家数", "the fewest bidders"))
        except PortalError as error:
            faults.append(error)
    values["minimum_bidders"] = least
    effective_from = None
    try:
        effective_from = sheet.day("effective_from")
        if effective_from is None:
            raise DateUnclear(field="effective_from", value="")
    except PortalError as error:
        faults.append(error)
    if faults or effective_from is None:
        raise Invalids(faults)
    return values, effective_from


def _number(sheet: Sheet, name: str) -> int:
    text = sheet.text(name).strip()
    if name in AMOUNTS:
        return money.parse(text, field=name) if text else 0
    if name in SHARES:
        plain = unicodedata.normalize("NFKC", text).rstrip("%").strip() or "0"
        try:
            return round(money.parse(plain, field=name))
        except PortalError as error:
            raise need_form.ShareUnclear(field=name, value=text) from error
    return sheet.whole(name, (NUMBERS[name][0], NUMBERS[name][1].lower()))


def _policy_page(route: Route, values: Mapping[str, str], error: PortalError | None = None) -> str:
    tongue = language()
    return render_template(
        "market/admin_policy_new.html",
        route=route,
        values=values,
        words=[
            (name, choose(*LABELS[name]), [(one.value, one.label(tongue)) for one in enumeration])
            for name, enumeration in WORDS.items()
        ],
        payers=[(f"least-{payer.value}", _least_label(payer)) for payer in Payer],
        flags=[(name, choose(*FLAGS[name])) for name in FLAGS],
        numbers=[(name, _label(name), name in AMOUNTS) for name in NUMBERS],
        explain=_touched(route),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )
