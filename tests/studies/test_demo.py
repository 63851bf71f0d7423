"""The main job, small: its numbers come from real processes and agree with each other."""

import re
import sys

import pytest

from kofn.cli import main
from kofn.engines import LocalPool
from kofn.errors import KofnError
from kofn_studies import demo
from kofn_studies.demo import command as command


@pytest.fixture(scope="module")
def outcomes():
    """What `kofn demo --quick` does, as data."""
    X = demo.images(None, 300)[1]
    delays = demo.InjectedDelays(seed=3, pace=0.05)
    seen = []
    with LocalPool(8) as pool:
        found = [
            demo.compete(contender, X, X.T, X @ X.T, delays.inject(pool), 3, seen.append) for contender in demo.METHODS
        ]
    assert seen and all(0 < progress.rank <= progress.unknowns == 6 for progress in seen)
    return {outcome.name: outcome for outcome in found}


def test_everybody_becomes_exact(outcomes):
    assert list(outcomes) == ["uncoded", "repetition", "backup tasks", "mds", "kronecker"]
    assert all(outcome.exact_error < 1e-9 for outcome in outcomes.values())
    assert all(outcome.curve[-1][1] == 0 for outcome in outcomes.values())


def test_an_estimate_is_as_good_as_it_says(outcomes):
    for outcome in outcomes.values():
        for _, expected, true in outcome.curve:
            if expected:
                assert expected / 4 < true < expected * 4, outcome.name


def test_a_good_estimate_comes_no_later_than_the_answer(outcomes):
    for outcome in outcomes.values():
        assert outcome.good_seconds <= outcome.exact_seconds and outcome.good_error <= demo.GOOD


def test_uncoded_waits_for_the_slow_worker_and_the_codes_do_not(outcomes):
    rows = {name: [(a.worker, a.outcome) for a in outcome.report.attempts] for name, outcome in outcomes.items()}
    assert (demo.SLOW, "arrived") in rows["uncoded"]
    assert (demo.SLOW, "abandoned") in rows["mds"] and (demo.SLOW, "abandoned") in rows["kronecker"]


def test_the_dying_worker_dies_in_every_run(outcomes):
    for outcome in outcomes.values():
        assert (demo.DYING, "lost") in [(a.worker, a.outcome) for a in outcome.report.attempts]


def test_copies_are_wasted_work(outcomes):
    assert outcomes["uncoded"].report.wasted < 0.2 < outcomes["backup tasks"].report.wasted


def test_a_picture_is_drawn(outcomes):
    assert len(demo.picture(list(outcomes.values())).axes) >= len(outcomes)


def test_components_agree_with_eigh():
    X = demo.images(None, 200)[1]
    kernel = demo.centred(X @ X.T)
    with LocalPool(3) as pool:
        found = demo.subspace_iteration(kernel, pool, 8, 0, lambda number, answer: None)
    values, angle = demo.disagreement(found, demo.reference(kernel))
    assert values < 1e-4 and angle < 0.05


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_the_picture(tmp_path, capsys):
    folder = tmp_path / "new" / "pictures"
    assert main(["demo", "--quick", "--out", str(folder), "--workers", "7", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    table = {line.split("  ")[0]: line for line in out.splitlines() if re.search(r" s .* %$", line)}
    assert list(table) == ["uncoded", "repetition", "backup tasks", "mds", "kronecker"]
    assert "numpy.linalg.eigh: eigenvalues agree" in out and "rank 6 of 6   exact" in out
    assert [path.name for path in folder.iterdir()] == [command.FILE] and command.FILE in out


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--workers", "5"], "'--workers' must be an int of at least 6"),
        (["--seed", "-1"], "'--seed' must be an int of at least 0"),
        (["--data", "nowhere"], "must hold mnist/t10k-images-idx3-ubyte.gz, but got nowhere"),
        (["--out", "/dev/null/pictures"], "'--out' must be a folder, but got /dev/null/pictures (Not a directory)"),
    ],
)
def test_bad_options_get_a_sentence(tmp_path, monkeypatch, capsys, options, part):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and part in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_scikit_learn_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(KofnError, match=r"pip install 'kofn\[demo\]'"):
        demo.images(None, 10)
