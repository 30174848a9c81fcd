"""What operators enter about a kind and a criterion is checked whole: everything wrong is told at once, each at its field."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import select

from kernel.db import session
from kernel.errors import Invalids, PortalError
from kernel.words import Worded
from market.catalogue import ServiceItem
from reviews.kinds.records import (
    Commissioner,
    CriterionBackdated,
    CriterionInvalid,
    FieldKind,
    Grade,
    JointKind,
    KindInvalid,
    ReviewKind,
    Signing,
)
from reviews.kinds.rules import RuleInvalid, validate

_CODE = re.compile(r"[a-z][a-z0-9_]{1,39}")
#: A criterion's code may hold upper case, digits, points and hyphens as standards have them.
_CRITERION_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
MOST_TEXT: Final = 10_000
MOST_ENTRIES: Final = 60

#: Members of a kind and their names, in the order of the operator's form.
LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "code": ("代码", "Code"),
    "zh": ("名称", "Name"),
    "en": ("英文名称", "Name in English"),
    "clause": ("审查依据", "Legal basis"),
    "guide_zh": ("办事指南", "Guide"),
    "guide_en": ("英文办事指南", "Guide in English"),
    "materials": ("申请材料", "Materials"),
    "fields": ("填报项", "Figures to fill in"),
    "specialities": ("审查专业", "Specialities of the panel"),
    "reviewers": ("审查人员不少于", "Reviewers at least"),
    "round_limit": ("审查轮次上限", "Rounds at most"),
    "promised_days": ("承诺时限（工作日）", "Promised time, working days"),
    "round_days": ("每轮审查时限（工作日）", "Time for a round, working days"),
    "response_days": ("申请人答复时限（工作日）", "Time for the applicant's answer, working days"),
    "joint_days": ("部门反馈时限（工作日）", "Time for a department's opinion, working days"),
    "commissioned_by": ("委托方", "Commissioned by"),
    "signatures": ("报告签署", "Signatures on the report"),
    "item_codes": ("对应服务事项", "Service items"),
    "departments": ("联合审查部门", "Departments of the joint review"),
    "joint_kind": ("联合审查类型", "Kind of joint review"),
    "title_of_report": ("报告名称", "Title of the report"),
    "title_of_report_en": ("报告英文名称", "Title of the report in English"),
}
#: Whole numbers with their range.
NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "reviewers": (1, 50),
    "round_limit": (1, 10),
    "promised_days": (1, 250),
    "round_days": (1, 120),
    "response_days": (1, 250),
    "joint_days": (1, 60),
}
TEXTS: Final = ("zh", "en", "clause", "guide_zh", "guide_en", "title_of_report", "title_of_report_en")
#: Lists of objects → their members; a member with a mark must not be empty.
_SHAPES: Final[Mapping[str, tuple[str, ...]]] = {
    "materials": ("code", "zh", "en", "required"),
    "fields": ("code", "zh", "en", "unit", "kind"),
    "specialities": ("code", "zh", "en", "count"),
    "departments": ("zh", "en"),
}
_WORDS: Final[Mapping[str, type[Worded]]] = {"commissioned_by": Commissioner, "signatures": Signing}


@dataclass(frozen=True, slots=True)
class CriterionText:
    """What a criterion says, as entered."""

    code: str
    zh: str
    en: str
    clause: str
    grade: Grade
    speciality: str = ""
    check: Mapping[str, Any] | None = None


def wrong(name: str, why: str, why_en: str) -> KindInvalid:
    zh, en = LABELS[name]
    return KindInvalid(field=name, name=zh, name_en=en, why=why, why_en=why_en)


def read_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Checked values, member by member. Raises Invalids."""
    faults: list[PortalError] = []
    read: dict[str, Any] = {}
    code = str(values.get("code", "")).strip()
    if not _CODE.fullmatch(code):
        faults.append(wrong("code", "应为 2 至 40 个小写字母、数字或下划线", "2 to 40 of a–z, 0–9 and _"))
    read["code"] = code
    for name in TEXTS:
        text = str(values.get(name, "")).strip()
        if not text:
            faults.append(wrong(name, "不能为空", "it is empty"))
        elif len(text) > MOST_TEXT:
            faults.append(wrong(name, f"不能超过 {MOST_TEXT} 字", f"more than {MOST_TEXT} characters"))
        read[name] = text
    for name, (least, most) in NUMBERS.items():
        number = values.get(name)
        if type(number) is not int or not least <= number <= most:
            faults.append(wrong(name, f"应为 {least} 至 {most} 的整数", f"a whole number from {least} to {most}"))
        read[name] = number
    for name in _SHAPES:
        try:
            read[name] = _entries(name, values.get(name))
        except KindInvalid as fault:
            faults.append(fault)
    for name, words in _WORDS.items():
        chosen = values.get(name)
        if not isinstance(chosen, list) or not chosen or any(one not in list(words) for one in chosen):
            faults.append(wrong(name, f"应从 {'、'.join(words)} 中选择", f"choose from {', '.join(words)}"))
        read[name] = [str(one) for one in chosen] if isinstance(chosen, list) else []
    faults += _cross_check(values, read)
    if faults:
        raise Invalids(faults)
    return read


