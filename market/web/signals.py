"""Pages of the conduct signals, for supervisors and, reading only, auditors: list, one signal, dismissal (domain §7).

For everybody else every address here answers the same, whether the signal exists or not: the cell comes before the look.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for

from kernel import money, trail, workflow
from kernel.access import Cell, Role, holders
from kernel.errors import PortalError
from kernel.web import (
    act_once,
    bracketed,
    choose,
    form_errors,
    instant,
    language,
    page_number,
    signed_in_actor,
    url_with,
)
from market import signals
from market.signals import Severity, Signal, SignalKind, SignalStatus, Wanted
from market.web.downloads import send_csv, send_xlsx

blueprint = Blueprint("signals", __name__)
READERS = holders(Role.SUPERVISOR, Role.AUDITOR)
ACCESS: dict[str, Cell] = {
    "signals.index": READERS,
    "signals.download": READERS,
    "signals.show": READERS,
    "signals.dismiss": holders(Role.SUPERVISOR),
}
LINKS: dict[str, Callable[[str], str]] = {"signal": lambda number: f"/signals/{number}"}

PAGE_SIZE = 50
#: A download holds at most this many rows.
MOST_ROWS = 5000
#: A facet shows at most this many values, those with the most signals.
MOST_VALUES = 15

STATUS_KINDS = {SignalStatus.OPEN: "warn", SignalStatus.DISMISSED: "neutral"}
SEVERITY_KINDS = {Severity.SERIOUS: "bad", Severity.NOTE: "info"}

#: What is looked for, and what else could explain it: (Chinese, English).
ABOUT: dict[SignalKind, tuple[str, str]] = {
    SignalKind.ADDRESS: (
        "同一次采购中，不同机构的报价来自同一网络地址。共用办公楼、政务大厅网络也会如此，可将这类网络列入规则中的不计网络。",
        "In one call, bids of different agencies came from one network address. A shared building or a service hall's "
        "network looks the same; such networks can be left out in the rule.",
    ),
    SignalKind.DEVICE: (
        "同一次采购中，不同机构的报价由同一设备提交，可能由同一人代为办理。",
        "In one call, bids of different agencies were sent from one device: somebody may have acted for both.",
    ),
    SignalKind.PERSON: (
        "同一账号先后代表不同机构提交报价，属于委托同一人办理投标事宜的情形，应重点核实。",
        "One account handed in for different agencies, which counts as entrusting one person with rival bids.",
    ),
    SignalKind.CONTACT: (
        "竞争机构登记的电话、联系人、法定代表人或注册地址相同。可能为关联单位，也可能只是重名。",
        "Rivals registered the same telephone, contact, legal representative or address. They may be affiliated; equal "
        "names may also be chance.",
    ),
    SignalKind.PRACTITIONER: (
        "竞争机构登记了同一本执业证书。人员流动后未及时注销也会如此。",
        "Rivals filed the same practitioner's certificate. A change of employer that was not struck off looks the same.",
    ),
    SignalKind.FILES: (
        "竞争机构的报价文件内容相同，或作者、最后修改人、创建时间相同。采购人提供的文件和软件默认的作者名不计。",
        "Rivals' files are identical, or share author, last editor or moment of creation. The buyer's own documents and "
        "programs' default names are left out.",
    ),
    SignalKind.MEETING: (
        "两家机构在同一事项的采购中几乎总是同时出现，且明显多于各自独立选择时的次数。邀请采购不计。",
        "Two agencies are nearly always there together in calls of one item, clearly more often than by independent "
        "choice. Calls by invitation are left out.",
    ),
    SignalKind.LAST_MINUTE: (
        "机构的报价几乎都在截止前几分钟提交。单独出现时意义有限，宜与其他线索一并判断。",
        "Nearly all bids of the agency come in the last minutes. By itself it says little; read it with other signals.",
    ),
    SignalKind.VARIATION: (
        "各家报价的变异系数很低，即报价异常接近。达到最低限价的报价不计。",
        "The prices' coefficient of variation is very low: they lie unusually close. Bids at the floor are left out.",
    ),
    SignalKind.DISTANCE: (
        "最低价与次低价相差大，而落选报价彼此接近，符合陪标的特征。达到最低限价的报价不计。",
        "The lowest price stands well apart while the losing ones lie together, as cover bids do. Bids at the floor are "
        "left out.",
    ),
    SignalKind.ROTATION: (
        "同样的几家机构在同一事项中反复参加，并严格轮流中选。随机抽取和规则要求轮候的采购不计。",
        "The same agencies bid again and again for one item and win strictly in turn. Calls decided by draw, or whose "
        "rules rest the winners, are left out.",
    ),
}


def _wanted() -> Wanted:
    """The filters of the query; the open signals unless asked otherwise."""
    asked = request.args
    state, kind = asked.get("state", SignalStatus.OPEN.value), asked.get("kind", "")
    statuses = {one.value for one in SignalStatus}
    return Wanted(
        status=None if state == "all" else SignalStatus(state if state in statuses else SignalStatus.OPEN.value),
        kind=SignalKind(kind) if kind in {one.value for one in SignalKind} else None,
        item=asked.get("item", "").strip()[:100],
        agency=asked.get("agency", "").strip()[:100],
    )


@blueprint.get("/signals")
def index() -> str:
    actor, wanted, page = signed_in_actor(), _wanted(), page_number()
    found, total = signals.listed(wanted, by=actor, most=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return render_template(
        "market/signal_index.html",
        rows=[_row(one) for one in found],
        groups=_facets(wanted),
        is_filtered=bool(wanted.kind or wanted.item or wanted.agency),
        downloads=[(form.upper(), _download_url(form)) for form in ("csv", "xlsx")],
        state=wanted.status.value if wanted.status else "all",
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE_SIZE)),
    )


def _download_url(form: str) -> str:
    kept: dict[str, Any] = {
        one: request.args[one] for one in ("state", "kind", "item", "agency") if one in request.args
    }
    return url_for("signals.download", form=form, **kept)


def _facets(wanted: Wanted) -> list[dict[str, Any]]:
    counted = signals.counts(wanted, by=signed_in_actor())
    chosen = {
        "state": wanted.status.value if wanted.status else "all",
        "kind": wanted.kind.value if wanted.kind else "",
        "item": wanted.item,
        "agency": wanted.agency,
    }
    titles = {
        "state": choose("状态", "State"),
        "kind": choose("线索类型", "Kind"),
        "item": choose("服务事项", "Service item"),
        "agency": choose("机构", "Agency"),
    }
    groups = []
    for name, values in counted.items():
        if name == "state":
            values = [*values, ("all", "全部", "All", sum(row[3] for row in values))]
        shown = [row for place, row in enumerate(values) if place < MOST_VALUES or row[0] == chosen[name]]
        options = []
        for value, zh, en, count in shown:
            is_chosen = value == chosen[name]
            turned = value if name == "state" or not is_chosen else None
            options.append(
                {
                    "value": value,
                    "label": choose(zh, en),
                    "count": count,
                    "selected": is_chosen,
                    "url": url_with(**{name: turned, "page": None}),
                }
            )
        if options:
            groups.append({"title": titles[name], "name": name, "options": options})
    return groups


def _row(signal: Signal) -> dict[str, Any]:
    tongue = language()
    numbers = sorted({link.call.number for link in signal.calls})
    lines = signal.evidence["lines"]
    return {
        "number": signal.number,
        "url": url_for("signals.show", number=signal.number),
        "kind": signal.kind.label(tongue),
        "severity": signal.severity.label(tongue),
        "severity_kind": SEVERITY_KINDS[signal.severity],
        "status": signal.status.label(tongue),
        "status_kind": STATUS_KINDS[signal.status],
        "agencies": choose("、", ", ").join(link.agency.name for link in signal.agencies),
        "call": numbers[0] if len(numbers) == 1 else choose(f"{len(numbers)} 次采购", f"{len(numbers)} calls"),
        "says": lines[0][tongue] if lines else "",
        "item": _item(signal),
        "at": instant(signal.renewed_at),
    }


def _item(signal: Signal) -> str:
    names = {link.call.commission.item.label(language()): None for link in signal.calls}
    return choose("、", ", ").join(names)


@blueprint.get("/signals.<any(csv, xlsx):form>", endpoint="download")
def download(form: str) -> Response:
    """The same rows as the list, as CSV or XLSX."""
    heads = [
        choose("线索编号", "Signal"),
        choose("线索类型", "Kind"),
        choose("程度", "Severity"),
        choose("状态", "State"),
        choose("机构", "Agencies"),
        choose("服务事项", "Service item"),
        choose("采购编号", "Calls"),
        choose("证据", "Evidence"),
        choose("发现时间", "Found"),
        choose("排除理由", "Reason of dismissal"),
        choose("排除人", "Dismissed by"),
    ]
    found, _total = signals.listed(_wanted(), by=signed_in_actor(), most=MOST_ROWS)
    table: list[list[str | int | None]] = []
    for signal in found:
        row = _row(signal)
        table.append(
            [
                signal.number,
                row["kind"],
                row["severity"],
                row["status"],
                row["agencies"],
                row["item"],
                choose("、", ", ").join(sorted(link.call.number for link in signal.calls)),
                choose("；", "; ").join(line[language()] for line in signal.evidence["lines"]),
                instant(signal.found_at),
                signal.reason,
                signal.dismissed_by,
            ]
        )
    name = choose("行为线索清单", "conduct signals")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)


@blueprint.get("/signals/<number>")
def show(number: str) -> str:
    actor, tongue = signed_in_actor(), language()
    signal = signals.find(number, by=actor)
    return render_template(
        "market/signal_show.html",
        signal=signal,
        title=signal.kind.label(tongue),
        about=choose(*ABOUT[signal.kind]),
        status_kind=STATUS_KINDS[signal.status],
        severity_kind=SEVERITY_KINDS[signal.severity],
        lines=[line[tongue] for line in signal.evidence["lines"]],
        heads=[head[tongue] for head in signal.evidence["heads"]],
        rows=[[_cell(cell) for cell in row] for row in signal.evidence["rows"]],
        items=_item(signal),
        can_dismiss="dismiss" in workflow.moves(signal, signals.STEPS, actor),
        history=[_entry(act) for act in reversed(trail.of(signal.subject))],
    )


def _cell(cell: Any) -> str:
    """A stored cell as people read it; see :class:`market.signals.Signal`."""
    if not isinstance(cell, dict):
        return str(cell)
    if "at" in cell:
        return instant(datetime.fromisoformat(cell["at"]), seconds=True) if cell["at"] else "—"
    if "fen" in cell:
        return money.format(cell["fen"])
    return str(cell["call"] if "call" in cell else cell[language()])


def _entry(act: trail.TrailAct) -> dict[str, Any]:
    said = list(act.data.get("evidence", []))
    if act.data.get("reason"):
        label = choose("此前的排除理由", "Dismissed before because") if act.act == "signal.reopened" else ""
        said.insert(0, f"{label}{choose('：', ': ') if label else ''}{act.data['reason']}")
    return {
        "at": instant(act.at),
        "who": f"{act.organisation} {act.person}".strip(),
        "act_label": trail.act_label(act.act, language()),
        "text": choose("；", "; ").join(said),
    }


@blueprint.route("/signals/<number>/dismiss", methods=["GET", "POST"])
def dismiss(number: str) -> Response | tuple[str, int] | str:
    """The supervisor looked into it and found nothing: the reason is kept."""
    actor = signed_in_actor()
    signal = signals.find(number, by=actor)
    if request.method == "GET":
        workflow.check(signal, signals.STEPS, "dismiss", by=actor)
        return _dismiss_page(signal)
    version = request.form.get("version", "")

    def perform() -> str:
        signals.dismiss(
            signals.find(number, by=actor, lock=True),
            request.form.get("reason", ""),
            by=actor,
            expected_version=int(version) if version.isascii() and version.isdigit() and len(version) < 10 else -1,
        )
        return url_for("signals.show", number=number)

    try:
        response = act_once(perform)
    except PortalError as error:
        return _dismiss_page(signals.find(number, by=actor), error), error.status
    flash(choose("线索已排除，理由已记录。", "Dismissed; the reason is on record."), "success")
    return response


def _dismiss_page(signal: Signal, error: PortalError | None = None) -> str:
    tongue = language()
    told = form_errors(error) if error else None
    return render_template(
        "market/signal_dismiss.html",
        signal=signal,
        rows=[
            (choose("线索", "Signal"), f"{signal.kind.label(tongue)}{bracketed(signal.number)}"),
            (choose("机构", "Agencies"), _row(signal)["agencies"]),
            (choose("证据", "Evidence"), choose("；", "; ").join(line[tongue] for line in signal.evidence["lines"])),
        ],
        reason=request.form.get("reason", ""),
        token=request.form.get("act"),
        errors={field: message for field, message in (told or []) if field},
        form_errors=told,
    )
