"""The list of reviews, one review with its panel and next steps, and the acts that form the panel (B2, B3, B7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flask import Blueprint, jsonify, render_template, request, url_for
from flask.wrappers import Response
from sqlalchemy import select

from kernel import files, timekeeping, trail
from kernel.access import Cell, Role, holders
from kernel.db import session
from kernel.errors import NotFound
from kernel.files import Document
from kernel.trail import Actor
from kernel.web import choose, instant, language, page_number, signed_in_actor, url_with
from market import commissions, deliverables
from market.commissions import Commission
from market.deliverables import Deliverable
from market.web import confirm, progress
from market.web.commissions import READERS as COMMISSION_READERS
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet
from reviews import conclusions, kinds, meetings, panels, rounds, technical
from reviews.kinds import ReviewKind
from reviews.panels import Seat, SeatStatus
from reviews.technical import Outcome, ReviewStatus, TechnicalReview
from reviews.web import parts

blueprint = Blueprint("reviews", __name__)
ACCESS: Mapping[str, Cell] = {
    "reviews.index": parts.READERS,
    "reviews.show": parts.READERS,
    "reviews.record": parts.READERS,
    "reviews.begin": holders(Role.AUTHORITY, Role.APPROVER, Role.CENTRE),
    "reviews.figures": parts.APPLICANTS,
}
LINKS: Mapping[str, Callable[[str], str]] = {
    "review": lambda number: f"/reviews/{number}",
    "consultation": lambda number: "/reviews/{}/rounds/{}".format(*number.split(".")[:2]),
    "meeting": lambda number: "/reviews",
}
PAGE = 20
STATUS_KINDS = {
    ReviewStatus.ASSIGNING: "info",
    ReviewStatus.REVIEWING: "info",
    ReviewStatus.WITH_APPLICANT: "warn",
    ReviewStatus.CONCLUDED: "warn",
    ReviewStatus.FINISHED: "good",
    ReviewStatus.ENDED: "neutral",
}

# The list


@blueprint.get("/reviews")
def index() -> str:
    """What waits for me, what changed, what is late: the reviews I have to do with."""
    actor = signed_in_actor()
    every = technical.mine(actor)
    wanted = request.args.get("state", "")
    shown = [one for one in every if not wanted or one.status.value == wanted]
    page = page_number()
    part = shown[(page - 1) * PAGE : page * PAGE]
    clocks = progress.running_clocks([one.subject for one in part])
    counts = {status: sum(1 for one in every if one.status is status) for status in ReviewStatus}
    return render_template(
        "reviews/review_index.html",
        rows=[_line(one, actor, clocks.get(one.subject, [])) for one in part],
        states=[(status.value, status.label(language()), counts[status]) for status in ReviewStatus if counts[status]],
        state=wanted,
        total=len(shown),
        everything=len(every),
        page=page,
        pages=max(1, -(-len(shown) // PAGE)),
        url_with=url_with,
        is_filtered=bool(wanted),
        to_judge=technical.to_judge(actor) if page == 1 else [],
    )


def _line(review: TechnicalReview, actor: Actor, clocks: list[Any]) -> dict[str, Any]:
    pressing = progress.leading([one for one in clocks if one.ended_at is None])
    reading = timekeeping.reading(pressing) if pressing is not None else None
    return {
        "number": review.number,
        "url": parts.url_of(review),
        "kind": review.kind.label(language()),
        "project": review.project.name,
        "body": review.body.name,
        "status": review.status.label(language()),
        "status_kind": STATUS_KINDS[review.status],
        "round": parts.current_number(review),
        "light": reading.light.value if reading is not None else None,
        "left": reading.left if reading is not None else None,
        "mine": next((words for words, _ in next_steps(review, actor)), ""),
    }


def of_commission_page(number: str, actor: Actor) -> list[progress.Related]:
    """What a commission's page says of its reviews, and of a panel that may be called (``app.py``)."""
    rows = session.execute(
        select(
            TechnicalReview.number,
            TechnicalReview.status,
            ReviewKind.zh,
            ReviewKind.en,
            TechnicalReview.body_id,
            TechnicalReview.commission_id,
        )
        .join(ReviewKind, ReviewKind.id == TechnicalReview.kind_id)
        .outerjoin(Deliverable, Deliverable.id == TechnicalReview.deliverable_id)
        .join(Commission, Commission.id.in_((TechnicalReview.commission_id, Deliverable.commission_id)))
        .where(Commission.number == number, technical.visible(actor))
        .order_by(TechnicalReview.id)
    )
    found = [
        progress.Related(
            label=choose(row.zh, row.en),
            url=url_for("reviews.show", number=row.number),
            text=f"{row.number} · {row.status.label(language())}",
            **(
                _work(is_panel=row.commission_id is None)
                if row.body_id == actor.organisation_id and row.status not in technical.OVER
                else {}
            ),
        )
        for row in rows
    ]
    return found + [
        progress.Related(
            label=choose("组织专家审查成果", "Put the deliverable before a panel"),
            url=url_for("reviews.begin", number=one.number),
            text=choose(
                "审查期间，申请人不能认可或者退回该成果。", "Until it ends it can neither be accepted nor returned."
            ),
        )
        for one in technical.to_judge(actor, commission_number=number)
    ]


