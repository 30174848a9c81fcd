"""Relying on a dossier's documents in a decision, and what happens when they lose their standing (A13)."""

from __future__ import annotations

from datetime import date

import pytest

from integration.approvals import decisions, matters
from integration.approvals.cases import CaseStatus
from integration.approvals.matters import MatterStatus, Outcome
from kernel import dossier, notifications, timekeeping, trail
from kernel.clock import Light
from kernel.db import transaction
from kernel.dossier import CannotRely
from kernel.timekeeping import ClockKind
from kernel.workflow import MoveNotOpen


def decide(office, matter, outcome=Outcome.GRANTED, opinion="同意", **more):  # type: ignore[no-untyped-def]
    with transaction():
        found = matters.find(matter.number, by=office.world.approver, lock=True)
        return decisions.decide(found, outcome, opinion, by=office.world.approver, **more)


def cite(office, matter, entry):  # type: ignore[no-untyped-def]
    office.act(matter, decisions.cite, office.world.approver, dossier.by_number(entry.number))


def withdraw(office, entry, reason="监测数据有误"):  # type: ignore[no-untyped-def]
    with transaction():
        dossier.withdraw(dossier.by_number(entry.number), reason, by=office.world.agency_actor)


def test_a_decision_keeps_document_and_fingerprint(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.begun()
    entry = office.entry()
    cite(office, matter, entry)
    decision = decide(office, matter)
    assert decision.number.startswith("JD-")
    assert [(e.document.sha256, e.sha256) for e in decision.evidence] == [(entry.sha256, entry.sha256)]
    use = dossier.uses_of(entry)[0]
    assert use.relied_for == matter.subject
    assert use.organisation == "示例市水务局"
    act = trail.of(matter.subject)[-1]
    assert act.act == "matter.granted"
    assert act.data["evidence"] == [{"entry": entry.number, "sha256": entry.sha256}]


def test_a_decision_ends_clocks_and_case_and_tells_the_applicant(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.begun()
    decide(office, matter)
    matter = matters.find(matter.number, by=world.applicant)
    assert matter.status == MatterStatus.DECIDED
    assert matter.outcome == Outcome.GRANTED
    assert matter.case.status == CaseStatus.CLOSED
    promised = timekeeping.latest(matter.subject, ClockKind.PROMISED)
    assert promised is not None
    assert timekeeping.reading(promised).light == Light.DONE
    assert timekeeping.running(matter.subject, ClockKind.STATUTORY) is None
    lines, _total = notifications.inbox(world.applicant.person_id)
    assert lines[0].act == "matter.granted"


def test_a_refusal_needs_its_reason(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.begun()
    with pytest.raises(matters.ReasonMissing):
        decide(office, matter, Outcome.REFUSED, "  ")
    decide(office, matter, Outcome.REFUSED, "方案未包含弃渣场防护措施")
    assert trail.of(matter.subject)[-1].act == "matter.refused"


def test_what_can_be_relied_on_comes_first_and_the_rest_has_its_reason(world, office) -> None:  # type: ignore[no-untyped-def]
    first = office.entry(body="一")
    with transaction():
        second = dossier.attach(
            dossier.by_number(first.number).project,
            world.document("二.pdf", "二", by=world.agency_actor),
            kind=first.kind,
            title=first.title,
            source="test:2",
            issuer=first.issuer,
            issuer_id=first.issuer_id,
            by=world.applicant,
            edition=2,
            supersedes=[dossier.by_number(first.number)],
        )
    gone = office.entry(title="取土场论证", body="三")
    withdraw(office, gone)
    expired = office.entry(title="旧监测报告", body="四", valid_until=date(2026, 2, 28))
    office.entry(title="别的项目", body="五", project=world.other_project)
    offered = decisions.offerable(office.begun())
    assert [entry.number for entry, standing in offered if standing.can_rely] == [second.number]
    reasons = {entry.number: standing.reason_zh for entry, standing in offered if not standing.can_rely}
    assert "新版本" in reasons[first.number]
    assert "监测数据有误" in reasons[gone.number]
    assert "2026-02-28" in reasons[expired.number]
    assert len(offered) == 4


def test_a_withdrawn_document_cannot_be_cited(world, office) -> None:  # type: ignore[no-untyped-def]
    matter, entry = office.begun(), office.entry()
    withdraw(office, entry)
    with pytest.raises(CannotRely) as caught:
        cite(office, matter, entry)
    assert caught.value.status == 409
    assert entry.number in caught.value.text()


def test_a_document_withdrawn_between_citing_and_deciding_stops_the_decision(world, office) -> None:  # type: ignore[no-untyped-def]
    matter, entry, other = office.begun(), office.entry(), office.entry(title="另一份", body="二")
    cite(office, matter, other)
    cite(office, matter, entry)
    withdraw(office, entry)
    with pytest.raises(CannotRely):
        decide(office, matter)
    assert decisions.of_matter(matter) is None
    assert dossier.uses_of(other) == []
    assert matters.find(matter.number, by=world.approver).status == MatterStatus.BEGUN


def test_a_document_of_another_project_cannot_be_cited(world, office) -> None:  # type: ignore[no-untyped-def]
    matter, entry = office.begun(), office.entry(project=world.other_project)
    with pytest.raises(matters.OtherProjectsDocument):
        cite(office, matter, entry)


def test_citing_twice_is_citing_once_and_can_be_undone(world, office) -> None:  # type: ignore[no-untyped-def]
    matter, entry = office.begun(), office.entry()
    cite(office, matter, entry)
    cite(office, matter, entry)
    assert [one.number for one in decisions.selected(matter)] == [entry.number]
    office.act(matter, decisions.put_back, world.approver, dossier.by_number(entry.number))
    assert decisions.selected(matter) == []


def test_only_the_departments_approver_decides_and_only_once(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.begun()
    with pytest.raises(MoveNotOpen):
        office.act(matter, decisions.decide, world.window, Outcome.GRANTED, "")
    decide(office, matter)
    with pytest.raises(MoveNotOpen):
        decide(office, matter)


def test_withdrawing_a_relied_on_document_warns_the_decision_and_the_approver(world, office) -> None:  # type: ignore[no-untyped-def]
    """The loop that no supermarket closes (A13)."""
    matter, entry = office.begun(), office.entry()
    cite(office, matter, entry)
    decision = decide(office, matter)
    assert decisions.warnings(decision) == []
    withdraw(office, entry)
    found = decisions.of_matter(matter)
    assert found is not None
    warned = decisions.warnings(found)
    assert [one.evidence.entry.number for one in warned] == [entry.number]
    assert "监测数据有误" in warned[0].standing.reason_zh
    assert warned[0].at is not None
    lines, _total = notifications.inbox(world.approver.person_id)
    line = next(line for line in lines if line.act == "document.withdrawn")
    assert line.is_warning
    assert line.subject == matter.subject


def test_what_is_offered_to_a_matter_is_read_by_its_department_alone(world, office) -> None:  # type: ignore[no-untyped-def]
    entry = office.entry()
    document = entry.document
    assert not decisions.may_read(document, world.approver)
    assert decisions.may_read(document, world.applicant)
    office.begun()
    assert decisions.may_read(document, world.approver)
    assert not decisions.may_read(document, world.actor("approver2"))
    assert not decisions.may_read(document, world.actor("applicant2"))
