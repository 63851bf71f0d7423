"""Tasks whose arguments and results are references: nothing of a run's data passes this process."""

from __future__ import annotations

import math
import queue
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, final

import numpy as np

from ...arrays._remote import Ref, RemoteMatrix, refs_in, with_values
from ...engines._protocol import capabilities_of
from ...engines._references import ReferencePool
from ...errors import PoolClosed, ReferenceLost, WorkerError, WorkerLost
from ...schemes._task import Task
from ...schemes.products._remote import RemoteScheme, Target, combine_results
from .._delivery import Delivery
from .._holders import Holders
from .._moved import Moved
from .._view import RunView
from ..scheduling._placed import Placed, due, late_workers, silent_workers
from ..scheduling._scheduler import InFlight
from ._errands import Errand, run_errands
from ._moves import Move, next_moves
from ._newcomers import Newcomers
from ._pulse import EVERY, SILENT_SECONDS, Pulse
from ._roll_call import absent
from ._shelf import NOBODY, Shelf
from ._whereabouts import as_now

ANSWER_SECONDS = 1.0
"""Who has part of an answer is asked whether he is there, and has so long to say so, and a median row's time."""


@final
class ByReference(Delivery):
    """Tasks go to where their data lies, data moves from worker to worker, and results stay where they are made.

    Parameters
    ----------
    pool : ReferencePool
    scheme : RemoteScheme
    copies : sequence of (Ref, int)
        Blocks that are to lie at another worker, too.
    patience : float
        A worker that is so many medians late may have stopped. Where the engine cannot ask it whether it has, what lies
        there is not counted on.
    """

    losses = (WorkerLost, ReferenceLost)

    def __init__(
        self, pool: ReferencePool, scheme: RemoteScheme, copies: Sequence[tuple[Ref, int]] = (), patience: float = 1.5
    ) -> None:
        self.patience = patience
        self._pool, self._scheme = pool, scheme
        blocks = [*scheme.left.blocks.ravel(), *scheme.right.blocks.ravel()]
        self._outlast = capabilities_of(pool).outlast
        self._shelf, self._blocks = Shelf(as_now(pool, blocks), self._outlast), [ref.key for ref in blocks]
        self._copies = [(ref.key, worker) for ref, worker in copies]
        self._why_alone = ", as copies were not there yet" if copies else " (redundancy=1 makes copies)"
        self._pulse, self._newcomers = Pulse(pool), Newcomers()
        self._keys: dict[int, list[str]] = {}
        self._results: dict[int, str] = {}
        self._numbers = count()
        self._under_way: dict[int, tuple[Move, Future[Ref]]] = {}
        self._landed: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._made: list[Ref] = []
        self._moved = Moved(pool)
        self._said: dict[str, None] = dict.fromkeys(filter(None, [left_out(scheme.left_out)]))
        self._patience_for_errands = ANSWER_SECONDS

    # -- giving out rows ------------------------------------------------------------------------------

    def send(self, worker: int, tasks: Sequence[Task]) -> Future[Any]:
        """Have the only task computed, and its result kept."""
        (task,) = tasks
        return self._pool.keep(worker, task.function, *with_values(task.arguments, partial(self._nearest, worker)))

    def _nearest(self, worker: int, ref: Ref) -> Ref:
        found = self._shelf.nearest(ref.key, worker)
        return ref if found is None else found

    def lacks(self, worker: int, task: Task) -> int:
        """What does not lie there."""
        keys = {ref.key for ref in refs_in(task.arguments)}
        return sum(self._shelf.size(key) for key in keys if not self._shelf.lies_at(key, worker))

    def holders(self) -> Holders:
        """Results count while their workers are there, or whatever becomes of these where the engine says so."""
        return Holders(self.patience, self._outlast)

    def take(self, row: int, worker: int, result: Ref) -> None:
        """The result of a row lies at a worker, beside those of its copies."""
        self._shelf.add(self._results.setdefault(row, result.key), result)

    # -- moving data ----------------------------------------------------------------------------------

    def advance(self, view: RunView, task_of: Callable[[int], Task], wake: Callable[[], None]) -> None:
        """Take note of what has arrived and who is late, and have the next blocks sent."""
        while not self._landed.empty():
            self._land(*self._under_way.pop(self._landed.get()), view.now)
        self._look(view)
        for move in next_moves(self._shelf, view, partial(self._keys_of, task_of), self._copies, self.patience or 0.0):
            self._shelf.expect(move.key, move.worker, move.source, view.now)
            self._start(move, wake)

    def _look(self, view: RunView) -> None:
        for worker, state in enumerate(view.states):
            if state in ("dead", "starting"):
                self._shelf.forget(worker)
                self._newcomers.lost(worker)
                self._copies = [copy for copy in self._copies if copy[1] != worker]  # what comes after it begins late
        dead = {worker for worker, state in enumerate(view.states) if state == "dead"}
        self._shelf.avoided = silent_workers(view, self.patience or 0.0) | self._shelf.silent(view.now) | dead
        self._patience_for_errands = ANSWER_SECONDS + (3.0 * view.pace if np.isfinite(view.pace) else 0.0)
        late = late_workers(view, self.patience or 0.0)
        if view.waiting and late >= view.in_flight.keys():
            self._note_what_is_waited_for()

    def _note_what_is_waited_for(self) -> None:
        at = list(self._shelf.unreachable(self._blocks).values())
        for worker in sorted(set(at)):
            what = "a block that lies" if at.count(worker) == 1 else f"{at.count(worker)} blocks that lie"
            text = f"worker {worker} did not answer: {what} nowhere else had to be waited for"
            self._said.setdefault(text + self._why_alone)

    def _keys_of(self, task_of: Callable[[int], Task], row: int) -> list[str]:
        if row not in self._keys:
            self._keys[row] = list({ref.key: None for ref in refs_in(task_of(row).arguments)})
        return self._keys[row]

    def _start(self, move: Move, wake: Callable[[], None]) -> None:
        ref = self._shelf.nearest(move.key, move.source)
        assert ref is not None, "a move has a source"
        try:
            future = self._pool.send(ref, move.worker)
        except WorkerError:
            self._shelf.failed(move.key, move.worker, move.source, lost=False)
            return
        number, landed = next(self._numbers), self._landed
        self._under_way[number] = move, future

        def land(_: Future[Ref]) -> None:  # it must not hold the future: the copy would stay in a circle
            landed.put(number)
            wake()

        future.add_done_callback(land)

    def _land(self, move: Move, future: Future[Ref], now: float) -> None:
        error = future.exception() if not future.cancelled() else None
        if future.cancelled() or error is not None:
            if isinstance(error, ReferenceLost) and move.source == NOBODY:
                raise _lost_for_good(error)
            self._shelf.failed(move.key, move.worker, move.source, isinstance(error, ReferenceLost))
        else:
            self._shelf.arrived(move.key, future.result(), now)
            self._newcomers.has_data(move.worker)
            self._made.append(future.result())

    # -- who is there ---------------------------------------------------------------------------------

    def silent(self, view: RunView) -> Set[int] | None:
        """Ask workers, where somebody is late or has nothing to do; who comes too late counts as silent."""
        if not self._pulse.can_ask:
            return None
        if self._wonders(view):
            self._pulse.ask(self._unheard_of(view))
        return self._pulse.silent() | self._newcomers.too_late(view)

    def _wonders(self, view: RunView) -> bool:
        """Whether it is worth to ask; while all compute in time there is nothing that could be done better."""
        late = late_workers(view, self.patience or 0.0)
        return bool(view.idle or late or self._shelf.next_overdue() <= view.now)

    def _unheard_of(self, view: RunView) -> Iterator[int]:
        """Who has computed for a while. Where one of them does not answer, all: those who do show whose fault it is.

        Where what travels is late, all, too, for it may come from whoever has stopped.
        """
        everybody = self._shelf.next_overdue() <= view.now or self._pulse.is_waiting()
        for worker, state in enumerate(view.states):
            message = view.in_flight.get(worker)
            is_quiet = state == "busy" and message is not None and _is_quiet(message, view)
            if is_quiet or (everybody and state in ("busy", "idle")):
                yield worker

    def next_look(self, view: RunView) -> float:
        """Soon while workers are asked, else when the next task or move is late."""
        if not self._pulse.can_ask:
            return math.inf
        if self._wonders(view):
            return view.now + 0.5 * EVERY
        dues = (due(message, view, self.patience or 0.0) for message in view.in_flight.values())
        return min((*dues, self._shelf.next_overdue()))

    # -- the answer -----------------------------------------------------------------------------------

    def gone(self, view: RunView) -> Sequence[int]:
        """Ask the workers that have part of the answer whether they are there."""
        if self._outlast:
            return []
        self._look(view)
        asked: dict[int, list[Ref]] = defaultdict(list)
        for row in sorted(view.received):
            ref = self._shelf.nearest(self._results[row], -1)
            if ref is not None:
                asked[ref.worker].append(ref)
        gone = absent(self._pool, self._pulse, asked, view.in_flight, self._patience_for_errands)
        for worker in gone:
            self._shelf.forget(worker)
            self._said.setdefault(f"worker {worker} did not answer at the end: its part was computed again")
        return gone

    @property
    def scheduler(self) -> Placed:
        """By where data lies."""
        return Placed()

    def finished(self, assemble: Callable[[], list[Target]]) -> Callable[[], Any]:
        """The engine's own matrix, made at once: the pool may be closed when somebody looks at it."""
        value = self._finished(assemble())
        return lambda: value

    def _finished(self, value: list[Target]) -> Any:
        """Blocks of the answer: results, what is combined of some at a worker, and zeros where there is none."""
        heights, widths = (tuple(run.size for run in side) for side in (self._scheme.lines, self._scheme.columns))
        targets = [self._at_hand(target) for target in value]
        made = [number for number, target in enumerate(targets) if target.results and not target.is_result]
        errands = [self._errand(targets[number]) for number in made]
        refs = [target.results[0] if target.is_result else None for target in targets]
        avoided, patience = set(self._shelf.avoided) - self._newcomers.workers, self._patience_for_errands
        done = run_errands(self._pool, errands, patience, avoided) if errands else []
        for number, ref in zip(made, done, strict=True):
            refs[number] = ref
        blocks = np.empty(len(refs), object)
        blocks[:] = refs
        return self._pool.export(RemoteMatrix(blocks.reshape(len(heights), -1), heights, widths, self._scheme.dtype))

    def _at_hand(self, target: Target) -> Target:
        refs = [self._nearest(-1, ref) for ref in target.results]
        return Target(target.spec, target.weights, refs)

    def _errand(self, target: Target) -> Errand:
        arguments = list(target.weights), list(target.results), target.spec.shape, target.spec.dtype.str
        return Errand(combine_results, arguments, target.results[0].worker)

    # -- what is told ---------------------------------------------------------------------------------

    @property
    def moved_bytes(self) -> Mapping[tuple[int, int], int]:
        """What travelled since the run began."""
        return self._moved.nbytes

    @property
    def remarks(self) -> Sequence[str]:
        """Which workers did not answer, and what was waited for."""
        return list(self._said)

    def close(self) -> None:
        """Let go of the copies of blocks that were made, and of those under way once they are there."""
        for _, future in self._under_way.values():
            future.add_done_callback(partial(_release, self._pool))
        self._under_way.clear()
        self._pulse.close()
        for ref in self._made:
            self._pool.release(ref)
        self._made.clear()


