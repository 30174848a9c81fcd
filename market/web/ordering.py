"""The form that commissions a listing: project, phase, quantity, materials, message; five questions at most (A5)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernel import clock, dossier, money, projects
from kernel.accounts import Organisation
from kernel.db import session
from kernel.dossier import Entry
from kernel.errors import Invalid, Invalids, NotFound, PortalError
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.trail import Actor
from kernel.web import bracketed, choose
from market import commissions, fees, recusals
from market.commissions import Commission, CommissionStatus, Picked
from market.fees import FeeKind, Measure
from market.listings import Listing
from market.web.acts import agreed_fee, arithmetic
from market.web.forms import Sheet, assign, stem

#: Projects whose dossiers are looked through for materials when the form does not name one yet.
MOST_PROJECTS = 10


class ForeignEntry(Invalid):
    code = "foreign_entry"
    zh = "所选材料“{title}”不在项目 {project} 的材料库中，请重新选择或上传"
    en = "“{title}” is not in the dossier of {project}; choose again or upload it"


class EntryUnusable(Invalid):
    code = "entry_unusable"
    zh = "所选材料“{title}”不能引用：{reason_zh}"
    en = "“{title}” cannot be used: {reason_en}"


class PhaseElsewhere(Invalid):
    code = "phase_elsewhere"
    zh = "所选工程不属于该项目，请重新选择"
    en = "This phase belongs to another project; choose again"


class QuantityInvalid(Invalid):
    code = "quantity_invalid"
    zh = "数量应为 1 至 999,999 的整数"
    en = "The quantity is a whole number from 1 to 999,999"


@dataclass(frozen=True, slots=True)
class Order:
    """Everything the form's page shows."""

    listing: Listing
    project: Project | None
    my_projects: Sequence[Project]
    values: Mapping[str, str]
    materials: Sequence[Mapping[str, Any]]
    asks_quantity: bool
    unit: str
    asks_fee: bool
    ceiling: str
    fee: Any
    draft: Commission | None
    kept: Sequence[Document]


def asks_quantity(listing: Listing) -> bool:
    return listing.rule.measure is Measure.QUANTITY and listing.rule.kind is not FeeKind.NEGOTIABLE


def describe(
    listing: Listing,
    actor: Actor,
    values: Mapping[str, str],
    *,
    draft: Commission | None = None,
    kept: Sequence[Document] = (),
) -> Order:
    """The form for ``listing`` with what is known or was typed so far."""
    mine = projects.of_organisation(actor.organisation_id) if actor.organisation_id else []
    project = _known_project(values.get("project_code", ""), mine)
    if not values.get("project_code") and len(mine) == 1:
        project = mine[0]
        values = dict(values) | {"project_code": project.code}
    rule = listing.rule
    fee = None
    quote = fees.quote(rule, commissions.figures_of(project, None)) if project else None
    if quote is not None and quote.amount is not None:
        fee = arithmetic([(line.zh, line.en, line.amount) for line in quote.lines], quote.amount)
    return Order(
        listing=listing,
        project=project,
        my_projects=mine,
        values=values,
        materials=_choices(listing, [project] if project else mine[:MOST_PROJECTS], values, draft),
        asks_quantity=asks_quantity(listing),
        unit=rule.unit or choose(*fees.MEASURE_UNITS[Measure.QUANTITY]),
        asks_fee=rule.kind is FeeKind.NEGOTIABLE,
        ceiling=money.format(rule.amount) if rule.kind is FeeKind.NEGOTIABLE else "",
        fee=fee,
        draft=draft,
        kept=kept,
    )


def values_of(draft: Commission) -> dict[str, str]:
    """The form as a draft answers it, for changing the draft."""
    return {
        "project_code": draft.project.code,
        "phase": draft.phase.code if draft.phase else "",
        "quantity": str(draft.quantity or ""),
        "message": draft.message,
        "needed_for": draft.needed_for,
    }


def place(listing: Listing, sheet: Sheet, *, by: Actor, replaces: Commission | None = None) -> Commission:
    """Store the form as a draft, and give up the draft that it replaces. Call inside a transaction.

    Raises:
        Invalids or a single incident, each at its field; listings.ListingNotInForce, recusals.MustRecuse.
    """
    client = session.get(Organisation, by.organisation_id) if by.organisation_id else None
    if client is None:
        raise NotFound
    faults: list[PortalError] = []
    project, phase = _project(sheet, by, faults)
    quantity = _quantity(listing, sheet, faults)
    try:
        uploaded = sheet.documents("files", by)
    except PortalError as error:
        faults += error.errors if isinstance(error, Invalids) else [error]
        uploaded = []
    picked = _picked(listing, project, sheet, uploaded, replaces, by, faults) if project else []
    if project is not None and not faults:
        try:
            commissions.price(listing, project, quantity=quantity, agreed_fee=agreed_fee(sheet.text("agreed_fee")))
        except PortalError as error:
            # A figure of the project is not among this form's questions; it is mended at the project.
            if error.field == "quantity" and not asks_quantity(listing):
                error.field = "project_code"
            faults.append(error)
    if faults or project is None:
        raise Invalids(faults) if len(faults) > 1 else faults[0]
    draft = commissions.draft(
        project,
        listing,
        client,
        by=by,
        phase=phase,
        quantity=quantity,
        message=sheet.text("message"),
        needed_for=sheet.text("needed_for")[:40],
    )
    commissions.hand_in(draft, picked)
    recusal = recusals.reason(
        listing.agency.organisation,
        client,
        reviews=listing.item.technical_review,
        reviewed=[one.entry for one in picked if one.entry is not None],
    )
    if recusal is not None:
        raise recusals.MustRecuse(reason_zh=recusal.zh, reason_en=recusal.en)
    if replaces is not None and replaces.status == CommissionStatus.DRAFT:
        commissions.cancel(replaces, choose(f"已修改为 {draft.number}", f"changed into {draft.number}"), by=by)
    return draft


