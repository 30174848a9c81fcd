"""Publishing the list of a draw, and reading draws: by number, by what they are about, their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from kernel import clock, draws, numbers, trail
from kernel.access import Role
from kernel.accounts import Membership, Organisation
from kernel.db import session
from kernel.draws import Candidate, DrawRecord, Rule
from kernel.errors import NotFound
from kernel.trail import Actor
from market.custody import Custodian, CustodianKey
from market.drawing.faults import DrawHeldAlready, NotDrawnYet, TooFewParties
from market.drawing.records import NUMBER, Draw, DrawParty, DrawPurpose, DrawStatus
from market.drawing.waiting import limit_after, tell

_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def hold(
    subject_of: str,
    purpose: DrawPurpose,
    candidates: Iterable[tuple[str, str]],
    picks: int,
    rule: str,
    parties: Mapping[str, int],
    *,
    by: Actor,
    outside_source: str = "",
) -> Draw:
    """Publish the list: from the commit on everybody can read it, and nobody can change it.

    ``candidates``: (id, name); ``rule``: in words; ``parties``: name → organisation's key, see
    :func:`standard_parties`; ``outside_source``: the future public value that is waited for, or ''. A further draw
    about the same subject for the same purpose is possible only when it has a candidate that the earlier ones didn't
    order: an order that stands is never drawn again.

    Raises:
        DrawHeldAlready: one is under way, or its order has all these candidates.
        TooFewParties, and what ``draws.list_hash`` raises.
    """
    entries = [Candidate(id_, _plain(name) or id_) for id_, name in candidates]
    source = _plain(outside_source)
    if len(set(parties.values())) < (1 if source else 2):
        raise TooFewParties(field="parties")
    earlier = of_subject(subject_of, purpose)
    wanted = {entry.id for entry in entries}
    for one in earlier:
        if one.status is not DrawStatus.DRAWN or wanted <= {entry["id"] for entry in one.candidates}:
            raise DrawHeldAlready(number=one.number)
    number = numbers.following(NUMBER)
    fixed = Rule(_plain(rule), picks, tuple(parties), source or None)
    hashed = draws.list_hash(number, fixed, entries)
    moment = clock.now()
    draw = Draw(
        number=number,
        subject_of=subject_of,
        purpose=purpose,
        run=len(earlier) + 1,
        status=DrawStatus.LISTED,
        version=1,
        rule=fixed.text,
        picks=picks,
        candidates=[{"id": entry.id, "name": entry.name} for entry in sorted(entries, key=lambda entry: entry.id)],
        recipients=_recipients(parties),
        list_hash=hashed,
        outside_source=source,
        outside_value="",
        listed_at=moment,
        next_check_at=limit_after(moment),
        parties=[DrawParty(party=party, organisation_id=key, sealed={}) for party, key in sorted(parties.items())],
    )
    try:
        with session.begin_nested():
            session.add(draw)
    except IntegrityError:  # somebody else's was committed meanwhile
        known = of_subject(subject_of, purpose)
        if len(known) == len(earlier):
            raise
        raise DrawHeldAlready(number=known[-1].number) from None
    trail.record(
        draw.subject,
        "draw.listed",
        by=by,
        at=moment,
        list_hash=hashed,
        of=subject_of,
        purpose=purpose.value,
        run=draw.run,
        candidates=len(entries),
        picks=picks,
    )
    tell(draw, draw.parties, "draw.listed", at=moment)
    return draw


def standard_parties(client_id: int) -> dict[str, int]:
    """Buyer, platform and supervisor → key of the organisation; an office that nobody holds is left out."""
    found = {Custodian.BUYER.value: client_id}
    for office, role in ((Custodian.PLATFORM, Role.OPERATOR), (Custodian.SUPERVISOR, Role.SUPERVISOR)):
        holder = session.scalars(
            select(Organisation.id)
            .join(Membership, Membership.organisation_id == Organisation.id)
            .where(Membership.role == role, Membership.ended_at.is_(None), Organisation.closed_at.is_(None))
            .order_by(Organisation.id == client_id, Organisation.id)
            .limit(1)
        ).first()
        if holder is not None:
            found[office.value] = holder
    return found


def find(number: str, *, lock: bool = False) -> Draw:
    """The draw with this number; everybody may read one. With ``lock`` it is locked first.

    Raises:
        NotFound.
    """
    statement = select(Draw).where(Draw.number == number)
    if lock:
        statement = statement.with_for_update(of=Draw).execution_options(populate_existing=True)
    draw = session.scalars(statement).first()
    if draw is None:
        raise NotFound
    return draw


def of_subject(subject_of: str, purpose: DrawPurpose) -> list[Draw]:
    """The draws about a subject for a purpose, the oldest first; mostly none or one."""
    rows = session.scalars(
        select(Draw).where(Draw.subject_of == subject_of, Draw.purpose == purpose).order_by(Draw.run)
    )
    return list(rows)


def public_list(*, page: int = 1, size: int = 20) -> tuple[list[Draw], int]:
    """One page of all draws, the newest first, and how many there are."""
    total = session.scalar(select(func.count()).select_from(Draw)) or 0
    rows = session.scalars(select(Draw).order_by(Draw.id.desc()).limit(size).offset((page - 1) * size))
    return list(rows), total


def record_of(draw: Draw) -> DrawRecord:
    """The stored record, worked out anew from its inputs.

    Raises:
        NotDrawnYet; draws.DrawRecordBroken: the stored text isn't what its inputs give.
    """
    if draw.record is None:
        raise NotDrawnYet(number=draw.number)
    return draws.read(draw.record)


def order(draw: Draw) -> list[str]:
    """Every candidate's id in the drawn order, the winner first. Raises like :func:`record_of`."""
    return list(record_of(draw).order)


def picked(draw: Draw) -> list[str]:
    """The ids that were drawn, first place first. Raises like :func:`record_of`."""
    return order(draw)[: draw.picks]


def _recipients(parties: Mapping[str, int]) -> dict[str, str]:
    """The long-term recipients of those parties that are custodians; {} when there are fewer than two."""
    found = {}
    for custodian in Custodian:
        key = session.scalars(
            select(CustodianKey.recipient).where(
                CustodianKey.custodian == custodian,
                CustodianKey.organisation_id == parties.get(custodian.value),
                CustodianKey.ended_at.is_(None),
            )
        ).first()
        if key is not None:
            found[custodian.value] = key
    return found if len(found) > 1 else {}


def _plain(words: str) -> str:
    """On one line, as a draw's texts are; nobody's name keeps a draw from being held."""
    return _NOT_TEXT.sub(" ", words).strip()[:500]
