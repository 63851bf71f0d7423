"""Sums as schemes: a row's worker evaluates the terms that the row names, weighs them and adds them up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._envelope import told
from ..._base._snapshots import Sealed, Snapshot, failure_of, opened, sealed
from ...checks import arrayed, beyond, integer, refusal
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._learning import Learner
from ...errors import TermError
from .._scheme import Allocate, Canvas, Parts, Scheme, Task, listed
from . import _counts as counts
from ._code import CALL
from ._counts import Tally, whole

Array = NDArray[Any]

RESIDENT_BYTES = 1 << 16
"""Inputs of this size and more are placed at a worker once and not sent with every row."""

TOO_LARGE = "add up to more than a float64 can hold; divide all terms by a power of two, and multiply their sum by it"

_numbers = count()


class TermFailed(Exception):
    """At the worker: term ``args[0]`` did what ``args[1]`` says; the user sees a `kofn.TermError`."""

    def __str__(self) -> str:
        return f"term {self.args[0]} {self.args[1]}"


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms f_1, …, f_m of a sum.

    Parameters
    ----------
    functions : sequence of callables, or one callable
        ``functions[i](x)`` is term i; or ``functions(indices, x)`` returns the terms of an index array stacked
        along the first axis.
    size : int
        m.
    """

    functions: Any
    size: int
    number: int = field(default_factory=lambda: next(_numbers))

    @classmethod
    def of(cls, terms: Any, size: Any = None) -> Terms:
        """Check what the user calls terms, or refuse it with a reason.

        Examples
        --------
        >>> Terms.of([abs, abs]).size, Terms.of(lambda i, x: x**i, size=5).size
        (2, 5)
        """
        if callable(terms):
            remedy = "say how many terms the callable has"
            return cls(terms, integer(CALL, "count", size, 1, remedy))
        try:
            functions = tuple(terms)
        except TypeError:
            functions = ()
        if not functions or not all(map(callable, functions)):
            must = "be a sequence of at least one callable, or one callable over indices"
            wrong = next((repr(f) for f in functions if not callable(f)), "none" if not functions else "")
            raise refusal(CALL, "terms", must, wrong, "write [f, g, h] or give 'count' with one callable")
        if size is not None and size != len(functions):
            raise refusal(CALL, "count", "be left out where terms are a sequence", size, "its length is the count")
        return cls(functions, len(functions))

    def taken(self, snapshot: Snapshot) -> Terms:
        """The same terms as they are now, under the same keys."""
        return replace(self, functions=snapshot.function(self.functions))

    def resident(self, first: int, last: int) -> tuple[tuple[str, int, int, int], Any, int]:
        """Key, value and offset of what has to be at a worker that evaluates terms ``first`` … ``last`` − 1."""
        if callable(self.functions):
            return ("terms", self.number, 0, self.size), self.functions, 0
        return ("terms", self.number, first, last), self.functions[first:last], first


@dataclass(frozen=True, eq=False)
class Input:
    """What the terms of one call are given; calls of several threads must not share what is resident.

    Parameters
    ----------
    value : object
    """

    value: Any
    number: int = field(default_factory=lambda: next(_numbers))

    @classmethod
    def of(cls, x: Any) -> Input:
        """What all terms are given: read-only where it is an array, otherwise a copy for each of them.

        Examples
        --------
        >>> opened(Input.of([1, 2]).value)
        [1, 2]
        """
        return cls(sealed(x))

    def taken(self, snapshot: Snapshot) -> Input:
        """The same as it is now, for a job of its own."""
        return Input(snapshot.value(self.value))

    @property
    def key(self) -> tuple[str, int]:
        """Under which it is resident while the sum is computed, if it is large."""
        return ("x", self.number)

    @property
    def large(self) -> bool:
        """Whether it is placed at a worker once, and not sent with every row."""
        return isinstance(self.value, np.ndarray | Sealed) and self.value.nbytes >= RESIDENT_BYTES


