"""How calls in the background end: closed, or forgotten, at any time and in any thread."""

from __future__ import annotations

import threading

import pytest

from kofn import ThreadPool
from kofn._base import _closeable
from kofn._base._closeable import at_end
from kofn.jobs._lease import PoolLease
from kofn.jobs.calls._crew import Crew
from kofn.jobs.calls._futures import Calls
from kofn.jobs.calls._loop import CallLoop


@pytest.mark.parametrize("is_over", [False, True])
def test_whoever_collects_garbage_may_hold_the_lock_that_the_end_needs(is_over, monkeypatch):
    monkeypatch.setattr(_closeable, "SOON", 0.01)
    lock, ended = threading.Lock(), threading.Event()

    def end():
        with lock:
            ended.set()

    with ThreadPool(1) as pool, PoolLease(pool, "f") as lease:
        crew = Crew(CallLoop(lease.pool, lease.placement, len), lambda result: None)
        if is_over:
            crew.close()
        at_end(held := threading.Event(), crew.let_go, end)
        with lock:
            del held
        assert ended.wait(60.0)


def no_thread(*_):
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_what_runs_is_let_go_of_where_the_program_ends_and_no_thread_can_be_started(monkeypatch):
    """As in Python 3.12 and later: an executor that nobody had shut down ended in a traceback."""
    ended = []
    with ThreadPool(1) as pool, PoolLease(pool, "f") as lease:
        crew = Crew(CallLoop(lease.pool, lease.placement, len), lambda result: None)
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        crew.let_go(lambda: ended.append(threading.current_thread()))
        monkeypatch.undo()
    assert ended == [threading.current_thread()]


def test_who_closes_calls_waits_until_their_workers_have_ended(monkeypatch):
    """After a second it went on without, and what went wrong was not told."""
    monkeypatch.setattr(_closeable, "SOON", 0.0)
    with ThreadPool(1) as pool:
        lease, ended = PoolLease(pool, "f"), []
        monkeypatch.setattr(lease, "close", lambda: ended.append(threading.current_thread()))
        calls = Calls(lease, lambda result: KeyError(result.number))
        assert calls.submit(abs, (-1,), {}).result() == 1
        calls.close()
    assert ended == [threading.current_thread()]
