"""Listings: an agency offers a service item at a fee, in promised days, in its regions (001 §9.1, A3).

Every change of fee or days is a row of history; a commission keeps the fee it was offered with, so that a later
change never touches it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, numbers, search, trail, workflow
from kernel.db import HISTORY, Keyed, WordColumn, memory, session
from kernel.errors import Conflict, Invalid, NotFound
from kernel.statements import Records
from kernel.trail import Actor, TrailAct
from kernel.words import Worded
from market import agencies, fees
from market.agencies import Agency, AgencyStatus
from market.catalogue import ServiceItem
from market.fees import FeeRule

NUMBER = numbers.series("FW")

trail.name_acts(
    {
        "listing.drafted": ("登记服务与收费", "Listing drafted"),
        "listing.published": ("上架", "Listing published"),
        "listing.repriced": ("调整收费", "Fee changed"),
        "listing.withdrawn": ("下架", "Listing withdrawn"),
    }
)


class ListingStatus(Worded):
    DRAFT = "draft", "待上架", "Draft"
    PUBLISHED = "published", "已上架", "Published"
    WITHDRAWN = "withdrawn", "已下架", "Withdrawn"


class DaysInvalid(Invalid):
    code = "days_invalid"
    zh = "承诺时限应为 1 至 {most} 个工作日"
    en = "Promise between 1 and {most} working days"


class ListedTwice(Conflict):
    code = "listed_twice"
    zh = "贵机构已登记该事项，编号 {number}，可直接调整收费"
    en = "You list this item already as {number}; change its fee there"


class NotQualified(Conflict):
    code = "not_qualified"
    zh = "暂不能上架：{reason_zh}"
    en = "Can't be published: {reason_en}"


class ListingNotInForce(Conflict):
    code = "listing_not_in_force"
    zh = "该服务已下架或机构暂不符合条件，请选择其他服务"
    en = "This listing isn't in force; choose another"


class Listing(Keyed):
    """``fee`` is a :class:`market.fees.FeeRule` in its stored form; ``edition`` counts the changes of fee or days."""

    __tablename__ = "listings"
    number: Mapped[str] = mapped_column(unique=True)
    agency_id: Mapped[int] = mapped_column(ForeignKey("agencies.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("service_items.id"))
    status: Mapped[ListingStatus] = mapped_column(WordColumn(ListingStatus))
    version: Mapped[int] = mapped_column(default=1)
    edition: Mapped[int] = mapped_column(default=1)
    fee: Mapped[dict[str, Any]]
    promised_working_days: Mapped[int]
    scope: Mapped[str] = mapped_column(default="")
    regions: Mapped[list[str]]
    draft_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    agency: Mapped[Agency] = relationship(lazy="joined")
    item: Mapped[ServiceItem] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("agency_id", "item_id"),
        Index("ix_listings_item", "item_id", "status"),
    )

    @property
    def subject(self) -> str:
        return f"listing:{self.number}"

    @property
    def rule(self) -> FeeRule:
        return FeeRule.from_json(self.fee)


class FeeChange(Keyed):
    """What a listing charged and promised from an instant on; never changed."""

    __tablename__ = "fee_changes"
    listing_id: Mapped[int] = mapped_column(ForeignKey("listings.id"))
    edition: Mapped[int]
    fee: Mapped[dict[str, Any]]
    promised_working_days: Mapped[int]
    at: Mapped[datetime]
    by: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    __table_args__ = (UniqueConstraint("listing_id", "edition"), HISTORY)


def is_own(listing: Listing, actor: Actor) -> bool:
    return agencies.is_member(listing.agency, actor)


STEPS: workflow.Steps = {
    "publish": workflow.Step(("draft", "withdrawn"), "published", "listing.published", is_own),
    "reprice": workflow.Step(("draft", "published", "withdrawn"), None, "listing.repriced", is_own),
    "withdraw": workflow.Step(("published",), "withdrawn", "listing.withdrawn", is_own),
}
MOST_DAYS = 250


def draft(
    agency: Agency,
    item: ServiceItem,
    rule: FeeRule,
    *,
    promised_working_days: int,
    by: Actor,
    scope: str = "",
    regions: list[str] | None = None,
) -> Listing:
    """Note a service with its fee; nobody sees it before :func:`publish`.

    Raises:
        Invalids (fees.check), DaysInvalid, ListedTwice.
    """
    fees.check(rule)
    _check_days(promised_working_days)
    known = session.scalars(select(Listing).where(Listing.agency_id == agency.id, Listing.item_id == item.id)).first()
    if known is not None:
        raise ListedTwice(field="item", number=known.number)
    listing = Listing(
        number=numbers.following(NUMBER),
        agency=agency,
        item=item,
        status=ListingStatus.DRAFT,
        version=1,
        edition=1,
        fee=rule.as_json(),
        promised_working_days=promised_working_days,
        scope=scope.strip(),
        regions=regions or [],
        draft_at=clock.now(),
    )
    session.add(listing)
    session.flush()
    _remember(listing, by, "")
    trail.record(listing.subject, "listing.drafted", by=by, item=item.code, fee=listing.fee)
    return listing


def publish(listing: Listing, *, by: Actor, expected_version: int | None = None) -> None:
    """Put a listing on the shelf.

    Raises:
        agencies.AgencySuspended, NotQualified: with the exact qualification that is missing.
    """
    workflow.check(listing, STEPS, "publish", by=by, expected_version=expected_version)
    if listing.agency.status != AgencyStatus.ADMITTED:
        raise agencies.AgencySuspended
    lack = agencies.shortfall(listing.agency, listing.item.requirement, clock.today())
    if lack is not None:
        raise NotQualified(reason_zh=lack.zh, reason_en=lack.en)
    listing.published_at = None
    workflow.step(listing, STEPS, "publish", by=by, expected_version=expected_version)
    search.changed("listing", listing.number)


def reprice(
    listing: Listing,
    rule: FeeRule,
    *,
    promised_working_days: int,
    by: Actor,
    reason: str = "",
    expected_version: int | None = None,
) -> None:
    """Change fee or days for later commissions; running ones keep what they were offered with."""
    fees.check(rule)
    _check_days(promised_working_days)
    before = listing.fee
    listing.fee = rule.as_json()
    listing.promised_working_days = promised_working_days
    listing.edition += 1
    workflow.step(listing, STEPS, "reprice", by=by, expected_version=expected_version, before=before, after=listing.fee)
    _remember(listing, by, reason)
    search.changed("listing", listing.number)


def withdraw(listing: Listing, *, by: Actor, expected_version: int | None = None) -> None:
    """Take a listing off the shelf."""
    listing.withdrawn_at = None
    workflow.step(listing, STEPS, "withdraw", by=by, expected_version=expected_version)
    search.changed("listing", listing.number)


def in_force(listing: Listing) -> bool:
    """Published, its agency admitted and qualified today."""
    return (
        listing.status == ListingStatus.PUBLISHED
        and listing.agency.status == AgencyStatus.ADMITTED
        and agencies.shortfall(listing.agency, listing.item.requirement, clock.today()) is None
    )


def history(listing: Listing) -> list[FeeChange]:
    """Every fee and promise the listing has had, newest first."""
    return list(
        session.scalars(select(FeeChange).where(FeeChange.listing_id == listing.id).order_by(FeeChange.edition.desc()))
    )


_BY_NUMBER, _HELD = (
    Records(
        Listing,
        Listing.number == bindparam("number"),
        Listing.agency,
        Agency.organisation,
        Listing.item,
        hold=hold,
    )
    for hold in (False, True)
)


def by_number(number: str, *, hold: bool = False) -> Listing:
    """The listing of a number; with ``hold`` as :func:`for_offer` answers it.

    Raises:
        NotFound.
    """
    listing = (_HELD if hold else _BY_NUMBER).first(number=number)
    if listing is None:
        raise NotFound
    if hold:
        memory().setdefault(Listing, set()).add(listing)
    return listing


def for_offer(listing: Listing) -> Listing:
    """The listing as it stands, held until the commit so that its fee can't change under an offer."""
    if listing in memory().get(Listing, ()):
        return listing
    return by_number(listing.number, hold=True)


