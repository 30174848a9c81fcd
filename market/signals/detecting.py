"""What one opened call shows: rivals who share something, prices that behave oddly, habits over several calls.

Only calls that were opened are read. The kinds follow the field's own list of what counts as collusion (招标投标法实施条例
art. 40: bids made by one unit, handed in by one person, the same people named, prices that differ by a pattern) and the
two screens and two habits of :mod:`~market.signals.screens`. Names that are equal prove nothing: the words say so.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from sqlalchemy import select

from kernel import clock
from kernel.accounts import Person
from kernel.db import session
from market.agencies import Agency
from market.awards import Award, AwardStatus
from market.bidding import Bid, BidOrigin, OpenedBid, Outcome
from market.calls import CallForBids
from market.commissions import Commission, Route
from market.routes import RankBy, of_version
from market.signals import screens, traces
from market.signals.records import SignalKind
from market.signals.thresholds import Thresholds

WHOLE = 10_000
_GONE = (Outcome.REPLACED, Outcome.WITHDRAWN)
_WON = (AwardStatus.PUBLICISED, AwardStatus.CONFIRMED)
Words = tuple[str, str]

AGENCY: Words = ("机构", "Agency")
CALL: Words = ("采购编号", "Call")
RECEIVED: Words = ("收到时间", "Received")
CLOSING: Words = ("截止时间", "Closing")
PRICE: Words = ("报价", "Price")


@dataclass(frozen=True, slots=True)
class Finding:
    """A signal before it is filed; ``key`` tells it from every other of its kind, ``step`` what reopens it."""

    kind: SignalKind
    key: tuple[str, ...]
    agencies: tuple[int, ...]
    calls: tuple[int, ...]
    evidence: dict[str, Any]
    strength: int
    step: int = 1
    call_id: int | None = None

    @property
    def fingerprint(self) -> str:
        """64 hex digits over kind and key."""
        return hashlib.sha256("\n".join((self.kind.value, *self.key)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Seen:
    """One opened call as far as the rules look at it."""

    call: CallForBids
    bids: list[Bid]
    opened: dict[int, OpenedBid]
    agencies: dict[int, Agency]
    limits: Thresholds

    def name(self, agency_id: int) -> str:
        return self.agencies[agency_id].name


def findings(call: CallForBids, limits: Thresholds) -> list[Finding]:
    """Everything that the call shows now; the same call gives the same findings again.

    Raises:
        LookupError: the call was not opened, and nothing of its bids may be looked at.
    """
    if call.opened_at is None:
        raise LookupError(call.number)
    bids = list(session.scalars(select(Bid).where(Bid.call_id == call.id).order_by(Bid.received_at, Bid.id)))
    opened = {
        one.bid_id: one for one in session.scalars(select(OpenedBid).where(OpenedBid.call_id == call.id)).unique()
    }
    seen = _Seen(call, bids, opened, {bid.agency_id: bid.agency for bid in bids}, limits)
    rules: Sequence[Callable[[_Seen], Iterable[Finding]]] = (
        _origins, _persons, _particulars, _practitioners, _files, _prices, _meetings, _late, _rotation,
    )  # fmt: skip
    return [finding for rule in rules for finding in rule(seen)]


# What rivals share


def _origins(seen: _Seen) -> Iterator[Finding]:
    """Bids of one call that came from one network address, or one device."""
    origins = {
        row.bid_id: row
        for row in session.scalars(select(BidOrigin).where(BidOrigin.bid_id.in_([bid.id for bid in seen.bids])))
    }
    places: dict[str, list[Bid]] = defaultdict(list)
    devices: dict[str, list[Bid]] = defaultdict(list)
    for bid in seen.bids:
        origin = origins.get(bid.id)
        if origin is None:
            continue
        place, device = seen.limits.place_of(origin.address), origin.device.strip()
        if place:
            places[place].append(bid)
        if device:
            devices[device].append(bid)
    for place, sent in places.items():
        yield from _shared(
            seen, SignalKind.ADDRESS, place, sent,
            (f"{{count}} 家机构的报价来自同一网络地址 {place}", f"Bids of {{count}} agencies came from {place}"),
        )  # fmt: skip
    for device, sent in devices.items():
        mark = hashlib.sha256(device.encode()).hexdigest()[:12]
        yield from _shared(
            seen, SignalKind.DEVICE, device, sent,
            (f"{{count}} 家机构的报价由同一设备提交（设备标记 {mark}）",
             f"Bids of {{count}} agencies came from one device (mark {mark})"),
        )  # fmt: skip


def _persons(seen: _Seen) -> Iterator[Finding]:
    """One signed-in person handed in for several agencies."""
    people: dict[int, list[Bid]] = defaultdict(list)
    for bid in seen.bids:
        if bid.person_id is not None:
            people[bid.person_id].append(bid)
    for person_id, sent in people.items():
        person = session.get(Person, person_id)
        name = person.name if person is not None else "—"
        yield from _shared(
            seen, SignalKind.PERSON, str(person_id), sent,
            (f"{name} 为 {{count}} 家机构提交了报价", f"{name} handed in bids for {{count}} agencies"),
        )  # fmt: skip


def _shared(seen: _Seen, kind: SignalKind, value: str, sent: Sequence[Bid], words: Words) -> Iterator[Finding]:
    agencies = sorted({bid.agency_id for bid in sent})
    if len(agencies) < 2:
        return
    count = len(agencies)
    yield Finding(
        kind,
        (seen.call.number, value),
        tuple(agencies),
        (seen.call.id,),
        evidence(
            {"agencies": count, "bids": len(sent)},
            [(words[0].format(count=count), words[1].format(count=count))],
            (AGENCY, RECEIVED),
            [[bid.agency.name, at(bid.received_at)] for bid in sent],
        ),
        strength=count,
        call_id=seen.call.id,
    )


_PARTICULARS: tuple[tuple[str, Words], ...] = (
    ("telephone", ("联系电话", "Telephone")),
    ("contact", ("联系人", "Contact")),
    ("legal_representative", ("法定代表人", "Legal representative")),
    ("address", ("注册地址", "Registered address")),
)


def _particulars(seen: _Seen) -> Iterator[Finding]:
    """Telephone, contact, legal representative or address that two rivals have both registered."""
    for one, other in combinations(sorted(seen.agencies), 2):
        pair = [seen.agencies[key].organisation for key in (one, other)]
        rows = []
        for name, words in _PARTICULARS:
            plain = _telephone if name == "telephone" else _plain
            first, second = (plain(getattr(organisation, name)) for organisation in pair)
            if first and first == second:
                rows.append([both(words), getattr(pair[0], name)])
        if rows:
            yield _of_pair(
                seen, SignalKind.CONTACT, (one, other), rows,
                ("登记的以下信息相同。姓名相同不一定是同一人，请核实。",
                 "They have registered the same. Equal names need not be one person: please verify."),
                (("登记项目", "Particular"), ("内容", "Value")),
            )  # fmt: skip


def _practitioners(seen: _Seen) -> Iterator[Finding]:
    """A certificate that two rivals have both put on file."""
    held = {
        key: {_plain(person.certificate): person for person in agency.practitioners if _plain(person.certificate)}
        for key, agency in seen.agencies.items()
    }
    for one, other in combinations(sorted(held), 2):
        rows: list[list[Any]] = [
            [held[one][certificate].certificate, held[one][certificate].name, held[other][certificate].name]
            for certificate in sorted(held[one].keys() & held[other].keys())
        ]
        if rows:
            yield _of_pair(
                seen, SignalKind.PRACTITIONER, (one, other), rows,
                (f"登记了相同的执业证书 {len(rows)} 本", f"They have {len(rows)} practitioners' certificates in common"),
                (("证书编号", "Certificate"), (seen.name(one), seen.name(one)), (seen.name(other), seen.name(other))),
            )  # fmt: skip


def _of_pair(
    seen: _Seen, kind: SignalKind, pair: tuple[int, int], rows: list[list[Any]], words: Words, heads: Sequence[Words]
) -> Finding:
    """Facts that last beyond the call: one signal a pair, stronger with every fact."""
    names = [seen.name(key) for key in pair]
    said = (f"{'、'.join(names)}：{words[0]}", f"{' and '.join(names)}: {words[1]}")
    return Finding(
        kind,
        tuple(seen.agencies[key].number for key in pair),
        pair,
        (seen.call.id,),
        evidence({"facts": len(rows)}, [said], heads, rows),
        strength=len(rows),
    )


_FACTS: dict[str, Words] = {
    "sha256": ("文件内容完全相同", "Identical file"),
    "author": ("文件作者相同", "Same author"),
    "editor": ("最后修改人相同", "Last changed by the same"),
    "creationdate": ("文件创建时间相同", "Created at the same moment"),
}


def _files(seen: _Seen) -> Iterator[Finding]:
    """Rivals' files that are identical, or name one author or one moment; what came from the buyer doesn't count."""
    ordinary = {_plain(name) for name in seen.limits.ordinary_authors}
    known = {fact for document in seen.call.documents for fact in _telling(traces.of_document(document.document), ())}
    holders: dict[tuple[str, str], list[tuple[int, traces.Trace]]] = defaultdict(list)
    for bid in seen.bids:
        opened = seen.opened.get(bid.id)
        for trace in traces.of_bid(opened) if opened is not None else ():
            for fact in _telling(trace, ordinary):
                if fact not in known:
                    holders[fact].append((bid.agency_id, trace))
    shared: dict[tuple[int, int], list[list[Any]]] = defaultdict(list)
    for (name, value), held in sorted(holders.items()):
        first: dict[int, traces.Trace] = {}
        for agency_id, trace in held:
            first.setdefault(agency_id, trace)
        for one, other in combinations(sorted(first), 2):
            shown = f"{value[:12]}…" if name == "sha256" else held[0][1].facts.get(name, value)
            shared[one, other].append([both(_FACTS[name]), shown, first[one].name, first[other].name])
    for (one, other), rows in shared.items():
        yield Finding(
            SignalKind.FILES,
            (seen.call.number, *(seen.agencies[key].number for key in (one, other))),
            (one, other),
            (seen.call.id,),
            evidence(
                {"facts": len(rows)},
                [
                    (
                        f"{seen.name(one)}、{seen.name(other)}：报价文件有 {len(rows)} 处相同",
                        f"{seen.name(one)} and {seen.name(other)}: {len(rows)} things in common in the bids' files",
                    )
                ],
                (("相同之处", "In common"), ("内容", "Value"), *((seen.name(key),) * 2 for key in (one, other))),
                rows,
            ),
            strength=len(rows),
            call_id=seen.call.id,
        )


def _telling(trace: traces.Trace, ordinary: Container[str]) -> set[tuple[str, str]]:
    facts = {
        (name, traces.moment_of(value) if name == "creationdate" else _plain(value))
        for name, value in trace.facts.items()
        if name == "creationdate" or _plain(value) not in ordinary
    }
    return {*facts, ("sha256", trace.sha256)}


# Prices


def _prices(seen: _Seen) -> Iterator[Finding]:
    """Two screens over what would be paid; bids at the published floor are bound by it and tell nothing."""
    paid = []
    for one in seen.opened.values():
        value = one.price if one.price is not None else None if one.discount is None else WHOLE - one.discount
        if one.outcome is Outcome.OPENED and value is not None and value != seen.call.floor:
            paid.append((value, one))
    paid.sort(key=lambda row: (row[0], row[1].bid_id))
    prices, limits = [value for value, _one in paid], seen.limits
    variation = screens.coefficient_of_variation(prices)
    if variation is None:
        return
    points = round(variation * WHOLE)
    spread: Words = (
        f"变异系数 = 标准差 ÷ 平均数 = {points / 100:.2f}%",
        f"Coefficient of variation = standard deviation ÷ mean = {points / 100:.2f}%",
    )
    figures: dict[str, int | None] = {"bids": len(prices), "variation": points}
    if len(prices) >= limits.variation_bids and points <= limits.variation_most:
        limit = (f"不高于 {limits.variation_most / 100:.2f}%", f"at most {limits.variation_most / 100:.2f}%")
        yield _of_prices(seen, SignalKind.VARIATION, paid, figures, [_joined(spread, limit)])
    distance = screens.relative_distance(prices)
    if (
        distance is not None
        and len(prices) >= limits.distance_bids
        and distance * 100 >= limits.distance_least
        and points <= limits.distance_variation_most
    ):
        shown = "∞" if math.isinf(distance) else f"{distance:.2f}"
        gap: Words = (
            f"相对距离 =（次低价 − 最低价）÷ 落选报价的标准差 = {shown}",
            f"Relative distance = (second lowest − lowest) ÷ standard deviation of the losing bids = {shown}",
        )
        least = (f"不低于 {limits.distance_least / 100:.2f}", f"at least {limits.distance_least / 100:.2f}")
        figures = figures | {"distance": None if math.isinf(distance) else round(distance * 100)}
        yield _of_prices(seen, SignalKind.DISTANCE, paid, figures, [_joined(gap, least), spread])


def _joined(words: Words, limit: Words) -> Words:
    return f"{words[0]}（线索标准：{limit[0]}）", f"{words[1]} (threshold: {limit[1]})"


def _of_prices(
    seen: _Seen,
    kind: SignalKind,
    paid: Sequence[tuple[int, OpenedBid]],
    figures: dict[str, int | None],
    lines: list[Words],
) -> Finding:
    rows = [
        [one.bid.agency.name, {"fen": one.price} if one.price is not None else f"−{(one.discount or 0) / 100:.2f}%"]
        for _value, one in paid
    ]
    agencies = tuple(sorted({one.bid.agency_id for _value, one in paid}))
    return Finding(
        kind,
        (seen.call.number,),
        agencies,
        (seen.call.id,),
        evidence(figures, lines, (AGENCY, PRICE), rows),
        strength=len(paid),
        call_id=seen.call.id,
    )


# Habits


def _since(seen: _Seen) -> datetime:
    assert seen.call.opened_at is not None  # noqa: S101  told to the type checker; findings() refuses such a call
    return clock.instant_of(clock.add_months(clock.local_date(seen.call.opened_at), -seen.limits.window_months))


def _history(seen: _Seen) -> tuple[dict[int, CallForBids], dict[int, frozenset[int]]]:
    """Opened calls of the item up to this one, the oldest first, and who stood in each at the opening."""
    calls = session.scalars(
        select(CallForBids)
        .join(Commission)
        .where(
            Commission.item_id == seen.call.commission.item_id,
            Commission.route != Route.INVITATION,  # whom a buyer invites together, meets
            CallForBids.opened_at >= _since(seen),
            CallForBids.opened_at <= seen.call.opened_at,
        )
        .order_by(CallForBids.opened_at, CallForBids.id)
    ).unique()
    found = {call.id: call for call in calls}
    present: dict[int, set[int]] = defaultdict(set)
    for call_id, agency_id in session.execute(
        select(Bid.call_id, Bid.agency_id)
        .join(OpenedBid, OpenedBid.bid_id == Bid.id)
        .where(Bid.call_id.in_(found), OpenedBid.outcome.not_in(_GONE))
    ):
        present[call_id].add(agency_id)
    return found, {call_id: frozenset(present[call_id]) for call_id in found if present[call_id]}


def _meetings(seen: _Seen) -> Iterator[Finding]:
    """Pairs that meet almost whenever one of them bids, and more often than chance would have it."""
    calls, present = _history(seen)
    limits = seen.limits
    for (one, other), met in screens.meetings(present, present.get(seen.call.id, frozenset())).items():
        if (
            met.together < limits.meeting_calls
            or met.share * WHOLE < limits.meeting_share
            or met.lift * 100 < limits.meeting_lift
        ):
            continue
        both_in = [call_id for call_id, agencies in present.items() if {one, other} <= agencies]
        names = f"{seen.name(one)}（{met.first} 次）", f"{seen.name(other)}（{met.second} 次）"
        yield Finding(
            SignalKind.MEETING,
            (str(seen.call.commission.item.code), *(seen.agencies[key].number for key in (one, other))),
            (one, other),
            tuple(both_in),
            evidence(
                {
                    "together": met.together,
                    "share": round(met.share * WHOLE),
                    "lift": round(met.lift * 100),
                    "calls": met.calls,
                },
                [
                    (
                        f"{names[0]}、{names[1]}在同一事项的 {met.calls} 次采购中同场报价 {met.together} 次，"
                        f"占较少一方的 {met.share:.0%}",
                        f"{seen.name(one)} ({met.first} bids) and {seen.name(other)} ({met.second} bids) met in "
                        f"{met.together} of {met.calls} calls of the item, {met.share:.0%} of the smaller number",
                    ),
                    (
                        f"同场次数为各自独立选择时的 {met.lift:.2f} 倍 = {met.together} × {met.calls} ÷ "
                        f"（{met.first} × {met.second}）",
                        f"{met.lift:.2f} times as often as if each chose by itself = {met.together} × {met.calls} ÷ "
                        f"({met.first} × {met.second})",
                    ),
                ],
                (CALL, ("开标时间", "Opened")),
                [[{"call": calls[call_id].number}, at(calls[call_id].opened_at)] for call_id in both_in],
            ),
            strength=met.together,
            step=limits.reopen_after,
        )


def _late(seen: _Seen) -> Iterator[Finding]:
    """Agencies whose last bid of a call nearly always comes in the last minutes."""
    limits = seen.limits
    within = timedelta(minutes=limits.late_minutes)
    last: dict[tuple[int, int], Bid] = {}
    statement = (
        select(Bid)
        .join(CallForBids, Bid.call_id == CallForBids.id)
        .where(
            Bid.agency_id.in_(seen.agencies),
            CallForBids.opened_at >= _since(seen),
            CallForBids.opened_at <= seen.call.opened_at,
        )
        .order_by(Bid.id)
    )
    for bid in session.scalars(statement):
        last[bid.agency_id, bid.call_id] = bid
    calls = {
        call.id: call
        for call in session.scalars(
            select(CallForBids).where(CallForBids.id.in_({bid.call_id for bid in last.values()}))
        ).unique()
    }
    for agency_id in sorted(seen.agencies):
        own = [
            (bid, closing)
            for bid in last.values()
            if bid.agency_id == agency_id and (closing := calls[bid.call_id].closing_at) is not None
        ]
        late = [(bid, closing) for bid, closing in own if screens.count_late([(bid.received_at, closing)], within)]
        if len(late) < max(limits.late_bids, 1) or len(late) * WHOLE < limits.late_share * len(own):
            continue
        late.sort(key=lambda row: (row[1], row[0].id))
        yield Finding(
            SignalKind.LAST_MINUTE,
            (seen.agencies[agency_id].number,),
            (agency_id,),
            tuple(bid.call_id for bid, _closing in late),
            evidence(
                {"late": len(late), "bids": len(own), "share": round(len(late) * WHOLE / len(own))},
                [
                    (
                        f"{seen.name(agency_id)}的 {len(own)} 次报价中有 {len(late)} 次在截止前 "
                        f"{limits.late_minutes} 分钟内提交",
                        f"{len(late)} of {len(own)} bids of {seen.name(agency_id)} came in the last "
                        f"{limits.late_minutes} minutes",
                    )
                ],
                (CALL, RECEIVED, CLOSING),
                [[{"call": calls[bid.call_id].number}, at(bid.received_at), at(closing)] for bid, closing in late],
            ),
            strength=len(late),
            step=limits.reopen_after,
        )


def _rotation(seen: _Seen) -> Iterator[Finding]:
    """The same bidders again and again, winning strictly in turn for longer than chance explains."""
    calls, present = _history(seen)
    group = present.get(seen.call.id, frozenset())
    if len(group) < 2:
        return
    # Where a draw chooses, or the rules rest the last winners, turns are no bidder's doing.
    fixed = [
        call_id for call_id, agencies in present.items() if agencies == group and not _decided_by_rule(calls[call_id])
    ]
    awarded = {
        award.call_id: award
        for award in session.scalars(select(Award).where(Award.call_id.in_(fixed), Award.status.in_(_WON)))
    }
    run = [awarded[call_id] for call_id in fixed if call_id in awarded]
    turns = screens.turns_at_end([award.agency_id for award in run], group)
    chance = screens.chance_of_turns(len(group), turns)
    limits = seen.limits
    if turns < max(limits.rotation_calls, 2) or chance * WHOLE > limits.rotation_chance:
        return
    run = run[-turns:]
    yield Finding(
        SignalKind.ROTATION,
        (str(seen.call.commission.item.code), *sorted(seen.agencies[key].number for key in group)),
        tuple(sorted(group)),
        tuple(award.call_id for award in run),
        evidence(
            {"members": len(group), "turns": turns, "chance": round(chance * WHOLE)},
            [
                (
                    f"同样的 {len(group)} 家机构最近 {turns} 次采购严格轮流中选",
                    f"The same {len(group)} agencies won the last {turns} calls strictly in turn",
                ),
                (
                    f"各家机会均等时出现这种情形的可能性约为 {chance:.2%}",
                    f"With equal chances that happens in about {chance:.2%} of cases",
                ),
            ],
            (CALL, ("中选机构", "Winner"), ("中选金额", "Amount")),
            [
                [{"call": calls[award.call_id].number}, award.agency.name, {"fen": award.fee} if award.fee else "—"]
                for award in run
            ],
        ),
        strength=turns,
        step=limits.reopen_after,
    )


def _decided_by_rule(call: CallForBids) -> bool:
    if call.policy_id is None:
        return True
    rules = of_version(call.policy_id)
    return rules.rank_by is RankBy.DRAW or rules.rest_commissions > 0


# Words and cells


def evidence(
    figures: Mapping[str, int | None], lines: Sequence[Words], heads: Sequence[Words], rows: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """The stored form; see :class:`~market.signals.records.Signal`."""
    return {
        "figures": dict(figures),
        "lines": [both(line) for line in lines],
        "heads": [both(head) for head in heads],
        "rows": [list(row) for row in rows],
    }


def both(words: Words) -> dict[str, str]:
    return {"zh": words[0], "en": words[1]}


def at(moment: datetime | None) -> dict[str, str]:
    return {"at": moment.astimezone(clock.SHANGHAI).isoformat() if moment is not None else ""}


def _plain(text: str) -> str:
    """Equal for whoever reads: no spaces, one width, one case."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


def _telephone(text: str) -> str:
    """Digits without country code and trunk zero; '' for what is too short to be anybody's number."""
    digits = "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign in "0123456789")
    for prefix in ("0086", "86"):
        if digits.startswith(prefix) and len(digits) - len(prefix) in (10, 11, 12):
            digits = digits[len(prefix) :]
    digits = digits.lstrip("0")
    return digits if len(digits) >= 7 else ""
