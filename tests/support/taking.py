"""Engines, gates and inputs for the tests of when data is taken."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

import kofn
from kofn.engines._protocol import capabilities_of

A = np.random.default_rng(0).standard_normal((24, 18))
B = np.random.default_rng(1).standard_normal((18, 12))
NUMBERS = np.linspace(1.0, 2.0, 4)


class Gate:
    """A pool through which nothing goes before it is opened."""

    def __init__(self, pool):
        self._pool, self.open = pool, threading.Event()
        self.n = pool.n
        self.capabilities = capabilities_of(pool)

    def empty(self, shape, dtype):
        assert self.open.wait(10)
        return self._pool.empty(shape, dtype)

    def put(self, worker, key, value):
        assert self.open.wait(10)
        self._pool.put(worker, key, value)

    def submit(self, worker, function, *arguments, keys=()):
        assert self.open.wait(10)
        return self._pool.submit(worker, function, *arguments, keys=keys)

    def drop(self, key):
        self._pool.drop(key)

    def stop(self, worker, how):
        return self._pool.stop(worker, how)

    def state(self, worker):
        return self._pool.state(worker)

    def close(self):
        """It stays open for other tests."""


def engine(name):
    if name == "threads":
        return kofn.ThreadPool(3)
    if name == "local":
        return kofn.LocalPool(3)
    if name == "straggling":
        return kofn.Straggling(kofn.LocalPool(3), kofn.Constant(0.0))
    if name == "executors":
        return kofn.ExecutorPool([ThreadPoolExecutor(1) for _ in range(3)])
    return on_dask()


@contextmanager
def on_dask():
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(n_workers=3, **options) as client, kofn.DaskPool(client) as pool:
        yield pool


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("straggling", "executors")]
ENGINES = ["threads", "local", "dask", *SLOW]


def spaced(matrix):
    wide = np.zeros((2 * matrix.shape[0], matrix.shape[1]))
    wide[::2] = matrix
    return wide[::2]


@dataclass
class Box:
    """An object with a state."""

    items: list
    array: np.ndarray


INPUTS = {
    "array": lambda: NUMBERS.copy(),
    "view": lambda: spaced(NUMBERS[:, None])[:, 0],
    "large": lambda: np.ones(20_000),
    "list": lambda: [1.0, 2.0, 3.0],
    "dict": lambda: {"a": NUMBERS.copy(), "b": [1.0]},
    "tuple": lambda: (NUMBERS.copy(), [2.0]),
    "object": lambda: Box([1.0, 2.0], NUMBERS.copy()),
}


def total(x):
    """A number that tells of all that is in x."""
    if isinstance(x, dict):
        return total(list(x.values()))
    if isinstance(x, Box):
        return total([x.items, x.array])
    return float(sum(map(total, x))) if isinstance(x, list | tuple) else float(np.sum(x))


def spoil(x):
    """Change x, and all that is in it, in place."""
    if isinstance(x, np.ndarray):
        x += 1.0
    elif isinstance(x, dict):
        x["c"] = 5.0
        spoil(x["b"])
    elif isinstance(x, Box):
        spoil(x.items)
    elif isinstance(x, tuple):
        spoil(x[1])
    else:
        x.append(5.0)
