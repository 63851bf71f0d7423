"""kofn.sum on workers: right answers, estimates, and one sentence for what cannot be."""

import functools
import itertools
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import kofn
import kofn.testing._schemes
from kofn._api._sum import build_code as built
from kofn.schemes import SUMS, SumScheme, Terms

SURE = [name for name in SUMS if name != "bcc"]  # a share that nobody draws never comes


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as threads:
        yield threads


def powers(indices, x):
    return (x ** indices[:, None]) * np.arange(1.0, 4.0)


@pytest.mark.parametrize("code", SURE)
@pytest.mark.parametrize("m", [1, 3, 37])
def test_every_code_sums(pool, code, m):
    terms = [lambda x, i=i: np.sin(i + x) for i in range(m)]
    answer = kofn.sum(terms, np.arange(5.0), workers=pool, code=code, rng=0)
    np.testing.assert_allclose(answer.value, sum(f(np.arange(5.0)) for f in terms), atol=1e-11)
    assert answer.exact and answer.error == 0.0


def test_one_callable_over_indices_and_large_inputs(pool):
    answer = kofn.sum(powers, 0.5, count=60, workers=pool)
    np.testing.assert_allclose(answer.value, [2.0, 4.0, 6.0], rtol=1e-14)
    large = np.ones(10**4)
    answer = kofn.sum([np.sum, np.max], large, workers=pool)
    assert answer.value == 10**4 + 1
    assert answer.report.placed_bytes >= large.nbytes > answer.report.sent_bytes


def test_real_processes_and_complex_terms():
    terms = [lambda x, k=k: np.exp(2j * np.pi * k * x) for k in range(12)]
    answer = kofn.sum(terms, 0.25, workers=2)
    assert abs(answer.value) < 1e-12 and np.iscomplexobj(answer.value)


def test_bcc_answers_or_says_that_it_never_will(pool):
    outcomes = set()
    for seed in range(20):
        try:
            outcomes.add(kofn.sum([abs] * 4, -1.0, workers=pool, code="bcc", rng=seed).value)
        except kofn.ArgumentError as refusal:
            assert "reachable when every row arrives" in str(refusal)
            outcomes.add("refused")
    assert outcomes == {4.0, "refused"}


def test_terms_are_placed_once_for_many_inputs(pool):
    arrays = [np.full(10**4, float(i)) for i in range(8)]
    terms = [functools.partial(np.dot, array) for array in arrays]
    with kofn.CodedSum(terms, workers=pool) as total:
        for scale in (1.0, 2.0):
            value = total(np.full(10**4, scale)).value
            assert value == pytest.approx(10**4 * 28 * scale, rel=1e-13)


def test_a_term_that_raises_is_named(pool):
    def fails(x):
        raise ZeroDivisionError("no such luck")

    with pytest.raises(kofn.TermError, match="term 7 raised ZeroDivisionError: no such luck") as caught:
        kofn.sum([abs] * 7 + [fails] + [abs] * 20, 1.0, workers=pool)
    assert caught.value.term == 7 and isinstance(caught.value, kofn.TaskError)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda x: np.nan, "term 2 returned NaN or inf"),
        (lambda x: "text", "term 2 returned a str, which is not a number"),
        (lambda x: np.ones(3), "returned float64 of shape"),
        (lambda x: 1j, "returned"),
        (lambda x: [[1.0], [1.0, 2.0]], "term 2 returned a list that is no array"),
        (lambda x: np.ma.masked, "term 2 returned a masked array"),
        (lambda x: np.ma.array(1.0, mask=True), "term 2 returned a masked array"),
    ],
    ids=["nan", "text", "shape", "complex", "ragged", "masked", "partly masked"],
)
def test_a_term_that_cannot_be_added_is_named(pool, wrong, sentence):
    with pytest.raises(kofn.TermError, match=sentence):
        kofn.sum([abs, abs, wrong, abs], 1.0, workers=pool)


def test_a_wrong_shape_within_a_block_is_named(pool):
    terms = [abs, abs, lambda x: np.ones(2), abs]
    with pytest.raises(kofn.TermError, match=r"term 2 returned shape \(2,\), where terms before it returned \(\)"):
        kofn.sum(terms, 1.0, workers=pool, code=functools.partial(SUMS["cyclic"], blocks=1))
    with pytest.raises(kofn.TermError, match="term 3 returned a masked array"):
        kofn.sum(lambda indices, x: np.ma.masked_equal(indices, 3), count=4, workers=pool)
    with pytest.raises(kofn.TermError, match="first axis must be the terms"):
        kofn.sum(lambda indices, x: 1.0, count=4, workers=pool)


