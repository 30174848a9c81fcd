"""A commission as its page shows it: steps, clocks with the reason why, figures, next action, history."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from kernel import clock, money, timekeeping, trail
from kernel.clock import Event, EventKind, Light, Reading
from kernel.db import session
from kernel.dossier import Entry
from kernel.policies import Policy
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import Actor, TrailAct
from kernel.web import bracketed, choose, day, instant, language
from market import commissions, services
from market.commissions import Commission, CommissionStatus, Inquiry, InquiryKind
from market.deliverables import Deliverable, Result
from market.web.forms import Words

#: The six steps of 001 §9, each with the stamp that closes it.
STEPS: tuple[tuple[Words, str], ...] = (
    (("服务委托", "Commission"), "offered_at"),
    (("接受委托", "Take on"), "taken_on_at"),
    (("开始受理服务", "Start"), "in_service_at"),
    (("提交成果报告", "Deliver"), "delivered_at"),
    (("认可成果", "Accept"), "finished_at"),
    (("结束", "Finish"), "finished_at"),
)
#: How many of the steps are behind a commission in each state.
_PASSED = {
    CommissionStatus.REQUESTED: 0,
    CommissionStatus.DRAFT: 0,
    CommissionStatus.OFFERED: 1,
    CommissionStatus.TAKEN_ON: 2,
    CommissionStatus.IN_SERVICE: 3,
    CommissionStatus.DELIVERED: 4,
    CommissionStatus.FINISHED: 6,
}
#: The steps when the agency is found by a competition (life-cycles §2).
CALL_STEPS: tuple[tuple[Words, str], ...] = (
    (("需求", "Need"), "open_at"),
    (("公告", "Notice"), "evaluating_at"),
    (("开标", "Opening"), "publicised_at"),
    (("公示", "Publicity"), "offered_at"),
    (("委托", "Commission"), "taken_on_at"),
    (("服务", "Service"), "delivered_at"),
    (("成果", "Deliverable"), "finished_at"),
)
_CALL_PASSED = {
    CommissionStatus.REQUESTED: 0,
    CommissionStatus.DRAFT: 0,
    CommissionStatus.OPEN: 1,
    CommissionStatus.EVALUATING: 2,
    CommissionStatus.PUBLICISED: 3,
    CommissionStatus.OFFERED: 4,
    CommissionStatus.TAKEN_ON: 5,
    CommissionStatus.IN_SERVICE: 5,
    CommissionStatus.DELIVERED: 6,
    CommissionStatus.FINISHED: 7,
}
STATUS_KINDS = {
    CommissionStatus.REQUESTED: "warn",
    CommissionStatus.OPEN: "good",
    CommissionStatus.EVALUATING: "info",
    CommissionStatus.PUBLICISED: "info",
    CommissionStatus.FAILED: "bad",
    CommissionStatus.DECLINED: "bad",
    CommissionStatus.DRAFT: "neutral",
    CommissionStatus.OFFERED: "info",
    CommissionStatus.TAKEN_ON: "info",
    CommissionStatus.IN_SERVICE: "info",
    CommissionStatus.DELIVERED: "warn",
    CommissionStatus.FINISHED: "good",
    CommissionStatus.TERMINATED: "bad",
    CommissionStatus.CANCELLED: "neutral",
}
OPEN = (
    CommissionStatus.REQUESTED,
    CommissionStatus.DRAFT,
    CommissionStatus.OPEN,
    CommissionStatus.EVALUATING,
    CommissionStatus.PUBLICISED,
    CommissionStatus.OFFERED,
    CommissionStatus.TAKEN_ON,
    CommissionStatus.IN_SERVICE,
    CommissionStatus.DELIVERED,
)
_KEY = re.compile(r"\b(materials|pause|acceptance|objection|round):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Related:
    """Something about a commission that has a page of its own elsewhere.

    ``action``, ``title``, ``explain``: this person's work is there now; words of the button, and of what to do.
    """

    label: str
    url: str
    text: str
    action: str = ""
    title: str = ""
    explain: str = ""


_related: list[Callable[[str, Actor], Sequence[Related]]] = []


def related_by(*known: Callable[[str, Actor], Sequence[Related]]) -> None:
    """Parts of the portal above this one say here what they show of a commission, by its number (``app.py``)."""
    _related[:] = known


def related(number: str, actor: Actor) -> tuple[Related, ...]:
    """What else there is to see about a commission, for this person."""
    return tuple(one for known in _related for one in known(number, actor))


def tracker(commission: Commission) -> list[dict[str, Any]]:
    """The six steps for ``ui.tracker``, or the seven of a competition."""
    is_call = commission.route.is_competition
    row, behind = (CALL_STEPS, _CALL_PASSED) if is_call else (STEPS, _PASSED)
    passed = behind.get(commission.status)
    is_over = passed is None
    if passed is None:
        passed = sum(1 for _label, stamp in row if getattr(commission, stamp) is not None)
    steps = []
    for index, (label, stamp) in enumerate(row):
        state = "done" if index < passed else "todo"
        if index == passed:
            state = "stopped" if is_over else "now"
        at = getattr(commission, stamp) if state == "done" else None
        # A finished step shows its instant in place of the word for "done".
        note = commission.status.label(language()) if state == "stopped" else instant(at) or None
        steps.append({"label": choose(*label), "state": state, "at": None, "note": note})
    return steps


# Clocks


@dataclass(frozen=True, slots=True)
class Figures:
    """The four figures of a service, in working days (life-cycles §2): gross = agency + client."""

    gross: int
    agency: int
    client: int
    promise: int


def running_clocks(subjects: Sequence[str]) -> dict[str, list[StoredClock]]:
    """The clocks that run on each of these subjects, and the ended service clocks, in one question."""
    found: dict[str, list[StoredClock]] = {}
    if subjects:
        rows = session.scalars(
            select(StoredClock).where(
                StoredClock.subject.in_(subjects),
                StoredClock.ended_at.is_(None) | (StoredClock.kind == ClockKind.SERVICE),
            )
        )
        for stored in rows:
            found.setdefault(stored.subject, []).append(stored)
    return found


def leading(stored: Iterable[StoredClock]) -> StoredClock | None:
    """The clock that presses now: a running one before an ended one, the acceptance clock before the others."""
    ranked = sorted(stored, key=lambda one: (one.ended_at is not None, one.kind != ClockKind.ACCEPTANCE, one.id))
    return ranked[0] if ranked else None


def figures(stored: StoredClock, reading: Reading) -> Figures:
    """Gross is the same clock without its pauses."""
    bare = [
        Event(clock.local_date(event.at), event.event)
        for event in stored.events
        if event.event in (EventKind.START, EventKind.END)
    ]
    whole = clock.read(
        clock.Timer(stored.unit, stored.limit, stored.warn),
        clock.Ruleset(stored.pause_day, stored.resume_day),
        bare,
        clock.today(),
        clock.china(),
        account=False,
    )
    return Figures(whole.used, reading.used, whole.used - reading.used, stored.limit)


def box(stored: StoredClock, commission: Commission) -> dict[str, Any]:
    """A clock for ``ui.clock_box``, with every day's reason."""
    reading = timekeeping.reading(stored, account=True, language=language())
    extension = sum(event.days or 0 for event in stored.events if event.event == EventKind.EXTEND)
    due_text = day(reading.due)
    notes = []
    if reading.provisional:
        due_text += choose("（暂定）", " (provisional)") if due_text else ""
        notes.append(
            choose(
                "期间涉及放假安排尚未公布的年度，到期日为暂定，公布后自动重新计算。",
                "It reaches into a year whose holidays are not announced yet; the date is provisional and will be reckoned again.",
            )
        )
    if reading.if_resumed_due is not None and stored.ended_at is None:
        notes.append(
            choose(
                f"如今日恢复计时，到期日为 {day(reading.if_resumed_due)}。",
                f"If resumed today, it is due on {day(reading.if_resumed_due)}.",
            )
        )
    if extension:
        notes.append(
            choose(
                f"承诺 {stored.limit} 个工作日，经委托人同意延长 {extension} 个工作日。",
                f"Promised {stored.limit} working days, extended by {extension} with the client's consent.",
            )
        )
    return {
        "kind": stored.kind,
        "title": stored.kind.label(language()),
        "light": reading.light.value,
        "label": reading.light.label(language()),
        "left": reading.left,
        "used": reading.used,
        "limit": reading.used + reading.left,
        "due_text": due_text,
        "promise_text": " ".join(notes) if language() == "en" else "".join(notes),
        "why_days": [
            {"on": day(one.on), "counted": one.counted, "why": _explained(one.why)} for one in reversed(reading.days)
        ],
        "pauses": _pauses(stored, commission),
        "rule_text": _rule(stored),
        "figures": figures(stored, reading) if stored.kind == ClockKind.SERVICE else None,
    }


