"""What `kofn.fit` finds for the four problems of Agrawal et al. 2022, at the size of its Table I: prints the reports.

    python benchmarks/fit_problems.py [--size 50] [--samples 100]

Three matrices, five of eight results. Then, for what was returned, the error and what its error bar promised by the
number of results.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

import kofn
from kofn.codes import decode
from kofn_studies.aicc.problems import PROBLEMS

CALLS = 200


def by_count(fitted: kofn.Fitted, inputs: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> None:
    """Print error and promise for 1 … 8 results."""
    loss, promised = np.zeros(9), np.zeros(9)
    for X, truth in zip(inputs, values, strict=True):
        made = fitted.evaluations(X, workers=8)
        scheme, arguments = made.estimating(), made.arguments.of_rows()
        order = rng.permutation(8)
        results = [np.asarray(made.functions[row](*arguments[row])) for row in order]
        payloads = {int(row): scheme.check(int(row), result) for row, result in zip(order, results, strict=True)}
        for count in range(1, 9):
            some = dict(list(payloads.items())[:count])
            decoding = decode(made.code, order[:count], scheme.learner().prior(some), made.estimator)
            estimate = scheme.assemble(decoding.matrix, list(some.values()))
            loss[count] += np.sum((estimate - truth) ** 2)
            promised[count] += decoding.error**2 * np.sum(truth**2)
    energy = np.sum(values**2)
    for name, sums in (("error", loss), ("promised", promised)):
        print(f"{name:<10}" + "".join(f"{np.sqrt(each / energy):>10.2g}" for each in sums[1:]))


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=50)
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()
    for name, problem in PROBLEMS.items():
        draw = partial(problem.sample, shape=(), size=options.size)
        fitted = kofn.fit(problem.function, draw, inputs=3, recover=5, workers=8, samples=options.samples, rng=0)
        print(f"\n{name}, {problem.title}\n{fitted.report}")
        rng = np.random.default_rng(1)
        inputs = problem.sample(rng, (CALLS, 3), options.size)
        by_count(fitted, inputs, problem.function(inputs), rng)


if __name__ == "__main__":
    main()
