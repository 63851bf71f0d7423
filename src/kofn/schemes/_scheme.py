"""A scheme is a code with something to run: what each row asks of its worker, and where the targets go."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from .. import checks
from .._base._equal import is_same
from .._base._numbers import EPSILON, Array, Flags, Floats
from .._base._snapshots import Snapshot
from .._base._travel import Carrying
from ..arrays._remote import Ref
from ..arrays._spec import ArraySpec
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..codes._rows import FixedRows, RowSource
from ..codes.decoding._assess import Decoding
from ..codes.decoding._estimators import Estimator
from ..errors import CodeError, TaskError
from ._encoding import Encoding
from ._layout import Layout
from ._task import Task, kind_of, payload
from ._verifier import Verifier


class Judgement(NamedTuple):
    """A decoding as the payloads allow it.

    Parameters
    ----------
    decoding : Decoding
    final : bool
        Whether more payloads cannot make more of it exact.
    remarks : sequence of str
        For the report.
    """

    decoding: Decoding
    final: bool = True
    remarks: Sequence[str] = ()


Judge = Callable[[Decoding, Sequence[int], Sequence[Array], float], Judgement]
"""(decoding by the code alone, rows, their payloads, the coarsest relative precision of these) → what these allow."""


class Places(Protocol):
    """Where the blocks of an answer are."""

    def where(self, n: int, p: int = 0) -> Any:
        """Index of a block in the answer."""


@dataclass(frozen=True)
class Parts:
    """What the targets are in the answer, so that it can say which parts of it are exact.

    Parameters
    ----------
    shape : tuple of int, optional
        How targets are laid out: (N, P) blocks of a product, (K,) outputs, () for one sum; a row of targets by
        default. Where there are more targets than this, the answer is made of all of them.
    grid : Places, optional
        Of an answer that is cut into blocks, such as `Grid`.
    left_out : bool
        Whether they are outputs of which nothing is estimated: one that is not there is missing.

    Examples
    --------
    >>> Parts((2, 1)).arrange(np.array([True, False])).tolist(), Parts(()).arrange(np.array([True]))
    ([[True], [False]], np.True_)
    """

    shape: tuple[int, ...] | None = None
    grid: Places | None = None
    left_out: bool = False

    def arrange(self, recovered: Flags) -> Any:
        """Which parts are exact, in their shape, from which targets are, (targets,)."""
        if self.shape is None:
            return recovered
        if recovered.size != math.prod(self.shape):
            return np.full(self.shape, recovered.all())
        return recovered.reshape(self.shape)[()]

    def where(self, *part: int) -> Any:
        """Index of the answer's value that picks a part; of a row of parts a plain number, as lists want it."""
        if self.grid is not None:
            return self.grid.where(*part)
        return part[0] if len(part) == 1 else part


class Learner:
    """What one run remembers of its results and learns from them; made by `Scheme.learner`, one for each run.

    Parameters
    ----------
    scheme : Scheme
    """

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._like: ArraySpec | None = None
        self._first: Prior | None = None

    def take(self, row: int, result: Any, worker: int = -1) -> Any:
        """The payload of a row from what a worker returned, or a `TaskError` that names the worker."""
        try:
            payload = self._scheme.check(row, result, self._like)
            self._note(row, result)
        except TaskError as error:
            error.worker = worker
            raise
        if self._like is None and isinstance(payload, np.ndarray):
            self._like = ArraySpec.of(payload)
        return payload

    def prior(self, results: Mapping[int, Array]) -> Prior:
        """What is expected of the unknowns once these payloads, by row, have arrived."""
        return self._expected() if not results else self._learned(results) or self._expected()

    def forget(self) -> None:
        """Take results of any shape again: the first was not what it should have been."""
        self._like = None

    def settle(self, value: Any, decoding: Decoding, payloads: Sequence[Array]) -> Any:
        """The answer's value, as what is known of the results has it."""
        return value

    @property
    def judge(self) -> Judge | None:
        """Looks at the payloads before an answer is given: what the code could make exact need not be so for these."""
        return None

    def _note(self, row: int, result: Any) -> None:
        """Take note of a result, or raise a `TaskError` where it does not go together with those before."""

    def _learned(self, results: Mapping[int, Array]) -> Prior | None:
        """The prior that results tell of, if they do."""

    def _expected(self) -> Prior:
        if self._first is None:
            self._first = self._scheme.prior()
            if self._first.unknowns != self._scheme.code.unknowns:
                wanted, got = self._scheme.code.unknowns, self._first.unknowns
                raise CodeError(f"the prior must speak of {wanted} unknowns, got {got}.")
        return self._first


GONE = frozenset({"encode", "canvas", "expect", "learn", "accept", "onto", "apart", "gather"})
INSTEAD = "a scheme holds data now, and kofn.schemes.CustomScheme takes a task for each row"
"""The functions that a scheme was made of before, and what to write."""


