"""A scheme whose tasks are sleeps: what a policy gives out, with nothing that a processor has to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from ..._base._naps import nap
from ..._base._numbers import Array, Floats
from ..._base._snapshots import Snapshot
from ...arrays._spec import ArraySpec
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes._rows import FixedRows, RatelessRows, RowSource
from ...schemes._encoding import Encoding
from ...schemes._layout import Layout
from ...schemes._scheme import Scheme
from ...schemes._task import Task
from ._run import Rules, new_run, reset


@final
@dataclass(frozen=True, eq=False)
class _Combinations(RowSource):
    """Fresh rows that take as long as a row of the code."""

    code: LinearCode
    rateless: RatelessRows

    @property
    def is_open(self) -> bool:
        """There are always more."""
        return True

    def fresh(self, code: LinearCode, missing: Sequence[int]) -> Floats:
        """As a rateless code has it."""
        return self.rateless.fresh(code, missing)

    def load(self, row: Floats) -> float:
        """That of a row of the code."""
        return float(self.code.load[0])


@final
@dataclass(frozen=True, eq=False, repr=False)
class NapScheme(Scheme):
    """Unknowns 1, 2, 3 …, so that the answer tells whether they were decoded, from rows that take their time.

    Parameters
    ----------
    code : LinearCode
    skew : (rows,) array
        How much longer each row takes, wherever it runs.
    combines : bool
        Whether combinations of what is missing are made.
    made : list of (int, float)
        Of each of them, in order, how many blocks it combines and its skew; filled in a run.
    """

    code: LinearCode
    skew: Floats
    combines: bool
    made: list[tuple[int, float]] = field(default_factory=list)

    @property
    def values(self) -> Floats:
        """The unknowns, (unknowns, 1)."""
        return np.arange(1.0, self.code.unknowns + 1)[:, None]

    @property
    def rows(self) -> RowSource:
        """Fresh ones, where there are any."""
        return _Combinations(self.code, RatelessRows(self.code)) if self.combines else FixedRows(self.code)

    def encoding(self) -> Encoding:
        """Nothing is encoded."""
        return Encoding([()] * self.code.rows, self.tasks_of)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows."""
        load, results = self.code.load * self.skew, np.asarray(self.code.generator) @ self.values
        return [Task(nap, (float(load[row]), results[row])) for row in rows]

    def fresh_task(self, row: Floats, tasks: Sequence[Task]) -> Task:
        """A combination takes as long as the slowest row in it."""
        combined = np.flatnonzero(row)
        self.made.append((len(combined), float(self.skew[combined].max())))
        return Task(nap, (float(self.code.load[0]) * self.made[-1][1], row @ self.values))

    def layout(self, result: ArraySpec) -> Layout:
        """All unknowns, one above the other."""
        return Layout.stack(self.code.unknowns, result)

    def prior(self) -> Prior:
        """Nothing is known of them."""
        return Prior.independent(np.ones(self.code.unknowns))

    def taken(self, snapshot: Snapshot) -> NapScheme:
        """There is nothing in it that changes."""
        return self


def nap_scheme(rules: Rules, workers: int, skew: Floats, combines: bool) -> NapScheme:
    """The rows of a policy.

    Parameters
    ----------
    rules : Rules
    workers : int
    skew : (tasks,) array
        Of one trial.
    combines : bool

    Examples
    --------
    >>> from ._policies import POLICIES
    >>> scheme = nap_scheme(POLICIES["mds-6-of-8"].rules("product", 4, 2), 4, np.ones(8), combines=False)
    >>> scheme.code.rows, scheme.code.unknowns
    (8, 6)
    """
    run = new_run(rules, workers)
    reset(rules, run, np.zeros(workers), skew)
    generator = np.eye(rules.rows)
    if rules.needed < rules.rows:  # columns at right angles: any so many rows of them amplify little
        generator = np.linalg.qr(np.random.default_rng(0).standard_normal((rules.rows, rules.needed)))[0]
    code = LinearCode(
        "naps",
        generator,
        np.eye(rules.needed),
        worker=np.arange(rules.rows) % workers,
        load=np.full(rules.rows, rules.load),
        threshold=rules.needed,
    )
    return NapScheme(code, run.skew[: rules.rows].copy(), combines)
