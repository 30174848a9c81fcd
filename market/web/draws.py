"""Pages of random draws: everybody reads list, commitments, seeds and every step; the parties commit and reveal (G7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for

from kernel import draws, sealing, trail, workflow
from kernel.access import PUBLIC, Cell, Role, holders
from kernel.draws import DrawRecord
from kernel.errors import Invalid, NotFound, PortalError
from kernel.trail import Actor, TrailAct
from kernel.web import act_once, choose, current_actor, form_errors, instant, language, page_number, signed_in_actor
from kernel.web.draw_commands import VERIFIER
from market import calls, drawing
from market.drawing import Draw, DrawParty, DrawStatus

blueprint = Blueprint("draws", __name__)
#: Those who may be a party; whether they are one of this draw's, the verb and :func:`_mine` look up.
PARTIES = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.OPERATOR, Role.SUPERVISOR)
ACCESS: dict[str, Cell] = {
    "draws.index": PUBLIC,
    "draws.show": PUBLIC,
    "draws.record": PUBLIC,
    "draws.verifier": PUBLIC,
    "draws.commit": PARTIES,
    "draws.seed_file": PARTIES,
    "draws.reveal": PARTIES,
    "draws.withheld": PARTIES,
    "draws.sealed": PARTIES,
    "draws.outside": holders(Role.OPERATOR),
}
LINKS: dict[str, Callable[[str], str]] = {"draw": lambda number: f"/draws/{number}"}
PAGE_SIZE = 20
#: A longer draw's steps are folded away.
MANY = 60
#: A seed's file is a few lines.
_LARGEST_FILE = 4096
_STATUS_KINDS = {DrawStatus.LISTED: "warn", DrawStatus.COMMITTED: "info", DrawStatus.DRAWN: "good"}


class SeedNotKept(Invalid):
    code = "seed_not_kept"
    zh = "请先保存种子，再勾选“已保存”"
    en = "Save the seed first, then tick that you have"


# For everybody


@blueprint.get("/draws")
def index() -> str:
    page = page_number()
    rows, total = drawing.public_list(page=page, size=PAGE_SIZE)
    tongue = language()
    return render_template(
        "market/draw_list.html",
        rows=[(draw, _awaited_words(draw, tongue)) for draw in rows],
        kinds=_STATUS_KINDS,
        page=page,
        pages=max(1, -(-total // PAGE_SIZE)),
        total=total,
    )


@blueprint.get("/draws/<number>")
def show(number: str) -> str:
    draw = drawing.find(number)
    actor, tongue = current_actor(), language()
    record = drawing.record_of(draw) if draw.status is DrawStatus.DRAWN else None
    call = calls.of_subject(draw.subject_of) if draw.subject_of.startswith("commission:") else None
    title, text, actions = _next(draw, actor)
    return render_template(
        "market/draw_show.html",
        draw=draw,
        kind=_STATUS_KINDS[draw.status],
        steps=_tracker(draw),
        call=call if call is not None and calls.is_public(call) else None,
        next_title=title,
        next_text=text,
        actions=actions,
        record=record,
        words=_words(draw, record, tongue) if record else [],
        result=_result(draw, record) if record else [],
        many=MANY,
        has_sealed=bool(draw.recipients),
        history=[_entry(act) for act in reversed(trail.of(draw.subject))],
    )


@blueprint.get("/draws/<number>.json")
def record(number: str) -> Response:
    """``draw.json`` byte by byte as it was stored."""
    draw = drawing.find(number)
    if draw.record is None:
        raise NotFound
    response = Response(draw.record.encode(), content_type="application/json; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{draw.number}.json"'
    return response


@blueprint.get("/draws/verifier")
def verifier() -> Response:
    """The stand-alone program that checks a record."""
    response = Response(VERIFIER.read_bytes(), content_type="text/x-python; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{VERIFIER.name}"'
    return response


# For the parties


@blueprint.route("/draws/<number>/commit", methods=["GET", "POST"])
def commit(number: str) -> Response | tuple[str, int] | str:
    """With script the browser makes, seals and keeps the seed; without, the server shows one and seals it."""
    actor = signed_in_actor()
    draw, party = _mine(number, actor)
    if request.method == "GET":
        if party.commitment is not None:
            raise drawing.CommittedAlready(**party.names())
        workflow.check(draw, drawing.STEPS, "commit", by=actor)
        return _commit_page(draw, party, draws.fresh_seed())
    seed, commitment = request.form.get("seed", ""), request.form.get("commitment", "")

    def perform() -> str:
        held = drawing.find(number, lock=True)
        if not request.form.get("kept"):
            raise SeedNotKept(field="kept")
        if commitment:
            drawing.commit(held, party.party, commitment, _sealed(held), by=actor)
        else:
            drawing.commit_by_server(held, party.party, by=actor, seed=drawing.seed_in(seed))
        return url_for("draws.show", number=number)

    try:
        response = act_once(perform)
    except PortalError as error:
        draw, party = _mine(number, actor)
        return _commit_page(draw, party, _shown_again(seed), error), error.status
    flash(
        choose(
            "承诺已提交并公布。请妥善保管种子，各方承诺到齐后再公开。",
            "Committed and published. Keep your seed until all have committed.",
        ),
        "success",
    )
    return response


@blueprint.post("/draws/<number>/seed-file")
def seed_file(number: str) -> Response:
    """The seed that the server showed, as a file to keep. Nothing is stored."""
    draw, party = _mine(number, signed_in_actor())
    text = drawing.seed_file(draw, party.party, drawing.seed_in(request.form.get("seed", "")))
    response = Response(text, content_type="text/plain; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{draw.number}.seed.txt"'
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/draws/<number>/reveal", methods=["GET", "POST"])
def reveal(number: str) -> Response | tuple[str, int] | str:
    actor = signed_in_actor()
    draw, party = _mine(number, actor, is_seed=True)
    if request.method == "GET":
        if party.seed is not None:
            raise drawing.RevealedAlready(**party.names())
        workflow.check(draw, drawing.STEPS, "reveal", by=actor)
        if drawing.waits_for_outside(draw):
            raise drawing.OutsideValueAwaited(source=draw.outside_source)
        return _seed_page(draw, party, is_withheld=False)

    def perform() -> str:
        held = drawing.find(number, lock=True)
        drawing.reveal(held, party.party, _given_seed(), by=actor)
        return url_for("draws.show", number=number)

    return _hand_in(number, party.party, perform, is_withheld=False)


@blueprint.route("/draws/<number>/withheld/<party>", methods=["GET", "POST"])
def withheld(number: str, party: str) -> Response | tuple[str, int] | str:
    """Two custodians have opened a seed that its party didn't open in time; one of them hands it in."""
    actor = signed_in_actor()
    draw = drawing.find(number)
    late = next((one for one in draw.parties if one.party == party), None)
    if late is None or not [one for one in drawing.parties_of(draw, actor) if one is not late]:
        raise NotFound
    if request.method == "GET":
        if late.seed is not None:
            raise drawing.RevealedAlready(**late.names())
        _check_withheld(draw, late, actor)
        return _seed_page(draw, late, is_withheld=True)

    def perform() -> str:
        held = drawing.find(number, lock=True)
        drawing.reveal_withheld(held, party, _given_seed(), by=actor)
        return url_for("draws.show", number=number)

    return _hand_in(number, party, perform, is_withheld=True)


