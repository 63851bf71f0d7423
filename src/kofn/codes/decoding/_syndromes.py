"""Which results are wrong, told by what is redundant among them: syndromes of real-valued codes (arXiv 1905.13685)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..._base._numbers import EPSILON, Array, Floats, apart_at_most, epsilon_of, real_parts
from ...errors import CodeError, Corrupted
from .._linear import LinearCode
from .._sparse import is_sparse

CLEAR = 30.0
"""What a wrong result must move a syndrome by, in units of what rounding may."""

MARGIN = 3.0
"""A row is not wrong only if its syndromes are so many times farther from those seen than rounding can move them; once
is enough where next to nothing is left unseen, and two dimensions are, so that none is near by chance."""


UNSEEN = float(np.sqrt(EPSILON))
"""A row with so small a share in every syndrome is told of by nothing else."""


class Location(NamedTuple):
    """What the redundancy among results tells.

    Parameters
    ----------
    wrong : list of int
        Rows whose results are wrong.
    unchecked : list of int
        Rows that nothing else tells of: whether they are wrong cannot be known.
    """

    wrong: list[int]
    unchecked: list[int]


def locate(
    code: LinearCode, received: Sequence[int], payloads: Sequence[Array], noise: float | None = None
) -> Location:
    """Find the rows whose results contradict the others.

    With r results more than unknowns, of a code any of whose square parts can be solved, it finds up to r − 1 wrong
    results whose errors are linearly independent, and up to r / 2 whatever their errors are.

    Parameters
    ----------
    code : LinearCode
        Dense.
    received : sequence of int
        Rows.
    payloads : sequence of array
        Their results, all of one shape.
    noise : float, optional
        What honest results are off by at most, relative to the norm of all; by default 1000 units of their precision,
        and no more than half of their digits.

    Returns
    -------
    Location

    Raises
    ------
    Corrupted
        Some are wrong, and it is not certain which.

    Examples
    --------
    >>> from kofn.codes import gaussian_frame
    >>> code = LinearCode("frame", gaussian_frame(8, 4, np.random.default_rng(0)), np.eye(4), worker=range(8))
    >>> results = list(code.generator @ np.random.default_rng(1).standard_normal((4, 50)))
    >>> results[2], results[5] = -results[2], results[0]
    >>> locate(code, range(8), results)
    Location(wrong=[2, 5], unchecked=[])
    """
    if is_sparse(code.generator):
        raise CodeError(f"{code.name} is sparse; wrong results are located in dense codes.")
    noise = _noise(payloads) if noise is None else noise
    rows, results = list(received), _real_numbers(payloads)
    with np.errstate(over="ignore", invalid="ignore"):  # a NaN that signals
        finite = np.isfinite(np.linalg.norm(results, axis=1))
    wrong = [row for row, is_number in zip(rows, finite.tolist(), strict=True) if not is_number]
    rows = [row for row in rows if row not in wrong]
    results = results[finite]
    while True:
        parity = parity_check(code.generator[rows])
        condition = _condition(code.generator[rows])
        found = _largest_liars(parity, results, noise + len(rows) * EPSILON * condition)
        if found is None:
            raise _uncertain(code, rows, wrong)
        if not found:  # what is left agrees
            unseen = np.linalg.norm(parity, axis=0) <= UNSEEN if parity.size else np.ones(len(rows), bool)
            return Location(sorted(wrong), [row for row, is_unseen in zip(rows, unseen, strict=True) if is_unseen])
        wrong += [rows[place] for place in found]
        rows = [row for place, row in enumerate(rows) if place not in found]
        results = np.delete(results, found, axis=0)


def deviations(
    code: LinearCode,
    received: Sequence[int],
    payloads: Sequence[Array],
    wrong: Sequence[int],
    noise: float | None = None,
) -> list[float]:
    """How far each wrong result is from what the others say, in units of what honest ones are off by.

    Examples
    --------
    >>> code = LinearCode("pair", [[1], [1], [1]], [[1]], worker=range(3))
    >>> deviations(code, [0, 1, 2], [np.ones(1), np.ones(1), np.full(1, np.nan)], [2])
    [inf]
    """
    places = {row: place for place, row in enumerate(received)}
    right = [row for row in received if row not in wrong]
    if not wrong or not right:
        return [np.inf] * len(wrong)
    results = _real_numbers(payloads)
    honest = results[[places[row] for row in right]]
    weights = code.generator[list(wrong)] @ np.linalg.pinv(code.generator[right])
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.linalg.norm(results[[places[row] for row in wrong]] - weights @ honest, axis=1)
        sizes = off / ((_noise(payloads) if noise is None else noise) * (np.linalg.norm(honest) or 1.0))
    return [float(size) if np.isfinite(size) else np.inf for size in sizes]


def _noise(payloads: Sequence[Array]) -> float:
    return apart_at_most(max(map(epsilon_of, payloads), default=EPSILON))


def _real_numbers(payloads: Sequence[Array]) -> Floats:
    """One row of real numbers a result."""
    parts = [np.concatenate([part.ravel() for part in real_parts(np.asarray(one))]) for one in payloads]
    with np.errstate(invalid="ignore"):  # a NaN that signals
        return np.array(parts).astype(np.float64)


def parity_check(generator: Floats) -> Floats:
    """Orthonormal rows H with H G = 0, (rows − rank, rows)."""
    if not len(generator):
        return np.zeros((0, 0))
    left, values, _ = np.linalg.svd(generator)
    return np.asarray(left[:, _rank(values, generator) :].T)


def tell_alone(code: LinearCode, received: Sequence[int], some: Sequence[int]) -> bool:
    """Whether some of the rows received could be wrong together, and agree with all others.

    Examples
    --------
    >>> code = LinearCode("two", [[1, 0], [0, 1], [1, 1], [1, -1]], np.eye(2), worker=range(4))
    >>> tell_alone(code, [0, 1, 2, 3], [2, 3]), tell_alone(code, [0, 1, 2, 3], [1, 2, 3])
    (False, True)
    """
    told = parity_check(code.generator[list(received)])[:, [row in set(some) for row in received]]
    if told.shape[0] < told.shape[1]:
        return True
    return bool(np.linalg.svd(told, compute_uv=False).min(initial=np.inf) <= UNSEEN)


def _largest_liars(parity: Floats, results: Floats, noise: float) -> list[int] | None:
    """Places of the wrong results that stand out most; empty where all agree, None where it is not certain."""
    if not parity.size:
        return []
    bound = noise * float(np.linalg.norm(results))
    space, sizes, _ = np.linalg.svd(parity @ results, full_matrices=False)
    if np.sqrt(np.square(sizes).sum()) <= bound:
        return []
    rank = int(np.count_nonzero(sizes > CLEAR * bound))
    if not 0 < rank < len(parity):
        return None
    of_rows = np.linalg.norm(parity, axis=0)
    outside = np.linalg.norm(parity - space[:, :rank] @ (space[:, :rank].T @ parity), axis=0)
    share = np.divide(outside, of_rows, out=np.ones_like(outside), where=of_rows > UNSEEN)
    # Rounding turns the space of those seen by half of this at most (Wedin); what is not seen yet, perhaps by more.
    unseen = float(sizes[rank:].max(initial=0.0))
    turned = 2.0 * max(bound, unseen) / sizes[rank - 1]
    found = np.flatnonzero(share <= turned)
    is_plain = unseen <= bound / CLEAR and len(parity) - rank > 1
    far = turned if is_plain else MARGIN * turned
    if len(found) != rank or np.any((share > turned) & (share <= far)):
        return None
    return [int(place) for place in found]


def _rank(values: Floats, generator: Floats) -> int:
    return int(np.count_nonzero(values > max(generator.shape) * EPSILON * values.max(initial=0.0)))


def _condition(generator: Floats) -> float:
    values = np.linalg.svd(generator, compute_uv=False)
    rank = _rank(values, generator)
    return float(values[0] / values[rank - 1]) if rank else 1.0


def _uncertain(code: LinearCode, rows: Sequence[int], wrong: Sequence[int]) -> Corrupted:
    said = f", beside {sorted(wrong)}" if wrong else ""
    text = f"results of {code.name} contradict each other, and it is not certain which are wrong{said}; "
    return Corrupted(f"{text}let more results arrive.", sorted({*rows, *wrong}))
