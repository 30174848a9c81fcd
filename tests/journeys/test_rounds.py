"""Journey 9: three live rounds at three browsers; one goes offline in its turn, one comes late."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from integration.visitor import Visitor
from tests.journeys import buying
from tests.journeys.clerk import Clerk
from tests.journeys.person import KEYBOARD, NARROW, NORMAL, PLAIN, Mode, Person

pytestmark = [pytest.mark.nightly, pytest.mark.journey]
#: Agency's account → opening price in yuan; the highest has the first turn.
OPENING = {"agency": "78000.00", "agency2": "76000.00", "agency4": "75000.00"}
NAMES = tuple(buying.name_of(login) for login in OPENING)
#: Who goes offline (which only a script notices), who is there all the time, who comes late.
CASTS = ((NORMAL, NARROW, PLAIN), (KEYBOARD, PLAIN, NARROW))
TURN, PAUSE, FIRST_PAUSE = 120, 120, 300
#: Turns of the three rounds, each after its pause, in seconds from the beginning.
TURNS = [
    FIRST_PAUSE + number * (3 * TURN + PAUSE) + place * TURN  #
    for number in range(3)
    for place in range(3)
]
END = TURNS[-1] + TURN + PAUSE
#: A little into a turn: a start more than 120 s late would void the rounds.
IN = 5


@dataclass
class Room:
    """The rounds of one call, and the clock by which they go."""

    clerk: Clerk
    call: buying.Call

    @property
    def path(self) -> str:
        return f"/calls/{self.call.number}/room"

    def at(self, seconds: int) -> None:
        """Legal time to so many seconds after the beginning."""
        self.clerk.move_to(self.call.begins + timedelta(seconds=seconds))

    def turn(self, round_number: int, place: int) -> None:
        self.at(TURNS[3 * (round_number - 1) + place - 1] + IN)


@pytest.fixture
def room(clerk: Clerk) -> Room:
    """Three sealed bids are opened; the rounds begin in a minute."""
    call = buying.published(clerk, "descending_rounds", step="1000.00")
    for login, price in OPENING.items():
        buying.bid(clerk, login, call, price)
    buying.close(clerk, call)
    found = Room(clerk, call)
    found.at(-60)
    return found


@pytest.mark.parametrize("modes", CASTS, ids=lambda modes: "-".join(str(mode) for mode in modes))
def test_three_rounds_with_one_offline_and_one_late(
    modes: tuple[Mode, Mode, Mode], person: Callable[..., Person], room: Room
) -> None:
    first, second, late = (person(mode, login) for mode, login in zip(modes, OPENING, strict=True))
    for one in (first, second):
        one.open(f"/calls/{room.call.number}")
        one.press("进入竞价室")
        assert one.path == room.path
        assert "竞价尚未开始" in one.text
        _is_closed(one)
    label = _label(first)
    assert label != _label(second)

    # Round one, first turn: too high is refused; what is accepted stays with its bidder until the turn is over.
    room.turn(1, 1)
    _is_open(first)
    _is_closed(second)
    _offer(first, "77500", status=422)
    assert "不得高于 ¥77,000.00" in first.text
    _offer(first, "74900")
    assert "您本轮已报 ¥74,900.00" in first.text
    _shows(first, label, "¥78,000.00")
    _look(second)
    assert "74,900" not in second.page.content()
    assert "74,900" not in room.clerk.as_(buying.BUYER).get(room.path).text
    first.page.context.set_offline(True)

    # The second turn begins: the price of the one who is cut off is published, and stands.
    room.turn(1, 2)
    _is_open(second)
    _shows(second, label, "¥74,900.00")
    _offer(second, "74500")
    offline = first.page.locator("[data-room-offline]")
    expect(offline).to_be_visible(timeout=15_000)  # it says so after seven seconds of silence
    assert "已接受的报价不受影响" in offline.inner_text()
    _shows(first, label, "¥78,000.00")  # it has heard nothing since
    room.turn(1, 3)
    first.page.context.set_offline(False)
    expect(offline).to_be_hidden()
    _shows(first, label, "¥74,900.00")
    first.check()
    _names_are_hidden(room, first, second)

    # One comes after round one: it has missed its turn, keeps its price, and goes first as the dearest.
    late.open(room.path)
    assert "第 1 轮" in late.text
    _shows(late, _label(late), "¥75,000.00")
    room.turn(2, 1)
    _is_open(late)
    _is_closed(first)
    _offer(late, "73000")
    late.press("撤回本次报价")
    assert "您本轮已报" not in late.text
    _offer(late, "74000")
    room.turn(2, 2)
    _is_open(first)
    _shows(first, _label(late), "¥74,000.00")
    assert "73,000" not in first.page.content(), "what was taken back is nobody's to know before the end"
    room.turn(2, 3)
    _is_open(second)
    _is_closed(late)

    # Round three.
    room.turn(3, 1)
    _is_open(first)
    _offer(first, "73500")
    room.turn(3, 2)
    _look(second)
    room.turn(3, 3)
    _is_open(late)
    _offer(late, "72500")
    _names_are_hidden(room, first, second, late)
    room.at(TURNS[-1] + TURN + IN)
    _look(first)
    assert "报价已全部结束" in first.text
    _names_are_hidden(room, first)

    # The end: everybody is led to the result, and now to the names.
    room.at(END + IN)
    for one in (first, second, late):
        if one.mode.javascript:
            one.page.wait_for_url("**/rounds")
            one.check()
        else:
            one.press("刷新本页")
        assert one.path == f"/calls/{room.call.number}/rounds"
        ranked = one.page.locator("section[aria-labelledby=result] tbody tr").all_inner_texts()
        for row, (login, price) in zip(
            ranked, (("agency4", "¥72,500.00"), ("agency", "¥73,500.00"), ("agency2", "¥74,500.00")), strict=True
        ):
            assert buying.name_of(login) in row
            assert price in row
    told = first.page.locator("section[aria-labelledby=turns]").inner_text()
    assert "降幅不足，未接受" in told
    assert "撤回" in told
    record = json.loads(Visitor(room.clerk.base).download(f"/calls/{room.call.number}/rounds.json"))
    assert {"72500.00", "73500.00"} <= set(re.findall(r"[0-9]+\.[0-9]{2}", json.dumps(record)))
    first.open(f"/calls/{room.call.number}")
    first.press("多轮竞价结果")


def _look(one: Person) -> None:
    """What the page tells now: by itself where scripts run, else by its link."""
    if one.mode.javascript:
        one.page.wait_for_timeout(1_500)  # the browser asks once a second
    else:
        one.press("刷新本页")


def _is_open(one: Person) -> None:
    """It is this bidder's turn, and the page lets it write."""
    if not one.mode.javascript:
        one.press("刷新本页")
    expect(one.page.locator("#price")).to_be_enabled()
    expect(one.page.locator("[data-room-state]")).to_contain_text("现在是您的报价时段")
    one.check()


