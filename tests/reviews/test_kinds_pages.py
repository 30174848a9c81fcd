"""Everybody reads the guides and criteria; operators keep them, and a criterion is looked at twice before it holds."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from kernel import clock
from kernel.db import session, transaction
from reviews import kinds
from reviews.kinds import Criterion, Grade, ReviewKind

FORM = {
    "code": "lightning",
    "zh": "雷电防护装置设计技术评价",
    "en": "Lightning protection design review",
    "clause": "《气象灾害防御条例》第二十三条",
    "guide_zh": "提交设计文件。",
    "guide_en": "Hand in the design.",
    "materials": "design | 设计文件 | Design | yes\nsketch ｜ 草图 ｜ Sketch ｜ 选交",
    "fields": "resistance | 接地电阻 | Earth resistance | Ω | number",
    "specialities": "lightning | 防雷 | Lightning protection | 1",
    "departments": "",
    "reviewers": "１",
    "round_limit": "2",
    "promised_days": "10",
    "round_days": "5",
    "response_days": "5",
    "joint_days": "3",
    "commissioned_by": ["applicant", "authority"],
    "signatures": ["lead"],
    "item_codes": "ZJ-0307",
    "joint_kind": "",
    "title_of_report": "技术评价报告",
    "title_of_report_en": "Review report",
}


@pytest.fixture
def ground(world: Any, owner_engine: Engine) -> Iterator[Any]:
    """The world with the shipped kinds; what a test adds to them ends with the test."""
    with transaction():
        kinds.load_shipped()
    last = [session.scalar(select(func.max(one.id))) for one in (Criterion, ReviewKind)]
    yield world
    session.rollback()
    session.remove()
    with owner_engine.connect() as connection:
        connection.execute(text("DELETE FROM review_criteria WHERE id > :last"), {"last": last[0]})
        connection.execute(text("DELETE FROM review_kinds WHERE id > :last"), {"last": last[1]})


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


@pytest.fixture
def added(ground: Any, client_as: Any) -> Any:
    """The operator's client, after adding a kind."""
    client = client_as("operator")
    assert sent(client, "/admin/review-kinds/new", FORM) == "/review-kinds/lightning"
    return client


def test_a_visitor_reads_guide_materials_and_the_criteria_of_a_day(ground: Any) -> None:
    client = ground.portal.test_client()
    listed = page(client, "/review-kinds")
    assert listed.count("/review-kinds/construction_drawings") == 1
    assert "/admin/review-kinds" not in listed
    shown = page(client, "/review-kinds/construction_drawings")
    assert "全套施工图和计算书" in shown
    assert "GB 55037-2022" in shown
    assert "自动核验：设计工作年限不低于 50" in shown
    before = page(client, "/review-kinds/construction_drawings?on=2023-05-31")
    assert "GB 55037-2022" not in before
    assert "2023年5月31日 受理的项目适用下列标准" in before
    assert "无法识别" in page(client, "/review-kinds/construction_drawings?on=soon")
    assert "Design working life at least 50" in page(client, "/review-kinds/construction_drawings?lang=en")
    page(client, "/review-kinds/nothing", 404)


def test_the_downloads_hold_the_rows_of_the_screen(ground: Any) -> None:
    client = ground.portal.test_client()
    rows = list(csv.reader(io.StringIO(client.get("/review-kinds.csv").get_data().decode("utf-8-sig"))))
    assert [row[0] for row in rows[1:]] == [kind.code for kind in kinds.all_kinds(only_active=True)]
    url = "/review-kinds/construction_drawings/criteria"
    content = client.get(f"{url}.csv?on=2023-05-31").get_data().decode("utf-8-sig")
    codes = [row[0] for row in csv.reader(io.StringIO(content))][1:]
    assert "SG-04" in codes
    assert "SG-07" not in codes
    assert client.get(f"{url}.xlsx").get_data()[:2] == b"PK"
    assert client.get("/review-kinds.xlsx").get_data()[:2] == b"PK"


def test_an_operator_adds_a_kind_and_everybody_reads_it(added: Any, ground: Any) -> None:
    kind = kinds.by_code("lightning")
    assert [(one["code"], one["required"]) for one in kind.materials] == [("design", True), ("sketch", False)]
    assert kind.reviewers == 1
    assert kind.commissioned_by == ["applicant", "authority"]
    assert "草图" in page(ground.portal.test_client(), "/review-kinds/lightning")


