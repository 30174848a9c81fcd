"""The races of a competition: no late bid, no missed one, one award, one opening (G4; competition.md, "Races").

A round is one forced meeting on the real database: an outsider holds a row or a table until each act in turn stands
at a lock or has ended, then lets go; the order of the acts changes from round to round. A round answers what was
broken. Twenty rounds per push, two hundred at night, and every race once more without its guard, where it is lost.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import bindparam, event, select, text
from sqlalchemy.dialects.postgresql import insert

from integration.demo import city
from kernel import cluster as clusters
from kernel import jobs, sealing, statements, trail
from kernel.db import db, session, transaction
from kernel.errors import PortalError
from kernel.statements import Records, Statement
from kernel.timekeeping import ClockKind, StoredClock
from kernel.trail import TrailAct
from market import agencies, awards, bidding, calls, custody, drawing, objections
from market.agencies import Agency
from market.awards import Award, AwardStatus
from market.bidding import Bid, OpenedBid, Outcome, SealedBy, receiving
from market.calls.faults import CallClosed
from market.commissions import CommissionStatus
from market.custody import Custodian
from market.drawing import Draw, DrawPurpose
from market.objections import Objection, ObjectionStatus
from tests.competition import Competition, jump
from tests.market.contest import Contest

#: Long, and not yet measured on a quiet machine.
pytestmark = pytest.mark.nightly

TICK = timedelta(microseconds=1)
#: In fen; below it the platform alone holds the key, so that the close opens the bids in its own transaction.
SMALL = 9_000_000
RIVALS = ("清源", "绿洲", "天衡", "恒信", "北岭", "经纬", "安泰", "磐石", "明鉴", "方略", "沃土")
ROUNDS = [pytest.param(20, id="20 rounds"), pytest.param(200, id="200 rounds", marks=pytest.mark.nightly)]
Act = Callable[[], object]
Ends = list[BaseException | None]


def within(act: Act) -> Act:
    """``act`` as an edge does it: in a transaction."""

    def run() -> None:
        with transaction():
            act()

    return run


@dataclass
class Arena:
    """Where the acts meet: a town, its calls, and an outsider who can hold any row or table."""

    world: Any
    outsider: psycopg.Connection[Any]
    kept: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.competition = Competition(self.world)

    def meet(self, hold: str, *acts: Act, between: Act | None = None) -> Ends:
        """Start ``acts`` one after the other while ``hold`` is held; answer what each raised, in their order."""
        ends: Ends = [None] * len(acts)
        over = [threading.Event() for _ in acts]

        def run(lane: int) -> None:
            try:
                with self.world.portal.app_context():
                    acts[lane]()
                    session.remove()
            except BaseException as fault:
                ends[lane] = fault
            finally:
                over[lane].set()

        session.rollback()
        threads = [threading.Thread(target=run, args=(lane,)) for lane in range(len(acts))]
        self.outsider.execute("BEGIN")
        try:
            self.outsider.execute(hold)
            for place, thread in enumerate(threads, start=1):
                thread.start()
                self._until_standing(over[:place])
            if between is not None:
                between()
        finally:
            self.outsider.execute("COMMIT")
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        session.rollback()
        return ends

    def _until_standing(self, started: Sequence[threading.Event]) -> None:
        """Until everybody who started waits for a lock or is through."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            self.outsider.execute("SELECT pg_stat_clear_snapshot()")
            row = self.outsider.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            if row and row[0] + sum(one.is_set() for one in started) >= len(started):
                return
            time.sleep(0.005)
        raise AssertionError("the acts never met at the lock")

    # What a race is about

    def published(self, *, ceiling: int = SMALL) -> str:
        """A call a few days before its closing, with one bid in it."""
        jump(city.START)
        number = self.competition.published(ceiling=ceiling)
        self.bid(number, self.competition.sealed(number, self.world.agency2, 8_000_000), "agency2")()
        session.rollback()
        return number

    def closing(self, number: str) -> datetime:
        closing = self.competition.find(number).closing_at
        session.rollback()
        assert closing is not None
        return closing

    def sealed(self, number: str, price: int = 7_000_000) -> sealing.SealedBid:
        found = self.competition.sealed(number, self.world.agency, price)
        session.rollback()
        return found

    def bid(
        self, number: str, sealed: sealing.SealedBid, login: str = "agency", receipts: list[Any] | None = None
    ) -> Act:
        actor = self.world.actor(login)  # people belong to this thread's session

        def act() -> None:
            with transaction():
                agency = agencies.of_organisation(actor.organisation_id or 0)
                assert agency is not None
                told = bidding.submit(
                    number,
                    agency,
                    ciphertext=sealed.ciphertext,
                    wraps=sealed.wraps,
                    sealed_by=SealedBy.OFFLINE,
                    by=actor,
                )
            if receipts is not None:  # only what was committed was acknowledged
                receipts.append(told)

        return act

    def close(self, number: str, closing: datetime) -> Act:
        """What the due-loop does the instant after the closing."""
        return within(lambda: calls.act_on_due(number, closing + TICK))

    def commission_row(self, number: str) -> str:
        key = self.competition.find(number).commission_id
        session.rollback()
        return f"SELECT 1 FROM commissions WHERE id = {key} FOR UPDATE"  # noqa: S608

    def acts_on(self, subject: str) -> list[str]:
        found = [act.act for act in trail.of(subject)]
        session.rollback()
        return found

    def commission_of(self, number: str) -> str:
        subject = self.competition.find(number).subject
        session.rollback()
        return subject


