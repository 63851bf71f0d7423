"""``kofn bench``: whether backups, codes and kofn's choice among them pay, on drawn delays or one's own."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import checks
from ..arrays._npy import check_target, replacing
from ..errors import require, require_installed
from ..jobs.report._progress import ProgressLine
from ..simulation.bench import AUTO, POLICIES, TRACES, WORK, Result, bench, from_file, table
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

delays.npy is a record of your own: a row a task, a column a worker, times per unit of work (NaN: never came back)."""

LEGEND = "p50/p99 at 1, 2, 4 and 8 tasks a worker, in units of plain work where nothing straggles; work at the best p99"


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("--work", metavar="W", default="product", help=f"{', '.join(WORK)} (default: product)")
    parser.add_argument("--workers", metavar="N", nargs="+", type=int, default=[8], help="how many (default: 8)")
    known = f"{', '.join(TRACES)}, or files of recorded delays (default: all of these)"
    parser.add_argument("--traces", metavar="T", nargs="+", default=list(TRACES), help=known)
    known = f"{', '.join([*POLICIES, *AUTO])} (default: all of these)"
    parser.add_argument("--policies", metavar="P", nargs="+", default=[*POLICIES, *AUTO], help=known)
    parser.add_argument("--trials", metavar="N", type=int, default=1000, help="how often (default: 1000)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="repeat the same delays (default: 0)")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for bench.json and bench.png")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _execute(arguments: Namespace) -> int:
    traces = _checked(arguments)
    folder = _folder(arguments.out)
    require_installed(f"{CALL}: drawing", "matplotlib")
    results: list[Result] = []
    print(LEGEND)
    with ProgressLine(sys.stderr, arguments.quiet) as line:
        for workers in arguments.workers:
            for name, trace in traces.items():
                line.show(f"{name}, {workers} workers")
                seed = [arguments.seed, list(traces).index(name)]
                found = list(bench(arguments.work, workers, {name: trace}, arguments.policies, arguments.trials, seed))
                print(f"\n{arguments.work}, {name}, {workers} workers", *columns(table(found), right=True), sep="\n")
                results += found
    _write(folder, results)
    print(f"\n{folder / 'bench.json'}: {len(results)} results; {folder / 'bench.png'}")
    return 0


def _checked(arguments: Namespace) -> Mapping[str, Trace]:
    """The traces; what cannot be is refused before anything is simulated."""
    checks.choice(CALL, "--work", arguments.work, WORK, "see kofn bench --help")
    for policy in arguments.policies:
        checks.choice(CALL, "--policies", policy, [*POLICIES, *AUTO], "see kofn bench --help")
    for workers in arguments.workers:
        checks.integer(CALL, "--workers", workers, 2, "with one worker there is nothing to wait for")
    checks.integer(CALL, "--trials", arguments.trials, 1, "leave it out for 1000")
    checks.integer(CALL, "--seed", arguments.seed, 0, "leave it out for 0")
    return {name: TRACES[name] if name in TRACES else from_file(name) for name in arguments.traces}


def _folder(given: str) -> Path:
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        must, got = "be a folder, or a place where one can be made", f"{given} ({error.strerror})"
        raise checks.refusal(CALL, "--out", must, got, "choose another name") from None
    for name in ("bench.json", "bench.png"):
        check_target(folder / name, "--out")
    return folder


def _write(folder: Path, results: Sequence[Result]) -> None:
    with replacing(folder / "bench.json", "--out") as file:
        file.write(json.dumps([result.to_dict() for result in results], indent=1).encode())
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
