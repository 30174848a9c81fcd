"""Machine-checked criteria say what they saw, never decide, and never fall over (B6)."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import files
from kernel.db import transaction
from kernel.files import Document
from reviews import checks
from reviews.checks import Checked, Outcome, Result, RuleInvalid
from reviews.kinds.rules import number
from tests.signing import make_signer, paper, sign

ON = date(2026, 3, 2)
NAMES = {
    "plot_ratio": ("容积率", "Plot ratio"),
    "limit": ("规划条件容积率", "Plot ratio allowed"),
    "area": ("建筑面积", "Floor area"),
    "report": ("报告", "Report"),
}


def pdf(**told: Any) -> Document:
    facts = {name: told.pop(name) for name in ("title", "author", "signatures") if name in told}
    return Document(
        **{"name": "report.pdf", "media_type": "application/pdf", "sha256": "0" * 64, "pages": 12, "facts": facts}
        | told
    )


def run(rule: object, documents: dict[str, Document] | None = None, **fields: object) -> Result:
    return checks.run(rule, Checked(fields, documents or {}, ON, NAMES, {"area": "㎡"}))


class TestLimit:
    def test_the_reason_holds_the_figures_in_both_languages(self) -> None:
        result = run({"rule": "limit", "field": "plot_ratio", "most": 2.5}, plot_ratio="2.8")
        assert result.outcome is Outcome.NOT_MET
        assert result.zh == "容积率 2.8 超过 2.5"
        assert result.en == "Plot ratio 2.8 exceeds 2.5"

    def test_a_limit_may_be_another_figure(self) -> None:
        rule = {"rule": "limit", "field": "plot_ratio", "most": {"field": "limit"}}
        assert run(rule, plot_ratio=2.5, limit="2.50").outcome is Outcome.MET
        assert run(rule, plot_ratio=2.51, limit=2.5).zh == "容积率 2.51 超过规划条件容积率 2.5"
        assert run(rule, plot_ratio=2.5).zh == "未填写规划条件容积率"

    def test_both_ends_belong_to_the_range(self) -> None:
        rule = {"rule": "limit", "field": "area", "least": 10, "most": "20"}
        found = [run(rule, area=area).outcome for area in ("9.99", "10", "20", "20.01")]
        assert found == [Outcome.NOT_MET, Outcome.MET, Outcome.MET, Outcome.NOT_MET]
        assert run(rule, area="15").zh == "建筑面积 15 ㎡，不低于 10 ㎡、不超过 20 ㎡"

    def test_tenths_are_exact(self) -> None:
        rule = {"rule": "equality", "values": [{"field": "a"}, {"value": 0.3}], "tolerance": "0.1"}
        assert run(rule, a=0.2).outcome is Outcome.MET  # 0.3 - 0.2 > 0.1 in binary

    def test_what_is_no_figure_is_not_checked_and_not_passed(self) -> None:
        odd: list[object] = ["", "  ", None, "two", "1e9999", float("nan"), float("inf"), True, [], {}, "²", 10**5000]
        for one in (*odd, Decimal("NaN"), Decimal("1E+999999"), "1" * 10_000):
            result = run({"rule": "limit", "field": "area", "most": 10}, area=one)
            assert result.outcome is Outcome.NOT_CHECKED
            assert len(result.zh) < 200

    @pytest.mark.parametrize(
        ("typed", "figure"), [("１２，０００．５", "12000.5"), (" 12,000.50 ", "12000.50"), ("-3", "-3")]
    )
    def test_figures_are_read_as_people_type_them(self, typed: str, figure: str) -> None:
        assert number(typed) == Decimal(figure)

    @given(
        st.decimals(-(10**9), 10**9, places=4),
        st.decimals(-(10**9), 10**9, places=4),
        st.sampled_from(["most", "least"]),
    )
    def test_it_agrees_with_exact_arithmetic(self, figure: Decimal, bound: Decimal, end: str) -> None:
        result = run({"rule": "limit", "field": "area", end: str(bound)}, area=str(figure))
        is_met = figure <= bound if end == "most" else figure >= bound
        assert result.outcome is (Outcome.MET if is_met else Outcome.NOT_MET)


class TestPresence:
    def test_a_material_is_there_or_not(self) -> None:
        rule = {"rule": "presence", "material": "report"}
        assert run(rule).zh == "未提交报告"
        assert run(rule, {"report": pdf()}).outcome is Outcome.MET

    def test_a_blank_figure_is_not_filled_in(self) -> None:
        rule = {"rule": "presence", "field": "area"}
        assert run(rule, area=" ").outcome is Outcome.NOT_MET
        assert run(rule, area=0).outcome is Outcome.MET


class TestEquality:
    RULE: ClassVar = {"rule": "equality", "values": [{"field": "area"}, {"field": "drawn"}], "tolerance": 1}

    def test_documents_that_differ_by_more_than_the_tolerance_are_told_with_both_figures(self) -> None:
        result = run(self.RULE, area="10000", drawn="10001.5")
        assert result.outcome is Outcome.NOT_MET
        assert "建筑面积 10000" in result.zh
        assert "相差 1.5" in result.zh
        assert run(self.RULE, area="10000", drawn="10001").outcome is Outcome.MET

    def test_a_missing_figure_is_never_equal(self) -> None:
        assert run(self.RULE, area="1").outcome is Outcome.NOT_CHECKED

    def test_texts_and_dates_are_compared_as_what_they_are(self) -> None:
        rule = {"rule": "equality", "values": [{"field": "area"}, {"field": "drawn"}]}
        assert run(rule, area="ＡＢ 座", drawn="ab座").outcome is Outcome.MET
        assert run(rule, area="2026年3月1日", drawn="2026-03-01").outcome is Outcome.MET
        assert run(rule, area="甲", drawn="乙").outcome is Outcome.NOT_MET

    def test_a_figure_is_compared_with_what_the_file_says(self) -> None:
        rule = {"rule": "equality", "values": [{"field": "area"}, {"material": "report", "property": "pages"}]}
        assert run(rule, {"report": pdf(pages=12)}, area=12).outcome is Outcome.MET
        assert run(rule, {"report": pdf(pages=11)}, area=12).zh.endswith("相差 1")

    @given(st.lists(st.decimals(-(10**6), 10**6, places=2), min_size=2, max_size=6), st.decimals(0, 10**6, places=2))
    def test_the_order_of_the_documents_never_matters(self, figures: list[Decimal], tolerance: Decimal) -> None:
        def outcome(order: list[Decimal]) -> Outcome:
            values = [{"value": str(one)} for one in order]
            return run({"rule": "equality", "values": values, "tolerance": str(tolerance)}).outcome

        assert outcome(figures) is outcome(figures[::-1])
        assert (outcome(figures) is Outcome.MET) == (max(figures) - min(figures) <= tolerance)


class TestDates:
    def test_the_last_day_still_counts(self) -> None:
        rule = {"rule": "date_valid", "field": "expires", "not_before": {"today": True}}
        assert run(rule, expires="2026-03-02").outcome is Outcome.MET
        assert run(rule, expires="2026-03-01").zh == "expires 2026-03-01 早于 2026-03-02"

    def test_months_before_today(self) -> None:
        rule = {"rule": "date_valid", "field": "seen", "not_before": {"today": True, "months": -36}}
        assert run(rule, seen="2023-03-02").outcome is Outcome.MET
        assert run(rule, seen="2023-03-01").outcome is Outcome.NOT_MET

    def test_one_date_after_another(self) -> None:
        rule = {"rule": "date_valid", "field": "signed", "not_before": {"field": "drawn"}, "not_after": "2026-12-31"}
        assert run(rule, signed="2026-01-02", drawn="2026-01-02").outcome is Outcome.MET
        assert run(rule, signed="2027-01-01", drawn="2026-01-02").outcome is Outcome.NOT_MET
        assert run(rule, signed="soon", drawn="2026-01-02").outcome is Outcome.NOT_CHECKED

    def test_a_day_beyond_the_calendar_is_not_checked(self) -> None:
        rule = {"rule": "date_valid", "field": "seen", "not_after": {"field": "seen", "days": 36500}}
        assert run(rule, seen="9999-12-31").outcome is Outcome.NOT_CHECKED


class TestFiles:
    def test_pages_and_titles(self) -> None:
        pages = {"rule": "pdf", "material": "report", "property": "pages", "most": 10}
        assert run(pages, {"report": pdf(pages=12)}).zh == "报告页数 12 超过 10"
        title = {"rule": "pdf", "material": "report", "property": "title", "contains": {"field": "area"}}
        assert run(title, {"report": pdf(title="示例大厦 施工图")}, area="示例大厦").outcome is Outcome.MET
        assert run(title, {"report": pdf()}, area="示例大厦").outcome is Outcome.NOT_MET

    def test_drawings_of_other_programs_are_not_checked(self) -> None:
        drawing = pdf(name="plan.dwg", media_type="image/vnd.dwg", pages=None)
        for rule in (
            {"rule": "pdf", "material": "report", "property": "pages", "most": 10},
            {"rule": "signature_valid", "material": "report"},
        ):
            assert run(rule, {"report": drawing}).outcome is Outcome.NOT_CHECKED

    def test_signatures_are_judged_by_mathematics(self, world: Any, tmp_path: Path) -> None:
        signed = sign(paper(), make_signer(tmp_path))
        broken = bytearray(signed)
        broken[signed.index(b"/Producer") + 12] ^= 1
        rule = {"rule": "signature_valid", "material": "report"}
        outcomes = []
        with transaction():
            for content in (signed, bytes(broken), paper("unsigned")):
                outcomes.append(run(rule, {"report": files.put(io.BytesIO(content), "a.pdf", by=world.applicant)}))
        assert [one.outcome for one in outcomes] == [Outcome.MET, Outcome.NOT_MET, Outcome.NOT_MET]
        assert "Example Agency" in outcomes[0].zh
        assert "内容被改动" in outcomes[1].zh
        assert "有电子签名 0 个" in outcomes[2].zh

    def test_a_file_that_is_gone_is_not_checked(self, world: Any) -> None:
        rule = {"rule": "signature_valid", "material": "report"}
        assert run(rule, {"report": pdf(sha256="a" * 64)}).outcome is Outcome.NOT_CHECKED


class TestGrammar:
    @pytest.mark.parametrize(
        ("rule", "says"),
        [
            ("limit", "JSON"),
            ({}, "rule"),
            ({"rule": "python", "code": "1"}, "rule"),
            ({"rule": "limit", "field": "a"}, "least"),
            ({"rule": "limit", "field": "a", "most": "many"}, "most"),
            ({"rule": "limit", "field": "a", "least": 2, "most": 1}, "least"),
            ({"rule": "limit", "field": "a", "most": 1, "maximum": 2}, "maximum"),
            ({"rule": "limit", "field": "", "most": 1}, "field"),
            ({"rule": "presence"}, "material"),
            ({"rule": "presence", "field": "a", "material": "b"}, "material"),
            ({"rule": "equality", "values": [{"field": "a"}]}, "values"),
            ({"rule": "equality", "values": [{"field": "a"}, "b"]}, "values"),
            ({"rule": "equality", "values": [{"field": "a"}, {"field": "b"}], "tolerance": -1}, "tolerance"),
            ({"rule": "equality", "values": [{"value": float("inf")}, {"value": 1}]}, "values"),
            ({"rule": "equality", "values": [{"value": "\0"}, {"value": 1}]}, "values"),
            ({"rule": "pdf", "material": "a", "property": "title", "contains": "\0"}, "contains"),
            ({"rule": "date_valid", "field": "a"}, "not_before"),
            ({"rule": "date_valid", "field": "a", "not_after": "2026-02-30"}, "not_after"),
            ({"rule": "date_valid", "field": "a", "not_after": {"today": True, "days": 10**9}}, "not_after"),
            ({"rule": "signature_valid", "material": "a", "least": 0}, "least"),
            ({"rule": "pdf", "material": "a", "property": "colour"}, "property"),
            ({"rule": "pdf", "material": "a", "property": "title", "most": 3}, "most"),
        ],
    )
    def test_a_wrong_rule_is_refused_with_what_is_wrong(self, rule: object, says: str) -> None:
        with pytest.raises(RuleInvalid) as refused:
            checks.validate(rule)
        assert says in refused.value.text("zh")
        assert says in refused.value.text("en")
        assert run(rule).outcome is Outcome.NOT_CHECKED

    def test_codes_that_the_kind_does_not_have_are_refused(self) -> None:
        rule = {"rule": "limit", "field": "a", "most": {"field": "b"}}
        checks.validate(rule, fields={"a", "b"})
        with pytest.raises(RuleInvalid, match="check_rule_invalid"):
            checks.validate(rule, fields={"a"})


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(
    ["field", "material", "values", "most", "least", "tolerance", "not_before", "not_after", "property", "contains"]
)
CODES = st.sampled_from(["a", "b", "report"])
OPERAND = ODD | st.builds(lambda code: {"field": code}, CODES) | st.just({"today": True})
RULES = st.builds(
    lambda kind, members: {"rule": kind, **members},
    st.sampled_from(["limit", "presence", "equality", "date_valid", "signature_valid", "pdf"]) | ODD,
    st.dictionaries(MEMBERS, CODES | OPERAND | st.lists(OPERAND, max_size=3) | st.just("pages"), max_size=5),
)


@given(RULES | ODD, st.dictionaries(CODES, ODD, max_size=3), st.booleans())
def test_nothing_a_rule_or_an_application_holds_makes_the_check_fall_over(
    rule: object, fields: dict[str, object], has_file: bool
) -> None:
    result = run(rule, {"report": pdf(title="标题")} if has_file else {}, **fields)
    assert isinstance(result.outcome, Outcome)
    assert result.zh
    assert result.en
