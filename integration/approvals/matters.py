"""Matters: what a department decides for a project (000 §7.2–7.4, 001 §7, life-cycles §4).

The applicant hands in the materials of the guide's list, picked from the project's dossier or uploaded once;
the window receives (接件) and accepts (受理), which starts the statutory and the promised clock; the department
begins (开始办理) and decides in :mod:`integration.approvals.decisions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, UniqueConstraint, and_, false, or_, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from integration.approvals import cases, guide
from integration.approvals.cases import Case
from integration.approvals.guide import MatterKind
from kernel import clock, dossier, notifications, numbers, policies, timekeeping, trail, workflow
from kernel.access import Role
from kernel.accounts import Membership, Organisation, OrganisationKind
from kernel.clock import Light, Reading, Unit
from kernel.db import Keyed, WordColumn, session
from kernel.dossier import CannotRely, Entry
from kernel.errors import Conflict, Invalid, Invalids, NotFound, PortalError
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import Actor, TrailAct
from kernel.words import Worded

NUMBER = numbers.series("SX")

#: Working days within which an administrative licence is decided, unless a rule says otherwise
#: (《行政许可法》第四十二条; counted in working days by 第八十二条).
STATUTORY_WORKING_DAYS = 20

trail.name_acts(
    {
        "matter.drafted": ("在线申报", "Application drafted"),
        "matter.submitted": ("提交", "Submitted"),
        "matter.received": ("接件", "Received at the window"),
        "matter.accepted": ("受理", "Accepted"),
        "matter.not_accepted": ("不予受理", "Refused at intake"),
        "matter.begun": ("开始办理", "Begun by the department"),
        "matter.granted": ("办结（通过）", "Granted"),
        "matter.refused": ("办结（不通过）", "Refused"),
        "matter.withdrawn": ("撤回申报", "Withdrawn"),
    }
)
timekeeping.declare("matter", "事项", "Matter")


class MatterStatus(Worded):
    DRAFT = "draft", "填报中", "Draft"
    SUBMITTED = "submitted", "待接件", "Submitted"
    RECEIVED = "received", "已接件", "Received"
    ACCEPTED = "accepted", "已受理", "Accepted"
    BEGUN = "begun", "办理中", "Begun"
    DECIDED = "decided", "已办结", "Decided"
    NOT_ACCEPTED = "not_accepted", "不予受理", "Refused at intake"
    WITHDRAWN = "withdrawn", "已撤回", "Withdrawn"


#: States in which nothing is left to do.
ENDED = (MatterStatus.DECIDED, MatterStatus.NOT_ACCEPTED, MatterStatus.WITHDRAWN)


class Outcome(Worded):
    GRANTED = "granted", "办结（通过）", "Granted"
    REFUSED = "refused", "办结（不通过）", "Refused"


class NotYourProject(Invalid):
    code = "not_your_project"
    zh = "项目 {value} 不是贵单位的项目，不能为其申报"
    en = "{value} is not your organisation's project"


class MaterialMissing(Invalid):
    code = "matter_material_missing"
    zh = "缺少材料：{name}"
    en = "Missing: {name}"


class OtherProjectsDocument(Invalid):
    code = "other_projects_document"
    zh = "材料 {number} 不在本项目的材料库中"
    en = "{number} is not in this project's dossier"


class MaterialsClosed(Conflict):
    code = "materials_closed"
    zh = "申报已提交，材料不能再改动"
    en = "The application has been submitted; its materials can't be changed"


class ReasonMissing(Invalid):
    code = "reason_missing"
    zh = "请写明理由"
    en = "Give the reason"


class Matter(Keyed):
    """One matter of a case. Name, department and days are the guide's on the day of the application."""

    __tablename__ = "matters"
    number: Mapped[str] = mapped_column(unique=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    kind_id: Mapped[int] = mapped_column(ForeignKey("matter_kinds.id"))
    kind_edition: Mapped[int]
    name: Mapped[str]
    department: Mapped[str]
    authority_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    promised_working_days: Mapped[int]
    status: Mapped[MatterStatus] = mapped_column(WordColumn(MatterStatus))
    version: Mapped[int] = mapped_column(default=1)
    outcome: Mapped[Outcome | None] = mapped_column(WordColumn(Outcome))
    reason: Mapped[str] = mapped_column(default="")
    policy: Mapped[str] = mapped_column(default="")
    draft_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    begun_at: Mapped[datetime | None]
    begun_by: Mapped[str] = mapped_column(default="")
    decided_at: Mapped[datetime | None]
    not_accepted_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    case: Mapped[Case] = relationship(lazy="joined")
    kind: Mapped[MatterKind] = relationship(lazy="joined")
    authority: Mapped[Organisation | None] = relationship(lazy="joined")
    materials: Mapped[list[HandedIn]] = relationship(lazy="selectin", order_by="HandedIn.position")
    __table_args__ = (
        Index("ix_matters_case", "case_id"),
        Index("ix_matters_status", "status", "authority_id", "id"),
    )

    @property
    def subject(self) -> str:
        return f"matter:{self.number}"

    @property
    def project(self) -> Project:
        return self.case.project

    @property
    def title(self) -> str:
        return f"{self.name}（{self.number}）"


class HandedIn(Keyed):
    """One place on a matter's own list of materials, and what was handed in for it, if anything was."""

    __tablename__ = "handed_in_materials"
    matter_id: Mapped[int] = mapped_column(ForeignKey("matters.id"))
    position: Mapped[int]
    name: Mapped[str]
    item_code: Mapped[str | None]
    required: Mapped[bool]
    voluntary_only: Mapped[bool]
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("dossier_entries.id"))
    document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    sha256: Mapped[str | None]
    handed_in_at: Mapped[datetime | None]
    entry: Mapped[Entry | None] = relationship(lazy="joined")
    document: Mapped[Document | None] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("matter_id", "position"),
        Index("ix_handed_in_materials_document", "document_id"),
    )

    @property
    def is_in(self) -> bool:
        return self.document_id is not None


