"""The review report says everything, in a file that is the same every time and keeps places for its signatures (B9)."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pikepdf
import pypdfium2
import pytest

from kernel import files, seals
from kernel.seals import LocalSeals, LocalTimeStamps, PdfSeals, Signatory
from reviews import report as reports
from reviews.report import (
    AnswerPart,
    CheckPart,
    DepartmentPart,
    MeetingPart,
    OpinionPart,
    Panelist,
    Report,
    ReviewedDocument,
    RoundPart,
    Signing,
)

BEGAN = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
HASHES = [hashlib.sha256(name).hexdigest() for name in (b"one", b"two", b"three")]


def opinion(place: int = 1, **changes: object) -> OpinionPart:
    told = OpinionPart(
        number=f"1-{place}",
        grade="强制性",
        discipline="结构",
        clause="《建筑抗震设计规范》GB 50011 第 6.1.2 条",
        document="结施-05 基础平面图",
        page=3,
        quote=f"独立基础底面标高 -2.{place:02d} m",
        required="框架抗震等级应为二级",
        found=f"第 {place} 处按三级设计",
        answers=(AnswerPart(1, f"已按二级修改，见第 {place} 处"),),
        ruling="复核后关闭",
    )
    return replace(told, **changes)  # type: ignore[arg-type]


def whole(**changes: object) -> Report:
    told = Report(
        title="施工图设计文件审查报告",
        number="JS-2026-000001",
        kind="施工图设计文件审查",
        clause="《房屋建筑和市政基础设施工程施工图设计文件审查管理办法》第三条",
        project_code="2603-230199-04-01-100001",
        project_name="示例市云栖里住宅小区",
        engineering="一期（2603-230199-04-01-100001-0001）",
        construction_unit="宏远置业有限公司",
        review_body="示例市图审中心有限公司",
        review_body_code="91230199MA0000001X",
        commission_number="WT-2026-000128",
        commissioned_by="宏远置业有限公司",
        commissioned_at=BEGAN,
        started_at=BEGAN + timedelta(days=1),
        first_round_done_at=BEGAN + timedelta(days=8),
        concluded_at=BEGAN + timedelta(days=15),
        conclusion="审查合格",
        summary="施工图设计文件符合工程建设强制性标准。\n地基基础和主体结构安全。",
        violations=2,
        valid_until=date(2029, 3, 17),
        panel=[
            Panelist("张三", "结构", "审查负责人", "无利害关系"),
            Panelist("李四", "建筑", "审查专家", "曾合作，经批准不回避：已满两年"),
        ],
        rounds=[
            RoundPart(
                1,
                BEGAN + timedelta(days=1),
                BEGAN + timedelta(days=8),
                BEGAN + timedelta(days=10),
                [
                    ReviewedDocument("结施图", "第 1 版", HASHES[0], 42),
                    ReviewedDocument("建施图", "第 1 版", HASHES[1]),
                ],
            ),
            RoundPart(
                2, BEGAN + timedelta(days=10), None, None, [ReviewedDocument("结施图", "第 2 版", HASHES[2], 43)]
            ),
        ],
        checks=[CheckPart("容积率", "规划条件第 3 条", "强制性", "符合", "容积率 2.4 未超过 2.5")],
        opinions=[opinion(1), opinion(2, grade="建议性", page=None, quote="", ruling="", answers=())],
        departments=[
            DepartmentPart("人防办", "人防", "同意", "", BEGAN, date(2026, 3, 9), BEGAN + timedelta(days=2), "王五"),
            DepartmentPart("消防大队", "消防", "逾期未反馈", "", BEGAN, date(2026, 3, 9)),
            DepartmentPart("气象局", "防雷", "无意见", "", BEGAN, date(2026, 3, 9), BEGAN + timedelta(days=1), "赵六"),
        ],
        meetings=[
            MeetingPart(
                "专家评审会",
                BEGAN,
                BEGAN + timedelta(hours=3),
                "基坑支护专项论证",
                "通过论证",
                ("张三", "李四"),
                "计入审查时限",
            )
        ],
        signings=[Signing(reports.LEAD, "审查负责人", "张三"), Signing(reports.SECOND, "复核人", "李四")],
    )
    return replace(told, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def compiled() -> bytes:
    return reports.compile_report(whole())


@pytest.fixture(scope="module")
def words(compiled: bytes) -> str:
    return squeezed(compiled)


def test_everything_that_was_reviewed_found_answered_and_decided_stands_in_it(words: str) -> None:
    for said in (
        "施工图设计文件审查报告",
        "编号JS-2026-000001",
        "2603-230199-04-01-100001",
        "宏远置业有限公司",
        "示例市图审中心有限公司（91230199MA0000001X）",
        "WT-2026-000128",
        "审查合格",
        "地基基础和主体结构安全。",
        "违反强制性条文2处",
        "2029年3月17日",
        "曾合作，经批准不回避：已满两年",
        "容积率2.4未超过2.5",
        "第3页",
        "“独立基础底面标高-2.01m”",
        "框架抗震等级应为二级",
        "第1轮答复：已按二级修改，见第1处",
        "复核后关闭",
        "共2条，其中强制性1条，建议性1条。",
        "逾期未反馈",
        "无意见",
        "基坑支护专项论证",
        "计入审查时限",
    ):
        assert said in words, said


def test_instants_are_in_beijing_time(words: str) -> None:
    assert "委托时间2026年3月2日09:30" in words


def test_every_reviewed_version_is_named_by_its_whole_hash(words: str) -> None:
    assert [sha256 in words for sha256 in HASHES] == [True, True, True]


def test_a_silent_department_is_neither_consent_nor_no_opinion(words: str) -> None:
    silent = words[words.index("消防大队") : words.index("气象局")]
    assert "逾期未反馈" in silent
    assert "未反馈" in silent
    assert "同意" not in silent
    assert "无意见" not in silent


def test_the_same_report_is_the_same_bytes_and_another_is_not(compiled: bytes) -> None:
    assert reports.compile_report(whole()) == compiled
    assert reports.compile_report(whole(conclusion="审查不合格")) != compiled


def test_it_is_an_archive_pdf_on_a4_with_page_numbers(compiled: bytes) -> None:
    with pikepdf.open(io.BytesIO(compiled)) as pdf:
        metadata = pdf.open_metadata()
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("2", "B")
        for page in pdf.pages:
            assert [round(float(edge)) for edge in page.MediaBox] == [0, 0, 595, 842]
    pages = texts(compiled)
    assert all(f"{place}/{len(pages)}" in text for place, text in enumerate(pages, start=1))


def test_nothing_that_people_wrote_is_taken_for_markup() -> None:
    said = "#panic() $x$ *a* `b` <c> @d \\e // f [g] _h_ = i"
    made = squeezed(reports.compile_report(whole(summary=said, opinions=[opinion(found=said)])))
    assert made.count("#panic()$x$*a*`b`<c>@d\\e//f[g]_h_=i") == 2


def test_hidden_and_turning_signs_are_left_out_and_unknown_ones_do_not_stop_it() -> None:
    made = reports.compile_report(whole(summary="合格\u202e格合不\u0000 \ue000 \U0001f3d7 完"))
    assert "合格格合不" in squeezed(made)
    with pikepdf.open(io.BytesIO(made)) as pdf:
        assert len(pdf.pages) >= 2


def test_a_long_run_without_spaces_stays_in_its_column() -> None:
    run = "https://" + "a1" * 150
    made = reports.compile_report(whole(opinions=[opinion(found=run)]))
    with pypdfium2.PdfDocument(made) as document:
        for page in document:
            text = page.get_textpage()
            right = max((text.get_charbox(at)[2] for at in range(text.count_chars())), default=0)
            assert right < page.get_width() - 50
            text.close()


def test_a_review_without_opinions_meetings_and_departments_says_so() -> None:
    made = squeezed(reports.compile_report(whole(opinions=[], checks=[], departments=[], meetings=[], rounds=[])))
    assert "审查未提出意见。" in made
    assert made.count("无。") == 4


def test_a_report_of_many_opinions_names_each_once_and_repeats_its_heading() -> None:
    made = reports.compile_report(whole(opinions=[opinion(place) for place in range(1, 251)]))
    pages = texts(made)
    together = "".join(pages)
    assert len(pages) > 15
    for place in range(1, 251):
        assert together.count(f"第{place}处按三级设计") == 1
    with_opinions = [text for text in pages if "按三级设计" in text]
    assert all("位置、要求和发现的问题" in text for text in with_opinions)
    assert "共250条，其中强制性250条。" in together


def test_its_places_take_the_signatures_and_the_seal(compiled: bytes, tmp_path: Path) -> None:
    """From the compiled report to the file that is published: three signatures, each where its name is printed."""
    keys = LocalSeals(tmp_path / "keys")
    told = {"provider": keys, "timestamp": LocalTimeStamps(keys)}
    places = reports.signature_places(whole())
    assert set(places) == {reports.LEAD, reports.SECOND, reports.SEAL}
    code = "91230199MA0000001X"
    body = "示例市图审中心有限公司"
    content = compiled
    for field, who in (
        (reports.LEAD, Signatory("张三", body, code, "zhang.san")),
        (reports.SECOND, Signatory("李四", body, code, "li.si")),
        (reports.SEAL, Signatory.of_organisation(body, code)),
    ):
        content = seals.sign(content, who, reason="签署审查报告", field_name=field, appearance=places[field], **told)
    assert content.startswith(compiled)
    path = tmp_path / "report.pdf"
    path.write_bytes(content)
    found = PdfSeals(keys.roots).signatures(path)
    assert [(one.is_intact, one.is_trusted) for one in found] == [(True, True)] * 3
    assert files.inspect(path, "report.pdf").facts["signatures"] == 3
    with pikepdf.open(path) as pdf:
        last = pdf.pages[-1]
        boxes = [[float(edge) for edge in mark.Rect] for mark in last.Annots]
    assert len(boxes) == 3
    height = 842
    for (left, bottom, right, top), field in zip(boxes, (reports.LEAD, reports.SECOND, reports.SEAL), strict=True):
        assert places[field].page == len(texts(compiled))
        assert abs((left + right) / 2 - places[field].x) < 1.5
        assert abs(height - (top + bottom) / 2 - places[field].y) < 1.5
    # The marks stand one under the other, none over another.
    assert boxes[0][1] > boxes[1][3] > boxes[1][1] > boxes[2][3]
    assert boxes[2][1] > 0


def texts(content: bytes) -> list[str]:
    with pypdfium2.PdfDocument(content) as document:
        found = []
        for page in document:
            text = page.get_textpage()
            found.append(re.sub(r"[\s\u200b\u00ad\ufffe]+", "", text.get_text_range()))
            text.close()
        return found


def squeezed(content: bytes) -> str:
    return "".join(texts(content))
