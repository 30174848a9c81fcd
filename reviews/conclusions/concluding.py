"""Four eyes on a conclusion, and its retraction before anybody else could rely on it (life-cycles §3)."""

from __future__ import annotations

import hashlib
import io
from datetime import date

from kernel import clock, files, timekeeping, workflow
from kernel.clock import Light
from kernel.errors import PortalError
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from market.commissions import given_reason
from market.deliverables import ValidityPast
from reviews import panels, report, rounds
from reviews.conclusions.faults import (
    MustsOpen,
    NothingFails,
    NotProposed,
    OnlyFailed,
    OutcomeMissing,
    RetractionMissing,
    SignerConflicted,
    StillInTime,
    SummaryMissing,
)
from reviews.conclusions.reporting import report_of
from reviews.kinds import Grade
from reviews.rounds import Round
from reviews.technical import STEPS, Outcome, ReviewStatus, TechnicalReview, tell_applicant, tell_body

MOST_TEXT = 10_000


def unmet(review: TechnicalReview, outcome: Outcome) -> PortalError | None:
    """Why this outcome can't be given now, or None: the one rule for the button, its grey reason and the verb.

    Pass: everybody is in and no mandatory opinion is open. Fail: at least one is, or the applicant's time to answer is
    over.
    """
    round_ = rounds.open_round_of(review)
    if review.status is ReviewStatus.WITH_APPLICANT:
        if outcome is not Outcome.FAILED:
            return OnlyFailed()
        response = timekeeping.running(review.subject, ClockKind.RESPONSE)
        if response is None or timekeeping.reading(response).light is not Light.RED:
            return StillInTime()
        return None
    try:
        rounds.require_all_in(round_)
    except PortalError as waiting:
        return waiting
    standing = rounds.open_musts(review)
    fresh = [one for one in rounds.submitted_in(round_) if one.grade is Grade.MUST]
    if outcome is Outcome.PASSED and (standing or fresh):
        numbers = "、".join([str(one.number) for one in standing] + ["本轮新提"] * bool(fresh))
        return MustsOpen(count=len(standing) + len(fresh), numbers=numbers)
    if outcome is Outcome.FAILED and not standing and not fresh:
        return NothingFails()
    return None


def propose(
    review: TechnicalReview,
    outcome: Outcome | None,
    summary: str,
    *,
    by: Actor,
    valid_until: date | None = None,
    expected_version: int | None = None,
) -> None:
    """The lead proposes; said again before the second signer confirms, the later proposal counts.

    Raises:
        OutcomeMissing, SummaryMissing, deliverables.ValidityPast, what :func:`unmet` answers, rounds.NoRound, workflow errors.
    """
    workflow.check(review, STEPS, "propose", by=by, expected_version=expected_version)
    if outcome is None:
        raise OutcomeMissing(field="outcome")
    said = summary.strip()[:MOST_TEXT]
    if not said:
        raise SummaryMissing(field="summary")
    if valid_until is not None and valid_until < clock.today():
        raise ValidityPast(field="valid_until", value=valid_until.isoformat())
    against = unmet(review, outcome)
    if against is not None:
        raise against
    review.outcome = outcome
    review.summary = said
    review.valid_until = valid_until
    review.proposed_at = clock.now()
    workflow.step(review, STEPS, "propose", by=by, outcome=outcome.value)


def conclude(review: TechnicalReview, *, by: Actor, expected_version: int | None = None) -> None:
    """审查结束: a second person of the body confirms; the round ends and the report's fingerprint is fixed.

    Raises:
        SignerConflicted, NotProposed, what :func:`unmet` answers by now, workflow errors.
    """
    workflow.check(review, STEPS, "conclude", by=by, expected_version=expected_version)
    if panels.is_shut(review, by):
        raise SignerConflicted
    if review.outcome is None or review.proposed_at is None:
        raise NotProposed
    against = unmet(review, review.outcome)
    if against is not None:
        raise against
    round_ = rounds.open_round_of(review)
    _close(review, round_, by)
    review.second_id = by.person_id
    workflow.step(review, STEPS, "conclude", by=by, outcome=review.outcome.value, round=round_.number)
    content = report.compile_report(report_of(review))
    review.report_sha256 = hashlib.sha256(content).hexdigest()
    review.report_size = len(content)
    review.report_document_id = files.put(
        io.BytesIO(content), f"{review.kind.title_of_report}-{review.number}.pdf", by=by
    ).id
    tell_body(review, "review.concluded")


def ask_retraction(review: TechnicalReview, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The lead asks to take the conclusion back before publication; an authority agrees.

    Raises:
        commissions.ReasonMissing, workflow errors.
    """
    workflow.check(review, STEPS, "ask_retraction", by=by, expected_version=expected_version)
    review.retraction = given_reason(reason)
    workflow.step(review, STEPS, "ask_retraction", by=by, reason=review.retraction)


def retract(review: TechnicalReview, *, by: Actor, expected_version: int | None = None) -> None:
    """The authority agrees: the conclusion is void, its round is open again, its clock begins anew.

    Raises:
        RetractionMissing, workflow errors.
    """
    workflow.check(review, STEPS, "retract", by=by, expected_version=expected_version)
    if not review.retraction:
        raise RetractionMissing
    reason, review.retraction = review.retraction, ""
    workflow.step(review, STEPS, "retract", by=by, reason=reason)
    review.outcome = None
    review.proposed_at = None
    review.second_id = None
    review.concluded_at = None
    review.report_sha256 = ""
    review.report_document_id = None
    round_ = rounds.open_round_of(review)
    round_.closed_at = None
    rounds.start_clock(review, review.subject, ClockKind.ROUND, review.kind.round_days, by)
    tell_applicant(review, "review.retracted")
    tell_body(review, "review.retracted")


def _close(review: TechnicalReview, round_: Round, by: Actor) -> None:
    if round_.closed_at is None:
        rounds.merge_and_number(review, round_, {})
        rounds.close(review, round_, by)
    response = timekeeping.running(review.subject, ClockKind.RESPONSE)
    if response is not None:  # closed without an answer: the service's own clock was waiting for it
        timekeeping.end(response, by=by)
        if review.commission is not None:
            service = timekeeping.running(review.commission.subject, ClockKind.SERVICE)
            if service is not None:
                timekeeping.go(service, f"round:{round_.number}", by=by)
