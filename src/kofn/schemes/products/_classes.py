"""Classes of block products by importance, and the windows of NOW and EW over them (Tegin et al. 2022, Sec. III-B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..._base._numbers import Flags, Floats, Indices
from ...checks import choice, probabilities, refusal
from ...errors import CodeError
from ._importance import CALL, even_sizes, split_classes

KINDS = ("now", "ew")
GAMMA = (0.40, 0.35, 0.25)
"""Window selection probabilities of Table III."""


@dataclass(frozen=True, eq=False)
class Classes:
    """Which class each block product A_n B_p belongs to.

    Row × column wants every cell of the table; column × row wants the diagonal. Make one with `by_size` or
    `by_level`, or from a table of your own.

    Parameters
    ----------
    label : (N, P) int array
        Class of each product, 0 the most important; −1 where the product is not wanted.

    Examples
    --------
    >>> Classes(np.array([[0, 0], [0, 1]])).sizes.tolist()
    [3, 1]
    """

    label: Indices

    def __post_init__(self) -> None:
        label = np.array(self.label, dtype=np.intp)
        wanted = label[label >= 0] if label.ndim == 2 else np.zeros(0)
        if not wanted.size or set(wanted) != set(range(int(wanted.max()) + 1)) or label.min() < -1:
            raise CodeError(f"a table of classes must be a matrix of labels 0, 1, … without gaps, got {label!r}.")
        label.setflags(write=False)
        object.__setattr__(self, "label", label)

    @classmethod
    def by_size(cls, importance: Floats, sizes: Sequence[int] | int) -> Classes:
        """Cut the products, most important first, into classes of these sizes, or into so many of equal size.

        Parameters
        ----------
        importance : (N, P) or (M,) array
            Of every product A_n B_p (row × column), or of every A_m B_m (column × row).

        Examples
        --------
        The classes of Sec. VI: levels of variance 10, 1 and 0.1 on both sides.

        >>> Classes.by_size(np.outer([10, 1, 0.1], [10, 1, 0.1]), (3, 3, 3)).label
        array([[0, 0, 1],
               [0, 1, 2],
               [1, 2, 2]])
        """
        if isinstance(sizes, int):
            sizes = even_sizes(importance.size, sizes)
        return cls(_table(split_classes(importance.ravel(), sizes).reshape(importance.shape)))

    @classmethod
    def by_level(cls, importance: Floats, first: ArrayLike, second: ArrayLike) -> Classes:
        """One class for each unordered pair of importance levels that occurs, at most L = S(S + 1)/2.

        Classes are ordered by the mean importance of their products.

        Parameters
        ----------
        importance : (N, P) or (M,) array
        first, second : (N,) and (P,) int arrays
            Levels of the blocks of A and of B, from `kofn.schemes.products.levels_of`.

        Examples
        --------
        >>> Classes.by_level(np.outer([10, 1], [10, 1]), [0, 1], [0, 1]).label
        array([[0, 1],
               [1, 2]])
        """
        rows, columns = np.asarray(first), np.asarray(second)
        if importance.ndim == 2:
            rows, columns = np.broadcast_arrays(rows[:, None], columns[None, :])
        pair = np.minimum(rows, columns) * (np.max([rows, columns]) + 1) + np.maximum(rows, columns)
        _, which, count = np.unique(pair, return_inverse=True, return_counts=True)
        which = which.reshape(importance.shape)
        mean = np.bincount(which.ravel(), weights=importance.ravel()) / count
        rank = np.argsort(np.argsort(-mean, kind="stable"), kind="stable")
        return cls(_table(rank[which]))

    @classmethod
    def of_sizes(cls, *sizes: int) -> Classes:
        """Classes of so many products A_m B_m each, the most important first.

        Examples
        --------
        >>> Classes.of_sizes(1, 2).sizes.tolist()
        [1, 2]
        """
        return cls.by_size(-np.arange(float(sum(sizes))), sizes)

    @classmethod
    def of_grid(cls, n: int, p: int) -> Classes:
        """All products of N blocks of A and P of B, in one class."""
        return cls(np.zeros((n, p), dtype=np.intp))

    @property
    def count(self) -> int:
        """Number of classes, L."""
        return int(self.label.max()) + 1

    @property
    def wanted(self) -> Flags:
        """Which products are wanted, (N, P)."""
        return self.label >= 0

    @property
    def sizes(self) -> Indices:
        """Products in each class, k_l, (L,)."""
        return np.bincount(self.label[self.wanted])

    def windows(self, kind: str) -> Flags:
        """Products that each window combines, (L, N, P): class l alone (NOW), or classes 1 … l (EW).

        Examples
        --------
        >>> Classes(np.array([[0, 1]])).windows("ew").tolist()
        [[[True, False]], [[True, True]]]
        """
        choice(CALL, "kind", kind, KINDS, "NOW: non-overlapping windows, EW: expanding windows")
        window = np.arange(self.count)[:, None, None]
        return (self.label == window) if kind == "now" else self.wanted & (self.label <= window)

    def draw(self, kind: str, gamma: ArrayLike, rows: int, rng: np.random.Generator) -> Flags:
        """Draw a window for each row, (rows, N, P), window l with probability Γ_l."""
        chances = probabilities(CALL, "gamma", gamma)
        if len(chances) != self.count:
            must = f"have one entry for each of the {self.count} classes"
            raise refusal(CALL, "gamma", must, gamma, "change 'gamma' or the classes")
        which = rng.choice(self.count, rows, p=chances / chances.sum())
        return self.windows(kind)[which]


def _table(label: Indices) -> Indices:
    """Labels of A_m B_m go on the diagonal of the table of all products."""
    return label if label.ndim == 2 else np.where(np.eye(len(label), dtype=bool), label, -1)
