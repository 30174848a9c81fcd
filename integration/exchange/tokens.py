"""Access tokens: how another system speaks for an organisation (000 §六(二), trust G13 and G18).

A token belongs to an organisation, not to a person: it acts with the roles and within the scopes that it was issued
with, and the trail names it in the person's place. The secret is shown once and kept as a SHA-256 only; it holds
256 random bits, so that a slow hash would add nothing. Everything here but the trail runs on machine time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ForeignKey, Index, Table, bindparam, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, numbers, trail
from kernel.access import ADMINISTRATORS, Role
from kernel.accounts import Organisation
from kernel.db import Keyed, after_commit, in_transaction, session, transaction
from kernel.errors import Conflict, Invalid, NotFound, PortalError
from kernel.trail import Actor
from kernel.words import Worded

NUMBER = numbers.series("LP")
#: Every secret begins with this, so that scanners of published code find one that leaked.
MARK: Final = "portal_"
#: How much of a secret is shown again: enough to tell one token from another, far too little to guess the rest.
SHOWN: Final = len(MARK) + 6
LONGEST_LIFE: Final = timedelta(days=366)
#: A caller who asks again within this time is not looked up again. What another process revokes ends that much later.
TRUSTED_FOR: Final = timedelta(seconds=2)
#: More callers than this at once are looked up with every request.
MOST_TRUSTED: Final = 1000
#: Use is noted at most this often, so that a busy caller does not turn every reading into a writing.
NOTED_EVERY: Final = timedelta(hours=1)
_SECRET = re.compile(r"portal_[A-Za-z0-9_-]{43}")

trail.name_acts(
    {
        "token.issued": ("签发访问令牌", "Access token issued"),
        "token.revoked": ("撤销访问令牌", "Access token revoked"),
    }
)


class Scope(Worded):
    """What a token may be used for; its roles say on whose behalf."""

    DOSSIER_READ = "dossier:read", "查看项目材料库及文件", "Read project dossiers and files"
    DOCUMENTS_WRITE = "documents:write", "上传文件", "Upload files"
    COMMISSIONS_READ = "commissions:read", "查看委托", "Read commissions"
    COMMISSIONS_WRITE = "commissions:write", "办理委托", "Act on commissions"
    BIDS_WRITE = "bids:write", "投递密封报价", "Hand in sealed bids"
    MATTERS_READ = "matters:read", "查看审批事项办理情况", "Read approval matters"
    MATTERS_WRITE = "matters:write", "办理审批事项", "Act on approval matters"


class TokenRefused(PortalError):
    code = "token_refused"
    status = 401
    zh = "访问令牌无效、已过期或已撤销"
    en = "The access token is unknown, expired or revoked"


class ScopeMissing(PortalError):
    code = "scope_missing"
    status = 403
    zh = "访问令牌未获授权：{scope_zh}（{scope}）"
    en = "The access token lacks the scope {scope} ({scope_en})"


class TokenNameMissing(Invalid):
    code = "token_name_missing"
    zh = "请填写令牌名称，注明由哪个系统使用"
    en = "Name the token after the system that will use it"


class TokenRolesInvalid(Invalid):
    code = "token_roles_invalid"
    zh = "令牌至少要有一个岗位，且不能有系统运营、安全管理、安全审计岗位"
    en = "A token needs a role, and can't hold one of the three administrators'"


class TokenScopesMissing(Invalid):
    code = "token_scopes_missing"
    zh = "令牌至少要有一项授权范围"
    en = "A token needs a scope"


class TokenLifeInvalid(Invalid):
    code = "token_life_invalid"
    zh = "令牌有效期应为 1 至 {most} 天"
    en = "A token lives 1 to {most} days"


class TokenRevoked(Conflict):
    code = "token_revoked"
    zh = "令牌 {number} 已撤销"
    en = "The token {number} has been revoked"


class OrganisationClosed(Conflict):
    code = "organisation_closed"
    zh = "“{name}”已注销，不能签发令牌"
    en = "“{name}” is closed; no token can be issued to it"


class AccessToken(Keyed):
    """One token. ``token_hash`` is the SHA-256 of the secret in hex; instants are machine time."""

    __tablename__ = "access_tokens"
    number: Mapped[str] = mapped_column(unique=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str]
    roles: Mapped[list[str]]
    scopes: Mapped[list[str]]
    token_hash: Mapped[str] = mapped_column(unique=True)
    shown: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    __table_args__ = (Index("ix_access_tokens_organisation_id", "organisation_id"),)

    @property
    def subject(self) -> str:
        return f"token:{self.number}"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a good secret stands for."""

    number: str
    actor: Actor
    scopes: frozenset[str]

    def demand(self, scope: Scope) -> None:
        """Raises ScopeMissing."""
        if scope.value not in self.scopes:
            raise ScopeMissing(scope=scope.value, scope_zh=scope.zh, scope_en=scope.en)


