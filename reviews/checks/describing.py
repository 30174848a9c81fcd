"""A rule in words, for the published criteria."""

from __future__ import annotations

from decimal import Decimal

from kernel import clock
from reviews.checks.values import Checked, bound_words, joined, plain, subject_of, value_words
from reviews.kinds import ReviewKind
from reviews.kinds.rules import (
    DateValid,
    Equality,
    Limit,
    NumberOperand,
    PdfProperty,
    Presence,
    RuleInvalid,
    SignatureValid,
    parse,
)


def describe(kind: ReviewKind, rule: object) -> tuple[str, str]:
    """What a rule checks, in Chinese and English, with the kind's names; ('', '') when it can't be read."""
    subject = subject_of(kind, {}, {}, clock.today())
    try:
        read = parse(rule)
    except RuleInvalid:
        return "", ""
    match read:
        case Limit(target, least, most):
            return _range_words(subject.name(target.field), least, most, subject)
        case Presence(code, material):
            zh, en = subject.name(code or material or "")
            return f"已{'填写' if code else '提交'}{zh}", f"{en} is {'filled in' if code else 'handed in'}"
        case Equality(values, tolerance):
            names = [value_words(one, subject) for one in values]
            within = (f"（误差不超过 {plain(tolerance)}）", f" (within {plain(tolerance)})") if tolerance else ("", "")
            return (
                f"{'与'.join(zh for zh, _ in names)}一致{within[0]}",
                f"{' and '.join(en for _, en in names)} agree{within[1]}",
            )
        case DateValid(target, _, _):
            zh, en = subject.name(target.field)
            return f"{zh}在规定期限内", f"{en} is in time"
        case SignatureValid(material, count):
            zh, en = subject.name(material)
            return f"{zh}的电子签名有效，不少于 {count} 个", f"{count} or more electronic signatures on {en} hold"
        case PdfProperty(value, least, most, contains):
            words = value_words(value, subject)
            if contains is None:
                return _range_words(words, least, most, subject)
            wanted = (contains, contains) if isinstance(contains, str) else subject.name(contains.field)
            return f"{words[0]}含“{wanted[0]}”", f"{words[1]} holds “{wanted[1]}”"
    raise AssertionError(read)


def _range_words(
    words: tuple[str, str], least: NumberOperand | None, most: NumberOperand | None, subject: Checked
) -> tuple[str, str]:
    zh, en = [], []
    for operand, word, word_en in ((least, "不低于", "at least"), (most, "不超过", "at most")):
        if operand is not None:
            name = bound_words(operand, subject)
            figure = plain(operand) if isinstance(operand, Decimal) else ""
            zh.append(f"{word}{name[0]}{joined(figure)}")
            en.append(f"{word_en} {name[1]}{figure}".rstrip())
    return f"{words[0]}{'、'.join(zh)}", f"{words[1]} {', '.join(en)}"
