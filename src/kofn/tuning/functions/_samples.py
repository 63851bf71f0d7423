"""Draws of inputs and the values of a function at them, checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..._base._numbers import Array
from ..._base._snapshots import INSTEAD, is_write, unseal
from ...checks import as_array, computes_plainly, refusal

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
        return self[:cut], self[cut:]

    def __getitem__(self, part: slice) -> Draws:
        return replace(self, inputs=self.inputs[part], values=self.values[part])


@dataclass(frozen=True)
class Given:
    """A function that the user gave, in the words of what it must do.

    Parameters
    ----------
    name : str
        Of the argument.
    takes, returns : str
        What it must take, and what it must return.
    call : str
        How to see what it does.
    kinds : str
        Kinds of the numbers that it may return.
    remedy : str
        What to do where it returns anything else.
    mixed : bool
        Whether what it returns is mixed and given to a function.
    """

    name: str
    takes: str
    returns: str
    call: str
    kinds: str
    remedy: str
    mixed: bool = False

    def ask(self, function: Callable[[Any], Any], argument: Any, before: list[Array]) -> Array:
        """What the function returns, as floating-point numbers shaped like those before, or a refusal."""
        try:
            returned = function(argument)
            given, masked = as_array(returned)
            value = np.array(given)  # it may use its buffer again
        except Exception as error:
            if is_write(error):
                must, got = "leave its input as it is", "one that writes into it"
                raise refusal(CALL, self.name, must, got, INSTEAD) from error
            got = f"{type(error).__name__}: {error}"
            raise refusal(CALL, self.name, self.takes, got, f"call {self.call} to see") from error
        if wrong := "masked numbers" if masked else self._wrong(value, type(returned)):
            raise refusal(CALL, self.name, f"return {self.returns}", wrong, self.remedy)
        if before and value.shape != before[0].shape:
            must = f"return arrays of one shape, {before[0].shape} like the first"
            raise refusal(CALL, self.name, must, value.shape, "pad or crop what it returns")
        return value if value.dtype.kind in "fc" else value.astype(np.float64)

    def _wrong(self, value: Array, kind: type) -> str:
        if value.dtype.kind not in self.kinds:
            return str(value.dtype)
        if not value.size or not np.isfinite(value).all():
            return "NaN or inf" if value.size else "no number"
        # Codes mix the numbers of what is drawn: f would not be given such an array.
        return f"a {kind.__name__}, which computes in its own way" if self.mixed and not computes_plainly(kind) else ""


SAMPLER = Given(
    name="sampler",
    takes="draw one input from a generator",
    returns="a finite array of at least one number",
    call="sampler(rng)",
    kinds="biufc",
    remedy="see its example",
    mixed=True,
)
F = Given(
    name="f",
    takes="take what the sampler draws",
    returns="finite real numbers",
    call="f(sampler(rng))",
    kinds="biuf",
    remedy="split complex values into real and imaginary parts, and keep inputs where f is defined",
)


def draw_samples(
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
    >>> draws = draw_samples(np.sin, lambda rng: rng.standard_normal(3), 2, 20, 1.0, np.random.default_rng(0))
    >>> draws.inputs.shape, draws.values.shape, draws.noise
    ((20, 2, 3), (20, 2, 3), 0.0)
    """
    inputs: list[Array] = []
    values: list[Array] = []
    started = time.perf_counter()
    while len(inputs) < FEWEST * K or (len(inputs) < samples * K and time.perf_counter() - started < seconds):
        for _ in range(K):
            inputs.append(SAMPLER.ask(sampler, rng, inputs))
            values.append(F.ask(f, unseal(inputs[-1]), values))
    each = (time.perf_counter() - started) / len(inputs)
    again = F.ask(f, unseal(inputs[0]), values)
    X, Y = np.array(inputs), np.array(values, np.float64)
    size = float(np.linalg.norm(Y[0]))
    noise = float(np.linalg.norm(again - Y[0])) / size if size else 0.0
    return Draws(X.reshape(-1, K, *X.shape[1:]), Y.reshape(-1, K, *Y.shape[1:]), each, noise)
