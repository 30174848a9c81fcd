"""`make bench`: how much of a bare view's speed the portal's requests reach, and what they cost.

Each request is measured in turns with the yardstick (yardstick, request, yardstick, …), by the same connections on
the same machine, so that whatever else the machine does hits both; the medians of the rounds count.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from bench.clients import Clients, Outcome, Request, WrongAnswer  # noqa: E402

CONNECTIONS = 8
#: How much slower the largest register may make the question for a project's documents, and a thousand bids the next.
FLAT = 1.3
#: The first bids of a call are compared with those that come after so many.
FIRST, THOUSAND = 100, 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how long. ``rows``: sizes of the register of documents that are measured one after the other.

    ``bidders``: agencies that hand in bids. ``calls``: how often the first and the thousandth bids are compared.
    ``opinions``: of the round of a technical review.
    """

    listings: int
    agencies: int
    commissions: int
    rows: tuple[int, ...]
    rounds: int
    seconds: float
    bidders: int
    calls: int
    opinions: int


FULL = Plan(10_000, 600, 10_000, (10_000, 100_000, 1_000_000), 5, 1.5, 100, 5, 500)
QUICK = Plan(120, 10, 40, (200, 400, 1_000), 2, 0.4, 20, 1, 60)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two in turn: its server's port, its process tree, what to ask."""

    port: int
    tree: Any
    requests: Sequence[Request]