def boxes(commission: Commission) -> list[dict[str, Any]]:
    """The clocks of a commission that matter in its present state, the pressing one first."""
    wanted: tuple[ClockKind, ...]
    if commission.status == CommissionStatus.REQUESTED:
        wanted = (ClockKind.REQUEST,)
    elif commission.status == CommissionStatus.PUBLICISED:
        wanted = (ClockKind.PUBLICITY,)
    elif commission.status == CommissionStatus.OFFERED:
        wanted = (ClockKind.AGENCY_RESPONSE,)
    elif commission.status == CommissionStatus.DELIVERED:
        wanted = (ClockKind.ACCEPTANCE, ClockKind.SERVICE)
    elif commission.in_service_at is not None:
        wanted = (ClockKind.SERVICE,)
    else:
        wanted = ()
    found = timekeeping.latest_of(commission.subject) if wanted else {}
    return [box(found[kind], commission) for kind in wanted if kind in found]


def start_preview(commission: Commission) -> dict[str, str]:
    """What pressing *start* today would mean: first counted day, due day, and whether that is provisional."""
    today, calendar = clock.today(), clock.china()
    due = calendar.nth_working_day(today, commission.promised_working_days)
    first = calendar.nth_working_day(today, 1)
    provisional = calendar.is_provisional(due)
    return {
        "today": day(today),
        "first": day(first),
        "due": day(due) + (choose("（暂定）", " (provisional)") if provisional else ""),
    }


