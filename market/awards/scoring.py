"""Several scorers who don't see each other until all are in (A6: COMPARISON; life-cycles §3, "hidden from the others").

A scorer's draft is the scorer's own. Submitted points are written once; the last submission sets off the ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from kernel import clock, notifications, trail, workflow
from kernel.access import Role
from kernel.accounts import Membership, Person
from kernel.db import session
from kernel.errors import Invalids, PortalError
from kernel.trail import Actor
from market import calls
from market.awards import evaluating
from market.awards.faults import (
    NoComparison,
    NotAScorer,
    NotOpened,
    PointsInvalid,
    ScorersTooFew,
    ScorerUnfit,
    ScoresSubmitted,
    ScoringBegun,
)
from market.awards.ranking import MOST_POINTS
from market.awards.records import BidScore, Scorer
from market.calls import CallForBids
from market.commissions import STEPS
from market.routes import RankBy

#: Bid token → points per criterion, None where nothing is entered yet.
Sheet = Mapping[str, Sequence[int | None]]


def assign(
    call: CallForBids, people: Sequence[Person], *, by: Actor, expected_version: int | None = None
) -> list[Scorer]:
    """Name who scores: people of the client, or experts; whoever has not submitted yet may be replaced.

    Raises:
        workflow.MoveNotOpen, NotOpened, NoComparison, ScorersTooFew, ScoringBegun, Invalids (of ScorerUnfit).
    """
    calls.lock_commission(call)
    workflow.check(call.commission, STEPS, "award", by=by, expected_version=expected_version)
    _require_comparison(call)
    chosen = {person.id: person for person in people}
    if len(chosen) < call.rules.scorers:
        raise ScorersTooFew(field="people", least=call.rules.scorers, found=len(chosen))
    faults: list[PortalError] = [fault for person in chosen.values() if (fault := _unfit(call, person)) is not None]
    if faults:
        raise Invalids(faults)
    present = {one.person_id: one for one in scorers_of(call)}
    for key, scorer in present.items():
        if key not in chosen:
            if scorer.submitted_at is not None:
                raise ScoringBegun(field="people", person=scorer.person)
            session.delete(scorer)
    moment = clock.now()
    for key, person in chosen.items():
        if key not in present:
            session.add(
                Scorer(
                    call_id=call.id,
                    person_id=key,
                    person=person.name,
                    assigned_at=moment,
                    assigned_by=by.person,
                    draft={},
                )
            )
    session.flush()
    trail.record(
        call.subject, "scoring.assigned", by=by, call=call.number, scorers=sorted(p.name for p in chosen.values())
    )
    notifications.tell(
        chosen.keys() - present.keys(),
        subject=f"scoring:{call.number}",
        act="scoring.assigned",
        title=f"{call.title}（{call.number}）",
        project=call.commission.project.name,
    )
    _rank_if_complete(call, by=by)  # whoever was missing may just have been replaced by nobody
    return scorers_of(call)


def candidates(call: CallForBids) -> list[Person]:
    """Who could score: the client's people and the experts, less those who are on a bidder's side."""
    rows = session.scalars(
        select(Person)
        .join(Membership, Membership.person_id == Person.id)
        .where(
            Membership.ended_at.is_(None),
            Person.disabled_at.is_(None),
            (Membership.organisation_id == call.commission.client_id) | (Membership.role == Role.EXPERT),
        )
        .order_by(Person.id)
        .distinct()
    )
    return [person for person in rows if _unfit(call, person) is None]


def _unfit(call: CallForBids, person: Person) -> ScorerUnfit | None:
    rows = session.execute(
        select(Membership.organisation_id, Membership.role).where(
            Membership.person_id == person.id, Membership.ended_at.is_(None)
        )
    ).all()
    theirs = {agency.organisation_id for agency in evaluating.bidders(call).values()}
    if any(key in theirs for key, _role in rows):
        return ScorerUnfit(
            field="people", person=person.name, why="属于参加本次采购的机构", why_en="belongs to one of the bidders"
        )
    if not any(key == call.commission.client_id or role is Role.EXPERT for key, role in rows):
        return ScorerUnfit(
            field="people",
            person=person.name,
            why="不是采购人的人员，也不是专家",
            why_en="neither of the buyer nor an expert",
        )
    return None


def scorers_of(call: CallForBids) -> list[Scorer]:
    return list(session.scalars(select(Scorer).where(Scorer.call_id == call.id).order_by(Scorer.id)))


def of_person(call: CallForBids, actor: Actor) -> Scorer:
    """The actor's own sheet.

    Raises:
        NotAScorer.
    """
    found = session.scalars(
        select(Scorer).where(Scorer.call_id == call.id, Scorer.person_id == (actor.person_id or 0))
    ).first()
    if found is None:
        raise NotAScorer
    return found


def are_all_in(call: CallForBids) -> bool:
    """Whether enough scorers were named and every one has submitted."""
    scorers = scorers_of(call)
    return len(scorers) >= max(1, call.rules.scorers) and all(one.submitted_at is not None for one in scorers)


def save(call: CallForBids, sheet: Sheet, *, by: Actor) -> Scorer:
    """Keep a draft; only its scorer can read it.

    Raises:
        NotAScorer, ScoresSubmitted, Invalids (of PointsInvalid).
    """
    scorer = _own_open(call, by)
    scorer.draft = _clean(call, sheet, is_final=False)
    session.flush()
    return scorer


def submit(call: CallForBids, sheet: Sheet, *, by: Actor) -> Scorer:
    """Hand the points in for good; with the last scorer the bids are ranked.

    Raises:
        NotAScorer, ScoresSubmitted, NotOpened, Invalids (of PointsInvalid).
    """
    calls.lock_commission(call)
    scorer = _own_open(call, by)
    _require_comparison(call)
    final = _clean(call, sheet, is_final=True)
    bids = {bid.token: bid for bid in evaluating.scorable(call)}
    session.add_all(
        BidScore(scorer_id=scorer.id, bid_id=bids[token].id, criterion=index, points=points)
        for token, row in final.items()
        for index, points in enumerate(row)
    )
    scorer.draft = {}
    scorer.submitted_at = clock.now()
    session.flush()
    trail.record(call.subject, "scoring.submitted", by=by, call=call.number)
    _rank_if_complete(call, by=by)
    return scorer


def given(scorer: Scorer) -> dict[str, dict[int, int]]:
    """A scorer's submitted points: bid id as text → criterion → points. For the scorer, or once all are in."""
    found: dict[str, dict[int, int]] = {}
    rows = session.execute(
        select(BidScore.bid_id, BidScore.criterion, BidScore.points).where(BidScore.scorer_id == scorer.id)
    )
    for bid_id, criterion, points in rows:
        found.setdefault(str(bid_id), {})[criterion] = points
    return found


