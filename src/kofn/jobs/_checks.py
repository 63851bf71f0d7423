"""What a run does with a check of its results: wrong ones are noted and never used."""

from __future__ import annotations

from typing import Any, Literal

from .. import checks
from ..schemes._scheme import Scheme
from ..schemes._task import Task
from ..schemes._verifier import Verifier
from .report._attempt import Wrong

Verify = Literal["off", "detect", "correct"]

LIES = {"off": 1, "detect": 3, "correct": 1}
"""A worker that has sent so many messages with wrong results is given nothing more in a run."""


class Checks:
    """The checks of one run, and what they found.

    Parameters
    ----------
    verifier : Verifier, optional
        Nothing is checked without one.
    lies : int
        How often a worker may be wrong before it is left out.
    """

    def __init__(self, verifier: Verifier | None = None, lies: int = 1) -> None:
        self._verifier, self.lies = verifier, lies
        self.wrong: list[Wrong] = []

    def refuse(self, worker: int, row: int, task: Task, result: Any) -> bool:
        """Whether a result is wrong; then it is noted."""
        size = 0.0 if self._verifier is None else self._verifier.excess(task, result)
        if size <= 1.0:
            return False
        self.wrong.append(Wrong(row, worker, size))
        return True


def require_verifier(call: str, scheme: Scheme, verify: Verify, seed: int) -> Verifier:
    """The check of a scheme's results that ``verify`` asks for, or a refusal where there is none."""
    verifier = scheme.verifier(seed)
    if verifier is None:
        must, given = "be 'off' where single results cannot be checked", f"{verify!r} with {scheme!r}"
        raise checks.refusal(call, "verify", must, given, "leave it out; products of floats can be checked")
    return verifier