# Who may do what.


def by_client(matter: Matter, actor: Actor) -> bool:
    return cases.by_client(matter.case, actor)


def by_window(matter: Matter, actor: Actor) -> bool:
    return actor.has(Role.WINDOW.value)


def by_approver(matter: Matter, actor: Actor) -> bool:
    """An approver of the authority the matter belongs to; of any authority while none bears the department's name."""
    if not actor.has(Role.APPROVER.value) or actor.organisation_id is None:
        return False
    if matter.authority_id is not None:
        return matter.authority_id == actor.organisation_id
    return _is_authority(actor)


def _is_authority(actor: Actor) -> bool:
    organisation = session.get(Organisation, actor.organisation_id) if actor.organisation_id is not None else None
    return organisation is not None and organisation.kind == OrganisationKind.AUTHORITY


#: The whole life of a matter, one row a move.
STEPS: workflow.Steps = {
    "submit": workflow.Step(("draft",), "submitted", "matter.submitted", by_client),
    "receive": workflow.Step(("submitted",), "received", "matter.received", by_window),
    "accept": workflow.Step(("received",), "accepted", "matter.accepted", by_window),
    "refuse_intake": workflow.Step(("received",), "not_accepted", "matter.not_accepted", by_window),
    "begin": workflow.Step(("accepted",), "begun", "matter.begun", by_approver),
    "grant": workflow.Step(("begun",), "decided", "matter.granted", by_approver),
    "refuse": workflow.Step(("begun",), "decided", "matter.refused", by_approver),
    "withdraw": workflow.Step(("draft", "submitted", "received"), "withdrawn", "matter.withdrawn", by_client),
}


def apply(project: Project, kind: MatterKind, client: Organisation, *, by: Actor, phase: Phase | None = None) -> Matter:
    """在线申报: a case with one matter, and the guide's materials as its own list.

    Raises:
        NotYourProject.
    """
    if project.organisation_id != client.id or by.organisation_id != client.id:
        raise NotYourProject(field="project_code", value=project.code)
    authority = guide.authority_of(kind.department)
    matter = Matter(
        number=numbers.following(NUMBER),
        case=cases.draft(project, client, phase=phase),
        kind=kind,
        kind_edition=kind.edition,
        name=kind.name,
        department=kind.department,
        authority=authority,
        promised_working_days=kind.promised_working_days,
        status=MatterStatus.DRAFT,
        version=1,
        draft_at=clock.now(),
        materials=[
            HandedIn(
                position=m.position,
                name=m.name,
                item_code=m.item_code,
                required=m.required,
                voluntary_only=m.voluntary_only,
            )
            for m in kind.materials
        ],
    )
    session.add(matter)
    session.flush()
    trail.record(
        matter.subject,
        "matter.drafted",
        by=by,
        case=matter.case.number,
        project=project.code,
        kind=kind.code,
        edition=kind.edition,
    )
    return matter


