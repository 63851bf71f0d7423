"""What is data is pickled and copied, into other processes too; what holds workers says that it stays."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import kofn
from kofn import errors
from kofn.schemes.sums._scheme import SumTemplate
from kofn.schemes.sums._terms import Terms
from kofn.simulation._virtual import VirtualPool

A = np.arange(12.0).reshape(4, 3)


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as pool:
        yield pool


def scheme(pool):
    return kofn.schemes.mds(A, A.T, workers=3, rng=0)


def fitted(pool):
    return kofn.fit(np.square, lambda rng: rng.standard_normal(2), inputs=1, recover=1, workers=2, samples=16, rng=0)


DATA = {
    "Adaptive": lambda pool: kofn.Adaptive(),
    "Answer": lambda pool: kofn.matmul(A, A.T, workers=pool, rng=0),
    "CodedBackups": lambda pool: kofn.CodedBackups(after=1.5),
    "Collector": lambda pool: kofn.Collector(scheme(pool).code),
    "Constant": lambda pool: kofn.Constant(1.0),
    "Count": lambda pool: kofn.Count(3),
    "Deadline": lambda pool: kofn.Deadline(3.0),
    "Decodable": lambda pool: kofn.Decodable() | kofn.Count(2) & kofn.Deadline(1.0),
    "Delayed": lambda pool: kofn.Delayed(kofn.Constant(1.0), 0.5),
    "Duplicates": lambda pool: kofn.Duplicates(kofn.Static()),
    "Dying": lambda pool: kofn.Dying(kofn.Constant(1.0), {0: 1.0}),
    "Exponential": lambda pool: kofn.Exponential(1.0),
    "LinearCode": lambda pool: scheme(pool).code,
    "KofnWarning": lambda pool: kofn.KofnWarning("worker 1 was wrong in three jobs"),
    "LeftOut": lambda pool: kofn.LeftOut("worker 1 was wrong in three jobs"),
    "NoProgress": lambda pool: kofn.NoProgress(1.0),
    "Options": lambda pool: kofn.Options(deadline=1.0, progress=lambda now: print(now)),
    "Pareto": lambda pool: kofn.Pareto(1.0, 2.0),
    "Prior": lambda pool: kofn.Prior.independent([1.0, 2.0]),
    "Progress": lambda pool: kofn.Collector(scheme(pool).code).progress,
    "Report": lambda pool: kofn.matmul(A, A.T, workers=pool, rng=0).report,
    "Scheme": scheme,
    "StopRule": lambda pool: kofn.Decodable() | kofn.Deadline(2.0),
    "ShiftedExponential": lambda pool: kofn.ShiftedExponential(1.0, 1.0),
    "Slowdown": lambda pool: kofn.Slowdown(kofn.Constant(1.0), [1.0, 2.0]),
    "Speculative": lambda pool: kofn.Speculative(0.5, base=kofn.Adaptive()),
    "Static": lambda pool: kofn.Static(),
    "Task": lambda pool: kofn.Task(lambda x: x + 1, (1,)),
    "Template": lambda pool: SumTemplate(kofn.schemes.SUMS["one"](1, workers=1), Terms.of([lambda x: x + 1]), None),
    "Tolerance": lambda pool: kofn.Tolerance(0.1),
    "Trace": lambda pool: kofn.Trace([[0.1, 0.2]]),
}
STAYS = {
    "Output": lambda pool: scheme(pool).layout(scheme(pool).result).open(),
    "CodedMap": lambda pool: kofn.CodedMap(abs, workers=pool, degree=1),
    "CodedSum": lambda pool: kofn.CodedSum([abs], workers=pool),
    "Executor": lambda pool: kofn.Executor(pool),
    "ExecutorPool": lambda pool: kofn.ExecutorPool([ThreadPoolExecutor(1)]),
    "Job": lambda pool: kofn.start(scheme(pool), workers=pool),
    "Plan": lambda pool: kofn.prepare(scheme(pool), pool),
    "Straggling": lambda pool: kofn.Straggling(pool, kofn.Constant(0.0)),
    "ThreadPool": lambda pool: pool,
    "operator": lambda pool: kofn.operator(A, workers=pool),
    "VirtualPool": lambda pool: VirtualPool([[1.0]]),
}
ELSEWHERE = {
    "ClusterArray", "DaskPool", "LocalPool", "MPIPool", "RayPool",  # as those above; tested where there is a cluster
    "Design", "FitReport", "Fitted",  # below
}  # fmt: skip
ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.KofnError)]
WAYS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def test_every_public_class_is_tried():
    classes = {name for name in kofn.__all__ if inspect.isclass(getattr(kofn, name))}
    assert classes - {kind.__name__ for kind in ERRORS} <= {*DATA, *STAYS, *ELSEWHERE}


def alike(one, other):
    """Whether two values are of the same data, as far as it can be compared."""
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other) and one.flags.writeable == other.flags.writeable
    if callable(one):
        return callable(other)
    if hasattr(one, "__dict__") and not isinstance(one, type):
        return type(one) is type(other) and all(
            alike(value, vars(other)[name]) for name, value in vars(one).items() if name in vars(other)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and (one == other or hasattr(one, "indptr") or isinstance(one, dict))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", DATA)
def test_data_is_pickled_and_copied(name, way, pool):
    value = DATA[name](pool)
    same = WAYS[way](value)
    assert alike(value, same)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", STAYS)
def test_what_holds_workers_stays_and_says_so(name, way, pool):
    value = STAYS[name](pool)
    with pytest.raises(TypeError, match=r"^kofn\.\w+: this holds what lives in its process") as caught:
        WAYS[way](value)
    assert isinstance(caught.value, kofn.KofnError)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_exception_keeps_what_it_carries(kind, way, pool):
    arguments = {"worker": 1, "row": 2} if issubclass(kind, errors.WorkerError) else {}
    arguments |= {"traceback": "at the worker"} if issubclass(kind, errors.TaskError) else {}
    arguments |= {"term": 3} if kind is errors.TermError else {}
    arguments |= {"name": "torch"} if kind is errors.MissingPackage else {}
    error = kind("this one", **arguments)
    error.call, error.whatever = "kofn.matmul", [1, 2]
    error.add_note("a note")
    same = WAYS[way](error)
    assert type(same) is kind and str(same) == str(error) == "kofn.matmul: this one" and same.args == error.args
    assert vars(same) == vars(error)
    assert all(getattr(same, name) == value for name, value in arguments.items())


def test_what_is_not_decodable_takes_its_estimate_along(pool):
    error = errors.NotDecodable("too little", kofn.matmul(A, A.T, workers=pool, rng=0))
    same = pickle.loads(pickle.dumps(error))
    np.testing.assert_array_equal(same.estimate.value, error.estimate.value)


def test_an_answer_without_a_value_says_why_wherever_it_is(pool):
    refused = errors.TermError("too large", -1)

    def assemble():
        raise refused

    answer = kofn.matmul(A, A.T, workers=pool, rng=0)
    hollow = replace(answer, assemble=assemble)
    same = pickle.loads(pickle.dumps(hollow))
    with pytest.raises(errors.TermError, match="too large"):
        _ = same.value


@pytest.mark.parametrize("way", WAYS)
def test_a_scheme_that_travelled_runs(way, pool):
    twin = WAYS[way](scheme(pool))
    answer = kofn.run(twin, workers=pool)
    assert answer.exact
    np.testing.assert_allclose(answer.value, A @ A.T)


def test_a_collector_that_was_copied_is_another():
    collector = DATA["Collector"](None)
    twin = copy.deepcopy(collector)
    for row in range(collector.code.rows):
        twin.add(row, 1.0)
    assert twin.done and not collector.done and collector.rank == 0


@pytest.mark.slow
def test_what_tuning_gives_is_data(pool):
    code = fitted(pool)
    design = kofn.design(A, A.T, workers=6, latency=kofn.Exponential(1.0), area=1.0, blocks=(2, 1), rng=0)
    for value in (code, code.report, design):
        for way in WAYS.values():
            assert repr(way(value)) == repr(value)
    with kofn.ThreadPool(4) as four:
        one, two = (kofn.map(it, [[1.0, 2.0]], workers=four, rng=0) for it in (code, WAYS["pickle"](code)))
        assert one.value.shape == two.value.shape


def term(x):
    raise ValueError("this one")


def elsewhere(number):
    with kofn.ThreadPool(2) as pool:
        if number:
            return kofn.sum([abs, abs], number, workers=pool)
        return kofn.sum([abs, term], 1.0, workers=pool)


def test_answers_and_errors_come_out_of_a_pool_of_processes():
    with multiprocessing.get_context("spawn").Pool(1) as processes:
        answer = processes.apply_async(elsewhere, (-2.0,)).get(60)
        assert answer.exact and answer.value == 4.0
        with pytest.raises(kofn.TermError, match="term 1 raised ValueError: this one") as caught:
            processes.apply_async(elsewhere, (0.0,)).get(60)
        assert caught.value.term == 1
