"""Where a request's time goes: its statements, its template, and the functions that take the most.

``.venv/bin/python bench/explain.py [--listings N] [--functions N] "listing page" …`` asks the application itself, without a
server, on a small database of its own.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from bench.clients import SERIAL, Request  # noqa: E402

TIMES = 60


class Meter:
    """Counts statements and the seconds spent in the database driver and in templates."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.driver = self.template = 0.0

    @contextmanager
    def reading(self) -> Iterator[Meter]:
        import jinja2
        import psycopg

        execute, render = psycopg.Cursor.execute, jinja2.Template.render

        def counted(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return execute(cursor, query, *arguments, **named)
            finally:
                self.driver += time.perf_counter() - began
                self.statements.append(str(query))

        def rendered(template: Any, *arguments: Any, **named: Any) -> str:
            began, before = time.perf_counter(), self.driver
            try:
                return render(template, *arguments, **named)
            finally:
                self.template += time.perf_counter() - began - (self.driver - before)

        psycopg.Cursor.execute, jinja2.Template.render = counted, rendered  # type: ignore[method-assign]
        try:
            yield self
        finally:
            psycopg.Cursor.execute, jinja2.Template.render = execute, render  # type: ignore[method-assign]


def ask(client: Any, request: Request, turn: int) -> int:
    """Put the bytes of a request to the test client; answers the number of bytes that came back."""
    head, _, body = request.raw.replace(SERIAL, b"%010d" % turn).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    answer = client.open(path, method=method, headers=headers, data=body)
    content = answer.get_data()
    assert answer.status_code == request.status, content[:800].decode()
    return len(content)


def explain(application: Any, name: str, requests: Sequence[Request], *, functions: int) -> None:
    """Print what one kind of request costs."""
    client = application.test_client(use_cookies=False)
    for turn in range(5):
        ask(client, requests[turn % len(requests)], turn)
    spent, size = [], 0
    for turn in range(3 * TIMES):
        began = time.process_time()
        size = ask(client, requests[turn % len(requests)], 100 + turn)
        spent.append(time.process_time() - began)
    # The lower decile: what the work takes when nothing else is in the caches.
    quiet = statistics.quantiles(spent, n=10)[0]
    with Meter().reading() as meter:
        for turn in range(TIMES):
            ask(client, requests[turn % len(requests)], 1000 + turn)
    print(
        f"\n{name}: {1000 * quiet:.2f} ms of CPU, {len(meter.statements) / TIMES:.1f} statements "
        f"({1000 * meter.driver / TIMES:.2f} ms in the driver, waiting included), "
        f"{1000 * meter.template / TIMES:.2f} ms in templates, {size} bytes"
    )
    with Meter().reading() as one:
        ask(client, requests[0], 5000)
    for statement, times in Counter(one.statements).most_common():
        plain = " ".join(statement.split())
        at = plain.find(" FROM ")
        shown = plain if at < 0 or len(plain) < 160 else f"{plain[:60]} …{plain[at : at + 160]}"
        print(f"  {times} × {shown[:230]}")
    profile = cProfile.Profile()
    profile.enable()
    for turn in range(TIMES):
        ask(client, requests[turn % len(requests)], 9000 + turn)
    profile.disable()
    if not functions:
        return
    stats = pstats.Stats(profile)
    stats.sort_stats("cumulative").print_stats(functions)
    stats.sort_stats("tottime").print_stats(functions // 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="requests whose name holds one of these; all of them without any")
    parser.add_argument("--functions", type=int, default=60)
    parser.add_argument("--listings", type=int, default=1000)
    asked = parser.parse_args()
    from bench import bids, reviews, yardstick
    from bench import ground as grounds
    from integration.demo import bulk
    from kernel import supervisor
    from kernel.db import transaction

    folder = ROOT / "var" / "bench"
    size = bulk.Size(asked.listings, 1000, 50, 50, max(20, asked.listings // 40))
    with (
        supervisor.running(folder) as cluster,
        grounds.ground(cluster, "bench_explain", folder, size) as made,
        grounds.served("app:web", made.settings, made.environment) as web,
    ):
        with transaction():
            bidders = bids.bidders(100)
            review = reviews.reviewed(made, 500)
        kinds = {
            "deliverables of a project": lambda: grounds.deliverables_of_projects(made),
            "listing page": lambda: grounds.listing_pages(made),
            "commission page": lambda: grounds.commission_pages(made, web.port),
            "search with facets": lambda: grounds.searches(made),
            "home page": lambda: [grounds.get("/", "</html>")],
            "review round": lambda: reviews.round_pages(review, web.port),
            "offering a commission": lambda: grounds.offers(made),
            "sealed bids accepted": lambda: bids.distinct(bids.published(made), bidders),
        }
        os.environ["DATABASE_URL"] = made.settings.database_url
        explain(yardstick.create_app(), "the yardstick", grounds.reads(), functions=0)
        for name, make in kinds.items():
            if not asked.names or any(one in name for one in asked.names):
                explain(made.application, name, make(), functions=asked.functions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
