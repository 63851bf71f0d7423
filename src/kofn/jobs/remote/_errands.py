"""Small tasks beside the rows: whoever is idle does them, and what is not done soon is given to another."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ..._base._clock import Clock, RealClock
from ...engines._references import ReferencePool
from ...errors import PoolClosed, ReferenceLost, WorkerError, WorkerLost
from ._pulse import EVERY, Pulse

POLL_SECONDS = 0.005
ATTEMPTS = 3

TIMES = 4.0
"""Who takes so many times as long as the slowest errand that is done, and a second, is late."""

LATE_SECONDS = 1.0


@dataclass(frozen=True)
class Errand:
    """One of them.

    Parameters
    ----------
    function : callable
    arguments : tuple
        Some may be references.
    worker : int
        Where it is done best.
    keeps : bool
        Whether its result stays at the worker.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    worker: int
    keeps: bool = True


def run_errands(pool: ReferencePool, errands: Sequence[Errand], patience: float, avoided: set[int]) -> list[Any]:
    """Their results: references, or values.

    Parameters
    ----------
    pool : ReferencePool
    errands : sequence of Errand
    patience : float
        Seconds after which one is given to another worker as well, at the latest: sooner where others have done theirs,
        and at once where a worker does not answer.
    avoided : set of int
        Workers that are given nothing; who is late is added, until he has answered after all.

    Raises
    ------
    WorkerLost
        Three workers were lost with the same errand, or there is none left.
    PoolClosed
    """
    work = _Errands(pool, errands, patience, avoided)
    try:
        return work.run()
    except (WorkerLost, ReferenceLost) as error:
        if getattr(pool, "is_open", True):
            raise
        raise PoolClosed("the pool was closed while its workers were given values.") from error
    finally:
        work.close()


class _Errands:
    def __init__(self, pool: ReferencePool, errands: Sequence[Errand], patience: float, avoided: set[int]) -> None:
        self._pool, self._errands, self._patience, self._avoided = pool, errands, patience, avoided
        self._clock: Clock = getattr(pool, "clock", RealClock())
        self._inbox: queue.SimpleQueue[tuple[int, int, int]] = queue.SimpleQueue()  # errand, worker, future
        self._left = dict.fromkeys(range(len(errands)), ATTEMPTS)
        self._out: dict[int, tuple[int, float]] = {}  # by worker: which, since when
        self._futures: list[Future[Any]] = []
        self._pulse = Pulse(pool)
        self._longest = 0.0
        self._results: dict[int, Any] = {}

    def run(self) -> list[Any]:
        while len(self._results) < len(self._errands):
            self._give_out()
            came = self._clock.wait(self._inbox, POLL_SECONDS)
            if came is not None:
                self._take(*came)
            late = self._away_for(self._patience)
            self._avoided |= late
            self._out = {worker: out for worker, out in self._out.items() if worker not in late}
            self._pulse.ask(self._away_for(EVERY))
        return [self._results[number] for number in range(len(self._errands))]

    def _away_for(self, seconds: float) -> set[int]:
        now = self._clock.now()
        return {worker for worker, (_, since) in self._out.items() if now - since > seconds}

    def _doubtful(self) -> set[int]:
        """Workers whose errands are given to others, too: they do not answer, or take longer than is usual."""
        usual = max(LATE_SECONDS, TIMES * self._longest) if self._longest else self._patience
        return self._pulse.silent() | self._away_for(usual)

    def close(self) -> None:
        """Give up what nobody waits for any more."""
        self._pulse.close()
        for future in self._futures:
            future.cancel()

    def _give_out(self) -> None:
        doubtful = self._doubtful()
        under_way = {number for worker, (number, _) in self._out.items() if worker not in doubtful}
        states = [self._pool.state(worker) for worker in range(self._pool.n)]
        if all(state == "dead" or worker in self._avoided for worker, state in enumerate(states)):
            raise WorkerLost("no worker is left that answers", -1)
        for number, errand in enumerate(self._errands):
            if number in self._results or number in under_way:
                continue
            idle = [w for w, state in enumerate(states) if state == "idle" and w not in {*self._out, *self._avoided}]
            if not idle:
                return
            worker = errand.worker if errand.worker in idle else None
            if worker is None and errand.worker not in self._out.keys() - doubtful:  # whose own is busy waits for it
                worker = idle[0]
            if worker is not None:
                self._submit(number, worker)

    def _submit(self, number: int, worker: int) -> None:
        errand = self._errands[number]
        submit = self._pool.keep if errand.keeps else self._pool.submit
        try:
            future = submit(worker, errand.function, *errand.arguments)
        except WorkerError:
            return
        self._out[worker] = number, self._clock.now()
        came, inbox = (number, worker, len(self._futures)), self._inbox
        self._futures.append(future)
        # The callback must hold neither the future nor this: what was made would stay until somebody looks for garbage.
        future.add_done_callback(lambda _: inbox.put(came))

    def _take(self, number: int, worker: int, future: int) -> None:
        which, since = self._out.get(worker, (None, 0.0))
        if which == number:
            del self._out[worker]
        else:  # who was passed over has answered
            self._avoided.discard(worker)
        try:
            self._results.setdefault(number, self._futures[future].result())
            self._longest = max(self._longest, self._clock.now() - since if which == number else 0.0)
        except PoolClosed:
            raise
        except (WorkerLost, ReferenceLost):
            self._left[number] -= 1
            if not self._left[number] and number not in self._results:
                raise
