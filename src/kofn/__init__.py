"""kofn: exact from any k of n results, and the best estimate with an honest error bar before that.

Importing it loads NumPy and nothing heavier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import schemes
from ._api._map import CodedMap, map
from ._api._matmul import matmul
from ._api._sum import CodedSum, sum
from ._base._extras import loader
from .codes._linear import LinearCode
from .codes._prior import Prior
from .engines import DaskPool, ExecutorPool, LocalPool, ThreadPool
from .engines.dask._output import ClusterArray
from .errors import (
    ArgumentError,
    Cancelled,
    CodeError,
    FileError,
    FunctionError,
    KofnError,
    MissingPackage,
    NotDecodable,
    NotDifferentiable,
    PoolClosed,
    StaysHere,
    TaskError,
    TermError,
    WorkerError,
    WorkerLost,
)
from .jobs._answer import Answer
from .jobs._collector import Collector, Progress
from .jobs._job import Job
from .jobs._options import Options
from .jobs._plan import Plan, prepare, run, start
from .jobs._stop import Count, Deadline, Decodable, Tolerance
from .jobs.report._report import Report
from .jobs.scheduling import Adaptive, Speculative, Static
from .schemes._scheme import Scheme
from .schemes._task import Task
from .schemes._template import Template
from .simulation import Straggling
from .simulation._latency import Constant, Delayed, Dying, Exponential, Pareto, ShiftedExponential, Slowdown, Trace
from .simulation._simulate import simulate
from .tuning.functions import FitReport, Fitted, fit
from .tuning.products import Design, design

if TYPE_CHECKING:
    from ._api._operator import operator  # it needs SciPy, which nobody waits for who does not use it

__version__ = "0.1.0"

__all__ = [
    "Adaptive",
    "Answer",
    "ArgumentError",
    "Cancelled",
    "ClusterArray",
    "CodeError",
    "CodedMap",
    "CodedSum",
    "Collector",
    "Constant",
    "Count",
    "DaskPool",
    "Deadline",
    "Decodable",
    "Delayed",
    "Design",
    "Dying",
    "ExecutorPool",
    "Exponential",
    "FileError",
    "FitReport",
    "Fitted",
    "FunctionError",
    "Job",
    "KofnError",
    "LinearCode",
    "LocalPool",
    "MissingPackage",
    "NotDecodable",
    "NotDifferentiable",
    "Options",
    "Pareto",
    "Plan",
    "PoolClosed",
    "Prior",
    "Progress",
    "Report",
    "Scheme",
    "ShiftedExponential",
    "Slowdown",
    "Speculative",
    "Static",
    "StaysHere",
    "Straggling",
    "Task",
    "TaskError",
    "Template",
    "TermError",
    "ThreadPool",
    "Tolerance",
    "Trace",
    "WorkerError",
    "WorkerLost",
    "design",
    "fit",
    "map",
    "matmul",
    "operator",
    "prepare",
    "run",
    "schemes",
    "simulate",
    "start",
    "sum",
]


LAZY = {
    "arrays": ".arrays",
    "catalogue": ".schemes.catalogue",
    "codes": ".codes",
    "learned": ".tuning.learned",
    "operator": "._api._operator:operator",
    "simulation": ".simulation",
    "sklearn": ".sklearn",
    "testing": ".testing",
    "theory": ".simulation.theory",
    "torch": ".torch",
}
"""What is loaded when it is first used: not all need it, and some need what is not always there."""

MOVED = {
    "Canvas": "kofn.schemes.Layout",
    "datasets": "kofn_studies.datasets",
    "files": "kofn.arrays",
    "modular": "kofn_studies.sums.modular",
    "sparse_decoding": "kofn.codes.decoding",
    "sum_times": "kofn_studies.sums.times",
    "training": "kofn_studies.training",
    "virtual": "kofn.simulation",
}
"""Where public names went."""

__getattr__ = loader(__name__, LAZY, MOVED)


def __dir__() -> list[str]:
    return sorted({*__all__, *LAZY, "__version__"})
