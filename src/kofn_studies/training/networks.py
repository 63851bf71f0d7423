"""The two networks of Tegin et al. 2022, Sec. VII-A: Fig. 12 for MNIST and Table V for CIFAR-10."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import nn

HIDDEN = (100, 200)
"""Fig. 12: 784-100-200-10."""

CHANNELS, DENSE = 32, (512, 256)
"""Table V. It gives the last layer 12 outputs; there are 10 classes, and Table VI has 10."""


def dense_network(shape: Sequence[int], classes: int, seed: int) -> nn.Sequential:
    """Three dense layers with ReLU between them, Fig. 12; the softmax is in the loss.

    Parameters
    ----------
    shape : (channels, height, width)
        Of an image.
    classes : int
    seed : int
        Of the initial weights: Glorot's uniform ones, as is usual in Keras, whose words the paper uses for layers.

    Examples
    --------
    >>> [tuple(weight.shape) for weight in dense_network((1, 28, 28), 10, 0).parameters() if weight.ndim == 2]
    [(100, 784), (200, 100), (10, 200)]
    """
    torch.manual_seed(seed)
    return _glorot(nn.Sequential(nn.Flatten(), *_dense([math.prod(shape), *HIDDEN, classes])))


def convolutional_network(shape: Sequence[int], classes: int, seed: int) -> nn.Sequential:
    """Two convolutions, a maximum over 2 × 2, three dense layers, Table V.

    Parameters
    ----------
    shape : (channels, height, width)
        Of an image.
    classes : int
    seed : int
        Of the initial weights: Glorot's uniform ones, as is usual in Keras, whose words the paper uses for layers.

    Examples
    --------
    >>> [tuple(weight.shape) for weight in convolutional_network((3, 32, 32), 10, 0).parameters() if weight.ndim == 2]
    [(512, 7200), (256, 512), (10, 256)]
    """
    channels, height, width = shape
    torch.manual_seed(seed)
    flat = CHANNELS * ((height - 2) // 2) * ((width - 2) // 2)
    convolutions = (
        nn.Conv2d(channels, CHANNELS, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding="valid"),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return _glorot(nn.Sequential(*convolutions, nn.Flatten(), *_dense([flat, *DENSE, classes])))


def _dense(sizes: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers[:-1]


def _glorot(network: nn.Sequential) -> nn.Sequential:
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)
        if parameter.ndim == 4:  # convolutions take a tenth to a third less time with channels last in memory
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


NETWORKS: Mapping[str, Callable[[Sequence[int], int, int], nn.Sequential]] = {
    "dense": dense_network,
    "convolutional": convolutional_network,
}
