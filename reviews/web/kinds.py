"""Kinds of review on pages: guide, materials and the criteria in force on a day, for everybody (B1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from kernel import clock
from kernel.access import PUBLIC, Cell
from kernel.errors import PortalError
from kernel.web import choose, day, form_errors, language
from market.web import confirm
from market.web.downloads import send_csv, send_xlsx
from market.web.forms import DateUnclear, Sheet
from reviews import checks, kinds
from reviews.kinds import Criterion, Grade, ReviewKind

blueprint = Blueprint("review_kinds", __name__)
ACCESS: Mapping[str, Cell] = {
    "review_kinds.index": PUBLIC,
    "review_kinds.download": PUBLIC,
    "review_kinds.show": PUBLIC,
    "review_kinds.criteria": PUBLIC,
}
LINKS: Mapping[str, Callable[[str], str]] = {"review_kind": lambda code: f"/review-kinds/{code}"}
GRADE_KINDS = {Grade.MUST: "warn", Grade.ADVICE: "info"}


@blueprint.get("/review-kinds")
def index() -> str:
    """The kinds in use with their time and materials."""
    found = kinds.all_kinds(only_active=True)
    return render_template("reviews/kinds_index.html", rows=[_row(one) for one in found], downloads=_downloads())


def _row(kind: ReviewKind) -> dict[str, Any]:
    tongue = language()
    return {
        "url": url_for("review_kinds.show", code=kind.code),
        "name": kind.label(tongue),
        "clause": kind.clause,
        "days": kind.promised_days,
        "rounds": kind.round_limit,
        "reviewers": kind.reviewers,
        "commissioned_by": _commissioners(kind),
        "criteria": len(kinds.in_force(kind, clock.today())),
        "kind": kind,
    }


def _commissioners(kind: ReviewKind) -> str:
    return choose("、", ", ").join(
        one.label(language()) for one in kinds.Commissioner if kind.may_be_commissioned_by(one)
    )


def _downloads() -> list[tuple[str, str]]:
    return [(form.upper(), url_for("review_kinds.download", form=form)) for form in ("csv", "xlsx")]


@blueprint.get("/review-kinds.<any(csv, xlsx):form>")
def download(form: str) -> Response:
    """The same rows as the list."""
    heads = [
        choose("代码", "Code"),
        choose("审查类别", "Kind of review"),
        choose("审查依据", "Legal basis"),
        choose("承诺时限（工作日）", "Promised working days"),
        choose("审查轮次上限", "Rounds at most"),
        choose("审查人员", "Reviewers"),
        choose("委托方", "Commissioned by"),
        choose("现行标准（条）", "Criteria in force"),
    ]
    table: list[list[str | int | None]] = [
        [
            row["kind"].code,
            row["name"],
            row["clause"],
            row["days"],
            row["rounds"],
            row["reviewers"],
            row["commissioned_by"],
            row["criteria"],
        ]
        for row in map(_row, kinds.all_kinds(only_active=True))
    ]
    name = choose("技术审查类别", "kinds of review")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)


@blueprint.get("/review-kinds/<code>")
def show(code: str) -> str:
    """Guide, materials and the criteria of a day, today or ``?on=``."""
    kind = kinds.by_code(code)
    asked, error = _asked_day()
    on = asked or clock.today()
    rows = [criterion_row(one) for one in kinds.in_force(kind, on)]
    query: dict[str, Any] = {"on": asked.isoformat()} if asked else {}
    tongue = language()
    return render_template(
        "reviews/kinds_show.html",
        kind=kind,
        name=kind.label(tongue),
        guide=(kind.guide_en if tongue == "en" else kind.guide_zh).splitlines(),
        basis=[(choose("审查依据", "Legal basis"), kind.clause)],
        facts=_facts(kind),
        materials=[(word(one), one["required"]) for one in kind.materials],
        figures=[(word(one), one["unit"]) for one in kind.fields],
        rows=rows,
        on=request.args.get("on", ""),
        on_text=day(on),
        downloads=[
            (form.upper(), url_for("review_kinds.criteria", code=code, form=form, **query)) for form in ("csv", "xlsx")
        ],
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


def word(entry: Mapping[str, Any]) -> str:
    return choose(entry["zh"], entry["en"])


def _facts(kind: ReviewKind) -> list[tuple[str, str]]:
    tongue = language()
    panel = choose("、", ", ").join(
        choose(f"{one['zh']} {one['count']} 人", f"{one['en']} {one['count']}") for one in kind.specialities
    )
    rows = [
        (choose("委托方", "Commissioned by"), _commissioners(kind)),
        (choose("承诺时限", "Promised time"), _days(kind.promised_days)),
        (choose("每轮审查时限", "Time for a round"), _days(kind.round_days)),
        (choose("申请人答复时限", "Time for the applicant's answer"), _days(kind.response_days)),
        (choose("审查轮次上限", "Rounds at most"), str(kind.round_limit)),
        (
            choose("审查人员", "Reviewers"),
            choose(f"不少于 {kind.reviewers} 人：{panel}", f"{kind.reviewers} at least: {panel}"),
        ),
        (
            choose("报告签署", "Signed by"),
            choose("、", ", ").join(one.label(tongue) for one in kinds.Signing if one.value in kind.signatures),
        ),
        (choose("报告名称", "Title of the report"), choose(kind.title_of_report, kind.title_of_report_en)),
    ]
    if kind.joint_kind is not None:
        asked = choose("、", ", ").join(map(word, kind.departments))
        rows.append((choose("联合审查", "Joint review"), f"{kind.joint_kind.label(tongue)}{choose('：', ': ')}{asked}"))
        rows.append((choose("部门反馈时限", "Time for a department's opinion"), _days(kind.joint_days)))
    return rows


def _days(count: int) -> str:
    return choose(f"{count} 个工作日", f"{count} working days")


def _asked_day() -> tuple[date | None, PortalError | None]:
    """The day of ``?on=``, or what is wrong with it."""
    try:
        return Sheet(request.args).day("on"), None
    except DateUnclear as error:
        return None, error


def criterion_row(criterion: Criterion) -> dict[str, Any]:
    tongue = language()
    names = {one["code"]: word(one) for one in criterion.kind.specialities}
    return {
        "code": criterion.code,
        "text": criterion.label(tongue),
        "clause": criterion.clause,
        "grade": criterion.grade.label(tongue),
        "grade_kind": GRADE_KINDS[criterion.grade],
        "speciality": names.get(criterion.speciality, choose("各专业", "Every speciality")),
        "since": day(criterion.effective_from),
        "until": day(criterion.effective_until),
        "check": choose(*checks.describe(criterion.kind, criterion.check)) if criterion.check is not None else "",
        "criterion": criterion,
    }


@blueprint.get("/review-kinds/<code>/criteria.<any(csv, xlsx):form>")
def criteria(code: str, form: str) -> Response:
    """The criteria of a day, as on the page."""
    kind = kinds.by_code(code)
    asked, _error = _asked_day()
    heads = [
        choose("标准代码", "Code"),
        choose("审查要求", "Requirement"),
        choose("标准条款", "Clause"),
        choose("程度", "Grade"),
        choose("审查专业", "Speciality"),
        choose("自动核验", "Machine check"),
        choose("生效日期", "In force from"),
        choose("失效日期", "Until"),
    ]
    table: list[list[str | int | None]] = [
        [
            row["code"],
            row["text"],
            row["clause"],
            row["grade"],
            row["speciality"],
            row["check"],
            row["criterion"].effective_from.isoformat(),
            row["criterion"].effective_until.isoformat() if row["criterion"].effective_until else "",
        ]
        for row in map(criterion_row, kinds.in_force(kind, asked or clock.today()))
    ]
    name = choose(f"审查标准 {kind.code}", f"criteria {kind.code}")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)
