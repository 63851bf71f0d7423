"""Layers whose forward pass is exact and whose two backward products are coded (Tegin et al., eqs. (25) to (27))."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .coder import Coder


class CodedProducts:
    """The two coded products of one layer.

    Parameters
    ----------
    inputs : Coder
        For G_i = G_{i+1} V^T, eq. (26).
    weights : Coder
        For V* = X^T G_{i+1}, eq. (27), computed as its transpose.
    """

    def __init__(self, inputs: Coder, weights: Coder) -> None:
        self.inputs, self.weights = inputs, weights


def estimate(coder: Coder, gradient: Tensor, other: Tensor) -> Tensor:
    """``gradient @ other`` by a coder, half precision in single; the type of ``gradient`` is kept."""
    wide = torch.float32 if gradient.dtype in (torch.float16, torch.bfloat16) else gradient.dtype
    if gradient.dtype == torch.float16 and not bool(torch.isfinite(gradient).all()):
        return gradient @ other.to(gradient.dtype)  # loss scaling looks for it and skips the step
    return coder(gradient.to(wide), other.to(wide)).to(gradient.dtype)


class LinearFunction(torch.autograd.Function):
    """O = X V + b, eq. (25), exact; eqs. (26) and (27) coded. The weight is V^T, as PyTorch keeps it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, products: CodedProducts) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.products, ctx.bias = products, None if bias is None else bias.dtype
        return functional.linear(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        flat = g.reshape(-1, g.shape[-1])
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = estimate(ctx.products.inputs, flat, weight).reshape(x.shape).to(x.dtype)
        if ctx.needs_input_grad[1]:
            of_weight = estimate(ctx.products.weights, flat.T, x.reshape(-1, x.shape[-1])).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            of_bias = flat.sum(0).to(ctx.bias)
        return of_x, of_weight, of_bias, None


class ConvolutionFunction(torch.autograd.Function):
    """A two-dimensional convolution, exact; its two backward products coded, by im2col."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: dict[str, Any], products: CodedProducts
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.products, ctx.bias = geometry, products, None if bias is None else bias.dtype
        return functional.conv2d(x, weight, bias, **geometry)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        kernel = weight.shape[-2:]
        outputs = g.shape[1]
        flat = g.transpose(0, 1).reshape(outputs, -1)  # channels × (samples, places)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            columns = estimate(ctx.products.inputs, flat.T, weight.reshape(outputs, -1))
            columns = columns.reshape(len(x), g.shape[-2:].numel(), columns.shape[1]).transpose(1, 2)
            of_x = functional.fold(columns.to(x.dtype), x.shape[-2:], kernel, **ctx.geometry)
        if ctx.needs_input_grad[1]:
            patches = functional.unfold(x, kernel, **ctx.geometry).transpose(1, 2).flatten(0, 1)
            of_weight = estimate(ctx.products.weights, flat, patches).reshape(weight.shape).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            of_bias = flat.sum(1).to(ctx.bias)
        return of_x, of_weight, of_bias, None, None


class CodedLinear(nn.Linear):
    """A linear layer whose backward products are coded; made by `kofn.torch.convert`.

    Its parameters and state are those of `torch.nn.Linear`.
    """

    products: CodedProducts

    def forward(self, input: Tensor) -> Tensor:
        """Like `torch.nn.Linear`; inputs of any number of leading dimensions."""
        return LinearFunction.apply(input, self.weight, self.bias, self.products)  # type: ignore[no-any-return, no-untyped-call]


class CodedConv2d(nn.Conv2d):
    """A convolution whose backward products are coded, by im2col; made by `kofn.torch.convert`.

    Any stride, dilation, padding and padding mode, one group (Tegin et al. leaves convolutions open, Remark 5). Its
    parameters and state are those of `torch.nn.Conv2d`.
    """

    products: CodedProducts

    def forward(self, input: Tensor) -> Tensor:
        """Like `torch.nn.Conv2d`."""
        x = input if input.dim() == 4 else input.unsqueeze(0)
        padding: Any = self.padding
        if self.padding_mode != "zeros" or isinstance(padding, str):  # may be uneven; autograd undoes it
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x, padding = functional.pad(x, self._reversed_padding_repeated_twice, mode=mode), (0, 0)
        geometry = {"stride": self.stride, "padding": padding, "dilation": self.dilation}
        out: Tensor = ConvolutionFunction.apply(x, self.weight, self.bias, geometry, self.products)  # type: ignore[no-untyped-call]
        return out if input.dim() == 4 else out.squeeze(0)
