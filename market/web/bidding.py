"""Pages of sealed bids: the form, the receipt, an agency's own bids, and the opening that anyone repeats (A6).

"Say the limits on the page": who could look, and what a database administrator sees. The browser seals
(``static/sealing.js``); without scripts the server seals in memory and hands the sealed bid back, so that in either
case nothing readable is written anywhere, temporary files included.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import secrets
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

from flask import Blueprint, Flask, Request, Response, flash, render_template, request, send_file, url_for
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import RequestEntityTooLarge

from kernel import clock, money, sealing
from kernel.access import PUBLIC, Cell, Role, holders
from kernel.errors import NotFound, PortalError
from kernel.sealing import SealedBid, SealedBy
from kernel.trail import Actor
from kernel.web import choose, current_actor, form_errors, instant, language, signed_in_actor
from market import agencies, bidding, calls, custody
from market.agencies import Agency
from market.bidding import Bid, Outcome
from market.calls import CallForBids
from market.commissions import CommissionStatus
from market.custody import Custodian
from market.routes import CustodyKind, PriceKind
from market.web import confirm
from market.web.forms import Field, Sheet

blueprint = Blueprint("bidding", __name__)

BIDDERS = holders(Role.AGENCY)
ACCESS: dict[str, Cell] = {
    "bidding.index": BIDDERS,
    "bidding.bid": BIDDERS,
    "bidding.show": BIDDERS,
    "bidding.receipt": BIDDERS,
    "bidding.act": BIDDERS,
    "bidding.keys": PUBLIC,
    "bidding.opening": PUBLIC,
    "bidding.bundle": PUBLIC,
}
LINKS: Mapping[str, Callable[[str], str]] = {"bid": lambda token: f"/bids/{token}"}

#: A sealed bid in base64, and its form.
MOST_SENT = sealing.CLASSES[-1] * 4 // 3 + 1024 * 1024
OUTCOME_KINDS = {
    Outcome.OPENED: "good",
    Outcome.UNOPENABLE: "bad",
    Outcome.NOT_EVALUATED: "bad",
    Outcome.UNCONFIRMED: "warn",
    Outcome.REPLACED: "neutral",
    Outcome.WITHDRAWN: "neutral",
}


class InMemory(Request):
    """A bid's files never touch the disk before they are sealed; the framework would keep larger ones there."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if not (self.path.startswith("/calls/") and self.path.endswith("/bid")):
            return super()._get_file_stream(total_content_length, content_type, filename, content_length)
        if total_content_length is None or total_content_length > MOST_SENT:
            raise RequestEntityTooLarge
        return io.BytesIO()


@blueprint.record_once
def _read_bids_in_memory(state: BlueprintSetupState) -> None:
    cast("Flask", state.app).request_class = InMemory


#: Tells one browser from another, and nothing else: rivals who bid from one device are a signal to the supervisor.
DEVICE = "device"


@blueprint.after_request
def _mark_device(response: Response) -> Response:
    if request.endpoint == "bidding.bid" and DEVICE not in request.cookies:
        response.set_cookie(
            DEVICE,
            secrets.token_urlsafe(18),
            max_age=2 * 365 * 24 * 3600,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )
    return response


# An agency's own bids


@blueprint.get("/bids")
def index() -> str:
    agency = _agency(signed_in_actor())
    rows = [] if agency is None else [_own_row(bid) for bid in bidding.of_agency(agency)]
    return render_template("market/bid_index.html", rows=rows)


def _own_row(bid: Bid, kept_sealed: Mapping[int, Outcome | None] | None = None) -> dict[str, Any]:
    call = bidding.call_of(bid)
    if kept_sealed is None:
        kept_sealed = bidding.standings(call, bidding.own(call, bid.agency))
    kept = kept_sealed[bid.id]
    return {
        "bid": bid,
        "call": call,
        "url": url_for("bidding.show", token=bid.token),
        "state": _state_words(call, kept),
        "kind": "good" if kept is None else OUTCOME_KINDS[kept],
        "kept": kept,
        "received": instant(bid.received_at, seconds=True),
        "sealed_by": bid.sealed_by.label(language()),
        "is_open": _is_open(call),
    }


