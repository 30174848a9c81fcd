"""One set of drawings: editions, the set of any day, who approved what, who is told of a change (B10, 000 三(七))."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from integration.demo import city as demo
from kernel import clock, dossier, files, notifications, projects, sandbox, trail, workflow
from kernel.access import Role
from kernel.db import session, transaction
from kernel.dossier import EntryKind, ReasonMissing
from kernel.errors import Invalids, NotFound
from kernel.projects import Project
from kernel.trail import Actor
from market import catalogue, commissions, listings
from market.commissions import Picked
from reviews import drawings
from reviews.drawings import Discipline, DrawingStage, NewSheet, SheetVersion


def part(world: Any, number: str, body: str = "", *, title: str = "基础平面图", **more: Any) -> NewSheet:
    document = world.document(f"{number} {title}.pdf", body or number)
    return NewSheet(document, more.pop("discipline", Discipline.STRUCTURE), number, title, **more)


def entered(world: Any, *numbers: str, body: str = "", **more: Any) -> list[SheetVersion]:
    """Sheets entered by the construction unit, committed."""
    with transaction():
        parts = [part(world, number, f"{number} {body}", **more) for number in numbers]
        return drawings.add(project(world), parts, by=world.applicant)


def project(world: Any) -> Project:
    return session.get_one(Project, world.project.id)


def numbers_on(world: Any, *instant: Any, **more: Any) -> list[tuple[str, int]]:
    return [(row.sheet.number, row.version.edition) for row in drawings.set_on(project(world), *instant, **more)]


def approve(world: Any, version: SheetVersion, by: Actor, decided: str = "review:JS-2026-000001") -> None:
    with transaction():
        drawings.approve([version.sha256], subject=decided, title="施工图审查", by=by)


def told(actor: Actor) -> list[Any]:
    lines, _total = notifications.inbox(actor.person_id or 0)
    return [line for line in lines if line.act == "drawings.changed"]


def test_the_set_stands_in_the_order_of_disciplines_and_counted_numbers(world: Any) -> None:
    entered(world, "结施-10", "结施-9", "结施-9A")
    entered(world, "建施-01", discipline=Discipline.ARCHITECTURE)
    assert [number for number, _ in numbers_on(world)] == ["建施-01", "结施-9", "结施-9A", "结施-10"]


def test_a_batch_is_one_act_that_names_every_sheet_with_its_hash(world: Any) -> None:
    made = entered(world, "结施-01", "结施-02")
    (act,) = trail.of(f"drawings:{world.project.code}")
    assert act.act == "drawings.entered"
    assert [(sheet["number"], sheet["sha256"]) for sheet in act.data["sheets"]] == [
        (version.sheet.number, version.sha256) for version in made
    ]


def test_the_same_number_is_a_new_edition_and_every_earlier_one_stays(world: Any) -> None:
    entered(world, "结施-05")
    (second,) = entered(world, " 结施－０５ ", body="changed", stage=DrawingStage.CHANGE)
    assert numbers_on(world) == [("结施-05", 2)]
    assert [version.edition for version in drawings.history(second.sheet)] == [1, 2]


def test_the_set_of_a_day_is_the_one_in_force_then(world: Any) -> None:
    entered(world, "结施-05")
    first_day = clock.now()
    sandbox.forward(timedelta(days=10))
    change = clock.now() + timedelta(days=5)
    entered(world, "结施-05", body="changed", effective_at=change)
    assert numbers_on(world, first_day - timedelta(seconds=1)) == []
    assert numbers_on(world, first_day) == [("结施-05", 1)]
    assert numbers_on(world) == [("结施-05", 1)]
    assert numbers_on(world, change - timedelta(seconds=1)) == [("结施-05", 1)]
    assert numbers_on(world, change) == [("结施-05", 2)]


def test_what_was_entered_later_is_left_out_of_what_was_known_then(world: Any) -> None:
    drawn = clock.now()
    sandbox.forward(timedelta(days=10))
    entered(world, "结施-05", effective_at=drawn)
    assert numbers_on(world, drawn) == [("结施-05", 1)]
    assert numbers_on(world, drawn, known_at=drawn) == []


def test_the_same_number_in_another_phase_or_discipline_is_another_sheet(world: Any) -> None:
    with transaction():
        phase = projects.add_phase(project(world), "一期", by=world.applicant)
        parts = [
            part(world, "01"),
            part(world, "01", phase=phase),
            part(world, "01", discipline=Discipline.FIRE),
        ]
        drawings.add(project(world), parts, by=world.applicant)
    rows = drawings.set_on(project(world))
    assert [row.version.edition for row in rows] == [1, 1, 1]
    assert {row.sheet.engineering_code for row in rows} == {world.project.code, phase.code}


def test_only_the_construction_unit_enters_and_nothing_is_kept_of_others(world: Any) -> None:
    for login in ("applicant2", "agency", "approver", "window", "operator"):
        with pytest.raises(drawings.NotTheOwner), transaction():
            drawings.add(project(world), [part(world, "结施-05")], by=world.actor(login))
    assert numbers_on(world) == []


def test_every_fault_of_a_batch_is_named_at_its_row_and_nothing_is_entered(world: Any) -> None:
    with pytest.raises(Invalids) as refused, transaction():
        drawings.add(
            project(world),
            [
                part(world, "结施-01", field="a-"),
                part(world, "结施－01", "other", field="b-"),
                part(world, "？", field="c-"),
                part(world, "结施-03", title=" ", field="d-"),
                part(world, "结施-04", discipline=None, field="e-"),
            ],
            by=world.applicant,
        )
    assert [(type(fault), fault.field) for fault in refused.value.errors] == [
        (drawings.SameSheetTwice, "b-number"),
        (drawings.SheetNumberInvalid, "c-number"),
        (drawings.TitleMissing, "d-title"),
        (drawings.DisciplineMissing, "e-discipline"),
    ]
    with pytest.raises(drawings.NothingEntered), transaction():
        drawings.add(project(world), [], by=world.applicant)
    assert numbers_on(world) == []


def test_the_same_content_again_is_refused_unless_it_stands_for_another_stage(world: Any) -> None:
    entered(world, "结施-05", body="same")
    with pytest.raises(drawings.SameContent):
        entered(world, "结施-05", body="same")
    entered(world, "结施-05", body="same", stage=DrawingStage.COMPLETION)
    assert numbers_on(world) == [("结施-05", 2)]


def test_an_edition_cannot_take_effect_before_the_one_it_follows(world: Any) -> None:
    entered(world, "结施-05")
    with pytest.raises(drawings.EffectiveTooEarly):
        entered(world, "结施-05", body="changed", effective_at=clock.now() - timedelta(days=30))


def test_a_set_that_was_changed_meanwhile_is_not_changed_unseen(world: Any) -> None:
    entered(world, "结施-05")
    seen = drawings.state_of(project(world))
    entered(world, "结施-06")
    with pytest.raises(workflow.StaleVersion), transaction():
        drawings.add(project(world), [part(world, "结施-05", "new")], by=world.applicant, expected_state=seen)
    assert numbers_on(world) == [("结施-05", 1), ("结施-06", 1)]


def test_two_who_enter_the_same_sheet_at_once_make_two_editions(world: Any) -> None:
    entered(world, "结施-05")
    gate, faults = threading.Barrier(2), []

    def enter(body: str) -> None:
        with world.portal.app_context():
            try:
                with transaction():
                    one = part(world, "结施-05", body)
                    gate.wait(timeout=10)
                    drawings.add(project(world), [one], by=world.applicant)
            except Exception as fault:
                faults.append(fault)
            finally:
                session.remove()

    threads = [threading.Thread(target=enter, args=(body,)) for body in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    session.expire_all()
    (row,) = drawings.set_on(project(world))
    assert [version.edition for version in drawings.history(row.sheet)] == [1, 2, 3]


def test_an_approval_stands_on_exactly_the_version_that_was_approved(world: Any) -> None:
    (first,) = entered(world, "结施-05")
    approve(world, first, world.approver)
    approve(world, first, world.approver)
    (second,) = entered(world, "结施-05", body="changed")
    (line,) = drawings.approvals_of(first)
    assert (line.subject, line.organisation) == ("review:JS-2026-000001", world.approver.organisation)
    assert drawings.approvals_of(second) == []
    acts = [act.act for act in trail.of(f"drawings:{world.project.code}")]
    assert acts.count("drawings.approved") == 1


def test_reliance_in_the_dossier_counts_under_the_same_project_alone(world: Any) -> None:
    (version,) = entered(world, "结施-05")
    with transaction():
        document = files.by_number(version.document.number)
        for own, other in ((world.project, "matter:SX-2026-000001"), (world.other_project, "matter:SX-2026-000002")):
            under = session.get_one(Project, own.id)
            entry = dossier.attach(
                under, document, kind=EntryKind.MATERIAL, title="图纸", source="x:1", issuer="x", by=world.applicant
            )
            dossier.rely(entry, relied_for=other, relied_for_title="施工许可", project=under, by=world.approver)
    assert [line.subject for line in drawings.approvals_of(version)] == ["matter:SX-2026-000001"]


def test_a_change_names_the_approvals_it_touches_before_and_tells_them_after(world: Any) -> None:
    first, untouched = entered(world, "结施-05", "结施-06")
    approve(world, first, world.approver)
    approve(world, untouched, world.actor("approver2"), "matter:SX-2026-000009")
    key = (world.project.code, Discipline.STRUCTURE, "结施-05")
    (touched,) = drawings.touched_by(project(world), [key, (world.project.code, Discipline.FIRE, "结施-05")])
    assert [(line.edition, line.title) for line in touched.approvals] == [(1, "施工图审查")]
    assert told(world.approver) == []
    entered(world, "结施-05", "结施-07", body="changed")
    (line,) = told(world.approver)
    assert line.is_warning
    assert line.subject == f"drawings:{world.project.code}"
    assert "结施-05" in line.title
    assert line.detail["sheets"] == {"结施-05": ["施工图审查"]}
    assert told(world.actor("approver2")) == []
    # The approval of the first edition is touched by the third as well.
    entered(world, "结施-05", body="changed again")
    assert len(told(world.approver)) == 2


def test_a_withdrawn_sheet_leaves_the_set_and_no_earlier_edition_comes_back(world: Any) -> None:
    (first,) = entered(world, "结施-05")
    approve(world, first, world.approver)
    before = clock.now()
    sandbox.forward(timedelta(days=1))
    (second,) = entered(world, "结施-05", body="changed")
    sandbox.forward(timedelta(days=1))
    for reason, actor, fault in (
        (" ", world.applicant, ReasonMissing),
        ("取消", world.approver, drawings.NotTheOwner),
    ):
        with pytest.raises(fault), transaction():
            drawings.withdraw(again(second), reason, by=actor)
    with transaction():
        drawings.withdraw(again(second), "取消该基础", by=world.applicant)
    with pytest.raises(drawings.VersionWithdrawn), transaction():
        drawings.withdraw(again(second), "再次", by=world.applicant)
    assert numbers_on(world) == []
    assert numbers_on(world, before) == [("结施-05", 1)]
    assert told(world.approver)[0].detail["reason"] == "取消该基础"
    entered(world, "结施-05", body="a new one")
    assert numbers_on(world) == [("结施-05", 3)]


def test_every_department_reads_the_same_set_and_its_files_and_strangers_nothing(world: Any) -> None:
    (version,) = entered(world, "结施-05")
    document, reference = version.document, version.sheet.reference
    for login in ("applicant", "window", "approver", "approver2", "authority", "supervisor", "auditor"):
        assert drawings.find(reference, by=world.actor(login)).number == "结施-05"
        assert drawings.may_read(document, world.actor(login)), login
    for role in (Role.LEAD, Role.REGULATOR, Role.CENTRE):
        officer = Actor(None, "某人", None, "某部门", frozenset({role.value}))
        assert drawings.may_read(document, officer)
    for login in ("applicant2", "agency", "operator", "security"):
        assert not drawings.may_read(document, world.actor(login)), login
        with pytest.raises(NotFound):
            drawings.find(reference, by=world.actor(login))
    assert not drawings.may_read(document, None)


def test_a_body_reads_the_set_once_it_has_taken_on_a_review_of_the_project(world: Any) -> None:
    (version,) = entered(world, "结施-05")
    body = world.actor("agency2")
    number = reviewed_by(world, "agency2")
    assert not drawings.may_read(version.document, body)
    with transaction():
        commissions.take_on(commissions.find(number, by=body, lock=True), by=body)
    assert drawings.may_read(version.document, body)
    assert drawings.may_see(project(world), body)
    assert not drawings.may_see(session.get_one(Project, world.other_project.id), body)
    assert not drawings.may_read(version.document, world.agency_actor)


def reviewed_by(world: Any, login: str) -> str:
    """A technical review of the project offered to an agency; answers the commission's number."""
    with transaction():
        item = catalogue.by_code("ZJ-0507")
        assert item.technical_review
        agency = session.merge(world.agency2)
        listing = listings.draft(agency, item, demo.demo_rule(item, 1), promised_working_days=10, by=world.actor(login))
        listings.publish(listing, by=world.actor(login))
        draft = commissions.draft(project(world), listing, session.merge(world.client_org), by=world.applicant)
        commissions.hand_in(
            draft,
            [Picked(name, document=world.document(f"{name}.pdf", name)) for name in draft.item.required_materials],
        )
        commissions.offer(draft, by=world.applicant)
        return draft.number


