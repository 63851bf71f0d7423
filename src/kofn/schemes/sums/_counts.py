"""Whole numbers in sums: exact as long as a float64 holds them and all that they add up to, refused from there on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._base._numbers import EPSILON, Array, Floats
from ...checks import HOLDS

ADVICE = "return floats, for example with float(…), where rounding is fine"

LOST = f"which a float64 may not hold; {ADVICE}"

UNSAFE = f"add up to 2**53 or more, from where on a float64 does not hold every integer; {ADVICE}"


def whole(array: Array) -> bool:
    """Whether an array holds integers by its type."""
    return array.dtype.kind in "biu"


def add_up(weights: Floats, parts: Sequence[Array]) -> tuple[Any, Any]:
    """The weighted sum of some parts and a bound on its error, which does not grow with their number.

    Examples
    --------
    >>> add_up(np.array([0.1] * 10), [np.array(1.0)] * 10)[0], sum([0.1] * 10)
    (np.float64(1.0), 0.9999999999999999)
    """
    total = lost = size = np.zeros(np.shape(parts[0]))[()]
    for weight, part in zip(weights, parts, strict=True):
        added = weight * part
        before, total = total, total + added
        rest = total - before
        lost = lost + ((before - (total - rest)) + (added - rest))  # what the addition rounded off
        size = size + np.abs(added)
    return total + lost, 1.5 * EPSILON * size  # weights, products and the last addition are rounded


class Tally:
    """What integers may have added up to on the way, whatever cancelled.

    Attributes
    ----------
    whole : bool
        Whether all parts so far were integers, and their weights too.
    """

    def __init__(self) -> None:
        self._size: Any = 0.0
        self._count = 0
        self._integers = self.whole = True

    def add(self, array: Array, weight: float = 1.0) -> bool:
        """Take note of one more part, and tell whether their sum can still be trusted to the last digit.

        Examples
        --------
        >>> tally = Tally()
        >>> tally.add(np.array(2**53)), tally.add(np.array(-(2**53)))
        (True, False)
        """
        self._integers = self._integers and whole(array)
        self.whole = self.whole and self._integers and float(weight).is_integer()
        if self._integers:
            self._size = self._size + max(1.0, abs(weight)) * np.abs(array.astype(np.float64))
            self._count += 1
        return not self._integers or self._count == 1 or bool(np.max(self._size, initial=0.0) < HOLDS)
