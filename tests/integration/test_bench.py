"""The bench itself: it refuses wrong answers, and a smoke run measures every request. No timing is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.clients import SERIAL, Request, drive, get, post_json
from bench.storm import Attempt, Bid, Harm, _Sender, judge

ROOT = Path(__file__).resolve().parents[2]


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked for; ``/short`` says less."""

    protocol_version = "HTTP/1.1"
    keys: list[str]

    def do_GET(self) -> None:
        self._answer(200, b"half" if self.path == "/short" else f"you asked for {self.path}".encode())

    def do_POST(self) -> None:
        self.keys.append(self.headers["Idempotency-Key"])
        self._answer(201, self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    _Echo.keys = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def _drive(port: int, *requests: Request) -> tuple[int, str]:
    outcome = drive(port, requests, 0.2, 2, "seed")
    return outcome.answers, outcome.wrong


def test_right_answers_are_counted(port: int) -> None:
    answers, wrong = _drive(port, get("/one", "/one"), get("/two", "/two"))
    assert answers >= 2
    assert wrong == ""


@pytest.mark.parametrize(
    ("request_", "said"),
    [(get("/short", "you asked"), "you asked"), (get("/one", "/one", status=304), "answered 200")],
    ids=["a text is missing", "another status"],
)
def test_a_wrong_answer_ends_the_measurement(port: int, request_: Request, said: str) -> None:
    _, wrong = _drive(port, request_)
    assert said in wrong


def test_a_server_that_hangs_up_is_a_wrong_answer() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)

        def hang_up() -> None:
            silent.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        outcome = drive(silent.getsockname()[1], [get("/")], 0.2, 1, "seed")
        thread.join()
    assert outcome.wrong


def test_every_write_carries_a_key_of_its_own(port: int) -> None:
    key = {"Idempotency-Key": f"bench-{SERIAL.decode()}"}
    answers, wrong = _drive(port, post_json("/", b'{"a": 1}', '{"a": 1}', headers=key))
    assert wrong == ""
    assert len(set(_Echo.keys)) == answers == len(_Echo.keys)


@pytest.mark.nightly
def test_a_smoke_run_measures_every_request_with_right_answers(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--quick", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(output.read_text(encoding="utf-8"))
    measured = [row for row in results["requests"] if "per_second" in row]
    assert len(measured) == 9
    for row in measured:
        assert min(row[key] for key in ("per_second", "ratio", "web_ms", "p50_ms", "peak_web_mb", "answers")) > 0, row
    flat = [row["name"] for row in results["requests"] if "slower" in row]
    assert [name.partition(" from")[0] for name in flat] == ["sealed bids flat", "flat"]


@pytest.mark.nightly
def test_a_small_storm_loses_no_acknowledged_bid(tmp_path: Path) -> None:
    found = _measured("storm", tmp_path)
    assert found["acknowledged"] == found["stored"] == found["opened"] == found["opened_readable"] == found["sent"]
    assert found["late"] == found["connections_lost_otherwise"] == 0
    assert set(found["answers_in_outage"]) <= {"201", "503", "lost"}
    assert set(found["answers_outside"]) == {"201"}
    assert found["answers_in_outage"]["503"] > 0, "the database was away, and nobody noticed"
    assert found["worker_replaced_after_seconds"] > 0


@pytest.mark.nightly
def test_a_few_rooms_are_played_to_the_end(tmp_path: Path) -> None:
    found = _measured("rooms", tmp_path)
    assert found["finished"] == found["rooms"]
    # Begun, three turns a round, finished.
    assert found["ticks"] == found["rooms"] * (1 + found["bidders"] * found["rounds"] + 1)


def _measured(name: str, folder: Path) -> dict[str, Any]:
    output = folder / "results.json"
    output.write_text('{"kept": 1}', encoding="utf-8")
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), "--quick", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    results: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    assert results["kept"] == 1
    return dict(results[name])


