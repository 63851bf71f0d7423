"""SciPy's linear operators take masks off vectors without a word; these refuse vectors with masked numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Unpack

import numpy as np
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator

from .. import checks
from .._base._numbers import Array
from ..jobs._answer import Answer
from ..jobs._options import OptionKeywords
from ..schemes.products._operands import plain_array

CALL = "kofn.operator"


class Unmasked(LinearOperator):  # type: ignore[misc]
    """A linear operator that refuses masked vectors, and so does what is made of it: adjoints, sums, multiples."""

    def dot(self, x: Any) -> Any:
        """The operator times a vector, a matrix, a number or an operator."""
        return _derived(super().dot(_plain(x)))

    def _rdot(self, x: Any) -> Any:
        return _derived(super()._rdot(_plain(x)))

    def matvec(self, x: Any) -> Any:
        """The operator times a vector."""
        return super().matvec(_plain(x))

    def matmat(self, x: Any) -> Any:
        """The operator times a matrix."""
        return super().matmat(_plain(x))

    def rmatvec(self, x: Any) -> Any:
        """The adjoint times a vector."""
        return super().rmatvec(_plain(x))

    def rmatmat(self, x: Any) -> Any:
        """The adjoint times a matrix."""
        return super().rmatmat(_plain(x))

    def _adjoint(self) -> Any:
        return _derived(super()._adjoint())

    def _transpose(self) -> Any:
        return _derived(super()._transpose())

    def __add__(self, other: Any) -> Any:
        return _derived(super().__add__(other))

    def __rmul__(self, other: Any) -> Any:
        return _derived(super().__rmul__(other))

    def __truediv__(self, number: Any) -> Any:
        return _derived(super().__truediv__(number))

    def __pow__(self, power: Any) -> Any:
        return _derived(super().__pow__(power))

    def __neg__(self) -> Any:
        return _derived(super().__neg__())


class _Derived(Unmasked):
    """What SciPy made of an operator."""

    def __init__(self, made: Any) -> None:
        self._made = made
        super().__init__(made.dtype, made.shape)

    def _matvec(self, x: Any) -> Any:
        return self._made.matvec(x)

    def _matmat(self, X: Any) -> Any:
        return self._made.matmat(X)

    def _rmatvec(self, x: Any) -> Any:
        return self._made.rmatvec(x)

    def _rmatmat(self, X: Any) -> Any:
        return self._made.rmatmat(X)


def _derived(made: Any) -> Any:
    return _Derived(made) if isinstance(made, LinearOperator) and not isinstance(made, Unmasked) else made


def _plain(x: Any) -> Any:
    if isinstance(x, LinearOperator) or issparse(x) or (np.isscalar(x) and not isinstance(x, memoryview)):
        return x
    with checks.named(CALL):
        return plain_array("x", x)


class ByProducts(Unmasked, ABC):
    """A linear operator whose products, with either direction, are answers of runs."""

    @abstractmethod
    def product(self, x: Array, *, adjoint: bool = False, **changes: Unpack[OptionKeywords]) -> Answer:
        """The product with a vector or a matrix."""

    def _matvec(self, x: Array) -> Array:
        return self._matmat(x.reshape(-1, 1)).reshape(-1)

    def _matmat(self, x: Array) -> Array:
        value: Array = self.product(x).value
        return value

    def _rmatvec(self, x: Array) -> Array:
        return self._rmatmat(x.reshape(-1, 1)).reshape(-1)

    def _rmatmat(self, x: Array) -> Array:
        value: Array = self.product(x, adjoint=True).value
        return value
