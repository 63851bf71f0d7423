"""Looking at processes from the outside, for tests."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kofn.engines import LocalPool
from kofn.testing._belongings import child_processes

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def slow_but(names: Iterable[str], fast: Collection[str]) -> list[Any]:
    """Parameters of a test of which all but a few are left to the long run."""
    return [pytest.param(name, marks=[] if name in fast else [pytest.mark.slow]) for name in names]


def crossed(first: Iterable[str], second: Iterable[str]) -> list[Any]:
    """Parameters of a test of pairs: fast runs have each name of both in some pair, the long run has every pair."""
    rows, columns = list(first), list(second)
    longest = max(len(rows), len(columns))
    fast = {(rows[number % len(rows)], columns[number % len(columns)]) for number in range(longest)}
    pairs = [(row, column) for row in rows for column in columns]
    return [pytest.param(*pair, marks=[] if pair in fast else [pytest.mark.slow]) for pair in pairs]


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def opens(gate: Path) -> Callable[[], bool]:
    """A task that ends when that file is there; a closure, because workers need not have the module of a test."""

    def wait() -> bool:
        while not gate.exists():
            time.sleep(0.01)
        return True

    return wait


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that its new parent has not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def held() -> set[str]:
    """Threads, child processes and open descriptors of this process, each under a name of its own.

    What others began earlier may end meanwhile, so that a test looks for what is new and counts nothing.
    """
    found = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    found |= {f"process {pid}" for pid in child_processes()}
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(f"descriptor {path.name} {path.readlink()}")
    return found


def pid_of(pool: LocalPool, worker: int) -> int:
    pid = pool.pids()[worker]
    assert pid is not None
    return pid
