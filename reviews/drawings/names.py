"""Sheet numbers as people write them, and what a file's name says about the sheet in it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from reviews.drawings.faults import SheetNumberInvalid
from reviews.drawings.records import Discipline, DrawingStage

LONGEST_NUMBER: Final = 40
LONGEST_TITLE: Final = 120

_DASHES: Final = re.compile("[\u2010-\u2015\u2212\u2043\ufe58\ufe63\uff0d_~]+")
_NUMBER: Final = re.compile(r"[0-9A-Z\u4e00-\u9fff][0-9A-Z\u4e00-\u9fff.\-/()#]*")
#: Letters of the discipline and the stage, a dash or none, the running number, then the title.
_FILE: Final = re.compile(
    r"(?P<letters>[\u4e00-\u9fff]{1,4}|[A-Z]{1,3})(?:\s*-\s*|\s?)"
    r"(?P<running>\d{1,4}(?:[A-Z](?![A-Z]))?(?:[.\-]\d{1,4}[A-Z]?)*)"
    r"(?:[\s\-、.:·]+(?P<title>.*)|(?P<joined>[\u4e00-\u9fff(《].*))?"
)
#: Who draws, by the first sign of a national drawing number (GB/T 50001 practice: 建施, 结施, 水施 …).
_DISCIPLINES: Final[dict[str, Discipline]] = {
    "勘": Discipline.SURVEY,
    "建": Discipline.ARCHITECTURE,
    "总": Discipline.ARCHITECTURE,
    "结": Discipline.STRUCTURE,
    "水": Discipline.WATER,
    "给": Discipline.WATER,
    "排": Discipline.WATER,
    "暖": Discipline.HVAC,
    "通": Discipline.HVAC,
    "空": Discipline.HVAC,
    "设": Discipline.HVAC,
    "电": Discipline.ELECTRICAL,
    "弱": Discipline.ELECTRICAL,
    "强": Discipline.ELECTRICAL,
    "智": Discipline.ELECTRICAL,
    "消": Discipline.FIRE,
    "防": Discipline.CIVIL_DEFENCE,
    "人": Discipline.CIVIL_DEFENCE,
    "景": Discipline.LANDSCAPE,
    "园": Discipline.LANDSCAPE,
    "绿": Discipline.LANDSCAPE,
}
#: For what, by the last sign of the letters.
_STAGES: Final[dict[str, DrawingStage]] = {
    "勘": DrawingStage.SURVEY,
    "方": DrawingStage.SCHEME,
    "初": DrawingStage.PRELIMINARY,
    "扩": DrawingStage.PRELIMINARY,
    "施": DrawingStage.CONSTRUCTION,
    "变": DrawingStage.CHANGE,
    "改": DrawingStage.CHANGE,
    "竣": DrawingStage.COMPLETION,
}


@dataclass(frozen=True, slots=True)
class Guess:
    """What a file's name suggests; empty where it says nothing. Somebody looks at it before it counts."""

    number: str
    title: str
    discipline: Discipline | None
    stage: DrawingStage | None


def parse_number(value: str, *, field: str | None = None) -> str:
    """A sheet number in its one form: half width, capitals, plain dashes, no spaces.

    Raises:
        SheetNumberInvalid: nothing is left, or it isn't a number as drawings carry them.
    """
    plain = _normal(value).replace(" ", "")
    if not _NUMBER.fullmatch(plain) or len(plain) > LONGEST_NUMBER:
        raise SheetNumberInvalid(field=field, value=value.strip()[:LONGEST_NUMBER])
    return plain


def guess(file_name: str) -> Guess:
    """“结施-05 基础平面图.pdf” → 结施-05, 基础平面图, structure, construction drawings."""
    stem = _normal(PurePath(file_name).stem, keep_case=True)
    found = _FILE.fullmatch(stem) or _FILE.fullmatch(stem.upper())
    if found is None:
        return Guess("", stem[:LONGEST_TITLE], None, None)
    letters = found["letters"]
    discipline, stage = _DISCIPLINES.get(letters[0]), _STAGES.get(letters[-1])
    if not letters.isascii() and discipline is None and stage is None:  # 平面图1 is a title
        return Guess("", stem[:LONGEST_TITLE], None, None)
    return Guess(
        number=f"{letters}-{found['running']}",
        title=(found["title"] or found["joined"] or "").strip(" -、.:·")[:LONGEST_TITLE],
        discipline=discipline,
        stage=stage,
    )


def _normal(text: str, *, keep_case: bool = False) -> str:
    plain = _DASHES.sub("-", unicodedata.normalize("NFKC", text))
    plain = " ".join(plain.split())
    return plain if keep_case else plain.upper()
