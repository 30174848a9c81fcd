"""The life of a listing: draft, on the shelf, other fee, off the shelf; nothing changes unseen (A3)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from kernel import clock, trail, workflow
from kernel.db import transaction
from kernel.errors import Invalids
from kernel.trail import Actor
from market import agencies, catalogue, listings
from market.fees import FeeKind, FeeRule
from market.listings import ListingStatus

FIXED = FeeRule(FeeKind.FIXED, amount=500_000)


def offered(world: Any, code: str = "ZJ-0508", *, days: int = 20, rule: FeeRule = FIXED) -> str:
    with transaction():
        return listings.draft(
            agencies.by_number(world.agency.number),
            catalogue.by_code(code),
            rule,
            promised_working_days=days,
            by=world.agency_actor,
        ).number


def test_a_draft_is_not_in_force_until_published(world: Any) -> None:
    number = offered(world)
    assert not listings.in_force(listings.by_number(number))
    with transaction():
        listings.publish(listings.by_number(number), by=world.agency_actor)
    listing = listings.by_number(number)
    assert listings.in_force(listing)
    assert listing.published_at is not None
    with transaction():
        listings.withdraw(listing, by=world.agency_actor)
    assert not listings.in_force(listings.by_number(number))
    with transaction():
        listings.publish(listings.by_number(number), by=world.agency_actor)
    assert [act.act for act in trail.of(f"listing:{number}")] == [
        "listing.drafted",
        "listing.published",
        "listing.withdrawn",
        "listing.published",
    ]


def test_a_new_fee_is_a_new_edition_and_the_old_one_stays_readable(world: Any) -> None:
    number = offered(world)
    with transaction():
        listings.reprice(
            listings.by_number(number),
            FeeRule(FeeKind.FIXED, amount=400_000),
            promised_working_days=15,
            by=world.agency_actor,
            reason="让利",
        )
    listing = listings.by_number(number)
    assert listing.edition == 2
    changes = [(row.edition, row.fee["amount"], row.promised_working_days) for row in listings.history(listing)]
    assert changes == [(2, 400_000, 15), (1, 500_000, 20)]


def test_an_item_is_listed_once_by_an_agency(world: Any) -> None:
    number = offered(world)
    with pytest.raises(listings.ListedTwice) as refused:
        offered(world)
    assert refused.value.params["number"] == number


@pytest.mark.parametrize("days", [0, -1, 251])
def test_a_promise_outside_its_bounds_is_refused_at_its_field(world: Any, days: int) -> None:
    with pytest.raises(listings.DaysInvalid) as refused:
        offered(world, days=days)
    assert refused.value.field == "promised_working_days"


def test_a_negative_fee_is_refused_and_nothing_is_stored(world: Any) -> None:
    with pytest.raises(Invalids):
        offered(world, rule=FeeRule(FeeKind.FIXED, amount=-1))
    assert len(listings.of_agency(agencies.by_number(world.agency.number))) == 1


def test_publishing_without_the_qualification_names_what_is_missing(world: Any) -> None:
    number = offered(world, "ZJ-0501")
    with transaction(), pytest.raises(listings.NotQualified) as refused:
        listings.publish(listings.by_number(number), by=world.agency_actor)
    assert "环境影响评价" in refused.value.text("zh")
    with transaction():
        agencies.file_qualification(
            agencies.by_number(world.agency.number),
            "Q10",
            "",
            "XY-1",
            valid_from=date(2025, 1, 1),
            valid_until=clock.today(),
            by=world.agency_actor,
        )
    with transaction():
        listings.publish(listings.by_number(number), by=world.agency_actor)
    listing = listings.by_number(number)
    assert listings.in_force(listing)
    tomorrow = clock.today() + timedelta(days=1)
    assert agencies.shortfall(listing.agency, listing.item.requirement, tomorrow) is not None


def test_a_suspended_agency_publishes_nothing_and_nothing_of_it_is_in_force(world: Any) -> None:
    number = offered(world)
    with transaction():
        agencies.suspend(agencies.by_number(world.agency.number), "投诉查实", by=world.supervisor)
    assert not listings.in_force(listings.by_number(world.listing.number))
    with transaction(), pytest.raises(agencies.AgencySuspended):
        listings.publish(listings.by_number(number), by=world.agency_actor)


def test_nobody_else_changes_a_listing(world: Any) -> None:
    stranger: Actor = world.actor("agency2")
    with transaction(), pytest.raises(workflow.MoveNotOpen):
        listings.withdraw(listings.by_number(world.listing.number), by=stranger)
    assert listings.by_number(world.listing.number).status is ListingStatus.PUBLISHED


def test_a_stale_page_changes_nothing(world: Any) -> None:
    with transaction(), pytest.raises(workflow.StaleVersion):
        listings.withdraw(listings.by_number(world.listing.number), by=world.agency_actor, expected_version=1)
    assert listings.by_number(world.listing.number).status is ListingStatus.PUBLISHED
