"""`kofn.map` on workers: what stays there, when it stops, and what it says of bad input."""

import threading
import time
from functools import partial

import numpy as np
import pytest
from scipy.linalg import expm

import kofn
from kofn.codes import decode
from kofn.errors import ArgumentError, FunctionError, TaskError
from kofn.jobs.scheduling._pace import MESSAGE_SECONDS
from kofn.schemes import FUNCTIONS
from processes import until

MATRICES = np.random.default_rng(5).standard_normal((3, 4, 4))


def cubic(x):
    return x @ x @ x - 2 * x + np.trace(x) * x + np.eye(len(x))


def test_map_takes_results_of_any_shape_and_keeps_the_function_at_the_workers():
    with kofn.ThreadPool(5) as pool, kofn.CodedMap(cubic, workers=pool, degree=3, rows=9) as coded:
        first = coded(MATRICES)
        again = coded(MATRICES + 1)
    assert first.exact
    assert np.allclose(first.value, [cubic(x) for x in MATRICES], rtol=1e-9, atol=1e-9)
    assert np.allclose(again.value, [cubic(x) for x in MATRICES + 1], rtol=1e-9, atol=1e-9)


def test_the_function_goes_to_a_worker_once_and_leaves_it_at_the_end():
    with kofn.ThreadPool(3) as pool:
        placed, dropped = [], []
        put, drop = pool.put, pool.drop
        pool.put = lambda worker, key, value: (placed.append((worker, key)), put(worker, key, value))[1]
        pool.drop = lambda key: (dropped.append(key), drop(key))[1]
        with kofn.CodedMap(np.square, workers=pool, degree=2) as coded:
            for shift in range(5):
                assert coded([1.0 + shift, 2.0]).exact
            assert not dropped
    assert len(placed) == len(set(placed)) <= 3
    assert set(dropped) == {key for _, key in placed}


def unhurried(x):
    """So slow that a message holds one row: of quick ones it may hold all."""
    time.sleep(2 * MESSAGE_SECONDS)
    return expm(x)


def test_a_tolerance_stops_early_and_ends_when_all_has_come():
    X = MATRICES / 8
    truth = np.array([expm(x) for x in X])
    with kofn.ThreadPool(1) as pool:  # one row after the other
        soon = kofn.map(unhurried, X, workers=pool, code="kriging", rows=12, tolerance=0.3)
        never = kofn.map(expm, X, workers=pool, code="berrut", rows=5, tolerance=1e-12)
    assert soon.count < 12
    assert soon.error <= 0.3
    assert np.linalg.norm(soon.value - truth) < 0.6 * np.linalg.norm(truth)
    assert (never.count, never.exact) == (5, False)
    assert never.error > 1e-12


def test_a_deadline_gives_the_estimate_that_there_is():
    slow = kofn.Slowdown(kofn.Constant(1e-3), {0: 1e3, 1: 1e3})
    with kofn.Straggling(kofn.ThreadPool(6), slow, 0) as pool:
        answer = kofn.map(expm, MATRICES / 8, workers=pool, code="kriging", recover=6, deadline=0.4)
    assert (answer.count, answer.exact) == (4, False)
    truth = np.array([expm(x) for x in MATRICES / 8])
    off = np.linalg.norm(answer.value - truth) / np.linalg.norm(truth)
    assert 0 < off < 4 * answer.error < 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"code": "lagrange"}, "'degree' must be an int of at least 1, but got None; say of which degree"),
        ({"code": "lagrange", "degree": 3}, "'rows' must be at least 7 for code 'lagrange', .* but got 4"),
        ({"code": "repetition", "rows": 2}, "'rows' must be at least 3 for code 'repetition', one row per input"),
        ({"code": "berrut", "degree": 2}, "'degree' must be left out for code 'berrut', but got 2"),
        ({"code": "berrut", "recover": 5}, "'recover' must be at most 4, the number of rows, but got 5"),
        ({"code": "nothing"}, "'code' must be one of 'uncoded', 'repetition', 'lagrange'"),
        ({"code": "uncoded", "deadline": 0}, "'deadline' must be a finite number > 0"),
        ({"code": "uncoded", "tolerance": -1}, "'tolerance' must be a finite number >= 0"),
        ({"code": "letcc", "estimator": "wrong"}, "'estimator' must be one of 'lmmse'"),
        ({"code": partial(FUNCTIONS["parity"], parities=[])}, "'parities' must be one callable per parity row"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, sentence):
    with kofn.ThreadPool(4) as pool, pytest.raises(ArgumentError, match=sentence):
        kofn.map(np.square, [1.0, 2.0, 3.0], workers=pool, **arguments)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ([np.ones(2), np.ones(3)], "'inputs' must be arrays of one shape, but got shapes"),
        ([1.0, np.nan], "'inputs' must be finite, but got NaN or inf in input 1"),
        ([], "'inputs' must be at least one array of numbers"),
        (["a"], "'inputs' must be at least one array of numbers"),
        (3.0, "'inputs' must be a sequence of arrays, but got 3.0"),
        (None, "'inputs' must be a sequence of arrays, but got None"),
        ([[1.0, 2.0], [3.0]], r"'inputs' must be arrays of one shape, but got shapes \(1,\), \(2,\)"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), "'inputs' must be without a mask"),
    ],
)
def test_bad_inputs_are_refused_in_one_sentence(inputs, sentence):
    with kofn.ThreadPool(2) as pool, pytest.raises(ArgumentError, match=sentence):
        kofn.map(np.square, inputs, workers=pool, code="letcc")


