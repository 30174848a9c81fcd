"""The stage of the story: a portal of its own, people with plain browsers, and the way to the next day."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from integration import demo
from integration.commands import web_command
from integration.visitor import Files, Page, UnexpectedAnswer, Visitor
from kernel import supervisor
from kernel.config import ROOT

FOLDER = ROOT / "var" / "story"


class StoryBroken(Exception):
    """The story did not go as it must; the text says where."""


class Player:
    """Signs people in, confirms acts and lets demo time pass, on one portal."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._people: dict[str, Visitor] = {}

    def person(self, login: str) -> Visitor:
        """One browser a person, signed in by one click on the sandbox's sign-in page."""
        if login not in self._people:
            visitor = Visitor(self.base)
            page = visitor.get("/sign-in")
            visitor.submit(page, next(one for one in page.forms if ("demo", login) in one.values))
            self._people[login] = visitor
        return self._people[login]

    def confirm(
        self, visitor: Visitor, address: str, values: Mapping[str, str] | None = None, files: Files | None = None
    ) -> Page:
        """Open a confirm page, fill it in, send it; answers the page that follows."""
        page = visitor.get(address)
        if page.status != 200:
            raise UnexpectedAnswer(f"{address} answered {page.status}: “{page.title}”")
        return visitor.submit(page, page.form("act", *(values or {})), values, files)

    def act(self, visitor: Visitor, commission: str, action: str, values: Mapping[str, str] | None = None) -> Page:
        return self.confirm(visitor, f"/commissions/{commission}/{action}", values)

    def forward(self, duration: str) -> None:
        """The sandbox's buttons: a day or a week on, with everything that falls due."""
        visitor = Visitor(self.base)
        page = visitor.get("/")
        visitor.submit(page, next(f for f in page.forms if ("forward", duration) in f.values))

    def settle(self, draw: str, logins: Iterable[str]) -> None:
        """Each party of a draw promises a seed after the list is published, then shows it; the last one draws."""
        seeds = {}
        for login in logins:
            party = self.person(login)
            page = party.get(f"/draws/{draw}/commit")
            form = page.form("seed", "kept", "act")
            seeds[login] = dict(form.values)["seed"]
            party.submit(page, form, {"kept": "1"})
        for login, seed in seeds.items():
            self.confirm(self.person(login), f"/draws/{draw}/reveal", {"seed": seed})

    def paper(self, title: str, line: str) -> bytes:
        return demo.city.letter(title, [line, "本文件为演示数据。"])

    def name_of(self, login: str) -> str:
        """The organisation of a demo account."""
        short = next(short for one, _name, short, _role in demo.city.PEOPLE if one == login)
        return demo.city.ORGANISATIONS[short][1]

    def credit_code(self, login: str) -> str:
        short = next(short for one, _name, short, _role in demo.city.PEOPLE if one == login)
        return demo.city.credit_code(demo.city.ORGANISATIONS[short][0])

    def login_of(self, text: str) -> str:
        """The demo account of an organisation that a text names."""
        for login, _name, short, _role in demo.city.PEOPLE:
            if demo.city.ORGANISATIONS[short][1] in text:
                return login
        raise StoryBroken(f"没有演示账号 / no demo account: {text}")


def flask(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *arguments],
        env=environment,
        cwd=ROOT,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise StoryBroken(f"flask {' '.join(arguments)}: {done.stdout.strip() or done.returncode}")
    return done.stdout


@contextmanager
def portal(environment: dict[str, str]) -> Iterator[str]:
    """The real server, scheduler and page worker on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
        for command in (
            web_command("127.0.0.1", port, 1, 4),
            [sys.executable, "-m", "flask", "--app", "app", "scheduler"],
            [sys.executable, "-m", "flask", "--app", "app", "previews", "work"],
        )
    ]
    try:
        wait(supervisor.listening("127.0.0.1", port), processes)
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


def wait(is_ready: Callable[[], bool], processes: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + 60
    while not is_ready():
        if time.monotonic() > until or any(process.poll() is not None for process in processes):
            raise StoryBroken("门户未能启动 / the portal did not start")
        time.sleep(0.1)
