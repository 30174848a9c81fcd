"""The algorithm of a draw and its record, as docs/draw.md describes them for strangers."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from kernel.clock import NaiveInstant
from kernel.draws.faults import (
    BadDrawEntry,
    BadSeed,
    DrawRecordBroken,
    DuplicateCandidate,
    DuplicateParty,
    EmptyDrawList,
    ListChanged,
    LongDrawList,
    MissingCommitment,
    MissingSeed,
    NoRandomness,
    OutsideValueMismatch,
    PickedOutOfRange,
    SeedMismatch,
    UnknownParty,
)
from kernel.errors import PortalError

VERSION = 1
#: Far above any register, so that a record stays a file that anybody can open.
MOST_CANDIDATES = 10_000
MOST_PARTIES = 100
#: The draw's number and the candidates' ids: sorted alike by every language and collation.
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}")
#: What people read: no controls, nothing that turns the line round, no halves of characters.
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{1,500}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of the list. The ``id`` decides; ``name`` is what people are shown."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Everything that is fixed before anybody commits, and is therefore part of the list's hash.

    ``text``: the rule in words; ``picked``: how many of the order's first places are drawn; ``parties``: who adds a
    seed, in any order; ``outside``: the future public value that is waited for, such as a lottery's date, or None.
    """

    text: str
    picked: int
    parties: tuple[str, ...]
    outside: str | None = None


@dataclass(frozen=True, slots=True)
class Pledge:
    """A party's commitment with the seed it was opened with; both are 64 lower-case hexadecimal digits."""

    party: str
    commitment: str
    seed: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One number of the stream: block ``counter`` gave ``number``; refused when it is not below what remains."""

    counter: int
    number: int
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One place of the order (Fisher–Yates): of ``remaining`` candidates the one at ``number`` gets ``place``.

    ``place`` counts from 1, ``number`` from 0 among those that remain. ``moved`` stood at the front of them and takes
    the drawn one's spot; it equals ``drawn`` when the number was 0. Without a choice there are no attempts.
    """

    place: int
    remaining: int
    attempts: tuple[Attempt, ...]
    number: int
    drawn: str
    moved: str


@dataclass(frozen=True, slots=True)
class DrawRecord:
    """A draw that happened. ``published_at`` is when the list's hash was, in UTC to the second.

    ``candidates`` stand by id and ``pledges`` by party, in the order of Unicode code points; ``order`` holds every id.
    """

    draw: str
    rule: Rule
    candidates: tuple[Candidate, ...]
    published_at: datetime
    pledges: tuple[Pledge, ...]
    outside: str | None
    list_hash: str
    seed_hash: str
    order: tuple[str, ...]

    @property
    def record_hash(self) -> str:
        """The hash over everything else in the record."""
        return _digest("record", self._members())

    @property
    def picked(self) -> tuple[Candidate, ...]:
        """Who was drawn, first place first."""
        by_id = {candidate.id: candidate for candidate in self.candidates}
        return tuple(by_id[one] for one in self.order[: self.rule.picked])

    def text(self) -> str:
        """``draw.json``: one line of canonical JSON with a line feed. Keep and publish it byte by byte, as UTF-8."""
        return _canonical(self._members() | {"record_hash": self.record_hash}) + "\n"

    def _members(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            **_list(self.draw, self.rule, self.candidates),
            "published": self.published_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "parties": [{"party": p.party, "commitment": p.commitment, "seed": p.seed} for p in self.pledges],
            "outside": self.outside,
            "list_hash": self.list_hash,
            "seed_hash": self.seed_hash,
            "order": list(self.order),
        }


def list_hash(draw: str, rule: Rule, candidates: Iterable[Candidate]) -> str:
    """What is published before anybody commits; the same for any order of candidates and parties.

    Raises:
        EmptyDrawList, LongDrawList, DuplicateCandidate, PickedOutOfRange, DuplicateParty, NoRandomness, BadDrawEntry.
    """
    return _digest("list", _list(_token(draw, "draw"), _sound(rule), _sorted(candidates, rule.picked)))


def fresh_seed() -> str:
    """A party's seed, 256 bits from the machine's secure source."""
    return secrets.token_hex(32)


def commitment(draw: str, party: str, seed: str) -> str:
    """What a party publishes in place of its seed; bound to the draw and the party, so that a copy is worth nothing.

    Raises:
        BadSeed, BadDrawEntry.
    """
    if not _HASH.fullmatch(seed):
        raise BadSeed(field="seed", party=party)
    return _digest("commitment", [_token(draw, "draw"), _text(party, "party"), seed])


def draw(
    number: str,
    rule: Rule,
    candidates: Iterable[Candidate],
    *,
    published_at: datetime,
    published_hash: str,
    commitments: Mapping[str, str],
    seeds: Mapping[str, str],
    outside: str | None = None,
) -> DrawRecord:
    """Draw the order. ``commitments`` and ``seeds`` are by party, ``outside`` is the awaited value as it was announced.

    Raises:
        ListChanged: number, rule and candidates are not those of ``published_hash``.
        MissingCommitment, MissingSeed, SeedMismatch, UnknownParty, BadSeed: the parties' part.
        OutsideValueMismatch: a value without a named source, or the reverse.
        kernel.clock.NaiveInstant: ``published_at`` has no time zone.
        And what :func:`list_hash` raises.
    """
    if published_at.tzinfo is None:
        raise NaiveInstant(field="published_at", value=published_at.isoformat())
    rule = _sound(rule)
    entries = _sorted(candidates, rule.picked)
    if list_hash(number, rule, entries) != published_hash:
        raise ListChanged(field="candidates")
    pledges = tuple(_pledge(number, party, commitments, seeds) for party in rule.parties)
    for stranger in sorted({*commitments, *seeds} - {*rule.parties}):
        raise UnknownParty(field="seeds", party=stranger)
    if (rule.outside is None) != (outside is None):
        raise OutsideValueMismatch(field="outside")
    if outside is not None:
        _text(outside, "outside")
    seed_hash = seed_of(published_hash, [pledge.seed for pledge in pledges], outside)
    order, _ = shuffled(seed_hash, [candidate.id for candidate in entries])
    return DrawRecord(
        draw=number,
        rule=rule,
        candidates=entries,
        published_at=published_at.astimezone(UTC).replace(microsecond=0),
        pledges=pledges,
        outside=outside,
        list_hash=published_hash,
        seed_hash=seed_hash,
        order=order,
    )


