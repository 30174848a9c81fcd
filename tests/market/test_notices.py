"""Public notices: never changed, told to subscribers, read in feeds whose validators no bid moves (001 §9.2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from kernel import notifications
from kernel.db import session, transaction
from market import calls, notices
from market.notices import NoticeKind, NoticeSubscription, Wanted
from tests.competition import CEILING, Competition
from tests.market.browsing import Plain, each_once, main

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


@pytest.fixture
def as_(client_as: Callable[[str], Any]) -> Callable[[str], Plain]:
    return each_once(client_as)


def inbox(login: str, world: Any) -> list[str]:
    lines, _total = notifications.inbox(world.people[login].id)
    return [line.subject for line in lines if line.act == "notice.published"]


def notice(kind: NoticeKind = NoticeKind.CALL, *, item: str = "ZJ-0506", region: str = "230199") -> str:
    with transaction():
        body = [{"zh": "采购编号", "en": "Call", "value": "CG-1"}]
        made = notices.publish(kind, "某项采购", body, call_number="CG-1", item_code=item, region=region)
        return made.number


@pytest.mark.parametrize(
    ("item", "region", "is_told"),
    [
        ("ZJ-0506", "", True),
        ("", "230199", True),
        ("", "230100", True),
        ("", "230000", True),
        ("ZJ-0506", "230199", True),
        ("ZJ-0502", "", False),
        ("ZJ-0506", "230200", False),
        ("ZJ-0502", "230199", False),
        ("", "", True),
    ],
)
def test_a_subscriber_is_told_of_what_was_wished_and_of_nothing_else(world, item, region, is_told):
    with transaction():
        notices.subscribe(item, region, by=world.agency_actor)
    number = notice()
    assert (inbox("agency", world) == [f"notice:{number}"]) is is_told
    assert inbox("agency2", world) == []


def test_two_wishes_that_are_met_make_one_line_and_a_rolled_back_act_makes_none(world):
    with transaction():
        notices.subscribe("ZJ-0506", "", by=world.agency_actor)
        notices.subscribe("", "230199", by=world.agency_actor)
        notices.subscribe("", "230199", by=world.agency_actor)
    assert session.scalars(select(NoticeSubscription)).all().__len__() == 2
    notice()
    assert len(inbox("agency", world)) == 1
    with pytest.raises(RuntimeError), transaction():
        notices.publish(NoticeKind.CALL, "未成", [], call_number="CG-2", item_code="ZJ-0506")
        raise RuntimeError
    assert len(inbox("agency", world)) == 1


@given(st.from_regex(r"[1-9][0-9]{5}", fullmatch=True))
def test_a_division_lies_in_itself_its_city_its_province_and_everywhere(code):
    assert all(notices.is_within(code, wished) for wished in (code, code[:4] + "00", code[:2] + "0000", ""))
    other = str((int(code[0]) % 9) + 1) + code[1:]
    assert not notices.is_within(code, other[:2] + "0000")


def test_a_person_subscribes_and_cancels_on_the_page(as_, world):
    agency = as_("agency")
    page = agency.get("/notices/subscriptions")
    wrong = agency.submit(page, page.form("region"), {"region": "哈尔滨"}, expect=422)
    assert "6 位行政区划代码" in wrong.text
    shown = agency.submit(page, page.form("region"), {"item": "ZJ-0506", "region": "230199"})
    assert "230199" in main(shown)
    number = notice()
    told = agency.get("/inbox")
    assert f"/notices/{number}" in told.text
    end = next(form for form in shown.forms if ("word", "end") in form.values)
    agency.submit(shown, end)
    notice()
    assert len(inbox("agency", world)) == 1
    assert "/sign-in" in Plain(world.portal.test_client()).get("/notices/subscriptions").url


def test_a_published_call_tells_subscribers_in_its_own_transaction(world, competition):
    with transaction():
        notices.subscribe(world.item.code, "", by=world.actor("agency2"))
    number = competition.published()
    (line,) = inbox("agency2", world)
    assert notices.find(line.partition(":")[2]).call_number == number


def test_the_list_narrows_and_names_the_filter_to_drop(world):
    client = Plain(world.portal.test_client())
    one, two = notice(), notice(NoticeKind.RESULT, item="ZJ-0502", region="230200")
    assert one in client.get("/notices?kind=call").text
    assert two not in main(client.get("/notices?item=ZJ-0506"))
    assert two in main(client.get("/notices?region=230200"))
    none = main(client.get("/notices?kind=call&item=ZJ-0502"))
    assert "没有符合全部条件的公告" in none
    assert "可以取消以下条件" in none
    assert notices.counts(Wanted(kind="call"))["kind"] == {"call": 1, "result": 1}


def test_a_notice_is_a_page_of_its_own_that_prints_its_mark(world):
    number = notice()
    page = Plain(world.portal.test_client()).get(f"/notices/{number}")
    assert "某项采购" in main(page)
    assert "CG-1" in main(page)
    assert number in page.text[page.text.index("print-only") :]


def test_feeds_say_the_same_in_atom_and_in_json(world, competition):
    number = competition.published()
    client = world.portal.test_client()
    atom = client.get("/notices.atom")
    assert atom.mimetype == "application/atom+xml"
    feed = ElementTree.fromstring(atom.get_data())  # noqa: S314  our own
    entries = feed.findall(f"{ATOM}entry")
    answer = client.get("/notices.json")
    assert answer.mimetype == "application/feed+json"
    told = json.loads(answer.get_data())
    assert told["version"] == "https://jsonfeed.org/version/1.1"
    assert [entry.findtext(f"{ATOM}id") for entry in entries] == [one["id"] for one in told["items"]]
    assert told["items"][0]["_notice"]["call"] == number
    assert feed.findtext(f"{ATOM}updated") == told["items"][0]["date_published"]
    assert json.loads(client.get("/notices.json?item=ZJ-0502").get_data())["items"] == []


@pytest.mark.parametrize("path", ["/notices.atom", "/notices.json", "/notices/{notice}"])
def test_no_bid_moves_the_validators_and_a_notice_does(world, competition, path):
    number = competition.published()
    first = notices.listed(Wanted(call=number), most=1)[0].number
    client = world.portal.test_client()
    address = path.format(notice=first)
    before = client.get(address)
    etag, modified = before.headers["ETag"], before.headers["Last-Modified"]
    login, agency = competition.agencies_named(1)[0]
    competition.bid(number, login, agency, CEILING - 1)
    again = client.get(address, headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.get_data() == b""
    assert client.get(address).headers["Last-Modified"] == modified
    with transaction():
        calls.amend(competition.find(number, lock=True), by=competition.buyer, reason="换人", contact="陈女士")
    assert client.get(address, headers={"If-None-Match": etag}).status_code == 200
