"""Scales learned from results: zeros and equal results prove nothing, and no size of numbers is too large or small."""

import functools

import numpy as np
import pytest

import kofn
from kofn.codes import decode
from kofn.codes._prior import Prior
from kofn.codes.decoding._learning import TermLearner, unit_size
from kofn.schemes import FUNCTIONS, SUMS, SumScheme, Terms

SURE = [name for name in SUMS if name != "bcc"]  # a share that nobody draws never comes
MAPS = {
    "uncoded": {},
    "repetition": {},
    "parity": {},
    "kriging": {},
    "letcc": {},
    "berrut": {},
    "lagrange": {"degree": 1},
}
NEVER_EXACT = ("berrut",)
SIZES = [1e-300, 1e-165, 1e-110, 1e155, 1e300]


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as threads:
        yield threads


def coded(name, m=24, workers=4):
    return SUMS[name](m, workers=workers, rng=0)


def sum_errors(code, terms, rows, energies=None):
    """Errors and values of a sum after each of these rows."""
    scheme = SumScheme(code, Terms.of(lambda i, x: terms[i], len(terms)), None, energies=energies)
    return errors_of(scheme, scheme.encoding().encode(np.empty), rows, "lmmse")


def errors_of(scheme, tasks, rows, estimator):
    seen, found = {}, []
    for row in map(int, rows):
        task = tasks[row]
        seen[row] = scheme.check(row, task.function(*task.resident.values(), *task.arguments))
        decoding = decode(scheme.code, list(seen), scheme.learner().prior(seen), estimator, scheme.epsilon)
        found.append((float(decoding.error), decoding.exact, scheme.assemble(decoding.matrix, list(seen.values()))))
    return found


def map_errors(name, f, X, rows=None):
    made = FUNCTIONS[name](f, X, workers=8, rng=0, **MAPS[name])
    scheme = made.estimating()
    order = range(made.code.rows) if rows is None else rows
    return errors_of(scheme, scheme.encoding().encode(np.empty), order, made.estimator)


# -- zeros --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SURE)
def test_a_sum_of_which_zeros_have_come_is_not_known(name):
    code = coded(name)
    *before, (error, exact, value) = sum_errors(code, np.zeros(24), range(code.rows))
    assert exact and error == 0.0 and value == 0.0
    seen = np.cumsum(code.generator.toarray() != 0, axis=0) > 0
    for (error, exact, _), missing in zip(before, 1 - seen.mean(axis=1), strict=False):
        assert exact or error >= 0.9 * np.sqrt(missing)  # a row says of a mixture of terms less than of all of them


@pytest.mark.parametrize("name", SURE)
def test_a_sum_that_begins_with_zeros_is_as_near_as_it_says(name):
    """Workers side by side, and those first who have nothing but zeros; after every result."""
    code, terms = coded(name), (np.arange(24) >= 12) * 1.0
    ones = code.generator.toarray()[:, 12:].any(axis=1)
    for order in (np.argsort(code.work, kind="stable"), np.lexsort((code.work, ones))):
        for error, exact, value in sum_errors(code, terms, order[:60]):
            assert abs(value - 12) <= (1e-9 if exact else 5 * error * 12)


@pytest.mark.parametrize("how", [{"tolerance": 0.1}, {"tolerance": 0.1, "deadline": 5.0}])
@pytest.mark.parametrize("name", SURE)
def test_a_sum_does_not_stop_at_zeros(pool, name, how):
    answer = kofn.sum(lambda i, x: (i >= 12) * 1.0, count=24, workers=pool, code=name, rng=0, **how)
    # How close it comes depends on who answers first: those who have ones know nothing of zeros either.
    assert answer.value == pytest.approx(12) if answer.exact else answer.value > 3


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_which_zeros_have_come_is_not_known(name):
    found = map_errors(name, np.zeros_like, np.random.default_rng(1).standard_normal((6, 8)))
    assert all(error > 0.05 for error, exact, _ in found if not exact)
    assert found[-1][1] == (name not in NEVER_EXACT)
    assert np.all(found[-1][2] == 0)