def issue(
    organisation: Organisation,
    *,
    roles: Iterable[Role],
    scopes: Iterable[Scope],
    name: str,
    by: Actor,
    life: timedelta = timedelta(days=365),
) -> tuple[AccessToken, str]:
    """A new token and its secret, which nobody can read again.

    Raises:
        TokenNameMissing, TokenRolesInvalid, TokenScopesMissing, TokenLifeInvalid, OrganisationClosed.
    """
    held = sorted({role.value for role in roles})
    allowed = sorted({scope.value for scope in scopes})
    if not name.strip():
        raise TokenNameMissing(field="name")
    if not held or not ADMINISTRATORS.isdisjoint(held):
        raise TokenRolesInvalid(field="roles")
    if not allowed:
        raise TokenScopesMissing(field="scopes")
    if not timedelta(days=1) <= life <= LONGEST_LIFE:
        raise TokenLifeInvalid(field="days", most=LONGEST_LIFE.days)
    if organisation.closed_at is not None:
        raise OrganisationClosed(field="organisation", name=organisation.name)
    secret = MARK + secrets.token_urlsafe(32)
    moment = clock.machine()
    token = AccessToken(
        number=numbers.following(NUMBER),
        organisation=organisation,
        name=name.strip(),
        roles=held,
        scopes=allowed,
        token_hash=_hash(secret),
        shown=secret[:SHOWN],
        created_at=moment,
        created_by=f"{by.organisation} {by.person}".strip(),
        expires_at=moment + life,
    )
    session.add(token)
    session.flush()
    trail.record(
        token.subject,
        "token.issued",
        by=by,
        organisation=organisation.credit_code,
        name=token.name,
        roles=held,
        scopes=allowed,
        expires_at=token.expires_at,
    )
    return token, secret


def revoke(token: AccessToken, *, by: Actor, reason: str = "") -> None:
    """End a token at once.

    Raises:
        TokenRevoked: it is revoked already.
    """
    if token.revoked_at is not None:
        raise TokenRevoked(number=token.number)
    token.revoked_at = clock.machine()
    session.flush()
    after_commit(_trusted.clear)
    trail.record(token.subject, "token.revoked", by=by, reason=reason.strip())


def _table(record: type[Keyed]) -> Table:
    table = record.__table__
    assert isinstance(table, Table)  # noqa: S101  every record here is one table
    return table


_TOKENS, _ORGANISATIONS = _table(AccessToken), _table(Organisation)
#: One query through the unique index; asked with every request of a program.
_LOOK_UP = (
    select(
        _TOKENS.c.id,
        _TOKENS.c.number,
        _TOKENS.c.name,
        _TOKENS.c.roles,
        _TOKENS.c.scopes,
        _TOKENS.c.last_used_at,
        _TOKENS.c.expires_at,
        _TOKENS.c.organisation_id,
        _ORGANISATIONS.c.name.label("organisation"),
    )
    .join(_ORGANISATIONS, _ORGANISATIONS.c.id == _TOKENS.c.organisation_id)
    .where(
        _TOKENS.c.token_hash == bindparam("hash"),
        _TOKENS.c.revoked_at.is_(None),
        _TOKENS.c.expires_at > bindparam("now"),
        _ORGANISATIONS.c.closed_at.is_(None),
    )
)


#: Hash → (grant, until when it is trusted), by machine time.
_trusted: dict[str, tuple[Grant, datetime]] = {}


def authenticate(secret: str) -> Grant | None:
    """Whom a secret speaks for; None if it is unknown, expired or revoked, or its organisation is closed.

    A revocation by this process holds at once, one by another within :data:`TRUSTED_FOR`.
    """
    if not _SECRET.fullmatch(secret):
        return None
    digest, now = _hash(secret), clock.machine()
    known = _trusted.get(digest)
    if known is not None and now < known[1] <= now + TRUSTED_FOR:
        return known[0]
    row = session.connection().execute(_LOOK_UP, {"hash": digest, "now": now}).first()
    if row is None:
        _trusted.pop(digest, None)
        return None
    if (row.last_used_at is None or now - row.last_used_at > NOTED_EVERY) and not in_transaction():
        with transaction():
            session.execute(update(_TOKENS).where(_TOKENS.c.id == row.id).values(last_used_at=now))
    actor = Actor(None, row.name, row.organisation_id, row.organisation, frozenset(row.roles))
    grant = Grant(row.number, actor, frozenset(row.scopes))
    if len(_trusted) >= MOST_TRUSTED:
        _trusted.clear()
    _trusted[digest] = (grant, min(now + TRUSTED_FOR, row.expires_at))
    return grant


def find(number: str) -> AccessToken:
    """Raises NotFound."""
    token = session.scalars(select(AccessToken).where(AccessToken.number == number)).first()
    if token is None:
        raise NotFound
    return token


def of_organisation(organisation_id: int) -> Sequence[AccessToken]:
    """An organisation's tokens, newest first, revoked ones too."""
    return session.scalars(
        select(AccessToken).where(AccessToken.organisation_id == organisation_id).order_by(AccessToken.id.desc())
    ).all()


def all_unscoped(*, most: int = 500) -> Sequence[AccessToken]:
    """The newest tokens of everybody; for the operator only."""
    return session.scalars(select(AccessToken).order_by(AccessToken.id.desc()).limit(most)).all()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
