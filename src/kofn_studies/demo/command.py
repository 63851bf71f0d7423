"""``kofn demo``: the main job on real data, on real processes with injected stragglers."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kofn.arrays import check_target, replacing
from kofn.checks import integer, refusal
from kofn.cli import Command, add_workers, columns, workers_of
from kofn.engines import Pool, Stop, as_pool, capabilities_of
from kofn.errors import require_installed
from kofn.jobs.report import ProgressLine, format_progress, percent

from .._folders import make_folder
from . import (
    DYING,
    GOOD,
    METHODS,
    SLOW,
    SLOWNESS,
    InjectedDelays,
    MethodResult,
    centred,
    compete,
    disagreement,
    images,
    picture,
    reference,
    subspace_iteration,
)

EXAMPLES = """\
  kofn demo
  kofn demo --seed 7 --out pictures
  kofn demo --html            with a page for each run
  kofn demo --data DIR        with MNIST's images from DIR/mnist/t10k-images-idx3-ubyte.gz
  kofn demo --workers dask:tcp://scheduler:8786"""

INTRODUCTION = """\
{name}: X is {n} × {pixels}, and its kernel matrix K = X Xᵀ is {n} × {n}.

{workers} worker processes compute K in block products of a sixth of the work each. Every task is late by
{pace:g} s and some more; worker {slow} is {slowness:g} times slower, and worker {dying} is killed
{death:.2f} s into its first task. Delays are the same for every code, and so is the estimator, kofn's.
"""

EXPLANATION = """
Uncoded needs all six products, so it waits for worker {slow}. Repetition and backup tasks compute the same
products again. A code needs any six of {workers} different results, so no particular worker matters. Each
estimate tells its error without knowing the truth; the table shows the true one beside it.
"""

FILE = "kofn-demo.png"
DEFAULT, LEAST = 8, 6


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", type=Path, help="folder that holds mnist/ (default: digits)")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="folder for the picture (default: here); made if need be",
    )
    add_workers(parser, "8, and 6 at least")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of all delays and coefficients")
    parser.add_argument("--quick", action="store_true", help="fewer images, shorter delays")
    parser.add_argument("--html", action="store_true", help="write a page for the run of each method as well")


def _execute(arguments: Namespace) -> int:
    workers = workers_of("kofn demo", arguments)
    if isinstance(workers, int):
        integer("kofn demo", "--workers", workers, LEAST, "there are six block products")
    seed = integer("kofn demo", "--seed", arguments.seed, 0, "leave it out for 0")
    target = arguments.out / FILE
    require_installed("kofn demo: the picture", "matplotlib", extra="kofn[demo]")
    delays = InjectedDelays(seed, 0.05 if arguments.quick else 0.3)
    name, pixels = images(arguments.data, 500 if arguments.quick else 2000)
    make_folder("kofn demo", arguments.out)
    check_target(target, "--out")
    with _pool(DEFAULT if workers is None else workers) as pool:
        print(_introduction(name, pixels, pool.n, delays), flush=True)
        outcomes = _contest(pixels, pool, delays)
        print(*_table(outcomes), EXPLANATION.format(slow=SLOW, workers=pool.n), sep="\n", flush=True)
        _components(outcomes[-1].value, pool, delays, 4 if arguments.quick else 6)
    with replacing(target, "--out") as file:
        picture(outcomes).savefig(file, format="png", dpi=90)
    print(f"Who computed what when: {target}")
    if arguments.html:
        _write_pages(outcomes, arguments.out)
    return 0


def _write_pages(outcomes: Sequence[MethodResult], folder: Path) -> None:
    for outcome in outcomes:
        page = folder / f"kofn-demo-{outcome.name.replace(' ', '-')}.html"
        outcome.report.save(page)
        print(f"  {outcome.name}: {page}")


@contextmanager
def _pool(workers: Any) -> Iterator[Pool]:
    pool, _ = as_pool(workers, "kofn demo")
    with closing(pool):
        if pool.n < LEAST:
            raise refusal("kofn demo", "--workers", f"have at least {LEAST} workers", pool.n, "start more")
        yield pool if capabilities_of(pool).kills else NoKillPool(pool)


class NoKillPool:
    """A pool whose workers belong to others too: what would kill one abandons its task.

    Parameters
    ----------
    pool : Pool
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._pool, name)

    def stop(self, worker: int, how: str) -> Stop:
        """Abandon what ``worker`` runs, however it was to be stopped."""
        return self._pool.stop(worker, Stop.ABANDON)


def _introduction(name: str, pixels: Any, workers: int, delays: InjectedDelays) -> str:
    n, size = pixels.shape
    return INTRODUCTION.format(
        name=name[0].upper() + name[1:], n=n, pixels=size, workers=workers,
        pace=delays.pace, slow=SLOW, slowness=SLOWNESS, dying=DYING, death=delays.death_seconds,
    )  # fmt: skip


def _contest(pixels: Any, pool: Pool, delays: InjectedDelays) -> list[MethodResult]:
    truth = pixels @ pixels.T
    outcomes = []
    for contender in METHODS:
        print(f"{contender.name}: {contender.idea}", flush=True)
        with ProgressLine(sys.stdout) as line:
            watch = lambda now: line.show(f"  {format_progress(now)}")  # noqa: E731
            straggling = delays.inject(pool)
            outcomes.append(compete(contender, pixels, pixels.T, truth, straggling, delays.seed, watch))
    return outcomes


def _table(outcomes: Sequence[MethodResult]) -> list[str]:
    good = f"{100 * GOOD:.0f} % error after"
    rows = [("", "exact after", good, "expected then", "true then", "work wasted")]
    for o in outcomes:
        errors = (percent(o.good_error), percent(o.good_true_error)) if o.good_error else ("exact", "exact")
        seconds = (f"{o.exact_seconds:.2f} s", f"{o.good_seconds:.2f} s")
        rows.append((o.name, *seconds, *errors, percent(o.report.wasted)))
    lines = columns(rows, right=True)
    return ["", lines[0], "─" * max(map(len, lines)), *lines[1:]]


def _components(kernel: Any, pool: Pool, delays: InjectedDelays, products: int) -> None:
    print(f"Principal components of K, by {products} products K·V with K coded (mds) and placed once:", flush=True)
    centre = centred(kernel)
    with ProgressLine(sys.stdout) as line:
        found = subspace_iteration(
            centre, delays.inject(pool), products, delays.seed,
            lambda number, answer: line.show(f"  product {number + 1} of {products}: {answer!r}"),
        )  # fmt: skip
    values, angle = disagreement(found, reference(centre))
    shares = ", ".join(f"{100 * share:.2f} %" for share in found.shares)
    print(f"  the first {len(found.shares)} hold {shares} of the variance")
    print(f"  numpy.linalg.eigh: eigenvalues agree to {values:.0e}, the subspace to an angle of {angle:.0e}\n")


COMMAND = Command("run the main job: real data, real processes, one slow, one dying", EXAMPLES, _add, _execute)
