"""What belongs to this process, so that a check can say what a closed pool left behind."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

LEFT_BY_OTHERS = ("shared memory sm_segment", "shared memory sem.", "shared memory joblib_", "shared memory .")
"""What other programs leave that were killed: MPI, multiprocessing, joblib and browsers. kofn makes none of these."""


def child_processes() -> set[str]:
    """Numbers of this process's children, zombies among them; nothing where there is no ``/proc``."""
    return {process for process, parent in parents().items() if parent == str(os.getpid())}


def parents() -> dict[str, str]:
    """The parent of every process; not from ``/proc/self/task/*/children``, whose file a thread takes along."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found[path.parent.name] = path.read_bytes().rpartition(b")")[2].split()[1].decode()
    return found


def belongings() -> set[str]:
    """Child processes, kofn's threads and shared memory: what a pool might leave behind."""
    children = {f"process {pid}" for pid in child_processes()}
    threads = {f"thread {t.ident} {t.name}" for t in threading.enumerate() if t.name.startswith("kofn")}
    return children | threads | set(shared_memory())


def everything(beside_a_cluster: bool = False) -> set[str]:
    """All of that, every other thread, open descriptors, and files in the folder of temporary files.

    Beside a cluster, whose workers come and go, connections to it and its shared memory say nothing.
    """
    found = belongings()
    found |= {f"thread {thread.ident} {thread.name}" for thread in threading.enumerate() if _is_pythons(thread)}
    found |= {f"file {path}" for path in Path(tempfile.gettempdir()).iterdir()}
    for path in Path("/proc/self/fd").glob("*"):
        with suppress(FileNotFoundError):
            found.add(f"descriptor {path.name} {path.readlink()}")
    passing = ("shared memory ", " socket:") if beside_a_cluster else ()
    return {name for name in found if not any(word in name for word in passing)}


def _is_pythons(thread: threading.Thread) -> bool:
    """Whether a thread was started by Python; others leave a record when they call it, which stays when they end."""
    return not isinstance(thread, threading._DummyThread)


def left_since(before: set[str], now: set[str] | None = None) -> set[str]:
    """What is new since then, without the shared memory of other programs, which lies in the same folder.

    ``now`` is what there is, `belongings` by default.
    """
    new = (belongings() if now is None else now) - before
    files = shared_memory() if new else {}
    ours, others = _mapped() if new else (set(), set())
    return {
        name
        for name in new
        if (node := files.get(name)) not in others and (node in ours or not name.startswith(LEFT_BY_OTHERS))
    }


def shared_memory() -> dict[str, str]:
    """The inode of each file in ``/dev/shm``."""
    found = {}
    for path in Path("/dev/shm").glob("*"):
        with suppress(FileNotFoundError):
            found[f"shared memory {path.name}"] = str(path.stat().st_ino)
    return found


def _mapped() -> tuple[set[str], set[str]]:
    """Inodes that this process and its descendants map, and those of others; a semaphore's file changes its name."""
    known, ours = parents(), {str(os.getpid())}
    while more := {process for process, parent in known.items() if parent in ours} - ours:
        ours |= more
    found: tuple[set[str], set[str]] = set(), set()
    for process in known:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            maps = Path(f"/proc/{process}/maps").read_text()
            found[process not in ours].update(re.findall(r"(\d+) +/dev/shm/", maps))
    return found
