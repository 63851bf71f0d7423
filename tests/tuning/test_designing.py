"""Designed codes: better than what they are compared with, exact from any N·P, honest, and usable as code=."""

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

import kofn
from kofn.codes import row_kronecker
from kofn.schemes.products._classes import Classes
from kofn.schemes.products._shaping import Directions, sizes_of
from kofn.schemes.products.families import Gaussian, Windows
from kofn.simulation._simulate import errors_at, errors_by_count
from kofn.simulation.theory._losses import at_times, zero_fill_loss
from kofn.simulation.theory._uep import decoding_probabilities
from kofn.testing._schemes import check_scheme, unknowns_of
from kofn.tuning.products import best_windows, design_for
from kofn.tuning.products._amplification import amplifications, subsets
from kofn.tuning.products._objective import deadline
from kofn.tuning.products._spread import draw_coefficients
from kofn.tuning.products._strata import draw_strata
from processes import slow_but

VARIANCES = np.array([10.0, 1.0, 0.1])
PAPER = kofn.Prior.independent(np.outer(VARIANCES, VARIANCES).ravel())
EXPONENTIAL = kofn.Exponential(1.0)
CLASSES = np.array([120.0, 3.0, 0.21])
GAMMA = (0.40, 0.35, 0.25)
TABLE = Classes.by_size(np.outer(VARIANCES, VARIANCES), (3, 3, 3))


@cache
def designed(seconds):
    return design_for(PAPER, (3, 3), workers=30, latency=EXPONENTIAL, deadline=seconds, rng=0)


SIZES = {"paper": (VARIANCES, VARIANCES, 30), "small": (VARIANCES, np.ones(1), 10)}
"""Variances of the blocks of A and of B, and workers."""


def of_size(size, results=1, **goal):
    """A design for that size, with A in so many times as many blocks."""
    first, second, workers = SIZES[size]
    halves = np.repeat(first, results) / results
    prior = kofn.Prior.independent(np.outer(halves, second).ravel())
    options = {"workers": workers, "latency": EXPONENTIAL, "results": results, "rng": 0}
    return design_for(prior, (len(halves), len(second)), **options, **goal)


@pytest.fixture(scope="module")
def found():
    return designed(0.5)


def _losses(code):
    return np.mean(errors_by_count(code, trials=4, rng=0, prior=PAPER) ** 2, axis=0)


@pytest.fixture(scope="module")
def rivals():
    """Losses after 0 … 30 results."""
    rng = np.random.default_rng(1)
    closed = {
        kind: zero_fill_loss(decoding_probabilities(kind, (3, 3, 3), GAMMA, 30), CLASSES) for kind in ("now", "ew")
    }
    closed["mds"] = np.where(np.arange(31) < 9, 1.0, 0.0)
    ideal = {
        "now-lmmse": lambda: Windows(TABLE, kind="now", gamma=GAMMA).code(30, rng),
        "ew-lmmse": lambda: Windows(TABLE, kind="ew", gamma=GAMMA).code(30, rng),
        "mds-lmmse": lambda: Gaussian(Classes.of_sizes(9)).code(30, rng),
    }
    for name, draw in ideal.items():
        closed[name] = np.mean([_losses(draw()) for _ in range(25)], 0)
    return closed


def test_the_loss_at_every_count_is_below_all_others(found, rivals):
    assert found.by_count[3] <= 0.05
    assert found.by_count[9] == 0.0
    for name, loss in rivals.items():
        assert np.all(found.by_count[1:9] < loss[1:9]), name


def test_the_loss_at_every_time_is_below_all_others(found, rivals):
    done = 1 - np.exp(-np.linspace(0.025, 2, 40))
    mine = at_times(np.append(found.by_count, np.zeros(21)), done)
    for name, loss in rivals.items():
        assert np.all(mine < at_times(loss, done)), name


@pytest.mark.parametrize("seconds", slow_but((0.1, 0.25, 0.5, 1.0), {0.5}))
def test_it_is_a_tenth_better_than_plain_shaping_and_far_better_than_the_papers_windows(seconds):
    found = designed(seconds)
    assert found.value <= 0.9 * found.plain
    assert all(found.value < 0.5 * windows.value <= 0.5 * windows.published for windows in found.windows)


def test_the_amplification_stays_under_the_limit_on_sets_that_the_search_has_not_seen(found):
    assert found.amplification.p99 <= 1.15 * found.limit
    assert found.amplification.sets == 20_000
    assert found.amplification.largest < 6.7e7  # every one of them is exact in double precision


