"""A shard: the part of the data that is one term of the sum, and what it returns."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import torch
from torch import Tensor, nn

from ._additive import Shares
from ._samplewise import seed_draws
from ._state import State, set_state

BESIDE = 2.0**-300
"""What the loss and the signs of use are multiplied by: they are to count for nothing in the error of the gradient."""


class ShardRequest(NamedTuple):
    """What a step asks of every shard.

    Attributes
    ----------
    state : State
        The model as it is now.
    step : int
    sparse : tuple of bool
        Which parameters have sparse gradients.
    dtype : torch.dtype
        In which models make numbers of their own.
    """

    state: State
    step: int
    sparse: tuple[bool, ...]
    dtype: torch.dtype

    def pack(self) -> NDArray[np.uint8]:
        """As bytes, which are placed at each worker once."""
        return np.frombuffer(pickle.dumps(self, protocol=5), np.uint8)


@dataclass(frozen=True, eq=False)
class Shard:
    """The part of the data that is one term of the sum: a step's request → its loss and gradient, as one vector.

    Terms are what adds up to loss and gradient of all the data; a batch stands for its shard.
    """

    model: nn.Module
    loss: Callable[[Any, Tensor], Tensor]
    inputs: Tensor
    labels: Tensor
    batch: int | None
    shares: Shares
    number: int
    seed: int

    def __call__(self, packed: NDArray[np.uint8]) -> NDArray[Any]:
        """Loss and gradient as `Layout` has them."""
        request: ShardRequest = pickle.loads(packed.data)
        model = copy.deepcopy(self.model)  # threads share this shard, and a model has state
        set_state(model, request.state)
        layout = Layout.of(model, request.sparse)
        inputs, labels = self._choose_batch(request.step)
        weight = self.shares.weights[self.number]
        weight *= len(self.inputs) / len(inputs) if self.shares.total else 1.0
        if weight == 0:  # its own loss is 0 / 0
            return np.zeros(layout.size)
        # Copies of a term have to be equal, so whoever computes the shard in this step draws the same dropout.
        seed = int(np.random.default_rng((self.seed, self.number, request.step, 1)).integers(2**63))
        with seed_draws(seed, request.dtype), torch.enable_grad():
            value = self.loss(model(inputs), labels)
        with torch.enable_grad():  # not while drawing: threads take turns there
            found = torch.autograd.grad(value, layout.parameters, allow_unused=True)
        return weight * layout.vector(value.detach(), found)

    def _choose_batch(self, step: int) -> tuple[Tensor, Tensor]:
        if self.batch is None or self.batch >= len(self.inputs):
            return self.inputs, self.labels
        rng = np.random.default_rng((self.seed, self.number, step))
        chosen = torch.from_numpy(rng.choice(len(self.inputs), self.batch, replace=False))
        return self.inputs[chosen], self.labels[chosen]


@dataclass(frozen=True, eq=False)
class Layout:
    """How a loss and gradients make a vector of float64, and the other way.

    After the loss there is a number for each parameter that is 0 where it was not used, then gradients, complex ones as
    pairs; a sparse one has a number for each row before it that is 0 where that was not touched. All that is no
    gradient is `BESIDE` times what it says: the relative error of a vector would otherwise be that of loss and gradient
    together, and near an optimum the gradient is far smaller.

    Examples
    --------
    >>> weight = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    >>> layout = Layout([weight, nn.Parameter(torch.ones(1))], [False, False])
    >>> vector = layout.vector(torch.tensor(3.0), [torch.tensor([1j, 2]), None])
    >>> vector[:3] / BESIDE, vector[3:]
    (array([3., 1., 0.]), array([0., 1., 2., 0., 0.]))
    >>> layout.loss(vector), layout.gradients(vector)
    (3.0, [tensor([0.+1.j, 2.+0.j]), None])
    """

    parameters: Sequence[Tensor]
    sparse: Sequence[bool]

    @classmethod
    def of(cls, model: nn.Module, sparse: Sequence[bool]) -> Layout:
        """Of the parameters of a model that require gradients."""
        pairs = [pair for pair in zip(model.parameters(), sparse, strict=True) if pair[0].requires_grad]
        return cls([value for value, _ in pairs], [thin for _, thin in pairs])

    @property
    def sizes(self) -> list[int]:
        """Numbers of each gradient."""
        pairs = zip(self.parameters, self.sparse, strict=True)
        return [value.numel() * (2 if value.is_complex() else 1) + (len(value) if thin else 0) for value, thin in pairs]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return 1 + len(self.parameters) + sum(self.sizes)

    def vector(self, loss: Tensor, gradients: Sequence[Tensor | None]) -> NDArray[Any]:
        """The loss and gradients as a vector."""
        used = torch.tensor([float(one is not None) for one in gradients]).double()
        parts = [BESIDE * loss.reshape(1).double(), BESIDE * used]
        for one, size, thin in zip(gradients, self.sizes, self.sparse, strict=True):
            parts += [torch.zeros(size).double()] if one is None else _numbers(one, thin)
        return torch.cat([part.cpu() for part in parts]).numpy()

    def loss(self, vector: NDArray[Any]) -> float:
        """The loss of a vector."""
        return float(vector[0]) / BESIDE

    def gradients(self, vector: NDArray[Any]) -> list[Tensor | None]:
        """The gradients of a vector, in the parameters' types and places; None where no shard used a parameter."""
        count = len(self.parameters)
        used = vector[1 : 1 + count]
        pieces = torch.split(torch.from_numpy(vector[1 + count :].copy()), self.sizes)
        parts = zip(self.parameters, self.sparse, used, pieces, strict=True)
        return [_gradient(piece, like, thin) if some else None for like, thin, some, piece in parts]


def _numbers(gradient: Tensor, thin: bool) -> list[Tensor]:
    dense = gradient.to_dense()
    wide = torch.view_as_real(dense.resolve_conj().to(torch.complex128)) if dense.is_complex() else dense.double()
    if not thin:
        return [wide.reshape(-1)]
    touched = torch.zeros(len(gradient)).double()
    touched[gradient._indices()[0].cpu() if gradient.is_sparse else slice(None)] = BESIDE
    return [touched, wide.reshape(-1)]


def _gradient(numbers: Tensor, like: Tensor, thin: bool) -> Tensor:
    touched, numbers = (numbers[: len(like)] != 0, numbers[len(like) :]) if thin else (None, numbers)
    if like.is_complex():
        numbers = torch.view_as_complex(numbers.reshape(*like.shape, 2))
    dense = numbers.reshape(like.shape).to(like.device, like.dtype)
    if touched is None:
        return dense
    rows = touched.nonzero()[:, 0].to(like.device)
    return torch.sparse_coo_tensor(rows[None], dense[rows], like.shape, is_coalesced=True, check_invariants=False)
