"""How much more a run puts up with: from each row, and from each worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ._view import RunView

ATTEMPTS = 3
"""A row that has cost so many workers their lives, or that so many got wrong, is given up."""

FAILURES = 2
"""A worker that was lost so many times, with nothing that came from it in between, is given nothing more: fewer than
a row has lives, so that no single worker costs a row all of them."""


class Trust:
    """What is left of it.

    Parameters
    ----------
    rows : int
        Of the code.
    lies : int
        A worker that has sent so many messages with wrong results is given nothing more.

    Examples
    --------
    >>> trust = Trust(rows=2, lies=1)
    >>> for _ in range(2):
    ...     trust.disbelieve([1], 5)
    >>> trust.disbelieve([1], 6), trust.disbelieve([1], 7)
    (None, None)
    >>> trust.is_spent(0), trust.is_spent(1), trust.blame(5)
    (False, True, True)
    """

    def __init__(self, rows: int, lies: int) -> None:
        self._lives = [ATTEMPTS] * rows
        self._lies, self._patience = Counter[int](), lies
        self._failures = Counter[int]()
        self._was_wrong: set[tuple[int, int]] = set()

    def add_row(self) -> None:
        """Have one row more."""
        self._lives.append(ATTEMPTS)

    def is_spent(self, row: int) -> bool:
        """Whether a row is to be given up."""
        return self._lives[row] <= 0

    def lose(self, rows: Sequence[int], worker: int, view: RunView) -> None:
        """Take note that a worker died of one of these, or with them; bar one that fails again and again."""
        for row in rows:
            self._lives[row] -= 1
        self._failures[worker] += 1
        if self._failures[worker] >= FAILURES and view.another(worker) is not None:
            view.bar(worker)

    def disbelieve(self, rows: Sequence[int], worker: int) -> None:
        """Take note that a worker came back, and got these wrong; twice by the same one says as much as once."""
        del self._failures[worker]
        for row in rows:
            self._lives[row] -= (row, worker) not in self._was_wrong
            self._was_wrong.add((row, worker))

    def blame(self, worker: int) -> bool:
        """Take note that a worker was wrong once more; whether it is to be given nothing more."""
        self._lies[worker] += 1
        return self._lies[worker] >= self._patience
