"""Programs for ``mpirun``, one a test: ``mpirun -n 4 python mpi_programs.py NAME``.

The pool is made first, so that rank 0 alone gets any further.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial

import numpy as np

import kofn
from kofn.engines import MPIPool, RemoteMatrix
from kofn.engines.mpi._join import held_here
from kofn.testing import check_engine, check_references
from processes import until

RNG = np.random.default_rng(7)
A, B = RNG.standard_normal((60, 30)), RNG.standard_normal((30, 40))


def battery(pool: MPIPool, payload: str, *lacking: str) -> None:
    lacks = dict.fromkeys(lacking, "this MPI ends with any rank")
    found = check_engine(MPIPool, lacks=lacks, payload_bytes=int(payload), straggler_seconds=3.0, patience_seconds=60.0)
    print(json.dumps(found))


def held_bytes(pool: MPIPool) -> int:
    """What ranks hold, by their own count."""
    return sum(pool.submit(worker, held_here).result() for worker in range(pool.n))


def references(pool: MPIPool, payload: str, *lacking: str) -> None:
    lacks = dict.fromkeys(lacking, "this MPI ends with any rank")
    found = check_references(
        MPIPool, lacks=lacks, held_bytes=held_bytes, payload_bytes=int(payload), straggler_seconds=3.0,
        patience_seconds=60.0,
    )  # fmt: skip
    print(json.dumps(found))


def part_of_the_battery(pool: MPIPool) -> None:
    """What leaves a pool as it found it; a job by the name of the engine; and a task that nobody can end."""
    from kofn.testing import _reference_checks as checks
    from kofn.testing._battery import BatterySettings
    from kofn.testing._engines import _ALONE, ENGINE_CHECKS, _straggler

    settings = BatterySettings(lambda: pool, 10_000_000, 3.0, 60.0)
    for check in ENGINE_CHECKS.values():
        if check not in _ALONE and check is not _straggler:
            check(pool, settings)
    more = checks.ReferenceSettings(lambda: pool, 10_000_000, 3.0, 60.0, held_bytes)
    for name in (
        "members",
        "round trip",
        "arguments",
        "private",
        "exception",
        "unpicklable",
        "send",
        "matrix",
        "own references",
    ):
        checks.REFERENCE_CHECKS[name](pool, more)
    until(lambda: held_bytes(pool) == 0)
    answer = kofn.matmul(A, B, workers="mpi")
    assert answer.exact and np.allclose(answer.value, A @ B)
    assert any("ends the whole program with any rank that dies" in remark for remark in answer.report.remarks)
    pool.submit(0, time.sleep, 60)
    assert pool.stop(0, "interrupt") == "interrupt"
    until(lambda: pool.state(0) == "idle", 30)
    pool.submit(0, sleep_on)


def sleep_on() -> None:
    while True:
        with suppress(KeyboardInterrupt):
            time.sleep(60)


def a_rank_is_killed(pool: MPIPool) -> None:
    """Between the runs of a product, and in the middle of one: every row is needed."""
    scheme = kofn.schemes.uncoded(A, B, workers=pool.n)
    with kofn.prepare(scheme, pool) as plan:
        assert plan.run().exact
        os.kill(pool.pids()[1] or 0, signal.SIGKILL)
        answer = plan.run()
        assert answer.exact and np.allclose(answer.value, A @ B) and not answer.report.remarks
    assert pool.state(1) == "dead"
    future = pool.submit(2, time.sleep, 60)
    os.kill(pool.pids()[2] or 0, signal.SIGKILL)
    error = future.exception(30)
    assert isinstance(error, kofn.WorkerError) and str(error) == "worker 2 is lost: its rank of MPI has ended", error
    answer = kofn.matmul(A, B, workers=pool)
    assert answer.exact and np.allclose(answer.value, A @ B)
    with MPIPool() as rest:
        assert rest.n == pool.n - 2
        assert list(kofn.map(abs, [-1, -2, -3], workers=rest).value) == [1, 2, 3]


def block(seed: int, rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def spread(pool: MPIPool, rows: int, columns: int, seed: int) -> tuple[RemoteMatrix, np.ndarray]:
    """A matrix that is made at the ranks, and the same one here."""
    heights = tuple(len(part) for part in np.array_split(range(rows), pool.n))
    blocks = np.empty((pool.n, 1), object)
    for worker, height in enumerate(heights):
        blocks[worker, 0] = pool.keep(worker, block, seed + worker, height, columns).result()
    whole = np.concatenate([block(seed + worker, height, columns) for worker, height in enumerate(heights)])
    return pool.export(RemoteMatrix(blocks, heights, (columns,), np.dtype(float))), whole


def gathered(pool: MPIPool, matrix: RemoteMatrix) -> np.ndarray:
    return np.block([[pool.fetch(ref).result(60) for ref in row] for row in matrix.blocks])


def is_dead(pool: MPIPool, worker: int) -> bool:
    return pool.state(worker) == "dead"


def matrices_that_stay(pool: MPIPool) -> None:
    """Nothing of them passes the client, and what was exported outlives its pool."""
    left, right = spread(pool, 120, 90, 1), spread(pool, 90, 100, 100)
    answer = kofn.matmul(left[0], right[0], workers=pool, redundancy=1)
    assert answer.exact and answer.report.received_bytes == 0
    assert np.allclose(gathered(pool, answer.value), left[1] @ right[1])
    assert sum(pool.moved().values()) >= 90 * 100 * 8
    pool.close()
    with MPIPool() as another:
        assert np.allclose(gathered(another, answer.value), left[1] @ right[1])
        again = kofn.matmul(answer.value, B.T[:1].repeat(100, 0), workers=another)
        assert np.allclose(gathered(another, again.value), left[1] @ right[1] @ B.T[:1].repeat(100, 0))
        del answer, again, left, right
        gc.collect()  # frames of expected exceptions hold some
        until(lambda: held_bytes(another) == 0)


def a_rank_is_killed_during_a_product_that_stays(pool: MPIPool) -> None:
    """With copies on their way it is exact; without, what is lost is told, or was not needed any more."""
    for seed in (1, 2):
        left, right = spread(pool, 1200, 900, seed), spread(pool, 900, 1000, 100 + seed)
        first = kofn.matmul(left[0], right[0], workers=pool, redundancy=1)
        assert first.exact
        victim = next(worker for worker in range(pool.n) if pool.state(worker) != "dead")
        threading.Timer(0.03, os.kill, (pool.pids()[victim] or 0, signal.SIGKILL)).start()
        try:
            answer = kofn.matmul(left[0], right[0], workers=pool, redundancy=1)
            assert np.allclose(gathered(pool, answer.value), left[1] @ right[1])
        except kofn.ReferenceLost:  # before there was a copy, or in what the answer is made of
            pass
        until(partial(is_dead, pool, victim), 60)
        answer = kofn.matmul(left[1], right[1], workers=pool, redundancy=1)
        assert answer.exact and np.allclose(answer.value, left[1] @ right[1])
        pool = MPIPool()


def a_rank_is_stopped(pool: MPIPool) -> None:
    """To the end of the program, which does not wait for it."""
    os.kill(pool.pids()[1] or 0, signal.SIGSTOP)
    answer = kofn.matmul(A, B, workers=pool, redundancy=1)
    assert answer.exact and np.allclose(answer.value, A @ B)


def a_rank_uses_mpi(pool: MPIPool) -> None:
    error = pool.submit(0, lambda: kofn.map(abs, [-1], workers="mpi")).exception(30)
    assert isinstance(error, kofn.KofnError) and "a task that runs at a rank of MPI cannot use MPI" in str(error)


def bad_names(pool: MPIPool) -> None:
    for name, said in ("mpi:3", "'mpi:3'"), (type("Comm", (), {"__module__": "mpi4py.MPI"})(), "a Comm"):
        try:
            kofn.map(abs, [-1], workers=name)
        except kofn.ArgumentError as error:
            assert str(error).endswith(f"but got {said}; mpirun says how many ranks there are; write 'mpi'."), error
        else:
            raise AssertionError("it must be refused")


def spends_little(pool: MPIPool) -> None:
    """A rank that waits, and a client that waits for it, rest nearly all of the time; processor time is asserted."""

    def used(wait: float) -> float:
        before = time.process_time()
        time.sleep(wait)
        return time.process_time() - before

    before = pool.submit(1, time.process_time).result()
    task = pool.submit(0, time.sleep, 1.0)
    assert used(0.9) < 0.2
    task.result()
    assert used(1.0) < 0.2
    assert pool.submit(1, time.process_time).result() - before < 0.3


def fails(pool: MPIPool) -> None:
    raise LookupError("no licence")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    with MPIPool() as pool:
        globals()[name](pool, *arguments)
    print("done")
