"""Filling the panel: the lead's own seat, appointments, the draw of experts, departments of a joint review."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from kernel import clock, dossier, notifications, trail, workflow
from kernel.accounts import Membership, Organisation, Person, members_with
from kernel.db import session
from kernel.dossier import Entry
from kernel.trail import SYSTEM, Actor, TrailAct
from market import drawing
from market.drawing import Draw, DrawPurpose
from reviews import experts
from reviews.experts import Expert
from reviews.panels.faults import ConflictFound, SeatTaken, TooFewExperts
from reviews.panels.finding import of_review
from reviews.panels.records import Seat, SeatKind, SeatStatus
from reviews.technical import STEPS, NotAMember, TechnicalReview, of_subject
from reviews.technical.life import STAFF


def seat_lead(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``review.begun`` and ``review.handed_over``: whoever leads has a seat and declares like the others."""
    review = of_subject(act.subject)
    if any(seat.person_id == review.lead_id and seat.status is not SeatStatus.REPLACED for seat in of_review(review)):
        return
    _sit(review, SeatKind.LEAD, review.lead.name, "", person=review.lead, organisation=review.body)


def appoint(
    review: TechnicalReview,
    chosen: Person | Expert,
    discipline: str,
    *,
    by: Actor,
    expected_version: int | None = None,
) -> Seat:
    """Seat a person of the body, or an expert without a draw; who must recuse is refused with the exact reason.

    Raises:
        NotAMember, ConflictFound, SeatTaken, workflow errors.
    """
    workflow.check(review, STEPS, "assign", by=by, expected_version=expected_version)
    if isinstance(chosen, Expert):
        found = [one for one in conflicts_of(review, chosen) if not one.is_waivable]
        if found:
            raise ConflictFound(field="expert", name=chosen.name, reason_zh=found[0].zh, reason_en=found[0].en)
        if chosen.person_id is None:
            raise NotAMember(field="expert")
        person = session.get_one(Person, chosen.person_id)
        seat = _sit(review, SeatKind.EXPERT, chosen.name, discipline, person=person, expert=chosen)
    else:
        belongs = session.scalar(
            select(Membership.id).where(
                Membership.person_id == chosen.id,
                Membership.organisation_id == review.body_id,
                Membership.role.in_(STAFF),
                Membership.ended_at.is_(None),
            )
        )
        if belongs is None:
            raise NotAMember(field="reviewer")
        seat = _sit(review, SeatKind.REVIEWER, chosen.name, discipline, person=chosen, organisation=review.body)
    workflow.step(review, STEPS, "assign", by=by, name=seat.name, discipline=discipline, kind=seat.kind.value)
    return seat


def wanted_of(review: TechnicalReview) -> dict[str, int]:
    """Speciality → how many seats of the kind's panel are still empty."""
    there = Counter(
        seat.discipline
        for seat in of_review(review)
        if seat.kind is not SeatKind.DEPARTMENT and seat.status is not SeatStatus.REPLACED
    )
    missing = {one["code"]: int(one["count"]) - there[one["code"]] for one in review.kind.specialities}
    return {code: count for code, count in missing.items() if count > 0}


def draw_experts(
    review: TechnicalReview,
    wanted: Mapping[str, int],
    *,
    by: Actor,
    region: str = "",
    outside_source: str = "",
    expected_version: int | None = None,
) -> Draw:
    """Publish the list of eligible experts; the parties' seeds order it, and the order fills the seats (B7).

    ``wanted``: speciality → seats. The first of the order who holds a speciality and has no seat yet takes it, speciality
    by speciality; a replacement is the next. The parties are the client, the platform and the supervisor, as for any draw.
    Who is on a side, wrote what is reviewed, or has as many reviews as they may, is not on the list.

    Raises:
        TooFewExperts, drawing errors, workflow errors.
    """
    workflow.check(review, STEPS, "draw", by=by, expected_version=expected_version)
    known = {seat.expert_id for seat in of_review(review) if seat.expert_id is not None}
    free: dict[str, Expert] = {}
    for speciality, count in wanted.items():
        found = [
            expert
            for expert in experts.eligible([speciality], region=region or None, on=clock.today(), excluding=known)
            if expert.person_id is not None and not conflicts_of(review, expert)
        ]
        if len(found) < count:
            raise TooFewExperts(field="count", found=len(found), wanted=count)
        free |= {expert.number: expert for expert in found}
    total = sum(wanted.values())
    if not wanted or len(free) < total:
        raise TooFewExperts(field="count", found=len(free), wanted=max(total, 1))
    words = "、".join(f"{label_of(review, code)} {count} 名" for code, count in wanted.items())
    draw = drawing.hold(
        f"{review.subject}/{'+'.join(f'{code}:{count}' for code, count in wanted.items())}",
        DrawPurpose.EXPERTS,
        [(expert.number, expert.name) for expert in free.values()],
        len(free),
        f"{review.title}：将符合条件且无须回避的专家随机排序，逐个专业按顺序选取{words}；需要更换时由同专业的下一名递补",
        drawing.standard_parties(review.commission.client_id if review.commission is not None else review.body_id),
        by=by,
        outside_source=outside_source,
    )
    workflow.step(review, STEPS, "draw", by=by, draw=draw.number, wanted=dict(wanted), among=len(free))
    return draw


