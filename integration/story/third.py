"""Part three: three agencies, three live rounds, and a record that anyone recomputes."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

from integration.commands import say
from integration.story.first import Chain
from integration.story.second import KIND
from integration.story.stage import FOLDER, StoryBroken, flask
from integration.visitor import UnexpectedAnswer, Visitor
from kernel import clock

#: Agency's account → (opening price in yuan, by how much it goes down in each round; None: it sits a round out).
BIDDERS: Mapping[str, tuple[str, Sequence[str | None]]] = {
    "agency": ("78000.00", ("3000", "2000", "1000")),
    "agency2": ("76000.00", ("1500", None, "2500")),
    "agency4": ("75000.00", (None, "1000", None)),
}
ROUNDS, TURN, PAUSE, FIRST_PAUSE = 3, 120, 120, 300
_MOST = re.compile(r"data-room-most>¥([0-9,]+\.[0-9]{2})<")


class Third(Chain):
    """A company pays for itself; the platform alone keeps the key of so small a purchase, and says so."""

    def __init__(self, base: str, environment: dict[str, str]) -> None:
        super().__init__(base, code="2603-230199-04-01-100001")
        self._environment = environment

    def play(self) -> str:
        applicant = self.person("applicant")
        page = applicant.get("/needs/new")
        draft = applicant.submit(
            page,
            page.form("project_code", "item", "route"),
            {
                "project_code": self.code,
                "item": self.item_for(applicant, KIND),
                "route": "descending_rounds",
                "payer": "self",
            },
        )
        call = draft.url.split("?")[0].rsplit("/", 1)[1]
        closing, beginning = self._fill(applicant, call)
        shown = self.confirm(applicant, f"/needs/{call}/check")
        say(f"  采购公告 / call {call}：{shown.title}")
        for login, (price, _steps) in BIDDERS.items():
            self._bid(login, call, price)
        self._move_to(closing + timedelta(seconds=2))
        self._play_rounds(call, beginning)
        record = Visitor(self.base).download(f"/calls/{call}/rounds.json")
        (FOLDER / "rounds.json").write_bytes(record)
        replayed = json.loads(flask(["rounds", "replay", str(FOLDER / "rounds.json")], self._environment))
        say(f"  复算中选 / replayed winner：{replayed['winner']}")
        self._award(applicant, call)
        return call

    def _fill(self, applicant: Visitor, call: str) -> tuple[datetime, datetime]:
        """The tasks of the draft; answers the proposed closing and start, which it keeps."""
        words = {
            "title": "住宅小区中介服务多轮竞价",
            "requirement": "按委托要求编制成果报告，配合技术评审并按意见修改。",
            "contact": "林知夏",
            "telephone": "0451-88880001",
            "complaint_telephone": "0451-88880002",
        }
        proposed: dict[str, str] = {}
        for task, values in (
            ("need", words),
            ("amounts", {"ceiling": "80000.00", "step": "1000.00", "most_working_days": "20"}),
            ("times", {}),
        ):
            page = applicant.get(f"/needs/{call}/{task}")
            form = page.form("act", "version", *values)
            proposed |= {name: value for name, value in form.values if name.startswith(("closing_at", "auction_at"))}
            applicant.submit(page, form, values)
        return _instant(proposed, "closing_at"), _instant(proposed, "auction_at")

    def _bid(self, login: str, call: str, price: str) -> None:
        agency = self.person(login)
        page = agency.get(f"/calls/{call}/bid")
        checked = agency.submit(page, page.form("price", "working_days"), {"price": price, "working_days": "15"})
        agency.submit(checked, checked.form("sealed_here", "act"))

    def _play_rounds(self, call: str, beginning: datetime) -> None:
        """Every turn of every round, as a bidder without scripts plays it: look, type, send."""
        turns = FIRST_PAUSE
        for number in range(ROUNDS):
            turns += PAUSE if number else 0
            for _ in BIDDERS:
                self._move_to(beginning + timedelta(seconds=turns + 5))
                self._take_turn(call, number)
                turns += TURN
        self._move_to(beginning + timedelta(seconds=turns + PAUSE + 5))

    def _take_turn(self, call: str, number: int) -> None:
        for login, (_price, steps) in BIDDERS.items():
            agency = self.person(login)
            page = agency.get(f"/calls/{call}/room")
            if "data-room-form disabled" in page.text:
                continue
            found = _MOST.search(page.text)
            if found is None:
                raise UnexpectedAnswer(f"{page.url} names no highest price")
            down = steps[number]
            if down is not None:
                # What a turn accepts is the bidder's own price less the step of 1,000.
                price = Decimal(found[1].replace(",", "")) - Decimal(down) + 1000
                agency.submit(page, page.form("price", "act"), {"price": f"{price:.2f}"})
                say(f"  第 {number + 1} 轮 / round {number + 1}：{price:,.2f}")
            return
        raise StoryBroken("没有一方轮到报价 / it is nobody's turn")

    def _award(self, applicant: Visitor, call: str) -> None:
        result = applicant.get(f"/calls/{call}/result")
        page = applicant.get(result.link(f"/calls/{call}/award/"))
        shown = applicant.submit(page, page.form("act", "version"))
        self.forward("P7D")
        say(f"  中选公示期满 / publicity over：{shown.title}")

    def _move_to(self, instant: datetime) -> None:
        """The sandbox's clock, to the second; whatever falls due on the way is done."""
        parts = urlsplit(self.base)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            body = json.dumps({"to": instant.isoformat()})
            connection.request("POST", "/api/v1/sandbox/clock", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise UnexpectedAnswer(f"the clock answered {response.status}: {answer}")


def _instant(values: Mapping[str, str], name: str) -> datetime:
    return datetime.fromisoformat(f"{values[name]}T{values[f'{name}_time']}").replace(tzinfo=clock.SHANGHAI)
