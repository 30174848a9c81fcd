"""Formats that are ZIP containers: judged by their directory and by one bounded pass over each member.

Nothing is ever extracted by name. Members are read in parts and thrown away; only what must be judged by
itself (documents inside a plain archive) goes to a private scratch file with a name of ours.
"""

from __future__ import annotations

import re
import stat
import struct
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from kernel.files.incidents import Danger, FileDamaged, FileEncrypted, FileTypeMismatch, unsafe
from kernel.files.kinds import ARCHIVES, EXPECTED, HEAD, MEDIA_TYPES, UNKNOWN, sniff
from kernel.files.names import extension_of
from kernel.files.plain import PART, Watch

#: Most members, most bytes of all members together, most bytes of one directory.
MEMBERS: Final = 5_000
EXPANDED: Final = 400 * 1024 * 1024
DIRECTORY: Final = 4 * 1024 * 1024
#: A member larger than FREE bytes may be at most RATIO times its compressed size.
RATIO: Final = 150
FREE: Final = 4 * 1024 * 1024
#: Relations and content types are small.
PARSED: Final = 4 * 1024 * 1024

_PROGRAMS: Final = frozenset(
    [
        "exe",
        "dll",
        "com",
        "bat",
        "cmd",
        "scr",
        "pif",
        "msi",
        "ps1",
        "vbs",
        "vbe",
        "js",
        "jse",
        "wsf",
        "hta",
        "jar",
        "sh",
        "py",
        "php",
        "jsp",
        "asp",
        "aspx",
        "apk",
        "lnk",
        "reg",
        "svg",
        "html",
        "htm",
        "mht",
        "mhtml",
        "xhtml",
        "swf",
    ]
)
_ARCHIVE_NAMES: Final = frozenset(
    ["zip", "rar", "7z", "gz", "tgz", "bz2", "xz", "tar", "jar", "iso", "cab", "arj", "lzh", "z", "zst"]
)
_DOCTYPE = re.compile(rb"<!(DOCTYPE|ENTITY)")
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s{0,4}=\s{0,4}[\"']([A-Za-z0-9._-]{1,40})[\"']")
_ENCODINGS: Final = frozenset({b"utf-8", b"utf8", b"utf-16", b"us-ascii", b"ascii", b"gbk", b"gb2312", b"gb18030"})
_FIELDS = re.compile(rb"DDEAUTO|<(?:\w+:)?ddeLink\b")

Judge = Callable[[list[tuple[Path, str]]], None]


