"""Computing what a store lacks, on kofn's own processes: by as many as one likes, with the same results."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np

from kofn.engines import LocalPool
from kofn.errors import TaskError, WorkerLost

from .point import Point, Result, Results
from .progress import Progress
from .store import Store

ATTEMPTS = 3
"""A point that has cost so many processes their lives is given up."""

POLL_SECONDS = 0.1

REMEDY = "give fewer --jobs, or take a machine with more memory"

Finished = tuple[Result, float, int]
"""A result, the processor seconds it took, and the peak of memory, in bytes, of the process until then."""


def complete(points: Iterable[Point], store: Store, pool: LocalPool, data: str | None, log: TextIO) -> Results:
    """Compute the points that a store lacks, and return all of them.

    What is finished is in the store at once. However this ends, the next run goes on from there; runs of several
    processes over one folder share what is to be done.

    Parameters
    ----------
    points : iterable of Point
    store : Store
    pool : LocalPool
        One thread a worker, so that results do not depend on how many there are.
    data : str or None
        Folder of data sets.
    log : text file
        Is told what is done and how long the rest will take.

    Raises
    ------
    FileError
        The disk is full. What was finished is in the store.
    WorkerLost
        A point has cost three processes their lives.
    TaskError
        There is too little memory for a point.
    """
    wanted = list(dict.fromkeys(points))
    missing = [point for point in wanted if store.get(point) is None]
    with Progress(len(wanted), missing, log) as progress:
        for timed in (False, True):  # what is timed comes last, one at a time
            mine = [point for point in missing if point.measures_time is timed]
            Crew(store, pool, data, progress, 1 if timed else pool.n).work_through(mine)
    found = {point: store.get(point) for point in wanted}
    return {point: result for point, result in found.items() if result is not None}


@dataclass(eq=False)
class Crew:
    """The workers of a pool at some points, each with one at a time."""

    store: Store
    pool: LocalPool
    data: str | None
    progress: Progress
    most: int
    running: dict[Future[Finished], tuple[int, Point, ExitStack]] = field(default_factory=dict)
    deaths: dict[Point, int] = field(default_factory=dict)

    def work_through(self, points: Sequence[Point]) -> None:
        """Compute all of them that no other process computes, and wait for those as well."""
        waiting = sorted(points, key=lambda point: -point.weight)  # long ones first, so that all end together
        try:
            while waiting or self.running:
                waiting = self._given_out(waiting)
                if not self.running:
                    time.sleep(POLL_SECONDS)  # a worker is starting, or others have what is left
                for future in wait(self.running, POLL_SECONDS, FIRST_COMPLETED).done:
                    waiting += self._came_back(future)
        finally:
            self._let_go()

    def _given_out(self, waiting: list[Point]) -> list[Point]:
        """Give idle workers something to do; what is returned waits, or is computed by another process."""
        left: list[Point] = []
        for place, point in enumerate(waiting):
            worker = self._idle()
            if worker is None:
                return left + waiting[place:]
            if not self._taken_up(point, worker):
                left.append(point)
        return left

    def _idle(self) -> int | None:
        """A worker without a point, None where there is none."""
        busy = {worker for worker, _, _ in self.running.values()}
        if len(busy) >= self.most:
            return None
        states = [self.pool.state(worker) for worker in range(self.pool.n)]
        if all(state == "dead" for state in states):
            raise WorkerLost("kofn figure: no worker is left to compute points.", 0)
        return next((w for w, state in enumerate(states) if state == "idle" and w not in busy), None)

    def _taken_up(self, point: Point, worker: int) -> bool:
        """Whether nobody has to care for a point any more: a worker has it now, or another process is done with it."""
        with ExitStack() as claim:
            if not claim.enter_context(self.store.claim(point)):
                return False
            if self.store.get(point) is not None:
                self.progress.done(point, elsewhere=True)
            else:
                future = self.pool.submit(worker, _finished, point, self.data)
                self.running[future] = worker, point, claim.pop_all()
        return True

    def _came_back(self, future: Future[Finished]) -> list[Point]:
        """Write a finished point down; one that its process did not survive is tried again."""
        worker, point, claim = self.running[future]
        try:
            result, seconds, peak = future.result()
        except MemoryError:
            raise TaskError(f"kofn figure: there is too little memory for '{point.title}'; {REMEDY}.", worker) from None
        except WorkerLost as lost:
            del self.running[future]
            claim.close()
            self.deaths[point] = self.deaths.get(point, 0) + 1
            if self.deaths[point] == ATTEMPTS:
                raise WorkerLost(_given_up(point, lost), lost.worker) from None
            return [point]
        self.store.add(point, result, seconds, peak)
        del self.running[future]
        claim.close()
        self.progress.done(point)
        return []

    def _let_go(self) -> None:
        """Write down what came in while something was raised, such as Ctrl-C; what still runs ends with the pool."""
        for future, (_, point, claim) in self.running.items():
            if future.done() and future.exception() is None and self.store.get(point) is None:
                self.store.add(point, *future.result())
            else:
                future.cancel()
            claim.close()
        self.running.clear()


def _given_up(point: Point, lost: WorkerLost) -> str:
    told = f"kofn figure: {ATTEMPTS} processes died while they computed '{point.title}', the last one so: {lost}"
    return f"{told}; if memory is short, {REMEDY}."


def _finished(point: Point, data: str | None) -> Finished:
    """Compute a point at a worker, which has one thread."""
    before = time.process_time()
    # The order of numbers in memory is that in the file, so that sums over them are the same before and after.
    result = {name: np.asarray(value, order="C") for name, value in point.compute(data).items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result, time.process_time() - before, peak
