"""The shelf: which listings a person finds, what each would cost for their own project, and in how many days (A4).

A document of the index covers one published listing. It carries the dates between which the agency is qualified,
so that a lapsed certificate takes its listings off the shelf at midnight without anybody indexing; what a person
then sees is read from the database and checked again. Equal matches stand in an order drawn once per listing, so
that no agency gains by having come first (000 §一(三): no designated agency).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, func, select

from kernel import clock, money, search
from kernel.access import Role
from kernel.accounts import Organisation
from kernel.db import session
from kernel.errors import NotFound
from kernel.files import Document
from kernel.search.protocol import Filters, Ranges
from kernel.trail import Actor, TrailAct, TrailHead
from market import agencies, catalogue, fees
from market.agencies import Agency, AgencyStatus, Practitioner, Qualification, Requirement, Speciality
from market.catalogue import ServiceItem
from market.fees import Band, FeeKind, FeeRule, Figures, Measure, Quote
from market.listings import FeeChange, Listing, ListingStatus

FACETS: Final = ("category", "item", "stage", "region", "agency", "fee", "level", "review", "days")
PAGE: Final = 20
#: Above this many matches a person narrows the search before sorting by fee.
FEE_SORT_LIMIT: Final = 1000
#: Lowest and highest promised working days of each band of the filter.
DAY_BANDS: Final = {"1-5": (1, 5), "6-10": (6, 10), "11-20": (11, 20), "21-30": (21, 30), "31-": (31, 10**6)}
#: Values of the facet ``level`` beside the levels themselves.
NO_LEVEL, UNGRADED = "none", "ungraded"
#: Value of the facet ``region`` when a listing is offered everywhere.
EVERYWHERE: Final = "everywhere"


# What every page needs of the catalogue, kept per process ---------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Guide:
    """The catalogue and the tree of qualifications as read at one moment; its records belong to no session."""

    edition: str
    items: Mapping[int, ServiceItem]
    by_code: Mapping[str, ServiceItem]
    tree: Mapping[str, Speciality]

    def item(self, code: str) -> ServiceItem:
        """Raises catalogue.ItemUnknown."""
        found = self.by_code.get(code)
        if found is None:
            raise catalogue.ItemUnknown(value=code)
        return found


_guide: Guide | None = None
_HEADS = TrailHead.__table__.c
#: The catalogue's edition is the head of its trail.
_EDITION = select(_HEADS.hash).where(_HEADS.subject == "catalogue:items")


def guide() -> Guide:
    """The catalogue of today: one look at the head of its trail, and a fresh reading only after an import."""
    return _guide_of(session.scalar(_EDITION) or "")


def _guide_of(edition: str) -> Guide:
    global _guide
    known = _guide
    if known is None or not edition or known.edition != edition:
        items = [_detached(ServiceItem, row) for row in session.execute(_all(ServiceItem, "code"))]
        tree = [_detached(Speciality, row) for row in session.execute(_all(Speciality, "code"))]
        known = _guide = Guide(
            edition,
            {item.id: item for item in items},
            {item.code: item for item in items},
            {row.code: row for row in tree},
        )
    return known


def _all(record: type[Any], order: str) -> Select[Any]:
    return select(*record.__table__.columns).order_by(record.__table__.columns[order])


def _detached(record: type[Any], row: Any) -> Any:
    return record(**row._mapping)


# What stands on the shelf -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """A qualification as the public register shows it."""

    speciality_code: str
    level: str
    certificate: str
    valid_from: date
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class Staff:
    """A practitioner without a name: the last day of the certificate, None when it has no end."""

    valid_until: date | None


@dataclass(frozen=True, slots=True)
class Keeper:
    """The agency behind an offer, with what its eligibility rests on."""

    number: str
    name: str
    organisation_id: int
    status: AgencyStatus
    regions: tuple[str, ...]
    qualifications: tuple[Held, ...]
    practitioners: tuple[Staff, ...]

    def practitioners_on(self, on: date) -> int:
        """How many practitioners hold a certificate in date."""
        return sum(1 for one in self.practitioners if one.valid_until is None or one.valid_until >= on)


@dataclass(frozen=True, slots=True)
class Offer:
    """One listing as a reader needs it: item, agency, fee rule and promise, in one query."""

    id: int
    number: str
    status: ListingStatus
    edition: int
    rule: FeeRule
    promised_working_days: int
    scope: str
    regions: tuple[str, ...]
    published_at: datetime | None
    item: ServiceItem
    agency: Keeper
    guide: Guide

    @property
    def served(self) -> tuple[str, ...]:
        """The regions served: the listing's own, else the agency's; empty means everywhere."""
        return self.regions or self.agency.regions

    def quote(self, figures: Figures) -> Quote:
        """What it comes to for a project of these figures."""
        return fees.quote(self.rule, figures)


# Tables and not records: this is the most frequent question of the portal, and it needs no identity map.
_LISTINGS, _AGENCIES, _ORGANISATIONS, _QUALIFICATIONS, _PRACTITIONERS = (
    record.__table__.c for record in (Listing, Agency, Organisation, Qualification, Practitioner)
)
_HELD = (
    select(
        func.jsonb_agg(
            func.jsonb_build_array(
                _QUALIFICATIONS.speciality_code,
                _QUALIFICATIONS.level,
                _QUALIFICATIONS.certificate,
                _QUALIFICATIONS.valid_from,
                _QUALIFICATIONS.valid_until,
            )
        )
    )
    .where(_QUALIFICATIONS.agency_id == _AGENCIES.id)
    .correlate(Agency.__table__)
    .scalar_subquery()
)
_STAFF = (
    select(func.jsonb_agg(_PRACTITIONERS.valid_until))
    .where(_PRACTITIONERS.agency_id == _AGENCIES.id)
    .correlate(Agency.__table__)
    .scalar_subquery()
)
_OFFERS = select(
    _LISTINGS.id,
    _LISTINGS.number,
    _LISTINGS.status,
    _LISTINGS.edition,
    _LISTINGS.fee,
    _LISTINGS.promised_working_days,
    _LISTINGS.scope,
    _LISTINGS.regions,
    _LISTINGS.published_at,
    _LISTINGS.item_id,
    _AGENCIES.number,
    _ORGANISATIONS.name,
    _AGENCIES.organisation_id,
    _AGENCIES.status,
    _AGENCIES.regions,
    _HELD,
    _STAFF,
    _EDITION.scalar_subquery(),
).select_from(
    Listing.__table__.join(Agency.__table__, _AGENCIES.id == _LISTINGS.agency_id).join(
        Organisation.__table__, _ORGANISATIONS.id == _AGENCIES.organisation_id
    )
)


def _read(statement: Select[Any]) -> list[Offer]:
    rows = session.execute(statement).all()
    if not rows:
        return []
    known = _guide_of(rows[0][-1] or "")
    return [_offer(row, known) for row in rows]


def _offer(row: Any, known: Guide) -> Offer:
    identity, number, status, edition, fee, days, scope, regions, published_at, item_id = row[:10]
    agency, name, organisation_id, agency_status, agency_regions, held, staff, _edition = row[10:]
    keeper = Keeper(
        agency,
        name,
        organisation_id,
        agency_status,
        tuple(agency_regions),
        tuple(
            Held(code, level, certificate, date.fromisoformat(start), _date(until))
            for code, level, certificate, start, until in held or ()
        ),
        tuple(Staff(_date(until)) for until in staff or ()),
    )
    return Offer(
        identity,
        number,
        status,
        edition,
        FeeRule.from_json(fee),
        days,
        scope,
        tuple(regions),
        published_at,
        known.items[item_id],
        keeper,
        known,
    )


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def offers(numbers: Sequence[str]) -> list[Offer]:
    """The listings of these numbers in their order, in whatever state; unknown ones are left out."""
    if not numbers:
        return []
    found = {each.number: each for each in _read(_OFFERS.where(_LISTINGS.number.in_(numbers)))}
    return [found[number] for number in numbers if number in found]


def offer(number: str) -> Offer:
    """One listing. Raises NotFound."""
    found = offers([number])
    if not found:
        raise NotFound
    return found[0]


def offers_of_agency(number: str) -> list[Offer]:
    """The published listings of an agency, by item."""
    statement = _OFFERS.where(_AGENCIES.number == number, _LISTINGS.status == ListingStatus.PUBLISHED)
    return sorted(_read(statement), key=lambda each: each.item.code)


def fee_changes(each: Offer) -> list[FeeChange]:
    """Every fee and promise the listing has had, newest first."""
    return list(
        session.scalars(select(FeeChange).where(FeeChange.listing_id == each.id).order_by(FeeChange.edition.desc()))
    )


def on_shelf(found: Sequence[Offer], on: date) -> list[Offer]:
    """Those published, of an agency admitted and qualified on a day; agrees with :func:`market.listings.in_force`."""
    return [
        each
        for each in found
        if each.status == ListingStatus.PUBLISHED
        and each.agency.status == AgencyStatus.ADMITTED
        and agencies.shortfall(each.agency, each.item.requirement, on, each.guide.tree) is None
    ]


def window(
    keeper: Keeper, requirement: Requirement, on: date, tree: Mapping[str, Speciality]
) -> tuple[date, date | None] | None:
    """The first and last day of the next unbroken time in which the agency is qualified, from ``on``; None if never.

    The last day is None when no certificate sets an end.
    """
    turns = {on}
    for held in keeper.qualifications:
        turns.add(held.valid_from)
        if held.valid_until is not None:
            turns.add(held.valid_until + timedelta(days=1))
    turns.update(one.valid_until + timedelta(days=1) for one in keeper.practitioners if one.valid_until is not None)
    start: date | None = None
    for day in sorted(turn for turn in turns if turn >= on):
        qualified = agencies.shortfall(keeper, requirement, day, tree) is None
        if qualified and start is None:
            start = day
        elif not qualified and start is not None:
            return start, day - timedelta(days=1)
    return None if start is None else (start, None)


# The index --------------------------------------------------------------------------------------------------


def _documents(numbers: list[str]) -> list[search.Document]:
    today = clock.today()
    return [
        _document(each, today)
        for each in offers(numbers)
        if each.status == ListingStatus.PUBLISHED and each.agency.status == AgencyStatus.ADMITTED
    ]


def _document(each: Offer, today: date) -> search.Document:
    item, tree = each.item, each.guide.tree
    open_time = window(each.agency, item.requirement, today, tree)
    return search.Document(
        key=each.number,
        title=item.name,
        names=(each.agency.name, each.number, item.code, item.category, *item.keywords, *item.deliverables),
        text="\n".join((item.content, item.standard, *item.matters, *item.legal_basis, each.scope, item.name_en)),
        facets={
            "category": (item.category,),
            "item": (item.code,),
            "stage": (item.stage.value,),
            "region": each.served or (EVERYWHERE,),
            "agency": (each.agency.number,),
            "fee": (each.rule.kind.value,),
            "level": sorted(_levels(each.agency, item.requirement, tree)),
            "review": ("yes" if item.technical_review else "no",),
            "days": (day_band(each.promised_working_days),),
        },
        numbers={
            "days": each.promised_working_days,
            "open": open_time[0].toordinal() if open_time else None,
            "close": (open_time[1] or date.max).toordinal() if open_time else None,
        },
        boost=int.from_bytes(hashlib.sha256(each.number.encode()).digest()[:4], "big") / 2**32,
    )


def _levels(keeper: Keeper, requirement: Requirement, tree: Mapping[str, Speciality]) -> set[str]:
    """The levels of the qualifications by which the agency meets the requirement, whatever their dates."""
    if requirement.mode == "none":
        return {NO_LEVEL}
    return {held.level or UNGRADED for held in relevant(keeper, requirement, tree)}


def relevant(keeper: Keeper, requirement: Requirement, tree: Mapping[str, Speciality]) -> list[Held]:
    """The qualifications that count for a requirement, whatever their dates."""

    return [held for held in keeper.qualifications if agencies.counts_for(held, requirement, tree)]


def day_band(days: int) -> str:
    """The band of the filter that a promise falls into."""
    return next(name for name, (low, high) in DAY_BANDS.items() if low <= days <= high)


def _every() -> Iterator[str]:
    yield from session.scalars(
        select(Listing.number)
        .join(Agency, Agency.id == Listing.agency_id)
        .where(Listing.status == ListingStatus.PUBLISHED, Agency.status == AgencyStatus.ADMITTED)
        .order_by(Listing.id)
    )


KIND: Final = search.Kind("listing", _documents, _every, facets=FACETS, numbers=("days", "open", "close"))


def reindex_items(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``catalogue.imported``: items have other names, stages or requirements now."""
    if act.data.get("changed"):
        for number in _every():
            search.changed(KIND.name, number)


