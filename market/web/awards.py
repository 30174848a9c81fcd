"""The result of a call: ranking with its arithmetic, the choice, scoring, low prices, the letter of award (A6, A7).

From the opening on everybody reads the result page; what is still hidden (scores until all are in, a low price's
explanation) is shown to those concerned alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, send_file, url_for
from markupsafe import Markup

from kernel import money, timekeeping
from kernel.access import PUBLIC, SIGNED_IN, Cell, Role, holders
from kernel.accounts import Person
from kernel.db import session
from kernel.errors import NotFound, PortalError
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from kernel.web import choose, current_actor, day, form_errors, instant, language, signed_in_actor
from market import awards, calls, commissions, objections
from market.awards import Award, AwardStatus, Ranking, justifying, letters, scoring
from market.awards.ranking import MOST_POINTS, score_text
from market.calls import CallForBids
from market.commissions import CommissionStatus
from market.objections import ObjectionStatus
from market.routes import RankBy
from market.web import confirm, progress
from market.web.acts import Row
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet

blueprint = Blueprint("awards", __name__)
BUYERS = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT)
PARTIES = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.AGENCY, Role.SUPERVISOR, Role.AUDITOR)
ACCESS: Mapping[str, Cell] = {
    "awards.result": PUBLIC,
    "awards.award": BUYERS,
    "awards.rank_again": BUYERS,
    "awards.failure": BUYERS,
    "awards.scorers": BUYERS,
    "awards.scoring": SIGNED_IN,
    "awards.submission": SIGNED_IN,
    "awards.justification": PARTIES,
    "awards.letter": PARTIES,
}
LINKS: Mapping[str, Callable[[str], str]] = {
    "award": lambda number: f"/calls/{number}/result",
    "scoring": lambda number: f"/calls/{number}/scoring",
}
_KINDS = {
    AwardStatus.PUBLICISED: "info",
    AwardStatus.CONFIRMED: "good",
    AwardStatus.OVERTURNED: "bad",
    AwardStatus.REFUSED: "warn",
    AwardStatus.LAPSED: "warn",
    AwardStatus.CANCELLED: "neutral",
}
REASON = Field("reason", "text", ("理由", "Reason"), ("理由将公开。", "The reason is published."))


# What everybody reads


@blueprint.get("/calls/<number>/result")
def result(number: str) -> str:
    actor = current_actor()
    call = calls.find(number, by=actor)
    is_opened = call.opened_at is not None
    rows = awards.current_ranking(call) if is_opened else []
    made = awards.awards_of(call)
    publicity = timekeeping.running(call.subject, ClockKind.PUBLICITY)
    return render_template(
        "market/result_page.html",
        call=call,
        is_opened=is_opened,
        status=call.commission.status.label(language()),
        status_kind=progress.STATUS_KINDS.get(call.commission.status, "info"),
        rule=call.rules.rank_by.label(language()),
        is_scored=call.rules.rank_by is RankBy.WEIGHTED,
        ranked=[_ranked(row, call) for row in rows if row.place is not None],
        excluded=[
            (row.bid.agency.name, choose(row.reason, row.reason_en or row.reason)) for row in rows if row.place is None
        ],
        draws=awards.draws_of(call) if is_opened else [],
        made=[_made(one) for one in reversed(made)],
        publicity=progress.box(publicity, call.commission) if publicity is not None else None,
        objections=[_objection(one, actor) for one in objections.of_call(call)],
        scorers=[(one.person, one.submitted_at is not None) for one in scoring.scorers_of(call)]
        if actor is not None and commissions.by_client(call.commission, actor)
        else [],
        actions=_actions(call, actor) if actor is not None else [],
        letter=_letter_url(call, actor),
    )


def _ranked(row: Ranking, call: CallForBids) -> dict[str, Any]:
    return {
        "place": row.place,
        "agency": row.bid.agency,
        "price": money.format(row.price) if row.price is not None else "—",
        "score": score_text(row.score) if row.score is not None else "—",
        "lines": [choose(line["zh"], line["en"]) for line in row.arithmetic],
    }


def _made(one: Award) -> dict[str, Any]:
    return {
        "agency": one.agency.name,
        "status": one.status.label(language()),
        "kind": _KINDS[one.status],
        "rows": [
            (choose("名次", "Place"), str(one.place)),
            (choose("中选金额", "Fee"), money.format(one.fee) if one.fee is not None else "—"),
            (choose("服务期限", "Service time"), _days(one.working_days)),
            (choose("确定时间", "Chosen at"), instant(one.awarded_at)),
            (choose("理由", "Reason"), one.reason),
            (choose("适用规则", "Policy"), one.policy),
        ],
    }


def _objection(one: objections.Objection, actor: Actor | None) -> dict[str, Any]:
    """Everybody sees that there is one, how it ended and why; who objects and to what, those concerned."""
    may = actor is not None and objections.can_see(one, actor)
    return {
        "number": one.number,
        "url": f"/objections/{one.number}" if may else None,
        "status": one.status.label(language()),
        "kind": {ObjectionStatus.FILED: "warn", ObjectionStatus.UPHELD: "bad"}.get(one.status, "neutral"),
        "filed_at": instant(one.filed_at),
        "answer": one.answer,
    }


def _actions(call: CallForBids, actor: Actor) -> list[dict[str, str]]:
    """What this person can do about the result now."""
    number, status = call.number, call.commission.status
    found: list[tuple[str, str]] = []
    if any(one.person_id == actor.person_id and one.submitted_at is None for one in scoring.scorers_of(call)):
        found.append((choose("评分", "Score the bids"), url_for("awards.scoring", number=number)))
    for one in justifying.of_call(call):
        is_theirs = justifying.is_bidder(one, actor) or commissions.by_client(call.commission, actor)
        if one.is_accepted is None and is_theirs:
            words = choose(f"低价说明：{one.bid.agency.name}", f"Low price: {one.bid.agency.name}")
            found.append((words, url_for("awards.justification", number=number, token=one.bid.token)))
    if commissions.by_client(call.commission, actor) and status is CommissionStatus.EVALUATING:
        found += _client_actions(call)
    mine = next((one for one in awards.bidders(call).values() if one.organisation_id == actor.organisation_id), None)
    if mine is not None and actor.has(Role.AGENCY.value) and status is CommissionStatus.PUBLICISED:
        found.append((choose("提出异议", "Object"), url_for("objections.new", number=number)))
    for objection in objections.of_call(call):
        if objection.status is ObjectionStatus.FILED and commissions.by_client(call.commission, actor):
            words = choose(f"答复异议 {objection.number}", f"Answer {objection.number}")
            found.append((words, url_for("objections.show", number=objection.number)))
    return [
        {"label": label, "url": url, "kind": "primary" if index == 0 else "secondary"}
        for index, (label, url) in enumerate(found)
    ]


def _client_actions(call: CallForBids) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if call.rules.rank_by is RankBy.WEIGHTED and not scoring.are_all_in(call):
        found.append((choose("指定评审人员", "Name the scorers"), url_for("awards.scorers", number=call.number)))
    if awards.is_overturned(call):
        found.append((choose("重新评审排序", "Rank again"), url_for("awards.rank_again", number=call.number)))
    if not awards.needs_new_ranking(call):
        found += [
            (
                choose(f"确定“{row.bid.agency.name}”中选", f"Choose {row.bid.agency.name}"),
                url_for("awards.award", number=call.number, token=row.bid.token),
            )
            for row in awards.choosable(call)
        ]
    if awards.may_give_up(call):
        found.append((choose("流标", "Fail the call"), url_for("awards.failure", number=call.number)))
    return found


# The choice


def _page(call: CallForBids, **more: Any) -> Confirm:
    back = url_for("awards.result", number=call.number)
    crumbs = [(choose("采购公告", "Calls for bids"), "/calls"), (call.number, f"/calls/{call.number}")]
    crumbs.append((choose("评审结果", "Result"), back))
    named: dict[str, Any] = {
        "back": back,
        "crumbs": crumbs,
        "subject": call.subject,
        "version": call.commission.version,
    }
    return Confirm(**(named | more))


def _facts(call: CallForBids) -> list[Row]:
    commission = call.commission
    return [
        (choose("采购编号", "Call"), call.number),
        (choose("项目名称", "Title"), call.title),
        (choose("服务事项", "Service"), commission.item.label(language())),
        (choose("中选规则", "Rule"), call.rules.rank_by.label(language())),
    ]


def _own(number: str, actor: Actor, *, lock: bool = False) -> CallForBids:
    """A call of the actor's own organisation.

    Raises:
        NotFound.
    """
    call = calls.find(number, by=actor, lock=lock)
    if not commissions.by_client(call.commission, actor):
        raise NotFound
    return call


def _days(count: int) -> str:
    return choose(f"{count} 个工作日", f"{count} working days")


@blueprint.route("/calls/<number>/award/<token>", methods=["GET", "POST"])
def award(number: str, token: str) -> Answer:
    """Choose a bid: what the ranking says of it, what follows, and one button."""
    actor = signed_in_actor()

    def make() -> Confirm:
        call = _own(number, actor)
        row = next((one for one in awards.current_ranking(call) if one.bid.token == token), None)
        if row is None:
            raise NotFound
        first = awards.front(call)
        is_first = bool(first) and first[0].place == row.place
        period = call.rules.publicity_working_days
        lines = Markup().join(Markup("<li>{}</li>").format(choose(line["zh"], line["en"])) for line in row.arithmetic)
        return _page(
            call,
            title=choose("确定中选机构", "Choose the winner"),
            button=choose("确定并公示", "Choose and publish"),
            done=choose("已确定中选机构，结果已公布。", "Chosen. The result is published."),
            rows=[
                *_facts(call),
                (choose("中选机构", "Winner"), row.bid.agency.name),
                (choose("名次", "Place"), str(row.place) if row.place is not None else row.reason),
                (choose("报价", "Price"), money.format(row.price) if row.price is not None else "—"),
                (choose("计算", "Arithmetic"), Markup("<ul>{}</ul>").format(lines)),
            ],
            explain=confirm.spoken(
                [
                    (
                        f"结果和计算过程向社会公布，公示 {period} 个工作日；公示期内参加报价的机构可以提出异议。",
                        f"Result and arithmetic are published for {period} working days, in which bidders may object.",
                    ),
                    (
                        "公示期满无异议的，系统自动向中选机构发出委托和中选通知书。",
                        "Afterwards the commission and the letter of award go out by themselves.",
                    ),
                ]
            ),
            fields=[] if is_first else [REASON],
            is_open=call.commission.status is CommissionStatus.EVALUATING,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        call = _own(number, actor, lock=True)
        bid = awards.find_bid(call, token)
        if bid is None:
            raise NotFound
        awards.award(call, bid, by=actor, reason=sheet.text("reason"), expected_version=version)
        return url_for("awards.result", number=number)

    return confirm.serve(make, perform, actor)


@blueprint.route("/calls/<number>/rank-again", methods=["GET", "POST"])
def rank_again(number: str) -> Answer:
    """After an overturned award: who leaves the ranking and why, and the rule once more."""
    actor = signed_in_actor()

    def make() -> Confirm:
        call = _own(number, actor)
        options = [("", ("不排除", "Nobody"))] + [
            (row.bid.token, (row.bid.agency.name, row.bid.agency.name))
            for row in awards.current_ranking(call)
            if row.place is not None
        ]
        return _page(
            call,
            title=choose("重新评审排序", "Rank again"),
            button=choose("重新排序", "Rank again"),
            done=choose("已重新排序。", "Ranked again."),
            rows=_facts(call),
            explain=[choose("理由和新的排序均向社会公布。", "The reasons and the new ranking are published.")],
            fields=[
                Field("excluded", "choice", ("排除的机构", "Excluded"), is_required=False, options=tuple(options)),
                REASON,
            ],
            is_open=awards.is_overturned(call),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        call = _own(number, actor, lock=True)
        reason, token = sheet.text("reason"), sheet.text("excluded")
        awards.rank_again(call, reason, by=actor, excluded={token: reason} if token else None, expected_version=version)
        return url_for("awards.result", number=number)

    return confirm.serve(make, perform, actor)


@blueprint.route("/calls/<number>/failure", methods=["GET", "POST"])
def failure(number: str) -> Answer:
    """Nobody is left to choose: the client fails the call."""
    actor = signed_in_actor()

    def make() -> Confirm:
        call = _own(number, actor)
        return _page(
            call,
            title=choose("流标", "Fail the call"),
            button=choose("确认流标", "Fail the call"),
            done=choose("已公布流标，可重新组织采购。", "Published. You can run it again."),
            rows=_facts(call),
            explain=[
                choose("流标公告随即发布，此后可重新组织采购。", "It is published at once; the call can be run again.")
            ],
            fields=[REASON],
            is_ending=True,
            is_open=awards.may_give_up(call),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        awards.give_up(_own(number, actor, lock=True), sheet.text("reason"), by=actor, expected_version=version)
        return f"/calls/{number}"

    return confirm.serve(make, perform, actor)


# Scoring


@blueprint.route("/calls/<number>/scorers", methods=["GET", "POST"])
def scorers(number: str) -> Answer:
    """Name who scores."""
    actor = signed_in_actor()
    call = _own(number, actor)
    chosen = {str(one.person_id) for one in scoring.scorers_of(call)}
    error: PortalError | None = None
    if request.method == "POST":
        chosen = set(request.form.getlist("people"))

        def act() -> str:
            locked = _own(number, actor, lock=True)
            keys = {int(key) for key in chosen if key.isascii() and key.isdigit() and len(key) < 18}
            people = [found for key in sorted(keys) if (found := session.get(Person, key)) is not None]
            scoring.assign(locked, people, by=actor, expected_version=confirm.version_seen())
            return url_for("awards.result", number=number)

        outcome = confirm.attempt(act)
        if isinstance(outcome, Response):
            flash(choose("已指定评审人员，并通知本人。", "The scorers are named and told."), "success")
            return outcome
        error, call = outcome, _own(number, actor)
    page = render_template(
        "market/scoring_people.html",
        call=call,
        least=call.rules.scorers,
        options=[(str(one.id), one.name) for one in scoring.candidates(call)],
        chosen=chosen,
        form_errors=form_errors(error) if error else None,
        errors=confirm.by_field(error),
        token=request.form.get("act"),
    )
    return (page, error.status) if error else page


@blueprint.route("/calls/<number>/scoring", methods=["GET", "POST"], endpoint="scoring")
def scoring_page(number: str) -> Answer:
    """One's own sheet: kept as a draft, then looked over and submitted."""
    actor = signed_in_actor()
    call = calls.find(number, by=actor)
    scorer = scoring.of_person(call, actor)
    error: PortalError | None = None
    typed: Mapping[str, str] = {}
    if request.method == "POST":
        typed = request.form

        def act() -> str:
            scoring.save(calls.find(number, by=actor), _sheet(call, typed), by=actor)
            return url_for("awards.submission", number=number)

        outcome = confirm.attempt(act)
        if isinstance(outcome, Response):
            return outcome
        error, call = outcome, calls.find(number, by=actor)
        scorer = scoring.of_person(call, actor)
    page = render_template(
        "market/scoring_sheet.html",
        call=call,
        bids=_sheets(call, scorer, typed),
        is_submitted=scorer.submitted_at is not None,
        form_errors=form_errors(error) if error else None,
        errors=confirm.by_field(error),
        token=request.form.get("act"),
    )
    return (page, error.status) if error else page


