"""The operator's forms about kinds of review: lists are typed one entry a line, its members parted by ``|``."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from flask import request

from kernel.errors import Invalids, PortalError
from kernel.web import choose
from market.web.forms import DateUnclear, Sheet
from reviews import kinds
from reviews.kinds import NUMBERS, Commissioner, Criterion, CriterionText, Grade, JointKind, ReviewKind, Signing
from reviews.kinds.rules import RuleInvalid

#: Lists of the form → their members in the order in which they are typed.
LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "materials": ("code", "zh", "en", "required"),
    "fields": ("code", "zh", "en", "unit", "kind"),
    "specialities": ("code", "zh", "en", "count"),
    "departments": ("zh", "en"),
}
TICKS: Final = ("commissioned_by", "signatures")
LINES: Final = ("zh", "en", "clause", "title_of_report", "title_of_report_en")
_YES = {"yes", "是", "必需", "required", "1"}
_NO = {"no", "否", "选交", "optional", "0"}
_SPLIT = re.compile(r"[、,，;；\s]+")


def typed_of(kind: ReviewKind | None) -> dict[str, Any]:
    """The form as a kind answers it; the blank form for None."""
    if kind is None:
        blank: dict[str, Any] = dict.fromkeys(("code", *LINES, "guide_zh", "guide_en", *LISTS, "item_codes"), "")
        return blank | dict.fromkeys(NUMBERS, "") | {name: [] for name in TICKS} | {"joint_kind": ""}
    typed: dict[str, Any] = {name: getattr(kind, name) for name in ("code", *LINES, "guide_zh", "guide_en", *TICKS)}
    typed |= {name: str(getattr(kind, name)) for name in NUMBERS}
    typed |= {name: _lines(getattr(kind, name), members) for name, members in LISTS.items()}
    typed["item_codes"] = " ".join(kind.item_codes)
    typed["joint_kind"] = kind.joint_kind.value if kind.joint_kind is not None else ""
    return typed


def typed_again(sheet: Sheet) -> dict[str, Any]:
    """The form as it was sent."""
    typed: dict[str, Any] = typed_of(None)
    for name in typed:
        typed[name] = request.form.getlist(name) if name in TICKS else sheet.text(name)
    return typed


def read(sheet: Sheet) -> dict[str, Any]:
    """The form as values of a kind, as far as they can be read; :mod:`reviews.kinds` says what is wrong with them."""
    values: dict[str, Any] = {name: sheet.text(name) for name in ("code", *LINES, "guide_zh", "guide_en")}
    for name in NUMBERS:
        values[name] = _whole(sheet.text(name))
    for name, members in LISTS.items():
        values[name] = [_entry(line, members) for line in sheet.text(name).splitlines() if line.strip()]
    for name in TICKS:
        values[name] = request.form.getlist(name)
    values["item_codes"] = [one for one in _SPLIT.split(sheet.text("item_codes").strip()) if one]
    values["joint_kind"] = sheet.text("joint_kind")
    return values


def read_criterion(sheet: Sheet, code: str | None = None) -> tuple[CriterionText, date]:
    """The form of a criterion; ``code`` when it is given already.

    Raises:
        Invalids: of DateUnclear, RuleInvalid.
    """
    faults: list[PortalError] = []
    effective_from = None
    check = None
    try:
        effective_from = sheet.day("effective_from")
        if effective_from is None:
            raise DateUnclear(field="effective_from", value="")
    except PortalError as error:
        faults.append(error)
    try:
        check = _rule(sheet.text("check"))
    except RuleInvalid as error:
        faults.append(error)
    if faults or effective_from is None:
        raise Invalids(faults)
    grade = sheet.text("grade")
    text = CriterionText(
        code=code if code is not None else sheet.text("code").strip(),
        zh=sheet.text("zh"),
        en=sheet.text("en"),
        clause=sheet.text("clause"),
        grade=Grade.ADVICE if grade == Grade.ADVICE.value else Grade.MUST,
        speciality=sheet.text("speciality"),
        check=check,
    )
    return text, effective_from


def typed_of_criterion(criterion: Criterion | None) -> dict[str, str]:
    if criterion is None:
        names = ("code", "zh", "en", "clause", "speciality", "check", "effective_from")
        return {**dict.fromkeys(names, ""), "grade": Grade.MUST.value}
    return {
        "code": criterion.code,
        "zh": criterion.zh,
        "en": criterion.en,
        "clause": criterion.clause,
        "speciality": criterion.speciality,
        "grade": criterion.grade.value,
        "check": json.dumps(criterion.check, ensure_ascii=False) if criterion.check is not None else "",
        "effective_from": "",
    }


def labels() -> dict[str, str]:
    return {name: choose(*words) for name, words in kinds.LABELS.items()}


def options(language: str) -> dict[str, list[tuple[str, str]]]:
    """What the ticks and the list of joint reviews offer."""
    return {
        "commissioned_by": [(one.value, one.label(language)) for one in Commissioner],
        "signatures": [(one.value, one.label(language)) for one in Signing],
        "joint_kind": [(one.value, one.label(language)) for one in JointKind],
    }


def _rule(text: str) -> dict[str, Any] | None:
    if not text.strip():
        return None
    try:
        rule = json.loads(text)
    except (ValueError, RecursionError):
        raise RuleInvalid("不是有效的 JSON", "it isn't JSON") from None
    if not isinstance(rule, dict):
        raise RuleInvalid("应为一个 JSON 对象", "it must be a JSON object")
    return rule


def _whole(text: str) -> int | None:
    plain = unicodedata.normalize("NFKC", text).strip()
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 10 else None


def _entry(line: str, members: Sequence[str]) -> dict[str, Any]:
    """One line as an object; a missing or surplus part leaves the object wrong, which is then told."""
    parts = [part.strip() for part in line.replace("｜", "|").split("|")]
    entry: dict[str, Any] = dict(zip(members, parts, strict=False))
    if len(parts) > len(members):
        entry["more"] = parts[len(members) :]
    if "required" in entry:
        given = entry["required"].lower()
        entry["required"] = True if given in _YES else False if given in _NO else given
    if "count" in entry:
        entry["count"] = _whole(entry["count"])
    return entry


def _lines(entries: Sequence[Mapping[str, Any]], members: Sequence[str]) -> str:
    def cell(value: object) -> str:
        return ("yes" if value else "no") if isinstance(value, bool) else str(value)

    return "\n".join(" | ".join(cell(entry[member]) for member in members) for entry in entries)
