"""Seeded mass data for measuring: a long shelf, finished commissions, many projects with their documents.

Everything is written by COPY, in the tables' own form; the same seed in the same legal day makes the same rows.
Numbers carry the year 0000, so that no series ever meets them. Documents are register rows without content: their
files can't be opened. Listings and commissions carry a true trail; projects and documents none.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final, cast

import psycopg
from flask import current_app
from sqlalchemy import ColumnDefault, create_engine, func, select, text
from stdnum.cn import uscc

from kernel import clock, money, search, trail
from kernel.accounts import Organisation, OrganisationKind
from kernel.database import Database
from kernel.db import Base, session, transaction
from kernel.dossier import Entry, EntryKind, EntryStatus, Use
from kernel.errors import Conflict
from kernel.files import Document
from kernel.projects import Project, ProjectClass
from kernel.trail import TrailAct, TrailHead
from market import catalogue, fees
from market.agencies import COMMITMENT_VERSION, Agency, AgencyStatus, Practitioner, Qualification, Speciality
from market.catalogue import ServiceItem
from market.commissions import Commission, CommissionStatus, Payer, Route
from market.fees import Band, FeeKind, FeeRule, Figures, Measure
from market.listings import FeeChange, Listing, ListingStatus

Say = Callable[[str], None]
#: Bulk numbers read ``FW-0000-0000123``.
YEAR: Final = "0000"
#: Documents of one project; the rest of the rows stand between them on disk, as they would after years of use.
PER_PROJECT: Final = 20
#: Projects written at once: their documents are dealt out in turns, so that one project's lie far apart.
CHUNK: Final = 2500
REGIONS: Final = ("东山区", "西河区", "南城区", "北原区", "清水县", "云岭县", "高新技术产业开发区", "临港经济区")
#: Project codes of the national form, in a year in which none was given.
_CODES: Final = "00__-230199-04-01-%"
_CHARACTERS: Final = "安宝昌成达德鼎东方丰福光广国海汉浩恒宏华汇嘉建江金锦京景君凯康利联龙茂明宁鹏普启千清荣瑞润盛时泰天通同万维伟文祥新兴信旭亚扬银永优宇远泽长正志中众卓"
_TRADES: Final = ("工程咨询", "勘察设计", "环境科技", "水利技术", "测绘地理信息", "检验检测", "项目管理", "安全技术")
_SURNAMES: Final = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜"
#: How commissions ended, with how many in a hundred.
_OUTCOMES: Final = {CommissionStatus.FINISHED: 80, CommissionStatus.CANCELLED: 12, CommissionStatus.TERMINATED: 8}


class BulkDiffers(Conflict):
    code = "bulk_differs"
    zh = "已载入另一规模的测量数据（服务 {listings} 项）；如需更换规模，请先执行 flask demo reset"
    en = "Mass data of another size are loaded already ({listings} listings); run flask demo reset first"


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows of each; every project gets :data:`PER_PROJECT` documents until ``dossier_rows`` are used up."""

    listings: int
    dossier_rows: int
    projects: int
    commissions: int
    agencies: int


SIZES: Final[dict[str, Size]] = {
    "m": Size(listings=1_000, dossier_rows=10_000, projects=500, commissions=500, agencies=80),
    "l": Size(listings=10_000, dossier_rows=1_000_000, projects=50_000, commissions=10_000, agencies=600),
}


@dataclass(frozen=True, slots=True)
class _Offer:
    """A listing while commissions are made up."""

    id: int
    number: str
    item_id: int
    item_code: str
    agency_id: int
    agency_name: str
    rule: FeeRule
    edition: int
    days: int


@dataclass(frozen=True, slots=True)
class _Site:
    """A project while commissions are made up."""

    id: int
    code: str
    client_id: int
    client: str
    figures: Figures