class Container:
    """An opened container whose directory has been found sound."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        _check_directory_size(path, name)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError, EOFError):
            raise FileDamaged(name=name) from None
        try:
            self._check_directory()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()

    def _check_directory(self) -> None:
        members = self._zip.infolist()
        if not members:
            raise FileDamaged(name=self.name)
        if len(members) > MEMBERS:
            raise unsafe(self.name, Danger.BOMB)
        self.names: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            plain = _plain_name(member)
            if plain is None or stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise unsafe(self.name, Danger.PATHS)
            if plain.casefold() in self.names:
                raise unsafe(self.name, Danger.DISGUISED)
            self.names[plain.casefold()] = member
            if member.flag_bits & 0x41:
                raise FileEncrypted(name=self.name)
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FileDamaged(name=self.name)
            if member.file_size > FREE and member.file_size > RATIO * max(member.compress_size, 1):
                raise unsafe(self.name, Danger.BOMB)
        if sum(member.file_size for member in members) > EXPANDED:
            raise unsafe(self.name, Danger.BOMB)
        self._check_layout(members)

    def _check_layout(self, members: list[zipfile.ZipInfo]) -> None:
        """Each member has bytes of its own, and its local header tells the same name as the directory."""
        end = 0
        with self.path.open("rb") as file:
            for member in sorted(members, key=lambda item: item.header_offset):
                if member.header_offset < end:
                    raise unsafe(self.name, Danger.BOMB)
                if end == 0 and member.header_offset != 0:
                    raise unsafe(self.name, Danger.DISGUISED)
                file.seek(member.header_offset)
                head = file.read(30)
                if len(head) != 30 or not head.startswith(b"PK\x03\x04"):
                    raise FileDamaged(name=self.name)
                flags = struct.unpack_from("<H", head, 6)[0]
                named, extra = struct.unpack_from("<HH", head, 26)
                written = member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437", "replace")
                if file.read(named) != written or (flags ^ member.flag_bits) & 0x801:
                    raise unsafe(self.name, Danger.DISGUISED)
                end = member.header_offset + 30 + named + extra + member.compress_size
        if end > self._zip.start_dir:
            raise unsafe(self.name, Danger.BOMB)

    def members(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        """Lower-case name and entry of every file."""
        for plain, member in self.names.items():
            if not member.is_dir():
                yield plain, member

    def parts(self, member: zipfile.ZipInfo, *, most: int = EXPANDED) -> Iterator[bytes]:
        """A member's bytes in parts, never more than its directory says; its checksum is verified."""
        total = 0
        try:
            with self._zip.open(member) as stream:
                while part := _read(stream):
                    total += len(part)
                    if total > min(most, member.file_size):
                        raise unsafe(self.name, Danger.BOMB)
                    yield part
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, RuntimeError, OSError):
            raise FileDamaged(name=self.name) from None
        if total != member.file_size:
            raise FileDamaged(name=self.name)

    def document(self, member: zipfile.ZipInfo) -> ElementTree.Element:
        """A small XML member, parsed; document types have been refused before."""
        content = b"".join(self.parts(member, most=PARSED))
        try:
            return ElementTree.fromstring(content)  # noqa: S314 (no document type, so no entity can expand)
        except (ElementTree.ParseError, ValueError, LookupError):
            raise FileDamaged(name=self.name) from None


def check_office(path: Path, name: str, extension: str) -> dict[str, Any]:
    """A docx or xlsx: its main part present, no macro, no embedded object, nothing loaded from elsewhere."""
    main = "word/document.xml" if extension == "docx" else "xl/workbook.xml"
    with Container(path, name) as container:
        if "[content_types].xml" not in container.names or main not in container.names:
            raise FileTypeMismatch(name=name, extension=extension, found_zh=" ZIP 压缩格式", found_en="a ZIP container")
        for plain, _ in container.members():
            if re.search(r"vbaproject|vbadata|/macrosheets/|/activex/|/dialogsheets/", plain):
                raise unsafe(name, Danger.MACRO)
            if "/embeddings/" in plain or extension_of(plain) in ("ole", "docx", "xlsx", "pptx", "doc", "xls"):
                raise unsafe(name, Danger.EMBEDDED)
        _check_members(container, markup=True)
        types = container.document(container.names["[content_types].xml"])
        declared = " ".join(element.get("ContentType", "") for element in types).lower()
        if re.search(r"macroenabled|vbaproject|macrosheet|activex", declared):
            raise unsafe(name, Danger.MACRO)
        for plain, member in container.members():
            if plain.endswith(".rels"):
                for relation in container.document(member):
                    if relation.get("TargetMode", "").lower() == "external" and not relation.get(
                        "Type", ""
                    ).lower().endswith(("/hyperlink", "/externallinkpath")):
                        raise unsafe(name, Danger.REMOTE)
    return {}


def check_ofd(path: Path, name: str) -> dict[str, Any]:
    """An OFD (GB/T 33190-2016): its OFD.xml present, no document type, no program and no archive inside."""
    with Container(path, name) as container:
        if "ofd.xml" not in container.names:
            raise FileTypeMismatch(name=name, extension="ofd", found_zh=" ZIP 压缩格式", found_en="a ZIP container")
        if any(re.search(r"(^|/)attach[^/]*/", plain) for plain, _ in container.members()):
            raise unsafe(name, Danger.EMBEDDED)
        _check_members(container, markup=True)
        if not container.document(container.names["ofd.xml"]).tag.endswith("OFD"):
            raise FileDamaged(name=name)
        signatures = sum(1 for plain, _ in container.members() if plain.endswith("/signature.xml"))
    return {"signatures": signatures}


