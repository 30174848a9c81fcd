"""Objections to a result: filed by a bidder, answered by the client, read whole by those who supervise (A7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Blueprint, render_template, url_for

from kernel import timekeeping
from kernel.access import Cell, Role, holders
from kernel.errors import NotFound
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from kernel.web import choose, instant, language, signed_in_actor
from market import agencies, awards, calls, commissions, objections
from market.commissions import CommissionStatus
from market.objections import DecisionMissing, Objection, ObjectionStatus
from market.web import confirm, progress
from market.web.acts import Row
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet

blueprint = Blueprint("objections", __name__)
ACCESS: Mapping[str, Cell] = {
    "objections.new": holders(Role.AGENCY),
    "objections.show": holders(
        Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.AGENCY, Role.SUPERVISOR, Role.AUDITOR
    ),
    "objections.decision": holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT),
}
LINKS: Mapping[str, Callable[[str], str]] = {"objection": lambda number: f"/objections/{number}"}


@blueprint.route("/calls/<number>/objection", methods=["GET", "POST"])
def new(number: str) -> Answer:
    """File an objection."""
    actor = signed_in_actor()

    def make() -> Confirm:
        call = calls.find(number, by=actor)
        agency = agencies.of_organisation(actor.organisation_id or 0)
        if agency is None or agency.id not in awards.bidders(call):
            raise NotFound
        days = call.rules.objection_working_days
        back = url_for("awards.result", number=number)
        return Confirm(
            title=choose("提出异议", "Object to the result"),
            button=choose("提交异议", "File the objection"),
            done=choose("异议已提交，公示期停止计算。", "Filed. The publicity period stands still."),
            back=back,
            crumbs=[(number, f"/calls/{number}"), (choose("评审结果", "Result"), back)],
            subject=call.subject,
            version=call.commission.version,
            rows=[
                (choose("采购编号", "Call"), number),
                (choose("项目名称", "Title"), call.title),
                (choose("提出单位", "Objecting"), agency.name),
            ],
            explain=confirm.spoken(
                [
                    (
                        f"采购人应在 {days} 个工作日内答复；答复前不发出委托。",
                        f"The client answers within {days} working days; nothing is commissioned before.",
                    ),
                    (
                        "监督部门可以看到异议全文，公众只看到办理状态和答复。",
                        "The supervisors read all of it, the public its state and the answer.",
                    ),
                ]
            ),
            fields=[Field("text", "text", ("异议事项、事实和理由", "What you object to, the facts, and why"))],
            is_open=call.commission.status is CommissionStatus.PUBLICISED,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        call = calls.find(number, by=actor, lock=True)
        agency = agencies.of_organisation(actor.organisation_id or 0)
        if agency is None:
            raise NotFound
        made = objections.file(call, agency, sheet.text("text"), by=actor, expected_version=version)
        return url_for("objections.show", number=made.number)

    return confirm.serve(make, perform, actor)


@blueprint.get("/objections/<number>")
def show(number: str) -> str:
    """An objection with its clock, for its two sides and those who supervise."""
    actor = signed_in_actor()
    one = objections.find(number, by=actor)
    call = objections.call_of(one)
    stored = timekeeping.latest(one.subject, ClockKind.OBJECTION)
    return render_template(
        "market/objection_page.html",
        objection=one,
        call=call,
        rows=_rows(one),
        status=one.status.label(language()),
        status_kind={ObjectionStatus.FILED: "warn", ObjectionStatus.UPHELD: "bad"}.get(one.status, "neutral"),
        clock=progress.box(stored, call.commission) if stored is not None else None,
        may_decide=_may_decide(one, actor),
    )


def _may_decide(one: Objection, actor: Actor) -> bool:
    return one.status is ObjectionStatus.FILED and commissions.by_client(objections.call_of(one).commission, actor)


def _rows(one: Objection) -> list[Row]:
    call = objections.call_of(one)
    rows: list[Row] = [
        (choose("采购编号", "Call"), call.number),
        (choose("项目名称", "Title"), call.title),
        (choose("提出单位", "Objecting"), one.agency.name),
        (choose("针对的中选机构", "About the choice of"), one.award.agency.name),
        (choose("提出时间", "Filed"), instant(one.filed_at)),
        (choose("异议内容", "Objection"), one.text),
    ]
    if one.answered_at is not None:
        rows += [
            (choose("答复时间", "Answered"), instant(one.answered_at)),
            (choose("答复人", "Answered by"), one.answered_by),
            (choose("答复", "Answer"), one.answer or "—"),
        ]
    return rows


@blueprint.route("/objections/<number>/decision", methods=["GET", "POST"])
def decision(number: str) -> Answer:
    """Answer an objection."""
    actor = signed_in_actor()

    def make() -> Confirm:
        one = objections.find(number, by=actor)
        if not commissions.by_client(objections.call_of(one).commission, actor):
            raise NotFound
        back = url_for("objections.show", number=number)
        options = (
            ("no", ("异议不成立，公示期继续计算", "Rejected: the period goes on")),
            ("yes", ("异议成立，撤销中选结果", "Upheld: the award falls")),
        )
        return Confirm(
            title=choose("答复异议", "Answer the objection"),
            button=choose("提交答复", "Answer"),
            done=choose("已答复，各方均已收到通知。", "Answered. Everybody has been told."),
            back=back,
            crumbs=[(number, back)],
            subject=one.subject,
            version=one.version,
            rows=_rows(one),
            explain=[choose("答复和理由向社会公布，不能更改。", "The answer is published and final.")],
            fields=[
                Field("decision", "choice", ("处理意见", "Decision"), options=options),
                Field("answer", "text", ("答复和理由", "Answer and reasons")),
            ],
            is_open=_may_decide(one, actor),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        one = objections.find(number, by=actor, lock=True)
        chosen = sheet.text("decision")
        if chosen not in ("yes", "no"):
            raise DecisionMissing(field="decision")
        objections.decide(
            one, is_upheld=chosen == "yes", answer=sheet.text("answer"), by=actor, expected_version=version
        )
        return url_for("objections.show", number=number)

    return confirm.serve(make, perform, actor)
