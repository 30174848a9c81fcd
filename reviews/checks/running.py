"""Running a rule: never raises, never guesses, and tells what it saw with the figures."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from kernel import clock, files, seals
from kernel.errors import PortalError
from reviews.checks.values import (
    PDF,
    Checked,
    Outcome,
    Result,
    Unclear,
    bound_words,
    day_of,
    document_of,
    fact_of,
    filled,
    folded,
    is_blank,
    joined,
    number_of,
    plain,
    quoted,
    spoken,
    value_of,
    value_words,
)
from reviews.kinds import Criterion
from reviews.kinds.rules import (
    DateValid,
    Equality,
    FieldValue,
    Limit,
    Moment,
    NumberOperand,
    PdfProperty,
    PdfValue,
    Presence,
    Rule,
    RuleInvalid,
    SignatureValid,
    Value,
    day,
    number,
    parse,
)


def judge(criteria: Iterable[Criterion], subject: Checked) -> list[tuple[Criterion, Result]]:
    """The machine's results for those criteria that have a rule, in their order."""
    return [(one, run(one.check, subject)) for one in criteria if one.check is not None]


def run(rule: object, subject: Checked) -> Result:
    """Check one rule; never raises, whatever the rule or the application holds."""
    try:
        return _run(parse(rule), subject)
    except RuleInvalid as wrong:
        return Result(Outcome.NOT_CHECKED, wrong.text("zh"), wrong.text("en"))
    except Unclear as unclear:
        return Result(Outcome.NOT_CHECKED, unclear.zh, unclear.en)


def _run(rule: Rule, subject: Checked) -> Result:
    match rule:
        case Limit(target, least, most):
            zh, en = subject.name(target.field)
            figure = number_of(target, subject)
            return _within((zh, en), figure, least, most, subject, subject.units.get(target.field, ""))
        case Presence(code, material):
            return _present(code, material, subject)
        case Equality(values, tolerance):
            return _equal(values, tolerance, subject)
        case DateValid(target, before, after):
            return _in_time(target, before, after, subject)
        case SignatureValid(material, least_signatures):
            return _signed(material, least_signatures, subject)
        case PdfProperty(value, least, most, contains):
            if contains is not None:
                return _contains(value, contains, subject)
            told = number(fact_of(value, subject))
            words = value_words(value, subject)
            if told is None:
                raise Unclear(f"文件没有{words[0]}信息", f"the file doesn't tell: {words[1]}")
            return _within(words, told, least, most, subject, "")
    raise AssertionError(rule)


def _result(is_met: bool, zh: str, en: str) -> Result:
    return Result(Outcome.MET if is_met else Outcome.NOT_MET, zh, en)


def _within(
    words: tuple[str, str],
    figure: Decimal,
    least: NumberOperand | None,
    most: NumberOperand | None,
    subject: Checked,
    unit: str,
) -> Result:
    shown = f"{words[0]} {plain(figure)}{joined(unit)}", f"{words[1]} {plain(figure)}{joined(unit)}"
    said: list[tuple[str, str]] = []
    for operand, is_floor in ((least, True), (most, False)):
        if operand is None:
            continue
        bound = number_of(operand, subject) if isinstance(operand, FieldValue) else operand
        name = bound_words(operand, subject)
        value = f"{plain(bound)}{joined(unit)}"
        if is_floor and figure < bound:
            return _result(False, f"{shown[0]} 低于{name[0]} {value}", f"{shown[1]} is below {name[1]}{value}")
        if not is_floor and figure > bound:
            return _result(False, f"{shown[0]} 超过{name[0]} {value}", f"{shown[1]} exceeds {name[1]}{value}")
        said.append(
            (f"不低于{name[0]} {value}", f"at least {name[1]}{value}")
            if is_floor
            else (f"不超过{name[0]} {value}", f"at most {name[1]}{value}")
        )
    return _result(
        True, f"{shown[0]}，{'、'.join(zh for zh, _ in said)}", f"{shown[1]}: {', '.join(en for _, en in said)}"
    )


def _present(code: str | None, material: str | None, subject: Checked) -> Result:
    if material is not None:
        zh, en = subject.name(material)
        document = subject.documents.get(material)
        if document is None:
            return _result(False, f"未提交{zh}", f"{en}: not handed in")
        name = quoted(document.name)
        return _result(True, f"已提交{zh}“{name}”", f"{en}: “{name}” handed in")
    zh, en = subject.name(code or "")
    is_met = not is_blank(subject.fields.get(code or ""))
    return _result(is_met, f"{'已' if is_met else '未'}填写{zh}", f"{en}: {'filled in' if is_met else 'not filled in'}")


