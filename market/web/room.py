"""The live room of an auction in rounds, and what everybody may read after it (interface goal 16, journey 9).

The page works without script: a form, and a link that loads it again. With script the state is asked for as an event
stream whose answer closes at once, so that no watcher holds a thread or a connection. Nothing here knows a bidder's
name before the end: :func:`market.rounds.look` does not tell it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from kernel import clock, money
from kernel.access import PUBLIC, Cell, Role, holders
from kernel.errors import NotFound, PortalError
from kernel.trail import Actor
from kernel.web import act_once, choose, current_actor, form_errors, identity, instant, language, signed_in_actor
from kernel.web.kept import fragment
from market import agencies, calls, rounds
from market.calls import CallForBids
from market.rounds import AuctionStatus, LiveAuction, StageKind, View

blueprint = Blueprint("rounds", __name__)

WATCHERS = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.AGENCY, Role.SUPERVISOR, Role.AUDITOR)
ACCESS: Mapping[str, Cell] = {
    "rounds.room": WATCHERS,
    "rounds.enter": holders(Role.AGENCY),
    "rounds.events": WATCHERS,
    # Whether the rounds are over is asked by the view (404 before).
    "rounds.show": PUBLIC,
    "rounds.record": PUBLIC,
}
LINKS: Mapping[str, Callable[[str], str]] = {"auction": lambda number: f"/calls/{number}/room"}

#: Long enough before a turn to sign in again: the session is held against the turn's end from here on.
SIGN_IN_AHEAD = timedelta(seconds=110)
#: How soon a browser asks again, in milliseconds: while the rounds run or are about to, and long before them.
SOON, LATER = 1_000, 15_000
ABOUT_TO = timedelta(minutes=10)


def _auction(number: str, actor: Actor | None) -> LiveAuction:
    call = calls.find(number, by=actor)
    auction = rounds.of_call(call)
    if auction is None or not rounds.may_watch(auction, actor):
        raise NotFound
    return auction


@blueprint.get("/calls/<number>/room")
def room(number: str) -> Response | str:
    auction = _auction(number, signed_in_actor())
    if auction.status is AuctionStatus.FINISHED:
        return redirect(url_for("rounds.show", number=number), 303)  # type: ignore[return-value]
    return _page(auction)


@blueprint.post("/calls/<number>/room", endpoint="enter")
def enter(number: str) -> Response | tuple[str, int]:
    """A price, or what this turn holds taken back; once per form."""
    actor = signed_in_actor()
    if rounds.bidder_of(_auction(number, actor), actor) is None:
        raise NotFound
    refusals: list[PortalError] = []
    is_back = "take_back" in request.form

    def act() -> str:
        auction = _auction(number, actor)
        agency = agencies.of_organisation(actor.organisation_id or 0)
        if agency is None:
            raise NotFound
        if is_back:
            rounds.take_back_entry(auction, agency, by=actor)
        else:
            price = money.parse(request.form.get("price", ""), field="price")
            ticked = bool(request.form.get("will_justify"))
            # A refused price is on record like an accepted one, so the transaction stands and the answer says why.
            refusal = rounds.enter(auction, agency, price, by=actor, will_justify=ticked).refusal
            if refusal is not None:
                refusals.append(refusal)
        return url_for("rounds.room", number=number)

    try:
        answer = act_once(act)
    except NotFound:
        raise
    except PortalError as error:
        refusals.append(error)
    if refusals:
        return _page(_auction(number, actor), refusals[0]), refusals[0].status
    flash(
        choose("报价已撤回，本轮前的报价继续有效", "Taken back; your price from before this round stands")
        if is_back
        else choose("报价已接受", "Your price was accepted"),
        "success",
    )
    return answer


@blueprint.get("/calls/<number>/room/events")
def events(number: str) -> Response:
    """The present state as one event; the answer ends, and the browser asks again after ``retry`` milliseconds."""
    auction = _auction(number, signed_in_actor())
    view = rounds.look(auction, by=current_actor())
    is_soon = auction.status is AuctionStatus.RUNNING or view.now > auction.starts_at - ABOUT_TO
    wait = SOON if is_soon else LATER
    # Told twice: a script can't read an event stream's own ``retry``.
    data = json.dumps(_told(view) | {"wait": wait}, ensure_ascii=False)
    response = Response(
        f"retry: {wait}\nevent: state\ndata: {data}\n\n",
        content_type="text/event-stream; charset=utf-8",
    )
    response.headers["X-Accel-Buffering"] = "no"
    return response


@blueprint.get("/calls/<number>/rounds")
def show(number: str) -> str:
    """After the end: who bid what in which turn, for everybody."""
    auction = _finished(number)
    view = rounds.look(auction, by=None)
    last = {one["bid"]: place for place, one in enumerate(reversed(auction.result), start=1)}
    places = {one.label: last[one.bid.token] for one in auction.bidders}
    opening = {one.label: one.price for one in auction.bidders}
    return render_template(
        "market/room_result.html",
        call=auction.call,
        auction=auction,
        ranked=[
            {
                "place": places[seat.label],
                "label": seat.label,
                "name": seat.name,
                "opening": money.format(opening[seat.label]),
                "price": money.format(seat.price),
            }
            for seat in sorted(view.seats, key=lambda one: places[one.label])
        ],
        entries=[
            {
                "at": _precise(entry.at),
                "round": entry.round,
                "label": entry.bidder.label,
                "price": choose("撤回", "Taken back") if entry.price is None else money.format(entry.price),
                "refused": _why(entry.refused),
                "is_low": entry.is_low,
            }
            for entry in rounds.entries_of(auction)
        ],
        rounds=_rounds(view),
        voided=[one for one in rounds.all_of(auction.call) if one.status is AuctionStatus.VOIDED],
    )


@blueprint.get("/calls/<number>/rounds.json")
def record(number: str) -> Response:
    """The record file that ``flask rounds replay`` reads."""
    auction = _finished(number)
    text = json.dumps(rounds.record(auction), ensure_ascii=False, indent=1) + "\n"
    response = Response(text, content_type="application/json; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{number}-rounds.json"'
    return response


def _finished(number: str) -> LiveAuction:
    auction = rounds.of_call(calls.find(number, by=current_actor()))
    if auction is None or auction.status is not AuctionStatus.FINISHED:
        raise NotFound
    return auction


# What is shown


def _page(auction: LiveAuction, error: PortalError | None = None) -> str:
    view = rounds.look(auction, by=current_actor())
    told = _told(view)
    errors = form_errors(error) if error else []
    return render_template(
        "market/room_page.html",
        call=auction.call,
        view=view,
        told=told,
        rules=_rules(auction),
        form_errors=errors or None,
        errors=dict(errors),
        price=request.form.get("price", ""),
        asks_to_justify=isinstance(error, rounds.PriceAbnormallyLow),
    )


def _told(view: View) -> dict[str, Any]:
    """What script and page show: the state as HTML, and the few values the form and the clock need."""
    own, auction = view.own, view.auction
    title, line = _words(view)
    warning = _sign_in_warning(view)
    html = fragment(
        "market/room_state.html",
        language=language(),
        title=title,
        line=line,
        kind=_KINDS[auction.status],
        status=auction.status.label(language()),
        ends_at=view.ends_at,
        own=None
        if own is None
        else {
            "label": own.label,
            "pending": None if own.pending is None else money.format(own.pending),
            "pending_words": None if own.pending is None else money.chinese(own.pending),
            "turn": _own_turn(view),
        },
        seats=[
            {
                "label": seat.label,
                "is_own": seat.is_own,
                "price": money.format(seat.price),
                "is_awaited": seat.is_awaited,
                "is_mover": seat.label == view.mover,
            }
            for seat in view.seats
        ],
        rounds=_rounds(view),
        warning=warning,
    )
    return {
        "html": html,
        "line": line,
        "now": _milliseconds(view.now),
        "ends": _milliseconds(view.ends_at),
        "finished": auction.status is AuctionStatus.FINISHED,
        "turn": own is not None and own.is_turn,
        "pending": own is not None and own.pending is not None,
        "most": own.most if own else None,
        "most_text": money.format(max(own.most, 0)) if own else None,
        "most_words": money.chinese(max(own.most, 0)) if own else None,
        "low": own.low_below if own else None,
    }


_KINDS = {
    AuctionStatus.PLANNED: "info",
    AuctionStatus.RUNNING: "warn",
    AuctionStatus.VOIDED: "bad",
    AuctionStatus.FINISHED: "good",
}


def _words(view: View) -> tuple[str, str]:
    """Heading and one sentence: what runs now."""
    auction, stage = view.auction, view.stage
    if auction.status is AuctionStatus.VOIDED:
        return choose("本场竞价已作废", "These rounds are void"), choose(auction.reason, auction.reason_en)
    if auction.status is AuctionStatus.FINISHED:
        return choose("竞价已结束", "The rounds are over"), choose(
            "结果和记录已公布。", "Result and record are published."
        )
    if stage is None:
        when = instant(auction.starts_at, seconds=True)
        return choose("竞价尚未开始", "Not begun yet"), choose(f"将于 {when} 开始。", f"Begins on {when}.")
    if stage.kind is StageKind.TURN:
        return (
            choose(f"第 {stage.round} 轮报价中", f"Round {stage.round}"),
            choose(f"现在轮到报价人 {view.mover}。", f"Bidder {view.mover}'s turn.")
            if view.mover
            else choose("正在确定报价次序。", "The order is being settled."),
        )
    if stage.kind is StageKind.PAUSE:
        return (
            choose(f"第 {stage.round} 轮即将开始", f"Round {stage.round} is about to begin"),
            choose("休整时间，次序已定，暂不报价。", "A pause: the order is fixed, nobody enters prices."),
        )
    return (
        choose("报价已全部结束", "All turns are over"),
        choose("等候公布结果。", "The result is about to be announced."),
    )


def _own_turn(view: View) -> str:
    own = view.own
    if own is None:
        return ""
    if own.is_turn:
        until = instant(own.turn_ends_at, seconds=True)
        return choose(f"现在是您的报价时段，至 {until} 止。", f"It is your turn until {until}.")
    if own.turn_at is not None:
        when = instant(own.turn_at, seconds=True)
        return choose(f"您本轮的报价时段于 {when} 开始。", f"Your turn of this round begins at {when}.")
    return choose(
        "您本轮的报价时段已过，或次序尚未确定。", "Your turn of this round is past, or the order is not fixed yet."
    )


def _rounds(view: View) -> list[dict[str, Any]]:
    """The rounds begun so far, each with its turns in their order."""
    return [
        {
            "number": number,
            "turns": [(label, None if price is None else money.format(price)) for label, price in turns],
        }
        for number, turns in view.rounds
    ]


def _rules(auction: LiveAuction) -> list[tuple[str, str]]:
    values = auction.rules
    seconds = choose("{} 秒", "{} s").format
    return [
        (choose("开始时间", "Begins"), instant(auction.starts_at, seconds=True)),
        (choose("轮次", "Rounds"), str(values["rounds"])),
        (choose("每次报价时间", "A turn"), seconds(values["turn_seconds"])),
        (choose("轮间休整", "A pause"), seconds(values["pause_seconds"])),
        (choose("首轮前休整", "The first pause"), seconds(values["first_pause_seconds"])),
        (choose("最小降幅", "Step"), money.format(values["step"])),
    ]


def _sign_in_warning(view: View) -> str:
    """From 110 s before the turn on: whether this session would end within it. Machine time and legal time may differ."""
    own, ends = view.own, identity.ends_at()
    if own is None or ends is None or own.turn_ends_at is None:
        return ""
    is_near = own.is_turn or (own.turn_at is not None and own.turn_at - view.now <= SIGN_IN_AHEAD)
    if not is_near or ends - clock.machine() > own.turn_ends_at - view.now:
        return ""
    return choose(
        f"您的登录将于 {instant(ends, seconds=True)} 到期，会在您的报价时段内失效。请立即退出并重新登录。",
        f"Your session ends at {instant(ends, seconds=True)}, within your turn. Sign out and in again now.",
    )


def _why(code: str) -> str:
    """A refusal on record, in words."""
    return {
        "": "",
        "step_not_met": choose("降幅不足，未接受", "Refused: the step was not met"),
        "price_not_positive": choose("报价不大于零，未接受", "Refused: not above zero"),
    }.get(code, code)


def _precise(at: datetime) -> str:
    """An instant to the microsecond, in China Standard Time with its zone."""
    return at.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S.%f") + choose("（北京时间）", " (UTC+8)")


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


def link_of(call: CallForBids) -> str | None:
    """The address of a call's room or of its result, for the pages of the call; None where there are no rounds."""
    auction = rounds.of_call(call)
    if auction is None:
        return None
    finished = auction.status is AuctionStatus.FINISHED
    if finished:
        return url_for("rounds.show", number=call.number)
    return url_for("rounds.room", number=call.number) if rounds.may_watch(auction, current_actor()) else None
