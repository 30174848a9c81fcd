"""The public shelf: search with facets, one service, comparison, and the catalogue of service items (A1, A3, A4)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from flask_babel import gettext
from markupsafe import Markup

from kernel import clock, money, projects
from kernel.access import PUBLIC, Cell, Role
from kernel.errors import Invalid, NotFound, PortalError
from kernel.projects import Project
from kernel.trail import Actor
from kernel.web import bracketed, choose, current_actor, day, form_errors, language, may, page_number
from kernel.web.kept import Kept, fragment
from market import catalogue, shelf
from market.agencies import AgencyStatus, Speciality
from market.catalogue import ServiceItem, Stage
from market.commissions import figures_of
from market.fees import MEASURE_UNITS, FeeKind, FeeRule, Figures, Measure
from market.listings import ListingStatus
from market.shelf import Held, Offer
from market.web.downloads import send_csv, send_xlsx

blueprint = Blueprint("shelf", __name__)

ACCESS: Mapping[str, Cell] = {
    "shelf.services": PUBLIC,
    "shelf.service": PUBLIC,
    "shelf.compare": PUBLIC,
    "shelf.items": PUBLIC,
    "shelf.item": PUBLIC,
    "shelf.items_csv": PUBLIC,
    "shelf.items_xlsx": PUBLIC,
}
LINKS: Mapping[str, Callable[[str], str]] = {
    "listing": lambda number: f"/services/{number}",
    "catalogue": lambda _number: "/items",
}

#: Most listings side by side.
COMPARED = 4
#: Values of a long facet shown before "more".
SHORT = 8
SORTS = ("", "days", "fee")
#: The parameters that carry a project's sizes from page to page.
SIZES = ("project", "investment", "building_area", "land_area", "quantity")
_MOST_SIZE = 10**12


def _(text: str, **values: object) -> str:
    return str(gettext(text, **values))


class SizeUnclear(Invalid):
    code = "size_unclear"
    zh = "{what_zh}“{value}”无法识别，请填写不小于零的数字"
    en = "{what_en}: “{value}” can't be read; write a number of zero or more"


class TooManyCompared(Invalid):
    code = "too_many_compared"
    zh = "最多同时比较 {most} 项服务，您选择了 {count} 项；以下列出前 {most} 项，请移除不需要的后重新选择"
    en = "At most {most} services can be compared, and {count} were chosen; the first {most} are shown"


class ProjectNotYours(Invalid):
    code = "project_not_yours"
    zh = "项目代码“{value}”不属于贵单位，请直接填写规模数值"
    en = "The project “{value}” isn't your organisation's; type its sizes instead"


# My project -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sizes:
    """The reader's project as the query string tells it: what was typed, what it means, and what was wrong."""

    typed: dict[str, str]
    figures: Figures = field(default_factory=Figures)
    project: Project | None = None
    own: list[Project] = field(default_factory=list)
    errors: list[PortalError] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        return any(self.typed.values())

    @property
    def options(self) -> list[tuple[str, str]]:
        """The reader's own projects to choose from."""
        return [(project.code, f"{project.name} {project.code}") for project in self.own]

    @property
    def query(self) -> dict[str, str]:
        """The parameters to hand on."""
        return {name: value for name, value in self.typed.items() if value}


def read_sizes(actor: Actor | None) -> Sizes:
    """Read ``?project=…&investment=…`` (万元, ㎡); sizes typed by hand go before those of the project."""
    sizes = Sizes({name: request.args.get(name, "").strip()[:60] for name in SIZES})
    if actor is not None and actor.organisation_id is not None and actor.has(Role.APPLICANT.value):
        sizes.own = projects.of_organisation(actor.organisation_id)
    if sizes.typed["project"]:
        _read_project(sizes, actor)
    for measure in Measure:
        text = sizes.typed[measure.value]
        if not text:
            continue
        try:
            sizes.figures = replace(sizes.figures, **{measure.value: _read_size(text, measure)})
        except PortalError as error:
            sizes.errors.append(error)
    return sizes


