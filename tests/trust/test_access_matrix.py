"""Every route × every role: each cell stated, each refusal right, nobody sees others' objects (G11).

The table is generated from the URL map: a new route without a cell fails, and a new kind of address that this walk
doesn't know how to fill in fails too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from werkzeug.routing import Rule

import app as application
from integration.approvals import decisions, guide, matters
from integration.approvals.matters import Outcome
from integration.demo import city as demo
from kernel import clock, files, policies
from kernel.access import Cell, Role
from kernel.accounts import Person, actor_of, add_member, register_person
from kernel.accounts import sign_in as accounts_sign_in
from kernel.accounts.passwords import set_password
from kernel.accounts.security_log import SecurityEntry, SecurityEvent
from kernel.accounts.sign_in import current_code, enrol
from kernel.db import Base, session, transaction
from kernel.trail import Actor
from kernel.web.gate import endpoints_without_cell
from market import agencies, catalogue, commissions, deliverables, drawing, listings, objections, services, signals
from market.agencies import Agency
from market.calls import CallForBids
from market.commissions import Commission, CommissionStatus, Picked
from market.deliverables import Part, Result
from market.drawing import DrawPurpose
from market.listings import Listing
from market.notices import PublicNotice
from market.signals import Finding, SignalKind
from reviews import drawings, meetings
from reviews.experts import Expert
from reviews.meetings import MeetingKind
from tests.conftest import REFERENCE
from tests.market.contest import Contest
from tests.reviewing import DRAWINGS, Reviewing

#: Who knocks → the login; '' is a visitor. Besides the demo's people: a suspended agency, an assistant, somebody
#: without any role, and somebody whose account was closed while signed in.
KNOCKERS = {
    "visitor": "",
    "applicant": "applicant",
    "other applicant": "applicant2",
    "assistant": "assistant",
    "agency": "agency",
    "other agency": "agency2",
    "suspended agency": "agency3",
    "window": "window",
    "approver": "approver",
    "other approver": "approver2",
    "authority": "authority",
    "expert": "expert",
    "supervisor": "supervisor",
    "operator": "operator",
    "security": "security",
    "auditor": "auditor",
    "without a role": "nobody",
    "disabled": "disabled",
}


def cells() -> dict[str, Cell]:
    table: dict[str, Cell] = {}
    for package in application.PAGES:
        table |= package.ACCESS
    return table


@dataclass
class Town:
    """The demo city after one whole story: everything that an address can name exists."""

    portal: APIFlask
    names: dict[str, str] = field(default_factory=dict)
    clients: dict[str, FlaskClient] = field(default_factory=dict)
    actors: dict[str, Actor | None] = field(default_factory=dict)


@pytest.fixture(scope="module")
def town(app: APIFlask, owner_engine) -> Iterator[Town]:  # type: ignore[no-untyped-def]
    session.remove()
    with owner_engine.connect() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(sorted(set(Base.metadata.tables) - REFERENCE))} CASCADE"))
    with transaction():
        city = demo.load()
        assert city is not None
        for login, short, role in (("assistant", "宏远", Role.ASSISTANT), ("disabled", "宏远", Role.APPLICANT)):
            city.people[login] = _person(login)
            add_member(city.people[login], city.organisations[short], role)
        city.people["nobody"] = _person("nobody")
    built = Town(app)
    with transaction():
        _story(city, built.names)
    _competition(city, built.names)
    _review(city, built.names)
    csrf = app.config.get("WTF_CSRF_ENABLED", True)
    app.config["WTF_CSRF_ENABLED"] = False
    try:
        for knocker, login in KNOCKERS.items():
            built.clients[knocker] = client = app.test_client()
            built.actors[knocker] = None
            if login:
                person = session.scalars(select(Person).where(Person.login == login)).one()
                built.actors[knocker] = actor_of(person)
                data = {"login": login, "password": demo.PASSWORD, "code": current_code(person)}
                assert client.post("/sign-in", data=data).status_code == 303, login
        with transaction():
            accounts_sign_in.disable(session.scalars(select(Person).where(Person.login == "disabled")).one())
            suspended = session.scalars(select(Agency).where(Agency.id == city.agencies["天衡"].id)).one()
            agencies.suspend(suspended, "资料核查", by=city.actor("supervisor"))
        built.actors["disabled"] = None
        yield built
    finally:
        app.config["WTF_CSRF_ENABLED"] = csrf
        session.rollback()
        session.remove()


def _person(login: str) -> Person:
    person = register_person(login, f"测试{login}")
    set_password(person, demo.PASSWORD)
    enrol(person)
    return person


def _story(city: demo.City, names: dict[str, str]) -> None:
    """From the shelf to the decision, so that every noun has a number."""
    client, agency = city.actor("applicant"), city.actor("agency")
    window, approver = city.actor("window"), city.actor("approver")
    project = city.projects[0]

    def stored(name: str, by: Actor) -> files.Document:
        return files.put(io.BytesIO(_pdf(name)), f"{name}.pdf", by=by)

    item = catalogue.by_code("ZJ-0506")
    listing = session.scalars(
        select(Listing).where(Listing.agency_id == city.agencies["清源"].id, Listing.item_id == item.id)
    ).one()
    commission = commissions.draft(project, listing, city.organisations["宏远"], by=client)
    commissions.hand_in(commission, [Picked(name, document=stored(name, client)) for name in item.required_materials])
    commissions.offer(commission, by=client)
    commissions.take_on(commission, by=agency)
    services.start(commission, by=agency)
    deliverable = deliverables.submit(
        commission, [Part("水土保持方案", stored("成果", agency))], result=Result.PASSED, summary="符合要求", by=agency
    )
    (entry,) = deliverables.accept(deliverable, by=client)
    kind = next(
        kind
        for kind in guide.all_kinds()
        if (found := guide.authority_of(kind.department)) and found.id == approver.organisation_id
    )
    matter = matters.apply(project, kind, city.organisations["宏远"], by=client)
    for material in matter.materials:
        matters.pick(matter, material.position, by=client, document=stored(material.name, client))
    matters.submit(matter, by=client)
    matters.receive(matter, by=window)
    matters.accept(matter, by=window)
    matters.begin(matter, by=approver)
    decisions.decide(matter, Outcome.GRANTED, "同意", by=approver, evidence=[entry])
    held = drawing.hold(
        commission.subject,
        DrawPurpose.TIE,
        [("ZJ-1", "甲"), ("ZJ-2", "乙")],
        1,
        "抽取一家",
        drawing.standard_parties(city.organisations["宏远"].id),
        by=client,
        outside_source="次日开奖的双色球红球",
    )
    noticed = signals.file(
        Finding(
            SignalKind.CONTACT,
            ("试验",),
            (city.agencies["清源"].id,),
            (),
            {"figures": {}, "lines": [], "heads": [], "rows": []},
            strength=1,
        ),
        policies.current("signals"),
        at=clock.now(),
    )
    assert noticed is not None
    names.update(
        needs=session.scalars(select(CallForBids).where(CallForBids.published_at.is_(None))).unique().one().number,
        requests=session.scalars(
            select(Commission.number).where(Commission.status == CommissionStatus.REQUESTED)
        ).one(),
        notices=session.scalars(select(PublicNotice.number).order_by(PublicNotice.id).limit(1)).one(),
        policies="bidding",
        signals=noticed.number,
        draws=held.number,
        commissions=commission.number,
        deliverables=deliverable.number,
        documents=entry.number,
        matters=matter.number,
        cases=matter.case.number,
        services=listing.number,
        listings=listing.number,
        agencies=city.agencies["清源"].number,
        projects=project.code,
        items=item.code,
        guide=kind.code,
        files=entry.document.number,
        sha256=entry.sha256,
    )
    assert listings.in_force(listing)


def _competition(city: demo.City, names: dict[str, str]) -> None:
    """A call of 宏远's whose result is publicised, and objected to by 清源."""
    contest = Contest(
        SimpleNamespace(
            applicant=city.actor("applicant"),
            supervisor=city.actor("supervisor"),
            actor=city.actor,
            organisations=city.organisations,
            project=city.projects[0],
            item=catalogue.by_code("ZJ-0506"),
            client_org=city.organisations["宏远"],
        )
    )
    names["calls"] = contest.opened([90_000_00, 80_000_00, 95_000_00])
    names["custody"] = names["calls"]
    names["bid"] = contest.bid(0).token
    contest.award(1)
    with transaction():
        agency = session.merge(contest.agency(0))
        filed = objections.file(contest.call(), agency, "业绩不实", by=contest.actor(0))
        names["objections"] = filed.number


