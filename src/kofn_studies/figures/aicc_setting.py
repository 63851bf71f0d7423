"""What the figures on learned codes share: what is kept of a run, and how it is titled.

PyTorch is imported when a figure is computed, not before.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

from .figure import Request, Series

PAPER = "A Learning-Based Approach to Approximate Coded Computation"

NAMES = ("aicc", "aicc-structured", "lagrange-fit", "berrut", "mean-predictor", "first-order")
"""Series, in the order of `kofn_studies.figures.aicc_contenders.ERRORS`."""

PROBLEMS = ("P1", "P2", "P3", "P4")

STORE = "aicc-runs.jsonl"
"""In the folder of a `Request`: one line for each contender at each point; figures share it."""


class Runs:
    """Means and standard errors that have been computed, in memory and in a file that only grows.

    Parameters
    ----------
    folder : str, optional
        Where the file is; nothing is kept without.
    """

    def __init__(self, folder: str | None) -> None:
        self._path = None if folder is None else Path(folder) / STORE
        self._known: dict[str, tuple[float, float]] = {}
        self._last: Any = None
        if self._path is not None and self._path.exists():
            text = self._path.read_text(encoding="utf-8")
            for line in text.splitlines():
                self._read(line)
            if text and not text.endswith("\n"):  # so that what comes next has a line of its own
                self._path.write_text(text + "\n", encoding="utf-8")

    def __getitem__(self, run: tuple[str, Any]) -> tuple[float, float]:
        """Mean and standard error of a contender's NRMSE in % at a `Cell`, computed if need be."""
        from .sampling import mean_and_error

        name, cell = run
        key = json.dumps({"contender": name, **asdict(cell), "schedule": asdict(cell.schedule)}, sort_keys=True)
        if key not in self._known:
            print(f"{name}: {cell.problem}, M = {cell.size}, K = {cell.inputs}", file=sys.stderr)
            mean, error = mean_and_error(self._contest(cell).errors(name).mean(axis=1))
            self._known[key] = (float(mean), float(error))
            self._write(key, name)
        return self._known[key]

    def _contest(self, cell: Any) -> Any:
        """The contest of a cell; that of the last one is kept, as its contenders share samples and fits."""
        from .aicc_contenders import Contest

        if self._last is None or self._last.cell != cell:
            place = f".aicc-{crc32(repr(cell).encode()):08x}"
            self._last = Contest(cell, None if self._path is None else str(self._path.with_name(place)))
        return self._last

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self._known[json.dumps(entry["of"], sort_keys=True)] = (float(entry["mean"]), float(entry["error"]))
        except (ValueError, KeyError, TypeError):
            return  # the last line of a run that was killed

    def _write(self, key: str, name: str) -> None:
        if self._path is None:
            return
        mean, error = self._known[key]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"of": json.loads(key), "mean": mean, "error": error}) + "\n")
        if self._last.checkpoint is not None:
            Path(f"{self._last.checkpoint}-{name}.checkpoint").unlink(missing_ok=True)


def cells(request: Request, problem: str, points: Sequence[tuple[int, int]]) -> list[Any]:
    """`Cell` of a problem at each (M, K)."""
    from .aicc_contenders import Cell

    setting = (request.seed, request.quick, request.device)
    return [
        Cell(problem, M, K, min(request.trials, 8) if request.quick else request.trials, *setting) for M, K in points
    ]


def curves(request: Request, points: Sequence[tuple[int, int]], x: Sequence[int]) -> list[Series]:
    """A series for each contender and problem, ``-p1`` … ``-p4`` appended, where it can be afforded."""
    runs = Runs(request.folder)
    found: dict[str, list[tuple[int, float, float]]] = {f"{name}-{p.lower()}": [] for name in NAMES for p in PROBLEMS}
    for problem in PROBLEMS:
        for place, cell in zip(x, cells(request, problem, points), strict=True):
            for name in NAMES:
                if name != "aicc" or cell.affords(dense=True):
                    found[f"{name}-{problem.lower()}"].append((place, *runs[name, cell]))
    return [Series(name, *zip(*values, strict=True)) for name, values in found.items() if values]


def require_torch(device: str) -> None:
    """Refuse a device that PyTorch does not have here, and the lack of PyTorch."""
    from kofn_studies.aicc import network  # noqa: F401  a missing PyTorch gets its sentence

    from .training_setting import checked

    checked(device)


def full_title(title: str, request: Request) -> str:
    """A title that says where the budget was smaller than the paper's."""
    if request.quick:
        return f"{title} (quick: 16 steps of training)"
    if request.device == "cpu":
        return f"{title} (without a GPU: 1500 steps of 16 sets, networks up to M = 50)"
    return title
