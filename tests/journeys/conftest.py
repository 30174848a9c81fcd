"""One running portal for the session (the real server, scheduler and page worker, the demo loaded), one browser, people at it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from integration.commands import web_command
from kernel import cluster as clusters
from kernel import supervisor
from tests.journeys.clerk import Clerk
from tests.journeys.person import NORMAL, Mode, Person
from tools.browser import find

ROOT = Path(__file__).resolve().parents[2]
FLASK = [sys.executable, "-m", "flask", "--app", "app"]
#: Nothing of the browser's own goes out, and nothing needs a graphics card.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync",
    "--disable-component-update", "--disable-quic",
]  # fmt: skip


@pytest.fixture(scope="session")
def base(cluster: clusters.Cluster, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a portal of this worker's own, or of the one that ``JOURNEYS_PORTAL`` names."""
    if given := os.environ.get("JOURNEYS_PORTAL"):
        yield given
        return
    name = f"journeys_{worker_id}_{os.getpid()}"
    cluster.drop_database(name)
    cluster.ensure_database(name)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PORTAL_")} | {
        "DATABASE_URL": cluster.web_url(name),
        "DATABASE_OWNER_URL": cluster.owner_url(name),
        "PORTAL_DATA": str(tmp_path_factory.mktemp("portal")),
        "SANDBOX": "1",
    }
    for command in (["init"], ["demo", "load"]):
        subprocess.run([*FLASK, *command], env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
        for command in (web_command("127.0.0.1", port, 1, 4), [*FLASK, "scheduler"], [*FLASK, "previews", "work"])
    ]
    try:
        until = time.monotonic() + 60
        ready = supervisor.listening("127.0.0.1", port)
        while not ready():
            assert time.monotonic() < until, "the portal did not start"
            assert all(process.poll() is None for process in processes), "the portal ended while starting"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        cluster.drop_database(name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find()
    assert path is not None, "no Chromium; run `make setup`"
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(path), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def clerk(base: str) -> Clerk:
    return Clerk(base)


@pytest.fixture
def person(browser: Browser, base: str) -> Iterator[Callable[..., Person]]:
    """Makes people; whatever was wrong with a page that one of them saw fails the test."""
    people: list[Person] = []

    def make(mode: Mode = NORMAL, login: str = "") -> Person:
        one = Person(browser, base, mode)
        people.append(one)
        if login:
            one.sign_in(login)
        return one

    yield make
    faults = [fault for one in people for fault in one.faults]
    for one in people:
        one.leave()
    assert not faults, "\n".join(dict.fromkeys(faults))
