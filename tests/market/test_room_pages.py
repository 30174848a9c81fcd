"""The live room over HTTP: what each watcher is shown and when, the form without script, the short stream (journey 9)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from kernel import clock
from kernel.accounts.sign_in import LONGEST_SESSION
from market import rounds
from market.rounds import AuctionStatus
from market.web import round_commands
from tests.auctions import EXAMPLE, Auctions

TURN_A, TURN_B, ROUND_2 = 300, 420, 660
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def auctions(world: Any, monkeypatch: pytest.MonkeyPatch) -> Auctions:
    return Auctions(world, monkeypatch)


@pytest.fixture
def people(client_as: Callable[[str], FlaskClient]) -> Callable[[str], FlaskClient]:
    """Each person's own browser: a one-time code opens one session."""
    return cache(client_as)


def state(client: Any, number: str) -> dict[str, Any]:
    """The event of one answer of the stream."""
    answer = client.get(f"/calls/{number}/room/events")
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    body = answer.get_data(as_text=True)
    assert body.endswith("\n\n")
    lines = dict(line.split(": ", 1) for line in body.strip().split("\n"))
    assert set(lines) == {"retry", "event", "data"}
    return json.loads(lines["data"]) | {"retry": int(lines["retry"])}


def press(client: Any, number: str, **fields: str) -> Any:
    """Fill in the form of the page as a browser without script does."""
    page = client.get(f"/calls/{number}/room").get_data(as_text=True)
    token = re.search(r'name="act" value="([^"]+)"', page)
    assert token
    return client.post(f"/calls/{number}/room", data={"act": token[1]} | fields)


def is_open(page: str) -> bool:
    return re.search(r"<fieldset data-room-form>", page) is not None


def test_room_tells_start_rules_and_own_label_before_the_rounds(auctions, people):
    number = auctions.opened()
    auctions.hold(number, -600)
    agency = people("agency2")
    page = agency.get(f"/calls/{number}/room").get_data(as_text=True)
    assert "竞价尚未开始" in page
    assert "2026年3月3日 10:00:00（北京时间）" in page
    assert "您是报价人 2。" in page
    assert not is_open(page)
    assert "本轮报价不得高于" in page
    assert "¥100.00" in page  # own price less the step
    assert "壹佰元整" in page
    assert f'href="/calls/{number}/room"' in page  # the link that loads it again
    told = state(agency, number)
    assert told["turn"] is False
    assert told["ends"] == round(auctions.find(number).starts_at.timestamp() * 1000)


def test_stream_asks_seldom_long_before_the_rounds_and_every_second_during_them(auctions, people):
    number = auctions.opened()
    supervisor = people("supervisor")
    auctions.hold(number, -3600)
    assert state(supervisor, number)["retry"] == 15_000
    auctions.hold(number, -60)
    assert state(supervisor, number)["retry"] == 1_000
    auctions.hold(number, TURN_A + 1)
    assert state(supervisor, number)["retry"] == 1_000


