"""From a command line to an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import NoReturn

from ..errors import ArgumentError, KofnError, MissingPackage
from ._parser import REFUSED, commands, installed, parser

FAILED, INTERRUPTED, TERMINATED = 1, 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM; as an interrupt it passes what takes a SystemExit for one of the user's code, such as pickling."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (this program's by default) and return the exit code.

    Examples
    --------
    >>> main(["cite", "kofn"])
    @software{kofn,
      author    = {{The kofn authors}},
      title     = {{kofn}: exact from any k of n results, and the best estimate before that},
      year      = {2026},
    }
    0
    """
    _replace_unprintable()
    with contextlib.suppress(ValueError):  # handlers belong to the main thread
        signal.signal(signal.SIGTERM, _end)
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser(_find_commands(argv)).parse_args(argv)
        code: int = arguments.execute(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has left; a second complaint when Python flushes would only confuse.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Terminated:
        return TERMINATED
    except KeyboardInterrupt:
        return _print_error("kofn: interrupted.", INTERRUPTED)
    except MemoryError:
        return _print_error("kofn: this machine has too little memory for that; use smaller matrices.", FAILED)
    except (ArgumentError, MissingPackage) as error:
        return _print_error(str(error), REFUSED)
    except KofnError as error:
        return _print_error(str(error), FAILED)


def _find_commands(argv: Sequence[str]) -> dict[str, EntryPoint]:
    """The command that is called; else all whose packages are there, to be listed."""
    found = commands()
    if argv and argv[0] in found:
        return {argv[0]: found[argv[0]]}
    return installed()


def _end(*_: object) -> NoReturn:
    """Leave by way of everything that cleans up: half-written files go, and so do the workers."""
    raise Terminated


def _print_error(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


def _replace_unprintable() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
