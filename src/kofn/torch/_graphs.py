"""Which leaves of PyTorch's graph a value depends on."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def leaves(value: Tensor) -> list[Tensor]:
    """The tensors whose ``grad`` a call of ``value.backward()`` would change.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> [leaf is x for leaf in leaves((3 * x).sum())], leaves(torch.ones(2).sum())
    ([True], [])
    """
    found: list[Tensor] = []
    seen: set[Any] = set()
    waiting: list[Any] = [value.grad_fn]
    if value.grad_fn is None and value.requires_grad:
        return [value]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        waiting.extend(following for following, _ in node.next_functions)
    return found
