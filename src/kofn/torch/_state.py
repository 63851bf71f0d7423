"""What a step takes from a model as it is now: numbers, what is trained, and the plain attributes of its modules."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import torch
from torch import Tensor, nn

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, np.generic)
HOLDING = (tuple, list, set, dict)
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
BACKWARD = ("_backward_hooks", "_backward_pre_hooks")


class State(NamedTuple):
    """A model's state, apart from the model.

    Attributes
    ----------
    numbers : (bytes,) uint8 array
        All tensors, one after the other, whatever their types.
    trained : tuple of bool
        Which parameters require gradients.
    settings : tuple of dict
        Attributes of each module that are plain values: whether it trains, a probability, a name; also arrays of NumPy,
        and lists, sets and dictionaries of such, which can be changed in place.

    Examples
    --------
    >>> one, other = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    >>> set_state(other.eval(), copy_state(one))
    >>> bool((one[0].weight == other[0].weight).all()), other[1].p, other.training
    (True, 0.5, True)
    """

    numbers: NDArray[np.uint8]
    trained: tuple[bool, ...]
    settings: tuple[dict[str, Any], ...]


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters, buffers, and other tensors that are attributes of modules, each once, by name."""
    found: dict[int, tuple[str, Tensor]] = {}
    for prefix, module in model.named_modules():
        own = {**module._parameters, **module._buffers, **vars(module)}
        for name, value in own.items():
            if isinstance(value, Tensor):
                found.setdefault(id(value), (f"{prefix}.{name}".lstrip("."), value))
    return dict(found.values())


def copy_state(model: nn.Module) -> State:
    """Copy the state of a model."""
    numbers = [_bytes(value) for value in tensors_of(model).values()]
    return State(
        torch.cat(numbers).numpy() if numbers else np.empty(0, np.uint8),
        tuple(value.requires_grad for value in model.parameters()),
        tuple({k: _copied(v) for k, v in vars(module).items() if _is_setting(k, v)} for module in model.modules()),
    )


def set_state(model: nn.Module, given: State) -> None:
    """Give a model the state of another of the same form."""
    start = 0
    for value in tensors_of(model).values():
        stop = start + value.numel() * value.element_size()
        piece = torch.from_numpy(given.numbers[start:stop].copy()).view(value.dtype)
        value.data = piece.view(value.shape).to(value.device)
        start = stop
    for parameter, trained in zip(model.parameters(), given.trained, strict=True):
        parameter.requires_grad_(trained)
    for module, own in zip(model.modules(), given.settings, strict=True):
        vars(module).update({name: _copied(value) for name, value in own.items()})


class Form(NamedTuple):
    """What may not change from step to step, because it stays at the workers as it was.

    Attributes
    ----------
    tensors : dict
        Shape and type of each tensor.
    objects : list
        Classes of modules, their hooks, and attributes that are neither plain nor tensors, or that can be changed in
        place; the very same objects.
    """

    tensors: dict[str, tuple[torch.Size, torch.dtype]]
    objects: list[tuple[str, Any]]

    @classmethod
    def of(cls, model: nn.Module) -> Form:
        """The form of a model."""
        tensors = {name: (value.shape, value.dtype) for name, value in tensors_of(model).items()}
        return cls(tensors, list(_objects(model)))

    def difference(self, other: Form) -> str | None:
        """Name one difference from another form, if there is one."""
        for name in {**self.tensors, **other.tensors}:
            if self.tensors.get(name) != other.tensors.get(name):
                return name
        for (name, one), (also, two) in zip(self.objects, other.objects, strict=False):
            if name != also or one is not two:
                return name
        return None if len(self.objects) == len(other.objects) else "a module"


def _objects(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for prefix, module in model.named_modules():
        yield prefix or "the model", type(module)
        for name, value in vars(module).items():
            if name in (*HOOKS, *BACKWARD):
                yield from ((f"{prefix}.{name}".lstrip("."), hook) for hook in value.values())
            elif not isinstance(value, Tensor) and not _unchanging(value) and name not in _INTERNAL:
                yield f"{prefix}.{name}".lstrip("."), value


def _is_setting(name: str, value: Any) -> bool:
    """Whether an attribute is sent with every step; what PyTorch itself keeps in a dictionary or a set is not."""
    return _plain(value) and not (name in _INTERNAL and type(value) in HOLDING)


def _unchanging(value: Any) -> bool:
    """Whether it is a plain value that cannot be changed in place."""
    return isinstance(value, PLAIN) or (type(value) is tuple and all(map(_unchanging, value)))


def _plain(value: Any) -> bool:
    if type(value) is np.ndarray:
        return not value.dtype.hasobject
    if type(value) is dict:
        return all(map(_plain, chain(value, value.values())))
    return isinstance(value, PLAIN) or (type(value) in HOLDING and all(map(_plain, value)))


def _copied(value: Any) -> Any:
    """A value that nobody changes in place any more."""
    return copy.deepcopy(value) if type(value) in (*HOLDING, np.ndarray) else value


def _bytes(value: Tensor) -> Tensor:
    flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8)


_INTERNAL = frozenset(vars(nn.Module()))
"""What every module has; what matters of it is looked at by itself."""
