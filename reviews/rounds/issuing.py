"""The applicant's side of a round: opinions merged once and issued, answered one by one, versions handed in anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from kernel import clock, timekeeping, workflow
from kernel.db import session
from kernel.files import Document
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from market.commissions import given_reason
from reviews import panels
from reviews.kinds import Grade
from reviews.panels import SeatStatus
from reviews.rounds import places
from reviews.rounds.faults import (
    AnswerMissing,
    AnswersMissing,
    ChangeMissing,
    FileOfRoundUnknown,
    LastRound,
    MergeInvalid,
    NoMust,
    NotAllIn,
    NotYours,
)
from reviews.rounds.finding import issued_of, open_round_of, to_ask, waited_for
from reviews.rounds.opening import Sheet, freeze, start_clock
from reviews.rounds.records import OPINION_TURNS, Answer, Opinion, OpinionStatus, Round, Ruling, RulingKind, Stance
from reviews.technical import STEPS, TechnicalReview, by_lead, tell_applicant, tell_body

MOST_TEXT = 4000


def merge_and_number(review: TechnicalReview, round_: Round, merges: Mapping[str, Sequence[str]]) -> list[Opinion]:
    """Fold opinions into one another and give the rest their numbers, in the order of documents and pages.

    ``merges``: key of the one that stays → keys of those folded into it; the strictest grade stays.

    Raises:
        MergeInvalid.
    """
    said = {one.key: one for one in submitted_in(round_)}
    gone: set[str] = set()
    for kept, others in merges.items():
        if kept not in said or kept in gone or not set(others) <= said.keys() - gone - {kept}:
            raise MergeInvalid(field="merges")
        if len(set(others)) != len(others) or merges.keys() & set(others):
            raise MergeInvalid(field="merges")
        for key in others:
            other = said[key]
            workflow.turn(other, OPINION_TURNS, "merge")
            other.merged_into_id = said[kept].id
            if other.grade is Grade.MUST:
                said[kept].grade = Grade.MUST
            gone.add(key)
    order = {one.slot: one.position for one in round_.documents}
    rest = sorted(
        (one for key, one in said.items() if key not in gone),
        key=lambda one: (order.get(one.slot, 0), one.page or 0, (one.box or [0, 0])[1], one.id),
    )
    last = session.scalar(select(func.max(Opinion.number)).where(Opinion.review_id == review.id)) or 0
    moment = clock.now()
    for number, opinion in enumerate(rest, start=last + 1):
        opinion.number = number
        workflow.turn(opinion, OPINION_TURNS, "issue")
        opinion.issued_at = moment
    session.flush()
    return rest


def submitted_in(round_: Round) -> list[Opinion]:
    """What was submitted in a round and not yet issued or merged."""
    return list(
        session.scalars(
            select(Opinion)
            .where(Opinion.round_id == round_.id, Opinion.status == OpinionStatus.SUBMITTED)
            .order_by(Opinion.id)
        ).unique()
    )


def open_musts(review: TechnicalReview) -> list[Opinion]:
    """Mandatory opinions that stand: issued and not closed."""
    return [one for one in issued_of(review, only_open=True) if one.grade is Grade.MUST]


def require_all_in(round_: Round) -> None:
    """Everybody asked has answered, and the panel is still whole: nobody is sent away to be rid of their opinion.

    Raises:
        NotAllIn, with the names of those who are waited for; panels.TooFewSeats.
    """
    waiting = waited_for(round_)
    if waiting:
        raise NotAllIn(count=len(waiting), names="、".join(one.seat.name for one in waiting))
    missing = panels.shortfall(round_.review)
    if missing is not None:
        raise panels.TooFewSeats(reason_zh=missing[0], reason_en=missing[1])
    if round_.all_in_at is None:
        raise NotAllIn(count=0, names="—")


def issue(
    review: TechnicalReview,
    number: int,
    *,
    by: Actor,
    merges: Mapping[str, Sequence[str]] | None = None,
    expected_version: int | None = None,
) -> list[Opinion]:
    """The lead merges once and sends everything to the applicant in one notice; the service clock waits.

    Raises:
        RoundOver, NotAllIn, panels.TooFewSeats, LastRound, MergeInvalid; NoMust: nothing mandatory is open; workflow errors.
    """
    workflow.check(review, STEPS, "issue", by=by, expected_version=expected_version)
    round_ = open_round_of(review, number)
    require_all_in(round_)
    if round_.number >= review.kind.round_limit:
        raise LastRound(limit=review.kind.round_limit)
    fresh = merge_and_number(review, round_, merges or {})
    standing = open_musts(review)
    if not standing:
        raise NoMust
    close(review, round_, by)
    review.drop_proposal()
    round_.issued_at = round_.closed_at
    service = _service_clock(review)
    if service is not None:
        timekeeping.stop(service, f"round:{round_.number}", by=by)
    start_clock(review, review.subject, ClockKind.RESPONSE, review.kind.response_days, by)
    workflow.step(review, STEPS, "issue", by=by, round=round_.number, opinions=len(fresh), open_musts=len(standing))
    tell_applicant(review, "review.issued", is_warning=True)
    return fresh


def close(review: TechnicalReview, round_: Round, by: Actor) -> None:
    """A round ends; its clock with it."""
    round_.closed_at = clock.now()
    running = timekeeping.running(review.subject, ClockKind.ROUND)
    if running is not None:
        timekeeping.end(running, by=by)


def answer(
    review: TechnicalReview,
    opinion: Opinion,
    stance: Stance,
    text: str,
    *,
    by: Actor,
    expected_version: int | None = None,
) -> Answer:
    """The applicant's word on one opinion; said again before resubmitting, the later one counts, both are kept.

    Raises:
        AnswerMissing, NotYours: it isn't open; workflow errors.
    """
    workflow.check(review, STEPS, "answer", by=by, expected_version=expected_version)
    round_ = open_round_of(review)
    if opinion.review_id != review.id or opinion.status is not OpinionStatus.OPEN:
        raise NotYours
    said = text.strip()[:MOST_TEXT]
    if not said:
        raise AnswerMissing(field=f"answer-{opinion.key}")
    row = Answer(
        opinion_id=opinion.id,
        round_id=round_.id,
        stance=stance,
        text=said,
        at=clock.now(),
        by=f"{by.organisation} {by.person}",
    )
    opinion.answers.append(row)
    session.flush()
    workflow.step(review, STEPS, "answer", by=by, opinion=opinion.number, stance=stance.value)
    return row


def answer_in(opinion: Opinion, round_: Round) -> Answer | None:
    """What the applicant said last to an opinion after a round."""
    found = [one for one in opinion.answers if one.round_id == round_.id]
    return found[-1] if found else None


def resubmit(
    review: TechnicalReview,
    number: int,
    changed: Mapping[str, Document],
    *,
    by: Actor,
    added: Sequence[Sheet] = (),
    expected_version: int | None = None,
) -> Round:
    """重新报审: every mandatory opinion answered, the changed files named by slot; the next round begins.

    Raises:
        RoundOver, AnswersMissing, ChangeMissing, FileOfRoundUnknown, workflow errors.
    """
    workflow.check(review, STEPS, "resubmit", by=by, expected_version=expected_version)
    round_ = open_round_of(review, number)
    known = {one.slot for one in round_.documents}
    for slot in changed.keys() - known:
        raise FileOfRoundUnknown(field="files", name=slot)
    answers = {one.id: answer_in(one, round_) for one in issued_of(review, only_open=True)}
    unanswered = [str(one.number) for one in open_musts(review) if answers.get(one.id) is None]
    if unanswered:
        raise AnswersMissing(field="answers", numbers="、".join(unanswered))
    is_corrected = any(one is not None and one.stance is Stance.CORRECTED for one in answers.values())
    real = {slot: document for slot, document in changed.items() if _differs(round_, slot, document)}
    if is_corrected and not real and not added:
        raise ChangeMissing(field="files")
    sheets = [Sheet(one.slot, one.title, real.get(one.slot, one.document)) for one in round_.documents]
    sheets += [one for one in added if one.slot not in known]
    editions = {one.slot: one.edition + (1 if one.slot in real else 0) for one in round_.documents}
    response = timekeeping.running(review.subject, ClockKind.RESPONSE)
    if response is not None:
        timekeeping.end(response, by=by)
    service = _service_clock(review)
    if service is not None:
        timekeeping.go(service, f"round:{round_.number}", by=by)
    fresh = {*real, *(one.slot for one in added)}
    following = freeze(review, round_.number + 1, sheets, to_ask(review), fresh, by=by, editions=editions)
    places.carry_over(review, following)
    workflow.step(
        review,
        STEPS,
        "resubmit",
        by=by,
        round=following.number,
        changed=[{"slot": slot, "sha256": document.sha256} for slot, document in sorted(real.items())],
    )
    tell_body(review, "review.resubmitted")
    return following


def rule(
    review: TechnicalReview,
    number: int,
    opinion: Opinion,
    kind: RulingKind,
    reason: str,
    *,
    by: Actor,
    expected_version: int | None = None,
) -> Ruling:
    """Its author, or the lead, closes or maintains an issued opinion in a later round, with a reason.

    Raises:
        RoundOver, NotYours: neither author nor lead, or it is closed or ruled on in this round; ReasonMissing;
        workflow errors.
    """
    action = "close_opinion" if kind is RulingKind.CLOSED else "maintain_opinion"
    workflow.check(review, STEPS, action, by=by, expected_version=expected_version)
    round_ = open_round_of(review, number)
    is_author = opinion.seat.status is SeatStatus.SERVING and panels.speaks_for(opinion.seat, by)
    is_lead = by_lead(review, by) and panels.may_open(review, by)
    if (
        opinion.review_id != review.id
        or opinion.status is not OpinionStatus.OPEN
        or any(one.round_id == round_.id for one in opinion.rulings)
        or not (is_author or is_lead)
    ):
        raise NotYours
    row = Ruling(
        opinion_id=opinion.id,
        round_id=round_.id,
        kind=kind,
        reason=given_reason(reason)[:MOST_TEXT],
        at=clock.now(),
        by=f"{by.organisation} {by.person}".strip(),
    )
    opinion.rulings.append(row)
    if kind is RulingKind.CLOSED:
        workflow.turn(opinion, OPINION_TURNS, "close")
        opinion.closed_at = row.at
    session.flush()
    workflow.step(review, STEPS, action, by=by, round=round_.number, opinion=opinion.number, reason=row.reason)
    return row


def _differs(round_: Round, slot: str, document: Document) -> bool:
    return all(one.sha256 != document.sha256 for one in round_.documents if one.slot == slot)


def _service_clock(review: TechnicalReview) -> timekeeping.StoredClock | None:
    if review.commission is None:
        return None
    return timekeeping.running(review.commission.subject, ClockKind.SERVICE)
