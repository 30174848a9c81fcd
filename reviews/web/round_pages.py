"""A round on one page: documents, who is waited for, opinions with answers and rulings, and the applicant's answers (B5, B8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, flash, render_template
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import lazyload

from kernel import files, previews, timekeeping
from kernel.access import Cell
from kernel.db import session
from kernel.errors import Invalids, NotFound, PortalError
from kernel.previews import PreviewStatus
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from kernel.web import choose, day, form_errors, instant, language, page_number, signed_in_actor, url_with
from kernel.web.kept import Kept, fragment
from market.web import confirm
from market.web.confirm import Answer
from market.web.forms import receive
from reviews import panels, rounds, technical
from reviews.panels import Seat, SeatKind, SeatStatus
from reviews.rounds import Feedback, Opinion, OpinionStatus, Round, RoundDocument, Stance
from reviews.technical import ReviewStatus, TechnicalReview
from reviews.web import glance, parts

blueprint = Blueprint("review_rounds", __name__)
ACCESS: Mapping[str, Cell] = {
    "review_rounds.show": parts.READERS,
    "review_rounds.answer": parts.APPLICANTS,
}
LINKS: Mapping[str, Callable[[str], str]] = {}
PAGE = 25
_bodies = Kept(500)


# The page


@blueprint.get("/reviews/<number>/rounds/<int:round_number>")
def show(number: str, round_number: int) -> str:
    """One round as this person may see it."""
    actor = signed_in_actor()
    key = glance.key(number, round_number, actor)

    def make() -> Markup:
        return _body(number, round_number, actor)

    return _page(number, round_number, _bodies.part(key, make) if key is not None else make())


def _page(number: str, round_number: int, body: Markup) -> str:
    return render_template(
        "reviews/round_show.html", number=number, round_number=round_number, crumbs=parts.crumbs_of(number), body=body
    )


def _body(
    number: str,
    round_number: int,
    actor: Actor,
    typed: Mapping[str, str] | None = None,
    error: PortalError | None = None,
    kept: Mapping[str, Sequence[files.Document]] | None = None,
) -> Markup:
    review = technical.find(number, by=actor)
    every = rounds.rounds_of(review)  # asked for once: the page has much to load
    round_ = next((one for one in every if one.number == round_number), None)
    if round_ is None:
        raise rounds.NoRound(number=round_number)
    latest = every[-1]
    is_current = latest.id == round_.id
    moves = set(technical.moves(review, actor)) if is_current else set()
    held = [seat for seat in panels.of_review(review) if panels.speaks_for(seat, actor)]
    own = [seat for seat in held if seat.is_serving]
    mine = next((seat for seat in own if _is_asked(round_, seat)), None)
    may_open = rounds.may_open(review, actor)
    is_answering = "answer" in moves
    shown, total = _opinions(
        review, round_, actor, page_number() if not is_answering else 1, PAGE if not is_answering else 500
    )
    numbers = {one.id: one.number for one in every}
    status = (choose("已结束", "Over"), "neutral")
    if is_current and round_.closed_at is None:
        status = (choose("进行中", "Under way"), "info")
    elif is_current and review.status is ReviewStatus.WITH_APPLICANT:
        status = (review.status.label(language()), "warn")
    return fragment(
        "reviews/round_content.html",
        language=language(),
        review=review,
        round=round_,
        status=status[0],
        status_kind=status[1],
        latest=parts.round_url(review, latest) if not is_current else None,
        latest_number=latest.number,
        documents=[_document(review, round_, one, may_open) for one in round_.documents],
        asked=[
            _asked(review, round_, one, actor, moves) for one in round_.asked if one.seat.status.value != "replaced"
        ],
        is_all_in=round_.all_in_at is not None,
        checks=[_check(one) for one in rounds.checks_of(round_)],
        drafts=[
            _opinion(review, round_, one, actor, moves, numbers)
            for seat in own
            for one in rounds.drafts_of(round_, seat)
        ],
        opinions=[_opinion(review, round_, one, actor, moves, numbers) for one in shown],
        total=total,
        page=page_number(),
        pages=max(1, -(-total // PAGE)),
        url_with=url_with,
        may_write="submit" in moves and mine is not None,
        to_rule="、".join(str(one.number) for one in _to_rule(review, round_, mine)),
        waiting=len(rounds.waited_for(round_)),
        may_open=may_open,
        must_declare=any(seat.status is SeatStatus.INVITED for seat in held),
        is_barred=any(seat.status is SeatStatus.CONFLICTED for seat in held),
        ends=_ends(review, round_) if "issue" in moves and round_.all_in_at is not None else [],
        may_cancel="cancel_round" in moves and all(one.feedback is None for one in round_.asked),
        is_answering=is_answering,
        stances=[(one.value, one.label(language())) for one in Stance],
        typed=typed or {},
        refused_texts=[text for name, text in (typed or {}).items() if name.startswith("answer-") and text.strip()]
        if not is_answering
        else [],
        kept=kept or {},
        token=typed.get("act") if typed else None,
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
        base=parts.round_url(review, round_),
    )


def _ends(review: TechnicalReview, round_: Round) -> list[dict[str, str]]:
    """How the lead may end a round in which everybody is in, the nearest first."""
    found = []
    if parts.may_be_issued(review, round_):
        found.append(
            {"label": choose("汇总并发出意见", "Merge and issue"), "url": parts.round_url(review, round_, "issue")}
        )
    found.append({"label": choose("拟定审查结论", "Propose the conclusion"), "url": parts.url_of(review, "conclusion")})
    return found


def _to_rule(review: TechnicalReview, round_: Round, seat: Seat | None) -> list[Opinion]:
    """Open opinions of a seat's own from earlier rounds that it has yet to rule on in this one."""
    return [
        one
        for one in (rounds.issued_of(review, only_open=True) if seat is not None else [])
        if seat is not None
        and one.seat_id == seat.id
        and one.round_id != round_.id
        and not any(ruling.round_id == round_.id for ruling in one.rulings)
    ]


