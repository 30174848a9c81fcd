"""Reading a document page by page: the picture, its text, the opinions at their places, and a form for one's own.

No viewer library and no script is needed (interface.md, 17): the place of an opinion is a page and the words quoted from
it; where these stand on the page is worked out by the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, send_file

from kernel import files, previews
from kernel.access import Cell
from kernel.db import transaction
from kernel.errors import NotFound, PortalError
from kernel.previews import PageChange, PreviewPage, PreviewStatus
from kernel.trail import Actor
from kernel.web import choose, form_errors, language, see_other, signed_in_actor
from market.web import confirm
from market.web.confirm import Answer
from reviews import kinds, panels, rounds, technical
from reviews.kinds import Grade
from reviews.rounds import Opinion, OpinionStatus, Round, RoundDocument, Writing
from reviews.technical import TechnicalReview
from reviews.web import parts

blueprint = Blueprint("reading", __name__)
ACCESS: Mapping[str, Cell] = {
    "reading.page": parts.READERS,
    "reading.picture": parts.READERS,
    "reading.changes": parts.READERS,
    "reading.opinion": parts.REVIEWERS,
    "reading.discard": parts.REVIEWERS,
}
LINKS: Mapping[str, Callable[[str], str]] = {}
#: Lines of a page that are offered as its paragraphs, and pages that differ shown on one page.
MOST_LINES, MOST_CHANGES = 200, 60


def _open(number: str, round_number: int, slot: str, actor: Actor) -> tuple[TechnicalReview, Round, RoundDocument]:
    """What is to be read, if the actor may open it.

    Raises:
        NotFound. rounds.DeclareFirst: they have a seat and haven't declared, or a conflict keeps them out.
    """
    review = technical.find(number, by=actor)
    round_ = rounds.round_of(review, round_number)
    document = next((one for one in round_.documents if one.slot == slot), None)
    if document is None:
        raise NotFound
    if not rounds.may_open(review, actor) or not files.may_read(document.document, actor):
        if panels.has_seat(review, actor):
            raise rounds.DeclareFirst
        raise NotFound
    return review, round_, document


@blueprint.route(
    "/reviews/<number>/rounds/<int:round_number>/documents/<slot>/pages/<int:page>", methods=["GET", "POST"]
)
def page(number: str, round_number: int, slot: str, page: int) -> Answer:
    """One page with its opinions; a POST writes a draft there."""
    actor = signed_in_actor()
    if request.method == "GET":
        wanted = request.args.get("go", "").strip()
        if wanted.isdecimal() and wanted.isascii() and len(wanted) < 6:
            return _turn(number, round_number, slot, int(wanted), actor)
        return _page(number, round_number, slot, page, actor)

    def perform() -> str:
        review, round_, document = _open(number, round_number, slot, actor)
        locked = technical.find(number, by=actor, lock=True)
        rounds.write(locked, round_number, _writing(locked, document, page), by=actor)
        flash(choose("意见已保存为草稿，提交前只有您能看到。", "Saved as a draft that only you see."), "success")
        return parts.round_url(review, round_, "documents", slot, "pages", page)

    refused = confirm.attempt(perform)
    if isinstance(refused, Response):
        return refused
    return _page(number, round_number, slot, page, actor, refused), refused.status


def _turn(number: str, round_number: int, slot: str, wanted: int, actor: Actor) -> Response:
    """To the page that was typed, or the nearest that there is."""
    review, round_, document = _open(number, round_number, slot, actor)
    page = min(max(wanted, 1), _pages(document))
    return see_other(parts.round_url(review, round_, "documents", slot, "pages", page))


def _pages(document: RoundDocument) -> int:
    preview = previews.of(document.sha256)
    return (preview.pages if preview is not None and preview.pages else document.document.pages) or 1


def _page(number: str, round_number: int, slot: str, page: int, actor: Actor, error: PortalError | None = None) -> str:
    review, round_, document = _open(number, round_number, slot, actor)
    preview = previews.of(document.sha256)
    shown = previews.page_of(document.sha256, page)
    pages = _pages(document)
    if not 1 <= page <= pages:
        raise NotFound
    if shown is None and preview is not None and preview.status in {PreviewStatus.QUEUED, PreviewStatus.RENDERING}:
        with transaction():
            previews.ask_first(document.sha256, page)
    base = parts.round_url(review, round_, "documents", slot, "pages")
    here = _here(review, round_, document, page, actor)
    latest = rounds.current(review)
    is_current = latest is not None and latest.id == round_.id
    own = [seat for seat in panels.of_review(review) if panels.speaks_for(seat, actor) and seat.is_serving]
    may_write = (
        is_current and "submit" in technical.moves(review, actor) and any(_is_open(round_, seat) for seat in own)
    )
    return render_template(
        "reviews/page_show.html",
        review=review,
        round=round_,
        document=document,
        crumbs=[
            *parts.crumbs(review),
            (choose(f"第 {round_.number} 轮", f"Round {round_.number}"), parts.round_url(review, round_)),
        ],
        number=page,
        pages=pages,
        previous=f"{base}/{page - 1}" if page > 1 else None,
        following=f"{base}/{page + 1}" if page < pages else None,
        picture=f"{base}/{page}/picture" if shown is not None and shown.picture else None,
        shown=shown,
        lines=_lines(shown),
        problem=_problem(preview, shown),
        waiting=shown is None
        and preview is not None
        and preview.status in {PreviewStatus.QUEUED, PreviewStatus.RENDERING},
        done=preview.pages_done if preview is not None else 0,
        opinions=here,
        original=f"/files/{document.document.number}",
        may_write=may_write,
        refused_texts=[text for name in ("found", "required") if (text := request.form.get(name, "").strip())]
        if error is not None and not may_write
        else [],
        form=_form(review, document, page),
        typed=request.form if error is not None else {},
        token=request.form.get("act"),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error is not None else None,
        action=f"{base}/{page}",
        back=parts.round_url(review, round_),
    )


@blueprint.get("/reviews/<number>/rounds/<int:round_number>/documents/<slot>/pages/<int:page>/picture")
def picture(number: str, round_number: int, slot: str, page: int) -> Response:
    """A page's picture, for whoever may open the document."""
    _, _, document = _open(number, round_number, slot, signed_in_actor())
    path = previews.image_path(document.sha256, page)
    if previews.page_of(document.sha256, page) is None or not path.is_file():
        raise NotFound
    response = send_file(path, mimetype="image/webp", conditional=True, etag=f"{document.sha256}-{page}")
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@blueprint.get("/reviews/<number>/rounds/<int:round_number>/documents/<slot>/changes")
def changes(number: str, round_number: int, slot: str) -> str:
    """What differs from the version of the round before: text line by line, and where the pictures differ."""
    actor = signed_in_actor()
    review, round_, document = _open(number, round_number, slot, actor)
    earlier = rounds.round_of(review, round_number - 1) if round_number > 1 else None
    before = next((one for one in earlier.documents if one.slot == slot), None) if earlier is not None else None
    if before is None or earlier is None:
        raise NotFound
    old, new = previews.of(before.sha256), previews.of(document.sha256)
    is_ready = all(one is not None and one.status is PreviewStatus.READY for one in (old, new))
    found = (
        previews.differences(previews.pages_of(before.sha256), previews.pages_of(document.sha256)) if is_ready else []
    )
    told = []
    for one in found[:MOST_CHANGES]:
        boxes = []
        if one.old_page and one.new_page and one.change in {PageChange.CHANGED, PageChange.PICTURE}:
            boxes = previews.picture_difference(
                previews.image_path(before.sha256, one.old_page), previews.image_path(document.sha256, one.new_page)
            )
        told.append(
            {
                "change": one.change.label(language()),
                "name": choose(f"第 {one.new_page} 页", f"Page {one.new_page}")
                if one.new_page
                else choose(f"上一轮第 {one.old_page} 页", f"Page {one.old_page} of the round before"),
                "lines": one.lines,
                "boxes": boxes,
                "before": _side(review, earlier, before, one.old_page, is_new=False),
                "after": _side(review, round_, document, one.new_page, is_new=True),
                "read": parts.round_url(review, round_, "documents", slot, "pages", one.new_page)
                if one.new_page
                else None,
            }
        )
    return render_template(
        "reviews/changes_show.html",
        review=review,
        round=round_,
        document=document,
        before=before,
        crumbs=[
            *parts.crumbs(review),
            (choose(f"第 {round_.number} 轮", f"Round {round_.number}"), parts.round_url(review, round_)),
        ],
        is_ready=is_ready,
        changes=told,
        more=max(0, len(found) - MOST_CHANGES),
        back=parts.round_url(review, round_),
    )


