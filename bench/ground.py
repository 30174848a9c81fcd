"""What is measured: a database of its own with demo and mass data, and the servers in front of it."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import delete, select

import app as portal
from bench import yardstick
from bench.clients import SERIAL, Request, get, post_json
from integration import demo
from integration.commands import web_command
from integration.demo import bulk
from integration.exchange import tokens
from integration.exchange.tokens import Scope
from integration.visitor import Visitor
from kernel import files, schema, supervisor
from kernel.access import Role
from kernel.accounts import Person
from kernel.accounts.sign_in import current_code
from kernel.cluster import Cluster
from kernel.config import Config
from kernel.db import db, session, transaction
from kernel.files import Document
from kernel.projects import Project
from kernel.sandbox import SandboxClock
from kernel.trail import SYSTEM
from market import catalogue, commissions, deliverables, services, shelf
from market.agencies import Agency
from market.commissions import Picked
from market.deliverables import Part, Result
from market.listings import Listing

ROOT = Path(__file__).resolve().parent.parent
#: Of each kind of page so many different ones are asked for.
DIFFERENT = 200
WORDS = (
    "环评",
    "水土保持",
    "可研",
    "测绘",
    "检测",
    "勘察",
    "节能",
    "设计",
    "安全评价",
    "咨询 评估",
    "水保 方案",
    "审查",
)


@dataclass(slots=True)
class Ground:
    """The database and what to ask of it."""

    settings: Config
    environment: dict[str, str]
    application: portal.APIFlask
    city: demo.City
    tokens: dict[str, str] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    orders: list[tuple[str, str, list[dict[str, str]]]] = field(default_factory=list)


@contextmanager
def town(cluster: Cluster, name: str, folder: Path) -> Iterator[Ground]:
    """A fresh database with the demo in it; legal time is the machine's, as in production."""
    cluster.drop_database(name)
    cluster.ensure_database(name)
    schema.upgrade(cluster.owner_url(name))
    settings = Config(
        database_url=cluster.web_url(name), database_owner_url=cluster.owner_url(name), data=folder / name
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PORTAL_", "DATABASE_", "SANDBOX", "SEARCH"))}
    environment = kept | {
        "DATABASE_URL": settings.database_url,
        "DATABASE_OWNER_URL": settings.database_owner_url,
        "PORTAL_DATA": str(settings.data),
        "PYTHONPATH": str(ROOT),
    }
    application = portal.create_app(settings)
    with application.app_context():
        with transaction() as current:
            city = demo.load()
            # As in production: no sandbox, so that legal time is the machine's.
            current.execute(delete(SandboxClock))
        assert city is not None
        try:
            yield Ground(settings, environment, application, city)
        finally:
            session.remove()
            db.engine.dispose()


@contextmanager
def ground(cluster: Cluster, name: str, folder: Path, size: bulk.Size) -> Iterator[Ground]:
    """A town with the first ``size`` of mass data; the caller grows it."""
    with town(cluster, name, folder) as made:
        yardstick.prepare(made.settings.database_owner_url)
        with transaction():
            _tokens(made)
            _commissions(made, 20)
            _orders(made)
        bulk.load(size, say=say)
        session.remove()
        yield made


def say(line: str) -> None:
    print(f"  {line}", flush=True)


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def served(target: str, settings: Config, environment: Mapping[str, str]) -> Iterator[Server]:
    """``target`` behind the server that `flask serve` starts, with as many workers and threads."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = web_command("127.0.0.1", port, settings.workers, settings.threads)
    command = [target if part == "app:web" else part for part in command]
    process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL)
    try:
        is_ready, until = supervisor.listening("127.0.0.1", port), time.monotonic() + 60
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{target} did not start")
            time.sleep(0.1)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(15)


# Who asks, and what for ----------------------------------------------------------------------------------------


def _tokens(made: Ground) -> None:
    """Access tokens of a department that decides, and of a company that commissions."""
    wanted = {
        "reader": ("审批", Role.APPROVER, Scope.DOSSIER_READ),
        "client": ("宏远", Role.APPLICANT, Scope.COMMISSIONS_WRITE),
    }
    for name, (organisation, role, scope) in wanted.items():
        _, made.tokens[name] = tokens.issue(
            made.city.organisations[organisation], roles=[role], scopes=[scope], name="bench", by=SYSTEM
        )


def _document(made: Ground, login: str, title: str) -> Document:
    return demo.city.document(f"{title}.pdf", title, [f"{title}（测量用）"], by=made.city.actor(login))


def _listing(short: str, item: str) -> Listing:
    """The demo agency's own listing of an item."""
    return session.scalars(
        select(Listing)
        .join(Agency, Agency.id == Listing.agency_id)
        .where(Agency.organisation.has(name=demo.city.ORGANISATIONS[short][1]))
        .where(Listing.item_id == catalogue.by_code(item).id)
    ).one()


def _commissions(made: Ground, count: int) -> None:
    """Commissions in the middle of their life: offered, paused, delivered, returned, delivered again."""
    client, agency = made.city.actor("applicant"), made.city.actor("agency")
    project, listing = made.city.projects[0], _listing("清源", "ZJ-0506")
    paper, report = _document(made, "applicant", "申请材料"), _document(made, "agency", "水土保持方案")
    for _ in range(count):
        one = commissions.draft(project, listing, made.city.organisations["宏远"], by=client, message="请尽快联系。")
        commissions.hand_in(one, [Picked(name, document=paper) for name in listing.item.required_materials])
        commissions.offer(one, by=client)
        commissions.take_on(one, by=agency)
        services.start(one, by=agency)
        services.pause(one, ["补充弃渣场位置图"], "缺少弃渣场资料", by=agency)
        services.resume(one, "已补充", by=client)
        for edition in (1, 2):
            handed = deliverables.submit(
                one, [Part("水土保持方案", report)], result=Result.PASSED, summary="水土流失防治措施可行。", by=agency
            )
            if edition == 1:
                deliverables.return_for_revision(handed, ["补充土石方平衡表"], by=client)
        made.shown.append(one.number)


def _orders(made: Ground) -> None:
    """Orders to place: listings that need no certificate, for a project of the client's, with uploaded materials."""
    paper = _document(made, "applicant", "委托材料")
    project = made.city.projects[1]
    for short in ("清源", "恒信", "方略", "沃土"):
        for code in demo.city.AGENCIES[short][3]:
            item = catalogue.by_code(code)
            if item.qualification_mode != "none" or item.technical_review:
                continue
            materials = [{"name": name, "document": paper.number} for name in item.required_materials]
            made.orders.append((_listing(short, code).number, project.code, materials))
    assert files.may_read(paper, made.city.actor("applicant"))


def deliverables_of_projects(made: Ground) -> list[Request]:
    """Projects from anywhere in the register, with their twenty documents."""
    codes = list(session.scalars(select(Project.code).where(Project.code.like("00__-%"))))
    session.remove()
    chosen = random.Random(5).sample(codes, min(DIFFERENT, len(codes)))
    bearer = {"Authorization": f"Bearer {made.tokens['reader']}"}
    return [
        get(
            f"/api/v1/projects/{code}/deliverables",
            code,
            f'"total":{bulk.PER_PROJECT}',
            '"can_rely":true',
            headers=bearer,
        )
        for code in chosen
    ]


def listing_pages(made: Ground) -> list[Request]:
    numbers = list(session.scalars(select(Listing.number).where(Listing.number.like("FW-0000-%"))))
    session.remove()
    chosen = random.Random(6).sample(numbers, min(DIFFERENT, len(numbers)))
    return [get(f"/services/{number}", number, "</html>") for number in chosen]


def signed_in(port: int, login: str) -> dict[str, str]:
    """Headers of somebody who signed in through the sign-in page, just now: an old session writes its cookie anew."""
    visitor = Visitor(f"http://127.0.0.1:{port}")
    page = visitor.get("/sign-in")
    person = session.scalars(select(Person).where(Person.login == login)).one()
    answers = {"login": login, "password": demo.city.PASSWORD, "code": current_code(person)}
    session.remove()
    visitor.submit(page, page.form("login", "password"), answers)
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor._cookies.items())}