def _state_words(call: CallForBids, kept: Outcome | None) -> str:
    if kept is None:
        return choose("有效", "Stands")
    if kept is Outcome.UNCONFIRMED and _is_open(call):
        return choose("公告已更正，待确认", "Corrected: to be confirmed")
    return kept.label(language())


def _is_open(call: CallForBids) -> bool:
    """By the clock, not by the state alone: the act itself reads it again under the lock."""
    return (
        call.commission.status == CommissionStatus.OPEN
        and call.closing_at is not None
        and clock.now() <= call.closing_at
    )


# The form


@blueprint.route("/calls/<number>/bid", methods=["GET", "POST"])
def bid(number: str) -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    call = _public_call(number, actor)
    agency = _agency(actor)
    if request.method == "GET":
        return _form(call, agency)
    if agency is None:
        raise NotFound
    try:
        handed_in = _handed_in(number)
        if handed_in is None:
            return _seal_here(call, agency)
    except PortalError as error:
        return _form(call, agency, error), error.status
    sealed, sealed_by = handed_in

    def perform() -> str:
        bidding.submit(
            number,
            _agency_again(actor),
            ciphertext=sealed.ciphertext,
            wraps=sealed.wraps,
            sealed_by=sealed_by,
            by=actor,
            address=request.remote_addr or "",
            device=request.cookies.get(DEVICE, "")[:64],
        )
        return url_for("bidding.show", token=_token(number, actor, sealed.sha256))

    answer = confirm.attempt(perform)
    if isinstance(answer, PortalError):
        return _form(calls.find(number, by=actor), agency, answer), answer.status
    flash(choose("已收到密封报价，请保存回执。", "Your sealed bid was received. Keep the receipt."), "success")
    return answer


def _handed_in(number: str) -> tuple[SealedBid, SealedBy] | None:
    """The sealed bid in the request; None when its fields are in the clear.

    Raises:
        sealing.SealedFileUnreadable: also for a sealed bid with readable fields beside it, which nobody should store.
    """
    file, sealed_here = request.files.get("sealed"), request.form.get("sealed_here")
    has_file = file is not None and bool(file.filename)
    if not has_file and not sealed_here:
        return None
    if any(request.form.get(name, "").strip() for name in ("price", "discount", "statement")):
        raise sealing.SealedFileUnreadable(field="sealed")
    if has_file and file is not None:
        return sealing.read_sealed(file.stream.read(), number)
    return _sealed_here(sealed_here or ""), SealedBy.SERVER


def _sealed_here(text: str) -> SealedBid:
    try:
        found = json.loads(text)
        return SealedBid(
            base64.b64decode(found["ciphertext"], validate=True),
            {str(name): base64.b64decode(wrap, validate=True) for name, wrap in found["wraps"].items()},
        )
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise sealing.SealedFileUnreadable(field="sealed") from error


def _seal_here(call: CallForBids, agency: Agency) -> str:
    """Without scripts: seal what was typed in memory, and show it to be checked and handed in. Nothing is stored."""
    typed = request.form
    kind = call.rules.price
    price = money.parse(typed.get("price", ""), field="price") if kind is PriceKind.AMOUNT else None
    discount = (
        sealing.parse_discount(typed.get("discount", ""), field="discount") if kind is PriceKind.DISCOUNT else None
    )
    days = sealing.parse_working_days(typed.get("working_days", ""), field="working_days")
    files = tuple(
        sealing.BidFile(sealing.clean_name(one.filename), one.stream.read())
        for one in request.files.getlist("files")
        if one.filename
    )
    sealed = bidding.seal_for(
        call,
        agency,
        price=price,
        discount=discount,
        working_days=days,
        statement=typed.get("statement", ""),
        files=files,
    )
    rows: list[tuple[str, str]] = [(choose("采购公告", "Call"), f"{call.title}（{call.number}）")]
    if price is not None:
        rows += [
            (choose("报价", "Price"), money.format(price)),
            (choose("大写金额", "In capital numerals"), money.chinese(price)),
        ]
    if discount is not None:
        rows.append((choose("下浮率", "Discount"), f"{discount / 100:.2f}%"))
    rows.append((choose("服务期限", "Time"), choose(f"{days} 个工作日", f"{days} working days")))
    if typed.get("statement"):
        rows.append((choose("说明", "Statement"), typed["statement"]))
    if files:
        rows.append((choose("附件", "Files"), choose("、", ", ").join(one.name for one in files)))
    payload = {
        "ciphertext": base64.b64encode(sealed.ciphertext).decode("ascii"),
        "wraps": {name: base64.b64encode(wrap).decode("ascii") for name, wrap in sealed.wraps.items()},
    }
    return render_template(
        "market/bid_confirm.html",
        call=call,
        rows=rows,
        sha256=sealed.sha256,
        key=sealing.key_text(sealed.one_bid_key, call.number, sealed.sha256),
        payload=json.dumps(payload, separators=(",", ":")),
        token=typed.get("act"),
    )


