"""The public register of agencies, and the agency's own desk: entering, qualifications, people, listings (A2, A3)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from flask import Blueprint, Response, flash, render_template, request
from flask_babel import gettext
from sqlalchemy import func, or_, select

from kernel import clock
from kernel.access import PUBLIC, Cell, Role, holders
from kernel.accounts import Organisation
from kernel.db import session
from kernel.errors import Invalid, Invalids, NotFound, PortalError
from kernel.trail import Actor
from kernel.web import act_once, bracketed, current_actor, form_errors, language, page_number, signed_in_actor
from market import agencies, catalogue, listings, shelf
from market.agencies import Agency, AgencyStatus, NameMissing, Practitioner, Qualification, Speciality
from market.catalogue import ServiceItem
from market.commissions import Commission, CommissionStatus
from market.fees import FeeKind, Measure
from market.listings import Listing, ListingStatus
from market.web import fee_form
from market.web.forms import Sheet, receive
from market.web.shelf import (
    days_text,
    duty_of,
    fee_of,
    read_sizes,
    regions_text,
    requirement_rows,
    validity_of,
)

blueprint = Blueprint("agencies", __name__)

_AGENCY = holders(Role.AGENCY)
_OFFICER = holders(Role.SUPERVISOR, Role.AUTHORITY)

ACCESS: Mapping[str, Cell] = {
    "agencies.register": PUBLIC,
    "agencies.agency": PUBLIC,
    "agencies.commitment": PUBLIC,
    "agencies.suspend": _OFFICER,
    "agencies.reinstate": _OFFICER,
    "agencies.desk": _AGENCY,
    "agencies.enter": _AGENCY,
    "agencies.new_qualification": _AGENCY,
    "agencies.new_practitioner": _AGENCY,
    "agencies.new_listing": _AGENCY,
    "agencies.fee": _AGENCY,
    "agencies.publish": _AGENCY,
    "agencies.withdraw": _AGENCY,
}
LINKS: Mapping[str, Callable[[str], str]] = {"agency": lambda number: f"/agencies/{number}"}
PAGE = 20
_ACCEPT = ".pdf,.ofd,.jpg,.jpeg,.png"
_SPLIT = re.compile(r"[、,，;；\s]+")
#: What keeps its fee when a listing changes.
_RUNNING = (
    CommissionStatus.OFFERED,
    CommissionStatus.TAKEN_ON,
    CommissionStatus.IN_SERVICE,
    CommissionStatus.DELIVERED,
)


class CertificateKnown(Invalid):
    code = "certificate_known"
    zh = "证书编号“{value}”已登记，无需重复登记"
    en = "The certificate “{value}” is on file already"


def _(text: str, **values: object) -> str:
    return str(gettext(text, **values))


def _errors(error: PortalError | None) -> dict[str, Any]:
    """The error summary and the words at each field."""
    pairs = form_errors(error) if error else []
    return {"form_errors": pairs, "errors": {name: words for name, words in reversed(pairs) if name}}


def _mendable(error: PortalError) -> PortalError:
    """The error, if the form can be shown again with it; else it goes on to the error page."""
    if error.status >= 500 or isinstance(error, NotFound) or error.status == 400:
        raise error
    return error


# The public register ----------------------------------------------------------------------------------------


@blueprint.get("/agencies")
def register() -> str:
    """Every agency that has entered, whatever its state; nobody is chosen for anybody."""
    text = unicodedata.normalize("NFKC", request.args.get("q", "")).strip()[:60]
    speciality, region = request.args.get("speciality", ""), request.args.get("region", "")
    tree = shelf.guide().tree
    statement = (
        select(
            Agency.id,
            Agency.number,
            Organisation.name,
            Agency.status,
            Agency.regions,
            Agency.admitted_at,
            _count(Practitioner.id, Practitioner.agency_id == Agency.id),
            _count(Listing.id, Listing.agency_id == Agency.id, Listing.status == ListingStatus.PUBLISHED),
            func.count().over(),
        )
        .join(Organisation, Organisation.id == Agency.organisation_id)
        .order_by(Agency.status != AgencyStatus.ADMITTED, Agency.number)
    )
    if text:
        like = f"%{text.replace('%', '').replace('_', '')}%"
        statement = statement.where(
            or_(Organisation.name.ilike(like), Agency.number.ilike(like), Organisation.credit_code.ilike(like))
        )
    if speciality in tree:
        below = [code for code in tree if code == speciality or code.startswith(f"{speciality}.")]
        held = select(Qualification.agency_id).where(Qualification.speciality_code.in_(below))
        statement = statement.where(Agency.id.in_(held))
    if region:
        statement = statement.where(Agency.regions.contains([region]))
    page = page_number()
    rows = session.execute(statement.limit(PAGE).offset((page - 1) * PAGE)).all()
    total = rows[0][-1] if rows else 0
    qualifications = _qualifications_of([row[0] for row in rows], tree)
    regions = sorted(
        {name for names in session.scalars(select(Agency.regions).distinct().limit(500)) for name in names}
    )
    return render_template(
        "market/agency_list.html",
        rows=[(row, qualifications.get(row[0], [])) for row in rows],
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE)),
        text=text,
        speciality=speciality,
        region=region,
        specialities=[(code, one.name) for code, one in sorted(tree.items()) if not one.parent_code],
        regions=[(name, name) for name in regions],
        statuses=AgencyStatus,
        regions_text=regions_text,
    )


def _count(column: Any, *conditions: Any) -> Any:
    return select(func.count(column)).where(*conditions).correlate(Agency).scalar_subquery()


def _qualifications_of(ids: Sequence[int], tree: Mapping[str, Speciality]) -> dict[int, list[tuple[str, str, str]]]:
    """Agency id → (name, light, words) of each qualification."""
    found: dict[int, list[tuple[str, str, str]]] = {}
    if ids:
        rows = session.execute(
            select(
                Qualification.agency_id,
                Qualification.speciality_code,
                Qualification.level,
                Qualification.valid_from,
                Qualification.valid_until,
            )
            .where(Qualification.agency_id.in_(ids))
            .order_by(Qualification.speciality_code)
        )
        for agency_id, code, level, start, until in rows:
            name = tree[code].name + (bracketed(level) if level else "")
            found.setdefault(agency_id, []).append((name, *validity_of(until, start)))
    return found


@blueprint.get("/agencies/<number>")
def agency(number: str) -> str:
    """One agency as everybody may see it: certificates, numbers of people, services, and why it is suspended."""
    record = agencies.by_number(number)
    actor = current_actor()
    today = clock.today()
    offers = shelf.on_shelf(shelf.offers_of_agency(number), today)
    sizes = read_sizes(actor)
    staff: dict[str, int] = {}
    for one in record.practitioners:
        if one.valid_until is None or one.valid_until >= today:
            staff[one.profession] = staff.get(one.profession, 0) + 1
    return render_template(
        "market/agency_page.html",
        agency=record,
        status_kind=_status_kind(record.status),
        qualifications=_held_rows(record),
        staff=sorted(staff.items()),
        offers=[(offer, fee_of(offer, sizes.figures)) for offer in offers],
        may_suspend=actor is not None and _OFFICER.allows(actor) and record.status == AgencyStatus.ADMITTED,
        may_reinstate=actor is not None and _OFFICER.allows(actor) and record.status == AgencyStatus.SUSPENDED,
        is_own=actor is not None and agencies.is_member(record, actor),
        days_text=days_text,
        regions_text=regions_text,
    )


def _status_kind(status: AgencyStatus) -> str:
    return {AgencyStatus.ADMITTED: "good", AgencyStatus.SUSPENDED: "bad"}.get(status, "neutral")


def _held_rows(record: Agency) -> list[tuple[Qualification, str, str, str]]:
    return [
        (
            held,
            held.speciality.name + (bracketed(held.level) if held.level else ""),
            *validity_of(held.valid_until, held.valid_from),
        )
        for held in record.qualifications
    ]


@blueprint.get("/agencies/commitment")
def commitment() -> str:
    """The wording that agencies commit themselves to on entering."""
    return render_template("market/agency_commitment.html", letter=letter(), version=agencies.COMMITMENT_VERSION)


def letter() -> dict[str, Any]:
    """The commitment letter in the reader's language: title, introduction, clauses."""
    name = "commitment.en.md" if language() == "en" else "commitment.md"
    lines = [line for line in (catalogue.DATA / name).read_text(encoding="utf-8").splitlines() if line.strip()]
    return {
        "title": lines[0].removeprefix("# "),
        "introduction": lines[1],
        "clauses": [line.partition(". ")[2] for line in lines[2:]],
    }


