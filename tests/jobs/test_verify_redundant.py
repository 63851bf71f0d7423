"""What has no key is checked by what is redundant, or computed twice: wrong results are found, told of and replaced."""

import math
import random

import numpy as np
import pytest
from scipy.sparse import csr_array

import kofn
from kofn.codes import LinearCode, gaussian_frame
from kofn.jobs._alike import difference
from kofn.jobs._collector import Collector
from kofn.jobs._events import Arrived, Audit, Decode, Encoded, Fail, Sent, Submit, Unclear, Vouched, WakeAt, Withdrawn
from kofn.jobs._state import RunState
from kofn.jobs.scheduling import Adaptive, Duplicates, Rows, Scheduler, Static, Wait
from kofn.simulation import VirtualPool
from kofn.testing import faults
from lies import FAULTS, frame

N, K = 12, 6


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_up_to_five_liars_of_twelve_are_named_and_the_answer_is_right_or_there_is_none(fault, dtype):
    rng = np.random.default_rng(11)
    for seed, count in enumerate([1, 2, 3, 4, 5]):
        scheme, truth = frame(seed, dtype, N, K)
        liars = sorted(rng.choice(N, count, replace=False).tolist())
        with faults.Corrupting(kofn.ThreadPool(N), dict.fromkeys(liars, fault), seed) as pool:
            try:
                answer = kofn.run(scheme, pool, verify="correct")
            except kofn.KofnError:  # five, or several that tell one story and bear each other out
                assert count > (1 if fault == faults.Colluding() else 4)
                continue
        off = np.abs(answer.value - truth).max()
        assert answer.exact and off < {"d": 1e-9, "f": 0.5}[dtype] * answer.amplification
        assert {one.worker for one in answer.report.wrong} <= set(liars)


def test_a_liar_is_withdrawn_and_told_of_with_worker_row_and_size():
    scheme, truth = frame(0, "d", N, K)
    with faults.Corrupting(VirtualPool([[1.0]] * 8 + [[5.0]] * 4), {3: faults.Scaled(2.0)}) as pool:
        answer = kofn.run(scheme, pool, verify="correct")
    (wrong,) = answer.report.wrong
    assert (wrong.worker, wrong.row) == (3, 3) and 1e6 < wrong.size < 1e14
    assert [(one.row, one.worker) for one in answer.report.of("wrong")] == [(3, 3)]
    again = [one for one in answer.report.of("arrived") if one.row == 3]
    assert answer.exact and np.allclose(answer.value, truth) and all(one.worker != 3 for one in again)


def test_on_a_quiet_day_a_run_waits_for_two_results_more_than_it_needs_and_to_detect_for_one():
    scheme, _ = frame(0, "d", N, K)
    times = [[1.0 + worker] for worker in range(N)]
    for verify, count in {"off": K, "detect": K + 1, "correct": K + 2}.items():
        answer = kofn.run(scheme, VirtualPool(times), verify=verify)
        assert answer.exact and answer.count == count and answer.report.seconds == count


def test_to_detect_is_to_raise_and_to_name_what_may_be_wrong():
    scheme, _ = frame(0, "d", N, K)
    times = [[1.0 + worker] for worker in range(N)]
    told = pytest.raises(kofn.Corrupted, match="results of frame contradict each other")
    with faults.Corrupting(VirtualPool(times), {3: faults.Scaled(2.0)}) as pool, told as caught:
        kofn.run(scheme, pool, verify="detect")
    assert 3 in caught.value.candidates


@pytest.mark.parametrize("fault", [faults.Scaled(2.0), faults.Truncated(), faults.NotANumber()], ids=repr)
def test_where_no_row_is_left_to_tell_others_compute_the_same_once_more(fault):
    """One row more than is needed tells that something is wrong and not what: second opinions do."""
    scheme, truth = frame(0, "d", 8, K)
    with faults.Corrupting(kofn.ThreadPool(8), {2: fault, 5: faults.Scaled(3.0)}) as pool:
        answer = kofn.run(scheme, pool, verify="correct")
    assert answer.exact and np.allclose(answer.value, truth)
    assert {one.worker for one in answer.report.wrong} <= {2, 5} and answer.report.wrong


def test_estimates_before_an_audit_are_not_called_exact():
    scheme, _ = frame(0, "d", N, K)
    with kofn.ThreadPool(N) as pool, kofn.start(scheme, pool, verify="correct") as job:
        estimates = list(job)
    assert all(math.isnan(one.error) for one in estimates if not one.exact)
    assert estimates[-1].exact and all(one.count >= K + 2 for one in estimates if one.exact)


