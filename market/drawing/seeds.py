"""The parties' part of a draw: commitments, the outside value, seeds; the last seed draws."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from typing import Final

from kernel import clock, draws, sealing, trail, workflow
from kernel.draws import Candidate, ListChanged, Rule, SeedMismatch
from kernel.errors import NotFound
from kernel.sealing import SealedBid
from kernel.trail import Actor
from market.drawing.faults import (
    CommitmentUnreadable,
    CommittedAlready,
    NotYourDraw,
    OutsideValueAwaited,
    OutsideValueFixed,
    OutsideValueUnreadable,
    RevealedAlready,
    SeedUnreadable,
    SeedUnsealed,
)
from market.drawing.life import STEPS, acts_for
from market.drawing.records import SEED_CLASS, Draw, DrawParty
from market.drawing.waiting import check_withheld, limit_after, tell, waits_for_outside

_HASH = re.compile(r"[0-9a-f]{64}")
_SEED = re.compile(r"(?<![0-9a-z])[0-9a-f]{64}(?![0-9a-z])")
_VALUE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{1,500}")
_FOLDER = re.compile(r"[a-z][a-z0-9-]{0,30}")
#: The earliest instant that a zip archive can tell.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


# Commitments


def commit(
    draw: Draw,
    party: str,
    commitment: str,
    sealed: SealedBid | None = None,
    *,
    by: Actor,
    expected_version: int | None = None,
) -> None:
    """Commit to a seed that the server doesn't know. ``sealed``: the seed, for every pair of ``draw.recipients``.

    What is inside can't be looked at; a party that seals something else has withheld its seed for good, and stands in
    the record with it. The last commitment asks all parties for their seeds.

    Raises:
        NotYourDraw, CommittedAlready, CommitmentUnreadable, SeedUnsealed, sealing.BidMalformed, workflow errors.
    """
    mine = _to_commit(draw, party, by, expected_version)
    if not _HASH.fullmatch(commitment):
        raise CommitmentUnreadable(field="commitment")
    mine.sealed = _stored(draw, sealed)
    mine.commitment = commitment
    _committed(draw, mine, by)


def commit_by_server(
    draw: Draw, party: str, *, by: Actor, seed: str | None = None, expected_version: int | None = None
) -> str:
    """Commit where no script runs; answers the seed, which the party has to keep: it is stored sealed alone, if at all.

    ``seed``: one that the server made and showed a moment ago, so that a page sent twice doesn't lose it.

    Raises:
        NotYourDraw, CommittedAlready, draws.BadSeed, workflow errors.
    """
    mine = _to_commit(draw, party, by, expected_version)
    made = draws.fresh_seed() if seed is None else seed
    mine.commitment = draws.commitment(draw.number, party, made)
    mine.is_made_here = True
    if draw.recipients:
        mine.sealed = _stored(
            draw, sealing.seal(made.encode("ascii"), draw.number, draw.recipients, classes=(SEED_CLASS,))
        )
    _committed(draw, mine, by)
    return made


def _to_commit(draw: Draw, party: str, by: Actor, expected_version: int | None) -> DrawParty:
    mine = _party(draw, party)
    if not acts_for(mine, by):
        raise NotYourDraw(**mine.names())
    if mine.commitment is not None:
        raise CommittedAlready(**mine.names())
    workflow.check(draw, STEPS, "commit", by=by, expected_version=expected_version)
    return mine


def _stored(draw: Draw, sealed: SealedBid | None) -> dict[str, object]:
    if not draw.recipients:
        return {}
    if sealed is None:
        raise SeedUnsealed(field="sealed")
    sealing.check_form(sealed.ciphertext, sealed.wraps, draw.recipients, classes=(SEED_CLASS,))
    return {
        "ciphertext": base64.b64encode(sealed.ciphertext).decode("ascii"),
        "wraps": {name: base64.b64encode(wrap).decode("ascii") for name, wrap in sorted(sealed.wraps.items())},
    }


def _committed(draw: Draw, mine: DrawParty, by: Actor) -> None:
    moment = clock.now()
    mine.committed_at = moment
    workflow.step(
        draw,
        STEPS,
        "commit",
        by=by,
        at=moment,
        party=mine.party,
        commitment=mine.commitment,
        made_here=mine.is_made_here,
    )
    if any(party.commitment is None for party in draw.parties):
        return
    draw.next_check_at = limit_after(moment)
    workflow.step(draw, STEPS, "complete", by=by, at=moment)
    tell(draw, draw.parties, "draw.committed", at=moment)


# The outside value


def enter_outside(draw: Draw, value: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Enter what came out of the source that was named; it may be mended until the first seed is open.

    Raises:
        OutsideValueUnreadable, OutsideValueFixed, draws.OutsideValueMismatch, workflow errors.
    """
    workflow.check(draw, STEPS, "enter_outside", by=by, expected_version=expected_version)
    if not draw.outside_source:
        raise draws.OutsideValueMismatch(field="outside")
    if any(party.seed is not None for party in draw.parties):
        raise OutsideValueFixed(field="outside")
    plain = value.strip()
    if not _VALUE.fullmatch(plain):
        raise OutsideValueUnreadable(field="outside")
    moment = clock.now()
    draw.outside_value = plain
    draw.outside_at = moment
    draw.next_check_at = limit_after(moment)
    workflow.step(draw, STEPS, "enter_outside", by=by, at=moment, value=plain)
    tell(draw, draw.parties, "draw.outside", at=moment)


