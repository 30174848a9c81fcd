"""The panel of a review: who sits on it, how they were chosen, and why they may judge (000 §8.3, B7, life-cycles §3).

Whoever reviews declares before any file opens. A conflict keeps the file shut by every address until the lead has
waived what may be waived, or replaced the person; experts are drawn by the verifiable draw, and a replacement is the
next of the same order.
"""

from reviews.panels.declaring import declare, replace, undeclared, waive
from reviews.panels.faults import (
    ConflictFound,
    DeclarationMissing,
    NoSeat,
    NotWaivable,
    OwnConflict,
    SeatTaken,
    TooFewExperts,
    TooFewSeats,
)
from reviews.panels.finding import (
    barred,
    draws_of,
    files_known_by,
    has_seat,
    is_shut,
    load_of,
    may_open,
    of_review,
    seat_of,
    seated,
    speaks_for,
    standing,
)
from reviews.panels.records import Seat, SeatKind, SeatStatus
from reviews.panels.seating import (
    appoint,
    draw_experts,
    invite_department,
    label_of,
    on_drawn,
    reviewed_entries,
    seat_lead,
    shortfall,
    unsettled,
    wanted_of,
)

__all__ = [
    "ConflictFound",
    "DeclarationMissing",
    "NoSeat",
    "NotWaivable",
    "OwnConflict",
    "Seat",
    "SeatKind",
    "SeatStatus",
    "SeatTaken",
    "TooFewExperts",
    "TooFewSeats",
    "appoint",
    "barred",
    "declare",
    "draw_experts",
    "draws_of",
    "files_known_by",
    "has_seat",
    "invite_department",
    "is_shut",
    "label_of",
    "load_of",
    "may_open",
    "of_review",
    "on_drawn",
    "replace",
    "reviewed_entries",
    "seat_lead",
    "seat_of",
    "seated",
    "shortfall",
    "speaks_for",
    "standing",
    "undeclared",
    "unsettled",
    "waive",
    "wanted_of",
]
