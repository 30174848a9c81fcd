"""How a review begins: with the service it is, or when a panel is asked to judge a deliverable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import select

from kernel import clock, numbers, timekeeping, trail, workflow
from kernel.accounts import Membership, Person
from kernel.db import session
from kernel.errors import Invalids, NotFound
from kernel.trail import Actor, TrailAct
from market.commissions import Commission, given_reason, tell_agency
from market.deliverables import Deliverable, DeliverableStatus
from reviews import kinds
from reviews.kinds import ReviewKind
from reviews.technical.faults import FieldInvalid, KindMissing, NotAMember, NotWaiting
from reviews.technical.finding import of_commission, of_deliverable
from reviews.technical.judging import may_judge
from reviews.technical.life import STAFF, STEPS
from reviews.technical.records import NUMBER, ReviewStatus, TechnicalReview
from reviews.technical.telling import tell_applicant


def on_started(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``service.started``: where a kind covers the item, the service is a review from this second."""
    number = act.subject.partition(":")[2]
    commission = session.scalars(select(Commission).where(Commission.number == number)).one()
    kind = next(iter(kinds.of_item(commission.item.code)), None)
    if kind is None or commission.agency is None or by.person_id is None:
        return
    applied = commission.requested_at or commission.offered_at or act.at
    _begin(
        kind,
        by=by,
        commission=commission,
        body_id=commission.agency.organisation_id,
        applicant_id=commission.applicant_id,
        applied_on=clock.local_date(applied),
        at=act.at,
    )


def begin_for_deliverable(deliverable: Deliverable, kind: ReviewKind, basis: str, *, by: Actor) -> TechnicalReview:
    """An authority puts another agency's deliverable before a panel of its own; it is held until the panel has spoken.

    ``basis``: why a panel, in words (001 §9.4 "专家审查合格").

    Raises:
        NotFound: the authority has nothing to do with it. NotWaiting: it doesn't wait for acceptance, or a panel has it
        already. KindMissing: the kind is out of use. commissions.ReasonMissing: no basis.
    """
    if by.organisation_id is None or not may_judge(deliverable, by):
        raise NotFound
    if of_deliverable(deliverable, only_open=True) is not None or deliverable.status is not DeliverableStatus.SUBMITTED:
        raise NotWaiting
    if not kind.is_active:
        raise KindMissing
    review = _begin(
        kind,
        by=by,
        deliverable=deliverable,
        body_id=by.organisation_id,
        applicant_id=deliverable.commission.applicant_id,
        applied_on=clock.local_date(deliverable.submitted_at),
        basis=given_reason(basis),
    )
    tell_applicant(review, "review.begun")
    tell_agency(deliverable.commission, "review.begun")
    return review


def _begin(
    kind: ReviewKind,
    *,
    by: Actor,
    body_id: int,
    applicant_id: int,
    applied_on: date,
    commission: Commission | None = None,
    deliverable: Deliverable | None = None,
    basis: str = "",
    at: datetime | None = None,
) -> TechnicalReview:
    source = commission or (deliverable.commission if deliverable is not None else None)
    assert source is not None and by.person_id is not None  # noqa: S101, PT018  both callers have looked
    review = TechnicalReview(
        number=numbers.following(NUMBER),
        status=ReviewStatus.ASSIGNING,
        version=1,
        kind=kind,
        commission=commission,
        deliverable=deliverable,
        project_id=source.project_id,
        phase_id=source.phase_id,
        applicant_id=applicant_id,
        body_id=body_id,
        lead_id=by.person_id,
        basis=basis,
        applied_on=applied_on,
        fields={},
        begun_at=at or clock.now(),
    )
    session.add(review)
    session.flush()
    session.refresh(review)
    trail.record(
        review.subject,
        "review.begun",
        by=by,
        at=review.begun_at,
        kind=kind.code,
        of=source.subject if commission is not None else deliverable.subject if deliverable is not None else "",
        applied_on=applied_on,
    )
    return review


def hand_over(review: TechnicalReview, lead: Person, *, by: Actor, expected_version: int | None = None) -> None:
    """Another person of the body leads from now on.

    Raises:
        NotAMember, workflow errors.
    """
    workflow.check(review, STEPS, "hand_over", by=by, expected_version=expected_version)
    belongs = session.scalar(
        select(Membership.id)
        .where(
            Membership.person_id == lead.id,
            Membership.organisation_id == review.body_id,
            Membership.role.in_(STAFF),
            Membership.ended_at.is_(None),
        )
        .limit(1)
    )
    if belongs is None:
        raise NotAMember(field="lead")
    review.drop_proposal()  # else the former lead could confirm it as the second signer
    review.lead = lead  # before it is recorded: whoever leads gets their seat by that act
    review.version += 1
    session.flush()
    trail.record(review.subject, STEPS["hand_over"].act, by=by, to=lead.name)


def state_fields(
    review: TechnicalReview, given: Mapping[str, str], *, by: Actor, expected_version: int | None = None
) -> None:
    """The applicant's structured figures, as the kind defines them; what isn't asked for is not kept.

    Raises:
        Invalids of FieldInvalid, each with the field ``field-<code>``; workflow errors.
    """
    workflow.check(review, STEPS, "state_fields", by=by, expected_version=expected_version)
    kept: dict[str, Any] = {}
    faults = []
    for definition in review.kind.fields:
        text = given.get(definition["code"], "").strip()
        if not text:
            continue
        try:
            kept[definition["code"]] = _value(definition.get("kind", "text"), text)
        except (InvalidOperation, ValueError):
            is_date = definition.get("kind") == "date"
            faults.append(
                FieldInvalid(
                    field=f"field-{definition['code']}",
                    name=definition["zh"],
                    name_en=definition["en"],
                    wanted_zh="日期，如 2026-03-02" if is_date else "数字",
                    wanted_en="a date such as 2026-03-02" if is_date else "a number",
                )
            )
    if faults:
        raise Invalids(list(faults))
    review.fields = kept
    workflow.step(review, STEPS, "state_fields", by=by, fields=kept)


def _value(kind: str, text: str) -> str:
    if kind == "number":
        number = Decimal(text.replace(",", "").replace("，", ""))
        if not number.is_finite():
            raise ValueError(text)
        return format(number, "f")
    if kind == "date":
        return date.fromisoformat(text).isoformat()
    return text[:500]


def on_ended(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.terminated``: the review ends with its service."""
    number = act.subject.partition(":")[2]
    commission = session.scalars(select(Commission).where(Commission.number == number)).one()
    review = of_commission(commission)
    if review is not None and not review.is_over:
        workflow.step(review, STEPS, "end", by=trail.SYSTEM)
        timekeeping.end_all(review.subject, by=by)
