"""The pages of sealed bids and of custodians over HTTP, as a browser without scripts sends them."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zipfile
from datetime import timedelta
from typing import Any

import pytest

from kernel import money, sandbox, sealing
from kernel.db import session, transaction
from kernel.web.once import Attempt
from market import bidding, calls, custody
from market.bidding import Outcome
from market.commissions import CommissionStatus
from market.custody import Custodian
from tests.competition import Competition
from tests.conftest import small_pdf


@pytest.fixture
def competition(world: Any) -> Competition:
    return Competition(world)


def main_of(answer: Any) -> str:
    text: str = answer.get_data(as_text=True)
    return text[text.index("<main") :]


def token_of(page: str, place: int = 0) -> str:
    return re.findall(r'name="act" value="([^"]+)"', page)[place]


def asked(page: str) -> list[str]:
    """The names of the fields that a person sees at once: not hidden, not folded away."""
    form = page[page.index("data-sealing-plain") : page.index("data-sealing-done")]
    form = re.sub(r"<details>.*?</details>", "", form, flags=re.S)
    fields = re.findall(r"<(?:input|select|textarea)[^>]*>", form)
    return [
        re.search(r'name="([\w-]+)"', one)[1] for one in fields if " hidden" not in one and 'type="hidden"' not in one
    ]


def seal_here(client: Any, number: str, **fields: Any) -> str:
    """Fill in the form without scripts; answers the page on which the bid is checked."""
    page = main_of(client.get(f"/calls/{number}/bid"))
    answer = client.post(
        f"/calls/{number}/bid",
        data={"act": token_of(page), "price": "120,000", "working_days": "15", "statement": ""} | fields,
        content_type="multipart/form-data",
    )
    assert answer.status_code == 200, main_of(answer)
    return main_of(answer)


def hand_in(client: Any, number: str, page: str) -> Any:
    payload = html.unescape(re.search(r'name="sealed_here" value="([^"]+)"', page)[1])
    return client.post(
        f"/calls/{number}/bid",
        data={"act": token_of(page), "sealed_here": payload},
        content_type="multipart/form-data",
    )


def test_without_scripts_the_server_seals_shows_the_amount_in_words_and_stores_nothing_yet(client_as, competition):
    number = competition.published()
    client = client_as("agency")
    page = seal_here(client, number, price="１２．５万", statement="分三期提交")
    assert "¥125,000.00" in page
    assert money.chinese(12_500_000) in page
    assert "AGE-SECRET-KEY-1" in page
    assert bidding.own(competition.find(number), competition.world.agency) == []
    assert session.query(Attempt).count() == 0  # not even a digest of the price
    answer = hand_in(client, number, page)
    assert answer.status_code == 303
    again = hand_in(client, number, page)  # double click, back, refresh
    assert again.location == answer.location
    (bid,) = bidding.own(competition.find(number), competition.world.agency)
    assert (bid.sealed_by, answer.location) == (sealing.SealedBy.SERVER, f"/bids/{bid.token}")
    receipt = main_of(client.get(answer.location))
    assert bid.sha256 in receipt
    assert "125,000" not in receipt
    assert "服务器封装" in receipt
    kept = client.get(f"/bids/{bid.token}/receipt.json")
    sealing.verify_receipt(json.loads(kept.data))
    competition.closed(number)
    competition.opened(number)
    (found,) = bidding.opened(competition.find(number))
    assert (found.outcome, found.price, found.content["statement"]) == (Outcome.OPENED, 12_500_000, "分三期提交")


def test_a_first_bid_asks_three_things_and_the_next_one(client_as, competition):
    number = competition.published()
    client = client_as("agency")
    assert asked(main_of(client.get(f"/calls/{number}/bid"))) == ["price", "working_days", "statement"]
    hand_in(client, number, seal_here(client, number))
    page = main_of(client.get(f"/calls/{number}/bid"))
    assert asked(page) == ["price"]
    assert 'name="working_days" type="text" value="20"' in page  # the notice's own, to be changed if need be


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"price": "十二万"}, "金额“十二万”无法识别"),
        ({"price": "0"}, "报价应大于 0"),
        ({"price": "300,000.01"}, "高于最高限价 ¥300,000.00"),
        ({"working_days": "21"}, "工作日数不能超过公告规定的 20 个"),
        ({"working_days": ""}, "工作日数“”无法识别"),
    ],
)
def test_what_would_not_count_is_said_before_sealing_and_what_was_typed_stays(client_as, competition, fields, message):
    number = competition.published()
    client = client_as("agency")
    page = main_of(client.get(f"/calls/{number}/bid"))
    answer = client.post(
        f"/calls/{number}/bid",
        data={"act": token_of(page), "price": "120,000", "working_days": "15", "statement": "三期"} | fields,
    )
    assert answer.status_code == 422
    text = html.unescape(main_of(answer))
    assert message in text
    assert "三期" in text
    assert 'aria-invalid="true"' in text


def test_a_file_sealed_offline_with_the_calls_public_keys_is_handed_in(client_as, competition):
    number = competition.published()
    client = client_as("agency")
    keys = sealing.read_call(competition.world.portal.test_client().get(f"/calls/{number}/keys.json").data)
    sealed = sealing.seal(competition.content(number, competition.world.agency, 11_000_000), keys.call, keys.recipients)
    raw = sealing.write_sealed(sealed, number, sealing.SealedBy.OFFLINE)
    page = main_of(client.get(f"/calls/{number}/bid"))

    def send(content: bytes, **more: str) -> Any:
        data = {"act": token_of(page, 1), "sealed": (io.BytesIO(content), "a.sealed.json")} | more
        return client.post(f"/calls/{number}/bid", data=data, content_type="multipart/form-data")

    for wrong in (b"{}", b"\x00", raw.replace(number.encode(), b"CG-2026-999999")):
        answer = send(wrong)
        assert answer.status_code == 422
        assert 'id="sealed-error"' in main_of(answer)
    assert send(raw, price="110,000").status_code == 422  # nothing readable beside it
    answer = send(raw)
    assert answer.status_code == 303
    assert bidding.own(competition.find(number), competition.world.agency)[0].sha256 == sealed.sha256


def test_an_agency_that_may_not_bid_reads_why_instead_of_a_form(client_as, competition):
    number = competition.published()
    with transaction():
        agency = session.merge(competition.world.agency)
        agency.regions = ["外省市"]
    page = main_of(client_as("agency").get(f"/calls/{number}/bid"))
    assert "项目所在地不在机构的服务区域内" in page
    assert "data-sealing-plain" not in page
    outsider = main_of(client_as("agency3").get(f"/calls/{number}/bid"))
    assert "贵单位尚未入驻中介服务超市" in outsider


def test_the_page_says_what_the_secrecy_does_not_cover(client_as, competition):
    client = client_as("agency")
    three = main_of(client.get(f"/calls/{competition.published()}/bid"))
    assert "篡改网页脚本，或两方保管人合谋，可以提前查看" in three
    assert "数据库管理员可以看到报价的行数" in three
    alone = main_of(client.get(f"/calls/{competition.published(ceiling=9_000_000)}/bid"))
    assert "由平台单独保管" in alone
    assert "合谋" not in alone


def test_anothers_bid_is_not_there(client_as, competition):
    number = competition.published()
    owner, rival = client_as("agency"), client_as("agency2")
    location = hand_in(owner, number, seal_here(owner, number)).location
    for path in (location, f"{location}/receipt.json", f"{location}/withdraw", f"{location}/confirm"):
        assert owner.get(path).status_code == 200
        assert rival.get(path).status_code == 404
    assert location not in main_of(rival.get("/bids"))
    assert location in main_of(owner.get("/bids"))
    assert rival.post(f"{location}/withdraw", data={"act": "12345678"}).status_code == 404


def test_a_bid_is_withdrawn_and_after_a_correction_confirmed_on_pages_of_their_own(client_as, competition):
    number = competition.published()
    client = client_as("agency")
    location = hand_in(client, number, seal_here(client, number)).location
    with transaction():
        calls.amend(
            competition.find(number, lock=True),
            by=competition.buyer,
            reason="核减",
            ceiling=25_000_000,
            closing_at=competition.find(number).closing_at + timedelta(days=14),
        )
    page = main_of(client.get(location))
    assert "待确认" in page
    assert f"{location}/confirm" in page
    sure = main_of(client.get(f"{location}/confirm"))
    assert client.post(f"{location}/confirm", data={"act": token_of(sure)}).status_code == 303
    assert f"{location}/confirm" not in main_of(client.get(location))
    assert bidding.count_standing(competition.find(number)) == 1
    sure = main_of(client.get(f"{location}/withdraw"))
    assert client.post(f"{location}/withdraw", data={"act": token_of(sure)}).status_code == 303
    assert bidding.count_standing(competition.find(number)) == 0


def test_files_of_a_bid_never_touch_the_disk_unsealed(client_as, competition, monkeypatch):
    """The framework keeps an upload above 500 KB in a temporary file; here it must not."""
    import tempfile

    number = competition.published()
    client = client_as("agency")

    def refuse(*_arguments: Any, **_options: Any) -> Any:
        raise AssertionError("a temporary file")

    page = main_of(client.get(f"/calls/{number}/bid"))
    fields = {"act": token_of(page), "price": "120,000", "working_days": "15"}
    # Put together by hand: the test client itself would use a temporary file for a body of this size.
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    head = 'Content-Disposition: form-data; name="files"; filename="方案.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
    parts.append(head.encode() + small_pdf("方案") + b"%" * 600_000)
    body = b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts) + b"--cut--\r\n"
    with monkeypatch.context() as watched:
        for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
            watched.setattr(tempfile, name, refuse)
        watched.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)
        watched.setattr("werkzeug.formparser.TemporaryFile", refuse, raising=False)
        answer = client.post(f"/calls/{number}/bid", data=body, content_type="multipart/form-data; boundary=cut")
    assert answer.status_code == 200, main_of(answer)
    assert "方案.pdf" in main_of(answer)


# Custodians


def test_custodians_register_give_and_hand_in_over_pages_and_the_second_key_opens(client_as, competition):
    world = competition.world
    number = competition.needed()
    people = {
        Custodian.BUYER: client_as("applicant"),
        Custodian.PLATFORM: client_as("operator"),
        Custodian.SUPERVISOR: client_as("supervisor"),
    }
    long_term, kept = {}, {}
    for which, client in people.items():
        long_term[which] = sealing.fresh_identity()
        page = main_of(client.get("/custody"))
        assert number in page
        assert "待提供密钥" in page
        data = {"act": token_of(page), "custodian": which.value}
        wrong = client.post("/custody", data=data | {"recipient": long_term[which]})
        assert wrong.status_code == 422
        assert long_term[which] not in main_of(wrong)
        data |= {"recipient": sealing.recipient_of(long_term[which])}
        assert client.post("/custody", data=data).status_code == 303
        kept[which] = sealing.fresh_identity()
        protected = sealing.protect(kept[which], number, sealing.recipient_of(long_term[which]))
        page = main_of(client.get(f"/custody/{number}"))
        answer = client.post(
            f"/custody/{number}",
            data={
                "act": token_of(page),
                "custodian": which.value,
                "do": "provide",
                "recipient": sealing.recipient_of(kept[which]),
                "protected": base64.b64encode(protected).decode(),
            },
        )
        assert answer.status_code == 303
        assert "flask bids call-keys" in page
    with transaction():
        calls.publish(competition.find(number, lock=True), by=competition.buyer)
    competition.bid(number, "agency", world.agency, 10_000_000)
    visitor = world.portal.test_client()
    assert visitor.get(f"/calls/{number}/opening.zip").status_code == 404
    competition.closed(number)
    page = main_of(visitor.get(f"/calls/{number}/opening"))
    assert "1 份" in page
    assert world.agency.name not in page
    for which in (Custodian.SUPERVISOR, Custodian.BUYER):
        client = people[which]
        page = main_of(client.get(f"/custody/{number}"))
        stored = re.search(r'data-protected="([^"]+)"', page)[1]
        identity = sealing.recover(base64.b64decode(stored), number, long_term[which])
        assert identity == kept[which]
        data = {"act": token_of(page), "custodian": which.value, "do": "hand_in"}
        assert client.post(f"/custody/{number}", data=data | {"key": long_term[which]}).status_code == 422
        answer = client.post(f"/custody/{number}", data=data | {"key": identity})
        assert answer.status_code == 303
        if which is Custodian.SUPERVISOR:
            assert competition.find(number).opened_at is None
            assert "已交出密钥" in main_of(visitor.get(f"/calls/{number}/opening"))
        session.expire_all()
    assert answer.location == f"/calls/{number}/opening"
    page = main_of(visitor.get(answer.location))
    assert world.agency.name in page
    assert "¥100,000.00" in page
    assert money.chinese(10_000_000) in page
    archive = visitor.get(f"/calls/{number}/opening.zip")
    with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
        assert {"opening/keys/buyer.txt", "opening/keys/supervisor.txt"} <= set(opened.namelist())


def test_a_stranger_is_no_custodian_of_others_calls(client_as, competition):
    number = competition.needed()
    stranger, buyer = client_as("applicant2"), client_as("applicant")
    assert stranger.get(f"/custody/{number}").status_code == 404
    assert number not in main_of(stranger.get("/custody"))
    page = main_of(buyer.get("/custody"))
    answer = buyer.post("/custody", data={"act": token_of(page), "custodian": "platform", "recipient": "age1"})
    assert answer.status_code == 404


def test_a_draft_is_no_public_call(client_as, competition):
    number = competition.needed()
    competition.keyed(number)
    visitor, buyer = competition.world.portal.test_client(), client_as("applicant")
    for path in ("keys.json", "opening", "opening.zip"):
        assert visitor.get(f"/calls/{number}/{path}").status_code == 404
        assert buyer.get(f"/calls/{number}/{path}").status_code == 404
    assert client_as("agency").get(f"/calls/{number}/bid").status_code == 404


def test_scripts_of_sealing_are_on_these_pages_alone_and_the_policy_stays_strict(client_as, competition):
    number = competition.published()
    client = client_as("agency")
    page = client.get(f"/calls/{number}/bid")
    assert "sealing.js" in page.get_data(as_text=True)
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "custody.js" in client_as("supervisor").get("/custody").get_data(as_text=True)
    for path in ("/", f"/calls/{number}/opening", "/bids"):
        text = client.get(path).get_data(as_text=True)
        assert "sealing.js" not in text
        assert "age-encryption" not in text


def test_late_by_the_clock_is_said_on_the_form_too(client_as, competition):
    number = competition.published()
    client = client_as("agency")
    page = seal_here(client, number)
    closing = competition.find(number).closing_at
    with transaction():
        sandbox.start_at(closing + timedelta(seconds=1))
    sandbox.move_to(closing + timedelta(seconds=2))
    answer = hand_in(client, number, page)
    assert answer.status_code == 409
    assert "报价已于" in main_of(answer)
    assert competition.find(number).commission.status != CommissionStatus.OPEN
    assert custody.identities(competition.find(number).id) == {}
