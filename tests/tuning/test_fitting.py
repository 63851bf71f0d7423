"""`kofn.fit`: what it returns is what it measured; where coding does not pay it says so."""

import re

import numpy as np
import pytest
from scipy.linalg import expm

import kofn
from kofn.codes import decode
from kofn.errors import ArgumentError
from kofn.schemes import FUNCTIONS
from kofn.tuning.functions._best_linear import Joint, joint_code
from kofn.tuning.functions._parities import learn_parities
from kofn.tuning.functions._samples import Draws, draw_samples


def symmetric(rng):
    A = rng.uniform(-1, 1, (6, 6))
    return (A + A.T) / 5


@pytest.fixture(scope="module")
def exponential():
    return kofn.fit(expm, symmetric, inputs=3, recover=5, workers=8, samples=50, rng=0)


def test_a_polynomial_gets_lagrange_coding_of_its_degree():
    draw = lambda rng: rng.standard_normal((3, 3))  # noqa: E731
    fitted = kofn.fit(lambda x: x @ x + 1, draw, inputs=3, recover=5, workers=8, samples=30, rng=1)
    assert fitted.name == "lagrange, degree 2"
    assert fitted.report.best.error < 1e-9
    assert fitted.report.best.skill > 1 - 1e-8
    X = np.random.default_rng(0).standard_normal((3, 3, 3))
    with kofn.ThreadPool(8) as pool:
        answer = fitted(X, workers=pool)
        assert answer.exact
        assert np.allclose(answer.value, X @ X + 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize("calls", [100, pytest.param(250, marks=pytest.mark.slow)])
def test_errors_of_new_calls_are_those_of_the_report_and_of_the_error_bar(exponential, calls):
    """By the number of results: they fall until it is recovered, and what was promised is what is found."""
    rng = np.random.default_rng(7)
    counts = (1, 3, 5, 7)
    loss, promised, energy = np.zeros(4), np.zeros(4), 0.0
    for _ in range(calls):
        X = np.array([symmetric(rng) for _ in range(3)])
        truth = np.array([expm(x) for x in X])
        made = exponential.evaluations(X, workers=8)
        scheme, arguments = made.estimating(), made.arguments.of_rows()
        order = rng.permutation(8)
        payloads = [scheme.check(int(row), made.functions[row](*arguments[row])) for row in order]
        energy += np.sum(truth**2)
        for place, count in enumerate(counts):
            prior = scheme.learner().prior(dict(zip(order[:count].tolist(), payloads[:count], strict=True)))
            decoding = decode(made.code, order[:count], prior, made.estimator)
            loss[place] += np.sum((scheme.assemble(decoding.matrix, payloads[:count]) - truth) ** 2)
            promised[place] += decoding.error**2 * np.sum(truth**2)
    assert exponential.report.best.skill > 0.7
    assert np.all(np.diff(loss[:3]) < 0)
    assert np.isclose(loss[3], loss[2], rtol=1e-9)  # recovered from 5: more results only round otherwise
    assert np.isclose(np.sqrt(loss[2] / energy), exponential.report.best.error, rtol=0.2)
    assert np.allclose(np.sqrt(promised / loss), 1.0, rtol=0, atol=0.15)


def test_a_fitted_code_answers_from_so_many_results_as_it_was_fitted_for(exponential):
    X = np.array([symmetric(np.random.default_rng(seed)) for seed in range(3)])
    with kofn.ThreadPool(8) as pool:
        answer = kofn.map(expm, X, workers=pool, code=exponential)
    assert answer.exact or answer.count == 5
    truth = np.array([expm(x) for x in X])
    assert np.linalg.norm(answer.value - truth) < 0.3 * np.linalg.norm(truth)


def test_learned_decoders_beat_the_formulas_of_the_papers(exponential):
    error = {trial.name: trial.error for trial in exponential.report.trials}
    for name in ("berrut", "letcc", "kriging", "parity", "repetition"):
        assert error[f"{name} + best linear"] < error[name]


def test_the_mean_predictor_has_no_skill(exponential):
    """Its error by the definition, on the same kind of draws."""
    rng = np.random.default_rng(5)
    values = np.array([expm(symmetric(rng)) for _ in range(600)])
    error = np.sqrt(np.sum((values - values.mean(axis=0)) ** 2) / np.sum(values**2))
    assert np.isclose(exponential.report.mean_error, error, rtol=0.15)
    for trial in exponential.report.trials:
        assert np.isclose(trial.skill, 1 - trial.error / exponential.report.mean_error, rtol=1e-9)


def test_what_calls_itself_exact_and_is_not_is_never_returned(exponential):
    trials = {trial.name: trial for trial in exponential.report.trials}
    wrong = trials["lagrange, degree 2"]
    assert wrong.expected == 0 < wrong.error
    assert exponential.report.trials[-1] is wrong
    smaller = trials["lagrange, degree 1"]  # two results more than it needs contradict it
    assert smaller.error / 3 < smaller.expected < 3 * smaller.error


def test_a_learned_parity_is_better_than_the_function_itself():
    rng = np.random.default_rng(6)
    W = rng.standard_normal((5, 3)) / 2
    f = lambda x: np.tanh(x @ W)  # noqa: E731
    X = rng.standard_normal((60, 3, 5))
    values = f(X)
    draws = Draws(X, values, 0.0, 0.0)
    (learned_one,) = learn_parities(draws, 1, rng)
    new = rng.standard_normal((400, 3, 5))
    wanted, mixtures = f(new).mean(axis=1), new.mean(axis=1)
    off = np.array([learned_one(mixture) for mixture in mixtures]) - wanted
    itself = f(mixtures) - wanted
    assert np.sum(off**2) < 0.8 * np.sum(itself**2)


def test_repetition_is_returned_where_coding_does_not_pay():
    rough = lambda x: np.sin(1e4 * x)  # noqa: E731
    fitted = kofn.fit(rough, lambda rng: rng.standard_normal(3), inputs=3, recover=5, workers=6, samples=20, rng=0)
    assert fitted.name == "repetition"
    assert any(remark.startswith("Coding does not pay: repetition") for remark in fitted.report.remarks)
    assert "Coding does not pay" in str(fitted.report)


def test_a_code_that_is_exact_from_most_sets_of_survivors_is_not_taken_for_exact():
    """Without both copies of the third of three inputs, 8 of 56 sets, repetition has to guess."""
    draw = lambda rng: rng.standard_normal(2)  # noqa: E731
    fitted = kofn.fit(np.square, draw, inputs=3, recover=5, workers=8, samples=16, rng=0)
    assert fitted.name == "lagrange, degree 2"
    assert all(trial.error > 0.05 for trial in fitted.report.trials if trial.name.startswith("repetition"))


def test_learned_decoding_is_regression_on_the_results():
    """One number a result: the same weights as least squares of centred outputs on centred results."""
    rng = np.random.default_rng(2)
    code = FUNCTIONS["berrut"](np.exp, [0.0, 1.0], workers=4).code
    results, outputs = rng.standard_normal((500, 4, 1)), rng.standard_normal((500, 2, 1))
    outputs[:, 0] += results[:, 1] - 2 * results[:, 3]
    results[:, 0] *= 1e-40  # a determinant of a small mixture, for example
    joint = Joint.from_samples(code, results, outputs)
    made = joint_code(code, joint.sizes)
    assert made.unknowns == 6
    decoding = decode(made, [0, 1, 3], joint.prior)
    V = decoding.matrix * [1e-40, 1, 1]
    assert decoding.amplification < 10
    y, t = results[:, [0, 1, 3], 0] * [1e40, 1, 1], outputs[..., 0]
    wanted = np.linalg.lstsq(y - y.mean(axis=0), t - t.mean(axis=0), rcond=None)[0].T
    assert np.allclose(V, wanted, rtol=0, atol=1e-9)


def test_what_is_not_deterministic_is_said():
    noise = np.random.default_rng(0)
    f = lambda x: x + 1e-3 * noise.standard_normal(2)  # noqa: E731
    fitted = kofn.fit(f, lambda rng: rng.standard_normal(2), inputs=2, recover=2, workers=3, samples=16, rng=0)
    assert fitted.report.remarks[0].startswith("f is not deterministic: two values at one input differ by")


@pytest.mark.slow
def test_what_promises_no_error_and_has_one_has_nothing_that_could_be_multiplied():
    noise = np.random.default_rng(5)

    def unsteady(x):
        if not np.all(x == np.round(x)):
            raise ValueError("whole numbers alone")  # so that no code is left that estimates
        return x + 1e-3 * noise.standard_normal(x.shape)

    def whole(rng):
        return rng.integers(0, 9, 3).astype(float)

    fitted = kofn.fit(unsteady, whole, inputs=3, recover=4, workers=4, samples=16, rng=0)
    assert fitted.report.best.expected == 0 < 1e-6 < fitted.report.best.error
    assert fitted.calibration == 1.0
    assert fitted.report.remarks[0].startswith("f is not deterministic")


def test_what_is_rarely_not_deterministic_is_said():
    """Of two evaluations of one input some 94 % agree: looking at one input twice would not tell."""
    noise = np.random.default_rng(0)
    f = lambda x: x + (noise.random() < 0.03)  # noqa: E731
    fitted = kofn.fit(f, lambda rng: rng.standard_normal(2), inputs=2, recover=2, workers=4, samples=60, rng=0)
    assert fitted.report.remarks[0].startswith("f is not deterministic: two values at one input differ by")


def test_a_function_that_changes_its_input_is_told_not_to():
    def doubled(x):
        x *= 2
        return x**2

    with pytest.raises(kofn.ArgumentError, match=r"'f' must leave its input as it is.*x = x \+ 1"):
        kofn.fit(doubled, lambda rng: rng.standard_normal(2), inputs=3, recover=5, workers=8, samples=16, rng=0)


@pytest.mark.parametrize(
    ("f", "what"),
    [
        (np.emath.sqrt, r"complex128 of shape \(2,\)"),
        (lambda x: np.zeros(2 if x.min() > 0 else 3), r"float64 of shape \(3,\)"),
    ],
    ids=["complex", "shape"],
)
def test_a_family_whose_mixtures_give_values_of_another_kind_is_out(f, what):
    fitted = kofn.fit(f, lambda rng: rng.random(2), inputs=3, recover=6, workers=7, samples=16, rng=0)
    said = f"lagrange, degree 1 is out: f returned {what} at .* where its values are real numbers of shape"
    assert any(re.match(said, remark) for remark in fitted.report.remarks)


@pytest.mark.slow
def test_complex_inputs_have_the_codes_that_take_them():
    draw = lambda rng: rng.standard_normal((2, 2)) + 1j * rng.standard_normal((2, 2))  # noqa: E731
    fitted = kofn.fit(lambda x: np.abs(x) ** 2, draw, inputs=3, recover=5, workers=8, samples=16, rng=0)
    names = {trial.name for trial in fitted.report.trials}
    assert fitted.name == "lagrange, degree 2" and not names & {"learned parity", "lagrange-fit"}


@pytest.mark.slow
def test_where_the_mean_is_as_good_repetition_is_returned():
    fitted = kofn.fit(lambda x: 3.0, lambda rng: rng.random(2), inputs=3, recover=5, workers=8, samples=24, rng=0)
    assert fitted.report.best.skill == 0 and fitted.name.startswith("repetition")
    assert fitted.report.remarks[0].startswith("Coding does not pay: repetition")


def test_a_function_that_fails_at_what_it_was_evaluated_at_is_refused():
    left = iter(range(2 * 16 + 1))
    f = lambda x: x + 0 * next(left)  # noqa: E731
    with pytest.raises(ArgumentError, match=r"'f' must be defined at its inputs every time, but got repetition is out"):
        kofn.fit(f, lambda rng: rng.random(2), inputs=2, recover=2, workers=3, samples=16, rng=0)


def test_a_family_that_meets_nan_is_out_and_the_others_go_on():
    root = lambda x: np.where(x >= 0, np.abs(x) ** 0.5, np.nan)  # noqa: E731
    fitted = kofn.fit(root, lambda rng: rng.random(2), inputs=3, recover=6, workers=7, samples=16, rng=0)
    assert any("lagrange, degree 1 is out: f returned NaN" in remark for remark in fitted.report.remarks)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recover": 9}, "'recover' must be at most workers = 4, but got 9"),
        ({"inputs": 0}, "'inputs' must be an int of at least 1"),
        ({"samples": 4}, "'samples' must be an int of at least 16"),
        ({"seconds": 0}, "'seconds' must be a finite number > 0"),
        ({"f": lambda x: np.full(2, np.nan)}, "'f' must return finite real numbers, but got NaN or inf"),
        ({"f": lambda x: np.ones(1 + (x[0] > 0))}, r"'f' must return arrays of one shape, \(\d,\) like the first"),
        ({"f": lambda x: 1j}, "'f' must return finite real numbers, but got complex128; split complex values"),
        ({"f": lambda x: x @ np.ones(7)}, "'f' must take what the sampler draws, but got ValueError"),
        ({"f": lambda x: np.zeros(0)}, "'f' must return finite real numbers, but got no number"),
        ({"sampler": lambda rng: "text"}, "'sampler' must return a finite array of at least one number"),
        ({"sampler": lambda rng: np.zeros((0, 3))}, "'sampler' must return a finite array of at least one number"),
        ({"sampler": lambda: 1.0}, "'sampler' must draw one input from a generator, but got TypeError"),
        ({"sampler": None}, "'sampler' must draw one input from a generator, but got TypeError"),
        ({"sampler": lambda rng: rng.random(rng.integers(1, 9))}, "'sampler' must return arrays of one shape"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(change, sentence):
    arguments = {"f": np.sin, "sampler": lambda rng: rng.standard_normal(3), "inputs": 2, "recover": 3, "workers": 4}
    arguments |= change
    with pytest.raises(ArgumentError, match=sentence):
        kofn.fit(arguments.pop("f"), arguments.pop("sampler"), **arguments)


def test_both_functions_may_use_their_buffers_again():
    inputs, outputs = np.empty(3), np.empty(3)

    def draw(rng):
        return rng.standard_normal(out=inputs)

    draws = draw_samples(lambda x: np.square(x, out=outputs), draw, 2, 16, 1.0, np.random.default_rng(0))
    own = np.random.default_rng(0).standard_normal((16, 2, 3))
    assert np.array_equal(draws.inputs, own) and np.array_equal(draws.values, own**2)


@pytest.mark.slow
def test_a_function_that_is_always_zero_is_repeated():
    fitted = kofn.fit(
        lambda x: 0 * x, lambda rng: rng.random((2, 2)), inputs=2, recover=3, workers=4, samples=16, rng=0
    )
    assert fitted.report.trials[0].error == 0 and fitted.name == "repetition"


def test_inputs_of_another_size_are_refused(exponential):
    with kofn.ThreadPool(8) as pool, pytest.raises(ArgumentError, match=r"have shape \(3, 6, 6\), as those"):
        kofn.map(expm, np.ones((3, 5, 5)), workers=pool, code=exponential)
    with kofn.ThreadPool(8) as pool, pytest.raises(ArgumentError, match="'degree' must be left out for code Fitted"):
        kofn.map(expm, np.ones((3, 6, 6)), workers=pool, code=exponential, degree=2)