def _review(city: demo.City, names: dict[str, str]) -> None:
    """宏远's construction drawings before 磐石, in their first round with a draft, a meeting and one set of drawings."""
    world = SimpleNamespace(
        applicant=city.actor("applicant"),
        supervisor=city.actor("supervisor"),
        actor=city.actor,
        organisations=city.organisations,
        people=city.people,
        project=city.projects[0],
        client_org=city.organisations["宏远"],
    )
    reviewing = Reviewing(
        world,
        listing=session.scalars(
            select(Listing)
            .join(Agency)
            .where(Agency.organisation_id == city.organisations["磐石"].id)
            .join(catalogue.ServiceItem)
            .where(catalogue.ServiceItem.code == "ZJ-0303")
        ).one(),
    )
    number = reviewing.opened()
    names["reviews"] = number
    names["opinion"] = reviewing.write(number, reviewing.experts(number)[0])
    seats = reviewing.seats(number)
    with transaction():
        called = meetings.call(
            reviewing.find(number), MeetingKind.EXPERT, "结构方案", "三楼会议室", clock.now(), seats, by=reviewing.lead
        )
        names["meeting"] = called.number
        (made,) = drawings.add(
            session.merge(city.projects[0]),
            [
                drawings.NewSheet(
                    reviewing.pdf("结施-05.pdf", [["S05"]]), drawings.Discipline.STRUCTURE, "结施-05", "基础平面图"
                )
            ],
            by=reviewing.applicant,
        )
        names["sheets"] = made.sheet.reference
    names["experts"] = session.scalars(select(Expert.number).order_by(Expert.id).limit(1)).one()
    names["review-kinds"] = "construction_drawings"
    names["criterion"] = "SG-01"


