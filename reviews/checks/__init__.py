"""Machine-checked criteria (B6, 000 §一(三): 电子辅助审批): run on structured fields and on what files say of themselves.

A result stands beside the reviewer's judgement and never decides. Whatever can't be compared (a figure that is missing
or no figure, a file that is gone) is told as "not checked", so that nobody takes silence for a pass. Exact decimal
arithmetic; the rule is data and is never evaluated as a program.

Read :mod:`~reviews.checks.values` first, then :mod:`~reviews.checks.running` and :mod:`~reviews.checks.describing`. The
rules' grammar stands with the criteria (:mod:`reviews.kinds.rules`).
"""

from reviews.checks.describing import describe
from reviews.checks.running import judge, run
from reviews.checks.values import Checked, Outcome, Result, subject_of
from reviews.kinds.rules import RuleInvalid, validate

__all__ = ["Checked", "Outcome", "Result", "RuleInvalid", "describe", "judge", "run", "subject_of", "validate"]