def _pauses(stored: StoredClock, commission: Commission) -> list[dict[str, Any]]:
    calendar, today = clock.china(), clock.today()
    opened: dict[str, Any] = {}
    pauses: list[dict[str, Any]] = []
    for event in stored.events:
        key = event.key or ""
        if event.event == EventKind.STOP and key not in opened:
            opened[key] = event
        elif event.event == EventKind.GO and key in opened:
            pauses.append(_pause(opened.pop(key), event.at, commission))
    # The end of the clock ends a pause that nothing else has ended.
    pauses += [_pause(event, stored.ended_at, commission) for event in opened.values()]
    for pause in pauses:
        first = clock.local_date(pause["from"])
        last = clock.local_date(pause["to"]) if pause["to"] else today
        if not stored.pause_day:
            first = calendar.nth_working_day(first, 1)
        pause["days"] = calendar.working_days(first, last) if first <= last else 0
    return pauses


def _pause(stop: Any, go: datetime | None, commission: Commission) -> dict[str, Any]:
    reason = _key_words(stop.key or "")
    if stop.reason:
        reason += bracketed(stop.reason)
    return {
        "reason": reason,
        "from": stop.at,
        "to": go,
        "since": instant(stop.at),
        "until": instant(go) or None,
    }


def _explained(why: str) -> str:
    return _KEY.sub(lambda found: _key_words(found.group(0)), why)


def _key_words(key: str) -> str:
    kind, _, number = key.partition(":")
    return {
        "materials": choose(f"待补齐材料（第 {number} 次告知）", f"waiting for materials (notice {number})"),
        "pause": choose(f"待委托人配合（第 {number} 次）", f"waiting for the client (notice {number})"),
        "round": choose(f"第 {number} 轮审查意见待申请人答复", f"opinions of round {number} wait for the applicant"),
        "objection": choose("异议待答复", "an objection waits for its answer"),
        "acceptance": choose(f"第 {number} 版成果待认可", f"edition {number} waiting for acceptance"),
    }.get(kind, key)


