"""Random draws that anybody can repeat (competition, "Random draw"; trust G7): the algorithm and its record.

``list_hash`` is published first: it fixes the number, the candidates and the rule, and with the rule who will add a
seed and which outside value is waited for. Parties then commit to their seeds; only when every commitment is in are
the seeds opened. Nothing here knows a database: one draw per number, publication and sealing are the caller's.
Every hash is SHA-256 over ``draw/<kind>/v1``, a line feed and canonical JSON; ``docs/draw.md`` describes the format for
strangers, ``tools/verify_draw.py`` checks a record without this module.
"""

from __future__ import annotations

from kernel.draws.faults import (
    BadDrawEntry,
    BadSeed,
    DrawRecordBroken,
    DuplicateCandidate,
    DuplicateParty,
    EmptyDrawList,
    ListChanged,
    LongDrawList,
    MissingCommitment,
    MissingSeed,
    NoRandomness,
    OutsideValueMismatch,
    PickedOutOfRange,
    SeedMismatch,
    UnknownParty,
)
from kernel.draws.record import (
    MOST_CANDIDATES,
    MOST_PARTIES,
    Attempt,
    Candidate,
    DrawRecord,
    Pledge,
    Rule,
    Step,
    commitment,
    draw,
    fresh_seed,
    list_hash,
    read,
    seed_of,
    shuffled,
)
from kernel.draws.replay import Words, in_words, steps

__all__ = [
    "MOST_CANDIDATES",
    "MOST_PARTIES",
    "Attempt",
    "BadDrawEntry",
    "BadSeed",
    "Candidate",
    "DrawRecord",
    "DrawRecordBroken",
    "DuplicateCandidate",
    "DuplicateParty",
    "EmptyDrawList",
    "ListChanged",
    "LongDrawList",
    "MissingCommitment",
    "MissingSeed",
    "NoRandomness",
    "OutsideValueMismatch",
    "PickedOutOfRange",
    "Pledge",
    "Rule",
    "SeedMismatch",
    "Step",
    "UnknownParty",
    "Words",
    "commitment",
    "draw",
    "fresh_seed",
    "in_words",
    "list_hash",
    "read",
    "seed_of",
    "shuffled",
    "steps",
]
