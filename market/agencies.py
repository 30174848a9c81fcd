"""Agencies: entering with no threshold, qualifications, practitioners, regions, commitment (000 §一(三), A2).

An agency is visible at once for items that need no qualification, and for the others as soon as the
qualification is on file and in date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from sqlalchemy import ForeignKey, Index, UniqueConstraint, bindparam, inspect, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, notifications, numbers, trail, workflow
from kernel.access import Role
from kernel.accounts import Organisation
from kernel.db import Keyed, WordColumn, in_transaction, memory, session
from kernel.errors import Conflict, Invalid, Invalids, NotFound, PortalError
from kernel.files import Document
from kernel.statements import Statement
from kernel.trail import Actor
from kernel.words import Worded

NUMBER = numbers.series("JG")

#: The commitment an agency signs on entering; a new wording is a new version, and old signatures keep theirs.
COMMITMENT_VERSION = "2026-01"

trail.name_acts(
    {
        "agency.admitted": ("机构入驻", "Agency admitted"),
        "agency.qualified": ("登记资质", "Qualification filed"),
        "agency.staffed": ("登记从业人员", "Practitioner filed"),
        "agency.suspended": ("暂停服务资格", "Agency suspended"),
        "agency.reinstated": ("恢复服务资格", "Agency reinstated"),
        "agency.left": ("机构退出", "Agency left"),
    }
)


class AgencyStatus(Worded):
    ADMITTED = "admitted", "正常", "Admitted"
    SUSPENDED = "suspended", "暂停服务", "Suspended"
    LEFT = "left", "已退出", "Left"


class CommitmentMissing(Invalid):
    code = "commitment_missing"
    zh = "请先阅读并同意入驻承诺书"
    en = "Read and agree to the commitment letter first"


class AlreadyAdmitted(Conflict):
    code = "already_admitted"
    zh = "“{name}”已入驻，机构编号 {number}"
    en = "“{name}” has been admitted as {number}"


class AgencySuspended(Conflict):
    code = "agency_suspended"
    zh = "该机构已被暂停服务，暂不能接受新的委托"
    en = "This agency is suspended and can't take new commissions"


class UnknownSpeciality(Invalid):
    code = "unknown_speciality"
    zh = "没有资质类别“{value}”"
    en = "There is no speciality “{value}”"


class UnknownLevel(Invalid):
    code = "unknown_level"
    zh = "“{speciality}”没有等级“{value}”"
    en = "“{speciality}” has no level “{value}”"


class ValidityReversed(Invalid):
    code = "validity_reversed"
    zh = "有效期止不能早于有效期起"
    en = "The validity ends before it begins"


class CertificateOnFile(Conflict):
    code = "certificate_on_file"
    zh = "证书 {certificate} 已登记，无需重复登记"
    en = "The certificate {certificate} is on file already"


class DateInFuture(Invalid):
    code = "date_in_future"
    zh = "{what}不能晚于今天"
    en = "{what_en} can't be later than today"


class NameMissing(Invalid):
    code = "name_missing"
    zh = "请填写{what}"
    en = "Fill in: {what_en}"


class Speciality(Keyed):
    """A node of the tree of qualifications; ``levels`` from the highest to the lowest, empty when ungraded."""

    __tablename__ = "specialities"
    code: Mapped[str] = mapped_column(unique=True)
    parent_code: Mapped[str] = mapped_column(default="")
    name: Mapped[str]
    levels: Mapped[list[str]]
    authority: Mapped[str] = mapped_column(default="")
    source: Mapped[str] = mapped_column(default="")


class Agency(Keyed):
    __tablename__ = "agencies"
    number: Mapped[str] = mapped_column(unique=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), unique=True)
    status: Mapped[AgencyStatus] = mapped_column(WordColumn(AgencyStatus))
    version: Mapped[int] = mapped_column(default=1)
    introduction: Mapped[str] = mapped_column(default="")
    regions: Mapped[list[str]]
    commitment_version: Mapped[str]
    commitment_by: Mapped[str]
    admitted_at: Mapped[datetime]
    suspended_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="")
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    qualifications: Mapped[list[Qualification]] = relationship(order_by="Qualification.id")
    practitioners: Mapped[list[Practitioner]] = relationship(order_by="Practitioner.id")

    @property
    def subject(self) -> str:
        return f"agency:{self.number}"

    @property
    def name(self) -> str:
        return self.organisation.name


class Qualification(Keyed):
    """A certificate of one speciality and level, on file with its validity."""

    __tablename__ = "qualifications"
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    speciality_code: Mapped[str] = mapped_column(ForeignKey("specialities.code"))
    level: Mapped[str] = mapped_column(default="")
    certificate: Mapped[str]
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]
    document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    filed_at: Mapped[datetime]
    speciality: Mapped[Speciality] = relationship(lazy="joined")
    __table_args__ = (
        Index("ix_qualifications_agency", "agency_id"),
        UniqueConstraint("agency_id", "speciality_code", "certificate"),
    )


class Practitioner(Keyed):
    """Somebody who works for the agency with a professional certificate; no identity number is kept."""

    __tablename__ = "practitioners"
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    name: Mapped[str]
    profession: Mapped[str]
    certificate: Mapped[str]
    valid_until: Mapped[date | None]
    __table_args__ = (UniqueConstraint("agency_id", "certificate"),)


def _officer(agency: Agency, actor: Actor) -> bool:
    return actor.has(Role.SUPERVISOR.value, Role.AUTHORITY.value)


def is_member(agency: Agency, actor: Actor) -> bool:
    """The actor works for the agency."""
    return actor.organisation_id == agency.organisation_id and actor.has(Role.AGENCY.value)


STEPS: workflow.Steps = {
    "suspend": workflow.Step(("admitted",), "suspended", "agency.suspended", _officer),
    "reinstate": workflow.Step(("suspended",), "admitted", "agency.reinstated", _officer),
    "leave": workflow.Step(("admitted", "suspended"), "left", "agency.left", is_member),
}


def admit(
    organisation: Organisation,
    *,
    by: Actor,
    commitment_agreed: bool,
    regions: list[str] | None = None,
    introduction: str = "",
) -> Agency:
    """Enter the supermarket: no quota, no examination, a signed commitment (零门槛).

    Raises:
        CommitmentMissing, AlreadyAdmitted.
    """
    if not commitment_agreed:
        raise CommitmentMissing(field="commitment")
    known = of_organisation(organisation.id)
    if known is not None:
        raise AlreadyAdmitted(name=organisation.name, number=known.number)
    agency = Agency(
        number=numbers.following(NUMBER),
        organisation=organisation,
        status=AgencyStatus.ADMITTED,
        introduction=introduction.strip(),
        regions=regions or [],
        commitment_version=COMMITMENT_VERSION,
        commitment_by=by.person,
        admitted_at=clock.now(),
        qualifications=[],
        practitioners=[],
    )
    session.add(agency)
    session.flush()
    trail.record(agency.subject, "agency.admitted", by=by, commitment=COMMITMENT_VERSION)
    return agency


def file_qualification(
    agency: Agency,
    speciality_code: str,
    level: str,
    certificate: str,
    *,
    valid_from: date,
    valid_until: date | None,
    by: Actor,
    document: Document | None = None,
) -> Qualification:
    """Put a qualification on file; everything wrong with it is told at once.

    Raises:
        Invalids: of UnknownSpeciality, UnknownLevel, ValidityReversed, NameMissing.
    """
    errors: list[PortalError] = []
    speciality = session.scalars(select(Speciality).where(Speciality.code == speciality_code)).first()
    if speciality is None:
        errors.append(UnknownSpeciality(field="speciality", value=speciality_code))
    elif (speciality.levels and level not in speciality.levels) or (level and not speciality.levels):
        errors.append(UnknownLevel(field="level", speciality=speciality.name, value=level))
    if not certificate.strip():
        errors.append(NameMissing(field="certificate", what="证书编号", what_en="the certificate number"))
    if valid_from > clock.today():
        errors.append(DateInFuture(field="valid_from", what="发证日期", what_en="The date of issue"))
    if valid_until is not None and valid_until < valid_from:
        errors.append(ValidityReversed(field="valid_until"))
    if any(
        held.speciality_code == speciality_code and held.certificate == certificate.strip()
        for held in agency.qualifications
    ):
        errors.append(CertificateOnFile(field="certificate", certificate=certificate.strip()))
    if errors:
        raise Invalids(errors)
    assert speciality is not None  # noqa: S101  told to the type checker; refused above
    record = Qualification(
        agency_id=agency.id,
        speciality=speciality,
        speciality_code=speciality.code,
        level=level,
        certificate=certificate.strip(),
        valid_from=valid_from,
        valid_until=valid_until,
        document_id=document.id if document else None,
        filed_at=clock.now(),
    )
    agency.qualifications.append(record)
    session.flush()
    trail.record(
        agency.subject, "agency.qualified", by=by, speciality=speciality.name, level=level, valid_until=valid_until
    )
    return record


def file_practitioner(
    agency: Agency, name: str, profession: str, certificate: str, *, valid_until: date | None, by: Actor
) -> Practitioner:
    """Put a practitioner on file."""
    for field, value, what, what_en in (
        ("name", name, "姓名", "the name"),
        ("profession", profession, "执业资格", "the professional qualification"),
        ("certificate", certificate, "证书编号", "the certificate number"),
    ):
        if not value.strip():
            raise NameMissing(field=field, what=what, what_en=what_en)
    if any(held.certificate == certificate.strip() for held in agency.practitioners):
        raise CertificateOnFile(field="certificate", certificate=certificate.strip())
    record = Practitioner(
        agency_id=agency.id,
        name=name.strip(),
        profession=profession.strip(),
        certificate=certificate.strip(),
        valid_until=valid_until,
    )
    agency.practitioners.append(record)
    session.flush()
    trail.record(agency.subject, "agency.staffed", by=by, profession=record.profession)
    return record


def suspend(agency: Agency, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Take an agency off the shelf; its running services go on, its open offers lapse (by subscription)."""
    if not reason.strip():
        raise NameMissing(field="reason", what="暂停理由", what_en="the reason for the suspension")
    agency.reason = reason.strip()
    agency.suspended_at = None
    workflow.step(agency, STEPS, "suspend", by=by, expected_version=expected_version, reason=agency.reason)
    _tell(agency, "agency.suspended", is_warning=True)