class Bench:
    """Measures one request after the other and keeps what it found."""

    def __init__(self, clients: Clients, plan: Plan, database: Any) -> None:
        self.clients, self.plan, self.database = clients, plan, database
        self.found: list[dict[str, Any]] = []

    def measure(self, name: str, yardstick: Side, side: Side, *, target: float | None, against: str = "read") -> float:
        """In turns; answers the ratio of requests per second."""
        for one in (yardstick, side):
            self.clients.run(one.port, one.requests, self.plan.seconds)  # warm up
        pairs: list[tuple[dict[str, float], dict[str, float]]] = []
        waits: list[float] = []
        peak = 0
        for _ in range(self.plan.rounds):
            bare, _, _ = self._round(yardstick)
            mine, seen, most = self._round(side)
            pairs.append((bare, mine))
            waits += seen.waits
            peak = max(peak, most)
        middle = {
            key: statistics.median(mine[key] for _, mine in pairs) for key in ("per_second", "web_ms", "database_ms")
        }
        ratio = statistics.median(mine["per_second"] / bare["per_second"] for bare, mine in pairs)
        waits.sort()
        row = {
            "name": name,
            "against": against,
            "per_second": round(middle["per_second"], 1),
            "yardstick_per_second": round(statistics.median(bare["per_second"] for bare, _ in pairs), 1),
            "ratio": round(ratio, 3),
            "ratios": [round(mine["per_second"] / bare["per_second"], 3) for bare, mine in pairs],
            "target": target,
            "met": None if target is None else ratio >= target,
            "web_ms": round(middle["web_ms"], 2),
            "database_ms": round(middle["database_ms"], 2),
            "yardstick_web_ms": round(statistics.median(bare["web_ms"] for bare, _ in pairs), 2),
            "yardstick_database_ms": round(statistics.median(bare["database_ms"] for bare, _ in pairs), 2),
            "p50_ms": round(1000 * waits[len(waits) // 2], 1),
            "p99_ms": round(1000 * waits[min(len(waits) - 1, int(len(waits) * 0.99))], 1),
            "peak_web_mb": round(peak / 2**20),
            "answers": len(waits),
            "cpu_ratio": round(
                statistics.median(
                    (bare["web_ms"] + bare["database_ms"]) / (mine["web_ms"] + mine["database_ms"])
                    for bare, mine in pairs
                ),
                3,
            ),
        }
        self.found.append(row)
        tell(row)
        return ratio

    def compare_bids(self, sides: Sequence[Side]) -> None:
        """For each fresh call: its first hundred bids and, once a thousand are in, the next hundred.

        The medians over the calls count, of seconds and of CPU time for a bid.
        """
        found: list[tuple[dict[str, float], dict[str, float]]] = []
        for side in sides:
            early, _, _ = self._round(side, FIRST)
            self.clients.run(side.port, side.requests, 600, THOUSAND - FIRST)
            late, _, _ = self._round(side, FIRST)
            found.append((early, late))
        slower = statistics.median(early["per_second"] / late["per_second"] for early, late in found)
        by_cpu = statistics.median(
            (late["web_ms"] + late["database_ms"]) / (early["web_ms"] + early["database_ms"]) for early, late in found
        )
        row = {
            "name": f"sealed bids flat from the first to number {THOUSAND:,}",
            "slower": round(slower, 3),
            "slower_by_cpu": round(by_cpu, 3),
            "target": FLAT,
            "met": slower <= FLAT,
        }
        self.found.append(row)
        tell_flat(row)

    def _round(self, side: Side, most: int | None = None) -> tuple[dict[str, float], Outcome, int]:
        from bench.watch import Peak

        web, database = side.tree.cpu(), self.database.cpu()
        with Peak(side.tree) as peak:
            outcome = self.clients.run(side.port, side.requests, self.plan.seconds if most is None else 600, most)
        return (
            {
                "per_second": outcome.answers / outcome.seconds,
                "web_ms": 1000 * (side.tree.cpu() - web) / outcome.answers,
                "database_ms": 1000 * (self.database.cpu() - database) / outcome.answers,
            },
            outcome,
            peak.bytes,
        )


HEADINGS = ("request", "/s", "bare/s", "ratio", "target", "", "by cpu", "web ms", "db ms", "p50 ms", "p99 ms", "MB")
WIDTHS = (38, 8, 8, 7, 7, 8, 7, 7, 7, 8, 8, 5)
#: Above this share of the machine in others' hands the figures say little.
BUSY = 10


def tell(row: dict[str, Any]) -> None:
    """One line of the table."""
    verdict = {None: "", True: "met", False: "MISSED"}[row["met"]]
    target = "" if row["target"] is None else f"{row['target']:g}"
    cells = [row["name"], row["per_second"], row["yardstick_per_second"], f"{row['ratio']:.3f}", target, verdict]
    cells += [f"{row['cpu_ratio']:.3f}"]
    cells += [row["web_ms"], row["database_ms"], row["p50_ms"], row["p99_ms"], row["peak_web_mb"]]
    line(cells)


def tell_flat(row: dict[str, Any]) -> None:
    """One sentence for a row that says how much slower."""
    verdict = "met" if row["met"] else "MISSED"
    told = f"{row['slower']:.2f} × slower ({row['slower_by_cpu']:.2f} × by CPU)"
    print(f"{row['name']}: {told}, target {row['target']} ×: {verdict}", flush=True)


def line(cells: Sequence[object]) -> None:
    first, *others = (str(cell) for cell in cells)
    print(first.ljust(WIDTHS[0]) + "".join(o.rjust(w) for o, w in zip(others, WIDTHS[1:], strict=True)), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: little data, short rounds")
    parser.add_argument("--only", default="", help="measure only requests whose name holds this")
    parser.add_argument("--output", type=Path, default=None, help="where the results go (JSON)")
    asked = parser.parse_args(arguments)
    plan = QUICK if asked.quick else FULL
    clients = Clients(CONNECTIONS)  # before anything is imported that they need not hold
    try:
        results = run(plan, clients, asked.only, "quick" if asked.quick else "full")
    except WrongAnswer as error:
        print(f"INVALID: a wrong answer: {error}", file=sys.stderr)
        return 2
    finally:
        clients.close()
    output = asked.output or (ROOT / "var" / "bench" / "quick.json" if asked.quick else ROOT / "bench" / "results.json")
    # The storm's and the rooms' parts, which follow, stay until they are measured anew.
    parts = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    results |= {name: parts[name] for name in ("storm", "rooms") if name in parts}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    missed = [row["name"] for row in results["requests"] if row["met"] is False]
    print(f"\n{'every target met' if not missed else 'targets MISSED: ' + ', '.join(missed)}")
    return 0


def run(plan: Plan, clients: Clients, only: str, kind: str) -> dict[str, Any]:
    """Prepare, measure, and answer what is written to the results."""
    import psutil

    from bench import bids, reviews
    from bench import ground as grounds
    from bench.watch import Tree, machine
    from integration.demo import bulk
    from kernel import supervisor
    from kernel.db import transaction

    folder = ROOT / "var" / "bench"
    began = time.monotonic()

    def wanted(name: str) -> bool:
        return only in name

    with supervisor.running(folder) as cluster:
        print("preparing the data", flush=True)
        first = plan.rows[0]
        size = bulk.Size(plan.listings, first, first // bulk.PER_PROJECT, plan.commissions, plan.agencies)
        with grounds.ground(cluster, f"bench_{kind}", folder, size) as made:
            postmaster = int((folder / "pg" / "postmaster.pid").read_text().split("\n", 1)[0])
            bench = Bench(clients, plan, Tree(postmaster))
            about = machine(cluster.owner_url(f"bench_{kind}"))
            with (
                grounds.served("bench.yardstick:create_app", made.settings, made.environment) as bare,
                grounds.served("app:web", made.settings, made.environment) as web,
            ):
                trees = {server.port: Tree(server.process.pid) for server in (bare, web)}

                def yardstick(requests: Sequence[Request]) -> Side:
                    return Side(bare.port, trees[bare.port], requests)

                def portal(requests: Sequence[Request]) -> Side:
                    return Side(web.port, trees[web.port], requests)

                others = psutil.cpu_percent(3.0)
                if others > BUSY:
                    print(f"NOT QUIET: other programs use {others:.0f} % of this machine; the ratios come out too low")
                line(HEADINGS)
                reading = yardstick(grounds.reads())
                ratios: dict[int, float] = {}
                if wanted("deliverables of a project"):
                    for rows in plan.rows:
                        grow(bulk, rows)
                        asked = portal(grounds.deliverables_of_projects(made))
                        name = f"deliverables of a project, {rows:,}"
                        ratios[rows] = bench.measure(name, reading, asked, target=0.5)
                else:
                    grow(bulk, plan.rows[-1])
                pages: list[tuple[str, Callable[[], Sequence[Request]], float | None]] = [
                    ("listing page", lambda: grounds.listing_pages(made), 0.3),
                    ("commission page", lambda: grounds.commission_pages(made, web.port), 0.2),
                    (f"search with facets, {plan.listings:,}", lambda: grounds.searches(made), 0.02),
                    ("home page", lambda: [grounds.get("/", "</html>")], None),
                ]
                for name, make, target in pages:
                    if wanted(name):
                        bench.measure(name, reading, portal(make()), target=target)
                if wanted(name := f"review round, {plan.opinions} opinions"):
                    with transaction():
                        review = reviews.reviewed(made, plan.opinions)
                    bench.measure(name, reading, portal(reviews.round_pages(review, web.port)), target=0.05)
                if wanted("offering a commission"):
                    writing = yardstick(grounds.writes())
                    asked = portal(grounds.offers(made))
                    bench.measure("offering a commission", writing, asked, target=0.25, against="write")
                if wanted("sealed bids accepted"):
                    with transaction():
                        among = bids.bidders(plan.bidders)
                    writing = yardstick(grounds.writes())
                    asked = portal(bids.distinct(bids.published(made), among))
                    bench.measure("sealed bids accepted", writing, asked, target=0.2, against="write")
                    fresh = [portal(bids.distinct(bids.published(made), among)) for _ in range(plan.calls)]
                    bench.compare_bids(fresh)
                if ratios:
                    spread = ratios[plan.rows[0]] / ratios[plan.rows[-1]]
                    first_row, last_row = bench.found[0], bench.found[len(plan.rows) - 1]
                    row = {
                        "name": f"flat from {plan.rows[0]:,} to {plan.rows[-1]:,}",
                        "slower": round(spread, 3),
                        "slower_by_cpu": round(first_row["cpu_ratio"] / last_row["cpu_ratio"], 3),
                        "target": FLAT,
                        "met": spread <= FLAT,
                    }
                    bench.found.append(row)
                    tell_flat(row)
    return {
        "kind": kind,
        "machine": about,
        "others_busy_percent": others,
        "server": {"workers": made.settings.workers, "threads": made.settings.threads, "connections": CONNECTIONS},
        "data": {"listings": plan.listings, "dossier_rows": list(plan.rows), "commissions": plan.commissions},
        "rounds": plan.rounds,
        "seconds_per_round": plan.seconds,
        "took_seconds": round(time.monotonic() - began),
        "requests": bench.found,
    }


def grow(bulk: Any, rows: int) -> None:
    """Let the register of documents grow to ``rows``."""
    from kernel.db import session

    if bulk.counted(bulk.Entry) < rows:
        bulk.grow(rows // bulk.PER_PROJECT, rows)
        session.remove()
        bulk.settle()


if __name__ == "__main__":
    assert platform.system() in {"Linux", "Darwin"}
    sys.exit(main())
