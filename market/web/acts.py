"""The binding acts on a commission, one row each: what the confirm page asks and explains, and the verb behind it.

:mod:`market.web.commissions` shows any row of :data:`ACTS` at ``/commissions/<number>/<act>`` and performs it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup, escape

from kernel import money, timekeeping
from kernel.errors import Invalid, NotFound
from kernel.policies import current as policy_of
from kernel.trail import Actor
from kernel.web import bracketed, choose, instant, language
from market import commissions, deliverables, fees, services
from market.commissions import Commission, CommissionStatus, InquiryKind, Picked, Route
from market.deliverables import Deliverable, Part, Result
from market.web import progress
from market.web.forms import Field, Sheet, Words, assign, default_validity, stem

Row = tuple[str, str | Markup]


class PromiseMissing(Invalid):
    code = "promise_missing"
    zh = "请勾选成果质量承诺"
    en = "Tick the statement on the deliverable's quality"


class AnswerMissing(Invalid):
    code = "answer_missing"
    zh = "请上传材料，或写明答复内容"
    en = "Upload what was asked for, or write an answer"


class ResultMissing(Invalid):
    code = "result_missing"
    zh = "请选择结论"
    en = "Choose the conclusion"


def _nothing(commission: Commission) -> tuple[Field, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Act:
    """One row: ``perform`` is given (commission, sheet, actor, expected version) inside the transaction."""

    title: Words
    button: Words
    done: Words
    explain: Callable[[Commission], Sequence[Words]]
    perform: Callable[[Commission, Sheet, Actor, int], object]
    fields: Callable[[Commission], Sequence[Field]] = _nothing
    rows: Callable[[Commission], Sequence[Row]] | None = None
    is_ending: bool = False


# Questions shared by several acts.

REASON = Field("reason", "text", ("理由", "Reason"))
POINTS = Field(
    "points",
    "points",
    ("需要补齐的内容", "What is needed"),
    ("每行一项，请一次写全。", "One point per line; write down everything at once."),
)


def materials_field(label: Words, hint: Words, *, is_required: bool = True) -> Field:
    return Field("files", "files", label, hint, is_required, takes_many=True)


def _standard_rows(commission: Commission) -> list[Row]:
    tongue = language()
    rows: list[Row] = [
        (choose("委托编号", "Commission"), commission.number),
        (choose("服务事项", "Service"), commission.item.label(tongue)),
        (choose("项目", "Project"), commission.project.name + bracketed(commission.engineering_code)),
        (choose("委托人", "Client"), commission.client.name),
    ]
    if commission.agency is not None:
        rows.append((choose("中介服务机构", "Agency"), commission.agency.name))
    return rows


def rows_of(act: Act, commission: Commission) -> list[Row]:
    """The facts on the confirm page: what it is about, and what this act adds."""
    return _standard_rows(commission) + list(act.rows(commission) if act.rows else ())


def _material_names(commission: Commission) -> list[str]:
    return [choose("：", ": ").join((material.name, material.document.name)) for material in commission.materials]


def _days(count: int) -> str:
    return choose(f"{count} 个工作日", f"{count} working days")


def _listed(points: Sequence[str]) -> Markup:
    return Markup("<ol>{}</ol>").format(Markup().join(Markup("<li>{}</li>").format(point) for point in points))


# Offer, and taking it back


def arithmetic(lines: Sequence[Sequence[object]], total: int) -> Markup:
    """The lines of a quote as (Chinese, English, fen), and what they come to."""
    steps = Markup().join(
        Markup("<li>{} = {}</li>").format(zh if language() == "zh" else en, money.format(int(str(amount))))
        for zh, en, amount in lines
    )
    whole = Markup("<p><b>{}</b>{}</p>").format(money.format(total), bracketed(money.chinese(total)))
    return (Markup("<ul>{}</ul>").format(steps) if steps else Markup()) + whole


def is_negotiable(commission: Commission) -> bool:
    return commission.listing is not None and commission.listing.rule.kind is fees.FeeKind.NEGOTIABLE


def _offer_rows(commission: Commission) -> list[Row]:
    rows: list[Row] = [
        (
            choose("承诺时限", "Promised time"),
            choose(
                f"{commission.promised_working_days} 个工作日，自机构开始受理服务起计算",
                f"{commission.promised_working_days} working days from the agency's start",
            ),
        ),
    ]
    listing = commission.listing
    if listing is not None:
        quote = fees.quote(listing.rule, commissions.figures_of(commission.project, commission.quantity))
        fee: str | Markup
        if quote.missing is not None:
            missing = quote.missing
            fee = choose(f"项目信息缺少“{missing.zh}”，无法计算", f"The project lacks its {missing.en}")
        elif quote.amount is None:
            ceiling = money.format(quote.ceiling or 0)
            fee = choose(f"协商定价，不高于 {ceiling}", f"Negotiated, at most {ceiling}")
        else:
            fee = arithmetic([(line.zh, line.en, line.amount) for line in quote.lines], quote.amount)
        rows.append((choose("费用", "Fee"), fee))
    names = _material_names(commission)
    if names:
        rows.append((choose("随附材料", "Materials"), _listed(names)))
    if commission.message:
        rows.append((choose("留言", "Message"), commission.message))
    return rows


def _offer_fields(commission: Commission) -> list[Field]:
    if not is_negotiable(commission):
        return []
    return [Field("agreed_fee", "money", ("与机构商定的费用", "Fee agreed with the agency"))]


def _offer_explain(commission: Commission) -> list[Words]:
    response = policy_of("agency_response").values
    minutes = commissions.take_back_minutes()
    return [
        (
            f"发出后，机构应在 {response['working_days']} 个工作日内答复；逾期未答复的，委托自动退回。",
            f"The agency has {response['working_days']} working days to answer; without an answer the commission comes back to you.",
        ),
        (
            f"发出后 {minutes} 分钟内、机构尚未办理的，可以撤回。",
            f"You can take it back for {minutes} minutes, as long as the agency has not acted.",
        ),
        (
            "费用和时限以发出时为准，机构此后调整收费不影响本次委托。",
            "Fee and days are fixed by this act; later changes of the agency's fee do not touch it.",
        ),
    ]


def agreed_fee(text: str) -> int | None:
    """Fen of a negotiated fee as typed; None when empty. Raises money.BadAmount and its like."""
    return money.parse(text, field="agreed_fee") if text.strip() else None


def _offer(commission: Commission, sheet: Sheet, by: Actor, version: int) -> None:
    if commission.route is not Route.MENU:
        raise commissions.ChosenOtherwise(route=commission.route.zh, route_en=commission.route.en)
    fee = agreed_fee(sheet.text("agreed_fee")) if is_negotiable(commission) else None
    seen = sheet.text("edition")
    edition = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else None
    commissions.offer(commission, by=by, agreed_fee=fee, expected_version=version, expected_edition=edition)


def _take_back_explain(commission: Commission) -> list[Words]:
    assert commission.offered_at is not None  # noqa: S101  only an offer can be taken back
    until = instant(commission.offered_at + timedelta(minutes=commissions.take_back_minutes()), seconds=True)
    return [
        (f"可撤回至 {until}，机构先行办理的除外。", f"Possible until {until}, unless the agency acts first."),
        (
            "撤回后委托回到待委托状态，可修改后重新发出，也可取消。",
            "The commission becomes a draft again, which you can change, send again or cancel.",
        ),
    ]


# Materials before taking on


def _requested_rows(commission: Commission) -> list[Row]:
    kind = InquiryKind.MATERIALS if commission.status == CommissionStatus.OFFERED else InquiryKind.PAUSE
    inquiry = commissions.current_inquiry(commission, kind)
    if inquiry is None:
        return []
    rows: list[Row] = [(choose("机构告知的内容", "What the agency asks for"), _listed(inquiry.points))]
    if inquiry.reason:
        rows.append((choose("理由", "Reason"), inquiry.reason))
    return rows


def _answer_fields(commission: Commission) -> list[Field]:
    return [
        materials_field(
            ("补齐的材料", "Materials"),
            (
                "可一次选择多个文件，系统按文件名对应到各项。",
                "Choose several files at once; they are matched to the points by name.",
            ),
            is_required=False,
        ),
        Field("answer", "text", ("答复说明", "Answer"), is_required=False),
    ]


def _handed_in(commission: Commission, kind: InquiryKind, sheet: Sheet, by: Actor) -> list[Picked]:
    documents = sheet.documents("files", by)
    if not documents and not sheet.text("answer").strip():
        raise AnswerMissing(field="files")
    inquiry = commissions.current_inquiry(commission, kind)
    found, rest = assign(inquiry.points if inquiry and documents else [], documents)
    return [Picked(name, document=document) for name, document in found.items()] + [
        Picked(stem(document.name), document=document) for document in rest
    ]


def _supply(commission: Commission, sheet: Sheet, by: Actor, version: int) -> None:
    picked = _handed_in(commission, InquiryKind.MATERIALS, sheet, by)
    commissions.supply_materials(commission, picked, by=by, answer=sheet.text("answer"), expected_version=version)


def _resume(commission: Commission, sheet: Sheet, by: Actor, version: int) -> None:
    picked = _handed_in(commission, InquiryKind.PAUSE, sheet, by)
    services.resume(commission, sheet.text("answer"), by=by, picked=picked, expected_version=version)


def _take_on_rows(commission: Commission) -> list[Row]:
    rows: list[Row] = [(choose("承诺时限", "Promised time"), _days(commission.promised_working_days))]
    if commission.fee is not None:
        rows.append((choose("约定费用", "Agreed fee"), money.format(commission.fee)))
    names = _material_names(commission)
    if names:
        rows.append((choose("已收材料", "Materials"), _listed(names)))
    return rows


# The service


def _start_rows(commission: Commission) -> list[Row]:
    preview = progress.start_preview(commission)
    return [
        (choose("承诺时限", "Promised time"), _days(commission.promised_working_days)),
        (choose("开始日", "Day of the start"), preview["today"] + choose("（当日不计入）", " (not counted)")),
        (choose("首个计入日", "First counted day"), preview["first"]),
        (choose("无暂停时到期日", "Due, if nothing stops the clock"), preview["due"]),
    ]


def _pause_fields(commission: Commission) -> list[Field]:
    return [
        Field(
            "points",
            "points",
            ("需要委托人办理的事项", "What the client has to do"),
            ("每行一项，请一次写全。", "One point per line; write down everything at once."),
        ),
        Field("reason", "text", ("暂停理由", "Why the work cannot go on without it")),
    ]


def _extension_fields(commission: Commission) -> list[Field]:
    return [
        Field("working_days", "number", ("申请延长", "Extend by"), unit=("个工作日", "working days")),
        REASON,
    ]


def _extension_rows(commission: Commission) -> list[Row]:
    extension = services.open_extension(commission)
    stored = services.service_clock(commission)
    rows: list[Row] = []
    if stored is not None:
        reading = timekeeping.reading(stored)
        rows.append((choose("现剩余", "Left now"), _days(reading.left)))
    if extension is not None:
        rows += [
            (choose("申请延长", "Proposed"), _days(extension.working_days)),
            (choose("理由", "Reason"), extension.reason),
        ]
    return rows


def _propose(commission: Commission, sheet: Sheet, by: Actor, version: int) -> None:
    days = sheet.whole("working_days", ("延长的工作日数", "the number of working days"))
    services.propose_extension(commission, days, sheet.text("reason"), by=by, expected_version=version)


# Deliverables


def _deliver_fields(commission: Commission) -> list[Field]:
    before = deliverables.latest(commission)
    titles = commission.item.deliverables
    summary = before.summary if before else f"已按委托要求完成{'、'.join(f'《{title}》' for title in titles)}。"
    fields = [
        Field(name, "files", (title, title), is_required=index == 0)
        for index, (name, title) in enumerate(_parts(commission))
    ]
    return [
        *fields,
        Field(
            "result",
            "choice",
            ("结论", "Conclusion"),
            initial=(before.result if before else Result.PASSED).value,
            options=tuple((one.value, (one.zh, one.en)) for one in Result),
        ),
        Field("summary", "text", ("结论要点", "The conclusion in short"), initial=summary),
        Field(
            "valid_until",
            "date",
            ("有效期至", "Valid until"),
            ("长期有效的留空。", "Leave empty if it does not expire."),
            is_required=False,
            initial=default_validity(commission.item.valid_months),
        ),
        Field(
            "project_code",
            "code",
            ("成果上写明的项目代码", "Project code printed on the deliverable"),
            ("用于核对是否选错文件。", "To notice a wrong file."),
            is_required=False,
        ),
        Field(
            "promise",
            "tick",
            (
                "本机构承诺：成果真实、准确、完整，符合法律法规和技术标准，并对成果质量负责。",
                "We state that the deliverable is true, accurate and complete, meets law and technical standards, and that we answer for its quality.",
            ),
        ),
    ]


def _parts(commission: Commission) -> list[tuple[str, str]]:
    """The file fields of a deliverable: (name, title); the first one's name is ``files``."""
    titles = commission.item.deliverables or [commission.item.name]
    return [("files" if index == 0 else f"files-{index + 1}", title) for index, title in enumerate(titles)]


