"""Closed forms of unequal error protection against enumeration in rationals, ranks over a prime field, and data."""

from fractions import Fraction
from itertools import product
from math import comb, factorial, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kofn.codes import decode
from kofn.codes._prior import Prior
from kofn.errors import ArgumentError
from kofn.jobs._collector import Collector
from kofn.schemes import Classes, now_uep
from kofn.schemes.products.families import Copies, Gaussian, Windows
from kofn.simulation._latency import Constant, Exponential
from kofn.simulation._simulate import errors_by_count, simulate
from kofn.simulation.theory._losses import (
    at_times,
    count_probabilities,
    load_balancing_times,
    oracle_loss,
    repetition_loss,
    theorem_2_bound,
    zero_fill_loss,
)
from kofn.simulation.theory._uep import decoding_probabilities
from kofn.testing._schemes import results_of
from kofn_studies.figures.uep_setting import closed_forms
from kofn_studies.figures.uep_times import crossing
from oracles import in_row_space

GAMMA = (0.40, 0.35, 0.25)
PRIME = 2**61 - 1


def generic_rows(kind, sizes, counts, rng):
    """Residues of a generic system with so many rows of each window."""
    ends = np.cumsum(sizes)
    rows = []
    for window, count in enumerate(counts):
        start = 0 if kind == "ew" else ends[window] - sizes[window]
        for _ in range(count):
            values = [int(x) for x in rng.integers(1, PRIME, ends[-1])]
            rows.append([x if start <= j < ends[window] else 0 for j, x in enumerate(values)])
    return rows


def decoded_classes(kind, sizes, counts, rng):
    """Which classes a generic system determines, by elimination."""
    unit = [[int(i == j) for j in range(sum(sizes))] for i in range(sum(sizes))]
    rows = generic_rows(kind, sizes, counts, rng)
    found = in_row_space(rows, unit)[0] if rows else np.zeros(sum(sizes), dtype=bool)
    parts = np.split(found, np.cumsum(sizes)[:-1])
    assert all(part.all() or not part.any() for part in parts)  # a class is decoded as a whole
    return [bool(part.all()) for part in parts]


def rule(kind, sizes, counts):
    """The rule in the heading of kofn.simulation.theory._uep."""
    if kind == "now":
        return [n >= k for n, k in zip(counts, sizes, strict=True)]
    solved = [all(sum(counts[i : j + 1]) >= sum(sizes[i : j + 1]) for i in range(j + 1)) for j in range(len(sizes))]
    return [any(solved[j:]) for j in range(len(sizes))]


@pytest.mark.parametrize("kind", ["now", "ew"])
@given(data=st.data())
def test_what_is_decodable_depends_on_the_counts_by_the_rule(kind, data):
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    counts = [data.draw(st.integers(0, 5)) for _ in sizes]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    assert decoded_classes(kind, sizes, counts, rng) == rule(kind, sizes, counts)


@pytest.mark.parametrize("kind", ["now", "ew"])
@pytest.mark.parametrize(
    ("sizes", "gamma"),
    [((3, 3, 3), "2/5 7/20 1/4"), ((1, 2, 6), "9/20 7/20 1/5"), ((2, 1), "0 1"), ((1, 1, 1, 2), "1/4 0 1/2 1/4")],
)
def test_probabilities_equal_enumeration_in_rationals(kind, sizes, gamma):
    shares = [Fraction(part) for part in gamma.split()]
    results = 11
    found = decoding_probabilities(kind, sizes, [float(share) for share in shares], results)
    for w in range(results + 1):
        wanted = [Fraction(0)] * len(sizes)
        for counts in product(range(w + 1), repeat=len(sizes)):
            if sum(counts) != w:
                continue
            ways = factorial(w) // prod(factorial(n) for n in counts)
            chance = ways * prod(share**n for share, n in zip(shares, counts, strict=True))
            wanted = [p + chance * ok for p, ok in zip(wanted, rule(kind, sizes, counts), strict=True)]
        assert np.allclose(found[w], [float(p) for p in wanted], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["now", "ew"])
def test_a_collector_finds_decoded_what_the_rule_says_result_by_result(kind):
    sizes = (2, 1, 3)
    for seed in range(20):
        code = Windows(Classes.of_sizes(*sizes), kind=kind, gamma=GAMMA).code(14, rng=seed)
        widest = np.array([np.flatnonzero(row)[-1] for row in code.generator])
        window = np.searchsorted(np.cumsum(sizes), widest, side="right")
        collector = Collector(code, estimator="exact")
        for row in range(code.rows):
            collector.add(row, float(row))
            counts = np.bincount(window[: row + 1], minlength=3).tolist()
            wanted = np.repeat(rule(kind, sizes, counts), sizes)
            assert collector.decoding.recovered.tolist() == wanted.tolist()


