"""What ranks of MPI cost as workers: a task, beside mpi4py's own messages and executor, and a rank that waits.

    mpirun -n 2 python benchmarks/mpi_overheads.py

Prints milliseconds, medians of repeated calls in one run. Nothing is asserted; the machine's noise is in every figure.
"""

from __future__ import annotations

import math
import operator
import statistics
import time

import numpy as np
from engine_overheads import ARRAY, first, median, seconds, traffic

from kofn.engines import MPIPool


def bare_rank(repeats: int, size: int) -> None:
    """What worker 0 does while the client measures messages of mpi4py's own."""
    from mpi4py import MPI

    comm, array = MPI.COMM_WORLD, np.ones(size)
    for _ in range(repeats):
        function, arguments = comm.recv(source=0, tag=77)
        comm.send(function(*arguments), dest=0, tag=77)
    for _ in range(20):
        comm.Recv(array, source=0, tag=77)
        comm.send(first(array), dest=0, tag=77)
        comm.Send(np.ones(size), dest=0, tag=77)


def executor_rank() -> None:
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    with MPICommExecutor(MPI.COMM_WORLD, root=0):
        pass


def bare_traffic(pool: MPIPool) -> dict[str, float]:
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    there, back = [], []
    running = pool.submit(0, bare_rank, 2000, len(ARRAY))

    def no_op() -> None:
        comm.send((operator.index, (3,)), dest=1, tag=77)
        comm.recv(source=1, tag=77)

    def send() -> None:
        comm.Send(ARRAY, dest=1, tag=77)
        comm.recv(source=1, tag=77)

    figures = {"no-op": median(no_op, 2000)}
    result = np.empty_like(ARRAY)
    for _ in range(20):
        there.append(seconds(send))
        back.append(seconds(lambda: comm.Recv(result, source=1, tag=77)))
    running.result()
    return {**figures, "8 MB in": 1e3 * statistics.median(there), "8 MB out": 1e3 * statistics.median(back)}


def executor_traffic(pool: MPIPool) -> dict[str, float]:
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    running = pool.submit(0, executor_rank)
    with MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
        figures = {
            "no-op": median(lambda: executor.submit(operator.index, 3).result(), 2000),
            "8 MB in": median(lambda: executor.submit(first, ARRAY).result(), 20),
            "8 MB out": median(lambda: executor.submit(np.ones, len(ARRAY)).result(), 20),
        }
    running.result()
    return figures


def idle(pool: MPIPool) -> dict[str, float]:
    """Share of a processor that nothing costs, in percent: at the client, there while a task runs, and at a rank."""

    def used() -> float:
        return time.process_time()

    def share(wait: float = 2.0) -> float:
        before = used()
        time.sleep(wait)
        return 100 * (used() - before) / wait

    client, before = share(), pool.submit(0, used).result()
    time.sleep(2.0)
    rank = 100 * (pool.submit(0, used).result() - before) / 2.0
    task = pool.submit(0, time.sleep, 2.2)
    waiting = share()
    task.result()
    return {"client, idle": client, "client, a task runs": waiting, "rank, idle": rank}


def main() -> None:
    with MPIPool() as pool:
        ours = [traffic(pool), bare_traffic(pool), executor_traffic(pool)]
        print(f"{'milliseconds':<28}{'MPIPool':>12}{'send, recv':>12}{'mpi4py.futures':>16}")
        for name in ours[0]:
            print(f"{name:<28}", *(f"{figures.get(name, math.nan):12.4f}" for figures in ours))
        for name, percent in idle(pool).items():
            print(f"{name:<28}{percent:12.2f} % of a processor")


if __name__ == "__main__":
    main()
