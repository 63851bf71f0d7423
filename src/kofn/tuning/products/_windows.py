"""The paper's open problem (Tegin et al., end of Sec. VI): the window selection probabilities Γ best at a goal.

Losses come from the closed forms of `kofn.simulation.theory`, so that nothing here is sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._base._numbers import Floats
from ...schemes.products._classes import GAMMA

CORNERS = (0.15, 1.0, 4.0)
"""Weights whose combinations are the starting points of the search over Γ."""


@dataclass(frozen=True)
class Windows:
    """Best Γ of a kind of windows, and its loss beside that of the paper's Γ.

    Parameters
    ----------
    kind : {"now", "ew"}
    gamma : tuple of float
    value, published : float
        Objective at ``gamma``, and at the paper's (0.40, 0.35, 0.25) (nan where there are not three classes).
    """

    kind: str
    gamma: tuple[float, ...]
    value: float
    published: float

    def __str__(self) -> str:
        gamma = ", ".join(f"{share:.2f}" for share in self.gamma)
        return f"{self.kind.upper()}-UEP, Γ = ({gamma}): {self.value:.4g}; Γ of the paper: {self.published:.4g}"


def best_windows(kind: str, sizes: Sequence[int], energies: ArrayLike, weights: ArrayLike) -> Windows:
    """Find the Γ of least expected loss for ideal NOW or EW rows and zero filling.

    Parameters
    ----------
    kind : {"now", "ew"}
    sizes : (L,) ints
        Products in each class.
    energies : (L,) array
        Energy of all products of each class.
    weights : (W + 1,) array
        What a loss after w results counts: P(w results are in), for a deadline.

    Returns
    -------
    Windows

    Examples
    --------
    Two results, one product in each of two classes: all for the first, because the second holds nothing.

    >>> best_windows("now", (1, 1), (1.0, 0.0), [0.0, 0.0, 1.0]).gamma
    (1.0, 0.0)
    """
    from scipy.optimize import minimize  # importing kofn must not load SciPy, and closed forms do

    from ...simulation.theory._losses import zero_fill_loss
    from ...simulation.theory._uep import decoding_probabilities

    weight = np.asarray(weights, dtype=np.float64)

    def value(gamma: Floats) -> float:
        probabilities = decoding_probabilities(kind, np.asarray(sizes), gamma, len(weight) - 1)
        return float(zero_fill_loss(probabilities, energies) @ weight)

    def near(logits: Floats) -> float:
        return value(_simplex(logits))

    starts = [np.log(np.array(corner)) for corner in product(CORNERS, repeat=len(sizes) - 1)]
    options = {"xatol": 1e-4, "fatol": 1e-12, "maxiter": 200}
    few = sorted(starts, key=near)[:2]
    results: list[Any] = [minimize(near, start, method="Nelder-Mead", options=options) for start in few]
    ends = [*np.eye(len(sizes)), *(_simplex(result.x) for result in results)]
    gamma = min(ends, key=value)
    published = value(np.array(GAMMA)) if len(sizes) == len(GAMMA) else float("nan")
    return Windows(kind, tuple(float(share) for share in gamma), value(gamma), published)


def _simplex(logits: Floats) -> Floats:
    """Probabilities from logits relative to the last one's 0."""
    weights = np.exp(np.append(np.clip(logits, -30.0, 30.0), 0.0))
    probabilities: Floats = weights / weights.sum()
    return probabilities
