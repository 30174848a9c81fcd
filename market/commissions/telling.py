"""Telling the two sides of a commission."""

from __future__ import annotations

from datetime import datetime

from kernel import notifications
from market.commissions.records import Commission


def tell_client(commission: Commission, act: str, *, is_warning: bool = False, at: datetime | None = None) -> None:
    notifications.tell_organisation(
        commission.client_id,
        subject=commission.subject,
        act=act,
        title=commission.title,
        is_warning=is_warning,
        at=at,
        project=commission.project.name,
    )


def tell_agency(commission: Commission, act: str, *, is_warning: bool = False, at: datetime | None = None) -> None:
    if commission.agency is not None:
        notifications.tell_organisation(
            commission.agency.organisation_id,
            subject=commission.subject,
            act=act,
            title=commission.title,
            is_warning=is_warning,
            at=at,
            project=commission.project.name,
        )
