"""Everyone concerned is told, in the transaction of the act (D6, 000 §6.7)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from kernel import clock, notifications
from kernel.access import Role
from kernel.accounts import add_member
from kernel.accounts.people import Membership, Person
from kernel.db import session, transaction
from kernel.notifications import Notice


def tell(world: Any, *logins: str, **more: Any) -> None:
    notifications.tell(
        [world.people[login].id for login in logins],
        subject="commission:WT-1",
        act="commission.offered",
        title="水土保持方案",
        **more,
    )


def test_each_person_is_told_once(world: Any) -> None:
    with transaction():
        tell(world, "applicant", "agency", "applicant", fee=100)
    rows, total = notifications.inbox(world.people["applicant"].id)
    assert total == len(rows) == 1
    assert (rows[0].subject, rows[0].act, rows[0].detail) == ("commission:WT-1", "commission.offered", {"fee": 100})
    assert notifications.inbox(world.people["window"].id) == ([], 0)


def test_nobody_is_told_of_what_did_not_happen(world: Any) -> None:
    with pytest.raises(KeyError), transaction():
        tell(world, "applicant")
        raise KeyError
    assert notifications.unread(world.people["applicant"].id) == 0


def test_every_member_of_an_organisation_is_told_and_nobody_who_left(world: Any) -> None:
    organisation = world.client_org
    with transaction():
        colleague = session.get_one(Person, world.people["window"].id)
        add_member(colleague, organisation, Role.APPLICANT)
        former = add_member(session.get_one(Person, world.people["approver"].id), organisation, Role.APPLICANT)
        former.ended_at = clock.machine()
    with transaction():
        notifications.tell_organisation(
            organisation.id, subject="commission:WT-1", act="commission.offered", title="水土保持方案"
        )
    told = set(session.scalars(select(Notice.person_id)))
    assert told == {world.people["applicant"].id, world.people["window"].id}
    assert session.scalar(select(func.count()).select_from(Membership).where(Membership.ended_at.is_not(None))) == 1


def test_inbox_shows_the_newest_first_by_pages(world: Any) -> None:
    with transaction():
        for number in range(5):
            notifications.tell(
                [world.people["applicant"].id], subject=f"commission:{number}", act="commission.offered", title="件"
            )
    person = world.people["applicant"].id
    first, total = notifications.inbox(person, page=1, size=2)
    last, _ = notifications.inbox(person, page=3, size=2)
    assert total == 5
    assert [row.subject for row in first] == ["commission:4", "commission:3"]
    assert [row.subject for row in last] == ["commission:0"]


def test_reading_the_inbox_clears_ones_own_count_alone(world: Any) -> None:
    with transaction():
        tell(world, "applicant", "agency", is_warning=True)
    with transaction():
        notifications.mark_read(world.people["applicant"].id)
    assert notifications.unread(world.people["applicant"].id) == 0
    assert notifications.unread(world.people["agency"].id) == 1


def test_line_carries_the_legal_instant_of_its_act(world: Any) -> None:
    with transaction():
        tell(world, "applicant")
    (row,), _ = notifications.inbox(world.people["applicant"].id)
    assert clock.local_date(row.at) == clock.today()
