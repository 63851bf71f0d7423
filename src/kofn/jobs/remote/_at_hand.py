"""Tasks whose data lies at workers and whose results come back: products with vectors, terms of sums, inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, final

from ...arrays._remote import Ref, refs_in, with_values
from ...engines._references import ReferencePool
from ...errors import ReferenceLost, WorkerLost
from ...schemes._task import Task
from .._delivery import Delivery
from .._message import send
from .._moved import Moved
from .._placement import Placement
from ._shelf import Shelf
from ._whereabouts import as_now


@final
class AtHand(Delivery):
    """Tasks go to where their data lies; what else they need is sent with them, or was placed there.

    Parameters
    ----------
    pool : ReferencePool
    placement : Placement
        Where resident values are noted.
    blocks : sequence of Ref
        Looked up again: the engine may have moved them since they were made.
    copies : sequence of (Ref, Ref)
        A block, and a copy of it elsewhere.
    """

    losses = (WorkerLost, ReferenceLost)

    def __init__(
        self,
        pool: ReferencePool,
        placement: Placement,
        blocks: Sequence[Ref],
        copies: Sequence[tuple[Ref, Ref]] = (),
    ) -> None:
        self._pool, self._placement, self._moved = pool, placement, Moved(pool)
        self._shelf = Shelf(as_now(pool, blocks))
        for (block, _), copy in zip(copies, as_now(pool, [copy for _, copy in copies]), strict=True):
            self._shelf.add(block.key, copy)
        for worker in range(pool.n):
            if pool.state(worker) == "dead":
                self._shelf.forget(worker)

    def place(self, worker: int, tasks: Sequence[Task]) -> int:
        """Make resident what they need beside, once."""
        return sum(self._placement.ensure(worker, task) for task in tasks)

    def send(self, worker: int, tasks: Sequence[Task]) -> Future[Any]:
        """Submit them with what lies nearest to the worker."""
        nearest = partial(self._nearest, worker)
        near = [replace(task, arguments=with_values(task.arguments, nearest)) for task in tasks]
        return send(self._pool, worker, near, [key for task in tasks for key in self._placement.keys(task)])

    def _nearest(self, worker: int, ref: Ref) -> Ref:
        return self._shelf.nearest(ref.key, worker) or ref

    def lacks(self, worker: int, task: Task) -> int:
        """What does not lie there."""
        keys = {ref.key for ref in refs_in(task.arguments)}
        away = sum(self._shelf.size(key) for key in keys if not self._shelf.lies_at(key, worker))
        return away + self._placement.missing(worker, task)

    @property
    def moved_bytes(self) -> Mapping[tuple[int, int], int]:
        """What travelled since the run began."""
        return self._moved.nbytes
