"""Sums as schemes: a row's worker evaluates the terms that the row names, weighs them and adds them up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, final

import numpy as np

from ..._base._envelope import told
from ..._base._numbers import Array, Floats
from ..._base._snapshots import Sealed, Snapshot, failure_of, opened, sealed
from ...arrays._spec import ArraySpec
from ...checks import arrayed, beyond, integer, refusal
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._assess import Decoding
from ...codes.decoding._learning import TermLearner
from ...errors import TaskError, TermError
from .._encoding import Encoding
from .._layout import Layout
from .._scheme import Learner, Parts, Scheme
from .._task import Task, in_other_words, listed, row_error
from . import _counts as counts
from ._code import CALL
from ._counts import Tally, whole

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
        """The same terms as they are now."""
        return replace(self, functions=snapshot.function(self.functions))

    def resident(self, first: int, last: int) -> tuple[tuple[str, int, int], Any, int]:
        """Key, value and offset of what has to be at a worker that evaluates terms ``first`` … ``last`` − 1."""
        if callable(self.functions):
            return ("terms", 0, self.size), self.functions, 0
        return ("terms", first, last), self.functions[first:last], first


@dataclass(frozen=True, eq=False)
class Input:
    """What the terms of one call are given; calls of several threads must not share what is resident.

    Parameters
    ----------
    value : object
    """

    value: Any
    number: int = field(default_factory=lambda: next(_numbers), compare=False)

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


@final
@dataclass(frozen=True, eq=False, repr=False)
class SumScheme(Scheme):
    """Σ f_i(x) from a code over the terms: each row adds up some of them, weighed.

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
    >>> scheme = SumScheme(cyclic(2, workers=1), Terms.of([abs, abs]), -1.5)
    >>> tasks = scheme.encoding().encode(np.empty)
    >>> [float(task.function(*task.resident.values(), *task.arguments)) for task in tasks]
    [1.5, 1.5]
    """

    code: LinearCode
    terms: Terms
    x: Any
    energies: Floats | None = None
    earlier: Prior | None = None
    adaptive: bool = True

    def encoding(self) -> Encoding:
        """Nothing is computed: terms and input go to the workers as they are."""
        return Encoding([()] * self.code.rows, self.tasks_of)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows, on the input as it is now."""
        x = self.x if isinstance(self.x, Input) else Input.of(self.x)
        matrix, starts = self.code.generator, self.code.generator.indptr.tolist()
        parts = (slice(starts[row], starts[row + 1]) for row in rows)
        return [self._task(matrix.indices[part], matrix.data[part], x) for part in parts]

    def _task(self, indices: Array, weights: Array, x: Input) -> Task:
        compact = int(indices[-1]) - int(indices[0]) + 1 == len(indices)
        span = (int(indices[0]), int(indices[-1]) + 1) if compact else (0, self.terms.size)
        name, value, offset = self.terms.resident(*span)
        rest = (offset, indices, weights)
        if x.large:
            return Task(evaluate, rest, {name: value, x.key: x.value})
        return Task(evaluate, (x.value, *rest), {name: value})

    def _terms_of(self, row: int) -> list[int]:
        """Terms that a row adds up."""
        start, stop = self.code.generator.indptr[row : row + 2]
        terms: list[int] = self.code.generator.indices[start:stop].tolist()
        return terms

    def layout(self, result: ArraySpec) -> Layout:
        """The sum is like a result."""
        return Layout.whole(result, TermError(f"{CALL}: results of {self.code.name!r} {TOO_LARGE}.", -1))

    def prior(self) -> Prior:
        """What an earlier call learned, or terms of the energies given."""
        energies = np.ones(self.code.unknowns) if self.energies is None else self.energies
        return self.earlier or Prior.independent(energies)

    @property
    def parts(self) -> Parts:
        """One sum."""
        return Parts(())

    def learner(self) -> SumLearner:
        """Learns what terms are like, and notes which integers were added up."""
        return SumLearner(self)

    def check(self, row: int, result: Any, like: ArraySpec | None = None) -> Array:
        """Take a result that looks like the first one; a worker has checked its numbers."""
        given = np.asarray(result)
        payload = given.astype(np.float64) if whole(given) else given
        if like is not None and (spec := ArraySpec.of(payload)) != like:
            raise self.row_error(row, f"returned {spec}, others {like}")
        return payload

    def row_error(self, row: int, what: str) -> TaskError:
        """Build (not raise) what is wrong with the terms that a row adds up."""
        first, *rest = self._terms_of(row)
        named = f"terms {first} … {rest[-1]}" if rest else f"term {first}"
        return row_error(row, f"{named} {what}.", TermError, term=first)

    def explain(self, error: TaskError) -> TaskError:
        """Name the term that failed, where a worker said which, or the terms of a row of which nothing came back."""
        cause = error.__cause__
        if isinstance(cause, TermFailed):
            text = f"{cause} (at worker {error.worker}, in row {error.row})."
            return in_other_words(error, text, TermError, cause.__cause__, term=cause.args[0])
        if error.row is None or isinstance(error, TermError):
            return error
        first, *rest = self._terms_of(error.row)
        text = f"{error} (it adds up terms {first} … {rest[-1]})" if rest else f"{error} (it is term {first})"
        return in_other_words(error, text, TermError, cause, term=-1 if rest else first)

    def describe(self, rows: Sequence[int]) -> str:
        """The terms that rows have in common, or all of theirs, in words.

        Examples
        --------
        >>> from kofn.schemes import cyclic
        >>> scheme = SumScheme(cyclic(6, workers=3), Terms.of([abs] * 6), 1.0)
        >>> scheme.describe([0, 1]), scheme.describe([4])
        ('terms 0, 1', 'term 4')
        """
        added = [set(self._terms_of(row)) for row in rows]
        named = sorted(set.intersection(*added) or set.union(*added))
        return f"term{'s' * (len(named) > 1)} {listed(named)}"

    def taken(self, snapshot: Snapshot) -> SumScheme:
        """The same with terms and input as they are now."""
        x = self.x if isinstance(self.x, Input) else Input.of(self.x)
        return replace(self, terms=self.terms.taken(snapshot), x=x.taken(snapshot))


class SumLearner(Learner):
    """What one run knows of the terms of a sum."""

    def __init__(self, scheme: SumScheme) -> None:
        super().__init__(scheme)
        self._sum = scheme
        self._tally = Tally()
        self._groups: set[int] = set()
        self._terms = TermLearner(scheme.code, earlier=scheme.earlier) if scheme.energies is None else None

    def _note(self, row: int, result: Any) -> None:
        blocks = self._sum.code.disjoint
        group = row if blocks is None else int(blocks.group[row])
        fresh = group not in self._groups
        self._groups.add(group)
        if fresh and not self._tally.add(np.asarray(result)):
            raise self._sum.row_error(row, f"and those before {counts.UNSAFE}")

    def settle(self, value: Any, decoding: Decoding, payloads: Sequence[Array]) -> Any:
        """Whole where all results are, unless rounding in adding them with real weights may reach the next number."""
        if not (decoding.exact and self._tally.whole):
            return value
        total, bound = counts.add_up(decoding.matrix[0], payloads)
        return np.where(bound < 0.5, np.rint(total), value)[()]

    def _learned(self, results: Mapping[int, Array]) -> Prior | None:
        return None if self._terms is None else self._terms.prior(results)
