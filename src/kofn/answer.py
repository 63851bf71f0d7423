"""What a job gives back: a value, whether it is exact, and an error bar when it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .report import Report


@dataclass(frozen=True, eq=False)
class Answer:
    """An answer, or an estimate on the way to it.

    Parameters
    ----------
    exact : bool
        Whether every target is exact: in the row space of what arrived, and numerically stable.
    error : float
        Expected relative error √(expected loss / expected energy), known without the truth; 0.0 when exact.
    amplification : float
        Factor by which rounding in the results is amplified in the value.
    backward_error : float
        Largest componentwise backward error of the decoding equations.
    count : int
        Results that it was decoded from.
    report : Report
        Who was given what, what arrived when, what was abandoned.
    assemble : callable
        Computes `value`; called at most once, when the value is first looked at.

    Attributes
    ----------
    value : ndarray
        The product, sum or values asked for.
    """

    exact: bool
    error: float
    amplification: float
    backward_error: float
    count: int
    report: Report
    assemble: Callable[[], Any] = field(repr=False)

    @cached_property
    def value(self) -> Any:
        """The product, sum or values asked for."""
        return self.assemble()

    def __repr__(self) -> str:
        what = "exact" if self.exact else f"expected relative error {self.error:.2g}"
        return f"Answer({what}, from {self.count} results in {self.report.seconds:.3f} s)"
