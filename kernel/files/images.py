"""Image and drawing headers, read without decoding a pixel."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from kernel.files.incidents import Danger, FileDamaged, FileEncrypted, unsafe
from kernel.files.kinds import DWG_VERSIONS

#: Most pixels of one image (an A0 sheet at 300 dots per inch is 139 million and is a drawing, not a picture).
PIXELS: Final = 100_000_000
#: Most pictures in one TIFF.
PICTURES: Final = 2_000


class _Bad(Exception):
    """The structure does not hold."""


def check_png(path: Path, name: str) -> dict[str, Any]:
    """Walk the chunks to IEND at the very end of the file."""
    with path.open("rb") as file:
        return _guarded(_png, file, path.stat().st_size, name)


def check_jpeg(path: Path, name: str) -> dict[str, Any]:
    """Walk the segments to the frame header; the file must hold an end-of-image marker near its end."""
    with path.open("rb") as file:
        return _guarded(_jpeg, file, path.stat().st_size, name)


def check_tiff(path: Path, name: str) -> dict[str, Any]:
    """Walk the directories; each picture within the limit, no loop."""
    with path.open("rb") as file:
        return _guarded(_tiff, file, path.stat().st_size, name)


def check_dwg(path: Path, name: str) -> dict[str, Any]:
    """Version, encryption flag and macro project of a DWG header."""
    with path.open("rb") as file:
        head = file.read(128)
    if path.stat().st_size < 512:
        raise FileDamaged(name=name)
    version = head[:6]
    if version > b"AC1015":  # from 2004 on: security flags at 0x18, address of a VBA project at 0x24
        flags, _, _, macros = struct.unpack_from("<IIII", head, 0x18)
        if flags & 1:
            raise FileEncrypted(name=name)
        if macros:
            raise unsafe(name, Danger.MACRO)
    return {"dwg_version": DWG_VERSIONS[version]}


def check_dxf(path: Path, name: str) -> dict[str, Any]:
    """A text DXF must end with its EOF group and hold no NUL; a binary one is only measured."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(22).startswith(b"AutoCAD Binary DXF"):
            return {"dxf": "binary"}
        file.seek(0)
        while part := file.read(1 << 16):
            if b"\0" in part:
                raise FileDamaged(name=name)
        file.seek(max(0, size - 64))
        tail = file.read().split()
    if tail[-2:] != [b"0", b"EOF"]:
        raise FileDamaged(name=name)
    return {"dxf": "text"}


def _guarded(
    walk: Callable[[BinaryIO, int], list[tuple[int, int]]], file: BinaryIO, size: int, name: str
) -> dict[str, Any]:
    try:
        pictures = walk(file, size)
    except (_Bad, struct.error, ValueError, OverflowError):
        raise FileDamaged(name=name) from None
    if not pictures or any(width < 1 or height < 1 for width, height in pictures):
        raise FileDamaged(name=name)
    if any(width * height > PIXELS for width, height in pictures):
        raise unsafe(name, Danger.PIXELS)
    facts: dict[str, Any] = {"width": pictures[0][0], "height": pictures[0][1]}
    return facts | ({"pictures": len(pictures)} if len(pictures) > 1 else {})


def _png(file: BinaryIO, size: int) -> list[tuple[int, int]]:
    place, pictures, data = 8, [], False
    for _ in range(100_000):
        file.seek(place)
        length, kind = struct.unpack(">I4s", _exactly(file, 8))
        if (place == 8) != (kind == b"IHDR") or not kind.isalpha():
            raise _Bad
        if kind == b"IHDR":
            if length != 13:
                raise _Bad
            pictures.append(struct.unpack(">II", _exactly(file, 8)))
        data = data or kind == b"IDAT"
        place += 12 + length
        if place > size:
            raise _Bad
        if kind == b"IEND":
            # Anything behind the end is another file riding along.
            if place != size or length or not data:
                raise _Bad
            return [(width, height) for width, height in pictures]
    raise _Bad


_NO_FRAME = {0xC4, 0xC8, 0xCC}


def _jpeg(file: BinaryIO, size: int) -> list[tuple[int, int]]:
    place, pictures = 2, []
    for _ in range(10_000):
        file.seek(place)
        mark, kind = _exactly(file, 2)
        if mark != 0xFF:
            raise _Bad
        if kind == 0xFF:
            place += 1
            continue
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:
            place += 2
            continue
        (length,) = struct.unpack(">H", _exactly(file, 2))
        if length < 2 or place + 2 + length > size:
            raise _Bad
        if 0xC0 <= kind <= 0xCF and kind not in _NO_FRAME:
            _, height, width = struct.unpack(">BHH", _exactly(file, 5))
            pictures.append((width, height))
        if kind == 0xDA:
            break
        place += 2 + length
    # Telephones add their own trailer behind the end of the picture; a lost end is found all the same.
    file.seek(max(place, size - (1 << 20)))
    if b"\xff\xd9" not in file.read():
        raise _Bad
    return pictures


def _tiff(file: BinaryIO, size: int) -> list[tuple[int, int]]:
    order = "<" if _exactly(file, 4)[:2] == b"II" else ">"
    (place,) = struct.unpack(f"{order}I", _exactly(file, 4))
    seen: set[int] = set()
    pictures = []
    while place:
        if place in seen or place + 2 > size or len(seen) >= PICTURES:
            raise _Bad
        seen.add(place)
        file.seek(place)
        (count,) = struct.unpack(f"{order}H", _exactly(file, 2))
        found = {}
        for _ in range(count):
            tag, kind, amount, raw = struct.unpack(f"{order}HHI4s", _exactly(file, 12))
            if tag in (256, 257) and amount == 1 and kind in (3, 4):
                found[tag] = struct.unpack(f"{order}{'H' if kind == 3 else 'I'}", raw[: 2 if kind == 3 else 4])[0]
        pictures.append((found.get(256, 0), found.get(257, 0)))
        (place,) = struct.unpack(f"{order}I", _exactly(file, 4))
    return pictures


def _exactly(file: BinaryIO, size: int) -> bytes:
    part = file.read(size)
    if len(part) != size:
        raise _Bad
    return part