def _equal(values: tuple[Value, ...], tolerance: Decimal, subject: Checked) -> Result:
    found = [(value_words(one, subject), value_of(one, subject)) for one in values]
    shown_zh = "、".join(f"{words[0]} {spoken(value)}" for words, value in found)
    shown_en = ", ".join(f"{words[1]} {spoken(value)}" for words, value in found)
    figures = [number(value) for _, value in found]
    days = [day(value) for _, value in found]
    numbers = [one for one in figures if one is not None]
    if len(numbers) == len(found):
        apart = max(numbers) - min(numbers)
        if apart <= tolerance:
            return _result(True, f"{shown_zh}，一致", f"{shown_en}: they agree")
        within = f"，超过允许误差 {plain(tolerance)}" if tolerance else ""
        within_en = f", more than the tolerance of {plain(tolerance)}" if tolerance else ""
        return _result(
            False, f"{shown_zh}，相差 {plain(apart)}{within}", f"{shown_en}: {plain(apart)} apart{within_en}"
        )
    if tolerance:
        raise Unclear(f"{shown_zh}，不都是数字，无法比较", f"{shown_en}: not all of them are numbers")
    if all(one is not None for one in days):
        is_met = len(set(days)) == 1
    else:
        is_met = len({folded(value) for _, value in found}) == 1
    return _result(
        is_met, f"{shown_zh}，{'一致' if is_met else '不一致'}", f"{shown_en}: {'equal' if is_met else 'different'}"
    )


def _in_time(target: FieldValue, before: Moment | None, after: Moment | None, subject: Checked) -> Result:
    found = day_of(target, subject)
    zh, en = subject.name(target.field)
    for limit, is_floor in ((before, True), (after, False)):
        if limit is None:
            continue
        bound = _moment(limit, subject)
        if (found < bound) if is_floor else (found > bound):
            return _result(
                False,
                f"{zh} {found.isoformat()} {'早于' if is_floor else '晚于'} {bound.isoformat()}",
                f"{en} {found.isoformat()} is {'before' if is_floor else 'after'} {bound.isoformat()}",
            )
    return _result(True, f"{zh} {found.isoformat()}，在规定期限内", f"{en} {found.isoformat()} is in time")


def _moment(moment: Moment, subject: Checked) -> date:
    base = moment.base
    start = subject.on if base is None else day_of(base, subject) if isinstance(base, FieldValue) else base
    try:
        return clock.add_months(start, moment.months) + timedelta(days=moment.days)
    except (ValueError, OverflowError, clock.CalendarEnds):
        raise Unclear("规则中的日期超出范围", "the rule's day is out of range") from None


def _signed(material: str, least: int, subject: Checked) -> Result:
    document = document_of(material, subject)
    zh, en = subject.name(material)
    if document.media_type != PDF:
        raise Unclear(f"{zh}不是 PDF，无法自动核验签名", f"{en} is no PDF; its signatures can't be checked here")
    try:
        found = seals.check(files.path_of(document.sha256), document.name)
    except seals.SignatureBroken as broken:
        return _result(False, broken.text("zh"), broken.text("en"))
    except (PortalError, OSError, ValueError):
        raise Unclear(f"{zh}的文件暂时无法读取", f"the file of {en} can't be read at present") from None
    signers = [quoted(one.signer) for one in found]
    if len(found) < least:
        return _result(
            False,
            f"{zh}有电子签名 {len(found)} 个，应不少于 {least} 个",
            f"{en} has {len(found)} electronic signature(s), at least {least} wanted",
        )
    if not found[-1].covers_whole:
        return _result(
            False,
            f"{zh}签名后另有追加内容，最后一个签名未覆盖全文",
            f"something was added to {en} after the last signature",
        )
    return _result(
        True, f"{zh}的电子签名有效：{'、'.join(signers)}", f"the signatures on {en} hold: {', '.join(signers)}"
    )


def _contains(value: PdfValue, contains: str | FieldValue, subject: Checked) -> Result:
    text = fact_of(value, subject)
    zh, en = value_words(value, subject)
    wanted = contains if isinstance(contains, str) else filled(contains, subject)
    is_met = folded(wanted) in folded(text if text is not None else "")
    shown = spoken(text) if text is not None else "—"
    return _result(
        is_met,
        f"{zh}“{shown}”{'含' if is_met else '不含'}“{spoken(wanted)}”",
        f"{en} “{shown}” {'holds' if is_met else 'does not hold'} “{spoken(wanted)}”",
    )