def step(x):
    return np.where(x > 0.3, 1.0, 0.0)


@pytest.mark.parametrize("name", ["uncoded", "repetition", "parity", "kriging", "letcc", "berrut"])
def test_a_step_of_which_zeros_have_come_is_not_known(name):
    X = np.linspace(0, 1, 6)
    values = [step(*arguments) for arguments in FUNCTIONS[name](step, X, workers=8).arguments.of_rows()]
    zeros = np.flatnonzero(np.array(values) == 0)
    assert len(zeros) > 1
    assert all(error > 0.3 and not exact for error, exact, _ in map_errors(name, step, X, zeros))


@pytest.mark.parametrize("name", ["uncoded", "repetition"])
def test_a_map_does_not_stop_at_zeros(name):
    answer = kofn.map(step, np.linspace(0, 1, 6), workers=8, code=name, tolerance=0.1)
    assert answer.exact and answer.value.tolist() == [0, 0, 1, 1, 1, 1]


def test_a_call_that_gave_zeros_says_nothing_of_the_next(pool):
    terms = [lambda x, i=i: x * i for i in range(10)]
    with kofn.CodedSum(terms, workers=pool) as total:
        assert total(0.0).value == 0.0
        answer = total(3.0, tolerance=0.2)
        assert abs(answer.value - 135) <= 5 * max(answer.error, 1e-9) * 135


@pytest.mark.parametrize("prior", [Prior(np.zeros(4)), Prior(np.zeros((4, 2))), Prior(np.zeros(4), np.zeros(4))])
@pytest.mark.parametrize("name", ["cyclic", "sum-recovery"])
def test_a_prior_that_expects_nothing_is_one_of_equal_energies(name, prior):
    code = SUMS[name](4, workers=2, rng=0)
    for count in range(1, code.rows + 1):
        found, equal = decode(code, range(count), prior), decode(code, range(count))
        assert found.error == equal.error and np.array_equal(found.matrix, equal.matrix)


def test_energies_that_are_zero_do_not_end_a_sum(pool):
    answer = kofn.sum([lambda x: 1.0] * 8, workers=pool, energies=np.zeros(8), tolerance=0.1)
    assert answer.exact and answer.value == 8


# -- equal results ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cyclic", "ring", "uncoded", "gradient"])
def test_the_bar_of_equal_results_is_that_of_the_rule_of_succession(name):
    """n blocks of N have come, all alike: √(k N/n · f) of the sum with f = 1/n², k = N − n and N blocks."""
    code = coded(name, 64, 16)
    if code.disjoint is None:
        pytest.skip("rows overlap")
    N, rows = code.disjoint.size, code.disjoint.first
    found = sum_errors(code, np.ones(64), rows)
    for n in range(4, N):
        error, _, value = found[n - 1]
        assert error == pytest.approx(np.sqrt((N - n) * N / n / n**2) / N, rel=0.05)
        assert value == pytest.approx(64)
    assert found[-1][0] == 0.0


@pytest.mark.parametrize("count", [4, 10, 20])
def test_votes_that_are_all_alike_so_far_are_within_the_bar(count):
    """With even odds all are ones, or any share of them: over draws that look unanimous, off by what is promised."""
    rng, code = np.random.default_rng(5), coded("cyclic", 40, 40)
    off = promised = seen = 0
    while seen < 200:
        votes = (rng.random(40) < (1.0 if rng.random() < 0.5 else rng.random())) * 1.0
        rows = rng.permutation(code.disjoint.first)[:count]
        results = code.generator[rows] @ votes
        if np.all(results == 1):
            found = decode(code, rows, TermLearner(code).prior(dict(zip(rows.tolist(), results, strict=True))))
            off += float(found.matrix[0] @ results - votes.sum()) ** 2
            promised += float(found.error) ** 2 * votes.sum() ** 2
            seen += 1
    assert 0.4 < promised / off < 2.5


