"""Hypothesis draws the same examples every time, and no example is too slow on a busy machine."""

import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "kofn", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("kofn")

# A shell that starts tests in the background makes them ignore Ctrl-C, and so everything they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def dask_cluster():
    """Four workers with nannies, for the tests that leave them as they found them: they take seconds to start."""
    from dask_processes import processes

    with processes("w0", "w1", "w2", "w3", options=["--nanny"]) as cluster:
        yield cluster
