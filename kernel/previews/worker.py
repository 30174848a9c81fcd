"""Drawing what is queued: ``flask previews work``. Several workers at once are harmless.

A worker *leases* a preview by machine time and loses it when it shows no progress, so that one that was killed leaves
nothing behind: the next one goes on at the first page that is missing. What kills the reader three times running at the
same page is given up: the page, or the whole when too many pages or the opening itself do that.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import token_hex
from typing import Final

from sqlalchemy import and_, exists, func, or_, select

from kernel import clock, files, workflow
from kernel.db import session, transaction
from kernel.previews.incidents import PageTooHeavy, PreviewDamaged, PreviewTooHeavy, PreviewTooLong
from kernel.previews.reader import Drawn, Reader, ReaderEnded, Refused, Stopped
from kernel.previews.records import (
    KINDS,
    MOST_PAGES,
    TURNS,
    Preview,
    PreviewPage,
    PreviewStatus,
    image_path,
    record_finished,
)

#: How long a worker may be silent; longer than the reader may take for one page.
LEASE: Final = timedelta(seconds=60)
#: So often a preview is taken without progress before its next page is given up.
ATTEMPTS: Final = 3
#: So many pages may be given up before the whole is.
GIVEN_UP: Final = 3


class _LeaseLost(Exception):
    """Another worker has it, or somebody asked for it anew."""


@dataclass(slots=True)
class _Turn:
    """A preview that this worker has leased: ``done`` are its drawn pages, ``asked`` the page somebody waits for."""

    key: int
    sha256: str
    kind: str
    lease: str
    pages: int | None
    done: set[int] = field(default_factory=set)
    asked: int | None = None
    give_way: bool = False

    def next_page(self) -> int | None:
        """The page somebody waits for, else the first that is missing."""
        if self.asked is not None and self.asked not in self.done and self.asked <= (self.pages or 0):
            return self.asked
        return _first_missing(self.done, self.pages or 0)


def work(limit_seconds: float = 60.0, stopped: Callable[[], bool] = lambda: False) -> int:
    """Draw queued pages for at most so long, or until ``stopped`` or nothing is left; answer how many were drawn.

    An edge of its own: every page is stored in a transaction of its own. Waits for nothing longer than 0.1 s without
    asking ``stopped``; what is under way then goes back to the queue.
    """
    until = time.monotonic() + limit_seconds
    count = 0
    while not stopped() and time.monotonic() < until and (turn := _take()) is not None:
        count += _draw(turn, until, stopped)
    return count


def _take() -> _Turn | None:
    """Lease the preview somebody waits for longest, else the oldest."""
    while True:
        moment = clock.machine()
        with transaction():
            preview = session.scalars(
                select(Preview)
                .where(
                    or_(
                        Preview.status == PreviewStatus.QUEUED,
                        and_(Preview.status == PreviewStatus.RENDERING, Preview.leased_until < moment),
                    )
                )
                .order_by(Preview.asked_at.asc().nulls_last(), Preview.requested_at, Preview.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if preview is None:
                return None
            done = set(session.scalars(select(PreviewPage.page).where(PreviewPage.preview_id == preview.id)))
            turn = _Turn(
                key=preview.id,
                sha256=preview.sha256,
                kind=KINDS[preview.media_type],
                lease=token_hex(8),
                pages=preview.pages,
                done=done,
                asked=preview.asked_page,
            )
            if preview.attempts >= ATTEMPTS:
                _give_up(preview, turn)
            if preview.is_open:
                workflow.turn(preview, TURNS, "take")
                preview.lease, preview.leased_until = turn.lease, moment + LEASE
                preview.attempts += 1
                return turn


def _draw(turn: _Turn, until: float, stopped: Callable[[], bool]) -> int:
    """Draw a leased preview's pages until the end, or as long as this worker may; answer how many."""
    count = 0
    try:
        with Reader(files.path_of(turn.sha256), turn.kind, stopped) as reader:
            _begin(turn, reader.pages)
            while (number := turn.next_page()) is not None:
                drawn = reader.page(number)
                if drawn.picture:
                    _keep(turn.sha256, number, drawn.picture)
                _store(turn, drawn)
                count += 1
                if turn.give_way or stopped() or time.monotonic() > until:
                    raise Stopped
    except Refused as refused:
        _fail(turn, refused.code)
    except Stopped:
        _release(turn, is_fault=False)
    except ReaderEnded:
        _release(turn, is_fault=True)
    except _LeaseLost:
        pass
    return count