def _side(
    review: TechnicalReview, round_: Round, document: RoundDocument, page: int | None, *, is_new: bool
) -> dict[str, Any] | None:
    """One side of a comparison; None where there is no such page or no picture of it."""
    shown = previews.page_of(document.sha256, page) if page else None
    if shown is None or not shown.picture:
        return None
    return {
        "words": choose(f"第 {round_.number} 轮，第 {page} 页", f"Round {round_.number}, page {page}"),
        "picture": parts.round_url(review, round_, "documents", document.slot, "pages", page, "picture"),
        "width": shown.width,
        "height": shown.height,
        "is_new": is_new,
    }


@blueprint.route("/reviews/<number>/rounds/<int:round_number>/opinions/<key>", methods=["GET", "POST"])
def opinion(number: str, round_number: int, key: str) -> Answer:
    """Change one's own draft."""
    actor = signed_in_actor()
    if request.method == "GET":
        return _draft(number, round_number, key, actor)

    def perform() -> str:
        locked = technical.find(number, by=actor, lock=True)
        draft = rounds.own_opinion(locked, key, actor)
        document = next(one for one in draft.round.documents if one.slot == draft.slot)
        rounds.rewrite(locked, key, _writing(locked, document, _page_typed(draft.page)), by=actor)
        flash(choose("草稿已保存。", "Saved."), "success")
        return parts.round_url(locked, round_number)

    refused = confirm.attempt(perform)
    if isinstance(refused, Response):
        return refused
    return _draft(number, round_number, key, actor, refused), refused.status


