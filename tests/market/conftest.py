"""One commission taken as far along its life as a test needs, each step in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernel.db import session, transaction
from kernel.trail import Actor
from market import commissions, deliverables, services
from market.commissions import Commission, Picked
from market.deliverables import Deliverable, Part, Result


class Chain:
    """Drives commissions through the public verbs, as the world's applicant and agency."""

    def __init__(self, world: Any) -> None:
        self.world = world

    @property
    def client(self) -> Actor:
        return self.world.applicant  # type: ignore[no-any-return]

    @property
    def agency(self) -> Actor:
        return self.world.agency_actor  # type: ignore[no-any-return]

    def drafted(self, **more: Any) -> str:
        """A draft with all its materials; answers its number."""
        with transaction():
            world = self.world
            draft = commissions.draft(
                session.merge(world.project),
                session.merge(world.listing),
                session.merge(world.client_org),
                by=self.client,
                **more,
            )
            commissions.hand_in(
                draft,
                [Picked(name, document=world.document(f"{name}.pdf", name)) for name in draft.item.required_materials],
            )
            return draft.number

    def offered(self, **more: Any) -> str:
        return self.act(self.drafted(**more), commissions.offer, by=self.client)

    def taken_on(self) -> str:
        return self.act(self.offered(), commissions.take_on, by=self.agency)

    def in_service(self) -> str:
        return self.act(self.taken_on(), services.start, by=self.agency)

    def delivered(self) -> str:
        number = self.in_service()
        self.deliver(number)
        return number

    def finished(self) -> str:
        number = self.delivered()
        self.accept(number)
        return number

    def terminated(self) -> str:
        return self.act(self.in_service(), commissions.terminate, "双方协商一致", by=self.agency)

    def cancelled(self) -> str:
        return self.act(self.offered(), commissions.cancel, "不再需要", by=self.client)

    def at(self, state: str) -> str:
        """The number of a commission in the state of this name."""
        reached: str = getattr(self, "drafted" if state == "draft" else state)()
        return reached

    def act(self, number: str, verb: Callable[..., Any], *arguments: Any, **named: Any) -> str:
        """One verb on a locked commission, committed."""
        with transaction():
            verb(self.find(number, lock=True), *arguments, **named)
        return number

    def find(self, number: str, *, lock: bool = False) -> Commission:
        return commissions.find(number, by=self.client, lock=lock)

    def deliver(self, number: str, name: str = "水土保持方案.pdf", **more: Any) -> str:
        """Hand in an edition of one file; answers the deliverable's number."""
        with transaction():
            commission = self.find(number, lock=True)
            part = Part(commission.item.deliverables[0], self.world.document(name, name, by=self.agency))
            named = {"result": Result.PASSED, "summary": "符合要求", "by": self.agency} | more
            return deliverables.submit(commission, [part], **named).number

    def accept(self, number: str) -> None:
        with transaction():
            deliverables.accept(self.latest(number), by=self.client)

    def latest(self, number: str) -> Deliverable:
        deliverable = deliverables.latest(self.find(number))
        assert deliverable is not None
        return deliverable


@pytest.fixture
def chain(world: Any) -> Chain:
    return Chain(world)