def check_archive(path: Path, name: str, scratch: Path, judge: Judge) -> dict[str, Any]:
    """A plain ZIP: only accepted types inside, no archive in the archive, every member judged like an upload.

    ``scratch`` is an empty private folder; ``judge`` raises for members (path, name) that would be refused.
    """
    with Container(path, name) as container:
        files = list(container.members())
        if not files:
            raise FileDamaged(name=name)
        for plain, _ in files:
            extension = extension_of(plain)
            if extension in _ARCHIVE_NAMES:
                raise unsafe(name, Danger.NESTED)
            if extension not in MEDIA_TYPES:
                raise unsafe(name, Danger.FORBIDDEN)
        copies = []
        for position, (plain, member) in enumerate(files):
            extension = extension_of(plain)
            copy = scratch / f"{position}.{extension}"
            head = b""
            with copy.open("xb") as target:
                watch = Watch(name)
                for part in container.parts(member):
                    head = head or part[:HEAD]
                    watch.see(part)
                    target.write(part)
            content = sniff(head) if head else UNKNOWN
            if content.word in ARCHIVES and EXPECTED[extension] != content.word:
                raise unsafe(name, Danger.NESTED)
            if content.word != EXPECTED[extension]:
                raise unsafe(name, Danger.FORBIDDEN)
            copies.append((copy, name))
        judge(copies)
    return {"files": len(files)}


def _check_members(container: Container, *, markup: bool) -> None:
    """One pass over every member of a document container."""
    for plain, member in container.members():
        extension = extension_of(plain)
        if extension in _PROGRAMS:
            raise unsafe(container.name, Danger.ACTIVE)
        if extension in _ARCHIVE_NAMES:
            raise unsafe(container.name, Danger.NESTED)
        watch = Watch(container.name)
        last = b""
        is_markup = markup and extension in ("xml", "rels", "vml", "xsl", "xslt", "")
        for part in container.parts(member):
            watch.see(part)
            if not last:
                word = sniff(part).word
                if word == "program":
                    raise unsafe(container.name, Danger.ACTIVE)
                if word in ARCHIVES:
                    raise unsafe(container.name, Danger.NESTED)
                if word == "ole" and extension != "bin":
                    raise unsafe(container.name, Danger.EMBEDDED)
                # A part called picture.bin may still be read as XML by its declared type.
                is_markup = is_markup or word == "markup"
                declared = _DECLARED.search(part.replace(b"\0", b"")[:400])
                if is_markup and declared and declared[1].lower() not in _ENCODINGS:
                    raise FileDamaged(name=container.name)
            if is_markup or b"<\0!" in part:
                # UTF-16 markup becomes readable without its NULs.
                joined = last + part.replace(b"\0", b"")
                if _DOCTYPE.search(joined):
                    raise unsafe(container.name, Danger.ENTITIES)
                if _FIELDS.search(joined):
                    raise unsafe(container.name, Danger.FORMULA)
                last = joined[-32:]
            else:
                last = part[-32:]


def _check_directory_size(path: Path, name: str) -> None:
    """Refuse a directory so large that merely listing it would be the attack, and bytes behind its end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 22 - 0xFFFF))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        raise FileDamaged(name=name)
    entries, directory, _, comment = struct.unpack_from("<HIIH", tail, place + 10)
    if len(tail) != place + 22 + comment:
        raise unsafe(name, Danger.DISGUISED)
    if entries > MEMBERS or directory > DIRECTORY:
        raise unsafe(name, Danger.BOMB)


def _plain_name(member: zipfile.ZipInfo) -> str | None:
    """A member's name with forward slashes, or None when it leaves the archive or hides something."""
    written = member.orig_filename
    if not member.flag_bits & 0x800:
        # Archives made by Chinese Windows carry GBK names without saying so.
        written = written.encode("cp437", "replace").decode("gb18030", "replace")
    plain = written.replace("\\", "/")
    if not plain or plain.startswith("/") or ":" in plain or len(plain) > 1_000:
        return None
    if any(ord(sign) < 32 or sign in "\x7f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for sign in plain):
        return None
    return None if ".." in plain.split("/") else plain


def _read(stream: IO[bytes]) -> bytes:
    return stream.read(PART)
