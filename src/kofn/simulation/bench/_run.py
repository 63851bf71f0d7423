"""What a simulated run knows of itself: arrays, so that the loops over them can be compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._base._numba import compiled
from ..._base._numbers import Floats

IDLE, BUSY, ABSENT, GONE = range(4)
"""What a worker is: it could compute, it does, it is not there yet, it never will be again."""

ARRIVED, PLAIN, KNOWN, STARTED, MADE, WAITING = range(6)
"""Places in ``counts``: results, those of them that are rows of the code, messages that came back and that were sent,
combinations that were made, rows that wait."""

SECONDS, WORK, MOVED = range(3)
"""Places in ``total``: seconds for load 1 of messages that brought news, load that was computed, that was sent."""


class Rules(NamedTuple):
    """A policy as numbers.

    Parameters
    ----------
    rows, needed : int
        Rows of the code, and how many different results are enough.
    load : float
        Of a row, in units of a worker's share of plain work.
    batch : int
        Rows that go into a message where they wait; backups go one by one.
    steals : bool
        Whether rows that wait for a busy worker move to an idle one.
    backup : int
        What an idle worker does when nothing waits, one of those in `_backups`.
    quantile, multiplier, minimum : float
        Of the rule that says when a row may be copied. With kofn's own, 0 is at once.
    first : float
        Seconds for load 1 that stand for the median before anything has come back, with kofn's own; inf for none.
    cancels : bool
        Whether a message is ended when all its rows have come from elsewhere.
    restart : float
        After how many medians a message is ended and its rows given out again; inf for never.
    holders : int
        How many workers hold the data of a row; 0 for all.
    move : float
        What it costs to compute a row elsewhere, in units of its load.
    """

    rows: int
    needed: int
    load: float
    batch: int
    steals: bool
    backup: int
    quantile: float
    multiplier: float
    minimum: int
    first: float
    cancels: bool
    restart: float
    holders: int
    move: float


class Run(NamedTuple):
    """Where everything is in one trial. By worker, unless it says otherwise.

    ``rows`` are the ``size`` rows that a busy worker computes: of the code, or a combination; these are numbered after
    the rows of the code. ``lanes`` are the rows that wait, the next one at ``head``. By row: in whose lane it waits,
    ``owner``; ``received``, ``copies`` under way, ``restarts``, and ``skew``, how much longer it takes than others.
    ``known`` are seconds for load 1 of all messages that came back, sorted.
    """

    state: NDArray[np.int64]
    rows: NDArray[np.int64]
    size: NDArray[np.int64]
    began: Floats
    ends: Floats
    load: Floats
    attempt: NDArray[np.int64]
    lanes: NDArray[np.int64]
    head: NDArray[np.int64]
    received: NDArray[np.bool_]
    copies: NDArray[np.int64]
    restarts: NDArray[np.int64]
    owner: NDArray[np.int64]
    skew: Floats
    known: Floats
    counts: NDArray[np.int64]
    total: Floats


def new_run(rules: Rules, workers: int) -> Run:
    """Arrays for runs of a policy."""
    whole, real = np.int64, np.float64
    rows = rules.rows + rules.needed + workers  # combinations that came, and one under way at each worker
    return Run(
        state=np.zeros(workers, whole),
        rows=np.zeros((workers, rules.batch), whole),
        size=np.zeros(workers, whole),
        began=np.zeros(workers, real),
        ends=np.zeros(workers, real),
        load=np.zeros(workers, real),
        attempt=np.zeros(workers, whole),
        lanes=np.zeros((workers, rows), whole),  # what was ended may all wait in one
        head=np.zeros(workers, whole),
        received=np.zeros(rows, np.bool_),
        copies=np.zeros(rows, whole),
        restarts=np.zeros(rows, whole),
        owner=np.zeros(rows, whole),
        skew=np.ones(rows, real),
        known=np.zeros(4 * rules.rows + 8 * workers, real),
        counts=np.zeros(6, whole),
        total=np.zeros(3, real),
    )


@compiled
def reset(rules: Rules, run: Run, start: Floats, skew: Floats) -> None:
    """Let a run begin: rows are dealt round, as `kofn.schemes` deals them."""
    workers, depth = run.lanes.shape
    for row in range(rules.rows):
        run.owner[row] = row % workers
        task = row % workers + workers * (row // workers // rules.batch)
        run.skew[row] = skew[task % len(skew)]
    if rules.needed < rules.rows:
        run.skew[: rules.rows] = run.skew[: rules.needed].max()  # a static code mixes all blocks
    run.received[:] = False
    run.copies[:] = 0
    run.restarts[:] = 0
    run.counts[:] = 0
    run.counts[WAITING] = rules.rows
    run.total[:] = 0.0
    run.attempt[:] = 0
    run.size[:] = 0
    run.ends[:] = np.inf
    for worker in range(workers):
        run.state[worker] = ABSENT if start[worker] > 0 else IDLE
        run.head[worker] = depth - (rules.rows - worker + workers - 1) // workers
        for place in range(run.head[worker], depth):
            run.lanes[worker, place] = worker + (place - run.head[worker]) * workers


@compiled
def waits_for(run: Run, worker: int) -> int:
    """The next row that waits for a worker; -1 for none."""
    head = run.head[worker]
    return run.lanes[worker, head] if head < run.lanes.shape[1] else -1


@compiled
def take(rules: Rules, run: Run, worker: int, owner: int) -> None:
    """Let a worker have the next rows that wait for one, itself or another."""
    depth = run.lanes.shape[1]
    while run.head[owner] < depth and run.size[worker] < rules.batch:
        row = run.lanes[owner, run.head[owner]]
        run.head[owner] += 1
        run.counts[WAITING] -= 1
        run.rows[worker, run.size[worker]] = row
        run.size[worker] += 1


@compiled
def put_back(run: Run, row: int) -> None:
    """Let a row wait again, at the head of its lane, unless it has come or somebody has it."""
    if not run.received[row] and run.copies[row] == 0:
        owner = run.owner[row]
        run.head[owner] -= 1
        run.lanes[owner, run.head[owner]] = row
        run.counts[WAITING] += 1


@compiled
def combined(rules: Rules, run: Run) -> int:
    """A new row that combines all that is missing; it takes as long as the slowest row in it."""
    made = rules.rows + run.counts[MADE]
    run.counts[MADE] += 1
    run.skew[made] = 0.0
    for row in range(rules.rows):
        if not run.received[row]:
            run.skew[made] = max(run.skew[made], run.skew[row])
    return int(made)


@compiled
def median(run: Run) -> float:
    """Seconds that load 1 takes, as `kofn.jobs.scheduling._pace.Pace` has it; inf before the first."""
    known = run.counts[KNOWN]
    if known == 0:
        return np.inf
    upper = run.known[known // 2]
    return float(upper if known % 2 else (run.known[known // 2 - 1] + upper) / 2)


@compiled
def measure(run: Run, seconds: float) -> None:
    """Take note of what came back."""
    known = run.counts[KNOWN]
    if known < len(run.known):
        place = np.searchsorted(run.known[:known], seconds)
        for other in range(known, place, -1):
            run.known[other] = run.known[other - 1]
        run.known[place] = seconds
        run.counts[KNOWN] = known + 1
