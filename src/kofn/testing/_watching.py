"""What a machine that uses an engine waits for, with patience, and what it counts beside."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ..engines._protocol import Pool, WorkerState
from ..errors import WorkerError, require
from ._battery import require as hold

with require("kofn.testing.EngineMachine", "hypothesis"):
    from hypothesis.stateful import RuleBasedStateMachine


class Watching(RuleBasedStateMachine):
    """Waits for what an engine promises, at most ``patience_seconds``, and counts how often each future ends."""

    patience_seconds: ClassVar[float] = 30.0
    pool: Pool
    running: dict[int, tuple[Future[Any], Path]]

    def __init__(self) -> None:
        super().__init__()
        self._futures: list[Future[Any]] = []
        self._ends: Counter[int] = Counter()
        self._raised_before = sys.exc_info()[1]

    @property
    def has_failed(self) -> bool:
        """Whether a step has just failed."""
        return sys.exc_info()[1] is not self._raised_before

    def submit(self, worker: int, function: Callable[..., Any], *arguments: Any, keys: Any = ()) -> Future[Any]:
        """Submit a task, whose end is counted."""
        future = self.pool.submit(worker, function, *arguments, keys=keys)
        number = len(self._futures)
        self._futures.append(future)
        future.add_done_callback(lambda _: self._ends.update([number]))
        return future

    def every_future_ended_once(self) -> None:
        """Assert that, once the pool is closed."""
        for number, future in enumerate(self._futures):
            with suppress(CancelledError):
                self.error_of(future)
            self.until(partial(self._ends.__contains__, number), "whoever waits for a future must hear of its end")
            hold(self._ends[number] == 1, f"a future ends once, and not {self._ends[number]} times")

    def pass_time(self, future: Future[Any] | None = None) -> None:
        """Let virtual time pass, where the pool has one."""
        clock = getattr(self.pool, "clock", None)
        while clock is not None and not (future is not None and future.done()):
            clock.wait(queue.SimpleQueue(), 1.0)
            self.running = {worker: held for worker, held in self.running.items() if not held[0].done()}
            if future is None:
                return

    def result_of(self, future: Future[Any]) -> Any:
        """What a task returned."""
        self.pass_time(future)
        try:
            return future.result(self.patience_seconds)
        except NotYet:
            raise AssertionError("a task that ended must have a result.") from None

    def error_of(self, future: Future[Any]) -> BaseException | None:
        """What a task ended with, if not with a result."""
        try:
            return future.exception(self.patience_seconds)
        except NotYet:
            raise AssertionError("a future must end with what it waits for.") from None

    def until(self, condition: Callable[[], object], sentence: str) -> None:
        """Wait until something holds."""
        end = time.monotonic() + self.patience_seconds
        while not condition():
            hold(time.monotonic() < end, sentence)
            time.sleep(0.001)

    def await_idle(self, *workers: int) -> None:
        """Wait until workers are idle."""
        end = time.monotonic() + self.patience_seconds
        while any(self.pool.state(worker) != WorkerState.IDLE for worker in workers):
            hold(time.monotonic() < end, f"workers {workers} must become idle")
            self.pass_time()
            time.sleep(0.001)

    def await_working(self, worker: int) -> None:
        """Wait until a worker that was killed takes a task again: the pool may not have seen yet that it is gone."""
        end = time.monotonic() + self.patience_seconds
        while True:
            self.await_idle(worker)
            with suppress(WorkerError):
                if self.result_of(self.submit(worker, int, 1)) == 1:
                    return self.await_idle(worker)
            hold(time.monotonic() < end, f"worker {worker} must come back")

    def in_threads(self, *calls: Callable[[], object]) -> None:
        """Make calls at the same time; what one of them raises is raised here."""
        errors: list[BaseException] = []
        threads = [threading.Thread(target=_caught, args=(call, errors), daemon=True) for call in calls]
        for thread in threads:
            thread.start()
        end = time.monotonic() + self.patience_seconds
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        hold(not any(thread.is_alive() for thread in threads), "no call of a pool but one that waits may hang")
        for error in errors:
            raise error

    def refuses(self, kind: type[Exception], call: Callable[[], object]) -> None:
        """Assert that a call raises that."""
        try:
            call()
        except kind:
            return
        raise AssertionError(f"{kind.__name__} must be raised.")


def _caught(call: Callable[[], object], errors: list[BaseException]) -> None:
    try:
        call()
    except BaseException as error:
        errors.append(error)


def wait_for(gate: str) -> str:
    """Run until a file is there."""
    while not os.path.exists(gate):  # noqa: PTH110  quick, and often
        time.sleep(0.002)
    return gate
