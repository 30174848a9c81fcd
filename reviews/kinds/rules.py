"""The grammar of a machine-checked criterion (000 §一(三): 电子辅助审批): a small declarative rule, never a program.

A rule is a JSON object that names fields (structured figures of the application) and materials (documents handed in)
by their codes::

    {"rule": "limit", "field": "plot_ratio", "most": 2.5}            most, least: a number or {"field": code}
    {"rule": "presence", "material": "report"}                       or "field"
    {"rule": "equality", "values": [{"field": a}, {"field": b}], "tolerance": 1}
    {"rule": "date_valid", "field": "expires", "not_before": {"today": true, "days": 30}}
    {"rule": "signature_valid", "material": "report", "least": 1}
    {"rule": "pdf", "material": "report", "property": "pages", "most": 2000}

:func:`parse` reads one, :func:`validate` refuses a wrong one where it is entered; running stands in ``reviews.checks``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from kernel.errors import Invalid

#: What :class:`kernel.files.Document` knows of a PDF; the first two are numbers, the others texts.
NUMBER_PROPERTIES = ("pages", "signatures")
TEXT_PROPERTIES = ("title", "author", "creator", "producer")
PROPERTIES = (*NUMBER_PROPERTIES, *TEXT_PROPERTIES)
#: An offset in days or months is at most this, either way.
MOST_OFFSET = 36_500

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3}){1,6}|[0-9]{1,18})(?:\.[0-9]{1,12})?")
_DATE = re.compile(r"([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*日?")
#: Full-width digits and punctuation; a general normalisation would also read ² as 2.
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: ord(" "), 0x2212: ord("-")}


class RuleInvalid(Invalid):
    code = "check_rule_invalid"
    zh = "核验规则有误：{why_zh}"
    en = "The check is wrong: {why_en}"

    def __init__(self, why_zh: str, why_en: str, *, field: str | None = "check") -> None:
        super().__init__(field=field, why_zh=why_zh, why_en=why_en)


@dataclass(frozen=True, slots=True)
class FieldValue:
    """What the applicant filled in under a code."""

    field: str


@dataclass(frozen=True, slots=True)
class PdfValue:
    """What a document's file says of itself."""

    material: str
    property: str


@dataclass(frozen=True, slots=True)
class Constant:
    value: Decimal | str


@dataclass(frozen=True, slots=True)
class Moment:
    """A day: the day of the check (``base`` None), a field's, or a fixed one, moved by months and then days."""

    base: FieldValue | date | None
    months: int = 0
    days: int = 0


NumberOperand: TypeAlias = Decimal | FieldValue
Value: TypeAlias = FieldValue | PdfValue | Constant


@dataclass(frozen=True, slots=True)
class Limit:
    field: FieldValue
    least: NumberOperand | None
    most: NumberOperand | None


@dataclass(frozen=True, slots=True)
class Presence:
    field: str | None
    material: str | None


@dataclass(frozen=True, slots=True)
class Equality:
    values: tuple[Value, ...]
    tolerance: Decimal


@dataclass(frozen=True, slots=True)
class DateValid:
    field: FieldValue
    not_before: Moment | None
    not_after: Moment | None


@dataclass(frozen=True, slots=True)
class SignatureValid:
    material: str
    least: int


@dataclass(frozen=True, slots=True)
class PdfProperty:
    """``least`` and ``most`` for numbers; ``contains`` for texts, with :attr:`least` and :attr:`most` None."""

    value: PdfValue
    least: NumberOperand | None
    most: NumberOperand | None
    contains: str | FieldValue | None


Rule: TypeAlias = Limit | Presence | Equality | DateValid | SignatureValid | PdfProperty


def number(value: object) -> Decimal | None:
    """A number as typed or stored (``12,000.5``, ``１２``), exactly; None for anything else, NaN and infinity included.

    At most 18 digits before and 12 after the point, so that every answer stays readable.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal) and not (value.is_finite() and -60 <= int(value.as_tuple().exponent) <= 60):
        return None
    if isinstance(value, int | float | Decimal):
        # repr of a float is its shortest exact spelling: 2.5 stored as JSON stays 2.5. The comparison refuses NaN too.
        if not -(10**18) < value < 10**18:
            return None
        text = format(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), "f")
        whole, _, rest = text.partition(".")
        text = f"{whole}.{rest.rstrip('0')[:12]}".rstrip(".")
    elif isinstance(value, str):
        text = value.translate(_NARROW).strip()
    else:
        return None
    return Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def day(value: object) -> date | None:
    """A date as typed or stored (``2026-03-31``, ``2026年3月31日``); None for anything else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    found = _DATE.fullmatch(value.translate(_NARROW).strip()) if isinstance(value, str) else None
    try:
        return date(*(int(part) for part in found.groups())) if found else None
    except ValueError:
        return None


