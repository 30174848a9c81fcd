"""Filling a commission in: project, listing, materials, the fee it will cost (001 §9.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernel import clock, dossier, money, numbers, trail, workflow
from kernel.accounts import Organisation
from kernel.db import session
from kernel.dossier import Entry
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.statements import store
from kernel.trail import Actor
from market import fees, listings
from market.commissions.faults import AgreedFeeInvalid, ChosenOtherwise, FeeUnknown, MaterialMissing, NotYourProject
from market.commissions.life import STEPS
from market.commissions.records import NUMBER, Commission, CommissionMaterial, CommissionStatus, Payer, Route
from market.fees import Figures, Quote
from market.listings import Listing


@dataclass(frozen=True, slots=True)
class Picked:
    """A material handed in: its name on the item's list, and a dossier entry or an uploaded document."""

    name: str
    entry: Entry | None = None
    document: Document | None = None


def figures_of(project: Project, quantity: int | None = None) -> Figures:
    """The figures of a project that fees are computed from."""
    return Figures(project.investment, project.building_area, project.land_area, quantity)


def draft(
    project: Project,
    listing: Listing,
    client: Organisation,
    *,
    by: Actor,
    phase: Phase | None = None,
    quantity: int | None = None,
    message: str = "",
    needed_for: str = "",
) -> Commission:
    """Begin a commission for a project of one's own; nobody else sees it before :func:`offer`.

    Raises:
        NotYourProject, listings.ListingNotInForce.
    """
    if project.organisation_id != client.id or by.organisation_id != client.id:
        raise NotYourProject(field="project_code", value=project.code)
    if not listings.in_force(listing):
        raise listings.ListingNotInForce
    commission = Commission(
        number=numbers.following(NUMBER),
        status=CommissionStatus.DRAFT,
        version=1,
        route=Route.MENU,
        project=project,
        phase=phase,
        item=listing.item,
        listing=listing,
        agency=listing.agency,
        client=client,
        applicant_id=project.organisation_id,
        payer=Payer.SELF,
        quote=[],
        quantity=quantity,
        promised_working_days=listing.promised_working_days,
        message=message.strip(),
        needed_for=needed_for,
        draft_at=clock.now(),
        materials=[],
        inquiries=[],
    )
    store(commission)
    trail.record(
        commission.subject, "commission.drafted", by=by, is_first=True, project=project.code, item=listing.item.code
    )
    return commission


def choose(commission: Commission, listing: Listing, *, by: Actor) -> None:
    """Point a draft at another listing of the same item (after a decline, a lapse or a change of mind).

    Raises:
        workflow.MoveNotOpen: it is no draft of the actor's. listings.ListingNotInForce. ChosenOtherwise.
    """
    workflow.check(commission, STEPS, "offer", by=by)
    if commission.route is not Route.MENU:
        raise ChosenOtherwise(route=commission.route.zh, route_en=commission.route.en)
    choose_directly(commission, listing)


def choose_directly(commission: Commission, listing: Listing) -> None:
    """The same for a caller that has checked whose move it is.

    Raises:
        listings.ListingNotInForce: it is not of this item, or not to be had.
    """
    if listing.item_id != commission.item_id or not listings.in_force(listing):
        raise listings.ListingNotInForce
    commission.listing = listing
    commission.agency = listing.agency
    commission.promised_working_days = listing.promised_working_days
    commission.version += 1  # whoever confirms what they saw before is told


def hand_in(commission: Commission, picked: Sequence[Picked]) -> None:
    """Attach materials: picked from the project's own dossier, or uploaded once.

    Raises:
        dossier.CannotRely: an entry that is superseded, expired, withdrawn or of another project.
    """
    for one in picked:
        if one.entry is not None:
            standing = dossier.stand(one.entry, clock.today())
            if one.entry.project_id != commission.project_id:
                standing = dossier.Standing(False, "不属于本项目", "it belongs to another project")
            if not standing.can_rely:
                raise dossier.CannotRely(
                    field="materials", number=one.entry.number, reason=standing.reason_zh, reason_en=standing.reason_en
                )
        document = one.entry.document if one.entry else one.document
        if document is None:
            raise MaterialMissing(field="materials", name=one.name)
        commission.materials.append(
            CommissionMaterial(
                name=one.name,
                entry=one.entry,
                document=document,
                sha256=document.sha256,
                added_at=clock.now(),
            )
        )
    session.flush()


def missing_materials(commission: Commission) -> list[str]:
    """The item's required materials that are not handed in yet."""
    have = {material.name for material in commission.materials}
    return [name for name in commission.item.required_materials if name not in have]


def price(listing: Listing, project: Project, *, quantity: int | None, agreed_fee: int | None) -> tuple[int, Quote]:
    """The fee to be offered, in fen.

    Raises:
        FeeUnknown: the project lacks a figure. AgreedFeeInvalid: a negotiated fee is absent or above the ceiling.
    """
    computed = fees.quote(listing.rule, figures_of(project, quantity))
    if computed.missing is not None:
        raise FeeUnknown(field="quantity", measure=computed.missing.zh, measure_en=computed.missing.en)
    if computed.amount is not None:
        return computed.amount, computed
    ceiling = computed.ceiling or 0
    if agreed_fee is None or not 0 < agreed_fee <= ceiling:
        raise AgreedFeeInvalid(field="agreed_fee", ceiling=money.format(ceiling))
    return agreed_fee, computed
