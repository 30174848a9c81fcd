"""Fee rules and what they come to for one project, to the fen (A3, 001 §9.1 "费用标准").

A rule is data; :func:`quote` is a pure function of the rule and the project's figures. Money is in fen, areas
in square metres, rates in percent as exact decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from kernel import money
from kernel.errors import Invalid, Invalids, PortalError
from kernel.words import Worded


class FeeKind(Worded):
    FIXED = "fixed", "固定总价", "Fixed price"
    UNIT = "unit", "按单价计费", "Price per unit"
    BANDS = "bands", "分档累进", "Progressive bands"
    NEGOTIABLE = "negotiable", "协商定价（不高于上限）", "Negotiable under a ceiling"
    DISCOUNT = "discount", "按收费标准下浮", "Discount on a standard"


class Measure(Worded):
    """The figure of a project that a fee depends on."""

    INVESTMENT = "investment", "总投资", "Total investment"
    BUILDING_AREA = "building_area", "建筑面积", "Building area"
    LAND_AREA = "land_area", "用地面积", "Land area"
    QUANTITY = "quantity", "数量", "Quantity"


MEASURE_UNITS = {
    Measure.INVESTMENT: ("万元", "10,000 yuan"),
    Measure.BUILDING_AREA: ("平方米", "m²"),
    Measure.LAND_AREA: ("平方米", "m²"),
    Measure.QUANTITY: ("个", "items"),
}


def in_yuan(fen: int) -> str:
    """An investment as English writes it: ``¥500,000``, ``¥12.5 million``."""
    if fen >= 100_000_000 and fen % 1_000_000 == 0:
        return f"¥{(Decimal(fen) / 100_000_000).normalize():,f} million"
    return money.format(fen).removesuffix(".00")


class FeeMissing(Invalid):
    code = "fee_missing"
    zh = "请填写{what}"
    en = "Fill in: {what_en}"


class FeeNotPositive(Invalid):
    code = "fee_not_positive"
    zh = "{what}必须大于零"
    en = "{what_en} must be above zero"


class RateInvalid(Invalid):
    code = "rate_invalid"
    zh = "第 {row} 档的费率“{value}”无效"
    en = "Band {row}: the rate “{value}” is invalid"


class BandsOverlap(Invalid):
    code = "bands_overlap"
    zh = "第 {row} 档与上一档重叠：应从 {expected} 起"
    en = "Band {row} overlaps the one before; it should begin at {expected}"


class BandsGap(Invalid):
    code = "bands_gap"
    zh = "第 {row} 档与上一档之间有空档：应从 {expected} 起"
    en = "There is a gap before band {row}; it should begin at {expected}"


class BandReversed(Invalid):
    code = "band_reversed"
    zh = "第 {row} 档的上限必须大于下限"
    en = "Band {row} ends before it begins"


class BandsOpenEnd(Invalid):
    code = "bands_open_end"
    zh = "只有最后一档可以不设上限，且最后一档必须不设上限"
    en = "The last band, and only the last, is open-ended"


class DiscountInvalid(Invalid):
    code = "discount_invalid"
    zh = "下浮率应大于 0、小于 100"
    en = "The discount must lie between 0 and 100 percent"


@dataclass(frozen=True, slots=True)
class Band:
    """From ``start`` (exclusive of what lies below) to ``end`` (None: open), in the measure's base unit.

    ``rate`` is percent of the investment, or fen per unit for areas and quantities.
    """

    start: int
    end: int | None
    rate: Decimal


@dataclass(frozen=True, slots=True)
class FeeRule:
    """One rule; which members count depends on ``kind``."""

    kind: FeeKind
    amount: int = 0
    measure: Measure | None = None
    unit: str = ""
    minimum: int = 0
    bands: tuple[Band, ...] = ()
    percent: Decimal = Decimal(0)
    standard: str = ""

    def as_json(self) -> dict[str, Any]:
        """The stored form: numbers in fen, rates as text."""
        return {
            "kind": self.kind.value,
            "amount": self.amount,
            "measure": self.measure.value if self.measure else None,
            "unit": self.unit,
            "minimum": self.minimum,
            "bands": [{"start": b.start, "end": b.end, "rate": str(b.rate)} for b in self.bands],
            "percent": str(self.percent),
            "standard": self.standard,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FeeRule:
        return cls(
            kind=FeeKind(raw["kind"]),
            amount=int(raw.get("amount", 0)),
            measure=Measure(raw["measure"]) if raw.get("measure") else None,
            unit=raw.get("unit", ""),
            minimum=int(raw.get("minimum", 0)),
            bands=tuple(Band(b["start"], b["end"], Decimal(b["rate"])) for b in raw.get("bands", ())),
            percent=Decimal(raw.get("percent", "0")),
            standard=raw.get("standard", ""),
        )


def check(rule: FeeRule) -> FeeRule:
    """The rule itself, if it can be charged.

    Raises:
        Invalids: everything wrong with it, each with its field.
    """
    errors: list[PortalError] = []
    if rule.kind in (FeeKind.FIXED, FeeKind.UNIT, FeeKind.NEGOTIABLE) and rule.amount <= 0:
        what, what_en = {
            FeeKind.FIXED: ("总价", "The total price"),
            FeeKind.UNIT: ("单价", "The price per unit"),
            FeeKind.NEGOTIABLE: ("价格上限", "The ceiling"),
        }[rule.kind]
        errors.append(FeeNotPositive(field="amount", what=what, what_en=what_en))
    if rule.kind is FeeKind.UNIT and rule.measure is None:
        errors.append(FeeMissing(field="measure", what="计费依据", what_en="what the fee depends on"))
    if rule.minimum < 0:
        errors.append(FeeNotPositive(field="minimum", what="最低收费", what_en="The minimum charge"))
    if rule.kind is FeeKind.BANDS or (rule.kind is FeeKind.DISCOUNT and rule.bands):
        errors.extend(_check_bands(rule))
    if rule.kind is FeeKind.DISCOUNT:
        if not Decimal(0) < rule.percent < Decimal(100):
            errors.append(DiscountInvalid(field="percent"))
        if not rule.bands and rule.amount <= 0:
            errors.append(FeeNotPositive(field="amount", what="标准收费", what_en="The standard fee"))
        if not rule.standard.strip():
            errors.append(FeeMissing(field="standard", what="收费标准名称", what_en="the name of the standard"))
    if errors:
        raise Invalids(errors)
    return rule


def _check_bands(rule: FeeRule) -> list[PortalError]:
    errors: list[PortalError] = []
    if rule.measure is None:
        errors.append(FeeMissing(field="measure", what="计费依据", what_en="what the fee depends on"))
    if not rule.bands:
        return [*errors, FeeMissing(field="bands", what="分档费率", what_en="the bands")]
    expected = 0
    for row, band in enumerate(rule.bands, start=1):
        if band.start < expected:
            errors.append(BandsOverlap(field=f"bands-{row}", row=row, expected=expected))
        elif band.start > expected:
            errors.append(BandsGap(field=f"bands-{row}", row=row, expected=expected))
        if band.end is not None and band.end <= band.start:
            errors.append(BandReversed(field=f"bands-{row}", row=row))
        if not band.rate.is_finite() or band.rate < 0:
            errors.append(RateInvalid(field=f"bands-{row}", row=row, value=str(band.rate)))
        if (band.end is None) != (row == len(rule.bands)):
            errors.append(BandsOpenEnd(field=f"bands-{row}"))
            break
        expected = band.end or expected
    return errors


def parse_rate(text: str, *, row: int) -> Decimal:
    """A band's rate as typed, with or without a percent sign."""
    try:
        return Decimal(text.strip().rstrip("%％"))
    except InvalidOperation:
        raise RateInvalid(field=f"bands-{row}", row=row, value=text) from None


