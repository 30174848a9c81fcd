"""Pages of custodians: the long-term key, the key of each call, and handing it in (competition.md, "Sealed bids", 1, 4).

The long-term key never reaches the server: ``static/custody.js`` makes and uses it in the browser, and ``flask bids
call-keys`` and ``flask bids unwrap`` do the same on the custodian's own machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from sqlalchemy import select

from kernel.access import Cell, Role, holders
from kernel.accounts import Organisation
from kernel.db import session
from kernel.errors import NotFound, PortalError
from kernel.trail import Actor
from kernel.web import choose, form_errors, instant, language, signed_in_actor
from market import bidding, calls, custody
from market.calls import CallForBids
from market.commissions import Commission, CommissionStatus
from market.custody import CallKey, Custodian
from market.routes import CustodyKind
from market.web import confirm
from market.web.bidding import custodian_steps

blueprint = Blueprint("custody", __name__)

KEEPERS = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.OPERATOR, Role.SUPERVISOR)
ACCESS: dict[str, Cell] = {"custody.index": KEEPERS, "custody.call": KEEPERS}
LINKS: Mapping[str, Callable[[str], str]] = {"custodian": lambda _name: "/custody"}

#: A custodian's list shows this many calls, those that close first.
MOST = 200


@blueprint.route("/custody", methods=["GET", "POST"])
def index() -> Response | tuple[str, int] | str:
    """The long-term keys of one's own, and the calls that wait for a key."""
    actor = signed_in_actor()
    if request.method == "GET":
        return _index(actor)
    which = _chosen(actor)

    def perform() -> str:
        organisation = session.get_one(Organisation, actor.organisation_id)
        custody.register(which, organisation, request.form.get("recipient", ""), by=actor)
        return url_for("custody.index")

    answer = confirm.attempt(perform)
    if isinstance(answer, PortalError):
        return _index(actor, which, answer), answer.status
    flash(choose("保管公钥已登记。", "The public key was registered."), "success")
    return answer


def _index(actor: Actor, which: Custodian | None = None, error: PortalError | None = None) -> str:
    sections = []
    for custodian in custody.roles_of(actor):
        key = custody.in_force(custodian, actor.organisation_id)
        sections.append(
            {
                "custodian": custodian,
                "label": custodian.label(language()),
                "key": key,
                "since": instant(key.registered_at) if key else "",
                "error": error.text(language()) if error is not None and which is custodian else None,
            }
        )
    return render_template(
        "market/custody_index.html",
        sections=sections,
        rows=_waiting(actor),
        typed="" if isinstance(error, custody.PrivateKeyPasted) else request.form.get("recipient", ""),
        form_errors=form_errors(error) if error else None,
    )


def _waiting(actor: Actor) -> list[dict[str, Any]]:
    """Calls before publication and before their opening, with what this actor has to do there."""
    mine = custody.roles_of(actor)
    statement = (
        select(CallForBids)
        .join(Commission)
        .where(
            Commission.status.in_([CommissionStatus.DRAFT, CommissionStatus.OPEN, CommissionStatus.EVALUATING]),
            CallForBids.opened_at.is_(None),
        )
        .order_by(CallForBids.closing_at.nulls_last(), CallForBids.id)
        .limit(MOST)
    )
    if set(mine) <= {Custodian.BUYER}:
        statement = statement.where(Commission.client_id == actor.organisation_id)
    rows = []
    for call in session.scalars(statement).unique():
        kind = _kind(call)
        if kind is CustodyKind.PLATFORM:
            continue
        keys = {key.custodian: key for key in custody.keys(call.id)}
        for which in mine:
            if custody.is_custodian(which, call.commission.client_id, actor):
                text, tone = _task(call, keys.get(which))
                rows.append(
                    {
                        "call": call,
                        "url": url_for("custody.call", number=call.number),
                        "custodian": which.label(language()),
                        "task": text,
                        "kind": tone,
                        "closing": instant(call.closing_at) if call.closing_at else "",
                    }
                )
    return rows


def _task(call: CallForBids, key: CallKey | None) -> tuple[str, str]:
    if call.commission.status == CommissionStatus.EVALUATING:
        if key is not None and key.handed_in_at is None:
            return choose("待交出密钥", "Hand the key in"), "warn"
        return choose("已交出密钥", "Key handed in"), "good"
    if key is None:
        return choose("待提供密钥", "Give a key"), "warn"
    return choose("已提供密钥，截止后交出", "Key given; hand it in after the closing"), "good"


