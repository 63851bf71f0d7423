"""What shaping by the full sketched prior brings on real data, what it costs, and what a wrong prior costs.

    python benchmarks/shaping.py [--runs 6]

True losses: the squared error of V is tr (T − VG) U (T − VG)ᵀ with U the Gram matrix of the true blocks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import kofn
from kofn.codes import decode
from kofn.schemes.products import _scheme as product
from kofn.schemes.products._cuts import row_column
from kofn.schemes.products._operands import Operands
from kofn.testing import unknowns_of
from kofn.tuning.products import design_for

Floats = NDArray[Any]
BLOCKS, WORKERS, COUNTS = (3, 3), 12, (1, 2, 3, 4, 6, 8)
LATENCY = kofn.Exponential(1.0)


def products() -> dict[str, tuple[Floats, Floats]]:
    """A kernel matrix, a Gram matrix, and the backward product of a layer."""
    X = load_digits().data
    return {"digits kernel X Xᵀ": (X, X.T), "digits Gram XᵀX": (X.T, X), "layer δᵀ·activations": backward(X)}


def backward(X: Floats, hidden: int = 48, steps: int = 60) -> tuple[Floats, Floats]:
    """δᵀ and the inputs of the first layer of a small network after some steps of training on digits."""
    rng = np.random.default_rng(0)
    inputs, wanted = X / 16.0, np.eye(10)[load_digits().target]
    first, second = rng.standard_normal((64, hidden)) / 8, rng.standard_normal((hidden, 10)) / np.sqrt(hidden)
    for _ in range(steps):
        active = np.maximum(inputs @ first, 0.0)
        scores = np.exp(active @ second - (active @ second).max(axis=1, keepdims=True))
        delta = (scores / scores.sum(axis=1, keepdims=True) - wanted) / len(X)
        below = (delta @ second.T) * (active > 0)
        first, second = first - 0.3 * inputs.T @ below, second - 0.3 * active.T @ delta
    return np.ascontiguousarray(below.T), inputs


class Case:
    """A real product, cut and sorted as builders do it."""

    def __init__(self, A: Floats, B: Floats) -> None:
        self.A, self.B, self.operands = A, B, Operands.of(A, B)
        scheme = kofn.schemes.kronecker(A, B, blocks=BLOCKS, rows=WORKERS, rng=0)
        blocks = np.array([block.ravel() for block in unknowns_of(scheme, A @ B)])
        self.gram = blocks @ blocks.T

    def prior(self, seed: Any) -> kofn.Prior:
        """A fresh sketch."""
        rng = np.random.default_rng(seed)
        return row_column(self.operands, BLOCKS, 9, "frobenius", rng).expected.prior()

    def losses(self, code: kofn.LinearCode, prior: kofn.Prior, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """True normalised loss and true over expected loss after each of `COUNTS` results in random order."""
        order, true, expected = rng.permutation(code.rows), [], []
        for count in COUNTS:
            decoding = decode(code, order[:count], prior)
            rest = code.targets - decoding.matrix @ code.generator[order[:count]]
            true.append(np.sum(rest @ self.gram * rest))
            expected.append(float(decoding.error) ** 2 * prior.energies.sum())
        return np.array(true) / np.trace(self.gram), np.array(expected) / np.trace(self.gram)


def designed(prior: kofn.Prior, seed: int, **options: Any) -> kofn.LinearCode:
    """The code for a prior, at a deadline at which about three results are in."""
    found = design_for(prior, BLOCKS, workers=WORKERS, latency=LATENCY, deadline=0.3, rng=seed, **options)
    return found.code


def compare(case: Case, runs: int) -> dict[str, tuple[Floats, Floats]]:
    """Mean true loss, and Σ true / Σ expected, of every kind of code."""
    kinds: dict[str, Callable[[kofn.Prior, int], kofn.LinearCode]] = {
        "kronecker (Gaussian, norms)": lambda prior, seed: (
            kofn.schemes.kronecker(case.A, case.B, blocks=BLOCKS, rows=WORKERS, rng=seed).code
        ),
        "designed, energies alone": lambda prior, seed: designed(prior, seed, correlations=False),
        "designed, full S": lambda prior, seed: designed(prior, seed),
        "designed, S of other data": lambda prior, seed: designed(wrong(seed), seed),
    }
    table = {}
    for name, build in kinds.items():
        rows = []
        for seed in range(runs):
            # The code is designed on one sketch; errors are told by a fresh one, as in a run of its scheme.
            code = build(case.prior([seed, 1]), seed)
            rows.append(case.losses(code, case.prior([seed, 2]), np.random.default_rng([seed, 3])))
        true, expected = (np.array(part) for part in zip(*rows, strict=True))
        table[name] = true.mean(axis=0), true.sum(axis=0) / expected.sum(axis=0)
    return table


def wrong(seed: int) -> kofn.Prior:
    """A prior that has nothing to do with the data: random directions, energies over four decades."""
    rng = np.random.default_rng([seed, 4])
    directions = np.kron(*(np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2)))
    return kofn.Prior(directions * np.kron([10.0, 1.0, 0.1], [10.0, 1.0, 0.1]))


def sketches(case: Case, runs: int) -> None:
    """Print what the width of the sketch changes."""
    usual = product.SKETCH
    for width in (8, 16, 32, 64):
        product.SKETCH = width  # the constant that builders use
        start = time.process_time()
        for seed in range(5):
            case.prior(seed)
        seconds = (time.process_time() - start) / 5
        true, ratio = compare_one(case, runs)
        print(f"  width {width:3}: {seconds * 1e3:7.2f} ms, loss", row(true), " true/expected", row(ratio))
    product.SKETCH = usual


def compare_one(case: Case, runs: int) -> tuple[Floats, Floats]:
    """Loss and honesty of the code for the full S."""
    rows = []
    for seed in range(runs):
        code = designed(case.prior([seed, 1]), seed)
        rows.append(case.losses(code, case.prior([seed, 2]), np.random.default_rng([seed, 3])))
    true, expected = (np.array(part) for part in zip(*rows, strict=True))
    return true.mean(axis=0), true.sum(axis=0) / expected.sum(axis=0)


def row(values: Floats) -> str:
    """Figures of one line."""
    return "".join(f"{value:9.3g}" for value in values)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=6)
    runs = parser.parse_args().runs
    for name, (A, B) in products().items():
        case = Case(A, B)
        print(f"{name}: loss after {', '.join(map(str, COUNTS))} of 9 results; true / expected loss")
        for kind, (true, ratio) in compare(case, runs).items():
            print(f"  {kind:28}", row(true), " ", row(ratio), flush=True)
        start = time.process_time()
        A @ B
        print(f"  the product itself: {(time.process_time() - start) * 1e3:.2f} ms")
        sketches(case, max(2, runs // 3))


if __name__ == "__main__":
    main()
