"""From a command line to an exit code: 0 done, 1 not possible, 2 bad input, 130 interrupted, 143 ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, version
from importlib.util import find_spec
from typing import NoReturn

from .._base._entries import entries, load_entry, package_of
from ..errors import ArgumentError, KofnError, MissingPackage
from ._command import Command

GROUP = "kofn.commands"
"""Entry points that add commands: each the name of a `Command`, loaded when it is called."""

OWN = {
    "matmul": "_matmul:COMMAND",
    "bench": "_bench:COMMAND",
    "engines": "_engines:COMMAND",
    "codes": "_codes:CODES",
    "cite": "_codes:CITE",
}
"""The library's own commands, found in the same way."""

DESCRIPTION = """\
Numerical work on many workers without waiting for the slowest: exact from any k of n results,
and the best estimate with an honest error bar before that."""

FAILED, REFUSED, INTERRUPTED, TERMINATED = 1, 2, 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM; as an interrupt it passes what takes a SystemExit for one of the user's code, such as pickling."""


class Parser(ArgumentParser):
    """An argument parser whose refusal is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with exit code 2."""
        self.exit(REFUSED, f"{self.prog}: {message}; see {self.prog} --help.\n")


def commands() -> dict[str, EntryPoint]:
    """Where every command is, by name: the library's own, and those that entry points add.

    Examples
    --------
    >>> sorted(commands())[:3]
    ['bench', 'cite', 'codes']
    """
    return entries(GROUP, str(__package__), OWN)


def parser(found: Mapping[str, EntryPoint]) -> ArgumentParser:
    """Load some commands and build the parser for them."""
    example = "example:\n  kofn demo\n\nkofn COMMAND --help explains a command."
    top = Parser("kofn", description=DESCRIPTION, epilog=example, formatter_class=RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"kofn {version('kofn')}")
    subparsers = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, point in found.items():
        try:
            command = _load(name, point)
        except KofnError as error:
            if len(found) == 1:
                raise
            subparsers.add_parser(name, help=str(error).replace("%", "%%"))  # the others are there
            continue
        sub = subparsers.add_parser(
            name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            epilog="examples:\n" + command.examples,
            formatter_class=RawDescriptionHelpFormatter,
        )
        command.add(sub)
        sub.set_defaults(execute=command.execute)
    return top


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


def _load(name: str, point: EntryPoint) -> Command:
    command = load_entry(point, f"kofn {name}")
    if not isinstance(command, Command):
        raise KofnError(f"kofn {name} must be a kofn.cli.Command, but {point.value} is {command!r}.")
    return command


def _find_commands(argv: Sequence[str]) -> dict[str, EntryPoint]:
    """The command that is called; else all whose packages are there, to be listed."""
    found = commands()
    if argv and argv[0] in found:
        return {argv[0]: found[argv[0]]}
    return {name: point for name, point in found.items() if find_spec(package_of(point)) is not None}


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
