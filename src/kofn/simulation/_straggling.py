"""A pool whose workers are late, or die, as a latency model says: repeatable stragglers for demos, tests."""

from __future__ import annotations

import itertools
import math
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .._base._closeable import at_end
from ..checks import integer, refusal
from ..engines._cancellation import current_token
from ..engines._future import Promise, call_alive, failed
from ..engines._protocol import Capabilities, Pool, Stop, WorkerState, capabilities_of
from ..engines._references import Ref, refs_in
from ..engines._validation import check_key, check_stop, check_task, check_worker
from ..engines._warming import warm_up
from ..engines._wrapped import Begin, WrappedPool
from ..errors import Cancelled, ReferenceLost, WorkerError, WorkerLost
from ._latency import Latency, check_latency, death_times
from ._turns import arrivals_from

_tokens = itertools.count()
_closing: dict[int, threading.Event] = {}
"""Ends the sleep of tasks that run in this very process; a sleeping process is killed by its pool."""


LONGEST_SLEEP = 1e8
"""Seconds; stands for infinity. `threading.TIMEOUT_MAX` is too long for `time.sleep`."""

LONGEST_ELSEWHERE = 3600.0
"""Seconds that a task sleeps at most at a worker that is not ours to kill, in case its master is killed."""


class Straggling(WrappedPool):
    """A pool with delays: the t-th task of worker w sleeps first, for as long as the model draws for (seed,
    t, w).

    Each task counts as one unit of work. A delay of infinity is a worker that never answers, until it is
    stopped or the pool closed. A worker that the model lets die is killed so many seconds after the start of
    its first task, and is dead from then on. Everything else is left to the wrapped pool.

    Parameters
    ----------
    pool : Pool
        Closed together with this one.
    latency : Latency
        One that has ``death_times(workers)`` too lets workers die then.
    seed : int

    Raises
    ------
    ArgumentError
        An argument is none of these, or the model does not speak of so many workers.

    Examples
    --------
    >>> from kofn.engines import ThreadPool
    >>> class Hundredth:
    ...     def arrivals(self, work, worker, trials, rng):
    ...         return np.full((trials, len(work)), 0.01)
    >>> with Straggling(ThreadPool(2), Hundredth()) as pool:
    ...     pool.submit(0, sum, [1, 2]).result()
    3
    """

    def __init__(self, pool: Pool, latency: Latency, seed: int = 0) -> None:
        call = "kofn.Straggling"
        if isinstance(pool, type) or not isinstance(pool, Pool):
            raise refusal(call, "pool", "be a pool", repr(pool), "make one with kofn.LocalPool(4), for example")
        check_latency(call, "latency", latency)
        super().__init__(pool)
        self._latency = latency
        self._seed = integer(call, "seed", seed, 0, "leave it out for 0")
        self.delay(0, pool.n - 1)  # a record of too few workers is refused here, not in the middle of a job
        self._token = next(_tokens)
        _closing[self._token] = threading.Event()
        self._counts = [0] * pool.n
        self._tasks: dict[int, Promise] = {}
        self._dead: set[int] = set()
        self._timers: list[threading.Timer] = []
        self._deaths = np.asarray(death_times(latency, pool.n))
        self._finalizer = at_end(self, _wake, self._token, self._timers)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the wrapped pool; but what was kept at a worker dies with it."""
        return replace(capabilities_of(self._pool), outlast=False)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Make ``value`` resident at ``worker``; a dead one forgets it."""
        check_worker("put", worker, self.n)
        self.require_open("put")
        self._pool.put(worker, check_key("put", key), value)

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker."""
        check_key("drop", key)
        if self.is_open:
            self._pool.drop(key)

    def delay(self, task: int, worker: int) -> float:
        """Return the seconds that the given task of a worker, counted from 0, sleeps first."""
        rng = np.random.default_rng([self._seed, task, worker])
        return float(arrivals_from(self._latency, task, np.ones(1), np.array([worker]), 1, rng)[0, 0])

    def fetch(self, ref: Ref) -> Future[Any]:
        """Bring a value here, unless the worker that has it is dead."""
        return self._lost([ref]) or super().fetch(ref)

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        """Copy a value to another worker, unless either is dead."""
        check_worker("send", worker, self.n)
        return self._lost([ref], worker) or super().send(ref, worker)

    def _lost(self, refs: Iterable[Ref], target: int | None = None) -> Future[Any] | None:
        """What ends at once, as dead workers take with them what was kept there; None where all can be had."""
        error: WorkerError | None = None
        if target in self._dead:
            error = WorkerLost(f"worker {target} has died", target)
        for ref in refs:
            if ref.worker in self._dead:
                error = ReferenceLost(f"worker {ref.worker} has died with what was kept there", ref.worker)
        return None if error is None else failed(error)

    def _begin(
        self,
        begin: Begin,
        worker: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keys: tuple[Hashable, ...],
    ) -> Future[Any]:
        """Have a task begin after the delay that is drawn for it."""
        check_worker("submit", worker, self.n)
        self.require_open("submit")
        check_task(function, keys)
        if worker in self._dead:
            raise WorkerLost(f"worker {worker} has died", worker)
        if lost := self._lost(refs_in(arguments)):
            return lost
        late = partial(run_late, self._token, self.delay(self._counts[worker], worker), function)
        inner = begin(worker, late, *arguments, keys=keys)
        task = self._tasks[worker] = Promise()
        if self._counts[worker] == 0 and self._deaths[worker] < math.inf:
            self._expect_death(worker)
        self._counts[worker] += 1
        # The promise holds the result, so the pool must not hold it for longer than the task takes.
        inner.add_done_callback(partial(_pass_on, task, self._tasks, worker))
        cancel = weakref.WeakMethod(inner.cancel)  # or each future would keep the other
        task.when_cancelled(lambda _: call_alive(cancel))
        return task.future

    def stop(self, worker: int, how: str) -> Stop:
        """Stop what ``worker`` runs as the wrapped pool can."""
        check_worker("stop", worker, self.n)
        return self._pool.stop(worker, check_stop(how)) if self.is_open else Stop.NOTHING

    def state(self, worker: int) -> WorkerState:
        """Tell what ``worker`` is doing; one that died stays dead."""
        gone = check_worker("state", worker, self.n) in self._dead or not self.is_open
        return WorkerState.DEAD if gone else self._pool.state(worker)

    def warm(self, function: Callable[[], object] | None = None, *, modules: Sequence[str] = ()) -> None:
        """Wait until every worker is up, has imported ``modules`` and has called ``function``, without delays."""
        self.require_open("warm")
        warm_up(self._pool, function, modules)

    def close(self) -> None:
        """Close the wrapped pool and forget about deaths to come."""
        super().close()
        self._finalizer()
        self._pool.close()

    def _expect_death(self, worker: int) -> None:
        timer = threading.Timer(self._deaths[worker], call_alive, (weakref.WeakMethod(self._die), worker))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _die(self, worker: int) -> None:
        self._dead.add(worker)
        if (task := self._tasks.pop(worker, None)) is not None:
            task.fail(WorkerLost(f"worker {worker} died, as its latency model says", worker))
        self._pool.stop(worker, Stop.KILL)


def run_late(token: int, seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """Sleep, then call ``function``; runs at the worker."""
    closing = _closing.get(token)
    if closing is None:
        _sleep(seconds)
    elif closing.wait(min(seconds, LONGEST_SLEEP)):
        raise Cancelled("the pool was closed while the task slept")
    return function(*arguments)


def _sleep(seconds: float) -> None:
    token = current_token()
    if token is None:
        time.sleep(min(seconds, LONGEST_SLEEP))
    elif token.wait(min(seconds, LONGEST_ELSEWHERE)):
        raise Cancelled("nobody waits for the task any more")


def _pass_on(task: Promise, tasks: dict[int, Promise], worker: int, inner: Future[Any]) -> None:
    if tasks.get(worker) is task:
        tasks.pop(worker, None)
    task.end_like(inner)


def _wake(token: int, timers: list[threading.Timer]) -> None:
    _closing.pop(token).set()
    for timer in timers:
        timer.cancel()