def _form(call: CallForBids, agency: Agency | None, error: PortalError | None = None) -> str:
    mine = [] if agency is None else bidding.own(call, agency)
    kept_sealed = bidding.standings(call, mine)
    lacking = (
        [choose("贵单位尚未入驻中介服务超市", "your organisation has not entered the supermarket")]
        if agency is None
        else [choose(one.zh, one.en) for one in calls.shortfalls(call, agency)]
    )
    is_open = _is_open(call)
    return render_template(
        "market/bid_form.html",
        call=call,
        agency=agency,
        rows=_terms(call),
        lacking=lacking if is_open else [],
        is_open=is_open,
        mine=[_own_row(one, kept_sealed) for one in mine],
        is_again=any(kept is not Outcome.WITHDRAWN for kept in kept_sealed.values()),
        kind=call.rules.price.value,
        recipients=custody.recipients(call.id),
        classes=",".join(str(size) for size in sealing.CLASSES),
        is_alone=call.custody is CustodyKind.PLATFORM,
        receipt_key=sealing.public_key(),
        largest=f"{sealing.CLASSES[-1] * 3 // 4 >> 20} MB",
        largest_here=f"{bidding.HERE[-1] * 3 // 4 >> 10} KB",
        values={
            "price": request.form.get("price", ""),
            "discount": request.form.get("discount", ""),
            "working_days": request.form.get("working_days", str(call.most_working_days or "")),
            "statement": request.form.get("statement", ""),
        },
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        token=request.form.get("act"),
    )


def _terms(call: CallForBids) -> list[tuple[str, str]]:
    """What a bidder must keep to, beside the form."""
    rows = [(choose("报价截止", "Closing"), instant(call.closing_at, seconds=True) if call.closing_at else "")]
    if call.ceiling is not None and call.rules.price is not PriceKind.NONE:
        rows.append((choose("最高限价", "Ceiling"), f"{money.format(call.ceiling)} {money.chinese(call.ceiling)}"))
    if call.floor:
        rows.append((choose("最低限价", "Floor"), f"{money.format(call.floor)} {money.chinese(call.floor)}"))
    if call.most_working_days is not None:
        days = call.most_working_days
        rows.append((choose("服务期限不超过", "Time, at most"), choose(f"{days} 个工作日", f"{days} working days")))
    rows.append((choose("密钥保管", "Keys held by"), call.custody.label(language())))
    return rows


# One bid


@blueprint.get("/bids/<token>")
def show(token: str) -> str:
    one = bidding.find(token, by=signed_in_actor())
    call = bidding.call_of(one)
    found = next((row for row in bidding.opened(call) if row.bid_id == one.id), None)
    row = _own_row(one)
    may_change = row["is_open"] and row["kept"] not in {Outcome.WITHDRAWN, Outcome.REPLACED}
    return render_template(
        "market/bid_receipt.html",
        row=row,
        bid=one,
        call=call,
        receipt=bidding.receipt(one),
        may_change=may_change,
        may_confirm=may_change and row["kept"] is Outcome.UNCONFIRMED,
        may_produce=found is not None and found.outcome is Outcome.UNOPENABLE and bidding.produced(one) is None,
        found=found,
        offer=choose(*bidding.offer_of(found)) if found else "",
        capitals=money.chinese(found.price) if found is not None and found.price else "",
        kinds=OUTCOME_KINDS,
    )


