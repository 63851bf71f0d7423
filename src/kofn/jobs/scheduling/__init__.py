"""What an idle worker is given: `Scheduler` is the interface, `View` what it sees."""

from ._adaptive import Adaptive
from ._backups import CodedBackups, Duplicates
from ._placed import Placed
from ._scheduler import Assignment, Copy, Fresh, InFlight, Rows, Scheduler, View, Wait
from ._spares import Spares
from ._speculative import CUBED, FLINK, SPARK_3_5, SPARK_4, Speculative
from ._static import Static

__all__ = [
    "CUBED",
    "FLINK",
    "SPARK_3_5",
    "SPARK_4",
    "Adaptive",
    "Assignment",
    "CodedBackups",
    "Copy",
    "Duplicates",
    "Fresh",
    "InFlight",
    "Placed",
    "Rows",
    "Scheduler",
    "Spares",
    "Speculative",
    "Static",
    "View",
    "Wait",
]
