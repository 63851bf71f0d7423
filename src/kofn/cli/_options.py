"""`kofn.Options` on the command line."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from ..checks import named
from ..jobs._collector import Progress
from ..jobs._options import Options
from ..jobs.scheduling._names import NAMES

OPTIONS = {
    "deadline": ("SECONDS", float, "stop then, with the best estimate"),
    "tolerance": ("ERROR", float, "stop at this expected error"),
    "estimator": ("NAME", str, "lmmse (default) or exact: zero fill"),
    "scheduler": ("NAME", str, f"what idle workers are given: {', '.join(NAMES)} (default: auto)"),
    "aim": ("NAME", str, "what the code auto makes short: p99 (default) or median"),
    "memory_limit_bytes": ("B", int, "most for blocks and results"),
    "scratch": ("FOLDER", str, "for results that do not fit into memory (default: beside the output)"),
}
"""Those that a command line can say: what stands for the value, its type, and what it is."""


def add_options(parser: ArgumentParser) -> None:
    """Add an argument for each of them."""
    for name, (metavar, kind, about) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, type=kind, help=about)


def options_of(call: str, arguments: Namespace, progress: Callable[[Progress], None] | None) -> Options:
    """The options that were given, or refuse them in the name of the command."""
    given = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    with named(call):
        return Options.of(Options(progress=progress), given)
