"""One supervisor for everything a running portal consists of: database, web, scheduler.

``flask serve`` reads::

    require_free(config.host, config.port)
    with running(config.data) as cluster:
        ...migrate, load the demo...
        web = Child("web", [...], ready=listening(config.host, config.port))
        status = supervise([web, Child("scheduler", [...])], on_ready)
    sys.exit(status)

On TERM, INT or HUP all of it is gone within three seconds. If the supervisor itself is killed, the kernel tells
its children (Linux), and a guardian process stops the database unless another supervisor has taken it over.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from kernel import cluster as clusters
from kernel.cluster import Cluster
from kernel.errors import Conflict, Forbidden

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Seconds after the wish to stop: children are killed, the database stops at once instead of politely.
KILL_AFTER, IMMEDIATE_AFTER = 1.8, 2.4
#: Seconds before a child that ended is started again: the first time, and at most when it ends again and again.
AGAIN_AFTER, AGAIN_AT_MOST = 1.0, 60.0
_ROOT = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class PortTaken(Conflict):
    code = "port_taken"
    zh = "端口 {port} 已被占用；请先停止占用它的程序，或换一个端口，例如：PORT={other} make run"
    en = "Port {port} is taken; stop the program that uses it or choose another one, e.g. PORT={other} make run"


class PortForbidden(Forbidden):
    code = "port_forbidden"
    zh = "当前用户无权监听端口 {port}；请换一个端口，例如：PORT=8000 make run"
    en = "This user may not listen on port {port}; choose another one, e.g. PORT=8000 make run"


@dataclass(frozen=True, slots=True)
class Child:
    """A program to keep running. ``ready`` answers whether it can be used yet; None means as soon as it runs.

    ``restarts``: nobody's work depends on it at once, so when it ends it is started again instead of ending all.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] | None = None
    environment: Mapping[str, str] | None = None
    restarts: bool = False


