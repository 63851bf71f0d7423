"""Figures: the form of what is written, closed forms to the last digit, samples within their errors."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from kofn.cli import main
from kofn.errors import CodeError
from kofn.simulation.theory._losses import at_times, zero_fill_loss
from kofn.simulation.theory._uep import decoding_probabilities
from kofn_studies.datasets import part
from kofn_studies.figures import FIGURES, LEARNED, TRAINING, Figure, Request, Series, Study
from kofn_studies.figures.sampling import UNSEEN, mean_and_error
from kofn_studies.figures.uep_times import TIMES, exact
from processes import slow_but

GAMMA = (0.40, 0.35, 0.25)
TRIALS = 24
UEP = ["uep-fig8", "uep-fig9", "uep-fig10", "uep-fig11"]
ENERGIES = {"rxc": [120, 3, 0.21], "cxr": [300, 3, 0.03]}


@pytest.fixture(scope="module")
def figures():
    return {name: FIGURES[name].figure(Request(TRIALS)) for name in UEP}


def by_count(kind, partition):
    return zero_fill_loss(decoding_probabilities(kind, (3, 3, 3), GAMMA, 30), ENERGIES[partition])


NAMES = {
    "uep-fig8": [f"{kind}-class{number}" for kind in ("now", "ew") for number in (1, 2, 3)],
    "uep-fig9": [
        "now-rxc", "ew-rxc", "now-cxr", "ew-cxr", "mds", "now-rxc-lmmse", "ew-rxc-lmmse", "now-cxr-lmmse",
        "ew-cxr-lmmse", "kronecker-rxc-lmmse", "oracle-rxc", "matdot-lmmse", "now-cxr-window", "ew-cxr-window-lmmse",
        "now-cxr-factor-lmmse", "load-balancing-rxc", "now-rxc-mc", "ew-cxr-mc",
    ],
    "uep-fig10": [
        "now-rxc", "ew-rxc", "now-cxr", "ew-cxr", "mds", "now-rxc-lmmse", "kronecker-rxc-lmmse", "oracle-rxc",
        "uncoded-rxc", "repetition-rxc", "now-rxc-factor-lmmse", "matdot-lmmse", "now-rxc-mc",
    ],
    "uep-fig11": ["now-cxr", "ew-cxr", "now-cxr-bound", "ew-cxr-bound", "now-cxr-mc", "ew-cxr-mc", "ew-cxr-window"],
}  # fmt: skip


@pytest.mark.parametrize("name", UEP)
def test_the_form_and_the_names(figures, name):
    figure = json.loads(json.dumps(figures[name].json, allow_nan=False))
    head = {"id", "title", "paper", "x_label", "y_label", "seed", "trials", "series", "published"}
    assert set(figure) == head and figure["id"] == name and (figure["seed"], figure["trials"]) == (0, TRIALS)
    for series in figure["series"]:
        assert set(series) in ({"name", "x", "y"}, {"name", "x", "y", "err"})
        assert len(series["x"]) == len(series["y"]) == len(series.get("err", series["y"])) > 0
        assert ("err" in series) or not series["name"].endswith("-mc")
    for entry in figure["published"]:
        assert set(entry) == {"name", "x", "y", "source"} and len(entry["x"]) == len(entry["y"])
    assert set(NAMES[name]) <= {series["name"] for series in figure["series"]}


def test_abscissae(figures):
    assert figures["uep-fig8"]["now-class1"].x == tuple(range(1, 31))
    assert figures["uep-fig10"]["now-rxc"].x == figures["uep-fig10"]["kronecker-rxc-lmmse"].x == tuple(range(31))
    for name in ("uep-fig9", "uep-fig11"):
        assert np.all(np.diff(figures[name]["now-cxr"].x) <= 0.025)
        assert figures[name]["now-cxr"].x[0] == 0


@pytest.mark.parametrize("kind", ["now", "ew"])
def test_curves_of_the_paper_equal_their_closed_forms(figures, kind):
    probabilities = decoding_probabilities(kind, (3, 3, 3), GAMMA, 30)
    for number in range(3):
        drawn = figures["uep-fig8"][f"{kind}-class{number + 1}"].y
        assert np.allclose(drawn, probabilities[1:, number], rtol=0, atol=1e-12)
    for partition in ("rxc", "cxr"):
        loss = by_count(kind, partition)
        assert np.allclose(figures["uep-fig10"][f"{kind}-{partition}"].y, loss, rtol=0, atol=1e-12)
        by_time = at_times(loss, 1 - np.exp(-TIMES))
        assert np.allclose(figures["uep-fig9"][f"{kind}-{partition}"].y, by_time, rtol=0, atol=1e-12)
    assert np.allclose(figures["uep-fig11"][f"{kind}-cxr-bound"].y, 9 * by_time, rtol=1e-12)


@pytest.mark.parametrize("name", UEP)
def test_samples_are_within_four_of_their_errors(figures, name):
    figure = figures[name]
    sampled = [series for series in figure.series if series.name.endswith("-mc")]
    assert len(sampled) >= 2
    for series in sampled:
        line = dict(zip(figure[series.name[:-3]].x, figure[series.name[:-3]].y, strict=True))
        off = np.abs(np.array(series.y) - [line[x] for x in series.x])
        assert np.all(off <= 4 * np.array(series.err))


def test_who_beats_whom(figures):
    figure = figures["uep-fig10"]
    kronecker, oracle = (np.array(figure[name].y) for name in ("kronecker-rxc-lmmse", "oracle-rxc"))
    assert np.all(kronecker >= oracle - 1e-12)
    assert np.all(kronecker[9:] == 0)
    for name in ("now-rxc", "ew-rxc", "mds", "uncoded-rxc", "repetition-rxc"):
        other = np.array(figure[name].y)
        assert np.all(kronecker[1 : min(9, len(other))] < other[1 : min(9, len(other))])
    for name in ("ew-rxc-lmmse", "now-rxc-lmmse", "now-rxc-factor-lmmse"):
        other = figure[name]
        assert np.all(kronecker[1:9] < np.array(other.y)[1:9] + 4 * np.array(other.err)[1:9])


def test_windows_pay_for_their_load(figures):
    figure = figures["uep-fig9"]
    for kind in ("now", "ew"):
        real, ideal = np.array(figure[f"{kind}-cxr-window"].y), np.array(figure[f"{kind}-cxr"].y)
        assert np.all(real[20:80] > ideal[20:80])


def test_repetition_by_two_on_twice_the_workers_at_half_the_speed_is_uncoded_in_law():
    from kofn.simulation.theory._losses import repetition_loss

    energies = np.outer([10, 1, 0.1], [10, 1, 0.1]).ravel()
    once = at_times(repetition_loss(energies, [1] * 9), 1 - np.exp(-TIMES))
    twice = at_times(repetition_loss(energies, [2] * 9), 1 - np.exp(-TIMES / 2))
    assert np.allclose(once, twice, rtol=0, atol=1e-12)
    assert np.allclose(next(s.y for s in exact("rxc") if s.name == "uncoded-rxc"), once, rtol=0, atol=1e-12)


def test_a_series_depends_on_nothing_but_its_name_and_the_seed(figures):
    again = FIGURES["uep-fig8"].figure(Request(TRIALS))
    assert again.json == figures["uep-fig8"].json
    shared = [figures[name]["now-cxr-lmmse"].y for name in ("uep-fig9", "uep-fig11")]
    assert shared[0] == shared[1]


def test_an_error_reckons_with_what_it_has_not_seen():
    mean, error = mean_and_error(np.zeros((100, 1)), UNSEEN)
    assert mean[0] == 0 and error[0] == pytest.approx(np.sqrt(5) / 100)
    assert mean_and_error(np.ones((1, 1)))[1].tolist() == [0.0]


def test_what_is_not_a_figure_is_refused():
    with pytest.raises(CodeError, match="distinct names"):
        Figure("f", "t", "p", "x", "y", 0, 1, [Series("a", [0], [1])] * 2)
    with pytest.raises(CodeError, match="as many finite"):
        Series("a", [0, 1], [1.0])
    with pytest.raises(CodeError, match="as many finite"):
        Series("a", [0], [np.nan])
    assert Series("row", ("P1", "P2"), [1.0, 2.0]).json == {"name": "row", "x": ("P1", "P2"), "y": (1.0, 2.0)}


def test_the_command_writes_points_and_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new"
    assert main(["figure", "uep-fig8", "--out", str(folder), "--trials", "4", "--seed", "3"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "uep-fig8.json"), str(folder / "uep-fig8.png")]
    points = json.loads((folder / "uep-fig8.json").read_text())
    assert (points["id"], points["seed"], points["trials"]) == ("uep-fig8", 3, 4)
    assert (folder / "uep-fig8.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == [
        "gallery.html", "points", "uep-fig8.json", "uep-fig8.png"
    ]  # fmt: skip


def test_points_are_put_together_by_one_thread(tmp_path, monkeypatch):
    """Products over trials differ in their last digits by how many threads share them."""
    pytest.importorskip("matplotlib")
    from threadpoolctl import threadpool_info, threadpool_limits

    recipe, seen = FIGURES["uep-fig8"], []

    def watched(request):
        study = recipe.study(request)

        def figure(results):
            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return study.figure(results)

        return Study(study.points, figure)

    monkeypatch.setitem(FIGURES, "uep-fig8", dataclasses.replace(recipe, study=watched))
    with threadpool_limits(2):
        assert main(["figure", "uep-fig8", "--out", str(tmp_path), "--trials", "2", "--jobs", "1"]) == 0
    assert set(seen) == {1}


@pytest.mark.parametrize("name", ["uep-fig9", "uep-fig11"])
def test_every_picture_is_drawn(figures, name, tmp_path):
    pytest.importorskip("matplotlib")
    FIGURES[name].draw(figures[name]).savefig(tmp_path / "picture.png", dpi=40)
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", FIGURES)
def test_a_quick_run_computes_few_trials(name):
    recipe = FIGURES[name]
    assert recipe.trials_of(Request(recipe.trials, quick=True)) == min(recipe.trials, recipe.quick_trials) <= 10
    assert recipe.trials_of(Request(10**6)) == 10**6 and recipe.trials_of(Request(2, quick=True)) == 2


@pytest.mark.parametrize("name", slow_but(["uep-fig8", "sr-fig2c"], {"uep-fig8"}))
def test_the_command_is_quick_and_says_what_it_begins(name, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["figure", name, "--out", str(tmp_path), "--quick"]) == 0
    trials = FIGURES[name].quick_trials
    told = capsys.readouterr().err
    assert told.startswith(f"{name}: {trials} trials\n")
    assert json.loads((tmp_path / f"{name}.json").read_text())["trials"] == trials


def test_the_command_lists_what_there_is(capsys):
    assert main(["figure", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FIGURES)
    torch = {line.split()[0] for line in lines if line.endswith("needs kofn[torch]")}
    assert torch == {recipe.id for recipe in (*TRAINING, *LEARNED)}
    loops = {line.split()[0] for line in lines if line.endswith("faster with kofn[compiled]")}
    assert loops == {name for name in FIGURES if name.startswith("sr-")} | {"own-policies", "own-workers"}


@pytest.mark.parametrize(
    ("name", "modules", "extras"),
    [
        ("uep-fig8", ["matplotlib"], "plot"),
        ("own-traffic", ["matplotlib", "distributed"], "plot,dask"),
        ("aicc-fig4", ["matplotlib", "torch", "sklearn"], "plot,torch"),  # of data that are drawn
        ("uep-fig1", ["matplotlib", "torch", "sklearn"], "plot,torch,sklearn"),
    ],
)
def test_what_is_not_installed_gets_one_sentence_that_names_everything(
    name, modules, extras, tmp_path, monkeypatch, capsys
):
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["figure", name, "--out", str(tmp_path / "new")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"kofn figure: {name} needs ") and f"pip install 'kofn[{extras}]'." in error
    assert error.count("\n") == 1 and not (tmp_path / "new").exists()


def test_data_that_another_package_carries_gets_a_sentence(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    part._loaded.cache_clear()
    assert main(["figure", "uep-fig13", "--out", str(tmp_path), "--quick"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("kofn figure: ") and error.endswith("pip install 'kofn[demo]'.")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["uep-fig8", "--all", "--out", "x"], "'ID' must be left out with --all, but got 'uep-fig8'"),
        (["--all", "--list"], "'ID' must be left out with --list, but got --all"),
        (["--all"], "'--out' must name a folder, but got None; say `kofn figure --all --out figures`"),
        (["uep-fig8", "--out", "x", "--jobs", "0"], "'--jobs' must be an int of at least 1"),
        (["uep-fig99", "--out", "x"], "'ID' must be one of uep-fig8"),
        (["--out", "x"], "'ID' must be one of uep-fig8"),
        (["uep-fig8"], "'--out' must name a folder"),
        (["uep-fig8", "--list"], "'ID' must be left out with --list, but got 'uep-fig8'"),
        (["uep-fig8", "--out", "x", "--trials", "1"], "'--trials' must be an int of at least 2"),
        (["uep-fig8", "--out", "x", "--seed", "-1"], "'--seed' must be an int of at least 0"),
        (["uep-fig8", "--out", "file"], "'--out' must be a folder"),
    ],
)
def test_what_cannot_be_drawn_gets_a_sentence(options, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["figure", *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_all_that_was_published_can_be_seen(figures):
    """EW, column × row, meets MDS at a loss below one in ten thousand."""
    pytest.importorskip("matplotlib")
    canvas = FIGURES["uep-fig9"].draw(figures["uep-fig9"])
    low, high = canvas.axes[0].get_ylim()
    crosses = [line for axes in canvas.axes for line in axes.lines if line.get_marker() == "x"]
    assert len(crosses) == 4 and all(low < y < high for line in crosses for y in line.get_ydata())
    assert {axes.get_xlabel() for axes in canvas.axes} == {"time, in mean response times of a worker"}


def test_a_line_falls_to_zero_where_the_zero_is_and_not_before(figures):
    """MDS loses everything with eight results: halfway to nine its line is still in the middle of the picture."""
    pytest.importorskip("matplotlib")
    axes = FIGURES["uep-fig10"].draw(figures["uep-fig10"]).axes[0]
    (mds,) = (line for line in axes.lines if line.get_label() == "MDS")
    eight, nine = (mds.get_ydata()[list(mds.get_xdata()).index(count)] for count in (8, 9))
    assert eight == 1.0 and 0 < nine < axes.get_ylim()[0] < np.sqrt(eight * nine)
