"""Whether an expert may judge: what the records show before anybody is asked (B7, life-cycles §3).

Found here: where the expert works or worked within the policy's months, whose author's book carries the expert's
certificate, whose file names the expert as author, and how the expert's employer is tied to a party. Family is known to
the expert alone and is declared. Family, employment, ownership and authorship can't be waived.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import select

from kernel import clock, policies
from kernel.access import Role
from kernel.accounts import Organisation
from kernel.db import session
from kernel.dossier import Entry
from kernel.words import Worded
from market import recusals
from market.agencies import Agency, Practitioner
from reviews.experts.questions import POLICY, employments, is_same_organisation, plain_name
from reviews.experts.records import Employment, Expert

_SEPARATORS = re.compile(r"[、,，;；/|&]+|\s+")


class ConflictKind(Worded):
    EMPLOYMENT = "employment", "一年内任职", "Employed there within a year"
    SAME_EMPLOYER = "same_employer", "现任职单位", "Works there"
    OWNERSHIP = "ownership", "持股或关联关系", "Ownership or affiliation"
    CO_WORK = "co_work", "共同署名或合作", "Works together"
    AUTHORSHIP = "authorship", "参与编制", "Took part in writing it"
    FAMILY = "family", "亲属关系", "Family"
    OTHER = "other", "其他可能影响公正的情形", "Another possible bias"

    @property
    def is_waivable(self) -> bool:
        """The lead may waive it with a reason; the others leave no choice."""
        return self in WAIVABLE


WAIVABLE: Final = frozenset({ConflictKind.CO_WORK, ConflictKind.OTHER})


@dataclass(frozen=True, slots=True)
class Conflict:
    """One reason why the expert should not judge, in both languages."""

    kind: ConflictKind
    zh: str
    en: str

    @property
    def is_waivable(self) -> bool:
        return self.kind.is_waivable

    def detail(self, language: str) -> str:
        return self.en if language == "en" else self.zh

    def as_json(self) -> dict[str, object]:
        return {"kind": self.kind.value, "zh": self.zh, "en": self.en, "waivable": self.is_waivable}


@dataclass(frozen=True, slots=True)
class _Side:
    """An organisation whose interest is at stake: by its record, or only by its name."""

    name: str
    organisation: Organisation | None

    @property
    def key(self) -> int | None:
        return self.organisation.id if self.organisation else None


def conflicts(
    expert: Expert, parties: Sequence[Organisation], entries: Sequence[Entry], *, on: date | None = None
) -> list[Conflict]:
    """What the records show against ``expert`` on a day (today), each thing once, the gravest kinds first.

    ``parties``: applicant, designer and whoever else has an interest; ``entries``: the documents to be judged, whose
    issuers are parties too.
    """
    day = on or clock.today()
    found: list[Conflict] = []
    held = employments(expert)
    for side in _sides(parties, entries):
        found += _of_work(expert, held, side, day)
        found += _of_account(expert, side, day)
        found += _of_affiliation(expert, side)
    for entry in entries:
        found += _of_writing(expert, entry)
    order = list(ConflictKind)
    return sorted(dict.fromkeys(found), key=lambda one: (one.is_waivable, order.index(one.kind)))


def _sides(parties: Sequence[Organisation], entries: Sequence[Entry]) -> list[_Side]:
    sides = {plain_name(one.name): _Side(one.name, one) for one in parties}
    for entry in entries:
        issuer = session.get(Organisation, entry.issuer_id) if entry.issuer_id is not None else None
        name = issuer.name if issuer else entry.issuer
        if name.strip():
            sides.setdefault(plain_name(name), _Side(name, issuer))
    return list(sides.values())


def _months() -> int:
    return int(policies.current(POLICY).values["employment_months"])


def _of_work(expert: Expert, held: Sequence[Employment], side: _Side, day: date) -> Iterator[Conflict]:
    """Works there, or left within the policy's months."""
    if is_same_organisation(expert.employer, expert.employer_id, side.name, side.key):
        yield _works_there(side)
        return
    for one in held:
        if not is_same_organisation(one.organisation, one.organisation_id, side.name, side.key):
            continue
        if one.until is None or one.until >= day:
            yield _works_there(side)
        elif one.until >= clock.add_months(day, -_months()):
            yield _worked_there(side, one.until)


