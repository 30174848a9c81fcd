"""Where an opinion's words stand in the next version: found by the quoted words, moved, or shown as changed (B5)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from kernel import previews
from kernel.db import session
from kernel.previews import PreviewStatus
from kernel.trail import Actor, TrailAct
from reviews.rounds.finding import issued_of, rounds_of
from reviews.rounds.records import Opinion, Place, PlaceKind, Round, RoundDocument
from reviews.technical import TechnicalReview


def carry_over(review: TechnicalReview, round_: Round) -> None:
    """Place every open opinion in a new round's documents; a version that isn't readable yet waits for its pages."""
    for opinion in issued_of(review, only_open=True):
        document = next((one for one in round_.documents if one.slot == opinion.slot), None)
        if document is not None:
            _place(opinion, round_, document, _before(review, opinion, round_))
    session.flush()


def on_preview(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``preview.finished``: opinions that waited for these pages find their place."""
    sha256 = str(act.data.get("sha256", ""))
    rows = session.execute(
        select(Round, RoundDocument)
        .join(RoundDocument, RoundDocument.round_id == Round.id)
        .where(RoundDocument.sha256 == sha256, Round.closed_at.is_(None), Round.cancelled_at.is_(None))
    )
    for round_, document in rows.unique().all():
        placed = set(session.scalars(select(Place.opinion_id).where(Place.round_id == round_.id)))
        for opinion in issued_of(round_.review, only_open=True):
            if opinion.slot == document.slot and opinion.id not in placed:
                _place(opinion, round_, document, _before(round_.review, opinion, round_))
    session.flush()


def place_in(opinion: Opinion, round_: Round) -> Place | None:
    """Where an opinion stands in a round; None while its pages are being made, or in the round it was written in."""
    return next((one for one in opinion.places if one.round_id == round_.id), None)


def _before(
    review: TechnicalReview, opinion: Opinion, round_: Round
) -> tuple[RoundDocument | None, int | None, list[int] | None]:
    """The last document in which the opinion's place is known, with that place."""
    page, box = opinion.page, opinion.box
    origin: Round = opinion.round
    for earlier in rounds_of(review):
        if not origin.number <= earlier.number < round_.number:
            continue
        placed = place_in(opinion, earlier)
        if placed is not None and placed.kind is not PlaceKind.CHANGED:
            origin, page, box = earlier, placed.page, placed.box
    document = next((one for one in origin.documents if one.slot == opinion.slot), None)
    return document, page, box


def _place(
    opinion: Opinion,
    round_: Round,
    document: RoundDocument,
    before: tuple[RoundDocument | None, int | None, list[int] | None],
) -> None:
    earlier, page, box = before
    if earlier is not None and earlier.sha256 == document.sha256:
        opinion.places.append(_row(opinion, round_, PlaceKind.SAME, page, box))
        return
    if opinion.page is None or not opinion.quote:
        pages = document.document.pages or 1
        kind = PlaceKind.FOUND if opinion.page is None else PlaceKind.CHANGED
        kept = min(page, pages) if page is not None else None
        opinion.places.append(_row(opinion, round_, kind, kept, None))
        return
    preview = previews.of(document.sha256)
    if preview is None or preview.status in {PreviewStatus.QUEUED, PreviewStatus.RENDERING}:
        return  # on_preview comes back to it
    found = None
    if preview.status is PreviewStatus.READY:
        x, y, width, height = box or (0, 0, 0, 0)
        around = (int(x), int(y), int(width), int(height))
        found = previews.find_quote(opinion.quote, previews.pages_of(document.sha256), near=(page or 1, around))
    if found is None:
        opinion.places.append(_row(opinion, round_, PlaceKind.CHANGED, None, None))
        return
    is_there = found.page == page and (box is None or _near(found.box, box))
    kind = PlaceKind.FOUND if is_there else PlaceKind.MOVED
    opinion.places.append(_row(opinion, round_, kind, found.page, list(found.box)))


def _near(one: Sequence[int], other: Sequence[int], slack: int = 20) -> bool:
    """Whether two boxes begin within two hundredths of the page of each other."""
    return abs(one[0] - other[0]) <= slack and abs(one[1] - other[1]) <= slack


def _row(opinion: Opinion, round_: Round, kind: PlaceKind, page: int | None, box: list[int] | None) -> Place:
    return Place(opinion_id=opinion.id, round_id=round_.id, kind=kind, page=page, box=box)
