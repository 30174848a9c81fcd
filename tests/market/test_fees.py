"""What a fee rule comes to, to the fen, and what is refused at which field (A3)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import Invalids
from market import fees, shelf
from market.fees import Band, FeeKind, FeeRule, Figures, Measure
from market.web import fee_form

WAN = 1_000_000


def bands(*rows: tuple[int, int | None, str]) -> FeeRule:
    return FeeRule(
        FeeKind.BANDS,
        measure=Measure.INVESTMENT,
        bands=tuple(Band(start, end, Decimal(rate)) for start, end, rate in rows),
    )


THREE = bands((0, 100 * WAN, "1.5"), (100 * WAN, 500 * WAN, "1.1"), (500 * WAN, None, "0.8"))


@st.composite
def rules(draw: st.DrawFn) -> FeeRule:
    edges = sorted(draw(st.sets(st.integers(1, 10**9), min_size=0, max_size=6)))
    cuts = [0, *(edge * 100 for edge in edges), None]
    rates = draw(
        st.lists(st.decimals("0", "20", places=4, allow_nan=False), min_size=len(cuts) - 1, max_size=len(cuts) - 1)
    )
    rows = [Band(start, end, rate) for start, end, rate in zip(cuts[:-1], cuts[1:], rates, strict=True)]  # type: ignore[arg-type]
    return FeeRule(FeeKind.BANDS, measure=Measure.INVESTMENT, bands=tuple(rows), minimum=draw(st.integers(0, 10**7)))


def amount(rule: FeeRule, investment: int) -> int:
    told = fees.quote(rule, Figures(investment=investment)).amount
    assert told is not None
    return told


def test_progressive_bands_come_to_the_sum_of_each_band() -> None:
    # 600 万元: 100 × 1.5% + 400 × 1.1% + 100 × 0.8% = 1.5 + 4.4 + 0.8 = 6.7 万元
    told = fees.quote(THREE, Figures(investment=600 * WAN))
    assert told.amount == 6_700_000
    assert [line.amount for line in told.lines] == [1_500_000, 4_400_000, 800_000]


@given(rules(), st.integers(0, 10**12))
def test_bands_equal_a_plain_model(rule: FeeRule, investment: int) -> None:
    total = 0
    for band in rule.bands:
        inside = max(0, min(investment, band.end if band.end is not None else investment) - band.start)
        exact = Decimal(inside) * band.rate / 100
        total += int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    assert amount(rule, investment) == max(total, rule.minimum)


@given(rules(), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_larger_project_never_pays_less(rule: FeeRule, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert amount(rule, small) <= amount(rule, large)


@given(rules())
def test_bands_join_without_a_jump(rule: FeeRule) -> None:
    for band in rule.bands[:-1]:
        assert band.end is not None
        steepest = max(each.rate for each in rule.bands)
        # One fen more of investment adds at most one fen for the rate and one for rounding.
        assert 0 <= amount(rule, band.end + 1) - amount(rule, band.end) <= int(steepest / 100) + 1


@given(rules())
def test_lines_add_up_to_the_amount(rule: FeeRule) -> None:
    told = fees.quote(rule, Figures(investment=123_456_789))
    assert told.amount == sum(line.amount for line in told.lines)


@given(st.integers(1, 10**12), st.decimals("0.01", "99.99", places=2, allow_nan=False))
def test_a_discount_is_rounded_once_and_half_up(base: int, percent: Decimal) -> None:
    rule = FeeRule(FeeKind.DISCOUNT, amount=base, percent=percent, standard="标准")
    told = fees.quote(rule, Figures())
    exact = Fraction(base) * (100 - Fraction(percent)) / 100
    assert told.amount == int(exact + Fraction(1, 2))
    assert told.amount == sum(line.amount for line in told.lines)


def test_a_unit_price_is_exact_and_has_a_floor() -> None:
    rule = FeeRule(FeeKind.UNIT, amount=195, measure=Measure.BUILDING_AREA, minimum=500_000)
    assert fees.quote(rule, Figures(building_area=148_000)).amount == 28_860_000
    assert fees.quote(rule, Figures(building_area=100)).amount == 500_000
    assert fees.quote(rule, Figures(investment=1)).missing is Measure.BUILDING_AREA


def test_a_price_per_ten_thousand_yuan_is_rounded_half_up() -> None:
    rule = FeeRule(FeeKind.UNIT, amount=1, measure=Measure.INVESTMENT)
    assert fees.quote(rule, Figures(investment=WAN // 2)).amount == 1
    assert fees.quote(rule, Figures(investment=WAN // 2 - 1)).amount == 0


def test_a_negotiable_price_tells_its_ceiling_and_no_amount() -> None:
    told = fees.quote(FeeRule(FeeKind.NEGOTIABLE, amount=9_900), Figures(investment=WAN))
    assert (told.amount, told.ceiling) == (None, 9_900)


def faults(rule: FeeRule) -> set[tuple[str, str | None]]:
    with pytest.raises(Invalids) as caught:
        fees.check(rule)
    return {(error.code, error.field) for error in caught.value.errors}


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (bands((0, 100, "1"), (90, None, "1")), ("bands_overlap", "bands-2")),
        (bands((0, 100, "1"), (110, None, "1")), ("bands_gap", "bands-2")),
        (bands((5, None, "1")), ("bands_gap", "bands-1")),
        (bands((0, 0, "1"), (0, None, "1")), ("band_reversed", "bands-1")),
        (bands((0, 100, "-1"), (100, None, "1")), ("rate_invalid", "bands-1")),
        (bands((0, None, "NaN")), ("rate_invalid", "bands-1")),
        (bands((0, 100, "1")), ("bands_open_end", "bands-1")),
        (bands((0, None, "1"), (100, None, "1")), ("bands_open_end", "bands-1")),
        (bands(), ("fee_missing", "bands")),
        (FeeRule(FeeKind.FIXED, amount=0), ("fee_not_positive", "amount")),
        (FeeRule(FeeKind.FIXED, amount=-1), ("fee_not_positive", "amount")),
        (FeeRule(FeeKind.UNIT, amount=1), ("fee_missing", "measure")),
        (FeeRule(FeeKind.DISCOUNT, amount=1, percent=Decimal(100), standard="甲"), ("discount_invalid", "percent")),
        (FeeRule(FeeKind.DISCOUNT, amount=1, percent=Decimal(5)), ("fee_missing", "standard")),
    ],
)
def test_a_rule_that_cannot_be_charged_is_named_at_its_field(rule: FeeRule, fault: tuple[str, str]) -> None:
    assert fault in faults(rule)


@given(rules())
def test_a_rule_survives_storing_and_its_own_form(rule: FeeRule) -> None:
    assert FeeRule.from_json(rule.as_json()) == rule
    assert fee_form.read(fee_form.initial(rule, "项")) == rule


@pytest.mark.parametrize(
    "rule",
    [
        FeeRule(FeeKind.FIXED, amount=123_450),
        FeeRule(FeeKind.UNIT, amount=199, measure=Measure.QUANTITY, unit="点", minimum=10_000),
        FeeRule(FeeKind.NEGOTIABLE, amount=5_000_000),
        FeeRule(FeeKind.DISCOUNT, amount=70_000, percent=Decimal("12.5"), standard="协会标准"),
        FeeRule(
            FeeKind.BANDS,
            measure=Measure.BUILDING_AREA,
            bands=(Band(0, 5000, Decimal("350")), Band(5000, None, Decimal("280.5"))),
        ),
    ],
)
def test_every_kind_survives_its_own_form(rule: FeeRule) -> None:
    assert fee_form.read(fee_form.initial(rule, "项")) == rule


def typed(**values: str) -> dict[str, str]:
    return {name.replace("__", "-"): value for name, value in values.items()}


def form_faults(values: dict[str, str]) -> dict[str | None, str]:
    with pytest.raises(Invalids) as caught:
        fee_form.read(values)
    return {error.field: error.text("zh") for error in caught.value.errors}


def test_overlapping_bands_are_told_in_the_unit_and_row_of_the_form() -> None:
    found = form_faults(
        typed(kind="bands", measure="investment", to__1="1,000", rate__1="0.2", from__3="９００", rate__3="0.1")
    )
    assert found == {"bands-3": "第 3 档与上一档重叠：应从 1000 万元 起"}


def test_everything_wrong_with_a_form_is_told_at_once() -> None:
    found = form_faults(typed(kind="unit", amount="-5", minimum="abc"))
    assert set(found) == {"amount", "minimum", "measure"}
    assert found["amount"] == "金额不能为负数"


def test_an_edge_or_a_rate_that_is_no_number_stands_at_its_band() -> None:
    found = form_faults(typed(kind="bands", measure="building_area", to__1="许多", rate__1="3", from__2="10"))
    assert "许多" in found["bands-1"]
    assert "费率" in found["bands-2"]


def test_a_form_without_a_kind_is_refused_at_the_kind() -> None:
    assert set(form_faults({})) == {"kind"}


def test_rules_read_as_a_sentence_in_both_languages() -> None:
    rule = FeeRule(FeeKind.UNIT, amount=350, measure=Measure.BUILDING_AREA, minimum=500_000)
    assert shelf.fee_in_words(rule) == "按建筑面积，每平方米 ¥3.50，最低 ¥5,000.00"
    assert shelf.fee_in_words(rule, "en") == "¥3.50 per m² of building area, at least ¥5,000.00"
    assert shelf.band_in_words(THREE, THREE.bands[1]) == ("100 万元至 500 万元（含）", "1.1%")
    assert shelf.band_in_words(THREE, THREE.bands[2]) == ("500 万元以上", "0.8%")
