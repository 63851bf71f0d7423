"""Coded training with PyTorch: stragglers are outrun in the backward pass (Tegin et al. 2022, Sec. VII).

Importing it needs PyTorch: ``pip install 'kofn[torch]'``.
"""

from __future__ import annotations

from ..errors import require

with require("kofn.torch", "torch"):
    import torch as _torch  # noqa: F401

from ._convert import LeftExact, convert
from ._data_parallel import DataParallel
from ._deadline import AdaptiveDeadline
from ._layers import CodedConv2d, CodedLinear
from ._options import CodingOptions
from ._report import ProductReport, report
from ._sparsify import Threshold
from ._width import wide_layers

__all__ = [
    "AdaptiveDeadline",
    "CodedConv2d",
    "CodedLinear",
    "CodingOptions",
    "DataParallel",
    "LeftExact",
    "ProductReport",
    "Threshold",
    "convert",
    "report",
    "wide_layers",
]