def reinstate(agency: Agency, *, by: Actor, expected_version: int | None = None) -> None:
    agency.reason = ""
    workflow.step(agency, STEPS, "reinstate", by=by, expected_version=expected_version)
    _tell(agency, "agency.reinstated")


def _tell(agency: Agency, act: str, *, is_warning: bool = False) -> None:
    notifications.tell_organisation(
        agency.organisation_id,
        subject=agency.subject,
        act=act,
        title=agency.name,
        is_warning=is_warning,
        reason=agency.reason,
    )


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an item asks of an agency: none, any or all of ``speciality:level`` pairs, and a number of people."""

    mode: str
    qualifications: tuple[str, ...]
    practitioners: int = 0


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why an agency may not serve an item: the exact qualification or number that is missing."""

    zh: str
    en: str


class Dated(Protocol):
    """Something with an end of validity; None: it has none."""

    @property
    def valid_until(self) -> date | None: ...


class Held(Dated, Protocol):
    """A qualification as far as eligibility rests on it."""

    @property
    def speciality_code(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def valid_from(self) -> date: ...


class Candidate(Protocol):
    """Whoever may be eligible: an :class:`Agency`, or a lighter copy of one."""

    @property
    def qualifications(self) -> Sequence[Held]: ...
    @property
    def practitioners(self) -> Sequence[Dated]: ...


_VALIDITIES = Statement(select(Practitioner.valid_until).where(Practitioner.agency_id == bindparam("agency")))


def _staff(agency: Candidate) -> Sequence[Dated]:
    """An agency's practitioners as far as eligibility rests on them, asked for once in a transaction."""
    if not isinstance(agency, Agency) or "practitioners" not in inspect(agency).unloaded:
        return agency.practitioners
    if not in_transaction():
        return _VALIDITIES.ask(agency=agency.id)
    kept: dict[int, Sequence[Dated]] = memory().setdefault(Practitioner, {})
    if agency.id not in kept:
        kept[agency.id] = _VALIDITIES.ask(agency=agency.id)
    return kept[agency.id]


def shortfall(
    agency: Candidate, requirement: Requirement, on: date, tree: Mapping[str, Speciality] | None = None
) -> Shortfall | None:
    """None when the agency meets the requirement on a day; else the exact reason.

    A held qualification counts when it is in date, its speciality is the wanted one or stands below it in the
    tree, and its level is the wanted one or higher.
    """
    if requirement.mode != "none":
        tree = specialities() if tree is None else tree
        missing = [want for want in requirement.qualifications if not _holds(agency.qualifications, want, on, tree)]
        wanted = len(requirement.qualifications)
        if (requirement.mode == "all" and missing) or (requirement.mode == "any" and len(missing) == wanted):
            names = [_spoken(want, tree) for want in missing]
            if requirement.mode == "any":
                return Shortfall(
                    f"需具备下列资质之一且在有效期内：{'、'.join(names)}",
                    f"Needs one of these qualifications, in date: {', '.join(names)}",
                )
            return Shortfall(f"缺少有效资质：{'、'.join(names)}", f"Lacks a valid qualification: {', '.join(names)}")
    if requirement.practitioners == 0:
        return None
    have = sum(1 for p in _staff(agency) if p.valid_until is None or p.valid_until >= on)
    if have < requirement.practitioners:
        people = "practitioner" if requirement.practitioners == 1 else "practitioners"
        return Shortfall(
            f"需有从业人员 {requirement.practitioners} 名，现有 {have} 名",
            f"Needs {requirement.practitioners} {people}, has {have}",
        )
    return None


def _holds(qualifications: Sequence[Held], want: str, on: date, tree: Mapping[str, Speciality]) -> bool:
    code, _, level = want.partition(":")
    return any(
        held.valid_from <= on
        and (held.valid_until is None or held.valid_until >= on)
        and _stands_below(held.speciality_code, code, tree)
        and _reaches(held.level, level, tree[code].levels)
        for held in qualifications
    )


def counts_for(held: Held, requirement: Requirement, tree: Mapping[str, Speciality]) -> bool:
    """A qualification bears on a requirement, whatever its dates."""
    return any(_holds([held], want, held.valid_from, tree) for want in requirement.qualifications)


def _stands_below(code: str, ancestor: str, tree: Mapping[str, Speciality]) -> bool:
    while code:
        if code == ancestor:
            return True
        code = tree[code].parent_code
    return False


def _reaches(held: str, wanted: str, levels: list[str]) -> bool:
    if not wanted or wanted not in levels:
        return True
    return held in levels and levels.index(held) <= levels.index(wanted)


def _spoken(want: str, tree: Mapping[str, Speciality]) -> str:
    code, _, level = want.partition(":")
    return f"{tree[code].name}{level and f'（{level}）'}"


def specialities() -> dict[str, Speciality]:
    """The tree of qualifications by code."""
    return {row.code: row for row in session.scalars(select(Speciality).order_by(Speciality.code))}


def of_organisation(organisation_id: int) -> Agency | None:
    return session.scalars(select(Agency).where(Agency.organisation_id == organisation_id)).first()


def by_number(number: str, *, lock: bool = False) -> Agency:
    """Raises NotFound."""
    statement = select(Agency).where(Agency.number == number)
    if lock:
        statement = statement.with_for_update(of=Agency).execution_options(populate_existing=True)
    agency = session.scalars(statement).first()
    if agency is None:
        raise NotFound
    return agency
