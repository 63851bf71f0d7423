"""What the system does not grant, and programs that end meanwhile: one sentence each, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import kofn
from processes import held, linux

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def said_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60.0)
    return done.stdout.splitlines()


@linux
def test_memory_that_the_system_does_not_grant_is_told_of():
    program = """
import resource
import numpy as np, kofn
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
A = np.ones((200, 200))
with kofn.LocalPool(2) as pool:
    for call in (
        lambda: kofn.matmul(A, A, workers=pool),
        lambda: kofn.operator(A, workers=pool),
        lambda: kofn.map(lambda x: x.sum(), [A, A], workers=pool),
        lambda: kofn.sum([lambda x: A.sum()], 1.0, workers=pool),
    ):
        try:
            print(call())
        except kofn.KofnError as error:
            print(type(error).__name__, type(error.__cause__).__name__, error)
    print(kofn.map(abs, [-1.0], workers=pool).value)
"""
    *refused, fine = said_by(program)
    assert len(refused) == 4 and fine == "[1.0]"
    assert all(line.startswith("KofnError OSError") and "of shared memory cannot be had" in line for line in refused)


def test_a_system_that_gives_no_more_threads_is_told_of(monkeypatch):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = held()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(kofn.KofnError, match=r"LocalPool: the system lets no workers start: .*new thread"):
            kofn.LocalPool(2)
    assert held() <= before
    assert kofn.matmul(np.eye(2), np.eye(2), workers=1).exact


def test_a_pool_that_starts_while_the_program_ends_says_so():
    program = """
import os, threading
import kofn
from kofn.engines.local import _supervisor as supervisor

begun = threading.Event()
supervisor.Supervisor.on_server = lambda self: (begun.set(), self.server.connection.poll())

def go():
    try:
        kofn.LocalPool(1)
    except BaseException as error:
        os.write(1, f"{type(error).__name__} {error}".encode())

thread = threading.Thread(target=go, daemon=True)
thread.start()
begun.wait()
supervisor.Supervisor.close(next(one for one in kofn._base._closeable._owned if hasattr(one, "slots")))
thread.join(20.0)
"""
    assert said_by(program) == [
        "PoolClosed kofn.LocalPool: the pool was closed while its workers started, as the program ended"
    ]
