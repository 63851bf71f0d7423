"""Live progress on a terminal (one line rewritten) or in a log (one line after the other)."""

from __future__ import annotations

import shutil
from typing import Self, TextIO

from .._collector import Progress


class ProgressLine:
    """A line that shows where things stand.

    Parameters
    ----------
    stream : text file
    quiet : bool
        Show nothing at all.

    Examples
    --------
    >>> import sys
    >>> with ProgressLine(sys.stdout) as line:
    ...     line.show("half way")
    ...     line.show("done")
    half way
    done
    """

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._rewrites = stream.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """Show ``text`` in place of what was shown before."""
        if self._quiet:
            return
        if self._rewrites:
            room = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[2K{text[:room]}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()
        self._shown = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._rewrites and self._shown:
            self._stream.write("\n")
            self._stream.flush()


def format_progress(progress: Progress) -> str:
    """Tell where a job stands.

    Examples
    --------
    >>> format_progress(Progress(4, 8, 4, 6, 0.0831, False, 0.52))
    '████░░  rank 4 of 6   expected error  8.3 %    0.52 s'
    """
    where = "exact" if progress.exact else f"expected error {percent(progress.error)}"
    bar = "█" * progress.rank + "░" * (progress.unknowns - progress.rank)
    if progress.unknowns > 40:
        bar = ""
    return f"{bar}  rank {progress.rank} of {progress.unknowns}   {where:<21} {progress.time:7.2f} s".lstrip()


def percent(share: float) -> str:
    """Write a share as a percentage of two digits or so.

    Examples
    --------
    >>> percent(0.0831), percent(0.5), percent(2e-7)
    (' 8.3 %', '50.0 %', '2e-05 %')
    """
    return f"{100 * share:4.1f} %" if share >= 1e-3 or share == 0 else f"{100 * share:.0e} %"
