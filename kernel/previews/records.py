"""The register of previews: which stored documents can be read in the browser, how far each is, and its pages.

A preview belongs to a content (SHA-256), not to a document: the same file is drawn once. Its pictures lie beside the
files and can be made again. No right to read is decided here: whoever shows a page asks :func:`kernel.files.may_read`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, UniqueConstraint, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, defer, mapped_column

from kernel import clock, trail, workflow
from kernel.db import Keyed, WordColumn, in_transaction, session
from kernel.errors import NotFound
from kernel.files import Document
from kernel.previews.incidents import PreviewTooLong, PreviewUnsupported, problem_text
from kernel.trail import SYSTEM, Actor
from kernel.words import Worded

#: Media type → what the reader calls it.
KINDS: Final = {"application/pdf": "pdf", "image/png": "picture", "image/jpeg": "picture"}
#: A longer document is kept as it is and not drawn.
MOST_PAGES: Final = 2_000

trail.name_acts(
    {
        "preview.finished": ("页面预览处理结束", "Page previews finished"),
        "preview.retried": ("重新生成页面预览", "Page previews made anew"),
    }
)


class PreviewStatus(Worded):
    QUEUED = "queued", "排队中", "Waiting"
    RENDERING = "rendering", "处理中", "Being made"
    READY = "ready", "可预览", "Ready"
    FAILED = "failed", "无法预览", "Can't be shown"
    NONE = "none", "不支持预览", "Not supported"


#: The life of a preview; ``retry`` begins it anew, whatever came of it.
TURNS: workflow.Turns = {
    "take": (("queued", "rendering"), "rendering"),
    "release": (("queued", "rendering"), "queued"),
    "finish": (("queued", "rendering"), "ready"),
    "fail": (("queued", "rendering"), "failed"),
    "retry": (("queued", "rendering", "ready", "failed"), "queued"),
}


class Preview(Keyed):
    """The preview of one content.

    Attributes:
        pages, pages_done: known once the document has been opened; a page that could not be drawn counts as done.
        has_text: some page has text; a scanned document has none to search and to quote.
        problem: code of a named incident, '' if none; :meth:`problem_text` says it in words.
        asked_at, asked_page: somebody waits for this page; it comes before everything else.
        lease, leased_until, attempts: the worker that has it, until when it must have shown progress (machine time),
            and how often one took it since the last progress.
    """

    __tablename__ = "previews"
    sha256: Mapped[str] = mapped_column(unique=True)
    media_type: Mapped[str]
    status: Mapped[PreviewStatus] = mapped_column(WordColumn(PreviewStatus))
    pages: Mapped[int | None]
    pages_done: Mapped[int] = mapped_column(default=0)
    has_text: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[str] = mapped_column(default="")
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
    asked_page: Mapped[int | None]
    lease: Mapped[str] = mapped_column(default="")
    leased_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    __table_args__ = (
        Index(
            "ix_previews_open", "asked_at", "requested_at", postgresql_where=text("status IN ('queued', 'rendering')")
        ),
    )

    @property
    def subject(self) -> str:
        return f"preview:{self.sha256[:16]}"

    @property
    def is_open(self) -> bool:
        """Whether pages are still to come."""
        return self.status in (PreviewStatus.QUEUED, PreviewStatus.RENDERING)

    def problem_text(self, language: str = "zh") -> str:
        """The problem in words, '' if there is none."""
        return problem_text(self.problem, language)


class PreviewPage(Keyed):
    """One page (from 1): its picture's size in pixels, its text line by line, and where each word stands.

    ``words`` are [text, x, y, width, height] in thousandths of the page as the picture shows it. ``picture`` is the
    SHA-256 of the picture, the same for pages that look the same, or '' when ``problem`` says why there is none.
    """

    __tablename__ = "preview_pages"
    preview_id: Mapped[int] = mapped_column(ForeignKey("previews.id", ondelete="CASCADE"))
    page: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    text: Mapped[str]
    words: Mapped[list[Any]]
    picture: Mapped[str]
    problem: Mapped[str] = mapped_column(default="")
    __table_args__ = (UniqueConstraint("preview_id", "page"),)

    @property
    def has_text(self) -> bool:
        return bool(self.words)

    def problem_text(self, language: str = "zh") -> str:
        """The problem in words, '' if there is none."""
        return problem_text(self.problem, language)


_folder: Path | None = None


def configure(folder: Path) -> None:
    """Where pictures are kept; they may be deleted and made again."""
    global _folder
    _folder = folder


def request(document: Document) -> Preview:
    """The preview of a document's content, queued if it is new and can be drawn. Safe to call again."""
    if not in_transaction():
        raise RuntimeError("previews.request() outside transaction()")
    kind = KINDS.get(document.media_type)
    is_long = document.pages is not None and document.pages > MOST_PAGES
    problem = PreviewUnsupported.code if kind is None else PreviewTooLong.code if is_long else ""
    status = PreviewStatus.NONE if kind is None else PreviewStatus.FAILED if is_long else PreviewStatus.QUEUED
    moment = clock.machine()
    made = session.execute(
        insert(Preview)
        .values(
            sha256=document.sha256,
            media_type=document.media_type,
            status=status,
            pages=document.pages,
            problem=problem,
            requested_at=moment,
            finished_at=None if status == PreviewStatus.QUEUED else moment,
        )
        .on_conflict_do_nothing(index_elements=["sha256"])
        .returning(Preview.id)
    ).first()
    preview = of(document.sha256)
    assert preview is not None  # noqa: S101  made now or there before
    if made is not None and status == PreviewStatus.FAILED:
        record_finished(preview)
    return preview


