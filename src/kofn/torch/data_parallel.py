"""Data-parallel training: workers hold shards of the data, and the sum of their gradients is coded (`kofn.sum`).

With a gradient code any n − s of n workers give the gradient of all the data, to the last bit but rounding; before
that, or past a deadline, it is estimated, with an error bar.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..checks import function, generator, integer, refusal
from ..closing import Closing
from ..coded_sum import CodedSum, CodeLike

CALL = "kofn.torch.DataParallel"

_drawing = threading.Lock()


class Step(NamedTuple):
    """One gradient.

    Attributes
    ----------
    loss : float
        Mean loss over the data, estimated like the gradient.
    exact : bool
    error : float
        Expected relative error of the gradient; 0.0 when exact.
    report : Report
    """

    loss: float
    exact: bool
    error: float
    report: Any


@dataclass(frozen=True, eq=False)
class Shard:
    """The part of the data that is one term of the sum: (parameters, step) → its loss and gradient, as one vector.

    The vector is the sum over samples, not their mean, so that shards of any size add up; a batch stands for its shard.
    """

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    inputs: Tensor
    labels: Tensor
    batch: int | None
    seed: tuple[int, ...]

    def __call__(self, asked: tuple[NDArray[Any], int, tuple[bool, ...]]) -> NDArray[Any]:
        """Loss and gradient at ``asked``: the parameters as one vector, the step's number, and every module's mode."""
        vector, step, modes = asked
        model = copy.deepcopy(self.model)  # threads share this shard, and a model has state
        for module, training in zip(model.modules(), modes, strict=True):
            module.training = training
        parameters = dict(model.named_parameters())
        for name, piece in _unpacked(torch.from_numpy(vector.copy()), parameters).items():
            parameters[name].requires_grad_().data = piece
        inputs, labels = self._chosen(step)
        with torch.enable_grad():
            total = self.loss(self._outputs(model, inputs, step), labels) * len(self.inputs)
            found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True, materialize_grads=True)
        numbers = [total.detach().reshape(1), *(gradient.reshape(-1) for gradient in found)]
        return torch.cat(numbers).double().numpy()

    def _outputs(self, model: nn.Module, inputs: Tensor, step: int) -> Tensor:
        # Copies of a term have to be equal, so whoever computes the shard in this step draws the same dropout; the
        # generator that layers draw from is the process's own, so threads take turns.
        with _drawing, torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng((*self.seed, step, 1)).integers(2**63)))
            outputs: Tensor = model(inputs)
            return outputs

    def _chosen(self, step: int) -> tuple[Tensor, Tensor]:
        # Whoever computes the shard in this step draws the same samples: copies of a term have to be equal.
        if self.batch is None or self.batch >= len(self.inputs):
            return self.inputs, self.labels
        rng = np.random.default_rng((*self.seed, step))
        chosen = torch.from_numpy(rng.choice(len(self.inputs), self.batch, replace=False))
        return self.inputs[chosen], self.labels[chosen]


class DataParallel(Closing):
    """The gradient of a loss over shards of data that stay at the workers.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters and which of its modules train are sent with every step; its buffers, as they are now, with the
        shards. They do not come back: the statistics of normalisation layers stay what they were.
    loss : callable
        ``loss(outputs, labels)``: a mean over samples.
    shards : sequence of (inputs, labels)
        Tensors whose first dimension counts samples; one term of the sum each.
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.sum`.
    code : str, LinearCode or callable
        As for `kofn.sum`: "gradient" (cyclic, any n − 1 of n workers), "rep" (fractional repetition), "cyclic", …
    batch : int, optional
        Samples of each shard that a step uses, drawn anew in each; all of them by default (gradient descent).
    rng : None, int or Generator
        Draws codes and batches.

    Examples
    --------
    >>> import kofn, torch
    >>> x = torch.linspace(0, 1, 12).view(12, 1)
    >>> shards = [(x[start::4], 3 * x[start::4]) for start in range(4)]
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> with kofn.ThreadPool(4) as pool:
    ...     with DataParallel(model, torch.nn.functional.mse_loss, shards, workers=pool, rng=0) as parallel:
    ...         step = parallel.backward()
    >>> expected = torch.mean(2 * x * (model(x) - 3 * x))
    >>> step.exact, bool(torch.isclose(model.weight.grad, expected))
    (True, True)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        shards: Sequence[tuple[Tensor, Tensor]],
        *,
        workers: Any = None,
        code: CodeLike = "gradient",
        batch: int | None = None,
        rng: Any = None,
    ) -> None:
        if batch is not None:
            integer(CALL, "batch", batch, 1, "leave it out to use all samples")
        if not isinstance(model, nn.Module):
            raise refusal(CALL, "model", "be a torch.nn.Module", repr(model), "build one with torch.nn.Sequential")
        function(CALL, "loss", loss, "use torch.nn.functional.cross_entropy, for example")
        pairs = _pairs(shards)
        random = generator(CALL, rng)
        seed = int(random.integers(2**63))
        private = copy.deepcopy(model)
        terms = [Shard(private, loss, x, y, batch, (seed, number)) for number, (x, y) in enumerate(pairs)]
        self._model = model
        self._samples = sum(len(x) for x, _ in pairs)
        self._steps = 0
        self._sum = CodedSum(terms, workers=workers, code=code, rng=random)

    def backward(self, *, tolerance: float = 0.0, deadline: float | None = None) -> Step:
        """Add the gradient of the mean loss to the parameters' ``grad``, as ``loss.backward()`` does.

        Parameters
        ----------
        tolerance, deadline : float
            As for `kofn.sum`: enough for an estimate instead of the exact gradient.

        Raises
        ------
        TermError
            A shard raised, or its gradient is not finite.
        NotDecodable
            Nothing arrived by the deadline; gradients are as they were.
        """
        parameters = dict(self._model.named_parameters())
        vector = torch.cat([value.detach().reshape(-1) for value in parameters.values()])
        vector = vector.float() if vector.dtype.itemsize < 4 else vector  # NumPy has no bfloat16
        self._steps += 1
        asked = (vector.cpu().numpy(), self._steps, tuple(module.training for module in self._model.modules()))
        answer = self._sum(asked, tolerance=tolerance, deadline=deadline)
        total = torch.from_numpy(np.asarray(answer.value) / self._samples).to(vector.device, vector.dtype)
        for value, gradient in zip(parameters.values(), _unpacked(total[1:], parameters).values(), strict=True):
            if value.requires_grad:
                value.grad = gradient.clone() if value.grad is None else value.grad + gradient
        return Step(float(total[0]), answer.exact, answer.error, answer.report)

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        self._sum.close()


def _pairs(shards: Any) -> list[tuple[Tensor, Tensor]]:
    """The shards as pairs; refuses what are none."""
    try:
        pairs = [(inputs, labels) for inputs, labels in shards]
        sizes = [(len(inputs), len(labels)) for inputs, labels in pairs]
    except (TypeError, ValueError):
        pairs = sizes = []
    if not pairs or any(inputs != labels or not inputs for inputs, labels in sizes):
        must, remedy = "be pairs of inputs and as many labels, at least one each", "see torch.chunk"
        raise refusal(CALL, "shards", must, sizes or f"a {type(shards).__name__} of something else", remedy)
    return pairs


def _unpacked(vector: Tensor, like: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Pieces of a vector with the names, shapes and types of parameters."""
    pieces = torch.split(vector, [value.numel() for value in like.values()])
    return {
        name: piece.view(value.shape).to(value.dtype) for (name, value), piece in zip(like.items(), pieces, strict=True)
    }
