"""Hypothesis draws the same examples every time, and no example is too slow on a busy machine.

A property is tried on a quarter of its examples; on all of them with ``--hypothesis-profile=long``.
"""

import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

always = settings(derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", always, max_examples=25)
settings.register_profile("long", always, max_examples=100)
settings.load_profile("fast")

COMPILER = pytest.StashKey[subprocess.Popen]()

LONG_EXAMPLES = {"kofn.tuning.functions._fit.fit", "kofn.tuning.products._design.design"}
"""Examples in docstrings that take some seconds."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name in LONG_EXAMPLES:
            item.add_marker(pytest.mark.slow)


gc.disable()  # nothing of what is collected ends before the tests do, and looking for it took a third of the time


def pytest_sessionstart(session):
    """Where several processes run tests, what Numba compiles is compiled beside them, and not in each."""
    config = session.config
    if not hasattr(config, "workerinput") and getattr(config.option, "numprocesses", None):
        program = Path(__file__).parent / "tests" / "support" / "compiling.py"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        config.stash[COMPILER] = subprocess.Popen([sys.executable, program], **quiet)


def pytest_sessionfinish(session):
    if (compiler := session.config.stash.get(COMPILER, None)) is not None:
        compiler.kill()
        compiler.wait()


def pytest_collection_finish():
    """What is there by now stays: garbage is looked for among what tests make, in their forked children too."""
    gc.enable()
    gc.collect()
    gc.freeze()


# A shell that starts tests in the background makes them ignore Ctrl-C, and so everything they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _two_processes():
    from kofn import LocalPool

    with LocalPool(2) as pool:
        yield pool


@pytest.fixture
def local_pool(_two_processes):
    """Two processes, for the tests that leave them as they found them; those that a test kills are replaced."""
    from processes import until

    yield _two_processes
    until(lambda: [_two_processes.state(worker) for worker in range(2)] == ["idle"] * 2)


@pytest.fixture(scope="session")
def dask_cluster():
    """Four workers with nannies, for the tests that leave them as they found them: they take seconds to start."""
    from dask_processes import processes

    with processes("w0", "w1", "w2", "w3", options=["--nanny"]) as cluster:
        yield cluster