@pytest.mark.parametrize(("size", "too_tight"), [("small", 2), pytest.param("paper", 20, marks=pytest.mark.slow)])
def test_a_tight_limit_is_kept_or_refused(size, too_tight):
    assert of_size(size, deadline=0.5, amplification_limit=2000).amplification.p99 <= 1.2 * 2000
    with pytest.raises(kofn.ArgumentError, match="amplification_limit"):
        of_size(size, deadline=0.5, amplification_limit=too_tight)


def test_the_value_is_what_the_simulation_finds(found):
    simulated = np.mean(errors_at(found.code, EXPONENTIAL, [0.1], trials=4000, rng=3, prior=PAPER) ** 2)
    assert found.expected_loss(0.1) == pytest.approx(simulated, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "seconds"), [("small", 0.5), ("paper", 0.25)])
def test_more_results_of_smaller_blocks_are_better(size, seconds):
    fine = of_size(size, deadline=seconds, results=2)
    assert fine.code.load.sum() == SIZES[size][-1]
    assert fine.value < 0.2 * of_size(size, deadline=seconds).value


@pytest.mark.parametrize(
    ("size", "goal"),
    [
        ("small", {"area": 0.5}),
        pytest.param("paper", {"area": 0.5}, marks=pytest.mark.slow),
        pytest.param("paper", {"target_error": 0.2}, marks=pytest.mark.slow),
    ],
)
def test_other_goals(size, goal):
    found = of_size(size, **goal)
    assert found.value < 0.95 * found.plain


@pytest.mark.parametrize("energies", [[0.0, 0.0, 0.0], [4.0, 2.0, 1.0]])
@pytest.mark.parametrize("seconds", slow_but([1e-9, 1e9], {1e9}))
def test_a_design_that_can_be_no_better_than_others_is_printed(energies, seconds):
    prior, latency = kofn.Prior.independent(energies), kofn.Constant(0.1)
    found = design_for(prior, (3, 1), workers=4, latency=latency, deadline=seconds, rng=0)
    assert "1.00 times that of plain" in str(found)


@pytest.mark.parametrize("seed", slow_but([0, 2, 3], {0}))
def test_any_four_results_are_exact_where_steps_along_two_lines_could_make_them_dependent(seed):
    mixing = np.random.default_rng(seed).standard_normal((4, 4))
    prior = kofn.Prior.correlated(mixing @ mixing.T)
    found = design_for(prior, (2, 2), workers=6, latency=EXPONENTIAL, deadline=0.5, rng=0)
    singular = np.linalg.svd([found.code.generator[list(rows)] for rows in combinations(range(6), 4)], compute_uv=False)
    assert np.all(singular[:, 0] / singular[:, -1] < 1e6)


@pytest.mark.parametrize("goal", [{"area": 3.0}, {"target_error": 0.1}])
def test_goals_over_times_at_which_everybody_has_answered(goal):
    """Workers who answer after exactly a second: losses are 1 before, and nothing afterwards."""
    found = design_for(PAPER, (3, 3), workers=12, latency=kofn.Constant(1.0), rng=0, **goal)
    assert found.value == pytest.approx(1.0)


def test_where_no_plain_draw_meets_the_limit_the_report_says_so(found):
    assert "amplify more than the limit" in str(replace(found, plain=np.inf))


@pytest.mark.parametrize("goals", [{}, {"deadline": 1.0, "area": 2.0}, {"deadline": -1.0}])
def test_one_goal_is_needed(goals):
    with pytest.raises(kofn.ArgumentError, match=r"kofn\.design"):
        design_for(PAPER, (3, 3), workers=30, latency=EXPONENTIAL, **goals)


