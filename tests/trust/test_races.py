"""Two people at once: one award, one clock, one decision, whatever the order (G5).

Each round forces the meeting: an outsider holds the row's lock until every racer stands at it, then lets go. Twenty
rounds per push, two hundred at night. With the guard taken away the same race goes wrong, which shows that it would.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from integration.approvals import decisions, guide, matters
from integration.approvals.decisions import Decision
from integration.approvals.matters import Matter, Outcome
from kernel import cluster as clusters
from kernel import dossier, notifications, trail
from kernel.clock import EventKind
from kernel.db import session, transaction
from kernel.dossier import CannotRely, Entry, EntryKind
from kernel.errors import Conflict, PortalError
from kernel.files import Document
from kernel.projects import Project
from kernel.timekeeping import ClockEvent, ClockKind, StoredClock
from kernel.trail import Actor
from kernel.workflow import MoveNotOpen, StaleVersion
from market import commissions, deliverables, services
from market.commissions import Commission, Picked
from market.deliverables import Deliverable, Part, Result
from market.listings import Listing

RACERS = 3
ROUNDS = [pytest.param(20, id="20 rounds"), pytest.param(200, id="200 rounds", marks=pytest.mark.nightly)]
Act = Callable[[], object]


@dataclass
class Track:
    """Where races are run: a world, a stored document, and an outsider who can hold any row."""

    world: Any
    outsider: psycopg.Connection[Any]
    document: int

    def race(self, table: str, key: int, *acts: Act) -> list[BaseException | None]:
        """Run ``acts`` at once, each in its own transaction; answer what each raised, in their order."""
        ends: list[BaseException | None] = [None] * len(acts)

        def run(lane: int) -> None:
            try:
                with self.world.portal.app_context(), transaction():
                    acts[lane]()
            except BaseException as fault:
                ends[lane] = fault

        session.rollback()
        threads = [threading.Thread(target=run, args=(lane,)) for lane in range(len(acts))]
        self.outsider.execute("BEGIN")
        try:
            self.outsider.execute(f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE", (key,))  # type: ignore[arg-type]  # noqa: S608
            for thread in threads:
                thread.start()
            self._until_waiting(len(acts))
        finally:
            self.outsider.execute("COMMIT")
        for thread in threads:
            thread.join(60)
        session.rollback()
        return ends

    def _until_waiting(self, count: int) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            self.outsider.execute("SELECT pg_stat_clear_snapshot()")
            row = self.outsider.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            if row and row[0] >= count:
                return
            time.sleep(0.005)
        raise AssertionError("the racers never met at the lock")

    # What a race is about.

    def offered(self) -> str:
        with transaction():
            commission = self._drafted()
            commissions.offer(commission, by=self.world.applicant)
        return commission.number

    def taken_on(self) -> str:
        with transaction():
            commission = self._drafted()
            commissions.offer(commission, by=self.world.applicant)
            commissions.take_on(commission, by=self.world.agency_actor)
        return commission.number

    def delivered(self) -> str:
        with transaction():
            commission = self._drafted()
            commissions.offer(commission, by=self.world.applicant)
            commissions.take_on(commission, by=self.world.agency_actor)
            services.start(commission, by=self.world.agency_actor)
            made = deliverables.submit(
                commission,
                [Part(f"方案 {commission.number}", self._document())],
                result=Result.PASSED,
                summary="符合要求",
                by=self.world.agency_actor,
            )
        return made.number

    def begun(self) -> str:
        kind = next(
            kind
            for kind in guide.all_kinds()
            if (found := guide.authority_of(kind.department)) and found.id == self.world.approver.organisation_id
        )
        with transaction():
            project = session.get_one(Project, self.world.project.id)
            matter = matters.apply(project, kind, project.organisation, by=self.world.applicant)
            for material in matter.materials:
                matters.pick(matter, material.position, by=self.world.applicant, document=self._document())
            matters.submit(matter, by=self.world.applicant)
            matters.receive(matter, by=self.world.window)
            matters.accept(matter, by=self.world.window)
            matters.begin(matter, by=self.world.approver)
        return matter.number

    def attached(self) -> str:
        with transaction():
            return self.attach().number

    def attach(self, **more: Any) -> Entry:
        return dossier.attach(
            session.get_one(Project, self.world.project.id),
            self._document(),
            kind=EntryKind.DELIVERABLE,
            title="水土保持方案",
            source="deliverable:CG-1",
            issuer=self.world.agency.name,
            issuer_id=self.world.agency.organisation_id,
            by=self.world.applicant,
            **more,
        )

    def _drafted(self) -> Commission:
        project = session.get_one(Project, self.world.project.id)
        listing = session.get_one(Listing, self.world.listing.id)
        commission = commissions.draft(project, listing, project.organisation, by=self.world.applicant)
        names = commission.item.required_materials
        commissions.hand_in(commission, [Picked(name, document=self._document()) for name in names])
        return commission

    def _document(self) -> Document:
        return session.get_one(Document, self.document)


@pytest.fixture
def track(world: Any, cluster: clusters.Cluster, database: str) -> Iterator[Track]:
    with transaction():
        document = world.document(by=world.applicant)
    with cluster.connect(database) as outsider:
        yield Track(world, outsider, document.id)


def one(query: Any) -> Any:
    found = session.scalar(query)
    session.rollback()
    return found


def acts_on(subject: str) -> list[str]:
    found = [act.act for act in trail.of(subject)]
    session.rollback()
    return found


def running_clocks(subject: str, kind: ClockKind) -> int:
    return int(
        one(
            select(func.count())
            .select_from(StoredClock)
            .where(StoredClock.subject == subject, StoredClock.kind == kind, StoredClock.ended_at.is_(None))
        )
    )


def losers(ends: list[BaseException | None]) -> list[BaseException]:
    """Those who came second; they were told by a named conflict and nothing else."""
    lost = [end for end in ends if end is not None]
    assert all(isinstance(end, Conflict) for end in lost), lost
    return lost


def on_commission(number: str, by: Actor, verb: Callable[..., object], *, lock: bool = True) -> Act:
    """What a view does: find under the lock, then the verb."""
    return lambda: verb(commissions.find(number, by=by, lock=lock), by=by)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_service_starts_once(track: Track, rounds: int) -> None:
    agency = track.world.agency_actor
    for _ in range(rounds):
        number = track.taken_on()
        key = one(select(Commission.id).where(Commission.number == number))
        ends = track.race("commissions", key, *[on_commission(number, agency, services.start)] * RACERS)
        assert len(losers(ends)) == RACERS - 1
        assert running_clocks(f"commission:{number}", ClockKind.SERVICE) == 1
        assert acts_on(f"commission:{number}").count("service.started") == 1
    starts = one(select(func.count()).select_from(ClockEvent).where(ClockEvent.event == EventKind.START))
    assert starts == 2 * rounds  # each commission's time to answer, and its service


def test_late_comer_with_an_old_page_is_told_the_page_is_old(track: Track) -> None:
    agency = track.world.agency_actor
    number = track.taken_on()
    key, version = one(select(Commission.id).where(Commission.number == number)), commissions_version(number)

    def start() -> None:
        services.start(commissions.find(number, by=agency, lock=True), by=agency, expected_version=version)

    (lost,) = losers(track.race("commissions", key, start, start))
    assert isinstance(lost, StaleVersion)
    assert lost.params == {"current": version + 1}


def commissions_version(number: str) -> int:
    return int(one(select(Commission.version).where(Commission.number == number)))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_commission_is_taken_on_once(track: Track, rounds: int) -> None:
    agency = track.world.agency_actor
    for _ in range(rounds):
        number = track.offered()
        key = one(select(Commission.id).where(Commission.number == number))
        ends = track.race("commissions", key, *[on_commission(number, agency, commissions.take_on)] * RACERS)
        assert len(losers(ends)) == RACERS - 1
        assert acts_on(f"commission:{number}").count("commission.taken_on") == 1
        assert running_clocks(f"commission:{number}", ClockKind.AGENCY_RESPONSE) == 0


@pytest.mark.parametrize("rounds", ROUNDS)
def test_offer_is_taken_on_or_cancelled_never_both(track: Track, rounds: int) -> None:
    agency, client = track.world.agency_actor, track.world.applicant
    for _ in range(rounds):
        number = track.offered()
        key = one(select(Commission.id).where(Commission.number == number))
        ends = track.race(
            "commissions",
            key,
            on_commission(number, agency, commissions.take_on),
            lambda number=number: commissions.cancel(
                commissions.find(number, by=client, lock=True), "不再需要", by=client
            ),
        )
        assert len(losers(ends)) == 1
        happened = {"commission.taken_on", "commission.cancelled"} & set(acts_on(f"commission:{number}"))
        assert len(happened) == 1


def accept_and_return(number: str, client: Actor, *, lock: bool = True) -> tuple[Act, Act]:
    return (
        lambda: deliverables.accept(deliverables.find(number, by=client, lock=lock), by=client),
        lambda: deliverables.return_for_revision(
            deliverables.find(number, by=client, lock=lock), ["补充计算书"], by=client
        ),
    )


@pytest.mark.parametrize("rounds", ROUNDS)
def test_deliverable_is_accepted_or_returned_never_both(track: Track, rounds: int) -> None:
    for _ in range(rounds):
        number = track.delivered()
        key, commission = row_of(number)
        ends = track.race("commissions", key, *accept_and_return(number, track.world.applicant))
        assert len(losers(ends)) == 1
        happened = {"deliverable.accepted", "deliverable.returned"} & set(acts_on(f"deliverable:{number}"))
        assert len(happened) == 1
        is_accepted = happened == {"deliverable.accepted"}
        assert (
            one(select(func.count()).select_from(Entry).where(Entry.source == f"deliverable:{number}")) == is_accepted
        )
        assert ("service.finished" in acts_on(f"commission:{commission}")) == is_accepted
        assert running_clocks(f"commission:{commission}", ClockKind.SERVICE) == (not is_accepted)


def row_of(deliverable: str) -> tuple[int, str]:
    row = session.execute(
        select(Commission.id, Commission.number)
        .join(Deliverable, Deliverable.commission_id == Commission.id)
        .where(Deliverable.number == deliverable)
    ).one()
    session.rollback()
    return row.id, row.number


@pytest.mark.parametrize("rounds", ROUNDS)
def test_matter_is_decided_once(track: Track, rounds: int) -> None:
    approver = track.world.approver
    for _ in range(rounds):
        number = track.begun()
        case = one(select(Matter.case_id).where(Matter.number == number))

        def decide(outcome: Outcome, number: str = number) -> Act:
            return lambda: decisions.decide(
                matters.find(number, by=approver, lock=True), outcome, "理由充分", by=approver
            )

        ends = track.race("cases", case, decide(Outcome.GRANTED), decide(Outcome.REFUSED))
        assert len(losers(ends)) == 1
        decided = {"matter.granted", "matter.refused"} & set(acts_on(f"matter:{number}"))
        assert len(decided) == 1
        assert one(select(func.count()).select_from(Decision).join(Matter).where(Matter.number == number)) == 1
        assert running_clocks(f"matter:{number}", ClockKind.PROMISED) == 0


@pytest.mark.parametrize("rounds", ROUNDS)
def test_whoever_relied_on_a_version_is_told_or_was_refused(track: Track, rounds: int) -> None:
    approver = track.world.approver
    relied = 0
    for turn in range(rounds):
        number = track.attached()
        key = one(select(Entry.id).where(Entry.number == number))

        def supersede(number: str = number) -> None:
            track.attach(edition=2, supersedes=[dossier.by_number(number)])

        def rely(number: str = number, turn: int = turn) -> None:
            dossier.rely(
                dossier.by_number(number),
                relied_for=f"matter:RACE-{turn}",
                relied_for_title="取水许可",
                project=track.world.project,
                by=approver,
            )

        superseded, reliance = track.race("dossier_entries", key, supersede, rely)
        assert superseded is None
        told = one(
            select(func.count())
            .select_from(notifications.Notice)
            .where(notifications.Notice.subject == f"matter:RACE-{turn}")
        )
        if reliance is None:
            relied += 1
            assert told == 1
        else:
            assert isinstance(reliance, CannotRely)
            assert (told, dossier.relied_on_for(f"matter:RACE-{turn}")) == (0, [])
        session.rollback()
    assert 0 <= relied <= rounds


# The same races without their guard.


def meet(world: Any, read: Callable[[], Any], act: Callable[[Any], object]) -> list[BaseException | None]:
    """Two people read the same state, and only when both have read does either act."""
    barrier = threading.Barrier(2)
    ends: list[BaseException | None] = [None, None]

    def run(lane: int) -> None:
        try:
            with world.portal.app_context(), transaction():
                found = read()
                barrier.wait(20)
                act(found)
        except BaseException as fault:
            ends[lane] = fault

    threads = [threading.Thread(target=run, args=(lane,)) for lane in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    session.rollback()
    return ends


def start_without_lock(track: Track) -> tuple[list[BaseException | None], int]:
    agency = track.world.agency_actor
    number = track.taken_on()
    ends = meet(
        track.world,
        lambda: commissions.find(number, by=agency, lock=False),
        lambda commission: services.start(commission, by=agency),
    )
    return ends, running_clocks(f"commission:{number}", ClockKind.SERVICE)


def test_without_the_lock_the_index_still_allows_one_clock(track: Track) -> None:
    ends, running = start_without_lock(track)
    assert running == 1
    assert [type(end) for end in ends if end is not None] == [IntegrityError]


def test_without_lock_and_index_two_clocks_run(track: Track, owner_engine) -> None:  # type: ignore[no-untyped-def]
    """Both guards gone, the race is lost: so the tests above would see it."""
    with owner_engine.connect() as owner:
        definition = owner.scalar(text("SELECT indexdef FROM pg_indexes WHERE indexname = 'uq_clocks_running'"))
        owner.execute(text("DROP INDEX uq_clocks_running"))
        try:
            ends, running = start_without_lock(track)
        finally:
            session.rollback()
            owner.execute(text("TRUNCATE clocks CASCADE"))
            owner.execute(text(definition))
    assert ends == [None, None]
    assert running == 2


def test_without_the_lock_a_deliverable_is_accepted_and_returned(track: Track) -> None:
    client = track.world.applicant
    number = track.delivered()
    turns = iter(["accept", "return"])

    def act(deliverable: Deliverable) -> None:
        if next(turns) == "accept":
            deliverables.accept(deliverable, by=client)
        else:
            deliverables.return_for_revision(deliverable, ["补充"], by=client)

    ends = meet(track.world, lambda: deliverables.find(number, by=client, lock=False), act)
    assert {"deliverable.accepted", "deliverable.returned"} <= set(acts_on(f"deliverable:{number}")) or any(
        end is not None and not isinstance(end, PortalError) for end in ends
    )


def test_lost_race_names_the_moves_that_are_open(track: Track) -> None:
    agency = track.world.agency_actor
    number = track.offered()
    key = one(select(Commission.id).where(Commission.number == number))
    (lost,) = losers(track.race("commissions", key, *[on_commission(number, agency, commissions.take_on)] * 2))
    assert isinstance(lost, MoveNotOpen)
    assert lost.moves == ["start"]
