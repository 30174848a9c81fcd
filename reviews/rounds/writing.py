"""Opinions while they are their author's own: written, changed, deleted, then submitted once (B5, B7)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from kernel import clock, timekeeping, trail, workflow
from kernel.db import session
from kernel.errors import Invalids, PortalError
from kernel.timekeeping import ClockKind
from kernel.trail import SYSTEM, Actor
from market.commissions import given_reason
from reviews import panels
from reviews.kinds import Criterion, Grade
from reviews.panels import Seat, SeatKind
from reviews.rounds.faults import (
    FileOfRoundUnknown,
    LateOnly,
    NothingSubmitted,
    NotNothing,
    NotSilent,
    OpinionIncomplete,
    PlaceInvalid,
    RulingMissing,
    Submitted,
)
from reviews.rounds.finding import asked_of, issued_of, open_round_of, own_opinion, serving_seat, waited_for
from reviews.rounds.opening import consultation_of, end_consultation
from reviews.rounds.records import OPINION_TURNS, Feedback, Opinion, OpinionStatus, Round, RoundSeat
from reviews.technical import STEPS, TechnicalReview, tell_body

MOST_TEXT = 4000
MOST_QUOTE = 400


@dataclass(frozen=True, slots=True)
class Writing:
    """What an opinion says. ``page`` from 1 or None; ``box`` [x, y, width, height] in thousandths of the page."""

    grade: Grade
    slot: str
    required: str
    found: str
    clause: str = ""
    page: int | None = None
    box: Sequence[int] | None = None
    quote: str = ""
    criterion: Criterion | None = None


def write(review: TechnicalReview, number: int, said: Writing, *, by: Actor) -> Opinion:
    """A draft that nobody else sees.

    Raises:
        NoSeat, DeclareFirst, RoundOver, Submitted; Invalids of OpinionIncomplete, FileOfRoundUnknown, PlaceInvalid;
        workflow errors.
    """
    workflow.check(review, STEPS, "submit", by=by)
    seat = serving_seat(review, by)
    round_ = open_round_of(review, number)
    _require_open(round_, seat)
    _sound(round_, said)
    opinion = Opinion(
        key=secrets.token_hex(5),
        review_id=review.id,
        round=round_,
        seat=seat,
        status=OpinionStatus.DRAFTED,
        written_at=clock.now(),
        written_by=f"{by.organisation} {by.person}".strip(),
        **_columns(said),
    )
    session.add(opinion)
    session.flush()
    return opinion


def rewrite(review: TechnicalReview, key: str, said: Writing, *, by: Actor) -> Opinion:
    """Change one's own draft. Raises like :func:`write`; NotFound, NotYours."""
    workflow.check(review, STEPS, "submit", by=by)
    opinion = _own_draft(review, key, by)
    _sound(opinion.round, said)
    for name, value in _columns(said).items():
        setattr(opinion, name, value)
    session.flush()
    return opinion


def discard(review: TechnicalReview, key: str, *, by: Actor) -> None:
    """Delete one's own draft. Raises like :func:`rewrite`."""
    session.delete(_own_draft(review, key, by))
    session.flush()


def drafts_of(round_: Round, seat: Seat) -> list[Opinion]:
    return list(
        session.scalars(
            select(Opinion)
            .where(Opinion.round_id == round_.id, Opinion.seat_id == seat.id, Opinion.status == OpinionStatus.DRAFTED)
            .order_by(Opinion.id)
        ).unique()
    )


def submit(
    review: TechnicalReview,
    number: int,
    *,
    by: Actor,
    seat_id: int | None = None,
    no_comment: bool = False,
    expected_version: int | None = None,
) -> None:
    """Hand one's opinions of the round in, or say that there are none; the last one in lifts the curtain for all.

    Raises:
        NoSeat, DeclareFirst, RoundOver, Submitted, NothingSubmitted, NotNothing; RulingMissing: opinions of one's own
        from earlier rounds wait for a ruling; workflow errors.
    """
    action = "no_comment" if no_comment else "submit"
    workflow.check(review, STEPS, action, by=by, expected_version=expected_version)
    seat = serving_seat(review, by, seat_id=seat_id)
    round_ = open_round_of(review, number)
    asked = _require_open(round_, seat)
    unruled = [
        str(one.number)
        for one in issued_of(review, only_open=True)
        if one.seat_id == seat.id and not any(ruling.round_id == round_.id for ruling in one.rulings)
    ]
    if unruled:
        raise RulingMissing(field="rulings", numbers="、".join(unruled))
    drafts = drafts_of(round_, seat)
    if no_comment and drafts:
        raise NotNothing
    if not no_comment and not drafts and not _has_ruled(review, round_, seat):
        raise NothingSubmitted(field="opinions")
    moment = clock.now()
    for draft in drafts:
        workflow.turn(draft, OPINION_TURNS, "submit")
        draft.submitted_at = moment
    asked.feedback = Feedback.NO_COMMENT if no_comment else Feedback.OPINIONS
    asked.answered_at = moment
    asked.answered_by = f"{by.organisation} {by.person}".strip()
    end_consultation(review, round_, seat, by)
    # How many there are stays behind the curtain too.
    workflow.step(review, STEPS, action, by=by, round=round_.number, seat=seat.name, discipline=seat.discipline)
    _look_whether_all_are_in(review, round_)


