"""What ``workers=`` means: engines that other packages bring through entry points, loaded when they are asked for."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import kofn
from kofn.engines import as_pool, engines, processes, processors
from kofn.jobs._lease import PoolLease

MODULE = """
import kofn

class Machines:
    def __init__(self, n):
        self.n = n

class Fleet(Machines):
    pass

def engine(workers, call):
    if call == "kofn.sum":
        raise LookupError("not for sums")
    return kofn.ThreadPool(3 if workers == "some_machines" else workers.n)
"""


@pytest.fixture
def some_machines(tmp_path, monkeypatch):
    """A package with an engine, as pip would install it; not imported yet."""
    (tmp_path / "some_machines.py").write_text(MODULE)
    metadata = tmp_path / "some_machines-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-machines\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[kofn.engines]\nsome_machines = some_machines:engine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("some_machines", None)


def test_an_engine_is_found_by_the_package_of_what_is_given(some_machines):
    from some_machines import Fleet, Machines

    class Own(Machines):
        """Of this module, and of a package that kofn knows all the same."""

    for workers in (Machines(2), Fleet(2), Own(2)):
        pool, owned = as_pool(workers)
        with pool:
            assert owned and isinstance(pool, kofn.ThreadPool) and pool.n == 2
    with pytest.raises(LookupError, match="not for sums"):
        as_pool(Machines(2), "kofn.sum")


def test_an_engine_is_found_by_name_and_loaded_then(some_machines):
    with as_pool(2)[0]:
        assert "some_machines" not in sys.modules
    answer = kofn.matmul(np.eye(4), np.eye(4), workers="some_machines")
    assert answer.exact and answer.report.workers == 3
    assert "some_machines" in sys.modules


@pytest.mark.parametrize(("words", "kind", "count"), [("local:2", "LocalPool", 2), ("threads:3", "ThreadPool", 3)])
def test_words_say_which_engine_and_how_many_workers(words, kind, count):
    pool, owned = as_pool(words)
    with pool:
        assert (owned, type(pool).__name__, pool.n) == (True, kind, count)
    assert kofn.matmul(np.eye(4), np.eye(4), workers=words).report.workers == count


def test_a_name_alone_takes_every_processor():
    with as_pool("threads")[0] as pool:
        assert pool.n == processors()
    assert processes("local", "kofn.map") == processors()


def test_processes_asked_for_by_words_start_when_the_job_does():
    with PoolLease("local:1000", "kofn.sum") as lease:  # not one of them is started
        assert lease.n == 1000


@pytest.mark.parametrize("words", ["threads:", "threads:0", "threads:two", "threads:-1", "local:2.5", "local:²"])
def test_a_number_of_workers_that_is_none_is_refused(words):
    name = words.partition(":")[0]
    with pytest.raises(kofn.ArgumentError, match=rf"'workers' must name how many workers after {name}:, .*'{name}:8'"):
        as_pool(words, "kofn.map")


def test_an_engine_of_others_is_given_all_of_the_words(some_machines):
    with pytest.raises(AttributeError, match="'str' object has no attribute 'n'"):  # MODULE looks at workers.n then
        as_pool("some_machines:west")


def test_names_of_no_engine_are_refused_with_those_that_there_are(some_machines):
    known = "the engines here are " + ", ".join(sorted({*engines()})) + r"\.$"
    assert {"local", "threads", "dask", "some_machines"} <= engines().keys() and "distributed" not in engines()
    for name in ("no_such_engine", "no_such_engine:8", ""):
        with pytest.raises(kofn.ArgumentError, match=rf"^kofn\.map: 'workers' must be a number, a pool.*{known}"):
            as_pool(name, "kofn.map")
    with pytest.raises(kofn.ArgumentError, match=r"write 'dask:tcp://127\.0\.0\.1:8786'\.$"):
        as_pool("tcp://127.0.0.1:8786")


def test_what_is_of_dask_and_no_client_is_told_what_to_make_of_it():
    distributed = pytest.importorskip("distributed")

    class Cluster(distributed.deploy.Cluster):
        def __init__(self):
            """Without anything."""

        def __del__(self): ...

    with pytest.raises(kofn.ArgumentError, match=r"but got a Cluster; make one of it: distributed\.Client\(cluster\)"):
        as_pool(Cluster())


@pytest.mark.parametrize("words", ["dask:tcp://127.0.0.1:9", "distributed"])
def test_a_package_that_is_missing_is_named(words, monkeypatch):
    monkeypatch.setattr("kofn.errors.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs Dask; install it with pip install 'kofn\[dask\]'") as caught:
        as_pool(words, "kofn.sum")
    assert isinstance(caught.value, kofn.MissingPackage) and str(caught.value).startswith("kofn.sum: workers='d")


def test_dask_is_told_where(dask_cluster):
    with pytest.importorskip("distributed").Client(dask_cluster.address, set_as_default=False) as client:
        client.wait_for_workers(4, 60)
    answer = kofn.matmul(np.eye(4), np.eye(4), workers=f"dask:{dask_cluster.address}")
    assert answer.exact and answer.report.workers == 4
    with pytest.raises(kofn.ArgumentError, match="'workers' must name a Dask scheduler"):
        as_pool("dask")


def test_a_client_made_for_a_pool_ends_with_it(dask_cluster):
    pool, owned = as_pool(f"dask:{dask_cluster.address}")
    client = pool._client
    assert owned and client.status == "running"
    pool.close()
    assert client.status == "closed"


BROKEN = {
    "away": ("some_machines.away:engine", "cannot be loaded from some_machines.away:engine: ModuleNotFoundError"),
    "unnamed": ("some_machines:nothing", "cannot be loaded from some_machines:nothing: AttributeError"),
    "number": (
        "some_machines:__name__",
        "must name an engine that makes a pool, but got 'number', with 'some_machines'",
    ),
    "none": ("builtins:print", "must name an engine that makes a pool, but got 'none', with None"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_engine_that_is_broken_says_where_it_is(name, some_machines, tmp_path, capsys):
    place, sentence = BROKEN[name]
    (tmp_path / "some_machines-1.0.dist-info" / "entry_points.txt").write_text(f"[kofn.engines]\n{name} = {place}\n")
    with pytest.raises(kofn.KofnError) as caught:
        as_pool(name, "kofn.sum")
    assert sentence in str(caught.value)