def test_faults_stand_at_their_fields_and_nothing_typed_is_lost(ground: Any, client_as: Any) -> None:
    wrong = {
        **FORM,
        "materials": "design | 设计文件 | Design",
        "reviewers": "many",
        "item_codes": "ZJ-9999",
        "clause": "",
    }
    shown = sent(client_as("operator"), "/admin/review-kinds/new", wrong, 422)
    for field in ("materials", "reviewers", "item_codes", "clause"):
        assert f'id="{field}-error"' in shown, field
    assert "design | 设计文件 | Design" in shown
    assert 'value="many"' in shown
    assert re.search(r'value="authority" checked', shown)


def test_a_revision_shows_what_was_there_and_a_stale_one_is_refused(added: Any) -> None:
    shown = page(added, "/admin/review-kinds/lightning")
    assert "sketch | 草图 | Sketch | no" in shown
    sent(added, "/admin/review-kinds/lightning", {**FORM, "reviewers": "2"})
    session.expire_all()
    assert kinds.by_code("lightning").reviewers == 2
    refused = sent(added, "/admin/review-kinds/lightning", {**FORM, "version": "1"}, 409)
    assert "已由他人更新" in refused


def test_a_criterion_is_looked_at_before_it_is_entered_and_replaced_from_a_day(added: Any, ground: Any) -> None:
    today = clock.today()
    url = "/admin/review-kinds/lightning/criteria/new"
    form = {
        "code": "FL-01",
        "zh": "接地电阻不大于10Ω",
        "en": "The earth resistance is 10 Ω at most",
        "clause": "GB 50057-2010",
        "grade": "must",
        "speciality": "lightning",
        "effective_from": today.isoformat(),
        "check": '{"rule": "limit", "field": "resistance", "most": 10}',
    }
    checked = sent(added, url, form, 200)
    assert "发布审查标准" in checked
    assert kinds.in_force(kinds.by_code("lightning"), today) == []
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', checked))
    form["stage"] = "enter"
    assert added.post(url, data={**form, "act": hidden["act"]}).status_code == 303
    assert added.post(url, data={**form, "act": hidden["act"]}).status_code == 303  # a second press changes nothing
    (first,) = kinds.in_force(kinds.by_code("lightning"), today)
    assert (first.grade, first.check) == (Grade.MUST, {"rule": "limit", "field": "resistance", "most": 10})
    later = today + timedelta(days=10)
    url = "/admin/review-kinds/lightning/criteria/FL-01/new"
    assert "接地电阻不大于10Ω" in page(added, url)
    replaced = {**form, "zh": "接地电阻不大于4Ω", "effective_from": later.isoformat()}
    replaced.pop("stage")
    checked = sent(added, url, replaced, 200)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', checked))
    assert added.post(url, data={**replaced, "stage": "enter", "act": hidden["act"]}).status_code == 303
    visitor = ground.portal.test_client()
    assert "不大于10Ω" in page(visitor, f"/review-kinds/lightning?on={later - timedelta(days=1)}")
    assert "不大于4Ω" in page(visitor, f"/review-kinds/lightning?on={later}")
    assert "待生效" in page(added, "/admin/review-kinds")


@pytest.mark.parametrize(
    ("rule", "says"),
    [("{", "JSON"), ('{"rule": "limit", "field": "height", "most": 1}', "没有填报项“height”"), ("[]", "JSON")],
)
def test_a_wrong_rule_is_told_at_its_field(added: Any, rule: str, says: str) -> None:
    form = {"code": "FL-02", "zh": "要", "en": "must", "clause": "条", "grade": "must", "effective_from": "2027-01-01"}
    shown = sent(added, "/admin/review-kinds/lightning/criteria/new", {**form, "check": rule}, 422)
    assert 'id="check-error"' in shown
    assert says in shown


def test_a_kind_is_retired_and_taken_back(added: Any, ground: Any) -> None:
    sent(added, "/admin/review-kinds/lightning/state", {})
    assert "/review-kinds/lightning" not in page(ground.portal.test_client(), "/review-kinds")
    assert "已停用" in page(ground.portal.test_client(), "/review-kinds/lightning")
    sent(added, "/admin/review-kinds/lightning/state", {})
    assert "/review-kinds/lightning" in page(ground.portal.test_client(), "/review-kinds")


def test_supervisors_read_the_upkeep_and_change_nothing(ground: Any, client_as: Any) -> None:
    client = client_as("supervisor")
    assert "新增审查类别" not in page(client, "/admin/review-kinds")
    page(client, "/admin/review-kinds/new", 403)
    page(client_as("applicant"), "/admin/review-kinds", 403)
