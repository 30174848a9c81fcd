"""Mass data for measuring: as the rules would have it, the same for the same seed, never twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from apiflask import APIFlask
from sqlalchemy import Engine, func, select, text

from integration.demo import bulk
from integration.demo.bulk import Size
from kernel import clock, dossier, search, trail
from kernel.accounts import Organisation
from kernel.accounts.organisations import parse_credit_code
from kernel.db import session
from kernel.dossier import Entry, EntryStatus, Use
from kernel.projects import Project
from market import fees, listings, shelf
from market.commissions import Commission
from market.fees import FeeKind
from market.listings import FeeChange, Listing

SMALL = Size(listings=60, dossier_rows=400, projects=20, commissions=30, agencies=6)


@pytest.fixture
def loaded(portal: APIFlask) -> APIFlask:
    assert bulk.load(SMALL, seed=7)
    session.remove()
    return portal


def _count(record: type[object]) -> int:
    return session.scalar(select(func.count()).select_from(record)) or 0


def test_it_writes_as_many_rows_as_the_size_says(loaded: APIFlask) -> None:
    assert (_count(Listing), _count(Entry), _count(Project), _count(Commission)) == (60, 400, 20, 30)
    per_project = set(session.scalars(select(func.count()).select_from(Entry).group_by(Entry.project_id)))
    assert per_project == {bulk.PER_PROJECT}


def test_every_listing_is_in_force_chargeable_and_found(loaded: APIFlask) -> None:
    rows = session.scalars(select(Listing)).all()
    assert all(listings.in_force(row) for row in rows)
    for row in rows:
        fees.check(row.rule)
        latest = listings.history(row)[0]
        assert (latest.edition, latest.fee) == (row.edition, row.fee)
    assert {row.rule.kind for row in rows} == set(FeeKind)
    assert _count(FeeChange) > 60
    found = shelf.find()
    assert found.total == 60
    assert not search.check()


def test_documents_are_in_every_state_and_agree_with_the_rule_of_reliance(loaded: APIFlask) -> None:
    entries = session.scalars(select(Entry)).all()
    assert {entry.status for entry in entries} == set(EntryStatus)
    today = clock.today()
    reliable = set(session.scalars(select(Entry.id).where(dossier.reliable_clause(today))))
    assert reliable == {entry.id for entry in entries if entry.status is EntryStatus.ATTACHED}
    by_key = {entry.id: entry for entry in entries}
    for entry in entries:
        assert entry.sha256 == entry.document.sha256
        if entry.status is EntryStatus.SUPERSEDED:
            assert entry.successor_id is not None
            assert by_key[entry.successor_id].project_id == entry.project_id
    assert _count(Use) > 0
    assert not dossier.due_to_expire(clock.now(), 10)


def test_codes_have_right_check_digits_and_chains_hold(loaded: APIFlask) -> None:
    for code in session.scalars(select(Organisation.credit_code)):
        assert parse_credit_code(code) == code
    count, breaks = trail.verify()
    assert count > 2 * 60 + 3 * 30
    assert breaks == []


def test_a_second_load_writes_nothing_and_another_size_is_refused_by_name(loaded: APIFlask) -> None:
    told: list[str] = []
    assert not bulk.load(SMALL, seed=7, say=told.append)
    assert "60" in told[0]
    with pytest.raises(bulk.BulkDiffers) as refused:
        bulk.load(replace(SMALL, listings=61), seed=7)
    assert "60" in refused.value.text("zh")
    assert _count(Listing) == 60


def test_the_same_seed_makes_the_same_data_and_another_seed_others(loaded: APIFlask, owner_engine: Engine) -> None:
    def picture() -> list[tuple[object, ...]]:
        shelf_rows = session.execute(select(Listing.number, Listing.fee, Listing.scope).order_by(Listing.number))
        papers = session.execute(select(Entry.number, Entry.title, Entry.status, Entry.issuer).order_by(Entry.number))
        orders = session.execute(select(Commission.number, Commission.fee, Commission.status).order_by(Commission.id))
        return [tuple(row) for rows in (shelf_rows, papers, orders) for row in rows]

    def again(seed: int) -> list[tuple[object, ...]]:
        session.remove()
        with owner_engine.connect() as connection:
            connection.execute(text("TRUNCATE organisations, trail, trail_heads CASCADE"))
        assert bulk.load(SMALL, seed=seed)
        session.remove()
        return picture()

    before = picture()
    assert again(7) == before
    assert again(8) != before


def test_growing_adds_projects_and_documents_beside_those_that_are_there(loaded: APIFlask) -> None:
    before = session.execute(select(Entry.number, Entry.title).order_by(Entry.id)).all()
    session.remove()
    bulk.grow(25, 500)
    session.remove()
    after = session.execute(select(Entry.number, Entry.title).order_by(Entry.id)).all()
    assert len(after) == 500
    assert after[:400] == before
    assert _count(Project) == 25
