"""What checks make of results that they are told one by one: who bears whom out, and what is asked for again."""

from __future__ import annotations

import math
import weakref

import numpy as np
import pytest

from kofn.codes import LinearCode, gaussian_frame
from kofn.errors import TaskError
from kofn.jobs import _events as on
from kofn.jobs._alike import difference
from kofn.jobs._checks import Heard
from kofn.jobs._compared import Compared
from kofn.jobs._redundant import Redundant


def compared_of(groups, recalls=False):
    return Compared(list(groups), True, lambda rows: "", recalls=recalls)


def checks_of(code, surplus=2):
    return Redundant(code, surplus, compared_of(code.groups, recalls=True), True)


def told(checks, results):
    """Each row's result is that of the worker of the same number."""
    for row, result in results.items():
        assert checks.hear(row, row, None, result) is Heard.RIGHT
    return checks.audit(list(results), results)


def test_a_worker_that_says_the_same_twice_bears_out_nothing():
    checks = compared_of([0])
    assert [checks.hear(0, 0, None, 5) for _ in range(3)] == [Heard.UNSURE] * 3
    assert checks.remark() and not checks.is_settled(0)
    assert checks.hear(1, 0, None, 5) is Heard.RIGHT and checks.is_settled(0)


def test_a_result_that_no_other_tells_of_is_asked_for_once_more():
    code = LinearCode("half", [[1, 0], [2, 0], [3, 0], [1, 1]], np.eye(2), worker=range(4))
    results = dict(enumerate(code.generator @ np.array([[1.0, 2.0], [3.0, 4.0]])))
    checks = checks_of(code)
    assert told(checks, results) == on.Withdrawn([], [(3, 3)])
    assert checks.hear(1, 3, None, results[3]) is Heard.RIGHT
    assert checks.audit(list(results), results) == on.Vouched() and not checks.wrong


def test_a_story_that_one_worker_tells_in_several_rows_is_not_believed_against_the_others():
    """Three rows of one worker agree with one another, and not with two of honest ones: either may be wrong."""
    code = LinearCode("frame", gaussian_frame(6, 2, np.random.default_rng(0)), np.eye(2), worker=range(6))
    right = code.generator @ np.random.default_rng(1).standard_normal((2, 40))
    results = {row: right[row] if row < 2 else np.roll(right[row], 20) for row in range(5)}
    checks = checks_of(code)
    for row, result in results.items():
        assert checks.hear(min(row, 2), row, None, result) is Heard.RIGHT
    assert isinstance(checks.audit(list(results), results), on.Unclear) and not checks.wrong
    asked = checks.audit(list(results), results, last=True)
    assert asked == on.Withdrawn((), [(row, min(row, 2)) for row in range(5)]), "all are computed once more"


def test_rows_of_one_worker_that_agree_with_all_others_whatever_they_are_are_asked_for_once_more():
    code = LinearCode("frame", gaussian_frame(6, 2, np.random.default_rng(0)), np.eye(2), worker=range(6))
    results = dict(enumerate((code.generator @ np.arange(6.0).reshape(2, 3))[:4]))
    checks = checks_of(code)
    for row, result in results.items():
        assert checks.hear(min(row, 1), row, None, result) is Heard.RIGHT
    assert checks.audit(list(results), results) == on.Withdrawn([], [(1, 1), (2, 1), (3, 1)])


def test_what_was_withdrawn_is_not_withdrawn_again_with_results_of_its_kind():
    code = LinearCode("frame", gaussian_frame(9, 2, np.random.default_rng(0)), np.eye(2), worker=range(9))
    results = dict(enumerate((code.generator @ np.arange(6.0).reshape(2, 3))[:4]))
    results[3] = results[3] + 1.0
    checks = checks_of(code)
    assert told(checks, results) == on.Withdrawn([(3, 3)], [(3, 3)])
    error = TaskError("another shape", 4)
    for worker in range(4, 9):  # until most workers return numbers of another shape
        checks.hear(worker, worker, None, np.zeros(7))
        checks.misfit(worker, worker, np.zeros(7), error)
    again = [pair for news in checks.news() for pair in news.again]
    assert again == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("scale", [2.0**-60, 1.0, 2.0**60])