def again(version: SheetVersion) -> SheetVersion:
    return session.get_one(SheetVersion, version.id)


@pytest.mark.parametrize(
    ("name", "number", "title", "discipline", "stage"),
    [
        ("结施-05 基础平面图.pdf", "结施-05", "基础平面图", Discipline.STRUCTURE, DrawingStage.CONSTRUCTION),
        ("建施01_总平面图（一）.dwg", "建施-01", "总平面图(一)", Discipline.ARCHITECTURE, DrawingStage.CONSTRUCTION),
        ("结施05基础平面图.pdf", "结施-05", "基础平面图", Discipline.STRUCTURE, DrawingStage.CONSTRUCTION),
        ("水竣－１２　给水系统图.PDF", "水竣-12", "给水系统图", Discipline.WATER, DrawingStage.COMPLETION),
        ("电初-3A 配电系统.ofd", "电初-3A", "配电系统", Discipline.ELECTRICAL, DrawingStage.PRELIMINARY),
        ("暖施-01-02 风管平面.pdf", "暖施-01-02", "风管平面", Discipline.HVAC, DrawingStage.CONSTRUCTION),
        ("消施-07.pdf", "消施-07", "", Discipline.FIRE, DrawingStage.CONSTRUCTION),
        ("防施-02 口部详图.pdf", "防施-02", "口部详图", Discipline.CIVIL_DEFENCE, DrawingStage.CONSTRUCTION),
        ("景施-1 种植.pdf", "景施-1", "种植", Discipline.LANDSCAPE, DrawingStage.CONSTRUCTION),
        ("勘-01 勘察报告.pdf", "勘-01", "勘察报告", Discipline.SURVEY, DrawingStage.SURVEY),
        ("平面图1.pdf", "", "平面图1", None, None),
        ("2026年 图纸目录.pdf", "", "2026年 图纸目录", None, None),
        ("js-05 plan.pdf", "JS-05", "PLAN", None, None),
        (".pdf", "", ".pdf", None, None),
    ],
)
def test_a_files_name_says_which_sheet_it_is(
    name: str, number: str, title: str, discipline: Discipline | None, stage: DrawingStage | None
) -> None:
    assert drawings.guess(name) == drawings.Guess(number, title, discipline, stage)
