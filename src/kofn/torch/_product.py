"""One coded product as PyTorch sees it: a function with derivatives of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.autograd import forward_ad

import torch
from torch import Tensor

from ..errors import NotDifferentiable
from ._coder import Coder

HALF = (torch.float16, torch.bfloat16)


def coded_product(gradient: Tensor, other: Tensor, coder: Coder) -> Tensor:
    """``gradient @ other`` by a coder; the type of ``gradient`` is kept.

    Where the coder waits for exact products, all derivatives are those of a product; the master computes them itself.
    Otherwise they are refused: an estimate is no function of its factors that could be differentiated.
    """
    transformed: bool = torch._C._are_functorch_transforms_active()
    if torch.is_grad_enabled() or transformed or forward_ad._current_level >= 0:  # no plain backward pass
        return CodedProduct.apply(gradient, other, coder)  # type: ignore[no-any-return, no-untyped-call]
    return CodedProduct.forward(gradient, other, coder)


class CodedProduct(torch.autograd.Function):
    """A B by a coder, of tensors as PyTorch hands them to `forward`: plain, without a graph."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, coder: Coder) -> Tensor:
        with full_precision(a):
            return _estimate(coder, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        a, b, ctx.coder = inputs
        ctx.save_for_backward(a, b)
        ctx.save_for_forward(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        _check(ctx.coder)
        a, b = ctx.saved_tensors
        return _plain(g, b.mH, a.dtype), _plain(a.mH, g, b.dtype), None

    @staticmethod
    def jvp(ctx: Any, of_a: Tensor | None, of_b: Tensor | None, _: None) -> Tensor:
        _check(ctx.coder)
        a, b = ctx.saved_tensors
        terms = [] if of_a is None else [_plain(of_a, b, a.dtype)]
        terms += [] if of_b is None else [_plain(a, of_b, a.dtype)]
        total: Tensor = sum(terms)  # type: ignore[assignment]
        return total

    @staticmethod
    def vmap(info: Any, in_dims: Any, a: Tensor, b: Tensor, coder: Coder) -> tuple[Tensor, int]:
        """Many products, one after the other: each has blocks and importances of its own."""
        of_a, of_b, _ = in_dims
        firsts = [a] * info.batch_size if of_a is None else a.unbind(of_a)
        seconds = [b] * info.batch_size if of_b is None else b.unbind(of_b)
        products = [coded_product(first, second, coder) for first, second in zip(firsts, seconds, strict=True)]
        return torch.stack(products), 0


def full_precision(like: Tensor) -> AbstractContextManager[Any]:
    """Keep autocast, which may be on where backward is called, away from factors and their blocks."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def _plain(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    with full_precision(a):
        wide = torch.promote_types(a.dtype, b.dtype)
        return (a.to(wide) @ b.to(wide)).to(dtype)


def _estimate(coder: Coder, a: Tensor, b: Tensor) -> Tensor:
    if any(map(torch._C._functorch.is_legacy_batchedtensor, (a, b))):
        raise NotDifferentiable(
            f"gradients of {coder.name} cannot be computed in batches by 'is_grads_batched' or 'vectorize', which hide "
            "the numbers; use torch.func.vmap or torch.func.jacrev."
        )
    if a.is_complex() or b.is_complex():  # of a layer that was made complex after it was converted
        return _plain(a, b, a.dtype)
    if a.dtype == torch.float16 and not bool(torch.isfinite(a).all()):
        return a @ b.to(a.dtype)  # loss scaling looks for it and skips the step
    wide = torch.float32 if a.dtype in HALF else a.dtype
    return coder(a.to(wide), b.to(wide)).to(a.dtype)


def _check(coder: Coder) -> None:
    if not coder.exact:
        raise NotDifferentiable(
            f"second derivatives through {coder.name} need exact products, but its backward products are estimates; "
            "convert the model without 'deadline' and 'threshold', or leave the layer out with 'layers'."
        )
