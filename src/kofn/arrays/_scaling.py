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

from .._base._numbers import Array, Floats
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


def shifted(array: Array, *exponents: tuple[int, Exponents]) -> Array:
    """An array times powers of two along its axes, rounded once; itself where there is nothing to do.

    Examples
    --------
    >>> shifted(np.ones((2, 2)), (0, np.array([1, 0])), (1, np.array([0, -FAR])))
    array([[2., 0.],
           [1., 0.]])
    """
    shape = [1] * array.ndim
    total: Any = 0
    for axis, powers in exponents:
        if np.any(powers):
            total = total + powers.reshape(*shape[:axis], -1, *shape[axis + 1 :])
    if not np.any(total):
        return array
    kept = np.abs(total) < FAR // 2
    power = np.where(kept, total, 0)
    if np.abs(power).max(initial=0) < np.finfo(array.dtype).maxexp - 2:
        factor = np.ldexp(kept.astype(array.real.dtype), power)
        return np.asarray(array * factor)
    found = np.empty_like(array)
    for part, given in _parts(found, array):
        part[...] = np.ldexp(given * kept, power)
    return found


def _parts(found: Array, array: Array) -> list[tuple[Array, Array]]:
    return [(found.real, array.real), (found.imag, array.imag)] if array.dtype.kind == "c" else [(found, array)]


def placed(norms: Floats, spans: Spans) -> Floats:
    """Sizes of what lies at each place of each block, (blocks, places); zero in the padding.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> placed(np.array([1.0, 2.0, 3.0]), Spans(3, 2))
    array([[1., 2.],
           [3., 0.]])
    """
    ordered = norms if spans.order is None else norms[spans.order]
    table = np.zeros((spans.count, spans.size))
    for row, span in zip(table, spans.slices, strict=True):
        row[: span.stop - span.start] = ordered[span]
    return table


def balancing(norms: Floats, spans: Spans, clip: int | None, middle: int) -> Exponents | None:
    """The powers of two by which lines of these sizes are raised before blocks are mixed; None where none is.

    Parameters
    ----------
    norms : (length,) array
    spans : Spans
        How the lines are cut into blocks.
    clip : int or None
        Binary digits by which sizes at one place may differ; None where blocks are not mixed.
    middle : int
        Where exponents lie beyond, the largest becomes 0; what is then still beyond is brought back to it.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> balancing(np.array([1.0, 1e20, 0.0, 1.0, 3.0, 1.0]), Spans(6, 2), clip=4, middle=480).tolist()
    [0, 0, 1048576, 0, 61, 0]
    >>> balancing(np.array([1e150, 1e-149, 1e149, 1e-150]), Spans(4, 2), clip=4, middle=480).tolist()
    [-499, 14, -499, 14]
    """
    if not spans.length:
        return None
    mixed = clip is not None and spans.count > 1
    if _inside(norms, middle) and not (mixed and _ratio(norms) > 2.0 ** (clip or 0)):
        return None
    unit = 0 if _inside(norms, middle) else int(np.frexp(norms.max())[1])  # together, as long as all fit
    if not mixed:
        exponents = np.frexp(norms)[1]
        return _or_none(np.where(norms > 0, np.clip(exponents - unit, -middle, middle) - exponents, 0))
    sizes = placed(norms, spans)
    top = np.broadcast_to(sizes.max(axis=0), sizes.shape)
    highest = np.frexp(top)[1]
    powers = (
        np.clip(highest - unit, -middle, middle) - highest + np.maximum(0, highest - np.frexp(sizes)[1] - (clip or 0))
    )
    powers = np.where(sizes > 0, powers, np.where(top > 0, FAR, 0)).astype(np.intc)
    ordered = np.concatenate([row[: span.stop - span.start] for row, span in zip(powers, spans.slices, strict=True)])
    if spans.order is None:
        return _or_none(ordered)
    exponents = np.empty_like(ordered)
    exponents[spans.order] = ordered
    return _or_none(exponents)


def _or_none(exponents: Any) -> Exponents | None:
    return exponents.astype(np.intc, copy=False) if exponents.any() else None


def _inside(norms: Floats, middle: int, least: int | None = None) -> bool:
    """Whether sizes are zero or in the middle of the range."""
    low, high = np.ldexp(0.5, -middle if least is None else -least), np.ldexp(1.0, middle)
    return bool(norms.max(initial=0.0) < high and norms.min(initial=np.inf, where=norms > 0) >= low)


def balanced(norms: Floats, spans: Spans, epsilon: float, *, mixed: bool = True) -> Spans:
    """The same spans for numbers of this precision: small lines are raised where blocks are mixed, far ones fetched.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> balanced(np.array([1.0, 1e20]), Spans(2, 2), 2.0**-52).exponents.tolist()
    [62, 0]
    >>> balanced(np.array([1.0, 1e200]), Spans(2, 2), 2.0**-52, mixed=False).exponents.tolist()
    [-481, -665]
    """
    clip, middle = (CLIP, MIDDLE) if epsilon < SINGLE else (SINGLE_CLIP, SINGLE_MIDDLE)
    exponents = balancing(norms, spans, clip if mixed else None, middle)
    return spans if exponents is None else replace(spans, exponents=exponents)


def lasting(before: Floats, now: Floats, spans: Spans, epsilon: float, *, mixed: bool = True) -> bool:
    """Whether what was found of lines of these sizes holds for them as they are now.

    Where blocks are mixed, they must have kept their proportions: it may be other numbers, times any factor.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> sizes, spans = np.array([1.0, 2.0]), Spans(2, 2)
    >>> lasting(sizes, 100 * sizes, spans, 2.0**-52), lasting(sizes, sizes**20, spans, 2.0**-52)
    (True, False)
    """
    if np.array_equal(before, now):
        return True
    clip, middle = (CLIP, MIDDLE) if epsilon < SINGLE else (SINGLE_CLIP, SINGLE_MIDDLE)
    read = now if spans.exponents is None else shifted(now, (0, spans.exponents))
    if not np.isfinite(now).all() or not _inside(read, middle + 1, middle + clip + 2):
        return False
    if not mixed or spans.count == 1:
        return True
    ratios = _ratios(sizes_of(now, spans)) <= LASTING * _ratios(sizes_of(before, spans))
    return np.array_equal(before > 0, now > 0) and bool(ratios.all())


def alike(first: Floats, second: Floats) -> bool:
    """Whether all norms of rows, and all of columns, are so much alike that no code needs to know more of them."""
    return _ratio(first) * _ratio(second) <= LIKE


def sizes_of(norms: Floats, spans: Spans) -> Floats:
    """Sizes of the lines of blocks as they are read, that is raised, (blocks, places)."""
    if spans.exponents is None:
        return placed(norms, spans)
    return placed(shifted(norms, (0, spans.exponents)), spans)


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
