"""Every call of the library, made once as a case says; what comes of it is compared with what is right."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..._api._imap import imap
from ..._api._map import CodedMap, map
from ..._api._matmul import matmul
from ..._api._sum import CodedSum, sum
from ..._base._numbers import Array
from ...engines._protocol import Pool
from ...errors import require
from ...jobs._answer import Answer
from ...jobs._plan import prepare, start
from ...schemes import FUNCTIONS, PRODUCTS
from .._battery import require as hold
from ._draws import Case
from ._oracles import check_product, check_sum, check_values
from ._remote import at_the_workers, brought_here, keeping

NEVER_EXACT = {"matdot-approximate", "berrut", "letcc", "kriging", "parity"}
MIXED = {"lagrange", "berrut", "letcc", "kriging", "parity"}

ENDS = ("deadline", "tolerance", "stop")
"""Options that end a job before it is exact."""

MOST_MIXED = 6
"""Inputs of a code that mixes them, and rows."""

Outcome = tuple[str, float | None]
"""What came of a job, and by how much an estimate was off."""


class Planned(Exception):
    """What a function of a case raises that fails."""


def play(case: Case, pool: Pool, told: Callable[[Answer], object] = lambda answer: None) -> Outcome:
    """Run a case on a pool; ``told`` hears of every answer.

    Raises
    ------
    AssertionError
        An answer is wrong.
    """
    return _FACES[case.face](case, pool, told)


def _drawn(case: Case) -> tuple[Any, Any]:
    """Two matrices."""
    rng = np.random.default_rng(case.seed)
    m, k, n = (int(size) for size in rng.integers(8, 60, 3))
    if case.dtype == "int64":
        return rng.integers(-9, 9, (m, k)), rng.integers(-9, 9, (k, n))
    A, B = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    if case.dtype == "sparse":
        from scipy.sparse import csr_array

        return csr_array(A * (rng.random((m, k)) < 0.2)), B
    if case.dtype.startswith("complex"):
        A, B = A + 1j * rng.standard_normal((m, k)), B - 1j * rng.standard_normal((k, n))
    return (A * 10.0 ** rng.integers(-6, 6)).astype(case.dtype), B.astype(case.dtype)


def _kind(answer: Answer, case: Case) -> str:
    """What kind of answer it is; one that nothing hurried is exact."""
    if answer.exact:
        return "exact"
    hurried = any(end in case.options for end in ENDS)
    hold(hurried or case.code in NEVER_EXACT, f"nothing hurried {case.code}, and yet it is not exact: {answer!r}")
    return "estimate"


def _lying(case: Case) -> bool:
    """Whether workers may be wrong; then a small error may be taken for rounding."""
    return "verify" in case.options


def _product(answer: Answer, case: Case, A: Any, B: Any, told: Any) -> Outcome:
    off = check_product(answer, A, B, lying=_lying(case))
    told(answer)
    return _kind(answer, case), off


def _matmul(case: Case, pool: Pool, told: Any) -> Outcome:
    A, B = _drawn(case)
    return _product(matmul(A, B, workers=pool, code=case.code, rng=case.seed, **case.options), case, A, B, told)


def _scheme(case: Case, pool: Pool, A: Array, B: Array) -> Any:
    return PRODUCTS[case.code](A, B, workers=pool.n, rng=case.seed)


def _plan(case: Case, pool: Pool, told: Any) -> Outcome:
    A, B = _drawn(case)
    with prepare(_scheme(case, pool, A, B), pool, **case.options) as plan:
        outcomes = [_product(plan.run(), case, A, B, told) for _ in range(2)]
    return outcomes[-1]


def _start(case: Case, pool: Pool, told: Any) -> Outcome:
    """A job in the background, of matrices that are overwritten meanwhile."""
    A, B = _drawn(case)
    before = A.copy(), B.copy()
    with start(_scheme(case, pool, A, B), pool, **case.options) as job:
        A[:], B[:] = np.nan, np.nan
        if case.cancelled_after is None:
            for estimate in job:
                check_product(estimate, *before, lying=_lying(case))
            return _product(job.result(), case, *before, told)
        timer = threading.Timer(case.cancelled_after, job.cancel)
        timer.start()
        try:
            return _product(job.result(), case, *before, told)
        finally:
            timer.cancel()
            timer.join()


def _terms(case: Case) -> tuple[list[Any], list[Any], Array]:
    """Terms, their values, and the input."""
    rng = np.random.default_rng(case.seed)
    x, weights = rng.standard_normal(5), rng.standard_normal(int(rng.integers(3, 20))).tolist()
    terms: list[Any] = [partial(_term, weight, i) for i, weight in enumerate(weights)]
    values = [term(x) for term in terms]
    if case.fails:
        terms[int(rng.integers(len(terms)))] = partial(_raise, None)
    return terms, values, x


def _term(weight: float, i: int, x: Array) -> Array:
    return np.asarray(weight * np.cos(i * x) + 1.0)


def _raise(fine: Any, x: Any) -> Any:
    raise Planned("as planned")


def _sum(case: Case, pool: Pool, told: Any) -> Outcome:
    terms, values, x = _terms(case)
    answer = sum(terms, x, workers=pool, code=case.code, rng=case.seed, **case.options)
    told(answer)
    return _kind(answer, case), check_sum(answer, values, _lying(case))


def _coded_sum(case: Case, pool: Pool, told: Any) -> Outcome:
    terms, _, x = _terms(case)
    with CodedSum(terms, workers=pool, code=case.code, rng=case.seed, **case.options) as total:
        for y in (x, 2 * x, x - 1):
            answer = total(y)
            off = check_sum(answer, [term(y) for term in terms], _lying(case))
            told(answer)
    return _kind(answer, case), off


def _inputs(case: Case) -> tuple[Any, Any]:
    """A function and inputs: matrices for codes that mix them, else anything."""
    rng = np.random.default_rng(case.seed)
    count = int(rng.integers(1, 30))
    if case.code in MIXED:
        return _square, rng.standard_normal((min(count, 2 if case.code == "lagrange" else MOST_MIXED), 3, 3))
    kinds: list[tuple[Any, Any]] = [
        (_next, list(range(count))),
        (str.upper, [f"word {i}" for i in range(count)]),
        (_square, list(rng.standard_normal((count, 4, 4)))),
    ]
    return kinds[int(rng.integers(len(kinds)))]


def _square(x: Array) -> Array:
    return np.asarray(x @ x)


def _next(x: int) -> dict[str, int]:
    return {"next": x + 1}


def _failing(f: Any, at: Any, x: Any) -> Any:
    return _raise(None, x) if np.array_equal(x, at) else f(x)


def _function(case: Case) -> tuple[Any, Any, list[Any]]:
    """A function, inputs and what is right."""
    f, inputs = _inputs(case)
    values = [f(x) for x in inputs]
    return (partial(_failing, f, inputs[-1]) if case.fails else f), inputs, values


def _of_code(case: Case, pool: Pool) -> dict[str, Any]:
    if case.code == "auto":
        return {}
    named: dict[str, Any] = {"code": case.code, "rng": case.seed}
    if case.code in MIXED:
        named["rows"] = max(MOST_MIXED, pool.n)
    return named | ({"degree": 2} if case.code == "lagrange" else {})


def _map(case: Case, pool: Pool, told: Any) -> Outcome:
    f, inputs, values = _function(case)
    answer = map(f, inputs, workers=pool, **_of_code(case, pool), **case.options)
    told(answer)
    return _kind(answer, case), check_values(answer, values, case.code in MIXED, _lying(case))


def _coded_map(case: Case, pool: Pool, told: Any) -> Outcome:
    f, inputs, values = _function(case)
    with CodedMap(f, workers=pool, **_of_code(case, pool), **case.options) as mapped:
        for _ in range(2):
            answer = mapped(inputs)
            check_values(answer, values, case.code in MIXED, _lying(case))
            told(answer)
    return _kind(answer, case), None


def _imap(case: Case, pool: Pool, told: Any) -> Outcome:
    f, inputs, values = _function(case)
    ordered = case.seed % 2 == 0
    with imap(f, inputs, workers=pool, ordered=ordered) as results:
        got = list(results)
    key = (lambda value: value) if ordered else repr
    right = values if ordered else sorted(values, key=key)
    got = got if ordered else sorted(got, key=key)
    equal = len(got) == len(right) and all(np.array_equal(a, b) for a, b in zip(got, right, strict=True))
    hold(equal, f"imap gives {got!r:.200}, not {right!r:.200}")
    return "exact", None


def _joblib(case: Case, pool: Pool, told: Any) -> Outcome:
    with require("chaos with joblib", "joblib"):
        import joblib

    from ...joblib import Backend

    f, inputs, values = _function(case)
    with joblib.parallel_config(backend=Backend(pool), n_jobs=pool.n):
        got = joblib.Parallel()(joblib.delayed(f)(x) for x in inputs)
    equal = len(got) == len(values) and all(np.array_equal(a, b) for a, b in zip(got, values, strict=True))
    hold(equal, f"joblib gives {got!r:.200}, not {values!r:.200}")
    return "exact", None


def _operator(case: Case, pool: Pool, told: Any) -> Outcome:
    from ..._api._operator import operator

    A, B = _drawn(case)
    with operator(A, workers=pool, rng=case.seed, **case.options) as op:
        outcomes = [_product(op.product(B[:, [i]]), case, A, B[:, [i]], told) for i in range(3)]
        if case.seed % 2:
            y = B[: A.shape[0], :1] if len(B) >= A.shape[0] else np.ones((A.shape[0], 1), B.dtype)
            outcomes.append(_product(op.product(y, adjoint=True), case, A.conj().T, y, told))
    return outcomes[-1]


def _remote_matmul(case: Case, pool: Pool, told: Any) -> Outcome:
    """A product of matrices that lie at the workers; its blocks are brought here to be looked at."""
    A, B = _drawn(case)
    keeper = keeping(pool)
    left, right = (at_the_workers(X, keeper) for X in (A, B))
    answer = matmul(left, right, workers=keeper, rng=case.seed, **case.options)
    return _product(brought_here(answer, keeper), case, A, B, told)


def _remote_operator(case: Case, pool: Pool, told: Any) -> Outcome:
    from ..._api._operator import operator

    A, B = _drawn(case)
    keeper = keeping(pool)
    with operator(at_the_workers(A, keeper), workers=keeper, rng=case.seed, **case.options) as op:
        outcomes = [_product(op.product(B[:, [i]]), case, A, B[:, [i]], told) for i in range(3)]
    return outcomes[-1]


_FACES: Mapping[str, Callable[[Case, Pool, Any], Outcome]] = {
    "matmul": _matmul,
    "plan": _plan,
    "start": _start,
    "sum": _sum,
    "coded sum": _coded_sum,
    "map": _map,
    "coded map": _coded_map,
    "imap": _imap,
    "joblib": _joblib,
    "operator": _operator,
    "remote matmul": _remote_matmul,
    "remote operator": _remote_operator,
}

assert set(FUNCTIONS) >= MIXED
