"""`kofn.map` and `kofn.CodedMap`: one function at many inputs, as soon as enough workers have answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol, Unpack

from .. import checks
from .._base._closeable import Closeable
from .._base._numbers import Seed
from .._base._snapshots import Snapshot
from ..jobs._answer import Answer
from ..jobs._lease import PoolLease
from ..jobs._options import OptionKeywords, Options
from ..jobs._plan import Plan
from ..jobs.scheduling import Duplicates
from ..jobs.scheduling._backups import FIRST_SECONDS, LATE
from ..schemes import FUNCTIONS
from ..schemes.functions._calls import CALL
from ..schemes.functions._scheme import CallScheme, FunctionTemplate
from ._at_workers import find_inputs
from ._auto import AUTO, require_no_aim
from ._each import DUPLICATES, run_each

FACE = "kofn.CodedMap"

Builder = Callable[..., CallScheme]
"""``build(f, inputs, workers=…, rng=…)``, as those in `kofn.schemes.FUNCTIONS`."""


class FittedCode(Protocol):
    """A code that knows its function: a learned model, or what `kofn.fit` returns."""

    def evaluations(self, inputs: Any, *, workers: int, rng: Seed) -> CallScheme:
        """What workers evaluate for these inputs."""


@checks.named(CALL)
def map(
    f: Any,
    *iterables: Any,
    workers: Any = None,
    code: str | Builder | FittedCode = "auto",
    degree: int | None = None,
    recover: int | None = None,
    rows: int | None = None,
    rng: Seed = None,
    errors: Literal["raise", "return"] = "raise",
    stack: bool | None = None,
    options: Options | None = None,
    **keywords: Unpack[OptionKeywords],
) -> Answer:
    """Evaluate a function at K inputs on many workers without waiting for the slowest.

    Any function goes: without a code nothing is mixed. Each input is evaluated once, and again by a worker that has
    nothing else to do where another one is late with it; the first result counts. Workers that die are survived, and
    those that hang are ended where their engine can (`kofn.LocalPool`), so f may be called more than once at an input.
    Short calls travel together, as many as take some hundredths of a second.

    Parameters
    ----------
    f : callable or fitted code
        Takes one item of each iterable and returns anything; a learned model is its own code. Codes that mix inputs,
        all but "repetition" and "uncoded", need a number or an array, always of one shape.
    *iterables : iterable
        K inputs of any kind that can be pickled; of several iterables f takes an item each, and the shortest ends
        them. Iterators are read as workers come to need what they yield. Codes take one iterable; those that mix
        inputs, of arrays of one shape. Of a frame its rows. An input may lie at the workers: a future or a delayed
        object of Dask with its client, an ObjectRef with a `RayPool`, or a reference that the pool gave. f gets its
        value, at the worker where it lies unless that one is late; codes that mix inputs need them here.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many calls, a Dask client, or one executor per
        worker. As many processes as processors by default.
    code : str, callable or fitted code, optional
        A name in `kofn.schemes.FUNCTIONS`; a builder, such as ``functools.partial(kofn.schemes.lagrange, private=1)``;
        or what `kofn.fit` returns. "auto" mixes nothing; where a degree is given it is "lagrange", where rows are
        "repetition".
    degree : int, optional
        For "lagrange": of which degree f is a polynomial in the entries of its input.
    recover : int, optional
        For codes that are never exact: how many results to wait for.
    rows : int, optional
        For a code: evaluations, dealt to the workers; one per worker by default. "repetition" has at least one per
        input: with ``rows=2 * K`` each is evaluated twice.
    rng : None, int or Generator
        Draws what is random in a code.
    errors : {"raise", "return"}
        Without a code: whether what f raises is raised at once, or stands in the list in the place of its result. So
        does the loss of an input that three workers died of, which is not ``recovered`` then, and nothing is exact.
    stack : bool, optional
        Without a code: whether the value is one array, (K, …). By default it is where the inputs are one array and
        all outputs are numbers or arrays of one shape that one type holds exactly, and a list elsewhere.
    options : Options, optional
    **keywords
        How it runs, as of `kofn.Options`. Without an estimate a missing output counts in full for a tolerance:
        √(missing / K). By default "berrut" estimates by its paper's formula, and without a code, as with "repetition"
        and "uncoded", what is missing is missing; with ``estimator="lmmse"`` it is like those that are there.

    Returns
    -------
    Answer
        With ``value``, ``exact``, ``recovered`` (which outputs are there, (K,)), ``error`` and ``report``. The value is
        a list, or an array as ``stack`` has it; of a code an array wherever that is possible. After a deadline a
        missing output is None in a list, NaN in an array, and masked in an array that has no NaN. K is then how many
        inputs were read of an iterator that has not ended.

    Raises
    ------
    ArgumentError
        An argument cannot work; nothing was started.
    FunctionError
        f raised, or returned what cannot be sent, stacked, or combined by a code that mixes; says for which input and
        at which worker.
    NotDecodable
        The deadline passed before any result arrived, an input has cost three workers their lives, or all workers are
        gone; its ``estimate`` has what there is.

    Examples
    --------
    >>> import kofn
    >>> with kofn.ThreadPool(3) as pool:
    ...     kofn.map(len, ["a", "bb", "ccc"], workers=pool).value, kofn.map(pow, [2, 3], [5, 2], workers=pool).value
    ([1, 2, 3], [32, 9])

    The squares of three matrices from any 5 of 6 workers:

    >>> import numpy as np, kofn
    >>> X = np.random.default_rng(0).standard_normal((3, 4, 4))
    >>> with kofn.ThreadPool(6) as pool:
    ...     answer = kofn.map(lambda x: x @ x, X, workers=pool, code="lagrange", degree=2)
    >>> answer.exact, bool(np.allclose(answer.value, X @ X))
    (True, True)
    """
    chosen = Options.of(options, keywords)
    parameters = {"degree": degree, "recover": recover, "rows": rows}
    code, choice = _named(code), ""
    build = _build_of(f, code, parameters)
    is_free = _is_free(f, code, parameters)
    is_plain = is_free and chosen.estimator is None and chosen.scheduler == AUTO and chosen.verify == "off"
    require_no_aim(CALL, chosen)
    if is_free:
        chosen, choice = _with_duplicates(chosen)
    _check_call(iterables, errors, stack)
    if is_plain:
        _require_no_memory(chosen)
        return run_each(f, iterables, workers, chosen, errors, stack)
    _require_one(iterables, errors, stack)
    with PoolLease(workers, CALL) as lease:
        inputs = find_inputs(iterables[0], lease, CALL)
        return Plan(FunctionTemplate(build, lease.n, rng), lease, chosen, choice).run(inputs)


def _named(code: Any) -> Any:
    """The code that was named, or None."""
    return None if isinstance(code, str) and code == AUTO else code


def _is_free(f: Any, code: Any, parameters: Mapping[str, Any]) -> bool:
    """Whether nothing is asked for but the outputs."""
    return code is None and not hasattr(f, "evaluations") and all(value is None for value in parameters.values())


def _with_duplicates(options: Options) -> tuple[Options, str]:
    """How a map runs that mixes nothing, and what its report says; there is nothing else to choose."""
    if options.scheduler != AUTO:
        return options, ""
    return replace(options, scheduler=Duplicates(after=LATE, first=FIRST_SECONDS)), DUPLICATES


def _check_call(iterables: tuple[Any, ...], errors: Any, stack: Any) -> None:
    if not iterables:
        raise checks.refusal(CALL, "inputs", "be given", "none", "give them after f")
    checks.choice(CALL, "errors", errors, ("raise", "return"), "leave it out to raise what f raises")
    if stack not in (None, True, False):
        raise checks.refusal(CALL, "stack", "be True, False or None", repr(stack), "leave it out")


def _require_no_memory(options: Options) -> None:
    """Refuse to keep within a limit: how large outputs of any kind are is not known before."""
    for name in ("memory_limit_bytes", "scratch"):
        if (given := getattr(options, name)) is not None:
            remedy = "name a code for arrays of one shape, or take outputs one by one with kofn.imap"
            raise checks.refusal(CALL, name, "be left out where no code is named", repr(given), remedy)


def _require_one(iterables: tuple[Any, ...], errors: str, stack: bool | None) -> None:
    remedy = "leave out code, degree, recover, rows, estimator, scheduler and verify"
    if len(iterables) > 1:
        raise checks.refusal(CALL, "inputs", "be one iterable for a code", f"{len(iterables)}", remedy)
    if errors != "raise":
        raise checks.refusal(CALL, "errors", "be 'raise' for a code", repr(errors), remedy)
    if stack is not None:
        raise checks.refusal(CALL, "stack", "be left out for a code", repr(stack), remedy)


class CodedMap(Closeable):
    """f at the inputs of any number of calls, by a code, placed at a worker when it first needs it, until `close`.

    f is taken as it is when this is made; on threads it is your own.

    Parameters
    ----------
    f, workers, code, degree, recover, rows, rng, options, **keywords
        As for `kofn.map`.

    Attributes
    ----------
    plan : Plan
        What each call runs; ``plan.start(inputs)`` runs it in the background.

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
        code: str | Builder | FittedCode = "auto",
        degree: int | None = None,
        recover: int | None = None,
        rows: int | None = None,
        rng: Seed = None,
        options: Options | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        chosen = Options.of(options, keywords)
        parameters = {"degree": degree, "recover": recover, "rows": rows}
        code, choice = _named(code), ""
        _build_of(f, code, parameters)  # refuses what cannot work before any of it is copied
        require_no_aim(CALL, chosen)
        if _is_free(f, code, parameters):
            chosen, choice = _with_duplicates(chosen)
        lease = PoolLease(workers, CALL)
        try:
            build = _build_of(*_snapshot_of(f, code, Snapshot(lease.by_reference)), parameters)
            self.plan = Plan(FunctionTemplate(build, lease.n, rng), lease, chosen, choice)
        except BaseException:
            lease.close()
            raise
        self._lease = lease

    @checks.named(FACE)
    def __call__(self, inputs: Any, **changes: Unpack[OptionKeywords]) -> Answer:
        """Evaluate f at ``inputs``, with options of this call in place of those given before."""
        return self.plan.run(find_inputs(inputs, self._lease, CALL), **changes)

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        self.plan.close()


def _snapshot_of(f: Any, code: Any, snapshot: Snapshot) -> tuple[Any, Any]:
    """The function and its code, or the code that knows its function, as they are now."""
    if hasattr(f if code is None else code, "evaluations"):
        fitted = snapshot.function(f if code is None else code)
        return fitted, None
    return snapshot.function(f), code


def _build_of(f: Any, code: Any, options: dict[str, Any]) -> Builder:
    """What makes a `CallScheme` of inputs: a fitted code itself, or a builder with its function and options."""
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
        code = "lagrange" if "degree" in options else "repetition" if options else "uncoded"
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
