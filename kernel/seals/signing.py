"""Signing a PDF: one incremental update after the other, each with its time stamp, visible where a place is given."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from asn1crypto import x509
from pyhanko.pdf_utils.content import PdfContent
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import AxisAlignment, BoxConstraints, LayoutError, Margins, SimpleBoxLayoutRule
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.rw_common import PdfHandler, find_inherited_value_in_tree
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.timestamps import TimestampRequestError
from pyhanko.stamp import StaticStampStyle

from kernel.errors import Conflict, Invalid, Unavailable
from kernel.seals import checking, drawing
from kernel.seals.authority import LocalSeals, Signatory
from kernel.seals.checking import PdfSeals, quieten
from kernel.seals.stamping import LocalTimeStamps, OutsideTimeStamps, TimeStampService, TimeStampsUnavailable

#: Points in a millimetre.
POINTS: Final = 72 / 25.4
#: How strongly a seal covers the words that it stands on.
_OPACITY: Final = 0.82


class SealsUnavailable(Unavailable):
    """A seal platform doesn't answer, or our own keys can't be read or written."""

    code = "seals_unavailable"
    zh = "电子签章服务暂时不可用，文件没有签署，请稍后再试"
    en = "The seal service is unavailable; nothing was signed. Try again later"


class CannotSign(Invalid):
    code = "cannot_sign"
    zh = "文件无法签署：不是完整的 PDF 文件，或已加密、禁止签署"
    en = "The file can't be signed: it is no whole PDF, is encrypted, or forbids further signatures"


class FieldTaken(Conflict):
    code = "signature_field_taken"
    zh = "签名栏“{name}”已签署，不能重复签署"
    en = "The signature field “{name}” is signed already"


class SealProvider(Protocol):
    """Whoever holds keys: our own authority, or the seal platform of a city or a province.

    A platform that keeps its keys to itself answers a ``Signer`` whose ``async_sign_raw`` asks it; what it is sent is
    a digest. It raises :class:`SealsUnavailable` when it can't.
    """

    def signer(self, signatory: Signatory) -> Signer: ...

    def roots(self) -> Sequence[x509.Certificate]: ...

    def certificate(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Appearance:
    """Where a visible mark stands: ``page`` from 1 (negative counts from the end), its centre in points from the
    page's left and *top* edge. An organisation's mark is its round seal, over ``purpose`` if that is given (such as
    技术审查专用章); a person's is the name with ``purpose`` in small letters under it.
    """

    page: int
    x: float
    y: float
    purpose: str = ""


class _Drawing(PdfContent):
    """A one-page PDF as a picture."""

    def __init__(self, pdf: bytes) -> None:
        super().__init__()
        self._pdf = pdf

    def render(self) -> bytes:
        page = self._ensure_writer.import_page_as_xobject(PdfFileReader(io.BytesIO(self._pdf)))
        self.resources.xobject[pdf_name("/Drawing")] = page
        left, bottom, right, top = page.get_object()["/BBox"]
        self.box = BoxConstraints(width=abs(right - left), height=abs(top - bottom))
        return b"/Drawing Do"


_provider: SealProvider | None = None
_time_stamps: TimeStampService | None = None


def configure(folder: Path, *, timestamp_url: str = "") -> None:
    """Sign with an authority of our own, its keys under ``folder``, and trust it (``app.py``)."""
    ours = LocalSeals(folder)
    use_provider(ours)
    use_time_stamps(OutsideTimeStamps(timestamp_url) if timestamp_url else LocalTimeStamps(ours))


def use_provider(provider: SealProvider) -> None:
    """Sign with somebody's keys, and trust what its authorities have signed."""
    global _provider
    _provider = provider
    checking.use(PdfSeals(provider.roots))


def use_time_stamps(service: TimeStampService) -> None:
    global _time_stamps
    _time_stamps = service


def certificate() -> bytes:
    """The certificate of the authority that signs here, as PEM."""
    return _configured()[0].certificate()


