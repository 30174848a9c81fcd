"""The shared edge: identity, access, forgery, incidents, once-only acts, and the kernel's own pages."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Blueprint, Flask, Response, request
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from kernel import clock, files, notifications, sandbox, trail, web
from kernel.access import PUBLIC, SIGNED_IN, Cell, Role, holders
from kernel.accounts import (
    Organisation,
    OrganisationKind,
    Person,
    add_member,
    passwords,
    register_organisation,
    register_person,
    security_log,
    sign_in,
)
from kernel.accounts.security_log import SecurityEvent
from kernel.config import Config
from kernel.db import db, session, transaction
from kernel.errors import Invalid, Invalids, NotFound
from kernel.trail import Actor
from kernel.web import gate, once, pages, views
from kernel.web.once import Attempt
from kernel.workflow import MoveNotOpen

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "Correct-Horse-42"
OFFICE, COMPANY = "11230100MB0000007M", "91230100MA00000055"
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Amiss(Invalid):
    code = "amiss"
    zh = "数值 {value} 有误"
    en = "{value} is wrong"


class Acts:
    """Counts what the test routes did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun = threading.Event()
        self.may_end = threading.Event()


def trial_routes(acts: Acts) -> Blueprint:
    blueprint = Blueprint("trial", __name__)

    @blueprint.get("/trial/public")
    def public() -> str:
        actor = web.current_actor()
        return actor.person if actor else "visitor"

    @blueprint.get("/trial/mine")
    def mine() -> str:
        return f"{web.signed_in_actor().person} {sorted(web.signed_in_actor().roles)}"

    @blueprint.get("/trial/approvers")
    def approvers() -> str:
        return "approvers"

    @blueprint.get("/trial/forgotten")
    def forgotten() -> str:
        return "no cell"

    @blueprint.post("/trial/once")
    def once_only() -> Response:
        def act() -> str:
            text = request.form["text"]
            if text == "wrong":
                raise Amiss(field="text", value=text)
            if text == "slow":
                acts.begun.set()
                acts.may_end.wait(10)
            acts.done.append(text)
            return f"/trial/public?number={len(acts.done)}"

        return web.act_once(act)

    @blueprint.get("/trial/error/<name>")
    @blueprint.get("/api/trial/error/<name>", endpoint="error_api")
    def error(name: str) -> str:
        incidents: dict[str, Exception] = {
            "amiss": Amiss(field="fee", value=-1),
            "several": Invalids([Amiss(field="fee", value=-1), Amiss(field="area", value=0)]),
            "missing": NotFound(),
            "move": MoveNotOpen(action="start", act="service.started", status="shared", moves=["rate", "complain"]),
            "bug": ZeroDivisionError("secret detail"),
            "database": OperationalError("SELECT secret", {}, Exception("gone")),
        }
        raise incidents[name]

    @blueprint.post("/api/trial/once")
    def once_api() -> Response:
        def act() -> tuple[dict[str, object], int]:
            acts.done.append(str(request.get_json()))
            return {"number": len(acts.done)}, 201

        return web.answer_once(act)

    @blueprint.get("/api/trial/mine")
    def mine_api() -> dict[str, str]:
        return {"person": web.signed_in_actor().person}

    @blueprint.post("/trial/upload")
    def upload() -> str:
        return str(len(request.get_data()))

    return blueprint


ACCESS: dict[str, Cell] = {
    **web.ACCESS,
    "trial.public": PUBLIC,
    "trial.mine": SIGNED_IN,
    "trial.approvers": holders(Role.APPROVER),
    "trial.once_only": SIGNED_IN,
    "trial.error": PUBLIC,
    "trial.error_api": PUBLIC,
    "trial.once_api": SIGNED_IN,
    "trial.mine_api": SIGNED_IN,
    "trial.upload": PUBLIC,
}


@pytest.fixture
def acts() -> Acts:
    return Acts()


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return Config(sandbox=True, data=tmp_path, upload_limit=1024 * 1024)


