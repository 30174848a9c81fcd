"""The register on pages: operators keep it, those who supervise read it, an expert sees the own entry alone (B7)."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel import clock
from kernel.access import Role
from kernel.accounts import Person, actor_of, add_member, register_person
from kernel.accounts.passwords import set_password
from kernel.accounts.sign_in import current_code, enrol
from kernel.db import session, transaction
from reviews import experts, kinds
from reviews.experts import Expert

FORM = {
    "name": "魏长河",
    "specialities": ["structure", "architecture"],
    "title": "正高级工程师",
    "certificates": "S1、S2",
    "employer": "示例大学建筑学院",
    "employed_since": "2020-01-01",
    "region": "示例市",
    "term_from": "2026-01-01",
    "term_until": "2027-12-31",
    "most_load": "4",
    "login": "",
}


@pytest.fixture
def town(world: Any) -> Any:
    with transaction():
        kinds.load_shipped()
        experts.load_shipped()
    return world


@pytest.fixture
def operator(town: Any, client_as: Any) -> Any:
    return client_as("operator")


@pytest.fixture
def number(operator: Any) -> str:
    """An expert registered through the page."""
    return sent(operator, "/experts/new", FORM).removeprefix("/experts/")


def page(client: Any, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status, (url, answer.status_code)
    return str(answer.get_data(as_text=True))


def sent(client: Any, url: str, form: dict[str, Any], status: int = 303) -> str:
    """Open the form, send it with its hidden values; answers the page or the address it leads to."""
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page(client, url)))
    answer = client.post(url, data={**hidden, **form})
    told = answer.get_data(as_text=True)
    assert answer.status_code == status, re.findall(r'class="error-message".*', told)
    return str(answer.headers.get("Location", "")) if status == 303 else str(told)


def found(number: str) -> Expert:
    session.expire_all()
    return experts.by_number(number)


def test_an_operator_registers_an_expert(number: str) -> None:
    made = found(number)
    assert (made.specialities, made.certificates) == (["structure", "architecture"], ["S1", "S2"])
    assert (made.term_until, made.most_load) == (date(2027, 12, 31), 4)
    assert experts.employments(made)[0].since == date(2020, 1, 1)


def test_faults_stand_at_their_fields_and_nothing_typed_is_lost(operator: Any) -> None:
    wrong = {**FORM, "name": "", "term_until": "2025-01-01", "most_load": "99", "specialities": []}
    shown = sent(operator, "/experts/new", wrong, 422)
    for field in ("name", "specialities", "most_load", "term_until"):
        assert f'id="{field}-error"' in shown, field
    assert 'value="示例大学建筑学院"' in shown
    assert "没有专家角色" in sent(operator, "/experts/new", {**FORM, "login": "window"}, 422)
    assert 'id="term_from-error"' in sent(operator, "/experts/new", {**FORM, "term_from": ""}, 422)


def test_the_list_filters_and_downloads_the_same_rows(operator: Any, number: str) -> None:
    sent(operator, "/experts/new", {**FORM, "name": "顾南山", "specialities": ["planning"], "term_until": "2026-01-31"})
    counts = {
        "": 2, "q=魏长": 1, "q=%25": 2, "speciality=planning": 1, "speciality=nothing": 0, "region=示例市": 2,
        "state=active": 2, "state=removed": 0, "state=odd": 2, "serving=1": 1, f"q={number}": 1,
    }  # fmt: skip
    for query, count in counts.items():
        shown = page(operator, f"/experts?{query}")
        assert shown.count('<th scope="row"') == count, query
    assert "没有符合条件的专家" in page(operator, "/experts?state=removed")
    assert "聘期已满" in page(operator, "/experts?q=顾南山")
    content = operator.get("/experts.csv?speciality=structure").get_data().decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(content)))
    assert [row[0] for row in rows[1:]] == [number]
    assert operator.get("/experts.xlsx").get_data()[:2] == b"PK"


def test_the_term_is_renewed_and_the_expert_suspended_reinstated_and_removed(operator: Any, number: str) -> None:
    url = f"/experts/{number}"
    sent(operator, f"{url}/renew", {"term_until": "2028-12-31"})
    assert found(number).term_until == date(2028, 12, 31)
    assert "应晚于原聘期止" in sent(operator, f"{url}/renew", {"term_until": "2028-12-31"}, 422)
    assert 'id="reason-error"' in sent(operator, f"{url}/suspend", {"reason": ""}, 422)
    sent(operator, f"{url}/suspend", {"reason": "健康原因"})
    shown = page(operator, url)
    assert "健康原因" in shown
    assert "恢复资格" in shown
    sent(operator, f"{url}/reinstate", {})
    sent(operator, f"{url}/remove", {"reason": "本人申请"})
    shown = page(operator, url)
    assert "续聘</a>" not in shown
    assert "专家出库" in shown  # in the history


def test_an_entry_is_corrected_but_not_its_employer(operator: Any, number: str) -> None:
    changed = {**FORM, "name": "魏长江", "employer": "别处", "specialities": ["planning"]}
    sent(operator, f"/experts/{number}/revise", changed)
    made = found(number)
    assert (made.name, made.specialities, made.employer) == ("魏长江", ["planning"], "示例大学建筑学院")


def test_employment_is_added_and_linked_to_a_registered_organisation(operator: Any, number: str, town: Any) -> None:
    url = f"/experts/{number}/employments/new"
    yesterday = (clock.today() - timedelta(days=1)).isoformat()
    sent(operator, url, {"organisation": town.client_org.name, "since": yesterday, "until": ""})
    assert found(number).employer_id == town.client_org.id
    shown = page(operator, f"/experts/{number}")
    assert "示例大学建筑学院" in shown
    assert 'id="since-error"' in sent(operator, url, {"organisation": "新单位", "since": "", "until": ""}, 422)


def test_a_fee_is_recorded_and_paid_once(operator: Any, number: str) -> None:
    url = f"/experts/{number}"
    assert 'id="review-error"' in sent(operator, f"{url}/fees/new", {"review": "?", "fee": "800"}, 422)
    sent(operator, f"{url}/fees/new", {"review": "JS-2026-000001", "fee": "800"})
    sent(operator, f"{url}/fees/new", {"review": "JS-2026-000002", "fee": "600"})
    shown = page(operator, url)
    assert "800.00" in shown
    assert f"{url}/fees/1/paid" in shown
    sent(operator, f"{url}/fees/1/paid", {})
    assert f"{url}/fees/1/paid" not in page(operator, url)
    assert [one.paid_at is not None for one in experts.fees_of(found(number))] == [False, True]
    assert "已登记支付" in sent(operator, f"{url}/fees/1/paid", {}, 409)
    page(operator, f"{url}/fees/9/paid", 404)


def test_supervisors_read_and_change_nothing_and_others_see_nothing(client_as: Any, number: str) -> None:
    supervisor = client_as("supervisor")
    shown = page(supervisor, f"/experts/{number}")
    assert "登记任职" not in shown
    assert "续聘" not in shown
    page(supervisor, "/experts/new", 403)
    for login in ("applicant", "agency", "approver"):
        client = client_as(login)
        page(client, "/experts", 403)
        page(client, f"/experts/{number}", 403)


def expert_person(town: Any, login: str) -> Person:
    with transaction():
        person = register_person(login, "魏长河", telephone="13900001111")
        add_member(person, session.merge(town.organisations["住建"]), Role.EXPERT)
        set_password(person, "Demo-Market-2026")
        enrol(person)
    return person


def test_an_expert_sees_the_own_entry_and_nobody_elses(operator: Any, number: str, town: Any) -> None:
    person = expert_person(town, "expert-one")
    mine = sent(operator, "/experts/new", {**FORM, "login": "expert-one", "employer": "别的大学"})
    assert actor_of(person).has(Role.EXPERT.value)
    client = town.portal.test_client()
    signed = client.post(
        "/sign-in", data={"login": "expert-one", "password": "Demo-Market-2026", "code": current_code(person)}
    )
    assert signed.status_code == 303
    shown = page(client, "/experts/me")
    assert "别的大学" in shown
    assert "13900001111" not in shown
    assert client.get(mine).headers["Location"] == "/experts/me"
    page(client, f"/experts/{number}", 404)
    page(client, "/experts", 403)
    assert "13900001111" not in page(operator, mine)


def test_a_list_is_imported_from_the_command_line_whole_or_not_at_all(town: Any, tmp_path: Path) -> None:
    head = "name,specialities,title,certificates,employer,region,term_from,term_until,most_load,login\n"
    good = "魏长河,structure,教授,,示例大学,示例市,2026-01-01,2027-12-31,,\n"
    path = tmp_path / "experts.csv"
    runner = town.portal.test_cli_runner()
    path.write_text(
        head + good + "顾南山,astrology,教授,,示例大学,示例市,2026-01-01,2027-12-31,,\n", encoding="utf-8-sig"
    )
    failed = runner.invoke(args=["experts", "import", str(path)])
    assert failed.exit_code == 1
    assert "第 3 行“specialities”" in failed.output
    path.write_text(head + good, encoding="utf-8-sig")
    done = runner.invoke(args=["experts", "import", str(path)])
    assert done.exit_code == 0, done.output
    assert experts.listed(experts.Wanted(), most=5)[1] == 1