def _is_quiet(message: InFlight, view: RunView) -> bool:
    """Whether nothing was heard of a row for half its usual time, or for a while: no sooner would anybody act on it."""
    usual = view.pace * sum(view.code.load[row] for row in message.rows)
    return bool(view.now - message.submitted >= min(0.5 * usual, SILENT_SECONDS))


def _release(pool: ReferencePool, future: Future[Ref]) -> None:
    if not future.cancelled() and future.exception() is None:
        with suppress(PoolClosed):
            pool.release(future.result())


def left_out(count: int) -> str:
    """What the report says of copies that were not made.

    Examples
    --------
    >>> left_out(1)
    'of one block no copy was made: workers have no memory for it'
    """
    if not count:
        return ""
    what, it = ("one block", "it") if count == 1 else (f"{count} blocks", "them")
    return f"of {what} no copy was made: workers have no memory for {it}"


def _lost_for_good(error: ReferenceLost) -> ReferenceLost:
    """Build (not raise) what is said of a block that lay at a worker that died, and that nobody can make again."""
    text = "a block of A or B was lost with the worker that had it, and the engine cannot make it again"
    lost = ReferenceLost(f"{text}; have copies made with redundancy=1, or make the matrix anew", error.worker)
    lost.__cause__ = error
    return lost
