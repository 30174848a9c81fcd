"""The operator's acts on the register of experts: entering, correcting, terms, employment, fees (B7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for

from kernel import clock, money, workflow
from kernel.access import Cell, Role, holders
from kernel.errors import Invalid, Invalids, NotFound, PortalError
from kernel.trail import Actor
from kernel.web import choose, day, form_errors, language, signed_in_actor
from market.web import confirm
from market.web.confirm import Answer, Confirm
from market.web.forms import DateUnclear, Field, Sheet, receive
from reviews import experts, kinds
from reviews.experts import STEPS, Entry, Expert

blueprint = Blueprint("expert_upkeep", __name__)
OPERATORS = holders(Role.OPERATOR)
ACCESS: Mapping[str, Cell] = {
    f"expert_upkeep.{name}": OPERATORS
    for name in ("new", "revise", "renew", "suspend", "reinstate", "remove", "employment", "fee", "paid")
}
LINKS: Mapping[str, Callable[[str], str]] = {}

_SPLIT = re.compile(r"[、,，;；\s]+")
_REVIEW = re.compile(r"[A-Z]{2}-[0-9]{4}-[0-9]{6}")


class ReviewUnclear(Invalid):
    code = "review_number_unclear"
    zh = "“{value}”不是技术审查编号，请填写如 JS-2026-000001"
    en = "“{value}” is no review's number; write it like JS-2026-000001"


class TermMissing(Invalid):
    code = "expert_term_missing"
    zh = "请填写{what_zh}"
    en = "Fill in: {what_en}"


# Entering and correcting


@blueprint.route("/experts/new", methods=["GET", "POST"])
def new() -> Answer:
    """Register an expert."""
    actor = signed_in_actor()
    if request.method == "GET":
        return _form(None, _typed(None))
    sheet = receive()

    def act() -> str:
        faults: list[PortalError] = []
        days = {}
        for name, words in (
            ("term_from", ("聘期起", "the first day of the term")),
            ("term_until", ("聘期止", "the last day of the term")),
            ("employed_since", None),
        ):
            try:
                days[name] = sheet.day(name)
                if days[name] is None and words is not None:
                    raise TermMissing(field=name, what_zh=words[0], what_en=words[1])
            except PortalError as error:
                faults.append(error)
        entry = _entry(sheet, faults)
        person = None
        if sheet.text("login").strip():
            try:
                person = experts.account_of(sheet.text("login"))
            except PortalError as error:
                faults.append(error)
        start, end = days.get("term_from"), days.get("term_until")
        if faults or start is None or end is None:
            raise Invalids(experts.faults_of(entry) + faults)
        made = experts.register(
            entry, term_from=start, term_until=end, by=actor, person=person, employed_since=days.get("employed_since")
        )
        return url_for("experts.show", number=made.number)

    return _outcome(act, choose("专家已入库。", "The expert is registered."), None, sheet)


@blueprint.route("/experts/<number>/revise", methods=["GET", "POST"])
def revise(number: str) -> Answer:
    """Correct an expert's entry."""
    actor = signed_in_actor()
    expert = experts.by_number(number)
    workflow.check(expert, STEPS, "revise", by=actor)
    if request.method == "GET":
        return _form(expert, _typed(expert))
    sheet = receive()

    def act() -> str:
        faults: list[PortalError] = []
        locked = experts.by_number(number, lock=True)
        entry = _entry(sheet, faults, locked)
        if faults:
            raise Invalids(experts.faults_of(entry) + faults)
        experts.revise(locked, entry, by=actor, expected_version=confirm.version_seen())
        return url_for("experts.show", number=number)

    return _outcome(act, choose("专家信息已更正。", "The entry is corrected."), expert, sheet)


def _entry(sheet: Sheet, faults: list[PortalError], expert: Expert | None = None) -> Entry:
    """The form as an entry; what can't be read goes to ``faults``."""
    most = None
    if sheet.text("most_load").strip():
        try:
            most = sheet.whole("most_load", ("同时在办上限", "the most reviews at a time"))
        except PortalError as error:
            faults.append(error)
    employer = sheet.text("employer") if expert is None else expert.employer
    known = experts.organisation_named(employer) if expert is None else None
    return Entry(
        name=sheet.text("name"),
        specialities=request.form.getlist("specialities"),
        title=sheet.text("title"),
        employer=employer,
        region=sheet.text("region"),
        certificates=[one for one in _SPLIT.split(sheet.text("certificates")) if one],
        employer_id=known.id if known is not None else None,
        most_load=most,
    )