def test_a_term_that_never_returns_leaves_an_estimate():
    def sleeps(x):
        time.sleep(60)

    with kofn.LocalPool(3) as processes:
        answer = kofn.sum([abs] * 30 + [sleeps], 2.0, workers=processes, deadline=1.0)
        assert not answer.exact and 0 < answer.error < 0.1
        assert answer.value == pytest.approx(62.0, rel=0.05)


def test_what_is_in_hand_at_a_tolerance_is_enough(pool):
    rng = np.random.default_rng(0)
    values = 1 + 0.1 * rng.standard_normal(400)
    answer = kofn.sum(lambda i, x: values[i], count=400, workers=pool, tolerance=0.02)
    assert abs(answer.value - values.sum()) < 5 * max(answer.error, 1e-12) * values.sum()
    assert answer.count < 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"terms": []}, "'terms' must be a sequence of at least one callable"),
        ({"terms": [abs, 3]}, "but got 3"),
        ({"terms": abs}, "'count' must be an int of at least 1"),
        ({"terms": abs, "count": 0}, "'count' must be an int of at least 1"),
        ({"terms": [abs], "count": 2}, "'count' must be left out"),
        ({"terms": [abs], "code": "fast"}, "'code' must be one of 'auto', 'one'"),
        ({"terms": [abs] * 4, "code": functools.partial(SUMS["sum-recovery"], degree=4)}, "'degree' must be at most 3"),
        (
            {"terms": [abs] * 4, "code": functools.partial(SUMS["sum-recovery"], degree=0)},
            "'degree' must be an int of at least 1",
        ),
        (
            {"terms": [abs] * 4, "code": functools.partial(SUMS["sum-recovery"], degree=3, access=2)},
            "'access' must be an int",
        ),
        (
            {"terms": [abs] * 4, "code": functools.partial(SUMS["gradient"], stragglers=4)},
            "'stragglers' must be at most",
        ),
        (
            {"terms": [abs] * 4, "code": functools.partial(SUMS["cyclic"], starts=[0.5, 1.5, 2.5, 0.5])},
            "'starts' must name a block",
        ),
        ({"terms": [abs] * 4, "code": SUMS["cyclic"](5)}, "give a LinearCode over 4 terms"),
        ({"terms": [abs], "energies": [-1.0]}, "'energies' must be 1 numbers >= 0"),
        ({"terms": [abs], "tolerance": -1}, "'tolerance' must be a finite number"),
        ({"terms": [abs], "deadline": 0}, "'deadline' must be a finite number > 0"),
        ({"terms": [abs], "workers": "many"}, "'workers' must be a number, a pool"),
    ],
)
def test_bad_arguments_are_one_sentence(pool, arguments, sentence):
    with pytest.raises(kofn.ArgumentError, match=sentence) as caught:
        kofn.sum(**{"workers": pool, "x": 1.0, **arguments})
    assert str(caught.value).startswith("kofn.sum: ") and "\n" not in str(caught.value)


def test_more_workers_than_terms_is_fine(pool):
    assert kofn.sum([math.sqrt, abs], 4.0, workers=pool).value == 6.0


@pytest.mark.parametrize("name", SURE)
def test_schemes_pass_the_conformance_battery(name):
    values = np.random.default_rng(1).standard_normal((12, 3))
    code = built(name, 12, 4, rng=2)
    if name == "lt":
        code = SUMS["lt"](12, rows=10, workers=4, rng=2)
    scheme = SumScheme(code, Terms.of(lambda i, x: values[i], size=12), None, energies=np.full(12, 3.0))
    kofn.testing._schemes.check_scheme(scheme, values.sum(axis=0), unknowns=list(values), rng=0)


def test_calls_of_several_threads_keep_their_inputs_apart():
    both, calls = threading.Event(), itertools.count()

    def first(x):
        if next(calls) == 1:
            both.set()
        return x[0]

    def last(x):  # the first call to come here waits until the other one has begun
        both.wait(10)
        return x[0]

    inputs = [np.full(20_000, 1.0), np.full(20_000, 2.0)]
    with kofn.ThreadPool(2) as pool:
        shared = {"workers": pool, "code": "uncoded", "scheduler": "static"}
        with kofn.CodedSum([first, last], **shared) as total, ThreadPoolExecutor(2) as threads:
            assert [answer.value for answer in threads.map(total, inputs)] == [2.0, 4.0]
