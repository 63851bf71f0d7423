"""Training (Agrawal et al., Sec. III-B and IV-B): Adam, fresh data in every step, the weights of the best epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kofn.arrays import replacing
from kofn.checks import integer, number, refusal
from kofn.errors import FileError, require

from .network import Aicc
from .problems import Problem

with require("kofn_studies.aicc.training", "torch"):
    import torch
    from torch import Tensor

CALL = "kofn_studies.aicc.training"
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Parameters
    ----------
    epochs, steps, batch : int
        Steps in each epoch, and sets 𝒳 in each step.
    first_rate, last_rate : float
        Adam's rate decays exponentially from one to the other, epoch by epoch.
    validation : int
        Sets that the epochs are compared on; drawn once.
    seed : int
        Of all data.

    Examples
    --------
    >>> Schedule(epochs=3, first_rate=1e-2, last_rate=1e-4).rate(1)
    0.001
    """

    epochs: int = 100
    steps: int = 128
    batch: int = 128
    first_rate: float = 1e-3
    last_rate: float = 1e-6
    validation: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch", "validation"):
            integer(CALL, name, getattr(self, name), 1, "ask for at least one")
        for name in ("first_rate", "last_rate"):
            number(CALL, name, getattr(self, name), "1e-3 and 1e-6 are the usual rates", strict=True)
        integer(CALL, "seed", self.seed, 0, "an int repeats a run")

    def rate(self, epoch: int) -> float:
        """Adam's rate in an epoch, counted from 0."""
        share = epoch / max(1, self.epochs - 1)
        return round(float(self.first_rate * (self.last_rate / self.first_rate) ** share), 15)


@dataclass(eq=False)
class Trained:
    """Where training is, or how it ended.

    Attributes
    ----------
    best : dict of name to tensor
        Weights of the epoch with the smallest validation cost.
    costs : list of float
        Validation cost before training and after each epoch.
    """

    best: Weights
    costs: list[float] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.costs) - 1

    @property
    def best_epoch(self) -> int:
        """After which epoch the cost was smallest; 0 is the start."""
        return int(np.argmin(np.nan_to_num(self.costs, nan=np.inf)))


def train(
    model: Aicc,
    problem: Problem,
    schedule: Schedule,
    *,
    device: str = "cpu",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Trained], None] | None = None,
) -> Trained:
    """Train a model; it has the weights of the best epoch afterwards, that before the first one included.

    Parameters
    ----------
    model : Aicc
        Changed in place.
    problem : Problem
        Inputs, f and cost.
    schedule : Schedule
    device : str
        Where PyTorch computes.
    checkpoint : path, optional
        A file that is replaced after every epoch. Where it is there already, training goes on from it and ends as
        if it had never been interrupted, to the last bit on a CPU.
    progress : callable, optional
        Called with the `Trained` so far before the first and after every epoch.

    Returns
    -------
    Trained

    Raises
    ------
    FileError
        The checkpoint is damaged, or one of something else.
    """
    for what, given, kind in (("model", model, Aicc), ("problem", problem, Problem), ("schedule", schedule, Schedule)):
        if not isinstance(given, kind):
            raise refusal(CALL, what, f"be a {kind.__name__}", repr(given), "see docs/learned.md")
    model.to(device)
    optimiser = _optimiser(model)
    name = None if checkpoint is None else Path(checkpoint)
    trained = Trained(_copied(model.state_dict()))
    if name is not None and name.exists():
        trained = _resumed(name, model, optimiser, problem, schedule)
    else:
        trained.costs.append(_validated(model, problem, schedule, device))
    report = (lambda now: None) if progress is None else progress
    report(trained)
    while trained.epoch < schedule.epochs:
        _epoch(model, optimiser, problem, schedule, trained.epoch, device)
        trained.costs.append(_validated(model, problem, schedule, device))
        if trained.best_epoch == trained.epoch:
            trained.best = _copied(model.state_dict())
        if name is not None:
            _write(name, trained, model, optimiser, problem, schedule)
        report(trained)
    model.load_state_dict(trained.best)
    return trained


def _optimiser(model: Aicc) -> torch.optim.Adam:
    """Adam with each parameter at its pace."""
    groups = [{"params": [p], "pace": model.paces.get(name, 1.0)} for name, p in model.named_parameters()]
    return torch.optim.Adam(groups, fused=True)  # fused takes half the time on a CPU