def _typed(expert: Expert | None) -> dict[str, Any]:
    if expert is None:
        names = ("name", "title", "employer", "employed_since", "region", "certificates", "login", "term_until")
        return {
            **dict.fromkeys(names, ""),
            "specialities": [],
            "most_load": str(experts.default_load()),
            "term_from": clock.today().isoformat(),
        }
    return {
        "name": expert.name,
        "title": expert.title,
        "region": expert.region,
        "certificates": " ".join(expert.certificates),
        "specialities": expert.specialities,
        "most_load": str(expert.most_load),
    }


def _outcome(act: Callable[[], str], done: str, expert: Expert | None, sheet: Sheet) -> Answer:
    outcome = confirm.attempt(act)
    if isinstance(outcome, Response):
        flash(done, "success")
        return outcome
    typed = {name: sheet.text(name) for name in _typed(expert)} | {"specialities": request.form.getlist("specialities")}
    return _form(expert, typed, outcome), outcome.status


def _form(expert: Expert | None, typed: Mapping[str, Any], error: PortalError | None = None) -> str:
    return render_template(
        "reviews/experts_form.html",
        expert=expert,
        typed=typed,
        specialities=[(code, choose(*words)) for code, words in kinds.specialities().items()],
        token=request.form.get("act"),
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )


# Terms and states


@blueprint.route("/experts/<number>/renew", methods=["GET", "POST"])
def renew(number: str) -> Answer:
    """Lengthen an expert's term."""

    def act(expert: Expert, sheet: Sheet, actor: Actor, version: int | None) -> None:
        until = sheet.day("term_until")
        if until is None:
            raise DateUnclear(field="term_until", value="")
        experts.renew(expert, until, by=actor, expected_version=version)

    return _confirm(
        number,
        "renew",
        act,
        title=choose("续聘", "Renew the term"),
        done=choose("已续聘。", "The term is renewed."),
        fields=[Field("term_until", "date", ("新的聘期止", "New last day of the term"))],
    )


@blueprint.route("/experts/<number>/suspend", methods=["GET", "POST"])
def suspend(number: str) -> Answer:
    """Suspend an expert with a reason."""

    def act(expert: Expert, sheet: Sheet, actor: Actor, version: int | None) -> None:
        experts.suspend(expert, sheet.text("reason"), by=actor, expected_version=version)

    return _confirm(
        number,
        "suspend",
        act,
        title=choose("暂停专家资格", "Suspend the expert"),
        done=choose("已暂停。", "Suspended."),
        explain=[choose("暂停期间不再抽取和指派，恢复后可以继续。", "Nobody draws or assigns a suspended expert.")],
        fields=[Field("reason", "text", ("暂停理由", "Reason"))],
        is_ending=True,
    )


@blueprint.route("/experts/<number>/reinstate", methods=["GET", "POST"])
def reinstate(number: str) -> Answer:
    """Let a suspended expert serve again."""

    def act(expert: Expert, sheet: Sheet, actor: Actor, version: int | None) -> None:
        experts.reinstate(expert, by=actor, expected_version=version)

    return _confirm(
        number,
        "reinstate",
        act,
        title=choose("恢复专家资格", "Reinstate the expert"),
        done=choose("已恢复。", "Reinstated."),
    )


@blueprint.route("/experts/<number>/remove", methods=["GET", "POST"])
def remove(number: str) -> Answer:
    """Take an expert off the register for good."""

    def act(expert: Expert, sheet: Sheet, actor: Actor, version: int | None) -> None:
        experts.remove(expert, sheet.text("reason"), by=actor, expected_version=version)

    return _confirm(
        number,
        "remove",
        act,
        title=choose("专家出库", "Remove the expert"),
        done=choose("已出库。", "Removed."),
        explain=[
            choose("出库后不能恢复，参加过的审查记录予以保留。", "This is final; the records of past reviews stay.")
        ],
        fields=[Field("reason", "text", ("出库理由", "Reason"))],
        is_ending=True,
    )


Act = Callable[[Expert, Sheet, Actor, int | None], None]


