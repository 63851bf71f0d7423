"""What an idle worker is given: `Scheduler` is the interface, `View` what it sees."""

from ._adaptive import Adaptive
from ._backups import CodedBackups, Duplicates
from ._scheduler import Assignment, Copy, Fresh, InFlight, Rows, Scheduler, View, Wait
from ._speculative import Speculative
from ._static import Static

__all__ = [
    "Adaptive",
    "Assignment",
    "CodedBackups",
    "Copy",
    "Duplicates",
    "Fresh",
    "InFlight",
    "Rows",
    "Scheduler",
    "Speculative",
    "Static",
    "View",
    "Wait",
]
