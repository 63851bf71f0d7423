"""The bench: closed forms, what is recorded, and what is chosen."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import kofn
from kofn.cli import main
from kofn.simulation.bench import POLICIES, TRACES, Candidate, Policy, Recorded, bench, choose, from_file
from kofn.simulation.bench._backups import FRESH, HADOOP
from kofn.simulation.bench._draws import draws_of
from kofn.simulation.bench._learn import learn
from kofn.simulation.bench._policies import TASKS
from kofn.simulation.bench._simulate import outcomes
from processes import slow_but


def drawn(*paces, **others):
    """One trial, in which each worker always has one pace."""
    return draws_of(np.repeat(np.array(paces, dtype=float)[None, :, None], 4, axis=2), **others)


def times(name, draws, tasks, work="product"):
    return outcomes(POLICIES[name].rules(work, draws.pace.shape[1], tasks), draws).times


def test_plain_work_is_a_queue():
    assert times("plain", drawn(1, 1, 1, 10), 1).tolist() == [10.0]
    assert times("plain", drawn(1, 1, 1, 10), 4).tolist() == [2.5]  # the slow worker keeps its one task
    assert times("plain", drawn(1, 1, 1, 10), 1, "operator").tolist() == [10.0]


def test_spark_copies_what_takes_one_and_a_half_medians():
    assert times("spark-3.5", drawn(1, 1, 1, 10), 1).tolist() == [2.5]
    assert times("spark-4", drawn(*[1] * 9, 10), 1).tolist() == [4.0]


def test_a_block_of_a_resident_matrix_must_move_to_be_copied():
    # Copied at 1.5 to a worker that takes 1 + 8 for it; the slow one takes 10.
    assert times("spark-3.5", drawn(1, 1, 1, 30), 1, "operator").tolist() == [10.5]


def test_hadoop_copies_what_will_end_after_a_copy():
    assert times("hadoop", drawn(1, 1, 1, 10), 1).tolist() == [2.0]
    assert times("hadoop", drawn(1, 1, 1, 1.9), 1).tolist() == [1.9]
    assert POLICIES["hadoop"].backup == HADOOP


def test_combinations_share_what_a_straggler_holds():
    # Four quarters are missing at 1, and three workers make a quarter each by 1.25: two rounds.
    assert times("coded", drawn(1, 1, 1, 10), 1).tolist() == [1.5]
    assert times("duplicates", drawn(1, 1, 1, 10), 1).tolist() == [1.5]


def test_a_static_code_waits_for_six_of_eight():
    assert times("mds-6-of-8", drawn(*[1] * 6, 10, 10), 1).tolist() == pytest.approx([8 / 6])


def test_parities_of_an_operator_stand_in_for_a_dead_worker():
    dead = drawn(*[1] * 8, death=np.array([[0.0] + [math.inf] * 7]))
    assert math.isinf(times("plain", dead, 8, "operator")[0])
    assert times("coded", dead, 8, "operator")[0] == pytest.approx(37 / 32)  # 256 rows of 7 · (32 + 5)
    assert POLICIES["coded"].memory("operator", 8, 7) == pytest.approx(8 / 7)


def test_a_pause_and_a_message_cost_what_they_take():
    paused = drawn(1, pause_at=np.array([[0.5]]), pause=np.array([[3.0]]))
    assert times("plain", paused, 1).tolist() == [4.0]
    assert times("plain", drawn(1, message=np.full((1, 1, 1), 0.25)), 4).tolist() == [2.0]


def test_nothing_helps_where_a_task_is_slow_wherever_it_runs_and_restarts_end():
    skewed = drawn(1, 1, skew=np.array([[1.0, 10.0]]))
    policy = Policy("coded", FRESH, restart=2.0)
    assert 10.0 <= outcomes(policy.rules("product", 2, 1), skewed).times[0] < 40.0
    assert times("plain", skewed, 1).tolist() == [10.0]


def test_no_backup_of_a_map_is_a_combination():
    found = list(bench("map", 4, {"exponential": TRACES["exponential"]}, ["duplicates", "coded", "mds-6-of-8"], 50))
    assert [(result.policy, result.tasks_per_worker) for result in found] == [
        (name, tasks) for name in ("duplicates", "coded") for tasks in TASKS
    ]
    assert [result.p99 for result in found[:4]] == [result.p99 for result in found[4:]]


@pytest.mark.parametrize("trace", list(TRACES))
def test_each_trace_is_drawn_with_what_it_promises(trace):
    draws = TRACES[trace](20, 6, np.random.default_rng(0))
    assert draws.trials == 20 and draws.pace.shape[1] == 6 and draws.pace.min() > 0
    assert np.median(draws.pace) == pytest.approx(1.0, abs=0.35)
    again = TRACES[trace](20, 6, np.random.default_rng(0))
    assert all(np.array_equal(one, other) for one, other in zip(draws, again, strict=True))


@pytest.mark.parametrize(
    ("trace", "persistent", "of_tasks"),
    [
        ("exponential", False, False),
        ("slow-tasks", False, False),
        ("slow-worker", True, False),
        ("heterogeneous", True, False),
        ("dead-worker", True, False),
        ("skewed-tasks", False, True),
        ("pause", False, False),
    ],
)
def test_what_is_recorded_says_whose_delays_they_are(trace, persistent, of_tasks):
    record = learn(TRACES[trace], 8, np.random.default_rng(1))
    assert (record.is_persistent, record.belongs_to_tasks) == (persistent, of_tasks)
    assert (record.pauses.size > 0) == (trace == "pause")


def test_a_pause_is_as_long_in_a_bootstrap_and_as_frequent_whatever_the_load_of_tasks():
    record = learn(TRACES["pause"], 8, np.random.default_rng(1))  # in each job one of 8 workers stands still for 3
    assert record.pauses == pytest.approx(3.0, abs=0.1)
    draws = record.draw(4000, 8, np.random.default_rng(2))
    assert np.mean(draws.pause_at < 1.0) == pytest.approx(1 - math.exp(-1 / 8), abs=0.01)
    assert draws.pace.max() < 1.2 and draws.pause == pytest.approx(3.0, abs=0.1)


def test_tasks_of_one_load_do_not_tell_pauses_from_slowness():
    record = learn(TRACES["pause"], 8, np.random.default_rng(1))
    one = replace(record, load=np.full(record.pace.shape, 0.25))
    assert not one.pauses.size and not replace(record, load=None).pauses.size


def test_the_fastest_at_the_median_is_found_where_a_worker_pauses():
    names = ["spark-3.5", "spark-4", "hadoop", "flink", "cubed", "auto-median"]
    best = {}
    for result in bench("product", 8, {"pause": TRACES["pause"]}, names, trials=300):
        best[result.policy] = min(best.get(result.policy, math.inf), result.p50)
    assert best["auto-median"] <= 1.02 * min(best[name] for name in names[:-1])


def test_a_bootstrap_has_the_law_of_what_was_recorded():
    rng = np.random.default_rng(2)
    record = Recorded(np.where(rng.random((8, 200)) < 0.1, 10.0, 1.0), job=4)
    assert np.mean(record.draw(400, 8, rng).pace > 5) == pytest.approx(np.mean(record.pace > 5), abs=0.01)
    slow = learn(TRACES["slow-worker"], 8, rng).draw(200, 8, rng).pace
    assert np.all(np.sum(np.median(slow, axis=2) > 5, axis=1) == 1)  # in each job one worker is slow


def test_who_dies_in_a_record_dies_in_its_bootstrap():
    record = learn(TRACES["dead-worker"], 4, np.random.default_rng(3))
    draws = record.draw(300, 4, np.random.default_rng(4))
    assert np.isfinite(draws.pace).all()
    assert np.mean(np.isfinite(draws.death)) == pytest.approx(1 / 4, abs=0.06)


def test_the_choice_is_the_best_of_its_candidates_and_says_what_it_expects():
    record = learn(TRACES["slow-tasks"], 8, np.random.default_rng(5))
    among = [Candidate(POLICIES[name], tasks) for name in ("plain", "coded") for tasks in (1, 4)]
    fast, sure = choose(record, 8, aims=["median", "p99"], among=among)
    assert sure.candidate.policy.name == "coded" and sure.p99 < 0.7 * sure.plain_p99
    assert fast.p50 <= sure.p50
    assert str(sure).startswith("took coded, ") and "expected p99" in str(sure)


@pytest.mark.parametrize(
    "drawn", slow_but([("slow-tasks", 1.5), ("exponential", 1.0), ("noise", 1.0)], {("slow-tasks", 1.5)})
)
def test_auto_is_as_good_as_the_best_rule_of_others(drawn):
    trace, gain = drawn
    names = ["spark-3.5", "spark-4", "hadoop", "flink", "cubed", "auto-p99"]
    best = {}
    for result in bench("product", 8, {trace: TRACES[trace]}, names, trials=300):
        best[result.policy] = min(best.get(result.policy, math.inf), result.p99)
    assert best["auto-p99"] <= 1.02 * min(best[name] for name in names[:-1])
    assert gain == 1.0 or best["spark-3.5"] >= gain * best["auto-p99"]


# -- files and the command ----------------------------------------------------------------------------


def test_a_file_of_delays_is_a_trace(tmp_path):
    times = np.array([[2.0, 2.0, 20.0], [2.0, np.nan, 2.0]])
    np.save(tmp_path / "delays.npy", times)
    (tmp_path / "delays.csv").write_text("2, 2, 20\n2, nan, 2\n")
    rng = np.random.default_rng
    one, other = (from_file(str(tmp_path / name))(5, 3, rng(0)) for name in ("delays.npy", "delays.csv"))
    assert np.array_equal(one.pace, other.pace)
    assert set(np.unique(one.pace)) == {1.0, 10.0, math.inf}


def test_the_command_writes_a_table_numbers_and_a_picture(tmp_path, capsys):
    out = tmp_path / "new" / "results"
    args = ["--traces", "noise", "dead-worker", "--policies", "plain", "coded", "auto-p99", "--trials", "20"]
    assert main(["bench", *args, "--workers", "4", "--out", str(out), "--quiet"]) == 0
    told, errors = capsys.readouterr()
    assert "product, noise, 4 workers" in told and "never" in told and errors == ""
    found = json.loads((out / "bench.json").read_text())
    assert len(found) == 2 * 9 and (out / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert list(found[0]) == [
        *("work", "trace", "policy", "workers", "tasks_per_worker", "trials", "real", "p50", "p99", "p999"),
        *("work_done", "bytes_moved", "memory"),
    ]
    assert found[0]["p999"] is None and found[9]["p50"] is None and found[0]["real"] is False


def test_numbers_need_no_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kofn.errors.find_spec", lambda name: None)
    args = ["--traces", "noise", "--policies", "plain", "--trials", "2", "--out", str(tmp_path)]
    assert main(["bench", *args, "--quiet"]) == 0
    told, errors = capsys.readouterr()
    assert errors == (
        "kofn bench: a picture needs matplotlib; install it with pip install 'kofn[plot]'; there is none this time.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"] and told.endswith("bench.json: 4 results\n")


def test_a_record_is_played_on_as_many_workers_as_it_has(tmp_path, capsys):
    np.save(tmp_path / "delays.npy", np.random.default_rng(0).uniform(0.9, 1.1, (40, 3)))
    args = ["--traces", str(tmp_path / "delays.npy"), "noise", "--policies", "plain", "--trials", "5"]
    args += ["--out", str(tmp_path), "--quiet"]
    assert main(["bench", *args]) == 0
    told = capsys.readouterr().out
    assert "delays.npy, 3 workers" in told and "noise, 8 workers" in told and "record of" not in told
    assert main(["bench", *args, "--workers", "4"]) == 0
    told = capsys.readouterr().out
    assert "delays.npy is a record of 3 workers; 4 are drawn from them" in told and "delays.npy, 4 workers" in told
    np.save(tmp_path / "delays.npy", np.ones((40, 1)))
    assert main(["bench", *args]) == 2
    assert "'--traces' must be a record of 2 workers at least" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--work", "dance"],
        ["--workers", "1"],
        ["--traces", "no-such-file"],
        ["--policies", "hope"],
        ["--trials", "0"],
        ["--seed", "-1"],
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, capsys, wrong):
    assert main(["bench", "--out", str(tmp_path / "out"), *wrong]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"kofn bench: '{wrong[0]}' must ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pace", [[[1.0, -1.0]], [[np.inf]], [1.0], [[1.0, 1.0, 1.0]]])
def test_a_record_that_cannot_be_is_refused(pace):
    with pytest.raises(kofn.ArgumentError, match="'pace' must be"):
        Recorded(np.array(pace), job=1 if len(np.shape(pace)) < 2 or np.shape(pace)[1] < 3 else 2)
