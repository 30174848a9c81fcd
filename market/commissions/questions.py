"""Finding commissions: by number, by organisation, by project; who may read what belongs to them."""

from __future__ import annotations

from sqlalchemy import select

from kernel.db import session
from kernel.errors import NotFound
from kernel.files import Document
from kernel.projects import Project
from kernel.trail import Actor
from market.agencies import Agency
from market.commissions.life import can_see
from market.commissions.records import Commission, CommissionMaterial, CommissionStatus


def find(number: str, *, by: Actor, lock: bool = False) -> Commission:
    """The commission of a number, if it is the actor's to see.

    Raises:
        NotFound.
    """
    statement = select(Commission).where(Commission.number == number)
    if lock:
        statement = statement.with_for_update(of=Commission).execution_options(populate_existing=True)
    commission = session.scalars(statement).first()
    if commission is None or not can_see(commission, by):
        raise NotFound
    return commission


def of_organisation(actor: Actor, *, status: CommissionStatus | None = None, most: int = 200) -> list[Commission]:
    """The actor's organisation's commissions, as client or as agency, newest first."""
    mine = select(Agency.id).where(Agency.organisation_id == actor.organisation_id).scalar_subquery()
    statement = select(Commission).where(
        (Commission.client_id == actor.organisation_id)
        | ((Commission.agency_id == mine) & Commission.offered_at.is_not(None))
    )
    if status is not None:
        statement = statement.where(Commission.status == status)
    return list(session.scalars(statement.order_by(Commission.id.desc()).limit(most)))


def of_project(project: Project) -> list[Commission]:
    return list(
        session.scalars(select(Commission).where(Commission.project_id == project.id).order_by(Commission.id.desc()))
    )


def may_read_material(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: the agency reads the materials of a commission offered to it."""
    if actor is None:
        return False
    rows = session.scalars(
        select(Commission)
        .join(CommissionMaterial, CommissionMaterial.commission_id == Commission.id)
        .where(CommissionMaterial.document_id == document.id)
    ).unique()
    return any(can_see(commission, actor) for commission in rows)
