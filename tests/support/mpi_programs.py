"""Programs for ``mpirun``, one a test: ``mpirun -n 4 python mpi_programs.py NAME``.

The pool is made first, so that rank 0 alone gets any further.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress

import numpy as np

import kofn
from kofn.engines import MPIPool
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
    for name in ("members", "round trip", "arguments", "private", "exception", "unpicklable", "send", "matrix"):
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
