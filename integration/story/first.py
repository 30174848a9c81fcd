"""Part one: from the shelf to the decision."""

from __future__ import annotations

from integration import demo
from integration.approvals import guide
from integration.commands import say
from integration.story.stage import FOLDER, Player, StoryBroken
from integration.visitor import Page, Visitor
from kernel.access import Role


class Chain(Player):
    """What every part of the story shares: an application, a service, a deliverable, a decision on one project."""

    def __init__(self, base: str, *, code: str) -> None:
        super().__init__(base)
        self.code = code

    def apply(self, applicant: Visitor, kind: str) -> str:
        """The applicant opens the application; its material list names what has to be bought."""
        page = applicant.get(f"/matters/new?project={self.code}")
        shown = applicant.submit(page, page.form("kind"), {"project_code": self.code.replace("-", " "), "kind": kind})
        number = shown.url.rsplit("/", 1)[1].split("?")[0]
        say(f"  申报 / application {number}：{shown.title}")
        return number

    def item_for(self, visitor: Visitor, kind: str) -> str:
        """The service item that delivers a material of a matter."""
        for address, _text in visitor.get(f"/guide/{kind}").links:
            if "item=" in address:
                return address.partition("item=")[2].partition("&")[0]
        raise StoryBroken(f"没有服务事项产出 {kind} 的材料 / no item delivers what {kind} needs")

    def serve(self, agency: Visitor, commission: str) -> None:
        self.act(agency, commission, "take-on")
        self.act(agency, commission, "start")
        self.forward("P7D")

    def deliver(self, agency: Visitor, commission: str, edition: str) -> bytes:
        page = agency.get(f"/commissions/{commission}/deliver")
        form = page.form("act", "version", "summary")
        report = self.paper(f"成果报告（{edition}）", f"项目代码 {self.code}。")
        names = sorted(name for name in form.names if name.startswith("files"))
        uploads = {name: [(f"成果报告-{edition}.pdf", report)] for name in names[:1]}
        agency.submit(
            page,
            form,
            {
                "result": "passed",
                "summary": f"成果符合委托要求，{edition}。",
                "project_code": self.code,
                "promise": "1",
            },
            uploads,
        )
        return report

    def hand_in(self, applicant: Visitor, matter: str) -> None:
        """Pick the deliverable from the dossier, upload the rest once, submit."""
        shown = applicant.get(f"/matters/{matter}")
        for address in dict.fromkeys(a for a, _ in shown.links if "/materials/" in a):
            page = applicant.get(address)
            form = page.form("file")
            chosen = [value for name, value in form.values if name == "entry"]
            if chosen:
                applicant.submit(page, form, {"entry": chosen[0]})
            elif "必交" in page.text:
                title = page.title.split(" SX-")[0]
                applicant.submit(page, form, files={"file": [("材料.pdf", self.paper(title[:40], "按要求提交。"))]})
        self.confirm(applicant, f"/matters/{matter}/submit")

    def decide(self, matter: str) -> None:
        window = self.person("window")
        department = window.get(f"/matters/{matter}").text
        approver = self.person(
            next(
                (
                    login
                    for login, _name, short, role in demo.city.PEOPLE
                    if role is Role.APPROVER and demo.city.ORGANISATIONS[short][1] in department
                ),
                "approver",
            )
        )
        self.confirm(window, f"/matters/{matter}/receive")
        self.confirm(window, f"/matters/{matter}/accept")
        self.forward("P1D")
        self.confirm(approver, f"/matters/{matter}/begin")
        page = approver.get(f"/matters/{matter}/evidence")
        page = approver.submit(page, page.form("entry", "act"))
        page = approver.get(f"/matters/{matter}/decision")
        decided = approver.submit(
            page, page.form("outcome"), {"outcome": "granted", "opinion": "经审查，符合法定条件。"}
        )
        say(f"  决定 / decided：{decided.title}")


class First(Chain):
    """From the shelf to the decision: one applicant, one agency, one window, one approver."""

    def __init__(self, base: str, *, has_own_matters: bool) -> None:
        super().__init__(base, code="2603-230199-04-01-100001")
        self._has_own_matters = has_own_matters
        self.kind = self.item = ""

    def play(self) -> str:
        applicant = self.person("applicant")
        kind, listing = self._find(applicant)
        self.kind = kind
        agency = self.person(self.login_of(listing.title))
        matter = self.apply(applicant, kind)
        commission = self._commission(applicant, matter, listing)
        self.serve(agency, commission)
        self.deliver(agency, commission, "第一版")
        self.act(applicant, commission, "return", {"points": "1. 补充附图\n2. 核对工程规模与项目登记信息是否一致"})
        self.forward("P1D")
        deliverable = self.deliver(agency, commission, "第二版")
        page = self.act(applicant, commission, "accept")
        say(f"  委托 {commission} 已办结 / finished：{page.title}")
        self.hand_in(applicant, matter)
        self.decide(matter)
        (FOLDER / "deliverable.pdf").write_bytes(deliverable)
        return matter

    def _find(self, applicant: Visitor) -> tuple[str, Page]:
        """A matter of the guide with a material that a service on the shelf delivers, and that service."""
        page = applicant.get(f"/matters/new?project={self.code}")
        kinds = page.form("kind").options["kind"]
        with (guide.DATA / "guide_matters.csv").open(encoding="utf-8", newline="") as file:
            shipped = {row["matter_code"] for row in guide.read_csv(file)}
        for kind in [one for one in kinds if one not in shipped] if self._has_own_matters else ["SP-0503"]:
            for address, _text in applicant.get(f"/guide/{kind}").links:
                if "item=" not in address:
                    continue
                shelf = applicant.get(address)
                offers = list(dict.fromkeys(a for a, _ in shelf.links if a.startswith("/services/FW-")))
                if offers:
                    self.item = address.partition("item=")[2].partition("&")[0]
                    listing = applicant.get(offers[0])
                    say(f"  服务超市有 {len(offers)} 项可选，选定 / chosen of {len(offers)}：{listing.title}")
                    return kind, listing
        raise StoryBroken("没有一个事项的材料可由在架服务产出 / no matter needs what the shelf delivers")

    def _commission(self, applicant: Visitor, matter: str, listing: Page) -> str:
        number = listing.url.rsplit("/", 1)[1].split("?")[0]
        page = applicant.get(f"/commissions/new?listing={number}&project={self.code}&needed_for={matter}")
        form = page.form("project_code", "listing")
        badly_typed = self.code.replace("-", "").translate(str.maketrans("0123456789", "０１２３４５６７８９"))
        paper = self.paper("项目基础资料", "主体工程设计资料、地形图和立项文件。")
        checked = applicant.submit(
            page,
            form,
            {"project_code": badly_typed, "message": "请于三月底前完成。"},
            {"files": [("项目基础资料.pdf", paper)]} if "files" in form.names else None,
        )
        offered = applicant.submit(checked, checked.form("act", "version"))
        return offered.url.split("/commissions/")[1].split("?")[0].split("/")[0]
