"""The terms of a sum, and what a worker does with them: it evaluates some, checks, weighs and adds them up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..._base._envelope import error_line
from ..._base._numbers import Array
from ..._base._snapshots import Snapshot, failure_of, unseal
from ...arrays._remote import Ref
from ...checks import as_array, inexact_integer, integer, refusal
from . import _counts as counts
from ._code import CALL

TOO_LARGE = "add up to more than a float64 can hold; divide all terms by a power of two, and multiply their sum by it"


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
        along the first axis; of terms that lie at workers, ``functions(value, x)`` returns that of one value.
    size : int
        m.
    refs : sequence of Ref, optional
        The value of each term, where these lie at workers.
    """

    functions: Any
    size: int
    refs: Sequence[Ref] | None = None

    @classmethod
    def of(cls, terms: Any, size: Any = None) -> Terms:
        """Check what the user calls terms, or refuse it with a reason.

        Examples
        --------
        >>> Terms.of([abs, abs]).size, Terms.of(lambda i, x: x**i, size=5).size
        (2, 5)
        """
        if isinstance(terms, list | tuple) and any(isinstance(term, Ref) for term in terms):
            return cls._there(itself, terms, size, "terms")
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

    @classmethod
    def over(cls, function: Any, data: Sequence[Any], size: Any = None) -> Terms:
        """One function of each of some values, here or at workers.

        Examples
        --------
        >>> terms = Terms.over(pow, [2.0, 3.0])
        >>> [f(2) for f in terms.functions], [f(None) for f in Terms.over(abs, [-1.0]).functions]
        ([4.0, 9.0], [1.0])
        """
        if not callable(function):
            must, given = "be one callable where 'data' is given", f"a {type(function).__name__}"
            raise refusal(CALL, "terms", must, given, "write terms=f, data=[...], or leave out 'data'")
        if any(isinstance(value, Ref) for value in data):
            return cls._there(Applied(function), data, size, "data")
        _require_some(data, size, "data")
        return cls(tuple(partial(Applied(function), value) for value in data), len(data))

    @classmethod
    def _there(cls, function: Any, values: Sequence[Any], size: Any, name: str) -> Terms:
        """Terms of values that lie at workers, all of them."""
        _require_some(values, size, name)
        here = next((at for at, value in enumerate(values) if not isinstance(value, Ref)), None)
        if here is not None:
            given = f"a {type(values[here]).__name__} as number {here} among references"
            raise refusal(
                CALL, name, "all lie at workers, or all be here", given, "scatter it, or bring the others here"
            )
        return cls(function, len(values), tuple(values))

    def taken(self, snapshot: Snapshot) -> Terms:
        """The same terms as they are now."""
        return replace(self, functions=snapshot.function(self.functions))

    def resident(self, first: int, last: int) -> tuple[tuple[str, int, int], Any, int]:
        """Key, value and offset of what has to be at a worker that evaluates terms ``first`` … ``last`` − 1."""
        if callable(self.functions):
            return ("terms", 0, self.size), self.functions, 0
        return ("terms", first, last), self.functions[first:last], first


@dataclass(frozen=True)
class Applied:
    """A function of a value and x, or of the value alone where there is no x."""

    function: Callable[..., Any]

    def __call__(self, value: Any, x: Any) -> Any:
        return self.function(value) if x is None else self.function(value, x)


def itself(value: Any, x: Any) -> Any:
    """A term that lies at a worker: a number or an array, or what is called with x.

    Examples
    --------
    >>> itself(3.0, None), itself(abs, -2.0)
    (3.0, 2.0)
    """
    return value(x) if callable(value) else value


def _require_some(values: Sequence[Any], size: Any, name: str) -> None:
    if not len(values):
        raise refusal(CALL, name, "be a sequence of at least one value", "none", "give one value for each term")
    if size is not None and size != len(values):
        raise refusal(CALL, "count", f"be left out where {name} are a sequence", size, "its length is the count")


def evaluate_there(function: Any, x: Any, values: Sequence[Any], indices: Array, weights: Array) -> Array:
    """What a worker does with terms whose values lie there: as `evaluate`, of ``function(value, x)``.

    Examples
    --------
    >>> evaluate_there(itself, None, [-2.0, 3.0], np.array([0, 1]), np.array([1.0, 1.0]))
    array(1.)
    """
    terms = (_called(partial(function, value), index, x) for index, value in zip(indices.tolist(), values, strict=True))
    return _added_up(indices, weights, terms)


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
    return _added_up(indices, weights, values)


def _added_up(indices: Array, weights: Array, values: Iterable[Any]) -> Array:
    """The weighted sum of some values, each of them checked."""
    total: Array | None = None
    tally = counts.Tally()
    for index, weight, value in zip(indices.tolist(), weights.tolist(), values, strict=True):
        given = _checked(index, value, total)
        if not tally.add(given, weight):
            raise TermFailed(index, f"and those before it {counts.UNSAFE}")
        checked = given.astype(np.complex128 if given.dtype.kind == "c" else np.float64, copy=False)
        try:
            total = _added(total, weight, checked)
        except MemoryError as error:
            raise TermFailed(index, f"cannot be added to the others: {error_line(error)}") from error
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
        return function(unseal(x))
    except BaseException as error:
        raise TermFailed(index, failure_of(error, "x")) from error


def _stacked(function: Callable[[Array, Any], Any], x: Any, indices: Array) -> Iterable[Any]:
    try:
        made = function(unseal(indices), unseal(x))
        values, masked = as_array(made)
    except BaseException as error:
        where = f"(evaluated with terms up to {indices[-1]}) " if len(indices) > 1 else ""
        raise TermFailed(int(indices[0]), f"{where}{failure_of(error, 'x')}") from error
    if (number := inexact_integer(made, values)) is not None and values.dtype.kind == "f":
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
        array, masked = as_array(value)
    except BaseException as error:
        what = f"returned a {type(value).__name__} that is no array: {error_line(error)}"
        raise TermFailed(index, what) from error
    if masked:
        raise TermFailed(index, "returned a masked array, of which a part is missing; fill it first, with .filled(0.0)")
    if (number := inexact_integer(value, array)) is not None:
        raise TermFailed(index, f"returned the integer {number}, {counts.LOST}")
    if array.dtype.kind not in "biufc":
        raise TermFailed(index, f"returned a {type(value).__name__}, which is not a number or an array of numbers")
    if not np.isfinite(array).all():
        raise TermFailed(index, "returned NaN or inf, which would spoil the sum")
    if total is not None and array.shape != total.shape:
        raise TermFailed(index, f"returned shape {array.shape}, where terms before it returned {total.shape}")
    return array
