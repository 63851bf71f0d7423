"""A scheme is a code with something to run: what each row asks of its worker, and where the targets go."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._base._numbers import EPSILON
from .._base._snapshots import Snapshot, is_own
from .._base._travel import Carrying, Staying
from ..arrays._blocks import Grid
from ..arrays._combine import apply
from ..checks import arrayed, beyond, place
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..codes.decoding._assess import Decoding
from ..errors import CodeError, KofnError, TaskError

Array = NDArray[Any]


class Allocate(Protocol):
    """``allocate(shape, dtype)`` gives an uninitialised array; an engine's may be shared with its workers."""

    def __call__(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array: ...


@dataclass(frozen=True, eq=False)
class Task(Carrying):
    """What one row asks of its worker: ``function(*(resident values), *arguments)``.

    Parameters
    ----------
    function : callable
        Its result is the row's payload, an array.
    arguments : tuple
        Sent with the task.
    resident : mapping of key to value
        Placed at the worker once and used by every task and job that names the same key.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    resident: Mapping[Hashable, Any] = field(default_factory=dict)

    def taken(self, snapshot: Snapshot) -> Task:
        """The same on what all of it is now."""
        resident = {key: snapshot.value(value) for key, value in self.resident.items()}
        function = self.function if is_own(self.function) else snapshot.function(self.function)
        return Task(function, tuple(map(snapshot.value, self.arguments)), resident)


@dataclass(frozen=True, eq=False)
class Canvas(Staying):  # in a copy, targets would be no views of what `finish` returns
    """The answer while it is being filled.

    Parameters
    ----------
    targets : arrays, one per target
        Views that decoding writes to.
    finish : callable
        Returns the answer once they are written.
    """

    targets: Sequence[Array]
    finish: Callable[[], Any]

    def finite(self, otherwise: KofnError) -> Canvas:
        """The same, which raises ``otherwise`` instead of returning what has overflown."""

        @np.errstate(over="ignore", invalid="ignore")
        def finish() -> Any:
            answer = self.finish()
            if not np.isfinite(answer).all():
                raise otherwise
            return answer

        return Canvas(self.targets, finish)


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


def payload(row: int, result: Any) -> Array:
    """Take what a worker returned as an array that real weights can combine; integers become float64.

    Examples
    --------
    >>> payload(0, [1, 2])
    array([1., 2.])
    """
    array, masked = arrayed(result)
    if masked:
        raise TaskError(f"the task of row {row} returned an array with masked numbers; fill it first.", -1, row)
    if (large := beyond(result, array)) is not None:
        text = f"the task of row {row} returned the integer {large}, which a float64 may not hold; return floats."
        raise TaskError(text, -1, row)
    if array.dtype.kind in "biu":  # weights of their type would all be rounded
        return array.astype(np.float64)
    if array.dtype.kind not in "fc":
        given = f"a {type(result).__name__} of dtype {array.dtype}"
        raise TaskError(f"the task of row {row} returned {given}, not numbers that can be combined.", -1, row)
    if not _finite(array):
        raise TaskError(f"the task of row {row} returned NaN or inf, which would spoil the answer.", -1, row)
    return array


@np.errstate(over="ignore", invalid="ignore")
def _finite(array: Array) -> bool:
    """Whether all numbers are finite: their sum shows it at a quarter of the cost, unless they are huge."""
    return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def listed(numbers: Sequence[int], most: int = 8) -> str:
    """Some numbers in words, of many the first ones.

    Examples
    --------
    >>> listed([1, 5]), listed(range(100), most=3)
    ('1, 5', '0, 1, 2 and 97 more')
    """
    shown = ", ".join(map(str, numbers[:most]))
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"


@dataclass(frozen=True)
class Parts:
    """What the targets are in the answer, so that it can say which parts of it are exact.

    Parameters
    ----------
    shape : tuple of int, optional
        How targets are laid out: (N, P) blocks of a product, (K,) outputs, () for one sum; a row of targets by
        default. Where there are more targets than this, the answer is made of all of them.
    grid : Grid, optional
        Of an answer that is cut into blocks.
    left_out : bool
        Whether they are outputs of which nothing is estimated: one that is not there is missing.

    Examples
    --------
    >>> Parts((2, 1)).told(np.array([True, False])).tolist(), Parts(()).told(np.array([True]))
    ([[True], [False]], np.True_)
    """

    shape: tuple[int, ...] | None = None
    grid: Grid | None = None
    left_out: bool = False

    def told(self, recovered: NDArray[np.bool_]) -> Any:
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


@dataclass(frozen=True, eq=False)
class Scheme(Carrying):
    """A code, its tasks and its assembly: everything that a run needs and nothing that it decides.

    Parameters
    ----------
    code : LinearCode
    encode : callable
        ``encode(allocate)`` encodes the sources into arrays from ``allocate`` and returns one `Task` per row.
    canvas : callable
        ``canvas(shape, dtype)`` prepares the answer for payloads of that shape and type.
    expect : callable
        ``expect()`` returns the `Prior`; called only when an estimate is needed.
    encoded_bytes : int
        Size of what ``encode`` will allocate, known before it does.
    epsilon : float
        Relative precision of the payloads' numbers.
    adaptive : bool
        Whether a worker passes over rows whose equal has arrived or is under way (`kofn.jobs.scheduling.Rota`).
    learn : callable, optional
        ``learn(results)`` returns the `Prior` from the payloads that have arrived, by row; asked instead of
        ``expect`` whenever an estimate is needed.
    accept : callable
        ``accept(row, result)`` turns what a worker returned into the row's payload, or raises.
    result_bytes : int
        Size of a result, where it is known before.
    answer_bytes : int
        Memory that ``canvas`` takes, where it is known before.
    onto : callable, optional
        ``onto(answer)`` is a canvas on an array, or a file written to like one, that is there already.
    parts : Parts
        What the targets are in the answer.
    judge : Judge, optional
        Looks at the payloads before an answer is given: what the code could make exact need not be so for these.
    apart : callable, optional
        Takes the place of ``canvas`` for estimates on the way, where that writes to what is there already.
    gather : callable, optional
        ``gather(rows, results)`` puts the answer together where results are picked and never added, so that they
        need not be arrays.
    explain : callable, optional
        ``explain(rows)`` says in words what these rows are about, for a message on their loss.
    caution : callable, optional
        ``caution()`` says in the report of an estimate what its error bar does not.

    See Also
    --------
    kofn.schemes : builders of schemes, one file a paper.
    """

    code: LinearCode
    encode: Callable[[Allocate], Sequence[Task]]
    canvas: Callable[[tuple[int, ...], np.dtype[Any]], Canvas]
    expect: Callable[[], Prior]
    encoded_bytes: int = 0
    epsilon: float = EPSILON
    adaptive: bool = False
    learn: Callable[[Mapping[int, Array]], Prior] | None = None
    accept: Callable[[int, Any], Array] = payload
    result_bytes: int = 0
    answer_bytes: int = 0
    onto: Callable[[Any], Canvas] | None = None
    parts: Parts = Parts()
    judge: Judge | None = None
    apart: Callable[[tuple[int, ...], np.dtype[Any]], Canvas] | None = None
    gather: Callable[[Sequence[int], Sequence[Any]], Any] | None = None
    explain: Callable[[Sequence[int]], str] = lambda rows: ""
    caution: Callable[[], str] = lambda: ""

    @property
    def aside(self) -> Scheme:
        """The same, for estimates while it runs: they must not be written where the answer goes."""
        return self if self.apart is None else replace(self, canvas=self.apart)

    @cached_property
    def prior(self) -> Prior:
        """What is expected of the unknowns, computed once and when first needed."""
        prior = self.expect()
        if prior.unknowns != self.code.unknowns:
            raise CodeError(f"the prior must speak of {self.code.unknowns} unknowns, got {prior.unknowns}.")
        return prior

    def prior_given(self, results: Mapping[int, Array]) -> Prior:
        """What is expected of the unknowns once these payloads, by row, have arrived."""
        return self.prior if self.learn is None or not results else self.learn(results)

    def anew(self) -> Scheme:
        """The same for a run of its own, with nothing that an earlier one has learned."""
        anew = getattr(self.accept, "anew", None)
        return replace(self, accept=self.accept if anew is None else anew())

    def taken(self, allocate: Allocate, snapshot: Snapshot) -> Scheme:
        """The same on what its sources are now, whatever becomes of them.

        What can be encoded later is copied; what cannot say of what it is made is encoded now.
        """
        encode, taken = self.encode, getattr(self.encode, "taken", None)
        if taken is not None:
            encode = taken(snapshot)
        else:
            tasks = [task.taken(snapshot) for task in encode(allocate)]
            encode = lambda allocate: tasks  # noqa: E731
        return replace(self, encode=encode, expect=snapshot.maker(self.expect))

    def into(self, out: Any) -> Scheme:
        """The same scheme, which writes its answer into ``out``; estimates on the way to it stay apart."""
        place("kofn.Scheme.into", "out", out)

        def canvas(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Canvas:
            if self.onto is not None:
                return self.onto(out)
            first = self.canvas(shape, dtype)

            def finish() -> Any:
                out[:] = first.finish()
                return out

            return Canvas(first.targets, finish)

        return replace(self, canvas=canvas, answer_bytes=0 if self.onto else self.answer_bytes, apart=self.canvas)

    def answer(self, matrix: Callable[[], NDArray[np.float64]], rows: Sequence[int], results: Sequence[Any]) -> Any:
        """The answer from the results of the rows received, gathered or decoded with V = ``matrix()``."""
        return self.assemble(matrix(), results) if self.gather is None else self.gather(rows, results)

    def assemble(self, matrix: NDArray[np.float64], results: Sequence[Array]) -> Any:
        """Decode results of the received rows with V = ``matrix`` and put the answer together."""
        canvas = self.canvas(results[0].shape, np.result_type(*{result.dtype for result in results}))
        apply(matrix, results, canvas.targets)
        return canvas.finish()