def _epoch(model: Aicc, optimiser: Any, problem: Problem, schedule: Schedule, epoch: int, device: str) -> None:
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(epoch) * group["pace"]
    for step in range(schedule.steps):
        inputs, values = _data(problem, model, schedule.batch, (schedule.seed, 1 + epoch, step), device)
        optimiser.zero_grad()
        (model.scale * problem.cost(model(inputs), values).mean()).backward()
        optimiser.step()


def _data(problem: Problem, model: Aicc, count: int, key: tuple[int, ...], device: str) -> tuple[Tensor, Tensor]:
    """Sets 𝒳 and f of them; the key alone says which, so that nothing of a generator has to be kept."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    generator = torch.Generator(device).manual_seed(seed)
    inputs = problem.sample_torch(generator, (count, model.sizes.inputs), model.sizes.size)
    if inputs.device.type == "cpu":
        return inputs, torch.as_tensor(problem.function(inputs.double().numpy()), dtype=torch.float32)
    return inputs, problem.function_torch(inputs)


def _validated(model: Aicc, problem: Problem, schedule: Schedule, device: str) -> float:
    inputs, values = _data(problem, model, schedule.validation, (schedule.seed, 0, 0), device)
    with torch.inference_mode():
        return float(problem.cost(model(inputs), values).mean())


def _copied(weights: Weights) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def _identity(model: Aicc, problem: Problem, schedule: Schedule) -> dict[str, Any]:
    sizes = asdict(model.sizes) | {"betas": model.betas.tolist(), "seed": model.seed}
    plain: dict[str, Any] = json.loads(json.dumps({"problem": problem.name, "sizes": sizes} | asdict(schedule)))
    return plain


def _write(name: Path, trained: Trained, model: Aicc, optimiser: Any, problem: Problem, schedule: Schedule) -> None:
    with require("a checkpoint", "safetensors"):
        from safetensors.torch import save

    tensors = {f"now.{key}": value for key, value in model.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in trained.best.items()}
    for number_, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number_}.{key}": value for key, value in state.items()}
    said = {"costs": trained.costs, "of": _identity(model, problem, schedule)}
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with replacing(name, "checkpoint") as file:
        file.write(save(tensors, metadata={"kofn": json.dumps(said)}))


def _resumed(name: Path, model: Aicc, optimiser: Any, problem: Problem, schedule: Schedule) -> Trained:
    with require("a checkpoint", "safetensors"):
        from safetensors import SafetensorError, safe_open

    try:
        with safe_open(name, framework="pt") as file:
            said = json.loads(file.metadata()["kofn"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        changed = _changed(said["of"], _part(tensors, "now."), model, problem, schedule)
        trained = None if changed else _taken_up(tensors, said["costs"], model, optimiser)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        got = f"{name} ({str(error).splitlines()[0].rstrip(': ')})"
        refused = refusal(CALL, "checkpoint", "be a whole checkpoint", got, "remove it to start anew")
        raise FileError(str(refused)) from None
    if trained is None:
        must = "be one of the same model, problem and schedule"
        refused = refusal(CALL, "checkpoint", must, f"{name}, where {', '.join(changed)} differ", "name another file")
        raise FileError(str(refused))
    return trained


def _changed(of: dict[str, Any], now: Weights, model: Aicc, problem: Problem, schedule: Schedule) -> list[str]:
    """What a checkpoint is of another of; training leaves buffers, such as the linear start, as they are."""
    facts = [key for key, value in _identity(model, problem, schedule).items() if of.get(key) != value]
    buffers = ((key, now[key].to(value)) for key, value in model.named_buffers())
    return facts or [key for key, value in buffers if not torch.equal(value, model.get_buffer(key))]


def _taken_up(tensors: Weights, costs: Any, model: Aicc, optimiser: Any) -> Trained:
    """Put a checkpoint's numbers where they belong; whatever is missing or misshapen raises."""
    trained = Trained(_part(tensors, "best."), [float(cost) for cost in costs])
    for weights in (trained.best, _part(tensors, "now.")):
        model.load_state_dict(weights)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "adam.").items():
        which, _, what = key.partition(".")
        state.setdefault(int(which), {})[what] = value
    moments = [state[number]["exp_avg"].shape for number in range(len(state))]
    if moments != [parameter.shape for parameter in model.parameters()]:
        raise ValueError("it has other moments than the model has weights")
    if trained.epoch < 1:
        raise ValueError("it has no costs")
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return trained


def _part(tensors: Weights, prefix: str) -> Weights:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
