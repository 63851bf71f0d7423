"""Parity models: inputs as they are, and mixtures of them to a function made for mixtures (ParM, Kosaian et al.).

Row k ≤ K returns f(X_k). Parity row j returns f_j(Σ_k c_jk X_k), where f_j was made so that it is Σ_k c_jk f(X_k) + δ_j
with a small δ_j. An output that is missing is what a parity says less the outputs that are there: subtraction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..._base._numbers import Floats, epsilon_of
from ...checks import named, number, refusal
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._estimators import least_squares
from ...codes.decoding._learning import sketches_of, with_unseen
from ._calls import CALL
from ._code import Mixture, check_sizes, require_rows, results_enough
from ._model import PriorModel
from ._scheme import FunctionScheme


@named("kofn.schemes.parity")
def parity(
    f: Callable[[Any], Any],
    inputs: Any,
    *,
    parities: Sequence[Callable[[Any], Any]] | None = None,
    parity_error: float = 1.0,
    recover: int | None = None,
    workers: int | None = None,
    rows: int | None = None,
    rng: Any = None,
) -> FunctionScheme:
    """Every input once, and rows − K parities: exact once the K inputs have come, estimated by subtraction before.

    Load 1; waits for ``recover`` results, or for all inputs; amplification √(K² + K − 1) for one
    missing output from the first parity, and up to 19 (K = 4) or 43 (K = 6) for two of them from two. The master
    encodes at 2·K·(rows − K)·(size of an input) flops and decodes at 2·K·(missing)·(size of an output).

    Parameters
    ----------
    f : callable
    inputs : (K, …) array or sequence of K arrays of one shape
    parities : sequence of rows − K callables, optional
        f_j, made for the mixtures with the weights of `parity_weights`; f itself by default, which is right where f is
        affine: then any K of the rows give all outputs.
    parity_error : float
        Root mean square of δ_j relative to that of f_j as measured on data: only the error bar depends on it, and
        ``estimator="lmmse"``, which trusts a parity as far as that.
    recover : int, optional
        Results to wait for; K by default.
    workers, rows : int, optional
        Rows (one per worker by default), at least K, and the workers that they are dealt to.
    rng : ignored
        No code of this table needs to be asked whether it draws.

    Returns
    -------
    FunctionScheme
        Its estimator is `Subtraction`.

    References
    ----------
    J. Kosaian, K. V. Rashmi, S. Venkataraman, "Parity Models: Erasure-Coded Resilience for Prediction Serving
    Systems", SOSP 2019.

    Examples
    --------
    >>> parity(np.tanh, [1.0, 2.0, 3.0], workers=4).code.generator.round(2).tolist()[-1]
    [0.33, 0.33, 0.33, 1.0]
    """
    X, worker = check_sizes(inputs, workers, rows)
    K, extra = len(X), len(worker) - len(X)
    require_rows("parity", K, len(worker), "one row per input")
    functions = [f] * extra if parities is None else list(parities)
    if len(functions) != extra:
        remedy = f"with {K} inputs and {len(worker)} rows there are {extra}"
        raise refusal(CALL, "parities", "be one callable per parity row", len(functions), remedy)
    size = number(CALL, "parity_error", parity_error, "measure it on data")
    weights = parity_weights(K, extra)
    mix = np.vstack([np.eye(K), weights])
    code = LinearCode("parity", np.hstack([mix, np.eye(K + extra, extra, -K)]), np.eye(K, K + extra), worker)
    return FunctionScheme(
        code,
        [f] * K + functions,
        Mixture(mix, X),
        ParityModel(weights, size),
        enough=results_enough(K if recover is None else recover, len(worker)),
        estimator=Subtraction(K),
        precision=epsilon_of(X),
    )


def parity_weights(inputs: int, parities: int) -> Floats:
    """c_jk = kʲ / Σ_k kʲ for k = 1 … K and j = 0, 1, …, (parities, inputs): the mean of the inputs, then other means.

    Means, so that a mixture is as large as an input, and a parity of an affine f is f itself. Any m missing outputs
    follow from any m parities: powers of positive numbers are totally positive, so no square submatrix is singular.

    Examples
    --------
    >>> parity_weights(2, 2).round(3).tolist()
    [[0.5, 0.5], [0.333, 0.667]]
    """
    powers = np.arange(1.0, inputs + 1) ** np.arange(parities)[:, None]
    weights: Floats = powers / powers.sum(axis=1, keepdims=True)
    return weights


@dataclass(frozen=True, eq=False)
class ParityModel(PriorModel):
    """Outputs vary around something in common; δ_j is ``size`` times as large as what its parity is of.

    Parameters
    ----------
    weights : (parities, K) array
    size : float
    """

    weights: Floats
    size: float

    def first_prior(self) -> Prior:
        """Nothing in common."""
        return self._prior(1.0, 0.0)

    def prior_of_results(self, results: Mapping[int, Any]) -> Prior:
        """What the outputs that are there have in common, and how they vary."""
        K = self.weights.shape[1]
        values = sketches_of(value for row, value in results.items() if row < K)
        if len(values) < 2:
            return self._prior(float(np.mean(np.sum(sketches_of(results.values()) ** 2, axis=1))) or 1.0, 0.0)
        mean = values.mean(axis=0)
        spread = float(np.sum((values - mean) ** 2)) / (len(values) - 1)
        level = max(0.0, float(mean @ mean) - spread / len(values))
        return self._prior(with_unseen(spread, level, len(values)), level)

    def _prior(self, spread: float, level: float) -> Prior:
        parities, K = self.weights.shape
        energies = np.sum(self.weights**2, axis=1) * spread + np.sum(self.weights, axis=1) ** 2 * level
        common = np.concatenate([np.full(K, np.sqrt(level)), np.zeros(parities)])
        return Prior(np.concatenate([np.full(K, np.sqrt(spread)), self.size * np.sqrt(energies)]), common=common)


@dataclass(frozen=True)
class Subtraction:
    """The estimator of parity models: the outputs as if every parity were right.

    Parameters
    ----------
    outputs : int
        K; the unknowns after them are the errors of the parities.
    """

    outputs: int

    def __call__(self, solution: Floats, generator: Floats, targets: Floats, prior: Prior, epsilon: float) -> Floats:
        """V for the received rows; a rule as `kofn.codes.decoding.ESTIMATORS` has them."""
        right = np.arange(prior.unknowns) < self.outputs
        factor = prior.factor * (right if prior.factor.ndim == 1 else right[:, None])
        return least_squares(solution, generator, targets, replace(prior, factor=factor), epsilon)
