"""Sums whose terms stay at the workers: one code, one placement, one job per input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import checks
from .._base._closeable import Closing
from .._base._snapshots import Snapshot
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..codes._sparse import is_sparse
from ..jobs._answer import Answer
from ..jobs._collector import Progress
from ..jobs._job import run
from ..jobs._lease import Workers
from ..jobs._stop import StopRule, stop_rule
from ..schemes import SUMS
from ..schemes.sums._code import CALL
from ..schemes.sums._scheme import Input, SumScheme, Terms

FACE = "kofn.CodedSum"
CodeLike = str | LinearCode | Callable[..., LinearCode]


class CodedSum(Closing):
    """F(x) = Σ f_i(x) on many workers, for any number of inputs.

    Terms are taken as they are when this is made (on threads they are your own), placed at a worker when it first
    needs them, and stay there until `close`. What the terms of one input
    had in common, and how they varied, is expected of the next input as far as its own first results bear it out.

    Parameters
    ----------
    terms, workers, code, count, energies, rng, adaptive
        As for `kofn.sum`.
    keep : bool
        False leaves the terms where they are, for one call.

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
        workers: Any = None,
        code: CodeLike = "cyclic",
        count: int | None = None,
        energies: Any = None,
        rng: Any = None,
        adaptive: bool = True,
        keep: bool = True,
    ) -> None:
        self._terms = Terms.of(terms, count)
        self._energies = _checked_energies(energies, self._terms.size)
        _checked_code(code)
        checks.generator(CALL, rng)  # codes that draw nothing do not look at it
        self._adaptive = adaptive
        self._workers = Workers(workers, CALL)
        try:
            self.code = built(code, self._terms.size, self._workers.n, rng)
        except BaseException:
            self.close()
            raise
        self._earlier: Prior | None = None
        if keep:
            self._terms = self._terms.taken(Snapshot(self._workers.by_reference))

    @checks.named(FACE)
    def __call__(
        self,
        x: Any = None,
        *,
        estimator: str = "lmmse",
        tolerance: float = 0.0,
        deadline: float | None = None,
        stop: StopRule | None = None,
        memory_limit_bytes: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Answer:
        """Compute the sum at ``x``; parameters as for `kofn.sum`, or a stop rule instead of tolerance and deadline."""
        stop = stop_rule(CALL, tolerance, deadline, stop)
        given = Input.of(x)
        scheme = SumScheme(self.code, self._terms, given, self._energies, self._earlier, self._adaptive)
        seen: dict[int, Any] = {}
        try:
            with checks.meaning({"value": "terms", "function and arguments": "x"}):
                answer = run(
                    scheme,
                    workers=self._workers,
                    estimator=estimator,
                    stop=stop,
                    memory_limit_bytes=memory_limit_bytes,
                    progress=progress,
                    results=seen,
                )
        finally:
            self._workers.drop(given.key)
        self._earlier = scheme.learner().prior(seen) if self._energies is None else None
        return answer

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        self._workers.close()


def built(code: CodeLike, m: int, workers: int, rng: Any) -> LinearCode:
    """Build the code that ``code=`` means for m terms.

    Examples
    --------
    >>> built("uncoded", 4, 2, None).rows
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


def _checked_code(code: Any) -> None:
    if not callable(code) and not isinstance(code, LinearCode):
        checks.choice(CALL, "code", code, SUMS, "or pass a LinearCode or a builder such as kofn.schemes.sr")


def _checked_energies(energies: Any, m: int) -> Any:
    if energies is None:
        return None
    wrong, values = "", np.empty(0)
    try:
        given, masked = checks.arrayed(energies)
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
