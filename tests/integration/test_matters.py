"""The life of a matter up to the department's desk (000 §7, life-cycles §4)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from integration.approvals import decisions, guide, matters
from integration.approvals.cases import CaseStatus
from integration.approvals.matters import MaterialMissing, MatterStatus
from kernel import dossier, jobs, notifications, sandbox, timekeeping, trail
from kernel.clock import Light
from kernel.db import session, transaction
from kernel.dossier import CannotRely
from kernel.errors import Invalids, NotFound
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from kernel.workflow import MoveNotOpen, StaleVersion


def test_a_new_application_brings_the_guides_materials(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.draft()
    assert [m.name for m in matter.materials] == [m.name for m in matter.kind.materials]
    assert matter.number.startswith("SX-")
    assert matter.case.number.startswith("BJ-")
    assert matter.authority is not None
    assert matter.authority.name == "示例市水务局"


def test_nobody_applies_for_another_units_project(world) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(matters.NotYourProject), transaction():
        matters.apply(world.other_project, guide.by_code("SP-0503"), world.client_org, by=world.applicant)


def test_submitting_tells_every_missing_material_at_once(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.draft()
    with pytest.raises(Invalids) as caught:
        office.act(matter, matters.submit, world.applicant)
    required = [m for m in matter.materials if m.required]
    assert [error.field for error in caught.value.errors] == [f"material-{m.position}" for m in required]
    assert all(isinstance(error, MaterialMissing) for error in caught.value.errors)


def test_a_withdrawn_document_is_not_handed_in(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.draft()
    entry = office.entry()
    with transaction():
        dossier.withdraw(dossier.by_number(entry.number), "数据有误", by=world.agency_actor)
    with pytest.raises(CannotRely):
        office.act(matter, matters.pick, world.applicant, 1, entry=dossier.by_number(entry.number))


def test_a_document_of_another_project_is_not_handed_in(world, office) -> None:  # type: ignore[no-untyped-def]
    entry = office.entry(project=world.other_project)
    matter = office.draft()
    with pytest.raises(matters.OtherProjectsDocument):
        office.act(matter, matters.pick, world.applicant, 1, entry=dossier.by_number(entry.number))


def test_a_document_withdrawn_after_picking_stops_the_submission(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.fill(office.draft())
    entry = office.entry()
    with transaction():
        found = matters.find(matter.number, by=world.applicant, lock=True)
        matters.pick(found, 1, by=world.applicant, entry=dossier.by_number(entry.number))
    with transaction():
        dossier.withdraw(dossier.by_number(entry.number), "数据有误", by=world.agency_actor)
    with pytest.raises(Invalids) as caught:
        office.act(matter, matters.submit, world.applicant)
    assert caught.value.errors[0].field == "material-1"


def test_materials_are_closed_once_submitted(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.submitted()
    with pytest.raises(matters.MaterialsClosed):
        office.act(matter, matters.take_out, world.applicant, 1)


def test_acceptance_starts_the_statutory_and_the_promised_clock(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.accepted()
    promised = timekeeping.running(matter.subject, ClockKind.PROMISED)
    statutory = timekeeping.running(matter.subject, ClockKind.STATUTORY)
    assert promised is not None
    assert statutory is not None
    assert promised.limit == matter.kind.promised_working_days
    assert statutory.limit == 20
    assert timekeeping.reading(promised).used == 0
    assert matter.policy.startswith("matter_clock/")


def test_every_step_is_on_the_trail_with_its_office(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.begun()
    acts = [act.act for act in trail.of(matter.subject)]
    assert acts == ["matter.drafted", "matter.submitted", "matter.received", "matter.accepted", "matter.begun"]
    assert [act.act for act in trail.of(matter.case.subject)] == ["case.submitted", "case.received"]
    assert trail.verify(matter.subject)[1] == []


def test_each_office_does_its_own_step_only(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.submitted()
    with pytest.raises(MoveNotOpen):
        office.act(matter, matters.receive, world.applicant)
    matter = office.act(matter, matters.receive, world.window)
    with pytest.raises(MoveNotOpen):
        office.act(matter, matters.begin, world.approver)
    with pytest.raises(MoveNotOpen):
        office.act(matter, matters.accept, world.approver)
    matter = office.act(matter, matters.accept, world.window)
    with pytest.raises(MoveNotOpen):
        office.act(matter, matters.begin, world.window)


def test_another_departments_approver_does_not_see_the_matter(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.accepted()
    with pytest.raises(NotFound):
        matters.find(matter.number, by=world.actor("approver2"))
    assert matters.queue(world.actor("approver2"), is_open=True) == []
    assert [m.number for m in matters.queue(world.approver, is_open=True)] == [matter.number]


def test_without_an_authority_of_that_name_any_authoritys_approver_handles_it(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.submitted()
    with transaction():
        found = matters.find(matter.number, by=world.window, lock=True)
        found.authority = None
        found.department = "另一市水务局"
    matter = office.act(matter, matters.receive, world.window)
    matter = office.act(matter, matters.accept, world.window)
    assert matter.authority_id is None
    matter = office.act(matter, matters.begin, world.actor("approver2"))
    assert matter.status == MatterStatus.BEGUN
    outsider = Actor(None, "某人", world.client_org.id, world.client_org.name, frozenset({"approver"}))
    assert not matters.by_approver(matter, outsider)


def test_a_draft_is_the_applicants_alone(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.draft()
    for actor in (world.window, world.approver, world.supervisor):
        with pytest.raises(NotFound):
            matters.find(matter.number, by=actor)
    assert matters.queue(world.window) == []


def test_of_two_who_act_on_one_page_the_second_is_told(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.submitted()
    seen = matter.version
    office.act(matter, matters.receive, world.window, expected_version=seen)
    with pytest.raises((StaleVersion, MoveNotOpen)):
        office.act(matter, matters.receive, world.window, expected_version=seen)


def test_a_refusal_at_intake_needs_its_reason_and_closes_the_case(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.act(office.submitted(), matters.receive, world.window)
    with pytest.raises(matters.ReasonMissing):
        office.act(matter, matters.refuse_intake, world.window, " ")
    matter = office.act(matter, matters.refuse_intake, world.window, "应向生态环境部门申请")
    assert matter.status == MatterStatus.NOT_ACCEPTED
    assert matter.case.status == CaseStatus.CLOSED


def test_an_application_can_be_withdrawn_until_it_is_accepted(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.act(office.submitted(), matters.withdraw, world.applicant, "改期申报")
    assert matter.status == MatterStatus.WITHDRAWN
    assert matter.case.status == CaseStatus.WITHDRAWN
    with pytest.raises(MoveNotOpen):
        office.act(office.accepted(), matters.withdraw, world.applicant, "")


def test_lights_turn_amber_then_red_and_the_department_is_warned_once_each(world, office) -> None:  # type: ignore[no-untyped-def]
    """Journey 12: the lights of a matter."""
    matter = office.accepted()
    sandbox.forward(timedelta(days=30))
    jobs.run_due()
    lights = [act for act in trail.of(matter.subject) if act.act.startswith("matter.light.")]
    told = [(act.act, act.data["clock"]) for act in lights]
    assert told.count(("matter.light.amber", "promised")) == 1
    assert told.count(("matter.light.red", "promised")) == 1
    assert matters.lit([matters.find(matter.number, by=world.window)])[0].light == Light.RED
    lines, _total = notifications.inbox(world.approver.person_id)
    assert {"matter.light.amber", "matter.light.red"} <= {line.act for line in lines if line.is_warning}


def test_the_queue_puts_red_before_green(world, office) -> None:  # type: ignore[no-untyped-def]
    old = office.accepted()
    sandbox.forward(timedelta(days=30))
    new = office.accepted()
    rows = matters.lit(matters.queue(world.window, is_open=True))
    assert [row.matter.number for row in rows] == [old.number, new.number]
    assert [row.light for row in rows] == [Light.RED, Light.GREEN]


def test_what_was_handed_in_is_read_by_window_and_department_alone(world, office) -> None:  # type: ignore[no-untyped-def]
    matter = office.submitted()
    document = next(m.document for m in matter.materials if m.document)
    assert decisions.may_read(document, world.window)
    assert not decisions.may_read(document, world.approver)
    office.act(matter, matters.receive, world.window)
    session.expire_all()
    assert decisions.may_read(document, world.approver)
    assert not decisions.may_read(document, world.actor("approver2"))
    assert not decisions.may_read(document, world.agency_actor)
    assert not decisions.may_read(document, None)