def seed_of(list_hash: str, seeds: Sequence[str], outside: str | None) -> str:
    """The key of the stream, from the list's hash, the seeds in the order of their parties, and the outside value."""
    return _digest("seed", [list_hash, list(seeds), outside])


def shuffled(seed_hash: str, ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[Step, ...]]:
    """The whole order of ``ids`` and the steps that led to it, one per place.

    Fisher–Yates from the front. Block c of the stream is HMAC-SHA-256 with the 32 bytes of ``seed_hash`` as key over c
    in 8 bytes, high byte first. Its first bits, as many as the largest wanted number has, are the number; one that is
    too large is dropped and the next block asked, because a remainder would favour the candidates at the front.
    """
    key = bytes.fromhex(seed_hash)
    order, steps, counter = list(ids), [], 0
    for front in range(len(order)):
        remaining = len(order) - front
        bits = (remaining - 1).bit_length()
        number, attempts = 0, []
        while bits:
            block = hmac.digest(key, counter.to_bytes(8, "big"), "sha256")
            number = int.from_bytes(block, "big") >> (256 - bits)
            attempts.append(Attempt(counter, number, number < remaining))
            counter += 1
            if number < remaining:
                break
        moved, drawn = order[front], order[front + number]
        order[front], order[front + number] = drawn, moved
        steps.append(Step(front + 1, remaining, tuple(attempts), number, drawn, moved))
    return tuple(order), tuple(steps)


def read(text: str | bytes) -> DrawRecord:
    """A record from ``draw.json``, worked out anew from its inputs and compared byte by byte.

    Raises:
        DrawRecordBroken: not exactly the text that these inputs give.
    """
    try:
        whole = text if isinstance(text, str) else text.decode("utf-8")
        told = json.loads(whole)
        rule = told["rule"]
        record = draw(
            told["draw"],
            Rule(rule["text"], rule["picked"], tuple(rule["parties"]), rule["outside"]),
            [Candidate(entry["id"], entry["name"]) for entry in told["candidates"]],
            published_at=datetime.fromisoformat(told["published"]),
            published_hash=told["list_hash"],
            commitments={entry["party"]: entry["commitment"] for entry in told["parties"]},
            seeds={entry["party"]: entry["seed"] for entry in told["parties"]},
            outside=told["outside"],
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, PortalError) as problem:
        raise DrawRecordBroken from problem
    if record.text() != whole:
        raise DrawRecordBroken
    return record


def _pledge(number: str, party: str, commitments: Mapping[str, str], seeds: Mapping[str, str]) -> Pledge:
    if party not in commitments:
        raise MissingCommitment(field="commitments", party=party)
    if party not in seeds:
        raise MissingSeed(field="seeds", party=party)
    if commitment(number, party, seeds[party]) != commitments[party]:
        raise SeedMismatch(field="seeds", party=party)
    return Pledge(party, commitments[party], seeds[party])


def _sound(rule: Rule) -> Rule:
    """The rule with its parties in their fixed order."""
    _text(rule.text, "rule")
    if rule.outside is not None:
        _text(rule.outside, "outside")
    if not rule.parties and rule.outside is None:
        raise NoRandomness(field="parties")
    if len(rule.parties) > MOST_PARTIES:
        raise BadDrawEntry(field="parties")
    parties = sorted(_text(party, "parties") for party in rule.parties)
    for party, following in pairwise(parties):
        if party == following:
            raise DuplicateParty(field="parties", party=party)
    return Rule(rule.text, rule.picked, tuple(parties), rule.outside)


def _sorted(candidates: Iterable[Candidate], picked: int) -> tuple[Candidate, ...]:
    entries = list(candidates)
    for candidate in entries:
        _token(candidate.id, "candidates")
        _text(candidate.name, "candidates")
    entries.sort(key=lambda candidate: candidate.id)
    if not entries:
        raise EmptyDrawList(field="candidates")
    if len(entries) > MOST_CANDIDATES:
        raise LongDrawList(field="candidates", most=MOST_CANDIDATES)
    for candidate, following in pairwise(entries):
        if candidate.id == following.id:
            raise DuplicateCandidate(field="candidates", candidate=candidate.id)
    if type(picked) is not int or not 1 <= picked <= len(entries):
        raise PickedOutOfRange(field="picked", picked=picked, candidates=len(entries))
    return tuple(entries)


def _token(value: str, field: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise BadDrawEntry(field=field)
    return value


def _text(value: str, field: str) -> str:
    if not _TEXT.fullmatch(value):
        raise BadDrawEntry(field=field)
    return value


def _list(draw: str, rule: Rule, candidates: Sequence[Candidate]) -> dict[str, Any]:
    return {
        "draw": draw,
        "rule": {"text": rule.text, "picked": rule.picked, "parties": list(rule.parties), "outside": rule.outside},
        "candidates": [{"id": candidate.id, "name": candidate.name} for candidate in candidates],
    }


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _digest(kind: str, value: object) -> str:
    return hashlib.sha256(f"draw/{kind}/v1\n{_canonical(value)}".encode()).hexdigest()
