"""`kofn.imap`: results of a function as they come, of as many inputs as there are."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from .. import checks
from .._base._closeable import Closeable, Home, at_end
from ..jobs._lease import PoolLease
from ..jobs._options import check_names
from ..jobs.calls._crew import Crew
from ..jobs.calls._loop import CallLoop, Result
from ..jobs.calls._words import failure_of_call, own_failure
from ._each import READ_SECONDS, Inputs

CALL = "kofn.imap"

AHEAD = 4
"""Inputs are read ahead of the result that is asked for, so many times what keeps the workers busy."""


class Results(Closeable, Iterator[Any]):
    """The results of `imap`; ``close``, which a ``with`` block and the end of the last result call, lets go of all.

    It is of use to one thread at a time, which is also the one that reads the inputs.
    """

    def __init__(self, f: Callable[..., Any], inputs: Inputs, workers: Any, ordered: bool, errors: str) -> None:
        self._inputs, self._ordered, self._errors = inputs, ordered, errors
        self._came: queue.SimpleQueue[Result | None] = queue.SimpleQueue()  # None: it was closed
        self._early: dict[int, Result] = {}  # have come, and are not the next
        self._home = Home()
        self._given = 0
        self._exhausted = self._closed = False
        self._lease = lease = PoolLease(workers, CALL)
        try:
            inputs.find(lease, CALL)
            with checks.meaning({"value": "f"}):
                self._crew = Crew(CallLoop(lease.pool, lease.placement, f), self._came.put)
        except BaseException:
            lease.close()
            raise
        self._finalizer = at_end(self, self._crew.let_go, lease.close)
        self._read()

    def __next__(self) -> Any:
        if self._closed:
            raise StopIteration
        self._home.require("what imap computes")
        self._read()
        if self._given == self._inputs.count:
            self.close()
            raise StopIteration
        result = self._next()
        self._given += 1
        if result.failure is None:
            return result.value
        if self._errors == "return":
            return own_failure(result, CALL)
        self.close()
        raise failure_of_call(result, CALL)

    def close(self) -> None:
        """Let go of what runs, and end the workers if they were started for this; safe to call twice."""
        self._closed = True
        self._came.put(None)  # another thread may wait for a result
        self._crew.close()
        self._finalizer()

    def _next(self) -> Result:
        if not self._ordered:
            return self._take()
        while self._given not in self._early:
            result = self._take()
            self._early[result.number] = result
            self._read()  # that one is late need not keep the others waiting
        return self._early.pop(self._given)

    def _take(self) -> Result:
        if (result := self._came.get()) is None:
            raise StopIteration
        return result

    def _has_next(self) -> bool:
        """Whether the result that is asked for is there."""
        if not self._ordered:
            return not self._came.empty()
        while not self._came.empty():
            result = self._take()
            self._early[result.number] = result
        return self._given in self._early

    def _read(self) -> None:
        """Read as many inputs as keep the workers busy, and few ahead of the next result.

        What is slow to come is given out as it comes, and no more is read once the next result is there.
        """
        loop = self._crew.loop
        room = min(loop.capacity - loop.unfinished, AHEAD * loop.capacity - (self._inputs.count - self._given))
        calls: list[tuple[int, tuple[Any, ...]]] = []
        until = loop.now + READ_SECONDS
        try:
            for _ in range(0 if self._exhausted else room):
                number = self._inputs.count
                arguments = self._inputs.take()
                if arguments is None:
                    self._exhausted = True
                    break
                calls.append((number, arguments))
                if loop.now > until:
                    self._crew.add(calls)
                    calls, until = [], loop.now + READ_SECONDS
                    if self._has_next():
                        break
        finally:  # what was read before the inputs raised is waited for like all else
            if calls:
                self._crew.add(calls)


@checks.named(CALL)
def imap(
    f: Callable[..., Any],
    *iterables: Any,
    workers: Any = None,
    ordered: bool = True,
    errors: Literal["raise", "return"] = "raise",
    **keywords: Any,
) -> Results:
    """Evaluate a function at inputs as they are read, and yield its results as they come.

    Workers are kept busy while results are used: inputs are read a bounded number ahead, by the thread that asks for
    results, so that there may be infinitely many. A worker that has nothing else to do repeats what another one is late
    with; one that dies is survived; one that hangs is ended, where its engine can (`kofn.LocalPool`).

    Parameters
    ----------
    f : callable
        Takes one item of each iterable and returns anything.
    *iterables : iterable
        Of anything that can be pickled; the shortest ends it.
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.map`.
    ordered : bool
        Whether results come in the order of the inputs, or in that of their arrival.
    errors : {"raise", "return"}
        Whether what f raises is raised, which ends it, or comes in the place of its result.
    **keywords
        Refused: options of jobs, such as `verify` and `deadline`, are those of `kofn.map`.

    Returns
    -------
    Results
        An iterator with ``close``, which lets go of what runs; it may be used in a ``with`` block.

    Raises
    ------
    ArgumentError
        An argument cannot work; nothing was started.
    FunctionError
        From the iterator: f raised, or its result cannot be sent; says at which input and at which worker.
    WorkerLost
        From the iterator: an input has cost three workers their lives, or none is left.

    Examples
    --------
    >>> import itertools, kofn
    >>> with kofn.ThreadPool(2) as pool, kofn.imap(abs, itertools.count(-2), workers=pool) as results:
    ...     [next(results) for _ in range(4)]
    [2, 1, 0, 1]
    """
    check_call(f, iterables, errors)
    _require_none(keywords)
    return Results(f, Inputs(iterables), workers, ordered, errors)


def check_call(f: Any, iterables: tuple[Any, ...], errors: str) -> None:
    """Refuse what could not be called or read."""
    if not callable(f):
        raise checks.refusal(CALL, "f", "be callable", repr(f), "pass a function of one input")
    if not iterables:
        raise checks.refusal(CALL, "iterables", "be at least one", "none", "give the inputs after f")
    checks.choice(CALL, "errors", errors, ("raise", "return"), "leave it out to raise what f raises")


def _require_none(keywords: Mapping[str, Any]) -> None:
    """Refuse options: each result comes once, and as soon as it is there."""
    check_names(keywords)
    for name, value in keywords.items():
        raise checks.refusal(CALL, name, "be left out", repr(value), "use kofn.map, which has it")
