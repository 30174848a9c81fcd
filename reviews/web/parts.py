"""What the pages of a review share: its way back, its rows, whom it may be shown to, the confirm page of an act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select

from kernel import timekeeping
from kernel.access import Cell, Role, holders
from kernel.accounts import Membership, Person
from kernel.db import session
from kernel.errors import NotFound
from kernel.timekeeping import ClockKind
from kernel.trail import Actor
from kernel.web import choose, day, language
from market.commissions import Commission
from market.web import confirm, progress
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet, Words
from reviews import panels, rounds, technical
from reviews.kinds import Grade
from reviews.panels import Seat
from reviews.rounds import Round
from reviews.technical import TechnicalReview

#: Whoever may have to do with a review; whether with this one, its seats and sides decide.
READERS: Final[Cell] = holders(
    Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY, Role.AGENCY, Role.EXPERT, Role.APPROVER, Role.CENTRE,
    Role.REGULATOR, Role.LEAD, Role.SUPERVISOR, Role.AUDITOR,
)  # fmt: skip
STAFF: Final[Cell] = holders(Role.AGENCY, Role.CENTRE, Role.AUTHORITY, Role.APPROVER)
REVIEWERS: Final[Cell] = holders(
    Role.EXPERT, Role.AGENCY, Role.CENTRE, Role.AUTHORITY, Role.APPROVER, Role.REGULATOR, Role.LEAD
)
APPLICANTS: Final[Cell] = holders(Role.APPLICANT, Role.ASSISTANT, Role.AUTHORITY)


def url_of(review: TechnicalReview, *more: object) -> str:
    return "/".join(["/reviews", review.number, *(str(one) for one in more)])


def commission_of(review: TechnicalReview) -> Commission:
    """The commission that the review is, or whose deliverable it judges."""
    found = review.commission or (review.deliverable.commission if review.deliverable is not None else None)
    assert found is not None  # noqa: S101  of one or the other, by the table
    return found


def rows_of(review: TechnicalReview) -> list[tuple[str, str]]:
    """What every confirm page about a review begins with."""
    return [
        (choose("审查编号", "Review"), review.number),
        (choose("审查类别", "Kind"), review.kind.label(language())),
        (choose("项目名称", "Project"), review.project.name),
        (choose("审查机构", "Review body"), review.body.name),
    ]


def act(
    number: str,
    actor: Actor,
    action: str,
    *,
    title: Words,
    button: Words,
    done: Words,
    perform: Callable[[TechnicalReview, Sheet, int | None], Any],
    explain: Sequence[Words] = (),
    fields: Callable[[TechnicalReview], Sequence[Field]] | Sequence[Field] = (),
    rows: Callable[[TechnicalReview], Sequence[tuple[str, str]]] | None = None,
    back: Callable[[TechnicalReview], str] = url_of,
    is_ending: bool = False,
) -> Answer:
    """The confirm page of one act on a review; ``action`` is its row in the table of steps."""

    def make() -> Confirm:
        review = technical.find(number, by=actor)
        asked = fields(review) if callable(fields) else fields
        is_open = action in technical.moves(review, actor)
        if not is_open:  # what others have entered so far is not told to whoever may not act
            asked = [replace(one, initial="") for one in asked]
        return Confirm(
            title=choose(*title),
            button=choose(*button),
            done=choose(*done),
            back=back(review),
            crumbs=crumbs(review),
            subject=review.subject,
            version=review.version,
            rows=[*rows_of(review), *(rows(review) if rows is not None else [])],
            explain=confirm.spoken(list(explain)),
            fields=list(asked),
            is_ending=is_ending,
            is_open=is_open,
        )

    def do(sheet: Sheet, version: int | None) -> str:
        review = technical.find(number, by=actor, lock=True)
        perform(review, sheet, version)
        return back(review)

    return confirm.serve(make, do, actor)


def crumbs(review: TechnicalReview) -> list[tuple[str, str]]:
    return crumbs_of(review.number)


def crumbs_of(number: str) -> list[tuple[str, str]]:
    return [(choose("技术审查", "Technical reviews"), "/reviews"), (number, f"/reviews/{number}")]


def clocks_of(review: TechnicalReview) -> list[dict[str, Any]]:
    """The review's own clocks for ``ui.clock_box``, the pressing one first, then the service's."""
    commission = commission_of(review)
    found = [timekeeping.latest(review.subject, kind) for kind in (ClockKind.RESPONSE, ClockKind.ROUND)]
    if review.commission is not None:
        found.append(timekeeping.latest(commission.subject, ClockKind.SERVICE))
    shown = [one for one in found if one is not None]
    shown.sort(key=lambda one: one.ended_at is not None)
    return [progress.box(one, commission) for one in shown]


def round_url(review: TechnicalReview, round_: Round | int, *more: object) -> str:
    number = round_ if isinstance(round_, int) else round_.number
    return url_of(review, "rounds", number, *more)


def seat_named(review: TechnicalReview, key: str) -> Seat:
    """A seat of a review by its place in the list, 1 first; internal keys stay inside. Raises NotFound."""
    seats = panels.of_review(review)
    if not key.isascii() or not key.isdigit() or not 1 <= int(key[:4]) <= len(seats):
        raise NotFound
    return seats[int(key) - 1]


def place_of_seat(review: TechnicalReview, seat: Seat) -> int:
    """The inverse of :func:`seat_named`."""
    return next(place for place, one in enumerate(panels.of_review(review), start=1) if one.id == seat.id)


def staff_of(review: TechnicalReview, *, but: int | None = None) -> list[Person]:
    """People of the review body who may review, one person left out."""
    rows = session.scalars(
        select(Person)
        .join(Membership, Membership.person_id == Person.id)
        .where(
            Membership.organisation_id == review.body_id,
            Membership.role.in_(technical.life.STAFF),
            Membership.ended_at.is_(None),
            Person.disabled_at.is_(None),
        )
        .order_by(Person.name)
        .distinct()
        .limit(200)
    )
    return [one for one in rows if one.id != but]


def oversees(review: TechnicalReview, actor: Actor) -> bool:
    """Whether the actor is told what stands between a reviewer and a review: the body's people and the overseers."""
    return technical.by_body(review, actor) or actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)


def current_number(review: TechnicalReview) -> int:
    """The number of the present round, 0 before the first."""
    latest = rounds.current(review)
    return latest.number if latest is not None else 0


def may_be_issued(review: TechnicalReview, round_: Round) -> bool:
    """Whether there is something mandatory to send back, and a further round to answer it in."""
    fresh = any(one.grade is Grade.MUST for one in rounds.submitted_in(round_))
    return (fresh or bool(rounds.open_musts(review))) and round_.number < review.kind.round_limit


def due_words(subject: str, kind: ClockKind) -> str:
    """The due day of a running clock in words, or ''."""
    running = timekeeping.running(subject, kind)
    reading = timekeeping.reading(running) if running is not None else None
    return day(reading.due) if reading is not None and reading.due is not None else ""
