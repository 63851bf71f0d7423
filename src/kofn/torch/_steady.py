"""Random draws made constant, so that it shows what a model does with the place and the number of samples."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

import torch
from torch import Tensor

ONES = frozenset({"bernoulli", "bernoulli_"})
HALVES = frozenset({"rand", "rand_like", "randn", "randn_like", "uniform_", "normal_", "exponential_"})


class Steady(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dropout keeps everything, and other draws are one half; whole numbers and what depends on tensors are as drawn.

    Examples
    --------
    >>> with Steady():
    ...     torch.rand(3), torch.nn.functional.dropout(torch.ones(2), 0.5)
    (tensor([0.5000, 0.5000, 0.5000]), tensor([2., 2.]))
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name == "native_dropout":  # as on other devices
            given, chance = args[0], args[1]
            return given / (1 - chance) if chance < 1 else 0 * given, torch.ones_like(given, dtype=torch.bool)
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and (name in ONES or (name in HALVES and found.is_floating_point())):
            found.fill_(1.0 if name in ONES else 0.5)
        return found