def _read_project(sizes: Sizes, actor: Actor | None) -> None:
    try:
        project, _phase = projects.find(sizes.typed["project"], field="project")
    except PortalError as error:
        sizes.errors.append(error)
        return
    if actor is None or not projects.is_owner(project, actor):
        # Sizes of a project are its owner's; whoever follows the link of somebody else types them.
        sizes.errors.append(ProjectNotYours(field="project", value=sizes.typed["project"]))
        return
    sizes.project = project
    sizes.figures = figures_of(project)


def _read_size(text: str, measure: Measure) -> int:
    plain = unicodedata.normalize("NFKC", text).replace(",", "").replace(" ", "")
    if measure is Measure.INVESTMENT:
        return money.parse(plain if plain.endswith(("万", "亿", "元")) else f"{plain}万", field=measure.value)
    try:
        size = Decimal(plain)
        if not size.is_finite() or not 0 <= size <= _MOST_SIZE:
            raise InvalidOperation
    except InvalidOperation:
        raise SizeUnclear(field=measure.value, value=text, what_zh=measure.zh, what_en=measure.en) from None
    return money.round_half_up(size)


# One row of a list ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fee:
    """What a listing costs the reader: an amount or words, and how it comes about."""

    amount: str | None
    words: str
    note: str = ""
    lines: tuple[tuple[str, str], ...] = ()


def fee_of(offer: Offer, figures: Figures) -> Fee:
    tongue = language()
    words = shelf.fee_in_words(offer.rule, tongue)
    told = offer.quote(figures)
    if told.ceiling is not None:
        return Fee(None, words, choose("由双方在委托时商定", "To be agreed when commissioning"))
    if told.amount is None:
        assert told.missing is not None  # noqa: S101  a quote without amount or ceiling names what is missing
        what = told.missing.label(tongue)
        return Fee(None, words, choose(f"填写{what}后显示总价", f"Tell the {what.lower()} to see the total"))
    if offer.rule.kind is FeeKind.FIXED:
        words = offer.rule.kind.label(tongue)
    lines = tuple((line.en if tongue == "en" else line.zh, money.format(line.amount)) for line in told.lines)
    return Fee(money.format(told.amount).removeprefix("¥"), words, "", lines)


def duty_of(item: ServiceItem) -> tuple[str, str] | None:
    """(kind of tag, words) when the applicant is free to do without the agency or the whole service."""
    if item.voluntary:
        return "info", choose("自愿选择，不作为审批前置条件", "Voluntary; no approval may demand it")
    if item.may_self_prepare:
        return "neutral", choose("申请人可自行编制，也可委托", "You may prepare it yourself or commission it")
    return None


def days_text(days: int) -> str:
    return choose(f"{days} 个工作日", f"{days} working days")


def regions_text(regions: Sequence[str]) -> str:
    return _("、").join(regions) if regions else choose("不限地区", "Everywhere")


def held_text(held: Held, tree: Mapping[str, Speciality]) -> str:
    name = tree[held.speciality_code].name
    return name + bracketed(held.level) if held.level else name


def validity_of(held_until: date | None, held_from: date | None = None) -> tuple[str, str]:
    """(light, words) of a certificate today."""
    today = clock.today()
    if held_from is not None and held_from > today:
        return "grey", choose("尚未生效", "Not yet valid")
    if held_until is None:
        return "green", choose("长期有效", "Valid without end")
    if held_until < today:
        return "red", choose("已过期", "Expired")
    if (held_until - today).days <= 60:
        return "amber", choose("即将到期", "Expires soon")
    return "green", choose("有效", "Valid")


# /services --------------------------------------------------------------------------------------------------


def _titles() -> dict[str, str]:
    return {
        "category": _("事项类别"),
        "item": _("服务事项"),
        "stage": _("审批阶段"),
        "region": _("服务地区"),
        "fee": _("计费方式"),
        "days": _("承诺时限"),
        "level": _("资质等级"),
        "review": _("技术审查"),
        "agency": _("中介机构"),
        "text": _("检索词"),
    }


