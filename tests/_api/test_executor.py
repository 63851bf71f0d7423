"""Workers as executors: what `concurrent.futures` promises, and what it does not."""

import asyncio
import concurrent.futures
import gc
import os
import subprocess
import sys
import threading
import weakref
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    Future,
    as_completed,
    wait,
)
from dataclasses import dataclass

import numpy as np
import pytest

import kofn
from kofn.jobs.calls._futures import _Table
from processes import opens, until


@pytest.fixture(scope="module")
def threads():
    with kofn.ThreadPool(2) as pool:
        yield pool


@pytest.fixture
def executor(threads):
    with kofn.Executor(threads) as made:
        yield made


@pytest.fixture
def busy(executor):
    """Both workers wait for a gate, so that nothing else begins; and the gate."""
    gate = threading.Event()
    futures = [executor.submit(gate.wait) for _ in range(2)]
    until(lambda: all(future.running() for future in futures), 60)
    yield futures, gate
    gate.set()


def keywords(*args, **kwargs):
    return args, kwargs


def refuses(number=0):
    raise LookupError(f"no {number}")


def test_it_is_an_executor(executor):
    assert isinstance(executor, concurrent.futures.Executor)
    assert executor.submit(pow, 2, 5, mod=7).result() == 4
    assert executor.submit(keywords, 1, fn=2, self=3).result() == ((1,), {"fn": 2, "self": 3})
    assert executor._max_workers == 2


def test_map_keeps_the_order_and_ends_with_the_shortest(executor):
    assert list(executor.map(pow, [2, 3, 4], [5, 2])) == [32, 9]
    assert list(executor.map(abs, range(-200, 0), chunksize=7)) == list(range(200, 0, -1))
    with pytest.raises(kofn.ArgumentError, match=r"kofn\.Executor: 'chunksize' must be an int of at least 1"):
        executor.map(abs, [1], chunksize=0)


def test_map_raises_where_a_call_did(executor):
    results = executor.map(lambda number: refuses(number) if number == 2 else number, range(4))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(LookupError, match="no 2") as raised:
        next(results)
    assert any("in refuses" in note for note in raised.value.__notes__)  # where it was, at the worker


def test_map_gives_up_after_its_time_and_cancels_what_waits(executor, busy):
    results = executor.map(abs, [-1, -2], timeout=0)
    with pytest.raises(TimeoutError):
        next(results)
    assert not executor._calls._table.waiting


def test_what_runs_is_running_and_what_waits_can_be_cancelled(executor, busy):
    running, gate = busy
    waiting = [executor.submit(abs, -3) for _ in range(3)]
    assert not any(future.running() or future.done() for future in waiting)
    assert not running[0].cancel() and running[0].running() and not running[0].cancelled()
    heard = []
    waiting[1].add_done_callback(heard.append)
    assert waiting[1].cancel() and waiting[1].cancel() and waiting[1].cancelled() and heard == [waiting[1]]
    with pytest.raises(CancelledError):
        waiting[1].result()
    gate.set()
    assert [waiting[0].result(), waiting[2].result()] == [3, 3]
    assert not waiting[0].cancel() and not waiting[0].running()


def test_what_was_cancelled_is_not_made(executor, busy):
    _, gate = busy
    made = []
    futures = [executor.submit(made.append, number) for number in range(400)]
    gate.set()
    cancelled = [future.cancel() for future in futures[::-1]][::-1]  # while others of them begin
    wait(futures)
    assert sorted(made) == [number for number, was in enumerate(cancelled) if not was]
    assert [future.cancelled() for future in futures] == cancelled


def test_exceptions_come_as_they_are(executor):
    error = executor.submit(refuses).exception()
    assert type(error) is LookupError and error.args == ("no 0",)
    assert isinstance(executor.submit(next, iter(())).exception(), StopIteration)
    assert executor.submit(SystemExit, 3).result().code == 3
    assert isinstance(executor.submit(exit, 3).exception(), SystemExit)
    assert executor.submit(abs, -1).result() == 1


def test_they_are_waited_for_as_any(executor, busy):
    running, gate = busy
    failing, later = executor.submit(refuses), executor.submit(abs, -1)
    later.cancel()
    assert wait([later, failing], timeout=0, return_when=ALL_COMPLETED).not_done == {failing}
    assert wait([later, failing], return_when=FIRST_COMPLETED).done == {later}
    gate.set()
    assert failing in wait([*running, failing], return_when=FIRST_EXCEPTION).done
    assert set(as_completed([*running, failing, later, later])) == {*running, failing, later}


