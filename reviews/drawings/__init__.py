"""One set of drawings for every department (一套图纸, 000 三(七), requirement B10).

The construction unit enters sheets by discipline and number; each new edition is another version of the same sheet,
from survey to completion, and none is ever changed. :func:`set_on` answers the set in force at any instant. Whoever
approves or relies on a version does so by its SHA-256 (:func:`approve`, :func:`kernel.dossier.rely`), so that a
changed sheet names the approvals it touches before it is entered (:func:`touched_by`) and tells them afterwards.
"""

from __future__ import annotations

from reviews.drawings.approving import ApprovalLine, Touched, approvals_by_version, approvals_of, approve, touched_by
from reviews.drawings.entering import NewSheet, add, check, may_enter, withdraw
from reviews.drawings.faults import (
    DisciplineMissing,
    EffectiveTooEarly,
    NothingEntered,
    NotTheOwner,
    SameContent,
    SameSheetTwice,
    SheetNumberInvalid,
    TitleMissing,
    VersionWithdrawn,
)
from reviews.drawings.finding import (
    MOST_SHEETS,
    InForce,
    find,
    history,
    may_read,
    may_see,
    set_on,
    state_of,
    versions_of_hash,
)
from reviews.drawings.names import Guess, guess, parse_number
from reviews.drawings.records import (
    Discipline,
    DrawingStage,
    Sheet,
    SheetApproval,
    SheetVersion,
    SheetWithdrawal,
    subject_of,
)

__all__ = [
    "MOST_SHEETS",
    "ApprovalLine",
    "Discipline",
    "DisciplineMissing",
    "DrawingStage",
    "EffectiveTooEarly",
    "Guess",
    "InForce",
    "NewSheet",
    "NotTheOwner",
    "NothingEntered",
    "SameContent",
    "SameSheetTwice",
    "Sheet",
    "SheetApproval",
    "SheetNumberInvalid",
    "SheetVersion",
    "SheetWithdrawal",
    "TitleMissing",
    "Touched",
    "VersionWithdrawn",
    "add",
    "approvals_by_version",
    "approvals_of",
    "approve",
    "check",
    "find",
    "guess",
    "history",
    "may_enter",
    "may_read",
    "may_see",
    "parse_number",
    "set_on",
    "state_of",
    "subject_of",
    "touched_by",
    "versions_of_hash",
    "withdraw",
]
