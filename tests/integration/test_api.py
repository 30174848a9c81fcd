"""The JSON API: what can be relied on, who relied on it, and the life of a commission (A13, C1, G18)."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema_rs
import pytest
from sqlalchemy import event, select

from integration.exchange import schemas, tokens
from integration.exchange.schemas import COMPONENTS
from integration.exchange.tokens import Scope
from integration.exchange.web.commissions import ACTIONS, BY_CLOCK
from integration.exchange.web.contract import OPERATIONS
from kernel import dossier
from kernel.access import Role
from kernel.db import db, session, transaction
from kernel.dossier import EntryKind
from kernel.trail import SYSTEM
from market.commissions import ON_CALL_PAGES, ON_REVIEW_PAGES, STEPS

EVERYTHING = tuple(Scope)


class Caller:
    """A program with a token; every answer is checked against the shape that the description promises."""

    def __init__(self, world, short: str, *roles: Role, scopes=EVERYTHING) -> None:
        with transaction():
            _token, secret = tokens.issue(
                session.merge(world.organisations[short]), roles=roles, scopes=scopes, name=f"{short}系统", by=SYSTEM
            )
        self.client = world.portal.test_client()
        self.headers = {"Authorization": f"Bearer {secret}"}

    def get(self, path: str, status: int = 200, **headers: str) -> Any:
        return self._checked(self.client.get(f"/api/v1{path}", headers={**self.headers, **headers}), status)

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.post(
            f"/api/v1{path}", json={} if body is None else body, headers={**self.headers, **named}
        )
        return self._checked(answer, status)

    def upload(self, content: bytes, name: str = "report.pdf", status: int = 201) -> Any:
        answer = self.client.post("/api/v1/documents", data={"file": (io.BytesIO(content), name)}, headers=self.headers)
        return self._checked(answer, status)

    def file(self, url: str) -> tuple[int, bytes]:
        answer = self.client.get(url, headers=self.headers, buffered=True)
        return answer.status_code, answer.get_data()

    def _checked(self, answer: Any, status: int) -> Any:
        assert answer.status_code == status, answer.get_data(as_text=True)
        self.answer = answer
        if status == 304:
            return None
        value = json.loads(answer.get_data())
        if status >= 400:
            assert answer.mimetype == "application/problem+json"
            conforms("Problem", value)
        return value


def conforms(name: str, value: Any) -> None:
    """The value has the shape that the description promises."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": dict(COMPONENTS)}}
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)


def pdf(body: str) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.setTitle(body)
    canvas.drawString(72, 720, str(len(body)))
    canvas.save()
    return out.getvalue()


@pytest.fixture
def approver(world) -> Caller:
    return Caller(world, authority(world), Role.APPROVER)


@pytest.fixture
def client(world) -> Caller:
    return Caller(world, "宏远", Role.APPLICANT)


@pytest.fixture
def agency(world) -> Caller:
    return Caller(world, "清源", Role.AGENCY)


@pytest.fixture
def rival(world) -> Caller:
    return Caller(world, "绿洲", Role.AGENCY)


def authority(world) -> str:
    return next(short for short, one in world.organisations.items() if one.kind.value == "authority")


def attach(world, title: str, *, project=None, **more: Any) -> dossier.Entry:
    agency = session.merge(world.organisations["清源"])
    return dossier.attach(
        session.merge(project or world.project),
        world.document(f"{title}.pdf", title, by=world.agency_actor),
        kind=EntryKind.DELIVERABLE,
        title=title,
        source="deliverable:CG-2026-000001",
        issuer=agency.name,
        issuer_id=agency.id,
        by=world.agency_actor,
        **more,
    )


# What can be relied on


