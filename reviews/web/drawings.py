"""One set of drawings on pages: the set in force on any day, a sheet's versions, entering and ending one (B10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from kernel import clock, projects
from kernel.access import Cell, Role, holders
from kernel.errors import NotFound, PortalError
from kernel.projects import Project
from kernel.trail import Actor
from kernel.web import choose, day, form_errors, instant, language, signed_in_actor
from market.web import confirm
from market.web.confirm import Answer, Confirm
from market.web.downloads import send_csv, send_xlsx
from market.web.forms import Field, Sheet
from reviews import drawings
from reviews.drawings import ApprovalLine, InForce, SheetVersion, Touched
from reviews.web import drawing_entry

blueprint = Blueprint("drawings", __name__)
OWNERS = holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY)
READERS = holders(
    Role.APPLICANT,
    Role.ASSISTANT,
    Role.AUTHORITY,
    Role.AGENCY,
    Role.WINDOW,
    Role.APPROVER,
    Role.LEAD,
    Role.REGULATOR,
    Role.SUPERVISOR,
    Role.AUDITOR,
    Role.CENTRE,
)
ACCESS: Mapping[str, Cell] = {
    "drawings.index": READERS,
    "drawings.download": READERS,
    "drawings.new": OWNERS,
    "drawings.show": READERS,
    "drawings.withdraw": OWNERS,
}
LINKS: Mapping[str, Callable[[str], str]] = {
    "drawings": lambda code: f"/projects/{code}/drawings",
    "sheet": lambda reference: f"/sheets/{reference}",
}
# The set


@blueprint.get("/projects/<code>/drawings")
def index(code: str) -> str:
    """The set in force, today or on ``?on=``."""
    project, actor = _project(code)
    asked, error = _asked_day()
    rows = drawings.set_on(project, _end_of(asked))
    approvals = drawings.approvals_by_version([row.version for row in rows], project.id)
    shown = [_row(row, approvals.get(row.version.id, [])) for row in rows]
    groups = [
        {"discipline": discipline, "rows": list(same)}
        for discipline, same in groupby(shown, key=lambda row: row["discipline"])
    ]
    query: dict[str, Any] = {"on": asked.isoformat()} if asked else {}
    return render_template(
        "reviews/drawings_index.html",
        project=project,
        groups=groups,
        total=len(rows),
        on=request.args.get("on", ""),
        on_text=day(asked) if asked else "",
        has_phases=bool(project.phases),
        may_enter=drawings.may_enter(project, actor),
        downloads=[
            (form.upper(), url_for("drawings.download", code=project.code, form=form, **query))
            for form in ("csv", "xlsx")
        ],
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


@blueprint.get("/projects/<code>/drawings.<any(csv, xlsx):form>")
def download(code: str, form: str) -> Response:
    """The same rows as the page, as CSV or XLSX."""
    project, _actor = _project(code)
    asked, _error = _asked_day()
    rows = drawings.set_on(project, _end_of(asked))
    approvals = drawings.approvals_by_version([row.version for row in rows], project.id)
    heads = [
        choose("专业", "Discipline"),
        choose("工程代码", "Engineering code"),
        choose("图号", "Number"),
        choose("图名", "Title"),
        choose("版次", "Edition"),
        choose("阶段", "Stage"),
        choose("生效时间", "In force since"),
        choose("归入时间", "Entered"),
        choose("归入单位", "Entered by"),
        choose("SHA-256 校验值", "SHA-256"),
        choose("审批引用", "Approvals"),
        choose("登记编号", "Reference"),
    ]
    table: list[list[str | int | None]] = [
        [
            row.sheet.discipline.label(language()),
            row.sheet.engineering_code,
            row.sheet.number,
            row.version.title,
            row.version.edition,
            row.version.stage.label(language()),
            instant(row.version.effective_at),
            instant(row.version.entered_at),
            row.version.organisation,
            row.version.sha256,
            choose("；", "; ").join(f"{line.organisation} {line.title}" for line in approvals.get(row.version.id, [])),
            row.sheet.reference,
        ]
        for row in rows
    ]
    name = choose("图纸目录", "drawings")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)


def _row(row: InForce, approvals: Sequence[ApprovalLine]) -> dict[str, Any]:
    version = row.version
    return {
        "discipline": row.sheet.discipline.label(language()),
        "number": row.sheet.number,
        "url": url_for("drawings.show", reference=row.sheet.reference),
        "code": row.sheet.engineering_code,
        "title": version.title,
        "edition": version.edition,
        "later": row.editions - version.edition,
        "stage": version.stage.label(language()),
        "since": day(clock.local_date(version.effective_at)),
        "file": f"/files/{version.document.number}",
        "file_name": version.document.name,
        "approvals": len(approvals),
    }


def _asked_day() -> tuple[date | None, PortalError | None]:
    """``?on=``, or None and why it can't be read."""
    try:
        return Sheet(request.args).day("on"), None
    except PortalError as error:
        return None, error


