"""What an idle worker is given: `Scheduler` is the interface, `View` what it sees."""

from ._adaptive import Adaptive
from ._scheduler import Assignment, Copy, InFlight, Rows, Scheduler, View, Wait
from ._speculative import Speculative
from ._static import Static

__all__ = ["Adaptive", "Assignment", "Copy", "InFlight", "Rows", "Scheduler", "Speculative", "Static", "View", "Wait"]
