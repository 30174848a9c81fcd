"""Every document that can be read in the browser is drawn once, in the background, whatever is killed meanwhile.

Requirement: first page at once, progress, named errors, nothing lost (issue, "The technical-review portal", 5 and 6).
"""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from apiflask import APIFlask
from PIL import Image
from sqlalchemy import Engine, text

from kernel import files, previews, trail
from kernel.db import session, transaction
from kernel.errors import NotFound
from kernel.files import Document
from kernel.previews import PreviewStatus
from kernel.trail import Actor

ROOT = Path(__file__).resolve().parents[2]
OWNER = Actor(None, "王工", None, "测绘院")
Keep = Callable[[bytes, str], Document]


def _load(name: str) -> ModuleType:
    """A helper beside this file; tests are no package."""
    found = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


samples = _load("preview_samples")


@pytest.fixture
def folder(portal: APIFlask, tmp_path: Path) -> Iterator[Path]:
    """An empty folder for pictures."""
    previews.configure(tmp_path / "previews")
    yield tmp_path / "previews"
    previews.configure(portal.extensions["portal"].data / "previews")


@pytest.fixture
def keep(folder: Path) -> Keep:
    """Stores a document and asks for its preview."""

    def store(content: bytes, name: str = "report.pdf") -> Document:
        with transaction():
            document = files.put(io.BytesIO(content), name, by=OWNER)
            previews.request(document)
        return document

    return store


@pytest.fixture
def keep_unjudged(folder: Path) -> Keep:
    """As if a file had passed the inspection of uploads that shouldn't have: only the reader's limits are left."""

    def store(content: bytes, name: str = "report.pdf") -> Document:
        with transaction():
            document = files.put(io.BytesIO(samples.numbered(1, os.urandom(8).hex())), name, by=OWNER)
            session.expunge(document)
            files.path_of(document.sha256).write_bytes(content)
            document.pages = None
            previews.request(document)
        return document

    return store


def preview_of(document: Document) -> previews.Preview:
    found = previews.of(document.sha256)
    assert found is not None
    return found


def size_of(document: Document, page: int = 1) -> tuple[int, int]:
    row = previews.page_of(document.sha256, page)
    assert row is not None
    with Image.open(previews.image_path(document.sha256, page)) as image:
        assert image.size == (row.width, row.height)
        return image.size


# --- what is drawn ---


def test_every_page_gets_a_picture_and_its_text(keep: Keep) -> None:
    document = keep(samples.numbered(3))
    assert preview_of(document).status == PreviewStatus.QUEUED
    assert previews.work() == 3
    preview = preview_of(document)
    assert (preview.status, preview.pages, preview.pages_done) == (PreviewStatus.READY, 3, 3)
    assert preview.has_text
    assert [page.text for page in previews.pages_of(document.sha256)] == [f"第{n}页\n内容" for n in (1, 2, 3)]
    assert size_of(document)[0] == 1100


def test_a_word_s_box_is_where_the_picture_shows_it(keep: Keep) -> None:
    document = keep(samples.pdf([["容积率"]], top=420))
    previews.work()
    page = previews.page_of(document.sha256, 1)
    assert page is not None
    ((word, x, y, width, height),) = page.words
    assert word == "容积率"
    assert (x, width) == (pytest.approx(101, abs=3), pytest.approx(60, abs=6))
    assert 480 < y < 500 < y + height < 520


