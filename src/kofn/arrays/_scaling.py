"""Rows and columns in units of their own: what is mixed is brought to like size first, and back afterwards.

A combination of a row of size 1e20 with one of size 1 has no digit of the small one left. So before rows are mixed,
small ones are raised by a power of two, which costs no digit, until they are within `CLIP` of the largest that they are
mixed with; what is decoded is lowered by the same power where it is written. The clip leaves differences in place that
an estimate lives on: what is sixteen times smaller has a 256th of the energy.

Only what lies at one place of its block is mixed, so that every place is looked at by itself. Whatever leaves the
middle of the range of its type is brought to the border of that, so that products of two matrices stay numbers on the
way; what the answer then is decides, as in every product, whether it is one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base._numbers import Array, Floats, real_parts
from ._spans import Spans

Exponents = NDArray[np.intc]

CLIP, SINGLE_CLIP = 4, 1
"""Binary digits by which sizes may differ that are mixed, in double and in single precision; at most one more."""

MIDDLE, SINGLE_MIDDLE = 480, 50
"""Largest and smallest binary exponents of sizes whose products leave room for combining, adding up and decoding."""

LASTING = 4.0
"""Factor by which the ratio of two blocks may grow before what was found of them no longer holds."""

SINGLE = 1e-10
"""Precision above which numbers are single ones."""

FAR = 1 << 20
"""The exponent of lines of zeros: raised by any power they are zero, and whatever is lowered by this one is."""

FARTHEST = 2.0**240
"""Whatever is farther apart counts as so far: ratios of rows times those of columns have squares."""

LIKE = 8.0
"""Sizes that differ by up to this factor, rows and columns taken together, change nothing that counts."""


def scale_by_powers(array: Array, *exponents: Exponents | None) -> Array:
    """Multiply an array by powers of two along its axes, rounding once; return the array itself where all are zero.

    Parameters
    ----------
    array : array
    *exponents : int array or None
        For each axis in turn, the exponent of each line; None where all are zero.

    Examples
    --------
    >>> scale_by_powers(np.ones((2, 2)), np.array([1, 0]), np.array([0, -FAR]))
    array([[2., 0.],
           [1., 0.]])
    """
    total: Any = 0
    for axis, powers in enumerate(exponents):
        if powers is not None and powers.any():
            total = total + powers.reshape(-1, *[1] * (array.ndim - axis - 1))
    if not np.any(total):
        return array
    kept = np.abs(total) < FAR // 2
    power = np.where(kept, total, 0)
    if np.abs(power).max(initial=0) < np.finfo(array.dtype).maxexp - 2:
        factor = np.ldexp(kept.astype(array.real.dtype), power)
        return np.asarray(array * factor)
    found = np.empty_like(array)
    for part, given in zip(real_parts(found), real_parts(array), strict=True):
        part[...] = np.ldexp(given * kept, power)
    return found


def sizes_by_place(norms: Floats, spans: Spans) -> Floats:
    """Sizes of what lies at each place of each block, (blocks, places); zero in the padding.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> sizes_by_place(np.array([1.0, 2.0, 3.0]), Spans(3, 2))
    array([[1., 2.],
           [3., 0.]])
    """
    table = np.zeros((spans.count, spans.size))
    table[spans.places] = norms
    return table


def balance(norms: Floats, spans: Spans, epsilon: float, *, mixed: bool = True) -> Spans:
    """Return the same spans with the powers of two by which lines of these sizes are multiplied when they are read.

    Where blocks are mixed, small lines are raised until sizes at one place differ by no more than `CLIP` digits. Where
    exponents lie beyond the middle of the range, the largest becomes 0, and what is then still beyond is brought back.

    Parameters
    ----------
    norms : (length,) array
    spans : Spans
        How the lines are cut into blocks.
    epsilon : float
        Relative precision of the numbers.
    mixed : bool
        Whether blocks are combined with one another.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> balance(np.array([1.0, 1e20, 0.0, 1.0, 3.0, 1.0]), Spans(6, 2), 2.0**-52).exponents.tolist()
    [0, 0, 1048576, 0, 61, 0]
    >>> balance(np.array([1e150, 1e-149, 1e149, 1e-150]), Spans(4, 2), 2.0**-52).exponents.tolist()
    [-499, 14, -499, 14]
    >>> balance(np.array([1.0, 1e200]), Spans(2, 2), 2.0**-52, mixed=False).exponents.tolist()
    [-481, -665]
    """
    clip, middle = _limits(epsilon)
    mixed = mixed and spans.count > 1
    inside = _inside(norms, middle)
    if not spans.length or (inside and not (mixed and _ratio(norms) > 2.0**clip)):
        return spans
    unit = 0 if inside else int(np.frexp(norms.max())[1])  # together, as long as all fit
    sizes = sizes_by_place(norms, spans) if mixed else norms[None]
    top = np.broadcast_to(sizes.max(axis=0), sizes.shape)
    highest = np.frexp(top)[1]
    raised = np.maximum(0, highest - np.frexp(sizes)[1] - clip)
    powers = np.clip(highest - unit, -middle, middle) - highest + raised
    powers = np.where(sizes > 0, powers, np.where(top > 0, FAR, 0)).astype(np.intc)
    exponents = powers[spans.places] if mixed else powers[0]
    return replace(spans, exponents=exponents) if exponents.any() else spans


def _limits(epsilon: float) -> tuple[int, int]:
    """`CLIP` and `MIDDLE` for numbers of this precision."""
    return (CLIP, MIDDLE) if epsilon < SINGLE else (SINGLE_CLIP, SINGLE_MIDDLE)


def _inside(norms: Floats, middle: int, least: int | None = None) -> bool:
    """Whether sizes are zero or in the middle of the range."""
    low, high = np.ldexp(0.5, -middle if least is None else -least), np.ldexp(1.0, middle)
    return bool(norms.max(initial=0.0) < high and norms.min(initial=np.inf, where=norms > 0) >= low)


def still_holds(before: Floats, now: Floats, spans: Spans, epsilon: float, *, mixed: bool = True) -> bool:
    """Whether what was found of lines of these sizes holds for them as they are now.

    Where blocks are mixed, they must have kept their proportions: it may be other numbers, times any factor.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> sizes, spans = np.array([1.0, 2.0]), Spans(2, 2)
    >>> still_holds(sizes, 100 * sizes, spans, 2.0**-52), still_holds(sizes, sizes**20, spans, 2.0**-52)
    (True, False)
    """
    if np.array_equal(before, now):
        return True
    clip, middle = _limits(epsilon)
    read = scale_by_powers(now, spans.exponents)
    if not np.isfinite(now).all() or not _inside(read, middle + 1, middle + clip + 2):
        return False
    if not mixed or spans.count == 1:
        return True
    ratios = _ratios(sizes_of(now, spans)) <= LASTING * _ratios(sizes_of(before, spans))
    return np.array_equal(before > 0, now > 0) and bool(ratios.all())


def are_alike(first: Floats, second: Floats) -> bool:
    """Whether all norms of rows, and all of columns, are so much alike that no code needs to know more of them."""
    return _ratio(first) * _ratio(second) <= LIKE


def sizes_of(norms: Floats, spans: Spans) -> Floats:
    """Sizes of the lines of blocks as they are read, that is raised, (blocks, places)."""
    return sizes_by_place(scale_by_powers(norms, spans.exponents), spans)


def spread_of(first: Floats, second: Floats) -> Floats | None:
    """How much larger the numbers of a product can be than those of another that they are mixed with.

    Parameters
    ----------
    first, second : (N, places) and (P, places) arrays
        Sizes of the rows of the blocks of A and of the columns of the blocks of B. A number of a product is as large as
        its row and its column allow.

    Returns
    -------
    (N·P, N·P) array or None
        At [t, u]: the largest ratio, place by place, of unknown u to unknown t; None where all are much alike.

    Examples
    --------
    >>> spread_of(np.array([[1.0, 2.0], [16.0, 8.0]]), np.ones((1, 3)))
    array([[ 1.  , 16.  ],
           [ 0.25,  1.  ]])
    >>> spread_of(np.ones((2, 2)), np.ones((1, 3))) is None
    True
    """
    if _unlike(first) * _unlike(second) <= LIKE:
        return None
    return np.asarray(np.kron(_ratios(first), _ratios(second)))


def largest_spread(epsilon: float) -> float:
    """How unlike in size numbers may be that are mixed as they are: as unlike as those that were raised still are."""
    return max(LIKE, 2.0 ** (1 + (SINGLE_CLIP if epsilon > SINGLE else CLIP)))


def _ratio(sizes: Floats) -> float:
    """The largest size beside the smallest; inf where that is zero."""
    least = float(sizes.min(initial=np.inf))
    return float(sizes.max(initial=0.0)) / least if least > 0 else np.inf


def _unlike(sizes: Floats) -> float:
    """The largest ratio of two sizes at one place."""
    if len(sizes) == 1:
        return 1.0
    top, least = sizes.max(axis=0), np.where(sizes > 0, sizes, np.inf).min(axis=0)
    return float(np.max(np.divide(top, least, out=np.ones_like(top), where=top > 0), initial=1.0))


def _ratios(sizes: Floats) -> Floats:
    """The largest ratio of block m to block n at one place, (n, m), but where n is zero: that comes out as zero."""
    ratios = np.eye(len(sizes))
    for row, own in zip(ratios, sizes, strict=True):
        at = own > 0
        if at.any():
            row[...] = (sizes[:, at] / own[at]).max(axis=1)
    return np.clip(ratios, 0.0, FARTHEST)