def require_free(host: str, port: int) -> None:
    """Raise :class:`PortTaken` or :class:`PortForbidden` unless ``host:port`` can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(field="port", port=port, other=port + 1 if port < 65535 else 8000) from error
            if error.errno == errno.EACCES:
                raise PortForbidden(field="port", port=port) from error
            raise


def listening(host: str, port: int) -> Callable[[], bool]:
    """A readiness question: does somebody accept connections on ``host:port``?"""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound

    def answer() -> bool:
        try:
            socket.create_connection((target, port), timeout=1).close()
        except OSError:
            return False
        return True

    return answer


@contextmanager
def running(data: Path, *, signals: bool = True) -> Iterator[Cluster]:
    """The running cluster of ``data``, stopped when the block ends, however it ends.

    When other living processes are in such a block too, the last one stops it. With ``signals``,
    TERM, INT and HUP leave the block through ``SystemExit`` (:func:`supervise` then handles them itself).
    """
    previous = _handle(_leave) if signals else {}
    needed = clusters.hold(data)
    guardian = _guardian(data)
    try:
        yield clusters.start(data)
    finally:
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        os.close(needed)
        clusters.stop_if_abandoned(data)
        assert guardian.stdin is not None  # noqa: S101 - for the type checker
        with suppress(BrokenPipeError):
            guardian.stdin.write(b"done")
            guardian.stdin.close()
        guardian.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)


def supervise(
    commands: Sequence[Child],
    on_ready: Callable[[], None],
    cluster: Cluster | None = None,
    *,
    ready_within: float = 120.0,
) -> int:
    """Run ``commands`` until told to stop or until one ends that doesn't restart; must be called in the main thread.

    ``on_ready`` is called once when every child is ready. At the end the children are stopped, and then
    ``cluster`` if one is given; leave it out inside :func:`running`, which knows whose cluster it is.

    Returns the exit status: 0 when told to stop, otherwise that of the child that ended, never 0.
    """
    told: list[int] = []
    previous = _handle(lambda number, _frame: told.append(number))
    processes: list[tuple[Child, subprocess.Popen[bytes]]] = []
    resting: list[_Rest] = []
    status = 0
    try:
        for child in commands:
            processes.append((child, _spawn(child)))
        waiting = [child for child in commands if child.ready is not None]
        announced, until = False, time.monotonic() + ready_within
        while not told:
            _restart(processes, resting)
            ended = next(((child, process) for child, process in processes if process.poll() is not None), None)
            if ended is not None:
                code = ended[1].returncode
                _say(
                    f"{ended[0].name} 意外退出（{code}），正在停止 / {ended[0].name} ended unexpectedly ({code}), stopping"
                )
                status = code if code > 0 else 1
                break
            waiting = [child for child in waiting if child.ready is not None and not child.ready()]
            if waiting and time.monotonic() > until:
                names = " ".join(child.name for child in waiting)
                _say(f"{names} 未能就绪，正在停止 / {names} did not become ready, stopping")
                status = 1
                break
            if not waiting and not announced and not told:
                announced = True
                on_ready()
            time.sleep(0.05)
    finally:
        began = time.monotonic()
        _stop_children([process for _, process in processes], began + KILL_AFTER)
        if cluster is not None:
            clusters.stop(cluster, patience=max(0.3, began + IMMEDIATE_AFTER - time.monotonic()))
        for number, handler in previous.items():
            signal.signal(number, handler)
    return status


@dataclass(slots=True)
class _Rest:
    """A child that ended and will be started again at ``due``, by the monotonic clock; ``wait`` grows if it ends soon."""

    child: Child
    wait: float
    due: float
    is_due: bool = True


def _restart(processes: list[tuple[Child, subprocess.Popen[bytes]]], resting: list[_Rest]) -> None:
    """Lay children that ended and restart to rest, and start those whose rest is over."""
    now = time.monotonic()
    for child, process in [(c, p) for c, p in processes if c.restarts and p.poll() is not None]:
        processes.remove((child, process))
        _signal_group(process, signal.SIGKILL)
        before = next((rest for rest in resting if rest.child is child), None)
        if before is None:
            resting.append(before := _Rest(child, 0.0, 0.0))
        # One that ran for a while before it ended begins with the shortest rest again.
        is_soon = before.wait > 0 and now - before.due < 2 * AGAIN_AT_MOST
        before.wait = min(AGAIN_AT_MOST, 2 * before.wait) if is_soon else AGAIN_AFTER
        before.due, before.is_due = now + before.wait, True
        _say(
            f"{child.name} 意外退出（{process.returncode}），{before.wait:g} 秒后重新启动 / "
            f"{child.name} ended unexpectedly ({process.returncode}), starting again in {before.wait:g} s"
        )
    for rest in resting:
        if rest.is_due and now >= rest.due:
            rest.is_due = False
            processes.append((rest.child, _spawn(rest.child)))


def _spawn(child: Child) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def tie() -> None:
        """In the child: ask the kernel for TERM when the supervisor dies."""
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

    return subprocess.Popen(
        child.command,
        env=os.environ | child.environment if child.environment else None,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=tie,
    )


def _stop_children(processes: list[subprocess.Popen[bytes]], until: float) -> None:
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
    for process in processes:
        _signal_group(process, signal.SIGKILL)  # also what a child that has ended left behind
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _guardian(data: Path) -> subprocess.Popen[bytes]:
    """A process that outlives us: it reads our pipe, and its end without a word means that we were killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "kernel.supervisor", str(data.resolve())],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _guard(data: Path) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read():
        return
    for _ in range(20):
        if clusters.stop_if_abandoned(data):
            return
        time.sleep(0.1)  # a dying process gives up its locks one after the other


def _handle(handler: Callable[[int, FrameType | None], object]) -> dict[signal.Signals, Any]:
    # A HUP that is ignored already (nohup) stays ignored.
    wanted = [s for s in SIGNALS if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in wanted}


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