def _confirm(
    number: str,
    move: str,
    act: Act,
    *,
    title: str,
    done: str,
    explain: list[str] | None = None,
    fields: list[Field] | None = None,
    is_ending: bool = False,
) -> Answer:
    actor = signed_in_actor()
    back = url_for("experts.show", number=number)

    def make() -> Confirm:
        expert = experts.by_number(number)
        return Confirm(
            title=title,
            button=title,
            done=done,
            back=back,
            crumbs=[(choose("专家库", "Experts"), url_for("experts.index")), (number, back)],
            subject=expert.subject,
            version=expert.version,
            rows=_rows(expert),
            explain=explain or [],
            fields=fields or [],
            is_ending=is_ending,
            is_open=move in workflow.moves(expert, STEPS, actor),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        act(experts.by_number(number, lock=True), sheet, actor, version)
        return back

    return confirm.serve(make, perform, actor)


def _rows(expert: Expert) -> list[tuple[str, str]]:
    rows = [
        (choose("专家", "Expert"), f"{expert.name} {expert.number}"),
        (choose("工作单位", "Employer"), expert.employer),
        (choose("聘期止", "Term until"), day(expert.term_until)),
        (choose("状态", "State"), expert.status.label(language())),
    ]
    if expert.reason:
        rows.append((choose("理由", "Reason"), expert.reason))
    return rows


# Employment and fees


@blueprint.route("/experts/<number>/employments/new", methods=["GET", "POST"])
def employment(number: str) -> Answer:
    """Record where an expert works or worked."""

    def perform(sheet: Sheet, version: int | None) -> str:
        name = sheet.text("organisation")
        known = experts.organisation_named(name)
        experts.add_employment(
            experts.by_number(number, lock=True),
            name,
            by=signed_in_actor(),
            organisation_id=known.id if known is not None else None,
            since=sheet.day("since"),
            until=sheet.day("until"),
        )
        return url_for("experts.show", number=number)

    return _entering(
        number,
        perform,
        title=choose("登记任职", "Record an employment"),
        done=choose("任职已登记。", "The employment is recorded."),
        explain=[
            choose(
                "不填离任日期即为现任单位，原单位的任职随之于前一日结束；任职记录只增不改，用于判断回避。",
                "Without a last day it is the present employer and the former one ends the day before. Records are only added.",
            )
        ],
        fields=[
            Field("organisation", "text", ("工作单位全称", "Full name of the employer")),
            Field("since", "date", ("到任日期", "Since"), is_required=False),
            Field("until", "date", ("离任日期", "Until"), is_required=False),
        ],
    )


@blueprint.route("/experts/<number>/fees/new", methods=["GET", "POST"])
def fee(number: str) -> Answer:
    """Record what an expert earned with a review."""

    def perform(sheet: Sheet, version: int | None) -> str:
        review = sheet.text("review").strip().upper()
        if not _REVIEW.fullmatch(review):
            raise ReviewUnclear(field="review", value=sheet.text("review").strip())
        amount = money.parse(sheet.text("fee"), field="fee")
        experts.record_fee(experts.by_number(number, lock=True), f"review:{review}", amount, by=signed_in_actor())
        return url_for("experts.show", number=number)

    return _entering(
        number,
        perform,
        title=choose("登记评审费", "Record a fee"),
        done=choose("评审费已登记。", "The fee is recorded."),
        fields=[
            Field("review", "text", ("技术审查编号", "Number of the review")),
            Field("fee", "money", ("评审费", "Fee")),
        ],
    )


@blueprint.route("/experts/<number>/fees/<int:place>/paid", methods=["GET", "POST"])
def paid(number: str, place: int) -> Answer:
    """Record that a fee is paid; ``place`` counts the expert's fees from the first."""
    found = list(reversed(experts.fees_of(experts.by_number(number), most=10_000)))
    if not 1 <= place <= len(found):
        raise NotFound
    one = found[place - 1]

    def perform(sheet: Sheet, version: int | None) -> str:
        experts.mark_paid(one, by=signed_in_actor())
        return url_for("experts.show", number=number)

    return _entering(
        number,
        perform,
        title=choose("登记支付", "Record the payment"),
        done=choose("已登记支付。", "Recorded as paid."),
        rows=[
            (choose("技术审查编号", "Review"), one.review.partition(":")[2]),
            (choose("评审费", "Fee"), money.format(one.fen)),
        ],
    )


def _entering(
    number: str,
    perform: Callable[[Sheet, int | None], str],
    *,
    title: str,
    done: str,
    rows: list[tuple[str, str]] | None = None,
    explain: list[str] | None = None,
    fields: list[Field] | None = None,
) -> Answer:
    back = url_for("experts.show", number=number)

    def make() -> Confirm:
        expert = experts.by_number(number)
        return Confirm(
            title=title,
            button=title,
            done=done,
            back=back,
            crumbs=[(choose("专家库", "Experts"), url_for("experts.index")), (number, back)],
            subject=expert.subject,
            rows=[(choose("专家", "Expert"), f"{expert.name} {expert.number}"), *(rows or [])],
            explain=explain or [],
            fields=fields or [],
        )

    return confirm.serve(make, perform, signed_in_actor())
