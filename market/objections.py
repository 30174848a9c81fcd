"""Objections to a result: a clock that freezes the award until somebody else than the objector has answered (A7).

"公示期内提出异议的，公示期停止计算": each open objection stops the publicity clock under a key of its own, has a clock of its
own, and is seen by the supervisors whole; the public sees that there is one, how it ended and why.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, select
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, notifications, numbers, policies, timekeeping, trail, workflow
from kernel.access import Role
from kernel.accounts import Membership
from kernel.clock import Light, Unit
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from kernel.timekeeping import ClockKind
from kernel.trail import Actor, TrailAct
from kernel.words import Worded
from market import awards, calls
from market.agencies import Agency
from market.awards import Award
from market.calls import CallForBids
from market.commissions import STEPS, by_client, given_reason, tell_client
from market.notices import NoticeKind

NUMBER = numbers.series("YY")
trail.name_acts(
    {
        "objection.received": ("收到异议", "Objection received"),
        "objection.closed": ("异议办结", "Objection closed"),
    }
)
timekeeping.declare("objection", "异议答复", "Objection")


class ObjectionStatus(Worded):
    FILED = "filed", "待答复", "Waiting for an answer"
    REJECTED = "rejected", "异议不成立", "Rejected"
    UPHELD = "upheld", "异议成立", "Upheld"
    SETTLED = "settled", "结果已撤销，不再答复", "Settled: the result fell"


class NotABidder(Forbidden):
    code = "not_a_bidder"
    zh = "只有参加本次采购的机构可以提出异议"
    en = "Only agencies that bid on this call may object"


class PublicityOver(Conflict):
    code = "publicity_over"
    zh = "公示期已满，不能再提出异议；可拨打投诉电话反映"
    en = "The publicity period is over; use the telephone for complaints"


class ObjectionOpen(Conflict):
    code = "objection_open"
    zh = "贵单位已有一件异议待答复"
    en = "You have an objection waiting for its answer"


class ObjectionTextMissing(Invalid):
    code = "objection_text_missing"
    zh = "请写明异议的事项、事实和理由"
    en = "Say what you object to, on which facts, and why"


class SameSide(Forbidden):
    code = "same_side"
    zh = "提出异议的人员不能答复本异议"
    en = "Whoever filed an objection can't decide it"


class DecisionMissing(Invalid):
    code = "decision_missing"
    zh = "请选择处理意见"
    en = "Choose the decision"


class Objection(Keyed):
    """One bidder's objection to one award; one open per bidder of a call."""

    __tablename__ = "objections"
    number: Mapped[str] = mapped_column(unique=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    award_id: Mapped[int] = mapped_column(ForeignKey("awards.id"))
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    person_id: Mapped[int | None]
    status: Mapped[ObjectionStatus] = mapped_column(WordColumn(ObjectionStatus))
    version: Mapped[int] = mapped_column(default=1)
    text: Mapped[str]
    filed_at: Mapped[datetime]
    answer: Mapped[str] = mapped_column(default="")
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str] = mapped_column(default="")
    agency: Mapped[Agency] = relationship(lazy="joined")
    award: Mapped[Award] = relationship()
    __table_args__ = (
        Index("ix_objections_call", "call_id", "id"),
        Index("uq_objections_open", "call_id", "agency_id", unique=True, postgresql_where=sql("status = 'filed'")),
    )

    @property
    def subject(self) -> str:
        return f"objection:{self.number}"

    @property
    def key(self) -> str:
        """The key under which it stops the publicity clock."""
        return f"objection:{self.id}"


#: Taken by the verb that moves the commission, in the same transaction.
OBJECTION_STEPS: workflow.Steps = {
    name: workflow.Step(("filed",), target, "objection.closed", lambda objection, actor: True)
    for name, target in (("reject", "rejected"), ("uphold", "upheld"), ("settle", "settled"))
}


