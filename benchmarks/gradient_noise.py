"""How far coded gradients are from exact ones, layer by layer: mean squared error, and that of their mean.

    python benchmarks/gradient_noise.py --data DIR --contenders kronecker-rescaled-wide kronecker-principal-wide

The network of Tegin et al. 2022, Table V, on CIFAR-10 after 300 mini-batches, T_max = 1; both relative to the square of
the exact gradient of one mini-batch.
"""

from __future__ import annotations

import argparse
import copy

import numpy as np

import torch
from kofn_studies.datasets import Dataset, load
from kofn_studies.training.methods import METHODS
from kofn_studies.training.networks import convolutional_network
from kofn_studies.training.sgd import SgdSchedule, train

WARM_UP, LOOKS, BATCH, SEED = 300, 100, 64, 0
JUDGED = 12
"""So many mini-batches are judged: one is much like the average of the others, another is not."""


def main() -> None:
    """Print a row for each contender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", required=True)
    parser.add_argument("--contenders", nargs="+", default=["kronecker-rescaled-wide", "kronecker-principal-wide"])
    parser.add_argument("--draws", type=int, default=15, help="of codes and arrivals, for each mini-batch")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load("cifar10", asked.data)
    network = convolutional_network(data.shape, 10, SEED)
    train(network, data.first(BATCH * WARM_UP, BATCH), SgdSchedule(1, marks=1), SEED)
    rng = np.random.default_rng(SEED)
    batches = [batch(data, rng) for _ in range(LOOKS)]
    for name in asked.contenders:
        coded = METHODS[name].network(copy.deepcopy(network), "rxc", 1.0, SEED)
        for one in batches:  # the master gets to know the products
            gradients(coded, one)
        errors = [judged(coded, network, one, asked.draws) for one in batches[:JUDGED]]
        for layer in errors[0]:
            of_draws, of_mean = np.mean([error[layer] for error in errors], axis=0)
            print(f"{name}, layer {layer}: {of_draws:.2f}, of the mean {of_mean:.2f}", flush=True)


def batch(data: Dataset, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A mini-batch."""
    chosen = rng.choice(len(data.train_labels), BATCH, replace=False)
    images = torch.tensor(data.train_images[chosen]).float().div_(data.white)
    return images, torch.from_numpy(data.train_labels[chosen].astype(np.int64))


def gradients(network: torch.nn.Module, of: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Gradients of the weights by layer."""
    network.zero_grad()
    torch.nn.functional.cross_entropy(network(of[0]), of[1]).backward()
    weights = {name: parameter for name, parameter in network.named_parameters() if parameter.dim() > 1}
    return {name.removesuffix(".weight"): weight.grad.clone() for name, weight in weights.items()}


def judged(
    coded: torch.nn.Module, network: torch.nn.Module, one: tuple[torch.Tensor, torch.Tensor], count: int
) -> dict[str, tuple[float, float]]:
    """Mean squared error of draws by layer, and of their mean without what is due to their number."""
    exact, draws = gradients(network, one), [gradients(coded, one) for _ in range(count)]
    found = {}
    for layer, truth in exact.items():
        size, mean = float(truth.square().sum()), torch.stack([draw[layer] for draw in draws]).mean(0)
        error = sum(float((draw[layer] - truth).square().sum()) for draw in draws) / count / size
        of_mean = float((mean - truth).square().sum()) / size
        found[layer] = error, (of_mean - error / count) * count / (count - 1)
    return found


if __name__ == "__main__":
    main()
