"""Entering without threshold, and who is qualified for what on which day (A2; 000 §一(三))."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import notifications
from kernel.db import session, transaction
from kernel.errors import Invalids
from market import agencies, shelf
from market.agencies import Agency, AgencyStatus, Practitioner, Qualification, Requirement
from market.shelf import Held, Keeper, Staff

ON = date(2026, 3, 2)


def holding(*held: tuple[str, str, date, date | None], people: int = 0) -> Agency:
    return Agency(
        qualifications=[
            Qualification(speciality_code=code, level=level, certificate="", valid_from=start, valid_until=until)
            for code, level, start, until in held
        ],
        practitioners=[Practitioner(name="", profession="", certificate="", valid_until=None) for _ in range(people)],
    )


def held(code: str, level: str = "", until: date | None = None) -> tuple[str, str, date, date | None]:
    return code, level, date(2020, 1, 1), until


def qualifies(agency: Agency, mode: str, *wants: str, people: int = 0, on: date = ON) -> bool:
    return agencies.shortfall(agency, Requirement(mode, wants, people), on) is None


@pytest.mark.usefixtures("portal")
class TestQualification:
    def test_nothing_is_asked_when_the_item_asks_nothing(self) -> None:
        assert qualifies(holding(), "none")

    def test_an_agency_without_any_qualification_never_passes(self) -> None:
        """The field's known defect: all-of over an empty list of certificates stays true."""
        assert not qualifies(holding(), "all", "Q10")
        assert not qualifies(holding(), "any", "Q10", "Q15")
        assert not qualifies(holding(), "all", "Q10", "Q15")

    def test_any_of_needs_one_and_all_of_needs_each(self) -> None:
        one = holding(held("Q10"))
        assert qualifies(one, "any", "Q15", "Q10")
        assert not qualifies(one, "all", "Q15", "Q10")
        assert qualifies(holding(held("Q10"), held("Q15")), "all", "Q15", "Q10")

    def test_the_first_of_several_wants_counts_as_much_as_the_last(self) -> None:
        one = holding(held("Q10"))
        assert qualifies(one, "any", "Q10", "Q15")
        assert qualifies(one, "any", "Q15", "Q10")

    def test_a_higher_level_serves_for_a_lower_one_and_not_the_reverse(self) -> None:
        assert qualifies(holding(held("Q05", "甲级")), "all", "Q05:乙级")
        assert qualifies(holding(held("Q05", "乙级")), "all", "Q05:乙级")
        assert not qualifies(holding(held("Q05", "乙级")), "all", "Q05:甲级")

    def test_a_branch_of_the_tree_serves_for_its_stem_and_not_the_reverse(self) -> None:
        assert qualifies(holding(held("Q02.02", "甲级")), "all", "Q02")
        assert not qualifies(holding(held("Q02", "")), "all", "Q02.02:丙级")
        assert not qualifies(holding(held("Q02.03", "甲级")), "all", "Q02.02:丙级")

    def test_a_certificate_counts_on_its_last_day_and_not_after(self) -> None:
        agency = holding(held("Q10", until=ON))
        assert qualifies(agency, "all", "Q10")
        assert not qualifies(agency, "all", "Q10", on=ON + timedelta(days=1))

    def test_a_certificate_of_the_future_does_not_count_yet(self) -> None:
        assert not qualifies(holding(("Q10", "", ON + timedelta(days=1), None)), "all", "Q10")

    def test_too_few_practitioners_are_told_with_both_numbers(self) -> None:
        lack = agencies.shortfall(holding(people=1), Requirement("none", (), 2), ON)
        assert lack is not None
        assert "2" in lack.zh
        assert "1" in lack.zh

    def test_what_is_missing_is_named(self) -> None:
        lack = agencies.shortfall(holding(held("Q10")), Requirement("all", ("Q10", "Q13:乙级")), ON)
        assert lack is not None
        assert "地质灾害" in lack.zh
        assert "乙级" in lack.zh
        assert "环境影响评价" not in lack.zh


