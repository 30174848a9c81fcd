"""``flask story``: the whole chain over HTTP, from the shelf to the decision, as people without JavaScript play it.

A portal of its own (cluster, database, free port) is started in the sandbox, so that the story also runs beside
a running portal. Every act goes through the pages. It ends by verifying the history, and leaves under
``var/story/`` what it produced: ``trail.jsonl`` (one act a line: ``act``, ``at``, ``by``, ``subject``), the
decision as the API tells it, and the deliverable itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from integration import demo
from integration.approvals import guide
from integration.commands import say, tell, web_command
from integration.visitor import Page, UnexpectedAnswer, Visitor
from kernel import config, supervisor
from kernel.access import Role
from kernel.config import ROOT
from kernel.errors import PortalError

FOLDER = ROOT / "var" / "story"
DATABASE = "story"
#: What the trail must contain, in this order.
CHAIN = (
    "commission.offered",
    "commission.taken_on",
    "service.started",
    "deliverable.submitted",
    "deliverable.returned",
    "deliverable.submitted",
    "deliverable.accepted",
    "document.attached",
    "service.finished",
    "matter.granted",
)


class StoryBroken(Exception):
    """The story did not go as it must; the text says where."""


@click.command("story")
def story() -> None:
    """Play the whole chain over HTTP and verify its history; exit 1 when it breaks."""
    try:
        settings = config.load()
        _play(Path(settings.story_matters) if settings.story_matters else None)
    except PortalError as error:
        tell(error)
        sys.exit(1)
    except (StoryBroken, UnexpectedAnswer, OSError, subprocess.CalledProcessError) as error:
        click.echo(f"✘ {error}", err=True)
        sys.exit(1)


def _play(matters_file: Path | None) -> None:
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True)
    with supervisor.running(FOLDER / "portal") as running:
        running.ensure_database(DATABASE)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PORTAL_")} | {
            "DATABASE_URL": running.web_url(DATABASE),
            "DATABASE_OWNER_URL": running.owner_url(DATABASE),
            "PORTAL_DATA": str(FOLDER / "portal"),
            "SANDBOX": "1",
            "STORY_MATTERS": "",
        }
        say("正在准备演示数据 / preparing the demo")
        _flask(["init"], environment)
        _flask(["demo", "load"], environment)
        if matters_file is not None:
            say(_flask(["matters", "import", str(matters_file.resolve())], environment).strip())
        with _portal(environment) as base:
            number = First(base, has_own_matters=matters_file is not None).play()
        lines = _export(environment)
        _check(lines)
        say(_flask(["trail", "verify"], environment).strip())
        say(f"✔ 全链条办结，决定 {number} 引用了成果的确切版本 / the chain is complete; the decision pins the version")
    shutil.rmtree(FOLDER / "portal")


class First:
    """From the shelf to the decision: one applicant, one agency, one window, one approver."""

    def __init__(self, base: str, *, has_own_matters: bool) -> None:
        self._base = base
        self._has_own_matters = has_own_matters
        self._code = "2603-230199-04-01-100001"
        self._item = ""

    def play(self) -> str:
        applicant = self._person("applicant")
        kind, listing = self._find(applicant)
        agency = self._person(self._login_of(listing.title))
        matter = self._apply(applicant, kind)
        commission = self._commission(applicant, matter, listing)
        self._serve(agency, commission)
        self._deliver(agency, commission, "第一版")
        self._act(applicant, commission, "return", {"points": "1. 补充附图\n2. 核对工程规模与项目登记信息是否一致"})
        self._forward("P1D")
        deliverable = self._deliver(agency, commission, "第二版")
        page = self._act(applicant, commission, "accept")
        say(f"  委托 {commission} 已办结 / finished：{page.title}")
        self._hand_in(applicant, matter)
        self._decide(matter)
        (FOLDER / "deliverable.pdf").write_bytes(deliverable)
        return matter

    def _person(self, login: str) -> Visitor:
        visitor = Visitor(self._base)
        page = visitor.get("/sign-in")
        visitor.submit(page, next(one for one in page.forms if ("demo", login) in one.values))
        return visitor

    def _login_of(self, title: str) -> str:
        for login, _name, short, _role in demo.city.PEOPLE:
            if demo.city.ORGANISATIONS[short][1] in title:
                return login
        raise StoryBroken(f"没有演示账号 / no demo account: {title}")

    def _find(self, applicant: Visitor) -> tuple[str, Page]:
        """A matter of the guide with a material that a service on the shelf delivers, and that service."""
        page = applicant.get(f"/matters/new?project={self._code}")
        kinds = page.form("kind").options["kind"]
        with (guide.DATA / "guide_matters.csv").open(encoding="utf-8", newline="") as file:
            shipped = {row["matter_code"] for row in guide.read_csv(file)}
        for kind in [one for one in kinds if one not in shipped] if self._has_own_matters else ["SP-0503"]:
            for address, _text in applicant.get(f"/guide/{kind}").links:
                if "item=" not in address:
                    continue
                shelf = applicant.get(address)
                offers = list(dict.fromkeys(a for a, _ in shelf.links if a.startswith("/services/FW-")))
                if offers:
                    self._item = address.partition("item=")[2].partition("&")[0]
                    listing = applicant.get(offers[0])
                    say(f"  服务超市有 {len(offers)} 项可选，选定 / chosen of {len(offers)}：{listing.title}")
                    return kind, listing
        raise StoryBroken("没有一个事项的材料可由在架服务产出 / no matter needs what the shelf delivers")

    def _apply(self, applicant: Visitor, kind: str) -> str:
        """The applicant opens the application; its material list names what has to be bought."""
        page = applicant.get(f"/matters/new?project={self._code}")
        shown = applicant.submit(page, page.form("kind"), {"project_code": self._code.replace("-", " "), "kind": kind})
        number = shown.url.rsplit("/", 1)[1].split("?")[0]
        say(f"  申报 / application {number}：{shown.title}")
        return number

    def _commission(self, applicant: Visitor, matter: str, listing: Page) -> str:
        number = listing.url.rsplit("/", 1)[1].split("?")[0]
        page = applicant.get(f"/commissions/new?listing={number}&project={self._code}&needed_for={matter}")
        form = page.form("project_code", "listing")
        badly_typed = self._code.replace("-", "").translate(str.maketrans("0123456789", "０１２３４５６７８９"))
        paper = self._paper("项目基础资料", "主体工程设计资料、地形图和立项文件。")
        checked = applicant.submit(
            page,
            form,
            {"project_code": badly_typed, "message": "请于三月底前完成。"},
            {"files": [("项目基础资料.pdf", paper)]} if "files" in form.names else None,
        )
        offered = applicant.submit(checked, checked.form("act", "version"))
        return offered.url.split("/commissions/")[1].split("?")[0].split("/")[0]

    def _serve(self, agency: Visitor, commission: str) -> None:
        self._act(agency, commission, "take-on")
        self._act(agency, commission, "start")
        self._forward("P7D")

    def _deliver(self, agency: Visitor, commission: str, edition: str) -> bytes:
        page = agency.get(f"/commissions/{commission}/deliver")
        form = page.form("act", "version", "summary")
        report = self._paper(f"成果报告（{edition}）", f"项目代码 {self._code}。")
        names = sorted(name for name in form.names if name.startswith("files"))
        uploads = {name: [(f"成果报告-{edition}.pdf", report)] for name in names[:1]}
        agency.submit(
            page,
            form,
            {
                "result": "passed",
                "summary": f"成果符合委托要求，{edition}。",
                "project_code": self._code,
                "promise": "1",
            },
            uploads,
        )
        return report

    def _hand_in(self, applicant: Visitor, matter: str) -> None:
        """Pick the deliverable from the dossier, upload the rest once, submit."""
        shown = applicant.get(f"/matters/{matter}")
        for address in dict.fromkeys(a for a, _ in shown.links if "/materials/" in a):
            page = applicant.get(address)
            form = page.form("file")
            chosen = [value for name, value in form.values if name == "entry"]
            if chosen:
                applicant.submit(page, form, {"entry": chosen[0]})
            elif "必交" in page.text:
                title = page.title.split(" SX-")[0]
                applicant.submit(page, form, files={"file": [("材料.pdf", self._paper(title[:40], "按要求提交。"))]})
        self._confirm(applicant, f"/matters/{matter}/submit")

    def _decide(self, matter: str) -> None:
        window = self._person("window")
        department = window.get(f"/matters/{matter}").text
        approver = self._person(
            next(
                (
                    login
                    for login, _name, short, role in demo.city.PEOPLE
                    if role is Role.APPROVER and demo.city.ORGANISATIONS[short][1] in department
                ),
                "approver",
            )
        )
        self._confirm(window, f"/matters/{matter}/receive")
        self._confirm(window, f"/matters/{matter}/accept")
        self._forward("P1D")
        self._confirm(approver, f"/matters/{matter}/begin")
        page = approver.get(f"/matters/{matter}/evidence")
        page = approver.submit(page, page.form("entry", "act"))
        page = approver.get(f"/matters/{matter}/decision")
        decided = approver.submit(
            page, page.form("outcome"), {"outcome": "granted", "opinion": "经审查，符合法定条件。"}
        )
        say(f"  决定 / decided：{decided.title}")

    def _act(self, visitor: Visitor, commission: str, action: str, values: dict[str, str] | None = None) -> Page:
        return self._confirm(visitor, f"/commissions/{commission}/{action}", values)

    def _confirm(self, visitor: Visitor, address: str, values: dict[str, str] | None = None) -> Page:
        page = visitor.get(address)
        if page.status != 200:
            raise UnexpectedAnswer(f"{address} answered {page.status}: “{page.title}”")
        return visitor.submit(page, page.form("act", *(values or {})), values)

    def _forward(self, duration: str) -> None:
        visitor = Visitor(self._base)
        page = visitor.get("/")
        visitor.submit(page, next(f for f in page.forms if ("forward", duration) in f.values))

    def _paper(self, title: str, line: str) -> bytes:
        return demo.city.letter(title, [line, "本文件为演示数据。"])


def _flask(arguments: list[str], environment: dict[str, str]) -> str:
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
def _portal(environment: dict[str, str]) -> Iterator[str]:
    """The real server and scheduler on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
        for command in (
            web_command("127.0.0.1", port, 1, 4),
            [sys.executable, "-m", "flask", "--app", "app", "scheduler"],
        )
    ]
    try:
        _wait(supervisor.listening("127.0.0.1", port), processes)
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


def _wait(is_ready: Callable[[], bool], processes: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + 60
    while not is_ready():
        if time.monotonic() > until or any(process.poll() is not None for process in processes):
            raise StoryBroken("门户未能启动 / the portal did not start")
        time.sleep(0.1)


def _export(environment: dict[str, str]) -> list[dict[str, object]]:
    path = FOLDER / "trail.jsonl"
    _flask(["trail", "export", str(path)], environment)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    told = [line for line in lines if str(line["subject"]).split(":")[0] in TOLD]
    for line in told:
        say(f"{str(line['at'])[:19].replace('T', ' ')}  {line['act']:<28} {line['by']}  {line['subject']}")
    return lines


#: Subjects whose acts are told on the terminal; the file holds all.
TOLD = frozenset({"commission", "deliverable", "document", "case", "matter"})


def _check(lines: list[dict[str, object]]) -> None:
    acts = iter(str(line["act"]) for line in lines)
    for wanted in CHAIN:
        if wanted not in acts:
            raise StoryBroken(f"缺少 {wanted}，或次序不对 / {wanted} is missing or out of order")
