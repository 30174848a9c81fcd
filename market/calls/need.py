"""The need before it is published: a draft with a task list, filled in over several sessions or copied (A6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from kernel import clock, money, numbers, trail, workflow
from kernel.accounts import Organisation
from kernel.db import session
from kernel.dossier import Entry
from kernel.errors import Invalids, PortalError
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.trail import Actor
from market import custody, routes
from market.agencies import Agency
from market.calls.faults import (
    AmountAboveRoute,
    AmountInvalid,
    AuctionBeforeClosing,
    BudgetExceeded,
    ClosingOnHoliday,
    ClosingTooSoon,
    FieldMissing,
    FieldTooLong,
    NotACompetition,
    NotARequest,
    StepUnplayable,
    WeightsInvalid,
)
from market.calls.records import NUMBER, Approval, CallDocument, CallForBids, Invitation
from market.catalogue import ServiceItem
from market.commissions import NUMBER as COMMISSION_NUMBER
from market.commissions import STEPS, Commission, CommissionStatus, NotYourProject, Payer, Route
from market.requests import GovernmentPurchase, purchase_of
from market.routes import PriceKind, RankBy, Rules

#: Text fields of a need: name → (Chinese, English, most characters).
TEXTS: dict[str, tuple[str, str, int]] = {
    "title": ("项目名称", "the title", 120),
    "requirement": ("服务内容与要求", "the requirement", 8000),
    "conditions": ("其他资格条件", "further conditions", 2000),
    "contact": ("联系人", "the contact person", 40),
    "telephone": ("联系电话", "the telephone", 40),
    "complaint_telephone": ("投诉电话", "the telephone for complaints", 40),
}
AMOUNTS: dict[str, tuple[str, str]] = {
    "ceiling": ("最高限价", "The ceiling"),
    "step": ("最小降幅", "The step"),
}
#: Everything that :func:`fill` takes.
FIELDS = (*TEXTS, *AMOUNTS, "weights", "most_working_days", "closing_at", "auction_at")


@dataclass(frozen=True, slots=True)
class Task:
    """One line of the task list; ``why`` says what is missing, in both languages, or is empty when done."""

    key: str
    zh: str
    en: str
    why_zh: str = ""
    why_en: str = ""

    @property
    def is_done(self) -> bool:
        return not self.why_zh


def draft_need(
    project: Project,
    item: ServiceItem,
    client: Organisation,
    *,
    by: Actor,
    route: Route,
    payer: Payer = Payer.SELF,
    phase: Phase | None = None,
) -> CallForBids:
    """Begin a need for a project of one's own; nobody else sees it before it is published.

    For another's project an authority begins from the applicant's request: :func:`begin`.

    Raises:
        commissions.NotYourProject, NotACompetition, policies.PolicyMissing.
    """
    if project.organisation_id != client.id or by.organisation_id != client.id:
        if payer is Payer.GOVERNMENT:
            raise NotARequest
        raise NotYourProject(field="project_code", value=project.code)
    commission = Commission(
        number=numbers.following(COMMISSION_NUMBER),
        status=CommissionStatus.DRAFT,
        version=1,
        route=route,
        payer=payer,
        project=project,
        phase=phase,
        item=item,
        client=client,
        applicant_id=project.organisation_id,
        quote=[],
        promised_working_days=item.promised_working_days,
        draft_at=clock.now(),
        materials=[],
        inquiries=[],
    )
    session.add(commission)
    session.flush()
    trail.record(commission.subject, "commission.drafted", by=by, project=project.code, item=item.code)
    if payer is Payer.GOVERNMENT:
        session.add(GovernmentPurchase(commission_id=commission.id))
    return begin(commission, route, by=by)


def begin(commission: Commission, route: Route, *, by: Actor) -> CallForBids:
    """Give a draft commission its call (a draft of one's own, or a request taken up).

    Raises:
        NotACompetition, workflow.MoveNotOpen, policies.PolicyMissing.
    """
    if not route.is_competition:
        raise NotACompetition(field="route", route=route.zh, route_en=route.en)
    workflow.check(commission, STEPS, "publish", by=by)
    policy, rules = routes.current(route, region=commission.project.region)
    commission.route = route
    commission.version += 1
    call = CallForBids(
        number=numbers.following(NUMBER),
        commission=commission,
        policy=policy,
        title=f"{commission.project.name}{commission.item.name}"[: TEXTS["title"][2]],
        requirement=commission.item.content,
        weights=[],
        most_working_days=commission.item.promised_working_days,
        custody=rules.custody,
        invitations=[],
        documents=[],
    )
    session.add(call)
    session.flush()
    return call


def change_route(call: CallForBids, route: Route, *, by: Actor, expected_version: int | None = None) -> None:
    """Choose another route for a draft; what the new route has no use for is forgotten.

    Raises:
        NotACompetition, workflow.MoveNotOpen, policies.PolicyMissing.
    """
    commission = call.commission
    workflow.check(commission, STEPS, "publish", by=by, expected_version=expected_version)
    if not route.is_competition:
        raise NotACompetition(field="route", route=route.zh, route_en=route.en)
    policy, rules = routes.current(route, region=commission.project.region)
    commission.route = route
    call.policy = policy
    call.custody = rules.custody
    if rules.rank_by is not RankBy.ROUNDS:
        call.step = call.auction_at = None
    if rules.rank_by is not RankBy.WEIGHTED:
        call.weights = []
    if rules.price is PriceKind.NONE and not rules.needs_ceiling:
        call.ceiling = None
    if route is not Route.INVITATION:
        invite(call, [], by=by)
    commission.version += 1
    session.flush()


def copy_need(old: CallForBids, project: Project, *, by: Actor, phase: Phase | None = None) -> CallForBids:
    """A new draft with an old need's words, amounts and criteria; dates, documents and keys are its own.

    Raises:
        commissions.NotYourProject: the project or the old need is not the actor's.
    """
    if old.commission.client_id != by.organisation_id:
        raise NotYourProject(field="project_code", value=project.code)
    call = draft_need(
        project,
        old.commission.item,
        old.commission.client,
        by=by,
        route=old.commission.route,
        payer=old.commission.payer,
        phase=phase,
    )
    carry_over(old, call)
    return call


def carry_over(old: CallForBids, call: CallForBids) -> None:
    """Write an old need's words, amounts and criteria into a draft."""
    for name in (*TEXTS, *AMOUNTS, "weights", "most_working_days"):
        setattr(call, name, getattr(old, name))
    for invitation in old.invitations:
        call.invitations.append(Invitation(agency=invitation.agency))
    call.copied_from_id = old.id
    session.flush()


def fill(call: CallForBids, *, by: Actor, expected_version: int | None = None, **given: Any) -> None:
    """Write fields of a draft; what is given is checked at once, what is missing is the task list's to say.

    Amounts in fen, instants aware, ``weights`` a list of {"zh", "en", "weight"} in basis points.

    Raises:
        workflow.MoveNotOpen: it is no draft of the actor's. Invalids: of FieldTooLong, AmountInvalid.
    """
    workflow.check(call.commission, STEPS, "publish", by=by, expected_version=expected_version)
    for name, value in checked(given).items():
        setattr(call, name, value)
    call.commission.version += 1  # an approval is of what was read
    session.flush()


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """The given fields in their stored form. Raises Invalids."""
    faults: list[PortalError] = []
    stored: dict[str, Any] = {}
    for name, value in given.items():
        if name not in FIELDS:
            raise TypeError(f"a need has no field {name!r}")
        if name in TEXTS:
            zh, en, most = TEXTS[name]
            value = value.strip()
            if len(value) > most:
                faults.append(FieldTooLong(field=name, what=zh, what_en=en.capitalize(), most=most))
        elif name in AMOUNTS and value is not None and value <= 0:
            faults.append(AmountInvalid(field=name, what=AMOUNTS[name][0], what_en=AMOUNTS[name][1]))
        elif name == "most_working_days" and value is not None and not 1 <= value <= 999:
            faults.append(AmountInvalid(field=name, what="服务期限", what_en="The service time"))
        stored[name] = value
    if faults:
        raise Invalids(faults)
    return stored


def add_document(
    call: CallForBids, name: str, *, by: Actor, document: Document | None = None, entry: Entry | None = None
) -> CallDocument:
    """Add a document of the need: uploaded, or picked from the project's dossier."""
    workflow.check(call.commission, STEPS, "publish", by=by)
    chosen = entry.document if entry is not None else document
    if not name.strip() or chosen is None:
        raise FieldMissing(field="documents", what="文件", what_en="the document")
    record = CallDocument(name=name.strip(), entry=entry, document=chosen, added_at=clock.now())
    call.documents.append(record)
    call.commission.version += 1
    session.flush()
    return record


def remove_document(call: CallForBids, document: CallDocument, *, by: Actor) -> None:
    workflow.check(call.commission, STEPS, "publish", by=by)
    call.documents.remove(document)
    session.delete(document)
    call.commission.version += 1
    session.flush()


def invite(call: CallForBids, agencies: Sequence[Agency], *, by: Actor) -> None:
    """The agencies that are invited, all at once (route INVITATION)."""
    workflow.check(call.commission, STEPS, "publish", by=by)
    wanted = {agency.id: agency for agency in agencies}
    for invitation in list(call.invitations):
        if invitation.agency_id not in wanted:
            call.invitations.remove(invitation)
            session.delete(invitation)
        else:
            wanted.pop(invitation.agency_id)
    for agency in wanted.values():
        call.invitations.append(Invitation(agency=agency))
    call.commission.version += 1
    session.flush()


def tasks(call: CallForBids) -> list[Task]:
    """What is to be done before the need can be published, in the order of the procedure."""
    commission, rules = call.commission, call.rules
    found = [
        _task("need", ("采购内容", "What is wanted"), _words_missing(call)),
        _task("amounts", ("限价与服务期限", "Ceiling and time"), _amounts_wrong(call, rules)),
        _task("times", ("公告与截止时间", "Notice and closing"), times_wrong(call, rules)),
    ]
    if rules.rank_by is RankBy.WEIGHTED:
        found.append(_task("weights", ("评分标准", "Criteria"), _weights_wrong(call, rules)))
    if commission.route is Route.INVITATION:
        found.append(_task("invitations", ("邀请的机构", "Invited agencies"), _invitations_wrong(call, rules)))
    if commission.payer is Payer.GOVERNMENT:
        found.append(_task("budget", ("预算与采购依据", "Budget and basis"), _budget_wrong(call)))
    kind = rules.custody_for(commission.payer, call.ceiling)
    if not custody.is_ready(call.id, kind):
        found.append(
            Task(
                "keys",
                "开标密钥",
                "Keys of the bids",
                "等待保管方提供本次采购的密钥",
                "waiting for the custodians' keys",
            )
        )
    else:
        found.append(Task("keys", "开标密钥", "Keys of the bids"))
    if needs_approval(call):
        given = approval(call)
        why = (
            ("", "")
            if given is not None and given.is_approved
            else ("等待本单位另一人批准", "waiting for a second person of your organisation")
            if given is None
            else (f"未获批准：{given.reason}", f"not approved: {given.reason}")
        )
        found.append(Task("approval", "批准", "Approval", *why))
    return found


def _task(key: str, name: tuple[str, str], faults: list[PortalError]) -> Task:
    return Task(key, *name, "；".join(fault.text("zh") for fault in faults), "; ".join(f.text("en") for f in faults))


def _words_missing(call: CallForBids) -> list[PortalError]:
    return [
        FieldMissing(field=name, what=zh, what_en=en)
        for name, (zh, en, _most) in TEXTS.items()
        if name != "conditions" and not getattr(call, name)
    ]


def _amounts_wrong(call: CallForBids, rules: Rules) -> list[PortalError]:
    faults: list[PortalError] = []
    route = call.commission.route
    if rules.needs_ceiling and call.ceiling is None:
        faults.append(FieldMissing(field="ceiling", what="最高限价", what_en="the ceiling"))
    if call.most_working_days is None:
        faults.append(FieldMissing(field="most_working_days", what="服务期限", what_en="the service time"))
    if rules.most_amount and (call.ceiling or 0) > rules.most_amount:
        faults.append(
            AmountAboveRoute(field="ceiling", route=route.zh, route_en=route.en, most=money.format(rules.most_amount))
        )
    if rules.rank_by is RankBy.ROUNDS and call.ceiling is not None:
        if call.step is None:
            faults.append(FieldMissing(field="step", what="最小降幅", what_en="the step"))
        elif call.step * rules.rounds >= call.ceiling:
            faults.append(
                StepUnplayable(field="step", rounds=rules.rounds, most=money.format(-(-call.ceiling // rules.rounds)))
            )
    return faults


def times_wrong(call: CallForBids, rules: Rules) -> list[PortalError]:
    """What is wrong with the closing time (and the rounds' start) if the notice went out now."""
    if call.closing_at is None:
        return [FieldMissing(field="closing_at", what="报价截止时间", what_en="the closing time")]
    faults: list[PortalError] = []
    earliest = earliest_closing(rules)
    faults += _on_working_day(call.closing_at, "closing_at", ("截止日期", "The closing date"))
    if call.closing_at < earliest:
        faults.append(
            ClosingTooSoon(
                field="closing_at", days=rules.notice_working_days, earliest=clock.local_date(earliest).isoformat()
            )
        )
    if rules.rank_by is RankBy.ROUNDS:
        if call.auction_at is None:
            faults.append(FieldMissing(field="auction_at", what="竞价开始时间", what_en="the start of the rounds"))
        else:
            faults += _on_working_day(call.auction_at, "auction_at", ("竞价日期", "The date of the rounds"))
            if call.auction_at <= call.closing_at:
                faults.append(AuctionBeforeClosing(field="auction_at"))
    return faults


def amended_wrong(call: CallForBids, *, is_material: bool) -> list[PortalError]:
    """What is wrong with a published call after a correction; a material one lets bidders have the full notice again."""
    rules = call.rules
    faults = [*_words_missing(call), *_amounts_wrong(call, rules)]
    if rules.rank_by is RankBy.WEIGHTED:
        faults += _weights_wrong(call, rules)
    if call.commission.payer is Payer.GOVERNMENT:
        faults += _budget_wrong(call)
    wrong = times_wrong(call, rules)
    if not is_material:  # the notice has stood since its publication
        wrong = [fault for fault in wrong if not isinstance(fault, ClosingTooSoon)]
        if call.closing_at is not None and call.closing_at <= clock.now():
            wrong.append(ClosingTooSoon(field="closing_at", days=0, earliest=clock.today().isoformat()))
    return faults + wrong


def earliest_closing(rules: Rules) -> datetime:
    """The first instant at which a notice that goes out now may close: its last full working day is over."""
    now = clock.now()
    if rules.notice_working_days == 0:
        return now
    return clock.instant_of(clock.china().nth_working_day(clock.local_date(now), rules.notice_working_days))


def _on_working_day(instant: datetime, field: str, what: tuple[str, str]) -> list[PortalError]:
    day = clock.local_date(instant)
    if clock.china().is_working_day(day):
        return []
    return [ClosingOnHoliday(field=field, what=what[0], what_en=what[1], day=day.isoformat())]


def _weights_wrong(call: CallForBids, rules: Rules) -> list[PortalError]:
    total = sum(int(one["weight"]) for one in call.weights)
    if total == rules.quality_weight and all(one["zh"].strip() and one["weight"] > 0 for one in call.weights):
        return []
    return [WeightsInvalid(field="weights", wanted=rules.quality_weight / 100, found=total / 100)]


def _invitations_wrong(call: CallForBids, rules: Rules) -> list[PortalError]:
    least = max(3, rules.minimum(call.commission.payer))
    if len(call.invitations) >= least:
        return []
    return [
        FieldMissing(
            field="invitations", what=f"不少于 {least} 家受邀机构", what_en=f"at least {least} invited agencies"
        )
    ]


def _budget_wrong(call: CallForBids) -> list[PortalError]:
    purchase = purchase_of(call.commission)
    faults: list[PortalError] = []
    if purchase is None or not purchase.budget_line:
        faults.append(FieldMissing(field="budget_line", what="预算科目", what_en="the budget line"))
    if purchase is None or not purchase.purchase_basis:
        faults.append(FieldMissing(field="purchase_basis", what="采购依据", what_en="the basis of the purchase"))
    if purchase is None or purchase.budget is None:
        faults.append(FieldMissing(field="budget", what="预算金额", what_en="the budget"))
    elif call.ceiling is not None and call.ceiling > purchase.budget:
        faults.append(
            BudgetExceeded(field="ceiling", ceiling=money.format(call.ceiling), budget=money.format(purchase.budget))
        )
    return faults


def needs_approval(call: CallForBids) -> bool:
    """Government money above the policy's amount is published by two people (001 §9.2)."""
    amount = call.ceiling or 0
    return call.commission.payer is Payer.GOVERNMENT and amount > call.rules.approval_above


def approval(call: CallForBids) -> Approval | None:
    """The last word on the need as it reads now; a change of the need makes an earlier word void."""
    return session.scalars(
        select(Approval)
        .where(Approval.call_id == call.id, Approval.version == call.commission.version)
        .order_by(Approval.id.desc())
        .limit(1)
    ).first()
