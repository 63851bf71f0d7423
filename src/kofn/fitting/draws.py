"""Draws of inputs and the values of a function at them, checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import refusal

Array = NDArray[Any]
CALL = "kofn.fit"

FEWEST = 16
"""Draws that are made whatever time they take: half to learn from, half to validate."""

NOISE = 1e-9
"""Relative difference of two values of f at one input, from which f is said not to be deterministic."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of K inputs, and f of each.

    Parameters
    ----------
    inputs : (draws, K, …) array
    values : (draws, K, …) array
    seconds : float
        Of one evaluation of f, on average.
    noise : float
        Relative difference of two evaluations at the same input.
    """

    inputs: Array
    values: Array
    seconds: float
    noise: float

    @property
    def halves(self) -> tuple[Draws, Draws]:
        """Those to learn from and those to validate with."""
        cut = len(self.inputs) // 2
        return tuple(
            Draws(self.inputs[part], self.values[part], self.seconds, self.noise)
            for part in (slice(cut), slice(cut, None))
        )  # type: ignore[return-value]


def drawn(
    f: Callable[[Any], Any],
    sampler: Callable[[np.random.Generator], Any],
    K: int,
    samples: int,
    seconds: float,
    rng: np.random.Generator,
) -> Draws:
    """Draw sets of K inputs and evaluate f, until there are ``samples`` sets or ``seconds`` have passed.

    Examples
    --------
    >>> draws = drawn(np.sin, lambda rng: rng.standard_normal(3), 2, 20, 1.0, np.random.default_rng(0))
    >>> draws.inputs.shape, draws.values.shape, draws.noise
    ((20, 2, 3), (20, 2, 3), 0.0)
    """
    inputs: list[Array] = []
    values: list[Array] = []
    started = time.perf_counter()
    while len(inputs) < FEWEST * K or (len(inputs) < samples * K and time.perf_counter() - started < seconds):
        for _ in range(K):
            inputs.append(_input(sampler, inputs, rng))
            values.append(value_of(f, inputs[-1], values))
    each = (time.perf_counter() - started) / len(inputs)
    again = value_of(f, inputs[0], values)
    size = float(np.linalg.norm(values[0]))
    noise = float(np.linalg.norm(again - values[0])) / size if size else 0.0
    X, Y = np.array(inputs), np.array(values)
    return Draws(X.reshape(-1, K, *X.shape[1:]), Y.reshape(-1, K, *Y.shape[1:]), each, noise)


def _input(sampler: Callable[[np.random.Generator], Any], before: list[Array], rng: np.random.Generator) -> Array:
    try:
        X = np.asarray(sampler(rng))
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise refusal(CALL, "sampler", "draw one input from a generator", got, "call it to see") from error
    if X.dtype.kind not in "biufc" or not X.size or not np.isfinite(X).all():
        must = "return a finite array of at least one number"
        raise refusal(CALL, "sampler", must, f"{X.dtype} {X.shape}", "see its example")
    if before and X.shape != before[0].shape:
        must = f"return arrays of one shape, {before[0].shape} like the first"
        raise refusal(CALL, "sampler", must, X.shape, "pad or crop the inputs")
    return X if X.dtype.kind in "fc" else X.astype(np.float64)


def value_of(f: Callable[[Any], Any], X: Array, before: list[Array]) -> Array:
    """f at one input, or a refusal that says what it did."""
    try:
        value = np.asarray(f(X))
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise refusal(CALL, "f", "take what the sampler draws", got, "call f(sampler(rng)) to see") from error
    if value.dtype.kind not in "biuf" or not value.size or not np.isfinite(value).all():
        what = f"{value.dtype}" if value.dtype.kind not in "biuf" else "NaN or inf" if value.size else "no number"
        remedy = "split complex values into real and imaginary parts, and keep inputs where f is defined"
        raise refusal(CALL, "f", "return finite real numbers", what, remedy)
    if before and value.shape != before[0].shape:
        must = f"return arrays of one shape, {before[0].shape} like the first"
        raise refusal(CALL, "f", must, value.shape, "pad or crop its values")
    return value.astype(np.float64)
