"""What simulating stragglers costs: a step of coded training over a step of plain PyTorch, in processor time.

    python benchmarks/training_speed.py [--steps 300] [--rounds 5]

The network of Tegin et al., Fig. 12, with batches of 64. Plain and coded rounds alternate in one process on one thread,
and the smallest time of each counts, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

import kofn
import kofn.torch
import torch
from kofn_studies.training.networks import dense_network
from torch import nn

IDEAL = {"realisation": "ideal", "classes": (1, 2, 6), "gamma": (0.45, 0.35, 0.20)}
SCHEMES: Mapping[str, Mapping[str, Any]] = {
    "kronecker-rescaled-rxc": {},
    "kronecker-rescaled-rxc, late results": {"late": 2.0},
    "ew-rxc": {"code": "ew-uep", "estimator": "exact", "rescale": False, **IDEAL},
    "uncoded-rxc": {"code": "uncoded", "workers": 9, "estimator": "exact", "rescale": False},
    "kronecker-rescaled-cxr": {"partition": "cxr", "blocks": (9, 9), "realisation": "ideal"},
    "ew-cxr": {"code": "ew-uep", "partition": "cxr", "blocks": (9, 9), "estimator": "exact", **IDEAL},
}
COMMON: Mapping[str, Any] = {
    "latency": kofn.Exponential(2.0), "blocks": (3, 3), "workers": 15, "scale_load": True, "deadline": 0.5, "rng": 0,
}  # fmt: skip


def seconds(network: nn.Module, steps: int) -> float:
    """Processor time of some steps of stochastic gradient descent."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    torch.manual_seed(0)
    images, labels = torch.rand(64 * 32, 1, 28, 28), torch.randint(10, (64 * 32,))
    start = time.process_time()
    for step in range(steps):
        batch = torch.arange(64) + 64 * (step % 32)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimiser.step()
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", metavar="N", type=int, default=300)
    parser.add_argument("--rounds", metavar="N", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| scheme | ms a step, plain | coded | ratio |\n|---|---|---|---|")
    for name, options in SCHEMES.items():
        plain = dense_network((1, 28, 28), 10, 0)
        coded = kofn.torch.convert(dense_network((1, 28, 28), 10, 0), **{**COMMON, **options})
        seconds(plain, 20), seconds(coded, 80)  # caches, and the first codes
        pairs = [(seconds(plain, asked.steps), seconds(coded, asked.steps)) for _ in range(asked.rounds)]
        first, second = (1e3 * min(times) / asked.steps for times in zip(*pairs, strict=True))
        print(f"| {name} | {first:.2f} | {second:.2f} | {second / first:.1f} |", flush=True)


if __name__ == "__main__":
    main()
