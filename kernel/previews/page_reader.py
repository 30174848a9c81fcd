"""Draws untrusted documents in a process of its own: ``python -I page_reader.py KIND PATH``; knows nothing of the portal.

``KIND`` is ``pdf`` or ``picture``. Output: first a JSON line with ``pages`` or ``problem``. Then, for each line of
input that holds a page's number (from 1), a JSON line about the page and, if it says so, ``size`` bytes of picture:

    {"page", "width", "height", "text", "words", "size"} or {"page", "problem"}

``words`` are [text, x, y, width, height] in thousandths of the page as the picture shows it, from its top left corner.
The process limits its own memory, processor time and files before it opens the document, so that a hostile file can
end this process and nothing else; it can write no file at all. The picture goes out through the pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import math
import os
import resource
import signal
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image, ImageOps

MEGABYTE = 1 << 20
MEMORY = 240 * MEGABYTE
#: Seconds of processor time for the start and for each page.
SECONDS = 10
PAGES = 2_000
#: Picture of an A4 page in pixels; larger sheets are drawn at the same scale up to PIXELS, none is wider than WIDEST.
WIDTH, A4, PIXELS, WIDEST = 1_100, 595.3, 4_000_000, 4_000
#: With a larger share of pixels between black and white a picture may be a photograph or a scan.
TONES = 0.3
#: Most pixels of a picture that was uploaded as a document.
UPLOADED = 100_000_000
#: Most characters of one page and its text; a word longer than LONGEST becomes several, to place quotes in it.
SIGNS, LONGEST = 100_000, 40
#: After so many pages the others give way to whatever else the machine has to do.
PROMPT = 3
#: What the library keeps of fonts and pictures is given back after so many pages.
AFRESH = 40


#: Left, bottom, right, top in the page's own coordinates.
Box = tuple[float, float, float, float]


class Problem(Exception):
    """Why there is no preview, or no page: a short word."""


def main() -> None:
    # The worker decides when we end; a signal to the whole group is its own to answer.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Address space is not bounded: libraries reserve far more of it than they use.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    kind, path = sys.argv[1:]
    _more_time()
    try:
        document: Pages | Picture = Pages(path) if kind == "pdf" else Picture(path)
    except Problem as problem:
        _answer({"problem": str(problem)})
        return
    except MemoryError:
        _answer({"problem": "heavy"})
        return
    _answer({"pages": document.pages})
    for count, line in enumerate(sys.stdin):
        if count == PROMPT:
            with contextlib.suppress(OSError):
                os.nice(10)
        _more_time()
        number = int(line)
        try:
            told, picture = document.page(number)
            _answer({"page": number, **told, "size": len(picture)}, picture)
        except Problem as problem:
            _answer({"page": number, "problem": str(problem)})
        except MemoryError:
            _answer({"page": number, "problem": "heavy"})


def _more_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS, hard))


def _answer(told: dict[str, Any], picture: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + picture)
    sys.stdout.buffer.flush()


class Pages:
    """A PDF, opened anew now and then."""

    def __init__(self, path: str) -> None:
        self._path, self._drawn = path, 0
        self._document = self._open()
        self.pages = len(self._document)
        if not self.pages:
            raise Problem("damaged")
        if self.pages > PAGES:
            raise Problem("long")

    def _open(self) -> Any:
        try:
            document = pdfium.PdfDocument(self._path)
        except FileNotFoundError:
            raise Problem("lost") from None
        except pdfium.PdfiumError as error:
            raise Problem("encrypted" if error.err_code == raw.FPDF_ERR_PASSWORD else "damaged") from None
        with contextlib.suppress(pdfium.PdfiumError):
            document.init_forms()  # visible seals are form fields; scripts are not even built in
        return document

    def page(self, number: int) -> tuple[dict[str, Any], bytes]:
        """What is told of a page, and its picture."""
        if self._drawn == AFRESH:
            self._document.close()
            self._document, self._drawn = self._open(), 0
        self._drawn += 1
        try:
            page = self._document[number - 1]
        except (pdfium.PdfiumError, IndexError):
            raise Problem("damaged") from None
        try:
            words, text = _words(page)
            size, picture = encode(_drawn(page))
        except pdfium.PdfiumError:
            raise Problem("damaged") from None
        finally:
            page.close()
        return {**size, "text": text, "words": words}, picture


class Picture:
    """An uploaded picture: a document of one page without text."""

    pages = 1

    def __init__(self, path: str) -> None:
        Image.MAX_IMAGE_PIXELS = UPLOADED
        try:
            self._image = Image.open(path, formats=("PNG", "JPEG"))
        except FileNotFoundError:
            raise Problem("lost") from None
        except Image.DecompressionBombError:
            raise Problem("heavy") from None
        except Exception:  # whatever a decoder says of a hostile file, the file is not readable
            raise Problem("damaged") from None

    def page(self, number: int) -> tuple[dict[str, Any], bytes]:
        """What is told of the only page, and its picture, upright and on white."""
        try:
            scale = _fitting(*self._image.size, scale=1.0)
            wanted = (max(1, round(self._image.width * scale)), max(1, round(self._image.height * scale)))
            self._image.draft("RGB", wanted)  # a JPEG is decoded no larger than it is shown
            image: Image.Image = self._image
            if image.mode.startswith("I"):  # sixteen bits of grey
                image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
            elif image.mode in ("1", "P", "PA"):  # would otherwise be made smaller by leaving pixels out
                image = image.convert("L" if image.mode == "1" else "RGBA")
            image.thumbnail(wanted)
            image = ImageOps.exif_transpose(image)
            if image.mode != "RGB":
                clear = image.convert("RGBA")
                image = Image.new("RGB", clear.size, "white")
                image.paste(clear, mask=clear)
        except MemoryError:
            raise
        except Exception:  # see above
            raise Problem("damaged") from None
        size, picture = encode(image)
        return {**size, "text": "", "words": []}, picture


def _fitting(width: float, height: float, *, scale: float) -> float:
    """The largest scale up to ``scale`` at which a sheet stays within the limits, when sides are rounded up."""
    return min(scale, WIDEST / width, WIDEST / height, math.sqrt(PIXELS / (width * height))) * (1 - 1e-6)


def _drawn(page: Any) -> Image.Image:
    width, height = page.get_size()
    if not (0 < width < 1e6 and 0 < height < 1e6):  # also what is no number
        return Image.new("RGB", (WIDTH, WIDTH), "white")
    scale = _fitting(width, height, scale=WIDTH / min(width, A4))
    bitmap = page.render(scale=scale)
    try:
        image: Image.Image = bitmap.to_pil()
        return image.convert("RGB")  # a copy
    finally:
        bitmap.close()


def encode(image: Image.Image) -> tuple[dict[str, Any], bytes]:
    """The picture's size, and the picture as WebP: sharp to the pixel for text and drawings, else as a photograph.

    Sixteen shades of each colour are enough for the edges of letters and lines, and almost halve the bytes.
    """
    size = {"width": image.width, "height": image.height}
    shades = image.convert("L").histogram()
    soft = None
    if sum(shades[8:248]) > TONES * image.width * image.height:
        soft = io.BytesIO()
        image.save(soft, "WEBP", quality=80, method=2)
    sharp = io.BytesIO()
    image = image.point([round(value / 17) * 17 for value in range(256)] * 3)  # the first is free again
    image.save(sharp, "WEBP", lossless=True, quality=20, method=2)
    # What is hardly smaller as a photograph is no photograph.
    is_soft = soft is not None and soft.tell() < 0.6 * sharp.tell()
    return size, soft.getvalue() if soft is not None and is_soft else sharp.getvalue()


def _words(page: Any) -> tuple[list[list[Any]], str]:
    """The words of a page with their places, and its text line by line."""
    reading = page.get_textpage()
    try:
        words: list[list[Any]] = []
        text: list[str] = []
        word, box = "", (0.0, 0.0, 0.0, 0.0)
        for sign, place in _signs(reading):
            is_apart = place is None or len(word) >= LONGEST or (word and _is_far(box, place))
            if word and is_apart:
                words.append([word, *_shown(page, box)])
                word = ""
            text.append(sign)
            if place is not None:
                box = _around(box, place) if word else place
                word += sign
        if word:
            words.append([word, *_shown(page, box)])
        return words, "\n".join(line.strip() for line in "".join(text).splitlines()).strip("\n")
    finally:
        reading.close()


def _signs(reading: Any) -> Iterator[tuple[str, Box | None]]:
    """The characters of a page with their boxes, in the page's coordinates; white space has none."""
    high = 0
    for index in range(min(reading.count_chars(), SIGNS)):
        code = raw.FPDFText_GetUnicode(reading.raw, index)
        if 0xD800 <= code < 0xDC00:  # the first half of a rare character
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00 if high else 0
        high = 0
        sign = chr(code) if code < 0x110000 else "\0"
        if sign.isspace():
            if sign != "\r":
                yield "\n" if sign == "\n" else " ", None
        elif code not in (0xFFFE, 0xFFFF) and unicodedata.category(sign) not in ("Cc", "Cf", "Cs"):
            place = _place(reading.raw, index)
            if place is not None:
                yield sign, place


