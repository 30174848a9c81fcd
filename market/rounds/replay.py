"""A result recomputed from its record by anyone who doubts it (competition.md: "`flask rounds replay` recomputes").

A record is a JSON object ``{"rounds", "step", "turn_seconds", "pause_seconds", "first_pause_seconds", "bidders",
"turns"}``; the answer is ``{"timeline", "rounds", "refused", "result", "winner"}``, and a list of records is answered
by a list in the same order. Amounts are text in yuan with two decimals, instants ISO 8601 with their zone.

A record of a live auction also holds ``starts_at`` and with every entry the instant ``at`` of the database's clock;
then an entry outside its bidder's turn is refused here as it was there.

Each entry of ``turns`` belongs to its bidder's turn in its round, wherever it stands in the list; entries of one turn
are tried in the order of the list. ``refused`` keeps the order of the list, ``prices`` the order of the turns.
Input is read strictly: a misspelt or doubled member would otherwise yield a wrong result that looks right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from kernel import money
from kernel.errors import PortalError
from market.rounds import faults
from market.rounds.rules import Auction, Entry, Rules, Standing

_Part = TypeVar("_Part")
_AMOUNT = re.compile(r"(-?)([0-9]{1,16})(?:\.([0-9]{1,2}))?")
_INSTANT = re.compile(
    r"(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def replay(record: object) -> object:
    """Answer one record, or a list of them by a list.

    Raises:
        PortalError: a member is missing, unknown or faulty; ``field`` holds its path, e.g. ``[2].bidders[0].at``.
    """
    if isinstance(record, list):
        answers = []
        for index, single in enumerate(record):
            with _within(f"[{index}]"):
                answers.append(_answer(single))
        return answers
    return _answer(record)


def main_replay(text: str | bytes) -> str:
    """JSON in, JSON text out.

    Raises:
        NotJson: ``text`` is not JSON in a Unicode encoding.
        PortalError: as :func:`replay`.
    """
    try:
        record = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as problem:
        raise faults.NotJson(line=problem.lineno, column=problem.colno) from problem
    except (RecursionError, ValueError) as problem:  # no Unicode, nested beyond reason, or thousands of digits
        raise faults.NotJson(line=1, column=1) from problem
    answer = json.dumps(replay(record), ensure_ascii=False)
    return answer.encode("utf-8", "backslashreplace").decode("utf-8")  # a lone surrogate goes back as its escape


def record_of(auction: Auction) -> dict[str, object]:
    """The record of an auction: what :func:`replay` reads, with the accepted prices in the order of their turns."""
    rules = auction.rules
    return {
        "rounds": rules.rounds,
        "step": _yuan(rules.step),
        "turn_seconds": rules.turn_seconds,
        "pause_seconds": rules.pause_seconds,
        "first_pause_seconds": rules.first_pause_seconds,
        "bidders": [
            {"id": one.bidder, "price": _yuan(one.price), "at": one.lodged_at.isoformat()} for one in auction.admitted
        ],
        "turns": [
            {"round": played.number, "bidder": bidder, "price": _yuan(price)}
            for played in auction.rounds
            for bidder, price in played.prices.items()
        ],
    }


def _answer(record: object) -> dict[str, object]:
    rules, admitted, entries, elapsed = _read(record)
    auction = Auction(rules, admitted)
    refused: dict[int, str] = {}
    # By round, since the step is measured from the round before; the sort is stable and leaves turns as they came.
    for index in sorted(range(len(entries)), key=lambda index: entries[index].round):
        auction, why = auction.apply(entries[index], elapsed=elapsed[index])
        if why is not None:
            refused[index] = why.code
    result = auction.result
    return {
        "timeline": [stage.starts_after_seconds for stage in auction.stages],
        "rounds": [
            {"order": list(played.order), "prices": {bidder: _yuan(price) for bidder, price in played.prices.items()}}
            for played in auction.rounds
        ],
        "refused": [{**_told(entries[index]), "code": refused[index]} for index in sorted(refused)],
        "result": [{"id": standing.bidder, "price": _yuan(standing.price)} for standing in result],
        "winner": result[-1].bidder,
    }


def _told(entry: Entry) -> dict[str, object]:
    what: dict[str, object] = {"withdraw": True} if entry.price is None else {"price": _yuan(entry.price)}
    return {"round": entry.round, "bidder": entry.bidder, **what}


def _read(raw: object) -> tuple[Rules, tuple[Standing, ...], list[Entry], list[timedelta | None]]:
    """Rules, opening prices, entries, and how long after the start each entry came, as far as the record says so."""
    lengths = ("turn_seconds", "pause_seconds", "first_pause_seconds")
    members = _members(raw, ("rounds", "step", *lengths, "bidders", "turns"), ("starts_at",))
    starts_at = _instant(members, "starts_at") if "starts_at" in members else None
    rules = Rules(
        step=_amount(members, "step"),
        rounds=_number(members, "rounds"),
        **{name: _number(members, name) for name in lengths},
    )
    admitted, turns = tuple(_each(members, "bidders", _bidder)), _each(members, "turns", _entry)
    elapsed = [None if starts_at is None or at is None else at - starts_at for _, at in turns]
    return rules, admitted, [entry for entry, _ in turns], elapsed


def _bidder(raw: object) -> Standing:
    members = _members(raw, ("id", "price", "at"))
    bidder = _text(members, "id")
    if not bidder.strip():
        raise faults.BidderNameless(field="id")
    return Standing(bidder, _amount(members, "price"), _instant(members, "at"))


def _entry(raw: object) -> tuple[Entry, datetime | None]:
    members = _members(raw, ("round", "bidder"), ("price", "withdraw", "at"))
    withdraw = members.get("withdraw", False)
    if not isinstance(withdraw, bool):
        raise faults.WrongShape(field="withdraw", wanted="true")
    if withdraw == ("price" in members):
        raise faults.EntryUnclear
    price = None if withdraw else _amount(members, "price")
    at = _instant(members, "at") if "at" in members else None
    return Entry(_number(members, "round"), _text(members, "bidder"), price), at


def _amount(members: Mapping[str, Any], name: str) -> int:
    """Fen; a sign is read, since a price below zero is refused by the rules and not by the reader."""
    value = members[name]
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise faults.BadPrice(field=name, value=value)
    fen = int(found[2]) * 100 + int((found[3] or "").ljust(2, "0"))
    if fen > money.MOST:
        raise money.AmountTooLarge(field=name)
    return -fen if found[1] else fen


def _yuan(fen: int) -> str:
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan}.{rest:02d}"


def _instant(members: Mapping[str, Any], name: str) -> datetime:
    value = members[name]
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        if found[1] is None:
            raise faults.InstantWithoutZone(field=name, value=value)
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            pass
    raise faults.BadInstant(field=name, value=value)


def _number(members: Mapping[str, Any], name: str) -> int:
    value = members[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise faults.WrongShape(field=name, wanted="integer")
    return value


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if not isinstance(value, str):
        raise faults.WrongShape(field=name, wanted="text")
    return value


def _each(members: Mapping[str, Any], name: str, read: Callable[[object], _Part]) -> list[_Part]:
    if not isinstance(members[name], list):
        raise faults.WrongShape(field=name, wanted="list")
    parts = []
    for index, single in enumerate(members[name]):
        with _within(f"{name}[{index}]"):
            parts.append(read(single))
    return parts


def _members(raw: object, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise faults.WrongShape(wanted="object")
    for name in wanted:
        if name not in raw:
            raise faults.MemberMissing(field=name, name=name)
    for name in raw:
        if name not in wanted + optional:
            raise faults.MemberUnknown(field=name, name=name, known=", ".join(wanted + optional))
    return raw


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no member is written twice; readers differ on which of the two counts."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise faults.MemberTwice(field=twice, name=twice)
    return members


@contextmanager
def _within(prefix: str) -> Iterator[None]:
    """Prefix the path of an incident raised inside."""
    try:
        yield
    except PortalError as error:
        separator = "" if error.field is None or error.field.startswith("[") else "."
        error.field = f"{prefix}{separator}{error.field or ''}"
        raise