@blueprint.get("/draws/<number>/sealed.zip")
def sealed(number: str) -> Response:
    """The sealed seeds that weren't opened in time, for custodians."""
    actor = signed_in_actor()
    draw, _party = _mine(number, actor)
    late = drawing.awaited(draw)
    if draw.status is not DrawStatus.COMMITTED or not late:
        raise NotFound
    _check_withheld(draw, late[0], actor)
    response = Response(drawing.sealed_zip(draw), content_type="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{draw.number}.sealed.zip"'
    return response


@blueprint.route("/draws/<number>/outside", methods=["GET", "POST"])
def outside(number: str) -> Response | tuple[str, int] | str:
    """The operator enters the outside value once it is public."""
    actor = signed_in_actor()
    draw = drawing.find(number)
    if not draw.outside_source:
        raise NotFound
    if request.method == "GET":
        workflow.check(draw, drawing.STEPS, "enter_outside", by=actor)
        return _outside_page(draw)

    def perform() -> str:
        held = drawing.find(number, lock=True)
        drawing.enter_outside(held, request.form.get("outside", ""), by=actor, expected_version=_version())
        return url_for("draws.show", number=number)

    try:
        response = act_once(perform)
    except PortalError as error:
        return _outside_page(drawing.find(number), error), error.status
    flash(
        choose("外部数值已登记并公布，各方可以公开种子。", "Entered and published; the seeds can be opened."), "success"
    )
    return response


# What the views share


def _mine(number: str, actor: Actor, *, is_seed: bool = False) -> tuple[Draw, DrawParty]:
    """The draw, and the party for which this person has something to do; 404 for whoever is none of its parties."""
    draw = drawing.find(number)
    mine = drawing.parties_of(draw, actor)
    if not mine:
        raise NotFound
    asked = request.form.get("party")
    waiting = [one for one in mine if (one.seed if is_seed else one.commitment) is None]
    chosen = [one for one in mine if one.party == asked] if asked else waiting
    return draw, (chosen or waiting or mine)[0]


def _check_withheld(draw: Draw, party: DrawParty, actor: Actor) -> None:
    workflow.check(draw, drawing.STEPS, "reveal_withheld", by=actor)
    drawing.check_withheld(draw, party)


def _sealed(draw: Draw) -> sealing.SealedBid | None:
    raw = request.form.get("sealed", "")
    if not raw:
        return None
    try:
        return sealing.read_sealed(raw.encode(), draw.number)[0]
    except sealing.BidMalformed as error:
        raise drawing.SeedUnsealed from error


def _given_seed() -> str:
    """The seed as pasted, or from its file."""
    typed = request.form.get("seed", "")
    file = request.files.get("file")
    if not typed.strip() and file is not None:
        typed = file.stream.read(_LARGEST_FILE).decode("utf-8", "replace").removeprefix("\ufeff")
    return drawing.seed_in(typed)


def _shown_again(seed: str) -> str:
    """A refused form shows the same seed: it may have been saved already."""
    try:
        return drawing.seed_in(seed)
    except drawing.SeedUnreadable:
        return draws.fresh_seed()


def _version() -> int:
    version = request.form.get("version", "")
    return int(version) if version.isascii() and version.isdigit() and len(version) < 10 else -1


def _hand_in(number: str, party: str, perform: Callable[[], str], *, is_withheld: bool) -> Response | tuple[str, int]:
    try:
        response = act_once(perform)
    except PortalError as error:
        draw = drawing.find(number)
        late = next(one for one in draw.parties if one.party == party)
        return _seed_page(draw, late, is_withheld=is_withheld, error=error), error.status
    if drawing.find(number).status is DrawStatus.DRAWN:
        flash(choose("种子已公开，抽取完成。", "The seed is open, and the draw is done."), "success")
    else:
        flash(choose("种子已公开。", "The seed is open."), "success")
    return response


def _rows(draw: Draw, party: DrawParty | None = None) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = [
        (choose("抽取编号", "Draw"), draw.number),
        (choose("规则", "Rule"), draw.rule),
        (
            choose("名单", "List"),
            choose(
                f"{len(draw.candidates)} 个，抽取 {draw.picks} 个", f"{len(draw.candidates)}, {draw.picks} to be drawn"
            ),
        ),
        (choose("名单哈希", "Hash of the list"), draw.list_hash),
    ]
    if party is not None:
        rows.append((choose("参与方", "Party"), party.label(language())))
    return rows


def _errors(error: PortalError | None) -> dict[str, Any]:
    told = form_errors(error) if error else []
    return {"errors": {field: message for field, message in told if field}, "form_errors": told or None}


def _commit_page(draw: Draw, party: DrawParty, seed: str, error: PortalError | None = None) -> str:
    if error is not None and error.field != "kept":
        error.field = None  # the other fields are hidden ones
    return render_template(
        "market/draw_commit.html",
        draw=draw,
        party=party,
        rows=_rows(draw, party),
        seed=seed,
        recipients=draw.recipients,
        size_class=drawing.SEED_CLASS,
        is_open=party.commitment is None and draw.status is DrawStatus.LISTED,
        token=request.form.get("act"),
        **_errors(error),
    )


def _seed_page(draw: Draw, party: DrawParty, *, is_withheld: bool, error: PortalError | None = None) -> str:
    return render_template(
        "market/draw_reveal.html",
        draw=draw,
        party=party,
        rows=[*_rows(draw, party), (choose("承诺", "Commitment"), party.commitment or "")],
        is_withheld=is_withheld,
        has_sealed=bool(party.sealed),
        is_last=len(drawing.awaited(draw)) == 1,
        typed=request.form.get("seed", ""),
        token=request.form.get("act"),
        **_errors(error),
    )


def _outside_page(draw: Draw, error: PortalError | None = None) -> str:
    return render_template(
        "market/draw_outside.html",
        draw=draw,
        rows=[*_rows(draw), (choose("外部数值的来源", "Source of the outside value"), draw.outside_source)],
        typed=request.form.get("outside", draw.outside_value),
        token=request.form.get("act"),
        **_errors(error),
    )


# In words


def _awaited_words(draw: Draw, tongue: str) -> str:
    if drawing.waits_for_outside(draw):
        return choose("外部数值", "the outside value")
    return choose("、", ", ").join(party.label(tongue) for party in drawing.awaited(draw))


def _next(draw: Draw, actor: Actor | None) -> tuple[str, str, list[dict[str, str]]]:
    """What this reader should do now, or who is awaited."""
    tongue = language()
    if draw.status is DrawStatus.DRAWN:
        return (
            choose("抽取已完成", "The draw is done"),
            choose(
                "结果和全部经过如下，任何人都可以下载记录自行核验。",
                "Result and every step are below; anybody can download the record and check it.",
            ),
            [],
        )
    open_ones = drawing.moves(draw, actor) if actor is not None else []
    actions = []
    for move, label in (
        ("commit", choose("提交承诺", "Commit")),
        ("enter_outside", choose("登记外部数值", "Enter the outside value")),
        ("reveal", choose("公开种子", "Open the seed")),
    ):
        if move in open_ones and not (move == "enter_outside" and draw.outside_value and "reveal" in open_ones):
            endpoint = "draws.outside" if move == "enter_outside" else f"draws.{move}"
            actions.append({"label": label, "url": url_for(endpoint, number=draw.number)})
    if actor is not None and "reveal_withheld" in open_ones:
        own = drawing.parties_of(draw, actor)
        actions += [
            {
                "label": choose(f"交入{one.label()}未公开的种子", f"Hand in the withheld seed of {one.label('en')}"),
                "url": url_for("draws.withheld", number=draw.number, party=one.party),
                "kind": "secondary",
            }
            for one in drawing.awaited(draw)
            if one not in own and drawing.is_withheld(draw)
        ]
    waiting = choose(f"正在等待：{_awaited_words(draw, tongue)}", f"Waiting for: {_awaited_words(draw, tongue)}")
    return (choose("请您办理", "Your turn") if actions else draw.status.label(tongue), waiting, actions)


def _tracker(draw: Draw) -> list[dict[str, Any]]:
    labels = [
        (choose("公布名单", "List published"), draw.listed_at),
        (choose("各方承诺", "Commitments"), draw.committed_at),
        (choose("公开种子", "Seeds opened"), draw.drawn_at),
        (choose("抽取结果", "Result"), draw.drawn_at),
    ]
    current = {DrawStatus.LISTED: 1, DrawStatus.COMMITTED: 2, DrawStatus.DRAWN: 4}[draw.status]
    done, now, todo = choose("已完成", "Done"), choose("进行中", "Under way"), choose("未开始", "To come")
    return [
        {
            "label": label,
            "state": "done" if place < current else "now" if place == current else "todo",
            "note": done if place < current else now if place == current else todo,
            "at": instant(at),
        }
        for place, (label, at) in enumerate(labels)
    ]


def _words(draw: Draw, record: DrawRecord, tongue: str) -> list[str]:
    """The draw told step by step, the parties under the names that people know."""
    names = {one.party: one.label(tongue) for one in draw.parties}
    named = replace(
        record, pledges=tuple(replace(one, party=names.get(one.party, one.party)) for one in record.pledges)
    )
    return [words.en if tongue == "en" else words.zh for words in draws.in_words(named)]


def _result(draw: Draw, record: DrawRecord) -> list[tuple[int, str, str, bool]]:
    """Place, id, name, whether drawn."""
    names = {candidate.id: candidate.name for candidate in record.candidates}
    return [(place, key, names[key], place <= draw.picks) for place, key in enumerate(record.order, start=1)]


#: What of an act's data is told on the page.
_TOLD = {
    "list_hash": ("名单哈希", "Hash of the list"),
    "commitment": ("承诺", "Commitment"),
    "value": ("外部数值", "Outside value"),
    "seed": ("种子", "Seed"),
    "record_hash": ("记录哈希", "Hash of the record"),
}


def _entry(act: TrailAct) -> dict[str, Any]:
    """One act in words; people see the organisation, the person stays in the trail."""
    return {
        "at": instant(act.at, seconds=True),
        "who": act.organisation,
        "act_label": trail.act_label(act.act, language()),
        "details": [(choose(*words), str(act.data[name])) for name, words in _TOLD.items() if act.data.get(name)],
    }