def _labeller(facets: Mapping[str, list[tuple[str, int]]]) -> Callable[[str, str], str]:
    """Words for a facet's value. Codes that nobody knows stay as they are."""
    tongue = language()
    names = shelf.agency_names([value for value, _count in facets.get("agency", [])])
    items = shelf.guide().by_code

    def label(facet: str, value: str) -> str:
        match facet:
            case "item":
                return items[value].label(tongue) if value in items else value
            case "agency":
                return names.get(value, value)
            case "stage":
                return next((one.label(tongue) for one in Stage if one.value == value), value)
            case "fee":
                return next((one.label(tongue) for one in FeeKind if one.value == value), value)
            case "review":
                return _("属于技术审查") if value == "yes" else _("不属于技术审查")
            case "region":
                return _("不限地区") if value == shelf.EVERYWHERE else value
            case "level":
                return {shelf.NO_LEVEL: _("不要求资质"), shelf.UNGRADED: _("具备资质（不分等级）")}.get(value, value)
            case "days":
                return _days_label(value)
        return value

    return label


def _days_label(band: str) -> str:
    low, high = shelf.DAY_BANDS.get(band, (0, 0))
    if not low:
        return band
    if low == 1:
        return choose(f"{high} 个工作日以内", f"up to {high} working days")
    if band.endswith("-"):
        return choose(f"{low} 个工作日以上", f"{low} working days or more")
    return choose(f"{low} 至 {high} 个工作日", f"{low} to {high} working days")


