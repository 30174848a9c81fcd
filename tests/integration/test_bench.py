"""The bench itself: it refuses wrong answers, and a smoke run measures every request. No timing is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.clients import SERIAL, Request, drive, get, post_json

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
    assert len(measured) == 8
    for row in measured:
        assert min(row[key] for key in ("per_second", "ratio", "web_ms", "p50_ms", "peak_web_mb", "answers")) > 0, row
    assert results["requests"][-1]["name"].startswith("flat from")