# Suspension -------------------------------------------------------------------------------------------------


@blueprint.route("/agencies/<number>/suspend", methods=["GET", "POST"])
def suspend(number: str) -> Response | tuple[str, int] | str:
    """Take an agency off the shelf, with its reason."""

    def act(record: Agency, actor: Actor, version: int) -> None:
        agencies.suspend(record, request.form.get("reason", ""), by=actor, expected_version=version)

    return _supervise(number, act, "suspend", _("已暂停该机构的服务资格"))


@blueprint.route("/agencies/<number>/reinstate", methods=["GET", "POST"])
def reinstate(number: str) -> Response | tuple[str, int] | str:
    """Let an agency serve again."""

    def act(record: Agency, actor: Actor, version: int) -> None:
        agencies.reinstate(record, by=actor, expected_version=version)

    return _supervise(number, act, "reinstate", _("已恢复该机构的服务资格"))


def _supervise(
    number: str, verb: Callable[[Agency, Actor, int], None], name: str, done: str
) -> Response | tuple[str, int]:
    actor = signed_in_actor()
    error: PortalError | None = None
    if request.method == "POST":

        def act() -> str:
            record = agencies.by_number(number, lock=True)
            verb(record, actor, _version())
            return f"/agencies/{number}"

        try:
            answer = act_once(act)
        except PortalError as caught:
            error = _mendable(caught)
        else:
            flash(done, "success")
            return answer
    record = agencies.by_number(number)
    running = session.scalar(
        select(func.count())
        .select_from(Commission)
        .where(Commission.agency_id == record.id, Commission.status.in_(_RUNNING))
    )
    html = render_template(
        "market/agency_suspension.html",
        agency=record,
        verb=name,
        running=running,
        published=len(shelf.offers_of_agency(number)),
        reason=request.form.get("reason", ""),
        **_errors(error),
    )
    return html, error.status if error else 200


