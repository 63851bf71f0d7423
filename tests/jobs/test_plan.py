"""A plan does once what every run needs, and is run by any number of threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest

import kofn
from kofn.codes._linear import LinearCode
from kofn.jobs import _memory, _plan
from kofn.schemes._encoding import Encoding
from kofn.schemes.sums._scheme import SumTemplate
from kofn.schemes.sums._terms import Terms

RNG = np.random.default_rng(4)
A, B = RNG.standard_normal((12, 5)), RNG.standard_normal((5, 7))


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as threads:
        yield threads


def product(**options):
    return kofn.schemes.mds(A, B, **{"workers": 4, "rng": 0} | options)


def total(terms, workers=4):
    made = Terms.of(terms)
    return SumTemplate(kofn.schemes.SUMS["cyclic"](made.size, workers=workers), made, None)


@pytest.fixture
def counted(monkeypatch):
    """How often a plan certifies, looks at memory, and encodes."""
    calls = {"check_reachable": 0, "plan_memory": 0}

    def counting(name):
        real = getattr(_plan, name)

        def called(*arguments):
            calls[name] += 1
            return real(*arguments)

        return called

    for name in calls:
        monkeypatch.setattr(_plan, name, counting(name))
    return calls


def test_what_every_run_needs_is_done_once(pool, counted, monkeypatch):
    encoded, encode = count(), Encoding.encode
    monkeypatch.setattr(Encoding, "encode", lambda *given: (next(encoded), encode(*given))[1])
    with kofn.prepare(product(), pool) as plan:
        for _ in range(3):
            np.testing.assert_allclose(plan.run().value, A @ B)
        np.testing.assert_allclose(plan.start().result(20).value, A @ B)
    assert counted == {"check_reachable": 1, "plan_memory": 1} and next(encoded) == 1


def test_other_options_are_looked_at_and_seen_again(pool, counted):
    with kofn.prepare(product(), pool, deadline=20.0) as plan:
        assert plan.options == kofn.Options(deadline=20.0)
        assert plan.run(deadline=None, stop=kofn.Count(1)).count >= 1
        assert counted["check_reachable"] == 2
        with pytest.raises(kofn.ArgumentError, match=r"kofn\.Plan\.run: 'memory_limit_bytes' must be at least"):
            plan.run(memory_limit_bytes=1)
        with pytest.raises(kofn.ArgumentError, match=r"kofn\.Plan\.start: 'stop' must be left out where 'deadline'"):
            plan.start(stop=kofn.Count(1))


def test_a_plan_is_of_what_its_scheme_was_made_of(pool):
    mine, yours = A.copy(), B.copy()
    for limit in (None, 1000):  # encoded at once, and as rows are asked for
        scheme = kofn.schemes.uncoded(mine, yours, blocks=(4, 1), workers=2, rng=0)
        with kofn.ThreadPool(2) as two, kofn.prepare(scheme, two, memory_limit_bytes=limit) as plan:
            assert (plan.memory.stream_bytes is None) == (limit is None)
            mine[:], yours[:] = 7.0, 7.0
            for answer in (plan.run(), plan.run(stop=kofn.Count(3)), plan.start().result(20)):
                there = answer.recovered[:, 0]
                np.testing.assert_allclose(answer.value.reshape(4, 3, 7)[there], (A @ B).reshape(4, 3, 7)[there])
        mine[:], yours[:] = A, B


def test_results_of_two_runs_in_one_file_each_are_kept_apart(tmp_path):
    scheme = kofn.schemes.uncoded(A, B, blocks=(4, 1), workers=2, rng=0)
    with kofn.ThreadPool(2) as two, kofn.prepare(scheme, two, memory_limit_bytes=900, scratch=tmp_path) as plan:
        assert plan.memory.spills
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda _: plan.run(), range(6)))
    assert all(np.allclose(answer.value, A @ B) for answer in answers)


def test_a_plan_runs_in_many_threads_and_a_scheme_on_many_pools(pool):
    scheme = product()
    with kofn.ThreadPool(3) as other, ThreadPoolExecutor(4) as threads:
        plans = kofn.prepare(scheme, pool), kofn.prepare(scheme, other)
        answers = list(threads.map(lambda plan: plan.run(), plans * 6))
    assert all(answer.exact and np.allclose(answer.value, A @ B) for answer in answers)


def test_a_template_brings_its_operand_and_places_the_rest_once(pool, counted):
    placed = []
    put = pool.put
    pool.put = lambda worker, key, value: (placed.append(key), put(worker, key, value))[1]
    try:
        with kofn.prepare(total([abs, lambda x: x**2]), pool, deadline=20.0) as plan:
            assert plan.certificate is None and plan.memory is None
            assert plan.run(-3.0).value == 12.0 and plan.certificate.exact
            first = len(placed)
            assert plan.run(2.0).value == 6.0 and plan.start(-1.0).result(20).value == 2.0
    finally:
        pool.put = put
    assert counted["check_reachable"] == 1 and len(set(placed[:first])) >= len(
        set(placed[first:]) - set(placed[:first])
    )


def test_inputs_leave_the_workers_and_terms_stay(pool):
    dropped = []
    drop = pool.drop
    pool.drop = lambda key: (dropped.append(key[1][0]), drop(key))[1]
    try:
        with kofn.CodedSum([np.sum, np.max], workers=pool) as summed:
            summed(np.ones(20_000))
            assert set(dropped) == {"x"}
            summed(np.ones(20_000))
            assert set(dropped) == {"x"}
        assert "terms" in dropped
    finally:
        pool.drop = drop


def test_a_started_run_of_a_template_is_of_the_operand_as_it_was(pool):
    gate, x = threading.Event(), np.full(3, 2.0)

    def late(value):
        gate.wait(20)
        return value.sum()

    with kofn.CodedSum([late], workers=pool) as summed:
        job = summed.plan.start(x)
        x[:] = 100.0
        gate.set()
        assert job.result(20).value == 6.0


def test_a_map_in_the_background_names_what_failed(pool):
    def fail(x):
        raise ValueError("no such luck")

    with kofn.CodedMap(fail, workers=pool) as failing:
        job = failing.plan.start([1.0, 2.0])
        with pytest.raises(kofn.FunctionError, match=r"f raised ValueError at input \d: no such luck"):
            job.result(20)
    with kofn.CodedMap(fail, workers=4) as failing:
        assert failing([]).exact and failing.plan.start([]).result(20).value == []


@pytest.mark.parametrize("operand", [(), (1.0, 2.0)])
def test_a_template_is_run_with_one_operand(operand, pool):
    with kofn.prepare(total([abs]), pool) as plan, pytest.raises(TypeError, match="with one operand"):
        plan.run(*operand)


def test_whole_schemes_take_no_operand_and_templates_are_no_schemes(pool):
    with kofn.prepare(product(), pool) as plan, pytest.raises(TypeError, match="without an operand"):
        plan.run(1.0)
    for call in (kofn.run, kofn.start):
        with pytest.raises(kofn.ArgumentError, match=r"'scheme' must be a whole scheme, .* lacks an operand"):
            call(total([abs]), pool)


READ_ONLY = np.broadcast_to(0.0, (12, 7)).copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    "bad", [3, [[0.0]], np.empty((7, 12)), np.empty((12, 7), int), np.empty((12, 7), np.float32), READ_ONLY]
)
def test_a_place_that_does_not_suit_the_answer_is_refused_before_anything_starts(bad, pool):
    started = []
    for door in (kofn.run, kofn.start):
        with pytest.raises(kofn.ArgumentError, match=rf"{door.__name__}: 'out' must be an array of shape \(12, 7\)"):
            door(product(), pool, out=bad, progress=started.append)
    with kofn.prepare(product(), pool, progress=started.append) as plan:
        with pytest.raises(kofn.ArgumentError, match=r"kofn\.Plan\.run: 'out' must"):
            plan.run(out=bad)
        with pytest.raises(kofn.ArgumentError, match=r"kofn\.Plan\.start: 'out' must"):
            plan.start(out=bad)
    assert started == []


def test_an_answer_whose_shape_only_results_tell_is_written_to_a_place_that_suits(pool):
    terms = total([np.sin, np.cos])
    with kofn.prepare(terms, pool) as plan:
        for x in (A, A[0, 0]):  # an array, and a number
            out = np.empty(np.shape(x))
            assert plan.run(x, out=out).value is out
            assert np.allclose(out, np.sin(x) + np.cos(x), atol=1e-12)
        for bad in (np.empty(A.shape, int), np.empty(A.shape[::-1])):
            with pytest.raises(
                kofn.ArgumentError, match=r"kofn.Plan.run: 'out' must have the answer's shape, \(12, 5\)"
            ):
                plan.run(A, out=bad)
        for never in ([0.0], READ_ONLY):
            with pytest.raises(kofn.ArgumentError, match="'out' must be an array that can be written to"):
                plan.run(A, out=never)
    with pytest.raises(kofn.ArgumentError, match="'out' must be left out where outputs are picked"):
        kofn.run(kofn.schemes.FUNCTIONS["repetition"](np.sin, [A, A], workers=4), pool, out=np.empty((2, *A.shape)))


def test_what_cannot_work_is_refused_when_it_is_prepared_and_nothing_starts(monkeypatch):
    def never(*_):
        raise AssertionError("a pool was started")

    monkeypatch.setattr("kofn.engines.LocalPool", never)
    for bad in ({"memory_limit_bytes": 1}, {"estimator": "best"}):
        with pytest.raises(kofn.ArgumentError, match=r"kofn\.prepare: "):
            kofn.prepare(product(), 3, **bad)
    short = LinearCode("short", np.ones((4, 3)), np.eye(3), worker=range(4))
    short = kofn.schemes.CustomScheme(short, [kofn.Task(abs, (1.0,))] * 4)
    with pytest.raises(kofn.ArgumentError, match=r"kofn\.prepare: 'stop' must be reachable"):
        kofn.prepare(short, 3)


def test_a_plan_that_is_closed_is_of_no_use_and_leaves_a_pool_as_it_was(pool):
    plan = kofn.prepare(product(), pool)
    plan.close()
    plan.close()
    with pytest.raises(kofn.PoolClosed, match=r"kofn\.Plan\.run: .*closed before"):
        plan.run()
    assert pool.state(0) == "idle"


def test_a_run_that_needs_what_a_closed_plan_had_at_the_workers_says_so():
    scheme = product(blocks=(6, 1), rows=8, workers=2)
    with kofn.ThreadPool(2) as pool, kofn.prepare(scheme, pool) as plan:
        with pytest.raises(kofn.PoolClosed, match=r"^kofn\.Plan\.run: what it has at the workers was closed"):
            plan.run(progress=lambda _: plan.close())
        assert kofn.run(scheme, pool).exact


def test_a_plan_says_what_it_is_of(pool):
    with kofn.prepare(product(), pool) as plan, kofn.prepare(total([abs]), pool) as other:
        assert repr(plan) == f"<Plan of {product()!r} on 4 workers>"
        assert repr(other) == "<Plan of SumTemplate on 4 workers>"


def test_workers_that_were_started_for_a_plan_end_with_it():
    with kofn.prepare(product(workers=2, rows=2, blocks=(2, 1)), 2) as plan:
        workers = plan._lease.pool
        assert plan.run().exact and plan.run().exact
    assert workers.state(0) == "dead"


def test_a_plan_of_little_looks_at_no_memory(pool, monkeypatch):
    def never():
        raise AssertionError("looked at memory")

    monkeypatch.setattr(_memory, "available_bytes", never)
    with kofn.prepare(product(), pool) as plan:
        assert plan.run().exact and plan.memory.encoded_bytes > 0
