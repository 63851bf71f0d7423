"""How honest the error bars of codes for any function are: drawn functions, error over error bar. Prints a table.

    python benchmarks/error_bars.py [--draws 200]

A draw is a function of one of eleven kinds, inputs to it, and a size of code; every fourth has many more inputs than
evaluations. A quarter of the results is missing. An error bar is honest if the error, ‖estimate − truth‖ / ‖truth‖, is
between a third and three times as large.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kofn.codes import decode
from kofn.schemes import FUNCTIONS, CallScheme

Array = NDArray[Any]

CODES = ("kriging", "letcc", "berrut")

FACTOR = 3.0


class Draw(NamedTuple):
    """A function with its inputs, (K, …), and how many evaluations there are."""

    kind: str
    f: Callable[[Any], Any]
    inputs: Array
    rows: int


def waves(rng: np.random.Generator, fastest: float, outputs: int) -> Callable[[Any], Array]:
    """A sum of up to eight sines."""
    many = int(rng.integers(1, 9))
    sizes, phases = rng.standard_normal((many, outputs)), rng.uniform(0, 2 * np.pi, (many, outputs))
    speeds = fastest * rng.uniform(0.2, 1.0, (many, 1))
    return lambda x: np.sum(sizes * np.sin(speeds * x + phases), axis=0)


def noisy(rng: np.random.Generator, outputs: int) -> Callable[[Any], Array]:
    """Sines, and noise that is the same whenever x is."""
    f, size = waves(rng, 2.0, outputs), 10 ** rng.uniform(-2, 0)
    return lambda x: f(x) + size * np.random.default_rng(abs(int(float(x) * 1e12))).standard_normal(outputs)


def brownian(rng: np.random.Generator, outputs: int) -> Callable[[Any], Array]:
    """A random walk."""
    places, walk = np.linspace(-3, 3, 4001), np.cumsum(rng.standard_normal((4001, outputs)), axis=0)
    return lambda x: np.array([np.interp(x, places, column) for column in walk.T])


def of_numbers(kind: str, rng: np.random.Generator) -> Callable[[Any], Any]:
    """A function of one number in [−1, 1]."""
    outputs = int(rng.integers(1, 4))
    sizes, places = rng.standard_normal((8, outputs)), rng.uniform(-0.8, 0.8, (8, outputs))
    scale, degree = rng.uniform(1, 10), int(rng.integers(1, 7))
    return {
        "smooth": lambda: waves(rng, 4.0, outputs),
        "oscillating": lambda: waves(rng, 10 ** rng.uniform(0.5, 2.5), outputs),
        "rough": lambda: lambda x: sum(2.0 ** (-0.7 * j) * np.cos(3.0**j * np.pi * x + places[j]) for j in range(8)),
        "noisy": lambda: noisy(rng, outputs),
        "step": lambda: lambda x: np.sum(np.sign(x - places) * sizes, axis=0),
        "kink": lambda: lambda x: np.sum(np.abs(x - places) * sizes, axis=0),
        "polynomial": lambda: lambda x: sum(sizes[j] * x**j for j in range(degree + 1)),
        "brownian": lambda: brownian(rng, outputs),
        "high range": lambda: lambda x: np.exp(scale * x) * np.array([1.0, x]),
    }[kind]()


KINDS = (
    "smooth",
    "oscillating",
    "rough",
    "noisy",
    "step",
    "kink",
    "polynomial",
    "brownian",
    "high range",
    "matrix",
    "wide",
)


def drawn(seed: int) -> Draw:
    """One of the drawn functions."""
    rng = np.random.default_rng([3, seed])
    kind, rows = KINDS[seed % len(KINDS)], int(rng.integers(6, 25))
    count = (
        int(rng.integers(4 * rows, 25 * rows))
        if rng.random() < 0.25
        else int(rng.integers(max(4, rows // 3), rows + 1))
    )
    if kind == "matrix":
        X = rng.standard_normal((count, 4, 4)) / 2
        X = X + X.swapaxes(1, 2)
        matrix_functions: list[Callable[[Any], Any]] = [
            lambda x: x @ x @ x - x,
            np.linalg.eigvalsh,
            lambda x: np.tanh(x) @ x,
            lambda x: np.linalg.inv(x @ x + np.eye(4)),
        ]
        return Draw(kind, matrix_functions[rng.integers(4)], X, rows)
    if kind == "wide":
        width, scale = int(rng.integers(2, 9)), 10 ** rng.uniform(-1, 0.7)
        W, g = rng.standard_normal((width, 5)), [np.tanh, np.sin, np.abs][rng.integers(3)]
        return Draw(kind, lambda x: g(scale * x @ W), rng.standard_normal((count, width)), rows)
    inputs = np.linspace(-1, 1, count) if rng.random() < 0.5 else np.sort(rng.uniform(-1, 1, count))
    return Draw(kind, of_numbers(kind, rng), inputs, rows)


def measured(evaluations: CallScheme, truth: Array, received: NDArray[np.intp]) -> tuple[float, float] | None:
    """Error and error bar of the estimate from these rows; None where it is exact."""
    scheme, arguments = evaluations.estimating(), evaluations.arguments.of_rows()
    results = {
        int(row): scheme.check(int(row), np.asarray(evaluations.functions[row](*arguments[row]))) for row in received
    }
    learner = scheme.learner()
    prior = learner.prior(results)
    decoding = decode(scheme.code, received, prior, evaluations.estimator, scheme.epsilon)
    assert learner.judge is not None
    decoding = learner.judge(decoding, list(results), list(results.values()), 0.0).decoding
    if decoding.exact:
        return None
    off = scheme.assemble(decoding.matrix, list(results.values())) - truth
    return float(np.linalg.norm(off) / np.linalg.norm(truth)), float(decoding.error)


def ratio(code: str, seed: int) -> float | None:
    """Error over error bar of one draw; None where it is exact."""
    _, f, inputs, rows = drawn(seed)
    evaluations = FUNCTIONS[code](f, inputs, workers=rows)
    received = np.random.default_rng([9, seed]).permutation(rows)[: max(4, -(-3 * rows // 4))]
    found = measured(evaluations, np.array([np.asarray(f(x)) for x in inputs]), received)
    return None if found is None else found[0] / found[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    print(f"{'':10}  honest  too small  too large   by kind")
    for code in CODES:
        found = {seed: ratio(code, seed) for seed in range(draws)}
        ratios = {seed: value for seed, value in found.items() if value is not None}
        values = np.array(list(ratios.values()))
        honest = (values < FACTOR) & (values > 1 / FACTOR)
        kinds = np.array([KINDS[seed % len(KINDS)] for seed in ratios])
        by_kind = "  ".join(f"{kind} {honest[kinds == kind].mean():.2f}" for kind in KINDS if np.any(kinds == kind))
        small, large = np.mean(values >= FACTOR), np.mean(values <= 1 / FACTOR)
        print(f"{code:10}{honest.mean():8.3f}{small:11.3f}{large:11.3f}   {by_kind}")


if __name__ == "__main__":
    main()
