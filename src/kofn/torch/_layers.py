"""Layers whose forward pass is exact and whose two backward products are coded (Tegin et al., eqs. (25) to (27)).

All derivatives are formulas in which `coded_product` is the only thing that workers compute. So whatever PyTorch
differentiates again (``create_graph=True``, ``torch.func``) goes through it, and is right or refused there.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from torch.nn import functional

import torch
from torch import Tensor, nn

from ..checks import refusal
from ._coder import Coder
from ._options import CALL
from ._product import coded_product


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


def _keep(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, output: Tensor) -> None:
    """Keep what backward needs and no more, as PyTorch's own layers do: the other may change until then."""
    of_x, of_weight = ctx.needs_input_grad[:2]
    ctx.save_for_backward(x if of_weight else None, weight if of_x else None)
    ctx.save_for_forward(x, weight)
    ctx.shapes, ctx.dtypes = (x.shape, weight.shape, output.shape), (x.dtype, weight.dtype, output.dtype)
    ctx.bias = None if bias is None else bias.dtype


def _rows(value: Tensor) -> Tensor:
    """As a matrix, also where there are no columns, of which PyTorch cannot tell the number of rows."""
    columns = value.shape[-1]
    return value.reshape(-1, columns) if columns else value.new_zeros(value.shape[:-1].numel(), 0)


def _tangent(terms: list[Tensor], dtype: torch.dtype) -> Tensor:
    """The sum of what the arguments bring, in the type of the output, which autocast may have chosen."""
    total: Tensor = sum(term.to(dtype) for term in terms)  # type: ignore[assignment]
    return total


class LinearFunction(torch.autograd.Function):
    """O = X V + b, eq. (25), exact; eqs. (26) and (27) coded. The weight is V^T, as PyTorch keeps it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, products: CodedProducts) -> Tensor:
        return functional.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        x, weight, bias, ctx.products = inputs
        _keep(ctx, x, weight, bias, output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        flat = _rows(g)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = coded_product(flat, weight.conj(), ctx.products.inputs).reshape(ctx.shapes[0]).to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            columns = _rows(x).conj()
            of_weight = coded_product(flat.T, columns, ctx.products.weights).to(ctx.dtypes[1])
        if ctx.needs_input_grad[2]:
            of_bias = flat.sum(0).to(ctx.bias)
        return of_x, of_weight, of_bias, None

    @staticmethod
    def jvp(ctx: Any, of_x: Tensor | None, of_weight: Tensor | None, of_bias: Tensor | None, _: None) -> Tensor:
        x, weight = ctx.saved_tensors
        terms = [] if of_x is None else [functional.linear(of_x, weight)]
        terms += [] if of_weight is None else [functional.linear(x, of_weight)]
        terms += [] if of_bias is None else [of_bias.expand(ctx.shapes[2])]
        return _tangent(terms, ctx.dtypes[2])


@dataclass(frozen=True)
class Geometry:
    """Of a convolution; one thing to ``torch.func``, which would take a dictionary apart."""

    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]


class ConvolutionFunction(torch.autograd.Function):
    """A two-dimensional convolution, exact; its two backward products coded, by im2col."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, products: CodedProducts) -> Tensor:
        return functional.conv2d(x, weight, bias, **vars(geometry))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        x, weight, bias, ctx.geometry, ctx.products = inputs
        _keep(ctx, x, weight, bias, output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_input, of_kernel, _ = ctx.shapes
        outputs, kernel = of_kernel[0], of_kernel[2:]
        flat = g.transpose(0, 1).reshape(outputs, -1)  # channels × (samples, places)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            columns = coded_product(flat.T, weight.reshape(outputs, -1).conj(), ctx.products.inputs)
            columns = columns.reshape(len(g), g.shape[-2:].numel(), columns.shape[1]).transpose(1, 2)
            of_x = functional.fold(columns.to(ctx.dtypes[0]), of_input[2:], kernel, **vars(ctx.geometry))
        if ctx.needs_input_grad[1]:
            patches = functional.unfold(x, kernel, **vars(ctx.geometry)).transpose(1, 2).flatten(0, 1).conj()
            of_weight = coded_product(flat, patches, ctx.products.weights).reshape(of_kernel).to(ctx.dtypes[1])
        if ctx.needs_input_grad[2]:
            of_bias = flat.sum(1).to(ctx.bias)
        return of_x, of_weight, of_bias, None, None

    @staticmethod
    def jvp(
        ctx: Any, of_x: Tensor | None, of_weight: Tensor | None, of_bias: Tensor | None, _: None, __: None
    ) -> Tensor:
        x, weight = ctx.saved_tensors
        terms = [] if of_x is None else [functional.conv2d(of_x, weight, **vars(ctx.geometry))]
        terms += [] if of_weight is None else [functional.conv2d(x, of_weight, **vars(ctx.geometry))]
        if of_bias is not None:
            terms.append(of_bias[:, None, None].expand(ctx.shapes[2]))
        return _tangent(terms, ctx.dtypes[2])


for _function in (LinearFunction, ConvolutionFunction):
    # PyTorch asks for it at every call, and finding it takes longer than the call.
    _function.forward.__signature__ = inspect.signature(_function.forward)  # type: ignore[union-attr]


def check_traced(layer: nn.Module, value: Any) -> None:
    """Refuse what stands for a tensor when a program is traced; the products that workers compute are no part of it."""
    if not isinstance(value, Tensor):
        must, remedy = "be given tensors", "trace the model before it is converted, or a plain copy of it"
        raise refusal(CALL, type(layer).__name__, must, f"a {type(value).__name__}", remedy)


class Unscripted:
    """A layer that TorchScript is told about in one sentence."""

    def __prepare_scriptable__(self) -> Any:
        must, remedy = "stay in Python, where its products are computed", "script the model before it is converted"
        raise refusal(CALL, type(self).__name__, must, "torch.jit.script", remedy)


class CodedLinear(Unscripted, nn.Linear):
    """A linear layer whose backward products are coded; made by `kofn.torch.convert`.

    Its parameters and state are those of `torch.nn.Linear`.
    """

    products: CodedProducts

    def forward(self, input: Tensor) -> Tensor:
        """Like `torch.nn.Linear`; inputs of any number of leading dimensions."""
        check_traced(self, input)
        # A view, as PyTorch's own layer keeps: its numbers stay when the parameter gets others by ``data``.
        weight = self.weight.view_as(self.weight)
        return LinearFunction.apply(input, weight, self.bias, self.products)  # type: ignore[no-any-return, no-untyped-call]


class CodedConv2d(Unscripted, nn.Conv2d):
    """A convolution whose backward products are coded, by im2col; made by `kofn.torch.convert`.

    Any stride, dilation, padding and padding mode, one group (Tegin et al. leaves convolutions open, Remark 5). Its
    parameters and state are those of `torch.nn.Conv2d`.
    """

    products: CodedProducts

    def forward(self, input: Tensor) -> Tensor:
        """Like `torch.nn.Conv2d`."""
        check_traced(self, input)
        x = input if input.dim() == 4 else input.unsqueeze(0)
        padding: Any = self.padding
        if self.padding_mode != "zeros" or isinstance(padding, str):  # may be uneven; autograd undoes it
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x, padding = functional.pad(x, self._reversed_padding_repeated_twice, mode=mode), (0, 0)
        geometry = Geometry(self.stride, padding, self.dilation)
        out: Tensor = ConvolutionFunction.apply(x, self.weight, self.bias, geometry, self.products)  # type: ignore[no-untyped-call]
        return out if input.dim() == 4 else out.squeeze(0)
