"""Organisations, known by their unified social credit code (GB 32100-2015)."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column
from stdnum.cn import uscc

from kernel import clock
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Conflict, Invalid
from kernel.words import Worded


class BadCreditCode(Invalid):
    code = "bad_credit_code"
    zh = "统一社会信用代码“{value}”有误：应为 18 位且校验码正确，请对照营业执照核对"
    en = "“{value}” is not a valid unified social credit code (18 characters with a check digit)"


class CreditCodeTaken(Conflict):
    code = "credit_code_taken"
    zh = "统一社会信用代码 {value} 已登记为“{name}”"
    en = "The credit code {value} is already registered as “{name}”"


class OrganisationKind(Worded):
    COMPANY = "company", "建设单位", "Company"
    AGENCY = "agency", "中介服务机构", "Agency"
    AUTHORITY = "authority", "政府部门", "Authority"
    UTILITY = "utility", "市政公用服务单位", "Utility"
    OPERATOR = "operator", "运营机构", "Operator"


class Organisation(Keyed):
    __tablename__ = "organisations"
    credit_code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[OrganisationKind] = mapped_column(WordColumn(OrganisationKind))
    region: Mapped[str] = mapped_column(default="")
    address: Mapped[str] = mapped_column(default="")
    legal_representative: Mapped[str] = mapped_column(default="")
    contact: Mapped[str] = mapped_column(default="")
    telephone: Mapped[str] = mapped_column(default="")
    registered_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


def parse_credit_code(value: str, *, field: str = "credit_code") -> str:
    """Normalise (full width, spaces, lower case) and check the digit.

    Raises:
        BadCreditCode: not 18 characters of the alphabet, or the check digit is wrong.
    """
    plain = "".join(unicodedata.normalize("NFKC", value).split()).replace("-", "").upper()
    if not uscc.is_valid(plain):
        raise BadCreditCode(field=field, value=value.strip())
    return plain


def register_organisation(
    credit_code: str,
    name: str,
    kind: OrganisationKind,
    *,
    region: str = "",
    address: str = "",
    legal_representative: str = "",
    contact: str = "",
    telephone: str = "",
) -> Organisation:
    """Add an organisation.

    Raises:
        BadCreditCode: the check digit is wrong.
        CreditCodeTaken: the code is registered already.
    """
    plain = parse_credit_code(credit_code)
    known = by_credit_code(plain)
    if known is not None:
        raise CreditCodeTaken(field="credit_code", value=plain, name=known.name)
    record = Organisation(
        credit_code=plain,
        name=name.strip(),
        kind=kind,
        region=region,
        address=address,
        legal_representative=legal_representative,
        contact=contact,
        telephone=telephone,
        registered_at=clock.now(),
    )
    try:
        with session.begin_nested():
            session.add(record)
    except IntegrityError:
        raise CreditCodeTaken(field="credit_code", value=plain, name=name.strip()) from None
    return record


def by_credit_code(code: str) -> Organisation | None:
    return session.scalars(select(Organisation).where(Organisation.credit_code == code)).first()
