"""`kofn.map` of any function: what comes back, what is repeated, what is told where something goes wrong."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from scipy.sparse import csr_array

import kofn
from kofn.simulation import VirtualPool


@pytest.fixture(scope="module")
def threads():
    with kofn.ThreadPool(3) as pool:
        yield pool


def test_several_iterables_are_zipped_and_the_shortest_ends_them(threads):
    answer = kofn.map(lambda x, y, z: (x, y, z), "abc", itertools.count(), [1.5, 2.5], workers=threads)
    assert answer.value == [("a", 0, 1.5), ("b", 1, 2.5)]
    assert answer.exact and answer.recovered.tolist() == [True, True] and answer.report.code == "duplicates"
    assert kofn.map(pow, [], [1], workers=threads).value == []


def test_views_of_a_dictionary_are_in_its_order(threads):
    table = {"b": 1, "a": 2}
    for view in (table.keys(), table.values(), table.items()):
        assert kofn.map(repr, view, workers=threads).value == list(map(repr, view))
        assert list(kofn.imap(repr, view, workers=threads)) == list(map(repr, view))


def test_results_are_the_callers_own_to_write_to(local_pool):
    value = kofn.map(lambda k: {"k": np.full(3, float(k))}, range(200), workers=local_pool).value
    value[7]["k"][0] = 1.0
    assert [one["k"][2] for one in value] == list(range(200))


def test_a_function_may_return_the_same_thing_again_and_again(local_pool):
    held: list[int] = []

    def f(x):
        held[:] = [x, x * x]
        return held

    assert kofn.map(f, range(300), workers=local_pool).value == [[x, x * x] for x in range(300)]


def test_an_iterator_is_read_as_it_is_needed():
    read = []
    inputs = (read.append(k) or k for k in itertools.count())
    pool = VirtualPool([[1.0], [1.0]])
    with pytest.raises(kofn.FunctionError, match="at input 6") as caught:
        kofn.map(lambda x: 1 // (6 - x), inputs, workers=pool)
    assert caught.value.input == 6 and len(read) < 500


def test_a_buffer_that_an_iterator_uses_again_is_copied(threads):
    buffer = np.zeros(2)
    inputs = (np.copyto(buffer, k) or buffer for k in range(50))
    assert kofn.map(float, (x[0] for x in inputs), workers=threads).value == list(range(50))
    inputs = (np.copyto(buffer, k) or buffer for k in range(50))
    assert [x[1] for x in kofn.map(np.negative, inputs, workers=threads).value] == [-k for k in range(50)]


class Pair(NamedTuple):
    name: str
    numbers: np.ndarray


HOLDERS = {  # of a buffer, which none of them copies
    "tuple": lambda buffer: (buffer, "a"),
    "named": lambda buffer: Pair("a", buffer),
    "list": lambda buffer: [[buffer]],
    "dict": lambda buffer: {"a": {"b": buffer}},
    "sparse": lambda buffer: csr_array((buffer, [0, 1], [0, 1, 2]), shape=(2, 2), copy=False),
    "objects": lambda buffer: np.array([{"a": buffer}, None]),
}


def largest(held):
    """The largest number in anything that holds numbers."""
    if isinstance(held, dict):
        held = list(held.values())
    if isinstance(held, tuple | list) or (isinstance(held, np.ndarray) and held.dtype.hasobject):
        return max(largest(one) for one in held)
    return float(held.max()) if hasattr(held, "max") else -1.0


@pytest.mark.parametrize("kind", HOLDERS)
def test_so_is_one_that_lies_in_what_an_iterator_yields(threads, local_pool, kind):
    def stream():
        buffer = np.zeros(2)
        for k in range(20):
            buffer[:] = k
            yield HOLDERS[kind](buffer)

    for pool in (threads, local_pool):
        assert list(kofn.map(largest, stream(), workers=pool).value) == list(range(20))
    assert list(kofn.imap(largest, stream(), workers=threads)) == list(range(20))
    assert list(kofn.map(largest, stream(), workers=threads, code="repetition").value) == list(range(20))
    with kofn.Executor(threads) as executor:
        assert list(executor.map(largest, stream())) == list(range(20))


@pytest.mark.parametrize("kind", HOLDERS)
def test_buffers_that_a_function_uses_again_are_copied(kind):
    buffer = np.zeros(2)

    def f(k):
        buffer[:] = k
        return HOLDERS[kind](buffer)

    with kofn.ThreadPool(1) as pool:
        assert [largest(one) for one in kofn.map(f, range(20), workers=pool).value] == list(range(20))
        assert [largest(one) for one in kofn.map(f, range(9), workers=pool, code="repetition").value] == list(range(9))
        with kofn.Executor(pool) as executor:
            assert [largest(one) for one in executor.map(f, range(20))] == list(range(20))


def test_what_a_function_returns_may_hold_itself():
    circle = [np.zeros(2)]
    circle.append(circle)
    with kofn.ThreadPool(1) as pool:
        (found,) = kofn.map(lambda _: circle, [0], workers=pool).value
    assert found[1] is found and found[0] is not circle[0] and found[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("stack", "kind"), [(None, list), (True, np.ndarray), (False, list)])
def test_a_list_gives_a_list_unless_an_array_is_asked_for(threads, stack, kind):
    value = kofn.map(np.square, [1.0, 2.0], workers=threads, stack=stack).value
    assert type(value) is kind and list(value) == [1.0, 4.0]


def test_an_array_gives_an_array_where_outputs_stack(threads):
    A = np.arange(6.0).reshape(3, 2)
    assert np.array_equal(kofn.map(np.negative, A, workers=threads).value, -A)
    assert kofn.map(str, A[:, 0], workers=threads).value == ["0.0", "2.0", "4.0"]
    assert isinstance(kofn.map(np.negative, A, workers=threads, stack=False).value, list)
    with pytest.raises(kofn.FunctionError, match="cannot be stacked"):
        kofn.map(str, A[:, 0], workers=threads, stack=True)


def test_what_f_raises_ends_it_at_once_or_stands_in_its_place(threads, local_pool):
    for pool in (threads, local_pool):
        with pytest.raises(kofn.FunctionError, match=r"raised ZeroDivisionError at input 2") as caught:
            kofn.map(lambda x: 1 // x, [1, 2, 0, 4], workers=pool)
        assert isinstance(caught.value.__cause__, ZeroDivisionError) and caught.value.input == 2
        answer = kofn.map(lambda x: 1 // x, [1, 2, 0, 4], workers=pool, errors="return")
        assert answer.value[:2] + answer.value[3:] == [1, 0, 0] and answer.exact
        assert isinstance(answer.value[2], ZeroDivisionError) and "at the worker" in answer.value[2].__notes__[0]


def test_a_result_that_cannot_be_sent_names_its_input(local_pool):
    f = lambda x: threading.Lock() if x == 5 else x  # noqa: E731
    for count in (6, 400):  # alone, and among others
        with pytest.raises(kofn.FunctionError, match=r"at input 5.*_thread\.lock") as caught:
            kofn.map(f, range(count), workers=local_pool)
        assert caught.value.input == 5 and "Outcomes" not in str(caught.value)
    answer = kofn.map(f, range(100), workers=local_pool, errors="return")
    assert [k for k, value in enumerate(answer.value) if isinstance(value, Exception)] == [5]


def test_an_input_that_cannot_be_sent_is_named(local_pool):
    inputs = [*range(50), threading.Lock(), *range(50)]
    with pytest.raises(kofn.ArgumentError, match=r"^kofn\.map: 'inputs' must be picklable, .* in input 50"):
        kofn.map(str, inputs, workers=local_pool)
    with pytest.raises(kofn.ArgumentError, match=r"^kofn\.map: 'f' must be picklable"):
        kofn.map(threading.Lock().__exit__, inputs, workers=local_pool)


def test_a_deadline_gives_what_is_there_and_invents_nothing():
    pool = VirtualPool([[1.0], [1.0], [float("inf")]])
    answer = kofn.map(str, range(20), workers=pool, deadline=2.5)
    array = kofn.map(float, np.arange(20.0), workers=pool, deadline=2.5)
    there = answer.recovered
    assert 0 < there.sum() < 20 and answer.error == pytest.approx(np.sqrt(1 - there.mean()))
    assert answer.value == [str(k) if there[k] else None for k in range(20)] and not answer.exact
    assert np.array_equal(array.value, np.where(array.recovered, np.arange(20.0), np.nan), equal_nan=True)


def test_a_deadline_with_nothing_there_says_that_nothing_is():
    pool = VirtualPool([[float("inf")]])
    with pytest.raises(kofn.NotDecodable, match="before any result") as caught:
        kofn.map(str, range(4), workers=pool, deadline=1.0)
    estimate = caught.value.estimate
    assert estimate.recovered.tolist() == [False] * 4 and estimate.value == [None] * 4 and estimate.error == 1.0


def test_rules_and_tolerances_speak_of_missing_outputs():
    pool = VirtualPool([[1.0]] * 4)
    answer = kofn.map(abs, [float(k) for k in range(16)], workers=pool, tolerance=0.5)
    assert answer.error <= 0.5 < np.sqrt(1 - (answer.count - 4) / 16) or answer.exact
    assert kofn.map(abs, range(16), workers=pool, stop=kofn.Count(3)).count >= 3
    told = []
    kofn.map(abs, range(16), workers=pool, progress=told.append)
    assert told[-1].exact and [one.count for one in told] == sorted(one.count for one in told)


def test_idle_workers_repeat_what_a_slow_one_has():
    pool = VirtualPool([[1.0], [1.0], [1.0], [40.0]])
    answer = kofn.map(abs, range(12), workers=pool)
    assert answer.value == list(range(12)) and answer.report.seconds < 8.0
    assert answer.report.of("abandoned")[0].worker == 3


def test_dead_workers_are_survived():
    pool = VirtualPool([[1.0]] * 3, deaths={0: 1.5, 1: 0.5})
    assert kofn.map(abs, range(9), workers=pool).exact
    pool = VirtualPool([[1.0]] * 2, deaths={0: 2.5, 1: 2.5})
    with pytest.raises(kofn.NotDecodable) as caught:
        kofn.map(str, range(99), workers=pool)
    assert "all 2 workers are gone" in str(caught.value)
    estimate = caught.value.estimate
    assert estimate.recovered.sum() == estimate.count > 0 and estimate.value[0] == "0" and estimate.value[-1] is None


def test_an_input_that_kills_every_worker_is_given_up_and_spares_the_others(local_pool):
    f = lambda x: os.kill(os.getpid(), signal.SIGKILL) if x == 30 else x  # noqa: E731
    with pytest.raises(kofn.NotDecodable, match="input 30 was given up after 3 lost workers") as caught:
        kofn.map(f, range(60), workers=local_pool)
    assert np.flatnonzero(~caught.value.estimate.recovered).tolist() == [30]
    answer = kofn.map(f, range(60), workers=local_pool, errors="return")
    assert isinstance(answer.value[30], kofn.WorkerLost) and answer.value[:30] == list(range(30))
    assert not answer.exact and np.flatnonzero(~answer.recovered).tolist() == [30]
    assert answer.error == pytest.approx((1 / 60) ** 0.5)


def hangs_once(folder):
    """Input 3 hangs where it is evaluated first."""

    def f(x):
        if x == 3:
            try:
                (folder / "first").touch(exist_ok=False)
            except FileExistsError:
                return x
            time.sleep(3600)
        return x

    return f


def test_what_hangs_is_repeated_elsewhere_and_its_worker_replaced(tmp_path):
    with kofn.LocalPool(2) as pool:
        answer = kofn.map(hangs_once(tmp_path), range(200), workers=pool)
        assert answer.value == list(range(200))
        assert kofn.map(abs, range(200), workers=pool).exact


@pytest.mark.slow  # a worker hangs for a second before it is ended
def test_what_hangs_everywhere_does_not_keep_the_others_waiting():
    with kofn.LocalPool(2) as pool:
        hang = lambda x: time.sleep(3600 * (x in (3, 4))) or x  # noqa: E731
        answer = kofn.map(hang, range(200), workers=pool, deadline=6.0)
    assert np.flatnonzero(~answer.recovered).tolist() == [3, 4]
    assert sum(attempt.row == 3 for attempt in answer.report.attempts) <= 4  # restarts do not loop


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (lambda: kofn.map(abs), "'inputs' must be given"),
        (lambda: kofn.map(3, [1]), "'f' must be callable"),
        (lambda: kofn.map(abs, [1], errors="ignore"), "'errors' must be one of 'raise', 'return'"),
        (lambda: kofn.map(abs, [1], stack="yes"), "'stack' must be True, False or None"),
        (lambda: kofn.map(abs, [1], [2], degree=1), "'inputs' must be one iterable for a code"),
        (lambda: kofn.map(abs, [1], code="uncoded", errors="return"), "'errors' must be 'raise' for a code"),
        (
            lambda: kofn.map(abs, [1], verify="correct", stack=False),
            "'stack' must be left out for a code, .* and verify",
        ),
        (lambda: kofn.map(abs, [1], 7), "'inputs' must be in an order"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(kofn.ArgumentError, match=rf"^kofn\.map: {sentence}"):
        arguments()


def test_executors_map_as_the_standard_library_does():
    inputs = [{"a": k} for k in range(40)]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        assert kofn.map(dict.items, inputs, workers=[one, two]).value == list(map(dict.items, inputs))


@pytest.mark.parametrize("engine", [kofn.ThreadPool, kofn.LocalPool], ids=["threads", "processes"])
def test_a_pool_that_is_closed_under_a_map_is_told_of(engine):
    slow = kofn.Straggling(engine(2), kofn.Constant(60.0))
    timer = threading.Timer(0.05, slow.close)
    timer.start()
    with pytest.raises(kofn.PoolClosed):
        kofn.map(abs, range(9), workers=slow)
    timer.join()


@pytest.mark.parametrize("option", [{"memory_limit_bytes": 10**9}, {"scratch": "."}])
def test_memory_is_not_limited_where_outputs_may_be_anything(option):
    with pytest.raises(kofn.ArgumentError, match=rf"kofn\.map: '{next(iter(option))}' must be left out where no code"):
        kofn.map(len, ["a", "bb"], workers=2, **option)


def test_inputs_that_are_slow_to_come_are_computed_as_they_come(threads):
    done = threading.Semaphore(0)

    def inputs():
        yield 0
        for k in range(1, 4):
            time.sleep(0.006)
            yield k
            assert done.acquire(timeout=30.0)  # the next one comes once another is computed

    assert kofn.map(lambda x: (done.release(), x)[1], inputs(), workers=threads).value == [0, 1, 2, 3]
