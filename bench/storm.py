"""The last minute of a call: thousands of sealed bids while a worker is killed and the database is restarted.

The bids are real ciphertexts of as many agencies, sealed beforehand; the call closes 60 s after the first one is due;
legal time is the machine's. Each bid has its instant; a client that loses the connection or reads a 503 sends the same
bytes again, after the time that the answer names. Afterwards the due-loop closes the call, two custodians hand their
keys in and everything opens: what was acknowledged, what is stored and what was opened must be the same.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import http.client
import itertools
import json
import multiprocessing
import random
import select
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

#: A bid is slow when it waits longer than so many times what the slowest hundredth of an idle portal's bids take.
TIMES_IDLE = 10
#: Before a lost connection is tried again, seconds; and how long after the closing clients keep asking for an answer.
AGAIN, PATIENCE = 0.2, 30.0
#: Bids are due until so many seconds before the closing: they must be sent by then, and answered.
MARGIN = 2.0
PROCESSES, LINES = 2, 16


@dataclass(frozen=True, slots=True)
class Plan:
    """``kill_at``, ``restart_at``: seconds after the first bid."""

    bids: int
    idle: int
    seconds: float
    kill_at: float
    restart_at: float


FULL = Plan(5_000, 500, 60.0, 18.0, 33.0)
QUICK = Plan(200, 50, 25.0, 4.0, 11.0)


@dataclass(frozen=True, slots=True)
class Bid:
    """What a client sends, and when, by the machine's clock."""

    place: int
    due: float
    path: str
    token: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of a bid: instants by the machine's clock, and what came of it.

    ``outcome``: a status as text, ``503`` only with Retry-After, else ``503 bare``; ``lost`` for a connection that
    broke or was refused. ``receipt``: the answer's body, of an acknowledgement.
    """

    place: int
    due: float
    sent: float
    done: float
    outcome: str
    receipt: dict[str, Any] | None = None


# The clients: processes that hold nothing of the portal


class _Sender:
    """Sends the bids of one process over a few keep-alive connections, each at its instant."""

    def __init__(self, port: int, lines: int, until: float) -> None:
        self.port, self.lines, self.until = port, lines, until
        self.attempts: list[Attempt] = []
        self._queue: list[tuple[float, int, Bid]] = []
        self._order = itertools.count()
        self._open = 0
        self._changed = threading.Condition()
        self._rng = random.Random(7)

    def send(self, bids: Sequence[Bid]) -> list[Attempt]:
        self._queue = [(bid.due, next(self._order), bid) for bid in bids]
        heapq.heapify(self._queue)
        self._open = len(bids)
        threads = [threading.Thread(target=self._line) for _ in range(self.lines)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.attempts

    def _next(self) -> tuple[float, Bid] | None:
        """The next sending once it is due; None when every bid has its final answer."""
        with self._changed:
            while self._open:
                wait = self._queue[0][0] - time.time() if self._queue else None
                if wait is not None and wait <= 0:
                    due, _, bid = heapq.heappop(self._queue)
                    return due, bid
                self._changed.wait(wait)
            return None

    def _line(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while (found := self._next()) is not None:
            due, bid = found
            sent = time.time()
            pause: float | None = None
            receipt = None
            try:
                if connection is not None and _is_closed(connection):
                    connection.close()  # while it was idle; nothing was sent on it
                    connection = None
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                headers = {"Authorization": f"Bearer {bid.token}", "Content-Type": "application/json"}
                connection.request("POST", bid.path, bid.body, headers)
                answer = connection.getresponse()
                text = answer.read()
                outcome = str(answer.status)
                named = answer.getheader("Retry-After")
                if answer.status == 201:
                    receipt = json.loads(text)
                elif answer.status == 503:
                    outcome = "503" if named else "503 bare"
                    # Not all at the same instant: half of what they were asked to wait on top.
                    pause = float(named or 1) * (1 + self._rng.random() / 2)
            except (OSError, http.client.HTTPException):
                outcome, pause = "lost", AGAIN * (1 + self._rng.random())
                if connection is not None:
                    connection.close()
                connection = None
            done = time.time()
            with self._changed:
                self.attempts.append(Attempt(bid.place, due, sent, done, outcome, receipt))
                if pause is not None and done + pause < self.until:
                    heapq.heappush(self._queue, (done + pause, next(self._order), bid))
                else:
                    self._open -= 1
                self._changed.notify_all()
        if connection is not None:
            connection.close()


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has hung up since the last answer."""
    return bool(select.select([connection.sock], [], [], 0)[0])


def _serve(pipe: Any) -> None:
    while (order := pipe.recv()) is not None:
        port, lines, until, bids = order
        pipe.send(_Sender(port, lines, until).send(bids))


