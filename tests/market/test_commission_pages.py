"""The pages of commissions over HTTP: the order form, every confirm page, what comes back when an act is refused."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import openpyxl
import pytest
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import func, select

from kernel import dossier, sandbox, trail
from kernel.db import session, transaction
from kernel.files import Document
from market import commissions, deliverables, listings, services
from market.commissions import Commission, CommissionStatus
from market.fees import FeeKind, FeeRule, Measure
from market.web.acts import ACTS, slug
from market.web.forms import assign


def pdf(text: str = "content") -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.drawString(72, 720, text)
    canvas.save()
    return out.getvalue()


def upload(name: str, content: bytes | None = None):
    return (io.BytesIO(pdf(str(len(name))) if content is None else content), name)


def hidden(page: str) -> dict[str, str]:
    """The hidden values that a browser would send back with the form of the page's main content."""
    main = page[page.index("<main") :]
    form = main[main.index('name="act"') - 2000 if main.index('name="act"') > 2000 else 0 :]
    return {
        name: value
        for name, value in re.findall(r'<input type="hidden" name="(\w[\w-]*)" value="([^"]*)"', form)
        if name in ("act", "version", "listing", "draft", "needed_for")
    }


def press(client, url: str, follow: bool = False, **fields):
    """Open the confirm page and press its button, as a browser without script does."""
    page = client.get(url)
    assert page.status_code == 200, page.get_data(as_text=True)
    return client.post(url, data=hidden(page.get_data(as_text=True)) | fields, follow_redirects=follow)


def order(client, world, **fields) -> str:
    """Fill in the order form; answers the number of the draft."""
    names = world.item.required_materials
    data = {"project_code": world.project.code, "files": [upload(f"{name}.pdf") for name in names]} | fields
    answer = press(client, f"/commissions/new?listing={world.listing.number}", **data)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return re.search(r"/commissions/(WT-[0-9-]+)/offer", answer.location).group(1)


def count() -> int:
    session.expire_all()
    return session.scalar(select(func.count()).select_from(Commission)) or 0


def test_a_code_typed_badly_still_commissions_and_the_form_asks_five_things_at_most(client_as, world):
    """Journey 3: the budget is five fields, and four clicks from the listing."""
    client = client_as("applicant")
    page = client.get(f"/commissions/new?listing={world.listing.number}&project={world.project.code}")
    text = page.get_data(as_text=True)
    form = text[text.index('<form method="post" enctype') :]
    form = form[: form.index("</form>")]
    asked = set(re.findall(r'<(?:input(?! type="hidden")|select|textarea)[^>]* name="([\w-]+)"', form))
    assert asked == {"project_code", "phase", "files", "message"}
    number = order(client, world, project_code="２６０３ 230199　04－01 100001", message="请尽快")
    check = client.get(f"/commissions/{number}/offer").get_data(as_text=True)
    draft = commissions.find(number, by=world.applicant)
    assert "10 分钟" in check
    assert "10 个工作日" in check
    assert all(f"{name}：{name}.pdf" in check for name in world.item.required_materials)
    answer = press(client, f"/commissions/{number}/offer", follow=True)
    assert "委托已发出" in answer.get_data(as_text=True)
    session.expire_all()
    draft = commissions.find(number, by=world.applicant)
    assert (draft.status, draft.message) == (CommissionStatus.OFFERED, "请尽快")
    take_back = press(client, f"/commissions/{number}/take-back")
    assert take_back.status_code == 303
    assert commissions.find(number, by=world.applicant).status == CommissionStatus.DRAFT


def test_sending_the_order_form_twice_makes_one_draft(client_as, world):
    """Goal 12"""
    client = client_as("applicant")
    url = f"/commissions/new?listing={world.listing.number}"
    sent = hidden(client.get(url).get_data(as_text=True)) | {"project_code": world.project.code}
    names = world.item.required_materials
    places = {client.post(url, data=sent | {"files": [upload(f"{n}.pdf") for n in names]}).location for _ in range(2)}
    assert len(places) == 1
    assert count() == 1