@pytest.mark.parametrize(
    ("degrees", "corner"), [(0, (True, True)), (90, (False, True)), (180, (False, False)), (270, (True, False))]
)
def test_a_turned_page_is_shown_upright_and_its_words_fit_the_picture(
    keep: Keep, degrees: int, corner: tuple[bool, bool]
) -> None:
    """A word in the page's own upper left corner; ``corner``: it is then shown at the left, at the top."""
    document = keep(samples.turned(degrees, f"word{degrees}"))
    previews.work()
    wide, high = size_of(document)
    assert (wide > high) == (degrees in (90, 270))
    page = previews.page_of(document.sha256, 1)
    assert page is not None
    ((word, x, y, *_),) = page.words
    assert word == f"word{degrees}"
    assert ((x < 500), (y < 500)) == corner
    with Image.open(previews.image_path(document.sha256, 1)) as image:
        ink = image.convert("L").point(lambda value: 255 if value < 128 else 0).getbbox()
    assert ink is not None
    assert ink[0] * 1000 / wide == pytest.approx(x, abs=10)
    assert ink[1] * 1000 / high == pytest.approx(y, abs=12)


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((0, 0, 842, 595), 842 / 595),
        ((0, 0, 3370, 2384), 3370 / 2384),
        ((0, 0, 14400, 14400), 1.0),
        ((-100, -100, 495, 742), 595 / 842),
        ((0, 0, 14400, 10), None),
    ],
    ids=["landscape", "A0", "huge", "moved", "a ribbon"],
)
def test_sheets_of_every_size_are_drawn_within_bounds(keep: Keep, box: tuple[float, ...], shape: float | None) -> None:
    document = keep(samples.sized(box))
    previews.work()
    wide, high = size_of(document)
    assert wide * high <= 4_010_000
    assert max(wide, high) <= 4_001
    if shape is not None:
        assert wide / high == pytest.approx(shape, rel=0.01)


def test_a_page_without_size_is_drawn_all_the_same(keep: Keep) -> None:
    document = keep(samples.sized((0, 0, 0, 0)))
    previews.work()
    assert preview_of(document).status == PreviewStatus.READY
    assert size_of(document)[0] > 0


def test_visible_seals_are_shown(keep: Keep) -> None:
    document = keep(samples.sealed())
    previews.work()
    wide, high = size_of(document)
    with Image.open(previews.image_path(document.sha256, 1)) as image:
        assert image.convert("RGB").getpixel((wide // 2, high // 2)) == (255, 0, 0)


def test_scanned_pages_are_shown_and_said_to_have_no_text(keep: Keep) -> None:
    document = keep(samples.scanned(2))
    previews.work()
    preview = preview_of(document)
    assert (preview.status, preview.has_text) == (PreviewStatus.READY, False)
    page = previews.page_of(document.sha256, 2)
    assert page is not None
    assert not page.has_text
    assert size_of(document, 2)[0] == 1100


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_uploaded_picture_is_one_page(keep: Keep, kind: str) -> None:
    document = keep(samples.picture(kind), f"photo.{kind.lower()}")
    previews.work()
    assert (preview_of(document).status, preview_of(document).pages) == (PreviewStatus.READY, 1)
    assert size_of(document) == (400, 300)


def test_a_photograph_taken_sideways_is_shown_upright(keep: Keep) -> None:
    document = keep(samples.picture("JPEG", (4000, 3000), orientation=6), "photo.jpg")
    previews.work()
    wide, high = size_of(document)
    assert wide < high
    assert wide * high <= 4_010_000
    with Image.open(previews.image_path(document.sha256, 1)) as image:
        red, green, _ = image.convert("RGB").getpixel((wide - 10, 10))  # type: ignore[misc]
    assert (red > 200, green < 80) == (True, True), "the upper left corner of the sensor is now the upper right"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "I;16"])
def test_pictures_of_every_depth_are_shown(keep: Keep, mode: str) -> None:
    document = keep(samples.picture("PNG", mode=mode), "photo.png")
    previews.work()
    assert preview_of(document).status == PreviewStatus.READY
    with Image.open(previews.image_path(document.sha256, 1)) as image:
        assert image.convert("L").getpixel((399, 299)) == pytest.approx(255, abs=3)
        assert image.convert("L").getpixel((20, 20)) < 150


# --- what can't be shown, and why ---


