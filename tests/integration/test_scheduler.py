"""The scheduler's process: it leads, and a database that goes away and comes back finds it still there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiflask import APIFlask
from sqlalchemy import Engine, text

from integration.commands import LEADER
from kernel.cluster import Cluster
from kernel.db import db, session

ROOT = Path(__file__).resolve().parents[2]
LEADS = text(
    "SELECT pg_locks.pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE locktype = 'advisory' AND objid = :key AND granted AND datname = current_database()"
)


@pytest.fixture
def process(portal: APIFlask, cluster: Cluster, database: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PORTAL_", "DATABASE_", "PYTEST"))}
    urls = {"DATABASE_URL": cluster.web_url(database), "DATABASE_OWNER_URL": cluster.owner_url(database)}
    started = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "scheduler"],
        cwd=ROOT,
        env=kept | urls | {"PORTAL_DATA": str(tmp_path), "SANDBOX": "1"},
        stdin=subprocess.DEVNULL,
    )
    yield started
    started.kill()
    started.wait(10)


def _leader(engine: Engine, process: subprocess.Popen[bytes], *, but: int = 0) -> int:
    """The database's process that holds the lock, once there is another than ``but``."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "the scheduler has ended"
        with engine.connect() as connection:
            found = connection.scalar(LEADS, {"key": LEADER})
        if found not in {None, but}:
            return int(found)
        time.sleep(0.1)
    raise AssertionError("nobody leads")


def test_the_scheduler_leads_again_after_the_database_was_away(
    process: subprocess.Popen[bytes], owner_engine: Engine, cluster: Cluster, database: str
) -> None:
    first = _leader(owner_engine, process)
    with cluster.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = 'portal_web'",
            (database,),
        )
    session.remove()
    db.engine.dispose()  # this process's own connections went with them; the next test begins with new ones
    assert _leader(owner_engine, process, but=first) != first
    assert process.poll() is None