def _rule(stored: StoredClock) -> str:
    """The rule in words: unit, start day, pause days, calendar and the text it comes from."""
    if stored.pause_day and stored.resume_day:
        pauses = choose("暂停当日和恢复当日均不计入。", "Both the first and the last day of a pause are left out.")
    elif stored.pause_day:
        pauses = choose("暂停当日不计入，恢复当日计入。", "The first day of a pause is left out, its last day counts.")
    elif stored.resume_day:
        pauses = choose("暂停当日计入，恢复当日不计入。", "The first day of a pause counts, its last day is left out.")
    else:
        pauses = choose("暂停当日和恢复当日均计入。", "Both the first and the last day of a pause count.")
    text = choose(
        "按工作日计算，节假日和调休以国务院办公厅通知为准；开始当日不计入，到期当日不算逾期。",
        "Counted in working days by the official holiday notices. The day of the start is not counted, and the due day itself is not overdue. ",
    )
    source = _source(stored.policy)
    return text + pauses + (choose(f"依据：{source}。", f" Source: {source}.") if source else "")


def _source(version: str) -> str:
    key = version.rpartition("/")[2]
    policy = session.get(Policy, int(key)) if key.isdigit() else None
    return policy.source if policy else ""


# Whose turn it is


def is_client(commission: Commission, actor: Actor) -> bool:
    return actor.organisation_id == commission.client_id


def is_applicant(commission: Commission, actor: Actor) -> bool:
    """The project's construction unit, whoever buys."""
    return actor.organisation_id == commission.applicant_id


def is_agency(commission: Commission, actor: Actor) -> bool:
    return commission.agency is not None and actor.organisation_id == commission.agency.organisation_id


def available(commission: Commission, actor: Actor) -> list[str]:
    """The actions open to ``actor`` now; answers to an extension only while one is proposed."""
    open_ones = commissions.moves(commission, actor)
    if not {"propose_extension", "agree_extension"}.isdisjoint(open_ones):
        if services.open_extension(commission) is None:
            open_ones = [name for name in open_ones if name not in ("agree_extension", "refuse_extension")]
        else:
            open_ones = [name for name in open_ones if name != "propose_extension"]
    return open_ones


#: States in which the buyer is next whatever else is open.
_CLIENTS_TURN = (
    CommissionStatus.REQUESTED,
    CommissionStatus.DRAFT,
    CommissionStatus.EVALUATING,
    CommissionStatus.FAILED,
)


def waits_for(commission: Commission, actor: Actor, extensions: Mapping[int, object]) -> bool:
    """Whether the next act is the actor's side's; ``extensions`` holds open proposals by commission id."""
    asked = {inquiry.kind for inquiry in commission.inquiries if inquiry.closed_at is None}
    status = commission.status
    if is_applicant(commission, actor) and status == CommissionStatus.DELIVERED:
        return True
    if is_client(commission, actor):
        return (
            status in _CLIENTS_TURN
            or bool(asked)
            or (status == CommissionStatus.IN_SERVICE and commission.id in extensions)
        )
    if is_agency(commission, actor):
        return (
            (status == CommissionStatus.OFFERED and InquiryKind.MATERIALS not in asked)
            or status == CommissionStatus.TAKEN_ON
            or (status == CommissionStatus.IN_SERVICE and InquiryKind.PAUSE not in asked)
        )
    return False


def next_step(commission: Commission, actor: Actor, open_ones: Sequence[str]) -> tuple[Words, Words]:
    """Heading and one sentence for the box "what is mine to do"."""
    status = commission.status
    asked = {inquiry.kind for inquiry in commission.inquiries if inquiry.closed_at is None}
    if is_applicant(commission, actor) and status == CommissionStatus.DELIVERED:
        return _CLIENT[status]
    if is_client(commission, actor) and status == CommissionStatus.DELIVERED:
        return ("等待申请人认可成果", "Waiting for the applicant's acceptance"), _WATCHED[status]
    if is_client(commission, actor):
        return _client_step(commission, status, asked, open_ones)
    if is_agency(commission, actor):
        return _agency_step(status, asked)
    return ("办理情况", "Status"), _WATCHED[status]