def parse(rule: object) -> Rule:
    """A rule from its JSON form.

    Raises:
        RuleInvalid: with what is wrong.
    """
    if not isinstance(rule, Mapping):
        raise RuleInvalid("应为一个 JSON 对象", "it must be a JSON object")
    kind = rule.get("rule")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        allowed = ", ".join(_READERS)
        raise RuleInvalid(f"“rule”应为 {allowed} 之一", f"“rule” must be one of {allowed}")
    parser, members = reader
    for name in rule:
        if name not in members and name != "rule":
            raise RuleInvalid(f"{kind} 没有“{name}”这一项", f"{kind} has no member “{name}”")
    return parser(rule)


def validate(rule: object, *, fields: Collection[str] | None = None, materials: Collection[str] | None = None) -> None:
    """Refuse a wrong rule where it is entered; with ``fields`` and ``materials``, also one that names another code.

    Raises:
        RuleInvalid: with what is wrong.
    """
    read = parse(rule)
    for one in _named(read):
        if isinstance(one, FieldValue):
            if fields is not None and one.field not in fields:
                raise RuleInvalid(f"没有填报项“{one.field}”", f"there is no field “{one.field}”")
        elif materials is not None and one.material not in materials:
            raise RuleInvalid(f"没有材料“{one.material}”", f"there is no material “{one.material}”")


def _named(rule: Rule) -> Iterator[FieldValue | PdfValue]:
    """Every field and document that a rule names."""
    match rule:
        case Limit(field, least, most):
            candidates: tuple[object, ...] = (field, least, most)
        case Presence(code, material):
            candidates = (FieldValue(code),) if code is not None else (PdfValue(material or "", ""),)
        case Equality(values, _):
            candidates = values
        case DateValid(field, before, after):
            candidates = (field, *(one.base for one in (before, after) if one is not None))
        case SignatureValid(material, _):
            candidates = (PdfValue(material, ""),)
        case PdfProperty(value, least, most, contains):
            candidates = (value, least, most, contains)
    yield from (one for one in candidates if isinstance(one, FieldValue | PdfValue))


def _code(rule: Mapping[str, Any], name: str) -> str:
    value = rule.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RuleInvalid(f"请写明“{name}”", f"“{name}” is missing")
    if not value.isprintable():
        raise RuleInvalid(f"“{name}”含有不能显示的字符", f"“{name}” holds characters that can't be shown")
    return value


def _operand(rule: Mapping[str, Any], name: str) -> NumberOperand | None:
    value = rule.get(name)
    if value is None:
        return None
    if isinstance(value, Mapping):
        return _field_of(value, name)
    found = number(value)
    if found is None:
        raise RuleInvalid(f"“{name}”应为数字或填报项", f"“{name}” must be a number or a field")
    return found


def _field_of(value: Mapping[str, Any], name: str) -> FieldValue:
    if set(value) != {"field"}:
        raise RuleInvalid(f"“{name}”应写成 {{'field': 代码}}", f"“{name}” must read {{'field': code}}")
    return FieldValue(_code(value, "field"))


def _bounds(rule: Mapping[str, Any]) -> tuple[NumberOperand | None, NumberOperand | None]:
    least, most = _operand(rule, "least"), _operand(rule, "most")
    if least is None and most is None:
        raise RuleInvalid("请写明“least”或“most”", "“least” or “most” is missing")
    if isinstance(least, Decimal) and isinstance(most, Decimal) and least > most:
        raise RuleInvalid("“least”不能大于“most”", "“least” is greater than “most”")
    return least, most


def _limit(rule: Mapping[str, Any]) -> Rule:
    return Limit(FieldValue(_code(rule, "field")), *_bounds(rule))


def _presence(rule: Mapping[str, Any]) -> Rule:
    if ("field" in rule) == ("material" in rule):
        raise RuleInvalid("“field”和“material”应写且只写一个", "exactly one of “field” and “material”")
    if "field" in rule:
        return Presence(_code(rule, "field"), None)
    return Presence(None, _code(rule, "material"))


