"""What `kofn.fit` found: every family with its measured error, skill and work, and what follows in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FamilyTrial:
    """How one code did on held-out inputs with random stragglers.

    Parameters
    ----------
    name : str
    error : float
        √(Σ‖estimate − f‖² / Σ‖f‖²).
    skill : float
        1 − error / error of the mean predictor, which answers with the mean of f whatever the input.
    expected : float
        The error that its error bars promised, root mean square.
    master_seconds : float
        To encode the inputs of one call and to decode its outputs.
    worker_seconds : float
        Of one row at a worker.
    """

    name: str
    error: float
    skill: float
    expected: float
    master_seconds: float
    worker_seconds: float


@dataclass(frozen=True)
class FitReport:
    """The report of `kofn.fit`; print it.

    Parameters
    ----------
    inputs, recover, workers : int
        K, R and N.
    draws : int
        Draws of K inputs that were held out.
    mean_error : float
        Error of the mean predictor.
    direct_seconds : float
        To compute f at all K inputs in one place.
    trials : sequence of Trial
        Best first.
    remarks : sequence of str
        What follows, one sentence each.
    """

    inputs: int
    recover: int
    workers: int
    draws: int
    mean_error: float
    direct_seconds: float
    trials: Sequence[FamilyTrial]
    remarks: Sequence[str]

    @property
    def best(self) -> FamilyTrial:
        """The trial of the code that is returned."""
        return self.trials[0]

    def __str__(self) -> str:
        size = f"{self.inputs} inputs from {self.recover} of {self.workers} results, {self.draws} held-out draws"
        lines = [size, f"{'code':<34}{'error':>10}{'skill':>8}{'promised':>10}{'master':>11}{'a row':>11}"]
        for trial in self.trials:
            seconds = f"{trial.master_seconds * 1e3:>8.2f} ms{trial.worker_seconds * 1e3:>8.2f} ms"
            numbers = f"{trial.error:>10.2g}{trial.skill:>8.2f}{trial.expected:>10.2g}"
            lines.append(f"{trial.name:<34}{numbers}{seconds}")
        mean = f"{'mean predictor':<34}{self.mean_error:>10.2g}{0:>8.2f}"
        return "\n".join([*lines, mean, *self.remarks])


def remarks_of(
    trials: Sequence[FamilyTrial], noise: float, failures: Sequence[str], direct_seconds: float
) -> list[str]:
    """What follows from the trials, best first, in sentences.

    Examples
    --------
    >>> good, bad = FamilyTrial("repetition", 0.1, 0.8, 0.1, 0.0, 1.0), FamilyTrial("berrut", 0.3, 0.4, 0.3, 0.0, 1.0)
    >>> remarks_of([good, bad], 0.0, [], 2.0)
    ['Coding does not pay: repetition has an error of 0.1, the best code, berrut, one of 0.3.']
    """
    best, remarks = trials[0], list(failures)
    if noise:
        said = f"f is not deterministic: two values at one input differ by {noise:.1g} of their size"
        remarks.insert(0, f"{said}, and no code can be better than that.")
    codes = [trial for trial in trials if not trial.name.startswith("repetition")]
    if best not in codes and codes:
        other = f"the best code, {codes[0].name}, one of {codes[0].error:.2g}"
        remarks.append(f"Coding does not pay: {best.name} has an error of {best.error:.2g}, {other}.")
    elif best.skill <= 0:
        remarks.append("Coding does not pay: the mean of f, whatever the input, is no worse than the best code.")
    if best.master_seconds > direct_seconds:
        times = f"{best.master_seconds:.1g} s, f at all inputs {direct_seconds:.1g} s"
        remarks.append(f"Workers do not pay: encoding and decoding take the master {times}.")
    return remarks