class Senders:
    """Client processes, started before the portal is loaded so that they hold nothing of it."""

    def __init__(self) -> None:
        context: Any = multiprocessing.get_context("fork")
        self._members = []
        for _ in range(PROCESSES):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, mine))
        self.sealing = context.Pool(multiprocessing.cpu_count())

    def start(self, port: int, bids: Sequence[Bid], until: float, lines: int = LINES) -> Callable[[], list[Attempt]]:
        """Begin to send; the answer waits for the end and gives every attempt in the order in which it was sent."""
        for place, (_, pipe) in enumerate(self._members):
            pipe.send((port, lines, until, bids[place :: len(self._members)]))

        def wait() -> list[Attempt]:
            return sorted((one for _, pipe in self._members for one in pipe.recv()), key=lambda one: one.sent)

        return wait

    def close(self) -> None:
        self.sealing.terminate()
        for process, pipe in self._members:
            pipe.send(None)
            process.join(5)


def _seal(order: tuple[str, str, dict[str, str], int]) -> tuple[bytes, str]:
    from bench.bids import sealed_file

    return sealed_file(*order)


# What is done to the portal


@dataclass(slots=True)
class Harm:
    """When the worker was killed and replaced, and when the database went and took connections again."""

    killed_at: float = 0.0
    replaced_at: float = 0.0
    restart_at: float = 0.0
    database_back_at: float = 0.0
    faults: list[str] = field(default_factory=list)


def harm(began: float, plan: Plan, server: Any, cluster: Any) -> tuple[Harm, Callable[[], None]]:
    """Kill one worker and restart the database in the middle; the second answer waits until both are back."""
    told = Harm()
    before = workers(server)

    def kill() -> None:
        told.killed_at = time.time()
        before[0].send_signal(signal.SIGKILL)
        told.replaced_at = _until(lambda: sum(one.pid != before[0].pid for one in workers(server)) == len(before), 120)

    def strike() -> None:
        told.restart_at = time.time()
        restart(cluster)
        told.database_back_at = time.time()

    def at(moment: float, blow: Callable[[], None]) -> None:
        time.sleep(max(0.0, moment - time.time()))
        try:
            blow()
        except Exception as error:
            told.faults.append(f"{type(error).__name__}: {error}")

    threads = [
        threading.Thread(target=at, args=(began + seconds, blow))
        for seconds, blow in ((plan.kill_at, kill), (plan.restart_at, strike))
    ]
    for thread in threads:
        thread.start()

    def wait() -> None:
        for thread in threads:
            thread.join()

    return told, wait


def workers(server: Any) -> list[Any]:
    """The server's processes that listen."""
    import psutil

    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        try:
            listens = any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if listens:
            found.append(process)
    return found


def restart(cluster: Any) -> None:
    """``pg_ctl restart -m immediate``: no checkpoint, no goodbye; the log is replayed as after a loss of power."""
    from kernel import cluster as clusters

    pg, account = cluster.data / "pg", clusters._account()
    log = pg / "server.log"
    clusters._run(
        account, log, "pg_ctl", "restart", "-s", "-w", "-t", "60", "-m", "immediate", "-D", str(pg), "-l", str(log)
    )


def _until(is_so: Callable[[], bool], seconds: float) -> float:
    until = time.time() + seconds
    while not is_so():
        if time.time() > until:
            raise TimeoutError("it did not come back")
        time.sleep(0.05)
    return time.time()


# What it came to


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def windows(attempts: Sequence[Attempt], told: Harm) -> dict[str, tuple[float, float]]:
    """The outages: from each blow until what it hit was there again and every attempt was acknowledged again."""
    found = {}
    blows = (
        ("worker", told.killed_at, told.replaced_at, told.restart_at),
        ("database", told.restart_at, told.database_back_at, 1e12),
    )
    for name, begins, back, ends in blows:
        failed = [one.done for one in attempts if begins <= one.done and one.sent < ends and one.outcome != "201"]
        found[name] = (begins, max([begins, back, *failed]))
    return found


