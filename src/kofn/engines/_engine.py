"""What every pool of kofn's own has in common: it is closed once, and of use only to the process that made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from .._base._closeable import Closeable, Home
from ..errors import PoolClosed
from ._delays import Delays
from ._loading import load
from ._warming import warm_up

if TYPE_CHECKING:
    from ._protocol import Pool

CLOSED = "the pool was closed while the task ran"


class Engine(Closeable):
    """Base of pools.

    Attributes
    ----------
    delays : Delays
        How long tasks took here, over the newest jobs: what ``code="auto"`` goes by.

    Examples
    --------
    >>> engine = Engine()
    >>> engine.is_open
    True
    """

    def __init__(self) -> None:
        self._home = Home()
        self._closed = False
        self.delays = Delays()
        load()

    @property
    def is_open(self) -> bool:
        """Whether the pool takes tasks: nobody has closed it, and this process made it."""
        return not self._closed and self._home.is_here

    def close(self) -> None:
        """Take no task from now on; an engine adds what ends its workers. Safe to call twice and from any state."""
        self._closed = True

    def require_open(self, call: str) -> None:
        """Raise `PoolClosed` where the pool takes no task."""
        self._home.require(f"{call}: the pool")
        if self._closed:
            raise PoolClosed(f"{call}: the pool is closed")

    def warm(self, function: Callable[[], object] | None = None, *, modules: Sequence[str] = ()) -> None:
        """Wait until every worker is up, has imported ``modules`` and has called ``function``.

        The first task of a worker may have to import a library or load a model. A deadline holds all the same, so
        that the first calls may have no answer in time; warm the pool before those that need one.

        Parameters
        ----------
        function : callable, optional
            Called once at each worker, without arguments, as ``functools.partial(model, example)``.
        modules : sequence of str, optional
            Names, as for ``import``.

        Raises
        ------
        WorkerLost
            No worker is left, or one died of it three times.
        PoolClosed
        Exception
            What the function, or an import, raised.

        Examples
        --------
        >>> from kofn import LocalPool
        >>> with LocalPool(2) as pool:
        ...     pool.warm(modules=["json"])
        """
        self.require_open("warm")
        warm_up(cast("Pool", self), function, modules)
