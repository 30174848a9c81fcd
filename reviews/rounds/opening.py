"""Opening a round on frozen document versions, and taking an empty one back (life-cycles §3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from kernel import clock, notifications, policies, previews, timekeeping, workflow
from kernel.accounts import members_with
from kernel.clock import Unit
from kernel.db import session
from kernel.files import Document
from kernel.timekeeping import ClockKind
from kernel.trail import Actor, TrailAct
from reviews import checks, kinds, panels
from reviews.panels import Seat, SeatKind, TooFewSeats
from reviews.rounds import places
from reviews.rounds.faults import NothingToReview, RoundBegun
from reviews.rounds.finding import asked_of, current, open_round_of, rounds_of, to_ask
from reviews.rounds.records import CheckResult, Opinion, Round, RoundDocument, RoundSeat, Ruling
from reviews.technical import STEPS, TechnicalReview, of_subject, tell_applicant

timekeeping.declare("consultation", "部门意见", "Department's opinion")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One document to be frozen: its slot in the set, the title people know it by, the file."""

    slot: str
    title: str
    document: Document


def open_round(review: TechnicalReview, *, by: Actor, expected_version: int | None = None) -> Round:
    """The first round, or again the one that was cancelled: everybody has declared, the versions are frozen.

    Raises:
        TooFewSeats: the panel isn't complete, with the exact reason. NothingToReview; workflow errors.
    """
    workflow.check(review, STEPS, "open_round", by=by, expected_version=expected_version)
    missing = panels.shortfall(review)
    if missing is not None:
        raise TooFewSeats(reason_zh=missing[0], reason_en=missing[1])
    cancelled = _last_cancelled(review)
    if cancelled is not None:
        sheets = [Sheet(one.slot, one.title, one.document) for one in cancelled.documents]
        changed = {one.slot for one in cancelled.documents if one.is_changed}
    else:
        sheets, changed = handed_in(review), set()
    if not sheets:
        raise NothingToReview
    number = len(rounds_of(review)) + 1
    editions = {one.slot: one.edition for one in cancelled.documents} if cancelled is not None else {}
    round_ = freeze(review, number, sheets, to_ask(review), changed, by=by, editions=editions)
    places.carry_over(review, round_)
    workflow.step(
        review,
        STEPS,
        "open_round",
        by=by,
        round=number,
        documents=[{"title": one.title, "sha256": one.sha256} for one in round_.documents],
    )
    tell_applicant(review, "review.round_opened")
    return round_


def handed_in(review: TechnicalReview) -> list[Sheet]:
    """What the commission or the deliverable holds, each under the kind's material that it is."""
    named: list[tuple[str, Document]] = []
    if review.commission is not None:
        named = [(one.name, one.document) for one in review.commission.materials]
    elif review.deliverable is not None:
        named = [(one.title, one.document) for one in review.deliverable.files]
    codes = {one["zh"]: one["code"] for one in review.kind.materials}
    taken: set[str] = set()
    sheets = []
    for position, (name, document) in enumerate(named, start=1):
        slot = codes.get(name, f"material-{position}")
        if slot in taken:
            slot = f"{slot}-{position}"
        taken.add(slot)
        sheets.append(Sheet(slot, name, document))
    return sheets


def freeze(
    review: TechnicalReview,
    number: int,
    sheets: Sequence[Sheet],
    seats: Collection[Seat],
    changed: Collection[str],
    *,
    by: Actor,
    editions: Mapping[str, int] | None = None,
) -> Round:
    """Store a round with its documents, ask the seats, start the clocks and let the machine check what it can."""
    moment = clock.now()
    round_ = Round(
        review=review,
        number=number,
        opened_at=moment,
        opened_by=f"{by.organisation} {by.person}",
        documents=[
            RoundDocument(
                slot=sheet.slot,
                title=sheet.title,
                position=position,
                document=sheet.document,
                sha256=sheet.document.sha256,
                edition=(editions or {}).get(sheet.slot, 1),
                is_changed=sheet.slot in changed,
            )
            for position, sheet in enumerate(sheets, start=1)
        ],
        asked=[RoundSeat(seat=seat, asked_at=moment) for seat in seats],
    )
    session.add(round_)
    session.flush()
    start_clock(review, review.subject, ClockKind.ROUND, review.kind.round_days, by)
    for sheet in sheets:
        previews.request(sheet.document)
    _check(review, round_)
    for asked in round_.asked:
        _ask(review, round_, asked.seat, by)
    return round_