def load(size: Size, *, seed: int = 1, say: Say = lambda line: None) -> bool:
    """Write the rows, bring the search index up to date, refresh the statistics; False when they are there already.

    Opens a transaction of its own; needs the reference data and an application context.

    Raises:
        BulkDiffers: mass data of another size are there.
    """
    present = counted(Listing)
    if present == size.listings:
        say(f"测量数据已存在 / mass data are there already: {present}")
        return False
    if present:
        raise BulkDiffers(listings=present)
    rng = random.Random(seed)  # noqa: S311  made-up data
    with transaction():
        writer = _Writer(_cursor(), clock.now())
        offers = _shelf(writer, rng, size)
        say(f"机构 {size.agencies}、服务 {size.listings} / agencies and listings written")
    grow(size.projects, size.dossier_rows, seed=seed, say=say)
    with transaction():
        _commissions(_Writer(_cursor(), clock.now()), rng, size.commissions, offers)
        say(f"委托 {size.commissions} / commissions written")
    settle()
    say("正在建立检索索引 / building the search index")
    search.rebuild()
    return True


def grow(projects: int, dossier_rows: int, *, seed: int = 1, say: Say = lambda line: None) -> None:
    """Add bulk projects and their documents until there are as many of both; what is there stays as it is."""
    while (have := counted(Project)) < projects:
        number = min(CHUNK, projects - have)
        documents = min(number * PER_PROJECT, max(0, dossier_rows - counted(Entry)))
        with transaction():
            # A generator per chunk, so that a later chunk does not depend on how the earlier ones were drawn.
            rng = random.Random(f"{seed}:{have}")  # noqa: S311
            _projects(_Writer(_cursor(), clock.now()), rng, have, number, documents)
        say(f"项目 {have + number}/{projects}，材料 {counted(Entry)}/{dossier_rows} / projects and documents written")


def counted(record: type[Listing | Entry | Project]) -> int:
    """How many bulk rows of a record there are."""
    if record is Project:
        return session.scalar(select(func.count()).where(Project.code.like(_CODES))) or 0
    number, prefix = (Listing.number, "FW") if record is Listing else (Entry.number, "CL")
    last = session.scalar(select(func.max(number)).where(number.like(f"{prefix}-{YEAR}-%")))
    return int(last.rpartition("-")[2]) if last else 0


def settle() -> None:
    """Clean up after much writing and refresh the planner's statistics, which only the owner of the tables may."""
    database: Database = current_app.extensions["database"]
    engine = create_engine(database.urls()[1], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    engine.dispose()


# Writing ----------------------------------------------------------------------------------------------------


def _cursor() -> psycopg.Cursor[Any]:
    """A cursor of the driver inside the caller's transaction."""
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  the product knows no other driver
    return driver.cursor()


class _Writer:
    """COPY in the tables' own columns; what a row does not name gets the record's default.

    The connection is busy while rows are made up: they must not read anything from the database.
    """

    def __init__(self, cursor: psycopg.Cursor[Any], now: datetime) -> None:
        self.cursor = cursor
        self.now = now

    def keys(self, record: type[Base], count: int) -> list[int]:
        """``count`` fresh keys of a table."""
        if not count:
            return []
        self.cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            (record.__tablename__, count),
        )
        return [row[0] for row in self.cursor.fetchall()]

    def copy(self, record: type[Base], names: str, rows: Iterable[Sequence[object]]) -> None:
        named = names.split()
        rest = {
            column.name: column.default.arg if isinstance(column.default, ColumnDefault) else None
            for column in record.metadata.tables[record.__tablename__].columns
            if column.name not in named and not column.identity
        }
        tail = "".join(f"\t{_field(value)}" for value in rest.values())
        columns = ", ".join(f'"{name}"' for name in [*named, *rest])
        with self.cursor.copy(f'COPY "{record.__tablename__}" ({columns}) FROM STDIN') as copy:
            lines: list[str] = []
            for row in rows:
                lines.append("\t".join(map(_field, row)) + tail)
                if len(lines) == 1000:
                    copy.write("\n".join(lines) + "\n")
                    lines.clear()
            if lines:
                copy.write("\n".join(lines) + "\n")

    def trails(self, chains: Iterable[tuple[str, Sequence[tuple[str, datetime, str, dict[str, Any]]]]]) -> None:
        """Chains of acts, each (act, instant, organisation, data), hashed as :func:`kernel.trail.record` does."""
        heads: list[tuple[str, int, str]] = []
        self.copy(
            TrailAct,
            "subject sequence act at recorded_at person_id person organisation_id organisation data previous hash",
            self._links(chains, heads),
        )
        self.copy(TrailHead, "subject sequence hash", heads)

    def _links(
        self,
        chains: Iterable[tuple[str, Sequence[tuple[str, datetime, str, dict[str, Any]]]]],
        heads: list[tuple[str, int, str]],
    ) -> Iterator[Sequence[object]]:
        for subject, acts in chains:
            previous = trail.FIRST
            for sequence, (act, at, organisation, data) in enumerate(acts, start=1):
                link = SimpleNamespace(
                    subject=subject,
                    sequence=sequence,
                    act=act,
                    at=at,
                    recorded_at=at,
                    person_id=None,
                    person="经办人",
                    organisation_id=None,
                    organisation=organisation,
                    data=data,
                    previous=previous,
                )
                digest = trail.digest(cast("TrailAct", link))
                yield (*vars(link).values(), digest)
                previous = digest
            heads.append((subject, len(acts), previous))


