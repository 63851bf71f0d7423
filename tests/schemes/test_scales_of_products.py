"""Errors are relative: scaling factors changes no error bar, and no answer but by the scale."""

from __future__ import annotations

import numpy as np
import pytest

import kofn
from kofn.arrays._reductions import norm, norms
from kofn.codes import decode
from kofn.codes._prior import Prior
from kofn.schemes import PRODUCTS, matdot
from kofn.testing._schemes import results_of

RNG = np.random.default_rng(5)
A, B = RNG.standard_normal((40, 24)), RNG.standard_normal((24, 30))
SCALES = [(2.0**-330, 2.0**-330), (2.0**265, 2.0**265), (2.0**-700, 1.0), (2.0**530, 2.0**-10), (2.0**-600, 2.0**600)]
"""About 1e-99 and 1e80 for both, 1e-211 and 1e159 for one: products are numbers, their squares are not."""


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(8) as threads:
        yield threads


def decoded(scheme, count):
    order = np.random.default_rng(1).permutation(scheme.code.rows)[:count]
    decoding = decode(scheme.code, order, scheme.prior(), epsilon=scheme.epsilon)
    results = results_of(scheme)
    return decoding, scheme.assemble(decoding.matrix, [results[row] for row in order])


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_powers_of_two_change_neither_code_nor_error_bar(name, scales):
    plain, scaled = (PRODUCTS[name](A * a, B * b, workers=8, rng=3) for a, b in ((1.0, 1.0), scales))
    np.testing.assert_allclose(scaled.code.generator, plain.code.generator, rtol=1e-14, atol=0)
    for count in (1, 2, 3):
        expected, value = decoded(plain, count)
        found, scaled_value = decoded(scaled, count)
        assert found.error == pytest.approx(float(expected.error), rel=1e-9)
        size = np.linalg.norm(value)
        assert np.linalg.norm(scaled_value / scales[0] / scales[1] - value) <= 1e-9 * size


@pytest.mark.parametrize("scales", [(1e-100, 1e-100), (1e80, 1e80), (1e-200, 1.0), (1e160, 1.0)])
@pytest.mark.parametrize("code", ["mds", "kronecker"])
def test_a_tolerance_means_the_same_at_every_scale(pool, code, scales):
    heard = []
    answer = kofn.matmul(
        A * scales[0], B * scales[1], workers=pool, code=code, tolerance=0.01, rng=0, progress=heard.append
    )
    true = (A @ B) * scales[0] * scales[1]
    size = np.abs(true).max()
    assert answer.error <= 0.01
    assert np.linalg.norm((answer.value - true) / size) <= 0.05 * np.linalg.norm(true / size)
    assert 0.0 < heard[0].error <= 1.0


def test_a_matrix_whose_squares_underflow_is_not_taken_for_zero(pool):
    tiny = np.eye(4) * 1e-85
    answer = kofn.matmul(tiny, tiny, workers=pool, tolerance=0.01, rng=0)
    np.testing.assert_allclose(answer.value, np.eye(4) * 1e-170, rtol=1e-6, atol=1e-176)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_an_operator_of_any_scale_knows_its_error(pool, scale):
    errors, bars = [], []
    with kofn.operator(A * scale, workers=pool, code="mds", tolerance=0.7, rng=0) as op:
        for seed in range(20):
            x = np.random.default_rng(seed).standard_normal(24)
            found = op @ x / scale
            errors.append(np.linalg.norm(found - A @ x) / np.linalg.norm(A @ x))
            bars.append(op.answer.error)
    assert 0.1 < max(bars) <= 0.7
    assert np.sqrt(np.mean(np.square(errors))) < 2 * np.sqrt(np.mean(np.square(bars)))


def test_a_design_is_the_same_at_every_scale():
    wanted = {"workers": 3, "latency": kofn.Exponential(1.0), "deadline": 0.5, "blocks": (2, 1), "rng": 0}
    plain, scaled = kofn.design(A, B, **wanted), kofn.design(A * 2.0**-350, B * 2.0**-350, **wanted)
    np.testing.assert_allclose(scaled.code.generator, plain.code.generator, rtol=1e-9, atol=1e-12)
    assert scaled.value == pytest.approx(plain.value, rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200, 1e-310])