def _version() -> int:
    text = request.form.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


# The agency's desk ------------------------------------------------------------------------------------------


def _mine(actor: Actor, *, lock: bool = False) -> Agency:
    """The actor's agency, entered already."""
    record = agencies.of_organisation(actor.organisation_id) if actor.organisation_id is not None else None
    if record is None:
        raise NotFound
    return agencies.by_number(record.number, lock=True) if lock else record


@blueprint.get("/desk")
def desk() -> str:
    """Where an agency keeps what the public sees of it; before entering, the commitment letter."""
    actor = signed_in_actor()
    record = agencies.of_organisation(actor.organisation_id) if actor.organisation_id is not None else None
    if record is None:
        return _entry_page(None)
    return _desk_page(record)


def _entry_page(error: PortalError | None) -> str:
    return render_template(
        "market/desk_entry.html",
        letter=letter(),
        version=agencies.COMMITMENT_VERSION,
        typed=request.form,
        **_errors(error),
    )


def _desk_page(record: Agency) -> str:
    today = clock.today()
    own = listings.of_agency(record)
    rows = []
    for one in own:
        lack = agencies.shortfall(record, one.item.requirement, today)
        rows.append(
            (
                one,
                shelf.fee_in_words(one.rule, language()),
                (lack.en if language() == "en" else lack.zh) if lack else None,
            )
        )
    tasks = [
        {
            "label": _("登记从业人员"),
            "url": "/desk/practitioners/new",
            "status": "done" if record.practitioners else "todo",
            "hint": _("已登记 %(count)s 名。", count=len(record.practitioners)),
        },
        {
            "label": _("登记资质"),
            "url": "/desk/qualifications/new",
            "status": "done" if record.qualifications else "todo",
            "hint": _("已登记 %(count)s 项。不要求资质的事项可直接上架。", count=len(record.qualifications)),
        },
        {
            "label": _("登记服务与收费"),
            "url": "/desk/listings/new",
            "status": "done" if any(one.status == ListingStatus.PUBLISHED for one in own) else "todo",
            "hint": _("已上架 %(count)s 项。", count=sum(1 for one in own if one.status == ListingStatus.PUBLISHED)),
        },
    ]
    return render_template(
        "market/desk_page.html",
        agency=record,
        status_kind=_status_kind(record.status),
        tasks=tasks,
        rows=rows,
        qualifications=_held_rows(record),
        practitioners=[(one, *validity_of(one.valid_until)) for one in record.practitioners],
        days_text=days_text,
        listing_kinds={ListingStatus.PUBLISHED: "good", ListingStatus.DRAFT: "info"},
    )