@pytest.fixture
def edge(portal: Flask, settings: Config, acts: Acts) -> Iterator[Flask]:
    """A small application with the kernel's edge and a few routes of its own, on the test database."""
    app = Flask("edge", root_path=str(ROOT))
    app.config.update({name: value for name, value in portal.config.items() if name.startswith("SQLALCHEMY_")})
    db.init_app(app)
    web.install(
        app,
        settings,
        ACCESS,
        link=lambda subject: f"/{subject.replace(':', '/')}" if subject.startswith("project:") else None,
        navigation=lambda actor: [("/", "首页", "Home"), ("/trial", "试用", "Trial")],
    )
    for blueprint in (*web.blueprints, trial_routes(acts)):
        app.register_blueprint(blueprint)
    with app.app_context():
        views.limiter.storage.reset()
        yield app
        session.remove()
        db.engine.dispose()


@pytest.fixture
def browser(edge: Flask) -> FlaskClient:
    return edge.test_client()


@pytest.fixture
def people(edge: Flask) -> dict[str, int]:
    """An applicant, and an approver who is also an applicant in another organisation."""
    with transaction():
        office = register_organisation(OFFICE, "某局", OrganisationKind.AUTHORITY)
        company = register_organisation(COMPANY, "某公司", OrganisationKind.COMPANY)
        applicant, approver = register_person("zhang.applicant", "张申请"), register_person("li.approver", "李审批")
        add_member(applicant, company, Role.APPLICANT)
        add_member(approver, office, Role.APPROVER)
        add_member(approver, company, Role.APPLICANT)
        for person in (applicant, approver):
            passwords.set_password(person, PASSWORD)
            sandbox.announce(person.login, PASSWORD)
        sign_in.enrol(approver)
        return {"zhang.applicant": applicant.id, "li.approver": approver.id}


def token(browser: FlaskClient, page: str = "/sign-in") -> str:
    found = TOKEN.search(browser.get(page, follow_redirects=True).text)
    assert found is not None
    return found[1]


def post(browser: FlaskClient, address: str, page: str = "/accessibility", **data: str) -> TestResponse:
    return browser.post(address, data={"csrf_token": token(browser, "/sign-in" if page == "" else page), **data})


def enter(browser: FlaskClient, login: str, **more: str) -> TestResponse:
    return post(browser, "/sign-in", page="", demo=login, **more)


def signed_in(edge: Flask, login: str) -> FlaskClient:
    browser = edge.test_client()
    assert enter(browser, login).status_code == 303
    return browser


# Signing in and out


def test_sign_in_with_password_and_code(browser: FlaskClient, people: dict[str, int]) -> None:
    code = sign_in.current_code(session.get_one(Person, people["li.approver"]))
    answer = post(browser, "/sign-in", page="", login="li.approver", password=PASSWORD, code=code, next="/trial/mine")
    assert (answer.status_code, answer.location) == (303, "/trial/mine")
    assert browser.get("/trial/mine").text == "李审批 ['approver']"


def test_refused_sign_in_names_nothing_and_is_stored(browser: FlaskClient, people: dict[str, int]) -> None:
    known = post(browser, "/sign-in", page="", login="zhang.applicant", password="Wrong-Horse-42")
    unknown = post(browser, "/sign-in", page="", login="nobody.here", password="Wrong-Horse-42")
    assert known.status_code == unknown.status_code == 401
    summary = re.compile(r'<div class="error-summary".*?</div>', re.S)
    assert summary.findall(known.text) == summary.findall(unknown.text) != []
    assert "<title>错误：" in known.text
    assert session.get_one(Person, people["zhang.applicant"]).failures == 1


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb"])
def test_nobody_is_sent_elsewhere_after_sign_in(browser: FlaskClient, people: dict[str, int], target: str) -> None:
    assert enter(browser, "zhang.applicant", next=target).location == "/"


def test_demo_accounts_show_in_the_sandbox_with_their_code(browser: FlaskClient, people: dict[str, int]) -> None:
    code = sign_in.current_code(session.get_one(Person, people["li.approver"]))
    page = browser.get("/sign-in").text
    assert "以此身份登录" in page
    assert code in page
    assert PASSWORD in page


