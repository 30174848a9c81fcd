"""A bid that was acknowledged is stored whole, once, whoever is killed at whichever step of its submission (G2, G4).

"kill -9 at every step of a submission" (competition.md, "Races"): a copy of the portal's process takes the bid from
its page and is killed with -9 before its first statement, before each of the others, before and after the commit, and
after the answer. The bidder presses again, as anybody would. Ten kills per push and more, a hundred at night.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event, select

from kernel import sealing, trail
from kernel.db import db, session
from kernel.web.once import Attempt
from market import custody
from market.bidding import Bid
from market.bidding.records import BidOrigin
from tests.competition import Competition

#: Long, and not yet measured on a quiet machine.
pytestmark = pytest.mark.nightly

Client = Any


@dataclass
class Bidder:
    """Hands bids in through the page of a process that is killed; remembers what it was told."""

    client: Client
    competition: Competition
    number: str
    acknowledged: set[str] = field(default_factory=set)

    def sealed(self) -> sealing.SealedBid:
        found = self.competition.sealed(self.number, self.competition.world.agency, 20_000_000)
        session.remove()
        return found

    def hand_in(
        self, sealed: sealing.SealedBid, act: str, *, die_at: int | None = None, in_pieces: bool = False
    ) -> list[str]:
        """The steps that a forked portal reported, the answer's status the last; it dies at step ``die_at``."""
        session.remove()
        db.engine.dispose()  # a connection shared with the copy would be two processes' at once
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            self._be_the_portal(writing, sealed, act, die_at, in_pieces)
        os.close(writing)
        with os.fdopen(reading, encoding="ascii") as told:
            steps = told.read().split()
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert was_killed or (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0), steps
        assert was_killed is (die_at is not None), steps
        if steps and steps[-1].isdecimal():
            assert steps[-1] == "303", steps
            self.acknowledged.add(sealed.sha256)
        return steps

    def _be_the_portal(
        self, writing: int, sealed: sealing.SealedBid, act: str, die_at: int | None, in_pieces: bool
    ) -> None:
        """In the copy, and never back: the real page, with a fail point before every step."""
        code = 1
        try:
            passed = 0

            def point(name: str) -> None:
                nonlocal passed
                if passed == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                passed += 1
                os.write(writing, f"{name} ".encode())

            def commit(connection: Any, *_: Any) -> None:
                connection.connection.driver_connection.commit()

            if in_pieces:
                event.listen(db.engine, "before_cursor_execute", commit)
            event.listen(db.engine, "before_cursor_execute", lambda *_: point("statement"))
            event.listen(session.session_factory.class_, "before_commit", lambda _: point("commit"))
            event.listen(session.session_factory.class_, "after_commit", lambda _: point("committed"))
            payload = {
                "ciphertext": base64.b64encode(sealed.ciphertext).decode(),
                "wraps": {name: base64.b64encode(wrap).decode() for name, wrap in sealed.wraps.items()},
            }
            answer = self.client.post(
                f"/calls/{self.number}/bid", data={"act": act, "sealed_here": json.dumps(payload)}
            )
            os.write(writing, f"{answer.status_code} ".encode())
            if die_at is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            code = 0
        finally:
            os._exit(code)

    def losses(self) -> dict[str, int]:
        """What was acknowledged and isn't there, and what is there in pieces or twice."""
        call = self.competition.find(self.number)
        bids = session.scalars(select(Bid).where(Bid.call_id == call.id)).all()
        names = set(sealing.wrap_names(custody.recipients(call.id)))
        origins = set(session.scalars(select(BidOrigin.bid_id)))
        stored = Counter(bid.sha256 for bid in bids)
        found = {
            "acknowledged, not stored": len(self.acknowledged - set(stored)),
            "without wraps": sum(set(bid.wraps) != names or not all(bid.wraps.values()) for bid in bids),
            "without ciphertext": sum(sealing.SealedBid(bid.ciphertext, {}).sha256 != bid.sha256 for bid in bids),
            "without origin": sum(bid.id not in origins for bid in bids),
            "without trail": sum([act.act for act in trail.of(bid.subject)] != ["bid.received"] for bid in bids),
            "twice": sum(times > 1 for times in stored.values()),
            "broken chains": len(trail.verify()[1]),
            "unsettled attempts": sum(one.location is None for one in session.scalars(select(Attempt))),
        }
        session.remove()
        return found


@pytest.fixture
def bidder(world: Any, client_as: Callable[[str], Client]) -> Bidder:
    competition = Competition(world)
    number = competition.published()
    return Bidder(client_as("agency"), competition, number)


@pytest.mark.parametrize(
    "kills", [pytest.param(10, id="10 kills"), pytest.param(100, id="100 kills", marks=pytest.mark.nightly)]
)
def test_bid_is_whole_or_absent_whichever_step_it_dies_at(bidder: Bidder, kills: int) -> None:
    steps = bidder.hand_in(bidder.sealed(), secrets.token_urlsafe(16))
    assert {"statement", "commit", "committed", "303"} <= set(steps)
    whole = dict.fromkeys(bidder.losses(), 0)
    died = Counter[str]()
    for turn in range(max(kills, len(steps))):
        place = turn % len(steps)
        sealed, act = bidder.sealed(), secrets.token_urlsafe(16)
        told = bidder.hand_in(sealed, act, die_at=place)
        died[steps[place]] += 1
        assert len(told) == min(place, len(steps) - 1) + (place == len(steps) - 1)
        assert bidder.losses() == whole, (place, told)
        # No answer came, so the bidder presses again: the same form, or a fresh one.
        bidder.hand_in(sealed, act if turn % 2 else secrets.token_urlsafe(16))
        assert bidder.losses() == whole, (place, told)
    assert set(died) == set(steps)
    assert len(bidder.acknowledged) == max(kills, len(steps)) + 1


def test_submission_in_pieces_would_be_seen(bidder: Bidder) -> None:
    """Without the one transaction a death between two statements leaves a bid that is not whole."""
    steps = bidder.hand_in(bidder.sealed(), secrets.token_urlsafe(16))
    for place in reversed(range(len(steps) - 1)):
        bidder.hand_in(bidder.sealed(), secrets.token_urlsafe(16), die_at=place, in_pieces=True)
        if bidder.losses()["without trail"]:
            return
    pytest.fail("no death between two statements was noticed")
