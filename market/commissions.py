"""Commissions: somebody needs a service for a project and chooses an agency (001 §9.2, life-cycles §2, A5, A8, A10).

This module holds the record, the one table of its life, and the verbs up to 接受委托; what follows is in
:mod:`market.services` and :mod:`market.deliverables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, select, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, dossier, money, notifications, numbers, policies, timekeeping, trail, workflow
from kernel.access import Role
from kernel.accounts import Organisation
from kernel.clock import Unit
from kernel.db import HISTORY, Keyed, WordColumn, session
from kernel.dossier import Entry
from kernel.errors import Conflict, Invalid, Invalids, NotFound, PortalError
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.timekeeping import ClockKind
from kernel.trail import Actor, TrailAct
from kernel.words import Worded
from market import fees, listings, recusals
from market.agencies import Agency, AgencyStatus, AgencySuspended
from market.catalogue import ServiceItem
from market.fees import Figures, Quote
from market.listings import Listing

NUMBER = numbers.series("WT")

trail.name_acts(
    {
        "commission.drafted": ("填写委托", "Commission drafted"),
        "commission.offered": ("服务委托", "Commission offered"),
        "commission.taken_back": ("撤回委托", "Offer taken back"),
        "commission.materials_requested": ("一次性告知补齐材料", "Materials requested"),
        "commission.materials_supplied": ("补齐材料", "Materials supplied"),
        "commission.declined": ("不接受委托", "Commission declined"),
        "commission.lapsed": ("逾期未答复，委托退回", "No answer in time, offer lapsed"),
        "commission.taken_on": ("接受委托", "Commission taken on"),
        "commission.cancelled": ("取消委托", "Commission cancelled"),
        "commission.terminated": ("终止服务", "Service terminated"),
        "service.started": ("开始受理服务", "Service started"),
        "service.paused": ("暂停计时", "Service paused"),
        "service.resumed": ("恢复计时", "Service resumed"),
        "service.extension_proposed": ("申请延长时限", "Extension proposed"),
        "service.extended": ("同意延长时限", "Extension agreed"),
        "service.extension_refused": ("不同意延长时限", "Extension refused"),
        "service.delivered": ("提交成果报告", "Deliverable handed in"),
        "service.returned": ("退回修改，恢复计时", "Returned, clock goes on"),
        "service.finished": ("服务办结", "Service finished"),
    }
)
timekeeping.declare("commission", "委托", "Commission")


class CommissionStatus(Worded):
    DRAFT = "draft", "待委托", "Draft"
    OFFERED = "offered", "待机构接受", "Offered"
    TAKEN_ON = "taken_on", "已接受委托", "Taken on"
    IN_SERVICE = "in_service", "服务中", "In service"
    DELIVERED = "delivered", "待认可成果", "Delivered"
    FINISHED = "finished", "已办结", "Finished"
    TERMINATED = "terminated", "已终止", "Terminated"
    CANCELLED = "cancelled", "已取消", "Cancelled"


class Route(Worded):
    MENU = "menu", "菜单式选择委托", "Menu"


class InquiryKind(Worded):
    MATERIALS = "materials", "补齐材料", "Materials"
    PAUSE = "pause", "需委托人配合", "Needs the client"


class MaterialMissing(Invalid):
    code = "material_missing"
    zh = "缺少材料：{name}"
    en = "Missing: {name}"


class NotYourProject(Invalid):
    code = "not_your_project"
    zh = "项目 {value} 不是贵单位的项目，不能为其委托服务"
    en = "{value} is not your organisation's project"


class PointsMissing(Invalid):
    code = "points_missing"
    zh = "请逐条写明需要补齐的内容"
    en = "List what is needed, point by point"


class ReasonMissing(Invalid):
    code = "reason_missing"
    zh = "请写明理由"
    en = "Give the reason"


class InquiryOpen(Conflict):
    code = "inquiry_open"
    zh = "已发出一份告知，请待委托人答复后再办"
    en = "One notice is open already; wait for the answer"


class TooLateToTakeBack(Conflict):
    code = "too_late_to_take_back"
    zh = "委托发出已超过 {minutes} 分钟，不能撤回；如不再需要，可取消委托"
    en = "The {minutes} minutes for taking an offer back are over; you can still cancel it"


class FeeUnknown(Conflict):
    code = "fee_unknown"
    zh = "项目信息缺少“{measure}”，无法计算费用，请先完善项目信息"
    en = "The fee can't be computed: the project lacks its {measure_en}"


class ListingChanged(Conflict):
    code = "listing_changed"
    zh = "您打开页面后，机构调整了收费或承诺时限，请按最新内容核对后再发出"
    en = "The agency changed its fee or days after you opened the page; check them and send again"


class AgreedFeeInvalid(Invalid):
    code = "agreed_fee_invalid"
    zh = "请填写商定的费用，且不高于上限 {ceiling}"
    en = "Enter the agreed fee, at most {ceiling}"


class Commission(Keyed):
    """``fee`` in fen as agreed at the offer; ``quote`` keeps its arithmetic, ``listing_edition`` its origin."""

    __tablename__ = "commissions"
    number: Mapped[str] = mapped_column(unique=True)
    status: Mapped[CommissionStatus] = mapped_column(WordColumn(CommissionStatus))
    version: Mapped[int] = mapped_column(default=1)
    route: Mapped[Route] = mapped_column(WordColumn(Route))
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    phase_id: Mapped[int | None] = mapped_column(ForeignKey("phases.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("service_items.id"))
    listing_id: Mapped[int | None] = mapped_column(ForeignKey("listings.id"))
    listing_edition: Mapped[int | None]
    agency_id: Mapped[int | None] = mapped_column(ForeignKey("agencies.id"))
    client_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    fee: Mapped[int | None]
    quote: Mapped[list[Any]]
    quantity: Mapped[int | None]
    promised_working_days: Mapped[int]
    message: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    policy: Mapped[str] = mapped_column(default="")
    needed_for: Mapped[str] = mapped_column(default="")
    draft_at: Mapped[datetime | None]
    offered_at: Mapped[datetime | None]
    taken_on_at: Mapped[datetime | None]
    in_service_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    terminated_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    project: Mapped[Project] = relationship(lazy="joined")
    phase: Mapped[Phase | None] = relationship(lazy="joined")
    item: Mapped[ServiceItem] = relationship(lazy="joined")
    listing: Mapped[Listing | None] = relationship()
    agency: Mapped[Agency | None] = relationship(lazy="joined")
    client: Mapped[Organisation] = relationship(lazy="joined", foreign_keys=[client_id])
    materials: Mapped[list[CommissionMaterial]] = relationship(lazy="selectin", order_by="CommissionMaterial.id")
    inquiries: Mapped[list[Inquiry]] = relationship(lazy="selectin", order_by="Inquiry.id")
    __table_args__ = (
        Index("ix_commissions_client", "client_id", "id"),
        Index("ix_commissions_agency", "agency_id", "id"),
        Index("ix_commissions_project", "project_id", "id"),
    )

    @property
    def subject(self) -> str:
        return f"commission:{self.number}"

    @property
    def title(self) -> str:
        return f"{self.item.name}（{self.number}）"

    @property
    def engineering_code(self) -> str:
        return self.phase.code if self.phase else self.project.code


class CommissionMaterial(Keyed):
    """One material: picked from the dossier (``entry``) or uploaded once (``document``)."""

    __tablename__ = "commission_materials"
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"))
    name: Mapped[str]
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("dossier_entries.id"))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    sha256: Mapped[str]
    added_at: Mapped[datetime]
    entry: Mapped[Entry | None] = relationship(lazy="joined")
    document: Mapped[Document] = relationship(lazy="joined")
    __table_args__ = (Index("ix_commission_materials_commission", "commission_id"), HISTORY)


class Inquiry(Keyed):
    """What the agency asks of the client, itemised and everything at once; one open notice of a kind."""

    __tablename__ = "commission_inquiries"
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"))
    kind: Mapped[InquiryKind] = mapped_column(WordColumn(InquiryKind))
    key: Mapped[str]
    points: Mapped[list[str]]
    reason: Mapped[str] = mapped_column(default="")
    answer: Mapped[str] = mapped_column(default="")
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_commission_inquiries_commission", "commission_id"),
        Index(
            "uq_commission_inquiries_open",
            "commission_id",
            "kind",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
    )


# Who may do what: predicates named as the life-cycle table names the parties.


def by_client(commission: Commission, actor: Actor) -> bool:
    return actor.organisation_id == commission.client_id and actor.has(
        Role.APPLICANT.value, Role.AUTHORITY.value, Role.ASSISTANT.value
    )


def by_agency(commission: Commission, actor: Actor) -> bool:
    return (
        commission.agency is not None
        and actor.organisation_id == commission.agency.organisation_id
        and actor.has(Role.AGENCY.value)
    )


def by_either(commission: Commission, actor: Actor) -> bool:
    return by_client(commission, actor) or by_agency(commission, actor)


def by_clock(commission: Commission, actor: Actor) -> bool:
    return actor.has("clock")


#: The whole life, one row a move (life-cycles §2; the bidding routes add theirs).
STEPS: workflow.Steps = {
    "offer": workflow.Step(("draft",), "offered", "commission.offered", by_client),
    "take_back": workflow.Step(("offered",), "draft", "commission.taken_back", by_client),
    "request_materials": workflow.Step(("offered",), None, "commission.materials_requested", by_agency),
    "supply_materials": workflow.Step(("offered",), None, "commission.materials_supplied", by_client),
    "decline": workflow.Step(("offered",), "draft", "commission.declined", by_agency),
    "lapse": workflow.Step(("offered",), "draft", "commission.lapsed", by_clock),
    "take_on": workflow.Step(("offered",), "taken_on", "commission.taken_on", by_agency),
    "start": workflow.Step(("taken_on",), "in_service", "service.started", by_agency),
    "pause": workflow.Step(("in_service",), None, "service.paused", by_agency),
    "resume": workflow.Step(("in_service",), None, "service.resumed", by_client),
    "propose_extension": workflow.Step(("in_service",), None, "service.extension_proposed", by_agency),
    "agree_extension": workflow.Step(("in_service",), None, "service.extended", by_client),
    "refuse_extension": workflow.Step(("in_service",), None, "service.extension_refused", by_client),
    "deliver": workflow.Step(("in_service",), "delivered", "service.delivered", by_agency),
    "return": workflow.Step(("delivered",), "in_service", "service.returned", by_client),
    "accept": workflow.Step(("delivered",), "finished", "service.finished", by_client),
    "terminate": workflow.Step(("in_service", "delivered"), "terminated", "commission.terminated", by_either),
    "cancel": workflow.Step(("draft", "offered"), "cancelled", "commission.cancelled", by_client),
}


@dataclass(frozen=True, slots=True)
class Picked:
    """A material handed in: its name on the item's list, and a dossier entry or an uploaded document."""

    name: str
    entry: Entry | None = None
    document: Document | None = None


