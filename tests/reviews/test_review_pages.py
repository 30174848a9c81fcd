"""The pages of a technical review: the whole walk as its people press it, and what each of them never gets to see."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient

from kernel import sandbox
from kernel.db import session
from kernel.trail import Actor
from reviews import panels, rounds
from reviews.kinds import Grade
from reviews.technical import Outcome, ReviewStatus
from tests.reviewing import DRAWINGS, Reviewing, drawings_pdf

#: The stair is mended, its line has moved to the second page; the slab is as it was.
SECOND = (
    ("General notes", "Fire door grade A at shaft"),
    ("Stair width 1.20 m between handrails", "Concrete cover 15 mm for slabs", "Seismic grade III frame"),
    ("Exhaust fan EF-3 on roof",),
)
STAIR, SLAB = "Stair width 1.05 m between handrails", "Concrete cover 15 mm for slabs"


class Desk:
    """Somebody at the pages of one review."""

    def __init__(self, client: FlaskClient, number: str) -> None:
        self.client = client
        self.base = f"/reviews/{number}"

    def get(self, address: str = "", status: int = 200) -> str:
        answer = self.client.get(address if address.startswith("/") else f"{self.base}{address and '/'}{address}")
        assert answer.status_code == status, (address, answer.status_code, answer.get_data(as_text=True)[-2000:])
        return unescape(answer.get_data(as_text=True))

    def send(self, address: str, status: int = 303, to: str = "", **values: Any) -> Any:
        """What the page's own form would send, with these values; ``to``: where it goes, if not to its page."""
        page = self.get(address)
        token = re.findall(r'name="act" value="([^"]+)"', page)
        version = re.search(r'name="version" value="([0-9]+)"', page)
        data = {"act": token[0] if token else "", **({"version": version[1]} if version else {}), **values}
        answer = self.client.post(
            f"{self.base}/{to or address}", data=data, content_type="multipart/form-data" if _has_file(values) else None
        )
        assert answer.status_code == status, (address, answer.status_code, errors(unescape(answer.text)))
        return answer


def _has_file(values: dict[str, Any]) -> bool:
    return any(isinstance(value, tuple) for value in values.values())


def errors(page: str) -> list[str]:
    found = re.search(r'<div class="error-summary".*?</div>', page, re.DOTALL)
    return re.findall(r"<li>(?:<a[^>]*>)?([^<]+)", found[0]) if found else []


def page_of(round_: int, page: int, slot: str = DRAWINGS) -> str:
    return f"rounds/{round_}/documents/{slot}/pages/{page}"


@pytest.fixture
def reviewing(world: Any) -> Reviewing:
    return Reviewing(world)


@pytest.fixture
def desk(reviewing: Reviewing, client_as: Callable[[str], FlaskClient]) -> Callable[..., Desk]:
    """A desk for a login or an actor; everybody signs in once."""
    clients: dict[str, FlaskClient] = {}

    def sit(who: str | Actor, number: str) -> Desk:
        login = who if isinstance(who, str) else login_of(reviewing, who)
        if login not in clients:
            clients[login] = client_as(login)
        return Desk(clients[login], number)

    return sit


def login_of(reviewing: Reviewing, actor: Actor) -> str:
    return next(login for login, person in reviewing.world.people.items() if person.id == actor.person_id)