def _draft(number: str, round_number: int, key: str, actor: Actor, error: PortalError | None = None) -> str:
    review = technical.find(number, by=actor)
    one = rounds.own_opinion(review, key, actor)
    if one.status is not OpinionStatus.DRAFTED:
        raise NotFound
    _, _, document = _open(number, one.round.number, one.slot, actor)
    lines = _lines(previews.page_of(document.sha256, one.page) if one.page else None)
    typed = {
        "grade": one.grade.value,
        "criterion": one.criterion.code if one.criterion is not None else "",
        "clause": one.clause,
        "paragraph": one.quote if one.quote in lines else "",
        "quote": "" if one.quote in lines else one.quote,
        "required": one.required,
        "found": one.found,
        "page": str(one.page or ""),
    }
    return render_template(
        "reviews/opinion_form.html",
        review=review,
        opinion=one,
        document=document,
        crumbs=[
            *parts.crumbs(review),
            (choose(f"第 {round_number} 轮", f"Round {round_number}"), parts.round_url(review, round_number)),
        ],
        form=_form(review, document, one.page or 1),
        lines=lines,
        typed=request.form if error is not None else typed,
        token=request.form.get("act"),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error is not None else None,
        action=parts.round_url(review, round_number, "opinions", key),
        discard=parts.round_url(review, round_number, "opinions", key, "discard"),
        back=parts.round_url(review, round_number),
    )