def _attempt(place: int, outcome: str, due: float, took: float = 0.01) -> Attempt:
    receipt = {"sha256": f"{place:064x}"} if outcome == "201" else None
    return Attempt(place, due, due, due + took, outcome, receipt)


def _judged(attempts: list[Attempt], *stored: int, late: int = 0) -> dict[str, Any]:
    """The verdict over three bids, the worker killed at 10 and the database restarted at 20."""
    told = Harm(killed_at=10.0, replaced_at=12.0, restart_at=20.0, database_back_at=21.0)
    held = {f"{place:064x}" for place in stored}
    counted = {
        "sha256": held, "late": late, "opened": len(held), "readable": len(held),
        "closing": 60.0, "closing_took": 0.1, "opening_took": 0.1,
    }  # fmt: skip
    wanted = {place: f"{place:064x}" for place in range(3)}
    idle = [_attempt(place, "201", 0.0) for place in range(10)]
    return judge(attempts, idle, told, counted, wanted)


CALM = [_attempt(0, "201", 5.0), _attempt(1, "201", 15.0), _attempt(2, "201", 30.0)]


def test_a_storm_without_loss_meets_every_target() -> None:
    assert set(_judged(CALM, 0, 1, 2)["targets"].values()) == {True}


@pytest.mark.parametrize(
    ("attempts", "stored", "late", "missed"),
    [
        (CALM, (0, 1), 0, "acknowledged = stored = opened"),
        (CALM[:2], (0, 1), 0, "acknowledged = stored = opened"),
        (CALM, (0, 1, 2), 1, "none late"),
        ([*CALM, _attempt(2, "201", 40.0, took=0.2)], (0, 1, 2), 0, "p99 ≤ 10 × idle"),
        ([_attempt(0, "500", 20.5), *CALM], (0, 1, 2), 0, "every answer in the outage"),
        ([_attempt(0, "503 bare", 20.5), *CALM], (0, 1, 2), 0, "every answer in the outage"),
        ([_attempt(0, "lost", 20.5), *CALM], (0, 1, 2), 0, "every answer in the outage"),
        ([_attempt(0, "503", 5.0), *CALM], (0, 1, 2), 0, "outside the outage"),
    ],
    ids=["not stored", "not acknowledged", "late", "slow", "a fault", "no Retry-After", "hung up on", "refused before"],
)
def test_a_storm_that_loses_something_says_so(
    attempts: list[Attempt], stored: tuple[int, ...], late: int, missed: str
) -> None:
    targets = _judged(attempts, *stored, late=late)["targets"]
    assert [name for name, is_met in targets.items() if not is_met and name.startswith(missed)], targets


def test_connections_that_broke_with_the_worker_are_stated() -> None:
    found = _judged([_attempt(1, "lost", 10.5), *CALM], 0, 1, 2)
    assert (found["connections_lost_with_the_worker"], found["connections_lost_otherwise"]) == (1, 0)
    assert (found["connections_lost_for_seconds"], found["outage_worker_seconds"]) == (0.51, 2.0)


class _Moody(BaseHTTPRequestHandler):
    """Refuses each bid once with a 503, hangs up on it once, and then takes it."""

    protocol_version = "HTTP/1.1"
    seen: dict[bytes, int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        turn = self.seen[body] = self.seen.get(body, 0) + 1
        if turn == 2:
            self.close_connection = True
            return
        answer = b'{"sha256": "x"}'
        self.send_response(503 if turn == 1 else 201)
        if turn == 1:
            self.send_header("Retry-After", "0.05")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_sender_sends_the_same_bytes_until_they_are_acknowledged() -> None:
    _Moody.seen = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), _Moody) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        now = time.time()
        bids = [Bid(place, now + place * 0.01, "/bids", "t", f"bid {place}".encode()) for place in range(5)]
        attempts = _Sender(server.server_address[1], 3, now + 30).send(bids)
        server.shutdown()
        thread.join()
    assert _Moody.seen == {bid.body: 3 for bid in bids}
    for place in range(5):
        assert [one.outcome for one in attempts if one.place == place] == ["503", "lost", "201"]
