"""Wrong results against the checks of ``verify=``, by the thousand: prints how many were found, and how many alarms
were false.

    python benchmarks/liars.py honest [--count 1000000]   honest block products: none may be called wrong
    python benchmarks/liars.py missed [--count 100000]    errors of 30 thresholds: none may be missed
    python benchmarks/liars.py runs [--seeds 200]         liars among 12 workers, 6 results needed, audited
    python benchmarks/liars.py keyed [--seeds 200]        6 liars among 12 workers, block products checked with a key

``--first-seed`` begins at another seed, so that all can be done in portions, whose counts add up. Virtual time, except
for ``keyed``; set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import kofn
from kofn.simulation import VirtualPool
from kofn.testing import faults

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from lies import FAULTS, KINDS, frame, matrix, must_be_found, scale

N, K = 12, 6


def products(count: int, seed: int) -> Iterator[tuple[Any, Any, Any]]:
    """A, B and a key of their own: one pair in a thousand is larger than the others."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        dtype = "fdFD"[number % 4]
        most = 300 if number % 1000 < 4 else 24
        rows, inner, columns = rng.integers(1, most, 3)
        first, second = rng.choice(KINDS, 2)
        a = matrix(rng, first, (rows, inner), dtype, scale(rng, dtype))
        yield a, matrix(rng, second, (inner, columns), dtype, scale(rng, dtype)), int(rng.integers(1 << 60))


_scheme = kofn.schemes.uncoded(np.eye(2), np.eye(2), workers=1)


def excess(a: Any, b: Any, result: Any, key: int) -> float:
    """What the check of block products says of a result."""
    return float(_scheme.verifier(key).excess(kofn.Task(np.matmul, (a, b)), result))


def honest(count: int, seed: int) -> str:
    """False alarms among honest products: BLAS's, and every fiftieth added up one term after another."""
    alarms = overflown = 0
    for number, (a, b, key) in enumerate(products(count, seed)):
        with np.errstate(over="ignore", invalid="ignore"):
            right = a @ b if number % 50 else np.cumsum(a[:, :, None] * b, axis=1)[:, -1]
        overflown += not np.isfinite(right).all()
        alarms += excess(a, b, right, key) > 1.0
    return f"{alarms} of {count} honest products called wrong; in {overflown} of them numbers left the range"


LARGE = {"f": 40, "d": 320, "F": 40, "D": 320}
"""Powers of ten up to which every tenth error is larger than it must be."""


def missed(count: int, seed: int) -> str:
    """Errors of one number that must be found, of 1 to 1000 times the least such size or far more, and are not."""
    rng, tried, lost = np.random.default_rng([1, seed]), 0, 0
    for a, b, key in products(3 * count, seed):
        if tried == count:
            break
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            wrong = a @ b
            sizes = must_be_found(a, b, wrong)
            place = tuple(rng.integers(length) for length in wrong.shape)
            error = sizes[place] * np.float64(10.0) ** rng.uniform(0, 3 if tried % 10 else LARGE[wrong.dtype.char])
            right, wrong[place] = wrong[place], wrong[place] + wrong.dtype.type(error)
            made = abs(np.complex128(wrong[place]) - np.complex128(right))
        # Rounding takes its share of what is added, and products near the smallest numbers are not checked as closely.
        if not np.isfinite(wrong).all() or made < sizes[place] or sizes[place] < 1e6 * np.finfo(wrong.dtype).tiny:
            continue
        tried, lost = tried + 1, lost + (excess(a, b, wrong, key) <= 1.0)
    return f"{lost} of {tried} errors of at least 30 thresholds missed"


def audited(seed: int, dtype: str, count: int, fault: faults.Fault) -> str:
    """How a run ends in which so many of twelve workers lie."""
    rng = np.random.default_rng([seed, count])
    scheme, unknowns = frame(seed, dtype, N, K)
    liars = sorted(rng.choice(N, count, replace=False).tolist())
    times = rng.uniform(1.0, 2.0, (N, 20))
    with faults.Corrupting(VirtualPool(times), dict.fromkeys(liars, fault), seed) as pool:
        try:
            answer = kofn.run(scheme, pool, verify="correct")
        except kofn.KofnError:
            return "refused" if _is_independent(scheme, liars, fault, seed) else "refused, errors not independent"
    off = float(np.abs(answer.value - unknowns).max()) / answer.amplification
    # 30 thresholds of the check, 1000 units of precision each, of the norm of twelve results of 72 numbers.
    if off > 30e3 * np.finfo(dtype).eps * np.sqrt(N * 72):
        return "WRONG"
    return "right" if {one.worker for one in answer.report.wrong} <= set(liars) else "right, an honest one accused"


def _is_independent(scheme: Any, liars: list[int], fault: faults.Fault, seed: int) -> bool:
    """Whether the errors of liars' first results are: no two in the same number alone, no story that several tell."""
    errors = []
    for worker in liars:
        right = scheme.tasks[worker].arguments[0]
        rng = np.random.default_rng([seed, worker, 0, getattr(fault, "rng", 0)])
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = fault.spoil(right.copy(), None, rng)
            error = np.resize(wrong, right.shape).astype("d") - right
        error = np.where(np.isfinite(error), error, np.finfo("d").max ** 0.25).ravel()
        errors.append(error / (np.abs(error).max() or 1.0))
    return int(np.linalg.matrix_rank(np.array(errors), tol=1e-6)) == len(liars)


def runs(seeds: range) -> Iterator[str]:
    """A line for each fault, type and number of liars."""
    for dtype in "fd":
        for fault in FAULTS:
            for count in range(1, 6):
                ends = Counter(audited(seed, dtype, count, fault) for seed in seeds)
                told = ", ".join(f"{times} {end}" for end, times in sorted(ends.items()))
                yield f"{np.dtype(dtype).name} {count} liars {fault!r:40} {told}"


def keyed(seeds: range) -> Iterator[str]:
    """Six liars of twelve, block products, on threads."""
    for dtype in "fd":
        for fault in FAULTS:
            ends = Counter(_keyed(seed, dtype, fault) for seed in seeds)
            yield f"{np.dtype(dtype).name} 6 liars {fault!r:40} {dict(ends)}"


def _keyed(seed: int, dtype: str, fault: faults.Fault) -> str:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((120, 60)).astype(dtype), rng.standard_normal((60, 40)).astype(dtype)
    liars = dict.fromkeys(rng.choice(N, 6, replace=False).tolist(), fault)
    with faults.Corrupting(kofn.ThreadPool(N), liars, seed) as pool:
        answer = kofn.matmul(a, b, workers=pool, code="mds", blocks=(K, 1), rng=seed, verify="correct")
    off = float(np.abs(answer.value - a.astype("d") @ b.astype("d")).max()) / answer.amplification
    # Results are the plain blocks or combinations of them, of a like size, which decoding amplifies.
    limit = float(must_be_found(a, b, a @ b).max())
    accused = {one.worker for one in answer.report.wrong} - liars.keys()
    return "WRONG" if off > limit else "accused" if accused else "right"


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("honest", "missed", "runs", "keyed"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.what == "honest":
        print(honest(asked.count or 1_000_000, asked.first_seed))
    elif asked.what == "missed":
        print(missed(asked.count or 100_000, asked.first_seed))
    else:
        seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
        for line in runs(seeds) if asked.what == "runs" else keyed(seeds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
