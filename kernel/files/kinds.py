"""The file types that are accepted, and what a file's first bytes say it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: Media type by extension: the whole allow-list.
MEDIA_TYPES: Final[dict[str, str]] = {
    "pdf": "application/pdf",
    "ofd": "application/ofd",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "dwg": "image/vnd.dwg",
    "dxf": "image/vnd.dxf",
    "zip": "application/zip",
    "csv": "text/csv",
    "txt": "text/plain",
}
#: The allow-list as shown to people.
ALLOWED: Final = ", ".join(MEDIA_TYPES)

#: DWG versions by the first six bytes, R14 to 2018 and later.
DWG_VERSIONS: Final = {
    b"AC1014": "R14",
    b"AC1015": "2000",
    b"AC1018": "2004",
    b"AC1021": "2007",
    b"AC1024": "2010",
    b"AC1027": "2013",
    b"AC1032": "2018",
}


@dataclass(frozen=True, slots=True)
class Content:
    """What the first bytes are: a short word, and its name in both languages."""

    word: str
    zh: str
    en: str


UNKNOWN = Content("unknown", "未知格式", "of an unknown format")
TEXT = Content("text", "纯文本", "plain text")
MARKUP = Content("markup", "网页、SVG 或 XML", "a web page, SVG or XML")

_MAGIC: Final[tuple[tuple[bytes, Content], ...]] = (
    (b"%PDF-", Content("pdf", " PDF 文件", "a PDF")),
    (b"PK\x03\x04", Content("zip", " ZIP 压缩格式", "a ZIP container")),
    (b"PK\x05\x06", Content("emptyzip", "空压缩包", "an empty archive")),
    (b"\x89PNG\r\n\x1a\n", Content("png", " PNG 图像", "a PNG image")),
    (b"\xff\xd8\xff", Content("jpeg", " JPEG 图像", "a JPEG image")),
    (b"II*\0", Content("tiff", " TIFF 图像", "a TIFF image")),
    (b"MM\0*", Content("tiff", " TIFF 图像", "a TIFF image")),
    (b"AutoCAD Binary DXF\r\n\x1a\0", Content("dxf", " DXF 图形", "a DXF drawing")),
    (b"GIF8", Content("gif", " GIF 图像", "a GIF image")),
    (b"BM", Content("bmp", " BMP 图像", "a BMP image")),
    (b"MZ", Content("program", "可执行程序", "a program")),
    (b"\x7fELF", Content("program", "可执行程序", "a program")),
    (b"#!", Content("program", "脚本程序", "a script")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Content("ole", "旧版 Office 文件", "an old Office file")),
    (b"Rar!", Content("rar", " RAR 压缩包", "a RAR archive")),
    (b"7z\xbc\xaf\x27\x1c", Content("7z", " 7z 压缩包", "a 7z archive")),
    (b"\x1f\x8b", Content("gzip", " GZIP 压缩包", "a gzip archive")),
    (b"BZh", Content("bzip2", " BZIP2 压缩包", "a bzip2 archive")),
    (b"\xfd7zXZ\0", Content("xz", " XZ 压缩包", "an xz archive")),
)
_DWG = Content("dwg", " DWG 图形", "a DWG drawing")
_DXF = Content("dxf", " DXF 图形", "a DXF drawing")
_TAR = Content("tar", " TAR 压缩包", "a tar archive")
_MARKUP = re.compile(rb"\s*(<\?|<!doctype|<!--|<(html|svg|script|body|head|iframe|xml|x:|php)\b)", re.IGNORECASE)
_DXF_START = re.compile(rb"(\s*999\r?\n[^\r\n]*\r?\n)*\s*0\r?\n\s*SECTION\r?\n")

#: Words of containers that must not stand inside a plain archive.
ARCHIVES: Final = frozenset({"zip", "emptyzip", "rar", "7z", "gzip", "bzip2", "xz", "tar"})
#: How many first bytes :func:`sniff` wants.
HEAD: Final = 4096


def sniff(head: bytes) -> Content:
    """What a file that starts with ``head`` is; of ``head`` at most :data:`HEAD` bytes are looked at."""
    head = head[:HEAD]
    if head[:6] in DWG_VERSIONS:
        return _DWG
    for magic, content in _MAGIC:
        if head.startswith(magic) and not (content.word == "bmp" and head[6:10] != b"\0\0\0\0"):
            return content
    if head[257:262] == b"ustar":
        return _TAR
    plain = head.removeprefix(b"\xef\xbb\xbf")
    if _MARKUP.match(plain):
        return MARKUP
    if _DXF_START.match(plain):
        return _DXF
    if any(byte < 32 and byte not in b"\t\n\r\f" for byte in head):
        return UNKNOWN
    return TEXT


#: The word that :func:`sniff` must answer for each extension.
EXPECTED: Final[dict[str, str]] = {
    "ofd": "zip",
    "docx": "zip",
    "xlsx": "zip",
    "zip": "zip",
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "tif": "tiff",
    "csv": "text",
    "txt": "text",
} | {extension: extension for extension in ("pdf", "png", "tiff", "dwg", "dxf")}