def _end_of(asked: date | None) -> datetime | None:
    """The last instant of a day; now for today and for none."""
    if asked is None or asked == clock.today():
        return None
    return clock.instant_of(asked + timedelta(days=1)) - timedelta(microseconds=1)


def _project(code: str) -> tuple[Project, Actor]:
    actor = signed_in_actor()
    try:
        project, _phase = projects.find(code)
    except PortalError:
        raise NotFound from None
    if not drawings.may_see(project, actor):
        raise NotFound
    return project, actor


# One sheet


@blueprint.get("/sheets/<reference>")
def show(reference: str) -> str:
    """A sheet's versions, newest first, and who approved which."""
    actor = signed_in_actor()
    sheet = drawings.find(reference, by=actor)
    versions = drawings.history(sheet)
    now = clock.now()
    in_force = next((version for version in reversed(versions) if version.effective_at <= now), None)
    approvals = drawings.approvals_by_version(versions, sheet.project_id)
    latest = versions[-1]
    return render_template(
        "reviews/drawings_sheet.html",
        sheet=sheet,
        latest=latest,
        discipline=sheet.discipline.label(language()),
        versions=[_version(version, in_force, approvals.get(version.id, [])) for version in reversed(versions)],
        may_withdraw=drawings.may_enter(sheet.project, actor) and latest.withdrawal is None,
    )


def _version(version: SheetVersion, in_force: SheetVersion | None, approvals: Sequence[ApprovalLine]) -> dict[str, Any]:
    ended = version.withdrawal
    if ended is not None:
        status = ("bad", choose("已作废", "Withdrawn"))
    elif version is in_force:
        status = ("good", choose("现行", "In force"))
    elif version.effective_at > clock.now():
        status = ("info", choose("未生效", "Not yet in force"))
    else:
        status = ("neutral", choose("已被替代", "Superseded"))
    return {
        "version": version,
        "stage": version.stage.label(language()),
        "status": status,
        "approvals": [drawing_entry.approval_words(line) for line in approvals],
        "ended": ended,
    }


@blueprint.route("/sheets/<reference>/withdraw", methods=["GET", "POST"])
def withdraw(reference: str) -> Answer:
    """End a sheet's latest version, with the approvals that this touches named before."""
    actor = signed_in_actor()

    def latest() -> SheetVersion:
        return drawings.history(drawings.find(reference, by=actor))[-1]

    def make() -> Confirm:
        version = latest()
        sheet = version.sheet
        if not drawings.may_enter(sheet.project, actor):
            raise NotFound
        back = url_for("drawings.show", reference=reference)
        touched = drawings.touched_by(sheet.project, [(sheet.engineering_code, sheet.discipline, sheet.number)])
        return Confirm(
            title=choose("图纸作废", "Withdraw a drawing"),
            button=choose("确认作废", "Withdraw"),
            done=choose("图纸已作废，有关单位均已收到通知。", "Withdrawn. Everybody concerned has been told."),
            back=back,
            crumbs=[
                (choose("一套图纸", "Drawings"), url_for("drawings.index", code=sheet.project.code)),
                (sheet.number, back),
            ],
            rows=[
                (choose("图号", "Number"), sheet.number),
                (choose("图名", "Title"), version.title),
                (choose("版次", "Edition"), str(version.edition)),
                (choose("涉及的审批", "Approvals touched"), _in_words(touched)),
            ],
            explain=confirm.spoken(
                [
                    (
                        "作废后该图纸不再列入现行图纸，先前各版不会恢复；需要时请归入新版。",
                        "The sheet leaves the set and no earlier edition comes back; enter a new one if need be.",
                    ),
                    ("已审批或引用该图纸的单位会收到通知。", "Whoever approved it or relied on it is told."),
                ]
            ),
            fields=[Field("reason", "text", ("作废理由", "Reason"))],
            version=version.edition,
            is_ending=True,
            is_open=version.withdrawal is None,
        )

    def perform(sheet: Sheet, edition: int | None) -> str:
        version = latest()
        if edition is not None and edition != version.edition:
            raise drawing_entry.EffectsChanged
        drawings.withdraw(version, sheet.text("reason"), by=actor)
        return url_for("drawings.show", reference=reference)

    return confirm.serve(make, perform, actor)


def _in_words(touched: Sequence[Touched]) -> str:
    lines = {f"{line.organisation} {line.title}": None for one in touched for line in one.approvals}
    return choose("；", "; ").join(lines) or choose("无", "None")


@blueprint.route("/projects/<code>/drawings/new", methods=["GET", "POST"])
def new(code: str) -> Answer:
    """Choose files; look at what each is and which approvals it touches; enter them."""
    project, actor = _project(code)
    if not drawings.may_enter(project, actor):
        raise NotFound
    return drawing_entry.serve(project, actor)
