"""Priors: the same covariance by every road, and an unbiased sketch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kofn.arrays._blocks import Blocks
from kofn.arrays._spans import Spans
from kofn.codes import LinearCode, decode
from kofn.codes._prior import Prior
from kofn.errors import CodeError
from kofn.schemes.products._scheme import sketch_prior

seeds = st.integers(0, 2**32 - 1)


def covariance(prior):
    factor = np.diag(prior.factor) if prior.factor.ndim == 1 else prior.factor
    return factor @ factor.T


@given(st.integers(1, 7), st.integers(1, 7), seeds)
def test_every_way_to_make_a_prior_gives_the_covariance_asked_for(unknowns, rank, seed):
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((unknowns, rank))
    S = samples @ samples.T / rank
    size = np.trace(S)
    assert np.allclose(covariance(Prior.from_samples(samples)), S, rtol=0, atol=1e-13 * size)
    assert np.allclose(covariance(Prior.correlated(S)), S, rtol=0, atol=1e-13 * size)
    assert np.allclose(covariance(Prior.independent(np.diag(S))), np.diag(np.diag(S)), rtol=0, atol=1e-13 * size)
    heavier = covariance(Prior.from_samples(samples, 0.5))
    assert np.allclose(heavier, S + 0.5 * np.diag(np.diag(S)), rtol=0, atol=1e-13 * size)


@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), seeds)
def test_weighing_and_transforming_speak_of_the_same_covariance(unknowns, new, diagonal, seed):
    rng = np.random.default_rng(seed)
    prior = Prior.independent(rng.random(unknowns)) if diagonal else Prior(rng.standard_normal((unknowns, 3)))
    S, M = covariance(prior), rng.standard_normal((new, unknowns))
    assert np.allclose(covariance(prior.transformed(M)), M @ S @ M.T, rtol=1e-12, atol=1e-12)
    weighed = prior.weigh(M)
    assert np.allclose(weighed @ weighed.T, M @ S @ M.T, rtol=1e-12, atol=1e-12)
    assert np.allclose(prior.energies, np.diag(S), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Prior(np.ones((2, 2, 2))), "finite vector or matrix"),
        (lambda: Prior([np.inf]), "finite vector or matrix"),
        (lambda: Prior.independent([-1.0]), "numbers >= 0"),
        (lambda: Prior.independent([[1.0]]), "numbers >= 0"),
        (lambda: Prior.independent(["much"]), "energies must be real numbers"),
        (lambda: Prior.correlated([[1.0, 0.0], [1.0, 1.0]]), "symmetric"),
        (lambda: Prior.correlated(np.ones((2, 3))), "symmetric"),
        (lambda: Prior.correlated([[1.0, 1j], [-1j, 1.0]]), "a covariance must be real numbers, got complex numbers"),
        (lambda: Prior.from_samples(np.ones((2, 3)) * 1j), "samples of unknowns must be real numbers"),
        (lambda: Prior.from_samples(np.ones(3)), "samples of unknowns must be a matrix"),
        (lambda: Prior(np.ones(2) * 1j), "a prior's factor must be real numbers"),
        (lambda: Prior.correlated([[1.0, 2.0], [2.0, 1.0]]), "positive semidefinite, got the eigenvalue -1"),
    ],
)
def test_impossible_priors_are_refused(make, sentence):
    with pytest.raises(CodeError, match=sentence):
        make()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_the_sketch_is_unbiased_for_correlated_blocks(dtype):
    rng = np.random.default_rng(0)
    common = rng.standard_normal((4, 6))
    A = [common + 0.3 * rng.standard_normal((4, 6)) for _ in range(2)] + [rng.standard_normal((3, 6))]
    B = [rng.standard_normal((6, 5)), rng.standard_normal((6, 4))]
    if np.dtype(dtype).kind == "c":
        A = [block + 1j * rng.standard_normal(block.shape) for block in A]
    A, B = [block.astype(dtype) for block in A], [block.astype(dtype) for block in B]
    padded = np.zeros((6, 4, 5), np.result_type(dtype, float))
    for index, (a, b) in enumerate((a, b) for a in A for b in B):
        padded[index, : len(a), : b.shape[1]] = a.astype(padded.dtype) @ b
    flat = padded.reshape(6, -1)
    true = (flat @ flat.conj().T).real
    rows, columns = Blocks(np.vstack(A), Spans(11, 3), 0), Blocks(np.hstack(B), Spans(9, 2), 1)
    mean = np.mean([covariance(sketch_prior(rows, columns, rng)) for _ in range(300)], axis=0)
    scale = np.sqrt(np.outer(np.diag(true), np.diag(true)))
    # 300 sketches of 32 × 32 numbers: the mean is within a few percent of the blocks' energies.
    assert np.max(np.abs(mean - true - 1e-3 * np.diag(np.diag(true))) / scale) < 0.05


def test_what_is_known_counts_in_the_energy_and_never_in_the_loss():
    rng = np.random.default_rng(4)
    F, K, M = rng.standard_normal((3, 3)), rng.standard_normal((3, 2)), rng.standard_normal((2, 3))
    prior = Prior(F, known=K)
    assert np.isclose(prior.loss(M), np.trace(M @ F @ F.T @ M.T), rtol=1e-12)
    assert np.isclose(prior.energy(M), np.trace(M @ (F @ F.T + K @ K.T) @ M.T), rtol=1e-12)
    assert np.allclose(prior.transformed(M).known, M @ K, rtol=1e-12)
    quarter = Prior(F, known=K, share=0.25)
    assert np.isclose(quarter.energy(M), prior.energy(M) / 4, rtol=1e-12)
    assert quarter.loss(M) == prior.loss(M)
    with pytest.raises(CodeError, match="what is known of the unknowns must be a finite matrix"):
        Prior(F, known=np.ones(3))


def test_relative_to_nothing_all_that_is_missing_counts_alike():
    code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    found, equal = decode(code, [2], Prior.independent([0.0, 0.0])), decode(code, [2])
    assert np.array_equal(found.matrix, equal.matrix)
    assert found.error == equal.error == pytest.approx(0.5**0.5)
