"""Wrong results against the checks of ``verify=``, by the thousand: prints how many were found, and how many alarms
were false.

    python benchmarks/liars.py honest [--count 1000000]   honest block products: none may be called wrong
    python benchmarks/liars.py missed [--count 100000]    errors of 30 thresholds: none may be missed
    python benchmarks/liars.py runs [--seeds 200]         liars among 12 workers, 6 results needed, audited
    python benchmarks/liars.py keyed [--seeds 20]         6 liars among 12 workers, block products checked with a key

Virtual time, except for ``keyed``; set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import kofn
from kofn.codes import LinearCode, gaussian_frame
from kofn.simulation import VirtualPool
from kofn.testing import faults

N, K = 12, 6

SCALES = {"f": 15, "d": 20, "F": 15, "D": 20}
"""Powers of ten between which matrices are scaled, by type."""

KINDS = ("normal", "uniform", "constant", "whole", "uneven", "cancelling")

FAULTS = (
    faults.BitFlip(),
    faults.BitFlip(bits=5),
    faults.BitFlip(part="sign"),
    faults.BitFlip(part="exponent"),
    faults.Scaled(1.5),
    faults.Constant(),
    faults.Stale(),
    faults.Tile(side=1),
    faults.Tile(side=3),
    faults.Swapped(),
    faults.NotANumber(),
    faults.Truncated(),
    faults.Colluding(),
)


def matrix(rng: np.random.Generator, kind: str, shape: tuple[int, int], dtype: str) -> Any:
    """Numbers of a kind, at a scale of their own."""
    real = {
        "normal": lambda: rng.standard_normal(shape),
        "uniform": lambda: rng.random(shape),
        "constant": lambda: np.full(shape, rng.random() + 0.1),
        "whole": lambda: rng.integers(-9, 9, shape).astype(float),
        "uneven": lambda: rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 6, shape),
        "cancelling": lambda: np.cumsum(rng.standard_normal(shape), axis=1) * (-1.0) ** np.arange(shape[1]),
    }[kind]()
    numbers = real + 1j * rng.standard_normal(shape) if dtype in "FD" else real
    return (10.0 ** rng.uniform(-SCALES[dtype], SCALES[dtype]) * numbers).astype(dtype)


def products(count: int, seed: int = 0) -> Iterator[tuple[Any, Any, int]]:
    """Tasks of block products, their scheme's check, and a number: one in a thousand is larger than the others."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        dtype = "fdFD"[number % 4]
        most = 300 if number % 1000 < 4 else 24
        rows, inner, columns = rng.integers(1, most, 3)
        first, second = rng.choice(KINDS, 2)
        a, b = matrix(rng, first, (rows, inner), dtype), matrix(rng, second, (inner, columns), dtype)
        yield kofn.Task(np.matmul, (a, b)), verifier(number), number


_scheme = kofn.schemes.uncoded(np.eye(2), np.eye(2), workers=1)


def verifier(key: int) -> Any:
    """The check of block products with that key."""
    return _scheme.verifier(key)


def honest(count: int) -> str:
    """False alarms among honest products."""
    alarms = overflown = 0
    largest = 0.0
    for task, check, _ in products(count):
        with np.errstate(over="ignore", invalid="ignore"):
            right = task.arguments[0] @ task.arguments[1]
        if not np.isfinite(right).all():  # kofn.matmul refuses such matrices
            overflown += 1
            continue
        excess = check.excess(task, right)
        alarms, largest = alarms + (excess > 1.0), max(largest, excess)
    told = f"{alarms} of {count - overflown} honest products called wrong"
    return f"{told}; the largest reached {largest:.2g} of its threshold"


def missed(count: int) -> str:
    """Errors of at least 30 thresholds that are not found; the size comes from checks with other keys."""
    found = lost = 0
    rng = np.random.default_rng(1)
    for task, check, number in products(count * 2, seed=1):
        if found + lost == count:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = task.arguments[0] @ task.arguments[1]
        size = float(np.abs(wrong).max())
        if not 0.0 < size < np.inf:
            continue
        place = tuple(rng.integers(length) for length in wrong.shape)
        wrong[place] += wrong.dtype.type(size * 10.0 ** rng.uniform(-8, 0))
        # The largest of four normal numbers, in the median of nine keys, is 1.42 deviations for an error of one row.
        others = np.median([verifier(10**7 + 9 * number + k).excess(task, wrong) for k in range(9)])
        if others / 1.42 >= 30.0:
            found, lost = found + (check.excess(task, wrong) > 1.0), lost + (check.excess(task, wrong) <= 1.0)
    return f"{lost} of {found + lost} errors of at least 30 thresholds missed"


