"""In a program of MPI, one rank runs tests; the others serve it, from here on."""

import os

if os.environ.get("KOFN_ENGINE") == "mpi":
    from kofn.engines import MPIPool

    MPIPool()
