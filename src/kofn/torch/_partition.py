"""Cutting a product of two tensors into blocks, most important first, and putting a mixture of them together.

A mixture is what decoding makes of results: with W = V G_received the estimate of block (n, p) is the combination
W u of the true block products, so a simulation computes those once, in one plain product, and mixes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

import torch
from torch import Tensor

from .._base._numbers import Floats
from ..arrays._spans import Spans
from ..schemes.products._importance import block_weights


def line_weights(matrix: Tensor, axis: int, rule: str) -> Tensor:
    """Weight of each row (axis 0) or column (1): Frobenius norm, or mean absolute value (Sec. VII-C)."""
    if rule == "frobenius":
        return matrix.square().sum(dim=1 - axis).sqrt()  # ten times as fast as torch.linalg.vector_norm
    return matrix.abs().mean(dim=1 - axis)


@lru_cache(maxsize=256)
def places(length: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which sorted element goes to each padded place, and which place each sorted element went to.

    Padding repeats an element, which is cleared afterwards.
    """
    spans = Spans(length, count)
    members = [range(span.start, span.stop) for span in spans.slices]
    padded = [i for group in members for i in (*group, group.start)[: spans.size]]
    back = [n * spans.size + place for n, group in enumerate(members) for place in range(len(group))]
    return torch.tensor(padded, device=device), torch.tensor(back, device=device)


@lru_cache(maxsize=256)
def groups_of(length: int, count: int, device: torch.device) -> Tensor:
    """In which group each sorted element is, (length,)."""
    return torch.tensor(
        [n for n, span in enumerate(Spans(length, count).slices) for _ in range(span.start, span.stop)]
    ).to(device)


@dataclass(frozen=True, eq=False)
class Groups:
    """One dimension sorted by weight and cut into groups of nearly equal size, padded to the largest.

    Parameters
    ----------
    weights : (length,) tensor
    count : int
        Number of groups, at most ``length``.

    Examples
    --------
    >>> groups = Groups.of(torch.tensor([1.0, 5.0, 3.0]), 2)
    >>> groups.take(torch.tensor([[1.0], [5.0], [3.0]]), 0).flatten().tolist()
    [5.0, 3.0, 1.0, 0.0]
    >>> groups.back(torch.tensor([[5.0], [3.0], [1.0], [0.0]]), 0).flatten().tolist()
    [1.0, 5.0, 3.0]
    """

    weights: Tensor
    order: Tensor
    count: int
    size: int
    full: int  # groups without padding; the others lack one element

    @classmethod
    def of(cls, weights: Tensor, count: int) -> Groups:
        """Sort by weight, ties in place, and cut as `kofn.arrays.Spans` does."""
        length = weights.shape[0]  # len() of a tensor goes through Python
        order = torch.argsort(weights, descending=True, stable=True)
        return cls(weights, order, count, Spans(length, count).size, length % count or count)

    def importance(self, rule: str) -> Floats:
        """Weight of each group, (count,), as `kofn.schemes.products._importance` has it."""
        spans = Spans(len(self.order), self.count, self.order.cpu().numpy())
        return block_weights(self.weights.cpu().double().numpy(), spans, rule)

    @property
    def _length(self) -> int:
        return self.order.shape[0]

    @cached_property
    def _padded(self) -> Tensor:
        """The element at each place, (count · size,)."""
        if self.full == self.count:
            return self.order
        return self.order.index_select(0, places(self._length, self.count, self.order.device)[0])

    @cached_property
    def _inverse(self) -> Tensor:
        """The place of each element, (length,)."""
        return self._unsorted(places(self._length, self.count, self.order.device)[1])

    @cached_property
    def _group(self) -> Tensor:
        """The group of each element, (length,)."""
        return self._unsorted(groups_of(self._length, self.count, self.order.device))

    def _unsorted(self, values: Tensor) -> Tensor:
        """Values in sorted order, in the order of before."""
        return torch.empty_like(values).scatter_(0, self.order, values)

    def take(self, matrix: Tensor, axis: int) -> Tensor:
        """The groups side by side along an axis, (…, count · size, …), zeros in the padding."""
        taken = matrix.index_select(axis, self._padded)
        if self.full < self.count:
            if axis == 0:
                taken.view(self.count, self.size, -1)[self.full :, -1].zero_()
            else:
                taken.view(-1, self.count, self.size)[:, self.full :, -1].zero_()
        return taken

    def spread(self, values: Tensor) -> Tensor:
        """A value of each group, (count, …), as one of each element in the order of before, (length, …)."""
        return values.index_select(0, self._group)

    def back(self, padded: Tensor, axis: int) -> Tensor:
        """Undo `take`: without padding, in the order of before."""
        return padded.index_select(axis, self._inverse)