def _work(*, is_panel: bool) -> dict[str, str]:
    """What the review body is told on the commission's page."""
    ends = (
        ("审查结论签发后，成果自动认可或者退回。", "publishing the conclusion accepts or returns the deliverable.")
        if is_panel
        else ("审查报告签发后，成果自动提交，服务结束。", "publishing the report delivers it and ends the service.")
    )
    return {
        "action": choose("办理技术审查", "Go to the review"),
        "title": choose("请办理技术审查", "The technical review is yours to run"),
        "explain": choose(
            f"组建审查组、汇总意见、作出结论都在审查页面办理；{ends[0]}",
            f"Panel, opinions and conclusion are on its own page; {ends[1]}",
        ),
    }


# One review


@blueprint.get("/reviews/<number>")
def show(number: str) -> str:
    """One review: where it stands, what I can do, the panel, the rounds, the conclusion."""
    actor = signed_in_actor()
    review = technical.find(number, by=actor)
    every = rounds.rounds_of(review)
    may_know = parts.oversees(review, actor)
    apart = {one.number for one in every if one.all_in_at is None}
    seats = [_seat(review, seat, place, actor) for place, seat in enumerate(panels.of_review(review), start=1)]
    return render_template(
        "reviews/review_show.html",
        review=review,
        status=review.status.label(language()),
        status_kind=STATUS_KINDS[review.status],
        facts=_facts(review, may_know=may_know),
        steps=[{"label": words, "url": url} for words, url in next_steps(review, actor)],
        others=_others(review, actor),
        tracker=_tracker(review),
        clocks=parts.clocks_of(review),
        waits=_waits(review),
        seats=seats,
        has_acts=any(seat["acts"] for seat in seats),
        missing=_missing(review),
        draws=_draws(review),
        rounds=[_round(review, one) for one in reversed(every)],
        meetings=[_meeting(review, one) for one in meetings.of_review(review)],
        fields=_fields(review),
        entries=[_entry(one, may_know, apart) for one in list(reversed(trail.of(review.subject)))[:60]],
        report=_report(review, actor),
        may_open=rounds.may_open(review, actor),
        commission=_commission_page(review, actor),
    )


def _commission_page(review: TechnicalReview, actor: Actor) -> tuple[str, str] | None:
    """Number and address of the commission's page, for those to whom it is open."""
    commission = parts.commission_of(review)
    if not COMMISSION_READERS.allows(actor) or not commissions.can_see(commission, actor):
        return None
    return commission.number, url_for("commissions.show", number=commission.number)


def _waits(review: TechnicalReview) -> str:
    """Who is waited for, for whoever has nothing to do."""
    latest = rounds.current(review)
    if review.status is ReviewStatus.REVIEWING and latest is not None:
        waiting = "、".join(one.seat.name for one in rounds.waited_for(latest))
        if waiting:
            return choose(
                f"等待反馈第 {latest.number} 轮意见：{waiting}。", f"Round {latest.number} waits for: {waiting}."
            )
        return choose("本轮意见已收齐，等待审查负责人汇总。", "All opinions are in; the lead reviewer is next.")
    return {
        ReviewStatus.ASSIGNING: choose("审查机构正在组建审查组。", "The review body is forming the panel."),
        ReviewStatus.WITH_APPLICANT: choose("等待申请人答复审查意见。", "The applicant is answering the opinions."),
        ReviewStatus.CONCLUDED: choose(
            "审查已结束，等待签署和签发报告。", "Concluded; the report waits for its signatures."
        ),
        ReviewStatus.FINISHED: choose("审查已办结。", "The review is finished."),
    }.get(review.status, choose("审查已随服务终止。", "The review ended with its service."))