def figures_of(project: Project, quantity: int | None = None) -> Figures:
    """The figures of a project that fees are computed from."""
    return Figures(project.investment, project.building_area, project.land_area, quantity)


def draft(
    project: Project,
    listing: Listing,
    client: Organisation,
    *,
    by: Actor,
    phase: Phase | None = None,
    quantity: int | None = None,
    message: str = "",
    needed_for: str = "",
) -> Commission:
    """Begin a commission for a project of one's own; nobody else sees it before :func:`offer`.

    Raises:
        NotYourProject, listings.ListingNotInForce.
    """
    if project.organisation_id != client.id or by.organisation_id != client.id:
        raise NotYourProject(field="project_code", value=project.code)
    if not listings.in_force(listing):
        raise listings.ListingNotInForce
    commission = Commission(
        number=numbers.following(NUMBER),
        status=CommissionStatus.DRAFT,
        version=1,
        route=Route.MENU,
        project=project,
        phase=phase,
        item=listing.item,
        listing=listing,
        agency=listing.agency,
        client=client,
        quote=[],
        quantity=quantity,
        promised_working_days=listing.promised_working_days,
        message=message.strip(),
        needed_for=needed_for,
        draft_at=clock.now(),
        materials=[],
        inquiries=[],
    )
    session.add(commission)
    session.flush()
    trail.record(commission.subject, "commission.drafted", by=by, project=project.code, item=listing.item.code)
    return commission


