"""Money in fen, as whole numbers (architecture: "money in fen as integers").

Amounts are read as people type them, shown as ``¥1,234.50`` and written in capital numerals for contracts
(《支付结算办法》附一, on filling in bills: amounts in 元 and 角 end in 整, amounts down to 分 don't).
Meant to be called qualified: ``money.parse``, ``money.format``, ``money.chinese``.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from kernel.errors import Invalid

#: The largest amount accepted: 10¹⁵ fen, ten trillion yuan.
MOST = 10**15

_AMOUNT = re.compile(r"(-?)¥? ?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?) ?(万|亿)? ?(?:元整?)?")
#: Full-width forms and the yuan sign of Chinese keyboards; a general normalisation would also read ² as 2.
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0xFFE5: ord("¥"), 0x3000: ord(" ")}
_SCALES = {None: 1, "万": 10**4, "亿": 10**8}
_DIGITS = "零壹贰叁肆伍陆柒捌玖"


class BadAmount(Invalid):
    code = "bad_amount"
    zh = "金额“{value}”无法识别，请填写如 1,234.50 或 12.5万"
    en = "The amount “{value}” cannot be read; write it like 1,234.50"


class NegativeAmount(Invalid):
    code = "negative_amount"
    zh = "金额不能为负数"
    en = "An amount cannot be negative"


class AmountTooFine(Invalid):
    code = "amount_too_fine"
    zh = "金额最小到分，“{value}”的小数位数过多"
    en = "Amounts go down to the fen; “{value}” has too many decimals"


class AmountTooLarge(Invalid):
    code = "amount_too_large"
    zh = "金额超过上限（10 万亿元）"
    en = "The amount exceeds the maximum of 10 trillion yuan"


def parse(text: str, *, field: str | None = None) -> int:
    """Fen from what a person typed: ``1,234.50``, ``１２３４．５０``, ``¥1234.5``, ``1234.5元``, ``12.5万``.

    Raises:
        BadAmount, NegativeAmount, AmountTooFine, AmountTooLarge: each with ``field``.
    """
    plain = text.translate(_NARROW).strip()
    found = _AMOUNT.fullmatch(plain)
    if found is None or not any(character.isdigit() for character in found[2]):
        raise BadAmount(field=field, value=text)
    if len(plain) > 60:
        raise AmountTooLarge(field=field)
    fen = Fraction(found[2].replace(",", "").rstrip(".")) * _SCALES[found[3]] * 100
    if found[1] == "-" and fen:
        raise NegativeAmount(field=field)
    if fen > MOST:
        raise AmountTooLarge(field=field)
    if fen.denominator != 1:
        raise AmountTooFine(field=field, value=text)
    return int(fen)


def format(fen: int) -> str:
    """``¥1,234.50``; a difference below zero is ``-¥1,234.50``."""
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}¥{yuan:,}.{rest:02d}"


def chinese(fen: int) -> str:
    """The amount in capital numerals, e.g. ``壹仟贰佰叁拾肆元伍角整``.

    Raises:
        NegativeAmount, AmountTooLarge: outside 0 … 10¹⁵ fen.
    """
    if fen < 0:
        raise NegativeAmount
    if fen > MOST:
        raise AmountTooLarge
    yuan, rest = divmod(fen, 100)
    jiao, cents = divmod(rest, 10)
    text = f"{_whole(yuan)}元" if yuan or not rest else ""
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    if cents:
        return f"{text}{'零' if text and not jiao else ''}{_DIGITS[cents]}分"
    return f"{text}整"


def round_half_up(value: Decimal | Fraction | int) -> int:
    """The nearest whole number, halves away from zero; ``value`` is exact, and a float is refused.

    Raises:
        TypeError: ``value`` is neither a Decimal nor a Fraction nor an int.
        ValueError: ``value`` is not a finite number.
    """
    if not isinstance(value, Decimal | Fraction | int):
        raise TypeError("money is computed exactly, never in floating point")
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("not a finite number")
        return int(value.to_integral_value(ROUND_HALF_UP))
    exact = Fraction(value)
    nearest = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return -nearest if exact < 0 else nearest


def _whole(number: int) -> str:
    """A whole number in capital numerals, without unit."""
    if number == 0:
        return _DIGITS[0]
    for size, name in ((10**8, "亿"), (10**4, "万")):
        if number >= size:
            high, low = divmod(number, size)
            between = _DIGITS[0] if 0 < low < size // 10 else ""
            return f"{_whole(high)}{name}{between}{_whole(low) if low else ''}"
    text, gap = "", False
    for size, name in ((1000, "仟"), (100, "佰"), (10, "拾"), (1, "")):
        digit = number // size % 10
        if digit:
            text += (_DIGITS[0] if gap and text else "") + _DIGITS[digit] + name
            gap = False
        else:
            gap = True
    return text