def _cross_check(values: Mapping[str, Any], read: dict[str, Any]) -> list[PortalError]:
    """Members that point elsewhere: service items, the kind of joint review and its departments."""
    faults: list[PortalError] = []
    items = values.get("item_codes")
    read["item_codes"] = [str(one) for one in items] if isinstance(items, list) else []
    for one in _unknown_items(read["item_codes"]):
        faults.append(
            wrong(
                "item_codes",
                f"没有属于技术审查的服务事项“{one}”",
                f"there is no service item “{one}” that is a technical review",
            )
        )
    joint = values.get("joint_kind") or None
    try:
        read["joint_kind"] = JointKind(joint) if joint is not None else None
    except ValueError:
        faults.append(wrong("joint_kind", f"应为 {'、'.join(JointKind)} 之一", f"one of {', '.join(JointKind)}"))
    else:
        if read["joint_kind"] is not None and read.get("departments") == []:
            faults.append(wrong("departments", "联合审查至少有一个部门", "a joint review asks a department at least"))
    panel = sum(one["count"] for one in read.get("specialities", []))
    number = read["reviewers"]
    if type(number) is int and number < panel:
        faults.append(wrong("reviewers", f"各专业共需 {panel} 人", f"the specialities together need {panel}"))
    return faults


def _unknown_items(codes: Sequence[str]) -> list[str]:
    known = set(
        session.scalars(
            select(ServiceItem.code).where(ServiceItem.code.in_(codes), ServiceItem.technical_review.is_(True))
        )
    )
    return [one for one in codes if one not in known]


def _entries(name: str, given: object) -> list[dict[str, Any]]:
    """A list of objects in its shape. Raises KindInvalid."""
    members = _SHAPES[name]
    if not isinstance(given, list) or len(given) > MOST_ENTRIES:
        raise wrong(name, f"应为不超过 {MOST_ENTRIES} 项的清单", f"a list of at most {MOST_ENTRIES} entries")
    if not given and name in ("materials", "specialities"):
        raise wrong(name, "至少填写一项", "at least one entry is needed")
    read: list[dict[str, Any]] = []
    for place, one in enumerate(given, start=1):
        where, where_en = f"第 {place} 项", f"entry {place}"
        if not isinstance(one, Mapping) or set(one) != set(members):
            raise wrong(name, f"{where}应有 {'、'.join(members)}", f"{where_en} needs {', '.join(members)}")
        entry = {member: value.strip() if isinstance(value, str) else value for member, value in one.items()}
        for member in ("code", "zh", "en"):
            if member in entry and not (isinstance(entry[member], str) and entry[member]):
                raise wrong(name, f"{where}的 {member} 不能为空", f"{where_en}: {member} is empty")
        if "code" in entry and not _CODE.fullmatch(entry["code"]):
            raise wrong(name, f"{where}的代码“{entry['code']}”有误", f"{where_en}: “{entry['code']}” is no code")
        if "required" in entry and not isinstance(entry["required"], bool):
            raise wrong(name, f"{where}应写明是否必需", f"{where_en}: required must be true or false")
        if "count" in entry and (type(entry["count"]) is not int or not 1 <= entry["count"] <= 20):
            raise wrong(name, f"{where}的人数应为 1 至 20", f"{where_en}: the number must be from 1 to 20")
        if "kind" in entry and entry["kind"] not in list(FieldKind):
            raise wrong(name, f"{where}应为 {'、'.join(FieldKind)} 之一", f"{where_en}: one of {', '.join(FieldKind)}")
        if "unit" in entry and not isinstance(entry["unit"], str):
            raise wrong(name, f"{where}的单位有误", f"{where_en}: the unit is wrong")
        read.append({member: entry[member] for member in members})
    codes = [one["code"] for one in read if "code" in one]
    for code in codes:
        if codes.count(code) > 1:
            raise wrong(name, f"代码“{code}”重复", f"the code “{code}” comes twice")
    return read


def check_text(kind: ReviewKind, text: CriterionText, effective_from: date, least: date) -> None:
    """Everything wrong with a criterion at once. Raises Invalids."""
    faults: list[PortalError] = []

    def refuse(field: str, name: str, name_en: str, why: str, why_en: str) -> None:
        faults.append(CriterionInvalid(field=field, name=name, name_en=name_en, why=why, why_en=why_en))

    if not _CRITERION_CODE.fullmatch(text.code.strip()):
        refuse(
            "code",
            "代码",
            "Code",
            "应以字母开头，不超过 40 个字母、数字或 . _ -",
            "a letter, then letters, digits, . _ -",
        )
    for field, value, name, name_en in (
        ("zh", text.zh, "审查要求", "Requirement"),
        ("en", text.en, "英文审查要求", "Requirement in English"),
        ("clause", text.clause, "标准条款", "Clause"),
    ):
        if not value.strip():
            refuse(field, name, name_en, "不能为空", "it is empty")
        elif len(value) > MOST_TEXT:
            refuse(field, name, name_en, f"不能超过 {MOST_TEXT} 字", f"more than {MOST_TEXT} characters")
    if text.speciality and text.speciality not in codes_of(kind.specialities):
        refuse("speciality", "审查专业", "Speciality", "不在该类别的专业之内", "not a speciality of this kind")
    if effective_from < least:
        faults.append(CriterionBackdated(field="effective_from", least=least.isoformat()))
    if text.check is not None:
        try:
            validate(text.check, fields=codes_of(kind.fields), materials=codes_of(kind.materials))
        except RuleInvalid as fault:
            faults.append(fault)
    if faults:
        raise Invalids(faults)


def codes_of(entries: Sequence[Mapping[str, Any]]) -> Collection[str]:
    return {one["code"] for one in entries}