def _entry(act: trail.TrailAct, may_know: bool, apart: Collection[int]) -> dict[str, Any]:
    """One act in words; why somebody may not serve is told to the body and the overseers only.

    ``apart``: rounds in which not everybody is in, so that nobody learns what a colleague answered.
    """
    entry = progress.entry(act)
    if act.act in {"review.opinions_submitted", "review.no_comment"} and act.data.get("round") in apart:
        entry["act_label"] = choose("反馈审查意见", "Answered")
    if act.act in {"review.waived", "review.replaced"} and not may_know:
        entry["text"] = None
    return entry


def _others(review: TechnicalReview, actor: Actor) -> list[tuple[str, str]]:
    """What may be done besides the next steps: (words, address)."""
    moves = technical.moves(review, actor)
    found = []
    if "assign" in moves:
        found += [
            (choose("确定审查人员", "Assign a reviewer"), parts.url_of(review, "appointment")),
            (choose("邀请部门联合审查", "Invite a department"), parts.url_of(review, "department")),
        ]
    if (
        any(
            seat.is_serving and seat.person_id is not None and panels.speaks_for(seat, actor)
            for seat in panels.of_review(review)
        )
        and "declare_conflict" in moves
    ):
        found.append((choose("补充申报利害关系", "Declare a conflict"), parts.url_of(review, "declaration")))
    if technical.by_body(review, actor) and not review.is_over:
        found.append((choose("召集会议", "Call a meeting"), parts.url_of(review, "meeting")))
    if "hand_over" in moves:
        found.append((choose("更换审查负责人", "Change the lead reviewer"), parts.url_of(review, "lead")))
    if "ask_retraction" in moves and not review.retraction:
        found.append(
            (choose("申请撤回结论", "Ask to retract the conclusion"), parts.url_of(review, "retraction-request"))
        )
    return found


def next_steps(review: TechnicalReview, actor: Actor) -> list[tuple[str, str]]:
    """What this person can do now, the nearest first: (words, address)."""
    moves = set(technical.moves(review, actor))
    latest = rounds.current(review)
    found: list[tuple[str, str]] = []

    def offer(name: str, zh: str, en: str, *more: object) -> None:
        if name in moves:
            found.append((choose(zh, en), parts.url_of(review, *more)))

    seats = [seat for seat in panels.of_review(review) if panels.speaks_for(seat, actor)]
    if any(seat.status is SeatStatus.INVITED for seat in seats):
        offer("declare", "申报利害关系", "Declare", "declaration")
    if latest is not None and review.status is ReviewStatus.REVIEWING:
        for seat in seats:
            asked = rounds.asked_of(latest, seat)
            if seat.is_serving and (asked is None or asked.feedback is None):
                offer(
                    "submit",
                    f"填写第 {latest.number} 轮意见",
                    f"Give your opinions (round {latest.number})",
                    "rounds",
                    latest.number,
                )
                break
    if latest is not None:
        offer("resubmit", "答复意见并重新报审", "Answer and resubmit", "rounds", latest.number)
    offer("open_round", "开始本轮审查", "Open the round", "opening")
    if panels.wanted_of(review):
        offer("draw", "抽取专家", "Draw experts", "draw")
    if "issue" in moves and latest is not None and latest.all_in_at is not None and latest.issued_at is None:
        if parts.may_be_issued(review, latest):
            offer("issue", "汇总并发出意见", "Merge and issue", "rounds", latest.number, "issue")
        offer("propose", "拟定审查结论", "Propose the conclusion", "conclusion")
    elif review.status is ReviewStatus.WITH_APPLICANT and conclusions.unmet(review, Outcome.FAILED) is None:
        offer("propose", "拟定审查结论", "Propose the conclusion", "conclusion")
    if review.proposed_at is not None:
        offer("conclude", "复核结论，审查结束", "Confirm the conclusion", "confirmation")
    if not conclusions.is_signed_by_lead(review) and technical.by_lead(review, actor):
        offer("sign", "签署审查报告", "Sign the report", "signature")
    if conclusions.is_signed_by_lead(review):
        offer("publish", "签发审查报告", "Publish the report", "publication")
    if review.retraction:
        offer("retract", "同意撤回结论", "Agree to the retraction", "retraction")
    offer("state_fields", "填报审查指标", "State the figures", "figures")
    return found