def _sheet(call: CallForBids, typed: Mapping[str, str]) -> dict[str, list[int | None]]:
    """What was typed; text that is no number is refused by the verb."""
    found: dict[str, list[int | None]] = {}
    for bid in awards.scorable(call):
        row: list[int | None] = []
        for index in range(len(call.weights)):
            text = typed.get(f"points-{bid.token}-{index}", "").strip()
            if not text:
                row.append(None)
            else:
                row.append(int(text) if text.isdecimal() and len(text) < 6 else MOST_POINTS + 1)
        found[bid.token] = row
    return found


def _sheets(call: CallForBids, scorer: awards.Scorer, typed: Mapping[str, str]) -> list[dict[str, Any]]:
    given = scoring.given(scorer)
    opened = {one.bid_id: one for one in awards.opened(call)}
    rows = []
    for bid in awards.scorable(call):
        draft = scorer.draft.get(bid.token, [])
        fields = []
        for index, criterion in enumerate(awards.criteria(call)):
            name = f"points-{bid.token}-{index}"
            kept = given.get(str(bid.id), {}).get(index, draft[index] if index < len(draft) else None)
            fields.append(
                {
                    "name": name,
                    "label": choose(criterion.zh, criterion.en or criterion.zh),
                    "weight": f"{criterion.weight / 100:g}%",
                    "value": typed.get(name, "" if kept is None else str(kept)),
                }
            )
        content = opened[bid.id].content
        rows.append({"agency": bid.agency.name, "statement": content.get("statement", ""), "fields": fields})
    return rows


