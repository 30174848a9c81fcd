"""Pad, encrypt to a key made for one bid, and wrap that key for every pair of custodians (competition, step 2).

A wrap is ``age(A, age(B, key))`` under the name ``A+B``, custodians in alphabetical order: any two open, no single
one can, any one may be lost. Where a policy row chooses one custodian alone the wrap is ``age(A, key)`` under ``A``.

The padded plaintext is a line ``sealed/v1 <context> <length>``, the content of that many bytes, and spaces up to the
size class. The context is the call's number: the second lock beside the call's own keys.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from kernel.sealing import age
from kernel.sealing.content import CALL, BidContent
from kernel.sealing.incidents import (
    CiphertextMalformed,
    ContentInvalid,
    ContentTooLarge,
    KeysMissing,
    KeyUnreadable,
    Reason,
    SizeNotInClass,
    Unopenable,
    WrapMalformed,
    WrapsIncomplete,
)

#: Padded lengths in bytes: a bid of a few fields; with a short text; with a few files; with drawings or scans.
CLASSES: Final = (4 * 1024, 64 * 1024, 1024 * 1024, 8 * 1024 * 1024)

_LINE = re.compile(rb"sealed/v1 ([A-Za-z0-9-]{1,64}) (0|[1-9][0-9]{0,7})\n")
_CUSTODIAN = re.compile(r"[a-z][a-z0-9-]{0,30}")
_FRAME: Final = age.SMALLEST_HEADER + 32  # header, nonce and one tag around a short content


@dataclass(frozen=True, slots=True)
class SealedBid:
    """A bid that nobody can read. ``wraps``: pair of custodians (``A+B``) → the wrapped key of this bid.

    ``one_bid_key`` is the bidder's own way in, kept by the bidder alone; empty for what came from elsewhere.
    """

    ciphertext: bytes = field(repr=False)
    wraps: Mapping[str, bytes] = field(repr=False)
    one_bid_key: str = field(default="", repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the ciphertext, 64 lower-case hex digits: the name under which everyone knows this bid."""
        return hashlib.sha256(self.ciphertext).hexdigest()


def wrap_names(custodians: Iterable[str]) -> list[str]:
    """The names of the wraps for these custodians: every pair, or the one that is alone.

    Raises:
        ValueError: no custodian, or a name that isn't lower-case letters, digits and hyphens.
    """
    names = sorted(set(custodians))
    if not names or not all(_CUSTODIAN.fullmatch(name) for name in names):
        raise ValueError(f"custodians: {names}")
    return names if len(names) == 1 else ["+".join(pair) for pair in combinations(names, 2)]