@pytest.fixture
def arena(world: Any, cluster: clusters.Cluster, database: str) -> Iterator[Arena]:
    with cluster.connect(database) as outsider:
        yield Arena(world, outsider)


def rude(ends: Ends) -> list[str]:
    """Whoever loses a race is told so by name: anything else is a fault."""
    return [f"{type(end).__name__}: {end}" for end in ends if end is not None and not isinstance(end, PortalError)]


def of_call(number: str) -> tuple[list[Bid], list[OpenedBid], Any]:
    """The bids as stored, the bids as opened, and the call."""
    session.rollback()
    call = calls.find(number, by=trail.SYSTEM)
    session.refresh(call)
    session.refresh(call.commission)
    bids = list(session.scalars(select(Bid).where(Bid.call_id == call.id)))
    opened = list(session.scalars(select(OpenedBid).where(OpenedBid.call_id == call.id)).unique())
    return bids, opened, call


def counted(number: str, receipts: Sequence[dict[str, Any]], closing: datetime) -> list[str]:
    """What the closing promises: nothing late, nothing acknowledged and lost, nothing accepted and missed."""
    bids, opened, _call = of_call(number)
    stored = {bid.sha256 for bid in bids}
    found = [f"late: {bid.received_at}" for bid in bids if bid.received_at > closing]
    found += [f"acknowledged, not stored: {one['sha256']}" for one in receipts if one["sha256"] not in stored]
    found += [f"accepted and missed: {sha}" for sha in stored - {row.bid.sha256 for row in opened}]
    session.rollback()
    return found


# The rounds: each answers what it found broken


def bid_and_close(arena: Arena, turn: int) -> list[str]:
    """A bid that is being stored and a close: whoever has the row first, the opening has every bid accepted."""
    number = arena.published()
    closing = arena.closing(number)
    jump(closing - timedelta(minutes=1))
    receipts: list[dict[str, Any]] = []
    bid, close = arena.bid(number, arena.sealed(number), receipts=receipts), arena.close(number, closing)
    if turn % 2:
        ends = arena.meet("LOCK TABLE opened_bids IN SHARE MODE", close, bid)
    else:
        ends = arena.meet("LOCK TABLE bid_origins IN SHARE MODE", bid, close)
    found = rude(ends) + counted(number, receipts, closing)
    if bool(receipts) is bool(turn % 2):
        found.append("the one who held the row did not win")
    return found


