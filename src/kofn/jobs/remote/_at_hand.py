"""Tasks whose data lies at workers and whose results come back: products of a matrix that stays with vectors."""

from __future__ import annotations

from collections.abc import Sequence
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
from ._shelf import Shelf


@final
class AtHand(Delivery):
    """Tasks go to where their data lies; what else they need is sent with them.

    Parameters
    ----------
    pool : ReferencePool
    blocks : sequence of Ref
    copies : sequence of (Ref, Ref)
        A block, and a copy of it elsewhere.
    """

    losses = (WorkerLost, ReferenceLost)

    def __init__(self, pool: ReferencePool, blocks: Sequence[Ref], copies: Sequence[tuple[Ref, Ref]]) -> None:
        self._pool, self._shelf = pool, Shelf(blocks)
        for block, copy in copies:
            self._shelf.add(block.key, copy)
        for worker in range(pool.n):
            if pool.state(worker) == "dead":
                self._shelf.forget(worker)

    def send(self, worker: int, tasks: Sequence[Task]) -> Future[Any]:
        """Submit them with what lies nearest to the worker."""
        nearest = partial(self._nearest, worker)
        near = [replace(task, arguments=with_values(task.arguments, nearest)) for task in tasks]
        return send(self._pool, worker, near, ())

    def _nearest(self, worker: int, ref: Ref) -> Ref:
        return self._shelf.nearest(ref.key, worker) or ref

    def lacks(self, worker: int, task: Task) -> int:
        """What does not lie there."""
        keys = {ref.key for ref in refs_in(task.arguments)}
        return sum(self._shelf.size(key) for key in keys if not self._shelf.lies_at(key, worker))
