"""Actors of a Ray cluster behind kofn's seam."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..._base._closeable import at_end
from ..._base._envelope import error_line
from ...checks import integer, number, refusal
from ...errors import PoolClosed, WorkerLost, require, require_installed
from .._engine import CLOSED
from .._entry import EngineEntry, count_in
from .._protocol import Capabilities, WorkerState
from .._slots import close_slots
from ._clerk import Clerk
from ._keeping import RayKeeping
from ._kept import Travels
from ._session import Session, is_connected, join
from ._slot import SHUT_DOWN, RaySlot, Shelf
from ._worker import RayWorker

CALL = "kofn.RayPool"

START_SECONDS, ENOUGH_SECONDS = 60.0, 10.0
"""How long the constructor waits for one worker, and for all of them once there is one."""

OWN: Mapping[str, object] = MappingProxyType({"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 1})
"""What kofn says to Ray of each actor: that kofn gives its task to another one is not for Ray to do again."""


class RayPool(RayKeeping):
    """``n`` actors of a Ray cluster.

    The Ray that this process is connected to is used, else one that runs on this machine or at ``RAY_ADDRESS`` is
    joined; else one is started here, which is shut down with the last pool that uses it. kofn must be installed, in one
    version, on all machines of the cluster.

    Arguments, results and what is resident travel through Ray's object store, a large resident array once to each
    machine, however many of its workers need it. A task that is stopped has the grace to end; then, and with ``"kill"``
    at once, its actor is ended and another one takes its place, as for an actor that dies. That takes a second or so.
    What was resident there is sent again. What tasks print is in Ray's logs, or where your own ``ray.init`` sends it.

    Parameters
    ----------
    n : int, optional
        How many workers; as many as the cluster has processors, if it is left out. More than there is room for wait
        until there is.
    options : mapping, optional
        What each actor needs, as Ray's ``.options(…)`` takes it: ``{"num_cpus": 4}``, ``{"num_gpus": 1}``,
        ``{"runtime_env": …}``. If it is left out, one processor each, or no claim where Ray was started for pools.
    grace_seconds : float
        How long an abandoned task may run on before its actor is replaced; ``inf``: for ever. One whose functions or
        classes are new to its actor has ten seconds at least, as they may have to be imported; `warm` gets actors
        through that before the first call.

    Raises
    ------
    MissingPackage
        Ray is not installed.
    WorkerLost
        No worker could be started.
    """

    def __init__(
        self, n: int | None = None, *, options: Mapping[str, Any] | None = None, grace_seconds: float = 1.0
    ) -> None:
        if n is not None:
            integer(CALL, "n", n, 1, "leave it out for as many as there are processors")
        if grace_seconds != math.inf:
            number(CALL, "grace_seconds", grace_seconds, "use math.inf to let abandoned tasks run on")
        if own := OWN.keys() & (options or {}):
            must, remedy = f"leave {', '.join(sorted(OWN))} to kofn", "leave them out"
            raise refusal(CALL, "options", must, ", ".join(sorted(own)), remedy)
        with require(CALL, "ray"):
            import ray

        session = join(CALL, math.ceil((n or 1) * float((options or {}).get("num_cpus") or 0)))
        try:
            wanted = {"num_cpus": 0 if session.is_ours else 1, **(options or {}), **OWN}
            make = _maker(ray.remote(RayWorker), wanted)
            count = n or _room(wanted["num_cpus"])
            shelf, slots, travels = Shelf(), list[RaySlot](), Travels()
            clerk = Clerk(lambda: _look(session, slots, travels))
        except BaseException:
            session.leave()
            raise
        self._finalizer = at_end(self, _end, slots, shelf, travels, clerk, session)
        self._session, self._grace = session, float(grace_seconds)
        try:
            slots += [RaySlot(index, make, clerk, shelf, self._grace) for index in range(count)]
            super().__init__(slots, clerk, shelf, travels)
            self._await_start()
        except BaseException:
            self._finalizer()
            raise

    @property
    def capabilities(self) -> Capabilities:
        """It ends what hangs, unless its grace is for ever."""
        return Capabilities(kills=math.isfinite(self._grace), revives=True, references=True, outlast=True)

    def pids(self) -> list[int | None]:
        """Return the process id of each worker on its machine, None while it has none."""
        return [slot.process for slot in self._slots]

    def close(self) -> None:
        """End all actors and release what was placed there. Safe to call twice and from any state."""
        super().close()
        self._finalizer()

    def __repr__(self) -> str:
        return f"<RayPool of {self.n}: {', '.join(self.state(worker) for worker in range(self.n))}>"

    def _await_start(self) -> None:
        begun = time.monotonic()
        until = begun + START_SECONDS
        for slot in self._slots:
            while not slot.settled.wait(0.05):
                idle = any(slot.state is WorkerState.IDLE for slot in self._slots)
                if time.monotonic() > (begun + ENOUGH_SECONDS if idle else until):
                    break
        if all(slot.state is not WorkerState.IDLE for slot in self._slots):
            why = next((slot.why for slot in self._slots if slot.why), None) or _none_yet(START_SECONDS)
            raise WorkerLost(f"{CALL}: no worker could be started: {why}", 0)

    def _slot(self, call: str, worker: int) -> RaySlot:
        slot = super()._slot(call, worker)
        if not is_connected():
            raise PoolClosed(f"{call}: {SHUT_DOWN}")
        return slot


def _maker(actor: Any, wanted: Mapping[str, Any]) -> Callable[[], Any]:
    try:
        made = actor.options(**wanted)
    except (TypeError, ValueError) as error:
        raise refusal(CALL, "options", "be what Ray knows", error_line(error), "see Ray's Actor.options") from error
    return lambda: made.remote()


def _room(processors: float) -> int:
    """For how many workers the cluster has processors."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1) // (processors or 1)))


def _none_yet(seconds: float) -> str:
    """What is known where no actor has come, and Ray does not say why."""
    import ray

    have, free = ray.cluster_resources(), ray.available_resources()
    told = ", ".join(f"{free.get(kind, 0):g} of {have[kind]:g} {kind}" for kind in ("CPU", "GPU") if kind in have)
    return (
        f"none has come in {seconds:g} seconds; the cluster has no room for one or is too busy ({told or 'none'} free)"
    )


def _look(session: Session, slots: Sequence[RaySlot], travels: Travels) -> None:
    if not session.is_reachable:
        travels.end(PoolClosed(SHUT_DOWN))
        for slot in slots:
            slot.lose_ray()


def _end(slots: Sequence[RaySlot], shelf: Shelf, travels: Travels, clerk: Clerk, session: Session) -> None:
    close_slots(slots)
    travels.end(PoolClosed(CLOSED))
    shelf.clear()
    clerk.end()
    session.leave()


def _make(workers: Any, call: str) -> RayPool:
    require_installed(f"{call}: workers={workers!r}" if isinstance(workers, str) else f"{call}: Ray", "ray")
    if not isinstance(workers, str):
        must, got = "be 'ray', 'ray:8' or a kofn.RayPool, where it is of Ray", f"a {type(workers).__name__}"
        raise refusal(call, "workers", must, got, "write 'ray'")
    return RayPool(count_in(workers, call))


ENTRY = EngineEntry(
    _make,
    "actors of a running Ray, else of one that is started here",
    "ray, or ray:8",
    Capabilities(kills=True, revives=True, references=True, outlast=True),
    "ray",
)
