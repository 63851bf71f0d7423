"""The top principal components of a kernel matrix by subspace iteration, every product coded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kofn import Answer, operator
from kofn.engines import Pool

Array = NDArray[Any]

WANTED = 4
WIDTH = 12
"""Vectors in the iteration: more than wanted, because the wanted ones then converge much faster."""


@dataclass(frozen=True, eq=False)
class Components:
    """The largest eigenvalues of a centred kernel matrix, with eigenvectors.

    Parameters
    ----------
    shares : (WANTED,) array
        Of the total variance.
    vectors : (images, WANTED) array
    """

    shares: Array
    vectors: Array


def centred(kernel: Array) -> Array:
    """The kernel matrix of the images minus their mean.

    Examples
    --------
    >>> centred(np.array([[4.0, 2.0], [2.0, 4.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    means = kernel.mean(axis=0)
    result: Array = kernel - means - means[:, None] + means.mean()
    return result


def subspace_iteration(
    kernel: Array, pool: Pool, products: int, seed: int, watch: Callable[[int, Answer], None]
) -> Components:
    """Find the top components with a few coded products of ``kernel``, placed once, with a thin matrix.

    Parameters
    ----------
    products : int
        How many.
    watch : callable
        Called with the number and the answer of every product.
    """
    vectors = np.random.default_rng(seed).standard_normal((len(kernel), WIDTH))
    with operator(kernel, workers=pool, code="mds", rng=seed) as coded:
        for number in range(products):
            before, _ = np.linalg.qr(vectors)
            answer = coded.product(before)
            watch(number, answer)
            vectors = answer.value
    values, rotation = np.linalg.eigh(before.T @ vectors)
    top = np.argsort(values)[::-1][:WANTED]
    return Components(values[top] / np.trace(kernel), before @ rotation[:, top])


def reference(kernel: Array) -> Components:
    """Find the same by `numpy.linalg.eigh`, which looks at all of the matrix at once."""
    with threadpool_limits(1):  # threads of BLAS wait for each other where anything else runs
        values, vectors = np.linalg.eigh(kernel)
    return Components(values[::-1][:WANTED] / np.trace(kernel), vectors[:, ::-1][:, :WANTED])


def disagreement(found: Components, wanted: Components) -> tuple[float, float]:
    """Largest relative difference of the eigenvalues, and the sine of the largest angle of the subspaces."""
    values = float(np.max(np.abs(found.shares / wanted.shares - 1.0)))
    outside = found.vectors - wanted.vectors @ (wanted.vectors.T @ found.vectors)
    return values, float(np.linalg.norm(outside, 2))
