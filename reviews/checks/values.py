"""What is looked at and what came of it; values as they are compared and as they are spoken of."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from kernel.files import Document
from kernel.words import Worded
from reviews.kinds import ReviewKind
from reviews.kinds.rules import Constant, FieldValue, NumberOperand, PdfValue, Value, day, number

#: A text quoted in a reason is cut after so many characters.
MOST_QUOTED = 60
PDF = "application/pdf"
_PROPERTY_WORDS = {
    "pages": ("页数", "number of pages"),
    "signatures": ("签名数", "number of signatures"),
    "title": ("标题", "title"),
    "author": ("作者", "author"),
    "creator": ("制作软件", "creating program"),
    "producer": ("生成软件", "producing program"),
}


class Outcome(Worded):
    MET = "met", "符合", "Met"
    NOT_MET = "not_met", "不符合", "Not met"
    NOT_CHECKED = "not_checked", "无法自动核验", "Not checked by machine"


@dataclass(frozen=True, slots=True)
class Checked:
    """What is looked at: figures by field code, documents by material code, and the day that counts as today.

    ``names``: code of a field or material → its name in both languages; a code without one stands for itself.
    ``units``: code of a field → its unit.
    """

    fields: Mapping[str, object]
    documents: Mapping[str, Document]
    on: date
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def name(self, code: str) -> tuple[str, str]:
        return self.names.get(code, (code, code))


@dataclass(frozen=True, slots=True)
class Result:
    """What the machine saw, with its figures, in both languages."""

    outcome: Outcome
    zh: str
    en: str

    def reason(self, language: str) -> str:
        return self.en if language == "en" else self.zh

    def as_json(self) -> dict[str, str]:
        return {"outcome": self.outcome.value, "zh": self.zh, "en": self.en}


def subject_of(kind: ReviewKind, fields: Mapping[str, object], documents: Mapping[str, Document], on: date) -> Checked:
    """An application of a kind as rules look at it, with the names and units of the kind."""
    names = {one["code"]: (one["zh"], one["en"]) for one in (*kind.materials, *kind.fields)}
    return Checked(fields, documents, on, names, {one["code"]: one["unit"] for one in kind.fields})


class Unclear(Exception):
    """A value that can't be compared, and why."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


def bound_words(operand: NumberOperand, subject: Checked) -> tuple[str, str]:
    if isinstance(operand, FieldValue):
        zh, en = subject.name(operand.field)
        return zh, f"{en} "
    return "", ""


def filled(source: FieldValue, subject: Checked) -> object:
    found = subject.fields.get(source.field)
    if is_blank(found):
        zh, en = subject.name(source.field)
        raise Unclear(f"未填写{zh}", f"{en} is not filled in")
    return found


def number_of(source: FieldValue, subject: Checked) -> Decimal:
    raw = filled(source, subject)
    found = number(raw)
    if found is None:
        zh, en = subject.name(source.field)
        raise Unclear(f"{zh}“{spoken(raw)}”不是数字", f"{en} “{spoken(raw)}” is not a number")
    return found


def day_of(source: FieldValue, subject: Checked) -> date:
    raw = filled(source, subject)
    found = day(raw)
    if found is None:
        zh, en = subject.name(source.field)
        raise Unclear(f"{zh}“{spoken(raw)}”不是日期", f"{en} “{spoken(raw)}” is not a date")
    return found


def document_of(material: str, subject: Checked) -> Document:
    found = subject.documents.get(material)
    if found is None:
        zh, en = subject.name(material)
        raise Unclear(f"未提交{zh}", f"{en} is not handed in")
    return found


def fact_of(source: PdfValue, subject: Checked) -> object | None:
    document = document_of(source.material, subject)
    if document.media_type != PDF:
        zh, en = subject.name(source.material)
        raise Unclear(f"{zh}不是 PDF，无法自动核验", f"{en} is no PDF and can't be checked")
    found: object | None = document.pages if source.property == "pages" else document.facts.get(source.property)
    return found


def value_of(source: Value, subject: Checked) -> object:
    if isinstance(source, Constant):
        return source.value
    if isinstance(source, FieldValue):
        return filled(source, subject)
    found = fact_of(source, subject)
    if found is None:
        words = value_words(source, subject)
        raise Unclear(f"文件没有{words[0]}信息", f"the file doesn't tell: {words[1]}")
    return found


def value_words(source: Value, subject: Checked) -> tuple[str, str]:
    if isinstance(source, Constant):
        return "规定值", "the prescribed value"
    if isinstance(source, FieldValue):
        return subject.name(source.field)
    zh, en = subject.name(source.material)
    words = _PROPERTY_WORDS[source.property]
    return f"{zh}{words[0]}", f"{en}, {words[1]}"


def is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def plain(figure: Decimal) -> str:
    """Without exponent and trailing zeros."""
    text = format(figure, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def joined(unit: str) -> str:
    return f" {unit}" if unit else ""


def spoken(value: object) -> str:
    """A value in a reason: printable and short."""
    return quoted(_text(value))


def quoted(text: str) -> str:
    printable = "".join(sign for sign in text[:1000] if sign.isprintable()).strip()
    return printable if len(printable) <= MOST_QUOTED else f"{printable[:MOST_QUOTED]}…"


def folded(value: object) -> str:
    """A text as it is compared: width, case and blanks don't count."""
    return "".join(unicodedata.normalize("NFKC", _text(value)).casefold().split())


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value) if number(value) is not None else "…"
    try:
        return str(value)
    except ValueError:  # a whole number with more digits than Python spells
        return "…"
