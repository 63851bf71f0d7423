"""Engines to try: what they run on is started once, and a pool is made for each round."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ... import checks
from ...engines import LocalPool, ThreadPool
from ...engines._protocol import Pool, WorkerState
from ...errors import require, require_installed
from ._draws import CLUSTER_WORKERS, Engine

MakePool = Callable[[int], Pool]

START_SECONDS = 90.0
"""What workers of a cluster may take to be there, at the start and after deaths."""

ENGINES = {
    engine.name: engine
    for engine in (
        Engine("local", dies=True, stops=True),
        Engine("threads"),
        Engine("dask", dies=True, stops=True, cluster=True),
        Engine("ray", dies=True, stops=True, cluster=True),
        Engine("mpi", cluster=True),
        Engine("virtual", virtual=True),
    )
}
"""By name."""


@contextmanager
def session(name: str) -> Iterator[MakePool]:
    """What makes pools of an engine, as long as this lasts."""
    checks.choice("kofn.testing.chaos", "engine", name, ENGINES, "leave it out for 'local'")
    with _SESSIONS[name]() as make_pool:
        yield make_pool


@contextmanager
def _local() -> Iterator[MakePool]:
    yield LocalPool


@contextmanager
def _threads() -> Iterator[MakePool]:
    yield ThreadPool


@contextmanager
def _dask() -> Iterator[MakePool]:
    """A scheduler and workers with nannies, started by Dask's own commands."""
    require_installed("chaos on Dask", "distributed")
    with ExitStack() as ours:
        folder = Path(ours.enter_context(tempfile.TemporaryDirectory(prefix="chaos-dask-", ignore_cleanup_errors=True)))
        file = folder / "scheduler.json"
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-show", "--dashboard-address", ":0"]
        ours.callback(_end, _dask_process(folder, *scheduler, "--scheduler-file", str(file)))
        for number in range(CLUSTER_WORKERS):
            worker = ["worker", "--scheduler-file", str(file), "--name", f"w{number}", "--nthreads", "1", "--nanny"]
            options = ["--memory-limit", "0", "--no-dashboard", "--local-directory", str(folder)]
            ours.callback(_end, _dask_process(folder, *worker, *options))
        with require("chaos on Dask", "distributed"):
            from distributed import Client
        _until(file.exists)
        client = ours.enter_context(Client(scheduler_file=str(file), set_as_default=False, timeout=START_SECONDS))

        def make_pool(workers: int) -> Pool:
            from ...engines import DaskPool

            _until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) >= CLUSTER_WORKERS)
            return DaskPool(client)

        yield make_pool


def _dask_process(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    log = (folder / f"{command[0]}-{time.monotonic_ns()}.log").open("wb")
    with log:
        return subprocess.Popen(
            [*ending_with_us("dask"), *command], stdout=log, stderr=log, cwd=folder, start_new_session=True
        )


def ending_with_us(module: str) -> list[str]:
    """A command line that runs a module in a process that is ended when this one dies, whatever it dies of (Linux)."""
    prctl = "sys.platform == 'linux' and ctypes.CDLL(None).prctl(1, signal.SIGTERM)"  # PR_SET_PDEATHSIG
    text = f"import ctypes, runpy, signal, sys; {prctl}; runpy.run_module({module!r}, None, '__main__', True)"
    return [sys.executable, "-c", text]


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, 9)
    process.wait()


@contextmanager
def _ray() -> Iterator[MakePool]:
    with require("chaos on Ray", "ray"):
        import ray
    options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=12, object_store_memory=300_000_000, **options)
    from ...engines import RayPool

    def make_pool(workers: int) -> Pool:
        pool = RayPool(workers, grace_seconds=0.1)
        _until(lambda: any(pool.state(worker) == WorkerState.IDLE for worker in range(pool.n)))
        return pool

    try:
        yield make_pool
    finally:
        ray.shutdown()


@contextmanager
def _mpi() -> Iterator[MakePool]:
    """The other ranks of this program: ``mpirun -n 5 python -m kofn.testing.chaos --engine mpi``."""
    from ...engines.mpi._pool import MPIPool

    with MPIPool() as first:
        checks.integer("kofn.testing.chaos", "ranks", first.n + 1, CLUSTER_WORKERS + 1, "start it with mpirun -n 5")
    yield lambda workers: MPIPool()


@contextmanager
def _virtual() -> Iterator[MakePool]:
    yield _no_pool


def _no_pool(workers: int) -> Pool:
    raise AssertionError("a pool in virtual time is made of the delays of its round")


def _until(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("the cluster is not there")
        time.sleep(0.02)


_SESSIONS: Mapping[str, Any] = {
    "local": _local, "threads": _threads, "dask": _dask, "ray": _ray, "mpi": _mpi, "virtual": _virtual,
}  # fmt: skip
