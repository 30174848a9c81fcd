"""Whether a document's signatures hold: are they there, whole, and who signed (001 §9.3, requirement A11).

What is checked is the mathematics: that the signed bytes are unchanged and the signature belongs to the
certificate. Whether the certificate's issuer is trusted is told apart, because most cities sign with their own
seal platform; a provincial platform plugs in as a :class:`SealChecker`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from asn1crypto import x509
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import SigningError
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import DocumentTimestampStatus, PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext

from kernel.errors import Invalid

#: A document with more is judged by its first ones; nobody signs a report more often.
MOST = 20

_FAULTS = (PdfError, SigningError, ValueError, KeyError, TypeError)


class SignatureBroken(Invalid):
    code = "signature_broken"
    zh = "文件“{name}”的电子签名无效：签名后内容被改动，或签名已损坏，请重新签署后上传"
    en = "The electronic signature on “{name}” doesn't hold: the content was changed after signing, or the signature is damaged; sign again"


class SignatureMissing(Invalid):
    code = "signature_missing"
    zh = "文件“{name}”应有 {wanted} 个有效的电子签名，实际识别到 {found} 个，请签署齐全后再办理"
    en = "“{name}” needs {wanted} electronic signatures that hold, and {found} were found; have it signed first"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature. ``is_intact``: the signed bytes are unchanged and the signature fits the certificate."""

    signer: str
    is_intact: bool
    is_trusted: bool
    covers_whole: bool

    def as_json(self) -> dict[str, object]:
        return {
            "signer": self.signer,
            "intact": self.is_intact,
            "trusted": self.is_trusted,
            "covers_whole": self.covers_whole,
        }


class SealChecker(Protocol):
    """Whoever can judge signatures; the one here knows PDF signatures with RSA and elliptic curves."""

    def signatures(self, path: Path) -> list[Signature]: ...


class PdfSeals:
    """Checks PDF signatures without any network: no certificate is fetched, no revocation list asked for.

    ``roots`` answers the authorities whose certificates are trusted.
    """

    def __init__(self, roots: Callable[[], Sequence[x509.Certificate]] = tuple) -> None:
        self._roots = roots

    def signatures(self, path: Path) -> list[Signature]:
        """The signatures of a PDF, in order; empty when it carries none or can't be read as one."""
        quieten()
        with path.open("rb") as file:
            try:
                embedded = list(PdfFileReader(file, strict=False).embedded_signatures)[:MOST]
            except (PdfError, ValueError, KeyError, TypeError):
                return []
            roots = list(self._roots()) if embedded else []
            return [self._judge(one, roots) for one in embedded]

    def _judge(self, embedded: EmbeddedPdfSignature, roots: list[x509.Certificate]) -> Signature:
        try:
            status = _status(embedded, roots)
            stamped = _stamped_at(status)
            if not status.trusted and stamped is not None:
                # The certificate may have ended since: a trusted time stamp proves that it signed before.
                status = _status(embedded, roots, stamped)
        except _FAULTS:
            return Signature("", is_intact=False, is_trusted=False, covers_whole=False)
        return Signature(
            signer=str(status.signing_cert.subject.human_friendly),
            is_intact=bool(status.intact and status.valid),
            is_trusted=bool(status.trusted),
            covers_whole=status.coverage is not None and status.coverage.name == "ENTIRE_FILE",
        )


def _status(
    embedded: EmbeddedPdfSignature, roots: list[x509.Certificate], moment: datetime | None = None
) -> PdfSignatureStatus | DocumentTimestampStatus:
    context = ValidationContext(allow_fetching=False, trust_roots=roots, moment=moment)
    if embedded.sig_object_type == "/DocTimeStamp":
        return validate_pdf_timestamp(embedded, context)
    return validate_pdf_signature(embedded, context)


def _stamped_at(status: PdfSignatureStatus | DocumentTimestampStatus) -> datetime | None:
    """When a trusted time stamp says that the signature was there."""
    stamp = getattr(status, "timestamp_validity", None)
    if stamp is None or not (stamp.intact and stamp.valid and stamp.trusted):
        return None
    moment: datetime = stamp.timestamp
    return moment


def quieten() -> None:
    """The library tells of every untrusted certificate; we tell of it ourselves."""
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)


_checker: SealChecker = PdfSeals()


def use(checker: SealChecker) -> None:
    """Plug in another judge of signatures (``app.py``)."""
    global _checker
    _checker = checker


def check(path: Path, name: str, *, field: str = "files") -> list[Signature]:
    """The signatures of a document.

    Raises:
        SignatureBroken: one of them doesn't hold. A document without signatures is not refused here.
    """
    found = _checker.signatures(path)
    if any(not one.is_intact for one in found):
        raise SignatureBroken(field=field, name=name)
    return found


def verify(path: Path, name: str, *, wanted: int, field: str = "files") -> list[Signature]:
    """The signatures of a document that must carry at least ``wanted``, the last of them over the whole file.

    Unlike :func:`check` it also refuses a file whose signatures can't be found any more, so that no single changed
    byte passes.

    Raises:
        SignatureMissing: there are fewer.
        SignatureBroken: one of them doesn't hold, or something was added after the last.
    """
    found = check(path, name, field=field)
    if len(found) < wanted:
        raise SignatureMissing(field=field, name=name, wanted=wanted, found=len(found))
    if found and not found[-1].covers_whole:
        raise SignatureBroken(field=field, name=name)
    return found
