"""`kofn.map` by copies: a map of anything to anything, on workers of any pace, that tells what is missing."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kofn
from draws import examples
from kofn.codes import decodable, decode
from kofn.codes._copies import CopyCode
from kofn.jobs._collector import Collector
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement
from kofn.schemes import FUNCTIONS
from kofn.schemes.functions._hedged import together
from kofn.simulation._virtual import VirtualPool

BIG = 2**53 + 1


class Thing:
    """Neither a number nor comparable by value."""

    def __init__(self, number):
        self.number = number


def twice(x):
    return x + x


def ragged(x):
    return np.arange(x)


def number_of(thing):
    return Thing(thing.number + 1)


def same(got, right):
    """Equal, types too, and an array where one was given."""
    if isinstance(right, np.ndarray):
        return isinstance(got, np.ndarray) and got.dtype == right.dtype and np.array_equal(got, right)
    if isinstance(right, list):
        return isinstance(got, list) and len(got) == len(right) and all(map(same, got, right))
    if isinstance(right, Thing):
        return isinstance(got, Thing) and got.number == right.number
    return type(got) is type(right) and got == right


MAPS = {
    "floats": (np.tanh, [1.0, 2.0, 3.0], np.tanh([1.0, 2.0, 3.0])),
    "ints": (twice, [1, 2, 3], np.array([2, 4, 6])),
    "large ints": (twice, [BIG, 1], np.array([2 * BIG, 2])),
    "larger ints": (twice, [2**70, 1], [2**71, 2]),
    "int and float": (abs, [1, -2.5], np.array([1.0, 2.5])),
    "large int and float": (abs, [BIG, -2.5], [BIG, 2.5]),
    "bools": (bool, [0, 1, 2], np.array([False, True, True])),
    "bool and int": (abs, [np.True_, 2], [np.True_, 2]),
    "complex": (twice, [1j, 2.0], np.array([2j, 4.0])),
    "float32": (twice, np.float32([1, 2]), np.float32([2, 4])),
    "rows": (twice, np.arange(6).reshape(3, 2), 2 * np.arange(6).reshape(3, 2)),
    "ragged": (ragged, [1, 3], [np.arange(1), np.arange(3)]),
    "dicts": (dict, [{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
    "strings": (twice, "abc", ["aa", "bb", "cc"]),
    "text arrays": (np.array, ["a", "bb"], [np.array("a"), np.array("bb")]),
    "tuples": (twice, [(1, "a"), ()], [(1, "a", 1, "a"), ()]),
    "lists of unequal length": (sum, [[1.0], [1.0, 2.0]], np.array([1.0, 3.0])),
    "None": (print, [], []),
    "None out": ({}.get, ["a", "b"], [None, None]),
    "exceptions as results": (str, [ValueError("no"), None], ["no", "None"]),
    "fractions": (twice, [Fraction(1, 3)], [Fraction(2, 3)]),
    "objects": (number_of, [Thing(1), Thing(2)], [Thing(2), Thing(3)]),
    "dates": (np.datetime64, ["2020-01-01"], [np.datetime64("2020-01-01")]),
}


@pytest.mark.parametrize("options", [{"code": "uncoded"}, {"code": "repetition", "rows": 9}], ids=str)
def test_a_map_by_copies_is_map_on_threads(options):
    with kofn.ThreadPool(3) as pool:
        for name, (f, inputs, right) in MAPS.items():
            answer = kofn.map(f, inputs, workers=pool, **options)
            assert same(answer.value, right), name
            assert answer.exact and answer.error == 0.0 and answer.recovered.tolist() == [True] * len(right)
            assert same(kofn.map(f, iter(inputs), workers=pool, **options).value, right), name


def test_a_map_without_a_code_gives_a_list_and_arrays_of_arrays():
    with kofn.ThreadPool(3) as pool:
        for name, (f, inputs, right) in MAPS.items():
            plain = right if isinstance(inputs, np.ndarray) or isinstance(right, list) else right.tolist()
            value = kofn.map(f, inputs, workers=pool).value
            assert type(value) is type(plain), name
            assert same(value, plain) or same(np.asarray(value), np.asarray(plain)), name
            assert isinstance(kofn.map(f, iter(inputs), workers=pool).value, list), name
            if isinstance(right, np.ndarray):
                assert same(kofn.map(f, inputs, workers=pool, stack=True).value, right), name


def test_a_map_by_copies_is_map_on_processes():
    with kofn.LocalPool(2) as pool:
        for name, (f, inputs, right) in MAPS.items():
            assert same(kofn.map(f, inputs, workers=pool, code="repetition").value, right), name


def test_frames_are_inputs_and_results():
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame({"a": [1, 2]}), pandas.DataFrame({"a": [3]})]
    with kofn.ThreadPool(2) as pool:
        value = kofn.map(lambda frame: frame * 2, frames, workers=pool).value
        assert kofn.map(sum, pandas.DataFrame({"a": [1, 2], "b": [3, 4]}), workers=pool).value.tolist() == [4, 6]
    assert isinstance(value, list) and [frame["a"].tolist() for frame in value] == [[2, 4], [6]]


def test_many_more_inputs_than_workers_are_no_burden():
    matrix = "generator"
    with kofn.ThreadPool(3) as pool, kofn.CodedMap(twice, workers=pool) as coded:
        for count in (4_000, 0, 1):
            assert np.array_equal(coded(range(count)).value, 2 * np.arange(count))
    code = CopyCode("uncoded", 20_000, 20_000, 3)
    assert decodable(code, range(20_000)) and matrix not in vars(code)  # of 20 000 by 20 000


def test_what_is_no_iterable_or_whose_iteration_fails_is_told_apart():
    def failing():
        yield 1
        raise TypeError("no second one")

    with kofn.ThreadPool(1) as pool:
        for inputs in (3, None, {"a": 1}, {1, 2}):
            with pytest.raises(kofn.ArgumentError, match="'inputs' must be in an order: a sequence"):
                kofn.map(abs, inputs, workers=pool)
        with pytest.raises(TypeError, match="no second one"):
            kofn.map(abs, failing(), workers=pool)


@pytest.mark.parametrize("estimator", ["lmmse", "exact"])
@pytest.mark.parametrize("code", ["uncoded", "repetition"])
def test_copies_with_an_estimator_are_exact_once_they_are_there(code, estimator):
    with kofn.ThreadPool(3) as pool:
        answer = kofn.map(np.square, np.arange(5.0), workers=pool, code=code, estimator=estimator)
    assert answer.exact and answer.error == 0.0 and answer.value.tolist() == [0.0, 1.0, 4.0, 9.0, 16.0]


def test_an_input_at_which_f_raises_is_named():
    with kofn.ThreadPool(2) as pool, pytest.raises(kofn.FunctionError, match="at input 2"):
        kofn.map(len, ["a", "b", 3, "d"], workers=pool)


def after(inputs, there, *, zero_fill=False, f=twice):
    """The answer once the outputs of some inputs have come, and no others ever will."""
    scheme = replace(FUNCTIONS["uncoded"](f, inputs), zero_fill=zero_fill)
    pool = VirtualPool([[1.0 if k in there else np.inf] for k in range(len(inputs))])
    collector = Collector(scheme.code, scheme.prior, "exact", kofn.Deadline(2.0))
    return RunLoop(scheme, pool, collector, Placement(pool)).run()


def test_what_is_missing_is_nan_none_or_masked_and_zero_where_that_was_asked_for():
    answer = after([1.0, 2.0, 3.0, 4.0], {1, 3})
    np.testing.assert_array_equal(answer.value, [np.nan, 4.0, np.nan, 8.0])
    assert answer.recovered.tolist() == [False, True, False, True]
    assert not answer.exact and answer.error == pytest.approx(0.5**0.5)
    assert after([1.0, 2.0, 3.0], {1}, zero_fill=True).value.tolist() == [0.0, 4.0, 0.0]
    whole = after([BIG, 2, 3], {0})
    assert isinstance(whole.value, np.ma.MaskedArray) and whole.value.tolist() == [2 * BIG, None, None]
    assert after([True, False], {1}, f=bool).value.tolist() == [None, False]
    assert after([True, False], {0}, f=bool, zero_fill=True).value.tolist() == [True, False]
    assert after(["a", "b"], {1}).value == [None, "bb"] == after(["a", "b"], {1}, zero_fill=True).value
    rows = after(np.ones((3, 2)), {0, 2}).value
    assert np.isnan(rows[1]).all() and np.array_equal(rows[[0, 2]], np.full((2, 2), 2.0))
    imaginary = after([1j, 2j], {0}).value
    assert imaginary[0] == 2j and np.isnan(imaginary[1])


def test_the_mean_of_others_is_an_estimate_only_where_one_is_asked_for():
    gate = threading.Event()

    def f(x):
        if x == 2.0:
            gate.wait(30.0)
        return x

    with kofn.ThreadPool(4) as pool:
        options = {"workers": pool, "code": "uncoded", "deadline": 0.3}
        plain = kofn.map(f, [1.0, 2.0, 3.0, 2.5], **options)
        estimate = kofn.map(f, [1.0, 2.0, 3.0, 2.5], estimator="lmmse", **options)
        gate.set()
    assert np.isnan(plain.value[1]) and plain.recovered.tolist() == estimate.recovered.tolist()
    assert plain.recovered.tolist() == [True, False, True, True]
    assert 0 <= estimate.value[1] < 3.0 and not estimate.exact and 0 < estimate.error < 1


def test_a_tolerance_is_a_share_of_outputs_that_may_be_missing():
    scheme = FUNCTIONS["uncoded"](twice, list(range(16)), workers=4)
    pool = VirtualPool([[1.0]] * 4)
    collector = Collector(scheme.code, scheme.prior, "exact", kofn.Tolerance(0.5))
    answer = RunLoop(scheme, pool, collector, Placement(pool)).run()
    assert answer.count == 12 and answer.error == 0.5


def test_idle_workers_take_what_waits_behind_a_slow_one_and_repeat_what_it_runs():
    for rows, seconds in ((12, 40.0), (24, 5.0)):  # uncoded, the slow one's own input is waited for
        scheme = FUNCTIONS["repetition"](twice, list(range(12)), workers=4, rows=rows)
        pool = VirtualPool([[1.0], [1.0], [1.0], [40.0]])
        answer = RunLoop(scheme, pool, Collector(scheme.code, None, "exact"), Placement(pool)).run()
        assert answer.exact and answer.report.seconds <= seconds
        assert answer.value.tolist() == [2 * x for x in range(12)]
        assert sum(attempt.worker == 3 for attempt in answer.report.attempts) == 1


@examples(100)
@given(st.integers(1, 6), st.data())
def test_a_code_of_copies_is_the_linear_code_that_it_says(unknowns, data):
    rows = data.draw(st.integers(unknowns, 3 * unknowns))
    copies = CopyCode("repetition", unknowns, rows, data.draw(st.integers(1, 5)))
    plain = kofn.LinearCode("repetition", copies.generator, copies.targets, copies.worker, threshold=copies.threshold)
    received = data.draw(st.permutations(range(rows)))[: data.draw(st.integers(0, rows))]
    prior = kofn.Prior.independent([data.draw(st.floats(0.5, 2.0)) for _ in range(unknowns)])
    assert bool(decodable(copies, received)) == bool(decodable(plain, received))
    for estimator in ("exact", "lmmse"):
        got, right = (decode(code, received, prior, estimator) for code in (copies, plain))
        assert got.recovered.tolist() == right.recovered.tolist() and got.exact == right.exact
        assert np.array_equal(replace(got, error=np.zeros(())).matrix, got.matrix)
        assert float(got.error) == pytest.approx(float(right.error))
        np.testing.assert_allclose(got.matrix @ copies.generator[received], right.matrix @ plain.generator[received],
                                   atol=1e-9)  # fmt: skip
    one, other = Collector(copies, lambda: prior, "exact"), Collector(plain, lambda: prior, "exact")
    for time_, row in enumerate(received):
        one.add(row, time_)
        other.add(row, time_)
        assert (one.exact, one.rank, one.count) == (other.exact, other.rank, other.count)
    assert pickle.loads(pickle.dumps(copies)).worker.tolist() == copies.worker.tolist()
    assert copies.groups.tolist() == plain.groups.tolist()
    assert (copies.rows, copies.unknowns, copies.workers) == (plain.rows, plain.unknowns, plain.workers)


numbers = st.one_of(
    st.booleans(), st.integers(-(2**66), 2**66), st.integers(-5, 5), st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False), st.text(max_size=2), st.none(),
    st.integers(-(2**31), 2**31 - 1).map(np.int32), st.integers(0, 2**64 - 1).map(np.uint64),
    st.floats(width=32, allow_nan=False).map(np.float32), st.booleans().map(np.bool_),
)  # fmt: skip


@examples(150)
@given(st.lists(numbers, min_size=1, max_size=5))
def test_no_value_changes_by_being_put_into_an_array(outputs):
    value = together(dict(enumerate(outputs)), len(outputs))
    for got, right in zip(value.tolist() if isinstance(value, np.ndarray) else value, outputs, strict=True):
        got, right = (one.item() if isinstance(one, np.generic) else one for one in (got, right))
        assert got == right and isinstance(got, bool) == isinstance(right, bool)  # Python compares numbers exactly
