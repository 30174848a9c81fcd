"""Roles and cells: a table that a lawyer could read (G11, G12)."""

from __future__ import annotations

import pytest

from kernel.access import ADMINISTRATORS, PUBLIC, SECOND_FACTOR, SIGNED_IN, Role, holders
from kernel.trail import Actor


def actor(*roles: str) -> Actor:
    return Actor(1, "甲", 1, "甲方", frozenset(roles))


def test_public_route_admits_everybody() -> None:
    assert PUBLIC.allows(None)
    assert PUBLIC.allows(actor())


def test_signed_in_route_admits_whoever_is_known() -> None:
    assert not SIGNED_IN.allows(None)
    assert SIGNED_IN.allows(actor())


@pytest.mark.parametrize("role", list(Role))
def test_route_of_roles_admits_their_holders_alone(role: Role) -> None:
    cell = holders(Role.WINDOW, Role.APPROVER)
    assert cell.allows(actor(role.value)) == (role in {Role.WINDOW, Role.APPROVER})
    assert cell.allows(actor("applicant", role.value)) == (role in {Role.WINDOW, Role.APPROVER})


def test_route_of_roles_admits_no_visitor_and_no_member_without_a_role() -> None:
    cell = holders(Role.WINDOW)
    assert not cell.allows(None)
    assert not cell.allows(actor())


def test_cell_is_named_by_its_roles() -> None:
    assert holders(Role.WINDOW, Role.APPROVER).name == "approver or window"


def test_everybody_but_applicants_needs_a_second_factor() -> None:
    assert {role.value for role in Role} - SECOND_FACTOR == {"applicant"}


def test_three_administrators_are_kept_apart() -> None:
    assert {"operator", "security", "auditor"} == ADMINISTRATORS


def test_system_actors_hold_no_persons_role() -> None:
    from kernel.trail import CLOCK, SYSTEM

    roles = {role.value for role in Role}
    assert not (CLOCK.roles | SYSTEM.roles) & roles
