"""The review report as a PDF: everything that was reviewed, found, answered and decided, in one file (000 §8.4, B9).

The caller hands in what is to be printed; nothing is looked up here. The same :class:`Report` always makes the same
bytes, so that the hash which the lead reviewer and the second signer agreed to is the hash of what is signed. The
report keeps places for their signatures and the body's seal (:func:`signature_places`); they are made afterwards by
:mod:`kernel.seals`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import typst

from kernel import clock
from kernel.seals import Appearance

#: Names of the fields in which a report is signed.
LEAD: Final = "lead"
SECOND: Final = "second"
SEAL: Final = "seal"
#: What stands under the star of the body's seal.
SEAL_PURPOSE: Final = "技术审查专用章"

_TEMPLATE: Final = Path(__file__).with_name("data") / "report.typ"
_STANDARD: Final = "a-2b"
#: Signs that a reader doesn't see, or that turn the direction of reading.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
#: A run without a place to break a line, such as an address: offered one every so many signs.
_LONG_RUN: Final = re.compile(r"[!-~]{32,}")
_BREAK_EVERY: Final = 24
_NO_VALUE: Final = "—"

_WORDS: Final[dict[str, Any]] = {
    "basics": "基本情况",
    "conclusion": "审查结论",
    "panel": "审查人员",
    "panel_heads": ["姓名", "专业", "担任", "回避声明"],
    "rounds": "审查轮次与送审文件",
    "document_heads": ["送审文件", "版次", "页数", "SHA-256 校验值"],
    "checks": "电子辅助审查结果",
    "check_heads": ["序号", "审查要点", "依据", "等级", "核验结果", "说明"],
    "check_note": "电子辅助审查结果供审查人员参考，审查结论由审查人员作出。",
    "opinions": "审查意见及答复、处理情况",
    "opinion_heads": ["意见", "等级、专业、依据", "位置、要求和发现的问题", "申请人答复和处理结果"],
    "departments": "联合审查意见",
    "department_heads": ["部门", "反馈", "意见", "时间"],
    "meetings": "会议和现场核查",
    "meeting_heads": ["形式", "起止时间", "内容和结果", "参加人员"],
    "signatures": "签署",
    "signature_note": "本报告以电子签名签署并加盖电子印章，附可信时间戳，与纸质签章具有同等效力。"
    "签署后任何改动都会使签名失效；可用 PDF 阅读软件核验。",
    "nothing": "无。",
}


@dataclass(frozen=True, slots=True)
class Panelist:
    """One who reviewed. ``declared``: the conflict declaration in words, a waiver with its reason included."""

    name: str
    speciality: str
    role: str
    declared: str


@dataclass(frozen=True, slots=True)
class ReviewedDocument:
    """One document version as it was frozen into a round; ``sha256`` in 64 hex digits."""

    title: str
    edition: str
    sha256: str
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class RoundPart:
    number: int
    opened_at: datetime | None
    issued_at: datetime | None
    answered_at: datetime | None
    documents: Sequence[ReviewedDocument]
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class CheckPart:
    """One criterion with what the machine found; all in words."""

    criterion: str
    clause: str
    grade: str
    result: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """The applicant's answer to one opinion in one round."""

    round: int
    text: str


@dataclass(frozen=True, slots=True)
class OpinionPart:
    """One opinion. ``page`` from 1; ``quote``: the words of the document that it stands on; ``ruling``: how it ended."""

    number: str
    grade: str
    discipline: str
    clause: str
    document: str
    page: int | None
    quote: str
    required: str
    found: str
    answers: Sequence[AnswerPart] = ()
    ruling: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class DepartmentPart:
    """A department's part in a joint review. ``answer``: 同意、无意见、有意见、逾期未反馈 …, in the caller's words."""

    department: str
    discipline: str
    answer: str
    text: str
    asked_at: datetime | None = None
    due_on: date | None = None
    answered_at: datetime | None = None
    person: str = ""