def file(call: CallForBids, agency: Agency, text: str, *, by: Actor, expected_version: int | None = None) -> Objection:
    """A bidder objects within the period; the award stands still until it is answered.

    Raises:
        workflow.MoveNotOpen: nothing is publicised. NotABidder, PublicityOver, ObjectionOpen, ObjectionTextMissing.
    """
    calls.lock_commission(call)
    commission = call.commission
    workflow.check(commission, STEPS, "object", by=by, expected_version=expected_version)
    if agency.organisation_id != by.organisation_id or agency.id not in awards.bidders(call):
        raise NotABidder
    if awards.is_publicity_over(call):
        raise PublicityOver
    if not text.strip():
        raise ObjectionTextMissing(field="text")
    made = awards.standing(call)
    assert made is not None  # noqa: S101  a commission is publicised by an award
    moment = clock.now()
    objection = Objection(
        number=numbers.following(NUMBER),
        call_id=call.id,
        award_id=made.id,
        agency=agency,
        person_id=by.person_id,
        status=ObjectionStatus.FILED,
        version=1,
        text=text.strip(),
        filed_at=moment,
    )
    try:
        with session.begin_nested():
            session.add(objection)
            session.flush()
    except IntegrityError as twice:
        raise ObjectionOpen from twice
    # Who objects is the two sides' and the supervisors' to know: the call's own chain names the number alone.
    workflow.step(
        commission, STEPS, "object", by=by, at=moment, expected_version=expected_version, objection=objection.number
    )
    trail.record(objection.subject, "objection.received", by=by, at=moment, agency=agency.name, call=call.number)
    publicity = timekeeping.running(commission.subject, ClockKind.PUBLICITY)
    if publicity is not None:
        timekeeping.stop(publicity, objection.key, by=by, at=moment, reason=objection.number)
    policy = policies.current("publicity")
    timekeeping.start(
        objection.subject,
        ClockKind.OBJECTION,
        unit=Unit.WORKING_DAY,
        limit=call.rules.objection_working_days,
        warn=int(policy.values["warn"]),
        policy=policy,
        by=by,
        at=moment,
    )
    _tell_deciders(call, objection, "objection.filed", at=moment)
    return objection


def decide(
    objection: Objection, *, is_upheld: bool, answer: str, by: Actor, expected_version: int | None = None
) -> None:
    """The client answers: rejected, and the period goes on; upheld, and the award falls back to the evaluation.

    Raises:
        workflow.MoveNotOpen: answered already, or not the client's. commissions.ReasonMissing, SameSide.
    """
    call = session.get_one(CallForBids, objection.call_id)
    calls.lock_commission(call)
    session.refresh(objection, with_for_update={"of": Objection})
    workflow.check(objection, OBJECTION_STEPS, "reject", by=by, expected_version=expected_version)
    action = "overturn" if is_upheld else "reject_objection"
    workflow.check(call.commission, STEPS, action, by=by)
    if by.organisation_id == objection.agency.organisation_id or (
        by.person_id is not None and by.person_id == objection.person_id
    ):
        raise SameSide
    told = given_reason(answer)
    moment = clock.now()
    _close(objection, "uphold" if is_upheld else "reject", told, by=by, at=moment)
    if is_upheld:
        _overturn(call, objection, told, by=by, at=moment)
    else:
        workflow.step(call.commission, STEPS, action, by=by, at=moment, objection=objection.number, answer=told)
        _go_on(call, objection, by=by, at=moment)
    _tell_everybody(call, "award.overturned" if is_upheld else "objection.rejected", at=moment)


def of_call(call: CallForBids) -> list[Objection]:
    """Every objection of a call, the oldest first."""
    return list(session.scalars(select(Objection).where(Objection.call_id == call.id).order_by(Objection.id)))


