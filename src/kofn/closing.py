"""What ends with a ``with`` block: pools, and all that keeps something at their workers."""

from __future__ import annotations

from typing import Self


class Closing:
    """Base of what is closed at the end of a ``with`` block.

    Examples
    --------
    >>> class Door(Closing):
    ...     def close(self):
    ...         print("closed")
    >>> with Door():
    ...     print("open")
    open
    closed
    """

    def close(self) -> None:
        """Let go of everything."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