@blueprint.get("/bids/<token>/receipt.json")
def receipt(token: str) -> Response:
    one = bidding.find(token, by=signed_in_actor())
    found = bidding.receipt(one)
    content = json.dumps(found, ensure_ascii=False, indent=2).encode()
    name = f"{found['call']}-{one.sha256[:12]}.receipt.json"
    return send_file(io.BytesIO(content), "application/json", as_attachment=True, download_name=name)


@blueprint.route("/bids/<token>/<any(withdraw, confirm, key):action>", methods=["GET", "POST"], endpoint="act")
def act(token: str, action: str) -> Response | tuple[str, int] | str:
    """Withdraw a bid, confirm it after a correction, or produce the key of one that could not be opened."""
    actor = signed_in_actor()
    back = url_for("bidding.show", token=token)

    def make() -> confirm.Confirm:
        one = bidding.find(token, by=actor)
        call = bidding.call_of(one)
        title, button, done, explain = _ACTS[action]
        return confirm.Confirm(
            title=choose(*title),
            button=choose(*button),
            done=choose(*done),
            back=back,
            crumbs=[(choose("我的报价", "My bids"), url_for("bidding.index")), (call.number, back)],
            rows=[
                (choose("采购公告", "Call"), f"{call.title}（{call.number}）"),
                (choose("收到时间", "Received"), instant(one.received_at, seconds=True)),
                ("SHA-256", one.sha256),
            ],
            explain=confirm.spoken(explain),
            fields=[_KEY_FIELD] if action == "key" else [],
            is_ending=action == "withdraw",
        )

    def perform(sheet: Sheet, _version: int | None) -> str:
        one = bidding.find(token, by=actor)
        if action == "withdraw":
            bidding.withdraw(one, by=actor)
        elif action == "confirm":
            bidding.confirm(one, by=actor)
        else:
            bidding.produce_key(one, sheet.text("key"), by=actor)
        return back

    return confirm.serve(make, perform, actor)


_KEY_FIELD = Field(
    "key",
    "text",
    ("报价密钥", "The bid's key"),
    ("粘贴提交报价时保存的密钥文件的内容。", "Paste the key file that you kept when you handed the bid in."),
)
_ACTS: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str], list[tuple[str, str]]]] = {
    "withdraw": (
        ("撤回报价", "Withdraw the bid"),
        ("撤回报价", "Withdraw"),
        ("报价已撤回。", "The bid was withdrawn."),
        [
            ("撤回的报价永不开启；截止前可以重新报价。", "A withdrawn bid is never opened; until the closing you may bid anew."),
            ("此前被替换的报价不会恢复。", "Bids that it replaced do not come back."),
        ],
    ),
    "confirm": (
        ("确认报价继续有效", "Confirm the bid"),
        ("确认报价", "Confirm"),
        ("报价已确认，对更正后的公告有效。", "Confirmed: the bid stands for the corrected call."),
        [
            (
                "采购公告已更正。确认后原报价不变，对更正后的公告有效；需要修改的，请重新报价。",
                "The call was corrected. The bid then stands unchanged for the corrected call; to change it, bid anew.",
            )
        ],
    ),
    "key": (
        ("出示报价密钥", "Produce the bid's key"),
        ("出示密钥", "Produce the key"),
        ("已记录，任何人都可以核对。", "Recorded; anyone can check it."),
        [
            (
                "密钥和打开的内容将公开并记入办理记录，不改变开标结果。",
                "The key and what it opens become public and part of the record. The outcome stays as it is.",
            )
        ],
    ),
}  # fmt: skip


# What everyone may read


