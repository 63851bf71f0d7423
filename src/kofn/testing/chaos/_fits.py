"""Which failures fit what was done to a job: any other one is a fault of kofn's."""

from __future__ import annotations

from ...errors import (
    ArgumentError,
    Cancelled,
    Corrupted,
    KofnError,
    NotDecodable,
    PoolClosed,
    ReferenceLost,
    TaskError,
    WorkerLost,
)
from ._draws import Case, Round
from ._faces import Planned

RANDOM = {"now-uep", "ew-uep", "lt", "bcc", "sum-recovery", "one", "gradient", "hint"}
"""Codes that may be drawn such that not even all rows are enough, or that do not suit each number of workers."""


def misfit(error: BaseException, case: Case, round: Round) -> str:
    """Why a failure does not fit; an empty string where it does.

    Examples
    --------
    >>> case = Case(0, "matmul", "mds", "float64", 1)
    >>> misfit(Cancelled("the job was cancelled."), case, Round(0, 0, 3, [case]))
    'nobody cancelled it'
    """
    if isinstance(error, Planned):
        return "" if case.fails else "nothing was to fail"
    if not isinstance(error, KofnError):
        return "it is no error of kofn's"
    if not str(error):
        return "it says nothing"
    if isinstance(error, Cancelled):
        return "" if case.cancelled_after is not None else "nobody cancelled it"
    if isinstance(error, PoolClosed):
        return "" if round.closed_after is not None else "nobody closed the pool"
    if isinstance(error, TaskError):
        return "" if case.fails and isinstance(error.__cause__, Planned) else "nothing was to fail"
    if isinstance(error, NotDecodable):
        hurried = "deadline" in case.options or "stop" in case.options
        return "" if round.loses or round.wrong or hurried else "nothing was lost or late"
    if isinstance(error, Corrupted):
        return "" if round.wrong and "verify" in case.options else "nobody was wrong"
    if isinstance(error, ReferenceLost):
        return "" if round.loses and case.face.startswith("remote") else "nothing was lost that lay at a worker"
    if isinstance(error, WorkerLost):
        return "" if round.loses else "no worker was lost"
    return _misfit_of_refusal(error, case, round)


def _misfit_of_refusal(error: KofnError, case: Case, round: Round) -> str:
    if not isinstance(error, ArgumentError):
        return "nothing explains it"
    text = str(error)
    if "must be there" in text and case.face.startswith("remote"):  # its data died before the job began
        return "" if round.loses else "nothing was lost that lay at a worker"
    if "memory_limit_bytes" in case.options and "'memory_limit_bytes' must" in text:
        return ""
    if case.code in RANDOM:
        return ""
    if case.options.get("scheduler") == "coded" and "fresh" in text:
        return ""
    return "nothing was to be refused"