def _query(changes: Mapping[str, Iterable[str]]) -> str:
    """This page's address with some parameters replaced by lists of values; the page number starts again."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in changes and name != "page"]
    kept += [(name, value) for name, values in changes.items() for value in values if value]
    return request.path + (f"?{urlencode(kept)}" if kept else "")


def _groups(facets: Mapping[str, list[tuple[str, int]]], chosen: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    label, titles, more = _labeller(facets), _titles(), request.args.get("more", "")
    groups = []
    for name in ("category", "stage", "item", "days", "fee", "region", "level", "review", "agency"):
        values, picked = facets.get(name, []), chosen.get(name, [])
        if name in {"stage", "days"}:
            order = list(shelf.DAY_BANDS) if name == "days" else [stage.value for stage in Stage]
            values = sorted(values, key=lambda each: order.index(each[0]) if each[0] in order else len(order))
        shown = values if more == name or len(values) <= SHORT + 2 else values[:SHORT]
        shown = shown + [each for each in values if each[0] in picked and each not in shown]
        if not shown or (len(shown) == 1 and name == "review" and not picked):
            continue
        options = [
            {
                "value": value,
                "label": label(name, value),
                "count": count,
                "selected": value in picked,
                "url": _query(
                    {name: [p for p in picked if p != value] if value in picked else [*picked, value], "more": [more]}
                ),
            }
            for value, count in shown
        ]
        if len(shown) < len(values):
            rest = _("更多（另有 %(count)s 项）", count=len(values) - len(shown))
            options.append(
                {"value": "", "label": rest, "count": None, "selected": False, "url": _query({"more": [name]})}
            )
        groups.append({"title": titles[name], "name": name, "options": options})
    return groups


@blueprint.get("/services")
def services() -> tuple[str, int]:
    """The shelf."""
    actor = current_actor()
    sizes = read_sizes(actor)
    errors = list(sizes.errors)
    text = request.args.get("q", "").strip()
    chosen = {name: [v for v in request.args.getlist(name) if v] for name in shelf.FACETS}
    sort = request.args.get("sort", "")
    sort = sort if sort in SORTS else ""
    try:
        found = shelf.find(text, filters=chosen, sort=sort, page=page_number(), figures=sizes.figures)
    except PortalError as error:
        if error.status >= 500:
            raise
        error.field = "q" if error.field == "text" else error.field
        errors.append(error)
        found = shelf.Found(0, 1, 1, [], {}, [])
    titles = _titles()
    groups = _groups(found.facets, chosen)
    drops = []
    for name, total in found.drops:
        words = _("%(name)s（取消后有 %(count)s 项）", name=titles[name], count=total)
        drops.append((words, _query({"q" if name == "text" else name: []})))
    html = render_template(
        "market/shelf_services.html",
        found=found,
        rows=[(offer, fee_of(offer, sizes.figures)) for offer in found.offers],
        groups=groups,
        titles=titles,
        drops=drops,
        text=text,
        sort=sort,
        sorts=[
            (value, words, _query({"sort": [value]}))
            for value, words in (("", _("相关度")), ("days", _("承诺时限从短到长")), ("fee", _("本项目费用从低到高")))
        ],
        clear_url=_query({name: [] for name in (*shelf.FACETS, "q", "more")}),
        kept=[(name, value) for name, value in request.args.items(multi=True) if name not in {"q", "page", *SIZES}],
        kept_with_text=[
            (name, value) for name, value in request.args.items(multi=True) if name not in {"page", *SIZES}
        ],
        form_errors=[pair for error in errors for pair in form_errors(error)],
        **_context(sizes, errors),
    )
    return html, 422 if errors else 200


def _context(sizes: Sizes, errors: Sequence[PortalError] = ()) -> dict[str, Any]:
    """What each of these pages hands to its template."""
    tongue = language()
    return {
        "sizes": sizes,
        "errors": {error.field: error.text(tongue) for error in errors if error.field},
        "duty_of": duty_of,
        "days_text": days_text,
        "regions_text": regions_text,
        "measures": [(measure.value, measure.label(tongue), MEASURE_UNITS[measure]) for measure in Measure],
        "with_sizes": lambda url: _with_sizes(sizes, url),
        "commission_url": _commission_url(sizes),
    }


def _with_sizes(sizes: Sizes, url: str) -> str:
    return f"{url}?{urlencode(sizes.query)}" if sizes.query else url


def _commission_url(sizes: Sizes) -> Callable[[str], str]:
    def url(number: str) -> str:
        extra = {name: sizes.typed[name] for name in ("project", "quantity") if sizes.typed[name]}
        return f"/commissions/new?{urlencode({'listing': number} | extra)}"

    return url


# /services/<number> -----------------------------------------------------------------------------------------


@blueprint.get("/services/<number>")
def service(number: str) -> tuple[str, int]:
    """One service: what it costs me, by when, from whom, on which basis."""
    offer = shelf.offer(number)
    actor = current_actor()
    if offer.status == ListingStatus.DRAFT and not (actor is not None and is_own(offer, actor)):
        raise NotFound
    sizes = read_sizes(actor)
    html = render_template(
        "market/listing_page.html",
        offer=offer,
        content=_content(offer, sizes, is_visitor=actor is None),
        form_errors=[pair for error in sizes.errors for pair in form_errors(error)],
    )
    return html, 422 if sizes.errors else 200


_bodies = Kept(1000)


def _content(offer: Offer, sizes: Sizes, *, is_visitor: bool) -> Markup:
    """The body of a listing's page. A visitor's depends on nothing but what is in the key, and is kept."""

    def render() -> Markup:
        return fragment("market/listing_content.html", **_facts(offer, sizes), is_visitor=is_visitor)

    if not is_visitor or sizes.errors or not offer.guide.edition:
        return render()
    return _bodies.part((offer, clock.today(), language(), *sizes.query.items()), render)


def _facts(offer: Offer, sizes: Sizes) -> dict[str, Any]:
    tongue, today, rule = language(), clock.today(), offer.rule
    is_open = bool(shelf.on_shelf([offer], today))
    changes = shelf.fee_changes(offer) if offer.edition > 1 else []
    return {
        "language": tongue,
        "offer": offer,
        "item": offer.item,
        "fee": fee_of(offer, sizes.figures),
        "bands": [shelf.band_in_words(rule, band, tongue) for band in rule.bands],
        "needed": needed_measures(rule),
        "qualifications": qualification_rows(offer),
        "practitioners": offer.agency.practitioners_on(today),
        "changes": [(change, shelf.fee_in_words(FeeRule.from_json(change.fee), tongue)) for change in changes],
        "is_open": is_open,
        "why_closed": None if is_open else _why_closed(offer),
        "form_errors": [pair for error in sizes.errors for pair in form_errors(error)],
    } | _context(sizes, sizes.errors)


def is_own(offer: Offer, actor: Actor) -> bool:
    return actor.organisation_id == offer.agency.organisation_id and actor.has(Role.AGENCY.value)


def needed_measures(rule: FeeRule) -> list[str]:
    """The names of the sizes a rule asks for."""
    return (
        [rule.measure.value]
        if rule.measure is not None and rule.kind not in (FeeKind.FIXED, FeeKind.NEGOTIABLE)
        else []
    )


def qualification_rows(offer: Offer) -> list[tuple[Held, str, str, str]]:
    """(held, name, light, words) for the qualifications that count for the item; none if it asks for none."""
    tree = offer.guide.tree
    wanted = shelf.relevant(offer.agency, offer.item.requirement, tree)
    return [(held, held_text(held, tree), *validity_of(held.valid_until, held.valid_from)) for held in wanted]


def _why_closed(offer: Offer) -> str:
    if offer.status != ListingStatus.PUBLISHED:
        return _("该服务尚未上架或已下架。")
    if offer.agency.status != AgencyStatus.ADMITTED:
        return _("该机构已被暂停服务或已退出。")
    return _("该机构的资质或从业人员条件目前不满足本事项要求。")


# /compare ---------------------------------------------------------------------------------------------------


@blueprint.get("/compare")
def compare() -> tuple[str, int]:
    """Up to four services side by side, for my project."""
    sizes = read_sizes(current_actor())
    errors = list(sizes.errors)
    numbers = list(dict.fromkeys(number.strip() for number in request.args.getlist("s") if number.strip()))
    if len(numbers) > COMPARED:
        errors.append(TooManyCompared(field=None, most=COMPARED, count=len(numbers)))
    offers = shelf.on_shelf(shelf.offers(numbers[:COMPARED]), clock.today())
    html = render_template(
        "market/compare_page.html",
        offers=offers,
        gone=[number for number in numbers[:COMPARED] if number not in {offer.number for offer in offers}],
        columns=[
            {"title": offer.agency.name, "url": f"/services/{offer.number}", "note": offer.item.label(language())}
            for offer in offers
        ],
        table=_comparison(offers, sizes),
        drop_urls=[(offer, _query({"s": [n for n in numbers if n != offer.number]})) for offer in offers],
        needed=sorted({name for offer in offers for name in needed_measures(offer.rule)}),
        kept=[("s", number) for number in numbers[:COMPARED]],
        form_errors=[pair for error in errors for pair in form_errors(error)],
        **_context(sizes, errors),
    )
    return html, 422 if errors else 200


def _comparison(offers: Sequence[Offer], sizes: Sizes) -> list[dict[str, Any]]:
    tongue = language()
    told = [fee_of(offer, sizes.figures) for offer in offers]
    is_like = len({offer.item.code for offer in offers}) == 1
    amounts = [offer.quote(sizes.figures).amount for offer in offers]
    rows = [
        _row(_("服务事项"), [offer.item.label(tongue) for offer in offers]),
        _row(
            _("本项目费用"),
            [f"¥ {fee.amount}" if fee.amount else fee.note or fee.words for fee in told],
            _least(amounts) if is_like else None,
        ),
        _row(_("计费方式"), [fee.words for fee in told]),
        _row(
            _("承诺时限"),
            [days_text(offer.promised_working_days) for offer in offers],
            _least([offer.promised_working_days for offer in offers]) if is_like else None,
        ),
        _row(_("服务地区"), [regions_text(offer.served) for offer in offers]),
        _row(_("资质"), [_held_list(offer) for offer in offers]),
        _row(
            _("从业人员"),
            [
                choose(f"{count} 名", str(count))
                for count in (offer.agency.practitioners_on(clock.today()) for offer in offers)
            ],
        ),
        _row(_("服务范围"), [offer.scope or "—" for offer in offers]),
        _row(_("成果"), [_("、").join(offer.item.deliverables) for offer in offers]),
        {
            "label": _("服务编号"),
            "values": [
                Markup('<a href="{}">{}</a>').format(_with_sizes(sizes, f"/services/{offer.number}"), offer.number)
                for offer in offers
            ],
        },
    ]
    if not may("commissions.new"):
        return rows
    link = _commission_url(sizes)
    buttons = [
        Markup('<a class="button compact" href="{}">{}<span class="visually-hidden"> {}</span></a>').format(
            link(offer.number), _("委托此服务"), offer.agency.name
        )
        for offer in offers
    ]
    return [*rows, {"label": _("办理"), "values": buttons}]


def _row(label: str, values: list[str], best: int | None = None) -> dict[str, Any]:
    return {"label": label, "values": values, "differs": len(set(values)) > 1, "best": best}


def _least(values: Sequence[int | None]) -> int | None:
    """Where the lowest value stands, if there is one and no other is as low."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or len(known) < len(values) or known.count(min(known)) > 1:
        return None
    return values.index(min(known))


