"""What is inside a sealed bid, and its one canonical form: the same bytes from a browser, the command and the server.

Canonical JSON: UTF-8, members sorted, no spaces, only ``"``, ``\\`` and control characters escaped, whole numbers.
What was opened is read strictly: bytes that aren't the canonical form of what they say are not a bid.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from kernel import money
from kernel.sealing.incidents import ContentInvalid, DiscountUnreadable, WorkingDaysUnreadable
from kernel.words import Worded

VERSION: Final = 1
LONGEST_STATEMENT: Final = 20_000
LONGEST_NAME: Final = 200
MOST_FILES: Final = 20
MOST_DAYS: Final = 9_999
#: All of the fee standard, in basis points.
WHOLE: Final = 10_000

CALL: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_ORGANISATION = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_MEMBERS = frozenset(
    {"version", "call", "organisation", "price", "discount", "working_days", "statement", "files", "nonce", "sealed_by"}
)
_UNFIT_IN_NAME = re.compile(r"[\x00-\x1f\x7f/\\]")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: ord(" ")}


class SealedBy(Worded):
    """Where a bid was sealed. By the server: in its memory, before the first write, for a browser without scripts."""

    BROWSER = "browser", "浏览器封装", "Sealed in the browser"
    OFFLINE = "offline", "离线封装", "Sealed offline"
    SERVER = "server", "服务器封装", "Sealed by the server"


@dataclass(frozen=True, slots=True)
class BidFile:
    """A file inside a bid."""

    name: str
    content: bytes = field(repr=False)


def fresh_nonce() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class BidContent:
    """A bid in the clear.

    ``call``: the call's number; ``organisation``: the bidder's credit code (18 characters); ``price`` (fen) or
    ``discount`` (basis points off the fee standard), or neither where the call asks for none; ``working_days``
    1 … 9999; ``statement``: plain text, made fit by :func:`plain_text`; ``nonce``: 32 hex digits.

    Raises:
        ContentInvalid: a member is outside these limits; its ``field`` is the member.
    """

    call: str
    organisation: str
    price: int | None
    discount: int | None
    working_days: int
    statement: str
    sealed_by: SealedBy
    files: tuple[BidFile, ...] = ()
    nonce: str = field(default_factory=fresh_nonce)

    def __post_init__(self) -> None:
        _demand(_fits(self.call, CALL), "call")
        _demand(_fits(self.organisation, _ORGANISATION), "organisation")
        _demand(self.price is None or self.discount is None, "price")
        _demand(self.price is None or _within(self.price, 0, money.MOST), "price")
        _demand(self.discount is None or _within(self.discount, 0, WHOLE), "discount")
        _demand(_within(self.working_days, 1, MOST_DAYS), "working_days")
        _demand(len(self.statement) <= LONGEST_STATEMENT and self.statement == plain_text(self.statement), "statement")
        _demand(len(self.files) <= MOST_FILES, "files")
        _demand(all(one.name == clean_name(one.name) for one in self.files), "files")
        _demand(_fits(self.nonce, _NONCE), "nonce")

    def as_bytes(self) -> bytes:
        """The canonical form."""
        return canonical(
            {
                "version": VERSION,
                "call": self.call,
                "organisation": self.organisation,
                "price": self.price,
                "discount": self.discount,
                "working_days": self.working_days,
                "statement": self.statement,
                "files": [
                    {"name": one.name, "content": base64.b64encode(one.content).decode("ascii")} for one in self.files
                ],
                "nonce": self.nonce,
                "sealed_by": self.sealed_by.value,
            }
        )

    @classmethod
    def read(cls, raw: bytes) -> BidContent:
        """What was opened.

        Raises:
            ContentInvalid: not the canonical form of a bid.
        """
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ContentInvalid(member="JSON") from error
        _demand(isinstance(found, dict) and found.keys() == _MEMBERS and found["version"] == VERSION, "version")
        _demand(isinstance(found["statement"], str), "statement")
        _demand(isinstance(found["sealed_by"], str) and found["sealed_by"] in set(SealedBy), "sealed_by")
        _demand(isinstance(found["files"], list), "files")
        content = cls(
            call=found["call"],
            organisation=found["organisation"],
            price=found["price"],
            discount=found["discount"],
            working_days=found["working_days"],
            statement=found["statement"],
            sealed_by=SealedBy(found["sealed_by"]),
            files=tuple(_file(one) for one in found["files"]),
            nonce=found["nonce"],
        )
        _demand(content.as_bytes() == raw, "JSON")
        return content


def canonical(value: object) -> bytes:
    """Canonical JSON of a value without floating-point numbers."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def plain_text(text: str) -> str:
    """Text that every part of the portal can keep: newlines as ``\\n``, no NUL, no half of a surrogate pair."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def clean_name(name: str) -> str:
    """A file's name without path separators and control characters, at most 200 characters, never empty."""
    return _UNFIT_IN_NAME.sub("_", plain_text(name))[:LONGEST_NAME] or "_"


def parse_discount(text: str, *, field: str | None = None) -> int:
    """Basis points from a percentage as typed: ``15.5``, ``１５．５％``.

    Raises:
        DiscountUnreadable: with ``field``.
    """
    plain = text.translate(_NARROW).strip()
    found = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{0,2}))? ?%?", plain)
    points = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else WHOLE + 1
    if points > WHOLE:
        raise DiscountUnreadable(field=field, value=text)
    return points


def parse_working_days(text: str, *, field: str | None = None) -> int:
    """A number of working days as typed, full-width digits accepted.

    Raises:
        WorkingDaysUnreadable: with ``field``.
    """
    plain = text.translate(_NARROW).strip()
    if not re.fullmatch(r"[0-9]{1,4}", plain) or int(plain) < 1:
        raise WorkingDaysUnreadable(field=field, value=text)
    return int(plain)


def _file(found: Any) -> BidFile:
    _demand(isinstance(found, dict) and found.keys() == {"name", "content"}, "files")
    _demand(isinstance(found["name"], str) and isinstance(found["content"], str), "files")
    try:
        return BidFile(found["name"], base64.b64decode(found["content"], validate=True))
    except (binascii.Error, ValueError) as error:
        raise ContentInvalid(field="files", member="files") from error


def _fits(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _within(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _demand(holds: bool, member: str) -> None:
    if not holds:
        raise ContentInvalid(field=member, member=member)
