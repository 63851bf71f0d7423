"""Any function at any inputs: each is evaluated once, and again where a worker is late with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .. import checks
from .._base._snapshots import seal, seal_now
from ..errors import FunctionError, NotDecodable, PoolClosed, ReferenceLost, WorkerLost
from ..jobs._answer import Answer
from ..jobs._collector import Progress
from ..jobs._lease import PoolLease
from ..jobs._moved import Moved
from ..jobs._options import Options
from ..jobs._stop import nothing_arrived
from ..jobs.calls._loop import CallLoop, Result
from ..jobs.calls._state import ATTEMPTS
from ..jobs.calls._words import failure_of_call, own_failure
from ..jobs.report._attempt import Attempt
from ..jobs.report._bar import watching
from ..jobs.report._report import Report
from ..schemes._scheme import Parts
from ..schemes._task import name_some
from ..schemes.functions._calls import CALL
from ..schemes.functions._copies import list_inputs
from ..schemes.functions._hedged import together
from ._at_workers import find_at_workers, require_single

NAME = "duplicates"

READ_SECONDS = 0.005
"""Inputs that take longer to come are given out, and results and deadlines looked at, before more are read."""

DUPLICATES = "took duplicates: each input once, and again where a worker is late with it"
"""What a report says of a map that mixes nothing."""


class Inputs:
    """The inputs of one call, read as they are needed, each as it was when it was read.

    Parameters
    ----------
    iterables : sequence
        Of which f gets one item each; the shortest ends them, as for ``map``.

    Examples
    --------
    >>> inputs = Inputs([[1, 2, 3], iter("ab")])
    >>> inputs.size, inputs.take(), inputs.take(), inputs.take(), inputs.size
    (None, (1, 'a'), (2, 'b'), None, 2)
    """

    def __init__(self, iterables: Sequence[Any]) -> None:
        for one in iterables:
            require_single(one, CALL, "inputs")
        read = [one if hasattr(one, "__next__") else list_inputs(one) for one in iterables]
        sizes = [len(one) for one in read if isinstance(one, list)]
        self.size = min(sizes) if len(sizes) == len(read) else None
        self.count = 0
        self._read = read
        self._iterators: list[Iterator[Any]] = list(map(iter, read))
        # Whatever makes items on the way may use its buffers again.
        self._seals = [seal if isinstance(one, list) else seal_now for one in read]

    def find(self, lease: PoolLease, call: str) -> None:
        """Have what lies at the workers go to tasks by reference; lists are looked through at once."""
        found: list[Iterator[Any]] = []
        for one, iterator in zip(self._read, self._iterators, strict=True):
            if isinstance(one, list):
                found.append(iter(find_at_workers(one, lease, call, "inputs")))
            else:
                found.append(find_at_workers([item], lease, call, "inputs")[0] for item in iterator)
        self._read, self._iterators = [], found

    def take(self) -> tuple[Any, ...] | None:
        """The next arguments of f, or None at the end."""
        if self.count == self.size:
            return None
        arguments = []
        for iterator, sealed in zip(self._iterators, self._seals, strict=True):
            try:
                arguments.append(sealed(next(iterator)))
            except StopIteration:
                self.size = self.count
                return None
        self.count += 1
        return tuple(arguments)


@dataclass(frozen=True)
class Standing:
    """What a stop rule may look at."""

    count: int
    size: int | None
    time: float
    latest: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether every output is there."""
        return self.count == self.size

    @property
    def error(self) -> float:
        """Missing outputs count in full."""
        return 1.0 if self.size is None else math.sqrt((self.size - self.count) / max(1, self.size))


