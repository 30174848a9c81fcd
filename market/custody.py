"""Custodians and the keys of one call (competition.md, "Sealed bids", 1).

"Three custodians (buyer, platform, supervisor) hold one long-term age identity each off the server": for each call a
fresh identity per custodian is made on the custodian's side and stored encrypted to that custodian's own long-term
recipient. Only public recipients are readable before the opening; each key is bound to one call.

Where a policy row chooses it, the platform alone holds the key of a call (:func:`hold`): an identity made by the
server, kept in a file of the data folder that the database and its backups never see, readable by its owner alone.

Verbs: :func:`register`, :func:`provide`, :func:`hold`, :func:`hand_in`. Questions: :func:`in_force`,
:func:`parties`, :func:`recipients`, :func:`identities`, :func:`is_ready`, :func:`keys`.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import ForeignKey, Index, UniqueConstraint, bindparam, column, delete, select, table, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, sealing, trail
from kernel.access import Role
from kernel.accounts import Membership, Organisation
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from kernel.statements import Statement
from kernel.trail import Actor
from kernel.words import Worded
from market.commissions import Commission, CommissionStatus
from market.routes import CustodyKind

trail.name_acts(
    {
        "custodian.registered": ("登记保管公钥", "Custodian's key registered"),
        "key.provided": ("提供本次采购的开标密钥", "Key of the call provided"),
        "key.held": ("平台生成并保管开标密钥", "Key made and held by the platform"),
        "key.handed_in": ("交出开标密钥", "Key handed in for the opening"),
    }
)


class Custodian(Worded):
    BUYER = "buyer", "采购人", "Buyer"
    PLATFORM = "platform", "平台", "Platform"
    SUPERVISOR = "supervisor", "监督", "Supervisor"


#: Who acts for a custodian; the buyer's people are those of the call's client.
ROLES: Final[Mapping[Custodian, tuple[Role, ...]]] = {
    Custodian.BUYER: (Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT),
    Custodian.PLATFORM: (Role.OPERATOR,),
    Custodian.SUPERVISOR: (Role.SUPERVISOR,),
}
#: So many custodians open a call of three.
ENOUGH: Final = 2
_LONGEST_PROTECTED: Final = 8192
_AGE_FILE: Final = b"age-encryption.org/v1\n-> X25519 "


class NotCustodian(Forbidden):
    code = "not_custodian"
    zh = "您不是本次采购的“{custodian}”保管方"
    en = "You aren't this call's custodian “{custodian_en}”"


class PrivateKeyPasted(Invalid):
    code = "private_key_pasted"
    zh = "您填写的是私钥。私钥不要填写在任何网页上；请填写以 age1 开头的公钥，并更换这把已经外泄的私钥"
    en = "This is a private key. It belongs on no web page: give the public key, which begins with age1, and make a new pair"


class KeyNotRegistered(Conflict):
    code = "custodian_key_missing"
    zh = "请先登记本单位的长期保管公钥"
    en = "Register your organisation's long-term public key first"


class KeysFixed(Conflict):
    code = "call_keys_fixed"
    zh = "公告已发布，开标密钥不能再更换"
    en = "The call is published; its keys can't be changed any more"


class ProtectedUnreadable(Invalid):
    code = "protected_key_unreadable"
    zh = "无法识别加密后的密钥，请粘贴 flask bids call-keys 输出的 protected 一行"
    en = "The protected key can't be read; paste the line “protected” that flask bids call-keys printed"


class RecipientUsed(Conflict):
    code = "recipient_used"
    zh = "这个公钥已经用过，每次采购、每个保管方都要新生成一个"
    en = "This public key was used before; every call and every custodian needs a fresh one"


class TooEarlyToOpen(Conflict):
    code = "too_early_to_open"
    zh = "报价尚未截止，截止前不要交出密钥"
    en = "Bidding hasn't closed; don't hand a key in before it does"


class OpeningOver(Conflict):
    code = "opening_over"
    zh = "本次采购已开标，或不再开标，无需交出密钥"
    en = "This call was opened, or won't be; no key is needed"


class KeyNotProvided(NotFound):
    code = "call_key_not_provided"
    zh = "本次采购没有该保管方的密钥"
    en = "This custodian gave no key for the call"


class PlatformKeyLost(Unavailable):
    code = "platform_key_lost"
    zh = "平台保管的开标密钥文件无法读取，请联系运营机构恢复数据目录"
    en = "The key file that the platform holds can't be read; the operators must restore the data folder"


class CustodianKey(Keyed):
    """A custodian's long-term recipient (public); the identity never reaches the server. One in force at a time."""

    __tablename__ = "custodian_keys"
    custodian: Mapped[Custodian] = mapped_column(WordColumn(Custodian))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    recipient: Mapped[str]
    registered_at: Mapped[datetime]
    registered_by: Mapped[str]
    ended_at: Mapped[datetime | None]
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    __table_args__ = (
        Index(
            "uq_custodian_keys_in_force",
            "custodian",
            "organisation_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
    )


class CallKey(Keyed):
    """One custodian's key of one call: public ``recipient``; ``protected`` is the identity encrypted to the custodian.

    ``identity`` is handed in after the closing (and is public from the opening on). A key that the platform alone
    holds has no organisation and nothing protected: its identity is in a file beside the database.
    """

    __tablename__ = "call_keys"
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    custodian: Mapped[Custodian] = mapped_column(WordColumn(Custodian))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    recipient: Mapped[str] = mapped_column(unique=True)
    protected: Mapped[str] = mapped_column(default="")
    provided_at: Mapped[datetime]
    provided_by: Mapped[str]
    identity: Mapped[str | None]
    handed_in_at: Mapped[datetime | None]
    handed_in_by: Mapped[str] = mapped_column(default="")
    organisation: Mapped[Organisation | None] = relationship(lazy="joined")
    __table_args__ = (UniqueConstraint("call_id", "custodian"),)


#: Asked with every bid.
_RECIPIENTS = Statement(
    select(CallKey.custodian, CallKey.recipient).where(CallKey.call_id == bindparam("call")).order_by(CallKey.custodian)
)


# Long-term keys


def register(custodian: Custodian, organisation: Organisation, recipient: str, *, by: Actor) -> CustodianKey:
    """Put a custodian's long-term public recipient in force; the one before it ends.

    Raises:
        NotCustodian: not one of the organisation's people in the custodian's role. PrivateKeyPasted, RecipientUsed,
        sealing.RecipientUnreadable.
    """
    if by.organisation_id != organisation.id or not by.has(*(role.value for role in ROLES[custodian])):
        raise NotCustodian(custodian=custodian.zh, custodian_en=custodian.en)
    plain = _recipient(recipient)
    if session.scalar(select(CallKey.id).where(CallKey.recipient == plain)) is not None:
        raise RecipientUsed(field="recipient")
    moment = clock.now()
    before = in_force(custodian, organisation.id)
    if before is not None:
        if before.recipient == plain:
            return before
        before.ended_at = moment
        session.flush()
    key = CustodianKey(
        custodian=custodian,
        organisation=organisation,
        recipient=plain,
        registered_at=moment,
        registered_by=by.person,
    )
    session.add(key)
    session.flush()
    subject = f"custodian:{custodian.value}:{organisation.credit_code}"
    trail.record(subject, "custodian.registered", by=by, recipient=plain)
    return key


def in_force(custodian: Custodian, organisation_id: int | None = None) -> CustodianKey | None:
    """The long-term key in force of an organisation; without one, the custodian's registered last."""
    statement = select(CustodianKey).where(CustodianKey.custodian == custodian, CustodianKey.ended_at.is_(None))
    if organisation_id is not None:
        statement = statement.where(CustodianKey.organisation_id == organisation_id)
    return session.scalars(statement.order_by(CustodianKey.id.desc()).limit(1)).first()


def roles_of(actor: Actor) -> list[Custodian]:
    """The custodians that an actor's roles may act for."""
    return [custodian for custodian, roles in ROLES.items() if actor.has(*(role.value for role in roles))]


def parties(call_id: int, client_id: int) -> dict[Custodian, int]:
    """Custodian → the organisation that stands for it: who gave the call's key, else who would give it now."""
    found = {Custodian.BUYER: client_id}
    for custodian in (Custodian.PLATFORM, Custodian.SUPERVISOR):
        key = in_force(custodian)
        if key is not None:
            found[custodian] = key.organisation_id
    found |= {key.custodian: key.organisation_id for key in keys(call_id) if key.organisation_id is not None}
    return dict(sorted(found.items()))


def platform_organisations() -> list[int]:
    """The organisations (by key) that run the platform."""
    running = select(Membership.organisation_id).where(Membership.role == Role.OPERATOR, Membership.ended_at.is_(None))
    return list(session.scalars(running.distinct().order_by(Membership.organisation_id)))


# The keys of one call


def provide(call_id: int, custodian: Custodian, recipient: str, protected: str, *, by: Actor) -> CallKey:
    """Give a call its key before it is published; giving again replaces the one before.

    ``recipient``: this call's public recipient; ``protected``: base64 of its identity, encrypted to the custodian.

    Raises:
        NotFound, NotCustodian, KeyNotRegistered, KeysFixed, RecipientUsed, PrivateKeyPasted, ProtectedUnreadable,
        sealing.RecipientUnreadable.
    """
    call = _call(call_id)
    _demand_custodian(call, custodian, by)
    if call.status != CommissionStatus.DRAFT:
        raise KeysFixed
    long_term = in_force(custodian, by.organisation_id)
    if long_term is None:
        raise KeyNotRegistered
    plain = _recipient(recipient)
    stored = _protected(protected)
    known = {key.custodian: key for key in keys(call_id)}
    others = select(CallKey.id).where(CallKey.recipient == plain)
    if custodian in known:
        others = others.where(CallKey.id != known[custodian].id)
    is_long_term = session.scalar(select(CustodianKey.id).where(CustodianKey.recipient == plain).limit(1)) is not None
    if is_long_term or session.scalar(others) is not None:
        raise RecipientUsed(field="recipient")
    key = known.get(custodian) or CallKey(call_id=call_id, custodian=custodian)
    key.organisation_id = long_term.organisation_id
    key.recipient = plain
    key.protected = stored
    key.provided_at = clock.now()
    key.provided_by = by.person
    session.add(key)
    session.flush()
    trail.record(call.subject, "key.provided", by=by, call=call.number, custodian=custodian.value, recipient=plain)
    return key


def hold(call_id: int, *, by: Actor) -> CallKey:
    """The platform makes this call's only key and holds it alone; what others gave for the call is dropped.

    The file is durable before the row is stored. If the transaction is rolled back the file is found again.
    """
    call = _call(call_id)
    identity = _file_of(call.number, make=True)
    session.execute(delete(CallKey).where(CallKey.call_id == call_id))
    key = CallKey(
        call_id=call_id,
        custodian=Custodian.PLATFORM,
        recipient=sealing.recipient_of(identity),
        provided_at=clock.now(),
        provided_by=trail.SYSTEM.person,
    )
    session.add(key)
    session.flush()
    trail.record(call.subject, "key.held", by=by, call=call.number, recipient=key.recipient)
    return key


def hand_in(call_id: int, custodian: Custodian, identity: str, *, by: Actor) -> CallKey:
    """Hand this call's key in, after the closing; it must be the key of the recipient that the call published.

    Takes the commission's lock, so that of two custodians one sees the other's key. Handing the same in twice
    changes nothing.

    Raises:
        NotFound, KeyNotProvided, NotCustodian, TooEarlyToOpen, OpeningOver, sealing.KeyUnreadable,
        sealing.KeyDoesNotFit.
    """
    call = _call(call_id)
    _demand_custodian(call, custodian, by)
    if call.status in {CommissionStatus.DRAFT, CommissionStatus.OPEN}:
        raise TooEarlyToOpen
    if call.status != CommissionStatus.EVALUATING or call.opened_at is not None:
        raise OpeningOver
    key = next((one for one in keys(call_id) if one.custodian is custodian), None)
    if key is None or key.organisation_id is None:
        raise KeyNotProvided
    plain = sealing.check_key(identity, key.recipient, field="key")
    if key.identity is None:
        key.identity = plain
        key.handed_in_at = clock.now()
        key.handed_in_by = by.person
        session.flush()
        trail.record(call.subject, "key.handed_in", by=by, call=call.number, custodian=custodian.value)
    return key


def take_out(call_id: int, *, by: Actor) -> None:
    """The platform takes the key that it alone holds out of its file, for the opening.

    Raises:
        PlatformKeyLost, sealing.KeyDoesNotFit.
    """
    call = _call(call_id)
    if call.status != CommissionStatus.EVALUATING:
        raise TooEarlyToOpen if call.status is CommissionStatus.OPEN else OpeningOver
    for key in keys(call_id):
        if key.organisation_id is None and key.identity is None:
            key.identity = sealing.check_key(_file_of(call.number), key.recipient)
            key.handed_in_at = clock.now()
            key.handed_in_by = trail.SYSTEM.person
    session.flush()


def keys(call_id: int) -> Sequence[CallKey]:
    """The call's keys, in the order of the custodians."""
    found = session.scalars(select(CallKey).where(CallKey.call_id == call_id)).all()
    order = list(Custodian)
    return sorted(found, key=lambda key: order.index(key.custodian))


def recipients(call_id: int) -> dict[str, str]:
    """Custodian → this call's public recipient: all that anybody may know of its keys before the opening."""
    return {row.custodian: row.recipient for row in _RECIPIENTS.ask(call=call_id)}


def identities(call_id: int) -> dict[str, str]:
    """Custodian → the key as handed in, each checked against the recipient that was published."""
    return {
        key.custodian.value: sealing.check_key(key.identity, key.recipient)
        for key in keys(call_id)
        if key.identity is not None
    }


def is_ready(call_id: int, kind: CustodyKind) -> bool:
    """Whether every key is there without which the call can't be published; the platform makes its own then."""
    return kind is CustodyKind.PLATFORM or {key.custodian for key in keys(call_id)} == set(Custodian)


# Plumbing

_CALLS = table("calls_for_bids", column("id"), column("number"), column("commission_id"), column("opened_at"))


@dataclass(frozen=True, slots=True)
class _Call:
    """What custody knows of a call, which stands above it."""

    number: str
    opened_at: datetime | None
    commission: str
    client_id: int
    status: CommissionStatus

    @property
    def subject(self) -> str:
        return f"commission:{self.commission}"


def _call(call_id: int) -> _Call:
    """A call as it is once its commission's row is locked. Raises NotFound."""
    of_call = Commission.id == select(_CALLS.c.commission_id).where(_CALLS.c.id == call_id).scalar_subquery()
    session.execute(select(Commission.id).where(of_call).with_for_update())
    row = session.execute(
        select(_CALLS.c.number, _CALLS.c.opened_at, Commission.number, Commission.client_id, Commission.status)
        .join_from(_CALLS, Commission, Commission.id == _CALLS.c.commission_id)
        .where(_CALLS.c.id == call_id)
    ).first()
    if row is None:
        raise NotFound
    return _Call(*row)


def is_custodian(custodian: Custodian, client_id: int, actor: Actor) -> bool:
    """Whether an actor acts for a custodian of a call of this client."""
    if custodian is Custodian.BUYER and actor.organisation_id != client_id:
        return False
    return custodian in roles_of(actor)


def _demand_custodian(call: _Call, custodian: Custodian, by: Actor) -> None:
    if not is_custodian(custodian, call.client_id, by):
        raise NotCustodian(custodian=custodian.zh, custodian_en=custodian.en)


def _recipient(typed: str) -> str:
    if "AGE-SECRET-KEY" in typed.upper():
        raise PrivateKeyPasted(field="recipient")
    return sealing.parse_recipient(typed, field="recipient")


def _protected(typed: str) -> str:
    plain = "".join(typed.split())
    try:
        raw = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtectedUnreadable(field="protected") from error
    if len(plain) > _LONGEST_PROTECTED or not raw.startswith(_AGE_FILE):
        raise ProtectedUnreadable(field="protected")
    return plain


_folder: Path | None = None


def configure(folder: Path) -> None:
    """Where the keys that the platform alone holds are kept (``app.py``)."""
    global _folder
    _folder = folder


def _file_of(number: str, *, make: bool = False) -> str:
    """The identity in a call's key file, one whole file made once, readable by its owner alone."""
    if _folder is None:
        raise RuntimeError("custody.configure was not called")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", number):
        raise ValueError(number)
    path = _folder / f"{number}.key.txt"
    if make and not path.exists():
        _folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        identity = sealing.fresh_identity()
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(f"# call: {number}\n# public key: {sealing.recipient_of(identity)}\n{identity}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        folder = os.open(_folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    try:
        return sealing.parse_identity(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError, sealing.KeyUnreadable) as error:
        raise PlatformKeyLost from error
