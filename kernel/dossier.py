"""The register of documents attached to a project code, and who relied on which version (000 §9.4, A13).

A deliverable enters when it is accepted, a certificate when it is issued. Whoever decides afterwards picks
from here, and the decision remembers document *and* SHA-256. When that version is later superseded, expires
or is withdrawn, everyone who relied on it is told: the loop that no supermarket in the field closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, and_, select, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, notifications, numbers, trail, workflow
from kernel.db import HISTORY, Keyed, WordColumn, session
from kernel.errors import Conflict, Invalid, NotFound
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.trail import Actor, TrailAct
from kernel.words import Worded

NUMBER = numbers.series("CL")

trail.name_acts(
    {
        "document.attached": ("归入项目材料库", "Attached to the dossier"),
        "document.superseded": ("材料已被新版本替代", "Superseded by a newer version"),
        "document.expired": ("材料有效期届满", "Validity ended"),
        "document.withdrawn": ("材料已撤回", "Withdrawn"),
        "document.relied_on": ("引用成果材料", "Relied on"),
    }
)


class EntryStatus(Worded):
    ATTACHED = "attached", "有效", "In force"
    SUPERSEDED = "superseded", "已被替代", "Superseded"
    EXPIRED = "expired", "已过期", "Expired"
    WITHDRAWN = "withdrawn", "已撤回", "Withdrawn"


class EntryKind(Worded):
    DELIVERABLE = "deliverable", "中介服务成果", "Deliverable"
    REPORT = "report", "技术审查报告", "Review report"
    CERTIFICATE = "certificate", "证照批复", "Certificate"
    MATERIAL = "material", "申请材料", "Applicant's material"


class CannotRely(Conflict):
    code = "cannot_rely"
    zh = "材料 {number} 现在不能引用：{reason}"
    en = "{number} can't be relied on now: {reason_en}"

    def __init__(self, *, number: str, reason: str, reason_en: str = "", field: str | None = None) -> None:
        super().__init__(field=field, number=number, reason=reason, reason_en=reason_en or reason)


class ReasonMissing(Invalid):
    code = "reason_missing"
    zh = "请写明理由"
    en = "Give the reason"


class Entry(Keyed):
    """One document version under a project code. ``source`` is the subject it came from."""

    __tablename__ = "dossier_entries"
    number: Mapped[str] = mapped_column(unique=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    phase_id: Mapped[int | None] = mapped_column(ForeignKey("phases.id"))
    kind: Mapped[EntryKind] = mapped_column(WordColumn(EntryKind))
    title: Mapped[str]
    item_code: Mapped[str] = mapped_column(default="")
    source: Mapped[str]
    edition: Mapped[int]
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    sha256: Mapped[str]
    issuer: Mapped[str]
    issuer_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    accepted_by: Mapped[str]
    conclusion: Mapped[dict[str, Any]]
    attached_at: Mapped[datetime]
    valid_until: Mapped[date | None]
    status: Mapped[EntryStatus] = mapped_column(WordColumn(EntryStatus))
    superseded_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="")
    successor_id: Mapped[int | None] = mapped_column(ForeignKey("dossier_entries.id"))
    version: Mapped[int] = mapped_column(default=1)
    document: Mapped[Document] = relationship(lazy="joined")
    project: Mapped[Project] = relationship()
    phase: Mapped[Phase | None] = relationship()
    __table_args__ = (
        Index("ix_dossier_entries_project", "project_id", "id"),
        Index("ix_dossier_entries_source", "source"),
        Index("ix_dossier_entries_sha256", "sha256"),
        Index(
            "ix_dossier_entries_valid_until",
            "valid_until",
            postgresql_where=text("status = 'attached' AND valid_until IS NOT NULL"),
        ),
    )

    @property
    def subject(self) -> str:
        return f"document:{self.number}"


class Use(Keyed):
    """Somebody relied on one version: the pinned hash, for what, and who. Never changed."""

    __tablename__ = "dossier_uses"
    entry_id: Mapped[int] = mapped_column(ForeignKey("dossier_entries.id"))
    sha256: Mapped[str]
    relied_for: Mapped[str]
    relied_for_title: Mapped[str]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    organisation: Mapped[str]
    person_id: Mapped[int | None]
    person: Mapped[str]
    at: Mapped[datetime]
    entry: Mapped[Entry] = relationship(lazy="joined")
    __table_args__ = (
        Index("ix_dossier_uses_entry", "entry_id"),
        Index("ix_dossier_uses_sha256", "sha256"),
        Index("ix_dossier_uses_relied_for", "relied_for"),
        HISTORY,
    )


def _issuer_or_operator(entry: Entry, actor: Actor) -> bool:
    return actor.organisation_id is not None and actor.organisation_id == entry.issuer_id


def _system(entry: Entry, actor: Actor) -> bool:
    return actor.has("clock", "system")


def _anyone(entry: Entry, actor: Actor) -> bool:
    return True


#: The life of a document in the dossier (life-cycles §4, last lines).
STEPS: workflow.Steps = {
    "supersede": workflow.Step(("attached",), "superseded", "document.superseded", _anyone),
    "expire": workflow.Step(("attached",), "expired", "document.expired", _system),
    "withdraw": workflow.Step(
        ("attached", "superseded", "expired"), "withdrawn", "document.withdrawn", _issuer_or_operator
    ),
}


def attach(
    project: Project,
    document: Document,
    *,
    kind: EntryKind,
    title: str,
    source: str,
    issuer: str,
    by: Actor,
    phase: Phase | None = None,
    item_code: str = "",
    edition: int = 1,
    issuer_id: int | None = None,
    accepted_by: str = "",
    conclusion: dict[str, Any] | None = None,
    valid_until: date | None = None,
    at: datetime | None = None,
    supersedes: Sequence[Entry] = (),
) -> Entry:
    """Enter a document under a project code, superseding earlier entries if any are named."""
    moment = at or clock.now()
    entry = Entry(
        number=numbers.following(NUMBER),
        project_id=project.id,
        phase_id=phase.id if phase else None,
        kind=kind,
        title=title,
        item_code=item_code,
        source=source,
        edition=edition,
        document=document,
        sha256=document.sha256,
        issuer=issuer,
        issuer_id=issuer_id,
        accepted_by=accepted_by,
        conclusion=conclusion or {},
        attached_at=moment,
        valid_until=valid_until,
        status=EntryStatus.ATTACHED,
        version=1,
    )
    session.add(entry)
    session.flush()
    trail.record(
        entry.subject,
        "document.attached",
        by=by,
        at=moment,
        project=project.code,
        title=title,
        sha256=entry.sha256,
        source=source,
    )
    for earlier in supersedes:
        supersede(earlier, entry, by=by, at=moment)
    return entry


def supersede(entry: Entry, successor: Entry, *, by: Actor, at: datetime | None = None) -> None:
    """A newer version takes the entry's place; those who relied on it are told.

    Raises:
        workflow.MoveNotOpen: it stands no more, perhaps because somebody was quicker.
    """
    _lock(entry)
    entry.successor_id = successor.id
    workflow.step(entry, STEPS, "supersede", by=by, at=at, successor=successor.number)


def withdraw(entry: Entry, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The issuer takes a document back, with a reason that everyone who relied on it reads.

    Raises:
        ReasonMissing, workflow.MoveNotOpen, workflow.StaleVersion.
    """
    if not reason.strip():
        raise ReasonMissing(field="reason")
    _lock(entry)
    entry.reason = reason.strip()
    workflow.step(entry, STEPS, "withdraw", by=by, expected_version=expected_version, reason=entry.reason)


