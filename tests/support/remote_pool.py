"""A pool whose workers keep values, over one that keeps none: in virtual time or in threads."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, pairwise

import numpy as np

from kofn.arrays._remote import with_values
from kofn.arrays._spec import ArraySpec
from kofn.engines import Promise, Ref, RemoteMatrix, WorkerState
from kofn.engines._future import run_here
from kofn.engines._wrapped import WrappedPool
from kofn.errors import ReferenceLost
from kofn.jobs.remote._roll_call import say_nothing


@dataclass(frozen=True, eq=False)
class Tiled:
    """A matrix in blocks at workers: cut at these rows and columns, block (n, p) at worker ``home(n, p)``."""

    matrix: np.ndarray
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    home: object

    shape = property(lambda self: self.matrix.shape)
    dtype = property(lambda self: self.matrix.dtype)
    ndim = 2


@dataclass(frozen=True, eq=False)
class Lying:
    """A value that lies at a worker, as users of this engine have it."""

    value: object
    worker: int


class RemotePool(WrappedPool):
    """Values lie in this process, in a table for each worker; what is not in a worker's table travels.

    Parameters
    ----------
    pool : Pool
    seconds_per_byte : float
        Of virtual time, for what travels by `send`.
    stopped : mapping of worker to seconds
        From then on nothing travels from it or to it, and no task of it ends.
    pings : bool
        Whether workers can be asked if they are there, whatever they compute.
    outlast : bool
        Values lie beside the workers, and can be had when these are dead.
    rooms : sequence of triples
        What `room` tells of each worker; without, there is no such member.
    """

    def __init__(self, pool, seconds_per_byte=0.0, stopped=None, pings=False, outlast=False, rooms=None):
        super().__init__(pool)
        if rooms is not None:
            self.room = lambda: rooms
        self._pings, self.asked, self._outlast = pings, 0, outlast
        self._rate, self._stopped = seconds_per_byte, stopped or {}
        self._hung = set()
        for worker, when in self._stopped.items():
            self._pool._slots[worker].deliver = partial(self._deliver, worker, self._pool._slots[worker].deliver, when)
        self._at: dict[str, dict[int, object]] = {}
        self._moved = Counter()
        self._numbers = count()
        self.kept = set()  # keys that were made here and not released

    @property
    def capabilities(self):
        return replace(self._pool.capabilities, references=True, outlast=self._outlast)

    def _deliver(self, worker, deliver, when, *what):
        if self.clock_now() < when:
            deliver(*what)
        else:
            self._hung.add(worker)

    def state(self, worker):
        """A task that hangs keeps its worker busy, whoever has abandoned it."""
        return WorkerState.BUSY if worker in self._hung else super().state(worker)

    def submit(self, worker, function, *arguments, keys=()):
        if (
            function is say_nothing and self.clock_now() < self._stopped.get(worker, np.inf) and hasattr(self, "clock")
        ):  # takes no time, as it does none of the work
            promise = Promise()
            ok, value = run_here(partial(self._perform, worker, function), (arguments,))
            promise.take(ok, lambda: value)
            return promise.future
        return self._pool.submit(worker, partial(self._perform, worker, function), arguments, keys=keys)

    def keep(self, worker, function, *arguments, keys=()):
        return self._pool.submit(worker, partial(self._keep, worker, function), arguments, keys=keys)

    def _perform(self, worker, function, *values):
        *residents, arguments = values
        return function(*residents, *with_values(tuple(arguments), partial(self._value, worker)))

    def _keep(self, worker, function, *values):
        return self._put(self._perform(worker, function, *values), worker)

    def _value(self, worker, ref):
        copies = self._there(ref.key)
        if worker not in copies:
            if not copies:
                raise ReferenceLost(f"{ref.key} is lost", worker)
            source = min(copies)
            self._moved[source, worker] += ref.size
            return copies[source]
        return copies[worker]

    def _there(self, key):
        copies = self._at.get(key, {})
        return {w: value for w, value in copies.items() if self._outlast or self.state(w) != "dead"}

    def _put(self, value, worker, key=None):
        key = key or f"value-{next(self._numbers)}"
        self._at.setdefault(key, {})[worker] = value
        self.kept.add(key)
        spec = ArraySpec.of(value) if isinstance(value, np.ndarray) else None
        return Ref(key, worker, spec)

    def fetch(self, ref):
        future = Future()
        copies = self._there(ref.key)
        if copies:
            future.set_result(next(iter(copies.values())))
        else:
            future.set_exception(ReferenceLost(f"{ref.key} is lost", ref.worker))
        return future

    def send(self, ref, worker):
        promise = Promise()
        if self.clock_now() >= min(self._stopped.get(ref.worker, np.inf), self._stopped.get(worker, np.inf)):
            return promise.future  # never
        if ref.worker not in self._there(ref.key):
            promise.fail(ReferenceLost(f"{ref.key} is lost", ref.worker))
            return promise.future

        def land():
            if self.clock_now() >= min(self._stopped.get(ref.worker, np.inf), self._stopped.get(worker, np.inf)):
                return
            copies = self._there(ref.key)
            if ref.worker not in copies:
                promise.fail(ReferenceLost(f"{ref.key} is lost", ref.worker))
                return
            self._moved[ref.worker, worker] += ref.size
            promise.settle(self._put(copies[ref.worker], worker))

        if self._rate:
            self.clock.at(self.clock.now() + self._rate * ref.size, land)
        else:
            land()
        return promise.future

    @property
    def ping(self):
        """Of an engine that can ask workers whether they are there; the others have no such member."""
        if not self._pings:
            raise AttributeError("ping")
        return self._asked

    def _asked(self, worker):
        promise = Promise()
        self.asked += 1
        if self.clock_now() < self._stopped.get(worker, np.inf):
            promise.settle(None)
        return promise.future

    def clock_now(self):
        return self.clock.now() if hasattr(self, "clock") else -np.inf

    def release(self, ref):
        self._at.pop(ref.key, None)
        self.kept.discard(ref.key)

    def adopt(self, value):
        if not isinstance(value, Tiled):
            return None
        edges = [[0, *value.rows, value.shape[0]], [0, *value.columns, value.shape[1]]]
        heights, widths = (tuple(np.diff(edge).tolist()) for edge in edges)
        blocks = np.empty((len(heights), len(widths)), object)
        for n, (top, bottom) in enumerate(pairwise(edges[0])):
            for p, (left, right) in enumerate(pairwise(edges[1])):
                blocks[n, p] = self._put(value.matrix[top:bottom, left:right], value.home(n, p) % self.n)
                self.kept.discard(blocks[n, p].key)
        return RemoteMatrix(blocks, heights, widths, value.dtype)

    def refer(self, values):
        """References, and values that a `Lying` says are at a worker."""
        return [
            self._put(value.value, value.worker % self.n)
            if isinstance(value, Lying)
            else self._as_now(value)
            if isinstance(value, Ref)
            else None
            for value in values
        ]

    def _as_now(self, ref):
        return replace(ref, worker=min(self._there(ref.key), default=ref.worker))

    def move(self, source, target):
        """What an engine may do by itself: all that lies at one worker goes to another."""
        for copies in self._at.values():
            if source in copies:
                copies[target] = copies.pop(source)

    def export(self, matrix):
        blocks = matrix.blocks.copy()
        for (n, p), ref in np.ndenumerate(matrix.blocks):
            shape = matrix.heights[n], matrix.widths[p]
            blocks[n, p] = np.zeros(shape, matrix.dtype) if ref is None else self.fetch(ref).result()
        return np.block(blocks.tolist())

    def moved(self):
        return dict(self._moved)

    def close(self):
        super().close()
        self._pool.close()
