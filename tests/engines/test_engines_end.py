"""The end of a local pool, scripts without a guard, and Ctrl-C: nothing is left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kofn.engines import LocalPool
from kofn.errors import PoolClosed
from processes import alive, held, linux, slow_but, until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def pool(local_pool: LocalPool) -> LocalPool:
    return local_pool


@linux
@pytest.mark.parametrize("end", slow_but(["close", "with", "forget", "error"], {"close", "forget"}))
def test_nothing_is_left_in_this_process(end: str) -> None:
    gc.collect()
    before = held()
    pool = LocalPool(3)
    pids = [pid for pid in pool.pids() if pid]
    pool.put(0, "x", np.ones(100_000))
    pool.submit(0, np.sum, keys=("x",)).result()
    pool.submit(1, lambda: all(True for _ in iter(int, 1)))  # a busy loop
    if end == "close":
        pool.close()
    elif end == "with":
        with pool:
            pass
    elif end == "error":
        with contextlib.suppress(ZeroDivisionError), pool:
            1 / 0  # noqa: B018
    del pool
    gc.collect()
    until(lambda: not any(alive(pid) for pid in pids))
    until(lambda: held() <= before)


def run_script(text: str, *how: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


SCRIPT = textwrap.dedent(
    """
    import numpy as np
    from kofn.engines import LocalPool

    class Point:
        def __init__(self, x):
            self.x = x

    def double(point):
        return Point(2 * point.x)

    with LocalPool(2) as pool:
        result = pool.submit(0, double, Point(np.arange(3))).result()
        assert type(result) is Point
        print(result.x.tolist(), pool.submit(1, lambda: sum(map(double.__call__, [])) or 7).result())
    """
)


@pytest.mark.parametrize("how", slow_but(["script", "-c", "stdin"], {"script"}))
def test_a_main_module_without_a_guard(how: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = {"script": [str(script)], "-c": ["-c", SCRIPT], "stdin": ["-"]}[how]
    process = run_script(SCRIPT, *command)
    out, err = process.communicate(SCRIPT if how == "stdin" else None, timeout=30)
    assert (out, err, process.returncode) == ("[0, 2, 4] 7\n", "", 0)


LASTING = textwrap.dedent(
    """
    import os, sys, time
    from kofn.engines import LocalPool
    pool = LocalPool(2)
    futures = [pool.submit(w, lambda: all(True for _ in iter(int, 1))) for w in range(2)]
    print(*pool.pids(), pool._supervisor.server.process.pid, flush=True)
    """
)


ENDS = {
    "SIGKILL": ("time.sleep(60)", -signal.SIGKILL),
    "Ctrl-C": ("futures[0].result(60)", -signal.SIGINT),
    "end": ("", 0),
    "SIGTERM": ("time.sleep(60)", -signal.SIGTERM),
    "exit": ("raise SystemExit(3)", 3),
    "os._exit": ("os._exit(4)", 4),
    "SIGKILL after fork": ("os.fork() or time.sleep(3)\ntime.sleep(60)", -signal.SIGKILL),
}


@linux
@pytest.mark.parametrize("how", slow_but(ENDS, {"SIGKILL", "Ctrl-C", "end"}))
def test_workers_end_with_their_master(how: str) -> None:
    """Whatever ends the master, in a new session so that a Ctrl-C reaches only it."""
    ending, code = ENDS[how]
    process = run_script("", "-c", LASTING + ending, start_new_session=True)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 3
    time.sleep(0.05)
    if code < 0:
        process.send_signal(-code)
    until(lambda: process.poll() is not None)
    until(lambda: not any(map(alive, pids)), 5)
    if "fork" not in ending:
        _, err = process.communicate(timeout=5)
        assert process.returncode in (code, 1 if code == -signal.SIGINT else code)
        assert "Traceback" not in err or "KeyboardInterrupt" in err
    else:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=5)


def test_ctrl_c_while_waiting_leaves_the_pool_usable(pool: LocalPool) -> None:
    future = pool.submit(0, time.sleep, 30)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        future.result(timeout=10)
    timer.join()
    pool.stop(0, "kill")
    assert pool.submit(0, int, "3").result() == 3


STORM = textwrap.dedent(
    """
    import signal, time
    import numpy as np
    from kofn.engines import LocalPool
    from kofn.errors import WorkerError

    armed = False

    def interrupt(*_):
        global armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    pool = LocalPool(2)
    pool.put(0, "x", np.ones(50_000))
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.0037)
    done = interrupted = 0
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            armed = True
            pool.stop(0, "kill")
            future = pool.submit(0, lambda x, y: x.sum() + y.sum(), np.ones(50_000), keys=("x",))
            assert future.result() == 100_000
            armed = False
            done += 1
        except KeyboardInterrupt:
            interrupted += 1
        except (RuntimeError, WorkerError):
            armed = False  # a RuntimeError: the standard library's Condition was cut in half
    signal.setitimer(signal.ITIMER_REAL, 0, 0)
    pool.stop(0, "kill")
    assert pool.submit(0, np.sum, keys=("x",)).result(timeout=10) == 50_000
    assert pool.submit(1, int, "3").result(timeout=10) == 3
    pool.close()
    assert interrupted > 10
    print("usable")
    """
)


def test_ctrl_c_in_the_middle_of_anything_leaves_the_pool_usable() -> None:
    out, err = run_script("", "-c", STORM).communicate(timeout=60)
    assert out == "usable\n", err


@pytest.mark.parametrize("task", [(time.sleep, 60), (time.sleep, 0.3)], ids=["runs", "ends meanwhile"])
def test_a_future_whose_lock_a_ctrl_c_left_locked_holds_up_nobody(pool: LocalPool, task: tuple[Any, ...]) -> None:
    future = pool.submit(0, *task)
    future._condition.acquire()  # what a KeyboardInterrupt in the middle of ``future.result()`` may leave
    assert pool.stop(0, "kill") in ("kill", "nothing")
    assert pool.submit(0, int, "4").result(timeout=20) == 4


def test_a_forked_child_has_no_pool_and_harms_none(pool: LocalPool) -> None:
    pool.put(0, "x", np.ones(100_000))
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            try:
                pool.submit(0, int)
            except PoolClosed:
                pool.close()
                gc.collect()
                status = 0
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pool.submit(0, np.sum, keys=("x",)).result() == 100_000
    assert pool.submit(1, int, "3").result() == 3
