"""Virtual time: a clock that jumps and a pool that follows a script, so that tests of delays take no time."""

from __future__ import annotations

import heapq
import itertools
import math
import queue
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._base._travel import Staying
from ..engines._protocol import Capabilities, Stop, WorkerState
from ..errors import KofnError, WorkerLost


class VirtualClock:
    """Time that passes only when somebody waits, and then at once.

    Examples
    --------
    >>> clock, inbox = VirtualClock(), queue.SimpleQueue()
    >>> clock.at(3.0, lambda: inbox.put("late"))
    >>> clock.wait(inbox, 10.0), clock.now()
    ('late', 3.0)
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Virtual seconds since the clock was made."""
        return self._now

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Call ``action`` when virtual time reaches ``time``."""
        heapq.heappush(self._agenda, (time, next(self._order), action))

    def wait(self, inbox: queue.SimpleQueue[Any], seconds: float) -> Any:
        """Let time pass until something is in ``inbox``, for at most ``seconds``."""
        until = self._now + seconds
        while inbox.empty():
            if not self._agenda or self._agenda[0][0] > until:
                if math.isinf(until):
                    raise KofnError("nothing will ever happen again in virtual time; a real run would hang.")
                self._now = until
                return None
            self._now, _, action = heapq.heappop(self._agenda)
            action()
        return inbox.get()


class VirtualPool(Staying):
    """A pool whose tasks take the virtual time that a script says.

    Parameters
    ----------
    delays : sequence, one per worker, of sequences of seconds
        How long the worker's first, second, … message takes; inf for never. The last one repeats.
    deaths : mapping of worker to seconds, optional
        When a worker dies, for good.
    clock : VirtualClock, optional
        By which jobs on this pool run; one of its own by default.

    Examples
    --------
    >>> import kofn
    >>> A = np.arange(6.0).reshape(3, 2)
    >>> pool = VirtualPool([[1.0], [3600.0], [2.0]])  # any two of three
    >>> answer = kofn.matmul(A, A.T, workers=pool, rng=0)
    >>> answer.report.seconds, bool(np.allclose(answer.value, A @ A.T))
    (2.0, True)
    """

    def __init__(
        self,
        delays: Sequence[Sequence[float]],
        deaths: Mapping[int, float] | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self._delays = [list(row) for row in delays]
        self._resident: list[dict[Hashable, Any]] = [{} for _ in delays]
        self._running: list[Future[Any] | None] = [None] * len(delays)
        self._dead = [False] * len(delays)
        for worker, time in (deaths or {}).items():
            self.clock.at(time, partial(self._die, worker))

    capabilities = Capabilities(by_reference=True)

    @property
    def n(self) -> int:
        """How many workers the pool has."""
        return len(self._delays)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocate an array."""
        return np.empty(shape, dtype)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Make ``value`` resident at ``worker``."""
        self._resident[worker][key] = value

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker."""
        for resident in self._resident:
            resident.pop(key, None)

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Compute now, deliver when the script says."""
        if self.state(worker) != WorkerState.IDLE:
            raise KofnError(f"worker {worker} is {self.state(worker)}, it cannot take a task.")
        future: Future[Any] = Future()
        future.add_done_callback(lambda done: self._ended(worker, done))
        self._running[worker] = future
        delays = self._delays[worker]
        delay = delays.pop(0) if len(delays) > 1 else delays[0]
        compute = partial(function, *(self._resident[worker][key] for key in keys), *arguments)
        if not math.isinf(delay):
            self.clock.at(self.clock.now() + delay, partial(self._deliver, worker, future, compute))
        return future

    def _deliver(self, worker: int, future: Future[Any], compute: Callable[[], Any]) -> None:
        if self._running[worker] is not future:
            return
        self._running[worker] = None
        try:
            future.set_result(compute())
        except Exception as error:
            future.set_exception(error)

    def _ended(self, worker: int, future: Future[Any]) -> None:
        """Be idle again, also once somebody has cancelled the future."""
        if self._running[worker] is future:
            self._running[worker] = None

    def _die(self, worker: int) -> None:
        self._dead[worker] = True
        future, self._running[worker] = self._running[worker], None
        if future is not None:
            future.set_exception(WorkerLost(f"worker {worker} died as the script says.", worker))

    def stop(self, worker: int, how: str) -> Stop:
        """Drop what the worker runs; it is idle again at once."""
        future, self._running[worker] = self._running[worker], None
        if future is None:
            return Stop.NOTHING
        future.cancel()
        return Stop(how)

    def state(self, worker: int) -> WorkerState:
        """Tell what ``worker`` is doing."""
        if self._dead[worker]:
            return WorkerState.DEAD
        return WorkerState.IDLE if self._running[worker] is None else WorkerState.BUSY

    def close(self) -> None:
        """Nothing to release."""
