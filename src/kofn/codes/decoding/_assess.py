"""What is known of a decoding: which targets are exact, and what error is expected of the others.

Whatever the estimator, a target counts as *exact* only by two statements that know nothing of the data but its sizes:

* it lies in the row space of what arrived, by componentwise backward error
  |V G − T| ≤ c·eps·(|V||G| + |T|) with c = rows + unknowns; and
* rounding in the results, amplified by V, leaves at least half of their digits:
  amplification · epsilon ≤ √epsilon, where epsilon belongs to the results' own precision. What is amplified is measured
  against the target's own size: a code over data of unlike sizes says how unlike (`LinearCode.spread`).

The expected error of what is not exact needs only the prior: E‖Vy − Tu‖² = tr (T − VG) S (T − VG)ᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Floats
from .._certify import amplification_of, backward_limit
from .._prior import Prior
from .._sparse import is_sparse


@dataclass(frozen=True, eq=False)
class Decoding:
    """V for the rows that arrived, and what is known of its quality; leading dimensions are separate trials.

    Parameters
    ----------
    matrix : (…, targets, received) array
        V: multiply it with the results, in the order of the rows given, to get the targets.
    recovered : (…, targets) bool array
        Which targets are exact.
    error : (…) array
        Expected relative error √(expected loss / expected energy) over all targets; 0 where all are exact.
    backward_error : (…) array
        Largest componentwise backward error of the targets.
    amplification : (…) array
        Largest factor by which rounding in the results is amplified in a target.
    """

    matrix: Floats
    recovered: NDArray[np.bool_]
    error: Floats
    backward_error: Floats
    amplification: Floats

    @property
    def exact(self) -> bool:
        """Whether every target is exact (in every trial)."""
        return bool(np.all(self.recovered))


def are_exact(backward_error: Floats, amplification: Floats, generator: Floats, epsilon: float) -> NDArray[np.bool_]:
    """Apply the two statements of this module's heading to certified targets."""
    in_row_space = backward_error <= backward_limit(*generator.shape[-2:])
    return np.asarray(in_row_space & (amplification * epsilon <= np.sqrt(epsilon)))


def assess(
    generator: Any,
    targets: Floats,
    matrix: Floats,
    recovered: NDArray[np.bool_],
    backward_error: Floats,
    prior: Prior,
    epsilon: float,
    spread: Floats | None = None,
) -> Decoding:
    """Put a decoding together: V with its expected error under the prior."""
    amplification = np.max(amplification_of(generator, targets, matrix, spread), axis=-1, initial=0.0)
    # Many results that say the same average their rounding away, but not that of the weights.
    amplification = np.maximum(amplification, recovered.any(axis=-1))
    if recovered.all():
        error = np.zeros(recovered.shape[:-1])
        return Decoding(matrix, recovered, error, np.max(backward_error, axis=-1, initial=0.0), amplification)
    energy = prior.energy(targets)
    loss = prior.loss(targets - matrix @ generator)
    share = np.sqrt(loss / energy) if energy > 0 else np.ones_like(loss)
    received = epsilon * _size_received(generator, matrix, prior)
    rounding = received / np.sqrt(energy) if energy > 0 else np.zeros_like(loss)
    error = np.where(recovered.all(axis=-1), 0.0, np.maximum(share, rounding))
    return Decoding(matrix, recovered, error, np.max(backward_error, axis=-1, initial=0.0), amplification)


def _size_received(generator: Any, matrix: Floats, prior: Prior) -> Floats:
    """‖V D‖, (…), with D the expected sizes of the results: what of their relative rounding gets into the targets.

    Unlike `amplification_of` it knows how large results are: in an estimate, weights of small ones may be large.
    """
    squares = generator.power(2) if is_sparse(generator) else generator**2
    with np.errstate(over="ignore"):
        return np.asarray(np.linalg.norm(matrix * np.sqrt(squares @ prior.squares)[..., None, :], axis=(-2, -1)))
