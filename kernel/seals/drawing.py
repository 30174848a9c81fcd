"""What a visible signature looks like: an organisation's round red seal, a person's name. Drawn by typst as a PDF page.

The seal follows the State Council's rules on seals (国发〔1999〕25 号): round, a five-pointed star in the middle, the
name from left to right along the ring; a line under the star says what it is for.
"""

from __future__ import annotations

import functools
import json
import math
from typing import Any, Final

import typst

#: Millimetres: a seal's diameter, a name's box.
DIAMETER: Final = 42.0
NAME_WIDTH: Final = 36.0
NAME_HEIGHT: Final = 13.0
#: Degrees that a name may take of the ring.
_WIDEST: Final = 236.0

_FONTS: Final = '("Noto Serif CJK SC", "Noto Sans CJK SC", "Source Han Serif SC", "SimSun")'
_HEAD: Final = f'#let facts = json(bytes(sys.inputs.facts))\n#set text(font: {_FONTS}, lang: "zh", region: "cn")\n'
_SEAL: Final = (
    _HEAD
    + "#set page(width: facts.size * 1mm, height: facts.size * 1mm, margin: 0pt, fill: none)\n"
    + '#let red = rgb("#c8161d")\n#set text(fill: red, weight: "bold")\n'
    + "#place(center + horizon, circle(radius: facts.ring * 1mm, stroke: 1.2mm + red))\n"
    + "#place(top + left, polygon(fill: red, ..facts.star.map(p => (p.at(0) * 1mm, p.at(1) * 1mm))))\n"
    + "#for one in facts.signs { place(center + horizon, dx: one.x * 1mm, dy: one.y * 1mm,"
    + " rotate(one.turn * 1deg, text(size: facts.letter * 1mm, one.sign))) }\n"
    + "#place(center + horizon, dy: facts.below * 1mm, text(size: facts.small * 1mm, facts.purpose))\n"
)
_NAME: Final = (
    _HEAD
    + "#set page(width: facts.width * 1mm, height: facts.height * 1mm, margin: 0pt, fill: none)\n"
    + '#let ink = rgb("#1b2a6b")\n'
    + '#place(center + horizon, dy: -1.2mm, text(size: facts.letter * 1mm, fill: ink, weight: "bold", facts.name))\n'
    + "#place(center + bottom, dy: -0.6mm, text(size: 2.4mm, fill: ink, facts.note))\n"
)


@functools.lru_cache(maxsize=64)
def seal(organisation: str, purpose: str = "") -> bytes:
    """The organisation's round red seal, :data:`DIAMETER` mm wide, as a one-page PDF; the same bytes every time."""
    middle, ring = DIAMETER / 2, DIAMETER / 2 - 0.8
    count = max(len(organisation), 1)
    # A short name keeps its signs together; a long one goes around as far as the line under the star leaves room.
    letter = max(1.6, min(5.2, math.radians(_WIDEST) * (ring - 4.4) / (count * 1.05)))
    reach = ring - 1.4 - letter * 0.62
    arc = min(_WIDEST, math.degrees(count * letter * 1.25 / reach))
    step = arc / (count - 1) if count > 1 else 0.0
    signs = []
    for place, sign in enumerate(organisation):
        turn = (-arc / 2 if count > 1 else 0.0) + place * step
        angle = math.radians(turn)
        signs.append(
            {
                "sign": sign,
                "turn": _near(turn),
                "x": _near(reach * math.sin(angle)),
                "y": _near(-reach * math.cos(angle)),
            }
        )
    star = []
    for corner in range(10):
        angle = math.radians(36 * corner)
        radius = 6.6 if corner % 2 == 0 else 6.6 * 0.382
        star.append([_near(middle + radius * math.sin(angle)), _near(middle - radius * math.cos(angle))])
    facts = {
        "size": DIAMETER,
        "ring": _near(ring),
        "letter": _near(letter),
        "signs": signs,
        "star": star,
        "purpose": purpose,
        "small": _near(max(1.2, min(3.2, 16.5 / max(len(purpose), 1)))),
        "below": 9.8,
    }
    return _compile(_SEAL, facts)


@functools.lru_cache(maxsize=256)
def name(person: str, note: str) -> bytes:
    """A person's name with a small line under it, :data:`NAME_WIDTH` × :data:`NAME_HEIGHT` mm, as a one-page PDF."""
    letter = min(6.0, 32.0 / max(len(person), 1))
    facts = {"width": NAME_WIDTH, "height": NAME_HEIGHT, "letter": _near(letter), "name": person, "note": note}
    return _compile(_NAME, facts)


def _near(value: float) -> float:
    return round(value, 3)


def _compile(template: str, facts: dict[str, Any]) -> bytes:
    inputs = {"facts": json.dumps(facts, ensure_ascii=False)}
    return bytes(typst.compile(template.encode(), format="pdf", sys_inputs=inputs, timestamp=0))
