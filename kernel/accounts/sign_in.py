"""Signing in: password, second factor, lock-out, sessions (trust G13, requirement E1).

Everything here runs on machine time. :func:`sign_in` answers a result instead of raising, because a failed attempt
must be stored: the edge commits either way. Whatever was wrong (unknown login, password, code, locked, disabled),
the answer is the same and so is the work; only the security log tells the difference.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyotp
from sqlalchemy import Index, bindparam, exists, select
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock
from kernel.access import SECOND_FACTOR
from kernel.accounts import passwords, security_log
from kernel.accounts.organisations import Organisation
from kernel.accounts.passwords import needs_new_password, set_password
from kernel.accounts.people import Membership, Person
from kernel.accounts.security_log import SecurityEvent
from kernel.db import Base, session
from kernel.errors import PortalError
from kernel.trail import Actor

__all__ = [
    "IDLE",
    "LONGEST_SESSION",
    "Account",
    "EndedSession",
    "Result",
    "SecondFactorMissing",
    "SignInRefused",
    "account",
    "current_code",
    "disable",
    "enable",
    "end_session",
    "enrol",
    "needs_new_password",
    "needs_second_factor",
    "set_password",
    "sign_in",
    "verify_password",
]

MOST_FAILURES: Final = 5
LOCKED_FOR: Final = timedelta(minutes=30)
#: A session ends after this long without a request, and after this long in any case.
IDLE, LONGEST_SESSION = timedelta(minutes=30), timedelta(hours=12)
STEP: Final = 30


class SignInRefused(PortalError):
    code = "sign_in_refused"
    status = 401
    zh = "登录名、口令或动态口令不正确。连续 5 次失败，该账号将锁定 30 分钟"
    en = "The login, the password or the code is wrong. After five failures the account is locked for 30 minutes"


class SecondFactorMissing(PortalError):
    code = "second_factor_missing"
    status = 401
    zh = "此账号的岗位须使用动态口令登录，但尚未绑定，请联系系统管理员"
    en = "This account's role needs a second factor, and none is set up yet; please ask an administrator"


class EndedSession(Base):
    """A session that was signed out: its cookie is worthless from then on, wherever a copy lies."""

    __tablename__ = "ended_sessions"
    key: Mapped[str] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime]
    __table_args__ = (Index("ix_ended_sessions_ended_at", "ended_at"),)


@dataclass(frozen=True, slots=True)
class Result:
    """Either the ``person`` who is now known, or the ``error`` to show."""

    person: Person | None
    error: PortalError | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A signed-in person as one request sees them. ``organisations`` are those they may act for."""

    actor: Actor
    login: str
    organisations: tuple[tuple[str, str], ...]
    must_renew_password: bool


def sign_in(login: str, password: str, code: str = "", *, address: str = "") -> Result:
    """Check the three; count failures; write the security log. Call inside ``transaction()`` and commit in any case.

    The person's row stays locked meanwhile, so that guesses at one account come one after the other and a code is
    taken once only.
    """
    plain = unicodedata.normalize("NFKC", login).strip().lower()
    person = _locked_row(plain) if plain.isprintable() else None
    result = _verify(person, password, code)
    why = _consequence(person, result)
    event = SecurityEvent.SIGNED_IN if result == "" else SecurityEvent.REFUSED
    security_log.record(event, login=plain, person_id=person.id if person else None, address=address, detail=result)
    if why is SecurityEvent.LOCKED and person is not None:
        security_log.record(why, login=plain, person_id=person.id, address=address)
    if person is None or result:
        return Result(None, SecondFactorMissing() if result == "factor_missing" else SignInRefused(field="login"))
    passwords.renew_hash(person, password)
    return Result(person)


def verify_password(person_id: int, password: str, *, address: str = "") -> Result:
    """Ask a signed-in person for the password again; a wrong one counts as a failed sign-in."""
    person = session.get(Person, person_id, with_for_update=True, populate_existing=True)
    if person is None:
        return Result(None, SignInRefused())
    is_right = passwords.matches(person.password_hash, password)
    reason = "locked" if _is_locked(person) else "" if is_right else "password"
    if _consequence(person, reason) is SecurityEvent.LOCKED:
        security_log.record(SecurityEvent.LOCKED, login=person.login, person_id=person.id, address=address)
    if reason:
        security_log.record(
            SecurityEvent.REFUSED, login=person.login, person_id=person.id, address=address, detail=f"again: {reason}"
        )
        return Result(None, SignInRefused())
    return Result(person)


def needs_second_factor(person: Person) -> bool:
    """Staff and agencies need one; whoever has set one up is asked for it."""
    return bool(person.totp_secret) or any(
        m.role.value in SECOND_FACTOR for m in person.memberships if m.ended_at is None
    )


def enrol(person: Person, secret: str | None = None) -> str:
    """Set up the second factor (a new one unless given) and answer the ``otpauth:`` address for the person's app."""
    person.totp_secret = secret or pyotp.random_base32()
    person.totp_last_step = 0
    security_log.record(SecurityEvent.FACTOR_SET, login=person.login, person_id=person.id)
    return pyotp.TOTP(person.totp_secret).provisioning_uri(name=person.login, issuer_name="Intermediary services")


