"""The age file format as this portal uses it: X25519 keys only, one recipient a file, written by ``pyrage``.

``pyrage`` adds one random "grease" stanza to each header, as the format allows, and the browser's library adds none;
it is the only part of a file whose length varies, and it has nothing to do with the content.
Format: https://age-encryption.org/v1 .
"""

from __future__ import annotations

import re
from typing import Final

import pyrage

from kernel.sealing.incidents import KeyUnreadable, RecipientUnreadable

#: Longest header accepted, in bytes. Without grease it has 168; with it, 353 were the most in 8,000.
LARGEST_HEADER: Final = 512
SMALLEST_HEADER: Final = 168
#: The length of an identity as a file: 74 characters and a newline.
IDENTITY_LENGTH: Final = 75

_CHUNK: Final = 64 * 1024
_TAG: Final = 16
_NONCE: Final = 16
_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}")
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_HEADER = re.compile(
    rb"age-encryption\.org/v1\n"
    rb"-> X25519 [A-Za-z0-9+/]{43}\n[A-Za-z0-9+/]{43}\n"
    rb"(?:-> [!-~]{0,32}-grease(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)?"
    rb"--- [A-Za-z0-9+/]{43}\n"
)


class Undecryptable(Exception):
    """The file isn't for this identity, or isn't whole."""


def fresh_identity() -> str:
    """A new X25519 identity, ``AGE-SECRET-KEY-1…``."""
    return str(pyrage.x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """The public recipient ``age1…`` of an identity.

    Raises:
        KeyUnreadable.
    """
    return str(_identity(identity).to_public())


def parse_identity(text: str, *, field: str | None = None) -> str:
    """The one identity in a pasted line or in an identity file (lines that begin with ``#`` are comments).

    Raises:
        KeyUnreadable: none, several, or one whose check characters are wrong. Its ``field`` is ``field``.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) != 1:
        raise KeyUnreadable(field=field)
    try:
        _identity(lines[0])
    except KeyUnreadable as error:
        raise KeyUnreadable(field=field) from error
    return lines[0]


def parse_recipient(text: str, *, field: str | None = None) -> str:
    """A public recipient as pasted.

    Raises:
        RecipientUnreadable: not an X25519 recipient. Its ``field`` is ``field``.
    """
    plain = text.strip()
    try:
        if not _RECIPIENT.fullmatch(plain):
            raise ValueError
        pyrage.x25519.Recipient.from_str(plain)
    except (ValueError, pyrage.RecipientError) as error:
        raise RecipientUnreadable(field=field, value=plain[:80]) from error
    return plain


def encrypt(plain: bytes, *recipients: str) -> bytes:
    """An age file that each of ``recipients`` opens.

    Raises:
        RecipientUnreadable.
    """
    known = [pyrage.x25519.Recipient.from_str(parse_recipient(one)) for one in recipients]
    return bytes(pyrage.encrypt(plain, known))


def decrypt(file: bytes, identity: str) -> bytes:
    """What is inside.

    Raises:
        Undecryptable, KeyUnreadable.
    """
    try:
        return bytes(pyrage.decrypt(file, [_identity(identity)]))
    except pyrage.DecryptError as error:
        raise Undecryptable from error


def inner_size(file: bytes) -> int | None:
    """The length in bytes of what is inside, told from the outside; None when it isn't a file for one X25519 key."""
    header = _HEADER.match(file, 0, LARGEST_HEADER)
    if header is None:
        return None
    body = len(file) - header.end() - _NONCE
    chunks = -(-body // (_CHUNK + _TAG))
    size = body - chunks * _TAG
    return size if chunks > 0 and size > (chunks - 1) * _CHUNK else None


def _identity(text: str) -> pyrage.x25519.Identity:
    if not _IDENTITY.fullmatch(text):
        raise KeyUnreadable
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError as error:
        raise KeyUnreadable from error