def bid_waits_past_the_closing(arena: Arena, turn: int) -> list[str]:
    """A bid stands at the row in time and gets it late; or the call is closed and the clock then set an hour back."""
    number = arena.published()
    closing = arena.closing(number)
    jump(closing - timedelta(seconds=30))
    receipts: list[dict[str, Any]] = []
    bid, close = arena.bid(number, arena.sealed(number), receipts=receipts), arena.close(number, closing)
    shift = (timedelta(seconds=2), timedelta(hours=1), timedelta(hours=-1))[turn % 3]
    acts = (close, bid) if shift < timedelta(0) else (bid, close)
    ends = arena.meet(arena.commission_row(number), *acts, between=lambda: jump(closing + shift))
    found = rude(ends) + counted(number, receipts, closing)
    if receipts:
        found.append(f"stored {shift} from the closing")
    return found


def withdrawn_bid_and_close(arena: Arena, turn: int) -> list[str]:
    """A bid that its bidder withdrew is never read; one that was read was not withdrawn."""
    number = arena.published()
    closing = arena.closing(number)
    jump(closing - timedelta(minutes=1))
    sealed = arena.sealed(number)
    arena.bid(number, sealed)()
    agency = arena.world.agency_actor

    def withdraw() -> None:
        bidding.withdraw(session.scalars(select(Bid).where(Bid.sha256 == sealed.sha256)).one(), by=agency)

    acts = (within(withdraw), arena.close(number, closing))
    if turn % 2:
        ends = arena.meet("LOCK TABLE opened_bids IN SHARE MODE", *reversed(acts))[::-1]
    else:
        ends = arena.meet("LOCK TABLE bid_withdrawals IN SHARE MODE", *acts)
    found = rude(ends)
    _bids, opened, _call = of_call(number)
    outcome = next((row.outcome for row in opened if row.bid.sha256 == sealed.sha256), None)
    wanted = Outcome.WITHDRAWN if ends[0] is None else Outcome.OPENED
    if outcome is not wanted:
        found.append(f"{outcome} though the withdrawal ended as {ends[0]!r}")
    session.rollback()
    return found


def withdrawal_and_opening(arena: Arena, turn: int) -> list[str]:
    """The buyer gives the purchase up while the bids open: what was given up unopened stays closed for ever."""
    number = arena.published(ceiling=SMALL * 4)
    jump(arena.closing(number) + timedelta(seconds=1))
    jobs.run_due()
    competition = arena.competition
    for which in (Custodian.BUYER, Custodian.SUPERVISOR):
        with transaction():
            call = competition.find(number, lock=True)
            identity = competition.identities[number, which.value]
            custody.hand_in(call.id, which, identity, by=competition.custodian(which, call))
    acts = (
        within(lambda: calls.withdraw(competition.find(number, lock=True), "项目调整", by=competition.buyer)),
        within(lambda: bidding.open_bids(competition.find(number, lock=True), by=arena.world.supervisor)),
    )
    ends = arena.meet(arena.commission_row(number), *(acts[::-1] if turn % 2 else acts))
    found = rude(ends)
    _bids, opened, call = of_call(number)
    told = [act for act in arena.acts_on(call.subject) if act in {"bids.opened", "commission.cancelled"}]
    if told not in (["commission.cancelled"], ["bids.opened", "commission.cancelled"]):
        found.append(f"trail: {told}")
    if bool(opened) is not ("bids.opened" in told):
        found.append("opened rows without an opening, or the reverse")
    if call.commission.status is not CommissionStatus.CANCELLED:
        found.append(f"given up, yet {call.commission.status}")
    session.rollback()
    return found


def outage_and_close(arena: Arena, turn: int) -> list[str]:
    """A closing put off and a close: the call is open with its new closing, or closed and opened at the old one."""
    number = arena.published()
    closing = arena.closing(number)
    jump(closing + timedelta(seconds=1))

    def declare() -> None:
        began, ended = closing - timedelta(minutes=30), closing - timedelta(minutes=10)
        calls.declare_outage(began, ended, "机房断电", by=arena.world.operator)

    acts = (within(declare), arena.close(number, closing))
    ends = arena.meet(arena.commission_row(number), *(acts[::-1] if turn % 2 else acts))
    return rude(ends) + put_off_or_closed(number, closing, is_put_off=not turn % 2)


