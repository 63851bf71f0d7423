"""What happened, as text and as a picture."""

from __future__ import annotations

from ..._base._extras import loader
from ._report import Report

__all__ = ["COLOURS", "ProgressLine", "Report", "format_progress", "percent"]

__getattr__ = loader(
    __name__,
    {
        "COLOURS": "._timeline:COLOURS",
        "ProgressLine": "._progress:ProgressLine",
        "format_progress": "._progress:format_progress",
        "percent": "._progress:percent",
    },
)
