"""The parser of the whole command line, from the commands that there are."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping
from importlib.metadata import EntryPoint, version
from importlib.util import find_spec
from typing import NoReturn

from .._base._entries import entries, load_entry, package_of
from ..errors import KofnError
from ._command import Command

GROUP = "kofn.commands"
"""Entry points that add commands: each the name of a `Command`, loaded when it is called."""

OWN = {
    "matmul": "_matmul:COMMAND",
    "bench": "_bench:COMMAND",
    "engines": "_engines:COMMAND",
    "codes": "_codes:CODES",
    "cite": "_codes:CITE",
    "completion": "_completion:COMMAND",
}
"""The library's own commands, found in the same way."""

DESCRIPTION = """\
Numerical work on many workers without waiting for the slowest: exact from any k of n results,
and the best estimate with an honest error bar before that."""

EXIT_CODES = """\
exit codes:
  0    done
  1    not possible: too little arrived, a worker's task failed, too little memory; what was asked for is not there,
       or is the best estimate, and stderr says which
  2    bad input: an option, a file or a package that is missing; nothing was started or changed
  130  interrupted (Ctrl-C); half-written files and workers are gone
  143  ended (SIGTERM); the same"""
"""For the help, and for the page on the command line."""

REFUSED = 2


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


def installed() -> dict[str, EntryPoint]:
    """Those whose packages are there.

    Examples
    --------
    >>> "matmul" in installed()
    True
    """
    return {name: point for name, point in commands().items() if find_spec(package_of(point)) is not None}


def parser(found: Mapping[str, EntryPoint]) -> ArgumentParser:
    """Load some commands and build the parser for them."""
    example = f"example:\n  kofn demo\n\nkofn COMMAND --help explains a command.\n\n{EXIT_CODES}"
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


def _load(name: str, point: EntryPoint) -> Command:
    command = load_entry(point, f"kofn {name}")
    if not isinstance(command, Command):
        raise KofnError(f"kofn {name} must be a kofn.cli.Command, but {point.value} is {command!r}.")
    return command
