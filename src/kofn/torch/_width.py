"""Which layers are worth coding: where encoding takes the master less than the products themselves."""

from __future__ import annotations

import torch
from torch import nn

from ..checks import integer, refusal
from ._convert import codable_layers

CALL = "kofn.torch.wide_layers"


def wide_layers(model: nn.Module, rows: int = 15) -> list[str]:
    """Name the layers that `convert` can code and that are wide enough for it to pay.

    Of a layer with ``inputs`` and ``outputs`` features (for a convolution channels times kernel, and channels),
    V* = X^T G (Tegin et al. 2022, eq. (27)) takes ``inputs · outputs`` multiplications a sample. Encoding X and G for
    ``rows`` workers takes ``rows · (inputs + outputs)``. Where that is more, as in the last layer of most
    classifiers, the master is sooner done by itself, and its gradient is exact.

    Parameters
    ----------
    model : torch.nn.Module
    rows : int
        Coded rows of a product: the workers, as a rule.

    Returns
    -------
    list of str
        For ``layers=`` of `convert`, in the order of the model.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 200), nn.ReLU(), nn.Linear(200, 10))
    >>> wide_layers(model, rows=15)
    ['0', '2']
    """
    if not isinstance(model, nn.Module):
        raise refusal(CALL, "model", "be a torch.nn.Module", repr(model), "build one with torch.nn.Sequential")
    integer(CALL, "rows", rows, 1, "ask for at least one coded row")
    matrices: dict[str, torch.Tensor] = {name: layer.weight.flatten(1) for name, layer in codable_layers(model)}
    return [name for name, weight in matrices.items() if rows * sum(weight.shape) < weight.numel()]
