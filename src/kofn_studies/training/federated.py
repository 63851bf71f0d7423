"""Federated learning with clients that straggle: the extension that Tegin et al. 2022, Sec. VII-D, leaves open.

Clients hold shards of the data. In a round each starts from the common weights and sends what its shards change in
them; the server adds what has come by the deadline. Which client computes which shards is a code for a sum
(`kofn.schemes.SUMS`), decoded as every sum is: with ``cyclic`` a client goes on with its neighbours' shards while
there is time, so that a shard whose own client is always late is heard of all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.func import functional_call, grad, vmap

import torch
from kofn.checks import integer, number, refusal
from kofn.codes import LinearCode, Prior, decode
from kofn.simulation import Latency
from torch import nn

from ..datasets import Dataset
from .sgd import accuracy

Tensor = torch.Tensor
Weights = dict[str, Tensor]
CALL = "kofn_studies.training.federated"


@dataclass(frozen=True)
class Federation:
    """How clients learn.

    Parameters
    ----------
    rounds : int
    deadline : float
        Seconds of a round; one unit of the latency model's work is one shard's update. inf waits for everybody.
    local_steps : int
        Mini-batches that a shard's update takes.
    batch : int
    learning_rate : float
        Of the clients.
    """

    rounds: int = 50
    deadline: float = 1.0
    local_steps: int = 5
    batch: int = 32
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        for name in ("rounds", "local_steps", "batch"):
            integer(CALL, name, getattr(self, name), 1, "let clients learn at least once")
        number(CALL, "learning_rate", self.learning_rate, "use 0.1, for example", strict=True)
        if not self.deadline > 0:
            raise refusal(CALL, "deadline", "be a number of seconds > 0", self.deadline, "use math.inf to wait")


@dataclass(frozen=True)
class Rounds:
    """What came of it, one entry a round.

    Parameters
    ----------
    test : sequence of float
        Share of right answers on the test images.
    arrived : sequence of int
        Results that came in time.
    seconds : sequence of float
        What the round took: the deadline, or less where everything came before.
    """

    test: tuple[float, ...]
    arrived: tuple[int, ...]
    seconds: tuple[float, ...]


def shards_by_label(data: Dataset, shards: int) -> NDArray[np.intp]:
    """Deal the training images out by label, so that a shard has seen few classes, (shards, images).

    Examples
    --------
    >>> from kofn_studies.datasets import load
    >>> data = load("digits")
    >>> [len(set(data.train_labels[shard].tolist())) for shard in shards_by_label(data, 10)]
    [1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    order = np.argsort(data.train_labels, kind="stable")
    each = len(order) // shards
    return order[: shards * each].reshape(shards, each)


def federate(
    network: nn.Module,
    data: Dataset,
    shards: NDArray[np.intp],
    code: LinearCode,
    latency: Latency,
    federation: Federation,
    seed: int,
) -> Rounds:
    """Train a network, in place, on clients that straggle; delays are simulated, learning is not.

    Parameters
    ----------
    network : nn.Module
    data : Dataset
    shards : (shards, images) int array
        Which training images each shard holds.
    code : LinearCode
        For a sum over the shards: who sends what.
    latency : Latency
        A `kofn.Trace`, for example, row by row of which rounds go.
    federation : Federation
    seed : int
        Of mini-batches and delays.

    Returns
    -------
    Rounds

    Raises
    ------
    ArgumentError
        ``code`` is none for a sum over the shards.
    """
    if code.unknowns != len(shards) or len(code.targets) != 1:
        got = f"{len(code.targets)} targets over {code.unknowns}"
        raise refusal(CALL, "code", f"be a code for the sum over {len(shards)} shards", got, "see kofn.schemes.SUMS")
    rng = np.random.default_rng(seed)
    times = latency.arrivals(code.work, code.worker, federation.rounds, rng)
    learn = _learner(network, federation.learning_rate)
    held: list[tuple[float, int, float]] = []
    for time in times:
        batches = _batches(data, shards, federation, rng)
        weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
        rows = np.flatnonzero(time <= federation.deadline)
        shares = _shares(code, rows)
        if rows.size:
            _move(network, weights, learn(weights, batches), shares)
        held.append((accuracy(network, data), len(rows), float(min(time.max(), federation.deadline))))
    return Rounds(*(tuple(column) for column in zip(*held, strict=True)))


def _shares(code: LinearCode, rows: NDArray[np.intp]) -> Tensor:
    """What decoding makes of each shard's update: with weights w the sum's estimate is Σ w_j u_j.

    Updates have something in common, of which nothing is assumed, so that the estimate keeps its size: where no
    shard is sent twice it is the mean of those that came, times their number.
    """
    prior = Prior(np.ones(code.unknowns), common=np.ones(code.unknowns))
    matrix = decode(code, rows, prior, "lmmse").matrix if rows.size else np.zeros((1, 0))
    return torch.from_numpy(np.asarray(matrix @ code.generator[rows]).ravel() / code.unknowns)


def _learner(network: nn.Module, learning_rate: float) -> Callable[[Weights, tuple[Tensor, Tensor]], Weights]:
    """Every shard's update at once: (local_steps, shards, batch, …) images to (shards, …) changes of weights."""

    def loss(weights: Weights, images: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(network, weights, (images,)), labels)

    slope = vmap(grad(loss))

    def learn(weights: Weights, batches: tuple[Tensor, Tensor]) -> Weights:
        shards = batches[0].shape[1]
        own = {name: weight.expand(shards, *weight.shape) for name, weight in weights.items()}
        for images, labels in zip(*batches, strict=True):
            slopes = slope(own, images, labels)
            own = {name: weight - learning_rate * slopes[name] for name, weight in own.items()}
        return {name: own[name] - weight for name, weight in weights.items()}

    return learn


def _batches(
    data: Dataset, shards: NDArray[np.intp], federation: Federation, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    shape = (federation.local_steps, len(shards), federation.batch)
    chosen = np.take_along_axis(shards[None], rng.integers(shards.shape[1], size=shape), axis=2)
    labels = torch.from_numpy(data.train_labels[chosen].astype(np.int64))
    return torch.from_numpy(data.pixels(data.train_images[chosen])), labels


def _move(network: nn.Module, weights: Weights, changes: Weights, shares: Tensor) -> None:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            change = torch.tensordot(shares.to(weights[name].dtype), changes[name], dims=1)
            parameter.copy_(weights[name] + change)
