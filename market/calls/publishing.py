"""From the second person's approval to the notice, its corrections and its withdrawal (001 §9.2, A6, journey 8)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from kernel import clock, money, notifications, timekeeping, trail, workflow
from kernel.db import session
from kernel.errors import Invalids
from kernel.trail import Actor
from market import notices, routes
from market.calls import need
from market.calls.faults import ApprovalNotNeeded, CallClosed, CallIncomplete, NothingChanged, SamePerson
from market.calls.records import Approval, CallDocument, CallEdition, CallForBids
from market.commissions import STEPS, Payer, given_reason
from market.notices import NoticeKind
from market.requests import tell_applicant
from market.routes import PriceKind, Rules

trail.name_acts(
    {
        "call.approved": ("批准发布采购公告", "Publication approved"),
        "call.not_approved": ("不同意发布采购公告", "Publication not approved"),
    }
)

#: The smallest step of the database's clock.
TICK = timedelta(microseconds=1)
#: A change of one of these touches what was bid on: bids become unconfirmed and the closing is put off.
MATERIAL = frozenset({"requirement", "conditions", "ceiling", "step", "weights", "most_working_days", "documents"})


def legal_now_under_lock() -> datetime:
    """Legal time read in a statement of its own: a clock read inside the locking statement is read before the wait."""
    moment: datetime = session.connection().execute(text("SELECT portal_now()")).scalar_one()
    return moment


def approve(call: CallForBids, *, is_approved: bool, reason: str = "", by: Actor) -> Approval:
    """A second person of the buyer reads the need as it stands and says yes or no.

    Raises:
        workflow.MoveNotOpen, ApprovalNotNeeded, commissions.ReasonMissing: a no wants its reason.
    """
    workflow.check(call.commission, STEPS, "publish", by=by)
    if not need.needs_approval(call):
        raise ApprovalNotNeeded
    told = reason.strip() if is_approved else given_reason(reason)
    row = Approval(
        call_id=call.id,
        version=call.commission.version,
        is_approved=is_approved,
        reason=told,
        person_id=by.person_id,
        person=by.person,
        at=clock.now(),
    )
    session.add(row)
    session.flush()
    trail.record(
        call.subject, "call.approved" if is_approved else "call.not_approved", by=by, call=call.number, reason=told
    )
    return row


def publish(call: CallForBids, *, by: Actor, expected_version: int | None = None) -> None:
    """Put the notice out: the policy row of today is the call's from now on, bids are taken until the closing.

    Raises:
        workflow.MoveNotOpen, workflow.StaleVersion, CallIncomplete, SamePerson: the approver can't publish.
    """
    commission = call.commission
    workflow.check(commission, STEPS, "publish", by=by, expected_version=expected_version)
    policy, rules = routes.current(commission.route, region=commission.project.region)
    call.policy = policy
    open_tasks = [task for task in need.tasks(call) if not task.is_done]
    if open_tasks:
        raise CallIncomplete(
            what="；".join(f"{task.zh}（{task.why_zh}）" for task in open_tasks),
            what_en="; ".join(f"{task.en} ({task.why_en})" for task in open_tasks),
        )
    given = need.approval(call) if need.needs_approval(call) else None
    if given is not None and given.person_id == by.person_id:
        raise SamePerson
    moment = clock.now()
    call.custody = rules.custody_for(commission.payer, call.ceiling)
    call.floor = floor_of(call.ceiling, rules)
    call.edition = call.bid_edition = 1
    call.published_at = moment
    _expect_closing(call)
    commission.policy = policy.version
    commission.promised_working_days = call.most_working_days or commission.promised_working_days
    _keep_edition(call, [], "", is_material=True, at=moment, by=by)
    workflow.step(
        commission,
        STEPS,
        "publish",
        by=by,
        at=moment,
        call=call.number,
        policy=policy.version,
        closing=call.closing_at,
        ceiling=call.ceiling,
    )
    announce(call, NoticeKind.CALL, call.title, rows(call), at=moment)
    for invitation in call.invitations:
        notifications.tell_organisation(
            invitation.agency.organisation_id,
            subject=call.notice,
            act="commission.published",
            title=f"{call.title}（{call.number}）",
            project=commission.project.name,
        )
    tell_applicant(commission, "commission.published")


def amend(
    call: CallForBids,
    *,
    by: Actor,
    reason: str,
    expected_version: int | None = None,
    add: CallDocument | None = None,
    **given: Any,
) -> CallEdition:
    """Publish a correction; a material one puts the closing off and leaves every bid to be confirmed.

    The caller holds the commission's lock (``find(…, lock=True)``); the clock is read after it.

    Raises:
        CallClosed, NothingChanged, commissions.ReasonMissing, Invalids.
    """
    commission = call.commission
    workflow.check(commission, STEPS, "amend", by=by, expected_version=expected_version)
    _still_open(call, legal_now_under_lock())
    told = given_reason(reason)
    changes = []
    for name, value in need.checked(given).items():
        before = getattr(call, name)
        if value != before:
            changes.append({"field": name, "before": _plain(before), "after": _plain(value)})
            setattr(call, name, value)
    if add is not None:
        call.documents.append(add)
        changes.append({"field": "documents", "before": "", "after": add.name})
    if not changes:
        raise NothingChanged
    is_material = not MATERIAL.isdisjoint(change["field"] for change in changes)
    faults = need.amended_wrong(call, is_material=is_material)
    if faults:
        raise Invalids(faults)
    moment = clock.now()
    call.edition += 1
    if is_material:
        call.bid_edition = call.edition
    call.floor = floor_of(call.ceiling, call.rules)
    commission.promised_working_days = call.most_working_days or commission.promised_working_days
    _expect_closing(call)
    edition = _keep_edition(call, changes, told, is_material=is_material, at=moment, by=by)
    workflow.step(
        commission,
        STEPS,
        "amend",
        by=by,
        at=moment,
        call=call.number,
        edition=call.edition,
        material=is_material,
        fields=[change["field"] for change in changes],
        reason=told,
        closing=call.closing_at,
    )
    announce(
        call,
        NoticeKind.CORRECTION,
        call.title,
        [_row("更正理由", "Reason", told), *(_change_row(change) for change in changes), *rows(call)],
        at=moment,
    )
    return edition


def withdraw(call: CallForBids, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Give the purchase up before the winner has taken it on; unopened bids stay closed for ever.

    Raises:
        commissions.ReasonMissing, workflow.MoveNotOpen.
    """
    told = given_reason(reason)
    commission = call.commission
    was_public = call.published_at is not None
    commission.reason = told
    workflow.step(commission, STEPS, "cancel", by=by, expected_version=expected_version, call=call.number, reason=told)
    call.next_check_at = None
    timekeeping.end_all(commission.subject, by=by)
    if was_public:
        announce(call, NoticeKind.WITHDRAWN, call.title, [_row("终止理由", "Reason", told)])
    tell_applicant(commission, "commission.cancelled")


