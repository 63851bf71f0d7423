"""Pictures for the command line, without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checks import refusal
from ..errors import require
from ..jobs.report._report import Report


def make_folder(call: str, folder: Path) -> None:
    """Make the folder that pictures go to, unless it is there, or refuse it with a reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = f"{folder} ({error.strerror or error})"
        raise refusal(call, "--out", "be a folder", got, "choose another name") from None


def timeline(report: Report) -> Any:
    """A matplotlib Figure of who computed what when."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.35 * report.workers + 1.4), layout="constrained")
    report.plot(figure.subplots())
    return figure
