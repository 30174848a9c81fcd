"""Every enumeration speaks Chinese and English (architecture: "Documents are tested").

Members are strings for the database and the API, with a label per language for people::

    class Light(Worded):
        GREEN = "green", "绿灯", "Green"
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Worded(StrEnum):
    """A string enumeration whose members carry a label in Chinese and in English."""

    zh: str
    en: str

    def __new__(cls, value: str, zh: str = "", en: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.zh = zh
        member.en = en
        return member

    def label(self, language: str = "zh") -> str:
        """The member's label in ``language`` ("zh" or "en")."""
        return self.en if language == "en" else self.zh
