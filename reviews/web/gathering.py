"""Pages of a review's meetings: called, held, minuted, signed (B4, B7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time

from flask import Blueprint, render_template

from kernel import clock, files, timekeeping, workflow
from kernel.access import Cell
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from kernel.web import choose, instant, language, signed_in_actor
from market.web import confirm, progress
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet
from reviews import meetings, panels, technical
from reviews.meetings import Meeting, MeetingKind
from reviews.panels import Seat
from reviews.technical import TechnicalReview
from reviews.web import parts

blueprint = Blueprint("gathering", __name__)
ACCESS: Mapping[str, Cell] = {
    "gathering.call": parts.STAFF,
    "gathering.show": parts.READERS,
    "gathering.begin": parts.STAFF,
    "gathering.end": parts.STAFF,
    "gathering.sign": parts.REVIEWERS,
    "gathering.cancel": parts.STAFF,
}
LINKS: Mapping[str, Callable[[str], str]] = {}


@blueprint.route("/reviews/<number>/meeting", methods=["GET", "POST"])
def call(number: str) -> Answer:
    """Call a meeting."""
    actor = signed_in_actor()

    def make() -> Confirm:
        review = technical.find(number, by=actor)
        return Confirm(
            title=choose("召集会议", "Call a meeting"),
            button=choose("通知参会人员", "Invite"),
            done=choose("会议通知已发出。", "The invitations are out."),
            back=parts.url_of(review),
            crumbs=parts.crumbs(review),
            subject=review.subject,
            rows=parts.rows_of(review),
            fields=[
                Field(
                    "kind",
                    "choice",
                    ("会议类型", "Kind"),
                    options=tuple((one.value, (one.zh, one.en)) for one in MeetingKind),
                ),
                Field("matter", "text", ("会议议题", "What it is about")),
                Field("place", "code", ("会议地点", "Place")),
                Field("day", "date", ("会议日期", "Date")),
                Field(
                    "hour",
                    "code",
                    ("会议时间", "Time"),
                    ("24 小时制，如 09:30", "24 hours, such as 09:30"),
                    initial="09:30",
                ),
                *(_tick(review, seat, "seat") for seat in _serving(review)),
            ],
            is_open=technical.by_body(review, actor) and not review.is_over,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        review = technical.find(number, by=actor, lock=True)
        chosen = [seat for seat in _serving(review) if sheet.is_ticked(_name(review, seat, "seat"))]
        kind = sheet.text("kind")
        if kind not in set(MeetingKind):
            raise meetings.MeetingInvalid(field="kind", what_zh="会议类型", what_en="The kind")
        made = meetings.call(
            review,
            MeetingKind(kind),
            sheet.text("matter"),
            sheet.text("place"),
            _moment(sheet),
            chosen,
            by=actor,
        )
        return parts.url_of(review, "meetings", made.number)

    return confirm.serve(make, perform, actor)


@blueprint.get("/reviews/<number>/meetings/<meeting>")
def show(number: str, meeting: str) -> str:
    """One meeting with its minutes and signatures."""
    actor = signed_in_actor()
    review = technical.find(number, by=actor)
    one = meetings.find(review, meeting)
    stored = timekeeping.latest(one.subject, ClockKind.MEETING)
    acts = {
        "begin": (choose("会议开始", "Begin"), parts.url_of(review, "meetings", meeting, "begin")),
        "end": (choose("会议结束", "End"), parts.url_of(review, "meetings", meeting, "end")),
        "sign": (choose("签署会议纪要", "Sign the minutes"), parts.url_of(review, "meetings", meeting, "signature")),
        "cancel": (choose("取消会议", "Cancel"), parts.url_of(review, "meetings", meeting, "cancellation")),
    }
    return render_template(
        "reviews/meeting_show.html",
        review=review,
        meeting=one,
        rows=_rows(one),
        status=one.status.label(language()),
        status_kind={"called": "info", "under_way": "warn", "ended": "good"}.get(one.status.value, "neutral"),
        minutes=_minutes(one, actor),
        acts=[acts[name] for name in workflow.moves(one, meetings.STEPS, actor)],
        clock=progress.box(stored, parts.commission_of(review)) if stored is not None else None,
        crumbs=parts.crumbs(review),
    )


def _minutes(one: Meeting, actor: Actor) -> dict[str, str] | None:
    if one.document is None or not files.may_read(one.document, actor):
        return None
    return {"name": one.document.name, "url": f"/files/{one.document.number}", "sha256": one.document.sha256}


@blueprint.route("/reviews/<number>/meetings/<meeting>/begin", methods=["GET", "POST"])
def begin(number: str, meeting: str) -> Answer:
    """会议开始."""
    actor = signed_in_actor()
    return _act(
        number,
        meeting,
        actor,
        "begin",
        ("会议开始", "Begin the meeting"),
        ("会议已开始。", "Begun."),
        lambda one, sheet, version: meetings.begin(one, by=actor, expected_version=version),
    )


@blueprint.route("/reviews/<number>/meetings/<meeting>/end", methods=["GET", "POST"])
def end(number: str, meeting: str) -> Answer:
    """会议结束, with minutes."""
    actor = signed_in_actor()

    def perform(one: Meeting, sheet: Sheet, version: int | None) -> None:
        there = [seat for seat in meetings.seats_of(one) if sheet.is_ticked(_name(one.review, seat, "there"))]
        documents = sheet.documents("minutes_file", actor)
        meetings.end(
            one,
            sheet.text("minutes"),
            sheet.text("result"),
            there,
            by=actor,
            guests=sheet.text("guests"),
            document=documents[0] if documents else None,
            expected_version=version,
        )

    return _act(
        number,
        meeting,
        actor,
        "end",
        ("会议结束", "End the meeting"),
        ("会议纪要已提交，请到会人员签署。", "The minutes are in; those who were there sign them."),
        perform,
        fields=lambda one: [
            *(_tick(one.review, seat, "there") for seat in meetings.seats_of(one)),
            Field("guests", "code", ("其他参会人员", "Others present"), is_required=False),
            Field("minutes", "text", ("会议纪要", "Minutes")),
            Field("minutes_file", "files", ("会议纪要附件", "Minutes as a file"), is_required=False),
            Field("result", "text", ("会议结论", "Result")),
        ],
    )


@blueprint.route("/reviews/<number>/meetings/<meeting>/signature", methods=["GET", "POST"])
def sign(number: str, meeting: str) -> Answer:
    """Somebody who was there signs."""
    actor = signed_in_actor()
    return _act(
        number,
        meeting,
        actor,
        "sign",
        ("签署会议纪要", "Sign the minutes"),
        ("会议纪要已签署。", "Signed."),
        lambda one, sheet, version: meetings.sign(one, by=actor, expected_version=version),
    )


@blueprint.route("/reviews/<number>/meetings/<meeting>/cancellation", methods=["GET", "POST"])
def cancel(number: str, meeting: str) -> Answer:
    """Before it began."""
    actor = signed_in_actor()
    return _act(
        number,
        meeting,
        actor,
        "cancel",
        ("取消会议", "Cancel the meeting"),
        ("会议已取消。", "Cancelled."),
        lambda one, sheet, version: meetings.cancel(one, by=actor, expected_version=version),
    )


def _act(
    number: str,
    meeting: str,
    actor: Actor,
    action: str,
    title: tuple[str, str],
    done: tuple[str, str],
    perform: Callable[[Meeting, Sheet, int | None], object],
    fields: Callable[[Meeting], list[Field]] | None = None,
) -> Answer:
    def make() -> Confirm:
        review = technical.find(number, by=actor)
        one = meetings.find(review, meeting)
        return Confirm(
            title=choose(*title),
            button=choose(*title),
            done=choose(*done),
            back=parts.url_of(review, "meetings", meeting),
            crumbs=[*parts.crumbs(review), (one.number, parts.url_of(review, "meetings", meeting))],
            subject=one.subject,
            version=one.version,
            rows=_rows(one),
            fields=fields(one) if fields is not None else [],
            is_open=action in workflow.moves(one, meetings.STEPS, actor),
        )

    def do(sheet: Sheet, version: int | None) -> str:
        review = technical.find(number, by=actor, lock=True)
        perform(meetings.find(review, meeting, lock=True), sheet, version)
        return parts.url_of(review, "meetings", meeting)

    return confirm.serve(make, do, actor)


def _rows(one: Meeting) -> list[tuple[str, str]]:
    names = {seat.id: seat.name for seat in panels.of_review(one.review)}
    rows = [
        (choose("会议编号", "Meeting"), one.number),
        (choose("会议类型", "Kind"), one.kind.label(language())),
        (choose("会议议题", "About"), one.matter),
        (choose("会议时间", "Planned"), instant(one.planned_at)),
        (choose("会议地点", "Place"), one.place),
        (choose("参会人员", "Invited"), "、".join(names[seat] for seat in one.invited if seat in names)),
        (
            choose("是否计入审查时限", "Counted"),
            choose("计入", "counted") if one.is_counted else choose("不计入", "not counted"),
        ),
    ]
    if one.under_way_at is not None:
        rows.append((choose("会议开始", "Began"), instant(one.under_way_at)))
    if one.ended_at is not None:
        rows += [
            (choose("会议结束", "Ended"), instant(one.ended_at)),
            (
                choose("到会人员", "Present"),
                "、".join([names[seat] for seat in one.attended if seat in names] + [one.guests] * bool(one.guests)),
            ),
            (choose("会议纪要", "Minutes"), one.minutes or "—"),
            (choose("会议结论", "Result"), one.result),
            (choose("签署", "Signed"), "、".join(mark["name"] for mark in one.signatures) or "—"),
        ]
    return rows


def _serving(review: TechnicalReview) -> list[Seat]:
    return [seat for seat in panels.of_review(review) if seat.is_serving]


def _name(review: TechnicalReview, seat: Seat, prefix: str) -> str:
    return f"{prefix}-{parts.place_of_seat(review, seat)}"


def _tick(review: TechnicalReview, seat: Seat, prefix: str) -> Field:
    words = f"{seat.name}（{panels.label_of(review, seat.discipline) or seat.kind.zh}）"
    return Field(_name(review, seat, prefix), "tick", (words, seat.name), is_required=False)


def _moment(sheet: Sheet) -> datetime:
    day = sheet.day("day")
    if day is None:
        raise meetings.MeetingInvalid(field="day", what_zh="会议日期", what_en="The date")
    try:
        hour = time.fromisoformat(sheet.text("hour").strip().replace("：", ":"))
    except ValueError:
        raise meetings.MeetingInvalid(
            field="hour", what_zh="会议时间，如 09:30", what_en="The time, such as 09:30"
        ) from None
    return datetime.combine(day, hour.replace(tzinfo=None), tzinfo=clock.SHANGHAI)
