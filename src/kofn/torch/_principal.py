"""Principal components instead of rows: what makes a few blocks carry most of a product.

The rows of a mini-batch's gradient G are alike, so blocks of rows are of like importance. With the eigenvectors Q of
G Gᵀ the product is G V = Q (Qᵀ G) V, and the rows of Qᵀ G are the principal components: the first few of them carry
nearly all.
"""

from __future__ import annotations

import torch
from torch import Tensor

LIMIT = 0.75
"""Largest share of a product's own flops that turning may take; encoding takes about a quarter."""


def turning_pays(rows: int, inner: int, columns: int) -> bool:
    """Whether turning the rows of a product costs the master clearly less than the product itself would.

    G Gᵀ, there and back take 2·rows²·(2·inner + columns) flops, the eigenvectors about 10·rows³.

    Examples
    --------
    64 samples of a layer from 7200 to 512 (Tegin et al. 2022, Table VI), and of one from 100 to 200:

    >>> turning_pays(64, 512, 7200), turning_pays(64, 200, 100)
    (True, False)
    """
    return rows * (2 * inner + columns + 5 * rows) <= LIMIT * inner * columns


def principal_directions(matrix: Tensor) -> Tensor:
    """Orthogonal Q, (rows, rows), such that the rows of Qᵀ A are principal components, the most energetic first.

    Examples
    --------
    >>> both = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    >>> (principal_directions(both).T @ both).norm(dim=1).round(decimals=3)
    tensor([7.0710, 0.0000])
    """
    wide = matrix.double() / matrix.abs().amax()  # squares stay in the range
    vectors: Tensor = torch.linalg.eigh(wide @ wide.T).eigenvectors
    return vectors.flip(1).to(matrix.dtype)
