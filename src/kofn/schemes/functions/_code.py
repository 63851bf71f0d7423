"""What codes for function values share: their size, nodes on [−1, 1], and curves through the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..._base._envelope import error_line
from ..._base._numbers import Array, Floats, Indices
from ..._base._snapshots import collect
from ...arrays._remote import Ref
from ...checks import as_array, computes_plainly, inexact_integer, integer, refusal
from .._deal import deal_rows, default_redundancy
from ._calls import CALL, Arguments

INNER = (0.1, 0.9)
"""Part of its stretch where a sample may be: no gap is so large that the ends of the line are left out."""


def check_sizes(inputs: Any, workers: Any, rows: Any) -> tuple[Array, Indices]:
    """Check inputs and sizes: the stacked inputs (K, …), and the worker of each row, one row per worker by default.

    Examples
    --------
    >>> X, worker = check_sizes([1.0, 2.0], 3, 4)
    >>> X.shape, worker.tolist()
    ((2,), [0, 1, 2, 0])
    """
    X = stack_inputs(inputs)
    workers = len(X) if workers is None else integer(CALL, "workers", workers, 1, "ask for at least one worker")
    rows = workers if rows is None else integer(CALL, "rows", rows, 1, "ask for at least one row")
    return X, deal_rows(rows, workers)


def stack_inputs(inputs: Any) -> Array:
    """Check the inputs of one call, and stack them: (K, …), float32, float64 or complex.

    Examples
    --------
    >>> stack_inputs([[1, 2], [3, 4]]).dtype
    dtype('float64')
    """
    refuse, remedy = partial(refusal, CALL, "inputs"), "give K arrays of one shape"
    if np.ma.isMaskedArray(inputs):
        raise refuse("be without a mask", "a masked array", "fill it first, with .filled(0)")
    if hasattr(inputs, "toarray"):
        raise refuse("be dense where they are mixed", f"a {type(inputs).__name__}", "pass inputs.toarray()")
    # Going through a frame would give the names of its columns.
    ready = isinstance(inputs, memoryview) or hasattr(inputs, "__array__")
    if not ready and (not np.iterable(inputs) or isinstance(inputs, Mapping | Set)):
        raise refuse("be a sequence of arrays", repr(inputs), remedy)
    parts = inputs if ready else collect(inputs)
    if not ready and any(isinstance(one, Ref) for one in parts):
        must, given = "be here for a code that mixes them", "a reference to what lies at a worker"
        raise refuse(must, given, "use code='repetition', or leave 'code' out")
    for kind in {type(inputs), *map(type, () if ready else parts)}:
        if not computes_plainly(kind):
            own, remedy = f"a {kind.__name__}, which computes in its own way", "convert each with np.asarray(x)"
            raise refuse("be plain arrays for a code that mixes them", own, f"{remedy}, or use code='repetition'")
    try:
        array, masked = as_array(parts)
    except Exception as error:
        if hasattr(inputs, "__array__") or not isinstance(error, ValueError):  # it says in its own words why not
            raise refuse("be arrays, or become such", error_line(error), "convert them first") from error
        shapes = sorted({str(np.asarray(one, dtype=object).shape) for one in parts})
        raise refuse("be arrays of one shape", f"shapes {', '.join(shapes)}", remedy) from None
    if masked:
        raise refuse("be without masks", "masked numbers among them", "fill them, with .filled(0)")
    if array.ndim == 0 or not len(array) or array.dtype.kind not in "biufc":
        raise refuse("be at least one array of numbers", f"{array.dtype} {array.shape}", remedy)
    if (large := inexact_integer(parts, array)) is not None:
        must = "be integers of at most 2**53, which is what float64 holds"
        raise refuse(must, large, "give floats, or smaller numbers that f makes large")
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        wrong = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
        raise refuse("be finite", f"NaN or inf in input {wrong}", "clean it first")
    return array


def require_rows(name: str, needed: int, rows: int, why: str) -> None:
    """Refuse a code that needs more results than there are rows."""
    if needed > rows:
        must = f"be at least {needed} for code {name!r}, {why}"
        other = "" if name == "repetition" else ", or code='repetition'"
        raise refusal(CALL, "rows", must, rows, f"use more workers or rows, or fewer inputs{other}")


def spread_among(nodes: Floats, count: int) -> Floats:
    """``count`` of the nodes, evenly spread in their order: values there are results themselves.

    Chosen from Chebyshev nodes they lie like Chebyshev nodes, so that a curve through the inputs that sit on them
    stays as small as the inputs.

    Examples
    --------
    >>> spread_among(np.arange(10.0), 3).tolist()
    [1.0, 5.0, 8.0]
    """
    return nodes[((np.arange(count) + 0.5) * len(nodes) / count).astype(np.intp)]


def scattered_among(nodes: Floats, count: int) -> Floats:
    """``count`` of the nodes, spread as by `spread_among` but, of many, with gaps of all sizes.

    A function that repeats looks smooth where it is sampled in step with it, and nothing between samples tells. So each
    sample is somewhere in a stretch of its own, and neighbours can be near: how smooth f is they tell best.

    Examples
    --------
    >>> scattered_among(np.arange(40.0), 5).tolist(), scattered_among(np.arange(7.0), 5).tolist()
    ([3.0, 14.0, 22.0, 27.0, 36.0], [0.0, 2.0, 3.0, 4.0, 6.0])
    """
    if len(nodes) < 2 * count:
        return spread_among(nodes, count)
    edges = np.arange(count + 1) * len(nodes) // count
    within = np.random.default_rng([1, count]).uniform(*INNER, count)  # the same in every call
    return nodes[edges[:-1] + (within * np.diff(edges)).astype(np.intp)]


def lagrange_rows(points: Floats, nodes: Floats) -> Floats:
    """Values at ``points`` of the Lagrange polynomials of ``nodes``, (points, nodes): interpolation is rows @ values.

    Examples
    --------
    >>> lagrange_rows(np.array([0.5, 1.0]), np.array([0.0, 1.0])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    gaps = nodes[:, None] - nodes
    np.fill_diagonal(gaps, 1.0)
    weights = 1.0 / np.prod(gaps, axis=1)
    return barycentric_rows(points, nodes, weights)


def barycentric_rows(points: Floats, nodes: Floats, weights: Floats) -> Floats:
    """Rows of Σ_i w_i y_i / (z − x_i) / Σ_i w_i / (z − x_i), which is y_i at z = x_i, (…, points, nodes).

    Parameters
    ----------
    points : (points,) array
    nodes, weights : (…, nodes) array

    Examples
    --------
    >>> barycentric_rows(np.array([0.0, 0.5]), np.array([0.0, 1.0]), np.array([1.0, -1.0])).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    distance = points[:, None] - nodes[..., None, :]
    met = distance == 0
    at_node = met.any(axis=-1, keepdims=True)
    terms = weights[..., None, :] / np.where(met, 1.0, distance)
    total = np.where(at_node, 1.0, terms.sum(axis=-1, keepdims=True))
    return np.where(at_node, met, terms / total)


def through(weights: Floats, points: Floats, nodes: Floats) -> Floats:
    """Weights of a curve's points, (points, nodes), made exactly those of an input where the curve meets it.

    Solved for, these are zeros and a one but for rounding, of which a large neighbour makes anything.

    Examples
    --------
    >>> through(np.array([[1.0, 1e-17], [0.5, 0.5]]), np.array([0.0, 0.5]), np.array([0.0, 1.0])).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    met = points[:, None] == nodes
    return np.where(met.any(axis=1, keepdims=True), met, weights)


@dataclass(frozen=True, eq=False)
class Mixture(Arguments):
    """The mixtures ``weights @ points`` as arguments of the rows, of the points' own type.

    Where a mixture is a point it is that point itself, to the last bit.

    Parameters
    ----------
    weights : (rows, points) array
    points : (points, …) array

    Examples
    --------
    >>> Mixture(np.array([[0.0, 1.0]]), np.array([[1e300], [-0.0]])).of_rows()
    [(array([-0.]),)]
    """

    weights: Floats
    points: Array

    def of_rows(self) -> list[tuple[Array]]:
        """Each row one mixture."""
        weights, X = self.weights, self.points
        flat = X.reshape(len(X), -1)
        mixtures = weights.astype(X.real.dtype) @ flat
        alone = np.flatnonzero((np.count_nonzero(weights, axis=1) == 1) & (weights.max(axis=1) == 1))
        mixtures[alone] = flat[np.argmax(weights[alone], axis=1)]
        return [(mixture,) for mixture in mixtures.reshape(len(weights), *X.shape[1:])]


def results_enough(recover: Any, rows: int) -> int:
    """How many results a code that is never exact waits for: as asked, or all but a quarter of the rows.

    Examples
    --------
    >>> results_enough(None, 8), results_enough(5, 8)
    (6, 5)
    """
    if recover is None:
        return int(rows - default_redundancy(rows))
    enough = integer(CALL, "recover", recover, 1, "wait for at least one result")
    if enough > rows:
        raise refusal(CALL, "recover", f"be at most {rows}, the number of rows", enough, "wait for fewer results")
    return enough
