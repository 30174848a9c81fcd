"""Electronic signatures on documents: are they there, whole, and who signed (001 §9.3, requirement A11).

What is checked is the mathematics: that the signed bytes are unchanged and the signature belongs to the
certificate. Whether the certificate's issuer is trusted is told apart, because most cities sign with their own
seal platform; a provincial platform plugs in as a :class:`SealChecker`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import SigningError
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko_certvalidator import ValidationContext

from kernel.errors import Invalid

#: A document with more is judged by its first ones; nobody signs a report more often.
MOST = 20


class SignatureBroken(Invalid):
    code = "signature_broken"
    zh = "文件“{name}”的电子签名无效：签名后内容被改动，或签名已损坏，请重新签署后上传"
    en = "The electronic signature on “{name}” doesn't hold: the content was changed after signing, or the signature is damaged; sign again"


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
    """Checks PDF signatures without any network: no certificate is fetched, no revocation list asked for."""

    def signatures(self, path: Path) -> list[Signature]:
        """The signatures of a PDF, in order; empty when it carries none or can't be read as one."""
        # The library tells of every untrusted certificate; we tell of it ourselves.
        logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
        logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
        with path.open("rb") as file:
            try:
                embedded = list(PdfFileReader(file, strict=False).embedded_signatures)[:MOST]
            except (PdfError, ValueError, KeyError, TypeError):
                return []
            return [self._judge(one) for one in embedded]

    def _judge(self, embedded: EmbeddedPdfSignature) -> Signature:
        try:
            status = validate_pdf_signature(embedded, ValidationContext(allow_fetching=False, trust_roots=[]))
        except (PdfError, SigningError, ValueError, KeyError, TypeError):
            return Signature("", is_intact=False, is_trusted=False, covers_whole=False)
        return Signature(
            signer=str(status.signing_cert.subject.human_friendly),
            is_intact=bool(status.intact and status.valid),
            is_trusted=bool(status.trusted),
            covers_whole=status.coverage is not None and status.coverage.name == "ENTIRE_FILE",
        )


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