def commission_pages(made: Ground, port: int) -> list[Request]:
    """Signed in, a commission with pauses and two editions."""
    cookie = signed_in(port, "applicant")
    return [get(f"/commissions/{number}", number, "提交成果报告", "</html>", headers=cookie) for number in made.shown]


def searches(made: Ground) -> list[Request]:
    """Words and filters as people mix them; each finds something."""
    items = {item.code: item for item in catalogue.all_items()}
    rng, questions = random.Random(7), []
    tries = 0
    while len(questions) < 40 and tries < 1000:
        tries += 1
        query: dict[str, list[str]] = {}
        if rng.random() < 0.7:
            query["q"] = [rng.choice((*WORDS, rng.choice(list(items.values())).name))]
        item = rng.choice(list(items.values()))
        if rng.random() < 0.4:
            query["category"] = [item.category]
        if rng.random() < 0.3:
            query["stage"] = [item.stage.value]
        if rng.random() < 0.3:
            query["region"] = [rng.choice(bulk.REGIONS)]
        if rng.random() < 0.2:
            query["days"] = [rng.choice(list(shelf.DAY_BANDS))]
        if not query:
            continue
        filters = {name: values for name, values in query.items() if name != "q"}
        found = shelf.find(query.get("q", [""])[0], filters=filters)
        session.remove()
        if found.total:
            if rng.random() < 0.2:
                query["sort"] = ["days"]
            first = found.offers[0].number if "sort" not in query and found.offers else "/services/FW-"
            questions.append(get(f"/services?{urlencode(query, doseq=True)}", first, "</html>"))
    return questions


def offers(made: Ground) -> list[Request]:
    bearer = {"Authorization": f"Bearer {made.tokens['client']}", "Idempotency-Key": f"bench-{SERIAL.decode()}"}
    return [
        post_json(
            "/api/v1/commissions",
            json.dumps(
                {"listing": listing, "project_code": project, "materials": materials, "offer": True}, ensure_ascii=False
            ).encode(),
            '"status":"offered"',
            headers=bearer,
        )
        for listing, project, materials in made.orders
    ]


def reads() -> list[Request]:
    return [get("/read", '"name"')]


def writes() -> list[Request]:
    return [post_json("/write", json.dumps({"name": "一行"}).encode(), '"id"')]