def _facts(review: TechnicalReview, *, may_know: bool) -> list[tuple[str, str]]:
    commission = parts.commission_of(review)
    found = [
        (choose("审查类别", "Kind"), review.kind.label(language())),
        (choose("项目名称", "Project"), review.project.name),
        (choose("项目编号", "Project code"), review.engineering_code),
        (choose("建设单位", "Construction unit"), review.applicant.name),
        (choose("审查机构", "Review body"), review.body.name),
        (choose("审查负责人", "Lead reviewer"), review.lead.name),
        (choose("服务委托", "Commission"), commission.number),
        (choose("申请日期（适用该日的审查标准）", "Applied on (picks the criteria)"), review.applied_on.isoformat()),
        (choose("审查开始", "Begun"), instant(review.begun_at)),
    ]
    if review.deliverable is not None:
        found.append((choose("审查对象", "Judges"), f"{review.deliverable.number} · {review.basis}"))
    if review.concluded_at is not None and review.outcome is not None:
        found.append((choose("审查结束", "Concluded"), instant(review.concluded_at)))
        if may_know or review.is_over:  # a conclusion may still be taken back before it is published
            found.append((choose("审查结果", "Outcome"), review.outcome.label(language())))
    return found


def _tracker(review: TechnicalReview) -> list[dict[str, Any]]:
    names = [
        ("审查开始", "Begun"),
        ("组建审查组", "Panel"),
        ("轮次审查", "Rounds"),
        ("审查结论", "Conclusion"),
        ("签发报告", "Report"),
    ]
    reached = {
        ReviewStatus.ASSIGNING: 1,
        ReviewStatus.REVIEWING: 2,
        ReviewStatus.WITH_APPLICANT: 2,
        ReviewStatus.CONCLUDED: 4,
        ReviewStatus.FINISHED: 5,
        ReviewStatus.ENDED: 2 if review.reviewing_at is not None else 1,
    }[review.status]
    is_ended = review.status is ReviewStatus.ENDED
    at = [review.begun_at, review.reviewing_at, None, review.concluded_at, review.finished_at]
    return [
        {
            "label": choose(*words),
            "state": "done" if place < reached else "todo" if place > reached else "stopped" if is_ended else "now",
            "note": instant(at[place]) or None if place < reached else None,
        }
        for place, words in enumerate(names)
    ]


def _seat(review: TechnicalReview, seat: Seat, place: int, actor: Actor) -> dict[str, Any]:
    moves = technical.moves(review, actor)
    acts = []
    if seat.status is SeatStatus.CONFLICTED and "waive" in moves and all(one["is_waivable"] for one in seat.conflicts):
        acts.append((choose("准予继续参加", "Waive"), parts.url_of(review, "seats", place, "waiver")))
    if seat.status is not SeatStatus.REPLACED and "replace" in moves and seat.person_id != review.lead_id:
        acts.append((choose("更换", "Replace"), parts.url_of(review, "seats", place, "replacement")))
    may_know = parts.oversees(review, actor) or panels.speaks_for(seat, actor)
    return {
        "name": seat.name,
        "kind": seat.kind.label(language()) + (choose("（随机抽取）", " (drawn)") if seat.draw else ""),
        "discipline": panels.label_of(review, seat.discipline, language()) or "—",
        "status": seat.status.label(language()),
        "status_kind": {
            SeatStatus.INVITED: "warn",
            SeatStatus.SERVING: "good",
            SeatStatus.CONFLICTED: "bad",
            SeatStatus.REPLACED: "neutral",
        }[seat.status],
        "conflicts": [choose(one["zh"], one["en"]) for one in seat.conflicts] if may_know else [],
        "reason": seat.reason if may_know else "",
        "acts": acts,
    }


def _missing(review: TechnicalReview) -> str:
    if review.status is not ReviewStatus.ASSIGNING:
        return ""
    found = panels.shortfall(review)
    return choose(*found) if found is not None else ""


def _draws(review: TechnicalReview) -> list[str]:
    return [one.number for one in panels.draws_of(review)]


def _round(review: TechnicalReview, one: rounds.Round) -> dict[str, Any]:
    outcome = (
        choose("发出意见，退申请人修改", "Opinions issued")
        if one.issued_at is not None
        else choose("作出结论", "Concluded")
        if one.closed_at is not None
        else choose("进行中", "Under way")
    )
    return {
        "number": one.number,
        "url": parts.round_url(review, one),
        "opened": instant(one.opened_at),
        "closed": instant(one.closed_at) if one.closed_at is not None else "—",
        "outcome": outcome,
        "changed": "、".join(document.title for document in one.documents if document.is_changed) or "—",
    }


