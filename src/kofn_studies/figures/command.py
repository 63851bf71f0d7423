"""``kofn figure``: a published figure, computed again."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kofn.checks import integer, refusal
from kofn.cli import Command, columns
from kofn.errors import MissingPackage, require_installed

from .._folders import make_folder

if TYPE_CHECKING:
    from . import Figure, Recipe, Request

USAGE = """\
kofn figure ID --out DIR [--trials N] [--seed S] [--data DIR] [--quick] [--device NAME]
       kofn figure --list"""

NOTES = """

Figures of training and of learned codes need kofn[torch]. Figures of sums (sr-*) count in loops that kofn[compiled]
compiles; without it they take some ten times as long. --list says which are which."""


def _add(parser: ArgumentParser) -> None:
    parser.usage = USAGE
    parser.epilog = (parser.epilog or "") + NOTES
    parser.add_argument("id", metavar="ID", nargs="?", help="which figure; --list names them")
    parser.add_argument("--list", action="store_true", help="list the figures and which of them need PyTorch")
    parser.add_argument("--out", metavar="DIR", help="needed: folder for ID.json and ID.png; made if need be")
    parser.add_argument(
        "--trials", metavar="N", type=int, help="random trials; by default what takes a minute, for training 3"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of all that is random (default 0)")
    parser.add_argument("--data", metavar="DIR", help="folder that holds mnist/, fashion-mnist/, cifar10/")
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: few trials, less or smaller data"
    )
    parser.add_argument("--device", metavar="NAME", default="cpu", help="where PyTorch computes: cpu (default), cuda")


def _figure(arguments: Namespace) -> int:
    from . import FIGURES

    if arguments.list:
        if arguments.id is not None:
            remedy = f"say `kofn figure {arguments.id} --out figures` to compute a figure"
            raise refusal("kofn figure", "ID", "be left out with --list", repr(arguments.id), remedy)
        print(*columns([(recipe.id, recipe.title, _extras(recipe)) for recipe in FIGURES.values()]), sep="\n")
        return 0
    if arguments.id not in FIGURES:
        must = f"be one of {', '.join(FIGURES)}"
        raise refusal("kofn figure", "ID", must, repr(arguments.id), "see `kofn figure --list`")
    return _write(FIGURES[arguments.id], arguments)


def _extras(recipe: Recipe) -> str:
    """What the list of figures says of optional installations."""
    if recipe.needs:
        return f"needs kofn[{recipe.needs}]"
    return f"faster with kofn[{recipe.faster}]" if recipe.faster else ""


def _write(recipe: Recipe, arguments: Namespace) -> int:
    from .figure import Request, write

    if arguments.out is None:
        raise refusal("kofn figure", "--out", "name a folder", None, f"say `kofn figure {recipe.id} --out figures`")
    remedy = "leave it out for the usual number"
    trials = recipe.trials if arguments.trials is None else arguments.trials
    integer("kofn figure", "--trials", trials, 2, remedy)
    integer("kofn figure", "--seed", arguments.seed, 0, "any int will do")
    asked = Request(trials, arguments.seed, arguments.data, arguments.quick, arguments.device, folder=arguments.out)
    require_installed(f"kofn figure: {recipe.id}", *recipe.packages(asked))
    make_folder("kofn figure", Path(arguments.out))
    print(_begun(recipe, asked), file=sys.stderr)
    print(*write(recipe, _computed(recipe, asked), arguments.out), sep="\n")
    return 0


def _computed(recipe: Recipe, asked: Request) -> Figure:
    try:
        return recipe.compute(asked)
    except MissingPackage as error:  # of data that another package carries
        error.call = "kofn figure"
        raise


def _begun(recipe: Recipe, asked: Request) -> str:
    """One line for who waits."""
    line = f"{recipe.id}: {recipe.trials_of(asked)} trials"
    if recipe.faster and find_spec("numba") is None:
        line += f"; pip install 'kofn[{recipe.faster}]' makes it some ten times faster"
    return line if asked.quick else f"{line}; --quick takes seconds"


COMMAND = Command(
    "compute a published figure again, with its points as JSON",
    "  kofn figure --list\n  kofn figure uep-fig10 --out figures\n  kofn figure sr-fig2a --out figures --quick",
    _add,
    _figure,
)
