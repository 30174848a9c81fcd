"""What was acknowledged is stored, once, whoever is killed when (G3, issue "Done when" 3).

The real server is killed with -9 in the middle of its work, ten times per push and a hundred times at night. A program
that got no answer asks again with the same Idempotency-Key, as it would in life.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from apiflask import APIFlask
from sqlalchemy import select

from integration.exchange import tokens
from integration.exchange.tokens import Scope
from kernel import cluster as clusters
from kernel import trail
from kernel.access import Role
from kernel.accounts import Organisation
from kernel.db import session, transaction
from kernel.web.once import Attempt
from market.commissions import Commission

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 2


@dataclass
class Server:
    """The portal as it runs in earnest, on a free port, with the test's database."""

    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "app:create_app",
                "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", "--blocking-threads", "4",
                "--log-level", "error", "--no-ws",
            ],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        """-9 for the server and its workers, at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionResetError from error
        finally:
            connection.close()


@dataclass
class Program:
    """A program of the applicant's: files commissions, and remembers what it was told."""

    server: Server
    secret: str
    listing: str
    project: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)

    def file(self, key: str) -> bool:
        """One commission for ``key``; False if there was no answer."""
        body = {"listing": self.listing, "project_code": self.project, "offer": False, "message": key}
        headers = {
            "Authorization": f"Bearer {self.secret}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        try:
            status, answer = self.server.ask("POST", "/api/v1/commissions", body, **headers)
        except OSError:
            self.unanswered.append(key)
            return False
        assert status == 201, answer
        number = json.loads(answer)["number"]
        assert self.acknowledged.setdefault(key, number) == number
        return True


@pytest.fixture
def program(world: Any, app: APIFlask, cluster: clusters.Cluster, database: str) -> Iterator[Program]:
    with transaction():
        _, secret = tokens.issue(
            session.get_one(Organisation, world.client_org.id),
            roles=[Role.APPLICANT],
            scopes=list(Scope),
            name="企业项目管理系统",
            by=world.applicant,
        )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
        "DATABASE_URL": cluster.web_url(database),
        "DATABASE_OWNER_URL": cluster.owner_url(database),
        "SANDBOX": "1",
        "PORTAL_DATA": str(app.extensions["portal"].data),
        "PORTAL_SECRET_KEY": "only for tests",
        "PYTHONUTF8": "1",
    }
    server = Server(environment)
    session.remove()
    yield Program(server, secret, world.listing.number, world.project.code)
    server.kill()


@pytest.mark.parametrize(
    "kills", [pytest.param(10, id="10 kills"), pytest.param(100, id="100 kills", marks=pytest.mark.nightly)]
)
def test_nothing_acknowledged_is_lost_and_nothing_is_stored_twice(program: Program, kills: int) -> None:
    chance = random.Random(20260302)
    for turn in range(kills):
        program.server.start()
        for key in [program.unanswered.pop() for _ in range(len(program.unanswered))]:
            assert program.file(key)
        kill_while_writing(program, after=turn % 4 if turn % 2 else None, within=chance.uniform(0.02, 0.4))
    program.server.start()
    for key in [program.unanswered.pop() for _ in range(len(program.unanswered))]:
        assert program.file(key)
    for key in list(program.acknowledged)[:20]:
        assert program.file(key)  # asking once more is answered as before
    stored = Counter(session.scalars(select(Commission.message)))
    assert set(program.acknowledged) - set(stored) == set()
    assert {key: times for key, times in stored.items() if times > 1} == {}
    assert set(stored) == set(program.acknowledged)
    numbers = {row.message: row.number for row in session.execute(select(Commission.message, Commission.number))}
    assert numbers == program.acknowledged
    drafted = [act for act in trail.everything_unscoped() if act.act == "commission.drafted"]
    assert Counter(act.subject for act in drafted) == Counter(f"commission:{n}" for n in numbers.values())
    assert trail.verify()[1] == []
    assert all(attempt.answer is not None for attempt in session.scalars(select(Attempt)))
    assert len(stored) >= kills


def kill_while_writing(program: Program, *, after: int | None, within: float) -> None:
    """Writers file one commission after the other until the server is dead: right after an acknowledgement, or any time."""
    dead, first = threading.Event(), threading.Event()
    faults: list[BaseException] = []
    before = len(program.acknowledged)

    def write() -> None:
        try:
            while not dead.is_set():
                if not program.file(secrets.token_urlsafe(12)):
                    return
                if len(program.acknowledged) > before + (after or 0):
                    first.set()
        except BaseException as fault:
            faults.append(fault)
            first.set()

    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    assert first.wait(60)
    if after is None:
        time.sleep(within)
    program.server.kill()
    dead.set()
    for writer in writers:
        writer.join(30)
    assert faults == []


def test_worker_killed_under_its_server_loses_nothing(program: Program) -> None:
    """Only the worker dies; what it had acknowledged stands when the portal is up again."""
    program.server.start()
    assert program.file("a-key-for-the-worker")
    assert program.server.process is not None
    children = Path(f"/proc/{program.server.process.pid}/task/{program.server.process.pid}/children").read_text()
    workers = [int(pid) for pid in children.split()]
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    program.server.kill()
    program.server.start()
    assert program.file("a-key-for-the-worker")
    assert session.scalars(select(Commission.message)).all() == ["a-key-for-the-worker"]


def test_what_was_committed_survives_the_death_of_the_database_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    running = clusters.start(data)
    try:
        with running.connect() as connection:
            connection.execute("CREATE TABLE kept (n int)")
        for turn in range(3):
            with running.connect() as connection, connection.transaction():
                connection.execute("INSERT INTO kept VALUES (%s)", (turn,))
            lost = running.connect()
            lost.execute("BEGIN")
            lost.execute("INSERT INTO kept VALUES (99)")
            postmaster = int((data / "pg" / "postmaster.pid").read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGKILL)
            with pytest.raises(psycopg.OperationalError):
                for _ in range(200):
                    lost.execute("SELECT 1")
                    time.sleep(0.05)
            lost.close()
            running = clusters.start(data)
            with running.connect() as connection:
                kept = [row[0] for row in connection.execute("SELECT n FROM kept ORDER BY n").fetchall()]
            assert kept == list(range(turn + 1))
    finally:
        clusters.stop(running)
