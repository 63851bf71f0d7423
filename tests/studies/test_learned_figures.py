"""Figures on learned codes: their form, what is kept of a run, and who is better than whom."""

import json

import numpy as np
import pytest

from kofn_studies.figures import FIGURES, Request

pytest.importorskip("torch")

from kofn_studies.figures import aicc_fig4
from kofn_studies.figures.aicc_contenders import Cell, Contest, TrainedErrors

CODED = {"aicc", "aicc-structured", "lagrange-fit", "berrut", "mean-predictor", "first-order"}
ENDINGS = ("-p1", "-p2", "-p3", "-p4")


def made(name, **asked):
    return FIGURES[name].figure(Request(trials=2, quick=True, **asked))


@pytest.mark.slow
def test_the_table_has_a_row_for_each_contender():
    figure = made("aicc-table1")
    assert set(figure.names) == CODED and figure["aicc"].x == ("P1", "P2", "P3", "P4")
    assert figure.published[0].y == (4.64, 5.81, 7.85, 1.50)
    assert "quick" in figure.title and json.dumps(figure.json, allow_nan=False)
    assert FIGURES["aicc-table1"].draw(figure).axes
    for problem in range(1, 4):
        assert figure["aicc-structured"].y[problem] < figure["mean-predictor"].y[problem]
        assert figure["lagrange-fit"].y[problem] < figure["mean-predictor"].y[problem]


def test_points_know_what_their_results_depend_on():
    """Figures share a point where problem, M, K, trials, seed and schedule agree, and only there."""
    studies = {name: FIGURES[name].study(Request(trials=9, seed=4)) for name in ("aicc-table1", "aicc-fig4")}
    table, fourth = (set(studies[name].points) for name in ("aicc-table1", "aicc-fig4"))
    assert table < fourth and len(table) == 12  # closed forms, aicc, aicc-structured of four problems
    other = {point.digest for point in FIGURES["aicc-table1"].study(Request(trials=9, seed=5)).points}
    assert not other & {point.digest for point in table}
    assert all("first_rate" in point.identity for point in table if isinstance(point, TrainedErrors))


@pytest.mark.parametrize(("name", "x"), [("aicc-fig4", (8, 16)), ("aicc-fig6", (2, 3, 6))])
def test_curves_of_all_four_problems(name, x, monkeypatch):
    monkeypatch.setattr(Contest, "errors", lambda contest, name: np.full((2, 1), float(contest.cell.inputs)))
    figure = made(name)
    assert set(figure.names) == {name + ending for name in CODED for ending in ENDINGS}
    assert all(series.x == x for series in figure.series)
    assert len(aicc_fig4.by_problem(figure).axes) == 4


def test_networks_that_would_take_too_long_are_left_out():
    assert Cell("P3", 50, 3, 2).affords(dense=True) and Cell("P2", 200, 3, 2).affords(dense=True)
    assert not Cell("P3", 100, 3, 2).affords(dense=True) and not Cell("P2", 400, 3, 2).affords(dense=True)
    assert not Cell("P3", 100, 3, 2).affords(dense=False)
    assert Cell("P3", 100, 3, 2, device="cuda").affords(dense=True)
    assert not Cell("P3", 400, 3, 2, device="cuda").affords(dense=True)
    assert Cell("P3", 400, 3, 2, device="cuda").affords(dense=False)


def test_larger_networks_are_trained_in_fewer_steps_on_a_cpu():
    steps = {(p, M): Cell(p, M, 3, 2).schedule.steps for p, M in (("P1", 50), ("P1", 100), ("P1", 200), ("P3", 50))}
    assert steps["P1", 50] == 100 and steps["P1", 100] < 30 > steps["P3", 50] and 6 <= steps["P1", 200] < 10
    assert {Cell("P1", M, 3, 2).refining.steps for M in (10, 50)} == {100}


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