def _client_step(
    commission: Commission, status: CommissionStatus, asked: set[InquiryKind], open_ones: Sequence[str]
) -> tuple[Words, Words]:
    if status == CommissionStatus.DRAFT and commission.route.is_competition:
        return ("请完成采购需求", "Complete the need"), (
            "逐项填写后核对发布；发布前其他单位看不到。",
            "Fill in each part, check and publish; nobody else sees it before.",
        )
    if status == CommissionStatus.DRAFT and commission.reason:
        return (
            ("请改选机构，或修改后重新委托", "Choose another agency, or change the commission"),
            (f"机构未接受委托，理由：{commission.reason}", f"The agency declined: {commission.reason}"),
        )
    if InquiryKind.MATERIALS in asked:
        return ("请补齐材料", "Supply what is missing"), (
            "机构已一次性告知需要补齐的材料，补齐前接受委托时限暂停。",
            "The agency has listed everything it needs; its time to answer stands still until you supply it.",
        )
    if InquiryKind.PAUSE in asked:
        return ("请配合机构完成以下事项", "The agency needs something from you"), (
            "在您答复之前，服务时限暂停计时。",
            "The service clock stands still until you answer.",
        )
    if "agree_extension" in open_ones:
        return ("请答复延长时限的申请", "Answer the proposed extension"), (
            "机构申请延长服务时限，不答复则时限不变。",
            "The agency asks for more working days; without your answer nothing changes.",
        )
    return _CLIENT[status]


def _agency_step(status: CommissionStatus, asked: set[InquiryKind]) -> tuple[Words, Words]:
    if InquiryKind.MATERIALS in asked:
        return ("等待委托人补齐材料", "Waiting for the client's materials"), (
            "补齐前接受委托时限暂停，补齐后继续计时。",
            "Your time to answer stands still meanwhile.",
        )
    if InquiryKind.PAUSE in asked:
        return ("等待委托人配合", "Waiting for the client"), (
            "服务时限已暂停，委托人答复后恢复计时；成果已完成的，可以直接提交。",
            "The service clock stands still until the client answers; a finished deliverable can be handed in all the same.",
        )
    return _AGENCY[status]