def test_one_term_that_is_unlike_the_others_is_waited_for_longer(pool):
    f = lambda i, x: 1.0 + 1000.0 * (np.asarray(i) == 37)  # noqa: E731
    answer = kofn.sum(f, count=40, workers=pool, code="ring", tolerance=0.05)
    assert answer.exact or answer.count > 4
    assert answer.exact or answer.error > 0.01


@pytest.mark.parametrize("name", ["uncoded", "repetition", "parity", "kriging", "letcc"])
def test_equal_values_do_not_prove_that_a_function_is_constant(name):
    found = map_errors(name, np.ones_like, np.linspace(0, 1, 6))
    assert all(error > 0.01 for error, exact, _ in found if not exact)
    assert found[-1][1]
    np.testing.assert_allclose(found[-1][2], 1.0, rtol=1e-12)


def test_a_shared_mean_is_worth_as_much_as_ever():
    """docs/sums.md: 90 of 100 blocks of 1 + 0.1 N(0, 1) are 0.0013 off, and the bar says so."""
    rng, code = np.random.default_rng(0), SUMS["cyclic"](1000)
    off, promised = [], []
    for _ in range(100):
        terms = 1 + 0.1 * rng.standard_normal(1000)
        rows = rng.permutation(code.disjoint.first)[:90]
        results = {int(row): value for row, value in zip(rows, code.generator[rows] @ terms, strict=True)}
        found = decode(code, rows, TermLearner(code).prior(results))
        off.append(found.matrix[0] @ np.array(list(results.values())) / terms.sum() - 1)
        promised.append(found.error)
    true, bar = np.sqrt(np.mean(np.square(off))), np.sqrt(np.mean(np.square(promised)))
    assert 0.0008 < true < 0.0014
    assert 0.8 < bar / true < 1.25


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (lambda rng: SUMS["lt"](60, workers=12, rows=20, rng=rng), 40),
        (lambda rng: SUMS["gradient"](60, workers=12, stragglers=3, rng=rng), 6),
    ],
    ids=["lt", "gradient"],
)
def test_rows_that_overlap_do_not_make_a_mean_of_what_has_none(build, count):
    """What rows have in common deviates in all of them: taken for a common mean, it would halve the error bar."""
    rng, off, promised = np.random.default_rng(0), [], []
    for _ in range(60):
        code, terms = build(rng), rng.standard_normal((60, 100))
        rows = rng.permutation(code.rows)[:count]
        results = dict(zip(rows.tolist(), code.generator[rows] @ terms, strict=True))
        found = decode(code, rows, TermLearner(code).prior(results))
        off.append(np.mean((found.matrix[0] @ np.array(list(results.values())) - terms.sum(axis=0)) ** 2) / 60)
        promised.append(found.error**2)
    assert 0.85 < np.sqrt(np.mean(promised) / np.mean(off)) < 1.15