@dataclass(frozen=True, slots=True)
class MeetingPart:
    """``counted``: in words, whether its time counts."""

    kind: str
    began_at: datetime | None
    ended_at: datetime | None
    subject: str
    result: str
    attendance: Sequence[str] = ()
    counted: str = ""


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs in which field; ``role`` as printed beside it."""

    field: str
    role: str
    name: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything printed in a report. Instants are printed in Beijing time; None and empty texts as a dash."""

    title: str
    number: str
    kind: str
    project_code: str
    project_name: str
    construction_unit: str
    review_body: str
    commission_number: str
    conclusion: str
    summary: str
    concluded_at: datetime
    engineering: str = ""
    clause: str = ""
    review_body_code: str = ""
    commissioned_by: str = ""
    commissioned_at: datetime | None = None
    started_at: datetime | None = None
    first_round_done_at: datetime | None = None
    violations: int | None = None
    conditions: str = ""
    valid_until: date | None = None
    panel: Sequence[Panelist] = ()
    rounds: Sequence[RoundPart] = ()
    checks: Sequence[CheckPart] = ()
    opinions: Sequence[OpinionPart] = ()
    departments: Sequence[DepartmentPart] = ()
    meetings: Sequence[MeetingPart] = ()
    signings: Sequence[Signing] = field(default_factory=tuple)


def compile_report(report: Report) -> bytes:
    """The report as PDF/A-2b, A4; the same bytes for the same report.

    A sign for which no font has a picture, which PDF/A forbids, makes it a plain PDF.
    """
    inputs = _inputs(report)
    try:
        return _compile(inputs, report, [_STANDARD])
    except typst.TypstError:
        return _compile(inputs, report, [])


def signature_places(report: Report) -> dict[str, Appearance]:
    """Where each signature of the compiled report stands, by the name of its field (:data:`SEAL`: the body's)."""
    found = json.loads(typst.query(_TEMPLATE.read_bytes(), "<spot>", field="value", sys_inputs=_inputs(report)))
    return {
        spot["name"]: Appearance(
            page=int(spot["page"]),
            x=float(spot["x"]),
            y=float(spot["y"]),
            purpose=SEAL_PURPOSE if spot["name"] == SEAL else "电子签名",
        )
        for spot in found
    }


def _compile(inputs: dict[str, str], report: Report, standards: list[Any]) -> bytes:
    made = typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs=inputs,
        pdf_standards=standards,
        timestamp=int(report.concluded_at.timestamp()),
    )
    return bytes(made)


def _inputs(report: Report) -> dict[str, str]:
    return {"facts": json.dumps(_facts(report), ensure_ascii=False, sort_keys=True)}


def _facts(report: Report) -> dict[str, Any]:
    return {
        "words": _WORDS,
        "title": _plain(report.title),
        "number": f"编号 {_plain(report.number)}",
        "body": _plain(report.review_body),
        "basics": _basics(report),
        "conclusion": {
            "word": _plain(report.conclusion),
            "paragraphs": [_plain(line) for line in _paragraphs(report.summary, report.conditions)],
            "rows": [
                ["作出结论时间", _instant(report.concluded_at)],
                ["违反强制性条文", _NO_VALUE if report.violations is None else f"{report.violations} 处"],
                ["报告有效期至", "长期" if report.valid_until is None else _day(report.valid_until)],
            ],
        },
        "panel": [
            [_plain(one.name), _plain(one.speciality), _plain(one.role), _plain(one.declared)] for one in report.panel
        ],
        "rounds": [_round(one) for one in report.rounds],
        "checks": [
            [str(place), _plain(one.criterion), _plain(one.clause), *map(_plain, (one.grade, one.result, one.reason))]
            for place, one in enumerate(report.checks, start=1)
        ],
        "opinion_count": _counted(report.opinions),
        "opinions": [_opinion(one) for one in report.opinions],
        "departments": [_department(one) for one in report.departments],
        "meetings": [_meeting(one) for one in report.meetings],
        "signatories": [
            {"role": _plain(one.role), "field": one.field, "note": _plain(one.name)} for one in report.signings
        ],
        "seal": {
            "role": "审查机构（盖章）",
            "field": SEAL,
            "body": _plain(report.review_body),
            "on": _day(clock.local_date(report.concluded_at)),
        },
    }


def _basics(report: Report) -> list[list[str]]:
    body = f"{report.review_body}（{report.review_body_code}）" if report.review_body_code else report.review_body
    rows = [
        ("审查事项", report.kind),
        ("审查依据", report.clause),
        ("项目代码", report.project_code),
        ("项目名称", report.project_name),
        ("工程", report.engineering),
        ("建设单位", report.construction_unit),
        ("审查机构", body),
        ("委托单位", report.commissioned_by),
        ("委托编号", report.commission_number),
        ("委托时间", _instant(report.commissioned_at)),
        ("审查开始时间", _instant(report.started_at)),
        ("初审完成时间", _instant(report.first_round_done_at)),
        ("审查结束时间", _instant(report.concluded_at)),
    ]
    return [[label, _plain(value)] for label, value in rows if value]