def correction_and_close(arena: Arena, turn: int) -> list[str]:
    """A material correction that puts the closing off, and a close."""
    number = arena.published()
    closing = arena.closing(number)
    jump(closing - timedelta(minutes=1))
    competition = arena.competition

    def amend() -> None:
        call = competition.find(number, lock=True)
        calls.amend(call, by=competition.buyer, reason="延长截止", closing_at=closing + timedelta(hours=1))

    acts = (within(amend), arena.close(number, closing))
    ends = arena.meet(arena.commission_row(number), *(acts[::-1] if turn % 2 else acts))
    return rude(ends) + put_off_or_closed(number, closing, is_put_off=not turn % 2)


def put_off_or_closed(number: str, closing: datetime, *, is_put_off: bool) -> list[str]:
    bids, opened, call = of_call(number)
    is_open = call.commission.status is CommissionStatus.OPEN
    state = (is_open, call.closing_at > closing, call.next_check_at is not None, not opened, call.closed_at is None)
    wanted = (is_put_off,) * len(state)
    session.rollback()
    assert bids
    return [] if state == wanted else [f"open, put off, awaited, unopened, not closed: {state}, not {wanted}"]


def suspension_and_bid(arena: Arena, turn: int) -> list[str]:
    """Once an agency is suspended no bid of it is stored; one that came before stays."""
    number = arena.kept.get("call") or arena.kept.setdefault("call", arena.published())
    supervisor, short = arena.world.supervisor, arena.world.agency.number
    sealed = arena.sealed(number)

    def suspend() -> None:
        agencies.suspend(agencies.by_number(short, lock=True), "核查", by=supervisor)

    bid = arena.bid(number, sealed)
    if turn % 2:
        ends = arena.meet("LOCK TABLE bid_origins IN SHARE MODE", bid, within(suspend))
    else:
        row = f"SELECT 1 FROM agencies WHERE number = '{short}' FOR UPDATE"  # noqa: S608
        ends = arena.meet(row, within(suspend), bid)[::-1]
    found = rude(ends)
    stored = session.scalars(select(Bid).where(Bid.sha256 == sealed.sha256)).first()
    if (stored is not None) is not (ends[0] is None):
        found.append("acknowledged and not stored, or the reverse")
    suspended = session.scalars(
        select(TrailAct.id).where(TrailAct.act == "agency.suspended").order_by(TrailAct.id.desc()).limit(1)
    ).one()
    if stored is not None:
        received = session.scalars(select(TrailAct.id).where(TrailAct.subject == stored.subject)).one()
        if received > suspended:
            found.append("a bid was taken from an agency that was suspended")
    if (stored is not None) is not bool(turn % 2):
        found.append("the one who held the row did not win")
    with transaction():
        agencies.reinstate(agencies.by_number(short, lock=True), by=supervisor)
    return found


def same_bid_twice(arena: Arena, turn: int) -> list[str]:
    """The reply was slow and the bidder presses again: one row, one trail entry, the same receipt."""
    number = arena.kept.get("call") or arena.kept.setdefault("call", arena.published())
    sealed = arena.sealed(number, 5_000_000 + turn)
    receipts: list[dict[str, Any]] = []
    bid = arena.bid(number, sealed, receipts=receipts)
    ends = arena.meet("LOCK TABLE bid_origins IN SHARE MODE", bid, bid, bid)
    found = rude(ends)
    bids = session.scalars(select(Bid).where(Bid.sha256 == sealed.sha256)).all()
    if len(bids) != 1:
        found.append(f"{len(bids)} rows")
    received = sum(len(trail.of(bid.subject)) for bid in bids)
    if received != 1:
        found.append(f"{received} acts")
    if len(receipts) != 3 or any(one != receipts[0] for one in receipts):
        found.append(f"{len(receipts)} receipts, not all the same")
    session.rollback()
    return found


