"""What tasks do that check values at workers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


def described(*values: Any) -> list[Any]:
    """What a task was given, in words and sums."""
    return [description(value) for value in values]


def description(value: Any) -> Any:
    """One value in words and sums."""
    if isinstance(value, np.ndarray):
        return "ndarray", float(value.sum())
    return [description(part) for part in value] if isinstance(value, list | tuple) else value


def combined(weights: list[float], parts: list[Any]) -> Any:
    """A weighted sum."""
    return sum(weight * part for weight, part in zip(weights, parts, strict=True))


def appended(value: list[Any]) -> int:
    """How long a list is with one item more."""
    value.append(3)
    return len(value)


def times(factor: float, array: Any) -> float:
    """A factor before a sum."""
    return float(factor * array.sum())


def numbers(nbytes: int) -> Any:
    """An array of so many bytes."""
    return np.arange(nbytes // 8, dtype=np.float64)


def late_sum(seconds: float, array: Any) -> float:
    """A sum that takes its time."""
    time.sleep(seconds)
    return float(array.sum())
