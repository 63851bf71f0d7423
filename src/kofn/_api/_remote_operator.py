"""`kofn.operator` of a matrix that lies at workers: it stays there, and vectors are sent."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, Unpack, cast, final

import numpy as np

from .. import checks
from .._base._closeable import Closeable
from .._base._numbers import Array, Flags, Floats
from ..arrays._remote import Ref, RemoteMatrix
from ..codes._linear import LinearCode
from ..engines._protocol import WorkerState
from ..engines._references import ReferencePool
from ..errors import KofnError, KofnWarning, WorkerLost
from ..jobs._answer import Answer
from ..jobs._lease import PoolLease
from ..jobs._options import OptionKeywords, Options
from ..jobs._plan import Plan
from ..jobs.remote._deal import Deal, deal
from ..jobs.remote._errands import Errand, run_errands
from ..jobs.remote._room import free, rooms_of
from ..jobs.scheduling import Spares
from ..schemes._task import Task
from ..schemes.products._operands import check_matrix, plain_array
from ..schemes.products._remote import Run, cut_into_runs, inputs_of, sketch_left
from ..schemes.products._remote_side import RemoteSide, multiply_rows
from ..schemes.products._scheme import SKETCH
from ._remote import SKETCH_SECONDS, where_they_lie
from ._vectors import ByProducts

CALL = "kofn.operator"

RUNS_A_WORKER = 4
"""What lies at a worker is computed in so many parts: a late one is little."""

ATTEMPTS = 3
"""So often is a block sent to a worker that is lost, or is only coming back."""

POLL_SECONDS = 0.02
"""How often to look whether it is there."""

FETCH_SECONDS = 5.0
"""How long it may take to bring a sketch here."""


@final
class RemoteOperator(Closeable, ByProducts):
    """A matrix at workers as a linear operator; made by `kofn.operator` of a matrix of the engine's own.

    Attributes
    ----------
    answer : Answer or None
        Of the last product: whether it was exact, its error bar and its report.
    """

    def __init__(self, matrix: RemoteMatrix, lease: PoolLease, options: Options, rng: Any) -> None:
        self._lease, self._pool = lease, cast(ReferencePool, lease.pool)
        redundancy = (1 if lease.n > 2 else 0) if options.redundancy is None else int(options.redundancy)
        self._options = options.settled(CALL, lease.n)
        self._redundancy, self._matrix = redundancy, matrix
        self._runs = tuple(cut_into_runs(matrix.heights, RUNS_A_WORKER * lease.n))
        self._seed = int(checks.generator(CALL, rng).integers(1 << 63))
        self._made: list[Ref] = []
        try:
            self._copies, owners = self._dealt(options.redundancy is None)
            self._sketches = self._sketch(owners)
        except BaseException:
            self.close()
            raise
        self.answer: Answer | None = None
        super().__init__(matrix.dtype, matrix.shape)
        self._plans = [self._plan(owners, adjoint) for adjoint in (False, True)]

    def _dealt(self, may_do_without: bool) -> tuple[list[tuple[Ref, Ref]], list[list[int]]]:
        """Copies of blocks, made now, and the workers of each run."""
        tasks = [self._task(run) for run in self._runs]
        blocks, needs = inputs_of(tasks)
        held, sizes = where_they_lie(blocks, self._lease.n)
        dealt = deal(needs, sizes, held, np.array([float(run.size) for run in self._runs]), 0)
        moves, owners = _places(dealt, needs, sizes, held, self._redundancy)
        if self._redundancy and (short := _short_of_room(moves, sizes, free(sizes, held, rooms_of(self._pool)))):
            if not may_do_without:
                must, remedy = "be copies for which workers have memory", "pass redundancy=0, or use more workers"
                raise checks.refusal(CALL, "redundancy", must, short, remedy)
            warnings.warn(
                f"{CALL}: there are no copies of the matrix, which would take {short}: what lies at a worker that "
                "stops cannot be had elsewhere; pass redundancy=0 to say so, or use more workers",
                KofnWarning,
                stacklevel=5,
            )
            self._redundancy = 0
            moves, owners = _places(dealt, needs, sizes, held, 0)
        futures = [self._pool.send(blocks[block], worker) for block, worker in moves]
        for (block, worker), future in zip(moves, futures, strict=True):
            self._made.append(self._arrived(future, blocks[block], worker))
        return [(blocks[block], copy) for (block, _), copy in zip(moves, self._made, strict=True)], owners

    def _arrived(self, future: Future[Ref], block: Ref, worker: int) -> Ref:
        """The copy of a block, for which a worker is waited for that is starting again."""
        for attempt in range(ATTEMPTS):
            try:
                return future.result()
            except WorkerLost:
                if attempt == ATTEMPTS - 1 or self._pool.state(worker) == WorkerState.DEAD:
                    raise
            while self._pool.state(worker) == WorkerState.STARTING:
                time.sleep(POLL_SECONDS)
            future = self._pool.send(block, worker)
        raise AssertionError("the last attempt raises")

    def _task(self, run: Run) -> Task:
        return Task(multiply_rows, ([list(row) for row in self._matrix.blocks[run.first : run.last]],))

    def _plan(self, owners: Sequence[Sequence[int]], adjoint: bool) -> Plan:
        count = len(self._runs)
        rows = [(run, worker) for turn in range(self._redundancy + 1) for run, worker in _of_turn(owners, turn)]
        load = np.array([float(run.size) for run in self._runs])
        load /= load.mean()
        runs = [run for run, _ in rows]
        code = LinearCode(
            "copies", np.eye(count)[runs], np.ones((1, count)) if adjoint else np.eye(count),
            np.array([worker for _, worker in rows]), load[runs],
        )  # fmt: skip
        sketches = partial(self._brought, adjoint)
        side = RemoteSide(code, self._matrix, self._runs, self._copies, adjoint, sketches)
        auto = self._options.scheduler == "auto"
        return Plan(side, self._lease, replace(self._options, scheduler=Spares()) if auto else self._options)

    def _sketch(self, owners: Sequence[Sequence[int]]) -> dict[bool, list[Ref]]:
        """Sketches of all runs in either direction, which stay at the workers until an estimate is asked for."""
        height = max(run.size for run in self._runs)
        errands = []
        for run, workers in zip(self._runs, owners, strict=True):
            blocks, bounds = self._task(run).arguments[0], (run.skip, run.skip + run.size)
            errands.append(Errand(sketch_left, (self._seed, height, blocks, bounds), workers[0]))
            errands.append(Errand(sketch_across, (self._seed, blocks, bounds), workers[0]))
        refs = run_errands(self._pool, errands, SKETCH_SECONDS, set())
        self._made += refs
        return {False: refs[::2], True: refs[1::2]}

    def _brought(self, adjoint: bool) -> list[Array]:
        """The sketches; of a run whose sketch cannot be had the mean of the others."""
        futures = [self._pool.fetch(ref) for ref in self._sketches[adjoint]]
        found: list[Array | None] = []
        for future in futures:
            try:
                found.append(future.result(FETCH_SECONDS))
            except (KofnError, TimeoutError):
                found.append(None)
        sizes = [np.linalg.norm(one) for one in found if one is not None]
        fill: Callable[[Run], Array] = lambda run: _filled(self._matrix, run, adjoint, sizes)  # noqa: E731
        return [fill(run) if one is None else one for one, run in zip(found, self._runs, strict=True)]

    @checks.named(CALL)
    def product(self, x: Array, *, adjoint: bool = False, **changes: Unpack[OptionKeywords]) -> Answer:
        """A x (or its adjoint) for an (n, columns) array, with its error bar and report; see `kofn.operator`."""
        given = changes.pop("redundancy", None)
        if given is not None and given != self._redundancy:
            must, remedy = f"be {self._redundancy}, as of the operator", "leave it out, or make another operator"
            raise checks.refusal(CALL, "redundancy", must, repr(given), remedy)
        inner = self.shape[0 if adjoint else 1]
        x = plain_array("x", x)
        x, _ = check_matrix("x", x.astype(np.result_type(x, self.dtype), order="C", copy=False), 1)
        if len(x) != inner:
            raise checks.refusal(CALL, "x", f"have {inner} rows", f"shape {x.shape}", "transpose it, or the operator")
        self.answer = self._plans[adjoint].run(x, **changes)
        return self.answer

    def close(self) -> None:
        """Let go of the copies at the workers; the matrix itself stays whoever's it is."""
        if getattr(self._pool, "is_open", True):
            for ref in self._made:
                self._pool.release(ref)
        self._made.clear()
        self._lease.close()