def floor_of(ceiling: int | None, rules: Rules) -> int | None:
    """The floor in fen that the rules set under a ceiling, or None for none."""
    return -(-ceiling * rules.floor_share // 10_000) if rules.floor_share and ceiling is not None else None


def announce(
    call: CallForBids,
    kind: NoticeKind,
    title: str,
    body: list[dict[str, Any]],
    *,
    at: datetime | None = None,
) -> notices.PublicNotice:
    """A public notice of this call."""
    commission = call.commission
    return notices.publish(
        kind,
        title,
        body,
        call_number=call.number,
        item_code=commission.item.code,
        region=commission.project.region,
        at=at,
    )


def rows(call: CallForBids) -> list[dict[str, Any]]:
    """The notice's content in the order in which a bidder reads it, as {zh, en, value} rows."""
    commission, rules = call.commission, call.rules
    found = [
        _row("采购编号", "Call", call.number),
        _row("服务事项", "Service item", commission.item.name),
        _row("项目", "Project", f"{commission.project.name}（{commission.engineering_code}）"),
        _row("采购人", "Buyer", commission.client.name),
        _row("资金来源", "Paid by", commission.payer.zh, commission.payer.en),
        _row("采购方式", "Route", commission.route.zh, commission.route.en),
        _row("中选规则", "Rule", rules.rank_by.zh, rules.rank_by.en),
        _row("服务内容与要求", "Requirement", call.requirement),
    ]
    if commission.payer is Payer.GOVERNMENT:
        found.append(_row("申请人", "Applicant", commission.applicant.name))
    if call.conditions:
        found.append(_row("其他资格条件", "Further conditions", call.conditions))
    if call.ceiling is not None:
        # Where nobody names a price, the winner gets what the notice says.
        name = ("服务金额", "Fee") if rules.price is PriceKind.NONE else ("最高限价", "Ceiling")
        found.append(_row(*name, money.format(call.ceiling)))
    if call.floor:
        found.append(_row("最低限价", "Floor", money.format(call.floor)))
    if call.step is not None:
        found.append(_row("最小降幅", "Step", money.format(call.step)))
    if call.most_working_days is not None:
        found.append(
            _row(
                "服务期限",
                "Time",
                f"不超过 {call.most_working_days} 个工作日",
                f"{call.most_working_days} working days at most",
            )
        )
    found.extend(
        _row(f"评分项：{one['zh']}", f"Criterion: {one.get('en') or one['zh']}", f"{int(one['weight']) / 100:g}%")
        for one in call.weights
    )
    least = rules.minimum(commission.payer)
    found += [
        _row("参加机构不足", "Fewer bidders", f"少于 {least} 家即流标", f"the call fails with fewer than {least}"),
        _row("报价截止", "Closing", spoken(call.closing_at)),
    ]
    if call.auction_at is not None:
        found.append(_row("竞价开始", "Rounds begin", spoken(call.auction_at)))
    found += [
        _row("联系人", "Contact", f"{call.contact} {call.telephone}"),
        _row("投诉电话", "Complaints", call.complaint_telephone),
    ]
    return found


def spoken(instant: datetime | None) -> str:
    """An instant as a notice writes it, to the second, in Beijing time."""
    return "" if instant is None else instant.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _row(zh: str, en: str, value: str, value_en: str | None = None) -> dict[str, Any]:
    row = {"zh": zh, "en": en, "value": value}
    return row if value_en is None else row | {"value_en": value_en}


def _change_row(change: dict[str, Any]) -> dict[str, Any]:
    zh, en = FIELD_NAMES[change["field"]]
    return _row(f"{zh}更正为", f"{en} now", in_words(change["field"], change["after"]))


def in_words(field: str, value: Any) -> str:
    """A field's value as a notice writes it: amounts in yuan, criteria with their weights."""
    if value is None or value == "":
        return "—"
    if field in need.AMOUNTS:
        return money.format(int(value))
    if field == "weights":
        return "；".join(f"{one['zh']} {int(one['weight']) / 100:g}%" for one in value)
    return spoken(value) if isinstance(value, datetime) else str(value)


#: The fields of a need as a correction names them.
FIELD_NAMES: dict[str, tuple[str, str]] = {
    **{name: (zh, en.removeprefix("the ").capitalize()) for name, (zh, en, _most) in need.TEXTS.items()},
    **{name: (zh, en.removeprefix("The ").capitalize()) for name, (zh, en) in need.AMOUNTS.items()},
    "weights": ("评分标准", "Criteria"),
    "most_working_days": ("服务期限（工作日）", "Working days"),
    "closing_at": ("报价截止时间", "Closing time"),
    "auction_at": ("竞价开始时间", "Start of the rounds"),
    "documents": ("采购文件", "Documents"),
}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return spoken(value)
    return value


def _expect_closing(call: CallForBids) -> None:
    """The close is due the instant *after* the closing: at the closing instant exactly a bid is in time."""
    if call.closing_at is None:
        raise CallIncomplete(what="报价截止时间", what_en="the closing time")
    call.next_check_at = call.closing_at + TICK


def _still_open(call: CallForBids, moment: datetime) -> None:
    if call.closing_at is not None and moment > call.closing_at:
        raise CallClosed(closing=spoken(call.closing_at))


def _keep_edition(
    call: CallForBids, changes: list[Any], reason: str, *, is_material: bool, at: datetime, by: Actor
) -> CallEdition:
    if call.closing_at is None:
        raise CallIncomplete(what="报价截止时间", what_en="the closing time")
    edition = CallEdition(
        call_id=call.id,
        edition=call.edition,
        is_material=is_material,
        changes=changes,
        reason=reason,
        content={"rows": rows(call)},
        closing_at=call.closing_at,
        at=at,
        by=by.person,
    )
    session.add(edition)
    session.flush()
    return edition