@dataclass(frozen=True, slots=True)
class Line:
    """One step of the arithmetic, in both languages; ``amount`` in fen."""

    zh: str
    en: str
    amount: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a rule comes to: ``amount`` in fen, or None when a figure is missing or the price is negotiated.

    ``ceiling`` is set when the price is negotiable; ``missing`` names the figure that the project lacks.
    """

    amount: int | None
    lines: tuple[Line, ...] = ()
    ceiling: int | None = None
    missing: Measure | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """A project's own figures: investment in fen, areas in square metres, quantity as counted."""

    investment: int | None = None
    building_area: int | None = None
    land_area: int | None = None
    quantity: int | None = None

    def of(self, measure: Measure) -> int | None:
        value: int | None = getattr(self, measure.value)
        return value


def quote(rule: FeeRule, figures: Figures) -> Quote:
    """Compute the fee for a project's figures, each step rounded half up to the fen once, at its end."""
    if rule.kind is FeeKind.FIXED:
        return Quote(rule.amount, (Line("固定总价", "Fixed price", rule.amount),))
    if rule.kind is FeeKind.NEGOTIABLE:
        return Quote(None, ceiling=rule.amount)
    if rule.kind is FeeKind.UNIT:
        assert rule.measure is not None  # noqa: S101  check() refuses a unit rule without measure
        count = figures.of(rule.measure)
        if count is None:
            return Quote(None, missing=rule.measure)
        return _at_least(rule, [_unit_line(rule, count)])
    if rule.kind is FeeKind.BANDS or rule.bands:
        assert rule.measure is not None  # noqa: S101  check() refuses bands without measure
        count = figures.of(rule.measure)
        if count is None:
            return Quote(None, missing=rule.measure)
        base = _at_least(rule, [_band_line(rule.measure, band, count) for band in rule.bands if count > band.start])
    else:
        base = Quote(rule.amount, (Line(rule.standard, rule.standard, rule.amount),))
    if rule.kind is FeeKind.BANDS:
        return base
    assert base.amount is not None  # noqa: S101
    off = base.amount - money.round_half_up(base.amount * (100 - rule.percent) / 100)
    cut = Line(f"按“{rule.standard}”下浮 {rule.percent}%", f"{rule.percent}% off “{rule.standard}”", -off)
    return Quote(base.amount - off, (*base.lines, cut))


