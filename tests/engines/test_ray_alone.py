"""No Ray at all, and one that is started for a pool."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kofn
from kofn.engines import RayPool, as_pool
from kofn.engines.ray._clerk import Clerk
from kofn.engines.ray._slot import SHUT_DOWN, RaySlot, Shelf

pytest.importorskip("ray")


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"kofn\.RayPool needs Ray; install it with pip install 'kofn\[ray\]'"):
        RayPool(1)
    monkeypatch.setattr("kofn.errors.find_spec", lambda name: None)
    with pytest.raises(kofn.MissingPackage, match=r"kofn\.map: workers='ray:8' needs Ray; install it with"):
        as_pool("ray:8", "kofn.map")


def test_nothing_is_asked_of_a_ray_that_was_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would start another one for that."""
    asked: list[object] = []
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.kill", asked.append)
    clerk = Clerk(lambda: None)
    slot = RaySlot(0, lambda: asked.append("an actor"), clerk, Shelf(), 1.0)
    slot.spawn("an old one")
    clerk.end()
    assert (slot.state, slot.why, asked) == ("dead", SHUT_DOWN, [])


ALONE = """
import os, sys, time
import numpy as np, ray
import kofn
from kofn.testing._belongings import belongings, left_since

before = belongings()
first = kofn.RayPool(2)
second = kofn.engines.as_pool("ray:1", "kofn.map")[0]
first.close()
assert ray.is_initialized() and second.submit(0, int, "3").result() == 3
second.close()
assert not ray.is_initialized()
answer = kofn.matmul(np.eye(6), np.eye(6), workers="ray:2")
assert answer.exact and not ray.is_initialized()

pool = kofn.RayPool(1)
future = pool.submit(0, time.sleep, 600)
ray.shutdown()
error = future.exception(30)
assert isinstance(error, kofn.PoolClosed), error
assert pool.state(0) == "dead"
try:
    pool.submit(0, int)
except kofn.PoolClosed as error:
    assert "Ray was shut down" in str(error)
pool.close()
left = {name for name in left_since(before) if not name.startswith("shared")}
print(left)
"""


@pytest.mark.slow
def test_a_ray_that_was_started_for_a_pool_ends_with_the_last_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=240, cwd=tmp_path,
        env={**os.environ, "RAY_ADDRESS": "local"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["set()"]), done.stdout + done.stderr
