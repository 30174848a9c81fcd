"""What the machine is, and what processes cost: CPU time and memory of a process and its children."""

from __future__ import annotations

import platform
import threading
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, text


class Tree:
    """A process with all that it started."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self._spent: dict[int, float] = {}

    def members(self) -> list[psutil.Process]:
        return [self.root, *self.root.children(recursive=True)]

    def cpu(self) -> float:
        """CPU seconds used so far by everybody ever seen here."""
        for process in self.members():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            self._spent[process.pid] = times.user + times.system
        return sum(self._spent.values())

    def memory(self) -> int:
        """Resident bytes, pages that several share counted for each."""
        total = 0
        for process in self.members():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


class Peak:
    """The most memory that a tree held while the block ran."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.bytes = tree, 0
        self._done = threading.Event()

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while True:
            self.bytes = max(self.bytes, self.tree.memory())
            if self._done.wait(0.25):
                return

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()


def machine(owner_url: str) -> dict[str, Any]:
    """The machine in words; no names, no addresses."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    engine = create_engine(owner_url)
    with engine.connect() as connection:
        postgresql = str(connection.scalar(text("SHOW server_version")))
    engine.dispose()
    return {
        "cpu": model,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "postgresql": postgresql,
        "system": platform.system(),
    }
