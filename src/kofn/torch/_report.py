"""What the coded products of a model have seen so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from ._layers import CodedConv2d, CodedLinear

Kind = Literal["inputs", "weights"]


@dataclass(frozen=True)
class ProductReport:
    """One of the two backward products of a coded layer.

    Parameters
    ----------
    layer : str
    product : {"inputs", "weights"}
        Gradient of the inputs, eq. (26), or of the weights, eq. (27).
    steps : int
        How often it was asked for.
    empty : int
        How often nothing arrived in time, or a factor was all zero.
    share, error, seconds : float
        Means over the others: captured share before rescaling, expected relative error, and deadline.
    """

    layer: str
    product: Kind
    steps: int
    empty: int
    share: float
    error: float
    seconds: float


def report(model: nn.Module) -> list[ProductReport]:
    """Report on every coded product of a converted model that was asked for.

    Examples
    --------
    >>> import kofn, torch
    >>> from kofn.torch import convert
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Linear(4, 2))
    >>> model = convert(model, blocks=(2, 2), workers=6, latency=kofn.Constant(1.0), deadline=2.0, rng=0)
    >>> model(torch.ones(4, 8)).sum().backward()
    >>> for product in report(model):
    ...     print(product.layer, product.product, product.steps, round(product.share, 6), product.seconds)
    0 weights 1 1.0 2.0
    1 inputs 1 1.0 2.0
    1 weights 1 1.0 2.0
    """
    found: list[ProductReport] = []
    for name, layer in model.named_modules():
        if isinstance(layer, CodedLinear | CodedConv2d):
            for kind in get_args(Kind):
                tally = getattr(layer.products, kind).tally
                means = (total / max(1, tally.estimated) for total in (tally.share, tally.error, tally.seconds))
                if tally.steps:
                    found.append(ProductReport(name, kind, tally.steps, tally.empty, *means))
    return found