def expire(entry: Entry, *, by: Actor, at: datetime) -> None:
    """The last day of validity is over (called by the due-loop at the next 00:00 of Asia/Shanghai)."""
    workflow.step(entry, STEPS, "expire", by=by, at=at, valid_until=entry.valid_until)


def rely(entry: Entry, *, relied_for: str, relied_for_title: str, project: Project, by: Actor) -> Use:
    """Pin this version for a decision.

    Raises:
        CannotRely: it is superseded, expired or withdrawn, with the reason.
    """
    locked = _lock(entry)
    standing = stand(locked, clock.local_date(clock.now()))
    if not standing.can_rely:
        raise CannotRely(field="evidence", number=entry.number, reason=standing.reason_zh, reason_en=standing.reason_en)
    use = Use(
        entry=locked,
        sha256=locked.sha256,
        relied_for=relied_for,
        relied_for_title=relied_for_title,
        project_id=project.id,
        organisation_id=by.organisation_id,
        organisation=by.organisation,
        person_id=by.person_id,
        person=by.person,
        at=clock.now(),
    )
    session.add(use)
    session.flush()
    trail.record(locked.subject, "document.relied_on", by=by, relied_for=relied_for, sha256=locked.sha256)
    return use


def _lock(entry: Entry) -> Entry:
    """The entry as it is now, locked against everybody else's act until the commit."""
    return session.scalars(
        select(Entry).where(Entry.id == entry.id).with_for_update(of=Entry).execution_options(populate_existing=True)
    ).one()


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an entry can be relied on today, and why not."""

    can_rely: bool
    reason_zh: str = ""
    reason_en: str = ""

    def reason(self, language: str) -> str:
        return self.reason_en if language == "en" else self.reason_zh


def stand(entry: Entry, today: date) -> Standing:
    """The one place that says whether a document can be relied on today."""
    if entry.status == EntryStatus.WITHDRAWN:
        return Standing(False, f"已由出具单位撤回：{entry.reason}", f"Withdrawn by its issuer: {entry.reason}")
    if entry.status == EntryStatus.SUPERSEDED:
        return Standing(False, "已有新版本，请引用新版本", "There is a newer version; rely on that one")
    if entry.status == EntryStatus.EXPIRED or (entry.valid_until is not None and entry.valid_until < today):
        return Standing(False, f"有效期至 {entry.valid_until}，已过期", f"Valid until {entry.valid_until}; expired")
    return Standing(True)


def reliable_clause(today: date) -> Any:
    """The SQL form of :func:`stand`."""
    return and_(
        Entry.status == EntryStatus.ATTACHED,
        (Entry.valid_until.is_(None)) | (Entry.valid_until >= today),
    )


def entries_of(project: Project, *, most: int = 500) -> list[Entry]:
    """A project's documents, newest first."""
    return list(
        session.scalars(select(Entry).where(Entry.project_id == project.id).order_by(Entry.id.desc()).limit(most))
    )