def test_ten_classes_and_two_hundred_results_are_no_burden():
    for sizes in ([3] * 10, list(range(1, 11))):
        found = decoding_probabilities("ew", sizes, np.arange(10, 0, -1) / 55, 200)
        assert np.all(np.diff(found, axis=0) >= -1e-12)  # more results never hurt
        assert np.all(np.diff(found, axis=1) <= 1e-12)  # nor does more protection


# Normalised losses after w = 1 … 9 results, from the enumeration in rationals.
KNOWN = {
    "now": [1, 1, 0.936597, 0.822303, 0.684928, 0.547310, 0.423214, 0.318751, 0.234984],
    "ew": [1, 1, 0.937667, 0.825469, 0.690830, 0.504483, 0.319375, 0.180223, 0.007668],
}


@pytest.mark.parametrize("kind", KNOWN)
def test_losses_of_the_paper_s_setting(kind):
    loss = zero_fill_loss(decoding_probabilities(kind, (3, 3, 3), GAMMA, 30), [120, 3, 0.21])[1:10]
    assert np.allclose(loss, KNOWN[kind], rtol=0, atol=5.1e-7)


def test_crossings_with_mds():
    losses = closed_forms("rxc") | closed_forms("cxr")
    times = {name: crossing(losses[name], losses["mds"])[0] for name in ("now-rxc", "now-cxr", "ew-rxc", "ew-cxr")}
    rounded = {name: round(time, 3) for name, time in times.items()}
    assert rounded == {"now-rxc": 0.465, "now-cxr": 0.467, "ew-rxc": 0.839, "ew-cxr": 0.973}
    for name, published in {"now-rxc": 0.44, "now-cxr": 0.44, "ew-rxc": 0.825, "ew-cxr": 0.975}.items():
        assert times[name] == pytest.approx(published, abs=0.03)


def test_a_loss_that_never_crosses_says_so():
    mds = closed_forms("rxc")["mds"]
    with pytest.raises(ValueError, match="do not cross"):
        crossing(mds, 0 * mds)


def test_theorem_2_is_loose_by_the_number_of_parts_and_theorem_1_is_exact_for_independent_parts():
    """On data: fresh Gaussian matrices, column × row, zeros for parts that are not decoded."""
    rng = np.random.default_rng(0)
    scale = np.repeat(np.sqrt([10.0, 1.0, 0.1]), 3)
    losses, results = [], 7
    for _ in range(150):
        A, B = rng.standard_normal((6, 9)) * scale, rng.standard_normal((9, 6)) * scale[:, None]
        options = {"blocks": (9, 9), "rows": 30, "rng": rng, "separate": True, "classes": (3, 3, 3)}
        scheme = now_uep(A, B, partition="cxr", realisation="window", **options)
        decoding = decode(scheme.code, np.arange(results), estimator="exact")
        estimate = scheme.assemble(decoding.matrix, results_of(scheme)[:results])
        losses.append(np.sum((A @ B - estimate) ** 2) / (36 * 303.03))
    probabilities = decoding_probabilities("now", (3, 3, 3), GAMMA, 30)
    exact = zero_fill_loss(probabilities, [300, 3, 0.03])
    # Windows are drawn until 30 rows decode, which is nearly always at once: the law is that of Γ.
    assert abs(np.mean(losses) - exact[results]) < 4 * np.std(losses) / np.sqrt(len(losses))
    assert np.allclose(theorem_2_bound(probabilities, [300, 3, 0.03], parts=9), 9 * exact, rtol=1e-15)


def test_counts_are_binomial_and_mixing_is_a_mean():
    chance = count_probabilities([0.0, 0.3, 1.0], 5)
    wanted = [comb(5, w) * 0.3**w * 0.7 ** (5 - w) for w in range(6)]
    assert np.allclose(chance[1], wanted, rtol=1e-12)
    assert chance[0, 0] == chance[2, 5] == 1
    assert np.allclose(at_times(np.arange(6.0), [0.3]), 1.5)


def test_time_curves_equal_a_simulation():
    code, energies = Copies(Classes.of_sizes(3)).code(6), np.array([4.0, 2.0, 1.0])
    prior = Prior.independent(energies)
    by_count = repetition_loss(energies, [2, 2, 2])
    drawn = errors_by_count(code, trials=4000, rng=0, prior=prior, estimator="exact") ** 2
    spread = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(axis=0) - by_count) <= 4 * spread + 1e-12)