def file_fields(act: Act, commission: Commission) -> list[str]:
    """The names of an act's file fields, before anything of the form is read."""
    return [field.name for field in act.fields(commission) if field.kind == "files"]


def _deliver(commission: Commission, sheet: Sheet, by: Actor, version: int) -> None:
    parts = [
        Part(title if index == 0 else f"{title}（{stem(document.name)}）", document)
        for name, title in _parts(commission)
        for index, document in enumerate(sheet.documents(name, by))
    ]
    if parts and not sheet.is_ticked("promise"):
        raise PromiseMissing(field="promise")
    result = next((one for one in Result if one.value == sheet.text("result")), None)
    if result is None:
        raise ResultMissing(field="result")
    deliverables.submit(
        commission,
        parts,
        result=result,
        summary=sheet.text("summary"),
        by=by,
        project_code=sheet.text("project_code"),
        valid_until=sheet.day("valid_until"),
        expected_version=version,
    )


def _submitted(commission: Commission) -> Deliverable:
    deliverable = deliverables.latest(commission)
    if deliverable is None:  # a commission is delivered by handing one in
        raise NotFound
    return deliverable


def _deliverable_rows(commission: Commission) -> list[Row]:
    deliverable = _submitted(commission)
    files = Markup().join(
        Markup('<li><a href="/files/{}">{}</a>{}<br><code>{}</code></li>').format(
            escape(part.document.number), part.title, bracketed(part.document.name), part.sha256
        )
        for part in deliverable.files
    )
    return [
        (
            choose("成果", "Deliverable"),
            choose(
                f"{deliverable.number}，第 {deliverable.edition} 版",
                f"{deliverable.number}, edition {deliverable.edition}",
            ),
        ),
        (
            choose("结论", "Conclusion"),
            choose("：", ": ").join((deliverable.result.label(language()), deliverable.summary)),
        ),
        (choose("文件", "Files"), Markup("<ul>{}</ul>").format(files)),
    ]


