"""A scheduler, two workers and the client on one host, two workers on another; one link slow, one cut."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import two_hosts
from dask_processes import Processes

pytest.importorskip("distributed")


@pytest.fixture
def told(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the client on the first host tells of its jobs."""
    with ExitStack() as cleanup:
        try:
            two_hosts.build(cleanup)
            kind = two_hosts.slowdown()
        except two_hosts.Unable as error:
            pytest.skip(f"two hosts need network namespaces: {error}")
        cluster = Processes(tmp_path, host="0.0.0.0", port=8786, prefix=two_hosts.inside(two_hosts.FIRST))
        cleanup.callback(cluster.close)
        for name, number, host in (("w0", 1, 1), ("w1", 1, 1), ("w2", 1, 2), ("w3", 2, 2)):
            where = two_hosts.FIRST if host == 1 else two_hosts.SECOND
            cluster.worker(
                name, "--host", f"10.77.{number}.{host}", "--no-nanny",
                scheduler=f"tcp://10.77.{number}.1:8786", prefix=two_hosts.inside(where),
            )  # fmt: skip
        command = [sys.executable, two_hosts.__file__, "tcp://10.77.1.1:8786", "kofn1a", "kofn2a", *kind]
        try:
            done = subprocess.run(
                [*two_hosts.inside(two_hosts.FIRST), *command], capture_output=True, text=True, timeout=120
            )
        except subprocess.TimeoutExpired as hung:
            logs = [cluster.log(name)[-2000:] for name in cluster.running]
            pytest.fail("\n".join([str(hung), str(hung.stdout), str(hung.stderr), *logs]))
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)


@pytest.mark.slow
def test_slow_and_cut_links_cost_an_exact_answer_nothing(told: dict[str, Any]) -> None:
    for name in ("plain", "slow", "cut", "after"):
        assert told[name]["exact"], told
        assert told[name]["right"], told
    assert 2 not in told["slow"]["workers"], told
    assert told["cut"]["workers"] == [0, 1, 2], told
    assert 3 not in told["after"]["workers"], told
    assert told["states"][3] in ("busy", "dead"), told
