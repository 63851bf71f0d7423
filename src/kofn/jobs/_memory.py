"""What a job may hold in memory, worked out before it starts: all, a few rows at a time, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import checks
from .._base._machine import memory_in_groups, memory_in_machine
from .._base._parallel import address_space
from ..arrays._spill import SpillFile
from ..schemes._encoding import Encoding
from ..schemes._scheme import Scheme
from ..schemes._task import Allocate, Task
from ._stream import TaskStream

Encode = Callable[[Allocate], Sequence[Task]]

NOTHING = 1 << 16
"""Bytes so few that to look how many there are takes longer than to use them."""

POOL_BYTES = 160 << 20
"""Address space that starting a pool takes: the stack of its thread, and what that sets aside for its allocations."""


def available_bytes() -> tuple[int, str]:
    """Memory that this process and its workers may take, and what sets the bound.

    Examples
    --------
    >>> available_bytes()[0] > 0
    True
    """
    bounds = [(memory_in_machine(), "this machine's memory")]
    with suppress(OSError, ValueError):
        bounds.append((_left_in_address_space(), "the limit of address space (ulimit -v)"))
    if (left := memory_in_groups()) is not None:
        bounds.append((left, "the memory limit of the control group"))
    size, what = min(bounds)
    return max(0, size), what


def _left_in_address_space() -> int:
    limit = address_space()
    if limit is None:
        raise ValueError("no limit")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return limit - taken - POOL_BYTES


def memory_limit(call: str, limit: Any, reserved: int = 0) -> tuple[int, str]:
    """A limit as given, or half of the memory there is beside ``reserved`` bytes, and where it comes from."""
    if limit is not None:
        return checks.integer(call, "memory_limit_bytes", limit, 0, "leave it out for half of the memory there is"), ""
    size, what = available_bytes()
    return max(0, size - reserved) // 2, f", half of what {what} leaves"


def check_memory(call: str, needed: int, limit: Any) -> None:
    """Refuse what needs more bytes than a limit, half of the memory there is where none is given."""
    size, origin = memory_limit(call, limit)
    if needed > size:
        _refuse(call, needed, "the size of the encoded blocks", size, origin)


@dataclass(frozen=True)
class MemoryPlan:
    """What a run holds in memory.

    Parameters
    ----------
    encoded_bytes, result_bytes, answer_bytes : int
        All encoded blocks, one result, and the answer; 0 where that is not known before.
    stream_bytes : int or None
        Room for blocks that are encoded when workers ask for rows; None where all are encoded before.
    spills : bool
        Whether results wait in a file.
    """

    encoded_bytes: int
    result_bytes: int
    answer_bytes: int
    stream_bytes: int | None = None
    spills: bool = False

    def of_run(
        self, call: str, encoding: Encoding, scratch: str | os.PathLike[str] | None, by_reference: bool = False
    ) -> RunMemory:
        """The memory of one run, whose results may wait in a file in the folder ``scratch``, or refuse that.

        Where tasks go to workers by reference, blocks that are used as they are stay where they are.
        """
        encode: Encode = partial(encoding.encode, by_reference=by_reference)
        if (room := self.stream_bytes) is not None:
            encode = lambda allocate: TaskStream(encoding, allocate, room)  # noqa: E731
        if not self.spills:
            return RunMemory(encode, self.encoded_bytes)
        folder = tempfile.gettempdir() if scratch is None else scratch
        return RunMemory(encode, self.encoded_bytes, SpillFile(call, folder, len(encoding.needs), self.result_bytes))


@dataclass(frozen=True, eq=False)
class RunMemory:
    """Where the tasks of one run come from, and where its results stay.

    Parameters
    ----------
    encode : callable
        Makes the tasks, in the order of rows.
    encoded_bytes : int
    spill : SpillFile, optional
        The file where results wait that do not fit.
    """

    encode: Encode
    encoded_bytes: int = 0
    spill: SpillFile | None = None

    @property
    def is_short(self) -> bool:
        """Whether there is no room for results that nobody counted on."""
        return self.spill is not None

    def keep(self, row: int, payload: Any) -> Any:
        """A payload where it stays until it is decoded."""
        return payload if self.spill is None else self.spill.keep(row, payload)


def plan_memory(
    call: str, scheme: Scheme, encoding: Encoding, workers: int, limit: Any = None, out: Any = None
) -> MemoryPlan:
    """Plan a run within a limit of bytes for encoded blocks and results.

    Where not all fits, results go to a file without a name, and blocks are encoded when workers ask for rows.

    Parameters
    ----------
    call : str
        Who asks, for the sentence of a refusal.
    scheme : Scheme
    encoding : Encoding
        The scheme's.
    workers : int
        How many rows are under way at the same time.
    limit : int or None
    out : array, optional
        Where the answer goes.

    Raises
    ------
    ArgumentError
        What must be in memory at once exceeds the limit, or the answer does not fit.
    """
    rows, encoded, result = scheme.code.rows, encoding.nbytes, encoding.result_nbytes
    results, under_way = rows * result, min(workers, rows) * result
    plan = MemoryPlan(encoded, result, _answer_bytes(scheme, encoding, out))
    if limit is None and plan.answer_bytes + encoded + results <= NOTHING:
        return plan
    _check_answer(call, plan.answer_bytes)
    size, origin = memory_limit(call, limit, plan.answer_bytes)
    least = encoding.needed_at_once(workers)
    if least + under_way > size:
        what = f"what {workers} workers need at once, encoded blocks and results"
        _refuse(call, least + under_way, what, size, origin)
    if encoded + results <= size:
        return plan
    spills = results > size // 2 or least + results > size
    room = size - (under_way if spills else results)
    return replace(plan, spills=spills, stream_bytes=room if encoded > room else None)


def _answer_bytes(scheme: Scheme, encoding: Encoding, out: Any) -> int:
    """Memory that the answer takes, where it is known before."""
    if encoding.result is None:
        return 0
    layout = scheme.layout(encoding.result)
    return 0 if out is not None and layout.is_direct else layout.nbytes


def _check_answer(call: str, answer: int) -> None:
    size, what = available_bytes()
    if answer > size:
        must = f"be given where the answer, {answer} bytes, does not fit into memory"
        remedy = "pass a memory map made by numpy.lib.format.open_memmap, for example"
        raise checks.refusal(call, "out", must, f"None, and {what} leaves {size} bytes", remedy)


def _refuse(call: str, needed: int, what: str, size: int, origin: str) -> None:
    remedy = "cut both matrices into more blocks (code 'uncoded', 'repetition', 'polynomial' or 'kronecker')"
    got = f"{size}{origin}"
    must = f"be at least {needed}, {what}"
    raise checks.refusal(call, "memory_limit_bytes", must, got, f"{remedy}, use fewer workers, or raise the limit")