def on_seated(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``review.assigned``, ``.declared`` and ``.waived``: whoever joins in mid-round is asked like the others."""
    review = of_subject(act.subject)
    round_ = current(review)
    if round_ is None or round_.closed_at is not None:
        return
    for seat in to_ask(review):
        if asked_of(round_, seat) is None:
            round_.asked.append(RoundSeat(seat=seat, asked_at=clock.now()))
            session.flush()
            _ask(review, round_, seat, by)


def _ask(review: TechnicalReview, round_: Round, seat: Seat, by: Actor) -> None:
    """Tell whoever holds the seat; a department's limit begins."""
    people = [seat.person_id] if seat.person_id is not None else []
    if seat.kind is SeatKind.DEPARTMENT and seat.organisation_id is not None:
        people = members_with(seat.organisation_id)
        subject = consultation_of(review, round_, seat)
        start_clock(review, subject, ClockKind.CONSULTATION, review.kind.joint_days, by)
    notifications.tell(
        people,
        subject=review.subject,
        act="review.round_opened",
        title=review.title,
        project=review.project.name,
        round=round_.number,
    )


def cancel_round(review: TechnicalReview, number: int, *, by: Actor, expected_version: int | None = None) -> None:
    """Take a round back in which nobody answered or ruled; drafts go with it, the next one begins on the same documents.

    Raises:
        RoundOver, RoundBegun, workflow errors.
    """
    workflow.check(review, STEPS, "cancel_round", by=by, expected_version=expected_version)
    round_ = open_round_of(review, number)
    has_ruled = session.scalar(select(Ruling.id).where(Ruling.round_id == round_.id).limit(1)) is not None
    if has_ruled or any(one.feedback is not None for one in round_.asked):
        raise RoundBegun
    review.drop_proposal()
    round_.cancelled_at = clock.now()
    _end_clocks(review, round_, by)
    for opinion in session.scalars(select(Opinion).where(Opinion.round_id == round_.id)).unique():
        session.delete(opinion)
    workflow.step(review, STEPS, "cancel_round", by=by, round=number)


def consultation_of(review: TechnicalReview, round_: Round, seat: Seat) -> str:
    """The subject of a department's own clock in a round."""
    return f"consultation:{review.number}.{round_.number}.{seat.id}"


def end_consultation(review: TechnicalReview, round_: Round, seat: Seat, by: Actor) -> None:
    running = timekeeping.running(consultation_of(review, round_, seat), ClockKind.CONSULTATION)
    if running is not None:
        timekeeping.end(running, by=by)


def _end_clocks(review: TechnicalReview, round_: Round, by: Actor) -> None:
    running = timekeeping.running(review.subject, ClockKind.ROUND)
    if running is not None:
        timekeeping.end(running, by=by)
    for asked in round_.asked:
        end_consultation(review, round_, asked.seat, by)


def start_clock(review: TechnicalReview, subject: str, kind: ClockKind, days: int, by: Actor) -> None:
    """Start one of a review's clocks; ``days`` are working days of the kind."""
    policy = policies.current("review_clock")
    timekeeping.start(
        subject, kind, unit=Unit.WORKING_DAY, limit=days, warn=int(policy.values["warn"]), policy=policy, by=by
    )


def _check(review: TechnicalReview, round_: Round) -> None:
    """Run the criteria that carry a rule; the results stand beside people's judgement and decide nothing (B6)."""
    criteria = kinds.in_force(review.kind, review.applied_on)
    documents = {one.slot: one.document for one in round_.documents}
    subject = checks.subject_of(review.kind, review.fields, documents, clock.today())
    for criterion, result in checks.judge(criteria, subject):
        session.add(
            CheckResult(
                round_id=round_.id,
                criterion_id=criterion.id,
                outcome=result.outcome,
                zh=result.zh,
                en=result.en,
            )
        )
    session.flush()


def _last_cancelled(review: TechnicalReview) -> Round | None:
    """The round that was cancelled since the last one that counts, if the state came from there."""
    last = session.scalars(select(Round).where(Round.review_id == review.id).order_by(Round.id.desc()).limit(1)).first()
    counted = current(review)
    if last is None or last.cancelled_at is None or (counted is not None and counted.id > last.id):
        return None
    return last