def give(result: Any) -> Any:
    """A task that returns what it is given."""
    return result


def audited(seed: int, dtype: str, count: int, fault: faults.Fault) -> str:
    """How a run ends in which so many of twelve workers lie."""
    rng = np.random.default_rng([seed, count])
    code = LinearCode("frame", gaussian_frame(N, K, rng), np.eye(K), worker=range(N), threshold=K)
    unknowns = rng.standard_normal((K, 8, 9))
    rows = np.tensordot(code.generator, unknowns, axes=1).astype(dtype)
    scheme = kofn.schemes.CustomScheme(code, [kofn.Task(give, (row,)) for row in rows], epsilon=np.finfo(dtype).eps)
    liars = sorted(rng.choice(N, count, replace=False).tolist())
    times = rng.uniform(1.0, 2.0, (N, 20))
    with faults.Corrupting(VirtualPool(times), dict.fromkeys(liars, fault), seed) as pool:
        try:
            answer = kofn.run(scheme, pool, verify="correct")
        except kofn.KofnError as error:
            return f"refused ({type(error).__name__})"
    off = float(np.abs(answer.value - unknowns).max()) / answer.amplification
    # 30 thresholds of the check, 1000 units of precision each, of the norm of twelve results of 72 numbers.
    if off > 30e3 * np.finfo(dtype).eps * np.sqrt(rows.size):
        return "WRONG"
    return "right" if {one.worker for one in answer.report.wrong} <= set(liars) else "right, an honest one accused"


def runs(seeds: int) -> Iterator[str]:
    """A line for each fault, type and number of liars."""
    for dtype in "fd":
        for fault in FAULTS:
            for count in range(1, 6):
                ends = Counter(audited(seed, dtype, count, fault) for seed in range(seeds))
                told = ", ".join(f"{times} {end}" for end, times in sorted(ends.items()))
                yield f"{np.dtype(dtype).name} {count} liars {fault!r:40} {told}"


def keyed(seeds: int) -> Iterator[str]:
    """Six liars of twelve, block products, on threads."""
    for dtype in "fd":
        for fault in FAULTS:
            ends = Counter(_keyed(seed, dtype, fault) for seed in range(seeds))
            yield f"{np.dtype(dtype).name} 6 liars {fault!r:40} {dict(ends)}"


def _keyed(seed: int, dtype: str, fault: faults.Fault) -> str:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((120, 60)).astype(dtype), rng.standard_normal((60, 40)).astype(dtype)
    liars = dict.fromkeys(rng.choice(N, 6, replace=False).tolist(), fault)
    with faults.Corrupting(kofn.ThreadPool(N), liars, seed) as pool:
        answer = kofn.matmul(a, b, workers=pool, code="mds", blocks=(K, 1), rng=seed, verify="correct")
    off = float(np.abs(answer.value - a.astype("d") @ b.astype("d")).max()) / answer.amplification
    # 30 thresholds, 9 K eps / 2 each, of the norms of a row of A and of B.
    limit = 30 * 9 * 60 * np.finfo(dtype).eps / 2 * np.linalg.norm(a, axis=1).max() * np.linalg.norm(b)
    accused = {one.worker for one in answer.report.wrong} - liars.keys()
    return "WRONG" if off > limit else "accused" if accused else "right"


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("honest", "missed", "runs", "keyed"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seeds", type=int)
    asked = parser.parse_args()
    if asked.what == "honest":
        print(honest(asked.count or 1_000_000))
    elif asked.what == "missed":
        print(missed(asked.count or 100_000))
    else:
        lines = runs(asked.seeds or 200) if asked.what == "runs" else keyed(asked.seeds or 20)
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