def two_awards(arena: Arena, turn: int) -> list[str]:
    """Two people of the buyer choose two bids: one stands."""
    jump(city.START)
    contest = Contest(arena.world)
    number = contest.opened([8_000_000, 9_000_000, 9_500_000])
    bids = [contest.bid(place).id for place in (0, 1)]

    def choose(place: int) -> Act:
        def act() -> None:
            awards.award(contest.call(lock=True), session.get_one(Bid, bids[place]), by=contest.client, reason="理由")

        return within(act)

    order = (turn % 2, 1 - turn % 2)
    ends = arena.meet(arena.commission_row(number), *(choose(place) for place in order))
    found = rude(ends)
    call = contest.call()
    standing = session.scalars(
        select(Award.bid_id).where(
            Award.commission_id == call.commission_id,
            Award.status.in_([AwardStatus.PUBLICISED, AwardStatus.CONFIRMED]),
        )
    ).all()
    if standing != [bids[order[0]]]:
        found.append(f"{len(standing)} awards stand")
    published = arena.acts_on(call.subject).count("award.published")
    if published != 1:
        found.append(f"{published} results published")
    return found


def two_keys(arena: Arena, turn: int) -> list[str]:
    """All custodians hand their keys in at once: the second key opens the bids, exactly once."""
    number = arena.published(ceiling=SMALL * 4)
    jump(arena.closing(number) + timedelta(seconds=1))
    jobs.run_due()
    competition, pairs = arena.competition, list(Custodian)
    subject = arena.commission_of(number)

    def hand_in(which: Custodian) -> Act:
        def act() -> None:  # what the custodian's page does
            call = competition.find(number, lock=True)
            identity = competition.identities[number, which.value]
            by = competition.custodian(which, call)
            custody.hand_in(call.id, which, identity, by=by)
            if len(custody.identities(call.id)) >= custody.ENOUGH:
                bidding.open_bids(call, by=by)

        return within(act)

    hands = [hand_in(pairs[(turn + place) % 3]) for place in range(2 + turn % 2)]
    ends = arena.meet(f"SELECT 1 FROM trail_heads WHERE subject = '{subject}' FOR UPDATE", *hands)  # noqa: S608
    found = rude(ends)
    bids, opened, _call = of_call(number)
    openings = arena.acts_on(subject).count("bids.opened")
    if openings != 1 or len(opened) != len(bids):
        found.append(f"{openings} openings, {len(opened)} of {len(bids)} bids opened")
    if [end is None for end in ends] != [True, True, False][: len(ends)]:
        found.append(f"keys: {ends}")
    session.rollback()
    return found


def objection_and_confirmation(arena: Arena, turn: int) -> list[str]:
    """An objection in the last hour of the publicity, and the confirmation at its end: one of them."""
    jump(city.START)
    contest = Contest(arena.world)
    contest.opened([8_000_000, 9_000_000, 9_500_000])
    contest.award(0)
    subject = contest.call().subject
    clocks = select(StoredClock).where(StoredClock.subject == subject, StoredClock.kind == ClockKind.PUBLICITY)
    for _ in range(3):  # amber on the way to red
        edge = session.scalars(clocks).one().next_check_at
        assert edge is not None
        if session.scalars(clocks).one().light == "amber":
            break
        jump(edge)
        jobs.run_due()
        session.expire_all()
    end = session.scalars(clocks).one().next_check_at
    assert end is not None
    session.rollback()
    jump(end - timedelta(minutes=1))
    rival = contest.agency(1).id

    def object_to() -> None:
        objections.file(contest.call(), session.get_one(Agency, rival), "业绩不实", by=contest.actor(1))

    def confirm() -> None:
        jobs.run_due(end)

    if turn % 2:
        hold = f"SELECT 1 FROM trail_heads WHERE subject = '{subject}' FOR UPDATE"  # noqa: S608
        ends = arena.meet(hold, within(confirm_under_lock(subject, end)), within(object_to))[::-1]
    else:
        ends = arena.meet("LOCK TABLE objections IN SHARE MODE", within(object_to), confirm)
    found = rude(ends)
    jump(end + timedelta(seconds=1))
    jobs.run_due()  # a loop that gave way comes again
    filed = session.scalars(
        select(Objection).where(Objection.call_id == contest.call().id, Objection.status == ObjectionStatus.FILED)
    ).all()
    status = contest.commission.status
    wanted = (CommissionStatus.OFFERED, 0) if turn % 2 else (CommissionStatus.PUBLICISED, 1)
    if (status, len(filed)) != wanted:
        found.append(f"{status} with {len(filed)} open objections")
    if len(filed) != (ends[0] is None):
        found.append(f"the objector was told {ends[0]!r}")
    session.rollback()
    return found