@pytest.mark.parametrize("name", ["plan.dwg", "report.ofd", "report.docx", "table.csv"])
def test_other_formats_are_kept_and_say_that_they_are_not_shown(keep: Keep, name: str) -> None:
    content = {sample[0].rpartition(".")[2]: sample[1] for sample in _load("hostile").HONEST.values()}
    document = keep(content[name.rpartition(".")[2]](), name)
    preview = preview_of(document)
    assert preview.status == PreviewStatus.NONE
    assert preview.problem_text() == "该格式不支持在线预览，请下载原件查看"
    assert "download" in preview.problem_text("en")
    assert files.verify(document)
    assert previews.work() == 0


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (samples.encrypted, "preview_encrypted"),
        (samples.damaged, "preview_damaged"),
        (lambda: samples.many(10_000), "preview_too_long"),
        (lambda: samples.many(0), "preview_damaged"),
    ],
    ids=["encrypted", "damaged", "ten thousand pages", "no page"],
)
def test_what_cannot_be_shown_says_why(keep_unjudged: Keep, make: Callable[[], bytes], problem: str) -> None:
    content = make()
    document = keep_unjudged(content, "report.pdf")
    assert previews.work() == 0
    preview = preview_of(document)
    assert (preview.status, preview.problem) == (PreviewStatus.FAILED, problem)
    assert preview.problem_text()
    assert preview.problem_text("en")
    assert files.path_of(document.sha256).read_bytes() == content


def test_a_document_of_more_than_two_thousand_pages_is_kept_and_not_drawn(keep: Keep) -> None:
    document = keep(samples.many(2_001))
    preview = preview_of(document)
    assert (preview.status, preview.problem) == (PreviewStatus.FAILED, "preview_too_long")
    assert files.verify(document)
    assert [act.data["problem"] for act in trail.of(preview.subject)] == ["preview_too_long"]


def test_an_original_that_is_gone_is_named_and_can_be_tried_again(keep: Keep) -> None:
    content = samples.numbered(1)
    document = keep(content)
    files.path_of(document.sha256).unlink()
    previews.work()
    assert preview_of(document).problem == "preview_lost"
    files.path_of(document.sha256).write_bytes(content)
    with transaction():
        previews.retry(document.sha256)
    previews.work()
    assert preview_of(document).status == PreviewStatus.READY


def test_a_broken_page_does_not_hide_the_others(keep_unjudged: Keep) -> None:
    document = keep_unjudged(samples.one_page_broken(), "report.pdf")
    previews.work()
    preview = preview_of(document)
    assert preview.status == PreviewStatus.READY
    problems = [page.problem for page in previews.pages_of(document.sha256)]
    assert problems[0] == ""
    assert "page_unreadable" in problems


def test_a_page_that_broke_the_reader_three_times_is_left_out_by_name(keep: Keep, owner_engine: Engine) -> None:
    document = keep(samples.numbered(3))
    with owner_engine.connect() as connection:
        connection.execute(text("UPDATE previews SET pages = 3, attempts = 3"))
    assert previews.work() == 2
    preview = preview_of(document)
    assert (preview.status, preview.pages_done) == (PreviewStatus.READY, 3)
    pages = previews.pages_of(document.sha256)
    assert [page.problem for page in pages] == ["page_too_heavy", "", ""]
    assert pages[0].problem_text()
    assert not previews.image_path(document.sha256, 1).exists()


@pytest.mark.nightly
def test_a_page_that_takes_all_memory_ends_the_reader_alone(keep: Keep) -> None:
    document = keep(samples.hostile_page())
    assert previews.work() == 2
    assert preview_of(document).status == PreviewStatus.READY
    assert [page.problem for page in previews.pages_of(document.sha256)] == ["", "page_too_heavy", ""]


def test_a_document_that_breaks_the_reader_page_after_page_is_refused(keep: Keep, owner_engine: Engine) -> None:
    document = keep(samples.numbered(9))
    broken = text(
        "INSERT INTO preview_pages (preview_id, page, width, height, text, words, picture, problem) "
        "SELECT id, n, 0, 0, '', '[]', '', 'page_too_heavy' FROM previews, generate_series(1, 3) n; "
        "UPDATE previews SET pages = 9, attempts = 3"
    )
    with owner_engine.connect() as connection:
        connection.execute(broken)
    assert previews.work() == 0
    assert (preview_of(document).status, preview_of(document).problem) == (PreviewStatus.FAILED, "preview_too_heavy")


# --- once, in order, and first what somebody waits for ---


def test_the_same_content_is_drawn_once_whoever_uploads_it(keep: Keep) -> None:
    first, second = keep(samples.numbered(2)), keep(samples.numbered(2), "copy.pdf")
    assert first.number != second.number
    assert previews.work() == 2
    assert preview_of(first).id == preview_of(second).id


