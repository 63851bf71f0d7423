"""In a program of MPI, one rank runs tests; the others serve it, from here on. And what several files need of Dask."""

import os

import pytest

if os.environ.get("KOFN_ENGINE") == "mpi":
    from kofn.engines import MPIPool

    MPIPool()


@pytest.fixture(scope="module")
def client(dask_cluster):
    """Dask's, of the four workers with nannies, for the tests that leave them as they found them."""
    from distributed import Client

    with Client(dask_cluster.address, set_as_default=False) as client:
        client.wait_for_workers(4, 60)
        yield client
