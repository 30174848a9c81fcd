"""Journey 10: two bids are equal, three parties draw, and anybody repeats it with the published program."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Request

from kernel import sealing
from tests.journeys import buying
from tests.journeys.clerk import Clerk
from tests.journeys.person import KEYBOARD, NARROW, NORMAL, PLAIN, Person

pytestmark = [pytest.mark.nightly, pytest.mark.journey]
#: The two lowest are equal.
BIDS = {"agency": "70000.00", "agency2": "66000.00", "agency4": "66000.00"}
EQUAL = ("agency2", "agency4")
#: How buyer, platform and supervisor go about it: every way of using the portal at every draw.
CASTS = ((NORMAL, PLAIN, NARROW), (KEYBOARD, NARROW, PLAIN))
PARTIES = {"applicant": "采购人", "operator": "平台", "supervisor": "监督方"}


@dataclass(frozen=True)
class Tie:
    """A call whose lowest bids are equal, and the draw that began at its opening."""

    call: str
    draw: str


@pytest.fixture(scope="module")
def ties(base: str) -> list[Tie]:
    """One tie for each cast, closed together. Two custodians keep a long-term key, so that seeds are sealed for them."""
    clerk = Clerk(base)
    for login in ("operator", "supervisor"):
        keeper = clerk.as_(login)
        page = keeper.get("/custody")
        recipient = sealing.recipient_of(sealing.fresh_identity())
        keeper.submit(page, page.form("custodian", "recipient"), {"recipient": recipient})
    published = [buying.published(clerk, "bidding") for _ in CASTS]
    for call in published:
        for login, price in BIDS.items():
            buying.bid(clerk, login, call, price)
    for call in published:
        buying.close(clerk, call)
    return [Tie(call.number, _draw_of(clerk, call.number)) for call in published]


def _draw_of(clerk: Clerk, call: str) -> str:
    """The draw of a call; the scheduler opens and ranks the calls one after the other."""
    until = time.monotonic() + 30
    while True:
        page = clerk.as_(buying.BUYER).get(f"/calls/{call}/result")
        for address, _words in page.links:
            if address.startswith("/draws/CQ-"):
                return address.split("#")[0].rsplit("/", 1)[1]
        assert time.monotonic() < until, "equal bids without a draw"
        time.sleep(0.2)


@pytest.mark.parametrize("cast", range(len(CASTS)), ids=lambda place: "-".join(str(mode) for mode in CASTS[place]))
def test_a_tie_is_drawn_by_three_parties_and_repeated_by_anybody(
    cast: int, person: Callable[..., Person], ties: list[Tie], tmp_path: Path
) -> None:
    tie = ties[cast]
    parties = [person(mode, login) for mode, login in zip(CASTS[cast], PARTIES, strict=True)]
    buyer = parties[0]
    buyer.open(f"/calls/{tie.call}/result")
    buyer.press(buyer.page.locator(f"main a[href^='/draws/{tie.draw}']").first)
    listed = buyer.page.locator("#list ~ .table, section[aria-labelledby=list] table").first.inner_text()
    assert all(buying.name_of(login) in listed for login in EQUAL)
    assert buying.name_of("agency") not in listed, "only the equal ones are drawn"
    list_hash = buyer.page.locator("section[aria-labelledby=list] .hash code").first.inner_text().strip()

    seeds = [_commit(one, tie.draw, is_last=one is parties[-1]) for one in parties]
    for one, seed in zip(parties, seeds, strict=True):
        assert seed not in one.page.content()

    buyer.open(f"/draws/{tie.draw}")
    buyer.press("公开种子")
    buyer.write("seed", seeds[1])
    buyer.press("公开种子", status=422)
    assert "与其事先提交的承诺不符" in buyer.text, "a seed thought of later is not taken"
    for one, seed in zip(parties, seeds, strict=True):
        assert not one.page.locator("#result").count()
        _reveal(one, tie.draw, seed)
    assert parties[-1].page.locator("#result").count(), "the last seed draws"

    _anybody_repeats_it(person(NORMAL), tie, list_hash, seeds, tmp_path)
    buyer.open(f"/calls/{tie.call}/result")
    assert buyer.page.locator(f"main a[href^='/calls/{tie.call}/award/']").count()


def _commit(party: Person, draw: str, *, is_last: bool) -> str:
    """Save a seed, commit to it; answers the seed. Where scripts run it never leaves the browser."""
    sent: list[str] = []
    party.page.on("request", lambda request: sent.append(_body(request)))
    party.open(f"/draws/{draw}")
    assert not party.offers("公开种子"), "no seed is opened before every party has committed"
    party.press("提交承诺")
    party.press("提交承诺", status=422)
    assert party.page.locator(".error-summary a[href='#kept']").count() == 1
    if party.mode.javascript:
        party.page.locator("[data-draw-browser]").wait_for()
        assert not party.page.locator("[data-draw-server]").count()
        party.check()
    seed = _saved(party, "保存种子文件" if party.mode.javascript else "下载种子文件")
    party.tick(party.page.locator("[name=kept]"))
    sent.clear()
    party.press("提交承诺")
    commitments = party.page.locator("section[aria-labelledby=parties]").inner_text()
    assert ("服务器代为生成" if not party.mode.javascript else "本方浏览器") in commitments
    if party.mode.javascript:
        (body,) = [one for one in sent if one]
        assert seed not in body
        assert parse_qs(body)["sealed"], "the seed goes along sealed"
    assert party.offers("公开种子") is is_last
    return seed


def _saved(party: Person, words: str) -> str:
    """The seed of the file that this link or button saves."""
    place = party.find(words)
    with party.page.expect_download() as download:
        if party.mode.keyboard:
            party.reach(place)
            party.page.keyboard.press("Enter")
        else:
            place.click()
    seed = download.value.path().read_text(encoding="utf-8").splitlines()[-1]
    assert len(seed) == 64
    return seed


def _reveal(party: Person, draw: str, seed: str) -> None:
    party.open(f"/draws/{draw}")
    party.press("公开种子")
    if party.mode.width < 1280:
        party.write("seed", seed)
    else:
        party.attach("file", [(f"{draw}.seed.txt", f"# 抽取 / draw: {draw}\n{seed}\n".encode())])
    party.press("公开种子")
    assert seed in party.page.locator("section[aria-labelledby=parties]").inner_text()


def _anybody_repeats_it(reader: Person, tie: Tie, list_hash: str, seeds: list[str], folder: Path) -> None:
    reader.open("/draws")
    reader.press(tie.draw)
    for words, name in (("下载抽取记录", "draw.json"), ("下载核验工具", "verify_draw.py")):
        with reader.page.expect_download() as download:
            reader.find(words).click()
        download.value.save_as(folder / name)
    record = json.loads((folder / "draw.json").read_text(encoding="utf-8"))
    answer = _verify(folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "可复核" in answer.stdout
    assert list_hash in answer.stdout, "the list is the one published before there was a seed"
    names = {one["id"]: one["name"] for one in record["candidates"]}
    shown = reader.page.locator("section[aria-labelledby=result] tbody tr").all_inner_texts()
    assert [("抽中" in row, names[key] in row) for key, row in zip(record["order"], shown, strict=True)] == [
        (True, True),
        (False, True),
    ]
    assert sorted(one["seed"] for one in record["parties"]) == sorted(seeds)
    turned = seeds[0][:-1] + ("0" if seeds[0][-1] != "0" else "1")
    changed = (folder / "draw.json").read_text(encoding="utf-8").replace(seeds[0], turned)
    (folder / "draw.json").write_text(changed, encoding="utf-8")
    assert _verify(folder).returncode == 1, "one digit of one seed changed"


def _verify(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "verify_draw.py", "draw.json"], cwd=folder, capture_output=True, text=True, check=False
    )


def _body(request: Request) -> str:
    return request.post_data or ""
