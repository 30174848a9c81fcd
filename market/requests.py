"""Government-paid services: the applicant asks, the competent authority buys (001 §9.2, A6).

"政府采购的中介服务或技术审查事项，根据申请人申请，由行政主管部门按照规定在中介服务超市平台委托": the request has a state of its
own and its progress is visible; what the authority adds before it may publish stands here.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, money, notifications, numbers, policies, timekeeping, trail, workflow
from kernel.access import Role
from kernel.accounts import Membership, Organisation
from kernel.clock import Unit
from kernel.db import Keyed, session
from kernel.errors import Conflict, Invalid
from kernel.projects import Phase, Project
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from market import routes
from market.catalogue import ServiceItem
from market.commissions import (
    NUMBER,
    STEPS,
    Commission,
    CommissionStatus,
    NotYourProject,
    Payer,
    Route,
    cancel,
    choose_directly,
    given_reason,
    offer,
    price,
    tell_client,
)
from market.listings import Listing

trail.name_acts({"purchase.budgeted": ("填写预算与采购依据", "Budget and basis entered")})


class NoAuthority(Invalid):
    code = "no_authority"
    zh = "请选择行业主管部门"
    en = "Choose the competent authority"


class BudgetInvalid(Invalid):
    code = "budget_invalid"
    zh = "预算金额应大于 0"
    en = "The budget must be above 0"


class AboveDirectLimit(Conflict):
    code = "above_direct_limit"
    zh = "费用 {fee} 超过直接委托限额 {most}，请采用竞价、比选或抽取"
    en = "The fee {fee} is above the limit for direct commissions, {most}; hold a competition"


class GovernmentPurchase(Keyed):
    """The public side of a government-paid commission; ``budget`` in fen."""

    __tablename__ = "government_purchases"
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"), unique=True)
    request_reason: Mapped[str] = mapped_column(default="")
    budget_line: Mapped[str] = mapped_column(default="")
    budget: Mapped[int | None]
    purchase_basis: Mapped[str] = mapped_column(default="")
    decline_reason: Mapped[str] = mapped_column(default="")
    taken_up_at: Mapped[datetime | None]
    taken_up_by: Mapped[str] = mapped_column(default="")
    commission: Mapped[Commission] = relationship(lazy="joined")


def request(
    project: Project,
    item: ServiceItem,
    authority: Organisation,
    reason: str,
    *,
    by: Actor,
    phase: Phase | None = None,
) -> Commission:
    """The applicant asks the competent authority to buy a service; the authority's time to answer begins.

    Raises:
        commissions.NotYourProject, NoAuthority, commissions.ReasonMissing.
    """
    if project.organisation_id != by.organisation_id:
        raise NotYourProject(field="project_code", value=project.code)
    if authority.id not in {one.id for one in authorities()}:
        raise NoAuthority(field="authority")
    told = given_reason(reason)
    commission = Commission(
        number=numbers.following(NUMBER),
        status=CommissionStatus.REQUESTED,
        version=1,
        route=Route.BIDDING,
        payer=Payer.GOVERNMENT,
        project=project,
        phase=phase,
        item=item,
        client=authority,
        applicant_id=project.organisation_id,
        quote=[],
        promised_working_days=item.promised_working_days,
        requested_at=clock.now(),
        materials=[],
        inquiries=[],
    )
    session.add(commission)
    session.flush()
    session.add(GovernmentPurchase(commission_id=commission.id, request_reason=told))
    trail.record(commission.subject, "commission.requested", by=by, project=project.code, item=item.code, reason=told)
    policy = policies.current("purchase_request", region=project.region)
    timekeeping.start(
        commission.subject,
        ClockKind.REQUEST,
        unit=Unit.WORKING_DAY,
        limit=int(policy.values["working_days"]),
        warn=int(policy.values["warn"]),
        policy=policy,
        by=by,
    )
    tell_client(commission, "commission.requested")
    return commission


def take_up(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """The authority takes the request up: a draft of its own, for which it chooses the route."""
    workflow.step(commission, STEPS, "take_up", by=by, expected_version=expected_version)
    purchase = _purchase(commission)
    purchase.taken_up_at = clock.now()
    purchase.taken_up_by = by.person
    timekeeping.end_all(commission.subject, by=by)
    tell_applicant(commission, "commission.taken_up")


def decline_request(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Raises commissions.ReasonMissing."""
    told = given_reason(reason)
    workflow.step(commission, STEPS, "decline_request", by=by, expected_version=expected_version, reason=told)
    _purchase(commission).decline_reason = told
    commission.reason = told
    timekeeping.end_all(commission.subject, by=by)
    tell_applicant(commission, "commission.request_declined")


