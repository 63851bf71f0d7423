"""A pool some of whose workers return wrong results."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np

from ..._base._envelope import Envelope
from ...checks import refusal
from ...engines._protocol import Pool
from ...engines._wrapped import Begin, WrappedPool
from ._faults import Fault

CALL = "kofn.testing.faults.Corrupting"

_tokens = itertools.count()
_last: dict[tuple[int, int, int], Any] = {}
"""At a worker, by pool and worker: what its task before should have returned."""


class Corrupting(WrappedPool):
    """A pool like the one that is wrapped, but that some workers return wrong results, as a fault says.

    The faults happen at the workers, after the task and before its result is sent. Wrap `kofn.Straggling` for workers
    that are slow as well as wrong.

    Parameters
    ----------
    pool : Pool
        Closed together with this one.
    faults : mapping of worker to Fault
        Workers that are not there are honest.
    seed : int
        Of what is random; the t-th task of a worker is spoilt in the same way each time.

    Examples
    --------
    >>> from kofn.engines import ThreadPool
    >>> from kofn.testing.faults import Scaled
    >>> with Corrupting(ThreadPool(2), {1: Scaled(3.0)}) as pool:
    ...     [float(pool.submit(worker, sum, [1.0, 2.0]).result()) for worker in range(2)]
    [3.0, 9.0]
    """

    def __init__(self, pool: Pool, faults: Mapping[int, Fault], seed: int = 0) -> None:
        if isinstance(pool, type) or not isinstance(pool, Pool):
            raise refusal(CALL, "pool", "be a pool", repr(pool), "make one with kofn.LocalPool(4), for example")
        for worker, fault in faults.items():
            if worker not in range(pool.n) or not isinstance(fault, Fault):
                must = f"name workers from 0 to {pool.n - 1} and their faults"
                raise refusal(CALL, "faults", must, f"{worker!r}: {fault!r}", "write {0: faults.BitFlip()}")
        super().__init__(pool)
        self._faults, self._seed = dict(faults), seed
        self._key = next(_tokens), os.getpid()
        self._counts = [0] * pool.n

    def _begin(
        self,
        begin: Begin,
        worker: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keys: tuple[Hashable, ...],
    ) -> Future[Any]:
        """Spoil what the task returns, or keeps."""
        fault = self._faults.get(worker)
        if fault is not None:
            task, self._counts[worker] = self._counts[worker], self._counts[worker] + 1
            seed = [self._seed, worker, task, getattr(fault, "rng", 0)]
            function = partial(run_and_spoil, fault, seed, (*self._key, worker), function)
        return begin(worker, function, *arguments, keys=keys)

    def close(self) -> None:
        """Close the wrapped pool."""
        super().close()
        self._pool.close()
        for worker in self._faults:
            _last.pop((*self._key, worker), None)


def run_and_spoil(
    fault: Fault, seed: list[int], key: tuple[int, int, int], function: Callable[..., Any], *values: Any
) -> Any:
    """What a wrong worker does: its task, and then the fault to each result of the message."""
    outcome = function(*values)
    if isinstance(outcome, Envelope):
        return outcome
    rng = np.random.default_rng(seed)
    if isinstance(outcome, list):
        return [_spoilt(fault, key, result, rng) for result in outcome]
    return _spoilt(fault, key, outcome, rng)


def _spoilt(fault: Fault, key: tuple[int, int, int], result: Any, rng: np.random.Generator) -> Any:
    if hasattr(result, "tocsr") and result.nnz:  # a sparse matrix: in its numbers
        wrong = result.tocsr(copy=True)
        numbers = fault.spoil(wrong.data.copy(), None, rng)
        if len(numbers) < result.nnz:
            return result[:-1]
        wrong.data = numbers
        return wrong.asformat(result.format)
    if not isinstance(result, np.ndarray | np.generic | float | int | complex):
        return result
    last, right = _last.get(key), np.array(result)
    _last[key] = right.copy()
    wrong = fault.spoil(right, last, rng)
    return wrong if isinstance(result, np.ndarray) else wrong[()]
