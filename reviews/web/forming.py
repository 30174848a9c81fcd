"""The acts that form a panel: who leads, who is assigned, drawn, invited, declares, is waived or replaced (B2, B3, B7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Blueprint
from sqlalchemy import select

from kernel.access import Cell
from kernel.accounts import Organisation, OrganisationKind, Person
from kernel.db import session
from kernel.errors import NotFound
from kernel.web import choose, language, signed_in_actor
from market.web.confirm import Answer
from market.web.forms import Field, Sheet
from reviews import experts, panels, technical
from reviews.experts import ConflictKind
from reviews.panels import Seat, SeatStatus
from reviews.technical import TechnicalReview
from reviews.web import parts

blueprint = Blueprint("panels", __name__)
ACCESS: Mapping[str, Cell] = {
    "panels.hand_over": parts.STAFF,
    "panels.appoint": parts.STAFF,
    "panels.draw": parts.STAFF,
    "panels.department": parts.STAFF,
    "panels.declare": parts.REVIEWERS,
    "panels.waive": parts.STAFF,
    "panels.replace": parts.STAFF,
}
LINKS: Mapping[str, Callable[[str], str]] = {}


@blueprint.route("/reviews/<number>/lead", methods=["GET", "POST"])
def hand_over(number: str) -> Answer:
    """Another lead reviewer."""
    actor = signed_in_actor()

    def fields(review: TechnicalReview) -> list[Field]:
        options = tuple((one.login, (one.name, one.name)) for one in parts.staff_of(review, but=review.lead_id))
        return [Field("lead", "choice", ("新的审查负责人", "New lead reviewer"), options=options)]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        technical.hand_over(review, _person(review, sheet.text("lead"), "lead"), by=actor, expected_version=version)

    return parts.act(
        number,
        actor,
        "hand_over",
        title=("更换审查负责人", "Change the lead reviewer"),
        button=("更换负责人", "Change"),
        done=("审查负责人已更换。", "Changed."),
        perform=perform,
        fields=fields,
    )


@blueprint.route("/reviews/<number>/appointment", methods=["GET", "POST"])
def appoint(number: str) -> Answer:
    """Seat somebody of the body."""
    actor = signed_in_actor()

    def fields(review: TechnicalReview) -> list[Field]:
        taken = {seat.person_id for seat in panels.of_review(review) if seat.status is not SeatStatus.REPLACED}
        people = tuple((one.login, (one.name, one.name)) for one in parts.staff_of(review) if one.id not in taken)
        specialities = tuple((one["code"], (one["zh"], one["en"])) for one in review.kind.specialities)
        return [
            Field("reviewer", "choice", ("审查人员", "Reviewer"), options=people),
            Field("discipline", "choice", ("负责专业", "Speciality"), options=specialities),
        ]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        person = _person(review, sheet.text("reviewer"), "reviewer")
        panels.appoint(review, person, sheet.text("discipline"), by=actor, expected_version=version)

    return parts.act(
        number,
        actor,
        "assign",
        title=("确定审查人员", "Assign a reviewer"),
        button=("确定人员", "Assign"),
        done=("审查人员已确定，请其申报利害关系。", "Assigned; they are asked to declare."),
        perform=perform,
        fields=fields,
    )


@blueprint.route("/reviews/<number>/draw", methods=["GET", "POST"])
def draw(number: str) -> Answer:
    """Draw experts for the seats that are empty."""
    actor = signed_in_actor()

    def rows(review: TechnicalReview) -> list[tuple[str, str]]:
        wanted = panels.wanted_of(review)
        words = "、".join(f"{panels.label_of(review, code, language())} × {count}" for code, count in wanted.items())
        return [(choose("抽取专业和人数", "Seats to fill"), words or "—")]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        panels.draw_experts(
            review, panels.wanted_of(review), by=actor, region=sheet.text("region"), expected_version=version
        )

    regions = (("", ("不限地区", "Anywhere")), *((one, (one, one)) for one in experts.regions()))
    return parts.act(
        number,
        actor,
        "draw",
        title=("抽取审查专家", "Draw experts"),
        button=("公布名单，开始抽取", "Publish the list"),
        done=("名单已公布，各方提交种子后自动抽取。", "The list is published; the parties' seeds decide."),
        perform=perform,
        rows=rows,
        fields=[Field("region", "choice", ("专家地区", "Region"), options=regions, is_required=False)],
        explain=[
            (
                "符合专业、在聘期内、任务未满且无须回避的专家列入名单。",
                "On the list: experts of the speciality, in term, not overloaded, without a conflict.",
            ),
            ("抽取过程公开，任何人可以核验。", "The draw is public and can be repeated by anybody."),
        ],
    )


@blueprint.route("/reviews/<number>/department", methods=["GET", "POST"])
def department(number: str) -> Answer:
    """Invite a department to the joint review."""
    actor = signed_in_actor()

    def fields(review: TechnicalReview) -> list[Field]:
        rows = session.scalars(
            select(Organisation)
            .where(Organisation.kind == OrganisationKind.AUTHORITY, Organisation.closed_at.is_(None))
            .order_by(Organisation.id)
            .limit(200)
        )
        options = tuple((one.credit_code, (one.name, one.name)) for one in rows if one.id != review.body_id)
        return [
            Field("department", "choice", ("联合审查部门", "Department"), options=options),
            Field(
                "discipline",
                "code",
                ("负责的内容", "What it looks at"),
                ("如：消防、人防、防雷", "such as fire safety"),
            ),
        ]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        code = sheet.text("department")
        found = session.scalars(select(Organisation).where(Organisation.credit_code == code)).first()
        if found is None:
            raise NotFound
        panels.invite_department(review, found, sheet.text("discipline"), by=actor, expected_version=version)

    return parts.act(
        number,
        actor,
        "assign",
        title=("邀请部门联合审查", "Invite a department"),
        button=("邀请部门", "Invite"),
        done=("已邀请部门参加联合审查。", "Invited."),
        perform=perform,
        fields=fields,
        explain=[
            (
                "各部门须在时限内反馈，无意见也须反馈；逾期未反馈予以亮灯、催办并列入通报。",
                "Every department must answer in time, “no comment” included; silence turns red, is urged and listed.",
            )
        ],
    )


@blueprint.route("/reviews/<number>/declaration", methods=["GET", "POST"])
def declare(number: str) -> Answer:
    """Say what there is before any file opens."""
    actor = signed_in_actor()
    listed = [kind for kind in ConflictKind if kind is not ConflictKind.SAME_EMPLOYER]
    fields = [
        Field("none", "tick", ("本人与本次审查的各方无利害关系", "I have no conflict of interest"), is_required=False),
        *(Field(f"conflict-{kind.value}", "tick", (kind.zh, kind.en), is_required=False) for kind in listed),
        Field(
            "statement",
            "text",
            ("情况说明", "What there is"),
            ("有利害关系的，请说明对方和关系。", ""),
            is_required=False,
        ),
    ]

    def rows(review: TechnicalReview) -> list[tuple[str, str]]:
        commission = parts.commission_of(review)
        authors = sorted({one.issuer for one in panels.reviewed_entries(review)})
        return [
            (choose("建设单位", "Construction unit"), review.applicant.name),
            (choose("委托人", "Client"), commission.client.name),
            (choose("编制单位", "Written by"), "、".join(authors) or "—"),
        ]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        ticked = [kind for kind in listed if sheet.is_ticked(f"conflict-{kind.value}")]
        if bool(ticked) == sheet.is_ticked("none"):
            raise panels.DeclarationMissing(field="none")
        panels.declare(review, ticked, sheet.text("statement"), by=actor)

    return parts.act(
        number,
        actor,
        "declare",
        title=("申报利害关系", "Declare"),
        button=("提交申报", "Submit the declaration"),
        done=("申报已提交。", "Submitted."),
        perform=perform,
        rows=rows,
        fields=fields,
        explain=[
            ("申报前不能打开任何审查文件。", "No file opens before you have declared."),
            (
                "亲属、一年内任职、持股、参与编制的，应当更换。",
                "Family, employment within a year, ownership and authorship mean replacement.",
            ),
        ],
    )


@blueprint.route("/reviews/<number>/seats/<place>/waiver", methods=["GET", "POST"])
def waive(number: str, place: str) -> Answer:
    """Let somebody serve all the same."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "waive",
        title=("准予继续参加审查", "Waive a conflict"),
        button=("准予继续参加", "Waive"),
        done=("已准予继续参加审查。", "Waived."),
        perform=lambda review, sheet, version: panels.waive(
            review, parts.seat_named(review, place), sheet.text("reason"), by=actor, expected_version=version
        ),
        rows=lambda review: _conflict_rows(parts.seat_named(review, place)),
        fields=[Field("reason", "text", ("理由", "Reason"))],
    )