def withdraw_request(commission: Commission, *, by: Actor, expected_version: int | None = None) -> None:
    """The applicant takes the request back before the authority has answered."""
    workflow.step(commission, STEPS, "withdraw_request", by=by, expected_version=expected_version)
    timekeeping.end_all(commission.subject, by=by)
    tell_client(commission, "commission.request_withdrawn")


def give_up(commission: Commission, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """The authority gives a purchase up that it has taken up and not published.

    Raises:
        commissions.ReasonMissing, commissions.CallStands, workflow.MoveNotOpen.
    """
    told = given_reason(reason)
    cancel(commission, told, by=by, expected_version=expected_version)
    tell_applicant(commission, "commission.cancelled")


def budget(
    commission: Commission,
    *,
    by: Actor,
    budget_line: str,
    amount: int | None,
    purchase_basis: str,
    expected_version: int | None = None,
) -> None:
    """Enter budget line, amount in fen and the basis of the purchase; they may be mended until publication."""
    workflow.check(commission, STEPS, "publish", by=by, expected_version=expected_version)
    if amount is not None and amount <= 0:
        raise BudgetInvalid(field="budget")
    purchase = _purchase(commission)
    purchase.budget_line = budget_line.strip()
    purchase.budget = amount
    purchase.purchase_basis = purchase_basis.strip()
    commission.version += 1
    trail.record(commission.subject, "purchase.budgeted", by=by, line=purchase.budget_line, amount=amount)


def commission_directly(
    commission: Commission, listing: Listing, reason: str, *, by: Actor, expected_version: int | None = None
) -> None:
    """DIRECT: a small purchase goes to one listing, with its reason, and nobody competes.

    Raises:
        AboveDirectLimit, commissions.ReasonMissing, and whatever ``commissions.offer`` raises.
    """
    workflow.check(commission, STEPS, "offer", by=by, expected_version=expected_version)
    told = given_reason(reason)
    policy, rules = routes.current(Route.DIRECT, region=commission.project.region)
    fee, _quote = price(listing, commission.project, quantity=commission.quantity, agreed_fee=None)
    if rules.most_amount and fee > rules.most_amount:
        raise AboveDirectLimit(fee=money.format(fee), most=money.format(rules.most_amount))
    commission.route = Route.DIRECT
    commission.message = told
    choose_directly(commission, listing)
    offer(commission, by=by)
    commission.policy = policy.version


def purchase_of(commission: Commission) -> GovernmentPurchase | None:
    return session.scalars(select(GovernmentPurchase).where(GovernmentPurchase.commission_id == commission.id)).first()


def _purchase(commission: Commission) -> GovernmentPurchase:
    return session.scalars(select(GovernmentPurchase).where(GovernmentPurchase.commission_id == commission.id)).one()


def authorities() -> list[Organisation]:
    """The bodies that buy for government: those with somebody in the role of authority."""
    buying = select(Membership.organisation_id).where(Membership.role == Role.AUTHORITY, Membership.ended_at.is_(None))
    return list(
        session.scalars(
            select(Organisation)
            .where(Organisation.id.in_(buying), Organisation.closed_at.is_(None))
            .order_by(Organisation.name)
        )
    )


def tell_applicant(commission: Commission, act: str, *, at: datetime | None = None) -> None:
    """Tell the project's construction unit, unless it is the client itself and knows."""
    if commission.applicant_id != commission.client_id:
        notifications.tell_organisation(
            commission.applicant_id,
            subject=commission.subject,
            act=act,
            title=commission.title,
            at=at,
            project=commission.project.name,
        )