def _pdf(name: str) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.setTitle(name)
    canvas.drawString(72, 720, "content")
    canvas.save()
    return out.getvalue()


def address(rule: Rule, names: dict[str, str]) -> str:
    """The rule's address with a thing that exists in every place of it."""
    values: dict[str, Any] = {}
    parts = [part for part in rule.rule.split("/") if part]
    for argument in rule.arguments:
        if argument in {"number", "code"}:
            place = next(i for i, part in enumerate(parts) if part.startswith("<") and argument in part)
            values[argument] = names[parts[place - 1]]
        elif argument in {"action", "name"}:
            values[argument] = {"commissions": "accept", "matters": "begin", "bids": "withdraw"}[parts[0]]
        elif argument == "task":
            values[argument] = "need"
        elif argument == "party":
            values[argument] = "platform"
        elif argument == "token":
            values[argument] = names["bid"]
        elif argument == "form":
            values[argument] = "csv"
        elif argument in {"position", "round_number", "page", "place"}:
            values[argument] = 1
        elif argument == "slot":
            values[argument] = DRAWINGS
        elif argument == "key":
            values[argument] = names["opinion"]
        elif argument == "meeting":
            values[argument] = names["meeting"]
        elif argument == "reference":
            values[argument] = names["sheets"]
        elif argument == "criterion":
            values[argument] = names["criterion"]
        elif argument == "filename":
            values[argument] = "portal.css"
        elif argument == "sha256":
            values[argument] = names["sha256"]
        else:
            pytest.fail(f"teach this walk what to put for {argument!r} in {rule.rule}")
    built = rule.build(values)
    assert built is not None
    return built[1]


