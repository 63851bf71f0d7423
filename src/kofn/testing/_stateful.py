"""A machine that uses an engine in any order, from several threads, beside a model of what must come of it.

Importing this module needs Hypothesis: ``pip install 'kofn[testing]'``.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..engines._protocol import Pool, Stop, capabilities_of
from ..errors import ArgumentError, PoolClosed, WorkerError, WorkerLost, require
from ._battery import require as hold
from ._belongings import belongings, left_since
from ._watching import Watching, wait_for

with require("kofn.testing.EngineMachine", "hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.stateful import initialize, invariant, precondition, rule

WORKERS = st.integers(0, 2)
KEYS = st.sampled_from(["a", "b", ("c", 1)])
WAYS = st.sampled_from([Stop.ABANDON, Stop.INTERRUPT, Stop.KILL])

is_open = precondition(lambda self: self.open)


class EngineMachine(Watching):
    """Any order of what can be done to a pool of three workers, with what the seam promises asserted after each step.

    Derive from it, say how a pool is made, and give its ``TestCase`` to pytest or unittest. What it does: tasks that
    end at once, that raise, or that run until they are let go; values that are put, replaced and dropped; tasks that
    are stopped or cancelled, in the moment in which they end, too; four threads that want one worker, and one for each
    worker that use values at the same time; workers that are killed, that leave and that join; the end of the pool
    under tasks, from several threads.

    Attributes
    ----------
    make_pool : callable
        Returns a pool of three workers; a static method.
    patience_seconds : float
        How long to wait for what has to happen some time.

    Examples
    --------
    >>> from kofn import ThreadPool
    >>> class Machine(EngineMachine):
    ...     make_pool = staticmethod(lambda: ThreadPool(3))
    >>> TestThreads = Machine.TestCase
    """

    make_pool: ClassVar[Callable[[], Pool]]

    def kill(self, worker: int) -> bool:
        """Kill the process of a worker, where there is one that may be killed; of a pool with ``pids`` by default.

        It must come back by itself. Returns whether that was done.
        """
        pids = getattr(self.pool, "pids", None)
        process = None if pids is None else pids()[worker]
        if process is None or process == os.getpid() or not capabilities_of(self.pool).revives:
            return False
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        return True

    def leave(self, worker: int) -> bool:
        """Let a worker go that does not come back by itself, and return whether that was done; nothing by default."""
        return False

    def join(self) -> bool:
        """Have a new worker in the place of one that left, and return whether that was done; nothing by default."""
        return False

    # -- the model ------------------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        """Make the pool; every worker is idle and knows nothing."""
        self.before = belongings()
        self.pool = type(self).make_pool()
        self.folder = tempfile.TemporaryDirectory(prefix="kofn-machine-")
        self.open = True
        self.values: dict[int, dict[Any, float]] = {0: {}, 1: {}, 2: {}}
        self.running: dict[int, tuple[Future[Any], Path]] = {}
        self.away: set[int] = set()
        self.gates = 0
        hold(self.pool.n == 3, "the machine needs three workers")
        self.await_idle(0, 1, 2)

    @invariant()
    def every_worker_does_what_the_model_says(self) -> None:
        """Those that have a task are busy, the others idle, and all are dead once the pool is closed."""
        for worker in range(3) if hasattr(self, "pool") else ():
            state = self.pool.state(worker)
            right = ["dead"] if not self.open else ["busy"] if worker in self.running else ["idle"]
            right = ["starting", "dead"] if self.open and worker in self.away else right
            hold(state in right, f"worker {worker} must be {' or '.join(right)}, and is {state}")

    def _is_free(self, worker: int) -> bool:
        return worker not in self.running and worker not in self.away

    # -- tasks ----------------------------------------------------------------------------------------

    @is_open
    @rule(worker=WORKERS, number=st.integers())
    def run(self, worker: int, number: int) -> None:
        """A task that ends at once; a busy worker refuses it."""
        if worker in self.running:
            self.refuses(WorkerError, lambda: self.submit(worker, int, number))
        elif worker not in self.away:
            hold(self.result_of(self.submit(worker, int, number)) == number, "a task returns its result")
            self.await_idle(worker)

    @is_open
    @rule(worker=WORKERS)
    def fail(self, worker: int) -> None:
        """A task that raises; its worker goes on."""
        if self._is_free(worker):
            future = self.submit(worker, int, "no number")
            self.pass_time(future)
            hold(isinstance(self.error_of(future), ValueError), "what a task raises is its end")
            self.await_idle(worker)

    @is_open
    @rule(worker=WORKERS)
    def begin(self, worker: int) -> None:
        """A task that runs until it is let go."""
        if self._is_free(worker):
            gate = self._gate()
            task = str if hasattr(self.pool, "clock") else wait_for  # in virtual time a task ends when time passes
            self.running[worker] = self.submit(worker, task, str(gate)), gate

    @is_open
    @rule(worker=WORKERS)
    def let_go(self, worker: int) -> None:
        """Let a task run to its end."""
        if worker in self.running:
            future, gate = self.running.pop(worker)
            gate.touch()
            hold(self.result_of(future) == str(gate), "a task that was waited for returns its result")
            self.await_idle(worker)

    @is_open
    @rule(worker=WORKERS, how=WAYS, cancels=st.booleans())
    def stop(self, worker: int, how: Stop, cancels: bool) -> None:
        """Stop what runs, or cancel its future; what an idle worker runs is nothing."""
        if worker not in self.running:
            hold(self.pool.stop(worker, how) == Stop.NOTHING, "an idle worker has nothing to stop")
            return
        future, gate = self.running.pop(worker)
        done = Stop.ABANDON
        if cancels:
            future.cancel()
        else:
            done = self.pool.stop(worker, how)
            hold(done in set(Stop) - {Stop.NOTHING}, "what runs can be stopped, or abandoned")
        hold(future.cancelled(), "the future of what was stopped is cancelled")
        if done == Stop.ABANDON:
            gate.touch()  # where nobody can end it, it ends by itself
        self.await_idle(worker)  # what was interrupted or killed does not wait for its gate
        gate.touch()

    @is_open
    @rule(worker=WORKERS, how=WAYS)
    def stop_what_ends(self, worker: int, how: Stop) -> None:
        """Stop a task that is about to end: either it was stopped and has no result, or it was not and has one."""
        if not self._is_free(worker):
            return
        future = self.submit(worker, int, 7)
        done = self.pool.stop(worker, how)
        if done == Stop.NOTHING:
            hold(self.result_of(future) == 7, "a task that was not stopped returns its result")
        else:
            hold(future.cancelled(), f"a task of which it was said that it was stopped ({done}) is cancelled")
        self.await_idle(worker)

    # -- several threads ------------------------------------------------------------------------------

    @is_open
    @rule(worker=WORKERS)
    def several_want_one(self, worker: int) -> None:
        """Of four threads that want one worker one gets it, and an error tells the others so."""
        if not self._is_free(worker) or hasattr(self.pool, "clock"):
            return
        gate, taken, refused = self._gate(), list[Future[Any]](), list[WorkerError]()
        self.in_threads(*[partial(self._want, worker, gate, taken, refused)] * 4)
        hold((len(taken), len(refused)) == (1, 3), f"one of four must get a worker, and got it: {len(taken)}")
        self.running[worker] = taken[0], gate

    def _want(self, worker: int, gate: Path, taken: list[Any], refused: list[Any]) -> None:
        try:
            taken.append(self.submit(worker, wait_for, str(gate)))
        except WorkerError as error:
            refused.append(error)

    @is_open
    @rule(numbers=st.lists(st.integers(-9, 9), min_size=3, max_size=3))
    def each_has_a_thread(self, numbers: list[int]) -> None:
        """A thread for each idle worker puts a value, uses it and drops it, while another one looks on."""
        free = [worker for worker in range(3) if self._is_free(worker)]
        if not free or hasattr(self.pool, "clock"):
            return
        looks = [partial(self.pool.state, worker) for worker in range(3)]
        self.in_threads(*(partial(self._put_use_drop, worker, numbers[worker]) for worker in free), *looks)

    def _put_use_drop(self, worker: int, number: int) -> None:
        key = "own", worker
        self.pool.put(worker, key, number)
        for power in range(3):
            result = self.result_of(self.submit(worker, pow, power, keys=(key,)))
            hold(result == number**power, f"worker {worker} must return {number**power}, and not {result!r}")
            self.await_idle(worker)
        self.pool.drop(key)

    # -- values ---------------------------------------------------------------------------------------

    @is_open
    @rule(worker=WORKERS, key=KEYS, size=st.sampled_from([1, 20_000]), value=st.integers(-9, 9), used=st.booleans())
    def put(self, worker: int, key: Any, size: int, value: int, used: bool) -> None:
        """Put a value, small or large, in the place of what was there."""
        if worker not in self.away:
            self.pool.put(worker, key, np.full(size, float(value)))
            self.values[worker][key] = float(value * size)
            if used:
                self.use(worker, key)

    @is_open
    @rule(key=KEYS)
    def drop(self, key: Any) -> None:
        """Drop a value everywhere."""
        self.pool.drop(key)
        for worker, values in self.values.items():
            if values.pop(key, None) is not None:
                self.use(worker, key)

    @is_open
    @rule(worker=WORKERS, key=KEYS)
    def use(self, worker: int, key: Any) -> None:
        """Use a value; one that is not there is refused."""
        if not self._is_free(worker):
            return
        if key not in self.values[worker]:
            self.refuses(ArgumentError, lambda: self.submit(worker, np.sum, keys=(key,)))
        else:
            total = self.result_of(self.submit(worker, np.sum, keys=(key,)))
            hold(total == self.values[worker][key], f"{key!r} is as it was put, and not {total}")
        self.await_idle(worker)

    # -- ends -----------------------------------------------------------------------------------------

    @is_open
    @rule(worker=WORKERS)
    def die(self, worker: int) -> None:
        """Kill a worker, which comes back with its values; what it ran is lost."""
        if worker not in self.away and self.kill(worker):
            self._lose(worker)
            self._come_back(worker)

    @is_open
    @rule(worker=WORKERS)
    def go(self, worker: int) -> None:
        """Let a worker leave; what it ran is lost, and the others go on."""
        if worker not in self.away and self.leave(worker):
            self._lose(worker)
            self.away.add(worker)
            gone = lambda: self.pool.state(worker) in ("starting", "dead")  # noqa: E731
            self.until(gone, f"worker {worker} has left, and must be neither idle nor busy")

    @precondition(lambda self: self.open and self.away)
    @rule()
    def come(self) -> None:
        """Have a worker join, who takes the place of one that left, with its values."""
        if self.join():
            self.until(self._back, "who joins must take the place of one that left")
            for worker in self._back():
                self.away.remove(worker)
                self._come_back(worker)

    def _back(self) -> list[int]:
        """Those that were away and are idle."""
        return [worker for worker in self.away if self.pool.state(worker) == "idle"]

    def _lose(self, worker: int) -> None:
        future, gate = self.running.pop(worker, (None, None))
        if future is not None and gate is not None:
            hold(isinstance(self.error_of(future), WorkerLost), "what a dead worker ran is lost")
            gate.touch()

    def _come_back(self, worker: int) -> None:
        self.await_working(worker)
        for key in self.values[worker]:
            self.use(worker, key)

    @is_open
    @rule(now=st.sampled_from([False] * 4 + [True]), threads=st.integers(1, 3))
    def close(self, now: bool, threads: int) -> None:
        """Close the pool, now and then; what runs ends with it, and nothing is taken any more."""
        if not now:
            return
        self.in_threads(*[self.pool.close] * threads)
        self.open = False
        for future, gate in self.running.values():
            hold(isinstance(self.error_of(future), PoolClosed), "tasks of a closed pool end with it")
            gate.touch()
        self.running.clear()

    @precondition(lambda self: not self.open)
    @rule(worker=WORKERS)
    def use_what_is_closed(self, worker: int) -> None:
        """Nothing is taken, and nothing is stopped, dropped or closed once more with an error."""
        self.refuses(PoolClosed, lambda: self.submit(worker, int, 1))
        self.refuses(PoolClosed, lambda: self.pool.put(worker, "a", 1))
        hold(self.pool.stop(worker, Stop.KILL) == Stop.NOTHING, "a closed pool has nothing to stop")
        self.pool.drop("a")
        self.in_threads(self.pool.close)

    def teardown(self) -> None:
        """Close the pool, and see that every future has ended once, and that nothing is left behind."""
        if hasattr(self, "pool"):
            with self.folder:
                if self.has_failed:  # that is what is to be told
                    with suppress(AssertionError):
                        self.in_threads(self.pool.close)
                    for _, gate in self.running.values():
                        gate.touch()
                else:
                    self._end()

    def _end(self) -> None:
        self.in_threads(self.pool.close)
        for _, gate in self.running.values():
            gate.touch()
        self.every_future_ended_once()
        del self.pool
        end = time.monotonic() + self.patience_seconds
        while left := left_since(self.before):
            hold(time.monotonic() < end, f"a closed pool leaves behind {left}")
            time.sleep(0.005)

    def _gate(self) -> Path:
        self.gates += 1
        return Path(self.folder.name) / str(self.gates)