@pytest.mark.parametrize(
    ("f", "sentence"),
    [
        (lambda x: np.nan if x == 2 else x, r"f returned NaN or inf at input 1 \(at worker 1\)"),
        (lambda x: np.ones(int(x)), r"f returned float64 of shape \(\d,\) at input \d, where results are float64 of"),
        (lambda x: 1 / 0 if x == 3 else x, r"f raised ZeroDivisionError at input 2: division by zero \(at worker 2\)"),
        (lambda x: "text", "f returned a <U4 at input"),
        (lambda x: np.ma.array([x, x], mask=[False, x == 2]), "f returned an array with masked numbers at input 1"),
    ],
)  # fmt: skip
def test_what_f_does_wrong_is_said_with_its_place(f, sentence):
    with kofn.ThreadPool(3) as pool, pytest.raises(FunctionError, match=sentence) as caught:
        kofn.map(f, [1.0, 2.0, 3.0], workers=pool, code="parity")
    assert isinstance(caught.value, TaskError)
    assert 0 <= caught.value.worker < 3


def test_a_mixture_where_f_is_not_defined_is_said_to_be_one():
    root = lambda x: x**0.5 if x >= 0 else np.nan  # noqa: E731
    sentence = r"f returned NaN or inf at the encoded input of row \d, a mixture of all inputs"
    with kofn.ThreadPool(1) as pool, pytest.raises(FunctionError, match=sentence):
        kofn.map(root, [9.0, 0.0, 0.0, 9.0], workers=pool, degree=2, rows=7)
    with pytest.raises(ArgumentError, match="'f' must be callable"):
        kofn.map(3, [1.0])


def test_a_function_may_use_its_buffer_again():
    buffer = np.zeros(4)

    def squares(x):
        np.square(x, out=buffer)
        return buffer

    X = np.arange(12.0).reshape(3, 4)
    with kofn.ThreadPool(1) as pool:
        answer = kofn.map(squares, X, workers=pool, code="repetition", rows=5)
    np.testing.assert_allclose(answer.value, X**2)


@pytest.mark.parametrize("size", [1, 1 << 20])  # the larger is decoded on threads
def test_values_that_overflow_when_they_are_decoded_are_refused_in_a_sentence(size):
    scheme = FUNCTIONS["lagrange"](abs, [1.0, 2.0], degree=1, workers=4).estimating()
    results = [np.full(size, 1.7e308), np.full(size, -1.7e308)]
    sentence = "^kofn.map: results of 'lagrange' decode to more than their type can hold; let f divide its values"
    with pytest.raises(FunctionError, match=sentence):
        scheme.assemble(decode(scheme.code, [0, 1]).matrix, results)


class _CannotBeLoaded:
    def __call__(self, x):
        return x

    def __reduce__(self):
        return eval, ("1 / 0",)


def test_what_is_not_the_fault_of_f_is_raised_with_its_cause():
    with kofn.LocalPool(2) as pool:
        for call in (kofn.map, lambda f, x, **rest: kofn.sum([f, f], x, **rest)):
            with pytest.raises(TaskError, match="raised ZeroDivisionError") as caught:
                call(_CannotBeLoaded(), [1.0], workers=pool, code="uncoded")
            assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_workers_that_were_made_for_a_map_end_where_it_is_refused():
    before = set(threading.enumerate())
    with pytest.raises(ArgumentError, match="redundancy") as caught:
        kofn.CodedMap(np.square, workers="threads:2", degree=2, redundancy=1)
    until(lambda: not {thread for thread in set(threading.enumerate()) - before if "kofn-worker" in thread.name})
    assert caught.value is not None  # whose traceback holds the map: it was not left to the garbage collector