def _field(value: object) -> str:
    """A value in COPY's text form."""
    if isinstance(value, str):
        plain = value
    elif value is None:
        return "\\N"
    elif isinstance(value, bool):
        return "t" if value else "f"
    elif isinstance(value, int):
        return str(value)
    elif isinstance(value, date):  # datetime too
        return value.isoformat()
    else:
        plain = json.dumps(value, ensure_ascii=False)
    if "\\" in plain or "\n" in plain or "\t" in plain:
        plain = plain.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    return str(plain)


def _number(prefix: str, running: int) -> str:
    return f"{prefix}-{YEAR}-{running:07d}"


def _company(rng: random.Random, trade: str, running: int) -> str:
    brand = rng.choice(_CHARACTERS) + rng.choice(_CHARACTERS)
    return f"示例市{brand}{trade}有限公司{running}"


def _person(rng: random.Random) -> str:
    return rng.choice(_SURNAMES) + rng.choice(_CHARACTERS) + rng.choice(_CHARACTERS)


def _organisations(
    writer: _Writer, rng: random.Random, kind: OrganisationKind, first: int, names: Sequence[str]
) -> list[int]:
    """Organisations with right check digits, from serial ``first`` on; answers their keys."""
    keys = writer.keys(Organisation, len(names))
    letters = {OrganisationKind.AGENCY: "MB", OrganisationKind.COMPANY: "MC"}[kind]

    def rows() -> Iterator[Sequence[object]]:
        for running, (key, name) in enumerate(zip(keys, names, strict=True), start=first):
            body = f"91230199{letters}{running:07d}"
            yield (
                key,
                f"{body}{uscc.calc_check_digit(body)}",
                name,
                kind,
                "230199",
                f"示例市{rng.choice(REGIONS)}建设路 {running} 号",
                _person(rng),
                _person(rng),
                f"0451-{rng.randrange(5_000_000, 5_999_999)}",
                writer.now - timedelta(days=rng.randrange(30, 900)),
            )

    columns = "id credit_code name kind region address legal_representative contact telephone registered_at"
    writer.copy(Organisation, columns, rows())
    return keys


# The shelf --------------------------------------------------------------------------------------------------


def _shelf(writer: _Writer, rng: random.Random, size: Size) -> list[_Offer]:
    """Agencies qualified for what they list, and their published listings."""
    items = catalogue.all_items()
    names = [_company(rng, rng.choice(_TRADES), running) for running in range(1, size.agencies + 1)]
    organisations = _organisations(writer, rng, OrganisationKind.AGENCY, 1, names)
    agencies = writer.keys(Agency, size.agencies)
    admitted = [writer.now - timedelta(days=rng.randrange(60, 800)) for _ in agencies]
    writer.copy(
        Agency,
        "id number organisation_id status introduction regions commitment_version commitment_by admitted_at",
        (
            (
                key,
                _number("JG", running),
                organisations[running - 1],
                AgencyStatus.ADMITTED,
                f"{names[running - 1]}，专业人员齐备，提供全过程技术服务。",
                _regions(rng),
                COMMITMENT_VERSION,
                _person(rng),
                admitted[running - 1],
            )
            for running, key in enumerate(agencies, start=1)
        ),
    )
    menus = _menus(rng, size, items)
    _credentials(writer, rng, agencies, menus, admitted)
    return _listings(writer, rng, agencies, names, menus, admitted)


