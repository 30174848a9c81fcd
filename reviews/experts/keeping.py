"""The register's verbs: entering, renewing, suspending, where somebody works, fees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import select

from kernel import clock, notifications, numbers, trail, workflow
from kernel.access import Role
from kernel.accounts import Person
from kernel.db import session
from kernel.dossier import ReasonMissing
from kernel.errors import Forbidden, Invalids, PortalError
from kernel.trail import Actor
from reviews import kinds
from reviews.experts.questions import default_load, employments, is_expert_account, is_same_organisation, of_person
from reviews.experts.records import (
    NUMBER,
    STEPS,
    AccountNotExpert,
    AccountTaken,
    Employment,
    EmploymentInFuture,
    EmploymentReversed,
    Expert,
    ExpertDetailMissing,
    ExpertStatus,
    FeeNotPositive,
    FeePaid,
    FeeRecord,
    LoadOutOfRange,
    SpecialityUnknown,
    TermNotLonger,
    TermReversed,
)

MOST_LOAD: Final = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """What is entered of an expert. ``most_load`` None: the policy's."""

    name: str
    specialities: Sequence[str]
    title: str
    employer: str
    region: str
    certificates: Sequence[str] = ()
    employer_id: int | None = None
    most_load: int | None = None


def register(
    entry: Entry,
    *,
    term_from: date,
    term_until: date,
    by: Actor,
    person: Person | None = None,
    employed_since: date | None = None,
) -> Expert:
    """专家入库: with a term and, if there is one, the account by which the expert signs in.

    Raises:
        Forbidden: whoever is no operator. AccountTaken. Invalids: of ExpertDetailMissing, SpecialityUnknown,
        TermReversed, LoadOutOfRange, AccountNotExpert, EmploymentInFuture.
    """
    _require_operator(by)
    faults = faults_of(entry)
    if term_until < term_from:
        faults.append(TermReversed(field="term_until"))
    if employed_since is not None and employed_since > clock.today():
        faults.append(EmploymentInFuture(field="employed_since"))
    if person is not None and not is_expert_account(person):
        faults.append(AccountNotExpert(field="login", login=person.login))
    if faults:
        raise Invalids(faults)
    known = of_person(person.id) if person is not None else None
    if known is not None:
        raise AccountTaken(field="login", name=known.name, number=known.number)
    expert = Expert(
        number=numbers.following(NUMBER),
        person=person,
        **_columns(entry),
        term_from=term_from,
        term_until=term_until,
        status=ExpertStatus.ACTIVE,
        version=1,
        registered_at=clock.now(),
    )
    session.add(expert)
    session.flush()
    _record_employment(expert, expert.employer, expert.employer_id, employed_since, None, by)
    trail.record(
        expert.subject,
        "expert.registered",
        by=by,
        specialities=expert.specialities,
        term_from=term_from,
        term_until=term_until,
    )
    return expert


def revise(expert: Expert, entry: Entry, *, by: Actor, expected_version: int | None = None) -> None:
    """Correct an entry; where the expert works is recorded by :func:`add_employment` instead.

    Raises:
        Invalids as :func:`register`, workflow errors.
    """
    workflow.check(expert, STEPS, "revise", by=by, expected_version=expected_version)
    faults = faults_of(entry)
    if faults:
        raise Invalids(faults)
    values = {name: value for name, value in _columns(entry).items() if name not in ("employer", "employer_id")}
    changed = sorted(name for name, value in values.items() if getattr(expert, name) != value)
    for name in changed:
        setattr(expert, name, values[name])
    workflow.step(expert, STEPS, "revise", by=by, changed=changed)


def renew(expert: Expert, term_until: date, *, by: Actor, expected_version: int | None = None) -> None:
    """续聘: a later end of the term; a term that has run out begins anew today.

    Raises:
        TermNotLonger, TermReversed, workflow errors.
    """
    workflow.check(expert, STEPS, "renew", by=by, expected_version=expected_version)
    if term_until <= expert.term_until:
        raise TermNotLonger(field="term_until", until=expert.term_until.isoformat())
    today = clock.today()
    if expert.term_until < today:
        if term_until < today:
            raise TermReversed(field="term_until")
        expert.term_from = today
    expert.term_until = term_until
    workflow.step(expert, STEPS, "renew", by=by, term_from=expert.term_from, term_until=term_until)
    _tell(expert, "expert.renewed")