def _begin(turn: _Turn, pages: int) -> None:
    """The document is open: write down how many pages it has."""
    if pages > MOST_PAGES:
        raise Refused(PreviewTooLong.code)
    turn.pages = pages
    with transaction():
        preview = _held(turn)
        preview.pages, preview.pages_done = pages, len(turn.done)
        _finish_if_done(preview, turn)


def _store(turn: _Turn, drawn: Drawn) -> None:
    """The page's row and the progress; the lease is renewed and the latest wish is heard."""
    with transaction():
        preview = _held(turn)
        session.add(
            PreviewPage(
                preview_id=turn.key,
                page=drawn.page,
                width=drawn.width,
                height=drawn.height,
                text=drawn.text,
                words=drawn.words or [],
                picture=hashlib.sha256(drawn.picture).hexdigest() if drawn.picture else "",
                problem=drawn.problem,
            )
        )
        turn.done.add(drawn.page)
        preview.pages_done = len(turn.done)
        preview.has_text = preview.has_text or bool(drawn.words)
        preview.attempts, preview.leased_until = 0, clock.machine() + LEASE
        if preview.asked_page in turn.done:
            preview.asked_at = preview.asked_page = None
        turn.asked = preview.asked_page
        # Nobody waits for this one: then whoever waits for another comes first.
        turn.give_way = turn.asked is None and _somebody_waits()
        _finish_if_done(preview, turn)


def _somebody_waits() -> bool:
    waiting = exists().where(Preview.status == PreviewStatus.QUEUED, Preview.asked_at.is_not(None))
    return bool(session.scalar(select(waiting)))


def _finish_if_done(preview: Preview, turn: _Turn) -> None:
    if turn.next_page() is not None:
        return
    session.flush()
    problems = set(session.scalars(select(PreviewPage.problem).where(PreviewPage.preview_id == preview.id).distinct()))
    if "" in problems:
        _end(preview, PreviewStatus.READY, "")
    else:
        is_heavy = PageTooHeavy.code in problems
        _end(preview, PreviewStatus.FAILED, PreviewTooHeavy.code if is_heavy else PreviewDamaged.code)


def _end(preview: Preview, status: PreviewStatus, problem: str) -> None:
    workflow.turn(preview, TURNS, "finish" if status is PreviewStatus.READY else "fail")
    preview.problem, preview.lease = problem, ""
    preview.leased_until = preview.asked_at = preview.asked_page = None
    preview.finished_at = clock.machine()
    record_finished(preview)


def _fail(turn: _Turn, code: str) -> None:
    try:
        with transaction():
            _end(_held(turn), PreviewStatus.FAILED, code)
    except _LeaseLost:
        pass


def _release(turn: _Turn, *, is_fault: bool) -> None:
    """Back into the queue. What went wrong counts as an attempt, being told to stop does not."""
    try:
        with transaction():
            preview = _held(turn)
            if preview.is_open:
                workflow.turn(preview, TURNS, "release")
                preview.lease, preview.leased_until = "", None
                if not is_fault:
                    preview.attempts = max(0, preview.attempts - 1)
    except _LeaseLost:
        pass


def _give_up(preview: Preview, turn: _Turn) -> None:
    """The next page broke the reader again and again: it is left out; a document that goes on like that is refused."""
    number = turn.next_page()
    given_up = session.scalar(
        select(func.count()).where(PreviewPage.preview_id == preview.id, PreviewPage.problem == PageTooHeavy.code)
    )
    if number is None or (given_up or 0) >= GIVEN_UP:
        _end(preview, PreviewStatus.FAILED, PreviewTooHeavy.code)
        return
    session.add(
        PreviewPage(
            preview_id=preview.id,
            page=number,
            width=0,
            height=0,
            text="",
            words=[],
            picture="",
            problem=PageTooHeavy.code,
        )
    )
    turn.done.add(number)
    preview.pages_done, preview.attempts = len(turn.done), 0
    if preview.asked_page == number:
        preview.asked_at = preview.asked_page = None
    turn.asked = preview.asked_page
    _finish_if_done(preview, turn)


def _held(turn: _Turn) -> Preview:
    """The preview, locked, if it is still ours."""
    preview = session.scalars(
        select(Preview)
        .where(Preview.id == turn.key, Preview.lease == turn.lease)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
    if preview is None:
        raise _LeaseLost
    return preview


def _keep(sha256: str, page: int, picture: bytes) -> None:
    """Put a picture in its place at once; it needn't survive a power cut, it can be made again."""
    path = image_path(sha256, page)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{page}.{token_hex(8)}.part")
    try:
        temporary.write_bytes(picture)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _first_missing(done: Set[int], pages: int) -> int | None:
    return next((page for page in range(1, pages + 1) if page not in done), None)