def choose(commission: Commission, listing: Listing, *, by: Actor) -> None:
    """Point a draft at another listing of the same item (after a decline, a lapse or a change of mind).

    Raises:
        workflow.MoveNotOpen: it is no draft of the actor's. listings.ListingNotInForce.
    """
    workflow.check(commission, STEPS, "offer", by=by)
    if listing.item_id != commission.item_id or not listings.in_force(listing):
        raise listings.ListingNotInForce
    commission.listing = listing
    commission.agency = listing.agency
    commission.promised_working_days = listing.promised_working_days
    commission.version += 1  # whoever confirms what they saw before is told


def hand_in(commission: Commission, picked: Sequence[Picked]) -> None:
    """Attach materials: picked from the project's own dossier, or uploaded once.

    Raises:
        dossier.CannotRely: an entry that is superseded, expired, withdrawn or of another project.
    """
    for one in picked:
        if one.entry is not None:
            standing = dossier.stand(one.entry, clock.today())
            if one.entry.project_id != commission.project_id:
                standing = dossier.Standing(False, "不属于本项目", "it belongs to another project")
            if not standing.can_rely:
                raise dossier.CannotRely(
                    field="materials", number=one.entry.number, reason=standing.reason_zh, reason_en=standing.reason_en
                )
        document = one.entry.document if one.entry else one.document
        if document is None:
            raise MaterialMissing(field="materials", name=one.name)
        commission.materials.append(
            CommissionMaterial(
                name=one.name,
                entry=one.entry,
                document=document,
                sha256=document.sha256,
                added_at=clock.now(),
            )
        )
    session.flush()