def current_code(person: Person) -> str:
    """The six digits that the person's app shows now; '' without a second factor. For the sandbox alone."""
    return pyotp.TOTP(person.totp_secret).at(clock.machine()) if person.totp_secret else ""


def disable(person: Person) -> None:
    """Close the account at once, with all its sessions."""
    person.disabled_at = clock.machine()
    person.session_epoch += 1
    security_log.record(SecurityEvent.DISABLED, login=person.login, person_id=person.id)


def enable(person: Person) -> None:
    """Open a closed account again; its old sessions stay dead."""
    person.disabled_at = None
    person.failures = 0
    person.locked_until = None
    security_log.record(SecurityEvent.ENABLED, login=person.login, person_id=person.id)


def new_session_key() -> str:
    return secrets.token_urlsafe(18)


def end_session(key: str) -> None:
    """A signed-out session stays dead; rows older than the longest session may be thrown away."""
    if session.get(EndedSession, key) is None:
        session.add(EndedSession(key=key, ended_at=clock.machine()))


#: Asked with every request of a signed-in person, so put together once.
_ACCOUNT = (
    select(
        Person.login,
        Person.name,
        Person.password_changed_at,
        Membership.role,
        Organisation.id.label("organisation_id"),
        Organisation.name.label("organisation"),
        Organisation.credit_code,
    )
    .outerjoin(Membership, (Membership.person_id == Person.id) & Membership.ended_at.is_(None))
    .outerjoin(Organisation, (Organisation.id == Membership.organisation_id) & Organisation.closed_at.is_(None))
    .where(
        Person.id == bindparam("person"),
        Person.session_epoch == bindparam("epoch"),
        Person.disabled_at.is_(None),
        ~exists().where(EndedSession.key == bindparam("session_key")),
    )
    .order_by(Membership.id)
)


def account(person_id: int, epoch: int, session_key: str, organisation_id: int | None = None) -> Account | None:
    """The account behind a session in one query; None if the session is dead (signed out, disabled, new password)."""
    rows = session.execute(_ACCOUNT, {"person": person_id, "epoch": epoch, "session_key": session_key}).all()
    if not rows:
        return None
    first, open_rows = rows[0], [row for row in rows if row.organisation_id is not None]
    chosen = next((row for row in open_rows if row.organisation_id == organisation_id), None)
    if chosen is None and open_rows:
        chosen = open_rows[0]
    roles = frozenset(row.role.value for row in open_rows if chosen and row.organisation_id == chosen.organisation_id)
    return Account(
        actor=Actor(
            person_id,
            first.name,
            chosen.organisation_id if chosen else None,
            chosen.organisation if chosen else "",
            roles,
        ),
        login=first.login,
        organisations=tuple(dict.fromkeys((row.credit_code, row.organisation) for row in open_rows)),
        must_renew_password=passwords.is_overdue(first.password_changed_at),
    )


def _locked_row(login: str) -> Person | None:
    return session.scalars(
        select(Person).where(Person.login == login).with_for_update(of=Person).execution_options(populate_existing=True)
    ).first()


def _verify(person: Person | None, password: str, code: str) -> str:
    """Why the attempt fails, in one word for the log; '' if it succeeds and nothing else is in its way."""
    is_right = passwords.matches(person.password_hash if person else "", password)
    if person is None:
        return "unknown"
    if person.disabled_at is not None:
        return "disabled"
    if _is_locked(person):
        return "locked"
    if not is_right:
        return "password"
    if not needs_second_factor(person):
        return ""
    if not person.totp_secret:
        return "factor_missing"
    return "" if _take_code(person, code) else "code"


def _take_code(person: Person, code: str) -> bool:
    """Accept the code of this step or a neighbour, and never one of a step already used."""
    plain = "".join(unicodedata.normalize("NFKC", code).split())
    if len(plain) != 6 or not plain.isascii():
        return False
    totp = pyotp.TOTP(person.totp_secret)
    now = int(clock.machine().timestamp()) // STEP
    for step in (now - 1, now, now + 1):
        if step > person.totp_last_step and secrets.compare_digest(totp.generate_otp(step), plain):
            person.totp_last_step = step
            return True
    return False


def _is_locked(person: Person) -> bool:
    return person.locked_until is not None and clock.machine() < person.locked_until


def _consequence(person: Person | None, result: str) -> SecurityEvent | None:
    """Count a wrong password or code, lock at the fifth; success clears the count."""
    if person is None:
        return None
    if result == "":
        person.failures = 0
        person.locked_until = None
    elif result in {"password", "code"}:
        if person.locked_until is not None:  # the lock has run out: a new count begins
            person.failures, person.locked_until = 0, None
        person.failures += 1
        if person.failures >= MOST_FAILURES:
            person.locked_until = clock.machine() + LOCKED_FOR
            return SecurityEvent.LOCKED
    return None
