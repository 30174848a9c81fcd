"""The files that pass between a call's page, a bidder and the portal.

``CALL.json`` (public): ``{"version": 1, "call": …, "recipients": {custodian: "age1…"}, "size_classes": […]}``.
``….sealed.json`` (to hand in): ``{"version": 1, "call": …, "sealed_by": …, "ciphertext": base64, "wraps": {pair:
base64}}``. ``….key.txt`` (kept by the bidder): an identity file for ``age -i``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kernel.sealing import age
from kernel.sealing.content import CALL, SealedBy, canonical
from kernel.sealing.envelope import CLASSES, SealedBid, wrap_names
from kernel.sealing.incidents import (
    CallUnreadable,
    RecipientUnreadable,
    SealedFileUnreadable,
    SealedForOtherCall,
)

VERSION: Final = 1
#: Longest sealed file in bytes: the largest class in base64, with its tags, wraps and names.
LARGEST_SEALED: Final = CLASSES[-1] * 4 // 3 + 64 * 1024


@dataclass(frozen=True, slots=True)
class CallKeys:
    """What everyone may know of a call's keys. ``recipients``: custodian → public recipient, made for this call."""

    call: str
    recipients: Mapping[str, str]
    size_classes: Sequence[int] = CLASSES

    def as_bytes(self) -> bytes:
        """The file that the call's page offers."""
        return canonical(
            {
                "version": VERSION,
                "call": self.call,
                "recipients": dict(self.recipients),
                "size_classes": list(self.size_classes),
            }
        )


def read_call(raw: bytes) -> CallKeys:
    """A call's key file.

    Raises:
        CallUnreadable.
    """
    try:
        found = json.loads(raw)
        recipients = {name: age.parse_recipient(one) for name, one in found["recipients"].items()}
        wrap_names(recipients)
        call, classes = found["call"], tuple(found["size_classes"])
        if found["version"] != VERSION or not CALL.fullmatch(call) or not classes or not set(classes) <= set(CLASSES):
            raise CallUnreadable
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, RecipientUnreadable) as error:
        raise CallUnreadable from error
    return CallKeys(call, recipients, classes)


def write_sealed(bid: SealedBid, call: str, sealed_by: SealedBy) -> bytes:
    """The file to hand in; the bid's own key isn't in it."""
    return canonical(
        {
            "version": VERSION,
            "call": call,
            "sealed_by": sealed_by.value,
            "ciphertext": base64.b64encode(bid.ciphertext).decode("ascii"),
            "wraps": {name: base64.b64encode(wrap).decode("ascii") for name, wrap in bid.wraps.items()},
        }
    )


def read_sealed(raw: bytes, call: str) -> tuple[SealedBid, SealedBy]:
    """What a bidder handed in for ``call``; its form is still to be checked (:func:`envelope.check_form`).

    Raises:
        SealedFileUnreadable, SealedForOtherCall: each with the field ``sealed``.
    """
    if len(raw) > LARGEST_SEALED:
        raise SealedFileUnreadable(field="sealed")
    try:
        found: dict[str, Any] = json.loads(raw)
        if found["version"] != VERSION or not CALL.fullmatch(found["call"]):
            raise SealedFileUnreadable(field="sealed")
        wraps = {name: _bytes(wrap) for name, wrap in found["wraps"].items()}
        bid = SealedBid(_bytes(found["ciphertext"]), wraps)
        sealed_by = SealedBy(found["sealed_by"])
        # The server doesn't send itself files: whoever says so is wrong about where the bid was sealed.
        if sealed_by is SealedBy.SERVER:
            raise SealedFileUnreadable(field="sealed")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise SealedFileUnreadable(field="sealed") from error
    if found["call"] != call:
        raise SealedForOtherCall(field="sealed", call=found["call"])
    return bid, sealed_by


def key_text(one_bid_key: str, call: str, sha256: str) -> str:
    """The file that a bidder keeps: opens this one bid by ``age -d -i``, should the custodians' keys not do so."""
    return (
        f"# 公告 / call: {call}\n"
        f"# 报价密文 SHA-256 / sealed bid: {sha256}\n"
        "# 请自行妥善保管，开启前不要交给任何人；只在报价无法开启时出示。\n"
        "# Keep it and show it to nobody before the opening; produce it only if the bid can't be opened.\n"
        f"{one_bid_key}\n"
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)
