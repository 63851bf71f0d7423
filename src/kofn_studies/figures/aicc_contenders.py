"""Who competes in the figures on learned codes, and how each is made from the same samples.

PyTorch is imported when a network is trained, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kofn.schemes import berrut
from kofn.tuning.learned import LearnedCode, Nodes, Samples, select, structured_code
from kofn_studies.aicc.problems import PROBLEMS

from .._types import Floats
from ..aicc.measure import errors, interpolated, nrmse
from ..study import Point, Result

if TYPE_CHECKING:
    from ..aicc.training import Schedule

ROWS = 8
"""N: of so many workers R random ones survive."""

RECOVER = 5
"""R = GP + 1 with G = P = 2."""

LARGEST_ON_CPU, REFINED_ON_CPU = 200, 50
"""M up to which networks are trained without a GPU: from a random start, and from the closed form, which gains nothing
beyond."""

WEIGHTS_ON_CPU = 1e8
"""Weights of the largest network that is trained without a GPU."""

READ_ON_CPU = 6.2e9
"""How many weights all steps together read there."""

WEIGHTS = 2e9
"""Weights of the largest network that is trained at all; Adam holds four numbers for each."""


@dataclass(frozen=True)
class Cell:
    """One point of a figure: a problem with M and K, and what may be spent on it.

    Parameters
    ----------
    problem : {"P1", "P2", "P3", "P4"}
    size, inputs : int
        M and K.
    trials : int
        Sets that are tested; fewer where matrices are large.
    seed : int
    quick : bool
    device : str
    """

    problem: str
    size: int
    inputs: int
    trials: int
    seed: int = 0
    quick: bool = False
    device: str = "cpu"

    @property
    def title(self) -> str:
        """What a user reads."""
        return f"{self.problem}, M = {self.size}, K = {self.inputs}"

    @property
    def draws(self) -> int:
        """Sets that closed forms are fitted to; large matrices need fewer, as sums over their entries vary less."""
        return 40 if self.quick else self._fitting(1_500_000, 2000)

    @property
    def tests(self) -> int:
        """Sets that are tested."""
        return self._fitting(4_000_000, self.trials)

    def _fitting(self, entries: int, most: int) -> int:
        return int(np.clip(entries // self.size**2, min(24, most), most))

    @property
    def schedule(self) -> Schedule:
        """On a GPU that of the paper's script, 100 epochs of 128 steps of 128 sets; on a CPU some twenty seconds."""
        from ..aicc.training import Schedule

        if self.quick:
            return Schedule(epochs=2, steps=8, batch=16, validation=16, seed=self.seed)
        if self.device == "cpu":
            steps = int(np.clip(READ_ON_CPU / (15 * self._weights(dense=True)), 6, 100))
            return Schedule(epochs=15, steps=steps, batch=16, validation=64, seed=self.seed)
        return Schedule(steps=max(16, int(128 * min(1.0, 50 / self.size))), seed=self.seed)

    @property
    def refining(self) -> Schedule:
        """A quarter of the epochs, at a rate that falls with M²: h adds up so many entries of what is changed."""
        rate = min(1e-3, 0.1 / self.size**2)
        whole = self.schedule
        steps = 100 if self.device == "cpu" and not self.quick else whole.steps
        return replace(whole, epochs=-(-whole.epochs // 4), steps=steps, first_rate=rate, last_rate=rate / 100)

    def data(self, count: int, purpose: int) -> tuple[Floats, Floats]:
        """Sets of inputs, (count, K, M, M), and f of them, (count, K, V), apart from those of other purposes."""
        problem = PROBLEMS[self.problem]
        rng = np.random.default_rng([self.seed, purpose, self.size, self.inputs])
        inputs = problem.sample(rng, (count, self.inputs), self.size)
        return inputs, problem.function(inputs)

    def affords(self, dense: bool) -> bool:
        """Whether a network of that size is trained, with dense V_p or without."""
        if self.device == "cpu" and self.size > (LARGEST_ON_CPU if dense else REFINED_ON_CPU):
            return False
        return self._weights(dense) <= (WEIGHTS_ON_CPU if self.device == "cpu" else WEIGHTS)

    def _weights(self, dense: bool) -> int:
        """Numbers that are learnt."""
        entries, outputs = self.size**2, PROBLEMS[self.problem].outputs(self.size)
        networks = 3 * 100 * (self.inputs + 1) * entries + 100 * (self.inputs * entries + outputs)
        return networks + (2 * outputs * entries if dense else 0)


class Contest:
    """The contenders of a cell, each made when it is first asked for; they share samples and survivors.

    Parameters
    ----------
    cell : Cell
    schedule : Schedule, optional
        Of the network that is trained.
    """

    def __init__(self, cell: Cell, schedule: Schedule | None = None) -> None:
        self.cell, self.problem, self.schedule = cell, PROBLEMS[cell.problem], schedule

    @cached_property
    def fitted(self) -> tuple[Floats, Floats]:
        """What everybody learns from."""
        return self.cell.data(self.cell.draws, purpose=1)

    @cached_property
    def tested(self) -> tuple[Floats, Floats]:
        """What everybody is tested on."""
        return self.cell.data(self.cell.tests, purpose=2)

    @cached_property
    def closed(self) -> LearnedCode:
        """The best closed form with R = 5."""
        return structured_code(*self.fitted, recover=RECOVER, rows=ROWS)

    def errors(self, name: str) -> Floats:
        """Eq. (6) of every output of the tested sets, (trials, K), in %."""
        return 100 * ERRORS[name](self)

    def mean_predictor(self) -> Floats:
        """The mean of f over the samples, whatever the input."""
        truth = self.tested[1]
        return nrmse(np.broadcast_to(self.fitted[1].mean((0, 1)), truth.shape), truth)

    def first_order(self) -> Floats:
        """The best affine fit of f that features give; uncoded."""
        X, values = self.fitted
        h, _ = select(Samples(X.reshape(-1, *X.shape[2:]), values.reshape(-1, values.shape[-1])), degree=1)
        return nrmse(np.stack([h(sets) for sets in self.tested[0]]), self.tested[1])

    def berrut(self) -> Floats:
        """Berrut's curve through the inputs, f itself at the workers, Berrut's curve through the survivors."""
        return self._survived(lambda X: berrut(self.problem.function, X, workers=ROWS, recover=RECOVER))

    def lagrange_fit(self) -> Floats:
        """The closed form, decoded by interpolation."""
        return self._survived(lambda X: interpolated(self.closed, X))

    def aicc(self) -> Floats:
        """The paper's: dense V_p, G = P = 2, random start, its nodes, interpolation."""
        code = self.paper()
        return self._survived(lambda X: interpolated(code, X))

    def structured(self) -> Floats:
        """The closed form trained further, decoded with all that is expected of it."""
        code = self.tuned()
        return self._survived(lambda X: code.evaluations(X))

    def paper(self) -> LearnedCode:
        """AICC as published, trained from a random start whose outputs are centred on the mean of f."""
        import torch

        from ..aicc.network import Aicc, Sizes

        cell = self.cell
        nodes = Nodes.paper(cell.inputs, ROWS)
        sizes = Sizes.paper(cell.size, cell.inputs, self.problem.outputs(cell.size), degree=2, power=2)
        model = Aicc(sizes, nodes.betas, cell.seed)
        inputs, values = (torch.as_tensor(array, dtype=torch.float32) for array in self.fitted)
        model.centre(inputs, values)
        self._train(model)
        return model.code(nodes, self.fitted[0][:16], self.fitted[1][:16])

    def tuned(self) -> LearnedCode:
        """The closed form with networks that start at zero; itself where these do not lower the validation cost."""
        from ..aicc.network import Aicc

        if not self.cell.affords(dense=False) or self.closed.degree == 0:
            return self.closed
        model = Aicc.from_code(self.closed, self.cell.seed)
        if self._train(model) == 0:
            return self.closed
        return model.code(self.closed.nodes, *self.fitted, name="aicc-structured")

    def _survived(self, evaluations: Callable[[Floats], Any]) -> Floats:
        return errors(evaluations, *self.tested, RECOVER, np.random.default_rng([self.cell.seed, 3]))

    def _train(self, model: Any) -> int:
        """Train a model, and tell after which epoch it was best."""
        from ..aicc.training import train

        assert self.schedule is not None
        return train(model, self.problem, self.schedule, device=self.cell.device).best_epoch


ERRORS: Mapping[str, Callable[[Contest], Floats]] = {
    "aicc": Contest.aicc,
    "aicc-structured": Contest.structured,
    "lagrange-fit": Contest.lagrange_fit,
    "berrut": Contest.berrut,
    "mean-predictor": Contest.mean_predictor,
    "first-order": Contest.first_order,
}
"""The contenders by the names of their series."""

UNTRAINED = ("lagrange-fit", "berrut", "mean-predictor", "first-order")
"""Those without a network: they share samples and fits, and a point."""


@dataclass(frozen=True)
class UntrainedErrors(Point):
    """Eq. (6) of the contenders without a network, each (trials, K), in %."""

    cell: Cell

    @property
    def title(self) -> str:
        """What a user reads when it is done."""
        return f"closed forms, {self.cell.title}"

    @property
    def weight(self) -> float:
        """Seconds, about."""
        return 2.0

    def compute(self, data: str | None) -> Result:
        """Fit and test."""
        contest = Contest(self.cell)
        return {name: contest.errors(name) for name in UNTRAINED}


@dataclass(frozen=True)
class TrainedErrors(Point):
    """Eq. (6) of a contender with a network, ``errors`` (trials, K), in %."""

    version: ClassVar[int] = 2  # random starts vary less around the mean

    contender: str
    cell: Cell
    schedule: Any

    @property
    def title(self) -> str:
        """What a user reads when it is done."""
        return f"{self.contender}, {self.cell.title}"

    @property
    def weight(self) -> float:
        """Seconds, about: a step reads every weight some ten times."""
        if self.contender != "aicc" and not self.cell.affords(dense=False):
            return 2.0
        outputs = PROBLEMS[self.cell.problem].outputs(self.cell.size) if self.contender == "aicc" else 0
        weights = (100 * (3 * self.cell.inputs + 4) + 2 * outputs) * self.cell.size**2
        steps: int = self.schedule.epochs * self.schedule.steps
        return 1.0 + steps * (2e-3 + 6e-9 * weights)

    def compute(self, data: str | None) -> Result:
        """Train and test."""
        return {"errors": Contest(self.cell, self.schedule).errors(self.contender)}
