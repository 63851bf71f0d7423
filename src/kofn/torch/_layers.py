"""Layers whose forward pass is exact and whose two backward products are coded (Tegin et al., eqs. (25) to (27)).

All derivatives are formulas in which `coded_product` is the only thing that workers compute. So whatever PyTorch
differentiates again (``create_graph=True``, ``torch.func``) goes through it, and is right or refused there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch._functorch.utils import unwrap_dead_wrappers
from torch.nn import functional

import torch
from torch import Tensor, nn

from ..checks import refusal
from ._coder import Coder
from ._options import CALL
from ._product import coded_product


@dataclass(frozen=True, eq=False)
class CodedProducts:
    """The two coded products of one layer.

    Parameters
    ----------
    inputs : Coder
        For G_i = G_{i+1} V^T, eq. (26).
    weights : Coder
        For V* = X^T G_{i+1}, eq. (27), computed as its transpose.
    """

    inputs: Coder
    weights: Coder


class Rows:
    """A linear layer as a product of matrices: its inputs are rows already."""

    bias_shape = (-1,)

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """O = X V + b, eq. (25). The weight is V^T, as PyTorch keeps it."""
        return functional.linear(x, weight, bias)

    def rows(self, output: Tensor) -> Tensor:
        """As a matrix, also where there are no columns, of which PyTorch cannot tell the number of rows."""
        columns = output.shape[-1]
        return output.reshape(-1, columns) if columns else output.new_zeros(output.shape[:-1].numel(), 0)

    def unfold(self, x: Tensor, kernel: torch.Size) -> Tensor:
        """The inputs of all outputs, (rows, inputs)."""
        return self.rows(x)

    def fold(self, patches: Tensor, shapes: Sequence[torch.Size]) -> Tensor:
        """The adjoint of `unfold`: gradients, (rows, inputs), in the first of the shapes of x, weight and output."""
        return patches.reshape(shapes[0])


@dataclass(frozen=True)
class Patches:
    """A two-dimensional convolution as a product of matrices, by im2col: a row is what the kernel lies over.

    One thing to ``torch.func``, which would take a dictionary apart.
    """

    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]

    bias_shape = (-1, 1, 1)

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The convolution."""
        return functional.conv2d(x, weight, bias, **vars(self))

    def rows(self, output: Tensor) -> Tensor:
        """Outputs as a matrix, (samples and places, channels)."""
        return output.transpose(0, 1).flatten(1).T

    def unfold(self, x: Tensor, kernel: torch.Size) -> Tensor:
        """The inputs of all outputs, (samples and places, channels and places of the kernel)."""
        return functional.unfold(x, kernel[2:], **vars(self)).transpose(1, 2).flatten(0, 1)

    def fold(self, patches: Tensor, shapes: Sequence[torch.Size]) -> Tensor:
        """The adjoint of `unfold`: gradients in the shape of x, summed where patches overlap."""
        x, kernel, output = shapes
        samples = patches.reshape(x[0], output[2:].numel(), kernel[1:].numel()).transpose(1, 2)
        return functional.fold(samples, x[2:], kernel[2:], **vars(self))