def _round(one: RoundPart) -> dict[str, Any]:
    dates = [
        f"{label}{_instant(at)}"
        for label, at in (("开始：", one.opened_at), ("发出意见：", one.issued_at), ("申请人答复：", one.answered_at))
        if at is not None
    ]
    outcome = f"　{_plain(one.outcome)}" if one.outcome else ""
    return {
        "title": f"第 {one.number} 轮{outcome}",
        "dates": "；".join(dates) or _NO_VALUE,
        "documents": [
            [
                _plain(each.title),
                _plain(each.edition),
                _NO_VALUE if each.pages is None else str(each.pages),
                each.sha256,
            ]
            for each in one.documents
        ],
    }


def _counted(opinions: Sequence[OpinionPart]) -> str:
    if not opinions:
        return "审查未提出意见。"
    by_grade: dict[str, int] = {}
    for one in opinions:
        by_grade[one.grade] = by_grade.get(one.grade, 0) + 1
    parts = "，".join(f"{_plain(grade)} {count} 条" for grade, count in by_grade.items())
    return f"共 {len(opinions)} 条，其中{parts}。"


def _opinion(one: OpinionPart) -> dict[str, Any]:
    where = _plain(one.document) + (f"　第 {one.page} 页" if one.page is not None else "")
    return {
        "number": _plain(one.number),
        "kind": [["", _plain(one.grade)], ["", _plain(one.discipline)], ["", _plain(one.clause)]],
        "content": [
            ["位置：", where.strip("　")],
            ["原文：", f"“{_plain(one.quote)}”" if one.quote.strip() else ""],
            ["要求：", _told(one.required)],
            ["发现的问题：", _told(one.found)],
        ],
        "treatment": [
            *([f"第 {answer.round} 轮答复：", _told(answer.text) or _NO_VALUE] for answer in one.answers),
            ["处理：", _told(one.ruling) or _NO_VALUE],
            ["说明：", _told(one.note)],
        ],
    }


def _department(one: DepartmentPart) -> list[Any]:
    name = f"{one.department}（{one.discipline}）" if one.discipline else one.department
    return [
        _plain(name),
        _plain(one.answer),
        _told(one.text) or _NO_VALUE,
        [
            ["征求：", _instant(one.asked_at) if one.asked_at else ""],
            ["期限：", _day(one.due_on) if one.due_on else ""],
            ["反馈：", _instant(one.answered_at) if one.answered_at else "未反馈"],
            ["经办：", _plain(one.person)],
        ],
    ]


def _meeting(one: MeetingPart) -> list[str]:
    times = f"{_instant(one.began_at)}\n至 {_instant(one.ended_at)}"
    content = "\n".join(part for part in (_told(one.subject), _told(one.result), _plain(one.counted)) if part)
    return [_plain(one.kind), times, content or _NO_VALUE, _plain("、".join(one.attendance)) or _NO_VALUE]


def _instant(value: datetime | None) -> str:
    """Absolute, in Beijing time."""
    if value is None:
        return _NO_VALUE
    local = value.astimezone(clock.SHANGHAI)
    return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}"


def _day(value: date) -> str:
    return f"{value.year}年{value.month}月{value.day}日"


def _paragraphs(*texts: str) -> list[str]:
    return [line for text in texts for line in text.splitlines() if line.strip()]


def _told(text: str) -> str:
    """What a person wrote, its lines kept."""
    return "\n".join(_plain(line) for line in _paragraphs(text))


def _plain(text: str) -> str:
    """One line that says what it seems to say, and that can be broken everywhere it must be."""
    seen = "".join(" " if sign in "\n\r\t" else sign for sign in text)
    seen = "".join(sign for sign in seen if unicodedata.category(sign) not in _UNSEEN)
    return _LONG_RUN.sub(_breakable, seen.strip())


def _breakable(found: re.Match[str]) -> str:
    run = found.group()
    return "\u200b".join(run[at : at + _BREAK_EVERY] for at in range(0, len(run), _BREAK_EVERY))