_ENDED: dict[CommissionStatus, tuple[Words, Words]] = {
    CommissionStatus.FINISHED: (
        ("服务已办结", "The service is finished"),
        (
            "成果已归入项目材料库，审批部门可在项目代码下直接引用，无需重复提交。",
            "The deliverable stands in the project's dossier; authorities can rely on it without another upload.",
        ),
    ),
    CommissionStatus.DECLINED: (
        ("申请未予受理", "The request was declined"),
        ("理由见办理记录。", "The reason stands in the history."),
    ),
    CommissionStatus.FAILED: (
        ("流标", "The call failed"),
        (
            "报价机构不足，报价未开启；采购人可以重新组织采购。",
            "Too few took part and no bid was opened; the buyer may run it again.",
        ),
    ),
    CommissionStatus.TERMINATED: (
        ("服务已终止", "The service was terminated"),
        ("已形成的办理记录和时间均予保留。", "What was stamped and recorded stays."),
    ),
    CommissionStatus.CANCELLED: (
        ("委托已取消", "The commission was cancelled"),
        ("如仍需服务，可重新选择服务并委托。", "If the service is still needed, choose one and commission it again."),
    ),
}
_UNDER_WAY: dict[CommissionStatus, tuple[Words, Words]] = {
    CommissionStatus.REQUESTED: (
        ("待主管部门受理", "Waiting for the authority"),
        ("申请已送达主管部门。", "The request is with the authority."),
    ),
    CommissionStatus.OPEN: (
        ("采购公告中", "The call is open"),
        (
            "截止前不公布报价家数，报价开标前任何人都看不到。",
            "How many bid is told after the closing; nobody sees a bid before the opening.",
        ),
    ),
    CommissionStatus.EVALUATING: (
        ("报价已截止", "Bidding is closed"),
        ("开标、评审和定标在采购公告页面办理。", "Opening, evaluation and award are on the page of the call."),
    ),
    CommissionStatus.PUBLICISED: (
        ("中选结果公示中", "The result is publicised"),
        ("公示期满没有异议的，自动委托中选机构。", "Without an objection the winner is commissioned at its end."),
    ),
}
_CLIENT: dict[CommissionStatus, tuple[Words, Words]] = (
    _ENDED
    | _UNDER_WAY
    | {
        CommissionStatus.DRAFT: (
            ("请核对并发出委托", "Check and send the commission"),
            ("发出前机构看不到此件。", "The agency does not see it before you send it."),
        ),
        CommissionStatus.OFFERED: (
            ("等待机构接受委托", "Waiting for the agency"),
            (
                "机构逾期未答复的，委托自动退回，您可改选其他机构。",
                "If it does not answer in time, the commission comes back to you and you can choose another.",
            ),
        ),
        CommissionStatus.TAKEN_ON: (
            ("等待机构开始受理服务", "Waiting for the agency to start"),
            ("机构点击“开始受理服务”后，承诺时限开始计算。", "The promised days run from the agency's start."),
        ),
        CommissionStatus.IN_SERVICE: (
            ("机构正在服务", "The agency is at work"),
            ("成果提交后将通知您认可。", "You will be told when the deliverable is handed in."),
        ),
        CommissionStatus.DELIVERED: (
            ("请核对成果并认可或退回", "Check the deliverable; accept or return it"),
            (
                "认可后成果归入项目材料库，服务随即办结；不答复不视为认可。",
                "Accepting puts it into the project's dossier and finishes the service. Silence is not acceptance.",
            ),
        ),
    }
)
_AGENCY: dict[CommissionStatus, tuple[Words, Words]] = (
    _ENDED
    | _UNDER_WAY
    | {
        CommissionStatus.DRAFT: (
            ("委托已收回", "The commission went back"),
            ("委托人可修改后重新委托。", "The client may change it and commission again."),
        ),
        CommissionStatus.OFFERED: (
            ("请答复委托", "Answer the commission"),
            (
                "请核对材料。材料齐全的接受委托；需要补齐的，一次性告知全部内容。",
                "Check the materials. Take the commission on, or ask once for everything that is missing.",
            ),
        ),
        CommissionStatus.TAKEN_ON: (
            ("请开始受理服务", "Start the service"),
            (
                "开始后按承诺时限计时，开始时间一经记录不可更改。",
                "From the start the promised days run. The instant is stamped and cannot be changed.",
            ),
        ),
        CommissionStatus.IN_SERVICE: (
            ("请按期提交成果报告", "Hand the deliverable in on time"),
            (
                "需要委托人配合的，可一次列明事项并暂停计时。",
                "If you need something only the client can do, list it; the clock stands still meanwhile.",
            ),
        ),
        CommissionStatus.DELIVERED: (
            ("等待委托人认可成果", "Waiting for the client's acceptance"),
            ("等待期间不计入服务时限。", "This time is not counted as yours."),
        ),
    }
)
_WATCHED: dict[CommissionStatus, Words] = {status: text for status, (_title, text) in (_ENDED | _UNDER_WAY).items()} | {
    CommissionStatus.DRAFT: ("委托人正在填写。", "The client is drafting."),
    CommissionStatus.OFFERED: ("等待机构接受委托。", "Waiting for the agency."),
    CommissionStatus.TAKEN_ON: ("等待机构开始受理服务。", "Waiting for the agency to start."),
    CommissionStatus.IN_SERVICE: ("机构正在服务。", "The agency is at work."),
    CommissionStatus.DELIVERED: ("等待委托人认可成果。", "Waiting for the client's acceptance."),
}


# History


