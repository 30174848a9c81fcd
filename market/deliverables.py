"""Deliverables: handed in, returned with points, accepted, then shared under the project code (001 §9.3–9.4, A11–A13).

Acceptance is three acts in order: ``deliverable.accepted``, ``document.attached``, ``service.finished``. A new
edition supersedes what an earlier one had put into the dossier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint, select
from sqlalchemy.orm import Mapped, lazyload, mapped_column, relationship

from kernel import clock, dossier, files, numbers, policies, projects, seals, timekeeping, trail, workflow
from kernel.clock import Unit
from kernel.db import HISTORY, Keyed, WordColumn, session
from kernel.dossier import Entry, EntryKind
from kernel.errors import Conflict, Invalid, NotFound
from kernel.files import Document
from kernel.projects import Project
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from kernel.words import Worded
from market.commissions import STEPS as COMMISSION_STEPS
from market.commissions import (
    Commission,
    InquiryKind,
    by_agency,
    by_applicant,
    by_panel_of,
    can_see,
    current_inquiry,
    held_by,
    resume_clock,
    tell_agency,
    tell_client,
)

NUMBER = numbers.series("CG")

trail.name_acts(
    {
        "deliverable.submitted": ("提交成果报告", "Deliverable submitted"),
        "deliverable.returned": ("退回修改", "Returned for revision"),
        "deliverable.accepted": ("认可成果", "Deliverable accepted"),
        "deliverable.withdrawn": ("撤回成果", "Deliverable withdrawn"),
    }
)


class DeliverableStatus(Worded):
    SUBMITTED = "submitted", "待认可", "Submitted"
    RETURNED = "returned", "已退回修改", "Returned"
    ACCEPTED = "accepted", "已认可", "Accepted"
    WITHDRAWN = "withdrawn", "已撤回", "Withdrawn"


class Result(Worded):
    """The conclusion's own word."""

    PASSED = "passed", "符合要求", "Meets the requirements"
    CONDITIONAL = "conditional", "有条件符合", "Meets them on conditions"
    FAILED = "failed", "不符合要求", "Does not meet them"


class FilesMissing(Invalid):
    code = "files_missing"
    zh = "请上传成果文件"
    en = "Upload the deliverable"


class ConclusionMissing(Invalid):
    code = "conclusion_missing"
    zh = "请填写结论要点"
    en = "State the conclusion"


class WrongProject(Invalid):
    code = "wrong_project"
    zh = "成果所写项目代码 {given} 与委托的项目 {expected} 不一致，请核对是否选错文件"
    en = "The deliverable names project {given}, the commission is for {expected}; is it the right file?"


class ValidityPast(Invalid):
    code = "validity_past"
    zh = "有效期至 {value}，已过期"
    en = "Valid until {value}, which is past"


class PointsMissing(Invalid):
    code = "points_missing"
    zh = "请逐条写明需要修改的内容"
    en = "Say point by point what has to be changed"


class HeldForReview(Conflict):
    code = "held_for_review"
    zh = "成果正在技术审查（{number}），由审查结论决定，不能在此办理"
    en = "The result is under technical review ({number}), whose conclusion decides; not here"


class Deliverable(Keyed):
    """One edition of a commission's result. ``conclusion``: result, summary, valid_until, own figures."""

    __tablename__ = "deliverables"
    number: Mapped[str] = mapped_column(unique=True)
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"))
    edition: Mapped[int]
    status: Mapped[DeliverableStatus] = mapped_column(WordColumn(DeliverableStatus))
    version: Mapped[int] = mapped_column(default=1)
    result: Mapped[Result] = mapped_column(WordColumn(Result))
    summary: Mapped[str]
    valid_until: Mapped[date | None]
    conclusion: Mapped[dict[str, Any]]
    points: Mapped[list[str]]
    submitted_by: Mapped[str]
    submitted_at: Mapped[datetime]
    returned_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[str] = mapped_column(default="")
    withdrawn_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="")
    commission: Mapped[Commission] = relationship(lazy="joined")
    files: Mapped[list[DeliverableFile]] = relationship(lazy="selectin", order_by="DeliverableFile.id")
    __table_args__ = (UniqueConstraint("commission_id", "edition"),)

    @property
    def subject(self) -> str:
        return f"deliverable:{self.number}"


class DeliverableFile(Keyed):
    """One file of an edition, under the name of the document that the item promises, and who signed it."""

    __tablename__ = "deliverable_files"
    deliverable_id: Mapped[int] = mapped_column(ForeignKey("deliverables.id"))
    title: Mapped[str]
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    sha256: Mapped[str]
    signatures: Mapped[list[Any]]
    document: Mapped[Document] = relationship(lazy="joined")
    __table_args__ = (HISTORY,)


