"""What a job gives back: a value, whether it is exact, and an error bar when it is not."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._base._closeable import detach_in_forks
from ..errors import KofnError
from ..schemes._scheme import Learner, Parts, Scheme
from ._collector import Collector
from .report._report import Report


@dataclass(frozen=True, eq=False)
class Answer:
    """An answer, or an estimate on the way to it.

    Parameters
    ----------
    exact : bool
        Whether every target is exact: in the row space of what arrived, and numerically stable.
    error : float
        Expected relative error √(expected loss / expected energy), known without the truth; 0.0 when exact, and nan
        where results are there that are still to be checked (``verify=``).
    amplification : float
        Factor by which rounding in the results is amplified in the value.
    backward_error : float
        Largest componentwise backward error of the decoding equations.
    count : int
        Results that it was decoded from.
    report : Report
        Who was given what, what arrived when, what was abandoned.
    recovered : array of bool, or one bool
        Which parts of the value are exact: (N, P) blocks of a product, in the layout of ``blocks``; (k,) row blocks of
        a product with an operator; (K,) outputs of a function; one bool for a sum. `where` tells which entries of
        the value a part is.
    parts : Parts
        How `recovered` is laid out.
    assemble : callable
        Computes `value`; called when the value is first looked at, and never again once it has returned, whatever
        threads look at once.

    Attributes
    ----------
    value : ndarray
        The product, sum or values asked for.
    """

    exact: bool
    error: float
    amplification: float
    backward_error: float
    count: int
    report: Report
    recovered: Any
    parts: Parts
    assemble: Callable[[], Any] = field(repr=False)

    @property
    def value(self) -> Any:
        """The product, sum or values asked for."""
        once: _Once = vars(self).setdefault("_once", _Once(self.assemble))  # the same for all threads
        return once()

    @classmethod
    def at_once(cls, value: Any, parts: Parts, code: str, workers: int) -> Answer:
        """An answer that no worker has anything to do with, as there is nothing to compute."""
        recovered = parts.arrange(np.ones(math.prod(parts.shape or ()), dtype=bool))
        report = Report(code, workers, (), 0.0, 0.0, 0.0, 0)
        return cls(True, 0.0, 0.0, 0.0, 0, report, recovered, parts, lambda: value)

    def where(self, *part: int) -> Any:
        """Index of `value` that picks a part: ``value[answer.where(n, p)]`` is what ``recovered[n, p]`` speaks of.

        Of the outputs of a function ``where(k)`` is k, for a value that is a list as for an array.

        Codes that protect what is large first, such as "kronecker" and "ew-uep", sort rows and columns by their norms
        before they cut them into blocks, the largest in block (0, 0); this says where those lie.
        """
        return self.parts.where(*part)

    def __getstate__(self) -> dict[str, Any]:
        kept = _Kept(self)  # the value instead of what computes it, which holds everything that arrived
        return {name: value for name, value in vars(self).items() if name != "_once"} | {"assemble": kept}

    def __repr__(self) -> str:
        what = "exact" if self.exact else f"expected relative error {self.error:.2g}"
        if np.size(self.recovered) > 1 and not self.exact:
            there, parts = int(np.sum(self.recovered)), np.size(self.recovered)
            what += f", {there} of {parts} parts exact"
            if self.parts.left_out:
                what = f"{there} of {parts} outputs, {parts - there} missing"
        return f"Answer({what}, from {self.count} result{'s' * (self.count != 1)} in {self.report.seconds:.3f} s)"


class _Once:
    """What is computed once, whatever threads ask for it at once; what raises is computed again."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute, self._values = compute, list[Any]()
        self.detach_after_fork()
        detach_in_forks(self)

    def detach_after_fork(self) -> None:
        """In a forked child, wait for no thread of the parent."""
        self._lock = threading.RLock()

    def __call__(self) -> Any:
        with self._lock:
            if not self._values:
                self._values.append(self._compute())
            return self._values[0]


class _Kept:
    """The value of an answer that has left its process, or why it has none."""

    def __init__(self, answer: Answer) -> None:
        self._value = self._error = None
        try:
            self._value = answer.value
        except KofnError as error:
            self._error = error

    def __call__(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


def answer_of(
    scheme: Scheme, collector: Collector, learner: Learner, results: Mapping[int, Any], report: Report, out: Any = None
) -> Answer:
    """The best answer from what has arrived by now, decoded when its value is first looked at.

    Parameters
    ----------
    learner : Learner
        What this run knows of its results.
    results : mapping
        Payloads by row, at least of those that the collector has received.
    out : array or file, optional
        Where its value is written to.
    """
    decoding, rows = collector.decoding, list(collector.received)
    payloads, vouched = [results[row] for row in rows], collector.is_vouched
    return Answer(
        exact=decoding.exact and vouched,
        error=float(decoding.error) if vouched else math.nan,  # nobody knows whether they are right
        amplification=float(decoding.amplification),
        backward_error=float(decoding.backward_error),
        count=len(rows),
        recovered=scheme.parts.arrange(decoding.recovered & vouched),
        parts=scheme.parts,
        report=replace(report, estimates=tuple(collector.estimates)),
        assemble=lambda: learner.settle(scheme.answer(decoding, rows, payloads, out), decoding, payloads),
    )
