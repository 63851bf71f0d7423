"""What a worker may take of the powers of its matrix: sums, traces, diagonals, or all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Powers:
    """X, X², … and what is cheap of them; each is computed once, and only if it is asked for.

    X may be a NumPy array or a PyTorch tensor. Row sums of X^p take p products of a matrix and a vector, traces and
    diagonals need X^⌈p/2⌉ alone, so that up to p = 2 none of them takes a product of matrices.

    Parameters
    ----------
    matrix : (…, M, M) array or tensor

    Examples
    --------
    >>> import numpy as np
    >>> powers = Powers(np.array([[0.0, 2.0], [1.0, 0.0]]))
    >>> powers.rows(2), powers.diagonal(2), powers.power(3)[0]
    (array([2., 2.]), array([2., 2.]), array([0., 4.]))
    """

    def __init__(self, matrix: Any) -> None:
        self._powers = {1: matrix}
        self._rows: dict[tuple[int, bool], Any] = {}

    def power(self, p: int) -> Any:
        """X^p, (…, M, M)."""
        if p not in self._powers:
            self._powers[p] = self.power(p - p // 2) @ self.power(p // 2)
        return self._powers[p]

    def rows(self, p: int, transposed: bool = False) -> Any:
        """X^p 1, (…, M); of the transposed matrix if asked."""
        if (p, transposed) not in self._rows:
            X = self._powers[1].swapaxes(-1, -2) if transposed else self._powers[1]
            last = X.sum(-1) if p == 1 else (X @ self.rows(p - 1, transposed)[..., None])[..., 0]
            self._rows[p, transposed] = last
        return self._rows[p, transposed]

    def diagonal(self, p: int) -> Any:
        """The diagonal of X^p, (…, M)."""
        if p == 1:
            return self._powers[1].diagonal(0, -2, -1)
        return (self.power(p - p // 2) * self.power(p // 2).swapaxes(-1, -2)).sum(-1)


def _flat(matrix: Any) -> Any:
    return matrix.reshape(*matrix.shape[:-2], -1)


Feature = Callable[[Powers, int], Any]

SCALARS: dict[str, Feature] = {
    "trace": lambda powers, p: powers.diagonal(p).sum(-1)[..., None],
    "total": lambda powers, p: powers.rows(p).sum(-1)[..., None],
}
"""Features of one number, (…, 1)."""

VECTORS: dict[str, Feature] = {
    "rows": lambda powers, p: powers.rows(p),
    "columns": lambda powers, p: powers.rows(p, transposed=True),
    "diagonal": lambda powers, p: powers.diagonal(p),
}
"""Features of M numbers, (…, M)."""

MATRICES: dict[str, Feature] = {
    "entries": lambda powers, p: _flat(powers.power(p)),
    "transposed": lambda powers, p: _flat(powers.power(p).swapaxes(-1, -2)),
}
"""Features of M² numbers, (…, M²), row by row."""

FEATURES = SCALARS | VECTORS | MATRICES


def width(feature: str, size: int) -> int:
    """How many numbers a feature of a matrix of ``size`` × ``size`` has.

    Examples
    --------
    >>> width("trace", 5), width("rows", 5), width("entries", 5)
    (1, 5, 25)
    """
    return 1 if feature in SCALARS else size if feature in VECTORS else size * size
