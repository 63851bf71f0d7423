"""The bench on real processes: the delays, the choices and the costs are those of the simulation."""

import json
import math

import numpy as np
import pytest

from kofn._base._naps import Lateness
from kofn.cli import main
from kofn.jobs.report._attempt import Attempt
from kofn.jobs.scheduling import CUBED, FLINK, SPARK_3_5, SPARK_4
from kofn.simulation.bench import POLICIES, TRACES, Candidate, RealWorkers, bench, scheduler_of
from kofn.simulation.bench._draws import draws_of
from kofn.simulation.bench._kernel import duration
from kofn.simulation.bench._late_pool import LatePool
from kofn.simulation.bench._naps import nap_scheme

OTHERS = {"spark-3.5": SPARK_3_5, "spark-4": SPARK_4, "flink": FLINK, "cubed": CUBED}


@pytest.mark.parametrize("trace", list(TRACES))
def test_naps_take_what_the_simulation_says(local_pool, trace):
    rng = np.random.default_rng(0)
    draws = TRACES[trace](20, 2, rng)
    for trial in range(20):
        late = LatePool(local_pool, draws, trial, 1.0)
        for worker, (begin, load) in enumerate(rng.random((2, 2)) * [4.0, 1.0]):
            lateness = late._lateness(worker)
            length = duration(draws, trial, worker, 0, load, begin)
            assert lateness.end(begin, lateness.message + lateness.pace * load) - begin == pytest.approx(length)


def test_a_worker_is_not_there_before_its_time(local_pool):
    late = LatePool(local_pool, draws_of(np.ones((1, 2, 4)), start=np.array([[0.0, math.inf]])), 0, 1.0)
    assert [late.state(worker) for worker in range(2)] == ["idle", "starting"]


def test_a_worker_gets_its_paces_one_after_the_other(local_pool):
    late = LatePool(local_pool, draws_of(np.array([[[1.0, 2.0], [3.0, 4.0]]])), 0, 0.001)
    paces = []
    for _ in range(3):
        paces.append(late._lateness(1).pace)
        late.submit(1, abs, -1).result()
    assert paces == [3.0, 4.0, 3.0]


@pytest.mark.parametrize("name", ["plain", "duplicates", "coded", "mds-6-of-8"])
def test_real_answers_are_right_and_costs_are_those_of_what_was_done(local_pool, name):
    draws = TRACES["exponential"](2, 2, np.random.default_rng(1))
    one = Candidate(POLICIES[name], 2)
    told = []
    found = RealWorkers(local_pool, 0.02, told.append).play(one, one.policy.rules("product", 2, 2), draws)
    assert np.isfinite(found.times).all() and (found.times > 0).all()
    assert found.work.min() > 0.7 and found.moved.min() >= 1.0 - 1e-12
    assert told == [f"{one}, 2 times"]


def test_what_was_half_done_counts_half():
    scheme = nap_scheme(POLICIES["plain"].rules("product", 2, 1), 2, np.array([1.0, 4.0]), combines=True)
    scheme.made.append((2, 4.0))  # a combination of both blocks

    class Two:
        n = 2

    attempts = [
        Attempt(0, 0, 1.0, 0.0, 10.0, "arrived"),
        Attempt(1, 1, 1.0, 0.0, 20.0, "abandoned"),  # of 40 seconds
        Attempt(2, 0, 1.0, 10.0, 20.0, "abandoned"),  # of 80: worker 0 is slower with its second message
    ]
    draws = draws_of(np.array([[[1.0, 2.0], [1.0, 1.0]]]))
    work, moved = RealWorkers(Two(), 10.0)._costs(attempts, scheme, draws, 0)
    assert (work, moved) == (1.0 + 0.5 + 0.125, 4.0)


def test_schedulers_are_those_of_the_policies_and_hadoop_has_none():
    assert {name: scheduler_of(POLICIES[name]) for name in OTHERS} == OTHERS
    assert scheduler_of(POLICIES["hadoop"]) is None
    draws = TRACES["noise"](1, 2, np.random.default_rng(0))
    hadoop = Candidate(POLICIES["hadoop"], 1)
    assert RealWorkers(object(), 1.0).play(hadoop, hadoop.policy.rules("map", 2, 1), draws) is None


def test_a_job_that_never_ends_is_ended_and_counts_as_never(local_pool, monkeypatch):
    monkeypatch.setattr("kofn.simulation.bench._real.LONGEST", 2.0)
    dead = draws_of(np.ones((1, 2, 4)), death=np.array([[0.0, math.inf]]))
    one = Candidate(POLICIES["plain"], 2)
    found = RealWorkers(local_pool, 0.02).play(one, one.policy.rules("map", 2, 2), dead)
    assert found.times.tolist() == [math.inf]
    assert Lateness(0.0, 1.0, death=0.0).end(0.0, 1.0) == math.inf


def test_real_and_simulated_results_meet_the_same_draws(local_pool):
    traces, met = {"pareto": TRACES["pareto"]}, []
    list(bench("map", 2, traces, ["plain"], 3, 7, lambda one, rules, draws: met.append(draws)))
    drawn = TRACES["pareto"](3, 2, np.random.default_rng([7, 0, 1, 0]))
    assert len(met) == 4 and all(np.array_equal(draws.pace, drawn.pace) for draws in met)


def test_the_command_marks_what_was_real(tmp_path, capsys):
    options = ["--real", "--seconds", "0.02", "--trials", "1", "--workers", "2", "--traces", "noise"]
    assert main(["bench", *options, "--policies", "plain", "coded", "--out", str(tmp_path / "out")]) == 0
    told, progress = capsys.readouterr()
    assert "product, noise, 2 workers, real" in told and "noise, 2 workers: coded, 8 tasks a worker" in progress
    found = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert len(found) == 8 and all(result["real"] and result["trials"] == 1 for result in found)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--real", "--work", "operator"],
        ["--real", "--policies", "hadoop"],
        ["--real", "--seconds", "0"],
        ["--seconds", "1"],
    ],
)
def test_what_no_process_can_do_is_refused_in_a_sentence(tmp_path, capsys, wrong):
    assert main(["bench", "--out", str(tmp_path / "out"), *wrong]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"kofn bench: '{wrong[-2]}' must ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