def _held_list(offer: Offer) -> str:
    rows = qualification_rows(offer)
    if not rows:
        return choose("本事项不要求资质", "None asked for")
    return _("；").join(
        name + choose("，有效期至 ", ", valid until ") + day(held.valid_until)
        if held.valid_until
        else name + choose("，", ", ") + words
        for held, name, _light, words in rows
    )


# /items -----------------------------------------------------------------------------------------------------


@blueprint.get("/items")
def items() -> str:
    """The catalogue by stage and category, which is also the guide to it (A1)."""
    text = unicodedata.normalize("NFKC", request.args.get("q", "")).strip()[:60]
    category, stage = request.args.get("category", ""), request.args.get("stage", "")
    known = list(shelf.guide().items.values())
    rows = [
        item
        for item in sorted(known, key=lambda each: each.code)
        if (not category or item.category == category)
        and (not stage or item.stage.value == stage)
        and _named(item, text)
    ]
    return render_template(
        "market/item_list.html",
        stages=[(one, [item for item in rows if item.stage is one]) for one in Stage],
        total=len(rows),
        counts=shelf.counts_by_item(),
        text=text,
        groups=[
            _choice(_("审批阶段"), "stage", [(one.value, one.label(language())) for one in Stage], stage),
            _choice(_("事项类别"), "category", [(c, c) for c in sorted({item.category for item in known})], category),
        ],
        kept=[(name, value) for name, value in (("category", category), ("stage", stage)) if value],
        clear_url=_query({"category": [], "stage": [], "q": []}),
        duty_of=duty_of,
        days_text=days_text,
    )