def _is_asked(round_: Round, seat: Seat) -> bool:
    asked = rounds.asked_of(round_, seat)
    return asked is None or asked.feedback is None


def _opinions(review: TechnicalReview, round_: Round, actor: Actor, page: int, size: int) -> tuple[list[Opinion], int]:
    """One page of what stands in this round: raised here, or still open from an earlier one."""
    here = rounds.visible(review, actor) & (Opinion.status != OpinionStatus.DRAFTED)
    here &= (Opinion.round_id == round_.id) | (
        Opinion.round_id.in_(select(Round.id).where(Round.review_id == review.id, Round.number < round_.number))
        & ((Opinion.closed_at.is_(None)) | (Opinion.closed_at >= round_.opened_at))
    )
    total = session.scalar(select(func.count()).select_from(Opinion).where(here)) or 0
    rows = session.scalars(
        select(Opinion)
        .where(here)
        # Rounds and seats are there already.
        .options(lazyload(Opinion.round), lazyload(Opinion.seat), lazyload(Opinion.criterion))
        .order_by(Opinion.number.asc().nulls_last(), Opinion.id)
        .limit(size)
        .offset((page - 1) * size)
    ).unique()
    return list(rows), total


def _document(review: TechnicalReview, round_: Round, one: RoundDocument, may_open: bool) -> dict[str, Any]:
    preview = previews.of(one.sha256)
    words = ""
    if preview is not None:
        if preview.status in {PreviewStatus.QUEUED, PreviewStatus.RENDERING}:
            words = choose(
                f"正在生成预览：{preview.pages_done}/{preview.pages or '…'} 页",
                f"pages being made: {preview.pages_done}/{preview.pages or '…'}",
            )
        elif preview.status is not PreviewStatus.READY:
            words = previews.problem_text(preview.problem, language())
    is_readable = preview is not None and (preview.status is PreviewStatus.READY or preview.pages_done > 0)
    return {
        "title": one.title,
        "name": one.document.name,
        "edition": one.edition,
        "is_changed": one.is_changed,
        "pages": one.document.pages,
        "sha256": one.sha256,
        "words": words,
        "read": parts.round_url(review, round_, "documents", one.slot, "pages", 1)
        if may_open and is_readable
        else None,
        "compare": parts.round_url(review, round_, "documents", one.slot, "changes")
        if may_open and one.is_changed and round_.number > 1
        else None,
        "original": f"/files/{one.document.number}" if may_open else None,
    }


