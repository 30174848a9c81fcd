"""Journey 11: a review with a conflict, a mandatory opinion, and its words found again where they have moved to."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from integration.demo import city
from integration.visitor import Page, UnexpectedAnswer
from tests.journeys.clerk import Clerk, Offer, paper
from tests.journeys.person import KEYBOARD, NARROW, NORMAL, PLAIN, Mode, Person
from tests.reviewing import drawings_pdf

pytestmark = pytest.mark.journey
DRAWINGS_REVIEW = Offer("ZJ-0303", "磐石", "agency8")
LEAD, SECOND, APPLICANT = "agency8", "reviewer", "applicant"
#: How expert, lead and applicant go about it: each of the three in every way of using the portal.
CASTS = (
    (NORMAL, PLAIN, NARROW),
    (KEYBOARD, NARROW, NORMAL),
    pytest.param((PLAIN, NORMAL, KEYBOARD), marks=pytest.mark.nightly),
    pytest.param((NARROW, KEYBOARD, PLAIN), marks=pytest.mark.nightly),
)
MATERIALS = (
    "作为勘察、设计依据的批准文件及附件",
    "全套施工图和计算书",
    "岩土工程勘察报告",
    "勘察设计单位和注册人员信息",
)
DRAWINGS = "全套施工图和计算书"
STAIR = "Stair width 1.05 m between handrails"
FIRST = (("General notes", STAIR), ("Concrete cover 20 mm for slabs",))
#: A page has come before; the stair's words stand further down, and something else is new.
CHANGED = (("Index of sheets",), ("General notes", "Fire doors of grade A", STAIR), ("Concrete cover 25 mm for slabs",))


@dataclass(frozen=True)
class Scene:
    """A review whose experts are drawn; the first of them will have a conflict."""

    clerk: Clerk
    number: str
    seated: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"/reviews/{self.number}"

    def act(self, login: str, action: str, **values: str) -> Page:
        return self.clerk.act(login, f"{self.path}/{action}", values)

    def sees(self, login: str) -> bool:
        return self.clerk.as_(login).get(self.path).status == 200

    def experts(self) -> list[str]:
        return [login for login in city.EXPERTS if self.sees(login)]

    def ready(self, round_number: int) -> None:
        """Waits until every page is drawn and the opinions have found their places."""
        until = time.monotonic() + 60
        while "正在" in (page := self.clerk.as_(LEAD).get(f"{self.path}/rounds/{round_number}")).text:
            assert time.monotonic() < until, f"{page.url}: the pages were not made"
            time.sleep(0.2)


@pytest.fixture
def scene(clerk: Clerk) -> Scene:
    """Commissioned with its drawings, taken on, started, experts drawn by three parties."""
    applicant, lead = clerk.as_(APPLICANT), clerk.as_(LEAD)
    code = clerk.project()
    page = applicant.get(f"/commissions/new?listing={clerk.listing(DRAWINGS_REVIEW)}&project={code}")
    papers = [(f"{name}.pdf", drawings_pdf(FIRST) if name == DRAWINGS else paper(name)) for name in MATERIALS]
    checked = applicant.submit(page, page.form("project_code", "listing"), files={"files": papers})
    sent = applicant.submit(checked, checked.form("act", "version"))
    commission = sent.url.split("/commissions/")[1].split("?")[0]
    clerk.act(LEAD, f"/commissions/{commission}/take-on")
    clerk.act(LEAD, f"/commissions/{commission}/start")
    number = lead.get("/reviews").link("/reviews/JS-").rsplit("/", 1)[1]
    clerk.act(LEAD, f"/reviews/{number}/draw")
    draw = lead.get(f"/reviews/{number}").link("/draws/CQ-").rsplit("/", 1)[1]
    seeds = {}
    for login in (APPLICANT, "operator", "supervisor"):
        page = clerk.as_(login).get(f"/draws/{draw}/commit")
        form = page.form("seed", "kept", "act")
        seeds[login] = dict(form.values)["seed"]
        clerk.as_(login).submit(page, form, {"kept": "1"})
    for login, seed in seeds.items():
        clerk.act(login, f"/draws/{draw}/reveal", {"seed": seed})
    found = Scene(clerk, number, ())
    return Scene(clerk, number, tuple(found.experts()))


@pytest.mark.parametrize("modes", CASTS, ids=lambda modes: "-".join(str(mode) for mode in modes))
def test_an_opinion_is_raised_answered_and_found_again_where_it_moved(
    modes: tuple[Mode, Mode, Mode], person: Callable[..., Person], scene: Scene
) -> None:
    """Journey 11 (B5, B7): nothing opens before the declaration, a conflict is replaced, a place follows its words."""
    in_conflict, *others = scene.seated
    _conflict(person(modes[0], in_conflict), scene)
    lead = person(modes[1], LEAD)
    _replaced(lead, scene)
    assert not scene.sees(in_conflict)
    for login in scene.experts():
        if login not in others:
            scene.act(login, "declaration", none="1")
    for login in others[1:]:
        scene.act(login, "declaration", none="1")
    scene.act(LEAD, "declaration", none="1")

    expert = person(modes[0], others[0])
    expert.open("/reviews")
    expert.press(expert.page.locator(f"main a[href='{scene.path}']"))
    expert.press("申报利害关系")
    expert.tick(expert.page.locator("[name=none]"))
    expert.press("提交申报")
    lead.open(scene.path)
    lead.press("开始本轮审查")
    lead.press("开始审查")
    scene.ready(1)
    _writes(expert, scene)

    lead.open(f"{scene.path}/rounds/1")
    assert "疏散楼梯净宽不足" not in lead.page.content(), "not before all are in"
    for login in (LEAD, *(one for one in scene.experts() if one != others[0])):
        scene.act(login, "rounds/1/no-comment")
    lead.refresh()
    assert "疏散楼梯净宽不足" in lead.text
    lead.press("汇总并发出意见")
    lead.press("发出审查意见")
    assert "待申请人答复" in lead.text

    _answers(person(modes[2], APPLICANT), scene)
    scene.ready(2)
    _follows(expert, scene)
    _finish(scene)


def _conflict(one: Person, scene: Scene) -> None:
    """Declares a relative; from then on no file opens."""
    one.open(f"{scene.path}")
    one.press("申报利害关系")
    one.tick(one.page.locator("[name=conflict-family]"))
    one.press("提交申报", status=422)
    assert one.page.locator(".error-summary a[href='#statement']").count() == 1, "a conflict needs a word about it"
    one.write("statement", "设计单位负责人是本人近亲属。")
    one.press("提交申报")
    assert "有利害关系" in one.text


def _replaced(lead: Person, scene: Scene) -> None:
    """The lead sees the conflict and takes the next of the drawn order."""
    lead.open(scene.path)
    row = lead.page.locator("section[aria-labelledby=panel] tbody tr", has_text="近亲属")
    assert row.count() == 1
    assert "准予继续参加" not in row.inner_text(), "family is never waived"
    lead.press(row.get_by_role("link", name="更换"))
    lead.write("reason", "近亲属关系，应当回避。")
    lead.press("更换人员")
    assert lead.page.locator("section[aria-labelledby=panel] tbody tr", has_text="已更换").count() == 1


def _writes(expert: Person, scene: Scene) -> None:
    """Reads the page, quotes a line, and hands the opinion in."""
    expert.open(scene.path)
    expert.press("填写第 1 轮意见")
    card = expert.page.locator("section[aria-labelledby=documents] .document", has_text=DRAWINGS)
    expert.press(card.get_by_role("link", name="逐页查看"))
    picture = expert.page.locator(".sheet img")
    assert picture.evaluate("e => e.complete && e.naturalWidth > 0"), "the page is a picture"
    assert STAIR in expert.text, "and a text for those who can't see it"
    expert.tick(expert.page.locator("[name=grade][value=must]"))
    expert.write("found", "疏散楼梯净宽不足 1.10 m")
    expert.press("保存草稿", status=422)
    assert "疏散楼梯净宽不足 1.10 m" in expert.page.locator("[name=found]").input_value()
    expert.write("clause", "GB 55037-2022 第7.4.4条")
    _choose(expert, "paragraph", STAIR)
    expert.press("保存草稿")
    _frame_is_on(expert, 1)
    expert.press("返回第 1 轮")
    expert.press("提交意见")
    expert.press("提交意见")
    assert "有意见" in expert.text


def _answers(applicant: Person, scene: Scene) -> None:
    """Answers, forgets the file, is told, and resubmits."""
    applicant.open("/reviews")
    applicant.press(applicant.page.locator(f"main a[href='{scene.path}']"))
    applicant.press("答复意见并重新报审")
    stance = applicant.page.locator("select[name^='stance-']").first.get_attribute("name") or ""
    _choose(applicant, stance, "corrected")
    applicant.write(stance.replace("stance", "answer"), "楼梯已加宽，见修改后的图纸。")
    applicant.press("重新报审", status=422)
    assert applicant.page.locator(".error-summary a[href='#files']").count() == 1
    kept = applicant.page.locator(f"[name='{stance.replace('stance', 'answer')}']").input_value()
    assert kept == "楼梯已加宽，见修改后的图纸。"
    field = applicant.page.get_by_label(DRAWINGS).get_attribute("name") or ""
    applicant.attach(field, [("施工图（修改）.pdf", drawings_pdf(CHANGED))])
    applicant.press("重新报审")
    assert "第 2 轮" in applicant.text


def _follows(expert: Person, scene: Scene) -> None:
    """The opinion stands where its words went; what else changed is shown; then it is closed."""
    expert.open(scene.path)
    expert.press("填写第 2 轮意见")
    assert "已移至新位置（第 2 页）" in expert.text
    expert.press("查看原文位置")
    assert re.search(r"/rounds/2/documents/[^/]+/pages/2$", expert.path), expert.path
    _frame_is_on(expert, 2)
    expert.press("返回第 2 轮")
    expert.press("与上一轮对照")
    assert expert.page.locator("del", has_text="Concrete cover 20 mm").count() == 1
    assert expert.page.locator("ins", has_text="Concrete cover 25 mm").count() == 1
    picture = expert.page.locator(".sheet img").last
    picture.scroll_into_view_if_needed()
    picture.evaluate("e => e.decode()")  # fails where there is no picture
    expert.open(f"{scene.path}/rounds/2")
    expert.press("处理本条意见")
    expert.tick(expert.page.locator("[name=kind][value=closed]"))
    expert.write("reason", "已加宽，符合要求。")
    expert.press("提交处理意见")
    assert "已落实" in expert.page.locator("section[aria-labelledby=opinions]").inner_text()
    expert.press("无意见")
    expert.press("提交“无意见”")


def _finish(scene: Scene) -> None:
    """Frees the experts for the next review."""
    for login in (LEAD, *scene.experts()):
        try:
            scene.act(login, "rounds/2/no-comment")
        except UnexpectedAnswer:
            continue  # the expert of the journey has answered already
    scene.act(LEAD, "conclusion", outcome="passed", summary="符合工程建设强制性标准。")
    scene.act(SECOND, "confirmation")
    scene.act(LEAD, "signature")
    scene.act(SECOND, "publication")


def _frame_is_on(one: Person, page: int) -> None:
    """A frame lies on the picture, inside it, and leads to the opinion beside it."""
    frame = one.page.locator(".sheet svg a")
    assert frame.count() == 1
    picture, box = one.page.locator(".sheet img").bounding_box(), frame.locator("rect").bounding_box()
    assert picture
    assert box
    assert picture["x"] <= box["x"]
    assert box["x"] + box["width"] <= picture["x"] + picture["width"]
    assert picture["y"] <= box["y"] < picture["y"] + picture["height"] / 3
    target = frame.get_attribute("href") or ""
    assert one.page.locator(f"article{target}").count() == 1


def _choose(one: Person, name: str, value: str) -> None:
    """Choose from a list; by keyboard alone with the arrows."""
    place = one.page.locator(f"select[name='{name}']")
    one.effort.fields += 1
    if not one.mode.keyboard:
        place.select_option(value)
        return
    one.reach(place)
    for _ in range(place.locator("option").count()):
        if place.input_value() == value:
            return
        one.page.keyboard.press("ArrowDown")
    assert place.input_value() == value
