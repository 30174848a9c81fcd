"""Meetings of a review: expert meetings, consultations and site checks, with their start and end stamped (B4, B7).

"专家评审、会议审查、现场核查" run under a limit of their own and are recorded as special procedures (001 §3, §10): whether a
meeting's days count against the review is a dated rule, so its result page says which one applied. Minutes are kept with
the attendance; a meeting ends once, with a result in words.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, notifications, numbers, policies, timekeeping, trail, workflow
from kernel.accounts import members_with
from kernel.clock import Unit
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Invalid, NotFound
from kernel.files import Document
from kernel.timekeeping import ClockKind
from kernel.trail import Actor, TrailAct
from kernel.words import Worded
from reviews import panels
from reviews.panels import Seat
from reviews.technical import TechnicalReview, by_body, of_subject

NUMBER = numbers.series("HY")
trail.name_acts(
    {
        "meeting.called": ("召集会议", "Meeting called"),
        "meeting.began": ("会议开始", "Meeting began"),
        "meeting.ended": ("会议结束", "Meeting ended"),
        "meeting.signed": ("签署会议纪要", "Minutes signed"),
        "meeting.cancelled": ("取消会议", "Meeting cancelled"),
    }
)
timekeeping.declare("meeting", "会议", "Meeting")


class MeetingKind(Worded):
    EXPERT = "expert", "专家评审会", "Expert meeting"
    CONSULTATION = "consultation", "会审", "Consultation meeting"
    SITE = "site", "现场核查", "Site check"


class MeetingStatus(Worded):
    CALLED = "called", "已通知", "Called"
    UNDER_WAY = "under_way", "进行中", "Under way"
    ENDED = "ended", "已结束", "Ended"
    CANCELLED = "cancelled", "已取消", "Cancelled"


class MeetingInvalid(Invalid):
    code = "meeting_invalid"
    zh = "请填写{what_zh}"
    en = "{what_en} is missing"


class NotInvited(NotFound):
    code = "not_invited"
    zh = "您不在参会名单中"
    en = "You weren't invited to this meeting"


class Meeting(Keyed):
    """``attended``: ids of the seats that were there; ``signatures``: [{seat_id, name, at}], each by its holder."""

    __tablename__ = "review_meetings"
    number: Mapped[str] = mapped_column(unique=True)
    review_id: Mapped[int] = mapped_column(ForeignKey("technical_reviews.id"))
    kind: Mapped[MeetingKind] = mapped_column(WordColumn(MeetingKind))
    status: Mapped[MeetingStatus] = mapped_column(WordColumn(MeetingStatus))
    version: Mapped[int] = mapped_column(default=1)
    matter: Mapped[str]
    place: Mapped[str]
    planned_at: Mapped[datetime]
    invited: Mapped[list[Any]]
    attended: Mapped[list[Any]]
    guests: Mapped[str] = mapped_column(default="")
    minutes: Mapped[str] = mapped_column(default="")
    minutes_document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    signatures: Mapped[list[Any]]
    result: Mapped[str] = mapped_column(default="")
    is_counted: Mapped[bool]
    policy: Mapped[str]
    called_at: Mapped[datetime]
    under_way_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    review: Mapped[TechnicalReview] = relationship(lazy="joined")
    document: Mapped[Document | None] = relationship(lazy="joined")
    __table_args__ = (Index("ix_review_meetings_review", "review_id", "id"),)

    @property
    def subject(self) -> str:
        return f"meeting:{self.number}"


def _body(meeting: Meeting, actor: Actor) -> bool:
    return by_body(meeting.review, actor)


def _invited(meeting: Meeting, actor: Actor) -> bool:
    return any(
        seat.id in meeting.attended and panels.speaks_for(seat, actor) for seat in panels.of_review(meeting.review)
    )


def _body_in_time(meeting: Meeting, actor: Actor) -> bool:
    return _body(meeting, actor) and not meeting.review.is_over


STEPS: workflow.Steps = {
    "begin": workflow.Step(("called",), "under_way", "meeting.began", _body_in_time),
    "end": workflow.Step(("under_way",), "ended", "meeting.ended", _body),
    "sign": workflow.Step(("ended",), None, "meeting.signed", _invited),
    "cancel": workflow.Step(("called",), "cancelled", "meeting.cancelled", _body),
}


def call(
    review: TechnicalReview,
    kind: MeetingKind,
    matter: str,
    place: str,
    planned_at: datetime,
    seats: Collection[Seat],
    *,
    by: Actor,
) -> Meeting:
    """Call a meeting and invite; whether its days count is the rule of today.

    Raises:
        MeetingInvalid; NotFound: not the body's people.
    """
    if not by_body(review, by) or review.is_over:
        raise NotFound
    for field, value, zh, en in (
        ("matter", matter, "会议议题", "What it is about"),
        ("place", place, "会议地点", "The place"),
        ("seats", seats, "参会人员", "Who is invited"),
    ):
        if not (value.strip() if isinstance(value, str) else value):
            raise MeetingInvalid(field=field, what_zh=zh, what_en=en)
    policy = policies.current("review_clock")
    meeting = Meeting(
        number=numbers.following(NUMBER),
        review=review,
        kind=kind,
        status=MeetingStatus.CALLED,
        version=1,
        matter=matter.strip()[:500],
        place=place.strip()[:200],
        planned_at=planned_at,
        invited=sorted(seat.id for seat in seats),
        attended=[],
        signatures=[],
        is_counted=bool(policy.values["meetings_counted"].get(kind.value, True)),
        policy=policy.version,
        called_at=clock.now(),
    )
    session.add(meeting)
    session.flush()
    trail.record(meeting.subject, "meeting.called", by=by, review=review.number, kind=kind.value, planned_at=planned_at)
    _tell(meeting, seats, "meeting.called")
    return meeting


def begin(meeting: Meeting, *, by: Actor, expected_version: int | None = None) -> None:
    """会议开始, stamped; the service clock stops where the rule says that such a meeting isn't counted."""
    workflow.step(meeting, STEPS, "begin", by=by, expected_version=expected_version, kind=meeting.kind.value)
    policy = policies.current("review_clock")
    timekeeping.start(
        meeting.subject,
        ClockKind.MEETING,
        unit=Unit.WORKING_DAY,
        limit=int(policy.values["meeting_days"]),
        warn=int(policy.values["warn"]),
        policy=policy,
        by=by,
        at=meeting.under_way_at,
    )
    if not meeting.is_counted:
        for stored in _clocks(meeting.review):
            timekeeping.stop(stored, f"meeting:{meeting.number}", by=by, reason=meeting.kind.zh)


