"""A scheme of one's own, in ten lines: a code, a task for each row, and what is expected of the unknowns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from .._base._numbers import EPSILON, Array
from .._base._snapshots import Snapshot
from ..arrays._blocks import Grid
from ..arrays._spec import ArraySpec
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..errors import CodeError
from ._encoding import Encoding
from ._layout import Layout
from ._scheme import Parts, Scheme
from ._task import Task


@final
@dataclass(frozen=True, eq=False, repr=False)
class CustomScheme(Scheme):
    """Tasks that are given row by row; one target is the answer itself, several are stacked.

    Parameters
    ----------
    code : LinearCode
    tasks : sequence of Task
        One a row, whose results are arrays of one shape.
    expected : Prior, optional
        Of the unknowns; independent and of equal energy by default.
    grid : Grid, optional
        Whose blocks the targets are, instead.
    epsilon : float
        Relative precision of the results' numbers.

    Examples
    --------
    >>> import kofn
    >>> code = kofn.LinearCode("two copies", [[1.0], [1.0]], [[1.0]], worker=[0, 1])
    >>> with kofn.ThreadPool(2) as pool:
    ...     kofn.run(CustomScheme(code, [kofn.Task(abs, (-2.0,))] * 2), workers=pool).value
    np.float64(2.0)
    """

    code: LinearCode
    tasks: Sequence[Task]
    expected: Prior | None = None
    grid: Grid | None = None
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        if len(self.tasks) != self.code.rows:
            raise CodeError(f"there must be one task per row ({self.code.rows}), got {len(self.tasks)}.")

    def encoding(self) -> Encoding:
        """Nothing is encoded."""
        return Encoding([()] * self.code.rows, self.tasks_of)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows."""
        return [self.tasks[row] for row in rows]

    def layout(self, result: ArraySpec) -> Layout:
        """The whole answer, a stack, or blocks."""
        targets = len(self.code.targets)
        if self.grid is not None:
            return Layout.blocks(self.grid, targets, result.dtype)
        return Layout.whole(result) if targets == 1 else Layout.stack(targets, result)

    def prior(self) -> Prior:
        """As given."""
        return Prior.independent(np.ones(self.code.unknowns)) if self.expected is None else self.expected

    @property
    def parts(self) -> Parts:
        """Blocks, or a row of targets."""
        return Parts() if self.grid is None else Parts((self.grid.rows.count, self.grid.columns.count), self.grid)

    def taken(self, snapshot: Snapshot) -> CustomScheme:
        """The same tasks on what they hold now."""
        return replace(self, tasks=[task.taken(snapshot) for task in self.tasks])
