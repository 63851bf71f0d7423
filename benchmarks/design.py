"""Designed codes against the paper's and against plain shaping, in the paper's setting: prints the tables.

    python benchmarks/design.py [--trials 400]

Row × column, energies 100, 10, 10, 1, 1, 1, .1, .1, .01, W = 30 workers, exponential latency with λ = Ω = 1.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kofn
from kofn.schemes import Classes, families
from kofn.simulation import errors_by_count
from kofn.simulation.theory import at_times
from kofn.tuning.products import Design, design_for
from kofn_studies.figures.uep_setting import CLASSES, VARIANCES, closed_forms

Floats = NDArray[Any]

WORKERS = 30
LATENCY = kofn.Exponential(1.0)
PAPER = kofn.Prior.independent(np.outer(VARIANCES, VARIANCES).ravel())
DEADLINES = (0.1, 0.25, 0.5, 1.0)
TIMES = np.linspace(0.025, 2.0, 80)


def designed(seconds: float, seed: int = 0, **options: Any) -> Design:
    """The code for the paper's energies and a deadline."""
    return design_for(PAPER, (3, 3), workers=WORKERS, latency=LATENCY, deadline=seconds, rng=seed, **options)


def rivals(trials: int) -> dict[str, Floats]:
    """Loss after 0 … 30 results: NOW, EW and MDS as published, and ideal rows with least squares."""
    closed = closed_forms("rxc")
    table = {name: closed[name] for name in ("now-rxc", "ew-rxc", "mds")}
    rng = np.random.default_rng(5)
    draws: dict[str, Any] = {
        "now-rxc-lmmse": lambda: families.Windows(CLASSES["rxc"], kind="now").code(WORKERS, rng),
        "ew-rxc-lmmse": lambda: families.Windows(CLASSES["rxc"], kind="ew").code(WORKERS, rng),
        "mds-lmmse": lambda: families.Gaussian(Classes.of_sizes(9)).code(WORKERS, rng),
    }
    for name, draw in draws.items():
        losses = [errors_by_count(draw(), trials=1, rng=rng, prior=PAPER)[0] ** 2 for _ in range(trials)]
        table[name] = np.mean(losses, axis=0)
    return table


def by_count(design: Design, trials: int) -> Floats:
    """Loss of a design after 0 … 30 results."""
    return np.mean(errors_by_count(design.code, trials=trials, rng=7, prior=PAPER) ** 2, axis=0)


def sequential(seconds: float, results: int) -> Design:
    """The same share of work for each worker, in several results of blocks cut finer."""
    halves = np.repeat(VARIANCES, results) / results
    prior = kofn.Prior.independent(np.outer(halves, VARIANCES).ravel())
    return design_for(
        prior, (3 * results, 3), workers=WORKERS, latency=LATENCY, deadline=seconds, results=results, rng=0
    )


def row(values: Any) -> str:
    """Figures of one line."""
    return "".join(f"{value:10.3g}" for value in values)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    trials = parser.parse_args().trials
    print("kofn.design at deadlines of", *DEADLINES)
    designs = {seconds: designed(seconds) for seconds in DEADLINES}
    for found in designs.values():
        print(found, flush=True)
    print("loss after 1 … 9 results")
    table = rivals(trials) | {f"designed, T = {t}": by_count(found, trials) for t, found in designs.items()}
    for name, loss in table.items():
        print(f"  {name:18}", row(loss[1:10]))
    best = np.min([table[f"designed, T = {t}"] for t in DEADLINES], axis=0)
    done = 1 - np.exp(-TIMES)
    ratios = {name: at_times(loss, done) / at_times(best, done) for name, loss in rivals(trials).items()}
    print("smallest factor over t = 0.025 … 2 by which each rival's loss exceeds the designed one's")
    print("  " + ", ".join(f"{name} {ratio.min():.2f}" for name, ratio in ratios.items()))
    for results in (1, 2):
        values = row([sequential(seconds, results).value for seconds in DEADLINES])
        print(f"loss at the deadlines with {results} result(s) a worker, same total load: {values}", flush=True)


if __name__ == "__main__":
    main()