def test_nobody_is_better_than_the_oracle():
    energies = np.outer([10, 1, 0.1], [10, 1, 0.1]).ravel()
    prior, oracle = Prior.independent(energies), oracle_loss(energies, 30)
    mds = Gaussian(Classes.of_sizes(9)).code(30, rng=0)
    for code in (mds, Windows(Classes.of_sizes(3, 3, 3), kind="ew", gamma=GAMMA).code(30, 0)):
        losses = errors_by_count(code, trials=20, rng=0, prior=prior) ** 2
        assert np.all(losses >= oracle - 1e-12)
    assert np.all(closed_forms("rxc")["ew-rxc"] >= oracle)


def test_nobody_is_faster_than_balanced_load():
    times = load_balancing_times(Exponential(1.0), workers=30, work=9.0, pieces=9, trials=500, rng=1)
    assert np.all(np.diff(times, axis=1) >= 0)
    mds = Gaussian(Classes.of_sizes(9)).code(30, rng=0)
    assert np.all(times[:, -1] <= simulate(mds, Exponential(1.0), trials=500, rng=1))
    fine = load_balancing_times(Constant(1.0), workers=4, work=2.0, pieces=200, trials=1)
    assert fine[0, -1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: decoding_probabilities("other", [1], [1.0], 1), "'kind' must be one of 'now', 'ew'"),
        (
            lambda: decoding_probabilities("now", [1, 1], [1.0], 1),
            "'gamma' must hold one probability for each of the 2",
        ),
        (lambda: decoding_probabilities("now", [1, 1], [0.7, 0.7], 1), "'gamma' must hold numbers >= 0 that sum to 1"),
        (lambda: decoding_probabilities("now", [-1], [1.0], 1), "'sizes' must hold an int >= 0"),
        (lambda: decoding_probabilities("now", [1], [1.0], -1), "'results' must be an int of at least 0"),
        (lambda: oracle_loss([0.0], 1), "'energies' must be numbers >= 0, not all 0"),
        (lambda: count_probabilities([1.5], 3), "'done' must hold probabilities"),
        (lambda: count_probabilities(["no"], 3), "'done' must hold probabilities"),
        (lambda: count_probabilities([0.5], 2.5), "'workers' must be an int of at least 0"),
        (lambda: count_probabilities([0.5], -1), "'workers' must be an int of at least 0"),
        (lambda: at_times([[1.0], [0.0]], [0.5]), "'by_count' must be a vector of losses"),
        (lambda: at_times([], [0.5]), "'by_count' must be a vector of losses"),
        (
            lambda: zero_fill_loss([[0.5, 0.5]], [1.0]),
            "'probabilities' must have one column for each of the 1 energies",
        ),
        (lambda: zero_fill_loss([[2.0]], [1.0]), "'probabilities' must hold probabilities"),
        (lambda: theorem_2_bound([[1.0]], [1.0], 0), "'parts' must be an int of at least 1"),
        (lambda: oracle_loss(["a"], 1), "'energies' must be numbers >= 0, not all 0"),
        (lambda: oracle_loss([1.0, [2.0]], 1), "'energies' must be numbers >= 0, not all 0"),
        (lambda: oracle_loss([1.0], 1.5), "'results' must be an int of at least 0"),
        (lambda: repetition_loss([1, 2], [-1, 1]), "'copies' must hold an int >= 0 for each of the 2 energies"),
        (lambda: repetition_loss([1, 2], [1]), "'copies' must hold an int >= 0 for each of the 2 energies"),
        (lambda: repetition_loss([1, 2], [1, 0.5]), "'copies' must hold an int >= 0 for each of the 2 energies"),
        (lambda: load_balancing_times(Constant(1.0), 2, -1, 3), "'work' must be a finite number >= 0"),
        (lambda: load_balancing_times(Constant(1.0), 0, 1, 3), "'workers' must be an int of at least 1"),
        (lambda: load_balancing_times(Constant(1.0), 2, 1, 3, trials=0), "'trials' must be an int of at least 1"),
        (lambda: load_balancing_times(Constant(1.0), 2, 1, 3, rng="a"), "'rng' must be None, an int >= 0"),
        (lambda: load_balancing_times(3, 2, 1, 3), "'latency' must be a latency model"),
    ],
)
def test_bad_arguments_get_a_sentence(call, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        call()
