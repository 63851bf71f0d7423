"""Whether a model treats each sample by itself, so that outputs of shards are those of all the data: tried on a few."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from enum import Enum
from typing import Any

from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

import torch
from torch import Tensor, nn

from ..checks import refusal
from ..errors import ArgumentError
from ._graphs import leaves
from ._ranges import even_places
from ._state import tensors_of
from ._steady import Steady

CALL = "kofn.torch.DataParallel"

SAMPLES = 8
"""Samples that a model is tried on."""


class Draws(Enum):
    """What a model draws: nothing, what `Steady` keeps alike so that places and sizes may differ, or other numbers."""

    NONE = 0
    STEADY = 1
    FREE = 2


_drawing = threading.Lock()


@contextmanager
def seed_draws(seed: int, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Let layers draw what ``seed`` says, and make numbers of their own in ``dtype``.

    The generator that they draw from is the process's own, so threads take turns.
    """
    with _drawing, torch.random.fork_rng(devices=[]):
        before = torch.get_default_dtype()
        torch.manual_seed(seed)
        torch.set_default_dtype(before if dtype is None else dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def samples_of(inputs: Sequence[Tensor]) -> Tensor:
    """A few samples of shards, from as many of them as have the first one's shape, and from all over each."""
    alike = [one for one in inputs if one.shape[1:] == inputs[0].shape[1:]][:SAMPLES]
    share = -(-SAMPLES // len(alike))
    return torch.cat([one[even_places(one, share)] for one in alike])[:SAMPLES].clone()


def examples_of(model: nn.Module, inputs: Tensor) -> Any:
    """Outputs of a few samples, as a loss is given them; refuses those whose first dimension does not count samples."""
    outputs = _try_copy(model, inputs)
    found, form = tree_flatten(outputs)
    for one in found:
        if not isinstance(one, Tensor) or one.shape[:1] != inputs.shape[:1]:
            given = tuple(one.shape) if isinstance(one, Tensor) else f"a {type(one).__name__}"
            must = f"return tensors whose first dimension counts samples ({len(inputs)} here)"
            raise refusal(CALL, "model", must, given, "use a single shard otherwise")
    finite = torch.stack([one.detach().reshape(len(inputs), -1).isfinite().all(1) for one in found]).all(0)
    if not bool(finite.any()):
        must, remedy = "have finite outputs for some of the samples", "check the inputs of 'shards' and the parameters"
        raise refusal(CALL, "model", must, f"NaN or inf for all {len(inputs)} that were tried", remedy)
    return tree_unflatten([one.detach()[finite] for one in found], form)


def check_samplewise(model: nn.Module, inputs: Tensor) -> Draws:
    """Refuse a model, in its modes of now, whose outputs for a sample depend on others, on its place or their number.

    Parameters
    ----------
    model : torch.nn.Module
        Not changed.
    inputs : tensor
        A few samples.

    Returns
    -------
    Draws
    """
    outputs = _try_copy(model, inputs)
    if not _alike(outputs, _try_copy(model, inputs)):
        must = "draw random numbers from PyTorch alone, so that copies of a shard are equal"
        raise model_refusal(must, "other numbers for the same seed", "use torch.rand")
    for kept in keep_masks(len(inputs), inputs.device):
        others = torch.where(kept.reshape(-1, *[1] * (inputs.dim() - 1)), inputs, inputs.roll(1, 0))
        if not _alike(_rows(outputs, kept), _rows(_try_copy(model, others), kept)):
            raise _mixing(model)
    draws = Draws.NONE if _alike(outputs, _try_copy(model, inputs, 1)) else Draws.STEADY
    with Steady() if draws is Draws.STEADY else nullcontext():  # type: ignore[no-untyped-call]
        outputs = _try_copy(model, inputs)
        if draws is Draws.STEADY and not _alike(outputs, _try_copy(model, inputs, 1)):
            return Draws.FREE  # where each sample has draws of its own, other places tell nothing
        backwards = torch.arange(len(inputs) - 1, -1, -1, device=inputs.device)
        for rows in (backwards, backwards[: -(-len(inputs) // 2)]):
            if not _alike(_rows(outputs, rows), _try_copy(model, inputs[rows])):
                raise _mixing(model)
    return draws


def keep_masks(count: int, device: torch.device) -> Iterator[Tensor]:
    """Masks of the samples that stay while others are replaced: of any two, each stays once without the other."""
    numbers = torch.arange(count, device=device)
    for bit in range((count - 1).bit_length()):
        yield from ((numbers >> bit) % 2 == side for side in (0, 1))


def check_alone(model: nn.Module, inputs: Tensor) -> None:
    """Refuse a model that changes its buffers or inputs, or whose outputs depend on tensors that are no parameters."""
    model, given = copy.deepcopy(model), inputs.clone()
    before = {name: value.detach().clone() for name, value in tensors_of(model).items()}
    outputs = run_model(model, given, 0)
    for name, value in tensors_of(model).items():
        if name in before and not _same(before[name], value.detach()):
            must, remedy = "leave its buffers as they are, as they do not come back", "put that module in eval mode"
            raise model_refusal(must, f"one that changes {name!r}", remedy)
    if given._version and not _same(given, inputs):
        raise model_refusal("leave its inputs as they are", "one that changes them in place", "let it copy them first")
    own = {id(value) for value in model.parameters()}
    for one in tree_leaves(outputs):
        for leaf in leaves(one) if isinstance(one, Tensor) else ():
            if id(leaf) not in own:
                got = f"another tensor of shape {tuple(leaf.shape)} that requires a gradient"
                remedy = "make it a torch.nn.Parameter of the model"
                raise model_refusal("compute outputs from its parameters", got, remedy)


def _try_copy(model: nn.Module, inputs: Tensor, seed: int = 0) -> Any:
    """The outputs of a copy for a copy, whatever it does to them."""
    return run_model(copy.deepcopy(model), inputs.clone(), seed)


def run_model(model: nn.Module, inputs: Tensor, seed: int) -> Any:
    """The outputs of a model, with what ``seed`` says drawn."""
    with seed_draws(seed), torch.enable_grad(), torch.autocast(inputs.device.type, enabled=False):
        return model(inputs)


def _rows(outputs: Any, rows: Tensor) -> list[Any]:
    return [one[rows] if isinstance(one, Tensor) else one for one in tree_leaves(outputs)]


def _alike(one: Any, other: Any) -> bool:
    """Whether outputs are the same but for rounding, which depends on the size of a batch."""
    pairs = list(zip(tree_leaves(one), tree_leaves(other), strict=True))
    return all(_close(a.detach(), b.detach()) for a, b in pairs if isinstance(a, Tensor))


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or not (a.is_floating_point() or a.is_complex()):
        return torch.equal(a, b)
    tolerance = torch.finfo(a.dtype).eps ** 0.5
    size = float(a.abs().nan_to_num(0.0, 0.0).max()) if a.numel() else 0.0
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * size, equal_nan=True)


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether tensors hold the same; NaN, which is not equal to itself, included."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _mixing(model: nn.Module) -> ArgumentError:
    """The refusal of a model that mixes samples, which names a batch normalisation if there is one."""
    must = "treat each sample by itself, so that shards make the gradient of all the data"
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
            got = f"{name!r}, which normalises over the batch"
            return model_refusal(must, got, "put it in eval mode, or use GroupNorm or LayerNorm")
    return model_refusal(must, "one whose outputs for a sample depend on others", "use a single shard")


def model_refusal(must: str, got: str, remedy: str) -> ArgumentError:
    """What is raised about a model."""
    return refusal(CALL, "model", must, got, remedy)
