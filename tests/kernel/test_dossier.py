"""The dossier: picked, pinned, superseded, expired, withdrawn, and everyone who relied on it told (A13, 000 §9.4)."""

from __future__ import annotations

import itertools
import threading
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kernel import clock, dossier, jobs, notifications, trail
from kernel.clock import SHANGHAI
from kernel.db import session, transaction
from kernel.dossier import CannotRely, Entry, EntryKind, EntryStatus, ReasonMissing
from kernel.projects import Project
from kernel.trail import Actor
from kernel.workflow import MoveNotOpen, StaleVersion

TODAY = date(2026, 3, 2)


def attach(world: Any, body: str = "一版", *, valid_until: date | None = None, **more: Any) -> Entry:
    """A deliverable of the agency under the world's project, in a transaction of its own."""
    with transaction():
        return attached(world, body, valid_until=valid_until, **more)


def attached(world: Any, body: str, *, valid_until: date | None = None, **more: Any) -> Entry:
    return dossier.attach(
        session.get_one(Project, world.project.id),
        world.document(body=body, by=world.agency_actor),
        kind=EntryKind.DELIVERABLE,
        title="水土保持方案",
        source="deliverable:CG-1",
        issuer=world.agency.name,
        issuer_id=world.agency.organisation_id,
        by=world.applicant,
        item_code="ZJ-0506",
        valid_until=valid_until,
        **more,
    )


def rely(world: Any, entry: Entry, by: Actor | None = None, relied_for: str = "matter:SX-1") -> dossier.Use:
    with transaction():
        return dossier.rely(
            entry, relied_for=relied_for, relied_for_title="取水许可", project=world.project, by=by or world.approver
        )


def inbox(world: Any, login: str) -> list[notifications.Notice]:
    return notifications.inbox(world.people[login].id)[0]


def test_attached_document_stands_under_its_project_with_its_fingerprint(world: Any) -> None:
    entry = attach(world)
    assert [e.id for e in dossier.entries_of(world.project)] == [entry.id]
    assert entry.sha256 == entry.document.sha256
    assert dossier.by_number(entry.number) is entry
    assert dossier.from_source("deliverable:CG-1") == [entry]
    (act,) = trail.of(entry.subject)
    assert (act.act, act.data["sha256"], act.data["project"]) == ("document.attached", entry.sha256, world.project.code)


def test_use_pins_the_version_and_who_relied_on_it(world: Any) -> None:
    entry = attach(world)
    use = rely(world, entry)
    assert (use.sha256, use.relied_for, use.person) == (entry.sha256, "matter:SX-1", world.approver.person)
    assert dossier.uses_of(entry) == [use]
    assert dossier.uses_of_hash(entry.sha256) == [use]
    assert dossier.relied_on_for("matter:SX-1") == [use]
    assert [act.act for act in trail.of(entry.subject)] == ["document.attached", "document.relied_on"]


def test_newer_version_supersedes_and_those_who_relied_are_told(world: Any) -> None:
    first = attach(world)
    rely(world, first)
    with transaction():
        second = attached(world, "二版", edition=2, supersedes=[first])
    assert (first.status, first.successor_id) == (EntryStatus.SUPERSEDED, second.id)
    (line,) = inbox(world, "approver")
    assert (line.act, line.subject, line.is_warning) == ("document.superseded", "matter:SX-1", True)
    assert inbox(world, "agency2") == []
    with pytest.raises(CannotRely, match="cannot_rely") as caught:
        rely(world, first)
    assert "新版本" in caught.value.text()
    assert "newer version" in caught.value.text("en")
    assert rely(world, second).sha256 == second.sha256


def test_withdrawing_tells_everyone_who_relied_with_the_reason(world: Any) -> None:
    entry = attach(world)
    rely(world, entry)
    rely(world, entry, by=world.window, relied_for="matter:SX-2")
    with transaction():
        dossier.withdraw(entry, " 计算有误 ", by=world.agency_actor)
    for login, decision in (("approver", "matter:SX-1"), ("window", "matter:SX-2")):
        (line,) = inbox(world, login)
        assert (line.act, line.subject, line.detail["reason"]) == ("document.withdrawn", decision, "计算有误")
    with pytest.raises(CannotRely) as caught:
        rely(world, entry)
    assert "计算有误" in caught.value.text()
    assert "Withdrawn" in caught.value.text("en")
    assert len(dossier.uses_of(entry)) == 2


def test_nobody_but_the_issuer_withdraws(world: Any) -> None:
    entry = attach(world)
    for by in (world.applicant, world.approver, world.operator, world.actor("agency2")):
        with pytest.raises(MoveNotOpen), transaction():
            dossier.withdraw(entry, "不想要了", by=by)
    assert dossier.by_number(entry.number).status is EntryStatus.ATTACHED


def test_withdrawal_needs_a_reason_and_the_present_version(world: Any) -> None:
    entry = attach(world)
    with pytest.raises(ReasonMissing), transaction():
        dossier.withdraw(entry, "  ", by=world.agency_actor)
    with pytest.raises(StaleVersion), transaction():
        dossier.withdraw(entry, "有误", by=world.agency_actor, expected_version=9)
    session.expire_all()
    assert (entry.status, entry.reason) == (EntryStatus.ATTACHED, "")