@blueprint.get("/calls/<number>/keys.json")
def keys(number: str) -> Response:
    """The call's public keys, for sealing offline (``flask bids seal``)."""
    call = _public_call(number, current_actor())
    found = sealing.CallKeys(call.number, custody.recipients(call.id)).as_bytes()
    return send_file(
        io.BytesIO(found), "application/json", as_attachment=True, download_name=f"{call.number}.call.json"
    )


@blueprint.get("/calls/<number>/opening")
def opening(number: str) -> str:
    """Who handed a key in, then what was opened, and how to repeat it."""
    call = _public_call(number, current_actor())
    tongue = language()
    rows = [
        {
            "found": row,
            "offer": choose(*bidding.offer_of(row)),
            "capitals": money.chinese(row.price) if row.price else "",
            "reason": choose(row.reason, row.reason_en),
            "kind": OUTCOME_KINDS[row.outcome],
            "outcome": row.outcome.label(tongue),
            "received": instant(row.bid.received_at, seconds=True),
            "sealed_by": row.bid.sealed_by.label(tongue),
            "refused": [one for one in row.content.get("files", []) if "refused" in one],
            "produced": bidding.produced(row.bid) is not None,
        }
        for row in ([] if call.hides_bidders else bidding.opened(call))
    ]
    return render_template(
        "market/bid_opening.html",
        call=call,
        rows=rows,
        steps=custodian_steps(call),
        # How many bid is closed until the closing has been acted on, who bid until the opening.
        count=bidding.count_standing(call) if call.closed_at is not None else None,
        least=call.rules.minimum(call.commission.payer),
        status=call.commission.status.label(tongue),
        opened=instant(call.opened_at, seconds=True) if call.opened_at and not call.hides_bidders else None,
        closing=instant(call.closing_at, seconds=True) if call.closing_at else None,
    )


@blueprint.get("/calls/<number>/opening.zip")
def bundle(number: str) -> Response:
    """Ciphertexts, wrapped keys and the call's keys: everything that repeats the opening."""
    call = _public_call(number, current_actor())
    if call.opened_at is None or call.hides_bidders:
        raise NotFound
    name = f"{call.number}-opening.zip"
    return send_file(io.BytesIO(bidding.bundle(call)), "application/zip", as_attachment=True, download_name=name)


def custodian_steps(call: CallForBids) -> list[dict[str, Any]]:
    """Each custodian of a call and how far it is: for the tracker of a page."""
    tongue = language()
    provided = {key.custodian: key for key in custody.keys(call.id)}
    wanted = [Custodian.PLATFORM] if call.custody is CustodyKind.PLATFORM and call.published_at else list(Custodian)
    steps = []
    for which in wanted:
        key = provided.get(which)
        if key is None:
            state, note = "todo", choose("尚未提供本次采购的密钥", "No key of this call yet")
        elif key.handed_in_at is not None:
            state, note = "done", choose("已交出密钥", "Key handed in")
        elif call.opened_at is not None:
            state, note = "stopped", choose("未交出（任意两方即可开标）", "Not handed in (any two open)")
        else:
            state, note = "now", choose("已提供公钥，密钥未交出", "Public key given, key not handed in")
        name = which.label(tongue)
        if key is not None and key.organisation is not None:
            name = f"{name}（{key.organisation.name}）"
        at = instant(key.handed_in_at, seconds=True) if key is not None and key.handed_in_at else None
        steps.append({"label": name, "state": state, "note": note, "at": at})
    return steps


# Plumbing


def _public_call(number: str, actor: Actor | None) -> CallForBids:
    call = calls.find(number, by=actor)
    if not calls.is_public(call):
        raise NotFound
    return call


def _agency(actor: Actor) -> Agency | None:
    return None if actor.organisation_id is None else agencies.of_organisation(actor.organisation_id)


def _agency_again(actor: Actor) -> Agency:
    agency = _agency(actor)
    if agency is None:
        raise NotFound
    return agency


def _token(number: str, actor: Actor, sha256: str) -> str:
    call = calls.find(number, by=actor)
    return next(one.token for one in bidding.own(call, _agency_again(actor)) if one.sha256 == sha256)