def missing_materials(commission: Commission) -> list[str]:
    """The item's required materials that are not handed in yet."""
    have = {material.name for material in commission.materials}
    return [name for name in commission.item.required_materials if name not in have]


def price(listing: Listing, project: Project, *, quantity: int | None, agreed_fee: int | None) -> tuple[int, Quote]:
    """The fee to be offered, in fen.

    Raises:
        FeeUnknown: the project lacks a figure. AgreedFeeInvalid: a negotiated fee is absent or above the ceiling.
    """
    computed = fees.quote(listing.rule, figures_of(project, quantity))
    if computed.missing is not None:
        raise FeeUnknown(field="quantity", measure=computed.missing.zh, measure_en=computed.missing.en)
    if computed.amount is not None:
        return computed.amount, computed
    ceiling = computed.ceiling or 0
    if agreed_fee is None or not 0 < agreed_fee <= ceiling:
        raise AgreedFeeInvalid(field="agreed_fee", ceiling=money.format(ceiling))
    return agreed_fee, computed


def offer(
    commission: Commission,
    *,
    by: Actor,
    agreed_fee: int | None = None,
    expected_version: int | None = None,
    expected_edition: int | None = None,
) -> None:
    """Commission the agency: fee fixed, materials complete, the agency's time to answer begins.

    ``expected_edition`` is the edition of the listing that the client saw; nobody is bound to a fee they did not see.

    Raises:
        ListingChanged: the agency changed fee or days since.
        workflow.MoveNotOpen, workflow.StaleVersion, listings.ListingNotInForce, recusals.MustRecuse, FeeUnknown,
        AgreedFeeInvalid, Invalids (of MaterialMissing).
    """
    workflow.check(commission, STEPS, "offer", by=by, expected_version=expected_version)
    listing = listings.for_offer(commission.listing) if commission.listing is not None else None
    if listing is None or not listings.in_force(listing):
        raise listings.ListingNotInForce
    if expected_edition is not None and expected_edition != listing.edition:
        raise ListingChanged
    reviewed = [m.entry for m in commission.materials if m.entry is not None]
    recusal = recusals.reason(
        listing.agency.organisation, commission.client, reviews=commission.item.technical_review, reviewed=reviewed
    )
    if recusal is not None:
        raise recusals.MustRecuse(reason_zh=recusal.zh, reason_en=recusal.en)
    lacking: list[PortalError] = [
        MaterialMissing(field="materials", name=name) for name in missing_materials(commission)
    ]
    for material in commission.materials:
        standing = dossier.stand(material.entry, clock.today()) if material.entry is not None else None
        if material.entry is not None and standing is not None and not standing.can_rely:
            lacking.append(
                dossier.CannotRely(
                    field="materials",
                    number=material.entry.number,
                    reason=standing.reason_zh,
                    reason_en=standing.reason_en,
                )
            )
    if lacking:
        raise Invalids(lacking)
    fee, computed = price(listing, commission.project, quantity=commission.quantity, agreed_fee=agreed_fee)
    policy = policies.current("agency_response")
    commission.fee = fee
    commission.quote = [{"zh": line.zh, "en": line.en, "amount": line.amount} for line in computed.lines]
    commission.listing_edition = listing.edition
    commission.promised_working_days = listing.promised_working_days
    commission.policy = policy.version
    commission.reason = ""  # an earlier agency's refusal is not the next one's to read
    commission.offered_at = None
    workflow.step(
        commission,
        STEPS,
        "offer",
        by=by,
        expected_version=expected_version,
        agency=listing.agency.name,
        fee=fee,
        listing=listing.number,
        edition=listing.edition,
        materials=[{"name": m.name, "sha256": m.sha256} for m in commission.materials],
    )
    timekeeping.start(
        commission.subject,
        ClockKind.AGENCY_RESPONSE,
        unit=Unit.WORKING_DAY,
        limit=int(policy.values["working_days"]),
        warn=int(policy.values["warn"]),
        policy=policy,
        by=by,
    )
    tell_agency(commission, "commission.offered")


