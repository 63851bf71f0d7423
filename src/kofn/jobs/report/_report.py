"""What happened in a run: who was given what, what arrived when, what was lost or abandoned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from ._attempt import Attempt, Outcome, Wrong
from ._timeline import draw


@dataclass(frozen=True)
class Report:
    """The history of one job.

    Parameters
    ----------
    code : str
        Name of the code.
    workers : int
        Size of the pool.
    attempts : sequence of Attempt
        In the order in which they were submitted.
    encode_seconds, decode_seconds, seconds : float
        Time spent encoding, decoding, and in all.
    encoded_bytes : int
        Size of the encoded sources.
    placed_bytes, sent_bytes, received_bytes : int
        Arrays made resident at workers, sent with tasks, and returned.
    remarks : sequence of str
        What else there is to say of the answer, such as what nothing checked.
    fresh_rows : sequence of int
        Rows that were made while it ran, combinations of what was missing then.
    choice : str
        What ``code="auto"`` took, and the figures behind it; empty where the code was named.
    resident_bytes : sequence of int
        What stays at each worker for jobs to come, by worker.
    wrong : sequence of Wrong
        Results that a check found wrong, and who returned them (``verify=``).

    Examples
    --------
    >>> attempts = [Attempt(0, 0, 1.0, 0.0, 0.5, "arrived"), Attempt(1, 1, 1.0, 0.0, 1.5, "abandoned")]
    >>> report = Report("mds", 2, attempts, 0.0, 0.0, 1.5, 0)
    >>> report.wasted
    0.75
    """

    code: str
    workers: int
    attempts: Sequence[Attempt]
    encode_seconds: float
    decode_seconds: float
    seconds: float
    encoded_bytes: int
    placed_bytes: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    remarks: Sequence[str] = ()
    fresh_rows: Sequence[int] = ()
    choice: str = ""
    resident_bytes: Sequence[int] = ()
    wrong: Sequence[Wrong] = ()

    @property
    def wasted(self) -> float:
        """Share of the workers' busy time that went into results that did not count."""
        busy = sum(attempt.seconds for attempt in self.attempts)
        useful = sum(attempt.seconds for attempt in self.attempts if attempt.outcome == "arrived")
        return 1.0 - useful / busy if busy > 0 else 0.0

    def of(self, outcome: Outcome) -> list[Attempt]:
        """The attempts that ended so."""
        return [attempt for attempt in self.attempts if attempt.outcome == outcome]

    def to_dict(self) -> dict[str, Any]:
        """All of it, with ``wasted``, as `json.dumps` takes it; an attempt is a dict that names its row and worker.

        Examples
        --------
        >>> report = Report("mds", 2, [Attempt(0, 1, 1.0, 0.0, 0.5, "arrived")], 0.0, 0.0, 0.5, 0)
        >>> report.to_dict()["attempts"]
        [{'row': 0, 'worker': 1, 'load': 1.0, 'submitted': 0.0, 'ended': 0.5, 'outcome': 'arrived'}]
        """
        return {
            **asdict(self),
            "remarks": list(self.remarks),
            "fresh_rows": list(self.fresh_rows),
            "resident_bytes": list(self.resident_bytes),
            "wrong": [asdict(one) for one in self.wrong],
            "wasted": self.wasted,
        }

    def __str__(self) -> str:
        counts = {kind: len(self.of(kind)) for kind in get_args(Outcome)}
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no rows given out"
        lines = [f"{self.code} on {self.workers} workers: {told} in {self.seconds:.3f} s"]
        lines += [f"  {remark}" for remark in (self.choice, *map(str, self.wrong), *self.remarks) if remark]
        for a in self.attempts:
            outcome = f"{a.outcome}, fresh" if a.row in self.fresh_rows else a.outcome
            times = f"{a.submitted:8.3f} s → {a.ended:8.3f} s"
            lines.append(f"  worker {a.worker:3d}  row {a.row:3d}  {times}  {outcome}")
        return "\n".join(lines)

    def plot(self, axes: Any = None) -> Any:
        """Draw the timeline: one lane a worker, one bar an attempt, coloured by outcome.

        Parameters
        ----------
        axes : matplotlib Axes, optional
            Drawn into; a new figure by default. Needs the extra ``kofn[plot]``.

        Returns
        -------
        matplotlib Axes
        """
        return draw(self.code, self.workers, self.attempts, self.seconds, axes)