def test_before_an_audit_nobody_is_told_of_an_error():
    scheme, _ = frame(0, "d", N, K)
    heard: list[kofn.Progress] = []
    answer = kofn.run(scheme, VirtualPool([[1.0 + one] for one in range(N)]), verify="correct", progress=heard.append)
    assert [one.count for one in heard] == list(range(1, K + 3)) and heard[-1].exact and heard[-1].error == 0.0
    assert all(math.isnan(one.error) and not one.exact for one in heard[:-1])
    assert answer.report.estimates[-1].exact and all(math.isnan(one.error) for one in answer.report.estimates[:-1])


@pytest.mark.parametrize("verify", ["detect", "correct"])
@pytest.mark.parametrize(("given", "returned"), ["ff", "fd", "df", "de"])
def test_rounding_of_inputs_or_results_in_a_lower_precision_is_no_contradiction(given, returned, verify):
    """Results were taken for those of double precision, whatever they were computed from."""
    inputs = np.linspace(0.1, 1.0, 24).reshape(4, 6).astype(given)
    pool = VirtualPool([[1.0 + one] for one in range(12)])
    answer = kofn.map(lambda x: (x**3).astype(returned), inputs, workers=pool, code="lagrange", degree=3, verify=verify)
    assert answer.exact and not answer.report.wrong
    assert len(answer.report.of("arrived")) == {"detect": 11, "correct": 12}[verify]
    assert len({one.row for one in answer.report.attempts}) == len(answer.report.attempts), "none was computed twice"


def test_with_a_deadline_what_two_workers_have_said_is_what_there_is():
    scheme, _ = frame(0, "d", N, K)
    times = [[1.0, 1.0]] * 6 + [[9.0]] * 6
    answer = kofn.run(scheme, VirtualPool(times), verify="correct", deadline=3.5)
    assert answer.exact and answer.count == 6 and len(answer.report.of("compared")) >= 6
    with pytest.raises(kofn.NotDecodable, match="6 of the results were borne out by no other worker"):
        kofn.run(scheme, VirtualPool(times), verify="correct", deadline=1.5)


X = np.random.default_rng(3).standard_normal((3, 4, 4))


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_values_of_a_polynomial_are_right_whatever_two_workers_return(fault):
    with faults.Corrupting(kofn.ThreadPool(9), {1: fault, 6: fault}) as pool:
        answer = kofn.map(lambda x: x @ x, X, workers=pool, code="lagrange", degree=2, verify="correct")
    if fault == faults.Colluding() and not answer.exact:  # each bears the other out, and no polynomial agrees with them
        return
    assert answer.exact and np.allclose(answer.value, X @ X, atol=1e-9)
    assert {one.worker for one in answer.report.wrong} <= {1, 6}


def test_a_wrong_degree_is_called_a_wrong_degree_and_nobody_a_liar():
    with kofn.ThreadPool(9) as pool:
        ask = {"workers": pool, "code": "lagrange", "degree": 2}
        answer = kofn.map(lambda x: x @ x @ x, X, verify="correct", **ask)
        with pytest.raises(kofn.Corrupted, match="or f is not a polynomial of degree 2"):
            kofn.map(lambda x: x @ x @ x, X, verify="detect", **ask)
    assert not answer.report.wrong
    if answer.exact:  # all inputs were among the rows that came, and their values need no polynomial
        assert np.allclose(answer.value, X @ X @ X)
    else:
        assert "f is not a polynomial of degree 2" in answer.report.remarks[0]


@pytest.mark.parametrize("liars", [(), (1,), (1, 6)], ids=repr)
@pytest.mark.parametrize(
    ("f", "degree"), [(np.square, 1), (np.exp, 2), (lambda x: x @ x @ x, 2), (np.abs, 3), (lambda x: x @ x @ x, 3)]
)
def test_a_wrong_degree_is_told_of_whoever_lies_besides_and_no_honest_worker_is_named(f, degree, liars):
    for seed, fault in enumerate([faults.Tile(1), faults.Scaled(2.0), faults.Truncated()]):
        times = np.random.default_rng(seed).uniform(1.0, 2.0, (14, 40))
        with faults.Corrupting(VirtualPool(times), dict.fromkeys(liars, fault), seed) as pool:
            answer = kofn.map(f, X, workers=pool, code="lagrange", degree=degree, verify="correct")
        assert {one.worker for one in answer.report.wrong} <= set(liars)
        if answer.exact:
            assert np.allclose(answer.value, [f(x) for x in X])
        else:
            assert degree < 3 or f is np.abs
            assert f"f is not a polynomial of degree {degree}" in answer.report.remarks[0]


