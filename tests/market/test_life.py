"""The illegal-move matrix: every state × every action × every side, against life-cycles §2 written out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from kernel import workflow
from kernel.trail import CLOCK, Actor
from market.commissions import STEPS, CommissionStatus, Route

BUYER, APPLICANT, WINNER = 1, 2, 3


def person(organisation: int, *roles: str) -> Actor:
    return Actor(organisation, "某人", organisation, "某单位", frozenset(roles))


SIDES: Mapping[str, Actor] = {
    "client": person(BUYER, "authority"),
    "applicant": person(APPLICANT, "applicant"),
    "agency": person(WINNER, "agency"),
    "rival": person(4, "agency"),
    "operator": person(5, "operator"),
    "supervisor": person(6, "supervisor"),
    "approver": person(7, "approver"),
    "clock": CLOCK,
}

#: State → side → the actions open to it. What is not written here is refused.
OPEN: Mapping[str, Mapping[str, set[str]]] = {
    "requested": {"client": {"take_up", "decline_request"}, "applicant": {"withdraw_request"}},
    "draft": {"client": {"publish", "offer", "cancel"}},
    "open": {
        "client": {"amend", "cancel", "fail"},
        "operator": {"extend_closing"},
        "clock": {"close", "fail"},
    },
    "evaluating": {
        "client": {"open_bids", "award", "fail", "cancel"},
        "operator": {"open_bids", "reopen"},
        "supervisor": {"open_bids"},
        "clock": {"open_bids", "award", "fail"},
    },
    "publicised": {
        "client": {"reject_objection", "overturn", "cancel"},
        "agency": {"object"},
        "rival": {"object"},
        "clock": {"confirm"},
    },
    "offered": {
        "client": {"take_back", "supply_materials", "cancel"},
        "agency": {"request_materials", "decline", "refuse_award", "take_on"},
        "clock": {"lapse", "lapse_award"},
    },
    "taken_on": {"client": {"confirm_contract"}, "agency": {"confirm_contract", "start"}},
    "in_service": {
        "client": {"resume", "agree_extension", "refuse_extension", "terminate"},
        "agency": {"pause", "propose_extension", "deliver", "publish_report", "terminate"},
    },
    "delivered": {
        "client": {"panel_return", "panel_accept", "terminate"},
        "approver": {"panel_return", "panel_accept"},
        "applicant": {"return", "accept"},
        "agency": {"terminate"},
    },
    "finished": {},
    "terminated": {},
    "cancelled": {},
    "failed": {"client": {"rerun"}, "operator": {"reopen"}},
    "declined": {},
}


def commission(state: str) -> Any:
    return SimpleNamespace(
        status=CommissionStatus(state),
        version=3,
        route=Route.BIDDING,
        subject="commission:WT-2026-000001",
        client_id=BUYER,
        applicant_id=APPLICANT,
        agency=SimpleNamespace(organisation_id=WINNER),
        item=SimpleNamespace(technical_review=True),
    )


def test_the_matrix_names_every_state() -> None:
    assert set(OPEN) == {status.value for status in CommissionStatus}


def test_every_action_is_open_to_somebody_somewhere() -> None:
    assert {action for sides in OPEN.values() for actions in sides.values() for action in actions} == set(STEPS)


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("side", SIDES)
def test_a_side_may_do_what_the_table_says_and_nothing_else(state: str, side: str) -> None:
    record, actor, may = commission(state), SIDES[side], OPEN[state].get(side, set())
    assert set(workflow.moves(record, STEPS, actor)) == may
    for action in STEPS:
        if action in may:
            workflow.check(record, STEPS, action, by=actor, expected_version=3)
            with pytest.raises(workflow.StaleVersion):
                workflow.check(record, STEPS, action, by=actor, expected_version=2)
        else:
            with pytest.raises(workflow.MoveNotOpen) as refused:
                workflow.check(record, STEPS, action, by=actor)
            assert set(refused.value.moves) == may
    assert record.status == state


def test_nothing_leads_out_of_an_end() -> None:
    ends = {"finished", "terminated", "cancelled", "declined"}
    assert not [name for name, step in STEPS.items() if ends & set(step.sources)]
