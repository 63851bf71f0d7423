"""Function values from workers that keep the function: one placement, any number of calls."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from .. import checks
from .._base._closeable import Closing
from .._base._snapshots import Snapshot
from ..codes.decoding._decode import decode
from ..codes.decoding._estimators import Estimator
from ..jobs._answer import Answer
from ..jobs._collector import Progress
from ..jobs._job import run
from ..jobs._lease import Workers
from ..jobs._stop import Count, StopRule, stop_rule
from ..jobs.report._report import Report
from ..schemes import FUNCTIONS
from ..schemes._scheme import Scheme
from ..schemes.functions._calls import resident_key
from ..schemes.functions._scheme import CALL, CallScheme


class FittedCode(Protocol):
    """A code that knows its function: a learned model, or what `kofn.fit` returns."""

    def evaluations(self, inputs: Any, *, workers: int, rng: Any) -> CallScheme:
        """What workers evaluate for these inputs."""


FACE = "kofn.CodedMap"

Builder = Callable[..., CallScheme]
"""``build(f, inputs, workers=…, rng=…)``, as those in `kofn.schemes.FUNCTIONS`."""


SENT = {"value": "f", "function and arguments": "inputs"}
"""What engines call that which users call so."""


class CodedMap(Closing):
    """f at the inputs of any number of calls, placed at a worker when it first needs it, until `close`.

    f is taken as it is when this is made; on threads it is your own.

    Parameters
    ----------
    f, workers, code, degree, recover, rows, rng
        As for `kofn.map`.
    keep : bool
        False leaves f where it is, for one call.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> with kofn.ThreadPool(5) as pool, CodedMap(np.square, workers=pool, degree=2) as squares:
    ...     squares([1.0, 2.0]).value.round(12).tolist(), squares([3.0, 4.0]).value.round(12).tolist()
    ([1.0, 4.0], [9.0, 16.0])
    """

    @checks.named(FACE)
    def __init__(
        self,
        f: Any,
        *,
        workers: Any = None,
        code: str | Builder | FittedCode | None = None,
        degree: int | None = None,
        recover: int | None = None,
        rows: int | None = None,
        rng: Any = None,
        keep: bool = True,
    ) -> None:
        options = {"degree": degree, "recover": recover, "rows": rows}
        self._build = _builder(f, code, options)
        self._rng = rng
        self._workers = Workers(workers, CALL)
        self._held = _Held(self._workers)
        if keep:
            self._build = _builder(*_taken(f, code, Snapshot(self._workers.by_reference)), options)

    @checks.named(FACE)
    def __call__(
        self,
        inputs: Any,
        *,
        estimator: Estimator | None = None,
        tolerance: float = 0.0,
        deadline: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Answer:
        """Evaluate f at ``inputs``; parameters as for `kofn.map`."""
        stop = stop_rule(CALL, tolerance, deadline)
        made = self._build(inputs, workers=self._workers.n, rng=self._rng)
        scheme, estimator = made.decoded_by(estimator)
        if not scheme.code.rows:
            return _nothing(scheme, self._workers.n)
        with self._held.during(made.functions), checks.meaning(SENT):
            return run(
                scheme,
                workers=self._workers,
                estimator=estimator,
                stop=_enough(made, stop, tolerance),
                progress=progress,
            )

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        self._workers.close()


class _Held:
    """The functions of calls that run, and of the newest, which the next may use again; others leave the workers."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._functions: dict[int, Any] = {}  # a function's id is its own while it is held
        self._calls: list[set[int]] = []
        self._lock = threading.Lock()

    @contextmanager
    def during(self, functions: Sequence[Any]) -> Iterator[None]:
        """Hold the functions of one call."""
        mine = {id(function): function for function in functions}
        with self._lock:
            self._calls.append(set(mine))
            unwanted = self._functions.keys() - set().union(*self._calls)
            self._functions |= mine
            self._drop(unwanted)
        try:
            yield
        finally:
            with self._lock:
                self._calls.remove(set(mine))
                self._drop(self._functions.keys() - set(mine).union(*self._calls))

    def _drop(self, unwanted: Iterable[int]) -> None:
        for function in list(unwanted):
            self._workers.drop(resident_key(self._functions[function]))
            del self._functions[function]


def _taken(f: Any, code: Any, snapshot: Snapshot) -> tuple[Any, Any]:
    """The function and its code, or the code that knows its function, as they are now."""
    if hasattr(f if code is None else code, "evaluations"):
        fitted = snapshot.function(f if code is None else code)
        return fitted, None
    return snapshot.function(f), code


def _builder(f: Any, code: Any, options: dict[str, Any]) -> Builder:
    """What makes `CallScheme` of inputs: a fitted code itself, or a builder with its function and options."""
    options = {name: value for name, value in options.items() if value is not None}
    fitted = f if code is None else code
    if hasattr(fitted, "evaluations"):
        if f is not fitted and (not hasattr(fitted, "f") or f != fitted.f):
            must = f"be the function that {fitted!r} was fitted to"
            raise checks.refusal(CALL, "f", must, repr(f), "fit a code to it, or pass the fitted code itself as 'f'")
        builder: Builder = fitted.evaluations
        _require_taken(builder, repr(fitted), options)
        return lambda inputs, **team: builder(inputs, **team, **options)
    if not callable(f):
        raise checks.refusal(CALL, "f", "be callable", repr(f), "pass a function of one input")
    if code is None:
        code = "repetition" if options.get("degree") is None else "lagrange"
    builder = _named_builder(code)
    _require_taken(builder, repr(code), options)
    return lambda inputs, **team: builder(f, inputs, **team, **options)


def _named_builder(code: Any) -> Builder:
    if callable(code):
        builder: Builder = code
        return builder
    remedy = "or pass a builder such as kofn.schemes.lagrange, or what kofn.fit returns"
    return FUNCTIONS[checks.choice(CALL, "code", code, FUNCTIONS, remedy)]


def _require_taken(builder: Builder, name: str, options: dict[str, Any]) -> None:
    taken = inspect.signature(builder).parameters
    for option, value in options.items():
        if option not in taken:
            raise checks.refusal(CALL, option, f"be left out for code {name}", value, "it decides that by itself")


def _nothing(scheme: Scheme, workers: int) -> Answer:
    """The outputs of no inputs."""
    value = scheme.answer(decode(scheme.code, []), [], [])
    report = Report(scheme.code.name, workers, (), 0.0, 0.0, 0.0, 0)
    return Answer(True, 0.0, 0.0, 0.0, 0, report, np.ones(0, dtype=bool), scheme.parts, lambda: value)


def _enough(scheme: Scheme, done: StopRule, tolerance: float) -> StopRule:
    if scheme.enough is None:
        return done
    # It may never be exact, nor as good as asked for.
    return done | Count(scheme.code.rows if tolerance else scheme.enough)
