"""The operator's upkeep of the kinds of review and their criteria (B1): a criterion is looked at twice and never edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for

from kernel import clock
from kernel.access import Cell, Role, holders
from kernel.errors import PortalError
from kernel.web import choose, current_actor, day, form_errors, language, signed_in_actor
from market import catalogue
from market.web import confirm
from market.web.confirm import Answer, Confirm
from market.web.forms import DateUnclear, Field, Sheet, receive
from reviews import kinds
from reviews.kinds import Criterion, Grade, ReviewKind
from reviews.web import kind_form
from reviews.web.kinds import criterion_row, word

blueprint = Blueprint("kind_upkeep", __name__)
OPERATORS = holders(Role.OPERATOR)
ACCESS: Mapping[str, Cell] = {
    "kind_upkeep.index": holders(Role.OPERATOR, Role.SUPERVISOR, Role.AUDITOR),
    "kind_upkeep.new": OPERATORS,
    "kind_upkeep.edit": OPERATORS,
    "kind_upkeep.switch": OPERATORS,
    "kind_upkeep.add_criterion": OPERATORS,
    "kind_upkeep.replace_criterion": OPERATORS,
    "kind_upkeep.end_criterion": OPERATORS,
}
LINKS: Mapping[str, Callable[[str], str]] = {}


@blueprint.get("/admin/review-kinds")
def index() -> str:
    """Every kind, retired ones too, with every version of its criteria."""
    today = clock.today()
    actor = current_actor()
    shown = []
    for kind in kinds.all_kinds():
        versions = [criterion_row(one) for one in kinds.history_of(kind)]
        for row in versions:
            one = row["criterion"]
            row["state"] = "now" if one.is_in_force(today) else "coming" if one.effective_from > today else "past"
            row["is_open"] = one.effective_until is None
        shown.append({"kind": kind, "name": kind.label(language()), "versions": versions})
    return render_template(
        "reviews/kinds_admin.html", kinds=shown, may_edit=actor is not None and OPERATORS.allows(actor)
    )


@blueprint.route("/admin/review-kinds/new", methods=["GET", "POST"])
def new() -> Answer:
    """Add a kind of review."""
    actor = signed_in_actor()
    if request.method == "GET":
        return _kind_page(None, kind_form.typed_of(None))
    sheet = receive()

    def act() -> str:
        return url_for("review_kinds.show", code=kinds.add_kind(kind_form.read(sheet), by=actor).code)

    return _outcome(act, choose("审查类别已新增。", "The kind of review is added."), None, sheet)


@blueprint.route("/admin/review-kinds/<code>", methods=["GET", "POST"])
def edit(code: str) -> Answer:
    """Revise a kind of review."""
    actor = signed_in_actor()
    kind = kinds.by_code(code)
    if request.method == "GET":
        return _kind_page(kind, kind_form.typed_of(kind))
    sheet = receive()

    def act() -> str:
        kinds.revise_kind(
            kinds.by_code(code, lock=True), kind_form.read(sheet), by=actor, expected_version=confirm.version_seen()
        )
        return url_for("review_kinds.show", code=code)

    return _outcome(act, choose("审查类别已修订。", "The kind of review is revised."), kind, sheet)


def _outcome(act: Callable[[], str], done: str, kind: ReviewKind | None, sheet: Sheet) -> Answer:
    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(done, "success")
        return outcome
    return _kind_page(kind, kind_form.typed_again(sheet), outcome), outcome.status


def _kind_page(kind: ReviewKind | None, typed: Mapping[str, Any], error: PortalError | None = None) -> str:
    items = [(one.code, one.label(language())) for one in catalogue.all_items() if one.technical_review]
    return render_template(
        "reviews/kinds_form.html",
        kind=kind,
        typed=typed,
        labels=kind_form.labels(),
        options=kind_form.options(language()),
        numbers=list(kinds.NUMBERS),
        items=items,
        token=request.form.get("act"),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


@blueprint.route("/admin/review-kinds/<code>/state", methods=["GET", "POST"])
def switch(code: str) -> Answer:
    """Retire a kind, or take it back into use."""
    actor = signed_in_actor()
    verb = kinds.retire_kind if kinds.by_code(code).is_active else kinds.restore_kind
    if request.form.get("wanted") in ("retire", "restore"):
        verb = kinds.retire_kind if request.form["wanted"] == "retire" else kinds.restore_kind
    is_ending = verb is kinds.retire_kind

    def make() -> Confirm:
        kind = kinds.by_code(code)
        title = (
            choose("停用审查类别", "Retire the kind of review")
            if is_ending
            else choose("恢复审查类别", "Take it back into use")
        )
        return Confirm(
            title=title,
            button=title,
            done=choose("已停用。", "Retired.") if is_ending else choose("已恢复。", "In use again."),
            back=url_for("kind_upkeep.index"),
            crumbs=[(choose("审查类别管理", "Kinds of review"), url_for("kind_upkeep.index"))],
            subject=kind.subject,
            version=kind.version,
            hidden={"wanted": "retire" if is_ending else "restore"},
            rows=[
                (choose("审查类别", "Kind of review"), kind.label(language())),
                (choose("代码", "Code"), kind.code),
            ],
            explain=[
                choose(
                    "停用后不能再委托这一类审查，已委托的继续办理。", "No more are commissioned; those under way go on."
                )
                if is_ending
                else choose("恢复后可以委托这一类审查。", "Reviews of this kind may be commissioned again.")
            ],
            is_ending=is_ending,
            is_open=kind.is_active == is_ending,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        verb(kinds.by_code(code, lock=True), by=actor, expected_version=version)
        return url_for("kind_upkeep.index")

    return confirm.serve(make, perform, actor)


@blueprint.route("/admin/review-kinds/<code>/criteria/new", methods=["GET", "POST"])
def add_criterion(code: str) -> Answer:
    """Add a criterion."""
    return _criterion_form(kinds.by_code(code), None)


@blueprint.route("/admin/review-kinds/<code>/criteria/<criterion>/new", methods=["GET", "POST"])
def replace_criterion(code: str, criterion: str) -> Answer:
    """Enter a new version of a criterion."""
    kind = kinds.by_code(code)
    return _criterion_form(kind, kinds.criterion_of(kind, criterion))


def _criterion_form(kind: ReviewKind, old: Criterion | None) -> Answer:
    """Fill in, look at what will hold from when, enter: a criterion is never edited afterwards."""
    actor = signed_in_actor()
    if request.method == "GET":
        return _criterion_page(kind, old, kind_form.typed_of_criterion(old))
    sheet = receive()
    names = (*kind_form.typed_of_criterion(None),)
    typed = {name: sheet.text(name) for name in names}
    try:
        text, effective_from = kind_form.read_criterion(sheet, old.code if old is not None else None)
        if sheet.text("stage") != "enter":
            kinds.check_criterion(kind, old, text, effective_from)
            return _criterion_check(kind, old, typed, effective_from)
    except PortalError as error:
        return _criterion_page(kind, old, typed, error), error.status

    def act() -> str:
        if old is None:
            kinds.add_criterion(kinds.by_code(kind.code), text, effective_from=effective_from, by=actor)
        else:
            kinds.replace_criterion(old, text, effective_from=effective_from, by=actor)
        return url_for("kind_upkeep.index") + f"#kind-{kind.code}"

    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(choose("审查标准已发布。", "The criterion is entered."), "success")
        return outcome
    return _criterion_page(kind, old, typed, outcome), outcome.status


def _criterion_page(
    kind: ReviewKind, old: Criterion | None, typed: Mapping[str, str], error: PortalError | None = None
) -> str:
    return render_template(
        "reviews/kinds_criterion.html",
        kind=kind,
        name=kind.label(language()),
        old=old,
        typed=typed,
        grades=[(one.value, one.label(language())) for one in Grade],
        specialities=[(one["code"], word(one)) for one in kind.specialities],
        known=[(one["code"], word(one)) for one in (*kind.fields, *kind.materials)],
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


def _criterion_check(kind: ReviewKind, old: Criterion | None, typed: Mapping[str, str], since: date) -> str:
    tongue = language()
    grade = Grade.ADVICE if typed["grade"] == Grade.ADVICE.value else Grade.MUST
    rows = [
        (choose("审查类别", "Kind of review"), kind.label(tongue)),
        (choose("标准代码", "Code"), old.code if old is not None else typed["code"]),
        (choose("审查要求", "Requirement"), typed["zh"]),
        (choose("英文审查要求", "In English"), typed["en"]),
        (choose("标准条款", "Clause"), typed["clause"]),
        (choose("程度", "Grade"), grade.label(tongue)),
        (choose("自动核验", "Machine check"), typed["check"] or choose("无", "none")),
        (choose("生效日期", "In force from"), day(since)),
    ]
    return render_template(
        "reviews/kinds_criterion_check.html",
        kind=kind,
        name=kind.label(tongue),
        old=old,
        rows=rows,
        hidden={**typed, "stage": "enter"},
        back=url_for("kind_upkeep.index"),
    )


@blueprint.route("/admin/review-kinds/<code>/criteria/<criterion>/end", methods=["GET", "POST"])
def end_criterion(code: str, criterion: str) -> Answer:
    """End a criterion without a successor."""
    actor = signed_in_actor()

    def make() -> Confirm:
        kind = kinds.by_code(code)
        found = kinds.criterion_of(kind, criterion)
        return Confirm(
            title=choose("废止审查标准", "End the criterion"),
            button=choose("废止", "End it"),
            done=choose("审查标准已废止。", "The criterion is ended."),
            back=url_for("kind_upkeep.index"),
            crumbs=[(choose("审查类别管理", "Kinds of review"), url_for("kind_upkeep.index"))],
            subject=kind.subject,
            rows=[
                (choose("审查类别", "Kind of review"), kind.label(language())),
                (choose("标准代码", "Code"), found.code),
                (choose("审查要求", "Requirement"), found.label(language())),
            ],
            explain=[
                choose(
                    "最后适用日及以前受理的项目仍适用本标准。",
                    "Applications up to and including the last day are still judged by it.",
                )
            ],
            fields=[Field("effective_until", "date", ("最后适用日", "Last day in force"))],
            is_ending=True,
            is_open=found.effective_until is None,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        last_day = sheet.day("effective_until")
        if last_day is None:
            raise DateUnclear(field="effective_until", value="")
        kinds.end_criterion(kinds.criterion_of(kinds.by_code(code), criterion), last_day, by=actor)
        return url_for("kind_upkeep.index")

    return confirm.serve(make, perform, actor)