@blueprint.post("/desk/enter")
def enter() -> Response | tuple[str, int]:
    """Enter the supermarket: the commitment, and nothing else to wait for."""
    actor = signed_in_actor()

    def act() -> str:
        organisation = session.get(Organisation, actor.organisation_id)
        if organisation is None:
            raise NotFound
        agencies.admit(
            organisation,
            by=actor,
            commitment_agreed=bool(request.form.get("commitment")),
            regions=split(request.form.get("regions", "")),
            introduction=request.form.get("introduction", "")[:2000],
        )
        return "/desk"

    try:
        answer = act_once(act)
    except PortalError as error:
        return _entry_page(_mendable(error)), error.status
    flash(_("入驻成功，现在可以登记服务与收费"), "success")
    return answer


def split(text: str) -> list[str]:
    """A list as people type it: by commas, semicolons, enumeration commas, spaces or lines."""
    return list(dict.fromkeys(part for part in _SPLIT.split(text) if part))


@blueprint.route("/desk/qualifications/new", methods=["GET", "POST"])
def new_qualification() -> Response | tuple[str, int]:
    """Put a certificate on file, with its scan."""
    actor = signed_in_actor()
    record = _mine(actor)
    sheet, error = receive(("files",)), None
    kept: dict[str, Any] = {}
    if request.method == "POST":

        def act() -> str:
            _file_qualification(sheet, actor)
            return "/desk"

        try:
            answer = act_once(act)
        except PortalError as caught:
            error = _mendable(caught)
            kept = sheet.keep(actor)
        else:
            flash(_("资质已登记"), "success")
            return answer
    tree = shelf.guide().tree
    parents = {one.parent_code for one in tree.values()}
    html = render_template(
        "market/desk_qualification.html",
        agency=record,
        typed=request.form,
        kept=kept.get("files", []),
        accept=_ACCEPT,
        specialities=[
            (code, f"{code} {one.name}" + (bracketed(_("、").join(one.levels)) if one.levels else ""))
            for code, one in sorted(tree.items())
            if code not in parents
        ],
        levels=[(level, level) for level in dict.fromkeys(level for one in tree.values() for level in one.levels)],
        **_errors(error),
    )
    return html, error.status if error else 200


def _file_qualification(sheet: Sheet, actor: Actor) -> None:
    errors: list[PortalError] = []
    days: dict[str, date | None] = {}
    for name in ("valid_from", "valid_until"):
        try:
            days[name] = sheet.day(name)
        except PortalError as error:
            errors.append(error)
    if "valid_from" in days and days["valid_from"] is None:
        errors.append(NameMissing(field="valid_from", what="有效期起", what_en="the first day of validity"))
    documents = []
    try:
        documents = sheet.documents("files", actor)
    except PortalError as error:
        errors += error.errors if isinstance(error, Invalids) else [error]
    start, record = days.get("valid_from"), _mine(actor, lock=True)
    if any(
        (held.speciality_code, held.certificate) == (sheet.text("speciality"), sheet.text("certificate").strip())
        for held in record.qualifications
    ):
        errors.append(CertificateKnown(field="certificate", value=sheet.text("certificate").strip()))
        raise Invalids(errors)
    try:
        agencies.file_qualification(
            record,
            sheet.text("speciality"),
            sheet.text("level"),
            sheet.text("certificate"),
            valid_from=start or clock.today(),
            valid_until=days.get("valid_until"),
            by=actor,
            document=documents[0] if documents else None,
        )
    except Invalids as error:
        errors += error.errors
    if errors:
        raise Invalids(errors)


@blueprint.route("/desk/practitioners/new", methods=["GET", "POST"])
def new_practitioner() -> Response | tuple[str, int]:
    """Put a practitioner on file."""
    actor = signed_in_actor()
    record = _mine(actor)
    error: PortalError | None = None
    if request.method == "POST":
        sheet = receive()

        def act() -> str:
            own, certificate = _mine(actor, lock=True), sheet.text("certificate").strip()
            if any(one.certificate == certificate for one in own.practitioners):
                raise CertificateKnown(field="certificate", value=certificate)
            agencies.file_practitioner(
                own,
                sheet.text("name"),
                sheet.text("profession"),
                sheet.text("certificate"),
                valid_until=sheet.day("valid_until"),
                by=actor,
            )
            return "/desk/practitioners/new" if sheet.text("more") else "/desk"

        try:
            answer = act_once(act)
        except PortalError as caught:
            error = _mendable(caught)
        else:
            flash(_("从业人员已登记"), "success")
            return answer
    html = render_template("market/desk_practitioner.html", agency=record, typed=request.form, **_errors(error))
    return html, error.status if error else 200