def suspend(expert: Expert, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Draw and assign no more; seats that are held are replaced by their panel's lead.

    Raises:
        dossier.ReasonMissing, workflow errors.
    """
    expert.suspended_at = None
    _end(expert, "suspend", reason, by, expected_version)


def reinstate(expert: Expert, *, by: Actor, expected_version: int | None = None) -> None:
    """Raises workflow errors."""
    workflow.check(expert, STEPS, "reinstate", by=by, expected_version=expected_version)
    expert.reason = ""
    workflow.step(expert, STEPS, "reinstate", by=by)
    _tell(expert, "expert.reinstated")


def remove(expert: Expert, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """出库, for good; the entry stays for the reviews it stands in.

    Raises:
        dossier.ReasonMissing, workflow errors.
    """
    _end(expert, "remove", reason, by, expected_version)


def _end(expert: Expert, action: str, reason: str, by: Actor, expected_version: int | None) -> None:
    workflow.check(expert, STEPS, action, by=by, expected_version=expected_version)
    if not reason.strip():
        raise ReasonMissing(field="reason")
    expert.reason = reason.strip()
    act = workflow.step(expert, STEPS, action, by=by, reason=expert.reason)
    _tell(expert, act.act, is_warning=True)


def add_employment(
    expert: Expert,
    organisation: str,
    *,
    by: Actor,
    organisation_id: int | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Employment:
    """Record where the expert works (``until`` None) or worked; a new employer ends the present one the day before.

    Raises:
        Forbidden. ExpertDetailMissing, EmploymentReversed, EmploymentInFuture.
    """
    _require_operator(by)
    name = organisation.strip()
    if not name:
        raise ExpertDetailMissing(field="organisation", what_zh="工作单位", what_en="the employer")
    today = clock.today()
    if since is not None and until is not None and until < since:
        raise EmploymentReversed(field="until")
    for place, day in (("since", since), ("until", until)):
        if day is not None and day > today:
            raise EmploymentInFuture(field=place)
    is_present = is_same_organisation(name, organisation_id, expert.employer, expert.employer_id)
    if until is None and not is_present:
        if since is None:
            raise ExpertDetailMissing(field="since", what_zh="到任日期", what_en="since when")
        for held in employments(expert):
            if held.until is None:
                last = since - timedelta(days=1)
                if held.since is not None and last < held.since:
                    raise EmploymentReversed(field="since")
                _record_employment(expert, held.organisation, held.organisation_id, held.since, last, by)
        expert.employer, expert.employer_id = name, organisation_id
    made = _record_employment(expert, name, organisation_id, since, until, by)
    expert.version += 1
    trail.record(expert.subject, "expert.employed", by=by, organisation=name, since=since, until=until)
    return made


def _record_employment(
    expert: Expert, name: str, organisation_id: int | None, since: date | None, until: date | None, by: Actor
) -> Employment:
    made = Employment(
        expert_id=expert.id,
        organisation=name,
        organisation_id=organisation_id,
        since=since,
        until=until,
        recorded_at=clock.now(),
        recorded_by=f"{by.organisation} {by.person}",
    )
    session.add(made)
    session.flush()
    return made


def record_fee(expert: Expert, review: str, fen: int, *, by: Actor) -> FeeRecord:
    """What the expert earned with a review (its subject), in fen; who may say so, the review knows.

    Raises:
        FeeNotPositive.
    """
    if fen <= 0:
        raise FeeNotPositive(field="fee")
    made = FeeRecord(expert=expert, review=review, fen=fen, at=clock.now(), paid_at=None)
    session.add(made)
    session.flush()
    trail.record(expert.subject, "expert.fee_recorded", by=by, review=review, fen=fen)
    return made


def mark_paid(fee: FeeRecord, *, by: Actor) -> None:
    """Raises Forbidden, FeePaid."""
    _require_operator(by)
    row = session.scalars(
        select(FeeRecord)
        .where(FeeRecord.id == fee.id)
        .with_for_update(of=FeeRecord)
        .execution_options(populate_existing=True)
    ).one()
    if row.paid_at is not None:
        raise FeePaid
    row.paid_at = clock.now()
    trail.record(row.expert.subject, "expert.fee_paid", by=by, review=row.review, fen=row.fen)
    _tell(row.expert, "expert.fee_paid")


def faults_of(entry: Entry) -> list[PortalError]:
    """Everything wrong with an entry, each at its field."""
    faults: list[PortalError] = []
    for name, value, zh, en in (
        ("name", entry.name, "姓名", "the name"),
        ("title", entry.title, "职称", "the professional title"),
        ("employer", entry.employer, "工作单位", "the employer"),
        ("region", entry.region, "服务地区", "the region"),
    ):
        if not value.strip():
            faults.append(ExpertDetailMissing(field=name, what_zh=zh, what_en=en))
    if not entry.specialities:
        faults.append(ExpertDetailMissing(field="specialities", what_zh="审查专业", what_en="the specialities"))
    known = kinds.specialities()
    faults += [SpecialityUnknown(field="specialities", value=one) for one in entry.specialities if one not in known]
    if entry.most_load is not None and not 1 <= entry.most_load <= MOST_LOAD:
        faults.append(LoadOutOfRange(field="most_load"))
    return faults


def _columns(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name.strip(),
        "specialities": list(dict.fromkeys(entry.specialities)),
        "title": entry.title.strip(),
        "certificates": [one.strip() for one in entry.certificates if one.strip()],
        "employer": entry.employer.strip(),
        "employer_id": entry.employer_id,
        "region": entry.region.strip(),
        "most_load": entry.most_load if entry.most_load is not None else default_load(),
    }


def _require_operator(by: Actor) -> None:
    if not by.has(Role.OPERATOR.value, "system"):
        raise Forbidden


def _tell(expert: Expert, act: str, *, is_warning: bool = False) -> None:
    if expert.person_id is not None:
        notifications.tell(
            [expert.person_id],
            subject=expert.subject,
            act=act,
            title=expert.name,
            is_warning=is_warning,
            reason=expert.reason,
        )