class Scheme(Carrying, ABC):
    """What workers compute and what the answer is made of. Frozen data, which any number of runs may share at once.

    Its kinds are final frozen dataclasses, such as `ProductScheme`, `SumScheme` and `FunctionScheme`, each beside what
    builds it, and `CustomScheme` for one's own. Schemes are equal where their data are, number by number;
    functions are compared by identity. What a run learns belongs to its `Learner`.

    Attributes
    ----------
    code : LinearCode
    """

    code: LinearCode

    def __new__(cls, *values: Any, **fields: Any) -> Self:
        """Say of functions that a scheme was made of once where they belong."""
        for name in GONE & fields.keys():
            raise checks.unknown(f"kofn.schemes.{cls.__name__}", name, INSTEAD)
        return super().__new__(cls)

    @property
    def rows(self) -> RowSource:
        """Which rows there are: those of the code, unless it makes fresh ones."""
        return FixedRows(self.code)

    def fresh_task(self, row: Floats, tasks: Sequence[Task]) -> Task:
        """The task of a fresh row, made of what the tasks of the code's rows hold, with nothing encoded here.

        Parameters
        ----------
        row : (unknowns,) array
            Its coefficients, from `rows`.
        tasks : sequence of Task
            Of the rows of the code.
        """
        raise CodeError(f"{type(self).__name__} makes no fresh rows.")

    @property
    def epsilon(self) -> float:
        """Relative precision of the results' numbers, as far as it is known before."""
        return EPSILON

    @property
    def flops(self) -> float | None:
        """Floating-point operations of a row of load 1, where they are known before."""
        return None

    @property
    def references(self) -> Sequence[Ref]:
        """Values that lie at workers and are arguments of its tasks, whose results come back."""
        return ()

    @property
    def adaptive(self) -> bool:
        """Whether a worker passes over rows whose equal has arrived or is under way (`kofn.jobs.scheduling`)."""
        return False

    @property
    def estimator(self) -> Estimator:
        """How it decodes what is not exact, unless the user says otherwise."""
        return "lmmse"

    @property
    def enough(self) -> int | None:
        """Results to wait for, where targets may never be exact."""
        return None

    @property
    def claim(self) -> str:
        """What results are taken to be beyond what the code says of them, in words; they may turn out not to be."""
        return ""

    @abstractmethod
    def encoding(self) -> Encoding:
        """Which blocks each row needs, and what its worker does with them; nothing is computed."""

    @abstractmethod
    def layout(self, result: ArraySpec) -> Layout:
        """Where decoded targets go, for results of that shape and type."""

    @abstractmethod
    def prior(self) -> Prior:
        """What is expected of the unknowns; asked once in a run, and only when an estimate is needed."""

    @abstractmethod
    def taken(self, snapshot: Snapshot) -> Self:
        """The same on what its sources are now, whatever becomes of them."""

    @property
    def parts(self) -> Parts:
        """What the targets are in the answer."""
        return Parts()

    def learner(self) -> Learner:
        """What one run remembers and learns, with nothing of earlier ones."""
        return Learner(self)

    def verifier(self, seed: int) -> Verifier | None:
        """Keyed checks of single results, where there are any, good for all schemes of this kind; ``seed`` the key."""
        return None

    def check(self, row: int, result: Any, like: ArraySpec | None = None) -> Any:
        """The payload that a worker's result is, or a `TaskError`.

        Parameters
        ----------
        row : int
        result : object
        like : ArraySpec, optional
            Of the first payload of this run, where all must be alike.
        """
        return payload(row, result)

    def kind(self, result: Any) -> ArraySpec | None:
        """What `check` wants all results of a run to have in common; None where it takes no such result."""
        return kind_of(result)

    def explain(self, error: TaskError) -> TaskError:
        """What failed, said in words of the user's: which term, or which input."""
        return error

    def describe(self, rows: Sequence[int]) -> str:
        """What these rows are about, in words, for a message on their loss."""
        return ""

    def caution(self) -> str:
        """What the error bar of an estimate does not say, for its report."""
        return ""

    def answer(self, decoding: Decoding, rows: Sequence[int], results: Sequence[Any], out: Any = None) -> Any:
        """The answer from the results of the rows received, written to ``out`` where that is given."""
        return self.assemble(decoding.matrix, results, out)

    def assemble(self, matrix: Floats, results: Sequence[Array], out: Any = None) -> Any:
        """Decode results of the received rows with V = ``matrix`` and put the answer together."""
        output = self.layout(ArraySpec.common(results)).open(out)
        output.write(matrix, results)
        return output.finish()

    def __eq__(self, other: object) -> bool:
        return is_same(self, other)

    def __hash__(self) -> int:
        return hash((type(self), self.code.name, self.code.rows, self.code.unknowns))

    def __repr__(self) -> str:
        code = self.code
        sizes = f"{code.rows} rows, {code.unknowns} unknowns, {code.workers} workers"
        return f"{type(self).__name__}({code.name!r}, {sizes})"
