"""The set of drawings on pages: entering with its effects named first, the set of a day, downloads, who sees it (B10)."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import openpyxl
import pytest
from flask.testing import FlaskClient

from kernel import clock, notifications, projects, sandbox
from kernel.db import session, transaction
from kernel.projects import Project
from reviews import drawings
from tests.conftest import small_pdf


def text(answer: Any) -> str:
    return unescape(answer.get_data(as_text=True))


def upload(client: FlaskClient, world: Any, *files: tuple[str, bytes], **more: str) -> Any:
    """The first page: files chosen."""
    data = {"files": [(io.BytesIO(content), name) for name, content in files], "stage_of_form": "files", **more}
    return client.post(f"/projects/{world.project.code}/drawings/new", data=data, content_type="multipart/form-data")


def form_of(page: str) -> dict[str, Any]:
    """What the check page would send as it stands."""
    body = page[page.index("<main") :]
    body = body[body.index("<form method") :]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", body):
        name, value = re.search(r' name="([^"]*)"', tag), re.search(r' value="([^"]*)"', tag)
        if name:
            found.setdefault(name[1], []).append(value[1] if value else "")
    for name, options in re.findall(
        r'<select id="[^"]*" name="([^"]*)".*?</select>'.replace(".*?", "(.*?)"), body, re.S
    ):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        found[name] = [chosen[1] if chosen else ""]
    return found


def send(client: FlaskClient, world: Any, form: dict[str, Any], **more: str) -> Any:
    data = {**form, **{name: [value] for name, value in more.items()}}
    return client.post(f"/projects/{world.project.code}/drawings/new", data=data, content_type="multipart/form-data")


def enter(client: FlaskClient, world: Any, *files: tuple[str, bytes], **more: str) -> Any:
    checked = upload(client, world, *files, **more)
    assert checked.status_code == 200, text(checked)
    answer = send(client, world, form_of(text(checked)))
    assert answer.status_code == 303, text(answer)
    return answer


def field(form: dict[str, Any], ending: str) -> str:
    return next(name for name in form if name.endswith(f"-{ending}"))


@pytest.fixture
def owner(client_as: Callable[[str], FlaskClient]) -> FlaskClient:
    return client_as("applicant")


def test_files_named_as_usual_are_entered_in_two_pages_without_typing(world: Any, owner: FlaskClient) -> None:
    checked = text(
        upload(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")), ("建施-01 总平面图.pdf", small_pdf("b")))
    )
    assert checked.count("新图纸") == 2
    assert "本次归入不涉及已有的审批。" in checked
    answer = send(owner, world, form_of(checked))
    assert answer.location.endswith(f"/projects/{world.project.code}/drawings")
    page = text(owner.get(answer.location))
    assert page.index("建筑") < page.index("建施-01") < page.index("结构") < page.index("结施-05")
    assert "已归入图纸 2 张" in page


def test_sending_the_same_form_twice_enters_once(world: Any, owner: FlaskClient) -> None:
    form = form_of(text(upload(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))))
    assert [send(owner, world, form).status_code for _ in range(2)] == [303, 303]
    (row,) = drawings.set_on(session.get_one(Project, world.project.id))
    assert row.editions == 1


def test_a_name_that_says_nothing_is_asked_for_and_what_was_typed_stays(world: Any, owner: FlaskClient) -> None:
    checked = text(upload(owner, world, ("扫描件.pdf", small_pdf("a"))))
    form = form_of(checked)
    answer = send(owner, world, form, **{field(form, "title"): "屋面图"})
    page = text(answer)
    assert answer.status_code == 422
    assert f'href="#{field(form, "number")}"' in page
    assert 'value="屋面图"' in page
    form = form_of(page)
    typed = {field(form, "number"): "建施-09", field(form, "discipline"): "architecture"}
    again = send(owner, world, form, **typed)
    # What it is has changed since the page was shown: its effects are shown before anything is entered.
    assert again.status_code == 409
    assert "请重新核对下面的变更影响" in text(again)
    assert send(owner, world, form_of(text(again))).status_code == 303


def test_a_changed_sheet_names_the_approvals_it_touches_before_it_is_entered(world: Any, owner: FlaskClient) -> None:
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))
    approved(world)
    checked = text(
        upload(owner, world, ("结施-05 基础平面图.pdf", small_pdf("b")), stage="change", note="设计变更 03 号")
    )
    assert "替代现行第 1 版" in checked
    assert "变更涉及的审批" in checked
    assert world.approver.organisation in checked
    assert notifications.unread(world.approver.person_id) == 0
    assert send(owner, world, form_of(checked)).status_code == 303
    assert notifications.unread(world.approver.person_id) == 1


def test_an_approval_given_meanwhile_is_shown_before_anything_is_entered(world: Any, owner: FlaskClient) -> None:
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))
    form = form_of(text(upload(owner, world, ("结施-05 基础平面图.pdf", small_pdf("b")))))
    approved(world)
    answer = send(owner, world, form)
    assert answer.status_code == 409
    assert world.approver.organisation in text(answer)
    (row,) = drawings.set_on(session.get_one(Project, world.project.id))
    assert row.version.edition == 1


def test_what_is_no_drawing_is_refused_by_name_and_the_good_files_stay(world: Any, owner: FlaskClient) -> None:
    answer = upload(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")), ("坏.pdf", b"no pdf"))
    page = text(answer)
    assert answer.status_code == 422
    assert "坏.pdf" in page
    assert "结施-05 基础平面图.pdf" in page
    assert "kept-files" in page
    assert upload(owner, world).status_code == 422
    assert upload(owner, world, ("a.pdf", small_pdf()), effective_on="昨天").status_code == 422


def test_the_set_of_a_day_on_the_page_and_in_both_downloads(world: Any, owner: FlaskClient) -> None:
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))
    first_day = clock.today().isoformat()
    sandbox.forward(timedelta(days=20))
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("b")), ("结施-06 =屋面图.pdf", small_pdf("c")))
    path = f"/projects/{world.project.code}/drawings"
    then, now = text(owner.get(f"{path}?on={first_day}")), text(owner.get(path))
    assert "第 1 版" in then
    assert "其后还有 1 版" in then
    assert "结施-06" not in then
    assert "第 2 版" in now
    assert "结施-06" in now
    csv = owner.get(f"{path}.csv?on={first_day}").get_data().decode("utf-8-sig")
    assert csv.count("\r\n") == 2
    assert "结施-05" in csv
    sheet = openpyxl.load_workbook(io.BytesIO(owner.get(f"{path}.xlsx").get_data())).active
    assert [row[2].value for row in sheet.iter_rows(min_row=2)] == ["结施-05", "结施-06"]
    assert [row[3].data_type for row in sheet.iter_rows(min_row=2)] == ["s", "s"]
    assert "无法识别" in text(owner.get(f"{path}?on=昨天"))
    assert "这一天还没有现行图纸" in text(owner.get(f"{path}?on=2020-01-01"))


def test_a_sheet_shows_its_editions_and_who_approved_which(world: Any, owner: FlaskClient) -> None:
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))
    approved(world)
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("b")))
    (row,) = drawings.set_on(session.get_one(Project, world.project.id))
    page = text(owner.get(f"/sheets/{row.sheet.reference}"))
    newest, oldest = page[page.index("第 2 版") : page.index("第 1 版")], page[page.index("第 1 版") :]
    assert "现行" in newest
    assert "这一版尚无审批或引用" in newest
    assert "已被替代" in oldest
    assert world.approver.organisation in oldest


def test_a_withdrawal_names_what_it_touches_and_asks_for_its_reason(world: Any, owner: FlaskClient) -> None:
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))
    approved(world)
    (row,) = drawings.set_on(session.get_one(Project, world.project.id))
    path = f"/sheets/{row.sheet.reference}/withdraw"
    assert world.approver.organisation in text(owner.get(path))
    data = {"act": secrets.token_urlsafe(18), "version": "1", "reason": ""}
    assert owner.post(path, data=data).status_code == 422
    assert owner.post(path, data={**data, "reason": "取消该基础"}).status_code == 303
    assert "取消该基础" in text(owner.get(f"/sheets/{row.sheet.reference}"))
    assert "没有图纸" in text(owner.get(f"/projects/{world.project.code}/drawings"))


def test_departments_look_and_others_find_nothing(
    world: Any, owner: FlaskClient, client_as: Callable[[str], FlaskClient]
) -> None:
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))
    (row,) = drawings.set_on(session.get_one(Project, world.project.id))
    path = f"/projects/{world.project.code}/drawings"
    paths = (path, f"{path}.csv", f"/sheets/{row.sheet.reference}", f"/files/{row.version.document.number}")
    approver, stranger, agency = (client_as(login) for login in ("approver", "applicant2", "agency"))
    for each in paths:
        with approver.get(each) as answer:
            assert answer.status_code == 200, each
        assert stranger.get(each).status_code == 404, each
        assert agency.get(each).status_code == 404, each
    assert "归入图纸" not in text(approver.get(path))
    assert approver.get(f"{path}/new").status_code == 403
    assert stranger.get(f"{path}/new").status_code == 404
    assert stranger.get(f"/sheets/{row.sheet.reference}/withdraw").status_code == 404
    assert world.portal.test_client().get(path).status_code == 303


def test_a_sheet_is_entered_under_its_phase(world: Any, owner: FlaskClient) -> None:
    with transaction():
        phase = projects.add_phase(session.get_one(Project, world.project.id), "一期", by=world.applicant)
        code = phase.code
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")), phase=code)
    assert code in text(owner.get(f"/projects/{world.project.code}/drawings"))


def test_the_pages_are_there_in_english(world: Any, owner: FlaskClient) -> None:
    enter(owner, world, ("结施-05 基础平面图.pdf", small_pdf("a")))
    page = text(owner.get(f"/projects/{world.project.code}/drawings?lang=en"))
    assert "Structure" in page
    assert "Construction drawings" in page


def approved(world: Any) -> None:
    """The water authority approves the set as it is."""
    with transaction():
        rows = drawings.set_on(session.get_one(Project, world.project.id))
        drawings.approve(
            [row.version.sha256 for row in rows],
            subject="matter:SX-2026-000001",
            title="施工许可",
            by=world.approver,
        )
