"""Two hundred live rooms at once: how late the clock records what happens in them.

Asked for: 200 rooms starting within 30 minutes, ticks at most 1 s late. Measured is something harder, so that it takes
minutes: turns of a few seconds instead of two minutes and all starts within a short span, which makes the due-loop's
work many times denser (``denser`` in the result). Auctions come about as ever: a call, sealed bids, closing, opening;
only their start is then put where the bench wants it. The scheduler is the real process. A tick's lateness is the
machine time at which the act was recorded less the legal instant at which it happened.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from bench.storm import merge, quantile  # noqa: E402

#: Seconds that a tick may be late.
MOST_LATE = 1.0
BIDDERS, ROUNDS = 3, 2
#: What is asked for: so many rooms in so many seconds, and the shipped rules' lengths.
ASKED_SPAN, ASKED_TURN = 1800.0, 120
#: A call below this amount has its keys held by the platform, so that it opens when it closes.
CEILING = 9_000_000
STEP = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """``span``: seconds over which the rooms start; ``turn``: seconds of a turn and of a pause."""

    rooms: int
    span: float
    turn: int


FULL = Plan(200, 240.0, 5)
QUICK = Plan(10, 5.0, 2)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: ten rooms")
    parser.add_argument("--output", type=Path, default=None, help="the results (JSON) into which this one is merged")
    asked = parser.parse_args(arguments)
    found = run(QUICK if asked.quick else FULL, "quick" if asked.quick else "full")
    output = asked.output or (ROOT / "var" / "bench" / "quick.json" if asked.quick else ROOT / "bench" / "results.json")
    merge(output, "rooms", found)
    for name, value in found.items():
        print(f"  {name}: {value}")
    print(f"ticks at most {MOST_LATE:g} s late: {'met' if found['met'] else 'MISSED'}")
    return 0 if found["finished"] == found["rooms"] else 2


def run(plan: Plan, kind: str) -> dict[str, Any]:
    """Plan the rooms, let the scheduler play them, and answer what is written to the results."""
    import psutil

    from bench import ground as grounds
    from kernel import supervisor
    from kernel.db import session

    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with supervisor.running(folder) as cluster, grounds.town(cluster, f"rooms_{kind}", folder) as made:
        print(f"planning {plan.rooms} rooms", flush=True)
        numbers = planned(made, plan)
        session.remove()
        others = psutil.cpu_percent(3.0)
        with scheduler(made) as process:
            print("playing them", flush=True)
            start(made, plan, datetime.now(UTC) + timedelta(seconds=3))
            cpu = process.cpu_times()
            began, spent = time.monotonic(), cpu.user + cpu.system
            finished = _until_finished(numbers, plan)
            cpu = process.cpu_times()
            share = (cpu.user + cpu.system - spent) / (time.monotonic() - began)
        ticks = lateness(numbers)
    stages = plan.rooms * (ROUNDS * (1 + BIDDERS) + 2)
    seconds = plan.span + plan.turn * (ROUNDS * (1 + BIDDERS) + 1)
    # The same rooms with the shipped lengths, begun over the span that is asked for.
    asked_seconds = ASKED_SPAN + ASKED_TURN * (ROUNDS * (1 + BIDDERS) + 1)
    return {
        "kind": kind,
        "others_busy_percent": others,
        "rooms": plan.rooms,
        "finished": finished,
        "bidders": BIDDERS,
        "rounds": ROUNDS,
        "turn_seconds": plan.turn,
        "span_seconds": plan.span,
        "stages_per_second": round(stages / seconds, 2),
        "denser": round(asked_seconds / seconds, 1),
        "ticks": len(ticks),
        "late_p50_seconds": round(quantile(ticks, 0.5), 3),
        "late_p99_seconds": round(quantile(ticks, 0.99), 3),
        "late_most_seconds": round(max(ticks, default=0.0), 3),
        "scheduler_busy": round(share, 2),
        "target_seconds": MOST_LATE,
        "met": bool(ticks) and finished == plan.rooms and max(ticks) <= MOST_LATE,
    }


def planned(made: Any, plan: Plan) -> list[str]:
    """Calls with opened bids whose auctions are planned; answers their numbers."""
    from sqlalchemy import select

    from bench import bids as sealed
    from kernel import clock, jobs, policies, sealing
    from kernel.access import Role
    from kernel.db import session, transaction
    from kernel.trail import Actor
    from market import bidding
    from market.agencies import Agency
    from market.commissions import Route
    from market.rounds import AuctionStatus, LiveAuction
    from market.routes import kind_of

    with transaction():
        among = sealed.bidders(BIDDERS)
        rules = policies.current(kind_of(Route.DESCENDING_ROUNDS))
        lengths = dict.fromkeys(("turn_seconds", "pause_seconds", "first_pause_seconds"), plan.turn)
        policies.enter(
            kind_of(Route.DESCENDING_ROUNDS),
            {**rules.values, "rounds": ROUNDS, **lengths},
            effective_from=clock.today(),
            source="测量用规则",
        )
    numbers = []
    for _ in range(plan.rooms):
        call = sealed.published(made, route=Route.DESCENDING_ROUNDS, ceiling=CEILING, step=STEP)
        numbers.append(call.number)
        for place, one in enumerate(among):
            price = CEILING - (place + 1) * STEP
            bid = sealing.seal(sealed.content(call.number, one.code, price), call.number, call.recipients)
            with transaction():
                bidding.submit(
                    call.number,
                    session.get_one(Agency, one.agency),
                    ciphertext=bid.ciphertext,
                    wraps=bid.wraps,
                    sealed_by=sealing.SealedBy.OFFLINE,
                    by=Actor(None, "bench", one.organisation, "bench", frozenset({Role.AGENCY.value})),
                )
        session.remove()
    sealed.move_closing(made, numbers, clock.now())
    jobs.run_due()
    session.remove()
    found = session.scalars(select(LiveAuction.id).where(LiveAuction.status == AuctionStatus.PLANNED)).all()
    if len(found) != plan.rooms:
        raise SystemExit(f"{len(found)} rooms planned of {plan.rooms}")
    return numbers


def start(made: Any, plan: Plan, first: datetime) -> None:
    """Put the auctions' starts where the bench wants them, evenly over the span.

    No verb does that: an auction begins on a working day after the notice. So the owner of the tables writes the start
    and the instant at which the due-loop looks, which is all that planning writes.
    """
    from sqlalchemy import create_engine, text

    engine = create_engine(made.settings.database_owner_url)
    with engine.begin() as connection:
        keys = connection.scalars(text("SELECT id FROM auctions ORDER BY id")).all()
        connection.execute(
            text("UPDATE auctions SET starts_at = :at, next_check_at = :check WHERE id = :key"),
            [
                {"key": key, "at": at, "check": at + timedelta(microseconds=1)}
                for place, key in enumerate(keys)
                for at in (first + timedelta(seconds=plan.span * place / len(keys)),)
            ],
        )
    engine.dispose()


@contextmanager
def scheduler(made: Any) -> Iterator[Any]:
    """The scheduler's process, once it leads."""
    import psutil
    from sqlalchemy import text

    from integration.commands import LEADER
    from kernel.db import session

    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "scheduler"],
        cwd=ROOT,
        env=made.environment,
        stdin=subprocess.DEVNULL,
    )
    try:
        leads = text(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE locktype = 'advisory' AND objid = :key AND granted AND datname = current_database()"
        )
        until = time.monotonic() + 120
        while not session.execute(leads, {"key": LEADER}).scalar_one():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the scheduler did not start")
            time.sleep(0.2)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(15)


def _until_finished(numbers: Sequence[str], plan: Plan) -> int:
    """Wait until every auction is over, or a minute longer than they may take; answers how many are."""
    from sqlalchemy import func, select

    from kernel.db import session
    from market.rounds import AuctionStatus, LiveAuction

    until = time.monotonic() + plan.span + plan.turn * (ROUNDS * (1 + BIDDERS) + 2) + 60
    statement = select(func.count()).where(LiveAuction.status == AuctionStatus.FINISHED)
    while True:
        done = session.execute(statement).scalar_one()
        if done == len(numbers) or time.monotonic() > until:
            return done
        time.sleep(1)


def lateness(numbers: Sequence[str]) -> list[float]:
    """Seconds from each tick of these calls' auctions to its record."""
    from sqlalchemy import select

    from kernel.db import session
    from kernel.trail import TrailAct

    rows = session.execute(
        select(TrailAct.at, TrailAct.recorded_at).where(
            TrailAct.act.in_(["auction.started", "auction.turn_ended", "auction.finished"]),
            TrailAct.data["call"].astext.in_(numbers),
        )
    )
    found = [(row.recorded_at - row.at).total_seconds() for row in rows]
    session.remove()
    return found


if __name__ == "__main__":
    sys.exit(main())
