"""Signed receipts: the portal can't deny a bid that it acknowledged, nor move its instant (competition, step 3).

Ed25519 over ``"sealed-bid/receipt/v1\\n"`` and the canonical JSON of call, SHA-256, instant and version. There is no
running number, because a number would tell how many bids came before. The portal's signing key is made once in the
data directory, readable by its owner alone; web machines that share the data directory sign alike.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kernel.sealing.content import CALL, canonical
from kernel.sealing.incidents import ReceiptInvalid

VERSION: Final = 1
_PREFIX: Final = b"sealed-bid/receipt/v1\n"
_SIGNED = ("version", "call", "sha256", "at")
_SHAPES = {
    "call": CALL,
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "at": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII),
    "key": re.compile(r"[0-9a-f]{64}"),
    "signature": re.compile(r"[0-9a-f]{128}"),
}
_folder: Path | None = None


def configure(folder: Path) -> None:
    """Where the signing key is kept, and made at its first use (``app.py``)."""
    global _folder
    _folder = folder


def public_key() -> str:
    """The key by which anyone checks this portal's receipts, 64 hex digits."""
    return _key().public_key().public_bytes_raw().hex()


def receipt(call: str, sha256: str, at: datetime) -> dict[str, Any]:
    """A receipt: ``version``, ``call``, ``sha256`` (of the ciphertext), ``at`` (UTC, microseconds), ``key``, ``signature``.

    ``at`` is the instant that the portal judged the bid by.

    Raises:
        ValueError: ``at`` is naive, or call or SHA-256 aren't in their form.
    """
    if at.tzinfo is None:
        raise ValueError("an instant needs its time zone")
    signed = {
        "version": VERSION,
        "call": call,
        "sha256": sha256,
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    if any(not _SHAPES[name].fullmatch(str(signed[name])) for name in ("call", "sha256", "at")):
        raise ValueError(f"not to be signed: {signed}")
    key = _key()
    signature = key.sign(_PREFIX + canonical(signed)).hex()
    return signed | {"key": key.public_key().public_bytes_raw().hex(), "signature": signature}


def verify_receipt(found: Mapping[str, Any], key: str | None = None) -> None:
    """Check a receipt against the portal's public ``key`` (64 hex digits; this portal's own unless given).

    Raises:
        ReceiptInvalid: changed, incomplete, or signed by another key.
    """
    wanted = public_key() if key is None else key
    try:
        if found.keys() != {*_SIGNED, "key", "signature"} or type(found["version"]) is not int:
            raise ReceiptInvalid
        if found["version"] != VERSION or found["key"] != wanted:
            raise ReceiptInvalid
        if any(not shape.fullmatch(found[name]) for name, shape in _SHAPES.items()):
            raise ReceiptInvalid
        signed = canonical({name: found[name] for name in _SIGNED})
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(wanted)).verify(
            bytes.fromhex(found["signature"]), _PREFIX + signed
        )
    except (InvalidSignature, ValueError, TypeError, AttributeError) as error:
        raise ReceiptInvalid from error


def _key() -> Ed25519PrivateKey:
    if _folder is None:
        raise RuntimeError("sealing.configure was not called")
    path = _folder / "receipt_key"
    if not path.exists():
        # Two processes may be the first at once: the name is given to a whole file, and the first one keeps it.
        _folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
