"""Technical review: one record beside the commission that bought it (000 §8.2–8.4, life-cycles §3, B2–B4).

"技术审查…纳入中介服务超市": a review is commissioned, started and ended as a service; while its commission is in service the
review runs on the table of its own in :mod:`~reviews.technical.life`. A review may also judge another agency's
deliverable; then it holds that deliverable until the panel has spoken (001 §9.4).
"""

from reviews.technical.beginning import (
    begin_for_deliverable,
    hand_over,
    on_ended,
    on_started,
    state_fields,
)
from reviews.technical.faults import DeliverableInReview, FieldInvalid, KindMissing, NotAMember, NotWaiting
from reviews.technical.finding import (
    can_see,
    find,
    holds,
    mine,
    of_commission,
    of_deliverable,
    of_subject,
    seats_known_by,
    visible,
)
from reviews.technical.judging import competence_known_by, may_judge, to_judge
from reviews.technical.life import STEPS, by_applicant, by_body, by_lead, moves
from reviews.technical.records import NUMBER, OVER, Outcome, ReviewStatus, TechnicalReview
from reviews.technical.telling import tell_applicant, tell_body

__all__ = [
    "NUMBER",
    "OVER",
    "STEPS",
    "DeliverableInReview",
    "FieldInvalid",
    "KindMissing",
    "NotAMember",
    "NotWaiting",
    "Outcome",
    "ReviewStatus",
    "TechnicalReview",
    "begin_for_deliverable",
    "by_applicant",
    "by_body",
    "by_lead",
    "can_see",
    "competence_known_by",
    "find",
    "hand_over",
    "holds",
    "may_judge",
    "mine",
    "moves",
    "of_commission",
    "of_deliverable",
    "of_subject",
    "on_ended",
    "on_started",
    "seats_known_by",
    "state_fields",
    "tell_applicant",
    "tell_body",
    "to_judge",
    "visible",
]