@pytest.mark.parametrize(("dtype", "epsilon"), [(np.float64, 2.0**-52), (np.float32, 2.0**-23), (complex, 2.0**-52)])
def test_a_difference_is_told_in_units_of_a_thousand_roundings_of_the_largest_number(scale, dtype, epsilon):
    one = np.array([0.5, -1.0, 0.25], dtype) * np.asarray(scale, dtype)
    other = one.copy()
    other[2] *= 1 + 4096 * epsilon
    assert difference(one, other) == difference(other, one) == pytest.approx(4096 / 4 / 1000, rel=1e-2)
    assert difference(one, one) == 0.0
    other[1] = np.nan
    assert difference(one, other) == math.inf


def test_a_result_of_another_shape_is_called_wrong_once_the_others_are_vouched_for():
    code = LinearCode("frame", gaussian_frame(9, 2, np.random.default_rng(0)), np.eye(2), worker=range(9))
    results = dict(enumerate((code.generator @ np.arange(6.0).reshape(2, 3))[:4]))
    checks = checks_of(code)
    checks.hear(4, 4, None, np.zeros(7))
    for row, result in results.items():
        checks.hear(row, row, None, result)
    assert checks.misfit(4, 4, np.zeros(7), TaskError("another shape", 4)) is Heard.UNSURE and not checks.wrong
    assert checks.audit(list(results), results) == on.Vouched()
    assert [(one.row, one.worker, one.size) for one in checks.wrong] == [(4, 4, math.inf)]


def test_at_the_limit_itself_results_still_say_the_same():
    checks = compared_of([0])
    assert checks.hear(0, 0, None, 1.0) is Heard.UNSURE
    assert checks.hear(1, 0, None, 1.0) is Heard.RIGHT
    limit = 1.0 - 1000 * 2.0**-52
    assert difference(1.0, limit) == 1.0
    assert checks.hear(2, 0, None, limit) is Heard.RIGHT and not checks.wrong


def test_parts_of_results_may_differ_by_rounding_as_results_may():
    for of in (lambda x: {"a": x}, lambda x: [1, x], lambda x: ("b", [x]), lambda x: {"a": {"b": (x,)}}):
        assert difference(of(1.0), of(1.0 + 2.0**-50)) == pytest.approx(4e-3, rel=1e-2)
        assert difference(of(1.0), of(1.1)) > 1e9
    assert difference({"a": 1.0}, {"b": 1.0}) == difference([1.0], (1.0,)) == difference([1.0], [1.0, 2.0]) == math.inf


def test_half_precision_is_compared_by_half_of_its_digits():
    """A thousand units of its precision would be all of a number: 0.1 in place of 1.0 was the same."""
    one, other = np.array([1.0, 0.5], np.float16), np.array([1.0, 0.9], np.float16)
    assert difference(np.float16(1.0), np.float16(0.1)) > 1.0 and difference(one, other) > 1.0
    assert difference(one, np.array([1.0, 0.501], np.float16)) <= 1.0


def test_half_precision_contradicts_itself():
    code = LinearCode("frame", gaussian_frame(6, 2, np.random.default_rng(0)), np.eye(2), worker=range(6))
    right = (code.generator @ np.random.default_rng(1).standard_normal((2, 40))).astype(np.float16)
    assert told(checks_of(code), dict(enumerate(right))) == on.Vouched()
    wrong = {row: -result if row == 3 else result for row, result in enumerate(right)}
    assert told(checks_of(code), wrong) != on.Vouched()


def test_what_one_worker_said_is_let_go_of_once_another_has_said_the_same():
    checks, first = compared_of([0]), np.ones(5)
    gone = weakref.ref(first)
    assert checks.hear(0, 0, None, first) is Heard.UNSURE
    del first
    assert checks.hear(1, 0, None, np.ones(5)) is Heard.RIGHT
    assert gone() is None
    assert checks.hear(2, 0, None, np.zeros(5)) is Heard.WRONG