@pytest.mark.parametrize("verify", ["detect", "correct"])
def test_a_number_of_another_precision_at_one_input_is_a_result_like_others(verify):
    """Its worker was called a liar, or the results a contradiction."""
    pool = VirtualPool([[1.0 + one] * 20 for one in range(12)])
    f = lambda x: np.float32(x * x) if x == 0.5 else x * x  # noqa: E731
    answer = kofn.map(f, [0.2, 0.5, 0.7, 1.0], workers=pool, code="lagrange", degree=2, verify=verify)
    assert not answer.report.wrong and np.allclose(answer.value, [0.04, 0.25, 0.49, 1.0])
    assert len({one.row for one in answer.report.attempts}) == len(answer.report.attempts), "none was computed twice"


@pytest.mark.parametrize("verify", ["detect", "correct"])
def test_a_function_that_returns_another_shape_at_one_input_makes_nobody_a_liar(verify):
    pool = VirtualPool([[1.0 + one] * 20 for one in range(12)])
    f = lambda x: np.array([x, x]) if x == 0.5 else x * x  # noqa: E731
    ask = {"workers": pool, "code": "lagrange", "verify": verify}
    assert not kofn.map(f, [0.2, 0.5, 0.7, 1.0], degree=2, **ask).report.wrong
    with pytest.raises(kofn.Corrupted, match=r"returned float64 of shape \(2,\) for .*, where most .* of shape \(\)"):
        kofn.map(lambda x: np.array([x, x]) if x >= 1.0 else x**3, [0.1, 0.4, 0.7, 1.0], degree=3, **ask)


class Given(Scheduler):
    """Workers 0 and 1 are given rows in messages of their own choice, the others those that are left."""

    def assign(self, worker, view):
        waiting = [row for lane in view.waiting.values() for row in lane]
        first = {0: [[0], [2, 3, 4, 5]], 1: [[1]]}.get(worker, [[row] for row in waiting if row > 5])
        return next((Rows(rows) for rows in first if set(rows) <= set(waiting)), Wait())


def test_a_row_that_is_taken_back_because_of_another_one_of_its_message_is_not_counted():
    """A worker that returns two shapes can turn what is usual; the run ended in a KeyError."""
    scheme = kofn.schemes.lagrange(np.square, [0.2, 0.5, 0.7], degree=2, workers=7, rows=14)
    odd = {float(arguments[0]) for arguments in scheme.arguments.of_rows()[:3]}
    f = lambda x: np.zeros(2) if float(x) in odd else x * x  # noqa: E731
    ask = {"code": "lagrange", "degree": 2, "rows": 14, "verify": "correct", "scheduler": Given()}
    pool = VirtualPool([[1.0] * 9, [1.5] * 9, *([4.0 + one] * 9 for one in range(5))])
    answer = kofn.map(f, [0.2, 0.5, 0.7], workers=pool, **ask)
    assert next(one.outcome for one in answer.report.attempts if one.row == 2) == "compared"
    assert answer.exact and np.allclose(answer.value, np.square([0.2, 0.5, 0.7]))


def test_two_workers_with_one_wrong_story_are_believed_and_the_third_is_named():
    """What comparison cannot know, as the docs say."""
    with faults.Corrupting(kofn.ThreadPool(3), dict.fromkeys((0, 1), faults.Scaled(2.0))) as pool:
        answer = kofn.map(lambda x: x + 1.0, range(6), workers=pool, verify="correct")
    assert {one.worker for one in answer.report.wrong} <= {2} and np.allclose(answer.value, 2.0 * np.arange(1.0, 7.0))


SUMS = ["auto", "uncoded", "cyclic", "ring", "gradient", "sum-recovery", "lt"]


@pytest.mark.parametrize("code", SUMS)
def test_no_sum_lets_a_lie_in(code):
    terms = [lambda x, i=i: np.cos(i * x) for i in range(24)]
    x = np.linspace(0.0, 1.0, 5)
    liars = {1: faults.Scaled(2.0), 4: faults.Stale()}
    with faults.Corrupting(kofn.ThreadPool(6), liars) as pool:
        answer = kofn.sum(terms, x, workers=pool, code=code, rng=0, verify="correct")
        right = sum(term(x) for term in terms)
        assert answer.exact and np.allclose(answer.value, right)
        assert {one.worker for one in answer.report.wrong} <= {1, 4}


