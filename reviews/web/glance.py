"""One question before a round's page: may this person see it, and is it still as it was (decision 5)?

All that the page shows is told by acts on the review, but for the drafts of whoever looks, the pages of the documents
that are still being made, and the places found in them. The day is for the departments' time limits.
"""

from __future__ import annotations

from collections.abc import Hashable

from flask import request
from sqlalchemy import cast, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.types import Text

from kernel import clock
from kernel.db import session
from kernel.previews.records import Preview
from kernel.trail import Actor, TrailHead
from kernel.web import language
from reviews import technical
from reviews.rounds import Opinion, OpinionStatus, Round, RoundDocument
from reviews.rounds.records import Place
from reviews.technical import TechnicalReview

_head = (
    select(TrailHead.hash)
    .where(TrailHead.subject == literal("review:") + TechnicalReview.number)
    .correlate(TechnicalReview)
    .scalar_subquery()
)
#: ``xmin``: the transaction that last wrote the row; drafts leave no act, so that nobody hears of them.
_drafts = (
    select(
        func.string_agg(
            Opinion.key + literal(":") + cast(literal_column("review_opinions.xmin"), Text),
            aggregate_order_by(literal(","), Opinion.id),
        )
    )
    .where(Opinion.round_id == Round.id, Opinion.status == OpinionStatus.DRAFTED)
    .correlate(Round)
    .scalar_subquery()
)
_previews = (
    select(
        func.string_agg(
            cast(Preview.status, Text) + literal(":") + cast(Preview.pages_done, Text),
            aggregate_order_by(literal(","), RoundDocument.id),
        )
    )
    .select_from(RoundDocument)
    .join(Preview, Preview.sha256 == RoundDocument.sha256)
    .where(RoundDocument.round_id == Round.id)
    .correlate(Round)
    .scalar_subquery()
)
_places = select(func.count(Place.id)).where(Place.round_id == Round.id).correlate(Round).scalar_subquery()


def key(number: str, round_number: int, by: Actor) -> Hashable | None:
    """What the body of a round's page depends on for this person; None when it must not be kept.

    Not kept: a page that is not theirs to see, and the applicant's, which may hold a form.
    """
    seen = session.execute(
        select(TechnicalReview.applicant_id, _head, _drafts, _previews, _places)
        .select_from(TechnicalReview)
        .join(Round, Round.review_id == TechnicalReview.id)
        .where(
            TechnicalReview.number == number,
            Round.number == round_number,
            Round.cancelled_at.is_(None),
            technical.visible(by),
        )
    ).first()
    if seen is None or seen.applicant_id == by.organisation_id:
        return None
    who = by.person_id, by.organisation_id, by.roles
    return number, round_number, request.query_string, tuple(seen), who, language(), clock.today()
