"""The conclusion: proposed by the lead, confirmed by a second person, signed and published in one act (000 §8.4, B9).

Publishing delivers the report, attaches it to the project code and finishes the service; nobody approves a conclusion.
A panel that judged another agency's deliverable ends with its acceptance or its return (001 §9.4).
"""

from reviews.conclusions.concluding import ask_retraction, conclude, propose, retract, unmet
from reviews.conclusions.faults import (
    MustsOpen,
    NothingFails,
    NotProposed,
    NotSecond,
    NotSigned,
    OnlyFailed,
    OutcomeMissing,
    ReportChanged,
    RetractionMissing,
    SignedAlready,
    SignerConflicted,
    StillInTime,
    SummaryMissing,
)
from reviews.conclusions.publishing import is_signed_by_lead, may_read, publish, sign
from reviews.conclusions.record import national_record
from reviews.conclusions.reporting import report_of

__all__ = [
    "MustsOpen",
    "NotProposed",
    "NotSecond",
    "NotSigned",
    "NothingFails",
    "OnlyFailed",
    "OutcomeMissing",
    "ReportChanged",
    "RetractionMissing",
    "SignedAlready",
    "SignerConflicted",
    "StillInTime",
    "SummaryMissing",
    "ask_retraction",
    "conclude",
    "is_signed_by_lead",
    "may_read",
    "national_record",
    "propose",
    "publish",
    "report_of",
    "retract",
    "sign",
    "unmet",
]
