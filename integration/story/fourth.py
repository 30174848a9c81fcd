"""Part four: drawings before three drawn experts and three departments, two rounds, a signed report, a decision on it.

One expert declares a conflict and is replaced by the next of the drawn order; one department stays silent, is urged and
closed as 逾期未反馈. In the second edition one passage has moved to another page and one is gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from integration import demo
from integration.commands import say
from integration.story.first import Chain
from integration.story.stage import FOLDER, StoryBroken, flask
from integration.visitor import Form, Page, Visitor

#: 建筑工程施工许可证核发, whose material 施工图设计文件审查合格书 the review delivers.
KIND, ITEM = "SP-0301", "ZJ-0303"
LEAD, SECOND = "agency8", "reviewer"
EXPERTS = tuple(demo.city.EXPERTS)
#: Department's account → what it looks at; the last one says nothing.
DEPARTMENTS: Mapping[str, str] = {"approver8": "消防", "approver7": "防雷", "approver6": "人防"}
SILENT = "approver6"
MATERIALS = (
    "作为勘察、设计依据的批准文件及附件",
    "全套施工图和计算书",
    "岩土工程勘察报告",
    "勘察设计单位和注册人员信息",
)
DRAWINGS = "drawings"
STAIRS = "疏散楼梯净宽 1.05 米，扶手中心线内侧计。"
COVER = "楼板混凝土保护层厚度 15 毫米。"
FIRST: Sequence[str] = (
    "建筑设计总说明",
    STAIRS,
    demo.city.PAGE,
    "结构设计总说明",
    COVER,
    demo.city.PAGE,
    "设备设计总说明",
)
#: The stairs have moved to page two, the cover's passage is gone.
SECOND_EDITION: Sequence[str] = (
    "建筑设计总说明",
    demo.city.PAGE,
    "楼梯详图说明",
    STAIRS,
    demo.city.PAGE,
    "结构设计总说明",
    "楼板混凝土保护层厚度改为 20 毫米，按一类环境取值。",
    demo.city.PAGE,
    "设备设计总说明",
)


class Fourth(Chain):
    """One applicant, one review body, three experts, three departments, one approver."""

    def __init__(self, base: str, environment: dict[str, str]) -> None:
        super().__init__(base, code="2603-230199-04-01-100001")
        self._environment = environment
        self._review = ""

    def play(self) -> str:
        """Answers the commission's number."""
        applicant, lead = self.person("applicant"), self.person(LEAD)
        matter = self.apply(applicant, KIND)
        commission = self._commission(applicant, matter)
        self.act(lead, commission, "take-on")
        self.act(lead, commission, "start")
        self._review = _last(lead.get("/reviews").link("/reviews/JS-"))
        say(f"  审查开始 / review {self._review}")
        self._panel(lead)
        for login, discipline in DEPARTMENTS.items():
            self._on(lead, "department", {"department": self.credit_code(login), "discipline": discipline})
        self._on(lead, "opening")
        self._first_round(lead)
        self._answer(applicant)
        self._second_round(lead)
        self._conclude(lead)
        self.hand_in(applicant, matter)
        self.decide(matter)
        return commission

    def _commission(self, applicant: Visitor, matter: str) -> str:
        listing = next(
            address
            for address, _ in applicant.get(f"/services?item={ITEM}").links
            if address.startswith("/services/FW-")
        )
        page = applicant.get(f"/commissions/new?listing={_last(listing)}&project={self.code}&needed_for={matter}")
        papers = [
            (f"{name}.pdf", self._drawings(FIRST) if "施工图" in name else self.paper(name, "按要求提交。"))
            for name in MATERIALS
        ]
        form = page.form("project_code", "listing")
        checked = applicant.submit(page, form, {"project_code": self.code, "message": ""}, {"files": papers})
        offered = applicant.submit(checked, checked.form("act", "version"))
        return offered.url.split("/commissions/")[1].split("?")[0].split("/")[0]

    def _drawings(self, lines: Sequence[str]) -> bytes:
        return demo.city.letter("住宅项目施工图", list(lines))

    # The panel

    def _panel(self, lead: Visitor) -> None:
        self._on(lead, "draw")
        draw = _last(lead.get(self._at()).link("/draws/CQ-"))
        self.settle(draw, ("applicant", "operator", "supervisor"))
        seated = self._seated()
        in_conflict = seated[0]
        self._declare(lead)
        for login in seated:
            if login != in_conflict:
                self._declare(self.person(login))
        self._on(
            self.person(in_conflict), "declaration", {"conflict-family": "1", "statement": "设计负责人是本人近亲属。"}
        )
        replacement = lead.get(self._at()).link("/replacement")
        self.confirm(lead, replacement, {"reason": "亲属关系，应当回避。"})
        (fresh,) = set(self._seated()) - set(seated)
        self._declare(self.person(fresh))
        say(f"  抽取 / drawn：{'、'.join(seated)}；{in_conflict} 回避，由 {fresh} 递补 / replaced")
        if self.person(in_conflict).get(self._at()).status != 404:
            raise StoryBroken("回避的专家仍能看到审查 / a replaced expert still sees the review")

    def _seated(self) -> list[str]:
        return [login for login in EXPERTS if self.person(login).get(self._at()).status == 200]

    def _declare(self, visitor: Visitor) -> None:
        self._on(visitor, "declaration", {"none": "1"})

    # The rounds

    def _first_round(self, lead: Visitor) -> None:
        self._ready(lead, 1)
        first, *others = self._seated()
        expert = self.person(first)
        self._write(expert, 1, STAIRS, "疏散楼梯净宽不足 1.10 米", "GB 55037-2022 第7.4.4条")
        self._write(expert, 2, COVER, "保护层厚度不满足耐久性要求", "GB 55008-2021 第4.4.1条")
        self._round(expert, 1, "submission")
        for login in (LEAD, *others, *(one for one in DEPARTMENTS if one != SILENT)):
            self._round(self.person(login), 1, "no-comment")
        self.forward("P7D")
        page = lead.get(self._at("rounds", 1))
        self.confirm(lead, page.link("/silence"))
        self._round(lead, 1, "issue")
        say("  一个部门逾期未反馈，意见合并发出 / one department silent; opinions issued")

    def _answer(self, applicant: Visitor) -> None:
        page = applicant.get(self._at("rounds", 1))
        form = next(one for one in page.forms if one.action.endswith("/answers"))
        given = {name: "已按意见修改，见修改后的图纸。" for name in form.names if name.startswith("answer-")}
        given |= {name: "corrected" for name in form.names if name.startswith("stance-")}
        # The whole set of drawings stands second, as it was handed in.
        upload = {_place_of(page, "全套施工图和计算书"): [("施工图（修改）.pdf", self._drawings(SECOND_EDITION))]}
        applicant.submit(page, form, given | {"do": "resubmit"}, upload)

    def _second_round(self, lead: Visitor) -> None:
        page = self._ready(lead, 2)
        for word in ("已移至新位置", "原文已变化"):
            if word not in page.text:
                raise StoryBroken(f"第二轮没有“{word}” / round two doesn't show where a passage went")
        first, *others = self._seated()
        expert = self.person(first)
        for _ in range(2):
            ruling = expert.get(self._at("rounds", 2)).link("/ruling")
            self.confirm(expert, ruling, {"kind": "closed", "reason": "已修改，符合要求。"})
        for login in (first, LEAD, *others):
            self._round(self.person(login), 2, "no-comment")

    def _conclude(self, lead: Visitor) -> None:
        self._on(
            lead, "conclusion", {"outcome": "passed", "summary": "施工图设计文件符合工程建设强制性标准，审查合格。"}
        )
        second = self.person(SECOND)
        self._on(second, "confirmation")
        self._on(lead, "signature")
        page = self._on(second, "publication")
        report = FOLDER / "review-report.pdf"
        report.write_bytes(second.download(second.get(self._at()).link("/files/WJ-")))
        say(flask(["seals", "check", str(report)], self._environment).strip())
        say(f"  签发 / published：{page.title}")

    def _write(self, expert: Visitor, number: int, quote: str, found: str, clause: str) -> None:
        page = expert.get(self._at("rounds", 1, "documents", DRAWINGS, "pages", number))
        form = page.form("grade", "found", "act")
        paragraph = next((one for one in form.options.get("paragraph", []) if quote[:6] in one), "")
        expert.submit(
            page,
            form,
            {
                "grade": "must",
                "clause": clause,
                "paragraph": paragraph,
                "quote": "" if paragraph else quote,
                "found": found,
            },
        )

    def _ready(self, visitor: Visitor, number: int) -> Page:
        """The round's page once the drawings' pages are made and the passages found again."""
        until = time.monotonic() + 120
        while True:
            page = visitor.get(self._at("rounds", number))
            if f"/documents/{DRAWINGS}/pages/1" in page.text and "正在" not in page.text:
                return page
            if time.monotonic() > until:
                raise StoryBroken("预览没有生成 / the pages were not made")
            time.sleep(0.5)

    def _at(self, *more: object) -> str:
        return "/".join(["/reviews", self._review, *(str(one) for one in more)])

    def _on(self, visitor: Visitor, action: str, values: Mapping[str, str] | None = None) -> Page:
        return self.confirm(visitor, self._at(action), values)

    def _round(self, visitor: Visitor, number: int, action: str) -> Page:
        return self.confirm(visitor, self._at("rounds", number, action))