def test_wrong_results_are_let_go_of_where_nothing_is_doubted_later():
    checks, lies = compared_of([0]), [np.zeros(5), np.full(5, 2.0)]
    gone = [weakref.ref(lie) for lie in lies]
    assert checks.hear(0, 0, None, lies[0]) is Heard.UNSURE
    assert checks.hear(1, 0, None, np.ones(5)) is Heard.UNSURE
    assert checks.hear(2, 0, None, np.ones(5)) is Heard.RIGHT
    assert checks.hear(3, 0, None, lies[1]) is Heard.WRONG
    lies.clear()
    assert [one() for one in gone] == [None, None]


@pytest.mark.parametrize("other", [np.float32, np.int64, int, list])
@pytest.mark.parametrize("corrects", [False, True])
def test_results_that_a_scheme_takes_are_of_one_kind_whatever_their_precision(corrects, other):
    """One honest result of single precision, or a whole number, among others was called none at all."""
    code = LinearCode("frame", gaussian_frame(4, 2, np.random.default_rng(0)), np.eye(2), worker=range(4))
    checks = Redundant(code, 2, compared_of(range(4), recalls=True), corrects)
    results = dict(enumerate(np.zeros(4)))
    results[1] = [0.0] if other is list else other(0)
    payloads = {row: np.asarray(result, float) for row, result in results.items()}
    if other is list:
        results, payloads = ({**of, **{row: np.zeros(1) for row in (0, 2, 3)}} for of in (results, payloads))
    for row, result in results.items():
        assert checks.hear(row, row, None, result) is Heard.RIGHT
    assert checks.audit(list(results), payloads) == on.Vouched() and not checks.wrong


def test_several_that_return_another_shape_for_a_row_are_not_named_unless_it_has_a_result_as_is_usual():
    """Its task may do so: where f returned another shape at one input, three honest workers were called liars."""
    code = LinearCode("frame", gaussian_frame(9, 2, np.random.default_rng(0)), np.eye(2), worker=range(9))
    results = dict(enumerate((code.generator @ np.arange(6.0).reshape(2, 3))[:4]))
    odd = np.zeros(7)
    for named in (False, True):
        checks = checks_of(code)
        for row, result in results.items():
            assert checks.hear(row, row, None, result) is Heard.RIGHT
        for worker in (4, 5):
            checks.hear(worker, 8, None, odd)
            assert checks.misfit(worker, 8, odd, TaskError("another shape", 8)) is Heard.UNSURE
        error = checks.unsettled()
        assert list(error.candidates) == [8] and "workers 4, 5 returned float64 of shape (7,) for row 8" in str(error)
        if named:
            results[8] = code.generator[8] @ np.arange(6.0).reshape(2, 3)
            assert checks.hear(8, 8, None, results[8]) is Heard.RIGHT and checks.unsettled() is None
        assert checks.audit(list(results), results) == on.Vouched()
        assert {one.worker for one in checks.wrong} == ({4, 5} if named else set())


def test_a_row_that_many_are_asked_of_does_not_make_its_shape_the_usual_one():
    """Those who had computed it last outvoted the others, and what these had returned was withdrawn."""
    code = LinearCode("frame", gaussian_frame(9, 2, np.random.default_rng(0)), np.eye(2), worker=range(9))
    results = dict(enumerate((code.generator @ np.arange(6.0).reshape(2, 3))[:4]))
    checks, odd = checks_of(code), np.zeros(7)
    for row, result in results.items():
        assert checks.hear(row, row, None, result) is Heard.RIGHT
    for worker in range(3):
        checks.hear(worker, 8, None, odd)
        assert checks.misfit(worker, 8, odd, TaskError("another shape", 8)) is Heard.UNSURE
    assert not checks.news() and checks.audit(list(results), results) == on.Vouched() and not checks.wrong


TWINS = LinearCode("twins", [[1, 0], [0, 1], [1, 1], [1, 1], [1, -1], [1, 2]], np.eye(2), worker=range(6))
"""Rows 2 and 3 say the same."""


