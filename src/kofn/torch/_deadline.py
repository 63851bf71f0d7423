"""Deadlines: a number of seconds, or one that follows the measured error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..checks import number, refusal

CALL, CONVERT = "kofn.torch.AdaptiveDeadline", "kofn.torch.convert"


@dataclass(frozen=True)
class AdaptiveDeadline:
    """A deadline that is as short as a wanted error allows: longer after too large errors, shorter after small ones.

    The expected relative error of every estimate is known without the truth. After each look the deadline is
    multiplied by (error / wanted error)^gain, at most doubled or halved.

    Parameters
    ----------
    error : float
        Wanted root mean square of the relative error of a product, in (0, 1).
    start : float
        First deadline, in seconds.
    least, most : float
        Bounds of the deadline, in seconds.
    gain : float
        How fast it follows.

    Examples
    --------
    >>> deadline = AdaptiveDeadline(error=0.5, start=1.0)
    >>> deadline.after(1.0, error=0.5), deadline.after(1.0, error=0.9) > 1.0, deadline.after(1.0, error=0.0)
    (1.0, True, 0.5)
    """

    error: float
    start: float
    least: float = 1e-3
    most: float = math.inf
    gain: float = 1.0

    def __post_init__(self) -> None:
        for name in ("error", "start", "least", "gain"):
            number(CALL, name, getattr(self, name), "give a number above 0", strict=True)
        if not self.error < 1:
            raise refusal(CALL, "error", "be below 1, the error of knowing nothing", self.error, "use 0.5, for example")
        if not self.least <= self.start <= self.most:
            must = f"lie between least and most ({self.least:g} and {self.most:g} s)"
            raise refusal(CALL, "start", must, self.start, "change one of them")

    def after(self, seconds: float, error: float) -> float:
        """The deadline that follows one of so many seconds in which the error was ``error``."""
        factor: float = (error / self.error) ** self.gain
        return min(max(seconds * min(max(factor, 0.5), 2.0), self.least), self.most)


class DeadlineController:
    """The deadline of one layer's products as training goes on.

    Parameters
    ----------
    deadline : float, AdaptiveDeadline or None
        None waits until all is exact.
    """

    def __init__(self, deadline: Any) -> None:
        self._rule = deadline if isinstance(deadline, AdaptiveDeadline) else None
        if self._rule is None and deadline is not None:
            number(CONVERT, "deadline", deadline, "leave it out to wait for exact products", strict=True)
        self.seconds = math.inf if deadline is None else float(deadline if self._rule is None else self._rule.start)

    def adapt(self, error: float) -> None:
        """Take note of the error of the products since the last time."""
        if self._rule is not None:
            self.seconds = self._rule.after(self.seconds, error)