# Finding ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """An answered search.

    Attributes:
        offers: this page's listings.
        drops: when nothing was found, the criteria (facet names, ``"text"``) whose removal alone helps, with the
            number of listings each would give, most first.
        too_many_to_sort: sorting by fee was asked for and there are more than :data:`FEE_SORT_LIMIT`.
    """

    total: int
    page: int
    pages: int
    offers: list[Offer]
    facets: Mapping[str, list[tuple[str, int]]]
    drops: list[tuple[str, int]]
    too_many_to_sort: bool = False


def find(
    text: str = "",
    *,
    filters: Filters | None = None,
    sort: str = "",
    page: int = 1,
    figures: Figures | None = None,
) -> Found:
    """Search the shelf as it stands today.

    Args:
        filters: chosen values per facet of :data:`FACETS`.
        sort: ``""`` relevance, ``"days"`` promised days, ``"fee"`` what it costs for ``figures``.

    Raises:
        search.QueryTooLong, search.UnknownCriterion, search.TooManyValues.
    """
    chosen: Mapping[str, Sequence[str]] = {name: values for name, values in (filters or {}).items() if values}
    today = clock.today()
    span: Ranges = {"open": (None, today.toordinal()), "close": (today.toordinal(), None)}
    by_fee = sort == "fee"
    answer = search.query(
        KIND.name,
        text,
        filters=chosen,
        ranges=span,
        sort="days" if sort == "days" else None,
        page=1 if by_fee else page,
        size=search.SIZE_LIMIT if by_fee else PAGE,
    )
    too_many = by_fee and answer.total > FEE_SORT_LIMIT
    if by_fee and not too_many:
        keys = list(answer.keys)
        for further in range(2, -(-answer.total // search.SIZE_LIMIT) + 1):
            keys += search.query(
                KIND.name, text, filters=chosen, ranges=span, page=further, size=search.SIZE_LIMIT
            ).keys
        page = min(max(page, 1), max(1, -(-answer.total // PAGE)))
        shown = _cheapest(keys, figures or Figures())[(page - 1) * PAGE : page * PAGE]
    else:
        page, shown = answer.page, answer.keys
        if too_many:
            page, shown = 1, shown[:PAGE]
    return Found(
        total=answer.total,
        page=page,
        pages=max(1, -(-answer.total // PAGE)) if not too_many else 1,
        offers=on_shelf(offers(shown), today),
        facets=answer.facets,
        drops=[] if answer.total else _drops(text, chosen, span),
        too_many_to_sort=too_many,
    )


def _cheapest(keys: Sequence[str], figures: Figures) -> list[str]:
    """``keys`` by fee, lowest first; a negotiable price counts at its ceiling, an unknown one comes last."""
    rules = {
        number: FeeRule.from_json(fee)
        for number, fee in session.execute(select(Listing.number, Listing.fee).where(Listing.number.in_(keys)))
    }

    def rank(key: str) -> tuple[bool, int]:
        rule = rules.get(key)
        told = fees.quote(rule, figures) if rule else Quote(None)
        amount = told.amount if told.amount is not None else told.ceiling
        return amount is None, amount or 0

    return sorted(keys, key=rank)


def _drops(text: str, chosen: Filters, span: Ranges) -> list[tuple[str, int]]:
    helps: list[tuple[str, int]] = []
    for name in (*chosen, *(("text",) if text.strip() else ())):
        fewer = {other: values for other, values in chosen.items() if other != name}
        total = search.query(KIND.name, "" if name == "text" else text, filters=fewer, ranges=span, size=1).total
        if total:
            helps.append((name, total))
    return sorted(helps, key=lambda each: -each[1])


def counts_by_item() -> dict[str, int]:
    """Listings on the shelf today per item code."""
    today = clock.today().toordinal()
    answer = search.query(KIND.name, ranges={"open": (None, today), "close": (today, None)}, size=1)
    return dict(answer.facets["item"])


def agency_names(numbers: Sequence[str]) -> dict[str, str]:
    """Names by agency number."""
    if not numbers:
        return {}
    statement = select(Agency.number, Organisation.name).join(Organisation, Organisation.id == Agency.organisation_id)
    return {row[0]: row[1] for row in session.execute(statement.where(Agency.number.in_(numbers)))}


# A fee in words ---------------------------------------------------------------------------------------------


def fee_in_words(rule: FeeRule, language: str = "zh") -> str:
    """How a rule charges, in one sentence, e.g. ``按建筑面积，每平方米 ¥3.50，最低 ¥5,000.00``."""
    english = language == "en"
    if rule.kind is FeeKind.FIXED:
        return f"Fixed price {money.format(rule.amount)}" if english else f"固定总价 {money.format(rule.amount)}"
    if rule.kind is FeeKind.NEGOTIABLE:
        ceiling = money.format(rule.amount)
        return f"Negotiable, {ceiling} at most" if english else f"协商定价，不高于 {ceiling}"
    least = ""
    if rule.minimum:
        amount = money.format(rule.minimum)
        least = f", at least {amount}" if english else f"，最低 {amount}"
    if rule.kind is FeeKind.UNIT and rule.measure is not None:
        unit = unit_of(rule, language)
        if english:
            of = "" if rule.measure is Measure.QUANTITY else f" of {rule.measure.en.lower()}"
            return f"{money.format(rule.amount)} per {unit}{of}{least}"
        return f"按{rule.measure.zh}，每{unit} {money.format(rule.amount)}{least}"
    base = ""
    if rule.bands and rule.measure is not None:
        base = (
            f"Progressive by {rule.measure.en.lower()}, {len(rule.bands)} bands"
            if english
            else f"按{rule.measure.zh}分 {len(rule.bands)} 档累进计费"
        )
    if rule.kind is FeeKind.BANDS:
        return base + least
    percent = f"{rule.percent.normalize():f}%"
    standard = (base[:1].lower() + base[1:]) or money.format(rule.amount)
    if english:
        return f"{percent} off “{rule.standard}” ({standard}{least})"
    return f"按“{rule.standard}”（{standard}{least}）下浮 {percent}"


def unit_of(rule: FeeRule, language: str = "zh") -> str:
    """One of the units that a rule counts, e.g. ``平方米``."""
    if rule.measure is None:
        return rule.unit
    chinese, english = fees.MEASURE_UNITS[rule.measure]
    if rule.measure is Measure.QUANTITY and rule.unit and (language == "zh" or rule.unit != chinese):
        return rule.unit
    return english.removesuffix("s") if language == "en" else chinese


def band_in_words(rule: FeeRule, band: Band, language: str = "zh") -> tuple[str, str]:
    """(range, rate) of a band as people read it, e.g. ``("100 万元至 500 万元", "1.5%")``."""
    unit, english = unit_of(rule, language), language == "en"

    def size(value: int) -> str:
        if rule.measure is Measure.INVESTMENT and english:
            return fees.in_yuan(value)
        if rule.measure is Measure.INVESTMENT:
            whole, rest = divmod(value, 1_000_000)
            return f"{whole:,}{f'{rest / 1_000_000:.6f}'.rstrip('0')[1:] if rest else ''} {unit}"
        many = "s" if english and unit == "item" and value != 1 else ""
        return f"{value:,} {unit}{many}"

    if band.end is None:
        span = f"Above {size(band.start)}" if english else f"{size(band.start)}以上"
    elif band.start == 0:
        span = f"Up to {size(band.end)}" if english else f"{size(band.end)}（含）以下"
    else:
        span = f"{size(band.start)} to {size(band.end)}" if english else f"{size(band.start)}至 {size(band.end)}（含）"
    if rule.measure is Measure.INVESTMENT:
        return span, f"{band.rate.normalize():f}%"
    return span, f"¥{(band.rate / 100).normalize():,f}/{unit}"


def may_read_certificate(document: Document, actor: Actor | None) -> bool:
    """A qualification's scan may be read by those who watch over agencies; its own agency uploaded it."""
    if actor is None or not actor.has(Role.SUPERVISOR.value, Role.AUTHORITY.value, Role.AUDITOR.value):
        return False
    return session.scalar(select(Qualification.id).where(Qualification.document_id == document.id).limit(1)) is not None