def by_panel(deliverable: Deliverable, actor: Actor) -> bool:
    return by_panel_of(deliverable.commission, actor)


def _client(deliverable: Deliverable, actor: Actor) -> bool:
    return by_applicant(deliverable.commission, actor)


def _agency(deliverable: Deliverable, actor: Actor) -> bool:
    return by_agency(deliverable.commission, actor)


STEPS: workflow.Steps = {
    "return": workflow.Step(("submitted",), "returned", "deliverable.returned", _client),
    "accept": workflow.Step(("submitted",), "accepted", "deliverable.accepted", _client),
    "withdraw": workflow.Step(("accepted",), "withdrawn", "deliverable.withdrawn", _agency),
    "panel_return": workflow.Step(("submitted",), "returned", "deliverable.returned", by_panel),
    "panel_accept": workflow.Step(("submitted",), "accepted", "deliverable.accepted", by_panel),
}


def _require_free(commission: Commission) -> None:
    number = held_by(commission)
    if number is not None:
        raise HeldForReview(number=number)


@dataclass(frozen=True, slots=True)
class Part:
    """A file handed in, under the title of the document it is."""

    title: str
    document: Document


def submit(
    commission: Commission,
    parts: Sequence[Part],
    *,
    result: Result,
    summary: str,
    by: Actor,
    project_code: str = "",
    valid_until: date | None = None,
    figures: dict[str, Any] | None = None,
    expected_version: int | None = None,
) -> Deliverable:
    """提交成果报告: a new edition with its files' fingerprints and a structured conclusion.

    ``project_code`` is the code written on the deliverable; it must be the commission's.

    Raises:
        FilesMissing, ConclusionMissing, WrongProject, ValidityPast, seals.SignatureBroken, workflow errors.
    """
    workflow.check(commission, COMMISSION_STEPS, "deliver", by=by, expected_version=expected_version)
    _require_free(commission)
    if not parts:
        raise FilesMissing(field="files")
    if not summary.strip():
        raise ConclusionMissing(field="summary")
    if valid_until is not None and valid_until < clock.today():
        raise ValidityPast(field="valid_until", value=valid_until.isoformat())
    if project_code.strip():
        given = projects.parse_code(project_code)
        if given not in {commission.project.code, commission.engineering_code}:
            raise WrongProject(field="project_code", given=given, expected=commission.engineering_code)
    deliverable = _enter(commission, parts, result, summary, valid_until, figures, by=by)
    moment = deliverable.submitted_at
    commission.delivered_at = None
    workflow.step(
        commission,
        COMMISSION_STEPS,
        "deliver",
        by=by,
        at=moment,
        expected_version=expected_version,
        deliverable=deliverable.number,
    )
    unanswered = current_inquiry(commission, InquiryKind.PAUSE)
    if unanswered is not None:  # delivering shows that the work went on without the answer
        unanswered.closed_at = moment
        resume_clock(commission, ClockKind.SERVICE, unanswered, by)
    _to_client(commission, deliverable, by)
    tell_client(commission, "deliverable.submitted")
    return deliverable


def return_for_revision(
    deliverable: Deliverable, points: Sequence[str], *, by: Actor, expected_version: int | None = None
) -> None:
    """退回修改, point by point; the service clock goes on.

    Raises:
        PointsMissing, workflow errors.
    """
    wanted = [point.strip() for point in points if point.strip()]
    if not wanted:
        raise PointsMissing(field="points")
    commission = deliverable.commission
    workflow.check(commission, COMMISSION_STEPS, "return", by=by, expected_version=expected_version)
    _require_free(commission)
    _return(deliverable, wanted, "return", by)


def return_by_panel(deliverable: Deliverable, points: Sequence[str], *, by: Actor) -> None:
    """A panel that judged the deliverable sends it back with its open points (001 §9.4).

    Raises:
        PointsMissing, workflow errors.
    """
    if not points:
        raise PointsMissing(field="points")
    _return(deliverable, list(points), "panel_return", by)


def _return(deliverable: Deliverable, points: list[str], action: str, by: Actor) -> None:
    commission = deliverable.commission
    deliverable.points = points
    workflow.step(deliverable, STEPS, action, by=by, points=points)
    workflow.step(commission, COMMISSION_STEPS, action, by=by, deliverable=deliverable.number)
    _back_to_agency(commission, deliverable, by)
    tell_agency(commission, "deliverable.returned")


