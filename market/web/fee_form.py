"""The form of a fee rule: from what an agency typed to a rule, everything wrong told at its field (A3)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from kernel import money
from kernel.errors import Invalid, Invalids, PortalError
from market import fees
from market.fees import Band, FeeKind, FeeRule, Measure

#: Rows of the table of bands.
ROWS = 8
#: Rows in sight at first.
SHOWN = 4
_FEN_PER_WAN = 1_000_000


class EdgeInvalid(Invalid):
    code = "band_edge_invalid"
    zh = "第 {row} 档的{edge_zh}“{value}”无法识别，请填写不小于零的数字"
    en = "Band {row}: the {edge_en} “{value}” can't be read; write a number of zero or more"


class RateMissing(Invalid):
    code = "band_rate_missing"
    zh = "请填写第 {row} 档的费率"
    en = "Fill in the rate of band {row}"


class PercentInvalid(Invalid):
    code = "percent_invalid"
    zh = "下浮率“{value}”无法识别，请填写如 12.5"
    en = "The discount “{value}” can't be read; write it like 12.5"


class KindMissing(Invalid):
    code = "fee_kind_missing"
    zh = "请选择计费方式"
    en = "Choose how the fee is charged"


def initial(rule: FeeRule | None, default_unit: str) -> dict[str, str]:
    """What the fields of a rule's form hold at first."""
    values = {"unit": default_unit}
    if rule is None:
        return values
    values |= {
        "kind": rule.kind.value,
        "amount": _yuan(rule.amount),
        "measure": rule.measure.value if rule.measure else "",
        "unit": rule.unit or default_unit,
        "minimum": _yuan(rule.minimum),
        "percent": f"{rule.percent.normalize():f}" if rule.percent else "",
        "standard": rule.standard,
    }
    for row, band in enumerate(rule.bands, start=1):
        values |= {
            f"from-{row}": _edge(band.start, rule.measure),
            f"to-{row}": _edge(band.end, rule.measure),
            f"rate-{row}": _plain(band.rate if rule.measure is Measure.INVESTMENT else band.rate / 100),
        }
    return values


def _yuan(fen: int) -> str:
    return _plain(Decimal(fen) / 100) if fen else ""


def _edge(value: int | None, measure: Measure | None) -> str:
    if value is None:
        return ""
    return _plain(Decimal(value) / _FEN_PER_WAN if measure is Measure.INVESTMENT else Decimal(value))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def read(typed: Mapping[str, str]) -> FeeRule:
    """The rule that a form describes.

    Amounts are in yuan, edges of bands in 万元 for the investment and in units otherwise, rates in percent of the
    investment or in yuan per unit.

    Raises:
        Invalids: everything wrong, each with the name of its field; a band's errors stand at ``bands-<row>``.
    """
    errors: list[PortalError] = []
    kind = next((one for one in FeeKind if one.value == typed.get("kind")), None)
    if kind is None:
        raise Invalids([KindMissing(field="kind")])
    measure = next((one for one in Measure if one.value == typed.get("measure")), None)
    rows, bands = _read_bands(typed, measure, errors) if kind in (FeeKind.BANDS, FeeKind.DISCOUNT) else ([], [])
    rule = FeeRule(
        kind=kind,
        amount=_read_money(typed, "amount", errors) if kind is not FeeKind.BANDS else 0,
        measure=measure if kind in (FeeKind.UNIT, FeeKind.BANDS) or bands else None,
        unit=typed.get("unit", "").strip() if kind is FeeKind.UNIT and measure is Measure.QUANTITY else "",
        minimum=_read_money(typed, "minimum", errors) if kind in (FeeKind.UNIT, FeeKind.BANDS) else 0,
        bands=tuple(bands),
        percent=_read_percent(typed, errors) if kind is FeeKind.DISCOUNT else Decimal(0),
        standard=typed.get("standard", "").strip() if kind is FeeKind.DISCOUNT else "",
    )
    told = {error.field for error in errors}
    try:
        fees.check(rule)
    except Invalids as found:
        errors += [_in_form(error, rows, measure) for error in found.errors if _place(error, rows) not in told]
    if errors:
        raise Invalids(errors)
    return rule


def _read_money(typed: Mapping[str, str], name: str, errors: list[PortalError]) -> int:
    text = typed.get(name, "").strip()
    if not text:
        return 0
    try:
        return money.parse(text, field=name)
    except PortalError as error:
        errors.append(error)
        return 0


def _read_percent(typed: Mapping[str, str], errors: list[PortalError]) -> Decimal:
    text = typed.get("percent", "").strip()
    try:
        return Decimal(unicodedata.normalize("NFKC", text).rstrip("%") or "0")
    except InvalidOperation:
        errors.append(PercentInvalid(field="percent", value=text))
        return Decimal(0)


def _read_bands(
    typed: Mapping[str, str], measure: Measure | None, errors: list[PortalError]
) -> tuple[list[int], list[Band]]:
    """The rows that hold anything (by their place in the form), and their bands."""
    rows: list[int] = []
    bands: list[Band] = []
    for row in range(1, ROWS + 1):
        start, end, rate = (typed.get(f"{part}-{row}", "").strip() for part in ("from", "to", "rate"))
        if not (start or end or rate):
            continue
        rows.append(row)
        try:
            first = _read_edge(start or "0", row, measure, ("起点", "lower end"))
            last = _read_edge(end, row, measure, ("止点", "upper end")) if end else None
            if not rate:
                raise RateMissing(field=f"bands-{row}", row=row)
            number = fees.parse_rate(unicodedata.normalize("NFKC", rate).replace(",", ""), row=row)
        except PortalError as error:
            errors.append(error)
            first, last, number = bands[-1].end or 0 if bands else 0, None, Decimal(0)
        bands.append(Band(first, last, number if measure is Measure.INVESTMENT else number * 100))
    return rows, bands


def _read_edge(text: str, row: int, measure: Measure | None, edge: tuple[str, str]) -> int:
    plain = unicodedata.normalize("NFKC", text).replace(",", "").replace(" ", "")
    try:
        number = Decimal(plain)
        if not number.is_finite() or not 0 <= number <= 10**9:
            raise InvalidOperation
    except InvalidOperation:
        raise EdgeInvalid(field=f"bands-{row}", row=row, value=text, edge_zh=edge[0], edge_en=edge[1]) from None
    return money.round_half_up(number * _FEN_PER_WAN if measure is Measure.INVESTMENT else number)


def _place(error: PortalError, rows: list[int]) -> str | None:
    """The form's field of an error: the check counts bands, the form rows, and empty rows may lie between."""
    name, _, index = (error.field or "").partition("-")
    if name == "bands" and index.isdigit() and int(index) <= len(rows):
        return f"bands-{rows[int(index) - 1]}"
    return "bands-1" if name == "bands" else error.field


def _in_form(error: PortalError, rows: list[int], measure: Measure | None) -> PortalError:
    params = dict(error.params)
    place = _place(error, rows)
    if place is not None and place.startswith("bands-") and "row" in params:
        params["row"] = int(place.removeprefix("bands-"))
    if "expected" in params:
        unit = "万元" if measure is Measure.INVESTMENT else ""
        params["expected"] = f"{_edge(params['expected'], measure)}{f' {unit}' if unit else ''}"
    return type(error)(field=place, **params)