def find(number: str, *, by: Actor, lock: bool = False) -> Objection:
    """An objection for its two sides and those who supervise.

    Raises:
        NotFound.
    """
    found = session.scalars(select(Objection).where(Objection.number == number)).first()
    if found is None or not can_see(found, by):
        raise NotFound
    if lock:
        calls.lock_commission(call_of(found))
        session.refresh(found)
    return found


def call_of(objection: Objection) -> CallForBids:
    return session.get_one(CallForBids, objection.call_id)


def can_see(objection: Objection, actor: Actor) -> bool:
    if (
        actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)
        or actor.organisation_id == objection.agency.organisation_id
    ):
        return True
    return by_client(call_of(objection).commission, actor)


def tell_of_light(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``objection.light.*``: the answer is due, or overdue."""
    objection = session.scalars(select(Objection).where(Objection.number == act.subject.partition(":")[2])).one()
    _tell_deciders(call_of(objection), objection, act.act, at=act.at)


def on_cancelled(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.cancelled``: there is nothing left to object to."""
    call = calls.of_subject(act.subject)
    for objection in of_call(call) if call is not None else ():
        if objection.status is ObjectionStatus.FILED:
            _close(objection, "settle", "", by=by, at=act.at)


def _close(objection: Objection, action: str, answer: str, *, by: Actor, at: datetime) -> None:
    objection.answer = answer
    objection.answered_at = at
    objection.answered_by = f"{by.organisation} {by.person}".strip()
    workflow.step(objection, OBJECTION_STEPS, action, by=by, at=at, answer=answer)
    timekeeping.end_all(objection.subject, by=by, at=at)
    session.flush()


def _go_on(call: CallForBids, objection: Objection, *, by: Actor, at: datetime) -> None:
    publicity = timekeeping.running(call.subject, ClockKind.PUBLICITY)
    if publicity is None:
        return
    timekeeping.go(publicity, objection.key, by=by, at=at)
    # Where the rules count the day of the pause, the last day may have been used up meanwhile: no edge is to come.
    if timekeeping.reading(publicity).light is Light.RED:
        awards.confirm(call, at=at)


def _overturn(call: CallForBids, objection: Objection, answer: str, *, by: Actor, at: datetime) -> None:
    commission = call.commission
    made = awards.settle(call, "overturn", by=by, at=at)
    workflow.step(
        commission, STEPS, "overturn", by=by, at=at, objection=objection.number, agency=made.agency.name, answer=answer
    )
    commission.publicised_at = None
    publicity = timekeeping.running(commission.subject, ClockKind.PUBLICITY)
    if publicity is not None:
        timekeeping.end(publicity, by=by, at=at)
    for other in of_call(call):
        if other.status is ObjectionStatus.FILED:
            _close(other, "settle", "", by=by, at=at)
    calls.announce(
        call,
        NoticeKind.OVERTURNED,
        call.title,
        [
            {"zh": "撤销的中选机构", "en": "No longer chosen", "value": made.agency.name},
            {"zh": "异议编号", "en": "Objection", "value": objection.number},
            {"zh": "理由", "en": "Reason", "value": answer},
        ],
        at=at,
    )


def _tell_everybody(call: CallForBids, act: str, *, at: datetime) -> None:
    for agency in awards.bidders(call).values():
        awards.tell_bidder(call, agency, act, at=at)
    tell_client(call.commission, act, at=at)


def _tell_deciders(call: CallForBids, objection: Objection, act: str, *, at: datetime) -> None:
    """The client, who answers, and the supervisors, who watch."""
    organisations = set(
        session.scalars(
            select(Membership.organisation_id).where(Membership.role == Role.SUPERVISOR, Membership.ended_at.is_(None))
        )
    )
    for organisation in sorted(organisations | {call.commission.client_id}):
        notifications.tell_organisation(
            organisation,
            subject=objection.subject,
            act=act,
            title=f"{call.title}（{objection.number}）",
            is_warning=True,
            at=at,
            project=call.commission.project.name,
        )