# Listings ---------------------------------------------------------------------------------------------------


@blueprint.route("/desk/listings/new", methods=["GET", "POST"])
def new_listing() -> Response | tuple[str, int] | str:
    """Offer an item: choose it, choose how the fee is charged, then fee and days."""
    actor = signed_in_actor()
    record = _mine(actor)
    code = request.values.get("item", "")
    if not code:
        return _choose_item(record)
    item = catalogue.by_code(code)
    kind = next((one for one in FeeKind if one.value == request.values.get("kind")), None)
    error: PortalError | None = None
    if request.method == "POST":
        sheet = receive()

        def act() -> str:
            rule, days = _read_offer(sheet)
            agency_ = _mine(actor, lock=True)
            made = listings.draft(
                agency_,
                catalogue.by_code(code),
                rule,
                promised_working_days=days,
                by=actor,
                scope=sheet.text("scope")[:2000],
                regions=split(sheet.text("regions")),
            )
            return f"/desk/listings/{made.number}/publish"

        try:
            answer = act_once(act)
        except PortalError as caught:
            error = _mendable(caught)
        else:
            flash(_("已保存，请核对后上架"), "success")
            return answer
    typed: Mapping[str, str] = request.form or fee_form.initial(None, item.default_unit) | {
        "kind": kind.value if kind else "",
        "promised_working_days": str(item.promised_working_days),
        "regions": "、".join(record.regions),
    }
    lack = agencies.shortfall(record, item.requirement, clock.today())
    html = render_template(
        "market/desk_listing.html",
        item=item,
        listing=None,
        kind=kind,
        typed=typed,
        requirement=requirement_rows(item),
        lack=(lack.en if language() == "en" else lack.zh) if lack else None,
        **_fee_context(),
        **_errors(error),
    )
    return html, error.status if error else 200


def _choose_item(record: Agency) -> str:
    mine = {one.item_id: one.number for one in listings.of_agency(record)}
    text = request.args.get("q", "").strip()[:60]
    today = clock.today()
    rows: list[tuple[ServiceItem, str | None, str | None]] = []
    for item in shelf.guide().items.values():
        if text and not any(text in part for part in (item.name, item.code, item.category, *item.keywords)):
            continue
        lack = agencies.shortfall(record, item.requirement, today) if item.id not in mine else None
        words = (lack.en if language() == "en" else lack.zh) if lack else None
        rows.append((item, mine.get(item.id), words))
    rows.sort(key=lambda row: (row[2] is not None, row[0].code))
    return render_template("market/desk_items.html", rows=rows, text=text, days_text=days_text)


def _fee_context() -> dict[str, Any]:
    tongue = language()
    return {
        "kinds": [(one.value, one.label(tongue), _kind_hint(one)) for one in FeeKind],
        "measures": [(one.value, one.label(tongue)) for one in Measure],
        "band_rows": (range(1, fee_form.SHOWN + 1), range(fee_form.SHOWN + 1, fee_form.ROWS + 1)),
        "duty_of": duty_of,
        "most_days": listings.MOST_DAYS,
    }


def _kind_hint(kind: FeeKind) -> str:
    return {
        FeeKind.FIXED: _("每项服务一个总价，与规模无关。"),
        FeeKind.UNIT: _("单价乘以面积、投资或者数量，可设最低收费。"),
        FeeKind.BANDS: _("按投资额或者面积分档，各档分别计费后相加。"),
        FeeKind.NEGOTIABLE: _("公布最高价，具体金额在委托时商定。"),
        FeeKind.DISCOUNT: _("在公布的收费标准基础上统一下浮。"),
    }[kind]


