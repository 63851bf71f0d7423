"""How important rows, columns and blocks are: the order that protection follows (Tegin et al. 2022, Sec. IV-A)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._base._numbers import Floats, Indices
from ...arrays._reductions import magnitudes, norm, norms
from ...arrays._spans import Spans
from ...checks import integer, refusal

CALL = "kofn.schemes.products._uep"


class Weighting(NamedTuple):
    """How weights come from a matrix.

    Attributes
    ----------
    of_lines : callable
        Matrix → weight of each row (axis 0) or column (1).
    of_block : callable
        Weights of the rows of a block → weight of the block.
    """

    of_lines: Callable[[Any, int], Floats]
    of_block: Callable[[Floats], Any]


WEIGHTINGS: dict[str, Weighting] = {
    "frobenius": Weighting(norms, norm),
    "mean-absolute": Weighting(
        lambda matrix, axis: magnitudes(matrix, axis) / max(1, matrix.shape[1 - axis]),
        lambda weights: weights.sum() / max(1, len(weights)),
    ),
}
"""Frobenius norms as in Sec. IV-A; mean absolute values as the paper's own study uses them for Sec. VII-C."""


def sorted_spans(weights: Floats, count: int) -> Spans:
    """Cut a dimension into blocks of roughly equal size, the heaviest elements first (Sec. VII-C).

    Examples
    --------
    >>> spans = sorted_spans(np.array([1.0, 5.0, 3.0]), 2)
    >>> spans.order.tolist(), spans.slices
    ([1, 2, 0], [slice(0, 2, None), slice(2, 3, None)])
    """
    order = np.argsort(-weights, kind="stable")
    in_place = np.array_equal(order, np.arange(len(order)))
    return Spans(len(weights), count, None if in_place else order)


def block_weights(weights: Floats, spans: Spans, rule: str = "frobenius") -> Floats:
    """Weight of each block, (count,), from the weights of what it is made of.

    Examples
    --------
    >>> block_weights(np.array([3.0, 4.0, 1.0]), Spans(3, 2))
    array([5., 1.])
    >>> block_weights(np.array([3.0, 4.0, 1.0]), Spans(3, 2), "mean-absolute")
    array([3.5, 1. ])
    """
    ordered = weights if spans.order is None else weights[spans.order]
    return np.array([WEIGHTINGS[rule].of_block(ordered[span]) for span in spans.slices], dtype=np.float64)


def split_levels(weights: Floats, sizes: int | Sequence[int]) -> Indices:
    """Importance level of each block, 0 the highest: S levels of nearly equal size, or of sizes n(s).

    Examples
    --------
    >>> split_levels(np.array([1.0, 9.0, 2.0, 0.1]), 3).tolist()
    [1, 0, 0, 2]
    >>> split_levels(np.array([1.0, 9.0, 2.0, 0.1]), (1, 3)).tolist()
    [1, 0, 1, 1]
    """
    if np.ndim(sizes) == 0:
        sizes = even_sizes(len(weights), integer(CALL, "levels", sizes, 1, "three levels are usual"))
    return split_classes(weights, sizes, "levels")


def even_sizes(count: int, parts: int) -> list[int]:
    """Sizes of ``parts`` groups of ``count`` things that differ by at most one, none of them empty.

    Examples
    --------
    >>> even_sizes(8, 3), even_sizes(2, 3)
    ([3, 3, 2], [1, 1])
    """
    parts = max(1, min(parts, count))
    return [count // parts + (part < count % parts) for part in range(parts)]


def split_classes(weights: Floats, sizes: Any, argument: str = "classes") -> Indices:
    """Number the groups of given sizes, the largest weights in group 0; ties keep their order.

    Raises
    ------
    ArgumentError
        When ``sizes`` are not positive ints that sum to the number of weights.

    Examples
    --------
    >>> split_classes(np.array([1.0, 100.0, 10.0]), (1, 2)).tolist()
    [1, 0, 1]
    """
    remedy = f"write {tuple(even_sizes(len(weights), 3))}, for example"
    counts = [integer(CALL, argument, size, 1, remedy) for size in sizes]
    if sum(counts) != len(weights):
        must = f"have sizes that sum to {len(weights)}"
        raise refusal(CALL, argument, must, tuple(counts), remedy)
    group = np.empty(len(weights), dtype=np.intp)
    group[np.argsort(-weights, kind="stable")] = np.repeat(np.arange(len(counts)), counts)
    return group
