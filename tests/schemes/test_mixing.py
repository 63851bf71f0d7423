"""What is called exact where inputs are mixed, against exact arithmetic; and whether f is what it is taken to be."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kofn
from draws import examples
from kofn.codes import decode
from kofn.jobs._collector import Collector
from kofn.schemes import FUNCTIONS, lagrange
from processes import slow_but

EPS = float(np.finfo(float).eps)


def judged(made, f, rows):
    """The verdict on rows that arrived, and the outputs."""
    scheme = made.estimating()
    mixtures = made.arguments.of_rows()
    results = [scheme.check(int(row), np.asarray(made.functions[row](*mixtures[row]))) for row in rows]
    decoding = decode(made.code, rows, made.prior(), epsilon=scheme.epsilon)
    judgement = scheme.learner().judge(decoding, list(rows), results, 0.0)
    return judgement, scheme.assemble(judgement.decoding.matrix, results)


def product(row, B):
    """One row of a product, in exact arithmetic."""
    return [float(sum(Fraction(x) * Fraction(b) for x, b in zip(row, column, strict=True))) for column in B.T]


@pytest.mark.parametrize("code", ["lagrange", "berrut", "kriging", "parity"])
def test_inputs_of_unlike_scale_are_never_called_exact_but_where_they_were_not_mixed(code):
    rng = np.random.default_rng(0)
    X, B = rng.standard_normal((3, 30)), rng.standard_normal((30, 8))
    X[0] *= 1e20
    right = np.array([product(x, B) for x in X])
    more = {"degree": 1} if code == "lagrange" else {}
    made = FUNCTIONS[code](lambda x: x @ B, X, workers=6, **more)
    for seed in range(30):
        rows = np.random.default_rng(seed).permutation(6)[: 3 + seed % 4]
        judgement, value = judged(made, lambda x: x @ B, rows)
        error = np.abs(value - right).max(axis=1) / np.abs(right).max(axis=1)
        assert np.all(error[judgement.decoding.recovered] < 1e-13)
        sources = {tuple(row) for row in made.code.generator[rows]}
        unmixed = [tuple(target) in sources for target in made.code.targets]
        assert np.all(judgement.decoding.recovered[unmixed])


@pytest.mark.parametrize("scale", [1.0, 1e150, 1e-150])
def test_an_output_that_nearly_vanishes_is_not_called_exact(scale):
    X = scale ** (1 / 2) * np.random.default_rng(0).standard_normal((3, 4, 4))
    X[1] *= 1e-9
    made = lagrange(lambda x: x @ x, X, degree=2, workers=8)
    mixed, all_rows = judged(made, None, [0, 2, 3, 5, 7])[0], judged(made, None, range(8))[0]
    assert mixed.decoding.recovered.tolist() == [True, False, True]
    assert 0 < mixed.decoding.error < 1e-12  # of all outputs together
    assert all_rows.decoding.exact and all_rows.decoding.amplification == 1.0


def test_a_job_waits_while_more_results_can_make_it_exact_and_no_longer():
    X = np.random.default_rng(1).standard_normal((6, 5))
    made = lagrange(lambda x: x * x, X, degree=2, workers=20)
    mixtures = [mixture for (mixture,) in made.arguments.of_rows()]
    scheme = made.estimating()
    counts = []
    for seed in range(8):
        results = {}
        collector = Collector(scheme.code, scheme.prior, judge=scheme.learner().judge, results=results)
        for row in np.random.default_rng(seed).permutation(20):
            results[row] = scheme.check(row, np.square(mixtures[row]))
            collector.add(row, 0.0, 2.0**-10)
            if collector.done:
                break
        assert collector.decoding.exact
        counts.append(collector.count)
    assert max(counts) > 11


def test_without_its_last_results_a_job_ends_with_what_the_code_says_is_enough():
    X = np.array([[1.0, 2.0], [1e-20, 3e-20]])
    scheme = lagrange(lambda x: 2 * x, X, degree=1, workers=5).estimating()
    results = dict.fromkeys((0, 4), np.ones(2))
    collector = Collector(scheme.code, scheme.prior, judge=scheme.learner().judge, results=results)
    collector.add(0, 0.0)
    assert not collector.done
    collector.add(4, 0.0)  # alike they will never be: nothing is worth waiting for
    assert collector.done and not collector.decoding.exact and not collector.progress.exact


DRAWN = given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 3.0, 6.0, 12.0, 30.0]),
    st.sampled_from(["d", "f", "D"]),
)


@DRAWN
@examples(100)
def test_what_is_called_exact_is_so_in_units_of_each_output(seed, K, d, decades, kind):
    right_if_exact(seed, K, d, decades, kind)


@pytest.mark.slow
@DRAWN
@settings(max_examples=2_000)
def test_what_is_called_exact_is_so_in_many_draws(seed, K, d, decades, kind):
    right_if_exact(seed, K, d, decades, kind)


def right_if_exact(seed, K, d, decades, kind):
    """Against rational arithmetic: f(x) = c xᵈ number by number plus a linear map."""
    rng = np.random.default_rng(seed)
    decades = min(decades, 20.0) if kind == "f" else decades  # cubes of more are no float32
    X = rng.standard_normal((K, 3)) * 10.0 ** rng.uniform(-decades / 2, decades / 2, (K, 1))
    X = (X * (1 + 2j) if kind == "D" else X).astype(kind)
    made = lagrange(lambda x: x**d - 2 * x, X, degree=d, workers=(K - 1) * d + 1 + int(rng.integers(3)))
    count = int(rng.integers((K - 1) * d + 1, made.code.rows + 1))
    judgement, value = judged(made, None, rng.permutation(made.code.rows)[:count])
    right = np.array([[exactly(complex(x), d) for x in row] for row in X])
    decoding, eps = judgement.decoding, float(np.finfo(kind).eps)
    off = np.abs(value - right).max(axis=1) / np.abs(right).max(axis=1)
    assert np.all(off[decoding.recovered] <= (50 * float(decoding.amplification) + 3) * eps)
    if decades <= 3 and kind != "f":
        assert decoding.exact  # no retreat where scales are alike


def exactly(x, d):
    real, imaginary = Fraction(x.real), Fraction(x.imag)
    power = (Fraction(1), Fraction(0))
    for _ in range(d):
        power = (power[0] * real - power[1] * imaginary, power[0] * imaginary + power[1] * real)
    return complex(float(power[0] - 2 * real), float(power[1] - 2 * imaginary))


# -- what f is taken to be --------------------------------------------------------------------------

POWERS = {1: lambda x: 2 * x - 1, 2: lambda x: x @ x - x, 3: lambda x: x @ x @ x + np.eye(len(x)), 4: np.sin}


def test_a_degree_that_is_too_small_is_found_by_one_result_more_and_its_error_bar_covers():
    ratios = []
    for seed in range(90):
        rng = np.random.default_rng(seed)
        K, degree, true = int(rng.integers(2, 6)), 1 + seed % 3, 2 + seed % 3
        X = rng.standard_normal((K, 3, 3))
        needed = (K - 1) * degree + 1
        made = lagrange(POWERS[true], X, degree=degree, workers=needed + 2 + int(rng.integers(4)))
        count = needed + 1 + int(rng.integers(2))
        judgement, value = judged(made, None, rng.permutation(made.code.rows)[:count])
        right = np.array([POWERS[true](x) for x in X])
        error = np.linalg.norm(value - right) / np.linalg.norm(right)
        if judgement.decoding.exact:
            assert error < 1e-13  # all outputs arrived as they are
            continue
        assert f"f is not a polynomial of degree {degree}" in judgement.remarks[0]
        ratios.append(error / float(judgement.decoding.error))
    assert len(ratios) > 25
    assert np.mean([1 / 3 < ratio < 3 for ratio in ratios]) >= 0.85, np.sort(ratios)


@pytest.mark.parametrize("private", [0, 1, 2])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_right_degree_is_confirmed_whatever_came(private, degree):
    X = np.random.default_rng(degree).standard_normal((4, 3, 3))
    needed = (3 + private) * degree + 1
    made = lagrange(POWERS[degree], X, degree=degree, private=private, workers=needed + 4, rng=0)
    for seed in range(12):
        count = needed + seed % 5
        judgement, _ = judged(made, None, np.random.default_rng(seed).permutation(needed + 4)[:count])
        if judgement.decoding.exact and judgement.remarks:
            said = "nothing checked" if count == needed else "found to be a polynomial"
            assert said in judgement.remarks[0]
        assert "is not" not in "".join(judgement.remarks)


def test_a_wrong_degree_is_told_by_the_answer_of_a_masked_call():
    X = np.random.default_rng(0).standard_normal((3, 4, 4))
    with kofn.ThreadPool(4) as pool:
        code = partial(lagrange, private=1, rows=8)
        answer = kofn.map(POWERS[3], X, workers=pool, code=code, degree=1, rng=0)
    assert not answer.exact or "nothing checked" in str(answer.report)


def test_the_report_says_that_nothing_checked_the_degree():
    with kofn.ThreadPool(3) as pool:
        answer = kofn.map(POWERS[2], np.ones((2, 2, 2)) + np.arange(2)[:, None, None], workers=pool, degree=2)
    assert answer.exact
    assert not answer.report.remarks or "nothing checked that f is a polynomial of degree 2" in str(answer.report)


# -- numbers that float64 cannot hold ---------------------------------------------------------------


@pytest.mark.parametrize("code", ["lagrange", "berrut", "kriging", "parity"])
@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_large_integers_are_refused_before_they_are_mixed(code, kind):
    more = {"degree": 1} if code == "lagrange" else {}
    large = 2**53 + 1
    with kofn.ThreadPool(3) as pool:
        with pytest.raises(kofn.ArgumentError, match="'inputs' must be integers of at most 2"):
            kofn.map(lambda x: x, np.array([1, large], kind), workers=pool, code=code, **more)
        with pytest.raises(kofn.FunctionError, match=f"f returned the integer {large} at .* float64 cannot hold"):
            kofn.map(
                lambda x: np.array(x, float).astype(kind) + kind(large), [0.0, 0.0], workers=pool, code=code, **more
            )
        answer = kofn.map(lambda x: np.round(x).astype(kind), [3.0, 3.0], workers=pool, code=code, **more)
    assert np.allclose(answer.value, 3)


@pytest.mark.parametrize(
    "value", [2**53 + 1, [2**53 + 1, 0.5], np.uint64(2**53 + 1)], ids=["int", "among floats", "uint64"]
)
def test_integers_that_float64_does_not_hold_are_refused_wherever_they_are(value):
    with kofn.ThreadPool(3) as pool:
        with pytest.raises(kofn.FunctionError, match="the integer 9007199254740993"):
            kofn.map(lambda x: value, [1.0, 2.0], workers=pool, degree=1)
        with pytest.raises(kofn.ArgumentError, match="9007199254740993"):
            kofn.map(np.sum, [value, value], workers=pool, degree=1)
        code = kofn.LinearCode("one", [[1.0]], [[1.0]], worker=[0])
        scheme = kofn.schemes.CustomScheme(
            code,
            [kofn.Task(lambda: value)],
        )
        with pytest.raises(kofn.TaskError, match="the integer 9007199254740993"):
            kofn.run(scheme, workers=pool)


def test_a_refusal_says_whether_equations_or_digits_are_missing():
    X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    hidden = partial(lagrange, degree=2, private=2, mask=1e4)
    lost = (
        r"rows of rank 9 for 9 unknowns: rounding of 1e\+01 of an output, .* leaves too few digits; give float64 data"
    )
    with kofn.ThreadPool(4) as pool, pytest.raises(kofn.ArgumentError, match=lost):
        kofn.map(np.square, X, workers=pool, code=hidden, rows=10)
    with kofn.ThreadPool(4) as pool:
        assert kofn.map(np.square, X.astype(float), workers=pool, code=hidden, rows=10).exact


ANYTHING = {
    "size": (np.abs, 1, lambda rng, K: rng.standard_normal((K, 4)) * 10.0 ** rng.uniform(-6, 6, (K, 1))),
    "steep": (lambda x: np.exp(np.clip(x, -50, 50)), 2, lambda rng, K: np.rint(10 * rng.standard_normal((K, 4)))),
    "smooth": (lambda x: 1 / (2 + x * x), 1, lambda rng, K: 3 * rng.standard_normal((K, 4))),
    "bounded": (np.tanh, 1, lambda rng, K: rng.standard_normal((K, 4))),
}


@pytest.mark.parametrize("kind", ANYTHING)
def test_where_f_is_no_polynomial_the_bar_is_that_of_any_function(kind):
    f, degree, draw = ANYTHING[kind]
    ratios = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        K = int(rng.integers(3, 6))
        X, needed = draw(rng, K), (K - 1) * degree + 1
        made = lagrange(f, X, degree=degree, workers=needed + 2)
        judgement, value = judged(made, None, rng.permutation(needed + 2)[: needed + 1])
        if not judgement.decoding.exact:
            error = np.linalg.norm(value - f(X)) / np.linalg.norm(f(X))
            ratios.append(error / float(judgement.decoding.error))
    assert len(ratios) > 25 and max(ratios) < 20, np.sort(ratios)
    assert np.mean(np.array(ratios) < 3) >= 0.95
    assert kind in ("size", "steep") or np.mean(np.array(ratios) > 1 / 3) >= 0.5, np.sort(ratios)


@pytest.mark.parametrize("power", slow_but(np.arange(-17.0, -3.0, 0.5), set(np.arange(-17.0, -3.0, 2.0))))
@pytest.mark.parametrize("kind", ["d", "f"])
def test_a_contradiction_that_passes_means_nothing_for_outputs(kind, power):
    """A next power so small that it just shows, or just does not; what rounding hides is within twice the bound."""
    eps, beyond = float(np.finfo(kind).eps), []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        K, degree = int(rng.integers(2, 6)), int(rng.integers(1, 3))
        X, needed = rng.standard_normal((K, 4)).astype(kind), (K - 1) * degree + 1
        f = lambda x: x**degree + x.dtype.type(10.0**power) * x ** (degree + 1)  # noqa: B023, E731
        made = lagrange(f, X, degree=degree, workers=needed + 3)
        decoding, value = judged(made, None, rng.permutation(needed + 3)[: needed + 1 + seed % 2])
        decoding = decoding.decoding
        off = np.abs(value - f(X)).max(axis=1) / np.abs(f(X)).max(axis=1)
        beyond.append(np.max(off[decoding.recovered], initial=0.0) / ((50 * float(decoding.amplification) + K) * eps))
    assert np.max(beyond) <= 2 and np.mean(np.array(beyond) > 1) <= 1 / 40
