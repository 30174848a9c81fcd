"""The security log: sign-ins, refusals, secrets changed (trust G11, G13; 004 art. 35).

Insert-only. It never hangs on a subject's chain: who knocked at a door says nothing about the thing behind it.
A refused attempt is written by its edge in a transaction of its own, so that it stays though the request fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Index, select
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock
from kernel.db import HISTORY, Keyed, WordColumn, session
from kernel.words import Worded

#: What a stranger types is kept to this length.
LONGEST = 200


class SecurityEvent(Worded):
    """What the log knows."""

    SIGNED_IN = "signed_in", "登录成功", "Signed in"
    DEMO_SIGNED_IN = "demo_signed_in", "演示账号一键登录", "Signed in with a demo account"
    REFUSED = "sign_in_refused", "登录失败", "Sign-in refused"
    LOCKED = "account_locked", "连续失败，账号锁定", "Account locked after failures"
    SIGNED_OUT = "signed_out", "退出登录", "Signed out"
    PASSWORD_SET = "password_set", "设置口令", "Password set"
    FACTOR_SET = "second_factor_set", "绑定动态口令", "Second factor set"
    DISABLED = "person_disabled", "停用账号", "Account disabled"
    ENABLED = "person_enabled", "恢复账号", "Account enabled"
    DENIED = "access_denied", "访问被拒绝", "Access denied"
    FORGED = "request_forged", "请求校验未通过", "Request without a valid token"


class SecurityEntry(Keyed):
    """One line; ``at`` is machine time, ``login`` as it was typed."""

    __tablename__ = "security_events"
    at: Mapped[datetime]
    event: Mapped[SecurityEvent] = mapped_column(WordColumn(SecurityEvent))
    login: Mapped[str]
    person_id: Mapped[int | None]
    address: Mapped[str]
    detail: Mapped[str]
    __table_args__ = (
        Index("ix_security_events_at", "at"),
        Index("ix_security_events_person_id", "person_id", "id"),
        HISTORY,
    )


def record(
    event: SecurityEvent, *, login: str = "", person_id: int | None = None, address: str = "", detail: str = ""
) -> SecurityEntry:
    """Write one line in the present transaction."""
    entry = SecurityEntry(
        at=clock.machine(),
        event=event,
        login=_printable(login),
        person_id=person_id,
        address=_printable(address),
        detail=_printable(detail),
    )
    session.add(entry)
    session.flush()
    return entry


def of_person(person_id: int, *, most: int = 50) -> Sequence[SecurityEntry]:
    """A person's latest lines, newest first."""
    return session.scalars(
        select(SecurityEntry).where(SecurityEntry.person_id == person_id).order_by(SecurityEntry.id.desc()).limit(most)
    ).all()


def latest_unscoped(*, most: int = 200) -> Sequence[SecurityEntry]:
    """The latest lines of everybody; for security administrators and auditors only."""
    return session.scalars(select(SecurityEntry).order_by(SecurityEntry.id.desc()).limit(most)).all()


def _printable(text: str) -> str:
    """One line without control characters, so that no entry can imitate another (or break the database's text)."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:LONGEST])