def test_callbacks_may_submit(executor):
    second = []
    first = executor.submit(abs, -2)
    done = threading.Event()
    first.add_done_callback(lambda future: (second.append(executor.submit(abs, -future.result())), done.set()))
    assert done.wait(60) and second[0].result() == 2


@pytest.mark.parametrize("method", ["result", "exception"])
def test_a_callback_does_not_wait_for_what_ends_after_it(executor, method):
    gate, hold, done, refused = threading.Event(), threading.Event(), threading.Event(), []
    first, later = executor.submit(gate.wait), executor.submit(hold.wait)

    def then(_):
        try:
            getattr(later, method)()
        except RuntimeError as error:
            refused.append(str(error))
        done.set()

    first.add_done_callback(then)
    gate.set()
    came = done.wait(30)
    hold.set()
    assert came and "call 1 has not ended, and a callback of another call must not wait for it" in refused[0]
    assert later.result() and first.exception() is None


def test_a_callback_may_end_the_executor(threads):
    """It is called by the thread that would have to end: that thread must not wait for itself."""
    executor, gate, done = kofn.Executor(threads), threading.Event(), threading.Event()
    future = executor.submit(gate.wait)
    future.add_done_callback(lambda _: (executor.shutdown(), done.set()))
    gate.set()
    assert done.wait(60)
    executor.shutdown()
    assert executor._calls._table._running == {}


def test_a_callback_that_exits_ends_nothing_else(executor, caplog):
    gate = threading.Event()
    future = executor.submit(gate.wait)
    future.add_done_callback(lambda _: sys.exit(3))
    gate.set()
    assert future.result(60) and executor.submit(abs, -2).result(60) == 2
    assert "a callback of call 0 raised" in caplog.text


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class WithoutNotes(Exception):
    __notes__ = None


@pytest.mark.parametrize("error", [Frozen(7), WithoutNotes("no")])
def test_exceptions_that_take_no_note_come_as_they_are(threads, executor, error):
    def fails():
        raise error

    assert executor.submit(fails).exception(60) is error
    assert executor.submit(abs, -2).result(60) == 2
    with pytest.raises(kofn.FunctionError) as raised:
        kofn.map(lambda _: fails(), [1, 2], workers=threads, code="repetition")
    assert raised.value.__cause__ is error


def refuse_to_be_made():
    raise LookupError("not here")


class Unmakeable:
    def __reduce__(self):
        return refuse_to_be_made, ()


def unmakeable(number):
    return Unmakeable() if number % 10 == 5 else number


def test_a_result_that_cannot_be_made_again_here_fails_alone(local_pool):
    """Also where it came with others in one message."""
    with kofn.Executor(local_pool) as executor:
        futures = [executor.submit(unmakeable, number) for number in range(60)]
        ended = [future.exception(60) or future.result() for future in futures]
    failed = ended[5::10]
    assert all(isinstance(error, kofn.FunctionError) and "could not be rebuilt" in str(error) for error in failed)
    assert [end for end in ended if end not in failed] == [number for number in range(60) if number % 10 != 5]


def test_the_end_of_the_block_waits_for_all(threads):
    with kofn.Executor(threads) as executor:
        futures = [executor.submit(abs, -number) for number in range(50)]
    assert all(future.done() for future in futures)
    for call in (lambda: executor.submit(abs, 1), lambda: executor.map(abs, [1])):
        with pytest.raises(RuntimeError, match=r"kofn\.Executor: it was shut down before; make another one"):
            call()
    executor.shutdown()
    assert threads.submit(0, abs, -1).result() == 1  # whose pool stays open


def test_the_end_may_cancel_what_waits(executor, busy):
    running, gate = busy
    waiting = [executor.submit(abs, -1) for _ in range(5)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting) and all(future.running() for future in running)
    gate.set()
    assert [future.result() for future in running] == [True, True]


