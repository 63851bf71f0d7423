"""``kofn completion``: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence

from .._api._auto import AUTO
from ..errors import require
from ..jobs._options import AIMS
from ..jobs.scheduling._names import NAMES
from ..schemes import FUNCTIONS, PRODUCTS, SUMS
from ..simulation.bench import AUTO as CHOICES
from ..simulation.bench import POLICIES, TRACES, WORK
from ._command import Command
from ._parser import installed, parser

SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """\
  kofn completion bash > ~/.local/share/bash-completion/completions/kofn
  kofn completion zsh > ~/.zfunc/_kofn
  kofn completion fish | source"""

FILES = {"A", "B", "C", "PNG", "HTML"}
"""What stands for a file in a help text."""

FOLDERS = {"DIR", "FOLDER"}

VALUES = {
    "matmul --code": (AUTO, *PRODUCTS),
    "matmul --scheduler": NAMES,
    "matmul --aim": AIMS,
    "matmul --estimator": ("lmmse", "exact"),
    "bench --work": WORK,
    "bench --traces": TRACES,
    "bench --policies": (*POLICIES, *CHOICES),
    "cite name": ("kofn", *PRODUCTS, *SUMS, *FUNCTIONS),
}
"""Values of options, which parsers do not know: what is none of them is refused in a sentence of kofn's.

Shells offer them, so that the help beside each value need not list them all.
"""


AGAIN = """
function _kofn_takes
    set -l words (commandline -opc)
    set -l options (string match -- '-*' $words)
    contains -- $argv[1] $words; and test "$options[-1]" = $argv[2]
end"""
"""For fish, which takes an option to have one value: whether the command is this one, and its last option that one."""


def _print(arguments: Namespace) -> int:
    with require("kofn completion", "shtab"):
        import shtab
    whole = parser(installed())
    again = [AGAIN]
    for command, action in _actions(whole):
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        if metavar in FILES | FOLDERS:
            action.complete = shtab.FILE if metavar in FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
        name = action.option_strings[-1] if action.option_strings else action.dest
        if values := VALUES.get(f"{command} {name}"):
            action.choices = values = tuple(dict.fromkeys(values))
            action.help = name.strip("-")
            if action.nargs == "+":
                again.append(f"complete -c kofn -n '_kofn_takes {command} {name}' -fa '{' '.join(values)}'")
            if action.nargs == "+" and arguments.shell == "zsh":
                action.complete = {"zsh": _several(action.help, values)}  # type: ignore[attr-defined]
    print(shtab.complete(whole, arguments.shell), *again * (arguments.shell == "fish"), sep="\n")
    return 0


def _several(name: str, values: Sequence[str]) -> str:
    """What zsh is told of an option that takes several values: one, and then further ones that may be left out.

    Were it told of any number of values, it would take the next option for one of them.
    """
    return f"::{name}:".join([f"({' '.join(values)})"] * len(values))


def _actions(whole: ArgumentParser) -> Iterator[tuple[str, Action]]:
    """The arguments of each command."""
    for action in whole._actions:
        if isinstance(action.choices, dict):
            for command, parser in action.choices.items():
                yield from ((command, one) for one in parser._actions)


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


COMMAND = Command("print what a shell needs to complete the command line", EXAMPLES, _add, _print)