def test_validity_ends_at_the_next_midnight_in_beijing(world: Any) -> None:
    entry = attach(world, valid_until=TODAY)
    rely(world, entry)
    midnight = datetime(2026, 3, 3, tzinfo=SHANGHAI)
    assert jobs.run_due(midnight - timedelta(seconds=1)) == 0
    assert jobs.run_due(midnight) == 1
    assert jobs.run_due(midnight + timedelta(days=9)) == 0
    session.expire_all()
    assert (entry.status, entry.expired_at) == (EntryStatus.EXPIRED, midnight)
    (line,) = inbox(world, "approver")
    assert (line.act, line.at) == ("document.expired", midnight)
    assert [act.at for act in trail.of(entry.subject) if act.act == "document.expired"] == [midnight]


def test_expiry_missed_for_days_is_stamped_with_its_legal_instant(world: Any) -> None:
    early = attach(world, "一", valid_until=TODAY)
    late = attach(world, "二", valid_until=TODAY + timedelta(days=3))
    assert jobs.run_due(datetime(2026, 4, 1, 12, tzinfo=SHANGHAI)) == 2
    session.expire_all()
    assert early.expired_at == datetime(2026, 3, 3, tzinfo=SHANGHAI)
    assert late.expired_at == datetime(2026, 3, 6, tzinfo=SHANGHAI)


def test_expiry_overtaken_by_a_withdrawal_changes_nothing(world: Any) -> None:
    entry = attach(world, valid_until=TODAY)
    with transaction():
        dossier.withdraw(entry, "有误", by=world.agency_actor)
    with transaction():
        dossier.act_on_expiry(entry.number, datetime(2026, 3, 3, tzinfo=SHANGHAI))
    assert entry.status is EntryStatus.WITHDRAWN


def test_expired_document_may_still_be_withdrawn(world: Any) -> None:
    entry = attach(world, valid_until=TODAY)
    jobs.run_due(datetime(2026, 3, 3, tzinfo=SHANGHAI))
    with transaction():
        dossier.withdraw(entry, "有误", by=world.agency_actor)
    assert entry.status is EntryStatus.WITHDRAWN


def test_document_past_its_day_is_refused_even_before_the_loop_ran(world: Any) -> None:
    entry = attach(world, valid_until=TODAY - timedelta(days=1))
    assert entry.status is EntryStatus.ATTACHED
    with pytest.raises(CannotRely) as caught:
        rely(world, entry)
    assert "2026-03-01" in caught.value.text()
    assert "expired" in caught.value.text("en")
    assert dossier.uses_of(entry) == []


def test_reliance_refused_leaves_nothing(world: Any) -> None:
    entry = attach(world)
    with transaction():
        dossier.withdraw(entry, "有误", by=world.agency_actor)
    before = len(trail.of(entry.subject))
    with pytest.raises(CannotRely):
        rely(world, entry)
    assert len(trail.of(entry.subject)) == before
    assert dossier.uses_of(entry) == []


def test_question_in_sql_answers_as_the_rule_does(world: Any) -> None:
    """Every status × validity (none, and around the day) × day: ``stand`` and ``reliable_clause`` agree."""
    first = attach(world)
    offsets = [None, -400, -1, 0, 1, 400]
    with transaction():
        for number, (status, offset) in enumerate(itertools.product(EntryStatus, offsets)):
            session.add(
                Entry(
                    number=f"CL-2000-{number:06d}",
                    project_id=world.project.id,
                    kind=EntryKind.MATERIAL,
                    title="材料",
                    source="trial:1",
                    edition=1,
                    document_id=first.document_id,
                    sha256=first.sha256,
                    issuer="甲",
                    accepted_by="",
                    conclusion={},
                    attached_at=clock.now(),
                    valid_until=None if offset is None else TODAY + timedelta(days=offset),
                    status=status,
                )
            )
    for shift in (-401, -2, -1, 0, 1, 2, 401):
        day = TODAY + timedelta(days=shift)
        rows = session.scalars(select(Entry).where(Entry.source == "trial:1")).all()
        by_rule = {entry.number for entry in rows if dossier.stand(entry, day).can_rely}
        by_sql = set(
            session.scalars(select(Entry.number).where(Entry.source == "trial:1", dossier.reliable_clause(day)))
        )
        assert by_sql == by_rule
        assert len(rows) == 24
        for entry in rows:
            standing = dossier.stand(entry, day)
            assert bool(standing.reason_zh) == bool(standing.reason_en) == (not standing.can_rely)


def test_of_two_successors_at_once_one_takes_the_place(world: Any) -> None:
    """Both read the old entry as standing; the second is refused instead of taking the place again."""
    first = attach(world)
    barrier = threading.Barrier(2)
    faults: list[BaseException] = []

    def succeed(body: str) -> None:
        try:
            with world.portal.app_context(), transaction():
                old = dossier.by_number(first.number)
                assert old.status is EntryStatus.ATTACHED
                barrier.wait(20)
                attached(world, body, edition=2, supersedes=[old])
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=succeed, args=(body,)) for body in ("二", "三")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [type(fault) for fault in faults] == [MoveNotOpen]
    assert [act.act for act in trail.of(first.subject)].count("document.superseded") == 1
    assert len(dossier.entries_of(world.project)) == 2
