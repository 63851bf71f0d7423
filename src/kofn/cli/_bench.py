"""``kofn bench``: whether backups, codes and kofn's choice among them pay, on drawn delays or one's own."""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import checks
from ..arrays._npy import check_target, replacing
from ..engines.local._pool import LocalPool
from ..errors import MissingPackage, require, require_installed
from ..jobs.report._progress import ProgressLine
from ..simulation.bench import (
    AUTO,
    POLICIES,
    TRACES,
    WORK,
    RealWorkers,
    Result,
    bench,
    scheduler_of,
    table,
)
from ..simulation.bench._bench import Play
from ..simulation.bench._recorded import read_trace
from ..simulation.bench._table import draw
from ..simulation.bench._traces import Trace
from ._codes import columns
from ._command import Command

CALL = "kofn bench"

EXAMPLES = """\
  kofn bench --out results
  kofn bench --workers 8 32 --trials 300 --out results
  kofn bench --traces slow-worker pareto --policies plain spark-3.5 coded auto-p99 --trials 10000 --out results
  kofn bench --work map --traces delays.npy --out mine
  kofn bench --real --traces slow-worker slow-tasks --policies plain spark-3.5 coded --out real

delays.npy is a record of your own: a row a task, a column a worker, times per unit of work (NaN: never came back)."""

DEFAULT = 8
"""Workers, unless it is said how many or a record says it."""

SIMULATED, REAL = 1000, 5
"""Trials, unless it is said how many."""

UNREAL = {name for name, policy in POLICIES.items() if scheduler_of(policy) is None}
"""Policies that no scheduler follows."""

SLEEPS = tuple(work for work in WORK if work != "operator")
"""Work for which sleeps can stand: blocks of an operator lie at workers, and moving them is what counts."""

LEGEND = "p50/p99 at 1, 2, 4 and 8 tasks a worker, in units of plain work where nothing straggles; work at the best p99"


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("--work", metavar="W", default="product", help=f"{', '.join(WORK)} (default: product)")
    parser.add_argument(
        "--workers", metavar="N", nargs="+", type=int, help="how many (default: 8, of a record its own)"
    )
    known = f"{', '.join(TRACES)}, or files of recorded delays (default: all of these)"
    parser.add_argument("--traces", metavar="T", nargs="+", default=list(TRACES), help=known)
    known = f"{', '.join([*POLICIES, *AUTO])} (default: all of these, with --real all but hadoop)"
    parser.add_argument("--policies", metavar="P", nargs="+", help=known)
    known = f"how often (default: {SIMULATED}, with --real {REAL})"
    parser.add_argument("--trials", metavar="N", type=int, help=known)
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="repeat the same delays (default: 0)")
    parser.add_argument("--real", action="store_true", help="on processes of this machine, with sleeps for work")
    known = "with --real: what plain work takes where nothing straggles (default: 1)"
    parser.add_argument("--seconds", metavar="S", type=float, help=known)
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="folder for bench.json and, with matplotlib, bench.png"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _execute(arguments: Namespace) -> int:
    traces, of = _checked(arguments)
    policies = arguments.policies or _policies(arguments.real)
    with _folder(arguments.out) as folder:
        draws = _can_draw()
        results: list[Result] = []
        print(LEGEND)
        with ProgressLine(sys.stderr, arguments.quiet) as line:
            for workers, some in _played(arguments.workers, traces, of).items():
                results += _all(arguments, workers, some, list(traces), policies, line)
        _write(folder, results, draws)
    picture = f"; {folder / 'bench.png'}" if draws else ""
    print(f"\n{folder / 'bench.json'}: {len(results)} results{picture}")
    return 0


def _can_draw() -> bool:
    """Whether there will be a picture; where there will not, that is said before anything is simulated."""
    try:
        require_installed(f"{CALL}: a picture", "matplotlib")
    except MissingPackage as error:
        print(f"{str(error).rstrip('.')}; there is none this time.", file=sys.stderr)
        return False
    return True


def _played(
    asked: Sequence[int] | None, traces: Mapping[str, Trace], of: Mapping[str, int]
) -> dict[int, dict[str, Trace]]:
    """The traces by the number of workers on which each is played; a record of more or fewer workers is told."""
    if asked is not None:
        for name, width in of.items():
            others = [str(workers) for workers in asked if workers != width]
            if others:
                print(f"{name} is a record of {width} workers; {' and '.join(others)} are drawn from them")
        return {workers: dict(traces) for workers in asked}
    found: dict[int, dict[str, Trace]] = {}
    for name, trace in traces.items():
        found.setdefault(of.get(name, DEFAULT), {})[name] = trace
    return found