@pytest.mark.parametrize("scheduler", ["auto", "static", "adaptive", "speculative", "duplicates"])
@pytest.mark.parametrize("result", [lambda x: x + 1, str, lambda x: {"a": [x, b"b"]}, lambda x: np.full(3, 0.5 * x)])
def test_each_input_is_evaluated_by_two_workers_and_a_third_where_they_differ(result, scheduler):
    class Liar(faults.Fault):
        def spoil(self, value, last, rng):
            return value * 3 + 1

    with faults.Corrupting(kofn.ThreadPool(4), {2: Liar()}) as pool:
        answer = kofn.map(result, range(12), workers=pool, verify="correct", scheduler=scheduler)
    for got, x in zip(answer.value, range(12), strict=True):
        assert np.array_equal(got, result(x)) if isinstance(got, np.ndarray) else got == result(x)
    assert answer.exact and {one.worker for one in answer.report.wrong} <= {2}
    for row in range(12):
        asked = [one.worker for one in answer.report.attempts if one.row == row and one.outcome != "abandoned"]
        assert len(set(asked)) >= 2


def test_copies_that_a_code_has_are_compared_with_each_other():
    with kofn.ThreadPool(4) as pool:
        answer = kofn.map(abs, range(6), workers=pool, code="repetition", rows=12, verify="correct")
    assert answer.exact and len(answer.report.of("compared")) == 6 <= len(answer.report.of("arrived"))


def test_two_workers_that_differ_are_named_where_a_third_is_not_asked():
    with faults.Corrupting(kofn.ThreadPool(2), {1: faults.Scaled(2)}) as pool:
        for verify in ("detect", "correct"):
            with pytest.raises(kofn.Corrupted, match=r"workers 0, 1|workers 1, 0") as caught:
                kofn.map(abs, [1, 2, 3], workers=pool, verify=verify)
            assert set(caught.value.candidates) < {0, 1, 2}


def test_a_function_that_is_not_determined_by_its_input_is_told_of():
    with kofn.ThreadPool(7) as pool, pytest.raises(kofn.Corrupted, match="not determined by its input alone"):
        kofn.map(lambda x: random.SystemRandom().random(), range(4), workers=pool, verify="correct")


def test_where_all_others_die_nothing_is_called_right():
    with kofn.Straggling(kofn.ThreadPool(2), kofn.Constant(0.0)) as pool:
        pool._pool.close()
        with pytest.raises(kofn.KofnError):
            kofn.map(abs, [1, 2], workers=pool, verify="correct")


def test_a_sum_that_is_called_again_and_again_is_checked_every_time():
    liars = faults.Corrupting(kofn.ThreadPool(4), {0: faults.Scaled(3.0)})
    with liars as pool, kofn.CodedSum([np.sin, np.cos, np.exp], workers=pool, verify="correct") as total:
        for x in (0.0, 1.0):
            answer = total(x)
            assert answer.exact and np.isclose(answer.value, np.sin(x) + np.cos(x) + np.exp(x))
            assert {one.worker for one in answer.report.wrong} <= {0}


# -- the state of a run -----------------------------------------------------------------------------------


def plain(rows, workers):
    return LinearCode("plain", np.eye(rows), np.eye(rows), worker=np.arange(rows) % workers, threshold=rows)


def follow(state, actions, time):
    while isinstance(actions[0], Submit):
        actions = state.handle(Sent(actions[0].worker, time), time)
    return actions


def started(code, workers, scheduler, surplus=0):
    state = RunState(Collector(code, surplus=surplus), workers, scheduler)
    follow(state, state.handle(Encoded(["idle"] * workers), 0.0), 0.0)
    return state


@pytest.mark.parametrize("scheduler", [Static(), Adaptive(), Duplicates(after=0.0)], ids=repr)
def test_a_row_that_is_unsure_goes_to_another_worker_and_never_back(scheduler):
    state = started(plain(2, 2), 2, scheduler)
    actions = state.handle(Arrived(0, "idle", [0.0], [0]), 1.0)
    state.check()
    assert 0 not in state.view.in_flight or state.view.in_flight[0].rows == [1]
    actions = follow(state, actions, 1.0)
    for _ in range(4):
        if isinstance(actions[0], Decode):
            break
        for worker, message in list(state.view.in_flight.items()):
            unsure = [row for row in message.rows if row not in state.view.spoken and row == 1]
            actions = state.handle(Arrived(worker, "idle", [0.0] * len(message.rows), unsure), 2.0)
            actions = follow(state, actions, 2.0)
            state.check()
            if isinstance(actions[0], Decode):
                break
    assert isinstance(actions[0], Decode)
    assert {one.worker for one in state.attempts if one.row == 0 and one.outcome in ("compared", "arrived")} == {0, 1}