def test_price_is_entered_by_the_plain_form_and_seen_by_others_when_the_turn_ends(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    mover, rival, buyer = people("agency"), people("agency2"), people("applicant")
    assert is_open(mover.get(f"/calls/{number}/room").get_data(as_text=True))
    assert not is_open(rival.get(f"/calls/{number}/room").get_data(as_text=True))
    answer = press(mover, number, price="１００．５０元")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/calls/{number}/room")
    page = mover.get(f"/calls/{number}/room").get_data(as_text=True)
    assert "报价已接受" in page
    assert "您本轮已报 ¥100.50（壹佰元伍角整）" in page
    assert state(mover, number)["pending"] is True
    for other in (rival, buyer):
        assert "100.50" not in state(other, number)["html"]
    auctions.hold(number, TURN_B + 1)
    for other in (rival, buyer):
        assert "¥100.50" in state(other, number)["html"]
    assert state(rival, number)["turn"] is True


def test_refusals_stand_at_the_field_with_what_was_typed(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    mover = people("agency")
    for typed, words, status in (
        ("109.01", "报价降幅不足：本次报价不得高于 ¥109.00", 422),
        ("一百", "金额“一百”无法识别", 422),
    ):
        answer = press(mover, number, price=typed)
        page = answer.get_data(as_text=True)
        assert answer.status_code == status
        assert "<title>错误：" in page
        assert words in page
        assert f'value="{typed}"' in page
    assert [entry.refused for entry in rounds.entries_of(auctions.find(number))] == ["step_not_met"]
    answer = press(people("agency2"), number, price="90")
    assert answer.status_code == 422
    assert "现在不是您的报价时段" in answer.get_data(as_text=True)
    answer = press(mover, number, take_back="1")
    assert answer.status_code == 409
    assert "没有可撤回的报价" in answer.get_data(as_text=True)


def test_abnormally_low_price_is_asked_about_and_then_taken(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    mover = people("agency")
    assert 'data-room-low="3980" hidden' in mover.get(f"/calls/{number}/room").get_data(as_text=True)
    answer = press(mover, number, price="39.79")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'data-room-low="3980">' in page
    assert "确认报价的，请勾选后再次提交" in page
    assert press(mover, number, price="39.79", will_justify="1").status_code == 303
    (entry,) = rounds.entries_of(auctions.find(number))
    assert entry.is_low


def test_double_click_enters_once_and_the_price_can_be_taken_back(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    mover = people("agency")
    page = mover.get(f"/calls/{number}/room").get_data(as_text=True)
    token = re.search(r'name="act" value="([^"]+)"', page)[1]
    for _ in range(2):
        assert mover.post(f"/calls/{number}/room", data={"act": token, "price": "100"}).status_code == 303
    assert len(rounds.entries_of(auctions.find(number))) == 1
    assert press(mover, number, price="", take_back="1").status_code == 303
    assert state(mover, number)["pending"] is False


def test_only_those_concerned_watch_and_the_public_comes_after_the_end(auctions, people, portal):
    number = auctions.opened(EXAMPLE[:2])
    auctions.hold(number, TURN_A + 1)
    paths = [f"/calls/{number}/room", f"/calls/{number}/room/events"]
    for login in ("agency", "applicant", "supervisor", "auditor"):
        assert [people(login).get(path).status_code for path in paths] == [200, 200]
    for login in ("agency3", "applicant2"):
        assert [people(login).get(path).status_code for path in paths] == [404, 404]
        assert people(login).post(paths[0], data={"act": "x" * 20, "price": "1"}).status_code in {403, 404}
    visitor = portal.test_client()
    assert all(visitor.get(path).headers["Location"].startswith("/sign-in") for path in paths)
    after = [f"/calls/{number}/rounds", f"/calls/{number}/rounds.json"]
    assert [client.get(path).status_code for client in (visitor, people("supervisor")) for path in after] == [404] * 4
    auctions.through(number)
    assert [visitor.get(path).status_code for path in after] == [200, 200]
    assert people("agency").get(paths[0]).headers["Location"] == after[0]
    assert state(people("agency2"), number)["finished"] is True


def test_no_page_names_a_bidder_while_the_rounds_run(auctions, people, portal):
    """Every page and feed that a watcher or a stranger can open, while the second turn runs."""
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    assert press(people("agency"), number, price="100").status_code == 303
    auctions.hold(number, TURN_B + 1)
    auction = auctions.find(number)
    commission = auction.call.commission.number
    shorts = [(one.agency.name, one.bid.token, one.agency.organisation_id) for one in auction.bidders]
    paths = [
        f"/calls/{number}",
        f"/calls/{number}/room",
        f"/calls/{number}/room/events",
        f"/calls/{number}/result",
        f"/calls/{number}/opening",
        f"/calls/{number}/opening.zip",
        f"/commissions/{commission}",
        f"/api/v1/commissions/{commission}",
        f"/api/v1/calls/{number}",
        f"/api/v1/commissions/{commission}/trail",
        "/inbox",
        "/notices",
        "/notices.json",
        "/notices.atom",
    ]
    told = []
    for login in ("agency", "agency2", "applicant", "supervisor", "auditor", ""):
        client = people(login) if login else portal.test_client()
        own = auctions.world.actor(login).organisation_id if login else None
        for path in paths:
            body = client.get(path).get_data(as_text=True)
            told += [
                (login, path, word)
                for name, token, organisation in shorts
                for word in (name, token)
                if organisation != own and word in body
            ]
    assert told == []


def test_result_page_names_all_and_its_record_replays(auctions, people, portal, tmp_path):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    mover = people("agency")
    press(mover, number, price="109.50")
    press(mover, number, price="97.00")
    auctions.through(number)
    visitor = portal.test_client()
    page = visitor.get(f"/calls/{number}/rounds").get_data(as_text=True)
    auction = auctions.find(number)
    assert all(one.agency.name in page for one in auction.bidders)
    assert "¥97.00" in page
    assert "降幅不足，未接受" in page
    assert "flask rounds replay" in page
    file = tmp_path / "record.json"
    file.write_bytes(visitor.get(f"/calls/{number}/rounds.json").get_data())
    done = CliRunner().invoke(round_commands.group, ["replay", str(file)])
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert answer["winner"] == auction.result[-1]["bid"] == auction.bidders[0].bid.token
    assert [one["code"] for one in answer["refused"]] == ["step_not_met"]


def test_session_that_would_end_within_the_turn_is_told_from_110_seconds_before_it(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A - 109)
    agency = people("agency")
    room = f"/calls/{number}/room"
    assert "会在您的报价时段内失效" not in agency.get(room).get_data(as_text=True)
    with agency.session_transaction() as cookie:
        cookie["since"] = (clock.machine() - LONGEST_SESSION + timedelta(seconds=200)).timestamp()
    assert "会在您的报价时段内失效" in agency.get(room).get_data(as_text=True)
    assert "会在您的报价时段内失效" in state(agency, number)["html"]
    auctions.patch.setattr(
        rounds.live, "_now", lambda: auctions.find(number).starts_at + timedelta(seconds=TURN_A - 111)
    )
    assert "会在您的报价时段内失效" not in agency.get(room).get_data(as_text=True)


def test_bidder_back_after_forty_seconds_offline_finds_turn_and_price(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 5)
    agency = people("agency")
    press(agency, number, price="100")
    auctions.hold(number, TURN_A + 45)
    told = state(people("agency"), number)
    assert (told["turn"], told["pending"]) == (True, True)
    assert "¥100.00" in told["html"]


def test_void_rounds_lead_to_the_new_date(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 10)
    auctions.hold(number, TURN_B + 130)
    page = people("agency").get(f"/calls/{number}/room").get_data(as_text=True)
    assert auctions.find(number).status is AuctionStatus.PLANNED
    assert "2026年3月4日 10:00:00（北京时间）" in page
    inbox = people("agency").get("/inbox").get_data(as_text=True)
    assert "本场竞价作废" in inbox
    assert f"/calls/{number}/room" in inbox


def test_english_room_speaks_english(auctions, people):
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    page = people("agency").get(f"/calls/{number}/room?lang=en").get_data(as_text=True)
    assert "Bidder 1&#39;s turn." in page
    main = page[page.index("<main") : page.index("<footer")]
    left = set(re.findall(r"[\u4e00-\u9fff]+", re.sub(r"<[^>]+>", "", main)))
    assert left == {"云栖里住宅项目水土保持方案编制", "壹佰零玖元整"}


def test_stream_is_a_short_answer_that_ends(auctions, people):
    """Its length is known when it begins: no thread and no connection is held until something happens."""
    number = auctions.opened()
    auctions.hold(number, TURN_A + 1)
    answer = people("agency").get(f"/calls/{number}/room/events")
    assert int(answer.headers["Content-Length"]) == len(answer.get_data())
    assert "no-store" in answer.headers["Cache-Control"]


def test_script_of_the_room_is_small() -> None:
    import gzip

    assert len(gzip.compress((ROOT / "static" / "room.js").read_bytes())) <= 6 * 1024