def by_numbers(numbers_: list[str]) -> list[Listing]:
    """The listings of these numbers, in their order; unknown ones are left out."""
    found = {row.number: row for row in session.scalars(select(Listing).where(Listing.number.in_(numbers_)))}
    return [found[number] for number in numbers_ if number in found]


def of_agency(agency: Agency) -> list[Listing]:
    return list(session.scalars(select(Listing).where(Listing.agency_id == agency.id).order_by(Listing.id)))


def of_item(item: ServiceItem) -> list[Listing]:
    """Published listings of one item."""
    return list(
        session.scalars(
            select(Listing)
            .where(Listing.item_id == item.id, Listing.status == ListingStatus.PUBLISHED)
            .order_by(Listing.id)
        )
    )


def reindex_agency(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``agency.*``: what the shelf shows of an agency's listings may have changed."""
    numbers_ = session.scalars(
        select(Listing.number)
        .join(Agency, Listing.agency_id == Agency.id)
        .where(Agency.number == act.subject.partition(":")[2])
    )
    for number in numbers_:
        search.changed("listing", number)


def _check_days(days: int) -> None:
    if not 1 <= days <= MOST_DAYS:
        raise DaysInvalid(field="promised_working_days", most=MOST_DAYS)


def _remember(listing: Listing, by: Actor, reason: str) -> None:
    session.add(
        FeeChange(
            listing_id=listing.id,
            edition=listing.edition,
            fee=listing.fee,
            promised_working_days=listing.promised_working_days,
            at=clock.now(),
            by=f"{by.organisation} {by.person}",
            reason=reason,
        )
    )
