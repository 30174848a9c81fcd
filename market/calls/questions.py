"""Questions on a notice: the asker is hidden from everybody, the answer is for all (A6)."""

from __future__ import annotations

from sqlalchemy import select

from kernel import clock, notifications, trail, workflow
from kernel.db import session
from kernel.errors import NotFound
from kernel.trail import Actor
from market.agencies import Agency
from market.calls import publishing
from market.calls.faults import CallClosed, FieldMissing, FieldTooLong, QuestionAnswered
from market.calls.records import CallForBids, Question
from market.commissions import STEPS, CommissionStatus, tell_client
from market.notices import NoticeKind

trail.name_acts(
    {
        "question.asked": ("机构提问", "Question asked"),
        "question.answered": ("答复提问", "Question answered"),
    }
)
LONGEST = 2000


def ask(call: CallForBids, agency: Agency, words: str, *, by: Actor) -> Question:
    """Ask while the call is open. The trail names nobody: who asks shows who will bid.

    Raises:
        CallClosed, FieldMissing, FieldTooLong.
    """
    asked = _text(words, "text")
    if call.commission.status != CommissionStatus.OPEN or (call.closing_at and clock.now() > call.closing_at):
        raise CallClosed(closing=publishing.spoken(call.closing_at))
    question = Question(call_id=call.id, organisation_id=agency.organisation_id, text=asked, asked_at=clock.now())
    session.add(question)
    session.flush()
    trail.record(call.subject, "question.asked", by=trail.SYSTEM, call=call.number)
    tell_client(call.commission, "question.asked")
    return question


def answer(question: Question, words: str, *, by: Actor) -> None:
    """Answer once, for all to read; the answer is a public notice.

    Raises:
        workflow.MoveNotOpen: not the buyer, or the call isn't open. QuestionAnswered, FieldMissing, FieldTooLong.
    """
    call = session.get_one(CallForBids, question.call_id)
    workflow.check(call.commission, STEPS, "amend", by=by)
    if question.answered_at is not None:
        raise QuestionAnswered
    question.answer = _text(words, "answer")
    question.answered_at = clock.now()
    session.flush()
    trail.record(call.subject, "question.answered", by=by, call=call.number)
    publishing.announce(
        call,
        NoticeKind.ANSWER,
        call.title,
        [
            {"zh": "问", "en": "Question", "value": question.text},
            {"zh": "答", "en": "Answer", "value": question.answer},
        ],
    )
    notifications.tell_organisation(
        question.organisation_id,
        subject=call.notice,
        act="question.answered",
        title=f"{call.title}（{call.number}）",
        project=call.commission.project.name,
    )


def of_call(call: CallForBids, *, most: int = 200) -> list[Question]:
    """The newest first; pages show no asker."""
    return list(
        session.scalars(select(Question).where(Question.call_id == call.id).order_by(Question.id.desc()).limit(most))
    )


def find(call: CallForBids, key: int) -> Question:
    """Raises NotFound."""
    question = session.get(Question, key)
    if question is None or question.call_id != call.id:
        raise NotFound
    return question


def _text(words: str, field: str) -> str:
    plain = words.strip()
    what = ("提问内容", "the question") if field == "text" else ("答复内容", "the answer")
    if not plain:
        raise FieldMissing(field=field, what=what[0], what_en=what[1])
    if len(plain) > LONGEST:
        raise FieldTooLong(field=field, what=what[0], what_en=what[1].capitalize(), most=LONGEST)
    return plain