@dataclass(frozen=True, eq=False)
class RowColumn:
    """Row blocks of A and column blocks of B (eq. (3)); unknown (n, p) is A_n B_p, p running fastest.

    With a ``turn`` Q, A stands for Qᵀ times the factor whose product is wanted.
    """

    a: Tensor
    b: Tensor
    rows: Groups
    columns: Groups
    turn: Tensor | None = None

    @classmethod
    def of(
        cls, a: Tensor, b: Tensor, cut: tuple[int, int], weights: tuple[Tensor, Tensor], turn: Tensor | None = None
    ) -> RowColumn:
        return cls(a, b, Groups.of(weights[0], cut[0]), Groups.of(weights[1], cut[1]), turn)

    @cached_property
    def first(self) -> Tensor:
        """A with its rows sorted and padded, (N·u, H)."""
        return self.rows.take(self.a, 0)

    @cached_property
    def second(self) -> Tensor:
        """B with its columns sorted and padded, (H, P·q)."""
        return self.columns.take(self.b, 1)

    @cached_property
    def blocks(self) -> Tensor:
        """The unknowns, one a row, (N·P, u·q)."""
        n, u, p, q = self.rows.count, self.rows.size, self.columns.count, self.columns.size
        return (self.first @ self.second).view(n, u, p, q).transpose(1, 2).reshape(n * p, u * q)

    @cached_property
    def plain(self) -> Tensor:
        """A B as it is."""
        return self.a @ self.b

    def importance(self, rule: str) -> Floats:
        """How important each block product is by the weights of its factors, (N, P)."""
        return np.outer(self.rows.importance(rule), self.columns.importance(rule))

    def mix(self, mix: Tensor) -> Tensor:
        """The product with block products replaced by combinations of them, ``mix`` (N·P, N·P).

        Where each is replaced by a multiple of itself ``mix`` (N·P,) has these, and nothing need be moved.
        """
        n, u, p, q = self.rows.count, self.rows.size, self.columns.count, self.columns.size
        if mix.dim() == 1:
            product = self.plain * self.rows.spread(self.columns.spread(mix.view(n, p).T).T)
            return product if self.turn is None else self.turn @ product
        return self.restore((mix @ self.blocks).view(n, p, u, q).transpose(1, 2).reshape(n * u, p * q))

    def restore(self, product: Tensor) -> Tensor:
        """The product of the sorted, padded factors as that of the factors themselves."""
        product = self.columns.back(self.rows.back(product, 0), 1)
        return product if self.turn is None else self.turn @ product

    def sketch(self, left: Tensor, right: Tensor) -> Tensor:
        """(Ψ A_n)(B_p Ω) of all unknowns, (unknowns, k·k); Ψ (k, u) and Ω (q, k) are the same for all blocks."""
        n, p, k = self.rows.count, self.columns.count, left.shape[0]
        a = (left @ self.first.view(n, self.rows.size, -1)).view(n * k, -1)
        b = (self.second.view(-1, p, self.columns.size) @ right).view(-1, p * k)
        return (a @ b).view(n, k, p, k).transpose(1, 2).reshape(n * p, k * k)

    @property
    def sketch_shape(self) -> tuple[int, int]:
        """Rows and columns that sketches act on."""
        return self.rows.size, self.columns.size


@dataclass(frozen=True, eq=False)
class ColumnRow:
    """Column blocks of A and row blocks of B (eq. (4)): A B = Σ A_m B_m.

    Unknown m is A_m B_m; with ``pairs`` unknown (m, m') is A_m B_m'.
    """

    a: Tensor
    b: Tensor
    groups: Groups
    pairs: bool

    @classmethod
    def of(cls, a: Tensor, b: Tensor, parts: int, weights: Tensor, pairs: bool) -> ColumnRow:
        return cls(a, b, Groups.of(weights, parts), pairs)

    @cached_property
    def first(self) -> Tensor:
        """A with its columns sorted and padded, (U, M·h)."""
        return self.groups.take(self.a, 1)

    @cached_property
    def second(self) -> Tensor:
        """B with its rows sorted and padded, (M·h, Q)."""
        return self.groups.take(self.b, 0)

    def importance(self, rule: str) -> Floats:
        """How important each block product A_m B_m is by the weights of its factors, (M,)."""
        return self.groups.importance(rule)

    def mix(self, mix: Tensor) -> Tensor:
        """Σ mix_m A_m B_m, or Σ mix_mm' A_m B_m', ``mix`` (unknowns,), at the cost of one product."""
        if not self.pairs:
            return (self.a * self.groups.spread(mix)) @ self.b
        m, h = self.groups.count, self.groups.size
        return self.first @ (mix.view(m, m) @ self.second.view(m, -1)).view(m * h, -1)

    def restore(self, product: Tensor) -> Tensor:
        """The product of the sorted, padded factors, which is that of the factors themselves."""
        return product

    def sketch(self, left: Tensor, right: Tensor) -> Tensor:
        """(Ψ A_m)(B_m' Ω) of all unknowns, (unknowns, k·k)."""
        m, k = self.groups.count, left.shape[0]
        a, b = (left @ self.first).view(k, m, -1), (self.second @ right).view(m, -1, k)
        pattern = "amj,njb->mnab" if self.pairs else "amj,mjb->mab"
        return torch.einsum(pattern, a, b).reshape(-1, k * k)

    @property
    def sketch_shape(self) -> tuple[int, int]:
        """Rows and columns that sketches act on."""
        return self.first.shape[0], self.second.shape[1]


Product = RowColumn | ColumnRow
"""Both have the factors as ``a`` and ``b``, and sorted and padded as ``first`` and ``second``."""
