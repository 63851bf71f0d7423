"""Checks by comparison: what a row is counts once two workers have said the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, final

from ..errors import Corrupted
from ..schemes._task import Task, name_some
from . import _events as on
from ._alike import difference
from ._checks import Checks, Heard
from .report._attempt import Wrong

MOST = 6
"""So many workers are asked of a row before it is given up that two of them say the same."""


class Opinion(NamedTuple):
    """What a worker returned for a row."""

    worker: int
    row: int
    result: Any


@final
class Compared(Checks):
    """Every row is computed by two workers, of which neither knows of the other; where they differ, by a third.

    It costs every row twice, and holds what one worker said in memory until a second one has. Two workers that return
    the same wrong result are believed.

    Parameters
    ----------
    groups : sequence of int
        Number of each row: rows of one number say the same.
    corrects : bool
        Whether others are asked where two differ. Otherwise it is `kofn.Corrupted`.
    describe : callable
        ``describe(rows)`` says what rows are about, in words.
    lies : int
    recalls : bool
        Whether what two have said may be doubted later: then wrong results are held as long as the run, too.
    """

    compares = True

    def __init__(
        self,
        groups: Sequence[int],
        corrects: bool,
        describe: Callable[[Sequence[int]], str],
        lies: int = 1,
        recalls: bool = False,
    ) -> None:
        super().__init__(lies)
        self._recalls = recalls
        self._groups, self._corrects, self._describe = groups, corrects, describe
        self._said: dict[int, list[Opinion]] = {}
        self._settled: set[int] = set()
        self._doubted: set[int] = set()

    def is_settled(self, row: int) -> bool:
        """Whether two workers have said the same of it."""
        return self._groups[row] in self._settled

    def is_asked(self, row: int) -> bool:
        """Whether anything was said of it."""
        return self._groups[row] in self._said

    def hear(self, worker: int, row: int, task: Task | None, result: Any) -> Heard:
        """Put it by until another worker says the same, or use it."""
        opinions = self._said.setdefault(self._groups[row], [])
        others = [one for one in opinions if one.worker != worker]
        alike = [difference(one.result, result) <= 1.0 for one in others]
        if self.is_settled(row):
            return self._against_others(Opinion(worker, row, result), opinions)
        if len(others) == len(opinions):  # who is asked again has nothing to add
            opinions.append(Opinion(worker, row, result))
        if sum(alike) > (self._groups[row] in self._doubted):
            self._settle(opinions, result)
            return Heard.RIGHT
        if others and not (self._corrects and len(opinions) < MOST):
            raise self._contradiction(opinions)
        return Heard.UNSURE

    def equals(self, row: int, rows: Iterable[int]) -> list[int]:
        """Those of some rows that say the same as this one, itself among them."""
        return [other for other in rows if self._groups[other] == self._groups[row]]

    def doubt(self, row: int) -> set[tuple[int, int]] | None:
        """Let three workers settle what two have said of it.

        Returns
        -------
        set of (row, worker) or None
            Whose results that made wrong; None where three have settled it, or nobody has.
        """
        group = self._groups[row]
        if group in self._doubted or group not in self._settled:
            return None
        self._doubted.add(group)
        self._settled.remove(group)
        first, *others = self._said[group]
        return {(one.row, one.worker) for one in others if difference(first.result, one.result) > 1.0}

    def unsettled(self) -> Corrupted | None:
        """Rows of which no two workers say the same although several were asked."""
        open_ones = (said for group, said in self._said.items() if group not in self._settled and len(said) > 1)
        said = next(open_ones, None)
        return None if said is None else self._contradiction(said)

    def remark(self) -> str:
        """How many rows have been computed once only."""
        count = len(self._said.keys() - self._settled)
        return f"; {count} of the results were borne out by no other worker" if count else ""

    def _settle(self, opinions: list[Opinion], result: Any) -> None:
        self._settled.add(self._groups[opinions[0].row])
        sizes = [difference(one.result, result) for one in opinions]
        wrong = [(one, size) for one, size in zip(opinions, sizes, strict=True) if size > 1.0]
        self.wrong += [Wrong(one.row, one.worker, size) for one, size in wrong]
        if wrong:
            self._news.append(on.Withdrawn([(one.row, one.worker) for one, _ in wrong]))
        # Of those that are alike the run keeps one, too.
        alike = [one._replace(result=result) for one, size in zip(opinions, sizes, strict=True) if size <= 1.0]
        opinions[:] = [*alike, *(one for one, _ in wrong if self._recalls)]

    def _against_others(self, opinion: Opinion, opinions: list[Opinion]) -> Heard:
        size = difference(opinions[0].result, opinion.result)
        if size <= 1.0:
            return Heard.RIGHT
        self.wrong.append(Wrong(opinion.row, opinion.worker, size))
        if self._recalls:
            opinions.append(opinion)
        return Heard.WRONG

    def name(self, rows: Sequence[int]) -> str:
        """What rows are about, or which they are."""
        return self._describe(rows) or name_some("row", rows)

    def _contradiction(self, opinions: Sequence[Opinion]) -> Corrupted:
        rows = sorted({one.row for one in opinions})
        what, whose = self.name(rows), name_some("worker", [one.worker for one in opinions])
        text = f"{whose} returned different results for {what}, and nothing tells which is right"
        if len(opinions) > 2:
            text = f"no two of {whose} returned the same for {what}"
        if self._groups[rows[0]] in self._doubted:
            text = f"no three of {whose} returned the same for {what}, and what two did contradicts all other results"
        remedy = "ask verify='correct' to have others compute it" if not self._corrects else "use more workers"
        return Corrupted(f"{text}: some are wrong, or it is not determined by its input alone; {remedy}.", rows)