# Seeds


def reveal(draw: Draw, party: str, seed: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Open one's seed; the last one draws, in the same transaction.

    Raises:
        NotYourDraw, RevealedAlready, OutsideValueAwaited, draws.BadSeed, draws.SeedMismatch, workflow errors.
    """
    mine = _party(draw, party)
    if not acts_for(mine, by):
        raise NotYourDraw(**mine.names())
    _open(draw, mine, seed, "reveal", by, expected_version)


def reveal_withheld(draw: Draw, party: str, seed: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Hand in the seed of a party that didn't open it in time, as two custodians decrypted it off the server.

    The commitment proves the seed, whoever brings it; another party of the draw does.

    Raises:
        NotYourDraw: not one of the other parties. WithheldTooSoon, and what :func:`reveal` raises.
    """
    withheld = _party(draw, party)
    others = [one for one in draw.parties if one is not withheld]
    if not any(acts_for(one, by) for one in others):
        raise NotYourDraw(
            party="、".join(one.label() for one in others), party_en=", ".join(one.label("en") for one in others)
        )
    check_withheld(draw, withheld)
    _open(draw, withheld, seed, "reveal_withheld", by, expected_version)


def _open(draw: Draw, party: DrawParty, seed: str, action: str, by: Actor, expected_version: int | None) -> None:
    if party.seed is not None:
        raise RevealedAlready(**party.names())
    workflow.check(draw, STEPS, action, by=by, expected_version=expected_version)
    if waits_for_outside(draw):
        raise OutsideValueAwaited(source=draw.outside_source)
    if not _HASH.fullmatch(seed):
        raise SeedUnreadable(field="seed")
    if draws.commitment(draw.number, party.party, seed) != party.commitment:
        raise SeedMismatch(field="seed", party=party.organisation.name)
    moment = clock.now()
    party.seed = seed
    party.is_opened = action == "reveal_withheld"
    party.revealed_at = moment
    workflow.step(draw, STEPS, action, by=by, at=moment, party=party.party, seed=seed)
    if all(one.seed is not None for one in draw.parties):
        _draw(draw, by)


def _draw(draw: Draw, by: Actor) -> None:
    """All is in: the order follows, from the hash and the commitments as they were published."""
    published, pledged = "", {}
    for act in trail.of(draw.subject):
        if act.act == "draw.listed":
            published = str(act.data["list_hash"])
        elif act.act == "draw.pledged":
            pledged[str(act.data["party"])] = str(act.data["commitment"])
    if published != draw.list_hash:
        raise ListChanged(field="candidates")
    record = draws.draw(
        draw.number,
        Rule(draw.rule, draw.picks, tuple(party.party for party in draw.parties), draw.outside_source or None),
        [Candidate(one["id"], one["name"]) for one in draw.candidates],
        published_at=draw.listed_at,
        published_hash=published,
        commitments=pledged,
        seeds={party.party: party.seed or "" for party in draw.parties},
        outside=draw.outside_value or None,
    )
    moment = clock.now()
    draw.record = record.text()
    draw.next_check_at = None
    workflow.step(
        draw,
        STEPS,
        "draw",
        by=by,
        at=moment,
        of=draw.subject_of,
        purpose=draw.purpose.value,
        list_hash=record.list_hash,
        order=list(record.order),
        picks=draw.picks,
        record_hash=record.record_hash,
    )
    tell(draw, draw.parties, "draw.drawn", at=moment)


def _party(draw: Draw, party: str) -> DrawParty:
    found = next((one for one in draw.parties if one.party == party), None)
    if found is None:
        raise NotFound
    return found


# Files


def seed_file(draw: Draw, party: str, seed: str) -> str:
    """The file that a party keeps until it opens its seed; ``static/draw.js`` writes the same."""
    return (
        f"# 抽取 / draw: {draw.number}\n"
        f"# 参与方 / party: {party}\n"
        "# 请妥善保管，公开之前不要交给任何人。\n"
        "# Keep it, and show it to nobody before you open it.\n"
        f"{seed}\n"
    )


def seed_in(text: str) -> str:
    """The seed in a pasted line or in a seed's file, also where a field has swallowed the file's line ends.

    Raises:
        SeedUnreadable: none, or several.
    """
    found = set(_SEED.findall(text.lower()))
    if len(found) != 1:
        raise SeedUnreadable(field="seed")
    return str(found.pop())


def sealed_zip(draw: Draw) -> bytes:
    """The sealed seeds that aren't open yet, with the commands by which two custodians open one with ``age`` alone.

    ::

        <party>/seed.age             the seed, padded
        <party>/key.<pair>.age       its key, wrapped for a pair of custodians
        README
    """
    files: dict[str, bytes] = {}
    sections = []
    for number, party in enumerate(draw.parties, start=1):
        if party.seed is not None or not party.sealed:
            continue
        folder = party.party if _FOLDER.fullmatch(party.party) else f"party-{number}"
        files[f"{folder}/seed.age"] = base64.b64decode(party.sealed["ciphertext"])
        for pair, wrap in sorted(party.sealed["wraps"].items()):
            files[f"{folder}/key.{pair}.age"] = base64.b64decode(wrap)
            first, second = pair.split("+")
            sections.append(_COMMANDS.format(name=party.label(), party=folder, pair=pair, first=first, second=second))
    files["README"] = _README.format(draw=draw.number, sections="\n".join(sections)).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{draw.number}/{name}", _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return out.getvalue()


_README = """抽取 / draw: {draw}

种子密封为 age(甲, age(乙, 密钥))，任意两位保管人共同开启。每位保管人用自己的长期密钥解一层，只把结果交给下一位，
长期密钥不交给任何人。开启后的一行 64 位字符即种子，在抽取页面交入；与事先的承诺不符的，系统不予接受。
A seed is sealed as age(A, age(B, key)): any two custodians open it. Each takes off one layer with its own long-term
key and passes on the result alone. The line of 64 digits is the seed, to be handed in on the page of the draw.

{sections}"""
_COMMANDS = """{name}: {first} + {second}
  {first}:
    age -d -i {first}.key.txt {party}/key.{pair}.age > {party}.step1.age
  {second}:
    age -d -i {second}.key.txt {party}.step1.age > {party}.key.txt
    age -d -i {party}.key.txt {party}/seed.age | sed -n 2p | cut -c1-64
"""
