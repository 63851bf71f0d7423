"""``--workers``: commands on engines by name, a Dask cluster of separate processes among them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dask_processes import processes
from kofn.cli import main

distributed = pytest.importorskip("distributed")


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
    assert multiplied("--workers", f"dask:{dask_cluster.address}") == 0
    assert "C.npy: exact" in capsys.readouterr().out
    np.testing.assert_allclose(np.load("C.npy"), factors[0] @ factors[1], atol=1e-9)


@pytest.mark.slow
def test_the_demo_on_a_cluster(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    with processes(*(f"w{number}" for number in range(6))) as cluster:
        with distributed.Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(6, 60)
        assert main(["demo", "--quick", "--workers", f"dask:{cluster.address}"]) == 0
    told = capsys.readouterr().out
    assert "6 worker processes" in told and "eigenvalues agree" in told
    assert (tmp_path / "kofn-demo.png").exists()


def test_an_address_where_nobody_is_is_refused_in_one_sentence(factors, monkeypatch, capsys):
    monkeypatch.setattr("kofn.engines.dask._entry.PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        assert multiplied("--workers", f"dask:{address}") == 2
        told = capsys.readouterr().err
        assert told.startswith("kofn matmul: 'workers' must name a Dask scheduler, but got '")
        assert told.count("\n") == 1


@pytest.mark.parametrize("engine", ["threads:2", "local:2"])
def test_matmul_on_an_engine_by_name(engine, factors, capsys):
    assert multiplied("--workers", engine) == 0
    assert "C.npy: exact" in capsys.readouterr().out


def test_what_was_called_engine_is_told_what_to_write(factors, capsys):
    for command in (["matmul", "A.npy", "B.npy", "--out", "C.npy"], ["demo"]):
        assert main([*command, "--engine", "tcp://127.0.0.1:9"]) == 2
        told = capsys.readouterr().err
        assert told.endswith("write --workers dask:tcp://127.0.0.1:9.\n") and told.count("\n") == 1


def test_an_engine_that_is_not_there_is_refused(factors, capsys):
    assert multiplied("--workers", "many") == 2
    told = capsys.readouterr().err
    assert told.startswith("kofn matmul: 'workers' must be a number, ") and "dask, local, " in told


def test_the_demo_wants_six_workers(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--quick", "--workers", "threads:5"]) == 2
    assert "kofn demo: '--workers' must have at least 6 workers, but got 5; start more." in capsys.readouterr().err


def test_engines_are_listed_with_what_they_can_do(capsys):
    assert main(["engines"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["name", "installed"]
    told = {line.split()[0]: line.split()[1:] for line in lines[2:6] if line}
    assert told["local"] == ["yes", "is", "ended", "comes", "back", "comes", "here"]
    assert told["threads"] == ["yes", "is", "left", "out", "takes", "all", "along", "comes", "here"]
    assert told["dask"] == ["yes", "is", "left", "out", "comes", "back", "stays", "at", "its", "worker"]
    assert any(line.startswith("dask:tcp://host:8786") for line in lines)


def test_engines_that_are_not_installed_are_listed(monkeypatch, capsys):
    monkeypatch.setattr("kofn.cli._engines.find_spec", lambda name: None)
    assert main(["engines"]) == 0
    assert "dask     no  " in capsys.readouterr().out


def test_a_cluster_without_workers_is_refused(factors, monkeypatch, capsys):
    monkeypatch.setattr("kofn.engines.dask._entry.PATIENCE", 2)
    with processes() as empty:
        assert multiplied("--workers", f"dask:{empty.address}") == 2
    assert "'workers' must name a Dask scheduler with a worker, but got one without; start" in capsys.readouterr().err


def test_without_dask_it_says_what_to_install(factors, monkeypatch, capsys):
    monkeypatch.setattr("kofn.errors.find_spec", lambda name: None)
    assert multiplied("--workers", "dask:tcp://127.0.0.1:9") == 2
    assert "needs Dask; install it with pip install 'kofn[dask]'" in capsys.readouterr().err
    assert sys.modules.get("kofn") is not None


def test_an_address_without_a_port_is_refused_at_once_and_nothing_more_is_said(factors):
    command = [sys.executable, "-m", "kofn", "matmul", "A.npy", "B.npy", "--out", "C.npy"]
    command += ["--workers", "dask:nonsense"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"missing port number" in done.stderr


def test_an_engine_of_which_nothing_can_be_told_is_listed_by_its_name(tmp_path, monkeypatch, capsys):
    metadata = tmp_path / "strange-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[kofn.engines]\nplain = builtins:print\naway = strange.away:ENTRY\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["engines"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:] for line in lines if line.startswith(("plain ", "away "))] == [["?"] * 4] * 2
