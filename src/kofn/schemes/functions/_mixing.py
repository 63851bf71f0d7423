"""What may be called exact where inputs are mixed: known only once the results are there.

A code promises that its equations hold and that they amplify rounding little, whatever the data. But what rounding is
*of* are the results, and the inputs that were mixed: beside an input of size 1e20, or in an output that nearly
vanishes against the others, nothing is left of a small number's digits. So the promise is made anew in units of each
output's own largest number. Outputs that were computed as they are, at their own inputs, are exact whatever the others
do. And results beyond those that are needed tell whether f is what it was said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..._base._numbers import EPSILON, Array, Flags, Floats
from ...codes._linear import LinearCode
from ...codes.decoding._assess import Decoding
from .._scheme import Judgement

Bar = Callable[[Floats, Flags, Sequence[int], Sequence[Array]], float]
"""(V, which targets are exact, rows, their results) → expected relative error of the targets."""

SAMPLE = 1 << 14
"""Numbers of an output that are looked at first: most often they show already that it is large enough."""

ROUNDING = 50.0
"""Rounding of a result in units of its precision and size, besides one for each number of its input."""

ORDINARY = 0.5
"""The same, as it is most often: a contradiction of that size may be rounding, whatever it would mean for outputs."""

FLOOR = 1 / 16
"""A result is as exact as a number so large, in units of the largest result: a mixture is rounded before f sees it."""


@dataclass(frozen=True, eq=False)
class Mixing:
    """How a code mixes inputs, and what it takes f to be.

    Parameters
    ----------
    claim : str
        What f is taken to be, such as ``"a polynomial of degree 2"``.
    beyond : pair of arrays, (rows, more) and (targets, more)
        Columns of G and T for what the code takes to be zero because of that, such as the next coefficients.
    spread : (targets,) array
        By how much the largest point that is mixed is larger than each input.
    numbers : int
        Of an input.
    growth : float
        By how much results are larger than outputs by design.
    bar : Bar, optional
        The expected error of outputs where f is found to be anything else.
    """

    claim: str
    beyond: tuple[Floats, Floats]
    spread: Floats
    numbers: int = 1
    growth: float = 1.0
    bar: Bar | None = None


def spread_of(points: Array, inputs: Any) -> Floats:
    """By how much the largest of the points is larger than each of those that are inputs.

    For single numbers it is 1: their results cover the whole line, so that they tell all there is to tell.

    Examples
    --------
    >>> spread_of(np.array([[1.0, 2.0], [0.0, -8.0]]), [0, 1]).tolist(), spread_of(np.array([1.0, 8.0]), [0]).tolist()
    ([4.0, 1.0], [1.0])
    """
    flat = points.reshape(len(points), -1)
    size = np.abs(flat).max(axis=1, initial=0.0).astype(np.float64)
    return _ratio(size.max(initial=0.0), size[inputs]) if flat.shape[1] > 1 else np.ones(len(size[inputs]))


@dataclass(frozen=True, eq=False)
class Verdict:
    """Looks at results and says which outputs are exact; a `kofn.schemes.Judge`.

    Parameters
    ----------
    code : LinearCode
    mixing : Mixing, optional
        What is known of the inputs and of f, where inputs are mixed.
    epsilon : float
        Relative precision of what is mixed.
    bar : Bar, optional
        The expected error of estimates, given the results.

    Examples
    --------
    >>> from kofn.codes.decoding._decode import decode
    >>> code = LinearCode("pair", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> verdict, decoding = Verdict(code), decode(code, [0, 2])
    >>> [verdict(decoding, [0, 2], [np.array(1.0), np.array(y)], 0.0).decoding.exact for y in (3.0, 1.0)]
    [True, False]
    """

    code: LinearCode
    mixing: Mixing | None = None
    epsilon: float = EPSILON
    bar: Bar | None = None

    def __call__(self, decoding: Decoding, rows: Sequence[int], results: Sequence[Array], epsilon: float) -> Judgement:
        """What the results allow."""
        decoding, mixed = self._picked(decoding, rows)
        if self.bar is not None and not decoding.exact:
            error = self.bar(decoding.matrix, decoding.recovered, rows, results)
            decoding = replace(decoding, error=np.asarray(error))
        if not mixed.any():
            return Judgement(decoding)
        return _Judged(self, decoding, mixed, list(rows), [result.ravel() for result in results], epsilon).outcome()

    def _picked(self, decoding: Decoding, rows: Sequence[int]) -> tuple[Decoding, Flags]:
        """Outputs that arrived are taken as they are; which others were recovered from mixtures."""
        matrix, recovered = decoding.matrix.copy(), decoding.recovered.copy()
        picked = np.zeros(len(matrix), dtype=bool)
        for position, row in enumerate(rows):
            for target in self._outputs.get(_key(self.code.generator[row]), ()):
                if not picked[target]:
                    matrix[target], picked[target] = 0.0, True
                    matrix[target, position] = 1.0
        recovered |= picked
        if recovered.all() and picked.all():
            decoding = replace(decoding, error=np.zeros(()), amplification=np.ones(()))
        return replace(decoding, matrix=matrix, recovered=recovered), recovered & ~picked

    @cached_property
    def _outputs(self) -> dict[bytes, list[int]]:
        """Which outputs a row of the generator is."""
        outputs: dict[bytes, list[int]] = {}
        for target, row in enumerate(self.code.targets):
            outputs.setdefault(_key(row), []).append(target)
        return outputs


class _Judged:
    """One decoding beside its results, in units of the largest number of these."""

    def __init__(
        self, verdict: Verdict, decoding: Decoding, mixed: Flags, rows: list[int], results: list[Array], epsilon: float
    ) -> None:
        self._code, self._mixing, self._epsilon = verdict.code, verdict.mixing, max(epsilon, verdict.epsilon)
        self._decoding, self._mixed, self._rows, self._results = decoding, mixed, rows, results
        largest = np.array([np.abs(result).max(initial=0.0) for result in results], dtype=np.float64)
        self._unit = float(np.ldexp(1.0, -np.clip(np.frexp(largest.max())[1], -1000, 1000)))
        self._weights = decoding.matrix[mixed]
        sizes = np.maximum(self._unit * largest, FLOOR)
        self._gain, self._noise = np.linalg.norm(self._weights, axis=1), np.linalg.norm(self._weights * sizes, axis=1)

    def outcome(self) -> Judgement:
        """The decoding with what is exact, its error bar and its amplification."""
        loss, remarks = self._checked()
        growth = 1.0 if self._mixing is None else self._mixing.growth
        limit = np.sqrt(self._epsilon * growth) / self._epsilon
        amplification = self._amplification(limit)
        recovered = self._decoding.recovered.copy()
        recovered[self._mixed] = (amplification <= limit) & (loss is None)
        error = 0.0 if recovered.all() else max(float(self._decoding.error), self._error(loss))
        sizes = {"error": np.asarray(error), "amplification": np.asarray(max(1.0, float(amplification.max())))}
        decoding = replace(self._decoding, recovered=recovered, **sizes)
        # More results can make weights smaller, but neither the data alike nor f another one.
        return Judgement(decoding, loss is not None or bool(np.any(amplification > limit * self._gain)), remarks)

    def _amplification(self, limit: float) -> Floats:
        """By how much rounding is amplified in the largest number of each output, (mixed,)."""
        enough = self._noise / limit
        step = max(1, -(-self._results[0].size // SAMPLE))
        size = _largest_of(self._combined(self._weights, slice(None, None, step)))
        if step > 1 and np.any(size < enough):
            size = _largest_of(self._combined(self._weights))
        of_results = _ratio(self._noise, size)
        if self._mixing is None:
            return of_results
        of_inputs: Floats = self._gain * self._mixing.spread[self._mixed]
        return np.maximum(of_results, of_inputs)

    def _checked(self) -> tuple[float | None, tuple[str, ...]]:
        """Energy of what outputs are off by where results contradict what f is said to be; None where they do not."""
        if self._mixing is None:
            return None, ()
        claim, needed = self._mixing.claim, self._code.unknowns
        surplus = len(self._rows) - needed
        if surplus < 1:
            return None, (f"nothing checked that f is {claim}: no result beyond the {needed} needed",)
        silent = np.linalg.qr(self._code.generator[self._rows], mode="complete")[0][:, needed:].T
        rest = self._combined(silent)
        off = float(np.abs(rest).max(initial=0.0))
        rounding = (ROUNDING + self._mixing.numbers) * self._epsilon * np.sqrt(len(self._rows))
        rows, targets = self._mixing.beyond[0][self._rows], self._mixing.beyond[1][self._mixed]
        seen, met = silent @ rows, self._weights @ rows - targets
        most = _ratio(np.abs(met), np.broadcast_to(np.linalg.norm(seen, axis=0), met.shape)).max(axis=1, initial=0.0)
        ordinary = ORDINARY * (1 + np.sqrt(self._mixing.numbers)) * self._epsilon * np.sqrt(len(self._rows))
        harmless = off <= ordinary or np.all(off * most <= ROUNDING / 4 * self._epsilon * self._noise)
        if harmless and off <= rounding * max(1.0, float(self._gain.max())):
            return None, (f"f was found to be {claim}, by {surplus} more than the {needed} results needed",)
        remark = f"f is not {claim}: results contradict it by {off:.1g} of the largest"
        return float(np.sum(np.abs(rest) ** 2) * np.sum(met**2) / np.sum(seen**2)), (remark,)

    def _error(self, loss: float | None) -> float:
        """Relative error of all outputs, by what f is not or by rounding."""
        energies = np.array([float(np.linalg.norm(result * self._unit) ** 2) for result in self._results])
        if loss is not None:
            assert self._mixing is not None
            least = float(np.sqrt(loss / (len(self._code.targets) * energies.mean())) * self._mixing.growth)
            # Outputs may be as small as most results are, and what they are off by as large as the largest.
            typical = float(np.median(energies))
            if not typical:
                return np.inf
            bar, picked = self._mixing.bar, self._decoding.recovered & ~self._mixed
            otherwise = 0.0 if bar is None else bar(self._decoding.matrix, picked, self._rows, self._results)
            return max(least, otherwise * float(np.sqrt(energies.mean() / typical)))
        size = float(np.linalg.norm(self._combined(self._decoding.matrix)))
        rounding = self._epsilon * float(np.linalg.norm(self._gain) * np.sqrt(energies.max()))
        return rounding / size if size else 1.0

    def _combined(self, weights: Floats, part: slice = slice(None)) -> Array:
        """``weights @ results``, of a part of their numbers, in units of the largest."""
        combined: Array = (weights * self._unit) @ np.array([result[part] for result in self._results])
        return combined


def _largest_of(values: Array) -> Floats:
    largest: Floats = np.abs(values).max(axis=1, initial=0.0)
    return largest


def _ratio(sizes: Any, of: Floats) -> Floats:
    """Sizes over others; infinite where nothing is divided by."""
    with np.errstate(over="ignore"):
        ratio: Floats = np.divide(sizes, of, out=np.full(of.shape, np.inf), where=of > 0)
    return ratio


def _key(row: Any) -> bytes:
    return bytes(np.ascontiguousarray(row + 0.0))  # −0.0 is 0.0
