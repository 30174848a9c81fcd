"""Who keeps a draw waiting, until when, and the line in their inbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from kernel import clock, notifications, policies
from market.drawing.faults import WithheldTooSoon
from market.drawing.records import Draw, DrawParty, DrawStatus


def limit_after(moment: datetime) -> datetime:
    """The end of the policy's last working day after ``moment``."""
    count = int(policies.current("draw_response").values["working_days"])
    last = clock.china().nth_working_day(clock.local_date(moment), count)
    return clock.instant_of(last + timedelta(days=1))


def waits_for_outside(draw: Draw) -> bool:
    """All have committed, and the outside value that was named isn't there yet."""
    return draw.status is DrawStatus.COMMITTED and bool(draw.outside_source) and not draw.outside_value


def awaited(draw: Draw) -> list[DrawParty]:
    """The parties whose commitment or seed is missing now."""
    if draw.status is DrawStatus.LISTED:
        return [party for party in draw.parties if party.commitment is None]
    if draw.status is DrawStatus.COMMITTED and not waits_for_outside(draw):
        return [party for party in draw.parties if party.seed is None]
    return []


def withheld_from(draw: Draw) -> datetime | None:
    """From when a seed that isn't open counts as withheld; None while the parties aren't asked for seeds."""
    if draw.status is not DrawStatus.COMMITTED or waits_for_outside(draw):
        return None
    since = draw.outside_at or draw.committed_at
    return limit_after(since) if since is not None else None


def is_withheld(draw: Draw) -> bool:
    """Whether the seeds that aren't open yet are late."""
    limit = withheld_from(draw)
    return limit is not None and clock.now() >= limit


def check_withheld(draw: Draw, party: DrawParty) -> None:
    """Nobody opens another's seed before its time is over.

    Raises:
        WithheldTooSoon.
    """
    limit = withheld_from(draw)
    if limit is not None and party.seed is None and clock.now() < limit:
        raise WithheldTooSoon(until=limit.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M"), **party.names())


def tell(draw: Draw, parties: Sequence[DrawParty], act: str, *, is_warning: bool = False, at: datetime) -> None:
    """A line in the inbox of each organisation, once."""
    for organisation_id in sorted({party.organisation_id for party in parties}):
        notifications.tell_organisation(
            organisation_id,
            subject=draw.subject,
            act=act,
            title=f"{draw.purpose.zh}（{draw.number}）",
            is_warning=is_warning,
            at=at,
        )
