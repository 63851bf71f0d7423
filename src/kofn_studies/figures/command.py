"""``kofn figure``: published figures, computed again."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kofn.checks import integer, refusal
from kofn.cli import Command, columns
from kofn.errors import MissingPackage, require_installed

from .._folders import make_folder
from .costs import cost

if TYPE_CHECKING:
    from . import Recipe, Request, Study

USAGE = """\
kofn figure ID --out DIR [--trials N] [--seed S] [--data DIR] [--quick] [--jobs N] [--device NAME]
       kofn figure --all --out DIR --data DIR
       kofn figure --list"""

NOTES = """

A figure is made of points. Each is kept in DIR/points as soon as it is there, so a run that was interrupted or killed
goes on where it was, several runs may share a folder, and figures share points. DIR/gallery.html shows all figures
in DIR with the published value, ours, and what is better. The same seed gives the same
numbers with any --jobs; what is measured aside (aicc-fig5, sr-decode, own-traffic, own-workers).

Figures of training and of learned codes need kofn[torch]. Figures of sums (sr-*) count in loops that kofn[compiled]
compiles; without it they take some ten times as long. --list says which are which, and how many
seconds of a processor each takes, in full and quick, and how much memory a process of it."""

CALL = "kofn figure"

POINTS = "points"
"""In the folder of the figures: the points that they are made of."""


def _add(parser: ArgumentParser) -> None:
    parser.usage = USAGE
    parser.epilog = (parser.epilog or "") + NOTES
    parser.add_argument("id", metavar="ID", nargs="?", help="which figure; --list names them")
    parser.add_argument("--list", action="store_true", help="list the figures, what they need and how long they take")
    parser.add_argument("--all", action="store_true", help="all figures, one after the other")
    parser.add_argument("--out", metavar="DIR", help="needed: folder for ID.json and ID.png; made if need be")
    parser.add_argument(
        "--trials", metavar="N", type=int, help="random trials; by default what takes a minute, for training seeds"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of all that is random (default 0)")
    parser.add_argument("--data", metavar="DIR", help="folder that holds mnist/, fashion-mnist/, cifar10/")
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: few trials, less or smaller data"
    )
    parser.add_argument(
        "--jobs", metavar="N", type=int, help="processes, of one thread each; by default one a processor"
    )
    parser.add_argument(
        "--device", metavar="NAME", default="cpu", help="where networks are trained: cpu (default), cuda, cuda:1, mps"
    )


def _figure(arguments: Namespace) -> int:
    from . import FIGURES

    if arguments.list:
        if arguments.id is not None or arguments.all:
            got = "--all" if arguments.id is None else repr(arguments.id)
            remedy = f"say `kofn figure {'--all' if arguments.id is None else arguments.id} --out figures` to compute"
            raise refusal(CALL, "ID", "be left out with --list", got, remedy)
        rows = [(recipe.id, recipe.title, cost(recipe.id), _extras(recipe)) for recipe in FIGURES.values()]
        print(*columns(rows), sep="\n")
        return 0
    if arguments.all and arguments.id is not None:
        raise refusal(CALL, "ID", "be left out with --all", repr(arguments.id), "name one figure or ask for all")
    if not arguments.all and arguments.id not in FIGURES:
        must = f"be one of {', '.join(FIGURES)}"
        raise refusal(CALL, "ID", must, repr(arguments.id), "see `kofn figure --list`")
    return _write(list(FIGURES.values()) if arguments.all else [FIGURES[arguments.id]], arguments)


def _extras(recipe: Recipe) -> str:
    """What the list of figures says of optional installations."""
    if recipe.needs:
        return f"needs kofn[{recipe.needs}]"
    return f"faster with kofn[{recipe.faster}]" if recipe.faster else ""


def _write(recipes: Sequence[Recipe], arguments: Namespace) -> int:
    """Compute and write figures, on workers that stay for all of them."""
    from threadpoolctl import threadpool_limits

    from kofn.engines import LocalPool, processors

    from ..study import Store, complete
    from .figure import write
    from .gallery import write_gallery

    asked = [_asked(recipe, arguments) for recipe in recipes]
    jobs = processors() if arguments.jobs is None else arguments.jobs
    integer(CALL, "--jobs", jobs, 1, "leave it out for one process a processor")
    packages = [name for recipe, request in zip(recipes, asked, strict=True) for name in recipe.packages(request)]
    whose = recipes[0].id if len(recipes) == 1 else "--all"
    require_installed(f"{CALL}: {whose}", *dict.fromkeys(packages))
    studies = [_planned(recipe, request) for recipe, request in zip(recipes, asked, strict=True)]
    make_folder(CALL, Path(arguments.out))
    store = Store(Path(arguments.out) / POINTS)
    with LocalPool(jobs, threads_per_worker=1) as pool:
        for number, (recipe, request, study) in enumerate(zip(recipes, asked, studies, strict=True), start=1):
            place = f" ({number} of {len(recipes)})" if len(recipes) > 1 else ""
            print(_begun(recipe, request, place), file=sys.stderr)
            results = complete(study.points, store, pool, request.data, sys.stderr)
            with threadpool_limits(1):  # as at the workers: sums over points do not depend on the machine's processors
                figure = study.figure(results)
            print(*write(recipe, figure, arguments.out), sep="\n", flush=True)
    print(f"all figures of the folder: {write_gallery(arguments.out)}", file=sys.stderr)
    return 0


def _asked(recipe: Recipe, arguments: Namespace) -> Request:
    """What is asked of one figure."""
    from .figure import Request

    if arguments.out is None:
        which = "--all" if arguments.all else recipe.id
        raise refusal(CALL, "--out", "name a folder", None, f"say `kofn figure {which} --out figures`")
    if arguments.data is not None and not Path(arguments.data).is_dir():
        remedy = "make it and put mnist/ there, for example, or leave it out for scikit-learn's digits"
        raise refusal(CALL, "--data", "be a folder that is there", arguments.data, remedy)
    trials = recipe.trials if arguments.trials is None else arguments.trials
    integer(CALL, "--trials", trials, 2, "leave it out for the usual number")
    integer(CALL, "--seed", arguments.seed, 0, "any of these will do")
    return Request(trials, arguments.seed, arguments.data, arguments.quick, arguments.device)


def _planned(recipe: Recipe, request: Request) -> Study:
    """The points of a figure; what it lacks is told before anything is computed."""
    try:
        return recipe.plan(request)
    except MissingPackage as error:  # of data that another package carries
        error.call = CALL
        raise


def _begun(recipe: Recipe, request: Request, place: str) -> str:
    """One line for who waits."""
    line = f"{recipe.id}{place}: {recipe.trials_of(request)} trials"
    if recipe.faster and find_spec("numba") is None:
        line += f"; pip install 'kofn[{recipe.faster}]' makes it some ten times faster"
    return line if request.quick else f"{line}; --quick takes seconds"


COMMAND = Command(
    "compute published figures again, with their points as JSON",
    "  kofn figure --list\n  kofn figure uep-fig10 --out figures\n  kofn figure --all --out figures --data data",
    _add,
    _figure,
)