def _all(
    arguments: Namespace,
    workers: int,
    traces: Mapping[str, Trace],
    names: Sequence[str],
    policies: Sequence[str],
    line: ProgressLine,
) -> Iterator[Result]:
    """The results of so many workers, each trace told and printed; ``names`` are those of all traces."""
    trials = arguments.trials or (REAL if arguments.real else SIMULATED)
    where = ""

    def tell(text: str) -> None:
        line.show(f"{where}: {text}")

    with _play(arguments, workers, tell) as play:
        for name, trace in traces.items():
            where = f"{name}, {workers} workers"
            line.show(where)
            seed = [arguments.seed, names.index(name)]
            found = list(bench(arguments.work, workers, {name: trace}, policies, trials, seed, play))
            title = f"{arguments.work}, {name}, {workers} workers{', real' * arguments.real}"
            print(f"\n{title}", *columns(table(found), right=True), sep="\n", flush=True)
            yield from found


@contextlib.contextmanager
def _play(arguments: Namespace, workers: int, tell: Callable[[str], None]) -> Iterator[Play | None]:
    """How trials are played; None for the simulation."""
    if not arguments.real:
        yield None
        return
    with LocalPool(workers, threads_per_worker=1) as pool:
        yield RealWorkers(pool, arguments.seconds or 1.0, tell).play


def _policies(real: bool) -> list[str]:
    """All there are; with real workers those that a scheduler can follow."""
    return [name for name in (*POLICIES, *AUTO) if not real or name not in UNREAL]


def _checked(arguments: Namespace) -> tuple[dict[str, Trace], dict[str, int]]:
    """The traces, and of how many workers records are; what cannot be is refused before anything is simulated."""
    checks.choice(CALL, "--work", arguments.work, WORK, "see kofn bench --help")
    for policy in arguments.policies or ():
        checks.choice(CALL, "--policies", policy, [*POLICIES, *AUTO], "see kofn bench --help")
    for workers in arguments.workers or ():
        checks.integer(CALL, "--workers", workers, 2, "with one worker there is nothing to wait for")
    if arguments.trials is not None:
        checks.integer(CALL, "--trials", arguments.trials, 1, f"leave it out for {SIMULATED}, with --real {REAL}")
    checks.integer(CALL, "--seed", arguments.seed, 0, "leave it out for 0")
    _check_real(arguments)
    traces: dict[str, Trace] = {}
    of: dict[str, int] = {}
    for name in arguments.traces:
        if name in TRACES:
            traces[name] = TRACES[name]
            continue
        record = read_trace(name)
        traces[name], of[name] = record.draw, len(record.pace)
        if arguments.workers is None and of[name] < 2:
            raise checks.refusal(CALL, "--traces", "be a record of 2 workers at least", name, "say --workers 8")
    return traces, of


def _check_real(arguments: Namespace) -> None:
    if arguments.seconds is not None:
        checks.number(CALL, "--seconds", arguments.seconds, "leave it out for 1", strict=True)
        if not arguments.real:
            raise checks.refusal(CALL, "--seconds", "be left out", arguments.seconds, "it is for --real")
    if not arguments.real:
        return
    if arguments.work == "operator":
        remedy = "use product, or leave out --real"
        raise checks.refusal(CALL, "--work", f"be one of {', '.join(SLEEPS)} with --real", "operator", remedy)
    for policy in UNREAL & set(arguments.policies or ()):
        must = "be without hadoop with --real, as no task says how far it is"
        raise checks.refusal(CALL, "--policies", must, policy, "leave it, or --real, out")


@contextlib.contextmanager
def _folder(given: str) -> Iterator[Path]:
    """The folder for results; it is gone again if it was made for them and there are none."""
    folder = Path(given)
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        must, got = "be a folder, or a place where one can be made", f"{given} ({error.strerror})"
        raise checks.refusal(CALL, "--out", must, got, "choose another name") from None
    try:
        for name in ("bench.json", "bench.png"):
            check_target(folder / name, "--out")
        yield folder
    except BaseException:
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _write(folder: Path, results: Sequence[Result], draws: bool) -> None:
    with replacing(folder / "bench.json", "--out") as file:
        file.write(json.dumps([result.to_dict() for result in results], indent=1).encode())
    if not draws:
        return
    with replacing(folder / "bench.png", "--out") as file:
        _picture(results).savefig(file, format="png", dpi=110)


def _picture(results: Sequence[Result]) -> Any:
    """A matplotlib Figure; it needs no display."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    draw(figure, results)
    return figure


COMMAND = Command("compare what is done about stragglers, on drawn delays or your own", EXAMPLES, _add, _execute)
