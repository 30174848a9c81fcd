"""A technical review whose round has hundreds of opinions, and the requests for its page (issue, "done when", 5).

One half was issued in the first round, answered one by one and carried over to the new drawings; the other half was
written in the second round, in which everybody is in. Reviewers, passages and clauses are drawn from a seed.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import select

from bench.clients import Request, get
from bench.ground import Ground, signed_in
from integration.demo import reviewing
from kernel import files
from kernel.accounts import Person, actor_of
from kernel.db import session
from kernel.files import Document
from kernel.trail import Actor
from market import services
from reviews import panels, rounds, technical
from reviews.kinds import Grade
from reviews.rounds import RulingKind, Stance, Writing
from reviews.technical import TechnicalReview
from reviews.web.round_pages import PAGE

DRAWINGS, PAGES = "drawings", 40
CLAUSES = ("GB 55037-2022 第7.4.4条", "GB 55008-2021 第3.1.5条", "GB 55015-2021 第4.2.2条", "GB 55020-2021 第3.3.1条")
FOUND = (
    "疏散楼梯净宽不足，扶手内侧计算后小于规定值。",
    "楼板混凝土保护层厚度与环境类别不符。",
    "管井防火门等级标注不清，平面与门窗表不一致。",
    "结构计算书的荷载取值与建筑做法不一致。",
    "空调系统未标注能效限值，设备表缺少性能参数。",
)


def reviewed(made: Ground, count: int, *, seed: int = 11) -> str:
    """A review in its second round with so many opinions; answers its number. In the caller's transaction."""
    rng = random.Random(seed)
    applicant, lead = _actor("applicant"), _actor(reviewing.LEAD)
    reviewers = [_actor(login) for login in reviewing.PANEL]
    review = _begun(made, applicant, lead)
    first, second = count // 2, count - count // 2
    _write(review, 1, first, reviewers, rng)
    _everybody_is_in(review, 1, [lead, *reviewers])
    for opinion in rounds.issue(review, 1, by=lead):
        rounds.answer(review, opinion, Stance.CORRECTED, "已按意见修改，详见修改说明。", by=applicant)
    rounds.resubmit(review, 1, {DRAWINGS: _drawings("second", applicant)}, by=applicant)
    for opinion in rounds.issued_of(review, only_open=True):
        rounds.rule(review, 2, opinion, RulingKind.MAINTAINED, "修改后仍未满足条文要求。", by=lead)
    _write(review, 2, second, reviewers, rng)
    _everybody_is_in(review, 2, [lead, *reviewers])
    return review.number


def round_pages(number: str, port: int) -> list[Request]:
    """Every page of the second round's opinions, as one of its experts sees it."""
    cookie = signed_in(port, next(iter(reviewing.PANEL)))
    address = f"/reviews/{number}/rounds/2"
    pages = range(1, -(-_counted(number) // PAGE) + 1)
    return [get(f"{address}?page={page}", number, "</html>", headers=cookie) for page in pages]


def _begun(made: Ground, applicant: Actor, lead: Actor) -> TechnicalReview:
    """In its first round, with an appointed panel."""
    commission = reviewing.taken_on(
        session.merge(made.city.projects[0]), applicant, lead, _drawings("first", applicant)
    )
    services.start(commission, by=lead)
    review = technical.mine(lead, most=1)[0]
    reviewing.seated(review, lead, _actor)
    for actor in (lead, *(_actor(login) for login in reviewing.PANEL)):
        panels.declare(review, [], "", by=actor)
    rounds.open_round(review, by=lead)
    return review


def _actor(login: str) -> Actor:
    return actor_of(session.scalars(select(Person).where(Person.login == login)).one())


def _drawings(edition: str, by: Actor) -> Document:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for page in range(PAGES):
        canvas.drawString(72, 760, f"Sheet {page + 1}, {edition} edition")
        canvas.showPage()
    canvas.save()
    out.seek(0)
    return files.put(out, f"施工图-{edition}.pdf", by=by)


def _write(review: TechnicalReview, number: int, count: int, reviewers: Sequence[Actor], rng: random.Random) -> None:
    for place in range(count):
        x, y = rng.randrange(100, 700), rng.randrange(100, 900)
        said = Writing(
            grade=Grade.ADVICE if place % 3 == 2 else Grade.MUST,
            slot=DRAWINGS,
            required="应符合条文规定，并在图中明确标注。",
            found=rng.choice(FOUND),
            clause=rng.choice(CLAUSES),
            page=rng.randrange(PAGES) + 1,
            box=(x, y, 200, 30),
            quote=f"Sheet {place}",
        )
        rounds.write(review, number, said, by=reviewers[place % len(reviewers)])


def _everybody_is_in(review: TechnicalReview, number: int, actors: Sequence[Actor]) -> None:
    round_ = rounds.open_round_of(review, number)
    for actor in actors:
        drafts = rounds.drafts_of(round_, panels.seat_of(review, actor))
        rounds.submit(review, number, by=actor, no_comment=not drafts)


def _counted(number: str) -> int:
    """How many opinions a review has."""
    review = technical.of_subject(f"review:{number}")
    counted = len(rounds.issued_of(review)) + len(rounds.submitted_in(rounds.open_round_of(review)))
    session.remove()
    return counted
