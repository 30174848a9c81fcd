"""The approval slice over HTTP: applications, evidence, decisions, projects, documents, the first page."""

from __future__ import annotations

import io
import re
import secrets

from integration.approvals import decisions, matters
from integration.approvals.matters import MatterStatus
from kernel import dossier, files
from kernel.db import session, transaction
from kernel.dossier import EntryStatus


def token() -> dict[str, str]:
    return {"act": secrets.token_urlsafe(18)}


def text(answer) -> str:  # type: ignore[no-untyped-def]
    return answer.get_data(as_text=True)


def confirm(client, path, **more):  # type: ignore[no-untyped-def]
    """Open a confirm page and send its form: two clicks."""
    page = client.get(path)
    assert page.status_code == 200, text(page)
    version = re.search(r'name="version" value="(\d+)"', text(page))
    assert version is not None
    return client.post(path, data={"version": version[1], **token(), **more})


def again(matter, world):  # type: ignore[no-untyped-def]
    session.rollback()
    session.expire_all()
    return matters.find(matter.number, by=world.applicant)


def test_a_project_is_registered_and_shown_to_its_own_people_only(client_as) -> None:  # type: ignore[no-untyped-def]
    client = client_as("applicant")
    form = {
        "project_code": "２６０３ 230199 04 01 300007",
        "name": "示例中学",
        "project_class": "government_building",
        "investment": "1.2亿",
        "building_area": "18,000",
    }
    answer = client.post("/projects/new", data={**form, **token()})
    assert answer.location.endswith("/projects/2603-230199-04-01-300007")
    page = text(client.get(answer.location))
    assert "示例中学" in page
    assert "¥120,000,000.00" in page
    assert client_as("applicant2").get(answer.location).status_code == 404
    assert client_as("agency").get(answer.location).status_code == 404
    assert client_as("approver").get(answer.location).status_code == 200


def test_a_wrong_project_form_names_every_fault_and_keeps_what_was_typed(client_as) -> None:  # type: ignore[no-untyped-def]
    client = client_as("applicant")
    form = {"project_code": "12", "name": "", "investment": "-5", "land_area": "-1", "address": "示例路 8 号"}
    answer = client.post("/projects/new", data={**form, **token()})
    assert answer.status_code == 422
    page = text(answer)
    for field in ("project_code", "name", "project_class", "investment", "land_area"):
        assert f'href="#{field}"' in page
    assert "示例路 8 号" in page


