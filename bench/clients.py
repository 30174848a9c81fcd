"""Clients with keep-alive connections: each asks again as soon as it is answered, and reads every answer."""

from __future__ import annotations

import multiprocessing
import random
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

#: Replaced in every request that is sent by something not sent before, of the same length.
SERIAL = b"@@SERIAL@@"


class WrongAnswer(Exception):
    """An answer that is not the one asked for: a fast wrong answer is worth nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes to send, and what the answer must be: its status, and what its body must hold."""

    raw: bytes
    status: int = 200
    holds: tuple[bytes, ...] = ()


def get(path: str, *holds: str, headers: dict[str, str] | None = None, status: int = 200) -> Request:
    """A GET of ``path``."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return Request("\r\n".join([*lines, "", ""]).encode(), status, tuple(one.encode() for one in holds))


def post_json(path: str, body: bytes, *holds: str, headers: dict[str, str] | None = None, status: int = 201) -> Request:
    """A POST of JSON."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{k}: {v}" for k, v in (headers or {}).items()),
    ]
    return Request("\r\n".join([*lines, "", ""]).encode() + body, status, tuple(one.encode() for one in holds))


@dataclass(slots=True)
class Outcome:
    """What one process saw: answers, seconds from its first question to its last answer, seconds per answer."""

    answers: int = 0
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    wrong: str = ""


class _Line:
    """One connection and the answer being read from it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request: Request | None = None
        self.buffer = bytearray()
        self.end = -1
        self.body = 0
        self.sent_at = 0.0

    def send(self, request: Request, serial: bytes) -> None:
        self.request, self.end = request, -1
        self.buffer.clear()
        self.sent_at = time.perf_counter()
        self.socket.sendall(request.raw.replace(SERIAL, serial))

    def read(self) -> bool:
        """Take what has come; True when the answer is whole."""
        chunk = self.socket.recv(262_144)
        if not chunk:
            raise WrongAnswer("the server hung up")
        self.buffer += chunk
        if self.end < 0:
            at = self.buffer.find(b"\r\n\r\n")
            if at < 0:
                return False
            head = bytes(self.buffer[:at]).lower()
            mark = head.find(b"content-length:")
            if mark < 0:
                raise WrongAnswer("an answer without its length")
            self.body = at + 4
            self.end = self.body + int(head[mark + 15 :].split(b"\r\n", 1)[0])
        return len(self.buffer) >= self.end

    def check(self) -> None:
        assert self.request is not None
        status = int(self.buffer[9:12])
        missing = [one.decode() for one in self.request.holds if one not in self.buffer]
        if missing:
            dense = self.buffer.replace(b" ", b"")  # JSON is the same with and without spaces
            missing = [one for one in missing if one.encode() not in dense]
        if status == self.request.status and not missing:
            return
        asked = self.request.raw.split(b"\r\n", 1)[0].decode()
        shown = bytes(self.buffer[self.body : self.body + 600]).decode(errors="replace")
        raise WrongAnswer(f"{asked} answered {status}, without {missing}: {shown}")


def drive(
    port: int, requests: Sequence[Request], seconds: float, connections: int, seed: str, most: int | None = None
) -> Outcome:
    """Keep ``connections`` busy for ``seconds``, or until ``most`` were asked, with requests drawn from the list."""
    rng = random.Random(seed)
    outcome, sent = Outcome(), 0
    lines: list[_Line] = []
    selector = selectors.DefaultSelector()

    def ask(line: _Line) -> None:
        nonlocal sent
        sent += 1
        line.send(rng.choice(requests), b"%010x" % rng.getrandbits(40))

    try:
        lines = [_Line(port) for _ in range(connections)]
        began = time.perf_counter()
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
            ask(line)
        open_ones = len(lines)
        while open_ones:
            ready = selector.select(timeout=30)
            if not ready:
                raise WrongAnswer("no answer within 30 seconds")
            for key, _ in ready:
                line: _Line = key.data
                if not line.read():
                    continue
                now = time.perf_counter()
                line.check()
                outcome.answers += 1
                outcome.waits.append(now - line.sent_at)
                if now - began < seconds and (most is None or sent < most):
                    ask(line)
                else:
                    open_ones -= 1
                    selector.unregister(line.socket)
        outcome.seconds = time.perf_counter() - began
    except (WrongAnswer, OSError) as error:
        outcome.wrong = f"{error}"
    finally:
        selector.close()
        for line in lines:
            line.socket.close()
    return outcome


def _work(pipe: Pipe) -> None:
    while (order := pipe.recv()) is not None:
        pipe.send(drive(*order))


class Clients:
    """A few client processes, started before anything else so that they hold nothing of the measured program."""

    def __init__(self, connections: int, processes: int = 2) -> None:
        self.shares = [connections // processes + (place < connections % processes) for place in range(processes)]
        context: Any = multiprocessing.get_context("fork")
        self._members = []
        for _ in self.shares:
            mine, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, mine))

    def run(self, port: int, requests: Sequence[Request], seconds: float, most: int | None = None) -> Outcome:
        """All connections at once, for so many seconds, or until ``most`` answers came (a multiple of the processes).

        Raises:
            WrongAnswer: one answer was wrong.
        """
        for place, ((_, pipe), share) in enumerate(zip(self._members, self.shares, strict=True)):
            share_of_most = None if most is None else most // len(self.shares)
            pipe.send((port, list(requests), seconds, share, f"{time.time_ns()}:{place}", share_of_most))
        outcomes: list[Outcome] = [pipe.recv() for _, pipe in self._members]
        for one in outcomes:
            if one.wrong:
                raise WrongAnswer(one.wrong)
        return Outcome(
            sum(one.answers for one in outcomes),
            max(one.seconds for one in outcomes),
            [wait for one in outcomes for wait in one.waits],
        )

    def close(self) -> None:
        for process, pipe in self._members:
            pipe.send(None)
            process.join(5)
