"""Conduct signals for the supervisor alone: what rivals share, odd prices, habits (A6, domain §7, edge 7).

Read :mod:`~market.signals.screens` first (the figures), then :mod:`~market.signals.detecting` (what is looked for),
:mod:`~market.signals.keeping` (filed once, dismissed with a reason) and :mod:`~market.signals.scanning` (when).
"""

from market.signals.detecting import Finding, findings
from market.signals.keeping import (
    DismissalReasonMissing,
    DismissalReasonTooLong,
    Wanted,
    counts,
    dismiss,
    file,
    find,
    listed,
    of_call,
)
from market.signals.records import (
    NUMBER,
    SERIOUS,
    STEPS,
    Severity,
    Signal,
    SignalAgency,
    SignalCall,
    SignalKind,
    SignalScan,
    SignalStatus,
    may_read,
)
from market.signals.scanning import act_on_due, due, on_opened, scan
from market.signals.thresholds import Thresholds, parse

__all__ = [
    "NUMBER",
    "SERIOUS",
    "STEPS",
    "DismissalReasonMissing",
    "DismissalReasonTooLong",
    "Finding",
    "Severity",
    "Signal",
    "SignalAgency",
    "SignalCall",
    "SignalKind",
    "SignalScan",
    "SignalStatus",
    "Thresholds",
    "Wanted",
    "act_on_due",
    "counts",
    "dismiss",
    "due",
    "file",
    "find",
    "findings",
    "listed",
    "may_read",
    "of_call",
    "on_opened",
    "parse",
    "scan",
]
