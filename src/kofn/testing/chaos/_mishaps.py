"""A pool whose workers die, stand still or are late in the middle of tasks, as a seed says."""

from __future__ import annotations

import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...engines._protocol import Pool
from ...engines._wrapped import Begin, WrappedPool

Mishap = Literal["none", "dies", "stops", "late"]

WAKING_SECONDS = 10.0
"""What a process that has said that it stops may take to do so, on a busy machine."""


@dataclass(frozen=True)
class Chances:
    """How probable it is that a task's worker is killed, is stopped by SIGSTOP for a while, or sleeps.

    Parameters
    ----------
    dies, stops, late : float
        Probabilities.
    seconds : float
        Mean of what it sleeps, and a tenth of what it is stopped for.
    deaths : int
        Most in all, as an engine may need long to replace a worker.
    """

    dies: float = 0.0
    stops: float = 0.0
    late: float = 0.0
    seconds: float = 0.05
    deaths: int = 4

    def draw(self, rng: np.random.Generator) -> tuple[Mishap, float]:
        """What befalls a task, and for how many seconds.

        Examples
        --------
        >>> Chances(late=1.0).draw(np.random.default_rng(0))[0]
        'late'
        """
        luck, seconds = rng.random(), float(rng.exponential(self.seconds))
        if luck < self.dies:
            return "dies", 0.0
        if luck < self.dies + self.stops:
            return "stops", 10 * seconds
        return ("late", seconds) if luck < self.dies + self.stops + self.late else ("none", 0.0)


class Mishaps(WrappedPool):
    """A pool like the one that is wrapped, but that mishaps befall its workers while they run tasks.

    What befalls the t-th task of a worker depends on the seed, the worker and t. A worker that is stopped is woken by
    this process.

    Parameters
    ----------
    pool : Pool
        Closed together with this one.
    chances : Chances
    seed : int
    """

    def __init__(self, pool: Pool, chances: Chances, seed: int) -> None:
        super().__init__(pool)
        self._chances, self._seed = chances, seed
        self._counts, self._deaths, self._lock = [0] * pool.n, 0, threading.Lock()
        self._woken = Waker(Path(tempfile.mkdtemp(prefix="chaos-")))

    def _begin(
        self,
        begin: Begin,
        worker: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keys: tuple[Hashable, ...],
    ) -> Future[Any]:
        """Run ``function`` at ``worker``, where something may happen first."""
        with self._lock:
            task, self._counts[worker] = self._counts[worker], self._counts[worker] + 1
            mishap, seconds = self._chances.draw(np.random.default_rng([self._seed, worker, task]))
            if mishap == "dies":
                self._deaths += 1
                mishap = "dies" if self._deaths <= self._chances.deaths else "none"
        if mishap != "none":
            function = partial(run_with, mishap, seconds, (os.getpid(), str(self._woken.folder)), function)
        return begin(worker, function, *arguments, keys=keys)

    def close(self) -> None:
        """Close the wrapped pool, and wake who was stopped."""
        super().close()
        self._pool.close()
        self._woken.close()


class Waker:
    """Sends SIGCONT to processes that left their number, and how long they are to be stopped, in a folder.

    None is forgotten: a signal that comes before the process has stopped would be lost, and what stands still keeps its
    place in a cluster for ever.

    Parameters
    ----------
    folder : Path
        Removed in the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._end = folder, threading.Event()
        self._due: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, name="chaos-waker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.01):
            self._look()
            self._wake(time.monotonic())

    def _look(self) -> None:
        now = time.monotonic()
        for path in self.folder.glob("stopped-*"):
            self._due[int(path.name.split("-")[1])] = now + float(path.name.split("-")[2])
            path.unlink()

    def _wake(self, until: float) -> None:
        for process in [process for process, due in self._due.items() if due <= until]:
            if (state := state_of(process)) in "T?":
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
            if state in "TZX?":
                del self._due[process]

    def close(self) -> None:
        """Wake everybody, and let nobody stop any more."""
        self._end.set()
        self._thread.join()
        while self.folder.exists():
            self._look()
            with suppress(OSError):  # somebody left a number just now
                self.folder.rmdir()
        until = time.monotonic() + WAKING_SECONDS
        while self._due and time.monotonic() < until:
            self._wake(math.inf)
            time.sleep(0.001)


def state_of(process: int) -> str:
    """The letter that Linux has for what a process does: "T" where it is stopped, "X" where it is gone, "?" elsewhere.

    Examples
    --------
    >>> state_of(os.getpid()) in "RS?"
    True
    """
    if not Path("/proc/self/stat").exists():
        return "?"
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def run_with(mishap: Mishap, seconds: float, home: tuple[int, str], function: Callable[..., Any], *values: Any) -> Any:
    """What a worker does that something happens to; in the program's own process nobody dies."""
    process, folder = home
    if mishap == "late":
        time.sleep(seconds)
    elif os.getpid() != process and mishap == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif os.getpid() != process and mishap == "stops":
        with suppress(OSError):  # the folder goes with the pool
            (Path(folder) / f"stopped-{os.getpid()}-{seconds:.3f}").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
    return function(*values)