def judge(
    attempts: Sequence[Attempt], idle: Sequence[Attempt], told: Harm, stored: dict[str, Any], wanted: dict[int, str]
) -> dict[str, Any]:
    """The result. ``stored``: what the database holds (:func:`count`); ``wanted``: bid → SHA-256 of what was sent."""
    outages = windows(attempts, told)

    def is_inside(one: Attempt) -> bool:
        return any(begins <= one.done and one.due <= ends for begins, ends in outages.values())

    acknowledged = {one.place: one for one in attempts if one.outcome == "201"}
    hashes = {wanted[place] for place in acknowledged}
    waits = [one.done - one.due for one in attempts if not is_inside(one)]
    inside = [one for one in attempts if is_inside(one)]
    slow, quick = quantile(waits, 0.99), quantile([one.done - one.due for one in idle], 0.99)
    receipts_hold = all(
        one.receipt is not None and one.receipt["sha256"] == wanted[place] for place, one in acknowledged.items()
    )
    answers = Counter(one.outcome for one in inside)
    # A connection that breaks with the killed worker is no answer: it is stated, and the bid is sent again.
    lost_otherwise = sum(
        one.outcome == "lost" and not outages["worker"][0] <= one.done <= outages["worker"][1] for one in attempts
    )
    outside = Counter(one.outcome for one in attempts if not is_inside(one))
    found = {
        "sent": len(wanted),
        "acknowledged": len(acknowledged),
        "stored": len(stored["sha256"]),
        "opened": stored["opened"],
        "opened_readable": stored["readable"],
        "acknowledged_not_stored": len(hashes - stored["sha256"]),
        "late": stored["late"],
        "idle_p50_ms": round(1000 * quantile([one.done - one.due for one in idle], 0.5), 1),
        "idle_p99_ms": round(1000 * quick, 1),
        "p50_ms": round(1000 * quantile(waits, 0.5), 1),
        "p99_ms": round(1000 * slow, 1),
        "times_idle": round(slow / quick, 2) if quick else None,
        "outage_worker_seconds": round(outages["worker"][1] - outages["worker"][0], 2),
        "connections_lost_for_seconds": round(
            max([one.done for one in attempts if one.outcome == "lost"], default=told.killed_at) - told.killed_at, 2
        ),
        "worker_replaced_after_seconds": round(told.replaced_at - told.killed_at, 2),
        "outage_database_seconds": round(outages["database"][1] - outages["database"][0], 2),
        "database_away_seconds": round(told.database_back_at - told.restart_at, 2),
        "connections_lost_with_the_worker": answers["lost"] - lost_otherwise,
        "connections_lost_otherwise": lost_otherwise,
        "answers_in_outage": dict(sorted(answers.items())),
        "answers_outside": dict(sorted(outside.items())),
        "attempts": len(attempts),
        "last_sent_before_closing_seconds": round(stored["closing"] - max(one.sent for one in attempts), 2),
        "closing_took_seconds": stored["closing_took"],
        "opening_took_seconds": stored["opening_took"],
    }
    counts = {found["sent"], found["acknowledged"], found["stored"], found["opened"], found["opened_readable"]}
    found["targets"] = {
        "acknowledged = stored = opened": len(counts) == 1 and not hashes - stored["sha256"] and receipts_hold,
        "none late": stored["late"] == 0,
        f"p99 ≤ {TIMES_IDLE} × idle": slow <= TIMES_IDLE * quick,
        "every answer in the outage an acknowledgement or 503 with Retry-After": (
            set(answers) <= {"201", "503", "lost"} and not lost_otherwise
        ),
        "outside the outage acknowledged": set(outside) <= {"201"},
    }
    found["faults"] = told.faults
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: 200 bids")
    parser.add_argument("--output", type=Path, default=None, help="the results (JSON) into which this one is merged")
    asked = parser.parse_args(arguments)
    senders = Senders()
    try:
        found = run(QUICK if asked.quick else FULL, senders, "quick" if asked.quick else "full")
    finally:
        senders.close()
    output = asked.output or (ROOT / "var" / "bench" / "quick.json" if asked.quick else ROOT / "bench" / "results.json")
    merge(output, "storm", found)
    for name, value in found.items():
        if name != "targets":
            print(f"  {name}: {value}")
    for name, is_met in found["targets"].items():
        print(f"{name}: {'met' if is_met else 'MISSED'}")
    is_sound = not found["faults"] and found["acknowledged_not_stored"] == 0 and found["late"] == 0
    return 0 if is_sound else 2


def merge(output: Path, name: str, found: dict[str, Any]) -> None:
    """Write one part into a file of results; the others stay."""
    results = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**results, name: found}, ensure_ascii=False, indent=2)
    output.write_text(text + "\n", encoding="utf-8")


