"""Masks that hide inputs from workers: random points of the curve, and how much a number still tells.

The curve goes through T Gaussian masks beside the inputs (Yu et al. 2019, Sec. 3). Over a finite field any T workers
would then see uniform noise. Over the reals no noise is uniform: a mask that is s times as large as the inputs leaves
what an additive Gaussian channel leaves, some bits a number, and costs log10(s) digits for every factor of f.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..._base._numbers import Array, Floats, Indices
from ...checks import integer, number, refusal
from ...codes._bases import chebyshev_nodes
from ...codes.decoding._learning import unit_size
from ._code import lagrange_rows, spread_among

CALL = "kofn.schemes.leakage_bits"

SUBSETS = 2000
"""Sets of colluding workers that `leakage_bits` looks at; random ones where there are more."""


def between(alpha: Floats, count: int) -> Floats:
    """``count`` nodes that are none of Chebyshev's ``alpha``, so that no worker gets an input or a mask as it is.

    Examples
    --------
    >>> between(np.array([0.866, 0.0, -0.866]), 2).round(3).tolist()
    [0.5, -1.0]
    """
    rows = len(alpha)
    return spread_among(np.sin((rows - 2 * np.arange(rows + 1)) * np.pi / (2 * rows)), count)


def mask_places(inputs: int, masks: int) -> tuple[Indices, Indices]:
    """Which points of the curve are inputs and which are masks: masks spread among the inputs.

    Examples
    --------
    >>> inputs, masks = mask_places(3, 1)
    >>> inputs.tolist(), masks.tolist()
    ([0, 1, 3], [2])
    """
    every = np.arange(inputs + masks)
    chosen = spread_among(every, masks)
    return np.setdiff1d(every, chosen), chosen


def draw_masks(X: Array, masks: int, size: float, rng: np.random.Generator) -> Array:
    """Gaussian masks of ``size`` times the root mean square of the inputs' numbers, (masks, …), of the inputs' type."""
    unit, exponent = unit_size(X)
    spread = np.ldexp(size * float(np.linalg.norm(unit)) / np.sqrt(max(1, X.size)), exponent)
    noise = rng.standard_normal((masks, *X.shape[1:]))
    if X.dtype.kind == "c":
        noise = (noise + 1j * rng.standard_normal(noise.shape)) / np.sqrt(2)
    return np.asarray(spread * noise).astype(X.dtype)


def leakage_bits(rows: int, inputs: int, private: int, size: float, colluding: int = 1) -> float:
    """Most that any ``colluding`` workers learn of Gaussian inputs, of all together, in bits per number of an input.

    ½ log₂ det (I + (σ² L_M L_Mᵀ)⁻¹ L_X L_Xᵀ), with L_X and L_M the Lagrange weights of inputs and masks at the
    colluders' nodes and inputs of unit variance: the capacity of the channel from inputs to what the colluders see.

    Parameters
    ----------
    rows : int
        N, one per worker.
    inputs, private : int
        K and T.
    size : float
        Of the masks, relative to the inputs.
    colluding : int
        How many workers put together what they got; with more than T of them it is infinite or nearly so.

    Returns
    -------
    float

    Examples
    --------
    Ten times larger masks leave a hundredth of the bits:

    >>> [round(leakage_bits(8, 3, 1, size), 5) for size in (10.0, 100.0)]
    [0.51352, 0.00745]
    """
    for name, value, least in (("rows", rows, 1), ("inputs", inputs, 1), ("private", private, 0)):
        integer(CALL, name, value, least, "see kofn.schemes.lagrange")
    number(CALL, "size", size, "masks of size 0 hide nothing")
    if integer(CALL, "colluding", colluding, 1, "one worker alone is 1") > rows:
        raise refusal(CALL, "colluding", f"be at most rows = {rows}", colluding, "there are no more workers")
    alpha = chebyshev_nodes(rows)
    weights = lagrange_rows(alpha, between(alpha, inputs + private))
    plain, masked = mask_places(inputs, private)
    L_X, L_M = weights[:, plain], size * weights[:, masked]
    rng = np.random.default_rng(0)
    sets = list(combinations(range(rows), colluding))
    chosen = sets if len(sets) <= SUBSETS else [sets[i] for i in rng.permutation(len(sets))[:SUBSETS]]
    return max(_bits(L_X[list(who)], L_M[list(who)]) for who in chosen)


def _bits(L_X: Floats, L_M: Floats) -> float:
    if np.linalg.matrix_rank(L_M) < len(L_M):
        return float("inf")
    signal = np.linalg.svd(np.linalg.pinv(L_M) @ L_X, compute_uv=False)
    return float(np.sum(np.log2(1 + signal**2)) / 2)