def may_take_back(commission: Commission) -> bool:
    """Within the minutes of the policy, and the agency has not acted."""
    return (
        commission.status == CommissionStatus.OFFERED
        and commission.offered_at is not None
        and not any(inquiry.opened_at >= commission.offered_at for inquiry in commission.inquiries)
        and clock.now() < commission.offered_at + timedelta(minutes=take_back_minutes())
    )


def take_back_minutes() -> int:
    return int(policies.current("agency_response").values["take_back_minutes"])


def take_back(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """Undo an offer within ten minutes, as long as the agency has not acted.

    Raises:
        TooLateToTakeBack.
    """
    workflow.check(commission, STEPS, "take_back", by=by, expected_version=expected_version)
    if not may_take_back(commission):
        raise TooLateToTakeBack(minutes=take_back_minutes())
    workflow.step(commission, STEPS, "take_back", by=by, expected_version=expected_version)
    commission.offered_at = None  # a draft is the client's alone; the trail keeps the instant
    timekeeping.end_all(commission.subject, by=by)
    tell_agency(commission, "commission.taken_back")


def request_materials(
    commission: Commission, points: Sequence[str], *, by: Actor, expected_version: int | None = None
) -> None:
    """Ask once, for everything that is missing; the agency's time to answer stands still meanwhile.

    Raises:
        PointsMissing, InquiryOpen.
    """
    workflow.check(commission, STEPS, "request_materials", by=by, expected_version=expected_version)
    inquiry = open_inquiry(commission, InquiryKind.MATERIALS, points)
    workflow.step(
        commission, STEPS, "request_materials", by=by, expected_version=expected_version, points=inquiry.points
    )
    pause_clock(commission, ClockKind.AGENCY_RESPONSE, inquiry, by)
    tell_client(commission, "commission.materials_requested")


def supply_materials(
    commission: Commission,
    picked: Sequence[Picked],
    *,
    by: Actor,
    answer: str = "",
    expected_version: int | None = None,
) -> None:
    """Answer the agency's notice."""
    workflow.check(commission, STEPS, "supply_materials", by=by, expected_version=expected_version)
    inquiry = close_inquiry(commission, InquiryKind.MATERIALS, answer)
    hand_in(commission, picked)
    workflow.step(
        commission,
        STEPS,
        "supply_materials",
        by=by,
        expected_version=expected_version,
        materials=[one.name for one in picked],
    )
    resume_clock(commission, ClockKind.AGENCY_RESPONSE, inquiry, by)
    tell_agency(commission, "commission.materials_supplied")


def decline(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The agency says no, with its reason; the draft goes back to the client, who may choose another.

    Raises:
        ReasonMissing.
    """
    commission.reason = given_reason(reason)
    workflow.step(commission, STEPS, "decline", by=by, expected_version=expected_version, reason=commission.reason)
    commission.offered_at = None
    _close_inquiries(commission)
    timekeeping.end_all(commission.subject, by=by)
    tell_client(commission, "commission.declined")


def lapse(commission: Commission, *, at: datetime) -> None:
    """Nobody answered in time: the offer goes back to the client (by the system clock, at the legal instant)."""
    workflow.step(commission, STEPS, "lapse", by=trail.CLOCK, at=at)
    commission.offered_at = None
    timekeeping.end_all(commission.subject, by=trail.CLOCK, at=at)
    tell_client(commission, "commission.lapsed", is_warning=True)
    tell_agency(commission, "commission.lapsed", is_warning=True)


def take_on(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """接受委托: the agency has checked the materials and takes the commission on (001 §9.3).

    Raises:
        InquiryOpen: a request for materials is unanswered. agencies.AgencySuspended.
    """
    workflow.check(commission, STEPS, "take_on", by=by, expected_version=expected_version)
    if current_inquiry(commission, InquiryKind.MATERIALS) is not None:
        raise InquiryOpen
    if commission.agency is None or commission.agency.status != AgencyStatus.ADMITTED:
        raise AgencySuspended
    workflow.step(commission, STEPS, "take_on", by=by, expected_version=expected_version)
    timekeeping.end_all(commission.subject, by=by)
    tell_client(commission, "commission.taken_on")


def cancel(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The client gives the commission up before the agency took it on."""
    was_offered = commission.status == CommissionStatus.OFFERED
    commission.reason = reason.strip()
    workflow.step(commission, STEPS, "cancel", by=by, expected_version=expected_version, reason=commission.reason)
    _close_inquiries(commission)
    timekeeping.end_all(commission.subject, by=by)
    if was_offered:
        tell_agency(commission, "commission.cancelled")


def terminate(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Either side ends a running service, with its reason; what was stamped stays stamped."""
    commission.reason = given_reason(reason)
    workflow.step(commission, STEPS, "terminate", by=by, expected_version=expected_version, reason=commission.reason)
    _close_inquiries(commission)
    timekeeping.end_all(commission.subject, by=by)
    tell_client(commission, "commission.terminated", is_warning=True)
    tell_agency(commission, "commission.terminated", is_warning=True)


def moves(commission: Commission, by: Actor) -> list[str]:
    """The actions open to ``by`` now: the table's, less those whose own condition does not hold."""
    open_ones = workflow.moves(commission, STEPS, by)
    asked = {inquiry.kind for inquiry in commission.inquiries if inquiry.closed_at is None}
    closed = set()
    if not may_take_back(commission):
        closed.add("take_back")
    if InquiryKind.MATERIALS in asked:
        closed |= {"request_materials", "take_on"}
    else:
        closed.add("supply_materials")
    closed |= {"pause"} if InquiryKind.PAUSE in asked else {"resume"}
    return [name for name in open_ones if name not in closed]


def can_see(commission: Commission, actor: Actor) -> bool:
    """See :func:`is_visible`."""
    agency = commission.agency.organisation_id if commission.agency is not None else None
    return is_visible(commission.client_id, agency, commission.offered_at, commission.status, actor)


def is_visible(
    client_id: int,
    agency_organisation_id: int | None,
    offered_at: datetime | None,
    status: CommissionStatus,
    actor: Actor,
) -> bool:
    """The two sides; the agency only once the offer was made; supervisors and auditors."""
    if actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value) or actor.organisation_id == client_id:
        return True
    return (
        agency_organisation_id is not None
        and actor.organisation_id == agency_organisation_id
        and offered_at is not None
        and status != CommissionStatus.DRAFT
    )


def find(number: str, *, by: Actor, lock: bool = False) -> Commission:
    """The commission of a number, if it is the actor's to see.

    Raises:
        NotFound.
    """
    statement = select(Commission).where(Commission.number == number)
    if lock:
        statement = statement.with_for_update(of=Commission).execution_options(populate_existing=True)
    commission = session.scalars(statement).first()
    if commission is None or not can_see(commission, by):
        raise NotFound
    return commission


def of_organisation(actor: Actor, *, status: CommissionStatus | None = None, most: int = 200) -> list[Commission]:
    """The actor's organisation's commissions, as client or as agency, newest first."""
    mine = select(Agency.id).where(Agency.organisation_id == actor.organisation_id).scalar_subquery()
    statement = select(Commission).where(
        (Commission.client_id == actor.organisation_id)
        | ((Commission.agency_id == mine) & Commission.offered_at.is_not(None))
    )
    if status is not None:
        statement = statement.where(Commission.status == status)
    return list(session.scalars(statement.order_by(Commission.id.desc()).limit(most)))


def of_project(project: Project) -> list[Commission]:
    return list(
        session.scalars(select(Commission).where(Commission.project_id == project.id).order_by(Commission.id.desc()))
    )


def may_read_material(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: the agency reads the materials of a commission offered to it."""
    if actor is None:
        return False
    rows = session.scalars(
        select(Commission)
        .join(CommissionMaterial, CommissionMaterial.commission_id == Commission.id)
        .where(CommissionMaterial.document_id == document.id)
    ).unique()
    return any(can_see(commission, actor) for commission in rows)


def on_red(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.light.red``: silence lapses the offer, other clocks tell both sides."""
    commission = session.scalars(
        select(Commission)
        .where(Commission.number == act.subject.partition(":")[2])
        .with_for_update(of=Commission)
        .execution_options(populate_existing=True)
    ).one()
    if act.data["clock"] == ClockKind.AGENCY_RESPONSE.value and commission.status == CommissionStatus.OFFERED:
        lapse(commission, at=act.at)
    else:
        tell_both_sides(act, by)


def tell_both_sides(act: TrailAct, by: Actor) -> None:
    """Subscriber of a commission's changes of light."""
    commission = session.scalars(select(Commission).where(Commission.number == act.subject.partition(":")[2])).one()
    for tell in (tell_client, tell_agency):
        tell(commission, act.act, is_warning=True, at=act.at)


def lapse_offers_of(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``agency.suspended``: its open offers go back to their clients; running services go on."""
    rows = session.scalars(
        select(Commission)
        .join(Agency, Commission.agency_id == Agency.id)
        .where(Agency.number == act.subject.partition(":")[2], Commission.status == CommissionStatus.OFFERED)
        .order_by(Commission.id)
        .with_for_update(of=Commission)
    ).all()
    for commission in rows:
        lapse(commission, at=act.at)


# Shared by the later steps of the same life.


def open_inquiry(commission: Commission, kind: InquiryKind, points: Sequence[str], reason: str = "") -> Inquiry:
    """Open the one notice of a kind. Raises PointsMissing, InquiryOpen."""
    wanted = [point.strip() for point in points if point.strip()]
    if not wanted:
        raise PointsMissing(field="points")
    if current_inquiry(commission, kind) is not None:
        raise InquiryOpen
    running = 1 + sum(1 for inquiry in commission.inquiries if inquiry.kind == kind)
    inquiry = Inquiry(
        kind=kind, key=f"{kind.value}:{running}", points=wanted, reason=reason.strip(), opened_at=clock.now()
    )
    commission.inquiries.append(inquiry)
    session.flush()
    return inquiry


def current_inquiry(commission: Commission, kind: InquiryKind) -> Inquiry | None:
    return next((i for i in commission.inquiries if i.kind == kind and i.closed_at is None), None)


def close_inquiry(commission: Commission, kind: InquiryKind, answer: str = "") -> Inquiry:
    inquiry = current_inquiry(commission, kind)
    if inquiry is None:
        raise Conflict
    inquiry.answer = answer.strip()
    inquiry.closed_at = clock.now()
    return inquiry


def _close_inquiries(commission: Commission) -> None:
    for inquiry in commission.inquiries:
        inquiry.closed_at = inquiry.closed_at or clock.now()


def pause_clock(commission: Commission, kind: ClockKind, inquiry: Inquiry, by: Actor) -> None:
    stored = timekeeping.running(commission.subject, kind)
    if stored is not None:
        timekeeping.stop(stored, inquiry.key, by=by, reason="；".join(inquiry.points))


def resume_clock(commission: Commission, kind: ClockKind, inquiry: Inquiry, by: Actor) -> None:
    stored = timekeeping.running(commission.subject, kind)
    if stored is not None:
        timekeeping.go(stored, inquiry.key, by=by)


def given_reason(reason: str) -> str:
    if not reason.strip():
        raise ReasonMissing(field="reason")
    return reason.strip()


def tell_client(commission: Commission, act: str, *, is_warning: bool = False, at: datetime | None = None) -> None:
    notifications.tell_organisation(
        commission.client_id,
        subject=commission.subject,
        act=act,
        title=commission.title,
        is_warning=is_warning,
        at=at,
        project=commission.project.name,
    )


def tell_agency(commission: Commission, act: str, *, is_warning: bool = False, at: datetime | None = None) -> None:
    if commission.agency is not None:
        notifications.tell_organisation(
            commission.agency.organisation_id,
            subject=commission.subject,
            act=act,
            title=commission.title,
            is_warning=is_warning,
            at=at,
            project=commission.project.name,
        )