def run(plan: Plan, senders: Senders, kind: str) -> dict[str, Any]:
    """Prepare, storm, close, open; answer what is written to the results."""
    import psutil

    from bench import bids as sealed
    from bench import ground as grounds
    from kernel import clock, supervisor
    from kernel.db import session, transaction

    # A cluster of its own: it is restarted.
    folder = ROOT / "var" / "bench" / "storm"
    folder.mkdir(parents=True, exist_ok=True)
    with supervisor.running(folder) as cluster, grounds.town(cluster, f"storm_{kind}", folder) as made:
        print(f"preparing {plan.bids:,} bidders and their bids", flush=True)
        with transaction():
            among = sealed.bidders(plan.bids)
        idle_call, call = sealed.published(made), sealed.published(made)
        session.remove()
        orders = [
            (call.number, one.code, dict(call.recipients), sealed.CEILING - 100 * place)
            for place, one in enumerate(among)
        ]
        files = senders.sealing.map(_seal, orders, chunksize=50)
        idle_orders = [(idle_call.number, one.code, dict(idle_call.recipients), 100) for one in among[: plan.idle]]
        idle_files = senders.sealing.map(_seal, idle_orders, chunksize=50)
        with grounds.served("app:web", made.settings, made.environment) as server:
            _until(lambda: len(workers(server)) == made.settings.workers, 60)

            def bids_of(number: str, bodies: Sequence[tuple[bytes, str]], dues: Sequence[float]) -> list[Bid]:
                path = f"/api/v1/calls/{number}/bids"
                return [
                    Bid(place, due, path, one.token, body)
                    for place, (one, (body, _), due) in enumerate(zip(among, bodies, dues, strict=False))
                ]

            others = psutil.cpu_percent(3.0)
            print("measuring the idle portal", flush=True)
            idle = []
            for one in bids_of(idle_call.number, idle_files, [0.0] * len(idle_files)):
                due = time.time()
                bid = Bid(one.place, due, one.path, one.token, one.body)
                idle += senders.start(server.port, [bid], due + 30, 1)()
            idle = idle[len(idle) // 10 :]  # the first ones warm the portal up
            print(f"the last {plan.seconds:g} seconds of {call.number}", flush=True)
            began = time.time() + 1
            closing = clock.machine().fromtimestamp(began + plan.seconds, clock.SHANGHAI)
            sealed.move_closing(made, [call.number], closing)
            step = (plan.seconds - MARGIN) / plan.bids
            storm = bids_of(call.number, files, [began + place * step for place in range(plan.bids)])
            wait = senders.start(server.port, storm, began + plan.seconds + PATIENCE)
            told, healed = harm(began, plan, server, cluster)
            attempts = wait()
            healed()
            time.sleep(max(0.0, began + plan.seconds + 0.5 - time.time()))
            stored = count(call, began + plan.seconds)
    wanted = {place: sha256 for place, (_, sha256) in enumerate(files)}
    found = judge(attempts, idle, told, stored, wanted)
    return {"kind": kind, "others_busy_percent": others, "seconds": plan.seconds, **found}


def count(call: Any, closing: float) -> dict[str, Any]:
    """Close by the due-loop, open with two custodians' keys, and count what there is."""
    from sqlalchemy import select

    from bench import bids as sealed
    from kernel import jobs
    from kernel.db import db, session, transaction
    from market import bidding, calls, custody
    from market.bidding import Bid as StoredBid
    from market.bidding import OpenedBid, Outcome
    from market.commissions import CommissionStatus
    from market.custody import Custodian

    print("closing and opening", flush=True)
    session.remove()
    db.engine.dispose()  # these connections are from before the restart
    began = time.monotonic()
    jobs.run_due()
    closed = time.monotonic()
    # Without a single bid the call has failed, and there is nothing to open.
    if calls.find(call.number, by=None).commission.status is CommissionStatus.EVALUATING:
        for which in (Custodian.BUYER, Custodian.SUPERVISOR):
            with transaction():
                by = sealed.actor(sealed.KEEPERS[which])
                custody.hand_in(calls.find(call.number, by=by, lock=True).id, which, call.identities[which], by=by)
        with transaction():
            by = sealed.actor(sealed.KEEPERS[Custodian.SUPERVISOR])
            bidding.open_bids(calls.find(call.number, by=by, lock=True), by=by)
    opened = time.monotonic()
    found = calls.find(call.number, by=None)
    rows = session.execute(
        select(StoredBid.sha256, StoredBid.received_at, StoredBid.ciphertext).where(StoredBid.call_id == found.id)
    ).all()
    assert all(hashlib.sha256(row.ciphertext).hexdigest() == row.sha256 for row in rows)
    outcomes = Counter(session.scalars(select(OpenedBid.outcome).where(OpenedBid.call_id == found.id)))
    assert found.closing_at is not None
    assert abs(found.closing_at.timestamp() - closing) < 1e-3
    result = {
        "sha256": {row.sha256 for row in rows},
        "late": sum(row.received_at > found.closing_at for row in rows),
        "opened": sum(outcomes.values()),
        "readable": outcomes[Outcome.OPENED],
        "closing": closing,
        "closing_took": round(closed - began, 2),
        "opening_took": round(opened - closed, 2),
    }
    session.remove()
    return result


if __name__ == "__main__":
    sys.exit(main())
