"""A battery of checks for schemes: run it over your own, as kofn does over each of its own.

`check_scheme` runs every task of a scheme in this process and asserts what the rest of kofn relies on, one
sentence a failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._base._numbers import Array
from ..arrays._blocks import View
from ..arrays._spec import ArraySpec
from ..codes._certify import backward_limit, certify
from ..codes._linear import LinearCode
from ..codes._sparse import is_sparse
from ..codes.decoding._assess import Decoding
from ..codes.decoding._decode import decode
from ..errors import TaskError
from ..jobs._collector import Collector
from ..schemes._scheme import Learner, Scheme
from ..schemes._task import Task
from ..schemes.functions._scheme import CallScheme
from ._battery import require

ROUNDING = 50.0
"""How many times amplification·epsilon·scale an exact answer may be off."""


def check_scheme(
    scheme: Scheme,
    answer: Any,
    unknowns: Sequence[Array] | None = None,
    *,
    scale: float | None = None,
    subsets: int = 30,
    rng: Any = 0,
) -> None:
    """Assert that a scheme does what its code says.

    Parameters
    ----------
    scheme : Scheme
    answer : array
        The right answer, computed without the scheme.
    unknowns : arrays, one per unknown, optional
        The right unknowns, of the shape of a result. `unknowns_of` reads them off the answer where the targets
        are the unknowns. Without them only the relations between the results are checked.
    scale : float, optional
        What rounding is relative to: the norm of the answer by default; ‖A‖‖B‖ for a product, where the blocks
        can be larger than what they multiply to.
    subsets : int
        Number of received subsets tried; all of them where there are no more.
    rng : None, int or Generator
        Draws the subsets and the orders of arrival.

    Raises
    ------
    AssertionError
        With a sentence that says what does not hold.

    Examples
    --------
    >>> from kofn.schemes import mds
    >>> A, B = np.arange(12.0).reshape(4, 3), np.ones((3, 2))
    >>> scheme = mds(A, B, blocks=(2, 1), rows=3, rng=0)
    >>> check_scheme(scheme, A @ B, unknowns_of(scheme, A @ B))
    >>> check_scheme(scheme, 2 * A @ B)
    Traceback (most recent call last):
    AssertionError: With every row received the answer is off by 5e-01 of its scale, more than rounding.
    """
    random = np.random.default_rng(rng)
    answer = np.asarray(answer)
    scale = float(np.linalg.norm(answer)) if scale is None else scale
    run = _Run(scheme, results_of(scheme), answer, unknowns, scale)
    _check_work(scheme.code)
    _check_threshold(scheme.code, subsets, random)
    run.check_results()
    run.check_whole(random)
    run.check_zero_fill(random)
    run.check_prior()
    for _ in range(3):
        run.check_arrivals(random.permutation(scheme.code.rows))


def results_of(scheme: Scheme) -> list[Array]:
    """Run every task of a scheme in this process and return the payloads, row by row.

    Raises
    ------
    AssertionError
        When the encoding allocates other than its ``nbytes`` says, or the results differ in shape or type.
    """
    allocated: list[Array] = []

    def allocate(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        array = np.empty(shape, dtype)
        array.view(np.uint8).fill(0xFF)  # NaN: what encode forgets to write is seen
        allocated.append(array)
        return array

    encoding, rows, learner = scheme.encoding(), scheme.code.rows, scheme.learner()
    tasks = list(encoding.encode(allocate))  # combinations are made when they are asked for
    size = sum(array.nbytes for array in allocated)
    require(size == encoding.nbytes, f"encoding allocated {size} bytes, its nbytes says {encoding.nbytes}")
    require(len(tasks) == rows, f"an encoding must make one task per row, got {len(tasks)} for {rows} rows")
    results = [_take(learner, row, task) for row, task in enumerate(tasks)]
    kinds = {(result.shape, result.dtype) for result in results}
    require(len(kinds) == 1, f"all results must have one shape and type, got {sorted(map(str, kinds))}")
    return results


def _take(learner: Learner, row: int, task: Task) -> Array:
    try:
        payload: Array = learner.take(row, task.function(*task.resident.values(), *task.arguments))
        return payload
    except TaskError as error:
        raise AssertionError(f"result of row {row} is refused: {error}") from error


def unknowns_of(scheme: Scheme, answer: Any) -> list[Array]:
    """Read the unknowns off a known answer, for codes whose targets are the unknowns (T = I).

    Examples
    --------
    >>> from kofn.schemes import uncoded
    >>> A = np.arange(3.0)[:, None]
    >>> unknowns_of(uncoded(A, np.ones((1, 1)), blocks=(2, 1)), A)
    [array([[0.],
           [1.]]), array([[2.],
           [0.]])]
    """
    code, answer = scheme.code, np.array(answer)
    require(np.array_equal(code.targets, np.eye(code.unknowns)), "unknowns_of needs a code whose targets are I")
    spec = ArraySpec.of(results_of(scheme)[0])
    shape, layout = spec.shape, scheme.layout(spec)
    if not layout.is_direct:
        return _find_by_place(scheme, answer, shape)
    unknowns = []
    layout = replace(layout, spec=ArraySpec(layout.spec.shape, answer.dtype))  # which may have more digits
    for target in layout.open(answer).targets:
        unknown = np.zeros(shape, answer.dtype)  # what stays zero is padding
        unknown[tuple(map(slice, target.shape))] = target.raised() if isinstance(target, View) else target
        unknowns.append(unknown)
    return unknowns


def _find_by_place(scheme: Scheme, answer: Array, shape: tuple[int, ...]) -> list[Array]:
    """Let the scheme put numbers of places together, to see where each went."""
    code, size = scheme.code, math.prod(shape)
    places = [np.arange(size, dtype=float).reshape(shape) + j * size for j in range(code.unknowns)]
    place = np.asarray(scheme.assemble(code.targets, places)).astype(np.intp)
    flat = np.zeros(code.unknowns * size, answer.dtype)
    flat[place.ravel()] = answer.ravel()  # what stays zero is padding
    return list(flat.reshape(code.unknowns, *shape))


def _check_work(code: LinearCode) -> None:
    for worker in range(code.workers):
        mine = np.flatnonzero(code.worker == worker)
        require(mine.size > 0, f"worker {worker} of {code.workers} has no row")
        done = code.load[mine].sum()
        require(np.isclose(code.work[mine[-1]], done, rtol=1e-12), f"work of worker {worker} must end at {done}")


def _check_threshold(code: LinearCode, subsets: int, rng: np.random.Generator) -> None:
    threshold = code.threshold
    if threshold is None:
        return
    for rows in _subsets(code.rows, threshold, subsets, rng):
        require(_in_row_space(code, rows), f"rows {rows} do not recover the targets, the threshold {threshold} says so")
    if threshold == 0:
        return
    fewer = list(_subsets(code.rows, threshold - 1, subsets, rng))
    verdicts = [_in_row_space(code, rows) for rows in fewer]
    if threshold == np.linalg.matrix_rank(code.targets):
        require(not any(verdicts), f"fewer than {threshold} rows recover {threshold} independent targets")
    elif len(fewer) == math.comb(code.rows, threshold - 1):
        require(not all(verdicts), f"any {threshold - 1} rows recover the targets, the threshold says {threshold}")


def _in_row_space(code: LinearCode, rows: Sequence[int]) -> bool:
    generator = _dense(code)[list(rows)]
    return bool(np.all(certify(generator, code.targets).backward_error <= backward_limit(*generator.shape)))


def _dense(code: LinearCode) -> Array:
    generator: Array = code.generator.toarray() if is_sparse(code.generator) else code.generator
    return generator


def _subsets(rows: int, size: int, most: int, rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    if math.comb(rows, size) <= most:
        yield from combinations(range(rows), size)
        return
    for _ in range(most):
        yield tuple(int(row) for row in rng.choice(rows, size, replace=False))


@dataclass(frozen=True, eq=False)
class _Run:
    """A scheme with the results of its tasks, and what they must come to."""

    scheme: Scheme
    results: list[Array]
    answer: Array
    unknowns: Sequence[Array] | None
    scale: float

    def check_results(self) -> None:
        """Each is its row of the generator times the unknowns."""
        generator, stacked = _dense(self.scheme.code), _flat(self.results)
        if self.unknowns is None:
            # What G u can be for any u: the residual against the columns of G is zero.
            basis, sizes, _ = np.linalg.svd(generator, full_matrices=False)
            basis = basis[:, sizes > 1e-10 * sizes.max(initial=0.0)]
            wanted = basis @ (basis.T @ stacked)
        else:
            given, count = len(self.unknowns), generator.shape[1]
            require(given == count, f"the code has {count} unknowns, {given} given")
            wanted = generator @ _flat(self.unknowns)
        size = max(1.0, float(np.abs(generator).sum(axis=1).max(initial=0.0)))
        within = ROUNDING * self.scheme.epsilon * size * self.scale
        for row, off in enumerate(np.linalg.norm(stacked - wanted, axis=1)):
            which = f"the result of row {row} is not the row of the generator times the unknowns"
            require(off <= within, f"{which}: off by {off:.0e}")

    def check_whole(self, rng: np.random.Generator) -> None:
        """All of them give the answer, in any order."""
        code, epsilon = self.scheme.code, self.scheme.epsilon
        for rows in (np.arange(code.rows), rng.permutation(code.rows)):
            decoding = decode(code, rows, epsilon=epsilon)
            if code.threshold is None and not decoding.exact:
                return  # a code that promises no threshold, as one of random windows, need not be decodable
            require(decoding.exact, f"with every row received not all is exact: {decoding.recovered}")
            require(float(decoding.error) == 0.0, f"an exact answer has error 0, got {decoding.error}")
            off = self._off(decoding, rows)
            within = off <= ROUNDING * float(decoding.amplification) * epsilon
            require(within, f"With every row received the answer is off by {off:.0e} of its scale, more than rounding")

    def check_zero_fill(self, rng: np.random.Generator) -> None:
        """What some of them do not recover is zero, and what they recover is right."""
        code, epsilon = self.scheme.code, self.scheme.epsilon
        for count in {code.rows // 2, max(0, code.rows - 2)}:
            rows = rng.choice(code.rows, count, replace=False)
            decoding = decode(code, rows, estimator="exact", epsilon=epsilon)
            require(not decoding.matrix[~decoding.recovered].any(), "estimator 'exact' must fill with zeros")
            if self.unknowns is None or not count:
                continue
            found = decoding.matrix @ _flat([self.results[row] for row in rows])
            wanted = code.targets @ _flat(self.unknowns) * decoding.recovered[:, None]
            bound = ROUNDING * max(1.0, float(decoding.amplification)) * epsilon * self.scale
            off = np.linalg.norm(found - wanted)
            require(off <= bound, f"targets recovered from rows {rows.tolist()} are off by {off:.0e}")

    def check_prior(self) -> None:
        """What is expected of them is of their size."""
        prior = self.scheme.learner().prior(dict(enumerate(self.results)))
        expected = float(prior.energy(_dense(self.scheme.code)))
        true = float(np.sum(np.abs(_flat(self.results)) ** 2))
        if true == 0:
            require(expected >= 0, f"the prior's energies must be at least 0, got {expected}")
        else:
            ratio = true / expected if expected else np.inf
            require(0.1 <= ratio <= 10, f"the results have {ratio:.2g} times the energy that the prior expects")

    def check_arrivals(self, order: NDArray[np.intp]) -> None:
        """One after the other they make the expected error smaller, and what is called exact is."""
        code, epsilon, learner = self.scheme.code, self.scheme.epsilon, self.scheme.learner()
        collector = Collector(code, lambda: learner.prior({}), epsilon=epsilon)
        before = np.inf
        for time, row in enumerate(order):
            collector.add(int(row), float(time))
            floor = 10 * float(collector.decoding.amplification) * epsilon
            now, received = collector.error, collector.received
            smaller = now <= before * (1 + 1e-6) + floor
            require(smaller, f"the expected error rose from {before} to {now} with row {row}")
            before = now
            if collector.exact:
                off = self._off(collector.decoding, received)
                require(off <= ROUNDING / 10 * floor, f"rows {received} are called exact and off by {off:.0e}")
        promised = code.threshold is not None
        require(collector.exact or not promised, f"rows arriving in the order {order.tolist()} never become exact")

    def _off(self, decoding: Decoding, rows: Iterable[int]) -> float:
        """How far the answer from these rows is off, relative to the scale."""
        value = np.asarray(self.scheme.assemble(decoding.matrix, [self.results[row] for row in rows]))
        wanted = self.answer.shape
        require(value.shape == wanted, f"the answer must have shape {wanted}, got {value.shape}")
        off = float(np.linalg.norm(value - self.answer))
        return off / self.scale if off else 0.0


def _flat(arrays: Sequence[Array]) -> Array:
    stacked = np.asarray(arrays)
    return stacked.reshape(len(stacked), -1).astype(np.result_type(stacked, np.float64))


def decode_rows(made: CallScheme, rows: Iterable[int]) -> tuple[NDArray[Any], float]:
    """Evaluate some rows, as their workers would, and decode them.

    Parameters
    ----------
    made : CallScheme
        What a builder of a code for function values returns.
    rows : sequence of int

    Returns
    -------
    (K, …) array
        The outputs.
    float
        Their expected relative error.

    Examples
    --------
    >>> from kofn.schemes import lagrange
    >>> squares = lagrange(np.square, [1.0, 2.0], degree=2, workers=4)
    >>> decode_rows(squares, [0, 2, 3])[0].round(12)
    array([1., 4.])
    """
    scheme = made.estimating()
    tasks, learner = scheme.encoding().encode(np.empty), scheme.learner()
    chosen = list(rows)
    results = {row: _take(learner, row, tasks[row]) for row in chosen}
    prior = learner.prior(results)
    found = decode(scheme.code, np.array(chosen), prior, scheme.estimator, scheme.precision)
    return scheme.assemble(found.matrix, [results[row] for row in chosen]), float(found.error)
