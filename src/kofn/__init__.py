"""kofn: exact from any k of n results, and the best estimate with an honest error bar before that.

Importing it loads NumPy and nothing heavier; what not every program needs is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import schemes
from ._api._imap import imap
from ._api._map import CodedMap
from ._api._map import map as map
from ._api._matmul import matmul
from ._api._sum import CodedSum
from ._api._sum import sum as sum
from ._base._extras import loader
from .codes._linear import LinearCode
from .codes._prior import Prior
from .engines import ExecutorPool, ThreadPool
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
from .jobs._stop import Count, Deadline, Decodable, StopRule, Tolerance
from .jobs.report._report import Report
from .jobs.scheduling import Adaptive, CodedBackups, Duplicates, Speculative, Static
from .schemes._scheme import Scheme
from .schemes._task import Task
from .schemes._template import Template

if TYPE_CHECKING:
    from ._api._operator import operator
    from .engines import DaskPool, LocalPool
    from .simulation import (
        Constant,
        Delayed,
        Dying,
        Exponential,
        Pareto,
        ShiftedExponential,
        Slowdown,
        Straggling,
        Trace,
        simulate,
    )
    from .tuning.functions import FitReport, Fitted, fit
    from .tuning.products import Design, design
__version__ = "0.1.0"

__all__ = [
    "Adaptive",
    "Answer",
    "ArgumentError",
    "Cancelled",
    "ClusterArray",
    "CodeError",
    "CodedBackups",
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
    "Duplicates",
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
    "StopRule",
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
    "imap",
    "matmul",
    "operator",
    "prepare",
    "run",
    "schemes",
    "simulate",
    "start",
]
"""What ``from kofn import *`` gives: all public names, but for `map` and `sum`, which are Python's there."""

HOMES = {
    "._api._operator": ["operator"],
    ".engines": ["DaskPool", "LocalPool"],
    ".simulation": [
        "Constant", "Delayed", "Dying", "Exponential", "Pareto", "ShiftedExponential", "Slowdown", "Straggling",
        "Trace", "simulate",
    ],
    ".tuning.functions": ["FitReport", "Fitted", "fit"],
    ".tuning.products": ["Design", "design"],
}  # fmt: skip
"""Names that are loaded when they are first used, by where they are."""

MODULES = {
    "catalogue": ".schemes.catalogue",
    "cli": ".cli",
    "learned": ".tuning.learned",
    "simulation": ".simulation",
    "sklearn": ".sklearn",
    "testing": ".testing",
    "theory": ".simulation.theory",
    "torch": ".torch",
    "tuning": ".tuning",
}
"""Modules that are loaded when they are first used: some need what is not always there."""

MOVED = {
    "Canvas": "kofn.schemes.Layout",
    "algebra": "kofn.codes",
    "blocks": "kofn.arrays",
    "code": "kofn.codes",
    "coded_map": "kofn.CodedMap",
    "coded_operator": "kofn.operator",
    "coded_sum": "kofn.CodedSum",
    "collector": "kofn.Collector",
    "datasets": "kofn_studies.datasets",
    "decoding": "kofn.codes.decoding",
    "demo": "kofn_studies.demo",
    "designing": "kofn.tuning.products",
    "engine_testing": "kofn.testing",
    "figures": "kofn_studies.figures",
    "file_matrix": "kofn.arrays",
    "files": "kofn.arrays",
    "fitting": "kofn.tuning.functions",
    "job": "kofn.jobs",
    "latency": "kofn.simulation",
    "maps": "kofn.map",
    "modular": "kofn_studies.sums.modular",
    "operators": "kofn.operator",
    "prior": "kofn.codes",
    "products": "kofn.matmul",
    "rateless_times": "kofn_studies.sums.rateless",
    "report": "kofn.jobs.report",
    "rota": "kofn.jobs.scheduling",
    "runtime": "kofn.jobs",
    "scheme": "kofn.schemes",
    "sparse_decoding": "kofn.codes.decoding",
    "stopping": "kofn.jobs",
    "sum_times": "kofn_studies.sums.times",
    "sums": "kofn.sum",
    "training": "kofn_studies.training",
    "virtual": "kofn.simulation",
}
"""Where modules and names went that were public once."""

_NAMES = {name: f"{home}:{name}" for home, names in HOMES.items() for name in names}

__getattr__ = loader(__name__, MODULES | _NAMES, MOVED)


def __dir__() -> list[str]:
    return sorted({*__all__, *MODULES, "__version__", "map", "sum"})
