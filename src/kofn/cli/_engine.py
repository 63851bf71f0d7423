"""``--engine ADDRESS``: the workers of a Dask cluster instead of processes on this machine."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..checks import refusal
from ..engines import DaskPool
from ..errors import require_installed

PATIENCE = 10
"""Seconds to wait for the scheduler, and then for its workers."""


def add_engine(parser: ArgumentParser) -> None:
    """Add ``--engine`` to a subcommand."""
    parser.add_argument(
        "--engine", metavar="ADDRESS", help="workers of a Dask scheduler, tcp://HOST:8786 (default: processes here)"
    )


@contextmanager
def dask_pool(call: str, address: str, minimum: int = 1) -> Iterator[DaskPool]:
    """Connect to a scheduler, as the user's Dask configuration says where it comes to TLS.

    Parameters
    ----------
    call : str
        The command, for sentences that refuse.
    address : str
    minimum : int
        How many workers it takes.
    """
    require_installed(f"{call}: '--engine'", "distributed")
    from distributed import Client
    from distributed.comm.addressing import get_address_host_port

    # What Dask has to say about a lost connection is said by kofn, in one sentence.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    must, remedy = "be the address of a Dask scheduler", "write it as tcp://host:8786 and look whether it runs"
    try:
        get_address_host_port(address)  # a client that never connected would complain at the end of the program
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refusal(call, "--engine", must, f"{address!r} ({reason})", remedy) from error
    with client:
        _await_workers(call, client, minimum)
        with DaskPool(client) as pool:
            yield pool


def _await_workers(call: str, client: Any, minimum: int) -> None:
    try:
        client.wait_for_workers(minimum, timeout=PATIENCE)
    except Exception as error:
        found = len(client.nthreads())
        must, remedy = f"have at least {minimum} workers", "start more with `dask worker ADDRESS`"
        raise refusal(call, "--engine", must, found, remedy) from error
