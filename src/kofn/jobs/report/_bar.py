"""A bar that shows where a run stands: on a terminal and in notebooks, and nothing where output is piped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from ...errors import require
from .._collector import Progress
from ._progress import percent

Watched = Callable[[Progress], None] | Literal["bar"] | None
"""What ``progress=`` may be."""


class Bar:
    """Drawn by tqdm, from the first arrival on.

    Parameters
    ----------
    file : text file, optional
        As of tqdm: stderr by default, the notebook in one.
    """

    def __init__(self, file: Any = None) -> None:
        self._file = file
        self._bar: Any = None

    def __call__(self, now: Progress) -> None:
        """Show where the run stands."""
        if self._bar is None:
            self._bar = _new(now.unknowns, self._file)
        self._bar.total = now.unknowns  # inputs of a map may be counted as they come
        self._bar.set_postfix_str(
            "exact" if now.exact else f"expected error {percent(now.error).strip()}", refresh=False
        )
        self._bar.update(now.rank - self._bar.n)

    def close(self) -> None:
        """Leave it as it stands."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


def _new(total: int, file: Any) -> Any:
    with require("progress='bar'", "tqdm"):
        from tqdm.auto import tqdm
        from tqdm.std import tqdm as plain

    class Quiet(tqdm):  # type: ignore[misc]
        """Has no thread that looks after bars: a run says itself when something has come."""

        monitor_interval = 0

    # In a notebook nothing is a terminal, and a bar is shown all the same.
    in_notebook = any("notebook" in kind.__module__ for kind in tqdm.__mro__) and tqdm is not plain
    disable = False if in_notebook else None
    return Quiet(total=total, unit="result", file=file, disable=disable, dynamic_ncols=True)


@contextmanager
def watching(progress: Watched) -> Iterator[Callable[[Progress], None] | None]:
    """What is called after every arrival: the user's own, a bar that is closed at the end, or nothing.

    Examples
    --------
    >>> with watching(None) as progress:
    ...     progress is None
    True
    """
    if progress != "bar":
        yield progress
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()