CODES = ("Q02", "Q02.01", "Q02.02", "Q05", "Q10")
LEVELS = ("", "甲级", "乙级", "丙级")
DAYS = st.integers(-5, 5).map(lambda days: ON + timedelta(days=days))
HELD = st.builds(
    Held,
    speciality_code=st.sampled_from(CODES),
    level=st.sampled_from(LEVELS),
    certificate=st.just(""),
    valid_from=DAYS,
    valid_until=st.none() | DAYS,
)
KEEPERS = st.builds(
    lambda some, people: Keeper("", "", 0, AgencyStatus.ADMITTED, (), tuple(some), tuple(people)),
    st.lists(HELD, max_size=4),
    st.lists((st.none() | DAYS).map(Staff), max_size=3),
)
WANTS = st.lists(st.sampled_from(("Q02", "Q02.02:丙级", "Q02.02:甲级", "Q05:乙级", "Q10")), min_size=1, max_size=3)
REQUIREMENTS = st.builds(Requirement, st.sampled_from(("any", "all")), WANTS.map(tuple), st.integers(0, 2)) | st.builds(
    Requirement, st.just("none"), st.just(()), st.integers(0, 2)
)
FEW: Any = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.usefixtures("portal")
class TestShelf:
    @FEW
    @given(KEEPERS, REQUIREMENTS)
    def test_the_indexed_dates_are_the_days_on_which_an_agency_qualifies(
        self, keeper: Keeper, requirement: Requirement
    ) -> None:
        tree = shelf.guide().tree
        days = [ON + timedelta(days=number) for number in range(14)]
        good = [agencies.shortfall(keeper, requirement, day, tree) is None for day in days]
        span = shelf.window(keeper, requirement, ON, tree)
        if span is None:
            assert not any(good)
            return
        start, end = span
        first = good.index(True)
        assert start == days[first]
        bad_again = next((day for day, fine in zip(days[first:], good[first:], strict=True) if not fine), None)
        assert end == (bad_again - timedelta(days=1) if bad_again else None)


def test_an_agency_enters_with_a_commitment_and_nothing_else(world: Any) -> None:
    organisation = world.organisations["天衡"]
    actor = world.actor("agency3")
    with transaction(), pytest.raises(agencies.CommitmentMissing) as refused:
        agencies.admit(organisation, by=actor, commitment_agreed=False)
    assert refused.value.field == "commitment"
    with transaction():
        made = agencies.admit(organisation, by=actor, commitment_agreed=True)
    assert made.status is AgencyStatus.ADMITTED
    assert made.commitment_version == agencies.COMMITMENT_VERSION
    with transaction(), pytest.raises(agencies.AlreadyAdmitted):
        agencies.admit(session.merge(organisation), by=actor, commitment_agreed=True)


def test_everything_wrong_with_a_qualification_is_told_at_once(world: Any) -> None:
    with transaction(), pytest.raises(Invalids) as refused:
        agencies.file_qualification(
            agencies.by_number(world.agency.number),
            "Q99",
            "特级",
            " ",
            valid_from=ON,
            valid_until=ON - timedelta(days=1),
            by=world.agency_actor,
        )
    assert {error.field for error in refused.value.errors} == {"speciality", "certificate", "valid_until"}


def test_a_graded_speciality_asks_for_one_of_its_levels(world: Any) -> None:
    for code, level in (("Q05", ""), ("Q05", "特级"), ("Q10", "甲级")):
        with transaction(), pytest.raises(Invalids) as refused:
            agencies.file_qualification(
                agencies.by_number(world.agency.number),
                code,
                level,
                "证 1",
                valid_from=ON,
                valid_until=None,
                by=world.agency_actor,
            )
        assert [error.field for error in refused.value.errors] == ["level"]


def test_only_officers_suspend_and_only_with_a_reason(world: Any) -> None:
    number = world.agency.number
    with transaction(), pytest.raises(agencies.NameMissing) as refused:
        agencies.suspend(agencies.by_number(number), " ", by=world.supervisor)
    assert refused.value.field == "reason"
    with transaction(), pytest.raises(agencies.workflow.MoveNotOpen):
        agencies.suspend(agencies.by_number(number), "自行暂停", by=world.agency_actor)
    with transaction():
        agencies.suspend(agencies.by_number(number), "资质证书造假", by=world.supervisor)
    assert agencies.by_number(number).status is AgencyStatus.SUSPENDED
    assert agencies.by_number(number).reason == "资质证书造假"
    with transaction():
        agencies.reinstate(agencies.by_number(number), by=world.supervisor)
    assert agencies.by_number(number).reason == ""


def test_a_certificate_filed_twice_or_dated_ahead_is_named_at_its_field(world) -> None:  # type: ignore[no-untyped-def]
    """A2: nothing half stored, everything told at once."""
    actor = world.agency_actor

    def file(certificate: str, valid_from: date) -> None:
        with transaction():
            agency = agencies.by_number(world.agency.number, lock=True)
            agencies.file_qualification(
                agency, "Q10", "", certificate, valid_from=valid_from, valid_until=None, by=actor
            )

    file("HP-1", date(2024, 1, 1))
    with pytest.raises(Invalids) as refused:
        file("HP-1", date(2026, 3, 3))
    assert [(error.code, error.field) for error in refused.value.errors] == [
        ("date_in_future", "valid_from"),
        ("certificate_on_file", "certificate"),
    ]
    assert len(agencies.by_number(world.agency.number).qualifications) == 1


def test_a_suspended_agency_is_told(world) -> None:  # type: ignore[no-untyped-def]
    with transaction():
        agencies.suspend(agencies.by_number(world.agency.number, lock=True), "查实三起质量投诉", by=world.supervisor)
    notices, _ = notifications.inbox(world.people["agency"].id)
    assert [notice.act for notice in notices] == ["agency.suspended"]
    assert notices[0].is_warning
