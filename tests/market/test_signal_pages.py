"""The pages of the conduct signals: the supervisor works, the auditor reads, nobody else learns that there is one."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import openpyxl
import pytest

from kernel import trail
from kernel.db import session, transaction
from market import signals
from market.signals import Signal, SignalKind, SignalStatus
from tests.market.conduct import ORDINARY, SHORTS, Conduct, Entry


@pytest.fixture
def conduct(world: Any) -> Conduct:
    return Conduct(world)


@pytest.fixture
def number(conduct: Conduct) -> str:
    """Two signals: three rivals on one device, and two with one telephone; answers the first's number."""
    with transaction():
        for short in SHORTS[:2]:
            session.merge(conduct.agencies[short].organisation).telephone = "0451-99990000"
    call = conduct.opened({s: Entry(ORDINARY[i], device="laptop", early=30 + i) for i, s in enumerate(SHORTS[:3])})
    found = conduct.scan(call)
    assert [one.kind for one in found] == [SignalKind.DEVICE, SignalKind.CONTACT]
    return found[0].number


def text(client: Any, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return str(answer.get_data(as_text=True))


def main_of(page: str) -> str:
    return page[page.index("<main") : page.index("</main>")]


def hidden(page: str) -> dict[str, str]:
    found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', main_of(page)))
    return {name: found[name] for name in ("act", "version")}


def test_the_supervisor_finds_the_list_in_the_menu_with_serious_ones_first(
    client_as: Any, conduct: Conduct, number: str
) -> None:
    client = client_as("supervisor")
    assert 'href="/signals"' in text(client, "/")
    page = main_of(text(client, "/signals"))
    assert page.index("设备相同") < page.index("登记信息相同", page.index("<table"))
    assert "3 家机构的报价由同一设备提交" in page
    assert f'href="/signals/{number}"' in page
    assert "重点核查" in page
    assert "共 2 行" in page


def test_filters_narrow_the_list_by_kind_item_agency_and_state(
    client_as: Any, world: Any, conduct: Conduct, number: str
) -> None:
    client = client_as("supervisor")
    third = conduct.agencies["天衡"].number
    rows = {
        "kind=device": 1,
        "kind=contact": 1,
        "kind=rotation": 0,
        f"agency={third}": 1,
        f"agency={conduct.agencies['清源'].number}": 2,
        "agency=JG-0": 0,
        f"item={world.item.code}": 2,
        "item=ZJ-0000": 0,
        "state=dismissed": 0,
        "state=all": 2,
        "state=nonsense&kind=nonsense&page=x": 2,
    }
    for query, count in rows.items():
        page = main_of(text(client, f"/signals?{query}"))
        assert page.count('<th scope="row"') == count, query
        if count == 0:
            assert "没有" in page
    assert "没有符合条件的线索" in main_of(text(client, "/signals?kind=rotation"))
    assert "这一状态下没有线索" in main_of(text(client, "/signals?state=dismissed"))


def test_an_empty_desk_says_when_signals_come(client_as: Any, world: Any) -> None:
    assert "没有待核查的线索" in main_of(text(client_as("supervisor"), "/signals"))


def test_pages_follow_each_other_without_losing_a_signal(
    client_as: Any, conduct: Conduct, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market.web.signals.PAGE_SIZE", 1)
    client = client_as("supervisor")
    first, second = (main_of(text(client, f"/signals?page={page}")) for page in (1, 2))
    assert "第 1 / 2 页" in first
    numbers = [re.findall(r'href="/signals/(XS-[0-9-]+)"', page) for page in (first, second)]
    assert [len(found) for found in numbers] == [1, 1]
    assert numbers[0] != numbers[1]


def test_one_signal_shows_its_evidence_in_words_and_as_a_table(client_as: Any, conduct: Conduct, number: str) -> None:
    client = client_as("supervisor")
    page = main_of(text(client, f"/signals/{number}"))
    assert "3 家机构的报价由同一设备提交" in page
    rows = re.findall(r'<th scope="row">([^<]+)</th>', page)
    assert rows == [conduct.agencies[short].name for short in reversed(SHORTS[:3])]  # in the order of receipt
    assert page.count("（北京时间）") >= 3
    assert "线索不等于认定" in page
    assert "发现行为线索" in page
    english = text(client, f"/signals/{number}?lang=en")
    assert "Bids of 3 agencies came from one device" in english
    assert "Same device" in english


@pytest.mark.parametrize("kind", SignalKind)
def test_every_kind_explains_itself_in_both_languages(kind: SignalKind) -> None:
    from market.web.signals import ABOUT

    assert all(len(words) > 20 for words in ABOUT[kind])


def test_dismissal_needs_a_reason_acts_once_and_is_shown_with_it(
    client_as: Any, world: Any, conduct: Conduct, number: str
) -> None:
    client = client_as("supervisor")
    url = f"/signals/{number}/dismiss"
    sent = hidden(text(client, url))
    refused = client.post(url, data=sent | {"reason": "  "})
    page = refused.get_data(as_text=True)
    assert refused.status_code == 422
    assert 'href="#reason"' in page
    assert "请写明排除理由" in page
    sent = hidden(page)
    answers = [client.post(url, data=sent | {"reason": "三家同在一处培训，已核实"}) for _turn in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert {answer.location for answer in answers} == {f"/signals/{number}"}
    page = main_of(text(client, f"/signals/{number}"))
    assert page.count("三家同在一处培训，已核实") == 2  # the state, and the trail
    assert "已排除" in page
    assert "/dismiss" not in page
    acts = [act.act for act in trail.of(f"signal:{number}")]
    assert acts == ["signal.found", "signal.dismissed"]
    assert client.get(url).status_code == 409
    assert "共 1 行" in main_of(text(client, "/signals"))
    assert f'href="/signals/{number}"' in text(client, "/signals?state=dismissed")


def test_a_dismissal_over_newer_evidence_is_refused_and_keeps_the_text(
    client_as: Any, conduct: Conduct, number: str
) -> None:
    client = client_as("supervisor")
    url = f"/signals/{number}/dismiss"
    sent = hidden(text(client, url))
    answer = client.post(url, data=sent | {"version": "7", "reason": "不要丢失这句话"})
    assert answer.status_code == 409
    assert "不要丢失这句话" in answer.get_data(as_text=True)
    session.expire_all()
    found = session.query(Signal).filter_by(number=number).one()
    assert found.status is SignalStatus.OPEN


def test_the_downloads_hold_the_rows_of_the_list(client_as: Any, conduct: Conduct, number: str) -> None:
    client = client_as("auditor")
    plain = list(csv.reader(io.StringIO(client.get("/signals.csv").get_data().decode("utf-8-sig"))))
    book = openpyxl.load_workbook(io.BytesIO(client.get("/signals.xlsx").get_data()))
    sheet = [[cell or "" for cell in row] for row in book.active.values]
    assert plain == sheet
    assert len(plain) == 3
    assert (plain[1][0], plain[1][1], plain[1][3]) == (number, "设备相同", "待核查")
    filtered = client.get("/signals.csv?kind=contact").get_data().decode("utf-8-sig")
    assert filtered.count("\r\n") == 2
    page = text(client, "/signals?kind=contact")
    assert "/signals.csv?kind=contact" in page


def test_the_auditor_reads_and_is_offered_no_dismissal(client_as: Any, conduct: Conduct, number: str) -> None:
    client = client_as("auditor")
    assert "/dismiss" not in text(client, f"/signals/{number}")
    assert client.get(f"/signals/{number}/dismiss").status_code == 403
    assert client.post(f"/signals/{number}/dismiss", data={"reason": "看过", "act": "x" * 20}).status_code == 403


@pytest.mark.parametrize("login", ["agency", "operator"])
def test_nobody_else_can_tell_a_signal_that_exists_from_one_that_does_not(
    client_as: Any, conduct: Conduct, number: str, login: str
) -> None:
    client = client_as(login)
    for address in ("/signals/{}", "/signals/{}/dismiss"):
        real, unreal = client.get(address.format(number)), client.get(address.format("XS-2026-999999"))
        assert real.status_code == unreal.status_code == 403
        assert _same(real) == _same(unreal)
        assert number not in _same(real)
    for address in ("/signals", "/signals.csv", "/signals.xlsx"):
        assert client.get(address).status_code == 403


def _same(answer: Any) -> str:
    """A page without what differs from one request to the next: its address, its number of reference and times."""
    page = re.sub(r"XS-[0-9-]+", "", str(answer.get_data(as_text=True)))
    return re.sub(r'(name="csrf_token" value="|<code>)[^"<]*', "", page)


def test_a_visitor_is_led_to_sign_in_whatever_is_asked_for(world: Any, conduct: Conduct, number: str) -> None:
    client = world.portal.test_client()
    for one in (number, "XS-2026-999999"):
        answer = client.get(f"/signals/{one}")
        assert (answer.status_code, answer.location.startswith("/sign-in")) == (303, True)


def test_no_page_of_a_bidder_hints_at_a_signal(client_as: Any, conduct: Conduct, number: str) -> None:
    """Menu, inbox, own desk, the agency's public page, and the public's search."""
    client = client_as("agency")
    own = conduct.agencies["清源"].number
    for url in ("/", "/inbox", "/desk", "/account", f"/agencies/{own}", "/agencies", f"/services?q={number}"):
        page = text(client, url).replace(number, "") if "q=" in url else text(client, url)
        assert number not in page, url
        assert "/signals" not in page, url
        assert "线索" not in page, url


def test_the_supervisors_inbox_leads_to_the_signal(client_as: Any, conduct: Conduct, number: str) -> None:
    page = text(client_as("supervisor"), "/inbox")
    assert f'href="/signals/{number}"' in page
    assert signals.SignalKind.DEVICE.zh in page