def class_for(content: bytes, context: str, classes: Sequence[int] = CLASSES) -> int:
    """The smallest size class that holds the content.

    Raises:
        ContentTooLarge: none does.
    """
    length = len(_line(content, context)) + len(content)
    for size in sorted(classes):
        if length <= size:
            return size
    most = max(classes)
    raise ContentTooLarge(largest=f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB")


def pad(content: bytes, context: str, size_class: int) -> bytes:
    """Exactly ``size_class`` bytes that tell nothing of the content's length.

    Raises:
        ContentTooLarge: it doesn't fit.
        ValueError: the context isn't letters, digits and hyphens.
    """
    class_for(content, context, (size_class,))
    return (_line(content, context) + content).ljust(size_class, b" ")


def unpad(padded: bytes) -> tuple[str, bytes]:
    """(context, content).

    Raises:
        Unopenable: (``padding``) not made by :func:`pad`.
    """
    line = _LINE.match(padded)
    if line is None:
        raise Unopenable(Reason.PADDING)
    end = line.end() + int(line[2])
    if end > len(padded) or padded[end:].strip(b" "):
        raise Unopenable(Reason.PADDING)
    return line[1].decode("ascii"), padded[line.end() : end]


def seal(content: bytes, context: str, recipients: Mapping[str, str], *, classes: Sequence[int] = CLASSES) -> SealedBid:
    """Seal ``content`` for ``context`` (a call's number). ``recipients``: custodian → the call's public recipient.

    Raises:
        ContentTooLarge, RecipientUnreadable.
    """
    padded = pad(content, context, class_for(content, context, classes))
    key = age.fresh_identity()
    wraps = {}
    for name in wrap_names(recipients):
        wrapped = f"{key}\n".encode("ascii")
        for custodian in reversed(name.split("+")):
            wrapped = age.encrypt(wrapped, recipients[custodian])
        wraps[name] = wrapped
    return SealedBid(age.encrypt(padded, age.recipient_of(key)), wraps, key)


def check_form(
    ciphertext: bytes, wraps: Mapping[str, bytes], custodians: Iterable[str], *, classes: Sequence[int] = CLASSES
) -> int:
    """What the portal can check without reading: answers the size class in bytes.

    Raises:
        CiphertextMalformed: not an age file for exactly one X25519 key.
        SizeNotInClass: what is inside hasn't the length of one of ``classes``.
        WrapsIncomplete: not exactly one wrap for every pair of ``custodians``.
        WrapMalformed: a wrap that can't be an age file around an age file around a key.
    """
    size = age.inner_size(ciphertext)
    if size is None:
        raise CiphertextMalformed(field="sealed")
    if size not in classes:
        raise SizeNotInClass(field="sealed")
    wanted = wrap_names(custodians)
    if sorted(wraps) != wanted:
        raise WrapsIncomplete(field="sealed", wanted="、".join(wanted))
    for name in wanted:
        inside = age.inner_size(wraps[name]) or 0
        if "+" not in name:
            fits = inside == age.IDENTITY_LENGTH
        else:
            spare = inside - _FRAME - age.IDENTITY_LENGTH
            fits = 0 <= spare <= age.LARGEST_HEADER - age.SMALLEST_HEADER
        if not fits:
            raise WrapMalformed(field="sealed", name=name)
    return size


def unwrap(wrap: bytes, first_identity: str, second_identity: str | None = None) -> str:
    """The key of one bid. ``first_identity`` is of the custodian named first; the second may be absent for one alone.

    Raises:
        Unopenable: (``wrap``) these identities don't open it, or no key is inside.
        KeyUnreadable: an identity can't be read.
    """
    inside = wrap
    for identity in (first_identity, second_identity):
        if identity is None:
            continue
        try:
            inside = age.decrypt(inside, identity)
        except age.Undecryptable as error:
            raise Unopenable(Reason.WRAP) from error
    try:
        return age.parse_identity(inside.decode("ascii"))
    except (UnicodeDecodeError, KeyUnreadable) as error:
        raise Unopenable(Reason.WRAP) from error


def open_with_key(ciphertext: bytes, one_bid_key: str, context: str) -> bytes:
    """The content, by the key that the bidder kept.

    Raises:
        Unopenable: (``ciphertext``, ``padding``, ``other_call``).
        KeyUnreadable.
    """
    try:
        padded = age.decrypt(ciphertext, one_bid_key)
    except age.Undecryptable as error:
        raise Unopenable(Reason.CIPHERTEXT) from error
    sealed_for, content = unpad(padded)
    if sealed_for != context:
        raise Unopenable(Reason.OTHER_CALL)
    return content


def open_envelope(ciphertext: bytes, wraps: Mapping[str, bytes], context: str, identities: Mapping[str, str]) -> bytes:
    """The content, by the identities of two custodians or more (custodian → identity); each pair is tried in turn.

    Raises:
        KeysMissing: no wrap is for these custodians.
        Unopenable: no pair opens it; the reason is the one that came furthest.
        KeyUnreadable.
    """
    names = [name for name in sorted(wraps) if identities.keys() >= set(name.split("+"))]
    if not names:
        raise KeysMissing(present="、".join(sorted(identities)) or "—")
    furthest = Unopenable(Reason.WRAP)
    for name in names:
        try:
            key = unwrap(wraps[name], *(identities[custodian] for custodian in name.split("+")))
            return open_with_key(ciphertext, key, context)
        except Unopenable as error:
            if error.reason is not Reason.WRAP:
                furthest = error
    raise furthest


def open_bid(bid: SealedBid, call: str, identities: Mapping[str, str], *, bidder: str | None = None) -> BidContent:
    """The bid in the clear. ``bidder``: the credit code of whoever submitted it, when that is to be held against it.

    A bid that carries its ``one_bid_key`` is opened by that alone (its bidder produced the key).

    Raises:
        KeysMissing, KeyUnreadable: the keys are at fault, not the bid.
        Unopenable: the bid is at fault; to be recorded.
    """
    if bid.one_bid_key:
        raw = open_with_key(bid.ciphertext, bid.one_bid_key, call)
    else:
        raw = open_envelope(bid.ciphertext, bid.wraps, call, identities)
    try:
        content = BidContent.read(raw)
    except ContentInvalid as error:
        raise Unopenable(Reason.CONTENT) from error
    if content.call != call:
        raise Unopenable(Reason.OTHER_CALL)
    if bidder is not None and content.organisation != bidder:
        raise Unopenable(Reason.OTHER_BIDDER)
    return content


def _line(content: bytes, context: str) -> bytes:
    if not CALL.fullmatch(context):
        raise ValueError(f"context: {context!r}")
    return f"sealed/v1 {context} {len(content)}\n".encode("ascii")
