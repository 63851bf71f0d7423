"""``python -m kofn.testing.chaos``: run it, and end with 1 where there are faults."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from ...jobs.report._progress import ProgressLine
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
    with ProgressLine(sys.stderr, asked.quiet) as line:
        tally = run(asked.engine, asked.jobs, asked.seed, first=asked.first, tell=_Told(asked.jobs, line))
    print(tally)
    return 1 if tally.faults else 0


class _Told:
    """Says on a progress line what each round came to; faults stand in the tally once more."""

    def __init__(self, jobs: int, line: ProgressLine) -> None:
        self._jobs, self._line, self._done, self._faults = jobs, line, 0, 0

    def __call__(self, round: Round, results: Sequence[Result]) -> None:
        self._done += sum(result.case >= 0 for result in results)
        self._faults += sum(result.is_fault for result in results)
        ends = " ".join(f"{result.case}:{result.kind}" for result in results)
        so_far = f"{self._done} of {self._jobs} jobs, {self._faults} faults"
        self._line.show(f"{so_far}; round {round.number}, {round.workers} workers, {round.threads} threads: {ends}")
        for result in results:
            if result.is_fault:
                self._line.show(f"FAULT ({result.kind}, job {result.case}): {result.text}")


if __name__ == "__main__":
    sys.exit(main())