def test_the_whole_review_is_walked_on_its_pages(reviewing: Reviewing, desk: Callable[..., Desk]) -> None:
    """B3 to B9: declared, read, written, merged once, answered, ruled on, concluded by two people, published."""
    number = reviewing.begun()
    reviewing.draw(number)
    lead, second = desk("agency8", number), desk("reviewer", number)
    applicant = desk("applicant", number)
    for actor in reviewing.experts(number):
        mine = desk(actor, number)
        assert "申报利害关系" in mine.get()
        mine.send("declaration", none="1")
    lead.send("declaration", none="1")
    lead.send("opening")
    reviewing.rendered()

    first, other, *rest = reviewing.experts(number)
    expert, colleague = desk(first, number), desk(other, number)
    shown = expert.get(page_of(1, 1))
    assert f'<img src="/reviews/{number}/rounds/1/documents/{DRAWINGS}/pages/1/picture"' in shown
    assert STAIR in shown
    assert expert.client.get(f"/reviews/{number}/{page_of(1, 1)}/picture", buffered=True).mimetype == "image/webp"
    expert.send(
        page_of(1, 1),
        grade="must",
        paragraph=STAIR,
        clause="GB 55037-2022 第7.4.4条",
        required="净宽不小于 1.10 m",
        found="疏散楼梯净宽不足",
    )
    shown = expert.get(page_of(1, 1))
    assert "草稿" in shown
    key = re.search(r'<a href="#o([0-9a-f]+)" aria-label="草稿 强制性"><rect', shown)
    assert key, "the quoted paragraph is framed on the picture"
    assert "疏散楼梯净宽不足" in expert.get("rounds/1")
    expert.send(
        f"rounds/1/opinions/{key[1]}", grade="must", clause="7.4.4", found="楼梯净宽 1.05 m，不足 1.10 m", page="1"
    )
    expert.send("rounds/1/submission")
    colleague.send(page_of(1, 1), grade="advice", found="楼梯偏窄，建议加宽")
    colleague.send(page_of(1, 2), grade="must", clause="GB 50010", found="板保护层不足", quote="Concrete cover 15 mm")
    colleague.send("rounds/1/submission")
    for actor in rest:
        desk(actor, number).send("rounds/1/no-comment")
    lead.send("rounds/1/no-comment")

    page = lead.get("rounds/1")
    assert "意见已收齐" in page
    form = lead.get("rounds/1/issue")
    keys = dict(zip(("stair", "advice", "slab"), sorted_keys(reviewing, number), strict=True))
    assert "2. 楼梯偏窄，建议加宽（建议性，" in form
    lead.send("rounds/1/issue", 422, **{f"into-{keys['advice']}": "2"})
    lead.send("rounds/1/issue", **{f"into-{keys['advice']}": "1"})

    page = applicant.get("rounds/1")
    assert "请您办理" in applicant.get()
    assert "楼梯净宽 1.05 m" in page
    assert "楼梯偏窄" not in page, "merged into the other"
    stair, slab = keys["stair"], keys["slab"]
    applicant.send(
        "rounds/1",
        to="rounds/1/answers",
        do="save",
        **{f"stance-{stair}": "corrected", f"answer-{stair}": "已加宽到 1.20 m"},
    )
    assert "已加宽到 1.20 m" in applicant.get("rounds/1")
    applicant.send(
        "rounds/1",
        to="rounds/1/answers",
        do="resubmit",
        **{
            f"stance-{stair}": "corrected",
            f"answer-{stair}": "已加宽到 1.20 m",
            f"stance-{slab}": "explained",
            f"answer-{slab}": "一类环境，15 mm 满足规范",
            "file-1": (io.BytesIO(drawings_pdf(SECOND)), "施工图（修改）.pdf"),
        },
    )
    assert "已重新报审，进入第 2 轮审查" in applicant.get()
    reviewing.rendered()

    changes = expert.get(f"rounds/2/documents/{DRAWINGS}/changes")
    assert f"<del>{STAIR}</del>" in changes or STAIR in changes
    page = expert.get("rounds/2")
    assert "已加宽到 1.20 m" in page
    assert "原文已变化" in page, "the narrow stair is nowhere in the new version"
    assert "已移至新位置" in colleague.get("rounds/2"), "the slab's line has gone down its page"
    assert f'href="#o{slab}"' in colleague.get(page_of(2, 2)), "and is framed there"
    assert "请先逐条处理您以前提出的意见：第 1 条" in page
    expert.send(f"rounds/2/opinions/{stair}/ruling", kind="closed", reason="已加宽")
    colleague.send(f"rounds/2/opinions/{slab}/ruling", kind="closed", reason="说明成立")
    for one in (expert, colleague):
        one.send("rounds/2/submission")
    for actor in rest:
        desk(actor, number).send("rounds/2/no-comment")
    lead.send("rounds/2/no-comment")

    assert "汇总并发出意见" not in lead.get("rounds/2"), "nothing mandatory is open"
    lead.send("conclusion", outcome="passed", summary="经审查，符合强制性标准")
    assert "复核结论，审查结束" not in lead.get(), "not by the same person"
    second.send("confirmation")
    lead.send("signature")
    second.send("publication")
    assert reviewing.find(number).status is ReviewStatus.FINISHED
    page = applicant.get()
    assert "审查报告" in page
    report = re.search(r'href="(/files/[^"]+)"', page)
    assert report
    assert applicant.client.get(report[1], buffered=True).data.startswith(b"%PDF")
    record = applicant.client.get(f"/reviews/{number}/record.json").get_json()
    assert record["STYWBH"] == number
    assert record["CSSFTG"] == 0
    assert record["SCZFXWFQTZS"] == 2
    assert record["SCTGSJ"] is not None


