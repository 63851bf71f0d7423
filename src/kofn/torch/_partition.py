"""Cutting a product of two tensors into blocks, most important first, and putting a mixture of them together.

A mixture is what decoding makes of results: with W = V G_received the estimate of block (n, p) is the combination
W u of the true block products, so a simulation computes those once, in one plain product, and mixes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

import torch
from torch import Tensor

from .._base._numbers import Floats
from ..arrays._spans import Spans
from ..schemes.products._importance import block_weights

AT_HAND = 2**19
"""Numbers that are mixed at a time: what a processor keeps in its caches, and enough for its matrix products."""


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
    def across(self) -> Tensor:
        """The elements: the first ones of all groups, the second ones, and so on, (length,)."""
        return self._padded.view(self.count, self.size).T.reshape(-1)[: self._length]  # padding is at the end

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
    def plain(self) -> Tensor:
        """A B as it is."""
        return self.a @ self.b

    def importance(self, rule: str) -> Floats:
        """How important each block product is by the weights of its factors, (N, P)."""
        return np.outer(self.rows.importance(rule), self.columns.importance(rule))

    def mixtures(self, mixes: Sequence[Tensor]) -> list[Tensor]:
        """For each mix the product with block products replaced by combinations of them, (N·P, N·P).

        Where each is replaced by a multiple of itself a mix (N·P,) has these, and nothing need be moved.
        """
        if mixes[0].dim() == 1:
            products = [self.plain * self._spread(mix.view(self.rows.count, self.columns.count)) for mix in mixes]
        else:
            products = self._mixed(mixes)
        return products if self.turn is None else [self.turn @ product for product in products]

    def _spread(self, shares: Tensor) -> Tensor:
        return self.rows.spread(self.columns.spread(shares.T).T)

    def _mixed(self, mixes: Sequence[Tensor]) -> list[Tensor]:
        """Mixtures of the products of A and B, whose rows and columns stay in their order.

        A few rows of each block at a time: what they are multiplied to is mixed and sorted while the processor has it
        at hand, which takes a quarter of the time of doing one after the other to the whole.
        """
        n, u, p, q = self.rows.count, self.rows.size, self.columns.count, self.columns.size
        step = max(1, AT_HAND // (n * p * q))
        mixed = [self.a.new_empty(self.a.shape[0], self.b.shape[1]) for _ in mixes]
        rows = self.first.view(n, u, -1).transpose(0, 1)  # (u, N, H)
        for some, places in zip(torch.split(rows, step), torch.split(self.rows.across, n * step), strict=True):
            products = self._times_second(some.flatten(0, 1)).view(-1, n * p, q)
            for mix, product in zip(mixes, mixed, strict=True):
                lines = self.columns.back((mix @ products).view(-1, p * q), 1)
                product.index_copy_(0, places, lines[: places.shape[0]])
        return mixed

    def _times_second(self, rows: Tensor) -> Tensor:
        """Some rows times B with its columns sorted and padded; what is shorter, product or B, is sorted."""
        if len(self.a) < len(self.b):
            return self.columns.take(rows @ self.b, 1)
        return rows @ self.second

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

    def mixtures(self, mixes: Sequence[Tensor]) -> list[Tensor]:
        """For each mix Σ mix_m A_m B_m, or Σ mix_mm' A_m B_m', (unknowns,), at the cost of one product."""
        return [self._mixed(mix) for mix in mixes]

    def _mixed(self, mix: Tensor) -> Tensor:
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