class LayerFunction(torch.autograd.Function):
    """A layer, exact, whose two backward products, eqs. (26) and (27), are coded."""

    generate_vmap_rule = True

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """As PyTorch's, which first looks which arguments have defaults; that takes longer than a small layer."""
        if torch._C._are_functorch_transforms_active():
            return super().apply(*args)  # type: ignore[no-untyped-call]
        return super(torch.autograd.Function, cls).apply(*unwrap_dead_wrappers(args))  # type: ignore[misc]

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor | None, layer: Rows | Patches, products: CodedProducts
    ) -> Tensor:
        return layer(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """Keep what backward needs and no more, as PyTorch's own layers do: the other may change until then."""
        x, weight, bias, ctx.layer, ctx.products = inputs
        of_x, of_weight = ctx.needs_input_grad[:2]
        ctx.save_for_backward(x if of_weight else None, weight if of_x else None)
        ctx.save_for_forward(x, weight)
        ctx.shapes, ctx.dtypes = (x.shape, weight.shape, output.shape), (x.dtype, weight.dtype, output.dtype)
        ctx.bias = None if bias is None else bias.dtype

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        layer, kernel, rows = ctx.layer, ctx.shapes[1], ctx.layer.rows(g)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            patches = coded_product(rows, weight.flatten(1).conj(), ctx.products.inputs)
            of_x = layer.fold(patches.to(ctx.dtypes[0]), ctx.shapes)
        if ctx.needs_input_grad[1]:
            patches = layer.unfold(x, kernel).conj()
            of_weight = coded_product(rows.T, patches, ctx.products.weights).reshape(kernel).to(ctx.dtypes[1])
        if ctx.needs_input_grad[2]:
            of_bias = rows.sum(0).to(ctx.bias)
        return of_x, of_weight, of_bias, None, None

    @staticmethod
    def jvp(ctx: Any, of_x: Tensor | None, of_weight: Tensor | None, of_bias: Tensor | None, *_: None) -> Tensor:
        """The sum of what the arguments bring, in the type of the output, which autocast may have chosen."""
        x, weight = ctx.saved_tensors
        terms = [] if of_x is None else [ctx.layer(of_x, weight)]
        terms += [] if of_weight is None else [ctx.layer(x, of_weight)]
        terms += [] if of_bias is None else [of_bias.reshape(ctx.layer.bias_shape).expand(ctx.shapes[2])]
        total: Tensor = sum(term.to(ctx.dtypes[2]) for term in terms)
        return total


class Untraceable:
    """A layer whose products stay in Python, where workers compute them: no part of a traced program."""

    def check_traced(self, value: Any) -> None:
        """Refuse what stands for a tensor when a program is traced."""
        if not isinstance(value, Tensor):
            must, remedy = "be given tensors", "trace the model before it is converted, or a plain copy of it"
            raise refusal(CALL, type(self).__name__, must, f"a {type(value).__name__}", remedy)

    def __prepare_scriptable__(self) -> Any:
        must, remedy = "stay in Python, where its products are computed", "script the model before it is converted"
        raise refusal(CALL, type(self).__name__, must, "torch.jit.script", remedy)


class CodedLinear(Untraceable, nn.Linear):
    """A linear layer whose backward products are coded; made by `kofn.torch.convert`.

    Its parameters and state are those of `torch.nn.Linear`.
    """

    products: CodedProducts

    def forward(self, input: Tensor) -> Tensor:
        """Like `torch.nn.Linear`; inputs of any number of leading dimensions."""
        self.check_traced(input)
        # A view, as PyTorch's own layer keeps: its numbers stay when the parameter gets others by ``data``.
        weight = self.weight.view_as(self.weight)
        return LayerFunction.apply(input, weight, self.bias, Rows(), self.products)  # type: ignore[no-any-return]


class CodedConv2d(Untraceable, nn.Conv2d):
    """A convolution whose backward products are coded, by im2col; made by `kofn.torch.convert`.

    Any stride, dilation, padding and padding mode, one group (Tegin et al. leaves convolutions open, Remark 5). Its
    parameters and state are those of `torch.nn.Conv2d`.
    """

    products: CodedProducts

    def forward(self, input: Tensor) -> Tensor:
        """Like `torch.nn.Conv2d`."""
        self.check_traced(input)
        x = input if input.dim() == 4 else input.unsqueeze(0)
        padding: Any = self.padding
        if self.padding_mode != "zeros" or isinstance(padding, str):  # may be uneven; autograd undoes it
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x, padding = functional.pad(x, self._reversed_padding_repeated_twice, mode=mode), (0, 0)
        patches = Patches(self.stride, padding, self.dilation)
        out: Tensor = LayerFunction.apply(x, self.weight, self.bias, patches, self.products)
        return out if input.dim() == 4 else out.squeeze(0)