def _rank_if_complete(call: CallForBids, *, by: Actor) -> None:
    has_scores = session.scalar(
        select(func.count()).select_from(BidScore).join(Scorer).where(Scorer.call_id == call.id)
    )
    if has_scores and are_all_in(call):
        evaluating.rank(call, by=by)
        evaluating.tell_organisation_of(call, call.commission.client_id, "award.ranked")


def _require_comparison(call: CallForBids) -> None:
    if call.rules.rank_by is not RankBy.WEIGHTED:
        raise NoComparison
    if call.opened_at is None:
        raise NotOpened


def _own_open(call: CallForBids, by: Actor) -> Scorer:
    scorer = session.scalars(
        select(Scorer)
        .where(Scorer.call_id == call.id, Scorer.person_id == (by.person_id or 0))
        .with_for_update(of=Scorer)
        .execution_options(populate_existing=True)
    ).first()
    if scorer is None:
        raise NotAScorer
    if scorer.submitted_at is not None:
        raise ScoresSubmitted
    return scorer


def _clean(call: CallForBids, sheet: Sheet, *, is_final: bool) -> dict[str, list[int | None]]:
    """Every scorable bid with a value for each criterion; strangers' rows are dropped."""
    faults: list[PortalError] = []
    found: dict[str, list[int | None]] = {}
    named = evaluating.criteria(call)
    for bid in evaluating.scorable(call):
        row = list(sheet.get(bid.token, ()))
        row += [None] * (len(named) - len(row))
        for index, criterion in enumerate(named):
            points = row[index]
            is_wrong = points is None if is_final else False
            if points is not None and (type(points) is not int or not 0 <= points <= MOST_POINTS):
                is_wrong = True
            if is_wrong:
                faults.append(
                    PointsInvalid(
                        field=f"points-{bid.token}-{index}",
                        agency=bid.agency.name,
                        criterion=criterion.zh,
                    )
                )
        found[bid.token] = row[: len(named)]
    if faults:
        raise Invalids(faults)
    return found
