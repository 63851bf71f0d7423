"""One set of options, the same at every door: what contradicts itself, is not there yet or is gone is refused."""

import inspect
from dataclasses import fields

import numpy as np
import pytest

import kofn
from kofn.jobs._options import OptionKeywords

A = np.eye(4)


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as threads:
        yield threads


def scheme():
    return kofn.schemes.mds(A, A, workers=3, rng=0)


DOORS = {
    "kofn.matmul": lambda pool, **options: kofn.matmul(A, A, workers=pool, **options),
    "kofn.sum": lambda pool, **options: kofn.sum([abs, abs], 1.0, workers=pool, **options),
    "kofn.map": lambda pool, **options: kofn.map(abs, [1.0], workers=pool, **options),
    "kofn.operator": lambda pool, **options: kofn.operator(A, workers=pool, **options) @ np.ones(4),
    "kofn.run": lambda pool, **options: kofn.run(scheme(), pool, **options),
    "kofn.start": lambda pool, **options: kofn.start(scheme(), pool, **options).result(),
    "kofn.prepare": lambda pool, **options: kofn.prepare(scheme(), pool, **options).run(),
    "kofn.CodedSum": lambda pool, **options: kofn.CodedSum([abs], workers=pool, **options)(1.0),
    "kofn.CodedMap": lambda pool, **options: kofn.CodedMap(abs, workers=pool, **options)([1.0]),
    "kofn.Options": lambda pool, **options: kofn.Options(**options),
}

BAD = [
    {"stop": kofn.Count(1), "deadline": 2.0},
    {"stop": kofn.Count(1), "tolerance": 0.1},
    {"stop": 3.0},
    {"tolerance": 1.5},
    {"tolerance": -0.1},
    {"deadline": 0},
    {"deadline": True},
    {"tolerance": np.True_},
    {"estimator": "best"},
    {"scheduler": "clever"},
    {"progress": "loud"},
    {"memory_limit_bytes": -1},
    {"scratch": 7},
    {"redundancy": -1},
    {"redundancy": np.array([1, 2])},
    {"aim": "slowest"},
    {"aim": np.array(["p99", "median"])},
    {"verify": "maybe"},
    {"verify": np.array(["off", "detect"])},
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: next(iter(bad.items())).__repr__())
@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_the_same_in_its_own_name(door, bad, pool):
    with pytest.raises(kofn.ArgumentError) as caught:
        DOORS[door](pool, **bad)
    assert str(caught.value).startswith(f"{door}: '{next(iter(bad))}' must be")


@pytest.mark.parametrize("door", [door for door in DOORS if door != "kofn.Options"])
def test_options_come_one_by_one_or_together_and_a_keyword_changes_one(door, pool):
    together = kofn.Options(deadline=20.0, estimator="exact")
    DOORS[door](pool, options=together)
    with pytest.raises(kofn.ArgumentError, match="'stop' must be left out where 'deadline' is given"):
        DOORS[door](pool, options=together, stop=kofn.Count(1))
    DOORS[door](pool, options=together, stop=kofn.Count(1), deadline=None)
    with pytest.raises(kofn.ArgumentError, match=f"{door}: 'options' must be an Options"):
        DOORS[door](pool, options={"deadline": 2.0})
    with pytest.raises(TypeError) as caught:
        DOORS[door](pool, dedline=2.0)
    assert str(caught.value).startswith(f"{door}: got an unexpected keyword argument 'dedline'; see kofn.Options")
    assert isinstance(caught.value, kofn.KofnError)


@pytest.mark.parametrize(
    ("old", "where"), [("backup", "scheduler='speculative'"), ("adaptive", "scheduler="), ("results", "kofn.start")]
)
def test_keywords_of_before_say_where_they_went(old, where, pool):
    with pytest.raises(kofn.ArgumentError, match=rf"kofn\.run: '{old}' must be left out, .*{where}"):
        kofn.run(scheme(), pool, **{old: True})
    with pytest.raises(kofn.ArgumentError, match=rf"kofn\.Options: '{old}' must be left out, .*{where}"):
        kofn.Options(**{old: True})


@pytest.mark.parametrize(
    ("name", "here"),
    [("timeout", "deadline="), ("max_workers", "workers="), ("n_jobs", "workers="), ("chunksize", "leave")],
)
def test_keywords_of_executors_say_what_is_written_here(name, here, pool):
    with pytest.raises(TypeError, match=rf"kofn\.map: got an unexpected keyword argument '{name}'; .*{here}"):
        kofn.map(abs, [1, 2], workers=pool, **{name: 2})


def test_options_refuse_what_there_is_not_before_anything_starts(tmp_path):
    with pytest.raises(TypeError, match=r"kofn\.Options: got an unexpected keyword argument 'dedline'"):
        kofn.Options(dedline=2.0)
    with pytest.raises(kofn.ArgumentError, match="'scratch' must be a folder that is there"):
        kofn.Options(scratch=tmp_path / "none")
    assert kofn.Options(scratch=tmp_path).scratch == tmp_path


def test_keywords_are_the_fields_and_each_is_documented():
    names = {field.name for field in fields(kofn.Options)}
    assert names == set(OptionKeywords.__annotations__)
    documented = inspect.getdoc(kofn.Options).split("Examples")[0]
    assert all(f"\n{name} : " in documented for name in names)


@pytest.mark.parametrize("scheduler", ["auto", "static", "adaptive", "speculative", kofn.jobs.scheduling.Static()])
def test_schedulers_are_named_or_given(scheduler, pool):
    assert kofn.run(scheme(), pool, scheduler=scheduler).exact


def test_progress_is_told_in_the_foreground_and_in_the_background(pool):
    told = []
    assert kofn.run(scheme(), pool, progress=told.append).exact
    assert kofn.start(scheme(), pool, progress=told.append).result().exact
    assert [progress.exact for progress in told if progress.exact] == [True, True]
