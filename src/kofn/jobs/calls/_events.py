"""What can happen to calls, and what is to be done about them: data that `CallState` and `CallLoop` exchange."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ._lines import Place

# -- events: what has happened ------------------------------------------------------------------------


class Added(NamedTuple):
    """There are more calls: how many bytes the arguments of each have, and where those lie that are not sent."""

    calls: Mapping[int, int]
    places: Mapping[int, Place] = MappingProxyType({})


class Dropped(NamedTuple):
    """Nobody wants the results of these any more."""

    numbers: Sequence[int]


class LeftOut(NamedTuple):
    """These workers were wrong in earlier jobs, and are given nothing more."""

    workers: Collection[int]


class Seen(NamedTuple):
    """What some workers are doing that have nothing of ours."""

    states: Mapping[int, str]


class Refused(NamedTuple):
    """A `Send` was not carried out: the worker has just died, or has a task of somebody else, or nobody wants some."""

    worker: int
    state: str
    unwanted: Sequence[int] = ()


class Returned(NamedTuple):
    """A worker came to the end of the first ``ended`` calls that it was sent, which took it so many seconds."""

    worker: int
    state: str
    ended: int
    seconds: float


class Lost(NamedTuple):
    """What a worker had will never come: it died."""

    worker: int
    state: str
    error: BaseException


class Undelivered(NamedTuple):
    """A message came back without results, for reasons that concern one of its calls."""

    worker: int
    state: str
    error: BaseException


Event = Added | Dropped | LeftOut | Seen | Refused | Returned | Lost | Undelivered

# -- actions: what is to be done ----------------------------------------------------------------------


class Send(NamedTuple):
    """Send calls to an idle worker, then say `Returned`, `Lost`, `Undelivered` or `Refused`."""

    worker: int
    numbers: Sequence[int]


class End(NamedTuple):
    """Let go of what a worker runs, and of the worker too where the engine can replace it."""

    worker: int


class GiveUp(NamedTuple):
    """There will be no result of this call: ``error`` says why."""

    number: int
    worker: int
    error: BaseException


Action = Send | End | GiveUp