def _named(item: ServiceItem, text: str) -> bool:
    if not text:
        return True
    wanted = text.lower()
    return any(wanted in part.lower() for part in (item.code, item.name, item.name_en, *item.keywords, *item.matters))


def _choice(title: str, name: str, values: list[tuple[str, str]], chosen: str) -> dict[str, Any]:
    return {
        "title": title,
        "name": name,
        "options": [
            {
                "value": value,
                "label": label,
                "count": None,
                "selected": value == chosen,
                "url": _query({name: [] if value == chosen else [value]}),
            }
            for value, label in values
        ],
    }


@blueprint.get("/items/<code>")
def item(code: str) -> str:
    """One service item: the guide, and who offers it."""
    one = shelf.guide().item(code)
    return render_template(
        "market/item_page.html",
        item=one,
        requirement=requirement_rows(one),
        count=shelf.counts_by_item().get(one.code, 0),
        duty_of=duty_of,
        days_text=days_text,
    )


def requirement_rows(item: ServiceItem) -> list[str]:
    """What the item asks of an agency, a line each."""
    tree = shelf.guide().tree
    names = []
    for want in item.qualifications:
        code, _colon, level = want.partition(":")
        name = tree[code].name
        if level:
            highest = tree[code].levels[0] == level
            name += bracketed(level) if highest else choose(f"（{level}及以上）", f" ({level} or higher)")
        names.append(name)
    lines = []
    if names:
        how = choose("具备其一：", "One of: ") if item.qualification_mode == "any" else choose("全部具备：", "All of: ")
        lines.append((how if len(names) > 1 else "") + _("；").join(names))
    else:
        lines.append(choose("不要求资质", "No qualification"))
    if item.practitioners:
        people = "practitioner" if item.practitioners == 1 else "practitioners"
        lines.append(choose(f"从业人员不少于 {item.practitioners} 名", f"At least {item.practitioners} {people}"))
    return lines


@blueprint.get("/items.csv")
def items_csv() -> Response:
    """The catalogue, in the columns of the import."""
    heads = list(catalogue.COLUMNS)
    return send_csv("items", heads, [[row[name] for name in heads] for row in catalogue.rows_of_items()])


@blueprint.get("/items.xlsx")
def items_xlsx() -> Response:
    """The catalogue as a workbook that can be imported again."""
    heads = list(catalogue.COLUMNS)
    return send_xlsx("items", heads, [[row[name] for name in heads] for row in catalogue.rows_of_items()])
