"""Wrong results are found where they arrive, never used, told of, and computed by somebody else."""

import math
from functools import partial

import numpy as np
import pytest

import kofn
from kofn.codes._linear import LinearCode
from kofn.jobs._collector import Collector
from kofn.jobs._events import Arrived, Decode, Encoded, Fail, Rejected, Sent, Submit
from kofn.jobs._state import RunState
from kofn.jobs._trust import ATTEMPTS
from kofn.jobs.scheduling import Adaptive, Static
from kofn.schemes.products._freivalds import Freivalds
from kofn.testing import faults

LARGE = [
    faults.BitFlip(part="sign"),
    faults.Scaled(-1.0),
    faults.Constant(),
    faults.Tile(side=1),
    faults.Tile(side=8),
    faults.Swapped(),
    faults.NotANumber(),
    faults.Truncated(),
    faults.Colluding(),
]


def operands(dtype="d", seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((120, 60)).astype(dtype), rng.standard_normal((60, 40)).astype(dtype)


def product(liars, seed=0, code="mds", n=12, dtype="d", **options):
    a, b = operands(dtype, seed)
    with faults.Corrupting(kofn.ThreadPool(n), liars, seed) as pool:
        answer = kofn.matmul(a, b, workers=pool, code=code, rng=seed, **options)
    return answer, np.abs(answer.value - a.astype(np.result_type(dtype, "d")) @ b).max()


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("fault", LARGE, ids=repr)
def test_six_liars_of_twelve_are_named_and_the_answer_is_right(fault, dtype):
    rng = np.random.default_rng(3)
    for seed in range(3):
        liars = sorted(rng.choice(12, 6, replace=False).tolist())
        answer, off = product(dict.fromkeys(liars, fault), seed, dtype=dtype, blocks=(6, 1), verify="correct")
        a, b = operands(dtype, seed)
        size = np.linalg.norm(a, axis=1).max() * np.linalg.norm(b, axis=0).max()
        bound = (50 * answer.amplification + len(b)) * float(np.finfo(dtype).eps) * size  # docs/architecture.md, Exact
        assert answer.exact and off <= bound < 0.1 * size
        told = [one.worker for one in answer.report.wrong]
        assert set(told) <= set(liars) and len(set(told)) == len(told), "each is left out at once"
        assert all(one.size > 1.0 for one in answer.report.wrong)


@pytest.mark.parametrize("code", ["uncoded", "repetition", "mds-dense", "polynomial", "matdot", "kronecker", "now-uep"])
@pytest.mark.parametrize("verify", ["detect", "correct"])
def test_no_code_lets_a_lie_into_an_answer(code, verify):
    answer, off = product({1: faults.Tile(1), 4: faults.Stale()}, code=code, n=6, verify=verify)
    assert answer.exact and off < 1e-10
    assert {one.worker for one in answer.report.wrong} <= {1, 4}
    assert len(answer.report.of("wrong")) == len(answer.report.wrong)


def test_without_a_check_the_same_answer_is_wrong_and_called_exact():
    answer, off = product({0: faults.Tile(1)}, code="uncoded", n=3)
    assert answer.exact and off > 0.1 and not answer.report.wrong


def test_rows_of_a_liar_go_to_others_and_the_report_says_so():
    answer, off = product({0: faults.Scaled(2.0)}, code="uncoded", n=3, verify="correct")
    (wrong,) = answer.report.wrong
    assert answer.exact and off < 1e-12 and wrong.worker == 0
    (attempt,) = answer.report.of("wrong")
    assert (attempt.row, attempt.worker) == (wrong.row, 0)
    assert {one.worker for one in answer.report.of("arrived") if one.row == wrong.row} <= {1, 2}
    assert f"worker 0 returned a wrong result of row {wrong.row}" in str(answer.report)
    assert answer.report.to_dict()["wrong"] == [{"row": wrong.row, "worker": 0, "size": wrong.size}]


@pytest.mark.parametrize("verify", ["detect", "correct"])
def test_where_all_lie_there_is_no_answer(verify):
    with pytest.raises(kofn.NotDecodable, match="all 2 workers are gone, 2 of them set aside for wrong results"):
        product(dict.fromkeys(range(2), faults.Scaled(2.0)), code="uncoded", n=2, verify=verify)


def test_honest_workers_are_never_accused():
    for seed, dtype in enumerate("fdFD" * 3):
        answer, _ = product({}, seed, dtype=dtype, verify="correct")
        assert answer.exact and not answer.report.wrong


def test_coded_backups_are_checked_too():
    answer, off = product({2: faults.Tile(2)}, code="uncoded", n=4, scheduler="coded", verify="correct")
    assert answer.exact and off < 1e-10


def test_a_worker_of_another_process_that_writes_into_its_result_is_named():
    a, b = operands()
    with faults.Corrupting(kofn.LocalPool(3), {1: faults.Tile(1)}) as pool:
        pool.warm()
        answer = kofn.matmul(a, b, workers=pool, code="uncoded", blocks=(12, 1), verify="correct")
    assert answer.exact and np.allclose(answer.value, a @ b) and {one.worker for one in answer.report.wrong} <= {1}


@pytest.mark.parametrize("verify", ["detect", "correct"])
def test_one_worker_has_nobody_to_compare_with_and_that_is_refused_before_anything_starts(verify):
    with kofn.ThreadPool(1) as pool:
        calls = {
            "kofn.sum": lambda: kofn.sum([np.sin, np.cos], 0.0, workers=pool, verify=verify),
            "kofn.map": lambda: kofn.map(abs, [1.0, 2.0], workers=pool, verify=verify),
        }
        for name, call in calls.items():
            with pytest.raises(kofn.ArgumentError, match=f"{name}: 'verify' must be 'off' with one worker"):
                call()


def code_of(rows, workers):
    return LinearCode("plain", np.eye(rows), np.eye(rows), worker=np.arange(rows) % workers, threshold=rows)


def started(rows, workers, scheduler, **options):
    state = RunState(Collector(code_of(rows, workers)), workers, scheduler, **options)
    act = state.handle(Encoded(["idle"] * workers), 0.0)
    while isinstance(act[0], Submit):
        act = state.handle(Sent(act[0].worker, 0.0), 0.0)
    return state


@pytest.mark.parametrize("scheduler", [Static(), Adaptive()], ids=repr)
def test_a_rejected_row_is_given_to_another_worker_at_once(scheduler):
    state = started(2, 2, scheduler)
    state.handle(Arrived(1, "idle", [0.0]), 1.0)
    assert state.handle(Rejected(0, "idle", [0.0], [0]), 2.0) == [Submit(1, [0])]
    state.handle(Sent(1, 2.0), 2.0)
    assert state.handle(Arrived(1, "idle", [0.0]), 3.0) == [Decode()]
    assert [(one.row, one.worker, one.outcome) for one in state.attempts] == [
        (1, 1, "arrived"),
        (0, 0, "wrong"),
        (0, 1, "arrived"),
    ]


def test_one_that_was_wrong_is_given_nothing_more_and_one_with_patience_is():
    for lies, states in ((1, "dead"), (2, "busy")):
        state = started(4, 2, Static(), lies=lies)
        state.handle(Rejected(0, "idle", [0.0], [0]), 2.0)
        assert state.view.states[0] == states
    state.handle(Sent(0, 2.0), 2.0)
    state.handle(Rejected(0, "idle", [0.0], [2]), 3.0)
    assert state.view.states[0] == "dead"


def test_of_a_message_only_the_wrong_rows_are_rejected():
    state = started(6, 1, Static(), lies=9)
    state.handle(Arrived(0, "idle", [0.0]), 1e-5)
    assert 2 in state.view.in_flight[0].rows
    count = len(state.view.in_flight[0].rows)
    state.handle(Rejected(0, "idle", [0.0] * count, [2]), 2e-5)
    assert 2 not in state.collector.received and len(state.collector.received) == count
    assert state.view.queue.is_waiting(2) != (2 in state.view.in_flight[0].rows)


def test_a_row_that_three_workers_got_wrong_is_given_up():
    state = started(1, 4, Adaptive(), lies=9)
    wrong = set()
    for time in range(1, 20):
        if not state.view.in_flight:
            break
        for worker in list(state.view.in_flight):
            wrong.add(worker)
            act = state.handle(Rejected(worker, "idle", [0.0], [0]), float(time))
            while isinstance(act[0], Submit):
                act = state.handle(Sent(act[0].worker, float(time)), float(time))
    assert state.given_up == [0] and len(wrong) >= ATTEMPTS and isinstance(act[0], Fail)


def test_the_size_of_a_lie_is_told():
    told = [str(kofn.jobs.report._attempt.Wrong(3, 1, size)) for size in (2.5e6, math.inf)]
    assert "2.5e+06 times what rounding explains" in told[0] and "no result at all" in told[1]


def test_a_plan_checks_every_run_and_a_run_can_leave_it_out():
    a, b = operands()
    with faults.Corrupting(kofn.ThreadPool(4), {0: faults.Scaled(3.0)}) as pool:
        make = partial(kofn.schemes.uncoded, a, b, workers=4, rows=4)
        with kofn.prepare(make(), pool, verify="detect") as plan:
            for _ in range(2):
                assert np.allclose(plan.run().value, a @ b)
            assert not np.allclose(plan.run(verify="off").value, a @ b)


def test_a_worker_that_was_wrong_in_three_jobs_is_left_out_of_its_pool_with_a_warning():
    a, b = operands()
    ask = {"code": "uncoded", "blocks": (8, 1), "scheduler": "static"}
    with faults.Corrupting(kofn.ThreadPool(4), {2: faults.Scaled(3.0)}) as pool:
        for _ in range(2):
            assert kofn.matmul(a, b, workers=pool, verify="correct", **ask).report.wrong
        with pytest.warns(kofn.LeftOut, match="worker 2 returned wrong results in 3 jobs and is left out of this pool"):
            kofn.matmul(a, b, workers=pool, verify="correct", **ask)
        answer = kofn.matmul(a, b, workers=pool, **ask)
    assert np.allclose(answer.value, a @ b) and {one.worker for one in answer.report.attempts} == {0, 1, 3}


def test_a_plan_sketches_blocks_that_stay_once(monkeypatch):
    a, b = operands()
    asked, sketched = [], []
    ask, make = Freivalds.excess, Freivalds._sketched
    monkeypatch.setattr(Freivalds, "excess", lambda *given: asked.append(1) or ask(*given))
    monkeypatch.setattr(Freivalds, "_sketched", lambda *given: sketched.append(1) or make(*given))
    with kofn.ThreadPool(3) as pool:
        scheme = kofn.schemes.uncoded(a, b, blocks=(3, 1), workers=3)
        with kofn.prepare(scheme, pool, verify="correct") as plan:
            assert all(np.allclose(plan.run().value, a @ b) for _ in range(4))
    assert len(asked) >= 12 and len(sketched) == 1