@pytest.mark.parametrize("kind", [np.float64, np.complex128])
def test_norms_are_those_of_exact_arithmetic(scale, kind):
    unit = (RNG.integers(-9, 9, (5, 7)) + (1j * RNG.integers(-9, 9, (5, 7)) if kind is np.complex128 else 0)).astype(
        kind
    )
    for axis in (0, 1):
        exact = np.sqrt((np.abs(unit) ** 2).sum(axis=1 - axis))
        np.testing.assert_allclose(norms(unit * scale, axis) / scale, exact, rtol=1e-12)
    assert norms(np.zeros((2, 3)), 0).tolist() == [0.0, 0.0]
    assert norms(np.zeros((0, 3)), 1).tolist() == [0.0] * 3
    assert norm(np.array([3e-320, 4e-320])) == pytest.approx(5e-320, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-250, 1e250])
def test_a_prior_of_any_scale_keeps_its_ratios(scale):
    T = np.ones((1, 3))
    F, n, K = (RNG.standard_normal(shape) for shape in ((3, 2), 3, (3, 1)))
    plain, scaled = Prior(F, n, K), Prior(F * scale, n * scale, K * scale)
    assert scaled.loss(T) / scaled.energy(T) == pytest.approx(plain.loss(T) / plain.energy(T), rel=1e-12)
    np.testing.assert_allclose(scaled.energies / scaled.energies[0], plain.energies / plain.energies[0], rtol=1e-12)


def cancelling(d, seed, dtype=np.float64):
    """A B with A = [1, −1] + d·N and B = 1: halves of the inner dimension cancel but for d."""
    halves = np.hstack([np.ones((30, 40)), -np.ones((30, 40))])
    noise = np.random.default_rng(seed).standard_normal(halves.shape)
    return (halves + d * noise).astype(dtype), np.ones((80, 20), dtype)


def uep(name, realisation):
    def build(*matrices, **options):
        return PRODUCTS[name](*matrices, partition="cxr", realisation=realisation, **options)

    return build


SUMMED = {
    "matdot": matdot,
    "now-window": uep("now-uep", "window"),
    "ew-window": uep("ew-uep", "window"),
    "now-factor": uep("now-uep", "factor"),
    "ew-factor": uep("ew-uep", "factor"),
}


@pytest.mark.parametrize("d", [1.0, 1e-2, 1e-3, 1e-5])
@pytest.mark.parametrize("name", SUMMED)
def test_parts_that_cancel_leave_error_bars_honest(name, d):
    true, expected = np.zeros((2, 12, 5))
    for seed in range(12):
        first, second = cancelling(d, seed)
        product = first @ second
        scheme = SUMMED[name](first, second, workers=9, rng=seed)
        for count in range(1, 6):
            decoding, value = decoded(scheme, count)
            true[seed, count - 1] = np.linalg.norm(value - product) / np.linalg.norm(product)
            expected[seed, count - 1] = decoding.error
    ratio = np.sqrt(np.sum(true**2, axis=0) / np.maximum(np.sum(expected**2, axis=0), 1e-12))
    assert np.all(ratio < 1.5), ratio.round(2)
    assert np.all(np.sqrt(np.mean(true**2, axis=0)) < 1.1), "no estimate may be worse than zero"


def test_the_gradient_of_least_squares_near_its_optimum_has_an_honest_bar():
    true, expected = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((400, 12)), rng.standard_normal(400)
        w = np.linalg.lstsq(X, y, rcond=None)[0] + 1e-5 * rng.standard_normal(12)
        residual = (X @ w - y)[:, None]
        decoding, value = decoded(matdot(X.T.copy(), residual, workers=9, rng=seed), 4)
        gradient = X.T @ residual
        true.append(np.linalg.norm(value - gradient) / np.linalg.norm(gradient))
        expected.append(decoding.error)
    assert np.sqrt(np.mean(np.square(true)) / np.mean(np.square(expected))) < 1.5
    assert np.sqrt(np.mean(np.square(true))) < 1.1


