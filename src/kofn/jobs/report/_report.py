"""What happened in a run: who was given what, what arrived when, what was lost or abandoned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from ...checks import refusal
from ...errors import FileError
from .._collector import Progress
from ._attempt import Attempt, Outcome, Stalled, Wrong
from ._html import Shown, fragment, page, size_text
from ._timeline import draw
from ._workers import worker_times

LINES = 8
"""Of a report that is printed."""


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
        Arrays made resident at workers, sent with tasks, and returned; what is no array is not counted.
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
    moved_bytes : mapping of (int, int) to int
        What travelled from one worker to another, where data lies at workers.
    stalled : sequence of Stalled
        Rows that took a worker five times as long as is usual, and a second at least.
    estimates : sequence of Progress
        How good the estimate was, whenever it was looked at: with a tolerance or ``progress=`` after every arrival.

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
    moved_bytes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    stalled: Sequence[Stalled] = ()
    estimates: Sequence[Progress] = ()

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

        A wrong result of size inf has None there, as JSON knows no such number.

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
            "wrong": [asdict(one) | {"size": one.size if math.isfinite(one.size) else None} for one in self.wrong],
            "moved_bytes": [[*pair, count] for pair, count in self.moved_bytes.items()],
            "stalled": [asdict(one) for one in self.stalled],
            "estimates": [asdict(e) | {"error": e.error if math.isfinite(e.error) else None} for e in self.estimates],
            "wasted": self.wasted,
        }

    @property
    def headline(self) -> str:
        """What was computed, how that ended, and how long it took, in one line."""
        counts = {kind: len(self.of(kind)) for kind in get_args(Outcome)}
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no rows given out"
        return f"{self.code} on {self.workers} workers: {told} in {self.seconds:.3f} s"

    @property
    def spent(self) -> str:
        """What it cost, in one line."""
        seconds = f"encoding {self.encode_seconds:.3f} s, decoding {self.decode_seconds:.3f} s"
        out, back = self.placed_bytes + self.sent_bytes, self.received_bytes
        moved = f"arrays: {size_text(out)} out, {size_text(back)} in" if out or back else "no arrays sent"
        return f"{seconds}; {moved}; {100 * self.wasted:.0f} % of the workers' time did not count"

    def __str__(self) -> str:
        slow = sorted(
            (one for one in worker_times(self.workers, self.attempts) if one.is_slow), key=lambda one: -one.ratio
        )
        told = f"{', '.join(map(str, slow[:3]))}{f', and {len(slow) - 3} more were slow' if len(slow) > 3 else ''}"
        others = [*self._remarks, *filter(None, [told])]
        room = LINES - 2
        if len(others) > room:
            others[room - 1 :] = [f"and {len(others) - room + 1} remarks more: see details()"]
        return "\n  ".join([self.headline, self.spent, *others])

    def details(self) -> str:
        """All of it in words, one line a task."""
        lines = [self.headline]
        lines += [f"  {remark}" for remark in self._remarks]
        for a in self.attempts:
            outcome = f"{a.outcome}, fresh" if a.row in self.fresh_rows else a.outcome
            times = f"{a.submitted:8.3f} s → {a.ended:8.3f} s"
            lines.append(f"  worker {a.worker:3d}  row {a.row:3d}  {times}  {outcome}")
        return "\n".join(lines)

    @property
    def _shown(self) -> Shown:
        told = [self.headline, self.spent, *self._remarks]
        sizes = {
            "encoded": self.encoded_bytes,
            "arrays placed at workers": self.placed_bytes,
            "arrays sent with tasks": self.sent_bytes,
            "arrays received": self.received_bytes,
            "stays at workers": sum(self.resident_bytes),
        }
        return Shown(self.code, self.workers, self.attempts, self.seconds, told, sizes, self.estimates)

    @property
    def _remarks(self) -> list[str]:
        return [one for one in (self.choice, *map(str, self.wrong), *map(str, self.stalled), *self.remarks) if one]

    def _repr_html_(self) -> str:
        return fragment(self._shown)

    def save(self, path: str | PathLike[str]) -> None:
        """Write one page that needs no network, and all figures as JSON beside it.

        Parameters
        ----------
        path : path
            Of the page, such as "run.html"; the JSON is "run.json".

        Raises
        ------
        FileError
            If it cannot be written.
        """
        file = check_page("Report.save", "path", path)
        try:
            file.write_text(page(self._shown), encoding="utf-8")
            file.with_suffix(".json").write_text(json.dumps(self.to_dict()), encoding="utf-8")
        except OSError as error:
            raise FileError(f"Report.save: {file} cannot be written: {error.strerror}.") from error

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


def check_page(call: str, name: str, path: str | PathLike[str]) -> Path:
    """The path of a page, or a refusal of one that would not be opened as such."""
    file = Path(path)
    if file.suffix.lower() not in (".html", ".htm"):
        raise refusal(call, name, "end in .html", repr(str(path)), "say run.html")
    return file
