"""Technical reviews taken as far as a test needs, each step in a transaction of its own, through the public verbs."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from reportlab.pdfgen.canvas import Canvas

from integration.demo import city as demo
from kernel import draws, previews
from kernel.accounts import Organisation
from kernel.db import in_transaction, session, transaction
from kernel.files import Document, put
from kernel.trail import Actor
from market import agencies, catalogue, commissions, drawing, listings, services
from market.commissions import Picked
from reviews import conclusions, panels, rounds, technical
from reviews.kinds import Grade
from reviews.panels import Seat, SeatKind
from reviews.rounds import Opinion, Stance, Writing
from reviews.technical import Outcome, TechnicalReview

ITEM = "ZJ-0303"
DRAWINGS = "drawings"


def drawings_pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A PDF whose pages hold these lines, from the top; Latin letters, so that the words can be found again."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for lines in pages:
        for turn, line in enumerate(lines):
            canvas.drawString(72, 760 - 24 * turn, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


FIRST = (
    ("Stair width 1.05 m between handrails", "Fire door grade B at shaft"),
    ("Concrete cover 15 mm for slabs", "Seismic grade III frame"),
    ("Exhaust fan EF-3 on roof",),
)


class Reviewing:
    """A review of construction drawings: body 磐石 (agency8 leads, reviewer signs second), applicant 宏远."""

    def __init__(self, world: Any, listing: Any = None) -> None:
        """``listing``: the body's own where the town has it already; otherwise it is admitted and the experts registered."""
        self.world = world
        self.lead = world.actor("agency8")
        self.second = world.actor("reviewer")
        self.applicant: Actor = world.applicant
        self.listing = listing
        if listing is not None:
            return
        with transaction():
            organisation = world.organisations["磐石"]
            self.agency = agencies.admit(
                session.merge(organisation), by=self.lead, commitment_agreed=True, regions=["示例市"]
            )
            for code, level in (("Q06.01", "一类"), ("Q06.02", "一类"), ("Q06.03", "")):
                agencies.file_qualification(
                    self.agency,
                    code,
                    level,
                    f"SC-{code}",
                    valid_from=date(2023, 1, 1),
                    valid_until=date(2028, 12, 31),
                    by=self.lead,
                )
            for number in range(20):
                agencies.file_practitioner(
                    self.agency, f"审查师{number}", "注册工程师", f"SC{number}", valid_until=None, by=self.lead
                )
            item = catalogue.by_code(ITEM)
            self.listing = listings.draft(
                self.agency, item, demo.demo_rule(item, 1), promised_working_days=10, by=self.lead
            )
            listings.publish(self.listing, by=self.lead)
            demo._experts(world_city(world))

    # The commission

    def begun(self, pages: Sequence[Sequence[str]] = FIRST) -> str:
        """A review whose service has started; answers its number."""
        with transaction():
            draft = commissions.draft(
                session.merge(self.world.project),
                session.merge(self.listing),
                session.merge(self.world.client_org),
                by=self.applicant,
            )
            handed = [
                Picked("全套施工图和计算书", document=self.pdf("施工图.pdf", pages)),
                *(
                    Picked(name, document=self.pdf(f"{name}.pdf", [[name]]))
                    for name in draft.item.required_materials
                    if name != "全套施工图和计算书"
                ),
            ]
            commissions.hand_in(draft, handed)
            number = draft.number
        for verb, by in (
            (commissions.offer, self.applicant),
            (commissions.take_on, self.lead),
            (services.start, self.lead),
        ):
            with transaction():
                verb(commissions.find(number, by=by, lock=True), by=by)
        with transaction():
            review = technical.of_commission(commissions.find(number, by=self.lead))
            assert review is not None
            return review.number

    def pdf(self, name: str, pages: Sequence[Sequence[str]], *, by: Actor | None = None) -> Document:
        """Store a PDF; call inside transaction()."""
        return put(io.BytesIO(drawings_pdf(pages)), name, by=by or self.applicant)

    # The panel

    def draw(self, number: str) -> str:
        """Experts drawn for every empty seat; answers the draw's number."""
        with transaction():
            review = self.find(number)
            draw = panels.draw_experts(review, panels.wanted_of(review), by=self.lead).number
        self.settle(draw)
        return draw

    def settle(self, number: str) -> None:
        """Every party of a draw commits, then opens its seed; the last one draws."""
        seeds = {}
        for party in list(drawing.find(number).parties):
            by = self.speaker(party.organisation_id)
            seeds[party.party] = draws.fresh_seed()
            with transaction():
                drawing.commit_by_server(drawing.find(number, lock=True), party.party, by=by, seed=seeds[party.party])
        for party in list(drawing.find(number).parties):
            by = self.speaker(party.organisation_id)
            with transaction():
                drawing.reveal(drawing.find(number, lock=True), party.party, seeds[party.party], by=by)

    def speaker(self, organisation_id: int) -> Actor:
        """Somebody who acts for an organisation."""
        for login in ("applicant", "operator", "supervisor"):
            actor: Actor = self.world.actor(login)
            if actor.organisation_id == organisation_id:
                return actor
        raise LookupError(organisation_id)

    def actor_of_seat(self, seat: Seat) -> Actor:
        if seat.kind is SeatKind.DEPARTMENT:
            return next(
                self.world.actor(login)
                for login in ("approver8", "approver6", "approver7", "approver4")
                if self.world.actor(login).organisation_id == seat.organisation_id
            )
        return next(
            self.world.actor(login) for login, person in self.world.people.items() if person.id == seat.person_id
        )

    def seats(self, number: str) -> list[Seat]:
        session.rollback()
        return [seat for seat in panels.of_review(self.find(number)) if seat.status.value != "replaced"]

    def declare_all(self, number: str) -> None:
        for seat in self.seats(number):
            if seat.status.value == "invited":
                with transaction():
                    panels.declare(self.find(number), [], "", by=self.actor_of_seat(seat))

    def departments(self, number: str) -> None:
        for short, discipline in (("住建", "消防"), ("国动", "人防"), ("气象", "防雷")):
            with transaction():
                organisation: Organisation = session.merge(self.world.organisations[short])
                panels.invite_department(self.find(number), organisation, discipline, by=self.lead)

    # The rounds

    def opened(self, pages: Sequence[Sequence[str]] = FIRST, *, joint: bool = False) -> str:
        """A review in its first round, everybody drawn and declared."""
        number = self.begun(pages)
        self.draw(number)
        self.declare_all(number)
        if joint:
            self.departments(number)
        self.act(number, rounds.open_round, by=self.lead)
        return number

    def writing(self, found: str = "楼梯净宽不足", **more: Any) -> Writing:
        return Writing(
            grade=more.pop("grade", Grade.MUST),
            slot=more.pop("slot", DRAWINGS),
            required=more.pop("required", "疏散楼梯净宽不应小于 1.10 m"),
            found=found,
            clause=more.pop("clause", "GB 55037-2022 第7.4.4条"),
            page=more.pop("page", 1),
            **more,
        )

    def write(self, number: str, by: Actor, said: Writing | None = None, *, round_: int = 1) -> str:
        """An opinion's key."""
        with transaction():
            return rounds.write(self.find(number), round_, said or self.writing(), by=by).key

    def submit(self, number: str, by: Actor, *, round_: int = 1, no_comment: bool = False) -> None:
        self.act(number, rounds.submit, round_, by=by, no_comment=no_comment)

    def everybody_else_has_nothing(self, number: str, *but: Actor, round_: int = 1) -> None:
        said = {actor.person_id for actor in but}
        for seat in self.seats(number):
            by = self.actor_of_seat(seat)
            if by.person_id not in said and seat.is_serving:
                self.submit(number, by, round_=round_, no_comment=True)

    def experts(self, number: str) -> list[Actor]:
        return [self.actor_of_seat(seat) for seat in self.seats(number) if seat.kind is SeatKind.EXPERT]

    def issued(self, *said: Writing) -> str:
        """A review whose first round brought these opinions (one by default), with the applicant now."""
        number = self.opened()
        expert = self.experts(number)[0]
        for one in said or (self.writing(),):
            self.write(number, expert, one)
        self.submit(number, expert)
        self.everybody_else_has_nothing(number, expert)
        self.act(number, rounds.issue, 1, by=self.lead)
        return number

    def answered(self, number: str, stance: Stance = Stance.CORRECTED, text: str = "已按意见修改") -> None:
        for opinion in rounds.issued_of(self.find(number), only_open=True):
            with transaction():
                review = self.find(number)
                rounds.answer(review, session.merge(opinion), stance, text, by=self.applicant)

    def resubmitted(self, number: str, pages: Sequence[Sequence[str]], *, round_: int = 1) -> None:
        with transaction():
            changed = {DRAWINGS: self.pdf("施工图（修改）.pdf", pages)}
            rounds.resubmit(self.find(number), round_, changed, by=self.applicant)

    # The end

    def passed(self) -> str:
        """A finished review without any opinion."""
        number = self.opened()
        self.everybody_else_has_nothing(number)
        self.conclude(number, Outcome.PASSED)
        self.publish(number)
        return number

    def conclude(self, number: str, outcome: Outcome) -> None:
        self.act(
            number,
            conclusions.propose,
            outcome,
            "符合要求" if outcome is Outcome.PASSED else "不符合要求",
            by=self.lead,
        )
        self.act(number, conclusions.conclude, by=self.second)

    def publish(self, number: str) -> None:
        self.act(number, conclusions.sign, by=self.lead)
        self.act(number, conclusions.publish, by=self.second)

    # Reading

    def find(self, number: str) -> TechnicalReview:
        return technical.find(number, by=self.lead, lock=in_transaction())

    def act(self, number: str, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with transaction():
            return verb(self.find(number), *arguments, **named)

    def opinion(self, number: str, at: int) -> Opinion:
        session.rollback()
        return next(one for one in rounds.issued_of(self.find(number)) if one.number == at)

    def rendered(self) -> None:
        """Every page made, as the worker does."""
        previews.work(30)


def world_city(world: Any) -> demo.City:
    """The demo's own view of a test's world."""
    return demo.City(organisations=world.organisations, people=world.people)
