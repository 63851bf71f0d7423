"""Error bars are honest and estimates as good as measured: runs of `benchmarks/calibration.py`."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import kofn
from kofn.codes import decode
from kofn.codes._prior import Prior
from kofn.schemes import kronecker, mds_dense
from kofn.testing._schemes import results_of

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "calibration.py"
SPEC = importlib.util.spec_from_file_location("calibration", SCRIPT)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)

RUNS = [60, pytest.param(200, marks=pytest.mark.slow)]
MDS = {"blocks": (6, 1), "rows": 8}
KRONECKER = {"blocks": (3, 3), "rows": 12}
SPREAD = np.array([3.0, 2.0, 1.5, 1.0, 0.5, 0.3])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Thousands of tiny products: on a busy machine more threads of BLAS only wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def digits():
    return bench.digits()


def summed(runs):
    """Σ true / Σ expected, and the mean normalised loss, at each count below k; exactness at k."""
    runs = list(runs)
    assert all(run.expected[-1] == 0 for run in runs), "k results are always called exact"
    assert all(run.true[-1] <= 1e-18 * run.energy for run in runs)
    ratio, loss, _ = bench.calibration(iter(runs))
    return ratio[:-1], loss[:-1]


def within(ratio, low, high):
    assert np.all((ratio >= low) & (ratio <= high)), ratio.round(3)


@pytest.mark.parametrize("runs", RUNS)
def test_mds_with_known_energies(runs):
    ratio, _ = summed(bench.independent(mds_dense, SPREAD, np.ones(1), runs, known=True, **MDS))
    within(ratio, 0.9, 1.1)


@pytest.mark.parametrize("runs", RUNS)
def test_kronecker_with_known_energies_at_the_papers_own(runs):
    ratio, loss = summed(bench.independent(kronecker, bench.LEVELS, bench.LEVELS, runs, known=True, **KRONECKER))
    within(ratio, 0.9, 1.1)
    assert np.all(loss[:7] <= 1.15 * np.array(bench.PAPER_LOSS)), loss


@pytest.mark.parametrize("runs", [200])
def test_kronecker_with_the_sketched_prior_at_the_papers_energies(runs):
    ratio, loss = summed(bench.independent(kronecker, bench.LEVELS, bench.LEVELS, runs, known=False, **KRONECKER))
    within(ratio, 0.7, 1.5)
    assert np.all(loss[:7] <= 1.15 * np.array(bench.PAPER_LOSS)), loss


@pytest.mark.parametrize("runs", RUNS)
def test_mds_with_the_sketched_prior(runs):
    ratio, _ = summed(bench.independent(mds_dense, SPREAD, np.ones(1), runs, known=False, **MDS))
    within(ratio, 0.7, 1.5)


@pytest.mark.parametrize("runs", RUNS)
def test_kronecker_on_the_kernel_matrix_of_digits(digits, runs):
    ratio, loss = summed(bench.fixed(kronecker, digits, digits.T, runs, **KRONECKER))
    within(ratio, 0.7, 1.5)
    assert np.all(loss[[0, 1, 2, 5]] <= [0.28, 0.095, 0.05, 0.02]), loss


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize(("build", "layout"), [(mds_dense, MDS), (kronecker, KRONECKER)], ids=["mds", "kronecker"])
def test_the_gram_matrix_of_digits(digits, build, layout, runs):
    ratio, _ = summed(bench.fixed(build, digits.T, digits, runs, **layout))
    within(ratio, 0.7, 1.5)


@pytest.mark.parametrize("runs", RUNS)
def test_mds_on_the_kernel_matrix_of_digits(digits, runs):
    ratio, _ = summed(bench.fixed(mds_dense, digits, digits.T, runs, **MDS))
    within(ratio, 0.7, 1.5)


def test_the_losses_above_are_those_of_real_answers(digits):
    A, B = digits[:90], digits[:60].T
    scheme = kronecker(A, B, rng=3, **KRONECKER)
    order = np.random.default_rng(4).permutation(12)
    run = bench.losses(scheme, bench.gram_of_unknowns(scheme, A @ B), order, 9, scheme.prior())
    results = results_of(scheme)
    assert run.energy == pytest.approx(np.sum((A @ B) ** 2), rel=1e-12)
    for count in (1, 4, 8):
        decoding = decode(scheme.code, order[:count], scheme.prior())
        answer = scheme.assemble(decoding.matrix, [results[row] for row in order[:count]])
        assert run.true[count - 1] == pytest.approx(np.sum((answer - A @ B) ** 2), rel=1e-6)


def test_a_prior_from_norms_would_not_pass(digits):
    """The test has teeth: what was found wanting fails it by more than tenfold."""
    norms = np.array([np.sum(block**2) for block in np.array_split(digits, 6)])
    scheme = mds_dense(digits, digits.T, rng=0, **MDS)
    gram = bench.gram_of_unknowns(scheme, digits @ digits.T)
    prior = Prior.independent(norms * np.sum(digits**2) / 64)
    run = bench.losses(scheme, gram, np.arange(6), 5, prior)
    assert np.any((run.true / run.expected > 10) | (run.true / run.expected < 0.1))


@pytest.mark.parametrize("code", ["uncoded", "repetition", "mds", "kronecker"])
@pytest.mark.parametrize("decades", [3, 12, 100])
def test_the_bar_of_an_estimate_is_at_most_one_whatever_sizes_rows_have(code, decades):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((40, 20)) * 10.0 ** rng.uniform(-decades, decades, (40, 1))
        B = rng.standard_normal((20, 1 + 5 * (seed % 2)))
        scheme = kofn.schemes.PRODUCTS[code](A, B, blocks=(8 if code == "uncoded" else 4, 1), rows=8, rng=seed)
        results = [task.function(*task.arguments) for task in scheme.encoding().encode(np.empty)]
        right, unit = A @ B, np.abs(A).max()
        for count in (1, 3):
            rows = rng.permutation(8)[:count]
            found = decode(scheme.code, rows, scheme.prior())
            value = scheme.assemble(found.matrix, [results[row] for row in rows])
            off = np.linalg.norm((value - right) / unit) / np.linalg.norm(right / unit)
            assert off / 10 <= float(found.error) + 1e-12 <= 1 + 1e-9


def test_what_an_earlier_call_learned_counts_as_far_as_this_one_bears_it_out():
    V = np.random.default_rng(0).standard_normal(40)
    terms = [lambda x, v=v: 1.0 if x == 0 else 5 * v for v in V]
    with kofn.ThreadPool(4) as pool, kofn.CodedSum(terms, workers=pool, rng=0) as total:
        total(0)
        wild = total(1, tolerance=0.05)
        assert wild.count > 1 and abs(wild.value - 5 * V.sum()) <= 5 * max(wild.error, 1e-14) * abs(5 * V.sum())
        assert total(1, stop=kofn.Count(1)).error > 0.5