def by_number(number: str) -> Entry:
    entry = session.scalars(select(Entry).where(Entry.number == number)).first()
    if entry is None:
        raise NotFound(field=None)
    return entry


def from_source(source: str) -> list[Entry]:
    """The entries that came from one subject, oldest first."""
    return list(session.scalars(select(Entry).where(Entry.source == source).order_by(Entry.id)))


def uses_of(entry: Entry) -> list[Use]:
    return list(session.scalars(select(Use).where(Use.entry_id == entry.id).order_by(Use.id)))


def uses_of_hash(sha256: str, *, most: int = 500) -> list[Use]:
    """Everyone who relied on a document with this fingerprint, under any project."""
    return list(session.scalars(select(Use).where(Use.sha256 == sha256).order_by(Use.id).limit(most)))


def relied_on_for(subject: str) -> list[Use]:
    """What one decision relied on."""
    return list(session.scalars(select(Use).where(Use.relied_for == subject).order_by(Use.id)))


def tell_those_who_relied(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``document.superseded/expired/withdrawn``: one line for everyone who relied on it."""
    entry = by_number(act.subject.partition(":")[2])
    for use in uses_of(entry):
        if use.organisation_id is not None:
            notifications.tell_organisation(
                use.organisation_id,
                subject=use.relied_for,
                act=act.act,
                title=f"{entry.title}（{entry.number}）",
                is_warning=True,
                at=act.at,
                relied_for=use.relied_for_title,
                reason=entry.reason,
            )


def due_to_expire(until: datetime, most: int) -> list[tuple[datetime, str]]:
    """Due-loop source: entries whose validity ended before ``until``, with the legal instant of the end."""
    day = clock.local_date(until)
    rows = session.execute(
        select(Entry.valid_until, Entry.number)
        .where(Entry.status == EntryStatus.ATTACHED, Entry.valid_until < day)
        .order_by(Entry.valid_until, Entry.number)
        .limit(most)
    )
    return [(clock.instant_of(last + timedelta(days=1)), number) for last, number in rows if last is not None]


def act_on_expiry(number: str, at: datetime) -> None:
    entry = session.scalars(
        select(Entry).where(Entry.number == number).with_for_update(of=Entry).execution_options(populate_existing=True)
    ).one()
    if entry.status == EntryStatus.ATTACHED:
        expire(entry, by=trail.CLOCK, at=at)