def confirm_under_lock(subject: str, end: datetime) -> Act:
    """The end of the publicity, as the due-loop's act reaches it."""

    def act() -> None:
        call = calls.of_subject(subject)
        assert call is not None
        calls.lock_commission(call)
        if call.commission.status is CommissionStatus.PUBLICISED:
            awards.confirm(call, at=end)

    return act


def two_draws(arena: Arena, turn: int) -> list[str]:
    """Two people hold a draw about one subject: one list is published."""
    subject = f"commission:WT-RACE-{turn}"
    parties = drawing.standard_parties(arena.world.client_org.id)
    session.rollback()

    def hold() -> None:
        names = [("ZJ-1", "甲"), ("ZJ-2", "乙"), ("ZJ-3", "丙")]
        drawing.hold(subject, DrawPurpose.AGENCY, names, 1, "抽取一家", parties, by=arena.world.applicant)

    ends = arena.meet("LOCK TABLE draws IN SHARE MODE", *[within(hold)] * (2 + turn % 2))
    found = rude(ends)
    held = len(session.scalars(select(Draw.id).where(Draw.subject_of == subject)).all())
    session.rollback()
    if held != 1 or sum(end is None for end in ends) != 1:
        found.append(f"{held} draws")
    return found


# Guards, and how they are taken away