def routes(portal: APIFlask) -> list[tuple[Rule, str]]:
    """Each rule with the method to knock with: GET, and POST only where nothing else is answered."""
    found = []
    for rule in portal.url_map.iter_rules():
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        found.append((rule, "GET" if "GET" in methods else min(methods)))
    return sorted(found, key=lambda row: (row[0].rule, row[1]))


def test_every_route_has_a_cell_and_every_cell_a_route(app: APIFlask) -> None:
    table = cells()
    assert endpoints_without_cell(table) == []
    assert table.keys() - {rule.endpoint for rule in app.url_map.iter_rules()} == set()


def test_every_cell_names_who_may_knock(app: APIFlask) -> None:
    assert all(cell.name.strip() for cell in cells().values())


def test_walk_knows_more_than_a_dozen_kinds_of_people(town: Town) -> None:
    assert len(KNOCKERS) >= 12
    held = {role for actor in town.actors.values() if actor for role in actor.roles}
    used = {role.value for role in Role}
    assert held >= used - {"centre", "utility", "sponsor", "lead", "regulator"}


@pytest.mark.parametrize("knocker", KNOCKERS)
def test_every_route_answers_as_its_cell_says(town: Town, knocker: str) -> None:
    table, actor, client = cells(), town.actors[knocker], town.clients[knocker]
    wrong = []
    for rule, method in routes(town.portal):
        if rule.endpoint == "kernel.sign_out":
            continue  # ends the walk; tested below
        path, cell = address(rule, town.names), table[rule.endpoint]
        answer = client.open(path, method=method)
        status, where = answer.status_code, answer.headers.get("Location", "")
        answer.close()
        if cell.allows(actor):
            right = status < 500 and status not in {401, 403} and not where.startswith("/sign-in")
        elif actor is None:
            is_api = path.startswith("/api/")
            right = status == 401 if is_api else status == 303 and where.startswith("/sign-in")
        else:
            right = status == 403
        if not right:
            wrong.append(f"{method} {path} [{cell.name}] → {status} {where}")
    session.rollback()
    assert wrong == []


#: Addresses of things that belong to 宏远, 清源 and the water authority; strangers are told that there is nothing.
PRIVATE = (
    "/commissions/{commissions}",
    "/commissions/{commissions}/accept",
    "/commissions/{commissions}/choose",
    "/needs/{needs}",
    "/needs/{needs}/need",
    "/needs/{needs}/check",
    "/requests/{requests}",
    "/calls/{calls}/correction",
    "/calls/{calls}/withdrawal",
    "/deliverables/{deliverables}",
    "/deliverables/{deliverables}/withdraw",
    "/documents/{documents}",
    "/documents/{documents}/withdraw",
    "/matters/{matters}",
    "/matters/{matters}/begin",
    "/matters/{matters}/decision",
    "/matters/{matters}/evidence",
    "/matters/{matters}/materials/1",
    "/cases/{cases}",
    "/projects/{projects}",
    "/files/{files}",
    "/objections/{objections}",
    "/objections/{objections}/decision",
    "/bids/{bid}",
    "/bids/{bid}/withdraw",
    "/bids/{bid}/receipt.json",
    "/calls/{calls}/award/{bid}",
    "/calls/{calls}/justification/{bid}",
    "/calls/{calls}/scorers",
    "/calls/{calls}/letter-of-award.pdf",
    "/reviews/{reviews}",
    "/reviews/{reviews}/rounds/1",
    "/reviews/{reviews}/rounds/1/documents/drawings/pages/1",
    "/reviews/{reviews}/rounds/1/documents/drawings/pages/1/picture",
    "/reviews/{reviews}/rounds/1/opinions/{opinion}",
    "/reviews/{reviews}/meetings/{meeting}",
    "/reviews/{reviews}/record.json",
    "/projects/{projects}/drawings",
    "/api/v1/commissions/{commissions}",
    "/api/v1/matters/{matters}",
    "/api/v1/projects/{projects}/deliverables",
)


