"""Sets the scene over plain HTTP, so that a journey drives the browser only where it looks.

Every call is an ordinary request of an ordinary person; nothing reaches into the database.
"""

from __future__ import annotations

import io
import itertools
import json
import time as time_of_day
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from reportlab.pdfgen.canvas import Canvas

from integration.demo import city
from integration.visitor import Page, Visitor
from kernel import clock

#: Differs from run to run, so that a portal that has been lived in can be used again.
_serials = itertools.count(300_001 + int(time_of_day.time()) % 60_000 * 10)


@dataclass(frozen=True)
class Offer:
    """A listing that a journey uses: item, agency by its short name, the agency's login."""

    item: str
    agency: str
    login: str


@dataclass(frozen=True)
class Holiday:
    """A public holiday as announced: a service of 15 working days that starts on ``start`` has 12 left on ``then``."""

    name: str
    start: date
    then: date


#: By the announced calendar of 2026, counted by hand: one working day before the holiday, two after it.
HOLIDAYS = (
    Holiday("清明节", date(2026, 4, 2), date(2026, 4, 8)),
    Holiday("劳动节", date(2026, 4, 29), date(2026, 5, 7)),
    Holiday("端午节", date(2026, 6, 17), date(2026, 6, 23)),
    Holiday("中秋节", date(2026, 9, 23), date(2026, 9, 29)),
    Holiday("国庆节", date(2026, 9, 29), date(2026, 10, 9)),
)
#: Fifteen working days, priced by bands of the investment.
SOIL = Offer("ZJ-0506", "清源", "agency")
#: Six working days, one fixed price, one document.
SUNLIGHT = Offer("ZJ-0206", "天衡", "agency3")