def test_a_page_that_somebody_waits_for_comes_before_everything_else(keep: Keep) -> None:
    earlier, later = keep(samples.numbered(3, "earlier")), keep(samples.numbered(4, "later"))
    with transaction():
        previews.ask_first(later.sha256, 3)
    drawn: list[tuple[str, int]] = []

    def one_more() -> bool:
        drawn[:] = [
            (document.name, page.page)
            for document in (earlier, later)
            for page in previews.pages_of(document.sha256, with_text=False)
        ]
        return bool(drawn)

    previews.work(stopped=one_more)
    assert previews.page_of(later.sha256, 3) is not None
    assert preview_of(earlier).pages_done == 0
    previews.work()
    assert [preview_of(each).status for each in (earlier, later)] == [PreviewStatus.READY] * 2


def test_a_worker_gives_way_to_a_document_that_somebody_waits_for(keep: Keep) -> None:
    long, short = keep(samples.numbered(30, "long")), None
    thread = _Background(previews.work)
    thread.start()
    _wait(lambda: preview_of(long).pages_done >= 2)
    short = keep(samples.numbered(1, "short"))
    with transaction():
        previews.ask_first(short.sha256)
    _wait(lambda: preview_of(short).status == PreviewStatus.READY)
    assert preview_of(long).status != PreviewStatus.READY
    thread.finish()
    assert preview_of(long).status == PreviewStatus.READY


def test_asking_for_what_is_there_or_cannot_be_writes_nothing(keep: Keep) -> None:
    document = keep(samples.numbered(2))
    previews.work()
    with transaction():
        previews.ask_first(document.sha256)
        previews.ask_first("0" * 64)
        assert not session.dirty
    assert preview_of(document).asked_at is None


def test_the_end_is_told_once_to_those_who_subscribe(keep: Keep) -> None:
    document = keep(samples.numbered(1))
    told: list[str] = []
    before = trail.subscriptions()
    trail.subscribe({"preview.finished": (lambda act, by: told.append(act.data["sha256"]),)})
    try:
        previews.work()
        previews.work()
    finally:
        trail.subscribe(before)
    assert told == [document.sha256]
    (act,) = trail.of(f"preview:{document.sha256[:16]}")
    assert (act.act, act.data["status"], act.data["pages"]) == ("preview.finished", "ready", 1)


# --- whatever is killed ---


def test_a_killed_reader_is_replaced_and_goes_on_at_the_next_page(keep: Keep) -> None:
    document = keep(samples.numbered(20))
    thread = _Background(previews.work)
    thread.start()
    _wait(lambda: preview_of(document).pages_done >= 5)
    before = {page.page: page.id for page in previews.pages_of(document.sha256, with_text=False)}
    (reader,) = _readers()
    reader.send_signal(signal.SIGKILL)
    thread.finish()
    assert preview_of(document).status == PreviewStatus.READY
    after = {page.page: page.id for page in previews.pages_of(document.sha256, with_text=False)}
    assert sorted(after) == list(range(1, 21))
    assert {page: after[page] for page in before} == before


def test_a_worker_that_was_told_to_stop_leaves_no_reader_and_no_lease(keep: Keep) -> None:
    document = keep(samples.numbered(20))
    previews.work(stopped=lambda: preview_of(document).pages_done >= 2)
    preview = preview_of(document)
    assert (preview.status, preview.lease, preview.attempts) == (PreviewStatus.QUEUED, "", 0)
    assert not _readers()
    left = 20 - preview.pages_done
    assert left
    assert previews.work() == left


def test_being_stopped_before_the_first_page_counts_for_nothing(keep: Keep) -> None:
    document = keep(samples.numbered(2))
    for _ in range(4):
        answers = iter([False])
        assert previews.work(stopped=lambda answers=answers: next(answers, True)) == 0  # type: ignore[misc]
    assert (preview_of(document).status, preview_of(document).attempts) == (PreviewStatus.QUEUED, 0)
    assert previews.work() == 2
    assert [page.problem for page in previews.pages_of(document.sha256)] == ["", ""]


