"""Amounts in fen."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import money


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("1,234.50", 123450),
        ("1234.5", 123450),
        ("０", 0),
        ("１，２３４．５０", 123450),
        ("￥1,234.50", 123450),
        (" ¥ 100 ", 10000),
        ("100元", 10000),
        ("12.5万", 12_500_000),
        ("12.5万元", 12_500_000),
        ("3.00001万", 3_000_010),
        ("1.2亿", 12_000_000_000),
        ("0.01", 1),
        ("1.500", 150),
        ("-0", 0),
        ("10000000000000", 10**15),
    ],
)
def test_amounts_are_read_as_people_type_them(text: str, fen: int) -> None:
    assert money.parse(text) == fen


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("-1", money.NegativeAmount),
        ("－１", money.NegativeAmount),
        ("1.005", money.AmountTooFine),
        ("1.0000001万", money.AmountTooFine),
        ("10000000000000.01", money.AmountTooLarge),
        ("9" * 400, money.AmountTooLarge),
        ("", money.BadAmount),
        (".", money.BadAmount),
        ("万", money.BadAmount),
        ("1,23", money.BadAmount),
        ("12 34", money.BadAmount),
        ("1e5", money.BadAmount),
        ("12²", money.BadAmount),
        ("NaN", money.BadAmount),
        ("面议", money.BadAmount),
    ],
)
def test_other_amounts_are_refused_by_name_at_their_field(text: str, error: type[money.Invalid]) -> None:
    with pytest.raises(error) as caught:
        money.parse(text, field="fee")
    assert caught.value.field == "fee"
    assert caught.value.text("zh")


@given(st.integers(0, money.MOST))
def test_what_is_shown_can_be_typed_again(fen: int) -> None:
    assert money.parse(money.format(fen)) == fen


def test_amounts_are_shown_with_groups_and_two_decimals() -> None:
    assert [money.format(fen) for fen in (0, 5, 123450, -123450)] == ["¥0.00", "¥0.05", "¥1,234.50", "-¥1,234.50"]


@pytest.mark.parametrize(
    ("fen", "text"),
    [
        (0, "零元整"),
        (5, "伍分"),
        (10, "壹角整"),
        (105, "壹元零伍分"),
        (10000, "壹佰元整"),
        (140950, "壹仟肆佰零玖元伍角整"),
        (600714, "陆仟零柒元壹角肆分"),
        (168032, "壹仟陆佰捌拾元叁角贰分"),
        (10700053, "壹拾万柒仟元伍角叁分"),
        (1640902, "壹万陆仟肆佰零玖元零贰分"),
        (100_000_100, "壹佰万零壹元整"),
        (10_001_000_000, "壹亿零壹万元整"),
        (10_000_000_001, "壹亿元零壹分"),
        (10**15, "壹拾万亿元整"),
    ],
)
def test_contracts_carry_capital_numerals(fen: int, text: str) -> None:
    assert money.chinese(fen) == text


def test_capital_numerals_refuse_what_they_cannot_say() -> None:
    with pytest.raises(money.NegativeAmount):
        money.chinese(-1)
    with pytest.raises(money.AmountTooLarge):
        money.chinese(10**15 + 1)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (Decimal("0.5"), 1),
        (Decimal("2.5"), 3),
        (Decimal("2.4999999999999999999999999999999999"), 2),
        (Decimal("-2.5"), -3),
        (Fraction(5, 2), 3),
        (Fraction(-5, 2), -3),
        (Fraction(7, 3), 2),
        (Fraction(10**30 + 1, 2), (10**30 + 2) // 2),
        (7, 7),
    ],
)
def test_halves_are_rounded_up_exactly(value: Decimal | Fraction, whole: int) -> None:
    assert money.round_half_up(value) == whole


def test_floating_point_is_refused() -> None:
    with pytest.raises(TypeError):
        money.round_half_up(0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        money.round_half_up(Decimal("NaN"))
