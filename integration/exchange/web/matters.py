"""Approval matters by API: how one stands, and pulling a deliverable into the decision to come (000 §9.4, A13)."""

from __future__ import annotations

from flask import Response

from integration.approvals import decisions, matters
from integration.approvals.matters import Matter
from integration.exchange.schemas import NUMBER
from integration.exchange.tokens import Scope
from integration.exchange.web.commissions import clocks_json, with_moves
from integration.exchange.web.contract import (
    Call,
    JsonObject,
    Operation,
    answer_act,
    answer_json,
    expected_version,
    operation,
    tongue,
)
from kernel import clock, dossier
from kernel.access import Role
from kernel.dossier import Entry
from kernel.errors import Conflict, Invalid, NotFound
from kernel.timekeeping import ClockKind

_NUMBER = {"number": NUMBER}
_CLOCKS = (ClockKind.STATUTORY, ClockKind.PROMISED)


class EntryUnknown(Invalid):
    code = "entry_unknown"
    zh = "该项目的材料库中没有材料 {number}"
    en = "The project's dossier has no {number}"


def _matter_json(matter: Matter, call: Call) -> JsonObject:
    actor, language = call.by, tongue()
    decision = decisions.of_matter(matter)
    # What an official means to rely on is the department's own until it has decided.
    is_inside = decision is not None or actor.has(Role.APPROVER.value, Role.SUPERVISOR.value, Role.AUDITOR.value)
    if decision is not None:
        evidence = [_evidence_json(one.entry, one.sha256, language, pinned=True) for one in decision.evidence]
    elif is_inside:
        evidence = [_evidence_json(entry, entry.sha256, language, pinned=False) for entry in decisions.selected(matter)]
    else:
        evidence = []
    return {
        "number": matter.number,
        "status": matter.status,
        "status_label": matter.status.label(language),
        "version": matter.version,
        "moves": matters.moves(matter, actor) if call.may(Scope.MATTERS_WRITE) else [],
        "case": matter.case.number,
        "name": matter.name,
        "department": matter.department,
        "project": {"code": matter.project.code, "name": matter.project.name},
        "engineering_code": matter.case.engineering_code,
        "client": matter.case.client.name,
        "outcome": matter.outcome,
        "reason": matter.reason,
        "materials": [
            {
                "position": one.position,
                "name": one.name,
                "item_code": one.item_code,
                "required": one.required,
                "entry": one.entry.number if one.entry else None,
                "document": one.document.number if one.document else None,
                "sha256": one.sha256,
            }
            for one in matter.materials
        ],
        "evidence": evidence,
        "clocks": clocks_json(matter.subject, _CLOCKS, language),
        "url": f"/matters/{matter.number}",
    }


def _evidence_json(entry: Entry, sha256: str, language: str, *, pinned: bool) -> JsonObject:
    standing = dossier.stand(entry, clock.today())
    return {
        "entry": entry.number,
        "title": entry.title,
        "sha256": sha256,
        "pinned": pinned,
        "can_rely": standing.can_rely,
        "reason": standing.reason(language),
    }


@operation(
    Operation(
        "matter",
        "GET",
        "/matters/{number}",
        ("查询审批事项", "An approval matter"),
        Scope.MATTERS_READ,
        "Matter",
        variables=_NUMBER,
        note=(
            "evidence 为决定所引用的材料版本；作出决定前，为经办人拟引用的材料，仅审批部门可见。",
            "evidence is what the decision relied on; before it, what the official means to rely on, which only the "
            "authorities see.",
        ),
    )
)
def read_matter(call: Call, number: str) -> Response:
    matter = matters.find(number, by=call.by)
    return answer_json(_matter_json(matter, call), etag=str(matter.version))


@operation(
    Operation(
        "cite_evidence",
        "POST",
        "/matters/{number}/evidence",
        ("引用成果材料", "Pull a document into the decision"),
        Scope.MATTERS_WRITE,
        "Matter",
        variables=_NUMBER,
        body="EvidenceToCite",
        is_act=True,
        takes_version=True,
        note=(
            "仅限办理中的事项，由审批部门办理；今天不能引用的材料返回 409 和原因。",
            "While the department is at the matter; a document that can't be relied on today answers 409 and why.",
        ),
    )
)
def cite_evidence(call: Call, number: str) -> Response:
    version = expected_version()

    def act() -> tuple[JsonObject, int]:
        matter = matters.find(number, by=call.by, lock=True)
        wanted = call.body["entry"]
        try:
            entry = dossier.by_number(wanted)
        except NotFound:
            entry = None
        try:
            if entry is None or entry.project_id != matter.case.project_id:
                raise EntryUnknown(field="entry", number=wanted)
            decisions.cite(matter, entry, by=call.by, expected_version=version)
        except Conflict as error:
            raise with_moves(error, lambda: matters.moves(matter, call.by)) from None
        return _matter_json(matter, call), 200

    return answer_act(act)