def sign(
    pdf: bytes,
    signatory: Signatory,
    *,
    reason: str,
    field_name: str,
    name: str = "",
    location: str = "",
    appearance: Appearance | None = None,
    provider: SealProvider | None = None,
    timestamp: TimeStampService | None = None,
) -> bytes:
    """``pdf`` with one more signature behind it; the bytes given stay its beginning.

    ``field_name`` tells the signatures of a document apart; ``name`` is shown by readers instead of the certificate's.

    Raises:
        CannotSign, FieldTaken: nothing can be signed there.
        SealsUnavailable, TimeStampsUnavailable: who should sign or stamp can't at present.
    """
    quieten()
    keys, stamps = _configured() if provider is None or timestamp is None else (provider, timestamp)
    keys, stamps = provider or keys, timestamp or stamps
    try:
        signer = keys.signer(signatory)
    except (OSError, ValueError) as error:
        raise SealsUnavailable from error
    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        if any(taken == field_name for taken, _, _ in enumerate_sig_fields(writer, filled_status=True)):
            raise FieldTaken(name=field_name)
        where = _place(writer, signatory, appearance) if appearance is not None else None
        signing = PdfSigner(
            PdfSignatureMetadata(
                field_name=field_name,
                md_algorithm="sha256",
                reason=reason,
                name=name or signatory.name,
                location=location or None,
                subfilter=SigSeedSubFilter.PADES,
            ),
            signer,
            timestamper=stamps.stamper(),
            stamp_style=_style(signatory, appearance) if appearance is not None else None,
            new_field_spec=SigFieldSpec(
                field_name,
                on_page=where[0] if where else 0,
                box=where[1] if where else None,
                readable_field_name=f"{reason} {name or signatory.name}".strip(),
            ),
        )
        signed = signing.sign_pdf(writer)
    except TimestampRequestError as error:
        raise TimeStampsUnavailable from error
    except (PdfError, SigningError, LayoutError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CannotSign from error
    return bytes(signed.getbuffer())


def _configured() -> tuple[SealProvider, TimeStampService]:
    if _provider is None or _time_stamps is None:
        raise RuntimeError("seals.configure was not called")
    return _provider, _time_stamps


def _size(signatory: Signatory) -> tuple[float, float]:
    """Width and height of a mark, in points."""
    if signatory.is_organisation:
        return drawing.DIAMETER * POINTS, drawing.DIAMETER * POINTS
    return drawing.NAME_WIDTH * POINTS, drawing.NAME_HEIGHT * POINTS


def _place(
    writer: IncrementalPdfFileWriter, signatory: Signatory, appearance: Appearance
) -> tuple[int, tuple[int, int, int, int]]:
    """Page from 0 and the box in the page's own coordinates, whole points; marks stay on the page."""
    index = appearance.page - 1 if appearance.page > 0 else appearance.page
    left, bottom, right, top = _media_box(writer, index)
    width, height = _size(signatory)
    x = min(max(left + appearance.x - width / 2, left), right - width)
    y = min(max(top - appearance.y - height / 2, bottom), top - height)
    return index, (round(x), round(y), round(x + width), round(y + height))


def _media_box(handler: PdfHandler, index: int) -> tuple[float, float, float, float]:
    page = handler.find_page_for_modification(index)[0].get_object()
    box = find_inherited_value_in_tree(page, "/MediaBox", "/Parent")
    left, bottom, right, top = (float(edge) for edge in box)
    return left, bottom, right, top


def _style(signatory: Signatory, appearance: Appearance) -> StaticStampStyle:
    if signatory.is_organisation:
        picture = drawing.seal(signatory.name, appearance.purpose)
    else:
        picture = drawing.name(signatory.name, appearance.purpose)
    return StaticStampStyle(
        border_width=0,
        background=_Drawing(picture),
        background_opacity=_OPACITY if signatory.is_organisation else 1.0,
        background_layout=SimpleBoxLayoutRule(AxisAlignment.ALIGN_MID, AxisAlignment.ALIGN_MID, margins=Margins()),
    )