def _is_closed(one: Person) -> None:
    if not one.mode.javascript:
        one.press("刷新本页")
    expect(one.page.locator("#price")).to_be_disabled()


def _offer(one: Person, price: str, status: int = 200) -> None:
    one.write("price", price)
    if one.mode.javascript:
        assert one.page.locator("[data-room-words]").inner_text().endswith("元整"), "the amount in words"
    one.press("提交报价", status=status)
    if status == 200:
        assert "报价已接受" in one.page.locator("body").inner_text()


def _label(one: Person) -> str:
    """Under which number the room knows this bidder."""
    found = re.search(r"您是报价人 ([0-9]+)。", one.text)
    assert found, one.text
    return found[1]


def _shows(one: Person, label: str, price: str) -> None:
    """The room tells this price of the bidder with this number; a script may need a moment for it."""
    row = one.page.locator("[data-room-state] tbody tr").filter(has_text=re.compile(rf"报价人 {label}(?![0-9])"))
    expect(row).to_contain_text(price)


def _names_are_hidden(room: Room, *people: Person) -> None:
    """Neither in the room nor on the pages that everybody reads, until the rounds are over."""
    told = [one.page.locator("main").inner_text() for one in people]
    for address in ("", "/result", "/opening"):
        told.append(Visitor(room.clerk.base).get(f"/calls/{room.call.number}{address}").text)
    told.append(room.clerk.as_(buying.BUYER).get(room.path).text)
    for text in told:
        assert not [name for name in NAMES if name in text]
    assert Visitor(room.clerk.base).get(f"/calls/{room.call.number}/rounds").status == 404
