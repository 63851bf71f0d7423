"""One worker of a pool: a rank, and what is resident there."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

from ...errors import WorkerLost
from .._future import Promise
from .._pickling import Buffer, BufferedPickle
from .._protocol import Stop, WorkerState
from .._slots import PoolSlot
from .._validation import pack_argument
from ._session import Desk, Session

_identities = itertools.count(1)


class MPISlot(PoolSlot):
    """A place in the pool, which is one rank for good.

    Parameters
    ----------
    index : int
    desk : Desk
    session : Session
    """

    def __init__(self, index: int, desk: Desk, session: Session) -> None:
        super().__init__(index)
        self.desk, self.session = desk, session
        self.number = 0

    @property
    def state(self) -> WorkerState:
        """What the rank does, for whichever pool."""
        return self.desk.state

    def put(self, key: Hashable, value: object) -> None:
        """Send ``value`` to stay."""
        payload = pack_argument("put", "value", value, BufferedPickle.of)
        stream, buffers = payload.plain()
        identity = next(_identities)
        with self.lock:
            self.drop(key)
            self.residents[key] = identity
            self.session.tell(self.desk, ("put", identity, stream), list(buffers))

    def drop(self, key: Hashable) -> None:
        """Forget ``key``, if it is there."""
        with self.lock:
            identity = self.residents.pop(key, None)
            if identity is not None:
                self.session.tell(self.desk, ("forget", [identity]))

    def start(self, call: tuple[bytes, list[Buffer]], values: list[int]) -> Promise:
        """Send a call."""
        stream, buffers = call
        task = Promise()

        def answer(ok: bool, stream: bytes, buffers: list[Buffer]) -> None:
            self.free(task)
            task.take(ok, lambda: BufferedPickle(stream, buffers).open())

        self.task = task
        try:
            self.number = self.session.give(self.desk, (stream, values), buffers, answer, lambda: self.lose(task))
        except BaseException:
            self.task = None
            raise
        return task

    def free(self, task: Promise) -> None:
        """Have no task any more."""
        if self.task is task:
            self.task = None

    def lose(self, task: Promise) -> None:
        """Fail the task of a rank that is gone."""
        self.free(task)
        task.fail(WorkerLost(f"worker {self.index} is lost: {self.desk.why}", self.index))

    def stop(self, task: Promise, how: Stop = Stop.ABANDON) -> Stop:
        """Tell the rank that nobody waits, and raise KeyboardInterrupt there if that is asked for, or more."""
        interrupts = how is not Stop.ABANDON
        with self.lock:
            if self.task is not task:
                return Stop.ABANDON
            self.session.tell(self.desk, ("stop", self.number, interrupts))
        return Stop.INTERRUPT if interrupts else Stop.ABANDON

    def close(self) -> None:
        """Have the rank forget what is resident as well."""
        with self.lock:
            self.closed = True
            identities = list(self.residents.values())
        if identities:
            self.session.tell(self.desk, ("forget", identities))
        super().close()