def test_the_approver_reads_what_can_be_relied_on_and_why_the_rest_cannot(world, approver):
    from datetime import date

    with transaction():
        good = attach(world, "环评报告")
        old = attach(world, "旧报告")
        attach(world, "新报告", supersedes=[old])
        gone = attach(world, "撤回的报告")
        dossier.withdraw(gone, "数据有误", by=world.agency_actor)
        attach(world, "过期报告", valid_until=date(2026, 3, 1))
        attach(world, "别家项目的报告", project=world.other_project)
    found = approver.get(f"/projects/{world.project.code}/deliverables")
    conforms("Deliverables", found)
    by_title = {one["title"]: one for one in found["deliverables"]}
    assert list(by_title) == ["过期报告", "撤回的报告", "新报告", "旧报告", "环评报告"]
    assert (found["total"], found["on"], found["project"]["code"]) == (5, "2026-03-02", world.project.code)
    assert {title for title, one in by_title.items() if one["can_rely"]} == {"环评报告", "新报告"}
    assert "数据有误" in by_title["撤回的报告"]["reason"]
    assert "新版本" in by_title["旧报告"]["reason"]
    assert "2026-03-01" in by_title["过期报告"]["reason"]
    assert by_title["环评报告"]["sha256"] == good.sha256
    assert by_title["环评报告"]["reason"] == ""
    english = approver.get(f"/projects/{world.project.code}/deliverables?lang=en")
    assert "newer version" in {one["title"]: one for one in english["deliverables"]}["旧报告"]["reason"]


def test_the_api_and_the_dossier_never_disagree_about_standing(world, approver):
    """The fast path reads no records; the rule must be the same one."""
    from datetime import date

    from kernel import clock

    with transaction():
        for day in (None, date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)):
            attach(world, f"报告{day}", valid_until=day)
    found = approver.get(f"/projects/{world.project.code}/deliverables")["deliverables"]
    for one in found:
        entry = dossier.by_number(one["number"])
        standing = dossier.stand(entry, clock.today())
        assert (one["can_rely"], one["reason"]) == (standing.can_rely, standing.reason_zh)
    assert [one["can_rely"] for one in found] == [True, True, False, True]


def test_a_badly_typed_project_code_still_parses(world, approver):
    """C1"""
    typed = world.project.code.replace("-", " ").translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    assert approver.get(f"/projects/{typed}/deliverables")["project"]["code"] == world.project.code


def test_an_address_that_leads_nowhere_is_not_found(approver):
    for code in ("x", "2603", "%00", "..%2f..", "甲" * 100, "9999-999999-99-99-999999"):
        approver.get(f"/projects/{code}/deliverables", 404)
        approver.get(f"/documents/{code}/uses", 404)
        approver.get(f"/commissions/{code}", 404)


def test_another_company_or_agency_learns_nothing_of_a_project(world, rival):
    stranger = Caller(world, "清源", Role.APPLICANT)
    with transaction():
        entry = attach(world, "环评报告")
    unknown = rival.get("/projects/9999-999999-99-99-999999/deliverables", 404)
    assert rival.get(f"/projects/{world.project.code}/deliverables", 404) == unknown
    assert stranger.get(f"/projects/{world.project.code}/deliverables", 404) == unknown
    rival.get(f"/documents/{entry.sha256}/uses", 404)


def test_the_owner_and_the_commissioned_agency_read_the_dossier(world, client, agency, rival):
    path = f"/projects/{world.project.code}/deliverables"
    client.get(path)
    agency.get(path, 404)
    commission(world, client)
    agency.get(path)
    rival.get(path, 404)


def test_pages_are_bounded_and_lose_nothing(world, approver):
    with transaction():
        for number in range(5):
            attach(world, f"报告{number}")
    path = f"/projects/{world.project.code}/deliverables"
    pages = [approver.get(f"{path}?page={page}&size=2") for page in (1, 2, 3, 4)]
    assert [[one["title"] for one in page["deliverables"]] for page in pages] == [
        ["报告4", "报告3"],
        ["报告2", "报告1"],
        ["报告0"],
        [],
    ]
    assert {page["total"] for page in pages} == {5}


#: Query strings that fit no operation, with the code of the answer.
WRONG_QUERIES = {
    "size=201": "value_unfit",
    "size=0": "value_unfit",
    "page=0": "value_unfit",
    "page=-1": "value_unfit",
    "page=１": "value_unfit",
    "page=1.0": "value_unfit",
    "page=": "value_unfit",
    "size=9999999999999999999": "value_unfit",
    "page=a%00b": "value_unfit",
    "lang=fr": "value_unfit",
    "pages=1": "member_unknown",
    "%00=1": "member_unknown",
    "page=1&page=2": "member_repeated",
}


def test_a_wrong_query_is_refused_by_name(world, approver):
    for query, code in WRONG_QUERIES.items():
        problem = approver.get(f"/projects/{world.project.code}/deliverables?{query}", 422)
        assert problem["code"] == code, query
        assert problem["errors"][0]["field"], query


