"""What ``scheduler=`` may be."""

from __future__ import annotations

import json
from typing import Any

from ... import checks
from ._adaptive import Adaptive
from ._backups import CodedBackups, Duplicates
from ._scheduler import Scheduler
from ._speculative import Speculative
from ._static import Static

NAMES = ("auto", "static", "adaptive", "speculative", "duplicates", "coded")


def as_scheduler(call: str, given: Any, adaptive: bool = False) -> Scheduler:
    """Build the scheduler that an option means, or refuse it.

    Parameters
    ----------
    call : str
        The public function that asks.
    given : str or Scheduler
    adaptive : bool
        Whether "auto" is `Adaptive` instead of `Static`; so is what "speculative" asks first.

    Examples
    --------
    >>> as_scheduler("kofn.sum", "auto", adaptive=True)
    Adaptive()
    """
    if isinstance(given, Scheduler):
        return given
    if not isinstance(given, str) or given not in NAMES:
        must = f"be {', '.join(map(json.dumps, NAMES))} or an object such as kofn.Speculative(quantile=0.5)"
        raise checks.refusal(call, "scheduler", must, repr(given), "leave it out for what suits the code")
    if given == "speculative":
        return Speculative(base=as_scheduler(call, "auto", adaptive))
    if given in ("duplicates", "coded"):
        return Duplicates() if given == "duplicates" else CodedBackups()
    return Adaptive() if given == "adaptive" or (given == "auto" and adaptive) else Static()