def evaluate(functions: Any, x: Any, offset: int, indices: Array, weights: Array) -> Array:
    """What a worker does: the weighted sum of some terms, each of them checked.

    Examples
    --------
    >>> evaluate([abs, abs], -2.0, 0, np.array([0, 1]), np.array([1.0, 1.0]))
    array(4.)
    """
    values: Iterable[Any]
    if callable(functions):
        values = _stacked(functions, x, indices)
    else:
        values = (_called(functions[index - offset], index, x) for index in indices.tolist())
    total: Array | None = None
    tally = Tally()
    for index, weight, value in zip(indices.tolist(), weights.tolist(), values, strict=True):
        given = _checked(index, value, total)
        if not tally.add(given, weight):
            raise TermFailed(index, f"and those before it {counts.UNSAFE}")
        checked = given.astype(np.complex128 if given.dtype.kind == "c" else np.float64, copy=False)
        try:
            total = _added(total, weight, checked)
        except MemoryError as error:
            raise TermFailed(index, f"cannot be added to the others: {told(error)}") from error
    summed = np.asarray(total)
    if not np.isfinite(summed).all():
        raise TermFailed(int(indices[0]), f"and those up to term {indices[-1]} {TOO_LARGE}")
    return summed.astype(np.int64) if tally.whole else summed


@np.errstate(over="ignore", invalid="ignore")
def _added(total: Array | None, weight: float, value: Array) -> Array:
    # The first product is a copy: a term may use its buffer again.
    return np.asarray(value * weight if total is None else total + (value if weight == 1.0 else value * weight))


def _called(function: Callable[[Any], Any], index: int, x: Any) -> Any:
    try:
        return function(opened(x))
    except BaseException as error:
        raise TermFailed(index, failure_of(error, "x")) from error


def _stacked(function: Callable[[Array, Any], Any], x: Any, indices: Array) -> Iterable[Any]:
    try:
        made = function(opened(indices), opened(x))
        values, masked = arrayed(made)
    except BaseException as error:
        where = f"(evaluated with terms up to {indices[-1]}) " if len(indices) > 1 else ""
        raise TermFailed(int(indices[0]), f"{where}{failure_of(error, 'x')}") from error
    if (number := beyond(made, values)) is not None and values.dtype.kind == "f":
        among = f"and those up to term {indices[-1]} " if len(indices) > 1 else ""
        raise TermFailed(int(indices[0]), f"{among}returned the integer {number}, {counts.LOST}")
    if values.shape[:1] != indices.shape:
        wrong = f"returned shape {values.shape} for {len(indices)} indices, where the first axis must be the terms"
        raise TermFailed(int(indices[0]), wrong)
    if not masked:
        return values
    terms: Iterable[Any] = np.asanyarray(made) if hasattr(made, "__array__") else made
    return terms  # whoever looks at one after the other finds out which


def _checked(index: int, value: Any, total: Array | None) -> Array:
    try:
        array, masked = arrayed(value)
    except BaseException as error:
        what = f"returned a {type(value).__name__} that is no array: {told(error)}"
        raise TermFailed(index, what) from error
    if masked:
        raise TermFailed(index, "returned a masked array, of which a part is missing; fill it first, with .filled(0.0)")
    if (number := beyond(value, array)) is not None:
        raise TermFailed(index, f"returned the integer {number}, {counts.LOST}")
    if array.dtype.kind not in "biufc":
        raise TermFailed(index, f"returned a {type(value).__name__}, which is not a number or an array of numbers")
    if not np.isfinite(array).all():
        raise TermFailed(index, "returned NaN or inf, which would spoil the sum")
    if total is not None and array.shape != total.shape:
        raise TermFailed(index, f"returned shape {array.shape}, where terms before it returned {total.shape}")
    return array


class Accept:
    """Takes results that look like the first one, and refuses the others with the terms that they are made of."""

    def __init__(self, code: LinearCode) -> None:
        self._code = code
        self._kind: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        self._tally = Tally()
        self._groups: set[int] = set()

    def anew(self) -> Accept:
        """One that has seen no result yet."""
        return Accept(self._code)

    def __call__(self, row: int, result: Any) -> Array:
        given = np.asarray(result)
        payload = given.astype(np.float64) if whole(given) else given
        kind = (payload.shape, payload.dtype)
        self._kind = self._kind or kind
        if kind != self._kind:
            others = f"{self._kind[1]} of shape {self._kind[0]}"
            raise self._refused(row, f"returned {kind[1]} of shape {kind[0]}, others {others}")
        group = row if self._code.blocks is None else int(self._code.blocks.block[row])
        fresh = group not in self._groups
        self._groups.add(group)
        if fresh and not self._tally.add(given):
            raise self._refused(row, f"and those before {counts.UNSAFE}")
        return payload

    def _refused(self, row: int, what: str) -> TermError:
        start, stop = self._code.generator.indptr[row : row + 2]
        indices = self._code.generator.indices[start:stop]
        named = f"term {indices[0]}" if len(indices) == 1 else f"terms {indices[0]} … {indices[-1]}"
        return TermError(f"{named} {what}.", int(self._code.worker[row]), row, term=int(indices[0]))


