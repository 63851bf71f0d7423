"""What every pool of kofn's own has in common: it is closed once, and of use only to the process that made it."""

from __future__ import annotations

from ..closing import Closing, Home
from ..errors import PoolClosed

CLOSED = "the pool was closed while the task ran"


class Engine(Closing):
    """Base of pools.

    Examples
    --------
    >>> engine = Engine()
    >>> engine.is_open
    True
    """

    def __init__(self) -> None:
        self._home = Home()
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether the pool takes tasks: nobody has closed it, and this process made it."""
        return not self._closed and self._home.is_here

    def require_open(self, call: str) -> None:
        """Raise `PoolClosed` where the pool takes no task."""
        self._home.require(f"{call}: the pool")
        if self._closed:
            raise PoolClosed(f"{call}: the pool is closed")
