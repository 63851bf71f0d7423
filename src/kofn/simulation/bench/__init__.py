"""What schedulers and codes are worth on one's own machines: many policies over the same drawn or recorded delays."""

from ._bench import AUTO, TRACES, WORK, Result, bench
from ._choose import Candidate, Choice, candidates, choose
from ._draws import Draws
from ._policies import POLICIES, Policy
from ._real import RealWorkers, scheduler_of
from ._recorded import Recorded, from_file
from ._table import table

__all__ = [
    "AUTO",
    "POLICIES",
    "TRACES",
    "WORK",
    "Candidate",
    "Choice",
    "Draws",
    "Policy",
    "RealWorkers",
    "Recorded",
    "Result",
    "bench",
    "candidates",
    "choose",
    "from_file",
    "scheduler_of",
    "table",
]