def test_two_workers_at_once_draw_each_page_once(portal: APIFlask, keep: Keep) -> None:
    documents = [keep(samples.numbered(8, f"document {number}")) for number in range(4)]
    counts: list[int] = []

    def work() -> None:
        with portal.app_context():
            counts.append(previews.work())
            session.remove()

    threads = [_Background(work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.finish()
    assert sum(counts) == 32
    for document in documents:
        assert [page.page for page in previews.pages_of(document.sha256)] == list(range(1, 9))
        assert preview_of(document).status == PreviewStatus.READY


def test_the_preview_of_a_killed_worker_is_taken_up_when_its_lease_is_over(
    keep: Keep, folder: Path, owner_engine: Engine
) -> None:
    document = keep(samples.numbered(3))
    lease = text("UPDATE previews SET status = 'rendering', lease = 'dead', leased_until = now() + :left")
    with owner_engine.connect() as connection:
        connection.execute(lease, {"left": "1 minute"})
    assert previews.work() == 0
    with owner_engine.connect() as connection:
        connection.execute(lease, {"left": "-1 second"})
    assert previews.work() == 3
    assert preview_of(document).status == PreviewStatus.READY


def test_deleted_pictures_are_made_again(keep: Keep) -> None:
    document = keep(samples.numbered(3))
    previews.work()
    previews.image_path(document.sha256, 2).unlink()
    with transaction():
        previews.retry(document.sha256)
    assert preview_of(document).pages_done == 2
    assert previews.work() == 1
    assert previews.image_path(document.sha256, 2).is_file()
    assert preview_of(document).status == PreviewStatus.READY


def test_unknown_previews_are_not_found(folder: Path) -> None:
    assert previews.of("0" * 64) is None
    with transaction(), pytest.raises(NotFound):
        previews.retry("0" * 64)
    with pytest.raises(ValueError, match="SHA-256"):
        previews.image_path("../../etc/passwd", 1)


# --- the process ---


def test_the_worker_draws_what_arrives_and_stops_when_told(keep: Keep, folder: Path, portal: APIFlask) -> None:
    settings = portal.extensions["portal"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PORTAL_", "DATABASE_", "PYTEST"))}
    urls = {"DATABASE_URL": settings.database_url, "DATABASE_OWNER_URL": settings.database_owner_url}
    worker = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "previews", "work"],
        cwd=ROOT,
        env=kept | urls | {"PORTAL_DATA": str(settings.data), "SANDBOX": "1"},
        stdin=subprocess.DEVNULL,
    )
    try:
        document = keep(samples.numbered(2))
        _wait(lambda: preview_of(document).status == PreviewStatus.READY, seconds=60)
        worker.terminate()
        assert worker.wait(3) == 0
    finally:
        worker.kill()
        worker.wait()


def test_commands_show_and_mend(portal: APIFlask, keep: Keep) -> None:
    document = keep(samples.numbered(2))
    run = portal.test_cli_runner().invoke
    told = run(args=["previews", "work", "--once"])
    assert told.exit_code == 0, told.output
    assert f"{document.sha256}\t可预览\t2/2" in run(args=["previews", "list"]).output
    assert '"status": "ready"' in run(args=["previews", "list", "--json", "--status", "ready"]).output
    assert run(args=["previews", "list", "--status", "failed"]).output == ""
    assert run(args=["previews", "retry", "0" * 64]).exit_code == 1
    assert "可预览" in run(args=["previews", "retry", document.sha256]).output


# --- helpers ---


class _Background(threading.Thread):
    """Work beside the test, in an application context of its own; what it raises is raised by :meth:`finish`."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        from flask import current_app

        self._work, self._app, self._fault = work, current_app._get_current_object(), None  # type: ignore[attr-defined]

    def run(self) -> None:
        try:
            with self._app.app_context():
                self._work()
                session.remove()
        except BaseException as fault:
            self._fault = fault

    def finish(self) -> None:
        self.join(60)
        assert not self.is_alive()
        if self._fault is not None:
            raise self._fault


def _readers() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any("page_reader" in part for part in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def _wait(wanted: Callable[[], bool], *, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