@blueprint.post("/reviews/<number>/rounds/<int:round_number>/opinions/<key>/discard")
def discard(number: str, round_number: int, key: str) -> Answer:
    """Delete one's own draft."""
    actor = signed_in_actor()

    def perform() -> str:
        locked = technical.find(number, by=actor, lock=True)
        rounds.discard(locked, key, by=actor)
        flash(choose("草稿已删除。", "Deleted."), "success")
        return parts.round_url(locked, round_number)

    refused = confirm.attempt(perform)
    if isinstance(refused, Response):
        return refused
    raise refused


def _here(
    review: TechnicalReview, round_: Round, document: RoundDocument, page: int, actor: Actor
) -> list[dict[str, Any]]:
    """The opinions that stand on a page of this round's version, as the actor may see them."""
    found = []
    every = rounds.opinions_for(review, actor, only=[Opinion.slot == document.slot])
    for one in every:
        if one.status is OpinionStatus.MERGED or one.round.number > round_.number:
            continue
        at, box = one.page, one.box
        if one.round_id != round_.id:
            placed = rounds.place_in(one, round_)
            if placed is None:
                continue
            at, box = placed.page, placed.box
        if at != page:
            continue
        found.append(
            {
                "key": one.key,
                "number": one.number,
                "name": choose(f"第 {one.number} 条", f"No. {one.number}")
                if one.number
                else one.status.label(language()),
                "box": box,
                "grade": one.grade.label(language()),
                "is_must": one.grade is Grade.MUST,
                "status": one.status.label(language()),
                "quote": one.quote,
                "found": one.found,
                "required": one.required,
                "clause": one.clause,
                "edit": parts.round_url(review, round_, "opinions", one.key)
                if one.status is OpinionStatus.DRAFTED
                else None,
            }
        )
    return found


def _is_open(round_: Round, seat: panels.Seat) -> bool:
    asked = rounds.asked_of(round_, seat)
    return asked is None or asked.feedback is None


def _form(review: TechnicalReview, document: RoundDocument, page: int) -> dict[str, Any]:
    criteria = kinds.in_force(review.kind, review.applied_on)
    return {
        "grades": [(one.value, one.label(language())) for one in Grade],
        "criteria": [(one.code, f"{one.clause} · {one.label(language())}"[:120]) for one in criteria],
        "pages": document.document.pages or 1,
        "page": page,
    }


def _lines(shown: PreviewPage | None) -> list[str]:
    if shown is None:
        return []
    return [line.strip() for line in shown.text.splitlines() if len(line.strip()) > 1][:MOST_LINES]


def _problem(preview: previews.Preview | None, shown: PreviewPage | None) -> str:
    if shown is not None and shown.problem:
        return shown.problem_text(language())
    if preview is None:
        return choose("该文件没有预览，请下载原件查看。", "There is no preview; download the original.")
    return previews.problem_text(preview.problem, language())


def _page_typed(otherwise: int | None) -> int | None:
    text = request.form.get("page", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else otherwise


def _writing(review: TechnicalReview, document: RoundDocument, page: int | None) -> Writing:
    """What the form says; the place on the page is found by the quoted words."""
    form = request.form
    wanted = form.get("criterion", "")
    criterion = next((one for one in kinds.in_force(review.kind, review.applied_on) if one.code == wanted), None)
    grade = form.get("grade", "")
    quote = form.get("quote", "").strip() or form.get("paragraph", "").strip()
    box = None
    row = previews.page_of(document.sha256, page) if page else None
    if row is not None and quote:
        found = previews.find_quote(quote, [row], near=(row.page, (0, 0, 0, 0)))
        box = list(found.box) if found is not None else None
    if grade not in set(Grade):
        raise rounds.OpinionIncomplete(field="grade", what_zh="意见等级", what_en="The grade")
    return Writing(
        grade=Grade(grade),
        slot=document.slot,
        required=form.get("required", "") or (criterion.zh if criterion is not None else ""),
        found=form.get("found", ""),
        clause=form.get("clause", ""),
        page=page,
        box=box,
        quote=quote,
        criterion=criterion,
    )
