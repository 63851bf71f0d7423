"""What can happen to a run, and what a run can want done: data that `RunState` and `RunLoop` exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum


class Phase(Enum):
    """Where a run stands: from ENCODING to RUNNING to DECODING to DONE, or to CANCELLED or FAILED before it is DONE."""

    ENCODING = "encoding"
    RUNNING = "running"
    DECODING = "decoding"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


# -- events: what has happened ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tasks are there, and this is what workers are doing.

    ``fixed``: no fresh rows can be made of these tasks; ``ends``: they can be ended while they run.
    """

    states: Sequence[str]
    fixed: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class OfWorker:
    """Something that happened to what a worker was sent."""

    worker: int


@dataclass(frozen=True, slots=True)
class Sent(OfWorker):
    """A `Submit` was carried out at that time, after so many bytes of resident data were moved."""

    submitted: float
    moved_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Refused(OfWorker):
    """A `Submit` could not be carried out: the worker has just died, or has a task of another job."""

    state: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Arrived(OfWorker):
    """A worker returned results of its rows; ``epsilons`` is the relative precision of each.

    Those of ``unsure`` do not count before another worker has computed them, too.
    """

    state: str
    epsilons: Sequence[float]
    unsure: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Rejected(OfWorker):
    """A worker returned results of its rows, of which those of ``rows`` are wrong; the rest as of `Arrived`."""

    state: str
    epsilons: Sequence[float]
    rows: Sequence[int]
    unsure: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Results that were taken, or put by, turned out to be wrong, or may be.

    ``wrong``: the row and the worker of each that is; ``again``: the same of those that do not count any more.
    """

    wrong: Sequence[tuple[int, int]]
    again: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Vouched:
    """What has arrived does not contradict itself, and would if any of it were wrong."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """What has arrived contradicts itself, and it is not certain which of it is wrong: ``error`` says so."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Lost(OfWorker):
    """What a worker had will never come: it died, or its task was stopped."""

    state: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Ended(OfWorker):
    """A `Restart` was carried out."""

    state: str


@dataclass(frozen=True, slots=True)
class Raised(OfWorker):
    """A task raised, or its result was refused: ``error`` says so to the user."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Undelivered(OfWorker):
    """A message came back without results, for reasons unknown; ``error`` blames the first of its rows."""

    state: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed, and this is what some workers are doing; those of ``silent`` do not answer (None: who knows)."""

    states: Mapping[int, str] = field(default_factory=dict)
    silent: Set[int] | None = None


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Nobody wants the answer any more."""


@dataclass(frozen=True, slots=True)
class PoolGone:
    """The pool cannot be used any more."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Vanished:
    """What lay at some workers is gone, or does not answer."""

    workers: Sequence[int]


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more is taken in."""


Event = (
    Encoded
    | Sent
    | Refused
    | Arrived
    | Rejected
    | Withdrawn
    | Vouched
    | Unclear
    | Lost
    | Ended
    | Raised
    | Undelivered
    | Tick
    | CancelAsked
    | PoolGone
    | Vanished
    | Closed
)

# -- actions: what is to be done ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submit:
    """Send rows to an idle worker, then say `Sent` or `Refused`."""

    worker: int
    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class Restart:
    """End what a worker computes, then say `Ended`; or `Arrived`, if its results are there."""

    worker: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """Let go of what a worker computes."""

    worker: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Say `Tick` at that time, in seconds since the start, if nothing happens before; inf for never."""

    time: float


@dataclass(frozen=True, slots=True)
class Audit:
    """Look whether what has arrived contradicts itself, then say `Vouched`, `Withdrawn` or `Unclear`.

    ``last``: nothing else comes that could tell.
    """

    last: bool = False


@dataclass(frozen=True, slots=True)
class Decode:
    """The stop rule is met: say `Closed`, and make the answer of what has arrived."""


@dataclass(frozen=True, slots=True)
class Fail:
    """There will be no answer: ``error`` says why, or else ``reason`` says why nothing more will come."""

    reason: str
    error: BaseException | None = None


Action = Submit | Restart | Abandon | WakeAt | Audit | Decode | Fail
