"""Who may not serve because of whom they are or what they wrote (life-cycles §2, last line).

An agency that wrote a deliverable, or shares legal representative, contact, telephone or a practitioner with its
author, may not review it; nobody serves a client that is itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import aliased

from kernel.accounts import Organisation
from kernel.db import session
from kernel.dossier import Entry
from kernel.errors import Conflict
from market.agencies import Agency, Practitioner


@dataclass(frozen=True, slots=True)
class Recusal:
    """The exact reason, in both languages."""

    zh: str
    en: str


class MustRecuse(Conflict):
    code = "must_recuse"
    zh = "该机构应当回避：{reason_zh}"
    en = "This agency must recuse itself: {reason_en}"


def reason(
    agency: Organisation, client: Organisation, *, reviews: bool, reviewed: Iterable[Entry] = ()
) -> Recusal | None:
    """Why ``agency`` may not serve ``client`` (and review ``reviewed`` documents), or None."""
    if agency.id == client.id:
        return Recusal("机构与委托人为同一单位", "the agency and the client are the same organisation")
    shared = _shared(agency, client)
    if shared:
        return Recusal(f"机构与委托人的{shared[0]}相同", f"the agency and the client share a {shared[1]}")
    if not reviews:
        return None
    for entry in reviewed:
        if entry.issuer_id is None:
            continue
        if entry.issuer_id == agency.id:
            return Recusal(
                f"“{entry.title}”由该机构编制，编制单位不得审查自己的成果", f"it wrote “{entry.title}” itself"
            )
        author = session.get(Organisation, entry.issuer_id)
        shared = _shared(agency, author) if author else None
        if author and shared:
            return Recusal(
                f"该机构与“{entry.title}”的编制单位“{author.name}”{shared[0]}相同",
                f"it shares a {shared[1]} with “{author.name}”, who wrote “{entry.title}”",
            )
        person = _shared_practitioner(agency, author) if author else None
        if author and person:
            return Recusal(
                f"从业人员“{person}”同时在该机构与“{entry.title}”的编制单位“{author.name}”登记",
                f"“{person}” practises both there and with “{author.name}”, who wrote “{entry.title}”",
            )
    return None


def _shared_practitioner(one: Organisation, other: Organisation) -> str | None:
    """The name of somebody on both agencies' books: the same certificate, wherever it is filed."""
    mine, theirs = aliased(Practitioner), aliased(Practitioner)
    my_agency, their_agency = aliased(Agency), aliased(Agency)
    return session.scalars(
        select(mine.name)
        .join(my_agency, (my_agency.id == mine.agency_id) & (my_agency.organisation_id == one.id))
        .join(theirs, theirs.certificate == mine.certificate)
        .join(their_agency, (their_agency.id == theirs.agency_id) & (their_agency.organisation_id == other.id))
        .limit(1)
    ).first()


def _shared(one: Organisation, other: Organisation) -> tuple[str, str] | None:
    for field, zh, en in (
        ("legal_representative", "法定代表人", "legal representative"),
        ("contact", "联系人", "contact person"),
        ("telephone", "联系电话", "telephone"),
    ):
        value = getattr(one, field)
        if value and value == getattr(other, field):
            return zh, en
    return None
