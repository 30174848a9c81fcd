"""Whoever keeps a draw waiting is told so, at the end of each of the policy's intervals."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from kernel import workflow
from kernel.db import session
from kernel.trail import CLOCK
from market.custody import Custodian
from market.drawing.holding import find
from market.drawing.life import STEPS
from market.drawing.records import Draw
from market.drawing.waiting import awaited, limit_after, tell, waits_for_outside

#: A draw that nobody cares about any more isn't urged for ever.
MOST_URGED = 5


def due(until: datetime, most: int) -> list[tuple[datetime, str]]:
    """Due-loop source: draws whose parties are late."""
    rows = session.execute(
        select(Draw.next_check_at, Draw.number)
        .where(Draw.next_check_at.is_not(None), Draw.next_check_at <= until)
        .order_by(Draw.next_check_at, Draw.id)
        .limit(most)
    )
    return [(at, number) for at, number in rows if at is not None]


def act_on_due(number: str, at: datetime) -> None:
    """Tell those who are awaited; the platform, when it is the outside value that is."""
    draw = find(number, lock=True)
    if draw.next_check_at != at:
        return
    late = awaited(draw)
    if waits_for_outside(draw):
        late = [party for party in draw.parties if party.party == Custodian.PLATFORM.value]
    draw.urged += 1
    draw.next_check_at = limit_after(at) if draw.urged < MOST_URGED else None
    workflow.step(draw, STEPS, "urge", by=CLOCK, at=at, waiting=[party.party for party in late])
    tell(draw, late, "draw.urged", is_warning=True, at=at)
