"""A commission from the draft to 接受委托: every row of the life, the clock, the fee, recusal, locks (life-cycles §2)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from kernel import clock, dossier, notifications, sandbox, timekeeping, trail, workflow
from kernel.clock import Light
from kernel.db import session, transaction
from kernel.errors import Invalids, NotFound
from kernel.timekeeping import ClockKind
from kernel.trail import CLOCK, Actor
from kernel.workflow import MoveNotOpen
from market import agencies, commissions, fees, listings, recusals
from market.commissions import Commission, CommissionStatus, InquiryKind, Picked
from market.fees import FeeKind, FeeRule, Measure

#: life-cycles §2 as a reader would write it down: state → who may do what.
TABLE = {
    "draft": {"client": {"offer", "cancel"}, "agency": set(), "clock": set()},
    "offered": {
        "client": {"take_back", "supply_materials", "cancel"},
        "agency": {"request_materials", "decline", "take_on"},
        "clock": {"lapse", "lapse_award"},
    },
    "taken_on": {"client": set(), "agency": {"start"}, "clock": set()},
    "in_service": {
        "client": {"resume", "agree_extension", "refuse_extension", "terminate"},
        "agency": {"pause", "propose_extension", "deliver", "terminate"},
        "clock": set(),
    },
    "delivered": {"client": {"return", "accept", "terminate"}, "agency": {"terminate"}, "clock": set()},
    "finished": {"client": set(), "agency": set(), "clock": set()},
    "terminated": {"client": set(), "agency": set(), "clock": set()},
    "cancelled": {"client": set(), "agency": set(), "clock": set()},
}


@pytest.mark.parametrize("state", TABLE)
def test_every_state_opens_exactly_the_moves_of_the_table_and_refuses_the_others(chain, state):
    commission = chain.find(chain.at(state))
    assert commission.status == state
    rival = chain.world.actor("agency2")
    for side, actor in (("client", chain.client), ("agency", chain.agency), ("clock", CLOCK), ("rival", rival)):
        may = TABLE[state].get(side, set())
        assert set(workflow.moves(commission, commissions.STEPS, actor)) == may, side
        for action in commissions.STEPS:
            if action in may:
                workflow.check(commission, commissions.STEPS, action, by=actor)
                continue
            with pytest.raises(workflow.MoveNotOpen) as refused:
                workflow.check(commission, commissions.STEPS, action, by=actor)
            assert set(refused.value.moves) == may


def test_a_refused_move_leaves_no_trace(chain):
    number = chain.taken_on()
    before = len(trail.of(f"commission:{number}"))
    with pytest.raises(workflow.MoveNotOpen):
        chain.act(number, commissions.cancel, "不要了", by=chain.client)
    commission = chain.find(number)
    assert (commission.status, commission.reason) == (CommissionStatus.TAKEN_ON, "")
    assert len(trail.of(f"commission:{number}")) == before


def test_an_offer_fixes_the_fee_with_its_arithmetic_and_starts_the_agencys_time(chain):
    commission = chain.find(chain.offered(message=" 请尽快 "))
    assert commission.fee == sum(line["amount"] for line in commission.quote) > 0
    assert commission.promised_working_days == 10
    assert commission.message == "请尽快"
    assert clock.local_date(commission.offered_at) == clock.today()
    stored = timekeeping.running(commission.subject, ClockKind.AGENCY_RESPONSE)
    assert stored is not None
    assert timekeeping.running(commission.subject, ClockKind.SERVICE) is None
    act = trail.of(commission.subject)[-1]
    assert act.act == "commission.offered"
    assert act.data["fee"] == commission.fee
    assert [m["sha256"] for m in act.data["materials"]] == [m.sha256 for m in commission.materials]
    assert notifications.unread(chain.agency.person_id) == 1


def test_a_later_change_of_fee_and_days_never_touches_a_running_commission(chain):
    """A3"""
    number = chain.offered()
    before = chain.find(number)
    kept = (before.fee, before.quote, before.promised_working_days, before.listing_edition)
    with transaction():
        listings.reprice(
            listings.by_number(chain.world.listing.number),
            FeeRule(FeeKind.FIXED, amount=99_900),
            promised_working_days=3,
            by=chain.agency,
        )
    chain.act(number, commissions.take_on, by=chain.agency)
    after = chain.find(number)
    assert (after.fee, after.quote, after.promised_working_days, after.listing_edition) == kept
    assert chain.find(chain.offered()).fee == 99_900


def test_missing_materials_are_all_told_at_once_and_nothing_is_offered(chain):
    with transaction():
        world = chain.world
        draft = commissions.draft(
            session.merge(world.project), session.merge(world.listing), session.merge(world.client_org), by=chain.client
        )
        number, wanted = draft.number, draft.item.required_materials
    with pytest.raises(Invalids) as refused:
        chain.act(number, commissions.offer, by=chain.client)
    assert [error.params["name"] for error in refused.value.errors] == wanted
    assert chain.find(number).status == CommissionStatus.DRAFT


def test_nobody_commissions_for_anothers_project(chain):
    chain.world.project = chain.world.other_project
    with pytest.raises(commissions.NotYourProject):
        chain.drafted()


def test_a_listing_off_the_shelf_can_be_neither_drafted_nor_offered(chain):
    number = chain.drafted()
    with transaction():
        listings.withdraw(listings.by_number(chain.world.listing.number), by=chain.agency)
    with pytest.raises(listings.ListingNotInForce):
        chain.act(number, commissions.offer, by=chain.client)
    with pytest.raises(listings.ListingNotInForce):
        chain.drafted()


def test_a_negotiable_fee_must_be_named_and_stay_under_its_ceiling(chain):
    with transaction():
        listings.reprice(
            listings.by_number(chain.world.listing.number),
            FeeRule(FeeKind.NEGOTIABLE, amount=1_000_000),
            promised_working_days=10,
            by=chain.agency,
        )
    number = chain.drafted()
    for fee in (None, 0, -1, 1_000_001):
        with pytest.raises(commissions.AgreedFeeInvalid):
            chain.act(number, commissions.offer, by=chain.client, agreed_fee=fee)
    chain.act(number, commissions.offer, by=chain.client, agreed_fee=1_000_000)
    assert chain.find(number).fee == 1_000_000


def test_a_fee_that_needs_a_figure_the_project_lacks_is_not_guessed(chain):
    with transaction():
        listings.reprice(
            listings.by_number(chain.world.listing.number),
            FeeRule(FeeKind.UNIT, amount=500, measure=Measure.QUANTITY, unit="点"),
            promised_working_days=10,
            by=chain.agency,
        )
    number = chain.drafted()
    with pytest.raises(commissions.FeeUnknown):
        chain.act(number, commissions.offer, by=chain.client)
    assert chain.find(chain.offered(quantity=12)).fee == 6_000


# Recusal


def test_an_agency_that_shares_its_legal_representative_with_the_client_must_recuse(chain):
    number = chain.drafted()
    with transaction():
        client = session.merge(chain.world.client_org)
        client.legal_representative = session.merge(chain.world.agency).organisation.legal_representative
    with pytest.raises(recusals.MustRecuse) as refused:
        chain.act(number, commissions.offer, by=chain.client)
    assert "法定代表人" in refused.value.text("zh")


def test_an_agency_may_not_review_what_it_wrote_itself(chain):
    chain.finished()
    with transaction():
        world = chain.world
        item = session.merge(world.item)
        item.technical_review = True
        entry = dossier.entries_of(session.merge(world.project))[0]
        assert entry.issuer_id == chain.agency.organisation_id
        draft = commissions.draft(
            session.merge(world.project), session.merge(world.listing), session.merge(world.client_org), by=chain.client
        )
        commissions.hand_in(draft, [Picked(name, entry=entry) for name in item.required_materials])
        number = draft.number
    try:
        with pytest.raises(recusals.MustRecuse) as refused:
            chain.act(number, commissions.offer, by=chain.client)
        assert "编制" in refused.value.text("zh")
    finally:
        with transaction():
            session.merge(chain.world.item).technical_review = False


# Taking back


def test_an_offer_can_be_taken_back_for_ten_minutes_and_offered_again(chain):
    number = chain.offered()
    sandbox.forward(timedelta(minutes=9))
    chain.act(number, commissions.take_back, by=chain.client)
    commission = chain.find(number)
    assert commission.status == CommissionStatus.DRAFT
    assert timekeeping.running(commission.subject, ClockKind.AGENCY_RESPONSE) is None
    chain.act(number, commissions.offer, by=chain.client)
    assert chain.find(number).status == CommissionStatus.OFFERED


def test_after_ten_minutes_an_offer_can_only_be_cancelled(chain):
    number = chain.offered()
    sandbox.forward(timedelta(minutes=10))
    assert "take_back" not in commissions.moves(chain.find(number), chain.client)
    with pytest.raises(commissions.TooLateToTakeBack):
        chain.act(number, commissions.take_back, by=chain.client)
    chain.act(number, commissions.cancel, "", by=chain.client)
    assert chain.find(number).status == CommissionStatus.CANCELLED


def test_once_the_agency_has_acted_an_offer_cannot_be_taken_back(chain):
    number = chain.offered()
    chain.act(number, commissions.request_materials, ["补充用地红线图"], by=chain.agency)
    with pytest.raises(commissions.TooLateToTakeBack):
        chain.act(number, commissions.take_back, by=chain.client)


# Materials


def test_only_one_notice_is_open_and_it_stops_the_agencys_time(chain):
    number = chain.offered()
    chain.act(number, commissions.request_materials, ["补充红线图", " ", "盖章的委托书"], by=chain.agency)
    commission = chain.find(number)
    assert commission.inquiries[0].points == ["补充红线图", "盖章的委托书"]
    stored = timekeeping.running(commission.subject, ClockKind.AGENCY_RESPONSE)
    assert timekeeping.reading(stored).light == Light.BLUE
    with pytest.raises(commissions.InquiryOpen):
        chain.act(number, commissions.request_materials, ["还要别的"], by=chain.agency)
    with pytest.raises(commissions.InquiryOpen):
        chain.act(number, commissions.take_on, by=chain.agency)
    assert not {"request_materials", "take_on"} & set(commissions.moves(commission, chain.agency))


def test_the_database_itself_refuses_a_second_open_notice(chain):
    number = chain.offered()
    chain.act(number, commissions.request_materials, ["补充红线图"], by=chain.agency)

    def slip_in(commission: Commission) -> None:
        notice = commissions.Inquiry(kind=InquiryKind.MATERIALS, key="materials:2", points=["x"], opened_at=clock.now())
        commission.inquiries.append(notice)
        session.flush()

    with pytest.raises(IntegrityError):
        chain.act(number, slip_in)


def test_supplied_materials_let_the_agencys_time_go_on(chain):
    number = chain.offered()
    chain.act(number, commissions.request_materials, ["补充红线图"], by=chain.agency)
    sandbox.forward(timedelta(days=30))
    assert chain.find(number).status == CommissionStatus.OFFERED
    with transaction():
        commission = chain.find(number, lock=True)
        picked = [Picked("补充红线图", document=chain.world.document("红线图.pdf", "redline"))]
        commissions.supply_materials(commission, picked, by=chain.client, answer="已补充")
    commission = chain.find(number)
    assert commission.materials[-1].name == "补充红线图"
    assert commission.inquiries[0].answer == "已补充"
    stored = timekeeping.running(commission.subject, ClockKind.AGENCY_RESPONSE)
    assert timekeeping.reading(stored).light in (Light.GREEN, Light.AMBER)
    chain.act(number, commissions.take_on, by=chain.agency)


def test_a_notice_without_points_is_refused(chain):
    number = chain.offered()
    with pytest.raises(commissions.PointsMissing):
        chain.act(number, commissions.request_materials, ["", "  "], by=chain.agency)


# Declining, silence


def test_a_decline_needs_its_reason_and_gives_the_draft_back(chain):
    number = chain.offered()
    with pytest.raises(commissions.ReasonMissing):
        chain.act(number, commissions.decline, "  ", by=chain.agency)
    assert chain.find(number).status == CommissionStatus.OFFERED
    chain.act(number, commissions.decline, "近期任务已满", by=chain.agency)
    commission = chain.find(number)
    assert (commission.status, commission.reason) == (CommissionStatus.DRAFT, "近期任务已满")
    assert timekeeping.running(commission.subject, ClockKind.AGENCY_RESPONSE) is None


def test_after_a_decline_another_agency_can_be_chosen_for_the_same_item(chain):
    number = chain.offered()
    chain.act(number, commissions.decline, "近期任务已满", by=chain.agency)
    with transaction():
        commission = chain.find(number, lock=True)
        commissions.choose(commission, listings.by_number(chain.world.listing2.number), by=chain.world.applicant)
        commissions.offer(commission, by=chain.client)
    rival = chain.world.actor("agency2")
    assert commissions.find(number, by=rival).agency.organisation_id == rival.organisation_id
    with pytest.raises(NotFound):
        commissions.find(number, by=chain.agency)


def test_a_newly_chosen_agency_sees_nothing_before_the_offer_and_only_the_client_chooses(chain):
    """E3: an earlier offer to somebody else opens no window for the next."""
    number = chain.offered()
    chain.act(number, commissions.decline, "近期任务已满", by=chain.agency)
    rival = chain.world.actor("agency2")
    other = listings.by_number(chain.world.listing2.number)
    with pytest.raises(MoveNotOpen), transaction():
        commissions.choose(chain.find(number, lock=True), other, by=rival)
    with transaction():
        commissions.choose(chain.find(number, lock=True), other, by=chain.client)
    with pytest.raises(NotFound):
        commissions.find(number, by=rival)


def test_a_second_offer_can_be_taken_back_although_the_first_was_asked_about(chain):
    number = chain.offered()
    chain.act(number, commissions.request_materials, ["补充红线图"], by=chain.agency)
    assert "take_back" not in commissions.moves(chain.find(number), chain.client)
    chain.act(number, commissions.decline, "材料不齐", by=chain.agency)
    sandbox.forward(timedelta(minutes=1))
    chain.act(number, commissions.offer, by=chain.client)
    assert "take_back" in commissions.moves(chain.find(number), chain.client)


def test_a_material_of_another_project_or_no_longer_in_force_is_refused(chain):
    """A8, A13: what cannot be relied on cannot be handed in either."""
    world = chain.world
    with transaction():
        entry = dossier.attach(
            world.other_project,
            world.document("别处.pdf", "elsewhere"),
            kind=dossier.EntryKind.MATERIAL,
            title="地形图",
            source="test:1",
            issuer="某单位",
            by=world.applicant,
        )
    with pytest.raises(dossier.CannotRely) as refused, transaction():
        commission = commissions.draft(
            world.project, listings.by_number(world.listing.number), world.client_org, by=chain.client
        )
        commissions.hand_in(commission, [Picked("地形图", entry=entry)])
    assert "不属于本项目" in refused.value.text("zh")


def test_silence_lapses_the_offer_at_the_legal_instant_once(chain):
    """D1: also after days of downtime, and with the date at which it fell due."""
    number = chain.offered()
    limit = timekeeping.running(f"commission:{number}", ClockKind.AGENCY_RESPONSE).limit
    due = clock.china().nth_working_day(clock.today(), limit)
    sandbox.forward(timedelta(days=40))
    commission = chain.find(number)
    assert commission.status == CommissionStatus.DRAFT
    lapses = [act for act in trail.of(commission.subject) if act.act == "commission.lapsed"]
    assert [clock.local_date(act.at) for act in lapses] == [due + timedelta(days=1)]
    assert lapses[0].organisation == CLOCK.organisation
    assert lapses[0].at == clock.instant_of(due + timedelta(days=1))


def test_a_suspended_agencys_open_offers_lapse_and_its_services_go_on(chain):
    offered, running = chain.offered(), chain.in_service()
    with transaction():
        agencies.suspend(agencies.by_number(chain.world.agency.number), "投诉核查", by=chain.world.supervisor)
    assert chain.find(offered).status == CommissionStatus.DRAFT
    assert chain.find(running).status == CommissionStatus.IN_SERVICE


# Who sees it; versions; numbers


def test_the_agency_sees_nothing_before_the_offer_and_a_rival_nothing_ever(chain):
    number = chain.drafted()
    for login in ("agency", "agency2", "applicant2", "approver"):
        with pytest.raises(NotFound):
            commissions.find(number, by=chain.world.actor(login))
    chain.act(number, commissions.offer, by=chain.client)
    assert commissions.find(number, by=chain.agency).number == number
    for login in ("agency2", "applicant2", "approver"):
        with pytest.raises(NotFound):
            commissions.find(number, by=chain.world.actor(login))
    assert commissions.find(number, by=chain.world.supervisor).number == number


def test_a_stale_version_is_refused_and_changes_nothing(chain):
    number = chain.offered()
    version = chain.find(number).version
    chain.act(number, commissions.request_materials, ["补充红线图"], by=chain.agency, expected_version=version)
    with pytest.raises(workflow.StaleVersion):
        chain.act(number, commissions.decline, "不办了", by=chain.agency, expected_version=version)
    assert chain.find(number).status == CommissionStatus.OFFERED


def test_the_states_stamps_are_kept_for_good(chain):
    number = chain.finished()
    commission = chain.find(number)
    stamps = [commission.offered_at, commission.taken_on_at, commission.in_service_at, commission.delivered_at]
    assert all(stamps)
    assert stamps == sorted(stamps)
    assert commission.finished_at >= commission.delivered_at
    assert trail.verify(commission.subject) == (len(trail.of(commission.subject)), [])


def test_either_side_terminates_with_a_reason_and_every_clock_ends(chain):
    for actor in (chain.client, chain.agency):
        number = chain.in_service()
        with pytest.raises(commissions.ReasonMissing):
            chain.act(number, commissions.terminate, "", by=actor)
        chain.act(number, commissions.terminate, "项目取消", by=actor)
        commission = chain.find(number)
        assert commission.status == CommissionStatus.TERMINATED
        running = select(timekeeping.StoredClock).where(
            timekeeping.StoredClock.subject == commission.subject, timekeeping.StoredClock.ended_at.is_(None)
        )
        assert session.scalars(running).all() == []


def test_lists_hold_ones_own_side_only(chain):
    number = chain.offered()
    hidden = chain.drafted()

    def listed(actor: Actor) -> set[str]:
        return {commission.number for commission in commissions.of_organisation(actor)}

    assert listed(chain.client) == {number, hidden}
    assert listed(chain.agency) == {number}
    assert listed(chain.world.actor("agency2")) == set()


def test_fees_of_other_kinds_are_kept_to_the_fen(chain):
    rule = FeeRule(FeeKind.DISCOUNT, amount=333_333, percent=Decimal("12.5"), standard="市价")
    with transaction():
        listings.reprice(
            listings.by_number(chain.world.listing.number), rule, promised_working_days=10, by=chain.agency
        )
    commission = chain.find(chain.offered())
    assert commission.fee == fees.quote(rule, commissions.figures_of(commission.project)).amount == 291_666
    assert isinstance(commission, Commission)


def test_nobody_is_bound_to_a_fee_they_did_not_see(chain):
    """A3: the agency reprices between the confirm page and its button."""
    number = chain.drafted()
    listing = listings.by_number(chain.world.listing.number)
    seen = listing.edition
    with transaction():
        listings.reprice(
            listings.by_number(listing.number),
            FeeRule(FeeKind.FIXED, amount=99_900_000),
            promised_working_days=10,
            by=chain.agency,
        )
    with pytest.raises(commissions.ListingChanged):
        chain.act(number, commissions.offer, by=chain.client, expected_edition=seen)
    assert chain.find(number).status == CommissionStatus.DRAFT
    chain.act(number, commissions.offer, by=chain.client, expected_edition=seen + 1)
    assert chain.find(number).fee == 99_900_000


def test_a_colleagues_other_choice_makes_the_confirm_page_stale(chain):
    number = chain.offered()
    chain.act(number, commissions.decline, "近期任务已满", by=chain.agency)
    version = chain.find(number).version
    with transaction():
        other = listings.by_number(chain.world.listing2.number)
        commissions.choose(chain.find(number, lock=True), other, by=chain.client)
    with pytest.raises(workflow.StaleVersion):
        chain.act(number, commissions.offer, by=chain.client, expected_version=version)


def test_an_agency_that_declined_sees_the_draft_no_more(chain):
    """E3: neither the page nor the list."""
    number = chain.offered()
    chain.act(number, commissions.decline, "近期任务已满", by=chain.agency)
    with pytest.raises(NotFound):
        commissions.find(number, by=chain.agency)
    assert commissions.of_organisation(chain.agency) == []
    assert [act.act for act in trail.of(f"commission:{number}")][-1] == "commission.declined"
