"""What ``scheduler=`` may be."""

from __future__ import annotations

from typing import Any

from ... import checks
from ._adaptive import Adaptive
from ._scheduler import Scheduler
from ._static import Static

NAMES: dict[str, type[Scheduler]] = {"static": Static, "adaptive": Adaptive}


def as_scheduler(call: str, given: Any, adaptive: bool = False) -> Scheduler:
    """Build the scheduler that an option means, or refuse it.

    Parameters
    ----------
    call : str
        The public function that asks.
    given : str or Scheduler
    adaptive : bool
        Whether "auto" is `Adaptive` instead of `Static`.

    Examples
    --------
    >>> as_scheduler("kofn.sum", "auto", adaptive=True)
    Adaptive()
    """
    if isinstance(given, Scheduler):
        return given
    if given == "auto":
        return Adaptive() if adaptive else Static()
    if isinstance(given, str) and given in NAMES:
        return NAMES[given]()
    must = f'be "auto", {", ".join(map(repr, NAMES))} or an object such as kofn.Static()'.replace("'", '"')
    raise checks.refusal(call, "scheduler", must, repr(given), "leave it out for what suits the code")
