"""One supervisor starts everything and leaves nothing behind (issue, "Ground": TERM or INT stops all of it)."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kernel import cluster
from kernel.supervisor import PortTaken, listening, require_free, running

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = """
import os, sys, time
from pathlib import Path
from kernel.supervisor import Child, running, supervise
def child(name, code, **more):
    return Child(name, [sys.executable, "-c", "import os, signal, subprocess, sys, time; " + code], **more)
# One write a line, because several processes share the pipe.
IDLE = "os.write(1, b'pid %d' % os.getpid() + bytes([10])); time.sleep(600)"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); " + IDLE
PARENT = f"subprocess.Popen([sys.executable, '-c', {'import os, signal, time; ' + STUBBORN!r}]); " + IDLE
say = lambda: os.write(1, b"ready" + bytes([10]))
"""


class Run:
    """A supervisor in a process of its own; ``pids`` are those its children printed."""

    def __init__(self, body: str, *arguments: str) -> None:
        program = HEAD + textwrap.dedent(body)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # These tests may themselves have been started by a program that ignores the hangup.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.pids: list[int] = []

    def read(self, children: int, *, ready: bool = True) -> None:
        """Read until so many children have spoken and, if asked for, the supervisor is ready."""
        assert self.process.stdout is not None
        is_ready = not ready
        while len(self.pids) < children or not is_ready:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            if line.startswith("pid"):
                self.pids.append(int(line.split()[1]))
            is_ready = is_ready or line == "ready\n"

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Send a signal, wait, and return exit status and what was said on standard error."""
        if number is not None:
            self.process.send_signal(number)
        errors = self.process.communicate(timeout=20)[1]
        return self.process.returncode, errors


@pytest.fixture
def data() -> Iterator[Path]:
    # Not pytest's folder: every new test run closes that one to others, under the feet of our servers.
    folder = Path(tempfile.mkdtemp(prefix="supervisor-", dir="/tmp"))
    yield folder / "var"
    cluster.stop_if_abandoned(folder / "var")
    shutil.rmtree(folder)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _all_end(pids: list[int]) -> bool:
    for _ in range(200):
        if not any(_is_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_every_child_and_is_no_failure(number: int) -> None:
    run = Run("sys.exit(supervise([child('a', IDLE), child('b', IDLE)], say))")
    run.read(2)
    assert run.end(number)[0] == 0
    assert not any(_is_alive(pid) for pid in run.pids)


def test_children_and_grandchildren_that_ignore_the_signal_are_killed() -> None:
    run = Run("sys.exit(supervise([child('a', STUBBORN), child('b', PARENT)], say))")
    run.read(3)
    assert run.end(signal.SIGTERM)[0] == 0
    assert _all_end(run.pids)


@pytest.mark.parametrize(("code", "status"), [(3, 3), (0, 1)])
def test_a_child_that_ends_takes_everything_down_with_a_failure(code: int, status: int) -> None:
    run = Run(f"sys.exit(supervise([child('a', IDLE), child('web', 'time.sleep(1); sys.exit({code})')], say))")
    run.read(1)
    ended, errors = run.end()
    assert ended == status
    assert "web" in errors
    assert not any(_is_alive(pid) for pid in run.pids)


def test_ready_is_said_once_and_only_when_every_child_is_ready(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    run = Run(
        """
        seen = []
        def is_ready():
            seen.append(1)
            return Path(sys.argv[1]).exists()
        waits = child('a', f"time.sleep(0.3); open({sys.argv[1]!r}, 'w').close(); {IDLE}", ready=is_ready)
        sys.exit(supervise([waits, child('b', IDLE)], lambda: say() if len(seen) > 1 else sys.exit('early')))
        """,
        str(flag),
    )
    run.read(2)
    assert flag.exists()
    assert run.end(signal.SIGTERM)[0] == 0


def test_a_child_that_never_gets_ready_is_a_failure() -> None:
    run = Run("sys.exit(supervise([child('slow', IDLE, ready=lambda: False)], say, ready_within=0.2))")
    status, errors = run.end()
    assert status == 1
    assert "slow" in errors


def test_a_taken_port_is_named_and_a_free_one_is_not() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert listening("127.0.0.1", port)()
        with pytest.raises(PortTaken) as refused:
            require_free("127.0.0.1", port)
        assert str(port) in refused.value.text("zh")
        assert str(port) in refused.value.text("en")
    assert not listening("127.0.0.1", port)()
    require_free("127.0.0.1", port)


def test_the_database_runs_with_the_children_and_stops_with_them(data: Path) -> None:
    run = Run(
        """
        with running(Path(sys.argv[1])) as found:
            status = supervise([child('a', IDLE)], lambda: say() if found.is_running() else sys.exit('no database'))
        sys.exit(status)
        """,
        str(data),
    )
    run.read(1)
    postmaster = int((data / "pg" / "postmaster.pid").read_text().splitlines()[0])
    assert _is_alive(postmaster)
    assert run.end(signal.SIGTERM)[0] == 0
    assert not any(_is_alive(pid) for pid in [postmaster, *run.pids])


def test_a_signal_while_preparing_stops_the_database_too(data: Path) -> None:
    run = Run("with running(Path(sys.argv[1])): say(); time.sleep(600)", str(data))
    run.read(0)
    postmaster = int((data / "pg" / "postmaster.pid").read_text().splitlines()[0])
    assert run.end(signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert not _is_alive(postmaster)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_killed_supervisor_leaves_neither_children_nor_database(data: Path) -> None:
    run = Run(
        """
        with running(Path(sys.argv[1])):
            supervise([child('a', IDLE), child('b', IDLE)], say)
        """,
        str(data),
    )
    run.read(2)
    postmaster = int((data / "pg" / "postmaster.pid").read_text().splitlines()[0])
    run.end(signal.SIGKILL)
    assert _all_end([postmaster, *run.pids])


def test_a_supervisor_started_right_after_a_killed_one_keeps_its_database(data: Path) -> None:
    run = Run("with running(Path(sys.argv[1])): say(); time.sleep(600)", str(data))
    run.read(0)
    run.end(signal.SIGKILL)
    with running(data, signals=False) as found:
        time.sleep(2.5)  # longer than the dead one's guardian tries
        assert found.is_running()
    assert not found.is_running()


def test_whoever_leaves_first_does_not_stop_the_database_of_the_other(data: Path) -> None:
    run = Run("with running(Path(sys.argv[1])): say(); time.sleep(600)", str(data))
    run.read(0)
    with running(data, signals=False) as found:
        run.end(signal.SIGTERM)
        assert found.is_running()
    assert not found.is_running()


def test_the_former_signal_handlers_come_back(data: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with running(data):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before