def _kind(call: CallForBids) -> CustodyKind:
    return call.custody if call.published_at else call.rules.custody_for(call.commission.payer, call.ceiling)


@blueprint.route("/custody/<number>", methods=["GET", "POST"])
def call(number: str) -> Response | tuple[str, int] | str:
    """One call: give its key before the notice, hand it in after the closing; the second key opens the bids."""
    actor = signed_in_actor()
    found = _own_call(number, actor)
    if request.method == "GET":
        return _page(found, actor)
    which = _chosen(actor)
    is_giving = found.commission.status == CommissionStatus.DRAFT
    opened: list[bool] = []

    def perform() -> str:
        locked = calls.find(number, by=actor, lock=True)
        typed = request.form
        if typed.get("do") == "provide":
            custody.provide(locked.id, which, typed.get("recipient", ""), typed.get("protected", ""), by=actor)
            return url_for("custody.call", number=number)
        if _kind(locked) is CustodyKind.PLATFORM:
            if which is not Custodian.PLATFORM:
                raise NotFound
            bidding.open_bids(locked, by=actor)
            opened.append(True)
            return url_for("bidding.opening", number=number)
        custody.hand_in(locked.id, which, typed.get("key", ""), by=actor)
        if len(custody.identities(locked.id)) >= custody.ENOUGH:
            bidding.open_bids(locked, by=actor)
            opened.append(True)
            return url_for("bidding.opening", number=number)
        return url_for("custody.call", number=number)

    answer = confirm.attempt(perform)
    if isinstance(answer, PortalError):
        return _page(_own_call(number, actor), actor, which, answer), answer.status
    if is_giving:
        flash(choose("本次采购的密钥已提供。", "The key of this call was given."), "success")
    elif opened:
        flash(choose("两方密钥已齐，全部报价已开启。", "Two keys are in: all bids were opened."), "success")
    else:
        flash(choose("密钥已交出，等待另一方。", "Your key is in; another custodian's is awaited."), "success")
    return answer


def _page(found: CallForBids, actor: Actor, which: Custodian | None = None, error: PortalError | None = None) -> str:
    keys = {key.custodian: key for key in custody.keys(found.id)}
    status = found.commission.status
    forms = []
    for custodian in custody.roles_of(actor):
        if not custody.is_custodian(custodian, found.commission.client_id, actor):
            continue
        key, long_term = keys.get(custodian), custody.in_force(custodian, actor.organisation_id)
        act = ""
        if _kind(found) is CustodyKind.THREE:
            if status == CommissionStatus.DRAFT:
                act = "provide" if long_term is not None else "register"
            elif status == CommissionStatus.EVALUATING and found.opened_at is None and key is not None:
                act = "done" if key.handed_in_at is not None else "hand_in"
        elif status == CommissionStatus.EVALUATING and found.opened_at is None and custodian is Custodian.PLATFORM:
            act = "open"  # the opening at the closing found no key file
        forms.append(
            {
                "custodian": custodian,
                "label": custodian.label(language()),
                "act": act,
                "key": key,
                "own": [long_term.recipient] if long_term else [],
                "wrong": confirm.by_field(error) if which is custodian else {},
            }
        )
    return render_template(
        "market/custody_call.html",
        call=found,
        forms=forms,
        steps=custodian_steps(found) if _kind(found) is CustodyKind.THREE else [],
        is_alone=_kind(found) is CustodyKind.PLATFORM,
        status=status.label(language()),
        closing=instant(found.closing_at, seconds=True) if found.closing_at else "",
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )


def _own_call(number: str, actor: Actor) -> CallForBids:
    """A call whose custodian the actor is. Raises NotFound."""
    found = calls.find(number, by=actor)
    if not any(custody.is_custodian(which, found.commission.client_id, actor) for which in custody.roles_of(actor)):
        raise NotFound
    return found


def _chosen(actor: Actor) -> Custodian:
    asked = request.form.get("custodian", "")
    for which in custody.roles_of(actor):
        if which.value == asked:
            return which
    raise NotFound
