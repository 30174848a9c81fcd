"""Deliverables: editions, fingerprints, return, acceptance in three acts, withdrawal (001 §9.3–9.4; A11–A13)."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from kernel import clock, dossier, files, notifications, projects, sandbox, seals, timekeeping, trail, workflow
from kernel.clock import Light
from kernel.db import session, transaction
from kernel.dossier import EntryStatus
from kernel.errors import NotFound
from kernel.timekeeping import ClockKind
from kernel.trail import TrailAct
from market import commissions, deliverables
from market.commissions import CommissionStatus
from market.deliverables import DeliverableStatus, Part, Result
from tests.signing import make_signer, paper, sign

TABLE = {
    "submitted": {"client": {"return", "accept"}, "agency": set()},
    "returned": {"client": set(), "agency": set()},
    "accepted": {"client": set(), "agency": {"withdraw"}},
    "withdrawn": {"client": set(), "agency": set()},
}


def bring_to(chain, state: str) -> str:
    number = chain.delivered()
    if state == "returned":
        send_back(chain, number, ["补图"])
    elif state in ("accepted", "withdrawn"):
        chain.accept(number)
    if state == "withdrawn":
        with transaction():
            deliverables.withdraw(chain.latest(number), "发现错误", by=chain.agency)
    return number


def send_back(chain, number: str, points: list[str], **more) -> None:
    with transaction():
        chain.find(number, lock=True)
        deliverables.return_for_revision(chain.latest(number), points, by=chain.client, **more)


@pytest.mark.parametrize("state", TABLE)
def test_every_state_opens_exactly_the_moves_of_the_table(chain, state):
    deliverable = chain.latest(bring_to(chain, state))
    assert deliverable.status == state
    for side, actor in (("client", chain.client), ("agency", chain.agency), ("rival", chain.world.actor("agency2"))):
        may = TABLE[state].get(side, set())
        assert set(workflow.moves(deliverable, deliverables.STEPS, actor)) == may
        for action in set(deliverables.STEPS) - may:
            with pytest.raises(workflow.MoveNotOpen):
                workflow.check(deliverable, deliverables.STEPS, action, by=actor)


def test_handing_in_fingerprints_the_files_and_stops_the_agencys_time(chain):
    number = chain.in_service()
    sandbox.forward(timedelta(days=2))
    chain.deliver(number)
    deliverable = chain.latest(number)
    assert (deliverable.edition, deliverable.status) == (1, DeliverableStatus.SUBMITTED)
    assert [file.sha256 for file in deliverable.files] == [file.document.sha256 for file in deliverable.files]
    act = trail.of(deliverable.subject)[0]
    assert act.data["files"][0]["sha256"] == deliverable.files[0].sha256
    sandbox.forward(timedelta(days=4))
    service = timekeeping.running(f"commission:{number}", ClockKind.SERVICE)
    assert timekeeping.reading(service).light == Light.BLUE
    assert timekeeping.running(f"commission:{number}", ClockKind.ACCEPTANCE) is not None


def test_what_is_missing_or_wrong_is_named_and_nothing_is_handed_in(chain):
    number = chain.in_service()
    with pytest.raises(deliverables.ConclusionMissing):
        chain.deliver(number, summary="  ")
    with pytest.raises(deliverables.ValidityPast):
        chain.deliver(number, valid_until=clock.today() - timedelta(days=1))
    with pytest.raises(deliverables.WrongProject) as wrong:
        chain.deliver(number, project_code="2602-230199-48-01-200001")
    assert wrong.value.params["expected"] == chain.world.project.code
    with pytest.raises(projects.BadProjectCode):
        chain.deliver(number, project_code="不是代码")
    with pytest.raises(deliverables.FilesMissing), transaction():
        deliverables.submit(chain.find(number, lock=True), [], result=Result.PASSED, summary="x", by=chain.agency)
    assert chain.find(number).status == CommissionStatus.IN_SERVICE
    assert deliverables.of_commission(chain.find(number)) == []


def test_the_projects_code_is_recognised_however_it_is_typed(chain):
    number = chain.in_service()
    chain.deliver(number, project_code="２６０３ 230199 04 01 100001", valid_until=date(2029, 3, 1))
    assert chain.latest(number).valid_until == date(2029, 3, 1)


def test_a_return_names_its_points_and_the_agencys_time_goes_on(chain):
    """Journey 6"""
    number = chain.delivered()
    with pytest.raises(deliverables.PointsMissing):
        send_back(chain, number, [" "])
    send_back(chain, number, ["附图三缺比例尺", "第 12 页投资估算有误"])
    first = chain.latest(number)
    assert (first.status, first.points[1]) == (DeliverableStatus.RETURNED, "第 12 页投资估算有误")
    assert chain.find(number).status == CommissionStatus.IN_SERVICE
    service = timekeeping.running(f"commission:{number}", ClockKind.SERVICE)
    assert timekeeping.reading(service).light == Light.GREEN
    assert timekeeping.running(f"commission:{number}", ClockKind.ACCEPTANCE) is None
    chain.deliver(number, "修改稿.pdf")
    assert [d.edition for d in deliverables.of_commission(chain.find(number))] == [1, 2]
    assert chain.find(number).delivered_at == chain.latest(number).submitted_at


def test_a_returned_edition_cannot_be_accepted_any_more(chain):
    number = chain.delivered()
    first = chain.latest(number).number
    send_back(chain, number, ["补图"])
    chain.deliver(number, "修改稿.pdf")
    with pytest.raises(workflow.MoveNotOpen), transaction():
        deliverables.accept(deliverables.find(first, by=chain.client, lock=True), by=chain.client)
    assert chain.find(number).status == CommissionStatus.DELIVERED
    assert dossier.entries_of(chain.find(number).project) == []


def test_acceptance_is_three_acts_in_order_and_files_the_deliverable_under_the_project(chain):
    number = chain.delivered()
    chain.accept(number)
    commission, deliverable = chain.find(number), chain.latest(number)
    acts = [act.act for act in session.scalars(select(TrailAct).order_by(TrailAct.id.desc()).limit(3))]
    assert acts[::-1] == ["deliverable.accepted", "document.attached", "service.finished"]
    (entry,) = dossier.entries_of(commission.project)
    assert (entry.sha256, entry.source, entry.item_code) == (
        deliverable.files[0].sha256,
        deliverable.subject,
        commission.item.code,
    )
    assert entry.conclusion["result"] == "passed"
    assert dossier.stand(entry, clock.today()).can_rely
    assert commission.status == CommissionStatus.FINISHED
    stored = timekeeping.latest(commission.subject, ClockKind.SERVICE)
    assert stored.ended_at is not None
    assert timekeeping.reading(stored).light == Light.DONE


def test_silence_is_never_acceptance(chain):
    number = chain.delivered()
    sandbox.forward(timedelta(days=60))
    assert chain.find(number).status == CommissionStatus.DELIVERED
    assert dossier.entries_of(chain.find(number).project) == []
    told, _total = notifications.inbox(chain.client.person_id)
    assert told[0].act == "commission.light.red"


def test_punctuality_is_measured_when_it_was_handed_in_not_when_it_was_accepted(chain):
    number = chain.in_service()
    sandbox.forward(timedelta(days=10))
    chain.deliver(number)
    sandbox.forward(timedelta(days=60))
    chain.accept(number)
    stored = timekeeping.latest(f"commission:{number}", ClockKind.SERVICE)
    assert timekeeping.reading(stored).light == Light.DONE


def test_late_is_late_however_fast_it_is_accepted(chain):
    number = chain.in_service()
    sandbox.forward(timedelta(days=30))
    chain.deliver(number)
    chain.accept(number)
    stored = timekeeping.latest(f"commission:{number}", ClockKind.SERVICE)
    assert timekeeping.reading(stored).light == Light.DONE_LATE


def test_a_newer_deliverable_of_the_same_item_supersedes_the_older_and_tells_who_relied(chain):
    first = chain.finished()
    with transaction():
        commission = chain.find(first)
        (old,) = dossier.entries_of(commission.project)
        dossier.rely(
            old,
            relied_for="matter:SX-2026-000001",
            relied_for_title="水土保持方案审批",
            project=commission.project,
            by=chain.world.approver,
        )
    before = notifications.unread(chain.world.approver.person_id)
    chain.finished()
    newest, older = dossier.entries_of(chain.find(first).project)
    assert (older.status, newest.status) == (EntryStatus.SUPERSEDED, EntryStatus.ATTACHED)
    assert older.successor_id == newest.id
    assert notifications.unread(chain.world.approver.person_id) == before + 1


def test_a_withdrawal_needs_its_reason_takes_the_dossiers_entry_and_tells_who_relied(chain):
    """A13, journey 7"""
    number = chain.finished()
    with transaction():
        commission = chain.find(number)
        (entry,) = dossier.entries_of(commission.project)
        dossier.rely(
            entry,
            relied_for="matter:SX-2026-000001",
            relied_for_title="水土保持方案审批",
            project=commission.project,
            by=chain.world.approver,
        )
    with pytest.raises(dossier.ReasonMissing), transaction():
        deliverables.withdraw(chain.latest(number), " ", by=chain.agency)
    with pytest.raises(workflow.MoveNotOpen), transaction():
        deliverables.withdraw(chain.latest(number), "不要了", by=chain.client)
    with transaction():
        deliverables.withdraw(chain.latest(number), "引用数据有误", by=chain.agency)
    (entry,) = dossier.entries_of(chain.find(number).project)
    assert entry.status == EntryStatus.WITHDRAWN
    assert "引用数据有误" in dossier.stand(entry, clock.today()).reason_zh
    told, _total = notifications.inbox(chain.world.approver.person_id)
    assert (told[0].act, told[0].is_warning) == ("document.withdrawn", True)
    assert chain.find(number).status == CommissionStatus.FINISHED


def test_a_stale_version_accepts_nothing(chain):
    number = chain.delivered()
    version = chain.find(number).version
    send_back(chain, number, ["补图"])
    chain.deliver(number, "修改稿.pdf")
    with pytest.raises(workflow.StaleVersion), transaction():
        deliverables.accept(chain.latest(number), by=chain.client, expected_version=version)
    assert chain.find(number).status == CommissionStatus.DELIVERED


def test_strangers_do_not_learn_that_a_deliverable_exists(chain):
    deliverable = chain.latest(chain.delivered())
    for login in ("agency2", "applicant2", "window"):
        with pytest.raises(NotFound):
            deliverables.find(deliverable.number, by=chain.world.actor(login))
        assert not deliverables.may_read(deliverable.files[0].document, chain.world.actor(login))
    assert deliverables.may_read(deliverable.files[0].document, chain.client)


def test_several_files_are_filed_each_under_its_own_title(chain):
    number = chain.in_service()
    with transaction():
        commission = chain.find(number, lock=True)
        titles = commission.item.deliverables
        parts = [Part(title, chain.world.document(f"{title}.pdf", title, by=chain.agency)) for title in titles]
        deliverables.submit(commission, parts, result=Result.CONDITIONAL, summary="有条件", by=chain.agency)
    chain.accept(number)
    entries = dossier.entries_of(chain.find(number).project)
    assert sorted(entry.title for entry in entries) == sorted(titles)
    assert {entry.status for entry in entries} == {EntryStatus.ATTACHED}
    assert commissions.of_project(chain.find(number).project)[0].number == number


def test_a_signed_report_names_its_signer_and_one_changed_after_signing_is_refused(chain, tmp_path):
    """A11: real signatures; a broken one stores nothing."""
    number = chain.in_service()
    signed = sign(paper("signed report"), make_signer(tmp_path))
    at = signed.index(b"/Producer")
    changed = signed[: at + 12] + bytes([signed[at + 12] ^ 1]) + signed[at + 13 :]

    def hand_in(content: bytes):
        with transaction():
            commission = chain.find(number, lock=True)
            document = files.put(io.BytesIO(content), "报告.pdf", by=chain.agency)
            return deliverables.submit(
                commission, [Part("报告书", document)], result=Result.PASSED, summary="可行", by=chain.agency
            ).number

    with pytest.raises(seals.SignatureBroken):
        hand_in(changed)
    assert deliverables.of_commission(chain.find(number)) == []
    hand_in(signed)
    (file,) = chain.latest(number).files
    assert [(one["intact"], one["signer"]) for one in file.signatures] == [(True, "Common Name: Example Agency")]