def _regions(rng: random.Random) -> list[str]:
    """Where an agency serves; every third one everywhere."""
    return [] if rng.random() < 0.33 else sorted(rng.sample(REGIONS, rng.randrange(1, 4)))


def _menus(rng: random.Random, size: Size, items: Sequence[ServiceItem]) -> list[list[ServiceItem]]:
    """For each agency the items that it lists, as evenly as they come."""
    share, more = divmod(size.listings, size.agencies)
    return [rng.sample(items, share + (place < more)) for place in range(size.agencies)]


def _credentials(
    writer: _Writer,
    rng: random.Random,
    agencies: Sequence[int],
    menus: Sequence[Sequence[ServiceItem]],
    admitted: Sequence[datetime],
) -> None:
    """Qualifications and practitioners that the listed items ask for."""
    levels = {row.code: row.levels for row in session.scalars(select(Speciality))}
    today = clock.local_date(writer.now)
    held: list[Sequence[object]] = []
    staff: list[Sequence[object]] = []
    for place, (agency, menu) in enumerate(zip(agencies, menus, strict=True)):
        wanted: set[str] = set()
        for item in menu:
            if item.qualification_mode == "any":
                wanted.add(rng.choice(item.qualifications))
            elif item.qualification_mode == "all":
                wanted.update(item.qualifications)
        for one in sorted(wanted):
            code, _, level = one.partition(":")
            ladder = levels[code]
            if ladder:
                # The asked level or a higher one.
                level = rng.choice(ladder[: ladder.index(level) + 1] if level else ladder)
            held.append(
                (
                    agency,
                    code,
                    level,
                    f"B{code}-{place:05d}-{ladder.index(level) if level else 0}{one[-1]}",
                    today - timedelta(days=rng.randrange(100, 900)),
                    today + timedelta(days=rng.randrange(800, 1800)),
                    admitted[place],
                )
            )
        for number in range(max(item.practitioners for item in menu) + rng.randrange(4)):
            staff.append((agency, _person(rng), "注册工程师", f"BZ{place:05d}{number:03d}"))
    writer.copy(
        Qualification, "agency_id speciality_code level certificate valid_from valid_until filed_at", _distinct(held)
    )
    writer.copy(Practitioner, "agency_id name profession certificate", staff)


def _distinct(rows: Sequence[Sequence[object]]) -> list[Sequence[object]]:
    """The first of the rows with the same agency, speciality and certificate."""
    return list({(row[0], row[1], row[3]): row for row in reversed(rows)}.values())


