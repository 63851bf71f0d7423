"""Pictures for the command line, without a display."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .._base._extras import missing, needed
from ..checks import refusal
from ..jobs.report._report import Report


def require_drawing(what: str, extra: str) -> None:
    """Refuse at once what would fail for want of matplotlib in the end."""
    if find_spec("matplotlib") is None:
        raise missing(what, "matplotlib", extra)


def make_folder(call: str, folder: Path) -> None:
    """Make the folder that pictures go to, unless it is there, or refuse it with a reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = f"{folder} ({error.strerror or error})"
        raise refusal(call, "--out", "be a folder", got, "choose another name") from None


def timeline(report: Report) -> Any:
    """A matplotlib Figure of who computed what when."""
    with needed("drawing", "matplotlib"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.35 * report.workers + 1.4), layout="constrained")
    report.plot(figure.subplots())
    return figure