# -- sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1000,)])
@pytest.mark.parametrize("name", SURE)
def test_errors_of_sums_do_not_depend_on_the_unit(name, shape):
    rng, code = np.random.default_rng(3), coded(name, 12, 3)
    terms, rows = rng.standard_normal((12, *shape)) + 1, range(min(8, code.rows))
    usual = sum_errors(code, terms, rows)
    for size in SIZES:
        power = 2.0 ** round(np.log2(size))  # exact, so that nothing but the unit differs
        for (error, exact, value), (other, same, scaled) in zip(
            usual, sum_errors(code, power * terms, rows), strict=True
        ):
            assert same == exact and other == pytest.approx(error, rel=1e-9)
            np.testing.assert_allclose(scaled / power, value, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_errors_of_maps_do_not_depend_on_the_units_of_inputs_and_outputs(name):
    X = np.random.default_rng(4).standard_normal((3, 2, 2))
    f = lambda x, unit=1.0: np.tanh(x / unit)  # noqa: E731
    usual = map_errors(name, f, X)
    for size in SIZES:
        power = 2.0 ** round(np.log2(size))
        of_inputs = map_errors(name, functools.partial(f, unit=power), power * X)
        of_outputs = map_errors(name, lambda x, power=power: power * f(x), X)
        for found, unit in ((of_inputs, 1.0), (of_outputs, power)):
            for (error, exact, value), (other, same, scaled) in zip(usual, found, strict=True):
                assert same == exact and other == pytest.approx(error, rel=1e-6)
                np.testing.assert_allclose(scaled / unit, value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("name", ["kriging", "lagrange"])
def test_large_inputs_of_other_types(name, dtype):
    X = (np.random.default_rng(4).standard_normal((3, 2, 2)) * 1e30).astype(dtype)
    found = map_errors(name, lambda x: 2 * x, X)
    assert all(np.isfinite(error) for error, _, _ in found)
    np.testing.assert_allclose(found[-1][2], 2 * X, rtol=1e-3)


@pytest.mark.parametrize("size", [1e-320, *SIZES, 2e305])
def test_sums_of_any_size_are_computed_learned_from_and_followed(pool, size):
    terms = [lambda x, i=i: np.full(300, size * (1 + i)) for i in range(8)]
    seen = []
    with kofn.CodedSum(terms, workers=pool) as total:
        for _ in range(2):
            answer = total(progress=seen.append)
            assert answer.exact
            np.testing.assert_allclose(answer.value, 36 * size, rtol=1e-2 if size < 1e-300 else 1e-13)
    assert all(np.isfinite(now.error) for now in seen)


def test_energies_of_any_size(pool):
    for size in (1e-300, 1e300):
        scheme = SumScheme(coded("cyclic"), Terms.of(lambda i, x: i, 24), None, energies=np.full(24, size))
        assert float(decode(scheme.code, range(4), scheme.prior()).error) == pytest.approx(np.sqrt(20 / 24), rel=0.2)


# -- overflow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1e308, -1e308, 1e308j])
@pytest.mark.parametrize("name", SURE)
def test_a_sum_that_overflows_is_refused_in_a_sentence(pool, name, number):
    with pytest.raises(kofn.TermError, match="add up to more than a float64 can hold; divide all terms") as caught:
        kofn.sum([lambda x: number] * 8, 0, workers=pool, energies=[1.0] * 8, code=name, rng=0)
    assert "\n" not in str(caught.value)


def test_so_is_one_that_is_added_up_on_threads(pool):
    with pytest.raises(kofn.TermError, match="add up to more than a float64 can hold"):
        kofn.sum([lambda x: np.full(1 << 19, 1e308)] * 4, 0, workers=pool, energies=[1.0] * 4, code="uncoded")


def test_a_row_that_overflows_is_named(pool):
    with pytest.raises(kofn.TermError, match=r"term 0 and those up to term 3 .* \(at worker \d, in row 0\)") as caught:
        kofn.sum([lambda x: 1e308] * 4, 0, workers=pool, code="one")
    assert caught.value.term == 0


@pytest.mark.parametrize("power", [-1074, -1073, -1022, 0, 1023])
def test_a_unit_is_found_for_the_smallest_and_the_largest_numbers(power):
    scaled, exponent = unit_size(np.array([2.0**power, 0.0]))
    assert scaled.tolist() == [0.5, 0.0] and exponent == power + 1


def test_what_an_earlier_call_learned_does_not_count_where_there_is_enough():
    code, results = SUMS["cyclic"](8, blocks=8, workers=1), {row: np.array(10.0 + (-1) ** row) for row in range(8)}
    earlier = Prior(np.full(8, 100.0), common=np.full(8, 1.0))
    alone, after = TermLearner(code).prior(results), TermLearner(code, earlier=earlier).prior(results)
    assert np.array_equal(alone.factor, after.factor) and np.array_equal(alone.common, after.common)
    few = {row: results[row] for row in range(2)}
    assert TermLearner(code, earlier=earlier).prior(few).factor[0] > 9.0  # most of it varied
