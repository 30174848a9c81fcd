"""Documents for the previews' tests, made here: texts, sheets that lie on their side, scans, and what can't be shown."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pikepdf
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

FONT = "STSong-Light"
pdfmetrics.registerFont(UnicodeCIDFont(FONT))


def pdf(pages: Sequence[Sequence[str]], *, size: tuple[float, float] = A4, top: float = 80) -> bytes:
    """Lines of text, page by page; the first line stands ``top`` points below the upper edge, the others 24 apart."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=size, invariant=1)
    for lines in pages:
        canvas.setFont(FONT, 12)
        for place, line in enumerate(lines):
            canvas.drawString(60, size[1] - top - 24 * place, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def numbered(count: int, note: str = "") -> bytes:
    """A document whose page n says 第n页; ``note`` makes its bytes different."""
    return pdf([[f"第{number}页", note or "内容"] for number in range(1, count + 1)])


def turned(degrees: int, note: str) -> bytes:
    """A page of A4 that is to be shown turned clockwise, with a word near its own upper left corner."""
    return _changed(pdf([[note]]), lambda page: page.__setattr__("Rotate", degrees))


def sized(box: Sequence[float]) -> bytes:
    """A page with this media box."""
    return _changed(pdf([["图纸"]]), lambda page: page.__setattr__("MediaBox", pikepdf.Array([float(s) for s in box])))


def _changed(content: bytes, change) -> bytes:  # type: ignore[no-untyped-def]
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(content)) as document:
        for page in document.pages:
            change(page.obj)
        document.save(out)
    return out.getvalue()


def scanned(count: int = 1) -> bytes:
    """Pages that are pictures alone."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for number in range(count):
        image = Image.effect_noise((300, 424), 40 + number)
        ImageDraw.Draw(image).text((40, 40), f"scan {number}", fill=0)
        canvas.drawImage(ImageReader(image), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def encrypted() -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(numbered(1))) as document:
        document.save(out, encryption=pikepdf.Encryption(user="secret", owner="secret", R=6))
    return out.getvalue()


def damaged() -> bytes:
    return b"%PDF-1.7\n" + b"\x00\x17garbage" * 200


def many(count: int) -> bytes:
    """So many empty pages, which share what they can."""
    out = io.BytesIO()
    document = pikepdf.new()
    for _ in range(count):
        document.add_blank_page(page_size=(200, 200))
    document.save(out)
    return out.getvalue()


def one_page_broken() -> bytes:
    """Three pages, the second of which is no page at all."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(numbered(3))) as document:
        document.Root.Pages.Kids[1] = document.make_indirect(pikepdf.Array([1, 2]))
        document.save(out)
    return out.getvalue()


def sealed() -> bytes:
    """A page whose signature field shows a red square in the middle of the sheet."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(numbered(1))) as document:
        shown = pikepdf.Stream(document, b"1 0 0 rg 0 0 100 100 re f")
        shown.Type, shown.Subtype = pikepdf.Name.XObject, pikepdf.Name.Form
        shown.BBox = pikepdf.Array([0, 0, 100, 100])
        field = document.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot,
                Subtype=pikepdf.Name.Widget,
                FT=pikepdf.Name.Sig,
                T=pikepdf.String("seal"),
                F=4,
                Rect=pikepdf.Array([250, 370, 350, 470]),
                P=document.pages[0].obj,
                AP=pikepdf.Dictionary(N=document.make_indirect(shown)),
            )
        )
        document.pages[0].obj.Annots = pikepdf.Array([field])
        document.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]), SigFlags=3)
        document.save(out)
    return out.getvalue()


def hostile_page() -> bytes:
    """Three pages, the second of which draws a square a million million times: ten in ten in ten …"""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(numbered(3))) as document:
        form = {"Type": pikepdf.Name.XObject, "Subtype": pikepdf.Name.Form, "BBox": pikepdf.Array([0, 0, 600, 900])}
        inner = document.make_indirect(pikepdf.Stream(document, b"0 0 100 100 re f " * 20, **form))
        for _ in range(12):
            outer = pikepdf.Stream(document, b"/F Do " * 10, **form)
            outer.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(F=inner))
            inner = document.make_indirect(outer)
        page = document.pages[1].obj
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(F=inner))
        page.Contents = document.make_stream(b"/F Do")
        document.save(out)
    return out.getvalue()


def picture(
    kind: str, size: tuple[int, int] = (400, 300), *, orientation: int | None = None, mode: str = "RGB"
) -> bytes:
    """A white picture with a red corner at its upper left; ``orientation`` is written as a camera does."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 4, size[1] // 4), fill="red")
    out = io.BytesIO()
    if mode == "I;16":
        image.convert("I").point(lambda value: value * 257).convert(mode).save(out, kind)
    elif orientation is None:
        image.convert(mode).save(out, kind)
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(out, kind, exif=exif)
    return out.getvalue()
