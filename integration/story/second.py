"""Part two: the government pays, five agencies bid sealed, two are equal, a draw decides, and nobody can doubt it.

The custodians' identities are made here, on the custodians' side of the wire; the portal never sees one before the
opening. One agency seals in a real browser, two with the offline command, two have no scripts.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from integration.commands import say
from integration.story.first import Chain
from integration.story.stage import FOLDER, StoryBroken, flask
from integration.visitor import Form, Page, Visitor
from kernel import sealing

#: A matter of the shipped guide with a material that a service on the shelf delivers.
KIND = "SP-0503"
#: Custodian → the demo account that acts for it.
CUSTODIANS: Mapping[str, str] = {"buyer": "authority", "platform": "operator", "supervisor": "supervisor"}
#: Agency's account → (price in yuan, how it seals). The two lowest are equal.
BIDS: Sequence[tuple[str, str, str]] = (
    ("agency", "468000.00", "browser"),
    ("agency2", "426000.00", "offline"),
    ("agency3", "426000.00", "server"),
    ("agency4", "495000.00", "offline"),
    ("agency5", "451500.00", "server"),
)


class Second(Chain):
    """One applicant, one authority, three custodians, five agencies."""

    def __init__(self, base: str, environment: dict[str, str], *, has_browser: bool) -> None:
        super().__init__(base, code="2603-230199-04-01-100002")
        self._environment = environment
        self._has_browser = has_browser
        self._item = ""
        self._long_term: dict[str, str] = {}
        self._of_call: dict[str, str] = {}

    def play(self) -> str:
        applicant = self.person("applicant")
        self._item = self.item_for(applicant, KIND)
        matter = self.apply(applicant, KIND)
        commission = self._request(applicant)
        call = self._need(commission)
        for which in CUSTODIANS:
            self._give_key(call, which)
        self._approve(call)
        self._publish(call)
        for login, price, way in BIDS:
            self._bid(call, login, price, way)
        self.forward("P7D")
        self._open(call)
        self._settle_tie(call)
        winner = self._award(call)
        self._object(call, winner)
        self.forward("P7D")
        self._contract(commission, winner)
        self.act(self.person(winner), commission, "start")
        self.forward("P7D")
        self.deliver(self.person(winner), commission, "政府付费")
        self.act(applicant, commission, "accept")
        self.hand_in(applicant, matter)
        self.decide(matter)
        return matter

    # The need

    def _request(self, applicant: Visitor) -> str:
        page = applicant.get("/requests/new")
        form = page.form("project_code", "item", "authority", "reason")
        shown = applicant.submit(
            page,
            form,
            {
                "project_code": self.code,
                "item": self._item,
                "authority": [one for one in form.options["authority"] if one][-1],
                "reason": "政府投资项目，本阶段需要此项服务，申请由主管部门委托。",
            },
        )
        number = _last(shown.url)
        say(f"  申请政府付费服务 / request {number}：{shown.title}")
        return number

    def _need(self, commission: str) -> str:
        authority = self.person("authority")
        self.confirm(authority, f"/requests/{commission}/take-up")
        page = authority.get(f"/requests/{commission}/route")
        draft = authority.submit(page, page.form("route"), {"route": "bidding"})
        call = _last(draft.url)
        self._task(
            call,
            "need",
            {
                "title": "交通建设项目政府付费中介服务采购",
                "requirement": "按委托要求编制成果报告，配合技术评审并按意见修改。",
                "contact": "吴建国",
                "telephone": "0451-88886001",
                "complaint_telephone": "0451-88886002",
            },
        )
        self._task(call, "amounts", {"ceiling": "520000.00", "most_working_days": "20"})
        self._task(call, "times", {})
        self._task(
            call,
            "budget",
            {
                "budget_line": "2120199 城乡社区管理事务",
                "budget": "600000",
                "purchase_basis": "年度政府采购计划第 12 项",
            },
        )
        return call

    def _task(self, call: str, task: str, values: Mapping[str, str]) -> None:
        authority = self.person("authority")
        page = authority.get(f"/needs/{call}/{task}")
        authority.submit(page, page.form("act", "version", *values), values)

    def _give_key(self, call: str, which: str) -> None:
        """A fresh key for this call, stored encrypted to the custodian's own; only recipients leave the custodian."""
        custodian = self.person(CUSTODIANS[which])
        self._long_term[which] = sealing.fresh_identity()
        own = sealing.recipient_of(self._long_term[which])
        page = custodian.get("/custody")
        custodian.submit(page, _of(page, which, "recipient"), {"recipient": own})
        self._of_call[which] = sealing.fresh_identity()
        page = custodian.get(f"/custody/{call}")
        protected = sealing.protect(self._of_call[which], call, own)
        custodian.submit(
            page,
            _of(page, which, "recipient", "protected"),
            {"recipient": sealing.recipient_of(self._of_call[which]), "protected": _base64(protected)},
        )

    def _approve(self, call: str) -> None:
        second = self.person("authority2")
        self.confirm(second, f"/needs/{call}/approval", {"word": "yes", "reason": ""})

    def _publish(self, call: str) -> None:
        shown = self.confirm(self.person("authority"), f"/needs/{call}/check")
        say(f"  采购公告 / call {call}：{shown.title}")

    # The bids

    def _bid(self, call: str, login: str, price: str, way: str) -> None:
        if way == "browser" and self._has_browser:
            from integration.story.browser import bid

            bid(self.base, login, call, price)
        elif way == "server":
            self._bid_by_server(call, login, price)
        else:
            if way == "browser":
                say("  没有浏览器，改用离线加密 / no browser: sealed offline instead")
            self._bid_offline(call, login, price)
        say(f"  密封报价 / sealed bid（{way}）：{login}")

    def _bid_by_server(self, call: str, login: str, price: str) -> None:
        agency = self.person(login)
        page = agency.get(f"/calls/{call}/bid")
        checked = agency.submit(
            page,
            page.form("price", "working_days"),
            {"price": price, "working_days": "18", "statement": "按公告要求完成。"},
        )
        agency.submit(checked, checked.form("sealed_here", "act"))

    def _bid_offline(self, call: str, login: str, price: str) -> None:
        agency = self.person(login)
        folder = FOLDER / "portal" / "bids" / login  # goes with the portal: its keys are the bidder's
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "call.json").write_bytes(agency.download(f"/calls/{call}/keys.json"))
        content = {
            "organisation": self.credit_code(login),
            "price": price,
            "working_days": 18,
            "statement": "按公告要求完成。",
        }
        (folder / "bid.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        flask(
            ["bids", "seal", str(folder / "call.json"), str(folder / "bid.json"), "--out", str(folder)],
            self._environment,
        )
        (sealed,) = folder.glob("*.sealed.json")
        page = agency.get(f"/calls/{call}/bid")
        form = next(one for one in page.forms if "sealed" in one.names and "price" not in one.names)
        agency.submit(page, form, files={"sealed": [(sealed.name, sealed.read_bytes())]})

    # The opening

    def _open(self, call: str) -> None:
        for which in ("buyer", "supervisor"):
            custodian = self.person(CUSTODIANS[which])
            page = custodian.get(f"/custody/{call}")
            opened = custodian.submit(page, _of(page, which, "key"), {"key": self._of_call[which]})
        say(f"  开标 / opened：{opened.title}")
        folder = FOLDER / "opening"
        with zipfile.ZipFile(io.BytesIO(Visitor(self.base).download(f"/calls/{call}/opening.zip"))) as bundle:
            bundle.extractall(folder)
        inner = _only_folder(folder)
        if inner != folder:
            for one in list(inner.iterdir()):
                one.rename(folder / one.name)
            inner.rmdir()
        report = sealing.open_bundle(folder)
        if len(report.opened) != len(BIDS):
            raise StoryBroken(f"开标包只能解开 {len(report.opened)} 份 / the bundle opens {len(report.opened)} bids")

    def _settle_tie(self, call: str) -> None:
        """Three parties promise a seed each after the list is published, then show it."""
        result = self.person("authority").get(f"/calls/{call}/result")
        draw = next((_last(address) for address, _ in result.links if "/draws/CQ-" in address), None)
        if draw is None:
            raise StoryBroken("报价相同而没有抽取 / a tie without a draw")
        self.settle(draw, CUSTODIANS.values())
        record = Visitor(self.base).download(f"/draws/{draw}.json")
        (FOLDER / "draw.json").write_bytes(record)
        say(flask(["draw", "verify", str(FOLDER / "draw.json")], self._environment).strip())

    # The award

    def _award(self, call: str) -> str:
        authority = self.person("authority")
        result = authority.get(f"/calls/{call}/result")
        page = authority.get(result.link(f"/calls/{call}/award/"))
        shown = authority.submit(page, page.form("act", "version"))
        winner = next(login for login in ("agency2", "agency3") if self.name_of(login) in page.text)
        say(f"  中选公示 / award：{self.name_of(winner)}（{shown.title}）")
        return winner

    def _object(self, call: str, winner: str) -> None:
        loser = self.person(next(login for login in ("agency2", "agency3") if login != winner))
        page = loser.get(f"/calls/{call}/objection")
        form = page.form("act", "version")
        text = next(name for name in form.names if name in {"text", "reason"})
        shown = loser.submit(page, form, {text: "请说明报价相同时抽取的过程。"})
        number = _last(shown.url)
        authority = self.person("authority")
        page = authority.get(f"/objections/{number}/decision")
        form = page.form("act", "version")
        choice = next(name for name in form.names if form.options.get(name))
        answer = next(name for name in form.names if name in {"answer", "reason"})
        authority.submit(page, form, {choice: "no", answer: "抽取名单、承诺、种子和过程均已公布，可用验证程序复核。"})

    def _contract(self, commission: str, winner: str) -> None:
        agency, authority = self.person(winner), self.person("authority")
        self.act(agency, commission, "take-on")
        self.confirm(agency, f"/commissions/{commission}/contract/confirm")
        self.confirm(authority, f"/commissions/{commission}/contract/confirm")


def _of(page: Page, which: str, *names: str) -> Form:
    """The form of one custodian, where a person may act for several."""
    for form in page.forms:
        if set(names) <= form.names and dict(form.values).get("custodian", which) == which:
            return form
    return page.form(*names)


def _last(address: str) -> str:
    return address.split("?")[0].split("#")[0].rstrip("/").rsplit("/", 1)[1]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _only_folder(folder: Path) -> Path:
    """Where the bundle's README stands."""
    return next(folder.rglob("README*")).parent