def accept(deliverable: Deliverable, *, by: Actor, expected_version: int | None = None) -> list[Entry]:
    """认可成果: accepted, attached to the project code, service finished; answers the new dossier entries.

    Raises:
        workflow errors.
    """
    workflow.check(deliverable.commission, COMMISSION_STEPS, "accept", by=by, expected_version=expected_version)
    _require_free(deliverable.commission)
    return _accept(deliverable, "accept", by)


def accept_by_panel(deliverable: Deliverable, *, by: Actor) -> list[Entry]:
    """专家审查合格: a panel's pass, recorded by the authority, accepts the deliverable (001 §9.4).

    Raises:
        workflow errors.
    """
    return _accept(deliverable, "panel_accept", by)


def publish(
    commission: Commission,
    parts: Sequence[Part],
    *,
    result: Result,
    summary: str,
    by: Actor,
    valid_until: date | None = None,
    figures: dict[str, Any] | None = None,
) -> tuple[Deliverable, list[Entry]]:
    """A technical review's report: handed in, attached and the service finished in one act; nobody approves it (001 §9.4).

    Raises:
        FilesMissing, ConclusionMissing, workflow errors.
    """
    if not parts:
        raise FilesMissing(field="files")
    if not summary.strip():
        raise ConclusionMissing(field="summary")
    workflow.check(commission, COMMISSION_STEPS, "publish_report", by=by)
    signed = f"{by.organisation} {by.person}"
    deliverable = _enter(commission, parts, result, summary, valid_until, figures, by=by, accepted_by=signed)
    entries = _finish(deliverable, "publish_report", by)
    tell_client(commission, "deliverable.submitted")
    return deliverable, entries


def _enter(
    commission: Commission,
    parts: Sequence[Part],
    result: Result,
    summary: str,
    valid_until: date | None,
    figures: dict[str, Any] | None,
    *,
    by: Actor,
    accepted_by: str = "",
) -> Deliverable:
    """The new edition with its files, recorded; accepted at once where nobody is left to accept it."""
    moment = clock.now()
    earlier = of_commission(commission)
    deliverable = Deliverable(
        number=numbers.following(NUMBER),
        commission=commission,
        edition=len(earlier) + 1,
        status=DeliverableStatus.ACCEPTED if accepted_by else DeliverableStatus.SUBMITTED,
        version=1,
        result=result,
        summary=summary.strip(),
        valid_until=valid_until,
        conclusion=figures or {},
        points=[],
        submitted_by=f"{by.organisation} {by.person}",
        submitted_at=moment,
        accepted_at=moment if accepted_by else None,
        accepted_by=accepted_by,
        files=[_file(part) for part in parts],
    )
    session.add(deliverable)
    session.flush()
    trail.record(
        deliverable.subject,
        "deliverable.submitted",
        by=by,
        at=moment,
        commission=commission.number,
        edition=deliverable.edition,
        result=result.value,
        files=[{"title": f.title, "name": f.document.name, "sha256": f.sha256} for f in deliverable.files],
    )
    return deliverable


def _accept(deliverable: Deliverable, action: str, by: Actor) -> list[Entry]:
    deliverable.accepted_by = f"{by.organisation} {by.person}"
    workflow.step(deliverable, STEPS, action, by=by)
    entries = _finish(deliverable, action, by)
    tell_agency(deliverable.commission, "deliverable.accepted")
    return entries


def _finish(deliverable: Deliverable, action: str, by: Actor) -> list[Entry]:
    commission = deliverable.commission
    # Two commissions for one item can't both find nothing to supersede.
    session.scalars(select(Project.id).where(Project.id == commission.project_id).with_for_update(key_share=True)).one()
    entries = [_attach(deliverable, file, by) for file in deliverable.files]
    workflow.step(commission, COMMISSION_STEPS, action, by=by, deliverable=deliverable.number)
    timekeeping.end_all(commission.subject, by=by)
    return entries


