"""Who may take part in a call, with the *exact* reason where somebody may not (domain §6: defects 9 and 11)."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select

from kernel import clock
from kernel.access import Role
from kernel.db import session
from kernel.files import Document
from kernel.projects import Project
from kernel.trail import Actor
from market import agencies, recusals
from market.agencies import Agency, AgencyStatus, Shortfall
from market.calls.finding import is_public
from market.calls.records import CallDocument, CallForBids
from market.commissions import Commission, Route


def shortfalls(call: CallForBids, agency: Agency, *, on: date | None = None) -> list[Shortfall]:
    """Every reason why an agency may not bid on a day (today by default); empty when it may."""
    commission = call.commission
    found: list[Shortfall] = []
    if agency.status != AgencyStatus.ADMITTED:
        found.append(Shortfall(f"机构当前状态为“{agency.status.zh}”", f"the agency is {agency.status.en.lower()}"))
    lacking = agencies.shortfall(agency, commission.item.requirement, on or clock.today())
    if lacking is not None:
        found.append(lacking)
    if not _serves(agency.regions, commission.project):
        found.append(
            Shortfall("项目所在地不在机构的服务区域内", "the project lies outside the regions the agency serves")
        )
    if commission.route is Route.INVITATION and all(one.agency_id != agency.id for one in call.invitations):
        found.append(Shortfall("本次采购只接受受邀机构报价", "only invited agencies may bid"))
    found += _recusals(call, agency)
    rest = call.rules.rest_commissions
    if rest and agency.id in lately_chosen(commission, rest):
        found.append(
            Shortfall(
                f"该机构在采购人最近 {rest} 次同类采购中中选，按轮候规则本次不参加",
                f"it was chosen in the buyer's last {rest} commissions of this item and rests by rotation",
            )
        )
    return found


def _serves(regions: list[str], project: Project) -> bool:
    """An agency without regions serves everywhere; one is a division's code, or its name as addresses write it."""
    place = project.address or project.name
    return (
        not regions
        or not (project.region or project.address)
        or any(
            project.region.startswith(one.rstrip("0")) if one.isdigit() else (one in place or not project.address)
            for one in regions
        )
    )


def _recusals(call: CallForBids, agency: Agency) -> list[Shortfall]:
    commission = call.commission
    reviewed = [one.entry for one in call.documents if one.entry is not None]
    found = []
    for party in {commission.client_id: commission.client, commission.applicant_id: commission.applicant}.values():
        recusal = recusals.reason(
            agency.organisation, party, reviews=commission.item.technical_review, reviewed=reviewed
        )
        if recusal is not None:
            found.append(Shortfall(f"应当回避：{recusal.zh}", f"must recuse itself: {recusal.en}"))
    return found


def lately_chosen(commission: Commission, last: int) -> set[int]:
    """Agencies (by key) that won the client's last so many competitions of the item."""
    rows = session.scalars(
        select(Commission.agency_id)
        .where(
            Commission.client_id == commission.client_id,
            Commission.item_id == commission.item_id,
            Commission.id != commission.id,
            Commission.agency_id.is_not(None),
            Commission.offered_at.is_not(None),
            Commission.route.not_in([Route.MENU, Route.DIRECT]),
        )
        .order_by(Commission.offered_at.desc())
        .limit(last)
    )
    return {key for key in rows if key is not None}


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: the buyer, the applicant, those who watch, agencies that may bid."""
    if actor is None:
        return False
    found = session.scalars(
        select(CallForBids)
        .join(CallDocument, CallDocument.call_id == CallForBids.id)
        .where(CallDocument.document_id == document.id)
    ).unique()
    agency = (
        agencies.of_organisation(actor.organisation_id)
        if actor.organisation_id is not None and actor.has(Role.AGENCY.value)
        else None
    )
    for call in found:
        sides = {call.commission.client_id, call.commission.applicant_id}
        if actor.organisation_id in sides or actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value):
            return True
        if agency is not None and is_public(call) and not shortfalls(call, agency):
            return True
    return False