@blueprint.route("/calls/<number>/scoring/submission", methods=["GET", "POST"])
def submission(number: str) -> Answer:
    """The sheet once more, and its submission for good."""
    actor = signed_in_actor()

    def make() -> Confirm:
        call = calls.find(number, by=actor)
        scorer = scoring.of_person(call, actor)
        rows: list[Row] = []
        for one in _sheets(call, scorer, {}):
            points = choose("；", "; ").join(f"{f['label']} {f['value'] or '—'}" for f in one["fields"])
            rows.append((one["agency"], points))
        return _page(
            call,
            title=choose("提交评分", "Submit the scores"),
            button=choose("提交评分", "Submit"),
            done=choose("评分已提交。", "Submitted."),
            rows=rows,
            explain=[
                choose(
                    "提交后不能更改；全部评审人员提交前，任何人看不到他人的评分。",
                    "This is final. Nobody sees another's scores before all are in.",
                )
            ],
            back=url_for("awards.scoring", number=number),
            version=None,
            is_open=scorer.submitted_at is None,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        call = calls.find(number, by=actor, lock=True)
        scoring.submit(call, scoring.of_person(call, actor).draft, by=actor)
        return url_for("awards.result", number=number)

    return confirm.serve(make, perform, actor)


# Low prices


@blueprint.route("/calls/<number>/justification/<token>", methods=["GET", "POST"])
def justification(number: str, token: str) -> Answer:
    """A low price: its bidder explains, the client decides, the supervisor reads."""
    actor = signed_in_actor()

    def found() -> tuple[CallForBids, awards.Justification]:
        call = calls.find(number, by=actor)
        return call, justifying.find(call, token, by=actor)

    call, one = found()
    is_bidder, is_client = justifying.is_bidder(one, actor), commissions.by_client(call.commission, actor)
    if one.is_accepted is not None or not (is_bidder or is_client):
        return render_template("market/award_justification.html", call=call, rows=_low_rows(call, one))

    def make() -> Confirm:
        call, one = found()
        fields: list[Field] = [Field("text", "text", ("报价构成和理由", "How the price is made up"), initial=one.text)]
        if is_client:
            options = (("yes", ("认可", "Accept")), ("no", ("不认可，不参加排序", "Reject: the bid is excluded")))
            fields = [Field("decision", "choice", ("处理意见", "Decision"), options=options), REASON]
        return _page(
            call,
            title=choose("异常低价说明", "Abnormally low price"),
            button=choose("提交", "Submit"),
            done=choose("已提交。", "Submitted."),
            rows=_low_rows(call, one),
            explain=[
                choose(
                    "处理完毕前不能确定中选机构；不认可的须写明理由并公布。",
                    "Nobody is chosen before it is settled; a rejection needs its published reason.",
                )
            ],
            fields=fields,
            version=call.commission.version if is_client else None,
            is_open=one.is_accepted is None,
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        call = calls.find(number, by=actor, lock=True)
        one = justifying.find(call, token, by=actor)
        if is_client:
            justifying.decide(
                one,
                is_accepted=_decision(sheet),
                reason=sheet.text("reason"),
                by=actor,
                expected_version=version,
            )
        else:
            justifying.answer(one, sheet.text("text"), by=actor)
        return url_for("awards.result", number=number)

    return confirm.serve(make, perform, actor)


def _decision(sheet: Sheet) -> bool:
    """Yes or no as chosen. Raises objections.DecisionMissing when neither was."""
    chosen = sheet.text("decision")
    if chosen not in ("yes", "no"):
        raise objections.DecisionMissing(field="decision")
    return chosen == "yes"


def _low_rows(call: CallForBids, one: awards.Justification) -> list[Row]:
    rows: list[Row] = [
        *_facts(call),
        (choose("机构", "Agency"), one.bid.agency.name),
        (choose("报价", "Price"), money.format(one.price)),
        (choose("异常低价线", "Limit"), money.format(one.limit)),
        (choose("说明截止", "Answer until"), day(one.answer_until)),
        (choose("机构说明", "Explanation"), one.text or "—"),
    ]
    if one.is_accepted is not None:
        words = choose("认可", "Accepted") if one.is_accepted else choose("不认可", "Rejected")
        rows += [(choose("处理意见", "Decision"), words), (choose("理由", "Reason"), one.reason)]
    return rows


# The letter


def _letter_url(call: CallForBids, actor: Actor | None) -> str | None:
    return url_for("awards.letter", number=call.number) if actor is not None and _may_read_letter(call, actor) else None


def _may_read_letter(call: CallForBids, actor: Actor) -> bool:
    made = awards.standing(call)
    if made is None or made.status is not AwardStatus.CONFIRMED:
        return False
    return actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value) or actor.organisation_id in {
        call.commission.client_id,
        made.agency.organisation_id,
    }


@blueprint.get("/calls/<number>/letter-of-award.pdf")
def letter(number: str) -> Response:
    """中选通知书, for the client, the winner and those who supervise."""
    actor = signed_in_actor()
    call = calls.find(number, by=actor)
    made = awards.standing(call)
    if made is None or not _may_read_letter(call, actor):
        raise NotFound
    pdf = letters.letter_of_award(call, made)
    return send_file(io.BytesIO(pdf), mimetype="application/pdf", download_name=f"中选通知书 {call.number}.pdf")
