"""What code, estimator, rescaling and late results each contribute to coded training, one taken away at a time.

    python benchmarks/training_ablation.py [--data DIR --dataset mnist] [--seeds 3]

The network, workers, load and delays of Tegin et al., Sec. VII: F(Ωt), λ = 1/2, nine block products, row × column.
Without ``--data`` it trains on scikit-learn's digits, for as many steps of a smaller set. Late results may come until
four deadlines have passed: by then the master has been through the three layers of the next step, so nothing waits.
Principal components are cut where it is cheap, which on MNIST is in one product of the last layer alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

import kofn
import kofn.torch
import torch
from kofn_studies.datasets import Dataset, load
from kofn_studies.training.networks import dense_network
from kofn_studies.training.sgd import SgdSchedule, train

DEADLINES = (0.25, 0.5, 1.0, 2.0)
LATE = 4.0
COMMON: Mapping[str, Any] = {
    "latency": kofn.Exponential(2.0), "blocks": (3, 3), "workers": 15, "scale_load": True, "principal": False,
}  # fmt: skip
WINDOWS = {"code": "ew-uep", "realisation": "ideal", "classes": (1, 2, 6), "gamma": (0.45, 0.35, 0.20)}
ZEROS = {"estimator": "exact"}

ROWS: Mapping[str, Mapping[str, Any]] = {
    "all four, and principal components": {"late": True, "principal": True},
    "all four": {"late": True},
    "without late results": {},
    "without rescaling": {"late": True, "rescale": False},
    "without rescaling and late results": {"rescale": False},
    "zeros instead of least squares": {"late": True, **ZEROS},
    "expanding windows instead of the code": {"late": True, **WINDOWS},
    "no code": {"late": True, "code": "uncoded", "workers": 9},
    "nothing: no code, zeros": {"code": "uncoded", "workers": 9, "rescale": False, **ZEROS},
    "the paper's: expanding windows, zeros": {"rescale": False, **WINDOWS, **ZEROS},
}


def accuracy(data: Dataset, course: SgdSchedule, options: Mapping[str, Any], deadline: float, seed: int) -> float:
    """Test accuracy after the course; a network that has diverged guesses."""
    asked = {**COMMON, **options, "deadline": deadline}
    asked["late"] = LATE * deadline if asked.get("late") else None
    network = kofn.torch.convert(dense_network(data.shape, 10, seed), **asked, rng=seed)
    try:
        return train(network, data, course, seed).test[-1]
    except kofn.ArgumentError:
        return 0.1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--seeds", metavar="N", type=int, default=3)
    parser.add_argument("--epochs", metavar="N", type=int)
    parser.add_argument("--deadlines", metavar="T", type=float, nargs="+", default=DEADLINES)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load(asked.dataset, asked.data)
    digits = SgdSchedule(epochs=asked.epochs or 15, batch=16, learning_rate=0.05, marks=1)
    course = digits if asked.dataset == "digits" else SgdSchedule(epochs=asked.epochs or 3, marks=1)
    print(f"{asked.dataset}, {course.epochs} epochs, {asked.seeds} seeds: test accuracy, mean ± standard deviation")
    print(f"| T_max | {' | '.join(f'{deadline:g}' for deadline in asked.deadlines)} |")
    print("|---" * (len(asked.deadlines) + 1) + "|")
    for name, options in ROWS.items():
        found = [[accuracy(data, course, options, T, seed) for seed in range(asked.seeds)] for T in asked.deadlines]
        cells = (f"{np.mean(row):.3f} ± {np.std(row):.3f}" for row in found)
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