def test_an_unchanged_answer_is_not_sent_again(world, approver):
    with transaction():
        entry = attach(world, "环评报告")
    path = f"/projects/{world.project.code}/deliverables"
    approver.get(path)
    tag = approver.answer.headers["ETag"]
    approver.get(path, 304, **{"If-None-Match": tag})
    assert approver.answer.get_data() == b""
    with transaction():
        dossier.withdraw(dossier.by_number(entry.number), "数据有误", by=world.agency_actor)
    approver.get(path, 200, **{"If-None-Match": tag})


def test_an_engineering_code_gives_its_own_phase_and_what_is_common(world, approver):
    from kernel import projects

    with transaction():
        project = session.merge(world.project)
        first, second = (projects.add_phase(project, name, by=world.applicant) for name in ("一期", "二期"))
        attach(world, "共用报告")
        attach(world, "一期报告", phase=first)
        attach(world, "二期报告", phase=second)
    found = approver.get(f"/projects/{first.code}/deliverables")
    assert [(one["title"], one["engineering_code"]) for one in found["deliverables"]] == [
        ("一期报告", first.code),
        ("共用报告", None),
    ]
    assert found["total"] == 2
    approver.get(f"/projects/{world.project.code}-0009/deliverables", 404)


def test_the_question_takes_one_query_however_many_documents_there_are(world, approver):
    path = f"/projects/{world.project.code}/deliverables"
    approver.get(path)
    counts = []
    for many in (1, 20):
        with transaction():
            for number in range(many):
                attach(world, f"报告{many}-{number}")
        statements: list[str] = []

        def note(connection, cursor, statement, *rest, into=statements):
            if "access_tokens" not in statement:  # who asks is looked up apart, and not every time
                into.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        approver.get(path)
        event.remove(db.engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts == [1, 1]


# Who relied on it


def test_uses_name_every_decision_that_relied_on_a_document(world, approver, client, agency, rival):
    """A13"""
    with transaction():
        entry = attach(world, "环评报告")
        dossier.rely(
            entry,
            relied_for="matter:SX-2026-000001",
            relied_for_title="环评审批（SX-2026-000001）",
            project=session.merge(world.project),
            by=world.approver,
        )
    path = f"/documents/{entry.sha256}/uses"
    for caller in (approver, client, agency):
        found = caller.get(path)
        conforms("Uses", found)
        (use,) = found["uses"]
        assert (use["relied_for"], use["entry"], use["can_rely"]) == ("matter:SX-2026-000001", entry.number, True)
    rival.get(path, 404)
    with transaction():
        dossier.withdraw(dossier.by_number(entry.number), "数据有误", by=world.agency_actor)
    (use,) = approver.get(path)["uses"]
    assert use["can_rely"] is False
    assert "数据有误" in use["reason"]
    assert approver.get(f"{path}?page=2")["total"] == 1


# A commission's life


def ordered(world, client: Caller, **more: Any) -> dict[str, Any]:
    """A body that orders the listed service with all its materials uploaded."""
    number = client.upload(pdf("materials"))["number"]
    materials = [{"name": name, "document": number} for name in world.item.required_materials]
    return {"listing": world.listing.number, "project_code": world.project.code, "materials": materials, **more}


def commission(world, client: Caller) -> dict[str, Any]:
    made = client.post("/commissions", ordered(world, client), 201)
    conforms("Commission", made)
    return made


def test_a_commission_goes_from_order_to_dossier_by_api_alone(world, client, agency, approver):
    made = commission(world, client)
    assert (made["status"], made["moves"]) == ("offered", ["take_back", "cancel"])
    path = f"/commissions/{made['number']}"
    assert client.answer.headers["Location"] == f"/api/v1{path}"
    assert agency.get(path)["moves"] == ["request_materials", "decline", "take_on"]
    agency.post(f"{path}/request_materials", {"points": ["缺少总平面图"]})
    assert client.get(path)["moves"] == ["supply_materials", "cancel"]
    client.post(f"{path}/supply_materials", {"answer": "已补", "materials": []})
    agency.post(f"{path}/take_on")
    started = agency.post(f"{path}/start")
    (clock,) = [one for one in started["clocks"] if one["kind"] == "service"]
    assert (clock["used"], clock["left"], clock["light"]) == (0, 10, "green")
    agency.post(f"{path}/pause", {"points": ["请确认厂界"], "reason": "需委托人配合"})
    client.post(f"{path}/resume", {"answer": "已确认"})
    agency.post(f"{path}/propose_extension", {"working_days": 3, "reason": "雨季监测"})
    assert client.get(path)["extension"]["working_days"] == 3
    client.post(f"{path}/agree_extension")
    report = agency.upload(pdf("报告第一版"))
    body = {"files": [{"title": "报告", "document": report["number"]}], "result": "passed", "summary": "符合要求"}
    agency.post(f"{path}/deliver", {**body, "figures": {"噪声": 52.5, "达标": True}})
    client.post(f"{path}/return", {"points": ["补充结论"]})
    second = agency.upload(pdf("报告第二版"))
    body["files"] = [{"title": "报告", "document": second["number"]}]
    delivered = agency.post(f"{path}/deliver", {**body, "valid_until": "2029-03-01"})
    conforms("Commission", delivered)
    assert [one["status"] for one in delivered["deliverables"]] == ["returned", "submitted"]
    finished = client.post(f"{path}/accept")
    assert (finished["status"], finished["moves"]) == ("finished", [])
    (entry,) = approver.get(f"/projects/{world.project.code}/deliverables")["deliverables"]
    assert (entry["sha256"], entry["can_rely"], entry["edition"]) == (second["sha256"], True, 2)
    assert client.file(entry["document_url"]) == (200, pdf("报告第二版"))


def test_every_action_of_the_life_cycle_can_be_done_by_api():
    assert set(ACTIONS) == set(STEPS) - BY_CLOCK - ON_CALL_PAGES - ON_REVIEW_PAGES


def test_an_impossible_act_answers_what_is_possible_instead(world, client, agency):
    path = f"/commissions/{commission(world, client)['number']}"
    problem = agency.post(f"{path}/start", status=409)
    assert (problem["code"], problem["moves"]) == (
        "move_not_open",
        ["request_materials", "decline", "take_on"],
    )
    agency.post(f"{path}/request_materials", {"points": ["图"]})
    problem = agency.post(f"{path}/take_on", status=409)
    assert (problem["code"], problem["moves"]) == ("inquiry_open", ["decline"])


def test_a_stale_version_is_refused_and_changes_nothing(world, client, agency):
    made = commission(world, client)
    path = f"/commissions/{made['number']}"
    agency.get(path)
    tag = agency.answer.headers["ETag"]
    assert tag == f'"{made["version"]}"'
    agency.post(f"{path}/request_materials", {"points": ["图"]})
    problem = agency.post(f"{path}/decline", {"reason": "人手不足"}, 409, If_Match=tag)
    assert problem["code"] == "stale_version"
    assert agency.get(path)["status"] == "offered"
    fresh = agency.answer.headers["ETag"]
    agency.post(f"{path}/decline", {"reason": "人手不足"}, If_Match=fresh)


def test_an_unclear_version_is_refused(world, client):
    path = f"/commissions/{commission(world, client)['number']}"
    for tag in ("3", 'W/"3"', '"x"', '"1", "2"', ""):
        assert client.post(f"{path}/cancel", status=400, If_Match=tag)["code"] == "version_unclear", tag


def test_the_same_key_acts_once(world, client):
    body = ordered(world, client)
    first = client.post("/commissions", body, 201, Idempotency_Key="order-0001")
    again = client.post("/commissions", body, 201, Idempotency_Key="order-0001")
    assert again == first
    assert client.answer.headers["Idempotency-Replayed"] == "true"
    assert client.answer.headers["Location"] == f"/api/v1/commissions/{first['number']}"
    assert client.get("/commissions")["total"] == 1
    body["message"] = "另一份"
    assert client.post("/commissions", body, 422, Idempotency_Key="order-0001")["code"] == "idempotency_key_reused"
    path = f"/commissions/{first['number']}"
    client.post(f"{path}/cancel", Idempotency_Key="cancel-0001")
    assert client.post(f"{path}/cancel", Idempotency_Key="cancel-0001")["status"] == "cancelled"


def test_a_draft_is_kept_and_offered_later(world, client, agency):
    body = ordered(world, client, offer=False)
    materials = body.pop("materials")
    made = client.post("/commissions", body, 201)
    assert (made["status"], made["moves"]) == ("draft", ["offer", "cancel"])
    path = f"/commissions/{made['number']}"
    agency.get(path, 404)
    assert client.post(f"{path}/offer", status=422)["code"] in {"material_missing", "invalid_fields"}
    assert client.post(f"{path}/offer", {"materials": materials})["status"] == "offered"


def test_a_commission_belongs_to_its_two_sides(world, client, rival, approver):
    path = f"/commissions/{commission(world, client)['number']}"
    rival.get(path, 404)
    rival.post(f"{path}/take_on", status=404)
    approver.get(path, 404)
    assert rival.get("/commissions")["commissions"] == []


def test_nobody_commissions_for_anothers_project_or_learns_that_it_exists(world, client):
    stranger = Caller(world, "绿洲", Role.APPLICANT)
    body = {"listing": world.listing.number, "project_code": world.project.code}
    problem = stranger.post("/commissions", body, 404)
    body["project_code"] = "9999-999999-99-99-999999"
    unknown = stranger.post("/commissions", body, 404)
    assert problem["code"] == unknown["code"] == "project_unknown"


def test_materials_must_be_ones_own_and_of_this_project(world, client, agency):
    with transaction():
        foreign = attach(world, "别家", project=world.other_project)
        gone = attach(world, "撤回")
        dossier.withdraw(gone, "数据有误", by=world.agency_actor)
    theirs = agency.upload(pdf("机构的文件"))["number"]
    for material, code, status in (
        ({"entry": foreign.number}, "foreign_entry", 422),
        ({"entry": "CL-2026-999999"}, "foreign_entry", 422),
        ({"entry": gone.number}, "cannot_rely", 409),
        ({"document": theirs}, "foreign_document", 422),
        ({"document": "WJ-2026-999999"}, "foreign_document", 422),
        ({}, "value_unfit", 422),
        ({"entry": gone.number, "document": theirs}, "value_unfit", 422),
    ):
        body = {
            "listing": world.listing.number,
            "project_code": world.project.code,
            "materials": [{"name": "材料", **material}],
        }
        problem = client.post("/commissions", body, status)
        assert (problem["code"], problem["errors"][0]["field"].split(".")[0]) == (code, "materials[0]")
    assert client.get("/commissions")["total"] == 0


#: Bodies that fit nothing, with status and code of the answer.
WRONG_BODIES = (
    (b"{", 400, "body_unreadable"),
    (b"[]", 400, "body_unreadable"),
    (b"\xff", 400, "body_unreadable"),
    (b"[" * 100_000, 400, "body_unreadable"),
    (b'{"reason": NaN}', 400, "body_unreadable"),
    (b'{"reason": ' + b"9" * 5000 + b"}", 400, "body_unreadable"),
    (b'{"reason": "a", "reason": "b"}', 422, "member_repeated"),
    (b'{"reason": "a", "raeson": "b"}', 422, "member_unknown"),
    (b'{"reason": "a\\u0000b"}', 422, "value_unfit"),
    (b'{"reason": "\\ud800"}', 422, "value_unfit"),
    (b'{"reason": 5}', 422, "value_unfit"),
    (b'{"reason": ""}', 422, "value_unfit"),
    (b'{"\\ud800\\u0000": 1, "reason": "a"}', 422, "member_unknown"),
    (b"{}", 422, "member_missing"),
    (b"", 422, "member_missing"),
)


def test_a_wrong_body_is_refused_by_name(world, client, agency):
    path = f"/commissions/{commission(world, client)['number']}"
    for body, status, code in WRONG_BODIES:
        answer = agency.client.post(
            f"/api/v1{path}/decline", data=body, content_type="application/json", headers=agency.headers
        )
        assert agency._checked(answer, status)["code"] == code, body[:60]
    assert agency.get(path)["status"] == "offered"


def test_a_body_of_another_type_is_refused(world, client):
    number = commission(world, client)["number"]
    answer = client.client.post(f"/api/v1/commissions/{number}/cancel", data={"reason": "x"}, headers=client.headers)
    assert client._checked(answer, 415)["code"] == "body_not_json"


def test_integers_are_integers(world, client, agency):
    path = f"/commissions/{commission(world, client)['number']}"
    for days in ("3", 3.0, True, 0, -1, 121, 10**30):
        body = {"working_days": days, "reason": "雨季"}
        assert agency.post(f"{path}/propose_extension", body, 422)["errors"][0]["field"] == "working_days", days


def test_an_upload_is_one_good_file(world, client):
    stored = client.upload(pdf("一"))
    conforms("Document", stored)
    assert client.file(stored["document_url"])[0] == 200
    assert client.upload(b"MZ not a pdf", status=422)["errors"][0]["field"] == "file"
    assert client.upload(b"", status=422)["code"] == "file_empty"
    answer = client.client.post("/api/v1/documents", data={"other": "x"}, headers=client.headers)
    assert client._checked(answer, 422)["code"] == "file_missing"


# Tokens and sessions


def test_without_a_token_nothing_is_answered(world):
    answer = world.portal.test_client().get(f"/api/v1/projects/{world.project.code}/deliverables")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_bad_token_is_not_taken_for_a_visitor(world, client):
    stored = client.upload(pdf("一"))
    client.headers = {"Authorization": "Bearer portal_" + "A" * 43}
    assert client.get("/commissions", 401)["code"] == "token_refused"
    assert client.file(stored["document_url"])[0] == 401


def test_a_scope_bounds_what_a_token_can_do(world, client):
    number = commission(world, client)["number"]
    reader = Caller(world, "宏远", Role.APPLICANT, scopes=(Scope.COMMISSIONS_READ,))
    assert reader.get(f"/commissions/{number}")["moves"] == []
    assert reader.post(f"/commissions/{number}/cancel", status=403)["code"] == "scope_missing"
    reader.get(f"/projects/{world.project.code}/deliverables", 403)
    stored = client.upload(pdf("一"))
    assert reader.file(stored["document_url"])[0] == 403


def test_a_token_opens_no_page(world, client):
    answer = client.client.get("/account", headers=client.headers)
    assert answer.status_code == 303
    assert "/sign-in" in answer.headers["Location"]


def test_an_agency_makes_no_commission(world, agency):
    body = {"listing": world.listing.number, "project_code": world.project.code}
    assert agency.post("/commissions", body, 403)["code"] == "forbidden"


def test_a_signed_in_person_uses_the_api_but_not_from_a_forged_form(world, client_as):
    browser = client_as("applicant")
    assert browser.get(f"/api/v1/projects/{world.project.code}/deliverables").status_code == 200
    world.portal.config["WTF_CSRF_ENABLED"] = True
    forged = browser.post("/api/v1/commissions", json={})
    assert (forged.status_code, forged.get_json(force=True)["code"]) == (400, "request_forged")


def test_the_trail_names_the_token_in_the_persons_place(world, client):
    from kernel import trail

    number = commission(world, client)["number"]
    act = trail.of(f"commission:{number}")[-1]
    assert (act.person_id, act.person, act.organisation_id) == (None, "宏远系统", world.client_org.id)


# The shelf


def test_items_and_services_are_open_to_everybody(world):
    visitor = world.portal.test_client()
    items = visitor.get("/api/v1/items?size=200").get_json()
    conforms("Items", items)
    assert world.item.code in {one["code"] for one in items["items"]}
    found = visitor.get(f"/api/v1/services?item={world.item.code}")
    assert found.status_code == 200, found.get_data(as_text=True)
    conforms("Services", found.get_json())


def test_the_fee_is_told_for_ones_own_project_only(world, client, rival):
    found = client.get(f"/services?project={world.project.code}")
    conforms("Services", found)
    rival.get(f"/services?project={world.project.code}", 404)


# Matters


@pytest.fixture
def matter(world) -> str:
    from integration.approvals import guide, matters

    with transaction():
        project = session.merge(world.project)
        mine = guide.MatterKind.department == world.approver.organisation
        kind = session.scalars(select(guide.MatterKind).where(mine).order_by(guide.MatterKind.code)).first()
        made = matters.apply(project, kind, session.merge(world.client_org), by=world.applicant)
        for place in made.materials:
            matters.pick(
                made, place.position, document=world.document(f"{place.position}.pdf", place.name), by=world.applicant
            )
        matters.submit(made, by=world.applicant)
        matters.receive(made, by=world.window)
        matters.accept(made, by=world.window)
        matters.begin(made, by=world.approver)
        return made.number


def test_evidence_is_pulled_in_by_the_department_alone(world, matter, approver, client):
    with transaction():
        good, gone = attach(world, "环评报告"), attach(world, "撤回")
        dossier.withdraw(gone, "数据有误", by=world.agency_actor)
    path = f"/matters/{matter}"
    department = Caller(world, short_of(world, world.approver.organisation_id), Role.APPROVER)
    cited = department.post(f"{path}/evidence", {"entry": good.number})
    conforms("Matter", cited)
    assert [(one["entry"], one["pinned"]) for one in cited["evidence"]] == [(good.number, False)]
    assert client.get(path)["evidence"] == []
    problem = department.post(f"{path}/evidence", {"entry": gone.number}, 409)
    assert (problem["code"], "数据有误" in problem["detail"]) == ("cannot_rely", True)
    assert problem["moves"]
    assert department.post(f"{path}/evidence", {"entry": "CL-2026-999999"}, 422)["code"] == "entry_unknown"
    assert client.post(f"{path}/evidence", {"entry": good.number}, 409)["code"] == "move_not_open"


def short_of(world, organisation_id: int) -> str:
    return next(short for short, one in world.organisations.items() if one.id == organisation_id)


# The description


def test_the_description_names_every_route_and_nothing_else(world):
    described = world.portal.test_client().get("/api/v1/openapi.json").get_json()
    told = {(method.upper(), "/api/v1" + path) for path, methods in described["paths"].items() for method in methods}
    served = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in world.portal.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/v1/")
    }
    assert told == served


