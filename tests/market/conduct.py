"""Opened calls with planted conduct: rows as the opening and the award write them, everything else by the verbs."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kernel import clock, files, numbers
from kernel.accounts import Membership
from kernel.db import session, transaction
from kernel.errors import PortalError
from market import agencies, calls, routes, signals
from market.agencies import Agency
from market.awards import Award, AwardStatus
from market.bidding import Bid, BidOrigin, OpenedBid, OpenedFile, Outcome, SealedBy
from market.calls import CallForBids
from market.commissions import NUMBER, Commission, CommissionStatus, Payer, Route
from market.signals import Signal

SHORTS = ("清源", "绿洲", "天衡", "恒信", "北岭")
#: Far enough apart that neither of the price screens is met.
ORDINARY = (70_000_00, 81_000_00, 90_000_00, 97_000_00, 108_000_00)


@dataclass
class Entry:
    """One bid to plant; times in minutes before the closing."""

    price: int | None = None
    discount: int | None = None
    early: float = 600
    address: str = ""
    device: str = ""
    person_id: int | None = None
    outcome: Outcome = Outcome.OPENED
    files: Mapping[str, bytes] = field(default_factory=dict)


class Conduct:
    """The world's five agencies, and calls among them opened one day after another."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.day = 0
        self.agencies: dict[str, Agency] = {}
        with transaction():
            for short in SHORTS:
                organisation = world.organisations[short]
                known = agencies.of_organisation(organisation.id)
                if known is None:
                    actor = world.actor(f"agency{SHORTS.index(short) + 1}")
                    known = agencies.admit(session.merge(organisation), by=actor, commitment_agreed=True)
                self.agencies[short] = known

    def opened(
        self,
        entries: Mapping[str, Entry | int | None] | Sequence[str],
        *,
        winner: str = "",
        floor: int | None = None,
        route: Route = Route.BIDDING,
        documents: Sequence[files.Document] = (),
    ) -> CallForBids:
        """One opened call; entries by the agency's short name, a bare name bids an ordinary price."""
        if not isinstance(entries, Mapping):
            entries = {short: ORDINARY[SHORTS.index(short)] for short in entries}
        self.day += 1
        moment = clock.now() - timedelta(days=200) + timedelta(days=self.day)
        with transaction():
            world = self.world
            policy, _rules = routes.current(route)
            commission = Commission(
                number=numbers.following(NUMBER), status=CommissionStatus.EVALUATING, version=1, route=route,
                payer=Payer.SELF, project=session.merge(world.project), item=session.merge(world.item),
                client=session.merge(world.client_org), applicant_id=world.client_org.id, quote=[],
                promised_working_days=10, draft_at=moment, materials=[], inquiries=[],
            )  # fmt: skip
            call = CallForBids(
                number=numbers.following(calls.NUMBER), commission=commission, policy_id=policy.id,
                title="云栖里水土保持方案编制", requirement="编制方案", ceiling=200_000_00, floor=floor, weights=[],
                custody="platform", edition=1, bid_edition=1, closing_at=moment, published_at=moment, closed_at=moment,
                opened_at=moment + timedelta(hours=1),
            )  # fmt: skip
            session.add_all([commission, call])
            session.flush()
            for document in documents:
                call.documents.append(
                    calls.CallDocument(name=document.name, document=session.merge(document), added_at=moment)
                )
            bids = {
                short: self._bid(call, short, entry if isinstance(entry, Entry) else Entry(entry), moment)
                for short, entry in entries.items()
            }
            if winner:
                bid = bids[winner]
                session.add(
                    Award(
                        commission_id=commission.id, call_id=call.id, bid=bid, agency=bid.agency, place=1, version=1,
                        status=AwardStatus.CONFIRMED, fee=80_000_00, working_days=10, policy=policy.version,
                        awarded_at=moment, awarded_by="",
                    )
                )  # fmt: skip
        return call

    def _bid(self, call: CallForBids, short: str, entry: Entry, closing: datetime) -> Bid:
        agency = self.agencies[short]
        token = hashlib.sha256(f"{call.number}/{short}".encode()).hexdigest()[:24]
        bid = Bid(
            token=token, call_id=call.id, agency=session.merge(agency), sha256=hashlib.sha256(token.encode()).hexdigest(),
            person_id=entry.person_id or self.person(short), ciphertext=b"", wraps={}, sealed_by=SealedBy.BROWSER,
            edition=1, received_at=closing - timedelta(minutes=entry.early),
        )  # fmt: skip
        session.add(bid)
        session.flush()
        session.add(BidOrigin(bid_id=bid.id, address=entry.address, device=entry.device))
        opened = OpenedBid(
            bid=bid, call_id=call.id, outcome=entry.outcome, price=entry.price, discount=entry.discount,
            working_days=10, opened_at=closing, files=[],
            content={
                "statement": "", "files": [
                    {"name": name, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
                    for name, raw in entry.files.items()
                ],
            },
        )  # fmt: skip
        for name, raw in entry.files.items():
            with contextlib.suppress(PortalError):  # refused at the opening: told by its hash alone
                document = files.put(io.BytesIO(raw), name, by=self.world.actor(self.login(short)))
                opened.files.append(OpenedFile(document=document))
        session.add(opened)
        session.flush()
        return bid

    def login(self, short: str) -> str:
        return "agency" if short == "清源" else f"agency{SHORTS.index(short) + 1}"

    def person(self, short: str) -> int:
        row = session.query(Membership).filter_by(organisation_id=self.agencies[short].organisation_id).first()
        return row.person_id if row is not None else 0

    def key(self, short: str) -> int:
        return self.agencies[short].id

    def scan(self, call: CallForBids) -> list[Signal]:
        with transaction():
            return signals.scan(session.merge(call))

    def scan_all(self, *found: CallForBids) -> list[Signal]:
        return [signal for call in found for signal in self.scan(call)]
