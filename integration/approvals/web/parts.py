"""Pieces that several approval pages show: steps, clock boxes, history, document cards, the version of a form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flask import request, url_for
from sqlalchemy import select

from integration.approvals.matters import Matter, MatterStatus
from kernel import clock, dossier, timekeeping, trail
from kernel.clock import Light, Reading
from kernel.db import session
from kernel.dossier import Entry, Standing, Use
from kernel.policies import Policy
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import TrailAct
from kernel.web import choose, day, instant, language

#: The steps of 001 §7, each with the stamp that closes it.
STEPS: tuple[tuple[tuple[str, str], str], ...] = (
    (("在线申报", "Apply online"), "submitted_at"),
    (("接件", "Receive"), "received_at"),
    (("受理", "Accept"), "accepted_at"),
    (("开始办理", "Begin"), "begun_at"),
    (("办结", "Decide"), "decided_at"),
)
_PASSED = {
    MatterStatus.DRAFT: 0,
    MatterStatus.SUBMITTED: 1,
    MatterStatus.RECEIVED: 2,
    MatterStatus.ACCEPTED: 3,
    MatterStatus.BEGUN: 4,
    MatterStatus.DECIDED: 5,
}
STATUS_KINDS = {
    MatterStatus.DRAFT: "neutral",
    MatterStatus.SUBMITTED: "info",
    MatterStatus.RECEIVED: "info",
    MatterStatus.ACCEPTED: "info",
    MatterStatus.BEGUN: "info",
    MatterStatus.DECIDED: "good",
    MatterStatus.NOT_ACCEPTED: "bad",
    MatterStatus.WITHDRAWN: "neutral",
}


def form_version() -> int:
    """The version of the record that the form was made from; -1 (never a record's) when it is missing."""
    sent = request.form.get("version", "")
    return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 10 else -1


def status_words(matter: Matter) -> tuple[str, str]:
    """(kind of tag, word) for a matter's state; a decided one tells its outcome."""
    if matter.outcome is not None:
        return ("good" if matter.outcome.value == "granted" else "bad"), matter.outcome.label(language())
    return STATUS_KINDS[matter.status], matter.status.label(language())


def tracker(matter: Matter) -> list[dict[str, Any]]:
    """The five steps for ``ui.tracker``."""
    passed = _PASSED.get(matter.status)
    is_over = passed is None
    if passed is None:
        passed = sum(1 for _label, stamp in STEPS if getattr(matter, stamp) is not None)
    steps = []
    for index, (label, stamp) in enumerate(STEPS):
        state = "done" if index < passed else "todo"
        if index == passed:
            state = "stopped" if is_over else "now"
        at = getattr(matter, stamp) if state == "done" else None
        note = matter.status.label(language()) if state == "stopped" else None
        steps.append({"label": choose(*label), "state": state, "at": instant(at) or None, "note": note})
    return steps


def clock_boxes(matter: Matter) -> list[dict[str, Any]]:
    """The promised and the statutory clock for ``ui.clock_box``; none before acceptance."""
    found = (timekeeping.latest(matter.subject, kind) for kind in (ClockKind.PROMISED, ClockKind.STATUTORY))
    return [_box(stored) for stored in found if stored is not None]


def _box(stored: StoredClock) -> dict[str, Any]:
    reading = timekeeping.reading(stored, account=True, language=language())
    due = day(reading.due)
    if reading.provisional and due:
        due += choose("（暂定）", " (provisional)")
    return {
        "title": stored.kind.label(language()),
        "light": reading.light.value,
        "label": reading.light.label(language()),
        "left": reading.left,
        "used": reading.used,
        "limit": reading.used + reading.left,
        "due_text": due,
        "why_days": [{"on": day(one.on), "counted": one.counted, "why": one.why} for one in reversed(reading.days)],
        "pauses": [],
        "rule_text": _rule(stored),
    }


def _rule(stored: StoredClock) -> str:
    key = stored.policy.rpartition("/")[2]
    policy = session.get(Policy, int(key)) if key.isdigit() else None
    text = choose(
        "自受理之日的次日起按工作日计算，节假日和调休以国务院办公厅通知为准；到期当日不算逾期。",
        "Counted in working days from the day after acceptance, by the official holiday notices; the due day itself is not overdue.",
    )
    return text + (choose(f"依据：{policy.source}。", f" Source: {policy.source}.") if policy else "")


_LABELS: tuple[tuple[str, tuple[str, str]], ...] = (
    ("case", ("受理编号", "Case")),
    ("project", ("项目代码", "Project code")),
    ("kind", ("事项编码", "Matter code")),
    ("decision", ("决定编号", "Decision")),
    ("promised_working_days", ("承诺时限（工作日）", "Promised working days")),
    ("source", ("来源", "Source")),
    ("relied_for", ("引用于", "Relied on for")),
)


def history(*subjects: str) -> list[dict[str, Any]]:
    """The acts on one or several subjects, newest first, for ``ui.history``."""
    acts = [act for subject in subjects for act in trail.of(subject)]
    acts.sort(key=lambda act: act.id, reverse=True)
    return [_told(act) for act in acts]


def _told(act: TrailAct) -> dict[str, Any]:
    rows = [(choose(*label), str(act.data[key])) for key, label in _LABELS if act.data.get(key)]
    if act.data.get("clock"):
        rows.append((choose("时限", "Time limit"), ClockKind(act.data["clock"]).label(language())))
    rows += [(part["name"], f"SHA-256 {part['sha256']}") for part in act.data.get("materials", [])]
    rows += [(part["entry"], f"SHA-256 {part['sha256']}") for part in act.data.get("evidence", [])]
    if act.data.get("sha256"):
        rows.append(("SHA-256", str(act.data["sha256"])))
    rows.append((choose("记录时间", "Recorded"), instant(act.recorded_at, seconds=True)))
    rows.append((choose("校验值", "Checksum"), act.hash))
    is_machine = act.person_id is None and act.organisation_id is None
    return {
        "at": instant(act.at, seconds=True),
        "who": act.person if is_machine else f"{act.organisation} {act.person}".strip(),
        "act_label": trail.act_label(act.act, language()),
        "text": str(act.data["reason"]) if act.data.get("reason") else None,
        "details": rows,
    }


def size_text(size: int) -> str:
    """A file's size as people read it: ``2.4 MB``."""
    if size < 1024:
        return f"{size} B"
    if size < 1024 * 1024:
        return f"{size / 1024:.0f} KB"
    return f"{size / 1024 / 1024:.1f} MB"


def document_facts(entry: Entry) -> list[str]:
    """By whom issued and accepted, since when, until when."""
    facts = [entry.kind.label(language()), choose(f"出具：{entry.issuer}", f"Issued by {entry.issuer}")]
    if entry.accepted_by:
        facts.append(choose(f"认可：{entry.accepted_by}", f"Accepted by {entry.accepted_by}"))
    facts.append(choose(f"归档：{instant(entry.attached_at)}", f"Attached {instant(entry.attached_at)}"))
    if entry.valid_until is not None:
        facts.append(choose(f"有效期至：{day(entry.valid_until)}", f"Valid until {day(entry.valid_until)}"))
    return facts


def uses_by_entry(entries: Sequence[Entry]) -> dict[int, list[Use]]:
    """Who relied on each of these entries, in one question."""
    found: dict[int, list[Use]] = {}
    if entries:
        rows = session.scalars(select(Use).where(Use.entry_id.in_([e.id for e in entries])).order_by(Use.id))
        for use in rows:
            found.setdefault(use.entry_id, []).append(use)
    return found


def cards(rows: Iterable[tuple[Entry, Standing]]) -> list[dict[str, Any]]:
    """Entries with their standing, for ``ui.document_card``."""
    listed = list(rows)
    uses = uses_by_entry([entry for entry, _standing in listed])
    return [
        {
            "number": entry.number,
            "name": entry.title,
            "url": url_for("documents.document", number=entry.number),
            "size": size_text(entry.document.size),
            "sha256": entry.sha256,
            "version": entry.edition,
            "facts": document_facts(entry),
            "reason": None if standing.can_rely else standing.reason(language()),
            "uses": [
                choose("，", ", ").join((use.relied_for_title, use.organisation, instant(use.at)))
                for use in uses.get(entry.id, [])
            ],
        }
        for entry, standing in listed
    ]


def standings(entries: Iterable[Entry]) -> list[tuple[Entry, Standing]]:
    """Entries with their standing today."""
    today = clock.today()
    return [(entry, dossier.stand(entry, today)) for entry in entries]


def left_text(reading: Reading) -> str:
    """How far off the due day of a running clock is, e.g. ``剩 4 个工作日``."""
    count = abs(reading.left)
    days = "working day" if count == 1 else "working days"
    if reading.left < 0:
        return choose(f"已超 {count} 个工作日", f"{count} {days} over")
    return choose(f"剩 {count} 个工作日", f"{count} {days} left")


def lit_rows(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """:class:`integration.approvals.matters.Lit` rows for the tables of several pages."""
    shown = []
    for row in rows:
        matter, reading = row.matter, row.reading
        extra = None
        if reading is not None and row.light in (Light.RED, Light.AMBER, Light.GREEN, Light.BLUE):
            extra = left_text(reading)
        kind, word = status_words(matter)
        shown.append(
            {
                "number": matter.number,
                "name": matter.name,
                "url": url_for("matters.matter", number=matter.number),
                "project": matter.case.project.name,
                "project_code": matter.case.engineering_code,
                "client": matter.case.client.name,
                "department": matter.department,
                "light": row.light.value,
                "label": row.light.label(language()),
                "extra": extra,
                "due": day(reading.due) if reading is not None and reading.due else "",
                "status_kind": kind,
                "status": word,
                "since": instant(matter.submitted_at or matter.draft_at),
            }
        )
    return shown