def test_the_description_is_valid_in_both_languages(world):
    from schemathesis import openapi

    for tongue in ("zh", "en"):
        described = world.portal.test_client().get(f"/api/v1/openapi.json?lang={tongue}").get_json()
        openapi.from_dict(described).validate()
        for name, schema in described["components"]["schemas"].items():
            jsonschema_rs.meta.validate(schema)
            assert name in COMPONENTS


def test_every_operation_has_its_own_name_and_words():
    assert len({row.name for row in OPERATIONS}) == len(OPERATIONS)
    for row in OPERATIONS:
        assert all(row.summary), row.name
        assert row.answer in COMPONENTS, row.name
        assert row.body is None or row.body in COMPONENTS, row.name


def test_what_fits_the_printed_shape_passes_the_check_and_nothing_else():
    """The description and the check are one table; here they are compared with an independent validator."""
    examples: list[tuple[str, Any]] = [
        ("Reason", {"reason": "理由"}),
        ("Reason", {}),
        ("Reason", {"reason": ""}),
        ("Reason", {"reason": "a", "b": 1}),
        ("Points", {"points": []}),
        ("Points", {"points": ["a"]}),
        ("Points", {"points": [1]}),
        ("MaterialToHandIn", {"name": "a"}),
        ("MaterialToHandIn", {"name": "a", "entry": "CL-2026-000001"}),
        ("MaterialToHandIn", {"name": "a", "entry": "CL-2026-1"}),
        ("ExtensionToPropose", {"working_days": 120, "reason": "a"}),
        ("ExtensionToPropose", {"working_days": 121, "reason": "a"}),
        ("DeliverableToSubmit", {"files": [], "result": "passed", "summary": "a"}),
        ("DeliverableToSubmit", {"files": [{"title": "a", "document": "WJ-2026-000001"}], "result": "good", "summary": "a"}),
        ("DeliverableToSubmit", {"files": [{"title": "a", "document": "WJ-2026-000001"}], "result": "passed", "summary": "a",
                                 "valid_until": "2026-02-30"}),
        ("DeliverableToSubmit", {"files": [{"title": "a", "document": "WJ-2026-000001"}], "result": "passed", "summary": "a",
                                 "figures": {"a": [1]}}),
    ]  # fmt: skip
    for name, value in examples:
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": dict(COMPONENTS)}}
        fits = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(value)
        assert (schemas.check(schemas.ref(name), value) == []) is fits, (name, value)


def test_the_page_about_the_api_shows_every_operation_and_needs_nobody(world):
    for tongue in ("zh", "en"):
        page = world.portal.test_client().get(f"/api/docs?lang={tongue}").get_data(as_text=True)
        for row in OPERATIONS:
            assert f'id="{row.name}"' in page
        assert "https://" not in page


def test_whatever_is_asked_the_answer_is_as_described(world, approver):
    """G18: generated requests to every reading operation: never a 500, always a described status, type and shape."""
    from hypothesis import HealthCheck, given, settings
    from schemathesis import openapi

    with transaction():
        attach(world, "环评报告")
    described = openapi.from_wsgi("/api/v1/openapi.json", world.portal)
    seen = 0
    for found in described.include(method="GET").get_all_operations():
        operation = found.ok()
        seen += 1

        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(headers=approver.headers)

        ask()
    assert seen == sum(row.method == "GET" for row in OPERATIONS) + 1