@pytest.mark.parametrize(
    "wrong",
    [
        {"blocks": (4, 4)}, {"blocks": (9,)}, {"blocks": 9}, {"blocks": (4.5, 2)}, {"blocks": (-3, -3)},
        {"workers": 5}, {"workers": 0}, {"results": 0}, {"latency": 3}, {"latency": kofn.Exponential},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(wrong):
    arguments = {"blocks": (3, 3), "workers": 30, "latency": EXPONENTIAL, "deadline": 1.0} | wrong
    with pytest.raises(kofn.ArgumentError):
        design_for(PAPER, **arguments)


@pytest.fixture(scope="module", params=[(2, 8), pytest.param((3, 12), marks=pytest.mark.slow)], ids=["2×2", "3×3"])
def correlated(request):
    rng = np.random.default_rng(2)
    n, workers = request.param
    A = 1.0 + rng.random((60, 20))
    options = {"workers": workers, "latency": EXPONENTIAL, "deadline": 0.3, "blocks": (n, n), "rng": 0}
    return A, A.T.copy(), kofn.design(A, A.T, **options), options


def test_a_design_is_a_scheme(correlated):
    A, B, found, _ = correlated
    scheme = found.scheme(A, B, rng=1)
    scale = np.linalg.norm(A) * np.linalg.norm(B)
    check_scheme(scheme, A @ B, unknowns_of(scheme, A @ B), scale=scale)


def test_the_full_prior_is_far_better_than_energies_alone_where_blocks_are_correlated(correlated):
    A, B, found, options = correlated
    alone = kofn.design(A, B, correlations=False, **options)
    assert found.by_count[1] < 0.2 * alone.by_count[1]


def test_a_design_is_a_code_for_matmul(correlated):
    A, B, found, options = correlated
    with kofn.ThreadPool(options["workers"]) as pool:
        answer = kofn.matmul(A, B, workers=pool, code=found, rng=0)
        assert answer.exact
        assert np.allclose(answer.value, A @ B)
        with pytest.raises(kofn.ArgumentError, match="as designed"):
            kofn.matmul(A, B, workers=pool, code=found, blocks=(4, 4))
    with pytest.raises(kofn.ArgumentError, match="as designed"):
        found(A, B, workers=3)


def test_the_report_says_what_was_found(correlated):
    text, products = str(correlated[2]), correlated[3]["blocks"][0] ** 2
    for part in (f"any {products} results are exact", "expected loss at 0.3 s", "amplification: median", "NOW-UEP, Γ"):
        assert part in text


def test_strata_are_what_the_latency_model_says():
    latency = kofn.Slowdown(EXPONENTIAL, {0: 10.0})
    now = draw_strata(latency, np.arange(4), np.ones(4), 0.5, most=3, count=4000, rng=0)
    chance = 1 - np.exp(-0.5 / np.array([10.0, 1, 1, 1]))
    by_hand = np.ones(1)
    for p in chance:
        by_hand = np.convolve(by_hand, [1 - p, p])
    assert now.chances == pytest.approx(by_hand, abs=0.01)
    first = chance[0] * (1 - chance[1]) ** 3
    others = (1 - chance[0]) * chance[1] * (1 - chance[1]) ** 2
    assert np.mean(now.sets[1] == 0) == pytest.approx(first / (first + 3 * others), abs=0.02)


def test_workers_send_their_rows_in_order():
    now = draw_strata(EXPONENTIAL, np.arange(4) % 2, np.full(4, 0.5), 0.5, most=3, count=200, rng=0)
    for rows in now.sets:
        assert all({row - 2 for row in mine if row >= 2} <= set(mine) for mine in rows.tolist())


def test_spread_rows_are_independent_and_start_with_one():
    alpha, beta = draw_coefficients(30, 3, 3, np.random.default_rng(0))
    assert np.all(alpha[:, 0] == 1)
    code = kofn.LinearCode("spread", row_kronecker(alpha, beta), np.eye(9), np.arange(30), threshold=9)
    assert np.quantile(amplifications(code, subsets(30, 2000, 9, seed=0)), 0.99) < 2000


def test_directions_of_a_kronecker_prior_diagonalise_it():
    rng = np.random.default_rng(0)
    first, second = (np.linalg.qr(rng.standard_normal((3, 3)))[0] * [3.0, 2.0, 1.0] for _ in range(2))
    prior = kofn.Prior(np.kron(first, second))
    found = Directions.of_prior(prior, 3, 3)
    turned = np.kron(found.first, found.second).T @ prior.factor
    gram = turned @ turned.T
    assert np.allclose(gram, np.diag(np.diag(gram)))
    assert np.allclose(sizes_of(found.first_energies, 1.0, 0.0), [1, 2 / 3, 1 / 3])


def test_the_best_windows_beat_every_window_of_a_grid():
    weights = np.zeros(31)
    weights[12] = 1.0
    best = best_windows("ew", (3, 3, 3), CLASSES, weights)
    assert best.value <= best.published
    for first in np.linspace(0, 1, 6):
        for second in np.linspace(0, 1 - first, 4):
            gamma = np.array([first, second, max(0.0, 1 - first - second)])
            loss = zero_fill_loss(decoding_probabilities("ew", (3, 3, 3), gamma, 30), CLASSES)[12]
            assert best.value <= loss + 1e-9


def test_an_objective_weighs_losses():
    assert deadline(1.0).of(np.array([[0.2, 0.4]]), np.array([[0.5, 0.25]])) == pytest.approx(0.2)
