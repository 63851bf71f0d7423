"""Federated learning with persistent stragglers: accuracy after 60 rounds by deadline, and the time they take.

    python benchmarks/federated.py [--data DIR] [--seeds 3]

Ten clients hold the classes of scikit-learn's digits (or MNIST's, from --data) by label; three of them are six
times slower than the others in a log-normal trace. A unit of work is one shard's update.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import kofn
import torch
from kofn.schemes import SUMS
from kofn_studies.datasets import load
from kofn_studies.training.federated import Federation, federate, shards_by_label
from kofn_studies.training.networks import dense_network

SHARDS, ROUNDS, SLOW, FACTOR = 10, 60, (2, 3, 7), 6.0
DEADLINES = (1.0, 1.5, 2.0, 3.0)

CODES = {
    "uncoded: the mean of those that came": SUMS["uncoded"](SHARDS, workers=SHARDS),
    "gradient code, any 8 of 10": SUMS["gradient"](SHARDS, stragglers=2, workers=SHARDS, rng=0),
    "repetition by two": SUMS["rep"](SHARDS, copies=2, workers=SHARDS),
    "cyclic, two shards a client": SUMS["cyclic"](SHARDS, blocks=SHARDS, rows=2, workers=SHARDS),
    "cyclic, three shards a client": SUMS["cyclic"](SHARDS, blocks=SHARDS, rows=3, workers=SHARDS),
}


def trace(seed: int) -> kofn.Trace:
    """Seconds of one update, round by round."""
    times = np.random.default_rng(seed).lognormal(-0.5, 0.3, (ROUNDS, SHARDS))
    times[:, SLOW] *= FACTOR
    return kofn.Trace(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--seeds", metavar="N", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load("mnist", asked.data) if asked.data else load("digits")
    shards = shards_by_label(data, SHARDS)

    def row(name: str, deadline: float) -> str:
        done = [
            federate(
                dense_network(data.shape, 10, seed), data, shards, CODES[name], trace(seed),
                Federation(rounds=ROUNDS, deadline=deadline), seed,
            )
            for seed in range(asked.seeds)
        ]  # fmt: skip
        tests = [rounds.test[-1] for rounds in done]
        seconds = np.mean([sum(rounds.seconds) for rounds in done])
        return f"{np.mean(tests):.3f} ± {np.std(tests):.3f} in {seconds:.0f} s"

    print(f"{data.name}, {ROUNDS} rounds, {asked.seeds} seeds: mean ± standard deviation of test accuracy")
    print(f"wait for everybody: {row('uncoded: the mean of those that came', math.inf)}")
    for name in CODES:
        print(f"{name}: " + "; ".join(f"T = {deadline:g}: {row(name, deadline)}" for deadline in DEADLINES), flush=True)


if __name__ == "__main__":
    main()
