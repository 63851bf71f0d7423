"""Checks of single results, where there are any: the result of a row against what its worker was given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ._task import Task


class Verifier(ABC):
    """Tells wrong results from honest ones, with a key that no worker sees; made by `Scheme.verifier`.

    Any number of runs may use one at once.
    """

    @abstractmethod
    def excess(self, task: Task, result: Any) -> float:
        """How far a result is off, in units of what rounding can explain: at most 1 for an honest one.

        Parameters
        ----------
        task : Task
            What the worker was asked.
        result : object
            What it returned; what is no result at all is off by inf.
        """
