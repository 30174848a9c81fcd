"""People and what they are members of."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock
from kernel.access import ADMINISTRATORS, Role
from kernel.accounts.organisations import Organisation
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Conflict
from kernel.trail import Actor


class LoginTaken(Conflict):
    code = "login_taken"
    zh = "登录名“{login}”已被使用"
    en = "The login “{login}” is taken"


class AdministratorsSeparate(Conflict):
    code = "administrators_separate"
    zh = "系统运营、安全管理、安全审计三个岗位不得由同一人兼任"
    en = "System, security and audit administration can't be held by one person"


class Person(Keyed):
    """Someone who signs in. Secrets are hashes or keys; instants of sign-in are machine time."""

    __tablename__ = "people"
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(default="")
    telephone: Mapped[str] = mapped_column(default="")
    password_hash: Mapped[str] = mapped_column(default="")
    password_changed_at: Mapped[datetime | None]
    totp_secret: Mapped[str] = mapped_column(default="")
    totp_last_step: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    session_epoch: Mapped[int] = mapped_column(default=0)
    registered_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    memberships: Mapped[list[Membership]] = relationship(back_populates="person", lazy="selectin")


class Membership(Keyed):
    __tablename__ = "memberships"
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    role: Mapped[Role] = mapped_column(WordColumn(Role))
    since: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    person: Mapped[Person] = relationship(back_populates="memberships")
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("person_id", "organisation_id", "role"),
        Index("ix_memberships_organisation", "organisation_id", "role"),
    )


def register_person(login: str, name: str, *, email: str = "", telephone: str = "") -> Person:
    """Add a person without a password; :mod:`kernel.accounts.sign_in` sets one.

    Raises:
        LoginTaken: somebody has the login.
    """
    plain = login.strip().lower()
    if session.scalar(select(func.count()).select_from(Person).where(Person.login == plain)):
        raise LoginTaken(field="login", login=plain)
    person = Person(login=plain, name=name.strip(), email=email, telephone=telephone, registered_at=clock.machine())
    session.add(person)
    session.flush()
    return person


def add_member(person: Person, organisation: Organisation, role: Role) -> Membership:
    """Give ``person`` a role in ``organisation``.

    Raises:
        AdministratorsSeparate: the person holds another of the three administrators' roles.
    """
    if role.value in ADMINISTRATORS:
        held = {m.role.value for m in person.memberships if m.ended_at is None}
        if held & (ADMINISTRATORS - {role.value}):
            raise AdministratorsSeparate(field="role")
    membership = Membership(person=person, organisation=organisation, role=role, since=clock.machine())
    session.add(membership)
    session.flush()
    return membership


def actor_of(person: Person, organisation_id: int | None = None) -> Actor:
    """The frozen actor for a signed-in person, acting for one of their organisations (the first by default)."""
    open_ones = [m for m in person.memberships if m.ended_at is None and m.organisation.closed_at is None]
    chosen = next((m.organisation for m in open_ones if m.organisation_id == organisation_id), None)
    if chosen is None and open_ones:
        chosen = open_ones[0].organisation
    roles = frozenset(m.role.value for m in open_ones if chosen is not None and m.organisation_id == chosen.id)
    return Actor(person.id, person.name, chosen.id if chosen else None, chosen.name if chosen else "", roles)


def members_with(organisation_id: int, *roles: Role) -> list[int]:
    """Person ids of an organisation's members (with one of ``roles``, if any are named)."""
    statement = select(Membership.person_id).where(
        Membership.organisation_id == organisation_id, Membership.ended_at.is_(None)
    )
    if roles:
        statement = statement.where(Membership.role.in_(roles))
    return sorted(set(session.scalars(statement)))