def test_an_application_goes_from_the_guide_to_the_department(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    """Journeys 6 and 7, the approval side: window accepts in two clicks, approver cites in three without upload."""
    entry = office.entry()
    applicant = client_as("applicant")
    form = {"project_code": world.project.code.replace("-", ""), "kind": "SP-0503"}
    answer = applicant.post("/matters/new", data={**form, **token()})
    assert answer.status_code == 303
    path = answer.location
    matter = matters.find(path.rsplit("/", 1)[1], by=world.applicant)
    page = text(applicant.get(path))
    assert "委托中介服务" in page
    assert f"/services?item=ZJ-0506&amp;project={world.project.code}" in page

    place = next(m.position for m in matter.materials if m.item_code == "ZJ-0506")
    material = f"{path}/materials/{place}"
    assert "对应本材料" in text(applicant.get(material))
    assert applicant.post(material, data={"entry": entry.number, **token()}).status_code == 303
    with transaction():
        content = files.path_of(world.document("a.pdf", "upload").sha256).read_bytes()
    for one in matters.missing(again(matter, world)):
        upload = {"file": (io.BytesIO(content), f"{one.position}.pdf")}
        assert applicant.post(f"{path}/materials/{one.position}", data={**upload, **token()}).status_code == 303
    assert confirm(applicant, f"{path}/submit").status_code == 303

    window = client_as("window")
    assert matter.number in text(window.get("/matters"))
    assert confirm(window, f"{path}/receive").status_code == 303
    assert confirm(window, f"{path}/accept").status_code == 303
    approver = client_as("approver")
    assert confirm(approver, f"{path}/begin").status_code == 303

    assert f"{path}/evidence" in text(approver.get(path))
    evidence = text(approver.get(f"{path}/evidence"))
    assert "申请人已在本次申报中选用" in evidence
    assert approver.post(f"{path}/evidence", data={"entry": entry.number, **token()}).status_code == 303
    answer = confirm(approver, f"{path}/decision", outcome="granted", opinion="符合要求")
    assert answer.status_code == 303
    decided = text(approver.get(answer.location))
    assert entry.sha256 in decided
    assert "办结（通过）" in decided
    assert "失去效力" not in decided

    with transaction():
        dossier.withdraw(dossier.by_number(entry.number), "样品编号有误", by=world.agency_actor)
    for client in (approver, applicant):
        warned = text(client.get(f"{path}/decision"))
        assert "失去效力" in warned
        assert "样品编号有误" in warned
    assert "样品编号有误" in text(approver.get("/inbox")) or entry.number in text(approver.get("/inbox"))


def test_the_pick_list_greys_what_cannot_be_relied_on_with_its_reason(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    good, gone = office.entry(), office.entry(title="旧报告", body="二")
    with transaction():
        dossier.withdraw(dossier.by_number(gone.number), "采样点错误", by=world.agency_actor)
    matter = office.begun()
    page = text(client_as("approver").get(f"/matters/{matter.number}/evidence"))
    usable, _heading, unusable = page.partition('id="unusable-title"')
    assert good.number in usable
    assert gone.number not in usable
    assert "采样点错误" in unusable
    assert 'class="document unusable"' in unusable
    assert ">引用<" not in unusable


def test_citing_a_withdrawn_document_is_refused_by_name(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    entry, matter = office.entry(), office.begun()
    approver = client_as("approver")
    with transaction():
        dossier.withdraw(dossier.by_number(entry.number), "采样点错误", by=world.agency_actor)
    answer = approver.post(f"/matters/{matter.number}/evidence", data={"entry": entry.number, **token()})
    assert answer.status_code == 409
    assert entry.number in text(answer)
    session.rollback()
    assert decisions.selected(matter) == []


def test_submitting_with_materials_missing_names_them_and_changes_nothing(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    matter = office.draft()
    answer = confirm(client_as("applicant"), f"/matters/{matter.number}/submit")
    assert answer.status_code == 422
    for material in matter.materials:
        assert (f"缺少材料：{material.name}" in text(answer)) == material.required
    assert again(matter, world).status == MatterStatus.DRAFT


def test_a_double_click_acts_once(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    client = client_as("applicant")
    form = {"project_code": world.project.code, "kind": "SP-0503", **token()}
    first, second = (client.post("/matters/new", data=form) for _ in range(2))
    assert first.location == second.location
    session.rollback()
    assert len(matters.of_project(world.project, world.applicant)) == 1


def test_a_stale_page_is_told_and_keeps_the_reason_typed(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    matter = office.act(office.submitted(), matters.receive, world.window)
    form = {"version": "1", "reason": "不属于本窗口受理范围", **token()}
    answer = client_as("window").post(f"/matters/{matter.number}/refuse-intake", data=form)
    assert answer.status_code == 409
    assert "不属于本窗口受理范围" in text(answer)
    assert again(matter, world).status == MatterStatus.RECEIVED


def test_a_refusal_without_opinion_is_sent_back_with_its_error(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    matter = office.begun()
    answer = confirm(client_as("approver"), f"/matters/{matter.number}/decision", outcome="refused", opinion="")
    assert answer.status_code == 422
    assert 'href="#opinion"' in text(answer)


def test_an_upload_of_the_wrong_type_is_named_at_its_field(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    matter = office.draft()
    upload = {"file": (io.BytesIO(b"MZ\x90\x00"), "a.exe")}
    answer = client_as("applicant").post(f"/matters/{matter.number}/materials/1", data={**upload, **token()})
    assert answer.status_code == 422
    assert 'href="#file"' in text(answer)


def test_others_get_404_for_a_matter_and_its_documents(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    matter, entry = office.begun(), office.entry()
    stranger = client_as("applicant2")
    for path in (f"/matters/{matter.number}", f"/matters/{matter.number}/decision", f"/documents/{entry.number}"):
        assert stranger.get(path).status_code == 404, path
    assert client_as("approver2").get(f"/matters/{matter.number}").status_code == 404
    assert client_as("agency2").get(f"/documents/{entry.number}").status_code == 404


def test_the_issuer_withdraws_a_document_with_its_reason(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    entry = office.entry()
    agency = client_as("agency")
    path = f"/documents/{entry.number}"
    assert f"{path}/withdraw" in text(agency.get(path))
    assert f"{path}/withdraw" not in text(client_as("applicant").get(path))
    assert confirm(agency, f"{path}/withdraw", reason="").status_code == 422
    assert confirm(agency, f"{path}/withdraw", reason="计算有误").status_code == 303
    session.rollback()
    session.expire_all()
    assert dossier.by_number(entry.number).status == EntryStatus.WITHDRAWN
    assert "计算有误" in text(agency.get(path))


def test_the_project_page_holds_dossier_commissions_and_matters(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    entry, matter = office.entry(), office.accepted()
    page = text(client_as("applicant").get(f"/projects/{world.project.code}"))
    for part in (entry.number, entry.sha256[:12], matter.number, "绿灯"):
        assert part in page


def test_an_engineering_phase_gets_the_next_code(world, client_as) -> None:  # type: ignore[no-untyped-def]
    client = client_as("applicant")
    path = f"/projects/{world.project.code}"
    assert client.post(f"{path}/phases", data={"name": "", **token()}).status_code == 422
    assert client.post(f"{path}/phases", data={"name": "一期工程", **token()}).status_code == 303
    assert re.search(re.escape(world.project.code) + r"-\d{4}", text(client.get(path)))
    assert client_as("applicant2").post(f"{path}/phases", data={"name": "x", **token()}).status_code == 404


def test_a_visitor_sees_search_categories_and_the_procedure(world) -> None:  # type: ignore[no-untyped-def]
    page = text(world.portal.test_client().get("/"))
    for part in ('action="/services"', "水利水保", "办理流程", "9.3"):
        assert part in page


def test_everybody_sees_first_what_waits_for_them(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    matter = office.submitted()
    window = text(client_as("window").get("/"))
    assert matter.number in window
    assert "待我办理" in window
    applicant = text(client_as("applicant").get("/"))
    assert matter.number in applicant
    assert world.project.name in applicant
    assert matter.number not in text(client_as("approver").get("/"))
    assert client_as("supervisor").get("/").status_code == 200
    assert client_as("agency").get("/").status_code == 200


def test_every_page_speaks_english(world, office, client_as) -> None:  # type: ignore[no-untyped-def]
    matter = office.begun()
    approver = client_as("approver")
    for path in ("/", "/matters", f"/matters/{matter.number}", f"/matters/{matter.number}/evidence", "/guide"):
        assert approver.get(f"{path}?lang=en").status_code == 200, path


def test_the_public_guide_shows_materials_and_what_services_deliver(world) -> None:  # type: ignore[no-untyped-def]
    client = world.portal.test_client()
    assert "生产建设项目水土保持方案审批" in text(client.get("/guide?q=水务局"))
    page = text(client.get("/guide/SP-0503"))
    assert "/services?item=ZJ-0506" in page
    assert client.get("/guide/none").status_code == 404