def history(
    commission: Commission, editions: Sequence[Deliverable], entries: Sequence[Entry], *, is_whole: bool
) -> list[dict[str, Any]]:
    """The acts on the commission, its deliverables and their dossier entries, newest first, for ``ui.history``.

    Without ``is_whole`` it begins at the present offer: an agency does not read what went on with another before.
    """
    acts: list[TrailAct] = trail.of(commission.subject)
    if not is_whole:
        offers = [index for index, act in enumerate(acts) if act.act == "commission.offered"]
        acts = acts[offers[-1] :] if offers else []
    # Handing in and returning are told by the deliverable's own acts, with more in them.
    acts = [act for act in acts if act.act not in ("service.delivered", "service.returned")]
    subjects = [one.subject for one in editions] + [one.subject for one in entries]
    # Who relied on a document is the dossier's business.
    acts += [act for act in trail.of(*subjects) if act.act != "document.relied_on"]
    acts.sort(key=lambda act: (act.at, act.id), reverse=True)
    return [entry(act) for act in acts]


def open_notices(commission: Commission) -> list[Inquiry]:
    """The notices of the present offer, newest first."""
    since = commission.offered_at
    return [one for one in reversed(commission.inquiries) if since is None or one.opened_at >= since]


def entry(act: TrailAct) -> dict[str, Any]:
    """One act in words."""
    who = " ".join(part for part in (act.organisation, act.person) if part)
    if act.organisation_id is None and act.organisation in act.person:
        who = act.person
    return {
        "at": instant(act.at, seconds=True),
        "who": who,
        "act_label": trail.act_label(act.act, language()),
        "text": _spoken(act.data),
        "details": _details(act),
    }


def _spoken(data: Mapping[str, Any]) -> str | None:
    parts = [str(data["reason"])] if data.get("reason") else []
    points = data.get("points")
    if points:
        parts.append(" ".join(f"{index}. {point}" for index, point in enumerate(points, start=1)))
    if data.get("answer"):
        parts.append(str(data["answer"]))
    if data.get("working_days"):
        parts.append(choose(f"{data['working_days']} 个工作日", f"{data['working_days']} working days"))
    return choose("。", ". ").join(parts) or None


_LABELS: Mapping[str, Words] = {
    "agency": ("受托机构", "Agency"),
    "fee": ("约定费用", "Agreed fee"),
    "listing": ("服务编号", "Listing"),
    "promised_working_days": ("承诺时限", "Promised time"),
    "result": ("结论", "Conclusion"),
    "deliverable": ("成果编号", "Deliverable"),
    "edition": ("版次", "Edition"),
    "project": ("项目代码", "Project code"),
    "title": ("材料名称", "Document"),
    "sha256": ("SHA-256", "SHA-256"),
    "clock": ("时限", "Time limit"),
}


def _details(act: TrailAct) -> list[tuple[str, str]]:
    rows = [(choose(*label), _value(key, act.data[key])) for key, label in _LABELS.items() if act.data.get(key)]
    for part in act.data.get("files", []):
        rows.append((part["title"], choose("，", ", ").join((part["name"], f"SHA-256 {part['sha256']}"))))
    for part in act.data.get("materials", []):
        if isinstance(part, Mapping):
            rows.append((part["name"], f"SHA-256 {part['sha256']}"))
        else:
            rows.append((choose("材料", "Material"), str(part)))
    if act.data.get("edition") and act.act.startswith("commission."):
        # There it is the edition of the listing's fee, which the fee itself already tells.
        rows = [row for row in rows if row[0] != choose(*_LABELS["edition"])]
    rows.append((choose("记录时间", "Recorded"), instant(act.recorded_at, seconds=True)))
    rows.append((choose("校验值", "Checksum"), act.hash))
    return rows


def _value(key: str, value: Any) -> str:
    tongue = language()
    if key == "fee":
        return money.format(value)
    if key == "promised_working_days":
        return choose(f"{value} 个工作日", f"{value} working days")
    if key == "result":
        return Result(value).label(tongue)
    if key == "clock":
        return ClockKind(value).label(tongue)
    return str(value)


def light_of(stored: StoredClock | None) -> tuple[Light, Reading | None]:
    """Light and reading for a list; grey when no clock runs."""
    if stored is None:
        return Light.GREY, None
    reading = timekeeping.reading(stored)
    return reading.light, reading
