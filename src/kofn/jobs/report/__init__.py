"""What happened, as text and as a picture."""

from ._progress import ProgressLine, format_progress, percent
from ._report import Report
from ._timeline import COLOURS

__all__ = ["COLOURS", "ProgressLine", "Report", "format_progress", "percent"]