def _meeting(review: TechnicalReview, one: meetings.Meeting) -> dict[str, Any]:
    return {
        "kind": one.kind.label(language()),
        "matter": one.matter,
        "url": parts.url_of(review, "meetings", one.number),
        "status": one.status.label(language()),
        "planned": instant(one.planned_at),
        "result": one.result or "—",
    }


def _fields(review: TechnicalReview) -> list[tuple[str, str]]:
    return [
        (one["zh"] if language() != "en" else one["en"], f"{review.fields[one['code']]} {one.get('unit', '')}".strip())
        for one in review.kind.fields
        if one["code"] in review.fields
    ]


def _report(review: TechnicalReview, actor: Actor) -> dict[str, Any] | None:
    if review.report_document_id is None:
        return None
    document = session.get_one(Document, review.report_document_id)
    if not files.may_read(document, actor):
        return None
    return {"name": document.name, "url": f"/files/{document.number}", "sha256": document.sha256}


@blueprint.get("/reviews/<number>/record.json")
def record(number: str) -> Response:
    """The review's record in the national standard's columns (SPGL_SGTSJWJSCXXB); it tells what was found."""
    actor = signed_in_actor()
    review = technical.find(number, by=actor)
    if not rounds.may_open(review, actor):
        raise rounds.DeclareFirst
    return jsonify(conclusions.national_record(review))


# A panel for somebody's deliverable


@blueprint.route("/deliverables/<number>/review", methods=["GET", "POST"])
def begin(number: str) -> Answer:
    """An authority puts a deliverable before a panel of its own (001 §9.4)."""
    actor = signed_in_actor()
    options = tuple((one.code, (one.zh, one.en)) for one in kinds.all_kinds(only_active=True))

    def make() -> Confirm:
        found = deliverables.find_for_panel(number)
        if not technical.may_judge(found, actor):
            raise NotFound
        return Confirm(
            title=choose("组织专家审查成果", "Put the deliverable before a panel"),
            button=choose("开始专家审查", "Begin the review"),
            done=choose(
                "已开始专家审查，成果由审查结论决定认可或退回。",
                "Begun. The panel's conclusion will accept or return it.",
            ),
            back="/reviews",
            crumbs=[(choose("技术审查", "Technical reviews"), "/reviews")],
            subject=found.subject,
            rows=[
                (choose("成果编号", "Deliverable"), found.number),
                (choose("服务事项", "Service"), found.commission.item.label(language())),
                (choose("项目名称", "Project"), found.commission.project.name),
            ],
            explain=confirm.spoken(
                [
                    (
                        "审查期间，申请人不能认可或者退回该成果。",
                        "Until it ends the applicant can neither accept nor return it.",
                    )
                ]
            ),
            fields=[
                Field("kind", "choice", ("审查类别", "Kind of review"), options=options),
                Field("basis", "text", ("组织审查的依据", "Why a panel")),
            ],
            is_open=technical.of_deliverable(found, only_open=True) is None,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        found = deliverables.find_for_panel(number, lock=True)
        review = technical.begin_for_deliverable(
            found, kinds.by_code(sheet.text("kind")), sheet.text("basis"), by=actor
        )
        return parts.url_of(review)

    return confirm.serve(make, perform, actor)


# The applicant's figures


@blueprint.route("/reviews/<number>/figures", methods=["GET", "POST"])
def figures(number: str) -> Answer:
    """The applicant's structured figures."""

    def fields(review: TechnicalReview) -> list[Field]:
        return [
            Field(
                f"field-{one['code']}",
                {"number": "number", "date": "date"}.get(one.get("kind", "text"), "code"),
                (one["zh"], one["en"]),
                is_required=False,
                initial=str(review.fields.get(one["code"], "")),
                unit=(one.get("unit", ""), one.get("unit", "")),
            )
            for one in review.kind.fields
        ]

    def perform(review: TechnicalReview, sheet: Sheet, version: int | None) -> None:
        given = {one["code"]: sheet.text(f"field-{one['code']}") for one in review.kind.fields}
        technical.state_fields(review, given, by=actor, expected_version=version)

    actor = signed_in_actor()
    return parts.act(
        number,
        actor,
        "state_fields",
        title=("填报审查指标", "State the figures"),
        button=("保存指标", "Save the figures"),
        done=("审查指标已保存。", "Saved."),
        perform=perform,
        fields=fields,
        explain=[
            (
                "系统按审查标准自动核对这些指标，结果供审查人员参考。",
                "They are checked against the criteria; the results stand beside the reviewers' judgement.",
            )
        ],
    )
