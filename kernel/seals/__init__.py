"""Electronic signatures and seals on PDF: made here, and judged wherever they come from (001 §9.3, requirement A11).

1. :func:`check` and :func:`verify` judge the signatures of a stored file without any network.
2. :func:`sign` adds one as an incremental update, so that what was signed before stays as it was: PAdES (ETSI
   EN 319 142) baseline B-T, that is with an RFC 3161 time stamp; an organisation's may show its round red seal.
3. Keys come from a :class:`SealProvider`. The one here, :class:`LocalSeals`, is an authority of this installation's
   own; a city's or a province's seal platform takes its place by :func:`use_provider`. Time comes from a
   :class:`TimeStampService`: ours, or an outside one by its address.

Time inside signatures is real time, never the sandbox's.
"""

from __future__ import annotations

from kernel.seals.authority import LocalSeals, Signatory
from kernel.seals.checking import (
    MOST,
    PdfSeals,
    SealChecker,
    Signature,
    SignatureBroken,
    SignatureMissing,
    check,
    use,
    verify,
)
from kernel.seals.signing import (
    Appearance,
    CannotSign,
    FieldTaken,
    SealProvider,
    SealsUnavailable,
    certificate,
    configure,
    sign,
    use_provider,
    use_time_stamps,
)
from kernel.seals.stamping import LocalTimeStamps, OutsideTimeStamps, TimeStampService, TimeStampsUnavailable

__all__ = [
    "MOST",
    "Appearance",
    "CannotSign",
    "FieldTaken",
    "LocalSeals",
    "LocalTimeStamps",
    "OutsideTimeStamps",
    "PdfSeals",
    "SealChecker",
    "SealProvider",
    "SealsUnavailable",
    "Signatory",
    "Signature",
    "SignatureBroken",
    "SignatureMissing",
    "TimeStampService",
    "TimeStampsUnavailable",
    "certificate",
    "check",
    "configure",
    "sign",
    "use",
    "use_provider",
    "use_time_stamps",
    "verify",
]
