"""How many processors and how much memory this process may use: what is left of what the machine has.

A machine's own numbers say little: a process may be bound to a few processors, and its control group, or one around it,
may have a share of their time and a part of the memory. Whatever asks "how many", asks here.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MEMORY = Path("/proc/meminfo")

UNLIMITED = 1 << 60
"""Bytes from which a limit is none: version 1 of control groups writes a huge number for "no limit"."""


def processors() -> int:
    """How many processors this process may use: those that it is bound to, and no more than its share of time.

    A share is rounded up: of one and a half processors, the second is there half of the time.

    Examples
    --------
    >>> 1 <= processors() <= (os.cpu_count() or 1)
    True
    """
    return max(1, min(_bound_to(), _allowed(os.getpid())))


@cache
def _allowed(process: int) -> int:
    """What the control groups of a process allow, looked up once: every large product asks, and they hardly change."""
    return min(map(_share, groups("cpu")), default=sys.maxsize)


def _bound_to() -> int:
    # What PYTHON_CPU_COUNT says counts where Python knows it.
    count = getattr(os, "process_cpu_count", None) or (
        (lambda: len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else os.cpu_count
    )
    return count() or 1


def _share(group: Path) -> int:
    """How many processors a control group has the time of."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if (share := int(quota) / int(period)) > 0:  # "max" is no int, and -1 stands for it
            return math.ceil(share)
    return sys.maxsize


def memory_in_machine() -> int:
    """Bytes that programs may still take from this machine without swapping.

    Examples
    --------
    >>> memory_in_machine() > 0
    True
    """
    with suppress(OSError, KeyError, ValueError, IndexError):
        fields = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_in_groups() -> int | None:
    """Bytes that are left to this process in its control groups; None where they have no limit."""
    left = min(map(_left, groups("memory")), default=math.inf)
    return max(0, int(left)) if left < math.inf else None


def _left(group: Path) -> float:
    new = (group / "memory.max").exists()
    limits = ("memory.max", "memory.high") if new else ("memory.limit_in_bytes",)
    limit = min(_limit(group / name) for name in limits)
    with suppress(OSError, ValueError):
        return limit - _used(group, "memory.current" if new else "memory.usage_in_bytes", "" if new else "total_")
    return limit


def _used(group: Path, name: str, prefix: str) -> int:
    """What a group holds and would not give back: what was only read from files goes when the room is needed."""
    used = int((group / name).read_text())
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    gives = [f"{prefix}inactive_file", f"{prefix}active_file", "slab_reclaimable"]
    return max(0, used - sum(int(stat.get(key, 0)) for key in gives))


def _limit(file: Path) -> float:
    with suppress(OSError, ValueError):
        if (limit := int(file.read_text())) < UNLIMITED:
            return limit
    return math.inf


def groups(controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in, of one controller, innermost first."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds and controller not in kinds.split(","):
                continue
            root = GROUPS / (controller if kinds else "")
            here = root / path.lstrip("/")
            yield from (here, *(parent for parent in here.parents if parent.is_relative_to(root)))