def pick(
    matter: Matter, position: int, *, by: Actor, entry: Entry | None = None, document: Document | None = None
) -> None:
    """Hand in one material: a document of the project's dossier, or an uploaded one; a later pick takes its place.

    Raises:
        MaterialsClosed: submitted already. NotFound: no such material. MaterialMissing: nothing given.
        OtherProjectsDocument, dossier.CannotRely: the entry can't be used here.
    """
    material = _material(matter, position, by)
    if entry is not None:
        if entry.project_id != matter.case.project_id:
            raise OtherProjectsDocument(field=f"material-{position}", number=entry.number)
        _check_standing(entry, position)
        document = entry.document
    if document is None:
        raise MaterialMissing(field=f"material-{position}", name=material.name)
    material.entry = entry
    material.document = document
    material.sha256 = document.sha256
    material.handed_in_at = clock.now()
    matter.version += 1
    session.flush()


def take_out(matter: Matter, position: int, *, by: Actor) -> None:
    """Take a material out again, while the application is a draft.

    Raises:
        MaterialsClosed, NotFound.
    """
    material = _material(matter, position, by)
    material.entry = material.document = material.sha256 = material.handed_in_at = None
    matter.version += 1
    session.flush()


def _material(matter: Matter, position: int, by: Actor) -> HandedIn:
    if matter.status != MatterStatus.DRAFT or not by_client(matter, by):
        raise MaterialsClosed
    material = next((m for m in matter.materials if m.position == position), None)
    if material is None:
        raise NotFound
    return material


def _check_standing(entry: Entry, position: int) -> None:
    standing = dossier.stand(entry, clock.today())
    if not standing.can_rely:
        raise CannotRely(
            field=f"material-{position}", number=entry.number, reason=standing.reason_zh, reason_en=standing.reason_en
        )


def missing(matter: Matter) -> list[HandedIn]:
    """The required materials that are not in yet."""
    return [m for m in matter.materials if m.required and not m.is_in]


def submit(matter: Matter, *, by: Actor, expected_version: int | None = None) -> None:
    """提交: everything required is in, and what was picked from the dossier still stands.

    Raises:
        Invalids: of MaterialMissing and dossier.CannotRely, one per material. workflow errors.
    """
    workflow.check(matter, STEPS, "submit", by=by, expected_version=expected_version)
    errors: list[PortalError] = [MaterialMissing(field=f"material-{m.position}", name=m.name) for m in missing(matter)]
    for material in matter.materials:
        if material.entry is not None:
            try:
                _check_standing(material.entry, material.position)
            except CannotRely as error:
                errors.append(error)
    if errors:
        raise Invalids(errors)
    workflow.step(matter.case, cases.STEPS, "submit", by=by, matter=matter.number)
    workflow.step(
        matter,
        STEPS,
        "submit",
        by=by,
        expected_version=expected_version,
        materials=[{"name": m.name, "sha256": m.sha256} for m in matter.materials if m.is_in],
    )
    _tell_window(matter, "matter.submitted")


def receive(matter: Matter, *, by: Actor, expected_version: int | None = None) -> None:
    """接件: the window registers the papers."""
    workflow.check(matter, STEPS, "receive", by=by, expected_version=expected_version)
    matter.case.received_by = f"{by.organisation} {by.person}"
    workflow.step(matter.case, cases.STEPS, "receive", by=by, matter=matter.number)
    workflow.step(matter, STEPS, "receive", by=by, expected_version=expected_version, case=matter.case.number)
    tell_client(matter, "matter.received")