def _known_project(typed: str, mine: Sequence[Project]) -> Project | None:
    """The project of a code as typed, if it is one's own; the form then asks its phase and shows its dossier."""
    try:
        code, _engineering = projects.split_code(projects.parse_code(typed))
    except projects.BadProjectCode:
        return None
    return next((project for project in mine if project.code == code), None)


def _choices(
    listing: Listing, from_projects: Sequence[Project], values: Mapping[str, str], draft: Commission | None
) -> list[dict[str, Any]]:
    """For each required material the documents it can be picked from, the likely one chosen."""
    today = clock.today()
    entries = [
        (entry, project)
        for project in from_projects
        for entry in dossier.entries_of(project)
        if dossier.stand(entry, today).can_rely
    ]
    before = {material.name: material for material in draft.materials} if draft else {}
    rows = []
    for index, name in enumerate(listing.item.required_materials, start=1):
        options = [
            (
                f"entry:{entry.number}",
                choose("材料库：", "Dossier: ")
                + entry.title
                + bracketed(choose("，", ", ").join((entry.issuer, entry.number)))
                + (f" {project.code}" if len(from_projects) > 1 else ""),
            )
            for entry, project in entries
        ]
        chosen = next((f"entry:{entry.number}" for entry, _project in entries if _same(entry.title, name)), "")
        kept = before.get(name)
        if kept is not None and kept.entry is not None:
            chosen = f"entry:{kept.entry.number}"
        for number, file_name in {
            m.document.number: m.document.name for m in before.values() if m.entry is None
        }.items():
            options.insert(0, (f"file:{number}", choose("已上传：", "Uploaded: ") + file_name))
        if kept is not None and kept.entry is None:
            chosen = f"file:{kept.document.number}"
        field = f"material-{index}"
        chosen = values.get(field, chosen)
        rows.append({"name": name, "field": field, "options": options, "chosen": chosen, "is_likely": bool(chosen)})
    return rows


def _same(one: str, other: str) -> bool:
    return unicodedata.normalize("NFKC", one).strip() == unicodedata.normalize("NFKC", other).strip()


def _project(sheet: Sheet, by: Actor, faults: list[PortalError]) -> tuple[Project | None, Phase | None]:
    try:
        project, phase = projects.find(sheet.text("project_code"))
    except PortalError as error:
        faults.append(error)
        return None, None
    if not projects.is_owner(project, by):
        faults.append(commissions.NotYourProject(field="project_code", value=project.code))
        return None, None
    wanted = sheet.text("phase")
    if phase is None and wanted:
        phase = next((one for one in project.phases if one.code == wanted), None)
        if phase is None:
            faults.append(PhaseElsewhere(field="phase"))
    return project, phase


def _quantity(listing: Listing, sheet: Sheet, faults: list[PortalError]) -> int | None:
    if not asks_quantity(listing):
        return None
    try:
        count = sheet.whole("quantity", ("数量", "the quantity"))
    except PortalError as error:
        faults.append(error)
        return None
    if not 1 <= count <= 999_999:
        faults.append(QuantityInvalid(field="quantity"))
        return None
    return count


def _picked(
    listing: Listing,
    project: Project,
    sheet: Sheet,
    uploaded: Sequence[Document],
    replaces: Commission | None,
    by: Actor,
    faults: list[PortalError],
) -> list[Picked]:
    """The materials of the form: chosen ones first, then the uploads matched to the rest."""
    today = clock.today()
    picked: list[Picked] = []
    waiting: list[str] = []
    earlier = {m.document.number: m.document for m in replaces.materials if m.entry is None} if replaces else {}
    for index, name in enumerate(listing.item.required_materials, start=1):
        field = f"material-{index}"
        kind, _, number = sheet.text(field).partition(":")
        if kind == "entry":
            entry = _entry(number, project, field, today, faults)
            if entry is not None:
                picked.append(Picked(name, entry=entry))
        elif kind == "file" and number in earlier:
            picked.append(Picked(name, document=earlier[number]))
        else:
            waiting.append(name)
    found, rest = assign(waiting, uploaded)
    picked += [Picked(name, document=document) for name, document in found.items()]
    picked += [Picked(stem(document.name), document=document) for document in rest]
    faults += [commissions.MaterialMissing(field="files", name=name) for name in waiting if name not in found]
    return picked


def _entry(number: str, project: Project, field: str, today: Any, faults: list[PortalError]) -> Entry | None:
    try:
        entry = dossier.by_number(number)
    except NotFound:
        faults.append(ForeignEntry(field=field, title=number, project=project.code))
        return None
    if entry.project_id != project.id:
        # Its title is told only to those who could see it anyway.
        faults.append(ForeignEntry(field=field, title=number, project=project.code))
        return None
    standing = dossier.stand(entry, today)
    if not standing.can_rely:
        faults.append(
            EntryUnusable(field=field, title=entry.title, reason_zh=standing.reason_zh, reason_en=standing.reason_en)
        )
        return None
    return entry
