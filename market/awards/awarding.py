"""The choice, its publicity, and what becomes of it (life-cycles §2: evaluating … offered and back; domain §6, 11).

Only the call's client chooses (the clock by rule, after a draw), under the commission's lock, from the published
ranking; a choice other than first carries its reason. The database allows one award that counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from kernel import clock, money, policies, timekeeping, workflow
from kernel.clock import Light, Unit
from kernel.db import session
from kernel.errors import PortalError
from kernel.timekeeping import ClockKind
from kernel.trail import CLOCK, Actor, TrailAct
from market import calls, commissions, recusals
from market.agencies import Agency, AgencyStatus, AgencySuspended
from market.awards import evaluating
from market.awards.faults import (
    AlreadyAwarded,
    JustificationOpen,
    NotByRule,
    NotInRanking,
    NotRanked,
    RankAgain,
    StillChoosable,
    TieUnresolved,
)
from market.awards.records import AWARD_STEPS, Award, AwardStatus, Ranking
from market.bidding import Bid
from market.calls import CallForBids
from market.commissions import STEPS, CommissionMaterial, CommissionStatus, given_reason
from market.drawing import Draw
from market.notices import NoticeKind
from market.routes import RankBy

_STANDING = (AwardStatus.PUBLICISED, AwardStatus.CONFIRMED)


def standing(call: CallForBids) -> Award | None:
    """The award that counts, if there is one."""
    return next((award for award in evaluating.awards_of(call) if award.status in _STANDING), None)


def obstacle(call: CallForBids, agency: Agency) -> PortalError | None:
    """Why an agency that stands in the ranking can't be awarded today: it left or was suspended, or must recuse."""
    if agency.status != AgencyStatus.ADMITTED:
        return AgencySuspended()
    commission = call.commission
    reviewed = [one.entry for one in call.documents if one.entry is not None]
    for party in (commission.client, commission.applicant):
        found = recusals.reason(agency.organisation, party, reviews=commission.item.technical_review, reviewed=reviewed)
        if found is not None:
            return recusals.MustRecuse(reason_zh=found.zh, reason_en=found.en)
    return None


def award(call: CallForBids, bid: Bid, *, by: Actor, reason: str = "", expected_version: int | None = None) -> Award:
    """Choose a bid and publish the result; the publicity period begins (none: the offer goes out at once).

    Raises:
        workflow.MoveNotOpen, workflow.StaleVersion: not evaluating, or not the client's. NotByRule: the clock chooses
        only where a draw decides. NotRanked, RankAgain, NotInRanking, TieUnresolved, JustificationOpen.
        commissions.ReasonMissing: not the first, and no reason. recusals.MustRecuse, agencies.AgencySuspended.
        AlreadyAwarded: somebody else was faster.
    """
    calls.lock_commission(call)
    commission = call.commission
    workflow.check(commission, STEPS, "award", by=by, expected_version=expected_version)
    if commissions.by_clock(commission, by) and call.rules.rank_by is not RankBy.DRAW:
        raise NotByRule
    row, is_first = _chosen(call, bid)
    told = reason.strip() if is_first else given_reason(reason)
    problem = obstacle(call, bid.agency)
    if problem is not None:
        raise problem
    moment = clock.now()
    opened = next(one for one in evaluating.opened(call) if one.bid_id == bid.id)
    made = Award(
        commission_id=commission.id,
        call_id=call.id,
        bid=bid,
        agency=bid.agency,
        status=AwardStatus.PUBLICISED,
        version=1,
        place=row.place,
        fee=row.price if row.price is not None else call.ceiling,
        working_days=opened.working_days or call.most_working_days or commission.promised_working_days,
        reason=told,
        policy=call.policy.version if call.policy is not None else "",
        awarded_at=moment,
        awarded_by=f"{by.organisation} {by.person}".strip(),
    )
    try:
        with session.begin_nested():
            session.add(made)
            session.flush()
    except IntegrityError as twice:
        raise AlreadyAwarded from twice
    commission.publicised_at = None
    workflow.step(
        commission,
        STEPS,
        "award",
        by=by,
        at=moment,
        expected_version=expected_version,
        call=call.number,
        agency=bid.agency.name,
        bid=bid.token,
        place=row.place,
        fee=made.fee,
        working_days=made.working_days,
        run=row.run,
        policy=made.policy,
        reason=told,
    )
    _announce(call, made, moment)
    _tell_all(call, made, at=moment)
    if call.rules.publicity_working_days:
        policy = policies.current("publicity")
        timekeeping.start(
            commission.subject,
            ClockKind.PUBLICITY,
            unit=Unit.WORKING_DAY,
            limit=call.rules.publicity_working_days,
            warn=int(policy.values["warn"]),
            policy=policy,
            by=by,
            at=moment,
        )
    else:
        confirm(call, at=moment)
    return made