def accept(matter: Matter, *, by: Actor, expected_version: int | None = None) -> None:
    """受理: the window accepts and sends the matter on; the statutory and the promised clock start.

    Policy ``matter_clock``: ``statutory_working_days`` (20 by default), ``warn`` (days of warning).
    """
    workflow.check(matter, STEPS, "accept", by=by, expected_version=expected_version)
    policy = policies.current("matter_clock")
    if matter.authority is None:
        matter.authority = guide.authority_of(matter.department)
    matter.policy = policy.version
    workflow.step(
        matter,
        STEPS,
        "accept",
        by=by,
        expected_version=expected_version,
        promised_working_days=matter.promised_working_days,
    )
    statutory = int(policy.values.get("statutory_working_days", STATUTORY_WORKING_DAYS))
    for kind, limit in ((ClockKind.STATUTORY, statutory), (ClockKind.PROMISED, matter.promised_working_days)):
        timekeeping.start(
            matter.subject,
            kind,
            unit=Unit.WORKING_DAY,
            limit=limit,
            warn=min(int(policy.values.get("warn", 2)), limit),
            policy=policy,
            by=by,
            at=matter.accepted_at,
        )
    tell_client(matter, "matter.accepted")
    _tell_department(matter, "matter.accepted")


def refuse_intake(matter: Matter, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """不予受理, with the reason and where to turn.

    Raises:
        ReasonMissing, workflow errors.
    """
    workflow.check(matter, STEPS, "refuse_intake", by=by, expected_version=expected_version)
    if not reason.strip():
        raise ReasonMissing(field="reason")
    matter.reason = reason.strip()
    workflow.step(matter, STEPS, "refuse_intake", by=by, expected_version=expected_version, reason=matter.reason)
    close_case(matter, by=by)
    tell_client(matter, "matter.not_accepted", is_warning=True)


def begin(matter: Matter, *, by: Actor, expected_version: int | None = None) -> None:
    """开始办理: the department takes the matter up; stamped (table one, column L)."""
    workflow.check(matter, STEPS, "begin", by=by, expected_version=expected_version)
    matter.begun_by = f"{by.organisation} {by.person}"
    workflow.step(matter, STEPS, "begin", by=by, expected_version=expected_version)
    tell_client(matter, "matter.begun")


def withdraw(matter: Matter, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """撤回申报: the applicant takes the application back before it is accepted."""
    workflow.check(matter, STEPS, "withdraw", by=by, expected_version=expected_version)
    matter.reason = reason.strip()
    was_submitted = matter.submitted_at is not None
    workflow.step(matter, STEPS, "withdraw", by=by, expected_version=expected_version, reason=matter.reason)
    workflow.step(matter.case, cases.STEPS, "withdraw", by=by, matter=matter.number)
    if was_submitted:
        _tell_window(matter, "matter.withdrawn")


def close_case(matter: Matter, *, by: Actor) -> None:
    """The case ends when its last matter has."""
    open_ones = session.scalars(
        select(Matter.id).where(Matter.case_id == matter.case_id, Matter.status.not_in(ENDED)).limit(1)
    ).first()
    if open_ones is None:
        workflow.step(matter.case, cases.STEPS, "close", by=by)


def moves(matter: Matter, by: Actor) -> list[str]:
    """The actions open to ``by`` now."""
    return workflow.moves(matter, STEPS, by)


# Questions.


def can_see(matter: Matter, actor: Actor) -> bool:
    """The applicant; the window once submitted; the department once received; supervisors and auditors."""
    if actor.organisation_id is not None and actor.organisation_id == matter.case.client_id:
        return True
    if matter.submitted_at is None:
        return False
    if actor.has(Role.WINDOW.value, Role.SUPERVISOR.value, Role.AUDITOR.value):
        return True
    return matter.received_at is not None and by_approver(matter, actor)


def find(number: str, *, by: Actor, lock: bool = False) -> Matter:
    """The matter of a number, if it is the actor's to see; with ``lock``, its case is locked first.

    Raises:
        NotFound.
    """
    statement = select(Matter).where(Matter.number == number)
    matter = session.scalars(statement).first()
    if matter is None or not can_see(matter, by):
        raise NotFound
    if lock:
        session.scalars(
            select(Case)
            .where(Case.id == matter.case_id)
            .with_for_update(of=Case)
            .execution_options(populate_existing=True)
        ).one()
        matter = session.scalars(statement.with_for_update(of=Matter).execution_options(populate_existing=True)).one()
    return matter


def queue(actor: Actor, *, is_open: bool | None = None, most: int = 200) -> list[Matter]:
    """What this actor has to do with, oldest first when open, else newest first."""
    clauses: list[ColumnElement[bool]] = []
    if actor.organisation_id is not None:
        clauses.append(Case.client_id == actor.organisation_id)
    seen_by_all = Matter.submitted_at.is_not(None)
    if actor.has(Role.WINDOW.value, Role.SUPERVISOR.value, Role.AUDITOR.value):
        clauses.append(seen_by_all)
    if actor.has(Role.APPROVER.value):
        theirs: ColumnElement[bool] = Matter.authority_id == actor.organisation_id
        if _is_authority(actor):
            theirs = or_(theirs, Matter.authority_id.is_(None))
        clauses.append(and_(Matter.received_at.is_not(None), theirs))
    statement = select(Matter).join(Case, Matter.case_id == Case.id).where(or_(false(), *clauses))
    if is_open is not None:
        statement = statement.where(Matter.status.not_in(ENDED) if is_open else Matter.status.in_(ENDED))
    order = Matter.id.asc() if is_open else Matter.id.desc()
    return list(session.scalars(statement.order_by(order).limit(most)))


def of_project(project: Project, actor: Actor) -> list[Matter]:
    """The project's matters that the actor may see, newest first."""
    rows = session.scalars(
        select(Matter)
        .join(Case, Matter.case_id == Case.id)
        .where(Case.project_id == project.id)
        .order_by(Matter.id.desc())
        .limit(200)
    )
    return [matter for matter in rows if can_see(matter, actor)]


@dataclass(frozen=True, slots=True)
class Lit:
    """A matter with its promised clock's reading; None before acceptance."""

    matter: Matter
    reading: Reading | None

    @property
    def light(self) -> Light:
        return self.reading.light if self.reading else Light.GREY


#: The order in which a queue is worked through.
URGENCY = (Light.RED, Light.AMBER, Light.GREEN, Light.BLUE, Light.GREY, Light.DONE_LATE, Light.DONE)


def lit(matters: Sequence[Matter]) -> list[Lit]:
    """Matters with their lights, by light and then by age; two queries however many there are."""
    clocks = {
        stored.subject: stored
        for stored in session.scalars(
            select(StoredClock)
            .where(StoredClock.subject.in_([m.subject for m in matters]), StoredClock.kind == ClockKind.PROMISED)
            .order_by(StoredClock.id)
        )
    }
    rows = [Lit(m, timekeeping.reading(clocks[m.subject]) if m.subject in clocks else None) for m in matters]
    return sorted(rows, key=lambda row: (URGENCY.index(row.light), row.matter.id))


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: whoever sees a matter reads what was handed in for it."""
    if actor is None:
        return False
    rows = session.scalars(
        select(Matter).join(HandedIn, HandedIn.matter_id == Matter.id).where(HandedIn.document_id == document.id)
    ).unique()
    return any(can_see(matter, actor) for matter in rows)


# Telling people.


def tell_department(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``matter.light.amber`` and ``.red``: the people who handle the matter are warned."""
    matter = session.scalars(select(Matter).where(Matter.number == act.subject.partition(":")[2])).one()
    _tell_department(matter, act.act, is_warning=True, at=act.at, clock=act.data["clock"])


def tell_client(matter: Matter, act: str, *, is_warning: bool = False) -> None:
    """One line in the inbox of the construction unit's people."""
    notifications.tell_organisation(
        matter.case.client_id,
        subject=matter.subject,
        act=act,
        title=matter.title,
        is_warning=is_warning,
        project=matter.case.project.name,
    )


def _tell_window(matter: Matter, act: str) -> None:
    _tell(_people(Membership.role == Role.WINDOW), matter, act)


def _tell_department(matter: Matter, act: str, **more: Any) -> None:
    if matter.authority_id is not None:
        whose: ColumnElement[bool] = Membership.organisation_id == matter.authority_id
    else:
        authorities = select(Organisation.id).where(Organisation.kind == OrganisationKind.AUTHORITY)
        whose = Membership.organisation_id.in_(authorities)
    _tell(_people(and_(Membership.role == Role.APPROVER, whose)), matter, act, **more)


def _people(clause: ColumnElement[bool]) -> list[int]:
    return list(session.scalars(select(Membership.person_id).where(Membership.ended_at.is_(None), clause)))


def _tell(people: Iterable[int], matter: Matter, act: str, **more: Any) -> None:
    notifications.tell(
        people, subject=matter.subject, act=act, title=matter.title, project=matter.case.project.name, **more
    )
