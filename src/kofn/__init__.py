"""kofn: exact from any k of n results, and the best estimate with an honest error bar before that.

Importing it loads NumPy and nothing heavier; what not every program needs is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import schemes
from ._api._executor import Executor
from ._api._imap import imap
from ._api._map import CodedMap
from ._api._map import map as map
from ._api._matmul import matmul
from ._api._remote import remote_product
from ._api._sum import CodedSum
from ._api._sum import sum as sum
from ._base._extras import loader
from .codes._linear import LinearCode
from .codes._prior import Prior
from .engines import ExecutorPool, ThreadPool
from .engines.dask._output import ClusterArray
from .errors import (
    ArgumentError,
    CallError,
    Cancelled,
    CodeError,
    Corrupted,
    FileError,
    FunctionError,
    KofnError,
    KofnWarning,
    LeftOut,
    MissingPackage,
    NotDecodable,
    NotDifferentiable,
    PoolClosed,
    ReferenceLost,
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
from .jobs._stop import Count, Deadline, Decodable, NoProgress, StopRule, Tolerance
from .jobs.report._report import Report
from .jobs.scheduling import Adaptive, CodedBackups, Duplicates, Speculative, Static
from .schemes._scheme import Scheme
from .schemes._task import Task
from .schemes._template import Template

if TYPE_CHECKING:
    from ._api._operator import operator
    from .engines import DaskPool, LocalPool, MPIPool, RayPool
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
    "CallError",
    "Cancelled",
    "ClusterArray",
    "CodeError",
    "CodedBackups",
    "CodedMap",
    "CodedSum",
    "Collector",
    "Constant",
    "Corrupted",
    "Count",
    "DaskPool",
    "Deadline",
    "Decodable",
    "Delayed",
    "Design",
    "Duplicates",
    "Dying",
    "Executor",
    "ExecutorPool",
    "Exponential",
    "FileError",
    "FitReport",
    "Fitted",
    "FunctionError",
    "Job",
    "KofnError",
    "KofnWarning",
    "LeftOut",
    "LinearCode",
    "LocalPool",
    "MPIPool",
    "MissingPackage",
    "NoProgress",
    "NotDecodable",
    "NotDifferentiable",
    "Options",
    "Pareto",
    "Plan",
    "PoolClosed",
    "Prior",
    "Progress",
    "RayPool",
    "ReferenceLost",
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
    "remote_product",
    "run",
    "schemes",
    "simulate",
    "start",
]
"""What ``from kofn import *`` gives: all public names, but for `map` and `sum`, which are Python's there."""

HOMES = {
    "._api._operator": ["operator"],
    ".engines": ["DaskPool", "LocalPool", "MPIPool", "RayPool"],
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
    "joblib": ".joblib",
    "learned": ".tuning.learned",
    "simulation": ".simulation",
    "sklearn": ".sklearn",
    "testing": ".testing",
    "theory": ".simulation.theory",
    "torch": ".torch",
    "tuning": ".tuning",
}
"""Modules that are loaded when they are first used: some need what is not always there."""

_SUCCESSORS = {
    "kofn.CodedMap": ["coded_map"],
    "kofn.CodedSum": ["coded_sum"],
    "kofn.Collector": ["collector"],
    "kofn.arrays": ["blocks", "file_matrix", "files"],
    "kofn.codes": ["algebra", "code", "prior"],
    "kofn.codes.decoding": ["decoding", "sparse_decoding"],
    "kofn.jobs": ["job", "runtime", "stopping"],
    "kofn.jobs.report": ["report"],
    "kofn.jobs.scheduling": ["rota"],
    "kofn.map": ["maps"],
    "kofn.matmul": ["products"],
    "kofn.operator": ["coded_operator", "operators"],
    "kofn.schemes": ["scheme"],
    "kofn.schemes.Layout": ["Canvas"],
    "kofn.simulation": ["latency", "virtual"],
    "kofn.sum": ["sums"],
    "kofn.testing": ["engine_testing"],
    "kofn.tuning.functions": ["fitting"],
    "kofn.tuning.products": ["designing"],
    "kofn_studies.datasets": ["datasets"],
    "kofn_studies.demo": ["demo"],
    "kofn_studies.figures": ["figures"],
    "kofn_studies.sums.modular": ["modular"],
    "kofn_studies.sums.rateless": ["rateless_times"],
    "kofn_studies.sums.times": ["sum_times"],
    "kofn_studies.training": ["training"],
}
"""Where modules and names went that were public once, with the names that they had."""

MOVED = {name: home for home, names in _SUCCESSORS.items() for name in names}
"""The same by the names that they had."""

_NAMES = {name: f"{home}:{name}" for home, names in HOMES.items() for name in names}

__getattr__ = loader(__name__, MODULES | _NAMES, MOVED)


def __dir__() -> list[str]:
    return sorted({*__all__, *MODULES, "__version__", "map", "sum"})
