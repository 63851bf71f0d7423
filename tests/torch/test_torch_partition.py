"""Products that are cut into blocks, mixed and put together again."""

import numpy as np
import pytest

import torch
from kofn.torch import _partition
from kofn.torch._partition import ColumnRow, Groups, RowColumn
from kofn.torch._principal import principal_directions


def factors():
    """Two factors like those of a layer: a gradient of low rank and inputs after a ReLU, unevenly scaled."""
    torch.manual_seed(3)
    gradient = (torch.randn(40, 4) @ torch.randn(4, 32) + 0.3 * torch.randn(40, 32)) * torch.rand(40, 1)
    inputs = torch.relu(torch.randn(32, 50) + 0.5) * torch.rand(50).exp()
    return gradient.double(), inputs.double()


def test_groups_are_sorted_unevenly_cut_and_put_back():
    matrix = torch.arange(35.0).view(7, 5)
    groups = Groups.of(matrix.sum(1), 3)
    taken = groups.take(matrix, 0)
    assert taken.shape == (9, 5) and torch.equal(taken[:3], matrix[[6, 5, 4]])
    assert torch.equal(taken[[5, 8]], torch.zeros(2, 5))
    assert torch.equal(groups.back(taken, 0), matrix)


@pytest.mark.parametrize("at_hand", [1, 50, 2**19])
@pytest.mark.parametrize("inner", [6, 20])  # the columns of B are sorted before the product, or those of the product
def test_mixtures_are_those_of_the_block_products(monkeypatch, at_hand, inner):
    """Mixing all products at once is the same as mixing blocks that were cut and multiplied one by one."""
    monkeypatch.setattr(_partition, "AT_HAND", at_hand)
    a, b = factors()
    a, b = a[:8, :inner], b[:inner, :7]
    product = RowColumn.of(a, b, (3, 2), (a.norm(dim=1), b.norm(dim=0)))
    mix = torch.randn(6, 6, dtype=torch.float64)
    first, second = product.first.view(3, 3, -1), product.second.view(inner, 2, 4)
    blocks = [first[n] @ second[:, p] for n in range(3) for p in range(2)]
    whole = torch.zeros(9, 8, dtype=torch.float64)
    for target in range(6):
        n, p = divmod(target, 2)
        whole[3 * n : 3 * n + 3, 4 * p : 4 * p + 4] = sum(mix[target, j] * blocks[j] for j in range(6))
    mixed, again = product.mixtures([mix, -2 * mix])
    assert torch.allclose(mixed, product.restore(whole)) and torch.equal(again, -2 * mixed)
    multiples = torch.randn(6, dtype=torch.float64)
    (expected,) = product.mixtures([torch.diag(multiples)])
    assert torch.allclose(product.mixtures([multiples])[0], expected)


def test_mixtures_of_sums_are_those_of_the_block_products():
    a, b = factors()
    a, b = a[:8, :6], b[:6, :7]
    for pairs in (False, True):
        sums = ColumnRow.of(a, b, 4, a.norm(dim=0) * b.norm(dim=1), pairs)
        of_a, of_b = sums.first.view(8, 4, 2), sums.second.view(4, 2, 7)
        mix = torch.randn(16 if pairs else 4, dtype=torch.float64)
        which = [(m, k) for m in range(4) for k in range(4)] if pairs else [(m, m) for m in range(4)]
        expected = sum(mix[i] * (of_a[:, m] @ of_b[k]) for i, (m, k) in enumerate(which))
        assert torch.allclose(sums.mixtures([mix])[0], expected)


def test_principal_components_are_those_of_the_gradient_and_turn_back():
    """Energies of the rows that are cut are the eigenvalues of G Gᵀ, and the product is what it was."""
    a, b = factors()
    a = a[:9]
    turn = principal_directions(a)
    turned = turn.T @ a
    product = RowColumn.of(turned, b, (4, 3), (turned.norm(dim=1), b.norm(dim=0)), turn)
    energies = product.first.square().sum(1)[product.first.any(1)]
    assert np.allclose(energies, np.linalg.eigvalsh((a @ a.T).numpy())[::-1], rtol=1e-10)
    for one in (torch.eye(12, dtype=torch.float64), torch.ones(12, dtype=torch.float64)):
        assert torch.allclose(product.mixtures([one])[0], a @ b, rtol=1e-10)
