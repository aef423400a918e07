"""The frozen values that walk through the rooms: what each stage receives and what it returns.

Accuracies and rates are fractions in [0, 1]; durations are seconds; a value that was not
measured is `None`.
"""

from deltanas.records.enums import (
    Loop,
    Origin,
    Precision,
    Purpose,
    Scaling,
    Stage,
    TrackerMode,
    Verdict,
)
from deltanas.records.errors import UserError
from deltanas.records.networks import (
    SET_BY_DATASET,
    Baseline,
    Candidate,
    Evaluation,
    Job,
    Proposal,
    Recipe,
    Refused,
    Reply,
    Slot,
    UsedBaseline,
    attempt_id,
    derive_seed,
    is_attempt_id,
)
from deltanas.records.requests import Drawn, Request
from deltanas.records.runs import (
    Attempt,
    CycleSummary,
    Finalist,
    FinishedRun,
    LostRun,
    Retraining,
    Run,
    State,
    Summary,
    resume_line,
)

__all__ = [
    "SET_BY_DATASET",
    "Attempt",
    "Baseline",
    "Candidate",
    "CycleSummary",
    "Drawn",
    "Evaluation",
    "Finalist",
    "FinishedRun",
    "Job",
    "Loop",
    "LostRun",
    "Origin",
    "Precision",
    "Proposal",
    "Purpose",
    "Recipe",
    "Refused",
    "Reply",
    "Request",
    "Retraining",
    "Run",
    "Scaling",
    "Slot",
    "Stage",
    "State",
    "Summary",
    "TrackerMode",
    "UsedBaseline",
    "UserError",
    "Verdict",
    "attempt_id",
    "derive_seed",
    "is_attempt_id",
    "resume_line",
]
