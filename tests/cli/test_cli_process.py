"""The command as a process of its own: exit codes, Ctrl-C, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from processes import slow_but

KOFN = [sys.executable, "-m", "kofn"]
MARK = "KOFN_TEST_MARK"


@contextmanager
def begun(*arguments):
    """The command, running, in a process group of its own; all that it starts carries a mark."""
    mark = uuid.uuid4().hex
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [*KOFN, *map(str, arguments)]
    with subprocess.Popen(command, start_new_session=True, env=os.environ | {MARK: mark}, **pipes) as process:
        yield process, mark
        process.kill()


def processes(mark):
    """Ids of the processes that carry the mark and still run."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def gone(mark, seconds=5.0):
    deadline = time.monotonic() + seconds
    while processes(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes(mark)


@pytest.fixture
def big(tmp_path):
    """A matrix whose product with itself takes a while on two processes, and an old result."""
    np.save(tmp_path / "A.npy", np.random.default_rng(0).standard_normal((2800, 2800)))
    np.save(tmp_path / "C.npy", np.arange(3))
    return tmp_path


def test_a_product_ends_with_code_0_and_leaves_nothing(tmp_path):
    np.save(tmp_path / "A.npy", np.random.default_rng(0).standard_normal((280, 280)))
    files = (tmp_path / "A.npy", tmp_path / "A.npy", "--out", tmp_path / "C.npy")
    with begun("matmul", *files, "--workers", 3) as (process, mark):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert gone(mark)
    assert "exact" in out and "rank 1 of" in err
    A = np.load(tmp_path / "A.npy")
    assert np.allclose(np.load(tmp_path / "C.npy"), A @ A)


def test_sigterm_ends_with_code_143_and_leaves_nothing(big):
    options = ["--workers", 3, "--code", "uncoded", "--blocks", 40, 1]
    with begun("matmul", big / "A.npy", big / "A.npy", "--out", big / "C.npy", *options) as (process, mark):
        assert "rank" in process.stderr.readline()
        process.terminate()
        assert process.wait(timeout=20) == 143
        assert gone(mark)
    assert np.array_equal(np.load(big / "C.npy"), np.arange(3))
    assert sorted(path.name for path in big.iterdir()) == ["A.npy", "C.npy"]


@pytest.mark.parametrize("whom", slow_but(["group", "master"], {"group"}))
def test_ctrl_c_ends_with_code_130_and_leaves_nothing(big, whom):
    # Many rows, so that it is interrupted in the middle.
    options = ["--workers", 3, "--code", "uncoded", "--blocks", 40, 1]
    with begun("matmul", big / "A.npy", big / "A.npy", "--out", big / "C.npy", *options) as (process, mark):
        assert "rank" in process.stderr.readline()
        assert len(processes(mark)) >= 4
        (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (130, "")
        assert err.splitlines()[-1] == "kofn: interrupted."
        assert gone(mark)
    assert np.array_equal(np.load(big / "C.npy"), np.arange(3))
    assert sorted(path.name for path in big.iterdir()) == ["A.npy", "C.npy"]


def test_ctrl_c_ends_a_bench_on_real_processes_and_leaves_nothing(tmp_path):
    options = ["--real", "--workers", 2, "--traces", "dead-worker", "--policies", "plain", "--seconds", 60]
    with begun("bench", *options, "--out", tmp_path / "new") as (process, mark):
        while "plain, 1 task a worker" not in process.stderr.readline():
            assert process.poll() is None
        assert len(processes(mark)) >= 2
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err.splitlines()[-1]) == (130, "kofn: interrupted.")
        assert gone(mark)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_ends_with_code_2_and_one_sentence(tmp_path):
    with begun("matmul", tmp_path / "A.npy", tmp_path / "B.npy", "--out", tmp_path / "C.npy") as (process, _):
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and out == ""
    assert err.count("\n") == 1 and "No such file" in err


def test_a_reader_that_leaves_early_is_no_accident():
    with begun("codes") as (process, _):
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1
