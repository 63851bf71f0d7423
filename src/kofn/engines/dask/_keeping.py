"""What runs at a Dask worker so that values stay there: kept, found for tasks, and copied from worker to worker.

A value is stored as Dask stores what a client scatters: it can be spilled, moved by Dask when its worker retires, and
used by anybody's tasks, and the scheduler knows no task that would make it again. Travelling is no task: it runs
beside whatever the worker computes, and leaves no second copy under one key, of which Dask would drop either.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._base._snapshots import seal, unseal

if TYPE_CHECKING:
    from distributed import Worker

ORPHAN = 30.0
"""Seconds after which a copy is let go that its client has not asked the scheduler for: it died meanwhile."""

PAUSE = 0.01
"""Seconds until a worker that serves many others is asked again."""

REGISTERING = 60.0
"""Seconds that a scheduler has to take note of a value."""

_pulls: dict[str, asyncio.Task[Any]] = {}
_called_off: deque[str] = deque(maxlen=1000)
_looks: set[asyncio.Task[None]] = set()


class Missing(Exception):
    """Values that a task needs are not here."""


def values_here(needs: Mapping[str, str]) -> dict[str, Any]:
    """The values of a task's references, by the references' keys, such that nothing the task does changes them."""
    from distributed import get_worker

    data = get_worker().data if needs else {}
    found = {}
    for name, key in needs.items():
        try:
            found[name] = unseal(seal(data[key]))
        except KeyError:
            raise Missing(name) from None
    return found


def keep(value: Any, task: str, key: str, client: str) -> tuple[Any, int] | None:
    """Store the result of a task at this worker; return shape and type, where it is an array, and its size.

    Called in the task's own thread. Nothing is stored for a client that is gone, or has given up the task: nobody
    would ever let go of it.
    """
    from distributed import get_worker

    worker = get_worker()
    value = _compact(value)
    storing = asyncio.run_coroutine_threadsafe(_store(worker, value, task, key, client), worker.loop.asyncio_loop)
    size = storing.result(REGISTERING)
    about = (value.shape, value.dtype) if isinstance(value, np.ndarray) else None
    return None if size is None else (about, size)


def _compact(value: Any) -> Any:
    """A part of a larger array by itself, or all of it would stay."""
    if not isinstance(value, np.ndarray):
        return value
    base = value
    while isinstance(base.base, np.ndarray):
        base = base.base
    return value.copy() if base.nbytes > value.nbytes else value


async def _store(worker: Worker, value: Any, task: str, key: str, client: str) -> int | None:
    state = worker.state.tasks.get(task)
    if state is None or state.state not in ("executing", "long-running"):
        return None
    size: int = worker.update_data({key: value})["nbytes"][key]
    await worker.scheduler.update_data(who_has={key: [worker.address]}, nbytes={key: size}, client=client)
    return size


async def pull(source: str, key: str, address: str, dask_worker: Worker) -> tuple[str, Any]:
    """Copy a value from the worker at ``address`` to this one, under a key of its own.

    Returns
    -------
    str
        ``"held"``, ``"missing"`` there, ``"unreachable"``, or ``"off"`` where `call_off` was quicker.
    int or str
        Bytes, or what went wrong.
    """
    if key in _called_off:
        return "off", ""
    task = _pulls[key] = asyncio.ensure_future(_pull(source, key, address, dask_worker))
    try:
        await asyncio.wait([task])
        return ("off", "") if task.cancelled() else task.result()
    finally:
        task.cancel()
        _pulls.pop(key, None)


async def _pull(source: str, key: str, address: str, worker: Worker) -> tuple[str, Any]:
    try:
        data = worker.data if address == worker.address else await _asked(source, address, worker)
        value = data[source]
    except KeyError:
        return "missing", ""
    except OSError as error:
        return "unreachable", str(error)
    return "held", _held({key: value}, worker)[key]


def share(sources: Mapping[str, str], dask_worker: Worker) -> dict[str, int]:
    """Have values of this worker under other keys, too: those that are in its memory; bytes of each.

    Parameters
    ----------
    sources : mapping
        What a value is to be called, and what it is called.
    """
    there = getattr(dask_worker.data, "memory", dask_worker.data)  # what was spilled stays on disk
    return _held({key: there[source] for key, source in sources.items() if source in there}, dask_worker)


def _held(values: Mapping[str, Any], worker: Worker) -> dict[str, int]:
    """Hold values that somebody asks the scheduler for soon, and let go of them if nobody does."""
    sizes: dict[str, int] = worker.update_data(dict(values))["nbytes"] if values else {}
    asyncio.get_running_loop().call_later(ORPHAN, _look_after, list(sizes), worker)
    return sizes


async def _asked(source: str, address: str, worker: Worker) -> Mapping[str, Any]:
    from distributed.worker import get_data_from_worker

    while True:
        response = await get_data_from_worker(worker.rpc, [source], address, who=worker.address)
        if response["status"] != "busy":
            data: Mapping[str, Any] = response.get("data", {})
            return data
        await asyncio.sleep(PAUSE)


def call_off(key: str, dask_worker: Worker) -> None:
    """End a copy that nobody waits for any more."""
    if key in _pulls:
        _pulls[key].cancel()
    else:
        _called_off.append(key)  # it may be asked for later


def _look_after(keys: Sequence[str], worker: Worker) -> None:
    here = [key for key in keys if key in worker.data]
    if here:
        task = asyncio.ensure_future(_free_orphans(here, worker))
        _looks.add(task)
        task.add_done_callback(_looks.discard)


async def _free_orphans(keys: Sequence[str], worker: Worker) -> None:
    with contextlib.suppress(OSError):
        holders = await worker.scheduler.who_has(keys=keys)
        for key in keys:
            if not holders.get(key):
                free(key, worker)


def free(key: str, worker: Worker) -> None:
    """Let go of a value that the scheduler does not know."""
    from distributed.worker_state_machine import FreeKeysEvent

    worker.handle_stimulus(FreeKeysEvent(keys=[key], stimulus_id=f"kofn-free-{time.time()}"))