def _listings(
    writer: _Writer,
    rng: random.Random,
    agencies: Sequence[int],
    names: Sequence[str],
    menus: Sequence[Sequence[ServiceItem]],
    admitted: Sequence[datetime],
) -> list[_Offer]:
    places = [(place, item) for place, menu in enumerate(menus) for item in menu]
    offers: list[_Offer] = []
    rows: list[Sequence[object]] = []
    changes: list[Sequence[object]] = []
    chains: list[tuple[str, list[tuple[str, datetime, str, dict[str, Any]]]]] = []
    for running, (key, (place, item)) in enumerate(
        zip(writer.keys(Listing, len(places)), places, strict=True), start=1
    ):
        number, name = _number("FW", running), names[place]
        drafted = admitted[place] + timedelta(days=rng.randrange(1, 40), minutes=rng.randrange(1000))
        published = drafted + timedelta(hours=rng.randrange(1, 48))
        days = max(1, item.promised_working_days - rng.randrange(6))
        rules = [_rule(rng, item) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        acts: list[tuple[str, datetime, str, dict[str, Any]]] = [
            ("listing.drafted", drafted, name, {"item": item.code, "fee": rules[0].as_json()}),
            ("listing.published", published, name, {}),
        ]
        for edition, rule in enumerate(rules, start=1):
            at = drafted if edition == 1 else published + timedelta(days=3 * edition)
            reason = "" if edition == 1 else "根据市场行情调整"
            changes.append((key, edition, rule.as_json(), days, at, f"{name} 经办人", reason))
            if edition > 1:
                told = {"before": rules[edition - 2].as_json(), "after": rule.as_json()}
                acts.append(("listing.repriced", at, name, told))
        chains.append((f"listing:{number}", acts))
        scope = f"{item.name}的全部工作，含现场调查 {1 + running % 3} 次和送审修改。"
        regions = _regions(rng) if running % 4 == 0 else []
        rows.append(
            (
                key,
                number,
                agencies[place],
                item.id,
                ListingStatus.PUBLISHED,
                len(acts),
                len(rules),
                rules[-1].as_json(),
                days,
                scope,
                regions,
                drafted,
                published,
            )
        )
        offers.append(_Offer(key, number, item.id, item.code, agencies[place], name, rules[-1], len(rules), days))
    writer.copy(
        Listing,
        "id number agency_id item_id status version edition fee promised_working_days scope regions draft_at "
        "published_at",
        rows,
    )
    writer.copy(FeeChange, "listing_id edition fee promised_working_days at by reason", changes)
    writer.trails(chains)
    return offers


def _rule(rng: random.Random, item: ServiceItem) -> FeeRule:
    """A plausible, invented fee rule of any kind."""
    base = 100_000 * rng.randrange(8, 60) + 30_000 * item.promised_working_days
    measure = rng.choice((Measure.INVESTMENT, Measure.BUILDING_AREA, Measure.LAND_AREA))
    match rng.choice(tuple(FeeKind)):
        case FeeKind.FIXED:
            return FeeRule(FeeKind.FIXED, amount=base * 3)
        case FeeKind.UNIT:
            unit = rng.choice((Measure.BUILDING_AREA, Measure.LAND_AREA, Measure.QUANTITY))
            price = rng.randrange(50, 900) * (200 if unit is Measure.QUANTITY else 1)
            return FeeRule(FeeKind.UNIT, amount=price, measure=unit, unit=fees.MEASURE_UNITS[unit][0], minimum=base)
        case FeeKind.BANDS:
            return FeeRule(FeeKind.BANDS, measure=measure, bands=_bands(rng, measure), minimum=base)
        case FeeKind.NEGOTIABLE:
            return FeeRule(FeeKind.NEGOTIABLE, amount=base * 8)
        case _:
            rule = FeeRule(FeeKind.DISCOUNT, percent=Decimal(rng.randrange(5, 40)), standard="本机构公示收费标准")
            if rng.random() < 0.5:
                return replace(rule, amount=base * 5)
            return replace(rule, measure=measure, bands=_bands(rng, measure), minimum=base)


def _bands(rng: random.Random, measure: Measure) -> tuple[Band, ...]:
    step = money.parse("1000万") if measure is Measure.INVESTMENT else 10_000
    rates = ("0.30", "0.18", "0.09") if measure is Measure.INVESTMENT else ("300", "220", "150")
    edges = (0, step * rng.randrange(1, 4), step * rng.randrange(5, 20), None)
    bounds = zip(edges[:-1], edges[1:], rates, strict=True)
    return tuple(Band(start or 0, end, Decimal(rate)) for start, end, rate in bounds)


# Projects and documents -------------------------------------------------------------------------------------


def _projects(writer: _Writer, rng: random.Random, have: int, number: int, documents: int) -> None:
    """``number`` projects after the first ``have``, every ten of one client, and their documents."""
    numbers = range(have + 1, have + number + 1)
    clients = sorted({-(-running // 10) for running in numbers} - {-(-have // 10)})
    names = {client: _company(rng, "置业", client) for client in clients}
    keys = dict(
        zip(
            clients,
            _organisations(writer, rng, OrganisationKind.COMPANY, clients[0], list(names.values())) if clients else [],
            strict=True,
        )
    )
    if -(-numbers[0] // 10) not in keys:
        known = session.execute(select(Project.organisation_id).where(Project.code == _code(have))).scalar_one()
        keys[-(-have // 10)] = known
    projects = writer.keys(Project, number)
    writer.copy(
        Project,
        "id code is_national name project_class organisation_id region address investment land_area building_area "
        "registered_at",
        (
            (
                key,
                _code(running),
                True,
                f"{rng.choice(REGIONS)}{rng.choice(_CHARACTERS)}{rng.choice(_CHARACTERS)}建设项目（{running}）",
                rng.choice(tuple(ProjectClass)),
                keys[-(-running // 10)],
                "230199",
                f"示例市{rng.choice(REGIONS)}",
                100_000_000 * rng.randrange(3, 900),
                rng.randrange(2_000, 90_000),
                rng.randrange(5_000, 200_000),
                writer.now - timedelta(days=rng.randrange(200, 700)),
            )
            for key, running in zip(projects, numbers, strict=True)
        ),
    )
    if documents:
        _dossiers(writer, rng, projects, documents)


def _code(running: int) -> str:
    return f"00{running // 1_000_000 % 12 + 1:02d}-230199-04-01-{running % 1_000_000:06d}"


def _dossiers(writer: _Writer, rng: random.Random, projects: Sequence[int], count: int) -> None:
    """``count`` documents dealt to the projects in turns, some of them superseded, expired, withdrawn, relied on."""
    first = counted(Entry) + 1
    items = catalogue.all_items()
    issuers = session.execute(
        select(Organisation.id, Organisation.name)
        .join(Agency, Agency.organisation_id == Organisation.id)
        .where(Agency.number.like(f"JG-{YEAR}-%"))
        .order_by(Agency.id)
    ).all()
    today = clock.local_date(writer.now)
    papers = writer.keys(Document, count)
    entries = writer.keys(Entry, count)
    made = [rng.choice(issuers) for _ in range(count)]
    hashes = [hashlib.sha256(f"{first + place}".encode()).hexdigest() for place in range(count)]
    attached = [writer.now - timedelta(minutes=rng.randrange(1_000, 280_000)) for _ in range(count)]
    writer.copy(
        Document,
        "id number sha256 name media_type size pages facts organisation_id stored_at",
        (
            (
                papers[place],
                _number("WJ", first + place),
                hashes[place],
                f"成果文件{first + place}.pdf",
                "application/pdf",
                rng.randrange(80_000, 9_000_000),
                rng.randrange(4, 300),
                {},
                made[place][0],
                attached[place] - timedelta(hours=5),
            )
            for place in range(count)
        ),
    )
    uses: list[Sequence[object]] = []

    def rows() -> Iterator[Sequence[object]]:
        for place in range(count):
            item = items[rng.randrange(len(items))]
            status = _status(rng)
            successor = place + len(projects)
            if status is EntryStatus.SUPERSEDED and successor >= count:
                status = EntryStatus.ATTACHED
            ended = attached[place] + timedelta(minutes=900)
            valid = today + timedelta(days=rng.randrange(700, 2500)) if rng.random() < 0.5 else None
            if status is EntryStatus.EXPIRED:
                valid = clock.local_date(ended) - timedelta(days=1)
            project = projects[place % len(projects)]
            if rng.random() < 0.08:
                uses.append(
                    (
                        entries[place],
                        hashes[place],
                        f"matter:{_number('SX', first + place)}",
                        "建设工程规划许可证核发",
                        project,
                        "示例市行政审批局",
                        _person(rng),
                        attached[place] + timedelta(minutes=600),
                    )
                )
            yield (
                entries[place],
                _number("CL", first + place),
                project,
                EntryKind.REPORT if item.technical_review else EntryKind.DELIVERABLE,
                item.deliverables[0],
                item.code,
                f"deliverable:{_number('CG', first + place)}",
                1,
                papers[place],
                hashes[place],
                made[place][1],
                made[place][0],
                "经办人",
                {"result": "passed", "summary": "经现场调查和分析论证，项目符合有关规定要求。"},
                attached[place],
                valid,
                status,
                ended if status is EntryStatus.SUPERSEDED else None,
                ended if status is EntryStatus.EXPIRED else None,
                ended if status is EntryStatus.WITHDRAWN else None,
                "成果数据有误，重新出具" if status is EntryStatus.WITHDRAWN else "",
                entries[successor] if status is EntryStatus.SUPERSEDED else None,
                1 if status is EntryStatus.ATTACHED else 2,
            )

    writer.copy(
        Entry,
        "id number project_id kind title item_code source edition document_id sha256 issuer issuer_id accepted_by "
        "conclusion attached_at valid_until status superseded_at expired_at withdrawn_at reason successor_id version",
        rows(),
    )
    writer.copy(Use, "entry_id sha256 relied_for relied_for_title project_id organisation person at", uses)


def _status(rng: random.Random) -> EntryStatus:
    drawn = rng.random()
    if drawn < 0.86:
        return EntryStatus.ATTACHED
    if drawn < 0.93:
        return EntryStatus.SUPERSEDED
    return EntryStatus.EXPIRED if drawn < 0.97 else EntryStatus.WITHDRAWN


# Commissions ------------------------------------------------------------------------------------------------


def _commissions(writer: _Writer, rng: random.Random, count: int, offers: Sequence[_Offer]) -> None:
    """Commissions whose life is over, each with its trail; no clock runs on them."""
    sites = [
        _Site(
            row.id, row.code, row.organisation_id, row.name, Figures(row.investment, row.building_area, row.land_area)
        )
        for row in session.execute(
            select(
                Project.id,
                Project.code,
                Project.organisation_id,
                Organisation.name,
                Project.investment,
                Project.building_area,
                Project.land_area,
            )
            .join(Organisation, Organisation.id == Project.organisation_id)
            .where(Project.code.like(_CODES))
            .order_by(Project.id)
            .limit(max(1, count))
        )
    ]
    chains: list[tuple[str, list[tuple[str, datetime, str, dict[str, Any]]]]] = []

    def rows() -> Iterator[Sequence[object]]:
        for running in range(1, count + 1):
            offer, site = rng.choice(offers), rng.choice(sites)
            status = rng.choices(list(_OUTCOMES), list(_OUTCOMES.values()))[0]
            number = _number("WT", running)
            quantity = rng.randrange(1, 60) if offer.rule.measure is Measure.QUANTITY else None
            quote = fees.quote(offer.rule, replace(site.figures, quantity=quantity))
            fee = quote.amount if quote.amount is not None else offer.rule.amount * 9 // 10
            lines = [{"zh": line.zh, "en": line.en, "amount": line.amount} for line in quote.lines]
            at = writer.now - timedelta(days=rng.randrange(70, 170), minutes=rng.randrange(1000))
            steps = [at + timedelta(days=days) for days in (0, 1, 2, 3, 3 + offer.days, 6 + offer.days)]
            acts: list[tuple[str, datetime, str, dict[str, Any]]] = [
                ("commission.drafted", steps[0], site.client, {"project": site.code, "item": offer.item_code}),
                ("commission.offered", steps[1], site.client, {"agency": offer.agency_name, "fee": fee}),
            ]
            if status is CommissionStatus.CANCELLED:
                acts.append(("commission.cancelled", steps[2], site.client, {"reason": "项目方案调整"}))
            else:
                acts.append(("commission.taken_on", steps[2], offer.agency_name, {}))
                acts.append(("service.started", steps[3], offer.agency_name, {}))
            if status is CommissionStatus.FINISHED:
                acts.append(("service.delivered", steps[4], offer.agency_name, {}))
                acts.append(("service.finished", steps[5], site.client, {}))
            elif status is CommissionStatus.TERMINATED:
                acts.append(("commission.terminated", steps[4], site.client, {"reason": "项目停止建设"}))
            chains.append((f"commission:{number}", acts))
            stamps = {act: instant for act, instant, _, _ in acts}
            yield (
                number,
                status,
                len(acts),
                Route.MENU,
                site.id,
                offer.item_id,
                offer.id,
                offer.edition,
                offer.agency_id,
                site.client_id,
                site.client_id,
                Payer.SELF,
                fee,
                lines,
                quantity,
                offer.days,
                steps[0],
                steps[1],
                stamps.get("commission.taken_on"),
                stamps.get("service.started"),
                stamps.get("service.delivered"),
                stamps.get("service.finished"),
                stamps.get("commission.terminated"),
                stamps.get("commission.cancelled"),
            )

    writer.copy(
        Commission,
        "number status version route project_id item_id listing_id listing_edition agency_id client_id applicant_id "
        "payer fee quote "
        "quantity promised_working_days draft_at offered_at taken_on_at in_service_at delivered_at finished_at "
        "terminated_at cancelled_at",
        rows(),
    )
    writer.trails(chains)
