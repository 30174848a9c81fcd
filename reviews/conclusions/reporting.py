"""What the report says: the review's own records, put into the words of :mod:`reviews.report`."""

from __future__ import annotations

from typing import Final

from kernel import timekeeping
from kernel.accounts import Person
from kernel.db import session
from kernel.timekeeping import ClockKind
from reviews import meetings, panels, rounds
from reviews.conclusions.record import first_round_done_at, violations
from reviews.panels import SeatKind, SeatStatus
from reviews.report import (
    AnswerPart,
    CheckPart,
    DepartmentPart,
    MeetingPart,
    OpinionPart,
    Panelist,
    Report,
    ReviewedDocument,
    RoundPart,
    Signing,
)
from reviews.rounds import Feedback, Opinion, Round
from reviews.technical import TechnicalReview

LEAD: Final = "lead"
SECOND: Final = "second"


def report_of(review: TechnicalReview) -> Report:
    """The report of a concluded review."""
    assert review.outcome is not None and review.concluded_at is not None  # noqa: S101, PT018  concluded
    commission = review.commission or (review.deliverable.commission if review.deliverable is not None else None)
    assert commission is not None  # noqa: S101  of one or the other, by the table
    every = rounds.rounds_of(review)
    second = session.get(Person, review.second_id) if review.second_id is not None else None
    return Report(
        title=review.kind.title_of_report,
        number=review.number,
        kind=review.kind.zh,
        clause=review.kind.clause,
        project_code=review.project.code,
        project_name=review.project.name,
        engineering=review.phase.name if review.phase is not None else "",
        construction_unit=review.applicant.name,
        review_body=review.body.name,
        review_body_code=review.body.credit_code,
        commission_number=commission.number,
        commissioned_by=commission.client.name,
        commissioned_at=commission.offered_at,
        started_at=review.begun_at,
        first_round_done_at=first_round_done_at(review),
        conclusion=review.outcome.zh,
        summary=review.summary,
        concluded_at=review.concluded_at,
        violations=violations(review),
        valid_until=review.valid_until,
        panel=_panel(review),
        rounds=[_round(one) for one in every],
        checks=[
            CheckPart(one.criterion.zh, one.criterion.clause, one.criterion.grade.zh, one.outcome.zh, one.zh)
            for one in (rounds.checks_of(every[-1]) if every else [])
        ],
        opinions=[_opinion(one, every) for one in rounds.issued_of(review)],
        departments=[part for one in every for part in _departments(review, one)],
        meetings=[
            MeetingPart(
                kind=one.kind.zh,
                began_at=one.under_way_at,
                ended_at=one.ended_at,
                subject=one.matter,
                result=one.result,
                attendance=[seat.name for seat in meetings.seats_of(one) if seat.id in one.attended],
                counted="计入审查时限" if one.is_counted else "不计入审查时限",
            )
            for one in meetings.of_review(review)
            if one.ended_at is not None
        ],
        signings=[
            Signing(LEAD, "审查负责人", review.lead.name),
            Signing(SECOND, "复核签发人", second.name if second is not None else ""),
        ],
    )


def _panel(review: TechnicalReview) -> list[Panelist]:
    return [
        Panelist(
            seat.name,
            panels.label_of(review, seat.discipline),
            seat.kind.zh + ("（随机抽取）" if seat.draw else ""),
            "已声明无利害关系" if not seat.conflicts else f"已申报，准予参加：{seat.reason}",
        )
        for seat in panels.of_review(review)
        if seat.status is SeatStatus.SERVING and seat.kind is not SeatKind.DEPARTMENT
    ]


def _round(round_: Round) -> RoundPart:
    answers = [
        answer.at for one in rounds.issued_of(round_.review) for answer in one.answers if answer.round_id == round_.id
    ]
    return RoundPart(
        number=round_.number,
        opened_at=round_.opened_at,
        issued_at=round_.issued_at,
        answered_at=max(answers) if answers else None,
        documents=[
            ReviewedDocument(one.title, f"第 {one.edition} 版", one.sha256, one.document.pages)
            for one in round_.documents
        ],
        outcome="发出审查意见，退申请人修改" if round_.issued_at is not None else "作出审查结论",
    )


def _opinion(opinion: Opinion, every: list[Round]) -> OpinionPart:
    numbers = {one.id: one.number for one in every}
    titles = {one.slot: one.title for one in opinion.round.documents}
    ruling = opinion.rulings[-1] if opinion.rulings else None
    return OpinionPart(
        number=str(opinion.number),
        grade=opinion.grade.zh,
        discipline=panels.label_of(opinion.round.review, opinion.seat.discipline),
        clause=opinion.clause,
        document=titles.get(opinion.slot, opinion.slot),
        page=opinion.page,
        quote=opinion.quote,
        required=opinion.required,
        found=opinion.found,
        answers=[AnswerPart(numbers.get(one.round_id, 0), f"{one.stance.zh}：{one.text}") for one in opinion.answers],
        ruling=f"{ruling.kind.zh}：{ruling.reason}" if ruling is not None else opinion.status.zh,
    )


def _departments(review: TechnicalReview, round_: Round) -> list[DepartmentPart]:
    found = []
    for asked in round_.asked:
        if asked.seat.kind is not SeatKind.DEPARTMENT:
            continue
        stored = timekeeping.latest(rounds.consultation_of(review, round_, asked.seat), ClockKind.CONSULTATION)
        own = [one for one in rounds.issued_of(review) if one.round_id == round_.id and one.seat_id == asked.seat_id]
        numbers = "、".join(str(one.number) for one in own)
        said = f"意见见第 {numbers} 条" if own else ""
        if asked.late_at is not None:
            said = f"逾期后反馈：{asked.late_answer}"
        found.append(
            DepartmentPart(
                department=asked.seat.name,
                discipline=asked.seat.discipline,
                answer=asked.feedback.zh if asked.feedback is not None else "未反馈",
                text=said,
                asked_at=asked.asked_at,
                due_on=timekeeping.reading(stored).due if stored is not None else None,
                answered_at=asked.answered_at if asked.feedback is not Feedback.SILENT else None,
                person=asked.answered_by if asked.feedback is not Feedback.SILENT else "",
            )
        )
    return found