def _return(commission: Commission, sheet: Sheet, by: Actor, version: int) -> None:
    deliverables.return_for_revision(_submitted(commission), sheet.points("points"), by=by, expected_version=version)


ACTS: dict[str, Act] = {
    "offer": Act(
        title=("核对并发出委托", "Check and send the commission"),
        button=("发出委托", "Send the commission"),
        done=("委托已发出，等待机构答复。", "Sent. The agency has been told."),
        explain=_offer_explain,
        fields=_offer_fields,
        rows=_offer_rows,
        perform=_offer,
    ),
    "take_back": Act(
        title=("撤回委托", "Take the commission back"),
        button=("撤回委托", "Take it back"),
        done=("委托已撤回，可修改后重新发出。", "Taken back. You can change it and send it again."),
        explain=_take_back_explain,
        perform=lambda c, sheet, by, version: commissions.take_back(c, by=by, expected_version=version),
    ),
    "request_materials": Act(
        title=("一次性告知补齐材料", "Ask for missing materials"),
        button=("发出告知", "Send the notice"),
        done=("告知已发出，接受委托时限暂停。", "Sent. Your time to answer stands still."),
        explain=lambda c: [
            (
                "应当一次写明全部需要补齐的内容；委托人答复前，不能再发出第二份告知。",
                "Ask for everything at once; no second notice is possible before the client answers.",
            ),
            ("发出后接受委托时限暂停，委托人补齐后恢复计时。", "Your time to answer stands still until then."),
        ],
        fields=lambda c: [POINTS],
        perform=lambda c, sheet, by, version: commissions.request_materials(
            c, sheet.points("points"), by=by, expected_version=version
        ),
    ),
    "supply_materials": Act(
        title=("补齐材料", "Supply materials"),
        button=("提交补齐的材料", "Hand in"),
        done=("材料已补齐，机构继续办理。", "Handed in. The agency goes on."),
        explain=lambda c: [("提交后接受委托时限恢复计时。", "The agency's time to answer goes on from then.")],
        fields=_answer_fields,
        rows=_requested_rows,
        perform=_supply,
    ),
    "decline": Act(
        title=("不接受委托", "Decline the commission"),
        button=("不接受委托", "Decline"),
        done=("已告知委托人不接受委托。", "The client has been told."),
        explain=lambda c: [
            (
                "委托退回委托人，由其改选其他机构。",
                "The commission goes back to the client, who may choose another agency.",
            )
        ],
        fields=lambda c: [REASON],
        perform=lambda c, sheet, by, version: commissions.decline(
            c, sheet.text("reason"), by=by, expected_version=version
        ),
        is_ending=True,
    ),
    "take_on": Act(
        title=("接受委托", "Take the commission on"),
        button=("接受委托", "Take on (接受委托)"),
        done=("已接受委托，请适时开始受理服务。", "Taken on. Start the service when you are ready."),
        explain=lambda c: [
            (
                "接受委托即确认材料齐全，同意按约定的费用和时限提供服务；接受后不能撤回。",
                "You confirm that the materials are complete and agree to the fee and the days. This cannot be undone.",
            ),
            (
                "服务时限自点击“开始受理服务”时起计算，本步骤不开始计时。",
                "The promised days do not run yet; they run from the start of the service.",
            ),
        ],
        rows=_take_on_rows,
        perform=lambda c, sheet, by, version: commissions.take_on(c, by=by, expected_version=version),
    ),
    "start": Act(
        title=("开始受理服务", "Start the service"),
        button=("开始受理服务", "Start the service (开始受理服务)"),
        done=("已开始受理服务，时限开始计算。", "Started. The promised days run from now."),
        explain=lambda c: [
            (
                "开始时间按法定时间记录，不可撤回或更改。",
                "The instant is stamped in legal time and can be neither taken back nor changed.",
            ),
            (
                "节假日和调休按国务院办公厅通知计算；等待委托人配合、等待认可成果的期间不计入。",
                "Holidays follow the official notices; time spent waiting for the client is not counted.",
            ),
        ],
        rows=_start_rows,
        perform=lambda c, sheet, by, version: services.start(c, by=by, expected_version=version),
    ),
    "pause": Act(
        title=("请委托人配合并暂停计时", "Ask the client, and stop the clock"),
        button=("发出并暂停计时", "Send and stop the clock"),
        done=("已告知委托人，服务时限暂停计时。", "The client has been told; the clock stands still."),
        explain=lambda c: [
            (
                "只用于必须由委托人办理的事项，应当一次写全；委托人答复后恢复计时。",
                "Only for what the client alone can do, everything at once. The clock goes on when the client answers.",
            )
        ],
        fields=_pause_fields,
        perform=lambda c, sheet, by, version: services.pause(
            c, sheet.points("points"), sheet.text("reason"), by=by, expected_version=version
        ),
    ),
    "resume": Act(
        title=("答复机构并恢复计时", "Answer, and let the clock go on"),
        button=("提交答复", "Send the answer"),
        done=("已答复机构，服务时限恢复计时。", "Answered. The service clock goes on."),
        explain=lambda c: [("提交后服务时限恢复计时。", "The service clock goes on from then.")],
        fields=_answer_fields,
        rows=_requested_rows,
        perform=_resume,
    ),
    "propose_extension": Act(
        title=("申请延长时限", "Propose an extension"),
        button=("提交申请", "Propose"),
        done=("申请已提交，等待委托人答复。", "Proposed. The client has been told."),
        explain=lambda c: [
            (
                "委托人同意后，在原时限上增加所申请的工作日；答复前时限照常计算。",
                "With the client's consent the days are added. Until then the clock runs as before.",
            )
        ],
        fields=_extension_fields,
        rows=_extension_rows,
        perform=_propose,
    ),
    "agree_extension": Act(
        title=("同意延长时限", "Agree to the extension"),
        button=("同意延长", "Agree"),
        done=("已同意延长时限。", "Agreed. The days have been added."),
        explain=lambda c: [
            (
                "同意后到期日相应顺延，原承诺时限仍予保留备查。",
                "The due day moves; the original promise stays on record.",
            )
        ],
        rows=_extension_rows,
        perform=lambda c, sheet, by, version: services.agree_extension(c, by=by, expected_version=version),
    ),
    "refuse_extension": Act(
        title=("不同意延长时限", "Refuse the extension"),
        button=("不同意延长", "Refuse"),
        done=("已答复不同意，时限不变。", "Refused. The due day stays."),
        explain=lambda c: [("时限不变，机构应按原到期日提交成果。", "Nothing changes: the present due day stands.")],
        rows=_extension_rows,
        perform=lambda c, sheet, by, version: services.refuse_extension(c, by=by, expected_version=version),
        is_ending=True,
    ),
    "deliver": Act(
        title=("提交成果报告", "Hand in the deliverable"),
        button=("提交成果报告", "Deliver (提交成果报告)"),
        done=("成果已提交，等待委托人认可。", "Handed in. The client has been told."),
        explain=lambda c: [
            (
                "提交时间和文件校验值一经记录不可更改；等待认可期间不计入服务时限。",
                "The instant and the files' fingerprints are stamped. Waiting for acceptance is not counted as your time.",
            )
        ],
        fields=_deliver_fields,
        perform=_deliver,
    ),
    "return": Act(
        title=("退回修改", "Return for revision"),
        button=("退回修改", "Return"),
        done=("已退回机构修改，服务时限恢复计时。", "Returned. The service clock goes on."),
        explain=lambda c: [
            (
                "退回后服务时限恢复计时，机构修改后提交新版；各版成果均予保留。",
                "The service clock goes on and the agency hands in a new edition. Every edition is kept.",
            )
        ],
        fields=lambda c: [
            Field(
                "points",
                "points",
                ("需要修改的内容", "What has to be changed"),
                ("每行一项，写明位置和要求。", "One point per line: where, and what is required."),
            )
        ],
        rows=_deliverable_rows,
        perform=_return,
        is_ending=True,
    ),
    "accept": Act(
        title=("认可成果", "Accept the deliverable"),
        button=("认可成果", "Accept (认可成果)"),
        done=("成果已认可并归入项目材料库，服务办结。", "Accepted, filed in the project's dossier, and finished."),
        explain=lambda c: [
            (
                "认可后系统依次记录认可人和认可时间、将成果归入该项目代码的材料库、结束服务并停止计时。",
                "Accepting records who accepted and when, files the deliverable under the project code, and finishes the service.",
            ),
            (
                "成果入库后，审批部门可以直接引用，无需重复提交。",
                "Once it is filed, authorities can rely on it without another upload.",
            ),
            ("认可时间一经记录不可更改。", "The instant is stamped and cannot be changed."),
        ],
        rows=_deliverable_rows,
        perform=lambda c, sheet, by, version: deliverables.accept(_submitted(c), by=by, expected_version=version),
    ),
    "terminate": Act(
        title=("终止服务", "Terminate the service"),
        button=("终止服务", "Terminate"),
        done=("服务已终止，双方均已收到通知。", "Terminated. Both sides have been told."),
        explain=lambda c: [
            (
                "终止后本次服务不能恢复；已形成的记录和时间保留，费用结算由双方另行商定。",
                "This cannot be undone. What was stamped stays; settlement is between the two sides.",
            )
        ],
        fields=lambda c: [REASON],
        perform=lambda c, sheet, by, version: commissions.terminate(
            c, sheet.text("reason"), by=by, expected_version=version
        ),
        is_ending=True,
    ),
    "cancel": Act(
        title=("取消委托", "Cancel the commission"),
        button=("取消委托", "Cancel the commission"),
        done=("委托已取消。", "Cancelled."),
        explain=lambda c: [
            ("取消后不能恢复，如需服务请重新委托。", "This cannot be undone; commission anew if needed.")
        ],
        fields=lambda c: [
            Field("reason", "text", ("取消原因", "Reason"), is_required=False),
        ],
        perform=lambda c, sheet, by, version: commissions.cancel(
            c, sheet.text("reason"), by=by, expected_version=version
        ),
        is_ending=True,
    ),
}


def slug(action: str) -> str:
    return action.replace("_", "-")


def by_slug(text: str) -> str | None:
    """The action of an address, or None."""
    action = text.replace("-", "_")
    return action if action in ACTS and slug(action) == text else None
