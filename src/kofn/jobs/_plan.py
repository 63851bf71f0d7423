"""Plans: a scheme made ready for one pool, to be run as often as one likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from secrets import randbits
from types import FunctionType
from typing import Any, Unpack

import numpy as np

from .. import checks
from .._base._closeable import Closeable
from .._base._snapshots import Snapshot
from ..arrays._reductions import looked_at_once
from ..arrays._spec import ArraySpec
from ..codes._linear import LinearCode
from ..codes.decoding._assess import Decoding
from ..codes.decoding._decode import decode
from ..codes.decoding._estimators import Estimator
from ..errors import CallError
from ..schemes._encoding import Encoding
from ..schemes._scheme import Learner, Scheme
from ..schemes._task import Task
from ..schemes._template import Template
from ..schemes._verifier import Verifier
from ._answer import Answer
from ._checks import Checks
from ._collector import Collector
from ._execution import Execution
from ._job import Job
from ._lease import PoolLease
from ._loop import RunLoop
from ._memory import MemoryPlan, plan_memory
from ._options import OptionKeywords, Options
from ._out import check_place
from ._reach import check_reachable
from ._residents import Residents
from ._stop import Count, StopRule
from ._verification import checks_of
from .remote._choice import delivery_of
from .scheduling._names import as_scheduler
from .scheduling._pace import Pace

CALL = "kofn.prepare"


class Plan(Closeable):
    """A scheme made ready for one pool: certified, budgeted, encoded and placed; made by `prepare`.

    Any number of threads may run it. What it keeps at the workers stays there until `close`, which also ends workers
    that were started for it.

    Attributes
    ----------
    options : Options
        Of every run, where that says nothing else.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> scheme = kofn.schemes.mds(np.eye(6), np.eye(6), workers=3, rng=0)
    >>> with kofn.ThreadPool(3) as pool, kofn.prepare(scheme, pool) as plan:
    ...     plan.certificate.exact, plan.run().exact, plan.start(deadline=5.0).result().exact
    (True, True, True)
    """

    def __init__(self, asked: Scheme | Template, lease: PoolLease, options: Options, choice: str = "") -> None:
        _require_settled(options)
        self.options = options
        self._choice = choice
        self._asked, self._lease = asked, lease
        self._residents = Residents(lease)
        self._tasks: Sequence[Task] | None = None
        self._reached: tuple[LinearCode, float, Estimator, StopRule] | None = None
        self._memory: tuple[tuple[int | None, ...], MemoryPlan] | None = None
        self._pace: tuple[ArraySpec, Pace] | None = None
        self._secret = randbits(128)  # no seed of the user's: who knows it can lie unseen
        self._verifier: tuple[type, Verifier | None] | None = None

    @property
    def certificate(self) -> Decoding | None:
        """What all rows together give; of a template it is the newest run's, and None before there is one."""
        if self._reached is None:
            return None
        code, epsilon, estimator, _ = self._reached
        return decode(code, np.arange(code.rows), None, estimator, epsilon)

    @property
    def memory(self) -> MemoryPlan | None:
        """What a run holds in memory; of a template it is the newest run's, and None before there is one."""
        return None if self._memory is None else self._memory[1]

    @checks.named("kofn.Plan.run")
    def run(self, *operand: Any, out: Any = None, **changes: Unpack[OptionKeywords]) -> Answer:
        """Run it in the calling thread and return the answer.

        Parameters
        ----------
        operand : object
            What the template lacks; nothing for a whole scheme.
        out : array, optional
            Where the answer is written, in memory, memory-mapped, or on a Dask cluster; it is then its ``value``. It
            has the answer's shape and dtype.
        **changes
            Options of this run, as of `kofn.Options`, in place of the plan's own.
        """
        return self.begin(operand, changes, out).finish()

    @checks.named("kofn.Plan.start")
    def start(self, *operand: Any, out: Any = None, **changes: Unpack[OptionKeywords]) -> Job:
        """Run it in the background, on a copy of ``operand``; parameters as for `run`."""
        snapshot = Snapshot(self._lease.by_reference)
        return Job(self.begin(tuple(map(snapshot.value, operand)), changes, out), "kofn.Plan.start")

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started for this; safe to call twice.

        A run that still needs either ends with `PoolClosed`.
        """
        self._lease.close()

    def __repr__(self) -> str:
        asked = self._asked
        what = repr(asked) if isinstance(asked, Scheme) else type(asked).__name__
        return f"<Plan of {what} on {self._lease.n} workers>"

    def _take(self) -> None:
        """Be made of what it is made of now, whatever becomes of that."""
        asked = self._asked
        if isinstance(asked, Scheme):
            _, stop, _ = self._check(asked, asked.encoding(), asked.learner(), self.options)
            self._checks_of(asked, self.options, stop)
        self._asked = asked.taken(Snapshot(self._lease.by_reference))

    def _encode(self) -> None:
        """Encode a whole scheme and place what its tasks need, unless it has to be encoded as it is asked for."""
        scheme = self._asked
        if isinstance(scheme, Template) or (self.memory is not None and self.memory.stream_bytes is not None):
            return
        self._tasks = scheme.encoding().encode(self._lease.pool.empty, self._lease.by_reference)
        owners = scheme.code.on_workers(self._lease.n).worker
        for owner, task in zip(owners.tolist(), self._tasks, strict=False):  # a run refuses a wrong number
            self._lease.placement.ensure(owner, task)

    def begin(self, operand: tuple[Any, ...], changes: Mapping[str, Any], out: Any = None) -> Execution:
        """Check and set up one run; nothing of it has started yet."""
        options = Options.of(self.options, changes)
        _require_settled(options)
        if options.aim != "p99":
            remedy = "it says what kofn.matmul and kofn.sum choose a code for"
            raise checks.refusal(CALL, "aim", "be left out where a code is named", repr(options.aim), remedy)
        asked, lease = self._asked, self._lease
        scheme = _bind(asked, operand, options)
        encoding, learner = scheme.encoding(), scheme.learner()
        if out is not None:
            check_place(CALL, out, scheme, encoding)
        estimator, stop, plan = self._check(scheme, encoding, learner, options, out)
        template = asked if isinstance(asked, Template) else None
        verified = self._checks_of(scheme, options, stop)
        if not scheme.code.rows:
            return Execution(scheme, None, {}, template, lease.n)
        results: dict[int, Any] = {}
        memory, end = plan.of_run(CALL, encoding, options.scratch, lease.by_reference), _leave_all
        pace = None
        if (tasks := self._tasks) is not None:
            memory = replace(memory, encode=lambda allocate: tasks)
        if template is not None:
            run = object()
            memory = replace(memory, encode=self._residents.note(run, memory.encode))
            pace = self._pace_of(encoding.result)
            end = partial(self._end, run, template, scheme, results)
        expect = lambda: learner.prior(results)  # noqa: E731
        surplus = verified.surplus
        collector = Collector(scheme.code, expect, estimator, stop, scheme.epsilon, learner.judge, results, surplus)
        delivery = delivery_of(scheme, lease.pool, lease.placement)
        chosen = delivery.scheduler if delivery is not None and options.scheduler == "auto" else options.scheduler
        scheduler = as_scheduler(CALL, chosen, scheme.adaptive)
        loop = RunLoop(
            scheme, lease.pool, collector, lease.placement, scheduler,
            results=results, learner=learner, memory=memory, out=out, choice=self._choice, pace=pace,
            checks=verified, delivery=delivery,
        )  # fmt: skip
        return Execution(scheme, loop, results, template, lease.n, options.progress, end)

    def _checks_of(self, scheme: Scheme, options: Options, stop: StopRule) -> Checks:
        """What checks results; what does so with a key is the same in every run: it keeps sketches of what stays."""
        if options.verify != "off" and (self._verifier is None or self._verifier[0] is not type(scheme)):
            self._verifier = type(scheme), scheme.verifier(self._secret)
        verifier = None if self._verifier is None else self._verifier[1]
        return checks_of(CALL, scheme, options.verify, stop, self._lease.n, verifier)

    def _check(
        self, scheme: Scheme, encoding: Encoding, learner: Learner, options: Options, out: Any = None
    ) -> tuple[Estimator, StopRule, MemoryPlan]:
        """Refuse what cannot work; what was looked at before is not looked at again."""
        estimator = scheme.estimator if options.estimator is None else options.estimator
        stop = options.stop_rule
        if scheme.enough is not None and options.stop is None:
            # It may never be exact, nor as good as asked for.
            stop |= Count(scheme.code.rows if options.tolerance else scheme.enough)
        sizes = scheme.code.rows, encoding.nbytes, encoding.result_nbytes
        key, memory = (options.memory_limit_bytes, out is None, *sizes), self._memory
        if memory is None or memory[0] != key:
            plan = plan_memory(CALL, scheme, encoding, self._lease.n, options.memory_limit_bytes, out)
            self._memory = memory = key, plan
        asked = scheme.code, scheme.epsilon, estimator, stop
        if self._reached != asked:
            check_reachable(CALL, scheme, learner, estimator, stop)
            self._reached = asked
        return estimator, stop, memory[1]

    def _pace_of(self, result: ArraySpec | None) -> Pace | None:
        """What is known of the workers, if the run before had results like these; the run that gets it adds to it."""
        if result is None:
            return None
        known = self._pace
        pace = known[1].again() if known is not None and known[0] == result else Pace(self._lease.n)
        self._pace = result, pace
        return pace

    def _end(
        self, run: object, template: Template, scheme: Scheme, results: Mapping[int, Any], succeeded: bool
    ) -> None:
        """Let go of what one run of a template leaves at the workers, and keep what it has taught."""
        self._residents.end(run, template.keeps)
        if succeeded and isinstance(self._asked, Template):
            self._asked = self._asked.after(scheme, results)


@checks.named(CALL)
def prepare(
    scheme: Scheme | Template,
    workers: Any = None,
    *,
    options: Options | None = None,
    **keywords: Unpack[OptionKeywords],
) -> Plan:
    """Make a scheme ready for a pool, once for any number of runs.

    It is certified, its memory is planned, it is encoded, and what stays at the workers is placed there; a run then
    has nothing left to do but to run. What changes afterwards in the arrays that it was made of changes nothing.

    Parameters
    ----------
    scheme : Scheme or Template
        From `kofn.schemes`, or your own. A template lacks an operand, which each run brings; what it places at workers
        is placed by the first run.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many plans, a Dask client, or one executor per
        worker. As many processes as processors by default.
    options : Options, optional
    **keywords
        Options of every run, as of `kofn.Options`; a run may change them.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentError
        Something about the arguments cannot work, such as a code that could not be decoded even if every row
        arrived. Nothing was started.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.arange(12.0).reshape(6, 2)
    >>> scheme = kofn.schemes.mds(A, A.T, workers=3, rng=0)
    >>> with kofn.ThreadPool(3) as pool, kofn.prepare(scheme, pool) as plan:
    ...     [bool(np.allclose(plan.run().value, A @ A.T)) for _ in range(2)]
    [True, True]
    """
    plan = _make_plan(scheme, workers, options, keywords)
    try:
        with looked_at_once():
            plan._take()
            plan._encode()
    except BaseException:
        plan.close()
        raise
    return plan


@checks.named("kofn.run")
def run(
    scheme: Scheme,
    workers: Any = None,
    *,
    out: Any = None,
    options: Options | None = None,
    **keywords: Unpack[OptionKeywords],
) -> Answer:
    """Run a scheme once, in the calling thread, and return the answer.

    Parameters as for `prepare`, and ``out`` as for `Plan.run`.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> with kofn.ThreadPool(2) as pool:
    ...     kofn.run(kofn.schemes.uncoded(np.eye(2), np.eye(2), workers=2), pool).exact
    True
    """
    with looked_at_once(), _make_plan(_require_whole(scheme), workers, options, keywords) as plan:
        return plan.begin((), {}, out).finish()


@checks.named("kofn.start")
def start(
    scheme: Scheme,
    workers: Any = None,
    *,
    out: Any = None,
    options: Options | None = None,
    **keywords: Unpack[OptionKeywords],
) -> Job:
    """Start a scheme once and return at once, with a copy of the arrays in memory that it is made of.

    Parameters as for `run`; the job encodes.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.arange(12.0).reshape(6, 2)
    >>> with kofn.ThreadPool(3) as pool:
    ...     job = kofn.start(kofn.schemes.mds(A, A.T, workers=3, rng=0), pool)
    ...     bool(np.allclose(job.result().value, A @ A.T))
    True
    """
    plan = _make_plan(_require_whole(scheme), workers, options, keywords)
    try:
        with looked_at_once():
            plan._take()
        return Job(replace(plan.begin((), {}, out), end=lambda succeeded: plan.close()), "kofn.start")
    except BaseException:
        plan.close()
        raise


def _leave_all(succeeded: bool) -> None:
    """What there is to do at the end of a run of a whole scheme."""


def _make_plan(asked: Any, workers: Any, options: Options | None, keywords: Mapping[str, Any]) -> Plan:
    if not isinstance(asked, Scheme | Template):
        raise _scheme_error(asked)
    chosen = Options.of(options, keywords)
    lease = PoolLease(workers, CALL)
    try:
        return Plan(asked, lease, chosen)
    except BaseException:
        lease.close()
        raise


def _require_settled(options: Options) -> None:
    if options.redundancy is not None:
        remedy = "leave it out, and give the builder more rows"
        raise checks.refusal(CALL, "redundancy", "be left out: a scheme has its rows", options.redundancy, remedy)


def _bind(asked: Scheme | Template, operand: tuple[Any, ...], options: Options) -> Scheme:
    if isinstance(asked, Template):
        if len(operand) != 1:
            raise _operand_error(f"a plan of a template is run with one operand, and was given {len(operand)}")
        return asked.bind(operand[0], options.estimator)
    if operand:
        raise _operand_error(f"a plan of a whole scheme is run without an operand, and was given {len(operand)}")
    return asked


def _operand_error(said: str) -> CallError:
    error = CallError(f"{said}.")
    error.call = CALL
    return error


def _require_whole(scheme: Any) -> Any:
    if isinstance(scheme, Template):
        must, remedy = "be a whole scheme", "bind its operand, or run it with kofn.prepare"
        raise checks.refusal(CALL, "scheme", must, f"a {type(scheme).__name__}, which lacks an operand", remedy)
    return scheme


def _scheme_error(given: Any) -> Exception:
    if isinstance(given, LinearCode | FunctionType):
        remedy = "it takes products and schemes of your own; maps and sums go to the background with "
        remedy += "kofn.CodedMap(…).plan.start(…) and kofn.CodedSum(…).plan.start(…)"
    else:
        remedy = "build one with kofn.schemes, such as kofn.schemes.mds(A, B, workers=4)"
    return checks.refusal(CALL, "scheme", "be a Scheme", f"a {type(given).__name__}", remedy)
