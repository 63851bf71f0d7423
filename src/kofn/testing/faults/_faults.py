"""Ways in which a worker can be wrong, as frozen data: the same seed and task give the same wrong result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from ... import checks
from ..._base._numbers import Array

CALL = "kofn.testing.faults"

Part = Literal["any", "sign", "exponent", "mantissa"]

BITS = {2: (10, 5), 4: (23, 8), 8: (52, 11)}
"""Bits of the mantissa and of the exponent of a number of so many bytes."""


class Fault(ABC):
    """What becomes of a result: ``spoil`` is pure, and applied to arrays and numbers only."""

    @abstractmethod
    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """The wrong result.

        Parameters
        ----------
        result : array
            The right one, which the fault may write into.
        last : array or None
            What the worker's task before should have returned; None for its first.
        rng : numpy.random.Generator
            Of the worker and the task.
        """


@final
@dataclass(frozen=True)
class BitFlip(Fault):
    """Some bits of one number are turned over; of integers any bit.

    Parameters
    ----------
    bits : int
        How many.
    part : {"any", "sign", "exponent", "mantissa"}
        Where in the number.
    rng : int
        Of which number and which bits, with the seed of `Corrupting`.

    Examples
    --------
    >>> BitFlip(part="sign").spoil(np.ones(1), None, np.random.default_rng(0))
    array([-1.])
    """

    bits: int = 1
    part: Part = "any"
    rng: int = 0

    def __post_init__(self) -> None:
        checks.integer(f"{CALL}.BitFlip", "rng", self.rng, 0, "leave it out for 0")
        checks.integer(f"{CALL}.BitFlip", "bits", self.bits, 1, "leave it out for one")
        checks.choice(f"{CALL}.BitFlip", "part", self.part, ("any", "sign", "exponent", "mantissa"), "leave it out")

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """With one number's bits turned over."""
        if not result.size or result.dtype.kind not in "biufc":
            return result
        numbers = np.ascontiguousarray(result).reshape(-1)
        reals = numbers.view(numbers.real.dtype)
        width = reals.dtype.itemsize
        places = self._places(width) if reals.dtype.kind == "f" and width in BITS else range(8 * width)
        words = reals.view(f"u{width}")
        at = int(rng.integers(len(words)))
        for bit in rng.choice(places, min(self.bits, len(places)), replace=False).tolist():
            words[at] ^= words.dtype.type(1 << bit)
        return numbers.reshape(result.shape)

    def _places(self, width: int) -> range:
        mantissa, exponent = BITS[width]
        places = {
            "any": range(8 * width),
            "sign": range(8 * width - 1, 8 * width),
            "exponent": range(mantissa, mantissa + exponent),
            "mantissa": range(mantissa),
        }
        return places[self.part]


@final
@dataclass(frozen=True)
class Scaled(Fault):
    """All of the result is multiplied.

    Examples
    --------
    >>> Scaled(2.0).spoil(np.ones(2), None, np.random.default_rng(0))
    array([2., 2.])
    """

    factor: float = 1.01

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """A multiple, in the type that it had."""
        return np.asarray((result * self.factor).astype(result.dtype))


@final
@dataclass(frozen=True)
class Constant(Fault):
    """All numbers are one and the same, zero by default."""

    value: float = 0.0

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """Of the right shape and type."""
        return np.full_like(result, self.value)


@final
@dataclass(frozen=True)
class Stale(Fault):
    """The worker returns the result of its task before; its first is right."""

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """The last one."""
        return result if last is None else last


@final
@dataclass(frozen=True)
class Tile(Fault):
    """A square of the last two dimensions is overwritten with normal numbers of the result's own size.

    Parameters
    ----------
    side : int
        1 is one element.
    rng : int
        Of where it is and what is there, with the seed of `Corrupting`.
    """

    side: int = 8
    rng: int = 0

    def __post_init__(self) -> None:
        checks.integer(f"{CALL}.Tile", "rng", self.rng, 0, "leave it out for 0")
        checks.integer(f"{CALL}.Tile", "side", self.side, 1, "leave it out for 8")

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """With a wrong tile somewhere."""
        if not result.size:
            return result
        starts = [int(rng.integers(max(1, length - self.side + 1))) for length in result.shape[-2:]]
        where: Any = (..., *(slice(start, start + self.side) for start in starts))
        tile = result[where]
        size = float(np.abs(result).max()) or 1.0
        tile[...] = (size * rng.standard_normal(tile.shape)).astype(result.dtype)
        return result


@final
@dataclass(frozen=True)
class Swapped(Fault):
    """The first half of the result, along its first dimension, and the second half have changed places."""

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """Rolled by half of its length."""
        return np.roll(result, len(result) // 2, axis=0) if result.ndim and len(result) > 1 else result


@final
@dataclass(frozen=True)
class NotANumber(Fault):
    """One number is NaN; integers stay as they are.

    Parameters
    ----------
    rng : int
        Of which number, with the seed of `Corrupting`.
    """

    rng: int = 0

    def __post_init__(self) -> None:
        checks.integer(f"{CALL}.NotANumber", "rng", self.rng, 0, "leave it out for 0")

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """With a NaN somewhere."""
        if result.size and result.dtype.kind in "fc":
            result[np.unravel_index(int(rng.integers(result.size)), result.shape)] = np.nan
        return result


@final
@dataclass(frozen=True)
class Truncated(Fault):
    """The end of the result is missing: the last entry of its first dimension."""

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """One shorter."""
        return result[:-1] if result.ndim else result


@final
@dataclass(frozen=True)
class Colluding(Fault):
    """Workers with the same seed add the same error to results of the same shape: they tell one story.

    Parameters
    ----------
    seed : int
    size : float
        Of the error, relative to the largest number of the result.
    """

    seed: int = 0
    size: float = 1.0

    def spoil(self, result: Array, last: Array | None, rng: np.random.Generator) -> Array:
        """With the common error."""
        story = np.random.default_rng([self.seed, *result.shape]).standard_normal(result.shape)
        return np.asarray(
            (result + self.size * (float(np.abs(result).max(initial=0.0)) or 1.0) * story).astype(result.dtype)
        )