def end(
    meeting: Meeting,
    minutes: str,
    result: str,
    attended: Collection[Seat],
    *,
    by: Actor,
    guests: str = "",
    document: Document | None = None,
    expected_version: int | None = None,
) -> None:
    """会议结束, stamped, with minutes, attendance and result.

    Raises:
        MeetingInvalid, workflow errors.
    """
    workflow.check(meeting, STEPS, "end", by=by, expected_version=expected_version)
    if not minutes.strip() and document is None:
        raise MeetingInvalid(field="minutes", what_zh="会议纪要", what_en="The minutes")
    if not result.strip():
        raise MeetingInvalid(field="result", what_zh="会议结论", what_en="The result")
    if not attended:
        raise MeetingInvalid(field="attended", what_zh="到会人员", what_en="Who was there")
    meeting.minutes = minutes.strip()[:20_000]
    meeting.result = result.strip()[:2000]
    meeting.attended = sorted({seat.id for seat in attended} & set(meeting.invited))
    meeting.guests = guests.strip()[:1000]
    meeting.document = document
    workflow.step(meeting, STEPS, "end", by=by, result=meeting.result, attended=[seat.name for seat in attended])
    running = timekeeping.running(meeting.subject, ClockKind.MEETING)
    if running is not None:
        timekeeping.end(running, by=by)
    if not meeting.is_counted:
        for stored in _clocks(meeting.review):
            timekeeping.go(stored, f"meeting:{meeting.number}", by=by)
    _tell(meeting, attended, "meeting.ended")


def sign(meeting: Meeting, *, by: Actor, expected_version: int | None = None) -> None:
    """Somebody who was there signs the minutes; a second press changes nothing.

    Raises:
        NotInvited; workflow errors.
    """
    workflow.check(meeting, STEPS, "sign", by=by, expected_version=expected_version)
    seat = panels.seat_of(meeting.review, by)
    if seat.id not in meeting.attended:
        raise NotInvited
    if any(one["seat_id"] == seat.id for one in meeting.signatures):
        return
    moment = clock.now()
    meeting.signatures = [
        *meeting.signatures,
        {"seat_id": seat.id, "name": f"{by.organisation} {by.person}".strip(), "at": moment.isoformat()},
    ]
    workflow.step(meeting, STEPS, "sign", by=by, name=seat.name)


def cancel(meeting: Meeting, *, by: Actor, expected_version: int | None = None) -> None:
    """Before it began."""
    workflow.step(meeting, STEPS, "cancel", by=by, expected_version=expected_version)
    _tell(meeting, seats_of(meeting), "meeting.cancelled")


def on_review_over(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``review.published`` and ``review.ended``: the time of a meeting that nobody ended runs no further."""
    for meeting in of_review(of_subject(act.subject)):
        timekeeping.end_all(meeting.subject, by=by)


def of_review(review: TechnicalReview) -> list[Meeting]:
    return list(session.scalars(select(Meeting).where(Meeting.review_id == review.id).order_by(Meeting.id)).unique())


def find(review: TechnicalReview, number: str, *, lock: bool = False) -> Meeting:
    """A meeting of a review. Raises NotFound."""
    statement = select(Meeting).where(Meeting.review_id == review.id, Meeting.number == number)
    if lock:
        statement = statement.with_for_update(of=Meeting).execution_options(populate_existing=True)
    found = session.scalars(statement).unique().first()
    if found is None:
        raise NotFound
    return found


def seats_of(meeting: Meeting) -> list[Seat]:
    """Who was invited."""
    return [seat for seat in panels.of_review(meeting.review) if seat.id in meeting.invited]


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: the panel and the body read a meeting's minutes."""
    if actor is None:
        return False
    rows = session.scalars(select(Meeting).where(Meeting.minutes_document_id == document.id)).unique()
    return any(by_body(row.review, actor) or panels.may_open(row.review, actor) for row in rows)


def _clocks(review: TechnicalReview) -> list[timekeeping.StoredClock]:
    pairs = [(review.subject, ClockKind.ROUND)]
    if review.commission is not None:
        pairs.append((review.commission.subject, ClockKind.SERVICE))
    found = (timekeeping.running(subject, kind) for subject, kind in pairs)
    return [one for one in found if one is not None]


def _tell(meeting: Meeting, seats: Collection[Seat], act: str) -> None:
    people = {seat.person_id for seat in seats if seat.person_id is not None}
    for seat in seats:
        if seat.person_id is None and seat.organisation_id is not None:
            people |= set(members_with(seat.organisation_id))
    notifications.tell(
        people,
        subject=meeting.review.subject,
        act=act,
        title=meeting.review.title,
        meeting=meeting.number,
        planned_at=meeting.planned_at.isoformat(),
        place=meeting.place,
    )
