"""``--engine``: the commands on a Dask cluster of separate processes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dask_processes import processes
from kofn.cli import main

pytest.importorskip("distributed")


@pytest.fixture
def factors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((60, 20)), rng.standard_normal((20, 30))
    np.save("A.npy", A)
    np.save("B.npy", B)
    return A, B


def multiplied(*options: str) -> int:
    return main(["matmul", "A.npy", "B.npy", "--out", "C.npy", "--quiet", *options])


def test_matmul_on_a_cluster(dask_cluster, factors, capsys):
    assert multiplied("--engine", dask_cluster.address) == 0
    assert "C.npy: exact" in capsys.readouterr().out
    np.testing.assert_allclose(np.load("C.npy"), factors[0] @ factors[1], atol=1e-9)


@pytest.mark.slow
def test_the_demo_on_a_cluster(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    with processes(*(f"w{number}" for number in range(6))) as cluster:
        assert main(["demo", "--quick", "--engine", cluster.address]) == 0
    told = capsys.readouterr().out
    assert "6 worker processes" in told and "eigenvalues agree" in told
    assert (tmp_path / "kofn-demo.png").exists()


def test_an_address_where_nobody_is_is_refused_in_one_sentence(factors, monkeypatch, capsys):
    monkeypatch.setattr("kofn.cli._engine.PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        assert multiplied("--engine", address) == 2
        told = capsys.readouterr().err
        assert told.startswith("kofn matmul: '--engine' must be the address of a Dask scheduler, but got '")
        assert told.count("\n") == 1


def test_a_cluster_decides_how_many_workers_there_are(dask_cluster, factors, capsys):
    for command in (["matmul", "A.npy", "B.npy", "--out", "C.npy"], ["demo"]):
        assert main([*command, "--engine", dask_cluster.address, "--workers", "7"]) == 2
        assert "'--workers' must be left to the cluster" in capsys.readouterr().err


def test_a_cluster_without_workers_is_refused(factors, monkeypatch, capsys):
    monkeypatch.setattr("kofn.cli._engine.PATIENCE", 2)
    with processes() as empty:
        assert multiplied("--engine", empty.address) == 2
    assert "'--engine' must have at least 1 workers, but got 0; start more" in capsys.readouterr().err


def test_without_dask_it_says_what_to_install(factors, monkeypatch, capsys):
    monkeypatch.setattr("kofn.errors.find_spec", lambda name: None)
    assert multiplied("--engine", "tcp://127.0.0.1:9") == 2
    assert "needs Dask; install it with pip install 'kofn[dask]'" in capsys.readouterr().err
    assert sys.modules.get("kofn") is not None


def test_an_address_without_a_port_is_refused_at_once_and_nothing_more_is_said(factors):
    command = [sys.executable, "-m", "kofn", "matmul", "A.npy", "B.npy", "--out", "C.npy", "--engine", "nonsense"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"missing port number" in done.stderr
