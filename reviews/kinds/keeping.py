"""Operators keep the kinds and their criteria; everybody asks which criteria were in force on a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import or_, select

from kernel import clock, trail
from kernel.access import Role
from kernel.db import session
from kernel.errors import Forbidden, Invalids, PortalError
from kernel.trail import Actor
from kernel.workflow import StaleVersion
from reviews.kinds.entering import CriterionText, check_text, read_values, wrong
from reviews.kinds.records import (
    Criterion,
    CriterionBackdated,
    CriterionEnded,
    CriterionInvalid,
    CriterionTaken,
    CriterionUnknown,
    KindInUse,
    KindRetired,
    KindTaken,
    KindUnknown,
    ReviewKind,
)
from reviews.kinds.rules import RuleInvalid, validate


def add_kind(values: Mapping[str, Any], *, by: Actor) -> ReviewKind:
    """A new kind of review; ``values`` as :class:`ReviewKind` describes its members.

    Raises:
        Forbidden: whoever is no operator. KindTaken. Invalids: of KindInvalid, everything that is wrong at once.
    """
    _require_operator(by)
    read = read_values(values)
    known = session.scalars(select(ReviewKind).where(ReviewKind.code == read["code"])).first()
    if known is not None:
        raise KindTaken(field="code", value=known.code, name=known.zh)
    kind = ReviewKind(**read, is_active=True, version=1, entered_at=clock.now())
    session.add(kind)
    session.flush()
    trail.record(kind.subject, "review_kind.added", by=by, name=kind.zh)
    return kind


def revise_kind(kind: ReviewKind, values: Mapping[str, Any], *, by: Actor, expected_version: int | None = None) -> None:
    """Other values for a kind, its code excepted; reviews under way keep what they were opened with.

    Raises:
        Forbidden, StaleVersion, Invalids: of KindInvalid.
    """
    _require_operator(by)
    _check_version(kind, expected_version)
    read = read_values({**values, "code": kind.code})
    faults: list[PortalError] = []
    fields, materials = ({one["code"] for one in read[name]} for name in ("fields", "materials"))
    specialities = {one["code"] for one in read["specialities"]}
    for one in _open_versions(kind):
        try:
            if one.check is not None:
                validate(one.check, fields=fields, materials=materials)
        except RuleInvalid as fault:
            said = f"审查标准 {one.code}：{fault.text('zh')}", f"criterion {one.code}: {fault.text('en')}"
            faults.append(wrong("fields", *said))
        if one.speciality and one.speciality not in specialities:
            faults.append(
                wrong(
                    "specialities",
                    f"审查标准 {one.code} 仍用到“{one.speciality}”",
                    f"criterion {one.code} needs “{one.speciality}”",
                )
            )
    if faults:
        raise Invalids(faults)
    changed = sorted(name for name, value in read.items() if getattr(kind, name) != value)
    for name in changed:
        setattr(kind, name, read[name])
    kind.version += 1
    trail.record(kind.subject, "review_kind.revised", by=by, changed=changed)


def retire_kind(kind: ReviewKind, *, by: Actor, expected_version: int | None = None) -> None:
    """Commission no more of it; reviews under way go on.

    Raises:
        Forbidden, StaleVersion, KindRetired.
    """
    _switch(kind, False, by, expected_version)


def restore_kind(kind: ReviewKind, *, by: Actor, expected_version: int | None = None) -> None:
    """Raises Forbidden, StaleVersion, KindInUse."""
    _switch(kind, True, by, expected_version)


def _switch(kind: ReviewKind, is_active: bool, by: Actor, expected_version: int | None) -> None:
    _require_operator(by)
    _check_version(kind, expected_version)
    if kind.is_active == is_active:
        raise KindInUse if is_active else KindRetired
    kind.is_active = is_active
    kind.version += 1
    trail.record(kind.subject, "review_kind.restored" if is_active else "review_kind.retired", by=by)


def check_criterion(kind: ReviewKind, old: Criterion | None, text: CriterionText, effective_from: date) -> None:
    """What :func:`add_criterion` (``old`` None) or :func:`replace_criterion` would refuse, before anything is stored.

    Raises:
        CriterionTaken, CriterionEnded. Invalids: of CriterionInvalid, RuleInvalid, CriterionBackdated.
    """
    least = clock.today()
    if old is not None:
        if old.effective_until is not None:
            raise CriterionEnded(until=old.effective_until.isoformat())
        least = max(least, old.effective_from + timedelta(days=1))
    check_text(kind, text, effective_from, least)
    if old is None:
        _refuse_taken(kind, text)


def _refuse_taken(kind: ReviewKind, text: CriterionText) -> None:
    code = text.code.strip()
    if session.scalar(select(Criterion.id).where(Criterion.kind_id == kind.id, Criterion.code == code).limit(1)):
        raise CriterionTaken(field="code", value=code)


def add_criterion(kind: ReviewKind, text: CriterionText, *, effective_from: date, by: Actor) -> Criterion:
    """A new criterion, for applications from ``effective_from`` on.

    Raises:
        Forbidden. CriterionTaken: there is one of this code. Invalids: of CriterionInvalid, RuleInvalid,
        CriterionBackdated.
    """
    _require_operator(by)
    least = clock.today() if not by.has("system") else effective_from
    check_text(kind, text, effective_from, least)
    _refuse_taken(kind, text)
    made = _enter(kind, text, effective_from)
    trail.record(kind.subject, "criterion.added", by=by, criterion=made.code, effective_from=effective_from)
    return made


def replace_criterion(criterion: Criterion, text: CriterionText, *, effective_from: date, by: Actor) -> Criterion:
    """End a criterion on the day before ``effective_from`` and add its new version; its code stays.

    Raises:
        Forbidden. CriterionEnded: it is not the latest version. Invalids: of CriterionInvalid, RuleInvalid,
        CriterionBackdated.
    """
    _require_operator(by)
    latest = _lock(criterion)
    least = max(clock.today() if not by.has("system") else effective_from, latest.effective_from + timedelta(days=1))
    check_text(latest.kind, text, effective_from, least)
    if text.code != latest.code:
        raise CriterionInvalid(
            field="code", name="代码", name_en="Code", why="修订不改变代码", why_en="a new version keeps its code"
        )
    latest.effective_until = effective_from - timedelta(days=1)
    made = _enter(latest.kind, text, effective_from)
    trail.record(latest.kind.subject, "criterion.replaced", by=by, criterion=made.code, effective_from=effective_from)
    return made


def end_criterion(criterion: Criterion, last_day: date, *, by: Actor) -> None:
    """The criterion is in force up to and including ``last_day``, without successor.

    Raises:
        Forbidden, CriterionEnded. CriterionBackdated: the day is past.
    """
    _require_operator(by)
    latest = _lock(criterion)
    least = max(clock.today(), latest.effective_from)
    if last_day < least:
        raise CriterionBackdated(field="effective_until", least=least.isoformat())
    latest.effective_until = last_day
    trail.record(latest.kind.subject, "criterion.ended", by=by, criterion=latest.code, last_day=last_day)


def _enter(kind: ReviewKind, text: CriterionText, effective_from: date) -> Criterion:
    made = Criterion(
        kind=kind,
        code=text.code.strip(),
        zh=text.zh.strip(),
        en=text.en.strip(),
        clause=text.clause.strip(),
        grade=text.grade,
        speciality=text.speciality,
        effective_from=effective_from,
        effective_until=None,
        check=dict(text.check) if text.check is not None else None,
        entered_at=clock.now(),
    )
    session.add(made)
    session.flush()
    return made


def _lock(criterion: Criterion) -> Criterion:
    """The criterion as it is now, if no later version took its place. Raises CriterionEnded."""
    latest = session.scalars(
        select(Criterion)
        .where(Criterion.id == criterion.id)
        .with_for_update(of=Criterion)
        .execution_options(populate_existing=True)
    ).one()
    if latest.effective_until is not None:
        raise CriterionEnded(until=latest.effective_until.isoformat())
    return latest


# Questions


def by_code(code: str, *, lock: bool = False) -> ReviewKind:
    """Raises KindUnknown."""
    statement = select(ReviewKind).where(ReviewKind.code == code)
    if lock:
        statement = statement.with_for_update(of=ReviewKind).execution_options(populate_existing=True)
    kind = session.scalars(statement).first()
    if kind is None:
        raise KindUnknown(value=code)
    return kind


def all_kinds(*, only_active: bool = False) -> list[ReviewKind]:
    """Every kind in the order of its entry, which is the order of 000 §8.1 for the shipped ones."""
    statement = select(ReviewKind).order_by(ReviewKind.id)
    if only_active:
        statement = statement.where(ReviewKind.is_active)
    return list(session.scalars(statement))


def of_item(item_code: str) -> list[ReviewKind]:
    """The kinds in use that serve a service item of the catalogue."""
    return [kind for kind in all_kinds(only_active=True) if item_code in kind.item_codes]


def in_force(kind: ReviewKind, on: date) -> list[Criterion]:
    """The versions that judge an application of day ``on``, by code."""
    return list(
        session.scalars(
            select(Criterion)
            .where(
                Criterion.kind_id == kind.id,
                Criterion.effective_from <= on,
                or_(Criterion.effective_until.is_(None), Criterion.effective_until >= on),
            )
            .order_by(Criterion.code)
        )
    )


def history_of(kind: ReviewKind) -> list[Criterion]:
    """Every version of every criterion, by code, the newest first."""
    return list(
        session.scalars(
            select(Criterion)
            .where(Criterion.kind_id == kind.id)
            .order_by(Criterion.code, Criterion.effective_from.desc())
        )
    )


def criterion_of(kind: ReviewKind, code: str) -> Criterion:
    """The latest version of a criterion. Raises CriterionUnknown."""
    found = session.scalars(
        select(Criterion)
        .where(Criterion.kind_id == kind.id, Criterion.code == code)
        .order_by(Criterion.effective_from.desc())
        .limit(1)
    ).first()
    if found is None:
        raise CriterionUnknown(value=code)
    return found


def specialities() -> dict[str, tuple[str, str]]:
    """Code → (Chinese, English) of every speciality that some kind asks for."""
    return {one["code"]: (one["zh"], one["en"]) for kind in all_kinds() for one in kind.specialities}


def _open_versions(kind: ReviewKind) -> list[Criterion]:
    today = clock.today()
    return [one for one in history_of(kind) if one.effective_until is None or one.effective_until >= today]


def _require_operator(by: Actor) -> None:
    if not by.has(Role.OPERATOR.value, "system"):
        raise Forbidden


def _check_version(kind: ReviewKind, expected_version: int | None) -> None:
    if expected_version is not None and expected_version != kind.version:
        raise StaleVersion(current=kind.version)