def close_silent(
    review: TechnicalReview, number: int, seat: Seat, *, by: Actor, expected_version: int | None = None
) -> None:
    """The lead closes a department's part as 逾期未反馈 once its limit is over: neither consent nor "no opinion" (B8).

    Raises:
        RoundOver, NotSilent: it isn't a department, has answered, or still has time; workflow errors.
    """
    workflow.check(review, STEPS, "close_silent", by=by, expected_version=expected_version)
    round_ = open_round_of(review, number)
    asked = asked_of(round_, seat)
    running = timekeeping.running(consultation_of(review, round_, seat), ClockKind.CONSULTATION)
    due = timekeeping.reading(running).due if running is not None else None
    if (
        asked is None
        or asked.feedback is not None
        or seat.kind is not SeatKind.DEPARTMENT
        or due is None
        or clock.today() <= due
    ):
        raise NotSilent(name=seat.name, due=due.isoformat() if due is not None else "—")
    asked.feedback = Feedback.SILENT
    asked.answered_at = clock.now()
    asked.answered_by = f"{by.organisation} {by.person}"
    end_consultation(review, round_, seat, by)
    workflow.step(
        review,
        STEPS,
        "close_silent",
        by=by,
        round=round_.number,
        department=seat.name,
        discipline=seat.discipline,
        due=due,
    )
    _look_whether_all_are_in(review, round_)


def answer_late(review: TechnicalReview, number: int, text: str, *, by: Actor, seat_id: int | None = None) -> None:
    """A department answers after its part was closed: kept as late, told to the lead, changes nothing by itself.

    Raises:
        LateOnly: its part isn't closed as unanswered, or it answered late already; ReasonMissing, NoSeat.
    """
    seat = serving_seat(review, by, seat_id=seat_id)
    round_ = open_round_of(review, number)
    asked = asked_of(round_, seat)
    if asked is None or asked.feedback is not Feedback.SILENT or asked.late_at is not None:
        raise LateOnly
    asked.late_answer = given_reason(text)[:MOST_TEXT]
    asked.late_at = clock.now()
    trail.record(review.subject, "review.answered_late", by=by, round=round_.number, department=seat.name)
    tell_body(review, "review.answered_late")


def _look_whether_all_are_in(review: TechnicalReview, round_: Round) -> None:
    session.flush()
    if round_.all_in_at is None and not waited_for(round_) and not panels.unsettled(review):
        round_.all_in_at = clock.now()
        trail.record(review.subject, "review.all_in", by=SYSTEM, round=round_.number)
        tell_body(review, "review.all_in")


def look_again(review: TechnicalReview, round_: Round) -> None:
    """Whether a replacement left nobody to wait for."""
    _look_whether_all_are_in(review, round_)


def _require_open(round_: Round, seat: Seat) -> RoundSeat:
    asked = asked_of(round_, seat)
    if asked is None:  # seated after the round was opened: asked from now on
        asked = RoundSeat(seat=seat, asked_at=clock.now())
        round_.asked.append(asked)
        session.flush()
    if asked.feedback is not None or round_.closed_at is not None:
        raise Submitted
    return asked


def _own_draft(review: TechnicalReview, key: str, by: Actor) -> Opinion:
    opinion = own_opinion(review, key, by)
    serving_seat(review, by)
    if opinion.status is not OpinionStatus.DRAFTED:
        raise Submitted
    open_round_of(review, opinion.round.number)
    return opinion


def _has_ruled(review: TechnicalReview, round_: Round, seat: Seat) -> bool:
    return any(
        ruling.round_id == round_.id for one in issued_of(review) if one.seat_id == seat.id for ruling in one.rulings
    )


def _sound(round_: Round, said: Writing) -> None:
    faults: list[PortalError] = []
    if not said.found.strip():
        faults.append(OpinionIncomplete(field="found", what_zh="存在的问题", what_en="What was found"))
    if said.grade is Grade.MUST and not (said.clause.strip() or said.criterion is not None):
        faults.append(
            OpinionIncomplete(
                field="clause", what_zh="强制性意见的条文依据", what_en="The clause of a mandatory opinion"
            )
        )
    document = next((one for one in round_.documents if one.slot == said.slot), None)
    if document is None:
        faults.append(FileOfRoundUnknown(field="slot", name=said.slot))
    elif said.page is not None and not 1 <= said.page <= (document.document.pages or 1):
        faults.append(PlaceInvalid(field="page", document=document.title, document_en=document.title, page=said.page))
    if faults:
        raise Invalids(faults)


def _columns(said: Writing) -> dict[str, object]:
    box = None
    if said.page is not None and said.box is not None and len(said.box) == 4:
        x, y, width, height = (min(max(int(value), 0), 1000) for value in said.box)
        box = [x, y, min(width, 1000 - x), min(height, 1000 - y)] if width and height else None
    clause = said.clause.strip() or (said.criterion.clause if said.criterion is not None else "")
    return {
        "grade": said.grade,
        "slot": said.slot,
        "criterion_id": said.criterion.id if said.criterion is not None else None,
        "clause": clause[:MOST_QUOTE],
        "page": said.page,
        "box": box,
        "quote": said.quote.strip()[:MOST_QUOTE],
        "required": said.required.strip()[:MOST_TEXT],
        "found": said.found.strip()[:MOST_TEXT],
    }