def paper(body: str = "content") -> bytes:
    """A valid one-page PDF whose bytes depend on ``body``."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.setTitle(body)
    canvas.drawString(72, 720, body.encode("ascii", "replace").decode())
    canvas.save()
    return out.getvalue()


class Clerk:
    """Does what the scene needs, as whoever has to do it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._visitors: dict[str, Visitor] = {}

    def as_(self, login: str) -> Visitor:
        if login not in self._visitors:
            visitor = Visitor(self.base)
            page = visitor.get("/sign-in")
            visitor.submit(page, next(one for one in page.forms if ("demo", login) in one.values))
            self._visitors[login] = visitor
        return self._visitors[login]

    # Time

    def now(self) -> datetime:
        return self._clock({"forward": "PT0S"})

    def forward(self, duration: str) -> datetime:
        return self._clock({"forward": duration})

    def go_to(self, day: date, hour: int = 10) -> datetime:
        """Legal time to this day, unless it is later already."""
        wanted = datetime.combine(day, time(hour), clock.SHANGHAI)
        return self._clock({"to": wanted.isoformat()}) if wanted > self.now() else self.now()

    def move_to(self, instant: datetime) -> datetime:
        """Legal time to this instant; whatever falls due on the way is done."""
        return self._clock({"to": instant.isoformat()})

    def _clock(self, asked: Mapping[str, str]) -> datetime:
        request = urllib.request.Request(
            f"{self.base}/api/v1/sandbox/clock", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return datetime.fromisoformat(json.load(answer)["now"])

    def next_holiday(self) -> Holiday:
        """The first holiday of the list that can still be spanned."""
        today = self.now().date()
        return next(one for one in HOLIDAYS if one.start >= today)

    # Scenes

    def project(self, name: str = "") -> str:
        """A project of the applicant's own, with sizes; answers its code."""
        serial = next(_serials)
        code = f"2603-230199-04-01-{serial}"
        visitor = self.as_("applicant")
        page = visitor.get("/projects/new")
        visitor.submit(
            page,
            page.form("project_code", "name"),
            {
                "project_code": code,
                "name": name or f"学府花园 {serial} 号楼",
                "project_class": page.form("project_class").options["project_class"][-1],
                "investment": "12600万",
                "land_area": "40000",
                "building_area": "56000",
            },
        )
        return code

    def listing(self, offer: Offer) -> str:
        """The number under which the offer stands on the shelf."""
        visitor = Visitor(self.base)
        name = city.ORGANISATIONS[offer.agency][1]
        page = visitor.get(f"/services?item={offer.item}")
        for address in dict.fromkeys(a for a, _ in page.links if a.startswith("/services/FW-")):
            if name in visitor.get(address).title:
                return address.rsplit("/", 1)[1]
        raise AssertionError(f"{name} does not offer {offer.item}")

    def offered(self, code: str, offer: Offer, *, needed_for: str = "") -> str:
        """A commission sent to the agency; answers its number."""
        visitor = self.as_("applicant")
        page = visitor.get(f"/commissions/new?listing={self.listing(offer)}&project={code}&needed_for={needed_for}")
        checked = visitor.submit(
            page, page.form("project_code", "listing"), files={"files": [("项目资料.pdf", paper("basis"))]}
        )
        shown = visitor.submit(checked, checked.form("act", "version"))
        return shown.url.split("/commissions/")[1].split("?")[0]

    def act(self, login: str, address: str, values: Mapping[str, str] | None = None) -> Page:
        """Open a confirm page and confirm it."""
        visitor = self.as_(login)
        page = visitor.get(address)
        assert page.status == 200, f"{address} answered {page.status}: {page.title}"
        return visitor.submit(page, page.form("act", *(values or {})), values)

    def taken_on(self, code: str, offer: Offer) -> str:
        number = self.offered(code, offer)
        self.act(offer.login, f"/commissions/{number}/take-on")
        return number

    def started(self, code: str, offer: Offer) -> str:
        number = self.taken_on(code, offer)
        self.act(offer.login, f"/commissions/{number}/start")
        return number

    def deliver(self, number: str, offer: Offer, edition: str) -> None:
        visitor = self.as_(offer.login)
        page = visitor.get(f"/commissions/{number}/deliver")
        visitor.submit(
            page,
            page.form("act", "version", "summary"),
            {"result": "passed", "summary": f"成果符合委托要求，{edition}。", "promise": "1"},
            {"files": [(f"成果报告{edition}.pdf", paper(f"{number} {edition}"))]},
        )

    def give_back(self, number: str) -> None:
        self.act("applicant", f"/commissions/{number}/return", {"points": "1. 补充附图\n2. 核对规模"})

    def accepted(self, code: str, offer: Offer, editions: int = 1) -> str:
        """A finished commission; its deliverable stands in the dossier, accepted in its ``editions``-th edition."""
        number = self.started(code, offer)
        for edition in range(1, editions + 1):
            self.deliver(number, offer, f"第{edition}版")
            if edition < editions:
                self.give_back(number)
        self.act("applicant", f"/commissions/{number}/accept")
        return number

    def matter(self, code: str, kind: str = "SP-0201") -> str:
        """An application with all that is required, not yet submitted; answers its number."""
        visitor = self.as_("applicant")
        page = visitor.get(f"/matters/new?project={code}")
        shown = visitor.submit(page, page.form("kind"), {"project_code": code, "kind": kind})
        number = shown.url.rsplit("/", 1)[1].split("?")[0]
        for address in dict.fromkeys(a for a, _ in shown.links if f"/{number}/materials/" in a):
            page = visitor.get(address)
            form = page.form("file")
            chosen = [value for name, value in form.values if name == "entry"]
            if chosen:
                visitor.submit(page, form, {"entry": chosen[0]})
            elif "必交" in page.text:
                visitor.submit(page, form, files={"file": [("材料.pdf", paper(address))]})
        return number

    def begun(self, code: str, approver: str = "approver4", kind: str = "SP-0201") -> str:
        """A matter that the department has taken up; answers its number."""
        number = self.matter(code, kind)
        for login, step in (("applicant", "submit"), ("window", "receive"), ("window", "accept"), (approver, "begin")):
            self.act(login, f"/matters/{number}/{step}")
        return number