def test_a_refused_order_keeps_the_text_and_the_files_that_were_in_order(client_as, world):
    client = client_as("applicant")
    url = f"/commissions/new?listing={world.listing.number}"
    names = world.item.required_materials
    answer = press(
        client, url, project_code="12345", message="不要丢失这句话", files=[upload(f"{name}.pdf") for name in names]
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "错误：" in text
    assert 'href="#project_code"' in text
    assert "不要丢失这句话" in text
    kept = re.findall(r'name="kept-files" value="(WJ-[0-9-]+)" checked', text)
    assert len(kept) == len(names)
    assert count() == 0
    mended = hidden(text) | {"project_code": world.project.code, "message": "不要丢失这句话", "kept-files": kept}
    assert client.post(url, data=mended).status_code == 303
    assert count() == 1


def test_every_missing_material_and_every_bad_file_is_named_at_its_field(client_as, world):
    client = client_as("applicant")
    url = f"/commissions/new?listing={world.listing.number}"
    answer = press(client, url, project_code=world.project.code)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert all(f"缺少材料：{name}" in text for name in world.item.required_materials)
    answer = press(
        client, url, project_code=world.project.code, files=[upload("空.pdf", b""), upload("程序.exe", b"MZ")]
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "空.pdf" in text
    assert "程序.exe" in text
    assert count() == 0


def test_anothers_project_and_anothers_file_are_refused(client_as, world):
    client = client_as("applicant")
    with transaction():
        foreign = world.document("机密.pdf", by=world.actor("applicant2")).number
    answer = press(
        client,
        f"/commissions/new?listing={world.listing.number}",
        **{"project_code": world.other_project.code, "kept-files": [foreign]},
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "不是贵单位的项目" in text
    assert "机密" not in text


def test_a_document_of_the_dossier_is_picked_and_not_uploaded_again(client_as, chain, world):
    chain.finished()
    with transaction():
        entry = dossier.entries_of(session.merge(world.project))[0]
        entry.title = world.item.required_materials[0]
        number = entry.number
    client = client_as("applicant")
    url = f"/commissions/new?listing={world.listing.number}&project={world.project.code}"
    text = client.get(url).get_data(as_text=True)
    assert f'value="entry:{number}" selected' in text
    rest = world.item.required_materials[1:]
    draft = order(client, world, **{"material-1": f"entry:{number}", "files": [upload(f"{name}.pdf") for name in rest]})
    materials = commissions.find(draft, by=world.applicant).materials
    assert (materials[0].name, bool(materials[0].entry)) == (world.item.required_materials[0], True)
    assert len(materials) == len(world.item.required_materials)


def test_a_draft_is_changed_by_the_same_form_and_replaces_the_old_one(client_as, world):
    client = client_as("applicant")
    number = order(client, world, message="旧")
    url = f"/commissions/new?listing={world.listing.number}&draft={number}"
    page = client.get(url).get_data(as_text=True)
    picks = dict(re.findall(r'<select id="(material-\d)".*?value="(file:WJ-[0-9-]+)" selected', page, re.S))
    assert len(picks) == len(world.item.required_materials)
    answer = client.post(url, data=hidden(page) | picks | {"project_code": world.project.code, "message": "新"})
    assert answer.status_code == 303
    newer = re.search(r"WT-[0-9-]+", answer.location).group(0)
    assert commissions.find(newer, by=world.applicant).message == "新"
    assert commissions.find(number, by=world.applicant).status == CommissionStatus.CANCELLED


def test_quantity_and_agreed_fee_are_asked_only_where_the_rule_needs_them(client_as, world):
    client = client_as("applicant")
    url = f"/commissions/new?listing={world.listing.number}"

    def reprice(rule: FeeRule) -> str:
        with transaction():
            listing = listings.by_number(world.listing.number)
            listings.reprice(listing, rule, promised_working_days=10, by=world.agency_actor)
        return client.get(url).get_data(as_text=True)

    page = reprice(FeeRule(FeeKind.UNIT, amount=50_000, measure=Measure.QUANTITY, unit="点"))
    assert 'name="quantity"' in page
    assert 'name="agreed_fee"' not in page
    answer = press(client, url, project_code=world.project.code, quantity="十二", files=[upload("全部.pdf")])
    assert "不是整数" in answer.get_data(as_text=True)
    number = order(client, world, quantity="１２", files=[upload("全部.pdf")])
    assert "¥6,000.00" in client.get(f"/commissions/{number}/offer").get_data(as_text=True)

    page = reprice(FeeRule(FeeKind.NEGOTIABLE, amount=10_000_000))
    assert 'name="agreed_fee"' in page
    assert 'name="quantity"' not in page
    names = world.item.required_materials
    data = {"project_code": world.project.code, "files": [upload(f"{n}.pdf") for n in names]}
    assert press(client, url, **data, agreed_fee="20万").status_code == 422
    placed = press(client, url, **(data | {"files": [upload("全部.pdf")]}), agreed_fee="8.5万")
    offered = press(client, placed.location, agreed_fee="8.5万")
    assert offered.status_code == 303
    number = re.search(r"WT-[0-9-]+", placed.location).group(0)
    assert commissions.find(number, by=world.applicant).fee == 8_500_000


def test_the_whole_chain_by_pages(client_as, chain, world):
    """Journeys 4 and 6: ask once, take on, start, pause, extend, deliver, return, deliver, accept, withdraw."""
    number = chain.offered()
    here = f"/commissions/{number}"
    client, agency = client_as("applicant"), client_as("agency")
    assert "请答复委托" in agency.get(here).get_data(as_text=True)

    assert press(agency, f"{here}/request-materials", points="1. 红线图\n\n2、委托书").status_code == 303
    assert agency.get(f"{here}/take-on").status_code == 409
    page = client.get(here).get_data(as_text=True)
    assert "请补齐材料" in page
    assert "红线图" in page
    assert press(client, f"{here}/supply-materials").status_code == 422
    assert press(client, f"{here}/supply-materials", files=[upload("红线图.pdf")], answer="已补").status_code == 303
    assert press(agency, f"{here}/take-on").status_code == 303

    start = agency.get(f"{here}/start").get_data(as_text=True)
    assert "当日不计入" in start
    assert "2026年3月16日" in start  # ten working days from Monday 2 March
    assert press(agency, f"{here}/start").status_code == 303
    assert press(agency, f"{here}/pause", points="确认取土场", reason="外业无法继续").status_code == 303
    assert "确认取土场" in client.get(here).get_data(as_text=True)
    assert press(client, f"{here}/resume", answer="定于东侧").status_code == 303
    assert client.get(f"{here}/agree-extension").status_code == 409
    assert press(agency, f"{here}/propose-extension", working_days="五", reason="雨").status_code == 422
    assert press(agency, f"{here}/propose-extension", working_days="5", reason="雨").status_code == 303
    assert "申请延长 5 个工作日" in client.get(here).get_data(as_text=True)
    assert press(client, f"{here}/agree-extension").status_code == 303

    wrong = press(agency, f"{here}/deliver", files=upload("报告.pdf", b"MZ not a pdf"), result="passed", promise="1")
    assert wrong.status_code == 422
    form = agency.get(f"{here}/deliver").get_data(as_text=True)
    summary = re.search(r'<textarea id="summary"[^>]*>\s*([^<]+)</textarea>', form).group(1)
    fields = {"result": "passed", "summary": summary}
    unticked = press(agency, f"{here}/deliver", files=upload("报告.pdf"), **fields)
    assert "请勾选成果质量承诺" in unticked.get_data(as_text=True)
    assert press(agency, f"{here}/deliver", files=upload("报告.pdf"), promise="1", **fields).status_code == 303
    assert press(client, f"{here}/return", points="").status_code == 422
    assert press(client, f"{here}/return", points="缺比例尺\n第 12 页有误").status_code == 303
    again = agency.get(here).get_data(as_text=True)
    assert "缺比例尺" in again
    assert press(agency, f"{here}/deliver", files=upload("修改稿.pdf"), promise="1", **fields).status_code == 303
    assert press(client, f"{here}/accept").status_code == 303
    page = client.get(here).get_data(as_text=True)
    assert "服务已办结" in page
    assert "归入项目材料库" in page

    deliverable = deliverables.latest(commissions.find(number, by=world.applicant))
    there = f"/deliverables/{deliverable.number}"
    assert "撤回成果" not in client.get(there).get_data(as_text=True)
    assert client.get(f"{there}/withdraw").status_code == 409
    assert press(agency, f"{there}/withdraw", reason=" ").status_code == 422
    assert press(agency, f"{there}/withdraw", reason="数据有误").status_code == 303
    assert "数据有误" in client.get(there).get_data(as_text=True)
    acts = [act.act for act in trail.of(f"commission:{number}")]
    assert acts.count("service.finished") == 1
    assert trail.verify()[1] == []


def test_a_double_click_starts_one_service_and_says_so_once(client_as, chain):
    number = chain.taken_on()
    agency = client_as("agency")
    url = f"/commissions/{number}/start"
    sent = hidden(agency.get(url).get_data(as_text=True))
    answers = [agency.post(url, data=sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert [act.act for act in trail.of(f"commission:{number}")].count("service.started") == 1


def test_a_stale_page_shows_who_acted_and_keeps_what_was_typed(client_as, chain):
    """Goal 11"""
    number = chain.in_service()
    agency = client_as("agency")
    url = f"/commissions/{number}/pause"
    sent = hidden(agency.get(url).get_data(as_text=True))
    chain.act(number, services.propose_extension, 3, "雨季", by=chain.agency)
    answer = agency.post(url, data=sent | {"points": "请勿丢失的要点", "reason": "请勿丢失的理由"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "请勿丢失的要点" in text
    assert "请勿丢失的理由" in text
    assert "申请延长时限" in text
    assert "周若彤" in text
    again = agency.post(url, data=hidden(text) | {"points": "请勿丢失的要点", "reason": "理由"})
    assert again.status_code == 303


def test_an_act_that_is_no_longer_open_keeps_the_text_and_leads_back(client_as, chain):
    number = chain.offered()
    agency = client_as("agency")
    url = f"/commissions/{number}/decline"
    sent = hidden(agency.get(url).get_data(as_text=True))
    chain.act(number, commissions.cancel, "不需要了", by=chain.client)
    answer = agency.post(url, data=sent | {"reason": "请勿丢失的理由"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "请勿丢失的理由" in text
    assert "查看最新情况" in text
    assert 'name="version"' not in text


def test_what_is_not_ones_own_is_not_found_and_get_changes_nothing(client_as, chain):
    number = chain.offered()
    deliverable = chain.latest(chain.delivered()).number
    before = session.scalar(select(func.count()).select_from(trail.TrailAct))
    rival = client_as("agency2")
    for path in (f"/commissions/{number}", f"/commissions/{number}/take-on", f"/deliverables/{deliverable}"):
        assert rival.get(path).status_code == 404
    assert rival.get(f"/commissions/{number}/no-such-act").status_code == 404
    client = client_as("applicant")
    for name in ACTS:
        assert client.get(f"/commissions/{number}/{slug(name)}").status_code in (200, 409)
    assert session.scalar(select(func.count()).select_from(trail.TrailAct)) == before
    assert client.get(f"/commissions/{number}/take-on").status_code == 409


def test_an_agency_reads_nothing_of_what_went_on_with_another_before(client_as, chain, world):
    number = chain.offered()
    chain.act(number, commissions.request_materials, ["机密的要求"], by=chain.agency)
    chain.act(number, commissions.decline, "机密的理由", by=chain.agency)
    with transaction():
        draft = chain.find(number, lock=True)
        commissions.choose(draft, listings.by_number(world.listing2.number), by=world.applicant)
        commissions.offer(draft, by=chain.client)
    text = client_as("agency2").get(f"/commissions/{number}").get_data(as_text=True)
    assert "机密" not in text
    assert "请答复委托" in text
    assert "机密的理由" in client_as("applicant").get(f"/commissions/{number}").get_data(as_text=True)


def test_after_a_decline_another_agency_is_chosen_with_fee_and_days_in_sight(client_as, chain, world):
    number = chain.offered()
    chain.act(number, commissions.decline, "任务已满", by=chain.agency)
    client = client_as("applicant")
    assert "任务已满" in client.get(f"/commissions/{number}").get_data(as_text=True)
    url = f"/commissions/{number}/choose"
    page = client.get(url).get_data(as_text=True)
    assert world.listing2.number in page
    token = re.search(r'name="act" value="([^"]+)"', page).group(1)
    assert client.post(url, data={"act": token, "listing": "FW-2026-999999"}).status_code == 409
    assert client.post(url, data={"act": token, "listing": world.listing2.number}).status_code == 303
    assert press(client, f"/commissions/{number}/offer").status_code == 303
    assert commissions.find(number, by=world.actor("agency2")).status == CommissionStatus.OFFERED


def test_the_list_shows_what_is_due_soonest_first_and_downloads_the_same_rows(client_as, chain):
    late = chain.in_service()
    sandbox.forward(timedelta(days=3))
    fresh = chain.in_service()
    pressing = chain.offered()
    agency = client_as("agency")
    text = agency.get("/commissions").get_data(as_text=True)
    table = text[text.index("<tbody>") :]
    shown = re.findall(r'href="/commissions/(WT-[0-9-]+)"', table)
    assert shown == [pressing, late, fresh]
    assert "有 3 件等待您办理" in text
    rows = list(csv.reader(io.StringIO(agency.get("/commissions.csv").get_data(as_text=True).removeprefix("\ufeff"))))
    assert [row[0] for row in rows[1:]] == shown
    sheet = openpyxl.load_workbook(io.BytesIO(agency.get("/commissions.xlsx").data)).active
    assert [[str(cell or "") for cell in row] for row in sheet.iter_rows(values_only=True)] == [
        [str(cell) for cell in row] for row in rows
    ]
    assert "WT-" not in agency.get("/commissions?state=finished").get_data(as_text=True).split("<main")[1]


def test_the_clock_box_says_why_and_marks_no_internal_key(client_as, chain):
    """Goal 13"""
    number = chain.in_service()
    sandbox.forward(timedelta(days=1))
    chain.act(number, services.pause, ["确认取土场"], "无法继续", by=chain.agency)
    sandbox.forward(timedelta(days=5))
    text = client_as("agency").get(f"/commissions/{number}").get_data(as_text=True)
    assert "暂停计时" in text
    assert "如今日恢复计时" in text
    assert "待委托人配合（第 1 次）" in text
    assert "pause:1" not in text
    assert "第 9.3 条" in text


def test_every_page_of_a_commission_speaks_english_too(client_as, chain):
    number = chain.in_service()
    agency = client_as("agency")
    text = agency.get(f"/commissions/{number}?lang=en").get_data(as_text=True)
    assert "Hand the deliverable in on time" in text
    assert "Hand in the deliverable" in agency.get(f"/commissions/{number}/deliver?lang=en").get_data(as_text=True)


def test_files_find_their_material_by_name_then_by_order():
    def files(*names: str) -> list[Document]:
        return [Document(number=name, name=name) for name in names]

    def told(wanted: list[str], *names: str) -> tuple[dict[str, str], list[str]]:
        found, rest = assign(wanted, files(*names))
        return {name: one.name for name, one in found.items()}, [one.name for one in rest]

    wanted = ["总平面图", "用地范围坐标", "立项文件"]
    assert told(wanted, "c坐标.pdf", "项目总平面图（终版）.dwg", "立项文件.pdf") == (
        {"总平面图": "项目总平面图（终版）.dwg", "立项文件": "立项文件.pdf", "用地范围坐标": "c坐标.pdf"},
        [],
    )
    assert told(wanted, "全部材料.pdf")[0] == dict.fromkeys(wanted, "全部材料.pdf")
    assert set(told(wanted, "总平面图.pdf", "立项文件.pdf")[0]) == {"总平面图", "立项文件"}
    assert told(["总平面图"], "总平面图.pdf", "附加.pdf") == ({"总平面图": "总平面图.pdf"}, ["附加.pdf"])


@pytest.mark.parametrize("name", ACTS)
def test_every_act_has_its_words_in_both_languages(name):
    act = ACTS[name]
    assert all(all(words) for words in (act.title, act.button, act.done))
    assert name in commissions.STEPS


def test_a_kept_page_shows_every_act_the_next_day_and_to_each_side_its_own(chain, client_as):
    """D6: the body is kept in the process, and nothing that happened is ever missing from it."""
    number = chain.in_service()
    client, agency = client_as("applicant"), client_as("agency")

    def read(reader, **query) -> str:
        answer = reader.get(f"/commissions/{number}", query_string=query)
        assert answer.status_code == 200
        text = answer.get_data(as_text=True)
        return text[text.index("<main") : text.index("</main>")]

    assert read(client) != read(agency)
    assert "提交成果报告" in read(agency)
    assert "working days" in read(client, lang="en")
    read(client, lang="zh")
    chain.act(number, services.pause, ["提供弃渣场协议"], "缺少协议", by=chain.agency)
    assert "提供弃渣场协议" in read(client)
    chain.act(number, services.resume, "已提供", by=chain.client)
    today = read(client)
    sandbox.forward(timedelta(days=1))
    assert read(client) != today
    number_of = chain.deliver(number)
    assert number_of in read(client) or "第 1 版" in read(client)
    chain.accept(number)
    assert "已办结" in read(agency)
    with transaction():
        deliverables.withdraw(chain.latest(number), "数据有误", by=chain.agency)
    assert "数据有误" in read(client)
    stranger = client_as("applicant2")
    assert stranger.get(f"/commissions/{number}").status_code == 404


def test_a_corrected_file_under_the_same_name_is_not_dropped_in_silence(chain, client_as):
    """Goal 12: the same form again is led to the same place, but with other content it is told."""
    number = chain.in_service()
    agency = client_as("agency")
    url = f"/commissions/{number}/deliver"
    sent = hidden(agency.get(url).get_data(as_text=True)) | {"result": "passed", "summary": "可行", "promise": "1"}

    def send(content: bytes):
        return agency.post(url, data=sent | {"files": [upload("report.pdf", content)]})

    assert send(pdf("one")).status_code == 303
    assert send(pdf("one")).status_code == 303
    assert send(pdf("corrected")).status_code == 409
    assert len(deliverables.of_commission(chain.find(number))) == 1
