"""What a review looks like in the national exchange: SPGL_SGTSJWJSCXXB, kept for every kind (domain §2.4, 000 §8.4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reviews import rounds
from reviews.kinds import Grade
from reviews.rounds import Round
from reviews.technical import Outcome, TechnicalReview


def first_round_done_at(review: TechnicalReview) -> datetime | None:
    """When the first round ended: opinions issued, or concluded in it."""
    found = rounds.rounds_of(review)
    return found[0].closed_at if found else None


def violations(review: TechnicalReview) -> int:
    """How many mandatory clauses were found broken over all rounds."""
    return sum(1 for one in rounds.issued_of(review) if one.grade is Grade.MUST)


def national_record(review: TechnicalReview) -> dict[str, Any]:
    """The record by the standard's own column names; what isn't known is None, nothing is invented."""
    first = rounds.rounds_of(review)[:1]
    passed_at = review.finished_at if review.outcome is Outcome.PASSED else None
    return {
        "XMDM": review.project.code,
        "GCDM": review.engineering_code,
        "STYWBH": review.number,
        "JSDW": review.applicant.name,
        "JSDWDM": review.applicant.credit_code,
        "SCJG": review.body.name,
        "SCJGDM": review.body.credit_code,
        "SCKSRQ": review.begun_at.isoformat(),
        "CSWCSJ": _iso(first_round_done_at(review)),
        "CSSFTG": _passed_at_first(review, first[0]) if first else None,
        "CSYJ": "；".join(
            f"{one.number}. {one.found}" for one in rounds.issued_of(review) if first and one.round_id == first[0].id
        ),
        "SCZFXWFQTZS": violations(review),
        "SCTGSJ": _iso(passed_at),
    }


def _passed_at_first(review: TechnicalReview, first: Round) -> int | None:
    """1 or 0, and None while it is open: a conclusion counts once it is published."""
    if first.issued_at is not None:
        return 0
    return int(review.outcome is Outcome.PASSED) if review.finished_at is not None else None


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
