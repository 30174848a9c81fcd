"""Telling the sides of a review."""

from __future__ import annotations

from kernel import notifications
from reviews.technical.records import TechnicalReview


def tell_applicant(review: TechnicalReview, act: str, *, is_warning: bool = False) -> None:
    notifications.tell_organisation(
        review.applicant_id,
        subject=review.subject,
        act=act,
        title=review.title,
        is_warning=is_warning,
        project=review.project.name,
    )


def tell_body(review: TechnicalReview, act: str, *, is_warning: bool = False) -> None:
    """The lead; the panel is told by name where somebody's turn comes."""
    notifications.tell(
        [review.lead_id],
        subject=review.subject,
        act=act,
        title=review.title,
        is_warning=is_warning,
        project=review.project.name,
    )
