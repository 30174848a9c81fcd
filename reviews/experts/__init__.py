"""The register of experts (B7): who may be drawn, and whom the records forbid to judge.

Read :mod:`~reviews.experts.records` first, then :mod:`~reviews.experts.questions` (who may be drawn),
:mod:`~reviews.experts.keeping` (verbs), :mod:`~reviews.experts.recusal` (conflicts) and
:mod:`~reviews.experts.importing` (lists as CSV).
"""

from pathlib import Path

from kernel import policies
from reviews.experts.importing import COLUMNS, import_experts, read_csv
from reviews.experts.keeping import (
    Entry,
    add_employment,
    faults_of,
    mark_paid,
    record_fee,
    register,
    reinstate,
    remove,
    renew,
    revise,
    suspend,
)
from reviews.experts.questions import (
    Wanted,
    account_of,
    by_number,
    default_load,
    eligible,
    employments,
    fees_of,
    listed,
    load_of,
    of_person,
    organisation_named,
    regions,
    register_load,
)
from reviews.experts.records import (
    NUMBER,
    STEPS,
    AccountNotExpert,
    AccountTaken,
    Employment,
    EmploymentInFuture,
    EmploymentReversed,
    Expert,
    ExpertDetailMissing,
    ExpertStatus,
    FeeNotPositive,
    FeePaid,
    FeeRecord,
    LoadOutOfRange,
    SpecialityUnknown,
    TermNotLonger,
    TermReversed,
)
from reviews.experts.recusal import WAIVABLE, Conflict, ConflictKind, conflicts

DATA = Path(__file__).resolve().parent.parent / "data"


def load_shipped() -> int:
    """Enter the shipped policy rows of the reviews, if there are none yet; answer how many."""
    return policies.load_shipped(DATA / "policies.json")


__all__ = [
    "COLUMNS",
    "NUMBER",
    "STEPS",
    "WAIVABLE",
    "AccountNotExpert",
    "AccountTaken",
    "Conflict",
    "ConflictKind",
    "Employment",
    "EmploymentInFuture",
    "EmploymentReversed",
    "Entry",
    "Expert",
    "ExpertDetailMissing",
    "ExpertStatus",
    "FeeNotPositive",
    "FeePaid",
    "FeeRecord",
    "LoadOutOfRange",
    "SpecialityUnknown",
    "TermNotLonger",
    "TermReversed",
    "Wanted",
    "account_of",
    "add_employment",
    "by_number",
    "conflicts",
    "default_load",
    "eligible",
    "employments",
    "faults_of",
    "fees_of",
    "import_experts",
    "listed",
    "load_of",
    "load_shipped",
    "mark_paid",
    "of_person",
    "organisation_named",
    "read_csv",
    "record_fee",
    "regions",
    "register",
    "register_load",
    "reinstate",
    "remove",
    "renew",
    "revise",
    "suspend",
]
