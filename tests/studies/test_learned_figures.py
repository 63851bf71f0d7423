"""Figures on learned codes: their form, what is kept of a run, and who is better than whom."""

import json

import numpy as np
import pytest

from kofn_studies.figures import FIGURES, Request

pytest.importorskip("torch")

from kofn_studies.figures import aicc_contenders, aicc_fig4, aicc_setting
from kofn_studies.figures.aicc_contenders import Cell, Contest

CODED = {"aicc", "aicc-structured", "lagrange-fit", "berrut", "mean-predictor", "first-order"}
ENDINGS = ("-p1", "-p2", "-p3", "-p4")


def made(name, folder=None, **asked):
    return FIGURES[name].points(Request(trials=2, quick=True, folder=folder, **asked))


@pytest.mark.slow
def test_the_table_has_a_row_for_each_contender_and_keeps_what_it_has(tmp_path, monkeypatch):
    figure = made("aicc-table1", str(tmp_path))
    assert set(figure.names) == CODED and figure["aicc"].x == ("P1", "P2", "P3", "P4")
    assert figure.published[0].y == (4.64, 5.81, 7.85, 1.50)
    assert "quick" in figure.title and json.dumps(figure.json, allow_nan=False)
    assert [path.name for path in tmp_path.iterdir()] == [aicc_setting.STORE]
    monkeypatch.setattr(aicc_contenders.Contest, "errors", None)  # nothing may be computed again
    again = made("aicc-table1", str(tmp_path))
    assert again.json == figure.json
    assert FIGURES["aicc-table1"].draw(figure).axes
    for problem in range(1, 4):
        assert figure["aicc-structured"].y[problem] < figure["mean-predictor"].y[problem]
        assert figure["lagrange-fit"].y[problem] < figure["mean-predictor"].y[problem]


def test_a_store_that_was_cut_short_loses_one_line(tmp_path):
    runs = aicc_setting.Runs(str(tmp_path))
    cell = Cell("P4", size=4, inputs=2, trials=3, quick=True)
    wanted = {name: runs[name, cell] for name in ("mean-predictor", "lagrange-fit")}
    store = tmp_path / aicc_setting.STORE
    store.write_bytes(store.read_bytes()[:-20])
    again = aicc_setting.Runs(str(tmp_path))
    assert len(again._known) == 1
    assert {name: again[name, cell] for name in wanted} == wanted
    assert len(aicc_setting.Runs(str(tmp_path))._known) == 2


@pytest.mark.parametrize(("name", "x"), [("aicc-fig4", (8, 16)), ("aicc-fig6", (2, 3, 6))])
def test_curves_of_all_four_problems(name, x, monkeypatch):
    monkeypatch.setattr(Contest, "errors", lambda contest, name: np.full((2, 1), float(contest.cell.inputs)))
    figure = made(name)
    assert set(figure.names) == {name + ending for name in CODED for ending in ENDINGS}
    assert all(series.x == x for series in figure.series)
    assert len(aicc_fig4.by_problem(figure).axes) == 4


def test_networks_that_would_take_too_long_are_left_out():
    assert Cell("P3", 50, 3, 2).affords(dense=True) and not Cell("P3", 100, 3, 2).affords(dense=False)
    assert Cell("P3", 100, 3, 2, device="cuda").affords(dense=True)
    assert not Cell("P3", 400, 3, 2, device="cuda").affords(dense=True)
    assert Cell("P3", 400, 3, 2, device="cuda").affords(dense=False)


def test_runtimes_of_everybody():
    figure = made("aicc-fig5")
    names = ("numpy", "torch", "aicc", "aicc-structured")
    assert set(figure.names) == {*names, *(f"{name}-p3" for name in names)}
    assert all(min(series.y) > 0 and series.x == (8, 16) for series in figure.series)


def test_what_is_timed_is_what_is_claimed():
    """The timed pipeline gives what a code gives through its own workers and decoder."""
    import torch
    from kofn.testing import decode_rows
    from kofn_studies.aicc.measure import interpolated
    from kofn_studies.aicc.problems import PROBLEMS
    from kofn_studies.figures.aicc_fig5 import closed_form, structured

    code = closed_form("P3", 6, seed=0)
    X = PROBLEMS["P3"].sample(np.random.default_rng(5), (2, 3), 6)
    found = structured(code, torch.as_tensor(X, dtype=torch.float32))().numpy()
    for one, value in zip(X, found, strict=True):
        assert np.allclose(value, decode_rows(interpolated(code, one), range(code.recover))[0], atol=1e-5)


def test_a_device_that_is_not_there_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="'--device' must be one that PyTorch has here") as caught:
        made("aicc-table1", device="nowhere")
    assert "\n" not in str(caught.value)
