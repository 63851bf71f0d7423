"""Workers that die again and again, told apart from calls that kill whoever runs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

FAILURES = 2
"""A worker that was lost so many times, with nothing that came from it in between, is set aside: fewer than a call has
lives, so that no single worker costs a call all of them."""


class Suspects:
    """What was lost at which worker, and who seems to be to blame for it.

    A loss is held against its worker, unless one of its calls was lost elsewhere too, when it was alone: then that call
    kills workers, until somebody comes to its end with it.

    Examples
    --------
    >>> suspects = Suspects()
    >>> suspects.lost(0, [7]), suspects.lost(0, [8]), suspects.is_aside(0)
    (None, None, True)
    >>> suspects.lost(1, [7]), suspects.is_aside(0)  # it is call 7 that does it
    (None, False)
    >>> suspects.ended(7), suspects.is_aside(0)  # but it ends at worker 2
    (None, True)
    >>> suspects.returned(0), suspects.is_aside(0)
    (None, False)
    """

    def __init__(self) -> None:
        self._losses: dict[int, list[set[int]]] = {}  # by worker: the calls of each message that have not ended since
        self._alone_at: dict[int, set[int]] = {}  # by call

    def lost(self, worker: int, numbers: Collection[int]) -> None:
        """Take note that a worker was lost with these calls, which have no result."""
        self._losses.setdefault(worker, []).append(set(numbers))
        if len(numbers) == 1:
            (number,) = numbers
            self._alone_at.setdefault(number, set()).add(worker)

    def returned(self, worker: int) -> None:
        """Take note that something came from a worker."""
        self._losses.pop(worker, None)

    def ended(self, number: int) -> None:
        """Take note that a call has come to its end, or that nobody wants it."""
        self._alone_at.pop(number, None)
        for loss in self._all():
            loss.discard(number)

    def gave_up(self, number: int) -> None:
        """Take note that a call has cost too many lives: nobody is to blame but the call."""
        self._alone_at.pop(number, None)
        for worker, losses in list(self._losses.items()):
            self._losses[worker] = [loss for loss in losses if number not in loss]

    def is_aside(self, worker: int) -> bool:
        """Whether a worker is to be given nothing as long as others are there."""
        losses = self._losses.get(worker, ())
        return len(losses) >= FAILURES and sum(not self._is_excused(loss) for loss in losses) >= FAILURES

    def _is_excused(self, loss: set[int]) -> bool:
        return any(len(self._alone_at.get(number, ())) > 1 for number in loss)

    def _all(self) -> Iterable[set[int]]:
        return (loss for losses in self._losses.values() for loss in losses)
