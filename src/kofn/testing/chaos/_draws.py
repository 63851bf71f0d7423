"""What is tried, as data: rounds of jobs on one pool and what befalls them, drawn from a seed and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...jobs._stop import Decodable, NoProgress
from .. import faults
from ._mishaps import Chances

MATRIX_CODES = (
    "auto", "auto", "uncoded", "repetition", "mds", "mds-dense", "mds-chebyshev", "mds-low-weight", "polynomial",
    "entangled-polynomial", "matdot", "matdot-approximate", "kronecker", "now-uep", "ew-uep",
)  # fmt: skip
SUM_CODES = ("auto", "one", "uncoded", "rep", "bcc", "gradient", "lt", "sum-recovery", "cyclic", "ring", "hint")
FUNCTION_CODES = ("auto", "auto", "repetition", "lagrange", "berrut", "letcc", "kriging", "parity")
SCHEDULERS = ("auto", "static", "adaptive", "speculative", "duplicates", "coded")
FACES = (
    "matmul", "matmul", "matmul", "plan", "start", "sum", "coded sum", "map", "coded map", "imap", "joblib", "operator",
    "remote matmul", "remote operator",
)  # fmt: skip
VIRTUAL_FACES = ("matmul", "plan", "sum", "coded sum", "map", "coded map", "operator")
PROGRAMS = ("ctrl-c", "killed", "ends", "full disk", "no memory", "few descriptors")
"""What happens to a program of its own."""

KEYED_FACES = ("matmul", "plan", "start", "operator")
"""Those of which single results can be checked with a key (``verify=``), however many workers are wrong."""

COMPARED_FACES = ("sum", "coded sum", "map", "coded map")
"""Those of which results are compared with one another, where one worker may be wrong."""

CLUSTER_WORKERS = 4
"""Of a cluster that is started for all rounds."""

WRONG: tuple[faults.Fault, ...] = (
    faults.BitFlip(part="exponent"),
    faults.Scaled(1.5),
    faults.Constant(3.0),
    faults.Stale(),
    faults.Tile(4),
    faults.NotANumber(),
    faults.Truncated(),
    faults.Colluding(seed=1),
)


@dataclass(frozen=True)
class Engine:
    """What can be done to the workers of an engine.

    Parameters
    ----------
    name : str
    dies, stops : bool
        Whether a worker can be killed, and stopped by SIGSTOP, without harm to this program.
    seconds : float
        Mean of delays.
    virtual : bool
        Whether time is virtual; then one thread runs one job after the other.
    cluster : bool
        Whether workers outlive a pool, and belong to others.
    """

    name: str
    dies: bool = False
    stops: bool = False
    seconds: float = 0.05
    virtual: bool = False
    cluster: bool = False


@dataclass(frozen=True)
class Case:
    """One job.

    Parameters
    ----------
    number : int
    face : str
        Which call: one of `FACES`; or "program", of which ``code`` says what happens to it, one of `PROGRAMS`.
    code, dtype : str
    seed : int
        Of its data, and of its code's coefficients.
    options : mapping
        Keywords of the call, as of `kofn.Options`.
    fails : bool
        Whether a function that it evaluates raises, once.
    cancelled_after : float, optional
        Seconds.
    """

    number: int
    face: str
    code: str
    dtype: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    fails: bool = False
    cancelled_after: float | None = None


@dataclass(frozen=True)
class Round:
    """Some jobs on one pool, and what befalls them.

    Parameters
    ----------
    number, seed, workers : int
    cases : sequence of Case
    threads : int
        Jobs that run at the same time.
    chances : Chances
        What befalls tasks at their workers.
    wrong : mapping of worker to Fault
    closed_after : float, optional
        Seconds until the pool is closed in the middle.
    killed : sequence of (seconds, worker)
        Workers that are killed from outside, where their engine tells their processes.
    forks : bool
        Whether this process forks while jobs run.
    delays, deaths
        Of a pool in virtual time.
    """

    number: int
    seed: int
    workers: int
    cases: Sequence[Case]
    threads: int = 1
    chances: Chances = field(default_factory=Chances)
    wrong: Mapping[int, faults.Fault] = field(default_factory=dict)
    closed_after: float | None = None
    killed: Sequence[tuple[float, int]] = ()
    forks: bool = False
    delays: Sequence[Sequence[float]] = ()
    deaths: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        compared = any(case.face in COMPARED_FACES for case in self.cases)
        assert not compared or len(self.wrong) <= 1, "two that say the same are believed"

    @property
    def loses(self) -> bool:
        """Whether workers may be lost."""
        return bool(self.chances.dies or self.killed or self.deaths)


def draw_round(seed: int, number: int, engine: Engine, first: int, most: int) -> Round:
    """A round whose jobs are numbered from ``first``, at most so many.

    Examples
    --------
    >>> local = Engine("local", dies=True, stops=True)
    >>> draw_round(0, 3, local, 10, 5) == draw_round(0, 3, local, 10, 5)
    True
    """
    rng = np.random.default_rng([seed, number])
    workers = CLUSTER_WORKERS if engine.cluster else int(rng.integers(3, 7))
    if engine.name in ("local", "threads") and rng.random() < 0.05:
        program = Case(first, "program", str(rng.choice(PROGRAMS)), "", int(rng.integers(2**31)))
        return Round(number, 0, workers, [program])
    lying = bool(rng.random() < 0.2)
    count = min(most, int(rng.integers(1, 7)))
    cases = [_draw_case(rng, first + i, engine, workers, lying) for i in range(count)]
    shared: dict[str, Any] = {"number": number, "seed": int(rng.integers(2**31)), "workers": workers, "cases": cases}
    if engine.virtual:
        return Round(**shared, **_draw_times(rng, workers))
    return Round(
        **shared,
        threads=int(rng.integers(1, 4)),
        chances=_draw_chances(rng, engine),
        wrong=_draw_wrong(rng, workers, cases) if lying else {},
        closed_after=float(rng.uniform(0.0, 0.4)) if rng.random() < 0.08 else None,
        killed=_draw_kills(rng, workers) if engine.name == "local" and rng.random() < 0.25 else (),
        forks=bool(engine.name in ("local", "threads") and rng.random() < 0.1),
    )


def _draw_case(rng: np.random.Generator, number: int, engine: Engine, workers: int, lying: bool) -> Case:
    faces = KEYED_FACES + COMPARED_FACES if lying else FACES
    face = str(rng.choice([face for face in faces if not engine.virtual or face in VIRTUAL_FACES]))
    code = str(rng.choice(_codes_of(face)))
    plain = face == "matmul" and code in ("auto", "uncoded", "repetition") and not lying
    dtype = str(rng.choice(["float64", "float32", "complex128", "complex64"] + ["int64", "sparse"] * plain))
    return Case(
        number, face, code, dtype, int(rng.integers(2**31)), _draw_options(rng, face, code, workers, lying),
        fails=bool(face in ("sum", "map", "imap", "joblib") and rng.random() < 0.08),
        cancelled_after=float(rng.exponential(0.05)) if face == "start" and rng.random() < 0.4 else None,
    )  # fmt: skip


def _codes_of(face: str) -> Sequence[str]:
    if face in ("plan", "start"):
        return MATRIX_CODES[2:]
    if face in ("sum", "coded sum"):
        return SUM_CODES
    if face in ("map", "coded map"):
        return FUNCTION_CODES
    return MATRIX_CODES if face == "matmul" else ("auto",)


def _draw_options(rng: np.random.Generator, face: str, code: str, workers: int, lying: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if face in ("imap", "joblib"):
        return options
    options |= _draw_end(rng)
    if face.startswith("remote"):
        return options | {"redundancy": int(rng.integers(0, 3))}
    if rng.random() < 0.5 and face != "operator":
        options["scheduler"] = str(rng.choice(SCHEDULERS))
    if rng.random() < 0.15 and face in ("matmul", "plan", "start"):
        options["memory_limit_bytes"] = int(rng.choice([1_000, 20_000, 60_000, 1_000_000]))
    if rng.random() < 0.3 and ((face, code) in (("matmul", "auto"), ("sum", "auto")) or face == "operator"):
        options["redundancy"] = int(rng.integers(0, workers))
    if lying:
        options["verify"] = str(rng.choice(["correct", "correct", "detect"]))
    elif rng.random() < 0.1:  # honest workers must not be called wrong
        options["verify"] = str(rng.choice(["correct", "detect"]))
    return options


def _draw_end(rng: np.random.Generator) -> dict[str, Any]:
    """What ends a job before it is exact."""
    if rng.random() < 0.08:
        return {"stop": Decodable() | NoProgress(float(rng.uniform(0.02, 0.5)))}
    end: dict[str, Any] = {}
    if rng.random() < 0.3:
        end["deadline"] = float(rng.uniform(0.005, 0.5))
    if rng.random() < 0.15:
        end["tolerance"] = float(rng.choice([0.05, 0.3, 0.8]))
    return end


def _draw_chances(rng: np.random.Generator, engine: Engine) -> Chances:
    return Chances(
        dies=float(rng.choice([0.02, 0.1])) if engine.dies and rng.random() < 0.4 else 0.0,
        stops=0.02 if engine.stops and rng.random() < 0.25 else 0.0,
        late=float(rng.choice([0.0, 0.1, 0.5])),
        seconds=engine.seconds,
    )


def _draw_wrong(rng: np.random.Generator, workers: int, cases: Sequence[Case]) -> dict[int, faults.Fault]:
    most = 1 if any(case.face in COMPARED_FACES for case in cases) else workers - 1
    liars = rng.choice(workers, int(rng.integers(1, most + 1)), replace=False).tolist()
    return {liar: WRONG[int(rng.integers(len(WRONG)))] for liar in liars}


def _draw_kills(rng: np.random.Generator, workers: int) -> list[tuple[float, int]]:
    count = int(rng.integers(1, 3))
    return [(float(rng.uniform(0.0, 0.3)), int(rng.integers(workers))) for _ in range(count)]


def _draw_times(rng: np.random.Generator, workers: int) -> dict[str, Any]:
    delays = rng.exponential(float(rng.choice([0.01, 0.1, 1.0])), (workers, 40)) + 0.001
    dying = rng.choice(workers, int(rng.integers(0, workers)), replace=False).tolist() if rng.random() < 0.4 else []
    return {"delays": delays.tolist(), "deaths": {worker: float(rng.exponential(0.5)) for worker in dying}}