def withdraw(deliverable: Deliverable, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The agency takes an accepted deliverable back; everyone who relied on it is told (A13).

    Raises:
        dossier.ReasonMissing, workflow errors.
    """
    if not reason.strip():
        raise dossier.ReasonMissing(field="reason")
    deliverable.reason = reason.strip()
    workflow.step(deliverable, STEPS, "withdraw", by=by, expected_version=expected_version, reason=deliverable.reason)
    for entry in dossier.from_source(deliverable.subject):
        if entry.status != dossier.EntryStatus.WITHDRAWN:
            dossier.withdraw(entry, deliverable.reason, by=by)
    tell_client(deliverable.commission, "deliverable.withdrawn", is_warning=True)


def of_commission(commission: Commission) -> list[Deliverable]:
    """All editions, oldest first."""
    return list(
        session.scalars(
            select(Deliverable)
            .where(Deliverable.commission_id == commission.id)
            .order_by(Deliverable.edition)
            .options(lazyload(Deliverable.commission))  # it is here already
        )
    )


def latest(commission: Commission) -> Deliverable | None:
    editions = of_commission(commission)
    return editions[-1] if editions else None


def find(number: str, *, by: Actor, lock: bool = False) -> Deliverable:
    """The deliverable, if it is the actor's to see; with ``lock``, its commission is locked first.

    Raises:
        NotFound.
    """
    deliverable = session.scalars(select(Deliverable).where(Deliverable.number == number)).first()
    if deliverable is None or not can_see(deliverable.commission, by):
        raise NotFound
    if lock:
        for record, key in ((Commission, deliverable.commission_id), (Deliverable, deliverable.id)):
            session.scalars(
                select(record)
                .where(record.id == key)
                .with_for_update(of=record)
                .execution_options(populate_existing=True)
            ).one()
    return deliverable


def find_for_panel(number: str, *, lock: bool = False) -> Deliverable:
    """A deliverable that waits for acceptance, for an authority that may put it before a panel (001 §9.4).

    Raises:
        NotFound: none, or it doesn't wait.
    """
    statement = select(Deliverable).where(
        Deliverable.number == number, Deliverable.status == DeliverableStatus.SUBMITTED
    )
    if lock:
        statement = statement.with_for_update(of=Deliverable).execution_options(populate_existing=True)
    found = session.scalars(statement).first()
    if found is None:
        raise NotFound
    return found


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: both sides read a commission's deliverables."""
    if actor is None:
        return False
    rows = session.scalars(
        select(Deliverable)
        .join(DeliverableFile, DeliverableFile.deliverable_id == Deliverable.id)
        .where(DeliverableFile.document_id == document.id)
    ).unique()
    return any(can_see(row.commission, actor) for row in rows)


def _file(part: Part) -> DeliverableFile:
    document = part.document
    found = seals.check(files.path_of(document.sha256), document.name) if document.facts.get("signatures") else []
    return DeliverableFile(
        title=part.title,
        document=document,
        sha256=document.sha256,
        signatures=[signature.as_json() for signature in found],
    )


def _attach(deliverable: Deliverable, file: DeliverableFile, by: Actor) -> Entry:
    commission = deliverable.commission
    assert commission.agency is not None  # noqa: S101  a delivered commission has its agency
    earlier = [
        entry
        for entry in dossier.entries_of(commission.project)
        if entry.item_code == commission.item.code
        and entry.title == file.title
        and entry.phase_id == commission.phase_id
        and entry.status == dossier.EntryStatus.ATTACHED
    ]
    return dossier.attach(
        commission.project,
        file.document,
        kind=EntryKind.REPORT if commission.item.technical_review else EntryKind.DELIVERABLE,
        title=file.title,
        source=deliverable.subject,
        issuer=commission.agency.name,
        issuer_id=commission.agency.organisation_id,
        by=by,
        phase=commission.phase,
        item_code=commission.item.code,
        # What takes an earlier document's place is told apart from it, also when another commission made that one.
        edition=max([deliverable.edition, *(entry.edition + 1 for entry in earlier)]),
        accepted_by=deliverable.accepted_by,
        conclusion={"result": deliverable.result.value, "summary": deliverable.summary, **deliverable.conclusion},
        valid_until=deliverable.valid_until,
        at=deliverable.accepted_at,
        supersedes=earlier,
    )


def _to_client(commission: Commission, deliverable: Deliverable, by: Actor) -> None:
    service = timekeeping.running(commission.subject, ClockKind.SERVICE)
    if service is not None:
        timekeeping.stop(service, f"acceptance:{deliverable.edition}", by=by, at=deliverable.submitted_at)
    policy = policies.current("acceptance")
    timekeeping.start(
        commission.subject,
        ClockKind.ACCEPTANCE,
        unit=Unit.WORKING_DAY,
        limit=int(policy.values["working_days"]),
        warn=int(policy.values["warn"]),
        policy=policy,
        by=by,
        at=deliverable.submitted_at,
    )


def _back_to_agency(commission: Commission, deliverable: Deliverable, by: Actor) -> None:
    acceptance = timekeeping.running(commission.subject, ClockKind.ACCEPTANCE)
    if acceptance is not None:
        timekeeping.end(acceptance, by=by)
    service = timekeeping.running(commission.subject, ClockKind.SERVICE)
    if service is not None:
        timekeeping.go(service, f"acceptance:{deliverable.edition}", by=by)
