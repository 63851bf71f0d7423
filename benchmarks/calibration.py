"""How honest the error bars of the product schemes are, and how good their estimates: prints the tables.

    python benchmarks/calibration.py [--runs 200]

Losses need no product of big matrices per run: with U the Gram matrix of the true unknowns, the squared error of
V is tr (T − VG) U (T − VG)ᵀ.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kofn import Scheme
from kofn.codes import Prior, decode
from kofn.schemes import kronecker, mds_dense
from kofn.testing import unknowns_of

Floats = NDArray[np.float64]

PAPER_LOSS = (0.318, 0.136, 0.054, 0.026, 0.0125, 0.0042, 0.0014)
"""findings.md: mean normalised loss of `kronecker` at the paper's energies, after 1 … 7 results."""


class Run(NamedTuple):
    """One run: true loss, expected loss and amplification after each count of results; the true energy."""

    true: Floats
    expected: Floats
    amplification: Floats
    energy: float


def gram_of_unknowns(scheme: Scheme, answer: Floats) -> Floats:
    """Inner products of the true unknowns, (unknowns, unknowns)."""
    blocks = np.array([block.ravel() for block in unknowns_of(scheme, answer)])
    return blocks @ blocks.T


def losses(scheme: Scheme, gram: Floats, order: NDArray[np.intp], counts: int, prior: Prior) -> Run:
    """Losses after 1 … ``counts`` results arriving in ``order``."""
    code = scheme.code
    true, expected, amplification = np.zeros((3, counts))
    for count in range(1, counts + 1):
        rows = order[:count]
        decoding = decode(code, rows, prior, epsilon=scheme.epsilon)
        rest = code.targets - decoding.matrix @ code.generator[rows]
        true[count - 1] = np.sum(rest @ gram * rest)
        expected[count - 1] = float(decoding.error) ** 2 * prior.energies.sum()
        amplification[count - 1] = float(decoding.amplification)
    return Run(true, expected, amplification, float(np.trace(gram)))


def independent(
    build: Callable[..., Scheme],
    a: Floats,
    b: Floats,
    runs: int,
    *,
    known: bool,
    size: int = 24,
    **layout: Any,
) -> Iterator[Run]:
    """Runs on independent Gaussian blocks of standard deviations ``a`` (of A, by rows) and ``b`` (of B)."""
    energies = size * size * 2 * size * np.outer(a**2, b**2).ravel()
    for seed in range(runs):
        rng = np.random.default_rng([7, seed])
        A = rng.standard_normal((size * len(a), 2 * size)) * np.repeat(a, size)[:, None]
        B = rng.standard_normal((2 * size, size * len(b))) * np.repeat(b, size)
        scheme = build(A, B, rng=rng, **layout)
        gram = gram_of_unknowns(scheme, A @ B)
        prior = Prior.independent(energies) if known else scheme.prior()
        order = rng.permutation(scheme.code.rows)
        yield losses(scheme, gram, order, scheme.code.unknowns, prior)


def fixed(build: Callable[..., Scheme], A: Floats, B: Floats, runs: int, **layout: Any) -> Iterator[Run]:
    """Runs of one real product with fresh coefficients, a fresh sketch and a fresh order each."""
    gram = None
    for seed in range(runs):
        rng = np.random.default_rng([11, seed])
        scheme = build(A, B, rng=rng, **layout)
        if gram is None:  # how the product is cut depends on the data alone
            gram = gram_of_unknowns(scheme, A @ B)
        order = rng.permutation(scheme.code.rows)
        yield losses(scheme, gram, order, scheme.code.unknowns, scheme.prior())


def calibration(runs: Iterator[Run]) -> tuple[Floats, Floats, Floats]:
    """Σ true / Σ expected, mean normalised loss, and median amplification, at each count."""
    true, expected, amplification, energy = (np.array(part) for part in zip(*runs, strict=True))
    ratio = true.sum(axis=0) / np.maximum(expected.sum(axis=0), 1e-300)
    return ratio, (true / energy[:, None]).mean(axis=0), np.median(amplification, axis=0)


LEVELS = np.array([10.0, 1.0, 0.1]) ** 0.5
"""Standard deviations of three blocks: products of energies 100, 10, 10, 1, 1, 1, .1, .1, .01."""


def digits() -> Floats:
    """Scikit-learn's digits, (1797, 64)."""
    from sklearn.datasets import load_digits

    data: Floats = load_digits().data
    return data


def cases(runs: int) -> dict[str, Iterator[Run]]:
    """Every table that is printed."""
    ones = np.ones(1)
    X = digits()
    spread = np.array([3.0, 2.0, 1.5, 1.0, 0.5, 0.3])
    two, three = {"blocks": (6, 1), "rows": 8}, {"blocks": (3, 3), "rows": 12}
    return {
        "mds-dense, independent, known energies": independent(mds_dense, spread, ones, runs, known=True, **two),
        "mds-dense, independent, sketched prior": independent(mds_dense, spread, ones, runs, known=False, **two),
        "mds-dense, digits kernel": fixed(mds_dense, X, X.T, runs, **two),
        "mds-dense, digits Gram": fixed(mds_dense, X.T, X, runs, **two),
        "kronecker, paper's energies, known": independent(kronecker, LEVELS, LEVELS, runs, known=True, **three),
        "kronecker, paper's energies, sketched": independent(kronecker, LEVELS, LEVELS, runs, known=False, **three),
        "kronecker, digits kernel": fixed(kronecker, X, X.T, runs, **three),
        "kronecker, digits Gram": fixed(kronecker, X.T, X, runs, **three),
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    for name, runs in cases(parser.parse_args().runs).items():
        rows = zip(("true / expected", "normalised loss", "amplification"), calibration(runs), strict=True)
        print(name)
        for label, values in rows:
            print(f"  {label:16}" + "".join(f"{value:9.3g}" for value in values))


if __name__ == "__main__":
    main()
