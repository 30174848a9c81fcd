"""Projects are found by their codes however these are typed (C1, 000 §7.6)."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import projects, trail
from kernel.db import session, transaction
from kernel.projects import BadProjectCode, Phase, Project, ProjectClass, ProjectKnown, ProjectUnknown
from kernel.trail import SYSTEM

GROUPS = (4, 6, 2, 2, 6)
FULL_WIDTH = str.maketrans("0123456789-", "０１２３４５６７８９－")
DASHES = "-－—–‐‑‒―−"
SPACES = " \t\u3000\u00a0\u200b\n"


@st.composite
def national(draw: st.DrawFn) -> str:
    return "-".join(draw(st.text("0123456789", min_size=size, max_size=size)) for size in GROUPS)


@st.composite
def badly_typed(draw: st.DrawFn) -> tuple[str, str]:
    """(canonical code, what a person typed): spaces, full width, other dashes, hyphens left out."""
    code = draw(national()) + draw(st.sampled_from(["", "-0001", "-0123"]))
    typed = []
    for sign in code:
        if sign == "-":
            typed.append(draw(st.sampled_from([*DASHES, ""])))
        else:
            typed.append(draw(st.sampled_from([sign, sign.translate(FULL_WIDTH)])))
        typed.append(draw(st.sampled_from(["", "", "", *SPACES])))
    return code, "".join(typed)


@given(badly_typed())
def test_national_code_is_read_however_it_is_typed(case: tuple[str, str]) -> None:
    code, typed = case
    assert projects.parse_code(typed) == code


@given(st.text(max_size=60) | st.text("0123456789-－—ABCｘ \u200b", max_size=45))
def test_any_text_gives_a_code_or_a_named_error(text: str) -> None:
    try:
        code = projects.parse_code(text)
    except BadProjectCode as error:
        assert error.field == "project_code"
        assert error.text()
        assert error.text("en")
    else:
        assert projects.parse_code(code) == code
        assert re.fullmatch(r"[A-Z0-9-]{6,40}", code)


@given(st.from_regex(r"[A-Z]{2}[A-Z0-9]{4,10}", fullmatch=True))
def test_own_code_is_read_in_lower_case_and_full_width(code: str) -> None:
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in code)
    assert projects.parse_code(f" {code.lower()} ") == code
    assert projects.parse_code(wide) == code


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "12345",
        "2603-230199-04-01-10000",
        "2603-230199-04-01-1000011",
        "项目一",
        "AB",
        "-" * 24,
        "DROP;TABLE",
    ],
)
def test_what_is_no_code_is_named_with_what_was_typed(typed: str) -> None:
    with pytest.raises(BadProjectCode) as caught:
        projects.parse_code(typed, field="code")
    assert caught.value.field == "code"
    assert typed.strip() in caught.value.text()


@given(national())
def test_engineering_code_names_its_project(code: str) -> None:
    assert projects.split_code(code) == (code, None)
    assert projects.split_code(f"{code}-0007") == (code, f"{code}-0007")


def test_project_is_found_by_a_badly_typed_code(world: Any) -> None:
    project, phase = projects.find(" ２６０３ 230199-04-01—100001 ")
    assert (project.id, phase) == (world.project.id, None)


def test_phase_is_found_by_its_engineering_code(world: Any) -> None:
    project, phase = projects.find(f"{world.project.code}-0001".replace("-", ""))
    assert project.id == world.project.id
    assert phase is not None
    assert phase.code == f"{world.project.code}-0001"


@pytest.mark.parametrize("typed", ["2603-230199-04-01-999999", "2603-230199-04-01-100001-0009", "NOSUCH-CODE"])
def test_unknown_code_is_named(world: Any, typed: str) -> None:
    with pytest.raises(ProjectUnknown) as caught:
        projects.find(typed, field="code")
    assert (caught.value.field, caught.value.status) == ("code", 404)
    assert typed in caught.value.text()


def register(world: Any, code: str, name: str = "新项目") -> Project:
    with transaction():
        return projects.register(
            code, name, project_class=ProjectClass.OTHER, organisation=world.client_org, by=world.applicant
        )


def test_registered_project_is_known_under_its_canonical_code(world: Any) -> None:
    project = register(world, "2604 230199 04 01 300001")
    assert (project.code, project.is_national) == ("2604-230199-04-01-300001", True)
    assert [act.act for act in trail.of(project.subject)] == ["project.registered"]
    with pytest.raises(ProjectKnown):
        register(world, "２６０４-230199-04-01-300001")


def test_project_outside_investment_has_a_code_of_its_own(world: Any) -> None:
    project = register(world, "ZC-2026-001x")
    assert (project.code, project.is_national) == ("ZC-2026-001X", False)
    with transaction():
        phase = projects.add_phase(project, "一期", by=world.applicant)
    assert projects.find("zc-2026-001x") == (project, None)
    found, its_phase = projects.find(phase.code)
    assert found.id == project.id
    assert its_phase is not None
    assert its_phase.id == phase.id


def test_phases_are_numbered_in_order(world: Any) -> None:
    project = register(world, "2604-230199-04-01-300001")
    with transaction():
        codes = [projects.add_phase(project, f"{n} 期", by=world.applicant).code for n in (1, 2, 3)]
    assert codes == [f"{project.code}-{n:04d}" for n in (1, 2, 3)]


def together(world: Any, count: int, act: Any) -> list[BaseException]:
    barrier = threading.Barrier(count)
    faults: list[BaseException] = []

    def one() -> None:
        try:
            with world.portal.app_context():
                barrier.wait(20)
                with transaction():
                    act()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return faults


def test_phases_added_at_once_get_different_codes(world: Any) -> None:
    key, by = world.project.id, world.applicant

    def add() -> None:
        projects.add_phase(session.get_one(Project, key), "又一期", by=by)

    assert together(world, 4, add) == []
    codes = {phase.code for phase in session.query(Phase).filter_by(project_id=key)}
    assert codes == {f"{world.project.code}-{n:04d}" for n in range(1, 6)}


def test_of_those_who_register_a_code_at_once_one_does_and_the_others_are_told(world: Any) -> None:
    by, key = world.applicant, world.client_org.id

    def add() -> None:
        from kernel.accounts import Organisation

        projects.register(
            "2604-230199-04-01-300009",
            "新项目",
            project_class=ProjectClass.OTHER,
            organisation=session.get_one(Organisation, key),
            by=by,
        )

    faults = together(world, 4, add)
    assert [type(fault) for fault in faults] == [ProjectKnown] * 3
    assert session.query(Project).filter_by(code="2604-230199-04-01-300009").count() == 1


def test_projects_are_listed_for_their_own_organisation_alone(world: Any) -> None:
    mine = projects.of_organisation(world.client_org.id)
    assert world.project.id in {project.id for project in mine}
    assert world.other_project.id not in {project.id for project in mine}
    assert projects.is_owner(world.project, world.applicant)
    assert not projects.is_owner(world.other_project, world.applicant)
    assert not projects.is_owner(world.project, SYSTEM)
