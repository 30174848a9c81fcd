"""Where the pictures of two pages differ."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image, ImageChops

from kernel.previews.quotes import Box, around

#: Pictures are compared at this width, in squares of CELL pixels.
WIDTH, CELL = 1_000, 16
#: A difference of brightness that the eye sees, of 255; and the share of a square that must differ.
SEEN, SHARE = 40, 0.01
#: So many boxes are told; what differs in more places differs as a whole.
MOST: Final = 40
WHOLE: Final[Box] = (0, 0, 1000, 1000)


def picture_difference(old: Path, new: Path) -> list[Box]:
    """Boxes in thousandths of the new page where its picture differs from the old one's; empty when nobody sees any.

    Pages of another shape, and a picture that is not there, differ as a whole.
    """
    try:
        with Image.open(old, formats=("WEBP",)) as before, Image.open(new, formats=("WEBP",)) as after:
            if abs(before.width / before.height - after.width / after.height) > 0.02 * after.width / after.height:
                return [WHOLE]
            height = max(1, round(after.height * WIDTH / after.width))
            one, other = (
                image.convert("RGB").resize((WIDTH, height), Image.Resampling.BILINEAR) for image in (before, after)
            )
    except (OSError, ValueError):
        return [WHOLE]
    # The greatest difference of a colour: red that became blue of the same brightness counts too.
    red, green, blue = ImageChops.difference(one, other).split()
    greatest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    seen = greatest.point([0] * SEEN + [255] * (256 - SEEN))
    if seen.getbbox() is None:
        return []
    columns, rows = -(-WIDTH // CELL), -(-height // CELL)
    padded = Image.new("L", (columns * CELL, rows * CELL))
    padded.paste(seen, (0, 0))
    cells = padded.reduce(CELL).tobytes()
    least = max(1, round(255 * SHARE))
    marked = {(place % columns, place // columns) for place, value in enumerate(cells) if value >= least}
    boxes = [_in_thousandths(group, height) for group in _groups(marked)]
    return sorted(boxes, key=lambda box: (box[1], box[0])) if len(boxes) <= MOST else [around(boxes)]


def _groups(marked: set[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Squares that lie together, with a gap of at most one between them."""
    left = set(marked)
    found: list[list[tuple[int, int]]] = []
    while left:
        group, waiting = [], [left.pop()]
        while waiting:
            column, row = waiting.pop()
            group.append((column, row))
            for near in [(column + dx, row + dy) for dx in range(-2, 3) for dy in range(-2, 3)]:
                if near in left:
                    left.remove(near)
                    waiting.append(near)
        found.append(group)
    return found


def _in_thousandths(group: list[tuple[int, int]], height: int) -> Box:
    left, top = min(column for column, _ in group) * CELL, min(row for _, row in group) * CELL
    right = min(WIDTH, (max(column for column, _ in group) + 1) * CELL)
    bottom = min(height, (max(row for _, row in group) + 1) * CELL)
    x, y = left * 1000 // WIDTH, top * 1000 // height
    return x, y, -(-right * 1000 // WIDTH) - x, -(-bottom * 1000 // height) - y
