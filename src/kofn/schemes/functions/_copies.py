"""Function values without mixing: every input at one worker, or at several of which the first counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MappingView, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._base._numbers import Indices, epsilon_of
from ..._base._snapshots import collect
from ...arrays._remote import Ref
from ...checks import integer, named, refusal
from ...codes._copies import CopyCode
from ._calls import CALL, Arguments
from ._code import require_rows
from ._hedged import HedgedScheme


@named("kofn.schemes.FUNCTIONS['uncoded']")
def uncoded(f: Callable[[Any], Any], inputs: Any, *, workers: int | None = None, rng: Any = None) -> HedgedScheme:
    """Every input once, all of them needed: G = T = I.

    Load 1; threshold K; amplification 1. The answer is exact for any f.

    Parameters
    ----------
    f : callable
        Takes one input and returns anything.
    inputs : iterable
        K inputs, of any kind.
    workers : int, optional
        That rows are dealt to; K by default.
    rng : ignored
        No code of this table needs to be asked whether it draws.

    Returns
    -------
    HedgedScheme

    Examples
    --------
    >>> uncoded(np.sin, [0.0, 1.0, 2.0]).code.generator.tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _copies("uncoded", f, inputs, workers, lambda K, rows: K)


@named("kofn.schemes.FUNCTIONS['repetition']")
def repetition(
    f: Callable[[Any], Any],
    inputs: Any,
    *,
    workers: int | None = None,
    rows: int | None = None,
    rng: Any = None,
) -> HedgedScheme:
    """Every input as often as the rows allow, the first copy counts: G repeats the identity.

    Load 1; threshold rows − (copies − 1) where the rarest input has so many copies; amplification 1. Exact for any
    f, which is why `kofn.fit` falls back to it.

    Parameters
    ----------
    f, inputs, rng
        As for `kofn.schemes.functions.uncoded`.
    workers, rows : int, optional
        Rows and the workers that they are dealt to, copies of one input to different ones. By default one row per
        worker, or per input where these are more.

    Returns
    -------
    HedgedScheme

    Examples
    --------
    >>> code = repetition(np.sin, [0.0, 1.0], workers=4).code
    >>> code.threshold, code.generator[:, 0].tolist()
    (3, [1.0, 0.0, 1.0, 0.0])
    """
    return _copies("repetition", f, inputs, workers, lambda K, count: max(K, count) if rows is None else rows)


def _copies(
    name: str, f: Callable[[Any], Any], inputs: Any, workers: Any, rows_of: Callable[[int, int], Any]
) -> HedgedScheme:
    X = list_inputs(inputs)
    K = len(X)
    workers = max(1, K) if workers is None else integer(CALL, "workers", workers, 1, "ask for at least one worker")
    rows = integer(CALL, "rows", rows_of(K, workers), 0, "ask for at least one row") if K else 0
    require_rows(name, K, rows, "one row per input")
    homes = [value.worker if isinstance(value, Ref) else -1 for value in X]
    code = CopyCode(name, K, rows, workers, homes if max(homes, default=-1) >= 0 else ())
    return HedgedScheme(code, [f] * rows, Inputs(X, code.groups), epsilon_of(inputs))


@dataclass(frozen=True, eq=False)
class Inputs(Arguments):
    """Inputs as they are.

    Parameters
    ----------
    inputs : sequence
    which : (rows,) int array
        The input of each row.
    """

    inputs: Sequence[Any]
    which: Indices

    def of_rows(self) -> Sequence[tuple[Any, ...]]:
        """Each row one input."""
        return [(self.inputs[k],) for k in self.which.tolist()]


def list_inputs(inputs: Any) -> list[Any]:
    """The inputs of one call, whatever they are, as ``map`` would see them; of a frame its rows, as of an array.

    Examples
    --------
    >>> list_inputs("abc"), list_inputs(x**2 for x in range(3)), list_inputs({"a": 1}.items())
    (['a', 'b', 'c'], [0, 1, 4], [('a', 1)])
    """
    inputs = np.asarray(inputs) if hasattr(inputs, "columns") or isinstance(inputs, memoryview) else inputs
    inputs = inputs.tocsr() if hasattr(inputs, "tocsr") else inputs  # not every sparse format has rows to give
    if not np.iterable(inputs) or (isinstance(inputs, Mapping | Set) and not isinstance(inputs, MappingView)):
        must, remedy = "be in an order: a sequence, an array or an iterator", "give a list of inputs"
        raise refusal(CALL, "inputs", must, repr(inputs), remedy)
    return collect(inputs)