@pytest.mark.parametrize("stranger", ["other applicant", "other agency", "suspended agency", "without a role"])
@pytest.mark.parametrize("path", PRIVATE)
def test_others_objects_do_not_exist_for_strangers(town: Town, stranger: str, path: str) -> None:
    actor = town.actors[stranger]
    filled = path.format(**town.names)
    adapter = town.portal.url_map.bind("localhost")
    endpoint, _ = adapter.match(filled)
    answer = town.clients[stranger].get(filled)
    answer.close()
    assert answer.status_code == (404 if cells()[endpoint].allows(actor) else 403)


@pytest.mark.parametrize("path", ["/files/{files}"])
def test_private_file_does_not_exist_for_visitors(town: Town, path: str) -> None:
    assert town.clients["visitor"].get(path.format(**town.names)).status_code == 404


@pytest.mark.parametrize(
    ("knocker", "path"),
    [
        ("applicant", "/commissions/{commissions}"),
        ("agency", "/commissions/{commissions}"),
        ("applicant", "/deliverables/{deliverables}"),
        ("agency", "/bids/{bid}"),
        ("applicant", "/custody/{custody}"),
        ("agency", "/documents/{documents}"),
        ("approver", "/documents/{documents}"),
        ("approver", "/matters/{matters}/decision"),
        ("window", "/matters/{matters}"),
        ("applicant", "/files/{files}"),
        ("approver", "/files/{files}"),
    ],
)
def test_those_concerned_see_what_is_theirs(town: Town, knocker: str, path: str) -> None:
    answer = town.clients[knocker].get(path.format(**town.names))
    answer.close()
    assert answer.status_code == 200


@pytest.mark.parametrize("administrator", ["operator", "security"])
def test_system_and_security_administrators_read_no_business(town: Town, administrator: str) -> None:
    """G12: their role opens none of the things above."""
    for path in PRIVATE:
        answer = town.clients[administrator].get(path.format(**town.names))
        answer.close()
        assert answer.status_code in {403, 404}, path


def test_refused_attempt_is_logged_with_its_person(town: Town) -> None:
    actor = town.actors["operator"]
    assert actor is not None

    def denials() -> int:
        return (
            session.scalar(
                select(func.count())
                .select_from(SecurityEntry)
                .where(SecurityEntry.event == SecurityEvent.DENIED, SecurityEntry.person_id == actor.person_id)
            )
            or 0
        )

    before = denials()
    assert town.clients["operator"].get("/matters").status_code == 403
    assert denials() == before + 1


def test_visitors_cannot_sign_out_and_others_can(town: Town) -> None:
    assert town.clients["visitor"].post("/sign-out").headers["Location"].startswith("/sign-in")
    client = town.portal.test_client()
    person = session.scalars(select(Person).where(Person.login == "authority")).one()
    with transaction():
        session.get_one(Person, person.id).totp_last_step = 0
    client.post("/sign-in", data={"login": "authority", "password": demo.PASSWORD, "code": current_code(person)})
    assert client.get("/account").status_code == 200
    assert client.post("/sign-out").status_code == 303
    assert client.get("/account").headers["Location"].startswith("/sign-in")


def test_unsafe_route_refuses_a_form_that_is_not_ours(town: Town) -> None:
    """CSRF on every unsafe route of the pages (G18)."""
    town.portal.config["WTF_CSRF_ENABLED"] = True
    try:
        wrong = []
        table, actor = cells(), town.actors["applicant"]
        for rule in town.portal.url_map.iter_rules():
            if "POST" in (rule.methods or ()) and table[rule.endpoint].allows(actor):
                path = address(rule, town.names)
                answer = town.clients["applicant"].post(path, data={})
                if answer.status_code != 400:
                    wrong.append(f"{path} → {answer.status_code}")
        assert wrong == []
    finally:
        town.portal.config["WTF_CSRF_ENABLED"] = False