def _read_offer(sheet: Sheet) -> tuple[Any, int]:
    """Fee rule and promised days of the form. Raises Invalids with everything that is wrong."""
    errors: list[PortalError] = []
    rule, days = None, 0
    try:
        rule = fee_form.read(sheet.typed)
    except Invalids as error:
        errors += error.errors
    try:
        days = sheet.whole("promised_working_days", ("承诺时限", "promised days"))
        if not 1 <= days <= listings.MOST_DAYS:
            raise listings.DaysInvalid(field="promised_working_days", most=listings.MOST_DAYS)
    except PortalError as error:
        errors.append(error)
    if errors:
        raise Invalids(errors)
    return rule, days


def _own_listing(number: str, actor: Actor, *, lock: bool = False) -> Listing:
    """A listing of the actor's agency; others' are not found."""
    if lock:
        _mine(actor, lock=True)
        session.execute(select(Listing.id).where(Listing.number == number).with_for_update())
        session.expire_all()
    listing = listings.by_number(number)
    if not listings.is_own(listing, actor):
        raise NotFound
    return listing


@blueprint.route("/desk/listings/<number>/fee", methods=["GET", "POST"])
def fee(number: str) -> Response | tuple[str, int]:
    """Change fee or days for later commissions."""
    actor = signed_in_actor()
    listing = _own_listing(number, actor)
    item, rule = listing.item, listing.rule
    error: PortalError | None = None
    if request.method == "POST":
        sheet = receive()

        def act() -> str:
            changed, days = _read_offer(sheet)
            listings.reprice(
                _own_listing(number, actor, lock=True),
                changed,
                promised_working_days=days,
                by=actor,
                reason=sheet.text("reason")[:500].strip(),
                expected_version=_version(),
            )
            return "/desk"

        try:
            answer = act_once(act)
        except PortalError as caught:
            error = _mendable(caught)
            listing = _own_listing(number, actor)
        else:
            flash(_("收费已调整，进行中的委托仍按原收费执行"), "success")
            return answer
    kind = next((one for one in FeeKind if one.value == request.values.get("kind")), rule.kind)
    typed = request.form or fee_form.initial(rule if kind is rule.kind else None, item.default_unit) | {
        "kind": kind.value,
        "promised_working_days": str(listing.promised_working_days),
    }
    running = session.execute(
        select(Commission.number, Commission.fee)
        .where(Commission.listing_id == listing.id, Commission.status.in_(_RUNNING))
        .order_by(Commission.id)
        .limit(50)
    ).all()
    html = render_template(
        "market/desk_listing.html",
        item=item,
        listing=listing,
        kind=kind,
        typed=typed,
        running=running,
        present=shelf.fee_in_words(rule, language()),
        lack=None,
        requirement=requirement_rows(item),
        **_fee_context(),
        **_errors(error),
    )
    return html, error.status if error else 200


@blueprint.route("/desk/listings/<number>/publish", methods=["GET", "POST"])
def publish(number: str) -> Response | tuple[str, int]:
    """Put a listing on the shelf, after a look at what everybody will see."""
    return _confirm(number, "publish", _("已上架，公众现在可以查到"))


@blueprint.route("/desk/listings/<number>/withdraw", methods=["GET", "POST"])
def withdraw(number: str) -> Response | tuple[str, int]:
    """Take a listing off the shelf."""
    return _confirm(number, "withdraw", _("已下架，进行中的委托不受影响"))


def _confirm(number: str, verb: str, done: str) -> Response | tuple[str, int]:
    actor = signed_in_actor()
    listing = _own_listing(number, actor)
    error: PortalError | None = None
    if request.method == "POST":

        def act() -> str:
            own = _own_listing(number, actor, lock=True)
            step = listings.publish if verb == "publish" else listings.withdraw
            step(own, by=actor, expected_version=_version())
            return "/desk"

        try:
            answer = act_once(act)
        except PortalError as caught:
            error = _mendable(caught)
            listing = _own_listing(number, actor)
        else:
            flash(done, "success")
            return answer
    lack = agencies.shortfall(listing.agency, listing.item.requirement, clock.today())
    html = render_template(
        "market/desk_confirm.html",
        listing=listing,
        verb=verb,
        words=shelf.fee_in_words(listing.rule, language()),
        bands=[shelf.band_in_words(listing.rule, band, language()) for band in listing.rule.bands],
        lack=(lack.en if language() == "en" else lack.zh) if lack and verb == "publish" else None,
        days_text=days_text,
        regions_text=regions_text,
        **_errors(error),
    )
    return html, error.status if error else 200
