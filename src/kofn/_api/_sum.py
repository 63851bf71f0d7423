"""`kofn.sum` and `kofn.CodedSum`: the sum of many terms, as soon as enough of them have come from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import numpy as np

from .. import checks
from .._base._closeable import Closeable
from .._base._numbers import Seed
from .._base._snapshots import Snapshot, collect
from ..codes._linear import LinearCode
from ..codes._sparse import is_sparse
from ..engines._foreign import kind_of
from ..jobs._answer import Answer
from ..jobs._lease import PoolLease
from ..jobs._options import OptionKeywords, Options
from ..jobs._plan import Plan
from ..schemes import SUMS, cyclic, sum_baselines
from ..schemes.sums._code import CALL
from ..schemes.sums._cyclic import usual_blocks
from ..schemes.sums._near import near_terms
from ..schemes.sums._scheme import SumTemplate
from ..schemes.sums._terms import Terms
from ._at_workers import find_at_workers, require_single
from ._auto import AUTO, require_no_aim

FACE = "kofn.CodedSum"
CodeLike = str | LinearCode | Callable[..., LinearCode]


@checks.named(CALL)
def sum(
    terms: Any,
    x: Any = None,
    *,
    data: Any = None,
    workers: Any = None,
    code: CodeLike = "auto",
    count: int | None = None,
    energies: Any = None,
    rng: Seed = None,
    options: Options | None = None,
    **keywords: Unpack[OptionKeywords],
) -> Answer:
    """Sum many functions of one input on many workers without waiting for the slowest.

    Parameters
    ----------
    terms : sequence of callables, or one callable
        Term i is ``terms[i](x)``; or ``terms(indices, x)`` with an int array returns those terms stacked along the
        first axis. A term is a number or an array; all have one shape. To give workers less of the terms to hold,
        or to let them use a formula for a whole shard, make each shard a term. Also a sequence of what lies at the
        workers: futures or delayed objects of Dask with its client, ObjectRefs with a `RayPool`, or references that
        the pool gave. Each is a term, or is called with ``x`` where its value is callable.
    x : object, optional
        Given to every term.
    data : sequence, optional
        Values, or references to values at the workers, of which ``terms`` is one function: term i is
        ``terms(data[i], x)``, or ``terms(data[i])`` without x. What lies at workers stays there; workers add up terms
        that lie with them as far as these are dealt evenly, and others travel from worker to worker.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many calls, a Dask client, or one executor per
        worker. As many processes as processors by default.
    code : str, LinearCode or callable, optional
        A name in `kofn.schemes.SUMS`; a code over the terms; or a builder, called as
        ``code(m, workers=…, rng=…)``: ``functools.partial(kofn.schemes.sr, degree=5)``. "auto" deals out shares of the
        terms once, and repeats those that are late; how many shares depends on what the pool remembers of its delays
        (`kofn.engines.Delays`), is said in the report, and may differ from run to run, and with it the last bits.
    count : int, optional
        Number of terms m of one callable over indices.
    energies : (m,) array, optional
        Expected squares E‖f_i(x)‖² of the terms, if they are known, for estimates before the sum is exact. Left
        out, terms are taken to share a mean, about which nothing is assumed, and to vary around it equally; how
        much is learned from what has arrived. A sum that is computed again with `kofn.CodedSum` starts from what
        the call before learned.
    rng : None, int or Generator
        Draws codes that are random.
    options : Options, optional
    **keywords
        How it runs, as of `kofn.Options`. A term that never returns can only be met with a deadline. "cyclic" survives
        all workers but one, each of which may come to need every term; with ``redundancy=r`` each term lies at r + 1
        workers.

    Returns
    -------
    Answer
        With ``value``, ``exact``, ``error`` and ``report``.

    Raises
    ------
    ArgumentError
        An argument cannot work; nothing was started.
    TermError
        A term raised, or returned NaN, another shape or no number; its index is in ``term``.
    NotDecodable
        The deadline passed before any result arrived, or all workers are gone; carries the best estimate.

    Examples
    --------
    >>> import math, kofn
    >>> with kofn.ThreadPool(3) as pool:
    ...     answer = kofn.sum(lambda k, x: x**k / [math.factorial(n) for n in k], 1.0, count=18, workers=pool)
    >>> answer.exact, bool(abs(answer.value - math.e) < 1e-14)
    (True, True)
    """
    chosen = Options.of(options, keywords)
    with PoolLease(workers, CALL) as lease:
        code = redundant(code, chosen.redundancy)
        chosen = chosen.settled(CALL, lease.n)
        given = _terms(lease, terms, count, data)
        template, chosen, choice = _template(lease, chosen, given, code, energies, rng)
        return Plan(template, lease, chosen, choice).run(*find_at_workers([x], lease, CALL, "x"))


class CodedSum(Closeable):
    """F(x) = Σ f_i(x) on many workers, for any number of inputs.

    Terms are taken as they are when this is made (on threads they are your own), placed at a worker when it first
    needs them, and stay there until `close`. What the terms of one input
    had in common, and how they varied, is expected of the next input as far as its own first results bear it out.

    Parameters
    ----------
    terms, data, workers, code, count, energies, rng, options, **keywords
        As for `kofn.sum`.

    Attributes
    ----------
    code : LinearCode
        Over the terms.
    plan : Plan
        What each call runs; ``plan.start(x)`` runs it in the background.

    Examples
    --------
    >>> import kofn
    >>> with kofn.ThreadPool(2) as pool, CodedSum([abs, lambda x: x**2], workers=pool) as total:
    ...     total(-3.0).value, total(2.0).value
    (np.float64(12.0), np.float64(6.0))
    """

    @checks.named(FACE)
    def __init__(
        self,
        terms: Any,
        *,
        data: Any = None,
        workers: Any = None,
        code: CodeLike = "auto",
        count: int | None = None,
        energies: Any = None,
        rng: Seed = None,
        options: Options | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        chosen = Options.of(options, keywords)
        code = redundant(code, chosen.redundancy)
        lease = PoolLease(workers, CALL)
        try:
            chosen = chosen.settled(CALL, lease.n)
            given = _terms(lease, terms, count, data)
            template, chosen, choice = _template(lease, chosen, given, code, energies, rng)
            template = template.taken(Snapshot(lease.by_reference))
        except BaseException:
            lease.close()
            raise
        self.code = template.code
        self.plan = Plan(template, lease, chosen, choice)
        self._lease = lease

    @checks.named(FACE)
    def __call__(self, x: Any = None, **changes: Unpack[OptionKeywords]) -> Answer:
        """Compute the sum at ``x``, with options of this call in place of those given before."""
        return self.plan.run(*find_at_workers([x], self._lease, CALL, "x"), **changes)

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        self.plan.close()


def _terms(lease: PoolLease, terms: Any, count: Any, data: Any) -> Terms:
    """What the user calls terms; those that lie at workers as references."""
    require_single(terms, CALL, "terms")
    if data is not None:
        require_single(data, CALL, "data")
        if not np.iterable(data):
            raise checks.refusal(CALL, "data", "be a sequence", repr(data), "give one value for each term")
        return Terms.over(terms, find_at_workers(collect(data), lease, CALL, "data"), count)
    if kind := kind_of(terms):
        raise checks.refusal(CALL, "terms", "be a sequence of them", kind, "write [term], or data=[…] of one callable")
    if callable(terms) or not np.iterable(terms):
        return Terms.of(terms, count)
    return Terms.of(find_at_workers(collect(terms), lease, CALL, "terms"), count)


def _template(
    lease: PoolLease, options: Options, given: Terms, code: Any, energies: Any, rng: Seed
) -> tuple[SumTemplate, Options, str]:
    """The sum without its input, how it runs, and what was chosen."""
    energies = _check_energies(energies, given.size)
    check_code(code)
    checks.generator(CALL, rng)  # codes that draw nothing do not look at it
    choice = ""
    if isinstance(code, str) and code == AUTO:
        from ..tuning.auto import sum_way  # which loads the simulation

        way = sum_way(given.size, lease.n, lease.delays, options)
        code, choice = partial(sum_baselines.uncoded, rows=way.rows), way.why
        options = replace(options, scheduler=way.scheduler, aim="p99")
    require_no_aim(CALL, options)
    made = build_code(code, given.size, lease.n, rng)
    if given.refs is not None and not isinstance(code, LinearCode):
        made = near_terms(made, [ref.worker for ref in given.refs], lease.n)
    return SumTemplate(made, given, energies), options, choice


def redundant(code: CodeLike, redundancy: int | None) -> CodeLike:
    """The code of which so many workers may be lost, where that is asked for: each block lies at one worker more."""
    if redundancy is None:
        return code
    if not (isinstance(code, str) and code in (AUTO, "cyclic")):
        given, remedy = f"{redundancy} beside code={code!r}", "leave one of them out, or build a code with more rows"
        raise checks.refusal(CALL, "redundancy", "say alone how many rows there are", given, remedy)

    def walks(m: int, *, workers: int, rng: Seed) -> LinearCode:
        blocks = usual_blocks(m, workers)
        # Starts are spread evenly, so in so many blocks there are as many starts as there are to be copies.
        return cyclic(m, workers=workers, rows=min(blocks, -(-(redundancy + 1) * blocks // workers)))

    return walks


def build_code(code: CodeLike, m: int, workers: int, rng: Seed) -> LinearCode:
    """Build the code that ``code=`` means for m terms.

    Examples
    --------
    >>> build_code("uncoded", 4, 2, None).rows
    2
    """
    made = (
        code
        if isinstance(code, LinearCode)
        else (SUMS[code] if isinstance(code, str) else code)(m, workers=workers, rng=rng)
    )
    if not isinstance(made, LinearCode) or made.unknowns != m or not np.array_equal(made.targets, np.ones((1, m))):
        must = f"give a LinearCode over {m} terms whose target is their sum"
        raise checks.refusal(CALL, "code", must, repr(made)[:60], "see kofn.schemes.SUMS for examples")
    if is_sparse(made.generator):
        return made
    from scipy.sparse import csr_array

    return replace(made, generator=csr_array(made.generator))


def check_code(code: Any) -> None:
    """Refuse what means no code, for any number of terms."""
    if not callable(code) and not isinstance(code, LinearCode):
        checks.choice(CALL, "code", code, [AUTO, *SUMS], "or pass a LinearCode or a builder such as kofn.schemes.sr")


def _check_energies(energies: Any, m: int) -> Any:
    if energies is None:
        return None
    wrong, values = "", np.empty(0)
    try:
        given, masked = checks.as_array(energies)
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        wrong = f"a {type(energies).__name__} that holds other things than numbers"
    else:
        bad = np.flatnonzero(~((values >= 0) & (values < np.inf)))
        if values.shape != (m,):
            wrong = f"shape {values.shape}"
        elif masked:
            wrong = "masked numbers among them"
        elif bad.size:
            wrong = f"{values[bad[0]]} for term {bad[0]}"
    if wrong:
        must, remedy = f"be {m} numbers >= 0, one per term", "leave it out to learn from what arrives"
        raise checks.refusal(CALL, "energies", must, wrong, remedy)
    return values
