"""A machine that uses an engine in any order, from several threads, beside a model of what must come of it.

Importing this module needs Hypothesis: ``pip install 'kofn[testing]'``.
"""

from __future__ import annotations

import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..engines._protocol import Pool, Stop, WorkerState, capabilities_of
from ..errors import ArgumentError, PoolClosed, WorkerError, WorkerLost, require
from ._battery import require as hold
from ._belongings import belongings, left_since

with require("kofn.testing.EngineMachine", "hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

WORKERS = st.integers(0, 2)
KEYS = st.sampled_from(["a", "b", ("c", 1)])


class EngineMachine(RuleBasedStateMachine):
    """Any order of what can be done to a pool of three workers, with what the seam promises asserted after each step.

    Derive from it, say how a pool is made, and give its ``TestCase`` to pytest or unittest. What it does: tasks that
    end at once, that raise, or that run until they are let go; values that are put, replaced and dropped; tasks that
    are stopped or cancelled; four threads that want one worker; workers that are killed; the end of the pool under
    tasks.

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
    patience_seconds: ClassVar[float] = 30.0

    def kill(self, worker: int) -> bool:
        """Kill the process of a worker, where there is one that may be killed; of a pool with ``pids`` by default."""
        pids = getattr(self.pool, "pids", None)
        process = None if pids is None else pids()[worker]
        if process is None or process == os.getpid() or not capabilities_of(self.pool).revives:
            return False
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        return True

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
        self.gates = 0
        hold(self.pool.n == 3, "the machine needs three workers")
        self._await_idle(0, 1, 2)

    @invariant()
    def every_worker_does_what_the_model_says(self) -> None:
        """Those that have a task are busy, the others idle, and all are dead once the pool is closed."""
        for worker in range(3) if hasattr(self, "pool") else ():
            state = self.pool.state(worker)
            right = "dead" if not self.open else "busy" if worker in self.running else "idle"
            hold(state == right, f"worker {worker} must be {right}, and is {state}")

    # -- tasks ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS, number=st.integers())
    def run(self, worker: int, number: int) -> None:
        """A task that ends at once; a busy worker refuses it."""
        if worker in self.running:
            self._refuses(WorkerError, lambda: self.pool.submit(worker, int, number))
        else:
            hold(self._result(self.pool.submit(worker, int, number)) == number, "a task returns its result")
            self._await_idle(worker)

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS)
    def fail(self, worker: int) -> None:
        """A task that raises; its worker goes on."""
        if worker not in self.running:
            future = self.pool.submit(worker, int, "no number")
            self._pass_time(future)
            hold(isinstance(future.exception(self.patience_seconds), ValueError), "what a task raises is its end")
            self._await_idle(worker)

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS)
    def begin(self, worker: int) -> None:
        """A task that runs until it is let go."""
        if worker not in self.running:
            gate = Path(self.folder.name) / str(self.gates)
            self.gates += 1
            task = str if hasattr(self.pool, "clock") else wait_for  # in virtual time a task ends when time passes
            self.running[worker] = self.pool.submit(worker, task, str(gate)), gate

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS)
    def let_go(self, worker: int) -> None:
        """Let a task run to its end."""
        if worker in self.running:
            future, gate = self.running.pop(worker)
            gate.touch()
            hold(self._result(future) == str(gate), "a task that was waited for returns its result")
            self._await_idle(worker)

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS, how=st.sampled_from([Stop.ABANDON, Stop.INTERRUPT, Stop.KILL]), cancels=st.booleans())
    def stop(self, worker: int, how: Stop, cancels: bool) -> None:
        """Stop what runs, or cancel its future; what an idle worker runs is nothing."""
        if worker not in self.running:
            hold(self.pool.stop(worker, how) == Stop.NOTHING, "an idle worker has nothing to stop")
            return
        future, gate = self.running.pop(worker)
        if cancels:
            future.cancel()
        else:
            hold(self.pool.stop(worker, how) in set(Stop) - {Stop.NOTHING}, "what runs can be stopped, or abandoned")
        hold(future.cancelled(), "the future of what was stopped is cancelled")
        gate.touch()  # where nobody can end it, it ends by itself
        self._await_idle(worker)

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS)
    def several_want_one(self, worker: int) -> None:
        """Of four threads that want one worker one gets it, and an error tells the others so."""
        if worker in self.running or hasattr(self.pool, "clock"):
            return
        gate = Path(self.folder.name) / str(self.gates)
        self.gates += 1
        taken: list[Future[Any]] = []
        refused: list[WorkerError] = []
        threads = [threading.Thread(target=self._want, args=(worker, gate, taken, refused)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.patience_seconds)
        hold((len(taken), len(refused)) == (1, 3), f"one of four must get a worker, and got it: {len(taken)}")
        self.running[worker] = taken[0], gate

    def _want(self, worker: int, gate: Path, taken: list[Any], refused: list[Any]) -> None:
        try:
            taken.append(self.pool.submit(worker, wait_for, str(gate)))
        except WorkerError as error:
            refused.append(error)

    # -- values ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS, key=KEYS, size=st.sampled_from([1, 20_000]), value=st.integers(-9, 9), used=st.booleans())
    def put(self, worker: int, key: Any, size: int, value: int, used: bool) -> None:
        """Put a value, small or large, in the place of what was there."""
        self.pool.put(worker, key, np.full(size, float(value)))
        self.values[worker][key] = float(value * size)
        if used:
            self.use(worker, key)

    @precondition(lambda self: self.open)
    @rule(key=KEYS)
    def drop(self, key: Any) -> None:
        """Drop a value everywhere."""
        self.pool.drop(key)
        for worker, values in self.values.items():
            if values.pop(key, None) is not None:
                self.use(worker, key)

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS, key=KEYS)
    def use(self, worker: int, key: Any) -> None:
        """Use a value; one that is not there is refused."""
        if worker in self.running:
            return
        if key not in self.values[worker]:
            self._refuses(ArgumentError, lambda: self.pool.submit(worker, np.sum, keys=(key,)))
        else:
            total = self._result(self.pool.submit(worker, np.sum, keys=(key,)))
            hold(total == self.values[worker][key], f"{key!r} is as it was put, and not {total}")
        self._await_idle(worker)

    # -- ends -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.open)
    @rule(worker=WORKERS)
    def die(self, worker: int) -> None:
        """Kill a worker, which comes back with its values; what it ran is lost."""
        if not self.kill(worker):
            return
        future, _ = self.running.pop(worker, (None, None))
        if future is not None:
            hold(isinstance(future.exception(self.patience_seconds), WorkerLost), "what a dead worker ran is lost")
        self._await_working(worker)

    @precondition(lambda self: self.open)
    @rule(now=st.sampled_from([False] * 4 + [True]))
    def close(self, now: bool) -> None:
        """Close the pool, now and then; what runs ends with it, and nothing is taken any more."""
        if not now:
            return
        self.pool.close()
        self.open = False
        for future, gate in self.running.values():
            hold(isinstance(future.exception(self.patience_seconds), PoolClosed), "tasks of a closed pool end with it")
            gate.touch()
        self.running.clear()

    @precondition(lambda self: not self.open)
    @rule(worker=WORKERS)
    def use_what_is_closed(self, worker: int) -> None:
        """Nothing is taken, and nothing is stopped, dropped or closed once more with an error."""
        self._refuses(PoolClosed, lambda: self.pool.submit(worker, int, 1))
        self._refuses(PoolClosed, lambda: self.pool.put(worker, "a", 1))
        hold(self.pool.stop(worker, Stop.KILL) == Stop.NOTHING, "a closed pool has nothing to stop")
        self.pool.drop("a")
        self.pool.close()

    def teardown(self) -> None:
        """Close the pool, and see that it leaves nothing behind."""
        if not hasattr(self, "pool"):
            return
        for _, gate in self.running.values():
            gate.touch()
        self.pool.close()
        del self.pool
        until = time.monotonic() + self.patience_seconds
        while left := left_since(self.before):
            hold(time.monotonic() < until, f"a closed pool leaves behind {left}")
            time.sleep(0.005)
        self.folder.cleanup()

    # -- help -----------------------------------------------------------------------------------------

    def _pass_time(self, future: Future[Any] | None = None) -> None:
        """Let virtual time pass, where the pool has one."""
        clock = getattr(self.pool, "clock", None)
        while clock is not None and not (future is not None and future.done()):
            clock.wait(queue.SimpleQueue(), 1.0)
            self.running = {worker: held for worker, held in self.running.items() if not held[0].done()}
            if future is None:
                return

    def _result(self, future: Future[Any]) -> Any:
        self._pass_time(future)
        return future.result(self.patience_seconds)

    def _await_idle(self, *workers: int) -> None:
        until = time.monotonic() + self.patience_seconds
        while any(self.pool.state(worker) != WorkerState.IDLE for worker in workers):
            hold(time.monotonic() < until, f"workers {workers} must become idle")
            self._pass_time()
            time.sleep(0.001)

    def _await_working(self, worker: int) -> None:
        """Wait until a worker that was killed takes a task again: the pool may not have seen yet that it is gone."""
        until = time.monotonic() + self.patience_seconds
        while True:
            self._await_idle(worker)
            with suppress(WorkerError):
                if self.pool.submit(worker, int, 1).result(self.patience_seconds) == 1:
                    return self._await_idle(worker)
            hold(time.monotonic() < until, f"worker {worker} must come back")

    def _refuses(self, kind: type[Exception], call: Callable[[], object]) -> None:
        try:
            call()
        except kind:
            return
        raise AssertionError(f"{kind.__name__} must be raised.")


def wait_for(gate: str) -> str:
    """Run until a file is there."""
    while not os.path.exists(gate):  # noqa: PTH110  quick, and often
        time.sleep(0.002)
    return gate
