"""``kofn matmul``: the product of two matrices in files."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

import numpy as np

from .._api._auto import AUTO
from .._api._matmul import matmul
from ..arrays._npy import check_target, replacing
from ..arrays.formats import Place, check_place, place, read_file, split_name
from ..checks import named, refusal
from ..errors import ArgumentError, KofnError, MissingPackage, require, require_installed
from ..jobs._answer import Answer
from ..jobs.report._progress import ProgressLine, format_progress
from ..jobs.report._report import Report, check_page
from ..schemes import PRODUCTS
from ..schemes.products._plain import is_sparse_matrix
from ._command import Command
from ._options import add_options, options_of
from ._workers import add_workers, workers_of

EXAMPLES = """\
  kofn matmul A.npy B.npy --out C.npy
  kofn matmul A.npy B.npy --out C.npy --code kronecker --workers 8 --deadline 2
  kofn matmul A.npy B.npy --out C.npy --code kronecker --blocks 2 3 --tolerance 0.05 --timeline who.png
  kofn matmul A.npy B.npy --out C.npy --html run.html
  kofn matmul data.npz:left data.npz:right --out C.npy
  kofn matmul A.mtx.gz B.npz --out C.npz
  kofn matmul A.npy B.npy --out C.npy --workers dask:tcp://scheduler:8786"""


NOTES = """

Matrices are read from .npy, .npz, .mtx, .mtx.gz (Matrix Market) and .zarr, of which the last needs kofn[zarr].
Write FILE:NAME for one of several arrays of an archive or a group. Dense matrices hold float32, float64, complex
numbers, or integers of at most 2**53 in size, which are read as float64; those in .npy, .zarr and archives that
are not compressed are read by pieces. Sparse ones, from Matrix Market and scipy.sparse.save_npz, stay sparse, and
so does the product of two: it goes to .npz, .mtx or .mtx.gz.
A dense product goes to any of these; in .npy and .zarr it is written as it comes, and need not fit into memory."""


def _add(parser: ArgumentParser) -> None:
    parser.epilog = (parser.epilog or "") + NOTES
    parser.add_argument("A", metavar="A", help="file of the left matrix")
    parser.add_argument("B", metavar="B", help="file of the right matrix")
    parser.add_argument(
        "--out", metavar="C", required=True, help="where the product goes, in the form that its name says"
    )
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
    A, B = (read_file(getattr(arguments, name), name) for name in "AB")
    _require_apart(arguments)
    _require_fitting(A, B)
    product = (A.shape[0], B.shape[1]), np.result_type(A.dtype, B.dtype), is_sparse_matrix(A) and is_sparse_matrix(B)
    check_place(arguments.out, "--out", *product)
    if arguments.timeline is not None:
        require_installed("kofn matmul: '--timeline'", "matplotlib")
        check_target(arguments.timeline, "--timeline")
    if arguments.html is not None:
        check_page("kofn matmul", "--html", arguments.html)
        check_target(arguments.html, "--html")
    try:
        with place(arguments.out, "--out", *product) as target:
            answer, failure = _multiply_or_estimate(A, B, target, workers, arguments)
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
    taken = {os.path.realpath(split_name(getattr(arguments, name))[0]): name for name in "AB"}
    for option in ("out", "timeline", "html"):
        path = getattr(arguments, option)
        if path is not None and (other := taken.setdefault(os.path.realpath(path), f"--{option}")) != f"--{option}":
            must, remedy = f"be another file than {other}", "choose another name"
            raise refusal("kofn matmul", f"--{option}", must, path, remedy)


def _require_fitting(A: Any, B: Any) -> None:
    """Refuse shapes of which there is no product, before its place is looked at."""
    if A.shape[1] != B.shape[0]:
        must, remedy = f"have {A.shape[1]} rows, as A has columns", "transpose one of them, or name another file"
        raise refusal("kofn matmul", "B", must, f"one of shape {B.shape}", remedy)


def _multiply_or_estimate(
    A: Any, B: Any, target: Place, workers: Any, arguments: Namespace
) -> tuple[Answer, KofnError | None]:
    """The product, or the best estimate of a job that failed and why it did; either is written."""
    failure: KofnError | None = None
    try:
        answer = _multiply(A, B, target.out, workers, arguments)
    except KofnError as error:
        estimate: Answer | None = getattr(error, "estimate", None)
        if estimate is None:
            raise
        answer, failure = estimate, error
    target.write(answer.value)
    return answer, failure


def _multiply(A: Any, B: Any, out: Any, workers: Any, arguments: Namespace) -> Answer:
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
    return (
        f"{arguments.out}: {how}, {answer.count} result{'s' * (answer.count != 1)} used, {answer.report.seconds:.3f} s"
    )


def _draw_timeline(report: Report) -> Any:
    """A matplotlib Figure of who computed what when; it needs no display."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.35 * report.workers + 1.4), layout="constrained")
    report.plot(figure.subplots())
    return figure


COMMAND = Command("multiply two matrices in files on worker processes, here or on a cluster", EXAMPLES, _add, _execute)
