"""When would it be done: models of delay, many trials at once, pools with delays, and virtual time."""

from __future__ import annotations

from .._base._extras import loader
from ._latency import Constant, Delayed, Dying, Exponential, Latency, Pareto, ShiftedExponential, Slowdown, Trace
from ._simulate import errors_at, errors_by_count, simulate, stop_times
from ._straggling import Straggling
from ._virtual import VirtualClock, VirtualPool

__all__ = [
    "Constant",
    "Delayed",
    "Dying",
    "Exponential",
    "Latency",
    "Pareto",
    "ShiftedExponential",
    "Slowdown",
    "Straggling",
    "Trace",
    "VirtualClock",
    "VirtualPool",
    "errors_at",
    "errors_by_count",
    "simulate",
    "stop_times",
]

__getattr__ = loader(__name__, {"theory": ".theory"}, {"ScriptedPool": "kofn.simulation.VirtualPool"})