_loose = raw.FS_RECTF()
_left, _right, _bottom, _top = (ctypes.c_double() for _ in range(4))


def _place(reading: Any, index: int) -> Box | None:
    """The box of a character: as high as its line if that is known, which it is only for text that runs level."""
    if raw.FPDFText_GetLooseCharBox(reading, index, _loose):
        box = _ordered(_loose.left, _loose.bottom, _loose.right, _loose.top)
        if box[2] - box[0] > 0.1 and box[3] - box[1] > 0.1:
            return box
    if raw.FPDFText_GetCharBox(reading, index, _left, _right, _bottom, _top):
        return _ordered(_left.value, _bottom.value, _right.value, _top.value)
    return None


def _ordered(x: float, y: float, other_x: float, other_y: float) -> Box:
    return min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y)


def _is_far(box: Box, place: Box) -> bool:
    """Whether a character stands so far from the word before it that it begins another."""
    size = 2 * max(place[2] - place[0], place[3] - place[1])
    return place[0] > box[2] + size or place[2] < box[0] - size or place[1] > box[3] + size or place[3] < box[1] - size


def _around(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


_x, _y = ctypes.c_int(), ctypes.c_int()


def _shown(page: Any, box: Box) -> list[int]:
    """A box of the page's own coordinates as the picture shows it; the library knows cropping and rotation."""
    sides: list[tuple[int, int]] = []
    for x, y in (box[:2], box[2:]):
        raw.FPDF_PageToDevice(page, 0, 0, 1000, 1000, 0, x, y, _x, _y)
        sides.append((min(1000, max(0, _x.value)), min(1000, max(0, _y.value))))
    (x1, y1), (x2, y2) = sides
    left, top = min(x1, x2), min(y1, y2)
    return [left, top, max(1, abs(x1 - x2)), max(1, abs(y1 - y2))]


if __name__ == "__main__":
    main()