def _asked(
    review: TechnicalReview, round_: Round, one: rounds.RoundSeat, actor: Actor, moves: set[str]
) -> dict[str, Any]:
    acts = []
    is_theirs = panels.speaks_for(one.seat, actor)
    due = ""
    if one.seat.kind is SeatKind.DEPARTMENT:
        place = parts.place_of_seat(review, one.seat)
        stored = timekeeping.latest(rounds.consultation_of(review, round_, one.seat), ClockKind.CONSULTATION)
        reading = timekeeping.reading(stored) if stored is not None else None
        due = day(reading.due) if reading is not None and reading.due is not None else ""
        if one.feedback is None and "close_silent" in moves and reading is not None and reading.light.value == "red":
            acts.append(
                (
                    choose("按逾期未反馈处理", "Close as unanswered"),
                    parts.round_url(review, round_, "seats", place, "silence"),
                )
            )
        light = reading.light.value if reading is not None and one.feedback is None else None
        if one.feedback is Feedback.SILENT and one.late_at is None and is_theirs and "submit" in moves:
            acts.append((choose("登记逾期反馈", "Answer late"), parts.round_url(review, round_, "late-answer")))
    else:
        light = None
    feedback, kind = _feedback(round_, one, is_theirs)
    return {
        "name": one.seat.name,
        "discipline": panels.label_of(review, one.seat.discipline, language()) or one.seat.kind.label(language()),
        "feedback": feedback,
        "feedback_kind": kind,
        "at": instant(one.answered_at) if one.answered_at is not None else "—",
        "due": due,
        "light": light,
        "late": one.late_answer if is_theirs or parts.oversees(review, actor) else "",
        "late_at": instant(one.late_at),
        "acts": acts,
    }


def _feedback(round_: Round, one: rounds.RoundSeat, is_theirs: bool) -> tuple[str, str]:
    """The answer in words and the tag's kind; what a colleague answered is hidden until all are in, "no comment" too."""
    if one.feedback is None:
        return choose("待反馈", "Awaited"), "warn"
    if one.feedback is Feedback.SILENT:
        return one.feedback.label(language()), "bad"
    if round_.all_in_at is None and not is_theirs:
        return choose("已反馈", "Answered"), "good"
    return one.feedback.label(language()), "good"


def _check(one: rounds.CheckResult) -> dict[str, str]:
    return {
        "criterion": one.criterion.label(language()),
        "clause": one.criterion.clause,
        "grade": one.criterion.grade.label(language()),
        "outcome": one.outcome.label(language()),
        "kind": {"met": "good", "not_met": "bad"}.get(one.outcome.value, "neutral"),
        "why": one.en if language() == "en" else one.zh,
    }