def confirm(call: CallForBids, *, at: datetime) -> None:
    """Publicity is over and nothing is open: the winner is commissioned as from the menu (by the clock, at ``at``)."""
    commission, made = call.commission, standing(call)
    assert made is not None  # noqa: S101  a commission is publicised by an award
    workflow.step(made, AWARD_STEPS, "confirm", by=CLOCK, at=at)
    running = timekeeping.running(commission.subject, ClockKind.PUBLICITY)
    if running is not None:
        timekeeping.end(running, by=CLOCK, at=at)
    _hand_over_documents(call, at)
    commission.agency = made.agency
    commission.quote = (
        [] if made.fee is None else [{"zh": "中选报价", "en": "Price of the winning bid", "amount": made.fee}]
    )
    commissions.send(
        commission,
        "confirm",
        fee=made.fee,
        working_days=made.working_days,
        by=CLOCK,
        at=at,
        agency=made.agency.name,
        call=call.number,
    )
    commissions.tell_client(commission, "commission.offered", at=at)
    evaluating.tell_bidder(call, made.agency, "award.letter", at=at)
    if made.agency.status != AgencyStatus.ADMITTED:
        commissions.lapse(commission, at=at)


def may_give_up(call: CallForBids) -> bool:
    """Whether the client may fail the call: nobody is left to choose, or an award of it was overturned."""
    return (
        call.commission.status is CommissionStatus.EVALUATING
        and call.opened_at is not None
        and (is_overturned(call) or (_is_evaluated(call) and not evaluating.choosable(call)))
    )


def give_up(call: CallForBids, reason: str, *, by: Actor, expected_version: int | None = None) -> None:
    """Nobody can be chosen: the client fails the call, with its reason.

    Raises:
        workflow.MoveNotOpen, workflow.StaleVersion, StillChoosable, commissions.ReasonMissing.
    """
    calls.lock_commission(call)
    workflow.check(call.commission, STEPS, "fail", by=by, expected_version=expected_version)
    if not may_give_up(call):
        raise StillChoosable
    told = given_reason(reason)
    calls.fail(call, told, told, by=by)
    for agency in evaluating.bidders(call).values():
        evaluating.tell_bidder(call, agency, "call.failed", is_warning=True)


def rank_again(
    call: CallForBids,
    reason: str,
    *,
    by: Actor,
    excluded: dict[str, str] | None = None,
    readmitted: dict[str, str] | None = None,
    expected_version: int | None = None,
) -> list[Ranking]:
    """After an overturned award: rank anew. ``excluded`` and ``readmitted``: bid token → the published reason.

    Raises:
        workflow.MoveNotOpen, StillChoosable: no award was overturned. commissions.ReasonMissing.
    """
    calls.lock_commission(call)
    workflow.check(call.commission, STEPS, "award", by=by, expected_version=expected_version)
    if not is_overturned(call):
        raise StillChoosable
    told = given_reason(reason)
    for changes, is_excluded in ((excluded or {}, True), (readmitted or {}, False)):
        for token, why in changes.items():
            bid = evaluating.find_bid(call, token)
            if bid is None:
                raise NotInRanking(agency=token, why="没有这份报价", why_en="there is no such bid")
            evaluating.rule_out(call, bid, given_reason(why), by=by, is_excluded=is_excluded)
    call.commission.version += 1
    return evaluating.rank(call, by=by, reason=told)


def is_overturned(call: CallForBids) -> bool:
    """Whether the last award was overturned."""
    made = evaluating.awards_of(call)
    return bool(made) and made[-1].status is AwardStatus.OVERTURNED