@contextmanager
def no_row_lock(table: str, owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every SELECT … FOR UPDATE or FOR SHARE on this table is sent as a plain SELECT, by whichever way it goes."""
    locking = re.compile(r"\s+FOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)(?: OF \w+)?")
    reads = re.compile(rf"\bFROM {table}\b")
    sent = statements.run

    def plain(statement: str) -> str:
        return locking.sub("", statement) if reads.search(statement) else statement

    def rewrite(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        return plain(statement), values

    engine = db.engine
    event.listen(engine, "before_cursor_execute", rewrite, retval=True)
    patch.setattr(statements, "run", lambda c, statement, *rest: sent(c, plain(statement), *rest))
    try:
        yield
    finally:
        patch.undo()
        event.remove(engine, "before_cursor_execute", rewrite)


@contextmanager
def no_index(*names: str, owner: Any) -> Iterator[None]:
    """Unique indexes dropped; with the rows that they would have refused, emptied and made again."""
    with owner.connect() as connection:
        made: list[tuple[str, str]] = []
        for name in names:
            found = {"name": name}
            table, definition = connection.execute(
                text("SELECT tablename, indexdef FROM pg_indexes WHERE indexname = :name"), found
            ).one()
            is_constraint = connection.scalar(text("SELECT count(*) FROM pg_constraint WHERE conname = :name"), found)
            if is_constraint:
                columns = definition[definition.index("(") :]
                definition = f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE {columns}"
                connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
            else:
                connection.execute(text(f"DROP INDEX {name}"))
            made.append((table, definition))
        try:
            yield
        finally:
            session.remove()
            for table, definition in made:
                connection.execute(text(f"TRUNCATE {table} CASCADE"))
                connection.execute(text(definition))


@contextmanager
def clock_before_lock(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bid reads the clock and then takes the lock."""
    locked, read = receiving._under_lock, calls.legal_now_under_lock

    def under_lock(*arguments: Any) -> Any:
        early = read()
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(calls, "legal_now_under_lock", lambda: early)
            return locked(*arguments)

    patch.setattr(receiving, "_under_lock", under_lock)
    yield


@contextmanager
def bid_without_lock(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bid reads the commission and doesn't hold it; nothing else is changed."""
    commissions = receiving._COMMISSIONS
    patch.setattr(
        receiving,
        "_HOLD_COMMISSION",
        Statement(select(commissions.c.status).where(commissions.c.id == bindparam("commission"))),
    )
    yield


@contextmanager
def agency_without_lock(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(receiving, "_HELD_AGENCY", Records(Agency, Agency.id == bindparam("agency"), Agency.organisation))
    yield


@contextmanager
def bids_more_than_once(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """No unique ciphertext: the index, and the insert that relies on it."""
    bids, origins = receiving._BIDS, receiving._ORIGINS
    values = {name: bindparam(name, type_=bids.c[name].type) for name in bids.c.keys() if name != "id"}  # noqa: SIM118
    new = insert(bids).values(values).returning(bids.c.id).cte("bid")
    told = [bindparam(name, type_=origins.c[name].type) for name in ("address", "device")]
    origin = insert(origins).from_select(["bid_id", "address", "device"], select(new.c.id, *told)).cte("origin")
    patch.setattr(receiving, "_STORE", Statement(select(new.c.id).add_cte(origin)))
    with no_index("uq_bids_call_sha256", owner=owner):
        yield


@contextmanager
def awards_without_guards(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The lock and the indexes: one award per commission, one publicity clock."""
    with no_index("uq_awards_standing", "uq_clocks_running", owner=owner), no_row_lock("commissions", owner, patch):
        yield


@contextmanager
def draws_without_constraint(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    with no_index("uq_draws_subject_of_purpose_run", owner=owner):
        yield


@contextmanager
def no_commission_lock(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    with no_row_lock("commissions", owner, patch):
        yield


@contextmanager
def keys_without_queue(owner: Any, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The lock, and the queue at the end of the trail's chain that alone would still let one see the other's key."""
    heads = trail._HEADS
    end = select(heads.c.sequence, heads.c.hash).where(heads.c.subject == bindparam("subject"))
    with no_row_lock("commissions", owner, patch):
        plain, locking = Statement(end), trail._LOCK_HEAD

        class Unqueued:
            def ask(self, **named: Any) -> list[Any]:
                return plain.ask(**named) or locking.ask(**named)  # the first act on a subject makes its head

        patch.setattr(trail, "_LOCK_HEAD", Unqueued())
        yield


@dataclass(frozen=True)
class Race:
    """A round, what guards it, and a turn that is lost without the guard."""

    round: Callable[[Arena, int], list[str]]
    unguarded: Callable[[Any, pytest.MonkeyPatch], AbstractContextManager[None]]
    turn: int = 0
    broken: str = ""


RACES = [
    Race(bid_and_close, bid_without_lock, 0, "accepted and missed"),
    Race(bid_waits_past_the_closing, clock_before_lock, 0, "stored 0:00:02 from the closing"),
    Race(withdrawn_bid_and_close, no_commission_lock, 0, "though the withdrawal ended as None"),
    Race(withdrawal_and_opening, no_commission_lock, 0, "trail:"),
    Race(outage_and_close, no_commission_lock, 0, "open, put off"),
    Race(correction_and_close, no_commission_lock, 0, "open, put off"),
    Race(suspension_and_bid, agency_without_lock, 1, "suspended"),
    Race(same_bid_twice, bids_more_than_once, 0, "3 rows"),
    Race(two_awards, awards_without_guards, 0, "2 awards stand"),
    Race(two_keys, keys_without_queue, 0, "0 openings"),
    Race(objection_and_confirmation, no_commission_lock, 0, "open objections"),
    Race(two_draws, draws_without_constraint, 0, "2 draws"),
]
NAMES = [race.round.__name__ for race in RACES]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("race", RACES, ids=NAMES)
def test_race_ends_as_promised_in_either_order(arena: Arena, race: Race, rounds: int) -> None:
    broken = {turn: found for turn in range(rounds) if (found := race.round(arena, turn))}
    assert broken == {}
    assert trail.verify()[1] == []


@pytest.mark.parametrize("race", RACES, ids=NAMES)
def test_race_without_its_guard_is_lost(
    arena: Arena, race: Race, owner_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.rollback()
    with race.unguarded(owner_engine, monkeypatch):
        found = race.round(arena, race.turn)
    assert any(race.broken in one for one in found), found


@pytest.mark.parametrize("meeting", [two_awards, two_keys])
def test_without_the_lock_a_second_guard_holds(
    arena: Arena, meeting: Callable[[Arena, int], list[str]], owner_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One guard of two gone: the index still allows one award, the trail's chain still lets one see the other's key."""
    with no_row_lock("commissions", owner_engine, monkeypatch):
        assert meeting(arena, 0) == []


# The closing second, unforced: many bids around the closing of many calls (G4)


@pytest.mark.parametrize(
    "closings",
    [pytest.param(20, id="200 bids"), pytest.param(200, id="2000 bids", marks=pytest.mark.nightly)],
)
def test_no_bid_is_late_and_none_is_missed_around_the_closing_second(
    arena: Arena, closings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten bidders at each closing; at every other one legal time is moved an hour on, or back, in their midst."""
    monkeypatch.setattr(db.engine.pool, "_max_overflow", 20)
    bidders = arena.competition.agencies_named(11)[1:]
    session.rollback()
    handed_in = accepted = 0
    for turn in range(closings):
        shift = (None, timedelta(hours=1), None, timedelta(hours=-1))[turn % 4]
        receipts, refused = closing_rush(arena, bidders, shift)
        assert all(isinstance(end, CallClosed) for end in refused), refused
        handed_in += len(receipts) + len(refused)
        accepted += len(receipts)
    assert handed_in == 10 * closings, handed_in
    assert 0 < accepted < handed_in  # both sides of the closing were tried
    assert trail.verify()[1] == []


def closing_rush(
    arena: Arena, bidders: Sequence[tuple[str, Agency]], shift: timedelta | None
) -> tuple[list[dict[str, Any]], list[BaseException]]:
    """One call, ten bids within a few tenths of a second of its closing, and the close; (receipts, refusals)."""
    number = arena.published()
    closing = arena.closing(number)
    sealed = [
        arena.competition.sealed(number, agency, 5_000_000 + place) for place, (_login, agency) in enumerate(bidders)
    ]
    receipts: list[dict[str, Any]] = []
    refused: list[BaseException] = []
    bids_at_once = [
        arena.bid(number, one, login, receipts) for one, (login, _agency) in zip(sealed, bidders, strict=True)
    ]
    jump(closing - timedelta(seconds=1))
    with transaction():
        now = session.execute(text("SELECT portal_now()")).scalar_one()
    session.rollback()
    end = time.monotonic() + (closing - now).total_seconds()

    def wait(seconds: float) -> None:
        time.sleep(max(0.0, end + seconds - time.monotonic()))

    def hand_in(place: int) -> None:
        wait((place - 6) * 0.03)
        try:
            with arena.world.portal.app_context():
                bids_at_once[place]()
                session.remove()
        except BaseException as fault:
            refused.append(fault)

    def close() -> None:
        wait(0.0)
        with arena.world.portal.app_context():
            while True:
                with transaction():
                    due = [key for _at, key in calls.due(bidding_clock(), 10)]
                if number in due or is_over.is_set():
                    break
                time.sleep(0.005)
            arena.close(number, closing)()
            session.remove()

    is_over = threading.Event()
    threads = [threading.Thread(target=hand_in, args=(place,)) for place in range(len(bidders))]
    closer = threading.Thread(target=close)
    for thread in (*threads, closer):
        thread.start()
    if shift is not None:
        wait(-0.02)
        jump(closing + shift)
    for thread in threads:
        thread.join(60)
    is_over.set()  # a clock an hour back: the hour passes
    closer.join(60)
    assert not closer.is_alive()
    assert counted(number, receipts, closing) == []
    bids, opened, _call = of_call(number)
    assert (len(bids), len(opened)) == (len(receipts) + 1, len(receipts) + 1)
    session.rollback()
    return receipts, refused


def bidding_clock() -> datetime:
    return calls.legal_now_under_lock().astimezone(UTC)