def of(sha256: str) -> Preview | None:
    """The preview of a content, as the database has it now."""
    statement = select(Preview).where(Preview.sha256 == sha256).execution_options(populate_existing=True)
    return session.scalars(statement).first()


def page_of(sha256: str, page: int) -> PreviewPage | None:
    """One page (from 1); None while it is not drawn, and when there is no such page."""
    return session.scalars(
        select(PreviewPage)
        .join(Preview, Preview.id == PreviewPage.preview_id)
        .where(Preview.sha256 == sha256, PreviewPage.page == page)
    ).first()


def pages_of(sha256: str, *, with_text: bool = True) -> list[PreviewPage]:
    """All pages that are drawn, in order. ``with_text=False`` leaves text and words out until they are asked for."""
    statement = (
        select(PreviewPage)
        .join(Preview, Preview.id == PreviewPage.preview_id)
        .where(Preview.sha256 == sha256)
        .order_by(PreviewPage.page)
    )
    if not with_text:
        statement = statement.options(defer(PreviewPage.text), defer(PreviewPage.words))
    return list(session.scalars(statement))


def image_path(sha256: str, page: int) -> Path:
    """Where a page's picture (``image/webp``) lies, whether it is there or not.

    Raises:
        ValueError: not 64 hex digits.
    """
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(f"not a SHA-256: {sha256!r}")
    if _folder is None:
        raise RuntimeError("previews.configure() has not been called")
    return _folder / sha256[:2] / sha256 / f"{int(page)}.webp"


def ask_first(sha256: str, page: int = 1) -> None:
    """Somebody waits for a page: it is drawn before everything else. Writes nothing if it is there or asked for already."""
    preview = of(sha256)
    if preview is None or not preview.is_open or preview.asked_page == page or page_of(sha256, page) is not None:
        return
    if preview.pages is not None and not 1 <= page <= preview.pages:
        return
    preview.asked_at = preview.asked_at or clock.machine()
    preview.asked_page = page


def retry(sha256: str, *, by: Actor = SYSTEM) -> Preview:
    """Make what is missing: pages with a problem, pages whose picture is gone, or all after a failure.

    Raises:
        NotFound: no preview was ever requested.
    """
    preview = session.scalars(select(Preview).where(Preview.sha256 == sha256).with_for_update()).first()
    if preview is None:
        raise NotFound
    if preview.status == PreviewStatus.NONE:
        return preview
    lost = [
        row.id for row in pages_of(sha256, with_text=False) if row.problem or not image_path(sha256, row.page).is_file()
    ]
    if lost:
        session.execute(delete(PreviewPage).where(PreviewPage.id.in_(lost)))
    elif preview.status == PreviewStatus.READY:
        return preview
    preview.pages_done = count_done(preview)
    workflow.turn(preview, TURNS, "retry")
    preview.problem, preview.attempts, preview.lease = "", 0, ""
    preview.finished_at = preview.leased_until = None
    trail.record(preview.subject, "preview.retried", by=by, sha256=sha256, pages=len(lost))
    return preview


def listing(statuses: Collection[PreviewStatus] = (), most: int = 200) -> list[Preview]:
    """The latest requested previews, of these statuses or of all."""
    statement = select(Preview).order_by(Preview.requested_at.desc(), Preview.id.desc()).limit(most)
    if statuses:
        statement = statement.where(Preview.status.in_(list(statuses)))
    return list(session.scalars(statement))


def count_done(preview: Preview) -> int:
    """Number of pages in the register."""
    counted = select(func.count()).select_from(PreviewPage).where(PreviewPage.preview_id == preview.id)
    return session.scalar(counted) or 0


def record_finished(preview: Preview) -> None:
    """Write the act that others subscribe to, for a preview that is READY or FAILED."""
    trail.record(
        preview.subject,
        "preview.finished",
        by=SYSTEM,
        sha256=preview.sha256,
        status=preview.status.value,
        pages=preview.pages,
        problem=preview.problem,
    )