def _of_account(expert: Expert, side: _Side, day: date) -> Iterator[Conflict]:
    """The expert's account acts for the party, or did within the policy's months."""
    if expert.person is None or side.key is None:
        return
    for one in expert.person.memberships:
        if one.organisation_id != side.key or one.role is Role.EXPERT:
            continue
        if one.ended_at is None:
            yield _works_there(side)
        elif clock.local_date(one.ended_at) >= clock.add_months(day, -_months()):
            yield _worked_there(side, clock.local_date(one.ended_at))


def _works_there(side: _Side) -> Conflict:
    return Conflict(ConflictKind.SAME_EMPLOYER, f"现任职于“{side.name}”", f"works for “{side.name}”")


def _worked_there(side: _Side, until: date) -> Conflict:
    return Conflict(
        ConflictKind.EMPLOYMENT,
        f"曾任职于“{side.name}”，至 {until.isoformat()}，未满 {_months()} 个月",
        f"worked for “{side.name}” until {until.isoformat()}, less than {_months()} months ago",
    )


def _of_affiliation(expert: Expert, side: _Side) -> Iterator[Conflict]:
    """The employer is tied to the party as rival agencies are, or the party's books carry the expert's name."""
    party = side.organisation
    if party is None:
        return
    employer = session.get(Organisation, expert.employer_id) if expert.employer_id is not None else None
    if employer is not None and employer.id != party.id and recusals.reason(employer, party, reviews=False):
        yield Conflict(
            ConflictKind.OWNERSHIP,
            f"所在单位“{employer.name}”与“{party.name}”登记的法定代表人、联系人或者联系电话相同",
            f"the employer “{employer.name}” and “{party.name}” share legal representative, contact or telephone",
        )
    if plain_name(party.legal_representative) == plain_name(expert.name):
        yield Conflict(
            ConflictKind.OWNERSHIP,
            f"与“{party.name}”的法定代表人同名",
            f"has the name of the legal representative of “{party.name}”",
        )


def _of_writing(expert: Expert, entry: Entry) -> Iterator[Conflict]:
    """The expert wrote the document, or practises with whoever did."""
    title = entry.title
    document = entry.document
    if expert.person_id is not None and document.person_id == expert.person_id:
        yield Conflict(ConflictKind.AUTHORSHIP, f"“{title}”由本人上传", f"uploaded “{title}” in person")
    authors = {plain_name(one) for one in _SEPARATORS.split(str(document.facts.get("author", ""))) if one}
    whole = plain_name(str(document.facts.get("author", "")))
    if plain_name(expert.name) in authors | {whole}:
        yield Conflict(
            ConflictKind.AUTHORSHIP,
            f"“{title}”的文件信息载明作者为“{expert.name}”",
            f"the file of “{title}” names “{expert.name}” as its author",
        )
    if entry.issuer_id is None:
        return
    for person in _practitioners(entry.issuer_id):
        if plain_name(person.certificate) in {plain_name(one) for one in expert.certificates}:
            yield Conflict(
                ConflictKind.AUTHORSHIP,
                f"“{title}”的编制单位“{entry.issuer}”登记的从业人员中有本人的证书 {person.certificate}",
                f"“{entry.issuer}”, who wrote “{title}”, has the expert's certificate {person.certificate} on file",
            )
        elif plain_name(person.name) == plain_name(expert.name):
            yield Conflict(
                ConflictKind.OTHER,
                f"“{title}”的编制单位“{entry.issuer}”有同名从业人员，须核实是否为同一人",
                f"“{entry.issuer}”, who wrote “{title}”, has a practitioner of that name; is it the same person?",
            )
    yield from _of_colleagues(expert, entry)


def _of_colleagues(expert: Expert, entry: Entry) -> Iterator[Conflict]:
    """A practitioner stands both in the employer's and in the author's book."""
    issuer = session.get(Organisation, entry.issuer_id)
    employer = session.get(Organisation, expert.employer_id) if expert.employer_id is not None else None
    if issuer is None or employer is None or employer.id == issuer.id:
        return
    if recusals.reason(employer, issuer, reviews=False) is not None:
        return  # told as an affiliation
    shared = recusals.reason(employer, issuer, reviews=True, reviewed=[entry])
    if shared is not None:
        yield Conflict(
            ConflictKind.CO_WORK,
            f"所在单位“{employer.name}”：{shared.zh}",
            f"the employer “{employer.name}”: {shared.en}",
        )


def _practitioners(organisation_id: int) -> Iterable[Practitioner]:
    return session.scalars(
        select(Practitioner)
        .join(Agency, Agency.id == Practitioner.agency_id)
        .where(Agency.organisation_id == organisation_id)
        .order_by(Practitioner.id)
    )
