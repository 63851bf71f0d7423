"""One worker of a pool: a rank, and what is resident there."""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

from ...arrays._spec import ArraySpec
from ...errors import ReferenceLost, WorkerLost
from .._future import Promise
from .._pickling import Buffer, BufferedPickle
from .._protocol import Stop, WorkerState
from .._slots import PoolSlot
from .._validation import pack_argument
from ._desk import Desk
from ._kept import KeptRegister, RankCall
from ._session import Session


class MPISlot(PoolSlot):
    """A place in the pool, which is one rank for good.

    Parameters
    ----------
    index : int
    desk : Desk
    session : Session
    register : KeptRegister
        Of the pool.
    """

    def __init__(self, index: int, desk: Desk, session: Session, register: KeptRegister) -> None:
        super().__init__(index)
        self.desk, self.session, self.register = desk, session, register
        self.number = 0

    @property
    def state(self) -> WorkerState:
        """What the rank does, for whichever pool."""
        return self.desk.state

    def put(self, key: Hashable, value: object) -> None:
        """Send ``value`` to stay."""
        payload = pack_argument("put", "value", value, BufferedPickle.of)
        stream, buffers = payload.plain()
        identity = next(self.session.numbers)
        with self.lock:
            self.drop(key)
            self.residents[key] = identity
            self.session.tell(self.desk, ("put", identity, stream), buffers)

    def drop(self, key: Hashable) -> None:
        """Forget ``key``, if it is there."""
        with self.lock:
            identity = self.residents.pop(key, None)
            if identity is not None:
                self.session.tell(self.desk, ("forget", [identity]))

    def start(self, call: RankCall, values: list[int]) -> Promise:
        """Send a call, and have what it refers to sent after it."""
        number = self.session.claim(self.desk)
        task = self.task = Promise()
        self.number = number
        needs, borrowed = {}, []
        for key, (kept, source) in call.needs.items():
            needs[key] = kept.identity
            if kept.desk is not self.desk:
                take = partial(self.on_travelled, source)
                needs[key] = next(self.session.numbers)
                borrowed.append(needs[key])
                self.session.ship(kept.identity, kept.desk, self.desk, needs[key], take)
        keep = number if call.keeps else 0
        head = "task", number, call.stream, values, needs, borrowed, keep
        self.session.ask(self.desk, number, partial(self.on_answer, task, number, call.keeps), head, call.buffers)
        return task

    def on_answer(
        self, task: Promise, number: int, keeps: bool, answer: tuple[Any, ...] | None, buffers: Sequence[Buffer]
    ) -> None:
        """Be idle, and let the task end."""
        if self.task is task:
            self.task = None
        if answer is None:
            task.fail(WorkerLost(f"worker {self.index} is lost: {self.desk.why}", self.index))
        elif (ok := answer[0]) is None:
            task.fail(ReferenceLost("a value that the task refers to is gone; make it again", self.index))
        elif ok and keeps:
            spec, size = answer[1:]
            task.settle(self.register.refer(self.desk, number, self.index, spec and ArraySpec(*spec), size))
        else:
            task.take(ok, lambda: BufferedPickle(answer[1], buffers).open() if ok else pickle.loads(answer[1]))

    def on_travelled(self, source: int, answer: tuple[Any, ...] | None, buffers: Sequence[Buffer]) -> None:
        """Count what has come from another worker."""
        if answer is not None and answer[0]:
            self.register.count(source, self.index, answer[1])

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
