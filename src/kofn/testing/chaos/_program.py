"""A program of its own to which things happen that would end, or cripple, the one that asks.

``python -m kofn.testing.chaos._program KIND ENGINE SEED`` prints a line ``ready``, and at its end one that says how it
ended. What leaves no answer must be an error of kofn's.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from contextlib import closing
from typing import Any

import numpy as np

from ..._api._map import map
from ..._api._matmul import matmul
from ..._base._numbers import Array
from ...engines import as_pool
from ...errors import KofnError
from .._belongings import everything
from ._oracles import check_product, check_values
from ._play import await_nothing_left

CODES = ("repetition", "polynomial", "mds")

WAIT_SECONDS = 20.0
"""What is to be interrupted goes on for so long."""


def main(kind: str, engine: str, seed: int) -> None:
    """Play one program."""
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((60, 40)), rng.standard_normal((40, 30))
    before = everything()
    short = kind in _LIMITS
    print(_short_of(kind, engine, rng) if short else _until_interrupted(kind, engine, A, B), flush=True)
    left = await_nothing_left(before)
    print(f"leaves {sorted(left)}" if left else "leaves nothing", flush=True)


def _until_interrupted(kind: str, engine: str, A: Array, B: Array) -> str:
    """Jobs one after the other until a Ctrl-C comes; then the pool must still be of use."""
    pool, _ = as_pool(engine, "chaos")
    end = time.monotonic() + WAIT_SECONDS
    with closing(pool):
        for _ in range(12):  # until all is imported that is ever needed: Python cannot go on with half of an import
            matmul(A, B, workers=pool)
        try:
            print("ready", flush=True)
            if kind == "ends":  # while a job runs in a thread
                threading.Timer(float(A[0, 0] % 1) / 5, os._exit, (0,)).start()
            while time.monotonic() < end:
                check_product(matmul(A, B, workers=pool), A, B)
                check_values(map(len, ["a", "bb"], workers=pool), [1, 2])
            return "nobody interrupted"
        except KeyboardInterrupt:
            check_product(matmul(A, B, workers=pool), A, B)
            return "interrupted"


def _short_of(kind: str, engine: str, rng: np.random.Generator) -> str:
    """Jobs where the system grants little; each ends with an answer or an error of kofn's."""
    pool, _ = as_pool(engine, "chaos")
    with closing(pool):
        matmul(np.eye(4), np.eye(4), workers=pool)
        print("ready", flush=True)
        pairs = [_drawn(rng) for _ in range(8)]
        _LIMITS[kind](rng)
        ends = [_tried(pool, A, B, str(rng.choice(CODES)), kind) for A, B in pairs]
        for which, most in _BEFORE.items():
            resource.setrlimit(which, most)
    return "ended: " + ", ".join(sorted(set(ends)))


def _drawn(rng: np.random.Generator) -> tuple[Array, Array]:
    m, k, n = (int(size) for size in rng.integers(100, 400, 3))
    return rng.standard_normal((m, k)), rng.standard_normal((k, n))


def _tried(pool: Any, A: Array, B: Array, code: str, kind: str) -> str:
    """A product, computed while the system grants little and compared when it grants what it likes."""
    spilling: dict[str, Any] = {}
    if kind == "full disk":
        spilling = {"memory_limit_bytes": A.nbytes + B.nbytes + 4 * len(A) * B.shape[1], "blocks": (8, 1), "rows": 10}
    try:
        answer = matmul(A, B, workers=pool, code=code, **spilling)
    except KofnError as error:
        return type(error).__name__
    check_product(answer, A, B)
    return "exact"


_BEFORE = {
    which: resource.getrlimit(which) for which in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_NOFILE)
}


def _limit(which: int, most: int) -> None:
    resource.setrlimit(which, (most, resource.getrlimit(which)[1]))


def _disk(rng: np.random.Generator) -> None:
    _limit(resource.RLIMIT_FSIZE, int(rng.integers(0, 400_000)))


def _memory(rng: np.random.Generator) -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        taken = int(file.read().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, taken + int(rng.integers(150_000_000, 200_000_000)))


def _descriptors(rng: np.random.Generator) -> None:
    _limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + int(rng.integers(0, 10)))  # noqa: PTH208


_LIMITS = {"full disk": _disk, "no memory": _memory, "few descriptors": _descriptors}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
