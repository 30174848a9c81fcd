"""The life of a commission: its acts, who may do them, and the one table of steps (life-cycles §2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from kernel import clock, policies, timekeeping, trail, workflow
from kernel.access import Role
from kernel.trail import Actor
from market.commissions.records import Commission, CommissionStatus, InquiryKind, Route

trail.name_acts(
    {
        "commission.requested": ("申请政府付费服务", "Government-paid service requested"),
        "commission.taken_up": ("主管部门受理申请", "Request taken up by the authority"),
        "commission.request_declined": ("主管部门未予受理", "Request declined by the authority"),
        "commission.request_withdrawn": ("撤回申请", "Request withdrawn"),
        "commission.drafted": ("填写委托", "Commission drafted"),
        "commission.published": ("发布采购公告", "Call for bids published"),
        "commission.amended": ("发布更正公告", "Correction notice published"),
        "commission.extended": ("顺延截止时间", "Closing time extended"),
        "bidding.closed": ("报价截止", "Bidding closed"),
        "bids.opened": ("开标", "Bids opened"),
        "call.failed": ("流标", "Call failed"),
        "commission.rerun": ("重新组织采购", "Call run again"),
        "award.published": ("公示中选结果", "Award publicised"),
        "award.overturned": ("异议成立，撤销中选结果", "Award overturned"),
        "award.refused": ("中选机构放弃", "Award refused by the winner"),
        "award.lapsed": ("中选机构逾期未接受", "Winner did not answer in time"),
        "objection.filed": ("提出异议", "Objection filed"),
        "objection.rejected": ("异议不成立", "Objection rejected"),
        "contract.confirmed": ("确认合同", "Contract confirmed"),
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


# Who may do what: predicates named as the life-cycle table names the parties.


def by_client(commission: Commission, actor: Actor) -> bool:
    return actor.organisation_id == commission.client_id and actor.has(
        Role.APPLICANT.value, Role.AUTHORITY.value, Role.ASSISTANT.value
    )


def by_applicant(commission: Commission, actor: Actor) -> bool:
    """The project's construction unit: accepts the deliverable whoever pays (001 §9.4)."""
    return actor.organisation_id == commission.applicant_id and actor.has(
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


def by_buyer(commission: Commission, actor: Actor) -> bool:
    """The client of a competition."""
    return commission.route.is_competition and by_client(commission, actor)


def by_winner(commission: Commission, actor: Actor) -> bool:
    """The agency that a competition chose."""
    return commission.route.is_competition and by_agency(commission, actor)


def by_buyer_or_winner(commission: Commission, actor: Actor) -> bool:
    return by_buyer(commission, actor) or by_winner(commission, actor)


def by_client_or_clock(commission: Commission, actor: Actor) -> bool:
    return by_client(commission, actor) or by_clock(commission, actor)


def by_custodian(commission: Commission, actor: Actor) -> bool:
    """Whoever may hold a key; whose key it is, the opening itself looks up."""
    return by_client(commission, actor) or actor.has(Role.OPERATOR.value, Role.SUPERVISOR.value, "clock")


def by_operator(commission: Commission, actor: Actor) -> bool:
    return actor.has(Role.OPERATOR.value)


def by_an_agency(commission: Commission, actor: Actor) -> bool:
    """Any agency; that it took part, the objection itself looks up."""
    return actor.has(Role.AGENCY.value)


def by_review_body(commission: Commission, actor: Actor) -> bool:
    """The agency of a service that is itself a technical review."""
    return commission.item.technical_review and by_agency(commission, actor)


def by_panel_of(commission: Commission, actor: Actor) -> bool:
    """An authority that put the deliverable before a panel (001 §9.4); that this one did, the review itself knows."""
    return actor.has(Role.AUTHORITY.value, Role.APPROVER.value, Role.CENTRE.value)


#: The whole life, one row a move (life-cycles §2).
STEPS: workflow.Steps = {
    "take_up": workflow.Step(("requested",), "draft", "commission.taken_up", by_client),
    "decline_request": workflow.Step(("requested",), "declined", "commission.request_declined", by_client),
    "withdraw_request": workflow.Step(("requested",), "cancelled", "commission.request_withdrawn", by_applicant),
    "publish": workflow.Step(("draft",), "open", "commission.published", by_buyer),
    "amend": workflow.Step(("open",), None, "commission.amended", by_client),
    "extend_closing": workflow.Step(("open",), None, "commission.extended", by_operator),
    "reopen": workflow.Step(("evaluating", "failed"), "open", "commission.extended", by_operator),
    "close": workflow.Step(("open",), "evaluating", "bidding.closed", by_clock),
    "open_bids": workflow.Step(("evaluating",), None, "bids.opened", by_custodian),
    "fail": workflow.Step(("open", "evaluating"), "failed", "call.failed", by_client_or_clock),
    "rerun": workflow.Step(("failed",), None, "commission.rerun", by_client),
    "award": workflow.Step(("evaluating",), "publicised", "award.published", by_client_or_clock),
    "object": workflow.Step(("publicised",), None, "objection.filed", by_an_agency),
    "reject_objection": workflow.Step(("publicised",), None, "objection.rejected", by_client),
    "overturn": workflow.Step(("publicised",), "evaluating", "award.overturned", by_client),
    "confirm": workflow.Step(("publicised",), "offered", "commission.offered", by_clock),
    "refuse_award": workflow.Step(("offered",), "evaluating", "award.refused", by_winner),
    "lapse_award": workflow.Step(("offered",), "evaluating", "award.lapsed", by_clock),
    "confirm_contract": workflow.Step(("taken_on",), None, "contract.confirmed", by_buyer_or_winner),
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
    "return": workflow.Step(("delivered",), "in_service", "service.returned", by_applicant),
    "accept": workflow.Step(("delivered",), "finished", "service.finished", by_applicant),
    "publish_report": workflow.Step(("in_service",), "finished", "service.finished", by_review_body),
    "panel_return": workflow.Step(("delivered",), "in_service", "service.returned", by_panel_of),
    "panel_accept": workflow.Step(("delivered",), "finished", "service.finished", by_panel_of),
    "terminate": workflow.Step(("in_service", "delivered"), "terminated", "commission.terminated", by_either),
    "cancel": workflow.Step(
        ("draft", "open", "evaluating", "publicised", "offered"), "cancelled", "commission.cancelled", by_client
    ),
}


#: Done on the pages of the call, the objection and the request, each by a verb that knows more than this table.
ON_CALL_PAGES = frozenset(
    {
        "take_up", "decline_request", "withdraw_request", "publish", "amend", "extend_closing", "reopen", "close", "open_bids",
        "fail", "rerun", "award", "object", "reject_objection", "overturn", "confirm", "refuse_award",
        "confirm_contract",
    }
)  # fmt: skip


#: Done by the technical review that the service is, or that judges its result.
ON_REVIEW_PAGES = frozenset({"publish_report", "panel_return", "panel_accept"})


_HELD = frozenset({"deliver", "return", "accept"})
#: Commission → the number of what stands between its result and its acceptance, or None.
Hold = Callable[[Commission], str | None]
_holds: list[Hold] = []


def hold_by(*holds: Hold) -> None:
    """What may keep a result from being handed in or accepted by the two sides alone (``app.py``; 001 §9.4)."""
    _holds[:] = holds


def held_by(commission: Commission) -> str | None:
    """The number of the review that holds a commission's result now, or None."""
    return next((number for hold in _holds if (number := hold(commission)) is not None), None)


def may_take_back(commission: Commission) -> bool:
    """Within the minutes of the policy, and the agency has not acted."""
    return (
        commission.status == CommissionStatus.OFFERED
        and commission.offered_at is not None
        and not commission.route.is_competition
        and not any(inquiry.opened_at >= commission.offered_at for inquiry in commission.inquiries)
        and clock.now() < commission.offered_at + timedelta(minutes=take_back_minutes())
    )


def take_back_minutes() -> int:
    return int(policies.current("agency_response").values["take_back_minutes"])


def moves(commission: Commission, by: Actor) -> list[str]:
    """The actions open to ``by`` now: the table's, less those whose own condition does not hold."""
    open_ones = workflow.moves(commission, STEPS, by)
    asked = {inquiry.kind for inquiry in commission.inquiries if inquiry.closed_at is None}
    closed = set(ON_CALL_PAGES | ON_REVIEW_PAGES)
    if commission.route.is_competition:
        closed |= {"offer", "cancel"}  # the call's result does the one, its withdrawal on its own page the other
    elif commission.route is Route.DIRECT:
        closed.add("offer")  # on the request's page, which checks the limit
    if not may_take_back(commission):
        closed.add("take_back")
    if InquiryKind.MATERIALS in asked:
        closed |= {"request_materials", "take_on"}
    else:
        closed.add("supply_materials")
    closed |= {"pause"} if InquiryKind.PAUSE in asked else {"resume"}
    if not closed.issuperset(_HELD & set(open_ones)) and held_by(commission) is not None:
        closed |= _HELD
    return [name for name in open_ones if name not in closed]


def can_see(commission: Commission, actor: Actor) -> bool:
    """See :func:`is_visible`."""
    agency = commission.agency.organisation_id if commission.agency is not None else None
    return is_visible(
        commission.client_id,
        agency,
        commission.offered_at,
        commission.status,
        actor,
        applicant_id=commission.applicant_id,
    )


def is_visible(
    client_id: int,
    agency_organisation_id: int | None,
    offered_at: datetime | None,
    status: CommissionStatus,
    actor: Actor,
    *,
    applicant_id: int | None = None,
) -> bool:
    """The two sides and the applicant; the agency only once the offer was made; supervisors and auditors."""
    if actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value) or actor.organisation_id in {client_id, applicant_id}:
        return True
    return (
        agency_organisation_id is not None
        and actor.organisation_id == agency_organisation_id
        and offered_at is not None
        and status != CommissionStatus.DRAFT
    )
