"""Kinds of review as data: the statutory ones, and criteria picked by the day of the application (B1, 000 §8.1–8.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from kernel import clock, trail
from kernel.db import session, transaction
from kernel.errors import Forbidden, Invalids
from kernel.trail import SYSTEM
from kernel.workflow import StaleVersion
from market import catalogue
from reviews import kinds
from reviews.kinds import Criterion, CriterionText, Grade, ReviewKind
from reviews.kinds.rules import validate

STATUTORY = [
    "feasibility_appraisal",
    "energy_saving",
    "environmental_impact",
    "soil_conservation",
    "design_scheme",
    "construction_drawings",
]
VALUES: dict[str, Any] = {
    "code": "lightning",
    "zh": "雷电防护装置设计技术评价",
    "en": "Lightning protection design review",
    "clause": "《气象灾害防御条例》第二十三条",
    "guide_zh": "提交设计文件。",
    "guide_en": "Hand in the design.",
    "materials": [{"code": "design", "zh": "设计文件", "en": "Design", "required": True}],
    "fields": [{"code": "resistance", "zh": "接地电阻", "en": "Earth resistance", "unit": "Ω", "kind": "number"}],
    "specialities": [{"code": "lightning", "zh": "防雷", "en": "Lightning protection", "count": 1}],
    "reviewers": 1,
    "round_limit": 2,
    "promised_days": 10,
    "round_days": 5,
    "response_days": 5,
    "joint_days": 3,
    "commissioned_by": ["applicant"],
    "signatures": ["lead", "second"],
    "item_codes": ["ZJ-0307"],
    "departments": [],
    "joint_kind": None,
    "title_of_report": "技术评价报告",
    "title_of_report_en": "Review report",
}


def words(**changed: Any) -> CriterionText:
    told: dict[str, Any] = {
        "code": "FL-01",
        "zh": "接地电阻不大于10Ω",
        "en": "The earth resistance is 10 Ω at most",
        "clause": "《建筑物防雷设计规范》GB 50057-2010",
        "grade": Grade.MUST,
        "speciality": "lightning",
        "check": {"rule": "limit", "field": "resistance", "most": 10},
    }
    return CriterionText(**{**told, **changed})


@pytest.fixture
def ground(world: Any, owner_engine: Engine) -> Iterator[Any]:
    """The world with the shipped kinds; what a test adds to them ends with the test."""
    with transaction():
        kinds.load_shipped()
    shipped = {
        name: session.scalar(select(func.max(one.id))) for name, one in (("kind", ReviewKind), ("criterion", Criterion))
    }
    yield world
    session.rollback()
    session.remove()
    with owner_engine.connect() as connection:
        connection.execute(text("DELETE FROM review_criteria WHERE id > :last"), {"last": shipped["criterion"]})
        connection.execute(text("DELETE FROM review_kinds WHERE id > :last"), {"last": shipped["kind"]})


@pytest.fixture
def kind(ground: Any) -> ReviewKind:
    with transaction():
        return kinds.add_kind(VALUES, by=ground.operator)


@pytest.mark.usefixtures("ground")
class TestShipped:
    def test_the_six_statutory_kinds_are_there_in_the_order_of_the_law(self) -> None:
        assert [one.code for one in kinds.all_kinds()][:6] == STATUTORY

    def test_each_of_the_four_joint_reviews_has_its_kind(self) -> None:
        assert {one.joint_kind for one in kinds.all_kinds()} >= set(kinds.JointKind)

    def test_loading_again_adds_nothing(self) -> None:
        before = session.scalar(select(func.count()).select_from(Criterion))
        with transaction():
            assert kinds.load_shipped() == 0
        assert session.scalar(select(func.count()).select_from(Criterion)) == before

    def test_each_serves_review_items_and_asks_for_what_the_catalogue_asks_for(self) -> None:
        for one in kinds.shipped():
            items = [catalogue.by_code(code) for code in one["item_codes"]]
            if one["joint_kind"] == "completion":
                assert items == [], "judges deliverables; nobody buys it as a service"
                continue
            assert all(item.technical_review for item in items), one["code"]
            named = {material["zh"] for material in one["materials"]}
            wanted = set(items[0].required_materials)
            assert wanted <= named, (one["code"], wanted - named)
            assert one["promised_days"] == items[0].promised_working_days

    def test_each_has_a_guide_a_panel_and_six_to_twelve_criteria_with_their_source(self) -> None:
        for one in kinds.shipped():
            assert len(one["guide_zh"]) > 100, one["code"]
            assert 6 <= len(one["criteria"]) <= 12, one["code"]
            assert any(criterion["grade"] == "must" for criterion in one["criteria"])
            for criterion in one["criteria"]:
                assert re.match(r"《.+》", criterion["clause"]), criterion["code"]

    def test_at_least_eight_criteria_are_checked_by_machine_on_fields_that_exist(self) -> None:
        checked = 0
        for one in kinds.shipped():
            for criterion in one["criteria"]:
                if "check" in criterion:
                    validate(
                        criterion["check"],
                        fields={field["code"] for field in one["fields"]},
                        materials={material["code"] for material in one["materials"]},
                    )
                    checked += 1
        assert checked >= 8

    def test_criteria_not_yet_in_force_do_not_judge_an_older_application(self) -> None:
        drawings = kinds.by_code("construction_drawings")
        codes = {one.code for one in kinds.in_force(drawings, date(2023, 5, 31))}
        assert "SG-07" not in codes  # GB 55037-2022 is in force from 2023-06-01
        assert "SG-04" in codes
        assert "SG-07" in {one.code for one in kinds.in_force(drawings, date(2023, 6, 1))}

    def test_the_kind_for_a_service_item_is_found_by_the_items_code(self) -> None:
        assert [one.code for one in kinds.of_item("ZJ-0303")] == ["construction_drawings"]
        assert kinds.of_item("ZJ-0506") == []


class TestCriteria:
    def test_an_application_keeps_the_version_of_its_day(self, ground: Any, kind: ReviewKind) -> None:
        today = clock.today()
        with transaction():
            first = kinds.add_criterion(kind, words(), effective_from=today, by=ground.operator)
            later = today + timedelta(days=30)
            check = {"rule": "limit", "field": "resistance", "most": 4}
            second = kinds.replace_criterion(
                first, words(zh="接地电阻不大于4Ω", check=check), effective_from=later, by=ground.operator
            )
        assert [one.id for one in kinds.in_force(kind, later - timedelta(days=1))] == [first.id]
        assert [one.id for one in kinds.in_force(kind, later)] == [second.id]
        assert kinds.in_force(kind, today - timedelta(days=1)) == []
        assert (first.zh, first.check) == ("接地电阻不大于10Ω", {"rule": "limit", "field": "resistance", "most": 10})
        acts = [act.act for act in trail.of(kind.subject)]
        assert acts == ["review_kind.added", "criterion.added", "criterion.replaced"]

    def test_only_the_latest_version_can_be_replaced_and_only_once(self, ground: Any, kind: ReviewKind) -> None:
        with transaction():
            first = kinds.add_criterion(kind, words(), effective_from=clock.today(), by=ground.operator)
            soon = clock.today() + timedelta(days=1)
            kinds.replace_criterion(first, words(), effective_from=soon, by=ground.operator)
            with pytest.raises(kinds.CriterionEnded):
                kinds.replace_criterion(first, words(), effective_from=soon, by=ground.operator)
            with pytest.raises(kinds.CriterionEnded):
                kinds.end_criterion(first, soon, by=ground.operator)

    def test_nothing_takes_effect_in_the_past(self, ground: Any, kind: ReviewKind) -> None:
        yesterday = clock.today() - timedelta(days=1)
        with transaction():
            with pytest.raises(Invalids) as refused:
                kinds.add_criterion(kind, words(), effective_from=yesterday, by=ground.operator)
            assert [one.code for one in refused.value.errors] == ["criterion_backdated"]
            made = kinds.add_criterion(kind, words(), effective_from=clock.today(), by=ground.operator)
            with pytest.raises(Invalids):  # the same day would leave the old version no day at all
                kinds.replace_criterion(made, words(), effective_from=clock.today(), by=ground.operator)
            with pytest.raises(kinds.CriterionBackdated):
                kinds.end_criterion(made, yesterday, by=ground.operator)

    def test_an_ended_criterion_judges_up_to_its_last_day(self, ground: Any, kind: ReviewKind) -> None:
        with transaction():
            made = kinds.add_criterion(kind, words(), effective_from=clock.today(), by=ground.operator)
            kinds.end_criterion(made, clock.today(), by=ground.operator)
        assert [one.id for one in kinds.in_force(kind, clock.today())] == [made.id]
        assert kinds.in_force(kind, clock.today() + timedelta(days=1)) == []

    def test_a_code_is_given_once(self, ground: Any, kind: ReviewKind) -> None:
        with transaction():
            kinds.add_criterion(kind, words(), effective_from=clock.today(), by=ground.operator)
            with pytest.raises(kinds.CriterionTaken):
                kinds.add_criterion(kind, words(), effective_from=clock.today(), by=ground.operator)

    def test_a_rule_about_a_figure_nobody_fills_in_is_refused_with_everything_else(
        self, ground: Any, kind: ReviewKind
    ) -> None:
        wrong = words(clause=" ", speciality="cooking", check={"rule": "limit", "field": "height", "most": 1})
        with transaction(), pytest.raises(Invalids) as refused:
            kinds.add_criterion(kind, wrong, effective_from=clock.today(), by=ground.operator)
        assert {one.field for one in refused.value.errors} == {"clause", "speciality", "check"}
        assert "没有填报项“height”" in "".join(one.text() for one in refused.value.errors)


class TestKinds:
    def test_an_operator_adds_a_kind_that_serves_its_item_until_it_is_retired(
        self, ground: Any, kind: ReviewKind
    ) -> None:
        assert [one.code for one in kinds.of_item("ZJ-0307")] == ["lightning"]
        with transaction():
            kinds.retire_kind(kinds.by_code("lightning", lock=True), by=ground.operator)
        assert kinds.of_item("ZJ-0307") == []
        with transaction():
            kinds.restore_kind(kinds.by_code("lightning", lock=True), by=ground.operator)
            with pytest.raises(kinds.KindInUse):
                kinds.restore_kind(kinds.by_code("lightning", lock=True), by=ground.operator)
        assert kinds.of_item("ZJ-0307") != []
        assert kinds.specialities()["lightning"] == ("防雷", "Lightning protection")

    def test_everything_wrong_is_told_at_once_each_at_its_field(self, ground: Any) -> None:
        wrong = {
            **VALUES,
            "code": "Nein!",
            "guide_zh": "",
            "materials": [],
            "reviewers": 0,
            "commissioned_by": ["nobody"],
            "item_codes": ["ZJ-9999"],
            "joint_kind": "design_scheme",
            "fields": [{**VALUES["fields"][0]}, {**VALUES["fields"][0]}],
        }
        with transaction(), pytest.raises(Invalids) as refused:
            kinds.add_kind(wrong, by=ground.operator)
        assert {one.field for one in refused.value.errors} == {
            "code", "guide_zh", "materials", "reviewers", "commissioned_by", "item_codes", "departments", "fields",
        }  # fmt: skip

    def test_a_panel_smaller_than_its_specialities_is_refused(self, ground: Any) -> None:
        panel = [{**VALUES["specialities"][0], "count": 3}]
        with transaction(), pytest.raises(Invalids) as refused:
            kinds.add_kind({**VALUES, "specialities": panel, "reviewers": 2}, by=ground.operator)
        assert [one.field for one in refused.value.errors] == ["reviewers"]

    def test_a_revision_may_not_take_away_what_a_criterion_rests_on(self, ground: Any, kind: ReviewKind) -> None:
        with transaction():
            kinds.add_criterion(kind, words(), effective_from=clock.today(), by=ground.operator)
            with pytest.raises(Invalids) as refused:
                kinds.revise_kind(kind, {**VALUES, "fields": []}, by=ground.operator)
            assert "FL-01" in refused.value.errors[0].text()

    def test_two_operators_do_not_overwrite_each_other(self, ground: Any, kind: ReviewKind) -> None:
        with transaction():
            mine = kinds.by_code("lightning", lock=True)
            kinds.revise_kind(mine, {**VALUES, "reviewers": 2}, by=ground.operator, expected_version=1)
            assert (mine.reviewers, mine.version) == (2, 2)
            with pytest.raises(StaleVersion):
                kinds.revise_kind(mine, VALUES, by=ground.operator, expected_version=1)

    def test_nobody_but_the_operator_changes_anything(self, ground: Any, kind: ReviewKind) -> None:
        for actor in (ground.applicant, ground.supervisor, ground.approver, ground.agency_actor):
            with transaction():
                with pytest.raises(Forbidden):
                    kinds.add_kind({**VALUES, "code": "other"}, by=actor)
                with pytest.raises(Forbidden):
                    kinds.revise_kind(kind, VALUES, by=actor)
                with pytest.raises(Forbidden):
                    kinds.add_criterion(kind, words(), effective_from=clock.today(), by=actor)

    def test_a_code_belongs_to_one_kind(self, ground: Any, kind: ReviewKind) -> None:
        with transaction(), pytest.raises(kinds.KindTaken):
            kinds.add_kind(VALUES, by=SYSTEM)
