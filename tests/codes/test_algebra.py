"""Rows, nodes, bases and certificates, against rationals and identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from draws import examples
from kofn.codes import certify, chebyshev_nodes, chebyshev_rows, gaussian_frame, row_kronecker
from kofn.codes._certify import backward_limit
from kofn.codes.decoding._rank import DenseRank
from oracles import float_verdict, smallest_solution

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)


@given(sizes, sizes, sizes, sizes, sizes, seeds)
def test_row_kronecker_obeys_the_mixed_product_rule(rows, n, p, q, r, seed):
    rng = np.random.default_rng(seed)
    alpha, beta, M, N = (rng.integers(-5, 6, shape).astype(float) for shape in ((rows, n), (rows, p), (n, q), (p, r)))
    assert np.array_equal(row_kronecker(alpha @ M, beta @ N), row_kronecker(alpha, beta) @ np.kron(M, N))


@given(sizes, sizes, sizes, seeds)
def test_row_kronecker_is_the_product_of_two_combinations(rows, n, p, seed):
    rng = np.random.default_rng(seed)
    alpha, beta = rng.integers(-5, 6, (rows, n)), rng.integers(-5, 6, (rows, p))
    a, b = rng.integers(-5, 6, n), rng.integers(-5, 6, p)
    assert np.array_equal(row_kronecker(alpha, beta) @ np.outer(a, b).ravel(), (alpha @ a) * (beta @ b))


@given(st.integers(1, 60))
def test_chebyshev_nodes_are_zeros_symmetric_and_falling(count):
    nodes = chebyshev_nodes(count)
    assert np.max(np.abs(np.cos(count * np.arccos(nodes)))) <= 4e-16 * count**2
    assert np.array_equal(nodes, -nodes[::-1])
    assert np.all(np.diff(nodes) < 0)


@given(st.integers(1, 40), st.integers(1, 40))
def test_chebyshev_rows_are_cosines_and_orthogonal_at_their_own_nodes(count, nodes):
    points = chebyshev_nodes(nodes)
    values = chebyshev_rows(points, count)
    assert np.allclose(values, np.cos(np.outer(np.arccos(points), np.arange(count))), rtol=0, atol=1e-12)
    if count <= nodes:
        size = np.where(np.arange(count) == 0, nodes, nodes / 2)
        assert np.allclose(values.T @ values, np.diag(size), rtol=0, atol=1e-12 * nodes)


@given(st.integers(1, 12), st.integers(0, 8), seeds)
def test_a_gaussian_frame_is_tight_and_any_rows_are_independent(columns, extra, seed):
    rng = np.random.default_rng(seed)
    rows = columns + extra
    frame = gaussian_frame(rows, columns, rng)
    assert np.allclose(frame.T @ frame, rows / columns * np.eye(columns), rtol=0, atol=1e-13 * rows)
    subset = rng.choice(rows, columns, replace=False)
    assert float_verdict(frame[subset], np.eye(columns))[0].all()


@examples(60)
@given(st.integers(1, 5), st.integers(0, 3), seeds)
def test_certify_finds_the_smallest_rational_solution(rows, wider, seed):
    rng = np.random.default_rng(seed)
    generator = rng.integers(-4, 5, (rows, rows + wider)).astype(float)
    if float_verdict(generator, generator)[1] < rows:
        return
    chosen = rng.integers(-3, 4, rows).astype(float)
    target = chosen @ generator
    certificate = certify(generator, target[None])
    assert np.allclose(certificate.matrix[0], smallest_solution(generator, target), rtol=1e-11, atol=1e-12)
    assert certificate.backward_error[0] <= backward_limit(*generator.shape)
    sizes = np.linalg.norm(generator, axis=1)
    wanted = np.linalg.norm(chosen * sizes) / (np.linalg.norm(target) or 1)
    assert certificate.amplification[0] == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(st.integers(2, 8), seeds)
def test_the_smallest_amplification_is_chosen_where_rows_are_to_spare(unknowns, seed):
    rng = np.random.default_rng(seed)
    generator = rng.standard_normal((unknowns + 4, unknowns))
    generator /= np.linalg.norm(generator, axis=1, keepdims=True)
    all_rows = certify(generator, np.eye(unknowns)).amplification
    some = certify(generator[:-2], np.eye(unknowns)).amplification
    assert np.all(all_rows <= some * (1 + 1e-9))


def test_certificates_of_a_stack_are_those_of_its_members():
    rng = np.random.default_rng(0)
    stack = rng.integers(-2, 3, (50, 4, 4)).astype(float)  # some singular, most not
    together = certify(stack, np.eye(4))
    limit = backward_limit(4, 4)
    for index, matrix in enumerate(stack):
        alone = certify(matrix, np.eye(4))
        assert np.array_equal(together.backward_error[index] <= limit, alone.backward_error <= limit)
        kept = alone.backward_error <= limit
        assert np.allclose(together.matrix[index][kept], alone.matrix[kept], rtol=0, atol=1e-12)


@given(st.integers(0, 9), st.integers(1, 9), seeds)
def test_row_space_counts_independent_rows(rows, unknowns, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-1, 2, (rows, unknowns)) * (rng.random((rows, unknowns)) < 0.5)
    matrix = matrix * 10.0 ** rng.integers(-9, 10, (rows, 1))
    space = DenseRank(np.ones(unknowns), np.eye(unknowns), matrix.__getitem__)
    fresh = [space.add(row) for row in range(rows)]
    units = np.sign(matrix)
    assert space.rank == (np.linalg.matrix_rank(units) if rows else 0) == sum(fresh)
    assert space.is_near == (space.rank == unknowns)


def test_row_space_sees_a_target_before_full_rank():
    rows = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    space = DenseRank(np.ones(3), np.ones((1, 3)), rows.__getitem__)
    space.add(0)
    assert not space.is_near
    space.add(1)
    assert space.is_near
    assert space.rank == 2
