"""``python -m kofn.testing.chaos``: run it, and end with 1 where there are faults."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from ._draws import Round
from ._engines import ENGINES
from ._play import Result
from ._run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    parser = ArgumentParser("python -m kofn.testing.chaos", description="Seeded chaos on an engine.")
    parser.add_argument("--engine", choices=[*ENGINES], default="local")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="ROUND", help="begin with that round")
    parser.add_argument("--quiet", action="store_true", help="tell only what came of all")
    asked = parser.parse_args(arguments)
    tell = _be_quiet if asked.quiet else _tell
    tally = run(asked.engine, asked.jobs, asked.seed, first=asked.first, tell=tell)
    print(tally)
    return 1 if tally.faults else 0


def _tell(round: Round, results: Sequence[Result]) -> None:
    ends = " ".join(f"{result.case}:{result.kind}" for result in results)
    print(f"round {round.number}, {round.workers} workers, {round.threads} threads: {ends}", flush=True)
    for result in results:
        if result.is_fault:
            print(f"FAULT ({result.kind}, job {result.case}): {result.text}", flush=True)


def _be_quiet(round: Round, results: Sequence[Result]) -> None:
    """Nothing is told of a round."""


if __name__ == "__main__":
    sys.exit(main())