@blueprint.route("/reviews/<number>/seats/<place>/replacement", methods=["GET", "POST"])
def replace(number: str, place: str) -> Answer:
    """Take somebody off the panel."""
    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "replace",
        title=("更换审查人员", "Replace a reviewer"),
        button=("更换人员", "Replace"),
        done=("审查人员已更换。", "Replaced."),
        perform=lambda review, sheet, version: panels.replace(
            review, parts.seat_named(review, place), sheet.text("reason"), by=actor, expected_version=version
        ),
        rows=lambda review: _conflict_rows(parts.seat_named(review, place)),
        fields=[Field("reason", "text", ("理由", "Reason"))],
        explain=[
            (
                "抽取产生的专家，由同专业的下一名递补。",
                "A drawn expert's place goes to the next of the same speciality in the drawn order.",
            )
        ],
        is_ending=True,
    )


def _conflict_rows(seat: Seat) -> list[tuple[str, str]]:
    rows = [(choose("人员", "Reviewer"), seat.name)]
    if seat.conflicts:
        rows.append((choose("利害关系", "Conflict"), "；".join(choose(one["zh"], one["en"]) for one in seat.conflicts)))
    return rows


def _person(review: TechnicalReview, login: str, field: str) -> Person:
    found = next((one for one in parts.staff_of(review) if one.login == login), None)
    if found is None:
        raise technical.NotAMember(field=field)
    return found