@pytest.mark.parametrize("targets", [None, np.ones((1, 3))])
def test_samples_so_small_that_they_have_lost_digits_still_make_a_prior(targets):
    samples = np.array([[1.0, 2.0], [3.0, -1.0], [2.0, 2.0]])
    plain, tiny = (Prior.from_samples(samples * scale, 0.1, targets) for scale in (1.0, 2.0**-1060))
    np.testing.assert_allclose(tiny.energies / tiny.energies[0], plain.energies / plain.energies[0], rtol=1e-3)


def test_noise_adds_the_same_share_of_every_target():
    samples, T = RNG.standard_normal((6, 40)), RNG.standard_normal((2, 6))
    T[0] = np.linalg.svd(samples)[0][:, -1]  # the combination that all but cancels
    S = samples @ samples.T / 40
    noise = Prior.from_samples(samples, 0.01, T).factor
    noise = noise @ noise.T - S
    np.testing.assert_allclose(np.diag(T @ noise @ T.T), 0.01 * np.diag(T @ S @ T.T), rtol=1e-9)
    D = 0.01 * np.diag(np.diag(S))
    back = D @ T.T @ np.linalg.inv(T @ D @ T.T)  # Gaussian conditioning: what T does not see is as it was
    rest = D - back @ T @ D
    np.testing.assert_allclose(noise, rest + back @ np.diag(0.01 * np.diag(T @ S @ T.T)) @ back.T, atol=1e-12)


@pytest.mark.parametrize(
    ("first", "second"),
    [(1e308, 1.0), (1e154, 1e154), (1e150, 1e158)],
)
def test_products_that_overflow_are_refused(pool, first, second):
    with pytest.raises(kofn.ArgumentError, match="'A' must have a product with B that stays well inside float64"):
        kofn.matmul(np.full((4, 2), first), np.full((2, 3), second), workers=pool)


@pytest.mark.parametrize("code", ["mds", "mds-chebyshev", "kronecker", "polynomial", "matdot"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_refused_does_not_overflow_whatever_arrives(code, dtype):
    """Aligned blocks whose product is just below the largest number."""
    size = np.sqrt(float(np.finfo(dtype).max) / 24) * 0.9
    first, second = np.full((40, 24), size, dtype), np.full((24, 30), size, dtype)
    scheme = PRODUCTS[code](first, second, workers=12, rng=0)
    results = results_of(scheme)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(12)[: scheme.code.threshold]
        decoding = decode(scheme.code, order, scheme.prior(), epsilon=scheme.epsilon)
        value = scheme.assemble(decoding.matrix, [results[row] for row in order])
        assert np.isfinite(value).all()
        bound = 40 * scheme.epsilon * float(decoding.amplification)
        assert not decoding.exact or np.allclose(value / size / size, 24.0, rtol=bound)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([[1.0, 2.0], [3.0]], "'A' must be a matrix with rows of one length, but got rows of several"),
        (np.ma.masked_less(A, 0.0), "'A' must be an array without a mask, but got a masked array; use A.filled"),
        (np.ma.array(A), "'A' must be an array without a mask"),
    ],
)
@pytest.mark.parametrize("call", [kofn.matmul, kofn.design])
def test_what_is_no_plain_matrix_gets_a_sentence(call, wrong, said):
    options = {} if call is kofn.matmul else {"latency": kofn.Exponential(1.0), "deadline": 1.0}
    with pytest.raises(kofn.ArgumentError, match=f"kofn.{call.__name__}: {said}"):
        call(wrong, B, workers=2, **options)


def test_a_dask_array_of_sparse_chunks_gets_a_sentence():
    da, sparse = pytest.importorskip("dask.array"), pytest.importorskip("scipy.sparse")
    wrong = da.from_array(A).map_blocks(sparse.csr_array)
    with pytest.raises(kofn.ArgumentError, match="'A' must be a dask array of NumPy arrays, but got csr_arrays"):
        kofn.matmul(wrong, B, workers=2)
