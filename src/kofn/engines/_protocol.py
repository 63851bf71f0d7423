"""The seam between kofn and whatever runs tasks: workers with identity, resident data, one task in flight each.

An engine is any object with these members. The queue lives in kofn (``jobs/_state.py``), never in the engine:
kofn submits to a worker only while ``state(worker)`` is ``"idle"``, so nothing ever waits behind a straggler.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

POLL_SECONDS = 0.005
"""How often to look for workers that become ready by themselves, while something waits for one."""


class WorkerState(StrEnum):
    """What a worker is doing."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"
    """For good, in this pool; the others pass by themselves."""


class Stop(StrEnum):
    """How to stop a running task, and what really happened."""

    ABANDON = "abandon"
    """Leave it alone: nobody waits for it any more."""
    INTERRUPT = "interrupt"
    """Raise KeyboardInterrupt in its Python code."""
    KILL = "kill"
    """End its process."""
    NOTHING = "nothing"
    """There was no task to stop: an answer, never a request."""


@dataclass(frozen=True)
class Capabilities:
    """What differs between engines beside speed: told by a pool in ``capabilities``, never guessed.

    Parameters
    ----------
    by_reference : bool
        Whether tasks are the caller's own functions with the caller's own arguments, as in threads. Elsewhere they are
        copies, taken when the task is submitted.
    kills : bool
        Whether a task that goes on although it was stopped, or its future cancelled, is ended after the engine's grace,
        and its worker replaced. Elsewhere the worker is busy until it ends.
    revives : bool
        Whether a worker that died comes back, with the values that were put there. Elsewhere it is dead for good, and
        its rows go to others.
    shares : bool
        Whether arrays from ``empty`` lie where workers see them, however many tasks name them. Elsewhere they are sent
        with each.
    references : bool
        Whether values can stay at workers and be referred to: the pool has the members of `kofn.engines.ReferencePool`.
    outlast : bool
        Whether such a value can be had also while its worker does not answer, and after it is gone: it lies beside it.
    """

    by_reference: bool = False
    kills: bool = False
    revives: bool = False
    shares: bool = False
    references: bool = False
    outlast: bool = False


def capabilities_of(pool: object) -> Capabilities:
    """What ``pool`` tells of itself; a pool may leave it out that has nothing to tell.

    Examples
    --------
    >>> capabilities_of(object())
    Capabilities(by_reference=False, kills=False, revives=False, shares=False, references=False, outlast=False)
    """
    told: Capabilities = getattr(pool, "capabilities", Capabilities())
    return told


def remark_of(pool: object) -> str:
    """What the report of each job on ``pool`` has to say, such as that no worker may die; empty for most.

    Examples
    --------
    >>> remark_of(object())
    ''
    """
    return str(getattr(pool, "remark", ""))


@runtime_checkable
class Pool(Protocol):
    """``n`` workers, numbered 0 … n-1, each of which runs one task at a time."""

    @property
    def n(self) -> int:
        """How many workers the pool has."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocate an array that reaches workers without another copy, where possible."""
        return np.empty(shape, dtype)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Make ``value`` resident at ``worker`` under ``key``; it is replayed if the worker is replaced.

        The value is not changed while it is resident; workers see a private copy-on-write view of it.
        """

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker; unknown keys are ignored."""

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Run ``function(*(resident values of keys), *arguments)`` at an idle worker.

        Arrays from `empty` must not change while a task that got them runs. What a task writes into arrays
        that it was given is undone after it, except where they are handed over by reference (threads). What
        cannot be pickled is refused with `kofn.errors.ArgumentError` and leaves the worker idle.

        Returns
        -------
        concurrent.futures.Future
            Ends with the result, with the exception that the function raised (its remote traceback in
            ``__notes__``), with `kofn.errors.WorkerLost` when the worker dies, with
            `kofn.errors.PoolClosed` when the pool is closed, or cancelled when the task was stopped.
            Its callbacks may run on any thread. To cancel it is to abandon its task, and no other: a `stop` that
            comes late finds what the worker runs next.
        """

    def stop(self, worker: int, how: str) -> Stop:
        """Stop what ``worker`` runs, as gently as ``how`` says, and tell what really happened.

        Returns at once, also when the pool is closed (``nothing``). The task's future is cancelled and its
        late result is dropped. ``abandon`` lets the task run on for at most the engine's grace, if the engine
        can enforce one.
        """

    def state(self, worker: int) -> WorkerState:
        """Tell what ``worker`` is doing."""

    def close(self) -> None:
        """End all workers and release everything; safe to call twice and from any state."""