def on_drawn(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``draw.drawn``: the seats are filled in the drawn order and their holders asked to declare."""
    draw = drawing.find(act.subject.partition(":")[2])
    if draw.purpose is not DrawPurpose.EXPERTS:
        return
    subject, _, wanted = draw.subject_of.partition("/")
    review = of_subject(subject)
    if review.is_over:
        return
    for part in wanted.split("+"):
        speciality, _, count = part.partition(":")
        for _ in range(int(count)):
            seat_next(review, draw, speciality)


def seat_next(review: TechnicalReview, draw: Draw, speciality: str, replaces: Seat | None = None) -> Seat | None:
    """Seat the next of a draw's order who holds the speciality and never had a seat here; None when nobody is left."""
    taken = {seat.expert_id for seat in of_review(review)}
    for number in drawing.order(draw):
        expert = experts.by_number(number)
        if expert.id in taken or speciality not in expert.specialities or expert.person_id is None:
            continue
        person = session.get_one(Person, expert.person_id)
        return _sit(
            review,
            SeatKind.EXPERT,
            expert.name,
            speciality,
            person=person,
            expert=expert,
            draw=draw.number,
            replaces=replaces,
        )
    return None


def label_of(review: TechnicalReview, code: str, language: str = "zh") -> str:
    """A speciality's label; what isn't one of the kind's own stands as it was written."""
    return str({one["code"]: one[language] for one in review.kind.specialities}.get(code, code))


def invite_department(
    review: TechnicalReview,
    organisation: Organisation,
    discipline: str,
    *,
    by: Actor,
    expected_version: int | None = None,
) -> Seat:
    """A department joins the review for its discipline; every one of them must answer (W16, B8).

    Raises:
        SeatTaken, workflow errors.
    """
    workflow.check(review, STEPS, "assign", by=by, expected_version=expected_version)
    seat = _sit(
        review, SeatKind.DEPARTMENT, organisation.name, discipline, organisation=organisation, status=SeatStatus.SERVING
    )
    workflow.step(review, STEPS, "assign", by=by, name=seat.name, discipline=discipline, kind=seat.kind.value)
    return seat


def unsettled(review: TechnicalReview) -> list[Seat]:
    """Seats whose holders haven't declared, or have a conflict that is to be settled."""
    return [seat for seat in of_review(review) if seat.status in {SeatStatus.INVITED, SeatStatus.CONFLICTED}]


def shortfall(review: TechnicalReview) -> tuple[str, str] | None:
    """Why the panel can't begin yet, in both languages, or None."""
    seats = of_review(review)
    waiting = unsettled(review)
    if waiting:
        names = "、".join(seat.name for seat in waiting)
        return f"{names} 尚未申报或有利害关系待处理", f"{names} haven't declared, or have a conflict to be settled"
    serving = [seat for seat in seats if seat.is_serving and seat.kind is not SeatKind.DEPARTMENT]
    if len(serving) < review.kind.reviewers:
        return (
            f"审查人员应不少于 {review.kind.reviewers} 人，现有 {len(serving)} 人",
            f"at least {review.kind.reviewers} reviewers are needed, there are {len(serving)}",
        )
    for wanted in review.kind.specialities:
        there = sum(1 for seat in serving if seat.discipline == wanted["code"])
        if there < int(wanted["count"]):
            return (
                f"“{wanted['zh']}”专业应不少于 {wanted['count']} 人，现有 {there} 人",
                f"“{wanted['en']}” needs {wanted['count']}, there are {there}",
            )
    return None


def conflicts_of(review: TechnicalReview, expert: Expert) -> list[experts.Conflict]:
    """What the portal itself knows against an expert on this review."""
    parties = [review.applicant, review.body] if review.deliverable_id is None else [review.applicant]
    if review.commission is not None:
        parties.append(review.commission.client)
    if review.deliverable is not None and review.deliverable.commission.agency is not None:
        parties.append(review.deliverable.commission.agency.organisation)
    unique = {party.id: party for party in parties if party.id != review.body_id}
    return experts.conflicts(expert, list(unique.values()), reviewed_entries(review))


def reviewed_entries(review: TechnicalReview) -> list[Entry]:
    """The dossier's documents that are under review, whose authors may not judge them."""
    if review.commission is None:
        return []
    picked = {material.entry_id for material in review.commission.materials if material.entry_id is not None}
    return [entry for entry in dossier.entries_of(review.project) if entry.id in picked]


def _sit(
    review: TechnicalReview,
    kind: SeatKind,
    name: str,
    discipline: str,
    *,
    person: Person | None = None,
    expert: Expert | None = None,
    organisation: Organisation | None = None,
    draw: str = "",
    replaces: Seat | None = None,
    status: SeatStatus = SeatStatus.INVITED,
) -> Seat:
    moment = clock.now()
    seat = Seat(
        review_id=review.id,
        kind=kind,
        status=status,
        person=person,
        expert=expert,
        organisation=organisation,
        name=name,
        discipline=discipline.strip(),
        draw=draw,
        conflicts=[],
        replaces_id=replaces.id if replaces is not None else None,
        invited_at=moment,
        declared_at=moment if status is SeatStatus.SERVING else None,
    )
    try:
        with session.begin_nested():
            session.add(seat)
    except IntegrityError as error:
        raise SeatTaken(field="reviewer", name=name) from error
    trail.record(review.subject, "review.assigned", by=SYSTEM, name=name, kind=kind.value, draw=draw) if draw else None
    told = (
        members_with(organisation.id) if person is None and organisation is not None else [person.id] if person else []
    )
    notifications.tell(
        told, subject=review.subject, act="review.assigned", title=review.title, project=review.project.name
    )
    return seat
