"""What a run does with a check of its results: wrong ones are noted and never used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, final

from ..errors import Corrupted, TaskError
from ..schemes._task import Task
from ..schemes._verifier import Verifier
from . import _events as on
from .report._attempt import Wrong

Verify = Literal["off", "detect", "correct"]

LIES = {"off": 1, "detect": 3, "correct": 1}
"""A worker that has sent so many messages with wrong results is given nothing more in a run."""


class Heard(Enum):
    """What a result is taken for: to be used, wrong, or to be borne out by that of another worker."""

    RIGHT = "right"
    WRONG = "wrong"
    UNSURE = "unsure"


class Checks(ABC):
    """The checks of one run, and what they found.

    Attributes
    ----------
    lies : int
        How often a worker may be wrong before it is left out.
    surplus : int
        Results more than are needed that the run waits for, to `audit` all of them; 0 where nothing is audited.
    compares : bool
        Whether results count only once others bear them out, or after an audit.
    wrong : list of Wrong
    """

    surplus = 0
    compares = False

    def __init__(self, lies: int = 1) -> None:
        self.lies = lies
        self.wrong: list[Wrong] = []
        self._news: list[on.Withdrawn] = []

    @abstractmethod
    def hear(self, worker: int, row: int, task: Task, result: Any) -> Heard:
        """What is to be done with a result.

        Raises
        ------
        Corrupted
            It contradicts another one, and nothing can tell which is wrong.
        """

    def misfit(self, worker: int, row: int, result: Any, error: TaskError) -> Heard:
        """What is to be done with a result that the scheme does not take, for the reason given."""
        raise error

    def audit(self, received: Sequence[int], payloads: Mapping[int, Any], last: bool = False) -> on.Event:
        """Whether what has arrived contradicts itself; ``last``: nothing else comes that could tell."""
        return on.Vouched()

    def news(self) -> list[on.Withdrawn]:
        """What was found out of results that had been put by or taken, once: a run must not go on with half of it."""
        news, self._news = self._news, []
        wrong, again = [pair for one in news for pair in one.wrong], [pair for one in news for pair in one.again]
        return [on.Withdrawn(wrong, again)] if news else []

    def takes_back(self, row: int) -> bool:
        """Whether a result of a row that was taken does not count any more, which nobody has been told yet."""
        return any(row == other for one in self._news for other, _ in one.again)

    def unsettled(self) -> Corrupted | None:
        """Why nothing can be said, where results contradict each other at the end."""
        return None

    def remark(self) -> str:
        """What there is to say where a run ends without an answer."""
        return ""


@final
class NoChecks(Checks):
    """Everything is believed."""

    def hear(self, worker: int, row: int, task: Task, result: Any) -> Heard:
        """Use it."""
        return Heard.RIGHT


@final
class Keyed(Checks):
    """Each result is checked by itself, with a key.

    Parameters
    ----------
    verifier : Verifier
    lies : int
    """

    def __init__(self, verifier: Verifier, lies: int) -> None:
        super().__init__(lies)
        self._verifier = verifier

    def hear(self, worker: int, row: int, task: Task, result: Any) -> Heard:
        """Use it, or note it as wrong."""
        size = self._verifier.excess(task, result)
        if size <= 1.0:
            return Heard.RIGHT
        self.wrong.append(Wrong(row, worker, size))
        return Heard.WRONG
