"""A Dask cluster of separate processes on this machine, that ends with the test."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kofn.engines import DaskPool
from kofn.testing.chaos._engines import ending_with_us
from processes import until

QUIET = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}
"""Dask measures itself up to a hundred times a second, for which four idle workers took a sixth of a processor."""


class Processes:
    """A scheduler and workers, started by Dask's own commands and found through a file.

    Parameters
    ----------
    prefix : sequence of str
        What each command line begins with, such as ``ip netns exec NAME``; by default nothing.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0, prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.start(
            "scheduler", *prefix, *dask("scheduler"), "--host", host, "--port", str(port), "--no-show",
            "--dashboard-address", ":0", "--scheduler-file", str(self.file),
        )  # fmt: skip

    def start(self, name: str, *command: str) -> None:
        """Start a process whose output goes to a file of that name."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=os.environ | QUIET,
                start_new_session=True,
            )

    def worker(self, name: str, *options: str, scheduler: str = "", prefix: Sequence[str] = ()) -> None:
        """Start a worker of that name."""
        where = [scheduler] if scheduler else ["--scheduler-file", str(self.file)]
        self.start(
            name, *prefix, *dask("worker"), *where, "--name", name, "--nthreads", "1",
            "--memory-limit", "0", "--no-dashboard", "--local-directory", str(self.folder), *options,
        )  # fmt: skip

    def kill(self, name: str) -> None:
        """Kill a process and whatever it started."""
        process = self.running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Kill everything."""
        for name in list(self.running):
            self.kill(name)

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        import json

        until = time.monotonic() + 60
        while True:
            assert time.monotonic() < until, self.log("scheduler")
            try:
                return str(json.loads(self.file.read_text(encoding="utf-8"))["address"])
            except (OSError, ValueError):
                time.sleep(0.05)


def dask(command: str) -> list[str]:
    """The command line of ``dask scheduler`` or ``dask worker``."""
    return [*ending_with_us("dask"), command]


@contextmanager
def processes(*names: str, options: Sequence[str] = ("--no-nanny",)) -> Iterator[Processes]:
    """A scheduler and workers of those names."""
    with tempfile.TemporaryDirectory(prefix="kofn-dask-", ignore_cleanup_errors=True) as folder:
        cluster = Processes(Path(folder))
        try:
            for name in names:
                cluster.worker(name, *options)
            yield cluster
        finally:
            cluster.close()


def keys_at(client: Any) -> dict[str, list[Any]]:
    """Keys of all that lies at each worker, as the workers say."""
    found: dict[str, list[Any]] = client.run(lambda dask_worker: list(dask_worker.data))
    return found


def told(client: Any, action: str, since: float) -> int:
    """How often a scheduler has told everybody of something since then; not all that it tells could be sent here."""

    def count(dask_scheduler: Any) -> int:
        events = dask_scheduler.get_events("all")
        return sum(event.get("action") == action for stamp, event in events if stamp > since)

    found: int = client.run_on_scheduler(count)
    return found


def scheduler_time(client: Any) -> float:
    """What its clock says."""
    now: float = client.run_on_scheduler(time.time)
    return now


def address(pool: Any, worker: int) -> str:
    """Of the process that serves a worker of a `DaskPool`."""
    found: str = pool._slots[worker].address
    return found


@contextmanager
def tidy_pool(client: Any) -> Iterator[DaskPool]:
    """A pool of four workers, at which nothing may stay that nobody refers to."""
    client.wait_for_workers(4, 60)
    with DaskPool(client) as pool:
        until(lambda: all(pool.state(worker) == "idle" for worker in range(4)), 30)
        yield pool
    gc.collect()  # tracebacks of expected exceptions
    until(lambda: not any(keys_at(client).values()), 10)