def _unit_line(rule: FeeRule, count: int) -> Line:
    assert rule.measure is not None  # noqa: S101
    price = money.format(rule.amount)
    zh, en = MEASURE_UNITS[rule.measure]
    if rule.measure is Measure.INVESTMENT:
        amount = money.round_half_up(Decimal(rule.amount) * count / (10_000 * 100))
        shown = f"{Decimal(count) / 1_000_000:,f}"
        shown_en, price_en = in_yuan(count), f"{price} per {en}"
    else:
        amount = rule.amount * count
        shown = f"{count:,}"
        shown_en, price_en = f"{shown} {en}", price
    return Line(
        f"{rule.measure.zh} {shown} {rule.unit or zh} × {price}", f"{rule.measure.en} {shown_en} × {price_en}", amount
    )


def _band_line(measure: Measure, band: Band, count: int) -> Line:
    inside = min(count, band.end if band.end is not None else count) - band.start
    if measure is Measure.INVESTMENT:
        amount = money.round_half_up(Decimal(inside) * band.rate / 100)
        zh = en = f"{money.format(inside)} × {band.rate}%"
    else:
        amount = money.round_half_up(Decimal(inside) * band.rate)
        rate = f"¥{(band.rate / 100).normalize():f}"
        zh, en = (f"{inside:,} {unit} × {rate}" for unit in MEASURE_UNITS[measure])
    return Line(f"本档 {zh}", f"In this band {en}", amount)


def _at_least(rule: FeeRule, lines: list[Line]) -> Quote:
    total = sum(line.amount for line in lines)
    if total < rule.minimum:
        lines.append(Line("不足最低收费，按最低收费计", "Raised to the minimum charge", rule.minimum - total))
        total = rule.minimum
    return Quote(total, tuple(lines))