def _opinion(
    review: TechnicalReview,
    round_: Round,
    one: Opinion,
    actor: Actor,
    moves: set[str],
    numbers: Mapping[int, int],
) -> dict[str, Any]:
    """``numbers``: id of a round → its number."""
    into = session.get(Opinion, one.merged_into_id) if one.merged_into_id is not None else None
    titles = {document.slot: document.title for document in one.round.documents}
    placed = rounds.place_in(one, round_) if one.round_id != round_.id else None
    page = placed.page if placed is not None else (one.page if one.round_id == round_.id else None)
    may_rule = (
        "close_opinion" in moves
        and one.status is OpinionStatus.OPEN
        and one.round_id != round_.id
        and not any(ruling.round_id == round_.id for ruling in one.rulings)
        and ((panels.speaks_for(one.seat, actor) and one.seat.is_serving) or technical.by_lead(review, actor))
    )
    return {
        "key": one.key,
        "number": one.number,
        "label": choose(f"第 {one.number} 条", f"No. {one.number}")
        if one.number
        else choose(
            "草稿" if one.status is OpinionStatus.DRAFTED else "已提交",
            "Draft" if one.status is OpinionStatus.DRAFTED else "Submitted",
        ),
        "grade": one.grade.label(language()),
        "is_must": one.grade.value == "must",
        "status": one.status.label(language()),
        "status_kind": {"open": "bad", "closed": "good", "merged": "neutral"}.get(one.status.value, "info"),
        "discipline": panels.label_of(review, one.seat.discipline, language()) or one.seat.kind.label(language()),
        "document": titles.get(one.slot, one.slot),
        "page": one.page,
        "place": _place_words(one, round_, placed),
        "url": parts.round_url(review, round_, "documents", one.slot, "pages", page) + f"#o{one.key}" if page else None,
        "quote": one.quote,
        "clause": one.clause,
        "required": one.required,
        "found": one.found,
        "answers": [
            (
                choose(
                    f"第 {numbers.get(answer.round_id, '—')} 轮后",
                    f"After round {numbers.get(answer.round_id, '—')}",
                ),
                answer.stance.label(language()),
                answer.text,
            )
            for answer in one.answers
        ],
        "answer": rounds.answer_in(one, round_),
        "rulings": [
            (
                choose(f"第 {numbers.get(ruling.round_id, '—')} 轮", f"Round {numbers.get(ruling.round_id, '—')}"),
                ruling.kind.label(language()),
                ruling.reason,
            )
            for ruling in one.rulings
        ],
        "rule": parts.round_url(review, round_, "opinions", one.key, "ruling") if may_rule else None,
        "edit": parts.round_url(review, round_, "opinions", one.key) if one.status is OpinionStatus.DRAFTED else None,
        "is_open": one.status is OpinionStatus.OPEN,
        "merged_into": into.number if into is not None else None,
    }


def _place_words(one: Opinion, round_: Round, placed: rounds.Place | None) -> str:
    if one.round_id == round_.id:
        return ""
    if placed is None:
        return choose("正在查找原文位置", "its place is being looked for")
    where = choose(f"（第 {placed.page} 页）", f" (page {placed.page})") if placed.page else ""
    return placed.kind.label(language()) + where


# The applicant's act


@blueprint.post("/reviews/<number>/rounds/<int:round_number>/answers")
def answer(number: str, round_number: int) -> Answer:
    """Save the answers; with the second button resubmit as well, changed files named by their documents."""
    actor = signed_in_actor()
    review = technical.find(number, by=actor)
    if not technical.by_applicant(review, actor):
        raise NotFound
    names = [f"file-{place}" for place, _ in enumerate(rounds.round_of(review, round_number).documents, start=1)]
    sheet = receive(names)

    def perform() -> str:
        locked = technical.find(number, by=actor, lock=True)
        round_ = rounds.open_round_of(locked, round_number)
        faults: list[PortalError] = []
        for one in rounds.issued_of(locked, only_open=True):
            text, stance = sheet.text(f"answer-{one.key}").strip(), sheet.text(f"stance-{one.key}")
            before = rounds.answer_in(one, round_)
            if not text and not stance:
                continue
            if stance not in set(Stance):
                faults.append(
                    rounds.OpinionIncomplete(
                        field=f"stance-{one.key}", what_zh="答复类型", what_en="The kind of answer"
                    )
                )
            elif not text:
                faults.append(rounds.AnswerMissing(field=f"answer-{one.key}"))
            elif before is None or (before.text, before.stance.value) != (text, stance):
                rounds.answer(locked, one, Stance(stance), text, by=actor)
        if faults:
            raise Invalids(faults)
        if sheet.text("do") == "resubmit":
            changed: dict[str, files.Document] = {}
            for place, frozen in enumerate(round_.documents, start=1):
                handed = sheet.documents(f"file-{place}", actor)
                if handed:
                    changed[frozen.slot] = handed[-1]
            following = rounds.resubmit(locked, round_number, changed, by=actor)
            told = f"已重新报审，进入第 {following.number} 轮审查。", f"Resubmitted; round {following.number} begins."
            flash(choose(*told), "success")
            return parts.url_of(locked)
        flash(choose("答复已保存，重新报审前可以修改。", "Saved; you can change it until you resubmit."), "success")
        return parts.round_url(locked, round_number)

    refused = confirm.attempt(perform)
    if isinstance(refused, Response):
        return refused
    body = _body(number, round_number, actor, sheet.typed, refused, sheet.keep(actor))
    return _page(number, round_number, body), refused.status