def sum_scheme(
    code: LinearCode,
    terms: Terms,
    x: Any,
    *,
    energies: Any = None,
    earlier: Prior | None = None,
    adaptive: bool = True,
) -> Scheme:
    """A scheme for Σ f_i(x) from a code over the terms.

    Parameters
    ----------
    code : LinearCode
        From `kofn.schemes.SUMS`, or your own with a sparse generator, one unknown per term.
    terms : Terms
    x : object or Input
        Given to every term.
    energies : (m,) array, optional
        Expected squares E‖f_i(x)‖². Left out, a common mean and a spread are learned from what arrives.
    earlier : Prior, optional
        What an earlier call learned, until enough arrives.
    adaptive : bool
        Whether workers pass over rows whose equal has arrived or is under way.

    Examples
    --------
    >>> from kofn.schemes import cyclic
    >>> scheme = sum_scheme(cyclic(2, workers=1), Terms.of([abs, abs]), -1.5)
    >>> [float(task.function(*task.resident.values(), *task.arguments)) for task in scheme.encode(np.empty)]
    [1.5, 1.5]
    """
    learner = Learner(code, earlier=earlier) if energies is None else None
    given = np.ones(code.unknowns) if energies is None else np.asarray(energies, dtype=np.float64)

    def canvas(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Canvas:
        total = np.empty(shape, dtype)
        overflown = TermError(f"{CALL}: results of {code.name!r} {TOO_LARGE}.", -1)
        return Canvas([total], lambda: total if total.ndim else total[()]).finite(overflown)

    return Scheme(
        code,
        SumTasks(code, terms, x),
        canvas,
        lambda: earlier or Prior.independent(given),
        adaptive=adaptive,
        learn=None if learner is None else learner.prior,
        accept=Accept(code),
        parts=Parts(()),
        explain=partial(explained, code),
    )


def explained(code: LinearCode, rows: Sequence[int]) -> str:
    """The terms that rows have in common, or all of theirs, in words.

    Examples
    --------
    >>> from kofn.schemes import cyclic
    >>> explained(cyclic(6, workers=3), [0, 1]), explained(cyclic(6, workers=3), [4])
    ('terms 0, 1', 'term 4')
    """
    starts, terms = code.generator.indptr, code.generator.indices
    added = [set(terms[starts[row] : starts[row + 1]].tolist()) for row in rows]
    named = sorted(set.intersection(*added) or set.union(*added))
    return f"term{'s' * (len(named) > 1)} {listed(named)}"


@dataclass(frozen=True, eq=False)
class SumTasks:
    """How the tasks of a sum are made: nothing is computed, terms and input go to the workers as they are.

    Parameters
    ----------
    code : LinearCode
    terms : Terms
    x : object or Input
    """

    code: LinearCode
    terms: Terms
    x: Any

    def __call__(self, allocate: Allocate) -> Sequence[Task]:
        return _tasks(self.code, self.terms, self._input)

    def taken(self, snapshot: Snapshot) -> SumTasks:
        """The same with terms and input as they are now."""
        return replace(self, terms=self.terms.taken(snapshot), x=self._input.taken(snapshot))

    @property
    def _input(self) -> Input:
        return self.x if isinstance(self.x, Input) else Input.of(self.x)


def _tasks(code: LinearCode, terms: Terms, x: Input) -> list[Task]:
    matrix = code.generator
    large = x.large
    tasks = []
    for start, stop in zip(matrix.indptr[:-1].tolist(), matrix.indptr[1:].tolist(), strict=True):
        indices, weights = matrix.indices[start:stop], matrix.data[start:stop]
        compact = int(indices[-1]) - int(indices[0]) + 1 == len(indices)
        span = (int(indices[0]), int(indices[-1]) + 1) if compact else (0, terms.size)
        name, value, offset = terms.resident(*span)
        rest = (offset, indices, weights)
        if large:
            tasks.append(Task(evaluate, rest, {name: value, x.key: x.value}))
        else:
            tasks.append(Task(evaluate, (x.value, *rest), {name: value}))
    return tasks