def test_a_run_audits_before_it_decodes_and_takes_back_what_is_wrong():
    code = LinearCode("frame", gaussian_frame(4, 2, np.random.default_rng(0)), np.eye(2), worker=range(4), threshold=2)
    state = started(code, 4, Static(), surplus=2)
    for worker in range(3):
        assert isinstance(state.handle(Arrived(worker, "idle", [0.0]), 1.0)[0], WakeAt)
    assert state.handle(Arrived(3, "idle", [0.0]), 2.0) == [Audit()]
    (action,) = state.handle(Withdrawn([(1, 1)], [(1, 1)]), 2.0)
    assert isinstance(action, Submit) and action.rows == [1] and action.worker != 1
    assert state.view.states[1] == "dead" and not state.collector.exact
    assert [one.outcome for one in state.attempts] == ["arrived", "wrong", "arrived", "arrived"]
    state.check()
    follow(state, [action], 2.0)
    assert state.handle(Arrived(action.worker, "idle", [0.0]), 3.0) == [Audit()]
    assert state.handle(Vouched(), 3.0) == [Decode()]


def test_a_run_in_which_it_is_unclear_what_is_wrong_looks_a_last_time_and_then_gives_up():
    code = LinearCode("frame", gaussian_frame(3, 2, np.random.default_rng(0)), np.eye(2), worker=range(3), threshold=2)
    state = started(code, 3, Static(), surplus=1)
    for worker in range(2):
        state.handle(Arrived(worker, "idle", [0.0]), 1.0)
    assert state.handle(Arrived(2, "idle", [0.0]), 2.0) == [Audit()]
    error = kofn.Corrupted("some are wrong", [0, 1, 2])
    assert state.handle(Unclear(error), 2.0) == [Audit(last=True)]
    assert state.handle(Unclear(error), 2.0) == [Fail("", error)]


def test_what_is_alike():
    one = {"a": [1.0, "b", b"c"], "d": np.arange(3)}
    assert difference(one, {"a": [1.0, "b", b"c"], "d": np.arange(3)}) == 0.0
    assert difference(one, {"a": [1.0, "b", b"d"], "d": np.arange(3)}) == math.inf
    assert difference(np.array([1.0, np.nan, np.inf]), np.array([1.0 + 1e-15, np.nan, np.inf])) < 1.0
    assert difference(np.array([np.nan]), np.array([1.0])) == difference(1, 1.0) == difference("1", 1) == math.inf
    assert difference(2**70, 2**70) == 0.0 and difference(2**70, 2**70 + 1) == math.inf
    assert difference(np.float32(1.0), np.float32(1.0 + 5e-5)) < 1.0 < difference(np.float32(1.0), np.float32(1.01))
    assert difference(np.array([1e308, 0.0]), np.array([-1e308, 0.0])) > 1e10
    assert difference(np.array(["a", "b"]), np.array(["a", "b"])) == 0.0
    assert difference(random.Random(1), random.Random(1)) == 0.0 != difference(random.Random(1), random.Random(2))


@pytest.mark.parametrize("seed", range(4))
def test_who_is_refused_because_of_what_a_liar_said_is_not_named(seed):
    """Integers that add up to 2**53 with those before are refused: beside a lie honest workers looked wrong."""
    rows = np.random.default_rng(0).integers(0, 4, (10, 6)).astype(float)
    code = LinearCode("own", csr_array(rows), np.ones((1, 6)), worker=range(10))
    terms = [lambda x, i=i: np.array([10**5 + i, 3 * i + 1]) for i in range(6)]
    times = np.random.default_rng(seed).uniform(0.5, 2.0, (10, 1)).tolist()
    with faults.Corrupting(VirtualPool(times), {1: faults.Scaled(2.0**36)}) as pool:
        answer = kofn.sum(terms, 0.0, workers=pool, code=code, rng=0, verify="correct")
    assert answer.exact and np.array_equal(answer.value, [600_015, 51])
    assert {one.worker for one in answer.report.wrong} <= {1}
