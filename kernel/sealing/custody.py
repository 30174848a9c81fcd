"""Custodians' keys: one long-term identity off the server, and a fresh one for each call, kept encrypted to it.

The call's number is written beside the key as a comment. Whoever stores the encrypted key can't change that, so a
custodian who is shown another call's key (one that is still open) finds out before handing it in.
"""

from __future__ import annotations

import re

from kernel.sealing import age
from kernel.sealing.content import CALL
from kernel.sealing.incidents import KeyDoesNotFit, KeyNotYours, KeyOfOtherCall, KeyUnreadable

_CALL = re.compile(rf"# call: ({CALL.pattern})\n")


def identity_text(identity: str, call: str) -> str:
    """A call's identity as a file that ``age -i`` reads."""
    if not CALL.fullmatch(call):
        raise ValueError(f"call: {call!r}")
    return f"# call: {call}\n# public key: {age.recipient_of(identity)}\n{identity}\n"


def call_of(text: str) -> str | None:
    """The call that an identity file was made for."""
    found = _CALL.match(text)
    return found[1] if found else None


def protect(identity: str, call: str, *recipients: str) -> bytes:
    """A call's identity as an age file for its custodian's long-term recipient, or several of them (a spare key).

    Raises:
        KeyUnreadable, RecipientUnreadable.
    """
    return age.encrypt(identity_text(identity, call).encode("ascii"), *recipients)


def recover(protected: bytes, call: str, long_term_identity: str) -> str:
    """The call's identity again.

    Raises:
        KeyNotYours: it wasn't protected for this long-term identity, or is damaged.
        KeyOfOtherCall: it was made for another call.
        KeyUnreadable: the long-term identity can't be read.
    """
    try:
        text = age.decrypt(protected, long_term_identity).decode("ascii")
    except (age.Undecryptable, UnicodeDecodeError) as error:
        raise KeyNotYours from error
    made_for = call_of(text)
    if made_for != call:
        raise KeyOfOtherCall(call=made_for or "—")
    try:
        return age.parse_identity(text)
    except KeyUnreadable as error:
        raise KeyNotYours from error


def check_key(text: str, recipient: str, *, field: str | None = None) -> str:
    """A key as handed in for a call → the identity, which belongs to the call's public recipient.

    Raises:
        KeyUnreadable, KeyDoesNotFit: each with ``field``.
    """
    identity = age.parse_identity(text, field=field)
    if age.recipient_of(identity) != recipient:
        raise KeyDoesNotFit(field=field)
    return identity