def _equality(rule: Mapping[str, Any]) -> Rule:
    values = rule.get("values")
    if not isinstance(values, list) or not 2 <= len(values) <= 20:
        raise RuleInvalid("“values”应为 2 至 20 个数值来源", "“values” must be a list of 2 to 20 sources")
    tolerance = number(rule.get("tolerance", 0))
    if tolerance is None or tolerance < 0:
        raise RuleInvalid("“tolerance”应为不小于零的数字", "“tolerance” must be a number from zero on")
    return Equality(tuple(_value(one) for one in values), tolerance)


def _value(value: object) -> Value:
    if isinstance(value, Mapping):
        if set(value) == {"field"}:
            return FieldValue(_code(value, "field"))
        if set(value) == {"material", "property"}:
            return PdfValue(_code(value, "material"), _property(value))
        if set(value) == {"value"} and isinstance(value["value"], int | float | str):
            given = value["value"]
            figure = number(given)
            if figure is not None:
                return Constant(figure)
            if isinstance(given, str) and given.isprintable():
                return Constant(given)
    raise RuleInvalid(
        "“values”的每一项应为 {'field'}、{'material', 'property'} 或 {'value'}",
        "each of “values” must be {'field'}, {'material', 'property'} or {'value'}",
    )


def _property(rule: Mapping[str, Any]) -> str:
    found = rule.get("property")
    if found not in PROPERTIES:
        allowed = ", ".join(PROPERTIES)
        raise RuleInvalid(f"“property”应为 {allowed} 之一", f"“property” must be one of {allowed}")
    return str(found)


def _date_valid(rule: Mapping[str, Any]) -> Rule:
    before, after = _moment(rule, "not_before"), _moment(rule, "not_after")
    if before is None and after is None:
        raise RuleInvalid("请写明“not_before”或“not_after”", "“not_before” or “not_after” is missing")
    return DateValid(FieldValue(_code(rule, "field")), before, after)


def _moment(rule: Mapping[str, Any], name: str) -> Moment | None:
    value = rule.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        fixed = day(value)
        if fixed is not None:
            return Moment(fixed)
    elif isinstance(value, Mapping) and set(value) <= {"today", "field", "months", "days"}:
        offsets = [value.get(unit, 0) for unit in ("months", "days")]
        if all(type(one) is int and abs(one) <= MOST_OFFSET for one in offsets):
            if value.get("today") is True and "field" not in value:
                return Moment(None, *offsets)
            if "today" not in value:
                return Moment(FieldValue(_code(value, "field")), *offsets)
    raise RuleInvalid(
        f"“{name}”应为日期、{{'today': true}} 或 {{'field': 代码}}，可另加 months、days",
        f"“{name}” must be a date, {{'today': true}} or {{'field': code}}, with months and days if wanted",
    )


def _signature_valid(rule: Mapping[str, Any]) -> Rule:
    least = rule.get("least", 1)
    if type(least) is not int or not 1 <= least <= 20:
        raise RuleInvalid("“least”应为 1 至 20 的整数", "“least” must be a whole number from 1 to 20")
    return SignatureValid(_code(rule, "material"), least)


def _pdf(rule: Mapping[str, Any]) -> Rule:
    value = PdfValue(_code(rule, "material"), _property(rule))
    if value.property in NUMBER_PROPERTIES:
        if "contains" in rule:
            raise RuleInvalid("“contains”只用于文字", "“contains” is for texts only")
        return PdfProperty(value, *_bounds(rule), None)
    if "least" in rule or "most" in rule:
        raise RuleInvalid("“least”“most”只用于数字", "“least” and “most” are for numbers only")
    contains = rule.get("contains")
    if isinstance(contains, Mapping):
        return PdfProperty(value, None, None, _field_of(contains, "contains"))
    return PdfProperty(value, None, None, _code(rule, "contains"))


#: Kind of rule → its reader and the members it may have.
_READERS = {
    "limit": (_limit, {"field", "least", "most"}),
    "presence": (_presence, {"field", "material"}),
    "equality": (_equality, {"values", "tolerance"}),
    "date_valid": (_date_valid, {"field", "not_before", "not_after"}),
    "signature_valid": (_signature_valid, {"material", "least"}),
    "pdf": (_pdf, {"material", "property", "least", "most", "contains"}),
}
