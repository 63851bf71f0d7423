"""``--workers``: a number of processes here, or an engine by its name, as ``workers=`` in Python."""

from __future__ import annotations

import logging
from argparse import SUPPRESS, ArgumentParser, Namespace

from ..checks import refusal
from ..engines import Pool, as_pool


def add_workers(parser: ArgumentParser, default: str = "one per processor") -> None:
    """Add ``--workers`` to a subcommand.

    Parameters
    ----------
    parser : ArgumentParser
    default : str
        What it is when nothing is given, for the help.
    """
    about = f"processes here, or an engine, such as dask:tcp://HOST:8786; see `kofn engines` (default: {default})"
    parser.add_argument("--workers", metavar="N|ENGINE", type=_number_or_name, help=about)
    parser.add_argument("--engine", help=SUPPRESS)


def workers_of(call: str, arguments: Namespace) -> int | str | Pool | None:
    """What was given for ``--workers``, as ``workers=`` takes it; refuse ``--engine``, which took an address before.

    With ``mpi`` one rank gets any further: the others serve it from here on, and say nothing.

    Parameters
    ----------
    call : str
        The command, for the sentence that refuses.
    arguments : Namespace
    """
    if arguments.engine is not None:
        remedy = f"write --workers dask:{arguments.engine}"
        raise refusal(call, "--engine", "be left out: '--workers' names engines, too", arguments.engine, remedy)
    given: int | str | None = arguments.workers
    if given == "mpi":
        return as_pool(given, call)[0]
    if isinstance(given, str):  # what Dask has to say about a lost connection is said by kofn, in one sentence
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return given


def _number_or_name(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
