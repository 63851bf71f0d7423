"""The four applied problems P1 … P4 of Agrawal et al. 2022, Sec. IV-A: inputs, functions, losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

OPERATOR_NORM_STEPS = 20
"""Power iterations on AᵀA; matrices of positive numbers gain at least a decimal digit from each."""


@dataclass(frozen=True)
class Problem:
    """A matrix function with the distribution of its inputs.

    Parameters
    ----------
    name, title : str
    interval : callable
        Of M: the interval that the entries of A are uniform on.
    shaped : callable
        A, (…, M, M), uniform on the interval → X; NumPy or PyTorch.
    function : callable
        f with NumPy or SciPy: (…, M, M) → (…, V).
    function_torch : callable
        The same with PyTorch, on any device.
    outputs : callable
        Of M: V.
    norm_weight : float
        Of the term (‖f̂‖ − 1)² in the cost: 5 for P2, where f has unit norm.
    """

    name: str
    title: str
    interval: Callable[[int], tuple[float, float]]
    shaped: Callable[[Any], Any]
    function: Callable[[Floats], Floats]
    function_torch: Callable[[Any], Any]
    outputs: Callable[[int], int]
    norm_weight: float = 0.0

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], size: int) -> Floats:
        """Draw inputs, (*shape, M, M).

        Examples
        --------
        >>> PROBLEMS["P1"].sample(np.random.default_rng(0), (5, 3), size=4).shape
        (5, 3, 4, 4)
        """
        result: Floats = self.shaped(rng.uniform(*self.interval(size), (*shape, size, size)))
        return result

    def sample_torch(self, generator: Any, shape: tuple[int, ...], size: int) -> Any:
        """Draw inputs, (*shape, M, M), float32, on the device of a `torch.Generator`."""
        import torch

        low, high = self.interval(size)
        uniform = torch.rand((*shape, size, size), generator=generator, device=generator.device)
        return self.shaped(low + (high - low) * uniform)

    def cost(self, estimate: Any, truth: Any) -> Any:
        """C = ‖f̂ − f‖, for P2 with 5 (‖f̂‖ − 1)² (Agrawal et al. 2022, Sec. IV-A), (…), of PyTorch tensors (…, V)."""
        cost = (estimate - truth).norm(dim=-1)
        return cost + self.norm_weight * (estimate.norm(dim=-1) - 1) ** 2 if self.norm_weight else cost


def symmetric(A: Any) -> Any:
    """(A + Aᵀ)/2: inputs of P1 and P2."""
    return (A + A.swapaxes(-1, -2)) / 2


def normalised(A: Any) -> Any:
    """A/‖A‖_op, for matrices of positive numbers: inputs of P3.

    Examples
    --------
    >>> A = np.random.default_rng(0).uniform(size=(4, 4))
    >>> bool(np.isclose(np.linalg.norm(normalised(A), 2), 1, rtol=1e-14))
    True
    """
    x = A.sum(-2)
    for _ in range(OPERATOR_NORM_STEPS):
        x = (A.swapaxes(-1, -2) @ (A @ x[..., None]))[..., 0]
        x = x / (x * x).sum(-1)[..., None] ** 0.5
    image = (A @ x[..., None])[..., 0]
    return A / ((image * image).sum(-1) ** 0.5)[..., None, None]


def near_identity(A: Any) -> Any:
    """I − E, where E is A with zeros on its diagonal: inputs of P4.

    Examples
    --------
    >>> near_identity(np.full((2, 2), 0.25)).tolist()
    [[1.0, -0.25], [-0.25, 1.0]]
    """
    X = -A
    size = X.shape[-1]
    X.reshape(*X.shape[:-2], size * size)[..., :: size + 1] = 1
    return X


def eigenvalues(X: Floats) -> Floats:
    """P1: eigenvalues of symmetric matrices in ascending order, (…, M).

    Examples
    --------
    >>> eigenvalues(np.array([[0.0, 1.0], [1.0, 0.0]])).round(12)
    array([-1.,  1.])
    """
    return np.linalg.eigvalsh(X)


def dominant_eigenvector(X: Floats) -> Floats:
    """P2: of unit norm, to the eigenvalue of largest absolute value, its first nonzero component positive, (…, M).

    Examples
    --------
    >>> dominant_eigenvector(np.diag([-3.0, 2.0]))
    array([1., 0.])
    """
    values, vectors = np.linalg.eigh(X)
    which = np.argmax(np.abs(values), axis=-1)[..., None, None]
    vector = np.take_along_axis(vectors, which, axis=-1)[..., 0]
    first = np.argmax(vector != 0, axis=-1)[..., None]
    result: Floats = vector * np.sign(np.take_along_axis(vector, first, axis=-1))
    return result


def exponential(X: Floats) -> Floats:
    """P3: the entries of e^X, row by row, (…, M²).

    Examples
    --------
    >>> exponential(np.zeros((2, 2)))
    array([1., 0., 0., 1.])
    """
    from scipy.linalg import expm

    result: Floats = expm(X).reshape(*X.shape[:-2], -1)
    return result


def determinant(X: Floats) -> Floats:
    """P4: the determinant, (…, 1).

    Examples
    --------
    >>> determinant(2 * np.eye(2)).round(12)
    array([4.])
    """
    return np.asarray(np.linalg.det(X))[..., None]


def eigenvalues_torch(X: Any) -> Any:
    """P1 with PyTorch."""
    import torch

    return torch.linalg.eigvalsh(X)


def dominant_eigenvector_torch(X: Any) -> Any:
    """P2 with PyTorch."""
    import torch

    values, vectors = torch.linalg.eigh(X)
    which = values.abs().argmax(-1)[..., None, None].expand(*X.shape[:-1], 1)
    vector = vectors.gather(-1, which)[..., 0]
    first = (vector != 0).to(torch.uint8).argmax(-1)[..., None]
    return vector * vector.gather(-1, first).sign()


def exponential_torch(X: Any) -> Any:
    """P3 with PyTorch."""
    import torch

    return torch.matrix_exp(X).flatten(-2)


def determinant_torch(X: Any) -> Any:
    """P4 with PyTorch."""
    import torch

    return torch.linalg.det(X)[..., None]


PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem("P1", "eigenvalues", lambda M: (-1.0, 1.0), symmetric, eigenvalues, eigenvalues_torch, lambda M: M),
        Problem(
            "P2", "dominant eigenvector", lambda M: (0.0, 1.0), symmetric, dominant_eigenvector,
            dominant_eigenvector_torch, lambda M: M, norm_weight=5.0,
        ),
        Problem("P3", "exponential", lambda M: (0.0, 1.0), normalised, exponential, exponential_torch, lambda M: M * M),
        Problem(
            "P4", "determinant", lambda M: (-2.0 / M, 2.0 / M), near_identity, determinant, determinant_torch,
            lambda M: 1,
        ),
    )
}  # fmt: skip
"""By name: P1 eigenvalues, P2 dominant eigenvector, P3 exponential, P4 determinant."""
