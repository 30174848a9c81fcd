"""A seed made in a real browser is what Python draws with, and never leaves the browser before it is opened (G7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from kernel import clock, draws, sealing
from kernel.db import session, transaction
from market import drawing
from market.custody import Custodian, CustodianKey
from market.drawing import DrawPurpose, DrawStatus
from tests.journeys import person as people

pytestmark = pytest.mark.journey
BASE = "http://localhost"


class Bridge:
    """The browser's requests, answered by the portal of this process; keeps what was sent."""

    def __init__(self, page: Page, client: Any) -> None:
        self.client = client
        self.sent: list[bytes] = []
        page.route("**/*", self.answer)

    def answer(self, route: Route, request: Request) -> None:
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.post_data_buffer
        if body:
            self.sent.append(body)
        answer = self.client.open(
            target, method=request.method, data=body, content_type=request.headers.get("content-type")
        )
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "set-cookie"}
        route.fulfill(status=answer.status_code, headers=headers, body=answer.get_data())
        answer.close()


@pytest.fixture
def identities(world: Any) -> dict[str, str]:
    found = {custodian.value: sealing.fresh_identity() for custodian in Custodian}
    parties = drawing.standard_parties(world.client_org.id)
    with transaction():
        for custodian in Custodian:
            session.add(
                CustodianKey(
                    custodian=custodian,
                    organisation_id=parties[custodian.value],
                    recipient=sealing.recipient_of(found[custodian.value]),
                    registered_at=clock.now(),
                    registered_by="测试",
                )
            )
    return found


@pytest.fixture
def number(world: Any) -> str:
    with transaction():
        return drawing.hold(
            "commission:WT-1",
            DrawPurpose.AGENCY,
            [("ZJ-000351", "湖畔环评中心"), ("ZJ-000017", "江河咨询有限公司"), ("ZJ-000102", "山川设计院")],
            1,
            "抽取一家，第一位中选，其余依次递补",
            drawing.standard_parties(world.client_org.id),
            by=world.applicant,
        ).number


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
    yield page
    context.close()
    assert faults == []


def sound(page: Page) -> None:
    """Neither too wide on a telephone, nor anything that axe finds."""
    assert page.evaluate(people._OVERFLOW) == ""
    page.evaluate(people._AXE)
    assert page.evaluate(people._RUN_AXE, list(people.AXE_TAGS)) == []


def commit(page: Page, number: str, folder: Path) -> str:
    """Save the seed, tick, press; answers the seed from the saved file."""
    page.goto(f"{BASE}/draws/{number}/commit")
    expect(page.get_by_text("种子已在您的浏览器中生成")).to_be_visible()
    with page.expect_download() as kept:
        page.get_by_role("link", name="保存种子文件").click()
    kept.value.save_as(folder / "seed.txt")
    page.get_by_label("我已保存种子").check()
    page.get_by_role("button", name="提交承诺").click()
    page.wait_for_url(f"{BASE}/draws/{number}")
    return drawing.seed_in((folder / "seed.txt").read_text(encoding="utf-8"))


def test_a_party_commits_and_opens_in_its_browser_and_the_custodians_could_have(
    world: Any, identities: dict[str, str], number: str, page: Page, client_as: Any, tmp_path: Path
) -> None:
    bridge = Bridge(page, client_as("applicant"))
    seed = commit(page, number, tmp_path)
    sound(page)
    held = drawing.find(number)
    (buyer,) = drawing.parties_of(held, world.applicant)
    assert not buyer.is_made_here
    assert buyer.commitment == draws.commitment(number, "buyer", seed)
    assert (tmp_path / "seed.txt").read_text(encoding="utf-8") == drawing.seed_file(held, "buyer", seed)
    assert seed.encode() not in b"".join(bridge.sent)
    sealed = sealing.read_sealed(
        json.dumps({"version": 1, "call": number, "sealed_by": "browser"} | buyer.sealed).encode(), number
    )[0]
    assert sealed.wraps.keys() == set(sealing.wrap_names(identities))
    for pair in sealed.wraps:
        two = {name: identities[name] for name in pair.split("+")}
        assert sealing.open_envelope(sealed.ciphertext, sealed.wraps, number, two).decode() == seed
    seeds = {}
    for party, actor in (("platform", world.operator), ("supervisor", world.supervisor)):
        with transaction():
            seeds[party] = drawing.commit_by_server(drawing.find(number, lock=True), party, by=actor)
    for party, actor in (("platform", world.operator), ("supervisor", world.supervisor)):
        with transaction():
            drawing.reveal(drawing.find(number, lock=True), party, seeds[party], by=actor)
    session.rollback()
    page.goto(f"{BASE}/draws/{number}/reveal")
    sound(page)
    page.get_by_label("或者粘贴种子").fill((tmp_path / "seed.txt").read_text(encoding="utf-8").replace("\n", ""))
    page.get_by_role("button", name="公开种子").click()
    expect(page.get_by_text("种子已公开，抽取完成。")).to_be_visible()
    sound(page)
    session.expire_all()
    assert drawing.find(number).status is DrawStatus.DRAWN
    assert drawing.record_of(drawing.find(number)).pledges[0].seed == seed


def test_the_commit_page_is_sound_and_each_visit_has_a_seed_of_its_own(number: str, page: Page, client_as: Any) -> None:
    Bridge(page, client_as("applicant"))
    pledged = set()
    for _ in range(3):
        page.goto(f"{BASE}/draws/{number}/commit")
        expect(page.get_by_text("种子已在您的浏览器中生成")).to_be_visible()
        expect(page.get_by_text("服务器生成的种子")).to_have_count(0)
        pledged.add(page.locator("[data-draw-commitment]").inner_text())
    assert len(pledged) == 3
    sound(page)


def test_whoever_forgets_to_save_the_seed_gets_its_file_with_the_commitment(
    world: Any, number: str, page: Page, client_as: Any, tmp_path: Path
) -> None:
    Bridge(page, client_as("applicant"))
    page.goto(f"{BASE}/draws/{number}/commit")
    expect(page.get_by_text("种子已在您的浏览器中生成")).to_be_visible()
    page.get_by_label("我已保存种子").check()
    with page.expect_download() as kept:
        page.get_by_role("button", name="提交承诺").click()
    kept.value.save_as(tmp_path / "seed.txt")
    page.wait_for_url(f"{BASE}/draws/{number}")
    seed = drawing.seed_in((tmp_path / "seed.txt").read_text(encoding="utf-8"))
    (buyer,) = drawing.parties_of(drawing.find(number), world.applicant)
    assert buyer.commitment == draws.commitment(number, "buyer", seed)


def test_the_script_hashes_as_python_does_also_without_the_browsers_own_hash(browser: Browser, world: Any) -> None:
    client = world.portal.test_client()
    seed = draws.fresh_seed()
    for init in ("", "Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined })"):
        context = browser.new_context()
        page = context.new_page()
        if init:
            page.add_init_script(init)
        Bridge(page, client)
        page.goto(f"{BASE}/draws")
        for party in ("buyer", "建设单位“甲” 😀"):
            made = page.evaluate(
                "([party, seed]) => import('/static/draw.js').then((script) => script.commitment('CQ-1', party, seed))",
                [party, seed],
            )
            assert made == draws.commitment("CQ-1", party, seed)
        context.close()