def sorted_keys(reviewing: Reviewing, number: str) -> list[str]:
    """Keys of what was submitted, in the order in which it was written."""
    session.rollback()
    return [one.key for one in rounds.submitted_in(rounds.open_round_of(reviewing.find(number)))]


# What stays hidden


def test_nobody_finds_others_opinions_on_any_page_before_all_are_in(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    """B7: neither draft nor submitted, on no page, by no address."""
    number = reviewing.opened()
    author, colleague, *_ = reviewing.experts(number)
    found = "楼梯净宽不足，见一层平面"
    key = reviewing.write(number, author, reviewing.writing(found))
    readers = [
        desk(who, number) for who in (colleague, "agency8", "reviewer", "applicant", "supervisor")
    ]  # and the author sees it
    assert found in desk(author, number).get("rounds/1")
    for state in ("drafted", "submitted"):
        for reader in readers:
            for address in ("", "rounds/1", page_of(1, 1), "record.json", "/reviews"):
                page = reader.get(address)
                assert found not in page, (state, address)
                assert key not in page, (state, address)
            for address in (f"rounds/1/opinions/{key}", f"rounds/1/opinions/{key}/ruling"):
                assert reader.client.get(f"{reader.base}/{address}").status_code in (403, 404), (state, address)
        if state == "drafted":
            reviewing.submit(number, author)
    reviewing.everybody_else_has_nothing(number, author)
    assert found in readers[0].get("rounds/1")
    assert found in readers[0].get(page_of(1, 1))
    assert found not in desk("applicant", number).get("rounds/1"), "not before it is issued"


def test_a_file_stays_shut_to_whoever_has_not_declared_or_may_not_serve(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    """B7: page, picture, comparison, original and the commission's own link, before, in conflict, and replaced."""
    number = reviewing.begun()
    reviewing.draw(number)
    lead = desk("agency8", number)
    document = reviewing.find(number).commission.materials[0].document.number  # type: ignore[union-attr]
    seat = next(one for one in reviewing.seats(number) if one.discipline == "structure")
    barred = desk(reviewing.actor_of_seat(seat), number)
    assert barred.client.get(f"/files/{document}").status_code in (403, 404), "not declared"
    barred.send("declaration", **{"conflict-family": "1", "statement": "近亲属任职于设计单位"})
    assert "近亲属任职于设计单位" in lead.get()
    assert "近亲属任职于设计单位" not in desk("applicant", number).get()
    place = [one.id for one in panels.of_review(reviewing.find(number))].index(seat.id) + 1
    assert "准予继续参加" not in lead.get(), "family is never waived"
    lead.send(f"seats/{place}/replacement", reason="应当回避：近亲属")
    assert "应当回避" not in desk("applicant", number).get()
    reviewing.declare_all(number)
    reviewing.act(number, rounds.open_round, by=reviewing.lead)
    reviewing.rendered()

    # Somebody who joins the panel later may come in, but not read before the declaration.
    lead.send("appointment", reviewer="reviewer", discipline="structure")
    late = desk("reviewer", number)
    for reader in (barred, late):
        for address in (page_of(1, 1), f"{page_of(1, 1)}/picture", f"rounds/1/documents/{DRAWINGS}/changes"):
            status = reader.client.get(f"{reader.base}/{address}").status_code
            assert status in (403, 404), (address, status)
        assert reader.client.get(f"/files/{document}").status_code in (403, 404)
    assert "请先申报利害关系" in late.get("rounds/1")
    assert page_of(1, 1) not in late.get("rounds/1")
    late.send("declaration", **{"conflict-co_work": "1", "statement": "曾合作"})
    assert "暂停参加审查" in late.get("rounds/1")
    assert late.client.get(f"{late.base}/{page_of(1, 1)}").status_code == 403
    barred.get(status=404)


# Departments


def test_a_department_says_no_comment_and_silence_is_closed_as_silence(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    """B8: 无意见 is an answer; no answer is neither consent nor 无意见, and what comes late is kept as late."""
    number = reviewing.opened(joint=True)
    lead, fire, weather = desk("agency8", number), desk("approver8", number), desk("approver7", number)
    fire.get("rounds/1")
    fire.send("rounds/1/no-comment")
    said = re.compile(r"示例市住房和城乡建设局.*?(已反馈|无意见|待反馈)", re.DOTALL)
    row = fire.get("rounds/1").partition('id="asked"')[2]
    assert said.search(row)[1] == "无意见"  # type: ignore[index]
    row = lead.get("rounds/1").partition('id="asked"')[2]
    assert said.search(row)[1] == "已反馈", "what it said is told when all are in"  # type: ignore[index]
    assert "按逾期未反馈处理" not in row
    session.rollback()
    sandbox.forward(timedelta(days=12))
    place = next(
        place
        for place, seat in enumerate(panels.of_review(reviewing.find(number)), start=1)
        if seat.organisation_id == reviewing.world.actor("approver7").organisation_id
    )
    assert f"rounds/1/seats/{place}/silence" in lead.get("rounds/1")
    lead.send(f"rounds/1/seats/{place}/silence")
    assert "逾期未反馈" in weather.get("rounds/1")
    weather.send("rounds/1/late-answer", text="防雷接地电阻须复核")
    assert "防雷接地电阻须复核" in lead.get("rounds/1")
    assert "防雷接地电阻须复核" not in desk("applicant", number).get("rounds/1")


# The applicant


def test_what_the_applicant_typed_and_uploaded_outlives_every_refusal(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    number = reviewing.issued(
        reviewing.writing(),
        reviewing.writing("板保护层不足", page=2),
        reviewing.writing("建议加宽", grade=Grade.ADVICE),
    )
    applicant = desk("applicant", number)
    stair, slab = (reviewing.opinion(number, at).key for at in (1, 3))
    said = {f"stance-{stair}": "corrected", f"answer-{stair}": "楼梯已加宽到 1.20 m"}

    def send(status: int, do: str, **more: Any) -> str:
        return unescape(applicant.send("rounds/1", to="rounds/1/answers", status=status, do=do, **said, **more).text)

    page = send(422, "save", **{f"answer-{slab}": "一类环境，满足规范"})
    assert errors(page) == ["请填写答复类型"]
    assert f'href="#stance-{slab}"' in page
    assert "楼梯已加宽到 1.20 m" in page
    assert "一类环境，满足规范" in page
    changed = (io.BytesIO(drawings_pdf(SECOND)), "施工图（修改）.pdf")
    page = send(422, "resubmit", **{"file-1": changed})
    assert errors(page) == ["请逐条答复强制性意见：3"]
    assert "楼梯已加宽到 1.20 m" in page
    kept = re.search(r'name="kept-file-1" value="([^"]+)" checked', page)
    assert kept, "nobody chooses a file twice"
    said |= {f"stance-{slab}": "explained", f"answer-{slab}": "一类环境，满足规范"}
    page = send(422, "resubmit")
    assert errors(page) == ["有意见答复为“已修改”，请上传修改后的文件"]
    send(303, "resubmit", **{"kept-file-1": kept[1]})
    assert "第 2 版" in applicant.get("rounds/2")


def test_an_older_round_is_closed_and_says_which_one_is_open(reviewing: Reviewing, desk: Callable[..., Desk]) -> None:
    """B5: acting on an older round is refused, and what was typed can be copied."""
    number = reviewing.issued()
    applicant, expert = desk("applicant", number), desk(reviewing.experts(number)[0], number)
    form = applicant.get("rounds/1")
    token = re.findall(r'name="act" value="([^"]+)"', form)[-1]
    reviewing.answered(number)
    reviewing.resubmitted(number, SECOND)
    key = reviewing.opinion(number, 1).key
    answer = applicant.client.post(
        f"{applicant.base}/rounds/1/answers",
        data={"act": token, "do": "save", f"stance-{key}": "explained", f"answer-{key}": "补充说明：已复核"},
    )
    assert answer.status_code == 409
    assert "当前为第 2 轮" in unescape(answer.text)
    assert "补充说明：已复核" in unescape(answer.text)
    typed = {"act": "x" * 20, "grade": "must", "clause": "7.4", "found": "旧版图纸上的问题"}
    answer = expert.client.post(f"{expert.base}/{page_of(1, 1)}", data=typed)
    assert answer.status_code == 409
    assert "旧版图纸上的问题" in unescape(answer.text)
    for act in ("submission", "no-comment"):
        answer = expert.client.post(f"{expert.base}/rounds/1/{act}", data={"act": f"{act:x<20}"})
        assert answer.status_code == 409, act
    assert 'id="write"' not in expert.get(page_of(1, 1))
    assert "当前为第 2 轮" in expert.get("rounds/1")


def test_resubmitting_twice_makes_one_round(reviewing: Reviewing, desk: Callable[..., Desk]) -> None:
    number = reviewing.issued()
    applicant, key = desk("applicant", number), reviewing.opinion(number, 1).key
    token = re.findall(r'name="act" value="([^"]+)"', applicant.get("rounds/1"))[-1]
    said = {"act": token, "do": "resubmit", f"stance-{key}": "explained", f"answer-{key}": "满足规范，见计算书"}
    answers = [applicant.client.post(f"{applicant.base}/rounds/1/answers", data=said) for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 303]
    assert [one.location for one in answers] == [f"/reviews/{number}"] * 2
    assert len(rounds.rounds_of(reviewing.find(number))) == 2


# Reading


def test_an_opinion_that_lacks_something_comes_back_with_all_that_was_typed(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    number = reviewing.opened()
    expert = desk(reviewing.experts(number)[0], number)
    page = unescape(expert.send(page_of(1, 1), 422, grade="must", required="不小于 1.10 m", quote="stair").text)
    assert errors(page) == ["请填写存在的问题", "请填写强制性意见的条文依据"]
    assert "不小于 1.10 m" in page
    assert 'value="stair"' in page
    assert 'value="must" checked' in page
    expert.get(page_of(1, 4), status=404)
    answer = expert.client.get(f"{expert.base}/{page_of(1, 1)}?go=99")
    assert answer.location.endswith("/pages/3"), "past the end is the last page"


def test_a_draft_is_changed_and_deleted_by_its_author_alone(reviewing: Reviewing, desk: Callable[..., Desk]) -> None:
    number = reviewing.opened()
    author, other, *_ = reviewing.experts(number)
    key = reviewing.write(number, author)
    expert = desk(author, number)
    form = expert.get(f"rounds/1/opinions/{key}")
    assert "楼梯净宽不足" in form
    token = {"act": "y" * 20}
    stranger = desk(other, number)
    assert stranger.client.post(f"{stranger.base}/rounds/1/opinions/{key}/discard", data=token).status_code == 404
    expert.send(f"rounds/1/opinions/{key}", 422, grade="must", clause="", found="", page="1")
    expert.send(f"rounds/1/opinions/{key}", to=f"rounds/1/opinions/{key}/discard")
    assert key not in expert.get("rounds/1")


def test_commission_and_review_lead_to_each_other(reviewing: Reviewing, desk: Callable[..., Desk]) -> None:
    number = reviewing.opened()
    expert = desk(reviewing.experts(number)[0], number)
    commission = reviewing.find(number).commission
    assert commission is not None
    page = f"/commissions/{commission.number}"
    lead, applicant = desk(reviewing.lead, number), desk(reviewing.applicant, number)
    assert "请办理技术审查" in lead.get(page)
    assert "请办理技术审查" not in applicant.get(page)
    for one in (lead, applicant):
        assert f'href="/reviews/{number}"' in one.get(page)
        assert f'href="{page}"' in one.get()
    assert page not in expert.get(), "an expert has nothing to do with the purchase"


def test_a_rounds_page_is_fresh_at_every_look(reviewing: Reviewing, desk: Callable[..., Desk]) -> None:
    """Its body is kept between looks; drafts, which leave no act, and pages that get ready must show all the same."""
    number = reviewing.opened()
    author, other, *_ = reviewing.experts(number)
    page, colleague = desk(author, number), desk(other, number)
    assert "楼梯净宽不足" not in page.get("rounds/1")
    assert "正在生成预览" in page.get("rounds/1")
    key = reviewing.write(number, author)
    assert "楼梯净宽不足" in page.get("rounds/1")
    assert "楼梯净宽不足" not in colleague.get("rounds/1")
    page.send(
        f"rounds/1/opinions/{key}", grade="must", clause="GB 55037-2022", required="1.1 米", found="只有一米", page="1"
    )
    assert "只有一米" in page.get("rounds/1")
    reviewing.rendered()
    assert "正在生成预览" not in page.get("rounds/1")
    reviewing.submit(number, author)
    assert "已反馈" in colleague.get("rounds/1")
    assert "意见收齐并汇总后显示在这里" in colleague.get("rounds/1")


def test_a_page_that_is_not_made_yet_says_so_and_leaves_the_original(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    number = reviewing.opened()
    expert = desk(reviewing.experts(number)[0], number)
    page = expert.get(page_of(1, 1))
    assert "本页图面正在生成" in page
    assert "下载原件" in page
    assert 'id="write"' in page, "an opinion can be written all the same"


# Meetings, the list, and taking back


def test_a_meeting_is_called_held_minuted_and_signed_on_its_pages(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    number = reviewing.opened()
    lead, expert = desk("agency8", number), desk(reviewing.experts(number)[0], number)
    ticks = re.findall(r'name="(seat-[0-9]+)"', lead.get("meeting"))
    typed = {"kind": "expert", "matter": "楼梯疏散方案", "place": "二楼会议室", "day": "2026-03-10", "hour": "25 点"}
    page = unescape(lead.send("meeting", 422, **typed, **dict.fromkeys(ticks, "1")).text)
    assert errors(page) == ["请填写会议时间，如 09:30"]
    answer = lead.send("meeting", **(typed | {"hour": "09:30"}), **dict.fromkeys(ticks, "1"))
    meeting = answer.location.removeprefix(f"/reviews/{number}/")
    assert "楼梯疏散方案" in lead.get()
    lead.send(f"{meeting}/begin")
    there = re.findall(r'name="(there-[0-9]+)"', lead.get(f"{meeting}/end"))
    lead.send(f"{meeting}/end", minutes="逐条讨论", result="同意加宽", **dict.fromkeys(there, "1"))
    expert.send(f"{meeting}/signature")
    page = lead.get(meeting)
    assert "同意加宽" in page
    assert reviewing.experts(number)[0].person in page


def test_the_list_holds_what_one_has_to_do_with_and_what_waits(reviewing: Reviewing, desk: Callable[..., Desk]) -> None:
    number = reviewing.issued()
    page = desk("applicant", number).get("/reviews")
    assert number in page
    assert "待您办理：答复意见并重新报审" in page
    assert "待您办理" not in desk("agency8", number).get("/reviews")
    assert number not in desk("agency8", number).get("/reviews?state=finished")
    stranger = desk("agency", number)
    assert number not in stranger.get("/reviews")
    stranger.get(status=404)


def test_a_conclusion_that_cannot_be_given_says_why_before_the_button(
    reviewing: Reviewing, desk: Callable[..., Desk]
) -> None:
    number = reviewing.opened()
    expert = reviewing.experts(number)[0]
    reviewing.write(number, expert)
    reviewing.submit(number, expert)
    reviewing.everybody_else_has_nothing(number, expert)
    lead = desk("agency8", number)
    page = lead.get("conclusion")
    assert "不能选择“审查合格”" in page
    assert 'value="passed"' not in page
    lead.send("conclusion", 409, outcome="passed", summary="合格")
    lead.send("conclusion", outcome="failed", summary="楼梯净宽不足")
    desk("reviewer", number).send("confirmation")
    assert reviewing.find(number).outcome is Outcome.FAILED
    lead.send("retraction-request", reason="遗漏一条意见")
    page = lead.get()
    assert "申请撤回结论" in page
    assert "遗漏一条意见" in page