def twins(checks, liars=(4, 5)):
    """Two liars say the same of row 2, which was in question; then an honest worker returns row 3."""
    right = dict(enumerate(TWINS.generator @ np.array([[1.0, 2.0], [3.0, 5.0]])))
    lie = right[2] + 1.0
    checks._compared.hear(liars[0], 2, None, lie)
    for row in (0, 1, 4, 5):
        assert checks.hear(row, row, None, right[row]) is Heard.RIGHT
    assert checks.hear(liars[1], 2, None, lie) is Heard.RIGHT
    return right, lie


def test_who_contradicts_two_liars_in_an_equal_row_is_not_named_once_these_are_doubted():
    checks = checks_of(TWINS)
    right, lie = twins(checks, liars=(7, 8))
    assert checks.hear(9, 3, None, right[3]) is Heard.WRONG
    assert [(one.row, one.worker) for one in checks.wrong] == [(3, 9)]
    rows = {0: right[0], 1: right[1], 4: right[4], 5: right[5], 2: lie}
    assert checks.audit(list(rows), rows) == on.Withdrawn((), [(2, 8)]) and not checks.wrong
    assert checks.hear(10, 2, None, right[2]) is Heard.UNSURE
    assert checks.hear(11, 3, None, right[3]) is Heard.RIGHT
    assert {(one.row, one.worker) for one in checks.wrong} == {(2, 7), (2, 8)}


def test_what_was_taken_of_a_row_goes_once_two_have_said_something_else_of_its_equal():
    checks = checks_of(TWINS)
    right = dict(enumerate(TWINS.generator @ np.array([[1.0, 2.0], [3.0, 5.0]])))
    assert checks.hear(7, 3, None, right[3] + 1.0) is Heard.RIGHT
    checks._compared.hear(8, 2, None, right[2])
    assert checks.hear(9, 2, None, right[2]) is Heard.RIGHT
    assert checks.takes_back(3) and not checks.takes_back(2)
    assert checks.news() == [on.Withdrawn([(3, 7)], [(3, 7)])] and not checks.takes_back(3)
    assert [(one.row, one.worker) for one in checks.wrong] == [(3, 7)]


def test_all_that_one_result_tells_of_others_is_told_at_once():
    """An audit in between found a row whose result was gone."""
    checks = checks_of(TWINS)
    right = dict(enumerate(TWINS.generator @ np.array([[1.0, 2.0], [3.0, 5.0]])))
    assert checks.hear(7, 3, None, right[3] + 1.0) is Heard.RIGHT
    checks._compared.hear(6, 2, None, right[2] + 2.0)
    checks._compared.hear(8, 2, None, right[2])
    assert checks.hear(9, 2, None, right[2]) is Heard.RIGHT
    assert checks.news() == [on.Withdrawn([(2, 6), (3, 7)], [(3, 7)])]


def test_equal_rows_that_two_said_alike_and_all_others_contradict_end_in_no_answer():
    checks = checks_of(TWINS)
    right, lie = twins(checks, liars=(7, 8))
    assert checks.hear(8, 3, None, lie) is Heard.RIGHT
    rows = {0: right[0], 1: right[1], 4: right[4], 5: right[5], 2: lie, 3: lie}
    assert isinstance(checks.audit(list(rows), rows), on.Unclear), "both are off by the same"
    assert checks.audit(list(rows), rows, last=True) == on.Withdrawn((), [(row, row) for row in (0, 1, 4, 5)])
    for row in (0, 1, 4, 5):
        assert checks.hear(9, row, None, right[row]) is Heard.RIGHT
    told = checks.audit(list(rows), rows, last=True)
    assert isinstance(told, on.Unclear) and "they contradict its generator" in str(told.error)


def test_where_no_third_is_there_two_are_not_said_to_differ():
    checks = compared_of([0], recalls=True)
    assert [checks.hear(worker, 0, None, 5) for worker in (0, 1)] == [Heard.UNSURE, Heard.RIGHT]
    assert checks.doubt(0) == set() and checks.doubt(0) is None
    assert "no three of workers 0, 1 returned the same for row 0, and what two did contradicts" in str(
        checks.unsettled()
    )
    assert checks.hear(2, 0, None, 5) is Heard.RIGHT and checks.unsettled() is None
