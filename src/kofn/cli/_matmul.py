"""``kofn matmul``: the product of two ``.npy`` files."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

import numpy as np

from .._api._auto import AUTO
from .._api._matmul import matmul
from ..arrays._file import FileMatrix
from ..arrays._npy import check_target, new_matrix, read_matrix, replacing
from ..checks import named, refusal
from ..errors import ArgumentError, KofnError, MissingPackage, require, require_installed
from ..jobs._answer import Answer
from ..jobs.report._progress import ProgressLine, format_progress
from ..jobs.report._report import Report, check_page
from ..schemes import PRODUCTS
from ._command import Command
from ._options import add_options, options_of
from ._workers import add_workers, workers_of

EXAMPLES = """\
  kofn matmul A.npy B.npy --out C.npy
  kofn matmul A.npy B.npy --out C.npy --code kronecker --workers 8 --deadline 2
  kofn matmul A.npy B.npy --out C.npy --code kronecker --blocks 2 3 --tolerance 0.05 --timeline who.png
  kofn matmul A.npy B.npy --out C.npy --html run.html
  kofn matmul A.npy B.npy --out C.npy --workers dask:tcp://scheduler:8786"""


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("A", metavar="A.npy", help="the left matrix")
    parser.add_argument("B", metavar="B.npy", help="the right matrix")
    parser.add_argument("--out", metavar="C.npy", required=True, help="where the product goes")
    parser.add_argument("--code", metavar="NAME", default=AUTO, help=f"{AUTO}, {', '.join(PRODUCTS)} (default: {AUTO})")
    add_workers(parser)
    parser.add_argument("--blocks", metavar=("N", "P"), nargs=2, type=int, help="row blocks of A, column blocks of B")
    parser.add_argument(
        "--rows", metavar="N", type=int, help="coded rows (default: one per worker; of auto, as is best)"
    )
    parser.add_argument("--seed", metavar="S", type=int, help="repeat the same coefficients")
    add_options(parser)
    parser.add_argument("--timeline", metavar="PNG", help="draw who computed what when")
    parser.add_argument(
        "--html", metavar="HTML", help="write a page that shows the run, and its figures as JSON beside it"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _execute(arguments: Namespace) -> int:
    workers = workers_of("kofn matmul", arguments)
    A, B = read_matrix(arguments.A, "A"), read_matrix(arguments.B, "B")
    _require_apart(arguments)
    shape, dtype = (A.shape[0], B.shape[1]), np.result_type(A.dtype, B.dtype)
    check_target(arguments.out, "--out", shape[0] * shape[1] * dtype.itemsize + 128)
    if arguments.timeline is not None:
        require_installed("kofn matmul: '--timeline'", "matplotlib")
        check_target(arguments.timeline, "--timeline")
    if arguments.html is not None:
        check_page("kofn matmul", "--html", arguments.html)
        check_target(arguments.html, "--html")
    try:
        with new_matrix(arguments.out, shape, dtype, "--out") as out:
            answer, failure = _multiply_or_estimate(A, B, out, workers, arguments)
    except (ArgumentError, MissingPackage):
        raise
    except KofnError as error:
        print(f"{str(error).rstrip('.')}; nothing was written.", file=sys.stderr)
        return 1
    written = _describe(answer, arguments)
    if failure is None:
        print(written)
        return 0
    reason = str(failure).rstrip(".").partition(";")[0]
    print(f"{reason}; the best estimate was written to {written}.", file=sys.stderr)
    return 1


def _require_apart(arguments: Namespace) -> None:
    """Refuse to write over an input, or the picture over the product."""
    taken = {os.path.realpath(arguments.A): "A", os.path.realpath(arguments.B): "B"}
    for option in ("out", "timeline", "html"):
        path = getattr(arguments, option)
        if path is not None and (other := taken.setdefault(os.path.realpath(path), f"--{option}")) != f"--{option}":
            must, remedy = f"be another file than {other}", "choose another name"
            raise refusal("kofn matmul", f"--{option}", must, path, remedy)


def _multiply_or_estimate(
    A: FileMatrix, B: FileMatrix, out: FileMatrix, workers: Any, arguments: Namespace
) -> tuple[Answer, KofnError | None]:
    """The product, or the best estimate of a job that failed and why it did; either is written to ``out``."""
    failure: KofnError | None = None
    try:
        answer = _multiply(A, B, out, workers, arguments)
    except KofnError as error:
        estimate: Answer | None = getattr(error, "estimate", None)
        if estimate is None:
            raise
        answer, failure = estimate, error
    if answer.value is not out:
        out[:] = answer.value
    return answer, failure


def _multiply(A: FileMatrix, B: FileMatrix, out: FileMatrix, workers: Any, arguments: Namespace) -> Answer:
    with ProgressLine(sys.stderr, arguments.quiet) as line, named("kofn matmul"):
        # An expected error costs a sketch of the data, so nobody asks for it when nobody looks.
        progress = None if arguments.quiet else lambda now: line.show(format_progress(now))
        return matmul(
            A,
            B,
            workers=workers,
            code=arguments.code,
            blocks=arguments.blocks,
            rows=arguments.rows,
            rng=arguments.seed,
            out=out,
            options=options_of("kofn matmul", arguments, progress),
        )


def _describe(answer: Answer, arguments: Namespace) -> str:
    if arguments.timeline is not None:
        with replacing(arguments.timeline, "--timeline") as file:
            _draw_timeline(answer.report).savefig(file, format="png", dpi=120)
    if arguments.html is not None:
        answer.report.save(arguments.html)
    how = "exact" if answer.exact else f"expected relative error {answer.error:.2g}"
    return f"{arguments.out}: {how}, {answer.count} results used, {answer.report.seconds:.3f} s"


def _draw_timeline(report: Report) -> Any:
    """A matplotlib Figure of who computed what when; it needs no display."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.35 * report.workers + 1.4), layout="constrained")
    report.plot(figure.subplots())
    return figure


COMMAND = Command("multiply two .npy files on worker processes, here or on a cluster", EXAMPLES, _add, _execute)