def test_the_end_need_not_be_waited_for(threads):
    gate = threading.Event()
    executor = kofn.Executor(threads)
    futures = [executor.submit(gate.wait) for _ in range(5)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(abs, 1)
    gate.set()
    assert [future.result() for future in futures] == [True] * 5
    executor.shutdown()  # after which nothing of it is left
    assert not any(slot.residents for slot in threads._slots)


def test_who_holds_a_future_may_wait_for_it_when_the_executor_is_gone(threads):
    gate = threading.Event()
    executor = kofn.Executor(threads)
    futures = [executor.submit(gate.wait) for _ in range(4)]
    watched = weakref.ref(executor)
    del executor
    gc.collect()
    gate.set()
    assert [future.result() for future in futures] == [True] * 4
    del futures
    until(lambda: gc.collect() >= 0 and watched() is None, 60)


@pytest.mark.parametrize("ending", ["", "executor.shutdown(wait=False)", "del executor"])
@pytest.mark.parametrize("workers", ["threads:1", pytest.param("local:1", marks=pytest.mark.slow)])
def test_a_program_ends_once_all_calls_have(tmp_path, workers, ending):
    """Nobody waits for them: a call that is made after a while, and one that waits for a worker until then."""
    program = f"""if __name__ == "__main__":
        import kofn, os, pathlib, time
        executor = kofn.Executor({workers!r})
        executor.submit(time.sleep, 0.3)
        executor.submit(os.mkdir, {str(tmp_path / "made")!r})
        {ending}"""
    (tmp_path / "program.py").write_text(program)
    ended = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "") and (tmp_path / "made").is_dir()


def test_arguments_and_results_are_let_go_of(executor):
    class Thing: ...

    thing = Thing()
    watched = weakref.ref(thing)
    future = executor.submit(lambda given: given, thing)
    assert future.result() is thing
    del thing, future
    until(lambda: gc.collect() >= 0 and watched() is None, 60)


def test_what_is_no_function_is_refused(executor):
    with pytest.raises(kofn.ArgumentError, match=r"kofn\.Executor: 'fn' must be callable, but got 3"):
        executor.submit(3)
    with pytest.raises(kofn.ArgumentError, match=r"kofn\.Executor: 'workers'"):
        kofn.Executor("all")


def test_a_pool_that_is_closed_ends_its_futures():
    gate = threading.Event()
    pool = kofn.ThreadPool(1)
    executor = kofn.Executor(pool)
    futures = [executor.submit(gate.wait) for _ in range(3)]
    until(futures[0].running, 60)
    pool.close()
    assert all(isinstance(future.exception(), kofn.PoolClosed) for future in futures)
    gate.set()
    executor.shutdown()


def test_asyncio_runs_in_it(executor):
    async def main():
        loop = asyncio.get_running_loop()
        several = [loop.run_in_executor(executor, pow, 2, n) for n in range(5)]
        with pytest.raises(LookupError, match="no 3"):
            await loop.run_in_executor(executor, refuses, 3)
        return await asyncio.gather(*several)

    assert asyncio.run(main()) == [1, 2, 4, 8, 16]


def test_dask_computes_in_it(executor):
    array = pytest.importorskip("dask.array").from_array(np.arange(12.0).reshape(3, 4), chunks=2)
    assert (array @ array.T).sum().compute(scheduler=executor) == (array.compute() @ array.compute().T).sum()


def test_a_call_whose_worker_dies_is_made_again(local_pool, tmp_path):
    def once(mark):
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return "again"
        os._exit(1)

    with kofn.Executor(local_pool) as executor:
        assert executor.submit(once, tmp_path / "mark").result() == "again"
        error = executor.submit(os._exit, 1).exception()
        assert isinstance(error, kofn.WorkerLost) and "given up after 3 lost workers" in str(error)
        assert "call " in str(error)
        future = executor.submit(abs, threading.Lock())
        with pytest.raises(kofn.ArgumentError, match=r"kofn\.Executor: 'calls' must be picklable"):
            future.result()
        assert executor.submit(np.sum, np.ones(3)).result() == 3.0


def test_processes_run_while_it_says_so(local_pool, tmp_path):
    with kofn.Executor(local_pool) as executor:
        future = executor.submit(opens(tmp_path / "gate"))
        until(future.running, 60)
        assert not future.done()
        (tmp_path / "gate").touch()
        future.result()


def test_who_waits_for_all_calls_hears_of_one_that_is_cancelled_just_as_it_would_begin():
    table = _Table(lambda result: KeyError(result.number))
    waiter = threading.Thread(target=table.wait, daemon=True)

    class Waiting(dict):
        def pop(self, number, default=None):
            super().pop(number)  # another thread is faster, and tells those who wait
            waiter.start()
            until(lambda: table._ended._waiters)  # who still see the call, as one that runs
            table.hear()
            until(lambda: table._ended._waiters)
            return default

    table.waiting = Waiting({0: Future()})
    assert not table.begin(0)
    waiter.join(60.0)
    assert not waiter.is_alive()
