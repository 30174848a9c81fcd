"""Questions about the register: who may be drawn on a day, who is on it, where somebody worked, and what was paid."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.sql import ColumnElement

from kernel import policies
from kernel.access import Role
from kernel.accounts import Organisation, Person
from kernel.db import session
from kernel.errors import NotFound
from reviews.experts.records import AccountNotExpert, Employment, Expert, ExpertStatus, FeeRecord

POLICY: Final = "review_experts"
#: Expert ids → how many reviews each works on now; one without an entry works on none.
Load = Callable[[Sequence[int]], Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of the register; '' and None mean any."""

    text: str = ""
    speciality: str = ""
    region: str = ""
    status: ExpertStatus | None = None
    on: date | None = None


def _no_load(experts: Sequence[int]) -> Mapping[int, int]:
    return {}


_load: Load = _no_load


def register_load(load: Load) -> None:
    """A later module says how many reviews each expert works on (``app.py``)."""
    global _load
    _load = load


def load_of(experts: Sequence[Expert]) -> dict[int, int]:
    """Expert id → reviews under way."""
    counted = _load([one.id for one in experts])
    return {one.id: counted.get(one.id, 0) for one in experts}


def eligible(
    specialities: Sequence[str], region: str | None = None, *, on: date, excluding: Collection[int] = ()
) -> list[Expert]:
    """Who may be drawn on a day: on the register, in term, of one of the specialities, below the load; by number.

    ``region`` None or '' means anywhere; ``excluding`` holds experts' ids. Conflicts are asked separately.
    """
    if not specialities:
        return []
    statement = select(Expert).where(
        Expert.status == ExpertStatus.ACTIVE,
        Expert.term_from <= on,
        Expert.term_until >= on,
        or_(*(Expert.specialities.contains([one]) for one in specialities)),
    )
    if region:
        statement = statement.where(Expert.region == region)
    if excluding:
        statement = statement.where(Expert.id.not_in(list(excluding)))
    found = list(session.scalars(statement.order_by(Expert.number)))
    load = load_of(found)
    return [one for one in found if load[one.id] < one.most_load]


def by_number(number: str, *, lock: bool = False) -> Expert:
    """Raises NotFound."""
    statement = select(Expert).where(Expert.number == number)
    if lock:
        statement = statement.with_for_update(of=Expert).execution_options(populate_existing=True)
    expert = session.scalars(statement).first()
    if expert is None:
        raise NotFound
    return expert


def of_person(person_id: int | None) -> Expert | None:
    """The expert who signs in with this account."""
    if person_id is None:
        return None
    return session.scalars(select(Expert).where(Expert.person_id == person_id)).first()


def listed(wanted: Wanted, *, most: int, offset: int = 0) -> tuple[list[Expert], int]:
    """One page of the register, by number, and how many there are."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.text:
        plain = "".join(sign for sign in wanted.text if sign not in "%_\\")
        like = f"%{plain}%"
        conditions.append(or_(Expert.name.ilike(like), Expert.number.ilike(like), Expert.employer.ilike(like)))
    if wanted.speciality:
        conditions.append(Expert.specialities.contains([wanted.speciality]))
    if wanted.region:
        conditions.append(Expert.region == wanted.region)
    if wanted.status is not None:
        conditions.append(Expert.status == wanted.status)
    if wanted.on is not None:
        conditions += [Expert.term_from <= wanted.on, Expert.term_until >= wanted.on]
    total = session.scalar(select(func.count()).select_from(Expert).where(*conditions)) or 0
    rows = session.scalars(select(Expert).where(*conditions).order_by(Expert.number).limit(most).offset(offset))
    return list(rows), total


def regions() -> list[str]:
    """Where experts serve."""
    return sorted(one for one in session.scalars(select(Expert.region).distinct().limit(500)) if one)


def employments(expert: Expert) -> list[Employment]:
    """Where the expert worked, the latest word on each place, newest first."""
    rows = session.scalars(select(Employment).where(Employment.expert_id == expert.id).order_by(Employment.id))
    latest: dict[tuple[str, date | None], Employment] = {}
    for row in rows:
        latest.pop((plain_name(row.organisation), row.since), None)
        latest[plain_name(row.organisation), row.since] = row
    return sorted(latest.values(), key=lambda one: (one.until is None, one.until or date.min, one.id), reverse=True)


def fees_of(expert: Expert, *, most: int = 200) -> list[FeeRecord]:
    """What the expert earned, newest first."""
    return list(
        session.scalars(
            select(FeeRecord).where(FeeRecord.expert_id == expert.id).order_by(FeeRecord.id.desc()).limit(most)
        )
    )


def default_load() -> int:
    return int(policies.current(POLICY).values["most_load"])


def is_expert_account(person: Person) -> bool:
    return person.disabled_at is None and any(
        one.role is Role.EXPERT and one.ended_at is None for one in person.memberships
    )


def account_of(login: str) -> Person:
    """The account of an expert, by its login. Raises AccountNotExpert."""
    person = session.scalars(select(Person).where(Person.login == login.strip().lower())).first()
    if person is None or not is_expert_account(person):
        raise AccountNotExpert(field="login", login=login.strip())
    return person


def organisation_named(name: str) -> Organisation | None:
    """The organisation registered under exactly this name, if there is only one."""
    found = session.scalars(select(Organisation).where(Organisation.name == name.strip()).limit(2)).all()
    return found[0] if len(found) == 1 else None


def plain_name(name: str) -> str:
    """A name as it is compared: width, blanks and the shape of brackets don't count."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def is_same_organisation(name: str, key: int | None, other: str, other_key: int | None) -> bool:
    if key is not None and other_key is not None:
        return key == other_key
    return plain_name(name) == plain_name(other)