def table_four(lines: Sequence[Mapping[str, object]], commission: str) -> None:
    """The commission's row of table four, read from the trail: start, end, uploaded, relied on (001 §11.4)."""
    subject = f"commission:{commission}"

    def at(act: str) -> str | None:
        return next((str(one["at"]) for one in lines if one["subject"] == subject and one["act"] == act), None)

    row = {
        "技术评审或中介服务": commission,
        "中介服务超市平台办理开始时间": at("service.started"),
        "中介服务超市平台办理结束时间": at("service.finished"),
        "成果材料是否上传中介服务超市平台": "是" if any(one["act"] == "document.attached" for one in lines) else "否",
        "成果应用": [str(one["subject"]) for one in lines if one["act"] == "matter.granted"][-1:],
    }
    if None in row.values():
        raise StoryBroken("表四缺少开始或结束时间 / table four lacks a stamp")
    (FOLDER / "table-four.json").write_text(json.dumps(row, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    say(f"  表四 / table four：{row['中介服务超市平台办理开始时间']} → {row['中介服务超市平台办理结束时间']}")


def _place_of(page: Page, title: str) -> str:
    """The file field of a document, by its order on the page."""
    form: Form = next(one for one in page.forms if one.action.endswith("/answers"))
    names = sorted((name for name in form.names if name.startswith("file-")), key=lambda name: int(name[5:]))
    return names[MATERIALS.index(title)] if len(names) == len(MATERIALS) else names[0]


def _last(address: str) -> str:
    return urlsplit(address).path.rstrip("/").rsplit("/", 1)[1]