def test_demo_door_is_shut_outside_the_sandbox(edge: Flask, people: dict[str, int]) -> None:
    edge.extensions[views._SETTINGS] = (Config(sandbox=False), lambda subject: None)
    browser = edge.test_client()
    assert PASSWORD not in browser.get("/sign-in").text
    assert enter(browser, "zhang.applicant").status_code == 401
    assert browser.get("/trial/mine").status_code == 303


def test_sign_out_kills_every_copy_of_the_session(edge: Flask, people: dict[str, int]) -> None:
    browser, thief = signed_in(edge, "zhang.applicant"), edge.test_client()
    cookie = browser.get_cookie("portal")
    assert cookie is not None
    thief.set_cookie("portal", cookie.value)
    assert thief.get("/trial/mine").status_code == 200
    other = signed_in(edge, "zhang.applicant")
    post(browser, "/sign-out")
    assert browser.get("/trial/mine").status_code == 303
    thief.set_cookie("portal", cookie.value)
    assert thief.get("/trial/mine").status_code == 303
    assert other.get("/trial/mine").status_code == 200


def test_session_ends_after_half_an_hour_idle_and_says_so(
    edge: Flask, people: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(edge, "zhang.applicant")
    start = clock.machine()
    monkeypatch.setattr(clock, "machine", lambda: start + timedelta(minutes=29))
    assert browser.get("/trial/mine").status_code == 200
    monkeypatch.setattr(clock, "machine", lambda: start + timedelta(minutes=58))
    assert browser.get("/trial/mine").status_code == 200
    monkeypatch.setattr(clock, "machine", lambda: start + timedelta(minutes=89))
    answer = browser.get("/trial/mine?a=1")
    assert answer.location == "/sign-in?next=/trial/mine?a%3D1&ended=1"
    assert "登录已失效" in browser.get(answer.location).text


def test_session_ends_after_twelve_hours_of_use(
    edge: Flask, people: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(edge, "zhang.applicant")
    start = clock.machine()
    for minutes in range(20, 12 * 60, 20):
        monkeypatch.setattr(clock, "machine", lambda at=minutes: start + timedelta(minutes=at))
        assert browser.get("/trial/mine").status_code == 200
    monkeypatch.setattr(clock, "machine", lambda: start + timedelta(hours=12, minutes=1))
    assert browser.get("/trial/mine").status_code == 303


def test_moving_legal_time_ends_no_session(edge: Flask, people: dict[str, int]) -> None:
    browser = signed_in(edge, "zhang.applicant")
    sandbox.forward(timedelta(days=30))
    assert browser.get("/trial/mine").status_code == 200


def test_disabled_person_is_out_at_once(edge: Flask, people: dict[str, int]) -> None:
    browser = signed_in(edge, "zhang.applicant")
    with transaction():
        sign_in.disable(session.get_one(Person, people["zhang.applicant"]))
    assert browser.get("/trial/mine").status_code == 303


def test_sign_in_is_slowed_by_address(edge: Flask, people: dict[str, int]) -> None:
    edge.extensions[views._SETTINGS] = (Config(sandbox=False), lambda subject: None)
    browser = edge.test_client()
    sent = token(browser)
    codes = [browser.post("/sign-in", data={"csrf_token": "x"}).status_code for _ in range(61)]
    assert codes[-1] in {400, 429}
    views.limiter.storage.reset()
    codes = [browser.post("/sign-in", data={"csrf_token": sent, "login": "\x00"}).status_code for _ in range(61)]
    assert codes[:60] == [401] * 60
    assert codes[60] == 429


# The account


def test_acting_organisation_is_switched_and_sticks(edge: Flask, people: dict[str, int]) -> None:
    browser = signed_in(edge, "li.approver")
    answer = post(browser, "/organisation", credit_code=COMPANY)
    assert answer.status_code == 303
    assert browser.get("/trial/mine").text == "李审批 ['applicant']"
    assert "您现在代表“某公司”办理业务" in browser.get("/account").text
    assert browser.get("/trial/approvers").status_code == 403


def test_nobody_acts_for_an_organisation_of_others(edge: Flask, people: dict[str, int]) -> None:
    assert post(signed_in(edge, "zhang.applicant"), "/organisation", credit_code=OFFICE).status_code == 404


def test_temporary_password_must_be_changed_first(edge: Flask, people: dict[str, int]) -> None:
    with transaction():
        passwords.set_password(
            session.get_one(Person, people["zhang.applicant"]), "Temporary-1-pass", is_temporary=True
        )
    browser = signed_in(edge, "zhang.applicant")
    assert browser.get("/trial/mine").location == "/password"
    assert browser.get("/api/trial/mine").json["code"] == "password_overdue"
    page = browser.get("/password").text
    assert "初始口令" in page
    changed = {"present_password": "Temporary-1-pass", "new_password": "Fresh-Horse-4321"}
    assert post(browser, "/password", "/password", **changed, repeated_password="typo").status_code == 422
    answer = post(browser, "/password", "/password", **changed, repeated_password="Fresh-Horse-4321")
    assert answer.status_code == 303
    assert browser.get("/trial/mine").status_code == 200


def test_changing_the_password_ends_other_sessions_only(edge: Flask, people: dict[str, int]) -> None:
    browser, other = signed_in(edge, "zhang.applicant"), signed_in(edge, "zhang.applicant")
    fresh = {"new_password": "Fresh-Horse-4321", "repeated_password": "Fresh-Horse-4321"}
    assert post(browser, "/password", present_password="Wrong-Horse-42", **fresh).status_code == 422
    assert session.get_one(Person, people["zhang.applicant"]).failures == 1
    assert post(browser, "/password", present_password=PASSWORD, **fresh).status_code == 303
    assert browser.get("/trial/mine").status_code == 200
    assert other.get("/trial/mine").status_code == 303


def test_weak_new_password_is_named_at_its_field(edge: Flask, people: dict[str, int]) -> None:
    browser = signed_in(edge, "zhang.applicant")
    answer = post(browser, "/password", present_password=PASSWORD, new_password="short", repeated_password="short")
    assert answer.status_code == 422
    assert '<a href="#new_password">口令至少 12 个字符</a>' in answer.text


# Access


def test_visitor_is_led_to_sign_in_and_back(browser: FlaskClient, people: dict[str, int]) -> None:
    answer = browser.get("/trial/mine?q=%E7%8E%AF%E8%AF%84")
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in?next=")
    page = browser.get(answer.location).text.partition("<main")[2]
    next_value = re.search(r'name="next" value="([^"]+)"', page)
    assert next_value is not None
    assert enter(browser, "zhang.applicant", next=next_value[1]).location == "/trial/mine?q=%E7%8E%AF%E8%AF%84"


def test_program_without_sign_in_gets_a_problem(browser: FlaskClient) -> None:
    answer = browser.get("/api/trial/mine")
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == "sign_in_first"


def test_wrong_role_is_refused_and_logged(edge: Flask, people: dict[str, int]) -> None:
    """G11."""
    browser = signed_in(edge, "zhang.applicant")
    answer = browser.get("/trial/approvers")
    assert answer.status_code == 403
    assert "没有办理权限" in answer.text
    entry = security_log.latest_unscoped()[0]
    assert (entry.event, entry.person_id) == (SecurityEvent.DENIED, people["zhang.applicant"])
    assert entry.detail == "GET /trial/approvers (approver)"


def test_route_without_a_cell_is_refused(edge: Flask, people: dict[str, int]) -> None:
    """G11."""
    assert edge.test_client().get("/trial/forgotten").status_code == 403
    assert signed_in(edge, "li.approver").get("/trial/forgotten").status_code == 403
    assert gate.endpoints_without_cell(ACCESS) == ["trial.forgotten"]


def test_token_may_vouch_for_a_program(edge: Flask, people: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    from kernel.web import identity

    def by_token() -> Actor | None:
        if request.headers.get("Authorization") == "Bearer good":
            return Actor(None, "接口", 1, "某局", frozenset({"approver"}))
        return None

    monkeypatch.setattr(identity, "_authenticators", [by_token])
    browser = edge.test_client()
    assert browser.get("/api/trial/mine", headers={"Authorization": "Bearer good"}).json == {"person": "接口"}
    assert browser.get("/api/trial/mine").status_code == 401
    sent = browser.post("/api/trial/once", json={}, headers={"Authorization": "Bearer good"})
    assert sent.status_code == 201


# Forgery


@pytest.mark.parametrize("address", ["/sign-in", "/sign-out", "/sandbox/clock", "/trial/once"])
def test_unsafe_request_without_token_is_refused(edge: Flask, people: dict[str, int], address: str) -> None:
    """G18."""
    answer = signed_in(edge, "zhang.applicant").post(address, data={"text": "x", "forward": "P1D"})
    assert answer.status_code == 400
    assert security_log.latest_unscoped()[0].event is SecurityEvent.FORGED


def test_session_callers_of_the_api_need_the_token_too(edge: Flask, people: dict[str, int]) -> None:
    browser = signed_in(edge, "zhang.applicant")
    assert browser.post("/api/trial/once", json={"a": 1}).json["code"] == "request_forged"
    headers = {"X-CSRFToken": token(browser, "/accessibility")}
    assert browser.post("/api/trial/once", json={"a": 1}, headers=headers).status_code == 201


def test_forged_form_gives_back_the_text(edge: Flask, people: dict[str, int]) -> None:
    browser = signed_in(edge, "zhang.applicant")
    answer = browser.post("/trial/once", data={"text": "写了很久的一大段说明文字", "new_password": "Secret-Horse-42"})
    assert "写了很久的一大段说明文字" in answer.text
    assert "Secret-Horse-42" not in answer.text


# Headers, language, size


def test_every_answer_carries_the_security_headers(browser: FlaskClient) -> None:
    for address in ("/sign-in", "/nowhere", "/trial/error/bug", "/static/portal.css", "/api/nowhere"):
        headers = browser.get(address, buffered=True).headers
        policy = headers["Content-Security-Policy"]
        for part in ("default-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "object-src 'none'"):
            assert part in policy, address
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_pages_of_a_signed_in_person_are_kept_by_no_cache(edge: Flask, people: dict[str, int]) -> None:
    browser = signed_in(edge, "zhang.applicant")
    assert browser.get("/trial/mine").headers["Cache-Control"] == "private, no-store"
    assert "no-store" not in browser.get("/static/portal.css", buffered=True).headers["Cache-Control"]


def test_session_cookie_is_out_of_reach_of_scripts(edge: Flask, people: dict[str, int]) -> None:
    cookie = enter(edge.test_client(), "zhang.applicant").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_language_and_type_size_stick(browser: FlaskClient) -> None:
    assert '<html lang="zh-CN">' in browser.get("/accessibility").text
    assert '<html lang="en" class="care">' in browser.get("/accessibility?lang=en&font=care").text
    page = browser.get("/accessibility?lang=xx&font=huge").text
    assert '<html lang="zh-CN">' in page or '<html lang="en"' in page
    assert '<html lang="en" class="care">' in browser.get("/accessibility").text
    assert '<html lang="zh-CN" class="care">' in browser.get("/accessibility?lang=zh").text


def test_unknown_language_is_ignored(browser: FlaskClient) -> None:
    assert '<html lang="zh-CN">' in browser.get("/accessibility?lang=xx&font=huge").text


def test_address_keeps_its_filters_when_one_changes(edge: Flask) -> None:
    with edge.test_request_context("/services?stage=1&stage=2&q=环评&page=3"):
        assert pages.url_with(page=4) == "/services?stage=1&stage=2&q=%E7%8E%AF%E8%AF%84&page=4"
        assert pages.url_with(stage=None, page=None) == "/services?q=%E7%8E%AF%E8%AF%84"


@pytest.mark.parametrize(("asked", "page"), [("2", 2), ("0", 1), ("-1", 1), ("x", 1), ("٣", 1), ("9" * 40, 100_000)])
def test_page_number_is_bounded(edge: Flask, asked: str, page: int) -> None:
    """G18."""
    with edge.test_request_context("/inbox", query_string={"page": asked}):
        assert pages.page_number() == page


def test_instants_are_absolute_and_name_their_zone(edge: Flask) -> None:
    at = datetime(2026, 3, 2, 16, 30, tzinfo=UTC)
    with edge.test_request_context("/"):
        assert pages.instant(at) == "2026年3月3日 00:30（北京时间）"
    with edge.test_request_context("/?lang=en"):
        assert pages.instant(at) == "3 March 2026, 00:30 (UTC+8)"


def test_request_over_the_limit_is_refused_by_its_header(browser: FlaskClient) -> None:
    answer = browser.post("/trial/upload", environ_overrides={"CONTENT_LENGTH": str(3 * 1024 * 1024)})
    assert answer.status_code == 413
    assert "1 MB" in answer.text


# Incidents


def test_named_incident_is_a_page_in_the_readers_language(browser: FlaskClient) -> None:
    assert "数值 -1 有误" in browser.get("/trial/error/amiss").text
    english = browser.get("/trial/error/amiss?lang=en")
    assert (english.status_code, "-1 is wrong" in english.text) == (422, True)


def test_problem_document_names_each_field(browser: FlaskClient) -> None:
    problem = browser.get("/api/trial/error/several?lang=en")
    assert problem.mimetype == "application/problem+json"
    assert problem.json["status"] == problem.status_code == 422
    assert problem.json["errors"] == [
        {"field": "fee", "code": "amiss", "detail": "-1 is wrong"},
        {"field": "area", "code": "amiss", "detail": "0 is wrong"},
    ]


def test_closed_move_lists_the_open_ones(browser: FlaskClient) -> None:
    problem = browser.get("/api/trial/error/move")
    assert (problem.status_code, problem.json["code"]) == (409, "move_not_open")
    assert problem.json["moves"] == ["rate", "complain"]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_fault_shows_a_reference_and_no_traceback(
    browser: FlaskClient, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    answer = browser.get(f"{prefix}/trial/error/bug")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
    reference = re.search(r"\b[0-9A-F]{8}\b", answer.text)
    assert reference is not None
    assert reference[0] in caplog.text
    assert "secret detail" in caplog.text


def test_lost_database_is_unavailable_and_tells_when_to_come_back(browser: FlaskClient) -> None:
    """G17."""
    answer = browser.get("/trial/error/database")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "系统暂时不可用" in answer.text
    assert "secret" not in answer.text


def test_page_frame_stands_without_a_database(edge: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """G17: also for a signed-in person whose unread lines can't be counted."""

    def gone(*args: object, **more: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(notifications, "unread", gone)
    monkeypatch.setattr(clock, "now", gone)
    answer = edge.test_client().get("/accessibility")
    assert answer.status_code == 503
    assert '<link rel="stylesheet"' in answer.text


@pytest.mark.parametrize(("address", "status"), [("/nowhere", 404), ("/sign-out", 405), ("/files/WJ-0", 404)])
def test_refusals_of_the_framework_are_pages_too(browser: FlaskClient, address: str, status: int) -> None:
    answer = browser.get(address)
    assert answer.status_code == status
    assert '<main id="main"' in answer.text
    problem = browser.get(f"/api{address}")
    assert problem.mimetype == "application/problem+json"


def test_wrong_method_names_the_right_ones(browser: FlaskClient) -> None:
    assert "POST" in browser.get("/sign-out").headers["Allow"]


# Once only


def test_form_sent_twice_acts_once_and_leads_to_the_same_place(edge: Flask, people: dict[str, int], acts: Acts) -> None:
    browser = signed_in(edge, "zhang.applicant")
    answers = [post(browser, "/trial/once", text="offer", act="token-0001") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert {answer.location for answer in answers} == {"/trial/public?number=1"}
    assert acts.done == ["offer"]


def test_double_click_waits_and_acts_once(edge: Flask, people: dict[str, int], acts: Acts) -> None:
    browser = signed_in(edge, "zhang.applicant")
    sent = token(browser, "/accessibility")
    cookie = browser.get_cookie("portal")
    assert cookie is not None
    locations: list[str | None] = []

    def click() -> None:
        tab = edge.test_client()
        tab.set_cookie("portal", cookie.value)
        answer = tab.post("/trial/once", data={"csrf_token": sent, "text": "slow", "act": "token-0002"})
        locations.append(answer.location)

    first, second = threading.Thread(target=click), threading.Thread(target=click)
    first.start()
    assert acts.begun.wait(10)
    second.start()
    second.join(0.3)
    assert second.is_alive()
    acts.may_end.set()
    first.join()
    second.join()
    assert locations == ["/trial/public?number=1"] * 2
    assert acts.done == ["slow"]


def test_refused_form_may_be_mended_and_sent_again(edge: Flask, people: dict[str, int], acts: Acts) -> None:
    browser = signed_in(edge, "zhang.applicant")
    assert post(browser, "/trial/once", text="wrong", act="token-0003").status_code == 422
    assert session.scalar(select(func.count()).select_from(Attempt)) == 0
    assert post(browser, "/trial/once", text="right", act="token-0003").status_code == 303
    assert acts.done == ["right"]


def test_old_form_with_other_content_is_named_not_swallowed(edge: Flask, people: dict[str, int], acts: Acts) -> None:
    browser = signed_in(edge, "zhang.applicant")
    post(browser, "/trial/once", text="first opinion", act="token-0004")
    answer = post(browser, "/trial/once", text="second opinion, long", act="token-0004")
    assert answer.status_code == 409
    assert "此页面已提交过一次" in answer.text
    assert "second opinion, long" in answer.text
    assert acts.done == ["first opinion"]


def test_form_without_act_is_refused(edge: Flask, people: dict[str, int], acts: Acts) -> None:
    assert post(signed_in(edge, "zhang.applicant"), "/trial/once", text="x").status_code == 400
    assert acts.done == []


def test_same_act_value_of_two_people_is_two_acts(edge: Flask, people: dict[str, int], acts: Acts) -> None:
    for login in people:
        assert post(signed_in(edge, login), "/trial/once", text=login, act="token-0005").status_code == 303
    assert sorted(acts.done) == sorted(people)


def test_program_repeats_with_its_key_and_gets_the_same_answer(edge: Flask, people: dict[str, int], acts: Acts) -> None:
    browser = signed_in(edge, "zhang.applicant")
    headers = {"X-CSRFToken": token(browser, "/accessibility"), "Idempotency-Key": "order-0000-0001"}
    answers = [browser.post("/api/trial/once", json={"n": 1}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json == {"number": 1}
    assert "Idempotency-Replayed" in answers[1].headers
    other = browser.post("/api/trial/once", json={"n": 2}, headers=headers)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert len(acts.done) == 1


def test_old_attempts_are_forgotten(edge: Flask, people: dict[str, int]) -> None:
    post(signed_in(edge, "zhang.applicant"), "/trial/once", text="x", act="token-0006")
    with transaction():
        assert once.forget_attempts(clock.machine() - timedelta(days=1)) == 0
        assert once.forget_attempts(clock.machine() + timedelta(seconds=1)) == 1


# Inbox, files, health, sandbox


def test_inbox_lists_newest_first_links_and_is_marked_read(edge: Flask, people: dict[str, int]) -> None:
    with transaction():
        for number in range(25):
            notifications.tell(
                [people["zhang.applicant"]],
                subject=f"project:P-{number}",
                act="project.registered",
                title=f"第 {number} 件",
            )
        notifications.tell([people["li.approver"]], subject="project:X", act="project.registered", title="别人的事")
    browser = signed_in(edge, "zhang.applicant")
    page = browser.get("/inbox").text
    assert page.index("第 24 件") < page.index("第 23 件")
    assert '<a href="/project/P-24">第 24 件</a>' in page
    assert trail.act_label("project.registered") in page
    assert "别人的事" not in page
    assert "第 4 件" not in page
    assert "第 4 件" in browser.get("/inbox?page=2").text
    assert "这一页没有消息" in browser.get("/inbox?page=9").text
    assert post(browser, "/inbox/read").status_code == 303
    assert notifications.unread(people["zhang.applicant"]) == 0
    assert notifications.unread(people["li.approver"]) == 1


def test_empty_inbox_says_why_and_what_to_do(edge: Flask, people: dict[str, int]) -> None:
    assert "还没有消息" in signed_in(edge, "zhang.applicant").get("/inbox").text


@pytest.fixture
def stored(edge: Flask, people: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(files.documents, "_settings", files.documents._Settings(tmp_path / "files", 1024 * 1024))
    company = session.scalars(select(Organisation).where(Organisation.credit_code == COMPANY)).one()
    by = Actor(people["zhang.applicant"], "张申请", company.id, company.name, frozenset({"applicant"}))
    with transaction():
        return files.put(io.BytesIO("项目,金额\n".encode()), "材料清单.csv", by=by).number


def test_file_is_handed_out_harmless_and_checked_by_its_hash(edge: Flask, stored: str) -> None:
    """G14."""
    browser = signed_in(edge, "zhang.applicant")
    answer = browser.get(f"/files/{stored}", buffered=True)
    assert answer.status_code == 200
    assert answer.data == "项目,金额\n".encode()
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert "filename*=UTF-8''%E6%9D%90%E6%96%99%E6%B8%85%E5%8D%95.csv" in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    etag = answer.headers["ETag"]
    assert etag.strip('"') == files.by_number(stored).sha256
    assert browser.get(f"/files/{stored}", headers={"If-None-Match": etag}, buffered=True).status_code == 304


def test_file_of_others_is_not_found(edge: Flask, stored: str) -> None:
    """G11."""
    assert edge.test_client().get(f"/files/{stored}").status_code == 404
    assert signed_in(edge, "li.approver").get(f"/files/{stored}").status_code == 404


def test_health_asks_nothing_and_readiness_asks_the_database(edge: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = edge.test_client()
    assert browser.get("/healthz").json == {"status": "ok"}
    monkeypatch.setattr(views.schema, "head", lambda: "a revision that the database lacks")
    answer = browser.get("/readyz")
    assert (answer.status_code, answer.json["waiting_for"]) == (503, "migrations")


def test_migrated_database_is_ready(portal: Flask) -> None:
    assert portal.test_client().get("/readyz").json == {"status": "ok"}


def test_sandbox_clock_over_http(browser: FlaskClient) -> None:
    before = clock.now()
    answer = browser.post("/api/v1/sandbox/clock", json={"forward": "P7D"})
    assert answer.status_code == 200
    assert set(answer.json) == {"now", "acts"}
    assert clock.now() - before >= timedelta(days=7)
    assert browser.post("/api/v1/sandbox/clock", json={"to": "2001-01-01T00:00:00+08:00"}).status_code == 409
    assert browser.post("/api/v1/sandbox/clock", data="{", content_type="application/json").status_code == 422


def test_sandbox_banner_shows_demo_time_and_moves_it(browser: FlaskClient) -> None:
    assert "演示环境" in browser.get("/accessibility").text
    before = clock.now()
    answer = post(browser, "/sandbox/clock", forward="P1D", next="/accessibility?x=1")
    assert (answer.status_code, answer.location) == (303, "/accessibility?x=1")
    assert clock.now() - before >= timedelta(days=1)


def test_there_is_no_such_clock_outside_the_sandbox(edge: Flask) -> None:
    edge.extensions[views._SETTINGS] = (Config(sandbox=False), lambda subject: None)
    browser = edge.test_client()
    assert browser.post("/api/v1/sandbox/clock", json={"forward": "P7D"}).status_code == 404
    assert post(browser, "/sandbox/clock", forward="P1D").status_code == 404


@pytest.mark.parametrize("address", ["/account", "/password", "/inbox", "/accessibility"])
def test_pages_speak_both_languages_without_fault(edge: Flask, people: dict[str, int], address: str) -> None:
    browser = signed_in(edge, "li.approver")
    for query in ("", "?lang=en", "?font=care"):
        assert browser.get(address + query).status_code == 200