class EachRun:
    """One evaluation of a function at all inputs.

    Parameters
    ----------
    inputs : Inputs
    loop : CallLoop
    options : Options
    errors : {"raise", "return"}
    shape : callable
        ``shape(outputs, size)`` makes the answer's value.
    """

    def __init__(
        self,
        inputs: Inputs,
        loop: CallLoop,
        options: Options,
        errors: str,
        shape: Callable[[dict[int, Any], int], Any],
    ) -> None:
        self._inputs, self._loop, self._options, self._errors, self._shape = inputs, loop, options, errors, shape
        self._stop = options.stop_rule
        self._outputs: dict[int, Any] = {}
        self._moved = Moved(loop.pool)
        self._latest = 0.0
        self._given_up: list[int] = []
        self._lost: list[int] = []  # given up too, with their loss among the outputs
        loop.attempts = []

    def run(self) -> Answer:
        """Run to the end and return the answer."""
        try:
            self._loop.begin()
            with watching(self._options.progress) as progress:
                self._go_on(progress)
        finally:
            self._loop.close()
        return self._answered()

    def _go_on(self, progress: Callable[[Progress], None] | None) -> None:
        while True:
            self._read()  # first: it may be the end of the inputs
            if self._stop.is_met(self._standing) or self._has_ended():
                return
            if self._take(self._loop.turn(self._stop.next_change_of(self._standing))) and progress is not None:
                progress(self._progress())

    @property
    def _standing(self) -> Standing:
        return Standing(len(self._outputs), self._inputs.size, self._loop.now, self._latest)

    def _read(self) -> None:
        """Read as many inputs as keep the workers busy, or for a while."""
        until = self._loop.now + READ_SECONDS
        for _ in range(self._loop.capacity - self._loop.unfinished):
            number = self._inputs.count
            if (arguments := self._inputs.take()) is None:
                break
            self._loop.add(number, arguments)
            if self._loop.now > until:
                break

    def _take(self, results: Iterable[Result]) -> bool:
        """Keep results, and tell whether there were any."""
        before = len(self._outputs)
        for result in results:
            if result.failure is None:
                self._outputs[result.number] = result.value
            elif self._errors == "return":
                self._outputs[result.number] = own_failure(result, CALL)
                if isinstance(result.failure, WorkerLost | ReferenceLost):
                    self._lost.append(result.number)
            elif isinstance(result.failure, WorkerLost):
                self._given_up.append(result.number)
            else:
                raise failure_of_call(result, CALL)
        if len(self._outputs) == before:
            return False
        self._latest = self._loop.now
        return True

    def _has_ended(self) -> bool:
        """Whether nothing more can come."""
        return self._loop.is_over or len(self._outputs) + len(self._given_up) == self._inputs.size

    def _progress(self) -> Progress:
        now, size = self._standing, self._inputs.size or self._inputs.count
        return Progress(now.count, size, now.count, size, now.error, now.exact, now.time)

    # -- the end --------------------------------------------------------------------------------------

    def _answered(self) -> Answer:
        answer = self._answer()
        if not self._stop.is_met(self._standing):
            if isinstance(end := self._loop.end, PoolClosed):
                raise end
            reason = str(end) if self._loop.is_over else "everything else has arrived"
            raise self._not_decodable(reason, answer) from self._loop.loss
        if not self._outputs and self._inputs.size != 0:
            reason, remedy = nothing_arrived(self._stop)
            raise self._not_decodable(reason, answer, remedy)
        answer.value  # noqa: B018  it may refuse to be stacked
        return answer

    def _answer(self) -> Answer:
        size = self._inputs.count if self._inputs.size is None else self._inputs.size
        recovered = np.zeros(size, dtype=bool)
        recovered[list(self._outputs)] = True
        recovered[self._lost] = False
        count, outputs, shape = len(self._outputs), self._outputs, self._shape
        error = math.sqrt((size - recovered.sum()) / max(1, size))
        return Answer(
            exact=count == self._inputs.size and not self._lost,
            error=error,
            amplification=float(count > 0),
            backward_error=0.0,
            count=count,
            report=self._report(),
            recovered=recovered,
            parts=Parts((size,), left_out=True),
            assemble=lambda: shape(outputs, size),
        )

    def _report(self) -> Report:
        loop = self._loop
        attempts: list[Attempt] = sorted(loop.attempts or (), key=lambda one: (one.submitted, one.row))
        return Report(
            code=NAME,
            workers=loop.pool.n,
            attempts=attempts,
            encode_seconds=0.0,
            decode_seconds=0.0,
            seconds=loop.now,
            encoded_bytes=0,
            placed_bytes=loop.placed_bytes,
            sent_bytes=loop.sent_bytes,
            received_bytes=loop.received_bytes,
            moved_bytes=self._moved.nbytes,
            choice=DUPLICATES,
            stalled=tuple(loop.stalled),
        )

    def _not_decodable(self, reason: str, answer: Answer, remedy: str = "") -> NotDecodable:
        were = "were" if self._given_up[1:] else "was"
        lost = f", {name_some('input', sorted(self._given_up))} {were} given up after {ATTEMPTS} lost workers"
        have = f"{answer.count} of {len(answer.recovered)} outputs arrived{lost if self._given_up else ''}"
        remedy = remedy or "the exception's 'estimate' has those that did"
        error = NotDecodable(f"not all outputs are there: {reason} ({have}); {remedy}.", answer)
        error.call = CALL
        return error


def run_each(
    f: Callable[..., Any],
    iterables: Sequence[Any],
    workers: Any,
    options: Options,
    errors: Literal["raise", "return"],
    stack: bool | None,
) -> Answer:
    """Evaluate f at all inputs, as `kofn.map` says."""
    inputs = Inputs(iterables)
    stacks = _is_array(iterables) if stack is None else stack
    shape = (_stacked if stack else together) if stacks else _in_a_list
    if inputs.size == 0:
        return Answer.at_once(shape({}, 0), Parts((0,), left_out=True), NAME, 0)
    with PoolLease(workers, CALL) as lease, checks.meaning({"value": "f"}):
        inputs.find(lease, CALL)
        settled = options.settled(CALL, lease.n)  # a worker that is lost costs what it was computing, whichever it is
        return EachRun(inputs, CallLoop(lease.pool, lease.placement, f), settled, errors, shape).run()


def _is_array(iterables: Sequence[Any]) -> bool:
    arrays = isinstance(iterables[0], memoryview) or any(hasattr(iterables[0], name) for name in ("__array__", "tocsr"))
    return len(iterables) == 1 and arrays


def _in_a_list(outputs: dict[int, Any], size: int) -> list[Any]:
    return [outputs.get(number) for number in range(size)]


def _stacked(outputs: dict[int, Any], size: int) -> Any:
    array = together(outputs, size)
    if isinstance(array, list) and outputs:
        text = "the outputs cannot be stacked: they are not all numbers or arrays of one shape; leave out 'stack'"
        raise FunctionError(f"{CALL}: {text}.", -1)
    return array
