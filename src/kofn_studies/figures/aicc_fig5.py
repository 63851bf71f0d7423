"""Agrawal et al., Fig. 5: seconds for 128 sets of 3 matrices, master and workers on one device, beside f itself.

P1 as in the paper; ``-p3`` adds the exponential. Runtime does not depend on what the weights are, so the networks of
`aicc` are not trained. All numbers are float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..study import Point, Result, Results
from .aicc_setting import PAPER, require_torch
from .drawing import panels
from .figure import Figure, Recipe, Request, Series, Study
from .sampling import mean_and_error

TITLE = "Runtime of coded and of direct evaluation"
SIZES = (50, 100, 200, 400)
SETS, INPUTS, RECOVER = 128, 3, 5
LARGEST = 5e8
"""Weights of the largest network that is timed, 2 GB."""

SERIES = ("numpy", "torch", "aicc", "aicc-structured")
WAYS = ("numpy", "torch", "aicc-structured", "aicc")
"""The same in the order in which they are timed."""

ENDINGS = {"P1": "", "P3": "-p3"}


@dataclass(frozen=True)
class Runtimes(Point):
    """Seconds of each way to evaluate a problem at one size, by name, each (trials,)."""

    measures_time: ClassVar[bool] = True

    problem: str
    size: int
    sets: int
    trials: int
    seed: int
    device: str

    @property
    def title(self) -> str:
        """What a user reads when it is done."""
        return f"{self.problem}, M = {self.size}"

    @property
    def weight(self) -> float:
        """Work grows with the cube of M, or so."""
        return float(self.size**3)

    def compute(self, data: str | None) -> Result:
        """Run each way with a clock."""
        return {name: timed(run, self.trials, self.device) for name, run in ways(self)}


def study(request: Request) -> Study:
    """A curve for each way and problem over M; ``numpy-p3`` is SciPy's ``expm``."""
    require_torch(request.device)
    sizes, sets = ((8, 16), 8) if request.quick else (SIZES, SETS)
    points = [
        Runtimes(problem, size, sets, request.trials, request.seed, request.device)
        for problem in ENDINGS
        for size in sizes
    ]

    def figure(results: Results) -> Figure:
        found: dict[str, list[tuple[int, float, float]]] = {}
        for point in points:
            for name in (name for name in WAYS if name in results[point]):
                mean, error = mean_and_error(results[point][name])
                found.setdefault(name + ENDINGS[point.problem], []).append((point.size, float(mean), float(error)))
        lines = [Series(name, *zip(*values, strict=True)) for name, values in found.items()]
        title = f"{TITLE}: {sets} sets of {INPUTS} matrices on one {request.device}"
        return Figure("aicc-fig5", title, f"{PAPER}, Fig. 5", "M", "seconds", request.seed, request.trials, lines)

    return Study(points, figure)


def timed(run: Callable[[], Any], trials: int, device: str) -> Any:
    """Seconds of each of several runs after one that warms up, (trials,)."""
    import torch

    seconds = []
    for _ in range(trials + 1):
        start = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return np.array(seconds[1:])


def ways(point: Runtimes) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and what to time, one at a time, as each holds large arrays."""
    import torch
    from kofn_studies.aicc.problems import PROBLEMS

    from ..aicc.network import Aicc, Sizes

    known, size = PROBLEMS[point.problem], point.size
    X = known.sample(np.random.default_rng([point.seed, size]), (point.sets, INPUTS), size).astype(np.float32)
    tensor = torch.as_tensor(X, device=point.device)
    yield "numpy", lambda: known.function(X)
    yield "torch", lambda: known.function_torch(tensor)
    code = closed_form(point.problem, size, point.seed)
    yield "aicc-structured", structured(code, tensor)
    outputs = known.outputs(size)
    if 100 * (3 * (INPUTS + 1) + INPUTS) * size**2 + 2 * outputs * size**2 <= LARGEST:
        sizes = Sizes.paper(size, INPUTS, outputs, degree=2, power=2)
        yield "aicc", networks(Aicc(sizes, code.nodes.betas, point.seed), code, tensor)


def closed_form(problem: str, size: int, seed: int) -> Any:
    """The closed form, from few samples: its structure is all that matters here."""
    from kofn.tuning.learned import structured_code
    from kofn_studies.aicc.problems import PROBLEMS

    draws = PROBLEMS[problem].sample(np.random.default_rng([seed, 1]), (16, INPUTS), size)
    return structured_code(draws, PROBLEMS[problem].function(draws), recover=RECOVER, rows=RECOVER)


def structured(code: Any, tensor: Any) -> Callable[[], Any]:
    """Encode, evaluate at R workers, decode, for all sets at once."""
    import torch
    from kofn.tuning.learned import Term

    def moved(array: Any) -> Any:
        return torch.as_tensor(np.asarray(array, dtype=np.float32), device=tensor.device)

    terms = [Term(term.power, term.feature, moved(term.weight)) for term in code.terms]
    weights, constant = moved(code.encoder.weights), moved(code.encoder.constant)

    def run() -> Any:
        flat = weights @ tensor.flatten(-2)
        return decoded(flat.reshape(*flat.shape[:-1], *tensor.shape[-2:]), constant, terms, code.nodes)

    return run


def networks(model: Any, code: Any, tensor: Any) -> Callable[[], Any]:
    """The same with Γ_g and Λ_0 as networks and dense V_p."""
    import torch

    model.to(tensor.device)

    def run() -> Any:
        with torch.inference_mode():
            U, constant = model.coefficients(tensor)
            return decoded(U, constant[:, None], model.terms, code.nodes)

    return run


def decoded(U: Any, constant: Any, terms: Any, nodes: Any) -> Any:
    """From coefficients to outputs: eqs. (2), (3) and (5)."""
    import torch
    from kofn.tuning.learned import Computation, encode, powers

    count = len(nodes.alphas)
    matrix = nodes.basis(nodes.betas, count) @ np.linalg.inv(nodes.basis(nodes.alphas, count))
    basis, decoding = (
        torch.as_tensor(array, dtype=U.dtype, device=U.device)
        for array in (powers(nodes.alphas, U.shape[-3] - 1), matrix)
    )
    return decoding @ Computation(constant, terms)(encode(U, basis))


def draw(figure: Figure) -> Any:
    """P1 on the left, P3 on the right."""
    groups = {problem: [name + ending for name in SERIES] for problem, ending in ENDINGS.items()}
    return panels(figure, groups, bottom=0.5 * min(min(series.y) for series in figure.series))


RECIPE = Recipe("aicc-fig5", TITLE, study, draw, trials=3, quick_trials=2, needs="torch")
