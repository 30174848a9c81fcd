"""The contract after a competition: one text, confirmed by both sides, before the service starts (A7)."""

from __future__ import annotations

import io

import pikepdf
import pytest
from sqlalchemy import select

from kernel import files, trail
from kernel.db import session, transaction
from kernel.workflow import MoveNotOpen, StaleVersion
from market import commissions, contracts, services
from market.commissions import CommissionStatus
from market.contracts import Contract
from market.notices import NoticeKind, PublicNotice
from tests.market.contest import Contest


@pytest.fixture
def contest(world):
    made = Contest(world)
    made.taken_on()
    return made


def contract(contest) -> Contract:
    session.expire_all()
    return session.scalars(select(Contract).where(Contract.commission_id == contest.commission.id)).one()


def test_taking_on_makes_the_text_of_the_published_facts(contest):
    made = contract(contest)
    assert made.number.startswith("HT-2026-")
    assert not made.is_confirmed
    with pikepdf.open(io.BytesIO(files.path_of(made.document.sha256).read_bytes())) as pdf:
        assert len(pdf.pages) >= 1
        assert str(pdf.docinfo["/Title"]) == f"{contest.commission.item.name}服务合同"
    assert [act.act for act in trail.of(made.subject)] == ["contract.drafted"]


def test_the_service_does_not_start_before_both_have_confirmed_the_others(contest):
    for side in (contest.client, contest.actor(0)):
        with pytest.raises(contracts.ContractNotConfirmed):
            contest.act(services.start, by=contest.actor(0))
        contest.act(contracts.confirm, by=side)
    assert contract(contest).is_confirmed
    contest.act(services.start, by=contest.actor(0))
    assert contest.commission.status == CommissionStatus.IN_SERVICE


def test_each_side_confirms_once_and_for_itself(contest):
    contest.act(contracts.confirm, by=contest.client)
    made = contract(contest)
    assert made.client_confirmed_by.endswith("林知夏")
    assert made.agency_confirmed_at is None
    with pytest.raises(contracts.ContractConfirmed):
        contest.act(contracts.confirm, by=contest.client)
    for stranger in (contest.actor(1), contest.world.actor("applicant2"), contest.world.supervisor):
        with pytest.raises(MoveNotOpen):
            contest.act(contracts.confirm, by=stranger)


def test_both_sides_confirm_the_same_text_by_its_hash_and_the_public_is_told_with_the_second(contest):
    contest.act(contracts.confirm, by=contest.actor(0))
    assert session.scalars(select(PublicNotice).where(PublicNotice.kind == NoticeKind.CONTRACT)).all() == []
    contest.act(contracts.confirm, by=contest.client)
    (notice,) = session.scalars(select(PublicNotice).where(PublicNotice.kind == NoticeKind.CONTRACT)).all()
    acts = [act for act in trail.of(contest.commission.subject) if act.act == "contract.confirmed"]
    sha256 = contract(contest).document.sha256
    assert [act.data["sha256"] for act in acts] == [sha256, sha256]
    assert sha256 in [row["value"] for row in notice.body]


def test_further_terms_make_a_new_text_and_void_the_confirmation_of_the_old_one(contest):
    contest.act(contracts.confirm, by=contest.client)
    before = contract(contest).document.sha256
    contest.act(contracts.amend, "成果交付后十个工作日内付清", by=contest.actor(0))
    made = contract(contest)
    assert (made.version, made.client_confirmed_at) == (2, None)
    assert made.document.sha256 != before
    with pytest.raises(StaleVersion):
        contest.act(contracts.confirm, by=contest.client, expected_version=1)
    contest.act(contracts.confirm, by=contest.client, expected_version=2)
    contest.act(contracts.confirm, by=contest.actor(0), expected_version=2)
    with pytest.raises(contracts.ContractConfirmed):
        contest.act(contracts.amend, "另加一条", by=contest.client)


def test_terms_are_text_and_never_markup(contest):
    contest.act(contracts.amend, '#panic("x") $1$ [a] @b *c* \\ "引号"', by=contest.client)
    assert contract(contest).version == 2
    with pytest.raises(contracts.TermsTooLong):
        contest.act(contracts.amend, "长" * (contracts.LONGEST_TERMS + 1), by=contest.client)


def test_the_text_is_read_by_the_two_sides_and_the_supervisor(contest):
    document = contract(contest).document
    for login, may in (
        ("applicant", True),
        ("agency", True),
        ("supervisor", True),
        ("agency2", False),
        ("applicant2", False),
        ("operator", False),
    ):
        assert files.may_read(document, contest.world.actor(login)) is may, login
    assert not files.may_read(document, None)


def test_where_the_rules_want_none_the_service_starts_without(world):
    contest = Contest(world)
    contest.taken_on(contract=False)
    assert session.scalars(select(Contract)).all() == []
    with pytest.raises(contracts.NoContract):
        contest.act(contracts.confirm, by=contest.client)
    contest.act(services.start, by=contest.actor(0))
    assert contest.commission.status == CommissionStatus.IN_SERVICE


def test_the_menu_needs_no_contract(chain):
    number = chain.taken_on()
    chain.act(number, services.start, by=chain.agency)
    assert chain.find(number).status == CommissionStatus.IN_SERVICE
    other = chain.taken_on()
    with pytest.raises(contracts.NoContract), transaction():
        contracts.draft_for(chain.find(other))


def test_what_the_call_was_published_with_is_handed_over_to_the_agency(world):
    from market.calls import CallDocument

    contest = Contest(world)
    contest.opened([80_000_00, 90_000_00, 95_000_00])
    with transaction():
        document = world.document("规划条件.pdf", "规划条件")
        session.add(
            CallDocument(
                call_id=contest.call().id, name="规划条件", document=document, added_at=contest.commission.draft_at
            )
        )
    contest.award(0)
    contest.let_pass(4)
    (material,) = contest.commission.materials
    assert (material.name, material.sha256) == ("规划条件", material.document.sha256)
    assert commissions.may_read_material(material.document, contest.actor(0))
    assert not commissions.may_read_material(material.document, contest.actor(1))
