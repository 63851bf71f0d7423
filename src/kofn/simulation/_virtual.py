"""Virtual time: a clock that jumps and a pool that follows a script, so that tests of delays take no time."""

from __future__ import annotations

import heapq
import itertools
import math
import queue
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..engines._future import Promise, run_here
from ..engines._protocol import Capabilities, Stop, WorkerState
from ..engines._slots import Call, PoolSlot, SlotPool, close_slots
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
        """Let time pass until something is in ``inbox``, for at most ``seconds``; however few they are, some passes."""
        until = self._now + seconds
        if seconds > 0:  # or who waits for what rounding leaves of a second would do so for ever
            until = max(until, math.nextafter(self._now, math.inf))
        while inbox.empty():
            if not self._agenda or self._agenda[0][0] > until:
                if math.isinf(until):
                    raise KofnError("nothing will ever happen again in virtual time; a real run would hang.")
                self._now = until
                return None
            self._now, _, action = heapq.heappop(self._agenda)
            action()
        return inbox.get()


class VirtualPool(SlotPool["_VirtualSlot"]):
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
    >>> import numpy as np
    >>> A = np.arange(6.0).reshape(3, 2)
    >>> pool = VirtualPool([[1.0], [3600.0], [2.0]])  # any two of three
    >>> answer = kofn.matmul(A, A.T, workers=pool, code="mds", rng=0)
    >>> answer.report.seconds, bool(np.allclose(answer.value, A @ A.T))
    (2.0, True)
    """

    capabilities = Capabilities(by_reference=True, kills=True)

    def __init__(
        self,
        delays: Sequence[Sequence[float]],
        deaths: Mapping[int, float] | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        super().__init__([_VirtualSlot(index, self.clock, row) for index, row in enumerate(delays)])
        for worker, time in (deaths or {}).items():
            self.clock.at(time, self._slots[worker].die)

    def close(self) -> None:
        """End what runs; nothing is taken any more. Safe to call twice."""
        super().close()
        close_slots(self._slots)

    def warm(self, function: Callable[[], object] | None = None, *, modules: Sequence[str] = ()) -> None:
        """Do nothing: a task would take virtual time, which passes in jobs alone."""


class _VirtualSlot(PoolSlot):
    """A worker that is as late as its script says."""

    def __init__(self, index: int, clock: VirtualClock, delays: Sequence[float]) -> None:
        super().__init__(index)
        self.clock = clock
        self.delays = list(delays)
        self.dead = False

    @property
    def state(self) -> WorkerState:
        """What the worker does, by virtual time."""
        return WorkerState.DEAD if self.dead else super().state

    def start(self, call: Call, values: list[Any]) -> Promise:
        """Compute when the script says that the result is there."""
        function, arguments = call
        task = self.task = Promise()
        delay = self.delays.pop(0) if len(self.delays) > 1 else self.delays[0]
        if not math.isinf(delay):
            self.clock.at(self.clock.now() + delay, partial(self.deliver, task, function, (*values, *arguments)))
        return task

    def deliver(self, task: Promise, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Let a task end that has been neither stopped nor lost."""
        if self.task is task:
            self.task = None
            ok, value = run_here(function, arguments)
            task.take(ok, lambda: value)

    def stop(self, task: Promise, how: Stop = Stop.ABANDON) -> Stop:
        """Drop what the worker runs; it is idle again at once."""
        if self.task is task:
            self.task = None
        return how

    def die(self) -> None:
        """Be dead for good."""
        self.dead = True
        task, self.task = self.task, None
        if task is not None:
            task.fail(WorkerLost(f"worker {self.index} died as the script says.", self.index))
