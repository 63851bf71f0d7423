"""Whether gradients of parts of the data add up to that of all: what a model does in its backward pass, tried on a few.

Outputs may treat each sample by itself while the way back does not: an embedding may divide by how often a word comes,
a hook or a function of the user's own may clip, centre or normalise what passes.
"""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext

from torch.utils._pytree import tree_leaves

import torch
from torch import Tensor, nn

from ..errors import ArgumentError
from ._samplewise import Draws, model_refusal, run_model
from ._steady import Steady


def check_gradients(model: nn.Module, inputs: Tensor, draws: Draws, scaled: bool) -> None:
    """Refuse a model whose gradient is not the sum of those of its samples, or not in proportion to what comes in.

    What is not close is looked at again in double precision, where it can be had: rounding may turn a kink.

    Parameters
    ----------
    model : torch.nn.Module
        Not changed.
    inputs : tensor
        A few samples.
    draws : Draws
        What the model draws.
    scaled : bool
        Whether gradients come to shards with other factors than to all the data, as those of a mean do.
    """
    fault = _find_fault(model, inputs, draws, scaled)
    if fault is not None:
        try:
            wide = inputs.double() if inputs.is_floating_point() else inputs
            fault = _find_fault(copy.deepcopy(model).double(), wide, draws, scaled)
        except (RuntimeError, TypeError):
            pass  # not every model can be had in double precision
    if fault is not None:
        raise fault


def _find_fault(model: nn.Module, inputs: Tensor, draws: Draws, scaled: bool) -> ArgumentError | None:
    """What is wrong, if something is. Half of the samples come twice, and backwards, so that all neighbours change."""
    count, steady = len(inputs), draws is Draws.STEADY
    every, some = list(range(count)), list(range(-(-count // 2)))[::-1]
    together = pull_back(model, inputs, every + some, steady)
    if draws is not Draws.FREE:
        parts = [pull_back(model, inputs, rows, steady) for rows in (every, some)]
        if not _close(together, [one.to_dense() + two.to_dense() for one, two in zip(*parts, strict=True)]):
            return _mixing(model)
    for scale in _scales(model) if scaled else ():
        more = pull_back(model, inputs, every + some, steady, scale)
        if not _close(together, [one / scale for one in more]):
            must = "hand gradients back in proportion, as those of a mean come to shards with other factors"
            got = "one that does not, as if it clipped or normalised them on their way"
            remedy = "do so in hooks of parameters, which see the whole gradient, or use reduction='sum'"
            return model_refusal(must, got, remedy)
    return None


def sparse_gradients(model: nn.Module, inputs: Tensor) -> tuple[bool, ...]:
    """Which parameters have sparse gradients, as those of embeddings may be."""
    found = iter(pull_back(model, inputs, list(range(len(inputs))), False))
    return tuple(one.requires_grad and next(found).is_sparse for one in model.parameters())


def pull_back(model: nn.Module, inputs: Tensor, rows: list[int], steady: bool, scale: float = 1.0) -> list[Tensor]:
    """Gradients by parameters that are trained, where made-up ones come in at the outputs of some samples."""
    model = copy.deepcopy(model)
    trained = [one for one in model.parameters() if one.requires_grad]
    mode = Steady if steady else nullcontext
    with mode():
        found = tree_leaves(run_model(model, inputs[rows].clone(), 0))
    outputs = [one for one in found if isinstance(one, Tensor) and one.requires_grad]
    if not outputs or not trained:
        return [torch.zeros_like(one) for one in trained]
    coming = [scale * incoming_gradients(one, len(inputs))[rows] for one in outputs]
    with mode():
        return list(torch.autograd.grad(outputs, trained, coming, materialize_grads=True))


def incoming_gradients(output: Tensor, count: int) -> Tensor:
    """Made-up gradients for all samples, of either sign, the same whenever asked for."""
    random = torch.Generator().manual_seed(0)
    kind = torch.complex128 if output.is_complex() else torch.float64
    made = torch.randn((count, *output.shape[1:]), generator=random, dtype=kind)
    return made.to(output.device, output.dtype)


def _scales(model: nn.Module) -> tuple[float, float]:
    half = any(one.dtype == torch.float16 for one in model.parameters())
    return (2.0**-5, 2.0**5) if half else (2.0**-20, 2.0**20)


def _close(ones: list[Tensor], others: list[Tensor]) -> bool:
    """Whether gradients are the same but for rounding, which is that of the largest of them."""
    largest = max(map(_norm, ones), default=0.0)
    for one, other in zip(ones, others, strict=True):
        epsilon = torch.finfo(one.dtype).eps
        apart = _norm(one.to_dense() - other.to_dense())
        if math.isfinite(apart) and apart > epsilon**0.5 * _norm(one) + epsilon**0.75 * largest:
            return False
    return True


def _norm(gradient: Tensor) -> float:
    wide = torch.complex128 if gradient.is_complex() else torch.float64
    return float(torch.linalg.vector_norm(gradient.to_dense().to(wide)))


def _mixing(model: nn.Module) -> ArgumentError:
    must = "treat each sample by itself on the way back, too, so that gradients of shards make that of all the data"
    for name, module in model.named_modules():
        if getattr(module, "scale_grad_by_freq", False):
            got = f"{name or 'the model'!r}, which divides gradients by how often a word comes in the batch"
            return model_refusal(must, got, "leave out 'scale_grad_by_freq'")
    got = "one whose gradient of samples together is not the sum of those of its parts"
    return model_refusal(must, got, "look for hooks and functions that change gradients, or use a single shard")
