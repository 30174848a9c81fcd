"""Passwords: what may be one, and how it is kept (trust G13; GB/T 22239-2019 §8.1.4.1, OWASP ASVS 5.0 V6.2).

The two standards contradict each other, so the rules are a profile: ``mlps3`` asks for three of four classes of
characters, a change every 90 days and no return of the last five; ``asvs`` asks for length alone. Hashes are
argon2id. Every hash a person ever had is kept in an insert-only table, because that is how a return is found.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from sqlalchemy import ForeignKey, Index, select
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock
from kernel.accounts import security_log
from kernel.accounts.people import Person
from kernel.accounts.security_log import SecurityEvent
from kernel.db import HISTORY, Keyed, session
from kernel.errors import Invalid

SHORTEST, LONGEST = 12, 128
#: OWASP's parameters for argon2id (19 MiB, two passes, one lane): sign-ins are many and machines small.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
#: The hash of nobody's password: an unknown login costs the same work as a known one.
NOBODY: Final = "$argon2id$v=19$m=19456,t=2,p=1$y8ipq5TuCsZFjDyx95N26g$2cJSGa+t+S8wQr+EhaXGCafn3axw2FHGcGN/IolzwRM"


class PasswordTooShort(Invalid):
    code = "password_too_short"
    zh = "口令至少 {least} 个字符"
    en = "The password needs at least {least} characters"


class PasswordTooLong(Invalid):
    code = "password_too_long"
    zh = "口令不能超过 {most} 个字符"
    en = "The password can't have more than {most} characters"


class PasswordTooPlain(Invalid):
    code = "password_too_plain"
    zh = "口令须包含大写字母、小写字母、数字、符号四类中的至少三类"
    en = "The password needs three of these: upper-case letters, lower-case letters, digits, other characters"


class PasswordGuessable(Invalid):
    code = "password_guessable"
    zh = "口令容易被猜到：不能包含登录名，也不能只由少数几个字符重复组成"
    en = "The password is easy to guess: it can't contain the login or repeat a few characters"


class PasswordUsedBefore(Invalid):
    code = "password_used_before"
    zh = "不能使用最近 {count} 次用过的口令"
    en = "The last {count} passwords can't be used again"


@dataclass(frozen=True, slots=True)
class Profile:
    """One set of rules: ``classes`` of four wanted, ``lifetime`` until a change is due, ``memory`` of old ones."""

    classes: int
    lifetime: timedelta | None
    memory: int


PROFILES: Final = {
    "mlps3": Profile(classes=3, lifetime=timedelta(days=90), memory=5),
    "asvs": Profile(classes=1, lifetime=None, memory=1),
}
_profile = PROFILES["mlps3"]


class PasswordHistory(Keyed):
    """A hash that a person had, from ``since``."""

    __tablename__ = "password_history"
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    password_hash: Mapped[str]
    since: Mapped[datetime]
    __table_args__ = (Index("ix_password_history_person_id", "person_id", "id"), HISTORY)


def use_profile(name: str) -> None:
    """Follow the profile ``mlps3`` or ``asvs`` in this process (setting ``PASSWORD_PROFILE``)."""
    global _profile
    _profile = PROFILES[name]


def check_strength(password: str, login: str, *, field: str = "password") -> None:
    """Refuse what the profile does not allow, whoever it is for.

    Raises:
        PasswordTooShort, PasswordTooLong, PasswordTooPlain, PasswordGuessable.
    """
    if len(password) < SHORTEST:
        raise PasswordTooShort(field=field, least=SHORTEST)
    if len(password) > LONGEST:
        raise PasswordTooLong(field=field, most=LONGEST)
    if _classes(password) < _profile.classes:
        raise PasswordTooPlain(field=field)
    plain = password.casefold()
    if len(set(plain)) < 5 or (len(login) > 2 and login.casefold() in plain):
        raise PasswordGuessable(field=field)


def set_password(person: Person, password: str, *, is_temporary: bool = False, field: str = "password") -> None:
    """Give ``person`` a new password and end all their sessions; a temporary one must be changed at first sign-in.

    Raises:
        PasswordTooShort, PasswordTooLong, PasswordTooPlain, PasswordGuessable, PasswordUsedBefore.
    """
    check_strength(password, person.login, field=field)
    former = session.scalars(
        select(PasswordHistory.password_hash)
        .where(PasswordHistory.person_id == person.id)
        .order_by(PasswordHistory.id.desc())
        .limit(_profile.memory)
    ).all()
    if any(matches(stored, password) for stored in former):
        raise PasswordUsedBefore(field=field, count=_profile.memory)
    person.password_hash = _HASHER.hash(_normal(password))
    moment = clock.machine()
    person.password_changed_at = None if is_temporary else moment
    person.session_epoch += 1
    session.add(PasswordHistory(person_id=person.id, password_hash=person.password_hash, since=moment))
    security_log.record(SecurityEvent.PASSWORD_SET, login=person.login, person_id=person.id)


def needs_new_password(person: Person) -> bool:
    """Whether the password is temporary or older than the profile allows, by machine time."""
    return is_overdue(person.password_changed_at)


def is_overdue(changed_at: datetime | None) -> bool:
    """The same from the instant of the last change; None means a temporary password."""
    if changed_at is None:
        return True
    return _profile.lifetime is not None and clock.machine() - changed_at > _profile.lifetime


def matches(stored: str, password: str) -> bool:
    """Whether ``password`` is the one behind the hash; an empty hash costs the same work and never matches."""
    try:
        return _HASHER.verify(stored or NOBODY, _normal(password[: LONGEST + 1])) and bool(stored)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


def renew_hash(person: Person, password: str) -> None:
    """Hash again after the parameters were raised; call with the right password only."""
    if _HASHER.check_needs_rehash(person.password_hash):
        person.password_hash = _HASHER.hash(_normal(password))


def _normal(password: str) -> str:
    """One form for what looks the same, whichever keyboard typed it."""
    return unicodedata.normalize("NFKC", password)


def _classes(password: str) -> int:
    kinds = {
        "upper" if sign.isupper() else "lower" if sign.islower() else "digit" if sign.isdigit() else "other"
        for sign in password
    }
    return len(kinds)