def sketch_across(seed: int, blocks: Sequence[Sequence[Array]], bounds: tuple[int, int]) -> Array:
    """(A Ω)ᴴ of some rows of blocks, with the same Ω whichever they are."""
    wide = np.hstack([np.vstack(column)[bounds[0] : bounds[1]] for column in zip(*blocks, strict=True)])
    omega = np.random.default_rng([seed, 1]).standard_normal((wide.shape[1], SKETCH))
    return np.asarray((wide @ omega).conj().T)


def _places(
    dealt: Deal, needs: Flags, sizes: Floats, held: Flags, redundancy: int
) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """What has to be copied where, and the workers of each run: the first as dealt, then others, each as many runs.

    Runs of one block go to one worker, so that the block is copied once.
    """
    there, load = held.copy(), np.zeros(held.shape[1])
    owners: list[list[int]] = [[] for _ in dealt.rows]
    for row, worker in zip(dealt.rows, dealt.workers, strict=True):
        owners[row].append(worker)
        there[needs[row], worker] = True
    for turn in range(redundancy):
        share = (turn + 1) * len(owners) / held.shape[1]
        for row, workers in enumerate(owners):
            missing = np.where(there[needs[row]], 0.0, sizes[needs[row], None]).sum(axis=0)
            others = set(range(held.shape[1])) - set(workers)
            worker = min(others, key=lambda one: (load[one] >= share, missing[one], load[one], one))
            load[worker] += 1
            workers.append(worker)
            there[needs[row], worker] = True
    return [(int(block), int(worker)) for block, worker in np.argwhere(there & ~held)], owners


def _short_of_room(moves: Sequence[tuple[int, int]], sizes: Floats, left: Floats) -> str:
    """Which worker has no memory for the copies that are to be made there, in words; nothing where all have."""
    asked = np.zeros(len(left))
    for block, worker in moves:
        asked[worker] += sizes[block]
    short = np.flatnonzero(asked > left).tolist()
    if not short:
        return ""
    worker = short[0]
    return f"{asked[worker] / 1e6:.1f} MB for worker {worker}, which has {max(0.0, left[worker]) / 1e6:.1f} MB left"


def _of_turn(owners: Sequence[Sequence[int]], turn: int) -> list[tuple[int, int]]:
    return [(run, workers[turn]) for run, workers in enumerate(owners)]


def _filled(matrix: RemoteMatrix, run: Run, adjoint: bool, sizes: Sequence[Any]) -> Array:
    """Numbers in place of a sketch, as large as those of others in the mean."""
    shape = (SKETCH, run.size if adjoint else matrix.shape[1])
    drawn = np.random.default_rng(run.start).standard_normal(shape)
    size = float(np.mean(sizes)) if sizes else 1.0
    return drawn * (size / np.linalg.norm(drawn))