def needs_new_ranking(call: CallForBids) -> bool:
    """After an award was overturned nobody is chosen from the ranking that led to it."""
    made = evaluating.awards_of(call)
    rows = evaluating.current_ranking(call)
    return is_overturned(call) and (not rows or made[-1].ended_at is None or rows[0].ranked_at <= made[-1].ended_at)


def settle(call: CallForBids, action: str, *, by: Actor, at: datetime | None = None) -> Award:
    """The award that counts has come to its end (``action`` of :data:`AWARD_STEPS`)."""
    made = standing(call)
    assert made is not None  # noqa: S101  the commission's step was open
    made.ended_at = at or clock.now()
    workflow.step(made, AWARD_STEPS, action, by=by, at=at)
    session.flush()
    return made


# Subscribers


def on_opened(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``bids.opened``: rank by rule; a comparison waits for its scorers, rounds for their end."""
    call = calls.of_subject(act.subject)
    if call is None:
        return
    if call.rules.rank_by not in (RankBy.WEIGHTED, RankBy.ROUNDS):
        evaluating.rank(call, by=by, at=act.at)
        _award_by_rule(call)
    evaluating.tell_organisation_of(call, call.commission.client_id, "bids.opened", at=act.at)


def on_rounds_ended(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``auction.finished``: the rounds' own order, at the last prices that stood."""
    call = calls.of_subject(act.subject)
    if call is not None:
        evaluating.rank(call, by=by, at=act.at)
        evaluating.tell_organisation_of(call, call.commission.client_id, "award.ranked", at=act.at)


def on_drawn(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``draw.drawn``: the order separates the equals; a route by draw is awarded by it."""
    for call in _calls_of_draw(act):
        calls.lock_commission(call)
        if call.commission.status is CommissionStatus.EVALUATING:
            evaluating.rank(call, by=by, at=act.at, reason="")
            evaluating.tell_organisation_of(call, call.commission.client_id, "award.ranked", at=act.at)
            _award_by_rule(call)


def on_red(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.light.red``: the day after the last of the publicity period, at its 00:00."""
    if act.data["clock"] != ClockKind.PUBLICITY.value:
        return
    call = calls.of_subject(act.subject)
    if call is None:
        return
    calls.lock_commission(call)
    if call.commission.status is CommissionStatus.PUBLICISED:
        confirm(call, at=act.at)


def on_given_back(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``award.refused`` and ``award.lapsed``: the next place may be chosen, no reason asked."""
    call = calls.of_subject(act.subject)
    if call is None:
        return
    made = settle(call, "refuse" if act.act == "award.refused" else "lapse", by=by, at=act.at)
    for agency in evaluating.bidders(call).values():
        evaluating.tell_bidder(call, agency, act.act, is_warning=agency.id == made.agency_id, at=act.at)
    if not needs_new_ranking(call):
        evaluating.draw_if_equal(call, by=by)


def on_cancelled(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.cancelled``: an award that stood is over, and everybody who bid is told."""
    call = calls.of_subject(act.subject)
    if call is None:
        return
    if standing(call) is not None:
        settle(call, "cancel", by=by, at=act.at)
    if call.opened_at is not None:
        for agency in evaluating.bidders(call).values():
            evaluating.tell_bidder(call, agency, act.act, is_warning=True, at=act.at)


def is_publicity_over(call: CallForBids) -> bool:
    """Whether the last day of the period has passed, be the due-loop late or not."""
    running = timekeeping.running(call.subject, ClockKind.PUBLICITY)
    return running is None or timekeeping.reading(running).light is Light.RED


# Inner pieces


def _chosen(call: CallForBids, bid: Bid) -> tuple[Ranking, bool]:
    """The row of a bid that may be chosen now, and whether it stands first."""
    if not _is_evaluated(call):
        raise NotRanked(why="评审尚未完成", why_en="the evaluation is not complete")
    if needs_new_ranking(call):
        raise RankAgain
    left = evaluating.choosable(call)
    row = next((one for one in left if one.bid_id == bid.id), None)
    if row is None:
        raise NotInRanking(agency=bid.agency.name, **_why_not(call, bid))
    low = evaluating.unsettled(call)
    if low:
        raise JustificationOpen(agency=low[0].bid.agency.name)
    for one in (left[0], row):
        equals = [other for other in left if other.place == one.place]
        if len(equals) > 1:
            raise TieUnresolved(count=len(equals), place=one.place)
    return row, row is left[0]


def _why_not(call: CallForBids, bid: Bid) -> dict[str, str]:
    for row in evaluating.current_ranking(call):
        if row.bid_id == bid.id and row.place is None:
            return {"why": row.reason, "why_en": row.reason_en or row.reason}
    for made in reversed(evaluating.awards_of(call)):
        if made.bid_id == bid.id and made.status in evaluating.GONE:
            return {"why": made.status.zh, "why_en": made.status.en}
    return {"why": "没有参加本次排序", "why_en": "it does not stand in the ranking"}


def _is_evaluated(call: CallForBids) -> bool:
    return call.opened_at is not None and evaluating.run_of(call) > 0


def _award_by_rule(call: CallForBids) -> None:
    """Where a draw decides, nobody chooses: the drawn one is awarded at once, unless it can't be."""
    first = evaluating.front(call)
    if call.rules.rank_by is RankBy.DRAW and len(first) == 1 and obstacle(call, first[0].bid.agency) is None:
        award(call, first[0].bid, by=CLOCK)


def _calls_of_draw(act: TrailAct) -> list[CallForBids]:
    draw = session.scalars(select(Draw).where(Draw.number == act.subject.partition(":")[2])).first()
    found = calls.of_subject(draw.subject_of) if draw is not None else None
    return [] if found is None else [found]


def _hand_over_documents(call: CallForBids, at: datetime) -> None:
    """What the call was published with is what the agency works from."""
    have = {(one.name, one.document_id) for one in call.commission.materials}
    for one in call.documents:
        if (one.name, one.document_id) not in have:
            call.commission.materials.append(
                CommissionMaterial(
                    name=one.name, entry=one.entry, document=one.document, sha256=one.document.sha256, added_at=at
                )
            )


def _announce(call: CallForBids, made: Award, moment: datetime) -> None:
    """The result for everybody: the rule, every place with its arithmetic, who was excluded and why."""
    rows: list[dict[str, Any]] = [
        _line("中选机构", "Winner", made.agency.name),
        _line("中选金额", "Fee", money.format(made.fee) if made.fee is not None else "—"),
        _line("服务期限（工作日）", "Working days", str(made.working_days)),
        _line("中选规则", "Rule", call.rules.rank_by.zh, call.rules.rank_by.en),
    ]
    if made.reason:
        rows.append(_line("理由", "Reason", made.reason))
    for row in evaluating.current_ranking(call):
        name = row.bid.agency.name
        if row.place is None:
            why, why_en = row.reason, row.reason_en or row.reason
            rows.append(_line("不参加排序", "Excluded", f"{name}：{why}", f"{name}: {why_en}"))
        else:
            how = "；".join(line["zh"] for line in row.arithmetic)
            how_en = "; ".join(line["en"] for line in row.arithmetic)
            rows.append(_line(f"第 {row.place} 名", f"Place {row.place}", f"{name}：{how}", f"{name}: {how_en}"))
    rows += [_line("抽取记录", "Draw", draw.number) for draw in evaluating.draws_of(call) if draw.drawn_at is not None]
    rows.append(_line("公示期（工作日）", "Publicity, working days", str(call.rules.publicity_working_days)))
    rows.append(_line("投诉电话", "Complaints", call.complaint_telephone))
    calls.announce(call, NoticeKind.RESULT, call.title, rows, at=moment)


def _line(zh: str, en: str, value: str, value_en: str | None = None) -> dict[str, Any]:
    row = {"zh": zh, "en": en, "value": value}
    return row if value_en is None else row | {"value_en": value_en}


def _tell_all(call: CallForBids, made: Award, *, at: datetime) -> None:
    for agency in evaluating.bidders(call).values():
        evaluating.tell_bidder(call, agency, "award.won" if agency.id == made.agency_id else "award.not_won", at=at)
    commissions.tell_client(call.commission, "award.published", at=at)
